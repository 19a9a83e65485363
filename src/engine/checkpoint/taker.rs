//! The thread on process 0 that takes checkpoints: from time to time, after so much input, after a
//! statement, and when it is asked to.

use super::{
    Link, Manifest, Outlet, Outlets, Report, Taken, directory, identity, numbers, of_number, read,
    remove_old, remove_unfinished,
};
use crate::connector::log::{Ends, Synced};
use crate::engine::Inner;
use crate::engine::data_dir::clear;
use crate::engine::mail::Command;
use crate::error::{Error, Result, reason};
use crate::render::Tick;
use crate::render::kept::KeptId;
use crate::render::process::Process;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How far ahead the tick is that is named, microseconds: at first, and at most.
const LEAD: Tick = 20_000;
const LEAD_MAX: Tick = 10_000_000;
/// So often one is named, each further ahead than the one before.
const ATTEMPTS: usize = 6;
/// How often it is looked whether one is due.
const LOOK: Duration = Duration::from_millis(100);
/// After so much input one is taken before its time, but not more often than this.
const INPUT_BYTES: u64 = 1 << 30;
const LEAST_INTERVAL: Duration = Duration::from_secs(2);
/// So long after its time is over, who takes the last one may say why it was not enough.
const LAST_WORD: Duration = Duration::from_millis(200);
/// A checkpoint that takes longer is given up.
const PATIENCE: Duration = Duration::from_secs(300);

/// To take the last one until then, and where to say so.
type Request = (Option<Instant>, SyncSender<Result<()>>);

/// What the checkpoint contains that a start goes on from.
pub struct Resumed {
    pub number: u64,
    pub statements: u64,
    pub logs: BTreeMap<String, Ends>,
    pub outlets: BTreeMap<String, Outlet>,
}

/// How often checkpoints are taken.
#[derive(Clone, Copy, Debug)]
pub struct Intervals {
    pub checkpoint: Duration,
    /// Where what queries write to clusters waits for them.
    pub commit: Duration,
}

impl Default for Intervals {
    fn default() -> Intervals {
        Intervals { checkpoint: Duration::from_secs(10), commit: Duration::from_secs(1) }
    }
}

/// A handle on the thread.
pub struct Checkpoints {
    requests: SyncSender<Request>,
    thread: JoinHandle<()>,
}

impl Checkpoints {
    pub fn start(
        engine: &Arc<Inner>,
        data_dir: &Path,
        every: Intervals,
        resumed: Option<Resumed>,
    ) -> Result<Checkpoints> {
        remove_unfinished(data_dir)?;
        // One request at a time is made: by who stops the engine.
        let (requests, asked) = sync_channel(1);
        let mut taker = Taker {
            engine: Arc::downgrade(engine),
            data_dir: data_dir.to_path_buf(),
            every,
            // What an earlier start has saved need not be saved again.
            last: resumed.as_ref().map(|resumed| (0, resumed.statements)),
            taken: Instant::now(),
            told: None,
            complained: None,
            lead: LEAD,
            chains: BTreeMap::new(),
            synced: BTreeMap::new(),
            synced_rejects: Synced::default(),
            // What is damaged needs nothing.
            finished: numbers(data_dir)?.into_iter().map(|n| (n, links(data_dir, n))).collect(),
            outlets: Outlets::open(data_dir, identity(data_dir)?, resumed.as_ref())?,
        };
        let thread = std::thread::spawn(move || {
            if let (Some(engine), Some(resumed)) = (taker.engine.upgrade(), resumed) {
                taker.outlets.deliver(&engine, &resumed.logs);
                engine.deliver_sinks(&resumed.logs);
            }
            taker.run(&asked);
        });
        Ok(Checkpoints { requests, thread })
    }

    /// Takes a last one, delivers what it makes final, and ends the thread; as far as that is possible
    /// until then.
    pub fn finish(self, until: Option<Instant>) -> Result<()> {
        let (sender, done) = sync_channel(1);
        if self.requests.send((until, sender)).is_err() {
            return Ok(());
        }
        let left =
            until.map_or(Duration::MAX, |until| until.saturating_duration_since(Instant::now()) + LAST_WORD);
        match done.recv_timeout(left) {
            Ok(taken) => {
                drop(self.requests);
                drop(self.thread.join());
                taken
            }
            Err(RecvTimeoutError::Disconnected) => Ok(()),
            Err(RecvTimeoutError::Timeout) => Err(Error::runtime("no last checkpoint was taken in time")
                .hint("the next start goes on from the one before")),
        }
    }
}

struct Taker {
    engine: Weak<Inner>,
    data_dir: PathBuf,
    every: Intervals,
    /// Bytes read and statements kept at the last one.
    last: Option<(u64, u64)>,
    taken: Instant,
    told: Option<Taken>,
    /// What was in the way when it was said last, without numbers.
    complained: Option<String>,
    /// The lead that is tried first.
    lead: Tick,
    /// Where the last checkpoint has the pieces of each kept state.
    chains: BTreeMap<KeptId, Vec<Link>>,
    /// Those that are on disk, ascending, and what each has pieces in.
    finished: Vec<(u64, BTreeSet<u64>)>,
    /// Stored logs by their names in manifests.
    synced: BTreeMap<String, Synced>,
    synced_rejects: Synced,
    outlets: Outlets,
}

