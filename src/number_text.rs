//! Numbers → text, for expressions, answers and messages: DOUBLE in two layouts, plain decimals, integers.

use std::fmt::Write;

/// The shortest text that reads back as `v`, laid out as CAST has it: `1.0`, `1.0E10`, `NaN`, `-Infinity`.
pub fn double(v: f64) -> String {
    let mut out = String::new();
    write_double(v, &mut out);
    out
}

/// Appends what [`double`] returns. Writing to a String cannot fail, here and below.
pub fn write_double(v: f64, out: &mut String) {
    let size = v.abs();
    if !v.is_finite() || size == 0.0 || (1e-3..1e7).contains(&size) {
        return write_plain_double(v, out);
    }
    let start = out.len();
    let _ = write!(out, "{v:e}");
    if let Some(at) = out[start..].find('e').map(|at| start + at) {
        let whole = !out[start..at].contains('.');
        out.replace_range(at..at + 1, if whole { ".0E" } else { "E" });
    }
}

/// Appends the same digits as messages and answers have them: an exponent only for the very large and the
/// very small, `10000000.0` and `1e16`. Every finite one is a JSON number too.
pub fn write_plain_double(v: f64, out: &mut String) {
    let size = v.abs();
    if size == 0.0 || (1e-4..1e16).contains(&size) {
        // What `write!` gives, in a fraction of the time; beyond these bounds the layouts differ.
        let mut buffer = zmij::Buffer::new();
        let text = buffer.format_finite(v);
        if !is_midway(v, text) {
            return out.push_str(text);
        }
    }
    if v.is_finite() {
        let _ = write!(out, "{v:?}");
    } else if v.is_nan() {
        out.push_str("NaN");
    } else {
        out.push_str(if v > 0.0 { "Infinity" } else { "-Infinity" });
    }
}

/// Whether a number lies in the middle between two texts as short as this one: `write!` then takes the
/// greater, others the even one. Such a number is an odd multiple of 2^-(places + 1).
fn is_midway(v: f64, text: &str) -> bool {
    let point = text.bytes().position(|b| b == b'.').unwrap_or(text.len());
    let places = text.len().saturating_sub(point + 1);
    // 2^places, by its exponent: `powi` is a loop.
    let scale = f64::from_bits((1_023 + places as u64) << 52);
    (v * scale).fract().abs() == 0.5
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
    let unit = 10u128.pow(scale as u32);
    let (size, sign) = (digits.unsigned_abs(), if digits < 0 { "-" } else { "" });
    let _ = match scale {
        0 => write!(out, "{digits}"),
        _ => write!(out, "{sign}{}.{:0width$}", size / unit, size % unit, width = scale as usize),
    };
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

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
    fn doubles_of_messages_have_few_exponents() {
        for (v, text) in [(1.0, "1.0"), (-0.0, "-0.0"), (1e7, "10000000.0"), (1e21, "1e21"), (1e-7, "1e-7")] {
            let mut out = String::new();
            write_plain_double(v, &mut out);
            assert_eq!(out, text);
        }
    }

    #[test]
    fn decimals_have_all_digits_of_their_scale() {
        for (digits, scale, text) in [(-5, 2, "-0.05"), (1234, 0, "1234"), (1200, 2, "12.00"), (-1, 0, "-1")]
        {
            assert_eq!(decimal(digits, scale), text);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20_000))]
        #[test]
        fn doubles_have_the_digits_of_the_standard_library(bits: u64, whole in -1e17..1e17, small in -1e-3..1e-3) {
            let binary = (bits % (1 << 53)) as f64 / (1u64 << (bits >> 58)) as f64;
            for v in [f64::from_bits(bits), whole, whole.trunc(), whole / 1e12, (whole / 1e12).trunc(), small, binary] {
                let mut out = String::new();
                write_plain_double(v, &mut out);
                let expected = if v.is_finite() { format!("{v:?}") } else { out.clone() };
                prop_assert_eq!(&out, &expected);
            }
        }
    }
}
