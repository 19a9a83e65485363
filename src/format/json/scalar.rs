//! JSON values → cells of a type without parts, with ksqlDB's coercions: text to numbers and booleans,
//! anything to STRING.

use super::cursor::{Cursor, Text};
use super::node::mismatch;
use crate::format::cells::{Cells, Place, Scalars, Texts};
use crate::format::decode::unfit_value;
use crate::format::fault::{Fault, Parsed};
use crate::format::field::Field;
use crate::format::{numbers, times};
use crate::types::SqlType;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// Parses the value whose first byte is `first` (not that of `null`) and keeps it if asked to.
#[inline]
pub fn parse(
    scalars: &mut Scalars,
    ty: &SqlType,
    keep: bool,
    cursor: &mut Cursor<'_>,
    first: u8,
) -> Parsed<()> {
    match first {
        b'"' => {
            let text = cursor.string()?;
            if push_text(scalars, keep, cursor, text) {
                return Ok(());
            }
            Err(Fault::new(unfit_value(ty, cursor.text(text).bytes())))
        }
        b'-' | b'0'..=b'9' => {
            let (start, integer) = cursor.number()?;
            if push_number(scalars, keep, cursor, start, integer) {
                return Ok(());
            }
            Err(Fault::new(unfit_value(ty, &cursor.buffer[start..cursor.at])))
        }
        b't' | b'f' => parse_boolean(scalars, ty, keep, cursor, first == b't'),
        b'{' | b'[' => match scalars {
            Scalars::Varchar(texts) => parse_compact(texts, keep, cursor),
            _ => Err(mismatch(ty, cursor)),
        },
        _ => Err(cursor.unexpected("a value")),
    }
}

/// Keeps a parsed value; answers whether there is one.
#[inline(always)]
fn store<T: Default>(cells: &mut Cells<T>, keep: bool, value: Option<T>) -> bool {
    match value {
        Some(value) => {
            if keep {
                cells.push(value);
            }
            true
        }
        None => false,
    }
}

#[inline(always)]
fn push_text(scalars: &mut Scalars, keep: bool, cursor: &Cursor<'_>, text: Text) -> bool {
    let field = cursor.text(text);
    match scalars {
        Scalars::Varchar(texts) => {
            if keep {
                let place =
                    if text.unescaped { Place::Unescaped(text.start) } else { Place::Messages(text.start) };
                texts.push(field, place);
            }
            true
        }
        Scalars::Int(cells) => store(cells, keep, numbers::int(field)),
        Scalars::Bigint(cells) => store(cells, keep, numbers::bigint(field)),
        Scalars::Double(cells) => store(cells, keep, numbers::double(field)),
        Scalars::Boolean(cells) => store(cells, keep, numbers::boolean(field.bytes())),
        Scalars::Decimal { cells, precision, scale } => {
            store(cells, keep, numbers::decimal(field.bytes(), *precision, *scale))
        }
        Scalars::Date(cells) => store(cells, keep, times::date(field.bytes())),
        Scalars::Time(cells) => store(cells, keep, times::time(field.bytes())),
        Scalars::Timestamp(cells) => store(cells, keep, times::timestamp(field.bytes())),
        Scalars::Bytes(blobs) => {
            let bytes = STANDARD.decode(field.bytes()).ok();
            if let (true, Some(bytes)) = (keep, &bytes) {
                blobs.push(bytes);
            }
            bytes.is_some()
        }
    }
}

/// The number from `start` to the cursor.
#[inline(always)]
fn push_number(scalars: &mut Scalars, keep: bool, cursor: &Cursor<'_>, start: usize, integer: bool) -> bool {
    let field = Field::within(cursor.buffer, start, cursor.at);
    let int = || if integer { numbers::int(field) } else { whole(field)?.try_into().ok() };
    let bigint = || if integer { numbers::bigint(field) } else { whole(field) };
    match scalars {
        Scalars::Int(cells) => store(cells, keep, int()),
        Scalars::Bigint(cells) | Scalars::Timestamp(cells) => store(cells, keep, bigint()),
        Scalars::Double(cells) => store(cells, keep, numbers::double(field)),
        Scalars::Decimal { cells, precision, scale } => {
            store(cells, keep, numbers::decimal(field.bytes(), *precision, *scale))
        }
        Scalars::Date(cells) => store(cells, keep, int()),
        Scalars::Time(cells) => store(cells, keep, int().filter(|ms| times::is_time(*ms))),
        Scalars::Varchar(texts) => {
            if keep {
                texts.push(field, Place::Messages(start));
            }
            true
        }
        Scalars::Boolean(_) | Scalars::Bytes(_) => false,
    }
}

/// The part of a number in front of its point.
#[inline(never)]
fn whole(number: Field<'_>) -> Option<i64> {
    let text = number.bytes();
    if memchr::memchr2(b'e', b'E', text).is_none() {
        let point = memchr::memchr(b'.', text).unwrap_or(text.len());
        return numbers::bigint(Field::from(&text[..point]));
    }
    let value = numbers::double(number)?.trunc();
    // 2^63 is the first number that is too large; -2^63 is none.
    let limit = 9_223_372_036_854_775_808.0;
    (-limit..limit).contains(&value).then_some(value as i64)
}

#[inline(never)]
fn parse_boolean(
    scalars: &mut Scalars,
    ty: &SqlType,
    keep: bool,
    cursor: &mut Cursor<'_>,
    value: bool,
) -> Parsed<()> {
    let start = cursor.at;
    match scalars {
        Scalars::Boolean(_) | Scalars::Varchar(_) => {
            cursor.word(if value { "true" } else { "false" })?;
            if keep {
                match scalars {
                    Scalars::Boolean(cells) => cells.push(value),
                    Scalars::Varchar(texts) => {
                        texts.push(Field::within(cursor.buffer, start, cursor.at), Place::Messages(start));
                    }
                    _ => {}
                }
            }
            Ok(())
        }
        _ => Err(mismatch(ty, cursor)),
    }
}

/// An object or array as text, without blanks between its tokens.
#[inline(never)]
fn parse_compact(texts: &mut Texts, keep: bool, cursor: &mut Cursor<'_>) -> Parsed<()> {
    let start = cursor.at;
    cursor.skip_value()?;
    if !keep {
        return Ok(());
    }
    let text_start = cursor.unescaped.len();
    let (mut in_string, mut escaped) = (false, false);
    for &byte in &cursor.buffer[start..cursor.at] {
        if in_string || !matches!(byte, b' ' | b'\t' | b'\r' | b'\n') {
            cursor.unescaped.push(byte);
        }
        in_string ^= byte == b'"' && !escaped;
        escaped = in_string && byte == b'\\' && !escaped;
    }
    let field = Field::within(cursor.unescaped, text_start, cursor.unescaped.len());
    texts.push(field, Place::Unescaped(text_start));
    Ok(())
}
