//! What the operators of one worker share: its clock, its hubs and tables, books and rejects.

use super::Tick;
use super::books::Books;
use super::gauge::{Gauge, Level};
use super::hub::Hub;
use super::kept::{Kept, KeptId};
use super::rejects::RejectLog;
use super::source::{Reading, SharedSource};
use super::table::Table;
use crate::clock::now_ms;
use crate::connector::{self, Dispensers, Moment, Place, Share, Team, Writer};
use crate::engine::Pace;
use crate::engine::shared::Shared;
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
use std::time::{Duration, Instant};
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
    /// What operators keep, by the dataflow and the name.
    pub kept: RefCell<BTreeMap<KeptId, Rc<Kept>>>,
    pub dataflows: RefCell<BTreeMap<DataflowId, Dataflow>>,
    /// Readers of topics, by the names that checkpoints have for them.
    pub readings: RefCell<BTreeMap<String, Rc<RefCell<Reading>>>>,
    /// The stamps of sources, by the same names.
    pub stamps: RefCell<BTreeMap<String, Arc<SharedSource>>>,
    /// Of each source that has been read, by its name.
    pub gauges: RefCell<BTreeMap<String, Rc<RefCell<Gauge>>>>,
    /// While a checkpoint is under way: its tick. Nothing behind it is stored, compacted or told in the
    /// rejects until it is known how far each of these has come.
    pub hold: Cell<Option<Tick>>,
    /// Wakes what waits for `hold`.
    pub stores: RefCell<BTreeMap<DataflowId, Activator>>,
    pub books: Books,
    pub rejects: RejectLog,
    /// One writer for all queries that write one topic, with the topic, by what it belongs to (a stream's hub). Not by
    /// its place: a stream that is made anew has a new directory of the same name.
    pub writers: RefCell<BTreeMap<u64, Stored>>,
    /// How far outboxes were written whose writers are forgotten.
    pub left: RefCell<BTreeMap<PathBuf, Vec<(u32, i64)>>>,
    pub shared: Arc<Shared>,
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
        gauge.borrow_mut().watch(reading);
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
        let (now_ms, started_ms) = (self.clock.now_ms(), self.shared.started_ms());
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
            true => self.shared.say(),
            false => drop(self.shared.counters.said.fetch_add(1, Ordering::Relaxed)),
        }
    }

    /// The least tick that some maintained dataflow has not finished; `None` when all are done.
    pub fn drained(&self) -> Option<Tick> {
        self.dataflows.borrow().values().filter(|d| d.maintained).filter_map(|d| frontier(&d.probe)).min()
    }

    /// This worker among those of its process, as a source knows it.
    pub fn team(&self, waker: Waker, shared: &Arc<Dispensers>) -> Team {
        let workers = self.shared.workers();
        let (worker, processes) = match self.pace.emission {
            Emission::PerTick => (self.index % workers, self.peers / workers),
            Emission::PerRecord => (0, 1),
        };
        Team { worker, process: self.shared.process, processes, waker, shared: Arc::clone(shared) }
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
        Moment { epoch: self.clock.tick(), horizon: self.shared.horizon() }
    }

    /// Lets the other workers know about which ticks this one may still ask.
    pub fn tell_horizon(&self) {
        let tick = self.clock.tick();
        let horizon = self.hold.get().map_or(tick, |hold| hold.min(tick));
        self.shared.set_horizon(self.index % self.shared.workers(), horizon);
    }

    /// Whether nothing is left to read now, as far as readers can tell.
    pub fn is_read(&self) -> bool {
        let now_ms = self.clock.now_ms();
        self.gauges.borrow().values().all(|gauge| gauge.borrow().is_read(now_ms))
    }

    /// Whether these dataflows are through, or gone.
    pub fn are_done(&self, ids: &[DataflowId]) -> bool {
        let dataflows = self.dataflows.borrow();
        ids.iter().all(|id| dataflows.get(id).is_none_or(|dataflow| dataflow.probe.done()))
    }

    pub fn wake_sources(&self) {
        let dataflows = self.dataflows.borrow();
        dataflows.values().filter(|d| d.reads).flat_map(|d| &d.wake).for_each(Activator::activate);
    }
}

