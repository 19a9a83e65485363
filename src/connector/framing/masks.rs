//! Where the bytes that structure JSON are in 64 bytes, as bits.

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
    fn missing_bytes_are_white_space() {
        assert_eq!(Masks::of(b"{"), Masks { open: 1, ..Masks::default() });
    }
}
