//! Processes that are killed at random moments and started again: nothing is lost, nothing counted twice.
//!
//! A run without faults says what the answers and the stored topics must be. `WHARFE_KILLS=50` kills so
//! often; `WHARFE_SEED` repeats a run.

use crate::harness::{Process, Random, Site, binary, messages};
use std::collections::BTreeMap;
use std::time::Duration;

const SCRIPT: &str = "
    CREATE STREAM A (K VARCHAR, V INT) WITH (KAFKA_TOPIC='a', VALUE_FORMAT='DELIMITED');
    CREATE STREAM B (K VARCHAR, V INT) WITH (KAFKA_TOPIC='b', VALUE_FORMAT='JSON');
    CREATE STREAM BOTH WITH (KAFKA_TOPIC='both', VALUE_FORMAT='JSON', PARTITIONS=3)
        AS SELECT K, V, 'A' AS SOURCE FROM A PARTITION BY K;
    INSERT INTO BOTH SELECT K, V, 'B' AS SOURCE FROM B PARTITION BY K;
    CREATE TABLE T WITH (KAFKA_TOPIC='t', VALUE_FORMAT='JSON', PARTITIONS=2)
        AS SELECT K, COUNT(*) AS N, SUM(V) AS V, MAX(V) AS M, LATEST_BY_OFFSET(V) AS L,
                  COUNT_DISTINCT(V) AS D FROM BOTH GROUP BY K;
    CREATE TABLE TT AS SELECT M, COUNT(*) AS N FROM T GROUP BY M;
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
";

const QUESTIONS: [&str; 4] = [
    "SELECT * FROM T",
    "SELECT * FROM TT",
    "SELECT SOURCE_NAME, QUERY_ID, STAGE, ROWS_IN, ROWS_OUT, ROWS_REJECTED FROM WHARFE_BOOKS WHERE STAGE <> 'store'",
    "SELECT TOPIC, TOPIC_OFFSET, COLUMN_NAME, COUNT(*) AS N FROM WHARFE_REJECTS GROUP BY TOPIC, TOPIC_OFFSET, COLUMN_NAME",
];

/// Each key's rows of a source are in one file, and no file is so long that it is split: so they have an
/// order.
const FILES: u64 = 8;

fn site(rows: u64) -> Site {
    let site = Site::new().and(TOPOLOGY);
    std::fs::create_dir(site.path("a")).unwrap();
    std::fs::create_dir(site.path("b")).unwrap();
    let mut random = Random(7);
    for file in 0..FILES {
        let (mut a, mut b) = (String::new(), String::new());
        for i in 0..rows / FILES {
            let (key, value) = (random.below(100) * FILES + file, random.below(1_000));
            if i % 1_000 == 999 {
                a += "bad,row\n";
            }
            a += &format!("k{key},{value}\n");
            b += &format!("{{\"k\": \"k{key}\", \"v\": {value}}}\n");
        }
        site.write(&format!("a/{file}.csv"), a);
        site.write(&format!("b/{file}.json"), b);
    }
    site
}

fn args<'a>(script: &'a str, workers: &'a str) -> Vec<&'a str> {
    let mut args = vec!["run", "--once", "--data-dir", "data", "--format", "json", "-w", workers];
    args.extend(["--checkpoint-interval", "0.02"]);
    for question in QUESTIONS {
        args.extend(["-q", question]);
    }
    args.push(script);
    args
}

/// What a finished run leaves: its answers, the stream's messages, the table's last rows.
#[derive(Debug, PartialEq)]
struct Left {
    answers: String,
    both: Vec<String>,
    by_key: BTreeMap<String, Vec<String>>,
    table: BTreeMap<String, String>,
}

fn left(site: &Site, answers: String) -> Left {
    let print = |topic: &str| messages(&site.path(&format!("data/topics/{topic}")));
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
    Left { answers, both, by_key, table: print("t").into_iter().collect() }
}

