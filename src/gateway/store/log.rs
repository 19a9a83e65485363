//! Zones without clusters: logs in the data directory, all written by one thread, which syncs once for all
//! that has come meanwhile.
//!
//! What is read of a log ends at what is synced, by the engine beside as well ([`Durable`]), so that nobody sees a
//! record that a full disk takes away again: after a failure a log is cut to its last good end before anything else is
//! written to it.

use super::{NewRecord, NotStored};
use crate::connector::Record;
use crate::connector::log::{self, Durable, LogOptions, LogWriter, Synced};
use crate::error::{Error, Result};
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// Requests that may wait for the thread; their bytes are bounded by the gateway's budget.
const REQUESTS_MAX: usize = 4_096;
/// So many bytes are written before they are synced, if so much is waiting.
const GROUP_BYTES: usize = 8 << 20;
/// Logs that stay open for writing; the others are opened when they are written to.
const OPEN_MAX: usize = 256;

/// One event's log.
pub struct LogTopic {
    pub dir: PathBuf,
    retention_bytes: Option<u64>,
    durable: Arc<Durable>,
    /// Something failed, and the log must be cut before it is written again.
    is_broken: AtomicBool,
    bell: (Mutex<u64>, Condvar),
}

impl LogTopic {
    fn open(dir: PathBuf, partitions: u32, retention_bytes: Option<u64>) -> Result<LogTopic> {
        let known = log::next_offsets(&dir)?;
        // A process that was killed may have left some that it had written and not synced.
        Synced::default().sync(&dir)?;
        let durable = Durable::tell(&dir, &known, partitions);
        let is_broken = AtomicBool::new(false);
        Ok(LogTopic { dir, retention_bytes, durable, is_broken, bell: Default::default() })
    }

    /// The offset behind a partition's last record that is synced.
    pub fn end(&self, partition: u32) -> i64 {
        self.durable.end(partition)
    }

    pub fn ends(&self) -> log::Ends {
        self.durable.ends()
    }

    /// Waits until something was written since `rung`, or the time is up; what to ask with next time.
    pub fn wait(&self, rung: u64, patience: Duration) -> u64 {
        let bell = self.bell.0.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.bell.1.wait_timeout_while(bell, patience, |now| *now == rung);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }

    fn ring(&self) {
        *self.bell.0.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        self.bell.1.notify_all();
    }
}

struct Request {
    topic: Arc<LogTopic>,
    records: Vec<(u32, NewRecord)>,
    reply: oneshot::Sender<Result<Vec<i64>, NotStored>>,
}

/// All logs of a gateway.
pub struct Logs {
    topics: Mutex<HashMap<PathBuf, Arc<LogTopic>>>,
    requests: mpsc::Sender<Request>,
}

impl Logs {
    pub fn start() -> Logs {
        let (requests, waiting) = mpsc::channel(REQUESTS_MAX);
        let scribe = Scribe { writers: HashMap::new(), waiting };
        std::thread::Builder::new()
            .name("log".into())
            .spawn(move || scribe.run())
            .map_or_else(|e| tracing::error!("cannot start the log's thread: {e}"), drop);
        Logs { topics: Mutex::default(), requests }
    }

    /// The log in a directory; reads where it ends the first time.
    pub fn topic(&self, dir: &Path, partitions: u32, retention_bytes: Option<u64>) -> Result<Arc<LogTopic>> {
        let mut topics = self.topics.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = topics.get(dir).filter(|known| known.durable.partitions() >= partitions) {
            return Ok(Arc::clone(known));
        }
        let topic = Arc::new(LogTopic::open(dir.to_path_buf(), partitions, retention_bytes)?);
        topics.insert(dir.to_path_buf(), Arc::clone(&topic));
        Ok(topic)
    }

    /// The records' offsets, once they would outlive a crash of the machine.
    pub async fn append(
        &self,
        topic: Arc<LogTopic>,
        records: Vec<(u32, NewRecord)>,
    ) -> Result<Vec<i64>, NotStored> {
        let (reply, replied) = oneshot::channel();
        let ended = || NotStored::Away("the log's thread has ended; its log says why".into());
        self.requests.send(Request { topic, records, reply }).await.map_err(|_| ended())?;
        replied.await.unwrap_or_else(|_| Err(ended()))
    }
}

struct Scribe {
    writers: HashMap<PathBuf, LogWriter>,
    waiting: mpsc::Receiver<Request>,
}

impl Scribe {
    fn run(mut self) {
        while let Some(first) = self.waiting.blocking_recv() {
            let mut bytes = bytes_of(&first);
            let mut group = vec![first];
            while bytes < GROUP_BYTES
                && let Ok(next) = self.waiting.try_recv()
            {
                bytes += bytes_of(&next);
                group.push(next);
            }
            self.write(group);
            // All is synced and shown: any of them can go.
            while self.writers.len() > OPEN_MAX
                && let Some(idle) = self.writers.keys().next().cloned()
            {
                self.writers.remove(&idle);
            }
        }
    }

