//! Brings what a run has put into outboxes to a cluster, once: a thread that copies it in transactions,
//! each with the note of how far it has come.
//!
//! An outbox is a log in the data directory with the partitions of its topic. The note is an offset of
//! the outbox, committed for the topic's partition by a consumer group of that outbox's name; it counts
//! exactly if the records do. So whatever happens in between, the next start reads the note and goes on.

use super::admin;
use super::client::{Ears, Trouble, ask, config, fatal, is_unknown, not_made};
use super::produce::Topic;
use crate::batch::MessageBatch;
use crate::connector::log::{self, Ends, LogReader};
use crate::connector::{
    Cluster, Layout, Notes, Opening, Poll, Position, Record, Share, Source, Split, Start, Survey,
};
use crate::error::{Error, Result};
use rdkafka::TopicPartitionList;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::producer::{BaseProducer, Producer, ProducerContext};
use rdkafka::{ClientContext, Offset};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How long a call waits before it is made again.
const PATIENCE: Duration = Duration::from_secs(5);
/// A transaction has about so many bytes at most: readers of committed records wait for its end.
const TRANSACTION_BYTES: usize = 64 << 20;
/// So much is sent of one partition before it is another's turn.
const TURN_BYTES: usize = 1 << 20;
/// What a record takes beside its key and value.
const RECORD_BYTES: usize = 16;
const OURS: &[(&str, &str)] = &[
    ("queue.buffering.max.kbytes", "65536"),
    ("queue.buffering.max.messages", "1000000"),
    // A transaction says for all of its records whether they are there.
    ("delivery.report.only.error", "true"),
];

/// What is to be delivered: records that a checkpoint has made final.
#[derive(Clone, Debug, PartialEq)]
pub struct Delivery {
    pub topic: String,
    pub layout: Layout,
    pub outbox: PathBuf,
    /// Who has counted what is delivered of it, and last who counts it now.
    pub notes: Vec<Notes>,
    pub ends: Ends,
    /// No query writes it any more: it must not stop those that do.
    pub is_left: bool,
}

/// A handle on the thread.
pub struct Courier {
    desk: Arc<Desk>,
    thread: JoinHandle<()>,
}

#[derive(Default)]
struct Desk {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// By outbox: the newest word counts.
    waiting: BTreeMap<PathBuf, Delivery>,
    /// By outbox: the first record of each partition that is not delivered, as far as is known.
    delivered: BTreeMap<PathBuf, Ends>,
    working: bool,
    closed: bool,
    failed: Option<Error>,
}

impl Desk {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|e| e.into_inner())
    }

    /// The next things to do; `None` when nothing will come any more.
    fn next(&self) -> Option<Vec<Delivery>> {
        let mut state = self.lock();
        state.working = false;
        self.changed.notify_all();
        while state.waiting.is_empty() {
            if state.closed {
                return None;
            }
            state = self.changed.wait(state).unwrap_or_else(|e| e.into_inner());
        }
        state.working = true;
        Some(std::mem::take(&mut state.waiting).into_values().collect())
    }

    fn is_closed(&self) -> bool {
        self.lock().closed
    }
}

impl Courier {
    /// `id` names the transactions: a later courier of that name takes over from this one.
    pub fn hire(cluster: &Cluster, id: &str) -> Courier {
        let desk = Arc::new(Desk::default());
        let mut work =
            Work { cluster: cluster.clone(), id: id.into(), producer: None, routes: BTreeMap::new() };
        let of_thread = Arc::clone(&desk);
        let thread = std::thread::spawn(move || {
            while let Some(deliveries) = of_thread.next() {
                if let Err(error) = work.deliver(&deliveries, &of_thread) {
                    of_thread.lock().failed = Some(error);
                    break;
                }
            }
            of_thread.lock().working = false;
            of_thread.changed.notify_all();
        });
        Courier { desk, thread }
    }

