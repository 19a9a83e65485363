//! The bytes of a group's accumulators: writing and reading.
//!
//! A state begins with the number of rows in it and the greatest ROWTIME among them; one of 0 rows is
//! nothing. Then one entry a call: a byte of kind and detail (kind · 8 + detail), then the payload. What
//! takes rows away as they were counted has no entries, only a negative number of rows. A position is
//! written where it is first the winner's; later calls that chose the same row refer back to it, since
//! in most groups all LATEST_BY_OFFSET calls chose one row. The form is canonical (equal contents,
//! equal bytes) and kept on disk, so it must never change.

use super::State;
use super::exact::ExactSum;
use super::moments::ProductSum;
use super::packed;
use super::varint::{byte, get, get_signed, put, put_signed};
use super::wide::Wide;
use crate::batch::Position;
use std::cmp::Ordering;

const COUNT: u8 = 0;
const SUM_WRAPPING: u8 = 1;
const SUM_WIDE: u8 = 2;
const SUM_EXACT: u8 = 3;
const AVG_WIDE: u8 = 4;
pub const AVG_EXACT: u8 = 5;
pub const MIN: u8 = 6;
pub const MAX: u8 = 7;
pub const LATEST: u8 = 8;
pub const EARLIEST: u8 = 9;
const LATEST_N: u8 = 10;
const EARLIEST_N: u8 = 11;
const TOP: u8 = 12;
const TOP_DISTINCT: u8 = 13;
const MOMENTS: u8 = 14;
const ELEMENTS: u8 = 15;

/// Details of LATEST and EARLIEST: no row yet; a position that was not written before follows; a
/// reference to position 0, 1, …; a reference as a number that follows.
const NOTHING: u8 = 0;
const NEW: u8 = 1;
const REFER: u8 = 2;
const REFER_FAR: u8 = 7;

/// Which end of the order of positions a call wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Latest,
    Earliest,
}

impl End {
    /// `Greater` where `a` is to be kept.
    #[inline]
    pub fn prefer(self, a: &Position, b: &Position) -> Ordering {
        match self {
            End::Latest => a.cmp(b),
            End::Earliest => b.cmp(a),
        }
    }

    /// Several rows may have one position (a row that was made into many): then the greater bytes.
    #[inline]
    pub fn prefer_row(self, a: &(Position, &[u8]), b: &(Position, &[u8])) -> Ordering {
        self.prefer(&a.0, &b.0).then_with(|| a.1.cmp(b.1))
    }
}

/// A row's position and packed value.
pub type Winner<'a> = (Position, &'a [u8]);

/// What one call keeps, as read from a state.
pub enum Entry<'a> {
    Count(i64),
    SumWrapping(i64),
    SumWide(Wide),
    SumExact(ExactSum),
    AvgWide(i64, Wide),
    AvgExact(i64, ExactSum),
    Min(Option<&'a [u8]>),
    Max(Option<&'a [u8]>),
    Winner(End, Option<Winner<'a>>),
    Winners(End, u64, Winners<'a>),
    Top {
        distinct: bool,
        k: u64,
        values: Values<'a>,
    },
    /// How many values, and sums of them and of their products.
    Moments(i64, Vec<ProductSum>),
    /// The call keeps elements beside the state.
    Elements,
}

/// Rows, the preferred first.
#[derive(Clone)]
pub struct Winners<'a> {
    left: u64,
    bytes: &'a [u8],
}

/// Packed values, the greatest first.
#[derive(Clone)]
pub struct Values<'a> {
    left: u64,
    bytes: &'a [u8],
}

impl<'a> Iterator for Winners<'a> {
    type Item = (Position, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        Some((read_position(&mut self.bytes)?, packed::take_packed(&mut self.bytes)?))
    }
}

impl<'a> Iterator for Values<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        self.left = self.left.checked_sub(1)?;
        packed::take_packed(&mut self.bytes)
    }
}

fn read_position(bytes: &mut &[u8]) -> Option<Position> {
    Some(Position {
        stamp: get_signed(bytes)?,
        source: get(bytes)?.try_into().ok()?,
        partition: get_signed(bytes)?.try_into().ok()?,
        offset: get_signed(bytes)?,
        nth: get(bytes)?.try_into().ok()?,
    })
}

