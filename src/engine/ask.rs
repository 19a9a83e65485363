//! SELECT and PRINT: pulls, pushes, and the past of streams.

use super::coordinator::{Coordinator, start_of};
use super::local::{self, Until};
use super::rules::{check_compiles, check_persistent, check_shape, fit, order_sensitive};
use super::shared::{Command, PeekReply, Shared};
use super::{Answer, AnswerEvent, AnswerKind, Session};
use crate::aggregate::Key;
use crate::catalog::{Origin, Source};
use crate::connector::Start;
use crate::error::{Error, Result};
use crate::expr::{Expr, ExprKind, coerce};
use crate::plan::select::Purpose;
use crate::plan::{
    DataflowPlan, Input, QueryInput, QueryPlan, Relation, SelectPlan, Shape, Sink, Strategy, TableId,
};
use crate::render::rejects::RejectLog;
use crate::sql::ast::{self, BinaryOp, Ident, Parsed, SourceKind, Statement};
use crate::types::{ColumnDef, Part, Schema, SqlType};
use crate::value::{Value, encode_row};
use std::sync::{Arc, Mutex};
use tokio::sync::mpsc;

/// A push query that somebody reads.
pub(super) struct Watcher {
    pub sql: String,
    /// What it reads.
    pub reads: Vec<String>,
    pub select: SelectPlan,
    /// Of a query that a thread answers: told to end by this.
    closed: local::Closed,
    sender: Option<mpsc::WeakSender<AnswerEvent>>,
}

impl Coordinator {
    pub(super) fn select(
        &mut self,
        parsed: &Parsed,
        query: &ast::Query,
        session: &Session,
    ) -> Result<Answer> {
        let sources = self.sources(query)?;
        let source = sources[0].clone();
        let select = self.bind(query, &sources, Purpose::Answer)?;
        check_compiles(&select)?;
        if query.emit.is_some() && !select.order_by.is_empty() {
            return Err(Error::statement("ORDER BY needs an answer that ends")
                .at(query.span)
                .hint("leave out EMIT CHANGES"));
        }
        let of_tables = sources.iter().all(|source| source.kind == SourceKind::Table);
        if let (true, Some(text)) = (of_tables, order_sensitive(&select)) {
            return Err(Error::statement(format!(
                "{text} needs an order of arrival, and {} is a table",
                source.name
            ))
            .at(query.span));
        }
        let id = format!("transient_{}_{}", source.name, self.id());
        let columns = select.columns.clone();
        let push = query.emit.is_some() && !self.once;
        let linear = select.from.is_scan() && self.is_linear(&source);
        let rows = match (source.kind, push) {
            (_, true) => self.push(&id, &parsed.text, &sources, select, session)?,
            (SourceKind::Table, false) if linear => self.pull_table(&source, select)?,
            (SourceKind::Stream, false) if linear => {
                self.read_stream(&id, &source, select, Until::End, local::Closed::default())?
            }
            (_, false) => {
                self.pull_derived(&id, &parsed.text, &sources, select).map_err(|e| e.at(query.span))?
            }
        };
        let kind = if push { AnswerKind::Push } else { AnswerKind::Pull };
        Ok(Answer { id, kind, columns, rows })
    }

