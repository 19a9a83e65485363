//! Exact sums of products: what variances and correlations are made of.
//!
//! A product of two doubles has 106 bits and twice the range of a double, one of two DECIMALs 76 digits. Most
//! fit the windows that sums have; the others go to a number that spans everything.

use super::exact::ExactSum;
use super::quotient::Total;
use super::varint;
use super::wide::Wide;
use num_bigint::BigInt;

/// 2^-2176 (the least product is 2^-2148) up to 2^2432: room for 2^63 times the greatest product.
const LIMBS: usize = 72;
const FRACTION_LIMBS: usize = 34;
/// The power of two that the far part counts.
const UNIT: i64 = -64 * FRACTION_LIMBS as i64;

/// Two's complement, lowest limb first, in units of 2^-2176.
#[derive(Clone, Debug, PartialEq)]
struct Far([u64; LIMBS]);

impl Far {
    fn zero() -> Box<Far> {
        Box::new(Far([0; LIMBS]))
    }

    /// Adds or subtracts a magnitude of four limbs, so many bits above 2^-2176.
    fn add(&mut self, magnitude: [u64; 4], bit: usize, negative: bool) {
        let (first, shift) = (bit / 64, bit % 64);
        let part = |i: usize| -> u64 {
            let low = magnitude.get(i).copied().unwrap_or(0) << shift;
            let high = i.checked_sub(1).and_then(|i| magnitude.get(i)).copied().unwrap_or(0);
            low | high.checked_shr(64 - shift as u32).unwrap_or(0)
        };
        let mut carry = false;
        for (i, limb) in self.0[first..].iter_mut().enumerate() {
            if i > magnitude.len() && !carry {
                return;
            }
            let (sum, a) = match negative {
                false => limb.overflowing_add(part(i)),
                true => limb.overflowing_sub(part(i)),
            };
            let (sum, b) = match negative {
                false => sum.overflowing_add(carry as u64),
                true => sum.overflowing_sub(carry as u64),
            };
            (*limb, carry) = (sum, a | b);
        }
    }

    fn merge(&mut self, other: &Far) {
        let mut carry = false;
        for (limb, &part) in self.0.iter_mut().zip(&other.0) {
            let (sum, a) = limb.overflowing_add(part);
            let (sum, b) = sum.overflowing_add(carry as u64);
            (*limb, carry) = (sum, a | b);
        }
    }

    fn bytes(&self) -> [u8; 8 * LIMBS] {
        let mut bytes = [0; 8 * LIMBS];
        for (chunk, limb) in bytes.as_chunks_mut::<8>().0.iter_mut().zip(&self.0) {
            *chunk = limb.to_le_bytes();
        }
        bytes
    }
}

/// The near part of a sum: of doubles, or of integers and of DECIMAL's unscaled digits.
#[derive(Clone, Debug)]
enum Near {
    Doubles(ExactSum),
    Integers(Wide),
}

/// A sum of products without any rounding.
#[derive(Clone, Debug)]
pub struct ProductSum {
    near: Near,
    far: Option<Box<Far>>,
}

/// Doubles within have products that no double rounds to 0 or to infinity, with what is lost beside them.
const NEAR_MIN: f64 = 1e-140;
const NEAR_MAX: f64 = 1e140;

impl ProductSum {
    pub fn of_doubles() -> ProductSum {
        ProductSum { near: Near::Doubles(ExactSum::default()), far: None }
    }

    pub fn of_integers() -> ProductSum {
        ProductSum { near: Near::Integers(Wide::default()), far: None }
    }

