//! A worker's side of a checkpoint: waits for the tick to pass and to close, then writes its share of
//! the kept states, some keys at a time between other work.

use super::{Part, Report, name_of};
use crate::connector::{Position, ReadTo};
use crate::error::{Error, Result};
use crate::render::Tick;
use crate::render::context::{Context, Stored};
use crate::render::kept::KeptId;
use crate::render::read::Reading;
use crate::render::snapshot::Snapshot;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::rc::Rc;

/// So many keys are written between two steps of the dataflows: about half a millisecond.
const KEYS_A_STEP: usize = 1_000;

pub struct Underway {
    pub number: u64,
    tick: Tick,
    dir: PathBuf,
    states: Vec<KeptId>,
    stage: Stage,
}

enum Stage {
    /// Input of the tick may still come.
    Reading,
    /// It has been read, and is not through.
    Draining(BTreeMap<String, ReadTo>),
    Writing(Box<Snapshot>, Box<Part>),
}

impl Underway {
    /// `Err`: the tick is over already, since so many microseconds.
    pub fn begin(
        number: u64,
        tick: Tick,
        dir: PathBuf,
        states: Vec<KeptId>,
        context: &Context,
    ) -> std::result::Result<Underway, Tick> {
        if let late @ 1.. = context.clock.tick().saturating_sub(tick) {
            return Err(late);
        }
        context.hold.set(Some(tick));
        Ok(Underway { number, tick, dir, states, stage: Stage::Reading })
    }

    /// Whether there is work to do right now.
    pub fn is_writing(&self) -> bool {
        matches!(self.stage, Stage::Writing(..))
    }

    /// Goes on; `drained` is the least tick that is not finished. What this worker has to say when it is
    /// done.
    pub fn step(&mut self, drained: Option<Tick>, context: &Context) -> Option<Report> {
        if let Stage::Reading = self.stage
            && context.clock.tick() > self.tick
        {
            match positions(context) {
                Ok(positions) => self.stage = Stage::Draining(positions),
                Err(error) => return Some(Report::Early(error)),
            }
        }
        if let Stage::Draining(sources) = &mut self.stage
            && drained.is_none_or(|drained| drained > self.tick)
        {
            let sources = positions_at(self.tick, std::mem::take(sources), context);
            self.stage = self.snapshot(sources, context);
            context.release();
        }
        let Stage::Writing(snapshot, part) = &mut self.stage else { return None };
        match snapshot.step(KEYS_A_STEP) {
            Ok(None) => None,
            Ok(Some(states)) => {
                Some(Report::Part(Box::new(Part { states: states.to_vec(), ..Part::clone(part) })))
            }
            Err(error) => Some(Report::Failed(error)),
        }
    }

    /// All that belongs to the tick is there, and nothing behind it has left the dataflows.
    fn snapshot(&self, sources: BTreeMap<String, Position>, context: &Context) -> Stage {
        let kept = context.kept.borrow();
        let mut snapshot = Snapshot::new(&self.dir, context.index, self.states.len());
        for (n, kept) in self.states.iter().enumerate().filter_map(|(n, id)| Some((n, kept.get(id)?))) {
            snapshot.add(n, kept.part(self.tick));
        }
        context.rejects.flush(self.tick + 1);
        let stored = context.writers.borrow();
        let written =
            |stored: &Stored| Some((name_of(stored.log.as_deref()?), stored.writer.borrow().ends()));
        let left = context.left.borrow();
        // An outbox may have got a new writer since: then that one's word comes last.
        let ends = left.iter().map(|(outbox, ends)| (name_of(outbox), ends.clone()));
        let ends = ends.chain(stored.values().filter_map(written));
        let of_partitions = |(log, ends): (String, Vec<(u32, i64)>)| {
            ends.into_iter().map(move |(partition, end)| (log.clone(), partition, end))
        };
        let part = Part {
            worker: context.index,
            sources,
            states: Vec::new(),
            logs: ends.flat_map(of_partitions).collect(),
            rejects: context.rejects.end(),
        };
        Stage::Writing(Box::new(snapshot), Box::new(part))
    }
}

/// How far each reader has come that belongs to the tick, or where that is to be asked for.
fn positions(context: &Context) -> Result<BTreeMap<String, ReadTo>> {
    let readings = context.readings.borrow();
    let position = |(name, reading): (&String, &Rc<RefCell<Reading>>)| {
        let position = reading.borrow().position();
        let position =
            position.ok_or_else(|| Error::runtime(format!("it is not known yet how far {name} is read")));
        Ok((name.clone(), position?))
    };
    readings.iter().map(position).collect()
}

/// The positions at the end of a tick that is closed, with the stamps of what was read up to it.
fn positions_at(
    tick: Tick,
    reached: BTreeMap<String, ReadTo>,
    context: &Context,
) -> BTreeMap<String, Position> {
    let stamped = |(name, reached): (String, ReadTo)| {
        let stamps = context.stamps.borrow().get(&name).map(|shared| shared.stamps.at(tick));
        let position = Position { stamps: stamps.unwrap_or_default(), ..reached.at(tick) };
        (name, position)
    };
    reached.into_iter().map(stamped).collect()
}