    pub fn deliver(&self, delivery: Delivery) {
        let mut state = self.desk.lock();
        // Until the cluster says more: what is not there any more has been delivered.
        let known = state.delivered.entry(delivery.outbox.clone());
        known.or_insert_with(|| log::starts(&delivery.outbox).unwrap_or_default());
        state.waiting.insert(delivery.outbox.clone(), delivery);
        self.desk.changed.notify_all();
    }

    pub fn delivered(&self) -> BTreeMap<PathBuf, Ends> {
        self.desk.lock().delivered.clone()
    }

    /// Why it has given up.
    pub fn failure(&self) -> Option<Error> {
        self.desk.lock().failed.clone()
    }

    /// Waits until all is delivered, or so long. What is not stays in its outbox for the next start.
    pub fn finish(self, until: Option<Instant>) -> Result<()> {
        let mut state = self.desk.lock();
        while (state.working || !state.waiting.is_empty()) && state.failed.is_none() {
            let left = until.map_or(PATIENCE, |until| until.saturating_duration_since(Instant::now()));
            if left.is_zero() {
                break;
            }
            state = self.desk.changed.wait_timeout(state, left).unwrap_or_else(|e| e.into_inner()).0;
        }
        state.closed = true;
        let left = state.working || !state.waiting.is_empty();
        let failed = state.failed.clone();
        drop(state);
        self.desk.changed.notify_all();
        match failed {
            Some(error) => Err(error),
            // It may be waiting for a cluster that is away.
            None if left => Err(Error::runtime("not all that was computed is delivered")
                .hint("it is kept in the data directory, and delivered at the next start")),
            None => {
                drop(self.thread.join());
                Ok(())
            }
        }
    }
}

struct Work {
    cluster: Cluster,
    id: String,
    /// Once the cluster has accepted it as the one of its name.
    producer: Option<Arc<BaseProducer<Reports>>>,
    routes: BTreeMap<PathBuf, Route>,
}

/// An outbox that has been delivered from.
struct Route {
    topic: Topic<Reports>,
    /// Commits the notes' group.
    consumer: BaseConsumer<Ears>,
    /// The first record of each partition that is not delivered.
    next: Ends,
    /// Of each partition, what comes next. None after a transaction that was undone.
    outgoing: BTreeMap<u32, Outgoing>,
}

/// A partition of an outbox that is being read.
struct Outgoing {
    reader: LogReader,
    /// What was read and is not sent, and from which record on.
    read: Option<(MessageBatch, usize)>,
}

/// Errors of single records come with the transaction's.
struct Reports(Ears);

impl ClientContext for Reports {
    fn log(&self, _: rdkafka::config::RDKafkaLogLevel, _: &str, _: &str) {}

    fn error(&self, error: KafkaError, reason: &str) {
        self.0.error(error, reason);
    }
}

impl ProducerContext for Reports {
    type DeliveryOpaque = usize;

    fn delivery(&self, _: &rdkafka::message::DeliveryResult<'_>, _: usize) {}
}

/// Why a transaction did not come about.
enum Failed {
    /// It is to be undone, and done again.
    Again,
    /// The same by another client: this one holds that there is no topic, and would do so for a while.
    Anew,
    Fatal(Error),
}

impl Failed {
    /// Nothing is undone before a transaction begins.
    fn before(self) -> Result<bool> {
        match self {
            Failed::Again | Failed::Anew => Ok(false),
            Failed::Fatal(error) => Err(error),
        }
    }
}

impl Work {
    fn deliver(&mut self, deliveries: &[Delivery], desk: &Desk) -> Result<()> {
        // What is left came first.
        let (left, written): (Vec<_>, Vec<_>) = deliveries.iter().partition(|delivery| delivery.is_left);
        for delivery in left.into_iter().chain(written) {
            match self.deliver_one(delivery, desk) {
                Err(error) if delivery.is_left => {
                    let outbox = delivery.outbox.display();
                    tracing::warn!(topic = delivery.topic, "what is left in {outbox} stays there: {error}");
                }
                done => done?,
            }
        }
        Ok(())
    }

