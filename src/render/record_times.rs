//! The ROWTIMEs of the records of the last ticks, where a tick holds one ([`Emission::PerRecord`]).
//!
//! What a record has touched is told of with the record's time, as Kafka Streams has it, if that is later than that of
//! the row, or of the row that was there: of one that is gone, or has lost what it was joined with. Ticks of many
//! records have no such time.
//!
//! [`Emission::PerRecord`]: crate::plan::Emission::PerRecord

use super::Tick;
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// As many ticks are remembered: what comes of a record is told long before so many others have come.
const KEPT: usize = 1_024;

/// Of one process, which reads all topics.
#[derive(Default)]
pub struct RecordTimes(Mutex<BTreeMap<Tick, i64>>);

impl RecordTimes {
    pub fn note(&self, tick: Tick, rowtime: i64) {
        let mut times = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        times.insert(tick, rowtime);
        if times.len() > KEPT {
            times.pop_first();
        }
    }

    /// The time of a message about a row that has this one.
    pub fn told(&self, tick: Tick, rowtime: i64) -> i64 {
        let times = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        times.get(&tick).map_or(rowtime, |time| rowtime.max(*time))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_told_of_with_the_time_of_the_record_that_touched_it() {
        let times = RecordTimes::default();
        (1..2_000).for_each(|tick| times.note(tick, 10 * tick as i64));
        assert_eq!(times.told(1_990, 5), 19_900);
        assert_eq!(times.told(1_990, 50_000), 50_000, "its own is later");
        assert_eq!(times.told(3, 5), 5, "that is forgotten");
    }
}
