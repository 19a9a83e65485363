//! Topics in memory, for scripts that are tested: no broker, no file, and one order of all records.
//!
//! A [`Space`] holds the topics of one engine. What is written to any of them is numbered in the order in
//! which it was written, and handed out in that order: a record goes to the readers of its topic when all
//! readers of the one before have that, and all others have been told that nothing is there for them. With a record a tick, what a script makes of its inputs is so what it
//! would make of them if they came one by one, with all the time there is in between.

use super::{Dealt, Lag, Moment, Opening, Poll, Position, ReadTo, Record, Room, Source, Start, Team, Writer};
use crate::batch::{MessageBatch, Range32, Timestamps};
use crate::error::{Error, Result};
use crate::headers::Headers;
use arrow_buffer::Buffer;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::Waker;

/// A plan names a space by its number, since it is plain data.
static SPACES: Mutex<BTreeMap<u64, Weak<Space>>> = Mutex::new(BTreeMap::new());
static NEXT: AtomicU64 = AtomicU64::new(1);

/// The topics of one engine. They go with it.
#[derive(Debug)]
pub struct Space {
    pub id: u64,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    topics: BTreeMap<String, Topic>,
    /// The topic of each record.
    order: Vec<String>,
    /// So many of them have been handed out, or have no reader.
    released: usize,
    readers: u64,
}

#[derive(Debug, Default)]
struct Topic {
    records: Vec<Stored>,
    /// So many are for readers.
    released: usize,
    readers: BTreeMap<u64, Reader>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Reader {
    /// So many records.
    read: usize,
    /// How many records of all topics were out when it was told that none is for it.
    dry_at: Option<usize>,
}

/// What there is for a reader.
enum Next {
    Record(usize, Stored),
    /// Its record comes when others know that none is for them.
    Soon,
    Nothing,
}

/// A record as it was written.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Stored {
    pub timestamp: i64,
    pub key: Option<Box<[u8]>>,
    pub value: Option<Box<[u8]>>,
    /// A block of [`crate::headers`].
    pub headers: Box<[u8]>,
    /// By a query, not by a client.
    pub derived: bool,
}

impl Space {
    #[allow(clippy::new_without_default)]
    pub fn new() -> Arc<Space> {
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        let space = Arc::new(Space { id, state: Mutex::default() });
        spaces().insert(id, Arc::downgrade(&space));
        space
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn append(&self, topic: &str, record: Stored) {
        let mut state = self.state();
        state.order.push(topic.into());
        state.topics.entry(topic.into()).or_default().records.push(record);
    }

    /// All that was written to a topic, in order.
    pub fn records(&self, topic: &str) -> Vec<Stored> {
        self.state().topics.get(topic).map_or_else(Vec::new, |topic| topic.records.clone())
    }

    pub fn has(&self, topic: &str) -> bool {
        self.state().topics.get(topic).is_some_and(|topic| !topic.records.is_empty())
    }
}

impl Drop for Space {
    fn drop(&mut self) {
        spaces().remove(&self.id);
    }
}

impl State {
    /// The topic of the next record that has a reader, if all have read what is out already.
    fn upcoming(&mut self) -> Option<String> {
        let behind = |topic: &Topic| topic.readers.values().any(|reader| reader.read < topic.released);
        if self.topics.values().any(behind) {
            return None;
        }
        while let Some(next) = self.order.get(self.released) {
            match self.topics.get_mut(next) {
                Some(topic) if topic.readers.is_empty() => topic.released += 1,
                _ => return Some(next.clone()),
            }
            self.released += 1;
        }
        None
    }

    /// Whether the readers of all topics but one know that nothing is there for them.
    fn are_dry_but(&self, topic: &str) -> bool {
        let others = self.topics.iter().filter(|(name, _)| *name != topic);
        let mut readers = others.flat_map(|(_, topic)| topic.readers.values());
        readers.all(|reader| reader.dry_at == Some(self.released))
    }

