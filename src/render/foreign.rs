//! Tables joined by a foreign key: each row of the left table names the key of a row of the right one.
//!
//! ```text
//!  left ──► changes ──► (foreign key, left row, ±1) ──► exchange ──► arrange ─┬─► join ──► (left key, row, ±1)
//!  right ───────────────────────────────── touched keys ──────────────────────┘        ──► arrange
//! ```

use super::changes::{Change, Touched, changes, touched};
use super::dataflow::Rendered;
use super::joined::{exists, joined_row, side_row};
use super::packed::{Blob, Bytes, KeyedBatcher, RowSpine, RowUpdate};
use super::pending::{self, Pending};
use super::rekeyed::by_values;
use super::scan::{Scan, compact};
use super::table::{Content, Table, route, rows_to_batch};
use super::{RESTORED, Tick, touches};
use crate::aggregate::Key;
use crate::error::Result;
use crate::expr::Notes;
use crate::expr::compile::Projection;
use crate::plan::{Emission, Join, Side};
use crate::types::{ColumnDef, Part};
use crate::value::{Row, decode_row, encode_row};
use differential_dataflow::operators::arrange::TraceAgent;
use differential_dataflow::operators::arrange::arrangement::arrange_core;
use timely::dataflow::StreamVec;
use timely::dataflow::channels::pact::{Exchange, Pipeline};
use timely::dataflow::operators::Concat;
use timely::dataflow::operators::generic::Operator;
use timely::dataflow::operators::probe::{Handle, Probe};
use timely::progress::Antichain;

/// Joins a table to another one whose keys its rows name.
pub fn foreign<'s>(
    left: (Touched<'s>, Table),
    right: (Touched<'s>, Table),
    join: &Join,
    columns: &[ColumnDef],
    (emission, probe): (Emission, &Handle<Tick>),
) -> Result<Rendered<'s>> {
    let right = by_values(right, &join.right, emission)?;
    let identity = left.1.identity();
    let changes = changes(left.0, left.1, emission);
    let of_left = (emission == Emission::PerRecord).then(|| touches::own(changes.clone(), identity.clone()));
    let rows = named(changes, &join.left)?;
    let by_foreign = arrange_core::<_, _, KeyedBatcher, RowSpine>(
        rows,
        Exchange::new(|((key, _), _, _): &RowUpdate| route(&key.0)),
        "ArrangeByForeignKey",
        KeyedBatcher::new,
    );
    let named = touched::<TraceAgent<RowSpine>, _>(by_foreign.stream, |_| true);
    let touches = of_left.map(|own| {
        let (rows, right) = (by_foreign.trace.clone(), right.0.clone());
        own.concat(touches::named(named.clone(), right, rows, identity.clone()))
    });
    // The left table's key stays that of the joined rows, which begin with its own.
    let own = identity.clone();
    let updates = joined(named, right.0, by_foreign.trace, right.1, join, identity);
    let arranged = arrange_core::<_, _, KeyedBatcher, RowSpine>(
        updates,
        Exchange::new(|((key, _), _, _): &RowUpdate| route(&key.0)),
        "ArrangeJoined",
        KeyedBatcher::new,
    );
    // Its readers ask how far it is from the first on.
    let closed = Handle::new();
    let mut changed = touched::<TraceAgent<RowSpine>, _>(arranged.stream, |_| true).probe_with(&closed);
    if let Some(touches) = touches {
        changed = changed.concat(touches::count(touches, probe).0);
    }
    let named = |(i, column): (usize, &ColumnDef)| ColumnDef {
        part: Part::key_if(own.contains(&i)),
        ..column.clone()
    };
    let columns: Vec<ColumnDef> = columns.iter().enumerate().map(named).collect();
    let table = Table::new(Content::Rows(arranged.trace), None, &columns, &closed);
    Ok(Rendered::Table(changed, Box::new(table)))
}

