//! The greatest ROWTIME so far of each partition of a source, in the order of offsets.
//!
//! Most partitions are read and decoded by one worker: what it decodes next comes next. Of a partition
//! whose blocks are dealt to several workers, a block may be decoded before the one before it: its rows
//! then wait until that one has told its greatest ROWTIME, and who tells it wakes who waits for it.

use super::Tick;
use crate::batch::Batch;
use crate::connector::Ticket;
use crate::connector::dealing::{Marks, Moment};
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Waker;

/// Of one source, shared by the workers of a process.
#[derive(Default)]
pub struct Stamps {
    partitions: Mutex<BTreeMap<i32, Partition>>,
}

struct Partition {
    /// What holds behind the blocks that are known without a gap; before any row: the least there is.
    marks: Marks<i64>,
    /// The first block that is not known.
    next: u64,
    /// What is known of blocks behind it: the tick and the greatest ROWTIME of each, and who waits there.
    ahead: BTreeMap<u64, Ahead>,
    /// What held before blocks whose rows still wait.
    before: BTreeMap<u64, i64>,
    /// When it was told of last; 0: not in this run.
    heard: Tick,
}

struct Ahead {
    tick: Tick,
    greatest: i64,
    waker: Option<Waker>,
}

impl Stamps {
    /// Goes on from what an earlier start knew.
    pub fn resume(&self, stamps: &BTreeMap<i32, i64>) {
        let mut partitions = self.partitions();
        for (partition, stamp) in stamps {
            partitions.entry(*partition).or_insert_with(|| Partition::new(*stamp));
        }
    }

    fn partitions(&self) -> MutexGuard<'_, BTreeMap<i32, Partition>> {
        self.partitions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives the rows of a batch their stamps, and returns the stamp behind them, if there has been a row.
    /// `declared`: their ROWTIMEs are their own. `None` for a block with rows: that waits for a block of
    /// another worker's, which wakes this one; see [`Stamps::stamp_late`].
    pub fn stamp(
        &self,
        batch: &mut Batch,
        ticket: Option<Ticket>,
        moment: Moment,
        declared: bool,
        waker: &Waker,
    ) -> Option<i64> {
        let (partition, greatest) = (partition(batch), batch.origin.rowtime.greatest(batch.len));
        let before = match ticket {
            // What is dealt out gets times that do not fall: they are their own stamps.
            Some(_) if !declared => return Some(greatest).filter(|stamp| *stamp > i64::MIN),
            Some(ticket) => {
                let waker = (batch.len > 0).then_some(waker);
                self.tell(partition, ticket, moment.horizon, greatest, waker)
            }
            None => Some(self.next(partition, moment, greatest)),
        };
        before.and_then(|before| set(batch, before))
    }

    /// The same for a batch that waited, if the block before it is known by now.
    pub fn stamp_late(&self, batch: &mut Batch, ticket: Ticket) -> Option<i64> {
        self.before(partition(batch), ticket.sequence).and_then(|before| set(batch, before))
    }

    /// Tells the greatest ROWTIME of the next messages of a partition that one worker reads, and returns
    /// what held before them.
    pub fn next(&self, partition: i32, moment: Moment, greatest: i64) -> i64 {
        self.partitions().entry(partition).or_insert_with(|| Partition::new(i64::MIN)).tell(moment, greatest)
    }

    /// Tells the greatest ROWTIME of a block ([`i64::MIN`]: it has no rows), and returns what held before
    /// it. `None`: that is not known yet; then the waker is woken, if one is given, and what held is got
    /// from [`Stamps::before`].
    pub fn tell(
        &self,
        partition: i32,
        ticket: Ticket,
        horizon: Tick,
        greatest: i64,
        waker: Option<&Waker>,
    ) -> Option<i64> {
        let mut partitions = self.partitions();
        let known = partitions.entry(partition).or_insert_with(|| Partition::new(i64::MIN));
        if ticket.sequence > known.next {
            let ahead = Ahead { tick: ticket.epoch, greatest, waker: waker.cloned() };
            known.ahead.insert(ticket.sequence, ahead);
            return None;
        }
        let before = known.tell(Moment { epoch: ticket.epoch, horizon }, greatest);
        known.next += 1;
        let mut wake = Vec::new();
        while let Some(Ahead { tick, greatest, waker }) = known.ahead.remove(&known.next) {
            let before = known.tell(Moment { epoch: tick, horizon }, greatest);
            if let Some(waker) = waker {
                known.before.insert(known.next, before);
                wake.push(waker);
            }
            known.next += 1;
        }
        drop(partitions);
        wake.into_iter().for_each(Waker::wake);
        Some(before)
    }

    /// What held before a block that has been told, if that is known by now. To be asked until it is.
    pub fn before(&self, partition: i32, sequence: u64) -> Option<i64> {
        self.partitions().get_mut(&partition)?.before.remove(&sequence)
    }

