//! Messages → fields. Reads commas and quotes, knows no types; feeds `columns`.

use crate::batch::Range32;
use crate::format::decode::shown;
use crate::format::field::Field;
use crate::format::scan::Block;
use arrow_buffer::Buffer;
use memchr::memchr;

const QUOTE: u8 = b'"';
/// Rows of a chunk: their bytes and fields together stay within the first-level cache.
const ROWS_MAX: usize = 256;
const FIELDS_MAX: usize = 4096;

/// Set in the start of a span that lies among the unescaped texts; buffers are at most 1 GiB.
const UNESCAPED: u32 = 1 << 31;

/// Where the content of a field lies, without its quotes.
#[derive(Clone, Copy, Default)]
pub struct Span {
    start: u32,
    end: u32,
}

/// The fields of a chunk of messages.
pub struct Splitter {
    delimiter: u8,
    width: usize,
    rows_max: usize,
    /// Row after row, `width` spans each.
    spans: Vec<Span>,
    /// Contents of fields that had doubled quotes, of all chunks of a batch.
    unescaped: Vec<u8>,
    /// Rows of the chunk that are not UTF-8 as a whole, ascending.
    doubtful: Vec<usize>,
}

/// Why a message could not be split; `field` counts from 0.
#[derive(Clone, Debug, PartialEq)]
pub enum Fault {
    Count(usize),
    Open { field: usize, text: Vec<u8> },
    AfterQuote { field: usize, text: Vec<u8> },
}

impl Fault {
    pub fn column(&self) -> Option<usize> {
        match self {
            Fault::Count(_) => None,
            Fault::Open { field, .. } | Fault::AfterQuote { field, .. } => Some(*field),
        }
    }

    pub fn reason(&self, declared: usize, column: Option<&str>) -> String {
        let place = |field: &usize| match column {
            Some(name) => format!("column {name}"),
            None => format!("field {}", field + 1),
        };
        match self {
            Fault::Count(found) => {
                let noun = if declared == 1 { "column" } else { "columns" };
                format!("{declared} {noun} declared, the record has {found}")
            }
            Fault::Open { field, text } => {
                format!("{}: the quote is never closed: {}", place(field), shown(text))
            }
            Fault::AfterQuote { field, text } => {
                format!("{}: text follows the closing quote: {}", place(field), shown(text))
            }
        }
    }
}

impl Splitter {
    pub fn new(delimiter: u8, width: usize) -> Splitter {
        let rows_max = (FIELDS_MAX / width.max(1)).clamp(16, ROWS_MAX);
        Splitter {
            delimiter,
            width,
            rows_max,
            spans: vec![Span::default(); rows_max * width],
            unescaped: vec![],
            doubtful: vec![],
        }
    }

    /// How many messages make a chunk.
    pub fn rows_max(&self) -> usize {
        self.rows_max
    }

    pub fn start_batch(&mut self) {
        self.unescaped.clear();
    }

    pub fn start_chunk(&mut self) {
        self.doubtful.clear();
    }

    /// The texts that fields of the whole batch point into.
    pub fn take_unescaped(&mut self) -> Buffer {
        Buffer::from(std::mem::take(&mut self.unescaped))
    }

    pub fn doubtful(&self) -> &[usize] {
        &self.doubtful
    }

