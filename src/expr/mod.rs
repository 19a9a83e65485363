//! Typed expressions over batches.
//!
//! Binding (`bind`) turns syntax into an [`Expr`]: plain data that travels in a plan and that EXPLAIN
//! prints. A worker compiles it once with [`compile`] and evaluates it a batch at a time.
//! An expression that fails on a row yields NULL there and a note; it never fails the batch.

pub mod bind;
pub mod display;
pub mod walk;
pub mod nearest;
pub mod compile;
mod node;
mod arithmetic;
pub mod decimal;
mod compare;
mod logic;
mod membership;
mod like;
mod concat;
mod case;
pub mod cast;
mod nested;
mod call;
mod texts;
mod lambda;
pub mod expand;
pub mod function;
pub mod functions;

#[cfg(test)]
mod tests;

pub use bind::{RowOf, Scope, ScopeSource, bind, coerce, common_type};
pub use compile::{Projection, compile};
pub use display::display;
pub use walk::{references, rewrite, rewrite_everywhere};

use crate::sql::ast::BinaryOp;
use crate::types::SqlType;
use crate::value::Value;
use serde::{Deserialize, Serialize};
use std::time::{SystemTime, UNIX_EPOCH};

/// A bound expression: every node knows its type, operands are coerced already.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Expr {
    pub kind: ExprKind,
    pub ty: SqlType,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum ExprKind {
    /// Index into the batch's columns.
    Column(usize),
    Pseudo(Pseudo),
    /// NULL carries its type in `Expr::ty`.
    Literal(Value),
    Negate(Box<Expr>),
    Not(Box<Expr>),
    /// Both sides have one type (AND/OR: BOOLEAN), except DECIMAL arithmetic and comparison, whose
    /// scales may differ.
    Binary {
        op: BinaryOp,
        left: Box<Expr>,
        right: Box<Expr>,
    },
    In {
        operand: Box<Expr>,
        list: Vec<Expr>,
        negated: bool,
    },
    Like {
        operand: Box<Expr>,
        pattern: Box<Expr>,
        escape: Option<char>,
        negated: bool,
    },
    IsNull {
        operand: Box<Expr>,
        negated: bool,
    },
    /// Searched CASE; the simple form is rewritten to it.
    Case {
        branches: Vec<(Expr, Expr)>,
        otherwise: Option<Box<Expr>>,
    },
    Cast(Box<Expr>),
    /// Field `index` of a struct.
    Field {
        base: Box<Expr>,
        index: usize,
    },
    /// ARRAY by 1-based position (negative from the end), MAP by key.
    Subscript {
        base: Box<Expr>,
        index: Box<Expr>,
    },
    /// A function of `functions::ALL`, by name; which overload follows from the arguments' types.
    Call {
        function: String,
        args: Vec<Expr>,
    },
    Array(Vec<Expr>),
    Map(Vec<(Expr, Expr)>),
    Struct(Vec<Expr>),
    /// An argument of a function that takes functions; its type is that of what it returns.
    Lambda(Lambda),
}

/// A function that stands among the arguments of a call: `x => x + OFFSET`.
///
/// The body is an expression over rows of its own: one for each item that it is called with. Its columns
/// are the parameters, then what it captures of the rows around it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Lambda {
    /// Names, for EXPLAIN and messages.
    pub params: Vec<String>,
    /// Columns of the rows around it, or of the lambda around it.
    pub captured: Vec<Expr>,
    pub body: Box<Expr>,
}

/// Columns every stream has without declaring them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Pseudo {
    /// BIGINT, milliseconds.
    Rowtime,
    /// INT
    Rowpartition,
    /// BIGINT: the source and its partition, what RANDOM() and UUID() tell records apart by. Nobody
    /// writes it: it is no name in a statement.
    Roworigin,
    /// BIGINT
    Rowoffset,
    /// BIGINT, milliseconds: the wall clock when the row's tick was cut, the same for all rows of it on
    /// all workers. It is written UNIX_TIMESTAMP().
    Now,
}

impl Pseudo {
    const NAMED: [Pseudo; 3] = [Pseudo::Rowtime, Pseudo::Rowpartition, Pseudo::Rowoffset];

    pub fn find(name: &str) -> Option<Pseudo> {
        Pseudo::NAMED.into_iter().find(|pseudo| pseudo.name() == name)
    }

    pub fn name(self) -> &'static str {
        match self {
            Pseudo::Rowtime => "ROWTIME",
            Pseudo::Rowpartition => "ROWPARTITION",
            Pseudo::Roworigin => "ROWORIGIN",
            Pseudo::Rowoffset => "ROWOFFSET",
            Pseudo::Now => "UNIX_TIMESTAMP()",
        }
    }

    pub fn ty(self) -> SqlType {
        match self {
            Pseudo::Rowtime | Pseudo::Roworigin | Pseudo::Rowoffset | Pseudo::Now => SqlType::Bigint,
            Pseudo::Rowpartition => SqlType::Int,
        }
    }
}

/// What an evaluation is told of its moment and tells of single rows in which something went wrong. One
/// note a row and stage is kept: the first.
#[derive(Debug, Default)]
pub struct Notes {
    pub notes: Vec<Note>,
    /// What UNIX_TIMESTAMP() is: the tick's time. `None` outside of ticks, where it is that of asking.
    now: Option<i64>,
    /// Every row that failed, also where there was no room for its note. Only for those who ask.
    failed: Option<Vec<bool>>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Note {
    /// Row index in the batch that was evaluated.
    pub row: usize,
    /// Names the function or operator and the value.
    pub reason: String,
    /// Where the row came from; set by the stage that evaluated the batch.
    pub origin: Option<crate::batch::Position>,
}

impl Notes {
    /// The most notes kept for one batch; what is over is counted by the caller's books, not kept.
    pub const CAP: usize = 1_000;

    /// Notes that know every one of `rows` rows that failed.
    pub(crate) fn of_every_row(rows: usize) -> Notes {
        Notes { failed: Some(vec![false; rows]), ..Notes::default() }
    }

    /// For rows of a tick that was cut at that time, milliseconds since 1970.
    pub fn at(now: i64) -> Notes {
        Notes { now: Some(now), ..Notes::default() }
    }

    /// The time that all rows of this evaluation take for now.
    fn now(&mut self) -> i64 {
        let wall = || SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_millis() as i64);
        *self.now.get_or_insert_with(wall)
    }

    /// Empty notes on other rows, as thorough as these are.
    pub(crate) fn alike(&self, rows: usize) -> Notes {
        if self.failed.is_some() { Notes::of_every_row(rows) } else { Notes::default() }
    }

    /// How many of so many rows there is a use in naming.
    pub(crate) fn room(&self, rows: usize) -> usize {
        if self.failed.is_some() { rows } else { rows.min(Notes::CAP) }
    }

    /// Calls `visit` with the rows that failed and why, in the rows' order where every one is known.
    pub(crate) fn each(self, mut visit: impl FnMut(usize, &str)) {
        let Some(failed) = self.failed else {
            return self.notes.iter().for_each(|note| visit(note.row, &note.reason));
        };
        let mut reasons = vec![""; failed.len()];
        for note in self.notes.iter().rev() {
            reasons[note.row] = &note.reason;
        }
        (0..failed.len()).filter(|row| failed[*row]).for_each(|row| visit(row, reasons[row]));
    }

    pub fn note(&mut self, row: usize, reason: impl FnOnce() -> String) {
        if let Some(failed) = &mut self.failed {
            failed[row] = true;
        }
        if self.notes.len() < Notes::CAP {
            self.notes.push(Note { row, reason: reason(), origin: None });
        }
    }
}
