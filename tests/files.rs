//! How files are read: in blocks that all workers are dealt, as if one had read them in order.

use crate::harness::{COARSE, Cut, FINE, Process, Random, Run, Site, binary};
use std::collections::BTreeMap;

/// A record of a random file, as its line and as what must come of it.
struct Line {
    text: String,
    key: Option<u64>,
    value: u64,
    at: i64,
}

impl Line {
    fn random(random: &mut Random, value: u64) -> Line {
        let (key, at) = (random.below(4), random.below(500) as i64);
        match random.chance(9) {
            // Rejected, so that its time, which is greater than all others, does not count.
            true => Line { text: format!("{key},x,{}\n", 1_000_000 + at), key: None, value, at },
            false => Line { text: format!("{key},{value},{at}\n"), key: Some(key), value, at },
        }
    }
}

const ORDERED: &str = "
    CREATE STREAM S (K INT, V INT, AT BIGINT) WITH (KAFKA_TOPIC='s', VALUE_FORMAT='DELIMITED', TIMESTAMP='AT');
    CREATE TABLE T WITH (VALUE_FORMAT='JSON') AS SELECT K, COLLECT_LIST(V) AS L, LATEST_BY_OFFSET(V) AS LAST, EARLIEST_BY_OFFSET(V) AS FIRST,
        MAX(ROWTIME) AS GREATEST FROM S GROUP BY K;
";

/// Rows of two files in the order of their stamps: each file's greatest time so far, then file and offset.
fn expected(files: &[Vec<Line>]) -> Vec<String> {
    let mut rows = Vec::new();
    for (partition, file) in files.iter().enumerate() {
        let mut stamp = i64::MIN;
        for (offset, line) in file.iter().enumerate().filter(|(_, line)| line.key.is_some()) {
            stamp = stamp.max(line.at);
            rows.push((stamp, partition, offset, line));
        }
    }
    rows.sort_by_key(|(stamp, partition, offset, _)| (*stamp, *partition, *offset));
    let mut groups: BTreeMap<u64, Vec<&Line>> = BTreeMap::new();
    rows.iter().for_each(|(.., line)| groups.entry(line.key.unwrap()).or_default().push(line));
    let group = |(key, lines): (u64, Vec<&Line>)| {
        let list: Vec<String> = lines.iter().map(|line| line.value.to_string()).collect();
        let (first, last) = (&list[0], &list[list.len() - 1]);
        let greatest = lines.iter().map(|line| line.at).max().unwrap();
        format!(
            r#"{{"K":{key},"L":[{}],"LAST":{last},"FIRST":{first},"GREATEST":{greatest}}}"#,
            list.join(",")
        )
    };
    groups.into_iter().map(group).collect()
}

#[test]
fn order_and_stamps_are_those_of_one_reader() {
    let mut random = Random(11);
    for round in 0..12 {
        let mut value = 0;
        let mut file = |random: &mut Random| -> Vec<Line> {
            let rows = 1 + random.below(600);
            let line = |_| {
                value += 1;
                Line::random(random, value)
            };
            (0..rows).map(line).collect()
        };
        let files = [file(&mut random), file(&mut random)];
        let site = Site::new().and("[topics.s]\nconnector = \"file\"\npath = \"s\"");
        std::fs::create_dir(site.path("s")).unwrap();
        for (name, lines) in ["a", "b"].iter().zip(&files) {
            site.write(&format!("s/{name}"), lines.iter().map(|line| line.text.as_str()).collect::<String>());
        }
        for workers in [1, 2, 4] {
            let batch_bytes = 16 + random.below(2_000) as usize;
            let cut = Cut { workers, batch_bytes, tick_bytes: 1 + random.below(5_000) as usize, ..FINE };
            let mut run = Run::once(&site, cut, ORDERED);
            assert_eq!(run.ask("SELECT * FROM T ORDER BY K"), expected(&files), "round {round}, {cut:?}");
        }
    }
}

