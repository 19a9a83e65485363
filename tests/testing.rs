//! `wharfe test`: what passes, what fails and how that is told.

use crate::harness::{Finished, Site, run};

const CASES: &str = r#"{
  // Comments are allowed.
  "tests": [
    {
      "name": "totals",
      "format": ["JSON", "AVRO"],
      "statements": [
        "CREATE STREAM SAILS (BOAT STRING KEY, MILES INT) WITH (KAFKA_TOPIC='sails', VALUE_FORMAT='{FORMAT}');",
        "CREATE TABLE TOTALS AS SELECT BOAT, SUM(MILES) AS MILES FROM SAILS GROUP BY BOAT;"
      ],
      "inputs": [
        {"topic": "sails", "key": "gull", "value": {"miles": 3}, "timestamp": 5},
        {"topic": "sails", "key": "gull", "value": {"miles": 0}, "timestamp": 6},
        {"topic": "sails", "key": "tern", "value": {"miles": 2}, "timestamp": 4}
      ],
      "outputs": [
        {"topic": "TOTALS", "key": "gull", "value": {"MILES": 3}, "timestamp": 5},
        {"topic": "TOTALS", "key": "gull", "value": {"MILES": 3}, "timestamp": 6},
        {"topic": "TOTALS", "key": "tern", "value": {"MILES": 2}, "timestamp": 4}
      ],
      "post": {"sources": [{"name": "TOTALS", "type": "table", "schema": "BOAT STRING KEY, MILES INT"}]}
    },
    {
      "name": "two topics in the order of the file",
      "statements": [
        "CREATE STREAM SAILS (BOAT STRING KEY, MILES INT) WITH (KAFKA_TOPIC='sails', VALUE_FORMAT='JSON');",
        "CREATE TABLE BOATS (BOAT STRING PRIMARY KEY, CREW STRING) WITH (KAFKA_TOPIC='boats', VALUE_FORMAT='JSON');",
        "CREATE STREAM OUT AS SELECT S.BOAT AS BOAT, MILES, CREW FROM SAILS S LEFT JOIN BOATS B ON S.BOAT = B.BOAT;"
      ],
      "inputs": [
        {"topic": "sails", "key": "gull", "value": {"MILES": 1}},
        {"topic": "boats", "key": "gull", "value": {"CREW": "Ann"}},
        {"topic": "sails", "key": "gull", "value": {"MILES": 2}}
      ],
      "outputs": [
        {"topic": "OUT", "key": "gull", "value": {"MILES": 1, "CREW": null}},
        {"topic": "OUT", "key": "gull", "value": {"MILES": 2, "CREW": "Ann"}}
      ]
    },
    {
      "name": "what is refused",
      "statements": ["CREATE STREAM X AS SELECT * FROM NOWHERE;"],
      "expectedException": {"type": "KsqlException", "message": "NOWHERE"}
    },
    {"name": "left out", "enabled": false, "statements": ["nonsense"]}
  ]
}"#;

