//! The order in which a join sees its rows: lowest time first, whatever ticks and workers they came by.
//!
//! Fed by both sides of a join with rows of this worker's keys, feeds the join one row after the other. A
//! row waits while a row with a lower place in the order is known to be there and has not come: so, of
//! what is there, the join's results depend on the partitions alone. Where much waits, sources that are ahead
//! are not read until the others have come up.

use super::Tick;
use super::clock::Clock;
use super::context::Context;
use super::keeping::{Entries, Keeping};
use super::kept::Routing;
use super::keyed::Keyed;
use super::pacing::Brake;
use super::packed::StateUpdate;
use super::pairs::{Pairs, RowRef};
use super::snapshot::sum_up;
use super::waiting::{Next, Waiter, Waiting};
use crate::aggregate::{Key, State};
use crate::batch::{Batch, Reached};
use std::collections::BTreeMap;
use std::rc::Rc;
use timely::container::CapacityContainerBuilder;
use timely::dataflow::StreamVec;
use timely::dataflow::channels::pact::Exchange;
use timely::dataflow::operators::Capability;
use timely::dataflow::operators::generic::OutputBuilder;
use timely::dataflow::operators::generic::builder_rc::OperatorBuilder;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LeftRight {
    Left,
    Right,
}

/// What a join does with its rows.
pub trait Pairing {
    /// The next row in the order. `time`: the greatest stamp so far, its own included. Gives the reason why
    /// the row does not count, if it came too late, and how much longer the grace would have to be, in ms.
    fn row(&mut self, side: LeftRight, row: &RowRef, time: i64, out: &mut Out) -> Option<(String, i64)>;

    /// No row with a stamp of `time` or less comes any more.
    fn advance(&mut self, time: i64, out: &mut Out);

    /// No row comes any more.
    fn end(&mut self, _time: i64, _out: &mut Out) {}

    /// What an earlier start has kept, some entries of it. Comes before any row.
    fn restore(&mut self, entries: &[&[u8]]);
}

/// What a join makes and keeps.
pub struct Out {
    pub pairs: Pairs,
    pub keeping: Keeping,
    /// Whether what waits for time to pass is told when the inputs have ended.
    pub closes_at_end: bool,
    pub waits: Waits,
}

/// What a join must keep of what waits, and how it is kept from growing.
pub enum Waits {
    /// A maintained query's: sources that are ahead wait, too.
    Paced {
        /// Nobody restarts from it.
        ignored: bool,
    },
    /// An answer's: it holds up no source. Where too much waits, it is taken as it is.
    Bounded,
}

/// One side of a join.
pub struct Lane<'s> {
    pub rows: StreamVec<'s, Tick, Keyed>,
    /// Ordinals of the sources that feed it.
    pub feeds: Vec<u32>,
    /// Of rows with one stamp those of the lower rank come first.
    pub rank: u8,
    /// How a row of it is kept while it waits.
    pub entries: Entries,
}

/// How many rows went where, and which came too late.
pub struct Booked {
    pub rows_in: usize,
    pub out: usize,
    pub without: usize,
    pub late: Vec<(RowRef, String, i64)>,
}

/// Rows are handed on in batches of about this many.
const ROWS: usize = 8_192;

/// What waits longer than so long is kept, and holds no tick open. Ticks are microseconds.
const HELD: Tick = 1_000_000;

/// Where the entries are that an earlier start has kept, of the join and of what waited for it, and how many values
/// their keys have.
pub struct Restored<'s> {
    pub entries: StreamVec<'s, Tick, StateUpdate>,
    pub waiting: StreamVec<'s, Tick, StateUpdate>,
    pub keys: usize,
}

/// What comes out of the merged lanes.
pub struct Merged<'s> {
    pub rows: StreamVec<'s, Tick, Batch>,
    /// What changes in what the join keeps, and in what waits for it.
    pub kept: StreamVec<'s, Tick, StateUpdate>,
    pub waiting: StreamVec<'s, Tick, StateUpdate>,
}

