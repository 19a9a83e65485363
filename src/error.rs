//! The one error of the engine: what is wrong, where, and what to do about it.
//!
//! Bad statements and bad configuration become an [`Error`]; bad records never do (they are
//! *rejects*, see `render/decode.rs`), and broken invariants panic.

use serde::{Deserialize, Serialize};
use std::fmt;
use unicode_width::UnicodeWidthStr;

/// A byte range in the text that was parsed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    pub start: usize,
    pub end: usize,
}

impl Span {
    pub fn new(start: usize, end: usize) -> Span {
        Span { start, end }
    }

    /// The smallest span that covers both.
    pub fn to(self, other: Span) -> Span {
        Span { start: self.start.min(other.start), end: self.end.max(other.end) }
    }
}

/// What kind of thing went wrong; decides the exit code and the REST error code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Code {
    /// The text is not a statement of the dialect.
    Syntax,
    /// The statement is well formed but cannot be carried out (names, types, rules).
    Statement,
    /// The topology file, or a place in it, is wrong.
    Topology,
    /// The command line is wrong.
    Usage,
    /// Something failed while running: files, network, a lost peer.
    Runtime,
    /// As much as is allowed is there already.
    Limit,
    /// Stopped by the user.
    Interrupted,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Error {
    pub code: Code,
    /// Lower case; names the thing.
    pub message: String,
    /// Where in the parsed text, if it concerns a place in it.
    pub span: Option<Span>,
    /// What to do about it.
    pub hint: Option<String>,
    /// The message with place and caret, once a text was attached by [`Error::in_text`].
    pub rendered: Option<String>,
}

pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    pub fn new(code: Code, message: impl Into<String>) -> Error {
        Error { code, message: message.into(), span: None, hint: None, rendered: None }
    }
    pub fn syntax(message: impl Into<String>) -> Error {
        Error::new(Code::Syntax, message)
    }
    pub fn statement(message: impl Into<String>) -> Error {
        Error::new(Code::Statement, message)
    }
    pub fn topology(message: impl Into<String>) -> Error {
        Error::new(Code::Topology, message)
    }
    pub fn usage(message: impl Into<String>) -> Error {
        Error::new(Code::Usage, message)
    }
    pub fn runtime(message: impl Into<String>) -> Error {
        Error::new(Code::Runtime, message)
    }

    /// Adds the place, unless a more precise one is known already.
    pub fn at(mut self, span: Span) -> Error {
        self.span.get_or_insert(span);
        self
    }

    pub fn hint(mut self, hint: impl Into<String>) -> Error {
        self.hint.get_or_insert(hint.into());
        self
    }

    /// Renders place and caret from the text that the span points into.
    ///
    /// `name` is the file, or `<statement>` for text that came over the wire.
    pub fn in_text(mut self, name: &str, text: &str) -> Error {
        if self.rendered.is_none()
            && let Some(span) = self.span
        {
            self.rendered = Some(self.render(name, text, span));
        }
        self
    }

    fn render(&self, name: &str, text: &str, span: Span) -> String {
        let (line, column, source_line) = locate(text, span.start);
        let (shown, before) = window(source_line, column - 1);
        let on_line = shown.chars().count().saturating_sub(before.chars().count()).max(1);
        let marked: String = text.get(span.start..).unwrap_or_default().chars().take(on_line).collect();
        let width = text.get(span.start..span.end).map_or(1, |s| s.width().clamp(1, marked.width().max(1)));
        let gutter = " ".repeat(line.to_string().len());
        let mut out = format!(
            "{name}:{line}:{column}: {}\n{gutter} |\n{line} | {shown}\n{gutter} | {}{}",
            self.message,
            " ".repeat(before.width()),
            "^".repeat(width)
        );
        if let Some(hint) = &self.hint {
            let hint = hint.replace('\n', &format!("\n{gutter}         "));
            out.push_str(&format!("\n{gutter} = hint: {hint}"));
        }
        out
    }

    /// 2 for usage, SQL and topology, 130 when interrupted, else 1.
    pub fn exit_code(&self) -> i32 {
        match self.code {
            Code::Syntax | Code::Statement | Code::Topology | Code::Usage => 2,
            Code::Runtime | Code::Limit => 1,
            Code::Interrupted => 130,
        }
    }
}