const WRONG: &str = r#"{"tests": [
  {
    "name": "another sum",
    "statements": [
      "CREATE STREAM SAILS (BOAT STRING KEY, MILES INT) WITH (KAFKA_TOPIC='sails', VALUE_FORMAT='DELIMITED');",
      "CREATE TABLE TOTALS AS SELECT BOAT, SUM(MILES) AS MILES FROM SAILS GROUP BY BOAT;"
    ],
    "inputs": [{"topic": "sails", "key": "a", "value": "1"}, {"topic": "sails", "key": "a", "value": "2"}],
    "outputs": [{"topic": "TOTALS", "key": "a", "value": "1"}, {"topic": "TOTALS", "key": "a", "value": "4"}]
  },
  {
    "name": "one too many",
    "statements": [
      "CREATE STREAM SAILS (BOAT STRING KEY, MILES INT) WITH (KAFKA_TOPIC='sails', VALUE_FORMAT='JSON');",
      "CREATE STREAM OUT AS SELECT * FROM SAILS WHERE MILES > 1;"
    ],
    "inputs": [{"topic": "sails", "key": "a", "value": {"MILES": 2}}, {"topic": "sails", "key": "b", "value": {"MILES": 3}}],
    "outputs": [{"topic": "OUT", "key": "a", "value": {"MILES": 2}}]
  },
  {
    "name": "no error",
    "statements": ["CREATE STREAM SAILS (BOAT STRING KEY) WITH (KAFKA_TOPIC='sails', VALUE_FORMAT='JSON');"],
    "expectedException": {"message": "anything"}
  },
  {
    "name": "another error",
    "statements": ["CREATE STREAM X AS SELECT * FROM NOWHERE;"],
    "expectedException": {"message": "elsewhere"}
  },
  {
    "name": "a record that cannot be written",
    "statements": ["CREATE STREAM S (N INT KEY, V INT) WITH (KAFKA_TOPIC='s', KEY_FORMAT='KAFKA', VALUE_FORMAT='AVRO');"],
    "inputs": [{"topic": "s", "key": 1, "value": {"V": "x"}}]
  },
  {
    "name": "another schema",
    "statements": ["CREATE STREAM S (N INT KEY, V INT) WITH (KAFKA_TOPIC='s', VALUE_FORMAT='JSON');"],
    "post": {"sources": [{"name": "S", "type": "stream", "schema": "N INT KEY, V BIGINT"}]}
  },
  {
    "name": "no such source",
    "statements": ["CREATE STREAM S (N INT KEY, V INT) WITH (KAFKA_TOPIC='s', VALUE_FORMAT='JSON');"],
    "post": {"sources": [{"name": "S", "type": "table"}]}
  }
]}"#;

const SCRIPT: &str = "\
-- Nothing of this is a test.
--@test: rows, deletions and sources
CREATE TABLE BERTHS (ID INT PRIMARY KEY, BOAT STRING, RENT DECIMAL(6, 2))
    WITH (KAFKA_TOPIC='berths', VALUE_FORMAT='JSON');
CREATE TABLE DEAR AS SELECT ID, UCASE(BOAT) AS BOAT, RENT FROM BERTHS WHERE RENT > 10;
INSERT INTO BERTHS (ID, BOAT, RENT, ROWTIME) VALUES (1, 'gull', 12.50, 100);
INSERT INTO BERTHS (ID, BOAT, RENT) VALUES (2, 'tern', 8.00);
ASSERT VALUES DEAR (ID, BOAT, RENT, ROWTIME) VALUES (1, 'GULL', 12.50, 100);
INSERT INTO BERTHS (ID, BOAT, RENT) VALUES (1, 'gull', 5.00);
ASSERT NULL VALUES DEAR (ID) KEY (1);
ASSERT TABLE DEAR (ID INT PRIMARY KEY, BOAT STRING, RENT DECIMAL(6, 2)) WITH (KAFKA_TOPIC='DEAR', VALUE_FORMAT='JSON');
ASSERT STREAM AFTER WITH (KAFKA_TOPIC='x');
--@test: what comes after it is none of the first one's
--@expected.error: io.confluent.ksql.util.KsqlException
--@expected.message: NOWHERE
CREATE STREAM X AS SELECT * FROM NOWHERE;
--@test: an assertion that is to fail
--@expected.error: java.lang.AssertionError
CREATE STREAM S (K STRING KEY, V INT) WITH (KAFKA_TOPIC='s', VALUE_FORMAT='JSON');
INSERT INTO S (K, V) VALUES ('a', 1);
ASSERT VALUES S (K, V) VALUES ('a', 2);
";

const BAD_SCRIPT: &str = "\
--@test: another row
CREATE STREAM S (K STRING KEY, V INT) WITH (KAFKA_TOPIC='s', VALUE_FORMAT='JSON');
CREATE STREAM T AS SELECT K, V + 1 AS V FROM S;
INSERT INTO S (K, V) VALUES ('a', 1);
ASSERT VALUES T (K, V) VALUES ('a', 3);
--@test: no row
CREATE STREAM S (K STRING KEY, V INT) WITH (KAFKA_TOPIC='s', VALUE_FORMAT='JSON');
ASSERT VALUES S (K, V) VALUES ('a', 3);
--@test: another type
CREATE STREAM S (K STRING KEY, V INT) WITH (KAFKA_TOPIC='s', VALUE_FORMAT='JSON');
ASSERT STREAM S (K STRING KEY, V BIGINT) WITH (KAFKA_TOPIC='s', VALUE_FORMAT='JSON');
--@test: another format
CREATE STREAM S (K STRING KEY, V INT) WITH (KAFKA_TOPIC='s', VALUE_FORMAT='JSON');
ASSERT STREAM S WITH (VALUE_FORMAT='AVRO');
--@test: an error of a statement where one of an assertion is expected
--@expected.error: java.lang.AssertionError
CREATE STREAM X AS SELECT * FROM NOWHERE;
--@test: what cannot be read
ASSERT VALUES;
";

