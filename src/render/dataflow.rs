//! One plan → one dataflow on this worker.

use super::changes::{Press, Touched, changelog, changes, changes_after};
use super::context::{Context, Dataflow};
use super::hub::{publish, subscribe};
use super::preaggregate::aggregate;
use super::read::read;
use super::source::decode;
use super::table::Table;
use super::transform::transform;
use super::{Tick, answer, derive, join, store};
use crate::batch::Batch;
use crate::connector::{Place, Start};
use crate::error::Result;
use crate::plan::{
    Aggregation, DataflowPlan, Input, QueryInput, QueryPlan, Relation, Shape, Sink, SourcePlan, TableId,
    Wanted,
};
use std::cell::Cell;
use std::rc::Rc;
use timely::dataflow::operators::probe::{Handle, Probe};
use timely::dataflow::{Scope, StreamVec};
use timely::scheduling::Activator;
use timely::worker::Worker;

/// Installs a dataflow; every worker installs the same ones in the same order.
///
/// # Errors
/// A plan that does not compile; the coordinator compiles plans before it sends them, so this means
/// that processes differ.
pub fn install(worker: &mut Worker, plan: &DataflowPlan, context: &Rc<Context>) -> Result<()> {
    let mut ends =
        Ends { probe: Handle::new(), cancel: Rc::default(), wake: Vec::new(), presses: Vec::new() };
    worker.dataflow::<Tick, _, _>(|scope| match plan {
        DataflowPlan::Source(plan) => install_source(scope, plan, &mut ends, context),
        DataflowPlan::Query(plan) => install_query(scope, plan, &mut ends, context),
    })?;
    let maintained = !matches!(plan, DataflowPlan::Query(QueryPlan { sink: Sink::Answer { .. }, .. }));
    let reads = matches!(plan, DataflowPlan::Source(_));
    let query = match plan {
        DataflowPlan::Query(plan) => Some(plan.query.clone()),
        DataflowPlan::Source(_) => None,
    };
    let Ends { probe, cancel, wake, presses } = ends;
    let dataflow = Dataflow { probe, cancel, reads, wake, presses, query, maintained };
    context.dataflows.borrow_mut().insert(plan.id(), dataflow);
    Ok(())
}

/// What a dataflow is watched and ended by.
pub struct Ends {
    pub probe: Handle<Tick>,
    pub cancel: Rc<Cell<bool>>,
    pub wake: Vec<Activator>,
    pub presses: Vec<Press>,
}

fn install_source(
    scope: Scope<'_, Tick>,
    plan: &SourcePlan,
    ends: &mut Ends,
    context: &Rc<Context>,
) -> Result<()> {
    let shared = context.process.source(plan.id);
    let messages = read(scope, plan, &shared, context, Rc::clone(&ends.cancel), &mut ends.wake);
    let rows = decode(messages, plan, &shared, context, Rc::clone(&ends.cancel), &mut ends.wake)?;
    publish(rows.probe_with(&ends.probe), context.hub(plan.hub), plan.id);
    Ok(())
}

fn install_query(
    scope: Scope<'_, Tick>,
    plan: &QueryPlan,
    ends: &mut Ends,
    context: &Rc<Context>,
) -> Result<()> {
    let wanted = wanted(plan);
    match rendered(scope, &plan.select.from, &wanted, plan, ends, context)? {
        Rendered::Rows(rows) => install_on_rows(rows, plan, ends, context),
        Rendered::Table(touched, table) => install_on_table(touched, *table, plan, ends, context),
    }
}

/// The columns of its relation that a query reads by itself.
fn wanted(plan: &QueryPlan) -> Vec<bool> {
    // What only passes on needs no column by itself: who reads it does.
    let passes = matches!(plan.sink, Sink::Stream { store: None, .. }) && plan.select.from.is_scan();
    let outputs = passes.then(|| vec![false; plan.select.columns.len()]);
    plan.select.reads(plan.width(), outputs.as_deref())
}

/// What a relation becomes: a stream of rows, or a table and the keys that change in it.
pub enum Rendered<'s> {
    Rows(StreamVec<'s, Tick, Batch>),
    Table(Touched<'s>, Box<Table>),
}

/// `wanted`: the columns of the relation that somebody reads.
pub fn rendered<'s>(
    scope: Scope<'s, Tick>,
    relation: &Relation,
    wanted: &[bool],
    plan: &QueryPlan,
    ends: &mut Ends,
    context: &Rc<Context>,
) -> Result<Rendered<'s>> {
    let input = match relation {
        Relation::Scan(input) => *input,
        Relation::Join(join) => {
            let (of_left, of_right) = join.wanted(wanted);
            let left = rendered(scope, &join.left.relation, &of_left, plan, ends, context)?;
            let right = rendered(scope, &join.right.relation, &of_right, plan, ends, context)?;
            return join::join([left, right], join, wanted, plan, &ends.probe, context);
        }
    };
    Ok(match plan.inputs[input].from {
        Input::Hub(hub) => {
            let needs = needs(plan, input, wanted);
            let cancel = Rc::clone(&ends.cancel);
            Rendered::Rows(subscribe(scope, &context.hub(hub), plan.id, needs, cancel, &mut ends.wake))
        }
        Input::Table(table) => {
            let table = Rc::clone(&context.tables.borrow()[&table]);
            let (touched, shared, presses) = table.share(scope);
            ends.presses.extend(presses);
            Rendered::Table(touched, Box::new(shared))
        }
    })
}

