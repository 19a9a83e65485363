//! Key columns → one slot per group: dense numbers that accumulators index by.
//!
//! Slots are dealt out anew after every flush, so that accumulators hold only what was touched since;
//! the tables that know the keys stay, while they are small.

use super::intern::Intern;
use super::recent::Recent;
use super::view::{Cells, View, encode_bytes};
use super::{Key, packed};
use crate::batch::Column;
use std::mem;

/// The group of each row of a batch.
#[derive(Clone, Copy)]
pub enum Slots<'a> {
    One(u32),
    Each(&'a [u32]),
}

pub struct Groups {
    /// The first holds whole keys. The others hold the one column that varies beside constants.
    tables: Vec<Table>,
    /// Table and id of each slot's key.
    keys: Vec<(u32, u32)>,
    /// Several tables are in use since the last flush, so new slots go through the first one.
    mixed: bool,
    last_table: usize,
    /// The slots of the last batch.
    slots: Vec<u32>,
    scratch: Vec<u8>,
}

struct Table {
    ids: Intern,
    /// The slot of each id; [`NONE`] before it is touched.
    slots: Vec<u32>,
    recent: Recent,
    shape: Shape,
}

#[derive(PartialEq)]
enum Shape {
    Whole,
    /// The tag of the varying column, and the encoded constants before and behind it.
    Beside {
        tag: u8,
        before: Vec<u8>,
        behind: Vec<u8>,
    },
}

/// No slot.
pub const NONE: u32 = u32::MAX;
/// Tables beyond these are forgotten at a flush: memory is bounded by the state, not by history.
const KEPT_KEYS: usize = 64 << 10;
const KEPT_BYTES: usize = 8 << 20;
const TABLES_MAX: usize = 16;

impl Groups {
    pub fn new() -> Groups {
        Groups {
            tables: vec![Table::new(Shape::Whole)],
            keys: Vec::new(),
            mixed: false,
            last_table: 0,
            slots: Vec::new(),
            scratch: Vec::new(),
        }
    }

    pub fn len(&self) -> usize {
        self.keys.len()
    }

    pub fn heap_bytes(&self) -> usize {
        let table = |t: &Table| t.ids.heap_bytes() + 4 * t.slots.len();
        self.tables.iter().map(table).sum::<usize>() + 8 * self.keys.len() + 4 * self.slots.len()
    }

    /// Finds the slot of every row, and how many slots there are now.
    pub fn assign(&mut self, keys: &[View], rows: usize) -> (Slots<'_>, usize) {
        let mut varying = keys.iter().enumerate().filter(|(_, key)| !key.same);
        let (first, second) = (varying.next(), varying.next());
        let Some((at, column)) = first else {
            let slot = self.assign_constant(keys);
            return (Slots::One(slot), self.len());
        };
        let table = match scalar_tag(&column.cells) {
            Some(tag) if second.is_none() && !column.has_nulls() => self.beside(keys, at, tag),
            _ => 0,
        };
        self.enter(table);
        let mut slots = mem::take(&mut self.slots);
        slots.clear();
        slots.reserve(rows);
        if table == 0 {
            self.assign_whole(keys, rows, &mut slots);
        } else {
            self.assign_column(table, column, rows, &mut slots);
        }
        self.slots = slots;
        (Slots::Each(&self.slots), self.keys.len())
    }

    fn assign_constant(&mut self, keys: &[View]) -> u32 {
        self.enter(0);
        let mut key = mem::take(&mut self.scratch);
        key.clear();
        keys.iter().for_each(|column| column.encode(0, &mut key));
        let slot = self.whole_slot(&key);
        self.scratch = key;
        slot
    }

    fn assign_whole(&mut self, keys: &[View], rows: usize, slots: &mut Vec<u32>) {
        let mut key = mem::take(&mut self.scratch);
        for row in 0..rows {
            key.clear();
            keys.iter().for_each(|column| column.encode(row, &mut key));
            slots.push(self.whole_slot(&key));
        }
        self.scratch = key;
    }

