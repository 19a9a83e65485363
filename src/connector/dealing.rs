//! A partition that all workers of a process read together: it is dealt out to them in blocks.
//!
//! A file, or a generator's rows, belongs to one process, and that process has one *dispenser* for each
//! reader of it. Whichever worker asks next gets the next block, so that what has been dealt is always
//! one range from the start. Each block has an *epoch*, a number that the caller ascends (the engine's is
//! the tick): that of the worker who asks, or that of the block before where that is greater. So the
//! blocks of all epochs up to one are a range from the start as well, whichever worker reads which.

use super::{Position, file, generator};
use std::collections::VecDeque;
use std::sync::{Arc, OnceLock};
use std::task::Waker;

/// A worker among those of its process, as one source knows it.
#[derive(Clone)]
pub struct Team {
    /// Which of the process's workers this one is; 0 tells how far the process has read.
    pub worker: usize,
    pub process: usize,
    pub processes: usize,
    /// To be woken by when another worker has put down what this one waits for.
    pub waker: Waker,
    pub shared: Arc<Dispensers>,
}

/// What the workers of a process share of one source: the dispenser of its place.
#[derive(Default)]
pub struct Dispensers {
    pub(super) files: OnceLock<Arc<file::Dispenser>>,
    pub(super) rows: OnceLock<Arc<generator::Dispenser>>,
}

impl Team {
    /// A reader that shares with nobody.
    pub fn alone() -> Team {
        let shared = Arc::default();
        Team { worker: 0, process: 0, processes: 1, waker: Waker::noop().clone(), shared }
    }

    /// Whether a partition is read by this process.
    pub fn owns(&self, partition: usize) -> bool {
        partition % self.processes == self.process
    }
}

/// When a worker asks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moment {
    /// The least epoch that a block that is dealt now may have.
    pub epoch: u64,
    /// Nobody asks how far was read at the end of an epoch before this one.
    pub horizon: u64,
}

/// Which block of its partition it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ticket {
    /// Counts the blocks of the partition since it was opened.
    pub sequence: u64,
    pub epoch: u64,
}

/// Says where reading stands at the end of an epoch that no worker is in any more.
pub trait Dealer: Send + Sync {
    fn position(&self, epoch: u64) -> Position;
}

/// How far a source was read at the end of an epoch.
#[derive(Clone)]
pub enum ReadTo {
    Here(Position),
    /// Others may still read what belongs to the epoch: to be asked when it is closed.
    Dealt(Arc<dyn Dealer>),
}

impl ReadTo {
    /// The position at the end of the epoch, which is closed on all workers.
    pub fn at(self, epoch: u64) -> Position {
        match self {
            ReadTo::Here(position) => position,
            ReadTo::Dealt(dealer) => dealer.position(epoch),
        }
    }
}

/// What held behind the blocks of each epoch, as long as somebody may ask for it.
#[derive(Debug)]
pub struct Marks<M> {
    /// What held before the first of `since`.
    first: M,
    /// Ascending; what holds from the end of that epoch on.
    since: VecDeque<(u64, M)>,
    epoch: u64,
    sequence: u64,
}

impl<M: Clone> Marks<M> {
    pub fn new(first: M) -> Marks<M> {
        Marks { first, since: VecDeque::new(), epoch: 0, sequence: 0 }
    }

    pub fn last(&self) -> &M {
        self.since.back().map_or(&self.first, |(_, mark)| mark)
    }

    /// Numbers the next block; `behind` holds behind it.
    pub fn deal(&mut self, moment: Moment, behind: M) -> Ticket {
        let epoch = self.note(moment, behind);
        let sequence = self.sequence;
        self.sequence += 1;
        Ticket { sequence, epoch }
    }

    /// Notes what holds from now on, and returns the epoch that it is noted for.
    pub fn note(&mut self, moment: Moment, now: M) -> u64 {
        self.epoch = self.epoch.max(moment.epoch);
        match self.since.back_mut() {
            Some((epoch, mark)) if *epoch == self.epoch => *mark = now,
            _ => self.since.push_back((self.epoch, now)),
        }
        while let Some((_, mark)) = self.since.pop_front_if(|(epoch, _)| *epoch < moment.horizon) {
            self.first = mark;
        }
        self.epoch
    }

    /// What held behind the blocks of an epoch and those before it.
    pub fn at(&self, epoch: u64) -> &M {
        self.since.iter().rev().find(|(since, _)| *since <= epoch).map_or(&self.first, |(_, mark)| mark)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn epochs_never_fall_and_what_they_ended_with_is_known() {
        let mut marks = Marks::new(0);
        let mut deal = |epoch, behind| {
            let Ticket { sequence, epoch } = marks.deal(Moment { epoch, horizon: 4 }, behind);
            (sequence, epoch)
        };
        assert_eq!([deal(3, 10), deal(5, 20), deal(4, 30), deal(9, 40)], [(0, 3), (1, 5), (2, 5), (3, 9)]);
        assert_eq!([4, 5, 8, 9, 100].map(|epoch| *marks.at(epoch)), [10, 30, 30, 40, 40]);
        assert_eq!(marks.since.len(), 2, "what nobody asks for is forgotten");
    }
}
