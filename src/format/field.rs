//! A field: some bytes of a message, with what lies behind them in the same buffer.
//!
//! Decoders hand fields to the parsers of numbers and to the builders of text columns. Knowing the
//! bytes behind a short field lets both load whole words without a loop over its length.

/// `len` bytes at the front of `tail`; the rest of `tail` must not influence the result.
#[derive(Clone, Copy)]
pub struct Field<'a> {
    tail: &'a [u8],
    len: usize,
}

impl<'a> Field<'a> {
    /// Bytes `start..end` of a buffer.
    #[inline(always)]
    pub fn within(buffer: &'a [u8], start: usize, end: usize) -> Field<'a> {
        assert!(start <= end && end <= buffer.len());
        Field { tail: &buffer[start..], len: end - start }
    }

    #[inline(always)]
    pub fn len(self) -> usize {
        self.len
    }

    #[inline(always)]
    pub fn is_empty(self) -> bool {
        self.len == 0
    }

    #[inline(always)]
    pub fn bytes(self) -> &'a [u8] {
        &self.tail[..self.len]
    }

    #[inline(always)]
    pub fn first(self) -> Option<u8> {
        if self.len == 0 { None } else { Some(self.tail[0]) }
    }

    /// The field without its first `n` bytes; `n` must not exceed its length.
    #[inline(always)]
    pub fn skip(self, n: usize) -> Field<'a> {
        Field { tail: &self.tail[n..], len: self.len - n }
    }

    /// The first eight bytes as a little-endian word; the bytes behind the field are arbitrary.
    #[inline(always)]
    pub fn word(self) -> u64 {
        match self.tail.first_chunk::<8>() {
            Some(bytes) => u64::from_le_bytes(*bytes),
            None => last_bytes(self.tail) as u64,
        }
    }

    /// As [`Field::word`] for the first sixteen bytes.
    #[inline(always)]
    pub fn double_word(self) -> u128 {
        match self.tail.first_chunk::<16>() {
            Some(bytes) => u128::from_le_bytes(*bytes),
            None => last_bytes(self.tail),
        }
    }
}

impl<'a> From<&'a [u8]> for Field<'a> {
    fn from(bytes: &'a [u8]) -> Field<'a> {
        Field { tail: bytes, len: bytes.len() }
    }
}

/// The end of a buffer, zero-extended.
#[cold]
fn last_bytes(bytes: &[u8]) -> u128 {
    let mut word = [0u8; 16];
    let len = bytes.len().min(16);
    word[..len].copy_from_slice(&bytes[..len]);
    u128::from_le_bytes(word)
}
