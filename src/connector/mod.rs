//! Connectors carry bytes, both directions; they never look into a payload beyond its framing.

pub mod archive;
mod cluster;
pub mod dealing;
pub mod file;
pub mod framing;
pub mod generator;
#[cfg_attr(not(feature = "kafka"), path = "kafka_absent.rs")]
pub mod kafka;
pub mod log;
pub mod memory;
pub mod opensearch;
mod position;
mod read_at;
mod singly;
pub mod stdin;

use crate::batch::MessageBatch;
use crate::dialect::Dialect;
use crate::error::{Error, Result, reason};
pub use cluster::{BOOTSTRAP, Cluster, Notes, Setting};
pub use dealing::{Dispensers, Moment, ReadTo, Team, Ticket};
pub use position::{Position, Split};
use serde::{Deserialize, Serialize};
pub use singly::Singly;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Where a topic lives: a connector is one variant here, one arm in [`open`], and one in [`writer`] if
/// it can be written to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Place {
    /// A file, a directory or a glob; each file is a partition, in the order of their names.
    File {
        path: PathBuf,
        framing: Framing,
        /// The first line is no record.
        header: bool,
        follow: bool,
        dialect: Dialect,
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
        dialect: Dialect,
    },
    /// A topic on a cluster, under the name that it has there.
    Kafka {
        cluster: Cluster,
        topic: String,
    },
    /// Events of one kind in an archive.
    Archive {
        shelf: archive::shelf::Shelf,
        /// `mfp.FoodEntryCreated`
        event: String,
    },
    /// What is written here is published as an event, wherever that lives: a gateway takes it.
    Event {
        event: String,
    },
    /// What is written here is made, and goes nowhere: what a query costs without its sink.
    Blackhole,
    /// In the memory of a script that is tested.
    Memory {
        space: u64,
        topic: String,
    },
}

/// How a topic is laid out where it is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layout {
    pub partitions: u32,
    /// `None`: as many as the cluster sees fit.
    pub replicas: Option<u16>,
}

impl Default for Layout {
    fn default() -> Layout {
        Layout { partitions: 1, replicas: None }
    }
}

impl Place {
    /// Whether [`writer`] can write there.
    pub fn is_writable(&self) -> bool {
        matches!(self, Place::Log { .. } | Place::Kafka { .. } | Place::Event { .. } | Place::Memory { .. })
    }

    /// How text is laid out there, where somebody else has written it.
    pub fn dialect(&self) -> Option<&Dialect> {
        match self {
            Place::File { dialect, .. } | Place::Stdin { dialect, .. } => Some(dialect),
            _ => None,
        }
    }

    /// The place as it is read for values of separated fields with that delimiter, or for others: they
    /// are records that may span lines, unless it is said otherwise.
    pub fn framed_for(mut self, delimiter: Option<u8>) -> Place {
        if let Place::File { framing, dialect, .. } | Place::Stdin { framing, dialect, .. } = &mut self {
            *framing = match (*framing, delimiter) {
                (Framing::Default | Framing::Csv(_), Some(delimiter)) => {
                    Framing::Csv(Csv { delimiter, quote: dialect.quote })
                }
                (Framing::Default, None) => Framing::Line,
                (framing, _) => framing,
            };
        }
        self
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Framing {
    /// Nobody has said: what the format of the values suggests, else lines.
    Default,
    /// A line is a message.
    Line,
    /// A JSON value is a message; it may span lines.
    Json,
    /// A record of separated fields is a message; quoted ones may span lines.
    Csv(Csv),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Csv {
    pub delimiter: u8,
    /// `None`: nothing is a quote, and a record is a line.
    pub quote: Option<u8>,
}

/// How text is cut into messages.
#[derive(Clone, Copy, Debug)]
pub struct TextLayout {
    pub framing: Framing,
    /// The first line is no message.
    pub header: bool,
    /// It names the columns.
    pub names: bool,
}

impl TextLayout {
    fn of(framing: Framing, header: bool, dialect: &Dialect) -> TextLayout {
        TextLayout { framing, header: header || dialect.names, names: dialect.names }
    }
}

/// What the generator makes; the same for the same seed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GeneratorSpec {
    /// One of [`generator::FEEDS`].
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
    /// How close Nexmark's events lie in their own time, whatever the rate at which they come.
    pub events_per_second: Option<u64>,
}

/// Which part of a topic this worker reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Share {
    /// Part `index` of `of`: partitions `partition % of`, or what of them is dealt to it (see [`dealing`]).
    Part { index: usize, of: usize },
    /// Everything, partition after partition, each in offset order.
    All,
}

impl Share {
    /// Index and number of the parts.
    pub fn of(self) -> (usize, usize) {
        match self {
            Share::Part { index, of } => (index, of),
            Share::All => (0, 1),
        }
    }
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

    /// Whether records that are read from now on come with their headers, where the place has any.
    fn read_headers(&mut self, _wanted: bool) {}

