//! What has changed in a kept state since its last checkpoint, so that the next one need hold no more than
//! that.
//!
//! Changes are sums, of counts and of accumulators that merge in any order: all keys at one tick and the
//! changes up to a later one are together all keys at that later one. An arrangement's batches are its
//! changes already; they are kept here once more, in a trace that begins with the checkpoint.

use super::Tick;
use super::context::Context;
use super::scan::Scan;
use differential_dataflow::operators::arrange::{Arranged, TraceAgent};
use differential_dataflow::trace::implementations::spine_fueled::SpineBatch;
use differential_dataflow::trace::{Navigable, Span, SpanOf, Trace};
use std::cell::RefCell;
use std::rc::Rc;
use timely::dataflow::StreamVec;
use timely::dataflow::channels::pact::Pipeline;
use timely::dataflow::operators::generic::{Operator, OperatorInfo};
use timely::progress::Antichain;

/// More changes than this are not kept until a checkpoint has said how many are worth it.
const CHANGES: usize = 4_096;

/// The changes of one arrangement.
pub struct Journal<Tr: Trace> {
    info: OperatorInfo,
    /// Older changes are in a checkpoint. `None`: all are not in one, or were too many to be kept.
    from: Option<Tick>,
    /// Batches that may hold changes on both sides of `from`.
    straddling: Vec<Tr::Batch>,
    later: Tr,
    upper: Antichain<Tick>,
    /// While a checkpoint is under way: batches that hold changes behind its tick.
    behind: Vec<Tr::Batch>,
    /// More changes are not kept.
    limit: usize,
}

/// A journal that its operator writes.
pub type SharedJournal<Tr> = Rc<RefCell<Journal<Tr>>>;

