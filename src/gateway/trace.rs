//! The way of single events: accepted, stored, delivered or not, archived, with times. Of the newest some
//! hundred thousand events.

use super::seen::Key;
use super::store::Stored;
use crate::topology::EventName;
use serde::Serialize;
use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use xxhash_rust::xxh3::xxh3_64;

/// About 300 bytes each.
const EVENTS_MAX: usize = 200_000;
const STEPS_MAX: usize = 64;

#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "step", rename_all = "snake_case")]
pub enum Step {
    Stored {
        zone: String,
        cluster: String,
        partition: u32,
        offset: i64,
    },
    /// A call-back was answered with 2xx.
    Delivered {
        subscription: String,
        status: u16,
        attempts: u32,
    },
    /// It was not, and is tried again.
    Failed {
        subscription: String,
        cause: String,
        attempts: u32,
    },
    /// It never will be.
    DeadLettered {
        subscription: String,
        cause: String,
        attempts: u32,
    },
    Filtered {
        subscription: String,
    },
    Archived {
        file: String,
    },
}

#[derive(Clone, Debug, Serialize)]
pub struct Timed {
    pub at_ms: i64,
    #[serde(flatten)]
    pub step: Step,
}

/// One event's way.
#[derive(Clone, Debug, Serialize)]
pub struct Way {
    pub id: String,
    pub source: String,
    pub event: String,
    pub traceparent: String,
    pub steps: Vec<Timed>,
}

#[derive(Default)]
struct Inner {
    /// The number of the oldest.
    first: u64,
    ways: VecDeque<Way>,
    by_key: HashMap<Key, u64>,
    /// By the hashes of id and trace.
    by_text: HashMap<u64, Vec<u64>>,
}

#[derive(Default)]
pub struct Trace(Mutex<Inner>);

fn hash(text: &str) -> u64 {
    xxh3_64(text.as_bytes())
}

/// The part of a W3C trace context that is the same for all that belongs together.
fn trace_of(traceparent: &str) -> &str {
    traceparent.split('-').nth(1).unwrap_or(traceparent)
}

impl Trace {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[allow(clippy::too_many_arguments)]
    pub fn stored(
        &self,
        key: Key,
        id: &str,
        source: &str,
        traceparent: &str,
        event: &EventName,
        zone: &str,
        stored: &Stored,
        at_ms: i64,
    ) {
        let step = Step::Stored {
            zone: zone.into(),
            cluster: stored.cluster.to_string(),
            partition: stored.partition,
            offset: stored.offset,
        };
        let way = Way {
            id: id.into(),
            source: source.into(),
            event: event.to_string(),
            traceparent: traceparent.into(),
            steps: vec![Timed { at_ms, step }],
        };
        self.lock().push(key, way);
    }

    /// One more step of an event, if its way is still known.
    pub fn step(&self, source: &str, id: &str, at_ms: i64, step: Step) {
        let mut inner = self.lock();
        let number = inner.by_key.get(&Key::of(source, id)).copied();
        let Some(at) = number.and_then(|number| number.checked_sub(inner.first)) else { return };
        if let Some(way) = inner.ways.get_mut(at as usize)
            && way.steps.len() < STEPS_MAX
        {
            way.steps.push(Timed { at_ms, step });
        }
    }

    /// By an event's id, a traceparent, or the trace in one.
    pub fn find(&self, text: &str) -> Vec<Way> {
        let inner = self.lock();
        let wanted = trace_of(text);
        let numbers =
            inner.by_text.get(&hash(text)).into_iter().chain(inner.by_text.get(&hash(wanted))).flatten();
        let mut numbers: Vec<u64> = numbers.copied().collect();
        numbers.sort_unstable();
        numbers.dedup();
        let ways = numbers.iter().filter_map(|n| inner.ways.get(n.checked_sub(inner.first)? as usize));
        ways.filter(|way| way.id == text || trace_of(&way.traceparent) == wanted).cloned().collect()
    }
}

impl Inner {
    fn push(&mut self, key: Key, way: Way) {
        if self.ways.len() == EVENTS_MAX {
            self.forget();
        }
        let number = self.first + self.ways.len() as u64;
        self.by_key.insert(key, number);
        for text in [hash(&way.id), hash(trace_of(&way.traceparent))] {
            self.by_text.entry(text).or_default().push(number);
        }
        self.ways.push_back(way);
    }

    fn forget(&mut self) {
        let Some(way) = self.ways.pop_front() else { return };
        let number = self.first;
        self.first += 1;
        let key = Key::of(&way.source, &way.id);
        if self.by_key.get(&key) == Some(&number) {
            self.by_key.remove(&key);
        }
        for text in [hash(&way.id), hash(trace_of(&way.traceparent))] {
            if let Some(numbers) = self.by_text.get_mut(&text) {
                numbers.retain(|other| *other != number);
                if numbers.is_empty() {
                    self.by_text.remove(&text);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_events_way_is_found_by_id_and_trace_until_it_is_too_old() {
        let trace = Trace::default();
        let event: EventName = "a/B".parse().unwrap();
        let stored = Stored { cluster: "eu".into(), partition: 1, offset: 5 };
        let put = |id: &str, parent: &str| {
            trace.stored(Key::of("/p", id), id, "/p", parent, &event, "z", &stored, 7);
        };
        put("one", "00-aaaa-1-01");
        put("two", "00-aaaa-2-01");
        trace.step("/p", "one", 8, Step::Filtered { subscription: "s".into() });
        assert_eq!(trace.find("one")[0].steps.len(), 2);
        assert_eq!(trace.find("00-aaaa-9-01").len(), 2);
        assert_eq!(trace.find("aaaa").len(), 2);
        assert!(trace.find("three").is_empty());
        (0..EVENTS_MAX).for_each(|i| put(&format!("n{i}"), "00-bbbb-1-01"));
        assert!(trace.find("one").is_empty() && trace.find("aaaa").is_empty());
        assert_eq!(trace.find("n7").len(), 1);
    }
}
