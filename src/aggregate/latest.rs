//! LATEST_BY_OFFSET, EARLIEST_BY_OFFSET and the rows of source tables over a batch.
//!
//! Which row wins is a question of positions, not of values: it is found once per batch for all calls,
//! and only the winners' values are read. A call goes its own way from the first batch on where it
//! has to skip a NULL in a winning row.

use super::dense::{Rows, clear};
use super::groups::Slots;
use super::packed::{self, Packed};
use super::state::{End, Writer};
use super::view::{Cells, View};
use crate::batch::{Origin, Partitions, Position};
use std::cmp::Ordering;
use std::ops::Range;

/// All calls that want one row a group from the same end.
pub struct Winning {
    end: End,
    /// The winner of each slot when no NULL is skipped.
    shared: Vec<Option<Position>>,
    calls: Vec<Call>,
    scratch: Scratch,
}

struct Call {
    kind: Kind,
    values: Vec<Packed>,
    /// Its own winners, once they are not the shared ones.
    own: Option<Vec<Option<Position>>>,
}

#[derive(Clone, Copy, PartialEq)]
pub enum Kind {
    SkipNulls,
    KeepNulls,
    /// The columns of a row, the last of which says that the row was deleted.
    Row,
}

#[derive(Default)]
struct Scratch {
    /// The best row of each slot within a batch; [`NONE`] between batches.
    best: Vec<u32>,
    winners: Vec<(u32, u32)>,
    better: Vec<Better>,
    bytes: Vec<u8>,
}

/// A row that beats, or ties with, the winner of its slot.
struct Better {
    slot: u32,
    row: u32,
    position: Position,
    tie: bool,
}

const NONE: u32 = u32::MAX;

impl Winning {
    pub fn new(end: End) -> Winning {
        Winning { end, shared: Vec::new(), calls: Vec::new(), scratch: Scratch::default() }
    }

    /// Adds a call and returns its number.
    pub fn call(&mut self, kind: Kind) -> usize {
        self.calls.push(Call { kind, values: Vec::new(), own: None });
        self.calls.len() - 1
    }

    /// `args`: the columns of each call, in the order of the calls.
    pub fn add(&mut self, args: &[&[View]], origin: &Origin, rows: &Rows) {
        if self.calls.is_empty() {
            return;
        }
        self.grow(rows.groups);
        // Within a run the later row has the greater position.
        let mut start = 0;
        for i in 1..=rows.len {
            if i == rows.len || !rises(origin, i) {
                self.add_run(args, origin, rows, start..i);
                start = i;
            }
        }
    }

    fn grow(&mut self, groups: usize) {
        self.shared.resize(groups, None);
        self.scratch.best.resize(groups, NONE);
        for call in &mut self.calls {
            call.values.resize(groups, Packed::EMPTY);
            if let Some(own) = &mut call.own {
                own.resize(groups, None);
            }
        }
    }

    fn add_run(&mut self, args: &[&[View]], origin: &Origin, rows: &Rows, run: Range<usize>) {
        let Winning { end, shared, calls, scratch } = self;
        let run = Run { end: *end, origin, rows, range: run };
        run.pick(None, scratch);
        run.improve(shared, scratch);
        for (call, args) in calls.iter_mut().zip(args) {
            let skips = |row: u32| call.kind == Kind::SkipNulls && args[0].is_null(row as usize);
            if call.own.is_none() {
                if !scratch.better.iter().any(|better| skips(better.row)) {
                    call.store(args, scratch);
                    continue;
                }
                call.own = Some(shared.clone());
            }
        }
        for better in &scratch.better {
            shared[better.slot as usize] = Some(better.position);
        }
        for (call, args) in calls.iter_mut().zip(args).filter(|(call, _)| call.own.is_some()) {
            run.pick(Some(&args[0]), scratch);
            let Some(own) = &mut call.own else { continue };
            run.improve(own, scratch);
            for better in &scratch.better {
                own[better.slot as usize] = Some(better.position);
            }
            call.store(args, scratch);
        }
    }

    pub fn write(&self, call: usize, slot: usize, writer: &mut Writer) {
        let Call { values, own, .. } = &self.calls[call];
        let position = own.as_ref().unwrap_or(&self.shared)[slot].as_ref();
        let out = writer.winner(self.end, position);
        if position.is_some() {
            values[slot].append_to(out);
        }
    }

    pub fn clear(&mut self) {
        clear(&mut self.shared);
        clear(&mut self.scratch.best);
        for call in &mut self.calls {
            clear(&mut call.values);
            call.own = None;
        }
    }

    pub fn heap_bytes(&self) -> usize {
        let one = |call: &Call| {
            let own = call.own.as_ref().map_or(0, Vec::len);
            let heap: usize = call.values.iter().map(Packed::heap_bytes).sum();
            size_of::<Packed>() * call.values.len() + heap + size_of::<Option<Position>>() * own
        };
        let shared = (size_of::<Option<Position>>() + 4) * self.shared.len();
        self.calls.iter().map(one).sum::<usize>() + shared
    }
}

impl Call {
    fn store(&mut self, args: &[View], scratch: &mut Scratch) {
        let Scratch { better, bytes, .. } = scratch;
        for better in better {
            bytes.clear();
            self.kind.pack(args, better.row as usize, bytes);
            let value = &mut self.values[better.slot as usize];
            if !better.tie || value.bytes() < bytes.as_slice() {
                value.set(bytes);
            }
        }
    }
}

