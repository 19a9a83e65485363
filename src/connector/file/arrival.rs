//! The times that messages of a file get, which have none of their own: when they came.

use crate::batch::Timestamps;

/// What was there when: up to so many bytes since that time (milliseconds), what is behind since now.
#[derive(Clone, Copy, Debug, Default)]
pub struct Arrivals {
    found: [(u64, i64); 2],
}

/// The times of one block's messages.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    arrivals: Arrivals,
    /// No time is before this one.
    floor: i64,
    now_ms: i64,
}

impl Arrivals {
    /// At the first start the file had `found` bytes, at this one `len`.
    pub fn new(first: (u64, i64), this: (u64, i64)) -> Arrivals {
        Arrivals { found: [first, this] }
    }

    /// `floor`: the last time that was given before.
    pub fn times(self, floor: i64, now_ms: i64) -> Times {
        Times { arrivals: self, floor, now_ms }
    }
}

impl Times {
    /// The time of a message at an offset: it does not fall as offsets rise, whatever the clock does.
    pub fn at(&self, offset: u64) -> i64 {
        let mut time = self.floor;
        for (len, ms) in self.arrivals.found.into_iter().filter(|(len, _)| *len > 0) {
            time = time.max(ms);
            if offset < len {
                return time;
            }
        }
        time.max(self.now_ms)
    }

    /// Of messages in the order of their offsets.
    pub fn of(&self, offsets: &[i64]) -> Timestamps {
        let at = |offset: &i64| self.at(*offset as u64);
        match (offsets.first().map(at), offsets.last().map(at)) {
            (Some(first), Some(last)) if first < last => Timestamps::Each(offsets.iter().map(at).collect()),
            (first, _) => Timestamps::All(first.unwrap_or(self.floor)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_later_has_a_later_time_and_none_is_before_the_last() {
        let arrivals = Arrivals::new((10, 100), (20, 50));
        let times = |floor| [0, 9, 10, 19, 20].map(|offset| arrivals.times(floor, 300).at(offset));
        assert_eq!(times(0), [100, 100, 100, 100, 300], "a clock was set back");
        assert_eq!(times(200), [200, 200, 200, 200, 300]);
        let each = arrivals.times(0, 300).of(&[5, 25]);
        assert!(matches!(&each, Timestamps::Each(each) if each[..] == [100, 300]), "{each:?}");
        assert!(matches!(Arrivals::default().times(0, 7).of(&[0, 3]), Timestamps::All(7)));
    }
}
