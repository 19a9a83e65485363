//! A file, a directory or a glob as a topic: each file is a partition, an offset is a byte offset.
//!
//! What is there at opening is listed once ([`survey`]) and split over the workers by byte ranges
//! of that list, so all workers must be given the same one. What is appended later is read by the
//! worker `partition % of`. Files that appear later are found, numbered and read by worker 0 alone:
//! were each worker to number them, two could come to different numbers.

mod reader;
mod watch;

use super::{Framing, Lag, Opening, Poll, Position, Share, Source, Split, Start, Survey, io_error};
use crate::error::{Error, Result};
use reader::{Arrived, Reader, Step};
use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use watch::Watch;

/// How a place's files are read.
#[derive(Clone, Copy, Debug)]
struct Reading {
    framing: Framing,
    header: bool,
    /// Smaller files are read by one worker.
    split_bytes_min: u64,
    message_bytes_max: usize,
    /// Files are looked at for growth at most this often.
    check_ms: i64,
}

const SPLIT_BYTES_MIN: u64 = 1 << 20;
const CHECK_MS: i64 = 5;

pub struct FileSource {
    readers: Vec<Reader>,
    /// The reader whose turn it is; behind the last: all are dry.
    turn: usize,
    /// A file gave as much as it was asked for in this turn: it may have more, and need not wait.
    more: bool,
    reading: Reading,
    /// The end is where it was at opening.
    ends: bool,
    arrived: Arrived,
    /// In the order of their partitions, with the bytes that they had when they were found.
    files: Vec<(PathBuf, u64)>,
    watch: Option<Watch>,
    next_check_ms: i64,
    bytes: u64,
}

/// The files of a place in the order of their partitions, with their sizes.
pub fn survey(path: &Path, follow: bool) -> Result<Survey> {
    let files = watch::list(path)?;
    let several = path.is_dir() || watch::is_glob(path);
    if files.is_empty() && !(several && (follow || path.is_dir())) {
        let hint = if several { "no file matches the pattern" } else { "check the topic's path" };
        return Err(Error::runtime(format!("there is no file {}", path.display())).hint(hint));
    }
    Ok(Survey { files, ..Survey::default() })
}

/// Opens what a survey found.
pub fn open(
    path: &Path,
    framing: Framing,
    header: bool,
    follow: bool,
    opening: Opening,
    survey: &Survey,
) -> Result<FileSource> {
    let reading = Reading {
        framing,
        header,
        split_bytes_min: SPLIT_BYTES_MIN,
        message_bytes_max: super::framing::MESSAGE_BYTES_MAX,
        check_ms: CHECK_MS,
    };
    open_reading(path, reading, follow, opening, survey)
}

fn open_reading(
    path: &Path,
    reading: Reading,
    follow: bool,
    opening: Opening,
    survey: &Survey,
) -> Result<FileSource> {
    let ends = opening.bounded || !follow;
    let mut source = FileSource {
        readers: Vec::new(),
        turn: 0,
        more: false,
        reading,
        ends,
        arrived: Arrived { opened_ms: opening.opened_ms, now_ms: opening.opened_ms },
        files: survey.resumed.as_ref().map_or_else(|| survey.files.clone(), |resumed| resumed.files.clone()),
        watch: None,
        next_check_ms: i64::MIN,
        bytes: 0,
    };
    for (partition, (file, len)) in source.files.iter().enumerate() {
        let (len, splits) = match &survey.resumed {
            None => (*len, splits(partition, *len, opening, ends, reading.split_bytes_min)),
            Some(resumed) => resume(resumed, partition, opening, ends)?,
        };
        source.bytes += splits.iter().map(|s| s.end.min(len).saturating_sub(s.next)).sum::<u64>();
        if !splits.is_empty() {
            source.readers.push(Reader::open(file.clone(), partition as i32, len, ends, splits, reading)?);
        }
    }
    let finds_new = matches!(opening.share, Share::All | Share::Part { index: 0, .. });
    if !ends && finds_new && (path.is_dir() || watch::is_glob(path)) {
        source.watch = Some(Watch::new(path, &source.files));
    }
    Ok(source)
}

