//! Where the writers of a stream meet its readers, inside one worker.
//!
//! A stream is written by its source, or by queries that come and go, and read by queries that come
//! and go. A hub hands every batch to every reader, and a frontier: the least tick that a writer may
//! still send. It is the one place that orders them, so all readers see the same ticks.

use super::Tick;
use super::context::Context;
use crate::batch::{Batch, Column, Reached};
use crate::headers::Headers;
use crate::plan::{DataflowId, Wanted};
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::rc::{Rc, Weak};
use timely::dataflow::channels::pact::Pipeline;
use timely::dataflow::operators::generic::Operator;
use timely::dataflow::operators::generic::operator::source;
use timely::dataflow::{Scope, StreamVec};
use timely::scheduling::Activator;

#[derive(Default)]
pub struct Hub {
    writers: RefCell<BTreeMap<DataflowId, Tick>>,
    readers: RefCell<Vec<Weak<Reader>>>,
    frontier: Cell<Tick>,
    closed: Cell<bool>,
    /// What some reader reads; writers leave out the rest.
    pub wanted: RefCell<Wanted>,
    /// How far each reader of a source has come, and each partition, for readers of the hub that come later.
    reached: RefCell<BTreeMap<ReachedBy, Reached>>,
}

/// Source, worker, and the partition where it is about one.
type ReachedBy = (u32, u32, Option<i32>);

/// One reader's queue; what is in it was counted as in flight by its source.
pub struct Reader {
    /// The query that reads.
    query: DataflowId,
    queue: RefCell<VecDeque<Event>>,
    needs: RefCell<Wanted>,
    activator: Activator,
}

enum Event {
    Batch(Tick, Box<Batch>),
    Frontier(Tick),
    Closed,
}

impl Hub {
    /// A new writer: nothing of it comes before the present frontier.
    pub fn add_writer(&self, writer: DataflowId) {
        self.writers.borrow_mut().insert(writer, self.frontier.get());
        self.closed.set(false);
    }

    /// Hands a batch to the readers. One that comes late, from a writer that joined after other
    /// workers' ticks had passed, counts for the present tick.
    pub fn push(&self, tick: Tick, batch: Batch) {
        let tick = tick.max(self.frontier.get());
        if let Some(reached) = batch.origin.reached {
            let of = (reached.source, reached.worker, reached.partition.map(|(partition, _)| partition));
            let mut known = self.reached.borrow_mut();
            known.insert(of, reached);
            if !reached.at_end {
                known.remove(&(reached.source, reached.worker, None));
            }
        }
        self.readers.borrow_mut().retain(|reader| {
            let Some(reader) = reader.upgrade() else { return false };
            if reader.can_read(&batch) {
                reader.push(Event::Batch(tick, Box::new(batch.clone())));
            }
            true
        });
    }

    /// The writer sends nothing before `tick` any more; `None`: nothing at all.
    pub fn advance(&self, writer: DataflowId, tick: Option<Tick>) {
        let least = {
            let mut writers = self.writers.borrow_mut();
            match tick {
                Some(tick) => writers.insert(writer, tick),
                None => writers.remove(&writer),
            };
            writers.values().min().copied()
        };
        if let Some(least) = least {
            self.advance_to(least);
        }
    }

    /// A new reader: what comes from now on, and how far who writes has come.
    fn add_reader(&self, reader: &Rc<Reader>) {
        reader.push(Event::Frontier(self.frontier.get()));
        // Of each reader of a source the partitions first: that it is at the end holds for all of them.
        for reached in self.reached.borrow().values().rev() {
            reader.push(Event::Batch(self.frontier.get(), Box::new(Batch::reached(*reached))));
        }
        if self.closed.get() {
            reader.push(Event::Closed);
        }
        self.readers.borrow_mut().push(Rc::downgrade(reader));
    }

    /// Whether all of a tick has come to its readers.
    pub fn has_passed(&self, tick: Tick) -> bool {
        self.closed.get() || self.frontier.get() > tick
    }

    /// A query reads another hub from now on.
    pub fn hand_over(&self, query: DataflowId, to: &Hub) {
        let is_its = |reader: &mut Weak<Reader>| reader.upgrade().is_some_and(|r| r.query == query);
        let readers: Vec<Weak<Reader>> = self.readers.borrow_mut().extract_if(.., is_its).collect();
        readers.iter().filter_map(Weak::upgrade).for_each(|reader| to.add_reader(&reader));
    }

