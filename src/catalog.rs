//! What exists: streams, tables, and the persistent queries between them.

use crate::connector::Layout;
use crate::error::{Error, Result, Span};
use crate::expr::nearest::nearest;
use crate::format::protobuf::Nullable;
use crate::format::{Format, Serialization};
use crate::plan::{DataflowId, HubId, Input, QueryInput, QueryPlan, TableId};
use crate::sql::ast::{Ident, Literal, Property, SourceKind};
use crate::types::Schema;
use std::collections::BTreeMap;

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
    pub layout: Layout,
    /// Order of declaration.
    pub ordinal: u32,
    pub statement: String,
    pub origin: Origin,
    /// CREATE SOURCE …: INSERT INTO is refused.
    pub read_only: bool,
    pub schemas: SchemaChoices,
}

impl Source {
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

#[derive(Clone, Debug, Default)]
pub struct SchemaChoice {
    pub id: Option<(u32, Span)>,
    /// Of the record or message in it.
    pub full_name: Option<String>,
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
    /// What was installed for it: itself, and the sources that only it reads.
    pub dataflows: Vec<DataflowId>,
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
}

#[derive(Default)]
pub struct Catalog {
    sources: BTreeMap<String, Source>,
    pub queries: BTreeMap<String, Query>,
    /// Hubs of the streams that queries write.
    pub hubs: BTreeMap<String, HubId>,
    /// Declared streams whose topics queries write: what comes back of it is read, so nobody reads these.
    pub outputs: BTreeMap<String, HubId>,
    /// Maintained tables.
    pub tables: BTreeMap<String, TableId>,
    /// By name, also of what is no more: what is kept of rows names them.
    pub ordinals: BTreeMap<String, u32>,
    pub query_numbers: u32,
}

impl Catalog {
    pub fn get(&self, name: &str) -> Option<&Source> {
        self.sources.get(name)
    }

