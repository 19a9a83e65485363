//! Stages 1 and 2: read a topic's messages, decode them into typed rows; feeds the source's hub.

use super::Tick;
use super::books::Stage;
use super::context::Context;
use super::rejects::RejectedRecord;
use crate::batch::{Batch, MessageBatch, Origin, Partitions, Reached, Reject, SourcePartition, Timestamps};
use crate::connector::{self, Opening, Poll, Position, Share, Source};
use crate::error::Result;
use crate::expr::Notes;
use crate::expr::compile::{Evaluator, compile};
use crate::format::{Decoder, decoder};
use crate::plan::{SourcePlan, Wanted};
use crate::registry::Lookups;
use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{Array, BooleanArray};
use std::cell::Cell;
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use timely::dataflow::channels::pact::Pipeline;
use timely::dataflow::operators::Capability;
use timely::dataflow::operators::generic::Operator;
use timely::dataflow::operators::generic::operator::source;
use timely::dataflow::{Scope, StreamVec};
use timely::scheduling::Activator;

/// Stage 1: one batch of messages each time it runs, as long as there is room in flight.
pub fn read<'s>(
    scope: Scope<'s, Tick>,
    plan: &SourcePlan,
    context: &Rc<Context>,
    cancel: Rc<Cell<bool>>,
    wake: &mut Vec<Activator>,
) -> StreamVec<'s, Tick, MessageBatch> {
    let (plan, context) = (plan.clone(), Rc::clone(context));
    source(scope, "Read", |capability, info| {
        let activator = scope.activator_for(Rc::clone(&info.address));
        wake.push(scope.activator_for(info.address));
        let mut capability = Some(capability);
        let reading = context.reading(&plan.key);
        let gauge = context.gauge(&plan, &reading);
        let hub = context.hub(plan.hub);
        // All that is there now has been read, and that was said.
        let mut at_end = false;
        move |output| {
            let Some(held) = capability.as_mut() else { return };
            if cancel.get() {
                capability = None;
                context.forget_reading(&plan.key, &reading);
                return;
            }
            let tick = context.clock.tick();
            if *held.time() < tick {
                held.downgrade(&tick);
            }
            if context.inflight.full() || !context.clock.looking() {
                return;
            }
            let headers = plan.reads_headers(&hub.wanted.borrow());
            let polled = poll(&mut reading.borrow_mut(), &plan, headers, &context);
            match polled {
                Ok(Poll::Messages(batch)) => {
                    let bytes = batch.buffer.len();
                    gauge.borrow_mut().count(&batch);
                    context.inflight.add(tick, bytes);
                    context.clock.count_bytes(bytes);
                    context.shared.counters.bytes_read.fetch_add(bytes as u64, Ordering::Relaxed);
                    output.session(&*held).give(batch);
                    activator.activate();
                    at_end = false;
                }
                Ok(polled) => {
                    if !std::mem::replace(&mut at_end, true) {
                        output.session(&*held).give(MessageBatch::none());
                    }
                    // What is not bounded keeps its place in time, so that later readers find it open.
                    if plan.bounded && matches!(polled, Poll::Done) {
                        capability = None;
                    }
                }
                Err(error) => {
                    context.shared.fail(error);
                    capability = None;
                }
            }
        }
    })
}

/// A worker's reader of a topic, where a checkpoint finds how far it is.
pub enum Reading {
    Unopened,
    Open(Box<dyn Source>),
    Ended(Option<Position>),
}

impl Reading {
    /// What is still to be read; `None` while that is not known.
    pub fn position(&self) -> Option<Position> {
        match self {
            Reading::Unopened => None,
            Reading::Open(reader) => reader.position(),
            Reading::Ended(position) => position.clone(),
        }
    }
}

fn poll(reading: &mut Reading, plan: &SourcePlan, headers: bool, context: &Context) -> Result<Poll> {
    let reader = match reading {
        Reading::Ended(_) => return Ok(Poll::Done),
        Reading::Open(reader) => reader,
        Reading::Unopened => {
            let opening = Opening {
                share: Share::Part { index: context.index, of: context.peers },
                start: plan.start,
                bounded: plan.bounded,
                opened_ms: context.shared.started_ms(),
            };
            let opened = connector::open_surveyed(&plan.place, opening, &plan.survey)?;
            let expected = opened.bytes_expected().unwrap_or(0);
            context.shared.counters.bytes_expected.fetch_add(expected, Ordering::Relaxed);
            *reading = Reading::Open(opened);
            return poll(reading, plan, headers, context);
        }
    };
    reader.read_headers(headers);
    let polled = reader.poll(context.pace.batch_bytes, context.clock.now_ms())?;
    if let Poll::Done = polled {
        *reading = Reading::Ended(reader.position());
    }
    Ok(polled)
}

/// How soon messages are looked at again whose schemas are not there yet.
const RETRY_EVERY: Duration = Duration::from_millis(5);

