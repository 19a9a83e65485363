//! A table's changes as a stream: which keys a tick touched, and their rows before and after.
//!
//! Fed by a table's arrangement, feeds tables that are derived from it and clients that watch it.
//! A reader that comes later first gets the present rows, as changes from nothing, unless it wants changes only.

use super::context::Context;
use super::joined::{Joined, View};
use super::packed::{Bytes, RowSpine, StateSpine};
use super::pending::{self, Pending};
use super::table::{Content, Found, Table};
use super::timed::{rowtime, timed_row, values};
use super::{RESTORED, Tick};
use crate::aggregate::{Key, State};
use crate::batch::{Batch, Timestamps};
use crate::plan::{Emission, QueryPlan};
use crate::types::{ColumnDef, Part};
use crate::value::{Row, Value};
use arrow_buffer::BooleanBuffer;
use differential_dataflow::operators::arrange::TraceAgent;
use differential_dataflow::operators::arrange::agent::ShutdownButton;
use differential_dataflow::trace::cursor::Cursor;
use differential_dataflow::trace::{BatchCursor, Navigable, TraceReader};
use std::collections::BTreeSet;
use std::rc::Rc;
use timely::container::CapacityContainerBuilder;
use timely::dataflow::channels::pact::Pipeline;
use timely::dataflow::operators::CapabilitySet;
use timely::dataflow::operators::generic::Operator;
use timely::dataflow::{Scope, StreamVec};

/// Keys that changed, with the ticks at which they did.
pub type Touched<'s> = StreamVec<'s, Tick, (Key, Tick)>;

/// Ends an import.
pub type Press = ShutdownButton<CapabilitySet<Tick>>;

/// One key's row before and after a tick, with their ROWTIMEs; they may differ in these alone.
#[derive(Clone, Debug)]
pub struct Change {
    pub tick: Tick,
    /// The ROWTIME of what became of the key.
    pub rowtime: i64,
    pub old: Option<Row>,
    pub new: Option<Row>,
}

impl Change {
    /// Whether the row comes, goes or has other values than before.
    pub fn has_new_values(&self) -> bool {
        self.old.as_deref().map(values) != self.new.as_deref().map(values)
    }
}

/// Imports a table's arrangements into another dataflow.
pub fn import<'s>(
    scope: Scope<'s, Tick>,
    content: &mut Content,
    table: impl FnOnce(Content) -> Table,
) -> (Touched<'s>, Table, Vec<Press>) {
    match content {
        Content::States { states, elements } => {
            let (arranged, press) = states.import_core(scope, "ImportStates");
            let mut touched =
                self::touched::<TraceAgent<StateSpine>, State>(arranged.stream, |state| !state.has_expired());
            let mut presses = vec![press];
            let elements = elements.as_mut().map(|elements| {
                let (arranged, press) = elements.import_core(scope, "ImportElements");
                // Their groups are among the states' keys: only the frontier has to cover both.
                use timely::dataflow::operators::Concat;
                touched = touched.clone().concat(frontier_of::<TraceAgent<StateSpine>>(arranged.stream));
                presses.push(press);
                arranged.trace
            });
            (touched, table(Content::States { states: arranged.trace, elements }), presses)
        }
        Content::Rows(rows) => {
            let (arranged, press) = rows.import_core(scope, "ImportRows");
            let touched = self::touched::<TraceAgent<RowSpine>, _>(arranged.stream, |_| true);
            (touched, table(Content::Rows(arranged.trace)), vec![press])
        }
        Content::Joined(joined) => {
            use timely::dataflow::operators::Concat;
            let (left_touched, left, mut presses) = joined.left.share(scope);
            let (right_touched, right, others) = joined.right.share(scope);
            presses.extend(others);
            let joined = Joined { left, right, join: joined.join.clone() };
            (left_touched.concat(right_touched), table(Content::Joined(Box::new(joined))), presses)
        }
        Content::View(view) => {
            let (touched, shared, presses) = view.table.share(scope);
            let view = View::new(shared, &view.select).expect("it compiled before");
            (touched, table(Content::View(Box::new(view))), presses)
        }
    }
}

/// Nothing, at the pace of an arrangement.
fn frontier_of<'s, Tr>(stream: StreamVec<'s, Tick, differential_dataflow::trace::SpanOf<Tr>>) -> Touched<'s>
where
    Tr: TraceReader<Time = Tick> + 'static,
{
    stream.unary::<CapacityContainerBuilder<_>, _, _, _>(Pipeline, "Frontier", |_, _| {
        |input, _| input.for_each(|_, spans| spans.clear())
    })
}

/// The keys of an arrangement's updates; those that `counts` says are no changes are left out.
pub fn touched<'s, Tr, R: 'static>(
    stream: StreamVec<'s, Tick, differential_dataflow::trace::SpanOf<Tr>>,
    counts: fn(&R) -> bool,
) -> Touched<'s>
where
    Tr: TraceReader<Time = Tick> + 'static,
    Tr::Batch: Navigable,
    for<'a> BatchCursor<Tr>: Cursor<Key<'a> = Bytes<'a>, TimeGat<'a> = &'a Tick, Diff = R>,
{
    stream.unary(Pipeline, "Touched", |_, _| {
        move |input, output| {
            input.for_each(|cap, spans| {
                let mut session = output.session(&cap);
                for batch in spans.drain(..).filter_map(|span| span.inner) {
                    let mut cursor = batch.cursor();
                    while let Some(key) = cursor.get_key(&batch) {
                        let mut ticks = BTreeSet::new();
                        while cursor.val_valid(&batch) {
                            cursor.map_times(&batch, |tick, diff| {
                                if counts(&BatchCursor::<Tr>::owned_diff(diff)) {
                                    ticks.insert(*tick);
                                }
                            });
                            cursor.step_val(&batch);
                        }
                        ticks.into_iter().for_each(|tick| session.give((key.0.into(), tick)));
                        cursor.step_key(&batch);
                    }
                }
            });
        }
    })
}

