//! A Kafka broker for tests: a real one where Java and Maven are present, else librdkafka's mock
//! cluster in this process, which knows no administration and cannot be restarted.

use crate::harness::DEADLINE;
use rdkafka::admin::{AdminClient, AdminOptions, NewPartitions, NewTopic, TopicReplication};
use rdkafka::client::{ClientContext, DefaultClientContext};
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::message::{self, BorrowedMessage, DeliveryResult, Headers, Message, OwnedHeaders};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{BaseProducer, BaseRecord, DefaultProducerContext, Producer, ProducerContext};
use rdkafka::{Offset, TopicPartitionList};
use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

pub enum Broker {
    Real { port: u16 },
    Mock(Box<MockCluster<'static, DefaultProducerContext>>),
}

/// A record as any client sees it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Record {
    pub partition: i32,
    pub key: Option<String>,
    pub value: Option<String>,
}

/// A name and a value.
pub type Header<'h> = (&'h str, Option<&'h [u8]>);

pub type OwnHeader = (String, Option<Vec<u8>>);

/// Where the shared broker listens. Each checkout has its own: tests of several may run at a time.
fn port() -> u16 {
    let mut hasher = std::hash::DefaultHasher::new();
    env!("CARGO_MANIFEST_DIR").hash(&mut hasher);
    20_000 + 10 * (hasher.finish() % 1_000) as u16
}

impl Broker {
    /// The shared real one if there can be one, else a mock.
    pub fn any() -> Broker {
        Broker::real().unwrap_or_else(Broker::mock)
    }

    pub fn mock() -> Broker {
        Broker::Mock(Box::new(MockCluster::new(1).unwrap()))
    }

    /// Makes a mock say, or no longer say, that there is no such topic.
    pub fn forget(&self, topic: &str, is_forgotten: bool) {
        use rdkafka::types::RDKafkaRespErr::*;
        let Broker::Mock(cluster) = self else { panic!("a real one forgets nothing") };
        let unknown = RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART;
        let error = if is_forgotten { unknown } else { RD_KAFKA_RESP_ERR_NO_ERROR };
        cluster.topic_error(topic, error).unwrap();
    }

    /// `None`, said aloud, where there is no Java or no Maven.
    pub fn real() -> Option<Broker> {
        static STARTED: OnceLock<bool> = OnceLock::new();
        STARTED.get_or_init(|| start(port())).then_some(Broker::Real { port: port() })
    }

    /// A real one of one's own, which may be stopped; for one test at a time.
    pub fn own() -> Option<(Broker, MutexGuard<'static, ()>)> {
        static ALONE: Mutex<()> = Mutex::new(());
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        // The shared one takes three ports.
        let port = port() + 5;
        start(port).then_some((Broker::Real { port }, alone))
    }

    pub fn is_real(&self) -> bool {
        matches!(self, Broker::Real { .. })
    }

    pub fn bootstrap(&self) -> String {
        match self {
            Broker::Real { port } => format!("127.0.0.1:{port}"),
            Broker::Mock(cluster) => cluster.bootstrap_servers(),
        }
    }

    pub fn service(&self, command: &str) {
        let Broker::Real { port } = self else { panic!("a mock cannot {command}") };
        assert!(service(&[command, &port.to_string()]).status.success(), "kafka.sh {command}");
    }

    /// The topology's cluster, and each named topic on it under a name that no other run uses.
    pub fn topology(&self, topics: &[&str]) -> (String, Vec<String>) {
        let mut toml = format!("[clusters.test]\n\"bootstrap.servers\" = \"{}\"\n", self.bootstrap());
        let mut names = Vec::new();
        for topic in topics {
            let name = fresh(topic);
            toml +=
                &format!("[topics.{topic}]\nconnector = \"kafka\"\ncluster = \"test\"\ntopic = \"{name}\"\n");
            names.push(name);
        }
        (toml, names)
    }

    /// The real broker as cluster `guarded`, which asks for a name and a password.
    pub fn guest(&self, password: &str) -> String {
        let Broker::Real { port } = self else { panic!("a mock asks for no password") };
        format!(
            "[clusters.guarded]\n'bootstrap.servers' = '127.0.0.1:{}'\n\
             'security.protocol' = 'SASL_PLAINTEXT'\n'sasl.mechanism' = 'PLAIN'\n\
             'sasl.username' = 'guest'\n'sasl.password' = '{password}'\n",
            port + 2
        )
    }

