//! Cases in JSON: files of many, as ksqlDB's own pack has them, or one in three files, as its
//! `ksql-test-runner` takes them.

use super::json::{self, Json};
use super::record::{Bounds, Sides, Spec};
use super::schemas::{self, Topic};
use super::stage::Stage;
use super::{Outcome, Test, What, compare};
use crate::catalog::Source;
use crate::error::{Error, Result};
use crate::format::Format;
use crate::sql::ast::{SourceKind, Statement};
use crate::sql::{Reader, parse_statement};
use crate::types::{ColumnDef, Part};
use std::collections::BTreeSet;
use std::fmt::Write;
use unicode_width::UnicodeWidthStr;

#[derive(Clone, Debug, Default)]
pub struct Case {
    /// The file that the statements stand in, where they have one of their own.
    script: Option<String>,
    statements: String,
    properties: Vec<(String, String)>,
    topics: Vec<Topic>,
    inputs: Vec<Spec>,
    outputs: Vec<Spec>,
    /// An error is expected, with this in its message.
    error: Option<Option<String>>,
    sources: Vec<Expected>,
}

/// A stream or table that there is to be at the end.
#[derive(Clone, Debug)]
struct Expected {
    name: String,
    kind: SourceKind,
    schema: Option<String>,
    formats: [Option<String>; 2],
}

/// Whether it is a file of cases.
pub fn is_suite(text: &str) -> bool {
    let plain = json::without_comments(text);
    Json::parse(&plain)
        .is_ok_and(|json| json::items(&json, "tests").iter().any(|case| case.field("statements").is_some()))
}

/// The cases of a file: one for each format and setting that they are to be run with.
pub fn tests(file: &str, text: &str) -> Result<Vec<Test>> {
    let plain = json::without_comments(text);
    let suite = json::parse(file, &plain)?;
    let mut tests = Vec::new();
    let mut names = BTreeSet::new();
    for (i, case) in json::items(&suite, "tests").iter().enumerate() {
        let name = json::text(case, "name").map_or_else(|| format!("test {}", i + 1), String::from);
        if case.field("enabled") == Some(&Json::Bool(false)) {
            continue;
        }
        for (suffix, text) in variants(case) {
            let varied = json::parse(file, &text)?;
            let name = format!("{name}{suffix}");
            let wrong = |why: &str| Error::usage(format!("{file}: {name}: {why}"));
            if !names.insert(name.clone()) {
                return Err(wrong("there is another test of that name"));
            }
            let case = Box::new(case_of(&varied).map_err(|why| wrong(&why))?);
            tests.push(Test { file: file.into(), name, what: What::Records(case) });
        }
    }
    Ok(tests)
}

/// The case once for each of its formats and settings, with what that adds to its name.
fn variants(case: &Json) -> Vec<(String, String)> {
    let text = case.json();
    let texts =
        |field: &str| -> Vec<String> { json::items(case, field).iter().map(|item| item.plain()).collect() };
    let mut all = vec![(String::new(), text)];
    for (field, place) in [("format", "{FORMAT}"), ("config", "{CONFIG}")] {
        let values = texts(field);
        if values.is_empty() || !all[0].1.contains(place) {
            continue;
        }
        let vary = |(suffix, text): &(String, String)| -> Vec<(String, String)> {
            values.iter().map(|value| (format!("{suffix} - {value}"), text.replace(place, value))).collect()
        };
        all = all.iter().flat_map(vary).collect();
    }
    all
}

fn case_of(case: &Json) -> std::result::Result<Case, String> {
    let statements: Vec<String> = json::items(case, "statements").iter().map(Json::plain).collect();
    if statements.is_empty() {
        return Err("it has no statements".into());
    }
    let properties = json::fields(case.field("properties")).iter();
    let error = case.field("expectedException");
    let post = case.field("post");
    Ok(Case {
        script: None,
        statements: statements.join("\n"),
        properties: properties.map(|(name, value)| (name.to_string(), value.plain())).collect(),
        topics: json::items(case, "topics").iter().map(schemas::topic_of).collect(),
        inputs: specs(case, "inputs")?,
        outputs: specs(case, "outputs")?,
        error: error.map(|error| json::text(error, "message").map(String::from)),
        sources: post.map_or_else(Vec::new, |post| {
            json::items(post, "sources").iter().filter_map(expected_of).collect()
        }),
    })
}

