//! Rows that a join keeps, as entries of a kept state: what it restarts from.
//!
//! ```text
//! key of the join │ mark │ the columns that somebody reads
//! ```
//!
//! Each is counted once while it is kept. The mark tells rows of one key apart, and is the join's own.

use super::Tick;
use super::keyed::Keyed;
use super::packed::{Blob, StateUpdate};
use super::pairs::RowRef;
use crate::aggregate::view::View;
use crate::aggregate::{Key, State};
use crate::batch::{Batch, Column, Origin, Partitions, Position, SourcePartition, Timestamps};
use crate::plan::Side;
use crate::types::SqlType;
use crate::value::{Row, Value, decode_row, encode_row, row_len};
use arrow_buffer::BooleanBuffer;
use std::rc::Rc;

/// What has changed in what a join keeps, until it is told.
pub struct Keeping {
    /// Nobody restarts from it.
    ignored: bool,
    changes: Vec<(Key, State)>,
}

/// The rows of one side as entries.
pub struct Entries {
    types: Vec<SqlType>,
    /// The columns that are kept.
    wanted: Vec<bool>,
    keys: usize,
}

/// Where a row stands among the rows of its key: its side, its time and its position.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mark {
    /// With what else there is to know of it, as [`Mark::DELETION`].
    pub side: u8,
    pub rowtime: i64,
    pub position: Position,
}

impl Keeping {
    pub fn new(ignored: bool) -> Keeping {
        Keeping { ignored, changes: Vec::new() }
    }

    /// `entry` is made only if it is kept.
    pub fn add(&mut self, rowtime: i64, entry: impl FnOnce() -> Key) {
        if !self.ignored {
            self.changes.push((entry(), State::counting(1, rowtime)));
        }
    }

    pub fn remove(&mut self, entry: impl FnOnce() -> Key) {
        if !self.ignored {
            self.changes.push((entry(), State::expiring(1)));
        }
    }

    pub fn take(&mut self, tick: Tick) -> impl Iterator<Item = StateUpdate> + '_ {
        self.changes.drain(..).map(move |(key, state)| ((Blob(key), ()), tick, state))
    }
}

impl Entries {
    /// `wanted`: the columns of the side that somebody reads.
    pub fn new(side: &Side, wanted: &[bool]) -> Entries {
        Entries { types: side.columns.clone(), wanted: wanted.to_vec(), keys: side.keys.len() }
    }

    /// Of rows with columns of these types, all of them kept, and so many values in their keys.
    pub fn whole(types: &[SqlType], keys: usize) -> Entries {
        Entries { types: types.to_vec(), wanted: vec![true; types.len()], keys }
    }

    /// The entry of a row that has a key.
    pub fn of(&self, key: &[u8], mark: &[u8], row: &RowRef) -> Key {
        let mut entry = marked(key, mark);
        let columns = &row.batch.batch.columns;
        for (column, _) in columns.iter().zip(&self.wanted).filter(|(_, wanted)| **wanted) {
            View::of(column).encode(row.row as usize, &mut entry);
        }
        entry.into()
    }

    /// What tells an entry apart: its key, and its mark.
    pub fn key_and_mark<'e>(&self, entry: &'e [u8]) -> Option<(&'e [u8], Box<[u8]>)> {
        let (key, rest) = split(entry, self.keys);
        match decode_row(&rest[..row_len(rest, 1)?])?.pop()? {
            Value::Bytes(mark) => Some((key, mark)),
            _ => None,
        }
    }

    /// The rows of entries, which have these marks.
    pub fn rows(&self, entries: &[&[u8]], marks: &[Mark]) -> Vec<RowRef> {
        let parts: Vec<(&[u8], Row)> = entries
            .iter()
            .map(|entry| {
                let (key, rest) = split(entry, self.keys);
                (key, decode_row(rest).expect("entries are kept as they were encoded"))
            })
            .collect();
        let mut at = 0;
        let columns = self.types.iter().zip(&self.wanted).map(|(ty, wanted)| match wanted {
            false => Column::Absent,
            true => {
                at += 1;
                Column::Array(Value::array(ty, parts.iter().map(|(_, row)| &row[at])))
            }
        });
        let columns = columns.collect();
        let deleted = marks.iter().any(|mark| mark.is_deletion());
        let deleted = deleted.then(|| BooleanBuffer::collect_bool(marks.len(), |i| marks[i].is_deletion()));
        let batch = Batch { len: parts.len(), columns, origin: origin(marks), deleted };
        let keys = parts.iter().zip(marks).map(|((key, _), mark)| (*key, mark.has_null_key()));
        let batch = Rc::new(Keyed::with_keys(batch, keys, self.types.clone()));
        (0..parts.len()).map(|row| RowRef { batch: Rc::clone(&batch), row: row as u32 }).collect()
    }
}

