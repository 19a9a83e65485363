//! How far a subscription is: of each partition the first event that is not finished, and which of those
//! behind it are. That is what is kept, so that after a clean stop nothing is delivered twice, though a key
//! that waits for its receiver holds the first back.

use crate::connector::log::Ends;
use crate::gateway::reader::Cursor;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Where an event was read.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    pub feed: Feed,
    pub generation: u32,
    pub cluster: Arc<str>,
    pub partition: u32,
    pub offset: i64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Feed {
    #[default]
    Event,
    /// The subscription's own dead letters, which are delivered again.
    DeadLetters,
}

/// One partition. Stable: subscriptions' files hold it as JSON.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Part {
    /// The first that is not finished.
    next: i64,
    /// Ranges behind it that are: from, up to but without.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    done: Vec<(i64, i64)>,
}

pub type Nexts = BTreeMap<(u32, String, u32), i64>;

type PartKey = (Feed, u32, Arc<str>, u32);

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Kept {
    feed: Feed,
    generation: u32,
    cluster: Arc<str>,
    partition: u32,
    #[serde(flatten)]
    part: Part,
}

/// As it is in a file.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Saved(Vec<Kept>);

#[derive(Default)]
pub struct Progress {
    parts: BTreeMap<PartKey, Live>,
}

#[derive(Default)]
struct Live {
    /// What an earlier run finished.
    before: Part,
    /// The first that is not read.
    read_to: i64,
    /// Read, and not finished.
    open: BTreeSet<i64>,
}

impl Live {
    fn part(&self) -> Part {
        let next = self.open.first().copied().unwrap_or(self.read_to);
        let mut done = Vec::new();
        let mut from = next + 1;
        for open in self.open.iter().skip(1) {
            if from < *open {
                done.push((from, *open));
            }
            from = open + 1;
        }
        if !self.open.is_empty() && from < self.read_to {
            done.push((from, self.read_to));
        }
        // What was not read again yet is as it was before.
        let later = self.before.done.iter().filter(|(_, to)| *to > self.read_to);
        done.extend(later.map(|(from, to)| (*from.max(&self.read_to), *to)));
        Part { next, done }
    }
}

impl Progress {
    pub fn resume(saved: &Saved) -> Progress {
        let mut parts = BTreeMap::new();
        for kept in &saved.0 {
            let key = (kept.feed, kept.generation, Arc::clone(&kept.cluster), kept.partition);
            parts.insert(
                key,
                Live { before: kept.part.clone(), read_to: kept.part.next, open: BTreeSet::new() },
            );
        }
        Progress { parts }
    }

    /// Where a feed goes on; `None`: it was never read.
    pub fn cursor(&self, feed: Feed) -> Option<Cursor> {
        let mine = || self.parts.iter().filter(|((of, ..), _)| *of == feed);
        let generation = mine().map(|((_, generation, ..), _)| *generation).min()?;
        let mut next: BTreeMap<String, Ends> = BTreeMap::new();
        for ((_, of, cluster, partition), live) in mine() {
            if *of == generation {
                next.entry(cluster.to_string()).or_default().insert(*partition, live.part().next);
            }
        }
        Some(Cursor { generation, next })
    }

    /// By generation, cluster and partition: the first event that is not finished.
    pub fn nexts(&self, feed: Feed) -> Nexts {
        let mine = self.parts.iter().filter(|((of, ..), _)| *of == feed);
        let next = |((_, generation, cluster, partition), live): (&PartKey, &Live)| {
            ((*generation, cluster.to_string(), *partition), live.part().next)
        };
        mine.map(next).collect()
    }

    /// Whether an earlier run has finished it.
    pub fn is_done(&self, place: &Place) -> bool {
        let Some(live) = self.parts.get(&key_of(place)) else { return false };
        let offset = place.offset;
        offset < live.before.next || live.before.done.iter().any(|(from, to)| (*from..*to).contains(&offset))
    }

    /// A feed begins there: what is before it is nobody's.
    pub fn begin(&mut self, feed: Feed, cursor: &Cursor) {
        for (cluster, ends) in &cursor.next {
            for (partition, next) in ends {
                let key = (feed, cursor.generation, Arc::from(cluster.as_str()), *partition);
                let live = self.parts.entry(key).or_default();
                live.read_to = live.read_to.max(*next);
            }
        }
    }

    /// Events of a partition were read up to an offset; those that are to be delivered are opened.
    pub fn read(&mut self, place: &Place, read_to: i64, open: impl Iterator<Item = i64>) {
        // An older generation is read to its end when one of a newer one comes.
        let live = self.parts.entry(key_of(place)).or_default();
        live.open.extend(open);
        live.read_to = live.read_to.max(read_to);
    }

    pub fn finish(&mut self, place: &Place) {
        if let Some(live) = self.parts.get_mut(&key_of(place)) {
            live.open.remove(&place.offset);
        }
    }

    pub fn save(&self) -> Saved {
        let newest = |feed| {
            self.parts.keys().filter(|(of, ..)| *of == feed).map(|(_, generation, ..)| *generation).max()
        };
        let newest = [newest(Feed::Event), newest(Feed::DeadLetters)];
        let kept = self.parts.iter().filter(|((feed, generation, ..), live)| {
            // A generation that is finished need not be known any more, but for the last one.
            !live.open.is_empty() || newest[*feed as usize] == Some(*generation)
        });
        let kept = kept.map(|((feed, generation, cluster, partition), live)| Kept {
            feed: *feed,
            generation: *generation,
            cluster: Arc::clone(cluster),
            partition: *partition,
            part: live.part(),
        });
        Saved(kept.collect())
    }
}

fn key_of(place: &Place) -> PartKey {
    (place.feed, place.generation, Arc::clone(&place.cluster), place.partition)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(generation: u32, offset: i64) -> Place {
        Place { generation, offset, ..Place::default() }
    }

    #[test]
    fn holes_are_kept_and_not_delivered_again() {
        let mut progress = Progress::default();
        progress.read(&place(0, 0), 10, [0, 1, 2, 5, 7].into_iter());
        [0, 2, 7].iter().for_each(|offset| progress.finish(&place(0, *offset)));
        let saved = progress.save();
        let text = serde_json::to_string(&saved).unwrap();
        let resumed = Progress::resume(&serde_json::from_str(&text).unwrap());
        assert_eq!(resumed.cursor(Feed::Event).unwrap().next[""][&0], 1);
        let done: Vec<i64> = (0..12).filter(|offset| resumed.is_done(&place(0, *offset))).collect();
        assert_eq!(done, [0, 2, 3, 4, 6, 7, 8, 9]);
        assert_eq!(resumed.save(), saved);
    }

    #[test]
    fn an_older_generation_holds_the_cursor_until_it_is_finished() {
        let mut progress = Progress::default();
        progress.read(&place(0, 0), 3, [1].into_iter());
        progress.read(&place(1, 0), 5, [4].into_iter());
        let resumed = Progress::resume(&progress.save());
        assert_eq!(resumed.cursor(Feed::Event).unwrap().generation, 0);
        assert!(
            resumed.is_done(&place(1, 3)) && !resumed.is_done(&place(1, 4)) && !resumed.is_done(&place(0, 1))
        );
        progress.finish(&place(0, 1));
        let cursor = Progress::resume(&progress.save()).cursor(Feed::Event).unwrap();
        assert_eq!((cursor.generation, cursor.next[""][&0]), (1, 4));
    }
}
