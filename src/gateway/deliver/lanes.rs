//! What is to be delivered and in which order: a lane a key. The events of a lane go out one call after the
//! other; a lane whose call fails is parked while the others go on.
//!
//! Nothing here knows time or network: who calls says what time it is, and what became of a call.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap, VecDeque};

/// What may lie here, in bytes and in events; then no more is read.
pub const BYTES_MAX: usize = 8 << 20;
pub const EVENTS_MAX: usize = 10_000;

/// An event on its way to a receiver.
#[derive(Clone, Debug, PartialEq)]
pub struct Item {
    /// What it is finished under.
    pub place: super::progress::Place,
    /// Events of one lane go in order; `None`: it has no key, and is in nobody's order.
    pub lane: Option<u64>,
    pub id: String,
    pub source: String,
    pub traceparent: String,
    /// A CloudEvent in JSON; else why there is none.
    pub body: Result<String, String>,
    pub timestamp: i64,
}

impl Item {
    pub fn bytes(&self) -> usize {
        let body = self.body.as_ref().map_or_else(String::len, String::len);
        body + self.id.len() + self.source.len() + self.traceparent.len() + 200
    }
}

type Sequence = u64;
type Lane = u128;

/// A lane of an event without a key is its own.
fn lane_of(item: &Item, sequence: Sequence) -> Lane {
    item.lane.map_or(u128::from(sequence) | 1 << 64, u128::from)
}

#[derive(Default)]
pub struct Lanes {
    items: BTreeMap<Sequence, Item>,
    lanes: HashMap<Lane, Waiting>,
    /// Lanes whose first event can go now.
    ready: VecDeque<Lane>,
    parked: BinaryHeap<Reverse<(i64, Lane)>>,
    next: Sequence,
    bytes: usize,
}

#[derive(Default)]
struct Waiting {
    sequences: VecDeque<Sequence>,
    is_out: bool,
    is_parked: bool,
    attempts: u32,
    /// Of the first attempt of what is at its head.
    first_ms: i64,
}

/// Events that go out together.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    lanes: Vec<(Lane, usize)>,
    pub sequences: Vec<Sequence>,
    /// This one included.
    pub attempt: u32,
    /// When the first attempt was made.
    pub first_ms: i64,
}

impl Lanes {
    pub fn has_room(&self) -> bool {
        self.bytes < BYTES_MAX && self.items.len() < EVENTS_MAX
    }

    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    pub fn len(&self) -> usize {
        self.items.len()
    }

    pub fn parked(&self) -> usize {
        self.lanes.values().filter(|lane| lane.is_parked).count()
    }

    pub fn item(&self, sequence: Sequence) -> Option<&Item> {
        self.items.get(&sequence)
    }

    pub fn push(&mut self, item: Item) {
        let sequence = self.next;
        self.next += 1;
        self.bytes += item.bytes();
        let lane = lane_of(&item, sequence);
        self.items.insert(sequence, item);
        let waiting = self.lanes.entry(lane).or_default();
        waiting.sequences.push_back(sequence);
        if waiting.sequences.len() == 1 && !waiting.is_out {
            self.ready.push_back(lane);
        }
    }

    /// The next events that can go, at most so many in one call. A call that is made again is the same.
    pub fn call(&mut self, most: usize, now_ms: i64) -> Option<Call> {
        while let Some(Reverse((at, lane))) = self.parked.peek().copied()
            && at <= now_ms
        {
            self.parked.pop();
            if let Some(waiting) = self.lanes.get_mut(&lane) {
                waiting.is_parked = false;
                self.ready.push_front(lane);
            }
        }
        let mut call = Call { lanes: Vec::new(), sequences: Vec::new(), attempt: 1, first_ms: now_ms };
        while call.sequences.len() < most
            && let Some(lane) = self.ready.pop_front()
        {
            let Some(waiting) = self.lanes.get_mut(&lane) else { continue };
            // One that failed goes alone, so that it takes no other down with it.
            if waiting.attempts > 0 && !call.sequences.is_empty() {
                self.ready.push_front(lane);
                break;
            }
            let room = most - call.sequences.len();
            let count = if waiting.attempts > 0 { 1 } else { waiting.sequences.len().min(room) };
            call.sequences.extend(waiting.sequences.iter().take(count));
            call.lanes.push((lane, count));
            waiting.is_out = true;
            if waiting.attempts > 0 {
                call.attempt = waiting.attempts + 1;
                call.first_ms = waiting.first_ms;
                break;
            }
        }
        (!call.sequences.is_empty()).then_some(call)
    }

    /// The events of a call are finished with: delivered, or given up.
    pub fn finish(&mut self, call: Call) -> Vec<Item> {
        for (lane, count) in call.lanes {
            let Some(waiting) = self.lanes.get_mut(&lane) else { continue };
            waiting.sequences.drain(..count);
            waiting.is_out = false;
            waiting.attempts = 0;
            if waiting.sequences.is_empty() {
                self.lanes.remove(&lane);
            } else {
                self.ready.push_back(lane);
            }
        }
        let items: Vec<Item> =
            call.sequences.iter().filter_map(|sequence| self.items.remove(sequence)).collect();
        self.bytes -= items.iter().map(Item::bytes).sum::<usize>();
        items
    }

