//! Logs: what is appended is read in order, also after a crash and by several readers.

use super::reader::open_checking;
use super::*;
use crate::connector::{Opening, Poll, Record, Share, Source, Start, Survey};
use crate::headers;
use std::fs::{self, OpenOptions};
use std::path::PathBuf;

const ALL: Opening = Opening { share: Share::All, start: Start::Earliest, bounded: false, opened_ms: 0 };
const BOUNDED: Opening = Opening { bounded: true, ..ALL };
const SMALL: LogOptions = LogOptions { segment_bytes: 200, retention_bytes: None };

fn writer(dir: &Path, options: LogOptions) -> LogWriter {
    LogWriter::open(dir, 0..1, options).unwrap().0
}

fn reader(dir: &Path, opening: Opening) -> LogReader {
    open_checking(dir, opening, &Survey::default(), 0).unwrap()
}

/// Everything there is now, as `partition@offset:value`.
fn drain(reader: &mut LogReader) -> Vec<String> {
    try_drain(reader).unwrap()
}

fn try_drain(reader: &mut LogReader) -> Result<Vec<String>> {
    let mut all = Vec::new();
    while let Poll::Messages(batch) = reader.poll(150, 0)? {
        for i in 0..batch.len() {
            let value = String::from_utf8_lossy(batch.value(i).unwrap_or(b"-")).to_string();
            all.push(format!("{}@{}:{value}", batch.partition, batch.offsets[i]));
        }
    }
    Ok(all)
}

fn value(value: &[u8]) -> Record<'_> {
    Record { value: Some(value), ..Record::default() }
}

fn numbers(range: std::ops::Range<i64>) -> Vec<String> {
    range.map(|i| format!("0@{i}:value {i}")).collect()
}

fn append(writer: &mut LogWriter, range: std::ops::Range<i64>) {
    for i in range {
        let value = format!("value {i}");
        let record = Record { timestamp: i, value: Some(value.as_bytes()), ..Record::default() };
        assert_eq!(writer.append(0, &record).unwrap(), i);
    }
    writer.flush().unwrap();
}

fn segments(dir: &Path) -> Vec<PathBuf> {
    segment::list(&dir.join("0")).unwrap().into_iter().map(|segment| segment.path).collect()
}

fn flip(path: &Path, byte: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[byte] ^= 0x10;
    fs::write(path, bytes).unwrap();
}

#[test]
fn records_come_back_as_they_were_written() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = writer(dir.path(), LogOptions::default());
    let mut block = Vec::new();
    headers::push(b"h", Some(b"\xff"), &mut block);
    headers::push(b"h", None, &mut block);
    let records = [
        (Some("k"), Some("v"), &[][..]),
        (None, Some(""), &block),
        (Some(""), None, &[]),
        (None, None, &block),
    ]
    .map(|(key, value, headers)| (key.map(str::as_bytes), value.map(str::as_bytes), headers));
    for (i, (key, value, headers)) in records.into_iter().enumerate() {
        writer.append(0, &Record { timestamp: 100 + i as i64, key, value, headers }).unwrap();
    }
    let mut reader = reader(dir.path(), ALL);
    assert!(matches!(reader.poll(1000, 0).unwrap(), Poll::Pending), "not flushed yet");
    writer.sync().unwrap();
    let Poll::Messages(batch) = reader.poll(1000, 0).unwrap() else { panic!("nothing was read") };
    for (i, (key, value, headers)) in records.into_iter().enumerate() {
        assert_eq!((batch.key(i), batch.value(i), batch.headers.block(i)), (key, value, headers));
        assert_eq!((batch.offsets[i], batch.timestamps.at(i)), (i as i64, 100 + i as i64));
    }
    assert_eq!(writer.next_offset(0), Some(4));
    assert_eq!(writer.next_offset(1), None);
    assert!(writer.append(1, &Record::default()).is_err());
    let long = vec![0; 65 << 20];
    assert!(writer.append(0, &value(&long)).is_err());
    assert!(writer.append(0, &Record { headers: &long, ..Record::default() }).is_err());
}

/// Frames as they were before records had headers.
#[test]
fn a_log_of_an_earlier_version_is_read_and_gone_on_with() {
    let dir = tempfile::tempdir().unwrap();
    let mut body = Vec::new();
    body.extend(0_i64.to_le_bytes());
    body.extend(7_i64.to_le_bytes());
    body.extend(1_u32.to_le_bytes());
    body.extend(7_u32.to_le_bytes());
    body.extend(b"kvalue 0");
    let head = [(body.len() as u32).to_le_bytes(), crc32fast::hash(&body).to_le_bytes()].concat();
    fs::create_dir_all(dir.path().join("0")).unwrap();
    fs::write(segment::path_of(&dir.path().join("0"), 0), [head, body].concat()).unwrap();
    let mut writer = writer(dir.path(), SMALL);
    append(&mut writer, 1..2);
    let mut reader = reader(dir.path(), BOUNDED);
    let Poll::Messages(batch) = reader.poll(1000, 0).unwrap() else { panic!("nothing was read") };
    assert_eq!(
        (batch.key(0), batch.value(0), batch.timestamps.at(0)),
        (Some(&b"k"[..]), Some(&b"value 0"[..]), 7)
    );
    assert_eq!(batch.value(1), Some(&b"value 1"[..]));
    assert!(matches!(batch.headers, headers::Headers::None));
}

