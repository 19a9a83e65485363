//! A table read in pieces: some keys at a time, ascending, at one closed tick.
//!
//! It holds the arrangement's batches as they were when it began, so the table may change, be compacted or
//! go while it is read.

use super::Tick;
use super::packed::{Bytes, RowSpine, StateSpine};
use super::scan::Scan;
use super::table::{Content, Group, Kept, Table};
use crate::aggregate::{Element, Key, State};
use crate::batch::Batch;
use arrow_array::BooleanArray;

pub struct Pieces {
    scan: TableScan,
    /// The keys that are looked up; `None`: all are read.
    keys: Option<std::vec::IntoIter<Key>>,
    done: bool,
}

enum TableScan {
    States {
        states: Scan<StateSpine>,
        elements: Option<Scan<StateSpine>>,
    },
    Rows(Scan<RowSpine>),
    /// Of a table that is made of others when it is read: all of it at once.
    Whole(std::vec::IntoIter<Group>),
}

impl Pieces {
    /// `keys` ascend.
    pub fn of(table: &Table, tick: Tick, keys: Option<Vec<Key>>) -> Pieces {
        let scan = match &*table.content.borrow() {
            Content::Joined(_) | Content::View(_) => None,
            Content::States { states, elements } => Some(TableScan::States {
                states: Scan::of(states, None, tick),
                elements: elements.as_ref().map(|elements| Scan::of(elements, None, tick)),
            }),
            Content::Rows(rows) => Some(TableScan::Rows(Scan::of(rows, None, tick))),
        };
        match scan {
            Some(scan) => Pieces { scan, keys: keys.map(Vec::into_iter), done: false },
            None => {
                let mut all = Vec::new();
                table.rows(tick, keys.as_deref(), &mut |key, row| {
                    all.push(Group { key, kept: Kept::Values(row) });
                });
                // They came in the order of the tables that they are made of.
                all.sort_by(|a, b| a.key.cmp(&b.key));
                Pieces { scan: TableScan::Whole(all.into_iter()), keys: None, done: false }
            }
        }
    }

    /// The rows of the next so many keys, each with its key; fewer where some keys have none.
    pub fn next(&mut self, table: &Table, most: usize) -> (Vec<Key>, Batch) {
        let groups = self.groups(most);
        let keys: Vec<Key> = groups.iter().map(|group| group.key.clone()).collect();
        let finished = table.finish(groups);
        let keep = BooleanArray::from(finished.keep);
        if keep.true_count() == keep.len() {
            return (keys, finished.rows);
        }
        let kept =
            keys.into_iter().zip(keep.values()).filter_map(|(key, keep)| keep.then_some(key)).collect();
        (kept, finished.rows.filter(&keep))
    }

    /// No key is left.
    pub fn is_done(&self) -> bool {
        self.done
    }

    fn groups(&mut self, most: usize) -> Vec<Group> {
        let mut groups = Vec::new();
        let wanted: Option<Vec<Key>> = self.keys.as_mut().map(|keys| keys.by_ref().take(most).collect());
        let (mut left, mut more) = (most, false);
        match &mut self.scan {
            TableScan::States { states, elements } => {
                let mut visit = |key: Bytes<'_>, _: &(), state: State| {
                    groups.push(Group { key: key.0.into(), kept: Kept::State(state, Vec::new()) });
                };
                match &wanted {
                    None => more = states.step(&mut left, &mut visit),
                    Some(keys) => keys.iter().for_each(|key| states.at(key, &mut visit)),
                }
                if let Some(elements) = elements {
                    groups.iter_mut().for_each(|group| collect(elements, group));
                }
            }
            TableScan::Whole(_) => {}
            TableScan::Rows(rows) => {
                let mut visit = |key: Bytes<'_>, row: Bytes<'_>, count: i64| {
                    // One row a key, since a key's old row is retracted at the tick of its new one.
                    if count > 0 {
                        groups.push(Group { key: key.0.into(), kept: Kept::Row(row.0.into()) });
                    }
                };
                match &wanted {
                    None => more = rows.step(&mut left, &mut visit),
                    Some(keys) => keys.iter().for_each(|key| rows.at(key, &mut visit)),
                }
            }
        }
        if let TableScan::Whole(all) = &mut self.scan {
            groups.extend(all.by_ref().take(most));
            more = all.len() > 0;
        }
        self.done = !more && self.keys.as_ref().is_none_or(|keys| keys.len() == 0);
        groups
    }
}

/// Adds the elements of a group's collections, which are kept behind the bytes of its key.
fn collect(elements: &mut Scan<StateSpine>, group: &mut Group) {
    let Kept::State(_, collected) = &mut group.kept else { return };
    let columns = group.key.len();
    elements.under(&group.key, &mut |bytes: Bytes<'_>, _: &(), state: State| {
        collected.push((Element(bytes.0[columns..].into()), state));
    });
}
