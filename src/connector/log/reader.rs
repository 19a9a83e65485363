//! Reads the partitions of a log, while others may write them.

use super::durable::Durable;
use super::frame::{Decoded, decode};
use super::segment::{self, Extent};
use super::{Path, Result};
use crate::batch::{MessageBatch, Timestamps};
use crate::connector::{
    Lag, Opening, Poll, Position, ReadTo, Share, Source, Split, Start, Survey, io_error, read_at::read_at,
};
use crate::headers::Headers;
use arrow_buffer::Buffer;
use std::collections::{BTreeMap, HashSet};
use std::fs::File;
use std::path::PathBuf;

const CHECK_MS: i64 = 5;
/// New partitions are looked for so much more rarely than new records.
const CHECKS_PER_LOOK: u32 = 20;
const READ_BYTES_MAX: usize = 16 << 20;

pub struct LogReader {
    dir: PathBuf,
    share: Share,
    ends: bool,
    partitions: Vec<Partition>,
    /// Read to where they ended at opening.
    finished: Vec<Split>,
    known: HashSet<u32>,
    /// The partition whose turn it is; behind the last: all are dry.
    turn: usize,
    /// Where it is known how far partitions have come in time.
    reached: Option<BTreeMap<i32, i64>>,
    check_ms: i64,
    next_check_ms: i64,
    checks: u32,
    bytes: u64,
}

/// Partition p is read by worker `p % of`; a directory that is not there is an empty topic.
pub fn open(dir: &Path, opening: Opening, survey: &Survey) -> Result<LogReader> {
    open_checking(dir, opening, survey, CHECK_MS)
}

/// Looks for new records at each poll.
pub fn open_impatient(dir: &Path, opening: Opening, survey: &Survey) -> Result<LogReader> {
    open_checking(dir, opening, survey, 0)
}

pub(super) fn open_checking(
    dir: &Path,
    opening: Opening,
    survey: &Survey,
    check_ms: i64,
) -> Result<LogReader> {
    let mut reader = LogReader {
        dir: dir.to_path_buf(),
        share: opening.share,
        ends: opening.bounded,
        partitions: Vec::new(),
        finished: Vec::new(),
        known: HashSet::new(),
        turn: 0,
        reached: None,
        check_ms,
        next_check_ms: i64::MIN,
        checks: 0,
        bytes: 0,
    };
    for split in survey.resumed.iter().flat_map(|resumed| &resumed.splits) {
        reader.resume(split)?;
    }
    // What an earlier run has not seen is new.
    reader.add_new(if survey.resumed.is_some() { Start::Earliest } else { opening.start })?;
    reader.bytes = reader.partitions.iter().map(|partition| partition.bytes).sum();
    Ok(reader)
}

impl LogReader {
    fn is_mine(&self, partition: u32) -> bool {
        let (index, of) = self.share.of();
        partition as usize % of == index
    }

    fn resume(&mut self, split: &Split) -> Result<()> {
        let number = split.partition as u32;
        if self.is_mine(number) && self.known.insert(number) {
            let dir = self.dir.join(number.to_string());
            let mut partition = Partition::open(split.partition, dir, Start::Earliest, self.ends, i64::MAX)?;
            partition.seek(split.next as i64)?;
            self.partitions.push(partition);
        }
        Ok(())
    }

    fn add_new(&mut self, start: Start) -> Result<()> {
        let durable = Durable::of(&self.dir);
        for (number, dir) in segment::partitions(&self.dir)? {
            if self.is_mine(number) && self.known.insert(number) {
                let limit = limit_of(durable.as_deref(), number as i32);
                self.partitions.push(Partition::open(number as i32, dir, start, self.ends, limit)?);
            }
        }
        Ok(())
    }

