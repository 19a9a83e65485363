//! How far a source is read, as far as one worker reads it: beside the books, which count its rows.

use super::source::Reading;
use crate::batch::MessageBatch;
use crate::connector::Lag;
use serde::{Deserialize, Serialize};
use std::cell::RefCell;
use std::rc::Rc;

pub struct Gauge {
    topic: String,
    /// Those that have not ended.
    readings: Vec<Rc<RefCell<Reading>>>,
    bytes: u64,
    /// The timestamp of the last record that was read.
    last_ms: Option<i64>,
}

/// What a gauge shows; also of several workers together.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Level {
    pub topic: String,
    pub bytes: u64,
    pub lag: Lag,
    /// How old the last record is that was read, while there are more; `None`: not known.
    pub lag_ms: Option<u64>,
}

impl Gauge {
    pub fn new(topic: &str) -> Gauge {
        Gauge { topic: topic.into(), readings: Vec::new(), bytes: 0, last_ms: None }
    }

    pub fn watch(&mut self, reading: &Rc<RefCell<Reading>>) {
        self.readings.push(Rc::clone(reading));
    }

    pub fn count(&mut self, batch: &MessageBatch) {
        self.bytes += batch.buffer.len() as u64;
        self.last_ms = batch.len().checked_sub(1).map(|last| batch.timestamps.at(last)).or(self.last_ms);
    }

    /// `started_ms`: when reading began.
    pub fn level(&mut self, now_ms: i64, started_ms: i64) -> Level {
        self.readings.retain(|reading| !matches!(*reading.borrow(), Reading::Ended(_)));
        let behind = |reading: &Rc<RefCell<Reading>>| match &*reading.borrow() {
            Reading::Open(source) => source.lag(now_ms),
            _ => None,
        };
        let lags: Vec<Option<Lag>> = self.readings.iter().map(behind).collect();
        let is_known = lags.iter().all(Option::is_some);
        let lag = lags.into_iter().flatten().fold(Lag::default(), Lag::plus);
        let age = (now_ms - self.last_ms.unwrap_or(started_ms)).max(0) as u64;
        let lag_ms = is_known.then_some(if lag.is_some() { age } else { 0 });
        Level { topic: self.topic.clone(), bytes: self.bytes, lag, lag_ms }
    }
}

impl Level {
    pub fn add(&mut self, other: Level) {
        self.topic = other.topic;
        self.bytes += other.bytes;
        self.lag = self.lag.plus(other.lag);
        self.lag_ms = self.lag_ms.max(other.lag_ms);
    }
}