fn seed() -> u64 {
    let given = std::env::var("WHARFE_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = given.unwrap_or_else(|| std::time::UNIX_EPOCH.elapsed().unwrap().as_nanos() as u64);
    println!("WHARFE_SEED={seed}");
    seed
}

fn kills(default: u64) -> u64 {
    std::env::var("WHARFE_KILLS").ok().and_then(|kills| kills.parse().ok()).unwrap_or(default)
}

fn check(workers: [&str; 3], kills: u64) {
    let seed = seed();
    let kills = self::kills(kills);
    let mut random = Random(seed);
    let rows = 160_000;
    let whole = site(rows);
    let script = whole.script(SCRIPT);
    let script = script.to_str().unwrap();
    let done = Process::start(command(&whole, script, "1", false)).finish();
    assert_eq!(done.code, Some(0), "{done:?}");
    let expected = left(&whole, done.stdout);

    let broken = site(rows);
    let script = broken.script(SCRIPT);
    let script = script.to_str().unwrap();
    let mut killed = 0;
    let mut attempt = 0;
    loop {
        let workers = workers[attempt % workers.len()];
        attempt += 1;
        let slow = killed < kills;
        let mut process = Process::start(command(&broken, script, workers, slow));
        if killed < kills {
            std::thread::sleep(Duration::from_millis(100 + random.below(1_200)));
            if !process.has_ended() {
                process.signal(libc::SIGKILL);
                killed += 1;
                process.finish();
                continue;
            }
        }
        let done = process.finish();
        assert_eq!(done.code, Some(0), "seed {seed}, after {killed} kills: {done:?}");
        println!("{killed} kills, {attempt} starts: {}", done.stderr.lines().last().unwrap_or_default());
        let found = left(&broken, done.stdout);
        assert!(found.answers == expected.answers, "seed {seed}: answers differ after {killed} kills");
        assert!(found.both == expected.both, "seed {seed}: the stored stream differs after {killed} kills");
        assert!(
            found.by_key == expected.by_key,
            "seed {seed}: the order of a key differs after {killed} kills"
        );
        assert!(found.table == expected.table, "seed {seed}: the stored table differs after {killed} kills");
        return;
    }
}

fn command(site: &Site, script: &str, workers: &str, slow: bool) -> std::process::Command {
    let mut command = binary(args(script, workers));
    command.current_dir(site.dir());
    if slow {
        // Small pieces: there is always something in the middle of its way.
        command.env("WHARFE_TICK_BYTES", "20000").env("WHARFE_BATCH_BYTES", "5000");
    }
    command
}

#[test]
fn a_killed_run_goes_on_where_it_was() {
    check(["1", "1", "1"], 5);
    check(["2", "2", "2"], 5);
    check(["4", "4", "4"], 5);
}

/// Topics in and out on a cluster: what readers of committed records find is there once, in order.
#[cfg(feature = "kafka")]
#[test]
fn a_killed_run_delivers_once_to_a_cluster() {
    let Some(broker) = crate::broker::Broker::real() else { return };
    let (toml, names) = broker.topology(&["a", "both", "t"]);
    let script = "
        CREATE STREAM A (K VARCHAR, V INT) WITH (KAFKA_TOPIC='a', VALUE_FORMAT='DELIMITED');
        CREATE STREAM BOTH WITH (KAFKA_TOPIC='both', VALUE_FORMAT='JSON', PARTITIONS=3)
            AS SELECT K, V FROM A PARTITION BY K;
        CREATE TABLE T WITH (KAFKA_TOPIC='t', VALUE_FORMAT='JSON', PARTITIONS=2)
            AS SELECT K, COUNT(*) AS N, SUM(V) AS V FROM BOTH GROUP BY K;";
    let mut random = Random(3);
    let rows: Vec<String> =
        (0..100_000).map(|_| format!("k{},{}", random.below(300), random.below(1_000))).collect();
    // One partition, so that the rows of a key have an order.
    broker.create(&names[0], 1);
    broker.produce(&names[0], 1, rows.iter().map(String::as_str));
    let mut expected: BTreeMap<String, (u64, u64, Vec<u64>)> = BTreeMap::new();
    for row in &rows {
        let (key, value) = row.split_once(',').unwrap();
        let entry = expected.entry(key.into()).or_default();
        let value = value.parse().unwrap();
        entry.0 += 1;
        entry.1 += value;
        entry.2.push(value);
    }

    let site = Site::new().and(&toml);
    let script = site.script(script);
    let script = script.to_str().unwrap();
    let seed = seed();
    let mut random = Random(seed);
    let (kills, mut killed) = (kills(5), 0);
    loop {
        let slow = killed < kills;
        let workers = ["1", "2", "4"][killed as usize % 3];
        let mut command = binary(["run", "--once", "--data-dir", "data", "--checkpoint-interval", "0.02"]);
        command
            .args(["-w", workers, "--format", "json", "-q", "SELECT * FROM T", script])
            .current_dir(site.dir());
        if slow {
            command.env("WHARFE_TICK_BYTES", "20000").env("WHARFE_BATCH_BYTES", "5000");
        }
        let mut process = Process::start(command);
        if slow {
            std::thread::sleep(Duration::from_millis(200 + random.below(2_000)));
            if !process.has_ended() {
                process.signal(libc::SIGKILL);
                killed += 1;
                process.finish();
                continue;
            }
        }
        let done = process.finish();
        assert_eq!(done.code, Some(0), "seed {seed}, after {killed} kills: {done:?}");
        break;
    }
    let mut found: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    for record in broker.committed(&names[1]) {
        let value: serde_json::Value = serde_json::from_str(&record.value.unwrap()).unwrap();
        found.entry(record.key.unwrap()).or_default().push(value["V"].as_u64().unwrap());
    }
    let lists: BTreeMap<String, Vec<u64>> = expected.iter().map(|(k, e)| (k.clone(), e.2.clone())).collect();
    let count: usize = found.values().map(Vec::len).sum();
    assert!(found == lists, "seed {seed}, {killed} kills: {count} records, not {} in order", rows.len());
    let mut last: BTreeMap<String, (u64, u64)> = BTreeMap::new();
    for record in broker.committed(&names[2]) {
        let value: serde_json::Value = serde_json::from_str(&record.value.unwrap()).unwrap();
        last.insert(record.key.unwrap(), (value["N"].as_u64().unwrap(), value["V"].as_u64().unwrap()));
    }
    let sums: BTreeMap<String, (u64, u64)> = expected.iter().map(|(k, e)| (k.clone(), (e.0, e.1))).collect();
    assert!(last == sums, "seed {seed}, {killed} kills: the table's topic ends in another state");
}

#[test]
fn another_number_of_workers_goes_on() {
    check(["1", "2", "3"], 6);
}

#[test]
fn a_finished_run_has_nothing_more_to_do() {
    let site = site(5_000);
    let script = site.script(SCRIPT);
    let script = script.to_str().unwrap();
    let first = Process::start(command(&site, script, "2", false)).finish();
    let second = Process::start(command(&site, script, "3", false)).finish();
    assert_eq!(first.stdout, second.stdout);
    assert!(second.stderr.contains("going on from checkpoint"), "{second:?}");
    assert!(second.stderr.contains("read 0 rows"), "{second:?}");
}