    /// Of the partitions that are not caught up, where it is known.
    fn furthest_behind(&self) -> Option<usize> {
        let reached = self.reached.as_ref()?;
        let behind = self.partitions.iter().enumerate().filter(|(_, partition)| !partition.is_caught_up);
        let stamp = |partition: &Partition| reached.get(&partition.number).copied().unwrap_or(i64::MIN);
        behind.min_by_key(|(_, partition)| stamp(partition)).map(|(at, _)| at)
    }

    /// Whether it is time to look for new records again.
    fn may_check(&mut self, now_ms: i64) -> Result<bool> {
        // A clock that was set back must not stop us.
        let due = now_ms >= self.next_check_ms || now_ms < self.next_check_ms - 1000;
        if due {
            self.next_check_ms = now_ms + self.check_ms;
            if self.checks.is_multiple_of(CHECKS_PER_LOOK) || self.check_ms == 0 {
                // What is not there at opening is new, so it is read from its start.
                self.add_new(Start::Earliest)?;
            }
            self.checks = self.checks.wrapping_add(1);
        }
        Ok(due)
    }
}

impl Source for LogReader {
    fn poll(&mut self, max_bytes: usize, now_ms: i64) -> Result<Poll> {
        let mut checked = false;
        // Looked up each time: who writes the log may begin to tell after it was opened here.
        let durable = Durable::of(&self.dir);
        self.turn = self.furthest_behind().unwrap_or(self.turn);
        loop {
            if self.turn >= self.partitions.len() {
                if self.ends {
                    return Ok(Poll::Done);
                }
                if checked || !self.may_check(now_ms)? {
                    return Ok(Poll::Pending);
                }
                checked = true;
                self.turn = 0;
                continue;
            }
            let partition = &mut self.partitions[self.turn];
            let limit = limit_of(durable.as_deref(), partition.number);
            match partition.step(max_bytes.clamp(1, READ_BYTES_MAX), limit)? {
                Step::Messages(batch) => {
                    // Partitions are caught up with one after the other, and followed in turn.
                    self.turn += partition.is_caught_up as usize;
                    return Ok(Poll::Messages(batch));
                }
                Step::Dry => {
                    partition.is_caught_up = true;
                    self.turn += 1;
                }
                Step::Finished => {
                    let partition = self.partitions.remove(self.turn);
                    self.finished.push(partition.split());
                }
            }
        }
    }

    fn prefer_behind(&mut self, reached: BTreeMap<i32, i64>) {
        self.reached = Some(reached);
    }

    fn bytes_expected(&self) -> Option<u64> {
        Some(self.bytes)
    }

    fn lag(&self, _: i64) -> Option<Lag> {
        Some(Lag::bytes(self.partitions.iter().map(Partition::unread).sum()))
    }

    fn position(&self) -> Option<ReadTo> {
        let open = self.partitions.iter().map(Partition::split);
        let splits = self.finished.iter().cloned().chain(open).collect();
        Some(ReadTo::Here(Position { splits, ..Position::default() }))
    }
}

/// The offset that a partition is read to at most.
fn limit_of(durable: Option<&Durable>, partition: i32) -> i64 {
    durable.map_or(i64::MAX, |durable| durable.end(partition as u32))
}

#[expect(
    clippy::large_enum_variant,
    reason = "there is one at a time, and nearly always it is the large one"
)]
enum Step {
    Messages(MessageBatch),
    Dry,
    Finished,
}

struct Partition {
    number: i32,
    dir: PathBuf,
    segment: Option<(File, PathBuf, i64)>,
    /// The place in the segment and the offset of the next record.
    at: Extent,
    /// Of the last segment at opening, where that is the end: its base and its bytes.
    end: Option<(i64, u64)>,
    is_caught_up: bool,
    /// There at opening.
    bytes: u64,
}

