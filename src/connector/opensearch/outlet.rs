//! Brings a log's records to the server: a thread that reads, sends, tries again, and notes how far it is.
//!
//! It works in rounds. A round is what is next in the log, up to as many requests as may be in flight; of
//! several records of one document only the last is sent. The requests go out side by side; what the server
//! could not take yet goes again, alone and after growing pauses, until all of the round is done or refused.
//! Only then comes the next: so no document is in flight twice, and a deletion is never overtaken. How far
//! it is, a file beside the log notes; a crash before that sends a round twice, and the versions see to it
//! that it counts once.

use super::Target;
use super::bulk::{Fate, Operation};
use super::document::{IndexName, Shape};
use super::http::{Server, Trouble};
use super::note::Note;
use super::round::{PAUSE_MAX, Pauses, Round, Sent, batches};
use super::template::template;
use crate::clock::now_ms;
use crate::connector::log::{self, Ends, LogReader};
use crate::connector::{Opening, Poll, Position, Share, Source, Split, Start, Survey};
use crate::error::{Error, Result, reason};
use crate::types::Schema;
use serde::Serialize;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How soon it is looked for more where nobody says that there is.
const LOOK: Duration = Duration::from_millis(50);
/// So much is read of a partition at a time.
const READ_BYTES: usize = 1 << 20;

/// What one outlet takes: the log of a stream or a table.
#[derive(Clone, Debug)]
pub struct Feed {
    /// The stream or table.
    pub source: String,
    pub topic: String,
    pub dir: PathBuf,
    pub partitions: u32,
    pub schema: Schema,
    pub is_table: bool,
    /// Names this engine in documents' ids.
    pub identity: String,
    /// Whether records count only when a checkpoint has made them final.
    pub is_durable: bool,
}

/// A document that the server will not take.
#[derive(Clone, Debug)]
pub struct Refused {
    pub partition: i32,
    pub offset: i64,
    pub document: Option<String>,
    pub reason: String,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum State {
    #[default]
    Running,
    /// The server is away or too busy.
    Retrying,
    /// It has given up; the log keeps what is left.
    Failed,
}

/// What is told of an outlet.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    pub state: State,
    pub error: Option<String>,
    pub written: u64,
    pub deleted: u64,
    /// That the server had in that version already.
    pub known: u64,
    pub rejected: u64,
    pub retries: u64,
    /// Read or final, and not done with.
    pub waiting: u64,
    pub last_ms: Option<i64>,
}

/// A handle on the thread.
pub struct Outlet {
    desk: Arc<Desk>,
    thread: JoinHandle<()>,
}

#[derive(Default)]
struct Desk {
    state: Mutex<Asked>,
    changed: Condvar,
}

#[derive(Default)]
struct Asked {
    status: Status,
    /// How far the log is final; `None`: all that is there is.
    ends: Option<Ends>,
    /// All that is there is to be delivered, and then it ends.
    closing: bool,
    /// At once, whatever is left.
    leaving: bool,
    ended: bool,
}

impl Desk {
    fn lock(&self) -> MutexGuard<'_, Asked> {
        self.state.lock().unwrap_or_else(|e| e.into_inner())
    }

    /// Waits a while, or until somebody says something; false when it is to leave.
    fn rest(&self, pause: Duration) -> bool {
        let until = Instant::now() + pause;
        let mut asked = self.lock();
        while !asked.leaving {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            asked = self.changed.wait_timeout(asked, left).unwrap_or_else(|e| e.into_inner()).0;
        }
        !asked.leaving
    }
}

