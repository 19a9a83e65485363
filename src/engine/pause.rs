//! PAUSE and RESUME: a query stops to read where it is, and goes on from there.
//!
//! Queries share readers of topics, and the streams that others derive. So a query that pauses gets readers
//! of its own first, with copies of the queries on the way from them to it; these go on where the shared
//! ones are, which stand still until that is known (see [`super::hold`]). From then on its own readers stop
//! and go as it does. What it keeps stays where it is: its table can be asked, checkpoints hold it, and they
//! hold how far its readers are. Standard input cannot be read twice and has no second
//! reader: its own stops when all that read it are paused.

use super::draft::Draft;
use super::hold::{Hold, Positions};
use super::outcome::{Outcome, Status};
use super::world::World;
use crate::catalog::Query;
use crate::connector::{Place, Survey};
use crate::error::{Error, Result};
use crate::expr::nearest::nearest;
use crate::plan::{
    DataflowId, DataflowPlan, HubId, Input, QueryInput, QueryPlan, Shape, Sink, SourcePlan, is_answer,
};
use crate::sql::ast::{Ident, WindowKind};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What workers are told of it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Pauses {
    pub moves: Vec<Move>,
    /// Readers that stop to read, and that read on.
    pub stop: Vec<DataflowId>,
    pub go: Vec<DataflowId>,
}

/// A query reads another hub from now on.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Move {
    pub query: DataflowId,
    pub from: HubId,
    pub to: HubId,
}

/// Second ways for what a query reads.
struct Copies<'a> {
    of: &'a Query,
    /// Where the readers are that are copied, by their names.
    positions: &'a Positions,
    plans: Vec<DataflowPlan>,
}

