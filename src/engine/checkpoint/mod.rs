//! Checkpoints: the state of all tables, the positions of all sources and the ends of all logs at one
//! closed tick, so that the next start goes on as if there had been no end.
//!
//! ```text
//! DATA/checkpoints/<number>/manifest     CRC-32 of the rest in hexadecimal, a line break, JSON
//! DATA/checkpoints/<number>/t<n>/        a table (see render/snapshot.rs)
//! DATA/statements/                       a log: what was asked for while the engine ran
//! ```
//! A directory gets its number only when all in it is on disk; until then it ends in `.tmp`.
//!
//! How a tick is agreed on: process 0 names one a little ahead, and each worker notes its readers'
//! positions when it passes that tick. One that had passed it already says so, and a later one is named.
//! When the tick is closed everywhere, state and logs are exactly what came of those positions.

mod outlets;
mod statements;
mod taker;
mod underway;

pub use outlets::{Outlet, Outlets};
pub use statements::{Asked, Statements};
pub use taker::{Checkpoints, Resumed};
pub use underway::Underway;

use crate::connector::log::{Ends, ends};
use crate::connector::{Position, Split};
use crate::error::{Error, Result, reason};
use crate::render::Tick;
use crate::render::snapshot::{Entries, elements_dir, states_dir};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Older ones are deleted.
const KEPT: usize = 3;
/// Changes whenever what is kept does.
const VERSION: u32 = 2;

/// What a checkpoint says of itself.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    version: u32,
    pub number: u64,
    /// What a message that has no time of its own got as ROWTIME, if it was there at the first start.
    pub started_ms: i64,
    /// How many of the statements in the log it contains.
    pub statements: u64,
    /// Ordinals of streams and tables, by name: positions in tables' states name them.
    pub ordinals: BTreeMap<String, u32>,
    /// Persistent queries, by what they write and what they compute.
    pub queries: BTreeMap<String, Known>,
    /// Readers of topics, by name.
    pub sources: BTreeMap<String, Position>,
    /// Of each worker, the entries of each table.
    pub tables: BTreeMap<usize, Vec<Entries>>,
    /// Logs that queries write, by their places in the data directory: how many records each partition
    /// has had.
    pub logs: BTreeMap<String, Ends>,
    pub rejects: Ends,
    /// Of the logs that are outboxes: where what is in them goes.
    pub outlets: BTreeMap<String, Outlet>,
}

/// A query that a checkpoint contains.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Known {
    /// Its table's number.
    pub table: Option<usize>,
    /// It came when others had begun, and reads the past by itself.
    pub late: bool,
    /// The checkpoint that its first start went on from; 0: none.
    pub since: u64,
}

/// What is told of the last one.
#[derive(Clone, Copy, Debug)]
pub struct Taken {
    pub number: u64,
    pub bytes: u64,
    pub took: Duration,
    /// When it was last known that it holds all that has been read.
    pub current: Instant,
}

/// What one worker adds to a checkpoint.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Part {
    pub worker: usize,
    pub sources: BTreeMap<String, Position>,
    pub tables: Vec<Entries>,
    pub logs: Vec<(String, u32, i64)>,
    pub rejects: (u32, i64),
}

/// What a worker says to a checkpoint.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Report {
    /// It had passed the tick already, so many microseconds ago.
    Missed {
        late: Tick,
    },
    Failed(Error),
    Part(Box<Part>),
}

impl Manifest {
    pub fn new(number: u64, started_ms: i64) -> Manifest {
        Manifest { version: VERSION, number, started_ms, ..Manifest::default() }
    }

    pub fn add(&mut self, part: Part) {
        for (name, position) in part.sources {
            self.sources.entry(name).or_default().merge(position);
        }
        for (topic, partition, end) in part.logs {
            self.logs.entry(topic).or_default().insert(partition, end);
        }
        self.rejects.insert(part.rejects.0, part.rejects.1);
        self.tables.insert(part.worker, part.tables);
    }

    /// Parts of one partition in order, so that what the workers say in any order is written alike.
    fn sort(&mut self) {
        let place = |split: &Split| (split.partition, split.next);
        self.sources.values_mut().for_each(|position| position.splits.sort_by_key(place));
    }
}

/// A log's place in the data directory: `topics/NAME`, `outbox/NAME`.
pub fn name_of(log: &Path) -> String {
    let last = |path: &Path| path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into());
    format!("{}/{}", log.parent().map_or_else(String::new, last), last(log))
}

