//! JSON values that may span lines.
//!
//! A message is a top-level object or array; of a file that begins with an array of objects each of
//! them, as if they stood one behind the other. White space and commas between messages are skipped,
//! and any other text up to the end of its line is a message of its own, for the decoder to reject.
//! Brackets are counted, not matched: whether a value is well formed is the decoder's business.
//!
//! So that one cut record does not swallow the rest, a `{` in column 0 always starts a message,
//! unless the last significant byte before it (`:`, `,` or `[`) asks for a value. An unfinished
//! value before it is torn.

use super::masks::Masks;
use super::{Before, Between, Framer, Frames, is_space, last_significant};
use memchr::memchr;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Complete(usize),
    /// Another value starts here.
    Cut(usize),
    /// The block ends before the value.
    Open,
}

impl Framer {
    pub(super) fn values(
        &mut self,
        block: &[u8],
        at: usize,
        base: u64,
        last: bool,
        out: &mut Frames,
    ) -> usize {
        let mut at = at;
        loop {
            while at < block.len() && (is_space(block[at]) || block[at] == b',') {
                at += 1;
            }
            if at == block.len() {
                return at;
            }
            if !self.begun {
                match begins_array(&block[at..]) {
                    None if !last && block.len() - at <= self.message_bytes_max => return at,
                    Some(true) => self.in_array = true,
                    _ => {}
                }
                self.begun = true;
                at += usize::from(self.in_array);
                continue;
            }
            if self.in_array && block[at] == b']' {
                self.in_array = false;
                at += 1;
                continue;
            }
            let end = match block[at] {
                b'{' | b'[' => value_end(block, at),
                _ => memchr(b'\n', &block[at..]).map_or(End::Open, |i| End::Complete(at + i)),
            };
            let to = match end {
                End::Complete(end) | End::Cut(end) => end,
                End::Open => block.len(),
            };
            if to - at > self.message_bytes_max {
                self.too_long(at, base, out);
                self.between = Between::Boundary;
                return to;
            }
            if end == End::Open && !last {
                return at;
            }
            push(block, at, to, end, base, out);
            at = to;
        }
    }

    /// Whether framing recovers at `at`.
    pub(super) fn is_boundary(&self, block: &[u8], at: usize) -> bool {
        let Before { newline, significant } = self.before;
        let in_column_0 = if at == 0 { newline } else { block[at - 1] == b'\n' };
        let starts = || !asks_for_value(last_significant(&block[..at]).unwrap_or(significant));
        block[at] == b'{' && in_column_0 && starts()
    }
}

/// Whether these bytes begin with an array of objects, or an empty one; `None`: they are too few to tell.
fn begins_array(bytes: &[u8]) -> Option<bool> {
    match bytes.first() {
        Some(b'[') => bytes[1..].iter().find(|b| !is_space(**b)).map(|next| matches!(next, b'{' | b']')),
        _ => Some(false),
    }
}

fn push(block: &[u8], start: usize, to: usize, end: End, base: u64, out: &mut Frames) {
    let trailing = block[start..to].iter().rev().take_while(|b| is_space(**b)).count();
    let is_value = matches!(block[start], b'{' | b'[');
    match end {
        End::Cut(_) | End::Open if is_value => {
            let reason = format!("JSON value cut off before offset {}", base + to as u64);
            out.push_torn(start, to - trailing, base, reason);
        }
        _ => out.push(start, to - trailing, base),
    }
}

fn asks_for_value(byte: u8) -> bool {
    matches!(byte, b':' | b',' | b'[')
}

