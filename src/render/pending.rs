//! Touched keys that wait until their ticks are closed, with the right to say something of them.

use super::Tick;
use crate::aggregate::Key;
use std::collections::{BTreeMap, BTreeSet};
use timely::dataflow::operators::Capability;
use timely::progress::frontier::MutableAntichain;

pub struct Pending {
    /// `None`: nothing follows.
    held: Option<Capability<Tick>>,
    keys: BTreeMap<Tick, BTreeSet<Key>>,
}

impl Pending {
    pub fn new(capability: Capability<Tick>) -> Pending {
        Pending { held: Some(capability), keys: BTreeMap::new() }
    }

    pub fn add(&mut self, touched: impl Iterator<Item = (Key, Tick)>) {
        for (key, tick) in touched {
            self.keys.entry(tick).or_default().insert(key);
        }
    }

    pub fn held(&self) -> Option<&Capability<Tick>> {
        self.held.as_ref()
    }

    /// The next tick before `open` with its keys, ascending, and the right to say something at it.
    pub fn closed(&mut self, open: Tick) -> Option<(Tick, Vec<Key>, Capability<Tick>)> {
        let held = self.held.as_ref()?;
        let entry = self.keys.first_entry().filter(|entry| *entry.key() < open)?;
        let (tick, keys) = entry.remove_entry();
        Some((tick, keys.into_iter().collect(), held.delayed(&tick.max(*held.time()))))
    }

    /// Gives up what is before `open`, all of it where nothing follows. True while something may.
    pub fn advance(&mut self, open: Tick) -> bool {
        match &mut self.held {
            _ if open == Tick::MAX => self.held = None,
            Some(held) if open > *held.time() => held.downgrade(&open),
            _ => {}
        }
        self.held.is_some()
    }
}

/// The least tick that an input may still say something at; the greatest of all where it has ended.
pub fn open(frontier: &MutableAntichain<Tick>) -> Tick {
    frontier.frontier().first().copied().unwrap_or(Tick::MAX)
}
