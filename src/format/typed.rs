//! Values that arrive typed, not as text → cells of a column of that type, or of one it can become.

use super::cells::{Cells as Fixed, INLINE_MAX, Place, Scalars};
use super::decode::unfit_value;
use super::fault::{Fault, Parsed};
use super::field::Field;
use super::parts::{Cells, Part};
use super::times::is_time;
use crate::number_text::{write_decimal, write_integer};
use crate::types::SqlType;
use std::collections::HashMap;
use std::ops::Range;

/// Texts that are in no message, each of them once.
#[derive(Default)]
pub struct Made {
    places: HashMap<Box<str>, usize>,
    pub bytes: Vec<u8>,
}

/// More made texts than this are refused; a view has 32 bits for a place.
const MADE_MAX: usize = 1 << 30;

impl Part {
    #[inline(always)]
    fn scalars(&mut self) -> &mut Scalars {
        match &mut self.cells {
            Cells::Scalar(scalars) => scalars,
            _ => unreachable!("a plan reads values without parts only into columns without"),
        }
    }

    /// A number, or a time in units of which `per_ms` are a millisecond.
    #[inline(always)]
    pub fn push_integer(&mut self, value: i64, per_ms: i64) -> Parsed<()> {
        let keep = self.keep;
        let stored = match self.scalars() {
            Scalars::Int(cells) | Scalars::Date(cells) => store(cells, keep, i32::try_from(value).ok()),
            Scalars::Bigint(cells) => store(cells, keep, Some(value)),
            Scalars::Timestamp(cells) => store(cells, keep, Some(whole(value, per_ms))),
            Scalars::Time(cells) => {
                let ms = i32::try_from(whole(value, per_ms)).ok();
                store(cells, keep, ms.filter(|ms| is_time(*ms)))
            }
            Scalars::Double(cells) => store(cells, keep, Some(value as f64)),
            _ => false,
        };
        if stored { Ok(()) } else { Err(self.unfit_integer(value)) }
    }

    #[inline(always)]
    pub fn push_double(&mut self, value: f64) -> Parsed<()> {
        let keep = self.keep;
        if let Scalars::Double(cells) = self.scalars() {
            store(cells, keep, Some(value));
        }
        Ok(())
    }

    #[inline(always)]
    pub fn push_boolean(&mut self, value: bool) -> Parsed<()> {
        let keep = self.keep;
        if let Scalars::Boolean(cells) = self.scalars() {
            store(cells, keep, Some(value));
        }
        Ok(())
    }

    /// BYTES, or the UTF-8 of a text; `range` is their place in the messages.
    #[inline(always)]
    pub fn push_bytes(&mut self, bytes: Field<'_>, range: &Range<usize>) -> Parsed<()> {
        let keep = self.keep;
        match self.scalars() {
            Scalars::Varchar(texts) => {
                if !is_utf8(bytes) {
                    return Err(Fault::new(unfit_value(&self.ty, bytes.bytes())));
                }
                if keep {
                    texts.push(bytes, Place::Messages(range.start));
                }
            }
            Scalars::Bytes(blobs) if keep => blobs.push(bytes.bytes()),
            _ => {}
        }
        Ok(())
    }

    /// Bytes, or the UTF-8 of a text, that are not in the messages.
    pub fn push_made(&mut self, bytes: &[u8], made: &mut Made) -> Parsed<()> {
        let keep = self.keep;
        match self.scalars() {
            Scalars::Varchar(texts) => {
                let text = std::str::from_utf8(bytes);
                let text = text.map_err(|_| Fault::new(unfit_value(&SqlType::Varchar, bytes)))?;
                if keep {
                    texts.push(Field::from(bytes), Place::Unescaped(made.place(text)?));
                }
            }
            Scalars::Bytes(blobs) if keep => blobs.push(bytes),
            _ => {}
        }
        Ok(())
    }

