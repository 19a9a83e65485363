//! Tables derived from tables: row for row, or grouped anew. Fed by `changes`.

use super::changes::{Change, changes};
use super::context::Context;
use super::joined::View;
use super::packed::{Blob, KeyedBatcher, RowSpine, RowUpdate};
use super::preaggregate::inputs;
use super::rejects::RejectedRecord;
use super::table::{Content, Finisher, Table, route};
use super::timed::{rowtime, timed_batch, timed_row, values};
use super::transform::Transform;
use super::{RESTORED, Tick, touches};
use crate::aggregate::{Key, Present, Spec};
use crate::error::Result;
use crate::expr::{Expr, ExprKind, Notes};
use crate::plan::{Aggregation, Emission, QueryPlan, Shape};
use crate::types::SqlType;
use crate::value::{Row, Value, decode_row, encode_row};
use differential_dataflow::operators::arrange::arrangement::arrange_core;
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;
use timely::dataflow::StreamVec;
use timely::dataflow::channels::pact::{Exchange, Pipeline};
use timely::dataflow::operators::Capability;
use timely::dataflow::operators::generic::Operator;
use timely::dataflow::operators::probe::{Handle, Probe};

/// Builds the derived table of `plan` from its parent's changes.
pub fn derive(
    touched: super::changes::Touched<'_>,
    parent: Table,
    plan: &QueryPlan,
    probe: &Handle<Tick>,
    context: &Rc<Context>,
) -> Result<Table> {
    let types: Vec<SqlType> = parent.columns.iter().map(|c| c.ty.clone()).collect();
    if keeps_keys(plan, &parent) {
        touched.probe_with(probe);
        let view = View::new(parent, &plan.select)?;
        return Ok(Table::new(Content::View(Box::new(view)), None, &plan.select.columns, probe));
    }
    let changes = changes(touched, parent, plan.emission);
    let (exprs, keys) = match &plan.select.shape {
        Shape::Project(exprs) => {
            (exprs.clone(), plan.select.columns.iter().filter(|c| c.identifies()).count())
        }
        Shape::Aggregate(aggregation) => (inputs(aggregation), aggregation.keys.len()),
    };
    let grouped = match &plan.select.shape {
        Shape::Project(_) => None,
        Shape::Aggregate(aggregation) => Some(aggregation.keeps_nulls),
    };
    let touches = match plan.emission {
        Emission::PerTick => None,
        Emission::PerRecord => {
            let (changes, filter) = (changes.clone(), plan.select.filter.as_ref());
            let keys = touches::derived(changes, filter, exprs.clone(), keys, types.clone())?;
            Some(touches::count(keys, probe).1)
        }
    };
    let rows = updates(changes, plan, exprs, keys, grouped, types, context)?;
    let (rows, finisher) = match &plan.select.shape {
        Shape::Project(_) => (rows, None),
        Shape::Aggregate(aggregation) => {
            let finisher = Finisher::new(&plan.select.columns, aggregation)?;
            (regroup(rows, aggregation.specs(), plan.emission), Some(finisher))
        }
    };
    let arranged = arrange_core::<_, _, KeyedBatcher, RowSpine>(
        rows,
        Exchange::new(|((key, _), _, _): &RowUpdate| route(&key.0)),
        "ArrangeRows",
        KeyedBatcher::new,
    );
    arranged.stream.probe_with(probe);
    let table = Table::new(Content::Rows(arranged.trace), finisher, &plan.select.columns, probe);
    Ok(table.touched_by(touches))
}

/// Whether a join's rows are projected under their own keys, so that they need not be kept.
fn keeps_keys(plan: &QueryPlan, parent: &Table) -> bool {
    let Shape::Project(exprs) = &plan.select.shape else { return false };
    let own = plan.select.columns.iter().zip(exprs).filter(|(column, _)| column.identifies());
    let own = own.map(|(_, expr)| if let ExprKind::Column(c) = expr.kind { Some(c) } else { None });
    parent.is_joined() && own.eq(parent.identity().into_iter().map(Some))
}

