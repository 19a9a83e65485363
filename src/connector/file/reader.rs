//! Reads one file: byte ranges of what is there, then whatever is appended, as `tail -F` does.

use super::{Reading, Result, Split, VecDeque, io_error, watch::Identity};
use crate::batch::{MessageBatch, Timestamps};
use crate::connector::framing::{Before, Framer, Frames};
use crate::connector::read_at::read_at;
use crate::headers::Headers;
use arrow_buffer::Buffer;
use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

/// One read is never longer than this or the unfinished message, whichever is more.
const READ_BYTES_MAX: usize = 16 << 20;

#[derive(Clone, Copy)]
pub struct Arrived {
    pub opened_ms: i64,
    pub now_ms: i64,
}

pub enum Step {
    Messages(MessageBatch),
    /// All that is there is read; more may come.
    Dry,
    Finished,
}

pub struct Reader {
    path: PathBuf,
    partition: i32,
    reading: Reading,
    /// Opened late where the end is known, so that a thousand files need not be open at once.
    file: Option<File>,
    /// Still to be read; the last one of a file that is followed has no end.
    splits: VecDeque<Split>,
    /// Of the range at hand.
    framer: Option<Framer>,
    /// Where the next read begins.
    at: u64,
    /// The bytes before `at` that belong to an unfinished message.
    carry: Vec<u8>,
    /// The size at opening: what is before it was there then.
    opened_len: u64,
    ends: bool,
}

impl Reader {
    pub fn open(
        path: PathBuf,
        partition: i32,
        opened_len: u64,
        ends: bool,
        splits: VecDeque<Split>,
        reading: Reading,
    ) -> Result<Reader> {
        let carry = Vec::new();
        let mut reader = Reader {
            path,
            partition,
            reading,
            file: None,
            splits,
            framer: None,
            at: 0,
            carry,
            opened_len,
            ends,
        };
        if !ends {
            reader.file = reader.named()?;
        }
        Ok(reader)
    }

    /// What is still to be read: the first is the one at hand.
    pub fn splits(&self) -> Vec<Split> {
        let mut splits: Vec<Split> = self.splits.iter().cloned().collect();
        if let (Some(split), Some(framer)) = (splits.first_mut(), &self.framer) {
            split.next = self.at - self.carry.len() as u64;
            split.begun = framer.is_at_message();
        }
        splits
    }

    /// Bytes that are there and have not been read; the rest of an unfinished message is not there.
    pub fn unread(&self) -> u64 {
        let len = match &self.file {
            Some(file) if !self.ends => file.metadata().map_or(0, |metadata| metadata.len()),
            _ => self.opened_len,
        };
        let at = |i: usize, split: &Split| match &self.framer {
            Some(_) if i == 0 => self.at,
            _ => split.next,
        };
        let left = |(i, split): (usize, &Split)| split.end.min(len).saturating_sub(at(i, split));
        self.splits.iter().enumerate().map(left).sum()
    }

    pub fn is_caught_up(&self) -> bool {
        !self.ends && self.at >= self.opened_len
    }

    pub fn step(&mut self, max_bytes: usize, arrived: Arrived) -> Result<Step> {
        loop {
            let Some(split) = self.splits.front().cloned() else { return Ok(Step::Finished) };
            if self.file.is_none() {
                match self.named()? {
                    Some(file) => self.file = Some(file),
                    None => return Ok(Step::Dry),
                }
            }
            if self.framer.is_none() {
                self.begin(&split)?;
            }
            let (block, read) = self.read(max_bytes)?;
            let last = self.ends && (read == 0 || self.at >= self.opened_len);
            if read == 0 && !last {
                self.carry = block;
                match self.changed()? {
                    Change::None => return Ok(Step::Dry),
                    // The old file may have grown since it was read.
                    Change::Replaced if self.grew()? => continue,
                    change => {
                        let rest = self.frame(Vec::new(), true, arrived).0;
                        self.start_over(change);
                        match rest {
                            Some(batch) => return Ok(Step::Messages(batch)),
                            None => continue,
                        }
                    }
                }
            }
            let (batch, stopped) = self.frame(block, last, arrived);
            if stopped || last {
                self.splits.pop_front();
                self.framer = None;
            }
            if let Some(batch) = batch {
                return Ok(Step::Messages(batch));
            }
        }
    }

    /// The file that bears the name; one that is followed may be gone for now.
    fn named(&self) -> Result<Option<File>> {
        match File::open(&self.path) {
            Ok(file) => Ok(Some(file)),
            Err(e) if !self.ends && e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(io_error("read", &self.path, e)),
        }
    }

    fn file(&self) -> &File {
        self.file.as_ref().expect("the file is open while a range is read")
    }

    fn begin(&mut self, split: &Split) -> Result<()> {
        let Reading { framing, header, message_bytes_max, .. } = self.reading;
        let framer = match split.next {
            0 => Framer::at_start(framing, header),
            next => {
                let before = before(self.file(), next).map_err(|e| io_error("read", &self.path, e))?;
                match split.begun {
                    true => Framer::at_message(framing, before),
                    false => Framer::at_boundary(framing, before),
                }
            }
        };
        self.framer = Some(framer.until(split.end).message_bytes_max(message_bytes_max));
        self.at = split.next;
        self.carry = Vec::new();
        Ok(())
    }

