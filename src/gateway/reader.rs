//! Reads an event as one stream, wherever it lives and has lived: generation after generation, of each all
//! clusters, from a cursor that can be kept.
//!
//! ```text
//! Route: generation 0 (sealed) ─► 1 (sealed) ─► 2        each: cluster eu, cluster us, …, or one log
//! ```
//! A generation is read to its sealed ends before the next one is begun: so a key's events come in the
//! order in which they were published, also through a move.

use super::Gateway;
use super::directory::{Generation, Route, Site};
use super::store::{LogTopic, Stores};
use crate::batch::MessageBatch;
use crate::connector::log::Ends;
use crate::connector::{
    Opening, Place, Poll, Position, Share, Source, Split, Start, Survey, Team, kafka, log, open_surveyed,
};
use crate::error::Result;
use crate::topology::EventName;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

/// Bytes of one portion, about.
const READ_BYTES: usize = 256 << 10;
/// A cluster's records come on their own; so often it is looked for them.
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// A log rings when something comes; a move is seen without that.
const LISTEN: Duration = Duration::from_millis(100);

/// How far an event is read. Stable: subscriptions and archives keep it as JSON.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Cursor {
    pub generation: u32,
    /// By cluster: the first offset of each partition that is not read.
    pub next: BTreeMap<String, Ends>,
}

/// Where reading begins.
#[derive(Clone, Debug, PartialEq)]
pub enum From {
    Earliest,
    Latest,
    At(Cursor),
}

/// Records of one partition, in the order of their offsets.
pub struct Portion {
    pub generation: u32,
    pub cluster: Arc<str>,
    pub batch: MessageBatch,
    /// Which of the batch's records: those behind are a later generation's.
    pub records: std::ops::Range<usize>,
}

pub struct Reader {
    gateway: Weak<Gateway>,
    stores: Arc<Stores>,
    route: Arc<Route>,
    /// Of the whole topology, when the route was looked up.
    version: u64,
    /// Which of the route's generations.
    at: usize,
    /// What is handed over.
    cursor: Cursor,
    sources: Vec<Open>,
    turn: usize,
    now_ms: fn() -> i64,
}

/// One cluster of the generation that is being read.
struct Open {
    cluster: Arc<str>,
    source: Box<dyn Source>,
    log: Option<Arc<LogTopic>>,
    rung: u64,
}

impl Reader {
    pub fn open(gateway: &Arc<Gateway>, route: Arc<Route>, from: &From) -> Result<Reader> {
        let stores = &gateway.stores;
        let (at, cursor) = match from {
            From::At(cursor) => {
                let at = (cursor.generation as usize).min(route.generations.len() - 1);
                (at, cursor.clone())
            }
            From::Earliest => (0, Cursor::default()),
            From::Latest => {
                let at = route.generations.len() - 1;
                let next = stores.ends(&route.generations[at].site)?;
                (at, Cursor { generation: at as u32, next })
            }
        };
        let mut reader = Reader {
            gateway: Arc::downgrade(gateway),
            // Looked up again at the first poll.
            version: 0,
            stores: Arc::clone(stores),
            route,
            at,
            cursor,
            sources: Vec::new(),
            turn: 0,
            now_ms: super::now_ms,
        };
        reader.begin()?;
        Ok(reader)
    }

    fn generation(&self) -> &Generation {
        &self.route.generations[self.at]
    }

    /// What is handed over so far.
    pub fn cursor(&self) -> &Cursor {
        &self.cursor
    }

    /// Where the event is, as of the last poll.
    pub fn route(&self) -> &Arc<Route> {
        &self.route
    }

    /// The event may have moved, and come back: then what is read here may be a later generation's. A move
    /// is known before anything is published behind it, so it is looked up after records were read.
    fn refresh(&mut self) {
        let Some(gateway) = self.gateway.upgrade() else { return };
        let version = gateway.directory.version();
        if version != self.version
            && let Some(route) = gateway.directory.route(&self.route.event)
        {
            (self.route, self.version) = (route, version);
        }
    }