    /// Appends all, syncs each log once, then answers.
    fn write(&mut self, group: Vec<Request>) {
        let mut logs: BTreeMap<PathBuf, (Arc<LogTopic>, Result<()>)> = BTreeMap::new();
        let mut appended = Vec::with_capacity(group.len());
        for request in group {
            let topic = &request.topic;
            let (_, state) = logs.entry(topic.dir.clone()).or_insert_with(|| (Arc::clone(topic), Ok(())));
            let mut offsets = Vec::new();
            if state.is_ok() {
                match self.append(&request) {
                    Ok(all) => offsets = all,
                    Err(error) => *state = Err(error),
                }
            }
            appended.push((request.topic.dir.clone(), offsets, request.reply));
        }
        for (dir, (topic, state)) in &mut logs {
            if state.is_ok() {
                *state = self.writers.get_mut(dir).map_or(Ok(()), LogWriter::sync);
            }
            match state {
                Ok(()) => self.show(topic),
                Err(error) => self.cut(topic, error),
            }
        }
        for (dir, offsets, reply) in appended {
            let answer = match &logs[&dir].1 {
                Ok(()) => Ok(offsets),
                Err(error) => Err(NotStored::Away(error.to_string())),
            };
            // Who has hung up meanwhile may ask again: the event is there under its id.
            let _ = reply.send(answer);
        }
    }

    fn append(&mut self, request: &Request) -> Result<Vec<i64>> {
        let writer = self.writer(&request.topic)?;
        let mut offsets = Vec::with_capacity(request.records.len());
        for (partition, record) in &request.records {
            offsets.push(writer.append(*partition, &record.as_record())?);
        }
        Ok(offsets)
    }

    fn writer(&mut self, topic: &LogTopic) -> Result<&mut LogWriter> {
        if topic.is_broken.load(Ordering::Acquire) {
            mend(topic)?;
        }
        // One that was opened when the event had fewer partitions.
        let last = topic.durable.partitions().saturating_sub(1);
        let is_whole = |writer: &LogWriter| writer.next_offset(last).is_some();
        if !self.writers.get(&topic.dir).is_some_and(is_whole) {
            let options = LogOptions { retention_bytes: topic.retention_bytes, ..LogOptions::default() };
            let partitions = 0..topic.durable.partitions();
            let (writer, _) = LogWriter::open(&topic.dir, partitions, options)?;
            self.writers.insert(topic.dir.clone(), writer);
        }
        self.writers.get_mut(&topic.dir).ok_or_else(|| Error::runtime("a log was closed while it was opened"))
    }

    fn show(&self, topic: &LogTopic) {
        let Some(writer) = self.writers.get(&topic.dir) else { return };
        for partition in 0..topic.durable.partitions() {
            if let Some(next) = writer.next_offset(partition) {
                topic.durable.reach(partition, next);
            }
        }
        topic.ring();
    }

    /// What is refused must not be found there later.
    fn cut(&mut self, topic: &LogTopic, why: &Error) {
        tracing::error!("{why}; nothing of the last requests is kept");
        self.writers.remove(&topic.dir);
        topic.is_broken.store(true, Ordering::Release);
        if let Err(error) = mend(topic) {
            tracing::error!("{error}");
        }
    }
}

/// Cuts a log to what was synced last.
fn mend(topic: &LogTopic) -> Result<()> {
    for (partition, end) in topic.ends() {
        log::truncate(&topic.dir, partition, end)?;
    }
    topic.is_broken.store(false, Ordering::Release);
    topic.ring();
    Ok(())
}

fn bytes_of(request: &Request) -> usize {
    request.records.iter().map(|(_, record)| record.bytes()).sum()
}

impl NewRecord {
    pub fn as_record(&self) -> Record<'_> {
        Record {
            timestamp: self.timestamp,
            key: self.key.as_deref(),
            value: Some(&self.value),
            headers: &self.headers,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connector::{Opening, Poll, Share, Source, Start, Survey};

    fn read(dir: &Path) -> usize {
        let opening = Opening { share: Share::All, start: Start::Earliest, bounded: false, opened_ms: 0 };
        let mut reader = log::open(dir, opening, &Survey::default()).unwrap();
        let mut count = 0;
        while let Poll::Messages(batch) = reader.poll(1 << 20, 0).unwrap() {
            count += batch.len();
        }
        count
    }

    #[tokio::test]
    async fn an_event_gets_more_partitions_while_it_is_written() {
        let dir = tempfile::tempdir().unwrap();
        let logs = Logs::start();
        for partitions in [1, 3] {
            let topic = logs.topic(dir.path(), partitions, None).unwrap();
            let records = (0..partitions).map(|partition| (partition, NewRecord::default())).collect();
            assert_eq!(
                logs.append(topic, records).await.map(|offsets| offsets.len()),
                Ok(partitions as usize)
            );
        }
        assert_eq!(logs.topic(dir.path(), 3, None).unwrap().ends(), [(0, 2), (1, 1), (2, 1)].into());
    }

    /// Whoever reads the log in this process, as an engine does: nothing that is written only.
    #[test]
    fn readers_stop_at_what_is_synced() {
        let dir = tempfile::tempdir().unwrap();
        let logs = Logs::start();
        let topic = logs.topic(dir.path(), 1, None).unwrap();
        let mut writer = LogWriter::open(dir.path(), 0..1, LogOptions::default()).unwrap().0;
        for _ in 0..3 {
            writer.append(0, &NewRecord::default().as_record()).unwrap();
        }
        writer.flush().unwrap();
        assert_eq!(read(dir.path()), 0);
        topic.durable.reach(0, 2);
        assert_eq!(read(dir.path()), 2);
        // Nobody writes it here any more: as any log of another process.
        drop((logs, topic));
        assert_eq!(read(dir.path()), 3);
        assert_eq!(Logs::start().topic(dir.path(), 1, None).unwrap().end(0), 3);
    }
}
