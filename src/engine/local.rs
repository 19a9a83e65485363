//! Answers that process 0 computes beside the workers, each on one thread of its pool: SELECTs over rows that
//! were peeked from a table, and over a stream's past, which is derived again from the sources. Nothing that
//! is maintained waits for them, and each goes at its client's speed.

use super::answers::{AnswerEnd, AnswerEvent, AnswerRow, Outlet, Rows};
use super::pull::{Question, TableRows};
use super::shared::Shared;
use crate::aggregate::{Element, Key, PreAggregator, State};
use crate::batch::{Batch, Column, MessageBatch, Origin, Partitions, Reject, SourcePartition, Timestamps};
use crate::clock::now_ms;
use crate::connector::{self, Opening, Poll, Share, Source, Start, Team};
use crate::error::{Error, Result};
use crate::expr::Notes;
use crate::plan::{Aggregation, OrderKey, SelectPlan, Shape, SourcePlan, Wanted, Window};
use crate::registry::Lookups;
use crate::render::preaggregate::{Arguments, groups, inputs};
use crate::render::rejects::{RejectLog, RejectedRecord};
use crate::render::sessions::groups::{self as session, Rules, Sessions};
use crate::render::source::RowDecoder;
use crate::render::table::{Finisher, Group, Kept};
use crate::render::timed::timed_batch;
use crate::render::transform::Transform;
use crate::render::window::assigned;
use crate::render::{RESTORED, Tick};
use crate::types::SqlType;
use crate::value::{Row, Value, row_len};
use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_buffer::ScalarBuffer;
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::task::yield_now;

/// One way that rows take into a stream: a source, then the queries on the way.
pub struct Way {
    pub source: SourcePlan,
    pub through: Vec<SelectPlan>,
    /// Nothing maintained reads the source from its start: what is wrong with it is for this answer to say.
    pub first: bool,
}

/// What an answer over a stream is about, for its rejects and notes.
pub struct About {
    /// "… of" the answer's id.
    pub id: String,
    pub source: String,
    pub topic: String,
}

/// The same with the log that they go to.
pub struct Complaints {
    pub about: About,
    pub log: Arc<Mutex<RejectLog>>,
}

/// How often it is looked whether a topic that was read to its end has grown.
pub const LOOK: Duration = Duration::from_millis(5);

/// Whether to go on when the present end is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    End,
    Closed,
}

/// Answers a SELECT over a stream's rows, in the order of its ways.
pub async fn answer_stream(
    ways: Vec<Way>,
    select: &SelectPlan,
    schemas: &Lookups,
    until: Until,
    opened_ms: i64,
    about: &Complaints,
    outlet: &Outlet,
) {
    let run = async {
        let mut local = LocalSelect::new(select)?;
        let mut readers = Vec::new();
        for way in ways {
            readers.push(WayReader::open(way, select, schemas, until, opened_ms)?);
        }
        let mut reading = true;
        while reading {
            let mut idle = true;
            for reader in &mut readers {
                while let Some(batch) = reader.next(about)? {
                    idle = false;
                    about.note("select", &local.add(&batch));
                    if !local.send_ready(outlet).await {
                        return Ok(AnswerEnd::LimitReached);
                    }
                    yield_now().await;
                }
            }
            reading = until == Until::Closed || readers.iter().any(|r| !r.done);
            if idle && reading {
                if outlet.is_closed() {
                    return Ok(AnswerEnd::Completed);
                }
                about.flush();
                tokio::time::sleep(LOOK).await;
            }
        }
        local.finish(outlet).await
    };
    let result = run.await;
    // Before the end is told: who asks for the rejects then finds them.
    about.flush();
    end(result, outlet);
}

impl Complaints {
    fn note(&self, stage: &str, notes: &Notes) {
        let stage = format!("{stage} of {}", self.about.id);
        let noted = |n| RejectedRecord::note_on(&self.about.source, &self.about.topic, &stage, n);
        self.write(notes.notes.iter().map(noted));
    }

