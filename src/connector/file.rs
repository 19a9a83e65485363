//! A file, a directory or a glob as a topic: each file is a partition, an offset is a byte offset.
//!
//! What is there at opening is listed once ([`survey`]), so that all workers number the files alike. A
//! file belongs to the process `partition % processes`, whose workers are dealt its blocks
//! ([`dispenser`]). Files that appear later are found, numbered and read by process 0 alone: were each
//! to number them, two could come to different numbers.

mod arrival;
mod contents;
mod dispenser;
mod identity;
mod reader;
mod watch;

use super::dealing::{Dealer, Moment, ReadTo, Team};
use super::framing::Between;
use super::position::{Mark, ReadFile};
use super::{Dealt, Framing, Lag, Opening, Poll, Source, Survey, TextLayout, io_error};
use crate::error::{Error, Result};
use arrival::Arrivals;
use dispenser::Asked;
pub use dispenser::Dispenser;
pub use identity::{Head, Inode, recognise};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// How a place's files are read.
#[derive(Clone, Copy, Debug)]
struct Reading {
    framing: Framing,
    /// The first line is no message.
    header: bool,
    /// It names the columns.
    names: bool,
    message_bytes_max: usize,
    /// Files are looked at for growth at most this often.
    check_ms: i64,
}

const CHECK_MS: i64 = 5;

/// One worker's reader.
pub struct FileSource {
    dispenser: Arc<Dispenser>,
    team: Team,
    reached: Option<BTreeMap<i32, i64>>,
}

/// The files of a place in the order of their partitions, with their sizes.
pub fn survey(path: &Path, follow: bool) -> Result<Survey> {
    let files = watch::list(path)?;
    let several = path.is_dir() || watch::is_glob(path);
    if files.is_empty() && !(several && (follow || path.is_dir())) {
        let hint = if several { "no file matches the pattern" } else { "check the topic's path" };
        return Err(Error::runtime(format!("there is no file {}", path.display())).hint(hint));
    }
    Ok(Survey { files, ..Survey::default() })
}

/// The first line of each file of a place that is there and has one.
pub fn first_lines(path: &Path) -> Result<Vec<(PathBuf, Vec<u8>)>> {
    let mut lines = Vec::new();
    for (path, len) in watch::list(path)?.into_iter().filter(|(_, len)| *len > 0) {
        let line = contents::first_line(&path, len).map_err(|e| io_error("read", &path, e))?;
        lines.push((path, line));
    }
    Ok(lines)
}

/// Opens what a survey found.
pub fn open(
    path: &Path,
    layout: TextLayout,
    follow: bool,
    opening: Opening,
    survey: &Survey,
    team: &Team,
) -> FileSource {
    let TextLayout { framing, header, names } = layout;
    let message_bytes_max = super::framing::MESSAGE_BYTES_MAX;
    let header = header || names;
    let reading = Reading { framing, header, names, message_bytes_max, check_ms: CHECK_MS };
    open_reading(path, reading, follow, opening, survey, team)
}

fn open_reading(
    path: &Path,
    reading: Reading,
    follow: bool,
    opening: Opening,
    survey: &Survey,
    team: &Team,
) -> FileSource {
    let dispenser = || Arc::new(Dispenser::new(path, reading, follow, opening, survey, team));
    let dispenser = Arc::clone(team.shared.files.get_or_init(dispenser));
    FileSource { dispenser, team: team.clone(), reached: None }
}

impl Reading {
    /// How the start of a file lies between messages.
    fn start(&self) -> Between {
        if self.header { Between::Line } else { Between::Message }
    }

    /// Where what comes behind so many bytes begins.
    fn behind(&self, len: u64) -> Mark {
        let (next, between) = match self.framing {
            _ if len == 0 => (0, self.start()),
            // The last byte is looked at once more: a line may begin behind it.
            Framing::Line | Framing::Default | Framing::Csv(_) => (len - 1, Between::Line),
            Framing::Json => (len, Between::Boundary),
        };
        Mark { next, between, time: i64::MIN }
    }
}

/// A file as this start finds it.
struct Found {
    file: ReadFile,
    /// The bytes that it has; `None`: it is gone.
    len: Option<u64>,
}

/// The sizes of the files of a survey, by their paths.
fn lens(files: &[(PathBuf, u64)]) -> HashMap<&Path, u64> {
    files.iter().map(|(path, len)| (path.as_path(), *len)).collect()
}

/// The files in the order of their partitions: those that an earlier start knew keep theirs.
fn reconcile(survey: &Survey) -> Vec<Found> {
    let Some(resumed) = &survey.resumed else {
        let new =
            |(path, len): &(PathBuf, u64)| Found { file: ReadFile::new(path.clone(), *len), len: Some(*len) };
        return survey.files.iter().map(new).collect();
    };
    let lens = lens(&survey.files);
    let found = |file: &ReadFile| Found { file: file.clone(), len: lens.get(file.path.as_path()).copied() };
    let known = resumed.files.iter().map(found);
    let names: HashSet<&Path> = resumed.files.iter().map(|file| file.path.as_path()).collect();
    let is_new = |(path, _): &&(PathBuf, u64)| !names.contains(path.as_path());
    // What an earlier start has not seen is new, wherever that one began.
    let start = Mark { next: 0, between: Between::Message, time: i64::MIN };
    let new = survey.files.iter().filter(is_new).map(|(path, len)| Found {
        file: ReadFile { mark: Some(start), ..ReadFile::new(path.clone(), 0) },
        len: Some(*len),
    });
    known.chain(new).collect()
}

/// The partitions of files that are not empty.
pub fn expected(survey: &Survey) -> Vec<i32> {
    let files = reconcile(survey).into_iter().zip(0..);
    files.filter(|(file, _)| file.len.is_some_and(|len| len > 0)).map(|(_, partition)| partition).collect()
}

impl Source for FileSource {
    fn poll(&mut self, max_bytes: usize, now_ms: i64) -> Result<Poll> {
        loop {
            return Ok(match self.deal(max_bytes, now_ms, Moment::default())? {
                Dealt::Messages(messages, _) => Poll::Messages(messages),
                Dealt::Pending => Poll::Pending,
                Dealt::Done => Poll::Done,
                // Who is alone waits for nobody: it is to go on.
                Dealt::Busy => continue,
            });
        }
    }

    fn deal(&mut self, max_bytes: usize, now_ms: i64, moment: Moment) -> Result<Dealt> {
        let asked = Asked { now_ms, reached: self.reached.as_ref(), waker: &self.team.waker };
        self.dispenser.next(max_bytes.max(1), moment, asked)
    }

    fn prefer_behind(&mut self, reached: BTreeMap<i32, i64>) {
        self.reached = Some(reached);
    }

    fn bytes_expected(&self) -> Option<u64> {
        Some(if self.tells() { self.dispenser.bytes } else { 0 })
    }

    fn lag(&self, _: i64) -> Option<Lag> {
        Some(Lag::bytes(if self.tells() { self.dispenser.unread() } else { 0 }))
    }

    fn position(&self) -> Option<ReadTo> {
        let dealer = || Arc::clone(&self.dispenser) as Arc<dyn Dealer>;
        Some(if self.tells() { ReadTo::Dealt(dealer()) } else { ReadTo::Here(Default::default()) })
    }
}

impl FileSource {
    /// Whether this is the worker that speaks for its process.
    fn tells(&self) -> bool {
        self.team.worker == 0
    }
}

#[cfg(test)]
mod tests;
