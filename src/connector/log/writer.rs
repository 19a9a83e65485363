//! Appends to the partitions of a log.

use super::{RECORD_BYTES_MAX, frame, segment};
use crate::connector::{Record, Room, Writer, io_error};
use crate::error::{Error, Result};
use std::collections::{BTreeMap, VecDeque};
use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// So much is kept back before it is written without being asked to.
const BUFFER_BYTES: usize = 256 << 10;

#[derive(Clone, Copy, Debug)]
pub struct LogOptions {
    /// A segment that has so many bytes is closed and the next one begun.
    pub segment_bytes: u64,
    /// A capped log: whole segments are deleted, oldest first, so that a partition keeps about so
    /// many bytes.
    pub retention_bytes: Option<u64>,
}

impl Default for LogOptions {
    fn default() -> LogOptions {
        LogOptions { segment_bytes: 64 << 20, retention_bytes: None }
    }
}

/// The only writer of its partitions: two at a time would overwrite each other.
pub struct LogWriter {
    dir: PathBuf,
    partitions: BTreeMap<u32, Partition>,
}

impl LogWriter {
    /// Opens these partitions, and cuts off what a crash has left unfinished in them: so many bytes
    /// are returned. Nothing that was synced is ever cut.
    pub fn open(
        dir: &Path,
        partitions: impl IntoIterator<Item = u32>,
        options: LogOptions,
    ) -> Result<(LogWriter, u64)> {
        let mut writer = LogWriter { dir: dir.to_path_buf(), partitions: BTreeMap::new() };
        let mut cut = 0;
        for number in partitions {
            let (partition, bytes) = Partition::open(dir.join(number.to_string()), options)?;
            writer.partitions.insert(number, partition);
            cut += bytes;
        }
        Ok((writer, cut))
    }

    /// Returns the record's offset. Readers may see it from now on, and do from the next `flush` on.
    pub fn append(&mut self, partition: u32, record: &Record) -> Result<i64> {
        let Some(writer) = self.partitions.get_mut(&partition) else {
            let message =
                format!("partition {partition} of log {} is not open for writing", self.dir.display());
            return Err(Error::runtime(message));
        };
        writer.append(record)
    }

    /// The offset that the next record of a partition gets; `None` if it is not open here.
    pub fn next_offset(&self, partition: u32) -> Option<i64> {
        self.partitions.get(&partition).map(|partition| partition.next)
    }

    /// Hands all records to the operating system: readers see them, and they outlive this process.
    pub fn flush(&mut self) -> Result<()> {
        self.partitions.values_mut().try_for_each(Partition::flush)
    }

    /// Flushes, and waits until the records would outlive a crash of the machine.
    pub fn sync(&mut self) -> Result<()> {
        self.partitions.values_mut().try_for_each(Partition::sync)
    }
}

impl Writer for LogWriter {
    fn append(&mut self, _epoch: u64, partition: u32, record: &Record) -> Result<Room> {
        LogWriter::append(self, partition, record).map(|_| Room::Taken)
    }

    fn flush(&mut self) -> Result<Option<u64>> {
        LogWriter::flush(self).map(|()| None)
    }

    fn ends(&self) -> Vec<(u32, i64)> {
        self.partitions.iter().map(|(number, partition)| (*number, partition.next)).collect()
    }
}

/// Takes away what stands behind a partition's first `next` records; nobody may write it meanwhile. The
/// one that is appended then has the offset `next`, also where all before it were deleted.
pub fn truncate(dir: &Path, partition: u32, next: i64) -> Result<()> {
    let dir = dir.join(partition.to_string());
    let segments = segment::list(&dir)?;
    if next > 0 && segments.iter().all(|segment| segment.base > next) {
        open_segment(&segment::path_of(&dir, next))?;
    }
    for segment in segments {
        let path = &segment.path;
        if segment.base > next {
            std::fs::remove_file(path).map_err(|e| io_error("delete", path, e))?;
            continue;
        }
        let bytes = segment::scan_to(&segment, next)?.bytes;
        if bytes < segment.bytes {
            let cut = OpenOptions::new().write(true).open(path).and_then(|file| file.set_len(bytes));
            cut.map_err(|e| io_error("cut", path, e))?;
        }
    }
    Ok(())
}

