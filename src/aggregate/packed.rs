//! The compact form of single values inside a state: a tag, then as few bytes as hold the value.
//!
//! Equal values have equal bytes (one zero and one NaN, as in `Value::encode`). It is kept on disk
//! within states, so it must never change.

use super::varint::{
    append, byte, get, get_signed, put, put_fixed, put_minimal, put_signed, take, take_number,
};
use crate::value::Value;
use std::cmp::Ordering;

pub const NULL: u8 = 0;
pub const FALSE: u8 = 1;
pub const INT: u8 = 2;
pub const BIGINT: u8 = 3;
pub const TRUE: u8 = 4;
pub const DECIMAL: u8 = 5;
pub const VARCHAR: u8 = 6;
pub const BYTES: u8 = 7;
pub const DATE: u8 = 8;
pub const TIME: u8 = 9;
pub const TIMESTAMP: u8 = 10;
pub const ARRAY: u8 = 11;
pub const MAP: u8 = 12;
pub const STRUCT: u8 = 13;
/// Plus the number of leading bytes that follow: what a double has below them is zero.
pub const DOUBLE: u8 = 16;

/// Deeper nesting than any type has; bytes that claim it are corrupt.
const DEPTH_MAX: usize = 64;

pub fn pack(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Null => out.push(NULL),
        Value::Boolean(v) => out.push(if *v { TRUE } else { FALSE }),
        Value::Int(v) => pack_integer(INT, *v as i64, out),
        Value::Bigint(v) => pack_integer(BIGINT, *v, out),
        Value::Double(v) => pack_double(*v, out),
        Value::Decimal(v, scale) => pack_decimal(*v, *scale, out),
        Value::Varchar(v) => pack_bytes(VARCHAR, v.as_bytes(), out),
        Value::Bytes(v) => pack_bytes(BYTES, v, out),
        Value::Date(v) => pack_integer(DATE, *v as i64, out),
        Value::Time(v) => pack_integer(TIME, *v as i64, out),
        Value::Timestamp(v) => pack_integer(TIMESTAMP, *v, out),
        Value::Array(items) => {
            pack_head(ARRAY, items.len(), out);
            items.iter().for_each(|v| pack(v, out));
        }
        Value::Map(entries) => {
            pack_head(MAP, entries.len(), out);
            for (key, value) in entries {
                pack(key, out);
                pack(value, out);
            }
        }
        Value::Struct(fields) => {
            pack_head(STRUCT, fields.len(), out);
            fields.iter().for_each(|v| pack(v, out));
        }
    }
}

/// The head of a value that has others in it.
pub fn pack_head(tag: u8, len: usize, out: &mut Vec<u8>) {
    out.push(tag);
    put(out, len as u64);
}

#[inline]
pub fn pack_integer(tag: u8, value: i64, out: &mut Vec<u8>) {
    out.push(tag);
    put_signed(out, value);
}

#[inline]
pub fn pack_double(value: f64, out: &mut Vec<u8>) {
    let bits = if value.is_nan() { f64::NAN.to_bits() } else { (value + 0.0).to_bits() };
    let len = 8 - bits.trailing_zeros() as usize / 8;
    out.push(DOUBLE + len as u8);
    put_fixed(out, &bits.to_be_bytes(), len);
}

pub fn pack_decimal(value: i128, scale: u8, out: &mut Vec<u8>) {
    out.extend([DECIMAL, scale]);
    put_minimal(out, value);
}

#[inline]
pub fn pack_bytes(tag: u8, bytes: &[u8], out: &mut Vec<u8>) {
    out.push(tag);
    put(out, bytes.len() as u64);
    append(out, bytes);
}

/// Reads one value from the front. `None` when the bytes are not one.
pub fn unpack(bytes: &mut &[u8]) -> Option<Value> {
    unpack_nested(bytes, 0)
}

