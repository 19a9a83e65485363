//! Stage 3: filter and project; fed by a hub, feeds publish, preaggregate or an answer.

use super::Tick;
use super::books::Stage;
use super::context::Context;
use super::preaggregate::inputs;
use super::rejects::RejectedRecord;
use crate::batch::{Batch, Column};
use crate::error::Result;
use crate::expr::compile::{Evaluator, Projection, compile};
use crate::expr::expand::{Expander, TableCall};
use crate::expr::{Expr, Notes};
use crate::plan::{DataflowPlan, QueryPlan, Shape, Sink};
use crate::types::ColumnDef;
use arrow_array::BooleanArray;
use std::rc::Rc;
use timely::dataflow::StreamVec;
use timely::dataflow::channels::pact::Pipeline;
use timely::dataflow::operators::generic::Operator;

/// A compiled filter, table functions and projection.
pub struct Transform {
    filter: Option<Evaluator>,
    expand: Option<Expander>,
    exprs: Vec<Expr>,
    /// The input columns that each expression reads.
    reads: Vec<Vec<usize>>,
    /// Which expressions somebody reads.
    wanted: Vec<bool>,
    projection: Projection,
    /// Which expressions `projection` computes.
    computed: Vec<bool>,
    /// Which expressions are columns of the result's value: NULL where the row's message had none.
    valued: Vec<bool>,
}

impl Transform {
    /// What a query makes of its rows before it publishes or groups them.
    fn of(plan: &QueryPlan) -> Result<Transform> {
        let exprs = match &plan.select.shape {
            Shape::Project(exprs) => exprs.clone(),
            Shape::Aggregate(aggregation) => inputs(aggregation),
        };
        let transform = Transform::new(plan.select.filter.as_ref(), exprs)?.expanding(&plan.select.expand)?;
        Ok(match plan.sink {
            Sink::Stream { .. } => transform.into_stream(&plan.select.columns),
            _ => transform,
        })
    }

    pub fn new(filter: Option<&Expr>, exprs: Vec<Expr>) -> Result<Transform> {
        let all = vec![true; exprs.len()];
        Ok(Transform {
            filter: filter.map(compile).transpose()?,
            expand: None,
            projection: Projection::compile(&exprs)?,
            reads: exprs.iter().map(columns_of).collect(),
            valued: vec![false; exprs.len()],
            wanted: all.clone(),
            computed: all,
            exprs,
        })
    }

    /// The result is a stream's rows, with these columns: a row whose message had no value has none in the
    /// result either, whatever the expressions make of NULLs.
    pub fn into_stream(mut self, columns: &[ColumnDef]) -> Transform {
        self.valued.iter_mut().zip(columns).for_each(|(valued, column)| *valued = !column.is_key());
        self
    }

    /// With table functions between filter and projection.
    pub fn expanding(mut self, calls: &[TableCall]) -> Result<Transform> {
        if !calls.is_empty() {
            self.expand = Some(Expander::compile(calls)?);
        }
        Ok(self)
    }

    /// Computes only the marked expressions from now on; an empty list marks all.
    pub fn want(&mut self, wanted: &[bool]) {
        for (i, mine) in self.wanted.iter_mut().enumerate() {
            *mine = wanted.get(i).copied().unwrap_or(true);
        }
    }

    /// Settles on what is wanted and can be computed: a batch that was decoded before somebody asked
    /// for more lacks those columns, and who asked does not get it.
    fn settle(&mut self, batch: &Batch) {
        let present = |column: &usize| !matches!(batch.columns[*column], Column::Absent);
        let possible = |i: usize| self.wanted[i] && self.reads[i].iter().all(present);
        if self.computed.iter().enumerate().any(|(i, computed)| *computed != possible(i)) {
            self.computed = (0..self.exprs.len()).map(possible).collect();
            let exprs: Vec<Expr> =
                self.exprs.iter().zip(&self.computed).filter(|(_, c)| **c).map(|(e, _)| e.clone()).collect();
            self.projection = Projection::compile(&exprs).expect("it compiled when the query was installed");
        }
    }

    /// The rows that pass, projected, in batches: several where table functions make rows. Notes refer to
    /// rows of the input or of what is given. Returns how many rows of the input gave none.
    pub fn each(&mut self, batch: &Batch, notes: &mut Notes, mut give: impl FnMut(Batch)) -> usize {
        if batch.len == 0 {
            give(self.nothing(batch));
            return 0;
        }
        let Some(mut expander) = self.expand.take() else {
            let out = self.apply(batch, notes);
            let filtered = batch.len - out.len;
            give(out);
            return filtered;
        };
        let kept = self.pass(batch, notes);
        let before = notes.notes.len();
        let expansion = expander.expand(&kept, notes);
        notes.notes[before..].iter_mut().for_each(|n| n.origin = Some(kept.origin.position(n.row)));
        let filtered = batch.len - expansion.sources();
        if expansion.rows() == 0 {
            give(self.nothing(&kept.filter(&none_of(kept.len))));
        }
        for piece in expansion {
            give(self.project(&piece, notes));
        }
        self.expand = Some(expander);
        filtered
    }

