//! Clusters that cannot be reached: said once when the first client loses one, and once when the last
//! client has it back, however many clients there are.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

/// Clusters that were said to be away.
static AWAY: Mutex<BTreeMap<String, Away>> = Mutex::new(BTreeMap::new());

/// There are some: most of the time there are none, and nobody has to wait for the lock.
static SOME: AtomicBool = AtomicBool::new(false);

struct Away {
    /// Those that cannot reach it; none when they have gone without reaching it.
    clients: BTreeSet<u64>,
    /// When somebody last waited for it patiently.
    waited: Instant,
}

/// How long a question waits for its cluster before it is away, and when it is known to be.
const PATIENCE: Duration = Duration::from_secs(3);
const IMPATIENCE: Duration = Duration::from_secs(1);

/// A cluster that is away gets all of the patience again after so long.
const PATIENT_EVERY: Duration = Duration::from_secs(30);

/// How long a question to a cluster may take: a script's statements do not wait one after the other
/// for the same cluster.
pub fn patience(cluster: &str) -> Duration {
    match lock().get_mut(cluster) {
        Some(away) if away.waited.elapsed() < PATIENT_EVERY => IMPATIENCE,
        Some(away) => {
            away.waited = Instant::now();
            PATIENCE
        }
        None => PATIENCE,
    }
}

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
        let mut all = lock();
        let away = all.entry(self.cluster.clone()).or_insert_with(|| {
            let cluster = &self.cluster;
            tracing::warn!(why, "{cluster} cannot be reached, trying again until it can");
            Away { clients: BTreeSet::new(), waited: Instant::now() }
        });
        away.clients.insert(self.id);
        SOME.store(true, Ordering::Relaxed);
    }

    pub fn found(&self) {
        if !SOME.load(Ordering::Relaxed) {
            return;
        }
        self.lost.store(false, Ordering::Relaxed);
        let mut all = lock();
        let Some(away) = all.get_mut(&self.cluster) else { return };
        away.clients.remove(&self.id);
        if away.clients.is_empty() {
            tracing::info!("{} can be reached again", self.cluster);
            all.remove(&self.cluster);
            SOME.store(!all.is_empty(), Ordering::Relaxed);
        }
    }

    /// The client no longer tries; others may find the cluster.
    pub fn rest(&self) {
        if self.lost.swap(false, Ordering::Relaxed)
            && let Some(away) = lock().get_mut(&self.cluster)
        {
            away.clients.remove(&self.id);
        }
    }
}

impl Drop for Reach {
    fn drop(&mut self) {
        self.rest();
    }
}

fn lock() -> MutexGuard<'static, BTreeMap<String, Away>> {
    AWAY.lock().unwrap_or_else(|e| e.into_inner())
}
