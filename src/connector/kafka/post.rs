//! Posts single records to any topic of a cluster, each answered on its own: with its offset, or with why
//! it is not there. What a gateway promises its publishers rests on these answers.

use super::admin;
use super::client::{Ears, Trouble, ask, config, fatal, not_made};
use super::produce::Topic;
use crate::connector::{Cluster, Layout, Record, Unposted};
use crate::error::{Error, Result};
use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::message::{DeliveryResult, Message};
use rdkafka::producer::{BaseProducer, Producer, ProducerContext};
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

/// What a cluster's settings may change. A publisher waits for the answer: what is not there after some
/// seconds is said to be not there, though the cluster may still get it.
const OURS: &[(&str, &str)] = &[
    ("message.timeout.ms", "5000"),
    ("queue.buffering.max.kbytes", "65536"),
    ("queue.buffering.max.messages", "200000"),
    // Records of single requests meet others for so long at most.
    ("linger.ms", "2"),
];
const MUST: &[(&str, &str)] = &[("enable.idempotence", "true")];

const POLL: Duration = Duration::from_millis(50);
/// A cluster that is away is asked so often whether it is back.
const PROBE_EVERY: Duration = Duration::from_secs(1);

/// Hands over what became of the record of a ticket.
pub type OnAnswer = Box<dyn Fn(usize, Result<i64, Unposted>) + Send + Sync>;

pub struct Post {
    cluster: Cluster,
    producer: Arc<BaseProducer<Posted>>,
    topics: Mutex<HashMap<String, (Topic<Posted>, u32)>>,
}

impl Post {
    pub fn open(cluster: &Cluster, answer: OnAnswer) -> Result<Post> {
        let posted = Posted {
            cluster: cluster.clone(),
            ears: Ears::new(cluster),
            away: AtomicBool::new(false),
            answer,
        };
        let producer =
            config(cluster, OURS, MUST)?.create_with_context(posted).map_err(|e| not_made(cluster, e))?;
        let producer = Arc::new(producer);
        let served = Arc::downgrade(&producer);
        let started = std::thread::Builder::new().name("post".into()).spawn(move || serve(&served));
        started.map_err(|e| Error::runtime(format!("cannot start a thread: {e}")))?;
        Ok(Post { cluster: cluster.clone(), producer, topics: Mutex::default() })
    }

    /// The partitions of a topic, which is made if it is not there. Blocks.
    pub fn prepare(&self, topic: &str, layout: Layout) -> Result<u32, Unposted> {
        if let Some((_, partitions)) = self.topics().get(topic) {
            return Ok(*partitions);
        }
        let found = ask(&self.cluster, |client| admin::ensure(client, topic, layout));
        let partitions = found.map_err(|trouble| match trouble {
            Trouble::Away(why) => Unposted::Away(why),
            Trouble::Fatal(error) => Unposted::Refused(error),
        })?;
        let made = Topic::new(&self.producer, topic);
        let made = made.ok_or_else(|| self.refused(topic, Code::InvalidTopic))?;
        self.topics().insert(topic.to_string(), (made, partitions));
        Ok(partitions)
    }

    fn topics(&self) -> std::sync::MutexGuard<'_, HashMap<String, (Topic<Posted>, u32)>> {
        self.topics.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a copy of a record to a topic that is prepared. An error is the only answer then.
    pub fn send(&self, topic: &str, partition: u32, record: &Record, ticket: usize) -> Result<(), Unposted> {
        let topics = self.topics();
        let (handle, _) =
            topics.get(topic).ok_or_else(|| Unposted::Away("its topic is not prepared".into()))?;
        handle.send(partition, record, ticket).map_err(|code| match code {
            Code::QueueFull => Unposted::Away("too much waits for it".into()),
            code => self.producer.context().unposted(topic, code),
        })
    }

    fn refused(&self, topic: &str, code: Code) -> Unposted {
        self.producer.context().unposted(topic, code)
    }

    /// It could not be reached lately.
    pub fn is_away(&self) -> bool {
        self.producer.context().away.load(Ordering::Relaxed)
    }

    /// It did not answer, as others found.
    pub fn mark_away(&self) {
        self.producer.context().away.store(true, Ordering::Relaxed);
    }
}

/// Brings answers, until the post is closed.
fn serve(producer: &Weak<BaseProducer<Posted>>) {
    let mut probed = Instant::now();
    while let Some(producer) = producer.upgrade() {
        producer.poll(POLL);
        let context = producer.context();
        if context.away.load(Ordering::Relaxed) && probed.elapsed() >= PROBE_EVERY {
            probed = Instant::now();
            if producer.client().fetch_metadata(None, PROBE_EVERY).is_ok() {
                context.found();
            }
        }
    }
}

pub struct Posted {
    cluster: Cluster,
    ears: Ears,
    away: AtomicBool,
    answer: OnAnswer,
}

impl Posted {
    fn found(&self) {
        self.away.store(false, Ordering::Relaxed);
        self.ears.reach.found();
    }

    fn unposted(&self, topic: &str, code: Code) -> Unposted {
        let refusal = self.ears.refusal().or_else(|| fatal(&self.cluster, topic, code));
        refusal.map_or_else(|| Unposted::Away(code.to_string()), Unposted::Refused)
    }
}

impl ClientContext for Posted {
    fn log(&self, _: RDKafkaLogLevel, _: &str, _: &str) {}

    fn error(&self, error: KafkaError, reason: &str) {
        if error.rdkafka_error_code() == Some(Code::AllBrokersDown) {
            self.away.store(true, Ordering::Relaxed);
        }
        self.ears.error(error, reason);
    }
}

impl ProducerContext for Posted {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, ticket: usize) {
        let answer = match result {
            Ok(message) => {
                self.found();
                Ok(message.offset())
            }
            Err((error, message)) => {
                let code = error.rdkafka_error_code().unwrap_or(Code::Fail);
                if code == Code::MessageTimedOut {
                    self.away.store(true, Ordering::Relaxed);
                }
                Err(self.unposted(message.topic(), code))
            }
        };
        (self.answer)(ticket, answer);
    }
}
