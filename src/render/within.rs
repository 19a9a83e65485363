//! Rows of two streams that have equal keys and lie no further apart than so much time.
//!
//! Fed by lanes with the rows of both streams in one order. What is kept: each row for as long as a row
//! that is not late may be its partner.

use super::keeping::{Entries, Mark, marked};
use super::lanes::{LeftRight, Out, Pairing};
use super::pairs::RowRef;
use crate::aggregate::Key;
use crate::batch::Position;
use crate::plan::Within;
use crate::sql::ast::JoinKind;
use std::collections::{BTreeMap, HashMap};

pub struct WithinJoin {
    kind: JoinKind,
    within: Within,
    sides: [Buffer; 2],
    entries: [Entries; 2],
}

/// A time and the position of a row.
type At = (i64, Position);

/// The rows of one side that may still find partners.
#[derive(Default)]
struct Buffer {
    /// By key, then by time and position.
    rows: HashMap<Key, BTreeMap<At, Kept>>,
    /// By the last time at which a partner may come.
    by_end: BTreeMap<At, (Key, i64)>,
}

struct Kept {
    row: RowRef,
    matched: bool,
}

impl WithinJoin {
    /// `entries`: how rows of the two sides are kept.
    pub fn new(kind: JoinKind, within: Within, entries: [Entries; 2]) -> WithinJoin {
        WithinJoin { kind, within, sides: Default::default(), entries }
    }

    fn keeps(&self, side: LeftRight) -> bool {
        match side {
            LeftRight::Left => self.kind.keeps_left(),
            LeftRight::Right => self.kind.keeps_right(),
        }
    }

    /// Rows without a partner are told of at once, and matched later all the same.
    fn is_eager(&self) -> bool {
        self.within.grace_ms.is_none()
    }

    /// Rows whose partners would have come by `last` go, and are told of where they have had none. `time`: the
    /// greatest stamp so far.
    fn leave(&mut self, last: i64, time: i64, out: &mut Out) {
        for side in [LeftRight::Left, LeftRight::Right] {
            let keeps = self.keeps(side) && !self.is_eager();
            let buffer = &mut self.sides[side as usize];
            while let Some(entry) = buffer.by_end.first_entry().filter(|entry| entry.key().0 <= last) {
                let ((_, position), (key, rowtime)) = entry.remove_entry();
                let Some(rows) = buffer.rows.get_mut(&key) else { continue };
                let Some(kept) = rows.remove(&(rowtime, position)) else { continue };
                if rows.is_empty() {
                    buffer.rows.remove(&key);
                }
                let mark = Mark { side: side as u8, rowtime, position };
                out.keeping.remove(|| self.entries[side as usize].of(&key, &mark.bytes(), &kept.row));
                if kept.matched {
                    let mark = Mark { side: MATCHED + side as u8, ..mark };
                    out.keeping.remove(|| marked(&key, &mark.bytes()).into());
                }
                if keeps && !kept.matched {
                    let (left, right) = pair(side, kept.row, None);
                    // It comes out now: what comes out later has a greater position.
                    out.pairs.push(
                        left,
                        right,
                        rowtime,
                        Position { stamp: time.max(position.stamp), ..position },
                    );
                }
            }
        }
    }

    /// The time range of partners of a row, in the other stream.
    fn range(&self, side: LeftRight, time: i64) -> (i64, i64) {
        let Within { before_ms, after_ms, .. } = self.within;
        match side {
            LeftRight::Left => (time.saturating_sub(before_ms), time.saturating_add(after_ms)),
            LeftRight::Right => (time.saturating_sub(after_ms), time.saturating_add(before_ms)),
        }
    }
}

fn other(side: LeftRight) -> LeftRight {
    match side {
        LeftRight::Left => LeftRight::Right,
        LeftRight::Right => LeftRight::Left,
    }
}

fn pair(side: LeftRight, row: RowRef, partner: Option<RowRef>) -> (Option<RowRef>, Option<RowRef>) {
    match side {
        LeftRight::Left => (Some(row), partner),
        LeftRight::Right => (partner, Some(row)),
    }
}

