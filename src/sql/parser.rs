//! Tokens → statements, by recursive descent: the entry points, the token cursor and the errors
//! that all parts of the grammar share.

use super::ast::{self, Ident, Parsed, Statement};
use super::complete::{CLAUSES, RESERVED, STARTERS};
use super::hint::{Missing, elsewhere, missing, nearest};
use super::lexer::{Lexed, Token, TokenKind, Variables, lex_from};
use crate::error::{Error, Result, Span, locate};
use crate::types::SqlType;
use std::collections::BTreeMap;

/// How deep expressions, types and EXPLAIN may nest; keeps the stack bounded.
const MAX_DEPTH: usize = 128;

/// How high a syntax tree may grow by operators in a row. `a + b + c + …` nests to the left without
/// any recursion of the parser, but what walks the tree later does recurse.
const MAX_CHAIN: usize = 500;

/// What a text may use beside its own words. CREATE TYPE, DEFINE and their opposites change it for what
/// follows them in the same text.
#[derive(Clone, Debug)]
pub struct Known {
    /// CREATE TYPE
    pub types: BTreeMap<String, SqlType>,
    /// `None`: `${…}` means nothing.
    pub variables: Option<Variables>,
}

impl Default for Known {
    fn default() -> Known {
        Known { types: BTreeMap::new(), variables: Some(Variables::new()) }
    }
}

/// Parses a script of any number of statements. An error's span points into `text`.
pub fn parse_script(text: &str) -> Result<Vec<Parsed>> {
    parse_script_with(text, Known::default())
}

/// As [`parse_script`], of a text that uses what is known already.
pub fn parse_script_with(text: &str, known: Known) -> Result<Vec<Parsed>> {
    let mut reader = Reader::new(text, known);
    let mut statements = Vec::new();
    while let Some(statement) = reader.next()? {
        statements.push(statement);
    }
    Ok(statements)
}

/// Parses a script a statement at a time, for who carries out something in between that the rest may use.
pub struct Reader<'a>(Parser<'a>);

impl<'a> Reader<'a> {
    pub fn new(text: &'a str, known: Known) -> Reader<'a> {
        Reader(Parser::new(text, known))
    }

    /// The next statement; `None` at the end.
    #[allow(clippy::should_implement_trait)]
    pub fn next(&mut self) -> Result<Option<Parsed>> {
        let parser = &mut self.0;
        while parser.eat(";") {}
        if parser.at_end() {
            return Ok(None);
        }
        let statement = parser.parsed()?;
        parser.end_of_statement()?;
        Ok(Some(statement))
    }

    /// What the text may use from here on.
    pub fn known(&self) -> &Known {
        &self.0.known
    }

    pub fn set_known(&mut self, known: Known) {
        self.0.known = known;
        self.0.lex_again();
    }
}

/// Parses exactly one statement; a closing semicolon may be absent.
pub fn parse_statement(text: &str) -> Result<Parsed> {
    parse_statement_with(text, Known::default())
}

/// As [`parse_statement`], of a text that uses what is known already.
pub fn parse_statement_with(text: &str, known: Known) -> Result<Parsed> {
    let mut parser = Parser::new(text, known);
    let statement = parser.parsed()?;
    parser.end_of_statement()?;
    while parser.eat(";") {}
    if parser.at_end() {
        return Ok(statement);
    }
    Err(parser.expected("the end of the text", &[]).hint("give one statement at a time"))
}

/// Parses `5 MINUTES`, in milliseconds.
pub fn parse_duration(text: &str) -> Result<i64> {
    let mut parser = Parser::new(text, Known::default());
    let ms = parser.duration()?;
    if parser.at_end() { Ok(ms) } else { Err(parser.expected("the end of the text", &[])) }
}

/// Parses an expression that stands alone.
pub fn parse_expression(text: &str) -> Result<ast::Expr> {
    let mut parser = Parser::new(text, Known::default());
    let expr = parser.expression()?;
    match parser.at_end() {
        true => Ok(expr),
        false => Err(parser.expected("the end of the expression", &[])),
    }
}

pub(super) struct Parser<'a> {
    text: &'a str,
    pub(super) known: Known,
    tokens: Vec<Token>,
    /// What stands in the text where variables are, in its order.
    replaced: Vec<(Span, String)>,
    /// Never beyond the last token, which is always `End`.
    pos: usize,
    depth: usize,
    /// Operators in a row below the present expression, see [`MAX_CHAIN`].
    chain: usize,
    /// The last word that was taken as an alias though no AS announced it: when an error follows
    /// right behind, it was rather a misspelt keyword.
    loose_alias: Option<usize>,
}

