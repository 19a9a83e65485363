//! Single values: literals, keys, rows on their way to a reader.
//!
//! Batches are columnar; a `Value` is used only where one row stands alone: a literal in a plan, the
//! key of a group, an accumulator's winner, a row of an answer. [`Value::encode`] is the stable
//! byte form that keys and states are kept in: it must never change, since data directories hold it.

use crate::types::SqlType;
use arrow_array::builder::*;
use arrow_array::cast::AsArray;
use arrow_array::types::*;
use arrow_array::{Array, ArrayRef, MapArray, StructArray};
use arrow_buffer::{NullBuffer, OffsetBuffer};
use serde::{Deserialize, Serialize};
use std::cmp::Ordering;
use std::sync::Arc;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Value {
    Null,
    Boolean(bool),
    Int(i32),
    Bigint(i64),
    Double(f64),
    /// Unscaled digits and scale.
    Decimal(i128, u8),
    Varchar(Box<str>),
    Bytes(Box<[u8]>),
    /// Days since 1970-01-01.
    Date(i32),
    /// Milliseconds since midnight.
    Time(i32),
    /// Milliseconds since 1970-01-01T00:00Z.
    Timestamp(i64),
    Array(Vec<Value>),
    Map(Vec<(Value, Value)>),
    Struct(Vec<Value>),
}

/// A row of an answer, in the order of its schema.
pub type Row = Vec<Value>;

impl Value {
    pub fn is_null(&self) -> bool {
        matches!(self, Value::Null)
    }

    pub fn text(text: &str) -> Value {
        Value::Varchar(text.into())
    }

    /// About what it takes in memory.
    pub fn bytes(&self) -> usize {
        let all = |values: &[Value]| values.iter().map(Value::bytes).sum::<usize>();
        size_of::<Value>()
            + match self {
                Value::Varchar(text) => text.len(),
                Value::Bytes(bytes) => bytes.len(),
                Value::Array(values) | Value::Struct(values) => all(values),
                Value::Map(entries) => entries.iter().map(|(k, v)| k.bytes() + v.bytes()).sum(),
                _ => 0,
            }
    }

    /// The value in row `i` of an array whose Arrow type comes from [`SqlType::arrow`].
    pub fn at(array: &dyn Array, i: usize) -> Value {
        use arrow_schema::DataType as D;
        if array.is_null(i) {
            return Value::Null;
        }
        match array.data_type() {
            D::Null => Value::Null,
            D::Boolean => Value::Boolean(array.as_boolean().value(i)),
            D::Int32 => Value::Int(array.as_primitive::<Int32Type>().value(i)),
            D::Int64 => Value::Bigint(array.as_primitive::<Int64Type>().value(i)),
            D::Float64 => Value::Double(array.as_primitive::<Float64Type>().value(i)),
            D::Decimal128(_, scale) => {
                Value::Decimal(array.as_primitive::<Decimal128Type>().value(i), *scale as u8)
            }
            D::Utf8View => Value::Varchar(array.as_string_view().value(i).into()),
            D::BinaryView => Value::Bytes(array.as_binary_view().value(i).into()),
            D::Date32 => Value::Date(array.as_primitive::<Date32Type>().value(i)),
            D::Time32(_) => Value::Time(array.as_primitive::<Time32MillisecondType>().value(i)),
            D::Timestamp(_, _) => Value::Timestamp(array.as_primitive::<TimestampMillisecondType>().value(i)),
            D::List(_) => {
                let items = array.as_list::<i32>().value(i);
                Value::Array((0..items.len()).map(|j| Value::at(&items, j)).collect())
            }
            D::Map(_, _) => {
                let entries = array.as_map().value(i);
                let (keys, values) = (entries.column(0), entries.column(1));
                Value::Map((0..entries.len()).map(|j| (Value::at(keys, j), Value::at(values, j))).collect())
            }
            D::Struct(_) => {
                let array = array.as_struct();
                Value::Struct(array.columns().iter().map(|c| Value::at(c, i)).collect())
            }
            other => unreachable!("no SQL type is carried by {other}"),
        }
    }

