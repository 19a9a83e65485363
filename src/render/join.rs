//! Joins: two rendered relations become one.
//!
//! ```text
//!  stream, stream   key ──► lanes ──► within               rows
//!  stream, table    key ──► lanes ──► lookup               rows; a derived table comes as its changes
//!  table, table     by both keys: two look-ups, nothing kept; by a foreign key: foreign.rs
//! ```

use super::Tick;
use super::books::Stage;
use super::changes::{Change, changes};
use super::context::Context;
use super::dataflow::Rendered;
use super::foreign::foreign;
use super::joined::Joined;
use super::keeping::{Entries, Keeping};
use super::kept::{Routing, keep};
use super::keyed::{Keyed, keyed};
use super::lanes::{Booked, Lane, Out, Pairing, Restored, Waits, merged};
use super::lookup::Lookup;
use super::pairs::{Pairs, RowRef};
use super::rejects::RejectedRecord;
use super::rekeyed::alike;
use super::snapshot::restored;
use super::table::{Content, Table};
use super::timed::timed_batch;
use super::within::WithinJoin;
use crate::batch::{Batch, Origin, Reject, Timestamps};
use crate::error::{Error, Result};
use crate::plan::{Join, Method, QueryPlan, Side, Sink, waiting};
use crate::types::{ColumnDef, Part, SqlType};
use arrow_buffer::BooleanBuffer;
use std::rc::Rc;
use timely::dataflow::StreamVec;
use timely::dataflow::channels::pact::Pipeline;
use timely::dataflow::operators::Concat;
use timely::dataflow::operators::generic::Operator;
use timely::dataflow::operators::generic::operator::empty;
use timely::dataflow::operators::probe::Handle;

/// `wanted`: the columns of the joined rows that somebody reads.
pub fn join<'s>(
    sides: [Rendered<'s>; 2],
    join: &Join,
    wanted: &[bool],
    plan: &QueryPlan,
    probe: &Handle<Tick>,
    context: &Rc<Context>,
) -> Result<Rendered<'s>> {
    match (sides, join.method) {
        ([Rendered::Table(left, left_table), Rendered::Table(right, right_table)], Method::Keys) => {
            let sides = [&join.left, &join.right];
            let [left, right] = alike((left, *left_table), (right, *right_table), sides, plan.emission)?;
            let joined = Joined { left: left.1, right: right.1, join: join.clone() };
            let table = Table::of(Content::Joined(Box::new(joined)), &columns(join));
            Ok(Rendered::Table(left.0.concat(right.0), Box::new(table)))
        }
        ([Rendered::Table(left, left_table), right], Method::ForeignKey) => {
            let Rendered::Table(right, right_table) = right else { return Err(misfit(plan)) };
            foreign((left, *left_table), (right, *right_table), join, &columns(join), (plan.emission, probe))
        }
        ([Rendered::Rows(left), right], method @ (Method::Within(_) | Method::Lookup)) => {
            let right = match right {
                Rendered::Rows(rows) => rows,
                Rendered::Table(touched, table) => {
                    let types: Vec<SqlType> = table.columns.iter().map(|c| c.ty.clone()).collect();
                    records(changes(touched, *table, plan.emission), types)
                }
            };
            let (of_left, of_right) = join.wanted(wanted);
            let entries = [Entries::new(&join.left, &of_left), Entries::new(&join.right, &of_right)];
            let pairing: Box<dyn Pairing> = match method {
                Method::Within(within) => Box::new(WithinJoin::new(join.kind, within, entries)),
                _ => Box::new(Lookup::new(join.kind, &join.right, &of_right)),
            };
            let keys: Vec<SqlType> = join.left.keys.iter().map(|key| key.ty.clone()).collect();
            let pairs = Pairs::new(&join.left.columns, &join.right.columns, keys, wanted);
            let lane = |rows, side: &Side, rank, wanted: &[bool]| -> Result<Lane<'s>> {
                let rows: StreamVec<'s, Tick, Keyed> = keyed(rows, side, context.peers)?;
                Ok(Lane {
                    rows,
                    feeds: plan.feeds(&side.relation),
                    rank,
                    entries: Entries::new(side, wanted),
                })
            };
            // A table's records come before the stream's of the same time.
            let ranks = if matches!(method, Method::Lookup) { [1, 0] } else { [0, 1] };
            let lanes =
                [lane(left, &join.left, ranks[0], &of_left)?, lane(right, &join.right, ranks[1], &of_right)?];
            let stage = Stage::new(&plan.source(), &plan.topic(), &plan.query, "join");
            let stage = context.books.stage(stage);
            let books = Rc::clone(context);
            let of = plan.clone();
            let book = move |tick, booked: Booked| {
                let Booked { rows_in, out, without, late } = booked;
                books.books.record(stage, tick, rows_in, out, without, late.len());
                books.count_late(&of.query, late.iter().map(|(.., needed_ms)| *needed_ms));
                books
                    .rejects
                    .write(tick, late.into_iter().map(|(row, reason, _)| rejected(&of, &row, reason)));
            };
            // Only rows that are padded wait for time to pass.
            let pads = matches!(method, Method::Within(within) if within.grace_ms.is_some())
                && (join.kind.keeps_left() || join.kind.keeps_right());
            let closes_at_end = plan.closes_at_end && pads;
            let out = Out { pairs, keeping: Keeping::new(!plan.durable), closes_at_end, waits: waits(plan) };
            let (name, keys) = (join.kept_name(), join.left.keys.len());
            let scope = lanes[0].rows.scope();
            let known = |name: &str| restored(scope, plan, name, context).unwrap_or_else(|| empty(scope));
            let restored = Restored { entries: known(&name), waiting: known(&waiting(&name)), keys };
            let merged = merged(lanes, restored, pairing, out, book, context);
            if plan.durable {
                keep(merged.kept, &name, Routing::Front(keys), plan, probe, context);
                keep(merged.waiting, &waiting(&name), Routing::Front(keys), plan, probe, context);
            }
            Ok(Rendered::Rows(merged.rows))
        }
        _ => Err(misfit(plan)),
    }
}

