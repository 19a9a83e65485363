//! What workers tell each other: commands of worker 0 to all, and mail to process 0.

use super::Progress;
use super::checkpoint::Report;
use super::hold::{Place, Positions};
use super::measures::Measured;
use super::pause::Pauses;
use super::peeks::{Peek, Piece};
use crate::error::Error;
use crate::plan::{DataflowId, DataflowPlan, HubId, TableId, Wanted};
use crate::render::Tick;
use crate::render::kept::KeptId;
use crate::render::process::AnswerRow;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// What travels between workers.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Mail {
    /// Worker 0 → all, in one order.
    Command(Command),
    /// Any worker → process 0.
    Rows {
        answer: String,
        rows: Vec<AnswerRow>,
    },
    Ended {
        answer: String,
    },
    Peeked {
        peek: u64,
        worker: usize,
        reply: PeekReply,
    },
    Failed(Error),
    /// A worker's answer to the checkpoint of that number.
    Checkpoint {
        number: u64,
        report: Report,
    },
    /// How far a worker's readers are, which stand still.
    Located {
        number: u64,
        positions: Positions,
    },
    /// What another process has read, and whether its inputs are through.
    Read {
        process: usize,
        progress: Progress,
        done: bool,
    },
    /// What a worker has measured.
    Measured {
        worker: usize,
        measured: Box<Measured>,
    },
    /// Readers of another process have said something.
    Said {
        process: usize,
    },
    /// Another process has been told to stop: all are to.
    Leave,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Command {
    /// The first one: what all processes must agree on.
    Hello {
        epoch_ms: i64,
        data_dir: PathBuf,
    },
    Install {
        plans: Vec<DataflowPlan>,
        wanted: Vec<(HubId, Wanted)>,
        started_ms: i64,
    },
    /// What is installed goes on by these plans.
    Change {
        plans: Vec<DataflowPlan>,
        wanted: Vec<(HubId, Wanted)>,
    },
    Drop {
        dataflows: Vec<DataflowId>,
        tables: Vec<TableId>,
        wanted: Vec<(HubId, Wanted)>,
    },
    Peek(Peek),
    /// A worker may send one more piece.
    More {
        peek: u64,
        worker: usize,
    },
    /// Nothing more is wanted.
    Unpeek {
        peek: u64,
    },
    /// Take part in a checkpoint at a tick, which worker 0 fills in: so many microseconds ahead of it.
    Checkpoint {
        number: u64,
        lead: Tick,
        tick: Option<Tick>,
        dir: PathBuf,
        states: Vec<KeptId>,
    },
    /// That checkpoint comes to nothing.
    Abandon {
        number: u64,
    },
    /// These readers read no further until they are released.
    Hold {
        readers: Vec<DataflowId>,
        at_end: bool,
    },
    Release {
        readers: Vec<DataflowId>,
        at_end: bool,
    },
    Locate {
        number: u64,
        place: Place,
    },
    Pause(Pauses),
    /// Readers of that process have said something: the others close their ticks as if their own had.
    Said {
        process: usize,
    },
    /// Say so when all that is there has been read, and is through.
    Settle {
        number: u64,
    },
    Stop,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum PeekReply {
    Piece(Piece),
    /// The tick was compacted away before the question arrived: ask again.
    TooLate,
    /// The table went away.
    Gone,
}
