//! What operators ask of the process that they run in, and what they tell it.
//!
//! Fed by every operator that has something to say to others than its dataflow; the engine is behind it.

use super::Tick;
use super::record_times::RecordTimes;
use super::source::SharedSource;
use crate::error::Error;
use crate::plan::DataflowId;
use crate::value::Row;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

/// The process of a worker, which it shares with other workers.
pub trait Process: Send + Sync {
    /// Which of all processes it is, and how many workers it has.
    fn index(&self) -> usize;
    fn workers(&self) -> usize;

    /// When reading began, in milliseconds: the timestamp of what was there already.
    fn started_ms(&self) -> i64;

    fn counters(&self) -> &Counters;
    fn record_times(&self) -> &RecordTimes;

    /// There is something for the workers of this process to look at: wakes them.
    fn say(&self);

    /// Something failed for good: everybody who waits gets the error, and the engine stops.
    fn fail(&self, error: Error);

    /// What the workers of this process share of a source: each takes it once, when it installs it.
    fn source(&self, id: DataflowId) -> Arc<SharedSource>;

    /// Worker `worker` of this process asks about ticks before this one no more.
    fn set_horizon(&self, worker: usize, tick: Tick);

    /// No worker of this process asks about the end of a tick before this one.
    fn horizon(&self) -> Tick;

    /// Sends rows to the client that waits for them.
    fn answer(&self, answer: &str, rows: Vec<AnswerRow>);

    /// This worker has no more rows of that answer.
    fn end_answer(&self, answer: &str);

    /// Whether so many rows of an answer wait that no more should be made.
    fn is_behind(&self, answer: &str) -> bool;
}

#[derive(Default)]
pub struct Counters {
    pub bytes_read: AtomicU64,
    /// How often readers have said something: that there are messages, or no more of them.
    pub said: AtomicU64,
    pub bytes_expected: AtomicU64,
    pub rows_in: AtomicU64,
    pub rows_rejected: AtomicU64,
    pub notes: AtomicU64,
}

/// A row on its way to a client.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AnswerRow {
    pub row: Row,
    /// A table's row went away: only the key columns are set.
    pub deleted: bool,
}

impl AnswerRow {
    /// About what it takes in memory.
    pub fn bytes(&self) -> usize {
        size_of::<AnswerRow>() + self.row.iter().map(|value| value.bytes()).sum::<usize>()
    }
}
