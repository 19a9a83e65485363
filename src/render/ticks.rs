//! Ticks: when inputs are looked at, and when what was read is complete.

use super::Tick;
use crate::clock::now_ms;
use crate::plan::Emission;
use std::cell::Cell;
use std::time::{Duration, Instant};

/// How finely input is cut.
#[derive(Clone, Debug)]
pub struct Pace {
    /// Where there is always more to read, a tick closes after this long ...
    pub tick: Duration,
    /// ... or when a worker has read so many bytes in it. Else it closes when all that is there is read.
    pub tick_bytes: usize,
    /// Bytes of one message batch.
    pub batch_bytes: usize,
    /// One record a tick, whatever the above, or as they say. One worker reads all there is then, so that
    /// records are one after the other.
    pub emission: Emission,
    /// Bytes a worker may have read that have not left the slowest query.
    pub inflight_bytes: usize,
}

/// Says when inputs are looked at, and cuts ticks.
///
/// At each look all that is there is read, then the tick closes at once: its answers wait for nothing
/// else. Where there is always more to read, it closes after so long or so many bytes. Looks are at
/// multiples of the interval, so that all workers look, and close their ticks, at about the same time.
///
/// To close a tick costs far more than a look that finds nothing: all dataflows of all workers are told.
/// So while no reader has said anything, ticks go by without being closed, one a second excepted; the first
/// thing that one says makes all workers close theirs, those of other processes when they are told of it.
pub struct Clock {
    /// Instant of tick 0 on this machine.
    epoch: Instant,
    /// Wall clock at the epoch, milliseconds.
    epoch_ms: i64,
    tick: Cell<Tick>,
    /// The least tick that was not closed.
    open: Cell<Tick>,
    /// What readers had said when this worker closed its last tick, and until when it closes each.
    heard: Cell<u64>,
    busy_until: Cell<Tick>,
    /// What other processes know that readers of this one have said, and when they are told anew.
    told: Cell<u64>,
    tell_at: Cell<Tick>,
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
const RARE_LOOKS: Tick = 10;

impl Clock {
    /// `epoch_ms` is agreed between processes, so that their ticks are comparable.
    pub fn new(epoch_ms: i64, pace: &Pace) -> Clock {
        let rests = pace.emission == Emission::PerTick;
        let behind = u64::try_from(now_ms() - epoch_ms).unwrap_or(0);
        let now = Instant::now();
        Clock {
            epoch: now.checked_sub(Duration::from_millis(behind)).unwrap_or(now),
            epoch_ms,
            tick: Cell::new(1),
            open: Cell::new(1),
            heard: Cell::new(0),
            busy_until: Cell::new(0),
            told: Cell::new(0),
            tell_at: Cell::new(0),
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
    /// `said`: how often readers have said something.
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

    /// Whether other processes are to be told now that readers of this one have said something, so often
    /// till now: soon enough for them to stay awake as long as more is said.
    pub fn tells(&self, said: u64) -> bool {
        let now = self.now();
        let tells = said != self.told.get() && now >= self.tell_at.get();
        if tells {
            self.told.set(said);
            self.tell_at.set(now + BUSY_US / 2);
        }
        tells
    }

    /// Whether readers have said nothing for a while.
    pub fn is_resting(&self) -> bool {
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
    /// To be asked after each step, with how often readers have said something, and whether somebody waits for ticks. True when inputs are to tell that it is closed.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tick_closes_when_inputs_have_no_more_or_it_is_full() {
        let hour = Duration::from_secs(3600);
        let emission = Emission::PerTick;
        let pace = Pace { tick: hour, tick_bytes: 100, batch_bytes: 1, inflight_bytes: 1, emission };
        let clock = Clock { rest_us: 0, ..Clock::new(now_ms(), &pace) };
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
        let (tick, emission) = (Duration::from_micros(1), Emission::PerTick);
        let pace = Pace { tick, tick_bytes: 100, batch_bytes: 1, inflight_bytes: 1, emission };
        let clock = Clock { rest_us: Tick::MAX / 2, ..Clock::new(now_ms(), &pace) };
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

    #[test]
    fn other_processes_are_told_of_what_is_said_but_not_of_each_word() {
        let emission = Emission::PerTick;
        let (tick, tick_bytes) = (Duration::from_micros(1), 100);
        let pace = Pace { tick, tick_bytes, batch_bytes: 1, inflight_bytes: 1, emission };
        let clock = Clock::new(now_ms(), &pace);
        assert!(!clock.tells(0), "nothing was said");
        assert!(clock.tells(1), "the first word");
        assert!(!clock.tells(2), "they are awake for a while");
        clock.tell_at.set(0);
        assert!(clock.tells(2) && !clock.tells(2), "more was said, and they know it");
    }
}
