//! Queries inside queries, while data flows and over restarts.

use crate::harness::{COARSE, Cut, EACH, Run, Site, messages};

const SCRIPT: &str = "
    CREATE STREAM S (K VARCHAR, V INT) WITH (KAFKA_TOPIC='s', VALUE_FORMAT='DELIMITED');
    CREATE STREAM R (K VARCHAR, V INT) WITH (KAFKA_TOPIC='r', VALUE_FORMAT='DELIMITED');
    CREATE TABLE HOW_MANY AS
        SELECT N, COUNT(*) AS KS FROM (SELECT K, COUNT(*) AS N FROM S GROUP BY K) AS X GROUP BY N;
    CREATE STREAM UNITED WITH (KAFKA_TOPIC='united', VALUE_FORMAT='JSON') AS
        SELECT K, V FROM S UNION ALL SELECT K, V * 10 FROM R;
    CREATE TABLE SUMS AS SELECT K, SUM(V) AS V FROM UNITED GROUP BY K;
    CREATE TABLE MOST AS SELECT K, MAX(V) AS V FROM (SELECT K, V FROM S WHERE V > 1) AS X GROUP BY K;
";

fn cut(workers: usize) -> Cut {
    Cut { tick_ms: 1, ..COARSE }.workers(workers)
}

fn site() -> Site {
    let log = "[topics.united]\nconnector = \"log\"\n";
    Site::new().keeping_data().with("s", "s.csv", "a,1\nb,2\n").with("r", "r.csv", "a,3\n").and(log)
}

fn becomes(run: &mut Run, question: &str, rows: &[&str]) {
    run.until(question, |found| found == rows);
}

