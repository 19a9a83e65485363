//! Kept state, by name: what an operator keeps of its keys beyond a tick, in an arrangement by bucket.
//!
//! Fed by an operator with updates (key, tick, state), feeds whoever reads the arrangement. Journals,
//! checkpoints, restarts and rescaling go over names and know no particular operator. A state counts its
//! rows; an update that takes as many away ([`State::expiring`]) makes it nothing, and differential
//! forgets it: so what is kept can go.
//!
//! [`State::expiring`]: crate::aggregate::State::expiring

use super::Tick;
use super::context::{Context, frontier};
use super::journal::{self, SharedJournal};
use super::packed::{StateBatcher, StateSpine, StateUpdate};
use super::scan::{Scan, compact};
use super::snapshot::restored;
use super::table::route;
use crate::plan::{DataflowId, QueryPlan};
use crate::value::row_len;
use differential_dataflow::operators::arrange::TraceAgent;
use differential_dataflow::operators::arrange::arrangement::arrange_core;
use differential_dataflow::trace::TraceReader;
use differential_dataflow::trace::implementations::spine_fueled::SpineBatch;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use timely::dataflow::StreamVec;
use timely::dataflow::channels::pact::Exchange;
use timely::dataflow::operators::Concat;
use timely::dataflow::operators::probe::{Handle, Probe};
use timely::progress::Antichain;

/// The dataflow that keeps it, and its name there.
pub type KeptId = (DataflowId, String);

/// So many changes are always worth keeping; more are as long as there are fewer than keys.
const CHANGES: usize = 4_096;
/// A checkpoint is read back from so many at most.
const LINKS: usize = 32;

/// One worker's share of a kept state.
pub struct Kept {
    trace: RefCell<TraceAgent<StateSpine>>,
    journal: SharedJournal<StateSpine>,
    /// Of the checkpoints since the last whole one: how many, and how many changes are in them.
    links: Cell<usize>,
    written: Cell<usize>,
    /// Updates when it was written as a whole.
    whole: Cell<usize>,
    probe: Handle<Tick>,
}

/// Which part of a key decides its bucket.
#[derive(Clone, Copy)]
pub enum Routing {
    Whole,
    /// So many values from the front: what follows belongs to the same key.
    Front(usize),
}

impl Routing {
    pub fn bucket(self, key: &[u8]) -> u64 {
        match self {
            Routing::Whole => route(key),
            Routing::Front(values) => route(&key[..row_len(key, values).unwrap_or(key.len())]),
        }
    }
}

/// Arranges updates under a name of the query's, with what a checkpoint has of it.
pub fn keep<'s>(
    updates: StreamVec<'s, Tick, StateUpdate>,
    name: &str,
    routing: Routing,
    plan: &QueryPlan,
    probe: &Handle<Tick>,
    context: &Rc<Context>,
) -> TraceAgent<StateSpine> {
    let updates = match restored(updates.scope(), plan, name, context) {
        Some(restored) => updates.concat(restored),
        None => updates,
    };
    let arranged = arrange_core::<_, _, StateBatcher, StateSpine>(
        updates,
        Exchange::new(move |((key, _), _, _): &StateUpdate| routing.bucket(&key.0)),
        "Keep",
        StateBatcher::new,
    );
    let (spans, journal) = journal::keep(&arranged, context);
    spans.probe_with(probe);
    let kept = Kept {
        trace: RefCell::new(arranged.trace.clone()),
        journal,
        links: Cell::default(),
        written: Cell::default(),
        whole: Cell::default(),
        probe: probe.clone(),
    };
    context.kept.borrow_mut().insert((plan.id, name.into()), Rc::new(kept));
    arranged.trace
}

impl Kept {
    /// Lets ticks before `since` be told apart no more.
    pub fn compact(&self, since: Tick) {
        let since = Antichain::from_elem(since);
        let upper = Antichain::from_elem(frontier(&self.probe).unwrap_or(Tick::MAX));
        compact(&mut self.trace.borrow_mut(), &since, &upper);
        self.journal.borrow_mut().compact(&since);
    }

    /// The newest tick that is complete; `None` while there is none.
    pub fn closed(&self) -> Option<Tick> {
        super::table::closed(&self.probe)
    }

    /// What is to be written so that a checkpoint at `tick` has it: its changes since the one before, or
    /// all of it where that is less. True: changes. From now on the next ones are collected.
    pub fn part(&self, tick: Tick) -> (bool, Scan<StateSpine>) {
        let trace = self.trace.borrow();
        let mut len = 0;
        trace.map_spans(|span| len += span.inner.as_ref().map_or(0, SpineBatch::len));
        let changes = self.journal.borrow().changed().filter(|changed| {
            let enough = self.whole.get().max(CHANGES);
            self.links.get() < LINKS && self.written.get() + changed <= enough
        });
        match changes {
            Some(changed) => {
                self.links.update(|links| links + usize::from(changed > 0));
                self.written.update(|written| written + changed);
            }
            None => {
                self.whole.set(len);
                self.links.set(0);
                self.written.set(0);
            }
        }
        let limit = (len / 2).max(CHANGES);
        let journalled = self.journal.borrow_mut().begin(tick, limit);
        match changes {
            Some(_) => (true, journalled),
            None => (false, Scan::of(&trace, None, tick)),
        }
    }

    /// What [`Kept::part`] has handed out has come to nothing: next it hands out all.
    pub fn forget_part(&self) {
        self.journal.borrow_mut().forget();
    }
}
