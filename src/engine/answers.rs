//! Answers between who makes their rows and the client who reads them.
//!
//! ```text
//! workers ──mail──► push    never waits: an answer whose rows wait for too long ends with an error
//! scans   ────────► send    waits for room: they go at their client's speed
//!                    ↓
//!                 Queue ──► Rows    the client's end; dropping it ends the answer
//! ```
//! What waits is counted in bytes, for each answer and for all of them together.

use super::AnswerRow;
use super::lock;
use crate::error::{Code, Error};
use crate::types::ColumnDef;
use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;

/// The answer to a SELECT or PRINT: its columns, then rows as they come.
pub struct Answer {
    pub id: String,
    pub kind: AnswerKind,
    /// Key columns are marked; their order is the SELECT's.
    pub columns: Vec<ColumnDef>,
    /// Dropping it closes the answer.
    pub rows: Rows,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnswerKind {
    /// Of a table: ends by itself when what is there has been sent.
    Pull,
    /// Of streams: the same, over their past.
    PullStream,
    /// Goes on until it is closed or its LIMIT is reached.
    Push,
    /// One VARCHAR column: PRINT's lines.
    Print,
}

#[derive(Debug)]
pub enum AnswerEvent {
    Rows(Vec<AnswerRow>),
    /// Nothing follows.
    End(AnswerEnd),
    /// Nothing follows either.
    Error(Error),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnswerEnd {
    LimitReached,
    /// All there was (pull), or the input ended, or somebody closed the query.
    Completed,
}

impl AnswerKind {
    /// Whether it ends by itself, so that nobody looks at its rows before the end.
    pub fn is_pull(self) -> bool {
        matches!(self, AnswerKind::Pull | AnswerKind::PullStream)
    }
}

impl Answer {
    /// The next event, from a thread that may block.
    pub fn next_event(&mut self) -> Option<AnswerEvent> {
        self.rows.blocking_recv()
    }
}

impl AnswerEvent {
    fn rows(&self) -> usize {
        if let AnswerEvent::Rows(rows) = self { rows.len() } else { 0 }
    }
}

/// How many bytes of rows may wait.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub each: usize,
    pub all: usize,
}

impl Limits {
    /// `all`: bytes of all answers together; one may have a quarter of them.
    pub fn of(all: usize) -> Limits {
        Limits { each: all / 4, all }
    }
}

impl Default for Limits {
    fn default() -> Limits {
        Limits::of(64 << 20)
    }
}

/// Rows that go together: a client holds as much beside what waits.
const EVENT_BYTES: usize = 64 << 10;

/// All answers of an engine.
pub struct Answers {
    waiting: Arc<Waiting>,
    open: Mutex<BTreeMap<String, Arc<Queue>>>,
    /// Where it is said which have ended: once each.
    ended: Sender<String>,
    /// Until somebody takes it.
    endings: Mutex<Option<Receiver<String>>>,
    numbers: AtomicU64,
}

/// What waits in all answers together.
struct Waiting {
    limits: Limits,
    bytes: AtomicUsize,
    rows: AtomicUsize,
}

/// What waits in one answer.
struct Queue {
    id: String,
    kind: AnswerKind,
    /// Workers send its rows, and do not wait for room.
    is_mailed: bool,
    state: Mutex<State>,
    /// Something came, or nothing more will come: for who blocks, and for who does not.
    changed: Condvar,
    came: Notify,
    /// Room was made, or nothing more is taken.
    room: Notify,
    waiting: Arc<Waiting>,
}

#[derive(Default)]
struct State {
    events: VecDeque<(AnswerEvent, usize)>,
    bytes: usize,
    /// Rows that LIMIT still lets pass.
    remaining: Option<u64>,
    /// Workers that have nothing more to say.
    ended: usize,
    /// Nothing is taken any more.
    finished: bool,
    /// Nobody reads any more.
    left: bool,
}

impl Answers {
    pub fn new(limits: Limits) -> Answers {
        // An id an answer: it holds no more than there are answers.
        #[allow(clippy::disallowed_methods)]
        let (ended, endings) = channel();
        let waiting = Waiting { limits, bytes: AtomicUsize::new(0), rows: AtomicUsize::new(0) };
        Answers {
            waiting: Arc::new(waiting),
            open: Mutex::default(),
            ended,
            endings: Mutex::new(Some(endings)),
            numbers: AtomicU64::new(0),
        }
    }

