//! Accumulators side by side, one a slot, that take a column at a time.

use super::groups::Slots;
use super::state::Writer;
use super::view::View;
use crate::batch::Timestamps;
use arrow_buffer::NullBuffer;

/// What the rows of one batch are for accumulators.
#[derive(Clone, Copy)]
pub struct Rows<'a> {
    pub slots: Slots<'a>,
    pub len: usize,
    /// Slots dealt out so far: every slot is below.
    pub groups: usize,
}

impl Rows<'_> {
    #[inline]
    pub fn slot(&self, row: usize) -> usize {
        match self.slots {
            Slots::One(slot) => slot as usize,
            Slots::Each(slots) => slots[row] as usize,
        }
    }
}

/// One call's accumulators. NULLs are skipped; how many values there were is counted outside.
pub trait Dense {
    /// Makes room for so many slots.
    fn grow(&mut self, groups: usize);
    fn add(&mut self, column: &View, rows: &Rows);
    /// Writes a slot's entry; `present` is the number of its values.
    fn write(&self, slot: usize, present: i64, writer: &mut Writer);
    fn clear(&mut self);
    fn heap_bytes(&self) -> usize;
}

/// A column's values as one loop sees them.
pub enum Values<'a, T> {
    Each(&'a [T]),
    Same(T),
}

/// Runs `op` over each value that is not NULL and the accumulator of its group. The cases are told
/// apart outside the loops: with one group and no NULLs the accumulator stays in a register.
#[inline(always)]
pub fn fold<A, T: Copy>(
    accumulators: &mut [A],
    rows: &Rows,
    nulls: Option<&NullBuffer>,
    values: Values<T>,
    op: impl Fn(&mut A, T),
) {
    match (rows.slots, values) {
        (Slots::One(slot), Values::Each(values)) => {
            let accumulator = &mut accumulators[slot as usize];
            match nulls {
                None => values.iter().for_each(|&v| op(accumulator, v)),
                Some(nulls) => {
                    for (&v, valid) in values.iter().zip(nulls) {
                        if valid {
                            op(accumulator, v);
                        }
                    }
                }
            }
        }
        (Slots::Each(slots), Values::Each(values)) => match nulls {
            None => {
                for (&slot, &v) in slots.iter().zip(values) {
                    op(&mut accumulators[slot as usize], v);
                }
            }
            Some(nulls) => {
                for ((&slot, &v), valid) in slots.iter().zip(values).zip(nulls) {
                    if valid {
                        op(&mut accumulators[slot as usize], v);
                    }
                }
            }
        },
        (Slots::One(slot), Values::Same(v)) => {
            let accumulator = &mut accumulators[slot as usize];
            (0..rows.len).for_each(|_| op(accumulator, v));
        }
        (Slots::Each(slots), Values::Same(v)) => {
            slots.iter().for_each(|&slot| op(&mut accumulators[slot as usize], v));
        }
    }
}

/// A column's slice, or its one value.
#[inline]
pub fn values<'a, T: Copy>(column: &View, all: &'a [T]) -> Values<'a, T> {
    if column.same { Values::Same(all[0]) } else { Values::Each(all) }
}

/// Room that is kept for the next batches, but not that of a batch with very many groups.
const KEPT_SLOTS: usize = 64 << 10;

pub fn clear<T>(accumulators: &mut Vec<T>) {
    if accumulators.capacity() > KEPT_SLOTS {
        *accumulators = Vec::new();
    } else {
        accumulators.clear();
    }
}

/// The rows of each slot, and their greatest ROWTIME.
#[derive(Default)]
pub struct Seen(Vec<(i64, i64)>);

impl Seen {
    pub fn get(&self, slot: usize) -> (i64, i64) {
        self.0[slot]
    }

    pub fn add(&mut self, rows: &Rows, rowtime: &Timestamps) {
        self.0.resize(rows.groups, (0, i64::MIN));
        let times = match rowtime {
            Timestamps::All(time) => Values::Same(*time),
            Timestamps::Each(times) => Values::Each(&times[..]),
        };
        fold(&mut self.0, rows, None, times, |(rows, latest), time| {
            *rows += 1;
            *latest = time.max(*latest);
        });
    }

    pub fn clear(&mut self) {
        clear(&mut self.0);
    }

    pub fn heap_bytes(&self) -> usize {
        16 * self.0.len()
    }
}

/// Rows per slot that have no value.
#[derive(Default)]
pub struct Counts(Vec<i64>);

impl Counts {
    pub fn get(&self, slot: usize) -> i64 {
        self.0.get(slot).copied().unwrap_or(0)
    }

    pub fn add_all(&mut self, rows: &Rows) {
        self.0.resize(rows.groups, 0);
        match rows.slots {
            Slots::One(slot) => self.0[slot as usize] += rows.len as i64,
            Slots::Each(slots) => slots.iter().for_each(|&slot| self.0[slot as usize] += 1),
        }
    }

    /// Counts the rows whose cell is NULL; nothing is held as long as there is none.
    pub fn add_nulls(&mut self, column: &View, rows: &Rows) {
        if column.all_null() {
            self.add_all(rows);
        } else if let Some(nulls) = column.nulls {
            self.0.resize(rows.groups, 0);
            for row in (0..rows.len).filter(|&row| nulls.is_null(row)) {
                self.0[rows.slot(row)] += 1;
            }
        }
    }

    pub fn clear(&mut self) {
        clear(&mut self.0);
    }

    pub fn heap_bytes(&self) -> usize {
        8 * self.0.len()
    }
}
