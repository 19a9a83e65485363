//! Where one message ends and the next begins, in blocks of bytes; shared by file and stdin.
//!
//! A framer keeps almost nothing between blocks: the caller hands the bytes that were not consumed
//! in again, with more behind them. Framing depends on the bytes alone, never on how they were cut
//! into blocks, and wherever a framer stops another one can go on: with the offset, and with how the
//! place lies *between* messages. So a file can be read in turns by several workers, and after a restart.
//!
//! *Boundaries* are the places where framing recovers behind what is no message: the start of a line,
//! or for JSON a `{` in column 0 that no `:`, `,` or `[` asks for (see [`json`]).

mod csv;
mod json;
mod masks;

use super::Framing;
use crate::batch::Range32;
use masks::{NEWLINES_BYTES, Newlines};
use memchr::{memchr, memchr_iter};
use serde::{Deserialize, Serialize};

/// Longer messages are torn: memory is bounded whatever a file holds.
pub const MESSAGE_BYTES_MAX: usize = 64 << 20;
/// So much of a message that is too long is kept, for its reject.
const PREFIX_BYTES: usize = 64 << 10;

/// What a block held.
#[derive(Default)]
pub struct Frames {
    /// Into the block.
    pub values: Vec<Range32>,
    /// Byte offset of each in the file.
    pub offsets: Vec<i64>,
    /// As in a message batch.
    pub torn: Vec<(usize, String)>,
}

/// The bytes before a place, as far as framing depends on them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Before {
    /// The place is in column 0.
    pub newline: bool,
    /// The last byte before it that is no white space; 0 where there is none.
    pub significant: u8,
}

impl Before {
    pub const START: Before = Before { newline: true, significant: 0 };

    /// The bytes before the end of `block`, itself at this place.
    pub fn and(self, block: &[u8]) -> Before {
        let Some(last) = block.last() else { return self };
        Before { newline: *last == b'\n', significant: last_significant(block).unwrap_or(self.significant) }
    }
}

/// How a place that has been consumed lies between messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Between {
    /// A message begins there, or what separates it from the last one.
    Message,
    /// The rest of the line belongs to no message.
    Line,
    /// What comes before the next boundary of JSON values belongs to no message.
    Boundary,
    /// As [`Between::Message`], in a file that is one JSON array: its elements are the messages.
    Element,
    /// As [`Between::Boundary`], there.
    ElementBoundary,
}

const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

pub struct Framer {
    framing: Framing,
    /// Not whether it is in an array.
    between: Between,
    in_array: bool,
    /// A message has begun, or the array that they are the elements of.
    begun: bool,
    before: Before,
    message_bytes_max: usize,
}

impl Framer {
    /// Reads from offset 0.
    pub fn at_start(framing: Framing, header: bool) -> Framer {
        let between = if header { Between::Line } else { Between::Message };
        Framer { begun: false, ..Framer::resume(framing, between, Before::START) }
    }

    /// Goes on where another one stopped.
    pub fn resume(framing: Framing, between: Between, before: Before) -> Framer {
        let (between, in_array) = match between {
            Between::Element => (Between::Message, true),
            Between::ElementBoundary => (Between::Boundary, true),
            other => (other, false),
        };
        Framer { framing, between, in_array, begun: true, before, message_bytes_max: MESSAGE_BYTES_MAX }
    }

    /// How what was consumed last lies between messages.
    pub fn between(&self) -> Between {
        match self.between {
            Between::Message if self.in_array => Between::Element,
            Between::Boundary if self.in_array => Between::ElementBoundary,
            other => other,
        }
    }

    pub fn message_bytes_max(self, bytes: usize) -> Framer {
        Framer { message_bytes_max: bytes, ..self }
    }

    /// Frames `block`, the bytes of the file from offset `base`, which is where the last scan's
    /// consumed bytes ended. `last`: nothing follows the block. How many bytes are consumed: the rest of
    /// the block has to be handed in again with more behind it.
    pub fn scan(&mut self, block: &[u8], base: u64, last: bool, out: &mut Frames) -> usize {
        let is_fresh = base == 0 && !last && !self.begun && self.between == Between::Message;
        let mut at = 0;
        if base == 0 && block.starts_with(BYTE_ORDER_MARK) {
            at = BYTE_ORDER_MARK.len();
        } else if base == 0 && !last && BYTE_ORDER_MARK.starts_with(block) {
            return 0;
        }
        loop {
            match self.skipped(block, at) {
                Some(to) => (at, self.between) = (to, Between::Message),
                None => {
                    at = block.len();
                    break;
                }
            }
            at = match self.framing {
                Framing::Line | Framing::Default => self.lines(block, at, base, last, out),
                Framing::Csv(csv) => self.records(csv, block, at, base, last, out),
                Framing::Json => self.values(block, at, base, last, out),
            };
            if self.between == Between::Message {
                break;
            }
        }
        // An array is recognised by being the first that there is: all before it is looked at again.
        if is_fresh && !self.begun && self.framing == Framing::Json {
            return 0;
        }
        self.before = self.before.and(&block[..at]);
        at
    }