    /// A call has failed: its lanes wait until then. Of a call of several events each goes alone from now
    /// on.
    pub fn park(&mut self, call: &Call, until_ms: i64) {
        for (lane, _) in &call.lanes {
            let Some(waiting) = self.lanes.get_mut(lane) else { continue };
            waiting.is_out = false;
            waiting.is_parked = true;
            waiting.first_ms = call.first_ms;
            waiting.attempts = call.attempt;
            self.parked.push(Reverse((until_ms, *lane)));
        }
    }

    /// A call was not made after all.
    pub fn put_back(&mut self, call: &Call) {
        for (lane, _) in call.lanes.iter().rev() {
            if let Some(waiting) = self.lanes.get_mut(lane) {
                waiting.is_out = false;
                self.ready.push_front(*lane);
            }
        }
    }

    /// When a parked lane can go again.
    pub fn next_ms(&self) -> Option<i64> {
        self.parked.peek().map(|Reverse((at, _))| *at)
    }

    /// Time of the oldest event.
    pub fn oldest_ms(&self) -> Option<i64> {
        self.items.values().next().map(|item| item.timestamp)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(lane: Option<u64>, id: &str) -> Item {
        let text = String::new;
        Item {
            place: Default::default(),
            lane,
            id: id.into(),
            source: text(),
            traceparent: text(),
            body: Ok(text()),
            timestamp: 0,
        }
    }

    fn ids(lanes: &Lanes, call: &Call) -> String {
        let id = |sequence: &Sequence| lanes.item(*sequence).unwrap().id.as_str();
        call.sequences.iter().map(id).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn a_lane_goes_in_order_and_others_pass_one_that_is_parked() {
        let mut lanes = Lanes::default();
        for (lane, id) in [(Some(1), "a1"), (Some(1), "a2"), (Some(2), "b1"), (None, "c"), (None, "d")] {
            lanes.push(item(lane, id));
        }
        let a = lanes.call(1, 0).unwrap();
        assert_eq!(ids(&lanes, &a), "a1");
        lanes.park(&a, 10);
        let rest: Vec<String> = std::iter::from_fn(|| {
            let call = lanes.call(1, 5)?;
            Some(ids(&lanes, &call))
        })
        .collect();
        assert_eq!(rest, ["b1", "c", "d"]);
        assert_eq!((lanes.next_ms(), lanes.parked()), (Some(10), 1));
        let again = lanes.call(1, 10).unwrap();
        assert_eq!((ids(&lanes, &again).as_str(), again.attempt, again.first_ms), ("a1", 2, 0));
        assert_eq!(lanes.finish(again)[0].id, "a1");
        let next = lanes.call(1, 10).unwrap();
        assert_eq!((ids(&lanes, &next).as_str(), next.attempt), ("a2", 1));
    }

    #[test]
    fn batches_hold_several_lanes_and_several_of_one() {
        let mut lanes = Lanes::default();
        for (lane, id) in [(Some(1), "a1"), (Some(2), "b1"), (Some(1), "a2"), (Some(1), "a3")] {
            lanes.push(item(lane, id));
        }
        let call = lanes.call(3, 0).unwrap();
        assert_eq!(ids(&lanes, &call), "a1 a2 a3");
        let other = lanes.call(3, 0).unwrap();
        assert_eq!(ids(&lanes, &other), "b1");
        // What failed together goes alone the next time.
        lanes.park(&call, 1);
        let alone = lanes.call(3, 1).unwrap();
        assert_eq!(ids(&lanes, &alone), "a1");
        lanes.finish(other);
        lanes.finish(alone);
        let rest = lanes.call(3, 1).unwrap();
        assert_eq!(ids(&lanes, &rest), "a2 a3");
        lanes.finish(rest);
        assert!(lanes.is_empty() && lanes.bytes == 0 && lanes.lanes.is_empty());
    }

    /// Whatever happens, the events of a key are finished in their order, each once.
    #[test]
    fn any_course_keeps_the_order() {
        let mut state = 11u64;
        let mut random = |below: u64| {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (state >> 33) % below
        };
        let (mut lanes, mut out, mut finished) = (Lanes::default(), Vec::<Call>::new(), Vec::new());
        let (mut pushed, mut now) = (0u64, 0i64);
        while finished.len() < 2_000 {
            match random(4) {
                0 if pushed < 2_000 => {
                    let lane = random(7);
                    lanes.push(Item { timestamp: pushed as i64, ..item((lane > 0).then_some(lane), "x") });
                    pushed += 1;
                }
                1 => out.extend(lanes.call(1 + random(5) as usize, now)),
                2 if !out.is_empty() => {
                    let call = out.swap_remove(random(out.len() as u64) as usize);
                    match random(3) {
                        0 => lanes.park(&call, now + random(20) as i64),
                        _ => finished.extend(lanes.finish(call)),
                    }
                }
                _ => now += 1,
            }
        }
        let mut last = HashMap::new();
        for item in &finished {
            if let Some(lane) = item.lane {
                let before = last.insert(lane, item.timestamp);
                assert!(before.is_none_or(|before| before < item.timestamp), "lane {lane}");
            }
        }
        let mut times: Vec<i64> = finished.iter().map(|item| item.timestamp).collect();
        times.sort_unstable();
        assert_eq!(times, (0..2_000).collect::<Vec<_>>());
    }
}
