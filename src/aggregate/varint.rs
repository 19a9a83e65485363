//! Variable-length integers: what keeps states small. Signed ones are zigzag coded.

/// Appends the value in groups of seven bits, lowest first.
#[inline]
pub fn put(out: &mut Vec<u8>, value: u64) {
    if value < 0x80 {
        out.push(value as u8);
    } else if value < 1 << 56 {
        // Eight bytes at once and off with what is too many: a copy of known length needs no call.
        let len = (63 - value.leading_zeros() as usize) / 7 + 1;
        let continues = 0x8080_8080_8080_8080 & ((1u64 << (8 * (len - 1))) - 1);
        put_fixed(out, &(spread(value) | continues).to_le_bytes(), len);
    } else {
        put_long(out, value);
    }
}

/// Appends the first `len` of the bytes.
#[inline(always)]
pub fn put_fixed<const N: usize>(out: &mut Vec<u8>, bytes: &[u8; N], len: usize) {
    assert!(len <= N);
    if out.capacity() - out.len() < N {
        out.reserve(N);
    }
    // SAFETY: there is room for N bytes, all of them are written, and no more than these are taken in.
    unsafe {
        out.as_mut_ptr().add(out.len()).cast::<[u8; N]>().write_unaligned(*bytes);
        out.set_len(out.len() + len);
    }
}

fn put_long(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Appends a slice that is short as a rule: as two chunks that may overlap, without a call.
#[inline]
pub fn append(out: &mut Vec<u8>, bytes: &[u8]) {
    fn chunks<const N: usize>(out: &mut Vec<u8>, bytes: &[u8]) -> Option<()> {
        let (first, last) = (bytes.first_chunk::<N>()?, bytes.last_chunk::<N>()?);
        put_fixed(out, first, bytes.len() - N);
        put_fixed(out, last, N);
        Some(())
    }
    let done = match bytes.len() {
        0 => Some(()),
        1 => chunks::<1>(out, bytes),
        2..4 => chunks::<2>(out, bytes),
        4..8 => chunks::<4>(out, bytes),
        8..=16 => chunks::<8>(out, bytes),
        17..=32 => chunks::<16>(out, bytes),
        _ => None,
    };
    if done.is_none() {
        out.extend_from_slice(bytes);
    }
}

/// Groups of seven bits to the bytes of a word.
#[inline(always)]
fn spread(value: u64) -> u64 {
    let x = value & 0x0fff_ffff | (value & 0x00ff_ffff_f000_0000) << 4;
    let x = x & 0x0000_3fff_0000_3fff | (x & 0x0fff_c000_0fff_c000) << 2;
    x & 0x007f_007f_007f_007f | (x & 0x3f80_3f80_3f80_3f80) << 1
}

#[inline(always)]
fn gather(word: u64) -> u64 {
    let x = word & 0x007f_007f_007f_007f | (word & 0x7f00_7f00_7f00_7f00) >> 1;
    let x = x & 0x0000_3fff_0000_3fff | (x & 0x3fff_0000_3fff_0000) >> 2;
    x & 0x0fff_ffff | (x & 0x0fff_ffff_0000_0000) >> 4
}

/// Reads what [`put`] wrote; `None` where the bytes end early or hold more than 64 bits.
#[inline]
pub fn get(bytes: &mut &[u8]) -> Option<u64> {
    let (&first, tail) = bytes.split_first()?;
    if first < 0x80 {
        *bytes = tail;
        return Some(first as u64);
    }
    if let Some(word) = bytes.first_chunk::<8>() {
        let word = u64::from_le_bytes(*word);
        let ends = !word & 0x8080_8080_8080_8080;
        if ends != 0 {
            let bits = ends.trailing_zeros() + 1;
            *bytes = bytes.get(bits as usize / 8..)?;
            return Some(gather(word & (u64::MAX >> (64 - bits))));
        }
    }
    get_long(bytes)
}

#[inline(never)]
fn get_long(bytes: &mut &[u8]) -> Option<u64> {
    let (mut value, mut shift) = (0u64, 0);
    loop {
        let byte = byte(bytes)?;
        if shift == 63 && byte > 1 {
            return None;
        }
        value |= ((byte & 0x7f) as u64) << shift;
        if byte < 0x80 {
            return Some(value);
        }
        shift += 7;
    }
}

#[inline]
pub fn put_signed(out: &mut Vec<u8>, value: i64) {
    put(out, ((value << 1) ^ (value >> 63)) as u64);
}

#[inline]
pub fn get_signed(bytes: &mut &[u8]) -> Option<i64> {
    let value = get(bytes)?;
    Some((value >> 1) as i64 ^ -((value & 1) as i64))
}

/// Takes `len` bytes from the front.
#[inline]
pub fn take<'a>(bytes: &mut &'a [u8], len: usize) -> Option<&'a [u8]> {
    let (head, tail) = bytes.split_at_checked(len)?;
    *bytes = tail;
    Some(head)
}

