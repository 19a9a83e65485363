//! SHOW, DESCRIBE and EXPLAIN: the catalog as outcomes.

use super::draft::Draft;
use super::outcome::*;
use super::parts::Part;
use super::world::Watcher;
use super::{Measures, Session, properties};
use crate::catalog::{Origin, Query, Source};
use crate::connector::Place;
use crate::error::{Error, Result};
use crate::flow;
use crate::plan::explain::{explain, explain_select};
use crate::plan::keeps::keeps;
use crate::plan::{DataflowPlan, Extension, Relation, SelectPlan, extension};
use crate::sql::ast::{Ident, Literal, Parsed, Show, SourceKind, Statement};
use crate::sql::parse_statement;
use crate::types::SqlType;
use std::collections::BTreeSet;
use std::sync::Arc;

impl Draft<'_> {
    pub(super) fn show(&self, show: &Show, session: &Session) -> Result<Outcome> {
        Ok(match show {
            Show::Streams { all, extended: false } => Outcome::Streams(
                self.shown(SourceKind::Stream, *all).map(|source| self.info(source)).collect(),
            ),
            Show::Tables { all, extended: false } => {
                Outcome::Tables(self.shown(SourceKind::Table, *all).map(|source| self.info(source)).collect())
            }
            Show::Streams { all, extended: true } => {
                Outcome::Sources(self.descriptions(SourceKind::Stream, *all))
            }
            Show::Tables { all, extended: true } => {
                Outcome::Sources(self.descriptions(SourceKind::Table, *all))
            }
            Show::Topics { all, .. } => Outcome::Topics(self.topics(*all)),
            Show::Queries { extended: false } => Outcome::Queries(self.queries()),
            Show::Queries { extended: true } => Outcome::Explanations(self.explanations()),
            Show::Connectors => Outcome::Connectors(self.connectors()),
            Show::Functions => Outcome::Functions(super::functions::all()),
            Show::Properties => Outcome::Properties(properties::list(session)),
            Show::Types => Outcome::Types(self.types()),
            Show::Variables => Outcome::Variables(session.variables.clone().into_iter().collect()),
        })
    }

    fn types(&self) -> Vec<(String, SqlType)> {
        self.world.catalog.types.iter().map(|(name, ty)| (name.clone(), ty.clone())).collect()
    }

    pub(super) fn describe_all(&self, kind: SourceKind) -> Outcome {
        Outcome::Sources(self.descriptions(kind, false))
    }

    /// `all`: the engine's own as well.
    fn shown(&self, kind: SourceKind, all: bool) -> impl Iterator<Item = &Source> {
        self.world.catalog.sources(kind).filter(move |source| all || !source.is_of_the_engine())
    }

    fn descriptions(&self, kind: SourceKind, all: bool) -> Vec<SourceDescription> {
        let measures = self.base.shared.measures();
        self.shown(kind, all).map(|source| self.description(source, &measures, true)).collect()
    }

    fn topics(&self, all: bool) -> Vec<TopicInfo> {
        let mut topics: Vec<TopicInfo> = Vec::new();
        for source in self.shown(SourceKind::Stream, all).chain(self.shown(SourceKind::Table, all)) {
            if topics.iter().any(|t| t.name == source.topic) {
                continue;
            }
            let (connector, place) = self.stored_in(source);
            topics.push(self.topic(source.topic.clone(), (connector, place), source.layout.partitions));
        }
        for (name, place, partitions) in self.unread_topics() {
            if !topics.iter().any(|t| t.name == name) {
                topics.push(self.topic(name, describe_place(&place), partitions));
            }
        }
        topics.sort_by(|a, b| a.name.cmp(&b.name));
        topics
    }

    fn topic(&self, name: String, (connector, place): (String, String), partitions: u32) -> TopicInfo {
        let reads =
            |plan: &&Arc<DataflowPlan>| matches!(plan.as_ref(), DataflowPlan::Source(s) if s.topic == name);
        let consumers = self.world.active.values().filter(reads).count();
        let consumer_groups = self
            .world
            .catalog
            .queries
            .values()
            .filter(|q| q.plan.inputs.iter().any(|input| input.topic == name))
            .count();
        TopicInfo { name, connector, place, partitions, consumers, consumer_groups }
    }

    /// Topics on clusters that statements can name, whether or not one has.
    fn unread_topics(&self) -> Vec<(String, Place, u32)> {
        let mut topics = Vec::new();
        if let Some(cluster) = self.base.topology.default_cluster() {
            // A cluster that is away has none to show; it is said elsewhere that it is.
            let found = self.topics_of(cluster).ok().flatten().unwrap_or_default();
            // Those with two underscores are the cluster's own.
            for (topic, partitions) in found.into_iter().filter(|(name, _)| !name.starts_with("__")) {
                let place = Place::Kafka { cluster: cluster.clone(), topic: topic.clone() };
                topics.push((topic, place, partitions));
            }
        }
        for name in self.base.topology.topics() {
            if let Ok(Place::Kafka { cluster, topic }) = self.topic_place(name, 1)
                && let Ok(Some(partitions)) = self.partitions(&cluster, &topic)
            {
                topics.push((name.to_string(), Place::Kafka { cluster, topic }, partitions));
            }
        }
        topics
    }

    /// How many records a topic on a cluster holds, and in which partitions.
    fn marks(&self, source: &Source) -> Vec<(String, String)> {
        let place = self.place(source).ok().filter(|p| matches!(p, Place::Kafka { .. }));
        let survey = place.and_then(|place| self.survey(&place, false).ok());
        let Some(marks) = survey.and_then(|survey| survey.marks) else { return Vec::new() };
        let records: i64 = marks.iter().map(|(low, high)| high - low).sum();
        let each = marks
            .iter()
            .enumerate()
            .map(|(p, (low, high))| (format!("partition {p}"), format!("{low} … {high}")));
        [("records".to_string(), records.to_string())].into_iter().chain(each).collect()
    }

    /// The connector of a source's topic, and where it is; what is derived may be nowhere.
    fn stored_in(&self, source: &Source) -> (String, String) {
        let stored = self.base.topology.place(&source.topic).is_some()
            || source.origin == Origin::Declared
            || source.name == crate::render::rejects::STREAM;
        let place = if stored { self.place(source).ok() } else { None };
        place.map_or(("memory".to_string(), String::new()), |p| describe_place(&p))
    }

    fn queries(&self) -> Vec<QueryInfo> {
        let measures = self.base.shared.measures();
        let persistent = self.world.queries().map(|q| self.query_info(q, &measures));
        persistent.chain(self.open_answers().map(|(id, watcher)| push_info(id, watcher))).collect()
    }

    fn query_info(&self, query: &Query, measures: &Measures) -> QueryInfo {
        QueryInfo {
            id: query.id.clone(),
            sql: query.sql.clone(),
            sink: Some(query.writes.clone()),
            sink_topic: self.world.catalog.get(&query.writes).map(|s| s.topic.clone()),
            persistent: true,
            state: if query.paused { "PAUSED" } else { "RUNNING" }.into(),
            traffic: measures.of_query(&query.id, |source| {
                query.reads.iter().any(|read| self.world.catalog.feeds(source, read))
            }),
        }
    }

    pub(super) fn describe(&self, name: &Ident, extended: bool) -> Result<Outcome> {
        let source = self.world.catalog.source(name)?;
        let mut description = self.description(source, &self.base.shared.measures(), extended);
        if extended {
            description.statistics.extend(self.marks(source));
        }
        Ok(Outcome::Source(Box::new(description)))
    }

    /// Without what only a cluster could tell.
    fn description(&self, source: &Source, measures: &Measures, extended: bool) -> SourceDescription {
        let mut statistics = Vec::new();
        let traffic = measures.of_source(&source.name);
        if extended {
            let (connector, place) = self.stored_in(source);
            statistics.push(("connector".to_string(), connector));
            statistics.push(("place".to_string(), place));
            statistics.extend(traffic.iter().flat_map(statistics_of));
        }
        SourceDescription {
            info: self.info(source),
            schema: source.schema.clone(),
            timestamp_column: source.timestamp.as_ref().map(|(column, _)| column.clone()),
            partitions: source.layout.partitions,
            statement: source.statement.clone(),
            read_by: self
                .world
                .catalog
                .users_of(&source.name)
                .into_iter()
                .map(|q| self.query_info(q, measures))
                .collect(),
            written_by: self
                .world
                .catalog
                .writers_of(&source.name)
                .filter(|q| !q.reads.is_empty())
                .map(|q| self.query_info(q, measures))
                .collect(),
            statistics,
            traffic,
        }
    }

    pub(super) fn info(&self, source: &Source) -> SourceInfo {
        SourceInfo {
            kind: source.kind,
            name: source.name.clone(),
            topic: source.topic.clone(),
            key_format: source.serialization.key.name().to_string(),
            value_format: source.serialization.value.name().to_string(),
            window: self.window_of(source),
        }
    }

    /// The kind of the windows in a source's keys.
    fn window_of(&self, source: &Source) -> Option<String> {
        source.schema.bounds()?;
        if let Ok(Parsed { statement: Statement::CreateSource { with, .. }, .. }) =
            parse_statement(&source.statement)
        {
            let kind = with.iter().rev().find(|property| property.name.name == "WINDOW_TYPE")?;
            return if let Literal::String(kind) = &kind.value { Some(kind.to_uppercase()) } else { None };
        }
        let catalog = &self.world.catalog;
        catalog.writers_of(&source.name).find_map(|query| match query.plan.select.window() {
            Some(window) => Some(window.kind.name().into()),
            None => {
                query.reads.iter().filter_map(|read| catalog.get(read)).find_map(|read| self.window_of(read))
            }
        })
    }

    pub(super) fn explain_query(&self, id: &Ident, picture: bool) -> Result<Outcome> {
        let is_it = |other: &str| other.eq_ignore_ascii_case(&id.name);
        let persistent = self.world.catalog.queries.values().find(|q| is_it(&q.id));
        let persistent = persistent.map(|query| self.explanation(query, &self.base.shared.measures()));
        let push = || self.open_answers().find(|(id, _)| is_it(id));
        let found = persistent.or_else(|| push().map(|(id, watcher)| self.explain_push(id, watcher)));
        let mut found = found.ok_or_else(|| {
            Error::statement(format!("there is no query {}", id.name))
                .at(id.span)
                .hint("SHOW QUERIES lists what runs")
        })?;
        if picture {
            let kinds = [SourceKind::Stream, SourceKind::Table];
            let sources: Vec<_> = kinds.iter().flat_map(|kind| self.descriptions(*kind, true)).collect();
            let id = found.query.as_ref().map_or("", |query| query.id.as_str());
            found.plan = flow::svg(&flow::around(&sources, id));
        }
        Ok(Outcome::Explanation(Box::new(found)))
    }

    fn explanations(&self) -> Vec<Explanation> {
        let measures = self.base.shared.measures();
        let persistent = self.world.queries().map(|query| self.explanation(query, &measures));
        let push = self.open_answers().map(|(id, watcher)| self.explain_push(id, watcher));
        persistent.chain(push).collect()
    }

    fn explanation(&self, query: &Query, measures: &Measures) -> Explanation {
        let mut parts: Vec<&Query> = self.world.catalog.queries_in(&query.id).collect();
        parts.sort_by_key(|part| part.plan.id);
        let plan = |query: &Query| {
            let names = self.row_names(&query.plan.select, &query.reads);
            explain(&DataflowPlan::Query(query.plan.clone()), &names)
        };
        let all = || parts.iter().copied().chain([query]);
        let lateness = all().filter_map(|query| measures.lateness.get(&query.id));
        let late = lateness.map(|lateness| format!("{lateness}\n")).collect();
        let beyond = extensions(all().map(|query| &query.plan.select), BTreeSet::new());
        Explanation {
            query: Some(self.query_info(query, measures)),
            columns: query.plan.select.columns.clone(),
            window: query.plan.select.window().map(|window| window.kind.name()),
            sources: self.names_read(all()),
            plan: all().map(plan).chain([beyond, late]).collect(),
        }
    }

    /// The streams and tables that statements can name among those that queries read.
    fn names_read<'q>(&self, queries: impl Iterator<Item = &'q Query>) -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        for name in queries.flat_map(|query| &query.reads) {
            let is_part = self.world.catalog.get(name).is_some_and(|source| source.part.is_some());
            if !is_part && !names.contains(name) {
                names.push(name.clone());
            }
        }
        names
    }

    fn explain_push(&self, id: &str, watcher: &Watcher) -> Explanation {
        Explanation {
            query: Some(push_info(id, watcher)),
            ..explain_answer(&watcher.reads, &watcher.select, &watcher.parts, false)
        }
    }

    /// The names of the columns that a SELECT's own stages read.
    pub(super) fn row_names(&self, select: &SelectPlan, reads: &[String]) -> Vec<String> {
        let inputs: Vec<Vec<String>> = reads.iter().map(|name| self.column_names(name)).collect();
        select.from.column_names(&inputs)
    }

    fn column_names(&self, source: &str) -> Vec<String> {
        self.world
            .catalog
            .get(source)
            .map_or(Vec::new(), |s| s.schema.columns.iter().map(|c| c.name.clone()).collect())
    }

    pub(super) fn explain_statement(&mut self, parsed: &Parsed, session: &Session) -> Result<Outcome> {
        let (reads, select) = self.plan_of(parsed, session)?;
        let ends = matches!(&parsed.statement, Statement::Select(query) if query.emit.is_none());
        Ok(Outcome::Explanation(Box::new(explain_answer(&reads, &select, &self.parts, ends))))
    }
}