/// What becomes of rows that wait for others of the query's sources.
pub fn waits(plan: &QueryPlan) -> Waits {
    match plan.sink {
        Sink::Answer { .. } => Waits::Bounded,
        _ => Waits::Paced { ignored: !plan.durable },
    }
}

fn rejected(plan: &QueryPlan, row: &RowRef, reason: String) -> RejectedRecord {
    let reject = Reject { message: row.row as usize, column: None, reason };
    RejectedRecord::at_stage(plan, "join", &row.batch.batch, &reject)
}

/// The coordinator sends no such plan: a process of another kind must have.
fn misfit(plan: &QueryPlan) -> Error {
    Error::runtime(format!("the plan of {} joins what cannot be joined this way", plan.query))
}

/// The columns of a table that a join makes: its key identifies its rows.
fn columns(join: &Join) -> Vec<ColumnDef> {
    let width = join.width() - join.left.keys.len();
    let named = |(i, ty)| ColumnDef { name: format!("#{i}"), ty, part: Part::key_if(i >= width) };
    join.types().into_iter().enumerate().map(named).collect()
}

/// A table's changes as records: the new row, or a deletion with the old one's key. They are older than
/// any record that they meet: a row that comes at their tick finds them.
fn records(changes: StreamVec<'_, Tick, Change>, types: Vec<SqlType>) -> StreamVec<'_, Tick, Batch> {
    changes.unary(Pipeline, "Records", move |_, _| {
        // All changes of a key come through one of these, in their order.
        let mut offset = 0;
        move |input, output| {
            input.for_each(|cap, changes| {
                let changes = std::mem::take(changes);
                let deleted = BooleanBuffer::collect_bool(changes.len(), |i| changes[i].new.is_none());
                let rows: Vec<_> = changes
                    .into_iter()
                    .map(|change| change.new.or(change.old).expect("a change has a row before or after"))
                    .collect();
                let mut batch = timed_batch(&types, &rows);
                let offsets = (offset..offset + rows.len() as i64).collect();
                offset += rows.len() as i64;
                let stamps = Timestamps::All(i64::MIN);
                batch.origin = Origin { stamps, offsets, ..batch.origin };
                batch.deleted = Some(deleted);
                output.session(&cap).give(batch);
            });
        }
    })
}