#[test]
fn readers_follow_from_segment_to_segment() {
    let dir = tempfile::tempdir().unwrap();
    let mut reader = reader(dir.path(), ALL);
    assert!(drain(&mut reader).is_empty(), "a missing directory is an empty topic");
    let mut writer = writer(dir.path(), SMALL);
    for i in 0..10 {
        append(&mut writer, 7 * i..7 * i + 7);
        assert_eq!(drain(&mut reader), numbers(7 * i..7 * i + 7));
    }
    assert!(segments(dir.path()).len() > 5);
    let bytes = segment::list(&dir.path().join("0")).unwrap().iter().map(|s| s.bytes).sum();
    assert_eq!(log_info(dir.path()).unwrap(), LogInfo { partitions: 1, records: 70, bytes });
    assert_eq!(log_info(&dir.path().join("none")).unwrap(), LogInfo::default());
}

#[test]
fn a_bounded_reader_ends_where_the_log_ended() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = writer(dir.path(), SMALL);
    append(&mut writer, 0..20);
    let mut bounded = reader(dir.path(), BOUNDED);
    let mut latest = reader(dir.path(), Opening { start: Start::Latest, ..ALL });
    let mut nothing = reader(dir.path(), Opening { start: Start::Latest, ..BOUNDED });
    append(&mut writer, 20..40);
    assert_eq!(drain(&mut bounded), numbers(0..20));
    assert!(matches!(bounded.poll(1, 0).unwrap(), Poll::Done));
    assert_eq!(drain(&mut latest), numbers(20..40));
    assert!(matches!(nothing.poll(1, 0).unwrap(), Poll::Done));
    assert!(matches!(reader(&dir.path().join("none"), BOUNDED).poll(1, 0).unwrap(), Poll::Done));
}

#[test]
fn partitions_are_shared_out() {
    let dir = tempfile::tempdir().unwrap();
    let (mut first, _) = LogWriter::open(dir.path(), 0..4, SMALL).unwrap();
    (0..4).for_each(|partition| drop(first.append(partition, &value(b"x"))));
    first.flush().unwrap();
    let part = |index| reader(dir.path(), Opening { share: Share::Part { index, of: 3 }, ..ALL });
    let mut readers = [part(0), part(1), part(2)];
    assert_eq!(drain(&mut readers[0]), ["0@0:x", "3@0:x"]);
    assert_eq!(drain(&mut readers[1]), ["1@0:x"]);
    let (mut later, _) = LogWriter::open(dir.path(), 4..5, SMALL).unwrap();
    later.append(4, &value(b"new")).unwrap();
    later.flush().unwrap();
    assert_eq!(drain(&mut readers[1]), ["4@0:new"]);
    assert_eq!(drain(&mut readers[2]), ["2@0:x"]);
}

#[test]
fn a_torn_tail_is_cut_wherever_it_is_torn() {
    let dir = tempfile::tempdir().unwrap();
    let whole = {
        append(&mut writer(dir.path(), LogOptions::default()), 0..3);
        fs::read(&segments(dir.path())[0]).unwrap()
    };
    let frame = whole.len() / 3;
    for len in 0..whole.len() {
        let path = &segments(dir.path())[0];
        fs::write(path, &whole[..len]).unwrap();
        let good = (len / frame) as i64;
        let mut follower = reader(dir.path(), ALL);
        assert_eq!(drain(&mut follower), numbers(0..good), "cut at {len}");
        assert_eq!(drain(&mut reader(dir.path(), BOUNDED)), numbers(0..good));
        let (mut writer, cut) = LogWriter::open(dir.path(), 0..1, LogOptions::default()).unwrap();
        assert_eq!(cut as usize, len % frame);
        append(&mut writer, good..good + 2);
        assert_eq!(drain(&mut follower), numbers(good..good + 2), "cut at {len}");
    }
}

