//! Statements → catalog entries and plans; the one place that changes the catalog.
//!
//! Until [`Coordinator::begin`] plans are collected, so that a script either starts whole, all of it
//! at one tick, or not at all. After that each statement is sent to the workers at once.

use super::ask::Watcher;
use super::checkpoint::Resumed;
use super::outcome::{Outcome, Status};
use super::placed;
use super::resume::{Durable, Planning, not_durable};
use super::shared::{Command, Shared};
use super::{BOOKS_HUB, BOOKS_QUERY, BOOKS_TABLE, Session};
use crate::aggregate::{self};
use crate::catalog::{Catalog, Origin, Source};
use crate::connector::{self, Layout, Place, Start, Survey, Writer};
use crate::error::{Error, Result, reason};
use crate::expr::{Expr, ExprKind};
use crate::format::{Format, Serialization};
use crate::plan::select::{self, Purpose, bind_select};
use crate::plan::{
    Aggregation, Call, DataflowId, DataflowPlan, HubId, Input, QueryInput, QueryPlan, Relation, SelectPlan,
    Shape, Sink, Strategy, TableId, Wanted,
};
use crate::registry::Lookups;
use crate::render::context::now_ms;
use crate::render::rejects::RejectLog;
use crate::render::{books, rejects};
use crate::sql::ast::{self, Ident, Parsed, SourceKind, Statement};
use crate::topology::Topology;
use crate::types::{ColumnDef, Part, SqlType};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

pub struct Coordinator {
    pub(super) shared: Arc<Shared>,
    pub(super) topology: Topology,
    pub(super) schemas: Lookups,
    pub(super) data_dir: PathBuf,
    pub(super) once: bool,
    pub(super) catalog: Catalog,
    pub(super) begun: bool,
    /// Logs of derived topics from an earlier start; they go when the plans that write them are sent.
    pub(super) stale: Vec<PathBuf>,
    /// Plans that wait for `begin`.
    pub(super) waiting: Vec<DataflowPlan>,
    /// All that runs.
    pub(super) active: BTreeMap<DataflowId, DataflowPlan>,
    pub(super) wanted: BTreeMap<HubId, Wanted>,
    /// Readers of declared streams' topics that queries share.
    pub(super) readers: BTreeMap<(String, Start), (DataflowId, HubId)>,
    /// Push queries that are open.
    pub(super) answers: BTreeMap<String, Watcher>,
    pub(super) next_id: u64,
    pub(super) peeks: u64,
    /// Writers of topics that rows are inserted into.
    pub(super) writers: BTreeMap<String, Box<dyn Writer>>,
    /// Where answers say what was wrong with rows that only they have read.
    pub(super) rejects: Option<Arc<Mutex<RejectLog>>>,
    /// Only plans are asked for: no cluster is.
    pub(super) dry: bool,
    /// What is planned now ends where its sources end at present.
    pub(super) ends: bool,
    /// With a data directory that stays.
    pub(super) durable: Option<Durable>,
    /// The persistent query at hand.
    pub(super) planning: Option<Planning>,
    /// What was planned so far has been sent.
    pub(super) live: bool,
    /// What the checkpoint contains that this start goes on from.
    pub(super) resumed: Option<Resumed>,
}

impl Coordinator {
    pub fn new(
        shared: Arc<Shared>,
        topology: Topology,
        schemas: Lookups,
        data_dir: PathBuf,
        once: bool,
    ) -> Coordinator {
        let mut coordinator = Coordinator {
            shared,
            topology,
            schemas,
            data_dir,
            once,
            catalog: Catalog::default(),
            begun: false,
            stale: Vec::new(),
            waiting: Vec::new(),
            active: BTreeMap::new(),
            wanted: BTreeMap::new(),
            readers: BTreeMap::new(),
            answers: BTreeMap::new(),
            next_id: BOOKS_QUERY + 1,
            peeks: 0,
            writers: BTreeMap::new(),
            rejects: None,
            dry: false,
            ends: false,
            durable: None,
            planning: None,
            live: false,
            resumed: None,
        };
        coordinator.declare_system();
        coordinator
    }

    pub(super) fn id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    pub fn execute(&mut self, parsed: &Parsed, session: &mut Session) -> Result<Outcome> {
        if let Statement::InsertValues { target, .. } = &parsed.statement
            && self.was_inserted(parsed)
        {
            let message = "1 row inserted by an earlier start".into();
            return Ok(status(message, SourceKind::Stream, &target.name, "insert", None));
        }
        let outcome = self.carry_out(parsed, session)?;
        self.keep(parsed, session)?;
        Ok(outcome)
    }