impl Taker {
    fn run(&mut self, asked: &Receiver<Request>) {
        loop {
            match asked.recv_timeout(LOOK.min(self.every.checkpoint).min(self.every.commit)) {
                Ok((until, reply)) => drop(reply.send(self.finish(until))),
                Err(RecvTimeoutError::Disconnected) => return,
                Err(RecvTimeoutError::Timeout) => match self.is_due() {
                    None => return,
                    Some(false) => {}
                    Some(true) => match self.take_if_changed(PATIENCE) {
                        Ok(()) => {}
                        // Soon it will be known; a cluster that is away is told of elsewhere.
                        Err(NotYet::Early(error)) => tracing::debug!("no checkpoint yet: {error}"),
                        Err(why) => self.complain(&why.into()),
                    },
                },
            }
        }
    }

    /// `None`: the engine is gone.
    fn is_due(&mut self) -> Option<bool> {
        let engine = self.engine.upgrade()?;
        if let Some(error) = self.outlets.failure() {
            engine.shared.fail(error);
        }
        engine.shared.set_delivered(self.outlets.delivered());
        let (bytes, statements) = engine.seen();
        let (last_bytes, last_statements) = self.last.unwrap_or_default();
        let waited = self.taken.elapsed();
        let much = bytes.saturating_sub(last_bytes) >= INPUT_BYTES || statements > last_statements;
        let every = match self.outlets.written(&engine).is_empty() && !engine.has_sinks() {
            true => self.every.checkpoint,
            // Others see what is in them when a checkpoint has made it final.
            false => self.every.checkpoint.min(self.every.commit),
        };
        Some(waited >= every || much && waited >= LEAST_INTERVAL.min(every))
    }

    /// Says once what is in the way; what stops the engine is told by itself.
    fn complain(&mut self, error: &Error) {
        // Each attempt has its own number.
        let why = error.to_string().replace(|c: char| c.is_ascii_digit(), "");
        if self.engine.upgrade().is_some_and(|engine| engine.shared.error().is_none())
            && self.complained.as_ref() != Some(&why)
        {
            tracing::warn!("no checkpoint could be taken: {error}");
            self.complained = Some(why);
        }
    }

    fn take_if_changed(&mut self, patience: Duration) -> Result<(), NotYet> {
        let Some(engine) = self.engine.upgrade() else { return Ok(()) };
        let seen = engine.seen();
        self.taken = Instant::now();
        if self.last == Some(seen) {
            self.told.iter_mut().for_each(|told| told.current = self.taken);
        } else {
            let manifest = self.take(&engine, patience)?;
            let bytes = size_of(&of_number(&self.data_dir, manifest.number));
            let (number, took) = (manifest.number, self.taken.elapsed());
            self.told = Some(Taken { number, bytes, took, current: self.taken });
            tracing::debug!(number, bytes, seconds = took.as_secs_f64(), "checkpoint taken");
            self.outlets.deliver(&engine, &manifest.logs);
            engine.deliver_sinks(&manifest.logs);
            self.outlets.sweep(&engine)?;
            self.last = Some(seen);
            self.complained = None;
        }
        self.told.into_iter().for_each(|told| engine.shared.set_checkpoint(told));
        Ok(())
    }

    fn take(&mut self, engine: &Inner, patience: Duration) -> Result<Manifest, NotYet> {
        // What an attempt that failed has left: a worker may have written while it was taken away.
        remove_unfinished(&self.data_dir)?;
        let number = self.finished.last().map_or(1, |(last, _)| last + 1);
        clear(&of_number(&self.data_dir, number))?;
        let mut lead = self.lead;
        for _ in 0..ATTEMPTS {
            let attempt = engine.next_attempt();
            // Each attempt has its own: a worker may not have heard yet that the one before is over.
            let dir = directory(&self.data_dir).join(format!("{number}-{attempt}.tmp"));
            std::fs::create_dir_all(&dir).map_err(|e| failed("make", &dir, &e))?;
            let (mut manifest, states) = engine.manifest(number)?;
            let chain = |state: &KeptId| self.chains.get(state).cloned().unwrap_or_default();
            manifest.states = states.iter().map(chain).collect();
            let reports = engine.shared.expect_reports();
            engine.shared.command(Command::Checkpoint {
                number: attempt,
                lead,
                tick: None,
                dir: dir.clone(),
                states: states.clone(),
            });
            let collected = collect(engine, attempt, patience, &reports, &mut manifest);
            let completed = collected.and_then(|()| {
                self.outlets.describe(engine, &mut manifest);
                self.complete(&dir, &mut manifest).map_err(NotYet::Failed)
            });
            match completed {
                Ok(()) => {
                    // A little less than enough is tried the next time.
                    self.lead = (lead / 2).max(LEAD);
                    self.chains = states.into_iter().zip(manifest.states.iter().cloned()).collect();
                    self.finished.push((number, manifest.links()));
                    remove_old(&self.data_dir, &mut self.finished)?;
                    return Ok(manifest);
                }
                Err(why) => {
                    engine.shared.command(Command::Abandon { number: attempt });
                    // What a worker writes meanwhile goes before the next one.
                    drop(clear(&dir));
                    match why {
                        NotYet::Missed { late } => {
                            tracing::debug!(lead, late, "a worker had passed the tick");
                            lead = (lead + 2 * late).max(2 * lead).min(LEAD_MAX);
                        }
                        other => return Err(other),
                    }
                }
            }
        }
        Err(Error::runtime("the workers are too busy to agree on a tick").into())
    }

