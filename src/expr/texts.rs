//! Builds a STRING or BYTES column: one byte buffer and views into it, no allocation a row.

use arrow_array::builder::make_view;
use arrow_array::types::{BinaryViewType, ByteViewType, StringViewType};
use arrow_array::{ArrayRef, GenericByteViewArray};
use arrow_buffer::{Buffer, NullBuffer};
use std::sync::Arc;

/// A view's offset has 32 bits; a buffer is closed well before they run out.
const BLOCK_MAX: usize = 1 << 30;

/// Rows are appended: write into [`Texts::buffer`], then [`Texts::commit`].
pub(crate) struct Texts {
    views: Vec<u128>,
    /// Only UTF-8 may be written here when a STRING column is built.
    pub buffer: Vec<u8>,
    blocks: Vec<Buffer>,
    start: usize,
}

impl Texts {
    pub fn with_capacity(rows: usize, bytes: usize) -> Texts {
        Texts {
            views: Vec::with_capacity(rows),
            buffer: Vec::with_capacity(bytes.min(BLOCK_MAX)),
            blocks: Vec::new(),
            start: 0,
        }
    }

    /// Ends the row: what was written since the last row is its value.
    #[inline]
    pub fn commit(&mut self) {
        let bytes = &self.buffer[self.start..];
        self.views.push(make_view(bytes, self.blocks.len() as u32, self.start as u32));
        if bytes.len() <= arrow_data::MAX_INLINE_VIEW_LEN as usize {
            self.buffer.truncate(self.start);
        } else {
            self.start = self.buffer.len();
            if self.start > BLOCK_MAX {
                self.close();
            }
        }
    }

    /// A row without a value.
    pub fn skip(&mut self) {
        self.buffer.truncate(self.start);
        self.views.push(0);
    }

    pub fn push(&mut self, text: &str) {
        self.buffer.extend_from_slice(text.as_bytes());
        self.commit();
    }

    fn close(&mut self) {
        if !self.buffer.is_empty() {
            self.blocks.push(Buffer::from_vec(std::mem::take(&mut self.buffer)));
        }
        self.start = 0;
    }

    fn finish<T: ByteViewType>(mut self, nulls: Option<NullBuffer>) -> ArrayRef {
        self.close();
        // SAFETY: commit made every view for the bytes that it points to; checking them again costs
        // more than making them. UTF-8 is the writer's duty (see `buffer`).
        unsafe { Arc::new(GenericByteViewArray::<T>::new_unchecked(self.views.into(), self.blocks, nulls)) }
    }

    pub fn strings(self, nulls: Option<NullBuffer>) -> ArrayRef {
        self.finish::<StringViewType>(nulls)
    }

    pub fn bytes(self, nulls: Option<NullBuffer>) -> ArrayRef {
        self.finish::<BinaryViewType>(nulls)
    }
}