/// A SELECT whose rows go to whoever asked, below the queries inside it.
fn explain_answer(reads: &[Source], select: &SelectPlan, parts: &[Part], ends: bool) -> Explanation {
    let mut plan = String::new();
    for Part { source, writers, .. } in parts {
        for writer in writers {
            let stages = indent(&explain_stages(&writer.reads, &writer.select, ends, false));
            plan.push_str(&format!("query {}\n{stages}", source.shown()));
        }
    }
    plan.push_str(&explain_stages(reads, select, ends, true));
    let selects = parts.iter().flat_map(|part| &part.writers).map(|writer| &writer.select).chain([select]);
    let of_answer = if ends { extension::of_answer(select) } else { BTreeSet::new() };
    plan.push_str(&extensions(selects, of_answer));
    let of_parts = parts.iter().flat_map(|part| &part.writers).flat_map(|writer| &writer.reads);
    let mut sources: Vec<String> = Vec::new();
    for source in of_parts.chain(reads).filter(|source| source.part.is_none()) {
        if !sources.contains(&source.name) {
            sources.push(source.name.clone());
        }
    }
    let window = select.window().map(|window| window.kind.name());
    Explanation { query: None, columns: select.columns.clone(), window, sources, plan }
}

/// The line that names what of a query ksqlDB does not have; empty where it has all.
fn extensions<'s>(selects: impl Iterator<Item = &'s SelectPlan>, more: BTreeSet<Extension>) -> String {
    let all: BTreeSet<Extension> = selects.flat_map(|select| select.extensions.clone()).chain(more).collect();
    let all: Vec<String> = all.iter().map(Extension::to_string).collect();
    if all.is_empty() { String::new() } else { format!("not in ksqlDB: {}\n", all.join(", ")) }
}

