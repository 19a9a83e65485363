//! Stage 1: reads a topic's messages.

use super::Tick;
use super::context::Context;
use super::gauge::Gauge;
use super::hub::Hub;
use super::source::SharedSource;
use crate::batch::MessageBatch;
use crate::connector::{self, Dealt, Moment, Opening, Position, ReadTo, Singly, Source, Team, Ticket};
use crate::error::Result;
use crate::plan::{Emission, SourcePlan};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Wake, Waker};
use timely::dataflow::operators::generic::operator::source;
use timely::dataflow::{Scope, StreamVec};
use timely::scheduling::{Activator, SyncActivator};

/// What goes from a connector to the decoder.
// Messages are the rule: a box would be one more allocation for each batch of them.
#[allow(clippy::large_enum_variant)]
#[derive(Clone)]
pub enum Read {
    /// With the ticket of the block that they are, of a partition that several workers are dealt blocks of.
    Messages(MessageBatch, Option<Ticket>),
    /// Nothing has been read yet; how far each partition has come before, or [`i64::MIN`].
    Begins(BTreeMap<i32, i64>),
    /// All that is there now has been read.
    AtEnd {
        /// Where it is time to look for partitions that are idle: those that had nothing since then.
        quiet_since: Option<Tick>,
    },
}

/// One batch of messages each time it runs, as long as there is room in flight.
pub fn read<'s>(
    scope: Scope<'s, Tick>,
    plan: &SourcePlan,
    shared: &Arc<SharedSource>,
    context: &Rc<Context>,
    cancel: Rc<Cell<bool>>,
    wake: &mut Vec<Activator>,
) -> StreamVec<'s, Tick, Read> {
    source(scope, "Read", |capability, info| {
        let activator = scope.activator_for(Rc::clone(&info.address));
        let mut reader = Reader::new(plan, shared, context, waker(scope, &info.address));
        wake.push(scope.activator_for(info.address));
        let (context, mut capability) = (Rc::clone(context), Some(capability));
        move |output| {
            let Some(held) = capability.as_mut() else { return };
            if cancel.get() {
                capability = None;
                reader.forget();
                return;
            }
            let open = context.clock.open();
            if *held.time() < open {
                held.downgrade(&open);
            }
            if let Some(begins) = reader.begins.take() {
                output.session(&*held).give(Read::Begins(begins));
                context.say();
            }
            let Next { tick, read, ends } = reader.next().unwrap_or_else(|error| {
                context.process.fail(error);
                Next { tick: open, read: None, ends: true }
            });
            if let Some(read) = read {
                if matches!(read, Read::Messages(..)) {
                    activator.activate();
                }
                output.session(&held.delayed(&tick)).give(read);
                context.say();
            }
            if ends {
                capability = None;
            }
        }
    })
}

/// What a reader has come to.
struct Next {
    tick: Tick,
    read: Option<Read>,
    /// There will be nothing more.
    ends: bool,
}

/// A worker's reader with what it has said.
struct Reader {
    plan: SourcePlan,
    shared: Arc<SharedSource>,
    context: Rc<Context>,
    team: Team,
    hub: Rc<Hub>,
    gauge: Rc<RefCell<Gauge>>,
    reading: Rc<RefCell<Reading>>,
    /// To be told before anything else, where something is known.
    begins: Option<BTreeMap<i32, i64>>,
    busy: bool,
    /// All that is there now has been read, and that was said.
    at_end: bool,
    idle: Idle,
    round: u64,
}

impl Reader {
    fn new(plan: &SourcePlan, shared: &Arc<SharedSource>, context: &Rc<Context>, waker: Waker) -> Reader {
        let expected = connector::expected(&plan.place, &plan.survey);
        let mut begins: BTreeMap<i32, i64> =
            expected.into_iter().map(|partition| (partition, i64::MIN)).collect();
        if let Some(resumed) = &plan.survey.resumed {
            shared.stamps.resume(&resumed.stamps);
            begins.extend(&resumed.stamps);
        }
        let reading = context.reading(&plan.key, shared);
        Reader {
            team: context.team(waker, &shared.dispensers),
            hub: context.hub(plan.hub),
            gauge: context.gauge(plan, &reading),
            reading,
            begins: Some(begins).filter(|begins| !begins.is_empty()),
            busy: false,
            at_end: false,
            idle: Idle::new(plan),
            round: 0,
            plan: plan.clone(),
            shared: Arc::clone(shared),
            context: Rc::clone(context),
        }
    }