    /// The source of that name, or an error that names the nearest one.
    pub fn source(&self, name: &Ident) -> Result<&Source> {
        self.sources.get(&name.name).ok_or_else(|| {
            let error = Error::statement(format!("there is no stream or table {}", name.name)).at(name.span);
            let names = self.sources.keys().map(String::as_str);
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

    pub fn sources(&self, kind: SourceKind) -> impl Iterator<Item = &Source> {
        self.sources.values().filter(move |s| s.kind == kind)
    }

    /// What writes a topic by itself, other than `name`: a derived stream or table, or the engine.
    pub fn writes_topic(&self, topic: &str, name: &str) -> Option<&Source> {
        let mut others = self.sources.values().filter(|s| s.topic == topic && s.name != name);
        others.find(|s| s.origin != Origin::Declared)
    }

    pub fn insert(&mut self, source: Source) {
        self.sources.insert(source.name.clone(), source);
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
        self.queries.values().filter(move |q| q.reads.iter().any(|read| read == name))
    }

    /// Ordinals of the declared streams and tables that the records of a stream come from.
    pub fn feeds_of(&self, name: &str) -> Vec<u32> {
        let Some(source) = self.sources.get(name) else { return Vec::new() };
        let own = (!matches!(source.origin, Origin::Derived(_))).then_some(source.ordinal);
        let read = self.writers_of(name).flat_map(|writer| &writer.reads);
        let mut all: Vec<u32> = read.flat_map(|read| self.feeds_of(read)).chain(own).collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    pub fn writers_of<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Query> {
        self.queries.values().filter(move |q| q.writes == name)
    }

    /// Whether rows of `from` can reach `to` through queries.
    pub fn feeds(&self, from: &str, to: &str) -> bool {
        from == to || self.readers_of(from).any(|q| self.feeds(&q.writes, to))
    }
}

/// What VALUE_FORMAT and its like may name.
pub const FORMATS: &str = "formats: AVRO, DELIMITED, JSON, JSON_SR, KAFKA, NONE, PROTOBUF, PROTOBUF_NOSR";

/// The properties of a WITH clause, understood.
#[derive(Clone, Debug, Default)]
pub struct With {
    pub topic: Option<String>,
    pub key_format: Option<(Format, Span)>,
    pub value_format: Option<(Format, Span)>,
    pub partitions: Option<u32>,
    pub replicas: Option<u16>,
    pub timestamp: Option<(String, Span)>,
    pub timestamp_format: Option<String>,
    pub query_id: Option<String>,
    pub schemas: SchemaChoices,
}

const PROPERTIES: &[&str] = &[
    "KAFKA_TOPIC",
    "FORMAT",
    "KEY_FORMAT",
    "VALUE_FORMAT",
    "PARTITIONS",
    "REPLICAS",
    "RETENTION_MS",
    "TIMESTAMP",
    "TIMESTAMP_FORMAT",
    "WRAP_SINGLE_VALUE",
    "KEY_DELIMITER",
    "VALUE_DELIMITER",
    "QUERY_ID",
    "KEY_SCHEMA_ID",
    "VALUE_SCHEMA_ID",
    "KEY_SCHEMA_FULL_NAME",
    "VALUE_SCHEMA_FULL_NAME",
    "VALUE_AVRO_SCHEMA_FULL_NAME",
    "KEY_PROTOBUF_NULLABLE_REPRESENTATION",
    "VALUE_PROTOBUF_NULLABLE_REPRESENTATION",
];

impl With {
    pub fn parse(properties: &[Property]) -> Result<With> {
        let text = |name: &str| properties.iter().rev().find(|p| p.name.name == name);
        for property in properties {
            let name = &property.name;
            if !PROPERTIES.contains(&name.name.as_str()) {
                let error = Error::statement(format!("unknown property {}", name.name)).at(name.span);
                return Err(match nearest(&name.name, PROPERTIES.iter().copied()) {
                    Some(near) => error.hint(format!("did you mean {near}?")),
                    None => error.hint(format!("known properties: {}", PROPERTIES.join(", "))),
                });
            }
        }
        let wrap = match text("WRAP_SINGLE_VALUE") {
            None => true,
            Some(p) => match &p.value {
                Literal::Boolean(b) => *b,
                _ => return Err(needs(p, "true or false")),
            },
        };
        let format = |names: [&str; 2], delimiter: &str, nullable: &str| -> Result<Option<(Format, Span)>> {
            let Some(property) = names.iter().find_map(|n| text(n)) else { return Ok(None) };
            let delimiter = text(delimiter).map(parse_delimiter).transpose()?;
            let nullable = text(nullable).map(parse_nullable).transpose()?.unwrap_or(Nullable::Plain);
            Ok(Some((parse_format(property, delimiter, wrap, nullable)?, property.value_span)))
        };
        for (side, names) in [("KEY", ["KEY_FORMAT", "FORMAT"]), ("VALUE", ["VALUE_FORMAT", "FORMAT"])] {
            let format = names.iter().find_map(|n| text(n)).map(string).transpose()?;
            let is_protobuf = format.is_some_and(|name| name.to_uppercase().starts_with("PROTOBUF"));
            let nullable = text(&format!("{side}_PROTOBUF_NULLABLE_REPRESENTATION"));
            if let Some(property) = nullable.filter(|_| !is_protobuf) {
                return Err(Error::statement(format!(
                    "{} needs {side}_FORMAT='PROTOBUF'",
                    property.name.name
                ))
                .at(property.name.span));
            }
            if let (true, true, "VALUE", Some(property)) =
                (is_protobuf, !wrap, side, text("WRAP_SINGLE_VALUE"))
            {
                return Err(Error::statement("PROTOBUF has no values without a message around them")
                    .at(property.name.span)
                    .hint("leave out WRAP_SINGLE_VALUE"));
            }
        }
        let choice = |id: &str, full_names: &[&str]| -> Result<SchemaChoice> {
            let id = text(id).map(|p| Ok::<_, Error>((parse_schema_id(p)?, p.value_span))).transpose()?;
            let full_name = full_names.iter().find_map(|n| text(n)).map(string).transpose()?;
            Ok(SchemaChoice { id, full_name })
        };
        if let (Some(both), Some(_)) = (text("FORMAT"), text("KEY_FORMAT").or(text("VALUE_FORMAT"))) {
            return Err(Error::statement("FORMAT stands for KEY_FORMAT and VALUE_FORMAT and excludes them")
                .at(both.name.span));
        }
        Ok(With {
            topic: text("KAFKA_TOPIC").map(string).transpose()?,
            key_format: format(
                ["KEY_FORMAT", "FORMAT"],
                "KEY_DELIMITER",
                "KEY_PROTOBUF_NULLABLE_REPRESENTATION",
            )?,
            value_format: format(
                ["VALUE_FORMAT", "FORMAT"],
                "VALUE_DELIMITER",
                "VALUE_PROTOBUF_NULLABLE_REPRESENTATION",
            )?,
            partitions: text("PARTITIONS").map(|p| number(p, 10_000)).transpose()?,
            replicas: text("REPLICAS").map(|p| Ok::<_, Error>(number(p, 1_000)? as u16)).transpose()?,
            timestamp: text("TIMESTAMP")
                .map(|p| Ok::<_, Error>((column_name(&string(p)?), p.value_span)))
                .transpose()?,
            timestamp_format: text("TIMESTAMP_FORMAT").map(string).transpose()?,
            query_id: text("QUERY_ID").map(string).transpose()?,
            schemas: SchemaChoices {
                key: choice("KEY_SCHEMA_ID", &["KEY_SCHEMA_FULL_NAME"])?,
                value: choice("VALUE_SCHEMA_ID", &["VALUE_SCHEMA_FULL_NAME", "VALUE_AVRO_SCHEMA_FULL_NAME"])?,
            },
        })
    }
}

fn needs(property: &Property, what: &str) -> Error {
    Error::statement(format!("{} needs {what}", property.name.name)).at(property.value_span)
}

fn string(property: &Property) -> Result<String> {
    match &property.value {
        Literal::String(text) => Ok(text.clone()),
        _ => Err(needs(property, "a string in single quotes")),
    }
}

/// A column named in a string follows the rules of identifiers.
fn column_name(text: &str) -> String {
    match text.strip_prefix('`').and_then(|t| t.strip_suffix('`')) {
        Some(inner) => inner.to_string(),
        None => text.to_uppercase(),
    }
}

fn number(property: &Property, most: u32) -> Result<u32> {
    match property.value {
        Literal::Integer(n) if (1..=most.into()).contains(&n) => Ok(n as u32),
        _ => Err(needs(property, &format!("a number from 1 to {most}"))),
    }
}

fn parse_schema_id(property: &Property) -> Result<u32> {
    match property.value {
        Literal::Integer(id) if (1..=i64::from(i32::MAX)).contains(&id) => Ok(id as u32),
        _ => Err(needs(property, "the number that the registry gave the schema")),
    }
}

fn parse_delimiter(property: &Property) -> Result<u8> {
    match string(property)?.as_str() {
        "SPACE" => Ok(b' '),
        "TAB" => Ok(b'\t'),
        text => match text.as_bytes() {
            [byte] if byte.is_ascii() && !matches!(byte, b'"' | b'\n' | b'\r') => Ok(*byte),
            _ => Err(needs(property, "one ASCII character, SPACE or TAB")),
        },
    }
}

fn parse_nullable(property: &Property) -> Result<Nullable> {
    match string(property)?.to_uppercase().as_str() {
        "OPTIONAL" => Ok(Nullable::Optional),
        "WRAPPER" => Ok(Nullable::Wrapper),
        _ => Err(needs(property, "'OPTIONAL' or 'WRAPPER'")),
    }
}

fn parse_format(
    property: &Property,
    delimiter: Option<u8>,
    wrap_single: bool,
    nullable: Nullable,
) -> Result<Format> {
    let name = string(property)?.to_uppercase();
    match name.as_str() {
        "NONE" => Ok(Format::None),
        "DELIMITED" => Ok(Format::Delimited { delimiter: delimiter.unwrap_or(b',') }),
        "JSON" => Ok(Format::Json { wrap_single }),
        "KAFKA" => Ok(Format::Kafka),
        "JSON_SR" => Ok(Format::JsonSr { wrap_single }),
        "AVRO" => Ok(Format::Avro { wrap_single }),
        "PROTOBUF" => Ok(Format::Protobuf { nullable }),
        "PROTOBUF_NOSR" => Ok(Format::ProtobufNoSr { nullable }),
        _ => Err(Error::statement(format!("unknown format {name}")).at(property.value_span).hint(FORMATS)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
                layout: Layout::default(),
                ordinal: 1,
                statement: String::new(),
                origin: Origin::Declared,
                read_only,
                schemas: SchemaChoices::default(),
            });
            assert!(catalog.source(&name(source)).is_ok());
        }
        assert!(catalog.writable(&name("COPY")).is_ok());
        assert_eq!(catalog.writable(&name("FEED")).unwrap_err().message, "FEED is only read");
    }
}
