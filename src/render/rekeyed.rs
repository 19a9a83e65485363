//! A table kept once more, by what a join compares: where its own key is kept in another form than the other
//! side's, rows would not find each other.

use super::changes::{Touched, changes, touched};
use super::foreign::named;
use super::packed::{KeyedBatcher, RowSpine, RowUpdate};
use super::table::{Content, Table, route};
use crate::error::Result;
use crate::expr::{Expr, ExprKind};
use crate::plan::{Emission, Side};
use differential_dataflow::operators::arrange::TraceAgent;
use differential_dataflow::operators::arrange::arrangement::arrange_core;
use timely::dataflow::channels::pact::Exchange;
use timely::dataflow::operators::probe::{Handle, Probe};

/// A table and the keys that change in it, as they are kept.
pub type Changing<'s> = (Touched<'s>, Table);

/// Two tables whose equal keys are kept in equal bytes, on the same workers.
pub fn alike<'s>(
    left: Changing<'s>,
    right: Changing<'s>,
    sides: [&Side; 2],
    emission: Emission,
) -> Result<[Changing<'s>; 2]> {
    let [of_left, of_right] = sides;
    if is_by_its_key(&left.1, of_left)
        && is_by_its_key(&right.1, of_right)
        && left.1.kept_window() == right.1.kept_window()
    {
        return Ok([left, right]);
    }
    Ok([rekeyed(left, of_left, emission)?, rekeyed(right, of_right, emission)?])
}

/// A table whose rows are found by the bytes of what the join compares.
pub fn by_values<'s>(table: Changing<'s>, side: &Side, emission: Emission) -> Result<Changing<'s>> {
    match is_by_its_key(&table.1, side) && table.1.kept_window().is_none() {
        true => Ok(table),
        false => rekeyed(table, side, emission),
    }
}

/// Whether what is compared are the columns of the table's key, in their order.
fn is_by_its_key(table: &Table, side: &Side) -> bool {
    let column = |key: &Expr| if let ExprKind::Column(column) = key.kind { Some(column) } else { None };
    side.keys.iter().map(column).eq(table.identity().into_iter().map(Some))
}

fn rekeyed<'s>((from, table): Changing<'s>, side: &Side, emission: Emission) -> Result<Changing<'s>> {
    let columns = table.columns.clone();
    let rows = named(changes(from, table, emission), side)?;
    let arranged = arrange_core::<_, _, KeyedBatcher, RowSpine>(
        rows,
        Exchange::new(|((key, _), _, _): &RowUpdate| route(&key.0)),
        "ArrangeByComparedKey",
        KeyedBatcher::new,
    );
    let closed = Handle::new();
    let changed = touched::<TraceAgent<RowSpine>, _>(arranged.stream, |_| true).probe_with(&closed);
    Ok((changed, Table::new(Content::Rows(arranged.trace), None, &columns, &closed)))
}

impl Table {
    /// What tells windows apart in the keys that are kept: how many values, and how long a window is.
    pub fn kept_window(&self) -> Option<(usize, Option<i64>)> {
        match &*self.content.borrow() {
            Content::Joined(joined) => return joined.left.kept_window(),
            Content::View(view) => return view.table.kept_window(),
            Content::States { .. } | Content::Rows(_) => {}
        }
        let finisher = self.finisher.borrow();
        let window = finisher.as_ref().and_then(|finisher| finisher.aggregation.window)?;
        Some((window.stored(), window.size_ms()))
    }
}
