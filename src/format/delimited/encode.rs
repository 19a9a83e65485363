//! Rows → DELIMITED messages.

use crate::batch::Column;
use crate::error::Result;
use crate::format::encode::Writer;
use crate::format::{base64, numbers};
use crate::types::ColumnDef;
use arrow_array::cast::AsArray;
use arrow_array::types::*;
use arrow_array::{Array, ArrayRef};
use arrow_schema::DataType;
use std::fmt::Write;

/// Writes one side of DELIMITED messages: fields in quotes where needed, NULL as an empty one.
pub struct DelimitedWriter {
    delimiter: u8,
    /// The message in the making.
    text: String,
}

impl DelimitedWriter {
    pub fn new(delimiter: u8, columns: &[&ColumnDef]) -> Result<DelimitedWriter> {
        super::check(delimiter, columns)?;
        Ok(DelimitedWriter { delimiter, text: String::new() })
    }

    fn push(&mut self, array: &ArrayRef, i: usize) {
        let start = self.text.len();
        if array.is_valid(i) {
            push_plain(&mut self.text, array, i);
        }
        let field = &self.text[start..];
        let special = |b: u8| b == self.delimiter || matches!(b, b'"' | b'\n' | b'\r');
        if field.bytes().any(special) {
            let quoted = format!("\"{}\"", field.replace('"', "\"\""));
            self.text.truncate(start);
            self.text.push_str(&quoted);
        }
    }
}

impl Writer for DelimitedWriter {
    fn write(&mut self, columns: &[Column], row: usize, out: &mut Vec<u8>) -> bool {
        self.text.clear();
        for (c, column) in columns.iter().enumerate() {
            if c > 0 {
                self.text.push(self.delimiter as char);
            }
            let (array, i) = column.at(row);
            self.push(array, i);
        }
        out.extend_from_slice(self.text.as_bytes());
        true
    }
}

fn push_plain(out: &mut String, array: &ArrayRef, i: usize) {
    use DataType as D;
    let _ = match array.data_type() {
        D::Boolean => write!(out, "{}", array.as_boolean().value(i)),
        D::Int32 => write!(out, "{}", array.as_primitive::<Int32Type>().value(i)),
        D::Int64 => write!(out, "{}", array.as_primitive::<Int64Type>().value(i)),
        D::Date32 => write!(out, "{}", array.as_primitive::<Date32Type>().value(i)),
        D::Time32(_) => write!(out, "{}", array.as_primitive::<Time32MillisecondType>().value(i)),
        D::Timestamp(..) => write!(out, "{}", array.as_primitive::<TimestampMillisecondType>().value(i)),
        D::Float64 => {
            numbers::push_double(out, array.as_primitive::<Float64Type>().value(i));
            Ok(())
        }
        D::Decimal128(_, scale) => {
            numbers::push_decimal(out, array.as_primitive::<Decimal128Type>().value(i), *scale as u8);
            Ok(())
        }
        D::Utf8View => out.write_str(array.as_string_view().value(i)),
        D::BinaryView => {
            base64::push(out, array.as_binary_view().value(i));
            Ok(())
        }
        other => unreachable!("no DELIMITED column has {other}"),
    };
}
