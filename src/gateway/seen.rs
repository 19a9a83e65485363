//! Which events are stored already, by source and id: a publisher may repeat an event for some time
//! without its being stored twice.
//!
//! What is remembered is bounded by time and by number, whichever comes first.

use super::cloudevents::Attributes;
use super::directory::Site;
use super::store::{Stored, Stores};
use crate::connector::{Opening, Poll, Position, Share, Source, Split, Start, Survey, log};
use crate::error::Result;
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use xxhash_rust::xxh3::xxh3_128;

/// About 100 bytes each.
pub const REMEMBERED_MAX: usize = 1_000_000;

const READ_BYTES: usize = 1 << 20;

/// A source and an id, hashed: two of a million that differ are alike once in 10^26.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Key(u128);

impl Key {
    pub fn of(source: &str, id: &str) -> Key {
        // Where the source ends must count: "a" and "bc" are not "ab" and "c".
        Key(xxh3_128(format!("{}\u{0}{source}{id}", source.len()).as_bytes()))
    }
}

enum Entry {
    /// Somebody is storing it.
    UnderWay,
    Stored(Stored),
}

/// What is known of an event that comes in.
#[derive(Debug, PartialEq)]
pub enum Known {
    /// It is the caller's to store, and to say what became of it.
    New,
    UnderWay,
    Stored(Stored),
}

pub struct Seen {
    window: Duration,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    entries: HashMap<Key, Entry>,
    /// In the order in which they were stored, with the time of that.
    order: VecDeque<(i64, Key)>,
}

impl Seen {
    pub fn new(window: Duration) -> Seen {
        Seen { window, inner: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn begin(&self, key: Key) -> Known {
        let mut inner = self.lock();
        match inner.entries.get(&key) {
            Some(Entry::Stored(stored)) => Known::Stored(stored.clone()),
            Some(Entry::UnderWay) => Known::UnderWay,
            None => {
                inner.entries.insert(key, Entry::UnderWay);
                Known::New
            }
        }
    }

    /// It is stored, or it is not: then it may come again.
    pub fn finish(&self, key: Key, stored: Option<Stored>, now_ms: i64) {
        let mut inner = self.lock();
        match stored {
            None => drop(inner.entries.remove(&key)),
            Some(stored) => {
                inner.entries.insert(key, Entry::Stored(stored));
                inner.order.push_back((now_ms, key));
            }
        }
        let oldest = now_ms - self.window.as_millis() as i64;
        while let Some((at, key)) = inner.order.front().copied()
            && (at < oldest || inner.order.len() > REMEMBERED_MAX)
        {
            inner.order.pop_front();
            inner.entries.remove(&key);
        }
    }

    pub fn window(&self) -> Duration {
        self.window
    }
}

/// What a log holds of events that came since `oldest_ms`, so that they are not stored again after a
/// restart.
pub fn remember(seen: &Seen, stores: &Stores, site: &Site, oldest_ms: i64) -> Result<()> {
    let topic = stores.log(site, None)?;
    let cluster: Arc<str> = "".into();
    for (partition, from) in log::newest_segments(&topic.dir, oldest_ms)? {
        let split = Split { partition: partition as i32, next: from as u64, end: Split::OPEN };
        let survey = Survey {
            resumed: Some(Position { splits: vec![split], ..Position::default() }),
            ..Survey::default()
        };
        let share = Share::Part { index: partition as usize, of: partition as usize + 1 };
        let opening = Opening { share, start: Start::Earliest, bounded: true, opened_ms: 0 };
        let mut reader = log::open(&topic.dir, opening, &survey)?;
        while let Poll::Messages(batch) = reader.poll(READ_BYTES, 0)? {
            for i in (0..batch.len()).filter(|_| batch.partition as u32 == partition) {
                let attributes = Attributes::of(batch.headers.block(i));
                let (Some(source), Some(id)) = (attributes.source, attributes.id) else { continue };
                let stored = Stored { cluster: Arc::clone(&cluster), partition, offset: batch.offsets[i] };
                seen.finish(Key::of(source, id), Some(stored), super::now_ms());
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_stored_once_while_it_is_remembered() {
        let seen = Seen::new(Duration::from_millis(100));
        let (key, other) = (Key::of("/producers/foo", "1"), Key::of("/producers/foo1", ""));
        assert_ne!(key, other);
        let stored = Stored { cluster: "".into(), partition: 0, offset: 7 };
        assert_eq!((seen.begin(key), seen.begin(key)), (Known::New, Known::UnderWay));
        seen.finish(key, None, 0);
        assert_eq!(seen.begin(key), Known::New);
        seen.finish(key, Some(stored.clone()), 0);
        assert_eq!(seen.begin(key), Known::Stored(stored.clone()));
        // Time goes on with what is stored.
        assert_eq!(seen.begin(other), Known::New);
        seen.finish(other, Some(stored), 101);
        assert_eq!(seen.begin(key), Known::New);
    }
}