/// What names this data directory on clusters: made up at its first use.
pub fn identity(data_dir: &Path) -> Result<String> {
    let path = data_dir.join("id");
    match std::fs::read_to_string(&path) {
        Ok(id) if !id.trim().is_empty() => return Ok(id.trim().into()),
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
            return Err(Error::runtime(format!("cannot read {}: {}", path.display(), reason(&e))));
        }
        _ => {}
    }
    let now = std::time::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_nanos());
    let here = (now, std::process::id(), data_dir.to_path_buf());
    let id = format!("{:016x}", xxhash_rust::xxh3::xxh3_64(format!("{here:?}").as_bytes()));
    std::fs::write(&path, &id)
        .map_err(|e| Error::runtime(format!("cannot write {}: {}", path.display(), reason(&e))))?;
    Ok(id)
}

/// Takes away what waits to be delivered, and the name under which it would have been.
pub fn forget_outboxes(data_dir: &Path) -> Result<()> {
    super::coordinator::clear(&data_dir.join("outbox"))?;
    let id = data_dir.join("id");
    match std::fs::remove_file(&id) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
            Err(Error::runtime(format!("cannot delete {}: {}", id.display(), reason(&e))))
        }
        _ => Ok(()),
    }
}

pub fn directory(data_dir: &Path) -> PathBuf {
    data_dir.join("checkpoints")
}

fn of_number(data_dir: &Path, number: u64) -> PathBuf {
    directory(data_dir).join(number.to_string())
}

/// A checkpoint and its directory.
pub type Found = (Manifest, PathBuf);

/// The newest checkpoint that is whole, and what was wrong with newer ones.
pub fn newest(data_dir: &Path) -> Result<(Option<Found>, Vec<String>)> {
    let mut damaged = Vec::new();
    for number in numbers(data_dir)?.into_iter().rev() {
        let dir = of_number(data_dir, number);
        match load(&dir) {
            Ok(manifest) => return Ok((Some((manifest, dir)), damaged)),
            Err(error) => damaged.push(format!("checkpoint {number} is damaged: {}", error.message)),
        }
    }
    match damaged.first() {
        None => Ok((None, damaged)),
        Some(first) => {
            Err(Error::runtime(format!("no checkpoint in {} is whole: {first}", data_dir.display()))
                .hint("remove its checkpoints directory: then everything is computed from the start again"))
        }
    }
}

/// Finished checkpoints, ascending.
fn numbers(data_dir: &Path) -> Result<Vec<u64>> {
    let mut numbers: Vec<u64> = names(data_dir)?.iter().filter_map(|name| name.parse().ok()).collect();
    numbers.sort_unstable();
    Ok(numbers)
}

/// Takes away what an earlier start was at when it ended.
fn remove_unfinished(data_dir: &Path) -> Result<()> {
    let unfinished = names(data_dir)?.into_iter().filter(|name| name.ends_with(".tmp"));
    unfinished.map(|name| directory(data_dir).join(name)).try_for_each(|dir| super::coordinator::clear(&dir))
}

fn names(data_dir: &Path) -> Result<Vec<String>> {
    let dir = directory(data_dir);
    match std::fs::read_dir(&dir) {
        Ok(entries) => Ok(entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect()),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(e) => Err(Error::runtime(format!("cannot read {}: {}", dir.display(), reason(&e)))),
    }
}

fn read(dir: &Path) -> Result<Manifest> {
    let text = std::fs::read_to_string(dir.join("manifest")).map_err(|e| wrong(&reason(&e)))?;
    let (crc, json) = text.split_once('\n').ok_or_else(|| wrong("its manifest is cut off"))?;
    if crc != format!("{:08x}", crc32fast::hash(json.as_bytes())) {
        return Err(wrong("its manifest does not agree with its checksum"));
    }
    let manifest: Manifest =
        serde_json::from_str(json).map_err(|e| wrong(&format!("its manifest cannot be read: {e}")))?;
    if manifest.version != VERSION {
        return Err(wrong(&format!("it has version {}, this is version {VERSION}", manifest.version)));
    }
    Ok(manifest)
}

fn wrong(what: &str) -> Error {
    Error::runtime(what)
}

/// Reads a manifest, and makes sure that all is there that it tells of.
fn load(dir: &Path) -> Result<Manifest> {
    let manifest = read(dir)?;
    let tables = manifest.tables.values().map(Vec::len).max().unwrap_or(0);
    for table in 0..tables {
        let of = |count: fn(&Entries) -> i64| -> Ends {
            let all = manifest.tables.iter();
            all.map(|(worker, tables)| (*worker as u32, count(&tables[table])))
                .filter(|(_, n)| *n > 0)
                .collect()
        };
        for (dir, expected) in
            [(states_dir(dir, table), of(|e| e.states)), (elements_dir(dir, table), of(|e| e.elements))]
        {
            let mut found = ends(&dir)?;
            found.retain(|_, end| *end > 0);
            if found != expected {
                return Err(wrong(&format!("{} does not have all that was written", dir.display())));
            }
        }
    }
    Ok(manifest)
}
