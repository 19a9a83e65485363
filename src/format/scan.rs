//! Many bytes at a time: the scans for separators and quotes, ends of strings, and blanks.
//!
//! A [`Block`] answers with one bit a byte, the lowest for the first; [`Stops`] lists the positions in a
//! whole region. Processors other than x86-64 take the portable loops, which compilers vectorise.

/// Where separators and quotes stand in a region of a buffer.
#[derive(Default)]
pub struct Stops {
    /// The first `found` are positions, then comes `u32::MAX`, then anything.
    delimiters: Vec<u32>,
    found: usize,
    quotes: Vec<u32>,
    /// Whether the whole region is.
    pub ascii: bool,
}

/// Positions that a word of bits yields without a look at how many it has.
const AT_ONCE: usize = 8;

impl Stops {
    /// The positions of delimiters, ascending; the last is `u32::MAX`.
    #[inline(always)]
    pub fn delimiters(&self) -> &[u32] {
        &self.delimiters[..=self.found]
    }

    /// As [`Stops::delimiters`], of quotes.
    #[inline(always)]
    pub fn quotes(&self) -> &[u32] {
        &self.quotes
    }

    /// Scans bytes `start..end`.
    pub fn scan(&mut self, buffer: &[u8], start: usize, end: usize, delimiter: u8, quote: u8) {
        self.quotes.clear();
        self.found = 0;
        self.ascii = true;
        imp::scan(self, &buffer[start..end], start as u32, delimiter, quote);
        self.delimiters[self.found] = u32::MAX;
        self.quotes.push(u32::MAX);
    }

    /// Scans a region that starts at `start`, with the classes of each 64 bytes from `classes`.
    #[inline(always)]
    fn scan_with(&mut self, region: &[u8], start: u32, classes: impl Fn(&[u8; 64]) -> Classes) {
        let (words, rest) = region.as_chunks::<64>();
        let (mut at, mut not_ascii) = (start, 0);
        for word in words {
            not_ascii |= self.add(at, classes(word));
            at += 64;
        }
        // Zeros behind the end: a delimiter that is one is found there too, and does no harm there.
        let mut word = [0; 64];
        word[..rest.len()].copy_from_slice(rest);
        not_ascii |= self.add(at, classes(&word));
        self.ascii = not_ascii == 0;
    }

    /// Adds what the 64 bytes from `at` on have; answers which are not ASCII.
    #[inline(always)]
    fn add(&mut self, at: u32, classes: Classes) -> u64 {
        if self.delimiters.len() - self.found <= 64 {
            self.grow();
        }
        self.found += positions(&mut self.delimiters[self.found..], at, classes.delimiters);
        if classes.quotes != 0 {
            self.push_quotes(at, classes.quotes);
        }
        classes.not_ascii
    }

    #[cold]
    fn grow(&mut self) {
        self.delimiters.resize(2 * self.delimiters.len() + 1024, 0);
    }

    #[inline(never)]
    fn push_quotes(&mut self, at: u32, mut quotes: u64) {
        while quotes != 0 {
            self.quotes.push(at + quotes.trailing_zeros());
            quotes &= quotes - 1;
        }
    }
}

/// Which of 64 bytes are what, one bit a byte.
struct Classes {
    delimiters: u64,
    quotes: u64,
    not_ascii: u64,
}

