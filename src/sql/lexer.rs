//! Text → tokens.
//!
//! The lexer never fails: what it cannot read becomes a [`TokenKind::Bad`] token that carries its
//! error. Thus a mistake earlier in the text is reported first, and the console can ask whether a
//! text is complete though it holds a stray character.

use crate::error::{Error, Span};
use std::collections::BTreeMap;

/// What `${name}` stands for; names in lower case, since their case does not matter.
pub type Variables = BTreeMap<String, String>;

#[derive(Clone, Debug, PartialEq)]
pub struct Token {
    pub kind: TokenKind,
    pub span: Span,
}

#[derive(Clone, Debug, PartialEq)]
pub enum TokenKind {
    /// A keyword or an unquoted name, upper-cased.
    Word(String),
    /// A name in double quotes or backquotes, as written.
    Quoted(String),
    /// A string literal, without its quotes.
    Text(String),
    /// Digits only; the parser decides whether they fit, as the sign is a token of its own.
    Integer(String),
    Decimal(String),
    Double(f64),
    Symbol(&'static str),
    Bad(Box<Error>),
    /// Always the last token; stands right behind the one before it.
    End,
}

/// Longest first, so that `<=` is not read as `<`. There is no `>>`: types end in `> >` or `>>`.
const SYMBOLS: [&str; 23] = [
    "=>", "->", ":=", "<=", ">=", "<>", "!=", "||", "(", ")", "[", "]", ",", ";", ".", "*", "/", "%", "+",
    "-", "<", ">", "=",
];

/// All tokens of the text, without blanks and comments.
pub fn lex(text: &str) -> Vec<Token> {
    lex_from(text, 0, None).tokens
}

/// The tokens of a text, and what stands in it where variables were.
pub struct Lexed {
    pub tokens: Vec<Token>,
    pub replaced: Vec<(Span, String)>,
}

/// The tokens from a place on, which is between two tokens. A token that a variable stands for has the place
/// of the variable. Without `variables` `${…}` means nothing.
pub fn lex_from(text: &str, start: usize, variables: Option<&Variables>) -> Lexed {
    let mut lexer = Lexer { text, at: start, tokens: Vec::new(), variables, replaced: Vec::new() };
    if start == 0 && text.starts_with('\u{feff}') {
        lexer.at = '\u{feff}'.len_utf8();
    }
    while lexer.skip_blanks() {
        lexer.token();
    }
    let end = lexer.tokens.last().map_or(start, |t| t.span.end);
    lexer.tokens.push(Token { kind: TokenKind::End, span: Span::new(end, end) });
    Lexed { tokens: lexer.tokens, replaced: lexer.replaced }
}

struct Lexer<'a> {
    text: &'a str,
    /// Byte offset; always on a character boundary.
    at: usize,
    tokens: Vec<Token>,
    variables: Option<&'a Variables>,
    replaced: Vec<(Span, String)>,
}

