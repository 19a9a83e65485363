//! Files that are read whole, split among workers, followed, cut and replaced.

use super::*;
use crate::batch::MessageBatch;
use proptest::prelude::*;
use std::fs::{self, OpenOptions};
use std::io::Write;

const EAGER: Reading = Reading {
    framing: Framing::Line,
    header: false,
    split_bytes_min: 0,
    message_bytes_max: 64 << 20,
    check_ms: 0,
};

fn opening(share: Share, bounded: bool) -> Opening {
    Opening { share, start: Start::Earliest, bounded, opened_ms: 1000 }
}

fn follow(path: &Path, reading: Reading) -> FileSource {
    open_reading(path, reading, true, opening(Share::All, false), &survey(path, true).unwrap()).unwrap()
}

fn texts(batch: &MessageBatch) -> Vec<String> {
    (0..batch.len()).map(|i| String::from_utf8(batch.value(i).unwrap().to_vec()).unwrap()).collect()
}

/// Everything there is now, as `partition@offset:text`.
fn drain(source: &mut FileSource) -> Vec<String> {
    let mut all = Vec::new();
    while let Poll::Messages(batch) = source.poll(1000, 2000).unwrap() {
        for (i, text) in texts(&batch).iter().enumerate() {
            let torn = if batch.torn.iter().any(|(t, _)| *t == i) { " torn" } else { "" };
            all.push(format!("{}@{}:{text}{torn}", batch.partition, batch.offsets[i]));
        }
    }
    all
}

fn append(path: &Path, text: &str) {
    OpenOptions::new().append(true).create(true).open(path).unwrap().write_all(text.as_bytes()).unwrap();
}

fn is_done(source: &mut FileSource) -> bool {
    matches!(source.poll(1000, 2000).unwrap(), Poll::Done)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    #[test]
    fn each_message_is_read_once_whatever_the_split(
        first in "[ab{}\n\":,]{0,200}", second in "(\\{\"a\":1\\}\n){0,9}", of in 1usize..6, step in 1usize..90, header: bool,
        json: bool,
    ) {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("a"), &first).unwrap();
        fs::write(dir.path().join("b"), &second).unwrap();
        let framing = if json { Framing::Json } else { Framing::Line };
        let reading = Reading { header, framing, ..EAGER };
        let survey = survey(dir.path(), false).unwrap();
        let read = |share, step, bounded: bool| {
            let mut source = open_reading(dir.path(), reading, !bounded, opening(share, bounded), &survey).unwrap();
            let mut all = Vec::new();
            while let Poll::Messages(batch) = source.poll(step, 2000).unwrap() {
                all.extend(texts(&batch).into_iter().enumerate().map(|(i, t)| (batch.partition, batch.offsets[i], t)));
            }
            all
        };
        for bounded in [true, false] {
            let whole = read(Share::All, 1 << 20, bounded);
            let mut parts: Vec<_> = (0..of).flat_map(|index| read(Share::Part { index, of }, step, bounded)).collect();
            parts.sort();
            prop_assert_eq!(&whole, &parts);
            prop_assert!(whole.is_sorted());
        }
    }
}

#[test]
fn a_bounded_file_ends_where_it_ended_at_opening() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.csv");
    fs::write(&path, "one\ntwo").unwrap();
    let mut source =
        open_reading(&path, EAGER, true, opening(Share::All, true), &survey(&path, true).unwrap()).unwrap();
    append(&path, "more\nthree\n");
    assert_eq!(source.bytes_expected(), Some(7));
    assert_eq!(drain(&mut source), ["0@0:one", "0@4:two"]);
    assert!(is_done(&mut source));
}

#[test]
fn what_is_appended_waits_for_its_end_of_line() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.csv");
    fs::write(&path, "one\ntw").unwrap();
    let mut source = follow(&path, EAGER);
    assert_eq!(drain(&mut source), ["0@0:one"]);
    append(&path, "o\nthree\nfo");
    let Poll::Messages(batch) = source.poll(1000, 2000).unwrap() else { panic!() };
    assert_eq!(texts(&batch), ["two", "three"]);
    assert_eq!((batch.timestamps.at(0), batch.timestamps.at(1)), (1000, 2000));
    assert_eq!(drain(&mut source), Vec::<String>::new());
    append(&path, "ur\n");
    assert_eq!(drain(&mut source), ["0@14:four"]);
}

#[test]
fn appended_bytes_have_one_reader_however_many_there_are() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.json");
    fs::write(&path, "{\"a\":1}\n{\"a\":2}\n{\"a\":").unwrap();
    let reading = Reading { framing: Framing::Json, ..EAGER };
    let survey = survey(&path, true).unwrap();
    let open = |index| {
        open_reading(&path, reading, true, opening(Share::Part { index, of: 3 }, false), &survey).unwrap()
    };
    let mut sources = [open(0), open(1), open(2)];
    let mut all: Vec<String> = sources.iter_mut().flat_map(drain).collect();
    append(&path, "3}\n{\"a\":4}\n");
    all.extend(sources.iter_mut().flat_map(drain));
    append(&path, "{\"a\":5}\n");
    all.extend(sources.iter_mut().flat_map(drain));
    all.sort();
    assert_eq!(all, ["0@0:{\"a\":1}", "0@16:{\"a\":3}", "0@24:{\"a\":4}", "0@32:{\"a\":5}", "0@8:{\"a\":2}"]);
}