/// The cursor.
impl<'a> Parser<'a> {
    fn new(text: &'a str, known: Known) -> Parser<'a> {
        let Lexed { tokens, replaced } = lex_from(text, 0, known.variables.as_ref());
        Parser { text, known, tokens, replaced, pos: 0, depth: 0, chain: 0, loose_alias: None }
    }

    /// One statement with its text.
    pub(super) fn parsed(&mut self) -> Result<Parsed> {
        let start = self.span();
        let statement = self.statement()?;
        let span = self.since(start);
        self.learn(&statement);
        Ok(ast::Parsed { statement, text: self.meant(span), span })
    }

    /// What the rest of the text may use after this statement.
    fn learn(&mut self, statement: &Statement) {
        match statement {
            Statement::CreateType { name, ty, .. } => {
                self.known.types.entry(name.name.clone()).or_insert_with(|| ty.clone());
            }
            Statement::DropType { name, .. } => drop(self.known.types.remove(&name.name)),
            Statement::Define { name, value } => {
                if let Some(variables) = &mut self.known.variables {
                    variables.insert(name.name.clone(), value.clone());
                    self.lex_again();
                }
            }
            Statement::Undefine { name } => {
                if let Some(variables) = &mut self.known.variables {
                    variables.remove(&name.name);
                    self.lex_again();
                }
            }
            _ => {}
        }
    }

    /// Reads the rest of the text once more: its variables stand for something else now.
    fn lex_again(&mut self) {
        let behind = self.pos.checked_sub(1).map_or(0, |last| self.tokens[last].span.end);
        self.tokens.truncate(self.pos);
        self.replaced.retain(|(span, _)| span.end <= behind);
        let rest = lex_from(self.text, behind, self.known.variables.as_ref());
        self.tokens.extend(rest.tokens);
        self.replaced.extend(rest.replaced);
    }

    /// The text at a place, with what its variables stand for.
    fn meant(&self, span: Span) -> String {
        let mut out = String::new();
        let mut at = span.start;
        let is_inside =
            |replaced: &&(Span, String)| span.start <= replaced.0.start && replaced.0.end <= span.end;
        for (variable, value) in self.replaced.iter().filter(is_inside) {
            out.push_str(self.source(Span::new(at, variable.start)));
            out.push_str(value);
            at = variable.end;
        }
        out + self.source(Span::new(at, span.end))
    }

    fn end_of_statement(&mut self) -> Result<()> {
        if self.at(";") || self.at_end() {
            return Ok(());
        }
        Err(self.expected("the end of the statement", CLAUSES))
    }

    pub(super) fn peek(&self) -> &TokenKind {
        &self.tokens[self.pos].kind
    }

    pub(super) fn peek_ahead(&self, by: usize) -> &TokenKind {
        &self.tokens[(self.pos + by).min(self.tokens.len() - 1)].kind
    }

    pub(super) fn span(&self) -> Span {
        self.tokens[self.pos].span
    }

    /// The text from here on up to a blank or the end of the statement; for hints that quote it.
    pub(super) fn unbroken(&self, from: Span) -> &str {
        let rest = self.text.get(from.start..).unwrap_or_default();
        rest.split(|c: char| c.is_whitespace() || matches!(c, ';' | '=' | '\'')).next().unwrap_or_default()
    }

    /// From `start` to the end of the token last taken.
    pub(super) fn since(&self, start: Span) -> Span {
        let end = self.pos.checked_sub(1).map_or(start.end, |i| self.tokens[i].span.end);
        Span::new(start.start, end.max(start.start))
    }

    pub(super) fn source(&self, span: Span) -> &'a str {
        self.text.get(span.start..span.end).unwrap_or_default()
    }

