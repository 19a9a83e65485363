//! Which sources are read lowest time first, and which a worker does not read for a while, since they are ahead.
//!
//! Told by operators that merge sources in one order and have much waiting, asked by readers. Of the sources that
//! one of them merges the one whose time is least is never ahead: so they cannot wait for each other.

use super::context::Context;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

/// What the operators of a worker that merge sources ask of readers.
#[derive(Default)]
pub struct Pacing {
    mergers: RefCell<BTreeMap<usize, Merger>>,
    next: Cell<usize>,
}

/// Ordinals of sources.
#[derive(Default)]
struct Merger {
    merges: Vec<u32>,
    ahead: Vec<u32>,
}

/// One operator's word in it, which goes with the operator.
pub struct Brake {
    merger: usize,
    context: Rc<Context>,
}

impl Pacing {
    /// Whether rows of the source are merged in one order.
    pub fn is_merged(&self, source: u32) -> bool {
        self.mergers.borrow().values().any(|merger| merger.merges.contains(&source))
    }

    /// Whether the source is to wait for others.
    pub fn is_ahead(&self, source: u32) -> bool {
        self.mergers.borrow().values().any(|merger| merger.ahead.contains(&source))
    }

    fn add(&self, merges: Vec<u32>) -> usize {
        let number = self.next.get();
        self.next.set(number + 1);
        self.mergers.borrow_mut().insert(number, Merger { merges, ahead: Vec::new() });
        number
    }

    /// Whether that lets go a source.
    fn hold(&self, merger: usize, sources: Vec<u32>) -> bool {
        let mut mergers = self.mergers.borrow_mut();
        let ahead = &mut mergers.entry(merger).or_default().ahead;
        let before = std::mem::replace(ahead, sources);
        before.iter().any(|source| !ahead.contains(source))
    }
}

impl Brake {
    /// `merges`: the ordinals of the sources whose rows are merged.
    pub fn new(merges: Vec<u32>, context: &Rc<Context>) -> Brake {
        Brake { merger: context.pacing.add(merges), context: Rc::clone(context) }
    }

    /// These sources are ahead, and no others.
    pub fn hold(&self, sources: Vec<u32>) {
        if self.context.pacing.hold(self.merger, sources) {
            self.context.clock.look_now();
            self.context.wake_sources();
        }
    }
}

impl Drop for Brake {
    fn drop(&mut self) {
        // Readers are woken at their next tick; the dataflows may be on their way out.
        self.context.pacing.mergers.borrow_mut().remove(&self.merger);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_goes_on_when_nobody_holds_it() {
        let pacing = Pacing::default();
        let [one, other] = [vec![3, 4], vec![4, 5]].map(|merges| pacing.add(merges));
        assert_eq!([2, 3, 5].map(|source| pacing.is_merged(source)), [false, true, true]);
        assert!(!pacing.hold(one, vec![3, 4]));
        assert!(!pacing.hold(other, vec![4]));
        assert!(pacing.hold(one, vec![4]), "3 goes on");
        assert_eq!([3, 4].map(|source| pacing.is_ahead(source)), [false, true]);
        assert!(pacing.hold(one, vec![]));
        assert!(pacing.is_ahead(4));
        assert!(pacing.hold(other, vec![]));
        assert!(!pacing.is_ahead(4));
    }
}
