//! What an outlet sends together: a round of records, cut into requests, and what became of each.
//!
//! [`super::outlet`] gathers a round from the log and sends it until nothing of it is left.

use super::Target;
use super::bulk::{Fate, Operation};
use super::document::Action;
use super::http::Trouble;
use super::outlet::Refused;
use crate::clock::now_ms;
use crate::connector::log::Ends;
use std::collections::HashMap;
use std::time::Duration;

/// Pauses double up to this.
pub(super) const PAUSE_MAX: Duration = Duration::from_secs(30);

/// What is next of the log.
#[derive(Default)]
pub(super) struct Round {
    pub(super) operations: Vec<Operation>,
    pub(super) bytes: usize,
    pub(super) refused: Vec<Refused>,
    pub(super) next: Ends,
}

impl Round {
    pub(super) fn add(&mut self, operation: Operation) {
        self.bytes += operation.bytes();
        self.operations.push(operation);
    }

    /// Without what a later one of the same document makes void.
    pub(super) fn compacted(mut self) -> Round {
        let mut last: HashMap<(&str, &str), usize> = HashMap::with_capacity(self.operations.len());
        let keyed = self.operations.iter().enumerate().filter_map(|(i, one)| Some((one.key()?, i)));
        keyed.for_each(|(key, i)| _ = last.insert(key, i));
        let mut keep = vec![false; self.operations.len()];
        last.into_values().for_each(|i| keep[i] = true);
        let mut keep = keep.into_iter();
        self.operations.retain(|_| keep.next().unwrap_or(true));
        self
    }
}

/// What became of a round that was sent once.
#[derive(Default)]
pub(super) struct Sent {
    pub(super) written: u64,
    pub(super) deleted: u64,
    pub(super) known: u64,
    pub(super) refused: Vec<Refused>,
    pub(super) later: Vec<Operation>,
    /// Why some of it has to wait.
    pub(super) why: Option<String>,
    pub(super) halt: Option<String>,
    /// So many documents a request, since more were too large.
    pub(super) split_to: usize,
}

impl Sent {
    pub(super) fn take(&mut self, batch: Vec<Operation>, answer: Result<Vec<Fate>, Trouble>) {
        match answer {
            Ok(fates) => batch.into_iter().zip(fates).for_each(|(one, fate)| self.judge(one, fate)),
            Err(Trouble::Away(why)) => {
                self.why = Some(why);
                self.later.extend(batch);
            }
            Err(Trouble::TooLarge) if batch.len() > 1 => {
                self.split_to = self.split_to.min(batch.len() / 2);
                self.later.extend(batch);
            }
            Err(Trouble::TooLarge) => {
                let why = "status 413: the document is larger than the server takes";
                batch.into_iter().for_each(|one| self.refused.push(refused(one, why.into())));
            }
            Err(Trouble::No(why)) => {
                self.halt = Some(why);
                self.later.extend(batch);
            }
        }
    }

    pub(super) fn judge(&mut self, operation: Operation, fate: Fate) {
        match fate {
            Fate::Done if matches!(operation.action, Action::Delete { .. }) => self.deleted += 1,
            Fate::Done => self.written += 1,
            Fate::Known => self.known += 1,
            Fate::Refused(reason) => self.refused.push(refused(operation, reason)),
            Fate::Later(why) => {
                self.why = Some(why);
                self.later.push(operation);
            }
            Fate::Halt(why) => {
                self.halt = Some(why);
                self.later.push(operation);
            }
        }
    }
}

pub(super) fn refused(operation: Operation, reason: String) -> Refused {
    let Operation { partition, offset, action, .. } = operation;
    let document = match action {
        Action::Index { source, .. } => Some(source),
        Action::Delete { .. } | Action::Nothing => None,
    };
    Refused { partition, offset, document, reason }
}

/// Requests of so many documents and bytes at most, in order; one that is larger goes alone.
pub(super) fn batches(operations: Vec<Operation>, docs_max: usize, bytes_max: usize) -> Vec<Vec<Operation>> {
    let mut all: Vec<Vec<Operation>> = Vec::new();
    let mut bytes = 0;
    for operation in operations.into_iter().filter(|one| one.key().is_some()) {
        let more = operation.bytes();
        match all.last_mut() {
            Some(batch) if batch.len() < docs_max && bytes + more <= bytes_max => {
                bytes += more;
                batch.push(operation);
            }
            _ => {
                bytes = more;
                all.push(vec![operation]);
            }
        }
    }
    all
}

/// Growing ones, each a little different, so that many do not come at once.
pub(super) struct Pauses {
    pub(super) next: Duration,
    pub(super) made: u32,
    pub(super) max: Option<u32>,
}

impl Pauses {
    pub(super) fn new(target: &Target) -> Pauses {
        Pauses { next: target.backoff, made: 0, max: target.retries_max }
    }

    pub(super) fn next(&mut self) -> Option<Duration> {
        if self.max.is_some_and(|max| self.made >= max) {
            return None;
        }
        self.made += 1;
        let base = self.next;
        self.next = (base * 2).min(PAUSE_MAX);
        let part = f64::from(now_ms().rem_euclid(997) as u32) / 997.0;
        Some(base.mul_f64(0.75 + part / 2.0))
    }
}
