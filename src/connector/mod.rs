//! Connectors carry bytes, both directions; they never look into a payload beyond its framing.

pub mod file;
pub mod framing;
pub mod generator;
pub mod log;
mod read_at;
pub mod stdin;

use crate::batch::MessageBatch;
use crate::error::{Error, Result, reason};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

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
    /// appended later is read by the worker `partition % of`, files that appear later by worker 0.
    Part { index: usize, of: usize },
    /// Everything, partition after partition, each in offset order.
    All,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
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

/// What a place held at opening. Surveyed once and given to every worker, so that all split alike.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Survey {
    /// Files in the order of their partitions, with their sizes in bytes.
    pub files: Vec<(PathBuf, u64)>,
}

/// Looks at what a place holds now. `once`: nothing will come later, so that a pattern without files
/// and a generator without an end are refused.
pub fn survey(place: &Place, once: bool) -> Result<Survey> {
    match place {
        Place::File { path, follow, .. } => file::survey(path, *follow && !once),
        Place::Generator(spec) if once && spec.rows.is_none() => Err(generator::endless()),
        _ => Ok(Survey::default()),
    }
}

/// Opens a topic for reading as it was surveyed.
pub fn open_surveyed(place: &Place, opening: Opening, survey: &Survey) -> Result<Box<dyn Source>> {
    Ok(match place {
        Place::File { path, framing, header, follow } => {
            Box::new(file::open(path, *framing, *header, *follow, opening, survey)?)
        }
        Place::Log { dir, .. } => Box::new(log::open(dir, opening)?),
        Place::Generator(spec) => Box::new(generator::open(spec, opening)?),
        Place::Stdin { framing, header } => Box::new(stdin::open(*framing, *header, opening)?),
    })
}

/// Opens a topic for reading by a single worker; several have to share a [`survey`].
pub fn open(place: &Place, opening: Opening) -> Result<Box<dyn Source>> {
    open_surveyed(place, opening, &survey(place, false)?)
}

pub(crate) fn io_error(doing: &str, path: &Path, error: std::io::Error) -> Error {
    Error::runtime(format!("cannot {doing} {}: {}", path.display(), reason(&error)))
}