fn test(site: &Site, args: &[&str]) -> Finished {
    let dir = site.dir().display().to_string();
    let args: Vec<String> = args.iter().map(|arg| arg.replace("DIR", &dir)).collect();
    let all: Vec<&str> = ["test"].into_iter().chain(args.iter().map(String::as_str)).collect();
    run(&all)
}

/// What was said, without the directory and how long it took.
fn said(site: &Site, finished: &Finished) -> String {
    let said = finished.stdout.replace(&site.dir().display().to_string(), "DIR");
    let cut = said.rfind("; finished in").unwrap_or(said.len());
    said[..cut].to_string()
}

#[test]
fn cases_of_a_file_pass_in_each_format() {
    let site = Site::new();
    site.write("sails.json", CASES);
    let done = test(&site, &["--jobs", "1", "DIR/sails.json"]);
    let expected = "
running 4 tests
test DIR/sails.json: totals - JSON ... ok
test DIR/sails.json: totals - AVRO ... ok
test DIR/sails.json: two topics in the order of the file ... ok
test DIR/sails.json: what is refused ... ok

test result: ok. 4 passed; 0 failed";
    assert_eq!((said(&site, &done).as_str(), done.code), (expected, Some(0)), "{}", done.stderr);
}

#[test]
fn a_failing_case_shows_expected_and_got_side_by_side() {
    let site = Site::new();
    site.write("wrong.json", WRONG);
    let done = test(&site, &["--jobs", "1", "DIR/wrong.json"]);
    let said = said(&site, &done);
    assert_eq!(done.code, Some(1));
    for expected in [
        "---- DIR/wrong.json: another sum ----
topic TOTALS, record 2: value: expected \"4\", got \"3\"
      expected  got
   1  \"a\" \"1\"   \"a\" \"1\" @0
 > 2  \"a\" \"4\"   \"a\" \"3\" @0\n",
        "---- DIR/wrong.json: one too many ----
topic OUT, record 2: it is not expected
      expected         got
   1  \"a\" {\"MILES\":2}  \"a\" {\"MILES\":2} @0
 > 2  -                \"b\" {\"MILES\":3} @0\n",
        "---- DIR/wrong.json: no error ----\nan error is expected, and there was none\n",
        "another error is expected\n  expected  elsewhere\n  got       statements:1:34: ",
        "a value of topic s cannot be written: V: ",
        "S: schema\n  expected  N INTEGER KEY, V BIGINT\n  got       N INTEGER KEY, V INTEGER\n",
        "---- DIR/wrong.json: no such source ----\nthere is no table S\n",
        "test result: FAILED. 0 passed; 7 failed",
    ] {
        assert!(said.contains(expected), "{expected}\n is not in\n{said}");
    }
}

const RUNNING: &str = "
--@test: topics in memory have one order
--@expected.message: go out in one order
CREATE STREAM A (K STRING KEY, V INT) WITH (KAFKA_TOPIC='a', VALUE_FORMAT='JSON');
CREATE STREAM B AS SELECT K, V * 2 AS V FROM A;
INSERT INTO A (K, V) VALUES ('x', 1);
ASSERT VALUES B (K, V) VALUES ('x', 2);
PAUSE CSAS_B_1;