    pub(super) fn advance(&mut self) {
        self.pos = (self.pos + 1).min(self.tokens.len() - 1);
    }

    pub(super) fn position(&self) -> usize {
        self.pos
    }

    pub(super) fn rewind(&mut self, position: usize) {
        self.pos = position;
    }

    pub(super) fn at_end(&self) -> bool {
        *self.peek() == TokenKind::End
    }

    pub(super) fn at(&self, symbol: &str) -> bool {
        self.ahead_is(0, symbol)
    }

    pub(super) fn ahead_is(&self, by: usize, symbol: &str) -> bool {
        matches!(self.peek_ahead(by), TokenKind::Symbol(s) if *s == symbol)
    }

    pub(super) fn eat(&mut self, symbol: &str) -> bool {
        let found = self.at(symbol);
        if found {
            self.advance();
        }
        found
    }

    pub(super) fn expect(&mut self, symbol: &str) -> Result<Span> {
        let span = self.span();
        if self.eat(symbol) { Ok(span) } else { Err(self.expected(&format!("`{symbol}`"), &[])) }
    }

    /// Whether these words come next.
    pub(super) fn at_words(&self, words: &[&str]) -> bool {
        words.iter().enumerate().all(|(i, w)| matches!(self.peek_ahead(i), TokenKind::Word(x) if x == w))
    }

    pub(super) fn at_word(&self, word: &str) -> bool {
        self.at_words(&[word])
    }

    pub(super) fn at_any(&self, words: &[&str]) -> bool {
        matches!(self.peek(), TokenKind::Word(w) if words.contains(&w.as_str()))
    }

    pub(super) fn eat_word(&mut self, word: &str) -> bool {
        let found = self.at_word(word);
        if found {
            self.advance();
        }
        found
    }

    pub(super) fn expect_word(&mut self, word: &str) -> Result<()> {
        if self.eat_word(word) { Ok(()) } else { Err(self.expected(word, &[word])) }
    }

    /// A name; `what` says of what, for the error.
    pub(super) fn ident(&mut self, what: &str) -> Result<Ident> {
        let name = match self.peek() {
            TokenKind::Word(word) if !RESERVED.contains(&word.as_str()) => word.clone(),
            TokenKind::Quoted(name) => name.clone(),
            TokenKind::Word(word) => {
                let hint = format!("{word} is a reserved word; as a name it needs quotes: `{word}`");
                return Err(self.expected(what, &[]).hint(hint));
            }
            TokenKind::Text(text) => {
                let hint = format!("a name is written bare or in double quotes: \"{text}\"");
                return Err(self.expected(what, &[]).hint(hint));
            }
            _ => return Err(self.expected(what, &[])),
        };
        let span = self.span();
        self.advance();
        Ok(Ident { name, span })
    }

    /// A name without AS before it, unless the word here begins something else.
    pub(super) fn loose_alias(&mut self) -> Option<Ident> {
        const CONTINUE: &[&str] = &["CROSS", "EXCEPT", "INTERSECT", "NATURAL", "UNION", "WINDOW", "WITHIN"];
        if self.at_any(RESERVED) || self.at_any(CLAUSES) || self.at_any(STARTERS) || self.at_any(CONTINUE) {
            return None;
        }
        if !matches!(self.peek(), TokenKind::Word(_) | TokenKind::Quoted(_)) {
            return None;
        }
        self.loose_alias = Some(self.pos);
        self.ident("an alias").ok()
    }