    fn deliver_one(&mut self, delivery: &Delivery, desk: &Desk) -> Result<()> {
        loop {
            // Again after each transaction: one that cannot be undone takes all that is prepared along.
            while !self.prepare(delivery)? {
                if desk.is_closed() {
                    return Ok(());
                }
            }
            self.tell(delivery, desk);
            if !self.routes[&delivery.outbox].is_behind(delivery) {
                break;
            }
            match self.transaction(delivery) {
                Ok(()) => {}
                Err(Failed::Fatal(error)) => return Err(error),
                Err(_) if desk.is_closed() => return Ok(()),
                Err(Failed::Again) => self.undo(),
                Err(Failed::Anew) => {
                    self.undo();
                    self.dismiss();
                }
            }
        }
        let next = &self.routes[&delivery.outbox].next;
        next.iter().try_for_each(|(partition, next)| log::delete_before(&delivery.outbox, *partition, *next))
    }

    fn tell(&self, delivery: &Delivery, desk: &Desk) {
        let next = self.routes[&delivery.outbox].next.clone();
        desk.lock().delivered.insert(delivery.outbox.clone(), next);
    }

    /// Makes sure that the topic is there, that nobody else delivers under our name, and how far an
    /// earlier courier has come. False while the cluster is away.
    fn prepare(&mut self, delivery: &Delivery) -> Result<bool> {
        if self.routes.contains_key(&delivery.outbox) {
            return Ok(true);
        }
        let layout = delivery.layout;
        match ask(&self.cluster, |client| admin::ensure(client, &delivery.topic, layout)) {
            Ok(found) if found == layout.partitions => {}
            Ok(found) => return Err(self.cluster.mismatch(&delivery.topic, found, layout.partitions)),
            Err(Trouble::Fatal(error)) => return Err(error),
            Err(Trouble::Away(_)) => {
                std::thread::sleep(Duration::from_millis(500));
                return Ok(false);
            }
        }
        if self.producer.is_none() {
            let must = [("transactional.id", self.id.as_str()), ("enable.idempotence", "true")];
            let producer: BaseProducer<Reports> = config(&self.cluster, OURS, &must)?
                .create_with_context(Reports(Ears::new(&self.cluster)))
                .map_err(|e| not_made(&self.cluster, e))?;
            match producer.init_transactions(PATIENCE) {
                Ok(()) => self.producer = Some(Arc::new(producer)),
                Err(error) => return self.judge(error, &delivery.topic).before(),
            }
        }
        let first = log::starts(&delivery.outbox)?;
        let mut next: Ends = (0..layout.partitions).map(|partition| (partition, i64::MAX)).collect();
        let mut consumer = None;
        for notes in &delivery.notes {
            let must = [("group.id", notes.group.as_str()), ("enable.auto.commit", "false")];
            let of_group: BaseConsumer<Ears> = config(&self.cluster, &[], &must)?
                .create_with_context(Ears::new(&self.cluster))
                .map_err(|e| not_made(&self.cluster, e))?;
            let mut list = TopicPartitionList::new();
            for partition in 0..layout.partitions {
                list.add_partition(&delivery.topic, partition as i32);
            }
            let found = match of_group.committed_offsets(list, PATIENCE) {
                Ok(found) => found,
                Err(error) => return self.judge(error, &delivery.topic).before(),
            };
            for (partition, next) in &mut next {
                let noted = found.find_partition(&delivery.topic, *partition as i32);
                *next = match noted.map(|noted| noted.offset()) {
                    Some(Offset::Offset(noted)) => noted,
                    _ => notes.from.get(partition).copied().unwrap_or(0).min(*next),
                };
            }
            consumer = Some(of_group);
        }
        // A cluster forgets the notes of groups that are idle for long; ours is as good if it is newer.
        for (partition, next) in &mut next {
            *next = (*next).max(first.get(partition).copied().unwrap_or(0));
        }
        let consumer = consumer.expect("an outbox has notes");
        let producer = self.producer.as_ref().expect("it was just made");
        let Some(topic) = Topic::new(producer, &delivery.topic) else {
            return Err(Error::runtime(format!("{} has no topic {}", self.cluster, delivery.topic)));
        };
        let route = Route { topic, consumer, next, outgoing: BTreeMap::new() };
        self.routes.insert(delivery.outbox.clone(), route);
        Ok(true)
    }