    fn assign_column(&mut self, table: usize, column: &View, rows: usize, slots: &mut Vec<u32>) {
        match &column.cells {
            Cells::Text(values) => {
                self.assign_views(table, values.views(), |i| values.value(i).as_bytes(), slots)
            }
            Cells::Bytes(values) => self.assign_views(table, values.views(), |i| values.value(i), slots),
            Cells::Int(_, values) => self.assign_words(table, values, |v| v.to_le_bytes(), slots),
            Cells::Long(_, values) => self.assign_words(table, values, |v| v.to_le_bytes(), slots),
            Cells::Double(values) => self.assign_words(table, values, double_bytes, slots),
            _ => (0..rows).for_each(|_| slots.push(0)),
        }
    }

    /// Equal views of one array are equal strings, so repeats need no lookup.
    #[inline(always)]
    fn assign_views<'v>(
        &mut self,
        table: usize,
        views: &[u128],
        value: impl Fn(usize) -> &'v [u8],
        slots: &mut Vec<u32>,
    ) {
        let (mut previous, mut slot) = (None, NONE);
        for (i, &view) in views.iter().enumerate() {
            if previous != Some(view) {
                previous = Some(view);
                let recent = &self.tables[table].recent;
                slot = match recent.get(view) {
                    NONE => {
                        let slot = self.slot(table, value(i));
                        self.tables[table].recent.set(view, slot);
                        slot
                    }
                    slot => slot,
                };
            }
            slots.push(slot);
        }
    }

    #[inline(always)]
    fn assign_words<T: Copy + PartialEq, const N: usize>(
        &mut self,
        table: usize,
        values: &[T],
        bytes: impl Fn(T) -> [u8; N],
        slots: &mut Vec<u32>,
    ) {
        let (mut previous, mut slot) = (None, NONE);
        for &value in values {
            if previous != Some(value) {
                slot = self.slot(table, &bytes(value));
                previous = Some(value);
            }
            slots.push(slot);
        }
    }

    #[inline(always)]
    fn slot(&mut self, table: usize, key: &[u8]) -> u32 {
        let Table { ids, slots, .. } = &mut self.tables[table];
        let id = ids.intern(key);
        match slots.get(id as usize) {
            Some(&slot) if slot != NONE => slot,
            _ => self.new_slot(table, id),
        }
    }

    fn whole_slot(&mut self, key: &[u8]) -> u32 {
        let id = self.tables[0].ids.intern(key);
        match self.tables[0].slot(id) {
            NONE => {
                let slot = self.keys.len() as u32;
                self.keys.push((0, id));
                self.tables[0].set(id, slot);
                slot
            }
            slot => slot,
        }
    }

    /// The first row of a group since the last flush.
    #[inline(never)]
    fn new_slot(&mut self, table: usize, id: u32) -> u32 {
        let slot = if self.mixed {
            let key = self.tables[table].key(id);
            self.whole_slot(&key)
        } else {
            self.keys.push((table as u32, id));
            self.keys.len() as u32 - 1
        };
        self.tables[table].set(id, slot);
        slot
    }

    /// Where a second table comes into use, the first one learns which keys have slots already:
    /// a group must not get two.
    fn enter(&mut self, table: usize) {
        if table != self.last_table && !self.keys.is_empty() && !self.mixed {
            self.mixed = true;
            for (slot, &(table, id)) in self.keys.iter().enumerate().filter(|(_, (table, _))| *table != 0) {
                let key = self.tables[table as usize].key(id);
                let whole = self.tables[0].ids.intern(&key);
                self.tables[0].set(whole, slot as u32);
            }
        }
        self.last_table = table;
    }

    /// The table for one varying column beside these constants.
    fn beside(&mut self, keys: &[View], at: usize, tag: u8) -> usize {
        let encode = |columns: &[View]| {
            let mut out = Vec::new();
            columns.iter().for_each(|column| column.encode(0, &mut out));
            out
        };
        let shape = Shape::Beside { tag, before: encode(&keys[..at]), behind: encode(&keys[at + 1..]) };
        match self.tables.iter().position(|table| table.shape == shape) {
            Some(table) => table,
            None if self.tables.len() >= TABLES_MAX => 0,
            None => {
                self.tables.push(Table::new(shape));
                self.tables.len() - 1
            }
        }
    }

    pub fn key(&self, slot: usize) -> Key {
        let (table, id) = self.keys[slot];
        self.tables[table as usize].key(id)
    }

    /// Forgets the slots, and the keys where they are many.
    pub fn clear(&mut self) {
        let kept = self.tables.len() < TABLES_MAX
            && self.tables.iter().map(|table| table.ids.len()).sum::<usize>() <= KEPT_KEYS
            && self.heap_bytes() <= KEPT_BYTES;
        if !kept {
            *self = Groups::new();
            return;
        }
        for table in &mut self.tables {
            table.slots.fill(NONE);
            table.recent.clear();
        }
        self.keys.clear();
        self.mixed = false;
    }
}