/// `is_sent`: to the client that asked; else it is what a SELECT inside the query makes.
fn explain_stages(reads: &[Source], select: &SelectPlan, ends: bool, is_sent: bool) -> String {
    let mut plan = String::new();
    for source in reads {
        let kind = super::outcome::word(source.kind).to_lowercase();
        plan.push_str(&format!("read {kind} {}\n", source.shown()));
    }
    let names = |source: &Source| source.schema.columns.iter().map(|column| column.name.clone()).collect();
    let inputs: Vec<Vec<String>> = reads.iter().map(names).collect();
    explain_select(select, &select.from.column_names(&inputs), &mut plan);
    let of_table = match &select.from {
        Relation::Scan(input) => reads[*input].kind == SourceKind::Table,
        Relation::Join(join) => join.is_table(),
    };
    if !ends {
        keeps(select, of_table, is_sent).iter().for_each(|what| plan.push_str(&format!("  keep {what}\n")));
    }
    plan
}

pub(super) fn indent(text: &str) -> String {
    text.lines().map(|l| format!("  {l}\n")).collect()
}

fn push_info(id: &str, watcher: &Watcher) -> QueryInfo {
    QueryInfo {
        id: id.into(),
        sql: watcher.sql.clone(),
        sink: None,
        sink_topic: None,
        persistent: false,
        state: "RUNNING".into(),
        traffic: None,
    }
}

