//! How far a source is read, as far as one worker reads it: beside the books, which count its rows.

use super::read::Reading;
use super::standing::Standing;
use crate::batch::MessageBatch;
use crate::connector::Lag;
use crate::plan::DataflowId;
use serde::{Deserialize, Serialize};
use std::cell::RefCell;
use std::rc::Rc;

pub struct Gauge {
    topic: String,
    /// Those that have not ended.
    readings: Vec<(DataflowId, Rc<RefCell<Reading>>)>,
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
    /// Whether nothing is left to read now, as far as the readers can tell that go on.
    pub fn is_read(&self, now_ms: i64, pauses: &Standing) -> bool {
        let mut going = self.readings.iter().filter(|(id, _)| !pauses.is_stopped(*id));
        going.all(|(_, reading)| match &*reading.borrow() {
            Reading::Unopened => false,
            Reading::Open(source) => source.is_at_end() && !source.lag(now_ms).is_some_and(Lag::is_some),
            Reading::Ended(_) | Reading::Elsewhere => true,
        })
    }

    pub fn new(topic: &str) -> Gauge {
        Gauge { topic: topic.into(), readings: Vec::new(), bytes: 0, last_ms: None }
    }

    pub fn watch(&mut self, id: DataflowId, reading: &Rc<RefCell<Reading>>) {
        self.readings.push((id, Rc::clone(reading)));
    }

    /// A reader that was cancelled shows nothing more. False when it was the last one.
    pub fn unwatch(&mut self, reading: &Rc<RefCell<Reading>>) -> bool {
        self.readings.retain(|(_, watched)| !Rc::ptr_eq(watched, reading));
        !self.readings.is_empty()
    }

    pub fn count(&mut self, batch: &MessageBatch) {
        self.bytes += batch.buffer.len() as u64;
        self.last_ms = batch.len().checked_sub(1).map(|last| batch.timestamps.at(last)).or(self.last_ms);
    }

    /// `started_ms`: when reading began.
    pub fn level(&mut self, now_ms: i64, started_ms: i64) -> Level {
        self.readings.retain(|(_, reading)| !matches!(*reading.borrow(), Reading::Ended(_)));
        let behind = |(_, reading): &(DataflowId, Rc<RefCell<Reading>>)| match &*reading.borrow() {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::{Range32, Timestamps};
    use crate::connector::{Poll, ReadTo, Source};
    use crate::error::Result;
    use crate::headers::Headers;

    struct Behind(Option<u64>);

    impl Source for Behind {
        fn poll(&mut self, _: usize, _: i64) -> Result<Poll> {
            Ok(Poll::Pending)
        }

        fn bytes_expected(&self) -> Option<u64> {
            None
        }

        fn position(&self) -> Option<ReadTo> {
            None
        }

        fn lag(&self, _: i64) -> Option<Lag> {
            self.0.map(Lag::records)
        }
    }

    fn one_at(timestamp: i64) -> MessageBatch {
        MessageBatch {
            partition: 0,
            buffer: b"12345".to_vec().into(),
            values: vec![Range32 { start: 0, end: 5 }],
            keys: None,
            offsets: vec![0].into(),
            timestamps: Timestamps::All(timestamp),
            headers: Headers::None,
            torn: Vec::new(),
            names: None,
        }
    }

    #[test]
    fn the_lag_in_time_is_the_age_of_the_last_record_while_there_are_more() {
        let mut gauge = Gauge::new("t");
        let behind = |lag| Rc::new(RefCell::new(Reading::Open(Box::new(Behind(lag)))));
        let one = behind(Some(3));
        gauge.watch(1, &one);
        assert_eq!(gauge.level(5_000, 1_000).lag_ms, Some(4_000), "nothing was read since the start");
        gauge.count(&one_at(4_500));
        let level = gauge.level(5_000, 1_000);
        assert_eq!((level.bytes, level.lag, level.lag_ms), (5, Lag::records(3), Some(500)));
        gauge.watch(1, &behind(Some(4)));
        assert_eq!(gauge.level(5_000, 1_000).lag, Lag::records(7));
        gauge.watch(1, &behind(None));
        assert_eq!(gauge.level(5_000, 1_000).lag_ms, None, "one does not know");

        let mut gauge = Gauge::new("t");
        gauge.watch(1, &behind(Some(0)));
        gauge.watch(1, &one);
        *one.borrow_mut() = Reading::Ended(None);
        assert_eq!(gauge.level(5_000, 1_000).lag_ms, Some(0));
    }
}
