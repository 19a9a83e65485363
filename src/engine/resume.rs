//! Going on where an earlier start stopped: which queries a checkpoint knows, what their readers and
//! tables go on from, and which ones are new and begin at the beginning.

use super::BOOKS_QUERY;
use super::Session;
use super::checkpoint::{self, Asked, Known, Manifest, Statements};
use super::draft::Draft;
use super::fingerprint::fingerprint;
use super::upgrade::{extends, lasting};
use super::world::World;
use crate::catalog::{Base, Origin, Query, Recorded, Source};
use crate::connector::{Cluster, Layout, Place, Start, log};
use crate::error::{Error, Result};
use crate::plan::{DataflowPlan, Piece, QueryPlan, SelectPlan, Sink, StorePlan};
use crate::render::kept::KeptId;
use crate::render::rejects;
use crate::sql::ast::SourceKind;
use crate::sql::parse_statement_with;
use crate::types::Schema;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The books, among the queries of a checkpoint.
const BOOKS: &str = "WHARFE_BOOKS";

/// What an earlier start has left in a data directory of one's own.
pub struct Durable {
    pub statements: Statements,
    /// Carried out again at the beginning, each with its number.
    pub asked: Vec<(u64, Asked)>,
    /// The rejects that it has told: it may have had more workers.
    pub rejects: log::Ends,
    /// The checkpoint that this start goes on from.
    pub from: Option<Manifest>,
}

/// What waits in an outbox, and for which topic.
pub struct Outgoing {
    pub topic: String,
    pub layout: Layout,
    pub outbox: PathBuf,
}

/// The persistent query that is being planned.
pub(super) struct Planning {
    pub recorded: Recorded,
    /// Private readers so far.
    readers: usize,
    /// A checkpoint knows it.
    known: Option<Known>,
}

impl Durable {
    /// Reads what an earlier start has left; also takes away the rejects that came after its checkpoint,
    /// so nobody may have opened them yet.
    pub fn open(data_dir: &Path) -> Result<Durable> {
        let (from, unfit) = checkpoint::newest(data_dir)?;
        if from.is_none() {
            // Nothing has become final: what waits to be delivered is computed again, under another name.
            checkpoint::forget_outboxes(data_dir)?;
        }
        let (statements, asked) = Statements::open(data_dir)?;
        if let Some(manifest) = &from {
            for why in unfit {
                tracing::warn!("{why}; going on from checkpoint {}", manifest.number);
            }
        }
        let rejects = from.as_ref().map(|manifest| manifest.rejects.clone()).unwrap_or_default();
        cut(&data_dir.join("topics").join(rejects::TOPIC), &rejects)?;
        Ok(Durable { statements, asked, rejects, from })
    }
}

/// Takes away what was written to a log behind these ends.
pub fn cut(dir: &Path, ends: &log::Ends) -> Result<()> {
    for partition in log::starts(dir)?.keys() {
        log::truncate(dir, *partition, ends.get(partition).copied().unwrap_or(0))?;
    }
    Ok(())
}

/// What makes two places the same for what was read there; settings that say how to get there do not.
fn identity(place: &Place) -> String {
    match place {
        Place::Kafka { cluster, topic } => format!("kafka {} {topic}", cluster.name),
        Place::Log { .. } => "log".into(),
        other => format!("{other:?}"),
    }
}