    fn reject(&self, plan: &SourcePlan, messages: &MessageBatch, rejects: &[Reject]) {
        let stage = format!("decode of {}", self.about.id);
        self.write(rejects.iter().map(|r| RejectedRecord::of(plan, &stage, messages, r)));
    }

    fn write(&self, records: impl ExactSizeIterator<Item = RejectedRecord>) {
        if records.len() > 0 {
            self.log.lock().unwrap_or_else(PoisonError::into_inner).write(RESTORED + 1, records);
        }
    }

    fn flush(&self) {
        self.log.lock().unwrap_or_else(PoisonError::into_inner).flush(Tick::MAX);
    }
}

/// Rows of a table that are put in the order of their values; more come in the order in which they are kept.
const SORTED_ROWS: usize = 10_000;
const SORTED_BYTES: usize = 8 << 20;
/// Rows of a table that are taken at once.
const TAKEN: usize = 1_024;

/// Answers a SELECT over a table's rows at one tick.
pub async fn answer_table(
    shared: &Shared,
    question: Question,
    types: &[SqlType],
    select: &SelectPlan,
    outlet: &Outlet,
) {
    let run = async {
        let mut local = LocalSelect::new(select)?;
        let mut table = TableRows::ask(shared, question);
        let (mut first, mut bytes) = (Vec::new(), 0);
        while first.len() < SORTED_ROWS && bytes < SORTED_BYTES {
            let rows = table.next(TAKEN, outlet).await?;
            if rows.is_empty() {
                first.sort();
                break;
            }
            bytes += rows.iter().flatten().map(Value::bytes).sum::<usize>();
            first.extend(rows);
        }
        let mut rows = first;
        while !rows.is_empty() {
            for rows in rows.chunks(TAKEN) {
                local.add(&timed_batch(types, rows));
                if !local.send_ready(outlet).await {
                    return Ok(AnswerEnd::LimitReached);
                }
                yield_now().await;
            }
            rows = table.next(TAKEN, outlet).await?;
        }
        local.finish(outlet).await
    };
    let result = run.await;
    end(result, outlet);
}

/// Answers a SELECT over rows that come from a dataflow: with the ROWTIME, ROWPARTITION and ROWOFFSET of
/// each behind its columns.
pub async fn answer_derived(rows: &mut Rows, types: &[SqlType], select: &SelectPlan, outlet: &Outlet) {
    let run = async {
        let mut local = LocalSelect::new(select)?;
        loop {
            match rows.recv().await {
                Some(AnswerEvent::Rows(rows)) => {
                    let rows: Vec<Row> = rows.into_iter().map(|row| row.row).collect();
                    local.add(&with_origin(&rows, types));
                    if !local.send_ready(outlet).await {
                        return Ok(AnswerEnd::LimitReached);
                    }
                }
                Some(AnswerEvent::End(_)) => return local.finish(outlet).await,
                Some(AnswerEvent::Error(error)) => return Err(error),
                None => return Err(Error::runtime("the engine has stopped")),
            }
        }
    };
    let result = run.await;
    end(result, outlet);
}

fn with_origin(rows: &[Row], types: &[SqlType]) -> Batch {
    let mut batch = crate::render::table::rows_to_batch(types, rows);
    let record = batch.columns.split_off(types.len() - crate::plan::RECORD_COLUMNS);
    let long = |column: &Column| -> ScalarBuffer<i64> {
        column.to_array(rows.len()).as_primitive::<Int64Type>().values().clone()
    };
    let partition = |i: usize| match record[1].value(i) {
        Value::Int(partition) => SourcePartition { source: 0, partition },
        _ => SourcePartition::default(),
    };
    batch.origin = Origin {
        rowtime: Timestamps::Each(long(&record[0])),
        stamps: Timestamps::Each(long(&record[0])),
        partitions: Partitions::Each((0..rows.len()).map(partition).collect()),
        offsets: long(&record[2]),
        ..Origin::none(rows.len())
    };
    batch
}

pub fn end(result: Result<AnswerEnd>, outlet: &Outlet) {
    outlet.finish(match result {
        Ok(end) => AnswerEvent::End(end),
        Err(error) => AnswerEvent::Error(error),
    });
}

