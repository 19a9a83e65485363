//! Messages → fields. Reads commas and quotes, knows no types; feeds `columns`.

use crate::batch::Range32;
use crate::dialect::Dialect;
use crate::format::cells::Place;
use crate::format::decode::shown;
use crate::format::field::Field;
use crate::format::scan::Stops;
use arrow_buffer::Buffer;

/// Stands for no quote at all: no text has this byte.
const NO_QUOTE: u8 = 0xff;
/// Rows of a chunk: their bytes and fields together stay within the first-level cache.
const ROWS_MAX: usize = 256;
const FIELDS_MAX: usize = 4096;

/// Set in the start of a span that lies among the unescaped texts; buffers are at most 1 GiB.
const UNESCAPED: u32 = 1 << 31;

/// Where the content of a field lies, without its quotes.
#[derive(Clone, Copy, Default)]
struct Span {
    start: u32,
    end: u32,
}

/// The fields of a chunk of messages.
pub struct Splitter {
    delimiter: u8,
    quote: u8,
    /// A field that is this, and not quoted, counts as empty.
    null: Option<Vec<u8>>,
    width: usize,
    rows_max: usize,
    /// Row after row, `width` spans each.
    spans: Vec<Span>,
    /// Contents of fields that had doubled quotes, of all chunks of a batch.
    unescaped: Vec<u8>,
    /// Rows of the chunk that are not UTF-8 as a whole, ascending.
    doubtful: Vec<usize>,
    stops: Stops,
    /// Whether `stops` are those of the whole chunk, or still to be found for each message.
    scanned: bool,
    /// The first delimiter and the first quote that are not behind us.
    delimiter_next: usize,
    quote_next: usize,
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