    /// A query reads other columns from now on.
    pub fn set_needs(&self, query: DataflowId, needs: &Wanted) {
        let readers = self.readers.borrow();
        let its = readers.iter().filter_map(Weak::upgrade).filter(|reader| reader.query == query);
        its.for_each(|reader| *reader.needs.borrow_mut() = needs.clone());
    }

    /// Nobody writes, and nobody reads.
    fn unused(&self) -> bool {
        self.writers.borrow().is_empty() && self.readers.borrow().iter().all(|r| r.strong_count() == 0)
    }

    /// True when nobody writes: the engine then closes it, or lets it follow the clock.
    pub fn idle(&self) -> bool {
        self.writers.borrow().is_empty() && !self.closed.get()
    }

    pub fn advance_to(&self, tick: Tick) {
        if tick > self.frontier.get() {
            self.frontier.set(tick);
            self.each_reader(|| Event::Frontier(tick));
        }
    }

    pub fn close(&self) {
        self.closed.set(true);
        self.each_reader(|| Event::Closed);
    }

    fn each_reader(&self, event: impl Fn() -> Event) {
        self.readers.borrow_mut().retain(|reader| match reader.upgrade() {
            Some(reader) => {
                reader.push(event());
                true
            }
            None => false,
        });
    }
}

impl Reader {
    fn push(&self, event: Event) {
        self.queue.borrow_mut().push_back(event);
        self.activator.activate();
    }

    /// False for a batch that was made before this reader came and lacks something it needs: such a
    /// batch lies before the reader's start.
    fn can_read(&self, batch: &Batch) -> bool {
        if batch.len == 0 {
            return true;
        }
        let needs = self.needs.borrow();
        // Columns that a stream got later are behind those that an older batch has.
        let is_there = |i: usize| batch.columns.get(i).is_some_and(|c| !matches!(c, Column::Absent));
        let has_columns = needs.columns.iter().enumerate().all(|(i, needed)| !needed || is_there(i));
        has_columns && !(needs.headers && matches!(batch.origin.headers, Headers::Unread))
    }
}

/// The last stage of a writer: hands its batches and its frontier to the hub.
pub fn publish(stream: StreamVec<'_, Tick, Batch>, hub: Rc<Hub>, writer: DataflowId) {
    hub.add_writer(writer);
    let mut last = None;
    let mut done = false;
    stream.sink(Pipeline, "Publish", move |(input, frontier)| {
        input.for_each(|cap, batches| {
            let tick = *cap.least().expect("rows travel with a tick");
            batches.drain(..).for_each(|batch| hub.push(tick, batch));
        });
        let now = frontier.frontier().first().copied();
        if now != last || (now.is_none() && !done) {
            last = now;
            done = now.is_none();
            hub.advance(writer, now);
        }
    });
}

/// The first stage of a reader.
pub fn subscribe<'s>(
    scope: Scope<'s, Tick>,
    hub: &Rc<Hub>,
    query: DataflowId,
    needs: Wanted,
    cancel: Rc<Cell<bool>>,
    wake: &mut Vec<Activator>,
) -> StreamVec<'s, Tick, Batch> {
    source(scope, "Subscribe", |capability, info| {
        let activator = scope.activator_for(std::rc::Rc::clone(&info.address));
        wake.push(scope.activator_for(info.address));
        let needs = RefCell::new(needs);
        let reader = Rc::new(Reader { query, queue: RefCell::default(), needs, activator });
        hub.add_reader(&reader);
        let mut state = Some((capability, reader));
        move |output| {
            if cancel.get() {
                state = None;
            }
            while let Some((capability, reader)) = &mut state {
                let Some(event) = reader.queue.borrow_mut().pop_front() else { break };
                match event {
                    Event::Batch(tick, batch) => {
                        let at = capability.delayed(&tick.max(*capability.time()));
                        output.session(&at).give(*batch);
                    }
                    Event::Frontier(tick) if tick > *capability.time() => capability.downgrade(&tick),
                    Event::Frontier(_) => {}
                    Event::Closed => state = None,
                }
            }
        }
    })
}

/// Lets hubs without writers follow the clock, or ends them when no input will come any more; forgets
/// those that nobody uses.
pub fn tend(context: &Context, ended: bool) {
    context.hubs.borrow_mut().retain(|_, hub| !hub.unused());
    for hub in context.hubs.borrow().values().filter(|hub| hub.idle()) {
        if ended { hub.close() } else { hub.advance_to(context.clock.open()) }
    }
}
