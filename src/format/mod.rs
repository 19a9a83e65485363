//! Formats interpret bytes, both directions; they never open a socket or a file.
//!
//! A decoder validates every declared column of every record, so that all queries agree on what is a
//! bad record, but materialises only the wanted ones. A bad record becomes a reject; the rest of its
//! batch is not touched by it. A message without a key has NULL key columns in a stream and is a reject
//! in a changelog, since a table has no row without a key. A message without a value is a row whose value
//! columns are NULL, and marked as such.

pub mod avro;
pub mod blurred;
pub mod body;
mod cell;
mod cells;
pub mod codec;
pub mod decode;
mod delimited;
pub mod encode;
mod explained;
pub mod fault;
mod field;
mod headers;
mod json;
mod kafka;
mod numbers;
pub mod output;
pub mod parts;
pub mod protobuf;
mod scan;
#[cfg(test)]
mod tests;
mod times;
mod typed;
mod wire;

use crate::batch::{Batch, Column, MessageBatch, Reject};
use crate::dialect::Dialect;
use crate::error::{Error, Result};
use crate::registry::{self, Kind, Lookups, Resolved};
use crate::types::{ColumnDef, Schema, SqlType};
use arrow_buffer::BooleanBuffer;
use codec::{Inference, Inferred};
use decode::{NoColumns, Side, Sides};
pub use delimited::missing;
use delimited::{DelimitedSide, DelimitedWriter};
use encode::{NothingWriter, TextKey, Writer, Writers};
pub use explained::push_indices;
use explained::{Explained, OneSchema, ReaderOf};
use headers::HeaderColumns;
use json::{JsonSide, JsonWriter};
use kafka::KafkaSide;
use prost_reflect::MessageDescriptor;
use protobuf::Nullable;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use wire::{Bodies, SelfDescribing, WireSide, WireWriter};

/// The formats: a format is one entry here, one in [`FORMATS`], one arm in `decoder` and `encoder`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Format {
    /// No bytes at all: keys of unkeyed streams.
    None,
    /// Separated fields, quoted where needed.
    Delimited { delimiter: u8 },
    /// A JSON value; an object unless a single column is written unwrapped.
    Json { wrap_single: bool },
    /// Kafka's primitive serialisers: one column of INT, BIGINT, DOUBLE, VARCHAR or BYTES, big-endian.
    Kafka,
    /// As JSON, behind the id of its JSON Schema.
    JsonSr { wrap_single: bool },
    /// Avro's binary encoding, behind the id of its schema.
    Avro { wrap_single: bool },
    /// Protocol Buffers, behind the id of their schema and the indices of the message in it.
    Protobuf { nullable: Nullable },
    /// Protocol Buffers alone, of the schema that the columns have.
    ProtobufNoSr { nullable: Nullable },
}

impl Format {
    /// That of the name in upper case, with the properties that it has where none are written.
    pub fn named(name: &str) -> Option<Format> {
        Some(match name {
            "NONE" => Format::None,
            "DELIMITED" => Format::Delimited { delimiter: b',' },
            "JSON" => Format::Json { wrap_single: true },
            "KAFKA" => Format::Kafka,
            "JSON_SR" => Format::JsonSr { wrap_single: true },
            "AVRO" => Format::Avro { wrap_single: true },
            "PROTOBUF" => Format::Protobuf { nullable: Nullable::Plain },
            "PROTOBUF_NOSR" => Format::ProtobufNoSr { nullable: Nullable::Plain },
            _ => return None,
        })
    }

    /// What separates fields, where that is how they are told apart.
    pub fn delimiter(self) -> Option<u8> {
        match self {
            Format::Delimited { delimiter } => Some(delimiter),
            _ => None,
        }
    }

    /// As statements write it.
    pub fn name(self) -> &'static str {
        match self {
            Format::None => "NONE",
            Format::Delimited { .. } => "DELIMITED",
            Format::Json { .. } => "JSON",
            Format::Kafka => "KAFKA",
            Format::JsonSr { .. } => "JSON_SR",
            Format::Avro { .. } => "AVRO",
            Format::Protobuf { .. } => "PROTOBUF",
            Format::ProtobufNoSr { .. } => "PROTOBUF_NOSR",
        }
    }
}