/// The case that a script, its inputs and its outputs make, each with its file's name.
pub fn of_parts(script: (&str, &str), inputs: Option<(&str, &str)>, outputs: (&str, &str)) -> Result<Case> {
    let read = |(name, text): (&str, &str), field: &str| -> Result<Vec<Spec>> {
        let plain = json::without_comments(text);
        let json = json::parse(name, &plain)?;
        if json.field(field).is_none() {
            return Err(Error::usage(format!("{name} has no list \"{field}\"")));
        }
        specs(&json, field).map_err(|why| Error::usage(format!("{name}: {why}")))
    };
    Ok(Case {
        script: Some(script.0.into()),
        statements: script.1.into(),
        inputs: inputs.map_or_else(|| Ok(Vec::new()), |file| read(file, "inputs"))?,
        outputs: read(outputs, "outputs")?,
        ..Case::default()
    })
}

fn specs(json: &Json, field: &str) -> std::result::Result<Vec<Spec>, String> {
    let spec = |(i, record): (usize, &Json)| -> std::result::Result<Spec, String> {
        let topic = json::text(record, "topic").ok_or_else(|| format!("{field}[{i}] names no topic"))?;
        let value = record.field("value").ok_or_else(|| format!("{field}[{i}] has no value"))?;
        let present = |json: &Json| (*json != Json::Null).then(|| json.json());
        let window = record.field("window").map(|window| Bounds {
            start: json::integer(window, "start").unwrap_or(0),
            end: json::integer(window, "end"),
            session: json::text(window, "type").is_some_and(|ty| ty.eq_ignore_ascii_case("session")),
        });
        let headers = json::items(record, "headers").iter().map(|header| {
            let name = json::text(header, "KEY").unwrap_or_default();
            (name.to_string(), json::text(header, "VALUE").map(String::from))
        });
        Ok(Spec {
            topic: topic.into(),
            key: record.field("key").and_then(present),
            value: present(value),
            timestamp: json::integer(record, "timestamp"),
            window,
            headers: headers.collect(),
        })
    };
    json::items(json, field).iter().enumerate().map(spec).collect()
}

fn expected_of(source: &Json) -> Option<Expected> {
    let format = |field: &str| match source.field(field) {
        Some(Json::Text(format)) => Some(format.to_string()),
        Some(format) => json::text(format, "format").map(String::from),
        None => None,
    };
    let is_table = json::text(source, "type").is_some_and(|ty| ty.eq_ignore_ascii_case("table"));
    Some(Expected {
        name: json::text(source, "name")?.to_string(),
        kind: if is_table { SourceKind::Table } else { SourceKind::Stream },
        schema: json::text(source, "schema").map(String::from),
        formats: [format("keyFormat"), format("valueFormat")],
    })
}

pub fn run(case: &Case) -> Outcome {
    let mut stage = Stage::set().map_err(|e| e.to_string())?;
    match (played(case, &mut stage), &case.error) {
        (Ok(()), None) => {}
        (Err(error), None) => return Err(error.to_string()),
        (Ok(()), Some(_)) => return Err("an error is expected, and there was none".into()),
        (Err(error), Some(Some(message))) if !error.to_string().contains(message.as_str()) => {
            return Err(format!("another error is expected\n  expected  {message}\n  got       {error}"));
        }
        (Err(_), Some(_)) => return Ok(()),
    }
    let mut topics: Vec<&str> = case.outputs.iter().map(|spec| spec.topic.as_str()).collect();
    topics.sort_unstable();
    topics.dedup();
    topics.into_iter().try_for_each(|topic| check(case, topic, &stage))?;
    case.sources.iter().try_for_each(|expected| check_source(expected, &stage))
}

