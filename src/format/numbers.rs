//! Text → numbers, as Java reads them: what DELIMITED fields and JSON texts and numbers are parsed with.
//!
//! Each parser defines one language: checking a field (`….is_some()`) and converting it accept exactly
//! the same texts. Only a DOUBLE may stand between blanks. Fields of up to eight digits are converted a word at a time,
//! without a loop whose length the processor would have to guess.

use super::field::Field;

const POWERS: [f64; 9] = [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8];

/// As [`POWERS`], for the digits behind the point of a short DOUBLE.
const SHORT_POWERS: [u64; 9] = [1, 10, 100, 1_000, 10_000, 100_000, 1_000_000, 10_000_000, 100_000_000];

/// Up to this every integer is a DOUBLE, so that one correctly rounded operation gives the right result.
const EXACT_MAX: u64 = 1 << 53;

/// The number that 1 to 8 digits at the front of a little-endian word write; `None` for anything else.
#[inline(always)]
fn digits(word: u64, len: usize) -> Option<u64> {
    debug_assert!((1..=8).contains(&len));
    // The digits' values move to the upper end of the word; zeros in front of them do not count.
    let values = (word ^ 0x3030_3030_3030_3030) << (64 - 8 * len);
    let above_nine = values.wrapping_add(0x7676_7676_7676_7676) | values;
    if above_nine & 0x8080_8080_8080_8080 != 0 {
        return None;
    }
    let pairs = values.wrapping_mul(10).wrapping_add(values >> 8);
    let low = (pairs & 0x0000_00ff_0000_00ff).wrapping_mul(100 + (1_000_000 << 32));
    let high = ((pairs >> 16) & 0x0000_00ff_0000_00ff).wrapping_mul(1 + (10_000 << 32));
    Some(low.wrapping_add(high) >> 32)
}

/// Whether the field starts with `-`, and what follows the sign.
#[inline(always)]
fn sign(field: Field<'_>) -> (bool, Field<'_>) {
    match field.first() {
        Some(b'-') => (true, field.skip(1)),
        Some(b'+') => (false, field.skip(1)),
        _ => (false, field),
    }
}

/// An optional sign and digits, within 32 bits.
#[inline(always)]
pub fn int(field: Field<'_>) -> Option<i32> {
    let (negative, rest) = sign(field);
    if rest.len().wrapping_sub(1) < 8 {
        let value = digits(rest.word(), rest.len())? as i32;
        return Some(if negative { -value } else { value });
    }
    long_integer(negative, rest.bytes()).and_then(|v| i32::try_from(v).ok())
}

/// An optional sign and digits, within 64 bits.
#[inline(always)]
pub fn bigint(field: Field<'_>) -> Option<i64> {
    let (negative, rest) = sign(field);
    if rest.len().wrapping_sub(1) < 8 {
        let value = digits(rest.word(), rest.len())? as i64;
        return Some(if negative { -value } else { value });
    }
    long_integer(negative, rest.bytes())
}

#[inline(never)]
fn long_integer(negative: bool, text: &[u8]) -> Option<i64> {
    if text.is_empty() {
        return None;
    }
    let mut value = 0i64;
    for byte in text {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        // Downwards, since there is one more negative number than positive ones.
        value = value.checked_mul(10)?.checked_sub(digit as i64)?;
    }
    if negative { Some(value) } else { value.checked_neg() }
}

/// A DOUBLE as `Double.parseDouble` reads it, but for hexadecimal forms.
#[inline(always)]
pub fn double(field: Field<'_>) -> Option<f64> {
    let (negative, rest) = sign(field);
    match short_double(rest) {
        Some((digits, places)) if digits <= EXACT_MAX => {
            let value = digits as i64 as f64 / POWERS[places];
            Some(if negative { -value } else { value })
        }
        _ => long_double(field.bytes()),
    }
}

/// Whether [`double`] reads the field.
#[inline(always)]
pub fn is_double(field: Field<'_>) -> bool {
    short_double(sign(field).1).is_some() || long_double(field.bytes()).is_some()
}

/// Up to eight digits, perhaps a point and up to eight more: all of them as one number, and how many are
/// behind the point.
#[inline(always)]
fn short_double(field: Field<'_>) -> Option<(u64, usize)> {
    let word = field.word();
    // The lowest byte with its top bit set is the first point (those above it may be none).
    let differing = word ^ 0x2e2e_2e2e_2e2e_2e2e;
    let points = differing.wrapping_sub(0x0101_0101_0101_0101) & !differing & 0x8080_8080_8080_8080;
    let point = (points.trailing_zeros() / 8) as usize;
    if point >= field.len() {
        if field.len().wrapping_sub(1) >= 8 {
            return None;
        }
        return Some((digits(word, field.len())?, 0));
    }
    let places = field.len() - point - 1;
    if point.wrapping_sub(1) >= 7 || places.wrapping_sub(1) >= 8 {
        return None;
    }
    let whole = digits(word, point)?;
    let fraction = digits(field.skip(point + 1).word(), places)?;
    Some((whole * SHORT_POWERS[places] + fraction, places))
}