struct Partition {
    dir: PathBuf,
    options: LogOptions,
    path: PathBuf,
    file: File,
    /// Bytes of the segment that are in the file.
    written: u64,
    next: i64,
    buffer: Vec<u8>,
    /// Older segments with their bytes.
    closed: VecDeque<(PathBuf, u64)>,
    is_synced: bool,
    /// Whether the segment's name is.
    is_dir_synced: bool,
}

impl Partition {
    fn open(dir: PathBuf, options: LogOptions) -> Result<(Partition, u64)> {
        std::fs::create_dir_all(&dir).map_err(|e| io_error("create directory", &dir, e))?;
        let mut segments = segment::list(&dir)?;
        let last = segments.pop();
        let (written, next, len) = match &last {
            Some(last) => {
                let extent = segment::scan(last)?;
                (extent.bytes, extent.next, last.bytes)
            }
            None => (0, 0, 0),
        };
        let path = last.map_or_else(|| segment::path_of(&dir, 0), |last| last.path);
        let file = open_segment(&path)?;
        if len > written {
            file.set_len(written).map_err(|e| io_error("cut the torn tail of", &path, e))?;
        }
        let closed = segments.into_iter().map(|segment| (segment.path, segment.bytes)).collect();
        let buffer = Vec::with_capacity(BUFFER_BYTES);
        let partition = Partition {
            dir,
            options,
            path,
            file,
            written,
            next,
            buffer,
            closed,
            is_synced: false,
            is_dir_synced: false,
        };
        Ok((partition, len - written))
    }

    fn append(&mut self, record: &Record) -> Result<i64> {
        if frame::bytes_of(record) > RECORD_BYTES_MAX {
            let message = format!("a record for log {} is longer than 64 MiB", self.dir.display());
            return Err(Error::runtime(message));
        }
        if self.written + self.buffer.len() as u64 >= self.segment_bytes() {
            self.begin_segment()?;
        } else if self.buffer.len() >= BUFFER_BYTES {
            self.flush()?;
        }
        frame::encode(self.next, record, &mut self.buffer);
        self.next += 1;
        Ok(self.next - 1)
    }

    fn segment_bytes(&self) -> u64 {
        // Whole segments are deleted, so a small cap needs small ones.
        let most = self.options.retention_bytes.map_or(u64::MAX, |bytes| bytes / 4);
        self.options.segment_bytes.min(most).max(1)
    }

    fn flush(&mut self) -> Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        // At its place, not at the end: after a failed write the next one repairs what it left.
        self.file.write_all_at(&self.buffer, self.written).map_err(|e| io_error("write", &self.path, e))?;
        self.written += self.buffer.len() as u64;
        self.buffer.clear();
        self.buffer.shrink_to(BUFFER_BYTES);
        self.is_synced = false;
        Ok(())
    }

    fn sync(&mut self) -> Result<()> {
        self.flush()?;
        if !self.is_synced {
            self.file.sync_data().map_err(|e| io_error("sync", &self.path, e))?;
            self.is_synced = true;
        }
        if !self.is_dir_synced {
            // The names of segment, partition and log are in the directories above them.
            for dir in self.dir.ancestors().take(3).filter(|dir| !dir.as_os_str().is_empty()) {
                File::open(dir).and_then(|dir| dir.sync_all()).map_err(|e| io_error("sync", dir, e))?;
            }
            self.is_dir_synced = true;
        }
        Ok(())
    }

    fn begin_segment(&mut self) -> Result<()> {
        // Only the last segment may have a torn tail.
        self.sync()?;
        let path = segment::path_of(&self.dir, self.next);
        let file = open_segment(&path)?;
        let old = std::mem::replace(&mut self.path, path);
        self.closed.push_back((old, self.written));
        self.file = file;
        self.written = 0;
        self.is_dir_synced = false;
        self.delete_oldest()
    }

    fn delete_oldest(&mut self) -> Result<()> {
        let Some(retention) = self.options.retention_bytes else { return Ok(()) };
        let mut bytes: u64 = self.closed.iter().map(|(_, bytes)| bytes).sum();
        while let Some((path, of_it)) = self.closed.front().filter(|_| bytes > retention) {
            match std::fs::remove_file(path) {
                Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                    return Err(io_error("delete", path, e));
                }
                _ => bytes -= of_it,
            }
            self.closed.pop_front();
        }
        Ok(())
    }
}

fn open_segment(path: &Path) -> Result<File> {
    let open = OpenOptions::new().write(true).create(true).truncate(false).open(path);
    open.map_err(|e| io_error("write", path, e))
}