impl Outlet {
    /// Begins to deliver. `refuse` is told of documents that the server refuses, from the thread.
    pub fn start(
        target: Target,
        feed: Feed,
        refuse: impl Fn(&Feed, Vec<Refused>) + Send + 'static,
    ) -> Result<Outlet> {
        let index = match &target.index {
            Some(index) => index.clone(),
            None => feed.topic.to_lowercase(),
        };
        let refused = |why: String| Error::topology(format!("sink {}: {why}", target.name));
        let index = IndexName::parse(&index).map_err(refused)?;
        let server = Server::new(&target)?;
        let desk = Arc::new(Desk::default());
        desk.lock().ends = feed.is_durable.then(Ends::new);
        let shape = Shape {
            schema: feed.schema.clone(),
            index,
            by_key: feed.is_table || target.by_key,
            prefix: format!("{}/{}", feed.identity, feed.topic),
            on_null: target.on_null,
        };
        let mut work = Work {
            target,
            feed,
            server,
            shape,
            desk: Arc::clone(&desk),
            refuse: Box::new(refuse),
            note: Note::default(),
            readers: BTreeMap::new(),
        };
        let thread = std::thread::Builder::new()
            .name("sink".into())
            .spawn(move || {
                let ended = work.run();
                let mut asked = work.desk.lock();
                // Whoever has dropped it may have taken its log away.
                if let Err(why) = ended
                    && !asked.leaving
                {
                    tracing::warn!(sink = work.target.name, "nothing more is sent: {why}");
                    (asked.status.state, asked.status.error) = (State::Failed, Some(why));
                }
                asked.ended = true;
                work.desk.changed.notify_all();
            })
            .map_err(|e| Error::runtime(format!("cannot start a sink: {}", reason(&e))))?;
        Ok(Outlet { desk, thread })
    }

    /// A checkpoint has made the log final up to there.
    pub fn deliver(&self, ends: &Ends) {
        self.desk.lock().ends = Some(ends.clone());
        self.desk.changed.notify_all();
    }

    pub fn status(&self) -> Status {
        self.desk.lock().status.clone()
    }

    /// Looks at its status also when it has ended.
    #[cfg(test)]
    pub(super) fn watched(&self) -> impl Fn() -> Status + use<> {
        let desk = Arc::clone(&self.desk);
        move || desk.lock().status.clone()
    }

    /// Waits until all that is final is delivered, or so long; then the thread ends. False: something is
    /// left, in the log.
    pub fn finish(self, until: Option<Instant>) -> bool {
        let mut asked = self.desk.lock();
        asked.closing = true;
        self.desk.changed.notify_all();
        while !asked.ended {
            let left = until.map_or(PAUSE_MAX, |until| until.saturating_duration_since(Instant::now()));
            if left.is_zero() {
                break;
            }
            asked = self.desk.changed.wait_timeout(asked, left).unwrap_or_else(|e| e.into_inner()).0;
        }
        let done = asked.ended && asked.status.state != State::Failed;
        asked.leaving = true;
        let ended = asked.ended;
        drop(asked);
        self.desk.changed.notify_all();
        if ended {
            drop(self.thread.join());
        }
        done
    }
}

/// Where documents go that the server will not take.
type Refuse = Box<dyn Fn(&Feed, Vec<Refused>) + Send>;

struct Work {
    target: Target,
    feed: Feed,
    server: Server,
    shape: Shape,
    desk: Arc<Desk>,
    refuse: Refuse,
    note: Note,
    /// By partition.
    readers: BTreeMap<u32, LogReader>,
}

impl Work {
    /// Until it is told to end. The error: why nothing can be delivered any more.
    fn run(&mut self) -> Result<(), String> {
        if !self.begin()? || !self.prepare()? {
            return Ok(());
        }
        loop {
            let round = self.gather()?;
            if round.next.is_empty() {
                let asked = self.desk.lock();
                if asked.closing || asked.leaving {
                    return Ok(());
                }
                drop(asked);
                self.desk.rest(LOOK);
                continue;
            }
            if !self.carry_out(round)? {
                return Ok(());
            }
        }
    }