    fn next(&mut self, name: &str, id: u64) -> Option<Next> {
        let topic = self.topics.get(name)?;
        let Reader { read, .. } = *topic.readers.get(&id)?;
        if read >= topic.released {
            match self.upcoming() {
                Some(topic) if topic == name && self.are_dry_but(name) => {
                    self.topics.get_mut(name)?.released += 1;
                    self.released += 1;
                }
                Some(topic) if topic == name => return Some(Next::Soon),
                _ => {
                    let dry_at = Some(self.released);
                    self.topics.get_mut(name)?.readers.insert(id, Reader { read, dry_at });
                    return Some(Next::Nothing);
                }
            }
        }
        let topic = self.topics.get_mut(name)?;
        let record = topic.records.get(read)?.clone();
        topic.readers.insert(id, Reader { read: read + 1, dry_at: None });
        Some(Next::Record(read, record))
    }
}

fn spaces() -> MutexGuard<'static, BTreeMap<u64, Weak<Space>>> {
    SPACES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// # Errors
/// The engine that had it has ended.
fn space(id: u64) -> Result<Arc<Space>> {
    spaces().get(&id).and_then(Weak::upgrade).ok_or_else(|| Error::runtime("the topics in memory are gone"))
}

/// Whether a topic has had a record.
pub fn exists(id: u64, topic: &str) -> bool {
    space(id).is_ok_and(|space| space.has(topic))
}

/// Forgets what is in a topic.
pub fn delete(id: u64, topic: &str) -> Result<()> {
    let space = space(id)?;
    let mut state = space.state();
    if let Some(topic) = state.topics.get_mut(topic) {
        topic.records.clear();
        topic.released = 0;
        topic.readers.values_mut().for_each(|reader| *reader = Reader::default());
    }
    let (released, mut kept) = (state.released, 0);
    let order = std::mem::take(&mut state.order);
    let stays = |(i, of): (usize, String)| {
        let stays = of != topic;
        kept += usize::from(stays && i < released);
        stays.then_some(of)
    };
    let order = order.into_iter().enumerate().filter_map(stays).collect();
    state.order = order;
    state.released = kept;
    Ok(())
}

pub struct MemorySource {
    space: Arc<Space>,
    topic: String,
    id: u64,
    bounded: bool,
    /// The first time it only shows that it is there: nothing is handed out before all readers are.
    begun: bool,
    waker: Waker,
}

pub fn open(id: u64, topic: &str, opening: Opening, team: &Team) -> Result<MemorySource> {
    let space = space(id)?;
    let id = {
        let mut state = space.state();
        state.readers += 1;
        let reader = state.readers;
        let known = state.topics.entry(topic.into()).or_default();
        let read = if opening.start == Start::Latest { known.released } else { 0 };
        known.readers.insert(reader, Reader { read, dry_at: None });
        reader
    };
    let waker = team.waker.clone();
    Ok(MemorySource { space, topic: topic.into(), id, bounded: opening.bounded, begun: false, waker })
}

impl MemorySource {
    fn unread(&self) -> usize {
        let state = self.space.state();
        let Some(topic) = state.topics.get(&self.topic) else { return 0 };
        topic.records.len() - topic.readers.get(&self.id).map_or(0, |reader| reader.read)
    }
}

impl Source for MemorySource {
    fn poll(&mut self, max_bytes: usize, now_ms: i64) -> Result<Poll> {
        self.begun = true;
        Ok(match self.deal(max_bytes, now_ms, Moment::default())? {
            Dealt::Messages(messages, _) => Poll::Messages(messages),
            Dealt::Pending | Dealt::Busy => Poll::Pending,
            Dealt::Done => Poll::Done,
        })
    }

    fn deal(&mut self, _max_bytes: usize, _now_ms: i64, _moment: Moment) -> Result<Dealt> {
        if !std::mem::replace(&mut self.begun, true) {
            self.waker.wake_by_ref();
            return Ok(Dealt::Busy);
        }
        let next = self.space.state().next(&self.topic, self.id);
        Ok(match next {
            Some(Next::Record(offset, record)) => Dealt::Messages(batch(offset, &record), None),
            Some(Next::Soon) => {
                self.waker.wake_by_ref();
                Dealt::Busy
            }
            _ if self.bounded && self.unread() == 0 => Dealt::Done,
            _ => Dealt::Pending,
        })
    }

    fn bytes_expected(&self) -> Option<u64> {
        None
    }

    fn position(&self) -> Option<ReadTo> {
        // They do not outlive the engine.
        Some(ReadTo::Here(Position::default()))
    }

