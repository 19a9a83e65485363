//! The files of a log.

use super::frame::{Decoded, decode, holds_later};
use crate::connector::{io_error, read_at::read_at};
use crate::error::{Error, Result};
use std::fs::File;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

const SCAN_BYTES: usize = 1 << 20;

#[derive(Clone, Debug)]
pub struct Segment {
    pub path: PathBuf,
    /// The offset of its first record.
    pub base: i64,
    pub bytes: u64,
}

pub fn path_of(dir: &Path, base: i64) -> PathBuf {
    dir.join(format!("{base:020}.log"))
}

/// The partitions of a log with their directories, in order.
pub fn partitions(dir: &Path) -> Result<Vec<(u32, PathBuf)>> {
    let name_of = |path: &Path| path.file_name().and_then(|name| name.to_str()?.parse::<u32>().ok());
    let paths = entries(dir)?.into_iter();
    let mut found: Vec<_> = paths.filter_map(|path| Some((name_of(&path)?, path))).collect();
    found.retain(|(_, path)| path.is_dir());
    found.sort();
    Ok(found)
}

/// The segments of a partition, oldest first.
pub fn list(dir: &Path) -> Result<Vec<Segment>> {
    let mut segments = Vec::new();
    for path in entries(dir)? {
        let base = path.file_stem().and_then(|stem| stem.to_str()?.parse::<i64>().ok());
        let is_log = path.extension().is_some_and(|extension| extension == "log");
        // A segment may be deleted while we look: a capped log does that.
        if let (Some(base), true, Ok(metadata)) = (base, is_log, path.metadata()) {
            segments.push(Segment { path, base, bytes: metadata.len() });
        }
    }
    segments.sort_by_key(|segment| segment.base);
    Ok(segments)
}

fn entries(dir: &Path) -> Result<Vec<PathBuf>> {
    let error = |e| io_error("read directory", dir, e);
    match std::fs::read_dir(dir) {
        Ok(entries) => entries.map(|entry| Ok(entry.map_err(error)?.path())).collect(),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(Vec::new()),
        Err(e) => Err(error(e)),
    }
}

/// How far the records of a segment reach.
pub struct Extent {
    pub bytes: u64,
    /// The offset of the record that comes next.
    pub next: i64,
}

/// Checks every record. What follows the last good one is a torn tail, or else an error.
pub fn scan(segment: &Segment) -> Result<Extent> {
    scan_to(segment, i64::MAX)
}

/// As [`scan`], up to the record of that offset.
pub fn scan_to(segment: &Segment, next: i64) -> Result<Extent> {
    let error = |e| io_error("read", &segment.path, e);
    let file = File::open(&segment.path).map_err(error)?;
    let mut extent = Extent { bytes: 0, next: segment.base };
    let mut most = SCAN_BYTES;
    loop {
        let mut block = Vec::new();
        let read = read_at(&file, extent.bytes, &mut block, most).map_err(error)?;
        let mut at = 0;
        let stop = loop {
            match decode(&block, at, extent.next) {
                Decoded::Frame(frame) if extent.next < next => {
                    at = frame.end;
                    extent.next += 1;
                }
                stop => break stop,
            }
        };
        extent.bytes += at as u64;
        match stop {
            _ if extent.next >= next => return Ok(extent),
            _ if at > 0 => most = SCAN_BYTES,
            Decoded::Short(need) if need > most && read == most => most = need,
            _ => {
                check_tail(&file, segment.path.as_path(), &extent)?;
                return Ok(extent);
            }
        }
    }
}

/// Makes sure that no good record follows the place where none could be read.
pub fn check_tail(file: &File, path: &Path, extent: &Extent) -> Result<()> {
    let error = |e| io_error("read", path, e);
    let len = file.metadata().map_err(error)?.len();
    let mut tail = Vec::new();
    read_at(file, extent.bytes, &mut tail, len.saturating_sub(extent.bytes) as usize).map_err(error)?;
    // The record itself may have been completed since.
    let is_there = matches!(decode(&tail, 0, extent.next), Decoded::Frame(_));
    match !is_there && holds_later(&tail, extent.next) {
        true => Err(damaged(path, extent)),
        false => Ok(()),
    }
}

pub fn damaged(path: &Path, extent: &Extent) -> Error {
    let message =
        format!("log {} is damaged at byte {}, record {}", path.display(), extent.bytes, extent.next);
    Error::runtime(message).hint("restore the file from a copy; the records behind it are still there")
}