    /// Opens all clusters of the generation, from the cursor.
    fn begin(&mut self) -> Result<()> {
        let site = self.generation().site.clone();
        self.cursor.generation = self.generation().number;
        let inherited = begins(&self.route, self.at);
        let mut names = site.clusters.clone();
        if names.is_empty() {
            names.push(String::new());
        }
        self.sources.clear();
        for name in names {
            let mut next = self.cursor.next.get(&name).cloned().unwrap_or_default();
            for (partition, offset) in inherited.get(&name).into_iter().flatten() {
                next.entry(*partition).or_insert(*offset);
            }
            self.cursor.next.insert(name.clone(), next.clone());
            self.sources.push(self.open_cluster(&site, &name, &next)?);
        }
        self.turn = 0;
        Ok(())
    }

    fn open_cluster(&self, site: &Site, name: &str, next: &Ends) -> Result<Open> {
        let place = self.stores.place(site, name)?;
        let resumed = (!next.is_empty()).then(|| Position {
            splits: next.iter().map(|(partition, next)| split(*partition, *next)).collect(),
            ..Position::default()
        });
        let survey = match &place {
            Place::Kafka { cluster, topic } => kafka::survey(cluster, topic).unwrap_or_default(),
            _ => Survey::default(),
        };
        let survey = Survey { resumed, ..survey };
        let opening = Opening { share: Share::All, start: Start::Earliest, bounded: false, opened_ms: 0 };
        let (mut source, log): (Box<dyn Source>, _) = match &place {
            Place::Log { dir, .. } => {
                let topic = self.stores.log(site, None)?;
                (Box::new(log::open_impatient(dir, opening, &survey)?), Some(topic))
            }
            place => (open_surveyed(place, opening, &survey, &Team::alone())?, None),
        };
        source.read_headers(true);
        Ok(Open { cluster: name.into(), source, log, rung: 0 })
    }

    /// The next records; `None`: nothing now.
    pub fn poll(&mut self) -> Result<Option<Portion>> {
        for _ in 0..self.sources.len() {
            let turn = self.turn % self.sources.len();
            self.turn = turn + 1;
            if let Some(portion) = self.poll_cluster(turn)? {
                return Ok(Some(portion));
            }
        }
        self.refresh();
        if self.is_sealed_and_read() && self.at + 1 < self.route.generations.len() {
            self.at += 1;
            self.cursor = Cursor { generation: self.at as u32, next: BTreeMap::new() };
            self.begin()?;
            return self.poll();
        }
        Ok(None)
    }

    fn poll_cluster(&mut self, turn: usize) -> Result<Option<Portion>> {
        let generation = self.generation().number;
        let now_ms = (self.now_ms)();
        let open = &mut self.sources[turn];
        if !has_news(open, self.cursor.next.get(&*open.cluster)) {
            return Ok(None);
        }
        let Poll::Messages(batch) = open.source.poll(READ_BYTES, now_ms)? else { return Ok(None) };
        let cluster = Arc::clone(&open.cluster);
        let partition = batch.partition as u32;
        self.refresh();
        let sealed = self.sealed_end(turn, partition);
        let end = batch.offsets[..].partition_point(|offset| *offset < sealed);
        if end == 0 {
            return Ok(None);
        }
        let next = batch.offsets[end - 1] + 1;
        self.cursor.next.entry(cluster.to_string()).or_default().insert(partition, next);
        Ok(Some(Portion { generation, cluster, batch, records: 0..end }))
    }

    fn sealed_end(&self, turn: usize, partition: u32) -> i64 {
        let Some(sealed) = &self.generation().sealed else { return i64::MAX };
        let of_cluster = sealed.get(&*self.sources[turn].cluster);
        of_cluster.and_then(|ends| ends.get(&partition)).copied().unwrap_or(0)
    }

