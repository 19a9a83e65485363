//! Bodies → cells, as the plan says.

use super::plan::{Length, Missing, Plan, Read, Record, Root, Step, Written};
use super::skip::{Skips, block, branch, length as written_length};
use crate::format::body::Body;
use crate::format::codec::BodyReader;
use crate::format::fault::{Fault, Parsed};
use crate::format::parts::{Columns, Part};
use crate::format::typed::Made;
use std::ops::Range;

impl BodyReader for Plan {
    fn read_body(&mut self, body: &mut Body<'_>, columns: &mut Columns) -> Parsed<()> {
        let mut reading = Reading { body, skips: &self.skips, made: &mut columns.made };
        match &self.root {
            Root::Record(record) => reading.record(record, &mut columns.parts),
            Root::Bare { name, read } => {
                reading.value(read, &mut columns.parts[0]).map_err(|fault| fault.within(name))
            }
        }
    }
}

struct Reading<'r, 'b> {
    body: &'r mut Body<'b>,
    skips: &'r Skips,
    made: &'r mut Made,
}

impl Reading<'_, '_> {
    fn record(&mut self, record: &Record, parts: &mut [Part]) -> Parsed<()> {
        for step in &record.steps {
            match step {
                Step::Read { field, name, read } => {
                    if let Err(fault) = self.value(read, &mut parts[*field]) {
                        return Err(fault.within(name));
                    }
                }
                Step::Skip(skip) => self.skips.skip(skip, self.body)?,
            }
        }
        for Missing { field, default } in &record.missing {
            let Some(default) = default else {
                parts[*field].push_null();
                continue;
            };
            let mut body = Body::new(&default.bytes, 0..default.bytes.len());
            let mut reading = Reading { body: &mut body, skips: &default.skips, made: self.made };
            reading.value(&default.read, &mut parts[*field])?;
        }
        Ok(())
    }

    #[inline(always)]
    fn value(&mut self, mut read: &Read, part: &mut Part) -> Parsed<()> {
        // No union holds another.
        if let Read::Union(branches) = read {
            read = branch(self.body, branches)?;
        }
        self.scalar(read, part)
    }

    #[inline(never)]
    fn nested(&mut self, read: &Read, part: &mut Part) -> Parsed<()> {
        match read {
            Read::Null => {
                part.push_null();
                Ok(())
            }
            Read::Struct(record) => {
                self.record(record, part.parts())?;
                part.close(0);
                Ok(())
            }
            Read::Array(item) => {
                let items = self.items(|this| this.value(item, part.item()))?;
                part.close(items);
                Ok(())
            }
            Read::Map(value) => {
                let entries = self.items(|this| {
                    let [key_part, value_part] = part.parts() else { unreachable!("a map's entries") };
                    this.value(&Read::Bytes(Length::Written), key_part)?;
                    this.value(value, value_part)
                })?;
                part.close(entries);
                Ok(())
            }
            Read::Entries(entry) => {
                let entries = self.items(|this| this.record(entry, part.parts()))?;
                part.close(entries);
                Ok(())
            }
            Read::Text(written) => {
                let text = match written {
                    Written::Boolean => self.boolean()?.to_string(),
                    Written::Integer => self.body.zigzag()?.to_string(),
                };
                part.push_made(text.as_bytes(), self.made)
            }
            Read::Unfit(reason) => Err(Fault::new(reason)),
            _ => unreachable!("a value without parts, or a union in another"),
        }
    }

    /// Reads an array or a map; answers how many items it has.
    fn items(&mut self, mut item: impl FnMut(&mut Self) -> Parsed<()>) -> Parsed<usize> {
        let mut items = 0;
        while let Some(block) = block(self.body)? {
            items += block.items;
            (0..block.items).try_for_each(|_| item(self))?;
        }
        Ok(items)
    }

    #[inline(always)]
    fn scalar(&mut self, read: &Read, part: &mut Part) -> Parsed<()> {
        match read {
            Read::Integer { per_ms } => part.push_integer(self.body.zigzag()?, *per_ms),
            Read::Double => part.push_double(f64::from_le_bytes(self.body.array()?)),
            Read::Float => part.push_double(f32::from_le_bytes(self.body.array()?).into()),
            Read::Bytes(length) => {
                let range = self.bytes(length)?;
                part.push_bytes(self.body.field(&range), &range)
            }
            Read::Boolean => part.push_boolean(self.boolean()?),
            Read::Symbol(symbols) => part.push_made(branch(self.body, symbols)?.as_bytes(), self.made),
            Read::Decimal { length, scale } => {
                let range = self.bytes(length)?;
                part.push_decimal(self.body.field(&range).bytes(), (*scale).into())
            }
            nested => self.nested(nested, part),
        }
    }

    #[inline(always)]
    fn boolean(&mut self) -> Parsed<bool> {
        match self.body.byte()? {
            byte @ (0 | 1) => Ok(byte == 1),
            byte => Err(Fault::new(format!("byte {byte} is no BOOLEAN"))),
        }
    }

    #[inline(always)]
    fn bytes(&mut self, length: &Length) -> Parsed<Range<usize>> {
        let len = match length {
            Length::Written => written_length(self.body)?,
            Length::Fixed(len) => *len,
        };
        self.body.take(len)
    }
}
