//! The engine as its users see it: statements in, outcomes and answers out.
//!
//! [`Engine`] is a handle: cheap to clone, usable from any thread. Behind it the coordinator keeps the
//! catalog and turns statements into plans, and the timely workers run them.

pub mod outcome;
mod session;
mod data_dir;
mod coordinator;
mod claims;
mod draft;
mod facts;
mod world;
mod system;
mod create;
mod stored;
mod events;
mod collections;
mod declared;
mod placed;
mod derived;
mod parts;
mod rules;
mod schemas;
mod reading;
mod remove;
mod upgrade;
mod warned;
mod pause;
mod hold;
mod mended;
mod sinks;
mod constants;
mod insert;
mod known;
mod fingerprint;
mod inserter;
mod ask;
mod answers;
mod serve;
mod peeks;
mod pull;
mod protobuf_rows;
mod local;
mod mail;
mod stages;
mod print;
mod pool;
mod describe;
pub mod functions;
pub mod measures;
pub mod shared;
mod worker;
mod post;
mod properties;
mod cluster;
mod checkpoint;
mod resume;
mod planned;
pub mod replay;
#[cfg(test)]
mod tests;

pub use crate::catalog::Origin;
use crate::catalog::Source;
use crate::connector::log::Ends;
use crate::error::{Code, Error, Result};
use crate::plan::{DataflowId, HubId, TableId};
use crate::registry::{Client, Level, Registry};
pub use crate::render::process::AnswerRow;
use crate::render::process::Process;
pub use crate::render::ticks::Pace;
use crate::sql::ast::{Parsed, SourceKind, Statement};
use crate::sql::{Known, parse_statement_with};
use crate::topology::Placed;
use crate::value::Row;
use checkpoint::Checkpoints;
pub use checkpoint::Intervals;
use coordinator::Coordinator;
use data_dir::DataDir;
use draft::Base;
use mail::Command;
use resume::Durable;
use shared::Shared;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::AtomicU64;
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, Weak};
use std::time::{Duration, Instant};
use timely::CommunicationConfig;
use timely::communication::allocator::ProcessBuilder;
use timely::communication::allocator::zero_copy::initialize::initialize_networking_from_sockets;
use timely::communication::{AllocatorBuilder, Hooks, WorkerGuards};

pub use answers::{Answer, AnswerEnd, AnswerEvent, AnswerKind, Answers, Limits, Rows};
pub use measures::Measures;
pub use outcome::Outcome;
pub use planned::{described_script, explain_script};
pub use properties::is_property;
pub use protobuf_rows::ProtobufRows;
pub use session::Session;

/// How an engine is started.
#[derive(Clone, Debug)]
pub struct Config {
    /// Worker threads of this process.
    pub workers: usize,
    /// All processes' addresses (`host:port`), in order; empty for a single process.
    pub hosts: Vec<String>,
    /// Index of this process.
    pub process: usize,
    /// `None`: a temporary directory, removed when the engine stops.
    pub data_dir: Option<PathBuf>,
    /// Inputs end when all that was there at the start is read.
    pub once: bool,
    pub topology: crate::topology::Topology,
    pub pace: Pace,
    /// Where the data directory is given.
    pub checkpoints: Intervals,
    pub answers: AnswerLimits,
}

/// What answers may take.
#[derive(Clone, Copy, Debug)]
pub struct AnswerLimits {
    /// Bytes of rows that may wait for clients.
    pub limits: Limits,
    /// As many push queries may be open.
    pub push_queries: usize,
}

impl Default for AnswerLimits {
    fn default() -> AnswerLimits {
        AnswerLimits { limits: Limits::default(), push_queries: 100 }
    }
}

/// The hub and the query of WHARFE_BOOKS, and its table.
pub(crate) const BOOKS_HUB: HubId = 1;
pub(crate) const BOOKS_QUERY: DataflowId = 1;
pub(crate) const BOOKS_TABLE: TableId = 1;

/// So long a stop waits for the last checkpoint and for what is being delivered; the rest comes at the
/// next start. Then so long for the workers. With the server's last answers that is less than 5 s.
const FAREWELL: Duration = Duration::from_millis(3_000);
const STOPPING: Duration = Duration::from_millis(800);

