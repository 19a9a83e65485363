//! Records of separated fields, which may span lines.
//!
//! A quote counts where a field begins, and closes the field where a separator or the end of the line
//! follows it; two in one are one of the text. So a record is a line, and goes on over further ones as
//! long as a field is open. What is not laid out so costs only its line: where a field that spans lines
//! is never closed, or not within [`RECORD_BYTES_MAX`], or text follows its closing quote, the line with
//! the opening quote is a message by itself, for the decoder to reject, and the next line begins anew.

use super::{Between, Framer, Frames};
use crate::connector::Csv;
use memchr::memchr;

/// No record that spans lines is longer.
pub const RECORD_BYTES_MAX: usize = 1 << 20;

/// Where a byte lies in its record.
#[derive(Clone, Copy, PartialEq, Eq)]
enum In {
    /// At the start of a field or in one without quotes.
    Plain,
    /// In a field that a quote has opened.
    Quoted,
    /// Behind text that follows a closing quote: what comes on the line is of no interest.
    Malformed,
}

impl Framer {
    pub(super) fn records(
        &mut self,
        csv: Csv,
        block: &[u8],
        at: usize,
        base: u64,
        last: bool,
        out: &mut Frames,
    ) -> usize {
        let quote = csv.quote.unwrap_or(b'\n');
        if csv.quote.is_none() || memchr(quote, &block[at..]).is_none() {
            return self.lines(block, at, base, last, out);
        }
        let mut start = at;
        while start < block.len() {
            let record = self.record(csv.delimiter, quote, block, start, last);
            match record {
                Some(end) => {
                    self.line(block, start, end, base, out);
                    start = (end + 1).min(block.len());
                }
                None => break,
            }
        }
        if !last && block.len() - start > self.message_bytes_max {
            self.too_long(start, base, out);
            self.between = Between::Line;
        }
        start
    }

