//! What all clients of a cluster share: settings, what its errors mean, and questions about topics.

use super::Marks;
use super::away::{self, Reach};
use crate::connector::Cluster;
use crate::error::{Error, Result};
use rdkafka::ClientContext;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

/// Why something could not be done.
pub enum Trouble {
    /// Waiting may help.
    Away(String),
    Fatal(Error),
}

/// What a client does with what librdkafka tells it on the side.
pub struct Ears {
    pub reach: Reach,
    cluster: String,
    heard: Mutex<Heard>,
}

#[derive(Default)]
struct Heard {
    /// The last connection that failed, in librdkafka's words.
    last: String,
    /// The cluster will never let this client in.
    refused: Option<String>,
}

impl Ears {
    pub fn new(cluster: &Cluster) -> Ears {
        Ears { reach: Reach::new(cluster.to_string()), cluster: cluster.to_string(), heard: Mutex::default() }
    }

    /// An error that waiting does not mend, if one was heard.
    pub fn refusal(&self) -> Option<Error> {
        let why = self.lock().refused.clone()?;
        let error = Error::runtime(format!("{} refuses the connection: {why}", self.cluster));
        Some(error.hint("check security.protocol, sasl.* and ssl.* in the topology"))
    }

    fn last(&self) -> String {
        let last = self.lock().last.clone();
        if last.is_empty() { "it does not answer".to_string() } else { last }
    }

    fn lock(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().unwrap_or_else(|e| e.into_inner())
    }
}

impl ClientContext for Ears {
    // Everything that matters comes as an error, too.
    fn log(&self, _: RDKafkaLogLevel, _: &str, _: &str) {}

    fn error(&self, error: KafkaError, reason: &str) {
        match error.rdkafka_error_code() {
            Some(Code::Authentication | Code::SaslAuthenticationFailed | Code::SSL) => {
                self.lock().refused = Some(plain(reason));
            }
            Some(Code::AllBrokersDown) => self.reach.lost(&self.last()),
            Some(Code::BrokerTransportFailure | Code::Resolve) => self.lock().last = plain(reason),
            _ => {}
        }
    }
}

impl ConsumerContext for Ears {}

/// librdkafka's reason without its counters.
fn plain(reason: &str) -> String {
    reason.split(" (after ").next().unwrap_or(reason).trim().to_string()
}

/// The settings of a client: ours, over them the cluster's, over them what must be so.
pub fn config(cluster: &Cluster, ours: &[(&str, &str)], must: &[(&str, &str)]) -> Result<ClientConfig> {
    let mut config = ClientConfig::new();
    config.set("client.id", "wharfe");
    // The default of 10 s would leave a broker that is back unnoticed for so long.
    config.set("reconnect.backoff.max.ms", "1000");
    for (name, value) in ours {
        config.set(*name, *value);
    }
    for (name, value) in cluster.values()? {
        config.set(name, value);
    }
    for (name, value) in must {
        config.set(*name, *value);
    }
    Ok(config)
}

/// A client that could not be made.
pub fn not_made(cluster: &Cluster, error: KafkaError) -> Error {
    let why = match error {
        // The value that is wrong may be a secret.
        KafkaError::ClientConfig(_, why, name, _) => format!("{name}: {why}"),
        KafkaError::ClientCreation(why) => why,
        other => other.to_string(),
    };
    Error::topology(format!("{cluster}: {why}"))
}

pub fn check_setting(name: &str, value: &str) -> Result<(), String> {
    let mut config = ClientConfig::new();
    config.set(name, value);
    match config.create_native_config() {
        Err(KafkaError::ClientConfig(_, why, _, _)) => {
            // librdkafka repeats the value of some settings.
            Err(if why.contains(value) { "the value is not valid".to_string() } else { why })
        }
        _ => Ok(()),
    }
}

/// Asks a cluster, with the client of an earlier question if nothing was wrong with it then: to connect
/// takes longer than to answer.
pub fn ask<T>(cluster: &Cluster, question: impl FnOnce(&Client) -> Result<T, Trouble>) -> Result<T, Trouble> {
    static IDLE: Mutex<VecDeque<Client>> = Mutex::new(VecDeque::new());
    let idle = || IDLE.lock().unwrap_or_else(|e| e.into_inner());
    let known = {
        let mut idle = idle();
        let place = idle.iter().position(|client| client.cluster == *cluster);
        place.and_then(|place| idle.remove(place))
    };
    let mut client = known.map_or_else(|| Client::new(cluster), Ok).map_err(Trouble::Fatal)?;
    client.patience = away::patience(&cluster.to_string());
    let answer = question(&client);
    let reach = &client.consumer.context().reach;
    match &answer {
        Ok(_) => reach.found(),
        Err(Trouble::Away(why)) => {
            reach.lost(why);
            reach.rest();
        }
        Err(Trouble::Fatal(_)) => return answer,
    }
    let mut idle = idle();
    if idle.len() == IDLE_MAX {
        idle.pop_front();
    }
    idle.push_back(client);
    answer
}

/// Clients that are kept for the next question.
const IDLE_MAX: usize = 4;

/// Asks a cluster about its topics.
pub struct Client {
    pub cluster: Cluster,
    /// How long an answer may take.
    pub patience: Duration,
    consumer: BaseConsumer<Ears>,
}

