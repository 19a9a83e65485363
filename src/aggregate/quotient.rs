//! The doubles nearest to quotients of exact sums, and to their roots: nothing is rounded before the end.

use num_bigint::{BigInt, BigUint, Sign};

/// `digits · 2^exponent`: an exact sum.
#[derive(Clone, Debug)]
pub struct Total {
    pub digits: BigInt,
    pub exponent: i64,
}

impl Total {
    /// The digits in units of a lower power of two.
    fn in_units(&self, exponent: i64) -> BigInt {
        &self.digits << (self.exponent - exponent).max(0)
    }

    pub fn plus(self, other: Total) -> Total {
        let exponent = self.exponent.min(other.exponent);
        Total { digits: self.in_units(exponent) + other.in_units(exponent), exponent }
    }

    pub fn minus(self, other: Total) -> Total {
        self.plus(Total { digits: -other.digits, ..other })
    }

    pub fn times(&self, other: &Total) -> Total {
        Total { digits: &self.digits * &other.digits, exponent: self.exponent + other.exponent }
    }

    pub fn over(self, denominator: BigUint) -> Quotient {
        Quotient { numerator: self.digits, denominator, exponent: self.exponent }
    }
}

impl From<i64> for Total {
    fn from(v: i64) -> Total {
        Total { digits: v.into(), exponent: 0 }
    }
}

/// `numerator / denominator · 2^exponent`, as exact as its parts.
pub struct Quotient {
    pub numerator: BigInt,
    /// Never 0.
    pub denominator: BigUint,
    pub exponent: i64,
}

/// How many bits of a quotient are computed: more than the 53 of a double, and what is lost below them
/// only tells which way a tie goes.
const BITS: i64 = 68;

impl Quotient {
    /// The nearest double, ties to even.
    pub fn nearest(&self) -> f64 {
        let magnitude = self.numerator.magnitude();
        let shift = BITS - (magnitude.bits() as i64 - self.denominator.bits() as i64);
        let value = round(divided(magnitude, &self.denominator, shift), self.exponent - shift);
        if self.numerator.sign() == Sign::Minus { -value } else { value }
    }

    /// The double nearest to the square root; 0 of what is negative.
    pub fn root(&self) -> f64 {
        if self.numerator.sign() != Sign::Plus {
            return 0.0;
        }
        let magnitude = self.numerator.magnitude();
        let mut shift = 2 * BITS - (magnitude.bits() as i64 - self.denominator.bits() as i64);
        // The exponent is halved with the root.
        shift += (self.exponent - shift).rem_euclid(2);
        let square = divided(magnitude, &self.denominator, shift);
        let mut root = square.sqrt();
        let exact = &root * &root == square;
        root.set_bit(0, root.bit(0) || !exact);
        round(root, (self.exponent - shift) / 2)
    }
}

/// `numerator · 2^shift / denominator`; the last bit is set where anything was lost.
fn divided(numerator: &BigUint, denominator: &BigUint, shift: i64) -> BigUint {
    let (up, down) = (shift.max(0) as u64, (-shift).max(0) as u64);
    let (numerator, denominator) = (numerator << up, denominator << down);
    let mut quotient = &numerator / &denominator;
    let lost = &quotient * &denominator != numerator;
    quotient.set_bit(0, quotient.bit(0) || lost);
    quotient
}

/// The double nearest to `digits · 2^exponent`.
fn round(digits: BigUint, exponent: i64) -> f64 {
    if digits == BigUint::ZERO {
        return 0.0;
    }
    // The place of the last bit that is kept, which never is below that of the least double.
    let last = (digits.bits() as i64 - 1 + exponent - 52).max(-1074);
    let below = last - exponent;
    if below <= 0 {
        // Few digits: there is nothing to round.
        let kept = digits.iter_u64_digits().next().unwrap_or(0) << (-below).min(63);
        return pattern(kept, last);
    }
    let below = below as u64;
    let kept = (&digits >> below).iter_u64_digits().next().unwrap_or(0);
    let half = digits.bit(below - 1);
    let sticky = digits.trailing_zeros().is_some_and(|zeros| zeros < below - 1);
    pattern(kept + u64::from(half && (sticky || kept & 1 == 1)), last)
}

/// A mantissa that counts units of 2^last. The bits of a double count on through its exponent, so that a
/// carry and the step from subnormals to normals come out right by adding.
fn pattern(mantissa: u64, last: i64) -> f64 {
    let steps = (last + 1074) as u64;
    match steps {
        0..2048 => f64::from_bits((mantissa + (steps << 52)).min(f64::INFINITY.to_bits())),
        _ => f64::INFINITY,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn quotient(numerator: i128, denominator: u64, exponent: i64) -> Quotient {
        Quotient { numerator: numerator.into(), denominator: denominator.into(), exponent }
    }

    #[test]
    fn quotients_are_the_nearest_doubles() {
        for (n, d, exponent, expected) in [
            (1, 10, 0, 0.1),
            (-30, 300, 0, -0.1),
            (1, 3, 0, 1.0 / 3.0),
            (0, 7, 0, 0.0),
            ((1 << 53) + 1, 1, 0, 9_007_199_254_740_992.0),
            ((1 << 53) + 3, 1, 0, 9_007_199_254_740_996.0),
            (1, 1, -1074, 5e-324),
            (1, 2, -1074, 0.0),
            (3, 2, -1074, 1e-323),
            (1, 1, 1024, f64::INFINITY),
            ((1 << 53) - 1, 1, 971, f64::MAX),
        ] {
            assert_eq!(quotient(n, d, exponent).nearest(), expected, "{n} / {d} · 2^{exponent}");
        }
        for (n, d, exponent, expected) in [
            (2, 1, 0, std::f64::consts::SQRT_2),
            (1, 4, 0, 0.5),
            (-1, 1, 0, 0.0),
            (1, 1, 2000, 2f64.powi(1000)),
        ] {
            assert_eq!(quotient(n, d, exponent).root(), expected);
        }
    }

    proptest! {
        #[test]
        fn decimal_quotients_are_what_their_text_says(n in -(10i128.pow(30))..10i128.pow(30), scale in 0u32..18) {
            let found = quotient(n, 10u64.pow(scale), 0).nearest();
            prop_assert_eq!(found, format!("{n}e-{scale}").parse::<f64>().unwrap());
        }

        #[test]
        fn quotients_of_doubles_are_theirs(a in any::<f64>(), b in 1u32..) {
            prop_assume!(a.is_finite());
            let bits = a.abs().to_bits();
            let (field, mantissa) = ((bits >> 52) as i64, (bits & ((1 << 52) - 1)) as i128);
            let mantissa = if field == 0 { mantissa } else { mantissa | 1 << 52 };
            let found = quotient(mantissa * a.signum() as i128, b as u64, field.max(1) - 1075).nearest();
            prop_assert_eq!(found, a / b as f64);
        }

        #[test]
        fn roots_are_ieee_roots(n in 1u64..1 << 53, exponent in -500i64..500) {
            let value = n as f64 * 2f64.powi(exponent as i32);
            prop_assert_eq!(quotient(n as i128, 1, exponent).root(), value.sqrt());
        }
    }
}