impl Pairing for WithinJoin {
    fn row(&mut self, side: LeftRight, row: &RowRef, time: i64, out: &mut Out) -> Option<(String, i64)> {
        // A record without a value is dropped.
        if row.is_deletion() {
            return None;
        }
        let (rowtime, position) = (row.rowtime(), row.position());
        let Some(key) = row.key().map(Key::from) else {
            if self.keeps(side) {
                let (left, right) = pair(side, row.clone(), None);
                out.pairs.push(left, right, rowtime, position);
            }
            return None;
        };
        let (from, to) = self.range(side, rowtime);
        let end = to.saturating_add(self.within.grace());
        if end < time {
            let (by, grace) = (time - end, self.within.grace());
            let reason = format!(
                "late by {by} ms for rows of the other stream from {from} to {to}: the join has come to {time}, \
                 and the grace is {grace} ms"
            );
            return Some((reason, by));
        }
        let mut matched = false;
        let least = Position { stamp: i64::MIN, source: 0, partition: i32::MIN, offset: i64::MIN, nth: 0 };
        let greatest = Position {
            stamp: i64::MAX,
            source: u32::MAX,
            partition: i32::MAX,
            offset: i64::MAX,
            nth: u32::MAX,
        };
        if let Some(partners) = self.sides[other(side) as usize].rows.get_mut(&key) {
            let partners = partners.range_mut((from, least)..=(to, greatest));
            for (n, ((at, position_of), partner)) in (0..).zip(partners) {
                matched = true;
                if !std::mem::replace(&mut partner.matched, true) {
                    let mark =
                        Mark { side: MATCHED + other(side) as u8, rowtime: *at, position: *position_of };
                    out.keeping.add(*at, || marked(&key, &mark.bytes()).into());
                }
                let (left, right) = pair(side, row.clone(), Some(partner.row.clone()));
                out.pairs.push(left, right, rowtime.max(*at), Position { nth: n, ..position });
            }
        }
        if !matched && self.keeps(side) && self.is_eager() {
            let (left, right) = pair(side, row.clone(), None);
            out.pairs.push(left, right, rowtime, position);
        }
        let mark = Mark { side: side as u8, rowtime, position };
        out.keeping.add(rowtime, || self.entries[side as usize].of(&key, &mark.bytes(), row));
        if matched {
            let mark = Mark { side: MATCHED + side as u8, ..mark };
            out.keeping.add(rowtime, || marked(&key, &mark.bytes()).into());
        }
        self.sides[side as usize].keep(end, key, (rowtime, position), Kept { row: row.clone(), matched });
        None
    }

    fn advance(&mut self, time: i64, out: &mut Out) {
        self.leave(time, time, out);
    }

    fn end(&mut self, time: i64, out: &mut Out) {
        self.leave(i64::MAX, time, out);
    }

    fn restore(&mut self, entries: &[&[u8]]) {
        let known = |entry: &&'_ [u8]| -> Option<(Key, Mark)> {
            let (key, mark) = self.entries[0].key_and_mark(entry)?;
            Some((key.into(), Mark::of(&mark)?))
        };
        let marks: Vec<Option<(Key, Mark)>> = entries.iter().map(known).collect();
        for side in [LeftRight::Left, LeftRight::Right] {
            let (mut rows, mut of_side, mut marks_of_side) = (Vec::new(), Vec::new(), Vec::new());
            for (entry, (key, mark)) in
                entries.iter().zip(&marks).filter_map(|(entry, known)| Some((*entry, known.as_ref()?)))
            {
                if mark.side == side as u8 {
                    rows.push(entry);
                    of_side.push(key);
                    marks_of_side.push(*mark);
                }
            }
            let rows = self.entries[side as usize].rows(&rows, &marks_of_side);
            for ((key, Mark { rowtime, position, .. }), row) in
                of_side.into_iter().zip(marks_of_side).zip(rows)
            {
                let end = self.range(side, rowtime).1.saturating_add(self.within.grace());
                let kept = Kept { row, matched: false };
                self.sides[side as usize].keep(end, key.clone(), (rowtime, position), kept);
            }
        }
        // An entry that says so comes behind the row's.
        for (key, Mark { side, rowtime, position }) in
            marks.iter().flatten().filter(|(_, of)| of.side >= MATCHED)
        {
            let rows = self.sides[(side - MATCHED) as usize % 2].rows.get_mut(key);
            if let Some(kept) = rows.and_then(|rows| rows.get_mut(&(*rowtime, *position))) {
                kept.matched = true;
            }
        }
    }
}

/// Behind the number of a row's side: the entry says that the row has had a partner.
const MATCHED: u8 = 2;

impl Buffer {
    fn keep(&mut self, end: i64, key: Key, at: At, kept: Kept) {
        self.by_end.insert((end, at.1), (key.clone(), at.0));
        self.rows.entry(key).or_default().insert(at, kept);
    }
}
