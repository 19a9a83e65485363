//! Statements → catalog entries and plans; the one place that changes the catalog.
//!
//! Until [`Coordinator::begin`] plans are collected, so that a script either starts whole, all of it
//! at one tick, or not at all. After that each statement is sent to the workers at once.

use super::local::{self, Until, Way};
use super::outcome::{Outcome, Status};
use super::shared::{Command, PeekReply, Shared};
use super::{Answer, AnswerEvent, AnswerKind, BOOKS_HUB, BOOKS_QUERY, BOOKS_TABLE, Session};
use crate::aggregate::{self, Key, Spec};
use crate::catalog::{Catalog, Origin, Query, Source, With};
use crate::connector::log::{LogOptions, LogWriter};
use crate::connector::{self, Place, Start, Survey};
use crate::error::{Error, Result};
use crate::expr::{Scope, bind, coerce};
use crate::expr::compile::compile;
use crate::expr::{Expr, ExprKind, Notes};
use crate::format::{Encoded, Format, Serialization, decoder, encoder};
use crate::partition::partition_of;
use crate::plan::select::{self, bind_select};
use crate::plan::{
    Aggregation, Call, DataflowId, DataflowPlan, HubId, Input, QueryPlan, SelectPlan, Shape, Sink, SourcePlan,
    StorePlan, Strategy, TableId,
};
use crate::render::context::now_ms;
use crate::render::{books, derive, rejects};
use crate::sql::ast::{self, BinaryOp, ColumnSpec, Ident, KeySpec, Parsed, SourceKind, Statement};
use crate::topology::Topology;
use crate::types::{ColumnDef, Schema, SqlType};
use crate::value::{Value, encode_row};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::sync::mpsc;

pub struct Coordinator {
    shared: Arc<Shared>,
    pub(super) topology: Topology,
    pub(super) data_dir: PathBuf,
    once: bool,
    pub(super) catalog: Catalog,
    begun: bool,
    /// Plans that wait for `begin`.
    waiting: Vec<DataflowPlan>,
    /// All that runs.
    active: BTreeMap<DataflowId, DataflowPlan>,
    wanted: BTreeMap<HubId, Vec<bool>>,
    /// Readers of declared streams' topics that queries share.
    readers: BTreeMap<(String, Start), (DataflowId, HubId)>,
    /// Answers that are open: id and text.
    pub(super) answers: BTreeMap<String, String>,
    next_id: u64,
    peeks: u64,
    /// Writers of logs that rows are inserted into.
    logs: BTreeMap<String, LogWriter>,
}

impl Coordinator {
    pub fn new(shared: Arc<Shared>, topology: Topology, data_dir: PathBuf, once: bool) -> Coordinator {
        let mut coordinator = Coordinator {
            shared,
            topology,
            data_dir,
            once,
            catalog: Catalog::default(),
            begun: false,
            waiting: Vec::new(),
            active: BTreeMap::new(),
            wanted: BTreeMap::new(),
            readers: BTreeMap::new(),
            answers: BTreeMap::new(),
            next_id: BOOKS_QUERY + 1,
            peeks: 0,
            logs: BTreeMap::new(),
        };
        coordinator.declare_system();
        coordinator
    }

    fn id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    pub fn execute(&mut self, parsed: &Parsed, session: &mut Session) -> Result<Outcome> {
        match &parsed.statement {
            Statement::CreateSource { .. } => self.create_source(parsed, session),
            Statement::CreateAs { .. } => self.create_as(parsed, session),
            Statement::InsertSelect { target, with, query } => self.insert_select(parsed, target, with, query, session),
            Statement::InsertValues { target, columns, values } => self.insert_values(target, columns.as_deref(), values),
            Statement::Select(query) => Ok(Outcome::Answer(self.select(parsed, query, session)?)),
            Statement::Set { property, value } => set(session, property, Some(value)),
            Statement::Unset { property } => set(session, property, None),
            Statement::Show(show) => Ok(self.show(show, session)),
            Statement::Describe { name, extended } => self.describe(name, *extended),
            Statement::DescribeFunction { name } => super::describe::function(name),
            Statement::ExplainStatement(inner) => self.explain_statement(inner, session),
            Statement::ExplainQuery { id } => self.explain_query(id),
            Statement::Print { topic, from_beginning, interval, limit } => {
                Ok(Outcome::Answer(self.print(topic, *from_beginning, interval.unwrap_or(1), *limit)?))
            }
            Statement::Terminate { id } => self.terminate(id.as_ref()),
            Statement::Drop { kind, if_exists, name, delete_topic } => self.drop(*kind, *if_exists, name, *delete_topic),
        }
    }

    // ---- installing ----

    /// Installs what the script asked for, all at one tick.
    pub fn begin(&mut self) -> Result<()> {
        if !self.begun {
            self.begun = true;
            let plans = std::mem::take(&mut self.waiting);
            self.send(plans)?;
        }
        Ok(())
    }

    fn install(&mut self, plans: Vec<DataflowPlan>) -> Result<()> {
        if self.begun {
            return self.send(plans);
        }
        self.waiting.extend(plans);
        Ok(())
    }

    fn send(&mut self, mut plans: Vec<DataflowPlan>) -> Result<()> {
        for plan in &mut plans {
            if let DataflowPlan::Source(source) = plan {
                source.survey = connector::survey(&source.place)
                    .map_err(|e| e.hint(format!("topic {} is read by {}; see the topology", source.topic, source.source)))?;
            }
        }
        self.active.extend(plans.iter().map(|p| (p.id(), p.clone())));
        let wanted = self.changed_wants();
        self.shared.command(Command::Install { plans, wanted, started_ms: now_ms() });
        Ok(())
    }

    /// Which columns each hub's readers read, where that changed: found from the sinks backwards.
    fn changed_wants(&mut self) -> Vec<(HubId, Vec<bool>)> {
        let queries: Vec<&QueryPlan> =
            self.active.values().filter_map(|p| if let DataflowPlan::Query(q) = p { Some(q) } else { None }).collect();
        let mut wanted: BTreeMap<HubId, Vec<bool>> = BTreeMap::new();
        for plan in self.active.values() {
            match plan {
                DataflowPlan::Source(s) => wanted.insert(s.hub, vec![false; s.schema.len()]),
                DataflowPlan::Query(QueryPlan { sink: Sink::Stream { hub, .. }, select, .. }) => {
                    wanted.insert(*hub, vec![false; select.columns.len()])
                }
                DataflowPlan::Query(_) => None,
            };
        }
        loop {
            let mut changed = false;
            for query in &queries {
                let Input::Hub(hub) = query.input else { continue };
                let output = match &query.sink {
                    Sink::Stream { hub, store: None } => wanted.get(hub).cloned(),
                    _ => None,
                };
                let reads = query.select.reads(query.input_columns, output.as_deref());
                if let Some(hub) = wanted.get_mut(&hub) {
                    for (wanted, reads) in hub.iter_mut().zip(reads).filter(|(w, r)| *r && !**w) {
                        *wanted = reads;
                        changed = true;
                    }
                }
            }
            if !changed {
                break;
            }
        }
        let changed = wanted.iter().filter(|(hub, w)| self.wanted.get(hub) != Some(w)).map(|(h, w)| (*h, w.clone())).collect();
        self.wanted = wanted;
        changed
    }