impl Draft<'_> {
    fn manifest_from(&self) -> Option<&Manifest> {
        self.world.from.as_deref()
    }

    /// A number for what a source declares: the same as long as its rows mean the same.
    fn declaration_fingerprint(&self, source: &Source) -> Result<u128> {
        let place =
            if source.origin == Origin::Declared { identity(&self.place(source)?) } else { String::new() };
        Ok(fingerprint(&(
            (&source.topic, place, source.ordinal),
            (&source.serialization, &source.schema, &source.timestamp),
        )))
    }

    /// The same with all that writes it.
    fn source_fingerprint(&self, source: &Source) -> Result<u128> {
        let writers: Vec<&str> =
            self.world.catalog.writers_of(&source.name).map(|q| q.recorded.key.as_str()).collect();
        Ok(fingerprint(&(self.declaration_fingerprint(source)?, writers)))
    }

    /// Begins to plan a persistent query: finds out whether a checkpoint knows it.
    pub(super) fn plan_query(
        &mut self,
        sources: &[Source],
        target: &Source,
        select: &SelectPlan,
    ) -> Result<()> {
        let whole = fingerprint(&(
            self.reads_of(sources)?,
            select,
            (&target.topic, &target.serialization, &target.schema, target.layout, target.ordinal),
            self.stored_at(target),
            self.generation(target),
        ));
        let base = self.base_of(sources, target, select)?;
        self.planning = Some(self.planned_as(&target.name, whole, base));
        Ok(())
    }

    fn reads_of(&self, sources: &[Source]) -> Result<Vec<u128>> {
        sources.iter().map(|source| self.source_fingerprint(source)).collect()
    }

    /// What tells where its rows are stored.
    fn stored_at(&self, target: &Source) -> Option<String> {
        let place = match target.events.first() {
            Some(event) => Some(event.writes.clone()),
            None => self.base.topology.resolve(&target.topic, &self.base.data_dir, target.layout.partitions),
        };
        place.filter(|_| target.part.is_none()).as_ref().map(identity)
    }

    /// What a query has to have in common with the one at hand to take its place at another start. What is made
    /// of tables only is made anew, and what has queries inside it.
    pub(super) fn base_of(&self, sources: &[Source], target: &Source, select: &SelectPlan) -> Result<Base> {
        let of_tables = sources.iter().all(|source| source.kind == SourceKind::Table);
        if of_tables || sources.iter().any(|source| source.part.is_some()) || target.part.is_some() {
            return Ok(Base::default());
        }
        let lasting = fingerprint(&(
            self.reads_of(sources)?,
            lasting(select),
            (&target.topic, &target.serialization, &target.timestamp, target.layout, target.ordinal),
            self.stored_at(target),
        ));
        Ok(Base { lasting: format!("{lasting:032x}"), columns: target.schema.columns.clone() })
    }

    /// The query that made a stream or table: what is kept of its rows is of no use to another one's.
    fn generation(&self, target: &Source) -> Option<(&str, u64)> {
        match &target.origin {
            Origin::Derived(id) => self
                .world
                .catalog
                .queries
                .get(id)
                .map(|query| (query.recorded.key.as_str(), query.recorded.since)),
            _ => None,
        }
    }

    /// Where what a query writes to a cluster waits for the next checkpoint.
    pub(super) fn outbox(&self, target: &Source) -> Option<PathBuf> {
        if !self.world.durable {
            return None;
        }
        let own = self.planning.as_ref().map(|planning| &planning.recorded);
        let own = own.map(|recorded| (recorded.key.as_str(), recorded.since));
        let of = if target.origin == Origin::Declared { None } else { self.generation(target).or(own) };
        let name = format!("{}-{:016x}", target.topic, fingerprint(&(of, target.ordinal)) as u64);
        // What is published is a gateway's to look after.
        let is_published = target.events.iter().any(|event| matches!(event.writes, Place::Event { .. }));
        let dir = if is_published { checkpoint::PUBLISHED } else { checkpoint::OUTBOXES };
        Some(self.base.data_dir.join(dir).join(name))
    }

    /// The same for the query that keeps a declared table.
    pub(super) fn plan_table(&mut self, source: &Source) -> Result<()> {
        let fingerprint = self.declaration_fingerprint(source)?;
        let mut planning = self.planned_as(&source.name, fingerprint, Base::default());
        // It shares the reader of its topic, which begins at the beginning.
        planning.recorded.late = false;
        self.planning = Some(planning);
        Ok(())
    }

    fn planned_as(&self, writes: &str, fingerprint: u128, base: Base) -> Planning {
        let what = format!("{writes}:{fingerprint:032x}");
        let same = self.world.catalog.queries.values().filter(|q| q.recorded.key.starts_with(&what)).count();
        let mut key = format!("{what}:{same}");
        let from = self.manifest_from();
        if let Some(before) = from.and_then(|manifest| self.predecessor(manifest, writes, &key, &base)) {
            let what = "goes on where it was, by its new statement";
            self.effects.warnings.borrow_mut().push(format!("{writes} {what}"));
            key = before;
        }
        let known = from.and_then(|manifest| manifest.queries.get(&key)).cloned();
        // What a checkpoint does not know cannot go on with the readers of those that it knows.
        let late = !self.world.begun && from.is_some() && known.as_ref().is_none_or(|known| known.late);
        if from.is_some() && known.is_none() {
            let what = "is new or was changed: it is computed from the start of its sources";
            self.effects.warnings.borrow_mut().push(format!("{writes} {what}"));
        }
        let since = match (&known, from) {
            (Some(known), _) => known.since,
            (None, from) => from.map_or(0, |manifest| manifest.number),
        };
        Planning { recorded: Recorded { key, late, since, base }, readers: 0, known }
    }

    /// What a checkpoint calls the query whose place a CREATE OR REPLACE takes that has become another one since.
    fn predecessor(&self, manifest: &Manifest, writes: &str, key: &str, base: &Base) -> Option<String> {
        if !self.takes_over || base.lasting.is_empty() || manifest.queries.contains_key(key) {
            return None;
        }
        let new = Schema { columns: base.columns.clone() };
        let is_it = |known: &Known| {
            known.writes == writes && known.base.lasting == base.lasting && extends(&known.base.columns, &new)
        };
        manifest.queries.iter().find(|(_, known)| is_it(known)).map(|(key, _)| key.clone())
    }

    /// Of the query at hand.
    pub(super) fn recorded(&self) -> Recorded {
        self.planning.as_ref().map_or_else(Recorded::default, |planning| planning.recorded.clone())
    }

    /// Where what the query at hand keeps goes on from.
    pub(super) fn restore(&self) -> BTreeMap<String, Vec<Piece>> {
        let known = self.planning.as_ref().and_then(|planning| planning.known.as_ref());
        match (known, self.manifest_from()) {
            (Some(known), Some(manifest)) => manifest.pieces_of(known, &self.base.data_dir),
            _ => BTreeMap::new(),
        }
    }

    /// Whether what the query at hand has stored so far stays.
    pub(super) fn keeps_stored(&self) -> bool {
        self.planning.as_ref().is_some_and(|planning| planning.known.is_some())
    }

    /// Names a reader that queries share.
    pub(super) fn shared_key(&self, source: &Source, start: Start) -> Result<String> {
        Ok(format!("{}/{start:?}/{:032x}", source.name, self.declaration_fingerprint(source)?))
    }

    /// Names a reader of the query at hand; readers of answers have no name.
    pub(super) fn private_key(&mut self, source: &Source) -> String {
        let Some(planning) = &mut self.planning else { return String::new() };
        planning.readers += 1;
        format!("{}/{}/{}", planning.recorded.key, source.name, planning.readers)
    }

    /// The script is complete: all that waits is installed, going on from a checkpoint if there is one.
    /// `before`: what an earlier start was asked for while it ran, as far as the checkpoint contains it.
    /// `mended`: the logs of mended records that are there.
    pub(super) fn begin(&mut self, before: &[Asked], mended: &BTreeSet<PathBuf>) -> Result<()> {
        self.changes = true;
        self.topology_sinks()?;
        self.reopen_mended(mended)?;
        self.world.begun = true;
        for asked in before {
            self.ask_again(asked)?;
            self.reopen_mended(mended)?;
        }
        let waiting = std::mem::take(&mut self.world.waiting);
        let mut plans: Vec<DataflowPlan> = waiting.into_iter().map(Arc::unwrap_or_clone).collect();
        if self.world.durable
            && let Some(why) = not_durable(&plans)
        {
            if let Some(event) = plans.iter().find_map(DataflowPlan::publishes) {
                return Err(Error::usage(format!(
                    "event {event} is published when a checkpoint has made it final, and none are taken: {why}"
                )));
            }
            self.effects.warnings.borrow_mut().push(format!("no checkpoints are taken: {why}"));
            self.world.durable = false;
            // Nothing would ever become final.
            plans.iter_mut().for_each(DataflowPlan::without_outbox);
        }
        if let Some(manifest) = self.world.from.take().filter(|_| self.world.durable) {
            self.check_removed(&manifest)?;
            plans.iter_mut().try_for_each(|plan| self.go_on(plan, &manifest))?;
            self.effects.started_ms = Some(manifest.started_ms);
            self.effects.resumed = Some(manifest);
        }
        self.world.live = true;
        self.install(plans);
        Ok(())
    }

    /// Plans again what was asked for while an earlier start ran; what cannot be is left out.
    fn ask_again(&mut self, asked: &Asked) -> Result<()> {
        let mut session = Session { properties: asked.properties.clone(), ..Session::default() };
        let world = self.world.clone();
        let parsed = parse_statement_with(&asked.sql, world.known(&session));
        let done = parsed.and_then(|parsed| self.statement(&parsed, &mut session));
        match done {
            Ok(_) => Ok(()),
            Err(error) if self.lacks() => Err(error),
            Err(error) => {
                self.world = world;
                self.effects.warnings.borrow_mut().push(asked.impossible(&error));
                Ok(())
            }
        }
    }

    /// Makes a plan of a beginning go on from a checkpoint.
    fn go_on(&mut self, plan: &mut DataflowPlan, manifest: &Manifest) -> Result<()> {
        let query = match plan {
            DataflowPlan::Source(source) => {
                source.survey.resumed = manifest.sources.get(&source.key).cloned();
                return Ok(());
            }
            DataflowPlan::Query(query) => query,
        };
        if query.id == BOOKS_QUERY {
            let known = manifest.queries.get(BOOKS);
            query.restore =
                known.map_or_else(BTreeMap::new, |known| manifest.pieces_of(known, &self.base.data_dir));
        }
        if let Some(dir) = query.stores().and_then(StorePlan::log)
            && !self.world.stale.contains(dir)
        {
            // An outbox that it does not know has nothing in it that is final.
            let is_outbox = query.stores().is_some_and(|store| store.outbox.is_some());
            let none = is_outbox.then(log::Ends::new);
            let ends = manifest.logs.get(&checkpoint::name_of(dir)).or(none.as_ref());
            let ends = ends.ok_or_else(|| {
                let log = dir.display();
                Error::runtime(format!("the checkpoint does not say how far {log} was written"))
            })?;
            self.effects.cut.push((dir.clone(), ends.clone()));
        }
        Ok(())
    }

    /// A query that is gone has left rows in what others have made of its stream.
    fn check_removed(&self, manifest: &Manifest) -> Result<()> {
        let is_there = |key: &str| self.world.catalog.queries.values().any(|query| query.recorded.key == key);
        let known = manifest.queries.iter().filter(|(key, _)| *key != BOOKS);
        for (_, Known { writes, .. }) in known.filter(|(key, _)| !is_there(key)) {
            let keeps = |query: &&Arc<Query>| {
                manifest.queries.contains_key(&query.recorded.key)
                    && query.reads.iter().any(|read| self.world.catalog.feeds(writes, read))
            };
            if let Some(query) = self.world.catalog.queries.values().find(keeps) {
                return Err(Error::usage(format!(
                    "the script has lost or changed a query that writes {writes}, whose rows are in the state of {}",
                    query.id
                ))
                .hint("give another --data-dir, or remove this one: then all is computed from the start again"));
            }
        }
        Ok(())
    }
}

