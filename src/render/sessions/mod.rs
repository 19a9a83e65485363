//! Session windows over a stream: rows of a key that lie no further apart than the gap.
//!
//! ```text
//!  rows ──► key ──► lanes ─┬─► sessions ─► exchange ──► groups, elements ──► table
//!                          └─► marks ──► to all workers ──┴──► leave
//! ```
//!
//! Which rows belong together hangs on the rows before them. So they are dealt out by key and come in the
//! order of their positions, as those of a join do. What is known of sessions is a second form of what is
//! kept of them, and begins with what a checkpoint has of that.

pub mod groups;

use self::groups::{Kept, Rules, Sessions, user_key};
use super::Tick;
use super::books::Stage;
use super::clock::Clock;
use super::context::Context;
use super::join::waits;
use super::keeping::{Entries, Keeping};
use super::kept::{Routing, keep};
use super::keyed::keyed_by;
use super::lanes::{Booked, Lane, LeftRight, Out, Pairing, Restored, merged};
use super::packed::{Blob, StateUpdate};
use super::pairs::{Pairs, RowRef};
use super::rejects::RejectedRecord;
use super::snapshot::{restored, sum_up};
use crate::batch::{Batch, Reached};
use crate::error::Result;
use crate::expr::{Expr, ExprKind};
use crate::plan::{Aggregation, ELEMENTS, GROUPS, QueryPlan, waiting};
use crate::render::window::Late;
use crate::types::SqlType;
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use timely::container::CapacityContainerBuilder;
use timely::dataflow::StreamVec;
use timely::dataflow::channels::pact::{Exchange, Pipeline};
use timely::dataflow::operators::generic::OutputBuilder;
use timely::dataflow::operators::generic::builder_rc::OperatorBuilder;
use timely::dataflow::operators::generic::operator::empty;
use timely::dataflow::operators::probe::Handle;

/// The rows that have a key and a value, in the order of their positions, where their key belongs.
pub fn ordered<'s>(
    rows: StreamVec<'s, Tick, Batch>,
    plan: &QueryPlan,
    aggregation: &Aggregation,
    probe: &Handle<Tick>,
    context: &Rc<Context>,
) -> Result<StreamVec<'s, Tick, Batch>> {
    let arguments = aggregation.calls.iter().flat_map(|call| &call.args);
    let types: Vec<SqlType> = aggregation.keys.iter().chain(arguments).map(|expr| expr.ty.clone()).collect();
    let key = |(i, expr): (usize, &Expr)| Expr { kind: ExprKind::Column(i), ty: expr.ty.clone() };
    let keys: Vec<Expr> = aggregation.keys.iter().enumerate().map(key).collect();
    let scope = rows.scope();
    let entries = || Entries::whole(&types, keys.len());
    let left = Lane {
        rows: keyed_by(rows, &keys, &types, context.peers)?,
        feeds: plan.feeds(&plan.select.from),
        rank: 0,
        entries: entries(),
    };
    let right = Lane { rows: empty(scope), feeds: Vec::new(), rank: 0, entries: entries() };
    let pairs = Pairs::new(&types, &[], Vec::new(), &vec![true; types.len()]);
    let stage = context.books.stage(Stage::new(&plan.source(), &plan.topic(), &plan.query, "window"));
    let books = Rc::clone(context);
    let book = move |tick, Booked { rows_in, out, without, .. }| {
        books.books.record(stage, tick, rows_in, out, without, 0);
    };
    let name = waiting(GROUPS);
    let waiting = restored(scope, plan, &name, context).unwrap_or_else(|| empty(scope));
    let known = Restored { entries: empty(scope), waiting, keys: keys.len() };
    let out = Out { pairs, keeping: Keeping::new(true), closes_at_end: false, waits: waits(plan) };
    let merged = merged([left, right], known, Box::new(InOrder), out, book, context);
    if plan.durable {
        keep(merged.waiting, &name, Routing::Front(keys.len()), plan, probe, context);
    }
    Ok(merged.rows)
}

/// Every row by itself.
struct InOrder;

impl Pairing for InOrder {
    fn row(&mut self, _: LeftRight, row: &RowRef, _: i64, out: &mut Out) -> Option<(String, i64)> {
        if !row.is_deletion() && row.key().is_some() {
            out.pairs.push(Some(row.clone()), None, row.rowtime(), row.position());
        }
        None
    }

    fn advance(&mut self, _: i64, _: &mut Out) {}