#[test]
fn latest_begins_behind_what_is_there() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.csv");
    fs::write(&path, "one\ntwo\n").unwrap();
    let latest = Opening { start: Start::Latest, ..opening(Share::All, false) };
    let mut source = open_reading(&path, EAGER, true, latest, &survey(&path, true).unwrap()).unwrap();
    assert_eq!(drain(&mut source), Vec::<String>::new());
    append(&path, "three\n");
    assert_eq!(drain(&mut source), ["0@8:three"]);
}

#[test]
fn a_truncated_file_is_read_from_its_start() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.csv");
    fs::write(&path, "one\ntwo\nhal").unwrap();
    let mut source = follow(&path, EAGER);
    assert_eq!(drain(&mut source), ["0@0:one", "0@4:two"]);
    OpenOptions::new().write(true).open(&path).unwrap().set_len(0).unwrap();
    append(&path, "new\n");
    assert_eq!(drain(&mut source), ["0@8:hal", "0@0:new"]);
}

#[test]
fn a_replaced_file_is_finished_before_the_new_one() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.csv");
    fs::write(&path, "one\n").unwrap();
    let mut source = follow(&path, EAGER);
    assert_eq!(drain(&mut source), ["0@0:one"]);
    fs::rename(&path, dir.path().join("a.csv.1")).unwrap();
    append(&dir.path().join("a.csv.1"), "two\n");
    assert_eq!(drain(&mut source), ["0@4:two"]);
    append(&dir.path().join("a.csv.1"), "three");
    fs::write(&path, "four\n").unwrap();
    assert_eq!(drain(&mut source), ["0@4:two", "0@8:three", "0@0:four"][1..]);
    fs::remove_file(&path).unwrap();
    assert_eq!(drain(&mut source), Vec::<String>::new());
    fs::write(&path, "five\n").unwrap();
    assert_eq!(drain(&mut source), ["0@0:five"]);
}

#[test]
fn new_files_get_the_next_partitions_and_renamed_ones_are_not_new() {
    let dir = tempfile::tempdir().unwrap();
    let name = |n: &str| dir.path().join(n);
    fs::write(name("m.csv"), "m\n").unwrap();
    let pattern = dir.path().join("*.csv");
    let mut source = follow(&pattern, EAGER);
    assert_eq!(drain(&mut source), ["0@0:m"]);
    fs::write(name("z.csv"), "z\n").unwrap();
    fs::write(name("b.csv"), "b\n").unwrap();
    fs::write(name("b.txt"), "no\n").unwrap();
    assert_eq!(drain(&mut source), ["1@0:b", "2@0:z"]);
    fs::rename(name("m.csv"), name("m.1.csv")).unwrap();
    fs::write(name("m.csv"), "new\n").unwrap();
    assert_eq!(drain(&mut source), ["0@0:new"]);
    append(&name("b.csv"), "b2\n");
    assert_eq!(drain(&mut source), ["1@2:b2"]);
}

#[test]
fn a_missing_path_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let message = |path: &Path, follow| survey(path, follow).unwrap_err().to_string();
    let missing = dir.path().join("no.csv");
    assert_eq!(
        message(&missing, true),
        format!("there is no file {}; hint: check the topic's path", missing.display())
    );
    let glob = dir.path().join("*.csv");
    assert_eq!(
        message(&glob, false),
        format!("there is no file {}; hint: no file matches the pattern", glob.display())
    );
    assert!(survey(&glob, true).unwrap().files.is_empty());
    assert!(survey(dir.path(), true).unwrap().files.is_empty());
}

#[test]
fn a_message_that_is_too_long_costs_only_itself() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.csv");
    let long = "x".repeat(5000);
    fs::write(&path, format!("one\n{long}\ntwo\n")).unwrap();
    let reading = Reading { message_bytes_max: 100, ..EAGER };
    let mut source = follow(&path, reading);
    let expected = ["0@0:one".to_string(), format!("0@4:{} torn", "x".repeat(100)), "0@5005:two".to_string()];
    assert_eq!(drain(&mut source), expected);
}

#[test]
fn files_are_looked_at_every_few_milliseconds_only() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.csv");
    fs::write(&path, "one\n").unwrap();
    let mut source = follow(&path, Reading { check_ms: 5, ..EAGER });
    let mut is_pending = |now_ms| matches!(source.poll(1000, now_ms).unwrap(), Poll::Pending);
    assert!(!is_pending(10));
    assert!(is_pending(10));
    append(&path, "two\n");
    assert!(is_pending(14));
    assert!(!is_pending(15));
}

#[test]
fn what_is_there_and_not_read_is_the_lag() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a");
    fs::write(&path, "one\ntwo\n").unwrap();
    let mut source = follow(&path, EAGER);
    let lag = |source: &FileSource| source.lag(0).unwrap().bytes.unwrap();
    assert_eq!(lag(&source), 8);
    drain(&mut source);
    assert_eq!(lag(&source), 0);
    append(&path, "three\nunfin");
    assert_eq!(lag(&source), 11);
    assert_eq!(drain(&mut source), ["0@8:three"]);
    assert_eq!(lag(&source), 0, "the rest of a message is not there");
    // Of a file that is read by several each has its part.
    let survey = survey(&path, false).unwrap();
    let part = |index| {
        let share = opening(Share::Part { index, of: 2 }, true);
        lag(&open_reading(&path, EAGER, false, share, &survey).unwrap())
    };
    assert_eq!([part(0), part(1)], [9, 10]);
}