/// Merges two lanes and feeds them to a join; what it makes, and what changes in what it keeps, goes out at
/// the tick that let it.
pub fn merged<'s>(
    [left, right]: [Lane<'s>; 2],
    Restored { entries, waiting, keys }: Restored<'s>,
    mut pairing: Box<dyn Pairing>,
    out: Out,
    book: impl Fn(Tick, Booked) + 'static,
    context: &Rc<Context>,
) -> Merged<'s> {
    let pact = || Exchange::new(|keyed: &Keyed| keyed.to);
    let by_key =
        || Exchange::new(move |((entry, ()), _, _): &StateUpdate| Routing::Front(keys).bucket(&entry.0));

    let mut builder = OperatorBuilder::new("Join".to_owned(), left.rows.scope());
    let mut lanes = Lanes::new(
        [(left.feeds, left.rank, left.entries), (right.feeds, right.rank, right.entries)],
        out,
        context,
    );
    let mut restoring = Some([BTreeMap::new(), BTreeMap::new()]);
    let mut left = builder.new_input(left.rows, pact());
    let mut right = builder.new_input(right.rows, pact());
    let mut entries = builder.new_input(entries, by_key());
    let mut waiting = builder.new_input(waiting, by_key());
    let (rows, row_stream) = builder.new_output();
    let (kept, kept_stream) = builder.new_output();
    let (waits, waiting_stream) = builder.new_output();
    let mut rows: OutputBuilder<Tick, CapacityContainerBuilder<Vec<Batch>>> = OutputBuilder::from(rows);
    let mut kept: OutputBuilder<Tick, CapacityContainerBuilder<Vec<StateUpdate>>> = OutputBuilder::from(kept);
    let mut waits: OutputBuilder<Tick, CapacityContainerBuilder<Vec<StateUpdate>>> =
        OutputBuilder::from(waits);
    builder.build(move |capabilities| {
        let mut held = <[Capability<Tick>; 3]>::try_from(capabilities).ok();
        move |frontiers| {
            if let Some([of_join, of_waiting]) = &mut restoring {
                entries.for_each(|_, updates| sum_up(updates, of_join));
                waiting.for_each(|_, updates| sum_up(updates, of_waiting));
            }
            // What is kept is known before any row is looked at.
            if !frontiers[2].is_empty() || !frontiers[3].is_empty() {
                return;
            }
            if let Some([of_join, of_waiting]) = restoring.take() {
                those_there(&of_join, |entries| pairing.restore(entries));
                those_there(&of_waiting, |entries| lanes.waiting.restore(entries));
            }
            for (side, input) in [(LeftRight::Left, &mut left), (LeftRight::Right, &mut right)] {
                input.for_each(|cap, batches| {
                    let tick = *cap.least().expect("rows travel with a tick");
                    batches.drain(..).for_each(|keyed| lanes.receive(side, tick, keyed));
                });
            }
            let Some(caps) = held.as_mut() else { return };
            let least = |input: usize| frontiers[input].frontier().first().copied().unwrap_or(Tick::MAX);
            let open = least(0).min(least(1));
            for Outcome { tick, rows: out, kept: keeps, waiting, booked } in
                lanes.close(open, *caps[0].time(), pairing.as_mut())
            {
                rows.activate().session(&caps[0].delayed(&tick)).give_iterator(out.into_iter());
                kept.activate().session(&caps[1].delayed(&tick)).give_iterator(keeps.into_iter());
                waits.activate().session(&caps[2].delayed(&tick)).give_iterator(waiting.into_iter());
                book(tick, booked);
            }
            match lanes.oldest() {
                None if open == Tick::MAX => held = None,
                oldest => {
                    let to = oldest.unwrap_or(Tick::MAX).min(open);
                    if to > *caps[0].time() {
                        caps.iter_mut().for_each(|cap| cap.downgrade(&to));
                    }
                }
            }
        }
    });
    Merged { rows: row_stream, kept: kept_stream, waiting: waiting_stream }
}

/// Hands on the entries that an earlier start has left, some at a time.
fn those_there(known: &BTreeMap<Key, State>, restore: impl FnMut(&[&[u8]])) {
    let there = known.iter().filter(|(_, state)| !state.is_nothing()).map(|(entry, _)| &**entry);
    there.collect::<Vec<&[u8]>>().chunks(ROWS).for_each(restore);
}

/// What has come of ticks that have closed, at the tick that it belongs to.
struct Outcome {
    tick: Tick,
    rows: Vec<Batch>,
    kept: Vec<StateUpdate>,
    waiting: Vec<StateUpdate>,
    booked: Booked,
}

struct Lanes {
    clocks: [Clock; 2],
    ranks: [u8; 2],
    /// Of ticks that are not closed.
    open: BTreeMap<Tick, Vec<(LeftRight, Rc<Keyed>)>>,
    /// Of closed ticks.
    waiting: Waiting,
    /// `None`: no source waits for others.
    brake: Option<Brake>,
    out: Out,
    reached: Known,
    /// The greatest stamp of a row that was handed on, here or elsewhere.
    time: i64,
    /// Ticks before it are closed.
    closed: Tick,
    context: Rc<Context>,
}