fn write_position(out: &mut Vec<u8>, position: &Position) {
    put_signed(out, position.stamp);
    put(out, position.source as u64);
    put_signed(out, position.partition as i64);
    put_signed(out, position.offset);
    put(out, position.nth as u64);
}

/// Writes the entries of one state, one behind the other.
#[derive(Default)]
pub struct Writer {
    pub out: Vec<u8>,
    positions: Vec<Position>,
}

impl Writer {
    /// Begins a state of so many rows.
    #[inline]
    pub fn begin(&mut self, rows: i64, rowtime: i64) {
        self.out.clear();
        self.positions.clear();
        put_signed(&mut self.out, rows);
        put_signed(&mut self.out, rowtime);
    }

    pub fn state(&self) -> State {
        State(self.out.as_slice().into())
    }

    fn kind(&mut self, kind: u8, detail: u8) {
        self.out.push(kind << 3 | detail);
    }

    pub fn count(&mut self, count: i64) {
        self.kind(COUNT, 0);
        put_signed(&mut self.out, count);
    }

    pub fn sum_wrapping(&mut self, sum: i64) {
        self.kind(SUM_WRAPPING, 0);
        put_signed(&mut self.out, sum);
    }

    pub fn sum_wide(&mut self, sum: Wide) {
        self.kind(SUM_WIDE, 0);
        sum.encode(&mut self.out);
    }

    pub fn sum_exact(&mut self, sum: &ExactSum) {
        self.kind(SUM_EXACT, 0);
        sum.encode(&mut self.out);
    }

    pub fn avg_wide(&mut self, count: i64, sum: Wide) {
        self.kind(AVG_WIDE, 0);
        put_signed(&mut self.out, count);
        sum.encode(&mut self.out);
    }

    pub fn avg_exact(&mut self, count: i64, sum: &ExactSum) {
        self.kind(AVG_EXACT, 0);
        put_signed(&mut self.out, count);
        sum.encode(&mut self.out);
    }

    /// At most seven sums.
    pub fn moments(&mut self, count: i64, sums: &[ProductSum]) {
        self.kind(MOMENTS, sums.len() as u8);
        put_signed(&mut self.out, count);
        sums.iter().for_each(|sum| sum.encode(&mut self.out));
    }

    /// The head of a MIN or MAX; the packed value goes behind it.
    pub fn extreme(&mut self, max: bool, some: bool) -> &mut Vec<u8> {
        self.kind(if max { MAX } else { MIN }, some as u8);
        &mut self.out
    }

    /// The head of a LATEST or EARLIEST; the packed value, if there is a winner, goes behind it.
    #[inline]
    pub fn winner(&mut self, end: End, position: Option<&Position>) -> &mut Vec<u8> {
        let kind = if end == End::Latest { LATEST } else { EARLIEST };
        let Some(position) = position else {
            self.kind(kind, NOTHING);
            return &mut self.out;
        };
        match self.positions.iter().position(|known| known == position) {
            None => {
                self.kind(kind, NEW);
                write_position(&mut self.out, position);
                self.positions.push(*position);
            }
            Some(near) if near < (REFER_FAR - REFER) as usize => self.kind(kind, REFER + near as u8),
            Some(far) => {
                self.kind(kind, REFER_FAR);
                put(&mut self.out, far as u64);
            }
        }
        &mut self.out
    }

    /// `rows`: the preferred first, at most `n`.
    pub fn winners<'v>(
        &mut self,
        end: End,
        n: u64,
        rows: impl ExactSizeIterator<Item = (Position, &'v [u8])>,
    ) {
        self.kind(if end == End::Latest { LATEST_N } else { EARLIEST_N }, 0);
        put(&mut self.out, n);
        put(&mut self.out, rows.len() as u64);
        for (position, value) in rows {
            write_position(&mut self.out, &position);
            self.out.extend_from_slice(value);
        }
    }

