//! Connectors carry bytes, both directions; they never look into a payload beyond its framing.

use crate::batch::MessageBatch;
use crate::error::Result;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Where a topic lives: a connector is one variant here and one arm in [`open`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Place {
    /// A file, a directory or a glob; each file is a partition, in the order of their names.
    File {
        path: PathBuf,
        framing: Framing,
        header: bool,
        follow: bool,
    },
    /// A durable local topic in the data directory.
    Log {
        dir: PathBuf,
        partitions: u32,
    },
    /// Made up on the fly.
    Generator(GeneratorSpec),
    Stdin {
        framing: Framing,
        header: bool,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Framing {
    /// A line is a message.
    Line,
    /// A JSON value is a message; it may span lines.
    Json,
}

/// What the generator makes; the same for the same seed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GeneratorSpec {
    /// `carparks`, `carparks_historic` or `carparks_leeds`.
    pub feed: String,
    /// `None`: endless.
    pub rows: Option<u64>,
    /// Events a second; `None`: as fast as they are taken.
    pub rate: Option<f64>,
    pub seed: u64,
    /// Distinct car parks; `None`: those of the feed.
    pub car_parks: Option<u64>,
    /// Every so many rows one is spoiled.
    pub dirty_every: Option<u64>,
}

/// Which part of a topic this worker reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Share {
    /// Part `index` of `of`: files that are there at the start are split by byte ranges, what is
    /// appended later is read by the worker `partition % of`.
    Part { index: usize, of: usize },
    /// Everything, partition after partition, each in offset order.
    All,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Start {
    Earliest,
    /// Only what arrives after opening.
    Latest,
}

/// How a source is opened.
#[derive(Clone, Copy, Debug)]
pub struct Opening {
    pub share: Share,
    pub start: Start,
    /// End when all that was there at opening is read; else follow (where the place says so).
    pub bounded: bool,
    /// The timestamp of messages that are there at opening and have none of their own.
    pub opened_ms: i64,
}

/// One worker's reader of one topic.
pub trait Source {
    /// The next messages: at most about `max_bytes`, at least one message if there is one.
    /// `now_ms` is the timestamp of messages that arrived since opening and have none of their own.
    /// Never blocks.
    fn poll(&mut self, max_bytes: usize, now_ms: i64) -> Result<Poll>;

    /// Bytes to read in all by this share, as far as known: for progress and for planning.
    fn bytes_expected(&self) -> Option<u64>;
}

pub enum Poll {
    Messages(MessageBatch),
    /// Nothing now; more may come.
    Pending,
    /// Nothing more will come.
    Done,
}

/// Opens a topic for reading.
pub fn open(_place: &Place, _opening: Opening) -> Result<Box<dyn Source>> {
    unimplemented!()
}
