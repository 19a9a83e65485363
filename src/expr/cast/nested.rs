//! ARRAY, MAP and STRUCT, element by element.
//!
//! Struct fields go by name; when no name occurs on both sides, by position. A field that the source
//! lacks is NULL.

use crate::expr::node::{Kernel1, Report};
use crate::types::{SqlType, StructField};
use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, ListArray, MapArray, StructArray, new_null_array};
use arrow_buffer::{NullBuffer, OffsetBuffer};
use arrow_schema::DataType;
use std::sync::Arc;

pub(super) fn kernel(from: &SqlType, to: &SqlType) -> Option<Kernel1> {
    match (from, to) {
        (SqlType::Array(a), SqlType::Array(b)) => array(super::kernel(a, b)?, to),
        (SqlType::Map(k, v), SqlType::Map(l, w)) if keys_survive(k, l) => {
            map(super::kernel(k, l)?, super::kernel(v, w)?, to)
        }
        (SqlType::Struct(a), SqlType::Struct(b)) => structs(a, b, to),
        _ => None,
    }
}

/// A key cannot be NULL, so that only casts that never fail do for keys.
fn keys_survive(from: &SqlType, to: &SqlType) -> bool {
    from == to || *to == SqlType::Varchar || (*from == SqlType::Int && *to == SqlType::Bigint)
}

fn array(mut item: Kernel1, to: &SqlType) -> Option<Kernel1> {
    let DataType::List(field) = to.arrow() else { return None };
    Some(Box::new(move |array, report| {
        let array = array.as_list::<i32>();
        let values = elements(&mut item, array.values(), array.offsets(), array.nulls(), report);
        let nulls = array.nulls().cloned();
        Arc::new(ListArray::new(Arc::clone(&field), array.offsets().clone(), values, nulls)) as ArrayRef
    }))
}

fn map(mut key: Kernel1, mut value: Kernel1, to: &SqlType) -> Option<Kernel1> {
    let DataType::Map(field, _) = to.arrow() else { return None };
    let DataType::Struct(fields) = field.data_type().clone() else { return None };
    Some(Box::new(move |array, report| {
        let array = array.as_map();
        let (offsets, nulls) = (array.offsets(), array.nulls());
        let keys = elements(&mut key, array.keys(), offsets, nulls, report);
        let values = elements(&mut value, array.values(), offsets, nulls, report);
        let entries = StructArray::new(fields.clone(), vec![keys, values], None);
        Arc::new(MapArray::new(Arc::clone(&field), offsets.clone(), entries, nulls.cloned(), false))
            as ArrayRef
    }))
}

/// Casts the elements of all rows at once; a note names the row that an element belongs to.
fn elements(
    kernel: &mut Kernel1,
    values: &ArrayRef,
    offsets: &OffsetBuffer<i32>,
    nulls: Option<&NullBuffer>,
    report: &mut Report,
) -> ArrayRef {
    let mut notes = report.notes_on(values.len());
    let result = kernel(values, &mut Report::new(&mut notes));
    notes.each(|element, reason| {
        // Elements before the first and after the last offset belong to no row.
        let after = offsets.partition_point(|offset| *offset as usize <= element);
        let row = after.checked_sub(1).filter(|row| *row + 1 < offsets.len());
        if let Some(row) = row.filter(|row| nulls.is_none_or(|nulls| nulls.is_valid(*row))) {
            report.note(row, || reason.to_string());
        }
    });
    result
}

fn structs(from: &[StructField], to: &[StructField], ty: &SqlType) -> Option<Kernel1> {
    let DataType::Struct(fields) = ty.arrow() else { return None };
    let mut columns = Vec::with_capacity(to.len());
    for (source, target) in sources(from, to)?.into_iter().zip(to) {
        let kernel = match source {
            Some(i) => Some((i, super::kernel(&from[i].ty, &target.ty)?)),
            None => None,
        };
        columns.push((kernel, target.ty.arrow()));
    }
    Some(Box::new(move |array, report| {
        let array = array.as_struct();
        let arrays = columns
            .iter_mut()
            .map(|(source, ty)| match source {
                Some((i, kernel)) => field(kernel, array.column(*i), array.nulls(), report),
                None => new_null_array(ty, array.len()),
            })
            .collect();
        Arc::new(StructArray::new(fields.clone(), arrays, array.nulls().cloned())) as ArrayRef
    }))
}

/// What is below a NULL struct is nobody's failure.
fn field(
    kernel: &mut Kernel1,
    column: &ArrayRef,
    nulls: Option<&NullBuffer>,
    report: &mut Report,
) -> ArrayRef {
    let mut notes = report.notes_on(column.len());
    let result = kernel(column, &mut Report::new(&mut notes));
    notes.each(|row, reason| {
        if nulls.is_none_or(|nulls| nulls.is_valid(row)) {
            report.note(row, || reason.to_string());
        }
    });
    result
}

/// The source field of each target field.
fn sources(from: &[StructField], to: &[StructField]) -> Option<Vec<Option<usize>>> {
    let named: Vec<Option<usize>> =
        to.iter().map(|target| from.iter().position(|f| f.name == target.name)).collect();
    if named.iter().any(Option::is_some) || from.is_empty() {
        return Some(named);
    }
    (from.len() == to.len()).then(|| (0..to.len()).map(Some).collect())
}
