//! JSON: an object with a field for each column, or the bare value of a single column.
//!
//! Messages are parsed straight into the columns, led by the schema (`node`, `object`, `scalar`), from
//! tokens (`cursor`); no tree is built.

mod cursor;
mod encode;
mod node;
mod object;
mod scalar;
pub mod schema;

pub use encode::{JsonWriter, push_double, push_items, push_quoted, push_string};

use super::decode::{Rejects, Side, shown};
use super::fault::{Fault, Parsed};
use super::parts::Columns;
use crate::batch::{Column, Range32};
use crate::error::{Error, Result};
use crate::types::{ColumnDef, SqlType};
use arrow_buffer::Buffer;
use cursor::Cursor;
use node::Node;
use object::Object;

/// Decodes one side of JSON messages.
pub struct JsonSide {
    root: Root,
    columns: Columns,
}

enum Root {
    Object(Object),
    Bare { name: String, node: Node },
}

impl JsonSide {
    /// `bare`: the value of a single column is the message itself, not a field of an object.
    pub fn new(columns: &[&ColumnDef], bare: bool) -> Result<JsonSide> {
        check(columns)?;
        let root = match columns {
            [column] if bare => Root::Bare { name: column.name.clone(), node: Node::new(&column.ty) },
            _ => Root::Object(Object::new(columns.iter().map(|c| (c.name.as_str(), &c.ty)))),
        };
        Ok(JsonSide { root, columns: Columns::new(columns) })
    }
}

impl Side for JsonSide {
    fn decode(
        &mut self,
        buffer: &Buffer,
        ranges: &[Range32],
        wanted: &[bool],
        rejects: &mut Rejects,
    ) -> Vec<Column> {
        self.columns.start(wanted, ranges.len());
        for (i, range) in ranges.iter().enumerate() {
            if *range == Range32::NULL || rejects.is_bad(i) {
                self.columns.push_nulls();
            } else if let Err(fault) = self.columns.append(|columns| self.root.parse(buffer, *range, columns))
            {
                self.columns.push_nulls();
                fault.reject(rejects, i);
            }
        }
        self.columns.finish(buffer)
    }
}

impl Root {
    fn parse(&mut self, buffer: &[u8], range: Range32, columns: &mut Columns) -> Parsed<()> {
        let (start, end) = (range.start as usize, range.end as usize);
        let message = &buffer[start..end];
        let utf8 = message.is_ascii() || std::str::from_utf8(message).is_ok();
        let row = columns.rows();
        let unescaped = &mut columns.made.bytes;
        let mut cursor = Cursor { buffer, start, at: start, end, utf8, unescaped };
        match self {
            Root::Object(object) => match cursor.value_start()? {
                b'{' => object.parse(&mut columns.parts, row, &mut cursor)?,
                _ => return Err(no_object(&mut cursor)),
            },
            Root::Bare { name, node } => {
                node.parse(&mut columns.parts[0], &mut cursor).map_err(|fault| fault.within(name))?;
            }
        }
        cursor.skip_blanks();
        if cursor.at == end {
            return Ok(());
        }
        Err(Fault::new(format!("text follows the JSON value: {}", shown(&buffer[cursor.at..end]))))
    }
}

#[cold]
fn no_object(cursor: &mut Cursor<'_>) -> Box<Fault> {
    let start = cursor.at;
    if let Err(fault) = cursor.skip_value() {
        return fault;
    }
    cursor.at = start;
    cursor.unexpected("an object")
}

/// Why JSON cannot carry the columns.
fn check(columns: &[&ColumnDef]) -> Result<()> {
    for column in columns {
        if let Some(key) = bad_map_key(&column.ty) {
            return Err(Error::statement(format!(
                "column {} has a map with keys of {key}; the keys of JSON are STRING",
                column.name
            )));
        }
    }
    Ok(())
}

/// The type of a map's keys, somewhere in `ty`, that JSON has no keys for.
fn bad_map_key(ty: &SqlType) -> Option<&SqlType> {
    match ty {
        SqlType::Map(key, _) if **key != SqlType::Varchar => Some(key),
        SqlType::Map(_, value) => bad_map_key(value),
        SqlType::Array(item) => bad_map_key(item),
        SqlType::Struct(fields) => fields.iter().find_map(|f| bad_map_key(&f.ty)),
        _ => None,
    }
}
