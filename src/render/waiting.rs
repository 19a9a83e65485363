//! Rows that have come and wait for their turn in the order of a join.
//!
//! A row is *held* first: its tick stays open, so that what comes of it belongs to that tick and nothing need be
//! written down. Where that lasts, it is *kept*: an entry of a kept state like any other, which checkpoints have
//! and a start goes on from. Its tick closes without it.

use super::keeping::{Entries, Keeping, Mark};
use super::lanes::LeftRight;
use super::pairs::RowRef;
use super::{RESTORED, Tick};
use crate::aggregate::Key;
use crate::batch::Position;
use std::collections::VecDeque;

/// A place in the order: stamp, rank of the side, position.
pub type Place = (i64, u8, Position);

/// Where the next row may come: stamp, rank of the side, source and partition. What that partition has brought is
/// before it.
pub type Next = (i64, u8, u32, i32);

pub struct Waiter {
    pub place: Place,
    pub side: LeftRight,
    pub row: RowRef,
    /// The tick that it has come at.
    tick: Tick,
}

pub struct Waiting {
    /// Both ascending by place, but for what has come since they were looked at.
    held: Vec<Waiter>,
    kept: VecDeque<Waiter>,
    /// What the rows take that are kept, about.
    kept_bytes: usize,
    ranks: [u8; 2],
    entries: [Entries; 2],
    keeping: Keeping,
}

impl Waiting {
    /// `ranks`: of rows with one stamp those of the side with the lower one come first. `entries`: how rows of the
    /// two sides are kept.
    pub fn new(ranks: [u8; 2], entries: [Entries; 2], keeping: Keeping) -> Waiting {
        Waiting { held: Vec::new(), kept: VecDeque::new(), kept_bytes: 0, ranks, entries, keeping }
    }

    /// What an earlier start has kept.
    pub fn restore(&mut self, entries: &[&[u8]]) {
        let mark = |entry: &&[u8]| {
            let (_, mark) = self.entries[0].key_and_mark(entry)?;
            Mark::of(&mark)
        };
        let marks: Vec<Option<Mark>> = entries.iter().map(mark).collect();
        for side in [LeftRight::Left, LeftRight::Right] {
            let of_side = entries.iter().zip(&marks).filter_map(|(entry, mark)| Some((*entry, (*mark)?)));
            let (entries, marks): (Vec<&[u8]>, Vec<Mark>) =
                of_side.filter(|(_, mark)| mark.side_of_row() == side as u8).unzip();
            for row in self.entries[side as usize].rows(&entries, &marks) {
                self.receive(side, RESTORED, row);
            }
        }
        self.keep_held(false);
    }

    pub fn receive(&mut self, side: LeftRight, tick: Tick, row: RowRef) {
        let position = row.position();
        self.held.push(Waiter {
            place: (position.stamp, self.ranks[side as usize], position),
            side,
            row,
            tick,
        });
    }

    /// Puts what has come in its place.
    pub fn sort(&mut self) {
        self.held.sort_by_key(|waiter| waiter.place);
    }

    /// The rows whose turn it is, ascending: those before the next row that may come; `None`: all.
    pub fn take(&mut self, next: Option<Next>) -> Vec<Waiter> {
        let is_free = |waiter: &Waiter| {
            let (stamp, rank, position) = waiter.place;
            next.is_none_or(|next| (stamp, rank, position.source, position.partition) <= next)
        };
        let rest = self.held.split_off(self.held.partition_point(is_free));
        let mut free = std::mem::replace(&mut self.held, rest);
        let kept = self.kept.partition_point(is_free);
        if kept > 0 {
            for waiter in self.kept.drain(..kept) {
                self.kept_bytes -= waiter.row.batch.row_bytes();
                self.keeping.remove(|| entry(&self.entries, &waiter));
                free.push(waiter);
            }
            free.sort_by_key(|waiter| waiter.place);
        }
        free
    }

    /// Keeps all that is held.
    pub fn keep(&mut self) {
        self.keep_held(true);
    }

    fn keep_held(&mut self, is_new: bool) {
        for waiter in &self.held {
            self.kept_bytes += waiter.row.batch.row_bytes();
            if is_new {
                self.keeping.add(waiter.row.rowtime(), || entry(&self.entries, waiter));
            }
        }
        self.kept.extend(self.held.drain(..));
        self.kept.make_contiguous().sort_by_key(|waiter| waiter.place);
    }

    pub fn is_empty(&self) -> bool {
        self.held.is_empty() && self.kept.is_empty()
    }

    pub fn kept_bytes(&self) -> usize {
        self.kept_bytes
    }

    /// The tick of what is held longest.
    pub fn oldest(&self) -> Option<Tick> {
        self.held.iter().map(|waiter| waiter.tick).min()
    }

    /// What has changed in what is kept.
    pub fn keeping(&mut self) -> &mut Keeping {
        &mut self.keeping
    }
}

fn entry(entries: &[Entries; 2], Waiter { side, row, .. }: &Waiter) -> Key {
    let mark = Mark::of_row(*side as u8, row);
    entries[*side as usize].of(row.batch.keys.bytes(row.row as usize), &mark.bytes(), row)
}
