//! What the threads of one process share: commands on their way in, answers on their way out, state.

use super::Progress;
use super::answers::{Answers, Limits};
use super::checkpoint::{Report, Taken};
use super::hold::Positions;
use super::lock;
use super::mail::{Command, Mail, PeekReply};
use super::measures::{Measures, Told};
use super::pull::{Asked, Over};
use crate::connector::log::Ends;
use crate::error::{Error, Result};
use crate::plan::DataflowId;
use crate::registry::{Client, Lookups};
use crate::render::Tick;
use crate::render::process::{AnswerRow, Counters, Process};
use crate::render::record_times::RecordTimes;
use crate::render::source::SharedSource;
use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Condvar, Mutex, OnceLock};
use std::thread::Thread;
use std::time::{Duration, Instant};

pub struct Shared {
    pub process: usize,
    /// Workers of all processes.
    pub peers: usize,
    pub counters: Counters,
    started_ms: AtomicI64,
    state: Mutex<State>,
    changed: Condvar,
    commands: Mutex<VecDeque<Command>>,
    outbox: Mutex<VecDeque<Mail>>,
    /// The workers of this process as they start, to be woken; the first one for commands.
    threads: Vec<OnceLock<Thread>>,
    pub answers: Arc<Answers>,
    pub record_times: RecordTimes,
    peeks: Mutex<BTreeMap<u64, Arc<Asked>>>,
    asked: AtomicU64,
    schemas: OnceLock<Lookups>,
    /// What the workers share of sources that not all of them have installed yet, and how many have.
    sources: Mutex<BTreeMap<DataflowId, (Arc<SharedSource>, usize)>>,
    /// By worker of this process: nobody asks it about the end of a tick before this one any more.
    horizons: Vec<AtomicU64>,
    /// Where who takes a checkpoint waits.
    reports: Mutex<Option<SyncSender<(u64, Report)>>>,
    /// Where who holds readers waits to hear how far they are, by number.
    places: Mutex<BTreeMap<u64, SyncSender<Positions>>>,
    /// On process 0: what the others have read.
    others: Mutex<BTreeMap<usize, (Progress, bool)>>,
    processes: usize,
    /// On process 0: what was measured.
    told: Mutex<Told>,
}

#[derive(Default)]
struct State {
    own_inputs_done: bool,
    inputs_done: bool,
    /// The last [`Command::Settle`] that was sent, and that is done.
    settling: u64,
    settled: u64,
    stopped: usize,
    /// All are to stop, in order.
    leaving: bool,
    error: Option<Error>,
}

impl Shared {
    /// The registry that this process asks: the one that `open` opens, the first time.
    pub fn schemas(&self, open: impl FnOnce() -> Result<Client>) -> Result<Lookups> {
        if let Some(schemas) = self.schemas.get() {
            return Ok(schemas.clone());
        }
        let opened = Lookups::new(open()?);
        Ok(self.schemas.get_or_init(|| opened).clone())
    }

    /// `peers`: workers of all `processes`.
    pub fn new(process: usize, processes: usize, peers: usize, answers: Limits) -> Shared {
        Shared {
            process,
            processes,
            others: Mutex::default(),
            schemas: OnceLock::new(),
            sources: Mutex::default(),
            horizons: (0..peers / processes).map(|_| AtomicU64::new(0)).collect(),
            told: Mutex::default(),
            peers,
            counters: Counters::default(),
            started_ms: AtomicI64::new(0),
            state: Mutex::default(),
            changed: Condvar::new(),
            commands: Mutex::default(),
            outbox: Mutex::default(),
            threads: (0..peers / processes).map(|_| OnceLock::new()).collect(),
            answers: Arc::new(Answers::new(answers)),
            record_times: RecordTimes::default(),
            peeks: Mutex::default(),
            asked: AtomicU64::new(0),
            reports: Mutex::default(),
            places: Mutex::default(),
        }
    }

