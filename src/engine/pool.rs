//! Threads that compute answers: a few for all of them.
//!
//! A computation is a future that gives way to others after each piece of its work, and while it waits for
//! room, for rows or for its topic to grow. So any number of answers may be open at a time, and one that is
//! not read takes memory, but no thread.

use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::task::LocalSet;

/// So many threads at most, however many cores there are: the workers need those.
const THREADS_MAX: usize = 8;

type Computation = Pin<Box<dyn Future<Output = ()>>>;
type Begin = Box<dyn FnOnce() -> Computation + Send>;

#[derive(Default)]
pub struct Pool {
    lanes: Mutex<Vec<Lane>>,
}

/// A thread with its computations. It ends when the pool is dropped, and they with it.
struct Lane {
    // A function an answer, taken at once: it holds no more than there are answers.
    begin: UnboundedSender<Begin>,
    /// Computations that have not ended.
    open: Arc<AtomicUsize>,
}

impl Pool {
    /// Computes on the thread that has the least to do; `begin` makes the computation there.
    pub fn run<F: Future<Output = ()> + 'static>(&self, begin: impl FnOnce() -> F + Send + 'static) {
        let mut lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        let least = lanes.iter().map(|lane| lane.open.load(Ordering::Relaxed)).min();
        if least.is_none_or(|open| open > 0) && lanes.len() < threads() {
            lanes.push(Lane::start());
        }
        let Some(lane) = lanes.iter().min_by_key(|lane| lane.open.load(Ordering::Relaxed)) else { return };
        lane.open.fetch_add(1, Ordering::Relaxed);
        let ended = Ended(Arc::clone(&lane.open));
        let begin: Begin = Box::new(move || {
            let computation = begin();
            Box::pin(async move {
                computation.await;
                drop(ended);
            })
        });
        // A thread that is gone drops it, and with it the end of its answer, which says so.
        let _ = lane.begin.send(begin);
    }
}

fn threads() -> usize {
    std::thread::available_parallelism().map_or(2, usize::from).clamp(2, THREADS_MAX)
}

/// Counts a computation that has ended, also when it was dropped or panicked.
struct Ended(Arc<AtomicUsize>);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Lane {
    fn start() -> Lane {
        let (begin, mut begun) = unbounded_channel::<Begin>();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
            let runtime = runtime.expect("a clock needs nothing of the system");
            LocalSet::new().block_on(&runtime, async move {
                while let Some(begin) = begun.recv().await {
                    tokio::task::spawn_local(async move { begin().await });
                }
            });
        });
        Lane { begin, open: Arc::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::sync::mpsc::sync_channel;
    use tokio::sync::Notify;

    #[test]
    fn any_number_waits_on_a_few_threads_and_one_that_panics_takes_none_with_it() {
        const COUNT: usize = 200;
        let pool = Pool::default();
        let (said, heard) = sync_channel(2 * COUNT);
        let go_on = Arc::new(Notify::new());
        pool.run(|| async { panic!("as it should") });
        for _ in 0..COUNT {
            let (said, go_on) = (said.clone(), Arc::clone(&go_on));
            pool.run(move || async move {
                said.send(std::thread::current().id()).unwrap();
                go_on.notified().await;
                said.send(std::thread::current().id()).unwrap();
            });
        }
        // All have begun, and wait.
        let mut threads: BTreeSet<String> = BTreeSet::new();
        threads.extend(heard.iter().take(COUNT).map(|id| format!("{id:?}")));
        assert!(threads.len() <= super::threads(), "{threads:?}");
        assert!(heard.try_recv().is_err());
        for _ in 0..COUNT {
            go_on.notify_one();
            threads.insert(format!("{:?}", heard.recv().unwrap()));
        }
        assert!(threads.len() <= super::threads(), "{threads:?}");
        drop(said);
        assert!(heard.recv().is_err(), "none is left");
    }
}
