//! Which of a zone's clusters gets an event, and what becomes of it while that one is away.
//!
//! A zone of several clusters publishes to the first that is up, or by key; consumers read all of them as
//! one stream. In a zone whose rule is to wait, events for a cluster that is away lie in the gateway's log
//! until it is back, in order: while some of an event wait, those that come later wait behind them.

use super::log::{LogTopic, Logs};
use super::posts::Posts;
use super::waiting::Waiting;
use super::{NewRecord, NotStored, Stored};
use crate::connector::log::Ends;
use crate::connector::{Cluster, Place, kafka};
use crate::error::{Error, Result};
use crate::gateway::directory::Site;
use crate::partition::partition_of;
use crate::topology::{AwayRule, PublishRule, Zone, Zones};
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

pub struct Stores {
    dir: PathBuf,
    logs: Logs,
    clusters: BTreeMap<String, Cluster>,
    posts: Mutex<HashMap<String, Arc<Posts>>>,
    waiting: Waiting,
    by_key: Vec<String>,
    turn: AtomicU32,
}

impl Stores {
    pub fn open(dir: &Path, zones: &Zones) -> Result<Arc<Stores>> {
        let clusters = zones.zones.values().flat_map(|zone| &zone.clusters);
        let stores = Arc::new(Stores {
            dir: dir.to_path_buf(),
            logs: Logs::start(),
            clusters: clusters.map(|cluster| (cluster.name.clone(), cluster.clone())).collect(),
            posts: Mutex::default(),
            waiting: Waiting::new(dir.join("waiting")),
            by_key: zones
                .zones
                .values()
                .filter(|zone| zone.publish == PublishRule::Key)
                .map(|zone| zone.name.clone())
                .collect(),
            turn: AtomicU32::new(0),
        });
        stores.waiting.resume(&stores)?;
        Ok(stores)
    }

    /// The log of a site without clusters.
    pub fn log(&self, site: &Site, retention_bytes: Option<u64>) -> Result<Arc<LogTopic>> {
        self.logs.topic(&self.log_dir(site), site.partitions, retention_bytes)
    }

    pub(super) fn is_by_key(&self, zone: &str) -> bool {
        self.by_key.iter().any(|name| name == zone)
    }

    pub(super) fn logs(&self) -> &Logs {
        &self.logs
    }

    pub(super) fn turn(&self) -> u32 {
        self.turn.fetch_add(1, Ordering::Relaxed)
    }

    fn log_dir(&self, site: &Site) -> PathBuf {
        self.dir.join("zones").join(&site.zone).join(&site.topic)
    }

    /// What to read of a site on one of its clusters; an empty name is the gateway's log.
    pub fn place(&self, site: &Site, cluster: &str) -> Result<Place> {
        if cluster.is_empty() {
            return Ok(Place::Log { dir: self.log_dir(site), partitions: site.partitions });
        }
        let cluster = self.cluster(cluster)?.clone();
        Ok(Place::Kafka { cluster, topic: site.topic.clone() })
    }

    fn cluster(&self, name: &str) -> Result<&Cluster> {
        self.clusters.get(name).ok_or_else(|| {
            Error::topology(format!("there is no cluster {name}, and events are kept on it"))
                .hint(format!("[clusters.{name}] with its \"bootstrap.servers\", in a zone of the topology"))
        })
    }

    pub fn posts(&self, name: &str) -> Result<Arc<Posts>> {
        let mut posts = self.posts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = posts.get(name) {
            return Ok(Arc::clone(known));
        }
        let opened = Arc::new(Posts::open(self.cluster(name)?)?);
        posts.insert(name.to_string(), Arc::clone(&opened));
        Ok(opened)
    }

    /// Stores records in their order; what became of each.
    pub async fn append(
        self: &Arc<Self>,
        zone: &Zone,
        site: &Site,
        retention_bytes: Option<u64>,
        records: Vec<NewRecord>,
    ) -> Vec<Result<Stored, NotStored>> {
        if site.clusters.is_empty() {
            return self.append_log(site, retention_bytes, records).await;
        }
        if zone.away == AwayRule::Wait && self.waiting.holds(site) {
            return self.waiting.append(self, site, records).await;
        }
        let mut answers: Vec<Option<Result<Stored, NotStored>>> = records.iter().map(|_| None).collect();
        // Looked at once: a cluster that is found to be away on the way would move the others in the order,
        // and one of them would never be tried.
        let is_away = |name: &String| self.posts(name).is_ok_and(|posts| posts.is_away());
        let away: Vec<bool> = site.clusters.iter().map(is_away).collect();
        // Each record goes down its own list of clusters, all of the same list together.
        for attempt in 0..site.clusters.len() {
            let mut by_cluster: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
            for (i, record) in records.iter().enumerate() {
                let is_open = matches!(answers[i], None | Some(Err(NotStored::Away(_))));
                if let (true, Some(cluster)) = (is_open, choice(zone, &away, record, attempt)) {
                    by_cluster.entry(cluster).or_default().push(i);
                }
            }
            for (cluster, indices) in by_cluster {
                let name = &site.clusters[cluster];
                let of: Vec<_> = indices.iter().map(|i| (None, &records[*i])).collect();
                for (i, answer) in indices.iter().zip(self.append_cluster(name, site, &of).await) {
                    answers[*i] = Some(answer);
                }
            }
            if answers.iter().all(|answer| matches!(answer, Some(Ok(_) | Err(NotStored::Failed(_))))) {
                break;
            }
        }
        let away = || NotStored::Away(format!("no cluster of zone {} can be reached", zone.name));
        let mut answers: Vec<_> =
            answers.into_iter().map(|answer| answer.unwrap_or_else(|| Err(away()))).collect();
        if zone.away == AwayRule::Wait {
            self.keep_waiting(site, records, &mut answers).await;
        }
        answers
    }