    /// A DECIMAL's digits, big-endian in two's complement, of which `scale` are behind the point.
    pub fn push_decimal(&mut self, digits: &[u8], scale: i32) -> Parsed<()> {
        let keep = self.keep;
        let fault = match self.scalars() {
            Scalars::Decimal { cells, precision, scale: own } => {
                let value = big_endian(digits);
                let fitted = value.and_then(|value| rescale(value, scale, *precision, *own));
                if store(cells, keep, fitted) {
                    return Ok(());
                }
                value
            }
            _ => None,
        };
        let mut shown = String::new();
        match (fault, scale) {
            // No larger scale has a text: its unit is larger than any number.
            (Some(value), 0..=38) => write_decimal(value, scale as u8, &mut shown),
            _ => shown = format!("a number of {} bytes", digits.len()),
        }
        Err(Fault::new(format!("{shown} does not fit {}", self.ty)))
    }

    #[cold]
    fn unfit_integer(&self, value: i64) -> Box<Fault> {
        let mut text = String::new();
        write_integer(value, &mut text);
        Fault::new(unfit_value(&self.ty, text.as_bytes()))
    }
}

impl Made {
    fn place(&mut self, text: &str) -> Parsed<usize> {
        if text.len() <= INLINE_MAX {
            return Ok(0);
        }
        if let Some(place) = self.places.get(text) {
            return Ok(*place);
        }
        let place = self.bytes.len();
        if place + text.len() > MADE_MAX {
            return Err(Fault::new("the names of enum values take more than 1 GiB in one batch"));
        }
        self.bytes.extend_from_slice(text.as_bytes());
        self.places.insert(text.into(), place);
        Ok(place)
    }

    pub fn take(&mut self) -> Vec<u8> {
        self.places.clear();
        std::mem::take(&mut self.bytes)
    }
}

/// Keeps a value; answers whether there is one.
#[inline(always)]
fn store<T: Copy + Default>(cells: &mut Fixed<T>, keep: bool, value: Option<T>) -> bool {
    if let (Some(value), true) = (value, keep) {
        cells.push(value);
    }
    value.is_some()
}

#[inline(always)]
fn whole(value: i64, per_ms: i64) -> i64 {
    if per_ms == 1 { value } else { value.div_euclid(per_ms) }
}

/// Most texts are short and ASCII.
#[inline(always)]
fn is_utf8(text: Field<'_>) -> bool {
    const HIGHEST_BITS: u128 = 0x8080_8080_8080_8080_8080_8080_8080_8080;
    let len = text.len();
    if (1..=16).contains(&len) && text.double_word() & (HIGHEST_BITS >> (128 - 8 * len)) == 0 {
        return true;
    }
    std::str::from_utf8(text.bytes()).is_ok()
}

/// `None` where it is empty or has more than 128 bits.
fn big_endian(digits: &[u8]) -> Option<i128> {
    let sign = if *digits.first()? >= 0x80 { 0xff } else { 0 };
    let extra = digits.len().saturating_sub(16);
    let (sign_bytes, rest) = digits.split_at(extra);
    let same_sign = (rest[0] >= 0x80) == (sign == 0xff);
    if !same_sign || sign_bytes.iter().any(|byte| *byte != sign) {
        return None;
    }
    let mut bytes = [sign; 16];
    bytes[16 - rest.len()..].copy_from_slice(rest);
    Some(i128::from_be_bytes(bytes))
}

/// The same number with another count of digits behind the point, if nothing of it is lost.
pub fn rescale(value: i128, from: i32, precision: u8, to: u8) -> Option<i128> {
    let by = i32::from(to).checked_sub(from)?;
    let factor = 10i128.checked_pow(by.unsigned_abs());
    let scaled = match (value, by >= 0) {
        (0, _) => 0,
        (_, true) => value.checked_mul(factor?)?,
        (_, false) => Some(value / factor?).filter(|_| factor.is_some_and(|f| value % f == 0))?,
    };
    (scaled.unsigned_abs() < 10u128.pow(precision.into())).then_some(scaled)
}
