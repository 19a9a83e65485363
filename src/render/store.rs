//! Stores a derived stream in a log or on a cluster, at closed ticks: encode, exchange by partition,
//! append.

use super::Tick;
use super::books::Stage;
use super::context::{Context, SharedWriter};
use super::rejects::RejectedRecord;
use crate::batch::{Batch, Column, Position, Range32, Reject};
use crate::connector::{Record, Room, Writer};
use crate::error::Result;
use crate::format::{Encoded, Encoder, encoder};
use crate::headers::Headers;
use crate::partition::partition_of;
use crate::plan::{QueryPlan, StorePlan};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;
use timely::dataflow::StreamVec;
use timely::dataflow::channels::pact::{Exchange, Pipeline};
use timely::dataflow::operators::Capability;
use timely::dataflow::operators::generic::Operator;
use timely::dataflow::operators::probe::{Handle, Probe};

/// The messages of one batch that go to one partition.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Chunk {
    partition: u32,
    /// ROWTIME, source, partition, offset of each row's origin: the order in the log.
    positions: Vec<(i64, u32, i32, i64)>,
    /// (start, end) of key and value; `u32::MAX` where there is none.
    keys: Vec<(u32, u32)>,
    values: Vec<(u32, u32)>,
    /// Blocks of headers; none where no row has any.
    headers: Vec<(u32, u32)>,
    buffer: Vec<u8>,
}

/// The stage: `rows` are in the order of the stored schema. `owner` is what is stored, a stream's hub
/// or a changelog's query: all that write for it share a writer. A tick is finished when all of it is
/// written: what a writer has no room for holds back its tick, and with it the sources.
pub fn store(
    rows: StreamVec<'_, Tick, Batch>,
    query: &QueryPlan,
    owner: u64,
    plan: &StorePlan,
    probe: &Handle<Tick>,
    context: &Rc<Context>,
) -> Result<()> {
    let scope = rows.scope();
    let chunks = encode(rows, query, plan, context)?;
    let writer = context.writer(owner, query.id, plan)?;
    let context = Rc::clone(context);
    chunks
        .unary_frontier::<timely::container::CapacityContainerBuilder<Vec<()>>, _, _, _>(
            Exchange::new(|chunk: &Chunk| u64::from(chunk.partition)),
            "Store",
            move |_, info| {
                context.stores.borrow_mut().push(scope.activator_for(Rc::clone(&info.address)));
                let activator = scope.activator_for(info.address);
                let mut storing = Storing::new(writer);
                move |(input, frontier), _output| {
                    input.for_each(|cap, chunks| {
                        let tick = *cap.least().expect("messages travel with a tick");
                        storing.held.entry(tick).or_insert_with(|| cap.delayed(&tick, 0));
                        storing.pending.entry(tick).or_default().append(chunks);
                    });
                    match storing.write(&|tick| !frontier.less_equal(tick) && context.may_leave(*tick)) {
                        Ok(false) => {}
                        Ok(true) => activator.activate_after(RETRY_EVERY),
                        Err(error) => {
                            context.shared.fail(error);
                            storing.give_up();
                        }
                    }
                }
            },
        )
        .probe_with(probe);
    Ok(())
}

/// How soon a writer that had no room, or has not written all, is asked again.
const RETRY_EVERY: Duration = Duration::from_millis(1);

/// What is on its way to the writer.
struct Storing {
    writer: Rc<SharedWriter>,
    /// Ticks that are not written.
    held: BTreeMap<Tick, Capability<Tick>>,
    /// Not handed to the writer yet.
    pending: BTreeMap<Tick, Vec<Chunk>>,
    /// The closed tick at hand.
    current: Option<Ordered>,
}

/// A closed tick's messages, in the order of their origins, whatever worker sent them.
struct Ordered {
    tick: Tick,
    chunks: Vec<Chunk>,
    /// Indices of chunk and row.
    order: Vec<(usize, usize)>,
    next: usize,
}

impl Storing {
    fn new(writer: Rc<SharedWriter>) -> Storing {
        Storing { writer, held: BTreeMap::new(), pending: BTreeMap::new(), current: None }
    }

    /// Hands closed ticks to the writer as far as it has room. True when it must be asked again.
    fn write(&mut self, is_closed: &dyn Fn(&Tick) -> bool) -> Result<bool> {
        let mut writer = self.writer.borrow_mut();
        loop {
            if self.current.is_none() {
                let Some(entry) = self.pending.first_entry().filter(|e| is_closed(e.key())) else { break };
                let (tick, chunks) = entry.remove_entry();
                self.current = Some(Ordered::new(tick, chunks));
            }
            let Some(current) = &mut self.current else { break };
            if current.append(writer.as_mut())? == Room::Full {
                break;
            }
            self.current = None;
        }
        let unwritten = writer.flush()?;
        let current = self.current.as_ref().map(|c| c.tick);
        let pending = self.pending.keys().next().copied();
        match [unwritten, current, pending].into_iter().flatten().min() {
            None => self.held.clear(),
            Some(least) => self.held = self.held.split_off(&least),
        }
        Ok(current.is_some() || unwritten.is_some())
    }