    /// Partitions that nothing was told of since `quiet` come to the least stamp of the others, so that what
    /// they bring later is late where the others' time has gone by. Tells which have moved, and how far.
    pub fn follow(&self, moment: Moment, quiet: Tick) -> Vec<(i32, i64)> {
        let mut partitions = self.partitions();
        let is_idle = |known: &Partition| known.heard < quiet && known.ahead.is_empty();
        let others = partitions.values().filter(|known| !is_idle(known));
        let Some(least) = others.map(|known| *known.marks.last()).min() else { return Vec::new() };
        let behind = |known: &Partition| is_idle(known) && *known.marks.last() < least;
        let moved = partitions.iter_mut().filter(|(_, known)| behind(known));
        moved
            .map(|(partition, known)| {
                known.marks.note(moment, least);
                (*partition, least)
            })
            .collect()
    }

    /// How far each partition has come by now that has had a row.
    pub fn reached(&self) -> BTreeMap<i32, i64> {
        self.partitions().iter().map(|(partition, known)| (*partition, *known.marks.last())).collect()
    }

    /// What held at the end of a closed tick, of each partition that had a row by then.
    pub fn at(&self, tick: Tick) -> BTreeMap<i32, i64> {
        let partitions = self.partitions();
        let stamps = partitions.iter().map(|(partition, known)| (*partition, *known.marks.at(tick)));
        stamps.filter(|(_, stamp)| *stamp > i64::MIN).collect()
    }
}

/// Of a batch as it was read: its rows are of one partition.
fn partition(batch: &Batch) -> i32 {
    batch.origin.partitions.at(0).partition
}

fn set(batch: &mut Batch, before: i64) -> Option<i64> {
    let (stamps, last) = batch.origin.rowtime.running_max(batch.len, before);
    batch.origin.stamps = stamps;
    Some(last).filter(|stamp| *stamp > i64::MIN)
}

impl Partition {
    fn new(stamp: i64) -> Partition {
        let (ahead, before) = (BTreeMap::new(), BTreeMap::new());
        Partition { marks: Marks::new(stamp), next: 0, ahead, before, heard: 0 }
    }

    fn tell(&mut self, moment: Moment, greatest: i64) -> i64 {
        let before = *self.marks.last();
        self.heard = self.heard.max(moment.epoch);
        self.marks.note(moment, before.max(greatest));
        before
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn a_block_waits_for_those_before_it() {
        let stamps = Stamps::default();
        let count = Arc::new(Count(AtomicUsize::new(0)));
        let waker = Waker::from(Arc::clone(&count));
        let tell =
            |sequence, epoch, greatest| stamps.tell(7, Ticket { sequence, epoch }, 0, greatest, Some(&waker));
        assert_eq!(tell(0, 3, 50), Some(i64::MIN));
        assert_eq!(tell(2, 5, 90), None);
        assert_eq!(tell(3, 5, i64::MIN), None);
        assert_eq!(stamps.before(7, 2), None);
        assert_eq!(stamps.at(9), [(7, 50)].into());
        assert_eq!(tell(1, 4, 40), Some(50));
        assert_eq!(count.0.load(Ordering::Relaxed), 2);
        assert_eq!([stamps.before(7, 3), stamps.before(7, 2)], [Some(90), Some(50)]);
        assert_eq!(stamps.before(7, 2), None, "it is told once");
        assert_eq!([2, 4, 5].map(|tick| stamps.at(tick).get(&7).copied()), [None, Some(50), Some(90)]);
    }

    #[test]
    fn idle_partitions_follow_the_least_of_the_others() {
        let stamps = Stamps::default();
        let at = |epoch| Moment { epoch, horizon: 0 };
        for (partition, epoch, greatest) in [(1, 5, 100), (2, 50, 70), (3, 60, 90), (4, 4, 60)] {
            stamps.next(partition, at(epoch), greatest);
        }
        assert_eq!(stamps.follow(at(60), 10), [(4, 70)], "1 is ahead of them");
        assert_eq!(stamps.follow(at(61), 10), [], "it has come so far");
        assert_eq!(stamps.next(4, at(62), 65), 70, "what comes now comes after that");
        assert_eq!(stamps.at(61)[&4], 70);
        assert_eq!(stamps.follow(at(99), 90), [], "there is nobody to follow");
        stamps.next(3, at(100), 110);
        assert_eq!(stamps.follow(at(100), 90), [(1, 110), (2, 110), (4, 110)]);
        let block = Ticket { sequence: 1, epoch: 70 };
        assert_eq!(stamps.tell(1, block, 0, 0, None), None);
        stamps.next(3, at(200), 120);
        assert_eq!(stamps.follow(at(200), 190), [], "1 is waited for: rows of it wait for others of it");
    }

    #[test]
    fn an_earlier_start_is_gone_on_from() {
        let stamps = Stamps::default();
        stamps.resume(&[(1, 70)].into());
        assert_eq!(stamps.next(1, Moment { epoch: 2, horizon: 0 }, 60), 70);
        assert_eq!(stamps.next(2, Moment { epoch: 2, horizon: 0 }, 60), i64::MIN);
        assert_eq!(stamps.at(2), [(1, 70), (2, 60)].into());
    }
}