    pub(super) fn carry_out(&mut self, parsed: &Parsed, session: &mut Session) -> Result<Outcome> {
        // A statement that fails leaves nothing behind: the ids of the next ones must not depend on it.
        let numbers = self.catalog.query_numbers;
        let outcome = self.carry_out_one(parsed, session);
        self.planning = None;
        match &outcome {
            Err(_) => self.catalog.query_numbers = numbers,
            Ok(Outcome::Status(status)) => self.tell(&parsed.statement, status),
            Ok(_) => {}
        }
        outcome
    }

    /// Tells what a statement has changed. What the script asks for is in the script.
    fn tell(&self, statement: &Statement, status: &Status) {
        use Statement::*;
        let (command, query) = (status.command_id.as_str(), status.query_id.as_deref());
        match statement {
            CreateSource { .. }
            | CreateAs { .. }
            | InsertSelect { .. }
            | Terminate { .. }
            | Drop { .. }
            | CreateType { .. }
            | DropType { .. }
            | Alter { .. } => match self.live {
                true => tracing::info!(command, query, "{}", status.message),
                false => tracing::debug!(command, query, "{}", status.message),
            },
            _ => {}
        }
    }

    fn carry_out_one(&mut self, parsed: &Parsed, session: &mut Session) -> Result<Outcome> {
        match &parsed.statement {
            Statement::CreateSource { .. } => self.create_source(parsed, session),
            Statement::CreateAs { .. } => self.create_as(parsed, session),
            Statement::InsertSelect { target, with, query } => {
                self.insert_select(parsed, target, with, query, session)
            }
            Statement::InsertValues { target, columns, values } => {
                self.insert_values(target, columns.as_deref(), values)
            }
            Statement::Select(query) => Ok(Outcome::Answer(self.select(parsed, query, session)?)),
            Statement::Set { property, value } => {
                session.set(property, value).map_err(|e| e.at(parsed.span))?;
                Ok(property_status(property, format!("{property} set to '{value}'")))
            }
            Statement::Unset { property } => {
                session.unset(property);
                Ok(property_status(property, format!("{property} unset")))
            }
            Statement::CreateType { if_not_exists, name, ty } => self.create_type(name, ty, *if_not_exists),
            Statement::DropType { if_exists, name } => self.drop_type(name, *if_exists),
            Statement::Define { name, value } => {
                session.variables.insert(name.name.clone(), value.clone());
                Ok(property_status(&name.name, format!("{} is '{value}'", name.name)))
            }
            Statement::Undefine { name } => match session.variables.remove(&name.name) {
                Some(_) => Ok(property_status(&name.name, format!("{} undefined", name.name))),
                None => Err(Error::statement(format!("there is no variable {}", name.name))
                    .at(name.span)
                    .hint("SHOW VARIABLES lists what is defined")),
            },
            Statement::Alter { kind, name, columns } => self.alter(parsed, *kind, name, columns),
            Statement::Assert { exists, what, .. } => self.assert(*exists, what, parsed.span),
            Statement::RunScript { file } => Err(Error::statement("RUN SCRIPT runs where its file is")
                .at(file.span)
                .hint("in a script and in the shell; here send the statements themselves")),
            Statement::Show(show) => Ok(self.show(show, session)),
            Statement::DescribeAll { kind, .. } => Ok(self.describe_all(*kind)),
            Statement::Describe { name, extended } => self.describe(name, *extended),
            Statement::DescribeFunction { name } => super::functions::function(name),
            Statement::ExplainStatement(inner) => self.explain_statement(inner, session),
            Statement::ExplainQuery { id } => self.explain_query(id),
            Statement::Print { topic, from_beginning, interval, limit } => {
                Ok(Outcome::Answer(self.print(topic, *from_beginning, interval.unwrap_or(1), *limit)?))
            }
            Statement::Terminate { id } => self.terminate(id.as_ref()),
            Statement::Drop { kind, if_exists, name, delete_topic } => {
                self.drop(*kind, *if_exists, name, *delete_topic)
            }
        }
    }

    /// Installs what the script asked for, all at one tick.
    pub fn begin(&mut self) -> Result<()> {
        if self.begun {
            return Ok(());
        }
        self.begun = true;
        let later = self.replay();
        let mut plans = std::mem::take(&mut self.waiting);
        if self.durable.is_some()
            && let Some(why) = not_durable(&plans)
        {
            tracing::warn!("no checkpoints are taken: {why}");
            self.durable = None;
            // Nothing would ever become final.
            plans.iter_mut().for_each(DataflowPlan::without_outbox);
        }
        let started_ms = self.go_on(&mut plans)?;
        self.live = true;
        self.send_at(plans, started_ms.unwrap_or_else(now_ms))?;
        later.into_iter().for_each(|asked| self.ask_again(asked));
        Ok(())
    }

