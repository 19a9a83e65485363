//! Stages 1 and 2: read a topic's messages, decode them into typed rows; feeds the source's hub.

use super::Tick;
use super::books::Stage;
use super::context::Context;
use super::rejects::RejectedRecord;
use super::rowtime::{self, RowTime};
use super::stamps::Stamps;
use crate::batch::{Batch, MessageBatch, Origin, Partitions, Reached, Reject, SourcePartition, Timestamps};
use crate::clock::now_ms;
use crate::connector::{
    self, Dealt, Dispensers, Moment, Opening, Position, ReadTo, Singly, Source, Team, Ticket,
};
use crate::error::Result;
use crate::format::{Decoder, decoder_in};
use crate::plan::{Emission, SourcePlan, Wanted};
use crate::registry::Lookups;
use std::cell::Cell;
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Wake, Waker};
use std::time::Duration;
use timely::dataflow::channels::pact::Pipeline;
use timely::dataflow::operators::Capability;
use timely::dataflow::operators::generic::Operator;
use timely::dataflow::operators::generic::operator::source;
use timely::dataflow::{Scope, StreamVec};
use timely::scheduling::{Activator, SyncActivator};

/// What the workers of a process share of one source.
#[derive(Default)]
pub struct SharedSource {
    /// Deals out what several of them read.
    pub dispensers: Arc<Dispensers>,
    pub stamps: Stamps,
}

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
    AtEnd,
    /// There was nothing more to read since then.
    Quiet,
}

/// Stage 1: one batch of messages each time it runs, as long as there is room in flight.
pub fn read<'s>(
    scope: Scope<'s, Tick>,
    plan: &SourcePlan,
    shared: &Arc<SharedSource>,
    context: &Rc<Context>,
    cancel: Rc<Cell<bool>>,
    wake: &mut Vec<Activator>,
) -> StreamVec<'s, Tick, Read> {
    let (plan, context) = (plan.clone(), Rc::clone(context));
    let expected = connector::expected(&plan.place, &plan.survey);
    let mut begins: BTreeMap<i32, i64> =
        expected.into_iter().map(|partition| (partition, i64::MIN)).collect();
    if let Some(resumed) = &plan.survey.resumed {
        shared.stamps.resume(&resumed.stamps);
        begins.extend(&resumed.stamps);
    }
    let mut begins = Some(begins);
    source(scope, "Read", |capability, info| {
        let activator = scope.activator_for(Rc::clone(&info.address));
        let waker = waker(scope, &info.address);
        wake.push(scope.activator_for(info.address));
        let mut capability = Some(capability);
        let reading = context.reading(&plan.key, shared);
        let gauge = context.gauge(&plan, &reading);
        let hub = context.hub(plan.hub);
        let team = context.team(waker, &shared.dispensers);
        let mut busy = false;
        // All that is there now has been read, and that was said.
        let mut at_end = false;
        let mut quiet = Quiet::new(&plan);
        let mut round = 0;
        move |output| {
            let Some(held) = capability.as_mut() else { return };
            if cancel.get() {
                capability = None;
                context.forget_reading(&plan, &reading);
                return;
            }
            if std::mem::take(&mut busy) {
                context.clock.look_now();
            }
            let (moment, open) = (context.moment(), context.clock.open());
            if *held.time() < open {
                held.downgrade(&open);
            }
            if let Some(begins) = begins.take_if(|begins| !begins.is_empty()) {
                output.session(&*held).give(Read::Begins(begins));
                context.say();
            }
            let is_stopped = context.pauses.is_stopped(plan.id);
            let is_held = context.pauses.holds(plan.id, at_end || is_stopped);
            if is_stopped {
                if let Err(error) = ensure_open(&mut reading.borrow_mut(), &plan, &team, &context) {
                    context.shared.fail(error);
                }
                if plan.bounded {
                    let mut reading = reading.borrow_mut();
                    *reading = Reading::Ended(reading.position());
                    capability = None;
                }
                return;
            }
            let is_behind = |answer: &String| context.shared.answers.is_behind(answer);
            if context.inflight.full()
                || is_held
                || !context.clock.looking()
                || plan.for_answer.as_ref().is_some_and(is_behind)
            {
                return;
            }
            let Some(turn) = context.clock.turn(round) else { return };
            let headers = plan.reads_headers(&hub.wanted.borrow());
            let polled = poll(&mut reading.borrow_mut(), &plan, headers, moment, &team, &context);
            let (messages, ticket) = match polled {
                Ok(Dealt::Messages(messages, ticket)) => (messages, ticket),
                Ok(Dealt::Busy) => {
                    // The tick stays open, as if something had been read.
                    context.clock.count_bytes(0);
                    busy = true;
                    return;
                }
                Ok(polled @ (Dealt::Pending | Dealt::Done)) => {
                    if !std::mem::replace(&mut at_end, true) {
                        // Behind all that was read.
                        output.session(&held.delayed(&moment.epoch)).give(Read::AtEnd);
                        context.say();
                    } else if quiet.is_due(moment.epoch) {
                        output.session(&held.delayed(&moment.epoch)).give(Read::Quiet);
                        context.say();
                    }
                    // What is not bounded keeps its place in time, so that later readers find it open.
                    if plan.bounded && matches!(polled, Dealt::Done) {
                        capability = None;
                    }
                    return;
                }
                Err(error) => {
                    context.shared.fail(error);
                    capability = None;
                    return;
                }
            };
            round = turn;
            // Where another worker was dealt a block of a later tick before, this one comes with it.
            let tick = ticket.map_or(moment.epoch, |ticket| ticket.epoch);
            let bytes = messages.buffer.len();
            gauge.borrow_mut().count(&messages);
            context.inflight.add(tick, bytes);
            context.clock.count_bytes(bytes.max(1));
            context.shared.counters.bytes_read.fetch_add(bytes as u64, Ordering::Relaxed);
            output.session(&held.delayed(&tick)).give(Read::Messages(messages, ticket));
            context.say();
            activator.activate();
            at_end = false;
        }
    })
}