    fn config(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", self.bootstrap());
        config
    }

    pub fn create(&self, topic: &str, partitions: i32) {
        match self {
            Broker::Mock(cluster) => cluster.create_topic(topic, partitions, 1).unwrap(),
            Broker::Real { .. } => {
                let new = NewTopic::new(topic, partitions, TopicReplication::Fixed(1));
                let made = block_on(self.admin().create_topics([&new], &AdminOptions::new()));
                made.unwrap().into_iter().for_each(|made| drop(made.unwrap()));
                self.wait_for_partitions(topic, partitions as usize);
            }
        }
    }

    pub fn grow(&self, topic: &str, partitions: usize) {
        let new = NewPartitions::new(topic, partitions);
        let grown = block_on(self.admin().create_partitions([&new], &AdminOptions::new()));
        grown.unwrap().into_iter().for_each(|grown| drop(grown.unwrap()));
        self.wait_for_partitions(topic, partitions);
    }

    /// What is made is announced to the broker a little later; who asks before is told that it is not there.
    fn wait_for_partitions(&self, topic: &str, count: usize) {
        let consumer: BaseConsumer = self.config().create().unwrap();
        while partitions(&consumer, topic).len() < count {}
    }

    /// Deletes the records of partition 0 before an offset, as retention does.
    pub fn delete_before(&self, topic: &str, offset: i64) {
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(topic, 0, Offset::Offset(offset)).unwrap();
        block_on(self.admin().delete_records(&list, &AdminOptions::new())).unwrap();
    }

    fn admin(&self) -> AdminClient<DefaultClientContext> {
        self.config().create().unwrap()
    }