    /// Reads the note. What it says of records that were taken back, because a start went on from an older
    /// checkpoint, does not count: they come again, and theirs are new versions.
    fn begin(&mut self) -> Result<bool, String> {
        self.note = Note::read(&self.feed.dir);
        if self.feed.is_durable {
            let mut asked = self.desk.lock();
            while asked.ends.as_ref().is_none_or(Ends::is_empty) && !asked.closing && !asked.leaving {
                asked = self.desk.changed.wait(asked).unwrap_or_else(|e| e.into_inner());
            }
            let ends = asked.ends.clone().unwrap_or_default();
            drop(asked);
            let end = |p: &u32| ends.get(p).copied().unwrap_or(0);
            if self.note.next.iter().any(|(p, next)| *next > end(p)) {
                let next = self.note.next.iter().map(|(p, next)| (*p, (*next).min(end(p)))).collect();
                self.note = Note { generation: self.note.next_generation(), next };
                self.note.write(&self.feed.dir)?;
            }
        }
        if self.note.generation == 0 {
            self.note.generation = self.note.next_generation();
            self.note.write(&self.feed.dir)?;
        }
        Ok(!self.desk.lock().leaving)
    }

    /// Writes the template, as soon as the server is there.
    fn prepare(&mut self) -> Result<bool, String> {
        let mut pauses = Pauses::new(&self.target);
        loop {
            let written = self.server.distribution().and_then(|distribution| {
                let body = template(&self.shape.index.wildcard(), &self.feed.schema, distribution);
                let name = format!("wharfe-{}-{}", self.target.name, self.feed.topic).to_lowercase();
                self.server.put_template(&name, &body)
            });
            match written {
                Ok(()) => {
                    self.tell(|status| (status.state, status.error) = (State::Running, None));
                    return Ok(true);
                }
                Err(Trouble::Away(why)) => {
                    if !self.pause(&mut pauses, &why)? {
                        return Ok(false);
                    }
                }
                Err(Trouble::TooLarge) => return Err("the server takes no template of that size".into()),
                Err(Trouble::No(why)) => return Err(format!("the index template: {why}")),
            }
        }
    }

    fn tell(&self, change: impl FnOnce(&mut Status)) {
        change(&mut self.desk.lock().status);
    }

    /// False when it is to leave.
    fn pause(&self, pauses: &mut Pauses, why: &str) -> Result<bool, String> {
        let pause = pauses.next().ok_or_else(|| format!("given up after {} tries: {why}", pauses.made))?;
        self.tell(|status| {
            (status.state, status.error) = (State::Retrying, Some(why.into()));
            status.retries += 1;
        });
        Ok(self.desk.rest(pause))
    }

    /// What is next in the log.
    fn gather(&mut self) -> Result<Round, String> {
        let ends = self.desk.lock().ends.clone();
        let mut round = Round::default();
        for partition in 0..self.feed.partitions {
            let end = ends.as_ref().map_or(i64::MAX, |ends| ends.get(&partition).copied().unwrap_or(0));
            self.gather_from(partition, end, &mut round).map_err(|e| e.to_string())?;
        }
        Ok(round.compacted())
    }

    /// Adds a partition's records before `end`, as long as there is room.
    fn gather_from(&mut self, partition: u32, end: i64, round: &mut Round) -> Result<()> {
        let docs_max = self.target.batch_docs * self.target.in_flight;
        let bytes_max = self.target.batch_bytes * self.target.in_flight;
        let mut next = self.note.next.get(&partition).copied().unwrap_or(0);
        while next < end && round.operations.len() < docs_max && round.bytes < bytes_max {
            let reader = match self.readers.entry(partition) {
                Entry::Occupied(reader) => reader.into_mut(),
                Entry::Vacant(vacant) => vacant.insert(open(&self.feed, partition, next)?),
            };
            let room = (bytes_max - round.bytes).min(READ_BYTES);
            let Poll::Messages(messages) = reader.poll(room, 0)? else { break };
            let last = messages.offsets.partition_point(|offset| *offset < end);
            for i in 0..last {
                let (offset, value) = (messages.offsets[i], messages.value(i));
                match self.shape.action(messages.partition, offset, messages.key(i), value) {
                    Ok(action) => {
                        let version = self.note.version(offset);
                        round.add(Operation { partition: messages.partition, offset, version, action });
                    }
                    Err(reason) => round.refused.push(Refused {
                        partition: messages.partition,
                        offset,
                        document: value.map(|value| String::from_utf8_lossy(value).into_owned()),
                        reason,
                    }),
                }
                next = offset + 1;
            }
            round.next.insert(partition, next);
            if last < messages.len() {
                // What is not final may still be taken back: it is read again later.
                self.readers.remove(&partition);
                break;
            }
        }
        Ok(())
    }

