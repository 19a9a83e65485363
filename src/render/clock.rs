//! How far the sources of an input have come, told by their readers on all workers.

use crate::batch::Reached;
use std::collections::BTreeMap;

/// The time of one input: that of the partitions that may still bring something known to be there.
#[derive(Clone, Debug, Default)]
pub struct Clock {
    /// Stamps by source and partition; [`i64::MIN`]: it has had no row, and is known to have some.
    partitions: BTreeMap<(u32, i32), i64>,
    /// By source and worker: whether the reader has read all that is there now.
    readers: BTreeMap<(u32, u32), bool>,
    peers: usize,
    /// Ordinals of the sources that feed the input.
    feeds: Vec<u32>,
}

impl Clock {
    pub fn new(feeds: &[u32], peers: usize) -> Clock {
        Clock { feeds: feeds.to_vec(), peers, ..Clock::default() }
    }

    pub fn add(&mut self, reached: &Reached) {
        self.readers.insert((reached.source, reached.worker), reached.at_end);
        if let Some((partition, stamp)) = reached.partition {
            let known = self.partitions.entry((reached.source, partition)).or_insert(i64::MIN);
            *known = stamp.max(*known);
        }
        // One that has had no row by now is as if it were not there.
        if reached.at_end && self.is_at_end(reached.source) {
            let of_source = |partition: &(u32, i32)| partition.0 == reached.source;
            self.partitions.retain(|partition, stamp| !of_source(partition) || *stamp > i64::MIN);
        }
    }

    fn is_at_end(&self, source: u32) -> bool {
        let readers = self.readers.range((source, 0)..=(source, u32::MAX));
        let at_end = readers.filter(|(_, at_end)| **at_end).count();
        at_end == self.peers
    }

    /// The least stamp, source and partition that a row may have that is known to be there and has not come;
    /// `None`: there is no such row. The stamp is `i64::MIN` as long as nothing is known of a source.
    pub fn holds_back(&self) -> Option<(i64, u32, i32)> {
        let open = self.feeds.iter().copied().filter(|source| !self.is_at_end(*source));
        open.map(|source| self.furthest_behind(source).unwrap_or((i64::MIN, source, i32::MIN))).min()
    }

    /// The partition of a source with the least stamp: that, the source and the partition.
    fn furthest_behind(&self, source: u32) -> Option<(i64, u32, i32)> {
        let partitions = self.partitions.range((source, i32::MIN)..=(source, i32::MAX));
        partitions.map(|((source, partition), stamp)| (*stamp, *source, *partition)).min()
    }

    /// The sources that have come further than to that stamp, with each of their partitions.
    pub fn ahead_of(&self, stamp: i64) -> impl Iterator<Item = u32> {
        let is_ahead =
            move |source: &u32| self.furthest_behind(*source).is_some_and(|(least, ..)| least > stamp);
        self.feeds.iter().copied().filter(is_ahead)
    }

    /// The least stamp over all partitions that have had a row, or are known to have some.
    pub fn least(&self) -> Option<i64> {
        self.partitions.values().copied().min()
    }

    /// The greatest one.
    pub fn greatest(&self) -> Option<i64> {
        self.partitions.values().copied().max()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_known_to_be_there_holds_back_and_nothing_else() {
        let mut clock = Clock::new(&[7, 8], 2);
        let reached = |source, worker, partition, at_end| Reached { source, worker, partition, at_end };
        let holds_back = |clock: &Clock| clock.holds_back().map(|(stamp, ..)| stamp);
        assert_eq!(holds_back(&clock), Some(i64::MIN), "nothing is known of them");
        clock.add(&reached(8, 0, None, true));
        clock.add(&reached(8, 1, None, true));
        assert_eq!(holds_back(&clock), Some(i64::MIN), "nothing is known of 7");
        clock.add(&reached(7, 0, Some((0, 50)), false));
        clock.add(&reached(7, 1, Some((1, 30)), false));
        assert_eq!(clock.holds_back(), Some((30, 7, 1)));
        assert_eq!((clock.least(), clock.greatest()), (Some(30), Some(50)));
        clock.add(&reached(7, 1, Some((1, 50)), false));
        assert_eq!(clock.holds_back(), Some((50, 7, 0)), "of equal stamps the first partition");
        clock.add(&reached(7, 1, Some((1, 60)), false));
        assert_eq!(holds_back(&clock), Some(50));
        clock.add(&reached(7, 0, None, true));
        assert_eq!(holds_back(&clock), Some(50), "the other worker reads on");
        clock.add(&reached(7, 1, None, true));
        assert_eq!((holds_back(&clock), clock.least()), (None, Some(50)));
        clock.add(&reached(8, 1, Some((3, 5)), false));
        assert_eq!(holds_back(&clock), Some(5));
    }

    #[test]
    fn a_partition_that_is_known_to_have_rows_is_waited_for() {
        let mut clock = Clock::new(&[7], 1);
        let reached = |partition, at_end| Reached { source: 7, worker: 0, partition, at_end };
        clock.add(&reached(Some((0, 50)), false));
        clock.add(&reached(Some((1, i64::MIN)), false));
        clock.add(&reached(Some((2, i64::MIN)), false));
        clock.add(&reached(Some((2, 40)), false));
        assert_eq!((clock.holds_back(), clock.least()), (Some((i64::MIN, 7, 1)), Some(i64::MIN)));
        clock.add(&reached(None, true));
        assert_eq!((clock.holds_back(), clock.least()), (None, Some(40)), "1 had nothing");
    }
}
