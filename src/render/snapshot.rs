//! Tables into the files of a checkpoint, and back.
//!
//! A checkpoint writes all of a table, or its changes since the checkpoint before (see journal.rs).
//! Only accumulators are kept: tables that are derived from tables follow from them. A worker writes
//! the keys that it holds into a partition of its own; whoever reads a partition back hands its keys
//! to the workers that they belong to now, so that another number of workers can go on.
//!
//! ```text
//! DIR/t<n>/states      a log: key → state
//! DIR/t<n>/elements    a log: key → count (i64, little-endian) · element, of collections
//! ```

use super::context::Context;
use super::packed::{Blob, RowSpine, RowUpdate, StateSpine, StateUpdate};
use super::table::Scan;
use super::{RESTORED, Tick};
use crate::aggregate::State;
use crate::batch::MessageBatch;
use crate::connector::log::{self, LogOptions, LogWriter};
use crate::connector::{Opening, Poll, Record, Share, Source, Start, Survey};
use crate::error::{Error, Result};
use crate::plan::Piece;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use timely::dataflow::operators::generic::operator::source;
use timely::dataflow::{Scope, StreamVec};

/// How much a worker has written of a table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entries {
    pub states: i64,
    pub elements: i64,
}

/// What a worker has written of a table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Written {
    /// Only what has changed since the checkpoint before.
    pub changes: bool,
    pub entries: Entries,
}

/// A table's place in a checkpoint.
pub fn table_dir(dir: &Path, table: usize) -> PathBuf {
    dir.join(format!("t{table}"))
}

pub const STATES: &str = "states";
pub const ELEMENTS: &str = "elements";

/// The tables of one worker on their way into a checkpoint, some keys at a time.
pub struct Snapshot {
    dir: PathBuf,
    worker: u32,
    waiting: VecDeque<(usize, Part)>,
    writer: Option<LogWriter>,
    written: Vec<Written>,
}

pub enum Part {
    States(Scan<StateSpine>),
    Elements(Scan<RowSpine>),
}

impl Snapshot {
    /// `tables`: how many there are.
    pub fn new(dir: &Path, worker: usize, tables: usize) -> Snapshot {
        Snapshot {
            dir: dir.to_path_buf(),
            worker: worker as u32,
            waiting: VecDeque::new(),
            writer: None,
            written: vec![Written::default(); tables],
        }
    }

    pub fn add(&mut self, table: usize, changes: bool, parts: Vec<Part>) {
        self.written[table].changes = changes;
        self.waiting.extend(parts.into_iter().map(|part| (table, part)));
    }

    /// Writes about `keys` keys. What each table has, when all are written.
    pub fn step(&mut self, mut keys: usize) -> Result<Option<&[Written]>> {
        while let Some((table, part)) = self.waiting.front_mut() {
            if self.writer.is_none() {
                let of = match part {
                    Part::States(_) => STATES,
                    Part::Elements(_) => ELEMENTS,
                };
                let dir = table_dir(&self.dir, *table).join(of);
                let options = LogOptions { segment_bytes: u64::MAX, retention_bytes: None };
                self.writer = Some(LogWriter::open(&dir, [self.worker], options)?.0);
            }
            let writer = self.writer.as_mut().expect("it was just opened");
            let (worker, written) = (self.worker, &mut self.written[*table].entries);
            let mut appended = Ok(());
            let mut append = |count: &mut i64, key: &[u8], value: &[u8]| {
                *count += 1;
                if appended.is_ok() {
                    let record = Record { key: Some(key), value: Some(value), ..Record::default() };
                    appended = writer.append(worker, &record).map(drop);
                }
            };
            let more = match part {
                Part::States(scan) => scan.step(&mut keys, &mut |key, _, state| {
                    append(&mut written.states, key.0, &state.0);
                }),
                Part::Elements(scan) => scan.step(&mut keys, &mut |key, element, count| {
                    let value = [&count.to_le_bytes()[..], element.0].concat();
                    append(&mut written.elements, key.0, &value);
                }),
            };
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

/// The states of a checkpoint as updates, from this worker's share of its partitions.
pub fn restored_states<'s>(
    scope: Scope<'s, Tick>,
    pieces: &[Piece],
    context: &Rc<Context>,
) -> StreamVec<'s, Tick, StateUpdate> {
    restored(scope, pieces, STATES, context, |key, value| {
        Some(((Blob(key.into()), ()), RESTORED, State(value.into())))
    })
}

pub fn restored_elements<'s>(
    scope: Scope<'s, Tick>,
    pieces: &[Piece],
    context: &Rc<Context>,
) -> StreamVec<'s, Tick, RowUpdate> {
    restored(scope, pieces, ELEMENTS, context, |key, value| {
        let (count, element) = value.split_first_chunk()?;
        Some(((Blob(key.into()), Blob(element.into())), RESTORED, i64::from_le_bytes(*count)))
    })
}

fn restored<'s, U: Clone + 'static>(
    scope: Scope<'s, Tick>,
    pieces: &[Piece],
    of: &'static str,
    context: &Rc<Context>,
    update: impl Fn(&[u8], &[u8]) -> Option<U> + 'static,
) -> StreamVec<'s, Tick, U> {
    let mut pieces: VecDeque<Piece> =
        pieces.iter().map(|piece| Piece { dir: piece.dir.join(of), ..piece.clone() }).collect();
    let context = Rc::clone(context);
    source(scope, "Restore", |capability, info| {
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
                        let both = messages.key(i).zip(messages.value(i));
                        match both.and_then(|(key, value)| update(key, value)) {
                            Some(update) => session.give(update),
                            None => context.shared.fail(Error::runtime(format!(
                                "{} holds what is no entry of a table",
                                piece.dir.display()
                            ))),
                        }
                    }
                }
                Ok(None) => reading = None,
                Err(error) => {
                    context.shared.fail(error);
                    reading = None;
                }
            }
        }
    })
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
