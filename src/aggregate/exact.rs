//! Exact sums of DOUBLE: the same bits whatever the order, the batches and the workers.
//!
//! A finite double is an integer times a power of two, so a sum of them is one too. Most fit a
//! 128-bit window of fixed point whose unit is 2^-72 (|x| in 2^-20..2^54, or any few-bit fraction
//! within); the rest goes to a fixed-point number that spans the whole range of doubles. NaN and the
//! infinities are counted apart, so that a retraction undoes them as well.

use super::quotient::Total;
use super::varint;
use num_bigint::BigInt;

/// Bytes of the window below 2^0: its unit is 2^-72. Whole bytes, so that both forms encode alike.
const WINDOW_FRACTION_BYTES: i64 = 9;
/// Exponent field of the smallest double whose last bit still is in the window.
const LOWEST_EXPONENT: u64 = 1075 - 8 * WINDOW_FRACTION_BYTES as u64;
/// 53 bits of mantissa shifted by this much stay clear of the sign.
const SHIFT_MAX: u64 = 127 - 1 - 53;
const MANTISSA: u64 = (1 << 52) - 1;

/// 2^-1088 (the smallest subnormal is 2^-1074) up to 2^1215: room for 2^63 times the greatest double.
const LIMBS: usize = 36;
const FRACTION_BITS: usize = 1088;

/// A sum of doubles without any rounding.
#[derive(Clone, Debug, Default)]
pub struct ExactSum {
    window: i128,
    /// Added to the window's value; most sums never need it.
    rest: Option<Box<Rest>>,
}

#[derive(Clone, Debug)]
struct Rest {
    /// Two's complement, lowest limb first, in units of 2^-1088.
    limbs: [u64; LIMBS],
    nan: i64,
    infinite: i64,
    negative_infinite: i64,
}

impl ExactSum {
    #[inline(always)]
    pub fn add(&mut self, x: f64) {
        let bits = x.to_bits();
        let shift = (bits >> 52 & 0x7ff).wrapping_sub(LOWEST_EXPONENT);
        if shift <= SHIFT_MAX {
            let magnitude = ((bits & MANTISSA | 1 << 52) as i128) << shift;
            let sign = (bits as i64 >> 63) as i128;
            if let Some(sum) = self.window.checked_add((magnitude ^ sign) - sign) {
                self.window = sum;
                return;
            }
        }
        self.add_outside(x, 1);
    }

    /// Takes back an addition.
    pub fn sub(&mut self, x: f64) {
        self.add_times(x, -1);
    }

    /// Adds `x` so many times; negative takes it back.
    pub fn add_times(&mut self, x: f64, times: i64) {
        match times {
            0 => {}
            1 => self.add(x),
            -1 if x.is_finite() => self.add(-x),
            _ => self.add_outside(x, times),
        }
    }

    #[inline(never)]
    fn add_outside(&mut self, x: f64, times: i64) {
        if x == 0.0 {
            return;
        }
        let rest = self.rest.get_or_insert_with(Rest::zero);
        if x.is_nan() {
            rest.nan = rest.nan.wrapping_add(times);
        } else if x == f64::INFINITY {
            rest.infinite = rest.infinite.wrapping_add(times);
        } else if x == f64::NEG_INFINITY {
            rest.negative_infinite = rest.negative_infinite.wrapping_add(times);
        } else {
            let field = (x.to_bits() >> 52 & 0x7ff) as usize;
            let hidden = if field == 0 { 0 } else { 1 << 52 };
            let mantissa = (x.to_bits() & MANTISSA | hidden) as u128;
            let bit = field.max(1) + FRACTION_BITS - 1075;
            rest.add(mantissa * times.unsigned_abs() as u128, bit, x.is_sign_negative() != (times < 0));
        }
        self.settle();
    }

    /// Moves the window's content away once it is more than half full, so that additions stay fast.
    fn settle(&mut self) {
        if let Some(rest) = &mut self.rest
            && self.window.unsigned_abs() >> 126 != 0
        {
            rest.add_window(self.window);
            self.window = 0;
        }
    }

    pub fn merge(&mut self, other: &ExactSum) {
        match self.window.checked_add(other.window) {
            Some(sum) => self.window = sum,
            None => self.rest.get_or_insert_with(Rest::zero).add_window(other.window),
        }
        if let Some(other) = &other.rest {
            self.rest.get_or_insert_with(Rest::zero).merge(other);
        }
    }

