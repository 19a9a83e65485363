//! Columns under construction: what the decoders append to, one cell a message.
//!
//! A cell of a message that turns out bad is appended all the same (any value will do) and filtered
//! out at the end, so that good records never pay for bad ones.

use arrow_array::types::*;
use arrow_array::{
    ArrayRef, ArrowPrimitiveType, BinaryViewArray, BooleanArray, PrimitiveArray, StringViewArray,
};
use arrow_buffer::{BooleanBuffer, BooleanBufferBuilder, Buffer, NullBuffer, ScalarBuffer};
use arrow_schema::DataType;
use std::sync::Arc;

use super::field::Field;

/// Which cells are NULL. Cells that were never mentioned are not; no memory is held before the first.
#[derive(Default)]
pub struct Nulls {
    bits: Option<BooleanBufferBuilder>,
}

impl Nulls {
    /// Marks cell `i`, which must be behind all that were marked before.
    #[inline(never)]
    pub fn mark(&mut self, i: usize) {
        let bits = self.bits.get_or_insert_with(|| BooleanBufferBuilder::new(1024));
        bits.append_n(i - bits.len(), true);
        bits.append(false);
    }

    /// Forgets the cells from `len` on.
    pub fn truncate(&mut self, len: usize) {
        if let Some(bits) = &mut self.bits {
            bits.truncate(len.min(bits.len()));
        }
    }

    /// For `len` cells.
    pub fn finish(&mut self, len: usize) -> Option<NullBuffer> {
        let mut bits = self.bits.take()?;
        bits.append_n(len - bits.len(), true);
        Some(NullBuffer::new(bits.finish()))
    }
}

/// Cells of a fixed size.
#[derive(Default)]
pub struct Cells<T> {
    pub values: Vec<T>,
    pub nulls: Nulls,
}

impl<T: Default> Cells<T> {
    #[inline(always)]
    pub fn push(&mut self, value: T) {
        self.values.push(value);
    }

    /// Appends `count` cells to be filled in.
    #[inline(always)]
    pub fn push_defaults(&mut self, count: usize) -> &mut [T]
    where
        T: Copy,
    {
        let len = self.values.len();
        self.values.resize(len + count, T::default());
        &mut self.values[len..]
    }

    pub fn push_null(&mut self) {
        self.nulls.mark(self.values.len());
        self.values.push(T::default());
    }

    pub fn truncate(&mut self, len: usize) {
        self.values.truncate(len);
        self.nulls.truncate(len);
    }
}

impl<T> Cells<T> {
    /// The array, leaving the cells empty.
    pub fn finish<P: ArrowPrimitiveType<Native = T>>(&mut self, ty: &DataType) -> ArrayRef
    where
        T: arrow_buffer::ArrowNativeType,
    {
        let values = std::mem::take(&mut self.values);
        let nulls = self.nulls.finish(values.len());
        Arc::new(PrimitiveArray::<P>::new(ScalarBuffer::from(values), nulls).with_data_type(ty.clone()))
    }
}

impl Cells<bool> {
    pub fn finish_booleans(&mut self) -> ArrayRef {
        let values = std::mem::take(&mut self.values);
        let nulls = self.nulls.finish(values.len());
        Arc::new(BooleanArray::new(BooleanBuffer::from(values), nulls))
    }
}

/// Where the bytes of a longer text lie.
#[derive(Clone, Copy)]
pub enum Place {
    /// In the messages' buffer, at this offset.
    Messages(usize),
    /// In the decoder's buffer of unescaped texts, at this offset.
    Unescaped(usize),
}

/// Cells of VARCHAR: views into the messages, so that no text is copied.
#[derive(Default)]
pub struct Texts {
    pub cells: Cells<u128>,
}

/// Texts of up to so many bytes lie in their view.
pub const INLINE_MAX: usize = 12;

/// What a view takes of the bytes of a text, and of its place, for each length; longer texts share the
/// last entry.
struct Masks {
    first_four: u32,
    next_eight: u64,
    place: u64,
}

