//! `||`, and `+` on STRING: a whole chain in one node, straight into one buffer.

use super::node::{Child, Frame, Node, column, exclude, is_null, own_nulls, parts};
use super::texts::Texts;
use crate::batch::Column;
use arrow_array::StringViewArray;
use arrow_array::cast::AsArray;
use arrow_buffer::NullBuffer;
use arrow_schema::DataType;

/// As in Java, no text has more bytes than this.
const BYTES_MAX: usize = i32::MAX as usize;

pub(crate) struct Concat {
    /// In order; a NULL part makes the whole NULL.
    pub parts: Vec<Child>,
}

/// One part, resolved for a batch.
enum Part<'a> {
    Const(&'a [u8]),
    Array(&'a StringViewArray),
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
        let pieces: Vec<Part> = columns.iter().map(piece).collect();

        let mut texts = Texts::with_capacity(rows, total_bytes(&pieces, rows));
        let mut too_long = Vec::new();
        for row in 0..rows {
            if nulls.as_ref().is_some_and(|n| n.is_null(row)) {
                texts.skip();
            } else if append(&pieces, row, &mut texts.buffer) {
                texts.commit();
            } else {
                texts.skip();
                too_long.push(row);
            }
        }
        let nulls = if too_long.is_empty() {
            nulls
        } else {
            let mut report = frame.report(constant);
            exclude(nulls, rows, |row| {
                let fails = too_long.binary_search(&row).is_ok();
                if fails {
                    report.note(row, || "||: the result is longer than 2 GiB".to_string());
                }
                fails
            })
        };
        column(texts.strings(nulls), constant)
    }
}

fn piece(column: &Column) -> Part<'_> {
    let (array, constant) = parts(column);
    let array = array.as_string_view();
    if constant { Part::Const(array.value(0).as_bytes()) } else { Part::Array(array) }
}

/// The bytes of all rows; views hold their lengths, so this is one cheap pass.
fn total_bytes(pieces: &[Part], rows: usize) -> usize {
    let of = |piece: &Part| match piece {
        Part::Const(bytes) => bytes.len() * rows,
        Part::Array(array) => array.views().iter().map(|view| *view as u32 as usize).sum(),
    };
    pieces.iter().map(of).sum()
}

/// Appends one row's text. False when it is too long; what was written is then to be dropped.
#[inline]
fn append(pieces: &[Part], row: usize, out: &mut Vec<u8>) -> bool {
    let start = out.len();
    for piece in pieces {
        match piece {
            Part::Const(bytes) => out.extend_from_slice(bytes),
            Part::Array(array) => out.extend_from_slice(array.value(row).as_bytes()),
        }
        if out.len() - start > BYTES_MAX {
            return false;
        }
    }
    true
}
