//! Adding up two states, byte by byte: what differential does with its differences.

use super::State;
use super::exact::ExactSum;
use super::packed;
use super::state::{
    AVG_EXACT, EARLIEST, End, Entry, LATEST, MAX, MIN, Reader, Winner, Writer, end, read_extreme,
};
use super::varint::{append, get_signed};
use std::cell::RefCell;
use std::cmp::Ordering;

#[derive(Default)]
struct Scratch {
    left: Reader,
    right: Reader,
    writer: Writer,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

impl State {
    /// Adds the other's rows to this one's. A state without bytes is neutral. Where the bytes are not
    /// those of two states of the same calls, this one stays as it is.
    pub fn merge(&mut self, other: &State) {
        if self.0.is_empty() {
            *self = other.clone();
            return;
        }
        SCRATCH.with_borrow_mut(|scratch| {
            if merge(&self.0, &other.0, scratch).is_some() {
                let merged = &scratch.writer.out;
                if merged.len() == self.0.len() {
                    self.0.copy_from_slice(merged);
                } else {
                    self.0 = merged.as_slice().into();
                }
            }
        });
    }
}

fn merge(mut a: &[u8], mut b: &[u8], scratch: &mut Scratch) -> Option<()> {
    let Scratch { left, right, writer } = scratch;
    let (rows, rowtime) = left.begin(&mut a)?;
    let (other_rows, other_rowtime) = right.begin(&mut b)?;
    writer.begin(rows.wrapping_add(other_rows), rowtime.max(other_rowtime));
    if a.is_empty() || b.is_empty() {
        // One of them only counts.
        writer.out.extend_from_slice(if a.is_empty() { b } else { a });
        return Some(());
    }
    while let (Some(head), Some(other)) = (a.first(), b.first()) {
        // The common kinds are read in place: an `Entry` is big to hand around.
        let (detail, other_detail) = (head & 7, other & 7);
        match (head >> 3, other >> 3) {
            (kind, other) if kind != other => return None,
            (kind @ (LATEST | EARLIEST), _) => {
                a = &a[1..];
                b = &b[1..];
                let (a, b) = (left.winner(detail, &mut a)?, right.winner(other_detail, &mut b)?);
                write_winner(writer, end(kind == LATEST), a, b);
            }
            (kind @ (MIN | MAX), _) => {
                a = &a[1..];
                b = &b[1..];
                let (a, b) = (read_extreme(detail, &mut a)?, read_extreme(other_detail, &mut b)?);
                write_extreme(writer, kind == MAX, a, b);
            }
            (AVG_EXACT, _) => {
                a = &a[1..];
                b = &b[1..];
                let count = get_signed(&mut a)?.wrapping_add(get_signed(&mut b)?);
                let mut sum = ExactSum::decode(&mut a)?;
                sum.merge(&ExactSum::decode(&mut b)?);
                writer.avg_exact(count, &sum);
            }
            _ => merge_entries(left.next(&mut a)?, right.next(&mut b)?, writer)?,
        }
    }
    (a.is_empty() && b.is_empty()).then_some(())
}

fn merge_entries(a: Entry, b: Entry, writer: &mut Writer) -> Option<()> {
    match (a, b) {
        (Entry::Count(a), Entry::Count(b)) => writer.count(a.wrapping_add(b)),
        (Entry::SumWrapping(a), Entry::SumWrapping(b)) => writer.sum_wrapping(a.wrapping_add(b)),
        (Entry::SumWide(mut a), Entry::SumWide(b)) => {
            a.merge(b);
            writer.sum_wide(a);
        }
        (Entry::SumExact(mut a), Entry::SumExact(b)) => {
            a.merge(&b);
            writer.sum_exact(&a);
        }
        (Entry::AvgWide(n, mut a), Entry::AvgWide(m, b)) => {
            a.merge(b);
            writer.avg_wide(n.wrapping_add(m), a);
        }
        (Entry::AvgExact(n, mut a), Entry::AvgExact(m, b)) => {
            a.merge(&b);
            writer.avg_exact(n.wrapping_add(m), &a);
        }
        (Entry::Moments(n, mut a), Entry::Moments(m, b)) if a.len() == b.len() => {
            a.iter_mut().zip(&b).for_each(|(a, b)| a.merge(b));
            writer.moments(n.wrapping_add(m), &a);
        }
        (Entry::Min(a), Entry::Min(b)) => write_extreme(writer, false, a, b),
        (Entry::Max(a), Entry::Max(b)) => write_extreme(writer, true, a, b),
        (Entry::Winner(end, a), Entry::Winner(other, b)) if end == other => write_winner(writer, end, a, b),
        (Entry::Winners(end, n, a), Entry::Winners(other, m, b)) if (end, n) == (other, m) => {
            let rows = merge_sorted(n, false, a, b, |a, b| end.prefer_row(a, b));
            writer.winners(end, n, rows.into_iter());
        }
        (
            Entry::Top { distinct, k, values: a },
            Entry::Top { distinct: other_distinct, k: other, values: b },
        ) if (distinct, k) == (other_distinct, other) => {
            let values = merge_sorted(k, distinct, a, b, |a, b| packed::compare(a, b));
            writer.top(distinct, k, values.into_iter());
        }
        (Entry::Elements, Entry::Elements) => writer.elements(),
        _ => return None,
    }
    Some(())
}

#[inline]
fn write_winner(writer: &mut Writer, end: End, a: Option<Winner>, b: Option<Winner>) {
    let winner = match (&a, &b) {
        (Some(a), Some(b)) => Some(if end.prefer_row(a, b).is_ge() { a } else { b }),
        (a, b) => a.as_ref().or(b.as_ref()),
    };
    let out = writer.winner(end, winner.map(|(position, _)| position));
    append(out, winner.map_or(&[], |(_, value)| value));
}

#[inline]
fn write_extreme(writer: &mut Writer, max: bool, a: Option<&[u8]>, b: Option<&[u8]>) {
    let wanted = if max { Ordering::Greater } else { Ordering::Less };
    let value = match (a, b) {
        (Some(a), Some(b)) => Some(if packed::compare(b, a) == wanted { b } else { a }),
        (a, b) => a.or(b),
    };
    append(writer.extreme(max, value.is_some()), value.unwrap_or_default());
}

/// The first `n` of two descending sequences.
fn merge_sorted<T>(
    n: u64,
    distinct: bool,
    a: impl Iterator<Item = T>,
    b: impl Iterator<Item = T>,
    compare: impl Fn(&T, &T) -> Ordering,
) -> Vec<T> {
    let (mut a, mut b) = (a.peekable(), b.peekable());
    let mut merged = Vec::new();
    while (merged.len() as u64) < n {
        let order = match (a.peek(), b.peek()) {
            (Some(a), Some(b)) => compare(a, b),
            (Some(_), None) => Ordering::Greater,
            (None, Some(_)) => Ordering::Less,
            (None, None) => break,
        };
        if distinct && order == Ordering::Equal {
            b.next();
        }
        merged.extend(if order.is_ge() { a.next() } else { b.next() });
    }
    merged
}
