//! Statements that name events: where their records are and what they look like, as the topology and the
//! events' schemas say; readers of all their places, and what is published.

use super::Engine;
use super::coordinator::Coordinator;
use super::declared::{Declaration, declared_schema};
use super::draft::Draft;
use super::insert::Insertion;
use super::outcome::word;
use super::world::World;
use crate::catalog::{Query, SchemaChoice, SchemaChoices, Source, SourceEvent};
use crate::connector::log::Ends;
use crate::connector::{Layout, Place, Start};
use crate::error::{Error, Result, Span};
use crate::expr::coerce;
use crate::expr::nearest::nearest;
use crate::format::codec::Inference;
use crate::format::protobuf::Nullable;
use crate::format::{Format, Serialization, Written, check_reads, columns_of, encoder};
use crate::plan::{DataflowPlan, SelectPlan, Shape, SourcePlan};
use crate::registry::{Kind, Resolved};
use crate::sql::ast::{self, ColumnSpec, Ident, SourceKind};
use crate::topology::{EventName, EventNames, EventUse, Events, Outbox, Outgoing, Queries, Whereabouts};
use crate::types::{ColumnDef, Part, Schema, SqlType};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The column that tells a stream's events apart, where it has several.
const EVENT_TYPE: &str = "EVENT_TYPE";

/// An event with what its schema says.
struct Known {
    at: Whereabouts,
    schema: Resolved,
    format: Format,
    columns: Vec<ColumnDef>,
}

impl Known {
    /// `span`: where EVENT names it.
    fn of(at: Whereabouts, span: Span) -> Result<Known> {
        let schema = at.schema.clone().map_err(|e| e.at(span))?;
        let format = match schema.schema.kind {
            Kind::Avro => Format::Avro { wrap_single: true },
            Kind::Json => Format::JsonSr { wrap_single: true },
            Kind::Protobuf => Format::Protobuf { nullable: Nullable::Plain },
        };
        let inferred = columns_of(&schema, false, None, Inference::default());
        let inferred = inferred.map_err(|why| {
            Error::statement(format!("no columns from the schema of event {}: {why}", at.event)).at(span)
        })?;
        let format = if inferred.bare { format.unwrapped() } else { format };
        Ok(Known { at, schema, format, columns: inferred.columns })
    }

    fn column(&self, name: &str) -> Option<&ColumnDef> {
        self.columns.iter().find(|column| column.name == name)
    }

    fn has_no(&self, column: &str) -> Error {
        let names: Vec<&str> = self.columns.iter().map(|column| column.name.as_str()).collect();
        let error = Error::statement(format!("event {} has no field for column {column}", self.at.event));
        match nearest(column, names.iter().copied()) {
            Some(near) => error.hint(format!("did you mean {near}?")),
            None => error.hint(format!("its schema has {}", names.join(", "))),
        }
    }

    fn choice(&self, span: Span) -> SchemaChoices {
        let value = SchemaChoice { id: Some((self.schema.id, span)), ..SchemaChoice::default() };
        SchemaChoices { value, ..SchemaChoices::default() }
    }
}

