//! Keys of a derived table that a record touched, where its readers are told of unchanged rows too.
//!
//! Differential drops the update of a row to the same row. Where a tick holds one record
//! ([`Emission::PerRecord`]), each touch of a key counts in an arrangement beside the table's own, which has
//! an entry a key; a table over a stream needs none, since its states count rows.
//!
//! [`Emission::PerRecord`]: crate::plan::Emission::PerRecord

use super::Tick;
use super::changes::{Change, Touched, touched};
use super::packed::{Blob, Bytes, KeyedBatcher, RowSpine, RowUpdate};
use super::pending::{self, Pending};
use super::scan::{Scan, compact};
use super::table::route;
use super::timed::timed_batch;
use super::transform::Transform;
use crate::aggregate::Key;
use crate::error::Result;
use crate::expr::{Expr, Notes};
use crate::types::SqlType;
use crate::value::{Row, decode_row, encode_row};
use differential_dataflow::operators::arrange::TraceAgent;
use differential_dataflow::operators::arrange::arrangement::arrange_core;
use std::collections::BTreeSet;
use timely::dataflow::StreamVec;
use timely::dataflow::channels::pact::{Exchange, Pipeline};
use timely::dataflow::operators::generic::Operator;
use timely::dataflow::operators::probe::{Handle, Probe};
use timely::dataflow::operators::vec::Map;
use timely::progress::Antichain;

/// Counts touches of keys, where the keys belong.
pub fn count<'s>(keys: Touched<'s>, probe: &Handle<Tick>) -> (Touched<'s>, TraceAgent<RowSpine>) {
    let updates: StreamVec<'s, Tick, RowUpdate> =
        keys.map(|(key, tick)| ((Blob(key), Blob(Box::default())), tick, 1));
    let arranged = arrange_core::<_, _, KeyedBatcher, RowSpine>(
        updates,
        Exchange::new(|((key, _), _, _): &RowUpdate| route(&key.0)),
        "CountTouches",
        KeyedBatcher::new,
    );
    let counted = touched::<TraceAgent<RowSpine>, _>(arranged.stream, |_| true);
    (counted.probe_with(probe), arranged.trace)
}

/// The keys of the derived rows that a parent's changes touch: the first `keys` of `exprs`.
pub fn derived<'s>(
    changes: StreamVec<'s, Tick, Change>,
    filter: Option<&Expr>,
    exprs: Vec<Expr>,
    keys: usize,
    types: Vec<SqlType>,
) -> Result<Touched<'s>> {
    let mut transform = Transform::new(filter, exprs)?;
    Ok(changes.unary(Pipeline, "DerivedTouches", move |_, _| {
        move |input, output| {
            input.for_each(|cap, changes| {
                let mut session = output.session(&cap);
                for Change { tick, old, new, .. } in changes.drain(..) {
                    // What is wrong with a row is noted where it is derived.
                    let mut key_of = |row: Row| -> Option<Key> {
                        let out = transform.apply(&timed_batch(&types, &[row]), &mut Notes::default());
                        (out.len == 1).then(|| encode_row(&out.row(0)[..keys]))
                    };
                    let touched: BTreeSet<Key> =
                        [old, new].into_iter().flatten().filter_map(&mut key_of).collect();
                    touched.into_iter().for_each(|key| session.give((key, tick)));
                }
            });
        }
    }))
}

/// The keys of the rows of a join's left table that its own changes touch.
pub fn own<'s>(changes: StreamVec<'s, Tick, Change>, identity: Vec<usize>) -> Touched<'s> {
    changes.flat_map(move |Change { tick, old, new, .. }| {
        let row = new.or(old)?;
        Some((encode_row(&own_key(&row, &identity)), tick))
    })
}

/// The keys of the left rows that name a touched key of the right table. `left`: the changes of
/// `by_foreign`, for its frontier; a left row counts as it is at the end of the tick.
pub fn named<'s>(
    left: Touched<'s>,
    right: Touched<'s>,
    mut by_foreign: TraceAgent<RowSpine>,
    identity: Vec<usize>,
) -> Touched<'s> {
    left.binary_frontier(right, Pipeline, Pipeline, "NamedTouches", move |capability, _| {
        let mut pending = Pending::new(capability);
        move |(left, left_frontier), (right, right_frontier), output| {
            left.for_each(|_, keys| keys.clear());
            right.for_each(|_, keys| pending.add(keys.drain(..)));
            let open = pending::open(left_frontier).min(pending::open(right_frontier));
            while let Some((tick, keys, at)) = pending.closed(open) {
                let mut session = output.session(&at);
                let mut scan = Scan::<RowSpine>::of(&by_foreign, None, tick);
                for key in &keys {
                    scan.at(key, &mut |_: Bytes<'_>, row: Bytes<'_>, count: i64| {
                        if count > 0 {
                            let row = decode_row(&row).expect("rows are kept as they were encoded");
                            session.give((encode_row(&own_key(&row, &identity)), tick));
                        }
                    });
                }
            }
            if !pending.advance(open) {
                return;
            }
            compact(
                &mut by_foreign,
                &Antichain::from_elem(open.saturating_sub(1)),
                &Antichain::from_elem(open),
            );
        }
    })
}

/// The key of a row whose columns `identity` are it.
pub fn own_key(row: &Row, identity: &[usize]) -> Row {
    identity.iter().map(|&column| row[column].clone()).collect()
}