#[derive(Clone)]
pub struct Engine {
    inner: Arc<Inner>,
}

struct Inner {
    shared: Arc<Shared>,
    /// Only on process 0.
    coordinator: Option<Coordinator>,
    workers: usize,
    threads: Mutex<Option<WorkerGuards<()>>>,
    /// Given up when the engine stops.
    data_dir: Mutex<Option<DataDir>>,
    checkpoints: Mutex<Option<Checkpoints>>,
    checkpoint_intervals: Intervals,
    once: bool,
    attempts: AtomicU64,
}

impl Inner {
    /// How much has happened that a checkpoint would contain: bytes read, statements kept.
    fn seen(&self) -> (u64, u64) {
        let statements = self.coordinator.as_ref().map_or(0, |coordinator| coordinator.world().kept);
        (self.shared.progress().bytes_read, statements)
    }

    fn manifest(&self, number: u64) -> Result<(checkpoint::Manifest, Vec<crate::render::kept::KeptId>)> {
        match &self.coordinator {
            Some(coordinator) => Ok(coordinator.manifest(number)),
            None => Err(Error::usage("checkpoints are taken on process 0")),
        }
    }

    fn outboxes(&self) -> Vec<(crate::connector::Cluster, resume::Outgoing)> {
        self.coordinator.as_ref().map_or_else(Vec::new, Coordinator::outboxes)
    }

    /// A checkpoint has made logs final up to there.
    fn deliver_sinks(&self, logs: &BTreeMap<String, Ends>) {
        if let Some(coordinator) = &self.coordinator {
            coordinator.base.sinks.deliver(logs);
            coordinator.publish(logs);
        }
    }

    fn has_sinks(&self) -> bool {
        self.coordinator
            .as_ref()
            .map(Coordinator::world)
            .is_some_and(|w| !w.sinks.is_empty() || w.publishes())
    }

    fn next_attempt(&self) -> u64 {
        self.attempts.fetch_add(1, std::sync::atomic::Ordering::Relaxed)
    }
}

/// A panic elsewhere must not hide its cause behind a poisoned lock.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|e| e.into_inner())
}

impl Engine {
    /// Starts the workers of this process. On process 0 the handle accepts statements; on the others
    /// it only runs, see [`Engine::join`].
    pub fn start(config: Config) -> Result<Engine> {
        let processes = config.hosts.len().max(1);
        let peers = processes * config.workers;
        let shared = Arc::new(Shared::new(config.process, processes, peers, config.answers.limits));
        let data_dir = DataDir::open(&config)?;
        let durable = (config.process == 0 && config.data_dir.is_some())
            .then(|| Durable::open(&data_dir.path))
            .transpose()?;
        let hello = (config.process == 0)
            .then(|| Command::Hello { epoch_ms: crate::clock::now_ms(), data_dir: data_dir.path.clone() });
        let coordinator = if config.process == 0 {
            let open = || match config.topology.is_in_memory() {
                // Nobody else reads what is written there.
                true => Ok(Client::Own(Registry::volatile_at(Level::None))),
                false => {
                    Client::open(config.topology.registry.as_ref(), &data_dir::registry_dir(&data_dir.path))
                }
            };
            let schemas = shared.schemas(open)?;
            let base = Base {
                shared: Arc::clone(&shared),
                placed: Placed::new(&config.topology.zones, &data_dir.path, schemas.client()),
                gateway: OnceLock::new(),
                topology: config.topology.clone(),
                schemas,
                data_dir: data_dir.path.clone(),
                once: config.once,
                emission: config.pace.emission,
                dry: false,
                push_queries_max: config.answers.push_queries,
                sinks: sinks::Running::default(),
            };
            Some(Coordinator::new(base, durable))
        } else {
            None
        };
        let threads = spawn(&config, &shared, hello)?;
        let inner = Inner {
            shared,
            coordinator,
            workers: config.workers,
            threads: Mutex::new(Some(threads)),
            data_dir: Mutex::new(Some(data_dir)),
            checkpoints: Mutex::default(),
            checkpoint_intervals: config.checkpoints,
            once: config.once,
            attempts: AtomicU64::new(0),
        };
        let inner = Arc::new(inner);
        if let Some(endings) = inner.shared.answers.endings() {
            clear_up(Arc::downgrade(&inner), endings);
        }
        Ok(Engine { inner })
    }