    pub(super) fn install(&mut self, plans: Vec<DataflowPlan>) -> Result<()> {
        if self.live {
            return self.send_at(plans, now_ms());
        }
        self.waiting.extend(plans);
        Ok(())
    }

    /// `started_ms`: what messages that are there already and have no time get as theirs, at the first
    /// start.
    fn send_at(&mut self, mut plans: Vec<DataflowPlan>, started_ms: i64) -> Result<()> {
        let written: Vec<(DataflowId, PathBuf)> =
            self.active.values().chain(&plans).filter_map(placed::logs).collect();
        for plan in &mut plans {
            if let DataflowPlan::Source(source) = plan {
                source.behind = placed::writers(&source.place, &written);
                let resumed = source.survey.resumed.take();
                let survey = connector::survey(&source.place, source.bounded)
                    .map_err(|e| Error { message: format!("topic {}: {}", source.topic, e.message), ..e })?;
                source.survey = Survey { resumed, at_ms: now_ms(), ..survey };
                connector::recognise(&source.place, &mut source.survey)?;
            }
        }
        self.stale.drain(..).try_for_each(|dir| clear(&dir))?;
        self.active.extend(plans.iter().map(|p| (p.id(), p.clone())));
        let wanted = self.changed_wants();
        self.shared.command(Command::Install { plans, wanted, started_ms });
        Ok(())
    }

    /// What each hub's readers read, where that changed: found from the sinks backwards.
    pub(super) fn changed_wants(&mut self) -> Vec<(HubId, Wanted)> {
        let queries: Vec<&QueryPlan> = self
            .active
            .values()
            .filter_map(|p| if let DataflowPlan::Query(q) = p { Some(q) } else { None })
            .collect();
        let mut wanted: BTreeMap<HubId, Wanted> = BTreeMap::new();
        let nothing = |columns: usize| Wanted { columns: vec![false; columns], headers: false };
        for plan in self.active.values() {
            match plan {
                DataflowPlan::Source(s) => wanted.insert(s.hub, nothing(s.schema.len())),
                DataflowPlan::Query(QueryPlan { sink: Sink::Stream { hub, .. }, select, .. }) => {
                    wanted.insert(*hub, nothing(select.columns.len()))
                }
                DataflowPlan::Query(_) => None,
            };
        }
        loop {
            let mut changed = false;
            for query in &queries {
                let output = match &query.sink {
                    Sink::Stream { hub, store: None } => wanted.get(hub).cloned(),
                    _ => None,
                };
                let columns = output.as_ref().map(|wanted| wanted.columns.as_slice());
                let headers =
                    query.passes_headers_on() || output.as_ref().is_some_and(|wanted| wanted.headers);
                for (input, reads) in query.inputs.iter().zip(query.reads(columns)) {
                    let Input::Hub(hub) = input.from else { continue };
                    let Some(hub) = wanted.get_mut(&hub) else { continue };
                    let columns = hub.columns.iter_mut().zip(reads);
                    for (wanted, reads) in
                        columns.chain([(&mut hub.headers, headers)]).filter(|(w, r)| *r && !**w)
                    {
                        *wanted = reads;
                        changed = true;
                    }
                }
            }
            if !changed {
                break;
            }
        }
        let changed = wanted
            .iter()
            .filter(|(hub, w)| self.wanted.get(hub) != Some(w))
            .map(|(h, w)| (*h, w.clone()))
            .collect();
        self.wanted = wanted;
        changed
    }

    pub(super) fn uninstall(&mut self, dataflows: Vec<DataflowId>, tables: Vec<TableId>) {
        for id in &dataflows {
            self.active.remove(id);
            self.readers.retain(|_, (reader, _)| reader != id);
        }
        if self.live {
            self.shared.command(Command::Drop { dataflows, tables });
        } else {
            self.waiting.retain(|plan| !dataflows.contains(&plan.id()));
        }
    }

    pub(super) fn declare_system(&mut self) {
        let json =
            Serialization { key: Format::None, value: Format::Json { wrap_single: true }, changelog: false };
        let ordinal = self.catalog.next_ordinal(rejects::STREAM);
        let system = |kind, name: &str, schema, topic: &str| Source {
            kind,
            name: name.into(),
            schema,
            topic: topic.into(),
            serialization: json,
            timestamp: None,
            layout: Layout::default(),
            ordinal,
            statement: String::new(),
            origin: Origin::System,
            read_only: false,
            schemas: Default::default(),
        };
        self.catalog.insert(system(SourceKind::Stream, rejects::STREAM, rejects::schema(), rejects::TOPIC));
        let plan = books_query();
        self.catalog.insert(system(SourceKind::Table, "WHARFE_BOOKS", plan.select.schema(), books::TOPIC));
        self.catalog.tables.insert("WHARFE_BOOKS".into(), BOOKS_TABLE);
        self.waiting.push(DataflowPlan::Query(plan));
    }

