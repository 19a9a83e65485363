//! Stages 4 to 6 of an aggregating query: pre-aggregate each tick, exchange by key, arrange.
//!
//! Fed by transform, whose columns are the group keys followed by the arguments of all calls. What
//! crosses the exchange is one small state a group and tick, not rows: differential sees thousands
//! of updates where there were millions of records.

use super::Tick;
use super::books::{self, Stage};
use super::context::Context;
use super::kept::{Routing, keep};
use super::overflow;
use super::packed::{Blob, StateSpine, StateUpdate};
use super::sessions;
use super::sessions::groups::Rules;
use super::table::{Content, Finisher, Table};
use super::window::{self, Later, Passed};
use crate::aggregate::{Element, Key, PreAggregator, Spec, State, keeps_elements};
use crate::batch::{Batch, Column, Reached};
use crate::error::Result;
use crate::plan::{Aggregation, CLOSED, CLOSED_ELEMENTS, ELEMENTS, GROUPS, QueryPlan, Window};
use arrow_array::BooleanArray;
use differential_dataflow::operators::arrange::TraceAgent;
use std::borrow::Cow;
use std::rc::Rc;
use std::sync::Arc;
use timely::container::CapacityContainerBuilder;
use timely::dataflow::StreamVec;
use timely::dataflow::channels::pact::Pipeline;
use timely::dataflow::operators::generic::builder_rc::OperatorBuilder;
use timely::dataflow::operators::generic::{OutputBuilder, OutputBuilderSession};
use timely::dataflow::operators::probe::Handle;
use timely::dataflow::operators::{Capability, Concat};

/// At so many groups or bytes a tick's groups are handed on before it closes.
const GROUPS_MAX: usize = 16 << 10;
const BYTES_MAX: usize = 16 << 20;

/// Builds the stages; the table that comes out is readable through its traces.
pub fn aggregate(
    rows: StreamVec<'_, Tick, Batch>,
    plan: &QueryPlan,
    aggregation: &Aggregation,
    probe: &Handle<Tick>,
    context: &Rc<Context>,
) -> Result<Table> {
    let scope = rows.scope();
    let keeping = Keeping { plan, aggregation, probe, context };
    let mut content = match &aggregation.window {
        None => {
            let (states, elements) = preaggregate(rows, plan, aggregation, context);
            let states = keeping.keep(states, GROUPS);
            Content::States { states, elements: keeping.elements(elements, ELEMENTS) }
        }
        Some(window) => keeping.windows(rows, window)?,
    };
    overflow::watch(scope, &mut content, plan, aggregation, probe, context);
    let finisher = Finisher::new(&plan.select.columns, aggregation)?;
    Ok(Table::new(content, Some(finisher), &plan.select.columns, probe))
}

type Updates<'s> = StreamVec<'s, Tick, StateUpdate>;
type Trace = TraceAgent<StateSpine>;

/// Builds the arrangements of an aggregation.
struct Keeping<'a> {
    plan: &'a QueryPlan,
    aggregation: &'a Aggregation,
    probe: &'a Handle<Tick>,
    context: &'a Rc<Context>,
}

