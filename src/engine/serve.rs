//! Begins answers that have been decided: on the threads of a pool, beside the workers.

use super::answers::{Outlet, Rows};
use super::coordinator::Coordinator;
use super::draft::{Base, Feed};
use super::local::{self, Complaints};
use super::print::print_topic;
use super::pull::Question;
use crate::error::Result;
use crate::render::process::Process;
use crate::render::rejects::RejectLog;
use std::sync::{Arc, Mutex, PoisonError};

impl Coordinator {
    /// `derived`: the rows that it is computed from, if workers send them.
    pub(super) fn serve(&self, from: Feed, outlet: Outlet, derived: Option<Rows>) -> Result<()> {
        let schemas = self.base.schemas.clone();
        match from {
            Feed::Dataflows { .. } => {}
            Feed::Derived { types, selects, .. } => {
                if let Some(mut rows) = derived {
                    self.pool.run(move || async move {
                        local::answer_derived(&mut rows, &types, &selects, &outlet).await;
                    });
                }
            }
            Feed::Table { table, types, lookup, filter, selects } => {
                let shared = Arc::clone(&self.base.shared);
                self.pool.run(move || async move {
                    let question = Question { table, lookup, filter };
                    local::answer_table(&shared, question, &types, &selects, &outlet).await;
                });
            }
            Feed::Sources { ways, selects, until, about } => {
                let complaints = Complaints { about, log: self.reject_log()? };
                let started_ms = self.base.shared.started_ms();
                self.pool.run(move || async move {
                    let answered = local::answer_stream(
                        ways,
                        &selects,
                        &schemas,
                        until,
                        started_ms,
                        &complaints,
                        &outlet,
                    );
                    answered.await;
                });
            }
            Feed::Messages(messages) => {
                self.pool.run(move || async move { print_topic(&messages, &schemas, &outlet).await });
            }
        }
        Ok(())
    }

    /// The partition of the rejects' log behind those of the workers.
    pub(super) fn reject_log(&self) -> Result<Arc<Mutex<RejectLog>>> {
        let mut rejects = self.rejects.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(log) = &*rejects {
            return Ok(Arc::clone(log));
        }
        let Base { data_dir, shared, .. } = &self.base;
        let log = Arc::new(Mutex::new(RejectLog::open(data_dir, shared.peers, Arc::clone(shared) as _)?));
        *rejects = Some(Arc::clone(&log));
        Ok(log)
    }
}