    fn forget(&self) {
        self.context.forget_reading(&self.plan, &self.reading);
    }

    /// Whether it is this reader's turn, and there is room for what it reads.
    fn turn(&mut self) -> Option<u64> {
        let clock = &self.context.clock;
        if std::mem::take(&mut self.busy) {
            clock.look_now();
        }
        let is_behind = |answer: &String| self.context.process.is_behind(answer);
        let waits = self.context.inflight.full()
            || self.context.pacing.is_ahead(self.plan.ordinal)
            || !clock.looking()
            || self.plan.for_answer.as_ref().is_some_and(is_behind);
        if waits { None } else { clock.turn(self.round) }
    }

    fn next(&mut self) -> Result<Next> {
        let moment = self.context.moment();
        let nothing = Next { tick: moment.epoch, read: None, ends: false };
        let is_stopped = self.context.pauses.is_stopped(self.plan.id);
        let is_held = self.context.pauses.holds(self.plan.id, self.at_end || is_stopped);
        if is_stopped {
            return Ok(Next { ends: self.stand()?, ..nothing });
        }
        let Some(turn) = (if is_held { None } else { self.turn() }) else { return Ok(nothing) };
        match self.poll(moment)? {
            Dealt::Messages(messages, ticket) => {
                self.round = turn;
                self.at_end = false;
                // Where another worker was dealt a block of a later tick before, this one comes with it.
                let tick = ticket.map_or(moment.epoch, |ticket| ticket.epoch);
                self.count(tick, &messages);
                Ok(Next { tick, read: Some(Read::Messages(messages, ticket)), ends: false })
            }
            Dealt::Busy => {
                // The tick stays open, as if something had been read.
                self.context.clock.count_bytes(0);
                self.busy = true;
                Ok(nothing)
            }
            // What is there is still on its way: nobody goes on without it.
            Dealt::Pending if !self.reading.borrow().is_at_end() => Ok(nothing),
            polled @ (Dealt::Pending | Dealt::Done) => {
                // Behind all that was read.
                let quiet_since = self.idle.look(moment.epoch);
                let is_new = !std::mem::replace(&mut self.at_end, true);
                let read = (is_new || quiet_since.is_some()).then_some(Read::AtEnd { quiet_since });
                // What is not bounded keeps its place in time, so that later readers find it open.
                let ends = self.plan.bounded && matches!(polled, Dealt::Done);
                Ok(Next { read, ends, ..nothing })
            }
        }
    }

    /// Reads nothing, and says whether it has ended by that.
    fn stand(&self) -> Result<bool> {
        let mut reading = self.reading.borrow_mut();
        ensure_open(&mut reading, &self.plan, &self.team, &self.context)?;
        if self.plan.bounded {
            *reading = Reading::Ended(reading.position());
        }
        Ok(self.plan.bounded)
    }

    fn count(&self, tick: Tick, messages: &MessageBatch) {
        let (context, bytes) = (&self.context, messages.buffer.len());
        self.gauge.borrow_mut().count(messages);
        context.inflight.add(tick, bytes);
        context.clock.count_bytes(bytes.max(1));
        context.process.counters().bytes_read.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    fn poll(&self, moment: Moment) -> Result<Dealt> {
        let is_merged = self.context.pacing.is_merged(self.plan.ordinal);
        let asks = Asks {
            headers: self.plan.reads_headers(&self.hub.wanted.borrow()),
            behind: is_merged.then(|| self.shared.stamps.reached()),
        };
        poll(&mut self.reading.borrow_mut(), &self.plan, asks, moment, &self.team, &self.context)
    }
}

/// When a reader that is at the end has partitions looked at that may be idle. One that catches up does not: what
/// it makes must not hang on how fast it reads.
struct Idle {
    /// After how long without a record a partition is idle.
    after: Option<Tick>,
    looked: Tick,
}

/// So often in the time after which a partition is idle.
const LOOKS: Tick = 4;

impl Idle {
    fn new(plan: &SourcePlan) -> Idle {
        Idle { after: plan.times.idle_ms.map(|ms| ms as Tick * 1_000), looked: 0 }
    }

