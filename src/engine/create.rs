//! CREATE and INSERT INTO … SELECT: catalog entries, and the queries that keep them going.

use super::Session;
use super::collections;
use super::declared::{Declaration, Defaults, check_topic, derived_serialization, timestamp_expr};
use super::draft::Draft;
use super::outcome::{Outcome, created, status, unchanged, word};
use super::rules::{
    check_compiles, check_persistent, check_projection, check_shape, fit, passes_keys, start_of,
};
use super::session::{OR_REPLACE, TOPIC_PREFIX};
use super::upgrade::Successor;
use crate::aggregate::Spec;
use crate::catalog::{Origin, Query, Source, With};
use crate::connector::{Layout, Place, Start};
use crate::error::{Error, Result};
use crate::expr::{Expr, ExprKind};
use crate::format::Format;
use crate::plan::select::Purpose;
use crate::plan::{
    Aggregation, Call, DataflowPlan, Input, QueryPlan, Relation, SelectPlan, Shape, Sink, Strategy, Times,
};
use crate::sql::ast::{self, Ident, Parsed, SourceKind, Statement};
use crate::types::{ColumnDef, Schema, SqlType};
use std::sync::Arc;

/// What has the name that a CREATE wants to give.
enum Found {
    Nothing,
    /// IF NOT EXISTS is content with it.
    Enough(Outcome),
    Replaced(Box<Source>),
}

