//! The order in which a join sees its rows: lowest time first, whatever ticks and workers they came by.
//!
//! Fed by both sides of a join with rows of this worker's keys, feeds the join one row after the other. A
//! row waits while a row with a lower place in the order is known to be there and has not come: so, of
//! what is there, the join's results depend on the partitions alone. What waits keeps its tick open.

use super::Tick;
use super::clock::Clock;
use super::context::Context;
use super::keeping::Keeping;
use super::kept::Routing;
use super::keyed::Keyed;
use super::packed::StateUpdate;
use super::pairs::{Pairs, RowRef};
use super::snapshot::sum_up;
use crate::aggregate::{Key, State};
use crate::batch::{Batch, Position, Reached};
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
    /// the row does not count, if it came too late.
    fn row(&mut self, side: LeftRight, row: &RowRef, time: i64, out: &mut Out) -> Option<String>;

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
}

/// One side of a join.
pub struct Lane<'s> {
    pub rows: StreamVec<'s, Tick, Keyed>,
    /// Ordinals of the sources that feed it.
    pub feeds: Vec<u32>,
    /// Of rows with one stamp those of the lower rank come first.
    pub rank: u8,
}

/// How many rows went where, and which came too late.
pub struct Booked {
    pub rows_in: usize,
    pub out: usize,
    pub without: usize,
    pub late: Vec<(RowRef, String)>,
}

/// Rows are handed on in batches of about this many.
const ROWS: usize = 8_192;

/// Where the entries are that an earlier start has kept, and how many values their keys have.
pub struct Restored<'s> {
    pub entries: StreamVec<'s, Tick, StateUpdate>,
    pub keys: usize,
}

