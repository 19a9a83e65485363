//! An archive of events as a topic: the events of one kind that lie in its files, each once. A record's value is
//! the payload as JSON, its key the event's, its time the event's time, its headers the attributes.
//!
//! Each partition that was archived is a partition here, in the order in which they first came; an offset is that
//! of the cut, counted on. What is archived later is read as well, once its manifest is there.

#[cfg_attr(not(feature = "parquet"), path = "archive/columns_absent.rs")]
pub mod columns;
pub mod container;
pub mod layout;
pub mod shelf;

use super::{Lag, Opening, Poll, Position, ReadTo, Share, Source, Split, Start, Survey};
use crate::batch::{MessageBatch, Range32, Timestamps};
use crate::error::{Error, Result, reason};
use crate::headers::{self, Headers};
use crate::time::iso;
use arrow_buffer::Buffer;
use layout::{Manifest, manifests, read_file};
use serde_json::value::RawValue;
use shelf::{Files, Shelf};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::time::Duration;

/// How often it is looked for new manifests.
const LOOK: Duration = Duration::from_secs(1);
/// Files that are read ahead.
const FILES_AHEAD: usize = 1;

/// Cluster, generation, partition.
type Place = (String, u32, u32);

pub struct ArchiveSource {
    files: Receiver<Result<Chunk>>,
    /// What is being handed out.
    chunk: Chunk,
    /// Where each partition goes on.
    next: BTreeMap<i32, i64>,
    has_ended: bool,
    /// Records that were found and not handed out.
    left: Arc<AtomicU64>,
    reads_headers: bool,
}

/// The events of a file, or what is left of them.
#[derive(Default)]
struct Chunk {
    partition: i32,
    events: VecDeque<Event>,
}

struct Event {
    offset: i64,
    time_ms: i64,
    key: Option<String>,
    value: String,
    headers: Vec<u8>,
}

/// The events of one kind: `mfp.FoodEntryCreated`. A thread reads the files, which may be far away.
pub fn open(shelf: &Shelf, event: &str, opening: Opening, survey: &Survey) -> Result<ArchiveSource> {
    let splits = survey.resumed.iter().flat_map(|resumed| &resumed.splits);
    let next: BTreeMap<i32, i64> = splits.map(|split| (split.partition, split.next as i64)).collect();
    let (sender, files) = sync_channel(FILES_AHEAD);
    let left = Arc::new(AtomicU64::new(0));
    let mut reader = FileReader {
        files: shelf.open()?,
        event: event.into(),
        share: opening.share,
        next: next.clone(),
        cuts: VecDeque::new(),
        left: Arc::clone(&left),
        sender,
    };
    reader.look()?;
    if opening.start == Start::Latest && survey.resumed.is_none() {
        reader.cuts.clear();
        left.store(0, Ordering::Relaxed);
    }
    let next =
        if survey.resumed.is_none() && opening.start == Start::Latest { reader.next.clone() } else { next };
    std::thread::Builder::new()
        .name("archive reader".into())
        .spawn(move || reader.run(opening.bounded))
        .map_err(|e| Error::runtime(format!("cannot start a thread: {}", reason(&e))))?;
    let chunk = Chunk::default();
    Ok(ArchiveSource { files, chunk, next, has_ended: false, left, reads_headers: false })
}

/// Reads files as long as somebody takes what is in them.
struct FileReader {
    files: Box<dyn Files>,
    event: String,
    share: Share,
    /// How far each partition is taken up.
    next: BTreeMap<i32, i64>,
    cuts: VecDeque<Cut>,
    left: Arc<AtomicU64>,
    sender: SyncSender<Result<Chunk>>,
}

/// A cut that is still to be read.
struct Cut {
    partition: i32,
    /// Offset of the next event of its files, and the first that is wanted.
    at: i64,
    from: i64,
    files: Vec<String>,
}

impl FileReader {
    fn run(mut self, bounded: bool) {
        loop {
            while let Some(cut) = self.cuts.pop_front() {
                if !self.read(cut) {
                    return;
                }
            }
            if bounded {
                return;
            }
            std::thread::sleep(LOOK);
            if let Err(error) = self.look() {
                let _ = self.sender.send(Err(error));
                return;
            }
            // An empty one tells whether anybody is still there.
            if self.sender.send(Ok(Chunk::default())).is_err() {
                return;
            }
        }
    }

