//! How arrangements lay out keys, rows and states in memory: byte strings one behind the other.
//!
//! A box each would cost 16 bytes for its pointer, and more for what the allocator rounds up; and a
//! merge of two batches would allocate every one anew. Here a string costs its bytes and 4 more.

use super::Tick;
use crate::aggregate::{State, wire};
use differential_dataflow::batcher::merge::MergeBatcher;
use differential_dataflow::batcher::merge::chunker::ContainerChunker;
use differential_dataflow::batcher::merge::vec::VecMerger;
use differential_dataflow::trace::implementations::ord_neu::{
    OrdKeyBatch, OrdKeyBuilder, OrdValBatch, OrdValBuilder,
};
use differential_dataflow::trace::implementations::spine_fueled::Spine;
use differential_dataflow::trace::implementations::{BatchContainer, OffsetList};
use serde::{Deserialize, Serialize};
use std::marker::PhantomData;
use std::ops::Deref;
use std::rc::Rc;
use timely::container::PushInto;

/// A key, a row or an element as updates carry it: what [`crate::value::encode_row`] makes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Blob(#[serde(with = "wire")] pub Box<[u8]>);

/// A key with accumulators, for an arrangement of states.
pub type StateUpdate = ((Blob, ()), Tick, State);
/// A key with a row or an element, and how often more or less.
pub type RowUpdate = ((Blob, Blob), Tick, i64);

/// Keys whose difference is their merged accumulators.
pub type StateSpine = Spine<Rc<OrdKeyBatch<StateLayout>>>;
pub type StateBatcher = MergeBatcher<
    ContainerChunker<Vec<StateUpdate>>,
    VecMerger<(Blob, ()), Tick, State>,
    OrdKeyBuilder<StateLayout, Vec<StateUpdate>>,
>;
pub type StateLayout = (Packed<Blob>, Vec<()>, Ticks, Packed<State>, OffsetList);

/// Keys with rows, or with elements of collections, and how often.
pub type RowSpine = Spine<Rc<OrdValBatch<RowLayout>>>;
pub type RowBuilder = OrdValBuilder<RowLayout, Vec<RowUpdate>>;
pub type KeyedBatcher =
    MergeBatcher<ContainerChunker<Vec<RowUpdate>>, VecMerger<(Blob, Blob), Tick, i64>, RowBuilder>;
pub type RowLayout = (Packed<Blob>, Packed<Blob>, Ticks, Vec<i64>, OffsetList);

/// Values of `T`, which is a byte string.
pub struct Packed<T> {
    bytes: Vec<u8>,
    /// Where each begins, and where the last ends.
    bounds: OffsetList,
    of: PhantomData<T>,
}

/// A value of a [`Packed`], where it lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Bytes<'a>(pub &'a [u8]);

/// A type that is a byte string, ordered as its bytes are.
pub trait ByteString: Clone + Ord + 'static {
    fn bytes(&self) -> &[u8];
    fn of(bytes: &[u8]) -> Self;
}

impl ByteString for Blob {
    fn bytes(&self) -> &[u8] {
        &self.0
    }
    fn of(bytes: &[u8]) -> Self {
        Blob(bytes.into())
    }
}

impl ByteString for State {
    fn bytes(&self) -> &[u8] {
        &self.0
    }
    fn of(bytes: &[u8]) -> Self {
        State(bytes.into())
    }
}

impl Deref for Bytes<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.0
    }
}

impl<T: ByteString> PartialEq<&T> for Bytes<'_> {
    fn eq(&self, other: &&T) -> bool {
        self.0 == other.bytes()
    }
}

impl<T> Packed<T> {
    fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
        self.bounds.push(self.bytes.len());
    }

    fn room(values: usize, bytes: usize) -> Packed<T> {
        let mut bounds = OffsetList::with_capacity(values + 1);
        bounds.push(0);
        Packed { bytes: Vec::with_capacity(bytes), bounds, of: PhantomData }
    }
}

impl<T: ByteString> PushInto<T> for Packed<T> {
    fn push_into(&mut self, value: T) {
        self.push(value.bytes());
    }
}

