//! Answers that process 0 computes beside the workers, each on one thread of its pool: SELECTs over rows that
//! were peeked from a table, and over a stream's past, which is derived again from the sources. Nothing that
//! is maintained waits for them, and each goes at its client's speed.

use super::answers::{AnswerEnd, AnswerEvent, Outlet, Rows};
use super::pull::{Question, TableRows};
use super::shared::Shared;
use super::stages::Stages;
use crate::batch::{Batch, MessageBatch, Reject};
use crate::clock::now_ms;
use crate::connector::{self, Opening, Poll, Share, Source, Start, Team};
use crate::error::{Error, Result};
use crate::expr::Notes;
use crate::plan::{SelectPlan, Shape, SourcePlan, Wanted};
use crate::registry::Lookups;
use crate::render::placed::placed_batch;
use crate::render::rejects::{self, RejectLog, RejectedRecord};
use crate::render::source::RowDecoder;
use crate::render::timed::timed_batch;
use crate::render::transform::Transform;
use crate::render::{RESTORED, Tick};
use crate::types::SqlType;
use crate::value::{Row, Value};
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

/// Answers SELECTs, each over the rows of the one before it, over a stream's rows in the order of its ways.
pub async fn answer_stream(
    ways: Vec<Way>,
    selects: &[SelectPlan],
    schemas: &Lookups,
    until: Until,
    opened_ms: i64,
    about: &Complaints,
    outlet: &Outlet,
) {
    let run = async {
        let mut local = Stages::new(selects)?;
        let mut readers = Vec::new();
        for way in ways {
            readers.push(WayReader::open(way, &selects[0], schemas, until, opened_ms)?);
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
                    if local.has_enough() {
                        return local.finish(outlet).await;
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

    /// The rejects themselves are asked for to see what was read.
    fn read(&self, plan: &SourcePlan, messages: &MessageBatch) {
        if plan.topic != rejects::TOPIC {
            let (rows, bytes) = (messages.len() as u64, messages.buffer.len() as u64);
            self.log.lock().unwrap_or_else(PoisonError::into_inner).count_read(rows, bytes);
        }
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

/// Answers SELECTs, each over the rows of the one before it, over a table's rows at one tick.
pub async fn answer_table(
    shared: &Shared,
    question: Question,
    types: &[SqlType],
    selects: &[SelectPlan],
    outlet: &Outlet,
) {
    let run = async {
        let mut local = Stages::new(selects)?;
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
                if local.has_enough() {
                    return local.finish(outlet).await;
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

/// Answers SELECTs, each over the rows of the one before it, over placed rows that come from a dataflow.
pub async fn answer_derived(rows: &mut Rows, types: &[SqlType], selects: &[SelectPlan], outlet: &Outlet) {
    let run = async {
        let mut local = Stages::new(selects)?;
        loop {
            match rows.recv().await {
                Some(AnswerEvent::Rows(rows)) => {
                    let rows: Vec<Row> = rows.into_iter().map(|row| row.row).collect();
                    local.add(&placed_batch(types, &rows));
                    if !local.send_ready(outlet).await {
                        return Ok(AnswerEnd::LimitReached);
                    }
                    if local.has_enough() {
                        return local.finish(outlet).await;
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
                        about.read(&self.plan, &messages);
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
