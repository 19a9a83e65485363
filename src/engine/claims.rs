//! Topics that statements do something to beside the world: one statement a topic at a time.

use std::collections::BTreeSet;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

#[derive(Default)]
pub struct Claims {
    taken: Mutex<BTreeSet<String>>,
    released: Condvar,
}

/// Until it is dropped the topics are its owner's.
#[derive(Default)]
pub struct Claim<'a> {
    topics: Vec<String>,
    of: Option<&'a Claims>,
}

impl Claims {
    /// Waits until nobody has any of the topics. Who has some already must not wait for more.
    pub fn take(&self, topics: Vec<String>) -> Claim<'_> {
        let mut taken = self.lock();
        while topics.iter().any(|topic| taken.contains(topic)) {
            taken = self.released.wait(taken).unwrap_or_else(PoisonError::into_inner);
        }
        taken.extend(topics.iter().cloned());
        Claim { topics, of: Some(self) }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Claim<'_> {
    pub fn covers(&self, topics: &[String]) -> bool {
        topics.iter().all(|topic| self.topics.contains(topic))
    }
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        if let Some(claims) = self.of {
            let mut taken = claims.lock();
            taken.retain(|topic| !self.topics.contains(topic));
            claims.released.notify_all();
        }
    }
}