    /// A number for one that is to be opened.
    pub fn next_number(&self) -> u64 {
        self.numbers.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// The ids of those that have ended, as they do; whoever takes this first hears of all.
    pub fn endings(&self) -> Option<Receiver<String>> {
        lock(&self.endings).take()
    }

    /// Opens an answer that somebody computes: its client's end, and that one's.
    pub fn open(self: &Arc<Self>, id: &str, kind: AnswerKind) -> (Rows, Outlet) {
        let rows = self.queued(id, kind, None, false);
        let outlet = Outlet { queue: Arc::clone(&rows.queue), answers: Arc::clone(self) };
        (rows, outlet)
    }

    /// Opens an answer whose rows workers send.
    pub fn open_mailed(self: &Arc<Self>, id: &str, kind: AnswerKind, limit: Option<u64>) -> Rows {
        self.queued(id, kind, limit, true)
    }

    fn queued(self: &Arc<Self>, id: &str, kind: AnswerKind, limit: Option<u64>, is_mailed: bool) -> Rows {
        let queue = Arc::new(Queue {
            id: id.into(),
            kind,
            is_mailed,
            state: Mutex::new(State { remaining: limit, ..State::default() }),
            changed: Condvar::new(),
            came: Notify::new(),
            room: Notify::new(),
            waiting: Arc::clone(&self.waiting),
        });
        lock(&self.open).insert(id.into(), Arc::clone(&queue));
        Rows { queue, answers: Arc::clone(self) }
    }

    /// Whether it is the id of an open push query.
    pub fn is_push(&self, id: &str) -> bool {
        self.queue(id).is_some_and(|queue| queue.kind == AnswerKind::Push)
    }

    /// Whether so many of its rows wait that no more should be made.
    pub fn is_behind(&self, id: &str) -> bool {
        self.queue(id).is_some_and(|queue| queue.state().bytes > self.waiting.limits.each / 2)
    }

    /// How many push queries are open.
    pub fn pushes(&self) -> usize {
        lock(&self.open).values().filter(|queue| queue.kind == AnswerKind::Push).count()
    }

    /// Open answers, and rows and bytes that wait for their clients.
    pub fn measure(&self) -> (usize, usize, usize) {
        let get = |count: &AtomicUsize| count.load(Ordering::Relaxed);
        (lock(&self.open).len(), get(&self.waiting.rows), get(&self.waiting.bytes))
    }

    /// Rows from a worker. Never waits: where too many wait, an answer ends instead.
    pub fn push(&self, id: &str, rows: Vec<AnswerRow>) {
        let Some(queue) = self.queue(id) else { return };
        if let Some(last) = queue.push(rows) {
            self.finish(&queue, last);
        }
        while self.waiting.bytes.load(Ordering::Relaxed) > self.waiting.limits.all {
            // Who reads slowest makes room for the others.
            let Some(worst) = self.worst() else { return };
            let all = self.waiting.limits.all;
            worst.state().drop_rows(&self.waiting);
            self.finish(&worst, AnswerEvent::Error(too_slow("the clients read", all)));
        }
    }

    /// A worker has nothing more for an answer; `peers`: so many have to say so.
    pub fn ended(&self, id: &str, peers: usize) {
        let Some(queue) = self.queue(id) else { return };
        let is_last = {
            let mut state = queue.state();
            state.ended += 1;
            state.ended == peers
        };
        if is_last {
            self.finish(&queue, AnswerEvent::End(AnswerEnd::Completed));
        }
    }

    /// Ends an answer from this side.
    pub fn close(&self, id: &str) {
        if let Some(queue) = self.queue(id) {
            self.finish(&queue, AnswerEvent::End(AnswerEnd::Completed));
        }
    }

    /// Ends all of them.
    pub fn close_all(&self, why: &Error) {
        let open: Vec<Arc<Queue>> = lock(&self.open).values().cloned().collect();
        open.iter().for_each(|queue| self.finish(queue, AnswerEvent::Error(why.clone())));
    }

    fn queue(&self, id: &str) -> Option<Arc<Queue>> {
        lock(&self.open).get(id).cloned()
    }

    /// The answer of workers with the most bytes that wait.
    fn worst(&self) -> Option<Arc<Queue>> {
        let open = lock(&self.open);
        let mailed = open.values().filter(|queue| queue.is_mailed);
        mailed.max_by_key(|queue| queue.state().bytes).filter(|queue| queue.state().bytes > 0).cloned()
    }

    /// Nothing follows `last`.
    fn finish(&self, queue: &Queue, last: AnswerEvent) {
        queue.finish(last);
        self.forget(&queue.id);
    }

    fn forget(&self, id: &str) {
        if lock(&self.open).remove(id).is_some() {
            // Where nobody listens, nothing has to be taken away.
            let _ = self.ended.send(id.into());
        }
    }
}

fn too_slow(who: &str, bytes: usize) -> Error {
    let message = format!("{who} too slowly: over {} KiB of rows wait", bytes >> 10);
    Error::new(Code::Limit, message).hint("select less, or read faster; the query was closed")
}

impl State {
    fn take(&mut self, event: AnswerEvent, bytes: usize, waiting: &Waiting) {
        let rows = event.rows();
        self.bytes += bytes;
        waiting.rows.fetch_add(rows, Ordering::Relaxed);
        waiting.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.events.push_back((event, bytes));
    }