fn unpack_nested(bytes: &mut &[u8], depth: usize) -> Option<Value> {
    if depth > DEPTH_MAX {
        return None;
    }
    Some(match byte(bytes)? {
        NULL => Value::Null,
        FALSE => Value::Boolean(false),
        TRUE => Value::Boolean(true),
        INT => Value::Int(get_signed(bytes)?.try_into().ok()?),
        BIGINT => Value::Bigint(get_signed(bytes)?),
        DECIMAL => {
            let scale = byte(bytes)?;
            Value::Decimal(unpack_digits(bytes)?, scale)
        }
        VARCHAR => Value::Varchar(std::str::from_utf8(take_sized(bytes)?).ok()?.into()),
        BYTES => Value::Bytes(take_sized(bytes)?.into()),
        DATE => Value::Date(get_signed(bytes)?.try_into().ok()?),
        TIME => Value::Time(get_signed(bytes)?.try_into().ok()?),
        TIMESTAMP => Value::Timestamp(get_signed(bytes)?),
        ARRAY => {
            let len = get(bytes)?;
            Value::Array((0..len).map(|_| unpack_nested(bytes, depth + 1)).collect::<Option<_>>()?)
        }
        MAP => {
            let len = get(bytes)?;
            let mut entry = || Some((unpack_nested(bytes, depth + 1)?, unpack_nested(bytes, depth + 1)?));
            Value::Map((0..len).map(|_| entry()).collect::<Option<_>>()?)
        }
        STRUCT => {
            let len = get(bytes)?;
            Value::Struct((0..len).map(|_| unpack_nested(bytes, depth + 1)).collect::<Option<_>>()?)
        }
        tag => Value::Double(unpack_double(tag, bytes)?),
    })
}

#[inline]
fn unpack_double(tag: u8, bytes: &mut &[u8]) -> Option<f64> {
    let len = tag.checked_sub(DOUBLE).filter(|len| *len <= 8)? as usize;
    let bits = match bytes.first_chunk::<8>() {
        Some(chunk) => {
            *bytes = &bytes[len..];
            let unused = u64::MAX.checked_shr(8 * len as u32).unwrap_or(0);
            u64::from_be_bytes(*chunk) & !unused
        }
        None => {
            let mut chunk = [0; 8];
            chunk[..len].copy_from_slice(take(bytes, len)?);
            u64::from_be_bytes(chunk)
        }
    };
    Some(f64::from_bits(bits))
}

fn unpack_digits(bytes: &mut &[u8]) -> Option<i128> {
    let len = byte(bytes)? as usize;
    take_number(bytes, len)
}

fn take_sized<'a>(bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
    let len = usize::try_from(get(bytes)?).ok()?;
    take(bytes, len)
}

/// Takes the bytes of one value from the front, without looking into it more than needed.
#[inline]
pub fn take_packed<'a>(bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
    let all = *bytes;
    skip(bytes, 0)?;
    Some(&all[..all.len() - bytes.len()])
}

fn skip(bytes: &mut &[u8], depth: usize) -> Option<()> {
    match byte(bytes)? {
        NULL | FALSE | TRUE => {}
        INT | BIGINT | DATE | TIME | TIMESTAMP => {
            get(bytes)?;
        }
        DECIMAL => {
            byte(bytes)?;
            let len = byte(bytes)?;
            take(bytes, len as usize)?;
        }
        VARCHAR | BYTES => {
            take_sized(bytes)?;
        }
        tag @ (ARRAY | MAP | STRUCT) => {
            if depth > DEPTH_MAX {
                return None;
            }
            let len = get(bytes)?.checked_mul(if tag == MAP { 2 } else { 1 })?;
            for _ in 0..len {
                skip(bytes, depth + 1)?;
            }
        }
        tag => {
            take(bytes, tag.checked_sub(DOUBLE).filter(|len| *len <= 8)? as usize)?;
        }
    }
    Some(())
}

/// The order of `Value` on packed values.
pub fn compare(a: &[u8], b: &[u8]) -> Ordering {
    if a == b {
        return Ordering::Equal;
    }
    fast(a, b).unwrap_or_else(|| {
        let value = |mut bytes: &[u8]| unpack(&mut bytes).unwrap_or(Value::Null);
        value(a).cmp(&value(b))
    })
}