--@test: what is replaced goes on with its groups
CREATE STREAM A (K STRING KEY, V INT) WITH (KAFKA_TOPIC='a', VALUE_FORMAT='JSON');
CREATE TABLE C AS SELECT K, SUM(V) AS V FROM A GROUP BY K;
INSERT INTO A (K, V) VALUES ('x', 1);
CREATE OR REPLACE TABLE C AS SELECT K, SUM(V) AS V FROM A WHERE V > 2 GROUP BY K;
INSERT INTO A (K, V) VALUES ('x', 2);
INSERT INTO A (K, V) VALUES ('x', 3);
ALTER STREAM A ADD COLUMN W INT;
CREATE STREAM D AS SELECT K, W FROM A;
INSERT INTO A (K, V, W) VALUES ('x', 4, 7);
ASSERT VALUES C (K, V) VALUES ('x', 1);
ASSERT VALUES C (K, V) VALUES ('x', 4);
ASSERT VALUES C (K, V) VALUES ('x', 8);
";

const GONE: &str = r#"{"tests": [{
  "name": "what a record touches has its time, also where it takes something away",
  "statements": [
    "CREATE TABLE BOATS (ID INT PRIMARY KEY, YARD INT) WITH (KAFKA_TOPIC='boats', VALUE_FORMAT='JSON');",
    "CREATE TABLE YARDS (ID INT PRIMARY KEY, TOWN STRING) WITH (KAFKA_TOPIC='yards', VALUE_FORMAT='JSON');",
    "CREATE TABLE BUILT AS SELECT B.ID, TOWN FROM BOATS B LEFT JOIN YARDS Y ON B.YARD = Y.ID;",
    "CREATE TABLE MANY AS SELECT YARD, COUNT(*) AS N FROM BOATS GROUP BY YARD HAVING COUNT(*) > 0;"
  ],
  "inputs": [
    {"topic": "yards", "key": 7, "value": {"TOWN": "Leith"}, "timestamp": 10},
    {"topic": "boats", "key": 1, "value": {"YARD": 7}, "timestamp": 20},
    {"topic": "yards", "key": 7, "value": null, "timestamp": 30},
    {"topic": "boats", "key": 1, "value": null, "timestamp": 40}
  ],
  "outputs": [
    {"topic": "BUILT", "key": 1, "value": {"TOWN": "Leith"}, "timestamp": 20},
    {"topic": "BUILT", "key": 1, "value": {"TOWN": null}, "timestamp": 30},
    {"topic": "BUILT", "key": 1, "value": null, "timestamp": 40},
    {"topic": "MANY", "key": 7, "value": {"N": 1}, "timestamp": 20},
    {"topic": "MANY", "key": 7, "value": null, "timestamp": 40}
  ]
}]}"#;

#[test]
fn what_runs_is_replaced() {
    let site = Site::new();
    site.write("running.sql", RUNNING);
    site.write("gone.json", GONE);
    let done = test(&site, &["DIR/running.sql", "DIR/gone.json"]);
    assert_eq!(done.code, Some(0), "{}", said(&site, &done));
}

#[test]
fn scripts_insert_and_assert() {
    let site = Site::new();
    // The last assertion of the first test is about a stream that is not there.
    site.write("berths.sql", SCRIPT.replace("ASSERT STREAM AFTER WITH (KAFKA_TOPIC='x');\n", ""));
    let done = test(&site, &["--jobs", "1", "DIR/berths.sql"]);
    let expected = "
running 3 tests
test DIR/berths.sql: rows, deletions and sources ... ok
test DIR/berths.sql: what comes after it is none of the first one's ... ok
test DIR/berths.sql: an assertion that is to fail ... ok

test result: ok. 3 passed; 0 failed";
    assert_eq!((said(&site, &done).as_str(), done.code), (expected, Some(0)), "{}", done.stderr);
    site.write("berths.sql", SCRIPT);
    let done = test(&site, &["--filter", "rows,", "DIR/berths.sql"]);
    let said = said(&site, &done);
    assert!(
        said.contains("running 1 test\n") && said.contains("DIR/berths.sql:12: there is no AFTER"),
        "{said}"
    );
}

