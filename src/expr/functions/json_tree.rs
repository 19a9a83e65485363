//! A JSON text as a tree that keeps numbers as they were written: `1.230` stays `1.230`, and 30 digits stay.
//!
//! Only the first value of a text is read; what stands behind it is nobody's. Strings without escapes and
//! numbers are parts of the text.

use crate::format::output::push_string;
use std::borrow::Cow;
use std::collections::HashMap;

#[derive(Clone, Debug, PartialEq)]
pub enum Json<'a> {
    Null,
    Bool(bool),
    Number(&'a str),
    Text(Cow<'a, str>),
    Array(Vec<Json<'a>>),
    /// Each name once, where it came first, with the value that came last.
    Object(Vec<(Cow<'a, str>, Json<'a>)>),
}

/// How deep values may lie in each other: a reader calls itself for each level.
const DEPTH_MAX: usize = 128;

impl<'a> Json<'a> {
    /// The first value of a text. An error says what is wrong and at which byte.
    pub fn parse(text: &'a str) -> Result<Json<'a>, String> {
        Reader { text, at: 0, depth: 0 }.value()
    }

    pub fn field(&self, name: &str) -> Option<&Json<'a>> {
        match self {
            Json::Object(fields) => fields.iter().find(|(key, _)| key == name).map(|(_, value)| value),
            _ => None,
        }
    }

    pub fn item(&self, index: usize) -> Option<&Json<'a>> {
        match self {
            Json::Array(items) => items.get(index),
            _ => None,
        }
    }

    /// Appends the value without blanks.
    pub fn write(&self, out: &mut String) {
        match self {
            Json::Null => out.push_str("null"),
            Json::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
            Json::Number(digits) => out.push_str(digits),
            Json::Text(text) => push_string(out, text),
            Json::Array(items) => {
                out.push('[');
                for (i, item) in items.iter().enumerate() {
                    out.push_str(if i > 0 { "," } else { "" });
                    item.write(out);
                }
                out.push(']');
            }
            Json::Object(fields) => {
                out.push('{');
                for (i, (name, value)) in fields.iter().enumerate() {
                    out.push_str(if i > 0 { "," } else { "" });
                    push_string(out, name);
                    out.push(':');
                    value.write(out);
                }
                out.push('}');
            }
        }
    }

    /// The value as JSON.
    pub fn json(&self) -> String {
        let mut out = String::new();
        self.write(&mut out);
        out
    }

    /// Strings without their quotes, all else as JSON.
    pub fn plain(&self) -> String {
        match self {
            Json::Text(text) => text.to_string(),
            other => other.json(),
        }
    }

    /// Whether two values are the same: 1 and 1.0 are one number, and fields have no order.
    pub fn same(&self, other: &Json) -> bool {
        match (self, other) {
            (Json::Number(a), Json::Number(b)) => amount(a) == amount(b),
            (Json::Array(a), Json::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.same(b)),
            (Json::Object(a), Json::Object(b)) => {
                a.len() == b.len()
                    && a.iter().all(|(name, value)| other.field(name).is_some_and(|b| value.same(b)))
            }
            (a, b) => a == b,
        }
    }
}

/// A number as its sign, its digits without zeros at the ends, and the power of ten of the last one.
fn amount(number: &str) -> (bool, String, i64) {
    let (negative, body) = match number.strip_prefix('-') {
        Some(body) => (true, body),
        None => (false, number),
    };
    let (mantissa, exponent) = body.split_once(['e', 'E']).unwrap_or((body, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    let digits = digits.trim_start_matches('0');
    let kept = digits.trim_end_matches('0');
    if kept.is_empty() {
        return (false, String::new(), 0);
    }
    // An exponent beyond 64 bits is as good as without end.
    let exponent =
        exponent.parse::<i64>().unwrap_or(if exponent.starts_with('-') { i64::MIN } else { i64::MAX });
    let shift = (digits.len() - kept.len()) as i64 - fraction.len() as i64;
    (negative, kept.to_string(), exponent.saturating_add(shift))
}

struct Reader<'a> {
    text: &'a str,
    /// Byte offset, always behind whole characters.
    at: usize,
    depth: usize,
}

impl<'a> Reader<'a> {
    fn peek(&mut self) -> Option<u8> {
        let bytes = self.text.as_bytes();
        while matches!(bytes.get(self.at), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
        bytes.get(self.at).copied()
    }

    fn wrong<T>(&self) -> Result<T, String> {
        Err(match self.text[self.at..].chars().next() {
            Some(c) => format!("unexpected {:?} at byte {}", c, self.at),
            None => "it ends too early".to_string(),
        })
    }

    fn value(&mut self) -> Result<Json<'a>, String> {
        match self.peek() {
            Some(b'{') => self.nested(Self::object),
            Some(b'[') => self.nested(Self::array),
            Some(b'"') => Ok(Json::Text(self.string()?)),
            Some(b'-' | b'0'..=b'9') => self.number(),
            _ => {
                for (word, value) in
                    [("null", Json::Null), ("true", Json::Bool(true)), ("false", Json::Bool(false))]
                {
                    if self.text[self.at..].starts_with(word) {
                        self.at += word.len();
                        return Ok(value);
                    }
                }
                self.wrong()
            }
        }
    }

    fn nested(&mut self, read: fn(&mut Self) -> Result<Json<'a>, String>) -> Result<Json<'a>, String> {
        if self.depth == DEPTH_MAX {
            return Err(format!("it is nested deeper than {DEPTH_MAX} levels"));
        }
        self.depth += 1;
        self.at += 1;
        let value = read(self)?;
        self.depth -= 1;
        Ok(value)
    }

    /// Behind an item: whether another one follows; takes the comma or the end.
    fn more(&mut self, end: u8) -> Result<bool, String> {
        match self.peek() {
            Some(b',') => {
                self.at += 1;
                Ok(true)
            }
            Some(found) if found == end => {
                self.at += 1;
                Ok(false)
            }
            _ => self.wrong(),
        }
    }

    fn array(&mut self) -> Result<Json<'a>, String> {
        let mut items = Vec::new();
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(Json::Array(items));
        }
        loop {
            items.push(self.value()?);
            if !self.more(b']')? {
                return Ok(Json::Array(items));
            }
        }
    }

    fn object(&mut self) -> Result<Json<'a>, String> {
        let mut fields = Vec::new();
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(Json::Object(fields));
        }
        loop {
            if self.peek() != Some(b'"') {
                return self.wrong();
            }
            let name = self.string()?;
            if self.peek() != Some(b':') {
                return self.wrong();
            }
            self.at += 1;
            fields.push((name, self.value()?));
            if !self.more(b'}')? {
                return Ok(Json::Object(merged(fields)));
            }
        }
    }

    fn number(&mut self) -> Result<Json<'a>, String> {
        let start = self.at;
        self.skip(b"-");
        if !self.skip(b"0") {
            self.digits()?;
        }
        if self.skip(b".") {
            self.digits()?;
        }
        if self.skip(b"eE") {
            self.skip(b"+-");
            self.digits()?;
        }
        match self.text.as_bytes().get(self.at) {
            // `012` and `1x` are no numbers, not numbers with something behind them.
            Some(c) if c.is_ascii_alphanumeric() || *c == b'.' => self.wrong(),
            _ => Ok(Json::Number(&self.text[start..self.at])),
        }
    }

    fn skip(&mut self, any: &[u8]) -> bool {
        let found = self.text.as_bytes().get(self.at).is_some_and(|b| any.contains(b));
        self.at += usize::from(found);
        found
    }

    fn digits(&mut self) -> Result<(), String> {
        let digits = self.text.as_bytes()[self.at..].iter().take_while(|b| b.is_ascii_digit()).count();
        self.at += digits;
        if digits == 0 { self.wrong() } else { Ok(()) }
    }

    /// From the quote on.
    fn string(&mut self) -> Result<Cow<'a, str>, String> {
        self.at += 1;
        let start = self.at;
        let mut unescaped: Option<String> = None;
        let mut from = start;
        loop {
            match self.text.as_bytes().get(self.at) {
                Some(b'"') => {
                    let rest = &self.text[from..self.at];
                    self.at += 1;
                    return Ok(match unescaped {
                        Some(text) => Cow::Owned(text + rest),
                        None => Cow::Borrowed(rest),
                    });
                }
                Some(b'\\') => {
                    let text = unescaped.get_or_insert_default();
                    text.push_str(&self.text[from..self.at]);
                    self.at += 1;
                    let c = self.escape()?;
                    unescaped.get_or_insert_default().push(c);
                    from = self.at;
                }
                Some(0x20..) => self.at += 1,
                _ => return self.wrong(),
            }
        }
    }

    /// Behind a backslash.
    fn escape(&mut self) -> Result<char, String> {
        let c = match self.text.as_bytes().get(self.at) {
            Some(c @ (b'"' | b'\\' | b'/')) => *c as char,
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => return self.unicode(),
            _ => return self.wrong(),
        };
        self.at += 1;
        Ok(c)
    }

    /// `uXXXX`, or two of them that make one character. Half of such a pair is no character.
    fn unicode(&mut self) -> Result<char, String> {
        let high = self.unit()?;
        if !(0xD800..0xDC00).contains(&high) {
            return Ok(char::from_u32(high).unwrap_or(char::REPLACEMENT_CHARACTER));
        }
        let before = self.at;
        if self.skip(b"\\")
            && self.text.as_bytes().get(self.at) == Some(&b'u')
            && let low @ 0xDC00..0xE000 = self.unit()?
        {
            let code = 0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00);
            return Ok(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER));
        }
        self.at = before;
        Ok(char::REPLACEMENT_CHARACTER)
    }

    fn unit(&mut self) -> Result<u32, String> {
        let digits = self.text.get(self.at + 1..self.at + 5);
        match digits.filter(|d| d.bytes().all(|b| b.is_ascii_hexdigit())) {
            Some(digits) => {
                self.at += 5;
                Ok(u32::from_str_radix(digits, 16).unwrap_or_default())
            }
            None => self.wrong(),
        }
    }
}

