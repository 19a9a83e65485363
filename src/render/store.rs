//! Stores a derived stream in a log or on a cluster, at closed ticks: encode, exchange by partition,
//! append.

use super::Tick;
use super::books::Stage;
use super::context::{Context, SharedWriter};
use super::rejects::RejectedRecord;
use super::rowtime::RowTime;
use crate::batch::{Batch, Column, Position, Range32, Reject};
use crate::connector::{Record, Room, Writer};
use crate::error::Result;
use crate::format::{Encoded, Encoder, encoder};
use crate::headers::Headers;
use crate::partition::partition_of;
use crate::plan::{DataflowPlan, QueryPlan, StorePlan};
use arrow_buffer::Buffer;
use serde::{Deserialize, Serialize};
use std::cmp::Reverse;
use std::collections::binary_heap::PeekMut;
use std::collections::{BTreeMap, BinaryHeap};
use std::rc::Rc;
use std::time::Duration;
use timely::dataflow::StreamVec;
use timely::dataflow::channels::pact::{Exchange, Pipeline};
use timely::dataflow::operators::Capability;
use timely::dataflow::operators::generic::Operator;
use timely::dataflow::operators::probe::{Handle, Probe};

/// The messages of one batch that go to one partition.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(into = "Packed", from = "Packed")]
struct Chunk {
    partition: u32,
    messages: Vec<Message>,
    /// Keys and values, and headers, of all messages of the batch: also of those that go elsewhere.
    buffer: Buffer,
    headers: Buffer,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Message {
    /// Where it is from: the order in the log.
    position: Position,
    rowtime: i64,
    key: Range32,
    value: Range32,
    headers: Range32,
}

/// A chunk on its way to another process: with no more bytes than its own.
#[derive(Serialize, Deserialize)]
struct Packed {
    partition: u32,
    messages: Vec<Message>,
    buffer: Vec<u8>,
}

impl From<Chunk> for Packed {
    fn from(chunk: Chunk) -> Packed {
        let mut buffer = Vec::new();
        let mut copy = |range: Range32, from: &[u8]| match range.of(from) {
            None => Range32::NULL,
            Some(bytes) => {
                let start = buffer.len() as u32;
                buffer.extend_from_slice(bytes);
                Range32 { start, end: buffer.len() as u32 }
            }
        };
        let messages = chunk.messages.iter().map(|message| Message {
            position: message.position,
            rowtime: message.rowtime,
            key: copy(message.key, &chunk.buffer),
            value: copy(message.value, &chunk.buffer),
            headers: copy(message.headers, &chunk.headers),
        });
        Packed { partition: chunk.partition, messages: messages.collect(), buffer }
    }
}

impl From<Packed> for Chunk {
    fn from(packed: Packed) -> Chunk {
        let buffer = Buffer::from_vec(packed.buffer);
        Chunk { partition: packed.partition, messages: packed.messages, headers: buffer.clone(), buffer }
    }
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
    let (context, id) = (Rc::clone(context), query.id);
    chunks
        .unary_frontier::<timely::container::CapacityContainerBuilder<Vec<()>>, _, _, _>(
            Exchange::new(|chunk: &Chunk| u64::from(chunk.partition)),
            "Store",
            move |_, info| {
                context.stores.borrow_mut().insert(id, scope.activator_for(Rc::clone(&info.address)));
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
                            context.process.fail(error);
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

/// A closed tick's messages, in the order of their positions, whatever worker sent them.
struct Ordered {
    tick: Tick,
    chunks: Vec<Chunk>,
    order: Vec<Place>,
    next: usize,
}

/// Indices of chunk and row.
type Place = (u32, u32);

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
        let position = |(c, row): &Place| chunks[*c as usize].messages[*row as usize].position;
        // A chunk is of one batch, whose positions rise, as a rule.
        let mut partitions: BTreeMap<u32, Vec<Vec<Place>>> = BTreeMap::new();
        for (c, chunk) in (0..).zip(&chunks) {
            let mut run: Vec<Place> = (0..chunk.messages.len() as u32).map(|row| (c, row)).collect();
            if !run.is_sorted_by_key(position) {
                run.sort_by_key(position);
            }
            let runs = partitions.entry(chunk.partition).or_default();
            // Blocks of one source follow each other: then there is nothing to merge.
            match runs.last_mut().filter(|last| last.last().map(position) <= run.first().map(position)) {
                Some(last) => last.append(&mut run),
                None => runs.push(run),
            }
        }
        let mut order = Vec::with_capacity(chunks.iter().map(|chunk| chunk.messages.len()).sum());
        partitions.values().for_each(|runs| merge(runs, position, &mut order));
        Ordered { tick, chunks, order, next: 0 }
    }

    /// `Full`: the rest has to wait.
    fn append(&mut self, writer: &mut dyn Writer) -> Result<Room> {
        while let Some(&(c, row)) = self.order.get(self.next) {
            let chunk = &self.chunks[c as usize];
            let message = &chunk.messages[row as usize];
            let record = Record {
                timestamp: message.rowtime,
                key: message.key.of(&chunk.buffer),
                value: message.value.of(&chunk.buffer),
                headers: message.headers.of(&chunk.headers).unwrap_or_default(),
            };
            if writer.append(self.tick, chunk.partition, &record)? == Room::Full {
                return Ok(Room::Full);
            }
            self.next += 1;
        }
        Ok(Room::Taken)
    }
}

/// Merges ascending runs.
fn merge(runs: &[Vec<Place>], position: impl Fn(&Place) -> Position, order: &mut Vec<Place>) {
    let mut rests: Vec<&[Place]> = runs.iter().map(Vec::as_slice).collect();
    let first = |(run, rest): (usize, &&[Place])| Some(Reverse((position(rest.first()?), run)));
    let mut heads: BinaryHeap<_> = rests.iter().enumerate().filter_map(first).collect();
    while let Some(mut head) = heads.peek_mut() {
        let run = head.0.1;
        order.extend(rests[run].split_off_first());
        match rests[run].first() {
            Some(next) => *head = Reverse((position(next), run)),
            None => drop(PeekMut::pop(head)),
        }
    }
}

/// What makes messages of rows, and what gives them their time where that is not the rows'.
fn dealer_of(plan: &StorePlan) -> Result<(Dealer, Option<RowTime>)> {
    let encoder = encoder(&plan.serialization, &plan.schema, &plan.written)?;
    let rowtime = plan.timestamp.as_ref().map(RowTime::new).transpose()?;
    Ok((Dealer { encoder, partitions: plan.layout.partitions, bytes: 0 }, rowtime))
}

fn encode<'s>(
    rows: StreamVec<'s, Tick, Batch>,
    query: &QueryPlan,
    plan: &StorePlan,
    context: &Rc<Context>,
) -> Result<StreamVec<'s, Tick, Chunk>> {
    let (mut dealer, mut rowtime) = dealer_of(plan)?;
    let watch = context.changing.watch(query.id);
    let query = query.clone();
    let context = Rc::clone(context);
    let stage = context.books.stage(Stage::new(&query.source(), &query.topic(), &query.query, "store"));
    Ok(rows.unary(Pipeline, "Encode", move |_, _| {
        move |input, output| {
            if let Some(DataflowPlan::Query(query)) = watch.changed().as_deref()
                && let Some(stored) = query.stores()
            {
                match dealer_of(stored) {
                    Ok(changed) => (dealer, rowtime) = changed,
                    Err(error) => context.process.fail(error),
                }
            }
            input.for_each(|cap, batches| {
                let tick = *cap.least().expect("rows travel with a tick");
                let mut session = output.session(&cap);
                for batch in batches.drain(..).filter(|batch| batch.len > 0) {
                    let mut untimed = Vec::new();
                    let timed = rowtime.as_mut().map(|time| time.take(batch.clone(), None, &mut untimed));
                    let timed = timed.as_ref().unwrap_or(&batch);
                    let (chunks, rejects) = dealer.deal(timed);
                    let rejected = untimed.len() + rejects.len();
                    context.books.record(stage, tick, batch.len, batch.len - rejected, 0, rejected);
                    let unwritten = untimed.iter().map(|r| RejectedRecord::unwritten(&query, &batch, r));
                    let others = rejects.iter().map(|r| RejectedRecord::unwritten(&query, timed, r));
                    context.rejects.write(tick, unwritten.chain(others));
                    chunks.into_iter().for_each(|c| session.give(c));
                }
            });
        }
    }))
}