impl Draft<'_> {
    /// What CREATE … WITH (EVENT='…') declares: columns that are not written are those of the schema, or
    /// those that the schemas of all events have in common.
    pub(super) fn of_events(
        &mut self,
        kind: SourceKind,
        name: &Ident,
        declared: &[ColumnSpec],
        (names, span): &(EventNames, Span),
    ) -> Result<Declaration> {
        let known = self.known_events(names, *span)?;
        let columns = columns_of_events(declared, &known, name)?;
        let schema = declared_schema(kind, name, &columns)?;
        let first = &known[0];
        let layout = self.event_layout(&first.at, *span)?;
        let value = first.format;
        let schemas = if known.len() == 1 { first.choice(*span) } else { SchemaChoices::default() };
        let events = known.iter().enumerate().map(|(i, known)| self.source_event(&name.name, i, known));
        Ok(Declaration {
            topic: names.dotted(),
            schema,
            serialization: Serialization { key: Format::Kafka, value, changelog: kind == SourceKind::Table },
            layout,
            schemas,
            events: events.collect(),
        })
    }

    /// What CREATE STREAM … WITH (EVENT='…') AS SELECT writes. All columns are of the payload then, in the
    /// types of its schema; the key is what the topology says.
    pub(super) fn event_target(
        &mut self,
        kind: SourceKind,
        name: &Ident,
        (names, span): &(EventNames, Span),
        select: SelectPlan,
        query: &ast::Query,
    ) -> Result<(Declaration, SelectPlan)> {
        let wrong = |message: String, hint: &str| Err(Error::statement(message).at(*span).hint(hint));
        let Some(event) = names.single() else {
            return wrong("a query publishes one event".into(), "CREATE STREAM … AS SELECT for each of them");
        };
        if kind == SourceKind::Table {
            return wrong(
                format!("{} {} cannot be an event: what is taken out of it is none", word(kind), name.name),
                "CREATE STREAM … AS SELECT publishes rows of a stream",
            );
        }
        let known = Known::of(self.locate(event).map_err(|e| e.at(*span))?, *span)?;
        let select = fitted(select, &known, query)?;
        let schema = select.schema();
        let serialization = Serialization { key: Format::Kafka, value: known.format, changelog: false };
        let written = Written { value: Some(known.schema.clone()), ..Written::default() };
        encoder(&serialization, &schema, &written).map_err(|e| {
            Error::statement(format!("event {event}: {}", e.message))
                .at(query.span)
                .hint("add the field to the SELECT list, or register a schema that can do without it")
        })?;
        let layout = self.event_layout(&known.at, *span)?;
        let events = vec![self.source_event(&name.name, 0, &known)];
        let schemas = known.choice(*span);
        Ok((Declaration { topic: event.dotted(), schema, serialization, layout, schemas, events }, select))
    }

    fn known_events(&self, names: &EventNames, span: Span) -> Result<Vec<Known>> {
        let at = |e: Error| e.at(span);
        let events = match names {
            EventNames::Named(names) => names.clone(),
            EventNames::AllOf(namespace) => self.events_of(namespace).map_err(at)?,
        };
        if events.is_empty() {
            return Err(Error::statement("no event of the namespace has a schema that is available")
                .at(span)
                .hint("`wharfe schema list` shows what there is; wharfe schema activate ID"));
        }
        // All that are missing are asked for together.
        let found: Vec<Result<Whereabouts>> = events.iter().map(|event| self.locate(event)).collect();
        found.into_iter().map(|at| Known::of(at.map_err(|e| e.at(span))?, span)).collect()
    }

    fn source_event(&mut self, source: &str, nth: usize, known: &Known) -> SourceEvent {
        let reads = known.at.reads.iter().enumerate();
        let reads =
            reads.map(|(i, place)| (place.clone(), self.place_ordinal(source, nth, &known.at.event, i)));
        SourceEvent {
            name: known.at.event.clone(),
            reads: reads.collect(),
            writes: known.at.writes.clone(),
            value: known.format,
            key: known.at.key.clone(),
        }
    }

    /// The readers of a source's first place have its own.
    fn place_ordinal(&mut self, source: &str, nth: usize, event: &EventName, place: usize) -> u32 {
        match (nth, place) {
            (0, 0) => self.world.catalog.next_ordinal(source),
            _ => self.world.catalog.next_ordinal(&format!("{source} ({event} {place})")),
        }
    }

    /// As the topic is that is written; topics of places on clusters are made if they are not there.
    fn event_layout(&self, at: &Whereabouts, span: Span) -> Result<Layout> {
        let layout = Layout { partitions: at.partitions, replicas: None };
        let mut written = Layout { partitions: 1, ..layout };
        for place in &at.reads {
            let Place::Kafka { cluster, topic } = place else { continue };
            if self.base.dry {
                continue;
            }
            let found = self.made(cluster, topic, layout).map_err(|e| e.at(span))?;
            if *place == at.writes {
                written.partitions = found.unwrap_or(layout.partitions);
            }
        }
        Ok(written)
    }

    /// Where rows of an event are written; `None`: the source is none.
    ///
    /// # Errors
    /// Why they cannot be.
    pub(super) fn event_place(&self, target: &Source) -> Result<Option<Place>> {
        let event = match &target.events[..] {
            [] => return Ok(None),
            [event] => event,
            _ => {
                return Err(Error::statement(format!("{} has several events", target.name))
                    .hint("write to a stream of the one that is meant"));
            }
        };
        Ok(Some(match &event.writes {
            Place::Log { .. } if !self.base.dry => {
                return Err(Error::statement(format!(
                    "event {} lives in a log of the gateway, which alone writes there",
                    event.name
                ))
                .hint("start with wharfe run --gateway"));
            }
            Place::Log { .. } => Place::Event { event: event.name.to_string() },
            place => place.clone(),
        }))
    }

    /// The readers of an event source's other places, beside one of its first.
    pub(super) fn readers_beside(&mut self, source: &Source, own: &SourcePlan) -> Vec<SourcePlan> {
        let mut plans = Vec::new();
        for (nth, event) in source.events.iter().enumerate() {
            for (i, (place, ordinal)) in event.reads.iter().enumerate().filter(|(i, _)| (nth, *i) != (0, 0)) {
                let plan = SourcePlan {
                    id: self.world.id(),
                    key: key_beside(&own.key, &event.name, i),
                    ordinal: *ordinal,
                    ..own.clone()
                };
                plans.push(at_place(plan, event, place));
            }
        }
        plans
    }

    /// An event has moved: whoever reads it goes on where it is now.
    pub(super) fn follow_event(&mut self, moved: &EventName) -> Result<()> {
        let is_of = |source: &&Source| source.events.iter().any(|event| event.name == *moved);
        let kinds = [SourceKind::Stream, SourceKind::Table];
        let sources = kinds.into_iter().flat_map(|kind| self.world.catalog.sources(kind));
        let sources: Vec<Source> = sources.filter(is_of).cloned().collect();
        if sources.is_empty() {
            return Ok(());
        }
        let now = self.locate(moved)?;
        for mut source in sources {
            let nth = source.events.iter().position(|event| event.name == *moved).unwrap_or_default();
            let known = source.events[nth].reads.clone();
            let new = now.reads.iter().filter(|place| !known.iter().any(|(known, _)| known == *place));
            let mut plans = Vec::new();
            for (i, place) in new.enumerate() {
                let i = known.len() + i;
                let ordinal = self.place_ordinal(&source.name, nth, moved, i);
                source.events[nth].reads.push((place.clone(), ordinal));
                plans.extend(self.new_readers(&source, nth, i, (place, ordinal)));
            }
            self.changes |= !plans.is_empty() || source.events[nth].reads.len() > known.len();
            self.world.catalog.insert(source);
            self.install(plans.into_iter().map(DataflowPlan::Source).collect());
        }
        Ok(())
    }

    /// A reader of a place beside each that reads the event already.
    fn new_readers(
        &mut self,
        source: &Source,
        nth: usize,
        i: usize,
        (place, ordinal): (&Place, u32),
    ) -> Vec<SourcePlan> {
        let event = &source.events[nth];
        let of_first = |plan: &Arc<DataflowPlan>| match plan.as_ref() {
            DataflowPlan::Source(plan)
                if plan.source == source.name && plan.place == event.reads[0].0 && !plan.bounded =>
            {
                Some(plan.clone())
            }
            _ => None,
        };
        let owns: Vec<SourcePlan> =
            self.world.active.values().chain(&self.world.waiting).filter_map(of_first).collect();
        let mut plans = Vec::new();
        for own in owns {
            let first = key_beside("", &event.name, 0);
            let base = own.key.strip_suffix(&first).unwrap_or(&own.key);
            let plan = SourcePlan {
                id: self.world.id(),
                key: key_beside(base, &event.name, i),
                ordinal,
                // All that is there came behind what it has read.
                start: Start::Earliest,
                ..own.clone()
            };
            plans.push(at_place(plan, event, place));
        }
        plans
    }

    pub(super) fn of_first_place(&self, source: &Source, plan: SourcePlan) -> SourcePlan {
        match source.events.first() {
            Some(event) => at_place(plan, event, &event.reads[0].0),
            None => plan,
        }
    }
}

