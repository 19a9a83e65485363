//! What tables tell of their changes: at each tick what has changed, or an output for each record.

use crate::harness::{COARSE, Cut, EACH, Run, Site, messages};
use wharfe::engine::Outcome;

/// A file of lines, and a log for each of these topics.
fn site(files: &[(&str, &str)], logs: &[&str]) -> Site {
    let site = Site::new().keeping_data();
    let site =
        files.iter().fold(site, |site, (topic, lines)| site.with(topic, &format!("{topic}.json"), lines));
    logs.iter().fold(site, |site, topic| site.and(&format!("[topics.{topic}]\nconnector = \"log\"\n")))
}

/// What a script stores in a topic, `key=value`.
fn stored(cut: Cut, files: &[(&str, &str)], script: &str) -> Vec<String> {
    let site = site(files, &["out"]);
    drop(Run::once(&site, cut, script));
    let stored = messages(&site.path("data/topics/out"));
    stored.into_iter().map(|(key, value)| format!("{key}={value}")).collect()
}

const LAPS: &str = r#"{"K":"a","G":"x","V":1}
{"K":"b","G":"x","V":3}
{"K":"a","G":"x","V":2}
{"K":"a","G":"x","V":2}
{"K":"b","G":"y","V":3}
"#;

const STREAM: &str = "CREATE STREAM LAPS (K VARCHAR, G VARCHAR, V INT)
    WITH (KAFKA_TOPIC='laps', VALUE_FORMAT='JSON');";

/// The latest lap of each K; a table that its aggregate keeps.
const LATEST: &str = "CREATE TABLE LATEST AS SELECT K, LATEST_BY_OFFSET(G) AS G, LATEST_BY_OFFSET(V) AS V
    FROM LAPS GROUP BY K;";

fn each_way(script: &str, files: &[(&str, &str)], expected: &[&str]) {
    for workers in [1, 3] {
        assert_eq!(stored(EACH.workers(workers), files, script), expected, "{workers} workers");
    }
}