    /// What a query reads: the source of its FROM, then those of its joins.
    pub(super) fn sources(&self, query: &ast::Query) -> Result<Vec<Source>> {
        let names = [&query.from].into_iter().chain(query.joins.iter().map(|join| &join.source));
        names.map(|name| self.catalog.source(name).cloned()).collect()
    }

    pub(super) fn bind(
        &self,
        query: &ast::Query,
        sources: &[Source],
        purpose: Purpose,
    ) -> Result<SelectPlan> {
        let sources: Vec<select::Source> = sources
            .iter()
            .map(|source| select::Source {
                name: &source.name,
                kind: source.kind,
                schema: &source.schema,
                ordinal: source.ordinal,
            })
            .collect();
        bind_select(query, &sources, purpose)
    }

    pub(super) fn terminate(&mut self, id: Option<&Ident>) -> Result<Outcome> {
        let ids: Vec<String> = match id {
            None => {
                let persistent =
                    self.catalog.queries.values().filter(|q| !q.reads.is_empty()).map(|q| q.id.clone());
                persistent.chain(self.open_answers().map(|(id, _)| id.clone())).collect()
            }
            Some(id) => vec![id.name.clone()],
        };
        for query in &ids {
            let persistent = self.catalog.queries.values().filter(|q| !q.reads.is_empty());
            let known = persistent.map(|q| &q.id).find(|id| id.eq_ignore_ascii_case(query)).cloned();
            if let Some(query) = known {
                self.stop_query(&query);
            } else if self.close_answer(query) {
            } else if let Some(id) = id {
                return Err(Error::statement(format!("there is no query {query}"))
                    .at(id.span)
                    .hint("SHOW QUERIES lists what runs"));
            }
        }
        let message = match id {
            Some(_) => format!("Query {} terminated", ids[0]),
            None => format!("{} queries terminated", ids.len()),
        };
        let command_id = format!("terminate/{}/execute", ids.first().map_or("ALL", String::as_str));
        Ok(Outcome::Status(Status { message, command_id, query_id: ids.first().cloned(), terminated: true }))
    }

    pub(super) fn stop_query(&mut self, id: &str) {
        if let Some(query) = self.catalog.queries.remove(id) {
            self.uninstall(query.dataflows, Vec::new());
        }
    }

    pub(super) fn drop(
        &mut self,
        kind: SourceKind,
        if_exists: bool,
        name: &Ident,
        delete_topic: bool,
    ) -> Result<Outcome> {
        let source = match self.catalog.get(&name.name) {
            None if if_exists => {
                let message =
                    format!("there is no {} {}; nothing was done", word(kind).to_lowercase(), name.name);
                return Ok(status(message, kind, &name.name, "drop", None));
            }
            _ => self.catalog.source(name)?.clone(),
        };
        if source.kind != kind {
            let right = word(source.kind).to_uppercase();
            return Err(Error::statement(format!("{} is a {}", name.name, right.to_lowercase()))
                .at(name.span)
                .hint(format!("DROP {right} {}", name.name)));
        }
        if source.origin == Origin::System {
            return Err(Error::statement(format!("{} belongs to the engine", name.name)).at(name.span));
        }
        if delete_topic && source.read_only {
            return Err(Error::statement(format!("{} is only read: its topic is not its own", name.name))
                .at(name.span)
                .hint("leave DELETE TOPIC out"));
        }
        self.remove(&source, name)?;
        if delete_topic {
            self.writers.remove(&source.topic);
            match self.place(&source)? {
                Place::Log { dir, .. } => clear(&dir)?,
                Place::Kafka { cluster, topic } => connector::kafka::delete(&cluster, &topic)?,
                _ => {}
            }
        }
        let message = format!("{} {} dropped", word(kind), name.name);
        Ok(status(message, kind, &name.name, "drop", None))
    }

