//! Checkpoints: what all operators keep, the positions of all sources and the ends of all logs at one
//! closed tick, so that the next start goes on as if there had been no end.
//!
//! ```text
//! DATA/checkpoints/<number>/manifest     CRC-32 of the rest in hexadecimal, a line break, JSON
//! DATA/checkpoints/<number>/s<n>/        of a kept state (see render/snapshot.rs)
//! DATA/statements/                       a log: what was asked for while the engine ran
//! ```
//! A directory gets its number only when all in it is on disk; until then it ends in `.tmp`. What it has
//! of a state are the changes since the checkpoint before, where they are less than all of it: then the
//! manifest says where the others are.
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
pub use taker::{Checkpoints, Intervals, Resumed};
pub use underway::Underway;

use crate::catalog::Base;
use crate::connector::log::{Ends, ends};
use crate::connector::{Position, Split};
use crate::error::{Error, Result, reason};
use crate::plan::Piece;
use crate::render::Tick;
use crate::render::snapshot::{Written, state_dir};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Older ones are deleted, apart from the newest that has no file in common with the newest of all.
const KEPT: usize = 3;
/// Changes whenever what is kept does.
const VERSION: u32 = 6;

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
    /// Each kept state's pieces, whose sum it is.
    pub states: Vec<Vec<Link>>,
    /// Logs that queries write, by their places in the data directory: how many records each partition
    /// has had.
    pub logs: BTreeMap<String, Ends>,
    pub rejects: Ends,
    /// Of the logs that are outboxes: where what is in them goes.
    pub outlets: BTreeMap<String, Outlet>,
}

/// What a checkpoint, this one or an earlier one, has written of a kept state.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Link {
    pub checkpoint: u64,
    /// The state's number there.
    state: usize,
    /// How many entries, by worker; what others wrote there does not count any more.
    entries: BTreeMap<u32, i64>,
}

/// A query that a checkpoint contains.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Known {
    /// The stream or table that it writes.
    pub writes: String,
    /// The numbers of what it keeps, by name.
    pub states: BTreeMap<String, usize>,
    /// It came when others had begun, and reads the past by itself.
    pub late: bool,
    /// The checkpoint that its first start went on from; 0: none.
    pub since: u64,
    #[serde(default)]
    pub base: Base,
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
    pub states: Vec<Written>,
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
    /// Some source has not been looked at yet.
    Early(Error),
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
        for (state, written) in part.states.into_iter().enumerate() {
            self.write(state, part.worker as u32, written);
        }
    }

    fn write(&mut self, state: usize, worker: u32, written: Written) {
        let (checkpoint, links) = (self.number, &mut self.states[state]);
        if !written.changes {
            for link in links.iter_mut() {
                link.entries.remove(&worker);
            }
            links.retain(|link| !link.entries.is_empty());
        }
        if written.entries == 0 {
            return;
        }
        if links.last().is_none_or(|last| last.checkpoint != checkpoint) {
            links.push(Link { checkpoint, state, entries: BTreeMap::new() });
        }
        links.last_mut().expect("it was just pushed").entries.insert(worker, written.entries);
    }

    /// The checkpoints that it has pieces in, itself among them.
    fn links(&self) -> BTreeSet<u64> {
        let pieces = self.states.iter().flatten().map(|link| link.checkpoint);
        pieces.chain([self.number]).collect()
    }

    /// Where the pieces of all that a query keeps are, by name.
    pub fn pieces_of(&self, known: &Known, data_dir: &Path) -> BTreeMap<String, Vec<Piece>> {
        let pieces = |(name, state): (&String, &usize)| (name.clone(), self.pieces(data_dir, *state));
        known.states.iter().map(pieces).collect()
    }

    fn pieces(&self, data_dir: &Path, state: usize) -> Vec<Piece> {
        let piece = |link: &Link| Piece {
            dir: state_dir(&of_number(data_dir, link.checkpoint), link.state),
            workers: link.entries.keys().copied().collect(),
        };
        self.states.get(state).map_or_else(Vec::new, |links| links.iter().map(piece).collect())
    }

    /// Parts of one partition in order, so that what the workers say in any order is written alike.
    fn sort(&mut self) {
        let place = |split: &Split| (split.partition, split.next);
        self.sources.values_mut().for_each(|position| position.splits.sort_by_key(place));
    }
}

/// Where what is written to clusters waits to be delivered, and what is published.
pub const OUTBOXES: &str = "outbox";
pub const PUBLISHED: &str = "publish";

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
    for outboxes in [OUTBOXES, PUBLISHED] {
        super::data_dir::clear(&data_dir.join(outboxes))?;
    }
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

