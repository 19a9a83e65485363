//! SELECT and PRINT: what they answer and from where. [`super::serve`] begins the answers.

use super::answers::AnswerKind;
use super::collections;
use super::draft::{Draft, Feed, Messages, Opening};
use super::local::{self, About, Until};
use super::rules::{check_compiles, check_order, check_persistent, check_shape, fit, start_of};
use super::session::Session;
use super::world::Watcher;
use crate::catalog::{Origin, Source};
use crate::connector::Start;
use crate::error::{Code, Error, Result};
use crate::plan::select::Purpose;
use crate::plan::{DataflowPlan, Input, Lookup, QueryInput, QueryPlan, SelectPlan, Shape, Sink, Strategy};
use crate::sql::ast::{self, Ident, Parsed, SourceKind, Statement};
use crate::types::{ColumnDef, Part, Schema, SqlType};
use std::sync::Arc;

impl Draft<'_> {
    pub(super) fn select(
        &mut self,
        parsed: &Parsed,
        query: &ast::Query,
        session: &Session,
    ) -> Result<Opening> {
        let read = query.from.name().unwrap_or("QUERY");
        let id = format!("transient_{read}_{}", self.base.shared.answers.next_number());
        let sources = self.sources(query, &id, session)?;
        let mut select = self.bind(query, &sources, Purpose::Answer)?;
        collections::limit(&mut select, session)?;
        check_compiles(&select)?;
        if query.emit.is_some() && !select.order_by.is_empty() {
            return Err(Error::statement("ORDER BY needs an answer that ends")
                .at(query.span)
                .hint("leave out EMIT CHANGES"));
        }
        if query.emit.is_some() && query.offset.is_some() {
            return Err(Error::statement("OFFSET skips the first rows of an answer that ends")
                .at(query.span)
                .hint("leave out EMIT CHANGES, or OFFSET"));
        }
        if query.emit.is_none() || self.base.once {
            check_order(&sources, &select, query)?;
            self.check_order_of_parts()?;
        }
        let columns = select.columns.clone();
        let push = query.emit.is_some() && !self.base.once;
        let from = match push {
            true => self.push(&id, parsed, &sources, select, session)?,
            false => self.pull(&id, &parsed.text, sources, select).map_err(|e| e.at(query.span))?,
        };
        self.forget_ordinals(&id);
        let kind = match &from {
            _ if push => AnswerKind::Push,
            Feed::Table { .. } => AnswerKind::Pull,
            _ => AnswerKind::PullStream,
        };
        Ok(Opening { id, kind, columns, from })
    }

    /// An answer that ends.
    fn pull(&mut self, id: &str, sql: &str, sources: Vec<Source>, select: SelectPlan) -> Result<Feed> {
        let (sources, selects) = self.chain(sources, select);
        self.keep_parts(&sources)?;
        let source = &sources[0];
        match source.kind {
            _ if !selects[0].from.is_scan() => self.pull_derived(id, sql, &sources, selects),
            SourceKind::Table => self.pull_table(source, selects),
            SourceKind::Stream if self.is_linear(source) => self.read_stream(id, source, selects, Until::End),
            SourceKind::Stream => self.pull_derived(id, sql, &sources, selects),
        }
    }

    /// All workers are asked for a table's rows at one closed tick.
    fn pull_table(&self, source: &Source, selects: Vec<SelectPlan>) -> Result<Feed> {
        if !self.world.begun {
            return Err(Error::statement("a table can be asked when the script has begun"));
        }
        Ok(Feed::Table {
            table: self.table_of(source)?,
            types: source.schema.columns.iter().map(|c| c.ty.clone()).collect(),
            lookup: Lookup::of(selects[0].filter.as_ref(), &source.schema),
            filter: selects[0].filter.clone(),
            selects,
        })
    }

    fn read_stream(
        &mut self,
        id: &str,
        source: &Source,
        selects: Vec<SelectPlan>,
        until: Until,
    ) -> Result<Feed> {
        let mut ways = self.ways(source)?;
        let mut surveyed = Ok(());
        for way in &mut ways {
            // All that are missing are asked for together.
            match self.survey(&way.source.place, false) {
                Ok(survey) => way.source.survey = survey,
                Err(error) => surveyed = Err(error),
            }
        }
        surveyed?;
        let about = About { id: id.into(), source: source.name.clone(), topic: source.topic.clone() };
        Ok(Feed::Sources { ways, selects, until, about })
    }

    fn push(
        &mut self,
        id: &str,
        parsed: &Parsed,
        sources: &[Source],
        select: SelectPlan,
        session: &Session,
    ) -> Result<Feed> {
        self.check_room(parsed)?;
        let start = start_of(session, self.world.begun)?;
        self.follow(id, &parsed.text, sources, select, start)
    }

    /// An answer that goes on, by dataflows of its own unless one thread can read all that it reads.
    pub(super) fn follow(
        &mut self,
        id: &str,
        sql: &str,
        sources: &[Source],
        select: SelectPlan,
        start: Start,
    ) -> Result<Feed> {
        self.keep_parts(sources)?;
        let mut watcher = Watcher {
            sql: sql.into(),
            reads: sources.to_vec(),
            select: select.clone(),
            parts: self.parts.clone(),
            dataflows: Vec::new(),
            tables: Vec::new(),
        };
        let (read, selects) = self.chain(sources.to_vec(), select.clone());
        let grouped = |select: &SelectPlan| matches!(select.shape, Shape::Aggregate(_));
        let linear = selects[0].from.is_scan() && self.is_linear(&read[0]);
        let of_stream = read[0].kind == SourceKind::Stream && !selects.iter().any(grouped);
        if of_stream && linear && start == Start::Earliest {
            let feed = self.read_stream(id, &read[0], selects, Until::Closed)?;
            self.watch(id, watcher);
            return Ok(feed);
        }
        self.run_parts(id, sql, start)?;
        let (grouped, limit) = (grouped(&select), select.limit);
        let mut plans = Vec::new();
        let inputs = self.inputs((sources, &select.from), start, &mut plans, &mut watcher.dataflows)?;
        let watch = QueryPlan {
            id: self.world.id(),
            query: id.into(),
            inputs,
            select: SelectPlan { limit: None, ..select },
            sink: Sink::Answer { answer: id.into(), start, placed: self.for_answer.is_some() },
            restore: Default::default(),
            durable: false,
            emission: self.base.emission,
            closes_at_end: false,
            goes_on: false,
        };
        let watch = match grouped {
            true => self.watch_groups(watch, &mut plans, &mut watcher),
            false => watch,
        };
        watcher.dataflows.push(watch.id);
        plans.push(DataflowPlan::Query(watch));
        self.give_parts(id, &mut watcher);
        self.watch(id, watcher);
        self.install(plans);
        Ok(Feed::Dataflows { limit })
    }

    fn watch(&mut self, id: &str, watcher: Watcher) {
        self.world.answers.insert(id.into(), Arc::new(watcher));
        self.changes = true;
    }

    /// A table of the query's own, which is then watched.
    fn watch_groups(
        &mut self,
        query: QueryPlan,
        plans: &mut Vec<DataflowPlan>,
        watcher: &mut Watcher,
    ) -> QueryPlan {
        let table = self.world.id();
        let strategy = match query.select.from.is_table(&query.inputs) {
            true => Strategy::Retractable,
            false => Strategy::Monoid,
        };
        let schema = Schema { columns: query.select.columns.clone() };
        let watch = QueryPlan {
            id: self.world.id(),
            inputs: vec![QueryInput {
                source: query.source(),
                topic: query.topic(),
                from: Input::Table(table),
                columns: schema.len(),
                feeds: Vec::new(),
            }],
            select: SelectPlan::all_of(&schema),
            ..query.clone()
        };
        watcher.dataflows.push(query.id);
        watcher.tables.push(table);
        plans.push(DataflowPlan::Query(QueryPlan { sink: Sink::Table { table, strategy }, ..query }));
        watch
    }

    fn check_room(&self, parsed: &Parsed) -> Result<()> {
        let max = self.base.push_queries_max;
        if self.base.shared.answers.pushes() < max {
            return Ok(());
        }
        Err(Error::new(Code::Limit, format!("{max} push queries are open, and no more are allowed"))
            .at(parsed.span)
            .hint("close one, or allow more: --max-push-queries"))
    }

    pub(super) fn print(
        &mut self,
        topic: &Ident,
        from_beginning: bool,
        interval: u64,
        limit: Option<u64>,
    ) -> Result<Opening> {
        let catalog = &self.world.catalog;
        let known = catalog.sources(SourceKind::Stream).chain(catalog.sources(SourceKind::Table));
        let source = known.filter(|s| s.topic == topic.name).min_by_key(|s| s.ordinal).cloned();
        let placed = self.base.topology.place(&topic.name).is_some();
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
            Some(source) if !source.events.is_empty() => self.place(source)?,
            source => self.topic_place(&topic.name, source.as_ref().map_or(1, |s| s.layout.partitions))?,
        };
        local::replayable(&place)?;
        let survey = self.survey(&place, false)?;
        let once = self.base.once;
        let messages = Messages {
            place,
            survey,
            start: if from_beginning || once { Start::Earliest } else { Start::Latest },
            until: if once { Until::End } else { Until::Closed },
            interval: interval.max(1),
            limit,
            source,
        };
        Ok(Opening {
            id: format!("print_{}_{}", topic.name, self.base.shared.answers.next_number()),
            kind: AnswerKind::Print,
            columns: vec![ColumnDef { name: "MESSAGE".into(), ty: SqlType::Varchar, part: Part::Value }],
            from: Feed::Messages(Box::new(messages)),
        })
    }

    /// Push queries that somebody still reads.
    pub(super) fn open_answers(&self) -> impl Iterator<Item = (&String, &Arc<Watcher>)> {
        self.world.answers.iter().filter(|(id, _)| self.base.shared.answers.is_push(id))
    }

    /// The plan that a statement would run, without running it.
    pub(super) fn plan_of(
        &mut self,
        parsed: &Parsed,
        session: &Session,
    ) -> Result<(Vec<Source>, SelectPlan)> {
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
        let sources = self.sources(query, "QUERY", session)?;
        let purpose = if kind.is_some() { Purpose::Persistent } else { Purpose::Answer };
        let mut select = self.bind(query, &sources, purpose)?;
        collections::limit(&mut select, session)?;
        if let Some(kind) = kind {
            check_persistent(query)?;
            select = select.keys_first();
            check_shape(kind, &sources, &select, query)?;
        }
        if let Statement::InsertSelect { target, .. } = &parsed.statement {
            select = fit(select, self.world.catalog.writable(target)?, query)?;
        }
        start_of(session, self.world.begun)?;
        Ok((sources, select))
    }
}
