//! What the books must say of any run: used by the tests that have one at its end.

use crate::harness::Run;
use std::collections::BTreeMap;
use wharfe::engine::Outcome;

struct Line {
    source: String,
    query: String,
    stage: String,
    rows_in: i64,
    rows_out: i64,
}

/// Every row balances, and what a stage lets out is what the next ones take in.
pub fn check(run: &mut Run) {
    let lines = lines(run);
    let Ok(Outcome::Queries(queries)) = run.execute("SHOW QUERIES") else { panic!("SHOW QUERIES fails") };
    let sinks: BTreeMap<&str, &str> =
        queries.iter().filter_map(|q| Some((q.id.as_str(), q.sink.as_deref()?))).collect();
    // What each stream's decoding and its writers let out.
    let mut fed: BTreeMap<&str, i64> = BTreeMap::new();
    for line in &lines {
        match line.stage.as_str() {
            "decode" => *fed.entry(&line.source).or_default() += line.rows_out,
            "transform" if sinks.contains_key(line.query.as_str()) => {
                *fed.entry(sinks[line.query.as_str()]).or_default() += line.rows_out;
            }
            _ => {}
        }
    }
    let of_sources = |line: &Line| line.source.split(", ").filter_map(|source| fed.get(source)).sum();
    for line in &lines {
        // The first of these that the query has.
        let let_out = |stages: &[&str]| {
            let of = |stage: &&str| lines.iter().find(|l| l.stage == *stage && l.query == line.query);
            stages.iter().find_map(of).map(|before| before.rows_out)
        };
        let expected = match line.stage.as_str() {
            "decode" => continue,
            "join" => of_sources(line),
            "transform" => let_out(&["join"]).unwrap_or_else(|| of_sources(line)),
            "window" => let_out(&["transform"]).unwrap_or(0),
            _ => let_out(&["window", "transform"]).unwrap_or(0),
        };
        assert_eq!(line.rows_in, expected, "{} of {} on {}", line.stage, line.query, line.source);
    }
}

fn lines(run: &mut Run) -> Vec<Line> {
    let rows = run.ask("SELECT * FROM WHARFE_BOOKS");
    let parsed = rows.iter().map(|row| {
        let row: serde_json::Value = serde_json::from_str(row).unwrap();
        let text = |name: &str| row[name].as_str().unwrap().to_string();
        let count = |name: &str| row[name].as_i64().unwrap();
        let out = ["ROWS_OUT", "ROWS_FILTERED", "ROWS_REJECTED"].map(count);
        assert_eq!(count("ROWS_IN") + count("ROWS_MADE"), out.iter().sum::<i64>(), "{row}");
        let (source, query, stage) = (text("SOURCE_NAME"), text("QUERY_ID"), text("STAGE"));
        Line { source, query, stage, rows_in: count("ROWS_IN"), rows_out: out[0] }
    });
    parsed.collect()
}

/// Every row balances, also where a query has copies for some of its readers.
pub fn balance(run: &mut Run) {
    assert!(!lines(run).is_empty());
}

/// Rows that were read and rejected, over all sources.
pub fn read_and_rejected(run: &mut Run) -> (i64, i64) {
    let sum = |column: &str| format!("SELECT SUM({column}) AS N FROM WHARFE_BOOKS WHERE STAGE = 'decode'");
    (run.number(&sum("ROWS_IN")), run.number(&sum("ROWS_REJECTED")))
}