    fn uninstall(&mut self, dataflows: Vec<DataflowId>, tables: Vec<TableId>) {
        for id in &dataflows {
            self.active.remove(id);
            self.readers.retain(|_, (reader, _)| reader != id);
        }
        if self.begun {
            self.shared.command(Command::Drop { dataflows, tables });
        } else {
            self.waiting.retain(|plan| !dataflows.contains(&plan.id()));
        }
    }

    // ---- what the engine declares itself ----

    fn declare_system(&mut self) {
        let json = Serialization { key: Format::None, value: Format::Json { wrap_single: true }, changelog: false };
        let ordinal = self.catalog.next_ordinal();
        let system = |kind, name: &str, schema, topic: &str| Source {
            kind,
            name: name.into(),
            schema,
            topic: topic.into(),
            serialization: json,
            timestamp: None,
            partitions: 1,
            ordinal,
            statement: String::new(),
            origin: Origin::System,
        };
        self.catalog.insert(system(SourceKind::Stream, rejects::STREAM, rejects::schema(), rejects::TOPIC));
        let plan = books_query();
        self.catalog.insert(system(SourceKind::Table, "WHARFE_BOOKS", plan.select.schema(), books::TOPIC));
        self.catalog.tables.insert("WHARFE_BOOKS".into(), BOOKS_TABLE);
        self.waiting.push(DataflowPlan::Query(plan));
    }

    // ---- CREATE STREAM | TABLE (columns) ----

    fn create_source(&mut self, parsed: &Parsed, session: &Session) -> Result<Outcome> {
        let Statement::CreateSource { kind, or_replace, if_not_exists, name, columns, with } = &parsed.statement else {
            unreachable!("the caller matched it")
        };
        if let Some(status) = self.already_there(*kind, name, *or_replace, *if_not_exists)? {
            return Ok(status);
        }
        let with = With::parse(with)?;
        let schema = declared_schema(*kind, name, columns)?;
        let topic = with.topic.clone().ok_or_else(|| {
            Error::statement(format!("{} {} needs a topic", word(*kind), name.name)).at(name.span).hint("WITH (KAFKA_TOPIC='…', VALUE_FORMAT='…')")
        })?;
        let value = with.value_format.map(|f| f.0).or(default_format(session)?).ok_or_else(|| {
            Error::statement(format!("{} {} needs a VALUE_FORMAT", word(*kind), name.name)).at(name.span).hint("formats: DELIMITED, JSON, KAFKA")
        })?;
        let key = with.key_format.map_or(default_key_format(&schema), |f| f.0);
        let serialization = Serialization { key, value, changelog: *kind == SourceKind::Table };
        decoder(&serialization, &schema).map_err(|e| e.at(with.value_format.map_or(name.span, |f| f.1)))?;
        let source = Source {
            kind: *kind,
            name: name.name.clone(),
            schema,
            topic,
            serialization,
            timestamp: with.timestamp.as_ref().map(|(column, _)| (column.clone(), with.timestamp_format.clone())),
            partitions: with.partitions.unwrap_or(1),
            ordinal: self.catalog.next_ordinal(),
            statement: parsed.text.clone(),
            origin: Origin::Declared,
        };
        if let Some((_, span)) = &with.timestamp {
            timestamp_expr(&source).map_err(|e| e.at(*span))?;
        }
        // The place must make sense before anything starts.
        self.place(&source)?;
        self.catalog.insert(source);
        if *kind == SourceKind::Table {
            self.maintain(&name.name.clone(), &parsed.text)?;
        }
        Ok(created(*kind, &name.name, None))
    }

    fn already_there(&mut self, kind: SourceKind, name: &Ident, or_replace: bool, if_not_exists: bool) -> Result<Option<Outcome>> {
        let Some(existing) = self.catalog.get(&name.name) else { return Ok(None) };
        if if_not_exists {
            let message = format!("{} {} exists already; nothing was done", word(existing.kind), name.name);
            return Ok(Some(status(message, kind, &name.name, "create", None)));
        }
        let existing = existing.clone();
        if !or_replace {
            return Err(Error::statement(format!("{} {} exists already", word(existing.kind), name.name))
                .at(name.span)
                .hint("DROP it first, or CREATE OR REPLACE"));
        }
        if existing.origin == Origin::System || existing.kind != kind {
            return Err(Error::statement(format!("{} {} cannot be replaced", word(existing.kind), name.name)).at(name.span));
        }
        self.remove(&existing, name)?;
        Ok(None)
    }

    /// Keeps a declared table up to date from its topic: the latest row of each key.
    fn maintain(&mut self, name: &str, sql: &str) -> Result<()> {
        let source = self.catalog.get(name).expect("it was just declared").clone();
        let mut plans = Vec::new();
        let (reader, hub) = self.read_topic(&source, Start::Earliest, &mut plans)?;
        let keys = source.schema.key_len();
        let column = |(i, c): (usize, &ColumnDef)| Expr { kind: ExprKind::Column(i), ty: c.ty.clone() };
        let all: Vec<Expr> = source.schema.columns.iter().enumerate().map(column).collect();
        let call = Call {
            text: "latest row".into(),
            spec: Spec::LatestRow { columns: all.len() - keys },
            args: all[keys..].to_vec(),
            returns: SqlType::Boolean,
        };
        let aggregation = Aggregation { keys: all[..keys].to_vec(), calls: vec![call], having: None, post: all };
        let table = self.id();
        let plan = QueryPlan {
            id: self.id(),
            query: format!("TABLE_{name}"),
            source: name.into(),
            topic: source.topic.clone(),
            input: Input::Hub(hub),
            input_columns: source.schema.len(),
            select: SelectPlan {
                columns: source.schema.columns.clone(),
                filter: None,
                shape: Shape::Aggregate(aggregation),
                order_by: Vec::new(),
                limit: None,
            },
            sink: Sink::Table { table, strategy: Strategy::Monoid },
        };
        let query = Query {
            id: plan.query.clone(),
            sql: sql.into(),
            reads: String::new(),
            writes: name.into(),
            dataflows: vec![plan.id, reader],
            plan: plan.clone(),
        };
        plans.push(DataflowPlan::Query(plan));
        self.catalog.tables.insert(name.into(), table);
        self.catalog.queries.insert(query.id.clone(), query);
        self.install(plans)
    }

    // ---- CREATE … AS, INSERT INTO … SELECT ----