    /// Carries out one statement of a script or request.
    ///
    /// What a script starts begins to read only at [`Engine::begin`], all at one tick.
    pub fn execute(&self, statement: &Parsed, session: &mut Session) -> Result<Outcome> {
        if let Statement::Assert { timeout_ms, .. } = &statement.statement {
            return self.assert(
                statement,
                session,
                timeout_ms.map(|ms| Duration::from_millis(ms.unsigned_abs())),
            );
        }
        self.coordinator()?.execute(statement, session)
    }

    /// Asks until it is as asserted, or the time is up; others are not held up meanwhile.
    fn assert(&self, statement: &Parsed, session: &mut Session, wait: Option<Duration>) -> Result<Outcome> {
        let started = Instant::now();
        let wait = wait.unwrap_or(known::ASSERT_FOR);
        loop {
            let outcome = self.coordinator()?.execute(statement, session);
            if outcome.is_ok() || started.elapsed() >= wait || self.inner.shared.has_stopped() {
                return outcome;
            }
            std::thread::sleep(Duration::from_millis(20).min(wait.saturating_sub(started.elapsed())));
        }
    }

    /// What a text of the session may use beside its own words.
    pub fn known(&self, session: &Session) -> Result<Known> {
        Ok(self.coordinator()?.world().known(session))
    }

    /// Carries out one statement that belongs to no session.
    pub fn ask(&self, text: &str) -> Result<Outcome> {
        let known = self.known(&Session::default())?;
        self.execute(&parse_statement_with(text, known)?, &mut Session::default())
    }

    /// The script is complete: installs all it asked for, at one tick.
    pub fn begin(&self) -> Result<()> {
        let coordinator = self.coordinator()?;
        coordinator.begin()?;
        let mut checkpoints = lock(&self.inner.checkpoints);
        if coordinator.world().durable && checkpoints.is_none() {
            let started = Checkpoints::start(
                &self.inner,
                &coordinator.base.data_dir,
                self.inner.checkpoint_intervals,
                coordinator.take_resumed(),
            )?;
            *checkpoints = Some(started);
        }
        Ok(())
    }

    /// Whether statements could be carried out one after the other; nothing is.
    ///
    /// # Errors
    /// What is wrong with the first that could not, and its index.
    pub fn check(&self, statements: &[Parsed], session: &Session) -> Result<(), (usize, Error)> {
        self.coordinator().map_err(|error| (0, error))?.check(statements, session)
    }

    /// The topics that statements have named.
    pub fn topics(&self) -> Vec<String> {
        self.coordinator().map_or_else(|_| Vec::new(), Coordinator::topics)
    }

    /// Topics that queries read, though nobody has said where they are and nothing was inserted.
    pub fn unplaced(&self) -> Vec<String> {
        self.coordinator().map_or_else(|_| Vec::new(), Coordinator::unplaced)
    }

    /// Topics that the topology places and nobody declares, each with the topic that was most likely meant.
    pub fn misplaced(&self) -> Vec<(String, String)> {
        self.coordinator().map_or_else(|_| Vec::new(), Coordinator::misplaced)
    }

    fn coordinator(&self) -> Result<&Coordinator> {
        self.inner.coordinator.as_ref().ok_or_else(|| Error::usage("statements go to process 0"))
    }

    /// The registry, where it is this engine's own.
    pub fn registry(&self) -> Option<Registry> {
        match self.coordinator().ok()?.base.schemas.client() {
            Client::Own(registry) => Some(registry.clone()),
            _ => None,
        }
    }

    /// Inserts rows, each a JSON object with column names as keys; what became of each, in order.
    pub fn insert_rows(&self, target: &str, rows: &[Vec<u8>]) -> Result<Vec<Result<()>>> {
        self.coordinator()?.insert_rows(target, rows)
    }

