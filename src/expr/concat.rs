//! `||`, and `+` on STRING: a whole chain in one node, straight into one buffer.

use super::node::{Child, Frame, Node, Report, column, exclude, is_null, own_nulls, parts};
use super::texts::Texts;
use crate::batch::Column;
use arrow_array::cast::AsArray;
use arrow_array::{ArrayRef, StringViewArray};
use arrow_buffer::{Buffer, NullBuffer};
use arrow_data::MAX_INLINE_VIEW_LEN;
use arrow_schema::DataType;
use std::sync::Arc;

/// As in Java, no text has more bytes than this.
const BYTES_MAX: usize = i32::MAX as usize;
/// Up to here one buffer holds all rows of a batch.
const BUFFER_MAX: usize = 1 << 30;
/// Bytes are copied in pieces of this size, past the end of what is meant; the next piece or the
/// slack at the end takes the rest. A copy of a known size is two instructions, any other is a call:
/// on texts of 5 to 25 bytes the row takes a third of the time.
const PIECE: usize = 16;

pub(crate) struct Concat {
    /// In order; a NULL part makes the whole NULL.
    pub parts: Vec<Child>,
}

impl Node for Concat {
    fn eval(&mut self, frame: &mut Frame<'_>) -> Column {
        let columns: Vec<Column> = self.parts.iter_mut().map(|part| part.eval(frame)).collect();
        if columns.iter().any(is_null) {
            return Column::null(&DataType::Utf8View);
        }
        let constant = columns.iter().all(|c| parts(c).1);
        let rows = if constant { 1 } else { frame.rows() };
        let nulls = NullBuffer::union_many(columns.iter().map(own_nulls));
        let parts: Vec<Part> = columns.iter().map(Part::of).collect();
        let bytes = parts.iter().map(|part| part.total_bytes(rows)).sum();
        let array = match bytes {
            0..=BUFFER_MAX => one_buffer(&parts, rows, bytes, nulls),
            _ => many_buffers(&parts, rows, nulls, &mut frame.report(constant)),
        };
        column(array, constant)
    }
}

/// One part, resolved for a batch.
enum Part<'a> {
    /// At most a piece, with its length.
    Short([u8; PIECE], usize),
    Long(&'a [u8]),
    Array(&'a StringViewArray),
}

impl Part<'_> {
    fn of(column: &Column) -> Part<'_> {
        let (array, constant) = parts(column);
        let array = array.as_string_view();
        if !constant {
            return Part::Array(array);
        }
        let bytes = array.value(0).as_bytes();
        if bytes.len() > PIECE {
            return Part::Long(bytes);
        }
        let mut padded = [0; PIECE];
        padded[..bytes.len()].copy_from_slice(bytes);
        Part::Short(padded, bytes.len())
    }

    /// The bytes of all rows; views hold their lengths, so this is one cheap pass.
    fn total_bytes(&self, rows: usize) -> usize {
        match self {
            Part::Short(_, len) => len * rows,
            Part::Long(bytes) => bytes.len() * rows,
            Part::Array(array) => array.views().iter().map(|view| *view as u32 as usize).sum(),
        }
    }

    fn bytes(&self, row: usize) -> &[u8] {
        match self {
            Part::Short(padded, len) => &padded[..*len],
            Part::Long(bytes) => bytes,
            Part::Array(array) => array.value(row).as_bytes(),
        }
    }
}

fn one_buffer(parts: &[Part], rows: usize, bytes: usize, nulls: Option<NullBuffer>) -> ArrayRef {
    let mut out = vec![0u8; bytes + PIECE];
    let mut views: Vec<u128> = Vec::with_capacity(rows);
    let mut end = 0;
    for row in 0..rows {
        if nulls.as_ref().is_some_and(|n| n.is_null(row)) {
            views.push(0);
            continue;
        }
        let start = end;
        for part in parts {
            end = append(part, row, &mut out, end);
        }
        let (view, next) = view(&out, start, end);
        views.push(view);
        end = next;
    }
    out.truncate(end);
    let buffers = if end > 0 { vec![Buffer::from_vec(out)] } else { Vec::new() };
    // SAFETY: every view holds or points to the bytes of whole texts, one behind the other. Checking
    // them again would cost more than making them.
    Arc::new(unsafe { StringViewArray::new_unchecked(views.into(), buffers, nulls) })
}

/// Assigns an array, which compiles to one store; `copy_from_slice` may stay a call to memmove.
#[inline]
fn put(out: &mut [u8], at: usize, piece: [u8; PIECE]) {
    if let Some(place) = out[at..].first_chunk_mut::<PIECE>() {
        *place = piece;
    }
}

