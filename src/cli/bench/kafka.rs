//! Measurements on a cluster: the feeds in topics that are made for them, and deleted with them.

use super::super::{grouped, interrupt, mib};
use super::Bench;
use super::child::Figures;
use super::input::{self, Feed};
use super::report::{Measurement, Progress};
use crate::clock::now_ms;
use crate::connector::generator::CAR_PARKS as FEEDS;
use crate::connector::{
    self, GeneratorSpec, Layout, Opening, Place, Poll, Record, Room, Share, Source, Start, Writer, kafka,
};
use crate::error::{Error, Result, reason};
use crate::topology::Topology;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

const PARTITIONS: u32 = 6;

/// In topologies: where the bare loop writes to, and what a producer feeds while latency is measured.
const COPY: &str = "bare_copy";
const LIVE: &str = "live";

impl Bench {
    pub fn measure_kafka(&mut self, bootstrap: &str) -> Result<()> {
        let topics = Topics::load(self, bootstrap, self.rows)?;
        self.report.note(format!("Input, in topics of {PARTITIONS} partitions: {}.", topics.describe()));
        self.decode_topics(&topics)?;
        self.beside_bare_loop(&topics, "bare_consume", "end_to_end")?;
        self.latency_of_topic(&topics)?;
        if self.stored.is_empty() {
            return Ok(());
        }
        self.beside_bare_loop(&topics, COPY, "end_to_end_stored")
    }

    fn decode_topics(&mut self, topics: &Topics) -> Result<()> {
        let (topology, args) = (topics.topology("decode", &[])?, topics.args());
        let figures =
            self.best("decode", |child| child.part(topics.dir.path(), "decode", &topology, &args))?;
        self.report.add(Measurement::new("decode", "all", 1, &figures));
        Ok(())
    }

    /// A loop of librdkafka's calls, then whole runs, with each number of workers.
    fn beside_bare_loop(&mut self, topics: &Topics, bare: &'static str, whole: &'static str) -> Result<()> {
        let (dir, feeds) = (topics.dir.path(), topics.feeds.iter().collect::<Vec<_>>());
        let stored = if bare == COPY { self.stored.clone() } else { Vec::new() };
        let topology = topics.topology(whole, &stored)?;
        for workers in self.args.workers.clone() {
            let mut args = topics.args();
            args.push(format!("--workers={workers}"));
            args.extend((bare == COPY).then(|| format!("--to={COPY}")));
            let yardstick = self.best(&format!("{bare}, threads: {workers}"), |child| {
                child.part(dir, "bare-loop", &topology, &args)
            })?;
            let figures = self.best(&format!("{whole}, workers: {workers}"), |child| {
                child.run(dir, &topology, workers, &feeds)
            })?;
            self.report.add(Measurement::new(bare, "all", workers, &yardstick));
            self.report.add(Measurement::new(whole, "all", workers, &figures));
            let rate = |figures: &Figures| figures.rows as f64 / figures.seconds;
            self.report.note(format!(
                "{whole}, workers: {workers}: {:.0} % of the rate of {bare}.",
                100.0 * rate(&figures) / rate(&yardstick)
            ));
        }
        Ok(())
    }

    fn latency_of_topic(&mut self, topics: &Topics) -> Result<()> {
        let (rate, seconds) = (self.args.rate, self.args.seconds);
        let workers = self.args.workers.last().copied().unwrap_or(1);
        if rate == 0 {
            return Ok(());
        }
        let feed = self.lasting_feed();
        self.progress.show(&format!("latency at {} events/s, workers: {workers}", grouped(rate)));
        let topology = topics.live_topology(feed)?;
        let args = [
            format!("--rate={rate}"),
            format!("--workers={workers}"),
            format!("--seconds={seconds}"),
            format!("--feed={feed}={}", rate * seconds),
            format!("--to={feed}"),
        ];
        let figures = self.child.part(topics.dir.path(), "latency", &topology, &args)?;
        self.report.latency(feed, workers, rate, seconds, "due to be produced", &figures);
        Ok(())
    }
}

struct Topics {
    bootstrap: String,
    /// What the names of all topics begin with.
    prefix: String,
    feeds: Vec<Feed>,
    /// For topologies.
    dir: tempfile::TempDir,
    /// To be deleted.
    made: Vec<Place>,
}

impl Topics {
    /// Fills a topic for each feed of the script; of the long one it gets a tenth of the events.
    fn load(bench: &Bench, bootstrap: &str, rows: u64) -> Result<Topics> {
        let dir = tempfile::tempdir()
            .map_err(|e| Error::runtime(format!("cannot make a temporary directory: {}", reason(&e))))?;
        let prefix = format!("wharfe-bench-{}", now_ms());
        let mut topics =
            Topics { bootstrap: bootstrap.to_string(), prefix, feeds: Vec::new(), dir, made: Vec::new() };
        let mut stored = bench.stored.clone();
        stored.extend([COPY, LIVE].map(String::from));
        let topology = Topology::load(&topics.topology("all", &stored)?)?;
        let layout = Layout { partitions: PARTITIONS, replicas: None };
        for topic in bench.feeds.iter().copied().chain(stored.iter().map(String::as_str)) {
            let place = topology.resolve(topic, Path::new(""), PARTITIONS);
            let Some(place @ Place::Kafka { .. }) = place else { unreachable!("it was written so") };
            if let Place::Kafka { cluster, topic } = &place
                && kafka::prepare(cluster, topic, Some(layout))?.is_none()
            {
                return Err(Error::runtime(format!("{cluster} cannot be reached")));
            }
            topics.made.push(place);
        }
        for (topic, place) in bench.feeds.iter().zip(topics.made.clone()) {
            let rows = input::rows_of(topic, rows);
            let bytes = fill(&place, topic, rows, &bench.progress)?;
            topics.feeds.push(Feed { topic, rows, bytes });
        }
        Ok(topics)
    }

