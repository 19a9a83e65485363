//! DELIMITED: separated fields, one for each column, quoted where needed.
//!
//! Some hundred messages at a time are split into fields (`split`), then read column by column in
//! loops that know their type (`columns`): the bytes stay in the nearest cache between the two.

mod columns;
mod encode;
mod split;

pub use encode::DelimitedWriter;

use super::decode::{Rejects, Side};
use crate::batch::{Column, Range32};
use crate::error::{Error, Result};
use crate::types::ColumnDef;
use arrow_buffer::Buffer;
use columns::{Chunk, Reader};
use split::Splitter;

/// Decodes one side of DELIMITED messages.
pub struct DelimitedSide {
    splitter: Splitter,
    readers: Vec<Reader>,
}

impl DelimitedSide {
    pub fn new(delimiter: u8, columns: &[&ColumnDef]) -> Result<DelimitedSide> {
        check(delimiter, columns)?;
        Ok(DelimitedSide {
            splitter: Splitter::new(delimiter, columns.len()),
            readers: columns.iter().filter_map(|column| Reader::of(column)).collect(),
        })
    }

    fn split_chunk(&mut self, buffer: &[u8], ranges: &[Range32], first: usize, rejects: &mut Rejects) {
        self.splitter.start_chunk(buffer, ranges);
        for (row, range) in ranges.iter().enumerate() {
            let message = first + row;
            if *range == Range32::NULL || rejects.is_bad(message) {
                self.splitter.no_fields(row);
            } else if let Err(fault) = self.splitter.split(buffer, *range, row) {
                self.splitter.no_fields(row);
                let column = fault.column().and_then(|c| self.readers.get(c)).map(|r| r.name());
                rejects.add(message, column, || fault.reason(self.readers.len(), column));
            }
        }
    }
}

impl Side for DelimitedSide {
    fn decode(
        &mut self,
        buffer: &Buffer,
        ranges: &[Range32],
        wanted: &[bool],
        rejects: &mut Rejects,
    ) -> Vec<Column> {
        if self.readers.is_empty() {
            return vec![];
        }
        self.splitter.start_batch();
        for (reader, wanted) in self.readers.iter_mut().zip(wanted) {
            reader.start_batch(*wanted, ranges.len());
        }
        let rows_max = self.splitter.rows_max();
        for (chunk, ranges) in ranges.chunks(rows_max).enumerate() {
            let first = chunk * rows_max;
            self.split_chunk(buffer, ranges, first, rejects);
            let chunk = Chunk { first, rows: ranges.len(), messages: buffer, fields: &self.splitter };
            for (c, reader) in self.readers.iter_mut().enumerate() {
                reader.read(&chunk, c, rejects);
            }
        }
        let unescaped = self.splitter.take_unescaped();
        self.readers.iter_mut().map(|reader| reader.finish(buffer, &unescaped)).collect()
    }
}

/// Why DELIMITED cannot carry the columns, or their delimiter cannot separate them.
fn check(delimiter: u8, columns: &[&ColumnDef]) -> Result<()> {
    if !delimiter.is_ascii() || matches!(delimiter, b'"' | b'\n' | b'\r') {
        let shown = (delimiter as char).escape_default();
        return Err(Error::statement(format!(
            "the delimiter must be an ASCII character that is neither a quote nor an end of line, not '{shown}'"
        )));
    }
    for column in columns {
        if Reader::of(column).is_none() {
            return Err(Error::statement(format!(
                "column {} is {}, which DELIMITED cannot carry",
                column.name, column.ty
            ))
            .hint("use JSON, or declare columns for its parts"));
        }
    }
    Ok(())
}