/// Rows that come and go, by group → rows of groups that come and go: key, results and ROWTIME.
fn regroup<'s>(
    rows: StreamVec<'s, Tick, RowUpdate>,
    specs: Vec<Spec>,
    emission: Emission,
) -> StreamVec<'s, Tick, RowUpdate> {
    let by_key = Exchange::new(|((key, _), _, _): &RowUpdate| route(&key.0));
    rows.unary_frontier(by_key, "Regroup", move |_, _| {
        let mut groups: HashMap<Key, Present> = HashMap::new();
        let mut pending: BTreeMap<Tick, (Capability<Tick>, Vec<RowUpdate>)> = BTreeMap::new();
        move |(input, frontier), output| {
            input.for_each(|cap, updates| {
                for update in updates.drain(..) {
                    let (_, of_tick) =
                        pending.entry(update.1).or_insert_with(|| (cap.delayed(&update.1, 0), Vec::new()));
                    of_tick.push(update);
                }
            });
            while let Some(entry) = pending.first_entry().filter(|e| !frontier.less_equal(e.key())) {
                let (tick, (capability, mut updates)) = entry.remove_entry();
                updates.sort_unstable();
                let mut session = output.session(&capability);
                for of_group in updates.chunk_by(|a, b| a.0.0 == b.0.0) {
                    let [before, after] = change(&mut groups, of_group, &specs, emission);
                    if before != after {
                        let key = &of_group[0].0.0;
                        let row = |row: Option<Blob>, diff| row.map(|row| ((key.clone(), row), tick, diff));
                        row(before, -1).into_iter().chain(row(after, 1)).for_each(|row| session.give(row));
                    }
                }
            }
        }
    })
}

/// The row of a group before and after some of its rows came and went. Emitting per record a group that has
/// no row any more stays, as Kafka Streams keeps it; else whether it was there would depend on ticks.
fn change(
    groups: &mut HashMap<Key, Present>,
    updates: &[RowUpdate],
    specs: &[Spec],
    emission: Emission,
) -> [Option<Blob>; 2] {
    let key = &updates[0].0.0.0;
    let known = groups.remove(key);
    let before = known.as_ref().map(|group| row_of(key, group, specs));
    let mut group = known.unwrap_or_else(|| Present::new(specs));
    for ((_, bytes), _, times) in updates {
        let row = decode_row(&bytes.0).expect("rows are as they were encoded");
        group.add(specs, values(&row), rowtime(&row), *times);
    }
    if group.is_empty() && emission == Emission::PerTick {
        return [before, None];
    }
    let after = row_of(key, &group, specs);
    groups.insert(key.clone(), group);
    [before, Some(after)]
}

fn row_of(key: &Key, group: &Present, specs: &[Spec]) -> Blob {
    let mut row = key.to_vec();
    group.results(specs).iter().for_each(|value| value.encode(&mut row));
    Value::Bigint(group.rowtime()).encode(&mut row);
    Blob(row.into())
}

/// Changes of the parent → changes of the rows that `exprs` make of them: the first `keys` are the
/// key; a grouped row keeps only what follows, an ungrouped one everything; and both their ROWTIME.
/// `grouped`: whether groups have NULLs in their keys.
fn updates<'s>(
    changes: StreamVec<'s, Tick, Change>,
    plan: &QueryPlan,
    exprs: Vec<Expr>,
    keys: usize,
    grouped: Option<bool>,
    types: Vec<SqlType>,
    context: &Rc<Context>,
) -> Result<StreamVec<'s, Tick, RowUpdate>> {
    let mut transform = Transform::new(plan.select.filter.as_ref(), exprs)?;
    let (plan, context) = (plan.clone(), Rc::clone(context));
    Ok(changes.unary(Pipeline, "DeriveRows", move |_, _| {
        move |input, output| {
            input.for_each(|cap, changes| {
                let mut session = output.session(&cap);
                let mut notes = Notes::default();
                for (diff, rows) in [(-1, side(changes, |c| &c.old)), (1, side(changes, |c| &c.new))] {
                    // The ticks travel as offsets, since the filter drops rows.
                    let mut batch =
                        timed_batch(&types, &rows.iter().map(|(_, row)| (*row).clone()).collect::<Vec<_>>());
                    batch.origin.offsets = rows.iter().map(|(tick, _)| *tick as i64).collect();
                    let out = transform.apply(&batch, &mut notes);
                    for i in 0..out.len {
                        let row = timed_row(&out, i);
                        let (key, rest) = row.split_at(keys);
                        if grouped == Some(false) && key.iter().any(|v| v.is_null()) {
                            continue;
                        }
                        let value = if grouped.is_some() { encode_row(rest) } else { encode_row(&row) };
                        session.give((
                            (Blob(encode_row(key)), Blob(value)),
                            out.origin.offsets[i] as Tick,
                            diff,
                        ));
                    }
                }
                let noted = |n| RejectedRecord::note(&plan, "derive", n);
                let tick = changes.iter().map(|change| change.tick).max().unwrap_or(RESTORED);
                context.rejects.write(tick, notes.notes.iter().map(noted));
                changes.clear();
            });
        }
    }))
}

fn side(changes: &[Change], pick: impl Fn(&Change) -> &Option<Row>) -> Vec<(Tick, &Row)> {
    changes.iter().filter_map(|c| pick(c).as_ref().map(|row| (c.tick, row))).collect()
}

/// The aggregates that a table cannot feed, since it has no order of arrival.
pub fn order_sensitive(aggregation: &Aggregation) -> Option<&str> {
    aggregation.calls.iter().find(|c| crate::aggregate::order_sensitive(&c.spec)).map(|c| c.text.as_str())
}