const MASKS: [Masks; INLINE_MAX + 2] = {
    const NONE: Masks = Masks { first_four: 0, next_eight: 0, place: 0 };
    let mut masks = [NONE; INLINE_MAX + 2];
    let mut len = 0;
    while len <= INLINE_MAX {
        let kept = (1u128 << (8 * len)) - 1;
        masks[len] = Masks { first_four: kept as u32, next_eight: (kept >> 32) as u64, place: 0 };
        len += 1;
    }
    masks[len] = Masks { first_four: u32::MAX, next_eight: 0, place: u64::MAX };
    masks
};

/// The view of a text; one in a column of VARCHAR must be UTF-8, and `place` must be where it lies.
///
/// A view is the length in 32 bits, then either up to 12 bytes of text, or the first 4 bytes, the
/// number of the buffer and the offset in it. Which of the two is as good as random in many columns, so
/// both are made and masked instead of a branch.
#[inline(always)]
pub fn view(text: Field<'_>, place: Place) -> u128 {
    let len = text.len();
    let bytes = text.double_word();
    let place = match place {
        Place::Messages(offset) => (offset as u64) << 32,
        Place::Unescaped(offset) => (offset as u64) << 32 | 1,
    };
    let masks = &MASKS[len.min(INLINE_MAX + 1)];
    let low = u64::from(bytes as u32 & masks.first_four) << 32 | len as u64;
    let high = (bytes >> 32) as u64 & masks.next_eight | place & masks.place;
    u128::from(high) << 64 | u128::from(low)
}

impl Texts {
    #[inline(always)]
    pub fn push(&mut self, text: Field<'_>, place: Place) {
        self.cells.push(view(text, place));
    }

    /// The array over the buffers that [`Place`] names, leaving the cells empty.
    pub fn finish(&mut self, messages: &Buffer, unescaped: &Buffer) -> ArrayRef {
        let views = std::mem::take(&mut self.cells.values);
        let nulls = self.cells.nulls.finish(views.len());
        // A column whose texts are all short needs no buffer and should not keep one alive.
        let short = views.iter().all(|view| *view as u32 as usize <= INLINE_MAX);
        let buffers = if short { vec![] } else { vec![messages.clone(), unescaped.clone()] };
        // SAFETY: all views come from `view`, so short texts are inline and long ones name one of the
        // two buffers. They lie inside it, since a field is always taken from that buffer at that place,
        // and they are UTF-8, since decoders have checked that of every message or text. To validate
        // all of it again here would take longer than all the rest of decoding.
        Arc::new(unsafe { StringViewArray::new_unchecked(ScalarBuffer::from(views), buffers, nulls) })
    }
}

/// Cells of BYTES, which are copied since they arrive encoded.
#[derive(Default)]
pub struct Blobs {
    pub ends: Cells<u32>,
    data: Vec<u8>,
}

impl Blobs {
    pub fn push(&mut self, bytes: &[u8]) {
        self.data.extend_from_slice(bytes);
        self.ends.push(self.data.len() as u32);
    }

    pub fn push_null(&mut self) {
        self.ends.push_null();
        let end = self.data.len() as u32;
        if let Some(last) = self.ends.values.last_mut() {
            *last = end;
        }
    }

    pub fn truncate(&mut self, len: usize) {
        self.ends.truncate(len);
        self.data.truncate(self.ends.values.last().map_or(0, |end| *end as usize));
    }

    pub fn finish(&mut self) -> ArrayRef {
        let ends = std::mem::take(&mut self.ends.values);
        let nulls = self.ends.nulls.finish(ends.len());
        let data = std::mem::take(&mut self.data);
        let mut start = 0;
        let views: Vec<u128> = ends
            .iter()
            .map(|&end| {
                let field = Field::within(&data, start, end as usize);
                let view = view(field, Place::Messages(start));
                start = end as usize;
                view
            })
            .collect();
        Arc::new(BinaryViewArray::new(ScalarBuffer::from(views), [Buffer::from(data)].to_vec(), nulls))
    }
}

