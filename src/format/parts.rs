//! Columns of any depth under construction: what decoders of formats with schemas append to, a row at a
//! time. Values are checked whether or not their cells are kept.

use super::cells::{Nulls, Scalars};
use super::fault::Parsed;
use super::typed::Made;
use crate::batch::Column;
use crate::types::{ColumnDef, SqlType};
use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, BooleanArray, ListArray, MapArray, StructArray};
use arrow_buffer::{Buffer, OffsetBuffer, ScalarBuffer};
use arrow_row::{RowConverter, Rows, SortField};
use arrow_schema::DataType;
use std::collections::HashSet;
use std::ops::Range;
use std::sync::Arc;

/// The columns of one side of a batch. Rows of any writer's schema follow each other.
pub struct Columns {
    pub parts: Vec<Part>,
    pub made: Made,
    rows: usize,
}

impl Columns {
    pub fn new(columns: &[&ColumnDef]) -> Columns {
        Columns { parts: columns.iter().map(|c| Part::new(&c.ty)).collect(), made: Made::default(), rows: 0 }
    }

    /// Starts a batch of so many messages; only wanted columns keep their cells.
    pub fn start(&mut self, wanted: &[bool], messages: usize) {
        for (part, wanted) in self.parts.iter_mut().zip(wanted) {
            part.start(*wanted, messages);
        }
    }

    pub fn push_nulls(&mut self) {
        self.parts.iter_mut().for_each(Part::push_null);
        self.rows += 1;
    }

    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Appends one row, or none where `append` finds fault.
    pub fn append(&mut self, append: impl FnOnce(&mut Columns) -> Parsed<()>) -> Parsed<()> {
        let appended = append(self);
        match appended {
            Ok(()) => self.rows += 1,
            Err(_) => self.parts.iter_mut().for_each(|part| part.truncate(self.rows)),
        }
        appended
    }

    /// The columns of all rows, leaving none.
    pub fn finish(&mut self, messages: &Buffer) -> Vec<Column> {
        let made = Buffer::from(self.made.take());
        self.rows = 0;
        let column = |part: &mut Part| match part.keep {
            true => Column::Array(part.finish(messages, &made)),
            false => Column::Absent,
        };
        self.parts.iter_mut().map(column).collect()
    }
}

/// A column, or a part of one.
pub struct Part {
    pub ty: SqlType,
    pub keep: bool,
    pub cells: Cells,
}

pub enum Cells {
    Scalar(Scalars),
    Struct { fields: Vec<Part>, nulls: Nulls, len: usize },
    Array { offsets: Vec<i32>, nulls: Nulls, item: Box<Part> },
    Map { offsets: Vec<i32>, nulls: Nulls, entry: Box<[Part; 2]> },
}

impl Part {
    pub fn new(ty: &SqlType) -> Part {
        let (offsets, nulls) = (vec![0], Nulls::default());
        let cells = match ty {
            SqlType::Struct(fields) => {
                Cells::Struct { fields: fields.iter().map(|f| Part::new(&f.ty)).collect(), nulls, len: 0 }
            }
            SqlType::Array(item) => Cells::Array { offsets, nulls, item: Box::new(Part::new(item)) },
            SqlType::Map(key, value) => {
                Cells::Map { offsets, nulls, entry: Box::new([Part::new(key), Part::new(value)]) }
            }
            scalar => Cells::Scalar(Scalars::of(scalar).expect("all other types have no parts")),
        };
        Part { ty: ty.clone(), keep: true, cells }
    }

    fn start(&mut self, keep: bool, cells: usize) {
        self.keep = keep;
        match &mut self.cells {
            Cells::Scalar(scalars) if keep => scalars.reserve(cells),
            Cells::Scalar(_) => {}
            Cells::Struct { fields, .. } => fields.iter_mut().for_each(|field| field.start(keep, cells)),
            Cells::Array { item, .. } => item.start(keep, 0),
            Cells::Map { entry, .. } => entry.iter_mut().for_each(|part| part.start(keep, 0)),
        }
    }

    pub fn push_null(&mut self) {
        if !self.keep {
            return;
        }
        match &mut self.cells {
            Cells::Scalar(scalars) => scalars.push_null(),
            Cells::Struct { fields, nulls, len } => {
                nulls.mark(*len);
                fields.iter_mut().for_each(Part::push_null);
                *len += 1;
            }
            Cells::Array { offsets, nulls, .. } | Cells::Map { offsets, nulls, .. } => {
                nulls.mark(offsets.len() - 1);
                push_offset(offsets, 0);
            }
        }
    }

    /// A STRUCT's fields have all got a cell, or an ARRAY's or MAP's `items` have: that is one more.
    pub fn close(&mut self, items: usize) {
        if !self.keep {
            return;
        }
        match &mut self.cells {
            Cells::Struct { len, .. } => *len += 1,
            Cells::Array { offsets, .. } | Cells::Map { offsets, .. } => push_offset(offsets, items),
            Cells::Scalar(_) => unreachable!("a value without parts is never open"),
        }
    }

    /// How many complete cells there are, if they are kept.
    pub fn count(&self) -> usize {
        match &self.cells {
            Cells::Scalar(scalars) => scalars.len(),
            Cells::Struct { len, .. } => *len,
            Cells::Array { offsets, .. } | Cells::Map { offsets, .. } => offsets.len() - 1,
        }
    }

