//! What goes on: files that grow, queries that come and go while data flows, push queries.

use crate::harness::{COARSE, Cut, DEADLINE, Run, Site, Watch, messages};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use wharfe::connector::{GeneratorSpec, generator};
use wharfe::engine::{AnswerEnd, Outcome};

const CUT: Cut = Cut { workers: 2, tick_ms: 1, ..COARSE };

const COUNT: &str = "
    CREATE STREAM S (K VARCHAR, V INT) WITH (KAFKA_TOPIC='s', VALUE_FORMAT='DELIMITED');
    CREATE TABLE T AS SELECT K, COUNT(*) AS N, SUM(V) AS V FROM S GROUP BY K;
";

/// A followed file with one row for `a`, all of it counted.
fn counting() -> (Site, Run) {
    let site = Site::new().with("s", "s.csv", "a,1\n");
    let mut run = Run::live(&site, CUT, COUNT);
    run.until("SELECT * FROM T", |rows| rows == [r#"{"K":"a","N":1,"V":1}"#]);
    (site, run)
}

fn ended(watch: &mut Watch) -> AnswerEnd {
    assert_eq!(watch.next(), None);
    match watch.end.take() {
        Some(Ok(end)) => end,
        other => panic!("it ended with {other:?}"),
    }
}

#[test]
fn a_followed_file_grows() {
    let (site, mut run) = counting();
    site.append("s.csv", "b,2\na,3\nb,");
    run.until("SELECT K, N FROM T", |rows| rows == [r#"{"K":"a","N":2}"#, r#"{"K":"b","N":1}"#]);
    // The rest of a line that was not complete.
    site.append("s.csv", "40\nx\n");
    run.until("SELECT V FROM T WHERE K = 'b'", |rows| rows == [r#"{"V":42}"#]);
    run.until("SELECT RAW FROM WHARFE_REJECTS", |rows| rows == [r#"{"RAW":"eA=="}"#]);
    crate::books::check(&mut run);
}

#[test]
fn files_may_come_later() {
    let site = Site::new()
        .with("one", "in-1.csv", "a,1\n")
        .and("[topics.s]\nconnector = \"file\"\npath = \"in-*.csv\"");
    let mut run = Run::live(&site, CUT, COUNT);
    run.until("SELECT N FROM T", |rows| rows == [r#"{"N":1}"#]);
    site.append("in-2.csv", "a,2\n");
    run.until("SELECT N FROM T", |rows| rows == [r#"{"N":2}"#]);
    site.append("in-1.csv", "a,3\n");
    run.until("SELECT N, V FROM T", |rows| rows == [r#"{"N":3,"V":6}"#]);
}

#[test]
fn a_push_query_on_a_table_sends_what_is_there_then_each_change() {
    let (site, mut run) = counting();
    let mut watch = run.open("SELECT * FROM T EMIT CHANGES");
    assert_eq!(watch.take(1), [r#"{"K":"a","N":1,"V":1}"#]);
    let mut some = run.open("SELECT K, V FROM T WHERE V > 4 EMIT CHANGES LIMIT 2");
    for (line, changed) in [
        ("a,2\n", r#"{"K":"a","N":2,"V":3}"#),
        ("b,5\n", r#"{"K":"b","N":1,"V":5}"#),
        ("a,2\n", r#"{"K":"a","N":3,"V":5}"#),
    ] {
        site.append("s.csv", line);
        assert_eq!(watch.take(1), [changed]);
    }
    assert_eq!(some.rest(), [r#"{"K":"b","V":5}"#, r#"{"K":"a","V":5}"#]);
    assert!(matches!(some.end, Some(Ok(AnswerEnd::LimitReached))));
    assert!(run.engine.close_query(&watch.answer.id));
    assert_eq!(ended(&mut watch), AnswerEnd::Completed);
    assert!(!run.engine.close_query(&watch.answer.id));
}

/// From `latest`: of what it is made of as well, be it a table, two of them, or groups of rows of one.
#[test]
fn a_push_query_on_a_table_may_send_changes_only() {
    for workers in [1, 3] {
        let site = Site::new().with("s", "s.csv", "a,1\nb,1\nc,5\n");
        let script = format!("{COUNT} CREATE TABLE U AS SELECT K, V * 2 AS W FROM T;");
        let mut run = Run::live(&site, CUT.workers(workers), &script);
        run.until("SELECT COUNT(*) AS N FROM U", |rows| rows == [r#"{"N":3}"#]);
        run.read_from("latest");
        let mut rows = run.open("SELECT * FROM T EMIT CHANGES");
        let mut some = run.open("SELECT K FROM T WHERE V > 1 EMIT CHANGES");
        let mut groups = run.open("SELECT V, COUNT(*) AS N FROM T GROUP BY V EMIT CHANGES");
        let mut joined = run.open("SELECT T.K AS K, V, W FROM T JOIN U ON T.K = U.K EMIT CHANGES");
        let mut part =
            run.open("SELECT N FROM (SELECT V, COUNT(*) AS N FROM T GROUP BY V) EMIT CHANGES LIMIT 2");
        // Answered when the queries above have been installed.
        run.ask("SELECT * FROM T");
        site.append("s.csv", "b,3\n");
        assert_eq!(rows.take(1), [r#"{"K":"b","N":2,"V":4}"#]);
        assert_eq!(some.take(1), [r#"{"K":"b"}"#]);
        let mut changed = groups.take(2);
        changed.sort();
        assert_eq!(changed, [r#"{"V":1,"N":1}"#, r#"{"V":4,"N":1}"#], "{workers} workers");
        assert_eq!(joined.take(1), [r#"{"K":"b","V":4,"W":8}"#]);
        assert_eq!(part.rest(), [r#"{"N":1}"#, r#"{"N":1}"#]);
    }
}

#[test]
fn rows_that_leave_a_table_are_told() {
    let site = Site::new();
    let mut run = Run::live(
        &site,
        CUT,
        "CREATE STREAM RAW (K VARCHAR KEY, V VARCHAR) WITH (KAFKA_TOPIC='t', VALUE_FORMAT='KAFKA');
         CREATE TABLE T (K VARCHAR PRIMARY KEY, V VARCHAR) WITH (KAFKA_TOPIC='t', VALUE_FORMAT='KAFKA');
         CREATE TABLE BY_V AS SELECT V, COUNT(*) AS N FROM T GROUP BY V;",
    );
    let mut rows = run.open("SELECT * FROM T EMIT CHANGES");
    let mut groups = run.open("SELECT * FROM BY_V EMIT CHANGES");
    let cases: [(&str, &str, &[&str]); 4] = [
        ("('a', 'x')", r#"{"K":"a","V":"x"}"#, &[r#"{"V":"x","N":1}"#]),
        ("('b', 'x')", r#"{"K":"b","V":"x"}"#, &[r#"{"V":"x","N":2}"#]),
        ("('a', NULL)", r#"{"K":"a","V":null,"@deleted":true}"#, &[r#"{"V":"x","N":1}"#]),
        (
            "('b', 'y')",
            r#"{"K":"b","V":"y"}"#,
            &[r#"{"V":"x","N":null,"@deleted":true}"#, r#"{"V":"y","N":1}"#],
        ),
    ];
    for (values, row, changes) in cases {
        run.done(&format!("INSERT INTO RAW VALUES {values}"));
        assert_eq!(rows.take(1), [row]);
        let mut changed = groups.take(changes.len());
        changed.sort();
        assert_eq!(changed, changes);
    }
}

#[test]
fn a_push_query_on_a_stream_starts_where_it_is_told() {
    let (site, mut run) = counting();
    let mut all = run.open("SELECT K, V FROM S EMIT CHANGES");
    run.read_from("latest");
    let mut new = run.open("SELECT K, V + 100 AS V FROM S WHERE K <> 'z' EMIT CHANGES LIMIT 2");
    let mut grouped = run.open("SELECT K, COUNT(*) AS N FROM S GROUP BY K EMIT CHANGES");
    // Answered when the queries above have been installed.
    run.ask("SELECT * FROM T");
    site.append("s.csv", "z,0\nb,2\n");
    assert_eq!(all.take(3), [r#"{"K":"a","V":1}"#, r#"{"K":"z","V":0}"#, r#"{"K":"b","V":2}"#]);
    assert_eq!(new.take(1), [r#"{"K":"b","V":102}"#]);
    let mut groups = grouped.take(2);
    groups.sort();
    assert_eq!(groups, [r#"{"K":"b","N":1}"#, r#"{"K":"z","N":1}"#]);
    site.append("s.csv", "b,3\n");
    assert_eq!(all.take(1), [r#"{"K":"b","V":3}"#]);
    assert_eq!(new.take(1), [r#"{"K":"b","V":103}"#]);
    assert_eq!(grouped.take(1), [r#"{"K":"b","N":2}"#]);
    assert_eq!(ended(&mut new), AnswerEnd::LimitReached);
    for watch in [&mut all, &mut grouped] {
        run.done(&format!("TERMINATE `{}`", watch.answer.id));
        assert_eq!(ended(watch), AnswerEnd::Completed);
    }
}

#[test]
fn queries_come_and_go_while_data_flows() {
    let site = Site::new().and(
        "[topics.s]\nconnector = \"generator\"\nfeed = \"carparks_historic\"\nrows = 6000\nrate = 2000\ncar_parks = 10",
    );
    let mut run = Run::live(
        &site,
        CUT,
        "CREATE STREAM S (D VARCHAR, T VARCHAR, K VARCHAR, C INT, E INT, ST VARCHAR, LAT DOUBLE, LON DOUBLE)
             WITH (KAFKA_TOPIC='s', VALUE_FORMAT='DELIMITED');
         CREATE STREAM D AS SELECT K, C, E, 'd' AS SOURCE FROM S PARTITION BY K;
         CREATE TABLE FIRST AS SELECT K, COUNT(*) AS N FROM D GROUP BY K;",
    );
    let total = |table: &str| format!("SELECT SUM(N) AS N FROM {table}");
    let at_least = |count: i64| {
        move |rows: &[String]| rows[0][5..rows[0].len() - 1].parse::<i64>().is_ok_and(|n| n >= count)
    };
    run.until(&total("FIRST"), at_least(500));
    run.done("CREATE TABLE EARLY AS SELECT K, COUNT(*) AS N FROM D GROUP BY K");
    run.done("CREATE TABLE EARLY_S AS SELECT K, COUNT(*) AS N FROM S GROUP BY K");
    run.read_from("latest");
    run.done("CREATE TABLE LATE AS SELECT K, COUNT(*) AS N FROM D GROUP BY K");
    run.done("CREATE STREAM BRIEF AS SELECT K, C FROM D");
    run.done("CREATE TABLE BRIEF_N AS SELECT K, COUNT(*) AS N FROM BRIEF GROUP BY K");
    run.until(&total("BRIEF_N"), at_least(1));
    assert!(run.refused("DROP STREAM BRIEF").contains("CTAS_BRIEF_N_7"), "it is read");
    run.done("TERMINATE CTAS_BRIEF_N_7");
    let stopped = run.number(&total("BRIEF_N"));
    run.done("DROP TABLE BRIEF_N");
    run.done("DROP STREAM BRIEF");
    assert!(run.refused("SELECT * FROM BRIEF_N").contains("no stream or table"));
    // Neither the past nor the rows under way are missed or counted twice.
    for table in ["FIRST", "EARLY", "EARLY_S"] {
        run.until(&total(table), |rows| rows == [r#"{"N":6000}"#]);
    }
    let late = run.number(&total("LATE"));
    assert!((stopped..=5_500).contains(&late), "{stopped} ≤ {late} ≤ 5500");
    let rows = run.ask("SELECT * FROM FIRST");
    assert_eq!(run.ask("SELECT * FROM EARLY"), rows);
}

#[test]
fn what_is_dropped_can_be_made_anew() {
    let (site, mut run) = counting();
    run.done("DROP TABLE T");
    run.done("DROP STREAM S");
    assert!(run.refused("SELECT * FROM T").contains("there is no stream or table T"));
    COUNT.split_inclusive(';').take(2).for_each(|sql| drop(run.done(sql)));
    run.until("SELECT * FROM T", |rows| rows == [r#"{"K":"a","N":1,"V":1}"#]);
    site.append("s.csv", "a,1\n");
    run.until("SELECT N FROM T", |rows| rows == [r#"{"N":2}"#]);
}

#[test]
fn a_stored_stream_can_be_replaced() {
    let site = Site::new().with("s", "s.csv", "a,1\nb,2\na,3\n").and("[topics.d]\nconnector = \"log\"");
    let mut run = Run::live(
        &site,
        CUT,
        "CREATE STREAM S (K VARCHAR, V INT) WITH (KAFKA_TOPIC='s', VALUE_FORMAT='DELIMITED');
         CREATE STREAM D WITH (KAFKA_TOPIC='d', PARTITIONS=2) AS SELECT * FROM S PARTITION BY K;
         CREATE STREAM STORED (LINE VARCHAR) WITH (KAFKA_TOPIC='d', VALUE_FORMAT='KAFKA', PARTITIONS=2);",
    );
    let stored = "SELECT LINE FROM STORED ORDER BY LINE";
    run.until(stored, |rows| rows == [r#"{"LINE":"1"}"#, r#"{"LINE":"2"}"#, r#"{"LINE":"3"}"#]);
    let with = "STREAM D WITH (KAFKA_TOPIC='d', PARTITIONS=2) AS SELECT";
    // What is made anew takes the place of what was stored.
    run.done("DROP STREAM D");
    run.done(&format!("CREATE {with} K, V * 10 AS V FROM S PARTITION BY K"));
    run.until(stored, |rows| rows == [r#"{"LINE":"10"}"#, r#"{"LINE":"20"}"#, r#"{"LINE":"30"}"#]);
    run.done("INSERT INTO D SELECT K, V * 100 AS V FROM S WHERE V > 2 PARTITION BY K");
    // What goes on stays behind what was stored.
    run.done(&format!("CREATE OR REPLACE {with} K, V * 5 AS V FROM S PARTITION BY K"));
    site.append("s.csv", "c,4\n");
    let all = [10, 20, 20, 30, 300, 400].map(|v| format!(r#"{{"LINE":"{v}"}}"#));
    run.until(stored, |rows| rows == all);
}

#[test]
fn inserted_rows_arrive() {
    let site = Site::new();
    let mut run = Run::live(
        &site,
        CUT,
        "CREATE STREAM S (K VARCHAR KEY, V INT) WITH (KAFKA_TOPIC='s', VALUE_FORMAT='JSON', PARTITIONS=3);
         CREATE TABLE T AS SELECT K, SUM(V) AS V FROM S GROUP BY K;",
    );
    let mut watch = run.open("SELECT * FROM S EMIT CHANGES");
    for i in 0..20 {
        run.done(&format!("INSERT INTO S VALUES ('k{}', {i})", i % 4));
        assert_eq!(watch.take(1), [format!(r#"{{"K":"k{}","V":{i}}}"#, i % 4)]);
    }
    run.until("SELECT SUM(V) AS V FROM T", |rows| rows == [r#"{"V":190}"#]);
}

/// Whoever does not read holds back nobody, and costs a bounded amount of memory.
#[test]
fn a_declared_stream_that_queries_write_is_one_stream() {
    let site = Site::new().with("r", "r.csv", "b,10\n");
    let script = format!(
        "{COUNT} CREATE STREAM R (K VARCHAR, V INT) WITH (KAFKA_TOPIC='r', VALUE_FORMAT='DELIMITED');
         CREATE TABLE RT AS SELECT K, COUNT(*) AS N FROM R GROUP BY K;"
    );
    let mut run = Run::live(&site, CUT, &script);
    run.done("INSERT INTO S VALUES ('a', 1)");
    run.until("SELECT * FROM T", |rows| rows == [r#"{"K":"a","N":1,"V":1}"#]);
    run.until("SELECT * FROM RT", |rows| rows == [r#"{"K":"b","N":1}"#]);
    run.read_from("earliest");
    run.done("INSERT INTO S SELECT K, V FROM R");
    let all = [r#"{"K":"a","N":1,"V":1}"#, r#"{"K":"b","N":1,"V":10}"#];
    run.until("SELECT * FROM T", |rows| rows == all);
    // A table that comes later is made of both as well, and both go on into it.
    run.done("CREATE TABLE LATE AS SELECT K, COUNT(*) AS N, SUM(V) AS V FROM S GROUP BY K");
    run.until("SELECT * FROM LATE", |rows| rows == all);
    run.done("INSERT INTO S VALUES ('a', 2)");
    site.append("r.csv", "b,20\n");
    let all = [r#"{"K":"a","N":2,"V":3}"#, r#"{"K":"b","N":2,"V":30}"#];
    run.until("SELECT * FROM T", |rows| rows == all);
    run.until("SELECT * FROM LATE", |rows| rows == all);
}

#[test]
fn a_pull_query_reads_a_paced_source_to_its_end() {
    let site = Site::new()
        .and("[topics.s]\nconnector = \"generator\"\nfeed = \"carparks\"\nrows = 300\nrate = 1000");
    let script = "CREATE STREAM S (DATE VARCHAR, TIME VARCHAR, NAME VARCHAR, A VARCHAR, B VARCHAR, C VARCHAR,
        D VARCHAR, E VARCHAR, F VARCHAR) WITH (KAFKA_TOPIC='s', VALUE_FORMAT='DELIMITED');";
    let mut run = Run::once(&site, CUT, script);
    assert_eq!(run.number("SELECT COUNT(*) AS N FROM S"), 300);
}

#[test]
fn a_slow_reader_stalls_nobody() {
    const ROWS: u64 = 230_000;
    let spec = GeneratorSpec {
        feed: "carparks_historic".into(),
        rows: Some(ROWS),
        rate: None,
        seed: 1,
        car_parks: None,
        dirty_every: None,
        events_per_second: None,
    };
    let mut feed = Vec::new();
    generator::write(&spec, &mut feed).unwrap();
    let site = Site::new().with("s", "s.csv", "");
    let mut run = Run::live(
        &site,
        Cut { batch_bytes: 4_000, ..CUT },
        "CREATE STREAM S (D VARCHAR, T VARCHAR, K VARCHAR, C INT, E INT, ST VARCHAR, LAT DOUBLE, LON DOUBLE)
             WITH (KAFKA_TOPIC='s', VALUE_FORMAT='DELIMITED');
         CREATE TABLE N AS SELECT K, COUNT(*) AS N FROM S GROUP BY K;",
    );
    let mut patient = run.open("SELECT K FROM S EMIT CHANGES");
    run.read_from("latest");
    let mut slow = run.open("SELECT K FROM S EMIT CHANGES");
    run.ask("SELECT * FROM N");
    site.append("s.csv", &feed);
    run.until("SELECT SUM(N) AS N FROM N", |rows| rows == [format!(r#"{{"N":{ROWS}}}"#)]);
    // One that reads the past for itself goes at its own speed, and misses nothing.
    assert_eq!(patient.take(ROWS as usize).len() as u64, ROWS);
    // The other was told off when too much had piled up for it.
    let got = slow.rest().len() as u64;
    assert!(got < ROWS, "{got} rows came");
    match slow.end {
        Some(Err(error)) => assert!(error.message.contains("too slowly"), "{error}"),
        other => panic!("it ended with {other:?} after {got} rows"),
    }
}

/// Many keys, of which a scan reads some at a time; on two workers, so that they are merged.
#[test]
fn a_scan_is_whole_and_in_order_and_holds_up_nobody() {
    const KEYS: usize = 30_000;
    let rows: String = (0..KEYS).map(|i| format!("{i:05},{}\n", i % 1_000)).collect();
    let site = Site::new().with("s", "s.csv", rows);
    let mut run = Run::live(&site, CUT, COUNT);
    run.until("SELECT SUM(N) AS N FROM T", |rows| rows == [format!(r#"{{"N":{KEYS}}}"#)]);
    let key = |i: usize| format!(r#"{{"K":"{i:05}"}}"#);
    // Nobody reads it until the others are through: more than may wait of it, so that it waits itself.
    let wide = (0..50).map(|i| format!("K AS K{i}")).collect::<Vec<_>>().join(", ");
    let mut unread = run.open(&format!("SELECT {wide} FROM T"));
    assert_eq!(run.ask("SELECT K FROM T"), (0..KEYS).map(key).collect::<Vec<_>>());
    assert_eq!(run.ask("SELECT K FROM T LIMIT 3"), [key(0), key(1), key(2)]);
    let best = "SELECT K FROM T WHERE V > 997 ORDER BY V DESC, K DESC LIMIT 2";
    assert_eq!(run.ask(best), [key(29_999), key(28_999)]);
    assert_eq!(run.ask("SELECT K FROM T WHERE K = '00007'"), [key(7)]);
    site.append("s.csv", "x,1\n");
    run.until("SELECT N FROM T WHERE K = 'x'", |rows| rows == [r#"{"N":1}"#]);
    // It reads the table as it was when it was asked.
    assert_eq!(unread.rest().len(), KEYS);
    assert!(matches!(unread.end, Some(Ok(AnswerEnd::Completed))));
}

/// What is installed on all workers, and how much the books say.
fn installed(run: &mut Run) -> (BTreeMap<String, u64>, usize) {
    (run.engine.measures().installed, run.ask("SELECT * FROM WHARFE_BOOKS").len())
}

/// The same when as much is left as the script asks for, on two workers, and no answer is open.
fn settled(run: &mut Run) -> (BTreeMap<String, u64>, usize) {
    let started = Instant::now();
    loop {
        let now = installed(run);
        let count = |what| now.0.get(what).copied().unwrap_or(0);
        // Decoding of S and U, T's two stages and D's.
        if (count("dataflows"), count("stages")) == (8, 10) && run.engine.measures().answers == 0 {
            return now;
        }
        assert!(started.elapsed() < DEADLINE, "{now:?}");
    }
}

#[test]
fn push_queries_leave_nothing_behind() {
    const ROUNDS: usize = 167;
    let site = Site::new().with("s", "s.csv", "a,1\n").with("u", "u.csv", "b,2\n");
    let mut run = Run::live(
        &site,
        CUT,
        &format!(
            "{COUNT}
            CREATE STREAM D AS SELECT * FROM S;
            CREATE STREAM U (K VARCHAR, V INT) WITH (KAFKA_TOPIC='u', VALUE_FORMAT='DELIMITED');"
        ),
    );
    let booked = "SELECT * FROM WHARFE_BOOKS WHERE QUERY_ID LIKE 'transient%'";
    run.until("SELECT * FROM T", |rows| rows.len() == 1);
    let started = Instant::now();
    // Until both workers have measured themselves with all that the script asks for.
    while run.engine.measures().installed.get("tables") != Some(&4) {
        assert!(started.elapsed() < DEADLINE, "{:?}", run.engine.measures());
    }
    // That records of U were decoded stays in the books.
    assert_eq!(run.open("SELECT * FROM U EMIT CHANGES LIMIT 1").rest().len(), 1);
    assert_eq!(run.open("SELECT V, COUNT(*) AS N FROM U GROUP BY V EMIT CHANGES LIMIT 1").rest().len(), 1);
    let decoded = "SELECT * FROM WHARFE_BOOKS WHERE STAGE = 'decode' OR QUERY_ID = 'CTAS_T_1'";
    run.until(decoded, |rows| rows.len() == 4);
    run.until(booked, |rows| rows.is_empty());
    let before = settled(&mut run);
    let kinds = [
        "SELECT * FROM T EMIT CHANGES",
        "SELECT K, COUNT(*) AS N FROM U GROUP BY K EMIT CHANGES",
        "SELECT V FROM U EMIT CHANGES",
        "SELECT A.V FROM S A JOIN D B WITHIN 1 HOUR ON A.K = B.K EMIT CHANGES",
        "SELECT K FROM T WHERE V > 0 EMIT CHANGES LIMIT 1",
        "SELECT K FROM D EMIT CHANGES",
        "SELECT N FROM (SELECT K, COUNT(*) AS N FROM U GROUP BY K) EMIT CHANGES",
        "WITH X AS (SELECT K FROM D UNION ALL SELECT K FROM U) SELECT K, COUNT(*) AS N FROM X GROUP BY K EMIT CHANGES",
    ];
    for round in 0..ROUNDS {
        let mut open: Vec<Watch> = kinds.iter().map(|kind| run.open(kind)).collect();
        open.iter_mut().for_each(|watch| assert_eq!(watch.take(1).len(), 1));
        if round == 0 {
            // The books know them, as long as they are there.
            run.until(booked, |rows| !rows.is_empty());
            assert!(run.engine.measures().answers >= kinds.len() - 1);
        }
        // Some are closed, some left.
        assert!(run.engine.close_query(&open[round % 4].answer.id));
    }
    run.until(booked, |rows| rows.is_empty());
    let started = Instant::now();
    loop {
        let measures = run.engine.measures();
        let after = installed(&mut run);
        let waiting = (measures.answers, measures.answer_rows, measures.answer_bytes);
        // The books are asked by an answer, too.
        if after == before && waiting == (0, 0, 0) {
            break;
        }
        assert!(started.elapsed() < DEADLINE, "{before:?} before, {after:?} after, {waiting:?}");
    }
}

/// A table over a table gets the rows that its parent has had before, and so does its topic: created while it
/// runs, or added to the script before a restart.
#[test]
fn a_table_that_comes_late_is_stored_whole() {
    const PARENT: &str = "
        CREATE STREAM S (K VARCHAR, V INT, AT BIGINT)
            WITH (KAFKA_TOPIC='s', VALUE_FORMAT='DELIMITED', TIMESTAMP='AT');
        CREATE TABLE T WITH (KAFKA_TOPIC='t', VALUE_FORMAT='JSON') AS SELECT K, SUM(V) AS V FROM S GROUP BY K;";
    const LATE: [&str; 2] = [
        "CREATE TABLE BIG WITH (KAFKA_TOPIC='big', VALUE_FORMAT='JSON') AS SELECT K, V FROM T WHERE V > 1;",
        "CREATE TABLE BY_V WITH (KAFKA_TOPIC='by_v', FORMAT='JSON') AS
            SELECT V, COUNT(*) AS N FROM T GROUP BY V;",
    ];
    const WHEN: &str = "
        CREATE STREAM STORED (K VARCHAR KEY, V INT) WITH (KAFKA_TOPIC='big', VALUE_FORMAT='JSON');";
    for workers in [1, 3] {
        let cut = Cut { tick_ms: 1, ..COARSE }.workers(workers);
        let logs = ["t", "big", "by_v"].map(|topic| format!("[topics.{topic}]\nconnector = \"log\"\n"));
        let site =
            Site::new().keeping_data().with("s", "s.csv", "a,1,10\nb,2,20\nc,2,30\n").and(&logs.concat());
        let stored = |topic: &str| {
            let mut all = messages(&site.path(&format!("data/topics/{topic}")));
            all.sort();
            all.into_iter().map(|(key, value)| format!("{key}{value}")).collect::<Vec<_>>()
        };
        let until_stored = |topic: &str, expected: &[&str]| {
            let deadline = Instant::now() + DEADLINE;
            while stored(topic) != expected {
                assert!(Instant::now() < deadline, "{topic} holds {:?}", stored(topic));
                std::thread::sleep(Duration::from_millis(5));
            }
        };
        let mut run = Run::live(&site, cut, PARENT);
        run.until("SELECT * FROM T", |rows| rows.len() == 3);
        run.done(LATE[0]);
        until_stored("big", &[r#"b{"V":2}"#, r#"c{"V":2}"#]);
        site.append("s.csv", "a,1,40\n");
        until_stored("big", &[r#"a{"V":2}"#, r#"b{"V":2}"#, r#"c{"V":2}"#]);
        drop(run);
        let mut run = Run::live(&site, cut, &format!("{PARENT} {}", LATE[1]));
        until_stored("by_v", &[r#"2{"N":3}"#]);
        site.append("s.csv", "a,1,50\n");
        until_stored("by_v", &[r#"2{"N":2}"#, r#"2{"N":3}"#, r#"3{"N":1}"#]);
        // What was there is not stored again, and has the time of its rows.
        until_stored("big", &[r#"a{"V":2}"#, r#"a{"V":3}"#, r#"b{"V":2}"#, r#"c{"V":2}"#]);
        run.read_from("earliest");
        run.done(WHEN);
        let when = run.until("SELECT K, V, ROWTIME AS AT FROM STORED ORDER BY AT", |rows| rows.len() == 4);
        assert_eq!(
            when,
            [
                r#"{"K":"b","V":2,"AT":20}"#,
                r#"{"K":"c","V":2,"AT":30}"#,
                r#"{"K":"a","V":2,"AT":40}"#,
                r#"{"K":"a","V":3,"AT":50}"#
            ]
        );
    }
}

/// Two partitions, one of which brings nothing more.
const WINDOWED: &str = "
    SET 'idle.partition.ms' = '1500';
    CREATE STREAM S (K VARCHAR, T BIGINT) WITH (KAFKA_TOPIC='s', VALUE_FORMAT='DELIMITED', TIMESTAMP='T');
    CREATE TABLE N AS SELECT K, COUNT(*) AS N FROM S WINDOW TUMBLING (SIZE 1 SECOND) GROUP BY K EMIT FINAL;
";

#[test]
fn an_idle_partition_holds_no_window_open_and_what_it_brings_later_is_late() {
    let site = Site::new()
        .keeping_data()
        .with("one", "in-1.csv", "a,100\n")
        .and("[topics.s]\nconnector = \"file\"\npath = \"in-*.csv\"");
    site.write("in-2.csv", "b,200\n");
    let closed = "SELECT K, WINDOWSTART AS W, N FROM N";
    let first = [r#"{"K":"a","W":0,"N":1}"#, r#"{"K":"b","W":0,"N":1}"#];
    for workers in [2, 1] {
        let mut run = Run::live(&site, Cut { workers, ..CUT }, WINDOWED);
        let late = "SELECT REASON FROM WHARFE_REJECTS WHERE STAGE LIKE 'window of %'";
        if workers == 2 {
            // As often as it takes: only a partition that brings something is followed.
            let started = Instant::now();
            let mut time = 1_500;
            while run.ask(closed) != first {
                assert!(started.elapsed() < DEADLINE, "the window stays open");
                time = (time + 1).min(1_900);
                site.append("in-2.csv", format!("b,{time}\n"));
            }
            site.append("in-1.csv", "a,300\n");
            let late = run.until(late, |rows| rows.len() == 1);
            assert!(
                late[0].contains("for the window from 0 to 1000: its partition has come to 1"),
                "{late:?}"
            );
            assert_eq!(run.ask(closed), first);
        } else {
            // How far the idle one had come is known to the next start.
            site.append("in-1.csv", "a,400\n");
            run.until(late, |rows| rows.len() == 2);
            assert_eq!(run.ask(closed), first);
        }
    }
}

#[test]
fn explain_says_what_a_longer_grace_would_have_saved() {
    let site = Site::new().with("s", "s.csv", "a,100000\na,80000\na,1000\n");
    let mut run = Run::live(
        &site,
        CUT,
        "CREATE STREAM S (K VARCHAR, AT BIGINT) WITH (KAFKA_TOPIC='s', VALUE_FORMAT='DELIMITED', TIMESTAMP='AT');
         CREATE TABLE W AS SELECT K, COUNT(*) AS N
            FROM S WINDOW TUMBLING (SIZE 10 SECONDS, GRACE PERIOD 5 SECONDS) GROUP BY K;
         CREATE TABLE V AS SELECT K, COUNT(*) AS N
            FROM S WINDOW SESSION (5 SECONDS, GRACE PERIOD 5 SECONDS) GROUP BY K;",
    );
    let started = Instant::now();
    for (query, all_ms) in [("CTAS_W_1", 85_001), ("CTAS_V_2", 89_000)] {
        let late = format!(
            "late since the start: 2; with a grace longer by 10 seconds 1 of them would count, by {all_ms} ms all"
        );
        loop {
            let Ok(Outcome::Explanation(explained)) = run.execute(&format!("EXPLAIN {query}")) else {
                panic!("{query} has no plan")
            };
            if explained.plan.contains(&late) {
                break;
            }
            assert!(started.elapsed() < DEADLINE, "{}", explained.plan);
        }
    }
}