impl Draft<'_> {
    pub(super) fn pause(&mut self, id: Option<&Ident>) -> Result<Outcome> {
        let paused = self.set_paused(id, true)?;
        Ok(outcome("pause", "paused", id, paused))
    }

    pub(super) fn resume(&mut self, id: Option<&Ident>) -> Result<Outcome> {
        let resumed = self.set_paused(id, false)?;
        Ok(outcome("resume", "resumed", id, resumed))
    }

    /// The ids of the queries that it is about.
    fn set_paused(&mut self, id: Option<&Ident>, paused: bool) -> Result<Vec<String>> {
        let ids = match id {
            Some(id) => vec![self.pausable(id)?],
            None => self.world.pausable().map(|query| query.id.clone()).collect(),
        };
        for id in &ids {
            let parts = self.world.catalog.queries_in(id).map(|part| part.id.clone());
            for id in parts.chain([id.clone()]).collect::<Vec<_>>() {
                self.change_query(&id, |query| query.paused = paused);
            }
        }
        let paused: Vec<Arc<Query>> =
            self.world.catalog.queries.values().filter(|query| query.paused).cloned().collect();
        let apart = paused.iter().try_for_each(|query| {
            self.check_unawaited(query)?;
            self.set_apart(query)
        });
        apart.map_err(|error| match id {
            Some(id) => error.at(id.span),
            None => error,
        })?;
        Ok(ids)
    }

    /// Refuses where something that runs would wait for rows of a paused query before it takes others.
    fn check_unawaited(&self, paused: &Query) -> Result<()> {
        let is_paused = |id: &String| self.world.catalog.queries.get(id).is_some_and(|query| query.paused);
        let comes_from = |input: &QueryInput| self.world.catalog.feeds(&paused.writes, &input.source);
        let waits = |plan: &DataflowPlan| match plan {
            DataflowPlan::Query(query) if query.is_ordered() && !is_paused(&query.query) => {
                let mut rows = query.inputs.iter().filter(|input| matches!(input.from, Input::Hub(_)));
                let feeds: BTreeSet<u32> = rows.clone().flat_map(|input| input.feeds.clone()).collect();
                (feeds.len() > 1 && rows.any(comes_from)).then(|| query.query.clone())
            }
            _ => None,
        };
        let Some(waiting) = self.planned().find_map(waits) else { return Ok(()) };
        let catalog = &self.world.catalog;
        let query = catalog.queries.get(&waiting).map_or(&waiting, |query| &catalog.whole(query).id);
        let paused = &catalog.whole(paused).id;
        let what = format!("{query} waits for rows of {paused}, to take those of others in their order");
        Err(Error::statement(what).hint(format!("PAUSE {query} before {paused}, and RESUME it after it")))
    }

    fn pausable(&self, id: &Ident) -> Result<String> {
        let is_it = |other: &&str| other.eq_ignore_ascii_case(&id.name);
        let mut known = self.world.pausable().map(|query| query.id.as_str());
        if let Some(known) = known.find(is_it) {
            return Ok(known.into());
        }
        if is_answer(&id.name.to_lowercase()) || self.open_answers().any(|(open, _)| is_it(&open.as_str())) {
            return Err(Error::statement(format!("{} is no persistent query: it cannot be paused", id.name))
                .at(id.span)
                .hint("a push query waits while its client does not read; TERMINATE ends it"));
        }
        let error = Error::statement(format!("there is no query {}", id.name)).at(id.span);
        Err(match nearest(&id.name, self.world.pausable().map(|query| query.id.as_str())) {
            Some(near) => error.hint(format!("did you mean {near}?")),
            None => error.hint("SHOW QUERIES lists what runs"),
        })
    }

    fn change_query(&mut self, id: &str, change: impl FnOnce(&mut Query)) {
        if let Some(query) = self.world.catalog.queries.get_mut(id) {
            change(Arc::make_mut(query));
        }
    }

    /// Gives a query that is paused readers of its own where others that run read with it.
    fn set_apart(&mut self, query: &Query) -> Result<()> {
        let is_shared = |input: &&QueryInput| match input.from {
            Input::Hub(hub) => !self.is_apart(hub, query),
            Input::Table(_) => !self.world.catalog.writers_of(&input.source).all(|writer| writer.paused),
        };
        let mut shared = BTreeSet::new();
        for input in query.plan.inputs.iter().filter(is_shared) {
            let Input::Hub(hub) = input.from else {
                let query = self.world.catalog.whole(query);
                let (id, table) = (&query.id, &input.source);
                let message = format!(
                    "{id} cannot be paused alone: it reads how table {table} changes, which nothing keeps meanwhile"
                );
                return Err(Error::statement(message).hint(together(
                    self.world.catalog.writers_of(table).find(|writer| !writer.reads.is_empty()),
                    query,
                )));
            };
            self.check_copyable(hub, query)?;
            shared.insert(hub);
        }
        let positions = self.stand_still(query, &shared)?;
        if shared.is_empty() {
            return Ok(());
        }
        let mut copies = Copies { of: query, positions: &positions, plans: Vec::new() };
        let moves = shared.into_iter().map(|hub| (hub, self.copy(hub, &mut copies))).collect();
        let plans = copies.plans;
        let mut plan = query.plan.clone();
        plan.read_from(&moves);
        self.change_query(&query.id, |query| {
            query.plan = plan.clone();
            query.dataflows.extend(plans.iter().map(DataflowPlan::id));
        });
        self.put_apart(plan, moves);
        self.install(plans);
        Ok(())
    }

    /// Has all readers that stop, and those that others share with the query, stand still until this change is
    /// installed; where they are.
    fn stand_still(&self, query: &Query, shared: &BTreeSet<HubId>) -> Result<Arc<Positions>> {
        let stopping = self.world.stopped_readers();
        let stopping = stopping.difference(&self.world.stopped);
        let stopping = stopping.filter_map(|id| match self.world.active.get(id).map(Arc::as_ref) {
            Some(DataflowPlan::Source(source)) => Some((source.id, source.key.clone())),
            _ => None,
        });
        let behind = shared.iter().flat_map(|hub| self.readers_behind(*hub));
        let readers = stopping.chain(behind.map(|source| (source.id, source.key))).collect();
        let hubs = shared.iter().copied().collect();
        let hold = Hold { readers, hubs, through: Vec::new(), at_end: query.plan.is_ordered() };
        match self.world.live && !hold.readers.is_empty() {
            true => self.held(hold),
            false => Ok(Arc::default()),
        }
    }

    /// Whether nothing comes through a hub to a paused query: all that writes it is paused, or the query's own.
    fn is_apart(&self, hub: HubId, query: &Query) -> bool {
        self.writers(hub).iter().all(|plan| {
            let is_paused = |id: &String| self.world.catalog.queries.get(id).is_some_and(|q| q.paused);
            let by_paused = match plan {
                DataflowPlan::Query(writer) => is_paused(&writer.query),
                DataflowPlan::Source(source) => source.is_read_once() && self.awake(source).next().is_none(),
            };
            by_paused || query.dataflows.contains(&plan.id())
        })
    }

    /// What runs, waits for the script's end, or was planned by this request.
    pub(super) fn planned(&self) -> impl Iterator<Item = &DataflowPlan> {
        let planned = self.world.active.values().chain(&self.world.waiting).map(Arc::as_ref);
        planned.chain(&self.effects.install)
    }

    fn writers(&self, hub: HubId) -> Vec<DataflowPlan> {
        self.planned().filter(|plan| plan.writes(hub)).cloned().collect()
    }

    /// The readers of topics from which rows come into a hub.
    pub(super) fn readers_behind(&self, hub: HubId) -> Vec<SourcePlan> {
        let behind = |plan: DataflowPlan| match plan {
            DataflowPlan::Source(source) => vec![source],
            DataflowPlan::Query(query) => {
                query.hubs().flat_map(|hub| self.readers_behind(hub)).collect::<Vec<_>>()
            }
        };
        self.writers(hub).into_iter().flat_map(behind).collect()
    }

    /// Refuses where a second way to the same rows would not give the same rows.
    fn check_copyable(&self, hub: HubId, query: &Query) -> Result<()> {
        for plan in self.writers(hub) {
            match plan {
                DataflowPlan::Source(source) => self.check_forkable(&source, query)?,
                DataflowPlan::Query(writer) if writer.is_linear() => {
                    writer.hubs().try_for_each(|hub| self.check_copyable(hub, query))?;
                }
                DataflowPlan::Query(writer) => {
                    let catalog = &self.world.catalog;
                    let (query, writer) = (catalog.whole(query), catalog.queries.get(&writer.query));
                    let writer = writer.map(|writer| catalog.whole(writer));
                    let id = writer.map_or("another query", |writer| &writer.id);
                    let message = format!("{} cannot be paused alone: it reads what {id} joins", query.id);
                    return Err(Error::statement(message).hint(together(writer, query)));
                }
            }
        }
        Ok(())
    }

    fn check_forkable(&self, source: &SourcePlan, query: &Query) -> Result<()> {
        let id = &self.world.catalog.whole(query).id;
        if matches!(source.place, Place::Memory { .. }) && self.world.live {
            let what = "records of topics in memory go out in one order, and none goes while a reader stands";
            return Err(Error::statement(format!("{id} cannot be paused: {what}")));
        }
        if !source.is_read_once() {
            return Ok(());
        }
        let error = Error::statement(format!(
            "{id} cannot be paused alone: others read {} with it, and standard input is not read twice",
            source.source
        ));
        Err(error.hint("PAUSE all that read it, and RESUME them together: PAUSE ALL, RESUME ALL"))
    }

    /// The queries that get a source's rows and are not paused.
    fn awake<'s>(&'s self, source: &'s SourcePlan) -> impl Iterator<Item = &'s QueryPlan> {
        self.planned()
            .filter_map(|plan| match plan {
                DataflowPlan::Query(query) if query.hubs().any(|hub| hub == source.hub) => Some(query),
                _ => None,
            })
            .filter(|query| !self.world.is_paused(&query.query))
    }

    /// Refuses what would have a paused query's source go on.
    fn check_asleep(&self, paused: &Query) -> Result<()> {
        for hub in paused.plan.hubs() {
            for plan in self.writers(hub) {
                let DataflowPlan::Source(source) = &plan else { continue };
                if let Some(awake) = self.awake(source).next().filter(|_| source.is_read_once()) {
                    let (id, name) = (&self.world.catalog.whole(paused).id, &source.source);
                    return Err(Error::statement(format!(
                        "{} would read {name}, standard input, which is not read twice, while {id} is paused",
                        awake.query
                    ))
                    .hint(format!("RESUME {id} first, or RESUME ALL")));
                }
            }
        }
        Ok(())
    }

    /// A second way for the rows of a hub, from readers of the query's own; the hub that they come to.
    fn copy(&mut self, hub: HubId, copies: &mut Copies) -> HubId {
        let to = self.world.id();
        for plan in self.writers(hub) {
            let id = self.world.id();
            let copy = match plan {
                DataflowPlan::Source(source) => DataflowPlan::Source(SourcePlan {
                    id,
                    key: self.key_of_copy(&source, copies),
                    hub: to,
                    survey: Survey {
                        resumed: copies.positions.get(&source.key).cloned(),
                        ..Survey::default()
                    },
                    behind: Vec::new(),
                    ..source
                }),
                DataflowPlan::Query(writer) => {
                    let moves = writer.hubs().map(|hub| (hub, self.copy(hub, copies))).collect();
                    let mut copy = writer.again(id, to);
                    copy.read_from(&moves);
                    DataflowPlan::Query(copy)
                }
            };
            copies.plans.push(copy);
        }
        to
    }

    /// What checkpoints call a copy of a reader: the same at the next start, whatever else is there.
    fn key_of_copy(&self, source: &SourcePlan, copies: &Copies) -> String {
        let name = format!("{}/paused/{}", copies.of.recorded.key, source.key);
        let is_named_so =
            |plan: &&DataflowPlan| matches!(plan, DataflowPlan::Source(s) if s.key.starts_with(&name));
        let others = self.planned().chain(&copies.plans).filter(is_named_so).count();
        format!("{name}/{others}")
    }

    /// Puts a query's plan in the place of the one with its number.
    fn put_apart(&mut self, plan: QueryPlan, moves: BTreeMap<HubId, HubId>) {
        let query = plan.id;
        if self.put(DataflowPlan::Query(plan)) {
            let moved = moves.into_iter().map(|(from, to)| Move { query, from, to });
            self.effects.pauses.moves.extend(moved);
        }
    }

    /// What of the readers stops or goes with this change.
    ///
    /// # Errors
    /// Something that is new would wait for what is paused.
    pub(super) fn stop_and_go(&mut self) -> Result<()> {
        let paused = self.world.catalog.queries.values().filter(|query| query.paused);
        paused.into_iter().try_for_each(|query| {
            self.check_unawaited(query)?;
            self.check_asleep(query)
        })?;
        let stopped = self.world.stopped_readers();
        self.effects.pauses.stop = stopped.difference(&self.world.stopped).copied().collect();
        let gone_on = self.world.stopped.difference(&stopped);
        self.effects.pauses.go = gone_on.filter(|id| self.world.active.contains_key(id)).copied().collect();
        self.world.stopped = stopped;
        Ok(())
    }
}