impl Client {
    fn new(cluster: &Cluster) -> Result<Client> {
        let consumer = config(cluster, &[], &[])?
            .create_with_context(Ears::new(cluster))
            .map_err(|e| not_made(cluster, e))?;
        Ok(Client { cluster: cluster.clone(), patience: Duration::ZERO, consumer })
    }

    pub fn partitions(&self, topic: &str) -> Result<u32, Trouble> {
        partitions(&self.consumer, &self.cluster, topic, self.patience)
    }

    pub fn marks(&self, topic: &str) -> Result<Vec<Marks>, Trouble> {
        marks(&self.consumer, &self.cluster, topic, self.patience)
    }

    pub fn topics(&self) -> Result<Vec<(String, u32)>, Trouble> {
        let metadata = self.consumer.fetch_metadata(None, self.patience);
        let metadata = metadata.map_err(|e| trouble(&self.consumer, &self.cluster, "", &e))?;
        let count =
            |t: &rdkafka::metadata::MetadataTopic| (t.name().to_string(), t.partitions().len() as u32);
        let mut topics: Vec<_> = metadata.topics().iter().map(count).collect();
        topics.sort();
        Ok(topics)
    }
}

/// How many partitions a topic has.
pub fn partitions(
    consumer: &BaseConsumer<Ears>,
    cluster: &Cluster,
    topic: &str,
    timeout: Duration,
) -> Result<u32, Trouble> {
    let metadata = consumer.fetch_metadata(Some(topic), timeout);
    let metadata = metadata.map_err(|e| trouble(consumer, cluster, topic, &e))?;
    let found = metadata.topics().iter().find(|t| t.name() == topic);
    let Some(found) = found else { return Err(Trouble::Fatal(unknown_topic(cluster, topic))) };
    match found.error() {
        Some(code) => Err(trouble(consumer, cluster, topic, &KafkaError::MetadataFetch(code.into()))),
        None => Ok(found.partitions().len() as u32),
    }
}

/// The first offset and the one behind the last of each partition.
pub fn marks(
    consumer: &BaseConsumer<Ears>,
    cluster: &Cluster,
    topic: &str,
    timeout: Duration,
) -> Result<Vec<Marks>, Trouble> {
    let deadline = Instant::now() + timeout;
    let count = partitions(consumer, cluster, topic, timeout)?;
    let left = || deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(100));
    let mark = |partition| {
        let marks = consumer.fetch_watermarks(topic, partition as i32, left());
        marks.map_err(|e| match trouble(consumer, cluster, topic, &e) {
            // It was there a moment ago: its leader is coming up or going down.
            Trouble::Fatal(_) if e.rdkafka_error_code().is_some_and(is_unknown) => {
                Trouble::Away(consumer.context().last())
            }
            trouble => trouble,
        })
    };
    (0..count).map(mark).collect()
}

/// Long enough for all that waits: each record of librdkafka's log ends a poll that has no time.
const DRAIN: Duration = Duration::from_millis(10);

/// What an answer means that is an error.
fn trouble(consumer: &BaseConsumer<Ears>, cluster: &Cluster, topic: &str, error: &KafkaError) -> Trouble {
    // What librdkafka tells on the side comes only to those who poll.
    while consumer.poll(DRAIN).is_some() {}
    let ears = consumer.context();
    if let Some(refusal) = ears.refusal() {
        return Trouble::Fatal(refusal);
    }
    match error.rdkafka_error_code().and_then(|code| fatal(cluster, topic, code)) {
        Some(error) => Trouble::Fatal(error),
        None => Trouble::Away(ears.last()),
    }
}

/// An error of a topic that waiting does not mend.
pub fn fatal(cluster: &Cluster, topic: &str, code: Code) -> Option<Error> {
    Some(match code {
        code if is_unknown(code) => unknown_topic(cluster, topic),
        Code::TopicAuthorizationFailed | Code::ClusterAuthorizationFailed => Error::runtime(format!(
            "{cluster} does not permit us topic {topic}"
        ))
        .hint("the user of the cluster needs rights on the topic: DESCRIBE, and READ or WRITE and CREATE"),
        Code::InvalidTopic => Error::runtime(format!("{cluster} does not take {topic} as a topic's name")),
        Code::OffsetOutOfRange | Code::AutoOffsetReset => Error::runtime(format!(
            "topic {topic} on {cluster} has lost records before they were read: they were deleted, or the \
             topic was made anew"
        ))
        .hint("give the topic a longer retention, and start again"),
        Code::BadMessage | Code::BadCompression | Code::NotImplemented => {
            Error::runtime(format!("a record of topic {topic} on {cluster} cannot be unpacked: {code}"))
        }
        Code::MessageSizeTooLarge | Code::InvalidMessageSize => {
            Error::runtime(format!("a record for topic {topic} is larger than {cluster} takes"))
                .hint("raise message.max.bytes in the topology and on the topic")
        }
        _ => return None,
    })
}

/// Says also a broker that comes up, of topics that it has.
pub fn is_unknown(code: Code) -> bool {
    matches!(code, Code::UnknownTopicOrPartition | Code::UnknownTopic | Code::UnknownPartition)
}

pub fn unknown_topic(cluster: &Cluster, topic: &str) -> Error {
    Error::runtime(format!("there is no topic {topic} on {cluster}"))
        .hint("create it, say PARTITIONS so that it is created, or correct its name in the topology")
}
