//! Events that wait for a cluster that is away: a log for each site, and a task that brings them to the
//! cluster in order when it is back.
//!
//! ```text
//! DIR/<zone>/<topic>/site.json      where they go
//! DIR/<zone>/<topic>/next.json      the first of each partition that is not there yet
//! DIR/<zone>/<topic>/log/           the records
//! ```
//! After a crash some may be brought twice: they have their ids.

use super::federation::Stores;
use super::log::LogTopic;
use super::{NewRecord, NotStored, Stored};
use crate::connector::log::{self, Ends};
use crate::connector::{Opening, Poll, Position, Share, Source, Split, Start, Survey, entries, io_error};
use crate::error::{Error, Result};
use crate::gateway::directory::Site;
use crate::gateway::files;
use crate::partition::partition_of;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

/// So much is read before it is brought.
const READ_BYTES: usize = 256 << 10;
const RETRY_EVERY: Duration = Duration::from_millis(500);

pub struct Waiting {
    dir: PathBuf,
    open: Mutex<HashMap<PathBuf, Arc<Queue>>>,
}

/// What waits of one site.
struct Queue {
    dir: PathBuf,
    site: Site,
    topic: Arc<LogTopic>,
    /// The first of each partition that is not brought.
    next: Mutex<Ends>,
}

impl Queue {
    fn next(&self) -> Ends {
        self.next.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn count(&self) -> u64 {
        let next = self.next();
        let left =
            |(partition, end): (u32, i64)| (end - next.get(&partition).copied().unwrap_or(0)).max(0) as u64;
        self.topic.ends().into_iter().map(left).sum()
    }
}

impl Waiting {
    pub fn new(dir: PathBuf) -> Waiting {
        Waiting { dir, open: Mutex::default() }
    }

    fn find(&self, site: &Site) -> Option<Arc<Queue>> {
        let dir = self.dir.join(&site.zone).join(&site.topic);
        self.open.lock().unwrap_or_else(PoisonError::into_inner).get(&dir).cloned()
    }

    pub fn holds(&self, site: &Site) -> bool {
        self.count(site) > 0
    }

    pub fn count(&self, site: &Site) -> u64 {
        self.find(site).map_or(0, |queue| queue.count())
    }

    /// Takes up what an earlier run has left.
    pub fn resume(&self, stores: &Arc<Stores>) -> Result<()> {
        for zone in entries(&self.dir)? {
            for dir in entries(&zone)? {
                if let Some(site) = files::read_json::<Site>(&dir.join("site.json"))? {
                    self.queue(stores, &site)?;
                }
            }
        }
        Ok(())
    }

    /// The queue of a site; whoever opens it first hires its forwarder.
    fn queue(&self, stores: &Arc<Stores>, site: &Site) -> Result<Arc<Queue>> {
        let dir = self.dir.join(&site.zone).join(&site.topic);
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = open.get(&dir) {
            return Ok(Arc::clone(known));
        }
        std::fs::create_dir_all(&dir).map_err(|e| io_error("create directory", &dir, e))?;
        files::write_json(&dir.join("site.json"), site)?;
        let next: Option<Ends> = files::read_json(&dir.join("next.json"))?;
        let topic = stores.logs().topic(&dir.join("log"), site.partitions, None)?;
        let queue = Arc::new(Queue {
            dir: dir.clone(),
            site: site.clone(),
            topic,
            next: Mutex::new(next.unwrap_or_default()),
        });
        open.insert(dir, Arc::clone(&queue));
        let (forwarded, stores) = (Arc::clone(&queue), Arc::downgrade(stores));
        let runtime = tokio::runtime::Handle::try_current()
            .map_err(|_| Error::runtime("events can wait only where the gateway runs"))?;
        std::thread::Builder::new()
            .name("forward".into())
            .spawn(move || forward(&forwarded, &stores, &runtime))
            .map_err(|e| Error::runtime(format!("cannot start a thread: {e}")))?;
        Ok(queue)
    }

