//! JSON values → the cells of one declared type, whatever its depth. Fed by `cursor`.

use super::cursor::Cursor;
use super::object::Object;
use super::scalar;
use crate::format::cells::{Nulls, Place, Scalars, Texts};
use crate::format::decode::unfit_value;
use crate::format::fault::{Fault, Parsed};
use crate::types::SqlType;
use arrow_array::{ArrayRef, ListArray, MapArray, StructArray};
use arrow_buffer::{Buffer, OffsetBuffer, ScalarBuffer};
use arrow_schema::DataType;
use std::collections::HashSet;
use std::sync::Arc;

/// A column under construction, or a part of one.
pub struct Node {
    ty: SqlType,
    /// Whether cells are kept; values are checked all the same.
    keep: bool,
    cells: Cells,
}

enum Cells {
    Scalar(Scalars),
    Struct { object: Object, nulls: Nulls },
    Array { offsets: Vec<i32>, nulls: Nulls, item: Box<Node> },
    Map { offsets: Vec<i32>, nulls: Nulls, keys: Texts, value: Box<Node> },
}

impl Node {
    pub fn new(ty: &SqlType) -> Node {
        let (offsets, nulls) = (vec![0], Nulls::default());
        let cells = match ty {
            SqlType::Struct(fields) => {
                Cells::Struct { object: Object::new(fields.iter().map(|f| (f.name.as_str(), &f.ty))), nulls }
            }
            SqlType::Array(item) => Cells::Array { offsets, nulls, item: Box::new(Node::new(item)) },
            SqlType::Map(_, value) => {
                Cells::Map { offsets, nulls, keys: Texts::default(), value: Box::new(Node::new(value)) }
            }
            scalar => Cells::Scalar(Scalars::of(scalar).expect("all other types have no parts")),
        };
        Node { ty: ty.clone(), keep: true, cells }
    }

    /// Starts a batch: whether cells are kept, and for about how many to make room.
    pub fn start(&mut self, keep: bool, cells: usize) {
        self.keep = keep;
        match &mut self.cells {
            Cells::Scalar(scalars) if keep => scalars.reserve(cells),
            Cells::Scalar(_) => {}
            Cells::Struct { object, .. } => object.start(keep, cells),
            Cells::Array { item, .. } => item.start(keep, 0),
            Cells::Map { value, .. } => value.start(keep, 0),
        }
    }

    /// Parses one value and appends it.
    #[inline]
    pub fn parse(&mut self, cursor: &mut Cursor<'_>) -> Parsed<()> {
        let first = cursor.value_start()?;
        match (&mut self.cells, first) {
            (_, b'n') => {
                cursor.word("null")?;
                self.push_null();
                Ok(())
            }
            (Cells::Scalar(scalars), _) => scalar::parse(scalars, &self.ty, self.keep, cursor, first),
            (Cells::Struct { object, .. }, b'{') => object.parse(cursor),
            (Cells::Array { offsets, item, .. }, b'[') => {
                let count = parse_items(item, cursor)?;
                if self.keep {
                    push_offset(offsets, count);
                }
                Ok(())
            }
            (Cells::Map { .. }, b'{') => self.parse_map(cursor),
            _ => Err(mismatch(&self.ty, cursor)),
        }
    }

    fn parse_map(&mut self, cursor: &mut Cursor<'_>) -> Parsed<()> {
        let Cells::Map { offsets, keys, value, .. } = &mut self.cells else { unreachable!("a map's cells") };
        let (start, kept) = (cursor.at, *offsets.last().expect("the first offset is 0") as usize);
        let mut entries = parse_entries(keys, value, self.keep, cursor, &HashSet::new())?;
        if let Some(superseded) = superseded(&entries) {
            // Rare: read the map again without the entries that later ones replace.
            if self.keep {
                keys.cells.truncate(kept);
                value.truncate(kept);
            }
            cursor.at = start;
            entries = parse_entries(keys, value, self.keep, cursor, &superseded)?;
        }
        if self.keep {
            push_offset(offsets, entries.len());
        }
        Ok(())
    }

    pub fn push_null(&mut self) {
        if !self.keep {
            return;
        }
        match &mut self.cells {
            Cells::Scalar(scalars) => scalars.push_null(),
            Cells::Struct { object, nulls } => {
                nulls.mark(object.len());
                object.push_nulls();
            }
            Cells::Array { offsets, nulls, .. } | Cells::Map { offsets, nulls, .. } => {
                nulls.mark(offsets.len() - 1);
                push_offset(offsets, 0);
            }
        }
    }

