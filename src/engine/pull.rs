//! A table's rows for an answer: pieces of all workers, merged by key, as they are wanted.

use super::answers::Outlet;
use super::mail::Command;
use super::peeks::{Peek, Piece};
use super::shared::Shared;
use crate::aggregate::Key;
use crate::error::{Error, Result};
use crate::expr::Expr;
use crate::plan::{Lookup, TableId};
use crate::value::Row;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;

/// How often it is tried to find a tick that all workers can still read.
const ATTEMPTS: usize = 100;
/// How often who waits for rows looks whether they are still wanted.
const LOOK: Duration = Duration::from_millis(50);

/// What is asked of a table.
#[derive(Clone)]
pub struct Question {
    pub table: TableId,
    pub lookup: Lookup,
    pub filter: Option<Expr>,
}

/// What workers have answered to one question, until it is taken.
pub struct Asked {
    state: Mutex<State>,
    came: Notify,
}

struct State {
    /// By worker.
    pieces: Vec<VecDeque<Piece>>,
    over: Option<Over>,
}

/// Why there will be no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Over {
    /// The tick was compacted away before the question arrived: ask again.
    TooLate,
    /// The table went away.
    Gone,
    Stopped,
}

impl Asked {
    pub fn new(workers: usize) -> Asked {
        let state = State { pieces: (0..workers).map(|_| VecDeque::new()).collect(), over: None };
        Asked { state: Mutex::new(state), came: Notify::new() }
    }

    pub fn put(&self, worker: usize, piece: Piece) {
        self.state().pieces[worker].push_back(piece);
        self.came.notify_waiters();
    }

    pub fn end(&self, over: Over) {
        self.state().over.get_or_insert(over);
        self.came.notify_waiters();
    }

    /// The next piece of a worker, if it is there.
    fn taken(&self, worker: usize) -> Result<Option<Piece>, Over> {
        let mut state = self.state();
        match (state.pieces[worker].pop_front(), state.over) {
            (None, Some(over)) => Err(over),
            (piece, _) => Ok(piece),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The rows of a table at one tick, ascending by the bytes of their keys.
pub struct TableRows<'a> {
    shared: &'a Shared,
    question: Question,
    peek: u64,
    asked: Arc<Asked>,
    workers: Vec<Taken>,
}

/// The piece of a worker that is being read.
#[derive(Default)]
struct Taken {
    rows: VecDeque<(Key, Row)>,
    is_last: bool,
}

impl TableRows<'_> {
    pub fn ask(shared: &Shared, question: Question) -> TableRows<'_> {
        let (peek, asked) = shared.open_peek();
        let workers = (0..shared.peers).map(|_| Taken::default()).collect();
        let rows = TableRows { shared, question, peek, asked, workers };
        rows.send();
        rows
    }

    fn send(&self) {
        let Question { table, lookup, filter } = self.question.clone();
        self.shared.command(Command::Peek(Peek { peek: self.peek, table, tick: None, lookup, filter }));
    }

    /// At most so many of the next rows; none when there are no more, or `outlet` wants none.
    pub async fn next(&mut self, most: usize, outlet: &Outlet) -> Result<Vec<Row>> {
        let mut rows = Vec::new();
        let mut attempts = 0;
        while rows.len() < most {
            match self.fill(outlet).await {
                Ok(true) => {}
                Ok(false) => break,
                Err(Over::TooLate) if attempts < ATTEMPTS => {
                    // All say so before any row is taken: the next tick is another table.
                    attempts += 1;
                    let (peek, asked) = self.shared.open_peek();
                    self.shared.close_peek(self.peek);
                    (self.peek, self.asked) = (peek, asked);
                    self.workers.iter_mut().for_each(|taken| *taken = Taken::default());
                    self.send();
                    continue;
                }
                Err(over) => return Err(self.error(over)),
            }
            let ahead = self.workers.iter_mut().filter(|taken| !taken.rows.is_empty());
            let Some(least) = ahead.min_by(|a, b| a.rows[0].0.cmp(&b.rows[0].0)) else { break };
            rows.extend(least.rows.pop_front().map(|(_, row)| row));
        }
        Ok(rows)
    }

