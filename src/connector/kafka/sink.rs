//! Writes records to a topic: an idempotent producer with a bounded queue, each record to the partition
//! that the caller names.

use super::admin;
use super::client::{Ears, Trouble, ask, config, fatal, not_made};
use super::produce::Topic;
use crate::connector::{Cluster, Layout, Record, Room, Writer};
use crate::error::{Error, Result};
use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{BaseProducer, Producer, ProducerContext};
use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, TryRecvError, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

const RETRY_EVERY: Duration = Duration::from_millis(500);

/// What a cluster's settings may change.
const OURS: &[(&str, &str)] = &[
    // A cluster that is away is waited for, however long.
    ("message.timeout.ms", "0"),
    // So is one that says, as it comes up, that there is no such topic: it was there when we looked.
    ("topic.metadata.propagation.max.ms", "3600000"),
    ("queue.buffering.max.kbytes", "65536"),
    ("queue.buffering.max.messages", "200000"),
];

/// What must be so, that each record is there once and in order, however often it is sent. A broker that
/// starts anew forgets producers whose last record is older than its `producer.id.expiration.ms`, a day;
/// what they send again then is there twice. Transactions know no such exception.
const MUST: &[(&str, &str)] = &[("enable.idempotence", "true")];

pub struct KafkaWriter {
    cluster: Cluster,
    topic: String,
    producer: Arc<BaseProducer<Deliveries>>,
    target: Target,
}

enum Target {
    /// Until it is known that the topic is there.
    Preparing(Receiver<Result<()>>),
    /// Made then: librdkafka would remember for a while that it was not there.
    Ready(Topic<Deliveries>),
}

impl KafkaWriter {
    pub fn open(cluster: &Cluster, topic: &str, layout: Layout) -> Result<KafkaWriter> {
        let deliveries = Deliveries { ears: Ears::new(cluster), state: Mutex::default() };
        let producer =
            config(cluster, OURS, MUST)?.create_with_context(deliveries).map_err(|e| not_made(cluster, e))?;
        let producer = Arc::new(producer);
        let target = Target::Preparing(prepare(cluster.clone(), topic.to_string(), layout));
        Ok(KafkaWriter { cluster: cluster.clone(), topic: topic.to_string(), producer, target })
    }

    /// The topic, once it is known to be there.
    fn target(&mut self) -> Result<Option<&Topic<Deliveries>>> {
        if let Target::Preparing(prepared) = &self.target {
            match prepared.try_recv() {
                Ok(prepared) => prepared?,
                Err(TryRecvError::Empty) => return Ok(None),
                Err(TryRecvError::Disconnected) => {
                    let message = format!("cannot prepare topic {} on {}", self.topic, self.cluster);
                    return Err(Error::runtime(message));
                }
            }
            let topic = Topic::new(&self.producer, &self.topic);
            self.target = Target::Ready(topic.ok_or_else(|| self.failed(Code::InvalidTopic))?);
        }
        match &self.target {
            Target::Ready(topic) => Ok(Some(topic)),
            Target::Preparing(_) => Ok(None),
        }
    }

    fn failed(&self, code: Code) -> Error {
        fatal(&self.cluster, &self.topic, code).unwrap_or_else(|| {
            Error::runtime(format!("cannot write to topic {} on {}: {code}", self.topic, self.cluster))
        })
    }

    /// Takes in all reports that have come.
    fn serve(&self) -> Result<()> {
        let deliveries = self.producer.context();
        loop {
            let before = deliveries.lock().reports;
            self.producer.poll(Duration::ZERO);
            let state = deliveries.lock();
            if let Some(code) = state.failed {
                return Err(deliveries.ears.refusal().unwrap_or_else(|| self.failed(code)));
            }
            if state.reports == before {
                return deliveries.ears.refusal().map_or(Ok(()), Err);
            }
        }
    }
}

impl Writer for KafkaWriter {
    fn append(&mut self, epoch: u64, partition: u32, record: &Record) -> Result<Room> {
        let Some(target) = self.target()? else { return Ok(Room::Full) };
        match target.send(partition, record, epoch as usize) {
            Ok(()) => {
                *self.producer.context().lock().unwritten.entry(epoch).or_default() += 1;
                Ok(Room::Taken)
            }
            Err(Code::QueueFull) => {
                self.serve()?;
                Ok(Room::Full)
            }
            Err(code) => Err(self.failed(code)),
        }
    }

    fn flush(&mut self) -> Result<Option<u64>> {
        self.target()?;
        self.serve()?;
        Ok(self.producer.context().lock().unwritten.keys().next().copied())
    }

    fn ends(&self) -> Vec<(u32, i64)> {
        Vec::new()
    }
}

/// Waits until the topic is there, and makes it if need be.
fn prepare(cluster: Cluster, topic: String, layout: Layout) -> Receiver<Result<()>> {
    let (sender, receiver) = sync_channel(1);
    std::thread::spawn(move || {
        let result = loop {
            match ask(&cluster, |client| admin::ensure(client, &topic, layout)) {
                Ok(found) if found == layout.partitions => break Ok(()),
                Ok(found) => break Err(cluster.mismatch(&topic, found, layout.partitions)),
                Err(Trouble::Fatal(error)) => break Err(error),
                Err(Trouble::Away(_)) => std::thread::sleep(RETRY_EVERY),
            }
        };
        drop(sender.send(result));
    });
    receiver
}

/// What has become of records that were sent.
struct Deliveries {
    ears: Ears,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Records of each epoch that are not acknowledged yet.
    unwritten: BTreeMap<u64, usize>,
    reports: u64,
    failed: Option<Code>,
}

impl Deliveries {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|e| e.into_inner())
    }
}

impl ClientContext for Deliveries {
    fn log(&self, _: RDKafkaLogLevel, _: &str, _: &str) {}

    fn error(&self, error: KafkaError, reason: &str) {
        self.ears.error(error, reason);
    }
}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, epoch: usize) {
        let mut state = self.lock();
        state.reports += 1;
        match result {
            Ok(_) => {
                self.ears.reach.found();
                if let std::collections::btree_map::Entry::Occupied(mut entry) =
                    state.unwritten.entry(epoch as u64)
                {
                    *entry.get_mut() -= 1;
                    if *entry.get() == 0 {
                        entry.remove();
                    }
                }
            }
            Err((error, _)) => state.failed = error.rdkafka_error_code().or(Some(Code::Fail)),
        }
    }
}