    fn create_as(&mut self, parsed: &Parsed, session: &Session) -> Result<Outcome> {
        let Statement::CreateAs { kind, or_replace, if_not_exists, name, with, query } = &parsed.statement else {
            unreachable!("the caller matched it")
        };
        if let Some(existing) = self.already_there(*kind, name, *or_replace, *if_not_exists)? {
            return Ok(existing);
        }
        let with = With::parse(with)?;
        let source = self.catalog.source(&query.from)?.clone();
        let select = self.bind(query, &source)?.keys_first();
        check_persistent(query)?;
        check_shape(*kind, &source, &select, query)?;
        let target = Source {
            kind: *kind,
            name: name.name.clone(),
            schema: select.schema(),
            topic: with.topic.clone().unwrap_or_else(|| name.name.clone()),
            serialization: derived_serialization(&with, &source, &select.schema(), *kind, name)?,
            timestamp: with.timestamp.as_ref().map(|(column, _)| (column.clone(), with.timestamp_format.clone())),
            partitions: with.partitions.unwrap_or(source.partitions),
            ordinal: self.catalog.next_ordinal(),
            statement: parsed.text.clone(),
            origin: Origin::Derived(String::new()),
        };
        let prefix = if *kind == SourceKind::Stream { "CSAS" } else { "CTAS" };
        let id = self.catalog.next_query_id(&format!("{prefix}_{}", name.name));
        let target = Source { origin: Origin::Derived(id.clone()), ..target };
        self.start(&id, &parsed.text, &source, target, select, session)?;
        Ok(created(*kind, &name.name, Some(id)))
    }

    fn insert_select(
        &mut self,
        parsed: &Parsed,
        target: &Ident,
        with: &[ast::Property],
        query: &ast::Query,
        session: &Session,
    ) -> Result<Outcome> {
        let with = With::parse(with)?;
        let sink = self.catalog.source(target)?.clone();
        if sink.kind == SourceKind::Table || sink.origin == Origin::System {
            return Err(Error::statement(format!("INSERT INTO … SELECT writes streams; {} is not one to write", sink.name)).at(target.span));
        }
        let source = self.catalog.source(&query.from)?.clone();
        if self.catalog.feeds(&sink.name, &source.name) {
            return Err(Error::statement(format!("{} is fed by {}: the rows would go round for ever", source.name, sink.name))
                .at(query.from.span)
                .hint("insert into another stream"));
        }
        let select = self.bind(query, &source)?.keys_first();
        check_persistent(query)?;
        check_shape(SourceKind::Stream, &source, &select, query)?;
        let select = fit(select, &sink, query)?;
        let id = match with.query_id {
            Some(id) if self.catalog.queries.contains_key(&id) => {
                return Err(Error::statement(format!("there is a query {id} already")).at(parsed.span));
            }
            Some(id) => id,
            None => self.catalog.next_query_id("INSERTQUERY"),
        };
        self.start(&id, &parsed.text, &source, sink, select, session)?;
        let message = format!("Created query with ID {id}");
        Ok(status(message, SourceKind::Stream, &target.name, "create", Some(id)))
    }

    fn bind(&self, query: &ast::Query, source: &Source) -> Result<SelectPlan> {
        bind_select(query, &select::Source { name: &source.name, kind: source.kind, schema: &source.schema })
    }

    /// Plans and installs a persistent query.
    fn start(&mut self, id: &str, sql: &str, source: &Source, target: Source, select: SelectPlan, session: &Session) -> Result<()> {
        let mut plans = Vec::new();
        let mut dataflows = Vec::new();
        let input = self.input(source, start_of(session, self.begun)?, &mut plans, &mut dataflows)?;
        let sink = self.sink(source, &target, &select)?;
        let plan = QueryPlan {
            id: self.id(),
            query: id.into(),
            source: source.name.clone(),
            topic: source.topic.clone(),
            input,
            input_columns: source.schema.len(),
            select,
            sink,
        };
        check_compiles(&plan.select)?;
        dataflows.insert(0, plan.id);
        match plan.sink {
            Sink::Table { table, .. } => drop(self.catalog.tables.insert(target.name.clone(), table)),
            Sink::Stream { hub, .. } => drop(self.catalog.hubs.insert(target.name.clone(), hub)),
            Sink::Answer { .. } => unreachable!("a persistent query writes a stream or a table"),
        }
        let query = Query {
            id: id.into(),
            sql: sql.into(),
            reads: source.name.clone(),
            writes: target.name.clone(),
            plan: plan.clone(),
            dataflows,
        };
        self.catalog.queries.insert(id.into(), query);
        self.catalog.insert(target);
        plans.push(DataflowPlan::Query(plan));
        self.install(plans)
    }

    fn sink(&mut self, source: &Source, target: &Source, select: &SelectPlan) -> Result<Sink> {
        if target.kind == SourceKind::Table {
            let strategy = match (&select.shape, source.kind) {
                (Shape::Aggregate(_), SourceKind::Stream) => Strategy::Monoid,
                (Shape::Aggregate(_), SourceKind::Table) => Strategy::Retractable,
                (Shape::Project(_), _) => Strategy::Project,
            };
            return Ok(Sink::Table { table: self.id(), strategy });
        }
        let hub = match self.catalog.hubs.get(&target.name) {
            Some(hub) => *hub,
            None => self.id(),
        };
        let place = self.topology.resolve(&target.topic, &self.data_dir, target.partitions);
        let store = match place {
            None => None,
            Some(place @ Place::Log { .. }) => {
                encoder(&target.serialization, &target.schema)?;
                // What is derived is derived anew at each start.
                if !self.catalog.hubs.contains_key(&target.name) && target.origin != Origin::Declared {
                    if let Place::Log { dir, .. } = &place {
                        clear(dir)?;
                    }
                }
                Some(StorePlan {
                    topic: target.topic.clone(),
                    place,
                    partitions: target.partitions,
                    serialization: target.serialization,
                    schema: target.schema.clone(),
                })
            }
            Some(_) => {
                return Err(Error::topology(format!("topic {} is written by a query, so its connector must be \"log\"", target.topic))
                    .hint("change it in the topology, or leave the topic out: then it is not stored"));
            }
        };
        Ok(Sink::Stream { hub, store })
    }

    // ---- where queries read ----

    /// What a query that reads `source` is connected to; plans that it needs for that are added.
    fn input(&mut self, source: &Source, start: Start, plans: &mut Vec<DataflowPlan>, private: &mut Vec<DataflowId>) -> Result<Input> {
        if source.kind == SourceKind::Table {
            return Ok(Input::Table(self.table_of(source)?));
        }
        // Before the script begins everything starts at the same place.
        let past = start == Start::Earliest && self.begun;
        if self.catalog.hubs.contains_key(&source.name) {
            let hub = self.catalog.hubs[&source.name];
            return Ok(Input::Hub(if past { self.derive_again(source, plans, private)? } else { hub }));
        }
        if past && self.readers.contains_key(&(source.name.clone(), Start::Earliest)) {
            local::replayable(&self.place(source)?)?;
            let (id, hub) = self.new_reader(source, start, plans)?;
            private.push(id);
            return Ok(Input::Hub(hub));
        }
        Ok(Input::Hub(self.read_topic(source, start, plans)?.1))
    }

    fn table_of(&self, source: &Source) -> Result<TableId> {
        self.catalog.tables.get(&source.name).copied().ok_or_else(|| Error::statement(format!("table {} is not maintained", source.name)))
    }