/// Statements, then records, until all is through.
fn played(case: &Case, stage: &mut Stage) -> Result<()> {
    for (name, value) in &case.properties {
        stage.session.set(name, value)?;
    }
    schemas::register(&case.topics, &case.statements, &stage.registry)?;
    let located = |e: Error| e.in_text(case.script.as_deref().unwrap_or("statements"), &case.statements);
    let mut reader = Reader::new(&case.statements, stage.engine.known(&stage.session)?);
    while let Some(statement) = reader.next().map_err(located)? {
        if let Statement::Select(_) | Statement::Print { .. } = statement.statement {
            let why = "a query that is no CREATE … AS or INSERT INTO … SELECT has no output to test";
            return Err(located(Error::statement(why).at(statement.span)));
        }
        stage.execute(&statement).map_err(located)?;
    }
    for spec in &case.inputs {
        let sides = sides_of(case, &spec.topic, false, stage)?;
        let stored = sides.encode(spec, &stage.registry)?;
        stage.space.append(&spec.topic, stored);
    }
    stage.settle()
}

fn sides_of(case: &Case, topic: &str, derived: bool, stage: &Stage) -> Result<Sides> {
    if let Some(source) = stage.source_of(topic, derived)? {
        return Sides::of(&source);
    }
    let given = case.topics.iter().find(|given| given.name == topic);
    let formats =
        given.map_or([None, None], |given| [&given.key, &given.value].map(|side| side.format.as_deref()));
    Ok(Sides::undeclared(topic, formats))
}

/// Whether a topic has the expected records, in their order, and no other ones.
fn check(case: &Case, topic: &str, stage: &Stage) -> Outcome {
    let sides = sides_of(case, topic, true, stage).map_err(|e| e.to_string())?;
    let written = stage.space.records(topic).into_iter();
    let is_input = case.inputs.iter().any(|spec| spec.topic == topic);
    let written = written.filter(|record| record.derived || !is_input);
    let got: Vec<std::result::Result<Spec, String>> =
        written.map(|record| sides.decode(&record, &stage.registry)).collect();
    let expected: Vec<&Spec> = case.outputs.iter().filter(|spec| spec.topic == topic).collect();
    let wrong = (0..expected.len().max(got.len())).find_map(|i| match (expected.get(i), got.get(i)) {
        (Some(expected), Some(Ok(got))) => differs(expected, got, case.inputs.is_empty()).map(|why| (i, why)),
        (Some(_), Some(Err(why))) => Some((i, format!("it cannot be read: {why}"))),
        (Some(_), None) => Some((i, "it is missing".into())),
        (None, _) => Some((i, "it is not expected".into())),
    });
    let Some((at, why)) = wrong else { return Ok(()) };
    let shown = |record: &std::result::Result<Spec, String>| match record {
        Ok(spec) => spec.to_string(),
        Err(why) => format!("({why})"),
    };
    let expected: Vec<String> = expected.iter().map(|spec| spec.to_string()).collect();
    let got: Vec<String> = got.iter().map(shown).collect();
    Err(format!("topic {topic}, record {}: {why}\n{}", at + 1, side_by_side(&expected, &got, at)))
}

/// What is wrong with a record. `no_inputs`: then its time is the clock's, where 0 is expected.
fn differs(expected: &Spec, got: &Spec, no_inputs: bool) -> Option<String> {
    let part = |name: &str, expected: &Option<String>, got: &Option<String>| -> Option<String> {
        let parse = |text: &Option<String>| text.clone().unwrap_or_else(|| "null".into());
        let (expected, got) = (parse(expected), parse(got));
        let differs = match (Json::parse(&expected), Json::parse(&got)) {
            (Ok(expected), Ok(got)) => compare::differs(&expected, &got),
            _ => (expected != got).then(|| format!("expected {expected}, got {got}")),
        };
        differs.map(|why| format!("{name}: {why}"))
    };
    let time = || match (expected.timestamp, got.timestamp) {
        (Some(0), _) if no_inputs => None,
        (Some(expected), Some(got)) if expected != got => {
            Some(format!("timestamp: expected {expected}, got {got}"))
        }
        _ => None,
    };
    let window = || {
        let is_same = match (expected.window, got.window) {
            (None, None) => true,
            (Some(a), Some(b)) => {
                a.start == b.start && a.session == b.session && (a.end == b.end || a.end.is_none())
            }
            _ => false,
        };
        (!is_same).then(|| "another window".to_string())
    };
    let headers = || (expected.headers != got.headers).then(|| "other headers".to_string());
    part("key", &expected.key, &got.key)
        .or_else(|| part("value", &expected.value, &got.value))
        .or_else(time)
        .or_else(window)
        .or_else(headers)
}