    /// The item of an ARRAY.
    pub fn item(&mut self) -> &mut Part {
        match &mut self.cells {
            Cells::Array { item, .. } => item,
            _ => unreachable!("a plan reads items only into an ARRAY"),
        }
    }

    /// The fields of a STRUCT, the item of an ARRAY, the key and the value of a MAP.
    pub fn parts(&mut self) -> &mut [Part] {
        match &mut self.cells {
            Cells::Scalar(_) => &mut [],
            Cells::Struct { fields, .. } => fields,
            Cells::Array { item, .. } => std::slice::from_mut(item),
            Cells::Map { entry, .. } => entry.as_mut_slice(),
        }
    }

    /// Drops the cells from `len` on, and parts of one that a fault left behind.
    pub fn truncate(&mut self, len: usize) {
        if !self.keep {
            return;
        }
        match &mut self.cells {
            Cells::Scalar(scalars) => scalars.truncate(len),
            Cells::Struct { fields, nulls, len: complete } => {
                fields.iter_mut().for_each(|field| field.truncate(len));
                nulls.truncate(len);
                *complete = len;
            }
            Cells::Array { offsets, nulls, item } => {
                offsets.truncate(len + 1);
                nulls.truncate(len);
                item.truncate(offsets[len] as usize);
            }
            Cells::Map { offsets, nulls, entry } => {
                offsets.truncate(len + 1);
                nulls.truncate(len);
                entry.iter_mut().for_each(|part| part.truncate(offsets[len] as usize));
            }
        }
    }

    /// The array of all cells, leaving none.
    fn finish(&mut self, messages: &Buffer, made: &Buffer) -> ArrayRef {
        let ty = self.ty.arrow();
        match (&mut self.cells, &ty) {
            (Cells::Scalar(scalars), _) => scalars.finish(&ty, messages, made),
            (Cells::Struct { fields, nulls, len }, DataType::Struct(types)) => {
                let len = std::mem::take(len);
                let nulls = nulls.finish(len);
                let columns = fields.iter_mut().map(|field| field.finish(messages, made)).collect();
                if types.is_empty() {
                    return Arc::new(StructArray::new_empty_fields(len, nulls));
                }
                Arc::new(StructArray::new(types.clone(), columns, nulls))
            }
            (Cells::Array { offsets, nulls, item }, DataType::List(field)) => {
                let nulls = nulls.finish(offsets.len() - 1);
                let items = item.finish(messages, made);
                Arc::new(ListArray::new(field.clone(), take_offsets(offsets), items, nulls))
            }
            (Cells::Map { offsets, nulls, entry }, DataType::Map(field, _)) => {
                let nulls = nulls.finish(offsets.len() - 1);
                let DataType::Struct(types) = field.data_type() else { unreachable!("a map's entries") };
                let columns = entry.each_mut().map(|part| part.finish(messages, made));
                let map = (take_offsets(offsets), StructArray::new(types.clone(), columns.into(), None));
                let (offsets, entries) = last_of_each_key(map);
                Arc::new(MapArray::new(field.clone(), offsets, entries, nulls, false))
            }
            (_, other) => unreachable!("cells that are no {other}"),
        }
    }
}

fn push_offset(offsets: &mut Vec<i32>, count: usize) {
    let last = *offsets.last().expect("the first offset is 0");
    offsets.push(last + count as i32);
}

fn take_offsets(offsets: &mut Vec<i32>) -> OffsetBuffer<i32> {
    OffsetBuffer::new(ScalarBuffer::from(std::mem::replace(offsets, vec![0])))
}

/// Maps without the entries whose key comes again later in the same map.
fn last_of_each_key(
    (offsets, entries): (OffsetBuffer<i32>, StructArray),
) -> (OffsetBuffer<i32>, StructArray) {
    if offsets.lengths().all(|len| len < 2) {
        return (offsets, entries);
    }
    let keys = entries.column(0);
    let converted = RowConverter::new(vec![SortField::new(keys.data_type().clone())])
        .and_then(|converter| converter.convert_columns(std::slice::from_ref(keys)));
    let keys = converted.expect("keys without parts can be compared");
    let mut superseded = HashSet::new();
    for map in offsets.windows(2) {
        note_superseded(&keys, map[0] as usize..map[1] as usize, &mut superseded);
    }
    if superseded.is_empty() {
        return (offsets, entries);
    }
    let kept: BooleanArray = (0..entries.len()).map(|i| Some(!superseded.contains(&i))).collect();
    let lengths = offsets
        .windows(2)
        .map(|map| (map[0]..map[1]).filter(|i| !superseded.contains(&(*i as usize))).count());
    let entries = arrow_select::filter::filter(&entries, &kept).expect("one mark for each entry");
    (OffsetBuffer::from_lengths(lengths), entries.as_struct().clone())
}

fn note_superseded(keys: &Rows, map: Range<usize>, superseded: &mut HashSet<usize>) {
    /// Up to so many keys are compared with each other.
    const PAIRS_MAX: usize = 8;
    if map.len() <= PAIRS_MAX {
        superseded.extend(map.clone().filter(|i| (i + 1..map.end).any(|j| keys.row(*i) == keys.row(j))));
    } else {
        let mut later = HashSet::with_capacity(map.len());
        superseded.extend(map.rev().filter(|i| !later.insert(keys.row(*i))));
    }
}
