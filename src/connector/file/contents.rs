//! What is in a file that is packed: one stream of bytes, from its start to its end.

use crate::connector::read_at::read_at;
use memchr::memchr;
use std::fs::File;
use std::io::{self, BufReader, ErrorKind, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

const GZIP: &[u8] = &[0x1f, 0x8b];
const ZSTD: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packing {
    Plain,
    Gzip,
    Zstd,
}

impl Packing {
    /// As the first bytes of a file say. `None`: they are too few to say it.
    pub fn of(head: &[u8]) -> Option<Packing> {
        for (magic, packing) in [(GZIP, Packing::Gzip), (ZSTD, Packing::Zstd)] {
            if head.starts_with(magic) {
                return Some(packing);
            }
            if !head.is_empty() && magic.starts_with(head) {
                return None;
            }
        }
        Some(Packing::Plain)
    }
}

/// Reads a file from its start. Where nothing more is there yet, the read would block.
pub struct Cursor {
    file: Arc<File>,
    /// How far it has come; others look at it.
    at: Arc<AtomicU64>,
    /// `None`: the file may grow.
    end: Option<u64>,
}

impl Cursor {
    pub fn new(file: &Arc<File>, end: Option<u64>) -> Cursor {
        Cursor { file: Arc::clone(file), at: Arc::default(), end }
    }

    /// Where it is told how far it has come.
    pub fn place(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.at)
    }
}

impl Read for Cursor {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let at = self.at.load(Ordering::Relaxed);
        let most = self.end.map_or(u64::MAX, |end| end.saturating_sub(at)).min(into.len() as u64) as usize;
        let mut block = Vec::new();
        let read = read_at(&self.file, at, &mut block, most)?;
        into[..read].copy_from_slice(&block);
        self.at.store(at + read as u64, Ordering::Relaxed);
        match read {
            0 if self.end.is_none() && most > 0 => Err(ErrorKind::WouldBlock.into()),
            read => Ok(read),
        }
    }
}

/// The bytes that a file stands for, one pack behind the other.
pub fn unpacked(cursor: Cursor, packing: Packing) -> io::Result<Box<dyn Read + Send>> {
    let packed = BufReader::with_capacity(64 << 10, cursor);
    Ok(match packing {
        Packing::Plain => Box::new(packed),
        Packing::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(packed)),
        Packing::Zstd => Box::new(zstd::stream::read::Decoder::with_buffer(packed)?),
    })
}

/// Reads until so many bytes are there, there are no more, or none for now. Whether it is the end.
pub fn fill(from: &mut dyn Read, into: &mut Vec<u8>, most: usize) -> io::Result<bool> {
    let start = into.len();
    into.resize(start + most, 0);
    let mut filled = start;
    let end = loop {
        if filled == into.len() {
            break Ok(false);
        }
        match from.read(&mut into[filled..]) {
            Ok(0) => break Ok(true),
            Ok(read) => filled += read,
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            Err(e) if e.kind() == ErrorKind::WouldBlock => break Ok(false),
            Err(e) => break Err(e),
        }
    };
    into.truncate(filled);
    end
}

/// No first line is longer.
const LINE_BYTES_MAX: usize = 64 << 10;

/// The first line of what is in a file; what it has of one, and whether that is all.
pub fn first_line_of(cursor: Cursor, packing: Packing) -> io::Result<(Vec<u8>, bool)> {
    let mut line = Vec::new();
    let ended = fill(&mut *unpacked(cursor, packing)?, &mut line, LINE_BYTES_MAX)?;
    match memchr(b'\n', &line) {
        Some(newline) => line.truncate(newline),
        None if ended || line.len() == LINE_BYTES_MAX => {}
        None => return Ok((line, false)),
    }
    Ok((line, true))
}

/// Of a file that has so many bytes.
pub fn first_line(path: &Path, len: u64) -> io::Result<Vec<u8>> {
    let file = Arc::new(File::open(path)?);
    let mut head = Vec::new();
    read_at(&file, 0, &mut head, 4)?;
    let packing = Packing::of(&head).unwrap_or(Packing::Plain);
    Ok(first_line_of(Cursor::new(&file, Some(len)), packing)?.0)
}