/// How a topic's messages carry the columns of a schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Serialization {
    pub key: Format,
    pub value: Format,
    /// A table's messages: one without a key is a reject, one without a value deletes its key. In a stream
    /// both are rows, with NULLs for what is not there.
    pub changelog: bool,
}

/// What became of a batch of messages.
pub struct Decoded {
    /// One entry for each column of the schema; [`Column::Absent`] where it was not wanted.
    pub columns: Vec<Column>,
    /// Which messages became rows, ascending. `None`: all of them, one row each.
    pub kept: Option<Vec<u32>>,
    /// One for each message that did not become a row, in message order.
    pub rejects: Vec<Reject>,
    /// Rows whose message had no value, where there is any; see [`Batch::deleted`].
    pub deleted: Option<BooleanBuffer>,
}

pub trait Decoder {
    /// Whether the messages can be decoded now. False: a schema of theirs is not there yet; ask again.
    fn is_ready(&mut self, messages: &MessageBatch) -> bool;

    /// `wanted` has one entry for each column of the schema.
    fn decode(&mut self, messages: &MessageBatch, wanted: &[bool]) -> Decoded;
}

/// Encoded messages: ranges into one buffer, in row order.
#[derive(Clone, Debug, Default)]
pub struct Encoded {
    pub buffer: Vec<u8>,
    pub keys: Vec<crate::batch::Range32>,
    pub values: Vec<crate::batch::Range32>,
    /// So many bytes at the end of each key do not decide its partition.
    pub key_suffix: usize,
}

impl Encoded {
    pub fn with_capacity(messages: usize, bytes: usize) -> Encoded {
        let ranges = || Vec::with_capacity(messages);
        Encoded { buffer: Vec::with_capacity(bytes), keys: ranges(), values: ranges(), key_suffix: 0 }
    }
}

pub trait Encoder {
    /// Appends one message for each row of the batch, an empty one for each that is rejected: only a
    /// schema that the topic was given has no place for a row.
    fn encode(&mut self, batch: &Batch, out: &mut Encoded) -> Vec<Reject>;
}

/// The schemas that messages are written with, where their formats have some.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Written {
    pub key: Option<Resolved>,
    pub value: Option<Resolved>,
    /// Of the key's and the value's records or messages, where the statement names them.
    pub names: [Option<String>; 2],
    /// A key of several columns that are all NULL is that of a message without a key, passed on: it has none.
    pub passes_keys: bool,
    /// Where in the value's columns the key is, as text: a column, then fields of it. Messages of events have
    /// such keys.
    pub key_in_value: Option<Vec<usize>>,
}

/// A decoder for the schema, or why the format cannot carry it.
pub fn decoder(
    serialization: &Serialization,
    schema: &Schema,
    schemas: &Lookups,
) -> Result<Box<dyn Decoder>> {
    decoder_in(None, serialization, schema, schemas, None)
}

/// The same, for messages that are laid out in a dialect. `own`: the schema that the columns of values were taken
/// from, where they were.
pub fn decoder_in(
    dialect: Option<&Dialect>,
    serialization: &Serialization,
    schema: &Schema,
    schemas: &Lookups,
    own: Option<&Resolved>,
) -> Result<Box<dyn Decoder>> {
    let plain = Dialect::default();
    let dialect = dialect.unwrap_or(&plain);
    let (mut keys, mut values) = sides(schema);
    check_keys(&keys)?;
    let mut keys_in_value = 0;
    if !dialect.key.is_empty() {
        keys_in_value = keys.len();
        values.splice(0..0, keys.drain(..));
    }
    Ok(Box::new(Sides {
        key_types: keys.iter().map(|c| c.ty.arrow()).collect(),
        headers: HeaderColumns::new(schema.headers()),
        bounds: schema.bounds(),
        key: side("key", serialization.key.of_keys(&keys), &keys, schemas, &plain, None)?,
        value: side("value", serialization.value, &values, schemas, dialect, own)?,
        changelog: serialization.changelog,
        keys_in_value,
    }))
}