/// The records in two columns, with a mark at the first that differs.
pub fn side_by_side(expected: &[String], got: &[String], at: usize) -> String {
    /// Longer ones stick out.
    const WIDTH_MAX: usize = 60;
    let width = expected.iter().map(|text| text.width()).filter(|width| *width <= WIDTH_MAX).max();
    let width = width.unwrap_or(0).max("expected".len());
    let mut out = String::new();
    let mut line = |mark: &str, left: &str, right: &str| {
        let pad = " ".repeat(width.saturating_sub(left.width()));
        let _ = writeln!(out, "{}", format!("{mark:>4}  {left}{pad}  {right}").trim_end());
    };
    line("", "expected", "got");
    for i in 0..expected.len().max(got.len()) {
        let text = |all: &[String]| all.get(i).map_or_else(|| "-".to_string(), String::clone);
        let mark = if i == at { format!("> {}", i + 1) } else { (i + 1).to_string() };
        line(&mark, &text(expected), &text(got));
    }
    out.trim_end().to_string()
}

fn check_source(expected: &Expected, stage: &Stage) -> Outcome {
    let sources = stage.engine.sources().map_err(|e| e.to_string())?;
    let kind = if expected.kind == SourceKind::Table { "table" } else { "stream" };
    let found = sources.iter().find(|source| source.name == expected.name && source.kind == expected.kind);
    let source = found.ok_or_else(|| format!("there is no {kind} {}", expected.name))?;
    if let Some(schema) = &expected.schema {
        check_schema(schema, source)?;
    }
    let formats = [source.serialization.key, source.serialization.value].map(Format::name);
    for (part, (expected, got)) in ["key", "value"].iter().zip(expected.formats.iter().zip(formats)) {
        if let Some(expected) = expected.as_ref().filter(|expected| !expected.eq_ignore_ascii_case(got)) {
            return Err(format!("{}: {part} format: expected {expected}, got {got}", source.name));
        }
    }
    Ok(())
}

/// Whether a source has the columns of a schema such as `ID BIGINT KEY, FOO STRING`.
pub fn check_schema(schema: &str, source: &Source) -> Outcome {
    let kind = if schema.contains("PRIMARY KEY") { "TABLE" } else { "STREAM" };
    let parsed = parse_statement(&format!("CREATE {kind} X ({schema}) WITH (KAFKA_TOPIC='x')"));
    let parsed = parsed.map_err(|e| format!("{}: the expected schema {schema}: {e}", source.name))?;
    let Statement::CreateSource { columns, .. } = parsed.statement else { return Ok(()) };
    let described = |name: &str, ty: &dyn std::fmt::Display, is_key: bool| {
        format!("{} {ty}{}", crate::types::quote(name), if is_key { " KEY" } else { "" })
    };
    let expected: Vec<String> =
        columns.iter().map(|c| described(&c.name.name, &c.ty, c.part == Part::Key)).collect();
    let is_own = |column: &&ColumnDef| !matches!(column.part, Part::Window(_));
    let columns = source.schema.columns.iter().filter(is_own);
    let got: Vec<String> = columns.map(|c| described(&c.name, &c.ty, c.is_key())).collect();
    let sorted = |columns: &[String]| {
        // Keys come first, wherever they were declared.
        let (mut keys, mut values): (Vec<String>, Vec<String>) =
            columns.iter().cloned().partition(|column| column.ends_with(" KEY"));
        keys.append(&mut values);
        keys
    };
    let (expected, got) = (sorted(&expected), sorted(&got));
    if expected == got {
        return Ok(());
    }
    Err(format!(
        "{}: schema\n  expected  {}\n  got       {}",
        source.name,
        expected.join(", "),
        got.join(", ")
    ))
}
