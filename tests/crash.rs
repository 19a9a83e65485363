//! Processes that are killed at random moments and started again: nothing is lost, nothing counted twice.
//!
//! A run without faults says what the answers and the stored topics must be. `WHARFE_KILLS=50` kills so
//! often; `WHARFE_SEED` repeats a run.

use crate::harness::{COARSE, Cut, Finished, Process, Random, Run, Served, Site, binary, messages};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
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
    let start = |killed: u64, slow| command(&broken, script, workers[killed as usize % workers.len()], slow);
    let (done, killed) = killed_until_done(kills, || 100 + random.below(1_200), start);
    assert_eq!(done.code, Some(0), "seed {seed}, after {killed} kills: {done:?}");
    println!("{killed} kills: {}", done.stderr.lines().last().unwrap_or_default());
    let found = left(&broken, done.stdout);
    assert!(found.answers == expected.answers, "seed {seed}: answers differ after {killed} kills");
    assert!(found.both == expected.both, "seed {seed}: the stored stream differs after {killed} kills");
    assert!(found.by_key == expected.by_key, "seed {seed}: the order of a key differs after {killed} kills");
    assert!(found.table == expected.table, "seed {seed}: the stored table differs after {killed} kills");
}

/// Starts a run again and again, which is killed after so many milliseconds each time, until it is through
/// or was killed so often: then it is let through. `start` is told how often it was killed, and whether it
/// shall be slow. What the last one left, and how often it was killed.
fn killed_until_done(
    kills: u64,
    mut after_ms: impl FnMut() -> u64,
    start: impl Fn(u64, bool) -> std::process::Command,
) -> (Finished, u64) {
    for killed in 0..kills {
        let mut process = Process::start(start(killed, true));
        std::thread::sleep(Duration::from_millis(after_ms()));
        if process.has_ended() {
            return (process.finish(), killed);
        }
        process.signal(libc::SIGKILL);
        process.finish();
    }
    (Process::start(start(kills, false)).finish(), kills)
}

fn command(site: &Site, script: &str, workers: &str, slow: bool) -> std::process::Command {
    let mut command = binary(args(script, workers));
    command.current_dir(site.dir());
    if slow {
        in_small_pieces(&mut command);
    }
    command
}

/// There is always something in the middle of its way.
fn in_small_pieces(command: &mut std::process::Command) {
    command.env("WHARFE_TICK_BYTES", "20000").env("WHARFE_BATCH_BYTES", "5000");
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
    let start = |killed: u64, slow: bool| {
        let workers = ["1", "2", "4"][killed as usize % 3];
        // The first time it is killed before there is any checkpoint.
        let interval = if killed == 0 { "100" } else { "0.02" };
        let mut command = binary(["run", "--once", "--data-dir", "data", "--checkpoint-interval", interval]);
        command
            .args(["-w", workers, "--format", "json", "-q", "SELECT * FROM T", script])
            .current_dir(site.dir());
        if slow {
            in_small_pieces(&mut command);
        }
        command
    };
    let (done, killed) = killed_until_done(kills(5), || 150 + random.below(700), start);
    assert_eq!(done.code, Some(0), "seed {seed}, after {killed} kills: {done:?}");
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
    println!("{killed} kills");
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
