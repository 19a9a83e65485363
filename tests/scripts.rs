//! Script tests: every `scripts/NAME.sql` is run, and what its statements say must be `NAME.out`.
//!
//! A script is run as `wharfe run --once` runs one, but goes on after an error. A line `--| text`
//! belongs to the file that the line `--file NAME` before it opened; the file's stem is its topic.
//! `WHARFE_REWRITE=1 cargo test` writes the `.out` files anew; the difference shows in version control.

use crate::harness::{COARSE, Cut, DEADLINE, FINE, Run, Site, Watch, is_query, statements};
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use wharfe::engine::Outcome;
use wharfe::engine::outcome::{ConnectorInfo, QueryInfo, SourceDescription};
use wharfe::error::Result;

#[test]
fn scripts_say_what_they_should() {
    let rewrite = std::env::var_os("WHARFE_REWRITE").is_some();
    let mut wrong = String::new();
    for script in all() {
        let sql = fs::read_to_string(&script).unwrap();
        let expected_in = script.with_extension("out");
        let said = transcript(&sql, COARSE);
        if rewrite {
            fs::write(&expected_in, &said).unwrap();
        }
        let expected = fs::read_to_string(&expected_in).unwrap_or_default();
        compare(&script, "one worker", &expected, &said, &mut wrong);
        compare(&script, "three workers, a tick a record", &expected, &transcript(&sql, FINE), &mut wrong);
    }
    assert!(wrong.is_empty(), "{wrong}");
}

fn all() -> Vec<PathBuf> {
    let only = std::env::var("WHARFE_SCRIPT").unwrap_or_default();
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scripts");
    let files = fs::read_dir(dir).unwrap().map(|f| f.unwrap().path());
    let mut scripts: Vec<PathBuf> = files
        .filter(|f| f.extension().is_some_and(|e| e == "sql"))
        .filter(|f| f.to_string_lossy().contains(&only))
        .collect();
    scripts.sort();
    scripts
}

fn compare(script: &Path, how: &str, expected: &str, said: &str, wrong: &mut String) {
    if expected == said {
        return;
    }
    let name = script.file_name().unwrap().to_string_lossy();
    let _ = writeln!(wrong, "---- {name}, {how}: - expected, + said");
    let (expected, said): (Vec<&str>, Vec<&str>) = (expected.lines().collect(), said.lines().collect());
    let same = expected.iter().zip(&said).take_while(|(a, b)| a == b).count();
    let tail =
        expected[same..].iter().rev().zip(said[same..].iter().rev()).take_while(|(a, b)| a == b).count();
    expected[same.saturating_sub(2)..same].iter().for_each(|l| *wrong += &format!("  {l}\n"));
    expected[same..expected.len() - tail].iter().for_each(|l| *wrong += &format!("- {l}\n"));
    said[same..said.len() - tail].iter().for_each(|l| *wrong += &format!("+ {l}\n"));
}

/// Each statement's first words with what it said below.
fn transcript(sql: &str, cut: Cut) -> String {
    let site = files(sql);
    let mut run = Run::idle(&site, cut, true);
    let statements = statements(sql);
    let mut said: Vec<Option<String>> = Vec::new();
    let mut later = Vec::new();
    for statement in &statements {
        match run.parsed(statement) {
            Ok(parsed) if is_query(&parsed) => {
                later.push((said.len(), run.session.clone()));
                said.push(None);
            }
            _ => {
                let outcome = run.execute(statement);
                said.push(Some(tell(outcome, &site)));
            }
        }
    }
    run.engine.begin().unwrap();
    assert!(run.engine.wait_for_inputs(Some(DEADLINE)).unwrap(), "the inputs did not end");
    for (i, session) in later {
        run.session = session;
        let outcome = run.execute(statements[i]);
        said[i] = Some(tell(outcome, &site));
    }
    let mut text = String::new();
    for (statement, said) in statements.iter().zip(said) {
        let words: Vec<&str> = statement.split_whitespace().collect();
        let shown: String = words.join(" ").chars().take(100).collect();
        let _ = writeln!(text, "> {shown}\n{}", said.unwrap());
    }
    text
}

/// The files that the script's comments hold.
fn files(sql: &str) -> Site {
    let mut files: Vec<(String, String)> = Vec::new();
    let mut toml = String::new();
    for line in sql.lines() {
        if let Some(name) = line.strip_prefix("--file ") {
            files.push((name.trim().to_string(), String::new()));
        } else if let Some(text) = line.strip_prefix("--| ") {
            let (_, content) = files.last_mut().expect("--file comes first");
            let _ = writeln!(content, "{text}");
        } else if let Some(text) = line.strip_prefix("--toml ") {
            let _ = writeln!(toml, "{text}");
        }
    }
    let site = files.iter().fold(Site::new().keeping_data(), |site, (name, content)| {
        let topic = name.split('.').next().unwrap();
        site.with(topic, name, content)
    });
    site.and(&toml)
}

