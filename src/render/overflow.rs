//! Notes of sums that leave their range, beside a table whose rows are finished only when they are read.
//!
//! Fed by the table's arrangement. A group is told of when its sum goes out of its range, and again when it has
//! come back before; see [`Bounds`] for which are looked into.

use super::Tick;
use super::context::Context;
use super::packed::StateSpine;
use super::pending::{self, Pending};
use super::rejects::RejectedRecord;
use super::scan::each;
use super::table::{Content, Table};
use crate::aggregate::overflow::Bounds;
use crate::aggregate::{Key, State};
use crate::expr::Note;
use crate::plan::{Aggregation, QueryPlan};
use differential_dataflow::operators::arrange::TraceAgent;
use differential_dataflow::trace::cursor::Cursor;
use differential_dataflow::trace::{BatchCursor, Navigable, SpanOf, TraceReader};
use std::collections::BTreeSet;
use std::rc::Rc;
use timely::container::CapacityContainerBuilder;
use timely::dataflow::channels::pact::Pipeline;
use timely::dataflow::operators::generic::Operator;
use timely::dataflow::operators::probe::{Handle, Probe};
use timely::dataflow::{Scope, StreamVec};

/// Watches what was arranged by `content`, where a sum of `aggregation` can leave its range.
pub fn watch(
    scope: Scope<'_, Tick>,
    content: &mut Content,
    plan: &QueryPlan,
    aggregation: &Aggregation,
    probe: &Handle<Tick>,
    context: &Rc<Context>,
) {
    let (Some(bounds), Content::States { states, .. }) = (Bounds::of(&aggregation.specs()), content) else {
        return;
    };
    let (arranged, _press) = states.import_core(scope, "ImportSums");
    let table = Table::new(Content::States { states: arranged.trace, elements: None }, None, &[], probe);
    let (plan, context) = (plan.clone(), Rc::clone(context));
    let told = move |tick: Tick, reasons: Vec<String>| {
        let note = |reason| Note { row: 0, reason, origin: None };
        let notes: Vec<Note> = reasons.into_iter().map(note).collect();
        let noted = |note| RejectedRecord::note(&plan, "aggregate", note);
        context.rejects.write(tick, notes.iter().map(noted));
    };
    notes(arranged.stream, table, bounds, told).probe_with(probe);
}

type SpineBatch = <StateSpine as TraceReader>::Batch;
type Spans<'s> = StreamVec<'s, Tick, SpanOf<TraceAgent<StateSpine>>>;

/// Nothing, at the pace of the arrangement; what is to be told of each tick goes to `told` before.
fn notes<'s>(
    states: Spans<'s>,
    table: Table,
    mut bounds: Bounds,
    told: impl Fn(Tick, Vec<String>) + 'static,
) -> StreamVec<'s, Tick, ()> {
    states.unary_frontier::<CapacityContainerBuilder<_>, _, _, _>(
        Pipeline,
        "Overflows",
        move |capability, _| {
            let mut pending = Pending::new(capability);
            let mut outside = BTreeSet::new();
            move |(input, frontier), _| {
                input.for_each(|_, spans| {
                    for batch in spans.drain(..).filter_map(|span| span.inner) {
                        additions(&batch, &mut |_, _, state| bounds.add(state));
                        if bounds.are_passed() {
                            additions(&batch, &mut |key, tick, _| pending.add([(key, tick)].into_iter()));
                        }
                    }
                });
                let open = pending::open(frontier);
                while let Some((tick, keys, _held)) = pending.closed(open) {
                    told(tick, left(&table, tick, &keys, &bounds, &mut outside));
                }
                if pending.advance(open) {
                    table.compact(open.saturating_sub(1));
                }
            }
        },
    )
}

/// Visits what a batch adds to its groups.
fn additions(batch: &SpineBatch, visit: &mut dyn FnMut(Key, Tick, &State)) {
    let mut cursor = batch.cursor();
    while let Some(key) = cursor.get_key(batch) {
        while cursor.val_valid(batch) {
            cursor.map_times(batch, |tick, diff| {
                let state = BatchCursor::<StateSpine>::owned_diff(diff);
                if !state.has_expired() {
                    visit(key.0.into(), *tick, &state);
                }
            });
            cursor.step_val(batch);
        }
        cursor.step_key(batch);
    }
}

/// What is to be told of those of `keys` that have left the range with this tick. `outside`: those that are there.
fn left(
    table: &Table,
    tick: Tick,
    keys: &[Key],
    bounds: &Bounds,
    outside: &mut BTreeSet<Key>,
) -> Vec<String> {
    let mut reasons = Vec::new();
    let Content::States { states, .. } = &*table.content.borrow() else { return reasons };
    let mut inside: BTreeSet<&Key> = keys.iter().collect();
    each(states, tick, Some(keys), &mut |key, _, state: State| {
        if let Some(reason) = bounds.outside(&state) {
            let key: Key = key.0.into();
            inside.remove(&key);
            if outside.insert(key) {
                reasons.push(reason);
            }
        }
    });
    for key in inside {
        outside.remove(key);
    }
    reasons
}