fn needs(plan: &QueryPlan, input: usize, wanted: &[bool]) -> Wanted {
    Wanted { columns: wanted[..plan.inputs[input].columns].to_vec(), headers: plan.passes_headers_on() }
}

/// Has a dataflow that is installed go on by another plan, which reads and writes where this one did.
///
/// # Errors
/// As for [`install`].
pub fn change(plan: DataflowPlan, context: &Context) -> Result<()> {
    if let DataflowPlan::Query(query) = &plan {
        if let Relation::Scan(input) = query.select.from
            && let Input::Hub(hub) = query.inputs[input].from
        {
            context.hub(hub).set_needs(query.id, &needs(query, input, &wanted(query)));
        }
        if let (Sink::Table { table, .. }, Shape::Aggregate(aggregation)) = (&query.sink, &query.select.shape)
        {
            let mut tables = context.tables.borrow_mut();
            if let Some(known) = tables.get_mut(table) {
                *known = Rc::new(known.finished_by(&query.select.columns, aggregation)?);
            }
        }
    }
    context.changing.change(plan);
    Ok(())
}

fn install_on_rows(
    rows: StreamVec<'_, Tick, Batch>,
    plan: &QueryPlan,
    ends: &Ends,
    context: &Rc<Context>,
) -> Result<()> {
    match (&plan.sink, &plan.select.shape) {
        (Sink::Table { table, .. }, Shape::Aggregate(aggregation)) => {
            install_table(rows, *table, aggregation, plan, ends, context)
        }
        (Sink::Stream { hub, store: stored }, Shape::Project(_)) => {
            let feeds = context.hub(*hub);
            // What is stored needs every column, whoever reads.
            let wanted = stored.is_none().then(|| Rc::clone(&feeds));
            let rows = transform(rows, plan, wanted, context)?;
            if let Some(stored) = stored.as_ref().filter(|stored| stored.place != Place::Blackhole) {
                store::store(rows.clone(), plan, *hub, stored, &ends.probe, context)?;
            }
            publish(rows.probe_with(&ends.probe), feeds, plan.id);
            Ok(())
        }
        (Sink::Answer { answer, placed, .. }, Shape::Project(_)) => {
            let rows = transform(rows, plan, None, context)?;
            let columns = plan.select.columns.len();
            answer::answer_rows(rows, (columns, *placed), answer.clone(), &ends.probe, context);
            Ok(())
        }
        (sink, _) => Err(misfit(plan, sink)),
    }
}

fn install_table(
    rows: StreamVec<'_, Tick, Batch>,
    table: TableId,
    aggregation: &Aggregation,
    plan: &QueryPlan,
    ends: &Ends,
    context: &Rc<Context>,
) -> Result<()> {
    let rows = transform(rows, plan, None, context)?;
    let built = aggregate(rows, plan, aggregation, &ends.probe, context)?;
    context.tables.borrow_mut().insert(table, Rc::new(built));
    Ok(())
}

fn install_on_table(
    touched: Touched<'_>,
    parent: Table,
    plan: &QueryPlan,
    ends: &Ends,
    context: &Rc<Context>,
) -> Result<()> {
    match &plan.sink {
        Sink::Table { table, .. } => {
            let built = derive::derive(touched, parent, plan, &ends.probe, context)?;
            let built = built.beginning(present(plan, context));
            context.tables.borrow_mut().insert(*table, Rc::new(built));
        }
        Sink::Answer { answer, start, .. } => {
            let types: Vec<_> = parent.columns.iter().map(|c| c.ty.clone()).collect();
            let after = (*start == Start::Latest).then(|| present(plan, context));
            let changes = changes_after(touched, parent, plan.emission, after);
            answer::answer_changes(changes, plan, &types, answer.clone(), &ends.probe, context)?;
        }
        Sink::Changelog(stored) => {
            let columns = parent.columns.clone();
            let rows = changelog(changes(touched, parent, plan.emission), &columns, plan, context);
            match stored.place {
                Place::Blackhole => drop(rows.probe_with(&ends.probe)),
                _ => store::store(rows, plan, plan.id, stored, &ends.probe, context)?,
            }
        }
        Sink::Stream { .. } => return Err(misfit(plan, &plan.sink)),
    }
    Ok(())
}

/// Up to which tick a query's tables are there.
fn present(plan: &QueryPlan, context: &Context) -> Tick {
    let tables = context.tables.borrow();
    let of_input = |input: &QueryInput| match &input.from {
        Input::Table(table) => Some(tables[table].present()),
        Input::Hub(_) => None,
    };
    plan.inputs.iter().filter_map(of_input).max().unwrap_or(0)
}

/// The coordinator sends no such plan: a process of another kind must have.
fn misfit(plan: &QueryPlan, sink: &Sink) -> crate::error::Error {
    let what = format!("the plan of {} does not fit what it writes: {sink:?}", plan.query);
    crate::error::Error::runtime(what)
}

/// Ends a dataflow: its inputs drop their capabilities, and it completes by itself.
pub fn cancel(context: &Context, id: crate::plan::DataflowId) {
    if let Some(dataflow) = context.dataflows.borrow_mut().get_mut(&id) {
        dataflow.cancel.set(true);
        dataflow.wake.iter().for_each(Activator::activate);
        dataflow.presses.iter_mut().for_each(|p| p.press());
    }
    context.kept.borrow_mut().retain(|(dataflow, _), _| *dataflow != id);
    context.pauses.forget(id);
    context.changing.forget(id);
}
