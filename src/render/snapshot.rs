//! Kept states into the files of a checkpoint, and back.
//!
//! A checkpoint writes all of a state, or its changes since the checkpoint before (see kept.rs). Tables
//! that are derived from tables follow from their parents. A worker writes the keys that it holds into a
//! partition of its own; whoever reads a partition back hands its keys to the workers that they belong to
//! now, so that another number of workers can go on.
//!
//! ```text
//! DIR/s<n>    a log: key → state
//! ```

use super::context::Context;
use super::packed::{Blob, StateSpine, StateUpdate};
use super::scan::Scan;
use super::{RESTORED, Tick};
use crate::aggregate::{Key, State};
use crate::batch::MessageBatch;
use crate::connector::log::{self, LogOptions, LogWriter};
use crate::connector::{Opening, Poll, Record, Share, Source, Start, Survey};
use crate::error::{Error, Result};
use crate::plan::{Piece, QueryPlan};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use timely::dataflow::operators::generic::operator::source;
use timely::dataflow::{Scope, StreamVec};

/// What a worker has written of a kept state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Written {
    /// Only what has changed since the checkpoint before.
    pub changes: bool,
    pub entries: i64,
}

/// A kept state's place in a checkpoint.
pub fn state_dir(dir: &Path, state: usize) -> PathBuf {
    dir.join(format!("s{state}"))
}

/// The kept states of one worker on their way into a checkpoint, some keys at a time.
pub struct Snapshot {
    dir: PathBuf,
    worker: u32,
    waiting: VecDeque<(usize, Scan<StateSpine>)>,
    writer: Option<LogWriter>,
    written: Vec<Written>,
}

impl Snapshot {
    /// `states`: how many there are.
    pub fn new(dir: &Path, worker: usize, states: usize) -> Snapshot {
        Snapshot {
            dir: dir.to_path_buf(),
            worker: worker as u32,
            waiting: VecDeque::new(),
            writer: None,
            written: vec![Written::default(); states],
        }
    }

    pub fn add(&mut self, state: usize, (changes, scan): (bool, Scan<StateSpine>)) {
        self.written[state].changes = changes;
        self.waiting.push_back((state, scan));
    }

    /// Writes about `keys` keys. What is written of each state, when all are.
    pub fn step(&mut self, mut keys: usize) -> Result<Option<&[Written]>> {
        while let Some((state, scan)) = self.waiting.front_mut() {
            if self.writer.is_none() {
                let options = LogOptions { segment_bytes: u64::MAX, retention_bytes: None };
                self.writer = Some(LogWriter::open(&state_dir(&self.dir, *state), [self.worker], options)?.0);
            }
            let writer = self.writer.as_mut().expect("it was just opened");
            let (worker, entries) = (self.worker, &mut self.written[*state].entries);
            let mut appended = Ok(());
            let more = scan.step(&mut keys, &mut |key, _, state| {
                *entries += 1;
                if appended.is_ok() {
                    let record = Record { key: Some(key.0), value: Some(&state.0), ..Record::default() };
                    appended = writer.append(worker, &record).map(drop);
                }
            });
            appended?;
            if more {
                return Ok(None);
            }
            writer.flush()?;
            self.writer = None;
            self.waiting.pop_front();
        }
        Ok(Some(&self.written))
    }
}

/// What a checkpoint has of a query's kept state, as updates, from this worker's share of its partitions;
/// `None`: there is no checkpoint that this start goes on from, or nothing of the state in it.
pub fn restored<'s>(
    scope: Scope<'s, Tick>,
    plan: &QueryPlan,
    name: &str,
    context: &Rc<Context>,
) -> Option<StreamVec<'s, Tick, StateUpdate>> {
    let mut pieces: VecDeque<Piece> = plan.restore.get(name)?.iter().cloned().collect();
    let context = Rc::clone(context);
    Some(source(scope, "Restore", |capability, info| {
        let activator = scope.activator_for(info.address);
        let mut reading = Some((capability, None));
        move |output| {
            let Some((capability, reader)) = &mut reading else { return };
            match next(reader, &mut pieces, &context) {
                Ok(Some((piece, messages))) => {
                    activator.activate();
                    if !piece.workers.contains(&(messages.partition as u32)) {
                        return;
                    }
                    let mut session = output.session(&*capability);
                    for i in 0..messages.len() {
                        match messages.key(i).zip(messages.value(i)) {
                            Some((key, state)) => {
                                session.give(((Blob(key.into()), ()), RESTORED, State(state.into())))
                            }
                            None => context.process.fail(Error::runtime(format!(
                                "{} holds what is no entry of a state",
                                piece.dir.display()
                            ))),
                        }
                    }
                }
                Ok(None) => reading = None,
                Err(error) => {
                    context.process.fail(error);
                    reading = None;
                }
            }
        }
    }))
}

/// Sums up what pieces of a checkpoint have of each key.
pub fn sum_up(updates: &mut Vec<StateUpdate>, sums: &mut BTreeMap<Key, State>) {
    for ((Blob(key), ()), _, state) in updates.drain(..) {
        sums.entry(key).or_default().merge(&state);
    }
}

/// The next messages, and the piece that they are of; opens one piece after the other.
fn next<'p>(
    reader: &mut Option<log::LogReader>,
    pieces: &'p mut VecDeque<Piece>,
    context: &Context,
) -> Result<Option<(&'p Piece, MessageBatch)>> {
    while let Some(piece) = pieces.front() {
        let open = match reader {
            Some(open) => open,
            None => {
                let share = Share::Part { index: context.index, of: context.peers };
                let opening = Opening { share, start: Start::Earliest, bounded: true, opened_ms: 0 };
                reader.insert(log::open(&piece.dir, opening, &Survey::default())?)
            }
        };
        if let Poll::Messages(messages) = open.poll(1 << 20, 0)? {
            return Ok(pieces.front().map(|piece| (piece, messages)));
        }
        *reader = None;
        pieces.pop_front();
    }
    Ok(None)
}