impl Draft<'_> {
    pub(super) fn create_source(&mut self, parsed: &Parsed, session: &Session) -> Result<Outcome> {
        let Statement::CreateSource {
            kind,
            read_only,
            or_replace,
            if_not_exists,
            name,
            columns: given,
            with,
        } = &parsed.statement
        else {
            unreachable!("the caller matched it")
        };
        let or_replace = may_replace(*or_replace, name, session)?;
        let found = self.under_name(*kind, name, or_replace, *if_not_exists)?;
        if let Found::Enough(status) = found {
            return Ok(status);
        }
        let with = With::parse(with)?;
        let (declared, columns) = match &with.event {
            Some(event) => (self.of_events(*kind, name, given, event)?, Vec::new()),
            None => self.of_topic(*kind, name, given, &with, session)?,
        };
        let source = Source {
            kind: *kind,
            name: name.name.clone(),
            schema: declared.schema,
            topic: declared.topic,
            serialization: declared.serialization,
            timestamp: with.time_column(),
            times: session.times()?,
            layout: declared.layout,
            ordinal: self.world.catalog.next_ordinal(&name.name),
            statement: parsed.text.clone(),
            origin: Origin::Declared,
            read_only: *read_only,
            schemas: declared.schemas,
            events: declared.events,
            part: None,
        };
        if let Some((_, span)) = &with.timestamp {
            timestamp_expr(&source).map_err(|e| e.at(*span))?;
        }
        // The place must make sense before anything starts.
        self.check_place(&source, &self.place(&source)?, &columns, name)?;
        if with.event.is_none() && !(source.read_only || self.base.dry) {
            self.register_declared(&source, given).map_err(|e| e.at(name.span))?;
        }
        if let Found::Replaced(before) = &found
            && self.is_read_now(before)
        {
            self.widen(before, source, name)?;
            return Ok(created(*kind, &name.name, None));
        }
        self.replace(found, name)?;
        self.world.catalog.insert(source);
        if *kind == SourceKind::Table {
            self.maintain(&name.name.clone(), &parsed.text)?;
        }
        Ok(created(*kind, &name.name, None))
    }

    /// What a CREATE finds under its name. What it replaces is only taken away by [`Self::replace`],
    /// when nothing can go wrong any more.
    fn under_name(
        &self,
        kind: SourceKind,
        name: &Ident,
        or_replace: bool,
        if_not_exists: bool,
    ) -> Result<Found> {
        let Some(existing) = self.world.catalog.get(&name.name) else { return Ok(Found::Nothing) };
        if if_not_exists {
            let message = format!("{} {} exists already; nothing was done", word(existing.kind), name.name);
            return Ok(Found::Enough(unchanged(message, kind, &name.name, "create")));
        }
        if !or_replace {
            return Err(Error::statement(format!("{} {} exists already", word(existing.kind), name.name))
                .at(name.span)
                .hint("DROP it first, or CREATE OR REPLACE"));
        }
        if existing.read_only {
            return Err(Error::statement(format!("{} is only read: it cannot be replaced", name.name))
                .at(name.span)
                .hint("it was created as SOURCE; DROP it first"));
        }
        if existing.origin == Origin::System || existing.kind != kind {
            return Err(Error::statement(format!(
                "{} {} cannot be replaced",
                word(existing.kind),
                name.name
            ))
            .at(name.span));
        }
        Ok(Found::Replaced(Box::new(existing.clone())))
    }

    fn replace(&mut self, found: Found, name: &Ident) -> Result<()> {
        match found {
            Found::Replaced(existing) => self.remove(&existing, name),
            _ => Ok(()),
        }
    }

    /// Keeps a declared table up to date from its topic: the latest row of each key.
    pub(super) fn maintain(&mut self, name: &str, sql: &str) -> Result<()> {
        let source = self.world.catalog.get(name).expect("it was just declared").clone();
        self.plan_table(&source)?;
        let mut plans = Vec::new();
        let (reader, hub) = self.read_topic(&source, Start::Earliest, &mut plans)?;
        let keys = source.schema.identity_len();
        let column = |(i, c): (usize, &ColumnDef)| Expr { kind: ExprKind::Column(i), ty: c.ty.clone() };
        let all: Vec<Expr> = source.schema.columns.iter().enumerate().map(column).collect();
        let call = Call {
            text: "latest row".into(),
            spec: Spec::LatestRow { columns: all.len() - keys },
            args: all[keys..].to_vec(),
            returns: SqlType::Boolean,
        };
        let aggregation = Aggregation {
            keys: all[..keys].to_vec(),
            window: None,
            calls: vec![call],
            having: None,
            post: all,
            keeps_nulls: false,
        };
        let table = self.world.id();
        let plan = QueryPlan {
            id: self.world.id(),
            query: format!("TABLE_{name}"),
            inputs: vec![source.input(Input::Hub(hub))],
            select: SelectPlan::of(
                Relation::Scan(0),
                source.schema.columns.clone(),
                Shape::Aggregate(aggregation),
            ),
            sink: Sink::Table { table, strategy: Strategy::Monoid },
            restore: self.restore(),
            durable: self.world.durable,
            emission: self.base.emission,
            closes_at_end: false,
            goes_on: self.keeps_stored(),
        };
        let query = Query {
            id: plan.query.clone(),
            sql: sql.into(),
            reads: Vec::new(),
            writes: name.into(),
            dataflows: vec![plan.id, reader],
            plan: plan.clone(),
            recorded: self.recorded(),
            paused: false,
            part_of: None,
        };
        plans.push(DataflowPlan::Query(plan));
        self.world.catalog.tables.insert(name.into(), table);
        self.world.catalog.queries.insert(query.id.clone(), Arc::new(query));
        self.install(plans);
        Ok(())
    }

    pub(super) fn create_as(&mut self, parsed: &Parsed, session: &Session) -> Result<Outcome> {
        let Statement::CreateAs { kind, or_replace, if_not_exists, name, with, query } = &parsed.statement
        else {
            unreachable!("the caller matched it")
        };
        let or_replace = may_replace(*or_replace, name, session)?;
        let found = self.under_name(*kind, name, or_replace, *if_not_exists)?;
        if let Found::Enough(status) = found {
            return Ok(status);
        }
        self.takes_over = or_replace;
        let with = With::parse(with)?;
        let sources = self.sources(query, &name.name, session)?;
        let source = sources[0].clone();
        let reads_itself = self.all_read(&sources).any(|source| source.name == name.name);
        if matches!(found, Found::Replaced(_)) && reads_itself {
            return Err(Error::statement(format!("{} would read itself", name.name)).at(query.from.span()));
        }
        self.keep_parts(&sources)?;
        check_persistent(query)?;
        let mut select = self.bind(query, &sources, Purpose::Persistent)?.keys_first();
        collections::limit(&mut select, session)?;
        check_shape(*kind, &sources, &select, query)?;
        let written = match &with.event {
            Some(event) => {
                let (declared, fitted) = self.event_target(*kind, name, event, select, query)?;
                select = fitted;
                declared
            }
            None => {
                check_projection(&sources, &select, query)?;
                self.topic_target(*kind, name, &with, &source, &select.schema(), session)?
            }
        };
        check_compiles(&select)?;
        let target = Source {
            kind: *kind,
            name: name.name.clone(),
            schema: written.schema,
            topic: written.topic,
            serialization: written.serialization,
            timestamp: with.time_column(),
            times: Times::default(),
            layout: written.layout,
            ordinal: self.world.catalog.next_ordinal(&name.name),
            statement: parsed.text.clone(),
            origin: Origin::Derived(String::new()),
            read_only: false,
            schemas: written.schemas,
            events: written.events,
            part: None,
        };
        if let Some((_, span)) = &with.timestamp {
            timestamp_expr(&target).map_err(|e| e.at(*span))?;
        }
        let new = Successor { sql: &parsed.text, sources: &sources, target, select };
        // That a key of several columns cannot be carried is a matter of what makes it.
        let keys = query.group_by.first().zip(query.group_by.last());
        let target = &new.target;
        let keys = keys.filter(|_| target.serialization.key == Format::Kafka && target.schema.key_len() > 1);
        let place = keys.map_or(name.span, |(first, last)| first.span.to(last.span));
        self.make(found, new, name, session).map_err(|e| e.at(place))
    }

    /// Starts the query of a new stream or table, or has the one that it has go on by the new statement.
    fn make(&mut self, found: Found, new: Successor, name: &Ident, session: &Session) -> Result<Outcome> {
        let (kind, mut id) = (new.target.kind, None);
        if let Found::Replaced(before) = &found {
            // The registry may refuse what the new one would write.
            self.written(&new.target)?;
            if let Some(query) = self.maker(before).filter(|_| new.target.events.is_empty()) {
                self.check_successor(before, &query, &new)?;
                if !self.is_of_tables(&query, new.sources) {
                    self.succeed(&query, new)?;
                    return Ok(created(kind, &name.name, Some(query.id)));
                }
                id = Some(query.id);
            }
        }
        self.replace(found, name)?;
        let prefix = if kind == SourceKind::Stream { "CSAS" } else { "CTAS" };
        let id = id.unwrap_or_else(|| self.world.catalog.next_query_id(&format!("{prefix}_{}", name.name)));
        let Successor { sql, sources, target, select } = new;
        let target = Source { origin: Origin::Derived(id.clone()), ..target };
        self.start_parts(&id, sql, session)?;
        self.start(&id, sql, sources, target, select, session)?;
        Ok(created(kind, &name.name, Some(id)))
    }

    /// What CREATE … AS SELECT writes to a topic of its own.
    fn topic_target(
        &self,
        kind: SourceKind,
        name: &Ident,
        with: &With,
        source: &Source,
        schema: &Schema,
        session: &Session,
    ) -> Result<Declaration> {
        let prefix = || session.properties.get(TOPIC_PREFIX).map(String::as_str).unwrap_or_default();
        let topic = with.topic.clone().unwrap_or_else(|| format!("{}{}", prefix(), name.name));
        check_topic(&topic, name)?;
        let layout =
            self.layout(&topic, with, source.layout.partitions, true).map_err(|e| e.at(name.span))?;
        Ok(Declaration {
            topic,
            schema: schema.clone(),
            serialization: derived_serialization(with, &Defaults::of(session)?, source, schema, kind)?,
            layout,
            schemas: with.schemas.clone(),
            events: Vec::new(),
        })
    }

    pub(super) fn insert_select(
        &mut self,
        parsed: &Parsed,
        target: &Ident,
        with: &[ast::Property],
        query: &ast::Query,
        session: &Session,
    ) -> Result<Outcome> {
        let with = With::parse(with)?;
        let sink = self.world.catalog.writable(target)?.clone();
        if sink.kind == SourceKind::Table || sink.origin == Origin::System {
            return Err(Error::statement(format!(
                "INSERT INTO … SELECT writes streams; {} is not one to write",
                sink.name
            ))
            .at(target.span));
        }
        let sources = self.sources(query, &sink.name, session)?;
        let is_fed = |source: &&Source| self.world.catalog.feeds(&sink.name, &source.name);
        if let Some(source) = self.all_read(&sources).find(is_fed) {
            return Err(Error::statement(format!(
                "{} is fed by {}: the rows would go round for ever",
                source.name, sink.name
            ))
            .at(query.from.span())
            .hint("insert into another stream"));
        }
        self.keep_parts(&sources)?;
        check_persistent(query)?;
        let select = self.bind(query, &sources, Purpose::Persistent)?.keys_first();
        check_shape(SourceKind::Stream, &sources, &select, query)?;
        let select = fit(select, &sink, query)?;
        let id = match with.query_id {
            Some(id) if self.world.catalog.queries.contains_key(&id) => {
                return Err(Error::statement(format!("there is a query {id} already")).at(parsed.span));
            }
            Some(id) => id,
            None => self.world.catalog.next_query_id("INSERTQUERY"),
        };
        self.start_parts(&id, &parsed.text, session).map_err(|e| e.at(target.span))?;
        self.start(&id, &parsed.text, &sources, sink, select, session).map_err(|e| e.at(target.span))?;
        let message = format!("Created query with ID {id}");
        Ok(status(message, SourceKind::Stream, &target.name, "create", Some(id)))
    }

    /// Plans and installs a persistent query.
    pub(super) fn start(
        &mut self,
        id: &str,
        sql: &str,
        sources: &[Source],
        target: Source,
        select: SelectPlan,
        session: &Session,
    ) -> Result<()> {
        self.plan_query(sources, &target, &select)?;
        let closes_at_end = self.base.once && session.closes_windows_at_end();
        let start = start_of(session, self.world.begun)?;
        self.run(id, sql, sources, target, select, (start, closes_at_end))
    }

    /// Installs a query of the catalog: a persistent one that is planned, or a part of an answer.
    pub(super) fn run(
        &mut self,
        id: &str,
        sql: &str,
        sources: &[Source],
        target: Source,
        select: SelectPlan,
        (start, closes_at_end): (Start, bool),
    ) -> Result<()> {
        let mut plans = Vec::new();
        let mut dataflows = Vec::new();
        let inputs = self.inputs((sources, &select.from), start, &mut plans, &mut dataflows)?;
        let mut sink = self.sink(&inputs, &target, &select)?;
        if let Sink::Stream { store: Some(store), .. } = &mut sink {
            store.written.passes_keys = passes_keys(sources, &select);
        }
        let plan = QueryPlan {
            id: self.world.id(),
            query: id.into(),
            inputs,
            select,
            restore: self.restore(),
            durable: self.world.durable && self.planning.is_some(),
            emission: self.base.emission,
            closes_at_end,
            goes_on: self.keeps_stored(),
            sink,
        };
        check_compiles(&plan.select)?;
        let changelog = self.changelog(&plan, &target)?;
        self.warn_of(&plan, changelog.as_ref(), sources, &target);
        dataflows.insert(0, plan.id);
        dataflows.extend(changelog.iter().map(|c| c.id));
        match plan.sink {
            Sink::Table { table, .. } => drop(self.world.catalog.tables.insert(target.name.clone(), table)),
            Sink::Stream { store: Some(_), .. } if target.origin == Origin::Declared => {}
            Sink::Stream { hub, .. } => drop(self.world.catalog.hubs.insert(target.name.clone(), hub)),
            Sink::Changelog(_) | Sink::Answer { .. } => {
                unreachable!("a persistent query writes a stream or a table")
            }
        }
        let query = Query {
            id: id.into(),
            sql: sql.into(),
            reads: sources.iter().map(|source| source.name.clone()).collect(),
            writes: target.name.clone(),
            plan: plan.clone(),
            recorded: self.recorded(),
            paused: false,
            dataflows,
            part_of: target.part.as_ref().map(|part| part.query.clone()),
        };
        self.world.catalog.queries.insert(id.into(), Arc::new(query));
        self.world.catalog.insert(target);
        plans.push(DataflowPlan::Query(plan));
        plans.extend(changelog.map(DataflowPlan::Query));
        self.install(plans);
        Ok(())
    }

    /// What a statement says of its topic, or the default. A topic on a cluster has as many partitions
    /// as it has there; it is created if it is not there.
    pub(super) fn layout(&self, topic: &str, with: &With, partitions: u32, create: bool) -> Result<Layout> {
        let layout = Layout { partitions: with.partitions.unwrap_or(partitions), replicas: with.replicas };
        let Place::Kafka { cluster, topic } = self.topic_place(topic, layout.partitions)? else {
            return Ok(layout);
        };
        if self.base.dry {
            return Ok(layout);
        }
        let found = match create {
            true => self.made(&cluster, &topic, layout)?,
            false => self.partitions(&cluster, &topic)?,
        };
        match found {
            // It is away.
            None => Ok(layout),
            Some(found) if with.partitions.is_some_and(|said| said != found) => {
                Err(cluster.mismatch(&topic, found, layout.partitions))
            }
            Some(found) => Ok(Layout { partitions: found, ..layout }),
        }
    }
}

/// The session may forbid to replace.
fn may_replace(or_replace: bool, name: &Ident, session: &Session) -> Result<bool> {
    if or_replace && !session.is_on(OR_REPLACE) {
        return Err(Error::statement("CREATE OR REPLACE is switched off")
            .at(name.span)
            .hint(format!("SET '{OR_REPLACE}' = 'true', or DROP the old one first")));
    }
    Ok(or_replace)
}
