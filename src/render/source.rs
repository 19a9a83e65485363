//! Stage 2: decodes messages into typed rows; feeds the source's hub.

use super::Tick;
use super::books::Stage;
use super::changing::Watch;
use super::context::Context;
use super::read::{Read, waker};
use super::rejects::RejectedRecord;
use super::rowtime::{self, RowTime};
use super::stamps::Stamps;
use crate::batch::{Batch, MessageBatch, Origin, Partitions, Reached, Reject, SourcePartition, Timestamps};
use crate::clock::now_ms;
use crate::connector::{Dispensers, Moment, Ticket};
use crate::error::Result;
use crate::format::{Decoder, decoder_in};
use crate::plan::{DataflowPlan, Emission, SourcePlan, Wanted};
use crate::registry::Lookups;
use std::cell::Cell;
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use timely::dataflow::StreamVec;
use timely::dataflow::channels::pact::Pipeline;
use timely::dataflow::operators::Capability;
use timely::dataflow::operators::generic::Operator;
use timely::scheduling::Activator;

/// What the workers of a process share of one source.
#[derive(Default)]
pub struct SharedSource {
    /// Deals out what several of them read.
    pub dispensers: Arc<Dispensers>,
    pub stamps: Stamps,
}

/// How soon messages are looked at again whose schemas are not there yet.
const RETRY_EVERY: Duration = Duration::from_millis(5);

/// Typed rows; what cannot be decoded is rejected with its reason. Messages whose schemas are not
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
    let watch = context.changing.watch(plan.id);
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
            rows.follow(&watch, &context);
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
                Read::AtEnd { .. } => !waits,
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
                    Read::AtEnd { quiet_since } => {
                        let mut session = output.session(&cap);
                        session.give(Batch::reached(reached(None, true)));
                        let moment = Moment { epoch: *cap.time(), ..context.moment() };
                        let follow = |since| shared.stamps.follow(moment, since);
                        for moved in quiet_since.map(follow).into_iter().flatten() {
                            session.give(Batch::reached(reached(Some(moved), true)));
                        }
                        continue;
                    }
                };
                let (mut batch, rejects) = rows.unstamped(&messages, &hub.wanted.borrow());
                context.process.counters().rows_in.fetch_add(messages.len() as u64, Ordering::Relaxed);
                context.books.record(stage, *cap.time(), messages.len(), batch.len, 0, rejects.len());
                let rejected = |r| RejectedRecord::of(&plan, "decode", &messages, r);
                context.rejects.write(*cap.time(), rejects.iter().map(rejected));
                if context.pace.emission == Emission::PerRecord && batch.len > 0 {
                    context.process.record_times().note(*cap.time(), batch.origin.rowtime.at(0));
                }
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

    /// Becomes that of another plan, if the source has one by now.
    fn follow(&mut self, watch: &Watch, context: &Context) {
        if let Some(DataflowPlan::Source(plan)) = watch.changed().as_deref() {
            match RowDecoder::new(plan, &context.schemas) {
                Ok(changed) => *self = changed,
                Err(error) => context.process.fail(error),
            }
        }
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