/// When a reader without anything to read says so, for partitions that may be idle. One that catches up has
/// something: what it makes does not hang on how fast it reads.
struct Quiet {
    every: Option<Tick>,
    said: Tick,
}

/// So often in the time after which a partition is idle.
const SAID_EACH: Tick = 4;

impl Quiet {
    fn new(plan: &SourcePlan) -> Quiet {
        Quiet { every: idle(plan).map(|after| after / SAID_EACH), said: 0 }
    }

    fn is_due(&mut self, now: Tick) -> bool {
        let due = self.every.is_some_and(|every| now >= self.said + every);
        if due {
            self.said = now;
        }
        due
    }
}

/// After how long a source's partitions are idle.
fn idle(plan: &SourcePlan) -> Option<Tick> {
    plan.times.idle_ms.map(|ms| ms as Tick * 1_000)
}

/// Wakes an operator of this worker from any thread.
fn waker(scope: Scope<'_, Tick>, address: &[usize]) -> Waker {
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
        opened_ms: context.shared.started_ms(),
    };
    let open = if plan.behind.is_empty() { connector::open_surveyed } else { connector::open_behind };
    let opened = open(&plan.place, opening, &plan.survey, team)?;
    let expected = opened.bytes_expected().unwrap_or(0);
    context.shared.counters.bytes_expected.fetch_add(expected, Ordering::Relaxed);
    *reading = Reading::Open(match context.pace.emission {
        Emission::PerTick => opened,
        Emission::PerRecord => Box::new(Singly::new(opened)),
    });
    Ok(())
}