    /// Delivers the next records, up to a transaction's size.
    fn transaction(&mut self, delivery: &Delivery) -> Result<(), Failed> {
        // It is put back when all of it has come about.
        let mut route = self.routes.remove(&delivery.outbox).expect("it was prepared");
        let producer = Arc::clone(&route.topic.producer);
        let judge = |error| self.judge(error, &delivery.topic);
        producer.begin_transaction().map_err(judge)?;
        let next = route.send(delivery, &judge)?;
        wait_for_deliveries(&producer);
        let mut notes = TopicPartitionList::new();
        for (partition, next) in &next {
            let noted = notes.add_partition_offset(&delivery.topic, *partition as i32, Offset::Offset(*next));
            noted.map_err(judge)?;
        }
        let group = route.consumer.group_metadata().ok_or_else(|| {
            Failed::Fatal(Error::runtime(format!("{} gives no group for {}", self.cluster, delivery.topic)))
        })?;
        again(|| producer.send_offsets_to_transaction(&notes, &group, PATIENCE)).map_err(judge)?;
        again(|| producer.commit_transaction(PATIENCE)).map_err(judge)?;
        route.next.extend(next);
        self.routes.insert(delivery.outbox.clone(), route);
        Ok(())
    }

    /// Ends a transaction that did not come about; the next one begins where it began.
    fn undo(&mut self) {
        let Some(producer) = &self.producer else { return };
        if again(|| producer.abort_transaction(PATIENCE)).is_err() {
            self.dismiss();
        }
        std::thread::sleep(Duration::from_millis(200));
    }

    /// A new client of the same name ends what this one has begun, and reads how far it has come.
    fn dismiss(&mut self) {
        self.producer = None;
        self.routes.clear();
    }

    fn judge(&self, error: KafkaError, topic: &str) -> Failed {
        if let Some(refusal) = self.producer.as_ref().and_then(|producer| producer.context().0.refusal()) {
            return Failed::Fatal(refusal);
        }
        if let KafkaError::Transaction(error) = &error
            && error.is_fatal()
        {
            return Failed::Fatal(match error.code() {
                Code::ProducerFenced | Code::Fenced | Code::InvalidProducerEpoch => Error::runtime(format!(
                    "another run delivers to {} under the name {}",
                    self.cluster, self.id
                ))
                .hint("stop it, or give it a data directory of its own"),
                code => {
                    Error::runtime(format!("cannot deliver to topic {topic} on {}: {code}", self.cluster))
                }
            });
        }
        match error.rdkafka_error_code() {
            // It was there: whether it still is, is asked before the next one.
            Some(code) if is_unknown(code) => Failed::Anew,
            Some(code) => fatal(&self.cluster, topic, code).map_or(Failed::Again, Failed::Fatal),
            None => Failed::Again,
        }
    }
}

impl Route {
    fn is_behind(&self, delivery: &Delivery) -> bool {
        delivery.ends.iter().any(|(partition, end)| self.next.get(partition).is_some_and(|next| next < end))
    }