    /// Makes it a checkpoint: all in it and all that it counts on is on disk first.
    fn complete(&mut self, dir: &Path, manifest: &mut Manifest) -> Result<()> {
        manifest.sort();
        for log in manifest.logs.keys() {
            self.synced.entry(log.clone()).or_default().sync(&self.data_dir.join(log))?;
        }
        self.synced_rejects.sync(&self.data_dir.join("topics").join(crate::render::rejects::TOPIC))?;
        let json = serde_json::to_string(manifest).expect("a manifest is plain data");
        let path = dir.join("manifest");
        File::create(&path)
            .and_then(|mut file| write!(file, "{:08x}\n{json}", crc32fast::hash(json.as_bytes())))
            .map_err(|e| failed("write", &path, &e))?;
        Synced::default().sync(dir)?;
        let to = of_number(&self.data_dir, manifest.number);
        std::fs::rename(dir, &to).map_err(|e| failed("name", &to, &e))?;
        let parent = directory(&self.data_dir);
        File::open(&parent).and_then(|dir| dir.sync_all()).map_err(|e| failed("sync", &parent, &e))
    }

    /// The last checkpoint, and all of it delivered.
    fn finish(&mut self, until: Option<Instant>) -> Result<()> {
        let patience = until.map_or(PATIENCE, |until| until.saturating_duration_since(Instant::now()));
        self.take_if_changed(patience)?;
        self.outlets.finish(until)
    }
}

/// Why an attempt came to nothing.
enum NotYet {
    /// A worker heard of the tick so long after it, microseconds.
    Missed {
        late: Tick,
    },
    /// Some source has not been looked at yet.
    Early(Error),
    Failed(Error),
}

impl From<Error> for NotYet {
    fn from(error: Error) -> NotYet {
        NotYet::Failed(error)
    }
}

impl From<NotYet> for Error {
    fn from(why: NotYet) -> Error {
        match why {
            NotYet::Early(error) | NotYet::Failed(error) => error,
            NotYet::Missed { .. } => Error::runtime("a worker had passed the tick"),
        }
    }
}

/// Puts the workers' parts together.
fn collect(
    engine: &Inner,
    attempt: u64,
    patience: Duration,
    reports: &Receiver<(u64, Report)>,
    manifest: &mut Manifest,
) -> Result<(), NotYet> {
    let begun = Instant::now();
    let mut missing = engine.shared.peers;
    while missing > 0 {
        match reports.recv_timeout(LOOK) {
            Ok((number, _)) if number != attempt => {}
            Ok((_, Report::Part(part))) => {
                manifest.add(*part);
                missing -= 1;
            }
            Ok((_, Report::Missed { late })) => return Err(NotYet::Missed { late }),
            Ok((_, Report::Early(error))) => return Err(NotYet::Early(error)),
            Ok((_, Report::Failed(error))) => return Err(NotYet::Failed(error)),
            Err(_) if engine.shared.has_stopped() => {
                let stopped = || Error::runtime("the engine stopped");
                return Err(NotYet::Failed(engine.shared.error().unwrap_or_else(stopped)));
            }
            Err(_) if begun.elapsed() > patience => {
                let why = format!("its tick has not closed within {} s", patience.as_secs());
                return Err(NotYet::Failed(Error::runtime(why)));
            }
            Err(_) => {}
        }
    }
    Ok(())
}

fn links(data_dir: &Path, number: u64) -> BTreeSet<u64> {
    read(data_dir, number).map_or_else(|_| BTreeSet::from([number]), |manifest| manifest.links())
}

/// Of all files below; what cannot be looked at counts nothing.
fn size_of(path: &Path) -> u64 {
    match std::fs::read_dir(path) {
        Ok(entries) => entries.flatten().map(|entry| size_of(&entry.path())).sum(),
        Err(_) => path.metadata().map_or(0, |metadata| metadata.len()),
    }
}

fn failed(doing: &str, path: &Path, error: &std::io::Error) -> Error {
    Error::runtime(format!("cannot {doing} {}: {}", path.display(), reason(error)))
}
