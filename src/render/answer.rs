//! The last stage of a push query: sends rows or changes to process 0, for the client that waits.

use super::Tick;
use super::changes::Change;
use super::context::Context;
use super::placed::placed_row;
use super::process::AnswerRow;
use super::timed::timed_batch;
use crate::batch::Batch;
use crate::expr::Notes;
use crate::plan::{Emission, QueryPlan, Shape};
use crate::types::SqlType;
use crate::value::Row;
use std::rc::Rc;
use timely::dataflow::StreamVec;
use timely::dataflow::channels::pact::Pipeline;
use timely::dataflow::operators::generic::Operator;
use timely::dataflow::operators::probe::{Handle, Probe};

/// Sends the rows of a stream as they come, `placed` or without what is behind their columns.
pub fn answer_rows(
    rows: StreamVec<'_, Tick, Batch>,
    (columns, placed): (usize, bool),
    answer: String,
    probe: &Handle<Tick>,
    context: &Rc<Context>,
) {
    let context = Rc::clone(context);
    rows.probe_with(probe).sink(Pipeline, "AnswerRows", move |(input, frontier)| {
        input.for_each(|_, batches| {
            for batch in batches.drain(..).filter(|batch| batch.len > 0) {
                let row = |i: usize| match placed {
                    true => placed_row(&batch, columns, i),
                    false => batch.row(i).into_iter().take(columns).collect(),
                };
                let rows = (0..batch.len).map(|i| AnswerRow { row: row(i), deleted: false }).collect();
                context.process.answer(&answer, rows);
            }
        });
        if frontier.is_empty() {
            context.process.end_answer(&answer);
        }
    });
}

/// Sends a table's changes: the new row, or the old key where the row went away.
pub fn answer_changes(
    changes: StreamVec<'_, Tick, Change>,
    plan: &QueryPlan,
    parent: &[SqlType],
    answer: String,
    probe: &Handle<Tick>,
    context: &Rc<Context>,
) -> crate::error::Result<()> {
    let Shape::Project(exprs) = &plan.select.shape else {
        unreachable!("aggregates are tables of their own")
    };
    let mut transform = super::transform::Transform::new(plan.select.filter.as_ref(), exprs.clone())?;
    let keys: Vec<bool> = plan.select.columns.iter().map(|c| c.identifies()).collect();
    let each = plan.emission == Emission::PerRecord;
    let (context, parent) = (Rc::clone(context), parent.to_vec());
    changes.probe_with(probe).sink(Pipeline, "AnswerChanges", move |(input, frontier)| {
        input.for_each(|_, changes| {
            let mut apply = |row: Option<Row>| -> Option<Row> {
                let batch = timed_batch(&parent, &[row?]);
                let out = transform.apply(&batch, &mut Notes::default());
                (out.len == 1).then(|| out.row(0).into_iter().take(keys.len()).collect())
            };
            let mut rows = Vec::new();
            for change in changes.drain(..) {
                let (old, new) = (apply(change.old), apply(change.new));
                match (old, new) {
                    (old, Some(row)) if each || old.as_ref() != Some(&row) => {
                        rows.push(AnswerRow { row, deleted: false })
                    }
                    (Some(old), None) => {
                        let row = old
                            .into_iter()
                            .zip(&keys)
                            .map(|(v, key)| if *key { v } else { crate::value::Value::Null });
                        rows.push(AnswerRow { row: row.collect(), deleted: true });
                    }
                    _ => {}
                }
            }
            if !rows.is_empty() {
                context.process.answer(&answer, rows);
            }
        });
        if frontier.is_empty() {
            context.process.end_answer(&answer);
        }
    });
    Ok(())
}