    /// The shared reader of a declared stream's topic.
    fn read_topic(&mut self, source: &Source, start: Start, plans: &mut Vec<DataflowPlan>) -> Result<(DataflowId, HubId)> {
        let any = [Start::Latest, Start::Earliest].map(|s| (source.name.clone(), s));
        let known = match (start, self.begun) {
            (Start::Latest, true) => any.iter().find_map(|k| self.readers.get(k)),
            _ => self.readers.get(&(source.name.clone(), start)),
        };
        if let Some(known) = known {
            return Ok(*known);
        }
        let reader = self.new_reader(source, start, plans)?;
        self.readers.insert((source.name.clone(), start), reader);
        Ok(reader)
    }

    fn new_reader(&mut self, source: &Source, start: Start, plans: &mut Vec<DataflowPlan>) -> Result<(DataflowId, HubId)> {
        let plan = self.source_plan(source, start)?;
        let ids = (plan.id, plan.hub);
        plans.push(DataflowPlan::Source(plan));
        Ok(ids)
    }

    fn source_plan(&mut self, source: &Source, start: Start) -> Result<SourcePlan> {
        Ok(SourcePlan {
            id: self.id(),
            hub: self.id(),
            source: source.name.clone(),
            ordinal: source.ordinal,
            topic: source.topic.clone(),
            place: self.place(source)?,
            survey: Survey::default(),
            start,
            bounded: self.once,
            serialization: source.serialization,
            schema: source.schema.clone(),
            timestamp: timestamp_expr(source)?,
        })
    }

    /// Where a source's topic lives; without a place of its own it is a log in the data directory.
    pub(super) fn place(&self, source: &Source) -> Result<Place> {
        self.topic_place(&source.topic, source.partitions)
    }

    fn topic_place(&self, topic: &str, partitions: u32) -> Result<Place> {
        let place = self.topology.resolve(topic, &self.data_dir, partitions);
        Ok(place.unwrap_or_else(|| Place::Log { dir: self.data_dir.join("topics").join(topic), partitions }))
    }

    /// Derives a stream once more, from the start of its sources, for a query that came late.
    fn derive_again(&mut self, source: &Source, plans: &mut Vec<DataflowPlan>, private: &mut Vec<DataflowId>) -> Result<HubId> {
        let hub = self.id();
        let writers: Vec<Query> = self.catalog.writers_of(&source.name).cloned().collect();
        for writer in writers {
            let reads = self.catalog.get(&writer.reads).expect("a source that is read cannot be dropped").clone();
            let input = self.input(&reads, Start::Earliest, plans, private)?;
            let plan = QueryPlan { id: self.id(), input, sink: Sink::Stream { hub, store: None }, ..writer.plan };
            private.push(plan.id);
            plans.push(DataflowPlan::Query(plan));
        }
        Ok(hub)
    }

    /// All ways on which rows come into a stream, with what they pass.
    fn ways(&mut self, source: &Source) -> Result<Vec<Way>> {
        if !self.catalog.hubs.contains_key(&source.name) || source.origin == Origin::System {
            let plan = self.source_plan(source, Start::Earliest)?;
            local::replayable(&plan.place)?;
            return Ok(vec![Way { source: plan, through: Vec::new() }]);
        }
        let mut ways = Vec::new();
        if source.origin == Origin::Declared {
            let plan = self.source_plan(source, Start::Earliest)?;
            ways.push(Way { source: plan, through: Vec::new() });
        }
        let writers: Vec<Query> = self.catalog.writers_of(&source.name).cloned().collect();
        for writer in writers {
            let reads = self.catalog.get(&writer.reads).expect("a source that is read cannot be dropped").clone();
            for mut way in self.ways(&reads)? {
                way.through.push(writer.plan.select.clone());
                ways.push(way);
            }
        }
        Ok(ways)
    }

    // ---- INSERT INTO … VALUES ----

    fn insert_values(&mut self, target: &Ident, columns: Option<&[Ident]>, values: &[ast::Expr]) -> Result<Outcome> {
        let source = self.catalog.source(target)?.clone();
        if source.origin != Origin::Declared {
            return Err(Error::statement(format!("{} is derived: rows cannot be inserted into it", source.name))
                .at(target.span)
                .hint("insert into a stream that was declared with columns"));
        }
        let Place::Log { dir, partitions } = self.place(&source)? else {
            return Err(Error::statement(format!("topic {} is not a log: rows cannot be inserted into it", source.topic))
                .at(target.span)
                .hint("give the topic connector = \"log\" in the topology"));
        };
        let (row, rowtime) = inserted_row(&source, target, columns, values)?;
        let types: Vec<SqlType> = source.schema.columns.iter().map(|c| c.ty.clone()).collect();
        let mut encoded = Encoded::default();
        encoder(&source.serialization, &source.schema)?.encode(&crate::render::table::rows_to_batch(&types, &[row]), &mut encoded);
        let writer = match self.logs.entry(source.topic.clone()) {
            std::collections::btree_map::Entry::Occupied(entry) => entry.into_mut(),
            std::collections::btree_map::Entry::Vacant(entry) => entry.insert(LogWriter::open(&dir, 0..partitions, LogOptions::default())?.0),
        };
        let key = encoded.keys[0].of(&encoded.buffer);
        let partition = key.map_or(0, |key| partition_of(key, partitions));
        writer.append(partition, rowtime.unwrap_or_else(now_ms), key, encoded.values[0].of(&encoded.buffer))?;
        writer.flush()?;
        Ok(status("1 row inserted".into(), source.kind, &source.name, "insert", None))
    }

    // ---- SELECT, PRINT ----

    fn select(&mut self, parsed: &Parsed, query: &ast::Query, session: &Session) -> Result<Answer> {
        let source = self.catalog.source(&query.from)?.clone();
        let select = self.bind(query, &source)?;
        check_compiles(&select)?;
        if query.emit.is_some() && !select.order_by.is_empty() {
            return Err(Error::statement("ORDER BY needs an answer that ends").at(query.span).hint("leave out EMIT CHANGES"));
        }
        if let (SourceKind::Table, Some(text)) = (source.kind, order_sensitive(&select)) {
            return Err(Error::statement(format!("{text} needs an order of arrival, and {} is a table", source.name)).at(query.span));
        }
        let id = format!("transient_{}_{}", source.name, self.id());
        let columns = select.columns.clone();
        let push = query.emit.is_some() && !self.once;
        let rows = match (source.kind, push) {
            (SourceKind::Table, false) => self.pull_table(&source, select)?,
            (SourceKind::Stream, false) => self.read_stream(&source, select, Until::End)?,
            (_, true) => {
                self.answers.insert(id.clone(), parsed.text.clone());
                self.push(&id, &source, select, session)?
            }
        };
        let kind = if push { AnswerKind::Push } else { AnswerKind::Pull };
        Ok(Answer { id, kind, columns, rows })
    }

