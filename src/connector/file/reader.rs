//! Reads one file: what is there, then whatever is appended, as `tail -F` does.
//!
//! One worker at a time holds the reader of a file. Where lines are messages it only finds out where the
//! next block ends, and lets go: the block is then read and framed while others find theirs. Elsewhere
//! where a message begins hangs on all that comes before it, so it frames the block first. Separated
//! fields are lines until the first quote of a file. What is packed is one stream, which is unpacked and
//! framed by who holds the reader.

use super::arrival::Arrivals;
use super::contents::{Cursor, Packing, fill, first_line_of, unpacked};
use super::identity::{Head, Inode};
use super::{Reading, Result, io_error, watch::Identity};
use crate::batch::Range32;
use crate::connector::framing::{Before, Between, Framer, Frames};
use crate::connector::read_at::read_at;
use crate::connector::{Csv, Framing};
use crate::error::reason;
use memchr::{memchr, memrchr};
use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// One read is never longer than this or the unfinished message, whichever is more.
const READ_BYTES_MAX: usize = 16 << 20;
/// The end of a line is looked for in pieces of so many bytes, and so many of them.
const PIECE_BYTES: usize = 1 << 10;
const PIECES: usize = 64;
/// So much of what was read before is passed over at a time.
const PASS_BYTES: u64 = 1 << 20;

pub enum Step {
    Framed(Framed),
    /// Whole lines, to be read and framed by who was dealt them.
    Range(Range),
    /// All that is there is read; more may come.
    Dry,
    /// No message yet, though more is there.
    Passed,
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
    /// What is in it, if it was looked at already.
    block: Vec<u8>,
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
    /// A quote was found: where records end hangs on all that is before them.
    quoted: bool,
    /// What comes out of a packed file, and how much of it is still to be passed over.
    pack: Option<Pack>,
    /// A packed file that is damaged is not read on; what is to be said of it.
    damaged: bool,
    damage: Option<String>,
    pub known: Known,
}

/// What is known of a file as it was opened.
#[derive(Clone, Default)]
pub struct Known {
    pub inode: Option<Inode>,
    pub head: Head,
    pub packed: bool,
    /// The first line, where that names the columns.
    pub names: Option<Arc<[u8]>>,
}

