//! Formats interpret bytes, both directions; they never open a socket or a file.
//!
//! A decoder validates every declared column of every record, so that all queries agree on what is a
//! bad record, but materialises only the wanted ones. A bad record becomes a reject; the rest of its
//! batch is not touched by it. A message without a key has NULL key columns in a stream and is a reject
//! in a changelog, since a table has no row without a key.

pub mod avro;
pub mod body;
mod cell;
mod cells;
pub mod codec;
pub mod decode;
mod delimited;
pub mod encode;
pub mod fault;
mod field;
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

use crate::batch::{Batch, Column, MessageBatch, Reject};
use crate::error::{Error, Result};
use crate::types::{ColumnDef, Schema};
use arrow_buffer::BooleanBuffer;
use decode::{NoColumns, Side, Sides};
use delimited::{DelimitedSide, DelimitedWriter};
use encode::{NothingWriter, Writer, Writers};
use json::{JsonSide, JsonWriter};
use kafka::KafkaSide;
use serde::{Deserialize, Serialize};

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
}

impl Format {
    /// As statements write it.
    pub fn name(self) -> &'static str {
        match self {
            Format::None => "NONE",
            Format::Delimited { .. } => "DELIMITED",
            Format::Json { .. } => "JSON",
            Format::Kafka => "KAFKA",
        }
    }
}

/// How a topic's messages carry the columns of a schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Serialization {
    pub key: Format,
    pub value: Format,
    /// A table's messages: a message without a value deletes its key; in a stream it is a reject.
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
    /// Changelogs only, where there is any: rows that delete their key.
    pub deleted: Option<BooleanBuffer>,
}

pub trait Decoder {
    /// `wanted` has one entry for each column of the schema.
    fn decode(&mut self, messages: &MessageBatch, wanted: &[bool]) -> Decoded;
}

/// Encoded messages: ranges into one buffer, in row order.
#[derive(Clone, Debug, Default)]
pub struct Encoded {
    pub buffer: Vec<u8>,
    pub keys: Vec<crate::batch::Range32>,
    pub values: Vec<crate::batch::Range32>,
}

pub trait Encoder {
    /// Appends one message for each row of the batch.
    fn encode(&mut self, batch: &Batch, out: &mut Encoded);
}

/// A decoder for the schema, or why the format cannot carry it.
pub fn decoder(serialization: &Serialization, schema: &Schema) -> Result<Box<dyn Decoder>> {
    let (keys, values) = sides(schema);
    Ok(Box::new(Sides {
        key_types: keys.iter().map(|c| c.ty.arrow()).collect(),
        key: side(serialization.key.of_keys(&keys), &keys)?,
        value: side(serialization.value, &values)?,
        changelog: serialization.changelog,
    }))
}

/// An encoder for the schema, or why the format cannot carry it.
pub fn encoder(serialization: &Serialization, schema: &Schema) -> Result<Box<dyn Encoder>> {
    let (keys, values) = sides(schema);
    Ok(Box::new(Writers {
        key_len: keys.len(),
        key: writer(serialization.key.of_keys(&keys), &keys)?,
        value: writer(serialization.value, &values)?,
    }))
}

fn sides(schema: &Schema) -> (Vec<&ColumnDef>, Vec<&ColumnDef>) {
    schema.columns.iter().partition(|column| column.key)
}

impl Format {
    /// The format that keys are written in: none where there is no key, and a key of one column is
    /// not wrapped in an object.
    fn of_keys(self, keys: &[&ColumnDef]) -> Format {
        match self {
            _ if keys.is_empty() => Format::None,
            Format::Json { .. } => Format::Json { wrap_single: false },
            other => other,
        }
    }
}

fn side(format: Format, columns: &[&ColumnDef]) -> Result<Box<dyn Side>> {
    Ok(match format {
        Format::None => {
            no_columns(columns)?;
            Box::new(NoColumns)
        }
        Format::Delimited { delimiter } => Box::new(DelimitedSide::new(delimiter, columns)?),
        Format::Json { wrap_single } => Box::new(JsonSide::new(columns, !wrap_single)?),
        Format::Kafka => Box::new(KafkaSide::new(columns)?),
    })
}

fn writer(format: Format, columns: &[&ColumnDef]) -> Result<Box<dyn Writer>> {
    Ok(match format {
        Format::None => {
            no_columns(columns)?;
            Box::new(NothingWriter)
        }
        Format::Delimited { delimiter } => Box::new(DelimitedWriter::new(delimiter, columns)?),
        Format::Json { wrap_single } => Box::new(JsonWriter::new(columns, !wrap_single)?),
        Format::Kafka => Box::new(KafkaSide::new(columns)?),
    })
}

fn no_columns(columns: &[&ColumnDef]) -> Result<()> {
    match columns {
        [] => Ok(()),
        [column, ..] => Err(Error::statement(format!("column {}: NONE carries no columns", column.name))
            .hint("give a format that does, such as KAFKA for a key of one column")),
    }
}
