//! Tests in SQL: statements and assertions in the order in which they are carried out.
//!
//! ```sql
//! --@test: name
//! --@expected.error: class         an error ends the test, and it passes
//! --@expected.message: text        which is in its message
//! CREATE …; INSERT INTO … VALUES …;
//! ASSERT VALUES source (columns) VALUES (…);          the next record of its topic
//! ASSERT NULL VALUES source (columns) KEY (…);        the next one, without a value
//! ASSERT STREAM | TABLE source (columns) WITH (…);    what is known of it
//! ```

use super::Outcome;
use super::stage::Stage;
use super::suite::{check_schema, side_by_side};
use super::{Test, What};
use crate::catalog::{Source, With};
use crate::connector::memory::{Stored, batch};
use crate::error::{Code, Error, Result, locate};
use crate::format::decoder;
use crate::format::output::json_row;
use crate::registry::{Client, Lookups};
use crate::sql::ast::{SourceKind, Statement};
use crate::sql::lexer::{Token, TokenKind, lex};
use crate::sql::parse_statement_with;
use crate::types::ColumnDef;
use crate::value::{Row, Value};
use std::collections::BTreeMap;
use std::path::Path;

#[derive(Clone, Debug)]
pub struct Script {
    file: String,
    /// The whole file, so that places in it can be told.
    text: String,
    steps: Vec<Step>,
    error: Option<ExpectedError>,
}

#[derive(Clone, Debug, Default)]
struct ExpectedError {
    /// The error's class in Java: an AssertionError is one of an assertion, others are of statements.
    class: Option<String>,
    message: Option<String>,
}

#[derive(Clone, Debug)]
struct Step {
    what: Kind,
    /// Where it begins in the file.
    at: usize,
    /// The statement, or an assertion as the statement that it is like.
    statement: String,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Statement,
    /// The row of an INSERT INTO … VALUES comes next.
    Values,
    /// A record without a value comes next, with that row's key.
    NullValues,
    /// A source is as a CREATE says.
    Source,
    /// The statements of another file.
    RunScript,
}

const TEST: &str = "--@test:";
const ERROR: &str = "--@expected.error:";
const MESSAGE: &str = "--@expected.message:";

pub fn begins_test(line: &str) -> bool {
    line.trim_start().starts_with(TEST)
}

/// The tests of a file, which `dir` holds.
pub fn tests(file: &str, text: &str, dir: Option<&Path>) -> Result<Vec<Test>> {
    let mut starts: Vec<(usize, &str)> = Vec::new();
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        if let Some(name) = line.trim().strip_prefix(TEST) {
            starts.push((at, name.trim()));
        }
        at += line.len();
    }
    let ends = starts.iter().skip(1).map(|(at, _)| *at).chain([text.len()]).collect::<Vec<_>>();
    let mut tests = Vec::new();
    for ((start, name), end) in starts.into_iter().zip(ends) {
        let mut steps = steps(text, start..end);
        let mut error: Option<ExpectedError> = None;
        for line in text[start..end].lines().map(str::trim) {
            if let Some(class) = line.strip_prefix(ERROR) {
                error.get_or_insert_default().class = Some(class.trim().into());
            } else if let Some(message) = line.strip_prefix(MESSAGE) {
                error.get_or_insert_default().message = Some(message.trim().into());
            }
        }
        include(&mut steps, dir, file, text)?;
        let script = Script { file: file.into(), text: text.into(), steps, error };
        tests.push(Test { file: file.into(), name: name.into(), what: What::Script(script) });
    }
    Ok(tests)
}

fn steps(text: &str, range: std::ops::Range<usize>) -> Vec<Step> {
    let part = &text[range.clone()];
    let mut steps = Vec::new();
    let mut tokens: Vec<Token> = Vec::new();
    for token in lex(part) {
        let ends = matches!(token.kind, TokenKind::Symbol(";") | TokenKind::End);
        if !ends {
            tokens.push(token);
            continue;
        }
        if let Some(first) = tokens.first() {
            let end = tokens.last().map_or(first.span.end, |last| last.span.end);
            let (what, statement) = step(part, &tokens, end);
            steps.push(Step { what, at: range.start + first.span.start, statement });
        }
        tokens.clear();
    }
    steps
}

