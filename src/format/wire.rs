//! Confluent's wire format: a zero byte, the id of the writer's schema in four bytes, big-endian, and a
//! body whose format is another one's matter.
//!
//! Each message names its schema, so old and new ones lie side by side in a batch. What is not known yet
//! is looked up before a batch is decoded ([`Side::is_ready`]); an id that the registry does not know makes
//! its message a reject.

use super::decode::{Rejects, Side};
use super::encode::{Rows, Writer};
use crate::batch::{Column, Range32};
use crate::registry::{Found, Kind, Lookups, Resolved};
use arrow_buffer::Buffer;
use std::collections::HashMap;

/// What lies before a body.
const HEAD: usize = 5;

/// Reads bodies into columns.
pub trait Bodies {
    /// Makes ready for the bodies of a schema; else why they do not fit the columns.
    fn learn(&mut self, schema: &Resolved) -> Result<(), String>;

    /// As [`Side::decode`]; `ids` are those of the schemas, which were learnt.
    fn decode(
        &mut self,
        buffer: &Buffer,
        bodies: &[Range32],
        ids: &[u32],
        wanted: &[bool],
        rejects: &mut Rejects,
    ) -> Vec<Column>;
}

/// Bodies whose schema need not be known to read them.
pub struct SelfDescribing<S>(pub S);

impl<S: Side> Bodies for SelfDescribing<S> {
    fn learn(&mut self, _: &Resolved) -> Result<(), String> {
        Ok(())
    }

    fn decode(
        &mut self,
        buffer: &Buffer,
        bodies: &[Range32],
        _: &[u32],
        wanted: &[bool],
        rejects: &mut Rejects,
    ) -> Vec<Column> {
        self.0.decode(buffer, bodies, wanted, rejects)
    }
}

/// Decodes one side of messages with the ids of their schemas.
pub struct WireSide {
    /// `key` or `value`.
    part: &'static str,
    kind: Kind,
    schemas: Lookups,
    /// Schemas that messages have named: `Err` says why they cannot be read.
    known: HashMap<u32, Result<(), String>>,
    /// Ids that the registry does not know, until the batch at hand is decoded: they may become known.
    unknown: Vec<u32>,
    bodies: Box<dyn Bodies>,
}

impl WireSide {
    pub fn new(part: &'static str, kind: Kind, schemas: &Lookups, bodies: impl Bodies + 'static) -> WireSide {
        WireSide {
            part,
            kind,
            schemas: schemas.clone(),
            known: HashMap::new(),
            unknown: Vec::new(),
            bodies: Box::new(bodies),
        }
    }

    /// Whether it is known what the id stands for, be it nothing.
    fn is_known(&mut self, id: u32) -> bool {
        if self.known.contains_key(&id) || self.unknown.contains(&id) {
            return true;
        }
        match self.schemas.find(id) {
            Found::Waiting => return false,
            Found::Nothing => self.unknown.push(id),
            Found::Schema(schema) => {
                let learnt = match schema.schema.kind {
                    kind if kind == self.kind => self.bodies.learn(&schema),
                    other => Err(format!("it is {other}, not {}", self.kind)),
                };
                self.known.insert(id, learnt);
            }
        }
        true
    }

    fn check(&self, id: u32) -> Result<(), String> {
        match self.known.get(&id) {
            Some(Ok(())) => Ok(()),
            Some(Err(why)) => Err(format!("schema id {id} cannot be read: {why}")),
            None => Err(format!("schema id {id} is not known to the registry")),
        }
    }
}

impl Side for WireSide {
    fn is_ready(&mut self, buffer: &Buffer, ranges: &[Range32]) -> bool {
        let mut last = None;
        let mut is_ready = true;
        for id in ranges.iter().filter_map(|range| id(range.of(buffer)?).ok()) {
            // All are asked for, so that one wait is enough.
            if last != Some(id) && !self.is_known(id) {
                is_ready = false;
            }
            last = Some(id);
        }
        is_ready
    }

    fn decode(
        &mut self,
        buffer: &Buffer,
        ranges: &[Range32],
        wanted: &[bool],
        rejects: &mut Rejects,
    ) -> Vec<Column> {
        let (mut bodies, mut ids) = (Vec::with_capacity(ranges.len()), Vec::with_capacity(ranges.len()));
        // The id that was checked last: neighbours mostly share theirs.
        let mut good = None;
        for (i, range) in ranges.iter().enumerate() {
            let found = match range.of(buffer).filter(|_| !rejects.is_bad(i)).map(id) {
                None => None,
                Some(Ok(id)) if good == Some(id) => Some(id),
                Some(Ok(id)) => self.check(id).map(|()| id).map_err(|why| rejects.add(i, None, || why)).ok(),
                Some(Err(why)) => {
                    rejects.add(i, None, || format!("the {} {why}", self.part));
                    None
                }
            };
            good = found.or(good);
            ids.push(found.unwrap_or_default());
            bodies.push(match found {
                Some(_) => Range32 { start: range.start + HEAD as u32, end: range.end },
                None => Range32::NULL,
            });
        }
        self.unknown.clear();
        self.bodies.decode(buffer, &bodies, &ids, wanted, rejects)
    }
}

/// The schema's id that a key or a value begins with.
fn id(bytes: &[u8]) -> Result<u32, String> {
    match bytes {
        [0, a, b, c, d, ..] => Ok(u32::from_be_bytes([*a, *b, *c, *d])),
        [] => Err("is empty: there is no schema id".into()),
        [0, rest @ ..] => Err(format!("ends within its schema id, after {} bytes", 1 + rest.len())),
        [other, ..] => Err(format!("begins with {other:#04x}, not with the zero of a schema id")),
    }
}

/// Writes bodies behind the id of their schema.
pub struct WireWriter {
    head: Vec<u8>,
    body: Box<dyn Writer>,
}

impl WireWriter {
    /// `inner` follows the id: what a format says about the body.
    pub fn new(id: u32, inner: &[u8], body: impl Writer + 'static) -> WireWriter {
        let head = [&[0], id.to_be_bytes().as_slice(), inner].concat();
        WireWriter { head, body: Box::new(body) }
    }
}

impl Writer for WireWriter {
    fn rows<'b>(&'b mut self, columns: &'b [Column]) -> Rows<'b> {
        let (head, mut body) = (&self.head, self.body.rows(columns));
        Box::new(move |row, out| {
            let start = out.len();
            out.extend_from_slice(head);
            let is_written = body(row, out)?;
            if !is_written {
                out.truncate(start);
            }
            Ok(is_written)
        })
    }
}
