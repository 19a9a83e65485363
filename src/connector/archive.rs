//! An archive of events as a topic: the events of one kind that lie in its files, each once. A record's value is
//! the payload as JSON, its key the event's, its time the event's time, its headers the attributes.
//!
//! Each partition that was archived is a partition here, in the order in which they first came; an offset is that
//! of the cut, counted on. What is archived later is read as well, once its manifest is there.

#[cfg_attr(not(feature = "parquet"), path = "archive/columns_absent.rs")]
pub mod columns;
pub mod container;
pub mod layout;

use super::{Lag, Opening, Poll, Position, ReadTo, Share, Source, Split, Start, Survey};
use crate::batch::{MessageBatch, Range32, Timestamps};
use crate::error::{Error, Result};
use crate::headers::{self, Headers};
use crate::time::iso;
use arrow_buffer::Buffer;
use layout::{Manifest, manifests, read_file};
use serde_json::value::RawValue;
use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};

/// How often it is looked for new manifests.
const LOOK_MS: i64 = 1_000;

/// Cluster, generation, partition.
type Place = (String, u32, u32);

pub struct ArchiveSource {
    dir: PathBuf,
    event_dir: PathBuf,
    share: Share,
    ends: bool,
    /// Where each partition goes on.
    next: BTreeMap<i32, i64>,
    cuts: VecDeque<Cut>,
    /// The events of a file that is being handed out.
    events: VecDeque<Event>,
    partition: i32,
    next_look_ms: i64,
    reads_headers: bool,
}

/// A cut that is still to be read, from an offset on.
struct Cut {
    partition: i32,
    /// Offset of the next event of its files.
    at: i64,
    skip: i64,
    files: VecDeque<PathBuf>,
    records: u64,
}

struct Event {
    offset: i64,
    time_ms: i64,
    key: Option<String>,
    value: String,
    headers: Vec<u8>,
}

/// The events of one kind: `mfp.FoodEntryCreated`.
pub fn open(dir: &Path, event: &str, opening: Opening, survey: &Survey) -> Result<ArchiveSource> {
    let mut source = ArchiveSource {
        dir: dir.to_path_buf(),
        event_dir: dir.join(event),
        share: opening.share,
        ends: opening.bounded,
        next: BTreeMap::new(),
        cuts: VecDeque::new(),
        events: VecDeque::new(),
        partition: 0,
        next_look_ms: i64::MIN,
        reads_headers: false,
    };
    let splits = survey.resumed.iter().flat_map(|resumed| &resumed.splits);
    source.next.extend(splits.map(|split| (split.partition, split.next as i64)));
    source.look()?;
    if opening.start == Start::Latest && survey.resumed.is_none() {
        source.cuts.clear();
    }
    Ok(source)
}

impl ArchiveSource {
    /// Takes up what has been archived since it was looked last.
    fn look(&mut self) -> Result<()> {
        let manifests = manifests(&self.event_dir)?;
        let mut first: BTreeMap<Place, i64> = BTreeMap::new();
        let place = |manifest: &Manifest| (manifest.cluster.clone(), manifest.generation, manifest.partition);
        for manifest in &manifests {
            let written = first.entry(place(manifest)).or_insert(i64::MAX);
            *written = (*written).min(manifest.written_ms);
        }
        let mut places: Vec<(i64, Place)> =
            first.into_iter().map(|(place, written)| (written, place)).collect();
        places.sort();
        let (index, of) = self.share.of();
        for (number, (_, of_place)) in places.iter().enumerate().filter(|(number, _)| number % of == index) {
            let number = number as i32;
            let mut new: Vec<&Manifest> = manifests.iter().filter(|one| place(one) == *of_place).collect();
            new.sort_by_key(|manifest| manifest.from);
            for manifest in new {
                let next = self.next.entry(number).or_insert(0);
                let records: u64 = manifest.files.iter().map(|file| file.records).sum();
                let end = manifest.from + records as i64;
                if *next >= end.max(manifest.from) {
                    continue;
                }
                let skip = (*next - manifest.from).max(0);
                let files = manifest.files.iter().map(|file| self.dir.join(&file.path));
                self.cuts.push_back(Cut {
                    partition: number,
                    at: manifest.from,
                    skip,
                    files: files.collect(),
                    records: records - skip as u64,
                });
                *next = end;
            }
        }
        Ok(())
    }