/// Collects the changes of an arrangement on their way to whoever else reads its batches.
pub fn keep<'s, Tr>(
    arranged: &Arranged<'s, TraceAgent<Tr>>,
    context: &Rc<Context>,
) -> (StreamVec<'s, Tick, SpanOf<Tr>>, SharedJournal<Tr>)
where
    Tr: Trace<Time = Tick> + 'static,
    Tr::Batch: SpineBatch + Navigable,
{
    let (context, mut journal) = (Rc::clone(context), None);
    let spans = arranged.stream.clone().unary(Pipeline, "Journal", |_, info| {
        let own = journal.insert(Rc::new(RefCell::new(Journal::new(info))));
        let own = Rc::clone(own);
        move |input, output| {
            input.for_each(|cap, spans| {
                let mut own = own.borrow_mut();
                spans.iter().for_each(|span| own.add(span, context.hold.get()));
                output.session(&cap).give_container(spans);
            });
        }
    });
    (spans, journal.expect("the operator was just built"))
}

impl<Tr> Journal<Tr>
where
    Tr: Trace<Time = Tick> + 'static,
    Tr::Batch: SpineBatch + Navigable,
{
    fn new(info: OperatorInfo) -> Journal<Tr> {
        Journal {
            later: Tr::new(info.clone(), None, None),
            info,
            from: None,
            straddling: Vec::new(),
            upper: Antichain::from_elem(0),
            behind: Vec::new(),
            limit: CHANGES,
        }
    }

    /// `hold`: the tick of the checkpoint that is under way.
    fn add(&mut self, span: &SpanOf<Tr>, hold: Option<Tick>) {
        match hold {
            None => self.behind.clear(),
            Some(hold) if span.upper().less_equal(&(hold + 1)) => {}
            Some(_) => self.behind.extend(span.inner.clone()),
        }
        if self.from.is_none() {
            return;
        }
        // Intervals without changes do not come by themselves.
        if self.upper != *span.lower() {
            self.later.insert(Span::empty(self.upper.clone(), span.lower().clone()));
        }
        self.later.insert(span.clone());
        self.later.set_physical_compaction(span.upper().borrow());
        self.upper.clone_from(span.upper());
        if self.changed().is_some_and(|changed| changed > self.limit) {
            self.forget();
        }
    }

    /// How many changes there are at most; `None`: they are not known.
    pub fn changed(&self) -> Option<usize> {
        self.from?;
        let mut len: usize = self.straddling.iter().map(SpineBatch::len).sum();
        self.later.map_spans(|span| len += span.inner.as_ref().map_or(0, SpineBatch::len));
        Some(len)
    }

    /// Hands out what came up to `tick`, and collects what comes behind it.
    pub fn begin(&mut self, tick: Tick, limit: usize) -> Scan<Tr> {
        let mut batches = std::mem::take(&mut self.straddling);
        self.later.map_spans(|span| batches.extend(span.inner.clone()));
        let scan = Scan::over(batches, self.from, tick);
        self.forget();
        self.from = Some(tick);
        self.straddling = std::mem::take(&mut self.behind);
        self.limit = limit;
        scan
    }

    pub fn forget(&mut self) {
        self.from = None;
        self.straddling.clear();
        self.later = Tr::new(self.info.clone(), None, None);
        self.upper = Antichain::from_elem(0);
    }

    pub fn compact(&mut self, since: &Antichain<Tick>) {
        self.later.set_logical_compaction(since.borrow());
    }
}

#[cfg(test)]
mod tests {
    use super::super::packed::{Blob, RowBuilder, RowSpine, RowUpdate};
    use super::*;
    use differential_dataflow::trace::Builder;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    /// Updates by their ticks, where their batches end, and checkpoints: (begun, of which tick, read).
    fn span(updates: &BTreeMap<Tick, Vec<(u8, i64)>>, lower: Tick, upper: Tick) -> SpanOf<RowSpine> {
        let mut all: Vec<RowUpdate> = Vec::new();
        for (tick, of_tick) in updates.range(lower..upper) {
            let update = |(key, n): &(u8, i64)| ((Blob([*key].into()), Blob([].into())), *tick, *n);
            all.extend(of_tick.iter().map(update));
        }
        differential_dataflow::consolidation::consolidate_updates(&mut all);
        let mut builder = RowBuilder::default();
        builder.push(&mut all);
        let span = Span::empty(Antichain::from_elem(lower), Antichain::from_elem(upper));
        Span { inner: builder.done().map(Rc::new), ..span }
    }

    proptest! {
        #[test]
        fn changes_add_up(
            updates in prop::collection::btree_map(0u64..100, prop::collection::vec((0u8..5, 1i64..9), 1..4), 1..60),
            mut bounds in prop::collection::btree_set(2u64..100, 1..40),
            ahead in 0u64..6,
            every in 1usize..5,
        ) {
            bounds.insert(100);
            let mut journal = Journal::<RowSpine>::new(OperatorInfo::new(0, 0, [0].into()));
            let _ = journal.begin(0, usize::MAX);
            // What the first one has as a whole.
            let mut sums: BTreeMap<u8, i64> = BTreeMap::new();
            for (key, n) in updates.get(&0).into_iter().flatten() {
                *sums.entry(*key).or_default() += n;
            }
            let (mut lower, mut hold) = (1, None);
            for (i, upper) in bounds.iter().copied().enumerate() {
                // As a tick is named: none of it has come.
                if hold.is_none() && i % every == 0 {
                    hold = Some(lower + ahead);
                }
                journal.add(&span(&updates, lower, upper), hold);
                journal.compact(&Antichain::from_elem(hold.map_or(upper, |hold| upper.min(hold))));
                lower = upper;
                let Some(tick) = hold.filter(|hold| *hold < upper) else { continue };
                let mut scan = journal.begin(tick, usize::MAX);
                scan.step(&mut usize::MAX.clone(), &mut |key, _, n| *sums.entry(key.0[0]).or_default() += n);
                let mut expected: BTreeMap<u8, i64> = BTreeMap::new();
                for (key, n) in updates.range(..=tick).flat_map(|(_, of_tick)| of_tick) {
                    *expected.entry(*key).or_default() += n;
                }
                prop_assert_eq!(&sums, &expected);
                hold = None;
            }
        }
    }
}