    fn give(&mut self, waiting: &Waiting) -> Option<AnswerEvent> {
        let (event, bytes) = self.events.pop_front()?;
        self.bytes -= bytes;
        waiting.rows.fetch_sub(event.rows(), Ordering::Relaxed);
        waiting.bytes.fetch_sub(bytes, Ordering::Relaxed);
        Some(event)
    }

    fn drop_rows(&mut self, waiting: &Waiting) {
        while self.give(waiting).is_some() {}
    }

    /// Lets pass what LIMIT lets pass. True when that was the last row.
    fn limit(&mut self, rows: &mut Vec<AnswerRow>) -> bool {
        let Some(remaining) = &mut self.remaining else { return false };
        rows.truncate(usize::try_from(*remaining).unwrap_or(usize::MAX));
        *remaining -= rows.len() as u64;
        *remaining == 0
    }
}

impl Queue {
    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// What ends the answer, if these rows do.
    fn push(&self, mut rows: Vec<AnswerRow>) -> Option<AnswerEvent> {
        let mut state = self.state();
        if state.finished || state.left {
            return None;
        }
        let is_last = state.limit(&mut rows);
        for (rows, bytes) in pieces(rows) {
            state.take(AnswerEvent::Rows(rows), bytes, &self.waiting);
        }
        // What is mailed for a pull is made no faster than it is taken, but for what is under way.
        let Limits { each, all } = self.waiting.limits;
        let each = if self.kind == AnswerKind::Pull { all } else { each };
        let end = if state.bytes > each {
            state.drop_rows(&self.waiting);
            Some(AnswerEvent::Error(too_slow("the client reads", each)))
        } else {
            is_last.then_some(AnswerEvent::End(AnswerEnd::LimitReached))
        };
        drop(state);
        self.wake();
        end
    }

    fn finish(&self, last: AnswerEvent) {
        let mut state = self.state();
        if !state.finished {
            state.finished = true;
            state.take(last, 0, &self.waiting);
        }
        drop(state);
        self.wake();
    }