/// The newest checkpoint that can be used, and what is wrong with newer ones.
pub fn newest(data_dir: &Path) -> Result<(Option<Manifest>, Vec<String>)> {
    let mut unfit = Vec::new();
    for number in numbers(data_dir)?.into_iter().rev() {
        match load(data_dir, number) {
            Ok(manifest) => return Ok((Some(manifest), unfit)),
            Err(error) => unfit.push(format!("checkpoint {number} {}", error.message)),
        }
    }
    match unfit.first() {
        None => Ok((None, unfit)),
        Some(first) => {
            Err(Error::runtime(format!("no checkpoint in {} can be used: {first}", data_dir.display()))
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
    unfinished.map(|name| directory(data_dir).join(name)).try_for_each(|dir| super::data_dir::clear(&dir))
}

/// Takes away what is too old. `all`: finished checkpoints, ascending, and what each has pieces in.
fn remove_old(data_dir: &Path, all: &mut Vec<(u64, BTreeSet<u64>)>) -> Result<()> {
    let Some((_, newest)) = all.last() else { return Ok(()) };
    let apart = all.iter().rposition(|(_, links)| links.is_disjoint(newest));
    let first = all.len().saturating_sub(KEPT);
    let kept = |i: usize| i >= first || Some(i) == apart;
    let needed = all.iter().enumerate().filter(|(i, _)| kept(*i)).flat_map(|(_, (_, links))| links.clone());
    let needed: BTreeSet<u64> = needed.collect();
    let mut cleared = Ok(());
    all.retain(|(number, _)| {
        let stays = needed.contains(number);
        if !stays && cleared.is_ok() {
            cleared = super::data_dir::clear(&of_number(data_dir, *number));
        }
        stays
    });
    cleared
}

fn names(data_dir: &Path) -> Result<Vec<String>> {
    let dir = directory(data_dir);
    match std::fs::read_dir(&dir) {
        Ok(entries) => Ok(entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect()),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(e) => Err(Error::runtime(format!("cannot read {}: {}", dir.display(), reason(&e)))),
    }
}

/// Reads a manifest, and makes sure that all is there that it tells of; else says what is wrong with it.
fn load(data_dir: &Path, number: u64) -> Result<Manifest> {
    let manifest = read(data_dir, number)?;
    for link in manifest.states.iter().flatten() {
        let dir = state_dir(&of_number(data_dir, link.checkpoint), link.state);
        let found = ends(&dir).map_err(|e| damaged(&e.message))?;
        let is_there = |(worker, entries): (&u32, &i64)| found.get(worker) == Some(entries);
        if !link.entries.iter().all(is_there) {
            return Err(damaged(&format!("{} does not have all that was written", dir.display())));
        }
    }
    Ok(manifest)
}

fn read(data_dir: &Path, number: u64) -> Result<Manifest> {
    let path = of_number(data_dir, number).join("manifest");
    let text = std::fs::read_to_string(path).map_err(|e| damaged(&reason(&e)))?;
    let (crc, json) = text.split_once('\n').ok_or_else(|| damaged("its manifest is cut off"))?;
    if crc != format!("{:08x}", crc32fast::hash(json.as_bytes())) {
        return Err(damaged("its manifest does not agree with its checksum"));
    }
    let unreadable = |e: serde_json::Error| damaged(&format!("its manifest cannot be read: {e}"));
    // Before the rest, which other versions write in another way.
    let Version { version } = serde_json::from_str(json).map_err(unreadable)?;
    if version != VERSION {
        return Err(Error::runtime(format!(
            "was taken by another version of Wharfe: it is of form {version}, and this one reads {VERSION}"
        )));
    }
    serde_json::from_str(json).map_err(unreadable)
}

fn damaged(what: &str) -> Error {
    Error::runtime(format!("is damaged: {what}"))
}

/// What a manifest of any version begins with.
#[derive(Deserialize)]
struct Version {
    version: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_stay_with_what_they_are_made_of_and_one_apart() {
        let data_dir = tempfile::tempdir().unwrap();
        let mut all = Vec::new();
        let mut push = |number: u64, links: &[u64]| {
            std::fs::create_dir_all(of_number(data_dir.path(), number)).unwrap();
            all.push((number, links.iter().copied().chain([number]).collect()));
            remove_old(data_dir.path(), &mut all).unwrap();
            let kept: Vec<u64> = all.iter().map(|(number, _)| *number).collect();
            assert_eq!(kept, numbers(data_dir.path()).unwrap());
            kept
        };
        assert_eq!(push(1, &[]), [1]);
        assert_eq!(push(2, &[1]), [1, 2]);
        for number in 3..6 {
            push(number, &(1..number).collect::<Vec<_>>());
        }
        // A whole one: all that the three newest have pieces in.
        assert_eq!(push(6, &[]), [1, 2, 3, 4, 5, 6]);
        assert_eq!(push(7, &[6]), [1, 2, 3, 4, 5, 6, 7]);
        // Without a change since then: the pieces are as before.
        assert_eq!(push(8, &[6, 7]), [1, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!(push(9, &[]), [6, 7, 8, 9]);
    }

    #[test]
    fn a_worker_that_writes_all_needs_no_earlier_pieces_of_its_own() {
        let (all, changes) = (Written { changes: false, entries: 1 }, Written { changes: true, entries: 1 });
        let none = Written { changes: true, entries: 0 };
        let mut manifest = Manifest { states: vec![Vec::new()], ..Manifest::new(1, 0) };
        let mut next = |number, by: [Written; 2]| {
            manifest.number = number;
            by.into_iter()
                .enumerate()
                .for_each(|(worker, written)| manifest.write(0, worker as u32, written));
            let pieces = manifest.pieces(Path::new("D"), 0).into_iter();
            pieces.map(|piece| format!("{} {:?}", piece.dir.display(), piece.workers)).collect::<Vec<_>>()
        };
        assert_eq!(next(1, [all, all]), ["D/checkpoints/1/s0 [0, 1]"]);
        assert_eq!(next(2, [none, changes]), ["D/checkpoints/1/s0 [0, 1]", "D/checkpoints/2/s0 [1]"]);
        assert_eq!(next(3, [none, all]), ["D/checkpoints/1/s0 [0]", "D/checkpoints/3/s0 [1]"]);
        assert_eq!(next(4, [all, none]), ["D/checkpoints/3/s0 [1]", "D/checkpoints/4/s0 [0]"]);
    }
}
