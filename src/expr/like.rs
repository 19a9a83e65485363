//! LIKE: `%` is any text, `_` any character, ESCAPE makes either plain.
//!
//! A pattern is compiled once and again only when it changes from row to row. The usual shapes
//! (`x`, `x%`, `%x`, `%x%`) need one comparison or one search.

use super::node::{Child, Frame, Node, boolean, column, is_null, parts};
use crate::batch::Column;
use arrow_array::Array;
use arrow_array::cast::AsArray;
use arrow_buffer::BooleanBuffer;
use memchr::memmem::Finder;

pub(crate) struct Like {
    pub operand: Child,
    pub pattern: Child,
    pub escape: Option<char>,
    pub negated: bool,
    /// The pattern seen last.
    pub compiled: Option<(Box<str>, Matcher)>,
}

impl Node for Like {
    fn eval(&mut self, frame: &mut Frame<'_>) -> Column {
        let operand = self.operand.eval(frame);
        let pattern = self.pattern.eval(frame);
        let ((texts, texts_constant), (patterns, patterns_constant)) = (parts(&operand), parts(&pattern));
        if is_null(&operand) || is_null(&pattern) {
            return Column::Const(boolean(BooleanBuffer::collect_bool(1, |_| self.negated)));
        }
        let (texts, patterns) = (texts.as_string_view(), patterns.as_string_view());
        let constant = texts_constant && patterns_constant;
        let rows = if constant { 1 } else { frame.rows() };
        let matches = if patterns_constant {
            let matcher = self.matcher(patterns.value(0));
            BooleanBuffer::collect_bool(rows, |i| texts.is_valid(i) && matcher.matches(texts.value(i)))
        } else {
            BooleanBuffer::collect_bool(rows, |i| {
                let text = if texts_constant { 0 } else { i };
                texts.is_valid(text)
                    && patterns.is_valid(i)
                    && self.matcher(patterns.value(i)).matches(texts.value(text))
            })
        };
        column(boolean(if self.negated { !&matches } else { matches }), constant)
    }
}

impl Like {
    fn matcher(&mut self, pattern: &str) -> &Matcher {
        if self.compiled.as_ref().is_none_or(|(last, _)| **last != *pattern) {
            self.compiled = None;
        }
        let escape = self.escape;
        &self.compiled.get_or_insert_with(|| (pattern.into(), Matcher::new(pattern, escape))).1
    }
}

/// A compiled pattern.
pub(crate) enum Matcher {
    Exact(String),
    Starts(String),
    Ends(String),
    Contains(Box<Finder<'static>>),
    Any,
    General(Vec<Token>),
}

#[derive(Debug, PartialEq)]
pub(crate) enum Token {
    Text(String),
    One,
    Many,
}

impl Matcher {
    pub fn new(pattern: &str, escape: Option<char>) -> Matcher {
        let mut tokens = tokens(pattern, escape);
        match tokens.as_mut_slice() {
            [] => Matcher::Exact(String::new()),
            [Token::Many] => Matcher::Any,
            [Token::Text(text)] => Matcher::Exact(std::mem::take(text)),
            [Token::Text(text), Token::Many] => Matcher::Starts(std::mem::take(text)),
            [Token::Many, Token::Text(text)] => Matcher::Ends(std::mem::take(text)),
            [Token::Many, Token::Text(text), Token::Many] => {
                Matcher::Contains(Box::new(Finder::new(text.as_bytes()).into_owned()))
            }
            _ => Matcher::General(tokens),
        }
    }

    pub fn matches(&self, text: &str) -> bool {
        match self {
            Matcher::Exact(whole) => text == whole,
            Matcher::Starts(start) => text.starts_with(start.as_str()),
            Matcher::Ends(end) => text.ends_with(end.as_str()),
            Matcher::Contains(finder) => finder.find(text.as_bytes()).is_some(),
            Matcher::Any => true,
            Matcher::General(tokens) => general(tokens, text),
        }
    }
}

fn tokens(pattern: &str, escape: Option<char>) -> Vec<Token> {
    let mut tokens: Vec<Token> = Vec::new();
    let mut chars = pattern.chars();
    while let Some(c) = chars.next() {
        let plain = match c {
            // An escape character at the very end stands for itself.
            c if Some(c) == escape => chars.next().unwrap_or(c),
            '%' => {
                if tokens.last() != Some(&Token::Many) {
                    tokens.push(Token::Many);
                }
                continue;
            }
            '_' => {
                tokens.push(Token::One);
                continue;
            }
            c => c,
        };
        match tokens.last_mut() {
            Some(Token::Text(text)) => text.push(plain),
            _ => tokens.push(Token::Text(plain.to_string())),
        }
    }
    tokens
}

/// Goes back to the last `%` only: an earlier one never needs to take more.
fn general(tokens: &[Token], text: &str) -> bool {
    let (mut token, mut rest) = (0, text);
    let mut back: Option<(usize, &str)> = None;
    loop {
        let step = match tokens.get(token) {
            None if rest.is_empty() => return true,
            None => None,
            Some(Token::Many) => {
                back = Some((token + 1, rest));
                Some(rest)
            }
            Some(Token::One) => skip_char(rest),
            Some(Token::Text(part)) => rest.strip_prefix(part.as_str()),
        };
        match (step, back) {
            (Some(after), _) => (token, rest) = (token + 1, after),
            (None, Some((after_many, from))) => {
                let Some(from) = skip_char(from) else { return false };
                back = Some((after_many, from));
                (token, rest) = (after_many, from);
            }
            (None, None) => return false,
        }
    }
}

fn skip_char(text: &str) -> Option<&str> {
    let mut chars = text.chars();
    chars.next().map(|_| chars.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match() {
        for (text, pattern, want) in [
            ("Leeds", "Leeds", true),
            ("Leeds", "leeds", false),
            ("Leeds", "Le%", true),
            ("Leeds", "%ds", true),
            ("Leeds", "%eed%", true),
            ("Leeds", "%", true),
            ("", "%", true),
            ("", "", true),
            ("", "_", false),
            ("Leeds", "L__ds", true),
            ("Léeds", "L_eds", true),
            ("Leeds", "L%d_", true),
            ("Leeds", "%e%s%x%", false),
            ("aXbXc", "a%X_", true),
            ("100%", "100!%", true),
            ("1000", "100!%", false),
            ("a_b", "a!_b", true),
            ("axb", "a!_b", false),
            ("line\nbreak", "line%k", true),
            ("mississippi", "%iss%ip%", true),
            ("mississippi", "m%iss%ipp_", true),
        ] {
            assert_eq!(Matcher::new(pattern, Some('!')).matches(text), want, "{text} LIKE {pattern}");
        }
    }
}
