//! Synthetic events, the same for the same seed: the three car-park feeds, and those of Nexmark.
//!
//! The car parks are made up from nothing but the names, capacities and sample rows that the article on car
//! parks in Leeds and Bradford prints. A row depends on the seed and its number alone, never on how rows are
//! batched or split: [`write`] and the source make the same bytes.

mod clock;
mod feed;
pub mod nexmark;
mod row;

use super::dealing::{Dealer, Marks, Moment, ReadTo, Team, Ticket};
use super::{Dealt, GeneratorSpec, Lag, Opening, Poll, Position, Source, Split, Survey};
use crate::batch::{MessageBatch, Range32, Timestamps};
use crate::error::{Error, Result};
use crate::headers::Headers;
use arrow_buffer::Buffer;
pub use feed::CAR_PARKS;
use nexmark::Nexmark;
use row::CarParks;
use std::io::{self, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// All feeds, by name.
pub const FEEDS: &[&str] = &[
    CAR_PARKS[0],
    CAR_PARKS[1],
    CAR_PARKS[2],
    nexmark::FEEDS[0],
    nexmark::FEEDS[1],
    nexmark::FEEDS[2],
    nexmark::FEEDS[3],
];

const WRITE_BYTES: usize = 256 << 10;
/// No event is longer.
const ROW_BYTES_MAX: usize = 1024;

/// Makes rows by their number.
// There is one a reader, and it is asked for each row.
#[allow(clippy::large_enum_variant)]
pub enum Rows {
    CarParks(CarParks),
    Nexmark(Nexmark),
}

impl Rows {
    pub fn new(spec: &GeneratorSpec) -> Result<Rows> {
        for (key, value) in [
            ("car_parks", spec.car_parks),
            ("dirty_every", spec.dirty_every),
            ("events_per_second", spec.events_per_second),
        ] {
            if value == Some(0) {
                return Err(Error::topology(format!("{key} must be 1 or more")));
            }
        }
        if spec.rate.is_some_and(|rate| !rate.is_finite() || rate <= 0.0) {
            return Err(Error::topology("rate must be more than 0 events a second"));
        }
        Ok(match Nexmark::new(spec)? {
            Some(nexmark) => Rows::Nexmark(nexmark),
            None => Rows::CarParks(CarParks::new(spec)?),
        })
    }

    /// Appends row number `row`, without an end of line.
    pub fn append(&mut self, row: u64, out: &mut Vec<u8>) {
        match self {
            Rows::CarParks(rows) => rows.append(row, out),
            Rows::Nexmark(rows) => rows.append(row, out),
        }
    }

    fn mean_bytes(&mut self) -> u64 {
        let mut sample = Vec::with_capacity(64 * ROW_BYTES_MAX);
        (0..64).for_each(|row| self.append(row, &mut sample));
        sample.len() as u64 / 64
    }
}

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

/// One worker's share of the rows.
pub struct GeneratorSource {
    rows: Rows,
    dispenser: Arc<Dispenser>,
    team: Team,
}

/// Deals the rows out to the workers of process 0. All are of partition 0, and a row's offset is its number.
pub struct Dispenser {
    /// The first row of nobody's; [`Split::OPEN`]: there is none.
    end: u64,
    /// The first row at opening, from which the pace counts.
    first: u64,
    mean_bytes: u64,
    rate: Option<f64>,
    opened_ms: i64,
    marks: Mutex<Marks<Mark>>,
}

#[derive(Clone, Copy)]
struct Mark {
    next: u64,
    /// The last time that was given, milliseconds; no later row gets an earlier.
    time: i64,
}

pub fn open(spec: &GeneratorSpec, opening: Opening, survey: &Survey, team: &Team) -> Result<GeneratorSource> {
    if opening.bounded && spec.rows.is_none() {
        return Err(endless());
    }
    let mut rows = Rows::new(spec)?;
    let mean_bytes = rows.mean_bytes();
    let dispenser = || {
        let split = survey.resumed.as_ref().and_then(|resumed| resumed.splits.first());
        let first = split.map_or(0, |split| split.next);
        let end = split.map_or(spec.rows.unwrap_or(Split::OPEN), |split| split.end);
        Arc::new(Dispenser {
            end: if team.owns(0) { end } else { first },
            first,
            mean_bytes,
            rate: spec.rate,
            opened_ms: opening.opened_ms,
            marks: Mutex::new(Marks::new(Mark { next: first, time: i64::MIN })),
        })
    };
    let dispenser = Arc::clone(team.shared.rows.get_or_init(dispenser));
    Ok(GeneratorSource { rows, dispenser, team: team.clone() })
}

impl Source for GeneratorSource {
    fn poll(&mut self, max_bytes: usize, now_ms: i64) -> Result<Poll> {
        Ok(match self.deal(max_bytes, now_ms, Moment::default())? {
            Dealt::Messages(messages, _) => Poll::Messages(messages),
            Dealt::Pending | Dealt::Busy => Poll::Pending,
            Dealt::Done => Poll::Done,
        })
    }

    fn deal(&mut self, max_bytes: usize, now_ms: i64, moment: Moment) -> Result<Dealt> {
        Ok(match self.dispenser.next(max_bytes, now_ms, moment) {
            Next::Done => Dealt::Done,
            Next::Pending => Dealt::Pending,
            Next::Rows { first, next, time, ticket } => {
                Dealt::Messages(self.batch(first, next, time), Some(ticket))
            }
        })
    }

    fn position(&self) -> Option<ReadTo> {
        let dealer = || Arc::clone(&self.dispenser) as Arc<dyn Dealer>;
        let tells = self.team.worker == 0 && self.team.owns(0);
        Some(if tells { ReadTo::Dealt(dealer()) } else { ReadTo::Here(Position::default()) })
    }

    fn bytes_expected(&self) -> Option<u64> {
        let Dispenser { end, first, mean_bytes, .. } = *self.dispenser;
        let all = (end != Split::OPEN).then(|| (end - first) * mean_bytes);
        all.map(|all| if self.team.worker == 0 { all } else { 0 })
    }

    fn lag(&self, now_ms: i64) -> Option<Lag> {
        let dispenser = &self.dispenser;
        // One that has neither pace nor end is never done.
        let endless = dispenser.rate.is_none() && dispenser.end == Split::OPEN;
        let behind = || dispenser.due(now_ms).saturating_sub(dispenser.marks().last().next);
        (!endless).then(|| Lag::records(if self.team.worker == 0 { behind() } else { 0 }))
    }
}

enum Next {
    Rows { first: u64, next: u64, time: i64, ticket: Ticket },
    Pending,
    Done,
}

impl Dispenser {
    fn marks(&self) -> MutexGuard<'_, Marks<Mark>> {
        self.marks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The first row that is not due yet.
    fn due(&self, now_ms: i64) -> u64 {
        let Some(rate) = self.rate else { return self.end };
        let due = ((now_ms - self.opened_ms).max(0) as f64 * rate / 1000.0) as u64;
        self.end.min(self.first.saturating_add(due))
    }

    fn next(&self, max_bytes: usize, now_ms: i64, moment: Moment) -> Next {
        let mut marks = self.marks();
        let Mark { next: first, time } = *marks.last();
        if first >= self.end {
            return Next::Done;
        }
        let most = (max_bytes as u64 / self.mean_bytes).max(1);
        let next = self.due(now_ms).min(first + most);
        if next <= first {
            return Next::Pending;
        }
        let time = time.max(if self.rate.is_some() { now_ms } else { self.opened_ms });
        Next::Rows { first, next, time, ticket: marks.deal(moment, Mark { next, time }) }
    }
}

impl Dealer for Dispenser {
    fn position(&self, epoch: u64) -> Position {
        let next = self.marks().at(epoch).next;
        Position { splits: vec![Split { partition: 0, next, end: self.end }], ..Position::default() }
    }
}

impl GeneratorSource {
    fn batch(&mut self, first: u64, next: u64, timestamp: i64) -> MessageBatch {
        let mut bytes = Vec::with_capacity(((next - first) * self.dispenser.mean_bytes) as usize);
        let mut values = Vec::with_capacity((next - first) as usize);
        for row in first..next {
            let start = bytes.len() as u32;
            self.rows.append(row, &mut bytes);
            values.push(Range32 { start, end: bytes.len() as u32 });
        }
        MessageBatch {
            partition: 0,
            buffer: Buffer::from_vec(bytes),
            values,
            keys: None,
            offsets: (first as i64..next as i64).collect::<Vec<_>>().into(),
            timestamps: Timestamps::All(timestamp),
            headers: Headers::None,
            torn: Vec::new(),
            names: None,
        }
    }
}

#[cfg(test)]
mod tests;