/// Says when inputs are looked at, and cuts ticks.
///
/// At each look all that is there is read, then the tick closes at once: its answers wait for nothing
/// else. Where there is always more to read, it closes after so long or so many bytes. Looks are at
/// multiples of the interval, so that all workers look, and close their ticks, at about the same time.
///
/// To close a tick costs far more than a look that finds nothing: all dataflows of all workers are told.
/// So while no reader of the process has said anything, ticks go by without being closed, a few a second
/// excepted; the first thing that one says makes all workers close theirs.
pub struct Clock {
    /// Instant of tick 0 on this machine.
    epoch: Instant,
    /// Wall clock at the epoch, milliseconds.
    epoch_ms: i64,
    tick: Cell<Tick>,
    /// The least tick that was not closed.
    open: Cell<Tick>,
    /// What the readers of the process had said when this worker closed its last tick, and until when it
    /// closes each.
    heard: Cell<u64>,
    busy_until: Cell<Tick>,
    cut_at: Cell<Tick>,
    bytes: Cell<usize>,
    look_at: Cell<Tick>,
    /// From a look until the inputs have nothing more.
    looking: Cell<bool>,
    /// Some input had something since the last step; it may have more.
    more: Cell<bool>,
    tick_us: Tick,
    live_tick_us: Tick,
    /// Ticks are closed so often at least.
    rest_us: Tick,
    tick_bytes: usize,
    /// Where a tick holds one record: which round of the sources it is, each of which reads one record in it.
    round: Option<Cell<u64>>,
    /// Some source that may have more waits for the next round.
    waiting: Cell<bool>,
}

/// How often inputs are looked at while something comes. Half of it is the mean wait for a look; a look
/// and its tick cost some 100 µs of CPU a worker, mostly in telling the others about it.
const LIVE_TICK_US: Tick = 2_000;

/// So long after a reader has said something more counts as coming.
const BUSY_US: Tick = 20_000;

/// How often a tick is closed while no reader says anything. After that long inputs are looked at rarely:
/// once in so many ticks.
const REST_US: Tick = 1_000_000;
const RARE_LOOKS: Tick = 5;

impl Clock {
    /// `epoch_ms` is agreed between processes, so that their ticks are comparable. `rests`: the process is
    /// the only one; others would not hear what its readers say.
    pub fn new(epoch_ms: i64, pace: &Pace, rests: bool) -> Clock {
        let rests = rests && pace.emission == Emission::PerTick;
        let behind = u64::try_from(now_ms() - epoch_ms).unwrap_or(0);
        let now = Instant::now();
        Clock {
            epoch: now.checked_sub(Duration::from_millis(behind)).unwrap_or(now),
            epoch_ms,
            tick: Cell::new(1),
            open: Cell::new(1),
            heard: Cell::new(0),
            busy_until: Cell::new(0),
            cut_at: Cell::new(0),
            bytes: Cell::new(0),
            look_at: Cell::new(0),
            looking: Cell::new(false),
            more: Cell::new(false),
            tick_us: pace.tick.as_micros() as Tick,
            live_tick_us: LIVE_TICK_US.min(pace.tick.as_micros() as Tick),
            rest_us: if rests { REST_US } else { 0 },
            tick_bytes: pace.tick_bytes,
            round: (pace.emission == Emission::PerRecord).then(|| Cell::new(1)),
            waiting: Cell::new(false),
        }
    }

    /// The tick that input read now belongs to.
    pub fn tick(&self) -> Tick {
        self.tick.get()
    }

    /// The least tick that was not closed: inputs give nothing before it.
    pub fn open(&self) -> Tick {
        self.open.get()
    }

    /// A tick so many microseconds ahead.
    pub fn ahead(&self, lead: Tick) -> Tick {
        self.now().max(self.tick.get()) + lead
    }