impl Pauses {
    pub fn is_empty(&self) -> bool {
        self.moves.is_empty() && self.stop.is_empty() && self.go.is_empty()
    }
}

impl World {
    /// The queries that statements have started, but for what the engine has made for itself.
    fn pausable(&self) -> impl Iterator<Item = &Query> {
        let is_own = |query: &&Query| self.catalog.get(&query.writes).is_some_and(|s| s.is_of_the_engine());
        self.queries().filter(move |query| !is_own(query))
    }

    /// The readers that stand still: a paused query's own, and others' from which rows come through a copy
    /// of a paused query.
    fn stopped_readers(&self) -> BTreeSet<DataflowId> {
        let is_paused = |id: &String| self.is_paused(id);
        let mut stopped = BTreeSet::new();
        if !self.catalog.queries.values().any(|query| query.paused) {
            return stopped;
        }
        for query in self.catalog.queries.values() {
            let own = query.dataflows.iter().filter_map(|id| self.active.get(id));
            for plan in own.map(Arc::as_ref) {
                match plan {
                    DataflowPlan::Source(source) if query.paused => drop(stopped.insert(source.id)),
                    DataflowPlan::Query(copy) if copy.query != query.id && is_paused(&copy.query) => {
                        self.stop_behind(copy, &mut stopped);
                    }
                    _ => {}
                }
            }
        }
        // What cannot be read twice has one reader, which nobody reads that goes on: that was checked.
        let paused = self.catalog.queries.values().filter(|query| query.paused);
        for hub in paused.flat_map(|query| query.plan.hubs().collect::<Vec<_>>()) {
            for plan in self.active.values().filter(|plan| plan.writes(hub)) {
                let DataflowPlan::Source(source) = plan.as_ref() else { continue };
                if source.is_read_once() {
                    stopped.insert(source.id);
                }
            }
        }
        stopped
    }