    /// The nearest double, ties to even; ±Infinity where the sum is out of range. Never -0.0.
    pub fn to_f64(&self) -> f64 {
        match &self.rest {
            None => self.window as f64 * (0.5f64).powi(8 * WINDOW_FRACTION_BYTES as i32),
            Some(rest) => {
                let mut all = rest.clone();
                all.add_window(self.window);
                all.to_f64()
            }
        }
    }

    /// The sum without any rounding; or NaN or an infinity where it is one.
    pub fn total(&self) -> Result<Total, f64> {
        let Some(rest) = &self.rest else {
            return Ok(Total { digits: self.window.into(), exponent: -8 * WINDOW_FRACTION_BYTES });
        };
        let mut all = rest.clone();
        all.add_window(self.window);
        if [all.nan, all.infinite, all.negative_infinite] != [0; 3] {
            return Err(all.to_f64());
        }
        let bytes: Vec<u8> = all.limbs.iter().flat_map(|limb| limb.to_le_bytes()).collect();
        Ok(Total { digits: BigInt::from_signed_bytes_le(&bytes), exponent: -(FRACTION_BITS as i64) })
    }

    /// Appends the canonical form: the byte count (doubled, plus one where specials follow), the place
    /// of the lowest byte, the two's complement bytes without zeros below or sign copies above; then
    /// the counts of NaN, Infinity and -Infinity.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match &self.rest {
            None => self.encode_window(out),
            Some(rest) => {
                let mut all = rest.clone();
                all.add_window(self.window);
                all.encode(out);
            }
        }
    }

    #[inline]
    fn encode_window(&self, out: &mut Vec<u8>) {
        if self.window == 0 {
            return out.push(0);
        }
        let zeros = self.window.trailing_zeros() / 8;
        let number = self.window >> (8 * zeros);
        let len = varint::minimal_len_128(number);
        out.push((len as u8) << 1);
        varint::put_signed(out, zeros as i64 - WINDOW_FRACTION_BYTES);
        varint::put_fixed(out, &number.to_le_bytes(), len);
    }

    #[inline]
    pub fn decode(bytes: &mut &[u8]) -> Option<ExactSum> {
        let header = varint::get(bytes)?;
        let len = (header >> 1) as usize;
        let mut sum = ExactSum::default();
        if len > 0 {
            let place = varint::get_signed(bytes)?;
            let in_window = place.wrapping_add(WINDOW_FRACTION_BYTES);
            if (0..=15).contains(&in_window) && in_window as usize + len <= 16 {
                sum.window = varint::take_number(bytes, len)? << (8 * in_window);
            } else {
                sum.rest = Some(Rest::decode(varint::take(bytes, len)?, place)?);
            }
        }
        if header & 1 == 1 {
            let rest = sum.rest.get_or_insert_with(Rest::zero);
            rest.nan = varint::get_signed(bytes)?;
            rest.infinite = varint::get_signed(bytes)?;
            rest.negative_infinite = varint::get_signed(bytes)?;
        }
        Some(sum)
    }

    /// About how many bytes it holds besides itself.
    pub fn heap_bytes(&self) -> usize {
        if self.rest.is_some() { size_of::<Rest>() } else { 0 }
    }
}

fn encode_number(bytes: &[u8], place: i64, specials: bool, out: &mut Vec<u8>) {
    let Some(start) = bytes.iter().position(|&b| b != 0) else {
        out.push(specials as u8);
        return;
    };
    let number = &bytes[start..];
    let len = varint::minimal_len(number);
    varint::put(out, (len as u64) << 1 | specials as u64);
    varint::put_signed(out, place + start as i64);
    out.extend_from_slice(&number[..len]);
}

impl Rest {
    fn zero() -> Box<Rest> {
        Box::new(Rest { limbs: [0; LIMBS], nan: 0, infinite: 0, negative_infinite: 0 })
    }