    /// Reads the next file of the next cut. False: there is none.
    fn read_next(&mut self) -> Result<bool> {
        let Some(cut) = self.cuts.front_mut() else { return Ok(false) };
        let Some(path) = cut.files.pop_front() else {
            self.cuts.pop_front();
            return Ok(true);
        };
        self.partition = cut.partition;
        let reads_headers = self.reads_headers;
        read_file(&path, |line| {
            let offset = cut.at;
            cut.at += 1;
            if cut.skip > 0 {
                cut.skip -= 1;
                return Ok(());
            }
            let event = event(line, offset, reads_headers);
            let event = event.map_err(|why| Error::runtime(format!("{}: {why}", path.display())))?;
            self.events.push_back(event);
            Ok(())
        })?;
        Ok(true)
    }

    fn batch(&mut self, max_bytes: usize) -> MessageBatch {
        let mut buffer = Vec::new();
        let mut push = |bytes: &[u8]| {
            let start = buffer.len() as u32;
            buffer.extend_from_slice(bytes);
            Range32 { start, end: buffer.len() as u32 }
        };
        let (mut keys, mut values, mut blocks) = (Vec::new(), Vec::new(), Vec::new());
        let (mut offsets, mut times, mut bytes) = (Vec::new(), Vec::new(), 0);
        while bytes < max_bytes
            && let Some(event) = self.events.pop_front()
        {
            bytes += event.value.len() + event.headers.len();
            keys.push(event.key.map_or(Range32::NULL, |key| push(key.as_bytes())));
            values.push(push(event.value.as_bytes()));
            blocks.push(if event.headers.is_empty() { Range32::NULL } else { push(&event.headers) });
            offsets.push(event.offset);
            times.push(event.time_ms);
        }
        let buffer = Buffer::from_vec(buffer);
        let headers = if self.reads_headers { Headers::each(&buffer, blocks) } else { Headers::Unread };
        if let Some(cut) = self.cuts.front_mut() {
            cut.records = cut.records.saturating_sub(values.len() as u64);
        }
        MessageBatch {
            partition: self.partition,
            headers,
            buffer,
            keys: keys.iter().any(|key| !key.is_null()).then_some(keys),
            values,
            offsets: offsets.into(),
            timestamps: Timestamps::Each(times.into()),
            torn: Vec::new(),
            names: None,
        }
    }
}

/// A CloudEvent of a file as a record.
fn event(line: &str, offset: i64, reads_headers: bool) -> std::result::Result<Event, String> {
    let attributes: BTreeMap<String, &RawValue> =
        serde_json::from_str(line).map_err(|e| format!("an event of it is no JSON: {e}"))?;
    let text = |name: &str| -> Option<String> { serde_json::from_str(attributes.get(name)?.get()).ok() };
    let value = attributes.get("data").ok_or("an event of it has no data")?.get().to_string();
    let time_ms = text("time").and_then(|time| iso::parse_timestamp(time.as_bytes()));
    let mut block = Vec::new();
    for name in attributes.keys().filter(|name| reads_headers && *name != "data") {
        if let Some(text) = text(name) {
            let name = match name.as_str() {
                "traceparent" | "tracestate" => name.clone(),
                other => format!("ce_{other}"),
            };
            headers::push(name.as_bytes(), Some(text.as_bytes()), &mut block);
        }
    }
    let time_ms = time_ms.ok_or("an event of it has no time")?;
    Ok(Event { offset, time_ms, key: text("partitionkey"), value, headers: block })
}

impl Source for ArchiveSource {
    fn poll(&mut self, max_bytes: usize, now_ms: i64) -> Result<Poll> {
        loop {
            if !self.events.is_empty() {
                return Ok(Poll::Messages(self.batch(max_bytes)));
            }
            if self.read_next()? {
                continue;
            }
            if self.ends {
                return Ok(Poll::Done);
            }
            if now_ms < self.next_look_ms {
                return Ok(Poll::Pending);
            }
            self.next_look_ms = now_ms + LOOK_MS;
            self.look()?;
            if self.cuts.is_empty() {
                return Ok(Poll::Pending);
            }
        }
    }

    fn read_headers(&mut self, wanted: bool) {
        self.reads_headers = wanted;
    }

    fn bytes_expected(&self) -> Option<u64> {
        None
    }