    fn is_paused(&self, id: &str) -> bool {
        self.catalog.queries.get(id).is_some_and(|query| query.paused)
    }

    fn stop_behind(&self, query: &QueryPlan, stopped: &mut BTreeSet<DataflowId>) {
        for hub in query.hubs() {
            for plan in self.active.values().filter(|plan| plan.writes(hub)) {
                match plan.as_ref() {
                    DataflowPlan::Source(source) => drop(stopped.insert(source.id)),
                    DataflowPlan::Query(writer) => self.stop_behind(writer, stopped),
                }
            }
        }
    }
}

impl DataflowPlan {
    fn writes(&self, hub: HubId) -> bool {
        match self {
            DataflowPlan::Source(source) => source.hub == hub,
            DataflowPlan::Query(query) => matches!(query.sink, Sink::Stream { hub: to, .. } if to == hub),
        }
    }
}

impl SourcePlan {
    fn is_read_once(&self) -> bool {
        matches!(self.place, Place::Stdin { .. })
    }
}

impl QueryPlan {
    /// Whether it takes rows of several readers in the order of their times, for which they wait.
    pub(super) fn is_ordered(&self) -> bool {
        let mut joins_rows = false;
        self.select.from.each_join(&mut |join| joins_rows |= !join.is_table());
        let window = match &self.select.shape {
            Shape::Aggregate(aggregation) => aggregation.window,
            Shape::Project(_) => None,
        };
        joins_rows || window.is_some_and(|window| matches!(window.kind, WindowKind::Session { .. }))
    }

