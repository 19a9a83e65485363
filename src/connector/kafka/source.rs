//! One worker's reader of one topic: its partitions, each with a queue of its own that librdkafka
//! fills in the background.

use super::Marks;
use super::clerk::{Clerk, News};
use super::client::{self, Ears, config, not_made};
use super::partition::Partition;
use super::queue::Queue;
use crate::connector::{Cluster, Lag, Opening, Poll, Position, ReadTo, Share, Source, Split, Start, Survey};
use crate::error::{Error, Result};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::{Offset, TopicPartitionList};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

/// What a cluster's settings may change.
const OURS: &[(&str, &str)] = &[
    // librdkafka assigns partitions only to members of a group; ours is never joined.
    ("group.id", "wharfe"),
    // These bound what waits in memory, for each partition. The number of messages would bound small
    // ones to a fraction of a second.
    ("queued.max.messages.kbytes", "2048"),
    ("queued.min.messages", "1000000"),
    // The default of a second leaves a reader that is faster than its queue is long without input.
    ("fetch.queue.backoff.ms", "2"),
    // A broker has one request at a time. One for partitions that are read to their ends waits so long for
    // more, and those whose queues were full when it was made wait with it: the default of half a second
    // halves the rate of topics of many partitions.
    ("fetch.wait.max.ms", "50"),
];

/// What must be so: we know our own positions.
const MUST: &[(&str, &str)] = &[
    ("enable.auto.commit", "false"),
    ("enable.auto.offset.store", "false"),
    ("auto.offset.reset", "error"),
    ("enable.partition.eof", "true"),
];

pub struct KafkaSource {
    cluster: Cluster,
    topic: String,
    opening: Opening,
    /// `None` only while it is dropped.
    consumer: Option<Arc<BaseConsumer<Ears>>>,
    clerk: Clerk,
    /// The topic has been looked at.
    begun: bool,
    /// How many partitions the topic has.
    known: u32,
    /// Being read.
    partitions: Vec<Partition>,
    /// To be read when those before are caught up with, and where from.
    waiting: VecDeque<(u32, Offset, Marks)>,
    turn: usize,
    /// Where an earlier run stopped.
    resumed: Option<Position>,
    /// The first offset that is not read, of each partition of this share.
    next: BTreeMap<u32, i64>,
    /// Somebody wants records with their headers.
    headers: bool,
}

impl KafkaSource {
    pub fn open(cluster: &Cluster, topic: &str, opening: Opening, survey: &Survey) -> Result<KafkaSource> {
        let consumer: BaseConsumer<Ears> = config(cluster, OURS, MUST)?
            .create_with_context(Ears::new(cluster))
            .map_err(|e| not_made(cluster, e))?;
        let consumer = Arc::new(consumer);
        let known = survey.marks.as_ref().map(|m| m.len() as u32);
        let clerk = Clerk::hire(&consumer, cluster, topic, known, !opening.bounded);
        let mut source = KafkaSource {
            cluster: cluster.clone(),
            topic: topic.to_string(),
            opening,
            consumer: Some(consumer),
            clerk,
            begun: false,
            known: 0,
            partitions: Vec::new(),
            waiting: VecDeque::new(),
            turn: 0,
            resumed: survey.resumed.clone(),
            next: BTreeMap::new(),
            headers: false,
        };
        if let Some(marks) = &survey.marks {
            source.begin(marks)?;
        }
        Ok(source)
    }

    fn consumer(&self) -> &Arc<BaseConsumer<Ears>> {
        self.consumer.as_ref().expect("it is there until the source is dropped")
    }

    fn begin(&mut self, marks: &[Marks]) -> Result<()> {
        self.begun = true;
        self.known = marks.len() as u32;
        for (number, &(low, high)) in marks.iter().enumerate() {
            if !self.is_mine(number as u32) {
                continue;
            }
            let next = match self.resumed_at(number) {
                Some(next) => next,
                None if self.begins_at_the_first(number) => low,
                None => high,
            };
            self.next.insert(number as u32, next);
            if !(self.opening.bounded && next >= high) {
                // Where the beginning is need not be asked again: librdkafka takes half a second for it.
                self.waiting.push_back((number as u32, Offset::Offset(next), (next, high)));
            }
        }
        self.assign()
    }

    /// Partitions that came after an earlier run are read from their beginning.
    fn resumed_at(&self, partition: usize) -> Option<i64> {
        let splits = &self.resumed.as_ref()?.splits;
        splits.iter().find(|split| split.partition as usize == partition).map(|split| split.next as i64)
    }

    /// Rather than where an earlier run stopped, or behind all that is there.
    fn begins_at_the_first(&self, partition: usize) -> bool {
        let from_now_on = self.opening.start == Start::Latest && self.resumed.is_none();
        self.resumed_at(partition).is_none() && !from_now_on
    }

    fn is_mine(&self, partition: u32) -> bool {
        match self.opening.share {
            Share::Part { index, of } => partition as usize % of == index,
            Share::All => true,
        }
    }

    /// Partitions that were added are read from their beginning, wherever the others started: nobody
    /// could have read them before.
    fn grow(&mut self, count: u32) -> Result<()> {
        let added = (self.known..count).filter(|p| self.is_mine(*p));
        let added: Vec<_> = added.map(|p| (p, Offset::Beginning, (0, 0))).collect();
        self.next.extend(added.iter().map(|(partition, ..)| (*partition, 0)));
        self.known = count;
        self.waiting.extend(added);
        self.assign()
    }