    fn restore(&mut self, _: &[&[u8]]) {}
}

type Updates<'s> = StreamVec<'s, Tick, StateUpdate>;

/// Aggregates ordered rows by session: what changes in the groups, and in their elements. What is late is a
/// reject that says so. `marks`: how far the sources have come.
pub fn sessions<'s>(
    rows: StreamVec<'s, Tick, Batch>,
    marks: StreamVec<'s, Tick, Reached>,
    plan: &QueryPlan,
    aggregation: &Aggregation,
    rules: Rules,
    context: &Rc<Context>,
) -> (Updates<'s>, Updates<'s>) {
    let scope = rows.scope();
    let kept = |name: &str| restored(scope, plan, name, context).unwrap_or_else(|| empty(scope));
    let (kept_states, kept_elements) = (kept(GROUPS), kept(ELEMENTS));
    let routing = Routing::Front(aggregation.keys.len());
    let by_key = || Exchange::new(move |((kept, _), _, _): &StateUpdate| routing.bucket(user_key(&kept.0)));
    let mut clock = Clock::new(&plan.feeds(&plan.select.from), context.peers);
    let mut told: VecDeque<(Tick, Reached)> = VecDeque::new();
    let mut known = Sessions::new(aggregation, rules);
    let mut restoring = Some((BTreeMap::new(), BTreeMap::new()));
    let stage = context.books.stage(Stage::new(&plan.source(), &plan.topic(), &plan.query, "aggregate"));
    let (plan, context) = (plan.clone(), Rc::clone(context));

    let mut builder = OperatorBuilder::new("Sessions".to_owned(), scope);
    let mut rows = builder.new_input(rows, Pipeline);
    let mut marks = builder.new_input(marks, Pipeline);
    let mut kept_states = builder.new_input(kept_states, by_key());
    let mut kept_elements = builder.new_input(kept_elements, by_key());
    let (states, state_stream) = builder.new_output();
    let (elements, element_stream) = builder.new_output();
    let mut states: OutputBuilder<Tick, CapacityContainerBuilder<Vec<StateUpdate>>> =
        OutputBuilder::from(states);
    let mut elements: OutputBuilder<Tick, CapacityContainerBuilder<Vec<StateUpdate>>> =
        OutputBuilder::from(elements);
    builder.build(move |_| {
        move |frontiers| {
            if let Some((states, elements)) = &mut restoring {
                kept_states.for_each(|_, updates| sum_up(updates, states));
                kept_elements.for_each(|_, updates| sum_up(updates, elements));
            }
            // What is kept is known before any row is looked at.
            if !frontiers[2].is_empty() || !frontiers[3].is_empty() {
                return;
            }
            if let Some((states, elements)) = restoring.take() {
                known.restore(states, elements);
            }
            let (mut states, mut elements) = (states.activate(), elements.activate());
            rows.for_each(|cap, batches| {
                let tick = *cap.least().expect("rows travel with a tick");
                let (state_cap, element_cap) = (cap.delayed(&tick, 0), cap.delayed(&tick, 1));
                let (mut states, mut elements) = (states.session(&state_cap), elements.session(&element_cap));
                for batch in batches.drain(..).filter(|batch| batch.len > 0) {
                    let late = known.add(&batch, &mut |kept: Kept, key, state| {
                        let update = ((Blob(key), ()), tick, state);
                        match kept {
                            Kept::State => states.give(update),
                            Kept::Element => elements.give(update),
                        }
                    });
                    context.books.record(stage, tick, batch.len, batch.len - late.len(), 0, late.len());
                    let rejected =
                        |late: &Late| RejectedRecord::at_stage(&plan, "aggregate", &batch, &late.reject);
                    context.rejects.write(tick, late.iter().map(rejected));
                    context.count_late(&plan.query, late.iter().filter_map(|late| late.needed_ms));
                }
            });
            marks.for_each(|cap, marks| {
                let tick = *cap.least().expect("marks travel with a tick");
                told.extend(marks.drain(..).map(|mark| (tick, mark)));
            });
            // What a worker tells of a tick holds when the rows of that tick are here, which may have come by
            // other workers.
            told.retain(|(tick, mark)| {
                let is_here = !frontiers[0].less_equal(tick);
                if is_here {
                    clock.add(mark);
                }
                !is_here
            });
            if let Some(time) = clock.least() {
                known.forget(time);
            }
        }
    });
    (state_stream, element_stream)
}
