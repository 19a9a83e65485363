//! Clusters that cannot be reached: said once when the first client loses one, and once when the last
//! client has it back, however many clients there are.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard};

/// Clusters with the clients that cannot reach them.
static AWAY: Mutex<BTreeMap<String, BTreeSet<u64>>> = Mutex::new(BTreeMap::new());

/// One client's view of its cluster.
pub struct Reach {
    cluster: String,
    id: u64,
    lost: AtomicBool,
}

impl Reach {
    /// `cluster` is what it is called in messages.
    pub fn new(cluster: String) -> Reach {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Reach { cluster, id: NEXT.fetch_add(1, Ordering::Relaxed), lost: AtomicBool::new(false) }
    }

    pub fn lost(&self, why: &str) {
        if self.lost.swap(true, Ordering::Relaxed) {
            return;
        }
        let mut away = lock();
        let clients = away.entry(self.cluster.clone()).or_default();
        if clients.is_empty() {
            eprintln!("{} cannot be reached: {why}; trying again until it can", self.cluster);
        }
        clients.insert(self.id);
    }

    pub fn found(&self) {
        if self.forget() {
            eprintln!("{} can be reached again", self.cluster);
        }
    }

    /// True when it was the last one that had lost the cluster.
    fn forget(&self) -> bool {
        if !self.lost.swap(false, Ordering::Relaxed) {
            return false;
        }
        let mut away = lock();
        let Some(clients) = away.get_mut(&self.cluster) else { return false };
        clients.remove(&self.id) && clients.is_empty()
    }
}

impl Drop for Reach {
    fn drop(&mut self) {
        self.forget();
    }
}

fn lock() -> MutexGuard<'static, BTreeMap<String, BTreeSet<u64>>> {
    AWAY.lock().unwrap_or_else(|e| e.into_inner())
}