/// An encoder for the schema, or why the format cannot carry it. Columns of headers are not written:
/// the batches that it gets have none.
pub fn encoder(
    serialization: &Serialization,
    schema: &Schema,
    written: &Written,
) -> Result<Box<dyn Encoder>> {
    let (keys, values) = sides(schema);
    check_keys(&keys)?;
    let [key, value] = &written.names;
    let key = match &written.key_in_value {
        Some(path) => Box::new(TextKey::new(path.clone())),
        None => writer(serialization.key.of_keys(&keys), &keys, written.key.as_ref(), key.as_deref())?,
    };
    Ok(Box::new(Writers {
        key_len: keys.len(),
        passes_keys: written.passes_keys,
        key_in_value: written.key_in_value.is_some(),
        bounds: schema.bounds(),
        key,
        value: writer(serialization.value, &values, written.value.as_ref(), value.as_deref())?,
    }))
}

/// What the columns are in the formats' schemas; the ids are given when these are registered.
///
/// `names` are those of the key's and the value's records, where the statement gives some.
pub fn unregistered(
    serialization: &Serialization,
    schema: &Schema,
    names: [Option<&str>; 2],
) -> Result<Written> {
    let (keys, values) = sides(schema);
    let [key, value] = names;
    Ok(Written {
        key: schema_of(serialization.key.of_keys(&keys), &keys, key)?,
        value: schema_of(serialization.value, &values, value)?,
        names: names.map(|name| name.map(String::from)),
        passes_keys: false,
        key_in_value: None,
    })
}

fn schema_of(format: Format, columns: &[&ColumnDef], name: Option<&str>) -> Result<Option<Resolved>> {
    let Some(kind) = format.kind() else { return Ok(None) };
    let text = match format {
        Format::JsonSr { wrap_single } => Ok(json::schema::schema_of(columns, !wrap_single)),
        Format::Avro { wrap_single } => {
            avro::schema_text(columns, !wrap_single, name.unwrap_or(avro::FULL_NAME))
        }
        Format::Protobuf { nullable } => {
            protobuf::schema_text(columns, name.unwrap_or(protobuf::FULL_NAME), nullable)
        }
        other => unreachable!("{} has no schema", other.name()),
    };
    let text = text.map_err(Error::statement)?;
    Ok(Some(Resolved { id: 0, schema: Arc::new(registry::Schema::new(kind, text)), needed: vec![] }))
}

/// The columns that a registered schema stands for; `name` is that of the record or message in it.
pub fn columns_of(
    schema: &Resolved,
    key: bool,
    name: Option<&str>,
    inference: Inference,
) -> Result<Inferred, String> {
    match schema.schema.kind {
        Kind::Json => json::schema::columns_of(schema, key, inference),
        Kind::Avro => avro::columns_of(&avro_document(schema)?, key, inference),
        Kind::Protobuf => protobuf::columns_of(&message(&protobuf_document(schema)?, name)?, key, inference),
    }
}

/// Why messages of a registered schema cannot be read into columns of a value, if that is so.
pub fn check_reads(format: Format, schema: &Resolved, columns: &[&ColumnDef]) -> Result<(), String> {
    match format {
        Format::Avro { wrap_single } => {
            avro::reader(&avro_document(schema)?, columns, !wrap_single && columns.len() == 1, None).map(drop)
        }
        Format::Protobuf { .. } => {
            protobuf::reader(&message(&protobuf_document(schema)?, None)?, columns).map(drop)
        }
        _ => Ok(()),
    }
}

fn protobuf_document(schema: &Resolved) -> Result<registry::protobuf::Document, String> {
    registry::protobuf::Document::parse(&schema.schema.text, &schema.needed)
}

/// The message of that name; without one the first.
fn message(document: &registry::protobuf::Document, name: Option<&str>) -> Result<MessageDescriptor, String> {
    match name {
        Some(name) => document.message_named(name).ok_or_else(|| format!("it has no message {name}")),
        None => document.message(&[0]).ok_or_else(|| "it has no message".to_string()),
    }
}

