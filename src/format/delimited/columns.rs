//! Fields → one column, in a loop for each type. Fed by `split`.
//!
//! An empty field is NULL, whatever the type. A column that is not wanted goes through the same parsers
//! and keeps nothing, so that what is a bad record does not depend on who asks.

use super::split::Splitter;
use crate::batch::Column;
use crate::format::cells::{Blobs, Cells, Place, Scalars, view};
use crate::format::decode::{Rejects, unfit};
use crate::format::field::Field;
use crate::format::{numbers, times};
use crate::types::{ColumnDef, SqlType};
use arrow_buffer::Buffer;
use arrow_schema::DataType;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// Split messages: message `first + i` is row `i`.
pub struct Chunk<'a> {
    pub first: usize,
    pub rows: usize,
    pub messages: &'a [u8],
    pub fields: &'a Splitter,
}

impl<'a> Chunk<'a> {
    fn bytes(&self, row: usize, column: usize) -> &'a [u8] {
        self.field(row, column).0.bytes()
    }

    /// The field of a row, and where it starts.
    #[inline(always)]
    fn field(&self, row: usize, column: usize) -> (Field<'a>, Place) {
        self.fields.field(self.messages, row, column)
    }
}

/// Reads one column.
pub struct Reader {
    name: String,
    ty: SqlType,
    arrow: DataType,
    cells: Scalars,
    wanted: bool,
    /// Rows of the chunk whose field is empty or cannot be read.
    unread: Vec<usize>,
}

impl Reader {
    /// `None` for a type that has no text.
    pub fn of(column: &ColumnDef) -> Option<Reader> {
        Some(Reader {
            name: column.name.clone(),
            ty: column.ty.clone(),
            arrow: column.ty.arrow(),
            cells: Scalars::of(&column.ty)?,
            wanted: true,
            unread: vec![],
        })
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn start_batch(&mut self, wanted: bool, messages: usize) {
        self.wanted = wanted;
        if wanted {
            self.cells.reserve(messages);
        }
    }

    pub fn finish(&mut self, messages: &Buffer, unescaped: &Buffer) -> Column {
        if !self.wanted {
            return Column::Absent;
        }
        Column::Array(self.cells.finish(&self.arrow, messages, unescaped))
    }

    /// Appends one cell for each row of the chunk.
    pub fn read(&mut self, chunk: &Chunk<'_>, column: usize, rejects: &mut Rejects) {
        let (wanted, unread) = (self.wanted, &mut self.unread);
        match &mut self.cells {
            Scalars::Int(cells) => read(cells, wanted, chunk, column, unread, Int),
            Scalars::Bigint(cells) => read(cells, wanted, chunk, column, unread, Bigint),
            Scalars::Double(cells) => read(cells, wanted, chunk, column, unread, Double),
            Scalars::Boolean(cells) => read(cells, wanted, chunk, column, unread, numbers::boolean),
            Scalars::Date(cells) => read(cells, wanted, chunk, column, unread, times::date),
            Scalars::Time(cells) => read(cells, wanted, chunk, column, unread, times::time),
            Scalars::Timestamp(cells) => read(cells, wanted, chunk, column, unread, times::timestamp),
            Scalars::Decimal { cells, precision, scale } => {
                let (p, s) = (*precision, *scale);
                read(cells, wanted, chunk, column, unread, |text: &[u8]| numbers::decimal(text, p, s))
            }
            Scalars::Varchar(texts) => read_texts(&mut texts.cells, wanted, chunk, column, unread),
            Scalars::Bytes(blobs) => read_blobs(blobs, wanted, chunk, column, unread),
        }
        self.settle(chunk, column, rejects);
    }

    /// Decides what the unread fields are: NULLs or faults.
    fn settle(&mut self, chunk: &Chunk<'_>, column: usize, rejects: &mut Rejects) {
        for row in std::mem::take(&mut self.unread) {
            let (message, text) = (chunk.first + row, chunk.bytes(row, column));
            if !text.is_empty() {
                rejects.add(message, Some(&self.name), || unfit(&self.name, &self.ty, text));
            } else if self.wanted {
                self.cells.mark_null(message);
            }
        }
    }
}

/// How the fields of a type are read. Traits, unlike closures, can insist on being inlined; a call
/// for each field would take as long as reading it.
trait Parse<T> {
    fn parse(&self, field: Field<'_>) -> Option<T>;

    /// Whether there would be a value.
    #[inline(always)]
    fn check(&self, field: Field<'_>) -> bool {
        self.parse(field).is_some()
    }
}

struct Int;
struct Bigint;
struct Double;

impl Parse<i32> for Int {
    #[inline(always)]
    fn parse(&self, field: Field<'_>) -> Option<i32> {
        numbers::int(field)
    }
}

impl Parse<i64> for Bigint {
    #[inline(always)]
    fn parse(&self, field: Field<'_>) -> Option<i64> {
        numbers::bigint(field)
    }
}

impl Parse<f64> for Double {
    #[inline(always)]
    fn parse(&self, field: Field<'_>) -> Option<f64> {
        numbers::double(field)
    }

    #[inline(always)]
    fn check(&self, field: Field<'_>) -> bool {
        numbers::is_double(field)
    }
}

impl<T, F: Fn(&[u8]) -> Option<T>> Parse<T> for F {
    fn parse(&self, field: Field<'_>) -> Option<T> {
        self(field.bytes())
    }
}

#[inline(always)]
fn read<T: Copy + Default>(
    cells: &mut Cells<T>,
    wanted: bool,
    chunk: &Chunk<'_>,
    column: usize,
    unread: &mut Vec<usize>,
    reader: impl Parse<T>,
) {
    if wanted {
        for (row, cell) in cells.push_defaults(chunk.rows).iter_mut().enumerate() {
            match reader.parse(chunk.field(row, column).0) {
                Some(value) => *cell = value,
                None => unread.push(row),
            }
        }
    } else {
        for row in 0..chunk.rows {
            if !reader.check(chunk.field(row, column).0) {
                unread.push(row);
            }
        }
    }
}

fn read_texts(
    cells: &mut Cells<u128>,
    wanted: bool,
    chunk: &Chunk<'_>,
    column: usize,
    unread: &mut Vec<usize>,
) {
    if wanted {
        for (row, cell) in cells.push_defaults(chunk.rows).iter_mut().enumerate() {
            let (text, place) = chunk.field(row, column);
            *cell = view(text, place);
            if text.is_empty() {
                unread.push(row);
            }
        }
    }
    // Rows were checked as a whole; only in the few that failed each field is checked for itself.
    for &row in chunk.fields.doubtful() {
        if std::str::from_utf8(chunk.bytes(row, column)).is_err() {
            unread.push(row);
            if wanted {
                cells.values[chunk.first + row] = 0;
            }
        }
    }
}

fn read_blobs(blobs: &mut Blobs, wanted: bool, chunk: &Chunk<'_>, column: usize, unread: &mut Vec<usize>) {
    for row in 0..chunk.rows {
        let text = chunk.field(row, column).0;
        let bytes = if text.is_empty() { None } else { STANDARD.decode(text.bytes()).ok() };
        if bytes.is_none() {
            unread.push(row);
        }
        if wanted {
            blobs.push(bytes.as_deref().unwrap_or_default());
        }
    }
}
