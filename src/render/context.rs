//! What the operators of one worker share: its clock, its hubs and tables, books and rejects.

use super::Tick;
use super::books::Books;
use super::changing::Changing;
use super::gauge::{Gauge, Level};
use super::hub::Hub;
use super::inflight::Inflight;
use super::kept::{Kept, KeptId};
use super::lateness::Lateness;
use super::pacing::Pacing;
use super::process::Process;
use super::read::Reading;
use super::rejects::RejectLog;
use super::source::SharedSource;
use super::standing::Standing;
use super::table::Table;
use super::ticks::{Clock, Pace};
use crate::connector::{self, Dispensers, Moment, Place, Position, Share, Team, Writer};
use crate::error::Result;
use crate::plan::{DataflowId, Emission, HubId, SourcePlan, StorePlan, TableId};
use crate::registry::Lookups;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Waker;
use timely::dataflow::operators::probe::Handle;
use timely::scheduling::Activator;

pub type SharedWriter = RefCell<Box<dyn Writer>>;

pub struct Context {
    pub index: usize,
    pub peers: usize,
    pub pace: Pace,
    pub clock: Clock,
    pub inflight: Inflight,
    pub pacing: Pacing,
    pub hubs: RefCell<BTreeMap<HubId, Rc<Hub>>>,
    pub tables: RefCell<BTreeMap<TableId, Rc<Table>>>,
    /// What operators keep, by the dataflow and the name.
    pub kept: RefCell<BTreeMap<KeptId, Rc<Kept>>>,
    pub dataflows: RefCell<BTreeMap<DataflowId, Dataflow>>,
    /// Readers of topics, by the names that checkpoints have for them.
    pub readings: RefCell<BTreeMap<String, Rc<RefCell<Reading>>>>,
    /// The stamps of sources, by the same names.
    pub stamps: RefCell<BTreeMap<String, Arc<SharedSource>>>,
    /// Of each source that has been read, by its name.
    pub gauges: RefCell<BTreeMap<String, Rc<RefCell<Gauge>>>>,
    pub pauses: Standing,
    pub changing: Changing,
    /// While a checkpoint is under way: its tick. Nothing behind it is stored, compacted or told in the
    /// rejects until it is known how far each of these has come.
    pub hold: Cell<Option<Tick>>,
    /// Wakes what waits for `hold`.
    pub stores: RefCell<BTreeMap<DataflowId, Activator>>,
    pub books: Books,
    /// By query, since the start.
    pub lateness: RefCell<BTreeMap<String, Lateness>>,
    pub rejects: RejectLog,
    /// One writer for all queries that write one topic, with the topic, by what it belongs to (a stream's hub). Not by
    /// its place: a stream that is made anew has a new directory of the same name.
    pub writers: RefCell<BTreeMap<u64, Stored>>,
    /// How far outboxes were written whose writers are forgotten.
    pub left: RefCell<BTreeMap<PathBuf, Vec<(u32, i64)>>>,
    pub process: Arc<dyn Process>,
    pub schemas: Lookups,
}

/// A stored topic, as far as this worker writes it.
pub struct Stored {
    pub topic: String,
    /// What waits here is delivered to a cluster.
    pub outbox: Option<PathBuf>,
    pub log: Option<PathBuf>,
    pub writer: Rc<SharedWriter>,
    /// The queries that write it.
    by: Vec<DataflowId>,
}

/// An installed dataflow.
pub struct Dataflow {
    pub probe: Handle<Tick>,
    /// Set to end it: its inputs drop their capabilities, and it completes by itself.
    pub cancel: Rc<Cell<bool>>,
    /// Reads a topic: woken at each tick.
    pub reads: bool,
    /// Wakes its inputs, so that they notice `cancel`.
    pub wake: Vec<Activator>,
    /// Ends what it imports from tables.
    pub presses: Vec<super::changes::Press>,
    /// The query that it is of.
    pub query: Option<String>,
    /// False for answers: a slow client holds back neither sources nor books.
    pub maintained: bool,
}

/// The frontier of a probe: `None` when nothing can follow.
pub fn frontier(probe: &Handle<Tick>) -> Option<Tick> {
    probe.with_frontier(|f| f.first().copied())
}

impl Context {
    pub fn hub(&self, id: HubId) -> Rc<Hub> {
        let mut hubs = self.hubs.borrow_mut();
        Rc::clone(hubs.entry(id).or_insert_with(|| Rc::new(Hub::default())))
    }