#[test]
fn a_failing_script_says_where() {
    let site = Site::new();
    site.write("bad.sql", BAD_SCRIPT);
    let done = test(&site, &["--jobs", "1", "DIR/bad.sql"]);
    let said = said(&site, &done);
    assert_eq!(done.code, Some(1));
    for expected in [
        "DIR/bad.sql:5: topic T, record 1: it is another one
      expected         got
 > 1  {\"K\":\"a\",\"V\":3}  {\"K\":\"a\",\"V\":2}\n",
        "DIR/bad.sql:8: topic s, record 1: it is missing\n",
        "DIR/bad.sql:11: S: schema\n  expected  K STRING KEY, V BIGINT\n  got       K STRING KEY, V INTEGER\n",
        "DIR/bad.sql:14: S: value format: expected AVRO, got JSON\n",
        "another error is expected: java.lang.AssertionError\n",
        "DIR/bad.sql:19: the assertion cannot be read: ",
        "test result: FAILED. 0 passed; 6 failed",
    ] {
        assert!(said.contains(expected), "{expected}\n is not in\n{said}");
    }
}

#[test]
fn a_test_in_three_files_and_a_folder_with_a_report() {
    let site = Site::new();
    let script = "CREATE STREAM S (K STRING KEY, V INT) WITH (KAFKA_TOPIC='s', VALUE_FORMAT='JSON');
                  CREATE STREAM T AS SELECT K, V * 2 AS V FROM S;";
    let own = site.dir().join("own");
    std::fs::create_dir_all(own.join("deep")).unwrap();
    site.write("own/s.sql", script);
    site.write("own/in.json", r#"{"inputs": [{"topic": "s", "key": "a", "value": {"V": 2}}]}"#);
    site.write(
        "own/out.json",
        r#"{"outputs": [{"topic": "T", "key": "a", "value": {"V": 4}, "timestamp": 0}]}"#,
    );
    let three = ["-s", "DIR/own/s.sql", "-i", "DIR/own/in.json", "-o", "DIR/own/out.json"];
    let done = test(&site, &three);
    assert!(said(&site, &done).contains("test DIR/own/s.sql ... ok\n"), "{}", done.stderr);

    site.write("own/deep/cases.json", CASES);
    site.write("own/deep/bad.sql", BAD_SCRIPT);
    let done = test(&site, &["DIR/own", "--junit", "DIR/report.xml"]);
    assert!(said(&site, &done).contains("test result: FAILED. 4 passed; 6 failed"), "{}", done.stdout);
    assert_eq!(done.code, Some(1));
    let report = std::fs::read_to_string(site.path("report.xml")).unwrap();
    assert!(
        report.contains("<testsuite name=\"wharfe\" tests=\"10\" failures=\"6\" errors=\"0\""),
        "{report}"
    );
    assert!(report.contains("name=\"totals - AVRO\" time="), "{report}");
    assert!(report.contains("it is another one\n"), "{report}");
}

#[test]
fn what_cannot_be_read_is_one_line() {
    let site = Site::new();
    site.write("no.sql", "CREATE STREAM S (V INT) WITH (KAFKA_TOPIC='s', VALUE_FORMAT='JSON');");
    site.write("no.json", "{\"tests\": [}");
    site.write(
        "twice.json",
        r#"{"tests": [{"name": "a", "statements": ["x;"]}, {"name": "a", "statements": ["x;"]}]}"#,
    );
    for (args, message) in [
        (vec!["DIR/none.json"], "cannot read DIR/none.json: no such file or directory"),
        (
            vec!["DIR/no.sql"],
            "DIR/no.sql has no tests; hint: a .sql file needs a line --@test: name before each test",
        ),
        (vec!["DIR/no.json"], "DIR/no.json is not JSON: "),
        (vec!["DIR/twice.json"], "DIR/twice.json: a: there is another test of that name"),
        (vec!["-s", "DIR/no.sql", "-o", "DIR/twice.json"], "DIR/twice.json has no list \"outputs\""),
    ] {
        let done = test(&site, &args);
        let said = done.stderr.replace(&site.dir().display().to_string(), "DIR");
        assert!(said.contains(message) && done.code == Some(2), "{args:?}: {said}");
    }
    let done = test(&site, &[]);
    assert!(done.code == Some(2) && done.stderr.contains("<PATH>"), "{}", done.stderr);
}
