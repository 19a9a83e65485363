//! Synthetic events of the three car-park feeds, the same for the same seed.
//!
//! Made up from nothing but the names, capacities and sample rows that the article on car parks in
//! Leeds and Bradford prints. A row depends on the seed and its number alone, never on how rows are
//! batched or split: [`write`] and the source make the same bytes.

mod clock;
mod feed;
mod row;

use super::{GeneratorSpec, Lag, Opening, Poll, Position, Source, Split, Survey};
use crate::batch::{MessageBatch, Range32, Timestamps};
use crate::error::{Error, Result};
use crate::headers::Headers;
use arrow_buffer::Buffer;
pub use feed::FEEDS;
pub use row::Rows;
use std::collections::VecDeque;
use std::io::{self, Write};

const WRITE_BYTES: usize = 256 << 10;
/// No event is longer.
const ROW_BYTES_MAX: usize = 1024;

/// Writes the rows of the spec, each with its end of line, and returns the bytes written.
pub fn write(spec: &GeneratorSpec, out: &mut impl Write) -> io::Result<u64> {
    let invalid = |e: Error| io::Error::new(io::ErrorKind::InvalidInput, e.to_string());
    let mut rows = Rows::new(spec).map_err(invalid)?;
    let count = spec.rows.ok_or_else(|| invalid(endless()))?;
    let mut block = Vec::with_capacity(WRITE_BYTES + ROW_BYTES_MAX);
    let mut written = 0;
    for row in 0..count {
        rows.append(row, &mut block);
        block.push(b'\n');
        if block.len() >= WRITE_BYTES || row + 1 == count {
            out.write_all(&block)?;
            written += block.len() as u64;
            block.clear();
        }
    }
    out.flush()?;
    Ok(written)
}

pub fn endless() -> Error {
    Error::topology("generator without rows is endless").hint("give it rows, such as rows = 1_000_000")
}

pub struct GeneratorSource {
    rows: Rows,
    /// Still to be made; the first is at hand.
    splits: VecDeque<Split>,
    /// The first row at opening, from which the pace counts.
    first: u64,
    rate: Option<f64>,
    opened_ms: i64,
    bytes: Option<u64>,
}

/// All rows are of partition 0, and a row's offset is its number. Rows that have neither pace nor
/// end can be split over the workers; others are made by worker 0.
pub fn open(spec: &GeneratorSpec, opening: Opening, survey: &Survey) -> Result<GeneratorSource> {
    if opening.bounded && spec.rows.is_none() {
        return Err(endless());
    }
    let (index, of) = opening.share.of();
    let split = |next, end| Split { partition: 0, next, end, begun: true };
    let splits: VecDeque<Split> = match (&survey.resumed, spec.rows, spec.rate) {
        (Some(resumed), ..) => resumed.share(index, of).cloned().collect(),
        (None, Some(rows), None) => {
            let start = |index: usize| block_start(rows, index as u64, of as u64);
            [split(start(index), start(index + 1))].into()
        }
        (None, rows, _) if index == 0 => [split(0, rows.unwrap_or(Split::OPEN))].into(),
        _ => VecDeque::new(),
    };
    let mut rows = Rows::new(spec)?;
    let ends = splits.iter().all(|split| split.end != Split::OPEN);
    let bytes = ends.then(|| splits.iter().map(|s| s.end - s.next).sum::<u64>() * rows.mean_bytes());
    let first = splits.front().map_or(0, |split| split.next);
    Ok(GeneratorSource { rows, splits, first, rate: spec.rate, opened_ms: opening.opened_ms, bytes })
}

fn block_start(rows: u64, index: u64, of: u64) -> u64 {
    (rows as u128 * index as u128 / of as u128) as u64
}

impl Source for GeneratorSource {
    fn poll(&mut self, max_bytes: usize, now_ms: i64) -> Result<Poll> {
        self.splits.retain(|split| split.next < split.end);
        let Some(split) = self.splits.front() else { return Ok(Poll::Done) };
        let due = self.due(split.end, now_ms);
        if split.next >= due {
            return Ok(Poll::Pending);
        }
        let timestamp = if self.rate.is_some() { now_ms } else { self.opened_ms };
        Ok(Poll::Messages(self.batch(due, max_bytes, timestamp)))
    }

    fn position(&self) -> Option<Position> {
        Some(Position { files: Vec::new(), splits: self.splits.iter().cloned().collect() })
    }

    fn bytes_expected(&self) -> Option<u64> {
        self.bytes
    }

    fn lag(&self, now_ms: i64) -> Option<Lag> {
        let due =
            self.splits.iter().map(|split| self.due(split.end, now_ms).saturating_sub(split.next)).sum();
        // One that has neither pace nor end is never done.
        let endless = self.rate.is_none() && self.splits.iter().any(|split| split.end == Split::OPEN);
        (!endless).then(|| Lag::records(due))
    }
}

impl GeneratorSource {
    /// The first row that is not due yet.
    fn due(&self, end: u64, now_ms: i64) -> u64 {
        let Some(rate) = self.rate else { return end };
        let due = ((now_ms - self.opened_ms).max(0) as f64 * rate / 1000.0) as u64;
        end.min(self.first.saturating_add(due))
    }

    fn batch(&mut self, end: u64, max_bytes: usize, timestamp: i64) -> MessageBatch {
        let first = self.splits[0].next;
        let mut next = first;
        let most = max_bytes.min((end - first).saturating_mul(ROW_BYTES_MAX as u64) as usize);
        let mut bytes = Vec::with_capacity(most + ROW_BYTES_MAX);
        let mut values = Vec::new();
        while next < end && (values.is_empty() || bytes.len() < max_bytes) {
            let start = bytes.len() as u32;
            self.rows.append(next, &mut bytes);
            values.push(Range32 { start, end: bytes.len() as u32 });
            next += 1;
        }
        self.splits[0].next = next;
        MessageBatch {
            partition: 0,
            buffer: Buffer::from_vec(bytes),
            values,
            keys: None,
            offsets: (first as i64..next as i64).collect::<Vec<_>>().into(),
            timestamps: Timestamps::All(timestamp),
            headers: Headers::None,
            torn: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests;
