//! Files that are read whole, split among workers, followed, cut and replaced.

use super::*;
use crate::batch::MessageBatch;
use crate::connector::{Csv, Share, Start, Ticket};
use proptest::prelude::*;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::task::Waker;

const EAGER: Reading =
    Reading { framing: Framing::Line, header: false, names: false, message_bytes_max: 64 << 20, check_ms: 0 };

fn opening(bounded: bool) -> Opening {
    Opening { share: Share::All, start: Start::Earliest, bounded, opened_ms: 1000 }
}

fn alone(path: &Path, reading: Reading, opening: Opening, survey: &Survey) -> FileSource {
    open_reading(path, reading, true, opening, survey, &Team::alone())
}

fn follow(path: &Path, reading: Reading) -> FileSource {
    alone(path, reading, opening(false), &survey(path, true).unwrap())
}

/// The readers of so many workers of one process.
fn team(path: &Path, reading: Reading, opening: Opening, survey: &Survey, workers: usize) -> Vec<FileSource> {
    let first = Team::alone();
    let open = |worker| open_reading(path, reading, true, opening, survey, &Team { worker, ..first.clone() });
    (0..workers).map(open).collect()
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

/// In one of the ways in which a file may be packed.
fn packed(text: &str, pack: usize) -> Vec<u8> {
    match pack {
        0 => {
            let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            packed.write_all(text.as_bytes()).unwrap();
            packed.finish().unwrap()
        }
        1 => zstd::encode_all(text.as_bytes(), 0).unwrap(),
        _ => text.as_bytes().to_vec(),
    }
}

/// One message: partition, offset, text, time.
type Seen = (i32, i64, String, i64);

fn seen(batch: &MessageBatch) -> Vec<Seen> {
    let times = (0..batch.len()).map(|i| batch.timestamps.at(i));
    let texts = texts(batch).into_iter().zip(times).enumerate();
    texts.map(|(i, (text, time))| (batch.partition, batch.offsets[i], text, time)).collect()
}

fn all(source: &mut FileSource) -> Vec<Seen> {
    let mut all = Vec::new();
    while let Poll::Messages(batch) = source.poll(1 << 20, 2000).unwrap() {
        all.extend(seen(&batch));
    }
    all
}

/// What a team is dealt, in the order in which it was: worker and tick of each step are given.
fn dealt(workers: &mut [FileSource], turns: &[(usize, u64)], step: usize) -> Vec<(Ticket, Vec<Seen>)> {
    let (mut epochs, mut blocks) = (vec![0; workers.len()], Vec::new());
    for (worker, more) in turns.iter().cycle() {
        let worker = worker % workers.len();
        epochs[worker] += more;
        let horizon = *epochs.iter().min().unwrap();
        match workers[worker].deal(step, 2000, Moment { epoch: epochs[worker], horizon }).unwrap() {
            Dealt::Messages(batch, ticket) => blocks.push((ticket.unwrap(), seen(&batch))),
            // Nothing yet, though more is there.
            Dealt::Busy => {}
            Dealt::Pending | Dealt::Done => return blocks,
        }
    }
    blocks
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]
    #[test]
    fn what_a_team_is_dealt_is_the_file_whoever_asks_and_where_a_checkpoint_stops(
        first in "(\u{feff}|\\[ )?[ab{}\n\":,]{0,200}", second in "(\\{\"a\":1\\}\n){0,9}", workers in 1usize..5,
        step in 1usize..90, header: bool, framing in 0usize..3, pack in 0usize..4,
        bounded: bool, stop in 0u64..40,
        turns in prop::collection::vec((0usize..5, 0u64..4), 1..20),
    ) {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("a"), packed(&first, pack)).unwrap();
        fs::write(dir.path().join("b"), packed(&second, pack)).unwrap();
        let csv = Framing::Csv(Csv { delimiter: b',', quote: Some(b'"') });
        let framing = [Framing::Line, Framing::Json, csv][framing];
        let reading = Reading { header, framing, ..EAGER };
        let survey = survey(dir.path(), false).unwrap();
        let whole = all(&mut alone(dir.path(), reading, opening(bounded), &survey));
        prop_assert!(whole.is_sorted());

        let mut sources = team(dir.path(), reading, opening(bounded), &survey, workers);
        let blocks = dealt(&mut sources, &turns, step);
        let rows: Vec<Seen> = blocks.iter().flat_map(|(_, rows)| rows.clone()).collect();
        prop_assert_eq!(&rows, &whole);
        for partition in 0..2 {
            let of = blocks.iter().filter(|(_, rows)| rows.first().is_some_and(|row| row.0 == partition));
            let tickets: Vec<Ticket> = of.map(|(ticket, _)| *ticket).collect();
            prop_assert!(tickets.is_sorted_by(|a, b| a.sequence < b.sequence && a.epoch <= b.epoch));
        }

        // The least tick that somebody may still ask for is the last one's of the slowest worker.
        let last = blocks.iter().map(|(ticket, _)| ticket.epoch).max().unwrap_or(0);
        let stop = last.saturating_sub(stop.min(1)).max(stop.min(last));
        if sources.len() > 1 || stop == last {
            let until: Vec<Seen> =
                blocks.iter().filter(|(t, _)| t.epoch <= stop).flat_map(|(_, rows)| rows.clone()).collect();
            let Some(ReadTo::Dealt(dealer)) = sources[0].position() else { panic!() };
            let resumed = Some(dealer.position(stop));
            let survey = Survey { resumed, at_ms: 1500, ..survey };
            let mut rest = all(&mut alone(dir.path(), reading, opening(bounded), &survey));
            rest.extend(until);
            rest.sort();
            prop_assert_eq!(rest, whole);
        }
    }
}

