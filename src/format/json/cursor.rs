//! The tokens of JSON, pulled one by one from a message. Knows no schema; feeds `node` and `object`.

use crate::format::decode::shown;
use crate::format::fault::{Fault, Parsed};
use crate::format::field::Field;
use crate::format::scan::Block;

/// How deeply values that no column asks for may nest.
const DEPTH_MAX: usize = 128;

/// The content of a string: a range of the buffer, or of the unescaped texts where it had escapes.
#[derive(Clone, Copy)]
pub struct Text {
    pub start: usize,
    pub end: usize,
    pub unescaped: bool,
}

/// A place in a message.
pub struct Cursor<'a> {
    /// Of the whole batch; the message ends at `end`.
    pub buffer: &'a [u8],
    /// Where the message starts.
    pub start: usize,
    pub at: usize,
    pub end: usize,
    /// Whether the message is known to be UTF-8; if not, each string is checked.
    pub utf8: bool,
    pub unescaped: &'a mut Vec<u8>,
}

impl<'a> Cursor<'a> {
    #[inline(always)]
    pub fn skip_blanks(&mut self) {
        if self.at < self.end && self.buffer[self.at] > b' ' {
            return;
        }
        while self.at < self.end {
            let found = Block::load(self.buffer, self.at).not_blank();
            if found != 0 {
                self.at = (self.at + found.trailing_zeros() as usize).min(self.end);
                return;
            }
            self.at += 16;
        }
        self.at = self.end;
    }

    /// The byte at the cursor.
    #[inline(always)]
    pub fn peek(&self) -> Option<u8> {
        if self.at < self.end { Some(self.buffer[self.at]) } else { None }
    }

    /// The first byte of a value, behind blanks.
    #[inline(always)]
    pub fn value_start(&mut self) -> Parsed<u8> {
        self.skip_blanks();
        self.peek().ok_or_else(|| ends("where a value should be"))
    }