    /// A string literal.
    pub(super) fn text_literal(&mut self, what: &str) -> Result<String> {
        let text = match self.peek() {
            TokenKind::Text(text) => text.clone(),
            TokenKind::Quoted(name) => {
                let hint = format!("strings take single quotes: '{name}'");
                return Err(self.expected(what, &[]).hint(hint));
            }
            _ => return Err(self.expected(what, &[])),
        };
        self.advance();
        Ok(text)
    }

    /// A count: digits without sign.
    pub(super) fn count(&mut self, what: &str) -> Result<u64> {
        let TokenKind::Integer(digits) = self.peek() else { return Err(self.expected(what, &[])) };
        let count = digits.parse::<u64>();
        match count {
            Ok(count) => {
                self.advance();
                Ok(count)
            }
            Err(_) => Err(Error::syntax(format!("{} is too large", self.found())).at(self.span())),
        }
    }

    /// `item, item, …` and the closing symbol of what was opened at `open`.
    pub(super) fn list<T>(
        &mut self,
        open: Span,
        close: &str,
        mut item: impl FnMut(&mut Self) -> Result<T>,
    ) -> Result<Vec<T>> {
        let mut items = vec![item(self)?];
        while self.eat(",") {
            items.push(item(self)?);
        }
        self.close_with(open, close, &format!("`,` or `{close}`"))?;
        Ok(items)
    }

    /// The closing symbol of what was opened at `open`.
    pub(super) fn close(&mut self, open: Span, close: &str) -> Result<()> {
        self.close_with(open, close, &format!("`{close}`"))
    }

    fn close_with(&mut self, open: Span, close: &str, what: &str) -> Result<()> {
        if self.eat(close) {
            return Ok(());
        }
        let (line, column, _) = locate(self.text, open.start);
        let hint = format!("the `{}` at line {line}, column {column} is not closed", self.source(open));
        Err(self.expected(what, &[]).hint(hint))
    }

    /// Runs `parse` one level deeper.
    pub(super) fn nested<T>(&mut self, parse: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        if self.depth == MAX_DEPTH {
            return Err(Error::syntax(format!("nested more than {MAX_DEPTH} levels deep"))
                .at(self.span())
                .hint("split it: a stream can compute a part of it, and another one read from that"));
        }
        self.depth += 1;
        // What lies beside this part of the tree does not make it higher.
        let beside = std::mem::take(&mut self.chain);
        let result = parse(self);
        self.chain = beside.max(self.chain);
        self.depth -= 1;
        result
    }

    /// Notes that the tree grew by one operator to the left.
    pub(super) fn grow(&mut self) -> Result<()> {
        self.chain += 1;
        if self.chain <= MAX_CHAIN {
            return Ok(());
        }
        Err(Error::syntax(format!("more than {MAX_CHAIN} operators in one expression"))
            .at(self.span())
            .hint("IN (…) replaces many comparisons, CONCAT(…) many concatenations"))
    }
}