/// How far this worker's readers have come, and what of that has been told on: no more than holds for the rows
/// that were handed on.
#[derive(Default)]
struct Known {
    /// By source and partition: the stamp that was reached, and the one that was told.
    partitions: BTreeMap<(u32, i32), (i64, Option<i64>)>,
    /// By source: whether all that is there has been read, and whether that was told.
    ends: BTreeMap<u32, (bool, bool)>,
}

impl Known {
    fn add(&mut self, reached: &Reached) {
        let end = self.ends.entry(reached.source).or_default();
        // That the end is not reached any more is told with the partition.
        let again = !reached.at_end && end.1;
        *end = if reached.at_end { (true, end.1) } else { (false, false) };
        if let Some((partition, stamp)) = reached.partition {
            let known = self.partitions.entry((reached.source, partition)).or_insert((stamp, None));
            *known = (known.0.max(stamp), known.1.filter(|_| !again));
        }
    }

    /// What is new of it. `limit`: the greatest stamp that may be told.
    fn tell(&mut self, worker: u32, limit: Option<i64>, none_waits: bool, give: &mut dyn FnMut(Reached)) {
        for (&(source, partition), (stamp, told)) in &mut self.partitions {
            let may = limit.map_or(*stamp, |limit| limit.min(*stamp));
            if told.is_none_or(|told| told < may) {
                *told = Some(may);
                give(Reached { source, worker, partition: Some((partition, may)), at_end: false });
            }
        }
        for (&source, (at_end, told)) in &mut self.ends {
            if *at_end && none_waits && !std::mem::replace(told, true) {
                give(Reached { source, worker, partition: None, at_end: true });
            }
        }
    }
}

impl Lanes {
    fn new(lanes: [(Vec<u32>, u8, Entries); 2], out: Out, context: &Rc<Context>) -> Lanes {
        let [(left_feeds, left_rank, left), (right_feeds, right_rank, right)] = lanes;
        let ranks = [left_rank, right_rank];
        let (ignored, paced) = match out.waits {
            Waits::Paced { ignored } => (ignored, true),
            Waits::Bounded => (true, false),
        };
        let merges = left_feeds.iter().chain(&right_feeds).copied().collect();
        Lanes {
            brake: paced.then(|| Brake::new(merges, context)),
            clocks: [left_feeds, right_feeds].map(|feeds| Clock::new(&feeds, context.peers)),
            ranks,
            open: BTreeMap::new(),
            waiting: Waiting::new(ranks, [left, right], Keeping::new(ignored)),
            out,
            reached: Known::default(),
            time: i64::MIN,
            closed: 0,
            context: Rc::clone(context),
        }
    }

    fn receive(&mut self, side: LeftRight, tick: Tick, keyed: Keyed) {
        self.open.entry(tick).or_default().push((side, Rc::new(keyed)));
    }

    /// What comes of it that ticks before `open` are closed. `since`: what comes out belongs to no tick before it.
    fn close(&mut self, open: Tick, since: Tick, pairing: &mut dyn Pairing) -> Vec<Outcome> {
        let mut outcomes = Vec::new();
        if open <= self.closed {
            return outcomes;
        }
        // A checkpoint has all that has come by its tick: what was made of it, and what waits.
        if let Some(hold) = self.context.hold.get().filter(|hold| self.closed <= *hold && *hold < open) {
            self.take_in(hold + 1);
            let outcome = self.release(hold.max(since), pairing);
            outcomes.push(self.keep(outcome));
        }
        let last = self.take_in(open);
        let keeps = self.holds_up(open);
        // Nothing may have come: then the end of the inputs may let go what waits.
        if last.is_some() || open == Tick::MAX || keeps {
            let outcome = self.release(last.unwrap_or(0).max(since), pairing);
            outcomes.push(if keeps { self.keep(outcome) } else { outcome });
        }
        if let Some(brake) = &self.brake {
            let is_much = self.waiting.kept_bytes() > self.context.inflight.limit;
            let next = self.next().filter(|_| is_much).map(|(stamp, ..)| stamp);
            let ahead = |stamp| self.clocks.iter().flat_map(move |clock| clock.ahead_of(stamp));
            brake.hold(next.into_iter().flat_map(ahead).collect());
        }
        outcomes
    }