    /// Since when a partition must have had nothing to be idle; `None`: it is not time to look.
    fn look(&mut self, now: Tick) -> Option<Tick> {
        let after = self.after.filter(|after| now >= self.looked + after / LOOKS)?;
        self.looked = now;
        Some(now.saturating_sub(after))
    }
}

/// Wakes an operator of this worker from any thread.
pub fn waker(scope: Scope<'_, Tick>, address: &[usize]) -> Waker {
    struct Activate(SyncActivator);
    impl Wake for Activate {
        fn wake(self: Arc<Self>) {
            // A worker that has ended needs no waking.
            let _ = self.0.activate();
        }
    }
    Waker::from(Arc::new(Activate(scope.worker().sync_activator_for(address.to_vec()))))
}

/// A worker's reader of a topic, where a checkpoint finds how far it is.
pub enum Reading {
    Unopened,
    Open(Box<dyn Source>),
    Ended(Option<ReadTo>),
    /// Another worker reads all of it.
    Elsewhere,
}

impl Reading {
    /// Whether all that is known to be there has been read, when there was nothing to read.
    fn is_at_end(&self) -> bool {
        if let Reading::Open(source) = self { source.is_at_end() } else { true }
    }

    /// How far it has read, as far as it is this worker's to say; `None` while that is not known.
    pub fn position(&self) -> Option<ReadTo> {
        match self {
            Reading::Unopened => None,
            Reading::Open(reader) => reader.position(),
            Reading::Ended(position) => position.clone(),
            Reading::Elsewhere => Some(ReadTo::Here(Position::default())),
        }
    }
}

/// Opens a reader that is not open yet.
fn ensure_open(reading: &mut Reading, plan: &SourcePlan, team: &Team, context: &Context) -> Result<()> {
    let Reading::Unopened = reading else { return Ok(()) };
    let Some(share) = context.share() else {
        *reading = Reading::Elsewhere;
        return Ok(());
    };
    let opening = Opening {
        share,
        start: plan.start,
        // What is still written has no end yet.
        bounded: plan.bounded && plan.behind.is_empty(),
        opened_ms: context.process.started_ms(),
    };
    let open = if plan.behind.is_empty() { connector::open_surveyed } else { connector::open_behind };
    let opened = open(&plan.place, opening, &plan.survey, team)?;
    let expected = opened.bytes_expected().unwrap_or(0);
    context.process.counters().bytes_expected.fetch_add(expected, Ordering::Relaxed);
    *reading = Reading::Open(match context.pace.emission {
        Emission::PerTick => opened,
        Emission::PerRecord => Box::new(Singly::new(opened)),
    });
    Ok(())
}

/// What is asked of a connector's reader.
struct Asks {
    headers: bool,
    /// How far partitions have come, where the one that is furthest behind is to be read next.
    behind: Option<BTreeMap<i32, i64>>,
}

fn poll(
    reading: &mut Reading,
    plan: &SourcePlan,
    asks: Asks,
    moment: Moment,
    team: &Team,
    context: &Context,
) -> Result<Dealt> {
    ensure_open(reading, plan, team, context)?;
    let reader = match reading {
        Reading::Open(reader) => reader,
        Reading::Elsewhere if !plan.bounded => return Ok(Dealt::Pending),
        Reading::Elsewhere | Reading::Ended(_) | Reading::Unopened => return Ok(Dealt::Done),
    };
    reader.read_headers(asks.headers);
    asks.behind.into_iter().for_each(|reached| reader.prefer_behind(reached));
    // Before it is read: then all is there that will be.
    let written = plan.bounded && !plan.behind.is_empty() && context.are_done(&plan.behind);
    let polled = reader.deal(context.pace.batch_bytes, context.clock.now_ms(), moment)?;
    let polled = match polled {
        Dealt::Pending if written => Dealt::Done,
        polled => polled,
    };
    if let Dealt::Done = polled {
        *reading = Reading::Ended(reader.position());
    }
    Ok(polled)
}