    fn lag(&self, _now_ms: i64) -> Option<Lag> {
        Some(Lag::records(self.unread() as u64))
    }
}

impl Drop for MemorySource {
    fn drop(&mut self) {
        if let Some(topic) = self.space.state().topics.get_mut(&self.topic) {
            topic.readers.remove(&self.id);
        }
    }
}

/// A record as a reader gets it.
pub fn batch(offset: usize, record: &Stored) -> MessageBatch {
    let mut bytes = Vec::new();
    let mut put = |part: Option<&[u8]>| match part {
        None => Range32::NULL,
        Some(part) => {
            let start = bytes.len() as u32;
            bytes.extend_from_slice(part);
            Range32 { start, end: bytes.len() as u32 }
        }
    };
    let (key, value) = (put(record.key.as_deref()), put(record.value.as_deref()));
    let headers = put((!record.headers.is_empty()).then_some(&record.headers));
    let buffer = Buffer::from_vec(bytes);
    MessageBatch {
        partition: 0,
        values: vec![value],
        keys: Some(vec![key]),
        offsets: vec![offset as i64].into(),
        timestamps: Timestamps::All(record.timestamp),
        headers: Headers::each(&buffer, vec![headers]),
        torn: Vec::new(),
        names: None,
        buffer,
    }
}

pub struct MemoryWriter {
    space: Arc<Space>,
    topic: String,
    derived: bool,
}

/// `derived`: it is a query that writes.
pub fn writer(id: u64, topic: &str, derived: bool) -> Result<MemoryWriter> {
    Ok(MemoryWriter { space: space(id)?, topic: topic.into(), derived })
}

impl Writer for MemoryWriter {
    fn append(&mut self, _epoch: u64, _partition: u32, record: &Record) -> Result<Room> {
        let stored = Stored {
            timestamp: record.timestamp,
            key: record.key.map(Into::into),
            value: record.value.map(Into::into),
            headers: record.headers.into(),
            derived: self.derived,
        };
        self.space.append(&self.topic, stored);
        Ok(Room::Taken)
    }

    fn flush(&mut self) -> Result<Option<u64>> {
        Ok(None)
    }

    fn ends(&self) -> Vec<(u32, i64)> {
        Vec::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connector::Share;

    fn reader(space: &Space, topic: &str) -> MemorySource {
        let opening = Opening { share: Share::All, start: Start::Earliest, bounded: true, opened_ms: 0 };
        open(space.id, topic, opening, &Team::alone()).unwrap()
    }

    /// The value that comes next; `-`: nothing now; `.`: nothing ever.
    fn next(source: &mut MemorySource) -> String {
        match source.poll(1, 0).unwrap() {
            Poll::Messages(batch) => String::from_utf8_lossy(batch.value(0).unwrap()).into_owned(),
            Poll::Pending => "-".into(),
            Poll::Done => ".".into(),
        }
    }

    #[test]
    fn records_come_in_the_order_in_which_they_were_written_over_all_topics() {
        let space = Space::new();
        let put = |topic: &str, value: &str| {
            let value = Some(value.as_bytes().into());
            space.append(topic, Stored { value, ..Stored::default() });
        };
        let all = [("a", "1"), ("unread", "2"), ("b", "3"), ("b", "4"), ("a", "5")];
        all.iter().for_each(|(topic, value)| put(topic, value));
        let (mut a, mut again, mut b) = (reader(&space, "a"), reader(&space, "a"), reader(&space, "b"));
        assert_eq!(next(&mut a), "-", "b does not know yet that the first is not for it");
        assert_eq!((next(&mut b), next(&mut a)), ("-".into(), "1".into()));
        assert_eq!((next(&mut a), next(&mut b)), ("-".into(), "-".into()), "another reader has not read it");
        assert_eq!((next(&mut again), next(&mut b)), ("1".into(), "-".into()), "a does not know yet");
        assert_eq!((next(&mut a), next(&mut again), next(&mut b)), ("-".into(), "-".into(), "3".into()));
        assert_eq!((next(&mut a), next(&mut again), next(&mut b)), ("-".into(), "-".into(), "4".into()));
        assert_eq!((next(&mut b), next(&mut a)), (".".into(), "5".into()));
        drop(again);
        put("b", "6");
        assert_eq!((next(&mut b), next(&mut a), next(&mut b)), ("-".into(), ".".into(), "6".into()));
        let id = space.id;
        drop((a, b, space));
        assert!(writer(id, "a", true).is_err());
    }
}