/// Line and column (1-based, in characters) of a byte offset, and the text of that line.
pub fn locate(text: &str, offset: usize) -> (usize, usize, &str) {
    let mut offset = offset.min(text.len());
    while !text.is_char_boundary(offset) {
        offset -= 1;
    }
    let start = text[..offset].rfind('\n').map_or(0, |i| i + 1);
    let end = text[offset..].find('\n').map_or(text.len(), |i| offset + i);
    let line = text[..start].matches('\n').count() + 1;
    (line, text[start..offset].chars().count() + 1, text[start..end].trim_end_matches('\r'))
}

/// An operating system error in few words: without the number that Rust appends.
pub fn reason(error: &std::io::Error) -> String {
    let text = error.to_string();
    match text.split_once(" (os error") {
        Some((reason, _)) => lower_first(reason),
        None => lower_first(&text),
    }
}

fn lower_first(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|first| first.to_lowercase().chain(chars).collect()).unwrap_or_default()
}

/// So many characters of a line are shown, and so many of them before the place: lines can be long.
const SHOWN_CHARS: usize = 160;
const SHOWN_BEFORE: usize = 60;

/// What is shown of a line, and the part of it before the character `at`.
fn window(line: &str, at: usize) -> (String, String) {
    let line: Vec<char> = line.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let whole = line.len() <= SHOWN_CHARS;
    let start = if whole { 0 } else { at.saturating_sub(SHOWN_BEFORE) };
    let end = if whole { line.len() } else { line.len().min(start + SHOWN_CHARS) };
    let cut = |is_cut: bool| if is_cut { "…" } else { "" };
    let before: String = cut(start > 0).chars().chain(line[start..at.min(end)].iter().copied()).collect();
    let behind: String = line[at.min(end)..end].iter().collect();
    (format!("{before}{behind}{}", cut(end < line.len())), before)
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.rendered, &self.hint) {
            (Some(rendered), _) => f.write_str(rendered),
            (None, Some(hint)) => write!(f, "{}; hint: {hint}", self.message),
            (None, None) => f.write_str(&self.message),
        }
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caret_stands_under_the_place() {
        let text = "SELECT a\n  FRM t;";
        let error = Error::syntax("expected FROM, found FRM").at(Span::new(11, 14)).hint("write FROM");
        assert_eq!(
            error.in_text("x.sql", text).to_string(),
            "x.sql:2:3: expected FROM, found FRM\n  |\n2 |   FRM t;\n  |   ^^^\n  = hint: write FROM"
        );
    }

    #[test]
    fn of_a_long_line_the_surroundings_are_shown() {
        let text = format!("SELECT {} oops, {} FROM t;", "x, ".repeat(100), "y, ".repeat(100));
        let at = text.find("oops").unwrap();
        let rendered = Error::syntax("no").at(Span::new(at, at + 4)).in_text("x", &text).to_string();
        let lines: Vec<&str> = rendered.lines().collect();
        assert!(lines[2].starts_with("1 | …") && lines[2].ends_with('…'), "{rendered}");
        assert_eq!(lines[2].chars().count(), "1 | …".chars().count() + SHOWN_CHARS + 1);
        let column = |line: &str, found: &str| line[..line.find(found).unwrap()].chars().count();
        assert_eq!(column(lines[3], "^^^^"), column(lines[2], "oops"));
    }

    #[test]
    fn wide_characters_take_two_columns() {
        let text = "SELECT '駐車場' x 駐車 FROM t";
        let at = text.rfind('駐').unwrap();
        let rendered = Error::syntax("no").at(Span::new(at, at + 6)).in_text("q", text).to_string();
        assert_eq!(rendered.lines().last(), Some("  |                   ^^^^"));
    }
}