    /// Asks all workers for a table's rows at one closed tick; the rest is done by a thread.
    fn pull_table(&mut self, source: &Source, select: SelectPlan) -> Result<mpsc::Receiver<AnswerEvent>> {
        if !self.begun {
            return Err(Error::statement("a table can be asked when the script has begun"));
        }
        let table = self.table_of(source)?;
        let keys = key_lookup(&select, &source.schema);
        let types: Vec<SqlType> = source.schema.columns.iter().map(|c| c.ty.clone()).collect();
        let (sender, receiver) = mpsc::channel(64);
        let shared = Arc::clone(&self.shared);
        self.peeks += 1_000_000;
        let first = self.peeks;
        let filter = select.filter.clone();
        std::thread::spawn(move || {
            let event = match peek(&shared, first, table, keys, filter) {
                Ok(mut rows) => {
                    // Keys ascend, whatever worker they came from.
                    rows.sort();
                    let batches: Vec<_> = rows.chunks(8_192).map(|rows| crate::render::table::rows_to_batch(&types, rows)).collect();
                    return local::answer_rows(&batches, &select, &sender);
                }
                Err(error) => AnswerEvent::Error(error),
            };
            let _ = sender.blocking_send(event);
        });
        Ok(receiver)
    }

    fn read_stream(&mut self, source: &Source, select: SelectPlan, until: Until) -> Result<mpsc::Receiver<AnswerEvent>> {
        let ways = self.ways(source)?;
        let (sender, receiver) = mpsc::channel(64);
        let started_ms = self.shared.started_ms();
        std::thread::spawn(move || local::answer_stream(ways, &select, until, started_ms, &sender));
        Ok(receiver)
    }

    fn push(&mut self, id: &str, source: &Source, select: SelectPlan, session: &Session) -> Result<mpsc::Receiver<AnswerEvent>> {
        let start = start_of(session, self.begun)?;
        let limit = select.limit;
        let grouped = matches!(select.shape, Shape::Aggregate(_));
        if source.kind == SourceKind::Stream && !grouped && start == Start::Earliest {
            return self.read_stream(source, select, Until::Closed);
        }
        let mut plans = Vec::new();
        let mut dataflows = Vec::new();
        let mut tables = Vec::new();
        let input = self.input(source, start, &mut plans, &mut dataflows)?;
        let mut watch = QueryPlan {
            id: self.id(),
            query: id.into(),
            source: source.name.clone(),
            topic: source.topic.clone(),
            input,
            input_columns: source.schema.len(),
            select: SelectPlan { limit: None, ..select },
            sink: Sink::Answer { answer: id.into() },
        };
        if grouped {
            // A table of its own, which is then watched.
            let table = self.id();
            let strategy = if source.kind == SourceKind::Table { Strategy::Retractable } else { Strategy::Monoid };
            let all = watch.select.columns.iter().enumerate();
            let exprs = all.map(|(i, c)| Expr { kind: ExprKind::Column(i), ty: c.ty.clone() }).collect();
            let columns = watch.select.columns.clone();
            let aggregate = QueryPlan { sink: Sink::Table { table, strategy }, ..watch.clone() };
            watch = QueryPlan {
                id: self.id(),
                input: Input::Table(table),
                input_columns: columns.len(),
                select: SelectPlan { columns, filter: None, shape: Shape::Project(exprs), order_by: Vec::new(), limit: None },
                ..watch
            };
            dataflows.push(aggregate.id);
            tables.push(table);
            plans.push(DataflowPlan::Query(aggregate));
        }
        dataflows.push(watch.id);
        plans.push(DataflowPlan::Query(watch));
        let receiver = self.shared.open_answer(id, limit, dataflows, tables);
        self.install(plans)?;
        Ok(receiver)
    }

    fn print(&mut self, topic: &Ident, from_beginning: bool, interval: u64, limit: Option<u64>) -> Result<Answer> {
        let known = self.catalog.sources(SourceKind::Stream).chain(self.catalog.sources(SourceKind::Table));
        let source = known.filter(|s| s.topic == topic.name).min_by_key(|s| s.ordinal).cloned();
        let placed = self.topology.place(&topic.name).is_some();
        let place = match &source {
            None if !placed => {
                return Err(Error::statement(format!("there is no topic {}", topic.name)).at(topic.span).hint("SHOW TOPICS lists what there is; topic names are case-sensitive"));
            }
            Some(source) if !placed && matches!(source.origin, Origin::Derived(_)) => {
                return Err(Error::statement(format!("topic {} is not stored", topic.name))
                    .at(topic.span)
                    .hint(format!("SELECT * FROM {}; or give the topic connector = \"log\" in the topology", source.name)));
            }
            source => self.topic_place(&topic.name, source.as_ref().map_or(1, |s| s.partitions))?,
        };
        local::replayable(&place)?;
        let (sender, receiver) = mpsc::channel(64);
        let until = if self.once { Until::End } else { Until::Closed };
        let start = if from_beginning || self.once { Start::Earliest } else { Start::Latest };
        std::thread::spawn(move || local::print_topic(&place, start, until, interval.max(1), limit, &sender));
        let columns = vec![ColumnDef { name: "MESSAGE".into(), ty: SqlType::Varchar, key: false }];
        Ok(Answer { id: format!("print_{}_{}", topic.name, self.id()), kind: AnswerKind::Print, columns, rows: receiver })
    }

    // ---- TERMINATE, DROP ----

    fn terminate(&mut self, id: Option<&Ident>) -> Result<Outcome> {
        let ids: Vec<String> = match id {
            None => self.catalog.queries.keys().cloned().chain(self.answers.keys().cloned()).collect(),
            Some(id) => vec![id.name.clone()],
        };
        for query in &ids {
            let known = self.catalog.queries.keys().find(|k| k.eq_ignore_ascii_case(query)).cloned();
            if let Some(query) = known {
                self.stop_query(&query);
            } else if self.answers.remove(query).is_some() {
                self.shared.close_answer(query);
            } else if let Some(id) = id {
                return Err(Error::statement(format!("there is no query {query}")).at(id.span).hint("SHOW QUERIES lists what runs"));
            }
        }
        let message = match id {
            Some(_) => format!("Query {} terminated", ids[0]),
            None => format!("{} queries terminated", ids.len()),
        };
        let command_id = format!("terminate/{}/execute", ids.first().map_or("ALL", String::as_str));
        Ok(Outcome::Status(Status { message, command_id, query_id: ids.first().cloned(), terminated: true }))
    }

    fn stop_query(&mut self, id: &str) {
        if let Some(query) = self.catalog.queries.remove(id) {
            self.uninstall(query.dataflows, Vec::new());
        }
    }

    fn drop(&mut self, kind: SourceKind, if_exists: bool, name: &Ident, delete_topic: bool) -> Result<Outcome> {
        let source = match self.catalog.get(&name.name) {
            None if if_exists => {
                let message = format!("there is no {} {}; nothing was done", word(kind).to_lowercase(), name.name);
                return Ok(status(message, kind, &name.name, "drop", None));
            }
            _ => self.catalog.source(name)?.clone(),
        };
        if source.kind != kind {
            let right = word(source.kind).to_uppercase();
            return Err(Error::statement(format!("{} is a {}", name.name, right.to_lowercase())).at(name.span).hint(format!("DROP {right} {}", name.name)));
        }
        if source.origin == Origin::System {
            return Err(Error::statement(format!("{} belongs to the engine", name.name)).at(name.span));
        }
        self.remove(&source, name)?;
        if delete_topic {
            if let Place::Log { dir, .. } = self.place(&source)? {
                self.logs.remove(&source.topic);
                clear(&dir)?;
            }
        }
        let message = format!("{} {} dropped", word(kind), name.name);
        Ok(status(message, kind, &name.name, "drop", None))
    }