    /// The gauge of a source that is read by one more.
    pub fn gauge(&self, plan: &SourcePlan, reading: &Rc<RefCell<Reading>>) -> Rc<RefCell<Gauge>> {
        let mut gauges = self.gauges.borrow_mut();
        let gauge =
            gauges.entry(plan.source.clone()).or_insert_with(|| Rc::new(Gauge::new(&plan.topic).into()));
        gauge.borrow_mut().watch(plan.id, reading);
        Rc::clone(gauge)
    }

    /// This worker's reader of that name.
    pub fn reading(&self, key: &str, shared: &Arc<SharedSource>) -> Rc<RefCell<Reading>> {
        let reading = Rc::new(RefCell::new(Reading::Unopened));
        if !key.is_empty() {
            self.readings.borrow_mut().insert(key.into(), Rc::clone(&reading));
            self.stamps.borrow_mut().insert(key.into(), Arc::clone(shared));
        }
        reading
    }

    pub fn forget_reading(&self, plan: &SourcePlan, reading: &Rc<RefCell<Reading>>) {
        let mut readings = self.readings.borrow_mut();
        // One that was made anew may have the name already.
        if readings.get(&plan.key).is_some_and(|named| Rc::ptr_eq(named, reading)) {
            readings.remove(&plan.key);
            self.stamps.borrow_mut().remove(&plan.key);
        }
        let mut gauges = self.gauges.borrow_mut();
        if gauges.get(&plan.source).is_some_and(|gauge| !gauge.borrow_mut().unwatch(reading)) {
            gauges.remove(&plan.source);
        }
        *reading.borrow_mut() = Reading::Ended(None);
    }

    /// Forgets dataflows that were cancelled and are through, with what only they wrote.
    pub fn forget_cancelled(&self) {
        let mut dataflows = self.dataflows.borrow_mut();
        let is_over = |_: &DataflowId, d: &mut Dataflow| d.cancel.get() && d.probe.done();
        let over: Vec<(DataflowId, Dataflow)> = dataflows.extract_if(.., is_over).collect();
        for (id, dataflow) in &over {
            self.stores.borrow_mut().remove(id);
            let runs = |query: &str| dataflows.values().any(|d| d.query.as_deref() == Some(query));
            dataflow.query.iter().filter(|query| !runs(query)).for_each(|query| self.books.end(query));
        }
        if !over.is_empty() {
            let mut left = self.left.borrow_mut();
            self.writers.borrow_mut().retain(|_, stored| {
                let stays = stored.by.iter().any(|id| dataflows.contains_key(id));
                if let (false, Some(outbox)) = (stays, &stored.outbox) {
                    left.insert(outbox.clone(), stored.writer.borrow().ends());
                }
                stays
            });
        }
    }

    /// How far each source is read.
    pub fn levels(&self) -> BTreeMap<String, Level> {
        let (now_ms, started_ms) = (self.clock.now_ms(), self.process.started_ms());
        let gauges = self.gauges.borrow();
        gauges
            .iter()
            .map(|(name, gauge)| (name.clone(), gauge.borrow_mut().level(now_ms, started_ms)))
            .collect()
    }

    /// How much is there, by what it is.
    pub fn installed(&self) -> BTreeMap<String, u64> {
        let counts = [
            ("dataflows", self.dataflows.borrow().len()),
            ("hubs", self.hubs.borrow().len()),
            ("tables", self.tables.borrow().len()),
            ("states", self.kept.borrow().len()),
            ("readers", self.readings.borrow().len()),
            ("sources", self.gauges.borrow().len()),
            ("stores", self.stores.borrow().len()),
            ("stages", self.books.stages()),
        ];
        counts.into_iter().map(|(what, count)| (what.into(), count as u64)).collect()
    }

    /// Whether what belongs to a closed tick may leave the dataflows now.
    pub fn may_leave(&self, tick: Tick) -> bool {
        self.hold.get().is_none_or(|hold| tick <= hold)
    }

    pub fn release(&self) {
        self.hold.set(None);
        self.stores.borrow().values().for_each(Activator::activate);
    }

