//! Processes that are killed at random moments and started again: nothing is lost, nothing counted twice.
//!
//! Rows are written while the processes run, until the last one was killed. A run without faults over the
//! same rows says what the answers and the stored topics must be. `WHARFE_KILLS=50` kills so often;
//! `WHARFE_SEED` repeats the moments.

use crate::harness::{COARSE, Cut, Finished, Process, Random, Run, Served, Site, binary, messages};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

const SCRIPT: &str = "
    CREATE STREAM A (K VARCHAR, V INT, AT BIGINT)
        WITH (KAFKA_TOPIC='a', VALUE_FORMAT='DELIMITED', TIMESTAMP='AT');
    CREATE STREAM B (K VARCHAR, V INT, AT BIGINT)
        WITH (KAFKA_TOPIC='b', VALUE_FORMAT='JSON', TIMESTAMP='AT');
    CREATE STREAM BOTH WITH (KAFKA_TOPIC='both', VALUE_FORMAT='JSON', PARTITIONS=3)
        AS SELECT K, V, 'A' AS SOURCE FROM A PARTITION BY K;
    INSERT INTO BOTH SELECT K, V, 'B' AS SOURCE FROM B PARTITION BY K;
    CREATE TABLE T WITH (KAFKA_TOPIC='t', VALUE_FORMAT='JSON', PARTITIONS=2)
        AS SELECT K, COUNT(*) AS N, SUM(V) AS V, MAX(V) AS M, LATEST_BY_OFFSET(V) AS L,
                  COUNT_DISTINCT(V) AS D FROM BOTH GROUP BY K;
    CREATE TABLE TT AS SELECT M, COUNT(*) AS N FROM T GROUP BY M;
    CREATE TABLE S WITH (VALUE_FORMAT='JSON') AS SELECT K, COUNT(*) AS N, SUM(V) AS V, COLLECT_LIST(V) AS L
        FROM A WINDOW SESSION (900 MILLISECONDS, GRACE PERIOD 1 SECOND) GROUP BY K;
    CREATE TABLE F WITH (KAFKA_TOPIC='f', VALUE_FORMAT='JSON')
        AS SELECT K, COUNT(*) AS N, SUM(V) AS V, COLLECT_SET(V) AS L
        FROM B WINDOW SESSION (900 MILLISECONDS, GRACE PERIOD 1 SECOND) GROUP BY K EMIT FINAL;
    CREATE TABLE W WITH (KAFKA_TOPIC='w', VALUE_FORMAT='JSON')
        AS SELECT K, COUNT(*) AS N, SUM(V) AS V, COLLECT_LIST(V) AS L
        FROM A WINDOW TUMBLING (SIZE 2 SECONDS, GRACE PERIOD 1 SECOND) GROUP BY K EMIT FINAL;
    CREATE STREAM SMALL AS SELECT K, V FROM B WHERE V < 500;
    CREATE STREAM J WITH (KAFKA_TOPIC='j', VALUE_FORMAT='JSON') AS SELECT A.K AS K, A.V AS V, SMALL.V AS S
        FROM A LEFT JOIN SMALL WITHIN 2 SECONDS GRACE PERIOD 20 SECONDS ON A.K = SMALL.K;
    CREATE TABLE P (K VARCHAR PRIMARY KEY, NAME VARCHAR, AT BIGINT)
        WITH (KAFKA_TOPIC='p', VALUE_FORMAT='DELIMITED', TIMESTAMP='AT');
    CREATE STREAM E WITH (KAFKA_TOPIC='e', VALUE_FORMAT='JSON') AS SELECT A.K AS K, A.V AS V, P.NAME AS NAME
        FROM A LEFT JOIN P ON A.K = P.K;
    CREATE TABLE X AS SELECT T.K AS K, T.N AS N, TT.N AS OTHERS FROM T JOIN TT ON T.M = TT.M;
";

