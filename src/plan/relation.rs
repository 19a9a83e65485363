//! What a query reads its rows from: a tree of scans and joins below a SELECT's own stages.

use super::{Input, QueryInput};
use crate::expr::Expr;
use crate::sql::ast::JoinKind;
use crate::types::SqlType;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Relation {
    /// The query's input of that number, with its columns.
    Scan(usize),
    Join(Box<Join>),
}

/// Pairs rows of two relations.
///
/// Its rows have the columns of the left side, those of the right side, and one for each expression that
/// is compared: the join's key, which a row without a partner has, too. The columns of a side that is a
/// scan are followed by its rows' ROWTIME, ROWPARTITION and ROWOFFSET.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Join {
    pub left: Side,
    pub right: Side,
    pub kind: JoinKind,
    pub method: Method,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Side {
    pub relation: Relation,
    /// As it stands in the statement, for the books.
    pub name: String,
    /// Types of its columns.
    pub columns: Vec<SqlType>,
    /// What is compared, over its columns; as many and of the same types on both sides.
    pub keys: Vec<Expr>,
    /// Orders rows of both sides that came at one time.
    pub ordinal: u32,
}

/// How partners are found.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Method {
    /// Two streams: rows that are no further apart than this, milliseconds.
    Within(Within),
    /// Each row of a stream with the row that a table has for its key at that time.
    Lookup,
    /// Two tables, by the keys of both.
    Keys,
    /// A table whose rows name the key of another one's.
    ForeignKey,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Within {
    /// How much earlier than the left row the right one may be.
    pub before_ms: i64,
    pub after_ms: i64,
    /// `None`: rows without a partner are padded at once, and again when one comes.
    pub grace_ms: Option<i64>,
}

/// The grace of a WITHIN that names none: a day, less the join's window.
const DAY_MS: i64 = 24 * 3_600_000;

impl Within {
    /// How long a row waits for partners after the join's time has passed it.
    pub fn grace(&self) -> i64 {
        let window = self.before_ms.saturating_add(self.after_ms);
        self.grace_ms.unwrap_or(DAY_MS.saturating_sub(window).max(0))
    }
}

/// What a scan's rows have behind its columns where it is a side of a join.
pub const RECORD_COLUMNS: usize = 3;

impl Join {
    /// How many columns its rows have.
    pub fn width(&self) -> usize {
        self.left.columns.len() + self.right.columns.len() + self.left.keys.len()
    }

    /// The columns of each side that are read where `wanted` of the joined rows are.
    pub fn wanted(&self, wanted: &[bool]) -> (Vec<bool>, Vec<bool>) {
        let (left, rest) = wanted.split_at(self.left.columns.len());
        let right = &rest[..self.right.columns.len()];
        (self.left.with_keys(left), self.right.with_keys(right))
    }

    pub fn types(&self) -> Vec<SqlType> {
        let keys = self.left.keys.iter().map(|key| key.ty.clone());
        self.left.columns.iter().chain(&self.right.columns).cloned().chain(keys).collect()
    }

    /// The name of what it keeps of rows of streams, which no other join of the query has.
    pub fn kept_name(&self) -> String {
        let mut below = 0;
        self.left.relation.each_join(&mut |_| below += 1);
        format!("join {}", below + 1)
    }

    /// Whether its rows are a table's: they are replaced and go.
    pub fn is_table(&self) -> bool {
        matches!(self.method, Method::Keys | Method::ForeignKey)
    }
}

impl Relation {
    /// Marks in `inputs` the columns of each input that are read where `wanted` of this relation's are.
    pub fn reads(&self, wanted: &[bool], inputs: &mut [Vec<bool>]) {
        match self {
            Relation::Scan(input) => {
                inputs[*input].iter_mut().zip(wanted).for_each(|(reads, wanted)| *reads |= wanted);
            }
            Relation::Join(join) => {
                let (left, right) = join.wanted(wanted);
                join.left.relation.reads(&left, inputs);
                join.right.relation.reads(&right, inputs);
            }
        }
    }

    /// The names of its columns, for EXPLAIN; `inputs`: those of the inputs' columns.
    pub fn column_names(&self, inputs: &[Vec<String>]) -> Vec<String> {
        let of_side = |side: &Side| {
            let mut names = side.relation.column_names(inputs);
            if side.relation.is_scan() {
                let record = ["ROWTIME", "ROWPARTITION", "ROWOFFSET"].map(String::from);
                names = names.into_iter().chain(record).map(|n| format!("{}.{n}", side.name)).collect();
            }
            names
        };
        match self {
            Relation::Scan(input) => inputs.get(*input).cloned().unwrap_or_default(),
            Relation::Join(join) => {
                let keys = (0..join.left.keys.len())
                    .map(|i| if i == 0 { "ROWKEY".into() } else { format!("ROWKEY_{i}") });
                of_side(&join.left).into_iter().chain(of_side(&join.right)).chain(keys).collect()
            }
        }
    }

    /// Whether its rows are a table's.
    pub fn is_table(&self, inputs: &[QueryInput]) -> bool {
        match self {
            Relation::Scan(input) => matches!(inputs[*input].from, Input::Table(_)),
            Relation::Join(join) => join.is_table(),
        }
    }

    /// The inputs whose rows are looked up by the rows of a stream.
    pub fn looked_up(&self) -> Vec<usize> {
        let Relation::Join(join) = self else { return Vec::new() };
        let mut inputs = join.left.relation.looked_up();
        match (&join.right.relation, join.method) {
            (Relation::Scan(input), Method::Lookup) => inputs.push(*input),
            (right, _) => inputs.extend(right.looked_up()),
        }
        inputs
    }

    /// Visits all joins, those below others first.
    pub fn each_join<'j>(&'j self, visit: &mut dyn FnMut(&'j Join)) {
        if let Relation::Join(join) = self {
            join.left.relation.each_join(visit);
            join.right.relation.each_join(visit);
            visit(join);
        }
    }

    /// Visits all expressions that joins compare.
    pub fn each_key<'e>(&'e self, visit: &mut dyn FnMut(&'e Expr)) {
        if let Relation::Join(join) = self {
            for side in [&join.left, &join.right] {
                side.relation.each_key(visit);
                side.keys.iter().for_each(&mut *visit);
            }
        }
    }

    /// Whether all inputs are read one by one and nothing is joined.
    pub fn is_scan(&self) -> bool {
        matches!(self, Relation::Scan(_))
    }
}

impl Side {
    fn with_keys(&self, wanted: &[bool]) -> Vec<bool> {
        let mut wanted = wanted.to_vec();
        let mut mark = |column| wanted[column] = true;
        self.keys.iter().for_each(|key| crate::expr::references(key, &mut mark));
        wanted
    }

    /// How many of its columns are the relation's own.
    pub fn own_columns(&self) -> usize {
        self.columns.len() - if self.relation.is_scan() { RECORD_COLUMNS } else { 0 }
    }
}
