//! Aggregates as commutative monoids: accumulators that merge in any order to the same bits.
//!
//! Rows are pre-aggregated a batch at a time by [`PreAggregator`]; what leaves it is one small
//! [`State`] a group. States merge ([`State::merge`]) and finish ([`finish`]) into result values.

use crate::batch::{Column, Origin};
use crate::expr::function::Arg;
use crate::types::SqlType;
use crate::value::Value;
use serde::{Deserialize, Serialize};

/// One entry of the list of aggregates.
pub struct Aggregate {
    /// Upper case.
    pub name: &'static str,
    pub usage: &'static str,
    pub summary: &'static str,
    pub resolve: fn(&[Arg]) -> Result<Overload, String>,
}

/// Looks an aggregate up by its upper-case name.
pub fn find(_name: &str) -> Option<&'static Aggregate> {
    None
}

/// The overload that fits.
pub struct Overload {
    /// The type each *column* argument is coerced to; literal parameters (the K of TOPK) are consumed.
    pub args: Vec<SqlType>,
    pub returns: SqlType,
    pub spec: Spec,
}

/// What is kept for one aggregate call: plain data in the plan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Spec {
    /// COUNT(*)
    CountRows,
}

/// The accumulators of one group, one behind the other, in a self-describing stable byte form:
/// what differential keeps as its difference. Equal contents have equal bytes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct State(pub Box<[u8]>);

/// One element of a collection aggregate (COLLECT_LIST, COLLECT_SET, COUNT_DISTINCT), kept apart from
/// the state, one entry each: call index, then what orders it, then the value.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Element(pub Box<[u8]>);

/// The bytes of a group's key: its values by [`crate::value::encode_row`].
pub type Key = Box<[u8]>;

/// Groups rows and accumulates them; what it holds is bounded by the number of groups.
pub struct PreAggregator {}

impl PreAggregator {
    pub fn new(_specs: &[Spec], _arg_types: &[Vec<SqlType>]) -> PreAggregator {
        unimplemented!()
    }

    /// Adds a batch. `args` holds the columns of each call. Returns how many rows had a NULL key
    /// column: they belong to no group.
    pub fn add(&mut self, _keys: &[Column], _args: &[Vec<Column>], _origin: &Origin, _rows: usize) -> usize {
        unimplemented!()
    }

    /// Groups held now.
    pub fn groups(&self) -> usize {
        unimplemented!()
    }

    /// About how many bytes are held now.
    pub fn bytes(&self) -> usize {
        unimplemented!()
    }

    /// Hands out every group touched since the last flush, with its state and its collection
    /// elements with their multiplicity, and forgets them.
    pub fn flush(&mut self, _emit: &mut dyn FnMut(Key, State, Vec<(Element, i64)>)) {
        unimplemented!()
    }
}

impl State {
    /// Adds the other's rows to this one's.
    pub fn merge(&mut self, _other: &State) {
        unimplemented!()
    }
}

/// Whether any of the calls keeps collection elements.
pub fn keeps_elements(_specs: &[Spec]) -> bool {
    unimplemented!()
}

/// The result of each call. `elements` are the group's collection elements with their multiplicities,
/// ascending.
pub fn finish(_specs: &[Spec], _state: &State, _elements: &[(Element, i64)]) -> Vec<Value> {
    unimplemented!()
}

/// The results over rows given one by one with multiplicities: for retractable input, where a group
/// is computed anew from its present rows. Each row holds the column arguments of all calls, one
/// behind the other.
pub fn aggregate_rows(_specs: &[Spec], _rows: &[(&[Value], i64)]) -> Vec<Value> {
    unimplemented!()
}