impl Keeping<'_> {
    fn keep(&self, states: Updates<'_>, name: &str) -> Trace {
        keep(states, name, Routing::Whole, self.plan, self.probe, self.context)
    }

    /// Elements go where their group is.
    fn keep_elements(&self, elements: Updates<'_>, name: &str) -> Trace {
        let routing = Routing::Front(self.aggregation.stored_keys());
        keep(elements, name, routing, self.plan, self.probe, self.context)
    }

    fn elements(&self, elements: Updates<'_>, name: &str) -> Option<Trace> {
        keeps_elements(&self.aggregation.specs()).then(|| self.keep_elements(elements, name))
    }

    /// Windows: their rows are those that are not late, and they go when their time is over.
    fn windows(&self, rows: StreamVec<'_, Tick, Batch>, window: &Window) -> Result<Content> {
        let (plan, aggregation, context) = (self.plan, self.aggregation, self.context);
        let (marks, states, elements, over);
        match Rules::of(window) {
            None => {
                marks = window::marks(&rows);
                let rows = window::assign(rows, window, plan, context);
                (states, elements) = preaggregate(rows, plan, aggregation, context);
                let size = window.size_ms().unwrap_or(0);
                over =
                    if window.is_final { size.saturating_add(window.grace_ms) } else { window.retention_ms };
            }
            Some(rules) => {
                let rows = sessions::ordered(rows, plan, aggregation, self.probe, context)?;
                marks = window::marks(&rows);
                (states, elements) =
                    sessions::sessions(rows, marks.clone(), plan, aggregation, rules, context);
                over = rules.horizon.saturating_add(1);
            }
        }
        let names = [GROUPS, ELEMENTS];
        let by_end = window.gap_ms().is_some();
        let closes = Passed { after: over, by_end, at_end: window.is_final && plan.closes_at_end };
        let ((states, elements), left) = self.leaving(states, elements, names, marks.clone(), closes);
        if !window.is_final {
            return Ok(Content::States { states, elements });
        }
        let ([states, elements], names) = (left, [CLOSED, CLOSED_ELEMENTS]);
        let goes = Passed { after: window.retention_ms, by_end, at_end: false };
        let (states, elements) = self.leaving(states, elements, names, marks, goes).0;
        Ok(Content::States { states, elements })
    }

    /// Keeps the groups of windows and their elements until they are passed; gives the arrangements, and what
    /// has left them.
    fn leaving<'s>(
        &self,
        states: Updates<'s>,
        elements: Updates<'s>,
        names: [&str; 2],
        marks: StreamVec<'s, Tick, Reached>,
        passed: Passed,
    ) -> ((Trace, Option<Trace>), [Updates<'s>; 2]) {
        let feeds = self.plan.feeds(&self.plan.select.from);
        let leaving = |updates: Updates<'s>, keep: &dyn Fn(Updates<'s>) -> Trace| {
            let kept = Later::default();
            let left =
                window::leave(marks.clone(), passed, &feeds, Rc::clone(&kept), self.probe, self.context);
            let trace = keep(updates.concat(window::expired(left.clone())));
            kept.replace(Some(trace.clone()));
            (trace, left)
        };
        let (states, states_left) = leaving(states, &|states| self.keep(states, names[0]));
        if !keeps_elements(&self.aggregation.specs()) {
            return ((states, None), [states_left, elements]);
        }
        let (kept, elements_left) = leaving(elements, &|elements| self.keep_elements(elements, names[1]));
        ((states, Some(kept)), [states_left, elements_left])
    }
}

/// Splits transform's columns into keys and the arguments of each call.
pub struct Arguments {
    keys: usize,
    calls: Vec<usize>,
    latest_row: bool,
}

impl Arguments {
    pub fn of(aggregation: &Aggregation) -> Arguments {
        Arguments::behind(aggregation, aggregation.stored_keys())
    }

    /// Of columns with so many in front that tell groups apart.
    pub fn behind(aggregation: &Aggregation, keys: usize) -> Arguments {
        Arguments {
            keys,
            calls: aggregation.calls.iter().map(|c| c.args.len()).collect(),
            latest_row: aggregation.calls.iter().any(|c| matches!(c.spec, Spec::LatestRow { .. })),
        }
    }

    /// Adds a batch to the groups; returns how many rows belong to none: those without a key, and those of a
    /// stream without a value.
    pub fn add(&self, groups: &mut PreAggregator, batch: &Batch) -> usize {
        if batch.len == 0 {
            return 0;
        }
        let rows = batch.len;
        let batch = if self.latest_row { Cow::Borrowed(batch) } else { batch.with_values() };
        let valueless = rows - batch.len;
        let (keys, mut rest) = batch.columns.split_at(self.keys);
        let mut args: Vec<Vec<Column>> = Vec::with_capacity(self.calls.len());
        for &len in &self.calls {
            let (these, others) = rest.split_at(len);
            args.push(these.to_vec());
            rest = others;
        }
        if self.latest_row {
            args[0].push(deleted(&batch));
        }
        valueless + groups.add(keys, &args, &batch.origin, batch.len)
    }
}

fn deleted(batch: &Batch) -> Column {
    match &batch.deleted {
        Some(deleted) => Column::Array(Arc::new(BooleanArray::new(deleted.clone(), None))),
        None => Column::Const(Arc::new(BooleanArray::from(vec![false]))),
    }
}