    /// Asks all workers for a table's rows at one closed tick; the rest is done by a thread.
    pub(super) fn pull_table(
        &mut self,
        source: &Source,
        select: SelectPlan,
    ) -> Result<mpsc::Receiver<AnswerEvent>> {
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
                    let batches: Vec<_> = rows
                        .chunks(8_192)
                        .map(|rows| crate::render::table::rows_to_batch(&types, rows))
                        .collect();
                    return local::answer_rows(
                        &batches,
                        &select,
                        &local::Outlet { sender, closed: local::Closed::default() },
                    );
                }
                Err(error) => AnswerEvent::Error(error),
            };
            let _ = sender.blocking_send(event);
        });
        Ok(receiver)
    }

    pub(super) fn read_stream(
        &mut self,
        id: &str,
        source: &Source,
        select: SelectPlan,
        until: Until,
        closed: local::Closed,
    ) -> Result<mpsc::Receiver<AnswerEvent>> {
        let ways = self.ways(source)?;
        let about = local::About {
            id: id.into(),
            source: source.name.clone(),
            topic: source.topic.clone(),
            log: self.reject_log()?,
        };
        let (sender, receiver) = mpsc::channel(64);
        let started_ms = self.shared.started_ms();
        let schemas = self.schemas.clone();
        std::thread::spawn(move || {
            let outlet = local::Outlet { sender, closed };
            local::answer_stream(ways, &select, &schemas, until, started_ms, &about, &outlet)
        });
        Ok(receiver)
    }

    /// The partition of the rejects' log behind those of the workers.
    fn reject_log(&mut self) -> Result<Arc<Mutex<RejectLog>>> {
        if self.rejects.is_none() {
            let log = RejectLog::open(&self.data_dir, self.shared.peers, &self.shared)?;
            self.rejects = Some(Arc::new(Mutex::new(log)));
        }
        Ok(self.rejects.clone().expect("it was just opened"))
    }

    pub(super) fn push(
        &mut self,
        id: &str,
        sql: &str,
        sources: &[Source],
        select: SelectPlan,
        session: &Session,
    ) -> Result<mpsc::Receiver<AnswerEvent>> {
        let source = &sources[0];
        let start = start_of(session, self.begun)?;
        let limit = select.limit;
        let mut watcher = Watcher {
            sql: sql.into(),
            reads: sources.iter().map(|source| source.name.clone()).collect(),
            select: select.clone(),
            closed: local::Closed::default(),
            sender: None,
        };
        let grouped = matches!(select.shape, Shape::Aggregate(_));
        let linear = select.from.is_scan() && self.is_linear(source);
        if source.kind == SourceKind::Stream && !grouped && start == Start::Earliest && linear {
            let closed = watcher.closed.clone();
            let receiver = self.read_stream(id, source, select, Until::Closed, closed)?;
            self.answers.insert(id.into(), watcher);
            return Ok(receiver);
        }
        let mut plans = Vec::new();
        let mut dataflows = Vec::new();
        let mut tables = Vec::new();
        let inputs = self.inputs((sources, &select.from), start, &mut plans, &mut dataflows)?;
        let mut watch = QueryPlan {
            id: self.id(),
            query: id.into(),
            inputs,
            select: SelectPlan { limit: None, ..select },
            sink: Sink::Answer { answer: id.into() },
            restore: Default::default(),
        };
        if grouped {
            // A table of its own, which is then watched.
            let table = self.id();
            let strategy = match watch.select.from.is_table(&watch.inputs) {
                true => Strategy::Retractable,
                false => Strategy::Monoid,
            };
            let all = watch.select.columns.iter().enumerate();
            let exprs = all.map(|(i, c)| Expr { kind: ExprKind::Column(i), ty: c.ty.clone() }).collect();
            let columns = watch.select.columns.clone();
            let aggregate = QueryPlan { sink: Sink::Table { table, strategy }, ..watch.clone() };
            watch = QueryPlan {
                id: self.id(),
                inputs: vec![QueryInput {
                    source: watch.source(),
                    topic: watch.topic(),
                    from: Input::Table(table),
                    columns: columns.len(),
                    feeds: Vec::new(),
                }],
                select: SelectPlan {
                    from: Relation::Scan(0),
                    columns,
                    filter: None,
                    expand: Vec::new(),
                    shape: Shape::Project(exprs),
                    order_by: Vec::new(),
                    limit: None,
                },
                ..watch
            };
            dataflows.push(aggregate.id);
            tables.push(table);
            plans.push(DataflowPlan::Query(aggregate));
        }
        dataflows.push(watch.id);
        plans.push(DataflowPlan::Query(watch));
        let (receiver, sender) = self.shared.open_answer(id, limit, dataflows, tables);
        watcher.sender = Some(sender);
        self.answers.insert(id.into(), watcher);
        self.install(plans)?;
        Ok(receiver)
    }

    pub(super) fn print(
        &mut self,
        topic: &Ident,
        from_beginning: bool,
        interval: u64,
        limit: Option<u64>,
    ) -> Result<Answer> {
        let known = self.catalog.sources(SourceKind::Stream).chain(self.catalog.sources(SourceKind::Table));
        let source = known.filter(|s| s.topic == topic.name).min_by_key(|s| s.ordinal).cloned();
        let placed = self.topology.place(&topic.name).is_some();
        let place = match &source {
            None if !placed => {
                return Err(Error::statement(format!("there is no topic {}", topic.name))
                    .at(topic.span)
                    .hint("SHOW TOPICS lists what there is; topic names are case-sensitive"));
            }
            Some(source) if !placed && matches!(source.origin, Origin::Derived(_)) => {
                return Err(Error::statement(format!("topic {} is not stored", topic.name))
                    .at(topic.span)
                    .hint(format!(
                        "SELECT * FROM {}; or give the topic connector = \"log\" in the topology",
                        source.name
                    )));
            }
            source => self.topic_place(&topic.name, source.as_ref().map_or(1, |s| s.layout.partitions))?,
        };
        local::replayable(&place)?;
        let declared = source.map(|source| (source, self.schemas.clone()));
        let (sender, receiver) = mpsc::channel(64);
        let until = if self.once { Until::End } else { Until::Closed };
        let start = if from_beginning || self.once { Start::Earliest } else { Start::Latest };
        std::thread::spawn(move || {
            local::print_topic(
                &place,
                start,
                until,
                interval.max(1),
                limit,
                declared,
                &local::Outlet { sender, closed: local::Closed::default() },
            )
        });
        let columns = vec![ColumnDef { name: "MESSAGE".into(), ty: SqlType::Varchar, part: Part::Value }];
        Ok(Answer {
            id: format!("print_{}_{}", topic.name, self.id()),
            kind: AnswerKind::Print,
            columns,
            rows: receiver,
        })
    }

    /// Push queries that somebody still reads.
    pub(super) fn open_answers(&self) -> impl Iterator<Item = (&String, &Watcher)> {
        self.answers.iter().filter(|(_, watcher)| watcher.open())
    }

    /// Ends a push query. False when there is none of that id that is still read.
    pub fn close_answer(&mut self, id: &str) -> bool {
        self.answers.retain(|_, watcher| watcher.open());
        let Some(id) = self.answers.keys().find(|k| k.eq_ignore_ascii_case(id)).cloned() else {
            return false;
        };
        if let Some(watcher) = self.answers.remove(&id) {
            watcher.closed.close();
            self.shared.close_answer(&id);
        }
        true
    }

    /// The plan that a statement would run, without running it.
    pub(super) fn plan_of(
        &mut self,
        parsed: &Parsed,
        session: &Session,
    ) -> Result<(Vec<String>, SelectPlan)> {
        let (query, kind) = match &parsed.statement {
            Statement::CreateAs { query, kind, .. } => (query, Some(*kind)),
            Statement::InsertSelect { query, .. } => (query, Some(SourceKind::Stream)),
            Statement::Select(query) => (query, None),
            _ => {
                return Err(Error::statement("only queries have a plan")
                    .at(parsed.span)
                    .hint("EXPLAIN a SELECT, CREATE … AS or INSERT INTO … SELECT"));
            }
        };
        let sources = self.sources(query)?;
        let purpose = if kind.is_some() { Purpose::Persistent } else { Purpose::Answer };
        let mut select = self.bind(query, &sources, purpose)?;
        if let Some(kind) = kind {
            check_persistent(query)?;
            select = select.keys_first();
            check_shape(kind, &sources, &select, query)?;
        }
        if let Statement::InsertSelect { target, .. } = &parsed.statement {
            select = fit(select, self.catalog.writable(target)?, query)?;
        }
        start_of(session, self.begun)?;
        Ok((sources.into_iter().map(|source| source.name).collect(), select))
    }
}

