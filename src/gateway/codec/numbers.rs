//! JSON values that stand for a number, a boolean or a time: what is taken as it is, and what is coerced.

use super::coercion::{Coercion, Coercions};
use super::misfit;
use crate::expr::decimal;
use crate::format::fault::Parsed;
use crate::time::iso;
use serde_json::Value;

/// Whole numbers up to which a double holds every one.
const EXACT_MAX: f64 = 9_007_199_254_740_992.0;

pub fn boolean(value: &Value, coercions: &mut Coercions) -> Parsed<bool> {
    let coerced = match value {
        Value::Bool(flag) => return Ok(*flag),
        Value::String(text) if text == "true" => true,
        Value::String(text) if text == "false" => false,
        other => return Err(misfit("true or false", other)),
    };
    coercions.note(Coercion::TextForNumber);
    Ok(coerced)
}

/// A whole number; `expected` names the type in messages.
pub fn integer(value: &Value, expected: &str, coercions: &mut Coercions) -> Parsed<i64> {
    match value {
        Value::Number(number) => {
            if let Some(whole) = number.as_i64() {
                return Ok(whole);
            }
            let whole = number.as_f64().filter(|v| v.fract() == 0.0 && v.abs() <= EXACT_MAX);
            coercions.note(Coercion::FractionForInteger);
            whole.map(|v| v as i64).ok_or_else(|| misfit(expected, value))
        }
        Value::String(text) => {
            coercions.note(Coercion::TextForNumber);
            text.trim().parse().map_err(|_| misfit(expected, value))
        }
        other => Err(misfit(expected, other)),
    }
}

/// What texts JSON has no numbers for: as Avro's libraries write them.
pub fn double(value: &Value, expected: &str, coercions: &mut Coercions) -> Parsed<f64> {
    match value {
        Value::Number(number) => number.as_f64().ok_or_else(|| misfit(expected, value)),
        Value::String(text) => match text.as_str() {
            "NaN" => Ok(f64::NAN),
            "Infinity" | "INF" => Ok(f64::INFINITY),
            "-Infinity" | "-INF" => Ok(f64::NEG_INFINITY),
            text => {
                coercions.note(Coercion::TextForNumber);
                text.trim()
                    .parse()
                    .ok()
                    .filter(|v: &f64| v.is_finite())
                    .ok_or_else(|| misfit(expected, value))
            }
        },
        other => Err(misfit(expected, other)),
    }
}

/// The nearest of 32 bits; what is finite stays so.
pub fn float(value: &Value, coercions: &mut Coercions) -> Parsed<f32> {
    let wide = double(value, "float", coercions)?;
    let narrow = wide as f32;
    match narrow.is_infinite() && wide.is_finite() {
        true => Err(misfit("float, a number of 32 bits", value)),
        false => Ok(narrow),
    }
}

/// A time as a number, or as ISO text: `of_text` reads it in the place's own unit.
pub fn time(
    value: &Value,
    expected: &str,
    of_text: impl Fn(&[u8]) -> Option<i64>,
    coercions: &mut Coercions,
) -> Parsed<i64> {
    match value {
        Value::String(text) => match of_text(text.trim().as_bytes()) {
            Some(time) => {
                coercions.note(Coercion::TextForTime);
                Ok(time)
            }
            None => integer(value, expected, coercions),
        },
        other => integer(other, expected, coercions),
    }
}

pub fn date_of(text: &[u8]) -> Option<i64> {
    iso::parse_date(text).map(i64::from)
}

pub fn time_of(text: &[u8], per_ms: i64) -> Option<i64> {
    iso::parse_time(text).and_then(|ms| i64::from(ms).checked_mul(per_ms))
}

pub fn timestamp_of(text: &[u8], per_ms: i64) -> Option<i64> {
    // A bare number is no year here.
    let is_date = text.contains(&b'-');
    is_date.then(|| iso::parse_timestamp(text)).flatten().and_then(|ms| ms.checked_mul(per_ms))
}

/// The digits of a decimal at its scale.
pub fn decimal_of(
    value: &Value,
    precision: u64,
    scale: u64,
    expected: &str,
    coercions: &mut Coercions,
) -> Parsed<i128> {
    let wrong = || misfit(expected, value);
    let text = match value {
        Value::Number(number) => number.to_string(),
        Value::String(text) => text.trim().to_string(),
        other => return Err(misfit(expected, other)),
    };
    let (scale, precision) =
        (u8::try_from(scale).map_err(|_| wrong())?, u8::try_from(precision).unwrap_or(38).min(38));
    let (digits, given) = decimal::parse(&text, 38).ok_or_else(wrong)?;
    let fitting = decimal::rescale(digits, given, scale).and_then(|digits| decimal::fit(digits, precision));
    // Nothing is rounded: who sends a fraction of a penny means something else.
    let is_whole = |found: &i128| decimal::compare(*found, scale, digits, given).is_eq();
    let digits = fitting.filter(is_whole);
    if value.is_string() {
        coercions.note(Coercion::TextForNumber);
    }
    digits.ok_or_else(wrong)
}
