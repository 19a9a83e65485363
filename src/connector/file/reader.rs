//! Reads one file: what is there, then whatever is appended, as `tail -F` does.
//!
//! One worker at a time holds the reader of a file. Where lines are messages it only finds out where the
//! next block ends, and lets go: the block is then read and framed while others find theirs. Elsewhere
//! where a message begins hangs on all that comes before it, so it frames the block first.

use super::arrival::Arrivals;
use super::{Reading, Result, io_error, watch::Identity};
use crate::connector::framing::{Before, Between, Framer, Frames};
use crate::connector::read_at::read_at;
use memchr::memchr;
use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::Arc;

use crate::connector::Framing;

/// One read is never longer than this or the unfinished message, whichever is more.
const READ_BYTES_MAX: usize = 16 << 20;
/// The end of a line is looked for in pieces of so many bytes, and so many of them.
const PIECE_BYTES: usize = 1 << 10;
const PIECES: usize = 64;

pub enum Step {
    Framed(Framed),
    /// Whole lines, to be read and framed by who was dealt them.
    Range(Range),
    /// All that is there is read; more may come.
    Dry,
    Finished,
}

/// Messages with the bytes that they point into.
pub struct Framed {
    pub block: Vec<u8>,
    pub frames: Frames,
}

pub struct Range {
    file: Arc<File>,
    path: PathBuf,
    pub from: u64,
    pub to: u64,
    reading: Reading,
}

pub struct Reader {
    path: PathBuf,
    reading: Reading,
    /// Opened late where the end is known, so that a thousand files need not be open at once.
    file: Option<Arc<File>>,
    /// `None`: reading has not begun, or begins anew; at `at`, which lies so between messages.
    framer: Option<Framer>,
    between: Between,
    /// Where the next read begins.
    at: u64,
    /// The bytes before `at` that belong to an unfinished message.
    carry: Vec<u8>,
    /// So many bytes are there; where the end is known, it is this.
    len: u64,
    /// The bytes that were there when it was opened.
    opened_len: u64,
    pub arrivals: Arrivals,
    ends: bool,
    finished: bool,
}

impl Reader {
    /// Begins at an offset, which lies so between messages. `len`: the bytes that are there.
    pub fn new(path: PathBuf, next: u64, between: Between, len: u64, ends: bool, reading: Reading) -> Reader {
        Reader {
            path,
            reading,
            file: None,
            framer: None,
            between,
            at: next,
            carry: Vec::new(),
            len,
            opened_len: len,
            arrivals: Arrivals::default(),
            ends,
            finished: false,
        }
    }

    /// The first offset that is in no block yet, and how it lies between messages.
    pub fn mark(&self) -> (u64, Between) {
        let between = self.framer.as_ref().map_or(self.between, Framer::between);
        (self.at - self.carry.len() as u64, between)
    }

    /// What tells how much of the file is not read: the file, if it is open; the bytes that are there, as
    /// far as known; the offset that is read next. The rest of an unfinished message is not there.
    pub fn unread(&self) -> Unread {
        let file = self.file.clone().filter(|_| !self.ends);
        Unread { file, len: self.len.max(self.opened_len), at: self.at }
    }

    pub fn is_caught_up(&self) -> bool {
        !self.ends && self.at >= self.opened_len
    }