#[test]
fn what_is_found_later_has_a_later_time_and_none_runs_backwards() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a");
    fs::write(&path, "one\n").unwrap();
    let mut source = follow(&path, EAGER);
    let times = |source: &mut FileSource| all(source).into_iter().map(|row| row.3).collect::<Vec<_>>();
    assert_eq!(times(&mut source), [1000]);
    append(&path, "two\n");
    assert_eq!(times(&mut source), [2000]);
    append(&path, "three\n");
    let again = |source: &FileSource, at_ms| {
        let Some(ReadTo::Dealt(dealer)) = source.position() else { panic!() };
        Survey { resumed: Some(dealer.position(0)), at_ms, ..survey(&path, true).unwrap() }
    };
    let mut bounded = alone(&path, EAGER, opening(true), &again(&source, 3000));
    assert_eq!(times(&mut bounded), [3000], "when this start found it");
    let mut bounded = alone(&path, EAGER, opening(true), &again(&source, 1500));
    assert_eq!(times(&mut bounded), [2000], "the clock was set back");
}

#[test]
fn what_was_added_since_is_read_by_a_bounded_start() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("b"), "one\n").unwrap();
    fs::write(dir.path().join("c"), "gone\n").unwrap();
    let found = survey(dir.path(), false).unwrap();
    let mut source = alone(dir.path(), EAGER, opening(true), &found);
    assert_eq!(drain(&mut source), ["0@0:one", "1@0:gone"]);
    let Some(ReadTo::Dealt(dealer)) = source.position() else { panic!() };
    append(&dir.path().join("b"), "two\n");
    fs::write(dir.path().join("a"), "new\n").unwrap();
    fs::remove_file(dir.path().join("c")).unwrap();
    let later = Survey { resumed: Some(dealer.position(0)), ..survey(dir.path(), false).unwrap() };
    let mut source = alone(dir.path(), EAGER, opening(true), &later);
    assert_eq!(drain(&mut source), ["0@4:two", "2@0:new"]);
    let Some(ReadTo::Dealt(dealer)) = source.position() else { panic!() };
    let marks: Vec<_> = dealer.position(0).files.iter().map(|file| file.mark.unwrap().next).collect();
    assert_eq!(marks, [8, 5, 4]);
}

