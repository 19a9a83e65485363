//! Bodies → cells. Fields may come in any order and more than once: of values the last counts, messages
//! are merged, and lists go on. So what a message is made of is closed when it ends.

use super::plan::*;
use crate::format::body::{Body, DEPTH_MAX, unzigzag};
use crate::format::codec::BodyReader;
use crate::format::fault::{Fault, Parsed};
use crate::format::parts::{Columns, Part};
use crate::format::typed::Made;
use crate::time::civil::{DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS, days_from_civil, days_in_month};

impl BodyReader for Message {
    fn read_body(&mut self, body: &mut Body<'_>, columns: &mut Columns) -> Parsed<()> {
        let row = columns.rows();
        let mut reading = Reading { body, made: &mut columns.made };
        self.begin(row);
        self.piece(&mut reading, &mut columns.parts)?;
        self.end(&mut reading, &mut columns.parts)
    }
}

struct Reading<'r, 'b> {
    body: &'r mut Body<'b>,
    made: &'r mut Made,
}

impl Message {
    /// Starts a message whose parts have `row` cells.
    fn begin(&mut self, row: usize) {
        self.serial += 1;
        self.row = row;
    }

    /// Reads fields to the body's end.
    fn piece(&mut self, reading: &mut Reading<'_, '_>, parts: &mut [Part]) -> Parsed<()> {
        let mut next = 0;
        while !reading.body.is_at_end() {
            let key = reading.body.varint()?;
            let field = match self.fields.get(next) {
                Some(field) if field.key == key => Some(next),
                _ => self.find(key),
            };
            match field {
                None => {
                    if let Some((_, oneof)) = self.rivals.iter().find(|(number, _)| *number == key >> 3) {
                        self.forget_others(*oneof, usize::MAX, parts);
                    }
                    skip(reading.body, key, 0)?;
                }
                Some(field) => {
                    self.value(reading, field, key, parts).map_err(|f| f.within(&self.fields[field].name))?;
                    next = if self.fields[field].is_repeated() { field } else { field + 1 };
                }
            }
        }
        Ok(())
    }

    #[inline(never)]
    fn find(&self, key: u64) -> Option<usize> {
        self.fields.binary_search_by_key(&(key >> 3), |field| field.key >> 3).ok()
    }

    /// Reads one value of a field; the bytes of another type are passed over, as those of unknown fields.
    #[inline(always)]
    fn value(
        &mut self,
        reading: &mut Reading<'_, '_>,
        index: usize,
        key: u64,
        parts: &mut [Part],
    ) -> Parsed<()> {
        if let Some(oneof) = self.fields[index].oneof
            && key == self.fields[index].key
        {
            self.forget_others(oneof, index, parts);
        }
        let field = &mut self.fields[index];
        let part = &mut parts[field.part];
        let again = std::mem::replace(&mut field.seen, self.serial) == self.serial;
        match &mut field.read {
            Read::Scalar(scalar) if key & 7 == scalar.wire() => {
                if again {
                    part.truncate(self.row);
                }
                scalar.read(reading, part)
            }
            Read::List { item, items } => {
                if !again {
                    *items = 0;
                }
                item.items(reading, key, part.item(), items)
            }
            Read::Map { entry, entries } if key & 7 == LENGTH_DELIMITED => {
                if !again {
                    *entries = 0;
                }
                *entries += 1;
                let parts = part.parts();
                entry.begin(parts[0].count());
                within(reading, |reading| entry.piece(reading, parts))?;
                entry.end(reading, parts)
            }
            Read::Message(_) | Read::Wrapper(_) | Read::Special(_) if key & 7 == LENGTH_DELIMITED => {
                if !again {
                    field.read.open(self.row);
                }
                within(reading, |reading| field.read.piece(reading, part))
            }
            _ => {
                if !again {
                    field.seen = 0;
                }
                skip(reading.body, key, 0)
            }
        }
    }

    /// Only the last of a group counts.
    #[inline(never)]
    fn forget_others(&mut self, oneof: usize, index: usize, parts: &mut [Part]) {
        let (serial, row) = (self.serial, self.row);
        let others = self
            .fields
            .iter_mut()
            .enumerate()
            .filter(|(i, field)| *i != index && field.oneof == Some(oneof) && field.seen == serial);
        for (_, field) in others {
            parts[field.part].truncate(row);
            field.seen = 0;
        }
    }

