//! The bytes of one body, taken from the front: what AVRO and PROTOBUF are made of.

use super::fault::{Fault, Parsed};
use super::field::Field;
use std::ops::Range;

/// Values deeper than this are refused, so that no body fills the stack.
pub const DEPTH_MAX: usize = 128;

/// A place in a body.
pub struct Body<'a> {
    /// Of the whole batch; the body ends at `end`.
    buffer: &'a [u8],
    pub at: usize,
    pub end: usize,
    /// How much may still be done that takes no bytes of its own.
    credit: usize,
}

impl<'a> Body<'a> {
    pub fn new(buffer: &'a [u8], range: Range<usize>) -> Body<'a> {
        assert!(range.start <= range.end && range.end <= buffer.len());
        let credit = (range.len() + 1).saturating_mul(DEPTH_MAX);
        Body { buffer, at: range.start, end: range.end, credit }
    }

    #[inline(always)]
    pub fn is_at_end(&self) -> bool {
        self.at == self.end
    }

    #[inline(always)]
    pub fn rest(&self) -> usize {
        self.end - self.at
    }

    /// Pays for `count` items, each of which has a byte in any sensible body.
    pub fn count_items(&mut self, count: usize) -> Parsed<()> {
        self.spend(count.saturating_mul(DEPTH_MAX))
    }

    /// Pays for a record within others, at most [`DEPTH_MAX`] of which share a byte.
    pub fn count_record(&mut self) -> Parsed<()> {
        self.spend(1)
    }

    fn spend(&mut self, cost: usize) -> Parsed<()> {
        match self.credit.checked_sub(cost) {
            Some(credit) => {
                self.credit = credit;
                Ok(())
            }
            None => Err(Fault::new("it claims to hold more values than it has bytes")),
        }
    }

    #[inline(always)]
    pub fn byte(&mut self) -> Parsed<u8> {
        if self.at >= self.end {
            return Err(ends());
        }
        self.at += 1;
        Ok(self.buffer[self.at - 1])
    }

    /// The place of the next `len` bytes.
    #[inline(always)]
    pub fn take(&mut self, len: u64) -> Parsed<Range<usize>> {
        if len > self.rest() as u64 {
            return Err(ends());
        }
        let start = self.at;
        self.at += len as usize;
        Ok(start..self.at)
    }

    #[inline(always)]
    pub fn array<const N: usize>(&mut self) -> Parsed<[u8; N]> {
        let range = self.take(N as u64)?;
        Ok(*self.buffer[range].first_chunk().expect("so many bytes were taken"))
    }

    #[inline(always)]
    pub fn field(&self, range: &Range<usize>) -> Field<'a> {
        Field::within(self.buffer, range.start, range.end)
    }

    /// Seven bits a byte, the lowest first; the last byte has no highest bit.
    #[inline(always)]
    pub fn varint(&mut self) -> Parsed<u64> {
        if self.at < self.end && self.buffer[self.at] < 0x80 {
            self.at += 1;
            return Ok(u64::from(self.buffer[self.at - 1]));
        }
        self.long_varint()
    }

    #[inline]
    fn long_varint(&mut self) -> Parsed<u64> {
        let word = Field::within(self.buffer, self.at, self.end).word();
        let ends_at = !word & 0x8080_8080_8080_8080;
        // A message's last bytes lie behind it in the word.
        let len = ends_at.trailing_zeros() as usize / 8 + 1;
        if ends_at == 0 || len > self.rest() {
            return self.longest_varint();
        }
        self.at += len;
        // The bytes of the number; then sevens of bits are moved together, by twos, fours and eights.
        let bits = word & (u64::MAX >> (64 - 8 * len)) & 0x7f7f_7f7f_7f7f_7f7f;
        let bits = (bits & 0x007f_007f_007f_007f) | (bits & 0x7f00_7f00_7f00_7f00) >> 1;
        let bits = (bits & 0x0000_3fff_0000_3fff) | (bits & 0x3fff_0000_3fff_0000) >> 2;
        Ok((bits & 0x0fff_ffff) | (bits & 0x0fff_ffff_0000_0000) >> 4)
    }

    #[inline(never)]
    fn longest_varint(&mut self) -> Parsed<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            // The tenth byte has room for one bit.
            if shift == 63 && byte > 1 {
                break;
            }
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(Fault::new("a number has more than 64 bits"))
    }

    /// A varint whose lowest bit is the sign.
    #[inline(always)]
    pub fn zigzag(&mut self) -> Parsed<i64> {
        self.varint().map(unzigzag)
    }
}

#[inline(always)]
pub fn unzigzag(value: u64) -> i64 {
    (value >> 1) as i64 ^ -((value & 1) as i64)
}

pub fn push_varint(out: &mut Vec<u8>, mut value: u64) {
    if value < 0x80 {
        return out.push(value as u8);
    }
    // Appended in one piece.
    let (mut bytes, mut len) = ([0; 10], 0);
    while value >= 0x80 {
        bytes[len] = value as u8 | 0x80;
        value >>= 7;
        len += 1;
    }
    bytes[len] = value as u8;
    out.extend_from_slice(&bytes[..=len]);
}

pub fn zigzag(value: i64) -> u64 {
    (value << 1) as u64 ^ (value >> 63) as u64
}

#[cold]
fn ends() -> Box<Fault> {
    Fault::new("the record ends too early")
}
