//! TRANSFORM, FILTER and REDUCE: lambda functions run over the items of a whole batch.
//!
//! The items of all rows become the rows of one batch, with what the lambda captures beside them, and its
//! body is evaluated once over that. REDUCE takes the first items of all rows, then the second ones, and so
//! on. A body that fails for one item, as arithmetic with NULL does in it, makes the row's result NULL and
//! leaves a note: part of a collection would look like all of it.

use super::compile::Projection;
use super::function::Higher;
use super::logic::{Truth, truth};
use super::node::{Child, Frame, Node, Report, column, parts};
use super::{Notes, cast};
use crate::batch::{Batch, Column, Origin};
use crate::value::Value;
use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, ListArray, MapArray, StructArray, UInt32Array, new_empty_array};
use arrow_buffer::{BooleanBuffer, NullBuffer, OffsetBuffer};
use arrow_schema::DataType;
use arrow_select::{concat::concat, take::take};
use std::collections::BTreeSet;
use std::sync::Arc;

/// A lambda that is ready to run.
pub(crate) struct Function {
    /// Over the rows around it.
    pub captured: Vec<Child>,
    /// Over its own rows.
    pub body: Projection,
}

impl Function {
    fn run(&mut self, columns: Vec<Column>, rows: usize, notes: &mut Notes) -> Column {
        let batch = Batch { len: rows, columns, origin: Origin::none(rows), deleted: None };
        self.body.eval(&batch, notes).swap_remove(0)
    }
}

/// A call of TRANSFORM or FILTER.
pub(crate) struct Each {
    pub collection: Child,
    pub higher: Higher,
    pub functions: Vec<Function>,
    /// Of the result.
    pub ty: DataType,
}

impl Node for Each {
    fn eval(&mut self, frame: &mut Frame<'_>) -> Column {
        let collection = self.collection.eval(frame);
        let captured: Vec<Vec<Column>> = captured(&mut self.functions, frame);
        let constant = is_constant(std::iter::once(&collection).chain(captured.iter().flatten()));
        let mut lists = Lists::new(&collection, if constant { 1 } else { frame.rows() }, frame, constant);
        let mut report = frame.report(constant);
        let results: Vec<Column> = self
            .functions
            .iter_mut()
            .zip(&captured)
            .map(|(function, captured)| lists.call(function, captured, &mut report))
            .collect();
        if self.higher == Higher::Filter {
            let array = match truth(&results[0]) {
                Truth::All(keep) => lists.kept(&lists.items, &self.ty, |_| keep),
                Truth::Bits(bits) => lists.kept(&lists.items, &self.ty, |item| bits.value(item)),
            };
            return column(array, constant);
        }
        if let [keys, _] = results.as_slice() {
            lists.refuse_bad_keys(keys, &mut report);
        }
        let items: Vec<ArrayRef> = results.iter().map(|r| r.to_array(lists.rows.len())).collect();
        column(lists.kept(&items, &self.ty, |_| true), constant)
    }
}

fn captured(functions: &mut [Function], frame: &mut Frame<'_>) -> Vec<Vec<Column>> {
    let each = |f: &mut Function| f.captured.iter_mut().map(|child| child.eval(frame)).collect();
    functions.iter_mut().map(each).collect()
}

fn is_constant<'a>(mut columns: impl Iterator<Item = &'a Column>) -> bool {
    columns.all(|column| parts(column).1)
}

/// The collections of a batch, laid out item by item.
struct Lists {
    /// One column for arrays, keys and values for maps: an item a row.
    items: Vec<ArrayRef>,
    /// The row that each item belongs to, ascending.
    rows: Vec<u32>,
    /// Rows whose result is a value: they have a collection, and nothing has failed.
    valid: Vec<bool>,
}