struct WayReader {
    plan: SourcePlan,
    source: Box<dyn Source>,
    decoder: RowDecoder,
    wanted: Wanted,
    through: Vec<Transform>,
    /// What table functions have made of one batch, and was not asked for yet.
    ready: VecDeque<Batch>,
    first: bool,
    /// Messages whose schemas are not there yet.
    waiting: Option<MessageBatch>,
    done: bool,
}

impl WayReader {
    fn open(
        way: Way,
        last: &SelectPlan,
        schemas: &Lookups,
        until: Until,
        opened_ms: i64,
    ) -> Result<WayReader> {
        // What the answer reads decides, way back to the source, what each step computes.
        let mut wants: Vec<Vec<bool>> = Vec::new();
        for (i, select) in way.through.iter().chain([last]).enumerate().collect::<Vec<_>>().into_iter().rev()
        {
            let width = if i == 0 { way.source.schema.len() } else { way.through[i - 1].columns.len() };
            wants.push(select.reads(width, wants.last().map(Vec::as_slice)));
        }
        let wanted = Wanted { columns: wants.pop().unwrap_or_default(), headers: false };
        let opening =
            Opening { share: Share::All, start: Start::Earliest, bounded: until == Until::End, opened_ms };
        let mut through = Vec::new();
        for (select, wanted) in way.through.iter().zip(wants.iter().rev()) {
            let Shape::Project(exprs) = &select.shape else {
                unreachable!("a stream is never written by an aggregate")
            };
            let transform =
                Transform::new(select.filter.as_ref(), exprs.clone())?.expanding(&select.expand)?;
            let mut transform = transform.into_stream(&select.columns);
            transform.want(wanted);
            through.push(transform);
        }
        let mut source =
            connector::open_surveyed(&way.source.place, opening, &way.source.survey, &Team::alone())?;
        source.read_headers(way.source.reads_headers(&wanted));
        Ok(WayReader {
            source,
            decoder: RowDecoder::new(&way.source, schemas)?,
            wanted,
            through,
            ready: VecDeque::new(),
            first: way.first,
            waiting: None,
            done: false,
            plan: way.source,
        })
    }

    /// Decoded rows through the steps on their way.
    fn push_through(&mut self, batch: Batch) {
        let mut batches = vec![batch];
        for transform in &mut self.through {
            let mut made = Vec::new();
            for batch in &batches {
                transform.each(batch, &mut Notes::default(), |out| made.push(out));
            }
            batches = made;
        }
        self.ready.extend(batches.into_iter().filter(|batch| batch.len > 0));
    }

    /// The next rows; `None` when there are none now.
    fn next(&mut self, about: &Complaints) -> Result<Option<Batch>> {
        if let Some(ready) = self.ready.pop_front() {
            return Ok(Some(ready));
        }
        while !self.done {
            let polled = match self.waiting.take() {
                Some(messages) => Poll::Messages(messages),
                None => self.source.poll(256 << 10, now_ms())?,
            };
            match polled {
                Poll::Messages(messages) if !self.decoder.is_ready(&messages) => {
                    self.waiting = Some(messages);
                    return Ok(None);
                }
                Poll::Messages(messages) => {
                    let (batch, rejects) = self.decoder.decode(&messages, &self.wanted);
                    if self.first {
                        about.reject(&self.plan, &messages, &rejects);
                    }
                    self.push_through(batch);
                    if let Some(ready) = self.ready.pop_front() {
                        return Ok(Some(ready));
                    }
                }
                Poll::Pending => return Ok(None),
                Poll::Done => self.done = true,
            }
        }
        Ok(None)
    }
}

/// Rows that are held beside those that ORDER BY … LIMIT needs.
const SPARE_ROWS: usize = 4_096;

/// A SELECT over batches: passes rows on, or holds them until the end to group or sort them.
struct LocalSelect {
    transform: Transform,
    columns: usize,
    grouping: Option<Grouping>,
    order_by: Vec<OrderKey>,
    /// Rows that are left out yet.
    skipped: u64,
    remaining: Option<u64>,
    rows: Vec<Row>,
}