fn key_beside(key: &str, event: &EventName, place: usize) -> String {
    if key.is_empty() && place > 0 { String::new() } else { format!("{key}/{event}/{place}") }
}

/// A reader's plan for one place of an event.
fn at_place(plan: SourcePlan, event: &SourceEvent, place: &Place) -> SourcePlan {
    let typed = |column: &ColumnDef| match column.part {
        Part::EventType(_) => {
            ColumnDef { part: Part::EventType(event.name.event_type.clone()), ..column.clone() }
        }
        _ => column.clone(),
    };
    SourcePlan {
        topic: event.name.dotted(),
        place: place.clone(),
        serialization: Serialization { value: event.value, ..plan.serialization },
        schema: Schema { columns: plan.schema.columns.iter().map(typed).collect() },
        survey: Default::default(),
        ..plan
    }
}

/// The columns of a source of events: as declared and checked, else what all have in common.
fn columns_of_events(declared: &[ColumnSpec], known: &[Known], name: &Ident) -> Result<Vec<ColumnSpec>> {
    let mut columns = declared.to_vec();
    for column in columns.iter_mut().filter(|column| known.len() > 1 && column.name.name == EVENT_TYPE) {
        column.part = Part::EventType(String::new());
    }
    for column in &columns {
        check_column(column, known).map_err(|e| e.at(column.name.span))?;
    }
    let spec = |column: &ColumnDef| ColumnSpec {
        name: Ident { name: column.name.clone(), span: name.span },
        ty: column.ty.clone(),
        part: column.part.clone(),
    };
    if !declared.iter().any(|column| column.part == Part::Value) {
        let [first, others @ ..] = known else { return Ok(columns) };
        let is_common = |column: &&ColumnDef| {
            others.iter().all(|other| other.column(&column.name).is_some_and(|same| same.ty == column.ty))
        };
        let is_new = |column: &&ColumnDef| !columns.iter().any(|known| known.name.name == column.name);
        let common: Vec<_> = first.columns.iter().filter(is_common).filter(is_new).map(spec).collect();
        if common.is_empty() {
            let names: Vec<String> = known.iter().map(|known| known.at.event.to_string()).collect();
            return Err(Error::statement(format!("{} have no column in common", names.join(", ")))
                .at(name.span)
                .hint("declare the columns: where an event has none of that name, it is NULL"));
        }
        columns.extend(common);
    }
    if known.len() > 1 && !columns.iter().any(|column| column.name.name == EVENT_TYPE) {
        let part = Part::EventType(String::new());
        columns.push(spec(&ColumnDef { name: EVENT_TYPE.into(), ty: SqlType::Varchar, part }));
    }
    Ok(columns)
}