impl Lists {
    /// Of the rows that are asked for; the others have no items.
    fn new(collection: &Column, len: usize, frame: &Frame<'_>, constant: bool) -> Lists {
        let mask = frame.mask.filter(|_| !constant);
        let (array, one) = parts(collection);
        let (offsets, values) = inside(array);
        let (mut rows, mut places) = (Vec::new(), Vec::new());
        let mut valid = vec![false; len];
        for (row, valid) in valid.iter_mut().enumerate() {
            let i = if one { 0 } else { row };
            if array.is_null(i) || mask.is_some_and(|mask| !mask.value(row)) {
                continue;
            }
            *valid = true;
            let (start, end) = (offsets[i] as u32, offsets[i + 1] as u32);
            rows.resize(rows.len() + (end - start) as usize, row as u32);
            places.extend(start..end);
        }
        let places = UInt32Array::from(places);
        let items = values.iter().map(|values| taken(values, &places)).collect();
        Lists { items, rows, valid }
    }

    /// The lambda's value for each item; a row in which it fails is valid no more.
    fn call(&mut self, function: &mut Function, captured: &[Column], report: &mut Report) -> Column {
        let rows = UInt32Array::from(self.rows.clone());
        let items = self.items.iter().map(|items| Column::Array(Arc::clone(items)));
        let columns = items.chain(captured.iter().map(|column| at_rows(column, &rows))).collect();
        let mut notes = Notes::of_every_row(self.rows.len());
        let result = function.run(columns, self.rows.len(), &mut notes);
        notes.each(|item, reason| fail(&mut self.valid, self.rows[item] as usize, reason, report));
        result
    }

    /// Two entries of a row may not have one key, and none may be NULL.
    fn refuse_bad_keys(&mut self, keys: &Column, report: &mut Report) {
        let mut seen: BTreeSet<(u32, Value)> = BTreeSet::new();
        for (item, row) in self.rows.iter().enumerate() {
            let key = keys.value(item);
            if key.is_null() {
                fail(&mut self.valid, *row as usize, "TRANSFORM: a key is NULL", report);
            } else if let Some((_, key)) = seen.replace((*row, key)) {
                let reason = format!("TRANSFORM: two entries have the key {}", cast::text(&key));
                fail(&mut self.valid, *row as usize, &reason, report);
            }
        }
    }

    /// The items of valid rows that `keep` chooses, as collections.
    fn kept(&self, columns: &[ArrayRef], ty: &DataType, keep: impl Fn(usize) -> bool) -> ArrayRef {
        let mut lengths = vec![0; self.valid.len()];
        let mut places = Vec::with_capacity(self.rows.len());
        for (item, row) in self.rows.iter().enumerate() {
            if self.valid[*row as usize] && keep(item) {
                lengths[*row as usize] += 1;
                places.push(item as u32);
            }
        }
        let all = places.len() == self.rows.len();
        let places = UInt32Array::from(places);
        let columns: Vec<ArrayRef> =
            columns.iter().map(|c| if all { Arc::clone(c) } else { taken(c, &places) }).collect();
        let nulls = NullBuffer::new(BooleanBuffer::collect_bool(self.valid.len(), |row| self.valid[row]));
        collection(ty, OffsetBuffer::from_lengths(lengths), columns, nulls)
    }
}

/// Makes a row's result NULL, with the first reason as its note.
fn fail(valid: &mut [bool], row: usize, reason: &str, report: &mut Report) {
    if std::mem::replace(&mut valid[row], false) {
        report.note(row, || reason.to_string());
    }
}

/// Offsets of lists or maps, and the columns of what is inside.
fn inside(array: &ArrayRef) -> (&OffsetBuffer<i32>, Vec<&ArrayRef>) {
    match array.data_type() {
        DataType::Map(..) => {
            let map = array.as_map();
            (map.offsets(), vec![map.keys(), map.values()])
        }
        _ => {
            let list = array.as_list::<i32>();
            (list.offsets(), vec![list.values()])
        }
    }
}

/// The inverse of [`inside`].
fn collection(
    ty: &DataType,
    offsets: OffsetBuffer<i32>,
    mut columns: Vec<ArrayRef>,
    nulls: NullBuffer,
) -> ArrayRef {
    match ty {
        DataType::List(field) => {
            Arc::new(ListArray::new(Arc::clone(field), offsets, columns.swap_remove(0), Some(nulls)))
        }
        DataType::Map(field, _) => {
            let DataType::Struct(fields) = field.data_type() else { unreachable!("a map holds entries") };
            let entries = StructArray::new(fields.clone(), columns, None);
            Arc::new(MapArray::new(Arc::clone(field), offsets, entries, Some(nulls), false))
        }
        other => unreachable!("{other} is no collection"),
    }
}