/// A fresh pre-aggregator for the calls.
pub fn groups(aggregation: &Aggregation) -> PreAggregator {
    let types: Vec<_> = aggregation
        .calls
        .iter()
        .map(|c| {
            let mut types: Vec<_> = c.args.iter().map(|a| a.ty.clone()).collect();
            if matches!(c.spec, Spec::LatestRow { .. }) {
                types.push(crate::types::SqlType::Boolean);
            }
            types
        })
        .collect();
    PreAggregator::new(&aggregation.specs(), &types).keeping_nulls(aggregation.keeps_nulls)
}

fn preaggregate<'s>(
    rows: StreamVec<'s, Tick, Batch>,
    plan: &QueryPlan,
    aggregation: &Aggregation,
    context: &Rc<Context>,
) -> (StreamVec<'s, Tick, StateUpdate>, StreamVec<'s, Tick, StateUpdate>) {
    let context = Rc::clone(context);
    let stage = context.books.stage(Stage::new(&plan.source(), &plan.topic(), &plan.query, "aggregate"));
    let arguments = Arguments::of(aggregation);
    let mut held = Held { groups: groups(aggregation), gone: Vec::new(), at: None };
    let of_books = plan.topic() == books::TOPIC;

    let mut builder = OperatorBuilder::new("PreAggregate".to_owned(), rows.scope());
    let mut input = builder.new_input(rows, Pipeline);
    let (states, state_stream) = builder.new_output();
    let (elements, element_stream) = builder.new_output();
    let mut states: OutputBuilder<Tick, CapacityContainerBuilder<Vec<StateUpdate>>> =
        OutputBuilder::from(states);
    let mut elements: OutputBuilder<Tick, CapacityContainerBuilder<Vec<StateUpdate>>> =
        OutputBuilder::from(elements);
    builder.build(move |_| {
        move |frontiers| {
            let (mut states, mut elements) = (states.activate(), elements.activate());
            input.for_each(|cap, batches| {
                let tick = *cap.least().expect("rows travel with a tick");
                if held.at.as_ref().is_some_and(|(at, _)| *at.time() != tick) {
                    held.flush(&mut states, &mut elements);
                }
                for batch in batches.drain(..).filter(|batch| batch.len > 0) {
                    held.at.get_or_insert_with(|| (cap.delayed(&tick, 0), cap.delayed(&tick, 1)));
                    if of_books {
                        held.gone.extend(books::gone(&batch, arguments.keys));
                    }
                    let dropped = arguments.add(&mut held.groups, &batch);
                    context.books.record(stage, tick, batch.len, batch.len - dropped, dropped, 0);
                    if held.groups.groups() > GROUPS_MAX || held.groups.bytes() > BYTES_MAX {
                        held.flush(&mut states, &mut elements);
                    }
                }
            });
            if held.at.as_ref().is_some_and(|(at, _)| !frontiers[0].less_equal(at.time())) {
                held.flush(&mut states, &mut elements);
            }
        }
    });
    (state_stream, element_stream)
}

/// The groups of the tick that is being collected, with the right to send them.
struct Held {
    groups: PreAggregator,
    /// Groups that go, with the numbers of their rows.
    gone: Vec<(Key, i64)>,
    at: Option<(Capability<Tick>, Capability<Tick>)>,
}

impl Held {
    fn flush(
        &mut self,
        states: &mut OutputBuilderSession<'_, Tick, CapacityContainerBuilder<Vec<StateUpdate>>>,
        elements: &mut OutputBuilderSession<'_, Tick, CapacityContainerBuilder<Vec<StateUpdate>>>,
    ) {
        let Some((state_cap, element_cap)) = self.at.take() else { return };
        let tick = *state_cap.time();
        let mut states = states.session(&state_cap);
        let mut elements = elements.session(&element_cap);
        self.groups.flush(&mut |key, state, collected: Vec<(Element, State)>| {
            for (element, state) in collected {
                elements.give(((Blob(element.behind(&key)), ()), tick, state));
            }
            states.give(((Blob(key), ()), tick, state));
        });
        for (key, rows) in self.gone.drain(..) {
            states.give(((Blob(key), ()), tick, State::expiring(rows)));
        }
    }
}

/// The expressions that transform computes for an aggregation: keys, then all arguments.
pub fn inputs(aggregation: &Aggregation) -> Vec<crate::expr::Expr> {
    let args = aggregation.calls.iter().flat_map(|c| c.args.iter().cloned());
    aggregation.keys.iter().cloned().chain(args).collect()
}
