//! A script's queries over rows in memory: what a run costs beyond reading and decoding.
//!
//! The same dataflows, ticks and housekeeping as in a run with `--once` on one worker; only the
//! sources are missing: their hubs are fed from here.

use super::mail::Command;
use super::shared::Shared;
use super::worker::{Loop, context};
use super::{AnswerLimits, Config, Intervals, Limits, Pace};
use crate::batch::Batch;
use crate::clock::now_ms;
use crate::error::{Error, Result};
use crate::plan::{DataflowId, DataflowPlan, HubId, SourcePlan, Wanted};
use crate::topology::Topology;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;
use timely::worker::Worker;

/// What a script asks the workers to run.
#[derive(Clone, Debug)]
pub struct Planned {
    pub plans: Vec<DataflowPlan>,
    /// What of each hub somebody reads.
    pub wanted: Vec<(HubId, Wanted)>,
}

impl Planned {
    pub fn sources(&self) -> impl Iterator<Item = &SourcePlan> {
        self.plans
            .iter()
            .filter_map(|p| if let DataflowPlan::Source(source) = p { Some(source) } else { None })
    }

    /// What of a hub somebody reads.
    pub fn wanted(&self, hub: HubId) -> Wanted {
        self.wanted.iter().find(|(h, _)| *h == hub).map_or_else(Wanted::default, |(_, wanted)| wanted.clone())
    }
}

/// A source's rows, decoded.
pub struct Feed {
    pub hub: HubId,
    /// The dataflow that would write them.
    pub writer: DataflowId,
    /// With the bytes of the messages that each came from.
    pub batches: Vec<(Batch, usize)>,
}

pub struct Cost {
    pub seconds: f64,
    pub cpu_seconds: f64,
}

/// Feeds the rows so many times over, on this thread; `cpu` reads its CPU clock in seconds.
///
/// Each time the rows come later in their topic than before, as new ones would; making that so is
/// not part of the cost.
pub fn replay(
    planned: &Planned,
    pace: &Pace,
    mut feeds: Vec<Feed>,
    rounds: u64,
    dir: &Path,
    cpu: fn() -> f64,
) -> Result<Cost> {
    let config = Config {
        workers: 1,
        hosts: Vec::new(),
        process: 0,
        data_dir: Some(dir.to_path_buf()),
        once: true,
        topology: Topology::empty(),
        pace: pace.clone(),
        checkpoints: Intervals::default(),
        answers: AnswerLimits::default(),
    };
    let planned = planned.clone();
    let dir = dir.to_path_buf();
    timely::execute_directly(move |worker| {
        let shared = Arc::new(Shared::new(0, 1, 1, Limits::default()));
        let context = context(worker, &config, &shared, now_ms(), &dir)?;
        let mut state = Loop::new(context, &shared, true, true);
        for feed in &feeds {
            state.context.hub(feed.hub).add_writer(feed.writer);
        }
        let queries = planned.plans.into_iter().filter(|p| matches!(p, DataflowPlan::Query(_)));
        let install =
            Command::Install { plans: queries.collect(), wanted: planned.wanted, started_ms: now_ms() };
        state.carry_out(worker, install);
        let mut cost = Cost { seconds: 0.0, cpu_seconds: 0.0 };
        for round in 0..rounds {
            let last = round + 1 == rounds;
            cost.add(cpu, || feed_once(worker, &mut state, &feeds, last));
            feeds.iter_mut().for_each(Feed::move_on);
        }
        state.stop();
        match shared.error() {
            Some(error) => Err(error),
            None if state.ended() => Ok(cost),
            None => Err(Error::runtime("the queries did not come to an end")),
        }
    })
}

impl Cost {
    fn add(&mut self, cpu: fn() -> f64, work: impl FnOnce()) {
        let (started, before) = (Instant::now(), cpu());
        work();
        self.cpu_seconds += cpu() - before;
        self.seconds += started.elapsed().as_secs_f64();
    }
}

/// All batches once, in turn from each feed; after the last ones until everything is through.
fn feed_once(worker: &mut Worker, state: &mut Loop, feeds: &[Feed], last: bool) {
    let longest = feeds.iter().map(|f| f.batches.len()).max().unwrap_or(0);
    for i in 0..longest {
        for feed in feeds {
            let Some((batch, bytes)) = feed.batches.get(i) else { continue };
            let clock = &state.context.clock;
            clock.look_now();
            clock.count_bytes(*bytes);
            state.context.hub(feed.hub).push(clock.tick(), batch.clone());
            step(worker, state, feeds);
        }
    }
    if last {
        feeds.iter().for_each(|feed| state.context.hub(feed.hub).advance(feed.writer, None));
        while !state.ended() && state.shared.error().is_none() {
            worker.step();
            state.after_step();
        }
    }
}

fn step(worker: &mut Worker, state: &mut Loop, feeds: &[Feed]) {
    let tick = state.context.clock.tick();
    worker.step();
    state.after_step();
    let now = state.context.clock.tick();
    if now > tick {
        feeds.iter().for_each(|feed| state.context.hub(feed.hub).advance(feed.writer, Some(now)));
    }
}

impl Feed {
    fn move_on(&mut self) {
        let ends = self.batches.iter().filter_map(|(batch, _)| batch.origin.offsets.last());
        let by = ends.max().map_or(0, |end| end + 1);
        for (batch, _) in &mut self.batches {
            batch.origin.offsets = batch.origin.offsets.iter().map(|offset| offset + by).collect();
        }
    }
}