    // ---- in: commands ----

    pub fn command(&self, command: Command) {
        lock(&self.commands).push_back(command);
        self.wake_first();
    }

    /// The first worker of the process looks what there is to carry.
    fn wake_first(&self) {
        self.threads.first().and_then(OnceLock::get).into_iter().for_each(Thread::unpark);
    }

    pub fn take_commands(&self) -> VecDeque<Command> {
        std::mem::take(&mut *lock(&self.commands))
    }

    /// Called by worker `worker` of this process.
    pub fn set_worker_thread(&self, worker: usize) {
        let _ = self.threads[worker].set(std::thread::current());
    }

    pub fn set_started_ms(&self, ms: i64) {
        let _ = self.started_ms.compare_exchange(0, ms, Ordering::Relaxed, Ordering::Relaxed);
    }

    // ---- out: mail to process 0 ----

    /// Delivers at once on process 0; elsewhere the first worker carries it there.
    pub fn mail(&self, mail: Mail) {
        if self.process == 0 {
            return self.deliver(mail);
        }
        lock(&self.outbox).push_back(mail);
        self.wake_first();
    }

    pub fn take_mail(&self) -> VecDeque<Mail> {
        std::mem::take(&mut *lock(&self.outbox))
    }

    pub fn deliver(&self, mail: Mail) {
        match mail {
            Mail::Rows { answer, rows } => self.answers.push(&answer, rows),
            Mail::Ended { answer } => self.answers.ended(&answer, self.peers),
            Mail::Peeked { peek, worker, reply } => self.peeked(peek, worker, reply),
            Mail::Checkpoint { number, report } => {
                if let Some(reports) = &*lock(&self.reports) {
                    // Who has given up waiting does not want it.
                    let _ = reports.try_send((number, report));
                }
            }
            Mail::Located { number, positions } => {
                if let Some(places) = lock(&self.places).get(&number) {
                    let _ = places.try_send(positions);
                }
            }
            Mail::Failed(error) => self.fail(error),
            Mail::Read { process, progress, done } => {
                lock(&self.others).insert(process, (progress, done));
                self.check_inputs();
            }
            Mail::Measured { worker, measured } => lock(&self.told).tell(worker, *measured),
            Mail::Leave => {
                lock(&self.state).leaving = true;
                self.changed.notify_all();
            }
            mail @ (Mail::Command(_) | Mail::Said { .. }) => unreachable!("{mail:?} is for workers"),
        }
    }

    // ---- peeks ----

    /// Registers a question to all workers, and where their replies are put.
    pub fn open_peek(&self) -> (u64, Arc<Asked>) {
        let peek = self.asked.fetch_add(1, Ordering::Relaxed);
        let asked = Arc::new(Asked::new(self.peers));
        let mut peeks = lock(&self.peeks);
        // Under the lock, so that the last worker either clears this question or is seen here.
        match lock(&self.state).stopped {
            0 => drop(peeks.insert(peek, Arc::clone(&asked))),
            _ => asked.end(Over::Stopped),
        }
        (peek, asked)
    }

    /// Nobody wants more replies to a question.
    pub fn close_peek(&self, peek: u64) {
        if lock(&self.peeks).remove(&peek).is_some() {
            self.command(Command::Unpeek { peek });
        }
    }

    fn peeked(&self, peek: u64, worker: usize, reply: PeekReply) {
        let Some(asked) = lock(&self.peeks).get(&peek).cloned() else { return };
        match reply {
            PeekReply::Piece(piece) => asked.put(worker, piece),
            PeekReply::TooLate => asked.end(Over::TooLate),
            PeekReply::Gone => asked.end(Over::Gone),
        }
    }

    fn end_peeks(&self) {
        std::mem::take(&mut *lock(&self.peeks)).values().for_each(|asked| asked.end(Over::Stopped));
    }

    // ---- checkpoints ----