fn taken(array: &ArrayRef, places: &UInt32Array) -> ArrayRef {
    take(array, places, None).expect("places are within the array")
}

/// A column of the rows around the items, with its value at each of `rows`.
fn at_rows(column: &Column, rows: &UInt32Array) -> Column {
    match column {
        Column::Array(array) => Column::Array(taken(array, rows)),
        other => other.clone(),
    }
}

/// A call of REDUCE.
pub(crate) struct Reduce {
    pub collection: Child,
    pub start: Child,
    pub function: Function,
}

impl Node for Reduce {
    fn eval(&mut self, frame: &mut Frame<'_>) -> Column {
        let collection = self.collection.eval(frame);
        let start = self.start.eval(frame);
        let captured = captured(std::slice::from_mut(&mut self.function), frame).swap_remove(0);
        let constant = is_constant([&collection, &start].into_iter().chain(&captured));
        let rows = if constant { 1 } else { frame.rows() };
        let start = start.to_array(rows);
        let lists = Lists::new(&collection, rows, frame, constant);
        let array = self.fold(&lists, &start, &captured, &mut frame.report(constant));
        column(array, constant)
    }
}

impl Reduce {
    /// Goes over the first items of all rows, then over the second ones, …; the rows that have as many are
    /// always the first ones, since they are ordered by their number of items.
    fn fold(
        &mut self,
        lists: &Lists,
        start: &ArrayRef,
        captured: &[Column],
        report: &mut Report,
    ) -> ArrayRef {
        let rows = start.len();
        let firsts: Vec<u32> =
            (0..=rows as u32).map(|row| lists.rows.partition_point(|r| *r < row) as u32).collect();
        // Without a start there is no result, whatever the items.
        let count = |row: u32| match start.is_null(row as usize) {
            true => 0,
            false => firsts[row as usize + 1] - firsts[row as usize],
        };
        let mut order: Vec<u32> = (0..rows as u32).collect();
        order.sort_by_key(|row| std::cmp::Reverse(count(*row)));

        let mut valid = vec![true; rows];
        let mut state = taken(start, &UInt32Array::from(order.clone()));
        // The states of rows whose items are used up, the last ones first.
        let mut finished: Vec<ArrayRef> = Vec::new();
        for step in 0.. {
            let active = order.partition_point(|row| count(*row) > step);
            if active < state.len() {
                finished.push(state.slice(active, state.len() - active));
                state = state.slice(0, active);
            }
            if active == 0 {
                break;
            }
            let places: UInt32Array = order[..active].iter().map(|r| firsts[*r as usize] + step).collect();
            let within = UInt32Array::from(order[..active].to_vec());
            let items = lists.items.iter().map(|items| Column::Array(taken(items, &places)));
            let captured = captured.iter().map(|column| at_rows(column, &within));
            let columns =
                std::iter::once(Column::Array(Arc::clone(&state))).chain(items).chain(captured).collect();
            let mut notes = Notes::of_every_row(active);
            state = self.function.run(columns, active, &mut notes).to_array(active);
            notes.each(|place, reason| fail(&mut valid, order[place] as usize, reason, report));
        }
        finished.reverse();
        let pieces: Vec<&dyn Array> = finished.iter().map(|piece| piece.as_ref()).collect();
        if pieces.is_empty() {
            return new_empty_array(start.data_type());
        }
        let ordered = concat(&pieces).expect("states have one type");
        let mut places: Vec<Option<u32>> = vec![None; rows];
        for (place, row) in order.iter().enumerate().filter(|(_, row)| valid[**row as usize]) {
            places[*row as usize] = Some(place as u32);
        }
        taken(&ordered, &UInt32Array::from(places))
    }
}