impl<T: ByteString> BatchContainer for Packed<T> {
    type Owned = T;
    type ReadItem<'a> = Bytes<'a>;

    fn into_owned(item: Bytes<'_>) -> T {
        T::of(item.0)
    }

    fn push_ref(&mut self, item: Bytes<'_>) {
        self.push(item.0);
    }

    fn push_own(&mut self, item: &T) {
        self.push(item.bytes());
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.bounds.clear();
        self.bounds.push(0);
    }

    /// How long values will be is not known: this is what keys and small states take.
    fn with_capacity(values: usize) -> Packed<T> {
        Packed::room(values, 64 * values)
    }

    /// Room that is not needed, since values were merged, is never touched: it costs no memory.
    fn merge_capacity(a: &Packed<T>, b: &Packed<T>) -> Packed<T> {
        Packed::room(a.len() + b.len(), a.bytes.len() + b.bytes.len())
    }

    fn reborrow<'b, 'a: 'b>(item: Bytes<'a>) -> Bytes<'b> {
        item
    }

    #[inline]
    fn index(&self, index: usize) -> Bytes<'_> {
        Bytes(&self.bytes[self.bounds.index(index)..self.bounds.index(index + 1)])
    }

    fn len(&self) -> usize {
        self.bounds.len() - 1
    }
}

/// Ticks, many of which are the one before again: a batch is of one tick, and merging it moves its
/// updates to the tick that nobody can tell them from any more.
#[derive(Default)]
pub struct Ticks {
    /// Where a tick begins that differs from the one before, and the tick.
    runs: Vec<(usize, Tick)>,
    len: usize,
}

impl BatchContainer for Ticks {
    type Owned = Tick;
    type ReadItem<'a> = &'a Tick;

    fn into_owned(item: &Tick) -> Tick {
        *item
    }

    fn push_ref(&mut self, item: &Tick) {
        if self.runs.last().is_none_or(|(_, tick)| tick != item) {
            self.runs.push((self.len, *item));
        }
        self.len += 1;
    }

    fn push_own(&mut self, item: &Tick) {
        self.push_ref(item);
    }

    fn clear(&mut self) {
        self.runs.clear();
        self.len = 0;
    }

    fn with_capacity(_: usize) -> Ticks {
        Ticks::default()
    }

    fn merge_capacity(_: &Ticks, _: &Ticks) -> Ticks {
        Ticks::default()
    }

    fn reborrow<'b, 'a: 'b>(item: &'a Tick) -> &'b Tick {
        item
    }

    #[inline]
    fn index(&self, index: usize) -> &Tick {
        assert!(index < self.len, "tick {index} of {}", self.len);
        &self.runs[self.runs.partition_point(|(start, _)| *start <= index) - 1].1
    }

    fn len(&self) -> usize {
        self.len
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_read_back() {
        let mut ticks = Ticks::with_capacity(3);
        for values in [vec![], vec![7], vec![7, 7, 9, 7, 7, 7, 8, 8]] {
            ticks.clear();
            values.iter().for_each(|tick| ticks.push_ref(tick));
            let read: Vec<Tick> = (0..ticks.len()).map(|i| *ticks.index(i)).collect();
            assert_eq!(read, values);
            assert_eq!(ticks.last(), values.last());
        }
    }

    #[test]
    fn what_was_pushed_is_read_back() {
        let values: [&[u8]; 4] = [b"", b"a", b"", b"longer than the others"];
        let mut packed = Packed::<Blob>::with_capacity(1);
        assert!(packed.is_empty());
        for round in 0..2 {
            for (i, value) in values.iter().enumerate() {
                match (i + round) % 3 {
                    0 => packed.push_into(Blob::of(value)),
                    1 => packed.push_own(&Blob::of(value)),
                    _ => packed.push_ref(Bytes(value)),
                }
            }
            let read: Vec<&[u8]> = (0..packed.len()).map(|i| packed.index(i).0).collect();
            assert_eq!(read, values);
            assert!(packed.index(1) == &Blob::of(b"a"));
            assert_eq!(packed.get(4), None);
            packed.clear();
        }
        assert_eq!(Packed::<Blob>::merge_capacity(&packed, &packed).len(), 0);
    }
}