    /// From now on workers' answers to checkpoints go here.
    pub fn expect_reports(&self) -> Receiver<(u64, Report)> {
        // Room for those of an attempt that was abandoned, too.
        let (sender, receiver) = sync_channel(4 * self.peers);
        *lock(&self.reports) = Some(sender);
        receiver
    }

    /// A question to all workers where readers are, and where their answers come.
    pub fn expect_places(&self) -> (u64, Receiver<Positions>) {
        let number = self.asked.fetch_add(1, Ordering::Relaxed);
        let (sender, receiver) = sync_channel(self.peers);
        lock(&self.places).insert(number, sender);
        (number, receiver)
    }

    pub fn forget_places(&self, number: u64) {
        lock(&self.places).remove(&number);
    }

    pub fn has_stopped(&self) -> bool {
        let state = lock(&self.state);
        state.stopped > 0 || state.error.is_some()
    }

    /// A checkpoint is there, or still holds all that there is.
    pub fn set_checkpoint(&self, taken: Taken) {
        lock(&self.told).checkpoint = Some(taken);
    }

    // ---- measures ----

    pub fn set_delivered(&self, delivered: BTreeMap<String, Ends>) {
        lock(&self.told).delivered = delivered;
    }

    pub fn measures(&self) -> Measures {
        let measures = lock(&self.told).sum();
        let (answers, answer_rows, answer_bytes) = self.answers.measure();
        Measures { answers, answer_rows, answer_bytes, notes: self.progress().notes, ..measures }
    }

    // ---- state ----

    /// Stops the workers of all processes; who waits for an answer is told why there is no more of it.
    pub fn stop(&self, why: &Error) {
        self.answers.close_all(why);
        self.end_peeks();
        if self.process == 0 {
            self.command(Command::Stop);
        }
    }

    pub fn error(&self) -> Option<Error> {
        lock(&self.state).error.clone()
    }

    /// This process's inputs are through.
    pub fn set_inputs_done(&self) {
        lock(&self.state).own_inputs_done = true;
        if self.process > 0 {
            self.mail(Mail::Read { process: self.process, progress: self.own_progress(), done: true });
        }
        self.check_inputs();
    }

    /// On process 0 all processes have to say so, since their counts come with it.
    fn check_inputs(&self) {
        let others = lock(&self.others).values().filter(|(_, done)| *done).count();
        let mut state = lock(&self.state);
        if state.own_inputs_done && (self.process > 0 || others + 1 == self.processes) {
            state.inputs_done = true;
            self.changed.notify_all();
        }
    }

    /// Waits until all that is there now has been read, and is through. Of topics that worker 0 of process 0
    /// reads, as it reads all where a tick holds one record.
    pub fn settle(&self, timeout: Duration) -> Result<bool> {
        let number = {
            let mut state = lock(&self.state);
            state.settling += 1;
            state.settling
        };
        self.command(Command::Settle { number });
        self.wait(Some(timeout), |state| state.settled >= number || state.stopped > 0)?;
        Ok(lock(&self.state).settled >= number)
    }

    pub fn set_settled(&self, number: u64) {
        lock(&self.state).settled = number;
        self.changed.notify_all();
    }

    pub fn worker_stopped(&self) {
        lock(&self.state).stopped += 1;
        self.changed.notify_all();
        // Who waits for rows of this worker would wait for ever.
        self.end_peeks();
    }

    /// True when all bounded inputs are through; false when `timeout` passed or the engine stopped
    /// before.
    pub fn wait_for_inputs(&self, timeout: Option<Duration>) -> Result<bool> {
        self.wait(timeout, |state| state.inputs_done || state.stopped > 0)?;
        Ok(lock(&self.state).inputs_done)
    }

    /// Waits until `workers` workers have stopped.
    pub fn wait_for_stop(&self, workers: usize, timeout: Option<Duration>) -> Result<bool> {
        self.wait(timeout, |state| state.stopped >= workers)
    }

