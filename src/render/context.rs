//! What the operators of one worker share: its clock, its hubs and tables, books and rejects.

use super::Tick;
use super::books::Books;
use super::hub::Hub;
use super::rejects::RejectLog;
use super::table::Table;
use crate::connector::{self, Share, Writer};
use crate::engine::Pace;
use crate::engine::shared::Shared;
use crate::error::Result;
use crate::plan::{DataflowId, HubId, StorePlan, TableId};
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};
use timely::dataflow::operators::probe::Handle;
use timely::scheduling::Activator;

pub type SharedWriter = RefCell<Box<dyn Writer>>;

pub struct Context {
    pub index: usize,
    pub peers: usize,
    pub pace: Pace,
    pub clock: Clock,
    pub inflight: Inflight,
    pub hubs: RefCell<BTreeMap<HubId, Rc<Hub>>>,
    pub tables: RefCell<BTreeMap<TableId, Rc<Table>>>,
    pub dataflows: RefCell<BTreeMap<DataflowId, Dataflow>>,
    pub books: Books,
    pub rejects: RejectLog,
    /// Of topics that some query writes; all who write one topic share its writer.
    pub writers: RefCell<BTreeMap<String, Weak<SharedWriter>>>,
    pub shared: Arc<Shared>,
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

    /// This worker's writer of a topic.
    pub fn writer(&self, plan: &StorePlan) -> Result<Rc<SharedWriter>> {
        let mut writers = self.writers.borrow_mut();
        if let Some(writer) = writers.get(&plan.topic).and_then(Weak::upgrade) {
            return Ok(writer);
        }
        let share = Share::Part { index: self.index, of: self.peers };
        let writer = Rc::new(RefCell::new(connector::writer(&plan.place, plan.partitions, share)?));
        writers.insert(plan.topic.clone(), Rc::downgrade(&writer));
        Ok(writer)
    }

    /// The least tick that some maintained dataflow has not finished; `None` when all are done.
    pub fn drained(&self) -> Option<Tick> {
        self.dataflows.borrow().values().filter(|d| d.maintained).filter_map(|d| frontier(&d.probe)).min()
    }

    pub fn wake_sources(&self) {
        let dataflows = self.dataflows.borrow();
        dataflows.values().filter(|d| d.reads).flat_map(|d| &d.wake).for_each(Activator::activate);
    }
}

/// Cuts ticks: after so long, or so many bytes.
pub struct Clock {
    /// Instant of tick 0 on this machine.
    epoch: Instant,
    /// Wall clock at the epoch, milliseconds.
    epoch_ms: i64,
    tick: Cell<Tick>,
    cut_at: Cell<Tick>,
    bytes: Cell<usize>,
    interval_us: u64,
    tick_bytes: usize,
}

impl Clock {
    /// `epoch_ms` is agreed between processes, so that their ticks are comparable.
    pub fn new(epoch_ms: i64, pace: &Pace) -> Clock {
        let behind = u64::try_from(now_ms() - epoch_ms).unwrap_or(0);
        let now = Instant::now();
        Clock {
            epoch: now.checked_sub(std::time::Duration::from_millis(behind)).unwrap_or(now),
            epoch_ms,
            tick: Cell::new(1),
            cut_at: Cell::new(0),
            bytes: Cell::new(0),
            interval_us: pace.tick.as_micros() as u64,
            tick_bytes: pace.tick_bytes,
        }
    }

    /// The tick that input read now belongs to.
    pub fn tick(&self) -> Tick {
        self.tick.get()
    }

    pub fn count_bytes(&self, bytes: usize) {
        self.bytes.set(self.bytes.get() + bytes);
    }

    /// Starts a new tick when the present one is old or full enough. True when it did.
    pub fn advance(&self) -> bool {
        let now = self.epoch.elapsed().as_micros() as u64;
        if now < self.cut_at.get() + self.interval_us && self.bytes.get() < self.tick_bytes {
            return false;
        }
        self.tick.set(now.max(self.tick.get() + 1));
        self.cut_at.set(now);
        self.bytes.set(0);
        true
    }

    /// Wall clock, milliseconds since 1970, never running backwards.
    pub fn now_ms(&self) -> i64 {
        self.epoch_ms + self.epoch.elapsed().as_millis() as i64
    }
}

/// Wall clock, milliseconds since 1970.
pub fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_millis() as i64)
}

/// Bytes read that some query has not finished with: what keeps timely's queues bounded.
#[derive(Default)]
pub struct Inflight {
    ticks: RefCell<VecDeque<(Tick, usize)>>,
    total: Cell<usize>,
    pub limit: usize,
}

impl Inflight {
    pub fn new(limit: usize) -> Inflight {
        Inflight { limit, ..Inflight::default() }
    }

    pub fn add(&self, tick: Tick, bytes: usize) {
        self.total.set(self.total.get() + bytes);
        let mut ticks = self.ticks.borrow_mut();
        match ticks.back_mut() {
            Some((last, sum)) if *last == tick => *sum += bytes,
            _ => ticks.push_back((tick, bytes)),
        }
    }

    /// Forgets what belongs to ticks before `drained`. True when that made room.
    pub fn release(&self, drained: Tick) -> bool {
        let was_full = self.full();
        let mut ticks = self.ticks.borrow_mut();
        while let Some((_, bytes)) = ticks.pop_front_if(|(tick, _)| *tick < drained) {
            self.total.set(self.total.get() - bytes);
        }
        was_full && !self.full()
    }

    pub fn full(&self) -> bool {
        self.total.get() >= self.limit
    }
}