    /// Adds x · y so many times; negative takes it back.
    #[inline]
    pub fn add_doubles(&mut self, x: f64, y: f64, times: i64) {
        let Near::Doubles(near) = &mut self.near else { return };
        let product = x * y;
        let is_near = |v: f64| v == 0.0 || (NEAR_MIN..NEAR_MAX).contains(&v.abs());
        if is_near(x) && is_near(y) {
            near.add_times(product, times);
            return near.add_times(x.mul_add(y, -product), times);
        }
        if !x.is_finite() || !y.is_finite() {
            return near.add_times(product, times);
        }
        let ((a, e), (b, f)) = (parts(x), parts(y));
        let magnitude = multiplied(a as u128 * b as u128, times.unsigned_abs());
        let bit = (e + f - UNIT) as usize;
        let negative = (x.is_sign_negative() != y.is_sign_negative()) != (times < 0);
        self.far.get_or_insert_with(Far::zero).add(magnitude, bit, negative);
        self.settle();
    }

    /// Adds x · y so many times; negative takes it back.
    #[inline]
    pub fn add_integers(&mut self, x: i128, y: i128, times: i64) {
        let Near::Integers(near) = &mut self.near else { return };
        if let Some(product) = x.checked_mul(y) {
            return near.add_times(product, times);
        }
        let far = self.far.get_or_insert_with(Far::zero);
        let negative = (x < 0) != (y < 0) && x != 0 && y != 0;
        // The product of 256 bits, in halves of `y`: each half times `x`, times how often.
        let (x, y) = (x.unsigned_abs(), y.unsigned_abs());
        for (half, place) in [(y as u64, 0), ((y >> 64) as u64, 64)] {
            for (digit, at) in [(x as u64, 0), ((x >> 64) as u64, 64)] {
                let magnitude = multiplied(digit as u128 * half as u128, times.unsigned_abs());
                far.add(magnitude, (-UNIT) as usize + place + at, negative != (times < 0));
            }
        }
        self.settle();
    }

    /// A far part that has become 0 leaves no trace, so that equal sums have equal bytes.
    fn settle(&mut self) {
        self.far.take_if(|far| far.0 == [0; LIMBS]);
    }

    pub fn merge(&mut self, other: &ProductSum) {
        match (&mut self.near, &other.near) {
            (Near::Doubles(a), Near::Doubles(b)) => a.merge(b),
            (Near::Integers(a), Near::Integers(b)) => a.merge(*b),
            _ => {}
        }
        if let Some(other) = &other.far {
            self.far.get_or_insert_with(Far::zero).merge(other);
            self.settle();
        }
    }

    /// The sum without any rounding; or NaN or an infinity where it is one.
    pub fn total(&self) -> Result<Total, f64> {
        let near = match &self.near {
            Near::Doubles(sum) => sum.total()?,
            Near::Integers(sum) => sum.total(),
        };
        Ok(match &self.far {
            Some(far) => {
                near.plus(Total { digits: BigInt::from_signed_bytes_le(&far.bytes()), exponent: UNIT })
            }
            None => near,
        })
    }

    pub fn encode(&self, out: &mut Vec<u8>) {
        match &self.near {
            Near::Doubles(sum) => {
                out.push(self.far.is_some() as u8);
                sum.encode(out);
            }
            Near::Integers(sum) => {
                out.push(2 | self.far.is_some() as u8);
                sum.encode(out);
            }
        }
        if let Some(far) = &self.far {
            let bytes = far.bytes();
            let start = bytes.iter().position(|b| *b != 0).unwrap_or(0);
            let len = varint::minimal_len(&bytes[start..]);
            varint::put(out, start as u64);
            varint::put(out, len as u64);
            out.extend_from_slice(&bytes[start..start + len]);
        }
    }

    pub fn decode(bytes: &mut &[u8]) -> Option<ProductSum> {
        let head = varint::byte(bytes)?;
        let near = match head & 2 {
            0 => Near::Doubles(ExactSum::decode(bytes)?),
            _ => Near::Integers(Wide::decode(bytes)?),
        };
        let mut far = None;
        if head & 1 == 1 {
            let (start, len) = (varint::get(bytes)? as usize, varint::get(bytes)? as usize);
            let number = varint::take(bytes, len)?;
            let fill = if *number.last()? >= 0x80 { 0xff } else { 0 };
            let mut all = [fill; 8 * LIMBS];
            all.get_mut(..start)?.fill(0);
            all.get_mut(start..start.checked_add(len)?)?.copy_from_slice(number);
            let mut limbs = Far::zero();
            for (limb, chunk) in limbs.0.iter_mut().zip(all.as_chunks::<8>().0) {
                *limb = u64::from_le_bytes(*chunk);
            }
            far = Some(limbs);
        }
        Some(ProductSum { near, far })
    }

