//! JSON values → the cells of one declared type, whatever its depth. Fed by `cursor`.

use super::cursor::Cursor;
use super::object::Object;
use super::scalar;
use crate::format::cells::{Place, Scalars};
use crate::format::decode::unfit_value;
use crate::format::fault::{Fault, Parsed};
use crate::format::parts::{Cells, Part};
use crate::types::SqlType;

/// How to parse the values of a column, or of a part of one.
pub enum Node {
    Scalar,
    Struct(Object),
    Array(Box<Node>),
    /// Keys are texts.
    Map(Box<Node>),
}

impl Node {
    pub fn new(ty: &SqlType) -> Node {
        match ty {
            SqlType::Struct(fields) => {
                Node::Struct(Object::new(fields.iter().map(|f| (f.name.as_str(), &f.ty))))
            }
            SqlType::Array(item) => Node::Array(Box::new(Node::new(item))),
            SqlType::Map(_, value) => Node::Map(Box::new(Node::new(value))),
            _ => Node::Scalar,
        }
    }

    /// Parses one value and appends it.
    #[inline]
    pub fn parse(&mut self, part: &mut Part, cursor: &mut Cursor<'_>) -> Parsed<()> {
        let first = cursor.value_start()?;
        match (self, &mut part.cells, first) {
            (_, _, b'n') => {
                cursor.word("null")?;
                part.push_null();
            }
            (Node::Scalar, Cells::Scalar(scalars), _) => {
                scalar::parse(scalars, &part.ty, part.keep, cursor, first)?;
            }
            (Node::Struct(object), Cells::Struct { fields, len, .. }, b'{') => {
                object.parse(fields, *len, cursor)?;
                part.close(0);
            }
            (Node::Array(node), Cells::Array { item, .. }, b'[') => {
                let items = parse_items(node, item, cursor)?;
                part.close(items);
            }
            (Node::Map(node), Cells::Map { entry, .. }, b'{') => {
                let entries = parse_entries(node, entry, cursor)?;
                part.close(entries);
            }
            _ => return Err(mismatch(&part.ty, cursor)),
        }
        Ok(())
    }
}

fn parse_items(node: &mut Node, item: &mut Part, cursor: &mut Cursor<'_>) -> Parsed<usize> {
    let mut count = 0;
    while cursor.next_item(count == 0)? {
        node.parse(item, cursor)?;
        count += 1;
    }
    Ok(count)
}

fn parse_entries(node: &mut Node, [key, value]: &mut [Part; 2], cursor: &mut Cursor<'_>) -> Parsed<usize> {
    let mut count = 0;
    while let Some(text) = cursor.next_key(count == 0)? {
        if let (Cells::Scalar(Scalars::Varchar(keys)), true) = (&mut key.cells, key.keep) {
            let place =
                if text.unescaped { Place::Unescaped(text.start) } else { Place::Messages(text.start) };
            keys.push(cursor.text(text), place);
        }
        node.parse(value, cursor)?;
        count += 1;
    }
    Ok(count)
}

/// `'{"a":1}' is not an INTEGER`; bad syntax is told as such.
#[cold]
pub fn mismatch(ty: &SqlType, cursor: &mut Cursor<'_>) -> Box<Fault> {
    let start = cursor.at;
    if let Err(fault) = cursor.skip_value() {
        return fault;
    }
    cursor.at = start;
    Fault::new(unfit_value(ty, cursor.value_shown()))
}
