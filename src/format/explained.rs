//! Bodies that only the schema of their writer explains, AVRO's and PROTOBUF's, of any number of schemas
//! side by side.

use super::body::{Body, push_varint, zigzag};
use super::codec::BodyReader;
use super::decode::{Rejects, Side};
use super::fault::{Fault, Parsed};
use super::parts::Columns;
use super::wire::Bodies;
use crate::batch::{Column, Range32};
use crate::registry::Resolved;
use crate::types::ColumnDef;
use arrow_buffer::Buffer;

/// Fits one schema's messages to the columns: given the indices of one, its reader.
pub type ReaderOf = Box<dyn Fn(&[usize]) -> Result<Box<dyn BodyReader>, String>>;

/// Makes a [`ReaderOf`] of a schema, or says why the columns cannot be read with it.
type Fit = Box<dyn Fn(&Resolved, &[ColumnDef]) -> Result<ReaderOf, String>>;

/// Messages are nested no deeper in any schema.
const INDICES_MAX: u64 = 64;

pub struct Explained {
    declared: Vec<ColumnDef>,
    columns: Columns,
    fit: Fit,
    /// Bodies begin with the indices of their message, as PROTOBUF's do.
    indexed: bool,
    schemas: Vec<(u32, ReaderOf)>,
    /// As they are met; there are few.
    readers: Vec<Known>,
    /// Of the body at hand.
    indices: Vec<usize>,
}

struct Known {
    id: u32,
    indices: Vec<usize>,
    reader: Box<dyn BodyReader>,
}

impl Explained {
    pub fn new(
        columns: &[&ColumnDef],
        indexed: bool,
        fit: impl Fn(&Resolved, &[ColumnDef]) -> Result<ReaderOf, String> + 'static,
    ) -> Explained {
        Explained {
            declared: columns.iter().map(|column| (*column).clone()).collect(),
            columns: Columns::new(columns),
            fit: Box::new(fit),
            indexed,
            schemas: Vec::new(),
            readers: Vec::new(),
            indices: Vec::new(),
        }
    }

    /// Reads one body; `at` is the reader of the one before, which mostly is the same.
    fn read(&mut self, buffer: &[u8], body: Range32, id: u32, at: &mut usize) -> Parsed<()> {
        let mut body = body;
        self.indices.clear();
        if self.indexed {
            body.start = indices(buffer, body, &mut self.indices)? as u32;
        }
        let indices = &self.indices;
        let is_it = |known: &Known| known.id == id && known.indices == *indices;
        if !self.readers.get(*at).is_some_and(is_it) {
            *at = match self.readers.iter().position(is_it) {
                Some(at) => at,
                None => {
                    let (_, reader_of) =
                        self.schemas.iter().find(|(known, _)| *known == id).expect("its schema was learnt");
                    let failed = |why| Fault::new(format!("schema id {id} cannot be read: {why}"));
                    let reader = reader_of(indices).map_err(failed)?;
                    self.readers.push(Known { id, indices: indices.clone(), reader });
                    self.readers.len() - 1
                }
            };
        }
        self.readers[*at].reader.read(buffer, body, &mut self.columns)
    }
}

impl Bodies for Explained {
    fn learn(&mut self, schema: &Resolved) -> Result<(), String> {
        let reader_of = (self.fit)(schema, &self.declared)?;
        self.schemas.push((schema.id, reader_of));
        Ok(())
    }

    fn decode(
        &mut self,
        buffer: &Buffer,
        bodies: &[Range32],
        ids: &[u32],
        wanted: &[bool],
        rejects: &mut Rejects,
    ) -> Vec<Column> {
        self.columns.start(wanted, bodies.len());
        let mut at = 0;
        for (i, (body, id)) in bodies.iter().zip(ids).enumerate() {
            if body.is_null() || rejects.is_bad(i) {
                self.columns.push_nulls();
            } else if let Err(fault) = self.read(buffer, *body, *id, &mut at) {
                self.columns.push_nulls();
                fault.reject(rejects, i);
            }
        }
        self.columns.finish(buffer)
    }
}

/// Reads the indices that a body begins with; answers where it goes on. A lone zero stands for the first
/// message, which is what nearly all are.
fn indices(buffer: &[u8], range: Range32, indices: &mut Vec<usize>) -> Parsed<usize> {
    let mut body = Body::new(buffer, range.start as usize..range.end as usize);
    let unfit = || Fault::new("the record does not begin with the indices of its message");
    let mut number = || body.zigzag().ok().and_then(|n| u64::try_from(n).ok()).ok_or_else(unfit);
    match number()? {
        0 => indices.push(0),
        count if count <= INDICES_MAX => {
            for _ in 0..count {
                indices.push(usize::try_from(number()?).map_err(|_| unfit())?);
            }
        }
        _ => return Err(unfit()),
    }
    Ok(body.at)
}

/// As [`indices`] reads them.
pub fn push_indices(indices: &[usize], out: &mut Vec<u8>) {
    if indices == [0] {
        return out.push(0);
    }
    push_varint(out, zigzag(indices.len() as i64));
    indices.iter().for_each(|index| push_varint(out, zigzag(*index as i64)));
}

/// Bodies all of one schema, which nothing names.
pub struct OneSchema(pub Explained);

impl Side for OneSchema {
    fn decode(
        &mut self,
        buffer: &Buffer,
        ranges: &[Range32],
        wanted: &[bool],
        rejects: &mut Rejects,
    ) -> Vec<Column> {
        self.0.decode(buffer, ranges, &vec![0; ranges.len()], wanted, rejects)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indices_as_others_write_them() {
        for (bytes, expected) in [
            (&[0][..], Some((vec![0], 1))),
            (&[4, 2, 0, 9], Some((vec![1, 0], 3))),
            (&[2, 2], Some((vec![1], 2))),
            (&[], None),
            (&[4, 2], None),
            (&[1], None),
            (&[2, 1], None),
            (&[0xff, 0xff, 0xff, 0x7f], None),
        ] {
            let mut found = vec![];
            let end = indices(bytes, Range32 { start: 0, end: bytes.len() as u32 }, &mut found);
            assert_eq!(end.ok().map(|end| (found.clone(), end)), expected, "{bytes:?}");
            if let Some((indices, end)) = expected {
                let mut written = vec![];
                push_indices(&indices, &mut written);
                assert_eq!(written, bytes[..end]);
            }
        }
    }
}
