//! Variable-length integers: what keeps states small. Signed ones are zigzag coded.

/// Appends the value in groups of seven bits, lowest first.
#[inline]
pub fn put(out: &mut Vec<u8>, mut value: u64) {
    let mut buffer = [0u8; 10];
    let mut len = 0;
    while value >= 0x80 {
        buffer[len] = value as u8 | 0x80;
        value >>= 7;
        len += 1;
    }
    buffer[len] = value as u8;
    out.extend_from_slice(&buffer[..=len]);
}

/// Reads what [`put`] wrote; `None` where the bytes end early or hold more than 64 bits.
#[inline]
pub fn get(bytes: &mut &[u8]) -> Option<u64> {
    let (mut value, mut shift) = (0u64, 0);
    loop {
        let (&byte, tail) = bytes.split_first()?;
        *bytes = tail;
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

/// Appends a two's complement number in as few bytes as hold it, after their count.
pub fn put_minimal(out: &mut Vec<u8>, little_endian: &[u8]) {
    let len = minimal_len(little_endian);
    out.push(len as u8);
    out.extend_from_slice(&little_endian[..len]);
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
        for value in [0, 1, -1, 63, 64, -64, -65, i64::MAX, i64::MIN, 1 << 40] {
            let mut out = Vec::new();
            put_signed(&mut out, value);
            let mut bytes = &out[..];
            assert_eq!(get_signed(&mut bytes), Some(value));
            assert!(bytes.is_empty());
        }
        assert_eq!(get(&mut &[0xff; 10][..]), None);
        assert_eq!(get(&mut &[0x80][..]), None);
    }

    #[test]
    fn minimal_lengths_keep_the_sign() {
        for (value, len) in [(0i64, 0), (1, 1), (127, 1), (128, 2), (-1, 1), (-128, 1), (-129, 2)] {
            assert_eq!(minimal_len(&value.to_le_bytes()), len, "{value}");
        }
    }
}