impl Partition {
    /// `limit`: the latest offset to begin with.
    fn open(number: i32, dir: PathBuf, start: Start, ends: bool, limit: i64) -> Result<Partition> {
        let segments = segment::list(&dir)?;
        let (first, last) = (segments.first(), segments.last());
        let mut end = ends.then(|| last.map_or((0, 0), |last| (last.base, last.bytes)));
        let mut bytes = segments.iter().map(|segment| segment.bytes).sum();
        let mut at = Extent { bytes: 0, next: first.map_or(0, |first| first.base) };
        let mut begin = first;
        if let (Start::Latest, Some(last)) = (start, last) {
            at = segment::scan_to(last, limit)?;
            (begin, bytes) = (Some(last), 0);
            end = end.map(|_| (last.base, at.bytes));
        }
        let segment = match begin {
            Some(segment) => match File::open(&segment.path) {
                Ok(file) => Some((file, segment.path.clone(), segment.base)),
                // A capped log has deleted it since.
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => None,
                Err(e) => return Err(io_error("read", &segment.path, e)),
            },
            None => None,
        };
        Ok(Partition { number, dir, segment, at, end, is_caught_up: false, bytes })
    }

    /// Bytes of the records that are there and have not been read.
    fn unread(&self) -> u64 {
        let base = self.segment.as_ref().map_or(0, |(_, _, base)| *base);
        // One that cannot be listed now is looked at again soon.
        let segments = segment::list(&self.dir).unwrap_or_default();
        let there: u64 = segments.iter().filter(|s| s.base >= base).map(|s| s.bytes).sum();
        there.saturating_sub(self.at.bytes)
    }

    fn split(&self) -> Split {
        Split { partition: self.number, next: self.at.next as u64, end: Split::OPEN }
    }

    /// Goes on with the record of an offset; what is not there any more is passed over.
    fn seek(&mut self, next: i64) -> Result<()> {
        let segments = segment::list(&self.dir)?;
        let Some(segment) = segments.iter().rfind(|segment| segment.base <= next) else { return Ok(()) };
        self.at = segment::scan_to(segment, next)?;
        self.bytes -= self.bytes.min(
            segments.iter().filter(|s| s.base < segment.base).map(|s| s.bytes).sum::<u64>() + self.at.bytes,
        );
        let file = File::open(&segment.path).map_err(|e| io_error("read", &segment.path, e))?;
        self.segment = Some((file, segment.path.clone(), segment.base));
        Ok(())
    }

    /// What comes next before the record `limit`.
    fn step(&mut self, max_bytes: usize, limit: i64) -> Result<Step> {
        let mut most = max_bytes;
        loop {
            if self.at.next >= limit {
                return Ok(self.dry());
            }
            let Some((file, path, base)) = &self.segment else {
                match self.open_from_next()? {
                    true => continue,
                    false => return Ok(self.dry()),
                }
            };
            let end = match self.end {
                Some((last, _)) if *base > last => return Ok(Step::Finished),
                Some((last, bytes)) if *base == last => bytes,
                _ => u64::MAX,
            };
            let left = end.saturating_sub(self.at.bytes);
            let mut block = Vec::new();
            let wanted = (most as u64).min(left) as usize;
            let read =
                read_at(file, self.at.bytes, &mut block, wanted).map_err(|e| io_error("read", path, e))?;
            match self.frames(block, limit) {
                (Some(batch), _) => return Ok(Step::Messages(batch)),
                // A record that is longer than a read.
                (None, Decoded::Short(need)) if read == wanted && need > wanted && (wanted as u64) < left => {
                    most = need
                }
                _ if read > 0 => {
                    self.check_tail()?;
                    return Ok(self.dry());
                }
                _ if left == 0 => return Ok(Step::Finished),
                _ => {
                    if !self.next_segment()? {
                        return Ok(self.dry());
                    }
                    most = max_bytes;
                }
            }
        }
    }

    fn dry(&self) -> Step {
        if self.end.is_some() { Step::Finished } else { Step::Dry }
    }

