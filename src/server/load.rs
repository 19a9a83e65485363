//! How busy the workers of this process are: the time on a processor of their threads, as the system
//! counts it. Where it does not tell, there is no load.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;

/// Timely names its threads so.
const WORKER: &str = "timely:work";

pub struct Load {
    last: Instant,
    /// Seconds on a processor since the thread's start, by its id.
    seconds: BTreeMap<u32, f64>,
}

impl Load {
    pub fn new() -> Load {
        Load { last: Instant::now(), seconds: seconds() }
    }

    /// Shares of a core since the last call, of each worker.
    pub fn since_last(&mut self) -> Vec<f64> {
        let now = seconds();
        let elapsed = self.last.elapsed().as_secs_f64().max(1e-3);
        let share = |(thread, seconds): (&u32, &f64)| {
            let before = self.seconds.get(thread).copied().unwrap_or(0.0);
            ((seconds - before) / elapsed * 1_000.0).round() / 1_000.0
        };
        let shares = now.iter().map(share).collect();
        (self.last, self.seconds) = (Instant::now(), now);
        shares
    }
}

fn seconds() -> BTreeMap<u32, f64> {
    let Ok(threads) = std::fs::read_dir("/proc/self/task") else { return BTreeMap::new() };
    let of_thread = |dir: &Path| {
        let name = std::fs::read_to_string(dir.join("comm")).ok()?;
        if !name.starts_with(WORKER) {
            return None;
        }
        let id = dir.file_name()?.to_str()?.parse().ok()?;
        // Nanoseconds on a processor come first.
        let stat = std::fs::read_to_string(dir.join("schedstat")).ok()?;
        let nanoseconds: f64 = stat.split_whitespace().next()?.parse().ok()?;
        Some((id, nanoseconds / 1e9))
    };
    threads.flatten().filter_map(|entry| of_thread(&entry.path())).collect()
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_busy_worker_has_a_load() {
        let busy = || {
            let mut load = Load::new();
            let begun = Instant::now();
            let mut sum = 0_u64;
            while begun.elapsed().as_millis() < 60 {
                sum = std::hint::black_box(sum.wrapping_add(1));
            }
            load.since_last()
        };
        let worker = std::thread::Builder::new().name("timely:work-0".into()).spawn(busy).unwrap();
        let load = worker.join().unwrap();
        assert!(load.iter().any(|share| *share > 0.0), "{load:?}");
    }
}