    /// The rows that pass, projected. A filter lets no row without a value pass, as it looks at values. Notes
    /// refer to rows of the returned origin.
    pub fn apply(&mut self, batch: &Batch, notes: &mut Notes) -> Batch {
        debug_assert!(self.expand.is_none(), "rows are made by `each`");
        if batch.len == 0 {
            return self.nothing(batch);
        }
        let kept = self.pass(batch, notes);
        self.project(&kept, notes)
    }

    /// What a batch without rows says beside them.
    fn nothing(&self, batch: &Batch) -> Batch {
        Batch { columns: vec![Column::Absent; self.exprs.len()], ..batch.clone() }
    }

    /// The rows that the filter lets through.
    fn pass(&mut self, batch: &Batch, notes: &mut Notes) -> Batch {
        let Some(filter) = &mut self.filter else { return batch.clone() };
        let valued = batch.with_values();
        let batch = &*valued;
        let keep = filter.filter(batch, notes);
        // A note of the filter names a row of the input: record it by what that row becomes.
        notes.notes.iter_mut().for_each(|n| n.origin = Some(batch.origin.position(n.row)));
        batch.filter(&keep)
    }

    fn project(&mut self, batch: &Batch, notes: &mut Notes) -> Batch {
        self.settle(batch);
        let before = notes.notes.len();
        let mut values = self.projection.eval(batch, notes).into_iter();
        notes.notes[before..].iter_mut().for_each(|n| n.origin = Some(batch.origin.position(n.row)));
        let mut columns: Vec<Column> =
            self.computed
                .iter()
                .map(|computed| {
                    if *computed { values.next().expect("one column an expression") } else { Column::Absent }
                })
                .collect();
        if let Some(deleted) = &batch.deleted {
            let valued = columns.iter_mut().zip(&self.valued).filter(|(_, valued)| **valued);
            valued.for_each(|(column, _)| *column = column.null_where(deleted));
            let failed = notes.notes.split_off(before);
            notes.notes.extend(failed.into_iter().filter(|note| !deleted.value(note.row)));
        }
        Batch { len: batch.len, columns, origin: batch.origin.clone(), deleted: batch.deleted.clone() }
    }
}

fn none_of(rows: usize) -> BooleanArray {
    BooleanArray::from(vec![false; rows])
}

fn columns_of(expr: &Expr) -> Vec<usize> {
    let mut columns = Vec::new();
    crate::expr::references(expr, &mut |column| columns.push(column));
    columns
}

/// The operator; `feeds` is the hub it feeds, if any.
pub fn transform<'s>(
    stream: StreamVec<'s, Tick, Batch>,
    plan: &QueryPlan,
    feeds: Option<Rc<super::hub::Hub>>,
    context: &Rc<Context>,
) -> Result<StreamVec<'s, Tick, Batch>> {
    let mut transform = Transform::of(plan)?;
    let watch = context.changing.watch(plan.id);
    let (plan, context) = (plan.clone(), Rc::clone(context));
    let stage = context.books.stage(Stage::new(&plan.source(), &plan.topic(), &plan.query, "transform"));
    Ok(stream.unary(Pipeline, "Transform", move |_, _| {
        move |input, output| {
            if let Some(DataflowPlan::Query(plan)) = watch.changed().as_deref() {
                match Transform::of(plan) {
                    Ok(changed) => transform = changed,
                    Err(error) => context.process.fail(error),
                }
            }
            input.for_each(|cap, batches| {
                let tick = *cap.least().expect("rows travel with a tick");
                let mut session = output.session(&cap);
                for batch in batches.drain(..) {
                    if let Some(hub) = &feeds {
                        transform.want(&hub.wanted.borrow().columns);
                    }
                    let mut notes = Notes::at(context.clock.wall_ms(tick));
                    let mut rows = 0;
                    let filtered = transform.each(&batch, &mut notes, |out| {
                        rows += out.len;
                        if out.says_something() {
                            session.give(out);
                        }
                    });
                    if batch.len > 0 {
                        context.books.record(stage, tick, batch.len, rows, filtered, 0);
                    }
                    let noted = |n| RejectedRecord::note(&plan, "transform", n);
                    context.rejects.write(tick, notes.notes.iter().map(noted));
                }
            });
        }
    }))
}