#[inline]
fn piece_at(bytes: &[u8], at: usize) -> [u8; PIECE] {
    bytes[at..].first_chunk::<PIECE>().copied().unwrap_or_default()
}

/// Copies one part of a row to `out[end..]` and returns the new end.
#[inline]
fn append(part: &Part, row: usize, out: &mut [u8], end: usize) -> usize {
    match part {
        Part::Short(padded, len) => {
            put(out, end, *padded);
            end + len
        }
        Part::Long(bytes) => {
            out[end..end + bytes.len()].copy_from_slice(bytes);
            end + bytes.len()
        }
        Part::Array(array) => {
            let view = array.views()[row];
            let len = view as u32;
            if len <= MAX_INLINE_VIEW_LEN {
                put(out, end, (view >> 32).to_le_bytes());
                return end + len as usize;
            }
            let source = array.data_buffers()[(view >> 64) as u32 as usize].as_slice();
            append_long(source, (view >> 96) as usize, len as usize, out, end)
        }
    }
}

#[inline]
fn append_long(source: &[u8], from: usize, len: usize, out: &mut [u8], end: usize) -> usize {
    if len > 4 * PIECE || from + len + PIECE > source.len() {
        out[end..end + len].copy_from_slice(&source[from..from + len]);
        return end + len;
    }
    for done in (0..len).step_by(PIECE) {
        put(out, end + done, piece_at(source, from + done));
    }
    end + len
}

/// The view of `out[start..end]`, and where the next row goes: a short text is held by its view.
#[inline]
fn view(out: &[u8], start: usize, end: usize) -> (u128, usize) {
    let len = end - start;
    let head = u128::from_le_bytes(piece_at(out, start));
    if len <= MAX_INLINE_VIEW_LEN as usize {
        let bytes = head & ((1 << (8 * len)) - 1);
        (len as u128 | bytes << 32, start)
    } else {
        let prefix = head & u32::MAX as u128;
        (len as u128 | prefix << 32 | (start as u128) << 96, end)
    }
}

/// For batches of huge texts.
fn many_buffers(parts: &[Part], rows: usize, nulls: Option<NullBuffer>, report: &mut Report) -> ArrayRef {
    let mut texts = Texts::with_capacity(rows, BUFFER_MAX);
    let nulls = exclude(nulls.clone(), rows, |row| {
        let len: usize = parts.iter().map(|part| part.bytes(row).len()).sum();
        let fails = len > BYTES_MAX;
        if fails {
            report.note(row, || "||: the result is longer than 2 GiB".to_string());
        }
        fails
    });
    for row in 0..rows {
        if nulls.as_ref().is_some_and(|n| n.is_null(row)) {
            texts.skip();
        } else {
            parts.iter().for_each(|part| texts.buffer.extend_from_slice(part.bytes(row)));
            texts.commit();
        }
    }
    texts.strings(nulls)
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::Array;

    #[test]
    fn both_ways_of_building_agree() {
        let texts = ["", "a", "twelve bytes", "thirteen byte", "Woodhouse Lane Multi Storey Car Park", "é"];
        let left: Vec<Option<&str>> = (0..60).map(|i| (i % 7 != 0).then_some(texts[i % 6])).collect();
        let right: Vec<&str> = (0..60).map(|i| texts[i / 10]).collect();
        let long = "x".repeat(70);
        let columns = [
            Column::Array(Arc::new(StringViewArray::from(left.clone()))),
            Column::Const(Arc::new(StringViewArray::from(vec![" – "]))),
            Column::Array(Arc::new(StringViewArray::from(right.clone()))),
            Column::Const(Arc::new(StringViewArray::from(vec![long.as_str()]))),
        ];
        for used in 1..=columns.len() {
            let parts: Vec<Part> = columns[..used].iter().map(Part::of).collect();
            let nulls = NullBuffer::union_many(columns[..used].iter().map(own_nulls));
            let bytes = parts.iter().map(|p| p.total_bytes(60)).sum();
            let one = one_buffer(&parts, 60, bytes, nulls.clone());
            let many = many_buffers(&parts, 60, nulls, &mut Report::new(&mut Default::default()));
            one.to_data().validate_full().unwrap();
            many.to_data().validate_full().unwrap();
            for row in 0..60 {
                let pieces = [left[row], Some(" – "), Some(right[row]), Some(long.as_str())];
                let want: Option<String> = pieces[..used].iter().copied().collect();
                for array in [&one, &many] {
                    let got = array.as_string_view();
                    assert_eq!(got.is_valid(row).then(|| got.value(row)), want.as_deref());
                }
            }
        }
    }
}