    /// The spans of the first `rows` rows, one slice a row.
    #[inline(always)]
    pub fn rows(&self, rows: usize) -> std::slice::ChunksExact<'_, Span> {
        self.spans[..rows * self.width].chunks_exact(self.width)
    }

    pub fn span(&self, row: usize, column: usize) -> Span {
        self.spans[row * self.width + column]
    }

    /// The field of a span, and where it starts: in the messages, or among the unescaped texts (`true`).
    #[inline(always)]
    pub fn field<'a>(&'a self, messages: &'a [u8], span: Span) -> (Field<'a>, usize, bool) {
        if span.start & UNESCAPED == 0 {
            let start = span.start as usize;
            (Field::within(messages, start, span.end as usize), start, false)
        } else {
            let start = (span.start & !UNESCAPED) as usize;
            (Field::within(&self.unescaped, start, span.end as usize), start, true)
        }
    }

    /// Gives a row empty fields: it has none, or they are not to be looked at.
    pub fn no_fields(&mut self, row: usize) {
        self.spans[row * self.width..][..self.width].fill(Span::default());
    }

    #[inline(always)]
    pub fn split(&mut self, buffer: &[u8], range: Range32, row: usize) -> Result<(), Fault> {
        let (start, end) = (range.start as usize, without_line_end(buffer, range));
        match self.split_plain(buffer, start, end, row) {
            Some((fields, true)) if fields == self.width => Ok(()),
            plain => self.split_rare(buffer, start, end, row, plain),
        }
    }

    /// Splits a message without quotes: how many fields it has and whether it is ASCII.
    /// `None` at the first quote.
    #[inline(always)]
    fn split_plain(&mut self, buffer: &[u8], start: usize, end: usize, row: usize) -> Option<(usize, bool)> {
        let spans = &mut self.spans[row * self.width..][..self.width];
        let (mut field_start, mut fields, mut not_ascii) = (start, 0, 0);
        let mut at = start;
        while at < end {
            let block = Block::load(buffer, at);
            let inside = if end - at < 16 { (1 << (end - at)) - 1 } else { 0xffff };
            if block.equal(QUOTE) & inside != 0 {
                return None;
            }
            not_ascii |= block.not_ascii() & inside;
            let mut stops = block.equal(self.delimiter) & inside;
            while stops != 0 {
                let stop = at + stops.trailing_zeros() as usize;
                if let Some(span) = spans.get_mut(fields) {
                    *span = Span { start: field_start as u32, end: stop as u32 };
                }
                fields += 1;
                field_start = stop + 1;
                stops &= stops - 1;
            }
            at += 16;
        }
        if let Some(span) = spans.get_mut(fields) {
            *span = Span { start: field_start as u32, end: end as u32 };
        }
        Some((fields + 1, not_ascii == 0))
    }

    /// What is not the usual: quotes, text beyond ASCII, a wrong number of fields.
    #[inline(never)]
    fn split_rare(
        &mut self,
        buffer: &[u8],
        start: usize,
        end: usize,
        row: usize,
        plain: Option<(usize, bool)>,
    ) -> Result<(), Fault> {
        let fields = match plain {
            Some((fields, _)) => fields,
            None => self.split_quoted(buffer, start, end, row)?,
        };
        // Only a lone column can be told from no column at all when there are no bytes.
        let fields = if start == end && self.width != 1 { 0 } else { fields };
        if fields != self.width {
            return Err(Fault::Count(fields));
        }
        if std::str::from_utf8(&buffer[start..end]).is_err() {
            self.doubtful.push(row);
        }
        Ok(())
    }

    fn split_quoted(&mut self, buffer: &[u8], start: usize, end: usize, row: usize) -> Result<usize, Fault> {
        let (mut at, mut fields) = (start, 0);
        loop {
            let (span, stop) = if at < end && buffer[at] == QUOTE {
                self.quoted_field(buffer, at, end, fields)?
            } else {
                let stop = memchr(self.delimiter, &buffer[at..end]).map_or(end, |n| at + n);
                (Span { start: at as u32, end: stop as u32 }, stop)
            };
            if fields < self.width {
                self.spans[row * self.width + fields] = span;
            }
            fields += 1;
            if stop == end {
                return Ok(fields);
            }
            at = stop + 1;
        }
    }

    /// The field whose opening quote is at `open`, and where the delimiter or the end follows it.
    fn quoted_field(
        &mut self,
        buffer: &[u8],
        open: usize,
        end: usize,
        field: usize,
    ) -> Result<(Span, usize), Fault> {
        let text = || buffer[open..end].to_vec();
        let kept = self.unescaped.len();
        let mut start = open + 1;
        loop {
            let Some(n) = memchr(QUOTE, &buffer[start..end]) else {
                return Err(Fault::Open { field, text: text() });
            };
            let quote = start + n;
            if quote + 1 < end && buffer[quote + 1] == QUOTE {
                self.unescaped.extend_from_slice(&buffer[start..=quote]);
                start = quote + 2;
                continue;
            }
            if quote + 1 < end && buffer[quote + 1] != self.delimiter {
                return Err(Fault::AfterQuote { field, text: text() });
            }
            let span = if self.unescaped.len() == kept {
                Span { start: start as u32, end: quote as u32 }
            } else {
                self.unescaped.extend_from_slice(&buffer[start..quote]);
                Span { start: kept as u32 | UNESCAPED, end: self.unescaped.len() as u32 }
            };
            return Ok((span, quote + 1));
        }
    }
}

/// The end of a message without the line's end, if a framing left it there.
#[inline(always)]
fn without_line_end(buffer: &[u8], range: Range32) -> usize {
    let (start, mut end) = (range.start as usize, range.end as usize);
    if end > start && buffer[end - 1] == b'\n' {
        end -= 1;
    }
    if end > start && buffer[end - 1] == b'\r' {
        end -= 1;
    }
    end
}
