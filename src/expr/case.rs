//! CASE: every branch is asked only for the rows that take it, then the branches are merged.

use super::logic::{Truth, truth};
use super::node::{Child, Frame, Node, is_null, own_nulls, parts};
use crate::batch::Column;
use arrow_array::cast::AsArray;
use arrow_array::types::*;
use arrow_array::{Array, ArrayRef, ArrowPrimitiveType, BooleanArray, GenericByteViewArray, PrimitiveArray};
use arrow_buffer::{BooleanBuffer, Buffer, NullBuffer};
use arrow_schema::DataType;
use std::sync::Arc;

pub(crate) struct Case {
    pub branches: Vec<(Child, Child)>,
    pub otherwise: Option<Child>,
    pub ty: DataType,
}

/// The rows that a branch gives the value of.
struct Pick {
    rows: BooleanBuffer,
    value: Column,
}

impl Node for Case {
    fn eval(&mut self, frame: &mut Frame<'_>) -> Column {
        let mut open = frame.open();
        let mut picks = Vec::with_capacity(self.branches.len() + 1);
        for (when, then) in &mut self.branches {
            if !open.has_true() {
                break;
            }
            let rows = match truth(&when.eval(&mut frame.within(&open))) {
                Truth::All(false) => continue,
                Truth::All(true) => open.clone(),
                Truth::Bits(bits) => &open & &bits,
            };
            if !rows.has_true() {
                continue;
            }
            let value = then.eval(&mut frame.within(&rows));
            open = &open & &!&rows;
            picks.push(Pick { rows, value });
        }
        if open.has_true() {
            let value = match &mut self.otherwise {
                Some(otherwise) => otherwise.eval(&mut frame.within(&open)),
                None => Column::null(&self.ty),
            };
            picks.push(Pick { rows: open, value });
        }
        match picks.len() {
            0 => Column::null(&self.ty),
            1 => picks.remove(0).value,
            _ => Column::Array(merge(&picks, frame.rows(), &self.ty)),
        }
    }
}

/// One array out of several columns; rows that no branch gave are arbitrary.
fn merge(picks: &[Pick], rows: usize, ty: &DataType) -> ArrayRef {
    match ty {
        DataType::Boolean => merge_bits(picks, rows),
        DataType::Int32 => merge_primitive::<Int32Type>(picks, rows, ty),
        DataType::Int64 => merge_primitive::<Int64Type>(picks, rows, ty),
        DataType::Float64 => merge_primitive::<Float64Type>(picks, rows, ty),
        DataType::Decimal128(..) => merge_primitive::<Decimal128Type>(picks, rows, ty),
        DataType::Date32 => merge_primitive::<Date32Type>(picks, rows, ty),
        DataType::Time32(_) => merge_primitive::<Time32MillisecondType>(picks, rows, ty),
        DataType::Timestamp(..) => merge_primitive::<TimestampMillisecondType>(picks, rows, ty),
        DataType::Utf8View => merge_views::<StringViewType>(picks, rows),
        DataType::BinaryView => merge_views::<BinaryViewType>(picks, rows),
        _ => merge_any(picks, rows),
    }
}

fn merge_nulls(picks: &[Pick], rows: usize) -> Option<NullBuffer> {
    if picks.iter().all(|p| !is_null(&p.value) && own_nulls(&p.value).is_none()) {
        return None;
    }
    let mut valid = BooleanBuffer::new_unset(rows);
    for pick in picks.iter().filter(|p| !is_null(&p.value)) {
        valid = match own_nulls(&pick.value) {
            Some(nulls) => &valid | &(&pick.rows & nulls.inner()),
            None => &valid | &pick.rows,
        };
    }
    Some(NullBuffer::new(valid))
}

fn merge_bits(picks: &[Pick], rows: usize) -> ArrayRef {
    let mut bits = BooleanBuffer::new_unset(rows);
    for Pick { rows: taken, value } in picks {
        bits = match truth(value) {
            Truth::All(false) => bits,
            Truth::All(true) => &bits | taken,
            Truth::Bits(value) => &bits | &(taken & &value),
        };
    }
    Arc::new(BooleanArray::new(bits, merge_nulls(picks, rows)))
}

/// Fills in the branches. What most rows take is copied as a whole, the rest row by row.
fn merge_values<T: Copy + Default>(picks: &[Pick], rows: usize, values: &[&[T]]) -> Vec<T> {
    let most = (0..picks.len()).max_by_key(|i| picks[*i].rows.count_set_bits()).unwrap_or(0);
    let mut out = match parts(&picks[most].value).1 {
        true => vec![values[most][0]; rows],
        false => values[most].to_vec(),
    };
    for (i, Pick { rows: taken, value }) in picks.iter().enumerate().filter(|(i, _)| *i != most) {
        if parts(value).1 {
            let constant = values[i][0];
            taken.set_indices().for_each(|row| out[row] = constant);
        } else {
            taken.set_indices().for_each(|row| out[row] = values[i][row]);
        }
    }
    out
}

fn merge_primitive<P: ArrowPrimitiveType>(picks: &[Pick], rows: usize, ty: &DataType) -> ArrayRef {
    let values: Vec<&[P::Native]> =
        picks.iter().map(|p| &parts(&p.value).0.as_primitive::<P>().values()[..]).collect();
    let values = merge_values(picks, rows, &values);
    Arc::new(PrimitiveArray::<P>::new(values.into(), merge_nulls(picks, rows)).with_data_type(ty.clone()))
}

/// Text stays where it is: the result points into the branches' buffers.
fn merge_views<T: ByteViewType>(picks: &[Pick], rows: usize) -> ArrayRef {
    let mut buffers: Vec<Buffer> = Vec::new();
    let mut shifted: Vec<Vec<u128>> = Vec::with_capacity(picks.len());
    for pick in picks {
        let array = parts(&pick.value).0.as_byte_view::<T>();
        let shift = (buffers.len() as u128) << 64;
        let view = |view: &u128| {
            if *view as u32 > arrow_data::MAX_INLINE_VIEW_LEN { *view + shift } else { *view }
        };
        shifted.push(array.views().iter().map(view).collect());
        buffers.extend(array.data_buffers().iter().cloned());
    }
    let values: Vec<&[u128]> = shifted.iter().map(Vec::as_slice).collect();
    let views = merge_values(picks, rows, &values);
    // SAFETY: every view comes from a valid array of the same kind; its buffer index was moved by
    // the number of buffers that stand before that array's own.
    let array =
        unsafe { GenericByteViewArray::<T>::new_unchecked(views.into(), buffers, merge_nulls(picks, rows)) };
    Arc::new(array)
}

fn merge_any(picks: &[Pick], rows: usize) -> ArrayRef {
    let mut source = vec![(0, 0); rows];
    for (i, Pick { rows: taken, value }) in picks.iter().enumerate() {
        let constant = parts(value).1;
        taken.set_indices().for_each(|row| source[row] = (i, if constant { 0 } else { row }));
    }
    let arrays: Vec<&dyn Array> = picks.iter().map(|p| parts(&p.value).0.as_ref()).collect();
    arrow_select::interleave::interleave(&arrays, &source).expect("branches have one type")
}