    pub async fn append(
        &self,
        stores: &Arc<Stores>,
        site: &Site,
        records: Vec<NewRecord>,
    ) -> Vec<Result<Stored, NotStored>> {
        let queue = match self.queue(stores, site) {
            Ok(queue) => queue,
            Err(error) => return records.iter().map(|_| Err(NotStored::Failed(error.clone()))).collect(),
        };
        let kept = stores.append_to(Arc::clone(&queue.topic), site.partitions, records).await;
        // Its offset on the cluster is not known yet.
        kept.into_iter().map(|kept| kept.map(|stored| Stored { offset: -1, ..stored })).collect()
    }
}

/// Brings what comes, until the gateway ends.
fn forward(queue: &Queue, stores: &Weak<Stores>, runtime: &tokio::runtime::Handle) {
    // What was said last: the same is not said at every try.
    let mut said = String::new();
    loop {
        let Some(stores) = stores.upgrade() else { return };
        if queue.count() == 0 {
            let rung = queue.topic.wait(u64::MAX, Duration::ZERO);
            drop(stores);
            queue.topic.wait(rung, RETRY_EVERY);
            continue;
        }
        match bring(queue, &stores, runtime) {
            Ok(()) => said.clear(),
            Err(error) => {
                let why = error.to_string();
                if said != why {
                    tracing::warn!("{} events wait for {}: {why}", queue.count(), queue.site.topic);
                    said = why;
                }
                drop(stores);
                std::thread::sleep(RETRY_EVERY);
            }
        }
    }
}

/// Reads from where it stopped, and goes on while the cluster takes it.
fn bring(queue: &Queue, stores: &Arc<Stores>, runtime: &tokio::runtime::Handle) -> Result<()> {
    let split = |(partition, next): (&u32, &i64)| Split {
        partition: *partition as i32,
        next: *next as u64,
        end: Split::OPEN,
    };
    let resumed = Position { splits: queue.next().iter().map(split).collect(), ..Position::default() };
    let opening = Opening { share: Share::All, start: Start::Earliest, bounded: true, opened_ms: 0 };
    let survey = Survey { resumed: Some(resumed), ..Survey::default() };
    let mut reader = log::open(&queue.topic.dir, opening, &survey)?;
    while let Poll::Messages(batch) = reader.poll(READ_BYTES, 0)? {
        let partition = batch.partition as u32;
        let record = |i| NewRecord {
            timestamp: batch.timestamps.at(i),
            key: batch.key(i).map(<[u8]>::to_vec),
            value: batch.value(i).unwrap_or_default().to_vec(),
            headers: batch.headers.block(i).to_vec(),
        };
        let records: Vec<NewRecord> = (0..batch.len()).map(record).collect();
        runtime.block_on(bring_all(queue, stores, partition, &records))?;
        let mut next = queue.next();
        next.insert(partition, batch.offsets[0] + records.len() as i64);
        files::write_json(&queue.dir.join("next.json"), &next)?;
        log::delete_before(&queue.topic.dir, partition, next[&partition])?;
        *queue.next.lock().unwrap_or_else(PoisonError::into_inner) = next;
    }
    Ok(())
}

async fn bring_all(queue: &Queue, stores: &Arc<Stores>, partition: u32, records: &[NewRecord]) -> Result<()> {
    let clusters = &queue.site.clusters;
    // As they would have been published: by the rule, which is by key or the first.
    let index = |record: &NewRecord| match &record.key {
        Some(key) if clusters.len() > 1 && stores.is_by_key(&queue.site.zone) => {
            partition_of(key, clusters.len() as u32) as usize
        }
        _ => 0,
    };
    for (i, name) in clusters.iter().enumerate() {
        // Its key's partition where the others of that key are, also if the topic has more of them than the log.
        let place = |record: &NewRecord| record.key.is_none().then_some(partition);
        let of: Vec<_> = records.iter().filter(|r| index(r) == i).map(|r| (place(r), r)).collect();
        if of.is_empty() {
            continue;
        }
        let answers = stores.posts(name)?.append(&queue.site.topic, queue.site.partitions, &of).await;
        for answer in answers {
            match answer {
                Ok(_) => {}
                Err(NotStored::Away(why)) => return Err(Error::runtime(why)),
                Err(NotStored::Failed(error)) => return Err(error),
            }
        }
    }
    Ok(())
}