/// What is read of a file that grows is in its order as well.
#[test]
fn what_is_followed_is_in_order_on_any_number_of_workers() {
    let mut random = Random(12);
    for workers in [1, 2, 4] {
        let site = Site::new().with("s", "s.csv", "");
        let mut run = Run::live(&site, Cut { workers, batch_bytes: 300, ..FINE }, ORDERED);
        let mut lines: Vec<Line> = Vec::new();
        for _ in 0..30 {
            for _ in 0..random.below(60) {
                lines.push(Line::random(&mut random, lines.len() as u64));
                site.append("s.csv", &lines[lines.len() - 1].text);
            }
            if random.chance(3) {
                let files = [std::mem::take(&mut lines)];
                run.until("SELECT * FROM T ORDER BY K", |rows| rows == expected(&files));
                [lines] = files;
            }
        }
        let files = [lines];
        run.until("SELECT * FROM T ORDER BY K", |rows| rows == expected(&files));
    }
}

const UNTIMED: &str = "
    CREATE STREAM S (K VARCHAR, V INT) WITH (KAFKA_TOPIC='s', VALUE_FORMAT='DELIMITED');
    CREATE TABLE T AS SELECT K, COUNT(*) AS N, LATEST_BY_OFFSET(V) AS LAST, MAX(ROWTIME) AS AT FROM S GROUP BY K;
";

