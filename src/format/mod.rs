//! Formats interpret bytes, both directions; they never open a socket or a file.
//!
//! A decoder validates every declared column of every record, so that all queries agree on what is a
//! bad record, but materialises only the wanted ones. A bad record becomes a reject; the rest of its
//! batch is not touched by it.

use crate::batch::{Batch, Column, MessageBatch, Reject};
use crate::error::Result;
use crate::types::Schema;
use arrow_buffer::BooleanBuffer;
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
pub fn decoder(_serialization: &Serialization, _schema: &Schema) -> Result<Box<dyn Decoder>> {
    unimplemented!()
}

/// An encoder for the schema, or why the format cannot carry it.
pub fn encoder(_serialization: &Serialization, _schema: &Schema) -> Result<Box<dyn Encoder>> {
    unimplemented!()
}