fn origin(marks: &[Mark]) -> Origin {
    let source =
        |mark: &Mark| SourcePartition { source: mark.position.source, partition: mark.position.partition };
    Origin {
        rowtime: Timestamps::Each(marks.iter().map(|mark| mark.rowtime).collect()),
        stamps: Timestamps::Each(marks.iter().map(|mark| mark.position.stamp).collect()),
        partitions: Partitions::Each(marks.iter().map(source).collect()),
        offsets: marks.iter().map(|mark| mark.position.offset).collect(),
        nth: Some(marks.iter().map(|mark| mark.position.nth).collect()),
        ..Origin::none(marks.len())
    }
}

/// An entry without columns.
pub fn marked(key: &[u8], mark: &[u8]) -> Vec<u8> {
    [key, &*encode_row(&[Value::Bytes(mark.into())])].concat()
}

/// The key of an entry, which has so many values, and what is behind it.
fn split(entry: &[u8], keys: usize) -> (&[u8], &[u8]) {
    entry.split_at(row_len(entry, keys).unwrap_or(entry.len()))
}

impl Mark {
    /// Of a row whose place does not matter.
    pub const NONE: Mark = Mark {
        side: 0,
        rowtime: 0,
        position: Position { stamp: 0, source: 0, partition: 0, offset: 0, nth: 0 },
    };
    const LEN: usize = 37;
    /// Beside the side: the row's message had no value.
    const DELETION: u8 = 1 << 6;
    /// There is a NULL in the row's key.
    const NULL_KEY: u8 = 1 << 7;

    /// Of a row of that side, all that there is to know of it.
    pub fn of_row(side: u8, row: &RowRef) -> Mark {
        let deletion = if row.is_deletion() { Mark::DELETION } else { 0 };
        let null_key = if row.key().is_none() { Mark::NULL_KEY } else { 0 };
        Mark { side: side | deletion | null_key, rowtime: row.rowtime(), position: row.position() }
    }

    /// The side of a mark made by [`Mark::of_row`].
    pub fn side_of_row(&self) -> u8 {
        self.side & !(Mark::DELETION | Mark::NULL_KEY)
    }

    fn is_deletion(&self) -> bool {
        self.side & Mark::DELETION != 0
    }

    fn has_null_key(&self) -> bool {
        self.side & Mark::NULL_KEY != 0
    }

    pub fn bytes(&self) -> [u8; Mark::LEN] {
        let Position { stamp, source, partition, offset, nth } = self.position;
        let mut bytes = [self.side; Mark::LEN];
        bytes[1..9].copy_from_slice(&self.rowtime.to_be_bytes());
        bytes[9..17].copy_from_slice(&stamp.to_be_bytes());
        bytes[17..21].copy_from_slice(&source.to_be_bytes());
        bytes[21..25].copy_from_slice(&partition.to_be_bytes());
        bytes[25..33].copy_from_slice(&offset.to_be_bytes());
        bytes[33..].copy_from_slice(&nth.to_be_bytes());
        bytes
    }

    pub fn of(bytes: &[u8]) -> Option<Mark> {
        let (side, mut rest) = bytes.split_first()?;
        let mut next = || {
            let (first, others) = rest.split_first_chunk::<8>()?;
            rest = others;
            Some(i64::from_be_bytes(*first))
        };
        let (rowtime, stamp) = (next()?, next()?);
        let both = next()?.to_be_bytes();
        let offset = next()?;
        let (source, partition) = both.split_first_chunk::<4>()?;
        Some(Mark {
            side: *side,
            rowtime,
            position: Position {
                stamp,
                source: u32::from_be_bytes(*source),
                partition: i32::from_be_bytes(partition.try_into().ok()?),
                offset,
                nth: u32::from_be_bytes(rest.try_into().ok()?),
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_read_back() {
        let position = Position { stamp: -3, source: 7, partition: -1, offset: i64::MAX, nth: 9 };
        let mark = Mark { side: 1, rowtime: i64::MIN, position };
        assert_eq!(Mark::of(&mark.bytes()), Some(mark));
        assert_eq!(Mark::of(&mark.bytes()[..36]), None);
        assert_eq!(Mark::of(&[]), None);
    }
}
