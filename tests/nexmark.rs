//! Nexmark's queries, `dataflows/nexmark`, against SQLite's answers from the same files, which
//! `nexmark/oracle.py` asks for. Where Python is missing this says so and is skipped.

use crate::harness::{COARSE, Run, Site};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;
use wharfe::connector::GeneratorSpec;
use wharfe::connector::generator::{self, nexmark};

const SCRIPTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/dataflows/nexmark");
const ORACLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/nexmark/oracle.py");

/// Not more, since an engine that is not optimised takes a second for each query as it is.
/// `WHARFE_NEXMARK=100000` takes so many.
const EVENTS: u64 = 30_000;

/// So few that there are windows and sessions to tell apart.
const EVENTS_PER_SECOND: u64 = 400;

/// The feeds of Nexmark in files, where the topology of the scripts has them.
pub fn site(events: u64) -> Site {
    let topology = fs::read_to_string(format!("{SCRIPTS}/topology.toml")).unwrap();
    let site = Site::new().and(&topology);
    fs::create_dir(site.path("data")).unwrap();
    for feed in nexmark::FEEDS {
        let spec = GeneratorSpec {
            feed: feed.into(),
            rows: Some(nexmark::rows_among(feed, events)),
            rate: None,
            seed: 1,
            car_parks: None,
            dirty_every: None,
            events_per_second: Some(EVENTS_PER_SECOND),
        };
        let mut bytes = Vec::new();
        generator::write(&spec, &mut bytes).unwrap();
        site.write(&format!("data/{}", nexmark::file_name(feed)), bytes);
    }
    site
}

/// The scripts by the names of their queries.
pub fn scripts() -> BTreeMap<String, String> {
    let files = fs::read_dir(SCRIPTS).unwrap().map(|file| file.unwrap().path());
    let scripts = files.filter(|path| path.extension().is_some_and(|extension| extension == "sql"));
    let named = |path: &Path| path.file_stem().unwrap().to_str().unwrap().to_string();
    scripts.map(|path| (named(&path), fs::read_to_string(&path).unwrap())).collect()
}

/// The rows of all queries, each sorted; `None`: there is no Python.
fn expected(site: &Site) -> Option<BTreeMap<String, Vec<String>>> {
    let Ok(output) = Command::new("python3").arg(ORACLE).arg(site.path("data")).output() else {
        eprintln!("skipped: python3 is not there to compute the answers that are compared");
        return None;
    };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let answer = |line: &str| {
        let mut answer: Value = serde_json::from_str(line).unwrap();
        let rows = answer["rows"].take();
        let rows = rows.as_array().unwrap().iter().map(Value::to_string).collect();
        (answer["query"].as_str().unwrap().to_string(), sorted(rows))
    };
    Some(String::from_utf8(output.stdout).unwrap().lines().map(answer).collect())
}

fn sorted(mut rows: Vec<String>) -> Vec<String> {
    rows.sort_unstable();
    rows
}

/// All rows of a query's stream or table, as arrays of their values.
fn answered(query: &str, script: &str, site: &Site, workers: usize) -> Vec<String> {
    let mut run = Run::once(site, COARSE.workers(workers), script);
    let all = match query {
        // When bids arrive is not for the file to say, so which window they are in is left out.
        "q12" => "SELECT BIDDER, SUM(BID_COUNT) AS N FROM Q12 GROUP BY BIDDER".to_string(),
        _ => format!("SELECT * FROM {query}"),
    };
    let values = |row: String| {
        let row: Value = serde_json::from_str(&row).unwrap();
        Value::Array(row.as_object().unwrap().values().cloned().collect()).to_string()
    };
    let rows = sorted(run.ask(&all).into_iter().map(values).collect());
    assert_eq!(run.number("SELECT COUNT(*) AS N FROM WHARFE_REJECTS"), 0, "{query} rejects records");
    rows
}

fn check(workers: usize) {
    let events = std::env::var("WHARFE_NEXMARK").map_or(EVENTS, |events| events.parse().unwrap());
    let site = site(events);
    let Some(expected) = expected(&site) else { return };
    let scripts = scripts();
    assert!(expected.keys().eq(scripts.keys()), "{:?} {:?}", expected.keys(), scripts.keys());
    for (query, script) in &scripts {
        let (found, expected) = (answered(query, script, &site, workers), &expected[query]);
        assert!(!expected.is_empty(), "{query} has no rows");
        let differing = found.iter().zip(expected).find(|(found, expected)| found != expected);
        if let Some((found, expected)) = differing {
            panic!("{query}, workers: {workers}: found\n{found}\nand expected\n{expected}");
        }
        assert_eq!(found.len(), expected.len(), "{query}, workers: {workers}: rows");
    }
}

#[test]
fn every_query_answers_what_sqlite_does() {
    check(1);
}

#[test]
fn every_query_answers_the_same_on_two_workers() {
    check(2);
}
