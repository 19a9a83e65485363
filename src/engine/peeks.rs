//! A worker's side of questions to tables: each is read in pieces, between other work of the worker.
//!
//! A question names a closed tick. Once that is closed here the table is read at it, some keys at a time; the
//! rows go to process 0 in pieces, as many ahead as it has asked for. So a scan of a large table holds up
//! neither what is maintained nor other questions, and stops when nobody wants more of it.

use super::mail::{Mail, PeekReply};
use super::shared::Shared;
use crate::aggregate::Key;
use crate::expr::Expr;
use crate::expr::Notes;
use crate::expr::compile::{Evaluator, compile};
use crate::plan::{Lookup, TableId};
use crate::render::context::Context;
use crate::render::pieces::Pieces;
use crate::render::table::Table;
use crate::render::timed::timed_row;
use crate::render::{RESTORED, Tick};
use crate::value::Row;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::rc::Rc;

/// Keys read at once: about a millisecond's work.
const KEYS: usize = 512;
/// Rows, and about how many bytes of them, that travel together.
const PIECE_ROWS: usize = 1_024;
const PIECE_BYTES: usize = 64 << 10;
/// Pieces that a worker sends before it is asked for more.
pub const AHEAD: usize = 2;

/// A question to a table.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Peek {
    pub peek: u64,
    pub table: TableId,
    /// Filled in by worker 0.
    pub tick: Option<Tick>,
    pub lookup: Lookup,
    pub filter: Option<Expr>,
}

/// Rows of one worker, ascending by their keys.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Piece {
    /// With their ROWTIMEs.
    pub rows: Vec<(Key, Row)>,
    /// Nothing follows.
    pub is_last: bool,
}

/// The questions that this worker is at.
#[derive(Default)]
pub struct Peeks {
    open: VecDeque<Open>,
}

struct Open {
    question: Peek,
    reading: Option<Reading>,
    /// Pieces that may be sent.
    credit: usize,
}

struct Reading {
    table: Rc<Table>,
    pieces: Pieces,
    filter: Option<Evaluator>,
    piece: Piece,
    bytes: usize,
}

impl Peek {
    /// On worker 0: at the newest tick that is closed there. Before the first one of a table that goes on
    /// from nothing it is that one: nothing that is there has been read before it.
    pub fn name_tick(&mut self, context: &Context) {
        let tables = context.tables.borrow();
        let Some(table) = tables.get(&self.table) else {
            self.tick = Some(RESTORED);
            return;
        };
        let closed = table.closed().unwrap_or(RESTORED);
        let goes_on = closed == RESTORED && table.closed().is_some() && !is_empty(table);
        self.tick = Some(if goes_on { RESTORED } else { closed.max(RESTORED + 1) });
    }
}

fn is_empty(table: &Table) -> bool {
    let mut pieces = Pieces::of(table, RESTORED, &Lookup::All);
    while !pieces.is_done() {
        if pieces.next(table, KEYS).1.len > 0 {
            return false;
        }
    }
    true
}

impl Peeks {
    pub fn open(&mut self, question: Peek) {
        self.open.push_back(Open { question, reading: None, credit: AHEAD });
    }

    /// One more piece is wanted.
    pub fn more(&mut self, peek: u64) {
        self.find(peek).into_iter().for_each(|open| open.credit += 1);
    }

    /// Nothing more is wanted.
    pub fn close(&mut self, peek: u64) {
        self.open.retain(|open| open.question.peek != peek);
    }

    fn find(&mut self, peek: u64) -> Option<&mut Open> {
        self.open.iter_mut().find(|open| open.question.peek == peek)
    }

    /// Whether some of them wait for their ticks to be closed.
    pub fn wait(&self) -> bool {
        self.open.iter().any(|open| open.reading.is_none())
    }

    /// Whether there is something to read right now.
    pub fn has_work(&self) -> bool {
        self.open.iter().any(|open| open.reading.is_some() && open.credit > 0)
    }

    /// Begins what can begin, and reads on a little: in one of them, the next time in the next.
    pub fn work(&mut self, context: &Context, shared: &Shared) {
        let mut rest = 1;
        for _ in 0..self.open.len() {
            let Some(mut open) = self.open.pop_front() else { return };
            if rest > 0 || open.reading.is_none() {
                let before = open.credit;
                if open.work(context, shared) {
                    continue;
                }
                rest -= usize::from(open.reading.is_some() && before > 0).min(rest);
            }
            self.open.push_back(open);
        }
    }
}

impl Open {
    /// True when it is through.
    fn work(&mut self, context: &Context, shared: &Shared) -> bool {
        let peek = self.question.peek;
        let reply = |reply| shared.mail(Mail::Peeked { peek, worker: context.index, reply });
        if self.reading.is_none() {
            let tick = self.question.tick.unwrap_or(RESTORED);
            let table = context.tables.borrow().get(&self.question.table).cloned();
            match table {
                None => {
                    reply(PeekReply::Gone);
                    return true;
                }
                Some(table) if table.closed().is_none_or(|closed| closed < tick) => return false,
                Some(table) if !table.readable(tick) => {
                    reply(PeekReply::TooLate);
                    return true;
                }
                Some(table) => self.reading = Some(Reading::begin(table, tick, &self.question)),
            }
        }
        let Some(reading) = self.reading.as_mut().filter(|_| self.credit > 0) else { return false };
        let Some(piece) = reading.step() else { return false };
        self.credit -= 1;
        let is_last = piece.is_last;
        reply(PeekReply::Piece(piece));
        is_last
    }
}

impl Reading {
    fn begin(table: Rc<Table>, tick: Tick, question: &Peek) -> Reading {
        let compiled = |filter: &Expr| compile(filter).expect("it compiled when the question was asked");
        Reading {
            pieces: Pieces::of(&table, tick, &question.lookup),
            table,
            filter: question.filter.as_ref().map(compiled),
            piece: Piece::default(),
            bytes: 0,
        }
    }

    /// Reads some keys; a piece when there is enough for one.
    fn step(&mut self) -> Option<Piece> {
        let (keys, batch) = self.pieces.next(&self.table, KEYS);
        let kept = self.filter.as_mut().map(|filter| filter.filter(&batch, &mut Notes::default()));
        for (i, key) in keys.into_iter().enumerate() {
            if kept.as_ref().is_none_or(|kept| kept.value(i)) {
                let row = timed_row(&batch, i);
                self.bytes += key.len() + row.iter().map(|value| value.bytes()).sum::<usize>();
                self.piece.rows.push((key, row));
            }
        }
        let is_last = self.pieces.is_done();
        let is_full = self.piece.rows.len() >= PIECE_ROWS || self.bytes >= PIECE_BYTES;
        (is_last || is_full).then(|| {
            self.bytes = 0;
            Piece { is_last, ..std::mem::take(&mut self.piece) }
        })
    }
}