    /// Deals values out to the partitions in turn; the timestamp of each is its number.
    pub fn produce<'a>(&self, topic: &str, partitions: i32, values: impl IntoIterator<Item = &'a str>) {
        self.produce_from(topic, partitions, 0, values);
    }

    /// The same, of times from `before` on, in milliseconds.
    pub fn produce_from<'a>(
        &self,
        topic: &str,
        partitions: i32,
        before: usize,
        values: impl IntoIterator<Item = &'a str>,
    ) {
        let producer: BaseProducer<Delivered> =
            self.config().set("linger.ms", "5").create_with_context(Delivered::default()).unwrap();
        let mut sent = 0;
        for (i, value) in values.into_iter().enumerate() {
            loop {
                let record = BaseRecord::<str, str>::to(topic)
                    .payload(value)
                    .partition(i as i32 % partitions)
                    .timestamp((before + i) as i64 + 1);
                if producer.send(record).is_ok() {
                    sent += 1;
                    break;
                }
                producer.poll(Duration::from_millis(10));
            }
        }
        producer.flush(DEADLINE).unwrap();
        assert_eq!(producer.context().0.load(Ordering::Relaxed), sent, "records that {topic} took");
    }

    /// Values as they are, to partition 0; `None` is a record without a value.
    pub fn produce_raw(&self, topic: &str, values: &[Option<&[u8]>]) {
        let producer: BaseProducer<Delivered> = self
            .config()
            .set("message.max.bytes", "2000000")
            .create_with_context(Delivered::default())
            .unwrap();
        for value in values {
            let record = BaseRecord::<str, [u8]> { payload: *value, ..BaseRecord::to(topic).partition(0) };
            producer.send(record).map_err(|(error, _)| error).unwrap();
        }
        producer.flush(DEADLINE).unwrap();
        assert_eq!(producer.context().0.load(Ordering::Relaxed), values.len() as u32);
    }

    /// A value with headers each, to partition 0, a millisecond apart.
    pub fn produce_with_headers(&self, topic: &str, records: &[(&str, &[Header])]) {
        let producer: BaseProducer<Delivered> =
            self.config().create_with_context(Delivered::default()).unwrap();
        for (i, (value, headers)) in records.iter().enumerate() {
            let add =
                |all: OwnedHeaders, (key, value): &Header| all.insert(message::Header { key, value: *value });
            let record =
                BaseRecord::<str, str>::to(topic).payload(value).partition(0).timestamp(i as i64 + 1);
            let record = record.headers(headers.iter().fold(OwnedHeaders::new(), add));
            producer.send(record).map_err(|(error, _)| error).unwrap();
        }
        producer.flush(DEADLINE).unwrap();
        assert_eq!(producer.context().0.load(Ordering::Relaxed), records.len() as u32);
    }

    /// The headers of a topic's committed records with their values, in order of the values.
    pub fn headers(&self, topic: &str) -> Vec<(String, Vec<OwnHeader>)> {
        let mut found = Vec::new();
        self.each_committed(topic, |message| {
            let value = String::from_utf8(message.payload().unwrap().to_vec()).unwrap();
            let headers = message.headers().into_iter().flat_map(|headers| headers.iter());
            let header = |h: message::Header<&[u8]>| (h.key.to_string(), h.value.map(<[u8]>::to_vec));
            found.push((value, headers.map(header).collect()));
        });
        found.sort();
        found
    }

    /// All records of a topic, in order of partition and offset.
    pub fn consume(&self, topic: &str) -> Vec<Record> {
        let mut records = Vec::new();
        self.each(topic, |message| {
            let text = |bytes: Option<&[u8]>| bytes.map(|b| String::from_utf8_lossy(b).into_owned());
            let (key, value) = (text(message.key()), text(message.payload()));
            records.push((message.partition(), message.offset(), key, value));
        });
        records.sort();
        let record = |(partition, _, key, value)| Record { partition, key, value };
        records.into_iter().map(record).collect()
    }

    /// The values of a topic of one partition, as they are.
    pub fn raw(&self, topic: &str) -> Vec<Option<Vec<u8>>> {
        let mut values = Vec::new();
        self.each(topic, |message| values.push(message.payload().map(<[u8]>::to_vec)));
        values
    }

    /// What a reader of committed records finds in a topic, each partition in its order.
    pub fn committed(&self, topic: &str) -> Vec<Record> {
        let mut records = Vec::new();
        self.each_committed(topic, |message| {
            // Keys of windows are bytes.
            let text = |bytes: Option<&[u8]>| bytes.map(|b| String::from_utf8_lossy(b).into_owned());
            let (key, value) = (text(message.key()), text(message.payload()));
            records.push((message.partition(), message.offset(), key, value));
        });
        records.sort_by_key(|(partition, offset, ..)| (*partition, *offset));
        let record = |(partition, _, key, value)| Record { partition, key, value };
        records.into_iter().map(record).collect()
    }

    /// Marks of transactions take offsets too, so the end is where the cluster says it is.
    fn each_committed(&self, topic: &str, mut take: impl FnMut(&BorrowedMessage)) {
        let mut config = self.config();
        let settings =
            [("group.id", "bare"), ("enable.auto.commit", "false"), ("enable.partition.eof", "true")];
        for (name, value) in settings {
            config.set(name, value);
        }
        let consumer: BaseConsumer = config.create().unwrap();
        let mut list = TopicPartitionList::new();
        let mut open = 0;
        for partition in partitions(&consumer, topic) {
            list.add_partition_offset(topic, partition, Offset::Beginning).unwrap();
            open += 1;
        }
        consumer.assign(&list).unwrap();
        let started = Instant::now();
        while open > 0 {
            assert!(started.elapsed() < DEADLINE, "{topic} has no end");
            match consumer.poll(Duration::from_millis(100)) {
                None => {}
                Some(Err(KafkaError::PartitionEOF(_))) => open -= 1,
                Some(Err(error)) => eprintln!("{topic}: {error}"),
                Some(Ok(message)) => take(&message),
            }
        }
    }

    /// The bare consume loop: all there is now, in no order of partitions.
    pub fn each(&self, topic: &str, mut take: impl FnMut(&BorrowedMessage)) {
        let mut config = self.config();
        for (name, value) in [
            ("group.id", "bare"),
            ("enable.auto.commit", "false"),
            ("queued.min.messages", "1000000"),
            ("fetch.queue.backoff.ms", "2"),
        ] {
            config.set(name, value);
        }
        let consumer: BaseConsumer = config.create().unwrap();
        let mut list = TopicPartitionList::new();
        let mut left = 0;
        for partition in partitions(&consumer, topic) {
            let (low, high) = patiently(topic, || consumer.fetch_watermarks(topic, partition, DEADLINE));
            left += high - low;
            list.add_partition_offset(topic, partition, Offset::Beginning).unwrap();
        }
        consumer.assign(&list).unwrap();
        let started = Instant::now();
        if std::env::var_os("WHARFE_BATCH_CALL").is_some() {
            drain_by_batch_call(&consumer, left);
            return;
        }
        while left > 0 {
            assert!(started.elapsed() < DEADLINE, "{left} records of {topic} are missing");
            match consumer.poll(Duration::from_millis(100)) {
                Some(Ok(message)) => {
                    take(&message);
                    left -= 1;
                }
                Some(Err(error)) => eprintln!("{topic}: {error}"),
                None => {}
            }
        }
    }

    /// A tool of Kafka's own, with what it reads.
    pub fn tool(&self, class: &str, arguments: &[&str], input: &str) -> String {
        let bootstrap = self.bootstrap();
        let mut all = vec!["tool", class, "--bootstrap-server", &bootstrap];
        all.extend(arguments);
        let mut child = Command::new(script())
            .args(all)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        std::io::Write::write_all(&mut child.stdin.take().unwrap(), input.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{class}");
        String::from_utf8(output.stdout).unwrap()
    }
}

