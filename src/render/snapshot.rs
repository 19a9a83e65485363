//! Tables into the files of a checkpoint, and back.
//!
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
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use timely::dataflow::operators::generic::operator::source;
use timely::dataflow::{Scope, StreamVec};

/// What a table has in a checkpoint, by one worker or by all of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entries {
    pub states: i64,
    pub elements: i64,
}

pub fn states_dir(dir: &Path, table: usize) -> PathBuf {
    dir.join(format!("t{table}/states"))
}

pub fn elements_dir(dir: &Path, table: usize) -> PathBuf {
    dir.join(format!("t{table}/elements"))
}

/// The tables of one worker on their way into a checkpoint, some keys at a time.
pub struct Snapshot {
    dir: PathBuf,
    worker: u32,
    waiting: VecDeque<(usize, Part)>,
    writer: Option<LogWriter>,
    written: Vec<Entries>,
}

pub enum Part {
    States(Scan<StateSpine>),
    Elements(Scan<RowSpine>),
}

impl Snapshot {
    /// `tables`: how many there are; `parts` come with the numbers of theirs.
    pub fn new(dir: &Path, worker: usize, tables: usize, parts: Vec<(usize, Part)>) -> Snapshot {
        Snapshot {
            dir: dir.to_path_buf(),
            worker: worker as u32,
            waiting: parts.into(),
            writer: None,
            written: vec![Entries::default(); tables],
        }
    }

    /// Writes about `keys` keys. What each table has, when all are written.
    pub fn step(&mut self, mut keys: usize) -> Result<Option<&[Entries]>> {
        while let Some((table, part)) = self.waiting.front_mut() {
            if self.writer.is_none() {
                let dir = match part {
                    Part::States(_) => states_dir(&self.dir, *table),
                    Part::Elements(_) => elements_dir(&self.dir, *table),
                };
                let options = LogOptions { segment_bytes: u64::MAX, retention_bytes: None };
                self.writer = Some(LogWriter::open(&dir, [self.worker], options)?.0);
            }
            let writer = self.writer.as_mut().expect("it was just opened");
            let (worker, written) = (self.worker, &mut self.written[*table]);
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
    dir: &Path,
    context: &Rc<Context>,
) -> StreamVec<'s, Tick, StateUpdate> {
    restored(scope, dir, context, |key, value| Some(((Blob(key.into()), ()), RESTORED, State(value.into()))))
}

pub fn restored_elements<'s>(
    scope: Scope<'s, Tick>,
    dir: &Path,
    context: &Rc<Context>,
) -> StreamVec<'s, Tick, RowUpdate> {
    restored(scope, dir, context, |key, value| {
        let (count, element) = value.split_first_chunk()?;
        Some(((Blob(key.into()), Blob(element.into())), RESTORED, i64::from_le_bytes(*count)))
    })
}

fn restored<'s, U: Clone + 'static>(
    scope: Scope<'s, Tick>,
    dir: &Path,
    context: &Rc<Context>,
    update: impl Fn(&[u8], &[u8]) -> Option<U> + 'static,
) -> StreamVec<'s, Tick, U> {
    let (dir, context) = (dir.to_path_buf(), Rc::clone(context));
    source(scope, "Restore", |capability, info| {
        let activator = scope.activator_for(info.address);
        let mut reading = Some((capability, None));
        move |output| {
            let Some((capability, reader)) = &mut reading else { return };
            match next(reader, &dir, &context) {
                Ok(Some(messages)) => {
                    let mut session = output.session(&*capability);
                    for i in 0..messages.len() {
                        let both = messages.key(i).zip(messages.value(i));
                        match both.and_then(|(key, value)| update(key, value)) {
                            Some(update) => session.give(update),
                            None => context.shared.fail(Error::runtime(format!(
                                "{} holds what is no entry of a table",
                                dir.display()
                            ))),
                        }
                    }
                    activator.activate();
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

fn next(reader: &mut Option<log::LogReader>, dir: &Path, context: &Context) -> Result<Option<MessageBatch>> {
    let reader = match reader {
        Some(reader) => reader,
        None => {
            let share = Share::Part { index: context.index, of: context.peers };
            let opening = Opening { share, start: Start::Earliest, bounded: true, opened_ms: 0 };
            reader.insert(log::open(dir, opening, &Survey::default())?)
        }
    };
    match reader.poll(1 << 20, 0)? {
        Poll::Messages(messages) => Ok(Some(messages)),
        Poll::Pending | Poll::Done => Ok(None),
    }
}