/// Takes one byte from the front.
#[inline]
pub fn byte(bytes: &mut &[u8]) -> Option<u8> {
    let (&head, tail) = bytes.split_first()?;
    *bytes = tail;
    Some(head)
}

/// Appends a two's complement number in as few bytes as hold it.
#[inline]
pub fn put_minimal(out: &mut Vec<u8>, value: i128) {
    let len = minimal_len_128(value);
    out.push(len as u8);
    put_fixed(out, &value.to_le_bytes(), len);
}

/// Takes a two's complement number of at most 16 bytes from the front.
#[inline]
pub fn take_number(bytes: &mut &[u8], len: usize) -> Option<i128> {
    if len > 16 {
        return None;
    }
    let number = match bytes.first_chunk::<16>() {
        Some(chunk) => {
            *bytes = bytes.get(len..)?;
            i128::from_le_bytes(*chunk)
        }
        None => {
            let mut chunk = [0; 16];
            chunk[..len].copy_from_slice(take(bytes, len)?);
            i128::from_le_bytes(chunk)
        }
    };
    let unused = 128 - 8 * len as u32;
    Some(if len == 0 { 0 } else { number << unused >> unused })
}

/// How many low bytes hold all of the number; none where it is zero.
#[inline]
pub fn minimal_len_128(value: i128) -> usize {
    if value == 0 {
        return 0;
    }
    let magnitude_bits = 128 - (value ^ (value >> 127)).leading_zeros() as usize;
    magnitude_bits / 8 + 1
}

/// How many low bytes of a two's complement number hold all of it; none where it is zero.
pub fn minimal_len(little_endian: &[u8]) -> usize {
    let Some(&top) = little_endian.last() else { return 0 };
    let sign = if top >= 0x80 { 0xff } else { 0 };
    let used = little_endian.iter().rposition(|&b| b != sign).map_or(0, |i| i + 1);
    let holds_sign = match used.checked_sub(1) {
        Some(last) => (little_endian[last] >= 0x80) == (sign == 0xff),
        None => sign == 0,
    };
    if holds_sign { used } else { used + 1 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_survive() {
        let around = |bits: u32| (-1..=1).map(move |d| (1u64 << bits).wrapping_add(d as u64));
        for value in (0..64).flat_map(around) {
            let (mut out, mut plain) = (Vec::new(), Vec::new());
            put(&mut out, value);
            put_long(&mut plain, value);
            assert_eq!(out, plain);
            assert_eq!(get(&mut &out[..]), Some(value));
            out.extend([0xff; 9]);
            let mut bytes = &out[..];
            assert_eq!(get(&mut bytes), Some(value));
            assert_eq!(bytes, [0xff; 9]);
        }
        for value in [0, -1, i64::MAX, i64::MIN] {
            let mut out = Vec::new();
            put_signed(&mut out, value);
            assert_eq!(get_signed(&mut &out[..]), Some(value));
        }
        assert_eq!(get(&mut &[0xff; 10][..]), None);
        assert_eq!(get(&mut &[0x80][..]), None);
    }

    #[test]
    fn slices_of_all_lengths_are_appended() {
        let all: Vec<u8> = (0..40).collect();
        for len in 0..40 {
            let mut out = vec![99];
            append(&mut out, &all[..len]);
            assert_eq!((out[0], &out[1..]), (99, &all[..len]));
        }
    }

    #[test]
    fn minimal_lengths_keep_the_sign() {
        for (value, len) in [(0i64, 0), (1, 1), (127, 1), (128, 2), (-1, 1), (-128, 1), (-129, 2)] {
            assert_eq!(minimal_len(&value.to_le_bytes()), len, "{value}");
            assert_eq!(minimal_len_128(value as i128), len, "{value}");
            let mut out = Vec::new();
            put_minimal(&mut out, value as i128);
            assert_eq!(take_number(&mut &out[1..], len), Some(value as i128));
            out.extend([0xaa; 16]);
            assert_eq!(take_number(&mut &out[1..], len), Some(value as i128));
        }
    }
}