    /// About how many bytes it holds besides itself.
    pub fn heap_bytes(&self) -> usize {
        let near = if let Near::Doubles(sum) = &self.near { sum.heap_bytes() } else { 0 };
        near + self.far.as_ref().map_or(0, |_| size_of::<Far>())
    }
}

/// Magnitude and exponent of a finite double.
fn parts(x: f64) -> (u64, i64) {
    let (field, mantissa) = ((x.to_bits() >> 52 & 0x7ff) as i64, x.to_bits() & ((1 << 52) - 1));
    (if field == 0 { mantissa } else { mantissa | 1 << 52 }, field.max(1) - 1075)
}

fn multiplied(a: u128, b: u64) -> [u64; 4] {
    let low = (a as u64) as u128 * b as u128;
    let high = (a >> 64) * b as u128 + (low >> 64);
    [low as u64, high as u64, (high >> 64) as u64, 0]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn exactly(x: f64) -> BigInt {
        let (mantissa, exponent) = parts(x);
        let value = BigInt::from(mantissa) << (exponent + 1_088);
        if x < 0.0 { -value } else { value }
    }

    /// In units of 2^-2176.
    fn units(sum: &ProductSum) -> BigInt {
        let total = sum.total().unwrap();
        total.digits << (total.exponent - UNIT)
    }

    fn round_trip(sum: &ProductSum) -> ProductSum {
        let mut bytes = Vec::new();
        sum.encode(&mut bytes);
        let mut rest = &bytes[..];
        let decoded = ProductSum::decode(&mut rest).unwrap();
        assert!(rest.is_empty());
        let mut again = Vec::new();
        decoded.encode(&mut again);
        assert_eq!(bytes, again);
        decoded
    }

    fn double() -> impl Strategy<Value = f64> {
        prop_oneof![
            any::<u64>().prop_map(f64::from_bits).prop_filter("finite", |x| x.is_finite()),
            -1e6..1e6,
            Just(1e200),
            Just(5e-324),
            Just(f64::MAX),
            Just(0.0)
        ]
    }

    proptest! {
        #[test]
        fn products_of_doubles_add_up(rows in proptest::collection::vec((double(), double(), -3i64..4), 0..12), cut in 0usize..12) {
            let (mut a, mut b) = (ProductSum::of_doubles(), ProductSum::of_doubles());
            let mut expected = BigInt::ZERO;
            for (i, (x, y, times)) in rows.iter().enumerate() {
                if i < cut { &mut a } else { &mut b }.add_doubles(*x, *y, *times);
                expected += exactly(*x) * exactly(*y) * *times;
            }
            let mut sum = round_trip(&a);
            sum.merge(&round_trip(&b));
            prop_assert_eq!(units(&sum), expected);
            for (x, y, times) in &rows {
                sum.add_doubles(*x, *y, -times);
            }
            let mut empty = Vec::new();
            round_trip(&sum).encode(&mut empty);
            prop_assert_eq!(empty, vec![0, 0]);
        }

        #[test]
        fn products_of_integers_add_up(rows in proptest::collection::vec((any::<i128>(), any::<i128>(), 0u32..127, -3i64..4), 0..12)) {
            let mut sum = ProductSum::of_integers();
            let mut expected = BigInt::ZERO;
            for (x, y, shift, times) in &rows {
                let (x, y) = (x >> shift, y >> shift);
                sum.add_integers(x, y, *times);
                expected += BigInt::from(x) * BigInt::from(y) * *times;
            }
            prop_assert_eq!(units(&round_trip(&sum)), expected << (-UNIT));
        }
    }
}