    /// Whether inputs are to be read now.
    pub fn looking(&self) -> bool {
        self.looking.get()
    }

    /// So many bytes were read, and there may be more.
    pub fn count_bytes(&self, bytes: usize) {
        self.bytes.set(self.bytes.get() + bytes);
        self.more.set(true);
    }

    /// Whether a source may read now that did last in round `last`, and the round that it is. Where a tick
    /// holds one record, all others wait for the next tick, and who has had its turn for the next round.
    pub fn turn(&self, last: u64) -> Option<u64> {
        let Some(round) = &self.round else { return Some(0) };
        if last == round.get() {
            self.waiting.set(true);
        }
        (self.bytes.get() == 0 && last < round.get()).then(|| round.get())
    }

    /// Begins to look at the inputs when it is time to. True when it is.
    /// `said`: how often readers of the process have said something.
    pub fn look(&self, said: u64) -> bool {
        let now = self.now();
        // What another worker says while all rest is answered at once.
        let is_called = self.heard.get() != said && self.is_resting();
        if now < self.look_at.get() && !is_called {
            return false;
        }
        let interval = match now.checked_sub(self.busy_until.get()) {
            Some(quiet) if !is_called && self.rest_us > 0 && quiet > self.rest_us => {
                RARE_LOOKS * self.tick_us
            }
            Some(_) if !is_called => self.tick_us,
            _ => self.live_tick_us,
        };
        let interval = interval.max(1);
        self.look_at.set((now / interval + 1) * interval);
        self.look_now();
        true
    }

    /// Whether the readers of the process have said nothing for a while.
    fn is_resting(&self) -> bool {
        self.now() >= self.busy_until.get()
    }

    /// Looks at the inputs, whatever the time.
    pub fn look_now(&self) {
        self.looking.set(true);
    }

    /// How long until inputs are looked at again.
    pub fn until_look(&self) -> Duration {
        Duration::from_micros(self.look_at.get().saturating_sub(self.now()))
    }

    /// Closes the tick when inputs that are looked at have no more, or when it is old or full enough.
    /// To be asked after each step, with how often readers of the process have said something, and whether
    /// somebody waits for ticks. True when inputs are to tell that it is closed.
    pub fn cut(&self, said: u64, is_awaited: bool) -> bool {
        let more = self.more.take();
        if !self.looking.get() {
            return false;
        }
        let now = self.now();
        if self.heard.replace(said) != said {
            self.busy_until.set(now + BUSY_US);
        }
        if let Some(round) = &self.round {
            return self.cut_record(round, more);
        }
        if more && now < self.cut_at.get() + self.tick_us && self.bytes.get() < self.tick_bytes {
            return false;
        }
        self.looking.set(more);
        self.go_on(now);
        // A tick that does not rest may be a little ahead of the time.
        let rests = self.rest_us > 0 && now < self.open.get() + self.rest_us;
        let closes = is_awaited || now < self.busy_until.get() || !rests;
        if closes {
            self.open.set(self.tick.get());
        }
        closes
    }

    /// Closes a tick that has its record, or none of any source.
    fn cut_record(&self, round: &Cell<u64>, more: bool) -> bool {
        let (read, waits) = (self.bytes.get() > 0, self.waiting.get());
        if !read && waits {
            self.waiting.set(false);
            round.set(round.get() + 1);
        } else if !read && more {
            return false;
        }
        self.looking.set(read || waits);
        self.go_on(self.now());
        self.open.set(self.tick.get());
        true
    }

    /// To the next tick.
    fn go_on(&self, now: Tick) {
        self.tick.set(now.max(self.tick.get() + 1));
        self.cut_at.set(now);
        self.bytes.set(0);
    }

    fn now(&self) -> Tick {
        self.epoch.elapsed().as_micros() as Tick
    }

    /// How long ago a tick was.
    pub fn age(&self, tick: Tick) -> Duration {
        Duration::from_micros(self.now().saturating_sub(tick))
    }

