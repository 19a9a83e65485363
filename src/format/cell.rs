//! One cell of a batch, not NULL, as what binary formats write: an integer, bytes, or digits.

use super::fault::{Fault, Parsed};
use super::typed::rescale;
use arrow_array::cast::AsArray;
use arrow_array::types::*;
use arrow_array::{Array, ArrayRef};
use arrow_schema::DataType;

/// A number; a time in units of which `per_ms` are a millisecond.
pub fn integer(array: &ArrayRef, i: usize, per_ms: i64) -> Parsed<i64> {
    let value = match array.data_type() {
        DataType::Int32 => array.as_primitive::<Int32Type>().value(i).into(),
        DataType::Int64 => array.as_primitive::<Int64Type>().value(i),
        DataType::Date32 => array.as_primitive::<Date32Type>().value(i).into(),
        DataType::Time32(_) => array.as_primitive::<Time32MillisecondType>().value(i).into(),
        DataType::Timestamp(..) => array.as_primitive::<TimestampMillisecondType>().value(i),
        other => unreachable!("{other} was planned to be an integer"),
    };
    let scaled = value.checked_mul(per_ms);
    scaled
        .ok_or_else(|| Fault::new(format!("{value} milliseconds have no place in the schema's finer units")))
}

pub fn bytes(array: &ArrayRef, i: usize) -> &[u8] {
    match array.data_type() {
        DataType::Utf8View => array.as_string_view().value(i).as_bytes(),
        DataType::BinaryView => array.as_binary_view().value(i),
        other => unreachable!("{other} was planned to be bytes"),
    }
}

/// The digits of a DECIMAL at a schema's precision and scale, big-endian in two's complement.
pub fn digits(array: &ArrayRef, i: usize, precision: u8, scale: u8) -> Parsed<[u8; 16]> {
    let decimal = array.as_primitive::<Decimal128Type>();
    let rescaled = rescale(decimal.value(i), decimal.scale().into(), precision, scale);
    let rescaled = rescaled.ok_or_else(|| {
        let value = decimal.value_as_string(i);
        Fault::new(format!("{value} does not fit the schema's decimal({precision}, {scale})"))
    })?;
    Ok(rescaled.to_be_bytes())
}

/// Without leading bytes that say nothing but the sign; at least one byte.
pub fn shortest(digits: &[u8; 16]) -> &[u8] {
    let needless = |pair: &[u8]| matches!((pair[0], pair[1]), (0, ..0x80) | (0xff, 0x80..));
    let start = digits.windows(2).take_while(|pair| needless(pair)).count();
    &digits[start..]
}