#[test]
fn zeros_and_rubbish_at_the_end_are_a_torn_tail() {
    let dir = tempfile::tempdir().unwrap();
    append(&mut writer(dir.path(), LogOptions::default()), 0..3);
    for tail in [vec![0; 100], vec![0xff; 100], b"rubbish".to_vec()] {
        let path = &segments(dir.path())[0];
        let mut file = OpenOptions::new().append(true).open(path).unwrap();
        std::io::Write::write_all(&mut file, &tail).unwrap();
        assert_eq!(drain(&mut reader(dir.path(), ALL)), numbers(0..3));
        assert_eq!(LogWriter::open(dir.path(), 0..1, SMALL).unwrap().1, tail.len() as u64);
    }
}

#[test]
fn a_flipped_bit_in_the_middle_is_an_error_wherever_it_is() {
    let dir = tempfile::tempdir().unwrap();
    append(&mut writer(dir.path(), LogOptions::default()), 0..3);
    let path = &segments(dir.path())[0];
    let frame = fs::read(path).unwrap().len() / 3;
    for byte in frame..2 * frame {
        flip(path, byte);
        for opening in [ALL, BOUNDED] {
            let mut reader = reader(dir.path(), opening);
            let error = reader.poll(1, 0).and_then(|_| try_drain(&mut reader)).unwrap_err();
            assert_eq!(error.message, format!("log {} is damaged at byte {frame}, record 1", path.display()));
        }
        assert!(LogWriter::open(dir.path(), 0..1, SMALL).is_err());
        flip(path, byte);
    }
    for byte in 2 * frame..3 * frame {
        flip(path, byte);
        assert_eq!(drain(&mut reader(dir.path(), ALL)), numbers(0..2));
        flip(path, byte);
    }
}

#[test]
fn an_older_segment_has_no_torn_tail() {
    let dir = tempfile::tempdir().unwrap();
    append(&mut writer(dir.path(), SMALL), 0..20);
    let first = &segments(dir.path())[0];
    let len = fs::metadata(first).unwrap().len();
    flip(first, len as usize - 1);
    for opening in [ALL, BOUNDED] {
        assert!(try_drain(&mut reader(dir.path(), opening)).is_err());
    }
    OpenOptions::new().write(true).open(first).unwrap().set_len(len / 5 * 2).unwrap();
    for opening in [ALL, BOUNDED] {
        assert!(try_drain(&mut reader(dir.path(), opening)).is_err());
    }
    fs::remove_file(&segments(dir.path())[1]).unwrap();
    for opening in [ALL, BOUNDED] {
        assert!(try_drain(&mut reader(dir.path(), opening)).is_err());
    }
}

#[test]
fn a_capped_log_forgets_its_oldest() {
    let dir = tempfile::tempdir().unwrap();
    let capped = LogOptions { segment_bytes: 200, retention_bytes: Some(1000) };
    let mut slow = reader(dir.path(), ALL);
    let mut writer = writer(dir.path(), capped);
    append(&mut writer, 0..1);
    assert_eq!(drain(&mut slow), numbers(0..1));
    append(&mut writer, 1..200);
    let info = log_info(dir.path()).unwrap();
    assert!((600..1400).contains(&info.bytes), "{info:?}");
    let first = 200 - info.records as i64;
    assert_eq!(drain(&mut reader(dir.path(), ALL)), numbers(first..200));
    let rest = drain(&mut slow);
    assert_eq!(rest[rest.len() - info.records as usize..], numbers(first..200));
    drop(writer);
    let mut again = LogWriter::open(dir.path(), 0..1, capped).unwrap().0;
    append(&mut again, 200..300);
    assert!(log_info(dir.path()).unwrap().bytes < 1400);
}

#[test]
fn a_record_may_be_longer_than_a_read() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = writer(dir.path(), LogOptions::default());
    let long = "x".repeat(3 << 20);
    writer.append(0, &value(long.as_bytes())).unwrap();
    append(&mut writer, 1..3);
    for opening in [ALL, BOUNDED] {
        let all = drain(&mut reader(dir.path(), opening));
        assert_eq!(all[0].len(), long.len() + 4);
        assert_eq!(all[1..], numbers(1..3));
    }
    drop(writer);
    assert_eq!(LogWriter::open(dir.path(), 0..1, SMALL).unwrap().0.next_offset(0), Some(3));
}

#[test]
fn what_is_there_and_not_read_is_the_lag() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = writer(dir.path(), SMALL);
    append(&mut writer, 0..50);
    assert!(segments(dir.path()).len() > 2);
    let mut reader = reader(dir.path(), ALL);
    let lag = |reader: &LogReader| reader.lag(0).unwrap().bytes.unwrap();
    assert_eq!(lag(&reader), log_info(dir.path()).unwrap().bytes);
    assert_eq!(drain(&mut reader).len(), 50);
    assert_eq!(lag(&reader), 0);
    append(&mut writer, 50..51);
    assert!(lag(&reader) > 0);
    drain(&mut reader);
    assert_eq!(lag(&reader), 0);
}
