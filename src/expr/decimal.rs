//! DECIMAL: result types, exact arithmetic, rescaling, comparison of mixed scales.
//!
//! A decimal is an unscaled i128 and a scale that its type fixes. Results follow the SQL precision
//! rules. Where those ask for more than 38 digits, sums keep their scale, and products and quotients
//! give up fraction digits (never below 6) before integer digits. A quotient, and a product that had
//! to give up digits, rounds HALF_UP; anything that does not fit its type is NULL and a note.

use super::node::{Kernel2, Validity, column, parts, primitive, side, try_map2, validity};
use crate::batch::Column;
use crate::number_text;
use crate::sql::ast::BinaryOp;
use crate::types::SqlType;
use arrow_array::types::Decimal128Type;
use arrow_buffer::i256;
use std::cmp::Ordering;

/// The most digits a DECIMAL has: what 128 bits hold.
pub const PRECISION_MAX: u8 = 38;
/// Fraction digits that a quotient or product keeps even when integer digits may overflow.
const SCALE_KEPT: u8 = 6;

pub const INT_AS_DECIMAL: SqlType = SqlType::Decimal { precision: 10, scale: 0 };
pub const BIGINT_AS_DECIMAL: SqlType = SqlType::Decimal { precision: 19, scale: 0 };

/// The type of `left op right`.
pub fn result_type(op: BinaryOp, left: (u8, u8), right: (u8, u8)) -> SqlType {
    let ((p1, s1), (p2, s2)) = ((left.0 as u16, left.1 as u16), (right.0 as u16, right.1 as u16));
    let scale = s1.max(s2);
    match op {
        BinaryOp::Multiply => shrink(p1 + p2 + 1, s1 + s2),
        BinaryOp::Divide => {
            let scale = (s1 + p2 + 1).max(SCALE_KEPT as u16);
            shrink(p1 - s1 + s2 + scale, scale)
        }
        BinaryOp::Modulo => keep((p1 - s1).min(p2 - s2) + scale, scale),
        _ => keep((p1 - s1).max(p2 - s2) + scale + 1, scale),
    }
}

/// The smallest type that holds both, as far as 38 digits go.
pub fn common(left: (u8, u8), right: (u8, u8)) -> SqlType {
    let whole = (left.0 - left.1).max(right.0 - right.1) as u16;
    let scale = left.1.max(right.1) as u16;
    keep(whole + scale, scale)
}

fn keep(precision: u16, scale: u16) -> SqlType {
    SqlType::Decimal { precision: precision.clamp(1, PRECISION_MAX as u16) as u8, scale: scale as u8 }
}

fn shrink(precision: u16, scale: u16) -> SqlType {
    let max = PRECISION_MAX as u16;
    if precision <= max {
        return keep(precision, scale);
    }
    let whole = precision - scale;
    let least = scale.min(SCALE_KEPT as u16);
    keep(max, max.saturating_sub(whole).max(least).min(scale))
}

/// 10 to the power of `n`, `n` ≤ 38.
pub fn power(n: u8) -> i128 {
    10i128.pow(n as u32)
}

/// The digits at another scale, rounded HALF_UP. `None` where they overflow.
pub fn rescale(digits: i128, from: u8, to: u8) -> Option<i128> {
    if to >= from {
        return digits.checked_mul(10i128.checked_pow((to - from) as u32)?);
    }
    Some(match 10i128.checked_pow((from - to) as u32) {
        Some(unit) => divide_half_up(digits, unit),
        None => 0,
    })
}

fn divide_half_up(a: i128, b: i128) -> i128 {
    let (quotient, rest) = (a / b, a % b);
    let up = rest.unsigned_abs() >= b.unsigned_abs() - rest.unsigned_abs();
    if !up {
        quotient
    } else if (a < 0) != (b < 0) {
        quotient - 1
    } else {
        quotient + 1
    }
}

/// The digits, if a type of this precision holds them.
pub fn fit(digits: i128, precision: u8) -> Option<i128> {
    (digits.unsigned_abs() < power(precision).unsigned_abs()).then_some(digits)
}

