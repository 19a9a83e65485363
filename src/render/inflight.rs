//! Bytes that were read and that some query has not finished with.

use super::Tick;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

/// Bytes read that some query has not finished with: what keeps timely's queues bounded.
#[derive(Default)]
pub struct Inflight {
    ticks: RefCell<BTreeMap<Tick, usize>>,
    total: Cell<usize>,
    pub limit: usize,
}

impl Inflight {
    pub fn new(limit: usize) -> Inflight {
        Inflight { limit, ..Inflight::default() }
    }

    pub fn add(&self, tick: Tick, bytes: usize) {
        self.total.set(self.total.get() + bytes);
        *self.ticks.borrow_mut().entry(tick).or_default() += bytes;
    }

    /// Forgets what belongs to ticks before `drained`. True when that made room.
    pub fn release(&self, drained: Tick) -> bool {
        let was_full = self.full();
        let mut ticks = self.ticks.borrow_mut();
        while let Some(entry) = ticks.first_entry().filter(|entry| *entry.key() < drained) {
            self.total.set(self.total.get() - entry.remove());
        }
        was_full && !self.full()
    }

    /// The last tick of which there is something.
    pub fn last(&self) -> Option<Tick> {
        self.ticks.borrow().last_key_value().map(|(tick, _)| *tick)
    }

    pub fn bytes(&self) -> usize {
        self.total.get()
    }

    pub fn full(&self) -> bool {
        self.total.get() >= self.limit
    }
}