    /// Where the next message may begin, if that is in this block.
    fn skipped(&self, block: &[u8], at: usize) -> Option<usize> {
        match self.between {
            Between::Message | Between::Element => Some(at),
            Between::Line => memchr(b'\n', &block[at..]).map(|i| at + i + 1),
            Between::Boundary | Between::ElementBoundary => {
                memchr_iter(b'{', &block[at..]).map(|i| at + i).find(|i| self.is_boundary(block, *i))
            }
        }
    }

    fn lines(&mut self, block: &[u8], at: usize, base: u64, last: bool, out: &mut Frames) -> usize {
        out.reserve((block.len() - at) / 64);
        let (mut start, mut searched) = (at, at);
        let mut newlines = Newlines::new();
        while searched < block.len() {
            for newline in newlines.of(&block[searched..]) {
                let end = searched + *newline as usize;
                self.line(block, start, end, base, out);
                start = end + 1;
            }
            searched += NEWLINES_BYTES;
        }
        if last {
            self.line(block, start, block.len(), base, out);
            start = block.len();
        } else if block.len() - start > self.message_bytes_max {
            self.too_long(start, base, out);
            self.between = Between::Line;
        }
        start
    }

    #[inline]
    fn line(&self, block: &[u8], start: usize, end: usize, base: u64, out: &mut Frames) {
        if end - start > self.message_bytes_max {
            return self.too_long(start, base, out);
        }
        let end = if end > start && block[end - 1] == b'\r' { end - 1 } else { end };
        if end > start {
            out.push(start, end, base);
        }
    }

    fn too_long(&self, start: usize, base: u64, out: &mut Frames) {
        let kept = PREFIX_BYTES.min(self.message_bytes_max);
        out.push_torn(
            start,
            start + kept,
            base,
            format!("message longer than {} MiB", MESSAGE_BYTES_MAX >> 20),
        );
    }
}

impl Frames {
    fn reserve(&mut self, messages: usize) {
        self.values.reserve(messages);
        self.offsets.reserve(messages);
    }

    #[inline]
    fn push(&mut self, start: usize, end: usize, base: u64) {
        self.values.push(Range32 { start: start as u32, end: end as u32 });
        self.offsets.push((base + start as u64) as i64);
    }

    fn push_torn(&mut self, start: usize, end: usize, base: u64, reason: String) {
        self.torn.push((self.values.len(), reason));
        self.push(start, end, base);
    }
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\n' | b'\r' | b'\t')
}