#[test]
fn a_second_run_reads_what_is_new_and_its_times_go_on() {
    for workers in [1, 2, 4] {
        let cut = COARSE.workers(workers);
        let site = Site::new().keeping_data().and("[topics.s]\nconnector = \"file\"\npath = \"s\"");
        std::fs::create_dir(site.path("s")).unwrap();
        site.write("s/b.csv", "a,1\n");
        let at = |run: &mut Run| run.number("SELECT AT FROM T WHERE K = 'a'");
        let mut run = Run::once(&site, cut, UNTIMED);
        let first = at(&mut run);
        drop(run);
        site.append("s/b.csv", "a,2\n");
        site.write("s/a.csv", "c,3\n");
        let mut run = Run::once(&site, cut, UNTIMED);
        let rows = run.ask("SELECT K, N, LAST FROM T ORDER BY K");
        assert_eq!(rows, [r#"{"K":"a","N":2,"LAST":2}"#, r#"{"K":"c","N":1,"LAST":3}"#]);
        assert!(at(&mut run) > first, "what the second run found came later");
        drop(run);
        let mut run = Run::once(&site, cut, UNTIMED);
        assert_eq!(run.ask("SELECT K, N, LAST FROM T ORDER BY K"), rows);
    }
}

/// Runs to the end on each number of workers, in small and in large pieces, and asks.
fn each(site: &Site, script: &str, question: &str, expected: &[&str]) {
    for workers in [1, 2, 4] {
        for cut in [COARSE.workers(workers), Cut { batch_bytes: 24, ..FINE.workers(workers) }] {
            let mut run = Run::once(site, cut, script);
            assert_eq!(run.ask(question), expected, "{cut:?}");
        }
    }
}

const ORDERS: &str = "
    CREATE STREAM S (ID INT, NAME VARCHAR, N INT) WITH (KAFKA_TOPIC='s', VALUE_FORMAT='DELIMITED');
    CREATE TABLE T AS SELECT ID, COUNT(*) AS N, LATEST_BY_OFFSET(NAME) AS NAME FROM S GROUP BY ID;
";
const ORDERED_BY_ID: &str = "SELECT ID, N, NAME FROM T ORDER BY ID";
const REJECTS: &str = "SELECT COUNT(*) AS N FROM WHARFE_REJECTS";

#[test]
fn quoted_fields_span_lines() {
    let site =
        Site::new().with("s", "s.csv", "1,one,10\n3,\"three\n4,x,30\nfake\",40\n5,\"open,1\n6,six,2\n");
    each(
        &site,
        ORDERS,
        ORDERED_BY_ID,
        &[
            r#"{"ID":1,"N":1,"NAME":"one"}"#,
            r#"{"ID":3,"N":1,"NAME":"three\n4,x,30\nfake"}"#,
            r#"{"ID":6,"N":1,"NAME":"six"}"#,
        ],
    );
    each(&site, ORDERS, REJECTS, &[r#"{"N":1}"#]);
    // Where it is said that a line is a record, one is.
    let lines = "[topics.s]\nconnector = \"file\"\npath = \"s.csv\"\nframing = \"line\"";
    let site = Site::new().and(lines);
    site.write("s.csv", "3,\"three\n4,x,30\nfake\",40\n");
    each(&site, ORDERS, ORDERED_BY_ID, &[r#"{"ID":4,"N":1,"NAME":"x"}"#]);
}

#[test]
fn a_byte_order_mark_is_no_part_of_the_first_record() {
    let site =
        Site::new().with("s", "s.csv", "\u{feff}ann,1\nann,2\n").with("j", "j.json", "\u{feff}{\"V\":3}\n");
    let script = "
        CREATE STREAM S (K VARCHAR, V INT) WITH (KAFKA_TOPIC='s', VALUE_FORMAT='DELIMITED');
        CREATE STREAM J (V INT) WITH (KAFKA_TOPIC='j', VALUE_FORMAT='JSON');
        CREATE TABLE T AS SELECT K, SUM(V) AS V FROM S GROUP BY K;";
    each(&site, script, "SELECT * FROM T", &[r#"{"K":"ann","V":3}"#]);
    each(&site, script, "SELECT V FROM J", &[r#"{"V":3}"#]);
}

#[test]
fn the_elements_of_an_array_are_records() {
    let rows: Vec<String> =
        (0..50).map(|i| format!("  {{\"k\": \"k{}\", \"v\": [{i},\n{i}]}}", i % 3)).collect();
    let site = Site::new().with("j", "j.json", format!("[\n{}\n]\n", rows.join(",\n")));
    let script = "
        CREATE STREAM J (K VARCHAR, V ARRAY<INT>) WITH (KAFKA_TOPIC='j', VALUE_FORMAT='JSON');
        CREATE TABLE T AS SELECT K, COUNT(*) AS N, SUM(V[1]) AS V FROM J GROUP BY K;";
    let sum = |k: i64| (0..50).filter(|i| i % 3 == k).sum::<i64>();
    let expected: Vec<String> = (0..3)
        .map(|k| format!(r#"{{"K":"k{k}","N":{},"V":{}}}"#, if k < 2 { 17 } else { 16 }, sum(k)))
        .collect();
    let expected: Vec<&str> = expected.iter().map(String::as_str).collect();
    each(&site, script, "SELECT * FROM T ORDER BY K", &expected);
    each(&site, script, REJECTS, &[r#"{"N":0}"#]);
}

fn gzip(text: &str) -> Vec<u8> {
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut packed, text.as_bytes()).unwrap();
    packed.finish().unwrap()
}

#[test]
fn packed_files_are_recognised_by_what_is_in_them() {
    let lines: Vec<String> = (0..3_000).map(|i| format!("{},name {i},{i}\n", i % 2)).collect();
    let text = lines.concat();
    let (first, rest) = text.split_at(text.len() / 2);
    // One pack behind the other is one stream.
    let packed = [
        ("s.csv.gz", [gzip(first), gzip(rest)].concat()),
        ("s.csv", zstd::encode_all(text.as_bytes(), 0).unwrap()),
        (
            "s.zst",
            [zstd::encode_all(first.as_bytes(), 0).unwrap(), zstd::encode_all(rest.as_bytes(), 0).unwrap()]
                .concat(),
        ),
    ];
    for (name, bytes) in packed {
        let site = Site::new().with("s", name, bytes);
        let expected = [r#"{"ID":0,"N":1500,"NAME":"name 2998"}"#, r#"{"ID":1,"N":1500,"NAME":"name 2999"}"#];
        for workers in [1, 2, 4] {
            let cut = Cut { workers, batch_bytes: 1_000, ..COARSE };
            assert_eq!(Run::once(&site, cut, ORDERS).ask(ORDERED_BY_ID), expected, "{name}, {cut:?}");
        }
    }
}

#[test]
fn what_cannot_be_unpacked_is_a_reject_and_a_pack_that_grows_is_followed() {
    let text: String = (0..2_000).map(|i| format!("{i},n,{i}\n")).collect();
    let mut bytes = gzip(&text);
    let middle = bytes.len() / 2;
    bytes.truncate(middle);
    let site = Site::new().with("s", "s.csv.gz", &bytes);
    let mut run = Run::once(&site, COARSE, ORDERS);
    let rows = run.ask("SELECT * FROM T").len();
    assert!((1..2_000).contains(&rows), "{rows}");
    let why = run.ask("SELECT REASON FROM WHARFE_REJECTS");
    assert!(why.iter().any(|why| why.contains("what follows cannot be unpacked")), "{why:?}");
    drop(run);
    let mut run = Run::live(&site, COARSE.workers(2), ORDERS);
    run.until("SELECT COUNT(*) AS N FROM S", |rows| rows != [r#"{"N":0}"#]);
    site.append("s.csv.gz", &gzip(&text)[middle..]);
    run.until("SELECT COUNT(*) AS N FROM S", |rows| rows == [r#"{"N":2000}"#]);
}

#[test]
fn a_first_line_names_the_columns() {
    let names = "[topics.s]\nconnector = \"file\"\npath = \"s\"\nheader = \"names\"\nnull = \"n/a\"";
    let site = Site::new().and(names);
    std::fs::create_dir(site.path("s")).unwrap();
    site.write("s/a.csv", "\u{feff}n, \"Name\" ,extra,id\r\n10,ann,x,1\r\nn/a,\"n/a\",x,2\r\n");
    site.write("s/b.csv", "id,name,n\n3,cid,30\n4,dot\n");
    let script =
        "CREATE STREAM S (ID INT, NAME VARCHAR, N INT) WITH (KAFKA_TOPIC='s', VALUE_FORMAT='DELIMITED');
        CREATE TABLE T AS SELECT ID, LATEST_BY_OFFSET(NAME) AS NAME, MAX(N) AS N FROM S GROUP BY ID;";
    each(
        &site,
        script,
        "SELECT * FROM T ORDER BY ID",
        &[
            r#"{"ID":1,"NAME":"ann","N":10}"#,
            r#"{"ID":2,"NAME":"n/a","N":null}"#,
            r#"{"ID":3,"NAME":"cid","N":30}"#,
        ],
    );
    let reason = r#"{"REASON":"3 columns named in the first line, the record has 2"}"#;
    each(&site, script, "SELECT REASON FROM WHARFE_REJECTS", &[reason]);
    let mut run = Run::idle(&site, COARSE, true);
    let refused =
        run.refused("CREATE STREAM W (ID INT, NOPE INT) WITH (KAFKA_TOPIC='s', VALUE_FORMAT='DELIMITED')");
    assert!(
        refused.contains("the first line names no column NOPE; it names n, Name, extra, id"),
        "{refused}"
    );
    // A file that comes later may lack one, too.
    let mut run = Run::live(&site, COARSE, script);
    site.write("s/c.csv", "id,name\n9,z\n");
    run.until("SELECT REASON FROM WHARFE_REJECTS", |found| {
        found.iter().any(|why| why.contains("the first line names no column N; it names id, name"))
    });
}

#[test]
fn quotes_and_blanks_are_as_it_is_said() {
    let quoted = "[topics.s]\nconnector = \"file\"\npath = \"s.csv\"\nquote = \"'\"\n\
                  [topics.n]\nconnector = \"file\"\npath = \"n.csv\"\nquote = \"\"";
    let site = Site::new().and(quoted);
    site.write("s.csv", "'a,''b\n\"', 3.5 \n");
    site.write("n.csv", "\"a, 1 \n");
    let script = "
        CREATE STREAM S (K VARCHAR, V DOUBLE) WITH (KAFKA_TOPIC='s', VALUE_FORMAT='DELIMITED');
        CREATE STREAM N (K VARCHAR, V DOUBLE) WITH (KAFKA_TOPIC='n', VALUE_FORMAT='DELIMITED');";
    each(&site, script, "SELECT * FROM S", &[r#"{"K":"a,'b\n\"","V":3.5}"#]);
    each(&site, script, "SELECT * FROM N", &[r#"{"K":"\"a","V":1.0}"#]);
}

#[test]
fn a_key_is_taken_from_the_value() {
    let keyed = "[topics.t]\nconnector = \"file\"\npath = \"t.csv\"\nkey = [\"id\"]\n\
                 [topics.j]\nconnector = \"file\"\npath = \"j.json\"\nkey = [\"ID\"]\n\
                 [topics.f]\nconnector = \"file\"\npath = \"t.csv\"";
    let site = Site::new().and(keyed);
    site.write("t.csv", "1,ann\n2,bob\n1,eve\n,nobody\n");
    site.write(
        "j.json",
        "{\"name\": \"ann\", \"id\": 1}\n{\"id\": 1, \"name\": \"bob\"}\n{\"name\": \"no\"}\n",
    );
    let script = "
        CREATE TABLE T (ID INT PRIMARY KEY, NAME VARCHAR) WITH (KAFKA_TOPIC='t', VALUE_FORMAT='DELIMITED');
        CREATE TABLE J (NAME VARCHAR, ID INT PRIMARY KEY) WITH (KAFKA_TOPIC='j', VALUE_FORMAT='JSON');
        CREATE TABLE N AS SELECT NAME, COUNT(*) AS N FROM T GROUP BY NAME;";
    each(
        &site,
        script,
        "SELECT * FROM T ORDER BY ID",
        &[r#"{"ID":1,"NAME":"eve"}"#, r#"{"ID":2,"NAME":"bob"}"#],
    );
    each(&site, script, "SELECT ID, NAME FROM J", &[r#"{"ID":1,"NAME":"bob"}"#]);
    each(
        &site,
        script,
        "SELECT * FROM N ORDER BY NAME",
        &[r#"{"NAME":"bob","N":1}"#, r#"{"NAME":"eve","N":1}"#],
    );
    each(
        &site,
        script,
        "SELECT REASON, COUNT(*) AS N FROM WHARFE_REJECTS GROUP BY REASON",
        &[r#"{"REASON":"no key","N":2}"#],
    );
    let mut run = Run::idle(&site, COARSE, true);
    for (statement, why) in [
        (
            "CREATE TABLE F (ID INT PRIMARY KEY, NAME VARCHAR) WITH (KAFKA_TOPIC='f', VALUE_FORMAT='DELIMITED')",
            "hint: key = [\"ID\"] under [topics.f] in the topology",
        ),
        (
            "CREATE TABLE T (NAME VARCHAR, ID INT PRIMARY KEY) WITH (KAFKA_TOPIC='t', VALUE_FORMAT='DELIMITED')",
            "declare it first",
        ),
        (
            "CREATE TABLE T (X INT PRIMARY KEY, NAME VARCHAR) WITH (KAFKA_TOPIC='t', VALUE_FORMAT='DELIMITED')",
            "column X is in the key of T, and topic t has ID there",
        ),
    ] {
        let refused = run.refused(statement);
        assert!(refused.contains(why), "{refused}");
    }
}

#[test]
fn what_the_script_writes_is_read_again_to_its_end() {
    let rows: String = (0..5_000).map(|i| format!("{},n,{i}\n", i % 7)).collect();
    let site = Site::new().with("s", "s.csv", rows).and("[topics.w]\nconnector = \"log\"");
    let script = "
        CREATE STREAM AGAIN (ID INT, N INT) WITH (KAFKA_TOPIC='w', VALUE_FORMAT='JSON');
        CREATE TABLE SUMS AS SELECT ID, COUNT(*) AS N FROM AGAIN GROUP BY ID;
        CREATE STREAM S (ID INT, NAME VARCHAR, N INT) WITH (KAFKA_TOPIC='s', VALUE_FORMAT='DELIMITED');
        CREATE STREAM W WITH (KAFKA_TOPIC='w', VALUE_FORMAT='JSON') AS SELECT ID, N FROM S;";
    for workers in [1, 2, 4] {
        let mut run = Run::once(&site, COARSE.workers(workers), script);
        assert_eq!(run.number("SELECT SUM(N) AS N FROM SUMS"), 5_000);
    }
}

#[test]
fn another_file_under_the_name_is_read_from_its_start() {
    for workers in [1, 2, 4] {
        let site = Site::new().keeping_data().with("s", "o.csv", "1,a,1\n2,b,2\n3,c,3\n");
        let run = |expected: &[&str]| {
            let mut run = Run::once(&site, COARSE.workers(workers), ORDERS);
            assert_eq!(run.ask(ORDERED_BY_ID), expected, "{workers} workers");
        };
        let old =
            [r#"{"ID":1,"N":1,"NAME":"a"}"#, r#"{"ID":2,"N":1,"NAME":"b"}"#, r#"{"ID":3,"N":1,"NAME":"c"}"#];
        run(&old);
        site.write("new.csv", "9,z,9\n8,y,8\n7,x,7\n");
        std::fs::rename(site.path("new.csv"), site.path("o.csv")).unwrap();
        let new =
            [r#"{"ID":7,"N":1,"NAME":"x"}"#, r#"{"ID":8,"N":1,"NAME":"y"}"#, r#"{"ID":9,"N":1,"NAME":"z"}"#];
        run(&[&old[..], &new].concat());
        // A shorter one, written in place; then one that an editor has written anew, with more.
        site.write("o.csv", "6,w,6\n");
        let last = [r#"{"ID":5,"N":1,"NAME":"v"}"#, r#"{"ID":6,"N":1,"NAME":"w"}"#];
        run(&[&old[..], &last[1..], &new].concat());
        site.write("new.csv", "6,w,6\n5,v,5\n");
        std::fs::rename(site.path("new.csv"), site.path("o.csv")).unwrap();
        run(&[&old[..], &last, &new].concat());
    }
}

#[test]
fn a_rotated_file_is_read_on_under_its_new_name() {
    let site = Site::new().keeping_data().and("[topics.s]\nconnector = \"file\"\npath = \"log*\"");
    site.write("log", "1,a,1\n");
    drop(Run::once(&site, COARSE, ORDERS));
    site.append("log", "2,b,2\n");
    std::fs::rename(site.path("log"), site.path("log.1")).unwrap();
    site.write("log", "3,c,3\n");
    let mut run = Run::once(&site, COARSE.workers(2), ORDERS);
    let rows =
        [r#"{"ID":1,"N":1,"NAME":"a"}"#, r#"{"ID":2,"N":1,"NAME":"b"}"#, r#"{"ID":3,"N":1,"NAME":"c"}"#];
    assert_eq!(run.ask(ORDERED_BY_ID), rows);
}

#[test]
fn what_happens_to_files_and_names_that_are_near_is_said() {
    let site = Site::new().with("order", "o.csv", "1,a,1\n");
    let script = site.script(&ORDERS.replace("'s'", "'orders'"));
    let mut command = binary(["run", "--once", script.to_str().unwrap()]);
    command.current_dir(site.dir());
    let done = Process::start(command).finish();
    let said = "the topology places topic order, which nothing reads; did you mean orders?";
    assert!(done.stderr.contains(said), "{done:?}");

    let site = Site::new().with("s", "o.csv", "1,a,1\n");
    let script = site.script(ORDERS);
    let once = || {
        let mut command = binary(["run", "--once", "--data-dir", "data", script.to_str().unwrap()]);
        command.current_dir(site.dir());
        Process::start(command).finish()
    };
    once();
    site.write("o.csv", "2,b,1\n");
    let done = once();
    assert!(done.stderr.contains("o.csv is another file than the one that was read"), "{done:?}");
}
