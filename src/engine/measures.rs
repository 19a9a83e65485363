//! What is measured while the engine runs: each worker tells process 0 about itself twice a second, and
//! there it is added up, for `/metrics`, SHOW, DESCRIBE and `wharfe lag`.

use super::checkpoint::Taken;
use super::mail::Mail;
use super::outcome::Traffic;
use super::shared::Shared;
use crate::connector::Lag;
use crate::connector::log::Ends;
use crate::engine::checkpoint::name_of;
use crate::render::Tick;
use crate::render::books::Stage;
use crate::render::context::Context;
use crate::render::gauge::Level;
use crate::render::lateness::Lateness;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

const MEASURE_EVERY: Duration = Duration::from_millis(500);
/// Rates are means that forget what is older than about so long.
const RATE_OVER: Duration = Duration::from_secs(5);
/// A source whose records are rejected is said to have some so often.
const WARN_EVERY: Duration = Duration::from_secs(60);

/// What one worker tells.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Measured {
    /// Since the newest tick that it has closed.
    tick_age: Duration,
    inflight_bytes: u64,
    stages: BTreeMap<Stage, Flow>,
    sources: BTreeMap<String, Level>,
    /// Of each query for which rows were late.
    lateness: BTreeMap<String, Lateness>,
    /// How much it has installed, by what that is.
    installed: BTreeMap<String, u64>,
    /// Topic and name of each outbox, with the ends of its partitions that this worker writes.
    outboxes: Vec<(String, String, Ends)>,
    /// Its process's, from one worker of each.
    memory: Option<(usize, u64)>,
}

/// Rows through a stage since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Flow {
    pub rows_in: u64,
    pub rows_out: u64,
    pub filtered: u64,
    pub rejected: u64,
    /// Rows in a second, lately.
    pub rate: f64,
}

impl Flow {
    fn traffic(self, lag: Lag, lag_ms: Option<u64>) -> Traffic {
        Traffic {
            rows: self.rows_in,
            rejected: self.rejected,
            rate: (self.rate * 10.0).round() / 10.0,
            lag,
            lag_seconds: lag_ms.map(|ms| ms as f64 / 1000.0),
        }
    }

    fn add(&mut self, other: &Flow) {
        self.rows_in += other.rows_in;
        self.rows_out += other.rows_out;
        self.filtered += other.filtered;
        self.rejected += other.rejected;
        self.rate += other.rate;
    }
}

/// All of it together.
#[derive(Clone, Debug, Default)]
pub struct Measures {
    pub sources: BTreeMap<String, Level>,
    pub stages: BTreeMap<Stage, Flow>,
    pub lateness: BTreeMap<String, Lateness>,
    /// Since the newest tick that is closed everywhere; `None`: no worker has said anything yet.
    pub tick_age: Option<Duration>,
    /// How much all workers have installed, by what that is: dataflows, hubs, tables, stages, sources.
    pub installed: BTreeMap<String, u64>,
    /// Bytes read that some query has not finished with, of each worker.
    pub inflight_bytes: BTreeMap<usize, u64>,
    /// Resident, of each process.
    pub memory_bytes: BTreeMap<usize, u64>,
    /// Records that a topic on a cluster is to get, and has not got.
    pub undelivered: BTreeMap<String, u64>,
    pub checkpoint: Option<Taken>,
    /// Answers that go on, and rows and their bytes that wait for their clients.
    pub answers: usize,
    pub answer_rows: usize,
    pub answer_bytes: usize,
    pub notes: u64,
}

impl Measures {
    /// What has been read of a source.
    pub fn read(&self, source: &str) -> Flow {
        self.sum(|stage| stage.query().is_empty() && stage.source() == source)
    }

    /// What comes to a source from its topic; `None` when that is not read.
    pub fn of_source(&self, source: &str) -> Option<Traffic> {
        let level = self.sources.get(source)?;
        Some(self.read(source).traffic(level.lag, level.lag_ms))
    }

    /// What comes to a query of all that `feeds` it; `None` when it is not known.
    pub fn of_query(&self, query: &str, feeds: impl Fn(&str) -> bool) -> Option<Traffic> {
        let taken = |stage: &&Stage| stage.query() == query && stage.stage() == "transform";
        self.stages.keys().find(taken)?;
        let lags = self.sources.iter().filter(|(source, _)| feeds(source)).map(|(_, level)| level.lag_ms);
        Some(self.sum(|stage| taken(&stage)).traffic(Lag::default(), lags.max().flatten()))
    }

    fn sum(&self, which: impl Fn(&Stage) -> bool) -> Flow {
        let mut sum = Flow::default();
        self.stages.iter().filter(|(stage, _)| which(stage)).for_each(|(_, flow)| sum.add(flow));
        sum
    }
}

/// What process 0 has been told, by worker.
#[derive(Default)]
pub struct Told {
    workers: BTreeMap<usize, (Instant, Measured)>,
    /// How much of each outbox its courier has delivered.
    pub delivered: BTreeMap<String, Ends>,
    pub checkpoint: Option<Taken>,
}