fn poll(
    reading: &mut Reading,
    plan: &SourcePlan,
    headers: bool,
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
    reader.read_headers(headers);
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

/// How soon messages are looked at again whose schemas are not there yet.
const RETRY_EVERY: Duration = Duration::from_millis(5);

/// Stage 2: typed rows; what cannot be decoded is rejected with its reason. Messages whose schemas are not
/// there yet wait, and what came behind them; rows wait whose stamps hang on a block that another worker
/// has not decoded yet. Their ticks stay open, which holds back the source.
pub fn decode<'s>(
    messages: StreamVec<'s, Tick, Read>,
    plan: &SourcePlan,
    shared: &Arc<SharedSource>,
    context: &Rc<Context>,
    cancel: Rc<Cell<bool>>,
    wake: &mut Vec<Activator>,
) -> Result<StreamVec<'s, Tick, Batch>> {
    let mut rows = RowDecoder::new(plan, &context.schemas)?;
    let (plan, shared, context) = (plan.clone(), Arc::clone(shared), Rc::clone(context));
    let (source, worker) = (plan.ordinal, context.index as u32);
    let reached = move |partition, at_end| Reached { source, worker, partition, at_end };
    let hub = context.hub(plan.hub);
    let stage = context.books.stage(Stage::new(&plan.source, &plan.topic, "", "decode"));
    let scope = messages.scope();
    Ok(messages.unary(Pipeline, "Decode", move |_, info| {
        let waker = waker(scope, &info.address);
        wake.push(scope.activator_for(Rc::clone(&info.address)));
        let activator = scope.activator_for(info.address);
        let mut undecoded: VecDeque<(Capability<Tick>, Read)> = VecDeque::new();
        let mut unstamped: Vec<(Capability<Tick>, Batch, Ticket)> = Vec::new();
        move |input, output| {
            input.for_each(|cap, batches| {
                let tick = *cap.least().expect("messages travel with a tick");
                undecoded.extend(batches.drain(..).map(|read| (cap.delayed(&tick, 0), read)));
            });
            if cancel.get() {
                undecoded.clear();
                unstamped.clear();
            }
            unstamped.retain_mut(|(cap, batch, ticket)| {
                let Some(stamp) = shared.stamps.stamp_late(batch, *ticket) else { return true };
                let partition = Some((batch.origin.partitions.at(0).partition, stamp));
                batch.origin.reached = Some(reached(partition, false));
                output.session(&*cap).give(batch.clone());
                false
            });
            // That the end is reached is told behind all that came before it.
            let may_go = |read: &Read, rows: &mut RowDecoder, waits: bool| match read {
                Read::Messages(messages, _) => rows.is_ready(messages),
                Read::Begins(_) => true,
                Read::AtEnd | Read::Quiet => !waits,
            };
            while let Some((cap, read)) =
                undecoded.pop_front_if(|(_, read)| may_go(read, &mut rows, !unstamped.is_empty()))
            {
                let (messages, ticket) = match read {
                    Read::Messages(messages, ticket) => (messages, ticket),
                    Read::Begins(partitions) => {
                        let mut session = output.session(&cap);
                        for partition in partitions {
                            session.give(Batch::reached(reached(Some(partition), false)));
                        }
                        continue;
                    }
                    Read::AtEnd => {
                        output.session(&cap).give(Batch::reached(reached(None, true)));
                        continue;
                    }
                    Read::Quiet => {
                        let moment = Moment { epoch: *cap.time(), ..context.moment() };
                        let since = moment.epoch.saturating_sub(idle(&plan).unwrap_or(Tick::MAX));
                        let mut session = output.session(&cap);
                        for moved in shared.stamps.follow(moment, since) {
                            session.give(Batch::reached(reached(Some(moved), true)));
                        }
                        continue;
                    }
                };
                let (mut batch, rejects) = rows.unstamped(&messages, &hub.wanted.borrow());
                context.shared.counters.rows_in.fetch_add(messages.len() as u64, Ordering::Relaxed);
                context.books.record(stage, *cap.time(), messages.len(), batch.len, 0, rejects.len());
                let rejected = |r| RejectedRecord::of(&plan, "decode", &messages, r);
                context.rejects.write(*cap.time(), rejects.iter().map(rejected));
                let moment = Moment { epoch: *cap.time(), ..context.moment() };
                let declared = plan.timestamp.is_some();
                match (shared.stamps.stamp(&mut batch, ticket, moment, declared, &waker), ticket) {
                    (None, Some(ticket)) if batch.len > 0 => unstamped.push((cap, batch, ticket)),
                    (stamp, _) => {
                        let partition = stamp.map(|stamp| (messages.partition, stamp));
                        batch.origin.reached = Some(reached(partition, false));
                        output.session(&cap).give(batch);
                    }
                }
            }
            if !undecoded.is_empty() {
                activator.activate_after(RETRY_EVERY);
            }
        }
    }))
}