    #[inline(always)]
    pub fn text(&self, text: Text) -> Field<'_> {
        let buffer = if text.unescaped { self.unescaped.as_slice() } else { self.buffer };
        Field::within(buffer, text.start, text.end)
    }

    /// What stands at the cursor instead of `expected`.
    #[cold]
    pub fn unexpected(&self, expected: &str) -> Box<Fault> {
        let found = shown(&self.buffer[self.at..self.end]);
        Fault::new(format!("byte {}: expected {expected}, found {found}", self.at - self.start))
    }

    /// A string; the cursor is at its opening quote.
    #[inline(always)]
    pub fn string(&mut self) -> Parsed<Text> {
        let start = self.at + 1;
        let mut at = start;
        let stop = loop {
            if at >= self.end {
                return Err(ends("inside a string"));
            }
            let stops = Block::load(self.buffer, at).string_stops();
            if stops != 0 {
                break at + stops.trailing_zeros() as usize;
            }
            at += 16;
        };
        if stop < self.end && self.buffer[stop] == b'"' && self.utf8 {
            self.at = stop + 1;
            return Ok(Text { start, end: stop, unescaped: false });
        }
        self.rare_string(start, stop)
    }

    /// A string that is not plain, is cut off, or must be checked; `stop` is the first byte of note.
    #[inline(never)]
    fn rare_string(&mut self, start: usize, stop: usize) -> Parsed<Text> {
        let text = match (stop < self.end).then(|| self.buffer[stop]) {
            None => return Err(ends("inside a string")),
            Some(b'"') => {
                self.at = stop + 1;
                Text { start, end: stop, unescaped: false }
            }
            Some(_) => self.escaped_string(start)?,
        };
        if !self.utf8 && std::str::from_utf8(self.text(text).bytes()).is_err() {
            let shown = shown(self.text(text).bytes());
            return Err(Fault::new(format!("{shown} is not valid UTF-8")));
        }
        Ok(text)
    }

    fn escaped_string(&mut self, start: usize) -> Parsed<Text> {
        let text_start = self.unescaped.len();
        self.at = start;
        loop {
            let Some(byte) = self.peek() else { return Err(ends("inside a string")) };
            self.at += 1;
            match byte {
                b'"' => {
                    return Ok(Text { start: text_start, end: self.unescaped.len(), unescaped: true });
                }
                b'\\' => self.escape()?,
                0..0x20 => {
                    self.at -= 1;
                    return Err(self.unexpected("no control character in a string"));
                }
                _ => self.unescaped.push(byte),
            }
        }
    }

    /// What stands behind a backslash.
    fn escape(&mut self) -> Parsed<()> {
        let Some(byte) = self.peek() else { return Err(ends("inside a string")) };
        self.at += 1;
        self.unescaped.push(match byte {
            b'"' | b'\\' | b'/' => byte,
            b'b' => 8,
            b'f' => 12,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'u' => return self.unicode_escape(),
            _ => {
                self.at -= 2;
                return Err(self.unexpected("an escape"));
            }
        });
        Ok(())
    }

    fn unicode_escape(&mut self) -> Parsed<()> {
        let start = self.at - 2;
        let mut code = self.hex4(start)?;
        if (0xd800..0xdc00).contains(&code)
            && self.at + 2 <= self.end
            && self.buffer[self.at..].starts_with(b"\\u")
        {
            self.at += 2;
            let low = self.hex4(start)?;
            if (0xdc00..0xe000).contains(&low) {
                code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
            }
        }
        let Some(c) = char::from_u32(code) else {
            self.at = start;
            return Err(self.unexpected("a whole character (a pair of surrogates)"));
        };
        self.unescaped.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
        Ok(())
    }

    fn hex4(&mut self, escape: usize) -> Parsed<u32> {
        if self.end - self.at < 4 {
            return Err(ends("inside a string"));
        }
        let mut code = 0;
        for byte in &self.buffer[self.at..self.at + 4] {
            let Some(digit) = (*byte as char).to_digit(16) else {
                self.at = escape;
                return Err(self.unexpected("four hexadecimal digits"));
            };
            code = code << 4 | digit;
        }
        self.at += 4;
        Ok(code)
    }

    /// A number; the cursor is at its sign or first digit. Answers where it started and whether it is
    /// an integer (neither point nor exponent).
    #[inline(always)]
    pub fn number(&mut self) -> Parsed<(usize, bool)> {
        let start = self.at;
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        let first = self.at;
        self.digits()?;
        if self.buffer[first] == b'0' && self.at > first + 1 {
            self.at = start;
            return Err(self.unexpected("a number without leading zeros"));
        }
        let mut integer = true;
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
            integer = false;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits()?;
            integer = false;
        }
        Ok((start, integer))
    }

    #[inline(always)]
    fn digits(&mut self) -> Parsed<()> {
        let first = self.at;
        while self.at < self.end && self.buffer[self.at].is_ascii_digit() {
            self.at += 1;
        }
        if self.at > first {
            return Ok(());
        }
        Err(if self.at == self.end { ends("inside a number") } else { self.unexpected("a digit") })
    }

    /// `true`, `false` or `null`.
    #[inline(always)]
    pub fn word(&mut self, word: &str) -> Parsed<()> {
        let rest = &self.buffer[self.at..self.end];
        if rest.starts_with(word.as_bytes()) {
            self.at += word.len();
            return Ok(());
        }
        let cut = !rest.is_empty() && word.as_bytes().starts_with(rest);
        Err(if cut { ends(&format!("inside {word}")) } else { self.unexpected("a value") })
    }

    /// Any value, checked and forgotten.
    pub fn skip_value(&mut self) -> Parsed<()> {
        let unescaped = self.unescaped.len();
        let skipped = self.skip_nested(0);
        self.unescaped.truncate(unescaped);
        skipped
    }

    fn skip_nested(&mut self, depth: usize) -> Parsed<()> {
        match self.value_start()? {
            b'"' => self.string().map(drop),
            b'{' | b'[' if depth == DEPTH_MAX => {
                Err(Fault::new(format!("the JSON nests more than {DEPTH_MAX} values deep")))
            }
            b'{' => {
                let mut first = true;
                while self.next_key(first)?.is_some() {
                    self.skip_nested(depth + 1)?;
                    first = false;
                }
                Ok(())
            }
            b'[' => {
                let mut first = true;
                while self.next_item(first)? {
                    self.skip_nested(depth + 1)?;
                    first = false;
                }
                Ok(())
            }
            b'-' | b'0'..=b'9' => self.number().map(drop),
            b't' => self.word("true"),
            b'f' => self.word("false"),
            b'n' => self.word("null"),
            _ => Err(self.unexpected("a value")),
        }
    }

    /// Moves behind the next key of an object and its colon; `None` behind the object's end.
    /// `first`: the cursor is at the opening brace, else behind a value.
    pub fn next_key(&mut self, first: bool) -> Parsed<Option<Text>> {
        if first {
            self.at += 1;
        }
        self.skip_blanks();
        match self.peek() {
            Some(b'}') => {
                self.at += 1;
                return Ok(None);
            }
            Some(b',') if !first => {
                self.at += 1;
                self.skip_blanks();
            }
            Some(_) if !first => return Err(self.unexpected("',' or '}'")),
            _ => {}
        }
        match self.peek() {
            Some(b'"') => {}
            Some(_) => return Err(self.unexpected("a key in quotes")),
            None => return Err(ends("inside an object")),
        }
        let key = self.string()?;
        self.skip_blanks();
        match self.peek() {
            Some(b':') => self.at += 1,
            Some(_) => return Err(self.unexpected("':'")),
            None => return Err(ends("inside an object")),
        }
        self.skip_blanks();
        Ok(Some(key))
    }

    /// Moves to the next item of an array, as [`Cursor::next_key`]; false behind the array's end.
    pub fn next_item(&mut self, first: bool) -> Parsed<bool> {
        if first {
            self.at += 1;
        }
        self.skip_blanks();
        match self.peek() {
            Some(b']') => {
                self.at += 1;
                return Ok(false);
            }
            Some(b',') if !first => self.at += 1,
            Some(_) if !first => return Err(self.unexpected("',' or ']'")),
            _ => {}
        }
        self.skip_blanks();
        if self.peek().is_some() { Ok(true) } else { Err(ends("inside an array")) }
    }

    /// The text of the value at the cursor for a message to the user; the cursor stays.
    #[cold]
    pub fn value_shown(&mut self) -> &'a [u8] {
        let start = self.at;
        let end = if self.skip_value().is_ok() { self.at } else { self.end };
        self.at = start;
        &self.buffer[start..end]
    }
}

#[cold]
fn ends(place: &str) -> Box<Fault> {
    Fault::new(format!("the JSON ends {place}"))
}