/// Errors.
impl Parser<'_> {
    /// The error that `what` is missing here. `candidates` are the keywords that could stand here.
    pub(super) fn expected(&self, what: &str, candidates: &[&str]) -> Error {
        match self.peek() {
            TokenKind::Bad(error) => return (**error).clone(),
            TokenKind::Symbol("=>") => return missing(Missing::Lambda, self.span()),
            _ => {}
        }
        if let Some((span, meant)) = self.misspelt_alias() {
            let message = format!("expected {what}, found {}", self.source(span));
            return Error::syntax(message).at(span).hint(format!("did you mean {meant}?"));
        }
        let error = Error::syntax(format!("expected {what}, found {}", self.found())).at(self.span());
        match self.usual_mistake(candidates) {
            Some(hint) => error.hint(hint),
            None => error,
        }
    }

    fn misspelt_alias(&self) -> Option<(Span, &'static str)> {
        let before = self.pos.checked_sub(1)?;
        if self.loose_alias != Some(before) {
            return None;
        }
        let TokenKind::Word(word) = &self.tokens[before].kind else { return None };
        Some((self.tokens[before].span, nearest(word, CLAUSES)?))
    }

    /// `my-col`, where it cannot be a difference.
    fn hyphenated(&self) -> Option<&str> {
        let before = self.tokens.get(self.pos.checked_sub(1)?)?;
        let after = self.tokens.get(self.pos + 1)?;
        let words = [before, after].iter().all(|token| matches!(token.kind, TokenKind::Word(_)));
        let text = self.source(before.span.to(after.span));
        (self.at("-") && words && !text.contains(char::is_whitespace)).then_some(text)
    }

    fn usual_mistake(&self, candidates: &[&str]) -> Option<String> {
        let after_comma = self.pos > 0 && self.tokens[self.pos - 1].kind == TokenKind::Symbol(",");
        let closes = self.at(")") || self.at("]") || self.at(">") || self.at_word("FROM");
        if after_comma && closes {
            return Some("remove the comma before it".to_string());
        }
        if self.at("->") {
            return Some("`->*` stands only in a select list, behind a struct".to_string());
        }
        let word_at = |i: Option<usize>| match i.map(|i| &self.tokens[i].kind) {
            Some(TokenKind::Word(word)) => word.as_str(),
            _ => "",
        };
        let before = word_at(self.pos.checked_sub(1));
        if self.at(",") && word_at(self.pos.checked_sub(2)) == "LIMIT" {
            return Some("LIMIT n OFFSET m: how many, then behind how many".to_string());
        }
        if self.at(".") && candidates == CLAUSES {
            return Some("there is one catalog: the names of streams and tables stand alone".to_string());
        }
        if self.at_word("ON") && matches!(self.peek_ahead(1), TokenKind::Word(word) if word == "CONFLICT") {
            return elsewhere("ON", "CONFLICT").map(str::to_string);
        }
        let behind_star = self.pos > 0 && self.tokens[self.pos - 1].kind == TokenKind::Symbol("*");
        if behind_star && (self.at_word("EXCEPT") || self.at_word("EXCLUDE")) {
            return Some("name the columns that are wanted: * takes all of them".to_string());
        }
        if self.at("[") && candidates != CLAUSES {
            return Some("a name is in double quotes, an array is ARRAY[…]".to_string());
        }
        let present = word_at(Some(self.pos));
        if nearest(present, candidates).is_none()
            && let Some(hint) = elsewhere(before, present)
        {
            return Some(hint.to_string());
        }
        if let Some(name) = self.hyphenated() {
            return Some(format!("a name with a hyphen has backquotes: `{name}`"));
        }
        let TokenKind::Word(word) = self.peek() else { return None };
        if let Some(meant) = nearest(word, candidates) {
            return Some(format!("did you mean {meant}?"));
        }
        // Only the end of a statement is followed by clauses or statements.
        if candidates != CLAUSES {
            return None;
        }
        if STARTERS.contains(&word.as_str()) {
            return Some(format!("end the statement before {word} with `;`"));
        }
        CLAUSES.contains(&word.as_str()).then(|| {
            "the order of clauses is SELECT, FROM, WHERE, GROUP BY, PARTITION BY, HAVING, ORDER BY, EMIT, LIMIT, OFFSET"
                .to_string()
        })
    }

    /// The present token, as an error names it.
    pub(super) fn found(&self) -> String {
        let source = self.source(self.span());
        match self.peek() {
            TokenKind::End => "the end of the text".to_string(),
            TokenKind::Symbol(symbol) => format!("`{symbol}`"),
            _ if source.chars().count() > 40 => format!("{}…", source.chars().take(39).collect::<String>()),
            _ => source.to_string(),
        }
    }
}