/// Orders two decimals of any scales.
pub fn compare(a: i128, a_scale: u8, b: i128, b_scale: u8) -> Ordering {
    if a_scale >= b_scale {
        match rescale(b, b_scale, a_scale) {
            Some(b) => a.cmp(&b),
            // `b` has more integer digits than any decimal of the finer scale: its sign decides.
            None => 0.cmp(&b),
        }
    } else {
        compare(b, b_scale, a, a_scale).reverse()
    }
}

/// Digits and scale of a decimal number as it is written, exponent included.
///
/// More fraction digits than `scale_max` are rounded HALF_UP by looking at the first one left out.
/// `None`: not a number, or more than 128 bits.
pub fn parse(text: &str, scale_max: u8) -> Option<(i128, u8)> {
    let (negative, body) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let (mantissa, exponent) = match body.find(['e', 'E']) {
        Some(at) => (&body[..at], body[at + 1..].parse::<i32>().ok()?),
        None => (body, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let mut digits = 0i128;
    let mut scale = (fraction.len() as i64) - exponent as i64;
    let mut dropped = None;
    let all = whole.bytes().chain(fraction.bytes());
    let mut left_out = (scale - scale_max as i64).max(0);
    let count = (whole.len() + fraction.len()) as i64;
    scale -= left_out;
    for (i, byte) in all.enumerate() {
        if !byte.is_ascii_digit() {
            return None;
        }
        if i as i64 >= count - left_out {
            dropped.get_or_insert(byte);
            continue;
        }
        digits = digits.checked_mul(10)?.checked_add((byte - b'0') as i128)?;
    }
    // 0.001 at scale 1: even the digit that decides is an implied zero.
    if left_out > count {
        dropped = None;
        left_out = 0;
    }
    if left_out > 0 && dropped.is_some_and(|d| d >= b'5') {
        digits += 1;
    }
    if scale < 0 {
        if digits != 0 {
            let shift = u8::try_from(-scale).ok().filter(|s| *s <= 38)?;
            digits = digits.checked_mul(power(shift))?;
        }
        scale = 0;
    }
    Some((if negative { -digits } else { digits }, scale as u8))
}

/// The nearest DOUBLE of a decimal.
pub fn to_double(digits: i128, scale: u8) -> f64 {
    // Exact operands and one rounding: below 2^53, and powers of ten up to 10^22 are exact.
    if digits.unsigned_abs() <= 1 << 53 && scale <= 22 {
        return digits as f64 / 10f64.powi(scale as i32);
    }
    number_text::decimal(digits, scale).parse().unwrap_or(f64::NAN)
}

/// The decimal of this scale that is nearest to `v`, rounded HALF_UP from its shortest text, as Java's
/// `BigDecimal.valueOf` has it. `None` for NaN, infinities and what 128 bits do not hold.
pub fn from_double(v: f64, scale: u8) -> Option<i128> {
    if !v.is_finite() {
        return None;
    }
    let (digits, has) = parse(&format!("{v:e}"), scale)?;
    rescale(digits, has, scale)
}

/// The kernel of `left op right` for operands of these scales.
pub(crate) fn kernel(op: BinaryOp, left: u8, right: u8, result: &SqlType) -> Option<Kernel2> {
    let SqlType::Decimal { precision, scale } = *result else { return None };
    let at = Scales { left, right, precision, scale };
    Some(match op {
        BinaryOp::Plus => each(op, at, result, move |a, b| at.add(a, b)),
        BinaryOp::Minus => each(op, at, result, move |a, b| at.add(a, b.checked_neg()?)),
        BinaryOp::Multiply => each(op, at, result, move |a, b| at.multiply(a, b)),
        BinaryOp::Divide => each(op, at, result, move |a, b| at.divide(a, b)),
        BinaryOp::Modulo => each(op, at, result, move |a, b| at.modulo(a, b)),
        _ => return None,
    })
}

fn each(
    op: BinaryOp,
    at: Scales,
    result: &SqlType,
    f: impl Fn(i128, i128) -> Option<i128> + Copy + 'static,
) -> Kernel2 {
    let (name, ty) = (result.to_string(), result.arrow());
    Box::new(move |left, right, report| {
        let Validity::Where(_) = validity(left, right) else { return Column::null(&ty) };
        let (values, nulls) = try_map2(
            side::<Decimal128Type>(left),
            side::<Decimal128Type>(right),
            f,
            |a, b| reason(op, (a, at.left), (b, at.right), &name),
            report,
        );
        column(primitive::<Decimal128Type>(values, nulls, &ty), parts(left).1 && parts(right).1)
    })
}

fn reason(op: BinaryOp, a: (i128, u8), b: (i128, u8), result: &str) -> String {
    let by_zero = b.0 == 0 && matches!(op, BinaryOp::Divide | BinaryOp::Modulo);
    let (a, b) = (number_text::decimal(a.0, a.1), number_text::decimal(b.0, b.1));
    if by_zero {
        format!("division by zero: {a} {} {b}", op.symbol())
    } else {
        format!("{a} {} {b} does not fit {result}", op.symbol())
    }
}

/// The scales of an operation. Each operation tries 128 bits first and redoes the rare rest in 256.
#[derive(Clone, Copy)]
pub(crate) struct Scales {
    pub left: u8,
    pub right: u8,
    pub precision: u8,
    pub scale: u8,
}

impl Scales {
    pub fn add(self, a: i128, b: i128) -> Option<i128> {
        let narrow = || {
            let a = a.checked_mul(power(self.scale - self.left))?;
            a.checked_add(b.checked_mul(power(self.scale - self.right))?)
        };
        let wide = || {
            let a = widen(a, self.scale - self.left)?;
            a.checked_add(widen(b, self.scale - self.right)?)?.to_i128()
        };
        fit(narrow().or_else(wide)?, self.precision)
    }

    pub fn multiply(self, a: i128, b: i128) -> Option<i128> {
        let lost = self.left + self.right - self.scale;
        if lost == 0 {
            return fit(a.checked_mul(b)?, self.precision);
        }
        let product = i256::from_i128(a).checked_mul(i256::from_i128(b))?;
        fit(wide_half_up(product, widen(1, lost)?)?.to_i128()?, self.precision)
    }

    pub fn divide(self, a: i128, b: i128) -> Option<i128> {
        if b == 0 {
            return None;
        }
        // result_type never lets this become negative.
        let shift = (self.scale + self.right).saturating_sub(self.left);
        let narrow = || Some(divide_half_up(a.checked_mul(10i128.checked_pow(shift as u32)?)?, b));
        let wide = || wide_half_up(widen(a, shift)?, i256::from_i128(b))?.to_i128();
        fit(narrow().or_else(wide)?, self.precision)
    }

    pub fn modulo(self, a: i128, b: i128) -> Option<i128> {
        let a = widen(a, self.scale - self.left)?;
        let b = widen(b, self.scale - self.right)?;
        fit(a.checked_rem(b)?.to_i128()?, self.precision)
    }
}

fn widen(digits: i128, shift: u8) -> Option<i256> {
    let mut unit = i256::ONE;
    for _ in 0..shift {
        unit = unit.checked_mul(i256::from_i128(10))?;
    }
    i256::from_i128(digits).checked_mul(unit)
}

fn wide_half_up(a: i256, b: i256) -> Option<i256> {
    let (quotient, rest) = (a.checked_div(b)?, a.checked_rem(b)?);
    let (rest, unit) = (rest.wrapping_abs(), b.wrapping_abs());
    if rest < unit.checked_sub(rest)? {
        return Some(quotient);
    }
    let away = if (a < i256::ZERO) != (b < i256::ZERO) { i256::MINUS_ONE } else { i256::ONE };
    quotient.checked_add(away)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_read_at_a_scale() {
        for (text, scale, want) in [
            ("1.5", 38, Some((15, 1))),
            ("-0.05", 38, Some((-5, 2))),
            ("1.25", 1, Some((13, 1))),
            ("-1.25", 1, Some((-13, 1))),
            ("0.049", 1, Some((0, 1))),
            ("0.0049", 1, Some((0, 1))),
            ("0.009", 1, Some((0, 1))),
            ("1e3", 38, Some((1000, 0))),
            ("12e-1", 38, Some((12, 1))),
            ("9e-5", 2, Some((0, 2))),
            (".5", 38, Some((5, 1))),
            (".", 38, None),
            ("1.2.3", 38, None),
            ("abc", 38, None),
            ("", 38, None),
        ] {
            assert_eq!(parse(text, scale), want, "{text}");
        }
        assert_eq!(from_double(2.675, 2), Some(268));
    }
}