    /// Waits until the next row of each worker that has more is there. False: they are not wanted.
    async fn fill(&mut self, outlet: &Outlet) -> Result<bool, Over> {
        for (worker, taken) in self.workers.iter_mut().enumerate() {
            while taken.rows.is_empty() && !taken.is_last {
                let Some(piece) = take(&self.asked, worker, outlet).await? else { return Ok(false) };
                taken.is_last = piece.is_last;
                taken.rows = piece.rows.into();
                if !taken.is_last {
                    self.shared.command(Command::More { peek: self.peek, worker });
                }
            }
        }
        Ok(true)
    }

    fn error(&self, over: Over) -> Error {
        match over {
            Over::TooLate => Error::runtime("the table changes faster than it can be read").hint("try again"),
            Over::Gone => Error::runtime("the table was dropped while it was read"),
            Over::Stopped => self.shared.error().unwrap_or_else(|| Error::runtime("the engine has stopped")),
        }
    }
}

async fn take(asked: &Asked, worker: usize, outlet: &Outlet) -> Result<Option<Piece>, Over> {
    loop {
        let mut came = std::pin::pin!(asked.came.notified());
        // From here on what comes is noticed.
        came.as_mut().enable();
        if let Some(piece) = asked.taken(worker)? {
            return Ok(Some(piece));
        }
        if outlet.is_closed() {
            return Ok(None);
        }
        drop(tokio::time::timeout(LOOK, came).await);
    }
}

impl Drop for TableRows<'_> {
    fn drop(&mut self) {
        self.shared.close_peek(self.peek);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::answers::{AnswerKind, Limits};
    use crate::engine::mail::{Mail, PeekReply};
    use crate::value::Value;

    fn piece(keys: &[u8], is_last: bool) -> PeekReply {
        let row = |key: &u8| (Key::from([*key]), vec![Value::Int((*key).into())]);
        PeekReply::Piece(Piece { rows: keys.iter().map(row).collect(), is_last })
    }

    fn now<T>(what: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(what)
    }

    fn said(shared: &Shared) -> Vec<String> {
        let say = |command| match command {
            Command::Peek(peek) => format!("peek {}", peek.peek),
            Command::More { peek, worker } => format!("more of {peek} from {worker}"),
            Command::Unpeek { peek } => format!("end {peek}"),
            other => format!("{other:?}"),
        };
        shared.take_commands().into_iter().map(say).collect()
    }

    #[test]
    fn pieces_are_merged_by_key_and_no_more_are_asked_for_than_are_wanted() {
        let shared = Shared::new(0, 1, 2, Limits::default());
        let (_reader, outlet) = shared.answers.open("q", AnswerKind::Pull);
        let question = Question { table: 1, lookup: Lookup::All, filter: None };
        let put = |peek, worker, reply| shared.deliver(Mail::Peeked { peek, worker, reply });
        let mut rows = TableRows::ask(&shared, question);
        assert_eq!(said(&shared), ["peek 0"]);
        // One worker cannot answer at the tick that the other has answered at.
        put(0, 0, piece(&[7], false));
        put(0, 1, PeekReply::TooLate);
        let numbers =
            |rows: Vec<Row>| -> Vec<String> { rows.iter().map(|row| format!("{:?}", row[0])).collect() };
        let mut told = Vec::new();
        let first = std::thread::scope(|scope| {
            let reader = scope.spawn(|| numbers(now(rows.next(4, &outlet)).unwrap()));
            while told.last().is_none_or(|last| last != "peek 1") {
                told.extend(said(&shared));
                std::thread::yield_now();
            }
            put(1, 0, piece(&[1, 3], false));
            put(1, 1, piece(&[2, 4, 6], false));
            put(1, 0, piece(&[5, 9], false));
            reader.join().unwrap()
        });
        assert_eq!(first, ["Int(1)", "Int(2)", "Int(3)", "Int(4)"]);
        assert_eq!(told, ["more of 0 from 0", "end 0", "peek 1"]);
        assert_eq!(said(&shared), ["more of 1 from 0", "more of 1 from 1", "more of 1 from 0"]);
        put(1, 1, piece(&[8], true));
        assert_eq!(numbers(now(rows.next(3, &outlet)).unwrap()), ["Int(5)", "Int(6)", "Int(8)"]);
        drop(rows);
        assert_eq!(said(&shared), ["end 1"]);
        put(1, 0, piece(&[10], true));
    }
}