    /// Puts a record in at a source, once for each `place` that it is said to come from.
    pub fn mend(&self, source: &str, place: &str, value: &[u8]) -> Result<()> {
        self.coordinator()?.mend(source, place, value)
    }

    /// The sinks, and how they are.
    pub fn connectors(&self) -> Vec<outcome::ConnectorInfo> {
        self.coordinator().map_or_else(|_| Vec::new(), |c| sinks::infos(&c.world(), &c.base.sinks))
    }

    /// Ends an answer by its id. False when there is none of that id.
    pub fn close_query(&self, id: &str) -> bool {
        self.coordinator().is_ok_and(|coordinator| coordinator.close_answer(id))
    }

    /// Blocks until all bounded inputs have been read and processed (`once`), or the engine stops.
    /// Returns the error that stopped it, if one did. With `timeout`: returns Ok(false) when it passes.
    pub fn wait_for_inputs(&self, timeout: Option<Duration>) -> Result<bool> {
        self.inner.shared.wait_for_inputs(timeout)
    }

    /// Blocks until all that is there now has been read and is through, what came of it and was read again
    /// included; with one record a tick. False when `timeout` passed or the engine stopped before.
    pub fn settle(&self, timeout: Duration) -> Result<bool> {
        self.inner.shared.settle(timeout)
    }

    /// The streams and tables there are, in the order of their names, streams first.
    pub fn sources(&self) -> Result<Vec<Source>> {
        let world = self.coordinator()?.world();
        let kinds = [SourceKind::Stream, SourceKind::Table];
        Ok(kinds.into_iter().flat_map(|kind| world.catalog.sources(kind)).cloned().collect())
    }

    /// The row and the ROWTIME that an INSERT INTO … VALUES would give a source, whatever may be written to it.
    pub fn row_of(&self, insert: &Parsed) -> Result<(Row, Option<i64>)> {
        insert::row_of(&self.coordinator()?.world().catalog, insert)
    }

    /// Blocks until this process's workers have stopped, or all are to be stopped since another process
    /// was told to; the error that stopped them, if one did.
    pub fn join(&self) -> Result<()> {
        self.inner.shared.wait_to_stop(self.inner.workers)
    }

    /// Why an answer ended without a word: the error that stopped the engine, or that it is stopping.
    pub fn failure(&self) -> Error {
        self.inner.shared.error().unwrap_or_else(stopping)
    }

    /// Takes a last checkpoint, where there are any, and stops all workers of all processes; waits for
    /// this process's.
    pub fn stop(&self) -> Result<()> {
        self.stop_by((!self.inner.once).then(|| Instant::now() + FAREWELL))
    }

    /// The same, though what `once` asks for may be unfinished.
    pub fn stop_soon(&self) -> Result<()> {
        self.stop_by(Some(Instant::now() + FAREWELL))
    }

    /// `until`: how long the checkpoint and what it makes final may take.
    fn stop_by(&self, until: Option<Instant>) -> Result<()> {
        // The lock is held meanwhile: who else stops it waits here instead of stopping the workers.
        let mut checkpoints = lock(&self.inner.checkpoints);
        let finished = match checkpoints.take().map_or(Ok(()), |checkpoints| checkpoints.finish(until)) {
            // What is missing comes with the next start. It is said before somebody else ends the process.
            Err(error) if !self.inner.once => {
                tracing::warn!("{error}");
                Ok(())
            }
            finished => finished,
        };
        drop(checkpoints);
        let patience = if self.inner.coordinator.is_some() {
            self.inner.shared.stop(&stopping());
            STOPPING
        } else {
            // Process 0 ends all in order; this one may be the only one that was told to.
            self.inner.shared.mail(mail::Mail::Leave);
            FAREWELL + STOPPING
        };
        let stopped = self.inner.shared.wait_for_stop(self.inner.workers, Some(patience))?;
        if stopped && let Some(threads) = lock(&self.inner.threads).take() {
            drop(threads.join());
        } else if !stopped && self.inner.shared.leave() {
            tracing::warn!("stopped before all that was read was written");
        }
        // All that was stored is there now.
        let outlets = self.inner.coordinator.as_ref().map_or_else(Vec::new, |c| c.base.sinks.take());
        for (sink, outlet) in outlets {
            if !outlet.finish(until) {
                tracing::warn!(sink, "not all of it is sent; with --data-dir the next start goes on");
            }
        }
        if let Some(registry) = self.registry() {
            registry.close();
        }
        lock(&self.inner.data_dir).take();
        finished
    }

