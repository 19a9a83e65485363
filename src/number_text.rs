//! Numbers → text, for expressions, answers and messages: DOUBLE as Java prints it, plain decimals, integers.

use std::fmt::Write;

/// The shortest text that reads back as `v`, laid out as Java has it, and so CAST, answers and messages:
/// `1.0`, `1.0E10`, `1.0E-4`, `NaN`, `-Infinity`. Every finite one is a JSON number too.
pub fn double(v: f64) -> String {
    let mut out = String::new();
    write_double(v, &mut out);
    out
}

/// Appends what [`double`] returns. Writing to a String cannot fail, here and below.
pub fn write_double(v: f64, out: &mut String) {
    if !v.is_finite() {
        return out.push_str(if v.is_nan() {
            "NaN"
        } else if v > 0.0 {
            "Infinity"
        } else {
            "-Infinity"
        });
    }
    let size = v.abs();
    // What `write!` gives, in a fraction of the time.
    let mut buffer = zmij::Buffer::new();
    let text = buffer.format_finite(v);
    if size == 0.0 || (1e-3..1e7).contains(&size) {
        match is_midway(v, text) {
            false => out.push_str(text),
            true => _ = write!(out, "{v:?}"),
        }
        return;
    }
    let start = out.len();
    match text.contains('e') || is_midway(v, text) {
        false => write_scientific(text, out),
        true => {
            let _ = write!(out, "{v:e}");
            if let Some(at) = out[start..].find('e').map(|at| start + at) {
                let whole = !out[start..at].contains('.');
                out.replace_range(at..at + 1, if whole { ".0E" } else { "E" });
            }
        }
    }
}

/// A number in plain notation as one digit before the point and a power of ten.
fn write_scientific(plain: &str, out: &mut String) {
    let digits = plain.strip_prefix('-').unwrap_or(plain);
    if digits.len() < plain.len() {
        out.push('-');
    }
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let exponent = match whole.trim_start_matches('0') {
        "" => -1 - (fraction.len() - fraction.trim_start_matches('0').len()) as i64,
        whole => whole.len() as i64 - 1,
    };
    let start = out.len();
    out.push_str(whole);
    out.push_str(fraction);
    let zeros = out[start..].bytes().take_while(|b| *b == b'0').count();
    out.replace_range(start..start + zeros, "");
    out.truncate(start + 1 + out[start + 1..].trim_end_matches('0').len());
    if out.len() == start + 1 {
        out.push('0');
    }
    out.insert(start + 1, '.');
    out.push('E');
    write_integer(exponent, out);
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
            (-123_456_789.125, "-1.23456789125E8"),
            (1e300, "1.0E300"),
            (-1.5e-7, "-1.5E-7"),
            (9.99e-4, "9.99E-4"),
            (5e-324, "5.0E-324"),
            (f64::MAX, "1.7976931348623157E308"),
            (11.783960720130933, "11.783960720130933"),
            (f64::NAN, "NaN"),
            (f64::NEG_INFINITY, "-Infinity"),
        ] {
            assert_eq!(double(v), text);
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
                if !v.is_finite() {
                    continue;
                }
                let found = double(v);
                let plain = (1e-3..1e7).contains(&v.abs()) || v == 0.0;
                let expected = if plain { format!("{v:?}") } else { format!("{v:e}") };
                let digits = |text: &str| -> String {
                    let mantissa = text.split(['e', 'E']).next().unwrap_or_default();
                    mantissa.strip_suffix(".0").unwrap_or(mantissa).to_string()
                };
                prop_assert_eq!(digits(&found), digits(&expected));
                prop_assert_eq!(found.contains('E'), !plain);
                prop_assert_eq!(found.parse::<f64>().map(f64::to_bits), Ok(v.to_bits()));
            }
        }
    }
}