    /// Drops the cells from `len` on, and parts of a row that a fault left behind.
    pub fn truncate(&mut self, len: usize) {
        if !self.keep {
            return;
        }
        match &mut self.cells {
            Cells::Scalar(scalars) => scalars.truncate(len),
            Cells::Struct { object, nulls } => {
                object.truncate(len);
                nulls.truncate(len);
            }
            Cells::Array { offsets, nulls, item } => {
                offsets.truncate(len + 1);
                nulls.truncate(len);
                item.truncate(offsets[len] as usize);
            }
            Cells::Map { offsets, nulls, keys, value } => {
                offsets.truncate(len + 1);
                nulls.truncate(len);
                keys.cells.truncate(offsets[len] as usize);
                value.truncate(offsets[len] as usize);
            }
        }
    }

    /// The array of all cells, leaving none.
    pub fn finish(&mut self, messages: &Buffer, unescaped: &Buffer) -> ArrayRef {
        let ty = self.ty.arrow();
        match (&mut self.cells, &ty) {
            (Cells::Scalar(scalars), _) => scalars.finish(&ty, messages, unescaped),
            (Cells::Struct { object, nulls }, DataType::Struct(fields)) => {
                let (len, nulls) = (object.len(), nulls.finish(object.len()));
                let columns = object.nodes.iter_mut().map(|n| n.finish(messages, unescaped)).collect();
                object.truncate(0);
                if fields.is_empty() {
                    return Arc::new(StructArray::new_empty_fields(len, nulls));
                }
                Arc::new(StructArray::new(fields.clone(), columns, nulls))
            }
            (Cells::Array { offsets, nulls, item }, DataType::List(field)) => {
                let nulls = nulls.finish(offsets.len() - 1);
                let items = item.finish(messages, unescaped);
                Arc::new(ListArray::new(field.clone(), take_offsets(offsets), items, nulls))
            }
            (Cells::Map { offsets, nulls, keys, value }, DataType::Map(field, _)) => {
                let nulls = nulls.finish(offsets.len() - 1);
                let DataType::Struct(fields) = field.data_type() else { unreachable!("a map's entries") };
                let columns = vec![keys.finish(messages, unescaped), value.finish(messages, unescaped)];
                let entries = StructArray::new(fields.clone(), columns, None);
                Arc::new(MapArray::new(field.clone(), take_offsets(offsets), entries, nulls, false))
            }
            (_, other) => unreachable!("cells that are no {other}"),
        }
    }
}

fn parse_items(item: &mut Node, cursor: &mut Cursor<'_>) -> Parsed<usize> {
    let mut count = 0;
    while cursor.next_item(count == 0)? {
        item.parse(cursor)?;
        count += 1;
    }
    Ok(count)
}

/// Appends the entries of an object but for those whose number is in `superseded`; answers their keys.
fn parse_entries(
    keys: &mut Texts,
    value: &mut Node,
    keep: bool,
    cursor: &mut Cursor<'_>,
    superseded: &HashSet<usize>,
) -> Parsed<Vec<Box<[u8]>>> {
    let (mut found, mut number) = (vec![], 0);
    while let Some(key) = cursor.next_key(number == 0)? {
        number += 1;
        if superseded.contains(&(number - 1)) {
            cursor.skip_value()?;
            continue;
        }
        let text = cursor.text(key);
        found.push(text.bytes().into());
        if keep {
            let place = if key.unescaped { Place::Unescaped(key.start) } else { Place::Messages(key.start) };
            keys.push(text, place);
        }
        value.parse(cursor)?;
    }
    Ok(found)
}

/// The numbers of entries whose key comes again later; `None` if there are none.
fn superseded(keys: &[Box<[u8]>]) -> Option<HashSet<usize>> {
    let mut later = HashSet::with_capacity(keys.len());
    let numbers: HashSet<usize> =
        (0..keys.len()).rev().filter(|number| !later.insert(&keys[*number])).collect();
    if numbers.is_empty() { None } else { Some(numbers) }
}

fn push_offset(offsets: &mut Vec<i32>, count: usize) {
    let last = *offsets.last().expect("the first offset is 0");
    offsets.push(last + count as i32);
}

fn take_offsets(offsets: &mut Vec<i32>) -> OffsetBuffer<i32> {
    OffsetBuffer::new(ScalarBuffer::from(std::mem::replace(offsets, vec![0])))
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