impl<'a> Lexer<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn first(&self) -> Option<char> {
        self.rest().chars().next()
    }

    /// The run of characters from here on that satisfy `accept`.
    fn take(&mut self, accept: impl Fn(char) -> bool) -> &'a str {
        let rest = self.rest();
        let run = &rest[..rest.find(|c| !accept(c)).unwrap_or(rest.len())];
        self.at += run.len();
        run
    }

    fn push(&mut self, start: usize, kind: TokenKind) {
        self.tokens.push(Token { kind, span: Span::new(start, self.at) });
    }

    fn bad(&mut self, start: usize, message: impl Into<String>, hint: impl Into<String>) {
        let span = Span::new(start, self.at);
        let mut error = Error::syntax(message).at(span);
        let hint: String = hint.into();
        if !hint.is_empty() {
            error = error.hint(hint);
        }
        self.push(start, TokenKind::Bad(Box::new(error)));
    }

    /// Skips blanks and comments; false at the end of the text.
    fn skip_blanks(&mut self) -> bool {
        loop {
            self.take(char::is_whitespace);
            if self.rest().starts_with("--") {
                self.take(|c| c != '\n');
            } else if self.rest().starts_with("/*") {
                let Some(length) = self.rest()[2..].find("*/") else {
                    let start = self.at;
                    self.at = self.text.len();
                    let span = Span::new(start, start + 2);
                    let error =
                        Error::syntax("this comment is not closed").at(span).hint("close it with `*/`");
                    self.push(start, TokenKind::Bad(Box::new(error)));
                    return false;
                };
                self.at += length + 4;
            } else {
                return self.at < self.text.len();
            }
        }
    }

    fn token(&mut self) {
        let start = self.at;
        let Some(first) = self.first() else { return };
        let number = first.is_ascii_digit()
            || first == '.' && self.rest()[1..].starts_with(|c: char| c.is_ascii_digit());
        match first {
            '\'' | '"' | '`' => self.quoted(first),
            _ if number => self.number(),
            '$' if self.at_variable() => self.variable(start),
            'a'..='z' | 'A'..='Z' | '_' => {
                let word = self.take(is_word);
                if self.at_variable() {
                    self.variable(start);
                } else if self.first().is_some_and(char::is_alphabetic) {
                    self.foreign_word(start);
                } else {
                    self.push(start, TokenKind::Word(word.to_ascii_uppercase()));
                }
            }
            _ if first.is_alphabetic() => self.foreign_word(start),
            _ => self.symbol(first),
        }
    }

    fn at_variable(&self) -> bool {
        self.variables.is_some() && self.rest().starts_with("${")
    }

    /// A variable, and the letters and digits that it touches: `${stage}_orders` is one name.
    fn variable(&mut self, start: usize) {
        self.at = start;
        let mut written = String::new();
        loop {
            written.push_str(self.take(is_word));
            if !self.at_variable() {
                break;
            }
            let (name, after) = reference(self.rest());
            let found = self.variables.and_then(|variables| variables.get(&name.to_lowercase()));
            self.at += after;
            match found {
                Some(value) => written.push_str(value),
                None => {
                    return self.bad(
                        start,
                        format!("there is no variable {name}"),
                        format!("DEFINE {name} = '…'; SHOW VARIABLES lists what is defined"),
                    );
                }
            }
        }
        let span = Span::new(start, self.at);
        let tokens = lex(&written);
        if tokens.iter().any(|token| token.kind == TokenKind::Symbol(";")) {
            let hint = "a variable stands for a part of a statement";
            return self.bad(start, format!("a variable is `{written}`, which ends the statement"), hint);
        }
        for token in tokens {
            match token.kind {
                TokenKind::End => {}
                TokenKind::Bad(error) => {
                    let error = Error { span: Some(span), ..*error };
                    self.push(start, TokenKind::Bad(Box::new(error)));
                }
                kind => self.push(start, kind),
            }
        }
        self.replaced.push((span, written));
    }

    /// The text of a string or a quoted name with the values of its variables. What nobody has defined stays:
    /// it may mean something to others.
    fn substituted(&self, text: String) -> String {
        let Some(variables) = self.variables.filter(|_| text.contains("${")) else { return text };
        let mut out = String::with_capacity(text.len());
        let mut rest = text.as_str();
        while let Some(start) = rest.find("${") {
            let (name, after) = reference(&rest[start..]);
            let (before, behind) = (&rest[..start], start + after);
            out.push_str(before);
            let found = variables.get(&name.to_lowercase());
            out.push_str(found.map_or(&rest[start..behind], |value| value));
            rest = &rest[behind..];
        }
        out + rest
    }

    /// Unquoted names are ASCII, as in the dialect.
    fn foreign_word(&mut self, start: usize) {
        self.take(|c| is_word(c) || c.is_alphanumeric());
        let word = &self.text[start..self.at];
        self.bad(
            start,
            format!("the name {word} has letters other than A to Z"),
            format!("such a name needs quotes: `{word}`"),
        );
    }

    /// A string or a quoted name; the quote is doubled inside.
    fn quoted(&mut self, quote: char) {
        let start = self.at;
        let mut value = String::new();
        self.at += 1;
        loop {
            value.push_str(self.take(|c| c != quote));
            if self.at == self.text.len() {
                return self.unterminated(start, quote);
            }
            self.at += 1;
            if !self.rest().starts_with(quote) {
                break;
            }
            value.push(quote);
            self.at += 1;
        }
        let value = match self.substituted(value.clone()) {
            same if same == value => same,
            other => {
                let doubled = other.replace(quote, &format!("{quote}{quote}"));
                self.replaced.push((Span::new(start, self.at), format!("{quote}{doubled}{quote}")));
                other
            }
        };
        match quote {
            '\'' => self.push(start, TokenKind::Text(value)),
            '"' if value.is_empty() => {
                self.bad(start, "a name cannot be empty", "an empty string is written ''")
            }
            _ if value.is_empty() => self.bad(start, "a name cannot be empty", ""),
            _ => self.push(start, TokenKind::Quoted(value)),
        }
    }

    /// Points at the opening quote: where the closing one belongs is anyone's guess.
    fn unterminated(&mut self, start: usize, quote: char) {
        let (what, hint) = match quote {
            '\'' => ("string", "close it with `'`; a quote inside a string is written twice: ''"),
            '"' => ("quoted name", "close it with `\"`"),
            _ => ("quoted name", "close it with a backquote"),
        };
        let error =
            Error::syntax(format!("this {what} is not closed")).at(Span::new(start, start + 1)).hint(hint);
        self.push(start, TokenKind::Bad(Box::new(error)));
    }

    fn number(&mut self) {
        let start = self.at;
        let whole = self.take(|c| c.is_ascii_digit());
        let mut kind = TokenKind::Integer(whole.to_string());
        if self.rest().starts_with('.') {
            self.at += 1;
            let fraction = self.take(|c| c.is_ascii_digit());
            let whole = if whole.is_empty() { "0" } else { whole };
            let point = if fraction.is_empty() { "" } else { "." };
            kind = TokenKind::Decimal(format!("{whole}{point}{fraction}"));
        }
        if self.exponent() {
            let text = &self.text[start..self.at];
            match text.parse::<f64>() {
                Ok(value) if value.is_finite() => kind = TokenKind::Double(value),
                _ => return self.bad(start, format!("the number {text} is too large for a DOUBLE"), ""),
            }
        }
        if self.first().is_some_and(|c| is_word(c) || c.is_alphanumeric()) {
            self.take(|c| is_word(c) || c.is_alphanumeric());
            let text = &self.text[start..self.at];
            // A name may begin with a digit.
            if text.chars().all(is_word) {
                return self.push(start, TokenKind::Word(text.to_ascii_uppercase()));
            }
            return self.bad(
                start,
                format!("{text} is neither a number nor a name"),
                format!("such a name needs quotes: `{text}`"),
            );
        }
        self.push(start, kind);
    }

    /// Takes `e3`, `E-7`, … if it is there.
    fn exponent(&mut self) -> bool {
        let Some(rest) = self.rest().strip_prefix(['e', 'E']) else { return false };
        let digits = rest.strip_prefix(['+', '-']).unwrap_or(rest);
        if !digits.starts_with(|c: char| c.is_ascii_digit()) {
            return false;
        }
        self.at += self.rest().len() - digits.len();
        self.take(|c| c.is_ascii_digit());
        true
    }

    fn symbol(&mut self, first: char) {
        let start = self.at;
        for (wrong, hint) in WRONG_SYMBOLS {
            if self.rest().starts_with(wrong) {
                self.at += wrong.len();
                return self.bad(start, format!("`{wrong}` is not an operator"), hint);
            }
        }
        if let Some(symbol) = SYMBOLS.into_iter().find(|s| self.rest().starts_with(s)) {
            self.at += symbol.len();
            return self.push(start, TokenKind::Symbol(symbol));
        }
        self.at += first.len_utf8();
        let shown = first.escape_debug();
        self.bad(start, format!("unexpected character `{shown}`"), stray_hint(first));
    }
}

