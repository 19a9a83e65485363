//! A durable local topic: append-only files in the data directory, shared by processes without locks.
//!
//! ```text
//! DIR/<partition>/<offset of the first record, 20 digits>.log     a segment: frames, nothing else
//! frame: length u32 · crc32 u32 · offset i64 · timestamp i64 · key length u32 · value length u32 · key · value · headers
//! ```
//! Numbers are little-endian; the length counts what follows the CRC, the CRC covers the same bytes.
//! An absent key or value has the length `u32::MAX`. What follows the value is the record's headers (see
//! `headers.rs`).
//!
//! A partition has one writer at a time. Readers need no agreement with it: a frame that is not yet
//! complete or not yet right at the end of the last segment is not there yet, and one that no writer
//! will ever complete (after a crash) is cut off when the next one opens the partition. A bad frame
//! with good ones behind it is damage, and an error. Where a writer tells how far it has synced ([`Durable`]),
//! readers of its process stop there.

mod durable;
mod frame;
mod reader;
mod segment;
mod writer;

pub use durable::Durable;
pub use reader::{LogReader, open, open_impatient};
pub use writer::{LogOptions, LogWriter, truncate};

use crate::connector::io_error;
use crate::error::Result;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

/// Longer records are refused.
pub const RECORD_BYTES_MAX: usize = 64 << 20;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogInfo {
    pub partitions: u32,
    /// That are still there: a capped log deletes its oldest.
    pub records: u64,
    pub bytes: u64,
}

/// How many records each partition has had.
pub type Ends = BTreeMap<u32, i64>;

/// Checks all that a log holds.
pub fn ends(dir: &Path) -> Result<Ends> {
    let mut ends = Ends::new();
    for (number, dir) in segment::partitions(dir)? {
        let mut end = 0;
        for segment in segment::list(&dir)? {
            end = segment::scan(&segment)?.next;
        }
        ends.insert(number, end);
    }
    Ok(ends)
}

/// The offset that the next record of each partition gets. Only the last segments are read.
pub fn next_offsets(dir: &Path) -> Result<Ends> {
    let mut ends = Ends::new();
    for (number, dir) in segment::partitions(dir)? {
        let last = segment::list(&dir)?.pop();
        ends.insert(number, last.map_or(Ok(0), |last| segment::scan(&last).map(|extent| extent.next))?);
    }
    Ok(ends)
}

/// Of each partition the first offset of the oldest segment that was written to since `oldest_ms`.
pub fn newest_segments(dir: &Path, oldest_ms: i64) -> Result<Ends> {
    let mut starts = Ends::new();
    for (number, dir) in segment::partitions(dir)? {
        let is_new = |segment: &&segment::Segment| {
            let changed = segment.path.metadata().and_then(|metadata| metadata.modified());
            let since_1970 = changed.ok().and_then(|at| at.duration_since(UNIX_EPOCH).ok());
            since_1970.is_none_or(|at| at.as_millis() as i64 >= oldest_ms)
        };
        starts.extend(segment::list(&dir)?.iter().find(is_new).map(|first| (number, first.base)));
    }
    Ok(starts)
}

/// The offset of the first record that is still there, of each partition that has one.
pub fn starts(dir: &Path) -> Result<Ends> {
    let mut starts = Ends::new();
    for (number, dir) in segment::partitions(dir)? {
        starts.extend(segment::list(&dir)?.first().map(|first| (number, first.base)));
    }
    Ok(starts)
}

/// Deletes whole segments of records before an offset; a writer may be at work behind it.
pub fn delete_before(dir: &Path, partition: u32, offset: i64) -> Result<()> {
    let segments = segment::list(&dir.join(partition.to_string()))?;
    for pair in segments.windows(2).take_while(|pair| pair[1].base <= offset) {
        let path = &pair[0].path;
        std::fs::remove_file(path).map_err(|e| io_error("delete", path, e))?;
    }
    Ok(())
}

/// What would outlive a crash of the machine: files by their lengths, which only grow, and directories
/// by how much is in them.
#[derive(Default)]
pub struct Synced(BTreeMap<PathBuf, u64>);

impl Synced {
    /// Waits until all below a directory would outlive a crash of the machine.
    pub fn sync(&mut self, dir: &Path) -> Result<()> {
        let mut found = BTreeMap::new();
        self.walk(dir, &mut found)?;
        self.0 = found;
        Ok(())
    }

    fn walk(&self, dir: &Path, found: &mut BTreeMap<PathBuf, u64>) -> Result<()> {
        let failed = |e| io_error("sync", dir, e);
        let entries = match std::fs::read_dir(dir) {
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(()),
            entries => entries.map_err(failed)?,
        };
        let mut count = 0;
        for entry in entries {
            let path = entry.map_err(failed)?.path();
            count += 1;
            if path.is_dir() {
                self.walk(&path, found)?;
                continue;
            }
            let sync = |file: File| {
                let len = file.metadata()?.len();
                let known = self.0.get(&path) == Some(&len);
                if known { Ok(len) } else { file.sync_all().map(|()| len) }
            };
            match File::open(&path).and_then(sync) {
                Ok(len) => drop(found.insert(path, len)),
                // Segments that nobody needs any more are deleted meanwhile.
                Err(e) if e.kind() == ErrorKind::NotFound => {}
                Err(e) => return Err(io_error("sync", &path, e)),
            }
        }
        if self.0.get(dir) != Some(&count) {
            File::open(dir).and_then(|dir| dir.sync_all()).map_err(failed)?;
        }
        found.insert(dir.to_path_buf(), count);
        Ok(())
    }
}

/// What a log holds now; a directory that is not there is an empty log.
pub fn log_info(dir: &Path) -> Result<LogInfo> {
    let mut info = LogInfo::default();
    for (_, dir) in segment::partitions(dir)? {
        info.partitions += 1;
        let segments = segment::list(&dir)?;
        info.bytes += segments.iter().map(|segment| segment.bytes).sum::<u64>();
        if let (Some(first), Some(last)) = (segments.first(), segments.last()) {
            info.records += (segment::scan(last)?.next - first.base) as u64;
        }
    }
    Ok(info)
}

#[cfg(test)]
mod tests;