    /// When reading began, in milliseconds since 1970; 0 before that.
    pub fn started_ms(&self) -> i64 {
        self.inner.shared.started_ms()
    }

    /// What was measured lately, by all workers of all processes; on process 0.
    pub fn measures(&self) -> Measures {
        self.inner.shared.measures()
    }

    /// What has been read so far, by all workers; on process 0 of all processes.
    pub fn progress(&self) -> Progress {
        self.inner.shared.progress()
    }
}

fn stopping() -> Error {
    Error::new(Code::Interrupted, "the engine is stopping")
}

impl Drop for Inner {
    fn drop(&mut self) {
        if let Some(threads) = lock(&self.threads).take() {
            self.shared.command(Command::Stop);
            // Joining could wait for a worker that waits for a lost peer.
            std::mem::forget(threads);
        }
    }
}

fn spawn(config: &Config, shared: &Arc<Shared>, hello: Option<Command>) -> Result<WorkerGuards<()>> {
    let failed = |e: String| Error::runtime(format!("cannot start the workers: {e}"));
    let (builders, guard) = if config.hosts.len() > 1 {
        report_lost_peers(Arc::clone(shared));
        let sockets = cluster::connect(&config.hosts, config.process, config.workers)?;
        let hooks = Hooks::default();
        let local = ProcessBuilder::new_typed_vector(config.workers, hooks.refill.clone(), None);
        let (builders, guard) =
            initialize_networking_from_sockets(local, sockets, config.process, config.workers, hooks)
                .map_err(|e| failed(e.to_string()))?;
        let guard: Box<dyn std::any::Any + Send> = Box::new(guard);
        (builders.into_iter().map(AllocatorBuilder::Tcp).collect(), guard)
    } else if config.workers > 1 {
        CommunicationConfig::Process(config.workers).try_build().map_err(failed)?
    } else {
        CommunicationConfig::Thread.try_build().map_err(failed)?
    };
    let (config, shared) = (config.clone(), Arc::clone(shared));
    timely::execute::execute_from(builders, guard, timely::WorkerConfig::default(), move |worker| {
        let _stopped = Stopped(Arc::clone(&shared));
        worker::run(worker, &config, &shared, hello.clone());
    })
    .map_err(failed)
}

/// Timely's network threads panic when a peer goes away, and nothing can go on without it: that
/// becomes one line and the end, instead of a backtrace and silence.
fn report_lost_peers(shared: Arc<Shared>) {
    let others = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let message = panic.payload_as_str().unwrap_or_default();
        let peer =
            message.starts_with("timely communication error") || message.starts_with("MergeQueue poisoned");
        if peer {
            shared.fail(
                Error::runtime("another process of the cluster went away").hint("start all of them again"),
            );
        } else {
            others(panic);
        }
    }));
}

/// Tells that a worker has ended, also when it ended by a panic.
struct Stopped(Arc<Shared>);

impl Drop for Stopped {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.fail(Error::runtime("a worker stopped unexpectedly; this is a bug"));
        }
        self.0.worker_stopped();
    }
}

/// Takes away what was installed for answers, as they end; ends when the engine is gone.
fn clear_up(engine: Weak<Inner>, endings: Receiver<String>) {
    std::thread::spawn(move || {
        for id in endings {
            let Some(engine) = engine.upgrade() else { return };
            engine.coordinator.iter().for_each(|coordinator| coordinator.retire(&id));
        }
    });
}

/// For the progress bar, the totals line of `--once`, and `--strict`.
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Progress {
    pub bytes_read: u64,
    /// 0 when unknown.
    pub bytes_expected: u64,
    pub rows_in: u64,
    pub rows_rejected: u64,
    pub notes: u64,
}