    /// Sends a round until all of it is done, and notes that. False when it is to leave.
    fn carry_out(&mut self, mut round: Round) -> Result<bool, String> {
        let mut pauses = Pauses::new(&self.target);
        let mut docs_max = self.target.batch_docs;
        let waiting = round.operations.len() as u64;
        self.tell(|status| status.waiting = waiting);
        while !round.operations.is_empty() {
            let before = round.operations.len();
            let sent = self.send(std::mem::take(&mut round.operations), docs_max);
            round.refused.extend(sent.refused);
            let left = sent.later.len() as u64;
            let is_less = sent.later.len() < before;
            self.tell(|status| {
                status.written += sent.written;
                status.deleted += sent.deleted;
                status.known += sent.known;
                status.waiting = left;
                if sent.written + sent.deleted > 0 {
                    status.last_ms = Some(now_ms());
                }
            });
            if let Some(why) = sent.halt {
                return Err(why);
            }
            round.operations = sent.later;
            if let Some(why) = sent.why {
                match is_less {
                    // It takes some of it: pauses need not grow.
                    true => pauses = Pauses::new(&self.target),
                    // Less at a time may be taken where more was not.
                    false => docs_max = (docs_max / 2).max(1),
                }
                if !self.pause(&mut pauses, &why)? {
                    return Ok(false);
                }
            } else {
                docs_max = docs_max.min(sent.split_to);
            }
        }
        if !round.refused.is_empty() {
            let count = round.refused.len() as u64;
            (self.refuse)(&self.feed, round.refused);
            self.tell(|status| status.rejected += count);
        }
        if self.desk.lock().leaving {
            // Its log may be another one's by now; what was sent twice counts once.
            return Ok(false);
        }
        self.note.next.extend(round.next);
        self.note.write(&self.feed.dir)?;
        for (partition, next) in &self.note.next {
            log::delete_before(&self.feed.dir, *partition, *next).map_err(|e| e.to_string())?;
        }
        self.tell(|status| (status.state, status.error) = (State::Running, None));
        Ok(!self.desk.lock().leaving)
    }

    /// All of it once, in requests side by side.
    fn send(&self, operations: Vec<Operation>, docs_max: usize) -> Sent {
        let server = &self.server;
        let requests = batches(operations, docs_max, self.target.batch_bytes);
        let mut sent = Sent { split_to: usize::MAX, ..Sent::default() };
        let mut requests = requests.into_iter().peekable();
        while requests.peek().is_some() && sent.halt.is_none() && sent.why.is_none() {
            let together: Vec<Vec<Operation>> = requests.by_ref().take(self.target.in_flight).collect();
            let answers: Vec<_> = std::thread::scope(|scope| {
                let ask = |batch: &Vec<Operation>| server.bulk(batch);
                let asked: Vec<_> = together.iter().map(|batch| scope.spawn(move || ask(batch))).collect();
                asked.into_iter().map(|one| one.join().unwrap_or_else(|_| lost())).collect()
            });
            together.into_iter().zip(answers).for_each(|(batch, answer)| sent.take(batch, answer));
        }
        sent.later.extend(requests.flatten());
        sent
    }
}

fn lost() -> Result<Vec<Fate>, Trouble> {
    Err(Trouble::Away("the request was lost".into()))
}

fn open(feed: &Feed, partition: u32, next: i64) -> Result<LogReader> {
    let split = Split { partition: partition as i32, next: next as u64, end: Split::OPEN };
    let resumed = Position { splits: vec![split], ..Position::default() };
    let survey = Survey { resumed: Some(resumed), ..Survey::default() };
    let share = Share::Part { index: partition as usize, of: feed.partitions as usize };
    let opening = Opening { share, start: Start::Earliest, bounded: false, opened_ms: 0 };
    log::open_impatient(&feed.dir, opening, &survey)
}