    fn position(&self) -> Option<ReadTo> {
        let mut next = self.next.clone();
        // What is taken up and not handed out yet is still to be read.
        for cut in self.cuts.iter().rev() {
            next.insert(cut.partition, cut.at + cut.skip);
        }
        if let Some(event) = self.events.front() {
            next.insert(self.partition, event.offset);
        }
        let split = |(partition, next): (i32, i64)| Split { partition, next: next as u64, end: Split::OPEN };
        Some(ReadTo::Here(Position { splits: next.into_iter().map(split).collect(), ..Position::default() }))
    }

    fn lag(&self, _: i64) -> Option<Lag> {
        Some(Lag::records(self.cuts.iter().map(|cut| cut.records).sum()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use layout::Listed;

    fn cut(dir: &Path, partition: u32, from: i64, numbers: &[i64]) {
        let name = format!("a.B/2016-04-19/17/log-g0-p{partition}-{from}.jsonl");
        let path = dir.join(&name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        let line = |n: &i64| {
            format!(r#"{{"id":"{n}","time":"2016-04-19T17:00:00Z","partitionkey":"k","data":{{"n":{n}}}}}"#)
                + "\n"
        };
        let text: String = numbers.iter().map(line).collect();
        std::fs::write(&path, &text).unwrap();
        let records = numbers.len() as u64;
        let manifest = Manifest {
            event: "a/B".into(),
            zone: "z".into(),
            cluster: String::new(),
            generation: 0,
            partition,
            from,
            to: from + 10,
            written_ms: from + i64::from(partition),
            files: vec![Listed { path: name, records, bytes: text.len() as u64, schema: 1 }],
        };
        std::fs::create_dir_all(dir.join("a.B/manifests")).unwrap();
        let to = dir.join(format!("a.B/manifests/log-g0-p{partition}-{from:020}.json"));
        std::fs::write(to, serde_json::to_vec(&manifest).unwrap()).unwrap();
    }

    fn opened(dir: &Path, bounded: bool, resumed: Option<Position>) -> ArchiveSource {
        let opening = Opening { share: Share::All, start: Start::Earliest, bounded, opened_ms: 0 };
        open(dir, "a.B", opening, &Survey { resumed, ..Survey::default() }).unwrap()
    }

    /// Partition, offset and value of so many events, one at a time.
    fn taken(source: &mut ArchiveSource, count: usize, now_ms: i64) -> Vec<(i32, i64, String)> {
        let mut found = Vec::new();
        while found.len() < count
            && let Poll::Messages(batch) = source.poll(1, now_ms).unwrap()
        {
            assert_eq!((batch.key(0), batch.timestamps.at(0)), (Some(&b"k"[..]), 1_461_085_200_000));
            let value = String::from_utf8(batch.value(0).unwrap().to_vec()).unwrap();
            found.push((batch.partition, batch.offsets[0], value));
        }
        found
    }

    #[test]
    fn each_event_is_read_once_also_from_a_position_and_what_comes_later() {
        let dir = tempfile::tempdir().unwrap();
        cut(dir.path(), 0, 0, &[0, 1, 2]);
        cut(dir.path(), 1, 0, &[10]);
        cut(dir.path(), 0, 10, &[3]);
        let all: Vec<(i32, i64, String)> = [(0, 0, 0), (0, 1, 1), (0, 2, 2), (0, 10, 3), (1, 0, 10)]
            .map(|(partition, offset, n)| (partition, offset, format!("{{\"n\":{n}}}")))
            .into();
        assert_eq!(taken(&mut opened(dir.path(), true, None), 9, 0), all);
        for count in 0..all.len() {
            let mut source = opened(dir.path(), false, None);
            assert_eq!(taken(&mut source, count, 0), all[..count]);
            let Some(ReadTo::Here(position)) = source.position() else { panic!("it has one") };
            assert_eq!(taken(&mut opened(dir.path(), true, Some(position)), 9, 0), all[count..], "{count}");
        }
        let mut source = opened(dir.path(), false, None);
        assert_eq!(taken(&mut source, 9, 0), all);
        cut(dir.path(), 1, 10, &[11]);
        assert_eq!(taken(&mut source, 9, 10), []);
        assert_eq!(taken(&mut source, 9, LOOK_MS), [(1, 10, "{\"n\":11}".to_string())]);
    }
}