    fn decode(number: &[u8], place: i64) -> Option<Box<Rest>> {
        let fill = if *number.last()? >= 0x80 { 0xff } else { 0 };
        let start = usize::try_from(place.checked_add(FRACTION_BITS as i64 / 8)?).ok()?;
        let mut bytes = [fill; 8 * LIMBS];
        bytes.get_mut(..start)?.fill(0);
        bytes.get_mut(start..start.checked_add(number.len())?)?.copy_from_slice(number);
        let mut rest = Rest::zero();
        for (limb, chunk) in rest.limbs.iter_mut().zip(bytes.as_chunks::<8>().0) {
            *limb = u64::from_le_bytes(*chunk);
        }
        Some(rest)
    }

    fn add_window(&mut self, window: i128) {
        let bit = FRACTION_BITS - 8 * WINDOW_FRACTION_BYTES as usize;
        self.add(window.unsigned_abs(), bit, window < 0);
    }

    /// Adds or subtracts a magnitude whose lowest bit is bit `bit` of the limbs.
    fn add(&mut self, magnitude: u128, bit: usize, negative: bool) {
        let (first, shift) = (bit / 64, bit % 64);
        let low = magnitude << shift;
        let high = if shift == 0 { 0 } else { (magnitude >> (128 - shift)) as u64 };
        let parts = [low as u64, (low >> 64) as u64, high];
        let mut carry = false;
        for (i, limb) in self.limbs[first..].iter_mut().enumerate() {
            let part = parts.get(i).copied().unwrap_or(0);
            if i >= parts.len() && !carry {
                return;
            }
            (*limb, carry) = if negative { limb.borrowing(part, carry) } else { limb.carrying(part, carry) };
        }
    }

    fn merge(&mut self, other: &Rest) {
        let mut carry = false;
        for (limb, &part) in self.limbs.iter_mut().zip(&other.limbs) {
            (*limb, carry) = limb.carrying(part, carry);
        }
        self.nan = self.nan.wrapping_add(other.nan);
        self.infinite = self.infinite.wrapping_add(other.infinite);
        self.negative_infinite = self.negative_infinite.wrapping_add(other.negative_infinite);
    }

    fn encode(&self, out: &mut Vec<u8>) {
        let mut bytes = [0; 8 * LIMBS];
        for (chunk, limb) in bytes.as_chunks_mut::<8>().0.iter_mut().zip(&self.limbs) {
            *chunk = limb.to_le_bytes();
        }
        let counts = [self.nan, self.infinite, self.negative_infinite];
        let specials = counts != [0; 3];
        encode_number(&bytes, -(FRACTION_BITS as i64 / 8), specials, out);
        if specials {
            counts.iter().for_each(|&count| varint::put_signed(out, count));
        }
    }

    fn to_f64(&self) -> f64 {
        match (self.nan, self.infinite, self.negative_infinite) {
            (0, 0, 0) => self.round(),
            (0, _, 0) => f64::INFINITY,
            (0, 0, _) => f64::NEG_INFINITY,
            _ => f64::NAN,
        }
    }

    fn round(&self) -> f64 {
        let negative = self.limbs[LIMBS - 1] >> 63 == 1;
        let magnitude = if negative { negate(&self.limbs) } else { self.limbs };
        let Some(top_limb) = magnitude.iter().rposition(|&limb| limb != 0) else { return 0.0 };
        let top = 64 * top_limb + 63 - magnitude[top_limb].leading_zeros() as usize;
        // Everything below the 53 bits from the top, but never below the subnormals' last bit.
        let last = top.saturating_sub(52).max(FRACTION_BITS - 1074);
        let kept = bits(&magnitude, last);
        let half = bits(&magnitude, last - 1) & 1 == 1;
        let sticky = (0..last - 1).any(|i| magnitude[i / 64] >> (i % 64) & 1 == 1);
        let rounded = kept + (half && (sticky || kept & 1 == 1)) as u64;
        // The bits of a double count on through its exponent: a carry, and the step from subnormals
        // to normals, come out right by adding.
        let steps = (last - (FRACTION_BITS - 1074)) as u64;
        let pattern = rounded + (steps << 52);
        let value = f64::from_bits(pattern.min(f64::INFINITY.to_bits()));
        if negative { -value } else { value }
    }
}

/// The 64 bits from bit `from` up.
fn bits(limbs: &[u64; LIMBS], from: usize) -> u64 {
    let (limb, shift) = (from / 64, from % 64);
    let above = limbs.get(limb + 1).copied().unwrap_or(0);
    if shift == 0 { limbs[limb] } else { limbs[limb] >> shift | above << (64 - shift) }
}