    /// Whether ticks must no longer stay open for what is held: it has been held for long, or readers are about to
    /// wait for room in flight.
    fn holds_up(&self, open: Tick) -> bool {
        let inflight = &self.context.inflight;
        let is_for_long =
            |oldest| open.saturating_sub(oldest) > HELD || 2 * inflight.bytes() > inflight.limit;
        self.waiting.oldest().is_some_and(is_for_long)
    }

    /// Keeps what is held: it belongs to the tick of that outcome.
    fn keep(&mut self, mut outcome: Outcome) -> Outcome {
        self.waiting.keep();
        outcome.waiting.extend(self.waiting.keeping().take(outcome.tick));
        outcome
    }

    /// Takes in what has come at ticks before `open`; the last of them, if something has.
    fn take_in(&mut self, open: Tick) -> Option<Tick> {
        self.closed = open;
        let later = self.open.split_off(&open);
        let closed = std::mem::replace(&mut self.open, later);
        let last = closed.keys().next_back().copied();
        for (tick, all) in closed {
            for (side, batch) in all {
                if let Some(reached) = &batch.batch.origin.reached {
                    self.clocks[side as usize].add(reached);
                    if reached.worker == self.context.index as u32 {
                        self.reached.add(reached);
                    }
                }
                for row in 0..batch.batch.len as u32 {
                    self.waiting.receive(side, tick, RowRef { batch: Rc::clone(&batch), row });
                }
            }
        }
        self.waiting.sort();
        last
    }

    /// The tick of what is held longest.
    fn oldest(&self) -> Option<Tick> {
        self.waiting.oldest().into_iter().chain(self.open.keys().next().copied()).min()
    }

    /// Hands on what need not wait.
    fn release(&mut self, tick: Tick, pairing: &mut dyn Pairing) -> Outcome {
        // What an answer has waiting is bounded like this; what a maintained query has, by its sources.
        let is_over = self.brake.is_none() && self.waiting.kept_bytes() > self.context.inflight.limit;
        let next = if is_over || self.closed == Tick::MAX { None } else { self.next() };
        let free = self.waiting.take(next);
        let booked = Booked { rows_in: free.len(), out: 0, without: 0, late: Vec::new() };
        let waiting = self.waiting.keeping().take(tick).collect();
        let mut made = Outcome { tick, rows: Vec::new(), kept: Vec::new(), waiting, booked };
        for Waiter { place: (stamp, ..), side, row, .. } in free {
            self.time = self.time.max(stamp);
            pairing.advance(self.time.saturating_sub(1), &mut self.out);
            let before = self.out.pairs.count();
            match pairing.row(side, &row, self.time, &mut self.out) {
                Some((reason, needed_ms)) => made.booked.late.push((row, reason, needed_ms)),
                None => made.booked.without += usize::from(self.out.pairs.count() == before),
            }
            if self.out.pairs.count() >= ROWS {
                made.take(&mut self.out);
            }
        }
        let seen = self.clocks.iter().filter_map(Clock::greatest).max().unwrap_or(i64::MIN);
        let passed = next.map_or(seen, |(stamp, ..)| stamp.min(seen));
        self.time = self.time.max(passed);
        pairing.advance(self.time.saturating_sub(1), &mut self.out);
        // Those that read this in an order of their own wait for what is told at the end.
        let (has_ended, closes) = (self.closed == Tick::MAX && self.next().is_none(), self.out.closes_at_end);
        if has_ended && closes && self.waiting.is_empty() {
            pairing.end(self.time, &mut self.out);
        }
        made.take(&mut self.out);
        let none_waits = self.waiting.is_empty() && (has_ended || !closes);
        let worker = self.context.index as u32;
        self.reached.tell(worker, next.map(|(stamp, ..)| stamp), none_waits, &mut |reached| {
            made.rows.push(Batch::reached(reached));
        });
        made
    }

    /// Where the next row may come; `None`: all that is known to be there has come.
    fn next(&self) -> Option<Next> {
        let each = self.clocks.iter().zip(self.ranks);
        let next = |(clock, rank): (&Clock, u8)| {
            clock.holds_back().map(|(stamp, source, partition)| (stamp, rank, source, partition))
        };
        each.filter_map(next).min()
    }
}

impl Outcome {
    /// Takes what a join has made and kept by now.
    fn take(&mut self, out: &mut Out) {
        self.booked.out += out.pairs.count();
        self.rows.extend(out.pairs.take());
        self.kept.extend(out.keeping.take(self.tick));
    }
}