    /// Refuses to take away what a query reads or another one writes.
    pub(super) fn check_unused(&self, source: &Source, name: &Ident) -> Result<()> {
        let readers: Vec<&str> = self.catalog.readers_of(&source.name).map(|q| q.id.as_str()).collect();
        let own = |id: &str| {
            matches!(&source.origin, Origin::Derived(own) if own == id)
                || id == format!("TABLE_{}", source.name)
        };
        let writers: Vec<&str> =
            self.catalog.writers_of(&source.name).map(|q| q.id.as_str()).filter(|id| !own(id)).collect();
        if let Some(first) = readers.iter().chain(&writers).next() {
            let all: Vec<&str> = readers.iter().chain(&writers).copied().collect();
            return Err(Error::statement(format!("{} is used by {}", source.name, all.join(", ")))
                .at(name.span)
                .hint(format!("TERMINATE {first}; first")));
        }
        Ok(())
    }

    /// Takes a source out of the catalog, with the query that created it.
    pub(super) fn remove(&mut self, source: &Source, name: &Ident) -> Result<()> {
        self.check_unused(source, name)?;
        let own: Vec<String> = self.catalog.writers_of(&source.name).map(|q| q.id.clone()).collect();
        own.iter().for_each(|id| self.stop_query(id));
        let tables = self.catalog.tables.get(&source.name).copied().into_iter().collect();
        let readers = self
            .readers
            .iter()
            .filter(|((name, _), _)| *name == source.name)
            .map(|(_, (id, _))| *id)
            .collect();
        self.uninstall(readers, tables);
        self.catalog.remove(&source.name);
        Ok(())
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

pub(super) fn books_query() -> QueryPlan {
    let schema = books::schema();
    let column = |i: usize| Expr { kind: ExprKind::Column(i), ty: schema.columns[i].ty.clone() };
    let sum = aggregate::find("SUM").expect("SUM is an aggregate");
    let calls = (4..9)
        .map(|i| {
            let arg = crate::expr::function::Arg { ty: Some(&SqlType::Bigint), literal: None };
            let overload = (sum.resolve)(&[arg]).expect("SUM takes BIGINT");
            Call { text: "SUM".into(), spec: overload.spec, args: vec![column(i)], returns: overload.returns }
        })
        .collect();
    let column_of = |(i, c): (usize, &ColumnDef)| ColumnDef { part: Part::key_if(i < 4), ..c.clone() };
    let columns = schema.columns.iter().enumerate().map(column_of).collect();
    let post = (0..9).map(column).collect();
    let aggregation =
        Aggregation { keys: (0..4).map(column).collect(), window: None, calls, having: None, post };
    QueryPlan {
        id: BOOKS_QUERY,
        query: "WHARFE_BOOKS".into(),
        inputs: vec![QueryInput {
            source: "WHARFE_BOOK_ENTRIES".into(),
            topic: books::TOPIC.into(),
            from: Input::Hub(BOOKS_HUB),
            columns: 9,
            feeds: Vec::new(),
        }],
        select: SelectPlan {
            from: Relation::Scan(0),
            columns,
            filter: None,
            expand: Vec::new(),
            shape: Shape::Aggregate(aggregation),
            order_by: Vec::new(),
            limit: None,
        },
        sink: Sink::Table { table: BOOKS_TABLE, strategy: Strategy::Monoid },
        restore: BTreeMap::new(),
    }
}

/// Where a query starts to read: as the session says, else earliest in a script and latest after it.
pub(super) fn start_of(session: &Session, begun: bool) -> Result<Start> {
    let default = if begun { Start::Latest } else { Start::Earliest };
    Ok(session.start()?.unwrap_or(default))
}

fn property_status(property: &str, message: String) -> Outcome {
    let command_id = format!("property/{property}/set");
    Outcome::Status(Status { message, command_id, query_id: None, terminated: false })
}

pub(super) fn clear(dir: &std::path::Path) -> Result<()> {
    match std::fs::remove_dir_all(dir) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
            Err(Error::runtime(format!("cannot clear {}: {}", dir.display(), reason(&e))))
        }
        _ => Ok(()),
    }
}

pub(super) fn word(kind: SourceKind) -> &'static str {
    match kind {
        SourceKind::Stream => "Stream",
        SourceKind::Table => "Table",
    }
}

pub(super) fn created(kind: SourceKind, name: &str, query_id: Option<String>) -> Outcome {
    let message = match &query_id {
        Some(id) => format!("Created query with ID {id}"),
        None => format!("{} created", word(kind)),
    };
    status(message, kind, name, "create", query_id)
}

pub(super) fn status(
    message: String,
    kind: SourceKind,
    name: &str,
    action: &str,
    query_id: Option<String>,
) -> Outcome {
    let command_id = format!("{}/{}/{action}", word(kind).to_lowercase(), crate::types::quote(name));
    Outcome::Status(Status { message, command_id, query_id, terminated: false })
}