/// Operators of other languages.
const WRONG_SYMBOLS: [(&str, &str); 5] = [
    ("==", "write `=`"),
    ("&&", "write AND"),
    ("::", "write CAST(value AS type)"),
    ("<=>", "write IS NOT DISTINCT FROM"),
    ("!<", "write `>=`"),
];

/// The name in the `${…}` that a text begins with, and its length; up to the end where it is not closed.
fn reference(text: &str) -> (&str, usize) {
    match text.find('}') {
        Some(end) => (&text[2..end], end + 1),
        None => (&text[2..], text.len()),
    }
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || c == '@'
}

fn stray_hint(c: char) -> &'static str {
    match c {
        '‘' | '’' | '‚' | '´' | '“' | '”' | '„' => "strings take the plain quote `'`",
        '#' => "comments start with `--`",
        '!' => "write NOT",
        '$' => "a variable is written ${name}",
        '~' => "write REGEXP_EXTRACT(expression, text) IS NOT NULL",
        '^' => "write POWER(x, y)",
        '{' | '}' => "a struct is built with STRUCT(name := value)",
        ':' => "fields of a struct are reached with `->`",
        '\\' => "a quote inside a string is written twice: ''",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(text: &str) -> Vec<TokenKind> {
        lex(text).into_iter().map(|t| t.kind).collect()
    }

    #[test]
    fn names_keep_their_case_only_in_quotes() {
        use TokenKind::*;
        assert_eq!(
            kinds("ab_1@x \"d2lm:x\" `a``b` 'it''s'"),
            vec![
                Word("AB_1@X".into()),
                Quoted("d2lm:x".into()),
                Quoted("a`b".into()),
                Text("it's".into()),
                End
            ]
        );
    }

    #[test]
    fn numbers_keep_their_digits() {
        use TokenKind::*;
        assert_eq!(
            kinds("1 1.50 .5 7. 1e3 1.5E-3"),
            vec![
                Integer("1".into()),
                Decimal("1.50".into()),
                Decimal("0.5".into()),
                Decimal("7".into()),
                Double(1000.0),
                Double(0.0015),
                End
            ]
        );
    }

    #[test]
    fn names_may_begin_with_a_digit() {
        use TokenKind::*;
        assert_eq!(
            kinds("2nd 1e3x 1e3 24_h"),
            vec![Word("2ND".into()), Word("1E3X".into()), Double(1000.0), Word("24_H".into()), End]
        );
        for wrong in ["1.5x", "1e-3x", "2é"] {
            assert!(matches!(kinds(wrong)[0], Bad(_)), "{wrong}");
        }
    }

    #[test]
    fn comments_are_blanks() {
        assert_eq!(kinds("-- a ; ' \n/* b ' ; */ ;"), vec![TokenKind::Symbol(";"), TokenKind::End]);
    }

    #[test]
    fn symbols_are_read_longest_first() {
        let symbols: Vec<_> = lex("a->b:=c<=d<>e>>f").into_iter().map(|t| t.kind).collect();
        let expected = ["->", ":=", "<=", "<>", ">", ">"];
        let found: Vec<_> = symbols
            .iter()
            .filter_map(|k| if let TokenKind::Symbol(s) = k { Some(*s) } else { None })
            .collect();
        assert_eq!(found, expected);
    }
}