impl Table {
    fn new(shape: Shape) -> Table {
        Table { ids: Intern::new(), slots: Vec::new(), recent: Recent::default(), shape }
    }

    fn slot(&self, id: u32) -> u32 {
        self.slots.get(id as usize).copied().unwrap_or(NONE)
    }

    fn set(&mut self, id: u32, slot: u32) {
        if self.slots.len() <= id as usize {
            self.slots.resize(id as usize + 1, NONE);
        }
        self.slots[id as usize] = slot;
    }

    /// The bytes of the group's key, as `encode_row` of its values.
    fn key(&self, id: u32) -> Key {
        let bytes = self.ids.get(id);
        let Shape::Beside { tag, before, behind } = &self.shape else { return bytes.into() };
        let mut key = Vec::with_capacity(before.len() + bytes.len() + behind.len() + 6);
        key.extend_from_slice(before);
        match *tag {
            packed::VARCHAR | packed::BYTES => encode_bytes(*tag, bytes, &mut key),
            tag => {
                key.push(tag);
                key.extend_from_slice(bytes);
            }
        }
        key.extend_from_slice(behind);
        key.into_boxed_slice()
    }
}

/// The tag in `Value::encode` of the types that have a table of their own.
fn scalar_tag(cells: &Cells) -> Option<u8> {
    match cells {
        Cells::Text(_) => Some(packed::VARCHAR),
        Cells::Bytes(_) => Some(packed::BYTES),
        Cells::Int(tag, _) | Cells::Long(tag, _) => Some(*tag),
        Cells::Double(_) => Some(4),
        _ => None,
    }
}

/// One zero and one NaN, as keys have them.
fn double_bytes(value: f64) -> [u8; 8] {
    let value = if value.is_nan() { f64::NAN } else { value + 0.0 };
    value.to_bits().to_le_bytes()
}

/// The rows none of whose key cells is NULL; `None` where that is all of them.
pub fn rows_with_key(keys: &[Column], rows: usize) -> Option<arrow_array::BooleanArray> {
    let views: Vec<View> = keys.iter().map(View::of).collect();
    if !views.iter().any(View::has_nulls) {
        return None;
    }
    Some((0..rows).map(|row| Some(!views.iter().any(|view| view.is_null(row)))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::SqlType;
    use crate::value::{Value, encode_row};

    #[test]
    fn one_group_has_one_slot_whatever_the_columns_are() {
        let text = |values: &[&str]| {
            let values: Vec<Value> = values.iter().map(|v| Value::text(v)).collect();
            Value::array(&SqlType::Varchar, values.iter())
        };
        let mut groups = Groups::new();
        let mut assign = |keys: &[Column]| {
            let views: Vec<View> = keys.iter().map(View::of).collect();
            match groups.assign(&views, 2).0 {
                Slots::One(slot) => vec![slot; 2],
                Slots::Each(slots) => slots.to_vec(),
            }
        };
        let names = ["Woodhouse Lane", "Merrion"];
        let leeds = || Column::Const(text(&["Leeds"]));
        assert_eq!(assign(&[leeds(), Column::Array(text(&names))]), [0, 1]);
        assert_eq!(assign(&[leeds(), Column::Const(text(&names[1..]))]), [1, 1]);
        assert_eq!(assign(&[Column::Array(text(&["Leeds", "York"])), Column::Array(text(&names))]), [0, 2]);
        assert_eq!(assign(&[Column::Const(text(&["York"])), Column::Array(text(&names))]), [3, 2]);
        assert_eq!(groups.key(2), encode_row(&[Value::text("York"), Value::text("Merrion")]));
        groups.clear();
        assert_eq!(groups.len(), 0);
    }
}
