//! What exists: streams, tables, and the persistent queries between them.

mod with;

pub use with::{FORMATS, With};

use crate::connector::{Layout, Place};
use crate::error::{Error, Result, Span};
use crate::expr::nearest::nearest;
use crate::format::{Format, Serialization};
use crate::plan::{DataflowId, HubId, Input, QueryInput, QueryPlan, TableId, Times};
use crate::registry::Resolved;
use crate::sql::ast::{Ident, SourceKind};
use crate::topology::EventName;
use crate::types::{ColumnDef, Schema, SqlType};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A stream or a table.
#[derive(Clone, Debug)]
pub struct Source {
    pub kind: SourceKind,
    pub name: String,
    pub schema: Schema,
    pub topic: String,
    pub serialization: Serialization,
    /// TIMESTAMP and TIMESTAMP_FORMAT of the WITH clause.
    pub timestamp: Option<(String, Option<String>)>,
    /// Of one that is declared.
    pub times: Times,
    pub layout: Layout,
    /// Order of declaration.
    pub ordinal: u32,
    pub statement: String,
    pub origin: Origin,
    /// CREATE SOURCE …: INSERT INTO is refused.
    pub read_only: bool,
    pub schemas: SchemaChoices,
    /// The events whose records these are; none: those of the topic.
    pub events: Vec<SourceEvent>,
    /// What a query makes for itself: no other statement sees it.
    pub part: Option<PartOf>,
}

/// An event whose records a stream or table has, as it was found when the statement was carried out.
#[derive(Clone, Debug)]
pub struct SourceEvent {
    pub name: EventName,
    /// Everywhere that its records are, each with the ordinal of its readers, as the source has one.
    pub reads: Vec<(Place, u32)>,
    /// Where they are written.
    pub writes: Place,
    pub value: Format,
    /// Its key's field, if it has one.
    pub key: Option<String>,
}

impl SourceEvent {
    /// Where the key is among a value's columns; `None`: it is not there.
    pub fn key_among(&self, values: &[&ColumnDef]) -> Option<Vec<usize>> {
        let mut parts = self.key.as_ref()?.split('.');
        let is_it = |name: &str, part: &str| name == part || name == part.to_uppercase();
        let first = parts.next()?;
        let column = values.iter().position(|column| is_it(&column.name, first))?;
        let (mut ty, mut path) = (&values[column].ty, vec![column]);
        for part in parts {
            let SqlType::Struct(fields) = ty else { return None };
            let field = fields.iter().position(|field| is_it(&field.name, part))?;
            path.push(field);
            ty = &fields[field].ty;
        }
        Some(path)
    }
}

/// A stream or table that stands for a query inside another one.
#[derive(Clone, Debug)]
pub struct PartOf {
    /// The id of the whole query.
    pub query: String,
    /// As the statement calls it.
    pub name: String,
    /// Its columns in the order of its SELECT list.
    pub selected: Vec<usize>,
}

impl Source {
    /// Whether the engine has made it for itself: rejects, books, what feeds sinks.
    pub fn is_of_the_engine(&self) -> bool {
        self.name.starts_with("WHARFE_")
    }

    /// As messages name it.
    pub fn shown(&self) -> &str {
        self.part.as_ref().map_or(&self.name, |part| &part.name)
    }

    /// As an input of a query, which gets its rows from there.
    pub fn input(&self, from: Input) -> QueryInput {
        QueryInput {
            source: self.name.clone(),
            topic: self.topic.clone(),
            from,
            columns: self.schema.len(),
            feeds: Vec::new(),
        }
    }
}

/// Which schemas of the registry a WITH clause names.
#[derive(Clone, Debug, Default)]
pub struct SchemaChoices {
    pub key: SchemaChoice,
    pub value: SchemaChoice,
}

impl SchemaChoices {
    /// Of the key's and the value's records.
    pub fn names(&self) -> [Option<&str>; 2] {
        [&self.key, &self.value].map(|choice| choice.full_name.as_deref())
    }
}

impl Source {
    /// What the key's and the value's records are called in their schemas, where it is not what the format
    /// calls them: as the statement says, or as ksqlDB calls the keys of a source.
    pub fn record_names(&self) -> [Option<String>; 2] {
        let [key, value] = self.schemas.names().map(|name| name.map(String::from));
        let is_avro = matches!(self.serialization.key, Format::Avro { .. });
        [key.or_else(|| is_avro.then(|| key_record_name(&self.name))), value]
    }
}

/// `io.confluent.ksql.avro_schemas.CarParksKey` for CAR_PARKS.
fn key_record_name(source: &str) -> String {
    let mut name = String::from("io.confluent.ksql.avro_schemas.");
    for word in source.split('_') {
        let mut letters = word.chars().filter(char::is_ascii_alphanumeric);
        name.extend(letters.next().map(|letter| letter.to_ascii_uppercase()));
        name.extend(letters.map(|letter| letter.to_ascii_lowercase()));
    }
    name + "Key"
}