    /// Waits until `workers` workers have stopped, or are to.
    pub fn wait_to_stop(&self, workers: usize) -> Result<()> {
        self.wait(None, |state| state.stopped >= workers || state.leaving).map(drop)
    }

    /// Nobody need wait for the workers any more. False when that was so already.
    pub fn leave(&self) -> bool {
        let before = std::mem::replace(&mut lock(&self.state).leaving, true);
        self.changed.notify_all();
        !before
    }

    fn wait(&self, timeout: Option<Duration>, ready: impl Fn(&State) -> bool) -> Result<bool> {
        let deadline = timeout.map(|t| Instant::now() + t);
        let mut state = lock(&self.state);
        loop {
            if let Some(error) = &state.error {
                return Err(error.clone());
            }
            if ready(&state) {
                return Ok(true);
            }
            let left = match deadline {
                None => Duration::from_secs(3_600),
                Some(deadline) => match deadline.checked_duration_since(Instant::now()) {
                    Some(left) if !left.is_zero() => left,
                    _ => return Ok(false),
                },
            };
            state = self.changed.wait_timeout(state, left).unwrap_or_else(|e| e.into_inner()).0;
        }
    }

    pub fn progress(&self) -> Progress {
        let others = lock(&self.others);
        others.values().fold(self.own_progress(), |sum, (progress, _)| Progress {
            bytes_read: sum.bytes_read + progress.bytes_read,
            bytes_expected: sum.bytes_expected + progress.bytes_expected,
            rows_in: sum.rows_in + progress.rows_in,
            rows_rejected: sum.rows_rejected + progress.rows_rejected,
            notes: sum.notes + progress.notes,
        })
    }

    pub fn own_progress(&self) -> Progress {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Progress {
            bytes_read: get(&self.counters.bytes_read),
            bytes_expected: get(&self.counters.bytes_expected),
            rows_in: get(&self.counters.rows_in),
            rows_rejected: get(&self.counters.rows_rejected),
            notes: get(&self.counters.notes),
        }
    }
}

impl Process for Shared {
    fn index(&self) -> usize {
        self.process
    }

    fn workers(&self) -> usize {
        self.horizons.len()
    }

    fn started_ms(&self) -> i64 {
        self.started_ms.load(Ordering::Relaxed)
    }

    fn counters(&self) -> &Counters {
        &self.counters
    }

    fn record_times(&self) -> &RecordTimes {
        &self.record_times
    }

    fn fail(&self, error: Error) {
        if self.process != 0 {
            lock(&self.outbox).push_back(Mail::Failed(error.clone()));
        }
        lock(&self.state).error.get_or_insert(error.clone());
        self.changed.notify_all();
        self.stop(&error);
    }

    fn say(&self) {
        self.counters.said.fetch_add(1, Ordering::Relaxed);
        self.threads.iter().filter_map(OnceLock::get).for_each(Thread::unpark);
    }

    fn source(&self, id: DataflowId) -> Arc<SharedSource> {
        let mut sources = lock(&self.sources);
        let (source, taken) = sources.entry(id).or_default();
        *taken += 1;
        let (source, is_last) = (Arc::clone(source), *taken == self.workers());
        if is_last {
            sources.remove(&id);
        }
        source
    }

    fn set_horizon(&self, worker: usize, tick: Tick) {
        self.horizons[worker].store(tick, Ordering::Relaxed);
    }

    fn horizon(&self) -> Tick {
        self.horizons.iter().map(|tick| tick.load(Ordering::Relaxed)).min().unwrap_or(0)
    }

    fn answer(&self, answer: &str, rows: Vec<AnswerRow>) {
        self.mail(Mail::Rows { answer: answer.into(), rows });
    }

    fn end_answer(&self, answer: &str) {
        self.mail(Mail::Ended { answer: answer.into() });
    }

    fn is_behind(&self, answer: &str) -> bool {
        self.answers.is_behind(answer)
    }
}