    /// The unfinished message with what comes behind it, and how many bytes of it are new.
    fn read(&mut self, max_bytes: usize) -> Result<(Vec<u8>, usize)> {
        // An unfinished message doubles with each read, so that long ones are not scanned for ever.
        let most = max_bytes.min(READ_BYTES_MAX).max(self.carry.len());
        let end = if self.ends { self.opened_len } else { u64::MAX };
        let most = (most as u64).min(end.saturating_sub(self.at)) as usize;
        let mut block = std::mem::take(&mut self.carry);
        let read =
            read_at(self.file(), self.at, &mut block, most).map_err(|e| io_error("read", &self.path, e))?;
        self.at += read as u64;
        Ok((block, read))
    }

    /// The messages of a block, and whether the range ends in it; an empty block stands for the carry.
    fn frame(&mut self, block: Vec<u8>, last: bool, arrived: Arrived) -> (Option<MessageBatch>, bool) {
        let mut block = if block.is_empty() { std::mem::take(&mut self.carry) } else { block };
        let base = self.at - block.len() as u64;
        let mut frames = Frames::default();
        let framer = self.framer.as_mut().expect("a range has begun");
        let scan = framer.scan(&block, base, last, &mut frames);
        self.carry = block[scan.consumed..].to_vec();
        if frames.values.is_empty() {
            return (None, scan.stopped);
        }
        // A followed file brings a few bytes at a time: do not hold a whole read's memory for them.
        if block.capacity() / 2 > block.len() {
            block.shrink_to_fit();
        }
        let batch = MessageBatch {
            partition: self.partition,
            timestamps: self.timestamps(&frames.offsets, arrived),
            buffer: Buffer::from_vec(block),
            values: frames.values,
            keys: None,
            offsets: frames.offsets.into(),
            headers: Headers::None,
            torn: frames.torn,
        };
        (Some(batch), scan.stopped)
    }

    fn timestamps(&self, offsets: &[i64], arrived: Arrived) -> Timestamps {
        let old = offsets.partition_point(|offset| (*offset as u64) < self.opened_len);
        if old == offsets.len() {
            Timestamps::All(arrived.opened_ms)
        } else if old == 0 {
            Timestamps::All(arrived.now_ms)
        } else {
            let mut each = vec![arrived.opened_ms; old];
            each.resize(offsets.len(), arrived.now_ms);
            Timestamps::Each(each.into())
        }
    }

    /// What became of the file at whose end we are.
    fn changed(&self) -> Result<Change> {
        let metadata = |m: io::Result<Metadata>| m.map_err(|e| io_error("look at", &self.path, e));
        let ours = metadata(self.file().metadata())?;
        if ours.len() < self.at {
            return Ok(Change::Truncated);
        }
        match self.path.metadata() {
            Ok(named) if Identity::of(&named) != Identity::of(&ours) => Ok(Change::Replaced),
            Ok(_) => Ok(Change::None),
            // Somebody may write on under the new name, so a renamed file is read until it is replaced.
            Err(e) if e.kind() == io::ErrorKind::NotFound && ours.nlink() > 0 => Ok(Change::None),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(Change::Gone),
            Err(e) => Err(io_error("look at", &self.path, e)),
        }
    }

    fn grew(&self) -> Result<bool> {
        let metadata = self.file().metadata().map_err(|e| io_error("look at", &self.path, e))?;
        Ok(metadata.len() > self.at)
    }

    /// Goes on at the start of the file that now bears the name, if this reader is the one to follow it.
    fn start_over(&mut self, change: Change) {
        let follows = self.splits.back().is_some_and(|split| split.end == Split::OPEN);
        self.splits.clear();
        self.framer = None;
        self.carry = Vec::new();
        self.opened_len = 0;
        self.at = 0;
        if follows {
            let partition = self.partition;
            self.splits.push_back(Split { partition, next: 0, end: Split::OPEN, begun: false });
        }
        if !matches!(change, Change::Truncated) {
            self.file = None;
        }
    }
}

enum Change {
    None,
    /// Shorter than what was read of it.
    Truncated,
    /// Another file bears the name.
    Replaced,
    Gone,
}

/// What framing has to know of the bytes before `from`.
fn before(file: &File, from: u64) -> io::Result<Before> {
    let mut before = Before { newline: false, significant: 0 };
    let mut end = from;
    while end > 0 && before.significant == 0 {
        let start = end.saturating_sub(4096);
        let mut block = Vec::new();
        read_at(file, start, &mut block, (end - start) as usize)?;
        let found = Before { newline: false, significant: 0 }.and(&block);
        before.newline = if end == from { found.newline } else { before.newline };
        before.significant = found.significant;
        end = start;
    }
    Ok(before)
}