    /// The records of a block before the record `limit`, and why there are no more in it.
    fn frames(&mut self, block: Vec<u8>, limit: i64) -> (Option<MessageBatch>, Decoded) {
        let first = self.at.next;
        let (mut keys, mut values, mut headers, mut times) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let mut at = 0;
        let stop = loop {
            match decode(&block, at, self.at.next) {
                Decoded::Frame(frame) if self.at.next < limit => {
                    at = frame.end;
                    self.at.next += 1;
                    keys.push(frame.key);
                    values.push(frame.value);
                    headers.push(frame.headers);
                    times.push(frame.timestamp);
                }
                stop => break stop,
            }
        };
        self.at.bytes += at as u64;
        if values.is_empty() {
            return (None, stop);
        }
        let mut block = block;
        if block.capacity() / 2 > block.len() {
            block.shrink_to_fit();
        }
        let buffer = Buffer::from_vec(block);
        let batch = MessageBatch {
            partition: self.number,
            headers: Headers::each(&buffer, headers),
            buffer,
            keys: keys.iter().any(|key| !key.is_null()).then_some(keys),
            offsets: (first..self.at.next).collect::<Vec<_>>().into(),
            timestamps: Timestamps::Each(times.into()),
            values,
            torn: Vec::new(),
            names: None,
        };
        (Some(batch), stop)
    }

    /// Bytes that are no record are a tail that is being written or torn, or else damage.
    fn check_tail(&self) -> Result<()> {
        let Some((file, path, base)) = &self.segment else { return Ok(()) };
        let is_last = segment::list(&self.dir)?.iter().all(|other| other.base <= *base);
        if is_last {
            return segment::check_tail(file, path, &self.at);
        }
        // It may have been completed, and the next segment begun, since it was read.
        let segment = segment::Segment { path: path.clone(), base: *base, bytes: 0 };
        let extent = segment::scan(&segment)?;
        let len = file.metadata().map_err(|e| io_error("read", path, e))?.len();
        if extent.bytes < len { Err(segment::damaged(path, &extent)) } else { Ok(()) }
    }

    /// Goes on to the next segment if there is one.
    fn next_segment(&mut self) -> Result<bool> {
        let path = segment::path_of(&self.dir, self.at.next);
        let Some((_, current, base)) = &self.segment else { return Ok(false) };
        if *base != self.at.next && path.exists() {
            return self.open_from_next();
        }
        // A capped log deletes oldest first: if ours is gone, the next ones may be, too.
        if !current.exists() {
            return self.open_from_next();
        }
        if !self.is_caught_up && segment::list(&self.dir)?.iter().any(|other| other.base > *base) {
            return self.has_grown();
        }
        Ok(false)
    }

    /// Whether the segment, which is not the last, was completed after it was read; else the one
    /// that should follow it is missing.
    fn has_grown(&self) -> Result<bool> {
        let Some((_, path, base)) = &self.segment else { return Ok(false) };
        let extent = segment::scan(&segment::Segment { path: path.clone(), base: *base, bytes: 0 })?;
        if extent.next == self.at.next && !segment::path_of(&self.dir, extent.next).exists() {
            return Err(segment::damaged(path, &extent));
        }
        Ok(true)
    }

    /// Opens the oldest segment that has no record before the next one, unless it is open already.
    fn open_from_next(&mut self) -> Result<bool> {
        let current = self.segment.as_ref().map(|(_, _, base)| *base);
        let is_next = |segment: &&segment::Segment| {
            segment.base >= self.at.next && current.is_none_or(|c| segment.base > c)
        };
        let segments = segment::list(&self.dir)?;
        let Some(next) = segments.iter().find(is_next) else { return Ok(false) };
        match File::open(&next.path) {
            Ok(file) => {
                self.at = Extent { bytes: 0, next: next.base };
                self.segment = Some((file, next.path.clone(), next.base));
                Ok(true)
            }
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(false),
            Err(e) => Err(io_error("read", &next.path, e)),
        }
    }
}