/// Stage 2: typed rows; what cannot be decoded is rejected with its reason. Messages whose schemas are not
/// there yet wait, and what came behind them; their tick stays open, which holds back the source.
pub fn decode<'s>(
    messages: StreamVec<'s, Tick, MessageBatch>,
    plan: &SourcePlan,
    context: &Rc<Context>,
    cancel: Rc<Cell<bool>>,
) -> Result<StreamVec<'s, Tick, Batch>> {
    let mut rows = RowDecoder::new(plan, &context.schemas)?;
    let (plan, context) = (plan.clone(), Rc::clone(context));
    let hub = context.hub(plan.hub);
    let stage = context.books.stage(Stage::new(&plan.source, &plan.topic, "", "decode"));
    let scope = messages.scope();
    Ok(messages.unary(Pipeline, "Decode", move |_, info| {
        let activator = scope.activator_for(info.address);
        let mut waiting: VecDeque<(Capability<Tick>, MessageBatch)> = VecDeque::new();
        move |input, output| {
            input.for_each(|cap, batches| {
                let tick = *cap.least().expect("messages travel with a tick");
                waiting.extend(batches.drain(..).map(|messages| (cap.delayed(&tick, 0), messages)));
            });
            if cancel.get() {
                waiting.clear();
            }
            while let Some((cap, messages)) = waiting.pop_front_if(|(_, messages)| rows.is_ready(messages)) {
                let reached = Reached {
                    source: plan.ordinal,
                    worker: context.index as u32,
                    partition: None,
                    at_end: true,
                };
                if messages.is_empty() {
                    output.session(&cap).give(Batch::reached(reached));
                    continue;
                }
                let (mut batch, rejects) = rows.decode(&messages, &hub.wanted.borrow());
                let partition = rows.stamp(messages.partition).map(|stamp| (messages.partition, stamp));
                batch.origin.reached = Some(Reached { partition, at_end: false, ..reached });
                context.shared.counters.rows_in.fetch_add(messages.len() as u64, Ordering::Relaxed);
                context.books.record(stage, *cap.time(), messages.len(), batch.len, 0, rejects.len());
                let rejected = |r| RejectedRecord::of(&plan, "decode", &messages, r);
                context.rejects.write(*cap.time(), rejects.iter().map(rejected));
                output.session(&cap).give(batch);
            }
            if !waiting.is_empty() {
                activator.activate_after(RETRY_EVERY);
            }
        }
    }))
}

/// Messages → rows of one source, with their origins; used by workers and by answers that read the
/// past on their own.
pub struct RowDecoder {
    decoder: Box<dyn Decoder>,
    timestamp: Option<(Evaluator, Vec<bool>)>,
    ordinal: u32,
    columns: usize,
    /// The greatest ROWTIME so far of each partition.
    reached: BTreeMap<i32, i64>,
}

impl RowDecoder {
    pub fn new(plan: &SourcePlan, schemas: &Lookups) -> Result<RowDecoder> {
        let timestamp = match &plan.timestamp {
            None => None,
            Some(expr) => {
                let mut needs = vec![false; plan.schema.len()];
                crate::expr::references(expr, &mut |c| needs[c] = true);
                Some((compile(expr)?, needs))
            }
        };
        Ok(RowDecoder {
            decoder: decoder(&plan.serialization, &plan.schema, schemas)?,
            timestamp,
            ordinal: plan.ordinal,
            columns: plan.schema.len(),
            reached: BTreeMap::new(),
        })
    }

    /// The greatest ROWTIME of a partition so far.
    pub fn stamp(&self, partition: i32) -> Option<i64> {
        self.reached.get(&partition).copied().filter(|stamp| *stamp > i64::MIN)
    }

    /// Whether the messages can be decoded now; see [`Decoder::is_ready`].
    pub fn is_ready(&mut self, messages: &MessageBatch) -> bool {
        self.decoder.is_ready(messages)
    }

    pub fn decode(&mut self, messages: &MessageBatch, wanted: &Wanted) -> (Batch, Vec<Reject>) {
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
        let mut batch = self.take_rowtime(batch, kept.as_deref(), &mut rejects);
        let reached = self.reached.entry(messages.partition).or_insert(i64::MIN);
        (batch.origin.stamps, *reached) = batch.origin.rowtime.running_max(batch.len, *reached);
        (batch, rejects)
    }

    /// Takes ROWTIME from the declared column; a row without a valid one is rejected.
    fn take_rowtime(&mut self, mut batch: Batch, kept: Option<&[u32]>, rejects: &mut Vec<Reject>) -> Batch {
        let Some((evaluator, _)) = &mut self.timestamp else { return batch };
        let mut notes = Notes::default();
        let times = evaluator.eval(&batch, &mut notes).to_array(batch.len);
        let times = times.as_primitive::<Int64Type>();
        batch.origin.rowtime = Timestamps::Each(times.values().clone());
        if times.null_count() == 0 {
            return batch;
        }
        for row in (0..batch.len).filter(|&row| times.is_null(row)) {
            let why = notes.notes.iter().find(|n| n.row == row).map_or("it is NULL", |n| n.reason.as_str());
            rejects.push(Reject {
                message: kept.map_or(row, |kept| kept[row] as usize),
                column: None,
                reason: format!("no ROWTIME from the TIMESTAMP column: {why}"),
            });
        }
        rejects.sort_by_key(|r| r.message);
        batch.filter(&BooleanArray::from_iter((0..batch.len).map(|row| Some(times.is_valid(row)))))
    }
}