    /// Closes what is open, and fills in what is absent: each part has one more cell.
    fn end(&mut self, reading: &mut Reading<'_, '_>, parts: &mut [Part]) -> Parsed<()> {
        for field in &mut self.fields {
            let part = &mut parts[field.part];
            let closed = match &mut field.read {
                Read::Scalar(_) if field.seen == self.serial => continue,
                read if field.seen == self.serial => read.close(reading, part),
                _ => field.fill(reading, self.row, part),
            };
            closed.map_err(|fault| fault.within(&field.name))?;
        }
        for part in &self.missing {
            parts[*part].push_null();
        }
        Ok(())
    }
}

impl Field {
    fn is_repeated(&self) -> bool {
        matches!(self.read, Read::List { .. } | Read::Map { .. })
    }

    fn fill(&mut self, reading: &mut Reading<'_, '_>, row: usize, part: &mut Part) -> Parsed<()> {
        match &self.absent {
            Absent::Null => part.push_null(),
            Absent::Empty => {
                self.read.open(row);
                self.read.close(reading, part)?;
            }
            Absent::Integer(value) => match &self.read {
                Read::Scalar(Scalar::Symbol(symbols)) => {
                    part.push_made(symbols.of(*value as i32).as_bytes(), reading.made)?;
                }
                _ => part.push_integer(*value, 1)?,
            },
            Absent::Double(value) => part.push_double(*value)?,
            Absent::Bool(value) => part.push_boolean(*value)?,
            Absent::Bytes(bytes) => part.push_made(bytes, reading.made)?,
        }
        Ok(())
    }
}

impl Read {
    /// Starts a value that may arrive in pieces; `row`: how many cells there are before it.
    fn open(&mut self, row: usize) {
        match self {
            Read::Scalar(_) => {}
            Read::Message(message) | Read::Wrapper(message) => message.begin(row),
            Read::Special(special) => (special.numbers, special.digits) = ([0; 4], 0..0),
            Read::List { items, .. } => *items = 0,
            Read::Map { entries, .. } => *entries = 0,
        }
    }

    /// Reads a piece of a message to the body's end.
    fn piece(&mut self, reading: &mut Reading<'_, '_>, part: &mut Part) -> Parsed<()> {
        match self {
            Read::Message(message) => message.piece(reading, part.parts()),
            Read::Wrapper(message) => message.piece(reading, std::slice::from_mut(part)),
            Read::Special(special) => special.piece(reading.body),
            _ => unreachable!("what is no message has no pieces"),
        }
    }

    /// All pieces were read: the part has one more cell.
    fn close(&mut self, reading: &mut Reading<'_, '_>, part: &mut Part) -> Parsed<()> {
        match self {
            Read::Scalar(_) => {}
            Read::Message(message) => {
                message.end(reading, part.parts())?;
                part.close(0);
            }
            Read::Wrapper(message) => message.end(reading, std::slice::from_mut(part))?,
            Read::Special(special) => special.push(reading.body, part)?,
            Read::List { items, .. } => part.close(*items),
            Read::Map { entries, .. } => part.close(*entries),
        }
        Ok(())
    }

    /// Reads an item of a list, or many packed ones.
    fn items(
        &mut self,
        reading: &mut Reading<'_, '_>,
        key: u64,
        part: &mut Part,
        items: &mut usize,
    ) -> Parsed<()> {
        match self {
            Read::Scalar(scalar) if key & 7 == scalar.wire() => {
                *items += 1;
                scalar.read(reading, part)
            }
            Read::Scalar(scalar) if key & 7 == LENGTH_DELIMITED => within(reading, |reading| {
                while !reading.body.is_at_end() {
                    *items += 1;
                    scalar.read(reading, part)?;
                }
                Ok(())
            }),
            message if key & 7 == LENGTH_DELIMITED => {
                *items += 1;
                message.open(part.count());
                within(reading, |reading| message.piece(reading, part))?;
                message.close(reading, part)
            }
            _ => skip(reading.body, key, 0),
        }
    }
}

