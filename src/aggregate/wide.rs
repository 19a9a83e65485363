//! Sums of integers and of DECIMAL's unscaled digits in 192 bits: no number of rows overflows them.

use super::quotient::Total;
use super::varint;
use num_bigint::BigInt;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wide {
    low: u128,
    high: i64,
}

impl Wide {
    #[inline]
    pub fn add(&mut self, value: i128) {
        self.merge(Wide { low: value as u128, high: (value >> 127) as i64 });
    }

    /// Adds `value` so many times; negative takes it back.
    pub fn add_times(&mut self, value: i128, times: i64) {
        // Split so that neither product leaves 128 bits.
        let (high, low) = (value >> 64, value as u64);
        let mut product = Wide::default();
        product.add(high * times as i128);
        product = Wide { low: product.low << 64, high: (product.low >> 64) as i64 };
        let magnitude = low as u128 * times.unsigned_abs() as u128;
        let mut part = Wide { low: magnitude, high: 0 };
        if times < 0 {
            part = part.negated();
        }
        product.merge(part);
        self.merge(product);
    }

    #[inline]
    pub fn merge(&mut self, other: Wide) {
        let carry;
        (self.low, carry) = self.low.overflowing_add(other.low);
        self.high = self.high.wrapping_add(other.high).wrapping_add(carry as i64);
    }

    fn negated(self) -> Wide {
        let mut negated = Wide { low: !self.low, high: !self.high };
        negated.merge(Wide { low: 1, high: 0 });
        negated
    }

    /// The value, where 128 bits hold it.
    pub fn to_i128(self) -> Option<i128> {
        let value = self.low as i128;
        ((value >> 127) as i64 == self.high).then_some(value)
    }

    /// The value.
    pub fn total(self) -> Total {
        Total { digits: (BigInt::from(self.high) << 128u32) + BigInt::from(self.low), exponent: 0 }
    }

    #[inline]
    pub fn encode(self, out: &mut Vec<u8>) {
        match self.to_i128() {
            Some(value) => varint::put_minimal(out, value),
            None => {
                let mut bytes = [0; 24];
                bytes[..16].copy_from_slice(&self.low.to_le_bytes());
                bytes[16..].copy_from_slice(&self.high.to_le_bytes());
                let len = varint::minimal_len(&bytes);
                out.push(len as u8);
                varint::put_fixed(out, &bytes, len);
            }
        }
    }

    #[inline]
    pub fn decode(bytes: &mut &[u8]) -> Option<Wide> {
        let len = varint::byte(bytes)? as usize;
        let mut wide = Wide::default();
        if len <= 16 {
            wide.add(varint::take_number(bytes, len)?);
        } else {
            let low = varint::take(bytes, 16)?.first_chunk::<16>()?;
            let high = varint::take_number(bytes, len - 16).filter(|_| len <= 24)?;
            wide = Wide { low: u128::from_le_bytes(*low), high: high as i64 };
        }
        Some(wide)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nearest(sum: Wide) -> f64 {
        sum.total().over(1u32.into()).nearest()
    }

    #[test]
    fn sums_cross_128_bits_and_come_back() {
        let mut sum = Wide::default();
        for _ in 0..5 {
            sum.add(i128::MAX);
        }
        assert_eq!(sum.to_i128(), None);
        assert_eq!(nearest(sum), 5.0 * 2f64.powi(127));
        let mut bytes = Vec::new();
        sum.encode(&mut bytes);
        assert_eq!(Wide::decode(&mut &bytes[..]), Some(sum));
        sum.add_times(i128::MAX, -4);
        sum.add(1);
        assert_eq!(nearest(sum), 2f64.powi(127));
        sum.add(-1);
        sum.add_times(i128::MAX, -3);
        assert_eq!(nearest(sum), -2.0 * 2f64.powi(127));
        sum.add_times(i128::MAX, 2);
        assert_eq!(sum, Wide::default());
        sum.add_times(-5, 3);
        sum.add_times(-5, -1);
        assert_eq!(sum.to_i128(), Some(-10));
    }
}