/// As `String.trim` has it; of numbers only a DOUBLE may stand between blanks.
fn without_blanks(text: &[u8]) -> &[u8] {
    let start = text.iter().position(|byte| *byte > b' ').unwrap_or(text.len());
    let end = text.iter().rposition(|byte| *byte > b' ').map_or(start, |last| last + 1);
    &text[start..end]
}

/// Any other DOUBLE: many digits, exponents, Java's suffixes, NaN and Infinity.
#[inline(never)]
fn long_double(text: &[u8]) -> Option<f64> {
    let text = without_blanks(text);
    let (negative, rest) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, text),
    };
    let value = match rest {
        b"NaN" => f64::NAN,
        b"Infinity" => f64::INFINITY,
        _ => {
            let digits = match rest {
                [digits @ .., b'd' | b'D' | b'f' | b'F'] => digits,
                _ => rest,
            };
            finite_double(digits)?
        }
    };
    Some(if negative { -value } else { value })
}

/// Digits with perhaps a point and an exponent; no sign.
fn finite_double(text: &[u8]) -> Option<f64> {
    // The standard library also reads signs, "inf" and "nan"; anything else it reads as Java does.
    if !matches!(text.first()?, b'0'..=b'9' | b'.') {
        return None;
    }
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// The unscaled digits of a DECIMAL(precision, scale) that holds the number exactly.
pub fn decimal(text: &[u8], precision: u8, scale: u8) -> Option<i128> {
    let (negative, rest) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, text),
    };
    let (mantissa, exponent) = match rest.iter().position(|b| matches!(b, b'e' | b'E')) {
        Some(e) => (&rest[..e], i64::from(int((&rest[e + 1..]).into())?)),
        None => (rest, 0),
    };
    let (whole, fraction) = match memchr::memchr(b'.', mantissa) {
        Some(point) => (&mantissa[..point], &mantissa[point + 1..]),
        None => (mantissa, &[][..]),
    };
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let unscaled = shifted(whole, fraction, exponent + i64::from(scale))?;
    if unscaled >= 10i128.checked_pow(u32::from(precision))? {
        return None;
    }
    Some(if negative { -unscaled } else { unscaled })
}

/// The digits of `whole.fraction × 10^shift`, if that is an integer.
fn shifted(whole: &[u8], fraction: &[u8], shift: i64) -> Option<i128> {
    let mut value = 0i128;
    let all = whole.iter().chain(fraction);
    let kept = whole.len() as i64 + shift;
    for (i, byte) in all.enumerate() {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        if (i as i64) < kept {
            value = value.checked_mul(10)?.checked_add(i128::from(digit))?;
        } else if digit != 0 {
            return None;
        }
    }
    let missing = kept - (whole.len() + fraction.len()) as i64;
    if missing <= 0 || value == 0 {
        return Some(value);
    }
    value.checked_mul(10i128.checked_pow(u32::try_from(missing).ok()?)?)
}