/// Merges two lanes and feeds them to a join; what it makes, and what changes in what it keeps, goes out at
/// the tick that let it.
pub fn merged<'s>(
    left: Lane<'s>,
    right: Lane<'s>,
    Restored { entries, keys }: Restored<'s>,
    mut pairing: Box<dyn Pairing>,
    out: Out,
    book: impl Fn(Tick, Booked) + 'static,
    context: &Rc<Context>,
) -> (StreamVec<'s, Tick, Batch>, StreamVec<'s, Tick, StateUpdate>) {
    let context = Rc::clone(context);
    let mut lanes = Lanes::new([&left, &right], out, &context);
    let mut restoring: Option<BTreeMap<Key, State>> = Some(BTreeMap::new());
    let pact = || Exchange::new(|keyed: &Keyed| keyed.to);
    let by_key =
        Exchange::new(move |((entry, ()), _, _): &StateUpdate| Routing::Front(keys).bucket(&entry.0));

    let mut builder = OperatorBuilder::new("Join".to_owned(), left.rows.scope());
    let mut left = builder.new_input(left.rows, pact());
    let mut right = builder.new_input(right.rows, pact());
    let mut entries = builder.new_input(entries, by_key);
    let (rows, row_stream) = builder.new_output();
    let (kept, kept_stream) = builder.new_output();
    let mut rows: OutputBuilder<Tick, CapacityContainerBuilder<Vec<Batch>>> = OutputBuilder::from(rows);
    let mut kept: OutputBuilder<Tick, CapacityContainerBuilder<Vec<StateUpdate>>> = OutputBuilder::from(kept);
    builder.build(move |capabilities| {
        let mut held = <[Capability<Tick>; 2]>::try_from(capabilities).ok();
        move |frontiers| {
            if let Some(known) = &mut restoring {
                entries.for_each(|_, updates| sum_up(updates, known));
            }
            // What is kept is known before any row is looked at.
            if !frontiers[2].is_empty() {
                return;
            }
            if let Some(known) = restoring.take() {
                let there: Vec<&[u8]> = known
                    .iter()
                    .filter(|(_, state)| !state.is_nothing())
                    .map(|(entry, _)| &**entry)
                    .collect();
                there.chunks(ROWS).for_each(|entries| pairing.restore(entries));
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
            if let Some(closed) = lanes.close(open) {
                let tick = closed.max(*caps[0].time());
                let (mut rows, mut kept) = (rows.activate(), kept.activate());
                let (row_cap, kept_cap) = (caps[0].delayed(&tick), caps[1].delayed(&tick));
                let (mut rows, mut kept) = (rows.session(&row_cap), kept.session(&kept_cap));
                let booked =
                    lanes.release(pairing.as_mut(), context.inflight.full(), &mut |made| match made {
                        Made::Rows(batch) => rows.give(batch),
                        Made::Kept(keeping) => keeping.take(tick).for_each(|update| kept.give(update)),
                    });
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
    (row_stream, kept_stream)
}

/// What is handed on.
// Rows are the rule: a box would be one more allocation for each batch of them.
#[allow(clippy::large_enum_variant)]
enum Made<'a> {
    Rows(Batch),
    Kept(&'a mut Keeping),
}

/// A place in the order.
type Place = (i64, u8, Position);

struct Lanes {
    clocks: [Clock; 2],
    ranks: [u8; 2],
    /// Of ticks that are not closed.
    open: BTreeMap<Tick, Vec<(LeftRight, Rc<Keyed>)>>,
    /// Of closed ticks, ascending.
    waiting: Vec<(Place, LeftRight, Tick, RowRef)>,
    out: Out,
    reached: Known,
    worker: u32,
    /// The greatest stamp of a row that was handed on, here or elsewhere.
    time: i64,
    /// Ticks before it are closed.
    closed: Tick,
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
    fn new(lanes: [&Lane; 2], out: Out, context: &Context) -> Lanes {
        Lanes {
            clocks: lanes.map(|lane| Clock::new(&lane.feeds, context.peers)),
            ranks: lanes.map(|lane| lane.rank),
            open: BTreeMap::new(),
            waiting: Vec::new(),
            out,
            reached: Known::default(),
            worker: context.index as u32,
            time: i64::MIN,
            closed: 0,
        }
    }

    fn receive(&mut self, side: LeftRight, tick: Tick, keyed: Keyed) {
        self.open.entry(tick).or_default().push((side, Rc::new(keyed)));
    }

    /// Takes in what has come at ticks before `open`; the last of them, if any has closed.
    fn close(&mut self, open: Tick) -> Option<Tick> {
        if open <= self.closed {
            return None;
        }
        self.closed = open;
        let later = self.open.split_off(&open);
        let closed = std::mem::replace(&mut self.open, later);
        let last = closed.keys().next_back().copied();
        for (tick, all) in closed {
            for (side, batch) in all {
                if let Some(reached) = &batch.batch.origin.reached {
                    self.clocks[side as usize].add(reached);
                    if reached.worker == self.worker {
                        self.reached.add(reached);
                    }
                }
                let rank = self.ranks[side as usize];
                for row in 0..batch.batch.len as u32 {
                    let row = RowRef { batch: Rc::clone(&batch), row };
                    let position = row.position();
                    self.waiting.push(((position.stamp, rank, position), side, tick, row));
                }
            }
        }
        self.waiting.sort_by_key(|(place, ..)| *place);
        // Nothing may have come: then the end of the inputs may let go what waits.
        last.or_else(|| (open == Tick::MAX).then_some(0))
    }

    /// The tick of what waits longest.
    fn oldest(&self) -> Option<Tick> {
        self.waiting.iter().map(|(_, _, tick, _)| *tick).chain(self.open.keys().next().copied()).min()
    }

    /// Hands on what need not wait. `all`: nothing need, since there is no room for more to wait.
    fn release(&mut self, pairing: &mut dyn Pairing, all: bool, give: &mut dyn FnMut(Made)) -> Booked {
        let limit = match all || self.closed == Tick::MAX {
            true => None,
            false => self.limit(),
        };
        let free = match limit {
            None => self.waiting.len(),
            Some((stamp, rank)) => {
                self.waiting.partition_point(|((at, of, _), ..)| (*at, *of) <= (stamp, rank))
            }
        };
        let rest = self.waiting.split_off(free);
        let free = std::mem::replace(&mut self.waiting, rest);
        let mut booked = Booked { rows_in: free.len(), out: 0, without: 0, late: Vec::new() };
        for ((stamp, ..), side, _, row) in free {
            self.time = self.time.max(stamp);
            pairing.advance(self.time.saturating_sub(1), &mut self.out);
            let before = self.out.pairs.count();
            match pairing.row(side, &row, self.time, &mut self.out) {
                Some(reason) => booked.late.push((row, reason)),
                None => booked.without += usize::from(self.out.pairs.count() == before),
            }
            if self.out.pairs.count() >= ROWS {
                booked.out += self.flush(give);
            }
        }
        let seen = self.clocks.iter().filter_map(Clock::greatest).max().unwrap_or(i64::MIN);
        let passed = limit.map_or(seen, |(stamp, _)| stamp.min(seen));
        self.time = self.time.max(passed);
        pairing.advance(self.time.saturating_sub(1), &mut self.out);
        // Those that read this in an order of their own wait for what is told at the end.
        let (has_ended, closes) =
            (self.closed == Tick::MAX && self.limit().is_none(), self.out.closes_at_end);
        if has_ended && closes && self.waiting.is_empty() {
            pairing.end(self.time, &mut self.out);
        }
        booked.out += self.flush(give);
        let none_waits = self.waiting.is_empty() && (has_ended || !closes);
        self.reached.tell(self.worker, limit.map(|(stamp, _)| stamp), none_waits, &mut |reached| {
            give(Made::Rows(Batch::reached(reached)));
        });
        booked
    }

    /// The last stamp and rank that need not wait; `None`: nothing need.
    fn limit(&self) -> Option<(i64, u8)> {
        let each = self.clocks.iter().zip(self.ranks);
        each.filter_map(|(clock, rank)| clock.holds_back().map(|stamp| (stamp, rank))).min()
    }

    fn flush(&mut self, give: &mut dyn FnMut(Made)) -> usize {
        let out = self.out.pairs.count();
        self.out.pairs.take().into_iter().for_each(|batch| give(Made::Rows(batch)));
        give(Made::Kept(&mut self.out.keeping));
        out
    }
}