fn protobuf_fit(schema: &Resolved, columns: &[ColumnDef]) -> Result<ReaderOf, String> {
    let (document, columns) = (protobuf_document(schema)?, columns.to_vec());
    Ok(Box::new(move |indices| {
        let message = document.message(indices).ok_or_else(|| format!("it has no message at {indices:?}"))?;
        protobuf::reader(&message, &columns.iter().collect::<Vec<_>>())
    }))
}

fn avro_document(schema: &Resolved) -> Result<registry::avro::Document, String> {
    registry::avro::Document::parse(&schema.schema.text, &schema.needed)
}

/// Equal keys must have equal bytes, and the entries of a map have no order.
fn check_keys(keys: &[&ColumnDef]) -> Result<()> {
    fn holds_map(ty: &SqlType) -> bool {
        match ty {
            SqlType::Map(..) => true,
            SqlType::Array(item) => holds_map(item),
            SqlType::Struct(fields) => fields.iter().any(|field| holds_map(&field.ty)),
            _ => false,
        }
    }
    match keys.iter().find(|column| holds_map(&column.ty)) {
        None => Ok(()),
        Some(ColumnDef { name, ty, .. }) => Err(Error::statement(format!(
            "column {name} is {ty}: no key can hold a MAP, as its entries have no order"
        ))
        .hint("take what tells the rows apart out of the map")),
    }
}

fn sides(schema: &Schema) -> (Vec<&ColumnDef>, Vec<&ColumnDef>) {
    (schema.keys().collect(), schema.values().collect())
}

impl Format {
    /// Of the schemas that the registry has for it.
    pub fn kind(self) -> Option<Kind> {
        match self {
            Format::JsonSr { .. } => Some(Kind::Json),
            Format::Avro { .. } => Some(Kind::Avro),
            Format::Protobuf { .. } => Some(Kind::Protobuf),
            Format::None
            | Format::Delimited { .. }
            | Format::Json { .. }
            | Format::Kafka
            | Format::ProtobufNoSr { .. } => None,
        }
    }

    /// As itself, with a single column as the whole message.
    pub fn unwrapped(self) -> Format {
        match self {
            Format::Json { .. } => Format::Json { wrap_single: false },
            Format::JsonSr { .. } => Format::JsonSr { wrap_single: false },
            Format::Avro { .. } => Format::Avro { wrap_single: false },
            other => other,
        }
    }

    /// Whether a key of one column is that column's value, not a record with it.
    pub fn unwraps_keys(self) -> bool {
        matches!(self, Format::Json { .. } | Format::JsonSr { .. } | Format::Avro { .. })
    }

    /// The format that keys are written in: none where there is no key, and a key of one column is
    /// not wrapped in an object.
    fn of_keys(self, keys: &[&ColumnDef]) -> Format {
        match self {
            _ if keys.is_empty() => Format::None,
            other => other.unwrapped(),
        }
    }
}