impl Watcher {
    fn open(&self) -> bool {
        match &self.sender {
            None => self.closed.open(),
            Some(sender) => sender.upgrade().is_some_and(|s| !s.is_closed()),
        }
    }
}

/// Asks for a table's rows until a tick is found that all workers can still read.
pub(super) fn peek(
    shared: &Shared,
    first: u64,
    table: TableId,
    keys: Option<Vec<Key>>,
    filter: Option<Expr>,
) -> Result<Vec<crate::value::Row>> {
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
pub(super) fn key_lookup(select: &SelectPlan, schema: &Schema) -> Option<Vec<Key>> {
    let mut found: Vec<Option<Value>> = vec![None; schema.identity_len()];
    let mut pending: Vec<&Expr> = select.filter.iter().collect();
    while let Some(expr) = pending.pop() {
        match &expr.kind {
            ExprKind::Binary { op: BinaryOp::And, left, right } => {
                pending.extend([left.as_ref(), right.as_ref()])
            }
            ExprKind::Binary { op: BinaryOp::Eq, left, right } => {
                let ExprKind::Column(column) = &left.kind else { continue };
                // Keys are equal by value, and found by the bytes that their own type has: 1.5 is 1.50.
                let literal = Some(right.as_ref()).filter(|right| matches!(right.kind, ExprKind::Literal(_)));
                let of_key = literal.and_then(|right| coerce(right.clone(), &left.ty));
                if let (Some(slot), Some(Expr { kind: ExprKind::Literal(value), .. })) =
                    (found.get_mut(*column), of_key)
                {
                    *slot = Some(value);
                }
            }
            _ => {}
        }
    }
    let key: Option<Vec<Value>> = found.into_iter().collect();
    key.filter(|k| !k.is_empty()).map(|key| vec![encode_row(&key)])
}
