//! Rows → JSON messages.

use crate::batch::Column;
use crate::error::Result;
use crate::format::encode::{Rows, Writer, push_plain};
use crate::format::fault::Parsed;
use crate::number_text;
use crate::types::ColumnDef;
use arrow_array::cast::AsArray;
use arrow_array::types::*;
use arrow_array::{Array, ArrayRef};
use arrow_schema::{DataType, Fields};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::fmt::Write;

/// Writes one side of JSON messages. Dates and times are numbers: days, and milliseconds.
pub struct JsonWriter {
    /// `"NAME":` for each column; `None` where the bare value is written.
    keys: Option<Vec<String>>,
    /// The message in the making.
    text: String,
}

impl JsonWriter {
    pub fn new(columns: &[&ColumnDef], bare: bool) -> Result<JsonWriter> {
        super::check(columns)?;
        let key = |column: &&ColumnDef| {
            let mut key = String::new();
            push_string(&mut key, &column.name);
            key + ":"
        };
        let keys = (!bare || columns.len() != 1).then(|| columns.iter().map(key).collect());
        Ok(JsonWriter { keys, text: String::new() })
    }
}

impl Writer for JsonWriter {
    fn rows<'b>(&'b mut self, columns: &'b [Column]) -> Rows<'b> {
        Box::new(|row, out| self.write(columns, row, out))
    }
}

impl JsonWriter {
    fn write(&mut self, columns: &[Column], row: usize, out: &mut Vec<u8>) -> Parsed<bool> {
        let text = &mut self.text;
        text.clear();
        match &self.keys {
            None => {
                let (array, i) = columns[0].at(row);
                push_cell(text, array, i);
            }
            Some(keys) => {
                text.push('{');
                for (key, column) in keys.iter().zip(columns) {
                    separate(text, '{');
                    text.push_str(key);
                    let (array, i) = column.at(row);
                    push_cell(text, array, i);
                }
                text.push('}');
            }
        }
        out.extend_from_slice(text.as_bytes());
        Ok(true)
    }
}

/// A comma, unless nothing has followed the opening bracket.
fn separate(out: &mut String, open: char) {
    if !out.ends_with(open) {
        out.push(',');
    }
}

fn push_cell(out: &mut String, array: &ArrayRef, i: usize) {
    if array.is_null(i) {
        return out.push_str("null");
    }
    if push_plain(out, array, i) {
        return;
    }
    use DataType as D;
    match array.data_type() {
        D::Float64 => push_double(out, array.as_primitive::<Float64Type>().value(i)),
        D::Utf8View => push_string(out, array.as_string_view().value(i)),
        D::BinaryView => {
            push_quoted(out, |out| STANDARD.encode_string(array.as_binary_view().value(i), out));
        }
        D::List(_) => {
            let list = array.as_list::<i32>();
            let (offsets, items) = (list.value_offsets(), list.values());
            push_items(out, (offsets[i]..offsets[i + 1]).map(|j| j as usize), |out, j| {
                push_cell(out, items, j)
            });
        }
        D::Map(..) => {
            let map = array.as_map();
            let (offsets, keys, values) = (map.value_offsets(), map.keys().as_string_view(), map.values());
            out.push('{');
            for j in (offsets[i]..offsets[i + 1]).map(|j| j as usize) {
                separate(out, '{');
                push_string(out, keys.value(j));
                out.push(':');
                push_cell(out, values, j);
            }
            out.push('}');
        }
        D::Struct(fields) => push_struct(out, fields, array.as_struct().columns(), i),
        other => unreachable!("no SQL type is carried by {other}"),
    }
}

fn push_struct(out: &mut String, fields: &Fields, columns: &[ArrayRef], i: usize) {
    out.push('{');
    for (field, column) in fields.iter().zip(columns) {
        separate(out, '{');
        push_string(out, field.name());
        out.push(':');
        push_cell(out, column, i);
    }
    out.push('}');
}

/// `[a,b]`
pub fn push_items<T>(out: &mut String, items: impl Iterator<Item = T>, push: impl Fn(&mut String, T)) {
    out.push('[');
    for (i, item) in items.enumerate() {
        if i > 0 {
            out.push(',');
        }
        push(out, item);
    }
    out.push(']');
}

/// A DOUBLE; those that JSON has no number for as a string.
pub fn push_double(out: &mut String, value: f64) {
    match value.is_finite() {
        true => number_text::write_double(value, out),
        false => push_quoted(out, |out| number_text::write_double(value, out)),
    }
}

/// What needs no escapes, in quotes.
pub fn push_quoted(out: &mut String, push: impl FnOnce(&mut String)) {
    out.push('"');
    push(out);
    out.push('"');
}

/// A text in quotes, escaped.
pub fn push_string(out: &mut String, text: &str) {
    out.push('"');
    let mut plain = 0;
    for (i, byte) in text.bytes().enumerate() {
        if byte >= b' ' && byte != b'"' && byte != b'\\' {
            continue;
        }
        out.push_str(&text[plain..i]);
        plain = i + 1;
        match byte {
            b'"' => out.push_str("\\\""),
            b'\\' => out.push_str("\\\\"),
            b'\n' => out.push_str("\\n"),
            b'\r' => out.push_str("\\r"),
            b'\t' => out.push_str("\\t"),
            _ => {
                let _ = write!(out, "\\u{byte:04x}");
            }
        }
    }
    out.push_str(&text[plain..]);
    out.push('"');
}