/// Where the object or array that starts at `start` ends.
fn value_end(block: &[u8], start: usize) -> End {
    let mut depth = 0;
    let (mut in_string, mut escaped, mut newline) = (0u64, false, false);
    let mut at = start;
    while at < block.len() {
        let masks = Masks::of(&block[at..]);
        let quotes = masks.quote & !escapes(masks.backslash, &mut escaped);
        let strings = prefix_xor(quotes) ^ in_string;
        in_string = ((strings as i64) >> 63) as u64;

        let column_0 = masks.open & (masks.newline << 1 | newline as u64);
        newline = masks.newline >> 63 == 1;
        let cut = if column_0 == 0 { None } else { first_cut(block, start, at, column_0) };
        let before_cut = cut.map_or(u64::MAX, |bit| (1u64 << bit) - 1);

        let (opens, closes) = (masks.open & !strings & before_cut, masks.close & !strings & before_cut);
        match closes_at(&mut depth, opens, closes) {
            Some(bit) => return End::Complete(at + bit + 1),
            None => {
                if let Some(bit) = cut {
                    return End::Cut(at + bit);
                }
            }
        }
        at += 64;
    }
    End::Open
}

/// The bytes behind a backslash that is not itself escaped.
fn escapes(backslashes: u64, carry: &mut bool) -> u64 {
    let mut escaped = std::mem::take(carry) as u64;
    let mut rest = backslashes & !escaped;
    while rest != 0 {
        let bit = rest.trailing_zeros();
        if bit == 63 {
            *carry = true;
            break;
        }
        escaped |= 2 << bit;
        rest &= !(3 << bit);
    }
    escaped
}

/// Bit i is the parity of bits 0..=i: set from an opening quote up to before the closing one.
fn prefix_xor(bits: u64) -> u64 {
    let mut bits = bits;
    for shift in [1, 2, 4, 8, 16, 32] {
        bits ^= bits << shift;
    }
    bits
}

/// The first bracket in column 0 that starts a message.
fn first_cut(block: &[u8], start: usize, at: usize, column_0: u64) -> Option<usize> {
    let mut rest = column_0;
    while rest != 0 {
        let bit = rest.trailing_zeros() as usize;
        let before = last_significant(&block[start..at + bit]).unwrap_or(0);
        if block[at + bit] == b'{' && !asks_for_value(before) {
            return Some(bit);
        }
        rest &= rest - 1;
    }
    None
}

/// The bit at which the depth comes down to 0; else the depth after these brackets.
#[inline]
fn closes_at(depth: &mut u64, opens: u64, closes: u64) -> Option<usize> {
    let closing = closes.count_ones() as u64;
    if *depth > closing {
        *depth = *depth + opens.count_ones() as u64 - closing;
        return None;
    }
    let mut rest = opens | closes;
    while rest != 0 {
        let bit = rest.trailing_zeros();
        if opens >> bit & 1 == 1 {
            *depth += 1;
        } else {
            *depth -= 1;
            if *depth == 0 {
                return Some(bit as usize);
            }
        }
        rest &= rest - 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The same, a byte at a time.
    fn slow_end(block: &[u8], start: usize) -> End {
        let (mut depth, mut in_string, mut escaped) = (0u32, false, false);
        for at in start..block.len() {
            let byte = block[at];
            let in_column_0 = at > start && block[at - 1] == b'\n';
            if in_column_0 && byte == b'{' && !asks_for_value(last_significant(&block[start..at]).unwrap()) {
                return End::Cut(at);
            }
            if escaped {
                escaped = false;
                if byte == b'"' || byte == b'\\' {
                    continue;
                }
            }
            match byte {
                b'\\' => escaped = true,
                b'"' => in_string = !in_string,
                b'{' | b'[' if !in_string => depth += 1,
                b'}' | b']' if !in_string => {
                    depth -= 1;
                    if depth == 0 {
                        return End::Complete(at + 1);
                    }
                }
                _ => {}
            }
        }
        End::Open
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(5000))]
        #[test]
        fn sixty_four_bytes_at_a_time_find_what_one_finds(text in "[{}\\[\\]\"\\\\\n:,a]{0,40}[ a\"]{0,70}[{}\\[\\]\"\\\\\n:,a]{0,100}") {
            let block = format!("{{{text}");
            prop_assert_eq!(value_end(block.as_bytes(), 0), slow_end(block.as_bytes(), 0));
        }
    }
}
