//! Sixteen bytes at a time: the scans for separators, quotes, ends of strings and blanks.
//!
//! A scan answers with one bit a byte, the lowest for the first. SSE2 is part of every x86-64; other
//! processors take the portable loops, which compilers vectorise.

/// Sixteen bytes of a buffer; zeros behind its end.
#[derive(Clone, Copy)]
pub struct Block(imp::Bytes);

impl Block {
    #[inline(always)]
    pub fn load(buffer: &[u8], at: usize) -> Block {
        match buffer.get(at..).and_then(|rest| rest.first_chunk::<16>()) {
            Some(bytes) => Block(imp::load(bytes)),
            None => Block(imp::load(&last(buffer, at))),
        }
    }

    /// Bytes that equal `byte`.
    #[inline(always)]
    pub fn equal(self, byte: u8) -> u32 {
        imp::equal(self.0, byte)
    }

    /// Bytes that are not ASCII.
    #[inline(always)]
    pub fn not_ascii(self) -> u32 {
        imp::not_ascii(self.0)
    }

    /// Bytes that end the plain part of a JSON string: quotes, backslashes, control characters.
    #[inline(always)]
    pub fn string_stops(self) -> u32 {
        self.equal(b'"') | self.equal(b'\\') | imp::controls(self.0)
    }

    /// Bytes that are not JSON's blanks.
    #[inline(always)]
    pub fn not_blank(self) -> u32 {
        !(self.equal(b' ') | self.equal(b'\n') | self.equal(b'\r') | self.equal(b'\t')) & 0xffff
    }
}

#[cold]
fn last(buffer: &[u8], at: usize) -> [u8; 16] {
    let mut bytes = [0; 16];
    if let Some(rest) = buffer.get(at..) {
        bytes[..rest.len()].copy_from_slice(rest);
    }
    bytes
}

#[cfg(target_arch = "x86_64")]
mod imp {
    //! The only thing that is unsafe here is to run SSE2 on a processor without it; x86-64 always has it.

    use std::arch::x86_64::*;

    pub type Bytes = __m128i;

    #[inline(always)]
    pub fn load(bytes: &[u8; 16]) -> Bytes {
        // SAFETY: sixteen bytes are readable, and `loadu` asks for no alignment.
        unsafe { _mm_loadu_si128(bytes.as_ptr().cast()) }
    }

    #[inline(always)]
    pub fn equal(bytes: Bytes, byte: u8) -> u32 {
        // SAFETY: see above.
        unsafe { _mm_movemask_epi8(_mm_cmpeq_epi8(bytes, _mm_set1_epi8(byte as i8))) as u32 }
    }

    #[inline(always)]
    pub fn not_ascii(bytes: Bytes) -> u32 {
        // SAFETY: see above.
        unsafe { _mm_movemask_epi8(bytes) as u32 }
    }

    #[inline(always)]
    pub fn controls(bytes: Bytes) -> u32 {
        // SAFETY: see above. SSE2 compares signed bytes only; the unsigned minimum keeps exactly those
        // up to 0x1f.
        unsafe {
            let least = _mm_min_epu8(bytes, _mm_set1_epi8(0x1f));
            _mm_movemask_epi8(_mm_cmpeq_epi8(least, bytes)) as u32
        }
    }
}

#[cfg(not(target_arch = "x86_64"))]
mod imp {
    pub type Bytes = [u8; 16];

    pub fn load(bytes: &[u8; 16]) -> Bytes {
        *bytes
    }

    fn mask(bytes: Bytes, matches: impl Fn(u8) -> bool) -> u32 {
        (0..16).fold(0, |mask, i| mask | u32::from(matches(bytes[i])) << i)
    }

    pub fn equal(bytes: Bytes, byte: u8) -> u32 {
        mask(bytes, |b| b == byte)
    }

    pub fn not_ascii(bytes: Bytes) -> u32 {
        mask(bytes, |b| b >= 0x80)
    }

    pub fn controls(bytes: Bytes) -> u32 {
        mask(bytes, |b| b < 0x20)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_is_classed() {
        for byte in 0..=255u8 {
            let buffer = [b'a', byte, b'a'];
            let block = Block::load(&buffer, 0);
            let set = |mask: u32| mask & 0b111 == 0b010;
            assert_eq!(set(block.not_ascii()), byte >= 0x80);
            assert_eq!(set(block.string_stops()), byte < 0x20 || matches!(byte, b'"' | b'\\'));
            assert_eq!(set(!block.not_blank()), matches!(byte, b' ' | b'\t' | b'\r' | b'\n'));
            assert_eq!(block.equal(byte) & 0b010, 0b010);
        }
        assert_eq!(Block::load(b"abc", 9).equal(b'c'), 0);
        assert_eq!(Block::load(b"0123456789abcdefc", 1).equal(b'c'), 1 << 11 | 1 << 15);
    }
}
