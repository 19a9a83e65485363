//! A DOUBLE rounded to decimal places, by the digits that print it.
//!
//! 1.005 is a little less than its digits say; whoever rounds it to two places expects 1.01.

/// The nearest number with so many places; the half goes to the greater number.
pub fn round_double(x: f64, places: i32) -> f64 {
    // Ties of a negative number are cut off, which is towards the greater.
    cut(x, places, |rest| match rest.split_first() {
        Some((b'5', more)) => x > 0.0 || more.iter().any(|digit| *digit != b'0'),
        Some((first, _)) => *first > b'5',
        None => false,
    })
}

pub fn trunc_double(x: f64, places: i32) -> f64 {
    cut(x, places, |_| false)
}

/// Cuts the digits behind so many places off; `up` looks at them and says whether to count one more.
fn cut(x: f64, places: i32, up: impl Fn(&[u8]) -> bool) -> f64 {
    if !x.is_finite() {
        return x;
    }
    let text = format!("{:?}", x.abs());
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits: Vec<u8> = whole.bytes().chain(fraction.bytes()).collect();
    let point = whole.len() as i64 + exponent.parse::<i64>().unwrap_or(0);
    let keep = point + places as i64;
    if keep >= digits.len() as i64 {
        return x;
    }
    if keep < 0 {
        return 0.0;
    }
    let (kept, rest) = digits.split_at(keep as usize);
    // At most 17 digits that are not zero.
    let kept =
        kept.iter().fold(0u128, |n, digit| n.saturating_mul(10).saturating_add((digit - b'0') as u128));
    let kept = kept + up(rest) as u128;
    let magnitude: f64 = format!("{kept}e{}", -(places as i64)).parse().unwrap_or(x.abs());
    magnitude.copysign(x)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_decide() {
        for (x, places, rounded, cut) in [
            (1.005, 2, 1.01, 1.0),
            (2.5, 0, 3.0, 2.0),
            (-2.5, 0, -2.0, -2.0),
            (-2.51, 0, -3.0, -2.0),
            (-2.500000001, 0, -3.0, -2.0),
            (1234.5678, -2, 1200.0, 1200.0),
            (1250.0, -2, 1300.0, 1200.0),
            (99.5, -3, 0.0, 0.0),
            (999.5, -3, 1000.0, 0.0),
            (0.1, 20, 0.1, 0.1),
            (1e300, 2, 1e300, 1e300),
            (1.5e-300, 2, 0.0, 0.0),
            (1.5e-300, 300, 2e-300, 1e-300),
            (f64::INFINITY, 1, f64::INFINITY, f64::INFINITY),
            (5.0, i32::MIN, 0.0, 0.0),
            (5.0, i32::MAX, 5.0, 5.0),
        ] {
            assert_eq!(round_double(x, places), rounded, "ROUND({x}, {places})");
            assert_eq!(trunc_double(x, places), cut, "TRUNC({x}, {places})");
        }
    }
}