struct Pack {
    bytes: Box<dyn Read + Send>,
    /// How far the file is read, which is further than what has come out of it.
    place: Arc<AtomicU64>,
    pass: u64,
    /// The last read brought nothing.
    is_dry: bool,
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
            quoted: false,
            pack: None,
            damaged: false,
            damage: None,
            known: Known::default(),
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
        Unread { file, len: self.len.max(self.opened_len), at: self.place() }
    }

    pub fn is_caught_up(&self) -> bool {
        let is_dry = self.pack.as_ref().is_none_or(|pack| pack.is_dry);
        !self.ends && is_dry && self.place() >= self.opened_len
    }

    /// How much of the file is read, packed as it is.
    fn place(&self) -> u64 {
        self.pack.as_ref().map_or(self.at, |pack| pack.place.load(Ordering::Relaxed))
    }

    pub fn step(&mut self, max_bytes: usize) -> Result<Step> {
        let step = self.go_on(max_bytes)?;
        let most = self.place().min(Head::BYTES);
        if let Some(file) = self.file.as_ref().filter(|_| most > self.known.head.bytes) {
            self.known.head = Head::of(file, most).map_err(|e| io_error("read", &self.path, e))?;
        }
        if let Step::Finished = step {
            self.file = None;
        }
        Ok(step)
    }

    fn go_on(&mut self, max_bytes: usize) -> Result<Step> {
        loop {
            if self.finished {
                return Ok(Step::Finished);
            }
            if self.file.is_none() && !self.open()? {
                return Ok(Step::Dry);
            }
            if let Some(step) = self.cut(max_bytes)? {
                return Ok(step);
            }
            if !self.pass()? {
                return Ok(Step::Passed);
            }
            self.begin()?;
            let (block, read, end) = self.read(max_bytes)?;
            let last = self.ends && end;
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
                            None => return Ok(Step::Passed),
                        }
                    }
                }
            }
            self.finished = last;
            if let Some(framed) = self.frame(block, last || self.damaged) {
                return Ok(Step::Framed(framed));
            }
            if !last && self.pack.is_some() {
                return Ok(Step::Passed);
            }
        }
    }

    /// Opens the file, and finds out how it is packed and how its columns are named. False: it is not there,
    /// or too little of it.
    fn open(&mut self) -> Result<bool> {
        let Some(file) = self.named()? else { return Ok(false) };
        let file = Arc::new(file);
        let failed = |e| io_error("read", &self.path, e);
        let metadata = file.metadata().map_err(failed)?;
        let end = self.ends.then_some(self.len);
        let mut head = Vec::new();
        read_at(&file, 0, &mut head, 4).map_err(failed)?;
        let packing = match Packing::of(&head) {
            Some(packing) => packing,
            None if self.ends => Packing::Plain,
            None => return Ok(false),
        };
        if self.reading.names {
            // What cannot be unpacked is told when it is read.
            let line = first_line_of(Cursor::new(&file, end), packing).unwrap_or((Vec::new(), true));
            let (line, true) = line else { return Ok(false) };
            self.known.names = Some(line.into());
        }
        if packing != Packing::Plain {
            let cursor = Cursor::new(&file, end);
            let place = cursor.place();
            let bytes = unpacked(cursor, packing).map_err(failed)?;
            self.pack = Some(Pack { bytes, place, pass: self.at, is_dry: false });
        }
        self.known.inode = Some(Inode::of(&metadata));
        self.known.packed = self.pack.is_some();
        if self.opened_len == 0 && !self.ends {
            self.opened_len = metadata.len();
        }
        self.file = Some(file);
        Ok(true)
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

    /// The next lines, about `max_bytes` of them, if so many are there and lines are messages.
    fn cut(&mut self, max_bytes: usize) -> Result<Option<Step>> {
        let (from, between) = self.mark();
        let max_bytes = max_bytes.min(READ_BYTES_MAX);
        let wanted = from + max_bytes as u64;
        let quote = match self.reading.framing {
            Framing::Line | Framing::Default => None,
            Framing::Csv(Csv { quote, .. }) if !self.quoted => quote,
            Framing::Csv(_) | Framing::Json => return Ok(None),
        };
        // The start of a file has its own ways.
        if between != Between::Message || from == 0 || self.pack.is_some() {
            return Ok(None);
        }
        if wanted > self.len && !self.ends {
            self.len = self.metadata()?.len();
        }
        if wanted > self.len {
            return Ok(None);
        }
        let mut block = Vec::new();
        let to = match quote {
            None => self.line_end(wanted - 1)?,
            Some(quote) => {
                read_at(self.file(), from, &mut block, max_bytes)
                    .map_err(|e| io_error("read", &self.path, e))?;
                if memchr(quote, &block).is_some() {
                    self.quoted = true;
                    self.begin()?;
                    self.at = from + block.len() as u64;
                    self.finished = self.ends && self.at >= self.len;
                    return Ok(self.frame(block, self.finished).map(Step::Framed));
                }
                memrchr(b'\n', &block).map(|newline| from + newline as u64 + 1)
            }
        };
        let Some(to) = to else { return Ok(None) };
        self.carry = Vec::new();
        self.at = to;
        let (file, path) = (Arc::clone(self.file()), self.path.clone());
        Ok(Some(Step::Range(Range { file, path, from, to, reading: self.reading, block })))
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
            Between::Boundary | Between::ElementBoundary if self.pack.is_none() => {
                before(self.file(), self.at).map_err(|e| io_error("read", &self.path, e))?
            }
            // Nothing hangs on it, or it cannot be looked at: then the next boundary is found.
            _ => Before::START,
        };
        let framer = match self.at {
            0 => Framer::at_start(framing, self.between == Between::Line),
            _ => Framer::resume(framing, self.between, before),
        };
        self.framer = Some(framer.message_bytes_max(message_bytes_max));
        Ok(())
    }

    /// Passes over what an earlier start has read of a packed file, a piece at a time. True: it has.
    fn pass(&mut self) -> Result<bool> {
        let Some(pack) = self.pack.as_mut().filter(|pack| pack.pass > 0) else { return Ok(true) };
        let mut passed = Vec::new();
        let most = pack.pass.min(PASS_BYTES) as usize;
        let ended = fill(&mut *pack.bytes, &mut passed, most);
        pack.pass -= passed.len() as u64;
        if pack.pass > 0 && (passed.is_empty() || ended.is_err()) {
            // It is shorter than it was: nothing of it is new.
            self.at -= pack.pass;
            pack.pass = 0;
        }
        Ok(pack.pass == 0)
    }

    /// The unfinished message with what comes behind it; how many bytes of it are new, and whether there
    /// are no more.
    fn read(&mut self, max_bytes: usize) -> Result<(Vec<u8>, usize, bool)> {
        // An unfinished message doubles with each read, so that long ones are not scanned for ever.
        let most = max_bytes.min(READ_BYTES_MAX).max(self.carry.len());
        let mut block = std::mem::take(&mut self.carry);
        if let Some(pack) = &mut self.pack {
            let before = block.len();
            let ended = if self.damaged { Ok(true) } else { fill(&mut *pack.bytes, &mut block, most) };
            let read = block.len() - before;
            pack.is_dry = read == 0;
            self.at += read as u64;
            return Ok(match ended {
                Ok(ended) => (block, read, ended),
                Err(error) => {
                    self.damage = Some(format!("what follows cannot be unpacked: {}", reason(&error)));
                    self.damaged = true;
                    (block, read.max(1), true)
                }
            });
        }
        let end = if self.ends { self.len } else { u64::MAX };
        let most = (most as u64).min(end.saturating_sub(self.at)) as usize;
        let read =
            read_at(self.file(), self.at, &mut block, most).map_err(|e| io_error("read", &self.path, e))?;
        self.at += read as u64;
        Ok((block, read, read == 0 || self.at >= end))
    }

    /// The messages of a block, if there are any; an empty block stands for the carry.
    fn frame(&mut self, block: Vec<u8>, last: bool) -> Option<Framed> {
        let mut block = if block.is_empty() { std::mem::take(&mut self.carry) } else { block };
        let base = self.at - block.len() as u64;
        let mut frames = Frames::default();
        let framer = self.framer.as_mut().expect("reading has begun");
        let consumed = framer.scan(&block, base, last, &mut frames);
        self.carry = block[consumed..].to_vec();
        if let Some(damage) = self.damage.take() {
            let end = block.len() as u32;
            frames.torn.push((frames.values.len(), damage));
            frames.values.push(Range32 { start: end, end });
            frames.offsets.push(self.at as i64);
        }
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
        if ours.len() < self.place() {
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
        Ok(self.metadata()?.len() > self.place() && !self.damaged)
    }

    /// Goes on at the start of the file that now bears the name.
    fn start_over(&mut self, change: Change) {
        let path = self.path.display();
        match change {
            Change::Truncated => tracing::warn!("{path} was cut short: it is read from its start"),
            Change::Gone => {
                tracing::info!("{path} is gone: what comes to bear the name is read from its start")
            }
            Change::Replaced | Change::None => {
                tracing::info!("{path} is another file now: it is read from its start")
            }
        }
        let anew = Reader::new(self.path.clone(), 0, self.reading.start(), 0, false, self.reading);
        *self = anew;
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
    pub fn frame(mut self) -> Result<Framed> {
        let mut block = std::mem::take(&mut self.block);
        block.truncate((self.to - self.from) as usize);
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
