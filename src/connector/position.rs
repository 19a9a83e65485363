//! How far a topic is read: what a checkpoint keeps of a source, and where the next run goes on.

use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// What is known of a topic and what of it is still to be read, by all workers together.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Position {
    /// Files in the order of their partitions, with the bytes that they had when they were found.
    pub files: Vec<(PathBuf, u64)>,
    pub splits: Vec<Split>,
}

/// A part of a partition that one reader reads.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Split {
    pub partition: i32,
    /// The first offset that is not read.
    pub next: u64,
    /// The first that belongs to another reader; [`Split::OPEN`]: what is appended is this one's, too.
    pub end: u64,
    /// A message begins at `next`; else this reader's first one is that behind the next boundary.
    pub begun: bool,
}

impl Split {
    pub const OPEN: u64 = u64::MAX;
}

impl Position {
    /// Puts together what several workers say of one topic.
    pub fn merge(&mut self, other: Position) {
        // Files that appear later are found by one worker: it knows all that the others do.
        if other.files.len() > self.files.len() {
            self.files = other.files;
        }
        self.splits.extend(other.splits);
    }

    /// What worker `index` of `of` reads of it.
    pub fn share(&self, index: usize, of: usize) -> impl Iterator<Item = &Split> {
        self.splits.iter().enumerate().filter(move |(i, _)| i % of == index).map(|(_, split)| split)
    }
}
