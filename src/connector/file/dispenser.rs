//! Deals the files of a topic out to the workers of a process, block by block; see [`super::super::dealing`].
//!
//! A worker takes the reader of the file whose turn it is, finds the next block with it, and puts it back:
//! what is locked is only the list of readers, never a file. A worker that finds all readers taken waits
//! until one is put back.

use super::arrival::Times;
use super::reader::{Framed, Known, Reader, Step, Unread};
use super::watch::{self, Watch};
use super::{Arrivals, Found, Reading, Result, reconcile};
use crate::batch::MessageBatch;
use crate::connector::dealing::{Dealer, Marks, Moment, Team, Ticket};
use crate::connector::position::{Mark, Position, ReadFile};
use crate::connector::{Dealt, Opening, Start, Survey};
use crate::headers::Headers;
use arrow_buffer::Buffer;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Waker;

pub struct Dispenser {
    reading: Reading,
    /// The end is where it was at opening.
    ends: bool,
    /// Bytes to read in all.
    pub bytes: u64,
    state: Mutex<State>,
}

struct State {
    /// All of the topic, in the order of their partitions; how far they are read the entries know.
    known: Vec<ReadFile>,
    /// Those that this process reads.
    files: Vec<Entry>,
    /// What is before it has had its turn in this round.
    turn: usize,
    /// A file gave as much as it was asked for in this round: it may have more, and need not wait.
    more: bool,
    watch: Watching,
    next_check_ms: i64,
    /// Workers that wait for a reader.
    waiting: Vec<Waker>,
}

/// A file and what was dealt of it.
struct Entry {
    partition: i32,
    /// `None`: a worker has it; or the file is read to its end.
    reader: Option<Box<Reader>>,
    state: Turn,
    marks: Marks<Mark>,
    unread: Unread,
    known: Known,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Turn {
    /// It has more, or may have.
    Due,
    /// It has had its turn in this round.
    Had,
    /// A worker reads what was there at opening.
    Taken,
    /// A worker looks whether something was appended.
    LookedAt,
    Finished,
}

/// Who finds files that appear later.
enum Watching {
    Nobody,
    /// A place that was not looked at yet.
    Place(PathBuf),
    Watch(Watch),
    /// A worker looks.
    Taken,
}

/// A worker that asks for a block.
#[derive(Clone, Copy)]
pub struct Asked<'a> {
    pub now_ms: i64,
    /// How far files have come in time, where that decides whose turn it is.
    pub reached: Option<&'a BTreeMap<i32, i64>>,
    /// To be woken by where it has to wait.
    pub waker: &'a Waker,
}

/// So many files are read at a time where the one that is furthest behind comes next: the others wait, closed.
const AT_A_TIME: usize = 64;

/// What a worker does next.
enum Task {
    Read(usize, Box<Reader>),
    Look(Watching),
    Return(Dealt),
}

