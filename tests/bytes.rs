//! Arbitrary bytes as a topic, for every format: nothing panics, nothing is lost, the books balance,
//! and the result does not depend on how the file is cut.

use crate::books;
use crate::harness::{COARSE, FINE, Random, Run, Site};

/// Columns, format and file name of each case.
const CASES: [(&str, &str, &str); 6] = [
    ("A INT, B VARCHAR, C DOUBLE", "VALUE_FORMAT='DELIMITED'", "x.csv"),
    ("A BIGINT, B BYTES, C TIMESTAMP", "VALUE_FORMAT='DELIMITED', VALUE_DELIMITER='|'", "x.csv"),
    ("A INT, B ARRAY<VARCHAR>, C STRUCT<X DOUBLE>", "VALUE_FORMAT='JSON'", "x.json"),
    ("A MAP<VARCHAR, INT>, B DECIMAL(9, 3), C VARCHAR", "VALUE_FORMAT='JSON'", "x.jsonl"),
    ("A DOUBLE", "VALUE_FORMAT='JSON', WRAP_SINGLE_VALUE=FALSE", "x.json"),
    ("A VARCHAR", "VALUE_FORMAT='KAFKA'", "x.txt"),
];

/// Bytes that look like a format's for a while.
const PIECES: [&[u8]; 24] = [
    b"{",
    b"}",
    b"[",
    b"]",
    b"\"",
    b",",
    b":",
    b"\n",
    b"\r\n",
    b"\\",
    b"|",
    b"1",
    b"-1.5e3",
    b"null",
    b"true",
    b"{\"A\":1,\"B\":[\"x\"]}\n",
    b"1,two,3.0\n",
    b"\"a\"\"b\"",
    b"\\u12",
    b"\xff",
    b"\xc3",
    b"\xc3\xbc",
    b"\0",
    b" ",
];

fn soup(random: &mut Random) -> Vec<u8> {
    let mut bytes = Vec::new();
    for _ in 0..random.below(3_000) {
        match random.below(20) {
            0 => bytes.push(random.next() as u8),
            _ => bytes.extend_from_slice(PIECES[random.below(PIECES.len() as u64) as usize]),
        }
    }
    bytes
}

#[test]
fn arbitrary_bytes_are_rows_or_rejects() {
    for (i, (columns, format, file)) in CASES.into_iter().enumerate() {
        for seed in 0..6 {
            let bytes = soup(&mut Random(100 * i as u64 + seed));
            let site = Site::new().with("t", file, &bytes);
            let script = format!(
                "CREATE STREAM S ({columns}) WITH (KAFKA_TOPIC='t', {format});
                 CREATE TABLE N AS SELECT 1 AS ONE, COUNT(*) AS N FROM S GROUP BY 1;
                 CREATE TABLE P AS SELECT ROWPARTITION AS P, COUNT(*) AS N FROM S WHERE A IS NOT NULL GROUP BY ROWPARTITION;"
            );
            let mut expected = None;
            for cut in [COARSE, FINE] {
                let mut run = Run::once(&site, cut, &script);
                books::check(&mut run);
                let (read, rejected) = books::read_and_rejected(&mut run);
                let rows = run.number("SELECT SUM(N) AS N FROM N");
                assert_eq!(rows, read - rejected, "{format}, seed {seed}");
                let kept = run.number("SELECT COUNT(*) AS N FROM WHARFE_REJECTS");
                assert_eq!(kept, rejected, "{format}, seed {seed}");
                let found = (read, rejected, run.ask("SELECT * FROM P"));
                assert_eq!(*expected.get_or_insert(found.clone()), found, "{format}, seed {seed}");
            }
        }
    }
}