    /// Hands the next records to the producer, about as many as a transaction may have; where those
    /// behind them begin.
    fn send(&mut self, delivery: &Delivery, judge: &dyn Fn(KafkaError) -> Failed) -> Result<Ends, Failed> {
        let (mut sent, mut bytes) = (Ends::new(), 0);
        loop {
            let before = bytes;
            for (&partition, &next) in &self.next {
                let next = *sent.entry(partition).or_insert(next);
                let end = delivery.ends.get(&partition).copied().unwrap_or(0);
                if next >= end || bytes >= TRANSACTION_BYTES {
                    continue;
                }
                let outgoing = match self.outgoing.entry(partition) {
                    Entry::Occupied(outgoing) => outgoing.into_mut(),
                    Entry::Vacant(vacant) => vacant.insert(Outgoing::open(delivery, partition, next)?),
                };
                let (next, more) = outgoing.send(&self.topic, delivery, end, judge)?;
                sent.insert(partition, next);
                bytes += more;
            }
            self.topic.producer.poll(Duration::ZERO);
            if bytes == before {
                return Ok(sent);
            }
        }
    }
}

impl Outgoing {
    fn open(delivery: &Delivery, partition: u32, next: i64) -> Result<Outgoing, Failed> {
        let split = Split { partition: partition as i32, next: next as u64, end: Split::OPEN };
        let resumed = Position { splits: vec![split], ..Position::default() };
        let survey = Survey { resumed: Some(resumed), ..Survey::default() };
        let share = Share::Part { index: partition as usize, of: delivery.layout.partitions as usize };
        let opening = Opening { share, start: Start::Earliest, bounded: false, opened_ms: 0 };
        let reader = log::open_impatient(&delivery.outbox, opening, &survey).map_err(Failed::Fatal)?;
        Ok(Outgoing { reader, read: None })
    }

    /// Sends the next records that are before `end`: which one is next then, and their bytes.
    fn send(
        &mut self,
        topic: &Topic<Reports>,
        delivery: &Delivery,
        end: i64,
        judge: &dyn Fn(KafkaError) -> Failed,
    ) -> Result<(i64, usize), Failed> {
        let (messages, first) = match self.read.take() {
            Some(read) => read,
            None => match self.reader.poll(TURN_BYTES, 0).map_err(Failed::Fatal)? {
                Poll::Messages(messages) => (messages, 0),
                Poll::Pending | Poll::Done => {
                    let outbox = delivery.outbox.display();
                    let missing = format!("records of {outbox} that a checkpoint counts on are missing");
                    return Err(Failed::Fatal(Error::runtime(missing)));
                }
            },
        };
        let last = messages.offsets.partition_point(|offset| *offset < end);
        let mut bytes = 0;
        for i in first..last {
            let record = Record {
                timestamp: messages.timestamps.at(i),
                key: messages.key(i),
                value: messages.value(i),
                headers: messages.headers.block(i),
            };
            let lengths = [record.key.unwrap_or_default(), record.value.unwrap_or_default(), record.headers];
            bytes += lengths.map(<[u8]>::len).iter().sum::<usize>() + RECORD_BYTES;
            while let Err(code) = topic.send(messages.partition as u32, &record, 0) {
                if code != Code::QueueFull {
                    return Err(judge(KafkaError::MessageProduction(code)));
                }
                rest(&topic.producer);
            }
        }
        // Where none is before it, some are gone.
        let next = if last > 0 { messages.offsets[last - 1] + 1 } else { end };
        if last < messages.len() {
            self.read = Some((messages, last));
        }
        Ok((next, bytes))
    }
}

/// Until the cluster has all that was sent, or a call's time is over: the library's own wait before a
/// commit looks every 100 ms only.
fn wait_for_deliveries(producer: &BaseProducer<Reports>) {
    let started = Instant::now();
    while producer.in_flight_count() > 0 && started.elapsed() < PATIENCE {
        rest(producer);
    }
}

/// A while in which the cluster may take something: the library's own wait spins through its last
/// millisecond.
fn rest(producer: &BaseProducer<Reports>) {
    std::thread::sleep(Duration::from_millis(1));
    producer.poll(Duration::ZERO);
}

/// Repeats a call that may be repeated.
fn again(call: impl Fn() -> Result<(), KafkaError>) -> Result<(), KafkaError> {
    for _ in 0..12 {
        match call() {
            Err(KafkaError::Transaction(error)) if error.is_retriable() => {}
            done => return done,
        }
    }
    call()
}