    /// An array of the type's Arrow shape that holds the given values.
    ///
    /// A value of another type than `ty` becomes NULL; binding makes sure there is none.
    pub fn array<'a>(ty: &SqlType, values: impl ExactSizeIterator<Item = &'a Value>) -> ArrayRef {
        Value::array_of(ty, &values.collect::<Vec<_>>())
    }

    /// Not generic: it calls itself for what is inside, and each level would be one more iterator type.
    fn array_of(ty: &SqlType, values: &[&Value]) -> ArrayRef {
        let values = values.iter().copied();
        macro_rules! primitive {
            ($builder:ty, $variant:pat => $inner:expr) => {{
                let mut builder = <$builder>::with_capacity(values.len());
                for value in values {
                    match value {
                        $variant => builder.append_value($inner),
                        _ => builder.append_null(),
                    }
                }
                Arc::new(builder.finish()) as ArrayRef
            }};
        }
        match ty {
            SqlType::Boolean => primitive!(BooleanBuilder, Value::Boolean(v) => *v),
            SqlType::Int => primitive!(Int32Builder, Value::Int(v) => *v),
            SqlType::Bigint => primitive!(Int64Builder, Value::Bigint(v) => *v),
            SqlType::Double => primitive!(Float64Builder, Value::Double(v) => *v),
            SqlType::Decimal { precision, scale } => {
                let mut builder = Decimal128Builder::with_capacity(values.len())
                    .with_data_type(arrow_schema::DataType::Decimal128(*precision, *scale as i8));
                for value in values {
                    match value {
                        Value::Decimal(v, _) => builder.append_value(*v),
                        _ => builder.append_null(),
                    }
                }
                Arc::new(builder.finish())
            }
            SqlType::Varchar => primitive!(StringViewBuilder, Value::Varchar(v) => v),
            SqlType::Bytes => primitive!(BinaryViewBuilder, Value::Bytes(v) => v),
            SqlType::Date => primitive!(Date32Builder, Value::Date(v) => *v),
            SqlType::Time => primitive!(Time32MillisecondBuilder, Value::Time(v) => *v),
            SqlType::Timestamp => primitive!(TimestampMillisecondBuilder, Value::Timestamp(v) => *v),
            SqlType::Array(item) => {
                let lists: Vec<Option<&Vec<Value>>> =
                    values.map(|v| if let Value::Array(items) = v { Some(items) } else { None }).collect();
                let flat: Vec<&Value> = lists.iter().flatten().flat_map(|l| l.iter()).collect();
                let array = Value::array_of(item, &flat);
                let offsets = OffsetBuffer::from_lengths(lists.iter().map(|l| l.map_or(0, |l| l.len())));
                let nulls = NullBuffer::from_iter(lists.iter().map(|l| l.is_some()));
                let arrow_schema::DataType::List(field) = ty.arrow() else { unreachable!() };
                Arc::new(arrow_array::ListArray::new(field, offsets, array, Some(nulls)))
            }
            SqlType::Map(key, value) => {
                let maps: Vec<Option<&Vec<(Value, Value)>>> =
                    values.map(|v| if let Value::Map(entries) = v { Some(entries) } else { None }).collect();
                let flat: Vec<&(Value, Value)> = maps.iter().flatten().flat_map(|m| m.iter()).collect();
                let keys = Value::array(key, flat.iter().map(|e| &e.0));
                let items = Value::array(value, flat.iter().map(|e| &e.1));
                let offsets = OffsetBuffer::from_lengths(maps.iter().map(|m| m.map_or(0, |m| m.len())));
                let nulls = NullBuffer::from_iter(maps.iter().map(|m| m.is_some()));
                let arrow_schema::DataType::Map(field, _) = ty.arrow() else { unreachable!() };
                let arrow_schema::DataType::Struct(fields) = field.data_type().clone() else {
                    unreachable!()
                };
                let entries = StructArray::new(fields, vec![keys, items], None);
                Arc::new(MapArray::new(field, offsets, entries, Some(nulls), false))
            }
            SqlType::Struct(fields) => {
                let rows: Vec<Option<&Vec<Value>>> =
                    values.map(|v| if let Value::Struct(row) = v { Some(row) } else { None }).collect();
                let nulls = NullBuffer::from_iter(rows.iter().map(|r| r.is_some()));
                let columns = fields
                    .iter()
                    .enumerate()
                    .map(|(c, field)| {
                        Value::array(&field.ty, rows.iter().map(|r| r.map_or(&Value::Null, |r| &r[c])))
                    })
                    .collect();
                let arrow_schema::DataType::Struct(arrow_fields) = ty.arrow() else { unreachable!() };
                if fields.is_empty() {
                    return Arc::new(StructArray::new_empty_fields(rows.len(), Some(nulls)));
                }
                Arc::new(StructArray::new(arrow_fields, columns, Some(nulls)))
            }
        }
    }

    /// The same with the entries of all maps in the order of their keys: of equal values equal ones.
    pub fn with_ordered_entries(self) -> Value {
        let all = |values: Vec<Value>| values.into_iter().map(Value::with_ordered_entries).collect();
        match self {
            Value::Array(items) => Value::Array(all(items)),
            Value::Struct(fields) => Value::Struct(all(fields)),
            Value::Map(entries) => {
                let ordered = |(k, v): (Value, Value)| (k.with_ordered_entries(), v.with_ordered_entries());
                let mut entries: Vec<(Value, Value)> = entries.into_iter().map(ordered).collect();
                entries.sort_by(|(a, _), (b, _)| a.cmp(b));
                Value::Map(entries)
            }
            plain => plain,
        }
    }

    /// Appends the stable byte form: a tag, then the value; equal values have equal bytes.
    pub fn encode(&self, out: &mut Vec<u8>) {
        fn sized(out: &mut Vec<u8>, tag: u8, bytes: &[u8]) {
            out.push(tag);
            encode_len(out, bytes.len());
            out.extend_from_slice(bytes);
        }
        match self {
            Value::Null => out.push(0),
            Value::Boolean(v) => out.extend([1, *v as u8]),
            Value::Int(v) => {
                out.push(2);
                out.extend(v.to_le_bytes());
            }
            Value::Bigint(v) => {
                out.push(3);
                out.extend(v.to_le_bytes());
            }
            Value::Double(v) => {
                // One bit pattern for every NaN and one zero, so that equal keys have equal bytes.
                let v = if v.is_nan() {
                    f64::NAN
                } else if *v == 0.0 {
                    0.0
                } else {
                    *v
                };
                out.push(4);
                out.extend(v.to_bits().to_le_bytes());
            }
            Value::Decimal(v, scale) => {
                out.extend([5, *scale]);
                out.extend(v.to_le_bytes());
            }
            Value::Varchar(v) => sized(out, 6, v.as_bytes()),
            Value::Bytes(v) => sized(out, 7, v),
            Value::Date(v) => {
                out.push(8);
                out.extend(v.to_le_bytes());
            }
            Value::Time(v) => {
                out.push(9);
                out.extend(v.to_le_bytes());
            }
            Value::Timestamp(v) => {
                out.push(10);
                out.extend(v.to_le_bytes());
            }
            Value::Array(items) => {
                out.push(11);
                encode_len(out, items.len());
                items.iter().for_each(|v| v.encode(out));
            }
            Value::Map(entries) => {
                out.push(12);
                encode_len(out, entries.len());
                for (k, v) in entries {
                    k.encode(out);
                    v.encode(out);
                }
            }
            Value::Struct(fields) => {
                out.push(13);
                encode_len(out, fields.len());
                fields.iter().for_each(|v| v.encode(out));
            }
        }
    }

    /// Reads one value from the front of `bytes`. `None` when they are not one.
    pub fn decode(bytes: &mut &[u8]) -> Option<Value> {
        Some(match take::<1>(bytes)?[0] {
            0 => Value::Null,
            1 => Value::Boolean(take::<1>(bytes)?[0] != 0),
            2 => Value::Int(i32::from_le_bytes(take(bytes)?)),
            3 => Value::Bigint(i64::from_le_bytes(take(bytes)?)),
            4 => Value::Double(f64::from_bits(u64::from_le_bytes(take(bytes)?))),
            5 => {
                let scale = take::<1>(bytes)?[0];
                Value::Decimal(i128::from_le_bytes(take(bytes)?), scale)
            }
            6 => Value::Varchar(std::str::from_utf8(take_sized(bytes)?).ok()?.into()),
            7 => Value::Bytes(take_sized(bytes)?.into()),
            8 => Value::Date(i32::from_le_bytes(take(bytes)?)),
            9 => Value::Time(i32::from_le_bytes(take(bytes)?)),
            10 => Value::Timestamp(i64::from_le_bytes(take(bytes)?)),
            11 => {
                let len = decode_len(bytes)?;
                Value::Array((0..len).map(|_| Value::decode(bytes)).collect::<Option<_>>()?)
            }
            12 => {
                let len = decode_len(bytes)?;
                let entry = |_| Some((Value::decode(bytes)?, Value::decode(bytes)?));
                Value::Map((0..len).map(entry).collect::<Option<_>>()?)
            }
            13 => {
                let len = decode_len(bytes)?;
                Value::Struct((0..len).map(|_| Value::decode(bytes)).collect::<Option<_>>()?)
            }
            _ => return None,
        })
    }
}