    /// This worker's writer of a stored topic: partition p belongs to worker p modulo the workers.
    pub fn writer(&self, owner: u64, by: DataflowId, plan: &StorePlan) -> Result<Rc<SharedWriter>> {
        let mut writers = self.writers.borrow_mut();
        if let Some(stored) = writers.get_mut(&owner) {
            stored.by.push(by);
            return Ok(Rc::clone(&stored.writer));
        }
        let share = Share::Part { index: self.index, of: self.peers };
        let partitions = plan.layout.partitions;
        let writer = match &plan.outbox {
            Some(dir) => connector::writer(&Place::Log { dir: dir.clone(), partitions }, plan.layout, share)?,
            None => connector::writer(&plan.place, plan.layout, share)?,
        };
        let writer = Rc::new(RefCell::new(writer));
        let (topic, outbox) = (plan.topic.clone(), plan.outbox.clone());
        let stored =
            Stored { topic, outbox, log: plan.log().cloned(), writer: Rc::clone(&writer), by: vec![by] };
        writers.insert(owner, stored);
        Ok(writer)
    }

    /// A reader says something: all workers of the process are to close their ticks.
    pub fn say(&self) {
        match self.clock.is_resting() {
            true => self.process.say(),
            false => drop(self.process.counters().said.fetch_add(1, Ordering::Relaxed)),
        }
    }

    /// Rows were too late for a query, which would have counted if its grace had been longer by so many ms.
    pub fn count_late(&self, query: &str, needed_ms: impl Iterator<Item = i64>) {
        let mut needed_ms = needed_ms.peekable();
        if needed_ms.peek().is_some() {
            let mut all = self.lateness.borrow_mut();
            let lateness = all.entry(query.into()).or_default();
            needed_ms.for_each(|ms| lateness.add(ms));
        }
    }

    /// The least tick that some maintained dataflow has not finished; `None` when all are done.
    pub fn drained(&self) -> Option<Tick> {
        self.dataflows.borrow().values().filter(|d| d.maintained).filter_map(|d| frontier(&d.probe)).min()
    }

    /// This worker among those of its process, as a source knows it.
    pub fn team(&self, waker: Waker, shared: &Arc<Dispensers>) -> Team {
        let workers = self.process.workers();
        let (worker, processes) = match self.pace.emission {
            Emission::PerTick => (self.index % workers, self.peers / workers),
            Emission::PerRecord => (0, 1),
        };
        Team { worker, process: self.process.index(), processes, waker, shared: Arc::clone(shared) }
    }

    /// What this worker reads of each topic. One reads all of them where a tick holds one record.
    pub fn share(&self) -> Option<Share> {
        match self.pace.emission {
            Emission::PerTick => Some(Share::Part { index: self.index, of: self.peers }),
            Emission::PerRecord => (self.index == 0).then_some(Share::Part { index: 0, of: 1 }),
        }
    }

    /// The moment that input read now belongs to.
    pub fn moment(&self) -> Moment {
        Moment { epoch: self.clock.tick(), horizon: self.process.horizon() }
    }

    /// Lets the other workers know about which ticks this one may still ask.
    pub fn tell_horizon(&self) {
        let tick = self.clock.tick();
        let horizon = self.hold.get().map_or(tick, |hold| hold.min(tick));
        self.process.set_horizon(self.index % self.process.workers(), horizon);
    }

    /// How far a reader has read that stands still everywhere; `None`: it has not begun.
    pub fn position(&self, key: &str) -> Option<Position> {
        let reached = self.readings.borrow().get(key)?.borrow().position()?;
        let stamps = self.stamps.borrow().get(key).map(|shared| shared.stamps.at(Tick::MAX));
        Some(Position { stamps: stamps.unwrap_or_default(), ..reached.at(Tick::MAX) })
    }

    /// Whether nothing is left to read now, as far as readers can tell that do not stand still.
    pub fn is_read(&self) -> bool {
        let now_ms = self.clock.now_ms();
        self.gauges.borrow().values().all(|gauge| gauge.borrow().is_read(now_ms, &self.pauses))
    }

    /// Whether these dataflows are through, or gone.
    pub fn are_done(&self, ids: &[DataflowId]) -> bool {
        let dataflows = self.dataflows.borrow();
        ids.iter().all(|id| dataflows.get(id).is_none_or(|dataflow| dataflow.probe.done()))
    }

    /// Whether all of a tick is through in a dataflow, or that is gone.
    pub fn has_passed(&self, id: DataflowId, tick: Tick) -> bool {
        let dataflows = self.dataflows.borrow();
        dataflows.get(&id).and_then(|dataflow| frontier(&dataflow.probe)).is_none_or(|open| open > tick)
    }

    pub fn wake_sources(&self) {
        let dataflows = self.dataflows.borrow();
        dataflows.values().filter(|d| d.reads).flat_map(|d| &d.wake).for_each(Activator::activate);
    }
}