#[derive(Clone, Debug, Default)]
pub struct SchemaChoice {
    pub id: Option<(u32, Span)>,
    /// Of the record or message in it.
    pub full_name: Option<String>,
    /// The schema that columns were taken from.
    pub taken: Option<Resolved>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Origin {
    /// CREATE … (columns): its topic is read.
    Declared,
    /// CREATE … AS, by the query of that id: its rows come from queries.
    Derived(String),
    /// Made by the engine.
    System,
}

/// A persistent query.
#[derive(Clone, Debug)]
pub struct Query {
    pub id: String,
    pub sql: String,
    /// Names of streams and tables; of a query that only keeps a declared table none.
    pub reads: Vec<String>,
    pub writes: String,
    pub plan: QueryPlan,
    pub recorded: Recorded,
    /// PAUSE has stopped the readers that it has of its own.
    pub paused: bool,
    /// What was installed for it: itself, and the sources that only it reads.
    pub dataflows: Vec<DataflowId>,
    /// The id of the query inside of which it stands.
    pub part_of: Option<String>,
}

/// What checkpoints record of a persistent query.
#[derive(Clone, Debug, Default)]
pub struct Recorded {
    /// Names it there, by what it writes and what it computes.
    pub key: String,
    /// It was planned as one that comes late, though the script had not begun.
    pub late: bool,
    /// The checkpoint that its first start went on from; 0: none.
    pub since: u64,
    pub base: Base,
}

/// What a query has to have in common with one whose place it takes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Base {
    /// A fingerprint of what may not change; empty: nobody takes its place.
    pub lasting: String,
    /// The columns that it has.
    pub columns: Vec<ColumnDef>,
}

/// Copies share what is large.
#[derive(Clone, Debug, Default)]
pub struct Catalog {
    sources: BTreeMap<String, Arc<Source>>,
    pub queries: BTreeMap<String, Arc<Query>>,
    /// Hubs of the streams that queries write.
    pub hubs: BTreeMap<String, HubId>,
    /// Declared streams whose topics queries write: what comes back of it is read, so nobody reads these.
    pub outputs: BTreeMap<String, HubId>,
    /// Maintained tables.
    pub tables: BTreeMap<String, TableId>,
    /// By name, also of what is no more: what is kept of rows names them.
    pub ordinals: BTreeMap<String, u32>,
    pub query_numbers: u32,
    /// CREATE TYPE
    pub types: BTreeMap<String, SqlType>,
}

impl Catalog {
    pub fn get(&self, name: &str) -> Option<&Source> {
        self.sources.get(name).map(Arc::as_ref)
    }

    /// The source of that name, or an error that names the nearest one.
    pub fn source(&self, name: &Ident) -> Result<&Source> {
        self.get(&name.name).filter(|source| source.part.is_none()).ok_or_else(|| {
            let error = Error::statement(format!("there is no stream or table {}", name.name)).at(name.span);
            let names = self.seen().map(|source| source.name.as_str());
            match nearest(&name.name, names) {
                Some(near) => error.hint(format!("did you mean {near}?")),
                None => error.hint("SHOW STREAMS and SHOW TABLES list what there is"),
            }
        })
    }

    /// As [`Catalog::source`], for a statement that writes to it.
    pub fn writable(&self, name: &Ident) -> Result<&Source> {
        let source = self.source(name)?;
        if source.read_only {
            return Err(Error::statement(format!("{} is only read", source.name))
                .at(name.span)
                .hint("it was created as SOURCE; leave SOURCE out to write to it"));
        }
        Ok(source)
    }

    /// What statements can name.
    fn seen(&self) -> impl Iterator<Item = &Source> {
        self.sources.values().map(Arc::as_ref).filter(|source| source.part.is_none())
    }

    pub fn sources(&self, kind: SourceKind) -> impl Iterator<Item = &Source> {
        self.seen().filter(move |s| s.kind == kind)
    }

    /// The topics of all streams and tables, sorted.
    pub fn topics(&self) -> Vec<String> {
        let topics: BTreeSet<&String> = self.seen().map(|source| &source.topic).collect();
        topics.into_iter().cloned().collect()
    }

    /// What writes a topic by itself, other than `name`: a derived stream or table, or the engine.
    pub fn writes_topic(&self, topic: &str, name: &str) -> Option<&Source> {
        let mut others = self.seen().filter(|s| s.topic == topic && s.name != name);
        others.find(|s| s.origin != Origin::Declared)
    }

    pub fn insert(&mut self, source: Source) {
        self.sources.insert(source.name.clone(), Arc::new(source));
    }