fn negate(limbs: &[u64; LIMBS]) -> [u64; LIMBS] {
    let mut carry = true;
    limbs.map(|limb| {
        let negated;
        (negated, carry) = (!limb).overflowing_add(carry as u64);
        negated
    })
}

trait Carry: Sized {
    fn carrying(self, other: Self, carry: bool) -> (Self, bool);
    fn borrowing(self, other: Self, borrow: bool) -> (Self, bool);
}

impl Carry for u64 {
    #[inline]
    fn carrying(self, other: u64, carry: bool) -> (u64, bool) {
        let (sum, a) = self.overflowing_add(other);
        let (sum, b) = sum.overflowing_add(carry as u64);
        (sum, a | b)
    }

    #[inline]
    fn borrowing(self, other: u64, borrow: bool) -> (u64, bool) {
        let (difference, a) = self.overflowing_sub(other);
        let (difference, b) = difference.overflowing_sub(borrow as u64);
        (difference, a | b)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The sum as an integer in units of 2^-1074, digits of 32 bits; a different road to the answer:
    /// written out in decimal, it is rounded by the standard library's parser.
    struct Oracle {
        digits: Vec<i128>,
        specials: [i64; 3],
    }

    impl Oracle {
        fn new(values: &[f64]) -> Oracle {
            let mut oracle = Oracle { digits: vec![0; 80], specials: [0; 3] };
            for &x in values {
                if x.is_nan() {
                    oracle.specials[0] += 1;
                } else if x.is_infinite() {
                    oracle.specials[if x > 0.0 { 1 } else { 2 }] += 1;
                } else {
                    let field = (x.to_bits() >> 52 & 0x7ff) as usize;
                    let mantissa = x.to_bits() & MANTISSA | if field == 0 { 0 } else { 1 << 52 };
                    let shift = field.max(1) - 1;
                    let sign = if x < 0.0 { -1 } else { 1 };
                    let part = sign * ((mantissa as i128) << (shift % 32));
                    oracle.digits[shift / 32] += part;
                }
            }
            oracle
        }

        fn to_f64(&self) -> f64 {
            match self.specials {
                [0, 0, 0] => {}
                [0, _, 0] => return f64::INFINITY,
                [0, 0, _] => return f64::NEG_INFINITY,
                _ => return f64::NAN,
            }
            let (mut digits, mut negative) = (carry(&self.digits), false);
            if digits.last().is_some_and(|d| *d < 0) {
                digits = carry(&digits.iter().map(|d| -d).collect::<Vec<_>>());
                negative = true;
            }
            // N · 2^-1074 = N · 5^1074 · 10^-1074
            for _ in 0..1074 {
                digits = carry(&digits.iter().map(|d| d * 5).collect::<Vec<_>>());
                digits.push(0);
                digits = carry(&digits);
            }
            let mut text = Vec::new();
            while digits.iter().any(|d| *d != 0) {
                let mut rest = 0i128;
                for digit in digits.iter_mut().rev() {
                    let all = (rest << 32) + *digit;
                    (*digit, rest) = (all / 1_000_000_000, all % 1_000_000_000);
                }
                text.push(format!("{rest:09}"));
                while digits.last() == Some(&0) {
                    digits.pop();
                }
            }
            text.reverse();
            let value: f64 = format!("{}e-1074", if text.is_empty() { "0".into() } else { text.concat() })
                .parse()
                .unwrap();
            if negative { -value } else { value }
        }
    }

    fn carry(digits: &[i128]) -> Vec<i128> {
        let mut out = digits.to_vec();
        for i in 0..out.len() - 1 {
            let high = out[i] >> 32;
            out[i] -= high << 32;
            out[i + 1] += high;
        }
        out
    }

    fn sum(values: &[f64]) -> ExactSum {
        let mut sum = ExactSum::default();
        values.iter().for_each(|x| sum.add(*x));
        sum
    }

    fn bytes(sum: &ExactSum) -> Vec<u8> {
        let mut out = Vec::new();
        sum.encode(&mut out);
        out
    }

    fn check(values: &[f64]) {
        let expected = Oracle::new(values).to_f64();
        let sum = sum(values);
        assert_eq!(sum.to_f64().to_bits(), expected.to_bits(), "{values:?} → {expected}");
        let decoded = ExactSum::decode(&mut &bytes(&sum)[..]).unwrap();
        assert_eq!(decoded.to_f64().to_bits(), expected.to_bits());
        assert_eq!(bytes(&decoded), bytes(&sum));
    }

    #[test]
    fn hard_cases() {
        check(&[]);
        check(&[-0.0, -0.0]);
        check(&[0.1, 0.2, 0.3]);
        check(&[1e308, 1e308]);
        check(&[1e308, 1e308, -1e308]);
        check(&[f64::MAX, f64::MAX * 2f64.powi(-54)]);
        check(&[f64::MAX, f64::MAX * 2f64.powi(-55)]);
        check(&[-f64::MAX, -f64::MAX]);
        check(&[5e-324; 3]);
        check(&[5e-324, -1e308, 1e308]);
        check(&[f64::MIN_POSITIVE, -5e-324]);
        check(&[f64::MIN_POSITIVE, 5e-324]);
        check(&[1.0, 2f64.powi(-53)]);
        check(&[1.0, 2f64.powi(-53), 5e-324]);
        check(&[1.0 + f64::EPSILON, 2f64.powi(-53)]);
        check(&[1e16, 1.0, -1e16, 1e-20]);
        check(&[2f64.powi(53); 700]);
        check(&[-(2f64.powi(53)); 700]);
        check(&[f64::INFINITY, 1.0]);
        check(&[f64::INFINITY, f64::NEG_INFINITY]);
        check(&[f64::NEG_INFINITY, 1e300]);
        assert!(sum(&[f64::NAN, f64::INFINITY]).to_f64().is_nan());
    }

    #[test]
    fn retraction_leaves_nothing_behind() {
        let values = [1.5, f64::NAN, 1e300, -5e-324, f64::INFINITY, 0.1, f64::NEG_INFINITY];
        let mut sum = sum(&values);
        values.iter().rev().for_each(|x| sum.sub(*x));
        assert_eq!(bytes(&sum), [0]);
        sum.add_times(0.1, 1_000);
        sum.add_times(0.1, -997);
        assert_eq!(bytes(&sum), bytes(&self::sum(&[0.1; 3])));
    }

    #[test]
    fn percentages_stay_small() {
        let values: Vec<f64> = (0..100_000).map(|i| (i % 611) as f64 / 611.0 * 100.0).collect();
        let len = bytes(&sum(&values)).len();
        assert!(len <= 14, "{len} bytes");
    }

    fn doubles() -> impl Strategy<Value = Vec<f64>> {
        let any_bits = any::<u64>().prop_map(f64::from_bits);
        let near = (-1e6..1e6f64).prop_map(|x| x);
        let tiny = (0u64..1 << 54, any::<bool>())
            .prop_map(|(bits, sign)| if sign { -f64::from_bits(bits) } else { f64::from_bits(bits) });
        let finite = any_bits.prop_filter("finite", |x| x.is_finite());
        let one = prop_oneof![4 => near, 2 => tiny, 2 => finite, 1 => Just(f64::MAX), 1 => Just(-f64::MAX)];
        proptest::collection::vec(one, 0..40)
    }

    proptest! {
        #[test]
        fn sums_are_rounded_once(values in doubles()) {
            check(&values);
        }

        #[test]
        fn order_and_merges_do_not_show(values in doubles(), seed in any::<u64>()) {
            let expected = bytes(&sum(&values));
            let mut shuffled = values.clone();
            let mut state = seed | 1;
            let mut next = |n: usize| {
                state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                (state >> 33) as usize % n
            };
            for i in (1..shuffled.len()).rev() {
                shuffled.swap(i, next(i + 1));
            }
            let mut parts = vec![ExactSum::default(); 4];
            for x in &shuffled {
                parts[next(4)].add(*x);
            }
            let mut merged = ExactSum::default();
            for part in parts {
                merged.merge(&ExactSum::decode(&mut &bytes(&part)[..]).unwrap());
            }
            prop_assert_eq!(bytes(&merged), expected);
        }

        #[test]
        fn corrupt_bytes_do_no_harm(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            if let Some(mut sum) = ExactSum::decode(&mut &bytes[..]) {
                let other = sum.clone();
                sum.merge(&other);
                sum.to_f64();
            }
        }
    }
}
