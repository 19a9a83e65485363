//! How far a topic is read: what a checkpoint keeps of a source, and where the next run goes on.

use super::file::{Head, Inode};
use super::framing::Between;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// What is known of a topic and what of it is still to be read, by all workers together.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Position {
    /// Files in the order of their partitions.
    pub files: Vec<ReadFile>,
    /// Of topics that are no files.
    pub splits: Vec<Split>,
    /// The greatest ROWTIME before it, of each partition that has had a row.
    pub stamps: BTreeMap<i32, i64>,
}

/// A file of a topic and how far it is read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReadFile {
    pub path: PathBuf,
    /// The bytes that it had at the first start, if it was there then.
    pub found: u64,
    /// `None`: another process tells, which reads it.
    pub mark: Option<Mark>,
    /// `None`: it was not opened yet.
    pub inode: Option<Inode>,
    pub head: Head,
    /// Offsets are those of what comes out of it.
    pub packed: bool,
}

/// A place between two messages of a file.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Mark {
    /// The first offset that is not read.
    pub next: u64,
    pub between: Between,
    /// The last time that was given to a message, milliseconds; no later one gets an earlier.
    pub time: i64,
}

/// A part of a partition that one reader reads.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Split {
    pub partition: i32,
    /// The first offset that is not read.
    pub next: u64,
    /// The first that belongs to nobody; [`Split::OPEN`]: what is appended is this one's, too.
    pub end: u64,
}

impl Split {
    pub const OPEN: u64 = u64::MAX;
}

impl ReadFile {
    /// A file that is not read yet. `found`: the bytes that it has, where it was there at the first start.
    pub fn new(path: PathBuf, found: u64) -> ReadFile {
        ReadFile { path, found, mark: None, inode: None, head: Head::default(), packed: false }
    }
}

impl Position {
    /// Puts together what several workers say of one topic.
    pub fn merge(&mut self, other: Position) {
        // Files that appear later are found by one process: it knows all that the others do.
        let (longer, other_files) = match other.files.len() > self.files.len() {
            true => (other.files, std::mem::take(&mut self.files)),
            false => (std::mem::take(&mut self.files), other.files),
        };
        self.files = longer;
        for (file, other) in self.files.iter_mut().zip(other_files) {
            if file.mark.is_none() {
                *file = other;
            }
        }
        self.splits.extend(other.splits);
        for (partition, stamp) in other.stamps {
            let known = self.stamps.entry(partition).or_insert(stamp);
            *known = (*known).max(stamp);
        }
    }
}