fn last_significant(bytes: &[u8]) -> Option<u8> {
    bytes.iter().rev().copied().find(|b| !is_space(*b))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use proptest::prelude::*;

    /// (offset, bytes, torn)
    pub(in crate::connector) type Message = (i64, Vec<u8>, bool);

    /// Reads `text` in reads of `step` bytes, as a source does. `anew`: each by another framer.
    pub(in crate::connector) fn read(
        framing: Framing,
        text: &[u8],
        step: usize,
        max: usize,
        anew: bool,
    ) -> Vec<Message> {
        let mut framer = Framer::at_start(framing, false).message_bytes_max(max);
        let (mut base, mut end, mut messages) = (0, 0, Vec::new());
        loop {
            end = (end + step).min(text.len());
            let mut frames = Frames::default();
            let block = &text[base..end];
            let consumed = framer.scan(block, base as u64, end == text.len(), &mut frames);
            for (i, range) in frames.values.iter().enumerate() {
                let torn = frames.torn.iter().any(|(t, _)| *t == i);
                messages.push((frames.offsets[i], range.of(block).unwrap().to_vec(), torn));
            }
            base += consumed;
            if end == text.len() {
                return messages;
            }
            // Where nothing was consumed one begins at the start again.
            if anew && base > 0 {
                let before = Before::START.and(&text[..base]);
                framer = Framer::resume(framing, framer.between(), before).message_bytes_max(max);
            }
        }
    }

    fn all(framing: Framing, text: &str) -> Vec<String> {
        let show = |(_, bytes, torn): Message| {
            format!("{}{}", if torn { "torn " } else { "" }, String::from_utf8(bytes).unwrap())
        };
        read(framing, text.as_bytes(), usize::MAX >> 1, 1000, false).into_iter().map(show).collect()
    }

    #[test]
    fn lines_lose_their_ends_and_empty_ones_are_no_messages() {
        assert_eq!(all(Framing::Line, "a,1\r\n\n\r\n b\nlast"), ["a,1", " b", "last"]);
        assert_eq!(all(Framing::Line, ""), Vec::<String>::new());
        assert_eq!(all(Framing::Line, "\u{feff}ann\n\u{feff}bob"), ["ann", "\u{feff}bob"]);
    }

    #[test]
    fn json_values_span_lines() {
        for (text, messages) in [
            (
                "{\"a\": [1,\n 2]}\n {\"b\":\"}\\\"{\"}  [1]",
                vec!["{\"a\": [1,\n 2]}", "{\"b\":\"}\\\"{\"}", "[1]"],
            ),
            (" [\n{\"a\":1},\n{\"a\":[2,\n3]}\n]\n", vec!["{\"a\":1}", "{\"a\":[2,\n3]}"]),
            ("[{\"a\":1},{\"a\":2}] [3]", vec!["{\"a\":1}", "{\"a\":2}", "[3]"]),
            ("[ ]\n", vec![]),
            ("[1,2]\n[{}]", vec!["[1,2]", "[{}]"]),
            ("\u{feff}{\"a\":1}", vec!["{\"a\":1}"]),
            ("{\"a\":1},\n{\"a\":2},\n", vec!["{\"a\":1}", "{\"a\":2}"]),
            ("oops {\"a\":1}\r\n{\"a\":2} }\n12\n", vec!["oops {\"a\":1}", "{\"a\":2}", "}", "12"]),
            ("{\"a\":\"cut\n{\"a\":2}\n", vec!["torn {\"a\":\"cut", "{\"a\":2}"]),
            ("{\"a\":\n{\"b\":2}}\n", vec!["{\"a\":\n{\"b\":2}}"]),
            ("{\"a\":1\n", vec!["torn {\"a\":1"]),
        ] {
            assert_eq!(all(Framing::Json, text), messages, "{text}");
        }
    }

    #[test]
    fn the_reason_names_the_offset_of_the_cut() {
        let mut frames = Frames::default();
        Framer::at_start(Framing::Json, false).scan(b"{\"a\n{}\n", 100, true, &mut frames);
        assert_eq!(frames.torn, [(0, "JSON value cut off before offset 104".to_string())]);
        assert_eq!(frames.offsets, [100, 104]);
    }

    #[test]
    fn a_header_is_skipped_even_when_it_comes_in_pieces() {
        let mut framer = Framer::at_start(Framing::Line, true);
        let mut frames = Frames::default();
        assert_eq!(framer.scan(b"na", 0, false, &mut frames), 2);
        assert_eq!(framer.scan(b"me\nx\n", 2, false, &mut frames), 5);
        assert_eq!(frames.offsets, [5]);
    }

    fn text() -> impl Strategy<Value = Vec<u8>> {
        let piece = prop_oneof![
            5 => Just("{\"a\": \"x{\\\"y\", \"b\": [1, {\"c\": 2}]}\n".to_string()),
            3 => Just("{\n  \"a\": {\n    \"b\": \"v\"\n  },\n  \"c\":\n{\n}\n}\n".to_string()),
            1 => Just("{\"a\": \"this one is cut\n".to_string()),
            1 => Just("{\"long\": \"0123456789012345678901234567890123456789012345678901234567890123456789\"}".into()),
            3 => "[{}\\[\\]\",:\\\\ \na]{1,12}",
            2 => "\n{0,3}",
        ];
        let start =
            prop_oneof![4 => Just(""), 1 => Just("\u{feff}"), 2 => Just("[\n"), 1 => Just("\u{feff} [")];
        let pieces = prop::collection::vec(piece, 0..20);
        (start, pieces).prop_map(|(start, pieces)| [start.to_string(), pieces.concat()].concat().into_bytes())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]
        #[test]
        fn messages_do_not_depend_on_blocks_or_framers(text in text(), step in 1usize..200, anew: bool) {
            for framing in [Framing::Line, Framing::Json] {
                let whole = read(framing, &text, usize::MAX >> 1, 70, false);
                prop_assert_eq!(&whole, &read(framing, &text, step, 70, anew), "{:?}", framing);
            }
        }
    }
}