/// An assertion as the statement that it is like.
fn step(text: &str, tokens: &[Token], end: usize) -> (Kind, String) {
    let word = |i: usize| match tokens.get(i).map(|token| &token.kind) {
        Some(TokenKind::Word(word)) => word.as_str(),
        _ => "",
    };
    let from = |i: usize| tokens.get(i).map_or("", |token| &text[token.span.start..end]);
    match (word(0), word(1), word(2)) {
        ("ASSERT", "VALUES", _) => (Kind::Values, format!("INSERT INTO {}", from(2))),
        ("ASSERT", "NULL", "VALUES") => {
            // ASSERT NULL VALUES name (columns) KEY (…)
            let mut depth = 0;
            let key = tokens.iter().find(|token| {
                match token.kind {
                    TokenKind::Symbol("(") => depth += 1,
                    TokenKind::Symbol(")") => depth -= 1,
                    _ => {}
                }
                depth == 0 && token.kind == TokenKind::Word("KEY".into())
            });
            let start = tokens.get(3).map_or(end, |token| token.span.start);
            let (name, values) = match key {
                Some(key) => (&text[start..key.span.start], &text[key.span.end..end]),
                None => (&text[start..end], ""),
            };
            (Kind::NullValues, format!("INSERT INTO {name}VALUES{values}"))
        }
        ("ASSERT", "STREAM" | "TABLE", _) => (Kind::Source, format!("CREATE {}", from(1))),
        ("RUN", "SCRIPT", _) => (Kind::RunScript, from(0).into()),
        _ => (Kind::Statement, from(0).into()),
    }
}

/// Puts the statements of other files in the place of RUN SCRIPT.
fn include(steps: &mut Vec<Step>, dir: Option<&Path>, file: &str, text: &str) -> Result<()> {
    while let Some(i) = steps.iter().position(|step| step.what == Kind::RunScript) {
        let parsed = parse_statement_with(&steps[i].statement, Default::default())?;
        let Statement::RunScript { file: other } = &parsed.statement else { break };
        let path = dir.unwrap_or(Path::new("")).join(&other.name);
        let failed = |e: Error| {
            let (line, ..) = locate(text, steps[i].at);
            Error::usage(format!("{file}:{line}: {}", e.message))
        };
        let (_, inner) = super::read(&path).map_err(failed)?;
        if inner.to_uppercase().contains("RUN SCRIPT") {
            return Err(failed(Error::usage(format!("{} runs another script", path.display()))));
        }
        let at = steps[i].at;
        let inner = self::steps(&inner, 0..inner.len());
        steps.splice(i..=i, inner.into_iter().map(|step| Step { at, ..step }));
    }
    Ok(())
}

pub fn run(script: &Script) -> Outcome {
    let mut stage = Stage::set().map_err(|e| e.to_string())?;
    let mut asserted: BTreeMap<String, usize> = BTreeMap::new();
    let mut has_rows = false;
    for step in &script.steps {
        let failed = match step.what {
            Kind::Statement | Kind::RunScript => {
                execute(step, &mut stage, &mut has_rows).map_err(|e| (false, e))
            }
            _ => assert(step, &mut stage, &mut asserted).map_err(|why| (true, why)),
        };
        let Err((asserts, why)) = failed else { continue };
        let (line, ..) = locate(&script.text, step.at);
        let located = format!("{}:{line}: {why}", script.file);
        return match &script.error {
            None => Err(located),
            Some(expected) => expected.is(asserts, &why).map_err(|wrong| format!("{wrong}\n  {located}")),
        };
    }
    match &script.error {
        None => stage.settle().map_err(|e| e.to_string()),
        Some(_) => Err("an error is expected, and there was none".into()),
    }
}