struct Grouping {
    arguments: Arguments,
    pre: PreAggregator,
    groups: BTreeMap<Key, (State, BTreeMap<Element, State>)>,
    finisher: Finisher,
    window: Option<Window>,
    sessions: Option<Sessions>,
    /// How many values tell groups apart.
    stored_keys: usize,
    /// Without GROUP BY there is one group, even of no rows.
    single: bool,
}

impl LocalSelect {
    fn new(select: &SelectPlan) -> Result<LocalSelect> {
        let filter = select.filter.as_ref();
        let (transform, grouping) = match &select.shape {
            Shape::Project(exprs) => (Transform::new(filter, exprs.clone())?, None),
            Shape::Aggregate(aggregation) => {
                (Transform::new(filter, inputs(aggregation))?, Some(Grouping::new(select, aggregation)?))
            }
        };
        Ok(LocalSelect {
            transform: transform.expanding(&select.expand)?,
            columns: select.columns.len(),
            grouping,
            order_by: select.order_by.clone(),
            skipped: select.offset.unwrap_or(0),
            remaining: select.limit,
            rows: Vec::new(),
        })
    }

    /// What failed on some rows; they go on.
    fn add(&mut self, batch: &Batch) -> Notes {
        let mut notes = Notes::default();
        let LocalSelect { transform, grouping, rows, order_by, skipped, remaining, .. } = self;
        let wanted = remaining.map(|remaining| remaining.saturating_add(*skipped));
        transform.each(batch, &mut notes, |batch| match grouping {
            Some(grouping) => grouping.add(&batch),
            None => {
                rows.extend((0..batch.len).map(|i| batch.row(i)));
                keep_best(rows, order_by, wanted);
            }
        });
        notes
    }

    /// Sends what can go already. False when nothing more is wanted.
    async fn send_ready(&mut self, outlet: &Outlet) -> bool {
        if self.grouping.is_some() || !self.order_by.is_empty() {
            return !outlet.is_closed();
        }
        self.send(outlet).await
    }

    async fn send(&mut self, outlet: &Outlet) -> bool {
        let mut rows = std::mem::take(&mut self.rows);
        let skipped = rows.len().min(usize::try_from(self.skipped).unwrap_or(usize::MAX));
        rows.drain(..skipped);
        self.skipped -= skipped as u64;
        if let Some(remaining) = &mut self.remaining {
            rows.truncate(*remaining as usize);
            *remaining -= rows.len() as u64;
        }
        let columns = self.columns;
        let mut rows = rows.into_iter().map(|mut row| {
            row.truncate(columns);
            AnswerRow { row, deleted: false }
        });
        loop {
            let chunk: Vec<AnswerRow> = rows.by_ref().take(1_000).collect();
            if chunk.is_empty() {
                return self.remaining != Some(0);
            }
            if !outlet.send(chunk).await {
                return false;
            }
        }
    }

    async fn finish(mut self, outlet: &Outlet) -> Result<AnswerEnd> {
        if let Some(grouping) = self.grouping.take() {
            self.rows = grouping.finish();
        }
        if !self.order_by.is_empty() {
            let keys = std::mem::take(&mut self.order_by);
            self.rows.sort_by(|a, b| compare(&keys, a, b));
        }
        let more = self.send(outlet).await;
        Ok(if more { AnswerEnd::Completed } else { AnswerEnd::LimitReached })
    }
}

/// Of sorted rows with a LIMIT only so many are wanted: now and then the others go.
fn keep_best(rows: &mut Vec<Row>, order_by: &[OrderKey], wanted: Option<u64>) {
    let Some(limit) = wanted.and_then(|limit| usize::try_from(limit).ok()) else { return };
    if !order_by.is_empty() && rows.len() >= limit.saturating_mul(2).max(SPARE_ROWS) {
        rows.sort_by(|a, b| compare(order_by, a, b));
        rows.truncate(limit);
    }
}