    /// Puts what no cluster took into the gateway's log.
    async fn keep_waiting(
        self: &Arc<Self>,
        site: &Site,
        records: Vec<NewRecord>,
        answers: &mut [Result<Stored, NotStored>],
    ) {
        let is_away = |answer: &Result<Stored, NotStored>| matches!(answer, Err(NotStored::Away(_)));
        let (mut indices, mut kept) = (Vec::new(), Vec::new());
        for (i, record) in records.into_iter().enumerate().filter(|(i, _)| is_away(&answers[*i])) {
            indices.push(i);
            kept.push(record);
        }
        if !kept.is_empty() {
            for (i, answer) in indices.into_iter().zip(self.waiting.append(self, site, kept).await) {
                answers[i] = answer;
            }
        }
    }

    async fn append_cluster(
        &self,
        name: &str,
        site: &Site,
        records: &[(Option<u32>, &NewRecord)],
    ) -> Vec<Result<Stored, NotStored>> {
        let posts = match self.posts(name) {
            Ok(posts) => posts,
            Err(error) => return records.iter().map(|_| Err(NotStored::Failed(error.clone()))).collect(),
        };
        let cluster: Arc<str> = name.into();
        let answers = posts.append(&site.topic, site.partitions, records).await;
        let stored = |(partition, offset)| Stored { cluster: Arc::clone(&cluster), partition, offset };
        answers.into_iter().map(|answer| answer.map(stored)).collect()
    }

    async fn append_log(
        &self,
        site: &Site,
        retention_bytes: Option<u64>,
        records: Vec<NewRecord>,
    ) -> Vec<Result<Stored, NotStored>> {
        let topic = match self.log(site, retention_bytes) {
            Ok(topic) => topic,
            Err(error) => return records.iter().map(|_| Err(NotStored::Away(error.to_string()))).collect(),
        };
        self.append_to(topic, site.partitions, records).await
    }

    pub(super) async fn append_to(
        &self,
        topic: Arc<LogTopic>,
        partitions: u32,
        records: Vec<NewRecord>,
    ) -> Vec<Result<Stored, NotStored>> {
        let partition = |record: &NewRecord| match &record.key {
            Some(key) => partition_of(key, partitions),
            None if partitions == 1 => 0,
            None => self.turn() % partitions,
        };
        let placed: Vec<u32> = records.iter().map(partition).collect();
        let records: Vec<_> = placed.iter().copied().zip(records).collect();
        let cluster: Arc<str> = "".into();
        match self.logs.append(topic, records).await {
            Ok(offsets) => {
                let stored =
                    |(partition, offset)| Ok(Stored { cluster: Arc::clone(&cluster), partition, offset });
                placed.into_iter().zip(offsets).map(stored).collect()
            }
            Err(error) => placed.iter().map(|_| Err(error.clone())).collect(),
        }
    }

    /// Where a site ends now, by cluster: nothing is under way to it. Blocks.
    pub fn ends(&self, site: &Site) -> Result<BTreeMap<String, Ends>> {
        if site.clusters.is_empty() {
            return Ok(BTreeMap::from([(String::new(), self.log(site, None)?.ends())]));
        }
        if self.waiting.holds(site) {
            return Err(Error::runtime(format!("events of {} wait for a cluster that is away", site.topic))
                .hint("move it when they have been delivered"));
        }
        let mut ends = BTreeMap::new();
        for name in &site.clusters {
            let cluster = self.cluster(name)?;
            let survey = kafka::survey(cluster, &site.topic);
            let marks = match survey {
                Ok(survey) => survey.marks.ok_or_else(|| {
                    Error::runtime(format!(
                        "{cluster} cannot be reached, so that nobody knows where {} ends",
                        site.topic
                    ))
                    .hint("try again when it is back")
                })?,
                // Nothing was ever published there.
                Err(_) => Vec::new(),
            };
            let of = marks.iter().enumerate().map(|(partition, (_, high))| (partition as u32, *high));
            ends.insert(name.clone(), of.collect());
        }
        Ok(ends)
    }

    /// How many events of a site wait for their cluster.
    pub fn waiting(&self, site: &Site) -> u64 {
        self.waiting.count(site)
    }
}

/// The cluster that a record goes to at the n-th attempt, when those of `away` are: those that are up come
/// first.
fn choice(zone: &Zone, away: &[bool], record: &NewRecord, attempt: usize) -> Option<usize> {
    let count = away.len();
    let first = match (zone.publish, &record.key) {
        (PublishRule::Key, Some(key)) => partition_of(key, count as u32) as usize,
        _ => 0,
    };
    if zone.away == AwayRule::Wait {
        // Its place in the order would be lost on another one.
        return if attempt == 0 { Some(first) } else { None };
    }
    let order = || (0..count).map(|i| (first + i) % count);
    order().filter(|i| !away[*i]).chain(order().filter(|i| away[*i])).nth(attempt)
}
