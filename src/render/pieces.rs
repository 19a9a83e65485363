//! A table read in pieces: some keys at a time, ascending, at one closed tick.
//!
//! It holds the arrangement's batches as they were when it began, so the table may change, be compacted or
//! go while it is read.

use super::Tick;
use super::packed::{Bytes, RowSpine, StateSpine};
use super::scan::{Scan, Visit};
use super::table::{Content, Group, Kept, Table};
use super::window::start_value;
use crate::aggregate::{Element, Key, State};
use crate::batch::Batch;
use crate::plan::{Lookup, Windows};
use crate::value::{encode_row, row_len};
use arrow_array::BooleanArray;
use differential_dataflow::difference::Semigroup;
use differential_dataflow::trace::cursor::Cursor;
use differential_dataflow::trace::{BatchCursor, Navigable, TraceReader};
use std::vec;

pub struct Pieces {
    scan: TableScan,
    wanted: Wanted,
    done: bool,
}

/// What is looked at, in the order in which it is kept.
enum Wanted {
    All,
    Keys(vec::IntoIter<Key>),
    /// All that begins with one of these.
    Under(vec::IntoIter<Key>),
    Windows(Ahead),
}

/// Windows that are still to be read, of an arrangement whose keys begin with their starts.
struct Ahead {
    /// What is before it was read.
    from: Vec<u8>,
    /// Where there is nothing more.
    end: Vec<u8>,
    /// Behind the start; `None`: all.
    keys: Option<Vec<Key>>,
}

enum TableScan {
    States {
        states: Scan<StateSpine>,
        elements: Option<Scan<StateSpine>>,
    },
    Rows(Scan<RowSpine>),
    /// Of a table that is made of others when it is read: all of it at once.
    Whole(vec::IntoIter<Group>),
}

impl Pieces {
    pub fn of(table: &Table, tick: Tick, lookup: &Lookup) -> Pieces {
        let wanted = Wanted::of(table, lookup);
        let scan = match &*table.content.borrow() {
            Content::Joined(_) | Content::View(_) => None,
            Content::States { states, elements } => Some(TableScan::States {
                states: Scan::of(states, None, tick),
                elements: elements.as_ref().map(|elements| Scan::of(elements, None, tick)),
            }),
            Content::Rows(rows) => Some(TableScan::Rows(Scan::of(rows, None, tick))),
        };
        match scan {
            Some(scan) => Pieces { scan, wanted, done: false },
            None => {
                let mut all = Vec::new();
                let keys = if let Wanted::Keys(keys) = &wanted { Some(keys.as_slice()) } else { None };
                table.rows(tick, keys, &mut |key, row| {
                    all.push(Group { key, kept: Kept::Values(row) });
                });
                // They came in the order of the tables that they are made of.
                all.sort_by(|a, b| a.key.cmp(&b.key));
                Pieces { scan: TableScan::Whole(all.into_iter()), wanted: Wanted::All, done: false }
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
        let mut more = false;
        match &mut self.scan {
            TableScan::States { states, elements } => {
                let mut visit = |key: Bytes<'_>, _: &(), state: State| {
                    groups.push(Group { key: key.0.into(), kept: Kept::State(state, Vec::new()) });
                };
                more = states.read(&mut self.wanted, most, &mut visit);
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
                more = rows.read(&mut self.wanted, most, &mut visit);
            }
        }
        if let TableScan::Whole(all) = &mut self.scan {
            groups.extend(all.by_ref().take(most));
            more = all.len() > 0;
        }
        self.done = !more;
        groups
    }
}

impl Wanted {
    fn of(table: &Table, lookup: &Lookup) -> Wanted {
        match lookup {
            Lookup::All => Wanted::All,
            Lookup::Keys(keys) => Wanted::Keys(table.kept_keys(keys).into_iter()),
            Lookup::Windows(Windows { from, to, keys }) => match (table.kept_window(), keys) {
                // Sessions have their ends in front of the keys as well, and are nearly as many as the keys.
                (Some((_, size)), keys) => Wanted::Windows(Ahead {
                    from: encode_row(&[start_value(*from)]).into(),
                    end: behind(&encode_row(&[start_value(*to)])),
                    keys: keys.clone().filter(|_| size.is_some()),
                }),
                (None, Some(keys)) => Wanted::Under(keys.clone().into_iter()),
                (None, None) => Wanted::All,
            },
        }
    }
}

impl<Tr, R> Scan<Tr>
where
    Tr: TraceReader<Time = Tick> + 'static,
    Tr::Batch: Navigable,
    R: Semigroup + 'static,
    for<'a> BatchCursor<Tr>: Cursor<Key<'a> = Bytes<'a>, TimeGat<'a> = &'a Tick, Diff = R, Time = Tick>,
{
    /// Visits about as many keys as that of those that are wanted. False when there are no more.
    fn read(&mut self, wanted: &mut Wanted, most: usize, visit: &mut Visit<'_, Tr, R>) -> bool {
        match wanted {
            Wanted::All => self.step(&mut most.clone(), visit),
            Wanted::Keys(keys) => {
                keys.by_ref().take(most).for_each(|key| self.at(&key, visit));
                keys.len() > 0
            }
            Wanted::Under(keys) => {
                keys.next().iter().for_each(|key| self.under(key, visit));
                keys.len() > 0
            }
            Wanted::Windows(ahead) => self.windows(ahead, most, visit),
        }
    }

    fn windows(&mut self, ahead: &mut Ahead, mut left: usize, visit: &mut Visit<'_, Tr, R>) -> bool {
        while left > 0 {
            let Some(next) = self.seek(&ahead.from).filter(|next| **next < *ahead.end) else { return false };
            match &ahead.keys {
                None => {
                    self.before(&ahead.end, &mut left, visit);
                    // What comes next is where the scan stands.
                    ahead.from.clear();
                }
                Some(keys) => {
                    let start = &next[..row_len(&next, 1).unwrap_or(next.len())];
                    for key in keys {
                        self.at(&[start, &**key].concat().into(), visit);
                    }
                    left = left.saturating_sub(keys.len());
                    ahead.from = behind(start);
                }
            }
        }
        true
    }
}

/// The least bytes that come behind all that begin with these.
fn behind(prefix: &[u8]) -> Vec<u8> {
    let mut behind = prefix.to_vec();
    while let Some(last) = behind.pop() {
        if last < u8::MAX {
            behind.push(last + 1);
            break;
        }
    }
    behind
}

/// Adds the elements of a group's collections, which are kept behind the bytes of its key.
fn collect(elements: &mut Scan<StateSpine>, group: &mut Group) {
    let Kept::State(_, collected) = &mut group.kept else { return };
    let columns = group.key.len();
    elements.under(&group.key, &mut |bytes: Bytes<'_>, _: &(), state: State| {
        collected.push((Element(bytes.0[columns..].into()), state));
    });
}
