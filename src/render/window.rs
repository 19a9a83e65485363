//! Windows of time over a stream: which windows a row counts in, and when they close and go.
//!
//! ```text
//!  rows ─┬─► assign ──► preaggregate ──► exchange ──► groups ─────────────► table
//!        │                                             │  ▲
//!        └─► marks ──► to all workers ──► close ───────┘  │ expired, or moved to `closed` when final
//!                                           └─────────────┘
//! ```
//!
//! Whether a row is late is a question of that row alone: a window that ends no later than the row's stamp
//! less the grace is over for it. A window closes when the least stamp of all partitions has come so far:
//! every row that comes after that is late for it, by its own stamp. So what a closed window holds does not
//! depend on ticks, batches or workers.

use super::Tick;
use super::books::Stage;
use super::clock::Clock;
use super::context::{Context, frontier};
use super::packed::{Blob, StateSpine, StateUpdate};
use super::rejects::RejectedRecord;
use super::scan::{Scan, compact};
use super::sessions::groups::bounds;
use crate::aggregate::{Key, State};
use crate::batch::{Batch, Column, Reached, Reject};
use crate::plan::{QueryPlan, Window};
use crate::sql::ast::WindowKind;
use crate::value::{Value, decode_row, encode_row};
use arrow_array::builder::BinaryViewBuilder;
use arrow_array::{Array, ArrayRef};
use differential_dataflow::operators::arrange::TraceAgent;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;
use timely::container::CapacityContainerBuilder;
use timely::dataflow::StreamVec;
use timely::dataflow::channels::pact::Pipeline;
use timely::dataflow::operators::generic::Operator;
use timely::dataflow::operators::probe::Handle;
use timely::dataflow::operators::vec::{Broadcast, Map};
use timely::progress::Antichain;

impl Window {
    /// Takes what tells a group's windows apart from the front of its key, and gives the window's bounds.
    ///
    /// # Panics
    /// On a key that was not stored under such a window.
    pub fn bounds(&self, key: &mut Vec<Value>) -> [i64; 2] {
        let mut stored = key.drain(..self.stored()).map(|value| start_of(&value).expect("a window's bound"));
        let start = stored.next().expect("a window has a start");
        [start, stored.next().unwrap_or_else(|| start.saturating_add(self.size_ms().unwrap_or(0)))]
    }

    /// The key that is kept, of one with the values of the user's columns and a window's bounds; `None`: no window
    /// has such bounds.
    pub fn kept_key(&self, key: &[u8]) -> Option<Key> {
        let mut row = decode_row(key)?;
        let [start, end] = row.split_off(row.len().checked_sub(2)?).try_into().ok()?;
        let (Value::Bigint(start), Value::Bigint(end)) = (start, end) else { return None };
        let mut kept = vec![start_value(start)];
        match self.size_ms() {
            Some(size) if start.checked_add(size) != Some(end) => return None,
            Some(_) => {}
            None => kept.push(start_value(end)),
        }
        kept.extend(row);
        Some(encode_row(&kept))
    }

    /// Size and advance of windows of a fixed size.
    pub fn fixed(&self) -> Option<(i64, i64)> {
        match self.kind {
            WindowKind::Tumbling { size_ms } => Some((size_ms, size_ms)),
            WindowKind::Hopping { size_ms, advance_ms } => Some((size_ms, advance_ms)),
            WindowKind::Session { .. } => None,
        }
    }
}

/// A window's start as the first value of its groups' keys: in bytes that sort as times do.
pub fn start_value(start: i64) -> Value {
    Value::Bytes(Box::new((start ^ i64::MIN).to_be_bytes()))
}

/// Reads [`start_value`] back.
pub fn start_of(value: &Value) -> Option<i64> {
    let Value::Bytes(bytes) = value else { return None };
    Some(i64::from_be_bytes(bytes.as_ref().try_into().ok()?) ^ i64::MIN)
}

