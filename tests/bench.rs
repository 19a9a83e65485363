//! `wharfe bench` on little data: every measurement is made, and each figure is one that can be.

use crate::harness::run;
use serde_json::Value;
use std::collections::BTreeSet;

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/dataflows/carparks.sql");

/// More than any of these takes, however busy the machine is, and less than a moment since 1970.
const HOUR_S: f64 = 3_600.0;

fn number(line: &Value, name: &str) -> f64 {
    line[name].as_f64().unwrap_or_else(|| panic!("{name} is no number in {line}"))
}

const QUERIES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/dataflows/nexmark");

#[test]
fn every_query_of_nexmark_is_measured() {
    let small = ["--rows", "5_000", "--workers", "2", "--repeats", "1", "--format", "json"];
    let told = run(&[&["bench", QUERIES][..], &small].concat());
    assert_eq!(told.code, Some(0), "{told:?}");
    let lines: Vec<Value> = told.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let names: Vec<&str> = lines.iter().filter_map(|line| line["feed"].as_str()).collect();
    let expected: Vec<String> = (0..=22).filter(|n| *n != 6).map(|n| format!("q{n}")).collect();
    assert_eq!(names, expected);
    for line in &lines {
        assert!(line["measure"] == "query" && line["workers"] == 2, "{line}");
        // Persons, auctions, bids, the table of a fixed size, as the query reads them.
        let rows = match line["feed"].as_str().unwrap() {
            "q3" | "q8" => 100 + 300,
            "q4" | "q9" | "q20" => 300 + 4_600,
            "q13" => 4_600 + 10_000,
            _ => 4_600,
        };
        assert_eq!(line["rows"], rows, "{line}");
        let (seconds, cpu) = (number(line, "seconds"), number(line, "cpu_seconds"));
        assert!(seconds > 0.0 && seconds < HOUR_S && cpu > 0.0 && cpu < HOUR_S, "{line}");
        let per_cpu = number(line, "rows_per_cpu_s");
        assert!((per_cpu * cpu / f64::from(rows) - 1.0).abs() < 0.05, "{line}");
        assert!(number(line, "rss_mib") > 1.0, "{line}");
    }
}

#[test]
fn a_directory_without_scripts_is_not_measured() {
    let told = run(&["bench", concat!(env!("CARGO_MANIFEST_DIR"), "/tests")]);
    assert_eq!(told.code, Some(2), "{told:?}");
    assert!(told.stderr.contains("topology.toml"), "{told:?}");
}

#[test]
fn every_figure_is_plausible() {
    let small = ["--rows", "2_000", "--rate", "500", "--seconds", "2", "--repeats", "1", "--format", "json"];
    let told = run(&[&["bench", SCRIPT][..], &small].concat());
    assert_eq!(told.code, Some(0), "{told:?}");
    let lines: Vec<Value> = told.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let made: BTreeSet<&str> = lines.iter().filter_map(|line| line["measure"].as_str()).collect();
    let all = ["dataflow", "decode", "end_to_end", "end_to_end_stored", "keys", "latency", "start_up"];
    assert_eq!(made.into_iter().collect::<Vec<_>>(), all);
    for line in &lines {
        let (seconds, cpu) = (number(line, "seconds"), number(line, "cpu_seconds"));
        assert!(seconds > 0.0 && seconds < HOUR_S && (0.0..HOUR_S).contains(&cpu), "{line}");
        assert!(line["workers"] == 1 || line["workers"] == 2 || line["measure"] == "start_up", "{line}");
        match line["measure"].as_str().unwrap() {
            "latency" => {
                assert_eq!(line["rows"], 1_000);
                let ms = ["p50_ms", "p99_ms", "p99_9_ms", "max_ms"].map(|name| number(line, name));
                assert!(ms[0] > 0.0 && ms.is_sorted() && ms[3] < HOUR_S * 1e3, "{line}");
            }
            "keys" => assert_eq!(line["keys"], 200),
            "start_up" => {}
            measure => {
                let rows = number(line, "rows");
                let stored = measure == "end_to_end_stored";
                let feed = match (line["feed"].as_str().unwrap(), stored) {
                    ("carparks_leeds", false) => 200.0,
                    ("carparks_leeds", true) => 20.0,
                    ("all", false) => 4_200.0,
                    ("all", true) => 420.0,
                    (_, false) => 2_000.0,
                    (_, true) => 200.0,
                };
                assert_eq!(rows, feed, "{line}");
                let rate = number(line, "rows_per_s");
                assert!((rate * seconds / rows - 1.0).abs() < 0.5 || seconds < 0.01, "{line}");
            }
        }
    }
}