#[test]
fn files_belong_to_processes() {
    let dir = tempfile::tempdir().unwrap();
    ["a", "b", "c"].iter().for_each(|name| fs::write(dir.path().join(name), format!("{name}\n")).unwrap());
    let survey = survey(dir.path(), true).unwrap();
    let read = |process| {
        let team = Team { process, processes: 2, ..Team::alone() };
        drain(&mut open_reading(dir.path(), EAGER, true, opening(false), &survey, &team))
    };
    assert_eq!([read(0), read(1)], [vec!["0@0:a", "2@0:c"], vec!["1@0:b"]]);
}

/// Threads that are dealt one file at the same time: none waits for ever, and each row is read once.
#[test]
fn workers_read_at_the_same_time() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a");
    let lines: Vec<String> = (0..20_000).map(|i| format!("{{\"row\": {i}}}")).collect();
    fs::write(&path, lines.join("\n")).unwrap();
    let survey = survey(&path, false).unwrap();
    for framing in [Framing::Line, Framing::Json] {
        let reading = Reading { framing, ..EAGER };
        let first = Team::alone();
        let read = |worker| {
            let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
            let team = Team { worker, waker, ..first.clone() };
            let mut source = open_reading(&path, reading, true, opening(true), &survey, &team);
            let mut blocks = Vec::new();
            loop {
                match source.deal(500, 2000, Moment::default()).unwrap() {
                    Dealt::Messages(batch, ticket) => blocks.push((ticket.unwrap().sequence, texts(&batch))),
                    Dealt::Busy => std::thread::park(),
                    Dealt::Pending => unreachable!("the file has an end"),
                    Dealt::Done => return blocks,
                }
            }
        };
        let mut blocks: Vec<(u64, Vec<String>)> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4)
                .map(|worker| {
                    scope.spawn({
                        let read = &read;
                        move || read(worker)
                    })
                })
                .collect();
            threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
        });
        blocks.sort();
        assert!(blocks.iter().map(|(sequence, _)| *sequence).eq(0..blocks.len() as u64));
        assert_eq!(blocks.into_iter().flat_map(|(_, texts)| texts).collect::<Vec<_>>(), lines, "{framing:?}");
    }
}

struct Unpark(std::thread::Thread);

impl std::task::Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

#[test]
fn a_bounded_file_ends_where_it_ended_at_opening() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.csv");
    fs::write(&path, "one\ntwo").unwrap();
    let mut source = alone(&path, EAGER, opening(true), &survey(&path, true).unwrap());
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
    let mut sources = team(&path, reading, opening(false), &survey, 3);
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
    let latest = Opening { start: Start::Latest, ..opening(false) };
    let mut source = alone(&path, EAGER, latest, &survey(&path, true).unwrap());
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
    // Of a file that several read one tells it.
    let team = team(&path, EAGER, opening(true), &survey(&path, false).unwrap(), 2);
    assert_eq!([lag(&team[0]), lag(&team[1])], [19, 0]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    #[test]
    fn a_pack_may_be_damaged_anywhere(
        text in "([ab,]{0,9}\n){0,60}", zstd: bool, at in 0.0f64..1.0, cut: bool, step in 1usize..200,
    ) {
        let mut bytes = packed(&text, usize::from(zstd));
        let at = ((bytes.len() as f64 * at) as usize).max(5).min(bytes.len() - 1);
        if cut { bytes.truncate(at) } else { bytes[at] ^= 0x55 }
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        fs::write(&path, &bytes).unwrap();
        let survey = survey(&path, true).unwrap();
        let whole: Vec<String> = text.lines().filter(|line| !line.is_empty()).map(String::from).collect();
        for bounded in [true, false] {
            let mut source = alone(&path, EAGER, opening(bounded), &survey);
            let mut found = Vec::new();
            while let Poll::Messages(batch) = source.poll(step, 2000).unwrap() {
                found.extend((0..batch.len()).filter(|i| batch.torn.iter().all(|(t, _)| t != i)).map(|i| {
                    String::from_utf8_lossy(batch.value(i).unwrap()).into_owned()
                }));
            }
            // All but the last one, which may be cut, are what was packed, unless bytes were changed.
            found.pop();
            prop_assert!(!cut || whole.starts_with(&found), "{:?} of {:?}", found, whole);
        }
    }
}