/// Appends a length as a LEB128 varint.
pub fn encode_len(out: &mut Vec<u8>, mut len: usize) {
    while len >= 0x80 {
        out.push(len as u8 | 0x80);
        len >>= 7;
    }
    out.push(len as u8);
}

/// Reads a length written by [`encode_len`].
pub fn decode_len(bytes: &mut &[u8]) -> Option<usize> {
    let (mut len, mut shift) = (0usize, 0);
    loop {
        let byte = take::<1>(bytes)?[0];
        len |= ((byte & 0x7f) as usize).checked_shl(shift)?;
        if byte < 0x80 {
            return Some(len);
        }
        shift += 7;
    }
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (head, tail) = bytes.split_first_chunk::<N>()?;
    *bytes = tail;
    Some(*head)
}

fn take_sized<'a>(bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
    let len = decode_len(bytes)?;
    let (head, tail) = bytes.split_at_checked(len)?;
    *bytes = tail;
    Some(head)
}

/// Encodes several values one behind the other: the form of keys and rows.
pub fn encode_row<'a>(values: impl IntoIterator<Item = &'a Value>) -> Box<[u8]> {
    let mut out = Vec::with_capacity(32);
    values.into_iter().for_each(|v| v.encode(&mut out));
    out.into_boxed_slice()
}