    fn is_sealed_and_read(&self) -> bool {
        let Some(sealed) = &self.generation().sealed else { return false };
        sealed.iter().all(|(cluster, ends)| {
            let next = self.cursor.next.get(cluster);
            let read = |partition| next.and_then(|next| next.get(partition)).copied().unwrap_or(0);
            // What a retention has deleted, or marks of transactions, is nothing to wait for.
            ends.iter().all(|(partition, end)| read(partition) >= *end || self.is_dry(cluster))
        })
    }

    /// Whether a cluster's source has nothing left to read, as far as it knows.
    fn is_dry(&self, cluster: &str) -> bool {
        let source = self.sources.iter().find(|open| &*open.cluster == cluster);
        source.is_some_and(|open| open.source.lag((self.now_ms)()).is_some_and(|lag| !lag.is_some()))
    }

    /// How much there is on clusters that was not handed over, as far as it is known without waiting.
    pub fn unread(&self) -> u64 {
        let now_ms = (self.now_ms)();
        let of_clusters = self.sources.iter().filter(|open| open.log.is_none());
        let unread = |open: &Open| open.source.lag(now_ms).and_then(|lag| lag.records).unwrap_or(0);
        of_clusters.map(unread).sum()
    }

    /// Waits for more, for a moment.
    pub fn wait(&mut self) {
        if self.is_sealed_and_read() {
            return std::thread::sleep(LOOK_EVERY);
        }
        match self.sources.as_mut_slice() {
            [Open { log: Some(topic), rung, .. }] => *rung = topic.wait(*rung, LISTEN),
            _ => std::thread::sleep(LOOK_EVERY),
        }
    }
}

/// Whether a log has more than was handed over; looking at its files for that costs much more.
fn has_news(open: &Open, next: Option<&Ends>) -> bool {
    let Some(topic) = &open.log else { return true };
    let read = |partition| next.and_then(|next| next.get(&partition)).copied().unwrap_or(0);
    topic.ends().into_iter().any(|(partition, end)| end > read(partition))
}

fn split(partition: u32, next: i64) -> Split {
    Split { partition: partition as i32, next: next as u64, end: Split::OPEN }
}

/// How many records of an event are stored behind a place, by its first generation and the next offset of each
/// partition that is known there. What is on clusters, which this must not wait for, counts only where it is
/// sealed.
pub fn behind(
    gateway: &Gateway,
    event: &EventName,
    first: u32,
    next: impl Fn(u32, &str, u32) -> Option<i64>,
) -> Option<u64> {
    let route = gateway.directory.route(event)?;
    let mut behind = 0u64;
    for (at, generation) in route.generations.iter().enumerate().skip(first as usize) {
        let ends = match &generation.sealed {
            Some(sealed) => sealed.clone(),
            None if generation.site.clusters.is_empty() => gateway.stores.ends(&generation.site).ok()?,
            None => BTreeMap::new(),
        };
        // Of one that is not begun, what is behind where it begins.
        let begins = begins(&route, at);
        for (cluster, ends) in ends {
            for (partition, end) in ends {
                let begin = begins.get(&cluster).and_then(|ends| ends.get(&partition)).copied().unwrap_or(0);
                let next = next(generation.number, &cluster, partition).unwrap_or(begin);
                behind += (end - next).max(0) as u64;
            }
        }
    }
    Some(behind)
}

/// Where a generation begins: behind what an earlier one left at the same place.
pub fn begins(route: &Route, at: usize) -> BTreeMap<String, Ends> {
    let site = &route.generations[at].site;
    let mut begins = BTreeMap::new();
    for earlier in &route.generations[..at] {
        let is_same = |cluster: &str| {
            let in_log = cluster.is_empty() && earlier.site.zone == site.zone;
            (in_log || !cluster.is_empty()) && earlier.site.topic == site.topic
        };
        for (cluster, ends) in earlier.sealed.iter().flatten().filter(|(cluster, _)| is_same(cluster)) {
            begins.insert(cluster.clone(), ends.clone());
        }
    }
    begins
}
