//! Numbers ↔ text as the dialect has them: Java's Double.toString, plain decimals.

use super::decimal::power;
use std::fmt::Write;

/// The shortest text that reads back as `v`, laid out as Java does: `1.0`, `1.0E10`, `NaN`, `-Infinity`.
pub fn double(v: f64) -> String {
    let mut out = String::new();
    write_double(v, &mut out);
    out
}

/// Appends what [`double`] returns. Writing to a String cannot fail.
pub fn write_double(v: f64, out: &mut String) {
    let size = v.abs();
    if v.is_nan() {
        out.push_str("NaN");
    } else if v.is_infinite() {
        out.push_str(if v > 0.0 { "Infinity" } else { "-Infinity" });
    } else if size == 0.0 || (1e-3..1e7).contains(&size) {
        let _ = write!(out, "{v:?}");
    } else {
        let start = out.len();
        let _ = write!(out, "{v:e}");
        if let Some(at) = out[start..].find('e').map(|at| start + at) {
            let whole = !out[start..at].contains('.');
            out.replace_range(at..at + 1, if whole { ".0E" } else { "E" });
        }
    }
}

/// Appends an integer: what `write!` does, without its machinery.
pub fn write_integer(v: i64, out: &mut String) {
    if v < 0 {
        out.push('-');
    }
    write_padded(v.unsigned_abs(), 1, out);
}

/// Appends a number with zeros before it up to `width` digits, at most 20.
pub fn write_padded(mut v: u64, width: usize, out: &mut String) {
    let mut digits = [b'0'; 20];
    let mut start = digits.len();
    while v > 0 {
        start -= 1;
        digits[start] = b'0' + (v % 10) as u8;
        v /= 10;
    }
    let start = start.min(digits.len() - width.min(digits.len()));
    // Digits are ASCII, so this never takes the empty text.
    out.push_str(std::str::from_utf8(&digits[start..]).unwrap_or_default());
}

/// Plain notation with exactly `scale` fraction digits.
pub fn decimal(digits: i128, scale: u8) -> String {
    let mut out = String::new();
    write_decimal(digits, scale, &mut out);
    out
}

/// Appends what [`decimal`] returns.
pub fn write_decimal(digits: i128, scale: u8, out: &mut String) {
    let unit = power(scale).unsigned_abs();
    let (size, sign) = (digits.unsigned_abs(), if digits < 0 { "-" } else { "" });
    let _ = match scale {
        0 => write!(out, "{digits}"),
        _ => write!(out, "{sign}{}.{:0width$}", size / unit, size % unit, width = scale as usize),
    };
}

/// Reads a number as DOUBLE: digits, or Java's names `NaN` and `Infinity`.
pub fn parse_double(text: &str) -> Option<f64> {
    match text.trim_start_matches(['+', '-']) {
        "NaN" | "Infinity" => text.parse().ok(),
        // Rust reads `inf` and `nan` too; the dialect does not.
        body if body.starts_with(|c: char| c.is_ascii_digit() || c == '.') => text.parse().ok(),
        _ => None,
    }
}

/// Digits and scale of a decimal number as it is written, exponent included.
///
/// More fraction digits than `scale_max` are rounded HALF_UP by looking at the first one left out.
/// `None`: not a number, or more than 128 bits.
pub fn parse_decimal(text: &str, scale_max: u8) -> Option<(i128, u8)> {
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
pub fn decimal_to_double(digits: i128, scale: u8) -> f64 {
    // Exact operands and one rounding: below 2^53, and powers of ten up to 10^22 are exact.
    if digits.unsigned_abs() <= 1 << 53 && scale <= 22 {
        return digits as f64 / 10f64.powi(scale as i32);
    }
    decimal(digits, scale).parse().unwrap_or(f64::NAN)
}

/// The decimal of this scale that is nearest to `v`, rounded HALF_UP from its shortest text, as Java's
/// `BigDecimal.valueOf` has it. `None` for NaN, infinities and what 128 bits do not hold.
pub fn double_to_decimal(v: f64, scale: u8) -> Option<i128> {
    if !v.is_finite() {
        return None;
    }
    let (digits, has) = parse_decimal(&format!("{v:e}"), scale)?;
    super::decimal::rescale(digits, has, scale)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_print_as_in_java() {
        for (v, text) in [
            (1.0, "1.0"),
            (-0.0, "-0.0"),
            (0.001, "0.001"),
            (0.0001, "1.0E-4"),
            (9_999_999.0, "9999999.0"),
            (1e7, "1.0E7"),
            (1.5e10, "1.5E10"),
            (11.783960720130933, "11.783960720130933"),
            (f64::NAN, "NaN"),
            (f64::NEG_INFINITY, "-Infinity"),
        ] {
            assert_eq!(double(v), text);
        }
    }

    #[test]
    fn decimals_read_and_print() {
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
            assert_eq!(parse_decimal(text, scale), want, "{text}");
        }
        assert_eq!(decimal(-5, 2), "-0.05");
        assert_eq!(decimal(1234, 0), "1234");
        assert_eq!(double_to_decimal(2.675, 2), Some(268));
        assert_eq!(parse_double("inf"), None);
    }
}