    /// Where the record that begins at `start` ends: at a line break or at the end of the block. `None`:
    /// not in this block.
    fn record(&self, delimiter: u8, quote: u8, block: &[u8], start: usize, last: bool) -> Option<usize> {
        let most = RECORD_BYTES_MAX.min(self.message_bytes_max);
        let mut state = In::Plain;
        let mut first_line: Option<usize> = None;
        // An escaped quote's second half.
        let mut passed = usize::MAX;
        let mut at = start;
        while at < block.len() {
            if let Some(line) = first_line.filter(|_| at - start > most) {
                return Some(line);
            }
            let mut bits = super::masks::either(&block[at..], quote, b'\n');
            while bits != 0 {
                let place = at + bits.trailing_zeros() as usize;
                bits &= bits - 1;
                if block[place] == b'\n' {
                    match (state, first_line) {
                        (In::Quoted, None) => first_line = Some(place),
                        (In::Quoted, Some(_)) => {}
                        (In::Malformed, Some(line)) => return Some(line),
                        (In::Plain, Some(line)) if place - start > most => return Some(line),
                        (In::Plain | In::Malformed, _) => return Some(place),
                    }
                    continue;
                }
                if place == passed {
                    continue;
                }
                match state {
                    In::Plain if place == start || block[place - 1] == delimiter => state = In::Quoted,
                    In::Plain | In::Malformed => {}
                    In::Quoted => match block.get(place + 1) {
                        Some(next) if *next == quote => passed = place + 1,
                        Some(next) if *next == delimiter || *next == b'\n' => state = In::Plain,
                        Some(b'\r') if block.get(place + 2).is_none_or(|next| *next == b'\n') => {
                            state = In::Plain
                        }
                        None => state = In::Plain,
                        Some(_) => match first_line {
                            Some(line) => return Some(line),
                            None => state = In::Malformed,
                        },
                    },
                }
            }
            at += 64;
        }
        match first_line {
            Some(line) if last && state != In::Plain || block.len() - start > most => Some(line),
            _ => last.then_some(block.len()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::read;
    use super::*;
    use crate::connector::Framing;
    use proptest::prelude::*;

    const CSV: Framing = Framing::Csv(Csv { delimiter: b',', quote: Some(b'"') });

    fn all(text: &str) -> Vec<String> {
        let messages = read(CSV, text.as_bytes(), usize::MAX >> 1, 1000, false);
        messages.into_iter().map(|(_, bytes, _)| String::from_utf8(bytes).unwrap()).collect()
    }

    #[test]
    fn quoted_fields_span_lines() {
        for (text, records) in [
            ("1,a\n3,\"three\n4,x,30\nfake\",40\n5,b\n", vec!["1,a", "3,\"three\n4,x,30\nfake\",40", "5,b"]),
            ("\"a\"\"\n\",1\r\n2\r\n", vec!["\"a\"\"\n\",1", "2"]),
            ("5\" pipe,3\n6\" pipe,4", vec!["5\" pipe,3", "6\" pipe,4"]),
            ("1,\"a\r\nb\"\r\n2", vec!["1,\"a\r\nb\"", "2"]),
            ("1,\"\n\n\"", vec!["1,\"\n\n\""]),
        ] {
            assert_eq!(all(text), records, "{text}");
        }
    }

    #[test]
    fn what_is_not_laid_out_so_costs_its_line() {
        for (text, records) in [
            ("1,\"open\n2,b\n3,c\n", vec!["1,\"open", "2,b", "3,c"]),
            ("1,\"open\n2,\"b\"\n3,c\n", vec!["1,\"open", "2,\"b\"", "3,c"]),
            ("1,\"a\"b,\"c\n2,d\n", vec!["1,\"a\"b,\"c", "2,d"]),
        ] {
            assert_eq!(all(text), records, "{text}");
        }
        let long = format!("1,\"open\n{}2,\"b\"\n", "x,y\n".repeat(400));
        assert_eq!(all(&long).len(), 402, "a field that is open for too long is none");
    }

    /// The same, a byte at a time.
    fn slow(text: &[u8], most: usize) -> Vec<Vec<u8>> {
        let mut records = Vec::new();
        let mut start = 0;
        while start < text.len() {
            let line = memchr(b'\n', &text[start..]).map_or(text.len(), |i| start + i);
            let end =
                slow_end(text, start).filter(|end| *end == line || *end - start <= most).unwrap_or(line);
            let stripped = end - usize::from(end > start && text[end - 1] == b'\r');
            if stripped > start {
                records.push(text[start..stripped].to_vec());
            }
            start = end + 1;
        }
        records
    }

    /// `None`: it has a field that is not closed as it should be.
    fn slow_end(text: &[u8], start: usize) -> Option<usize> {
        let mut at = start;
        loop {
            if text.get(at) == Some(&b'"') {
                at += 1;
                loop {
                    at += memchr(b'"', &text[at..])? + 1;
                    match text.get(at) {
                        Some(b'"') => at += 1,
                        Some(b',' | b'\n') | None => break,
                        Some(b'\r') if matches!(text.get(at + 1), Some(b'\n') | None) => break,
                        Some(_) => return None,
                    }
                }
            }
            while at < text.len() && !matches!(text[at], b',' | b'\n') {
                at += 1;
            }
            match text.get(at) {
                Some(b',') => at += 1,
                _ => return Some(at),
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(5000))]
        #[test]
        fn records_are_those_that_a_byte_at_a_time_finds(
            text in "([a,\"\n]|,\"|\",|\"\n|\r\n|\"\"|x{60}){0,60}", step in 1usize..100, anew: bool,
        ) {
            let text = text.as_bytes();
            let found = |step, anew| read(CSV, text, step, 150, anew);
            let whole = found(usize::MAX >> 1, false);
            prop_assert_eq!(&whole, &found(step, anew));
            if whole.iter().all(|(_, _, torn)| !torn) {
                let records: Vec<Vec<u8>> = whole.into_iter().map(|(_, bytes, _)| bytes).collect();
                prop_assert_eq!(records, slow(text, 150));
            }
        }
    }
}
