//! Rows → DELIMITED messages.

use crate::batch::Column;
use crate::dialect::Dialect;
use crate::error::Result;
use crate::format::encode::{Rows, Writer, push_plain};
use crate::format::fault::Parsed;
use crate::number_text::write_double;
use crate::types::ColumnDef;
use arrow_array::cast::AsArray;
use arrow_array::types::*;
use arrow_array::{Array, ArrayRef};
use arrow_schema::DataType;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// Writes one side of DELIMITED messages: fields in quotes where needed.
pub struct DelimitedWriter {
    delimiter: u8,
    /// The message in the making.
    text: String,
}

impl DelimitedWriter {
    pub fn new(delimiter: u8, columns: &[&ColumnDef]) -> Result<DelimitedWriter> {
        super::check(delimiter, columns, &Dialect::default())?;
        Ok(DelimitedWriter { delimiter, text: String::new() })
    }

    /// Appends a field; NULL is nothing at all, an empty text in front of all others two quotes.
    fn push(&mut self, array: &ArrayRef, i: usize) {
        if array.is_null(i) {
            return;
        }
        let start = self.text.len();
        push_cell(&mut self.text, array, i);
        if needs_quotes(&self.text.as_bytes()[start..], start == 0, self.delimiter) {
            let quoted = format!("\"{}\"", self.text[start..].replace('"', "\"\""));
            self.text.truncate(start);
            self.text.push_str(&quoted);
        }
    }
}

/// As Apache's CSV printer has it, which ksqlDB writes with: what begins a line is quoted unless it begins
/// with a letter or a digit of ASCII, so that it is neither blank nor a comment.
fn needs_quotes(field: &[u8], first: bool, delimiter: u8) -> bool {
    let (Some(begins), Some(ends)) = (field.first(), field.last()) else { return first };
    let special = |b: &u8| *b == delimiter || matches!(b, b'"' | b'\n' | b'\r');
    (first && !begins.is_ascii_alphanumeric())
        || *begins <= b'#'
        || *ends <= b' '
        || field.iter().any(special)
}

impl Writer for DelimitedWriter {
    fn rows<'b>(&'b mut self, columns: &'b [Column]) -> Rows<'b> {
        Box::new(|row, out| self.write(columns, row, out))
    }
}

impl DelimitedWriter {
    fn write(&mut self, columns: &[Column], row: usize, out: &mut Vec<u8>) -> Parsed<bool> {
        self.text.clear();
        for (c, column) in columns.iter().enumerate() {
            if c > 0 {
                self.text.push(self.delimiter as char);
            }
            let (array, i) = column.at(row);
            self.push(array, i);
        }
        out.extend_from_slice(self.text.as_bytes());
        Ok(true)
    }
}

fn push_cell(out: &mut String, array: &ArrayRef, i: usize) {
    if push_plain(out, array, i) {
        return;
    }
    use DataType as D;
    match array.data_type() {
        D::Float64 => write_double(array.as_primitive::<Float64Type>().value(i), out),
        D::Utf8View => out.push_str(array.as_string_view().value(i)),
        D::BinaryView => STANDARD.encode_string(array.as_binary_view().value(i), out),
        other => unreachable!("no DELIMITED column has {other}"),
    }
}
