//! `->`, subscripts, and the constructors ARRAY[], MAP() and STRUCT().

use super::compare::bytes_at;
use super::node::{Child, Frame, Kernel2, Node, Report, column, parts};
use crate::batch::Column;
use crate::types::SqlType;
use crate::value::Value;
use arrow_array::cast::AsArray;
use arrow_array::types::{Int64Type, StringViewType};
use arrow_array::{
    Array, ArrayRef, BooleanArray, ListArray, MapArray, StringViewArray, StructArray, UInt32Array,
};
use arrow_buffer::{BooleanBuffer, OffsetBuffer};
use arrow_schema::{DataType, Fields};
use std::sync::Arc;

/// Field `index` of a struct array; NULL where the struct is.
pub(crate) fn field(array: &ArrayRef, index: usize) -> ArrayRef {
    let array = array.as_struct();
    let values = array.column(index);
    match array.nulls() {
        Some(nulls) if nulls.null_count() > 0 => {
            let gone = BooleanArray::new(!nulls.inner(), None);
            arrow_select::nullif::nullif(values, &gone).expect("a field is as long as its struct")
        }
        _ => Arc::clone(values),
    }
}

/// `base[index]`: where there is no such element, NULL.
pub(crate) fn subscript(base: &SqlType) -> Option<Kernel2> {
    match base {
        SqlType::Array(_) => Some(Box::new(|base, index, report| pick(base, index, report, in_array))),
        SqlType::Map(key, _) if **key == SqlType::Varchar => {
            Some(Box::new(|base, index, report| pick(base, index, report, in_text_map)))
        }
        SqlType::Map(..) => Some(Box::new(|base, index, report| pick(base, index, report, in_map))),
        _ => None,
    }
}

/// Finds an element's place in the values of all rows: (base, row), (index, row) → place.
type Find = fn((&ArrayRef, usize), (&ArrayRef, usize)) -> Option<u32>;

fn pick(base: &Column, index: &Column, _: &mut Report, find: Find) -> Column {
    let ((array, array_constant), (keys, keys_constant)) = (parts(base), parts(index));
    let constant = array_constant && keys_constant;
    let rows = if array_constant { keys.len() } else { array.len() };
    let places: UInt32Array = (0..rows)
        .map(|row| {
            let (i, j) = (if array_constant { 0 } else { row }, if keys_constant { 0 } else { row });
            if array.is_null(i) || keys.is_null(j) { None } else { find((array, i), (keys, j)) }
        })
        .collect();
    let values = match array.data_type() {
        DataType::Map(..) => array.as_map().values(),
        _ => array.as_list::<i32>().values(),
    };
    let taken = arrow_select::take::take(values, &places, None).expect("places are within the values");
    column(taken, constant)
}

/// 1-based; negative from the end.
fn in_array((array, row): (&ArrayRef, usize), (keys, key): (&ArrayRef, usize)) -> Option<u32> {
    let offsets = array.as_list::<i32>().value_offsets();
    let (start, end) = (offsets[row] as i64, offsets[row + 1] as i64);
    let index = keys.as_primitive::<Int64Type>().value(key);
    let place = match index {
        1.. => start.checked_add(index - 1)?,
        0 => return None,
        _ => end.checked_add(index)?,
    };
    (start <= place && place < end).then_some(place as u32)
}

fn in_text_map((array, row): (&ArrayRef, usize), (keys, key): (&ArrayRef, usize)) -> Option<u32> {
    let map = array.as_map();
    let (entries, offsets) = (map.keys().as_byte_view::<StringViewType>(), map.value_offsets());
    let wanted = bytes_at(keys.as_byte_view::<StringViewType>(), key);
    (offsets[row]..offsets[row + 1]).find(|i| bytes_at(entries, *i as usize) == wanted).map(|i| i as u32)
}

fn in_map((array, row): (&ArrayRef, usize), (keys, key): (&ArrayRef, usize)) -> Option<u32> {
    let (map, wanted) = (array.as_map(), Value::at(keys, key));
    let offsets = map.value_offsets();
    (offsets[row]..offsets[row + 1]).find(|i| Value::at(map.keys(), *i as usize) == wanted).map(|i| i as u32)
}

/// Evaluates the parts of a constructor; with it whether all are constants.
fn eval_all(children: &mut [Child], frame: &mut Frame<'_>) -> (Vec<Column>, bool) {
    let columns: Vec<Column> = children.iter_mut().map(|child| child.eval(frame)).collect();
    let constant = columns.iter().all(|c| parts(c).1);
    (columns, constant)
}

/// STRUCT(): the columns as they are.
pub(crate) struct StructNode {
    pub fields: Fields,
    pub children: Vec<Child>,
}

impl Node for StructNode {
    fn eval(&mut self, frame: &mut Frame<'_>) -> Column {
        let (columns, constant) = eval_all(&mut self.children, frame);
        let rows = if constant { 1 } else { frame.rows() };
        let arrays = columns
            .iter()
            .map(|c| if constant { Arc::clone(parts(c).0) } else { c.to_array(rows) })
            .collect();
        let array = StructArray::try_new_with_length(self.fields.clone(), arrays, None, rows)
            .expect("binding gave every field its type");
        column(Arc::new(array), constant)
    }
}