    pub fn step(&mut self, max_bytes: usize) -> Result<Step> {
        loop {
            if self.finished {
                self.file = None;
                return Ok(Step::Finished);
            }
            if self.file.is_none() {
                match self.named()? {
                    Some(file) => self.file = Some(Arc::new(file)),
                    None => return Ok(Step::Dry),
                }
                if self.opened_len == 0 && !self.ends {
                    self.opened_len = self.metadata()?.len();
                }
            }
            if let Some(range) = self.cut(max_bytes)? {
                return Ok(Step::Range(range));
            }
            self.begin()?;
            let (block, read) = self.read(max_bytes)?;
            let last = self.ends && (read == 0 || self.at >= self.len);
            if read == 0 && !last {
                self.carry = block;
                match self.changed()? {
                    Change::None => return Ok(Step::Dry),
                    // The old file may have grown since it was read.
                    Change::Replaced if self.grew()? => continue,
                    change => {
                        let rest = self.frame(Vec::new(), true);
                        self.start_over(change);
                        match rest {
                            Some(framed) => return Ok(Step::Framed(framed)),
                            None => continue,
                        }
                    }
                }
            }
            self.finished = last;
            if let Some(framed) = self.frame(block, last) {
                return Ok(Step::Framed(framed));
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

    fn file(&self) -> &Arc<File> {
        self.file.as_ref().expect("the file is open while it is read")
    }

    /// The next lines, about `max_bytes` of them, if so many are there.
    fn cut(&mut self, max_bytes: usize) -> Result<Option<Range>> {
        let (from, between) = self.mark();
        let wanted = from + max_bytes.min(READ_BYTES_MAX) as u64;
        if self.reading.framing != Framing::Line || between != Between::Message || from == 0 {
            return Ok(None);
        }
        if wanted > self.len && !self.ends {
            self.len = self.metadata()?.len();
        }
        if wanted > self.len {
            return Ok(None);
        }
        let Some(to) = self.line_end(wanted - 1)? else { return Ok(None) };
        self.carry = Vec::new();
        self.at = to;
        let (file, path) = (Arc::clone(self.file()), self.path.clone());
        Ok(Some(Range { file, path, from, to, reading: self.reading }))
    }

    /// Behind the first line break at or behind an offset, if it is near.
    fn line_end(&self, from: u64) -> Result<Option<u64>> {
        let mut piece = Vec::new();
        for at in (0..PIECES).map(|i| from + (i * PIECE_BYTES) as u64) {
            let most = PIECE_BYTES.min(self.len.saturating_sub(at) as usize);
            piece.clear();
            read_at(self.file(), at, &mut piece, most).map_err(|e| io_error("read", &self.path, e))?;
            if let Some(found) = memchr(b'\n', &piece) {
                return Ok(Some(at + found as u64 + 1));
            }
            if piece.len() < PIECE_BYTES {
                break;
            }
        }
        Ok(None)
    }

    fn begin(&mut self) -> Result<()> {
        if self.framer.is_some() {
            return Ok(());
        }
        let Reading { framing, message_bytes_max, .. } = self.reading;
        let before = match self.between {
            Between::Boundary => before(self.file(), self.at).map_err(|e| io_error("read", &self.path, e))?,
            // Nothing hangs on it.
            Between::Message | Between::Line => Before::START,
        };
        let framer = Framer::resume(framing, self.between, before).message_bytes_max(message_bytes_max);
        self.framer = Some(framer);
        Ok(())
    }

    /// The unfinished message with what comes behind it, and how many bytes of it are new.
    fn read(&mut self, max_bytes: usize) -> Result<(Vec<u8>, usize)> {
        // An unfinished message doubles with each read, so that long ones are not scanned for ever.
        let most = max_bytes.min(READ_BYTES_MAX).max(self.carry.len());
        let end = if self.ends { self.len } else { u64::MAX };
        let most = (most as u64).min(end.saturating_sub(self.at)) as usize;
        let mut block = std::mem::take(&mut self.carry);
        let read =
            read_at(self.file(), self.at, &mut block, most).map_err(|e| io_error("read", &self.path, e))?;
        self.at += read as u64;
        Ok((block, read))
    }

    /// The messages of a block, if there are any; an empty block stands for the carry.
    fn frame(&mut self, block: Vec<u8>, last: bool) -> Option<Framed> {
        let mut block = if block.is_empty() { std::mem::take(&mut self.carry) } else { block };
        let base = self.at - block.len() as u64;
        let mut frames = Frames::default();
        let framer = self.framer.as_mut().expect("reading has begun");
        let consumed = framer.scan(&block, base, last, &mut frames);
        self.carry = block[consumed..].to_vec();
        if frames.values.is_empty() {
            return None;
        }
        // A followed file brings a few bytes at a time: do not hold a whole read's memory for them.
        if block.capacity() / 2 > block.len() {
            block.shrink_to_fit();
        }
        Some(Framed { block, frames })
    }

    fn metadata(&self) -> Result<Metadata> {
        self.file().metadata().map_err(|e| io_error("look at", &self.path, e))
    }

    /// What became of the file at whose end we are.
    fn changed(&self) -> Result<Change> {
        let ours = self.metadata()?;
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
        Ok(self.metadata()?.len() > self.at)
    }

    /// Goes on at the start of the file that now bears the name.
    fn start_over(&mut self, change: Change) {
        self.framer = None;
        self.between = self.reading.start();
        self.carry = Vec::new();
        self.arrivals = Arrivals::default();
        (self.at, self.len, self.opened_len) = (0, 0, 0);
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

/// See [`Reader::unread`].
#[derive(Clone, Default)]
pub struct Unread {
    file: Option<Arc<File>>,
    len: u64,
    at: u64,
}

impl Unread {
    pub fn bytes(&self) -> u64 {
        let len = self.file.as_ref().and_then(|file| file.metadata().ok()).map_or(self.len, |m| m.len());
        len.saturating_sub(self.at)
    }
}

impl Range {
    /// Reads and frames it. Of a file that was cut short meanwhile what is left.
    pub fn frame(&self) -> Result<Framed> {
        let mut block = Vec::with_capacity((self.to - self.from) as usize);
        loop {
            let at = self.from + block.len() as u64;
            let left = (self.to - at) as usize;
            let failed = |e| io_error("read", &self.path, e);
            if left == 0 || read_at(&self.file, at, &mut block, left).map_err(failed)? == 0 {
                break;
            }
        }
        let mut frames = Frames::default();
        let framer = Framer::resume(self.reading.framing, Between::Message, Before::START);
        let mut framer = framer.message_bytes_max(self.reading.message_bytes_max);
        framer.scan(&block, self.from, true, &mut frames);
        Ok(Framed { block, frames })
    }
}

/// What framing has to know of the bytes before `from`.
fn before(file: &File, from: u64) -> io::Result<Before> {
    let mut before = Before { newline: from == 0, significant: 0 };
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
