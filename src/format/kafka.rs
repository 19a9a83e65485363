//! KAFKA: one column as Kafka's own serialisers write it: big-endian numbers, UTF-8, or plain bytes.

use super::cells::{Cells, Place, Scalars, Texts};
use super::decode::{Rejects, Side, unfit};
use super::encode::{Rows, Writer};
use super::fault::Parsed;
use super::field::Field;
use crate::batch::{Column, Range32};
use crate::error::{Error, Result};
use crate::types::{ColumnDef, SqlType};
use arrow_array::cast::AsArray;
use arrow_array::types::*;
use arrow_array::{Array, ArrayRef};
use arrow_buffer::Buffer;
use arrow_schema::DataType;

/// Decodes and encodes the one column of a side.
pub struct KafkaSide {
    name: String,
    ty: SqlType,
    arrow: DataType,
    cells: Scalars,
}

impl KafkaSide {
    pub fn new(columns: &[&ColumnDef]) -> Result<KafkaSide> {
        let [column] = columns else {
            let message = format!("KAFKA carries one column, not {}", columns.len());
            return Err(Error::statement(message)
                .hint("WITH (KEY_FORMAT='JSON') carries several, and so does DELIMITED"));
        };
        let carried = matches!(
            column.ty,
            SqlType::Int | SqlType::Bigint | SqlType::Double | SqlType::Varchar | SqlType::Bytes
        );
        match Scalars::of(&column.ty).filter(|_| carried) {
            Some(cells) => Ok(KafkaSide {
                name: column.name.clone(),
                ty: column.ty.clone(),
                arrow: column.ty.arrow(),
                cells,
            }),
            None => Err(Error::statement(format!(
                "column {} is {}, which KAFKA cannot carry: it has INTEGER, BIGINT, DOUBLE, STRING and BYTES",
                column.name, column.ty
            ))),
        }
    }

    fn reason(&self, bytes: &[u8]) -> String {
        match self.ty {
            SqlType::Varchar => unfit(&self.name, &self.ty, bytes),
            _ => {
                let expected = if self.ty == SqlType::Int { 4 } else { 8 };
                let (name, ty, len) = (&self.name, &self.ty, bytes.len());
                format!("column {name}: {ty} has {expected} bytes, the record has {len}")
            }
        }
    }
}

impl Side for KafkaSide {
    fn decode(
        &mut self,
        buffer: &Buffer,
        ranges: &[Range32],
        wanted: &[bool],
        rejects: &mut Rejects,
    ) -> Vec<Column> {
        self.cells.reserve(ranges.len());
        for (i, range) in ranges.iter().enumerate() {
            let bytes = range.of(buffer).filter(|_| !rejects.is_bad(i));
            let read = bytes.is_some_and(|bytes| push(&mut self.cells, bytes, range.start as usize));
            if !read {
                self.cells.push_null();
                if let Some(bytes) = bytes {
                    rejects.add(i, Some(&self.name), || self.reason(bytes));
                }
            }
        }
        let array = self.cells.finish(&self.arrow, buffer, &Buffer::default());
        vec![if wanted[0] { Column::Array(array) } else { Column::Absent }]
    }
}

/// Appends the value that `bytes`, found at `start`, stand for; answers whether there is one.
fn push(cells: &mut Scalars, bytes: &[u8], start: usize) -> bool {
    fn number<T: Default, const N: usize>(cells: &mut Cells<T>, bytes: &[u8], of: fn([u8; N]) -> T) -> bool {
        bytes.try_into().map(|bytes| cells.push(of(bytes))).is_ok()
    }
    match cells {
        Scalars::Int(cells) => number(cells, bytes, i32::from_be_bytes),
        Scalars::Bigint(cells) => number(cells, bytes, i64::from_be_bytes),
        Scalars::Double(cells) => number(cells, bytes, f64::from_be_bytes),
        Scalars::Varchar(texts) => push_text(texts, bytes, start),
        Scalars::Bytes(blobs) => {
            blobs.push(bytes);
            true
        }
        _ => false,
    }
}

fn push_text(texts: &mut Texts, bytes: &[u8], start: usize) -> bool {
    let valid = std::str::from_utf8(bytes).is_ok();
    if valid {
        texts.push(Field::from(bytes), Place::Messages(start));
    }
    valid
}

impl Writer for KafkaSide {
    fn rows<'b>(&'b mut self, columns: &'b [Column]) -> Rows<'b> {
        Box::new(|row, out| self.write(columns, row, out))
    }
}

impl KafkaSide {
    fn write(&mut self, columns: &[Column], row: usize, out: &mut Vec<u8>) -> Parsed<bool> {
        let (array, i) = columns[0].at(row);
        if array.is_null(i) {
            return Ok(false);
        }
        extend(array, i, out);
        Ok(true)
    }
}

fn extend(array: &ArrayRef, i: usize, out: &mut Vec<u8>) {
    match array.data_type() {
        DataType::Int32 => out.extend(array.as_primitive::<Int32Type>().value(i).to_be_bytes()),
        DataType::Int64 => out.extend(array.as_primitive::<Int64Type>().value(i).to_be_bytes()),
        DataType::Float64 => out.extend(array.as_primitive::<Float64Type>().value(i).to_be_bytes()),
        DataType::Utf8View => out.extend(array.as_string_view().value(i).as_bytes()),
        DataType::BinaryView => out.extend(array.as_binary_view().value(i)),
        other => unreachable!("no KAFKA column has {other}"),
    }
}
