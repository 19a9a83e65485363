//! Reading arrangements at a closed tick, a few keys at a time.

use super::Tick;
use super::packed::Bytes;
use crate::aggregate::Key;
use differential_dataflow::difference::Semigroup;
use differential_dataflow::operators::arrange::TraceAgent;
use differential_dataflow::trace::cursor::{Cursor, CursorList, cursor_list};
use differential_dataflow::trace::{BatchCursor, BatchVal, Navigable, TraceReader};
use timely::progress::Antichain;

/// Lets a trace forget what told ticks before `since` apart, and merge its batches up to `upper`.
pub fn compact<Tr: TraceReader<Time = Tick>>(
    trace: &mut TraceAgent<Tr>,
    since: &Antichain<Tick>,
    upper: &Antichain<Tick>,
) {
    trace.set_logical_compaction(since.borrow());
    trace.set_physical_compaction(upper.borrow());
}

/// Accumulates each (key, value) of a trace over the ticks up to `tick`.
pub(super) fn each<Tr, R>(
    trace: &TraceAgent<Tr>,
    tick: Tick,
    keys: Option<&[Key]>,
    visit: &mut Visit<'_, Tr, R>,
) where
    Tr: TraceReader<Time = Tick> + 'static,
    Tr::Batch: Navigable,
    R: Semigroup + 'static,
    for<'a> BatchCursor<Tr>: Cursor<Key<'a> = Bytes<'a>, TimeGat<'a> = &'a Tick, Diff = R, Time = Tick>,
{
    let mut scan = Scan::of(trace, None, tick);
    match keys {
        None => drop(scan.step(&mut usize::MAX.clone(), visit)),
        Some(keys) => keys.iter().for_each(|key| scan.at(key, visit)),
    }
}

/// Reads what a trace holds up to one tick, some keys at a time. It holds the trace's batches as they are now, so what
/// becomes of the trace meanwhile does not matter.
pub struct Scan<Tr: TraceReader>
where
    Tr::Batch: Navigable,
{
    cursor: CursorList<BatchCursor<Tr>>,
    storage: <CursorList<BatchCursor<Tr>> as Cursor>::Storage,
    /// Older updates do not count.
    from: Option<Tick>,
    tick: Tick,
}

impl<Tr> Scan<Tr>
where
    Tr: TraceReader<Time = Tick> + 'static,
    Tr::Batch: Navigable,
{
    pub fn of(trace: &TraceAgent<Tr>, from: Option<Tick>, tick: Tick) -> Scan<Tr> {
        let mut batches = Vec::new();
        trace.map_spans(|span| batches.extend(span.inner.clone()));
        Scan::over(batches, from, tick)
    }

    /// Of what is in these batches.
    pub fn over(batches: Vec<Tr::Batch>, from: Option<Tick>, tick: Tick) -> Scan<Tr> {
        let (cursor, storage) = cursor_list(batches);
        Scan { cursor, storage, from, tick }
    }
}

impl<Tr, R> Scan<Tr>
where
    Tr: TraceReader<Time = Tick> + 'static,
    Tr::Batch: Navigable,
    R: Semigroup + 'static,
    for<'a> BatchCursor<Tr>: Cursor<Key<'a> = Bytes<'a>, TimeGat<'a> = &'a Tick, Diff = R, Time = Tick>,
{
    /// Visits the next keys, ascending, until `left` is used up. False when there are no more.
    pub fn step(&mut self, left: &mut usize, visit: &mut Visit<'_, Tr, R>) -> bool {
        while self.cursor.key_valid(&self.storage) {
            if *left == 0 {
                return true;
            }
            *left -= 1;
            self.here(visit);
            self.cursor.step_key(&self.storage);
        }
        false
    }

    /// Visits a key, which must come after those that were visited.
    pub fn at(&mut self, key: &Key, visit: &mut Visit<'_, Tr, R>) {
        self.cursor.seek_key(&self.storage, Bytes(key));
        if self.cursor.get_key(&self.storage) == Some(Bytes(key)) {
            self.here(visit);
        }
    }

    /// Visits the keys that begin with `prefix`, which must come after those that were visited.
    pub(super) fn under(&mut self, prefix: &[u8], visit: &mut Visit<'_, Tr, R>) {
        self.cursor.seek_key(&self.storage, Bytes(prefix));
        while self.cursor.get_key(&self.storage).is_some_and(|key| key.starts_with(prefix)) {
            self.here(visit);
            self.cursor.step_key(&self.storage);
        }
    }

    /// Visits the next keys that come before `end`, until `left` is used up.
    pub fn before(&mut self, end: &[u8], left: &mut usize, visit: &mut Visit<'_, Tr, R>) {
        while *left > 0 && self.cursor.get_key(&self.storage).is_some_and(|key| key.0 < end) {
            *left -= 1;
            self.here(visit);
            self.cursor.step_key(&self.storage);
        }
    }

    /// The next key that does not come before `key`.
    pub fn seek(&mut self, key: &[u8]) -> Option<Key> {
        self.cursor.seek_key(&self.storage, Bytes(key));
        self.cursor.get_key(&self.storage).map(|key| key.0.into())
    }

    fn here(&mut self, visit: &mut Visit<'_, Tr, R>) {
        let (cursor, storage) = (&mut self.cursor, &self.storage);
        let (from, tick) = (self.from, self.tick);
        let key = cursor.key(storage);
        while let Some(value) = cursor.get_val(storage) {
            let mut sum: Option<R> = None;
            cursor.map_times(storage, |time, diff| {
                if *time <= tick && from.is_none_or(|from| *time > from) {
                    let diff = BatchCursor::<Tr>::owned_diff(diff);
                    match &mut sum {
                        Some(sum) => sum.plus_equals(&diff),
                        None => sum = Some(diff),
                    }
                }
            });
            if let Some(sum) = sum.filter(|s| !s.is_zero()) {
                visit(key, value, sum);
            }
            cursor.step_val(storage);
        }
    }
}

/// Sees a key, a value and their sum.
pub type Visit<'v, Tr, R> = dyn for<'a> FnMut(Bytes<'a>, BatchVal<'a, Tr>, R) + 'v;
