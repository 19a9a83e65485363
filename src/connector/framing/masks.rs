//! Where the bytes that structure lines and JSON are in 64 bytes, as bits.

/// Bit i stands for byte i.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Masks {
    pub quote: u64,
    pub backslash: u64,
    /// `{` and `[`.
    pub open: u64,
    /// `}` and `]`.
    pub close: u64,
    pub newline: u64,
}

impl Masks {
    /// Of the first 64 bytes; what is missing counts as white space.
    #[inline]
    pub fn of(bytes: &[u8]) -> Masks {
        match bytes.first_chunk::<64>() {
            Some(chunk) => of_chunk(chunk),
            None => {
                let mut chunk = [b' '; 64];
                chunk[..bytes.len()].copy_from_slice(bytes);
                of_chunk(&chunk)
            }
        }
    }
}

/// Which of the first 64 bytes are one or the other of two.
#[inline]
pub fn either(bytes: &[u8], one: u8, other: u8) -> u64 {
    match bytes.first_chunk::<64>() {
        Some(chunk) => either_of_chunk(chunk, one, other),
        None => {
            let found = bytes.iter().enumerate().filter(|(_, byte)| **byte == one || **byte == other);
            found.map(|(i, _)| 1u64 << i).sum()
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[inline]
fn either_of_chunk(chunk: &[u8; 64], one: u8, other: u8) -> u64 {
    use std::arch::x86_64::*;
    let mut found = 0;
    for i in 0..4 {
        // SAFETY: SSE2 is part of x86-64; 16 bytes from 16 * i are inside the 64, and the load needs no
        // alignment.
        let bits = unsafe {
            let bytes = _mm_loadu_si128(chunk.as_ptr().add(16 * i).cast());
            let equal = |byte: u8| _mm_cmpeq_epi8(bytes, _mm_set1_epi8(byte as i8));
            _mm_movemask_epi8(_mm_or_si128(equal(one), equal(other)))
        };
        found |= u64::from(bits as u32) << (16 * i);
    }
    found
}

#[cfg(not(target_arch = "x86_64"))]
fn either_of_chunk(chunk: &[u8; 64], one: u8, other: u8) -> u64 {
    let is_found = |byte: u8| (byte == one || byte == other) as u64;
    chunk.iter().enumerate().map(|(i, byte)| is_found(*byte) << i).sum()
}

/// So many bytes are searched for newlines at a time.
pub const NEWLINES_BYTES: usize = 4096;
/// So many places are written at once, whether there are as many or not.
const AT_ONCE: usize = 4;

/// Where the newlines are in a piece of text.
pub struct Newlines([u16; NEWLINES_BYTES + AT_ONCE]);

impl Newlines {
    pub fn new() -> Newlines {
        Newlines([0; NEWLINES_BYTES + AT_ONCE])
    }

    /// Of the first bytes, at most [`NEWLINES_BYTES`].
    ///
    /// Lines of events are so short that a search that starts anew for each spends its time starting,
    /// and one that asks for each bit on branches that nobody can predict: 17 ns a line against 7.
    #[inline]
    pub fn of(&mut self, bytes: &[u8]) -> &[u16] {
        #[cfg(target_arch = "x86_64")]
        if std::arch::is_x86_feature_detected!("bmi1") && std::arch::is_x86_feature_detected!("popcnt") {
            // SAFETY: the processor has just been asked for both.
            return unsafe { self.of_with_bits(bytes) };
        }
        self.of_any(bytes)
    }

    /// With single instructions for counting bits and for finding and clearing the lowest.
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "bmi1,popcnt")]
    fn of_with_bits(&mut self, bytes: &[u8]) -> &[u16] {
        self.of_any(bytes)
    }

    #[inline(always)]
    fn of_any(&mut self, bytes: &[u8]) -> &[u16] {
        let mut found = 0;
        for (i, chunk) in bytes[..bytes.len().min(NEWLINES_BYTES)].chunks(64).enumerate() {
            let mut bits = match chunk.first_chunk::<64>() {
                Some(chunk) => newlines_of_chunk(chunk),
                None => Masks::of(chunk).newline,
            };
            let end = found + bits.count_ones() as usize;
            while found < end {
                for place in &mut self.0[found..found + AT_ONCE] {
                    *place = (64 * i) as u16 + bits.trailing_zeros() as u16;
                    bits &= bits.wrapping_sub(1);
                }
                found += AT_ONCE;
            }
            found = end;
        }
        &self.0[..found]
    }
}

#[cfg(target_arch = "x86_64")]
#[inline]
fn newlines_of_chunk(chunk: &[u8; 64]) -> u64 {
    // The other masks are not used, so they are not computed.
    of_chunk(chunk).newline
}

#[cfg(not(target_arch = "x86_64"))]
fn newlines_of_chunk(chunk: &[u8; 64]) -> u64 {
    chunk.iter().enumerate().map(|(i, byte)| ((*byte == b'\n') as u64) << i).sum()
}

#[cfg(target_arch = "x86_64")]
#[inline]
fn of_chunk(chunk: &[u8; 64]) -> Masks {
    // SAFETY: SSE2 is part of x86-64.
    unsafe { of_chunk_sse2(chunk) }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "sse2")]