/// Whether a declared column can be read of the events; one that has it is enough.
fn check_column(column: &ColumnSpec, known: &[Known]) -> Result<()> {
    let ColumnSpec { name: Ident { name, .. }, ty, part } = column;
    let of_text = |what: &str| match ty {
        SqlType::Varchar => Ok(()),
        _ => Err(Error::statement(format!("column {name} is {ty}, and {what} are STRING"))
            .hint(format!("{name} STRING"))),
    };
    match part {
        Part::EventType(_) => return of_text("types of events"),
        Part::Key => {
            if let Some(keyless) = known.iter().find(|known| known.at.key.is_none()) {
                return Err(Error::statement(format!("event {} has no key", keyless.at.event))
                    .hint("key = \"FIELD\" in its entry in the topology, or PUT /topology/events/…; or no KEY column"));
            }
            return of_text("the keys of events");
        }
        Part::Value => {}
        Part::Headers | Part::Header(_) | Part::Window(_) => return Ok(()),
    }
    let mut having = known.iter().filter(|known| known.column(name).is_some()).peekable();
    if having.peek().is_none() {
        return Err(known[0].has_no(name));
    }
    let definition = ColumnDef { name: name.clone(), ty: ty.clone(), part: Part::Value };
    for known in having {
        let is = known.column(name).map_or(ty, |column| &column.ty);
        if is != ty && check_reads(known.format, &known.schema, &[&definition]).is_err() {
            return Err(Error::statement(format!(
                "column {name} is {ty}, and the field of event {} is {is}",
                known.at.event
            ))
            .hint(format!("{name} {is}; or leave the columns out: the schema has them")));
        }
    }
    Ok(())
}

/// A query's rows as payloads: all columns are of the value, in the types of the event's fields.
fn fitted(select: SelectPlan, known: &Known, query: &ast::Query) -> Result<SelectPlan> {
    let Shape::Project(exprs) = &select.shape else { return Ok(select) };
    let (mut columns, mut fitted) = (Vec::new(), Vec::new());
    for (column, expr) in select.columns.iter().zip(exprs) {
        let name = &column.name;
        let register =
            format!("register a schema with that change: {}", crate::topology::schema_hint(&known.at.event));
        let Some(field) = known.column(&name.to_uppercase()) else {
            let error = known.has_no(name);
            let hint = error.hint.clone().unwrap_or_default();
            return Err(Error { hint: None, ..error }
                .at(query.span)
                .hint(format!("{hint}; name it as a field with AS, leave it out, or {register}")));
        };
        let expr = coerce(expr.clone(), &field.ty).ok_or_else(|| {
            Error::statement(format!(
                "column {name} is {}, and the field of event {} is {}",
                expr.ty, known.at.event, field.ty
            ))
            .at(query.span)
            .hint(format!("CAST(… AS {}) AS {name}; or {register}", field.ty))
        })?;
        columns.push(ColumnDef { name: name.clone(), ty: field.ty.clone(), part: Part::Value });
        fitted.push(expr);
    }
    Ok(SelectPlan { columns, shape: Shape::Project(fitted), ..select })
}

