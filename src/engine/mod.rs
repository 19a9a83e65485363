//! The engine as its users see it: statements in, outcomes and answers out.
//!
//! [`Engine`] is a handle: cheap to clone, usable from any thread. Behind it one coordinator thread
//! keeps the catalog and turns statements into plans, and the timely workers run them.

pub mod outcome;

use crate::error::Result;
use crate::sql::ast::Parsed;
use crate::types::ColumnDef;
use crate::value::Row;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

pub use outcome::Outcome;

/// How an engine is started.
#[derive(Clone, Debug)]
pub struct Config {
    /// Worker threads of this process.
    pub workers: usize,
    /// All processes' addresses (`host:port`), in order; empty for a single process.
    pub hosts: Vec<String>,
    /// Index of this process.
    pub process: usize,
    /// `None`: a temporary directory, removed when the engine stops.
    pub data_dir: Option<PathBuf>,
    /// Inputs end when all that was there at the start is read.
    pub once: bool,
    pub topology: crate::topology::Topology,
    pub pace: Pace,
}

/// How finely input is cut.
#[derive(Clone, Debug)]
pub struct Pace {
    /// A tick closes after this long ...
    pub tick: Duration,
    /// ... or when a worker has read so many bytes in it.
    pub tick_bytes: usize,
    /// Bytes of one message batch.
    pub batch_bytes: usize,
    /// Bytes a worker may have read that have not left the slowest query.
    pub inflight_bytes: usize,
}

/// Properties that SET changes and that requests carry: `auto.offset.reset` and so on.
#[derive(Clone, Debug, Default)]
pub struct Session {
    pub properties: BTreeMap<String, String>,
}

#[derive(Clone)]
pub struct Engine {}

impl Engine {
    /// Starts the workers of this process. On process 0 the handle accepts statements; on the others
    /// it only runs, see [`Engine::join`].
    pub fn start(_config: Config) -> Result<Engine> {
        unimplemented!()
    }

    /// Carries out one statement of a script or request. `name` is the file or `<statement>`, for
    /// error messages; `text` the text that the statement's spans point into.
    pub fn execute(&self, _statement: &Parsed, _session: &mut Session) -> Result<Outcome> {
        unimplemented!()
    }

    /// Ends an answer by its id. False when there is none of that id.
    pub fn close_query(&self, _id: &str) -> bool {
        unimplemented!()
    }

    /// Blocks until all bounded inputs have been read and processed (`once`), or the engine stops.
    /// Returns the error that stopped it, if one did. With `timeout`: returns Ok(false) when it passes.
    pub fn wait_for_inputs(&self, _timeout: Option<Duration>) -> Result<bool> {
        unimplemented!()
    }

    /// Blocks until the engine has stopped (all processes); the error that stopped it, if one did.
    pub fn join(&self) -> Result<()> {
        unimplemented!()
    }

    /// Stops all workers of all processes; waits for this process's.
    pub fn stop(&self) -> Result<()> {
        unimplemented!()
    }

    /// What has been read so far, by all workers of this process.
    pub fn progress(&self) -> Progress {
        unimplemented!()
    }
}

/// For the progress bar, the totals line of `--once`, and `--strict`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Progress {
    pub bytes_read: u64,
    /// 0 when unknown.
    pub bytes_expected: u64,
    pub rows_in: u64,
    pub rows_rejected: u64,
    pub notes: u64,
}

/// The answer to a SELECT or PRINT: its columns, then rows as they come.
pub struct Answer {
    pub id: String,
    pub kind: AnswerKind,
    /// Key columns are marked; their order is the SELECT's.
    pub columns: Vec<ColumnDef>,
    pub rows: tokio::sync::mpsc::Receiver<AnswerEvent>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnswerKind {
    /// Ends by itself when what is there has been sent.
    Pull,
    /// Goes on until it is closed or its LIMIT is reached.
    Push,
    /// One VARCHAR column: PRINT's lines.
    Print,
}

#[derive(Debug)]
pub enum AnswerEvent {
    Rows(Vec<AnswerRow>),
    /// Nothing follows.
    End(AnswerEnd),
    /// Nothing follows either.
    Error(crate::error::Error),
}

#[derive(Debug, Clone, PartialEq)]
pub struct AnswerRow {
    pub row: Row,
    /// A table's row went away: only the key columns are set.
    pub deleted: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnswerEnd {
    LimitReached,
    /// All there was (pull), or the input ended, or somebody closed the query.
    Completed,
}

/// Dropping the receiver of an [`Answer`] closes it, too.
impl Answer {
    /// The next event, from a thread that may block.
    pub fn next(&mut self) -> Option<AnswerEvent> {
        self.rows.blocking_recv()
    }
}
