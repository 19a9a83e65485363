//! Aggregates as commutative monoids: accumulators that merge in any order to the same bits.
//!
//! Rows are pre-aggregated a batch at a time by [`PreAggregator`]; what leaves it is one small
//! [`State`] a group. States merge ([`State::merge`]) and finish ([`finish`]) into result values.
//!
//! ```text
//!  key columns ─ groups ─ slots ┐
//!  argument columns ─ view ─────┴─ dense accumulators: sums, extremes, latest, elements
//!                                     ↓ flush
//!                          state (merge) + elements ─ finish ─ values
//! ```

mod varint;
mod packed;
pub mod exact;
mod wide;
mod moments;
mod quotient;
mod state;
mod merge;
mod elements;
mod spec;
mod list;
pub mod view;
mod intern;
mod recent;
mod groups;
mod dense;
mod sums;
mod extremes;
mod latest;
mod preaggregate;
mod finish;
pub mod overflow;
mod retract;
pub mod wire;
#[cfg(test)]
mod tests;

pub use finish::{finish, row_deleted};
pub use list::{ALL, find};
pub use preaggregate::PreAggregator;
pub use retract::Present;
pub use spec::{Spec, Statistic, keeps_elements, order_sensitive};

use crate::expr::function::Arg;
use crate::expr::{Expr, ExprKind};
use crate::sql::ast::BinaryOp;
use crate::types::{SqlType, StructField};
use serde::{Deserialize, Serialize};

/// Where ksqlDB has an aggregate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InKsqldb {
    OverBoth,
    /// It cannot undo what leaves a table.
    OverStreams,
    No,
}

/// One entry of the list of aggregates.
pub struct Aggregate {
    /// Upper case.
    pub name: &'static str,
    pub usage: &'static str,
    pub summary: &'static str,
    /// A call, an array of the values that its column X has, and the result as text.
    pub example: (&'static str, &'static str, &'static str),
    pub in_ksqldb: InKsqldb,
    /// COUNT(*) comes without arguments.
    pub resolve: fn(&[Arg]) -> Result<Overload, String>,
}

/// The overload that fits.
#[derive(Debug)]
pub struct Overload {
    /// The type each *column* argument is coerced to; literal parameters (the K of TOPK) are consumed.
    pub args: Vec<SqlType>,
    /// What becomes of the arguments before they are aggregated.
    pub pack: Pack,
    pub returns: SqlType,
    pub spec: Spec,
}

/// What becomes of a call's arguments before they are aggregated.
#[derive(Clone, Debug, PartialEq)]
pub enum Pack {
    /// They are columns of the call.
    Each,
    /// They become one struct with these field names; NULL where one of the first `needed` is.
    Row { fields: Vec<String>, needed: usize },
}

impl Pack {
    /// The expressions of the call's columns.
    pub fn apply(self, args: Vec<Expr>) -> Vec<Expr> {
        let Pack::Row { fields, needed } = self else { return args };
        let boolean = |kind| Expr { kind, ty: SqlType::Boolean };
        let given = args[..needed]
            .iter()
            .map(|arg| boolean(ExprKind::IsNull { operand: Box::new(arg.clone()), negated: true }))
            .reduce(|left, right| {
                boolean(ExprKind::Binary { op: BinaryOp::And, left: Box::new(left), right: Box::new(right) })
            });
        let types = fields.into_iter().zip(&args).map(|(name, arg)| StructField { name, ty: arg.ty.clone() });
        let ty = SqlType::Struct(types.collect());
        let row = Expr { kind: ExprKind::Struct(args), ty: ty.clone() };
        let Some(given) = given else { return vec![row] };
        vec![Expr { kind: ExprKind::Case { branches: vec![(given, row)], otherwise: None }, ty }]
    }
}

/// The accumulators of one group, one behind the other, in a self-describing stable byte form:
/// what differential keeps as its difference. Equal contents have equal bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct State(#[serde(with = "wire")] pub Box<[u8]>);

impl State {
    /// What takes so many rows away, with all that was made of them. Only where all rows of a key go and
    /// none follow: accumulators that are not invertible stay until the count is 0.
    pub fn expiring(rows: i64) -> State {
        let mut writer = state::Writer::default();
        writer.begin(rows.wrapping_neg(), i64::MIN);
        writer.state()
    }

    /// So many rows, of which nothing else is known.
    pub fn counting(rows: i64, rowtime: i64) -> State {
        let mut writer = state::Writer::default();
        writer.begin(rows, rowtime);
        writer.state()
    }

    /// What takes so many rows away because they belong elsewhere now: a change of the key's row.
    pub fn removing(rows: i64) -> State {
        let mut writer = state::Writer::default();
        writer.begin(rows.wrapping_neg(), i64::MIN + 1);
        writer.state()
    }

    /// Whether it only takes away, so that the key goes because its time is over: not a change of its row.
    pub fn has_expired(&self) -> bool {
        state::Reader::default()
            .begin(&mut &*self.0)
            .is_some_and(|(rows, rowtime)| rows < 0 && rowtime == i64::MIN)
    }

    /// How many rows are in it.
    pub fn rows(&self) -> i64 {
        state::Reader::default().begin(&mut &*self.0).map_or(0, |(rows, _)| rows)
    }

    /// The greatest ROWTIME of its rows.
    pub fn rowtime(&self) -> Option<i64> {
        state::Reader::default().begin(&mut &*self.0).map(|(_, rowtime)| rowtime)
    }

    /// Whether it counts no row: then nothing is left of it.
    #[inline]
    pub fn is_nothing(&self) -> bool {
        // A zero is one byte in the form of variable length.
        self.0.first().is_none_or(|first| *first == 0)
    }
}

/// One element of a collection aggregate (COLLECT_LIST and what [`Spec::keeps_set`]), kept apart from
/// the state of its group and with a state of its own: call index, then what orders it, then the value.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Element(pub Box<[u8]>);

impl Element {
    /// Where it is kept: behind the key of its group.
    pub fn behind(&self, key: &[u8]) -> Key {
        [key, &*self.0].concat().into()
    }
}

/// The bytes of a group's key: its values by [`crate::value::encode_row`].
pub type Key = Box<[u8]>;