/// Changes of the left table by the keys that their rows name.
pub fn named<'s>(
    changes: StreamVec<'s, Tick, Change>,
    side: &Side,
) -> Result<StreamVec<'s, Tick, RowUpdate>> {
    let mut keys = Projection::compile(&side.keys)?;
    let side = side.clone();
    Ok(changes.unary(Pipeline, "ForeignKeys", move |_, _| {
        move |input, output| {
            input.for_each(|cap, changes| {
                let mut session = output.session(&cap);
                let mut each: Vec<(Tick, i64, Row)> = Vec::new();
                for Change { tick, old, new, .. } in changes.drain(..) {
                    each.extend(old.map(|row| (tick, -1, row)));
                    each.extend(new.map(|row| (tick, 1, row)));
                }
                let rows: Vec<Row> =
                    each.iter().map(|(_, _, row)| side_row(&side, Some(row.clone()))).collect();
                let batch = rows_to_batch(&side.columns, &rows);
                let keys = keys.eval(&batch, &mut Notes::default());
                for (i, (tick, diff, row)) in each.into_iter().enumerate() {
                    let key: Row = keys.iter().map(|column| column.value(i)).collect();
                    session.give(((Blob(encode_row(&key)), Blob(encode_row(&row))), tick, diff));
                }
            });
        }
    }))
}

/// What becomes of the joined rows where a row of either side has changed. `identity`: the columns of the
/// left table's key.
fn joined<'s>(
    left: Touched<'s>,
    right: Touched<'s>,
    mut by_foreign: TraceAgent<RowSpine>,
    table: Table,
    join: &Join,
    identity: Vec<usize>,
) -> StreamVec<'s, Tick, RowUpdate> {
    let join = join.clone();
    // What the right table has had before is found by the first rows of the left one.
    let start = table.closed().unwrap_or(0);
    table.compact(start);
    left.binary_frontier(right, Pipeline, Pipeline, "ForeignJoin", move |capability, _| {
        let mut pending = Pending::new(capability);
        move |(left, left_frontier), (right, right_frontier), output| {
            left.for_each(|_, keys| pending.add(keys.drain(..)));
            right.for_each(|_, keys| pending.add(keys.drain(..).filter(|(_, tick)| *tick > start)));
            let open = pending::open(left_frontier).min(pending::open(right_frontier));
            while let Some((tick, keys, at)) = pending.closed(open) {
                let mut session = output.session(&at);
                let mut give = |at: Tick, diff: i64| {
                    let partners = table.lookup(at, &keys);
                    for (key, partner) in keys.iter().zip(partners) {
                        each_joined(&by_foreign, at, key, partner.row, &join, &identity, &mut |key, row| {
                            session.give(((Blob(key), Blob(row)), tick, diff));
                        });
                    }
                };
                if tick > RESTORED {
                    give(tick - 1, -1);
                }
                give(tick, 1);
            }
            if !pending.advance(open) {
                return;
            }
            let since = open.saturating_sub(1);
            table.compact(since.max(start));
            compact(&mut by_foreign, &Antichain::from_elem(since), &Antichain::from_elem(open));
        }
    })
}

/// Visits the joined rows of all left rows that name `key`.
fn each_joined(
    by_foreign: &TraceAgent<RowSpine>,
    tick: Tick,
    key: &Key,
    partner: Option<Row>,
    join: &Join,
    identity: &[usize],
    visit: &mut dyn FnMut(Key, Key),
) {
    if !exists(join.kind, true, partner.is_some()) {
        return;
    }
    let mut scan = Scan::<RowSpine>::of(by_foreign, None, tick);
    scan.at(key, &mut |_: Bytes<'_>, row: Bytes<'_>, count: i64| {
        if count > 0 {
            let row = decode_row(&row).expect("rows are kept as they were encoded");
            let own = touches::own_key(&row, identity);
            let compared = decode_row(key).expect("keys are as they were encoded");
            let joined = joined_row(join, compared, Some(row), partner.clone());
            visit(encode_row(&own), encode_row(&joined));
        }
    });
}
