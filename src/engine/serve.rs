//! Begins answers that have been decided: each on a thread of its own, beside the workers.

use super::answers::{AnswerEvent, Outlet, Rows};
use super::coordinator::Coordinator;
use super::draft::{Base, Feed};
use super::local::{self, Complaints};
use super::shared::{Command, PeekReply, Shared};
use crate::aggregate::Key;
use crate::error::{Error, Result};
use crate::expr::Expr;
use crate::plan::TableId;
use crate::render::rejects::RejectLog;
use crate::value::Row;
use std::sync::{Arc, Mutex, PoisonError};

impl Coordinator {
    /// `derived`: the rows that it is computed from, if workers send them.
    pub(super) fn serve(&self, from: Feed, outlet: Outlet, derived: Option<Rows>) -> Result<()> {
        let schemas = self.base.schemas.clone();
        match from {
            Feed::Dataflows { .. } => {}
            Feed::Derived { types, select, .. } => {
                if let Some(mut rows) = derived {
                    std::thread::spawn(move || local::answer_derived(&mut rows, &types, &select, &outlet));
                }
            }
            Feed::Table { table, types, keys, filter, select } => {
                let shared = Arc::clone(&self.base.shared);
                std::thread::spawn(move || match peek(&shared, table, keys, filter) {
                    Ok(mut rows) => {
                        // Keys ascend, whatever worker they came from.
                        rows.sort();
                        let batches: Vec<_> = rows
                            .chunks(8_192)
                            .map(|rows| crate::render::table::rows_to_batch(&types, rows))
                            .collect();
                        local::answer_rows(&batches, &select, &outlet);
                    }
                    Err(error) => outlet.finish(AnswerEvent::Error(error)),
                });
            }
            Feed::Sources { ways, select, until, about } => {
                let complaints = Complaints { about, log: self.reject_log()? };
                let started_ms = self.base.shared.started_ms();
                std::thread::spawn(move || {
                    local::answer_stream(ways, &select, &schemas, until, started_ms, &complaints, &outlet);
                });
            }
            Feed::Messages(messages) => {
                std::thread::spawn(move || local::print_topic(&messages, &schemas, &outlet));
            }
        }
        Ok(())
    }

    /// The partition of the rejects' log behind those of the workers.
    fn reject_log(&self) -> Result<Arc<Mutex<RejectLog>>> {
        let mut rejects = self.rejects.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(log) = &*rejects {
            return Ok(Arc::clone(log));
        }
        let Base { data_dir, shared, .. } = &self.base;
        let log = Arc::new(Mutex::new(RejectLog::open(data_dir, shared.peers, shared)?));
        *rejects = Some(Arc::clone(&log));
        Ok(log)
    }
}

/// Asks for a table's rows until a tick is found that all workers can still read.
fn peek(shared: &Shared, table: TableId, keys: Option<Vec<Key>>, filter: Option<Expr>) -> Result<Vec<Row>> {
    for _ in 0..100 {
        let (peek, reply) = shared.open_peek();
        shared.command(Command::Peek { peek, table, tick: None, keys: keys.clone(), filter: filter.clone() });
        match reply.recv() {
            Ok(PeekReply::Rows(rows)) => return Ok(rows),
            Ok(PeekReply::TooLate) => {}
            Ok(PeekReply::Gone) => return Err(Error::runtime("the table was dropped while it was read")),
            Err(_) => return Err(shared.error().unwrap_or_else(|| Error::runtime("the engine has stopped"))),
        }
    }
    Err(Error::runtime("the table changes faster than it can be read").hint("try again"))
}