/// The first window that a time is in.
fn first_start(time: i64, size: i64, advance: i64) -> i64 {
    let last = time.div_euclid(advance) * advance;
    let before = (size - 1 - time.rem_euclid(advance)).div_euclid(advance) * advance;
    (last - before).max(0)
}

/// Puts each row into its windows: the window's start goes in front of the columns. What is late for a
/// window is a reject that says so.
pub fn assign<'s>(
    rows: StreamVec<'s, Tick, Batch>,
    window: &Window,
    plan: &QueryPlan,
    context: &Rc<Context>,
) -> StreamVec<'s, Tick, Batch> {
    let Some((size, advance)) = window.fixed() else { return rows };
    let (window, plan, context) = (*window, plan.clone(), Rc::clone(context));
    let stage = context.books.stage(Stage::new(&plan.source(), &plan.topic(), &plan.query, "window"));
    rows.unary(Pipeline, "Assign", move |_, _| {
        move |input, output| {
            input.for_each(|cap, batches| {
                let tick = *cap.least().expect("rows travel with a tick");
                let mut session = output.session(&cap);
                for batch in batches.drain(..).filter(|batch| batch.len > 0) {
                    let (assigned, late) = assigned(&batch, size, advance, window.grace_ms);
                    context.books.record(stage, tick, batch.len, assigned.len, 0, late.len());
                    let rejected =
                        |late: &Late| RejectedRecord::at_stage(&plan, "window", &batch, &late.reject);
                    context.rejects.write(tick, late.iter().map(rejected));
                    context.count_late(&plan.query, late.iter().filter_map(|late| late.needed_ms));
                    if assigned.len > 0 {
                        session.give(assigned);
                    }
                }
            });
        }
    })
}

/// A row that does not count.
pub struct Late {
    pub reject: Reject,
    /// How much longer the grace would have to be; `None`: none would do.
    pub needed_ms: Option<i64>,
}

impl Late {
    pub fn new(row: usize, reason: String, needed_ms: Option<i64>) -> Late {
        Late { reject: Reject { message: row, column: None, reason }, needed_ms }
    }
}

/// The rows once for each of their windows, with its start, and what is late.
pub fn assigned(batch: &Batch, size: i64, advance: i64, grace: i64) -> (Batch, Vec<Late>) {
    let (mut rows, mut starts, mut late) = (Vec::new(), Vec::new(), Vec::new());
    for row in 0..batch.len {
        let (time, stamp) = (batch.origin.rowtime.at(row), batch.origin.stamps.at(row));
        let mut start = first_start(time, size, advance);
        while start <= time {
            let end = start.saturating_add(size);
            if end > stamp.saturating_sub(grace) {
                rows.push(row as u32);
                starts.push(start);
            } else {
                late.push(late_row(row, start, end, stamp, grace));
            }
            start += advance;
        }
        if time < 0 {
            let reason = format!("its ROWTIME {time} is before 1970, where no window is");
            late.push(Late::new(row, reason, None));
        }
    }
    let mut taken = if is_all(&rows, batch.len) { batch.clone() } else { batch.take(&rows) };
    taken.columns.insert(0, start_column(&starts));
    (taken, late)
}

fn late_row(row: usize, start: i64, end: i64, stamp: i64, grace: i64) -> Late {
    let by = stamp - grace - end;
    let reason = format!(
        "late by {by} ms for the window from {start} to {end}: its partition has come to {stamp}, and the \
         grace is {grace} ms"
    );
    Late::new(row, reason, Some(by + 1))
}

fn is_all(rows: &[u32], len: usize) -> bool {
    rows.len() == len && rows.iter().enumerate().all(|(i, row)| i == *row as usize)
}

fn start_column(starts: &[i64]) -> Column {
    let same = starts.first().is_some_and(|first| starts.iter().all(|start| start == first));
    let mut builder = BinaryViewBuilder::with_capacity(starts.len());
    let each = if same { &starts[..1] } else { starts };
    each.iter().for_each(|start| builder.append_value((start ^ i64::MIN).to_be_bytes()));
    let array: ArrayRef = Arc::new(builder.finish());
    if same && array.len() == 1 { Column::Const(array) } else { Column::Array(array) }
}