impl Scalar {
    #[inline(always)]
    fn read(&self, reading: &mut Reading<'_, '_>, part: &mut Part) -> Parsed<()> {
        let body = &mut *reading.body;
        match self {
            // Smaller numbers are written as larger ones are, and lose their upper bits.
            Scalar::Int32 => part.push_integer((body.varint()? as i32).into(), 1),
            Scalar::Int64 => part.push_integer(body.varint()? as i64, 1),
            Scalar::Uint32 => part.push_integer((body.varint()? as u32).into(), 1),
            Scalar::Sint32 => part.push_integer((unzigzag(body.varint()?) as i32).into(), 1),
            Scalar::Sint64 => part.push_integer(body.zigzag()?, 1),
            Scalar::Fixed32 => part.push_integer(u32::from_le_bytes(body.array()?).into(), 1),
            Scalar::Sfixed32 => part.push_integer(i32::from_le_bytes(body.array()?).into(), 1),
            Scalar::Fixed64 => part.push_integer(i64::from_le_bytes(body.array()?), 1),
            Scalar::Float => part.push_double(f32::from_le_bytes(body.array()?).into()),
            Scalar::Double => part.push_double(f64::from_le_bytes(body.array()?)),
            Scalar::Bool => part.push_boolean(body.varint()? != 0),
            Scalar::Bytes => {
                let len = body.varint()?;
                let range = body.take(len)?;
                part.push_bytes(body.field(&range), &range)
            }
            Scalar::Symbol(symbols) => {
                let number = body.varint()? as i32;
                part.push_made(symbols.of(number).as_bytes(), reading.made)
            }
        }
    }
}

impl Special {
    fn piece(&mut self, body: &mut Body<'_>) -> Parsed<()> {
        while !body.is_at_end() {
            let key = body.varint()?;
            match (key >> 3, key & 7) {
                (number @ 1..=4, VARINT) => self.numbers[number as usize - 1] = body.varint()? as i64,
                (1, LENGTH_DELIMITED) => {
                    let len = body.varint()?;
                    self.digits = body.take(len)?;
                }
                _ => skip(body, key, 0)?,
            }
        }
        Ok(())
    }

    fn push(&self, body: &Body<'_>, part: &mut Part) -> Parsed<()> {
        let [first, second, third, fourth] = self.numbers;
        let small = |number: i64| i64::from(number as i32);
        let value = match self.what {
            What::Decimal => return part.push_decimal(body.field(&self.digits).bytes(), third as i32),
            What::Timestamp => {
                let ms = small(second).div_euclid(1_000_000);
                first.checked_mul(SECOND_MS).and_then(|seconds| seconds.checked_add(ms))
            }
            What::Date => date(small(first), small(second), small(third)),
            What::TimeOfDay => time_of_day(small(first), small(second), small(third), small(fourth)),
        };
        let none = || Fault::new(format!("{:?} is no {}", self.numbers, part.ty));
        part.push_integer(value.ok_or_else(none)?, 1)
    }
}

fn date(year: i64, month: i64, day: i64) -> Option<i64> {
    let is_date = (1..=12).contains(&month) && (1..=days_in_month(year, month)).contains(&day);
    is_date.then(|| days_from_civil(year, month, day))
}

fn time_of_day(hours: i64, minutes: i64, seconds: i64, nanos: i64) -> Option<i64> {
    let ms = hours * HOUR_MS + minutes * MINUTE_MS + seconds * SECOND_MS + nanos / 1_000_000;
    let is_time =
        [hours, minutes, seconds, nanos].iter().all(|part| *part >= 0) && minutes < 60 && seconds < 60;
    (is_time && ms < DAY_MS).then_some(ms)
}

/// Runs `read` on a body of the length that stands at the cursor.
fn within(
    reading: &mut Reading<'_, '_>,
    read: impl FnOnce(&mut Reading<'_, '_>) -> Parsed<()>,
) -> Parsed<()> {
    let len = reading.body.varint()?;
    let inner = reading.body.take(len)?;
    let outer_end = std::mem::replace(&mut reading.body.end, inner.end);
    reading.body.at = inner.start;
    let done = read(reading);
    (reading.body.at, reading.body.end) = (inner.end, outer_end);
    done
}

/// Passes over the value behind a key.
#[inline(never)]
fn skip(body: &mut Body<'_>, key: u64, depth: usize) -> Parsed<()> {
    if !(1..1 << 29).contains(&(key >> 3)) {
        return Err(Fault::new(format!("{} is no number of a field", key >> 3)));
    }
    match key & 7 {
        VARINT => body.varint().map(drop),
        FIXED64 => body.take(8).map(drop),
        FIXED32 => body.take(4).map(drop),
        LENGTH_DELIMITED => {
            let len = body.varint()?;
            body.take(len).map(drop)
        }
        START_GROUP if depth < DEPTH_MAX => loop {
            let inner = body.varint()?;
            match inner & 7 {
                END_GROUP if inner >> 3 == key >> 3 => return Ok(()),
                _ => skip(body, inner, depth + 1)?,
            }
        },
        START_GROUP => Err(Fault::new(format!("the record nests more than {DEPTH_MAX} groups deep"))),
        END_GROUP => Err(Fault::new("a group ends that did not begin")),
        other => Err(Fault::new(format!("{other} is no type of a field's bytes"))),
    }
}