/// ARRAY[]
pub(crate) struct ArrayNode {
    pub ty: DataType,
    pub children: Vec<Child>,
}

impl Node for ArrayNode {
    fn eval(&mut self, frame: &mut Frame<'_>) -> Column {
        let (columns, constant) = eval_all(&mut self.children, frame);
        let rows = if constant { 1 } else { frame.rows() };
        let DataType::List(field) = &self.ty else { unreachable!("ARRAY[] has type {}", self.ty) };
        let values = weave(&columns, rows, field.data_type());
        let offsets = OffsetBuffer::from_repeated_length(columns.len(), rows);
        column(Arc::new(ListArray::new(Arc::clone(field), offsets, values, None)), constant)
    }
}

/// The values of row 0 in order, then those of row 1, and so on.
fn weave(columns: &[Column], rows: usize, ty: &DataType) -> ArrayRef {
    if columns.is_empty() || rows == 0 {
        return arrow_array::new_empty_array(ty);
    }
    let arrays: Vec<&dyn Array> = columns.iter().map(|c| parts(c).0.as_ref()).collect();
    let constant: Vec<bool> = columns.iter().map(|c| parts(c).1).collect();
    let places: Vec<(usize, usize)> = (0..rows)
        .flat_map(|row| constant.iter().enumerate().map(move |(i, c)| (i, if *c { 0 } else { row })))
        .collect();
    arrow_select::interleave::interleave(&arrays, &places).expect("binding gave every element one type")
}

/// MAP(): of equal keys the last one counts; a NULL key makes the map NULL and a note.
pub(crate) struct MapNode {
    pub ty: DataType,
    pub keys: Vec<Child>,
    pub values: Vec<Child>,
}

impl Node for MapNode {
    fn eval(&mut self, frame: &mut Frame<'_>) -> Column {
        let (mut keys, keys_constant) = eval_all(&mut self.keys, frame);
        keys.iter_mut().for_each(name_nulls);
        let (values, values_constant) = eval_all(&mut self.values, frame);
        let constant = keys_constant && values_constant;
        let rows = if constant { 1 } else { frame.rows() };
        let DataType::Map(field, _) = &self.ty else { unreachable!("MAP() has type {}", self.ty) };
        let DataType::Struct(fields) = field.data_type() else { unreachable!("a map holds entries") };
        let kept = kept_entries(&keys, rows, keys_constant);
        let mut report = frame.report(constant);
        for row in (0..rows).filter(|row| kept.of(*row).is_none()) {
            report.note(row, || "MAP: a key is NULL".to_string());
        }

        let places = |row: usize| kept.of(row).unwrap_or_default();
        let offsets = OffsetBuffer::from_lengths((0..rows).map(|row| places(row).len()));
        let gather = |columns: &[Column], ty: &DataType| {
            let arrays: Vec<&dyn Array> = columns.iter().map(|c| parts(c).0.as_ref()).collect();
            let constant: Vec<bool> = columns.iter().map(|c| parts(c).1).collect();
            let indices: Vec<(usize, usize)> = (0..rows)
                .flat_map(|row| places(row).iter().map(move |i| (*i, row)))
                .map(|(i, row)| (i, if constant[i] { 0 } else { row }))
                .collect();
            if indices.is_empty() {
                return arrow_array::new_empty_array(ty);
            }
            arrow_select::interleave::interleave(&arrays, &indices).expect("binding gave all one type")
        };
        let columns = vec![gather(&keys, fields[0].data_type()), gather(&values, fields[1].data_type())];
        let entries = StructArray::new(fields.clone(), columns, None);
        let nulls = BooleanBuffer::collect_bool(rows, |row| kept.of(row).is_some());
        let nulls = nulls.has_false().then(|| nulls.into());
        column(Arc::new(MapArray::new(Arc::clone(field), offsets, entries, nulls, false)), constant)
    }
}

/// A key that is NULL is written as its text, as in JSON; only keys that are no text have none.
fn name_nulls(keys: &mut Column) {
    let (array, constant) = parts(keys);
    if array.null_count() > 0
        && let Some(texts) = array.as_string_view_opt()
    {
        let named: StringViewArray = texts.iter().map(|key| Some(key.unwrap_or("null"))).collect();
        *keys = column(Arc::new(named), constant);
    }
}

/// Which entries of each row make it into its map; `None`: a key is NULL.
enum Kept {
    /// Keys are literals, as they usually are: one answer for all rows.
    Same(Option<Vec<usize>>),
    Each(Vec<Option<Vec<usize>>>),
}

impl Kept {
    fn of(&self, row: usize) -> Option<&[usize]> {
        match self {
            Kept::Same(entries) => entries.as_deref(),
            Kept::Each(rows) => rows[row].as_deref(),
        }
    }
}

fn kept_entries(keys: &[Column], rows: usize, constant: bool) -> Kept {
    let of = |row: usize| {
        let values: Vec<Value> = keys.iter().map(|key| key.value(row)).collect();
        let last = |i: &usize| !values[i + 1..].contains(&values[*i]);
        (!values.iter().any(Value::is_null)).then(|| (0..values.len()).filter(last).collect())
    };
    if constant { Kept::Same(of(0)) } else { Kept::Each((0..rows).map(of).collect()) }
}