impl Dispenser {
    pub(super) fn new(
        path: &Path,
        reading: Reading,
        follow: bool,
        opening: Opening,
        survey: &Survey,
        team: &Team,
    ) -> Dispenser {
        let ends = opening.bounded || !follow;
        let mut known = Vec::new();
        let mut files = Vec::new();
        let mut bytes = 0;
        for (partition, Found { file, len }) in reconcile(survey).into_iter().enumerate() {
            known.push(ReadFile { mark: None, ..file.clone() });
            if !team.owns(partition) {
                continue;
            }
            let there = len.unwrap_or(0);
            let mark = file.mark.unwrap_or_else(|| match opening.start {
                Start::Earliest => reading.behind(0),
                Start::Latest => reading.behind(there),
            });
            let mark = if mark.next == 0 { Mark { between: reading.start(), ..mark } } else { mark };
            bytes += there.saturating_sub(mark.next);
            let mut reader = Reader::new(file.path.clone(), mark.next, mark.between, there, ends, reading);
            let this_ms = if survey.resumed.is_some() { survey.at_ms } else { opening.opened_ms };
            reader.arrivals = Arrivals::new((file.found, opening.opened_ms), (there, this_ms));
            reader.known = Known { inode: file.inode, head: file.head, packed: file.packed, names: None };
            let mut file = Entry::new(partition as i32, reader, mark);
            if ends && len.is_none() {
                file.end();
            }
            files.push(file);
        }
        let finds_new = !ends && team.process == 0 && (path.is_dir() || watch::is_glob(path));
        let watch = if finds_new { Watching::Place(path.to_path_buf()) } else { Watching::Nobody };
        let (turn, more, next_check_ms, waiting) = (0, false, i64::MIN, Vec::new());
        let state = State { known, files, turn, more, watch, next_check_ms, waiting };
        Dispenser { reading, ends, bytes, state: Mutex::new(state) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next block, about `max_bytes` of it.
    pub fn next(&self, max_bytes: usize, moment: Moment, asked: Asked) -> Result<Dealt> {
        let mut looked = false;
        loop {
            let task = self.state().task(self.ends, self.reading.check_ms, &mut looked, asked);
            match task {
                Task::Return(next) => return Ok(next),
                Task::Look(watching) => self.look(watching, asked.now_ms)?,
                Task::Read(i, reader) => {
                    if let Some(dealt) = self.read(i, reader, max_bytes, moment, asked)? {
                        return Ok(dealt);
                    }
                }
            }
        }
    }

    fn read(
        &self,
        i: usize,
        mut reader: Box<Reader>,
        max_bytes: usize,
        moment: Moment,
        Asked { now_ms, waker, .. }: Asked,
    ) -> Result<Option<Dealt>> {
        let arrivals = reader.arrivals;
        let step = reader.step(max_bytes)?;
        let unread = reader.unread();
        let mut state = self.state();
        let file = &mut state.files[i];
        let times = arrivals.times(file.marks.last().time, now_ms);
        let ticket = file.note(&reader, &step, times, moment);
        (file.unread, file.known) = (unread, reader.known.clone());
        let names = reader.known.names.clone();
        file.state = match &step {
            Step::Finished => Turn::Finished,
            Step::Dry => Turn::Had,
            // Files are caught up with one after the other, and followed in turn.
            Step::Framed(_) | Step::Range(_) if reader.is_caught_up() => Turn::Had,
            Step::Framed(_) | Step::Range(_) | Step::Passed => Turn::Due,
        };
        let (partition, is_due) = (file.partition, file.state == Turn::Due);
        if file.state != Turn::Finished {
            file.reader = Some(reader);
        }
        if is_due {
            state.turn = state.turn.min(i);
        }
        state.more |= step.bytes() >= max_bytes;
        let waiting = std::mem::take(&mut state.waiting);
        drop(state);
        waiting.into_iter().for_each(Waker::wake);
        let framed = match step {
            Step::Framed(framed) => framed,
            Step::Range(range) => range.frame()?,
            // Other work comes between.
            Step::Passed => {
                waker.wake_by_ref();
                return Ok(Some(Dealt::Busy));
            }
            Step::Dry | Step::Finished => return Ok(None),
        };
        let messages = MessageBatch { names, ..messages(partition, framed, times) };
        Ok(Some(Dealt::Messages(messages, ticket)))
    }

    /// Looks for files that are new, and gives them partitions.
    fn look(&self, watching: Watching, now_ms: i64) -> Result<()> {
        let mut watch = match watching {
            Watching::Watch(watch) => watch,
            Watching::Place(path) => {
                let known: Vec<PathBuf> = self.state().known.iter().map(|file| file.path.clone()).collect();
                Watch::new(&path, &known)
            }
            Watching::Nobody | Watching::Taken => return Ok(()),
        };
        let new = watch.new_files(now_ms, 20 * self.reading.check_ms)?;
        let mut state = self.state();
        for (partition, path) in new {
            state.known.push(ReadFile::new(path.clone(), 0));
            let mark = self.reading.behind(0);
            let reader = Reader::new(path, 0, mark.between, 0, false, self.reading);
            state.files.push(Entry::new(partition, reader, mark));
        }
        state.watch = Watching::Watch(watch);
        Ok(())
    }

    /// Bytes that are there and have not been dealt.
    pub fn unread(&self) -> u64 {
        let unread: Vec<Unread> = self.state().files.iter().map(|file| file.unread.clone()).collect();
        unread.iter().map(Unread::bytes).sum()
    }
}

impl Dealer for Dispenser {
    fn position(&self, epoch: u64) -> Position {
        let state = self.state();
        let mut files = state.known.clone();
        for entry in &state.files {
            let file = &mut files[entry.partition as usize];
            file.mark = Some(*entry.marks.at(epoch));
            (file.inode, file.head, file.packed) = (entry.known.inode, entry.known.head, entry.known.packed);
        }
        Position { files, ..Position::default() }
    }
}

impl State {
    fn task(&mut self, ends: bool, check_ms: i64, looked: &mut bool, asked: Asked) -> Task {
        let Asked { now_ms, reached, waker } = asked;
        loop {
            while self.files.get(self.turn).is_some_and(|file| file.state != Turn::Due) {
                self.turn += 1;
            }
            let turn = reached.and_then(|reached| self.furthest_behind(reached)).unwrap_or(self.turn);
            if let Some(reader) = self.files.get_mut(turn).and_then(|file| file.reader.take()) {
                let is_caught_up = reader.is_caught_up();
                self.files[turn].state = if is_caught_up { Turn::LookedAt } else { Turn::Taken };
                return Task::Read(turn, reader);
            }
            // What is only looked at has hardly anything for another one.
            if self.files.iter().any(|file| file.state == Turn::Taken) {
                self.waiting.push(waker.clone());
                return Task::Return(Dealt::Busy);
            }
            let is_looked_at = self.files.iter().any(|file| file.state == Turn::LookedAt);
            if ends {
                return Task::Return(Dealt::Done);
            }
            if is_looked_at || matches!(self.watch, Watching::Taken) {
                return Task::Return(Dealt::Pending);
            }
            if std::mem::take(&mut self.more) {
                self.begin_round();
                continue;
            }
            if *looked || !self.may_check(check_ms, now_ms) {
                return Task::Return(Dealt::Pending);
            }
            *looked = true;
            self.begin_round();
            if !matches!(self.watch, Watching::Nobody) {
                return Task::Look(std::mem::replace(&mut self.watch, Watching::Taken));
            }
        }
    }

    fn furthest_behind(&self, reached: &BTreeMap<i32, i64>) -> Option<usize> {
        let due = self.files.iter().enumerate().skip(self.turn).filter(|(_, file)| file.state == Turn::Due);
        let stamp = |file: &Entry| reached.get(&file.partition).copied().unwrap_or(i64::MIN);
        due.take(AT_A_TIME).min_by_key(|(_, file)| stamp(file)).map(|(at, _)| at)
    }

    fn begin_round(&mut self) {
        self.turn = 0;
        self.files.iter_mut().filter(|file| file.state == Turn::Had).for_each(|file| file.state = Turn::Due);
    }

    fn may_check(&mut self, check_ms: i64, now_ms: i64) -> bool {
        // Looking at a file costs a few microseconds: many files are looked at less often.
        let interval_ms = check_ms * (1 + self.files.len() as i64 / 100);
        // A clock that was set back must not stop us.
        let due = now_ms >= self.next_check_ms || now_ms < self.next_check_ms - 10 * interval_ms;
        if due {
            self.next_check_ms = now_ms + interval_ms;
        }
        due
    }
}

impl Entry {
    fn new(partition: i32, reader: Reader, mark: Mark) -> Entry {
        let (unread, marks, known) = (reader.unread(), Marks::new(mark), reader.known.clone());
        Entry { partition, reader: Some(Box::new(reader)), state: Turn::Due, marks, unread, known }
    }

    /// Nothing is to be read of it.
    fn end(&mut self) {
        (self.reader, self.state) = (None, Turn::Finished);
    }

    /// Notes where the reader is after a step, and numbers the block that it found.
    fn note(&mut self, reader: &Reader, step: &Step, times: Times, moment: Moment) -> Option<Ticket> {
        let last = *self.marks.last();
        let time = match step {
            Step::Framed(framed) => times.at(framed.frames.offsets.last().map_or(0, |last| *last as u64)),
            Step::Range(range) => times.at(range.to - 1),
            Step::Dry | Step::Passed | Step::Finished => last.time,
        };
        let (next, between) = reader.mark();
        // What comes behind what was replaced is later.
        let time = if next < last.next { time.saturating_add(1) } else { time };
        let mark = Mark { next, between, time };
        match step {
            Step::Framed(_) | Step::Range(_) => Some(self.marks.deal(moment, mark)),
            Step::Dry | Step::Passed | Step::Finished => {
                if mark != last {
                    self.marks.note(moment, mark);
                }
                None
            }
        }
    }
}

impl Step {
    fn bytes(&self) -> usize {
        match self {
            Step::Framed(framed) => framed.block.len(),
            Step::Range(range) => (range.to - range.from) as usize,
            Step::Dry | Step::Passed | Step::Finished => 0,
        }
    }
}

fn messages(partition: i32, framed: Framed, times: Times) -> MessageBatch {
    let Framed { block, frames } = framed;
    MessageBatch {
        partition,
        timestamps: times.of(&frames.offsets),
        buffer: Buffer::from_vec(block),
        values: frames.values,
        keys: None,
        offsets: frames.offsets.into(),
        headers: Headers::None,
        torn: frames.torn,
        names: None,
    }
}