fn fast(mut a: &[u8], mut b: &[u8]) -> Option<Ordering> {
    let (tag, other) = (byte(&mut a)?, byte(&mut b)?);
    match tag {
        INT | BIGINT | DATE | TIME | TIMESTAMP if tag == other => {
            Some(get_signed(&mut a)?.cmp(&get_signed(&mut b)?))
        }
        VARCHAR | BYTES if tag == other => Some(take_sized(&mut a)?.cmp(take_sized(&mut b)?)),
        DOUBLE.. if other >= DOUBLE => {
            let (a, b) = (unpack_double(tag, &mut a)?, unpack_double(other, &mut b)?);
            Some(a.partial_cmp(&b).unwrap_or_else(|| a.is_nan().cmp(&b.is_nan())))
        }
        _ => None,
    }
}

/// A packed value on its own; short ones without an allocation.
#[derive(Clone, Debug)]
pub enum Packed {
    Inline(u8, [u8; INLINE]),
    Heap(Box<[u8]>),
}

const INLINE: usize = 22;

impl Packed {
    pub const EMPTY: Packed = Packed::Inline(0, [0; INLINE]);

    /// Takes the content of `bytes`, which is scratch space: it ends up longer.
    #[inline]
    pub fn set(&mut self, bytes: &mut Vec<u8>) {
        let len = bytes.len();
        bytes.extend_from_slice(&[0; INLINE]);
        match bytes.first_chunk::<INLINE>() {
            Some(inline) if len <= INLINE => *self = Packed::Inline(len as u8, *inline),
            _ => *self = Packed::Heap(bytes[..len].into()),
        }
    }

    #[inline]
    pub fn append_to(&self, out: &mut Vec<u8>) {
        match self {
            Packed::Inline(len, bytes) => put_fixed(out, bytes, *len as usize),
            Packed::Heap(bytes) => out.extend_from_slice(bytes),
        }
    }

    #[inline]
    pub fn bytes(&self) -> &[u8] {
        match self {
            Packed::Inline(len, bytes) => &bytes[..*len as usize],
            Packed::Heap(bytes) => bytes,
        }
    }

    pub fn heap_bytes(&self) -> usize {
        match self {
            Packed::Inline(..) => 0,
            Packed::Heap(bytes) => bytes.len(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_survive_and_keep_their_order() {
        let doubles = [f64::NEG_INFINITY, -1.5, 0.0, 5e-324, 50.0, 11.783960720130933, f64::NAN];
        let mut values: Vec<Value> = doubles.into_iter().map(Value::Double).collect();
        values.extend([Value::Null, Value::Boolean(true), Value::Boolean(false)]);
        values.extend([-1, 0, 1, i32::MAX, i32::MIN].map(Value::Int));
        values.extend([i64::MIN, 1 << 40].map(Value::Bigint));
        values.extend([i128::MIN, -1, 0, 12345].map(|v| Value::Decimal(v, 2)));
        values.extend(["", "a", "b", "ab"].map(Value::text));
        values.push(Value::Struct(vec![Value::Double(53.79), Value::Null]));
        values.push(Value::Map(vec![(Value::text("k"), Value::Array(vec![Value::Date(3)]))]));
        for a in &values {
            let packed = |v: &Value| {
                let mut out = Vec::new();
                pack(v, &mut out);
                out
            };
            let bytes = packed(a);
            assert_eq!(take_packed(&mut &bytes[..]), Some(&bytes[..]));
            assert_eq!(unpack(&mut &bytes[..]).as_ref(), Some(a));
            for b in &values {
                assert_eq!(compare(&bytes, &packed(b)), a.cmp(b), "{a:?} {b:?}");
            }
        }
    }

    #[test]
    fn corrupt_bytes_are_none() {
        assert_eq!(unpack(&mut &[ARRAY, 1].repeat(500)[..]), None);
        assert_eq!(take_packed(&mut &[ARRAY, 1].repeat(500)[..]), None);
        assert_eq!(take_packed(&mut &[MAP, 0xff, 0xff, 0xff, 0x7f, 0][..]), None);
        assert_eq!(unpack(&mut &[25, 0, 0, 0, 0, 0, 0, 0, 0, 0][..]), None);
        assert_eq!(unpack(&mut &[14][..]), None);
    }
}