    /// Takes a source out of the catalog, with the query that created it.
    fn remove(&mut self, source: &Source, name: &Ident) -> Result<()> {
        let readers: Vec<&str> = self.catalog.readers_of(&source.name).map(|q| q.id.as_str()).collect();
        let own = |id: &str| matches!(&source.origin, Origin::Derived(own) if own == id) || id == format!("TABLE_{}", source.name);
        let writers: Vec<&str> = self.catalog.writers_of(&source.name).map(|q| q.id.as_str()).filter(|id| !own(id)).collect();
        if let Some(first) = readers.iter().chain(&writers).next() {
            let all: Vec<&str> = readers.iter().chain(&writers).copied().collect();
            return Err(Error::statement(format!("{} is used by {}", source.name, all.join(", "))).at(name.span).hint(format!("TERMINATE {first}; first")));
        }
        let own: Vec<String> = self.catalog.writers_of(&source.name).map(|q| q.id.clone()).collect();
        own.iter().for_each(|id| self.stop_query(id));
        let tables = self.catalog.tables.get(&source.name).copied().into_iter().collect();
        let readers = self.readers.iter().filter(|((name, _), _)| *name == source.name).map(|(_, (id, _))| *id).collect();
        self.uninstall(readers, tables);
        self.catalog.remove(&source.name);
        Ok(())
    }

    /// The plan that a statement would run, without running it.
    pub(super) fn plan_of(&mut self, parsed: &Parsed, session: &Session) -> Result<(Source, SelectPlan)> {
        let (query, kind) = match &parsed.statement {
            Statement::CreateAs { query, kind, .. } => (query, Some(*kind)),
            Statement::InsertSelect { query, .. } => (query, Some(SourceKind::Stream)),
            Statement::Select(query) => (query, None),
            _ => return Err(Error::statement("only queries have a plan").at(parsed.span).hint("EXPLAIN a SELECT, CREATE … AS or INSERT INTO … SELECT")),
        };
        let source = self.catalog.source(&query.from)?.clone();
        let mut select = self.bind(query, &source)?;
        if let Some(kind) = kind {
            select = select.keys_first();
            check_shape(kind, &source, &select, query)?;
        }
        if let Statement::InsertSelect { target, .. } = &parsed.statement {
            select = fit(select, self.catalog.source(target)?, query)?;
        }
        start_of(session, self.begun)?;
        Ok((source, select))
    }

    /// The plans that wait, with the columns that they read of each hub.
    pub(super) fn planned_with_wants(mut self) -> super::replay::Planned {
        let plans = std::mem::take(&mut self.waiting);
        self.active.extend(plans.iter().map(|p| (p.id(), p.clone())));
        super::replay::Planned { plans, wanted: self.changed_wants() }
    }

    /// Plans that wait for [`Coordinator::begin`].
    pub(super) fn planned(&self) -> &[DataflowPlan] {
        &self.waiting
    }
}

/// Asks for a table's rows until a tick is found that all workers can still read.
fn peek(shared: &Shared, first: u64, table: TableId, keys: Option<Vec<Key>>, filter: Option<Expr>) -> Result<Vec<crate::value::Row>> {
    for attempt in 0..100 {
        let peek = first + attempt;
        let reply = shared.open_peek(peek);
        shared.command(Command::Peek { peek, table, tick: None, keys: keys.clone(), filter: filter.clone() });
        match reply.recv() {
            Ok(PeekReply::Rows(rows)) => return Ok(rows),
            Ok(PeekReply::TooLate) => {}
            Ok(PeekReply::Gone) => return Err(Error::runtime("the table was dropped while it was read")),
            Err(_) => return Err(shared.error().unwrap_or_else(|| Error::runtime("the engine has stopped"))),
        }
    }
    Err(Error::runtime("the table changes faster than it can be read").hint("try again"))
}

/// WHERE key = literal for every key column: the keys to look up instead of a scan.
fn key_lookup(select: &SelectPlan, schema: &Schema) -> Option<Vec<Key>> {
    let mut found: Vec<Option<Value>> = vec![None; schema.key_len()];
    let mut pending: Vec<&Expr> = select.filter.iter().collect();
    while let Some(expr) = pending.pop() {
        match &expr.kind {
            ExprKind::Binary { op: BinaryOp::And, left, right } => pending.extend([left.as_ref(), right.as_ref()]),
            ExprKind::Binary { op: BinaryOp::Eq, left, right } => {
                let (ExprKind::Column(column), ExprKind::Literal(value)) = (&left.kind, &right.kind) else { continue };
                if let Some(slot) = found.get_mut(*column) {
                    *slot = Some(value.clone());
                }
            }
            _ => {}
        }
    }
    let key: Option<Vec<Value>> = found.into_iter().collect();
    key.filter(|k| !k.is_empty()).map(|key| vec![encode_row(&key)])
}

fn order_sensitive(select: &SelectPlan) -> Option<String> {
    match &select.shape {
        Shape::Aggregate(aggregation) => derive::order_sensitive(aggregation).map(String::from),
        Shape::Project(_) => None,
    }
}

fn check_compiles(select: &SelectPlan) -> Result<()> {
    let (exprs, having): (Vec<&Expr>, _) = match &select.shape {
        Shape::Project(exprs) => (exprs.iter().collect(), None),
        Shape::Aggregate(a) => (a.keys.iter().chain(a.calls.iter().flat_map(|c| &c.args)).chain(&a.post).collect(), a.having.as_ref()),
    };
    exprs.into_iter().chain(having).chain(&select.filter).try_for_each(|e| compile(e).map(|_| ()))
}

fn check_persistent(query: &ast::Query) -> Result<()> {
    if query.limit.is_some() {
        return Err(Error::statement("LIMIT ends a query, and this one goes on").at(query.span).hint("leave LIMIT out"));
    }
    if let Some(first) = query.order_by.first() {
        return Err(Error::statement("ORDER BY needs an answer that ends, and this query goes on").at(first.expr.span).hint("ORDER BY in the SELECT that asks"));
    }
    Ok(())
}