    /// Starts to read what is waiting: all of it, or one partition after the other.
    fn assign(&mut self) -> Result<()> {
        let in_turn = self.opening.share == Share::All;
        while !(in_turn && self.partitions.iter().any(|p| !p.is_caught_up())) {
            let Some((number, from, marks)) = self.waiting.pop_front() else { break };
            // The queue is split off first: what is assigned before goes through the consumer's own.
            let Some(queue) = Queue::split(self.consumer(), &self.topic, number as i32) else {
                return Err(Error::runtime(format!("{} has no topic {}", self.cluster, self.topic)));
            };
            let mut list = TopicPartitionList::new();
            let assigned = list
                .add_partition_offset(&self.topic, number as i32, from)
                .and_then(|()| self.consumer().incremental_assign(&list));
            assigned.map_err(|e| self.unreadable(&e))?;
            self.partitions.push(Partition::new(number as i32, queue, marks, self.opening.bounded));
        }
        Ok(())
    }

    /// All that was there at opening has been read.
    fn is_read(&self) -> bool {
        self.begun && self.waiting.is_empty() && self.partitions.iter().all(|p| p.is_caught_up())
    }

    fn hear(&mut self) -> Result<()> {
        while let Ok(news) = self.clerk.news.try_recv() {
            match news {
                News::Marks(marks) => self.begin(&marks)?,
                News::Partitions(count) => self.grow(count)?,
                News::Failed(error) => return Err(error),
            }
        }
        match self.consumer().poll(Duration::ZERO) {
            None => Ok(()),
            Some(Err(error)) => error.rdkafka_error_code().map_or(Ok(()), |code| self.judge(code)),
            Some(Ok(_)) => unreachable!("each partition has a queue of its own"),
        }
    }

    /// Most errors are librdkafka's to retry. Whether a topic is gone, the clerk tells.
    fn judge(&self, code: Code) -> Result<()> {
        if let Some(refusal) = self.consumer().context().refusal() {
            return Err(refusal);
        }
        match client::fatal(&self.cluster, &self.topic, code) {
            _ if client::is_unknown(code) => Ok(()),
            Some(error) => Err(error),
            None if code == Code::Fatal => Err(Error::runtime(format!(
                "topic {} on {} cannot be read further: {code}",
                self.topic, self.cluster
            ))),
            None => Ok(()),
        }
    }

    fn take(&mut self, max_bytes: usize, now_ms: i64) -> Result<Option<Poll>> {
        for _ in 0..self.partitions.len() {
            self.turn %= self.partitions.len();
            let turn = self.turn;
            self.turn += 1;
            match self.partitions[turn].take(max_bytes, now_ms, self.headers) {
                Ok(None) => {}
                Ok(Some(batch)) => {
                    if let Some(last) = batch.offsets.last() {
                        self.next.insert(batch.partition as u32, last + 1);
                    }
                    self.consumer().context().reach.found();
                    return Ok(Some(Poll::Messages(batch)));
                }
                Err(Code::OffsetOutOfRange | Code::AutoOffsetReset)
                    if !self.partitions[turn].is_begun()
                        && self.begins_at_the_first(self.partitions[turn].number() as usize) =>
                {
                    self.begin_later(turn)?;
                }
                Err(code) => self.judge(code)?,
            }
        }
        Ok(None)
    }

    /// The first records were deleted after the topic was looked at: its beginning is elsewhere now.
    fn begin_later(&mut self, partition: usize) -> Result<()> {
        let number = self.partitions[partition].number();
        // A later run that went on from the old beginning would miss what is gone.
        self.next.remove(&(number as u32));
        let from = |offset| {
            let mut list = TopicPartitionList::new();
            list.add_partition_offset(&self.topic, number, offset).map(|()| list)
        };
        // It cannot seek: an offset that is not there has ended its fetching.
        from(Offset::Invalid)
            .and_then(|list| self.consumer().incremental_unassign(&list))
            .and_then(|()| from(Offset::Beginning))
            .and_then(|list| self.consumer().incremental_assign(&list))
            .map_err(|e| self.unreadable(&e))
    }

    fn unreadable(&self, error: &KafkaError) -> Error {
        Error::runtime(format!("cannot read topic {} on {}: {error}", self.topic, self.cluster))
    }
}

impl Source for KafkaSource {
    fn poll(&mut self, max_bytes: usize, now_ms: i64) -> Result<Poll> {
        self.hear()?;
        if let Some(taken) = self.take(max_bytes, now_ms)? {
            return Ok(taken);
        }
        self.assign()?;
        Ok(if self.opening.bounded && self.is_read() { Poll::Done } else { Poll::Pending })
    }

    fn read_headers(&mut self, wanted: bool) {
        self.headers = wanted;
    }

    fn position(&self) -> Option<ReadTo> {
        let split = |(partition, next): (&u32, &i64)| Split {
            partition: *partition as i32,
            next: *next as u64,
            end: Split::OPEN,
        };
        let splits = || self.next.iter().map(split).collect();
        self.begun.then(|| ReadTo::Here(Position { splits: splits(), ..Position::default() }))
    }

    fn lag(&self, _: i64) -> Option<Lag> {
        let next = |p: &Partition| self.next.get(&(p.number() as u32)).copied().unwrap_or(0);
        let waiting: i64 = self.waiting.iter().map(|(_, _, (low, high))| (high - low).max(0)).sum();
        let reading: u64 = self.partitions.iter().map(|p| p.unread(next(p))).sum();
        self.begun.then(|| Lag::records(reading + waiting as u64))
    }

    fn is_at_end(&self) -> bool {
        self.is_read() && self.lag(0).is_some_and(|lag| !lag.is_some())
    }

    fn bytes_expected(&self) -> Option<u64> {
        // A cluster tells how many records there are, not how long they are.
        None
    }
}

impl Drop for KafkaSource {
    fn drop(&mut self) {
        // Their queues hold the consumer.
        self.partitions.clear();
        if let Some(consumer) = self.consumer.take() {
            self.clerk.close(consumer);
        }
    }
}