/// How many names are compared with each other before a map of them is quicker.
const COMPARED_MAX: usize = 8;

/// Fields of one name become one.
fn merged<'a>(fields: Vec<(Cow<'a, str>, Json<'a>)>) -> Vec<(Cow<'a, str>, Json<'a>)> {
    let twice = match fields.len() {
        ..=COMPARED_MAX => {
            fields.iter().enumerate().any(|(i, (name, _))| fields[..i].iter().any(|(other, _)| other == name))
        }
        _ => {
            fields.iter().map(|(name, _)| name).collect::<std::collections::HashSet<_>>().len() < fields.len()
        }
    };
    if twice { merge(fields) } else { fields }
}

/// The fields of several objects in one: each name where it came first, with the value that came last.
pub fn merge<'a>(fields: Vec<(Cow<'a, str>, Json<'a>)>) -> Vec<(Cow<'a, str>, Json<'a>)> {
    let mut places: HashMap<Cow<'a, str>, usize> = HashMap::new();
    let mut merged: Vec<(Cow<'a, str>, Json<'a>)> = Vec::new();
    for (name, value) in fields {
        match places.get(&name) {
            Some(&place) => merged[place].1 = value,
            None => {
                places.insert(name.clone(), merged.len());
                merged.push((name, value));
            }
        }
    }
    merged
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn numbers_stay_as_they_were_written() {
        for text in ["1.23450", "9007199254740993", "1e400", "-0.0", "123456789012345678901234567890.10"] {
            assert_eq!(Json::parse(text).unwrap().json(), text);
        }
        for (a, b) in [("1", "1.0"), ("10", "1e1"), ("0.50", "5E-1"), ("-0", "0.0"), ("1e400", "10E399")] {
            assert!(Json::parse(a).unwrap().same(&Json::parse(b).unwrap()), "{a} {b}");
        }
        for (a, b) in [("9007199254740993", "9007199254740992"), ("1", "-1"), ("1e400", "1e401")] {
            assert!(!Json::parse(a).unwrap().same(&Json::parse(b).unwrap()), "{a} {b}");
        }
    }

    #[test]
    fn only_the_first_value_counts() {
        for (text, first) in [("1 2", "1"), ("{\"a\":1}}{", "{\"a\":1}"), (" \"x\" y", "\"x\"")] {
            assert_eq!(Json::parse(text).unwrap().json(), first);
        }
    }

    #[test]
    fn what_is_no_json_is_refused() {
        let deep = "[".repeat(200);
        for text in [
            "", " ", "{", "[1,", "{\"a\"}", "{a:1}", "\"x", "\"\\q\"", "01", "1.", "1x", "-", "nul", "'a'",
            "\"\n\"", &deep,
        ] {
            assert!(Json::parse(text).is_err(), "{text}");
        }
    }

    /// A text by the standard library's rules, to compare with.
    fn other(text: &str) -> Option<serde_json::Value> {
        serde_json::from_str(text).ok()
    }

    fn value() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            any::<i64>().prop_map(Into::into),
            "\\PC*".prop_map(Into::into),
            "[\"\\\\\\x00-\\x1f😀]{0,4}".prop_map(Into::into),
        ];
        leaf.prop_recursive(4, 32, 4, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(Into::into),
                proptest::collection::hash_map("[a-c\"é]{0,2}", inner, 0..4)
                    .prop_map(|fields| serde_json::Value::Object(fields.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn it_agrees_with_another_reader(value in value(), pretty: bool) {
            let text =
                if pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) }.unwrap();
            let found = Json::parse(&text).unwrap().json();
            prop_assert_eq!(other(&found), Some(value));
        }

        #[test]
        fn no_text_breaks_it(text in "[\\[\\]{},:\"\\\\u0-9a-f.eE+\\- ntrul]{0,24}") {
            let found = Json::parse(&text);
            if other(&text).is_some() {
                prop_assert!(found.is_ok(), "{text}");
            }
        }
    }
}