fn check_shape(kind: SourceKind, source: &Source, select: &SelectPlan, query: &ast::Query) -> Result<()> {
    let grouped = matches!(select.shape, Shape::Aggregate(_));
    match (kind, source.kind) {
        (SourceKind::Stream, SourceKind::Table) => {
            return Err(Error::statement(format!("a stream cannot be made from the table {}", source.name)).at(query.from.span).hint("CREATE TABLE … AS SELECT"));
        }
        (SourceKind::Stream, _) if grouped => {
            return Err(Error::statement("an aggregate makes a table").at(query.span).hint("CREATE TABLE … AS SELECT"));
        }
        (SourceKind::Table, SourceKind::Stream) if !grouped => {
            return Err(Error::statement("a table from a stream needs GROUP BY").at(query.span).hint("CREATE STREAM … AS SELECT, or GROUP BY a key"));
        }
        _ => {}
    }
    if let (SourceKind::Table, Some(text)) = (source.kind, order_sensitive(select)) {
        return Err(Error::statement(format!("{text} needs an order of arrival, and {} is a table", source.name)).at(query.span));
    }
    if let Shape::Aggregate(aggregation) = &select.shape {
        if aggregation.keys.is_empty() {
            return Err(Error::statement("a maintained table needs GROUP BY").at(query.span).hint("GROUP BY a column; SELECT without GROUP BY answers once"));
        }
        for (i, _) in aggregation.keys.iter().enumerate() {
            if !aggregation.post.iter().any(|e| e.kind == ExprKind::Column(i)) {
                let key = query.group_by.get(i).map_or(query.span, |e| e.span);
                return Err(Error::statement("this GROUP BY key is missing from the SELECT list").at(key).hint("add it: a table's rows carry their key"));
            }
        }
    }
    if kind == SourceKind::Table && select.columns.iter().all(|c| !c.key) {
        return Err(Error::statement("a table's rows need their key").at(query.span).hint("add the key columns to the SELECT list"));
    }
    Ok(())
}

/// Puts an INSERT's columns in the target's order, by name.
fn fit(select: SelectPlan, target: &Source, query: &ast::Query) -> Result<SelectPlan> {
    let Shape::Project(exprs) = &select.shape else {
        return Err(Error::statement("INSERT INTO … SELECT cannot aggregate").at(query.span));
    };
    let at = |e: Error| e.at(query.span);
    if let Some(extra) = select.columns.iter().find(|c| target.schema.index_of(&c.name).is_none()) {
        return Err(at(Error::statement(format!("{} has no column {}", target.name, extra.name))).hint("name the columns as the target does, with AS"));
    }
    let mut fitted = Vec::new();
    for column in &target.schema.columns {
        let Some(i) = select.columns.iter().position(|c| c.name == column.name) else {
            return Err(at(Error::statement(format!("column {} of {} is missing from the SELECT list", column.name, target.name))));
        };
        if select.columns[i].key != column.key {
            let (is, hint) = if column.key {
                ("the key of", format!("PARTITION BY {}", column.name))
            } else {
                ("not the key of", "leave it out of PARTITION BY".to_string())
            };
            return Err(at(Error::statement(format!("column {} is {is} {}", column.name, target.name))).hint(hint));
        }
        let from = exprs[i].ty.clone();
        let expr = coerce(exprs[i].clone(), &column.ty).ok_or_else(|| {
            at(Error::statement(format!("column {} of {} is {}, the SELECT gives {from}", column.name, target.name, column.ty)))
                .hint(format!("CAST(… AS {})", column.ty))
        })?;
        fitted.push(expr);
    }
    Ok(SelectPlan { columns: target.schema.columns.clone(), shape: Shape::Project(fitted), ..select })
}

fn declared_schema(kind: SourceKind, name: &Ident, columns: &[ColumnSpec]) -> Result<Schema> {
    if columns.is_empty() {
        return Err(Error::statement(format!("{} {} needs columns: there is no schema registry to take them from yet", word(kind), name.name)).at(name.span));
    }
    for (i, column) in columns.iter().enumerate() {
        if columns[..i].iter().any(|c| c.name.name == column.name.name) {
            return Err(Error::statement(format!("column {} is declared twice", column.name.name)).at(column.name.span));
        }
        let wrong = match (kind, column.key) {
            (SourceKind::Stream, KeySpec::PrimaryKey) => Some(("a stream has no PRIMARY KEY", "write KEY")),
            (SourceKind::Table, KeySpec::Key) => Some(("a table's key is its PRIMARY KEY", "write PRIMARY KEY")),
            _ => None,
        };
        if let Some((what, hint)) = wrong {
            return Err(Error::statement(what).at(column.name.span).hint(hint));
        }
    }
    if kind == SourceKind::Table && columns.iter().all(|c| c.key == KeySpec::None) {
        return Err(Error::statement(format!("table {} needs a PRIMARY KEY", name.name)).at(name.span).hint("mark its key column: id VARCHAR PRIMARY KEY"));
    }
    Ok(Schema::new(columns.iter().map(|c| ColumnDef { name: c.name.name.clone(), ty: c.ty.clone(), key: c.key != KeySpec::None })))
}

fn default_key_format(schema: &Schema) -> Format {
    if schema.key_len() == 0 { Format::None } else { Format::Kafka }
}

fn default_format(session: &Session) -> Result<Option<Format>> {
    match session.properties.get("ksql.persistence.default.format.value").map(String::as_str) {
        None => Ok(None),
        Some("JSON") => Ok(Some(Format::Json { wrap_single: true })),
        Some("DELIMITED") => Ok(Some(Format::Delimited { delimiter: b',' })),
        Some("KAFKA") => Ok(Some(Format::Kafka)),
        Some(other) => Err(Error::statement(format!("ksql.persistence.default.format.value is {other}")).hint("formats: DELIMITED, JSON, KAFKA")),
    }
}

/// Formats of a derived source: as written, else its input's. What cannot carry its columns is only an
/// error where it was written: a topic that nobody stores needs no format.
fn derived_serialization(with: &With, source: &Source, schema: &Schema, kind: SourceKind, name: &Ident) -> Result<Serialization> {
    let written = with.value_format.or(with.key_format);
    let inherited_key = if schema.key_len() == 0 {
        Format::None
    } else if source.serialization.key == Format::None || schema.key_len() > 1 && source.serialization.key == Format::Kafka {
        Format::Kafka
    } else {
        source.serialization.key
    };
    let serialization = Serialization {
        key: with.key_format.map_or(inherited_key, |f| f.0),
        value: with.value_format.map_or(source.serialization.value, |f| f.0),
        changelog: kind == SourceKind::Table,
    };
    match encoder(&serialization, schema) {
        Ok(_) => Ok(serialization),
        Err(error) => {
            let span = written.map_or(name.span, |f| f.1);
            Err(error.at(span).hint("choose formats that can: WITH (KEY_FORMAT='JSON', VALUE_FORMAT='JSON')"))
        }
    }
}

/// The BIGINT expression that gives ROWTIME.
fn timestamp_expr(source: &Source) -> Result<Option<Expr>> {
    let Some((name, format)) = &source.timestamp else { return Ok(None) };
    let span = crate::error::Span::default();
    let Some(column) = source.schema.index_of(name).map(|i| &source.schema.columns[i]) else {
        return Err(Error::statement(format!("TIMESTAMP names the column {name}, which {} does not have", source.name)));
    };
    let reference = ast::Expr { kind: ast::ExprKind::Column { qualifier: None, name: name.clone() }, span };
    let call = |function: &str, args| ast::Expr { kind: ast::ExprKind::Call { name: Ident { name: function.into(), span }, args }, span };
    let text = |text: &str| ast::Expr { kind: ast::ExprKind::Literal(ast::Literal::String(text.into())), span };
    let expr = match (&column.ty, format) {
        (SqlType::Bigint, None) => reference,
        (SqlType::Timestamp, None) => call("UNIX_TIMESTAMP", vec![reference]),
        (SqlType::Varchar, Some(format)) => call("STRINGTOTIMESTAMP", vec![reference, text(format)]),
        (SqlType::Varchar, None) => return Err(Error::statement(format!("TIMESTAMP column {name} is STRING")).hint("add TIMESTAMP_FORMAT='yyyy-MM-dd …'")),
        (ty, _) => return Err(Error::statement(format!("TIMESTAMP column {name} is {ty}")).hint("it must be BIGINT, TIMESTAMP, or STRING with a TIMESTAMP_FORMAT")),
    };
    let scope = Scope { schema: &source.schema, names: Vec::new(), pseudo: false };
    bind(&expr, &scope).map(Some)
}