    /// `width`: how many fields there should be; `named`: a line of the file says so.
    pub fn reason(&self, width: usize, named: bool, column: Option<&str>) -> String {
        let place = |field: &usize| match column {
            Some(name) => format!("column {name}"),
            None => format!("field {}", field + 1),
        };
        match self {
            Fault::Count(found) => {
                let noun = if width == 1 { "column" } else { "columns" };
                let said = if named { "named in the first line" } else { "declared" };
                format!("{width} {noun} {said}, the record has {found}")
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
    pub fn new(delimiter: u8, width: usize, dialect: &Dialect) -> Splitter {
        let rows_max = (FIELDS_MAX / width.max(1)).clamp(16, ROWS_MAX);
        Splitter {
            delimiter,
            quote: dialect.quote.unwrap_or(NO_QUOTE),
            null: dialect.null.as_ref().map(|null| null.clone().into_bytes()),
            width,
            rows_max,
            spans: vec![Span::default(); rows_max * width],
            unescaped: vec![],
            doubtful: vec![],
            stops: Stops::default(),
            scanned: false,
            delimiter_next: 0,
            quote_next: 0,
        }
    }

    /// How many fields a message has.
    pub fn width(&self) -> usize {
        self.width
    }

    /// How many messages make a chunk.
    pub fn rows_max(&self) -> usize {
        self.rows_max
    }

    pub fn start_batch(&mut self) {
        self.unescaped.clear();
    }

    /// Looks for separators, once for all messages of the chunk if they lie one behind the other.
    pub fn start_chunk(&mut self, buffer: &[u8], ranges: &[Range32]) {
        self.doubtful.clear();
        let (mut start, mut end, mut bytes) = (u32::MAX, 0, 0);
        let mut ascending = true;
        for range in ranges.iter().filter(|range| **range != Range32::NULL) {
            ascending &= end <= range.start;
            start = start.min(range.start);
            end = range.end;
            bytes += (range.end - range.start) as usize;
        }
        // Much between the messages would be scanned in vain.
        self.scanned = ascending && start <= end && (end - start) as usize <= 2 * bytes + ranges.len();
        if self.scanned {
            self.scan(buffer, start as usize, end as usize);
        }
    }

    fn scan(&mut self, buffer: &[u8], start: usize, end: usize) {
        self.stops.scan(buffer, start, end, self.delimiter, self.quote);
        (self.delimiter_next, self.quote_next) = (0, 0);
    }

    /// The texts that fields of the whole batch point into.
    pub fn take_unescaped(&mut self) -> Buffer {
        Buffer::from(std::mem::take(&mut self.unescaped))
    }

    pub fn doubtful(&self) -> &[usize] {
        &self.doubtful
    }

    /// A field of the chunk, and where it starts.
    #[inline(always)]
    pub fn field<'a>(&'a self, messages: &'a [u8], row: usize, column: usize) -> (Field<'a>, Place) {
        let span = self.spans[row * self.width + column];
        if span.start & UNESCAPED == 0 {
            let start = span.start as usize;
            (Field::within(messages, start, span.end as usize), Place::Messages(start))
        } else {
            let start = (span.start & !UNESCAPED) as usize;
            (Field::within(&self.unescaped, start, span.end as usize), Place::Unescaped(start))
        }
    }

    /// Gives a row empty fields: it has none, or they are not to be looked at.
    pub fn no_fields(&mut self, row: usize) {
        self.spans[row * self.width..][..self.width].fill(Span::default());
    }

    /// Splits the next message of the chunk.
    #[inline(always)]
    pub fn split(&mut self, buffer: &[u8], range: Range32, row: usize) -> Result<(), Fault> {
        if !self.scanned {
            self.scan(buffer, range.start as usize, range.end as usize);
        }
        let end = without_line_end(buffer, range);
        // Delimiters between this message and the one before it.
        while self.stops.delimiters()[self.delimiter_next] < range.start {
            self.delimiter_next += 1;
        }
        let quoted = self.stops.quotes()[self.quote_next] < end;
        if !quoted && self.stops.ascii && self.split_plain(range.start, end, row) {
            self.take_nulls(buffer, range.start, row);
            return Ok(());
        }
        self.split_rare(buffer, range.start, end, row)?;
        self.take_nulls(buffer, range.start, row);
        Ok(())
    }

    /// Empties the fields that are the word for NULL.
    #[inline(always)]
    fn take_nulls(&mut self, buffer: &[u8], start: u32, row: usize) {
        let Some(null) = &self.null else { return };
        for span in &mut self.spans[row * self.width..][..self.width] {
            // What is quoted lies behind a quote, or among the unescaped texts.
            let quoted = |at: u32| at & UNESCAPED != 0 || at > start && buffer[at as usize - 1] == self.quote;
            if !quoted(span.start) && buffer[span.start as usize..span.end as usize] == **null {
                span.end = span.start;
            }
        }
    }

    /// Splits a message without quotes, if it has as many fields as there should be.
    #[inline(always)]
    fn split_plain(&mut self, start: u32, end: u32, row: usize) -> bool {
        let (first, inner) = (self.delimiter_next, self.width - 1);
        let delimiters = self.stops.delimiters();
        // The last delimiter must lie in the message, the next one behind it.
        if first + inner >= delimiters.len()
            || delimiters[first + inner] < end
            || inner > 0 && delimiters[first + inner - 1] >= end
        {
            return false;
        }
        let delimiters = &delimiters[first..first + inner];
        let spans = &mut self.spans[row * self.width..][..inner + 1];
        let mut field_start = start;
        for i in 0..inner {
            spans[i] = Span { start: field_start, end: delimiters[i] };
            field_start = delimiters[i] + 1;
        }
        spans[inner] = Span { start: field_start, end };
        self.delimiter_next = first + inner;
        true
    }

    /// What is not the usual: quotes, text beyond ASCII, a wrong number of fields.
    #[inline(never)]
    fn split_rare(&mut self, buffer: &[u8], start: u32, end: u32, row: usize) -> Result<(), Fault> {
        while self.stops.quotes()[self.quote_next] < start {
            self.quote_next += 1;
        }
        // Only a lone column can be told from no column at all when there are no bytes.
        let fields =
            if start == end && self.width != 1 { 0 } else { self.split_quoted(buffer, start, end, row)? };
        if fields != self.width {
            return Err(Fault::Count(fields));
        }
        if !self.stops.ascii && std::str::from_utf8(&buffer[start as usize..end as usize]).is_err() {
            self.doubtful.push(row);
        }
        Ok(())
    }

    fn split_quoted(&mut self, buffer: &[u8], start: u32, end: u32, row: usize) -> Result<usize, Fault> {
        let (mut at, mut fields) = (start, 0);
        loop {
            let (span, stop) = if at < end && self.next_quote(at) == at {
                self.quoted_field(buffer, at, end, fields)?
            } else {
                let stop = self.next_delimiter(at).min(end);
                (Span { start: at, end: stop }, stop)
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

    fn next_delimiter(&mut self, at: u32) -> u32 {
        next(self.stops.delimiters(), &mut self.delimiter_next, at)
    }

    fn next_quote(&mut self, at: u32) -> u32 {
        next(self.stops.quotes(), &mut self.quote_next, at)
    }

    /// The field whose opening quote is at `open`, and where the delimiter or the end follows it.
    fn quoted_field(
        &mut self,
        buffer: &[u8],
        open: u32,
        end: u32,
        field: usize,
    ) -> Result<(Span, u32), Fault> {
        // Enough to be shown.
        let text = || buffer[open as usize..end.min(open + 1000) as usize].to_vec();
        let kept = self.unescaped.len();
        let mut start = open + 1;
        loop {
            let quote = self.next_quote(start);
            if quote >= end {
                return Err(Fault::Open { field, text: text() });
            }
            let content = &buffer[start as usize..quote as usize];
            let behind = quote + 1;
            if behind < end && self.next_quote(behind) == behind {
                self.unescaped.extend_from_slice(content);
                self.unescaped.push(self.quote);
                start = behind + 1;
                continue;
            }
            if behind < end && self.next_delimiter(behind) != behind {
                return Err(Fault::AfterQuote { field, text: text() });
            }
            let span = if self.unescaped.len() == kept {
                Span { start, end: quote }
            } else {
                self.unescaped.extend_from_slice(content);
                Span { start: kept as u32 | UNESCAPED, end: self.unescaped.len() as u32 }
            };
            return Ok((span, behind));
        }
    }
}

/// The first of ascending positions that is not before `at`; all before `index` are.
#[inline(always)]
fn next(positions: &[u32], index: &mut usize, at: u32) -> u32 {
    while positions[*index] < at {
        *index += 1;
    }
    positions[*index]
}

/// The end of a message without the line's end, if a framing left it there.
#[inline(always)]
fn without_line_end(buffer: &[u8], range: Range32) -> u32 {
    let mut end = range.end as usize;
    let ends_with = |end: usize, byte| end > range.start as usize && buffer[end - 1] == byte;
    end -= usize::from(ends_with(end, b'\n'));
    end -= usize::from(ends_with(end, b'\r'));
    end as u32
}