impl ExpectedError {
    fn is(&self, asserts: bool, why: &str) -> Outcome {
        let is_of_assertion = |class: &String| class.ends_with("AssertionError");
        if self.class.as_ref().is_some_and(|class| is_of_assertion(class) != asserts) {
            let class = self.class.as_deref().unwrap_or_default();
            return Err(format!("another error is expected: {class}"));
        }
        match &self.message {
            Some(message) if !why.contains(message.as_str()) => {
                Err(format!("another error is expected: {message}"))
            }
            _ => Ok(()),
        }
    }
}

/// `has_rows`: some have been inserted.
fn execute(step: &Step, stage: &mut Stage, has_rows: &mut bool) -> Outcome {
    let mut carried_out = || -> Result<()> {
        let known = stage.engine.known(&stage.session)?;
        let parsed = parse_statement_with(&step.statement, known)?;
        // What was inserted is through before something else changes.
        let inserts = matches!(parsed.statement, Statement::InsertValues { .. });
        if !inserts && (stage.has_begun() || *has_rows && changes_what_runs(&parsed.statement)) {
            stage.settle()?;
        }
        *has_rows |= inserts;
        stage.execute(&parsed).map(drop)
    };
    carried_out().map_err(|e: Error| e.to_string())
}

/// Whether rows that came before a statement would come to something else after it.
fn changes_what_runs(statement: &Statement) -> bool {
    use Statement::*;
    match statement {
        CreateSource { or_replace, .. } | CreateAs { or_replace, .. } => *or_replace,
        Alter { .. } | Pause { .. } | Resume { .. } | Terminate { .. } | Drop { .. } => true,
        _ => false,
    }
}

fn assert(step: &Step, stage: &mut Stage, asserted: &mut BTreeMap<String, usize>) -> Outcome {
    stage.settle().map_err(|e| e.to_string())?;
    let text = |e: Error| e.to_string();
    let parsed = parse_statement_with(&step.statement, stage.engine.known(&stage.session).map_err(text)?);
    let parsed = parsed.map_err(|e| match e.code {
        Code::Syntax => format!("the assertion cannot be read: {e}"),
        _ => e.to_string(),
    })?;
    match (&parsed.statement, step.what) {
        (Statement::CreateSource { kind, name, with, .. }, Kind::Source) => {
            let source = source(stage, &name.name)?;
            check_source(&source, *kind, &step.statement, &With::parse(with).map_err(text)?)
        }
        (Statement::InsertValues { target, .. }, Kind::Values | Kind::NullValues) => {
            let source = source(stage, &target.name)?;
            let (row, rowtime) = stage.engine.row_of(&parsed).map_err(text)?;
            let records = stage.space.records(&source.topic);
            let next = asserted.entry(source.topic.clone()).or_default();
            *next += 1;
            let expected = Expectation { row, rowtime, deleted: step.what == Kind::NullValues };
            match records.get(*next - 1) {
                Some(record) => expected.check(&source, record, *next, stage),
                None => {
                    let expected = [expected.shown(&source)];
                    let why = format!("topic {}, record {next}: it is missing", source.topic);
                    Err(format!("{why}\n{}", side_by_side(&expected, &[], 0)))
                }
            }
        }
        _ => Err("it is no assertion".into()),
    }
}

fn source(stage: &Stage, name: &str) -> std::result::Result<Source, String> {
    let sources = stage.engine.sources().map_err(|e| e.to_string())?;
    sources.into_iter().find(|source| source.name == name).ok_or_else(|| format!("there is no {name}"))
}

/// What a record is to be.
struct Expectation {
    row: Row,
    rowtime: Option<i64>,
    deleted: bool,
}

impl Expectation {
    fn check(&self, source: &Source, record: &Stored, number: usize, stage: &Stage) -> Outcome {
        let got = decoded(source, record, stage)?;
        let keys = source.schema.keys().count();
        let is_same = match (&got, self.deleted) {
            (Some((row, deleted)), true) => *deleted && row[..keys] == self.row[..keys],
            (Some((row, deleted)), false) => !deleted && *row == self.row,
            (None, _) => false,
        };
        if is_same && self.rowtime.is_none_or(|rowtime| rowtime == record.timestamp) {
            return Ok(());
        }
        let columns = columns(source);
        let got = match got {
            Some((row, deleted)) => shown(&columns, &row, deleted, self.rowtime.map(|_| record.timestamp)),
            None => "(a record that cannot be read)".into(),
        };
        let why = format!("topic {}, record {number}: it is another one", source.topic);
        Err(format!("{why}\n{}", side_by_side(&[self.shown(source)], &[got], 0)))
    }