/// Waits until the books tell that so many records of a stream have been read. They follow what tables answer:
/// each worker tells its own after its tick.
fn has_read(run: &mut Run, stream: &str, records: usize) {
    let question = format!(
        "SELECT SUM(ROWS_IN) AS N FROM WHARFE_BOOKS WHERE STAGE = 'decode' AND SOURCE_NAME = '{stream}'"
    );
    becomes(run, &question, &[&format!(r#"{{"N":{records}}}"#)]);
}

#[test]
fn parts_go_on_after_a_restart() {
    let site = site();
    let mut run = Run::live(&site, cut(1), SCRIPT);
    becomes(&mut run, "SELECT * FROM HOW_MANY", &[r#"{"N":1,"KS":2}"#]);
    becomes(&mut run, "SELECT * FROM SUMS", &[r#"{"K":"a","V":31}"#, r#"{"K":"b","V":2}"#]);
    becomes(&mut run, "SELECT * FROM MOST", &[r#"{"K":"b","V":2}"#]);
    drop(run);
    site.append("s.csv", "a,4\n");
    site.append("r.csv", "b,5\n");
    let mut run = Run::live(&site, cut(2), SCRIPT);
    becomes(&mut run, "SELECT * FROM HOW_MANY", &[r#"{"N":1,"KS":1}"#, r#"{"N":2,"KS":1}"#]);
    becomes(&mut run, "SELECT * FROM SUMS", &[r#"{"K":"a","V":35}"#, r#"{"K":"b","V":52}"#]);
    // Nothing was read twice.
    has_read(&mut run, "S", 3);
    has_read(&mut run, "R", 2);
    drop(run);
    let mut stored: Vec<String> =
        messages(&site.path("data/topics/united")).into_iter().map(|(_, value)| value).collect();
    stored.sort();
    let expected = [("a", 1), ("a", 30), ("a", 4), ("b", 2), ("b", 50)];
    assert_eq!(stored, expected.map(|(k, v)| format!(r#"{{"K":"{k}","V":{v}}}"#)));
    // Queries that were changed are computed from the start, over what their parts have kept or through them.
    for (more, least) in [("", 2), ("b,3\n", 2), ("b,1\n", 2)] {
        site.append("s.csv", more);
        let changed = SCRIPT.replace("MAX(V)", "MIN(V)").replace("AS KS", "* 10 AS KS");
        let mut run = Run::live(&site, cut(1), &changed);
        let b = site.lines("s.csv", "b,1") + site.lines("s.csv", "b,3");
        let many = match b {
            0 => vec![r#"{"N":1,"KS":10}"#, r#"{"N":2,"KS":10}"#],
            1 => vec![r#"{"N":2,"KS":20}"#],
            _ => vec![r#"{"N":2,"KS":10}"#, r#"{"N":3,"KS":10}"#],
        };
        becomes(&mut run, "SELECT * FROM HOW_MANY", &many);
        let most = [r#"{"K":"a","V":4}"#.to_string(), format!(r#"{{"K":"b","V":{least}}}"#)];
        run.until("SELECT * FROM MOST", |found| found == most);
    }
}

/// Queries that come while others run read the past of what these make, in their parts and through those of others.
#[test]
fn parts_of_queries_that_come_later() {
    for cut in [cut(1), cut(2), EACH] {
        let site = site();
        let mut run = Run::live(&site, cut, SCRIPT);
        becomes(&mut run, "SELECT * FROM SUMS", &[r#"{"K":"a","V":31}"#, r#"{"K":"b","V":2}"#]);
        run.read_from("earliest");
        run.done("CREATE TABLE ASKED AS SELECT K, COUNT(*) AS N FROM (SELECT K FROM UNITED WHERE V > 1) X GROUP BY K");
        becomes(&mut run, "SELECT * FROM ASKED", &[r#"{"K":"a","N":1}"#, r#"{"K":"b","N":1}"#]);
        let all =
            "SELECT K, V FROM UNITED WHERE V > 1 UNION ALL SELECT K, V FROM S WHERE V > 1 ORDER BY K, V";
        assert_eq!(run.ask(all), [r#"{"K":"a","V":30}"#, r#"{"K":"b","V":2}"#, r#"{"K":"b","V":2}"#]);
        let mut past =
            run.open("SELECT N FROM (SELECT K, COUNT(*) AS N FROM S WHERE K = 'b' GROUP BY K) EMIT CHANGES");
        assert_eq!(past.take(1), [r#"{"N":1}"#]);
        run.read_from("latest");
        let mut new =
            run.open("SELECT K, V FROM (SELECT K, V * 2 AS V FROM UNITED WHERE V > 1) AS X EMIT CHANGES");
        let mut counted =
            run.open("SELECT N FROM (SELECT K, COUNT(*) AS N FROM S GROUP BY K) AS X EMIT CHANGES");
        // Answered when the queries above have been installed.
        run.ask("SELECT * FROM SUMS");
        site.append("s.csv", "b,7\n");
        assert_eq!(new.take(1), [r#"{"K":"b","V":14}"#]);
        assert_eq!(counted.take(1), [r#"{"N":1}"#]);
        assert_eq!(past.take(1), [r#"{"N":2}"#]);
        becomes(&mut run, "SELECT * FROM ASKED", &[r#"{"K":"a","N":1}"#, r#"{"K":"b","N":2}"#]);
        // A part is paused with the whole.
        run.done("PAUSE CTAS_HOW_MANY_1");
        site.append("s.csv", "c,9\n");
        run.until("SELECT * FROM SUMS WHERE K = 'c'", |found| found.len() == 1);
        assert_eq!(run.ask("SELECT * FROM HOW_MANY"), [r#"{"N":1,"KS":1}"#, r#"{"N":2,"KS":1}"#]);
        run.done("RESUME CTAS_HOW_MANY_1");
        becomes(&mut run, "SELECT * FROM HOW_MANY", &[r#"{"N":1,"KS":2}"#, r#"{"N":2,"KS":1}"#]);
        // A part goes with the whole, and cannot be taken from it.
        let refused = run.refused("DROP STREAM S");
        assert!(refused.contains("CTAS_HOW_MANY_1") && !refused.contains("HOW_MANY_1.X"), "{refused}");
        run.done("TERMINATE ALL");
        run.done("DROP TABLE HOW_MANY");
        run.done("DROP TABLE ASKED");
        run.done("DROP TABLE SUMS");
        run.done("DROP STREAM UNITED");
        run.done("DROP TABLE MOST");
        run.done("DROP STREAM S");
    }
}