/// Encodes batches and deals their messages out to the partitions, by the key as other clients do; a
/// message without a key goes by its source's partition, so that its order is kept.
struct Dealer {
    encoder: Box<dyn Encoder>,
    partitions: u32,
    /// Of the last batch: the next one is likely as long.
    bytes: usize,
}

impl Dealer {
    fn deal(&mut self, batch: &Batch) -> (Vec<Chunk>, Vec<Reject>) {
        debug_assert!(batch.columns.iter().all(|c| !matches!(c, Column::Absent)));
        let mut encoded = Encoded::with_capacity(batch.len, self.bytes);
        let rejects = self.encoder.encode(batch, &mut encoded);
        self.bytes = encoded.buffer.len() + encoded.buffer.len() / 8;
        let buffer = Buffer::from_vec(encoded.buffer);
        let (header_buffer, headers) = match &batch.origin.headers {
            Headers::Each { buffer, blocks } => (buffer.clone(), Some(blocks)),
            Headers::None | Headers::Unread => (Buffer::default(), None),
        };
        let mut unwritten = rejects.iter().map(|reject| reject.message).peekable();
        // Keys are spread evenly, more or less.
        let room = batch.len * 5 / 4 / self.partitions as usize + 1;
        let mut dealt: Vec<Vec<Message>> = Vec::new();
        dealt.resize_with(self.partitions as usize, || Vec::with_capacity(room));
        for row in 0..batch.len {
            if unwritten.next_if_eq(&row).is_some() {
                continue;
            }
            let (key, value) = (encoded.keys[row], encoded.values[row]);
            let position = batch.origin.position(row);
            let partition = match key.of(&buffer) {
                Some(key) => partition_of(&key[..key.len() - encoded.key_suffix], self.partitions),
                None => position.partition.unsigned_abs() % self.partitions,
            };
            let headers = headers.map_or(Range32::NULL, |blocks| blocks[row]);
            let rowtime = batch.origin.rowtime.at(row);
            dealt[partition as usize].push(Message { position, rowtime, key, value, headers });
        }
        let chunk = |(partition, messages)| Chunk {
            partition,
            messages,
            buffer: buffer.clone(),
            headers: header_buffer.clone(),
        };
        let chunks = (0..).zip(dealt).filter(|(_, messages)| !messages.is_empty()).map(chunk);
        (chunks.collect(), rejects)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partition_keeps_its_order_and_others_come_between_by_their_stamps() {
        let message = |source, stamp, offset| Message {
            position: Position { stamp, source, partition: 0, offset, nth: 0 },
            rowtime: 0,
            key: Range32::NULL,
            value: Range32::NULL,
            headers: Range32::NULL,
        };
        let chunk = |messages| Chunk {
            partition: 0,
            messages,
            buffer: Buffer::default(),
            headers: Buffer::default(),
        };
        let chunks = vec![
            chunk(vec![message(1, 30, 3), message(1, 90, 4)]),
            chunk(vec![message(2, 20, 0), message(2, 40, 1)]),
            chunk(vec![message(1, 10, 0), message(1, 30, 1), message(1, 30, 2)]),
        ];
        let ordered = Ordered::new(1, chunks);
        let found = ordered.order.iter().map(|&(c, row)| {
            let position = ordered.chunks[c as usize].messages[row as usize].position;
            (position.source, position.offset)
        });
        let expected = [(1, 0), (2, 0), (1, 1), (1, 2), (1, 3), (2, 1), (1, 4)];
        assert_eq!(found.collect::<Vec<_>>(), expected);
    }

    #[test]
    fn another_process_gets_its_own_messages_only() {
        let range = |start, end| Range32 { start, end };
        let message = |offset, key, value, headers| Message {
            position: Position { stamp: 1, source: 2, partition: 3, offset, nth: 0 },
            rowtime: 1,
            key,
            value,
            headers,
        };
        let chunk = Chunk {
            partition: 4,
            messages: vec![
                message(5, range(2, 4), range(4, 9), range(1, 3)),
                message(6, Range32::NULL, range(0, 0), Range32::NULL),
                message(7, range(9, 10), Range32::NULL, Range32::NULL),
            ],
            buffer: Buffer::from(b"--k1value2 and others' bytes".as_slice()),
            headers: Buffer::from(b"-hh-".as_slice()),
        };
        let sent = bincode::serialize(&chunk).unwrap();
        assert!(!sent.windows(6).any(|bytes| bytes == b"others"));
        let arrived: Chunk = bincode::deserialize(&sent).unwrap();
        let found = |chunk: &Chunk| -> Vec<_> {
            let of = |range: Range32, buffer: &Buffer| range.of(buffer).map(<[u8]>::to_vec);
            let messages = chunk.messages.iter();
            messages
                .map(|m| {
                    let parts = (of(m.key, &chunk.buffer), of(m.value, &chunk.buffer));
                    (m.position, parts, of(m.headers, &chunk.headers))
                })
                .collect()
        };
        assert_eq!(found(&arrived), found(&chunk));
        assert_eq!(found(&arrived)[0].2, Some(b"hh".to_vec()));
    }
}
