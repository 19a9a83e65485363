//! Where queries read: shared readers of topics, tables, and the past derived once more.

use super::declared::timestamp_expr;
use super::draft::Draft;
use super::local::{self, Way};
use super::parts::{Part, Writer};
use crate::catalog::{Origin, Query, Source};
use crate::connector::{Place, Start, Survey};
use crate::error::{Error, Result};
use crate::plan::{
    DataflowId, DataflowPlan, HubId, Input, QueryInput, QueryPlan, Relation, SelectPlan, SourcePlan, TableId,
};
use crate::render::{books, rejects};
use crate::sql::ast::SourceKind;

impl Draft<'_> {
    /// What a query that reads `source` is connected to; plans that it needs for that are added.
    pub(super) fn input(
        &mut self,
        source: &Source,
        start: Start,
        plans: &mut Vec<DataflowPlan>,
        private: &mut Vec<DataflowId>,
    ) -> Result<Input> {
        if source.kind == SourceKind::Table {
            return Ok(Input::Table(self.table_of(source)?));
        }
        // Before the script begins everything starts at the same place, and a query's parts always start with it.
        let late = self.planning.as_ref().is_some_and(|planning| planning.recorded.late);
        let own = self.part_named(&source.name).is_some();
        let past = start == Start::Earliest && (self.world.begun && !own || late);
        if let Some(hub) = self.world.catalog.hubs.get(&source.name).copied() {
            if past {
                return Ok(Input::Hub(self.derive_again(source, plans, private)?));
            }
            if source.origin == Origin::Declared {
                self.read_into(source, hub, start, plans)?;
            }
            return Ok(Input::Hub(hub));
        }
        let shared = self.known_reader(source, start);
        // An answer's reader goes with it; a query shares one that begins with it.
        let alone = self.planning.is_none() && shared.is_none();
        if alone || past && (late || self.world.readers.contains_key(&(source.name.clone(), Start::Earliest)))
        {
            if past {
                local::replayable(&self.place(source)?)?;
            }
            let key = self.private_key(source);
            let plan = self.source_plan(source, start, key)?;
            let hub = plan.hub;
            self.read_privately(source, plan, plans, private)?;
            return Ok(Input::Hub(hub));
        }
        Ok(Input::Hub(self.read_topic(source, start, plans)?.1))
    }

    /// The same for all that a query reads.
    pub(super) fn inputs(
        &mut self,
        (sources, relation): (&[Source], &Relation),
        start: Start,
        plans: &mut Vec<DataflowPlan>,
        private: &mut Vec<DataflowId>,
    ) -> Result<Vec<QueryInput>> {
        let looked_up = relation.looked_up();
        let each = sources.iter().enumerate().map(|(i, source)| {
            let from = match looked_up.contains(&i) {
                true => self.looked_up(source, plans, private)?,
                false => self.input(source, start, plans, private)?,
            };
            let feeds = match from {
                Input::Hub(_) => self.world.catalog.feeds_of(&source.name),
                Input::Table(_) => Vec::new(),
            };
            Ok(QueryInput { feeds, ..source.input(from) })
        });
        each.collect()
    }

    /// A table that rows of a stream look up: as its records, where they can be read, since those have an
    /// order with the stream's; else as its changes.
    fn looked_up(
        &mut self,
        source: &Source,
        plans: &mut Vec<DataflowPlan>,
        private: &mut Vec<DataflowId>,
    ) -> Result<Input> {
        if source.origin != Origin::Declared {
            return Ok(Input::Table(self.table_of(source)?));
        }
        let late = self.planning.as_ref().is_some_and(|planning| planning.recorded.late);
        if !self.world.begun && !late {
            return Ok(Input::Hub(self.read_topic(source, Start::Earliest, plans)?.1));
        }
        if local::replayable(&self.place(source)?).is_err() {
            return Ok(Input::Table(self.table_of(source)?));
        }
        let key = self.private_key(source);
        let plan = self.source_plan(source, Start::Earliest, key)?;
        let hub = plan.hub;
        self.read_privately(source, plan, plans, private)?;
        Ok(Input::Hub(hub))
    }

    pub(super) fn table_of(&self, source: &Source) -> Result<TableId> {
        self.world
            .catalog
            .tables
            .get(&source.name)
            .copied()
            .ok_or_else(|| Error::statement(format!("table {} is not maintained", source.name)))
    }

    /// The shared reader of a declared stream's topic.
    pub(super) fn read_topic(
        &mut self,
        source: &Source,
        start: Start,
        plans: &mut Vec<DataflowPlan>,
    ) -> Result<(DataflowId, HubId)> {
        if let Some(known) = self.known_reader(source, start) {
            return Ok(known);
        }
        let hub = self.world.id();
        self.share_reader(source, hub, start, plans)
    }

    /// A reader that can be shared by who starts to read there now.
    fn known_reader(&self, source: &Source, start: Start) -> Option<(DataflowId, HubId)> {
        let any = [Start::Latest, Start::Earliest].map(|s| (source.name.clone(), s));
        match (start, self.world.begun) {
            (Start::Latest, true) => any.iter().find_map(|k| self.world.readers.get(k)).copied(),
            _ => self.world.readers.get(&(source.name.clone(), start)).copied(),
        }
    }

    /// What stands for a declared stream's topic where queries write it: one for all of them.
    pub(super) fn output(&mut self, target: &Source) -> HubId {
        let new = self.world.id();
        *self.world.catalog.outputs.entry(target.name.clone()).or_insert(new)
    }

    fn share_reader(
        &mut self,
        source: &Source,
        hub: HubId,
        start: Start,
        plans: &mut Vec<DataflowPlan>,
    ) -> Result<(DataflowId, HubId)> {
        let key = self.shared_key(source, start)?;
        let plan = SourcePlan { hub, ..self.source_plan(source, start, key)? };
        let reader = (plan.id, hub);
        self.world.readers.insert((source.name.clone(), start), reader);
        plans.extend(self.share_mended(source, &plan)?.map(DataflowPlan::Source));
        plans.extend(self.readers_beside(source, &plan).into_iter().map(DataflowPlan::Source));
        plans.push(DataflowPlan::Source(plan));
        Ok(reader)
    }

    /// Sees to it that a declared stream that queries write gets the rows of its topic as well.
    fn read_into(
        &mut self,
        source: &Source,
        hub: HubId,
        start: Start,
        plans: &mut Vec<DataflowPlan>,
    ) -> Result<()> {
        if self.shared_readers(&source.name).next().is_some() {
            return Ok(());
        }
        self.share_reader(source, hub, start, plans).map(drop)
    }

    pub(super) fn shared_readers(&self, stream: &str) -> impl Iterator<Item = (Start, HubId)> {
        self.world
            .readers
            .iter()
            .filter(move |((name, _), _)| name == stream)
            .map(|((_, s), (_, hub))| (*s, *hub))
    }

    /// The hub that queries write a stream's rows into: where its readers read, if there are any.
    pub(super) fn hub_to_write(&mut self, target: &Source) -> Result<HubId> {
        if let Some(hub) = self.world.catalog.hubs.get(&target.name) {
            return Ok(*hub);
        }
        let readers: Vec<HubId> = self.shared_readers(&target.name).map(|(_, hub)| hub).collect();
        match readers[..] {
            [] => Ok(self.world.id()),
            [hub] => Ok(hub),
            _ => Err(Error::statement(format!(
                "{} is read both from earliest and from latest, so a query cannot write it as well",
                target.name
            ))
            .hint("insert into it before queries read it, or use CREATE STREAM … AS SELECT")),
        }
    }

    pub(super) fn source_plan(&mut self, source: &Source, start: Start, key: String) -> Result<SourcePlan> {
        let plan = SourcePlan {
            id: self.world.id(),
            key,
            hub: self.world.id(),
            source: source.name.clone(),
            ordinal: source.ordinal,
            topic: source.topic.clone(),
            place: self.place(source)?.framed_for(source.serialization.value.delimiter()),
            survey: Survey::default(),
            start,
            bounded: self.base.once || self.for_answer.is_some(),
            for_answer: self.for_answer.clone(),
            behind: Vec::new(),
            serialization: source.serialization,
            schema: source.schema.clone(),
            own: source.schemas.value.taken.clone(),
            timestamp: timestamp_expr(source)?,
            times: source.times,
        };
        Ok(self.of_first_place(source, plan))
    }

    /// Where a source's topic lives, or its first event; without a place of its own it is a log in the data
    /// directory.
    pub(super) fn place(&self, source: &Source) -> Result<Place> {
        if let Some(event) = source.events.first() {
            return Ok(event.reads[0].0.clone());
        }
        self.topic_place(&source.topic, source.layout.partitions)
    }

    pub(super) fn topic_place(&self, topic: &str, partitions: u32) -> Result<Place> {
        if [rejects::TOPIC, books::TOPIC].contains(&topic) {
            return Ok(Place::Log { dir: self.base.data_dir.join("topics").join(topic), partitions });
        }
        let place = self.base.topology.resolve(topic, &self.base.data_dir, partitions);
        Ok(place
            .unwrap_or_else(|| Place::Log { dir: self.base.data_dir.join("topics").join(topic), partitions }))
    }

    /// Derives a stream once more, from the start of its sources, for a query that came late.
    pub(super) fn derive_again(
        &mut self,
        source: &Source,
        plans: &mut Vec<DataflowPlan>,
        private: &mut Vec<DataflowId>,
    ) -> Result<HubId> {
        let hub = self.world.id();
        if source.origin == Origin::Declared {
            let key = self.private_key(source);
            let plan = SourcePlan { hub, ..self.source_plan(source, Start::Earliest, key)? };
            local::replayable(&plan.place)?;
            self.read_privately(source, plan, plans, private)?;
        }
        let writers: Vec<Query> = self.world.catalog.writers_of(&source.name).cloned().collect();
        for writer in writers {
            let reads = self.read_by(&writer);
            let inputs = self.inputs((&reads, &writer.plan.select.from), Start::Earliest, plans, private)?;
            let plan = QueryPlan { inputs, ..writer.plan.again(self.world.id(), hub) };
            private.push(plan.id);
            plans.push(DataflowPlan::Query(plan));
        }
        Ok(hub)
    }

    /// The sources that a query reads.
    fn read_by(&self, query: &Query) -> Vec<Source> {
        let source =
            |name: &String| self.world.catalog.get(name).expect("what is read cannot be dropped").clone();
        query.reads.iter().map(source).collect()
    }

    /// Whether a stream's past can be read by one thread: nothing on the way to it is joined.
    pub(super) fn is_linear(&self, source: &Source) -> bool {
        if let Some(part) = self.part_named(&source.name) {
            let is_linear =
                |w: &Writer| w.select.from.is_scan() && w.reads.iter().all(|read| self.is_linear(read));
            return part.writers.iter().all(is_linear);
        }
        self.world.catalog.writers_of(&source.name).all(|writer| {
            writer.plan.select.from.is_scan() && self.read_by(writer).iter().all(|read| self.is_linear(read))
        })
    }

    /// All ways on which rows come into a stream, with what they pass.
    pub(super) fn ways(&mut self, source: &Source) -> Result<Vec<Way>> {
        if let Some(Part { writers, .. }) = self.part_named(&source.name).cloned() {
            let mut ways = Vec::new();
            for Writer { reads, select, .. } in &writers {
                ways.extend(self.ways_through(reads, select)?);
            }
            return Ok(ways);
        }
        if !self.world.catalog.hubs.contains_key(&source.name) || source.origin == Origin::System {
            return self.own_ways(source);
        }
        let mut ways = Vec::new();
        if source.origin == Origin::Declared {
            ways.extend(self.own_ways(source)?);
        }
        let writers: Vec<Query> = self.world.catalog.writers_of(&source.name).cloned().collect();
        for writer in writers {
            let reads = self.read_by(&writer);
            ways.extend(self.ways_through(&reads, &writer.plan.select)?);
        }
        Ok(ways)
    }

    /// The ways of what a query reads, each with what the query makes of the rows.
    fn ways_through(&mut self, reads: &[Source], select: &SelectPlan) -> Result<Vec<Way>> {
        let mut ways = Vec::new();
        for read in reads {
            for mut way in self.ways(read)? {
                way.through.push(select.clone());
                ways.push(way);
            }
        }
        Ok(ways)
    }

    /// From its topic, and from what was mended of it.
    fn own_ways(&mut self, source: &Source) -> Result<Vec<Way>> {
        let way = self.way(source)?;
        let mended = self.mended_plan(source, &way.source)?;
        let mended = mended.map(|source| Way { source, through: Vec::new(), first: false });
        let beside = self.readers_beside(source, &way.source).into_iter();
        let beside = beside.map(|source| Way { source, through: Vec::new(), first: way.first });
        let beside: Vec<Way> = beside.collect();
        Ok([way].into_iter().chain(mended).chain(beside).collect())
    }

    /// Adds a reader of a query's own, with one of what was mended.
    fn read_privately(
        &mut self,
        source: &Source,
        plan: SourcePlan,
        plans: &mut Vec<DataflowPlan>,
        private: &mut Vec<DataflowId>,
    ) -> Result<()> {
        let mended = self.mended_plan(source, &plan)?;
        let beside = self.readers_beside(source, &plan);
        for plan in [plan].into_iter().chain(mended).chain(beside) {
            private.push(plan.id);
            plans.push(DataflowPlan::Source(plan));
        }
        Ok(())
    }

    fn way(&mut self, source: &Source) -> Result<Way> {
        let plan = self.source_plan(source, Start::Earliest, String::new())?;
        local::replayable(&plan.place)?;
        let read = self.world.readers.contains_key(&(source.name.clone(), Start::Earliest));
        let first = !read && source.origin != Origin::System;
        Ok(Way { source: plan, through: Vec::new(), first })
    }
}
