//! Rows → messages: a writer of keys and a writer of values make an [`Encoder`].

use super::fault::Parsed;
use super::{Encoded, Encoder};
use crate::batch::{Batch, Column, Range32, Reject};
use crate::number_text::{write_decimal, write_integer};
use crate::types::Bounds;
use arrow_array::ArrayRef;
use arrow_array::cast::AsArray;
use arrow_array::types::*;
use arrow_schema::DataType;

/// Writes the columns of one side.
pub trait Writer {
    /// Makes ready for the rows of a batch.
    fn rows<'b>(&'b mut self, columns: &'b [Column]) -> Rows<'b>;
}

/// Appends the bytes of a row. False, and nothing appended: there are none, not even empty ones.
///
/// # Errors
/// A schema that the topic has may have no place for the row; a part of it may have been appended.
pub type Rows<'b> = Box<dyn FnMut(usize, &mut Vec<u8>) -> Parsed<bool> + 'b>;

/// No bytes, for no columns.
pub struct NothingWriter;

impl Writer for NothingWriter {
    fn rows<'b>(&'b mut self, _: &'b [Column]) -> Rows<'b> {
        Box::new(|_, _| Ok(false))
    }
}

/// A key that is in the value: the text of a column, or of a field of it.
pub struct TextKey {
    column: usize,
    fields: Vec<usize>,
    text: String,
}

impl TextKey {
    pub fn new(path: Vec<usize>) -> TextKey {
        let mut path = path.into_iter();
        TextKey { column: path.next().unwrap_or_default(), fields: path.collect(), text: String::new() }
    }
}

impl Writer for TextKey {
    fn rows<'b>(&'b mut self, columns: &'b [Column]) -> Rows<'b> {
        Box::new(move |row, out| {
            let (array, i) = columns[self.column].at(row);
            let mut array = array;
            for field in &self.fields {
                if array.is_null(i) {
                    return Ok(false);
                }
                array = array.as_struct().column(*field);
            }
            if array.is_null(i) {
                return Ok(false);
            }
            if let DataType::Utf8View = array.data_type() {
                out.extend_from_slice(array.as_string_view().value(i).as_bytes());
                return Ok(true);
            }
            self.text.clear();
            let is_text = push_plain(&mut self.text, array, i);
            out.extend_from_slice(self.text.as_bytes());
            Ok(is_text)
        })
    }
}

/// Both sides of a topic's messages; the first `key_len` columns are the key's.
pub struct Writers {
    pub key: Box<dyn Writer>,
    pub value: Box<dyn Writer>,
    pub key_len: usize,
    /// Keys of several columns that are all NULL are none.
    pub passes_keys: bool,
    /// The key's writer takes it from the value's columns.
    pub key_in_value: bool,
    /// A window's bounds follow the key's columns.
    pub bounds: Option<Bounds>,
}

impl Encoder for Writers {
    fn encode(&mut self, batch: &Batch, out: &mut Encoded) -> Vec<Reject> {
        let mut rejects = Vec::new();
        let (keys, mut values) = batch.columns.split_at(self.key_len);
        let windows = self.bounds.map(|bounds| {
            let (windows, rest) = values.split_at(2);
            values = rest;
            out.key_suffix = bounds.bytes();
            let windows = [0, 1].map(|i| windows[i].to_array(batch.len));
            (bounds, windows.map(|column| column.as_primitive::<Int64Type>().values().clone()))
        });
        let key_columns = if self.key_in_value { values } else { keys };
        let (mut key_rows, mut value_rows) = (self.key.rows(key_columns), self.value.rows(values));
        for row in 0..batch.len {
            let deleted = batch.is_deletion(row);
            // A key of one column that is NULL is no key.
            let is_null = |column: &Column| {
                let (array, i) = column.at(row);
                array.is_null(i)
            };
            let null_key =
                !self.key_in_value && (keys.len() == 1 || self.passes_keys) && keys.iter().all(is_null);
            let key = append(&mut out.buffer, |out| {
                let is_key = !null_key && key_rows(row, out)?;
                if let Some((bounds, [starts, ends])) = windows.as_ref().filter(|_| is_key) {
                    bounds.write(starts[row], ends[row], out);
                }
                Ok(is_key)
            });
            let value = append(&mut out.buffer, |out| Ok(!deleted && value_rows(row, out)?));
            let (key, value) = key.and_then(|key| Ok((key, value?))).unwrap_or_else(|fault| {
                rejects.push(fault.into_reject(row));
                (Range32::NULL, Range32::NULL)
            });
            out.keys.push(key);
            out.values.push(value);
        }
        rejects
    }
}

fn append(buffer: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>) -> Parsed<bool>) -> Parsed<Range32> {
    let start = buffer.len();
    match write(buffer) {
        Ok(true) => Ok(Range32 { start: start as u32, end: buffer.len() as u32 }),
        Ok(false) => Ok(Range32::NULL),
        Err(fault) => {
            buffer.truncate(start);
            Err(fault)
        }
    }
}

/// Appends a cell that all formats of text write alike; false where its type is none of those. Dates and
/// times are numbers: days, and milliseconds.
pub fn push_plain(out: &mut String, array: &ArrayRef, i: usize) -> bool {
    use DataType as D;
    let integer = match array.data_type() {
        D::Boolean => {
            out.push_str(if array.as_boolean().value(i) { "true" } else { "false" });
            return true;
        }
        D::Decimal128(_, scale) => {
            write_decimal(array.as_primitive::<Decimal128Type>().value(i), *scale as u8, out);
            return true;
        }
        D::Int32 => array.as_primitive::<Int32Type>().value(i) as i64,
        D::Int64 => array.as_primitive::<Int64Type>().value(i),
        D::Date32 => array.as_primitive::<Date32Type>().value(i) as i64,
        D::Time32(_) => array.as_primitive::<Time32MillisecondType>().value(i) as i64,
        D::Timestamp(..) => array.as_primitive::<TimestampMillisecondType>().value(i),
        _ => return false,
    };
    write_integer(integer, out);
    true
}