/// Writes the positions of the set bits; answers how many there are.
///
/// How many separators a word has is as good as random, so a loop over them would be mispredicted about
/// once a word; writing more than there are costs less.
#[inline(always)]
fn positions(out: &mut [u32], at: u32, mut bits: u64) -> usize {
    let count = bits.count_ones() as usize;
    let mut write = |out: &mut [u32]| {
        for position in out {
            *position = at.wrapping_add(bits.trailing_zeros());
            bits &= bits.wrapping_sub(1);
        }
    };
    let out = &mut out[..64];
    write(&mut out[..AT_ONCE]);
    if count > AT_ONCE {
        write(&mut out[AT_ONCE..count]);
    }
    count
}

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
    //! What is unsafe here is to run instructions that the processor lacks: x86-64 always has SSE2, and
    //! AVX2 is asked for.

    use super::{Classes, Stops};
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

    /// Finding the positions of bits is what takes most of the time, and twice as long without the
    /// instructions for it that came with AVX2.
    pub fn scan(stops: &mut Stops, region: &[u8], start: u32, delimiter: u8, quote: u8) {
        let modern = is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("bmi1")
            && is_x86_feature_detected!("popcnt");
        if modern {
            // SAFETY: the processor has what the function is compiled for.
            unsafe { scan_avx2(stops, region, start, delimiter, quote) }
        } else {
            stops.scan_with(region, start, |word| super::classes_of_blocks(word, delimiter, quote));
        }
    }

    #[target_feature(enable = "avx2,bmi1,popcnt")]
    fn scan_avx2(stops: &mut Stops, region: &[u8], start: u32, delimiter: u8, quote: u8) {
        let delimiter = _mm256_set1_epi8(delimiter as i8);
        let quote = _mm256_set1_epi8(quote as i8);
        let join = |low: __m256i, high: __m256i| {
            u64::from(_mm256_movemask_epi8(low) as u32) | u64::from(_mm256_movemask_epi8(high) as u32) << 32
        };
        stops.scan_with(region, start, |word| {
            // SAFETY: both halves of the 64 bytes are readable, and `loadu` asks for no alignment.
            let (low, high) = unsafe {
                (_mm256_loadu_si256(word.as_ptr().cast()), _mm256_loadu_si256(word.as_ptr().add(32).cast()))
            };
            Classes {
                delimiters: join(_mm256_cmpeq_epi8(low, delimiter), _mm256_cmpeq_epi8(high, delimiter)),
                quotes: join(_mm256_cmpeq_epi8(low, quote), _mm256_cmpeq_epi8(high, quote)),
                not_ascii: _mm256_movemask_epi8(_mm256_or_si256(low, high)) as u32 as u64,
            }
        });
    }
}

/// As it is done without anything newer than [`Block`].
#[inline(always)]
fn classes_of_blocks(word: &[u8; 64], delimiter: u8, quote: u8) -> Classes {
    let (blocks, _) = word.as_chunks::<16>();
    let mut classes = Classes { delimiters: 0, quotes: 0, not_ascii: 0 };
    for (i, block) in blocks.iter().enumerate() {
        let block = Block(imp::load(block));
        classes.delimiters |= u64::from(block.equal(delimiter)) << (16 * i);
        classes.quotes |= u64::from(block.equal(quote)) << (16 * i);
        classes.not_ascii |= u64::from(block.not_ascii());
    }
    classes
}

#[cfg(not(target_arch = "x86_64"))]
mod imp {
    use super::Stops;

    pub fn scan(stops: &mut Stops, region: &[u8], start: u32, delimiter: u8, quote: u8) {
        stops.scan_with(region, start, |word| super::classes_of_blocks(word, delimiter, quote));
    }

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

    proptest::proptest! {
        #[test]
        fn all_ways_to_scan_agree(region in "[a,\"é]{0,300}", before in 0..5usize) {
            let buffer = format!("{}{region},,", ",".repeat(before));
            let (start, end) = (before, before + region.len());
            let positions = |byte| {
                let all = memchr::memchr_iter(byte, region.as_bytes()).map(|i| (start + i) as u32);
                all.chain([u32::MAX]).collect::<Vec<_>>()
            };
            let (mut best, mut portable) = (Stops::default(), Stops::default());
            best.scan(buffer.as_bytes(), start, end, b',', b'"');
            portable.scan_with(region.as_bytes(), start as u32, |word| classes_of_blocks(word, b',', b'"'));
            assert_eq!(best.delimiters(), positions(b','));
            assert_eq!(best.quotes(), positions(b'"'));
            assert_eq!(best.ascii, region.is_ascii());
            assert_eq!(portable.delimiters[..portable.found], positions(b',')[..best.found]);
            assert_eq!(portable.quotes, positions(b'"')[..portable.quotes.len()]);
            assert_eq!((portable.ascii, portable.found), (best.ascii, best.found));
        }
    }
}