impl Told {
    pub fn tell(&mut self, worker: usize, measured: Measured) {
        self.workers.insert(worker, (Instant::now(), measured));
    }

    pub fn sum(&self) -> Measures {
        let mut all = Measures { checkpoint: self.checkpoint, ..Measures::default() };
        for (worker, (at, measured)) in &self.workers {
            // One that should have said something by now has closed nothing since.
            let late = at.elapsed().saturating_sub(MEASURE_EVERY);
            all.tick_age = all.tick_age.max(Some(measured.tick_age + late));
            all.inflight_bytes.insert(*worker, measured.inflight_bytes);
            all.memory_bytes.extend(measured.memory);
            for (stage, flow) in &measured.stages {
                all.stages.entry(stage.clone()).or_default().add(flow);
            }
            for (query, lateness) in &measured.lateness {
                all.lateness.entry(query.clone()).or_default().merge(lateness);
            }
            for (what, count) in &measured.installed {
                *all.installed.entry(what.clone()).or_default() += count;
            }
            for (source, level) in &measured.sources {
                all.sources.entry(source.clone()).or_default().add(level.clone());
            }
            for (topic, outbox, ends) in &measured.outboxes {
                let next =
                    |p: &u32| self.delivered.get(outbox).and_then(|next| next.get(p)).copied().unwrap_or(0);
                let left: u64 = ends.iter().map(|(p, end)| (end - next(p)).max(0) as u64).sum();
                *all.undelivered.entry(topic.clone()).or_default() += left;
            }
        }
        all
    }
}

/// Measures one worker.
pub struct Meter {
    last: Instant,
    stages: BTreeMap<Stage, Flow>,
    speaks_for_process: bool,
    /// When rejects of a source were last told, and how many there were.
    warned: BTreeMap<String, (Instant, u64)>,
}

impl Meter {
    pub fn new(speaks_for_process: bool) -> Meter {
        Meter { last: Instant::now(), stages: BTreeMap::new(), speaks_for_process, warned: BTreeMap::new() }
    }

    /// Tells, when it is time to; false when it is not. `drained`: the least tick that is not finished.
    pub fn measure(&mut self, context: &Context, shared: &Shared, drained: Option<Tick>) -> bool {
        let since = self.last.elapsed();
        if since < MEASURE_EVERY {
            return false;
        }
        self.last = Instant::now();
        let before = std::mem::take(&mut self.stages);
        let flow = |(stage, [rows_in, _, rows_out, filtered, rejected]): (Stage, [u64; 5])| {
            let before = before.get(&stage).copied().unwrap_or_default();
            let now = (rows_in - before.rows_in) as f64 / since.as_secs_f64();
            let weight = 1.0 - (-since.as_secs_f64() / RATE_OVER.as_secs_f64()).exp();
            let rate = before.rate + (now - before.rate) * weight;
            (stage, Flow { rows_in, rows_out, filtered, rejected, rate })
        };
        self.stages = context.books.totals().into_iter().map(flow).collect();
        let stored = context.writers.borrow();
        let outboxes = stored.values().filter_map(|stored| {
            let name = name_of(stored.outbox.as_deref()?);
            Some((stored.topic.clone(), name, stored.writer.borrow().ends().into_iter().collect()))
        });
        let process = shared.process;
        let measured = Measured {
            tick_age: drained.map_or(Duration::ZERO, |tick| context.clock.age(tick)),
            inflight_bytes: context.inflight.bytes() as u64,
            stages: self.stages.clone(),
            sources: context.levels(),
            lateness: context.lateness.borrow().clone(),
            installed: context.installed(),
            outboxes: outboxes.collect(),
            memory: resident_bytes().filter(|_| self.speaks_for_process).map(|bytes| (process, bytes)),
        };
        shared.mail(Mail::Measured { worker: context.index, measured: Box::new(measured) });
        true
    }

    /// Says which sources have had records rejected; not more often than once a minute each.
    pub fn warn_of_rejects(&mut self, shared: &Shared) {
        let measures = shared.measures();
        for source in measures.sources.keys() {
            let now = measures.read(source).rejected;
            let told = self.warned.get(source);
            let before = told.map_or(0, |(_, before)| *before);
            if now > before && told.is_none_or(|(at, _)| at.elapsed() >= WARN_EVERY) {
                let rejected = now - before;
                tracing::warn!(source, rejected, "records were rejected: WHARFE_REJECTS says which and why");
                self.warned.insert(source.clone(), (Instant::now(), now));
            }
        }
    }
}

/// Memory of this process, where the system tells.
fn resident_bytes() -> Option<u64> {
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = statm.split_whitespace().nth(1)?.parse().ok()?;
    // SAFETY: asks for a number and touches no memory.
    let page_bytes = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    Some(pages * u64::try_from(page_bytes).ok()?)
}