    /// `values`: packed, the greatest first, at most `k`.
    pub fn top<'v>(&mut self, distinct: bool, k: u64, values: impl ExactSizeIterator<Item = &'v [u8]>) {
        self.kind(if distinct { TOP_DISTINCT } else { TOP }, 0);
        put(&mut self.out, k);
        put(&mut self.out, values.len() as u64);
        values.for_each(|value| self.out.extend_from_slice(value));
    }

    pub fn elements(&mut self) {
        self.kind(ELEMENTS, 0);
    }
}

/// Reads the entries of one state.
#[derive(Default)]
pub struct Reader {
    positions: Vec<Position>,
}

impl Reader {
    /// Begins to read a state: its number of rows and their greatest ROWTIME. `None` where the bytes are
    /// corrupt, or there are none.
    #[inline]
    pub fn begin(&mut self, bytes: &mut &[u8]) -> Option<(i64, i64)> {
        self.positions.clear();
        Some((get_signed(bytes)?, get_signed(bytes)?))
    }

    /// The next entry; `None` at the end and where the bytes are corrupt.
    #[inline]
    pub fn next<'a>(&mut self, bytes: &mut &'a [u8]) -> Option<Entry<'a>> {
        let head = byte(bytes)?;
        Some(match head >> 3 {
            COUNT => Entry::Count(get_signed(bytes)?),
            SUM_WRAPPING => Entry::SumWrapping(get_signed(bytes)?),
            SUM_WIDE => Entry::SumWide(Wide::decode(bytes)?),
            SUM_EXACT => Entry::SumExact(ExactSum::decode(bytes)?),
            AVG_WIDE => Entry::AvgWide(get_signed(bytes)?, Wide::decode(bytes)?),
            AVG_EXACT => Entry::AvgExact(get_signed(bytes)?, ExactSum::decode(bytes)?),
            MOMENTS => {
                let count = get_signed(bytes)?;
                let sums = (0..head & 7).map(|_| ProductSum::decode(bytes)).collect::<Option<_>>()?;
                Entry::Moments(count, sums)
            }
            MIN => Entry::Min(read_extreme(head & 7, bytes)?),
            MAX => Entry::Max(read_extreme(head & 7, bytes)?),
            kind @ (LATEST | EARLIEST) => Entry::Winner(end(kind == LATEST), self.winner(head & 7, bytes)?),
            kind @ (LATEST_N | EARLIEST_N) => {
                let (n, left) = (get(bytes)?, get(bytes)?);
                let mut rows = Winners { left, bytes };
                for _ in 0..left {
                    rows.next()?;
                }
                Entry::Winners(end(kind == LATEST_N), n, Winners { left, bytes: replace(bytes, rows.bytes) })
            }
            kind @ (TOP | TOP_DISTINCT) => {
                let (k, left) = (get(bytes)?, get(bytes)?);
                let mut values = Values { left, bytes };
                for _ in 0..left {
                    values.next()?;
                }
                let values = Values { left, bytes: replace(bytes, values.bytes) };
                Entry::Top { distinct: kind == TOP_DISTINCT, k, values }
            }
            ELEMENTS => Entry::Elements,
            _ => return None,
        })
    }

    #[inline]
    pub fn winner<'a>(&mut self, detail: u8, bytes: &mut &'a [u8]) -> Option<Option<Winner<'a>>> {
        let position = match detail {
            NOTHING => return Some(None),
            NEW => {
                let position = read_position(bytes)?;
                self.positions.push(position);
                position
            }
            REFER_FAR => *self.positions.get(usize::try_from(get(bytes)?).ok()?)?,
            near => *self.positions.get((near - REFER) as usize)?,
        };
        Some(Some((position, packed::take_packed(bytes)?)))
    }
}

#[inline]
pub fn read_extreme<'a>(detail: u8, bytes: &mut &'a [u8]) -> Option<Option<&'a [u8]>> {
    Some(if detail == 0 { None } else { Some(packed::take_packed(bytes)?) })
}

pub fn end(latest: bool) -> End {
    if latest { End::Latest } else { End::Earliest }
}

fn replace<'a>(bytes: &mut &'a [u8], rest: &'a [u8]) -> &'a [u8] {
    std::mem::replace(bytes, rest)
}