fn tell(outcome: Result<Outcome>, site: &Site) -> String {
    let text = match outcome {
        Err(error) => format!("error: {error}\n"),
        Ok(Outcome::Status(status)) => {
            let warnings = status.warnings.iter().map(|warning| format!("warning: {warning}\n"));
            format!("{}\n", status.message) + &warnings.collect::<String>()
        }
        Ok(Outcome::Streams(sources) | Outcome::Tables(sources)) => lines(&sources, |s| {
            format!("{} in {}, key {}, value {}", s.name, s.topic, s.key_format, s.value_format)
        }),
        Ok(Outcome::Topics(topics)) => lines(&topics, |t| {
            format!("{}: {} {} ({} partitions)", t.name, t.connector, t.place, t.partitions)
        }),
        Ok(Outcome::Queries(queries)) => lines(&queries, query),
        Ok(Outcome::Functions(functions)) => {
            let named = |kind: &str| -> Vec<&str> {
                functions.iter().filter(|f| f.kind == kind).map(|f| f.name.as_str()).collect()
            };
            format!("aggregates: {}\n", named("AGGREGATE").join(" "))
        }
        Ok(Outcome::Properties(properties)) => lines(&properties, |p| {
            format!("{} = {}{}, {}", p.name, p.value, if p.default { " (default)" } else { "" }, p.meaning)
        }),
        Ok(Outcome::Types(types)) => lines(&types, |(name, ty)| format!("{name}: {ty}")),
        Ok(Outcome::Variables(all)) => lines(&all, |(name, value)| format!("{name} = {value}")),
        Ok(Outcome::Source(source)) => describe(&source),
        Ok(Outcome::Sources(sources)) => lines(&sources, describe),
        Ok(Outcome::Function(f)) => {
            format!("{} {}: {}\n{}\n{}\n", f.kind, f.name, f.usage, f.summary, f.example)
        }
        Ok(Outcome::Explanation(explanation)) => explanation.plan.clone(),
        Ok(Outcome::Explanations(all)) => lines(&all, |e| e.plan.clone()),
        Ok(Outcome::Connectors(all)) => lines(&all, connector),
        Ok(Outcome::Connector(info)) => connector(&info) + "\n",
        Ok(Outcome::Answer(answer)) => rows(Watch::new(answer)),
    };
    text.replace(&site.dir().display().to_string(), "DIR")
}

fn rows(mut answer: Watch) -> String {
    let mut text: String = answer.rest().into_iter().map(|row| row + "\n").collect();
    if let Some(Err(error)) = answer.end {
        let _ = writeln!(text, "error: {error}");
    }
    text
}

fn lines<T>(items: &[T], line: impl Fn(&T) -> String) -> String {
    items.iter().map(|item| line(item).trim_end().to_string() + "\n").collect()
}

/// Without how it is: that depends on the moment.
fn connector(info: &ConnectorInfo) -> String {
    format!("{} to {} from {}", info.name, info.to, info.reads.join(", "))
}

fn query(query: &QueryInfo) -> String {
    let sql: Vec<&str> = query.sql.split_whitespace().collect();
    format!("{} {}: {}", query.id, query.state, sql.join(" "))
}

fn describe(source: &SourceDescription) -> String {
    let mut text =
        format!("{} in {} ({} partitions)", source.info.name, source.info.topic, source.partitions);
    let _ = writeln!(text, ", key {}, value {}", source.info.key_format, source.info.value_format);
    for column in &source.schema.columns {
        let _ = writeln!(text, "  {column}");
    }
    let ids = |queries: &[QueryInfo]| queries.iter().map(|q| q.id.as_str()).collect::<Vec<_>>().join(" ");
    if let Some(column) = &source.timestamp_column {
        let _ = writeln!(text, "  ROWTIME is {column}");
    }
    for (what, queries) in [("read by", &source.read_by), ("written by", &source.written_by)] {
        if !queries.is_empty() {
            let _ = writeln!(text, "  {what} {}", ids(queries));
        }
    }
    for (name, value) in &source.statistics {
        let _ = writeln!(text, "  {}", format!("{name}: {value}").trim_end());
    }
    text
}
