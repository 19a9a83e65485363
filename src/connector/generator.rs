//! Synthetic events of the three car-park feeds, the same for the same seed.
//!
//! Made up from nothing but the names, capacities and sample rows that the article on car parks in
//! Leeds and Bradford prints. A row depends on the seed and its number alone, never on how rows are
//! batched or split: [`write`] and the source make the same bytes.

mod clock;
mod feed;
mod row;

use super::{GeneratorSpec, Opening, Poll, Share, Source};
use crate::batch::{MessageBatch, Range32, Timestamps};
use crate::error::{Error, Result};
use arrow_buffer::Buffer;
pub use feed::FEEDS;
pub use row::Rows;
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
    next: u64,
    end: Option<u64>,
    rate: Option<f64>,
    opened_ms: i64,
    bytes: Option<u64>,
}

/// All rows are of partition 0, and a row's offset is its number. Rows that have neither pace nor
/// end can be split over the workers; others are made by worker 0.
pub fn open(spec: &GeneratorSpec, opening: Opening) -> Result<GeneratorSource> {
    if opening.bounded && spec.rows.is_none() {
        return Err(endless());
    }
    let (index, of) = match opening.share {
        Share::Part { index, of } => (index as u64, of as u64),
        Share::All => (0, 1),
    };
    let (next, end) = match (spec.rows, spec.rate) {
        (Some(rows), None) => (block_start(rows, index, of), Some(block_start(rows, index + 1, of))),
        (rows, _) if index == 0 => (0, rows),
        _ => (0, Some(0)),
    };
    let mut rows = Rows::new(spec)?;
    let bytes = end.map(|end| (end - next) * rows.mean_bytes());
    Ok(GeneratorSource { rows, next, end, rate: spec.rate, opened_ms: opening.opened_ms, bytes })
}

fn block_start(rows: u64, index: u64, of: u64) -> u64 {
    (rows as u128 * index as u128 / of as u128) as u64
}

impl Source for GeneratorSource {
    fn poll(&mut self, max_bytes: usize, now_ms: i64) -> Result<Poll> {
        if self.end.is_some_and(|end| self.next >= end) {
            return Ok(Poll::Done);
        }
        let due = self.due(now_ms);
        if self.next >= due {
            return Ok(Poll::Pending);
        }
        let timestamp = if self.rate.is_some() { now_ms } else { self.opened_ms };
        Ok(Poll::Messages(self.batch(due, max_bytes, timestamp)))
    }

    fn bytes_expected(&self) -> Option<u64> {
        self.bytes
    }
}

impl GeneratorSource {
    /// The first row that is not due yet.
    fn due(&self, now_ms: i64) -> u64 {
        let end = self.end.unwrap_or(u64::MAX);
        match self.rate {
            None => end,
            Some(rate) => end.min(((now_ms - self.opened_ms).max(0) as f64 * rate / 1000.0) as u64),
        }
    }

    fn batch(&mut self, end: u64, max_bytes: usize, timestamp: i64) -> MessageBatch {
        let first = self.next;
        let most = max_bytes.min((end - first).saturating_mul(ROW_BYTES_MAX as u64) as usize);
        let mut bytes = Vec::with_capacity(most + ROW_BYTES_MAX);
        let mut values = Vec::new();
        while self.next < end && (values.is_empty() || bytes.len() < max_bytes) {
            let start = bytes.len() as u32;
            self.rows.append(self.next, &mut bytes);
            values.push(Range32 { start, end: bytes.len() as u32 });
            self.next += 1;
        }
        MessageBatch {
            partition: 0,
            buffer: Buffer::from_vec(bytes),
            values,
            keys: None,
            offsets: (first as i64..self.next as i64).collect::<Vec<_>>().into(),
            timestamps: Timestamps::All(timestamp),
            torn: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests;
