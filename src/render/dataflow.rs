//! One plan → one dataflow on this worker.

use super::changes::{changelog, changes};
use super::context::{Context, Dataflow};
use super::hub::{publish, subscribe};
use super::preaggregate::{aggregate, inputs};
use super::source::{decode, read};
use super::transform::transform;
use super::{Tick, answer, derive, store};
use crate::error::Result;
use crate::plan::{DataflowPlan, Input, QueryPlan, Shape, Sink, SourcePlan, Wanted};
use std::cell::Cell;
use std::rc::Rc;
use timely::dataflow::Scope;
use timely::dataflow::operators::probe::{Handle, Probe};
use timely::scheduling::Activator;
use timely::worker::Worker;

/// Installs a dataflow; every worker installs the same ones in the same order.
///
/// # Errors
/// A plan that does not compile; the coordinator compiles plans before it sends them, so this means
/// that processes differ.
pub fn install(worker: &mut Worker, plan: &DataflowPlan, context: &Rc<Context>) -> Result<()> {
    let probe = Handle::new();
    let cancel = Rc::new(Cell::new(false));
    let mut wake = Vec::new();
    let mut presses = Vec::new();
    worker.dataflow::<Tick, _, _>(|scope| match plan {
        DataflowPlan::Source(plan) => install_source(scope, plan, &probe, &cancel, &mut wake, context),
        DataflowPlan::Query(plan) => {
            let parts = Parts { probe: &probe, cancel: &cancel, wake: &mut wake, presses: &mut presses };
            install_query(scope, plan, parts, context)
        }
    })?;
    let maintained = !matches!(plan, DataflowPlan::Query(QueryPlan { sink: Sink::Answer { .. }, .. }));
    let reads = matches!(plan, DataflowPlan::Source(_));
    let dataflow = Dataflow { probe, cancel, reads, wake, presses, maintained };
    context.dataflows.borrow_mut().insert(plan.id(), dataflow);
    Ok(())
}

/// What the dataflow is watched and ended by.
struct Parts<'a> {
    probe: &'a Handle<Tick>,
    cancel: &'a Rc<Cell<bool>>,
    wake: &'a mut Vec<Activator>,
    presses: &'a mut Vec<super::changes::Press>,
}

fn install_source(
    scope: Scope<'_, Tick>,
    plan: &SourcePlan,
    probe: &Handle<Tick>,
    cancel: &Rc<Cell<bool>>,
    wake: &mut Vec<Activator>,
    context: &Rc<Context>,
) -> Result<()> {
    let messages = read(scope, plan, context, Rc::clone(cancel), wake);
    let rows = decode(messages, plan, context, Rc::clone(cancel))?;
    publish(rows.probe_with(probe), context.hub(plan.hub), plan.id);
    Ok(())
}

fn install_query(
    scope: Scope<'_, Tick>,
    plan: &QueryPlan,
    parts: Parts<'_>,
    context: &Rc<Context>,
) -> Result<()> {
    match plan.input {
        Input::Hub(hub) => {
            // What only passes on needs no column by itself: who reads it does.
            let passes = matches!(plan.sink, Sink::Stream { store: None, .. });
            let outputs = passes.then(|| vec![false; plan.select.columns.len()]);
            let columns = plan.select.reads(plan.input_columns, outputs.as_deref());
            let needs = Wanted { columns, headers: plan.passes_headers_on() };
            let rows = subscribe(scope, &context.hub(hub), needs, Rc::clone(parts.cancel), parts.wake);
            match (&plan.sink, &plan.select.shape) {
                (Sink::Table { table, .. }, Shape::Aggregate(aggregation)) => {
                    let rows = transform(rows, plan, inputs(aggregation), None, context)?;
                    let built = aggregate(rows, plan, aggregation, parts.probe, context)?;
                    context.tables.borrow_mut().insert(*table, Rc::new(built));
                }
                (Sink::Stream { hub, store: stored }, Shape::Project(exprs)) => {
                    let feeds = context.hub(*hub);
                    // What is stored needs every column, whoever reads.
                    let wanted = stored.is_none().then(|| Rc::clone(&feeds));
                    let rows = transform(rows, plan, exprs.clone(), wanted, context)?;
                    if let Some(stored) = stored {
                        store::store(rows.clone(), plan, *hub, stored, parts.probe, context)?;
                    }
                    publish(rows.probe_with(parts.probe), feeds, plan.id);
                }
                (Sink::Answer { answer }, Shape::Project(exprs)) => {
                    let rows = transform(rows, plan, exprs.clone(), None, context)?;
                    answer::answer_rows(
                        rows,
                        plan.select.columns.len(),
                        answer.clone(),
                        parts.probe,
                        context,
                    );
                }
                (sink, _) => unreachable!("a stream cannot be read into {sink:?} this way"),
            }
        }
        Input::Table(parent) => {
            let parent = Rc::clone(&context.tables.borrow()[&parent]);
            let (touched, shared, presses) = parent.share(scope);
            parts.presses.extend(presses);
            match &plan.sink {
                Sink::Table { table, .. } => {
                    let built = derive::derive(touched, shared, plan, parts.probe, context)?;
                    context.tables.borrow_mut().insert(*table, Rc::new(built));
                }
                Sink::Answer { answer } => {
                    let types: Vec<_> = parent.columns.iter().map(|c| c.ty.clone()).collect();
                    let changes = changes(touched, shared);
                    answer::answer_changes(changes, plan, &types, answer.clone(), parts.probe, context)?;
                }
                Sink::Changelog(stored) => {
                    let rows = changelog(changes(touched, shared), &parent.columns, context);
                    store::store(rows, plan, plan.id, stored, parts.probe, context)?;
                }
                Sink::Stream { .. } => unreachable!("a table is not read as a stream"),
            }
        }
    }
    Ok(())
}

/// Ends a dataflow: its inputs drop their capabilities, and it completes by itself.
pub fn cancel(context: &Context, id: crate::plan::DataflowId) {
    if let Some(dataflow) = context.dataflows.borrow_mut().get_mut(&id) {
        dataflow.cancel.set(true);
        dataflow.wake.iter().for_each(Activator::activate);
        dataflow.presses.iter_mut().for_each(|p| p.press());
    }
    context.kept.borrow_mut().retain(|(dataflow, _), _| *dataflow != id);
}
