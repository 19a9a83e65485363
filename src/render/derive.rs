//! Tables derived from tables: row for row, or grouped anew. Fed by `changes`.

use super::changes::{Change, changes};
use super::context::Context;
use super::joined::View;
use super::packed::{Blob, Bytes, KeyedBatcher, RowBuilder, RowSpine, RowUpdate};
use super::preaggregate::inputs;
use super::rejects::RejectedRecord;
use super::table::{Content, Finisher, Table, route};
use super::timed::{rowtime, timed_batch, timed_row, values};
use super::transform::Transform;
use super::{RESTORED, Tick, touches};
use crate::aggregate::{Spec, aggregate_rows};
use crate::error::Result;
use crate::expr::{Expr, ExprKind, Notes};
use crate::plan::{Aggregation, Emission, QueryPlan, Shape};
use crate::types::SqlType;
use crate::value::{Row, Value, decode_row, encode_row};
use differential_dataflow::operators::arrange::arrangement::arrange_core;
use std::rc::Rc;
use timely::dataflow::StreamVec;
use timely::dataflow::channels::pact::{Exchange, Pipeline};
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
    let grouped = matches!(plan.select.shape, Shape::Aggregate(_));
    let touches = match plan.emission {
        Emission::PerTick => None,
        Emission::PerRecord => {
            let (changes, filter) = (changes.clone(), plan.select.filter.as_ref());
            let keys = touches::derived(changes, filter, exprs.clone(), keys, types.clone())?;
            Some(touches::count(keys, probe).1)
        }
    };
    let rows = updates(changes, plan, exprs, keys, grouped, types, context)?;
    let arranged = arrange_core::<_, _, KeyedBatcher, RowSpine>(
        rows,
        Exchange::new(|((key, _), _, _): &RowUpdate| route(&key.0)),
        "ArrangeRows",
        KeyedBatcher::new,
    );
    let Shape::Aggregate(aggregation) = &plan.select.shape else {
        arranged.stream.probe_with(probe);
        let table = Table::new(Content::Rows(arranged.trace), None, &plan.select.columns, probe);
        return Ok(table.touched_by(touches));
    };
    let specs = aggregation.specs();
    let reduced = arranged.reduce_abelian::<_, RowBuilder, RowSpine, _, _>(
        "Regroup",
        move |key, rows, output| output.push((regroup(&specs, key, rows), 1i64)),
        |into, key, updates| {
            into.clear();
            into.extend(updates.drain(..).map(|(row, tick, diff)| ((Blob(key.0.into()), row), tick, diff)));
        },
    );
    reduced.stream.probe_with(probe);
    let finisher = Finisher::new(&plan.select.columns, aggregation)?;
    let table = Table::new(Content::Rows(reduced.trace), Some(finisher), &plan.select.columns, probe);
    Ok(table.touched_by(touches))
}

/// Whether a join's rows are projected under their own keys, so that they need not be kept.
fn keeps_keys(plan: &QueryPlan, parent: &Table) -> bool {
    let Shape::Project(exprs) = &plan.select.shape else { return false };
    let own = plan.select.columns.iter().zip(exprs).filter(|(column, _)| column.identifies());
    let own = own.map(|(_, expr)| if let ExprKind::Column(c) = expr.kind { Some(c) } else { None });
    parent.is_joined() && own.eq(parent.identity().into_iter().map(Some))
}

/// A group's key and results, and its ROWTIME, from its present rows.
fn regroup(specs: &[Spec], key: Bytes<'_>, rows: &[(Bytes<'_>, i64)]) -> Blob {
    let mut decoded: Vec<(Row, i64)> = rows
        .iter()
        .map(|(bytes, count)| (decode_row(bytes).expect("rows are kept as they were encoded"), *count))
        .collect();
    // Rows come in the order of their bytes; a reader of the list expects that of their values.
    if specs.contains(&Spec::CollectList) {
        decoded.sort();
    }
    let args: Vec<(&[Value], i64)> = decoded.iter().map(|(row, count)| (values(row), *count)).collect();
    let mut out = key.to_vec();
    aggregate_rows(specs, &args).iter().for_each(|value| value.encode(&mut out));
    let times = decoded.iter().map(|(row, _)| rowtime(row));
    Value::Bigint(times.max().unwrap_or_default()).encode(&mut out);
    Blob(out.into())
}

/// Changes of the parent → changes of the rows that `exprs` make of them: the first `keys` are the
/// key; a grouped row keeps only what follows, an ungrouped one everything; and both their ROWTIME.
fn updates<'s>(
    changes: StreamVec<'s, Tick, Change>,
    plan: &QueryPlan,
    exprs: Vec<Expr>,
    keys: usize,
    grouped: bool,
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
                        if grouped && key.iter().any(|v| v.is_null()) {
                            continue;
                        }
                        let value = if grouped { encode_row(rest) } else { encode_row(&row) };
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
