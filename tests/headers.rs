//! Headers of records: read into columns, and passed on to what is made of the records.

use crate::broker::{Broker, Header, OwnHeader};
use crate::harness::{COARSE, DEADLINE, FINE, Run, Site};
use std::time::Instant;

const TRACED: &[Header] = &[("a", Some(b"1")), ("k", Some(b"first")), ("k", Some(b"last"))];
const RECORDS: &[(&str, &[Header])] = &[
    (r#"{"V":1}"#, TRACED),
    (r#"{"V":2}"#, &[("k", Some(b"there")), ("k", None)]),
    (r#"{"V":"no number"}"#, &[("k", Some(b"of a bad record"))]),
    (r#"{"V":3}"#, &[]),
    (r#"{"V":4}"#, &[("k", Some(b"\xff\x00")), ("", Some(b""))]),
];

/// Bytes are base64 in answers.
const ALL: [&str; 4] = [
    r#"{"V":1,"H":[{"KEY":"a","VALUE":"MQ=="},{"KEY":"k","VALUE":"Zmlyc3Q="},{"KEY":"k","VALUE":"bGFzdA=="}]}"#,
    r#"{"V":2,"H":[{"KEY":"k","VALUE":"dGhlcmU="},{"KEY":"k","VALUE":null}]}"#,
    r#"{"V":3,"H":[]}"#,
    r#"{"V":4,"H":[{"KEY":"k","VALUE":"/wA="},{"KEY":"","VALUE":""}]}"#,
];
const OF_NAME: [&str; 4] =
    [r#"{"V":1,"K":"bGFzdA=="}"#, r#"{"V":2,"K":null}"#, r#"{"V":3,"K":null}"#, r#"{"V":4,"K":"/wA="}"#];

const COLUMNS: &str = "
    CREATE STREAM a (h ARRAY<STRUCT<key STRING, value BYTES>> HEADERS, v INT)
        WITH (KAFKA_TOPIC='in', VALUE_FORMAT='JSON');
    CREATE STREAM b (k BYTES HEADER('k'), v INT, n BYTES HEADER('none'))
        WITH (KAFKA_TOPIC='in', VALUE_FORMAT='JSON');
    CREATE TABLE ta AS SELECT v, LATEST_BY_OFFSET(h) AS h FROM a GROUP BY v;
    CREATE TABLE tb AS SELECT v, LATEST_BY_OFFSET(k) AS k FROM b GROUP BY v;
    CREATE TABLE tn AS SELECT n, COUNT(*) AS c FROM b GROUP BY n;";

#[test]
fn columns_hold_the_headers_of_records() {
    let broker = Broker::any();
    let (toml, names) = broker.topology(&["in"]);
    broker.create(&names[0], 1);
    broker.produce_with_headers(&names[0], RECORDS);
    for cut in [COARSE, FINE] {
        let mut run = Run::once(&Site::new().and(&toml), cut, COLUMNS);
        // What answers read by themselves, and what is maintained.
        assert_eq!(run.ask("SELECT v, h FROM a ORDER BY v"), ALL);
        assert_eq!(run.ask("SELECT * FROM ta ORDER BY v"), ALL);
        assert_eq!(run.ask("SELECT v, k FROM b ORDER BY v"), OF_NAME);
        assert_eq!(run.ask("SELECT * FROM tb ORDER BY v"), OF_NAME);
        assert!(run.ask("SELECT * FROM tn").is_empty(), "no record has that header");
    }
}

#[test]
fn rows_of_requests_leave_them_out() {
    let mut run = Run::idle(&Site::new(), COARSE, false);
    run.engine.begin().unwrap();
    run.done("CREATE STREAM i (h BYTES HEADER('h'), k VARCHAR KEY, v INT) WITH (KAFKA_TOPIC='i', VALUE_FORMAT='JSON')");
    let rows = [r#"{"V":1,"K":"a"}"#, r#"{"V":2,"H":null}"#].map(|row| row.as_bytes().to_vec());
    let done = run.engine.insert_rows("i", &rows).unwrap();
    let said: Vec<_> = done.into_iter().map(|row| row.err().map(|error| error.message)).collect();
    assert_eq!(said, [None, Some("column H of I holds headers of topic i, which are only read".to_string())]);
    run.until("SELECT * FROM i", |rows| rows == [r#"{"K":"a","V":1,"H":null}"#]);
}

/// Records are read without headers as long as nobody wants them.
#[test]
fn who_comes_later_gets_headers_too() {
    let broker = Broker::any();
    let (toml, names) = broker.topology(&["in"]);
    broker.create(&names[0], 1);
    let script = "
        CREATE STREAM a (h ARRAY<STRUCT<key STRING, value BYTES>> HEADERS, v INT)
            WITH (KAFKA_TOPIC='in', VALUE_FORMAT='JSON');
        CREATE TABLE n AS SELECT 1 AS k, COUNT(*) AS n FROM a GROUP BY 1;";
    let mut run = Run::live(&Site::new().and(&toml), COARSE, script);
    broker.produce_with_headers(&names[0], RECORDS);
    run.until("SELECT n FROM n", |rows| rows == [r#"{"N":4}"#]);
    run.read_from("latest");
    run.done("CREATE TABLE later AS SELECT v, LATEST_BY_OFFSET(h) AS h FROM a GROUP BY v");
    run.read_from("earliest");
    run.done("CREATE TABLE all AS SELECT v, LATEST_BY_OFFSET(h) AS h FROM a GROUP BY v");
    broker.produce_with_headers(&names[0], &RECORDS[..1]);
    run.until("SELECT * FROM later", |rows| rows == [ALL[0]]);
    run.until("SELECT * FROM all ORDER BY v", |rows| rows == ALL);
}

/// Through a stream that is in no place, a filter and another key.
const CHAIN: &str = "
    CREATE STREAM s (v INT) WITH (KAFKA_TOPIC='in', VALUE_FORMAT='JSON');
    CREATE STREAM d AS SELECT v + 0 AS v FROM s WHERE v <> 2;
    CREATE STREAM o WITH (KAFKA_TOPIC='out', PARTITIONS=1) AS
        SELECT v, 'k' AS k FROM d PARTITION BY 'k';
    CREATE STREAM l WITH (KAFKA_TOPIC='logged') AS SELECT v FROM d;
    CREATE TABLE t WITH (KAFKA_TOPIC='counts', PARTITIONS=1) AS SELECT v, COUNT(*) AS n FROM d GROUP BY v;
    CREATE STREAM back (h ARRAY<STRUCT<key STRING, value BYTES>> HEADERS, v INT)
        WITH (KAFKA_TOPIC='logged', VALUE_FORMAT='JSON');";

#[test]
fn what_is_made_of_a_record_has_its_headers() {
    let Some(broker) = Broker::real() else { return };
    let (toml, names) = broker.topology(&["in", "out", "counts"]);
    broker.create(&names[0], 1);
    broker.produce_with_headers(&names[0], RECORDS);
    let owned = |headers: &[Header]| -> Vec<OwnHeader> {
        headers.iter().map(|(key, value)| (key.to_string(), value.map(<[u8]>::to_vec))).collect()
    };
    let expected: Vec<_> = [0, 3, 4].map(|i| (RECORDS[i].0.to_string(), owned(RECORDS[i].1))).into();
    let logged = toml.clone() + "[topics.logged]\nconnector = \"log\"\n";
    // At once, and in transactions by way of an outbox.
    for (run, site) in [Site::new(), Site::new().keeping_data()].into_iter().enumerate() {
        let site = site.and(&logged);
        let mut engine = Run::live(&site, COARSE.workers(2), CHAIN);
        engine.until("SELECT v, h FROM back ORDER BY v", |rows| rows == [ALL[0], ALL[2], ALL[3]]);
        engine.until("SELECT v FROM t", |rows| rows.len() == 3);
        drop(engine);
        let started = Instant::now();
        while broker.committed(&names[2]).len() < 3 * (run + 1) {
            assert!(started.elapsed() < DEADLINE, "{:?}", broker.committed(&names[2]));
        }
        let found = broker.headers(&names[1]);
        let mut twice: Vec<_> = expected.iter().flat_map(|record| vec![record.clone(); run + 1]).collect();
        twice.sort();
        assert_eq!(found, twice);
        // A count is made of many records.
        assert!(broker.headers(&names[2]).iter().all(|(_, headers)| headers.is_empty()));
    }
}