/// How far the sources of an input have come, told to all workers.
pub fn marks<'s>(rows: &StreamVec<'s, Tick, Batch>) -> StreamVec<'s, Tick, Reached> {
    let marks =
        rows.clone().unary::<CapacityContainerBuilder<Vec<Reached>>, _, _, _>(Pipeline, "Marks", |_, _| {
            |input, output| {
                input.for_each(|cap, batches| {
                    let mut session = output.session(&cap);
                    batches
                        .drain(..)
                        .filter_map(|batch| batch.origin.reached)
                        .for_each(|mark| session.give(mark));
                });
            }
        });
    marks.broadcast()
}

/// An arrangement that is built after the operator that reads it.
pub type Later = Rc<RefCell<Option<TraceAgent<StateSpine>>>>;

/// When the sources have ended, windows close at the first tick after, and what has closed may go at the next.
const ROUNDS_AT_END: usize = 2;

/// Which windows the time of their sources has passed: by their starts, or ends, and how much. Milliseconds.
#[derive(Clone, Copy)]
pub struct Passed {
    pub after: i64,
    pub by_end: bool,
    /// Whether all of them are passed when the sources have been read to their ends.
    pub at_end: bool,
}

/// The groups of windows that the time of their sources has passed, with what an arrangement
/// has of them: it is to be told that they have [`expired`].
pub fn leave<'s>(
    marks: StreamVec<'s, Tick, Reached>,
    passed: Passed,
    feeds: &[u32],
    kept: Later,
    probe: &Handle<Tick>,
    context: &Rc<Context>,
) -> StreamVec<'s, Tick, StateUpdate> {
    let mut clock = Clock::new(feeds, context.peers);
    let probe = probe.clone();
    let scope = marks.scope();
    marks.unary_frontier::<CapacityContainerBuilder<Vec<StateUpdate>>, _, _, _>(
        Pipeline,
        "Leave",
        move |capability, info| {
            let activator = scope.activator_for(info.address);
            let mut held = Some(capability);
            let mut told: VecDeque<(Tick, Reached)> = VecDeque::new();
            let mut rounds_left = ROUNDS_AT_END;
            // What has left at a tick is still there as of the one before.
            let mut acted = None;
            move |(input, input_frontier), output| {
                input.for_each(|cap, marks| {
                    let tick = *cap.least().expect("marks travel with a tick");
                    told.extend(marks.drain(..).map(|mark| (tick, mark)));
                });
                let (Some(cap), Some(trace)) = (held.as_mut(), &mut *kept.borrow_mut()) else { return };
                let open = input_frontier.frontier().first().copied();
                // At the end, what was told last still has to be acted on, at a tick of its own.
                let last = || told.iter().map(|(tick, _)| tick + 1).max();
                let now = open.or_else(last).unwrap_or(0).max(*cap.time());
                cap.downgrade(&now);
                // What was told of a tick holds when all rows of that tick are in the arrangement.
                if frontier(&probe).is_some_and(|closed| closed < now) {
                    activator.activate();
                    return;
                }
                told.retain(|(tick, mark)| {
                    let before = *tick < now;
                    if before {
                        clock.add(mark);
                    }
                    !before
                });
                let as_of = now.saturating_sub(1);
                // An input that is only given up has not come to its end.
                let has_ended = passed.at_end && open.is_none() && clock.holds_back().is_none();
                let time = clock.least().map(|time| if has_ended { i64::MAX } else { time });
                let acts = acted.replace(now) != Some(now);
                if let Some(time) = time.filter(|_| acts) {
                    let mut session = output.session(&*cap);
                    for_each_passed(trace, as_of, time, passed, &mut |key, state| {
                        session.give(((Blob(key), ()), now, state));
                    });
                }
                compact(trace, &Antichain::from_elem(as_of), &Antichain::from_elem(now));
                if open.is_none() {
                    cap.downgrade(&(now + 1));
                    activator.activate();
                    rounds_left -= usize::from(acts);
                    held = held.take().filter(|_| rounds_left > 0);
                }
            }
        },
    )
}