    /// After a failure nothing is written any more, and nothing is held back.
    fn give_up(&mut self) {
        self.held.clear();
        self.pending.clear();
        self.current = None;
    }
}

impl Ordered {
    fn new(tick: Tick, chunks: Vec<Chunk>) -> Ordered {
        let mut order: Vec<(usize, usize)> = chunks
            .iter()
            .enumerate()
            .flat_map(|(c, chunk)| (0..chunk.positions.len()).map(move |row| (c, row)))
            .collect();
        order.sort_by_key(|&(c, row)| (chunks[c].partition, chunks[c].positions[row]));
        Ordered { tick, chunks, order, next: 0 }
    }

    /// `Full`: the rest has to wait.
    fn append(&mut self, writer: &mut dyn Writer) -> Result<Room> {
        while let Some(&(c, row)) = self.order.get(self.next) {
            let chunk = &self.chunks[c];
            let range = |(start, end): (u32, u32)| Range32 { start, end }.of(&chunk.buffer);
            let record = Record {
                timestamp: chunk.positions[row].0,
                key: range(chunk.keys[row]),
                value: range(chunk.values[row]),
                headers: chunk.headers.get(row).and_then(|block| range(*block)).unwrap_or_default(),
            };
            if writer.append(self.tick, chunk.partition, &record)? == Room::Full {
                return Ok(Room::Full);
            }
            self.next += 1;
        }
        Ok(Room::Taken)
    }
}

fn encode<'s>(
    rows: StreamVec<'s, Tick, Batch>,
    query: &QueryPlan,
    plan: &StorePlan,
    context: &Rc<Context>,
) -> Result<StreamVec<'s, Tick, Chunk>> {
    let mut encoder = encoder(&plan.serialization, &plan.schema, &plan.written)?;
    let partitions = plan.layout.partitions;
    let query = query.clone();
    let context = Rc::clone(context);
    let stage = context.books.stage(Stage::new(&query.source, &query.topic, &query.query, "store"));
    Ok(rows.unary(Pipeline, "Encode", move |_, _| {
        move |input, output| {
            input.for_each(|cap, batches| {
                let tick = *cap.least().expect("rows travel with a tick");
                let mut session = output.session(&cap);
                for batch in batches.drain(..) {
                    let (chunks, rejects) = chunks(encoder.as_mut(), &batch, partitions);
                    context.books.record(stage, tick, batch.len, batch.len - rejects.len(), 0, rejects.len());
                    let unwritten = rejects.iter().map(|r| RejectedRecord::unwritten(&query, &batch, r));
                    context.rejects.write(tick, unwritten);
                    chunks.into_iter().for_each(|c| session.give(c));
                }
            });
        }
    }))
}

/// Encodes a batch and deals its messages out to the partitions, by the key as other clients do; a
/// message without a key goes by its source's partition, so that its order is kept.
fn chunks(encoder: &mut dyn Encoder, batch: &Batch, partitions: u32) -> (Vec<Chunk>, Vec<Reject>) {
    debug_assert!(batch.columns.iter().all(|c| !matches!(c, Column::Absent)));
    let mut encoded = Encoded::default();
    let rejects = encoder.encode(batch, &mut encoded);
    let mut unwritten = rejects.iter().map(|reject| reject.message).peekable();
    let mut chunks: BTreeMap<u32, Chunk> = BTreeMap::new();
    for row in 0..batch.len {
        if unwritten.next_if_eq(&row).is_some() {
            continue;
        }
        let (key, value) = (encoded.keys[row], encoded.values[row]);
        let partition = match key.of(&encoded.buffer) {
            Some(key) => partition_of(key, partitions),
            None => batch.origin.partition.unsigned_abs() % partitions,
        };
        let chunk = chunks.entry(partition).or_insert_with(|| Chunk {
            partition,
            positions: Vec::new(),
            keys: Vec::new(),
            values: Vec::new(),
            headers: Vec::new(),
            buffer: Vec::new(),
        });
        let Position { rowtime, source, partition, offset } = batch.origin.position(row);
        chunk.positions.push((rowtime, source, partition, offset));
        chunk.keys.push(copy(key, &encoded.buffer, &mut chunk.buffer));
        chunk.values.push(copy(value, &encoded.buffer, &mut chunk.buffer));
        if let Headers::Each { buffer, blocks } = &batch.origin.headers {
            chunk.headers.push(copy(blocks[row], buffer, &mut chunk.buffer));
        }
    }
    (chunks.into_values().collect(), rejects)
}

fn copy(range: Range32, from: &[u8], to: &mut Vec<u8>) -> (u32, u32) {
    match range.of(from) {
        None => (u32::MAX, u32::MAX),
        Some(bytes) => {
            let start = to.len() as u32;
            to.extend_from_slice(bytes);
            (start, to.len() as u32)
        }
    }
}