    /// How far partitions have come in time. Of those that are not caught up, the one that is furthest behind is
    /// read next, as far as this can choose; one that is not named has not begun.
    fn prefer_behind(&mut self, _reached: BTreeMap<i32, i64>) {}

    /// Bytes to read in all by this share, as far as known: for progress and for planning.
    fn bytes_expected(&self) -> Option<u64>;

    /// The same for one worker of a team; what it reads belongs to this moment or a later one.
    fn deal(&mut self, max_bytes: usize, now_ms: i64, _moment: Moment) -> Result<Dealt> {
        Ok(match self.poll(max_bytes, now_ms)? {
            Poll::Messages(messages) => Dealt::Messages(messages, None),
            Poll::Pending => Dealt::Pending,
            Poll::Done => Dealt::Done,
        })
    }

    /// How far this share has read, as far as it is this one's to say. `None`: that is not known yet, or
    /// what was read cannot be read again.
    fn position(&self) -> Option<ReadTo>;

    /// How much is there that this share has not read. `None`: that is not known. Never blocks.
    fn lag(&self, now_ms: i64) -> Option<Lag>;

    /// Whether a poll that had nothing was at the end of what is known to be there: what has to be fetched first
    /// may still be on its way.
    fn is_at_end(&self) -> bool {
        true
    }
}

/// How far a reader is behind, in what its place can tell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Lag {
    pub records: Option<u64>,
    pub bytes: Option<u64>,
}

impl Lag {
    pub fn records(records: u64) -> Lag {
        Lag { records: Some(records), bytes: None }
    }

    pub fn bytes(bytes: u64) -> Lag {
        Lag { records: None, bytes: Some(bytes) }
    }

    pub fn is_some(self) -> bool {
        self.records.unwrap_or(0) + self.bytes.unwrap_or(0) > 0
    }

    /// What two readers have to read together.
    pub fn plus(self, other: Lag) -> Lag {
        let sum = |a: Option<u64>, b: Option<u64>| [a, b].into_iter().flatten().reduce(|a, b| a + b);
        Lag { records: sum(self.records, other.records), bytes: sum(self.bytes, other.bytes) }
    }
}

#[expect(
    clippy::large_enum_variant,
    reason = "there is one at a time, and nearly always it is the large one"
)]
pub enum Poll {
    Messages(MessageBatch),
    /// Nothing now; more may come.
    Pending,
    /// Nothing more will come.
    Done,
}

/// What one worker of a team gets.
// It is taken apart where it is returned; a box would be one more allocation a block.
#[allow(clippy::large_enum_variant)]
pub enum Dealt {
    /// Messages, with the ticket of the block that they are where several workers are dealt blocks of their
    /// partition. A block may have no message in it.
    Messages(MessageBatch, Option<Ticket>),
    /// Nothing now; more may come.
    Pending,
    /// Another worker has what this one waits for; it is woken when it may go on.
    Busy,
    /// Nothing more will come.
    Done,
}

/// What a place held at opening. Surveyed once and given to every worker, so that all split alike.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Survey {
    /// Files in the order of their partitions, with their sizes in bytes.
    pub files: Vec<(PathBuf, u64)>,
    /// Of a topic on a cluster: the first offset and the one behind the last of each partition.
    /// `None`: not known yet.
    pub marks: Option<Vec<(i64, i64)>>,
    /// Where an earlier run stopped.
    pub resumed: Option<Position>,
    /// When this start looked, milliseconds.
    pub at_ms: i64,
}

/// Looks at what a place holds now. `once`: nothing will come later, so that a pattern without files
/// and a generator without an end are refused.
pub fn survey(place: &Place, once: bool) -> Result<Survey> {
    match place {
        Place::File { path, follow, .. } => file::survey(path, *follow && !once),
        Place::Generator(spec) if once && spec.rows.is_none() => Err(generator::endless()),
        Place::Kafka { cluster, topic } => kafka::survey(cluster, topic),
        _ => Ok(Survey::default()),
    }
}

/// The partitions of which a reader will have something, as far as that is known before it has begun. One that
/// turns out to have nothing is no harm.
pub fn expected(place: &Place, survey: &Survey) -> Vec<i32> {
    match place {
        Place::File { .. } => file::expected(survey),
        Place::Kafka { .. } => {
            let marks = survey.marks.iter().flatten();
            marks.zip(0..).filter(|((low, high), _)| low < high).map(|(_, partition)| partition).collect()
        }
        Place::Log { partitions, .. } => (0..*partitions as i32).collect(),
        Place::Memory { .. } => vec![0],
        _ => Vec::new(),
    }
}

/// Finds out what became of what an earlier run has read, which the survey says.
pub fn recognise(place: &Place, survey: &mut Survey) -> Result<()> {
    match place {
        Place::File { .. } => file::recognise(survey),
        _ => Ok(()),
    }
}

/// The first lines of the files that are there.
pub fn first_lines(place: &Place) -> Result<Vec<(PathBuf, Vec<u8>)>> {
    match place {
        Place::File { path, .. } => file::first_lines(path),
        _ => Ok(Vec::new()),
    }
}