fn side(
    part: &'static str,
    format: Format,
    columns: &[&ColumnDef],
    schemas: &Lookups,
    dialect: &Dialect,
    own: Option<&Resolved>,
) -> Result<Box<dyn Side>> {
    Ok(match format {
        Format::None => {
            no_columns(columns)?;
            Box::new(NoColumns)
        }
        Format::Delimited { delimiter } => Box::new(DelimitedSide::new(delimiter, columns, dialect)?),
        Format::Json { wrap_single } => Box::new(JsonSide::new(columns, !wrap_single)?),
        Format::Kafka => Box::new(KafkaSide::new(columns)?),
        Format::JsonSr { wrap_single } => {
            let bodies = SelfDescribing(JsonSide::new(columns, !wrap_single)?);
            Box::new(WireSide::new(part, Kind::Json, schemas, bodies))
        }
        Format::Avro { wrap_single } => {
            let own = own.map(avro_document).transpose().map_err(Error::statement)?.map(Arc::new);
            let fit = move |schema: &Resolved, columns: &[ColumnDef]| -> Result<ReaderOf, String> {
                let (document, columns, own) = (avro_document(schema)?, columns.to_vec(), own.clone());
                let reader = move |_: &[usize]| {
                    let columns: Vec<&ColumnDef> = columns.iter().collect();
                    avro::reader(&document, &columns, !wrap_single && columns.len() == 1, own.as_deref())
                };
                // Whether the columns fit is said for the schema, not for each message.
                reader(&[])?;
                Ok(Box::new(reader))
            };
            Box::new(WireSide::new(part, Kind::Avro, schemas, Explained::new(columns, false, fit)))
        }
        Format::Protobuf { .. } => Box::new(WireSide::new(
            part,
            Kind::Protobuf,
            schemas,
            Explained::new(columns, true, protobuf_fit),
        )),
        Format::ProtobufNoSr { nullable } => {
            let text = protobuf::schema_text(columns, protobuf::FULL_NAME, nullable);
            let schema = registry::Schema::new(Kind::Protobuf, text.map_err(Error::statement)?);
            let schema = Resolved { id: 0, schema: Arc::new(schema), needed: vec![] };
            let fit = |schema: &Resolved, columns: &[ColumnDef]| -> Result<ReaderOf, String> {
                let reader_of = protobuf_fit(schema, columns)?;
                Ok(Box::new(move |_| reader_of(&[0])))
            };
            let mut bodies = Explained::new(columns, false, fit);
            bodies.learn(&schema).map_err(Error::statement)?;
            Box::new(OneSchema(bodies))
        }
    })
}

fn writer(
    format: Format,
    columns: &[&ColumnDef],
    written: Option<&Resolved>,
    name: Option<&str>,
) -> Result<Box<dyn Writer>> {
    let schema = || {
        written.ok_or_else(|| {
            Error::statement(format!("{} is written with a schema, and there is none", format.name()))
        })
    };
    let refused = |schema: &Resolved| {
        let id = schema.id;
        move |why: String| Error::statement(if id == 0 { why } else { format!("schema {id}: {why}") })
    };
    Ok(match format {
        Format::None => {
            no_columns(columns)?;
            Box::new(NothingWriter)
        }
        Format::Delimited { delimiter } => Box::new(DelimitedWriter::new(delimiter, columns)?),
        Format::Json { wrap_single } => Box::new(JsonWriter::new(columns, !wrap_single)?),
        Format::Kafka => Box::new(KafkaSide::new(columns)?),
        Format::JsonSr { wrap_single } => {
            let schema = schema()?;
            json::schema::check_fits(schema, columns, !wrap_single).map_err(refused(schema))?;
            Box::new(WireWriter::new(schema.id, &[], JsonWriter::new(columns, !wrap_single)?))
        }
        Format::Avro { wrap_single } => {
            let schema = schema()?;
            let bare = !wrap_single && columns.len() == 1;
            let document = avro_document(schema).map_err(refused(schema))?;
            let bodies = avro::writer(&document, columns, bare).map_err(refused(schema))?;
            Box::new(WireWriter::new(schema.id, &[], bodies))
        }
        Format::Protobuf { .. } => {
            let schema = schema()?;
            let document = protobuf_document(schema).map_err(refused(schema))?;
            let message = message(&document, name).map_err(refused(schema))?;
            let mut indices = Vec::new();
            push_indices(&registry::protobuf::path_of(&message), &mut indices);
            let bodies = protobuf::writer(&message, columns).map_err(refused(schema))?;
            Box::new(WireWriter::new(schema.id, &indices, bodies))
        }
        Format::ProtobufNoSr { nullable } => {
            let text = protobuf::schema_text(columns, protobuf::FULL_NAME, nullable);
            let document = registry::protobuf::Document::parse(&text.map_err(Error::statement)?, &[]);
            let message = document.and_then(|document| message(&document, None)).map_err(Error::statement)?;
            Box::new(protobuf::writer(&message, columns).map_err(Error::statement)?)
        }
    })
}

fn no_columns(columns: &[&ColumnDef]) -> Result<()> {
    match columns {
        [] => Ok(()),
        [column, ..] => Err(Error::statement(format!("column {}: NONE carries no columns", column.name))
            .hint("give a format that does, such as KAFKA for a key of one column")),
    }
}