/// What takes groups out of where they were kept.
pub fn expired<'s>(left: StreamVec<'s, Tick, StateUpdate>) -> StreamVec<'s, Tick, StateUpdate> {
    left.map(|(group, tick, state)| (group, tick, State::expiring(state.rows())))
}

/// Visits the groups of all windows that are passed. Windows come first in the order of keys, those that start
/// first before others: only sessions that have begun and not ended are looked at in vain.
fn for_each_passed(
    trace: &TraceAgent<StateSpine>,
    tick: Tick,
    time: i64,
    Passed { after, by_end, .. }: Passed,
    visit: &mut dyn FnMut(Box<[u8]>, State),
) {
    let last = time.saturating_sub(after);
    let behind = encode_row(&[start_value(last.saturating_add(1))]);
    let mut scan = Scan::<StateSpine>::of(trace, None, tick);
    scan.before(&behind, &mut usize::MAX.clone(), &mut |key, _: &(), state| {
        if !by_end || bounds(key.0)[1] <= last {
            visit(key.0.into(), state);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::{Origin, Timestamps};

    #[test]
    fn a_time_is_in_its_windows() {
        let starts = |time, size, advance| -> Vec<i64> {
            let mut starts = Vec::new();
            let mut start = first_start(time, size, advance);
            while start <= time {
                starts.push(start);
                start += advance;
            }
            starts
        };
        assert_eq!(starts(0, 10, 10), [0]);
        assert_eq!(starts(19, 10, 10), [10]);
        assert_eq!(starts(25, 10, 5), [20, 25]);
        assert_eq!(starts(24, 10, 5), [15, 20]);
        assert_eq!(starts(3, 10, 5), [0]);
        assert_eq!(starts(25, 10, 4), [16, 20, 24]);
        for time in 0..200 {
            for (size, advance) in [(10, 3), (7, 7), (9, 4), (12, 5)] {
                let all = (0..=time).filter(|start| start % advance == 0 && start + size > time);
                assert_eq!(starts(time, size, advance), all.collect::<Vec<_>>(), "{time} {size} {advance}");
            }
        }
    }

    #[test]
    fn a_row_may_be_late_for_some_windows_and_count_in_others() {
        let origin = Origin {
            rowtime: Timestamps::Each(vec![25, 24, 3, -1].into()),
            stamps: Timestamps::Each(vec![25, 31, 31, 31].into()),
            ..Origin::none(4)
        };
        let batch = Batch { len: 4, columns: Vec::new(), origin, deleted: None };
        let (assigned, late) = assigned(&batch, 10, 5, 2);
        let found: Vec<(i64, i64)> = (0..assigned.len)
            .map(|i| (assigned.origin.rowtime.at(i), start_of(&assigned.columns[0].value(i)).unwrap()))
            .collect();
        assert_eq!(found, [(25, 20), (25, 25), (24, 20)]);
        let reasons: Vec<(usize, &str)> =
            late.iter().map(|l| (l.reject.message, l.reject.reason.split(':').next().unwrap())).collect();
        assert_eq!(
            reasons,
            [
                (1, "late by 4 ms for the window from 15 to 25"),
                (2, "late by 19 ms for the window from 0 to 10"),
                (3, "its ROWTIME -1 is before 1970, where no window is"),
            ]
        );
    }

    #[test]
    fn starts_sort_as_times() {
        let keys: Vec<_> = [-5, 0, 1, 255, 256, i64::MAX].map(|t| encode_row(&[start_value(t)])).into();
        assert!(keys.is_sorted());
        assert_eq!(start_of(&start_value(-5)), Some(-5));
    }
}
