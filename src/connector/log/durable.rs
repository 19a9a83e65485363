//! How far logs are durable that this process writes for others to build on: its readers go no further, so that
//! nothing is made of a record that a crash of the machine, or a disk that fails, would take away again.
//!
//! Logs that nobody has told of here are read as far as they are written: the engine's own, which are written again
//! from where a checkpoint says, and those of other processes.

use super::Ends;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, PoisonError, Weak};

static TOLD: LazyLock<Mutex<HashMap<PathBuf, Weak<Durable>>>> = LazyLock::new(Mutex::default);

/// The offset behind each partition's last record that is synced. Its writer has it and moves it on.
#[derive(Debug)]
pub struct Durable(Vec<AtomicI64>);

impl Durable {
    /// From now on the log in `dir` is read to these ends, as long as the result is kept. Partitions beyond
    /// `partitions` that are known are among them.
    pub fn tell(dir: &Path, known: &Ends, partitions: u32) -> Arc<Durable> {
        let count = known.keys().max().map_or(0, |last| last + 1).max(partitions);
        let end = |partition| AtomicI64::new(known.get(&partition).copied().unwrap_or(0));
        let durable = Arc::new(Durable((0..count).map(end).collect()));
        let mut told = TOLD.lock().unwrap_or_else(PoisonError::into_inner);
        told.retain(|_, durable| durable.strong_count() > 0);
        told.insert(dir.to_path_buf(), Arc::downgrade(&durable));
        durable
    }

    pub(super) fn of(dir: &Path) -> Option<Arc<Durable>> {
        TOLD.lock().unwrap_or_else(PoisonError::into_inner).get(dir)?.upgrade()
    }

    pub fn partitions(&self) -> u32 {
        self.0.len() as u32
    }

    /// 0 for a partition that it does not know.
    pub fn end(&self, partition: u32) -> i64 {
        self.0.get(partition as usize).map_or(0, |end| end.load(Ordering::Acquire))
    }

    pub fn ends(&self) -> Ends {
        (0..self.partitions()).map(|partition| (partition, self.end(partition))).collect()
    }

    /// What stands before `end` is synced.
    pub fn reach(&self, partition: u32, end: i64) {
        if let Some(known) = self.0.get(partition as usize) {
            known.store(end, Ordering::Release);
        }
    }
}