/// A row to insert, in schema order; ROWTIME may be among the columns.
fn inserted_row(source: &Source, target: &Ident, columns: Option<&[Ident]>, values: &[ast::Expr]) -> Result<(Vec<Value>, Option<i64>)> {
    let all: Vec<Ident> = source.schema.columns.iter().map(|c| Ident { name: c.name.clone(), span: target.span }).collect();
    let columns = columns.unwrap_or(&all);
    if columns.len() != values.len() {
        return Err(Error::statement(format!("{} columns, but {} values", columns.len(), values.len())).at(target.span));
    }
    let empty = Schema::default();
    let scope = Scope { schema: &empty, names: Vec::new(), pseudo: false };
    let mut row = vec![Value::Null; source.schema.len()];
    let mut rowtime = None;
    for (column, value) in columns.iter().zip(values) {
        let slot = source.schema.index_of(&column.name);
        let ty = match slot {
            Some(i) => source.schema.columns[i].ty.clone(),
            None if column.name == "ROWTIME" => SqlType::Bigint,
            None => return Err(Error::statement(format!("{} has no column {}", source.name, column.name)).at(column.span)),
        };
        let value = constant(value, &ty, &scope)?;
        match (slot, value) {
            (Some(i), value) => row[i] = value,
            (None, Value::Bigint(ms)) => rowtime = Some(ms),
            (None, _) => {}
        }
    }
    let keys = source.schema.key_len();
    if source.kind == SourceKind::Table && row[..keys].iter().any(Value::is_null) {
        return Err(Error::statement(format!("a row of table {} needs its key", source.name)).at(target.span));
    }
    Ok((row, rowtime))
}

fn constant(expr: &ast::Expr, ty: &SqlType, scope: &Scope) -> Result<Value> {
    if expr.kind == ast::ExprKind::Literal(ast::Literal::Null) {
        return Ok(Value::Null);
    }
    let bound = bind(expr, scope)?;
    let from = bound.ty.clone();
    let cast = coerce(bound.clone(), ty).unwrap_or(Expr { kind: ExprKind::Cast(Box::new(bound)), ty: ty.clone() });
    let fits = from == *ty || from == SqlType::Varchar || from.is_numeric() == ty.is_numeric();
    let one = crate::render::table::rows_to_batch(&[SqlType::Boolean], &[vec![Value::Null]]);
    let mut notes = Notes::default();
    let value = compile(&cast)?.eval(&one, &mut notes).value(0);
    match notes.notes.first() {
        None if fits => Ok(value),
        note => Err(Error::statement(note.map_or(format!("this is {from}, the column is {ty}"), |n| n.reason.clone())).at(expr.span)),
    }
}

fn books_query() -> QueryPlan {
    let schema = books::schema();
    let column = |i: usize| Expr { kind: ExprKind::Column(i), ty: schema.columns[i].ty.clone() };
    let sum = aggregate::find("SUM").expect("SUM is an aggregate");
    let calls = (4..8)
        .map(|i| {
            let arg = crate::expr::function::Arg { ty: Some(&SqlType::Bigint), literal: None };
            let overload = (sum.resolve)(&[arg]).expect("SUM takes BIGINT");
            Call { text: "SUM".into(), spec: overload.spec, args: vec![column(i)], returns: overload.returns }
        })
        .collect();
    let columns = schema.columns.iter().enumerate().map(|(i, c)| ColumnDef { key: i < 4, ..c.clone() }).collect();
    let post = (0..8).map(column).collect();
    let aggregation = Aggregation { keys: (0..4).map(column).collect(), calls, having: None, post };
    QueryPlan {
        id: BOOKS_QUERY,
        query: "WHARFE_BOOKS".into(),
        source: "WHARFE_BOOK_ENTRIES".into(),
        topic: books::TOPIC.into(),
        input: Input::Hub(BOOKS_HUB),
        input_columns: 8,
        select: SelectPlan { columns, filter: None, shape: Shape::Aggregate(aggregation), order_by: Vec::new(), limit: None },
        sink: Sink::Table { table: BOOKS_TABLE, strategy: Strategy::Monoid },
    }
}

/// Where a query starts to read: `auto.offset.reset`, else earliest in a script and latest after it.
fn start_of(session: &Session, begun: bool) -> Result<Start> {
    let get = |name: &str| session.properties.get(name).map(String::as_str);
    match get("auto.offset.reset").or(get("ksql.streams.auto.offset.reset")) {
        None if begun => Ok(Start::Latest),
        None | Some("earliest") => Ok(Start::Earliest),
        Some("latest") => Ok(Start::Latest),
        Some(other) => Err(Error::statement(format!("auto.offset.reset is '{other}'")).hint("'earliest' or 'latest'")),
    }
}

fn set(session: &mut Session, property: &str, value: Option<&String>) -> Result<Outcome> {
    let name = property.to_string();
    if name.ends_with("auto.offset.reset") {
        if let Some(wrong) = value.filter(|v| !["earliest", "latest"].contains(&v.as_str())) {
            return Err(Error::statement(format!("auto.offset.reset cannot be '{wrong}'")).hint("'earliest' or 'latest'"));
        }
    }
    let message = match value {
        Some(value) => {
            session.properties.insert(name.clone(), value.clone());
            format!("{name} set to '{value}'")
        }
        None => {
            session.properties.remove(&name);
            format!("{name} unset")
        }
    };
    Ok(Outcome::Status(Status { message, command_id: format!("property/{name}/set"), query_id: None, terminated: false }))
}

fn clear(dir: &std::path::Path) -> Result<()> {
    match std::fs::remove_dir_all(dir) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(Error::runtime(format!("cannot clear {}: {e}", dir.display()))),
        _ => Ok(()),
    }
}

pub(super) fn word(kind: SourceKind) -> &'static str {
    match kind {
        SourceKind::Stream => "Stream",
        SourceKind::Table => "Table",
    }
}

fn created(kind: SourceKind, name: &str, query_id: Option<String>) -> Outcome {
    let message = match &query_id {
        Some(id) => format!("Created query with ID {id}"),
        None => format!("{} created", word(kind)),
    };
    status(message, kind, name, "create", query_id)
}

fn status(message: String, kind: SourceKind, name: &str, action: &str, query_id: Option<String>) -> Outcome {
    let command_id = format!("{}/{}/{action}", word(kind).to_lowercase(), crate::types::quote(name));
    Outcome::Status(Status { message, command_id, query_id, terminated: false })
}