    fn wake(&self) {
        self.changed.notify_all();
        self.came.notify_waiters();
        self.room.notify_waiters();
    }
}

/// Rows in pieces of some size, each with its bytes.
fn pieces(rows: Vec<AnswerRow>) -> Vec<(Vec<AnswerRow>, usize)> {
    let mut pieces = Vec::new();
    let (mut piece, mut bytes) = (Vec::new(), 0);
    for row in rows {
        bytes += row.bytes();
        piece.push(row);
        if bytes >= EVENT_BYTES {
            pieces.push((std::mem::take(&mut piece), std::mem::take(&mut bytes)));
        }
    }
    if !piece.is_empty() {
        pieces.push((piece, bytes));
    }
    pieces
}

/// How often who waits for room looks for itself.
const LOOK: Duration = Duration::from_millis(20);

/// What became of rows that were offered.
enum Offered {
    Taken,
    Full,
    Unwanted,
}

/// The end of an answer for who computes it, and may wait for room.
pub struct Outlet {
    queue: Arc<Queue>,
    answers: Arc<Answers>,
}

impl Outlet {
    /// Waits for room. False when nothing more is wanted.
    pub async fn send(&self, rows: Vec<AnswerRow>) -> bool {
        for (rows, bytes) in pieces(rows) {
            let mut piece = Some(rows);
            loop {
                let mut room = std::pin::pin!(self.queue.room.notified());
                // From here on it is noticed.
                room.as_mut().enable();
                match self.offer(&mut piece, bytes) {
                    Offered::Taken => break,
                    Offered::Unwanted => return false,
                    // Room in all may be made elsewhere: that wakes nobody here.
                    Offered::Full => drop(tokio::time::timeout(LOOK, room).await),
                }
            }
        }
        true
    }

    fn offer(&self, piece: &mut Option<Vec<AnswerRow>>, bytes: usize) -> Offered {
        let mut state = self.queue.state();
        if state.finished || state.left {
            return Offered::Unwanted;
        }
        if !self.has_room(&state, bytes) {
            return Offered::Full;
        }
        if let Some(rows) = piece.take() {
            state.take(AnswerEvent::Rows(rows), bytes, &self.queue.waiting);
        }
        drop(state);
        self.queue.wake();
        Offered::Taken
    }

    fn has_room(&self, state: &State, bytes: usize) -> bool {
        let Waiting { limits, bytes: all, .. } = &*self.queue.waiting;
        let fits = state.bytes + bytes <= limits.each && all.load(Ordering::Relaxed) + bytes <= limits.all;
        state.events.is_empty() || fits
    }

    /// Nothing more is wanted.
    pub fn is_closed(&self) -> bool {
        let state = self.queue.state();
        state.finished || state.left
    }

    /// Nothing follows `last`.
    pub fn finish(&self, last: AnswerEvent) {
        self.answers.finish(&self.queue, last);
    }
}

impl Drop for Outlet {
    fn drop(&mut self) {
        // Not after an end: then this changes nothing.
        let lost = Error::runtime("the answer ended unexpectedly; this is a bug");
        self.answers.finish(&self.queue, AnswerEvent::Error(lost));
    }
}

/// The client's end of an answer.
pub struct Rows {
    queue: Arc<Queue>,
    answers: Arc<Answers>,
}

impl Rows {
    /// The next event; `None` behind the last one.
    pub async fn recv(&mut self) -> Option<AnswerEvent> {
        let queue = Arc::clone(&self.queue);
        loop {
            let mut came = std::pin::pin!(queue.came.notified());
            // From here on what comes is noticed.
            came.as_mut().enable();
            match self.try_recv() {
                Ok(event) => return event,
                Err(Empty) => came.await,
            }
        }
    }

    /// The same, from a thread that may block.
    pub fn blocking_recv(&mut self) -> Option<AnswerEvent> {
        let mut state = self.queue.state();
        loop {
            if let Some(event) = state.give(&self.queue.waiting) {
                self.queue.room.notify_waiters();
                return Some(event);
            }
            if state.finished {
                return None;
            }
            state = self.queue.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// What is there now.
    pub fn try_recv(&mut self) -> Result<Option<AnswerEvent>, Empty> {
        let mut state = self.queue.state();
        let event = state.give(&self.queue.waiting);
        let finished = state.finished;
        drop(state);
        self.queue.room.notify_waiters();
        if event.is_none() && !finished { Err(Empty) } else { Ok(event) }
    }
}

/// Nothing is there, and more may come.
#[derive(Debug)]
pub struct Empty;

impl Drop for Rows {
    fn drop(&mut self) {
        let mut state = self.queue.state();
        state.left = true;
        state.drop_rows(&self.queue.waiting);
        drop(state);
        self.queue.room.notify_waiters();
        self.answers.forget(&self.queue.id);
    }
}

#[cfg(test)]
mod tests;
