//! A column with its type found out once per batch, so that single cells are read without a `Value`.

use super::packed;
use crate::batch::Column;
use crate::value::{Value, encode_len};
use arrow_array::cast::AsArray;
use arrow_array::types::*;
use arrow_array::{Array, ArrayRef, BinaryViewArray, BooleanArray, StringViewArray};
use arrow_buffer::NullBuffer;
use arrow_schema::DataType;

/// A column of one batch.
pub struct View<'a> {
    pub cells: Cells<'a>,
    /// `None` where no cell is NULL.
    pub nulls: Option<&'a NullBuffer>,
    /// Cell 0 stands for every row.
    pub same: bool,
}

/// The values by type, with the tag of their byte forms (packed and `Value::encode` share those).
pub enum Cells<'a> {
    Null,
    Boolean(&'a BooleanArray),
    Int(u8, &'a [i32]),
    Long(u8, &'a [i64]),
    Double(&'a [f64]),
    Decimal(&'a [i128], u8),
    Text(&'a StringViewArray),
    Bytes(&'a BinaryViewArray),
    Struct(Vec<View<'a>>),
    /// Arrays and maps.
    Nested(&'a ArrayRef),
}

impl<'a> View<'a> {
    pub fn of(column: &'a Column) -> View<'a> {
        let (array, _) = column.at(0);
        View { same: matches!(column, Column::Const(_)), ..View::array(array) }
    }

    fn array(array: &'a ArrayRef) -> View<'a> {
        let cells = match array.data_type() {
            DataType::Null => Cells::Null,
            DataType::Boolean => Cells::Boolean(array.as_boolean()),
            DataType::Int32 => Cells::Int(packed::INT, array.as_primitive::<Int32Type>().values()),
            DataType::Date32 => Cells::Int(packed::DATE, array.as_primitive::<Date32Type>().values()),
            DataType::Time32(_) => {
                Cells::Int(packed::TIME, array.as_primitive::<Time32MillisecondType>().values())
            }
            DataType::Int64 => Cells::Long(packed::BIGINT, array.as_primitive::<Int64Type>().values()),
            DataType::Timestamp(..) => {
                Cells::Long(packed::TIMESTAMP, array.as_primitive::<TimestampMillisecondType>().values())
            }
            DataType::Float64 => Cells::Double(array.as_primitive::<Float64Type>().values()),
            DataType::Decimal128(_, scale) => {
                Cells::Decimal(array.as_primitive::<Decimal128Type>().values(), *scale as u8)
            }
            DataType::Utf8View => Cells::Text(array.as_string_view()),
            DataType::BinaryView => Cells::Bytes(array.as_binary_view()),
            DataType::Struct(_) => {
                Cells::Struct(array.as_struct().columns().iter().map(View::array).collect())
            }
            _ => Cells::Nested(array),
        };
        View { cells, nulls: array.nulls().filter(|nulls| nulls.null_count() > 0), same: false }
    }

    #[inline]
    pub fn index(&self, row: usize) -> usize {
        if self.same { 0 } else { row }
    }

    #[inline]
    pub fn is_null(&self, row: usize) -> bool {
        match self.nulls {
            Some(nulls) => nulls.is_null(self.index(row)),
            None => matches!(self.cells, Cells::Null),
        }
    }

    pub fn has_nulls(&self) -> bool {
        self.nulls.is_some() || matches!(self.cells, Cells::Null)
    }

    /// Whether every row is NULL because the one constant is.
    pub fn all_null(&self) -> bool {
        matches!(self.cells, Cells::Null) || (self.same && self.nulls.is_some())
    }

    /// Appends the compact form that states hold.
    #[inline]
    pub fn pack(&self, row: usize, out: &mut Vec<u8>) {
        if self.is_null(row) {
            return out.push(packed::NULL);
        }
        let i = self.index(row);
        match &self.cells {
            Cells::Null => out.push(packed::NULL),
            Cells::Boolean(values) => out.push(if values.value(i) { packed::TRUE } else { packed::FALSE }),
            Cells::Int(tag, values) => packed::pack_integer(*tag, values[i] as i64, out),
            Cells::Long(tag, values) => packed::pack_integer(*tag, values[i], out),
            Cells::Double(values) => packed::pack_double(values[i], out),
            Cells::Decimal(values, scale) => packed::pack_decimal(values[i], *scale, out),
            Cells::Text(values) => packed::pack_bytes(packed::VARCHAR, values.value(i).as_bytes(), out),
            Cells::Bytes(values) => packed::pack_bytes(packed::BYTES, values.value(i), out),
            Cells::Struct(fields) => {
                packed::pack_head(packed::STRUCT, fields.len(), out);
                fields.iter().for_each(|field| field.pack(i, out));
            }
            Cells::Nested(array) => packed::pack(&Value::at(array, i), out),
        }
    }

    /// As [`View::pack`], with equal bytes for equal values: the entries of a map are in one order.
    pub fn pack_ordered(&self, row: usize, out: &mut Vec<u8>) {
        if self.is_null(row) {
            return self.pack(row, out);
        }
        match &self.cells {
            Cells::Struct(fields) => {
                packed::pack_head(packed::STRUCT, fields.len(), out);
                fields.iter().for_each(|field| field.pack_ordered(self.index(row), out));
            }
            Cells::Nested(array) => {
                packed::pack(&Value::at(array, self.index(row)).with_ordered_entries(), out);
            }
            _ => self.pack(row, out),
        }
    }

    /// Appends what `Value::encode` writes for the cell: the form of keys and elements. Maps are equal whatever
    /// the order of their entries, so they are written in one.
    #[inline]
    pub fn encode(&self, row: usize, out: &mut Vec<u8>) {
        if self.is_null(row) {
            return Value::Null.encode(out);
        }
        let i = self.index(row);
        match &self.cells {
            Cells::Null => Value::Null.encode(out),
            Cells::Boolean(values) => Value::Boolean(values.value(i)).encode(out),
            Cells::Int(tag, values) => {
                out.push(*tag);
                out.extend_from_slice(&values[i].to_le_bytes());
            }
            Cells::Long(tag, values) => {
                out.push(*tag);
                out.extend_from_slice(&values[i].to_le_bytes());
            }
            Cells::Double(values) => Value::Double(values[i]).encode(out),
            Cells::Decimal(values, scale) => Value::Decimal(values[i], *scale).encode(out),
            Cells::Text(values) => encode_bytes(packed::VARCHAR, values.value(i).as_bytes(), out),
            Cells::Bytes(values) => encode_bytes(packed::BYTES, values.value(i), out),
            Cells::Struct(fields) => {
                out.push(packed::STRUCT);
                encode_len(out, fields.len());
                fields.iter().for_each(|field| field.encode(i, out));
            }
            Cells::Nested(array) => Value::at(array, i).with_ordered_entries().encode(out),
        }
    }
}

/// What `Value::encode` writes for text and bytes.
pub fn encode_bytes(tag: u8, bytes: &[u8], out: &mut Vec<u8>) {
    out.push(tag);
    encode_len(out, bytes.len());
    out.extend_from_slice(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{SqlType, StructField};

    #[test]
    fn cells_have_the_bytes_of_their_values() {
        let field = |name: &str, ty| StructField { name: name.into(), ty };
        let ty = SqlType::Struct(vec![
            field("b", SqlType::Boolean),
            field("i", SqlType::Int),
            field("d", SqlType::Decimal { precision: 9, scale: 2 }),
            field("s", SqlType::Varchar),
            field("y", SqlType::Bytes),
            field("t", SqlType::Timestamp),
            field("f", SqlType::Double),
            field("a", SqlType::Array(Box::new(SqlType::Time))),
        ]);
        let rows = [
            Value::Struct(vec![
                Value::Boolean(true),
                Value::Int(-7),
                Value::Decimal(-123, 2),
                Value::text("a text that is not inline"),
                Value::Bytes([1, 2].into()),
                Value::Timestamp(1),
                Value::Double(-0.0),
                Value::Array(vec![Value::Time(5), Value::Null]),
            ]),
            Value::Null,
            Value::Struct(vec![Value::Null; 8]),
        ];
        let column = Column::Array(Value::array(&ty, rows.iter()));
        let view = View::of(&column);
        for (i, value) in rows.iter().enumerate() {
            let (mut key, mut expected) = (Vec::new(), Vec::new());
            view.encode(i, &mut key);
            value.encode(&mut expected);
            assert_eq!(key, expected);
            let (mut state, mut expected) = (Vec::new(), Vec::new());
            view.pack(i, &mut state);
            packed::pack(value, &mut expected);
            assert_eq!(state, expected);
        }
    }
}