    pub fn remove(&mut self, name: &str) {
        self.sources.remove(name);
        self.hubs.remove(name);
        self.outputs.remove(name);
        self.tables.remove(name);
    }

    /// The ordinal of a stream or table that is made: the one that an earlier start gave the name.
    pub fn next_ordinal(&mut self, name: &str) -> u32 {
        let next = self.ordinals.values().max().map_or(1, |last| last + 1);
        *self.ordinals.entry(name.into()).or_insert(next)
    }

    /// `CSAS_NAME_3`
    pub fn next_query_id(&mut self, prefix: &str) -> String {
        self.query_numbers += 1;
        format!("{prefix}_{}", self.query_numbers)
    }

    pub fn readers_of<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Query> {
        self.queries.values().map(Arc::as_ref).filter(move |q| q.reads.iter().any(|read| read == name))
    }

    /// The same as a statement made them: the whole queries in whose parts it is read, each once.
    pub fn users_of<'a>(&'a self, name: &'a str) -> Vec<&'a Query> {
        let mut users: Vec<&Query> = Vec::new();
        for user in self.readers_of(name).map(|query| self.whole(query)) {
            if users.iter().all(|known| known.id != user.id) {
                users.push(user);
            }
        }
        users
    }

    /// The query that a query is part of, or it itself.
    pub fn whole<'a>(&'a self, query: &'a Query) -> &'a Query {
        let of = query.part_of.as_ref().and_then(|of| self.queries.get(of));
        of.map_or(query, Arc::as_ref)
    }

    /// The queries inside a query.
    pub fn queries_in<'a>(&'a self, id: &'a str) -> impl Iterator<Item = &'a Query> {
        self.queries.values().map(Arc::as_ref).filter(move |query| query.part_of.as_deref() == Some(id))
    }

    /// The names of the streams and tables that parts of a query make.
    pub fn parts_of(&self, query: &str) -> Vec<String> {
        let is_part = |source: &&Arc<Source>| source.part.as_ref().is_some_and(|part| part.query == query);
        self.sources.values().filter(is_part).map(|source| source.name.clone()).collect()
    }

    /// Ordinals of the declared streams and tables that the records of a stream come from.
    pub fn feeds_of(&self, name: &str) -> Vec<u32> {
        let Some(source) = self.sources.get(name) else { return Vec::new() };
        let is_read = !matches!(source.origin, Origin::Derived(_));
        let placed = source.events.iter().flat_map(|event| event.reads.iter().map(|(_, ordinal)| *ordinal));
        let own = [source.ordinal].into_iter().chain(placed).filter(|_| is_read);
        let read = self.writers_of(name).flat_map(|writer| &writer.reads);
        let mut all: Vec<u32> = read.flat_map(|read| self.feeds_of(read)).chain(own).collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    pub fn writers_of<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Query> {
        self.queries.values().map(Arc::as_ref).filter(move |q| q.writes == name)
    }

    /// Whether rows of `from` can reach `to` through queries.
    pub fn feeds(&self, from: &str, to: &str) -> bool {
        // Backwards: few queries write a stream, and many may read it. Each is looked at once.
        let (mut open, mut seen) = (vec![to], BTreeSet::new());
        while let Some(name) = open.pop() {
            if name == from {
                return true;
            }
            if seen.insert(name) {
                open.extend(self.writers_of(name).flat_map(|writer| &writer.reads).map(String::as_str));
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_have_records_of_their_sources_names() {
        for (source, expected) in [
            ("CAR_PARKS", "CarParksKey"),
            ("OUT2", "Out2Key"),
            ("_x__y", "XYKey"),
            ("odd name-ö", "OddnameKey"),
        ] {
            assert_eq!(key_record_name(source), format!("io.confluent.ksql.avro_schemas.{expected}"));
        }
    }

    #[test]
    fn read_only_sources_are_not_written() {
        let mut catalog = Catalog::default();
        let name = |name: &str| Ident { name: name.into(), span: Span::default() };
        for (source, read_only) in [("FEED", true), ("COPY", false)] {
            catalog.insert(Source {
                kind: SourceKind::Stream,
                name: source.into(),
                schema: Schema::default(),
                topic: "feed".into(),
                serialization: Serialization { key: Format::None, value: Format::Kafka, changelog: false },
                timestamp: None,
                times: Times::default(),
                layout: Layout::default(),
                ordinal: 1,
                statement: String::new(),
                origin: Origin::Declared,
                read_only,
                schemas: SchemaChoices::default(),
                events: Vec::new(),
                part: None,
            });
            assert!(catalog.source(&name(source)).is_ok());
        }
        assert!(catalog.writable(&name("COPY")).is_ok());
        assert_eq!(catalog.writable(&name("FEED")).unwrap_err().message, "FEED is only read");
    }
}