impl Kind {
    fn pack(self, args: &[View], row: usize, out: &mut Vec<u8>) {
        match (self, args) {
            (Kind::Row, [columns @ .., deleted]) => {
                if is_true(deleted, row) {
                    return out.push(packed::NULL);
                }
                packed::pack_head(packed::STRUCT, columns.len(), out);
                columns.iter().for_each(|column| column.pack(row, out));
            }
            (_, columns) => columns.iter().for_each(|column| column.pack(row, out)),
        }
    }
}

fn is_true(column: &View, row: usize) -> bool {
    match column.cells {
        Cells::Boolean(values) => !column.is_null(row) && values.value(column.index(row)),
        _ => false,
    }
}

/// Whether a row's position is greater than that of the row before it.
#[inline]
fn rises(origin: &Origin, row: usize) -> bool {
    match &origin.partitions {
        // Stamps do not fall within a partition.
        Partitions::One(_) => {
            let at = |row: usize| (origin.offsets[row], origin.nth(row));
            at(row) > at(row - 1)
        }
        Partitions::Each(_) => origin.position(row) > origin.position(row - 1),
    }
}

/// Rows of a batch whose positions rise.
struct Run<'a> {
    end: End,
    origin: &'a Origin,
    rows: &'a Rows<'a>,
    range: Range<usize>,
}

impl Run<'_> {
    /// Finds the best row of each slot that has one, into `scratch.winners`.
    fn pick(&self, skip_nulls_of: Option<&View>, scratch: &mut Scratch) {
        scratch.winners.clear();
        let nulls = skip_nulls_of.filter(|column| column.has_nulls());
        match (self.end, nulls) {
            (End::Latest, None) => self.pick_first(self.range.clone().rev(), scratch),
            (End::Earliest, None) => self.pick_first(self.range.clone(), scratch),
            (End::Latest, Some(column)) => {
                self.pick_first(self.range.clone().rev().filter(|&row| !column.is_null(row)), scratch)
            }
            (End::Earliest, Some(column)) => {
                self.pick_first(self.range.clone().filter(|&row| !column.is_null(row)), scratch)
            }
        }
        scratch.winners.iter().for_each(|(slot, _)| scratch.best[*slot as usize] = NONE);
    }

    /// The first row of each slot; ends once every slot has one, which with few groups is soon.
    #[inline(always)]
    fn pick_first(&self, mut candidates: impl Iterator<Item = usize>, scratch: &mut Scratch) {
        match self.rows.slots {
            Slots::One(slot) => scratch.winners.extend(candidates.next().map(|row| (slot, row as u32))),
            Slots::Each(slots) => {
                for row in candidates {
                    let slot = slots[row];
                    let best = &mut scratch.best[slot as usize];
                    if *best == NONE {
                        *best = row as u32;
                        scratch.winners.push((slot, row as u32));
                        if scratch.winners.len() == self.rows.groups {
                            return;
                        }
                    }
                }
            }
        }
    }

    /// Keeps the winners that beat what the slots hold, into `scratch.better`.
    fn improve(&self, held: &[Option<Position>], scratch: &mut Scratch) {
        let Scratch { winners, better, .. } = scratch;
        better.clear();
        better.extend(winners.iter().filter_map(|&(slot, row)| {
            let position = self.origin.position(row as usize);
            let order = match &held[slot as usize] {
                Some(held) => self.end.prefer(&position, held),
                None => Ordering::Greater,
            };
            order.is_ge().then_some(Better { slot, row, position, tie: order.is_eq() })
        }));
    }
}

/// The N forms: the preferred row first.
pub struct WinningN {
    pub end: End,
    pub n: u64,
    pub skip_nulls: bool,
    pub rows: Vec<Vec<(Position, Box<[u8]>)>>,
}

impl WinningN {
    pub fn add(&mut self, column: &View, origin: &Origin, rows: &Rows) {
        self.rows.resize_with(rows.groups, Vec::new);
        let mut value = Vec::new();
        for i in 0..rows.len {
            // From the wanted end on, so that most rows lose at the first comparison.
            let row = if self.end == End::Latest { rows.len - 1 - i } else { i };
            if self.skip_nulls && column.is_null(row) {
                continue;
            }
            let position = origin.position(row);
            let held = &mut self.rows[rows.slot(row)];
            let full = held.len() as u64 >= self.n;
            if full && held.last().is_some_and(|last| self.end.prefer(&last.0, &position).is_gt()) {
                continue;
            }
            value.clear();
            column.pack(row, &mut value);
            let new = (position, value.as_slice());
            let at = held.partition_point(|(p, v)| self.end.prefer_row(&(*p, &**v), &new).is_ge());
            held.insert(at, (position, value.as_slice().into()));
            held.truncate(self.n as usize);
        }
    }

    pub fn write(&self, slot: usize, writer: &mut Writer) {
        writer.winners(self.end, self.n, self.rows[slot].iter().map(|(p, v)| (*p, &**v)));
    }

    pub fn clear(&mut self) {
        clear(&mut self.rows);
    }

    pub fn heap_bytes(&self) -> usize {
        let one = |rows: &Vec<(Position, Box<[u8]>)>| 24 + rows.iter().map(|r| 40 + r.1.len()).sum::<usize>();
        self.rows.iter().map(one).sum()
    }
}