/// Touched keys → changes. `table` is this dataflow's own handle: it holds back compaction until a
/// tick's changes have been read from it. Emitting per record, rows that stay as they are are changes, too.
pub fn changes<'s>(touched: Touched<'s>, table: Table, emission: Emission) -> StreamVec<'s, Tick, Change> {
    changes_after(touched, table, emission, None)
}

/// As [`changes`], but of what there was up to a tick nothing is told.
pub fn changes_after<'s>(
    touched: Touched<'s>,
    table: Table,
    emission: Emission,
    after: Option<Tick>,
) -> StreamVec<'s, Tick, Change> {
    let present = table.closed().unwrap_or(0);
    table.compact(present);
    // All that is closed now is reported as one change from nothing, at this tick, or not at all.
    let start = present.max(after.unwrap_or(0));
    let is_told = move |old: &Option<Row>, new: &Option<Row>| {
        old != new || (emission == Emission::PerRecord && new.is_some())
    };
    touched.unary_frontier(Pipeline, "Changes", move |capability, _| {
        let mut pending = Pending::new(capability);
        let mut started = after.is_some();
        move |(input, frontier), output| {
            input.for_each(|_, keys| pending.add(keys.drain(..).filter(|(_, tick)| *tick > start)));
            let Some(held) = pending.held() else { return };
            let open = pending::open(frontier);
            if !started && open > start {
                started = true;
                let mut session = output.session(held);
                table.scan(start, None, &mut |rows| {
                    (0..rows.len).for_each(|i| {
                        let rowtime = rows.origin.rowtime.at(i);
                        let new = Some(timed_row(rows, i));
                        session.give(Change { tick: *held.time(), rowtime, old: None, new })
                    });
                });
            }
            while let Some((tick, keys, at)) = pending.closed(open) {
                let mut session = output.session(&at);
                let before = table.lookup(tick - 1, &keys);
                let after = table.lookup(tick, &keys);
                for (old, Found { row: new, time }) in before.into_iter().zip(after) {
                    if is_told(&old.row, &new) {
                        let gone = old.row.as_deref().map(rowtime);
                        let rowtime = time.or(gone).unwrap_or_default();
                        session.give(Change { tick, rowtime, old: old.row, new });
                    }
                }
            }
            if pending.advance(open) {
                table.compact(open.saturating_sub(1).max(present));
            }
        }
    })
}

/// Changes as rows to store: a key's new row, or its key alone, marked as deleted. What a checkpoint has
/// brought back was stored before.
pub fn changelog<'s>(
    changes: StreamVec<'s, Tick, Change>,
    columns: &[ColumnDef],
    plan: &QueryPlan,
    context: &Rc<Context>,
) -> StreamVec<'s, Tick, Batch> {
    let (columns, goes_on, emission) = (columns.to_vec(), plan.goes_on, plan.emission);
    let context = Rc::clone(context);
    // What is told of a window has its own time.
    let of_windows = columns.iter().any(|column| matches!(column.part, Part::Window(_)));
    let is_told = move |change: &Change| {
        let was_stored = goes_on && change.tick == RESTORED;
        !was_stored && (emission == Emission::PerRecord || change.has_new_values())
    };
    changes.unary(Pipeline, "Changelog", move |_, _| {
        move |input, output| {
            input.for_each(|cap, changes| {
                let mut changes = std::mem::take(changes);
                changes.retain(is_told);
                for change in changes.iter_mut().filter(|_| !of_windows) {
                    change.rowtime = context.process.record_times().told(change.tick, change.rowtime);
                }
                if !changes.is_empty() {
                    let tick = *cap.least().expect("changes travel with a tick");
                    let at = cap.delayed(&tick.max(RESTORED + 1), 0);
                    output.session(&at).give(to_batch(changes, &columns));
                }
            });
        }
    })
}

fn to_batch(changes: Vec<Change>, columns: &[ColumnDef]) -> Batch {
    let deleted = BooleanBuffer::from_iter(changes.iter().map(|c| c.new.is_none()));
    let ticks: Vec<i64> = changes.iter().map(|c| c.tick as i64).collect();
    let times = changes.iter().map(|c| c.rowtime).collect();
    // What leaves one group for a new one leaves first.
    let nth = |c: &Change| u32::from(c.new.is_some()) + u32::from(c.old.is_none());
    let nth = changes.iter().map(nth).collect();
    let key_only = |row: Row| {
        row.into_iter().zip(columns).map(|(v, c)| if c.identifies() { v } else { Value::Null }).collect()
    };
    let rows: Vec<Row> = changes
        .into_iter()
        .map(|c| c.new.unwrap_or_else(|| key_only(c.old.expect("a change has a row before or after"))))
        .collect();
    let types: Vec<_> = columns.iter().map(|c| c.ty.clone()).collect();
    let mut batch = super::table::rows_to_batch(&types, &rows);
    batch.origin.offsets = ticks.into();
    batch.origin.rowtime = Timestamps::Each(times);
    batch.origin.nth = Some(nth);
    batch.deleted = Some(deleted);
    batch
}