/// The partitions of a topic that is there.
fn partitions(consumer: &BaseConsumer, topic: &str) -> Vec<i32> {
    patiently(topic, || {
        let metadata = consumer.fetch_metadata(Some(topic), DEADLINE)?;
        let found = &metadata.topics()[0];
        match found.error() {
            Some(error) => Err(KafkaError::MetadataFetch(error.into())),
            None => Ok(found.partitions().iter().map(|partition| partition.id()).collect()),
        }
    })
}

/// Asks again: a broker that has just started knows no leaders for a while.
fn patiently<T>(topic: &str, mut ask: impl FnMut() -> KafkaResult<T>) -> T {
    let started = Instant::now();
    loop {
        match ask() {
            Ok(answer) => return answer,
            Err(error) => assert!(started.elapsed() < DEADLINE, "{topic}: {error}"),
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// How many records the cluster has taken.
#[derive(Default)]
struct Delivered(AtomicU32);

impl ClientContext for Delivered {}

impl ProducerContext for Delivered {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult, (): ()) {
        self.0.fetch_add(result.is_ok() as u32, Ordering::Relaxed);
    }
}

/// The same with librdkafka's batch call, to see what a call for each record costs.
fn drain_by_batch_call(consumer: &BaseConsumer, mut left: i64) {
    use rdkafka::bindings as raw;
    let mut messages = vec![std::ptr::null_mut(); 4096];
    let mut bytes = Vec::new();
    // SAFETY: the queue is the consumer's, which outlives it; each message is destroyed once, after use.
    unsafe {
        let queue = raw::rd_kafka_queue_get_consumer(consumer.client().native_ptr());
        while left > 0 {
            let got = raw::rd_kafka_consume_batch_queue(queue, 100, messages.as_mut_ptr(), messages.len());
            for message in &messages[..got.max(0) as usize] {
                let m = &**message;
                if m.err == raw::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
                    bytes.extend_from_slice(std::slice::from_raw_parts(m.payload.cast::<u8>(), m.len));
                    left -= 1;
                }
                raw::rd_kafka_message_destroy(*message);
            }
            bytes.clear();
        }
        raw::rd_kafka_queue_destroy(queue);
    }
}

fn fresh(topic: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let since = std::time::UNIX_EPOCH.elapsed().unwrap().as_millis();
    format!("{topic}-{since}-{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

fn script() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/services/kafka.sh")
}

fn start(port: u16) -> bool {
    let present = |tool: &str| {
        let probe = Command::new(tool).arg("-version").stdout(Stdio::null()).stderr(Stdio::null()).status();
        probe.is_ok_and(|status| status.success())
    };
    if !present("java") || !present("mvn") {
        eprintln!("SKIPPED: there is no Java or no Maven, so no real Kafka broker");
        return false;
    }
    let started = service(&["start", &port.to_string()]);
    assert!(started.status.success(), "{}", String::from_utf8_lossy(&started.stderr));
    true
}

fn service(arguments: &[&str]) -> std::process::Output {
    // What it starts must not hold our output open.
    let log = tempfile::tempfile().unwrap();
    let status = Command::new(script())
        .args(arguments)
        .env("KAFKA_OWNER", std::process::id().to_string())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log.try_clone().unwrap())
        .status()
        .unwrap();
    let mut stderr = Vec::new();
    let mut log = log;
    std::io::Seek::rewind(&mut log).unwrap();
    std::io::Read::read_to_end(&mut log, &mut stderr).unwrap();
    std::process::Output { status, stdout: Vec::new(), stderr }
}

fn block_on<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}