    /// Whether each of its rows comes of one row, wherever it begins.
    fn is_linear(&self) -> bool {
        self.select.from.is_scan() && self.hubs().count() == self.inputs.len()
    }

    fn read_from(&mut self, moves: &BTreeMap<HubId, HubId>) {
        for input in &mut self.inputs {
            if let Input::Hub(hub) = &mut input.from {
                *hub = moves.get(hub).copied().unwrap_or(*hub);
            }
        }
    }

    /// The same query for another hub: nothing is stored, and nobody restarts from it.
    pub(super) fn again(self, id: DataflowId, hub: HubId) -> QueryPlan {
        QueryPlan {
            id,
            sink: Sink::Stream { hub, store: None },
            restore: Default::default(),
            durable: false,
            goes_on: false,
            ..self
        }
    }
}

/// What to do where a query can only be paused with the one that writes what it reads.
fn together(writer: Option<&Query>, query: &Query) -> String {
    match writer {
        Some(writer) => {
            let (writer, query) = (&writer.id, &query.id);
            format!("PAUSE {writer} first, and RESUME {query} before it; or PAUSE ALL and RESUME ALL")
        }
        None => "TERMINATE stops it; made again it is computed of all that the table has".into(),
    }
}

fn outcome(verb: &str, done: &str, id: Option<&Ident>, ids: Vec<String>) -> Outcome {
    let message = match id {
        Some(_) => format!("Query {done}."),
        None => format!("{} queries {done}", ids.len()),
    };
    let command_id = format!("{verb}/{}/execute", if id.is_some() { &ids[0] } else { "ALL" });
    let query_id = ids.into_iter().next().filter(|_| id.is_some());
    Outcome::Status(Status { message, command_id, query_id, ..Status::default() })
}