/// Messages → rows of one source, with their origins; used by workers and by answers that read the
/// past on their own.
pub struct RowDecoder {
    decoder: Box<dyn Decoder>,
    timestamp: Option<(RowTime, Vec<bool>)>,
    max_future_ms: Option<i64>,
    ordinal: u32,
    columns: usize,
    /// The greatest ROWTIME so far of each partition, where one reader reads all in order.
    reached: BTreeMap<i32, i64>,
}

impl RowDecoder {
    pub fn new(plan: &SourcePlan, schemas: &Lookups) -> Result<RowDecoder> {
        let timestamp = match &plan.timestamp {
            None => None,
            Some(expr) => {
                let mut needs = vec![false; plan.schema.len()];
                crate::expr::references(expr, &mut |c| needs[c] = true);
                Some((RowTime::new(expr)?, needs))
            }
        };
        Ok(RowDecoder {
            decoder: decoder_in(
                plan.place.dialect(),
                &plan.serialization,
                &plan.schema,
                schemas,
                plan.own.as_ref(),
            )?,
            timestamp,
            max_future_ms: plan.times.max_future_ms,
            ordinal: plan.ordinal,
            columns: plan.schema.len(),
            reached: BTreeMap::new(),
        })
    }

    /// Whether the messages can be decoded now; see [`Decoder::is_ready`].
    pub fn is_ready(&mut self, messages: &MessageBatch) -> bool {
        self.decoder.is_ready(messages)
    }

    /// The rows of messages that come behind those that were decoded before.
    pub fn decode(&mut self, messages: &MessageBatch, wanted: &Wanted) -> (Batch, Vec<Reject>) {
        let (mut batch, rejects) = self.unstamped(messages, wanted);
        let reached = self.reached.entry(messages.partition).or_insert(i64::MIN);
        (batch.origin.stamps, *reached) = batch.origin.rowtime.running_max(batch.len, *reached);
        (batch, rejects)
    }

    /// The rows of messages whose stamps are still to be found.
    fn unstamped(&mut self, messages: &MessageBatch, wanted: &Wanted) -> (Batch, Vec<Reject>) {
        let mut columns =
            if wanted.columns.is_empty() { vec![true; self.columns] } else { wanted.columns.clone() };
        if let Some((_, needs)) = &self.timestamp {
            columns.iter_mut().zip(needs).for_each(|(w, n)| *w |= n);
        }
        let decoded = self.decoder.decode(messages, &columns);
        let kept = decoded.kept;
        let len = kept.as_ref().map_or(messages.len(), Vec::len);
        let pick = |all: &arrow_buffer::ScalarBuffer<i64>| match &kept {
            None => all.clone(),
            Some(kept) => kept.iter().map(|&i| all[i as usize]).collect(),
        };
        let rowtime = match &messages.timestamps {
            Timestamps::All(t) => Timestamps::All(*t),
            Timestamps::Each(each) => Timestamps::Each(pick(each)),
        };
        let partition = SourcePartition { source: self.ordinal, partition: messages.partition };
        let origin = Origin {
            stamps: rowtime.clone(),
            rowtime,
            partitions: Partitions::One(partition),
            nth: None,
            reached: None,
            offsets: pick(&messages.offsets),
            headers: match (&messages.headers, &kept) {
                (headers, _) if !wanted.headers => headers.unread(),
                (headers, None) => headers.clone(),
                (headers, Some(kept)) => headers.pick(kept.iter().map(|&i| i as usize)),
            },
        };
        let batch = Batch { len, columns: decoded.columns, origin, deleted: decoded.deleted };
        let mut rejects = decoded.rejects;
        let batch = match &mut self.timestamp {
            Some((rowtime, _)) => rowtime.take(batch, kept.as_deref(), &mut rejects),
            None => batch,
        };
        let batch = match self.max_future_ms {
            Some(most) => rowtime::not_ahead(batch, kept.as_deref(), (now_ms(), most), &mut rejects),
            None => batch,
        };
        (batch, rejects)
    }
}