fn statistics_of(traffic: &Traffic) -> Vec<(String, String)> {
    let all = [
        ("records read", Some(traffic.rows.to_string())),
        ("records rejected", Some(traffic.rejected.to_string())),
        ("records a second", Some(traffic.rate.to_string())),
        ("lag in records", traffic.lag.records.map(|records| records.to_string())),
        ("lag in bytes", traffic.lag.bytes.map(|bytes| bytes.to_string())),
        ("lag in seconds", traffic.lag_seconds.map(|seconds| seconds.to_string())),
    ];
    all.into_iter().filter_map(|(name, value)| Some((name.to_string(), value?))).collect()
}

fn describe_place(place: &Place) -> (String, String) {
    match place {
        Place::File { path, .. } => ("file".into(), path.display().to_string()),
        Place::Log { dir, .. } => ("log".into(), dir.display().to_string()),
        Place::Memory { .. } => ("memory".into(), String::new()),
        Place::Generator(spec) => ("generator".into(), spec.feed.clone()),
        Place::Stdin { .. } => ("stdin".into(), String::new()),
        Place::Kafka { cluster, topic } => ("kafka".into(), format!("topic {topic} on {cluster}")),
        Place::Event { event } => ("event".into(), event.clone()),
        Place::Archive { shelf, event } => ("archive".into(), format!("{shelf}/{event}")),
        Place::Blackhole => ("blackhole".into(), String::new()),
    }
}