    /// Takes up what has been archived since it was looked last.
    fn look(&mut self) -> Result<()> {
        let manifests = manifests(&*self.files, &self.event)?;
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
            let mut cuts: Vec<&Manifest> = manifests.iter().filter(|one| place(one) == *of_place).collect();
            cuts.sort_by_key(|manifest| manifest.from);
            cuts.into_iter().for_each(|manifest| self.take_up(number as i32, manifest));
        }
        Ok(())
    }

    fn take_up(&mut self, partition: i32, manifest: &Manifest) {
        let next = self.next.entry(partition).or_insert(0);
        let records: u64 = manifest.files.iter().map(|file| file.records).sum();
        let (from, end) = (manifest.from.max(*next), manifest.from + records as i64);
        if from < end {
            let files = manifest.files.iter().map(|file| file.path.clone()).collect();
            self.cuts.push_back(Cut { partition, at: manifest.from, from, files });
            self.left.fetch_add((end - from) as u64, Ordering::Relaxed);
            *next = end;
        }
    }

    /// Hands over what is in a cut's files; false: nobody wants more.
    fn read(&mut self, mut cut: Cut) -> bool {
        for name in std::mem::take(&mut cut.files) {
            let mut events = VecDeque::new();
            let read = read_file(&*self.files, &name, |line| {
                let offset = cut.at;
                cut.at += 1;
                if offset >= cut.from {
                    let event = event(line, offset);
                    events.push_back(event.map_err(|why| Error::runtime(format!("{name}: {why}")))?);
                }
                Ok(())
            });
            let is_bad = read.is_err();
            let chunk = read.map(|()| Chunk { partition: cut.partition, events });
            if self.sender.send(chunk).is_err() || is_bad {
                return false;
            }
        }
        true
    }
}

impl ArchiveSource {
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
            && let Some(event) = self.chunk.events.pop_front()
        {
            bytes += event.value.len() + event.headers.len();
            keys.push(event.key.map_or(Range32::NULL, |key| push(key.as_bytes())));
            values.push(push(event.value.as_bytes()));
            blocks.push(if event.headers.is_empty() { Range32::NULL } else { push(&event.headers) });
            offsets.push(event.offset);
            times.push(event.time_ms);
            self.next.insert(self.chunk.partition, event.offset + 1);
        }
        let buffer = Buffer::from_vec(buffer);
        let headers = if self.reads_headers { Headers::each(&buffer, blocks) } else { Headers::Unread };
        self.left.fetch_sub(values.len() as u64, Ordering::Relaxed);
        MessageBatch {
            partition: self.chunk.partition,
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
fn event(line: &str, offset: i64) -> std::result::Result<Event, String> {
    let attributes: BTreeMap<String, &RawValue> =
        serde_json::from_str(line).map_err(|e| format!("an event of it is no JSON: {e}"))?;
    let text = |name: &str| -> Option<String> { serde_json::from_str(attributes.get(name)?.get()).ok() };
    let value = attributes.get("data").ok_or("an event of it has no data")?.get().to_string();
    let time_ms = text("time").and_then(|time| iso::parse_timestamp(time.as_bytes()));
    let mut block = Vec::new();
    for name in attributes.keys().filter(|name| *name != "data") {
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
    fn poll(&mut self, max_bytes: usize, _: i64) -> Result<Poll> {
        while self.chunk.events.is_empty() && !self.has_ended {
            match self.files.try_recv() {
                Ok(chunk) => self.chunk = chunk?,
                Err(TryRecvError::Empty) => return Ok(Poll::Pending),
                Err(TryRecvError::Disconnected) => self.has_ended = true,
            }
        }
        match self.chunk.events.is_empty() {
            true => Ok(Poll::Done),
            false => Ok(Poll::Messages(self.batch(max_bytes))),
        }
    }

    fn read_headers(&mut self, wanted: bool) {
        self.reads_headers = wanted;
    }

    fn bytes_expected(&self) -> Option<u64> {
        None
    }

    fn position(&self) -> Option<ReadTo> {
        let split = |(partition, next): (&i32, &i64)| Split {
            partition: *partition,
            next: *next as u64,
            end: Split::OPEN,
        };
        Some(ReadTo::Here(Position { splits: self.next.iter().map(split).collect(), ..Position::default() }))
    }

    fn lag(&self, _: i64) -> Option<Lag> {
        Some(Lag::records(self.left.load(Ordering::Relaxed)))
    }

    fn is_at_end(&self) -> bool {
        self.has_ended || self.left.load(Ordering::Relaxed) == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use layout::Listed;
    use std::path::Path;

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
        open(&Shelf::Dir(dir.into()), "a.B", opening, &Survey { resumed, ..Survey::default() }).unwrap()
    }

    /// Partition, offset and value of so many events, one at a time; fewer at the end.
    fn taken(source: &mut ArchiveSource, count: usize) -> Vec<(i32, i64, String)> {
        let mut found = Vec::new();
        while found.len() < count {
            let batch = match source.poll(1, 0).unwrap() {
                Poll::Messages(batch) => batch,
                Poll::Pending => {
                    std::thread::yield_now();
                    continue;
                }
                Poll::Done => break,
            };
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
        assert_eq!(taken(&mut opened(dir.path(), true, None), 9), all);
        for count in 0..all.len() {
            let mut source = opened(dir.path(), false, None);
            assert_eq!(taken(&mut source, count), all[..count]);
            assert_eq!(source.lag(0), Some(Lag::records((all.len() - count) as u64)));
            let Some(ReadTo::Here(position)) = source.position() else { panic!("it has one") };
            assert_eq!(taken(&mut opened(dir.path(), true, Some(position)), 9), all[count..], "{count}");
        }
        let mut source = opened(dir.path(), false, None);
        assert_eq!(taken(&mut source, all.len()), all);
        cut(dir.path(), 1, 10, &[11]);
        assert_eq!(taken(&mut source, 1), [(1, 10, "{\"n\":11}".to_string())]);
    }
}