fn compare(keys: &[OrderKey], a: &Row, b: &Row) -> Ordering {
    for key in keys {
        let (a, b) = (&a[key.column], &b[key.column]);
        let order = match (a.is_null(), b.is_null()) {
            (true, true) => Ordering::Equal,
            (true, false) if key.nulls_first => Ordering::Less,
            (true, false) => Ordering::Greater,
            (false, true) if key.nulls_first => Ordering::Greater,
            (false, true) => Ordering::Less,
            _ if key.descending => b.cmp(a),
            _ => a.cmp(b),
        };
        if order != Ordering::Equal {
            return order;
        }
    }
    Ordering::Equal
}

impl Grouping {
    fn new(select: &SelectPlan, aggregation: &Aggregation) -> Result<Grouping> {
        Ok(Grouping {
            arguments: Arguments::of(aggregation),
            pre: groups(aggregation),
            groups: BTreeMap::new(),
            finisher: Finisher::new(&select.columns, aggregation)?,
            window: aggregation.window,
            sessions: aggregation
                .window
                .and_then(|window| Rules::of(&window))
                .map(|rules| Sessions::new(aggregation, rules)),
            stored_keys: aggregation.stored_keys(),
            single: aggregation.keys.is_empty() && aggregation.window.is_none(),
        })
    }

    /// What is late for its window counts in none.
    fn add(&mut self, batch: &Batch) {
        let (groups, stored_keys) = (&mut self.groups, self.stored_keys);
        if let Some(sessions) = &mut self.sessions {
            sessions.add(batch, &mut |kept, key, state| {
                let (key, element) = key.split_at(row_len(&key, stored_keys).unwrap_or(key.len()));
                let (of_group, elements) = groups.entry(key.into()).or_default();
                match kept {
                    session::Kept::State => of_group.merge(&state),
                    session::Kept::Element => {
                        let element = elements.entry(Element(element.into()));
                        element.or_default().merge(&state);
                    }
                }
            });
            return;
        }
        let fixed = self.window.and_then(|window| Some((window.fixed()?, window.grace_ms)));
        let assigned = fixed.map(|((size, advance), grace)| assigned(batch, size, advance, grace).0);
        self.arguments.add(&mut self.pre, assigned.as_ref().unwrap_or(batch));
        self.pre.flush(&mut |key, state, elements| match groups.get_mut(&key) {
            Some((kept, collected)) => {
                kept.merge(&state);
                for (element, state) in elements {
                    collected.entry(element).or_default().merge(&state);
                }
            }
            None => {
                groups.insert(key, (state, elements.into_iter().collect()));
            }
        });
    }

    /// The result rows, ascending by their values: an order that does not depend on how they were made.
    fn finish(mut self) -> Vec<Row> {
        if self.single && self.groups.is_empty() {
            self.groups.insert(Key::default(), Default::default());
        }
        let groups = self
            .groups
            .into_iter()
            .filter(|(_, (state, _))| self.single || !state.is_nothing())
            .map(|(key, (state, elements))| Group {
                key,
                kept: Kept::State(
                    state,
                    elements.into_iter().filter(|(_, state)| !state.is_nothing()).collect(),
                ),
            })
            .collect();
        let finished = self.finisher.finish(groups);
        let mut rows: Vec<Row> =
            (0..finished.rows.len).filter(|&i| finished.keep[i]).map(|i| finished.rows.row(i)).collect();
        rows.sort();
        rows
    }
}

/// A place that cannot be read a second time.
pub fn replayable(place: &connector::Place) -> Result<()> {
    match place {
        connector::Place::Stdin { .. } => Err(Error::statement("standard input cannot be read again")
            .hint("SET 'auto.offset.reset' = 'latest', or query a table that was there from the start")),
        connector::Place::Generator(spec) if spec.rows.is_none() => Err(Error::statement(format!(
            "the past of the endless generator {} is not kept",
            spec.feed
        ))
        .hint(
            "query a table, use EMIT CHANGES with 'auto.offset.reset' = 'latest', or give the generator rows",
        )),
        _ => Ok(()),
    }
}