impl World {
    /// What queries publish, as far as it is final.
    pub fn published(&self, logs: &BTreeMap<String, Ends>) -> Vec<Outbox> {
        let queries = self.active.values().filter_map(|plan| match plan.as_ref() {
            DataflowPlan::Query(query) => Some((query, query.stores()?)),
            DataflowPlan::Source(_) => None,
        });
        let outbox = |(query, store): (&crate::plan::QueryPlan, &crate::plan::StorePlan)| {
            let (Place::Event { event }, Some(dir)) = (&store.place, &store.outbox) else { return None };
            let writes = self.catalog.queries.get(&query.query).map(|query| query.writes.clone());
            Some(Outbox {
                event: event.parse().ok()?,
                stream: writes.unwrap_or_else(|| query.query.clone()),
                dir: dir.clone(),
                ends: logs.get(&super::checkpoint::name_of(dir)).cloned().unwrap_or_default(),
            })
        };
        queries.filter_map(outbox).collect()
    }

    /// What queries use of an event.
    fn uses(&self, event: &EventName) -> Vec<EventUse> {
        let has = |source: &Source| source.events.iter().any(|one| one.name == *event);
        let of_query = |query: &Query| {
            let mut reads: Vec<ColumnDef> = Vec::new();
            for (input, columns) in query.plan.inputs.iter().zip(query.plan.reads(None)) {
                let Some(source) = self.catalog.get(&input.source).filter(|source| has(source)) else {
                    continue;
                };
                let read = source.schema.columns.iter().zip(columns).filter(|(_, is_read)| *is_read);
                reads.extend(read.map(|(c, _)| c.clone()).filter(|c| c.part == Part::Value));
            }
            let target = self.catalog.get(&query.writes).filter(|target| has(target));
            let publishes = target.and_then(|target| target.schemas.value.id).map(|(id, _)| id);
            EventUse { query: self.catalog.whole(query).id.clone(), reads, publishes }
        };
        let all = self.catalog.queries.values().map(|query| of_query(query));
        all.filter(|of| !of.reads.is_empty() || of.publishes.is_some()).collect()
    }

    /// Whether a query publishes events.
    pub fn publishes(&self) -> bool {
        !self.published(&BTreeMap::new()).is_empty()
    }
}

impl Coordinator {
    /// Writes inserted rows, and waits until they are written.
    pub(super) fn write(&self, insertion: &Insertion) -> Result<()> {
        let Place::Event { event } = &insertion.place else { return self.inserter.write(insertion) };
        let event: EventName = event.parse().map_err(Error::statement)?;
        let outgoing = insertion.rows.iter().map(|row| Outgoing {
            timestamp: row.timestamp,
            key: row.key.as_deref().map(<[u8]>::to_vec),
            value: row.value.as_deref().unwrap_or_default().to_vec(),
        });
        self.base.events().publish(&event, &insertion.stream, outgoing.collect())
    }

    /// A checkpoint has made logs final up to there.
    pub(super) fn publish(&self, logs: &BTreeMap<String, Ends>) {
        self.base.events().deliver(self.world().published(logs));
    }
}

impl Engine {
    /// From now on who knows events is asked where they are, and publishes what queries write. The first one
    /// stays.
    pub fn set_events(&self, events: Arc<dyn Events>) -> Result<()> {
        let _ = self.coordinator()?.base.gateway.set(events);
        Ok(())
    }
}

impl Queries for Engine {
    fn follow(&self, event: &EventName) {
        let followed = self.coordinator().and_then(|coordinator| coordinator.follow_event(event));
        if let Err(error) = followed {
            tracing::warn!("queries do not read event {event} where it is now: {error}");
        }
    }

    fn uses(&self, event: &EventName) -> Vec<EventUse> {
        self.coordinator().map_or_else(|_| Vec::new(), |coordinator| coordinator.world().uses(event))
    }
}