#[inline]
fn of_chunk_sse2(chunk: &[u8; 64]) -> Masks {
    use std::arch::x86_64::*;
    let mut masks = Masks::default();
    let bits = |found: __m128i| _mm_movemask_epi8(found) as u32 as u64;
    for i in 0..4 {
        // SAFETY: 16 bytes from 16 * i are inside the 64; the load needs no alignment.
        let bytes = unsafe { _mm_loadu_si128(chunk.as_ptr().add(16 * i).cast()) };
        // The kinds of brackets differ in this bit only.
        let folded = _mm_or_si128(bytes, _mm_set1_epi8(0x20));
        let shift = 16 * i;
        masks.quote |= bits(_mm_cmpeq_epi8(bytes, _mm_set1_epi8(b'"' as i8))) << shift;
        masks.backslash |= bits(_mm_cmpeq_epi8(bytes, _mm_set1_epi8(b'\\' as i8))) << shift;
        masks.newline |= bits(_mm_cmpeq_epi8(bytes, _mm_set1_epi8(b'\n' as i8))) << shift;
        masks.open |= bits(_mm_cmpeq_epi8(folded, _mm_set1_epi8(b'{' as i8))) << shift;
        masks.close |= bits(_mm_cmpeq_epi8(folded, _mm_set1_epi8(b'}' as i8))) << shift;
    }
    masks
}

#[cfg(not(target_arch = "x86_64"))]
fn of_chunk(chunk: &[u8; 64]) -> Masks {
    of_chunk_bytewise(chunk)
}

#[cfg(any(test, not(target_arch = "x86_64")))]
fn of_chunk_bytewise(chunk: &[u8; 64]) -> Masks {
    let mut masks = Masks::default();
    for (i, byte) in chunk.iter().enumerate() {
        masks.quote |= ((*byte == b'"') as u64) << i;
        masks.backslash |= ((*byte == b'\\') as u64) << i;
        masks.newline |= ((*byte == b'\n') as u64) << i;
        masks.open |= (matches!(*byte, b'{' | b'[') as u64) << i;
        masks.close |= (matches!(*byte, b'}' | b']') as u64) << i;
    }
    masks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors_find_what_bytes_find() {
        for base in 0..=255u8 {
            let chunk: [u8; 64] = std::array::from_fn(|i| base.wrapping_add((i * 7) as u8));
            assert_eq!(of_chunk(&chunk), of_chunk_bytewise(&chunk));
        }
    }

    #[test]
    fn newlines_are_found_wherever_they_are() {
        for every in [1, 2, 3, 63, 64, 65, 200] {
            let text: Vec<u8> =
                (0..4000).map(|i| if i % every == every - 1 { b'\n' } else { b'x' }).collect();
            for len in [0, 1, 63, 64, 65, 1000, 4000] {
                let expected: Vec<u16> = (0..len as u16).filter(|i| text[*i as usize] == b'\n').collect();
                assert_eq!(Newlines::new().of(&text[..len]), expected);
            }
        }
    }

    #[test]
    fn missing_bytes_are_white_space() {
        assert_eq!(Masks::of(b"{"), Masks { open: 1, ..Masks::default() });
    }
}
