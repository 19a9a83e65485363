//! Fields → one column, in a loop for each type. Fed by `split`.
//!
//! An empty field is NULL, whatever the type. A column that is not wanted goes through the same parsers
//! and keeps nothing, so that what is a bad record does not depend on who asks.

use super::split::{Span, Splitter};
use crate::batch::Column;
use crate::format::cells::{Blobs, Cells, Place, Scalars, view};
use crate::format::decode::{Rejects, unfit};
use crate::format::field::Field;
use crate::format::{base64, numbers, times};
use crate::types::{ColumnDef, SqlType};
use arrow_buffer::Buffer;
use arrow_schema::DataType;

/// Split messages: message `first + i` is row `i`.
pub struct Chunk<'a> {
    pub first: usize,
    pub rows: usize,
    pub messages: &'a [u8],
    pub fields: &'a Splitter,
}

impl<'a> Chunk<'a> {
    fn bytes(&self, row: usize, column: usize) -> &'a [u8] {
        self.fields.field(self.messages, self.fields.span(row, column)).0.bytes()
    }

    #[inline(always)]
    fn column(&self, column: usize) -> impl Iterator<Item = Span> {
        self.fields.rows(self.rows).map(move |row| row[column])
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
            Scalars::Int(cells) => read(cells, wanted, chunk, column, unread, numbers::int),
            Scalars::Bigint(cells) => read(cells, wanted, chunk, column, unread, numbers::bigint),
            Scalars::Double(cells) => read(cells, wanted, chunk, column, unread, numbers::double),
            Scalars::Boolean(cells) => {
                read(cells, wanted, chunk, column, unread, |f| numbers::boolean(f.bytes()))
            }
            Scalars::Date(cells) => read(cells, wanted, chunk, column, unread, |f| times::date(f.bytes())),
            Scalars::Time(cells) => read(cells, wanted, chunk, column, unread, |f| times::time(f.bytes())),
            Scalars::Timestamp(cells) => {
                read(cells, wanted, chunk, column, unread, |f| times::timestamp(f.bytes()))
            }
            Scalars::Decimal { cells, precision, scale } => {
                let (p, s) = (*precision, *scale);
                read(cells, wanted, chunk, column, unread, |f| numbers::decimal(f.bytes(), p, s))
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

#[inline(always)]
fn read<T: Default>(
    cells: &mut Cells<T>,
    wanted: bool,
    chunk: &Chunk<'_>,
    column: usize,
    unread: &mut Vec<usize>,
    parse: impl Fn(Field<'_>) -> Option<T>,
) {
    let (messages, fields) = (chunk.messages, chunk.fields);
    let spans = chunk.column(column);
    if wanted {
        cells.values.extend(spans.enumerate().map(|(row, span)| {
            parse(fields.field(messages, span).0).unwrap_or_else(|| {
                unread.push(row);
                T::default()
            })
        }));
    } else {
        for (row, span) in spans.enumerate() {
            if parse(fields.field(messages, span).0).is_none() {
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
    let (messages, fields) = (chunk.messages, chunk.fields);
    if wanted {
        cells.values.extend(chunk.column(column).enumerate().map(|(row, span)| {
            let (text, start, unescaped) = fields.field(messages, span);
            if text.is_empty() {
                unread.push(row);
            }
            view(text, if unescaped { Place::Unescaped(start) } else { Place::Messages(start) })
        }));
    }
    // Rows were checked as a whole; only in the few that failed each field is checked for itself.
    for &row in fields.doubtful() {
        if std::str::from_utf8(chunk.bytes(row, column)).is_err() {
            unread.push(row);
            if wanted {
                cells.values[chunk.first + row] = 0;
            }
        }
    }
}

fn read_blobs(blobs: &mut Blobs, wanted: bool, chunk: &Chunk<'_>, column: usize, unread: &mut Vec<usize>) {
    for (row, span) in chunk.column(column).enumerate() {
        let text = chunk.fields.field(chunk.messages, span).0;
        let bytes = if text.is_empty() { None } else { base64::read(text.bytes()) };
        if bytes.is_none() {
            unread.push(row);
        }
        if wanted {
            blobs.push(bytes.as_deref().unwrap_or_default());
        }
    }
}