/// `true` or `false`, in any case.
#[inline]
pub fn boolean(text: &[u8]) -> Option<bool> {
    if text.eq_ignore_ascii_case(b"true") {
        Some(true)
    } else if text.eq_ignore_ascii_case(b"false") {
        Some(false)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The field at the end of its buffer, and with digits behind it that must not matter.
    fn both<T: PartialEq + std::fmt::Debug>(text: &str, parse: impl Fn(Field<'_>) -> Option<T>) -> Option<T> {
        let longer = format!("9{text}9.9999999999999999999");
        let alone = parse(text.as_bytes().into());
        let within = parse(Field::within(longer.as_bytes(), 1, 1 + text.len()));
        assert_eq!(format!("{alone:?}"), format!("{within:?}"), "{text:?}");
        alone
    }

    #[test]
    fn integers() {
        let cases = [
            ("0", Some(0)),
            ("-0", Some(0)),
            ("+7", Some(7)),
            ("12345678", Some(12345678)),
            ("123456789", Some(123456789)),
            ("0000000000000000000000531", Some(531)),
            ("2147483647", Some(2147483647)),
            ("-2147483648", Some(-2147483648)),
            ("2147483648", None),
            ("-2147483649", None),
            ("", None),
            ("-", None),
            ("+", None),
            ("--1", None),
            (" 7", None),
            ("7 ", None),
            ("1.0", None),
            ("1e3", None),
            ("0x1", None),
            ("12a45678", None),
            ("1234567:", None),
            ("1234567/", None),
            ("１", None),
        ];
        for (text, expected) in cases {
            assert_eq!(both(text, int), expected, "{text:?}");
        }
        assert_eq!(both("9223372036854775807", bigint), Some(i64::MAX));
        assert_eq!(both("-9223372036854775808", bigint), Some(i64::MIN));
        assert_eq!(both("9223372036854775808", bigint), None);
    }

    #[test]
    fn doubles() {
        let cases = [
            ("53.796291", Some(53.796291)),
            ("-1.759143", Some(-1.759143)),
            ("53.795147075173155", Some(53.795147075173155)),
            ("0", Some(0.0)),
            ("7.", Some(7.0)),
            (".5", Some(0.5)),
            ("-.5e1", Some(-5.0)),
            ("1e3", Some(1e3)),
            ("1E-3", Some(1e-3)),
            ("1e+3", Some(1e3)),
            ("1.5d", Some(1.5)),
            ("1F", Some(1.0)),
            ("1e999", Some(f64::INFINITY)),
            ("Infinity", Some(f64::INFINITY)),
            ("-Infinity", Some(f64::NEG_INFINITY)),
            ("99999999.99999999", Some(99999999.99999999)),
            ("123456789.125", Some(123456789.125)),
            ("1234567.123456789", Some(1234567.123456789)),
            ("", None),
            (".", None),
            ("-", None),
            ("d", None),
            ("1..2", None),
            ("1.2.3", None),
            ("1e", None),
            ("inf", None),
            ("nan", None),
            ("infinity", None),
            ("-+1", None),
            (" 1", Some(1.0)),
            ("\t1.5e3 ", Some(1500.0)),
            ("1 2", None),
            (" ", None),
            ("1_0", None),
            ("0x1p3", None),
            ("1dd", None),
            ("Infinityd", None),
        ];
        for (text, expected) in cases {
            assert_eq!(both(text, double), expected, "{text:?}");
            assert_eq!(is_double(text.as_bytes().into()), expected.is_some(), "{text:?}");
        }
        assert!(both("NaN", double).is_some_and(f64::is_nan));
        assert!(both("-0", double).is_some_and(|v| v.is_sign_negative()));
    }

    #[test]
    fn decimals_must_fit_exactly() {
        let cases = [
            ("12.34", Some(1234)),
            ("-12.3", Some(-1230)),
            ("12", Some(1200)),
            ("12.340", Some(1234)),
            ("12.345", None),
            ("99.99", Some(9999)),
            ("100", None),
            ("1.5e1", Some(1500)),
            ("150e-1", Some(1500)),
            ("1e-3", None),
            ("1e99", None),
            ("0e99", Some(0)),
            (".5", Some(50)),
            ("5.", Some(500)),
            ("", None),
            (".", None),
            ("1 ", None),
            ("1e", None),
        ];
        for (text, expected) in cases {
            assert_eq!(decimal(text.as_bytes(), 4, 2), expected, "{text:?}");
        }
        let nines = "9".repeat(38);
        assert_eq!(decimal(nines.as_bytes(), 38, 0), Some(10i128.pow(38) - 1));
    }

    proptest! {
        #[test]
        fn integers_read_as_the_standard_library_does(text in "[+-]?[0-9a-f/:]{0,12}") {
            prop_assert_eq!(both(&text, int), text.parse::<i32>().ok());
            prop_assert_eq!(both(&text, bigint), text.parse::<i64>().ok());
        }

        #[test]
        fn doubles_read_as_the_standard_library_does(text in "[+-]?[0-9]{0,12}[.]?[0-9]{0,12}([eE][+-]?[0-9]{0,3})?") {
            let value = both(&text, double);
            prop_assert_eq!(value, text.parse::<f64>().ok());
            prop_assert_eq!(both(&text, |f| is_double(f).then_some(())).is_some(), value.is_some());
        }

        #[test]
        fn doubles_come_back(bits: u64) {
            let value = f64::from_bits(bits);
            let mut text = String::new();
            crate::number_text::write_double(value, &mut text);
            let back = both(&text, double).unwrap();
            prop_assert!(back.to_bits() == bits || value.is_nan() && back.is_nan());
        }
    }
}