/// The scalar types that a text can be read as: one variant for each SQL type without parts.
pub enum Scalars {
    Boolean(Cells<bool>),
    Int(Cells<i32>),
    Bigint(Cells<i64>),
    Double(Cells<f64>),
    Decimal { cells: Cells<i128>, precision: u8, scale: u8 },
    Varchar(Texts),
    Bytes(Blobs),
    Date(Cells<i32>),
    Time(Cells<i32>),
    Timestamp(Cells<i64>),
}

/// Runs the same code on the cells of any type but BYTES.
macro_rules! plain {
    ($scalars:expr, $cells:ident => $body:expr) => {
        match $scalars {
            Scalars::Boolean($cells) => $body,
            Scalars::Int($cells) | Scalars::Date($cells) | Scalars::Time($cells) => $body,
            Scalars::Bigint($cells) | Scalars::Timestamp($cells) => $body,
            Scalars::Double($cells) => $body,
            Scalars::Decimal { cells: $cells, .. } => $body,
            Scalars::Varchar(Texts { cells: $cells }) => $body,
            Scalars::Bytes(_) => unreachable!("the cells of BYTES are Blobs"),
        }
    };
}

impl Scalars {
    /// `None` for a type with parts.
    pub fn of(ty: &crate::types::SqlType) -> Option<Scalars> {
        use crate::types::SqlType as S;
        Some(match ty {
            S::Boolean => Scalars::Boolean(Cells::default()),
            S::Int => Scalars::Int(Cells::default()),
            S::Bigint => Scalars::Bigint(Cells::default()),
            S::Double => Scalars::Double(Cells::default()),
            S::Decimal { precision, scale } => {
                Scalars::Decimal { cells: Cells::default(), precision: *precision, scale: *scale }
            }
            S::Varchar => Scalars::Varchar(Texts::default()),
            S::Bytes => Scalars::Bytes(Blobs::default()),
            S::Date => Scalars::Date(Cells::default()),
            S::Time => Scalars::Time(Cells::default()),
            S::Timestamp => Scalars::Timestamp(Cells::default()),
            S::Array(_) | S::Map(..) | S::Struct(_) => return None,
        })
    }

    pub fn push_null(&mut self) {
        match self {
            Scalars::Bytes(blobs) => blobs.push_null(),
            other => plain!(other, cells => cells.push_null()),
        }
    }

    /// Makes cell `i` NULL; it must be behind all that are NULL already.
    pub fn mark_null(&mut self, i: usize) {
        match self {
            Scalars::Bytes(blobs) => blobs.ends.nulls.mark(i),
            other => plain!(other, cells => cells.nulls.mark(i)),
        }
    }

    pub fn len(&self) -> usize {
        match self {
            Scalars::Bytes(blobs) => blobs.ends.values.len(),
            other => plain!(other, cells => cells.values.len()),
        }
    }

    pub fn truncate(&mut self, len: usize) {
        match self {
            Scalars::Bytes(blobs) => blobs.truncate(len),
            other => plain!(other, cells => cells.truncate(len)),
        }
    }

    pub fn reserve(&mut self, additional: usize) {
        match self {
            Scalars::Bytes(blobs) => blobs.ends.values.reserve(additional),
            other => plain!(other, cells => cells.values.reserve(additional)),
        }
    }

    /// The array of all cells, leaving none.
    pub fn finish(&mut self, ty: &DataType, messages: &Buffer, unescaped: &Buffer) -> ArrayRef {
        match self {
            Scalars::Boolean(cells) => cells.finish_booleans(),
            Scalars::Int(cells) => cells.finish::<Int32Type>(ty),
            Scalars::Bigint(cells) => cells.finish::<Int64Type>(ty),
            Scalars::Double(cells) => cells.finish::<Float64Type>(ty),
            Scalars::Decimal { cells, .. } => cells.finish::<Decimal128Type>(ty),
            Scalars::Varchar(texts) => texts.finish(messages, unescaped),
            Scalars::Bytes(blobs) => blobs.finish(),
            Scalars::Date(cells) => cells.finish::<Date32Type>(ty),
            Scalars::Time(cells) => cells.finish::<Time32MillisecondType>(ty),
            Scalars::Timestamp(cells) => cells.finish::<TimestampMillisecondType>(ty),
        }
    }
}
