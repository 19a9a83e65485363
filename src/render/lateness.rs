//! How late the rows were that came too late for a query, so that it can be told what a longer grace would have saved.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Graces are thought of in such steps, milliseconds: what is in none of them is later.
const STEPS: [(i64, &str); 6] = [
    (1_000, "1 second"),
    (10_000, "10 seconds"),
    (60_000, "1 minute"),
    (600_000, "10 minutes"),
    (3_600_000, "1 hour"),
    (86_400_000, "1 day"),
];

/// Of one query.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Lateness {
    rows: u64,
    /// Those that a grace longer by so much would have counted, and would not by the step before.
    steps: [u64; STEPS.len()],
    /// How much longer it would have to be for all of them, milliseconds.
    most_ms: i64,
}

impl Lateness {
    /// A row that would have counted if the grace had been longer by so many milliseconds.
    pub fn add(&mut self, needed_ms: i64) {
        self.rows += 1;
        self.most_ms = self.most_ms.max(needed_ms);
        if let Some(step) = STEPS.iter().position(|(ms, _)| needed_ms <= *ms) {
            self.steps[step] += 1;
        }
    }

    pub fn merge(&mut self, other: &Lateness) {
        self.rows += other.rows;
        self.most_ms = self.most_ms.max(other.most_ms);
        self.steps.iter_mut().zip(other.steps).for_each(|(mine, others)| *mine += others);
    }
}

impl fmt::Display for Lateness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "late since the start: {}; with a grace longer by", self.rows)?;
        let mut saved = 0;
        for ((_, name), count) in STEPS.iter().zip(self.steps).filter(|(_, count)| *count > 0) {
            saved += count;
            if saved < self.rows {
                write!(f, " {name} {saved} of them would count, by")?;
            }
        }
        write!(f, " {} ms all", self.most_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::Lateness;

    #[test]
    fn it_is_told_what_a_longer_grace_would_have_saved() {
        let mut lateness = Lateness::default();
        [1, 1_000, 1_001, 70_000].iter().for_each(|ms| lateness.add(*ms));
        let mut other = Lateness::default();
        other.add(90_000_000);
        lateness.merge(&other);
        assert_eq!(
            lateness.to_string(),
            "late since the start: 5; with a grace longer by 1 second 2 of them would count, by 10 seconds 3 of them \
             would count, by 10 minutes 4 of them would count, by 90000000 ms all"
        );
        other = Lateness::default();
        other.add(3);
        assert_eq!(other.to_string(), "late since the start: 1; with a grace longer by 3 ms all");
    }
}
