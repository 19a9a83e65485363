//! A durable local topic: append-only files in the data directory, shared by processes without locks.
//!
//! ```text
//! DIR/<partition>/<offset of the first record, 20 digits>.log     a segment: frames, nothing else
//! frame: length u32 · crc32 u32 · offset i64 · timestamp i64 · key length u32 · value length u32 · key · value
//! ```
//! Numbers are little-endian; the length counts what follows the CRC, the CRC covers the same bytes.
//! An absent key or value has the length `u32::MAX`.
//!
//! A partition has one writer at a time. Readers need no agreement with it: a frame that is not yet
//! complete or not yet right at the end of the last segment is not there yet, and one that no writer
//! will ever complete (after a crash) is cut off when the next one opens the partition. A bad frame
//! with good ones behind it is damage, and an error.

mod frame;
mod reader;
mod segment;
mod writer;

pub use reader::{LogReader, open};
pub use writer::{LogOptions, LogWriter};

use crate::error::Result;
use std::path::Path;

/// Longer records are refused.
pub const RECORD_BYTES_MAX: usize = 64 << 20;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogInfo {
    pub partitions: u32,
    /// That are still there: a capped log deletes its oldest.
    pub records: u64,
    pub bytes: u64,
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