    fn shown(&self, source: &Source) -> String {
        shown(&columns(source), &self.row, self.deleted, self.rowtime)
    }
}

fn columns(source: &Source) -> Vec<ColumnDef> {
    source.schema.without_headers().columns
}

fn shown(columns: &[ColumnDef], row: &[Value], deleted: bool, rowtime: Option<i64>) -> String {
    let len = if deleted { columns.iter().filter(|column| column.is_key()).count() } else { columns.len() };
    let mut text = String::new();
    json_row(&columns[..len], &row[..len], &mut text);
    if deleted {
        text += " null";
    }
    rowtime.map_or(text.clone(), |rowtime| format!("{text} @{rowtime}"))
}

/// The row of a record, and whether it has no value. `None`: it is a reject.
fn decoded(
    source: &Source,
    record: &Stored,
    stage: &Stage,
) -> std::result::Result<Option<(Row, bool)>, String> {
    let schema = source.schema.without_headers();
    let lookups = Lookups::new(Client::Own(stage.registry.clone()));
    let mut decoder = decoder(&source.serialization, &schema, &lookups).map_err(|e| e.to_string())?;
    let messages = batch(0, record);
    while !decoder.is_ready(&messages) {
        std::thread::yield_now();
    }
    let decoded = decoder.decode(&messages, &vec![true; schema.len()]);
    if !decoded.rejects.is_empty() {
        return Ok(None);
    }
    let row = decoded.columns.iter().map(|column| column.value(0)).collect();
    Ok(Some((row, record.value.is_none())))
}

/// Whether a source is as CREATE … (columns) WITH (…) says, as far as that says something.
fn check_source(source: &Source, kind: SourceKind, create: &str, with: &With) -> Outcome {
    let wrong = |what: &str, expected: &str, got: &str| {
        Err(format!("{}: {what}: expected {expected}, got {got}", source.name))
    };
    if kind != source.kind {
        let name = |kind| if kind == SourceKind::Table { "a table" } else { "a stream" };
        return wrong("kind", name(kind), name(source.kind));
    }
    if let Some(schema) = between_parentheses(create) {
        check_schema(schema, source)?;
    }
    if let Some(topic) = with.topic.as_ref().filter(|topic| **topic != source.topic) {
        return wrong("topic", topic, &source.topic);
    }
    let formats = [
        ("key format", with.key_format(None), source.serialization.key),
        ("value format", with.value_format(None, true), source.serialization.value),
    ];
    for (what, expected, got) in formats {
        let expected = expected.map_err(|e| e.to_string())?;
        if let Some(expected) = expected.filter(|expected| expected.name() != got.name()) {
            return wrong(what, expected.name(), got.name());
        }
    }
    let timestamp = source.timestamp.as_ref().map(|(column, _)| column.as_str());
    match &with.timestamp {
        Some((column, _)) if timestamp != Some(column) => {
            wrong("timestamp", column, timestamp.unwrap_or("none"))
        }
        _ => Ok(()),
    }
}

/// The columns of a CREATE.
fn between_parentheses(create: &str) -> Option<&str> {
    let mut depth = 0;
    let mut start = None;
    for token in lex(create) {
        match token.kind {
            TokenKind::Word(word) if word == "WITH" && depth == 0 => return None,
            TokenKind::Symbol("(") => {
                depth += 1;
                start.get_or_insert(token.span.end);
            }
            TokenKind::Symbol(")") => {
                depth -= 1;
                if depth == 0 {
                    return Some(&create[start?..token.span.start]);
                }
            }
            _ => {}
        }
    }
    None
}