impl World {
    /// What is delivered to clusters once a checkpoint has made it final: outboxes and their topics.
    pub fn outboxes(&self) -> Vec<(Cluster, Outgoing)> {
        let stores = self.active.values().filter_map(|plan| match plan.as_ref() {
            DataflowPlan::Query(query) => query.stores(),
            DataflowPlan::Source(_) => None,
        });
        let outgoing = |store: &StorePlan| {
            let (Some(outbox), Place::Kafka { cluster, topic }) = (&store.outbox, &store.place) else {
                return None;
            };
            let outgoing = Outgoing { topic: topic.clone(), layout: store.layout, outbox: outbox.clone() };
            Some((cluster.clone(), outgoing))
        };
        stores.filter_map(outgoing).collect()
    }

    /// What a checkpoint that is taken now contains, and the kept states that it needs, by number.
    /// `rejects`: those that an earlier start has told.
    pub fn manifest(&self, number: u64, started_ms: i64, rejects: log::Ends) -> (Manifest, Vec<KeptId>) {
        let mut manifest = Manifest::new(number, started_ms);
        manifest.statements = self.kept;
        manifest.rejects = rejects;
        manifest.ordinals = self.catalog.ordinals.clone();
        let mut kept = Vec::new();
        let mut number = |plan: &QueryPlan| -> BTreeMap<String, usize> {
            let numbered = |name: String| {
                kept.push((plan.id, name.clone()));
                (name, kept.len() - 1)
            };
            plan.keeps().into_iter().map(numbered).collect()
        };
        let states = number(&super::system::books_query());
        manifest.queries.insert(BOOKS.into(), Known { states, ..Known::default() });
        for query in self.catalog.queries.values() {
            let states = number(&query.plan);
            let Recorded { key, late, since, base } = query.recorded.clone();
            manifest.queries.insert(key, Known { writes: query.writes.clone(), states, late, since, base });
        }
        (manifest, kept)
    }
}

/// Why there can be no checkpoints, if that is so.
pub(super) fn not_durable(plans: &[DataflowPlan]) -> Option<String> {
    let of_stdin = plans.iter().find_map(|plan| match plan {
        DataflowPlan::Source(source) if matches!(source.place, Place::Stdin { .. }) => Some(&source.topic),
        _ => None,
    });
    of_stdin.map(|topic| format!("topic {topic} is standard input, which cannot be read again"))
}

impl Asked {
    /// What is said when it cannot be carried out again.
    pub fn impossible(&self, error: &Error) -> String {
        format!("a statement of an earlier start cannot be carried out again: {}: {error}", self.sql)
    }
}

impl DataflowPlan {
    /// The event that it publishes.
    fn publishes(&self) -> Option<&str> {
        let DataflowPlan::Query(query) = self else { return None };
        match &query.stores()?.place {
            Place::Event { event } => Some(event),
            _ => None,
        }
    }

    pub(super) fn without_outbox(&mut self) {
        if let DataflowPlan::Query(QueryPlan {
            sink: Sink::Stream { store: Some(store), .. } | Sink::Changelog(store),
            ..
        }) = self
        {
            store.outbox = None;
        }
    }
}
