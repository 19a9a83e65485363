//! Which readers of topics stand still: those of paused queries, and those that are held for a moment.

use crate::plan::DataflowId;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

#[derive(Default)]
pub struct Standing {
    stopped: RefCell<BTreeSet<DataflowId>>,
    held: RefCell<BTreeMap<DataflowId, Holders>>,
}

/// Who holds a reader.
#[derive(Default)]
struct Holders {
    at_once: u32,
    /// When it has read all that is there.
    at_end: u32,
    /// It has noticed.
    stands: bool,
}

impl Holders {
    fn of(&mut self, at_end: bool) -> &mut u32 {
        if at_end { &mut self.at_end } else { &mut self.at_once }
    }
}

impl Standing {
    /// Readers stop until they are told to go.
    pub fn stop(&self, stop: &[DataflowId], go: &[DataflowId]) {
        let mut stopped = self.stopped.borrow_mut();
        stopped.extend(stop);
        stopped.retain(|id| !go.contains(id));
    }

    pub fn is_stopped(&self, id: DataflowId) -> bool {
        self.stopped.borrow().contains(&id)
    }

    /// Readers read no further; `at_end`: once they have read all that is there.
    pub fn hold(&self, readers: &[DataflowId], at_end: bool) {
        let mut held = self.held.borrow_mut();
        readers.iter().for_each(|id| *held.entry(*id).or_default().of(at_end) += 1);
    }

    pub fn release(&self, readers: &[DataflowId], at_end: bool) {
        let mut held = self.held.borrow_mut();
        for id in readers {
            held.entry(*id).and_modify(|holders| *holders.of(at_end) -= 1);
        }
        held.retain(|_, holders| holders.at_once + holders.at_end > 0);
        held.values_mut().for_each(|holders| holders.stands = false);
    }

    /// Whether a reader is to stand still, to be asked before it reads. `at_end`: it has read all that is there.
    pub fn holds(&self, id: DataflowId, at_end: bool) -> bool {
        let mut held = self.held.borrow_mut();
        let Some(holders) = held.get_mut(&id) else { return false };
        holders.stands = at_end || holders.at_once > 0;
        holders.stands
    }

    /// Whether a reader that is held has noticed.
    pub fn stands(&self, id: DataflowId) -> bool {
        self.held.borrow().get(&id).is_some_and(|holders| holders.stands)
    }

    /// A reader that is gone.
    pub fn forget(&self, id: DataflowId) {
        self.stopped.borrow_mut().remove(&id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_stands_as_long_as_somebody_holds_it() {
        let standing = Standing::default();
        assert!(!standing.holds(1, true));
        standing.hold(&[1, 2], true);
        assert!(!standing.holds(1, false) && !standing.stands(1), "it reads to the end first");
        assert!(standing.holds(1, true) && standing.stands(1));
        standing.hold(&[1], false);
        assert!(standing.holds(1, false));
        standing.release(&[1, 2], true);
        assert!(standing.holds(1, false) && !standing.holds(2, true));
        standing.release(&[1], false);
        assert!(!standing.holds(1, true));
    }
}