/// The byte ranges of a file that this share reads, in order.
fn splits(partition: usize, len: u64, opening: Opening, ends: bool, split_min: u64) -> VecDeque<Split> {
    let (index, of) = opening.share.of();
    let owner = partition % of == index;
    let there = match opening.start {
        Start::Latest => (len, len),
        Start::Earliest if len < split_min && owner => (0, len),
        Start::Earliest if len < split_min => (0, 0),
        Start::Earliest => (share_of(len, index, of), share_of(len, index + 1, of)),
    };
    let mut splits = VecDeque::new();
    let split = |next, end| Split { partition: partition as i32, next, end, begun: false };
    if there.0 < there.1 {
        splits.push_back(split(there.0, there.1));
    }
    if owner && !ends {
        match splits.back_mut() {
            Some(last) if last.end == len => last.end = Split::OPEN,
            _ => splits.push_back(split(len, Split::OPEN)),
        }
    }
    splits
}

/// What this share reads of a file that an earlier run has begun, and the bytes that the file had then.
fn resume(
    resumed: &Position,
    partition: usize,
    opening: Opening,
    ends: bool,
) -> Result<(u64, VecDeque<Split>)> {
    let (index, of) = opening.share.of();
    let (file, mut len) = resumed.files[partition].clone();
    let is_here = |split: &&Split| split.partition == partition as i32;
    let mut splits: VecDeque<Split> = resumed.share(index, of).filter(is_here).cloned().collect();
    let followed = resumed.splits.iter().filter(is_here).any(|split| split.end == Split::OPEN);
    if !ends && !followed && partition % of == index {
        splits.push_back(Split { partition: partition as i32, next: len, end: Split::OPEN, begun: false });
    }
    if ends && splits.iter().any(|split| split.end == Split::OPEN) {
        len = file.metadata().map_err(|e| io_error("look at", &file, e))?.len();
    }
    Ok((len, splits))
}

fn share_of(len: u64, index: usize, of: usize) -> u64 {
    (len as u128 * index as u128 / of as u128) as u64
}

impl Source for FileSource {
    fn poll(&mut self, max_bytes: usize, now_ms: i64) -> Result<Poll> {
        self.arrived.now_ms = now_ms;
        let mut checked = false;
        loop {
            if self.turn >= self.readers.len() {
                if self.ends {
                    return Ok(Poll::Done);
                }
                if !std::mem::take(&mut self.more) {
                    if checked || !self.may_check(now_ms) {
                        return Ok(Poll::Pending);
                    }
                    checked = true;
                    self.find_new(now_ms)?;
                }
                self.turn = 0;
                continue;
            }
            let reader = &mut self.readers[self.turn];
            match reader.step(max_bytes.max(1), self.arrived)? {
                Step::Messages(batch) => {
                    // Files are caught up with one after the other, and followed in turn.
                    self.turn += reader.is_caught_up() as usize;
                    self.more |= batch.buffer.len() >= max_bytes;
                    return Ok(Poll::Messages(batch));
                }
                Step::Dry => self.turn += 1,
                Step::Finished => drop(self.readers.remove(self.turn)),
            }
        }
    }

    fn bytes_expected(&self) -> Option<u64> {
        Some(self.bytes)
    }

    fn lag(&self, _: i64) -> Option<Lag> {
        Some(Lag::bytes(self.readers.iter().map(Reader::unread).sum()))
    }

    fn position(&self) -> Option<Position> {
        let splits = self.readers.iter().flat_map(Reader::splits).collect();
        Some(Position { files: self.files.clone(), splits })
    }
}

impl FileSource {
    fn may_check(&mut self, now_ms: i64) -> bool {
        // Looking at a file costs a few microseconds: many files are looked at less often.
        let interval_ms = self.reading.check_ms * (1 + self.readers.len() as i64 / 100);
        // A clock that was set back must not stop us.
        let due = now_ms >= self.next_check_ms || now_ms < self.next_check_ms - 10 * interval_ms;
        if due {
            self.next_check_ms = now_ms + interval_ms;
        }
        due
    }

    fn find_new(&mut self, now_ms: i64) -> Result<()> {
        let Some(watch) = &mut self.watch else { return Ok(()) };
        for (partition, file) in watch.new_files(now_ms, 20 * self.reading.check_ms)? {
            self.files.push((file.clone(), 0));
            let all = VecDeque::from([Split { partition, next: 0, end: Split::OPEN, begun: false }]);
            self.readers.push(Reader::open(file, partition, 0, false, all, self.reading)?);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