/// How many bytes the first `values` values of a row take. `None` where there are not as many.
pub fn row_len(bytes: &[u8], values: usize) -> Option<usize> {
    let mut rest = bytes;
    for _ in 0..values {
        skip(&mut rest)?;
    }
    Some(bytes.len() - rest.len())
}

/// Passes over one value.
fn skip(bytes: &mut &[u8]) -> Option<()> {
    let fixed = match take::<1>(bytes)?[0] {
        0 => 0,
        1 => 1,
        2 | 8 | 9 => 4,
        3 | 4 | 10 => 8,
        5 => 17,
        6 | 7 => decode_len(bytes)?,
        tag @ 11..=13 => {
            let len = decode_len(bytes)?;
            let values = if tag == 12 { len.checked_mul(2)? } else { len };
            return (0..values).try_for_each(|_| skip(bytes));
        }
        _ => return None,
    };
    *bytes = bytes.get(fixed..)?;
    Some(())
}

/// Reads back what [`encode_row`] wrote.
pub fn decode_row(mut bytes: &[u8]) -> Option<Row> {
    let mut row = Vec::new();
    while !bytes.is_empty() {
        row.push(Value::decode(&mut bytes)?);
    }
    Some(row)
}

impl Value {
    fn rank(&self) -> u8 {
        match self {
            Value::Null => 0,
            Value::Boolean(_) => 1,
            Value::Int(_) => 2,
            Value::Bigint(_) => 3,
            Value::Double(_) => 4,
            Value::Decimal(..) => 5,
            Value::Varchar(_) => 6,
            Value::Bytes(_) => 7,
            Value::Date(_) => 8,
            Value::Time(_) => 9,
            Value::Timestamp(_) => 10,
            Value::Array(_) => 11,
            Value::Map(_) => 12,
            Value::Struct(_) => 13,
        }
    }
}

