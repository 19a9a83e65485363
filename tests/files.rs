//! How files are read: in blocks that all workers are dealt, as if one had read them in order.

use crate::harness::{COARSE, Cut, FINE, Random, Run, Site};
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
