//! What the gateway counts: events published, repeated and refused, and what was coerced, by producer and
//! field.

use super::codec::{Coerced, Coercion};
use crate::topology::EventName;
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct OfEvent {
    pub published: u64,
    pub bytes: u64,
    pub repeated: u64,
}

/// Producer, field, coercion.
pub type CoercedBy = (EventName, String, String, Coercion);

#[derive(Clone, Default)]
pub struct Snapshot {
    pub events: BTreeMap<EventName, OfEvent>,
    /// By the event, if it was known, and the status.
    pub refused: BTreeMap<(String, u16), u64>,
    pub coerced: BTreeMap<CoercedBy, u64>,
}

#[derive(Default)]
pub struct Counts(Mutex<Snapshot>);

/// Producers name themselves: what is beyond so many is counted under no name.
const NAMES_MAX: usize = 10_000;

impl Counts {
    fn lock(&self) -> MutexGuard<'_, Snapshot> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn snapshot(&self) -> Snapshot {
        self.lock().clone()
    }

    pub fn published(&self, event: &EventName, count: u64, bytes: u64) {
        let mut counts = self.lock();
        let of = counts.events.entry(event.clone()).or_default();
        of.published += count;
        of.bytes += bytes;
    }

    pub fn repeated(&self, event: &EventName) {
        self.lock().events.entry(event.clone()).or_default().repeated += 1;
    }

    pub fn refused(&self, event: Option<&EventName>, status: u16) {
        let mut counts = self.lock();
        let room = counts.refused.len() < NAMES_MAX;
        let name = event.filter(|_| room).map_or(String::new(), ToString::to_string);
        *counts.refused.entry((name, status)).or_default() += 1;
    }

    pub fn coerced(&self, event: &EventName, producer: &str, coerced: &[Coerced]) {
        if coerced.is_empty() {
            return;
        }
        let mut counts = self.lock();
        for Coerced { field, coercion } in coerced {
            let room = counts.coerced.len() < NAMES_MAX;
            let (producer, field) = if room { (producer, field.as_str()) } else { ("", "") };
            *counts.coerced.entry((event.clone(), producer.into(), field.into(), *coercion)).or_default() +=
                1;
        }
    }
}
