//! Rows of answers as Protobuf messages, for clients that ask for them so.

use super::AnswerRow;
use crate::error::{Error, Result};
use crate::format::{Encoded, Format, Serialization, Written, encoder, unregistered};
use crate::render::table::rows_to_batch;
use crate::types::{ColumnDef, Part, Schema, SqlType};
use crate::value::Row;

pub struct ProtobufRows {
    schema: Schema,
    types: Vec<SqlType>,
    serialization: Serialization,
    written: Written,
    text: String,
}

impl ProtobufRows {
    /// # Errors
    /// Protobuf has no type for a column.
    pub fn new(columns: &[ColumnDef]) -> Result<ProtobufRows> {
        let schema = Schema::new(columns.iter().map(|c| ColumnDef { part: Part::Value, ..c.clone() }));
        let format = |name: &str| {
            let value = Format::named(name).unwrap_or(Format::None);
            Serialization { key: Format::None, value, changelog: false }
        };
        let described = unregistered(&format("PROTOBUF"), &schema, [None, None])?.value;
        let serialization = format("PROTOBUF_NOSR");
        let written = unregistered(&serialization, &schema, [None, None])?;
        encoder(&serialization, &schema, &written)?;
        Ok(ProtobufRows {
            types: columns.iter().map(|column| column.ty.clone()).collect(),
            text: described.map_or_else(String::new, |schema| schema.schema.text.clone()),
            schema,
            serialization,
            written,
        })
    }

    /// The text of the message's schema.
    pub fn schema(&self) -> &str {
        &self.text
    }

    /// A message a row.
    ///
    /// # Errors
    /// Some value has no place in its message: NULL among the items of an array.
    pub fn messages(&self, rows: &[AnswerRow]) -> Result<Vec<Vec<u8>>> {
        let rows: Vec<Row> = rows.iter().map(|row| row.row.clone()).collect();
        let mut encoded = Encoded::default();
        let mut encoder = encoder(&self.serialization, &self.schema, &self.written)?;
        let rejects = encoder.encode(&rows_to_batch(&self.types, &rows), &mut encoded);
        if let Some(reject) = rejects.into_iter().next() {
            return Err(Error::runtime(format!("a row is no Protobuf message: {}", reject.reason)));
        }
        let of = |range: &crate::batch::Range32| range.of(&encoded.buffer).unwrap_or_default().to_vec();
        Ok(encoded.values.iter().map(of).collect())
    }
}