/// Opens one worker's reader of a topic as it was surveyed.
pub fn open_surveyed(
    place: &Place,
    opening: Opening,
    survey: &Survey,
    team: &Team,
) -> Result<Box<dyn Source>> {
    Ok(match place {
        Place::File { path, framing, header, follow, dialect } => {
            let layout = TextLayout::of(*framing, *header, dialect);
            Box::new(file::open(path, layout, *follow, opening, survey, team))
        }
        Place::Log { dir, .. } => Box::new(log::open(dir, opening, survey)?),
        Place::Generator(spec) => Box::new(generator::open(spec, opening, survey, team)?),
        Place::Stdin { framing, header, dialect } => {
            Box::new(stdin::open(TextLayout::of(*framing, *header, dialect), opening)?)
        }
        Place::Kafka { cluster, topic } => Box::new(kafka::open(cluster, topic, opening, survey)?),
        Place::Archive { shelf, event } => Box::new(archive::open(shelf, event, opening, survey)?),
        Place::Blackhole => return Err(Error::topology("nothing can be read from a blackhole")),
        Place::Event { event } => {
            return Err(Error::topology(format!("event {event} is read where its records are")));
        }
        Place::Memory { space, topic } => Box::new(memory::open(*space, topic, opening, team)?),
    })
}

/// The same for a topic that is written meanwhile, and read to the end that it has when nobody writes it any more: a
/// poll that finds nothing has looked.
pub fn open_behind(place: &Place, opening: Opening, survey: &Survey, team: &Team) -> Result<Box<dyn Source>> {
    match place {
        Place::Log { dir, .. } => Ok(Box::new(log::open_impatient(dir, opening, survey)?)),
        _ => open_surveyed(place, opening, survey, team),
    }
}

/// Opens all of a topic for reading by one reader.
pub fn open(place: &Place, opening: Opening) -> Result<Box<dyn Source>> {
    open_surveyed(place, opening, &survey(place, false)?, &Team::alone())
}

/// A record to write.
#[derive(Clone, Copy, Debug, Default)]
pub struct Record<'r> {
    /// Milliseconds since the epoch.
    pub timestamp: i64,
    pub key: Option<&'r [u8]>,
    pub value: Option<&'r [u8]>,
    /// A block of [`crate::headers`]; empty: there are none.
    pub headers: &'r [u8],
}

/// Writes records to partitions of one topic. What is not written yet is named by epochs: numbers that
/// ascend as the caller goes on.
pub trait Writer: Send {
    /// Takes a record, unless there is no room for it now.
    fn append(&mut self, epoch: u64, partition: u32, record: &Record) -> Result<Room>;

    /// Moves on what was taken, without waiting for it. Returns the least epoch of which something is
    /// not written yet.
    fn flush(&mut self) -> Result<Option<u64>>;

    /// The offset that the next record of each partition gets, where that is this writer's to say.
    fn ends(&self) -> Vec<(u32, i64)>;
}

/// Why a single record is not on its cluster.
#[derive(Clone, Debug, PartialEq)]
pub enum Unposted {
    /// Trying again later may help.
    Away(String),
    Refused(Error),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Room {
    Taken,
    /// Nothing was taken: try again after a [`Writer::flush`] and a little time.
    Full,
}

/// Opens the share of a topic's partitions that is this worker's for writing.
pub fn writer(place: &Place, layout: Layout, share: Share) -> Result<Box<dyn Writer>> {
    let is_mine = |partition: &u32| match share {
        Share::Part { index, of } => *partition as usize % of == index,
        Share::All => true,
    };
    Ok(match place {
        Place::Log { dir, .. } => {
            let mine = (0..layout.partitions).filter(is_mine);
            Box::new(log::LogWriter::open(dir, mine, log::LogOptions::default())?.0)
        }
        Place::Kafka { cluster, topic } => Box::new(kafka::writer(cluster, topic, layout)?),
        // A worker writes its part for queries, a client writes all.
        Place::Memory { space, topic } => Box::new(memory::writer(*space, topic, share != Share::All)?),
        _ => return Err(Error::topology("only a log or a topic on a cluster can be written to")),
    })
}

pub(crate) fn io_error(doing: &str, path: &Path, error: std::io::Error) -> Error {
    Error::runtime(format!("cannot {doing} {}: {}", path.display(), reason(&error)))
}

/// What a directory holds, in order; nothing if it is not there.
pub(crate) fn entries(dir: &Path) -> Result<Vec<PathBuf>> {
    let failed = |e| io_error("read directory", dir, e);
    let mut found = match std::fs::read_dir(dir) {
        Ok(entries) => entries.map(|entry| Ok(entry.map_err(failed)?.path())).collect::<Result<Vec<_>>>()?,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Vec::new(),
        Err(e) => return Err(failed(e)),
    };
    found.sort();
    Ok(found)
}
