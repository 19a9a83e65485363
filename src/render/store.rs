//! Stores a derived stream in a local log, at closed ticks: encode, exchange by partition, append.

use super::Tick;
use super::books::Stage;
use super::context::Context;
use super::rejects::RejectedRecord;
use crate::batch::{Batch, Column, Position, Range32, Reject};
use crate::connector::Place;
use crate::connector::log::LogWriter;
use crate::error::Result;
use crate::format::{Encoded, Encoder, encoder};
use crate::partition::partition_of;
use crate::plan::{QueryPlan, StorePlan};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::rc::Rc;
use timely::dataflow::StreamVec;
use timely::dataflow::channels::pact::{Exchange, Pipeline};
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
    buffer: Vec<u8>,
}

/// The stage: `rows` are in the order of the stored schema. `owner` is what is stored, a stream's hub
/// or a changelog's query: all that write for it share a writer.
pub fn store(
    rows: StreamVec<'_, Tick, Batch>,
    query: &QueryPlan,
    owner: u64,
    plan: &StorePlan,
    probe: &Handle<Tick>,
    context: &Rc<Context>,
) -> Result<()> {
    let chunks = encode(rows, query, plan, context)?;
    let Place::Log { dir, .. } = &plan.place else {
        return Err(crate::error::Error::topology(format!(
            "topic {} can only be stored in a log",
            plan.topic
        )));
    };
    let writer = context.log(owner, dir, plan.partitions)?;
    let mut pending: BTreeMap<Tick, Vec<Chunk>> = BTreeMap::new();
    let context = Rc::clone(context);
    chunks
        .unary_frontier::<timely::container::CapacityContainerBuilder<Vec<()>>, _, _, _>(
            Exchange::new(|chunk: &Chunk| u64::from(chunk.partition)),
            "Store",
            move |_, _| {
                move |(input, frontier), _output| {
                    input.for_each(|cap, chunks| {
                        let tick = *cap.least().expect("messages travel with a tick");
                        pending.entry(tick).or_default().append(chunks);
                    });
                    let mut writer = writer.borrow_mut();
                    let mut written = Ok(());
                    while let Some(entry) = pending.first_entry().filter(|e| !frontier.less_equal(e.key())) {
                        written = written.and(append(&mut writer, entry.remove()));
                    }
                    if let Err(error) = written.and_then(|()| writer.flush()) {
                        context.shared.fail(error);
                    }
                }
            },
        )
        .probe_with(probe);
    Ok(())
}

fn encode<'s>(
    rows: StreamVec<'s, Tick, Batch>,
    query: &QueryPlan,
    plan: &StorePlan,
    context: &Rc<Context>,
) -> Result<StreamVec<'s, Tick, Chunk>> {
    let mut encoder = encoder(&plan.serialization, &plan.schema, &plan.written)?;
    let partitions = plan.partitions;
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
                    context.rejects.write(&context, unwritten);
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
            buffer: Vec::new(),
        });
        let Position { rowtime, source, partition, offset } = batch.origin.position(row);
        chunk.positions.push((rowtime, source, partition, offset));
        chunk.keys.push(copy(key, &encoded.buffer, &mut chunk.buffer));
        chunk.values.push(copy(value, &encoded.buffer, &mut chunk.buffer));
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

/// Appends a closed tick's messages in the order of their origins, whatever worker sent them.
fn append(writer: &mut LogWriter, chunks: Vec<Chunk>) -> Result<()> {
    let mut order: Vec<(usize, usize)> = chunks
        .iter()
        .enumerate()
        .flat_map(|(c, chunk)| (0..chunk.positions.len()).map(move |row| (c, row)))
        .collect();
    order.sort_by_key(|&(c, row)| (chunks[c].partition, chunks[c].positions[row]));
    for (c, row) in order {
        let chunk = &chunks[c];
        let range = |(start, end): (u32, u32)| Range32 { start, end }.of(&chunk.buffer);
        writer.append(
            chunk.partition,
            chunk.positions[row].0,
            range(chunk.keys[row]),
            range(chunk.values[row]),
        )?;
    }
    Ok(())
}