    fn describe(&self) -> String {
        let one = |feed: &Feed| format!("{} {} events ({})", feed.topic, grouped(feed.rows), mib(feed.bytes));
        self.feeds.iter().map(one).collect::<Vec<_>>().join(", ")
    }

    /// What parts of the engine are told about the feeds.
    fn args(&self) -> Vec<String> {
        self.feeds.iter().map(|feed| format!("--feed={}={}", feed.topic, feed.rows)).collect()
    }

    /// A topology in which the feeds, and what is stored, are topics on the cluster.
    fn topology(&self, name: &str, stored: &[String]) -> Result<PathBuf> {
        let more = stored.iter().map(String::as_str).chain([COPY]);
        let places = FEEDS.iter().copied().chain(more).map(|topic| (topic, Some(topic)));
        self.write_topology(name, places)
    }

    /// A topology in which one feed is the live topic, and the others are empty.
    fn live_topology(&self, live: &str) -> Result<PathBuf> {
        self.write_topology("live", FEEDS.iter().map(|feed| (*feed, (*feed == live).then_some(LIVE))))
    }

    /// Topics with what they are on the cluster; `None`: empty.
    fn write_topology<'t>(
        &self,
        name: &str,
        topics: impl Iterator<Item = (&'t str, Option<&'t str>)>,
    ) -> Result<PathBuf> {
        let mut text = format!("[clusters.bench]\n\"bootstrap.servers\" = {:?}\n", self.bootstrap);
        for (topic, there) in topics.collect::<std::collections::BTreeMap<_, _>>() {
            let _ = match there {
                Some(there) => writeln!(
                    text,
                    "[topics.{topic:?}]\nconnector = \"kafka\"\ncluster = \"bench\"\ntopic = \"{}-{there}\"",
                    self.prefix
                ),
                None => writeln!(text, "[topics.{topic:?}]\nconnector = \"file\"\npath = \"empty.csv\""),
            };
        }
        let path = self.dir.path().join(format!("{name}.toml"));
        std::fs::write(self.dir.path().join("empty.csv"), "")
            .and_then(|()| std::fs::write(&path, text))
            .map_err(|e| Error::runtime(format!("cannot write {}: {}", path.display(), reason(&e))))?;
        Ok(path)
    }
}

impl Drop for Topics {
    fn drop(&mut self) {
        for place in &self.made {
            if let Place::Kafka { cluster, topic } = place
                && let Err(error) = kafka::delete(cluster, topic)
            {
                eprintln!("topic {topic} is left behind: {}", error.message);
            }
        }
    }
}

/// Writes so many events of a feed to a topic; returns their bytes.
fn fill(place: &Place, feed: &str, rows: u64, progress: &Progress) -> Result<u64> {
    progress.show(&format!("loading {} events of {feed}", grouped(rows)));
    produce(place, spec(feed, rows, None), now_ms())
}

pub fn spec(feed: &str, rows: u64, rate: Option<f64>) -> GeneratorSpec {
    GeneratorSpec {
        feed: feed.to_string(),
        rows: Some(rows),
        rate,
        seed: 1,
        car_parks: None,
        dirty_every: None,
        events_per_second: None,
    }
}

/// Writes events to a topic, dealt out to its partitions: each when it is due, counted from `start_ms`,
/// or all at once. Returns their bytes when all are written.
pub fn produce(place: &Place, spec: GeneratorSpec, start_ms: i64) -> Result<u64> {
    let opening = Opening { share: Share::All, start: Start::Earliest, bounded: true, opened_ms: start_ms };
    let mut events = connector::open(&Place::Generator(spec), opening)?;
    let mut writer = connector::writer(place, Layout { partitions: PARTITIONS, replicas: None }, Share::All)?;
    let mut bytes = 0;
    while let Some(more) = produce_due(events.as_mut(), writer.as_mut())? {
        interrupt::check()?;
        bytes += more;
        std::thread::sleep(if more == 0 { Duration::from_micros(500) } else { Duration::ZERO });
    }
    while writer.flush()?.is_some() {
        interrupt::check()?;
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(bytes)
}

/// Writes a batch of what is due, and returns its bytes; `None` when that was all.
fn produce_due(events: &mut dyn Source, writer: &mut dyn Writer) -> Result<Option<u64>> {
    let batch = match events.poll(64 << 10, now_ms())? {
        Poll::Done => return Ok(None),
        Poll::Pending => {
            writer.flush()?;
            return Ok(Some(0));
        }
        Poll::Messages(batch) => batch,
    };
    for i in 0..batch.len() {
        let partition = (batch.offsets[i] % i64::from(PARTITIONS)) as u32;
        let record = Record { timestamp: batch.timestamps.at(i), value: batch.value(i), ..Record::default() };
        while writer.append(0, partition, &record)? == Room::Full {
            interrupt::check()?;
            writer.flush()?;
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    Ok(Some(batch.buffer.len() as u64))
}
