//! A data directory that an earlier build has written is gone on from, whatever the number of workers.
//!
//! `tests/data_directory` is one. `WHARFE_REWRITE_DATA=1` writes it anew: only where its layout has changed on
//! purpose, since then nobody's directory is good any more.

use crate::harness::{Finished, Site, run};
use std::fs;
use std::path::{Path, PathBuf};

/// Something of each kind that is kept.
const SCRIPT: &str = "
    CREATE STREAM S (K VARCHAR KEY, V INT, AT BIGINT)
        WITH (KAFKA_TOPIC='s', FORMAT='JSON', TIMESTAMP='AT');
    CREATE STREAM R (K VARCHAR KEY, N DECIMAL(10, 2), AT BIGINT)
        WITH (KAFKA_TOPIC='r', FORMAT='JSON', TIMESTAMP='AT');
    CREATE TABLE P (K VARCHAR PRIMARY KEY, NAME VARCHAR, AT BIGINT)
        WITH (KAFKA_TOPIC='p', FORMAT='JSON', TIMESTAMP='AT');
    CREATE STREAM D WITH (KAFKA_TOPIC='d') AS SELECT K, V * 10 AS V FROM S WHERE V <> 3;
    CREATE TABLE T AS SELECT K, COUNT(*) AS N, SUM(V) AS V, LATEST_BY_OFFSET(V) AS L, COLLECT_LIST(V) AS ALL_,
        COUNT_DISTINCT(V) AS D, AVG(V) AS A FROM S GROUP BY K;
    CREATE TABLE TT AS SELECT N, COUNT(*) AS GROUPS_, MAX(V) AS V FROM T GROUP BY N;
    CREATE TABLE W AS SELECT K, COUNT(*) AS N, SUM(V) AS V
        FROM S WINDOW TUMBLING (SIZE 10 SECONDS, GRACE PERIOD 5 SECONDS) GROUP BY K EMIT FINAL;
    CREATE TABLE V AS SELECT K, COUNT(*) AS N, SUM(V) AS V
        FROM S WINDOW SESSION (3 SECONDS, GRACE PERIOD 5 SECONDS) GROUP BY K;
    CREATE STREAM J WITH (KAFKA_TOPIC='j') AS SELECT S.K AS K, S.V AS V, R.N AS N
        FROM S LEFT JOIN R WITHIN 5 SECONDS GRACE PERIOD 5 SECONDS ON S.K = R.K;
    CREATE STREAM L AS SELECT S.K AS K, S.V AS V, P.NAME AS NAME FROM S LEFT JOIN P ON S.K = P.K;
    CREATE TABLE LN AS SELECT NAME, COUNT(*) AS N FROM L GROUP BY NAME;
    INSERT INTO P VALUES ('a', 'Ann', 500);
    INSERT INTO S VALUES ('a', 1, 1000); INSERT INTO S VALUES ('b', 2, 2000);
    INSERT INTO S VALUES ('a', 3, 9000); INSERT INTO S VALUES ('a', 1, 16000);
    INSERT INTO R VALUES ('a', 1.50, 3000); INSERT INTO R VALUES ('b', 2.25, 15000);
";
const LATER: &str = "
    INSERT INTO P VALUES ('b', 'Bob', 17000); INSERT INTO P VALUES ('c', 'Cid', 45000);
    INSERT INTO S VALUES ('b', 7, 18000); INSERT INTO S VALUES ('c', 8, 40000);
    INSERT INTO R VALUES ('a', 9.75, 19000); INSERT INTO R VALUES ('c', 0.50, 41000);
";
const QUESTIONS: &str = "
    SELECT * FROM D; SELECT * FROM T; SELECT * FROM TT; SELECT * FROM W; SELECT * FROM V;
    SELECT K, V, N, ROWTIME FROM J; SELECT * FROM LN;";

fn kept() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data_directory")
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    let entries = fs::read_dir(from).unwrap().map(Result::unwrap);
    for entry in entries.filter(|entry| entry.file_name() != "lock") {
        match entry.file_type().unwrap().is_dir() {
            true => copy(&entry.path(), &to.join(entry.file_name())),
            false => drop(fs::copy(entry.path(), to.join(entry.file_name())).unwrap()),
        }
    }
}

fn once(site: &Site, sql: &str, workers: &str) -> Finished {
    let (script, data) = (site.script(sql), site.path("data"));
    let (script, data) = (script.to_str().unwrap(), data.to_str().unwrap());
    run(&["run", "--once", "--format", "json", "-w", workers, "--data-dir", data, "-q", QUESTIONS, script])
}

/// Rows of streams come in any order of their keys.
fn sorted(done: &Finished) -> Vec<&str> {
    let mut lines: Vec<&str> = done.stdout.lines().collect();
    lines.sort_unstable();
    lines
}

fn site() -> Site {
    let logs = ["d", "j"].map(|topic| format!("[topics.{topic}]\nconnector = \"log\"\n"));
    Site::new().and(&logs.concat())
}

#[test]
fn what_an_earlier_build_has_written_is_gone_on_from() {
    if std::env::var_os("WHARFE_REWRITE_DATA").is_some() {
        let site = site();
        let done = once(&site, SCRIPT, "2");
        assert_eq!(done.code, Some(0), "{done:?}");
        let _ = fs::remove_dir_all(kept());
        copy(&site.path("data"), &kept());
    }
    let all = format!("{SCRIPT}{LATER}");
    let fresh = once(&site(), &all, "1");
    assert_eq!(fresh.code, Some(0), "{fresh:?}");
    for workers in ["1", "2", "3"] {
        let site = site();
        copy(&kept(), &site.path("data"));
        let done = once(&site, &all, workers);
        assert_eq!(done.code, Some(0), "{done:?}");
        assert!(done.stderr.contains("going on from checkpoint"), "{done:?}");
        assert!(!done.stderr.contains("is new or was changed"), "{done:?}");
        assert_eq!(sorted(&done), sorted(&fresh), "{workers} workers");
    }
}
