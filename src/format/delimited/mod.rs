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
use crate::dialect::Dialect;
use crate::error::{Error, Result};
use crate::types::ColumnDef;
use arrow_buffer::Buffer;
use columns::{Chunk, Reader};
use split::Splitter;
use std::sync::Arc;

/// Decodes one side of DELIMITED messages.
pub struct DelimitedSide {
    delimiter: u8,
    dialect: Dialect,
    splitter: Splitter,
    readers: Vec<Reader>,
    /// Where a line names the fields: that line, and what it says.
    named: Option<(Arc<[u8]>, Named)>,
}

/// Which fields the columns are.
struct Named {
    /// By column; `None`: there is no field of that name.
    fields: Vec<Option<usize>>,
    /// Why messages with such a line are rejected.
    missing: Option<String>,
}

impl DelimitedSide {
    pub fn new(delimiter: u8, columns: &[&ColumnDef], dialect: &Dialect) -> Result<DelimitedSide> {
        check(delimiter, columns, dialect)?;
        Ok(DelimitedSide {
            delimiter,
            dialect: dialect.clone(),
            splitter: Splitter::new(delimiter, columns.len(), dialect),
            readers: columns.iter().filter_map(|column| Reader::of(column)).collect(),
            named: None,
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
                let column = fault.column().and_then(|field| self.column_of(field));
                let column = column.map(|column| self.readers[column].name());
                let named = self.named.is_some();
                rejects.add(message, column, || fault.reason(self.splitter.width(), named, column));
            }
        }
    }

    fn column_of(&self, field: usize) -> Option<usize> {
        match &self.named {
            None => (field < self.readers.len()).then_some(field),
            Some((_, named)) => named.fields.iter().position(|of| *of == Some(field)),
        }
    }
}

/// The columns that no field of a line that names them is, and the names that it has.
pub fn missing<'c>(
    line: &[u8],
    delimiter: u8,
    dialect: &Dialect,
    columns: impl Iterator<Item = &'c str>,
) -> Option<String> {
    let names = names(line, delimiter, dialect);
    let missing: Vec<&str> = columns.filter(|column| field_of(&names, column).is_none()).collect();
    let (first, more) = missing.split_first()?;
    let more = if more.is_empty() { String::new() } else { format!(" and {} more", more.len()) };
    Some(format!("the first line names no column {first}{more}; it names {}", names.join(", ")))
}

/// As it is written, or else in upper case.
fn field_of(names: &[String], column: &str) -> Option<usize> {
    let exact = names.iter().position(|name| name == column);
    exact.or_else(|| names.iter().position(|name| name.to_uppercase() == column))
}

/// The names in a line, without the blanks around them.
fn names(line: &[u8], delimiter: u8, dialect: &Dialect) -> Vec<String> {
    let line = line.strip_prefix("\u{feff}".as_bytes()).unwrap_or(line);
    let text = String::from_utf8_lossy(line.strip_suffix(b"\r").unwrap_or(line));
    let mut names = vec![String::new()];
    let mut quoted = false;
    for c in text.chars() {
        match c {
            _ if dialect.quote.is_some_and(|quote| c == quote as char) => quoted = !quoted,
            _ if c == delimiter as char && !quoted => names.push(String::new()),
            _ => names.last_mut().expect("there is one from the start").push(c),
        }
    }
    names.iter().map(|name| name.trim().to_string()).collect()
}

impl Side for DelimitedSide {
    fn named_by(&mut self, line: Option<&Arc<[u8]>>) {
        let Some(line) = line.filter(|_| self.dialect.names) else { return };
        if self.named.as_ref().is_some_and(|(known, _)| Arc::ptr_eq(known, line)) {
            return;
        }
        let names = names(line, self.delimiter, &self.dialect);
        let columns = || self.readers.iter().map(Reader::name);
        let named = Named {
            fields: columns().map(|column| field_of(&names, column)).collect(),
            missing: missing(line, self.delimiter, &self.dialect, columns()),
        };
        self.splitter = Splitter::new(self.delimiter, names.len(), &self.dialect);
        self.named = Some((Arc::clone(line), named));
    }

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
        if let Some((_, Named { missing: Some(why), .. })) = &self.named {
            (0..ranges.len()).for_each(|message| rejects.add(message, None, || why.clone()));
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
                // Messages that lack a column are rejected: any field will do.
                let field = self.named.as_ref().map_or(c, |(_, named)| named.fields[c].unwrap_or(0));
                reader.read(&chunk, field, rejects);
            }
        }
        let unescaped = self.splitter.take_unescaped();
        self.readers.iter_mut().map(|reader| reader.finish(buffer, &unescaped)).collect()
    }
}

/// Why DELIMITED cannot carry the columns, or their delimiter cannot separate them.
fn check(delimiter: u8, columns: &[&ColumnDef], dialect: &Dialect) -> Result<()> {
    let is_quote = dialect.quote == Some(delimiter);
    if !delimiter.is_ascii() || is_quote || matches!(delimiter, b'"' | b'\n' | b'\r') {
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