/// A total order within a type: NULL first, NaN last.
impl Ord for Value {
    fn cmp(&self, other: &Value) -> Ordering {
        match (self, other) {
            (Value::Boolean(a), Value::Boolean(b)) => a.cmp(b),
            (Value::Int(a), Value::Int(b)) => a.cmp(b),
            (Value::Bigint(a), Value::Bigint(b)) => a.cmp(b),
            (Value::Double(a), Value::Double(b)) => {
                a.partial_cmp(b).unwrap_or_else(|| a.is_nan().cmp(&b.is_nan()))
            }
            (Value::Decimal(a, _), Value::Decimal(b, _)) => a.cmp(b),
            (Value::Varchar(a), Value::Varchar(b)) => a.cmp(b),
            (Value::Bytes(a), Value::Bytes(b)) => a.cmp(b),
            (Value::Date(a), Value::Date(b)) => a.cmp(b),
            (Value::Time(a), Value::Time(b)) => a.cmp(b),
            (Value::Timestamp(a), Value::Timestamp(b)) => a.cmp(b),
            (Value::Array(a), Value::Array(b)) => a.cmp(b),
            // Entries have no order.
            (Value::Map(a), Value::Map(b)) => {
                let sorted = |entries: &'_ [(Value, Value)]| -> Vec<(Value, Value)> {
                    let mut entries = entries.to_vec();
                    entries.sort_by(|a, b| a.0.cmp(&b.0));
                    entries
                };
                if a.len() < 2 && b.len() < 2 { a.cmp(b) } else { sorted(a).cmp(&sorted(b)) }
            }
            (Value::Struct(a), Value::Struct(b)) => a.cmp(b),
            _ => self.rank().cmp(&other.rank()),
        }
    }
}

impl PartialOrd for Value {
    fn partial_cmp(&self, other: &Value) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Value {
    fn eq(&self, other: &Value) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Value {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::StructField;

    #[test]
    fn values_survive_arrays_and_bytes() {
        let ty = SqlType::Struct(vec![
            StructField { name: "a".into(), ty: SqlType::Array(Box::new(SqlType::Int)) },
            StructField {
                name: "m".into(),
                ty: SqlType::Map(Box::new(SqlType::Varchar), Box::new(SqlType::Double)),
            },
        ]);
        let values = [
            Value::Struct(vec![
                Value::Array(vec![Value::Int(1), Value::Null]),
                Value::Map(vec![(Value::text("k"), Value::Double(1.5))]),
            ]),
            Value::Null,
            Value::Struct(vec![Value::Null, Value::Map(vec![])]),
        ];
        let array = Value::array(&ty, values.iter());
        for (i, value) in values.iter().enumerate() {
            assert_eq!(&Value::at(&array, i), value);
        }
        assert_eq!(decode_row(&encode_row(&values)).as_deref(), Some(&values[..]));
        assert_eq!(decode_row(&[6, 200]), None);
    }
}