const TOPOLOGY: &str = "
    [topics.a]
    connector = \"file\"
    path = \"a\"
    [topics.b]
    connector = \"file\"
    path = \"b\"
    framing = \"json\"
    [topics.both]
    connector = \"log\"
    [topics.t]
    connector = \"log\"
    [topics.f]
    connector = \"log\"
    [topics.w]
    connector = \"log\"
    [topics.j]
    connector = \"log\"
    [topics.e]
    connector = \"log\"
    [topics.p]
    connector = \"file\"
    path = \"p.csv\"
    header = \"names\"
    key = [\"K\"]
";

const QUESTIONS: [&str; 8] = [
    "SELECT * FROM T",
    "SELECT * FROM TT",
    "SELECT * FROM S",
    "SELECT * FROM F",
    "SELECT * FROM W",
    "SELECT * FROM X",
    "SELECT SOURCE_NAME, QUERY_ID, STAGE, ROWS_IN, ROWS_OUT, ROWS_REJECTED FROM WHARFE_BOOKS WHERE STAGE <> 'store'",
    "SELECT TOPIC, TOPIC_OFFSET, COLUMN_NAME, COUNT(*) AS N FROM WHARFE_REJECTS GROUP BY TOPIC, TOPIC_OFFSET, COLUMN_NAME",
];

/// Each key's rows of a source are in one file: so they have an order.
const FILES: u64 = 8;

/// What is written to the files of both sources, piece by piece.
struct Rows {
    random: Random,
    written: u64,
}

impl Rows {
    fn write(&mut self, site: &Site, rows_a_file: u64) {
        for file in 0..FILES {
            let (mut a, mut b) = (String::new(), String::new());
            for _ in 0..rows_a_file {
                self.written += 1;
                let (key, value) = (self.random.below(100) * FILES + file, self.random.below(1_000));
                let at = self.written;
                if self.random.chance(1_000) {
                    a += &format!("bad,row,{at}\n");
                }
                a += &format!("k{key},{value},{at}\n");
                b += &format!("{{\"k\": \"k{key}\", \"v\": {value}, \"at\": {at}}}\n");
            }
            site.append(&format!("a/{file}.csv"), a);
            site.append(&format!("b/{file}.json"), b);
        }
    }
}

fn site(rows_a_file: u64) -> (Site, Rows) {
    let site = Site::new().and(TOPOLOGY);
    std::fs::create_dir(site.path("a")).unwrap();
    std::fs::create_dir(site.path("b")).unwrap();
    let names = (0..400).map(|i| format!("name {i},k{},0\n", 2 * i));
    site.append("p.csv", "name,k,at\n".to_string() + &names.collect::<String>());
    let mut rows = Rows { random: Random(7), written: 0 };
    rows.write(&site, rows_a_file);
    (site, rows)
}

/// Reads to the end of what is there, and answers.
fn once(site: &Site, script: &str, data: &str, workers: &str) -> Finished {
    let mut command = binary(["run", "--once", "--data-dir", data, "--format", "json", "-w", workers]);
    for question in QUESTIONS {
        command.args(["-q", question]);
    }
    command.arg(script).current_dir(site.dir());
    Process::start(command).finish()
}

/// What a finished run leaves: its answers, the stream's messages, the table's last rows.
#[derive(Debug, PartialEq)]
struct Left {
    answers: Vec<String>,
    both: Vec<String>,
    by_key: BTreeMap<String, Vec<String>>,
    table: BTreeMap<String, String>,
}

fn left(site: &Site, data: &str, answers: String) -> Left {
    let print = |topic: &str| messages(&site.path(&format!("{data}/topics/{topic}")));
    let mut by_key: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut both = Vec::new();
    for (key, value) in print("both") {
        by_key.entry(key.clone()).or_default().push(value.clone());
        both.push(format!("{key} {value}"));
    }
    // Rows of the two sources come in any order between each other; each source's come in its own.
    let by_source = |values: Vec<String>| -> Vec<String> {
        let (a, b): (Vec<_>, Vec<_>) = values.into_iter().partition(|v| v.contains("\"A\""));
        a.into_iter().chain(b).collect()
    };
    let by_key = by_key.into_iter().map(|(key, values)| (key, by_source(values))).collect();
    both.sort();
    // Rejects come in the order in which they were told.
    let mut answers: Vec<String> = answers.lines().map(str::to_string).collect();
    answers.sort();
    Left { answers, both, by_key, table: print("t").into_iter().collect() }
}

pub fn seed() -> u64 {
    let given = std::env::var("WHARFE_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = given.unwrap_or_else(|| std::time::UNIX_EPOCH.elapsed().unwrap().as_nanos() as u64);
    println!("WHARFE_SEED={seed}");
    seed
}

/// So often, unless the environment says how often.
pub fn kills(default: u64) -> u64 {
    wanted_kills().unwrap_or(default)
}

pub fn wanted_kills() -> Option<u64> {
    std::env::var("WHARFE_KILLS").ok().and_then(|kills| kills.parse().ok())
}

fn check(workers: &[&str], kills: u64) {
    let seed = seed();
    let kills = self::kills(kills);
    let mut random = Random(seed);
    let (site, mut rows) = site(1_000);
    let script = site.script(SCRIPT);
    let script = script.to_str().unwrap();
    let start = |killed: u64| {
        let mut command = live("0.02", workers[killed as usize % workers.len()], script);
        command.current_dir(site.dir());
        command
    };
    kill_while(kills, || 100 + random.below(1_200), start, || rows.write(&site, 20));
    let broken = once(&site, script, "data", workers[0]);
    assert_eq!(broken.code, Some(0), "seed {seed}, after {kills} kills: {broken:?}");
    let whole = once(&site, script, "whole", "1");
    assert_eq!(whole.code, Some(0), "{whole:?}");

    let (found, expected) = (left(&site, "data", broken.stdout), left(&site, "whole", whole.stdout));
    let (lost, repeated) = difference(&expected.both, &found.both);
    let after = format!(
        "seed {seed}, {} workers, {kills} kills, {} records: {lost} lost, {repeated} repeated; {}",
        workers.join(", "),
        expected.both.len(),
        broken.stderr.lines().find(|line| line.contains("going on from")).unwrap_or("no checkpoint"),
    );
    println!("{after}");
    assert!((lost, repeated) == (0, 0) && found.both == expected.both, "{after}");
    let more = |these: &[String], than: &[String]| {
        let mut rest = than.to_vec();
        let is_more = |answer: &&String| {
            let known = rest.iter().position(|other| other == *answer);
            known.map(|at| rest.swap_remove(at)).is_none()
        };
        these.iter().filter(is_more).cloned().collect::<Vec<_>>()
    };
    let wrong = more(&found.answers, &expected.answers);
    let missing = more(&expected.answers, &found.answers);
    assert!(found.answers == expected.answers, "{after}: {wrong:#?} instead of {missing:#?}");
    assert!(found.by_key == expected.by_key, "{after}: the order of a key differs");
    assert!(found.table == expected.table, "{after}: the stored table differs");
    for topic in ["f", "w", "j", "e"] {
        let print = |data: &str| {
            let mut all = messages(&site.path(&format!("{data}/topics/{topic}")));
            all.sort();
            all.into_iter().map(|(key, value)| format!("{key} {value}")).collect::<Vec<_>>()
        };
        let (expected, found) = (print("whole"), print("data"));
        let (lost, repeated) = difference(&expected, &found);
        assert!(
            !expected.is_empty() && (lost, repeated) == (0, 0),
            "{after}; of {topic} {lost} lost, {repeated} repeated"
        );
    }
}

/// How many of the expected are missing, and how many are found too often; both in order.
pub fn difference(expected: &[String], found: &[String]) -> (usize, usize) {
    let mut counts: BTreeMap<&str, i64> = BTreeMap::new();
    expected.iter().for_each(|record| *counts.entry(record).or_default() += 1);
    found.iter().for_each(|record| *counts.entry(record).or_default() -= 1);
    let (lost, repeated): (Vec<i64>, Vec<i64>) = counts.values().partition(|n| **n > 0);
    (lost.iter().sum::<i64>() as usize, -repeated.iter().sum::<i64>() as usize)
}

/// Starts a run again and again, which is killed after so many milliseconds each time; meanwhile its input
/// is written. `start` is told how often it was killed.
pub fn kill_while(
    kills: u64,
    mut after_ms: impl FnMut() -> u64,
    start: impl Fn(u64) -> Command,
    mut write: impl FnMut(),
) {
    for killed in 0..kills {
        let mut process = Process::start(start(killed));
        let end = Instant::now() + Duration::from_millis(after_ms());
        while Instant::now() < end {
            write();
            std::thread::sleep(Duration::from_millis(10));
        }
        if process.has_ended() {
            panic!("it ended by itself after {killed} kills: {:?}", process.finish());
        }
        process.signal(libc::SIGKILL);
        process.finish();
    }
}

/// A run that does not end by itself, and has always something in the middle of its way.
pub fn live(checkpoint_interval: &str, workers: &str, script: &str) -> Command {
    let mut command = binary(["run", "--listen", "127.0.0.1:0", "--data-dir", "data", "-w", workers]);
    command.args(["--checkpoint-interval", checkpoint_interval, script]);
    command.env("WHARFE_TICK_BYTES", "20000").env("WHARFE_BATCH_BYTES", "5000");
    // A tick closes when what was read before is through: with so small pieces that takes its time.
    command.env("WHARFE_INFLIGHT_BYTES", "1000000");
    command
}

#[test]
fn a_killed_run_goes_on_where_it_was() {
    check(&["1"], 5);
    check(&["2"], 5);
    check(&["4"], 5);
}

/// Topics in and out on a cluster: what readers of committed records find is there once, in order.
#[cfg(feature = "kafka")]
#[test]
fn a_killed_run_delivers_once_to_a_cluster() {
    let Some(broker) = crate::broker::Broker::real() else { return };
    match wanted_kills() {
        None => check_delivery(&broker, &["1", "2", "4"], 5),
        Some(kills) => ["1", "2", "4"].iter().for_each(|workers| check_delivery(&broker, &[workers], kills)),
    }
}

#[cfg(feature = "kafka")]
fn check_delivery(broker: &crate::broker::Broker, workers: &[&str], kills: u64) {
    let (toml, names) = broker.topology(&["a", "both", "t"]);
    let script = "
        CREATE STREAM A (K VARCHAR, V INT) WITH (KAFKA_TOPIC='a', VALUE_FORMAT='DELIMITED');
        CREATE STREAM BOTH WITH (KAFKA_TOPIC='both', VALUE_FORMAT='JSON', PARTITIONS=3)
            AS SELECT K, V FROM A PARTITION BY K;
        CREATE TABLE T WITH (KAFKA_TOPIC='t', VALUE_FORMAT='JSON', PARTITIONS=2)
            AS SELECT K, COUNT(*) AS N, SUM(V) AS V FROM BOTH GROUP BY K;";
    let mut random = Random(3);
    let mut expected: BTreeMap<String, (u64, u64, Vec<u64>)> = BTreeMap::new();
    // One partition, so that the rows of a key have an order.
    broker.create(&names[0], 1);
    let mut written = 0;
    let mut write = |rows: u64| {
        let rows: Vec<(u64, u64)> = (0..rows).map(|_| (random.below(300), random.below(1_000))).collect();
        let lines: Vec<String> = rows.iter().map(|(key, value)| format!("k{key},{value}")).collect();
        broker.produce_from(&names[0], 1, written, lines.iter().map(String::as_str));
        written += lines.len();
        for (key, value) in rows {
            let entry = expected.entry(format!("k{key}")).or_default();
            entry.0 += 1;
            entry.1 += value;
            entry.2.push(value);
        }
    };
    write(30_000);

    let site = Site::new().and(&toml);
    let script = site.script(script);
    let script = script.to_str().unwrap();
    let seed = seed();
    let mut random = Random(seed);
    let start = |killed: u64| {
        // The first time it is killed before there is any checkpoint.
        let interval = if killed == 0 { "100" } else { "0.02" };
        let mut command = live(interval, workers[killed as usize % workers.len()], script);
        command.current_dir(site.dir());
        command
    };
    kill_while(kills, || 200 + random.below(1_200), start, || write(300));
    let mut last = binary(["run", "--once", "--data-dir", "data", "-w", workers[0], "--format", "json"]);
    last.args(["-q", "SELECT * FROM T", script]).current_dir(site.dir());
    let done = Process::start(last).finish();
    assert_eq!(done.code, Some(0), "seed {seed}, after {kills} kills: {done:?}");

    let mut found: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    for record in broker.committed(&names[1]) {
        let value: serde_json::Value = serde_json::from_str(&record.value.unwrap()).unwrap();
        found.entry(record.key.unwrap()).or_default().push(value["V"].as_u64().unwrap());
    }
    let lists: BTreeMap<String, Vec<u64>> = expected.iter().map(|(k, e)| (k.clone(), e.2.clone())).collect();
    let records = |lists: &BTreeMap<String, Vec<u64>>| -> Vec<String> {
        lists.iter().flat_map(|(key, values)| values.iter().map(move |v| format!("{key} {v}"))).collect()
    };
    let (lost, repeated) = difference(&records(&lists), &records(&found));
    let after = format!(
        "seed {seed}, {} workers, {kills} kills, {} records: {lost} lost, {repeated} repeated; {}",
        workers.join(", "),
        records(&lists).len(),
        done.stderr.lines().find(|line| line.contains("going on from")).unwrap_or("no checkpoint"),
    );
    println!("{after}");
    assert_eq!((lost, repeated), (0, 0), "{after}");
    assert!(found == lists, "{after}: the order of a key differs");
    let mut last: BTreeMap<String, (u64, u64)> = BTreeMap::new();
    for record in broker.committed(&names[2]) {
        let value: serde_json::Value = serde_json::from_str(&record.value.unwrap()).unwrap();
        last.insert(record.key.unwrap(), (value["N"].as_u64().unwrap(), value["V"].as_u64().unwrap()));
    }
    let sums: BTreeMap<String, (u64, u64)> = expected.iter().map(|(k, e)| (k.clone(), (e.0, e.1))).collect();
    assert!(last == sums, "{after}: the table's topic ends in another state");
}

#[test]
fn another_number_of_workers_goes_on() {
    check(&["1", "2", "3"], 6);
}

const APART: &str = "
    CREATE STREAM S (K VARCHAR, V INT, AT BIGINT)
        WITH (KAFKA_TOPIC='s', VALUE_FORMAT='DELIMITED', TIMESTAMP='AT');
    CREATE STREAM R (K VARCHAR, V INT, AT BIGINT)
        WITH (KAFKA_TOPIC='r', VALUE_FORMAT='DELIMITED', TIMESTAMP='AT');
    CREATE TABLE D (K VARCHAR PRIMARY KEY, V INT, AT BIGINT)
        WITH (KAFKA_TOPIC='d', VALUE_FORMAT='DELIMITED', TIMESTAMP='AT');
    CREATE STREAM J WITH (KAFKA_TOPIC='j', VALUE_FORMAT='JSON') AS SELECT ROWKEY AS K, S.V AS V, R.V AS R
        FROM S FULL OUTER JOIN R WITHIN 40 MILLISECONDS GRACE PERIOD 40 MILLISECONDS ON S.K = R.K;
    CREATE STREAM E WITH (KAFKA_TOPIC='e', VALUE_FORMAT='JSON') AS SELECT S.K AS K, S.V AS V, D.V AS D
        FROM S LEFT JOIN D ON S.K = D.K;
    CREATE TABLE W AS SELECT K, COUNT(*) AS N, SUM(V) AS V
        FROM S WINDOW SESSION (30 MILLISECONDS, GRACE PERIOD 0 SECONDS) GROUP BY K;
";

/// Rows that are read long before others of the same time wait for them, in checkpoints as well: what joins and
/// sessions make hangs neither on kills nor on what there is room for.
#[test]
fn rows_that_wait_for_other_sources_outlive_a_kill() {
    let seed = seed();
    let mut random = Random(seed);
    let topics = ["j", "e"].map(|topic| format!("[topics.{topic}]\nconnector = \"log\"\n"));
    let files = ["s", "r"].map(|t| format!("[topics.{t}]\nconnector = \"file\"\npath = \"{t}-*.csv\"\n"));
    let table = "[topics.d]\nconnector = \"file\"\npath = \"d.csv\"\nkey = [\"K\"]\n";
    let site = Site::new().and(&(topics.concat() + &files.concat() + table));
    let mut rows = Random(11);
    let mut text = |from: u64, rows_there: u64, value: u64| {
        let row = |i: u64| {
            format!("k{},{},{}\n", rows.below(40), value + i, from + i * 3 - rows.below(20).min(from))
        };
        (0..rows_there).map(row).collect::<String>()
    };
    // The one that is read first is the last in time.
    for (name, from) in [("s-0", 6_000), ("s-1", 3_000), ("s-2", 0), ("r-0", 4_000), ("r-1", 1_000)] {
        site.write(&format!("{name}.csv"), text(from, 2_000, from));
    }
    site.write("d.csv", text(2_000, 2_000, 50_000));
    let script = site.script(APART);
    let script = script.to_str().unwrap();
    let workers = ["1", "2", "4", "3"];
    let start = |killed: u64| {
        let mut command = live("0.01", workers[killed as usize % workers.len()], script);
        // What waits is kept for want of room, or because a checkpoint comes.
        let room = if killed.is_multiple_of(2) { "20000" } else { "1000000" };
        command.env("WHARFE_INFLIGHT_BYTES", room).env("WHARFE_BATCH_BYTES", "1000");
        command.current_dir(site.dir());
        command
    };
    kill_while(kills(6), || 100 + random.below(500), start, || ());
    let finish = |data: &str, workers: &str| {
        let mut command = binary(["run", "--once", "--data-dir", data, "-w", workers, "--format", "json"]);
        command.args(["-q", "SELECT * FROM W", script]).current_dir(site.dir());
        let done = Process::start(command).finish();
        assert_eq!(done.code, Some(0), "seed {seed}: {done:?}");
        let mut sessions: Vec<String> = done.stdout.lines().map(String::from).collect();
        sessions.sort();
        sessions
    };
    let (found, expected) = (finish("data", "2"), finish("whole", "1"));
    assert!(expected.len() > 1_000, "sessions: {}", expected.len());
    assert_eq!(difference(&expected, &found), (0, 0), "of sessions: lost, repeated; seed {seed}");
    for topic in ["j", "e"] {
        let left = |data: &str| {
            let mut all = messages(&site.path(&format!("{data}/topics/{topic}")));
            all.sort();
            all.into_iter().map(|(key, value)| format!("{key} {value}")).collect::<Vec<_>>()
        };
        let (expected, found) = (left("whole"), left("data"));
        assert!(expected.len() > 1_000, "{topic}: {}", expected.len());
        assert_eq!(difference(&expected, &found), (0, 0), "of {topic}: lost, repeated; seed {seed}");
    }
}

const UNTIMED: &str = "
    CREATE STREAM S (K VARCHAR, V INT) WITH (KAFKA_TOPIC='s', VALUE_FORMAT='DELIMITED');
    CREATE TABLE T WITH (VALUE_FORMAT='JSON') AS
        SELECT K, LATEST_BY_OFFSET(V) AS LAST, EARLIEST_BY_OFFSET(V) AS FIRST, COLLECT_LIST(V) AS L
        FROM S GROUP BY K;
";

/// Rows without a time of their own stay in the order of their file, over any number of starts.
#[test]
fn a_killed_run_keeps_the_order_of_a_file_without_times() {
    let seed = seed();
    let mut random = Random(seed);
    let site = Site::new().with("s", "s.csv", "");
    let script = site.script(UNTIMED);
    let script = script.to_str().unwrap();
    let mut lists: BTreeMap<u64, Vec<String>> = BTreeMap::new();
    let (mut keys, mut written) = (Random(3), 0);
    let mut write = |rows: u64| {
        let mut text = String::new();
        for _ in 0..rows {
            let key = keys.below(20);
            text += &format!("k{key},{written}\n");
            lists.entry(key).or_default().push(written.to_string());
            written += 1;
        }
        site.append("s.csv", text);
    };
    write(5_000);
    let workers = ["1", "2", "4", "3"];
    let start = |killed: u64| {
        let mut command = live("0.02", workers[killed as usize % workers.len()], script);
        command.current_dir(site.dir());
        command
    };
    kill_while(kills(8), || 100 + random.below(1_000), start, || write(50));
    let mut last = binary(["run", "--once", "--data-dir", "data", "-w", "2", "--format", "json"]);
    last.args(["-q", "SELECT * FROM T ORDER BY K", script]).current_dir(site.dir());
    let done = Process::start(last).finish();
    assert_eq!(done.code, Some(0), "seed {seed}: {done:?}");
    let expected = lists.iter().map(|(key, list)| {
        let (first, last) = (&list[0], &list[list.len() - 1]);
        format!(r#"{{"K":"k{key}","LAST":{last},"FIRST":{first},"L":[{}]}}"#, list.join(","))
    });
    let mut expected: Vec<String> = expected.collect();
    expected.sort();
    let mut found: Vec<&str> = done.stdout.lines().collect();
    found.sort();
    for (found, expected) in found.iter().zip(&expected) {
        assert_eq!(found, expected, "seed {seed}");
    }
    assert_eq!(found.len(), expected.len(), "seed {seed}");
}

#[test]
fn a_finished_run_has_nothing_more_to_do() {
    let (site, _) = site(600);
    let script = site.script(SCRIPT);
    let script = script.to_str().unwrap();
    let first = once(&site, script, "data", "2");
    let second = once(&site, script, "data", "3");
    assert_eq!(first.stdout, second.stdout);
    assert!(second.stderr.contains("going on from checkpoint"), "{second:?}");
    assert!(second.stderr.contains("read 0 rows"), "{second:?}");
}

const COUNT: &str = "
    CREATE STREAM S (K VARCHAR, V INT) WITH (KAFKA_TOPIC='s', VALUE_FORMAT='DELIMITED');
    CREATE TABLE T AS SELECT K, COUNT(*) AS N, SUM(V) AS V FROM S GROUP BY K;
";
const TWO: Cut = Cut { workers: 2, tick_ms: 1, ..COARSE };

/// A run on a directory that has two checkpoints: of one row, and of two.
fn with_checkpoints() -> Site {
    let site = Site::new().keeping_data().with("s", "s.csv", "");
    for (line, rows) in [("a,1\n", 1), ("b,2\n", 2)] {
        let mut run = Run::live(&site, TWO, COUNT);
        site.append("s.csv", line);
        run.until("SELECT * FROM T", |found| found.len() == rows);
    }
    site
}

fn checkpoints(site: &Site) -> Vec<PathBuf> {
    let mut dirs: Vec<PathBuf> =
        std::fs::read_dir(site.path("data/checkpoints")).unwrap().map(|e| e.unwrap().path()).collect();
    dirs.sort();
    dirs
}

/// Every state file of a checkpoint that has something in it.
fn states(checkpoint: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut dirs = vec![checkpoint.to_path_buf()];
    while let Some(dir) = dirs.pop() {
        for entry in std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().path()) {
            match entry.is_dir() {
                true => dirs.push(entry),
                false if entry.extension().is_some_and(|e| e == "log") => files.push(entry),
                false => {}
            }
        }
    }
    files.retain(|file| file.metadata().unwrap().len() > 0);
    files
}

#[test]
fn a_damaged_checkpoint_is_passed_over() {
    let flip = |file: &Path| {
        let mut bytes = std::fs::read(file).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 4;
        std::fs::write(file, bytes).unwrap();
    };
    let tear = |file: &Path| {
        let len = file.metadata().unwrap().len();
        std::fs::OpenOptions::new().write(true).open(file).unwrap().set_len(len - 3).unwrap();
    };
    let damages: [&dyn Fn(&Path); 4] = [
        &|dir| flip(&states(dir)[0]),
        &|dir| tear(states(dir).last().unwrap()),
        &|dir| flip(&dir.join("manifest")),
        &|dir| std::fs::remove_file(dir.join("manifest")).unwrap(),
    ];
    for damage in damages {
        let site = with_checkpoints();
        let found = checkpoints(&site);
        assert_eq!(found.len(), 2);
        damage(&found[1]);
        let mut run = Run::live(&site, TWO, COUNT);
        site.append("s.csv", "a,10\n");
        run.until("SELECT * FROM T", |rows| {
            rows == [r#"{"K":"a","N":2,"V":11}"#, r#"{"K":"b","N":1,"V":2}"#]
        });
    }
    // Where none is whole, nothing is guessed.
    let site = with_checkpoints();
    checkpoints(&site).iter().for_each(|dir| flip(&dir.join("manifest")));
    let script = site.script(COUNT);
    let mut command = binary(["run", "--once", "--data-dir", "data", script.to_str().unwrap()]);
    command.current_dir(site.dir());
    let done = Process::start(command).finish();
    assert_eq!(done.code, Some(1), "{done:?}");
    assert!(done.stderr.contains("no checkpoint in data can be used: checkpoint 2 is damaged"), "{done:?}");
    assert!(done.stderr.contains("remove its checkpoints directory"), "{done:?}");
}

#[test]
fn a_checkpoint_of_another_version_is_refused() {
    let site = with_checkpoints();
    for dir in checkpoints(&site) {
        let text = std::fs::read_to_string(dir.join("manifest")).unwrap();
        // Other versions write other fields.
        let json = format!("{{\"version\":1,\"of\":{:?}}}", text.lines().nth(1).unwrap());
        let crc = crc32fast::hash(json.as_bytes());
        std::fs::write(dir.join("manifest"), format!("{crc:08x}\n{json}")).unwrap();
    }
    let script = site.script(COUNT);
    let mut command = binary(["run", "--once", "--data-dir", "data", script.to_str().unwrap()]);
    command.current_dir(site.dir());
    let done = Process::start(command).finish();
    assert_eq!(done.code, Some(1), "{done:?}");
    let said = "no checkpoint in data can be used: checkpoint 2 was taken by another version of Wharfe";
    assert!(done.stderr.contains(said), "{done:?}");
    assert!(done.stderr.contains("remove its checkpoints directory"), "{done:?}");
}

/// A checkpoint holds what has changed since the one before; from time to time one holds all again.
#[test]
fn changes_are_added_to_what_earlier_checkpoints_hold() {
    let script = "
        CREATE STREAM S (K VARCHAR, V INT) WITH (KAFKA_TOPIC='s', VALUE_FORMAT='DELIMITED');
        CREATE TABLE T AS SELECT K, COUNT(*) AS N, SUM(V) AS V, COUNT_DISTINCT(V) AS D FROM S GROUP BY K;";
    let rows: String = (0..20_000).map(|i| format!("k{},{}\n", i % 5_000, i / 5_000)).collect();
    let site = Site::new().with("s", "s.csv", rows);
    let script = site.script(script);
    let data = site.path("data");
    let args = ["--data-dir", data.to_str().unwrap(), "--checkpoint-interval", "0.02"];
    let numbers = || -> Vec<u64> {
        let entries = std::fs::read_dir(data.join("checkpoints")).into_iter().flatten();
        let mut numbers: Vec<u64> =
            entries.filter_map(|e| e.unwrap().file_name().to_str()?.parse().ok()).collect();
        numbers.sort();
        numbers
    };
    let size = |number: u64| -> u64 {
        let files = states(&data.join(format!("checkpoints/{number}")));
        files.iter().map(|file| file.metadata().unwrap().len()).sum()
    };
    let told = |served: &Served| {
        let question = r#"{"sql": "SELECT N, D FROM T WHERE K = 'k7';"}"#;
        served.post("/query-stream", "application/json", question).body
    };
    let of_k7 = |rows: u64| format!("[{rows},{rows}]");
    let until = |what: &str, is_so: &dyn Fn() -> bool| {
        let started = std::time::Instant::now();
        while !is_so() {
            assert!(started.elapsed() < crate::harness::DEADLINE, "{what}");
        }
    };
    let (mut wholes, mut changes) = (0, 0);
    for round in 0..3 {
        let served = Served::start(&script, &args);
        until("the state is restored", &|| told(&served).contains(&of_k7(4 + 20 * round)));
        for i in 0..20 {
            let before = numbers().last().copied().unwrap_or(0);
            // A value goes from one of the elements to a new one.
            site.append("s.csv", format!("k7,{}\n", 100 + round * 20 + i));
            until("a checkpoint is taken", &|| numbers().last().is_some_and(|last| *last > before));
            let last = *numbers().last().unwrap();
            match size(last) {
                0..2_000 => changes += 1,
                300_000.. => wholes += 1,
                other => panic!("checkpoint {last} has {other} bytes"),
            }
        }
        until("all is told", &|| told(&served).contains(&of_k7(24 + 20 * round)));
        served.process.signal(libc::SIGKILL);
        served.process.finish();
    }
    assert!(wholes >= 3, "each start begins with a whole one: {wholes}");
    assert!(changes > 10 * wholes, "{changes} checkpoints of changes, {wholes} whole ones");
    assert!(numbers().len() < 80, "{:?}", numbers());
}

#[test]
fn a_checkpoint_that_cannot_be_written_costs_nothing() {
    let site = Site::new().keeping_data().with("s", "s.csv", "a,1\n");
    let mut run = Run::live(&site, TWO, COUNT);
    run.until("SELECT * FROM T", |found| found.len() == 1);
    let _ = std::fs::remove_dir_all(site.path("data/checkpoints"));
    std::fs::write(site.path("data/checkpoints"), "in the way").unwrap();
    site.append("s.csv", "b,2\n");
    run.until("SELECT * FROM T", |found| found.len() == 2);
    drop(run);
    std::fs::remove_file(site.path("data/checkpoints")).unwrap();
    let mut run = Run::live(&site, TWO, COUNT);
    run.until("SELECT SUM(N) AS N FROM T", |found| found == [r#"{"N":2}"#]);
    drop(run);
    assert_eq!(checkpoints(&site).len(), 1);
}

#[test]
fn new_and_changed_queries_are_computed_from_the_start() {
    let site = Site::new().keeping_data().with("s", "s.csv", "a,1\nb,2\n");
    let mut run = Run::live(&site, TWO, COUNT);
    run.until("SELECT * FROM T", |rows| rows.len() == 2);
    run.read_from("earliest");
    run.done("CREATE TABLE ASKED AS SELECT V, COUNT(*) AS N FROM S GROUP BY V");
    run.until("SELECT * FROM ASKED", |rows| rows.len() == 2);
    drop(run);
    site.append("s.csv", "a,3\n");
    let changed = format!(
        "CREATE STREAM BEFORE (X INT) WITH (KAFKA_TOPIC='x', VALUE_FORMAT='JSON'); {} {}",
        COUNT.replace("SUM(V)", "MAX(V)"),
        "CREATE STREAM D AS SELECT K, V * 10 AS V FROM S;
         CREATE TABLE NEW AS SELECT K, SUM(V) AS V FROM D GROUP BY K;"
    );
    for line in ["b,4\n", "b,4\n"] {
        let mut run = Run::live(&site, TWO, &changed);
        let b = site.lines("s.csv", "b,4");
        run.until("SELECT * FROM T", |rows| {
            rows == [
                r#"{"K":"a","N":2,"V":3}"#.to_string(),
                format!(r#"{{"K":"b","N":{},"V":{}}}"#, 1 + b, if b > 0 { 4 } else { 2 }),
            ]
        });
        run.until("SELECT * FROM NEW", |rows| {
            rows == [r#"{"K":"a","V":40}"#.to_string(), format!(r#"{{"K":"b","V":{}}}"#, 20 + 40 * b)]
        });
        // What was asked for while the first one ran is still there.
        run.until("SELECT SUM(N) AS N FROM ASKED", |rows| rows == [format!(r#"{{"N":{}}}"#, 3 + b)]);
        site.append("s.csv", line);
        run.until("SELECT SUM(N) AS N FROM ASKED", |rows| rows == [format!(r#"{{"N":{}}}"#, 4 + b)]);
    }
    // A query that is gone has left its rows in what stays.
    let fed = "
        CREATE STREAM R (K VARCHAR, V INT) WITH (KAFKA_TOPIC='r', VALUE_FORMAT='JSON');
        INSERT INTO R VALUES ('r', 1);
        CREATE STREAM `all:` WITH (KAFKA_TOPIC='all') AS SELECT * FROM R;
        CREATE TABLE N AS SELECT K, COUNT(*) AS N FROM `all:` GROUP BY K;";
    let other = Site::new().keeping_data().with("s", "s.csv", "a,1\n");
    let both = format!("{COUNT} {fed} INSERT INTO `all:` SELECT * FROM S;");
    let mut run = Run::live(&other, TWO, &both);
    run.until("SELECT * FROM N", |rows| rows.len() == 2);
    drop(run);
    let script = other.script(&format!("{COUNT} {fed}"));
    let mut command = binary(["run", "--once", "--data-dir", "data"]);
    command.arg(script).current_dir(other.dir());
    let done = Process::start(command).finish();
    assert_eq!(done.code, Some(2), "{done:?}");
    assert!(
        done.stderr
            .contains("lost or changed a query that writes all:, whose rows are in the state of CTAS_N"),
        "{done:?}"
    );
}