    /// Wall clock when a tick was cut, milliseconds since 1970: the same on all workers.
    pub fn wall_ms(&self, tick: Tick) -> i64 {
        self.epoch_ms + (tick / 1_000) as i64
    }

    /// Wall clock, milliseconds since 1970, never running backwards.
    pub fn now_ms(&self) -> i64 {
        self.epoch_ms + self.epoch.elapsed().as_millis() as i64
    }
}

/// Bytes read that some query has not finished with: what keeps timely's queues bounded.
#[derive(Default)]
pub struct Inflight {
    ticks: RefCell<BTreeMap<Tick, usize>>,
    total: Cell<usize>,
    pub limit: usize,
}

impl Inflight {
    pub fn new(limit: usize) -> Inflight {
        Inflight { limit, ..Inflight::default() }
    }

    pub fn add(&self, tick: Tick, bytes: usize) {
        self.total.set(self.total.get() + bytes);
        *self.ticks.borrow_mut().entry(tick).or_default() += bytes;
    }

    /// Forgets what belongs to ticks before `drained`. True when that made room.
    pub fn release(&self, drained: Tick) -> bool {
        let was_full = self.full();
        let mut ticks = self.ticks.borrow_mut();
        while let Some(entry) = ticks.first_entry().filter(|entry| *entry.key() < drained) {
            self.total.set(self.total.get() - entry.remove());
        }
        was_full && !self.full()
    }

    pub fn bytes(&self) -> usize {
        self.total.get()
    }

    pub fn full(&self) -> bool {
        self.total.get() >= self.limit
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Intervals;

    #[test]
    fn a_tick_closes_when_inputs_have_no_more_or_it_is_full() {
        let hour = Duration::from_secs(3600);
        let checkpoints = Intervals { checkpoint: hour, commit: hour };
        let emission = Emission::PerTick;
        let pace =
            Pace { tick: hour, tick_bytes: 100, batch_bytes: 1, inflight_bytes: 1, emission, checkpoints };
        let clock = Clock::new(now_ms(), &pace, false);
        let mut ticks = vec![clock.tick()];
        let mut cut = || clock.cut(0, false).then(|| ticks.push(clock.tick())).is_some();

        assert!(!cut(), "nobody has looked");
        assert!(clock.look(0) && clock.looking());
        clock.count_bytes(10);
        assert!(!cut(), "there may be more");
        assert!(cut() && !clock.looking(), "there was no more");
        assert!(!cut(), "nobody has looked again");

        clock.look_now();
        clock.count_bytes(100);
        assert!(cut() && clock.looking(), "full, and there may be more");
        assert!(cut() && !clock.looking());
        assert!(ticks.is_sorted_by(|a, b| a < b), "{ticks:?}");
    }

    #[test]
    fn ticks_that_nothing_came_in_are_not_closed_until_somebody_waits_or_says_something() {
        let hour = Duration::from_secs(3600);
        let checkpoints = Intervals { checkpoint: hour, commit: hour };
        let (tick, emission) = (Duration::from_micros(1), Emission::PerTick);
        let pace = Pace { tick, tick_bytes: 100, batch_bytes: 1, inflight_bytes: 1, emission, checkpoints };
        let clock = Clock { rest_us: Tick::MAX / 2, ..Clock::new(now_ms(), &pace, true) };
        let cut = |said, is_awaited| {
            let before = clock.tick();
            clock.look_now();
            let closes = clock.cut(said, is_awaited);
            assert!(clock.tick() > before, "what is read belongs to the present");
            assert_eq!(closes, clock.open() == clock.tick());
            closes
        };
        assert!(!cut(0, false) && !cut(0, false), "nothing was said");
        assert!(cut(0, true), "somebody waits");
        assert!(!cut(0, false));
        assert!(cut(1, false) && cut(1, false), "something was said, and more may come");
        clock.busy_until.set(0);
        assert!(!cut(1, false));
        let clock = Clock { rest_us: 0, ..clock };
        while clock.now() < clock.open() {
            std::hint::spin_loop();
        }
        clock.look_now();
        assert!(clock.cut(1, false), "it is time");
    }
}