#[test]
fn each_record_that_touches_a_group_tells_of_it() {
    let script = format!(
        "{STREAM} CREATE TABLE OUT WITH (KAFKA_TOPIC='out', KEY_FORMAT='KAFKA', VALUE_FORMAT='JSON', PARTITIONS=1)
         AS SELECT K, MAX(V) AS M FROM LAPS GROUP BY K;"
    );
    let files = [("laps", LAPS)];
    each_way(
        &script,
        &files,
        &[r#"a={"M":1}"#, r#"b={"M":3}"#, r#"a={"M":2}"#, r#"a={"M":2}"#, r#"b={"M":3}"#],
    );
    let mut by_tick = stored(COARSE, &files, &script);
    by_tick.sort();
    assert_eq!(by_tick, [r#"a={"M":2}"#, r#"b={"M":3}"#]);
}

#[test]
fn unchanged_rows_are_told_through_tables_that_are_derived() {
    let script = format!(
        "{STREAM} {LATEST}
         CREATE TABLE HALVES AS SELECT K, V / 2 AS H FROM LATEST WHERE V > 0;
         CREATE TABLE OUT WITH (KAFKA_TOPIC='out', VALUE_FORMAT='JSON', PARTITIONS=1)
         AS SELECT K, H + 1 AS H FROM HALVES;"
    );
    let halves = [r#"a={"H":1}"#, r#"b={"H":2}"#, r#"a={"H":2}"#, r#"a={"H":2}"#, r#"b={"H":2}"#];
    each_way(&script, &[("laps", LAPS)], &halves);
}

#[test]
fn unchanged_groups_are_told_by_tables_over_tables() {
    let script = format!(
        "{STREAM} {LATEST}
         CREATE TABLE OUT WITH (KAFKA_TOPIC='out', VALUE_FORMAT='JSON', PARTITIONS=1)
         AS SELECT G, COUNT(*) AS N, SUM(V) AS S FROM LATEST WHERE V < 3 GROUP BY G;"
    );
    let told = [r#"x={"N":1,"S":1}"#, r#"x={"N":1,"S":2}"#, r#"x={"N":1,"S":2}"#];
    each_way(&script, &[("laps", LAPS)], &told);
}

const CREWS: &str = r#"{"G":"x","C":"one"}
{"G":"x","C":"one"}
"#;

/// Two topics, so that which record comes first is not said; what there is for each does not depend on it.
#[test]
fn unchanged_rows_are_told_by_joins_of_tables() {
    let tables = format!(
        "{STREAM} {LATEST}
         CREATE STREAM CREWS (G VARCHAR, C VARCHAR) WITH (KAFKA_TOPIC='crews', VALUE_FORMAT='JSON');
         CREATE TABLE CREW AS SELECT G, LATEST_BY_OFFSET(C) AS C FROM CREWS GROUP BY G;
         CREATE TABLE BEST AS SELECT G, MAX(V) AS M FROM LAPS GROUP BY G;"
    );
    let joined = "CREATE TABLE OUT WITH (KAFKA_TOPIC='out', VALUE_FORMAT='JSON', PARTITIONS=1) AS SELECT";
    let by_key = format!("{tables} {joined} B.G, M, C FROM BEST B LEFT JOIN CREW C ON B.G = C.G;");
    let by_foreign_key = format!("{tables} {joined} L.K, V, C FROM LATEST L LEFT JOIN CREW C ON L.G = C.G;");
    for workers in [1, 3] {
        let files = [("laps", LAPS), ("crews", CREWS)];
        let told = |script: &str| stored(EACH.workers(workers), &files, script);
        // Four laps of x, one of y, and two of x's crew: but what comes before x has a row joins nothing.
        let rows = told(&by_key);
        assert!((5..=7).contains(&rows.len()) && rows.contains(&r#"x={"M":3,"C":"one"}"#.into()), "{rows:?}");
        let again = rows.iter().filter(|row| **row == r#"x={"M":3,"C":"one"}"#).count();
        assert!(again > 1, "{rows:?}");
        let rows = told(&by_foreign_key);
        assert!(rows.len() >= 5 && rows.iter().filter(|row| row.starts_with("a=")).count() >= 3, "{rows:?}");
    }
}

#[test]
fn a_join_by_a_foreign_key_tells_of_its_changes_as_they_come() {
    let site = site(&[("laps", ""), ("crews", "")], &["out"]);
    let script = format!(
        "{STREAM} {LATEST}
         CREATE STREAM CREWS (G VARCHAR, C VARCHAR) WITH (KAFKA_TOPIC='crews', VALUE_FORMAT='JSON');
         CREATE TABLE CREW AS SELECT G, LATEST_BY_OFFSET(C) AS C FROM CREWS GROUP BY G;
         CREATE TABLE OUT WITH (KAFKA_TOPIC='out', VALUE_FORMAT='JSON', PARTITIONS=1)
         AS SELECT L.K, V, C FROM LATEST L JOIN CREW C ON L.G = C.G;"
    );
    for cut in [COARSE, EACH] {
        let mut run = Run::live(&site, cut, &script);
        let mut watch = run.open("SELECT * FROM OUT EMIT CHANGES");
        site.append("laps.json", "{\"K\":\"a\",\"G\":\"x\",\"V\":1}\n");
        site.append("crews.json", "{\"G\":\"x\",\"C\":\"one\"}\n");
        assert_eq!(watch.take(1), [r#"{"K":"a","V":1,"C":"one"}"#]);
        site.append("crews.json", "{\"G\":\"x\",\"C\":\"two\"}\n");
        assert_eq!(watch.take(1), [r#"{"K":"a","V":1,"C":"two"}"#]);
        drop(run);
        site.write("laps.json", "");
        site.write("crews.json", "");
        std::fs::remove_dir_all(site.path("data")).unwrap();
    }
}

#[test]
fn a_push_query_is_told_each_time() {
    let site = site(&[("laps", "")], &[]);
    let script = format!("{STREAM} CREATE TABLE BEST AS SELECT K, MAX(V) AS M FROM LAPS GROUP BY K;");
    let mut run = Run::live(&site, EACH, &script);
    let mut watch = run.open("SELECT * FROM BEST EMIT CHANGES");
    site.append("laps.json", LAPS);
    let told = watch.take(5);
    let row = |k: &str, m: i32| format!("{{\"K\":\"{k}\",\"M\":{m}}}");
    assert_eq!(told, [row("a", 1), row("b", 3), row("a", 2), row("a", 2), row("b", 3)]);
}

#[test]
fn a_plan_says_how_it_emits() {
    let site = site(&[("laps", LAPS)], &[]);
    let script = format!("{STREAM} CREATE TABLE BEST AS SELECT K, MAX(V) AS M FROM LAPS GROUP BY K;");
    let explained = |cut| {
        let mut run = Run::once(&site, cut, &script);
        let Ok(Outcome::Queries(queries)) = run.execute("SHOW QUERIES") else { panic!("no queries") };
        let Ok(Outcome::Explanation(explanation)) = run.execute(&format!("EXPLAIN {}", queries[0].id)) else {
            panic!("no plan")
        };
        explanation.plan.contains("emit once for each record, unchanged rows too")
    };
    assert!(explained(EACH) && !explained(COARSE));
}

/// As Kafka Streams has it; at each tick whether a group was there at all would depend on how ticks are cut.
#[test]
fn groups_without_rows_stay_where_each_record_is_told_of() {
    let laps = "{\"K\":\"a\",\"G\":\"x\",\"V\":1}\n{\"K\":\"a\",\"G\":\"y\",\"V\":2}\n";
    let script = format!(
        "{STREAM} {LATEST}
         CREATE TABLE OUT WITH (KAFKA_TOPIC='out', VALUE_FORMAT='JSON', PARTITIONS=1)
         AS SELECT G, COUNT(*) AS N, SUM(V) AS S FROM LATEST GROUP BY G;"
    );
    each_way(&script, &[("laps", laps)], &[r#"x={"N":1,"S":1}"#, r#"x={"N":0,"S":0}"#, r#"y={"N":1,"S":2}"#]);
    let some = format!("{script} CREATE TABLE SOME AS SELECT G, COUNT(*) AS N FROM LATEST GROUP BY G;");
    let site = site(&[("laps", laps)], &["out"]);
    let mut run = Run::once(&site, COARSE, &some);
    assert_eq!(run.ask("SELECT * FROM SOME"), [r#"{"G":"y","N":1}"#]);
}
