//! AND, OR, NOT, IS [NOT] NULL, and truth: what a condition says of each row.
//!
//! Comparisons never yield NULL, so a NULL condition is a column or function that has no value. In
//! the dialect such a condition fails the expression. Here AND and OR take it for false and are
//! always true or false; NOT leaves it NULL, so that neither `flag` nor `NOT flag` selects the row.

use super::node::{Child, Frame, Node, boolean, column, parts};
use crate::batch::Column;
use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, BooleanArray};
use arrow_buffer::BooleanBuffer;
use std::sync::Arc;

/// A condition's rows; NULL counts as false.
pub(crate) enum Truth {
    All(bool),
    Bits(BooleanBuffer),
}

pub(crate) fn truth(column: &Column) -> Truth {
    let (array, constant) = parts(column);
    let bits = truth_bits(array.as_boolean());
    if constant { Truth::All(bits.value(0)) } else { Truth::Bits(bits) }
}

fn truth_bits(array: &BooleanArray) -> BooleanBuffer {
    match array.nulls() {
        Some(nulls) => array.values() & nulls.inner(),
        None => array.values().clone(),
    }
}

impl From<Truth> for Column {
    fn from(truth: Truth) -> Column {
        match truth {
            Truth::All(value) => Column::Const(boolean(BooleanBuffer::collect_bool(1, |_| value))),
            Truth::Bits(bits) => Column::Array(boolean(bits)),
        }
    }
}

/// AND, OR. The right side is asked only for rows that the left side leaves open.
pub(crate) struct Logical {
    pub left: Child,
    pub right: Child,
    /// What a side decides by itself: true for OR, false for AND.
    pub decides: bool,
}

impl Node for Logical {
    fn eval(&mut self, frame: &mut Frame<'_>) -> Column {
        let left = match truth(&self.left.eval(frame)) {
            Truth::All(value) if value == self.decides => return Truth::All(value).into(),
            Truth::All(_) => return truth(&self.right.eval(frame)).into(),
            Truth::Bits(bits) => bits,
        };
        let mut open = if self.decides { !&left } else { left.clone() };
        if let Some(mask) = frame.mask {
            open = &open & mask;
        }
        if !open.has_true() {
            return Column::Array(boolean(left));
        }
        let result = match truth(&self.right.eval(&mut frame.within(&open))) {
            Truth::All(value) if value == self.decides => return Truth::All(value).into(),
            Truth::All(_) => left,
            Truth::Bits(right) if self.decides => &left | &right,
            Truth::Bits(right) => &left & &right,
        };
        Column::Array(boolean(result))
    }
}

/// NOT of an array; NULL stays NULL.
pub(crate) fn not(array: &ArrayRef) -> ArrayRef {
    let array = array.as_boolean();
    Arc::new(BooleanArray::new(!array.values(), array.nulls().cloned()))
}

/// IS NULL, IS NOT NULL.
pub(crate) struct IsNull {
    pub operand: Child,
    pub negated: bool,
}

impl Node for IsNull {
    fn eval(&mut self, frame: &mut Frame<'_>) -> Column {
        let operand = self.operand.eval(frame);
        let (array, constant) = parts(&operand);
        let bits = match array.nulls() {
            Some(nulls) if self.negated => nulls.inner().clone(),
            Some(nulls) => !nulls.inner(),
            None if self.negated => BooleanBuffer::new_set(array.len()),
            None => BooleanBuffer::new_unset(array.len()),
        };
        column(boolean(bits), constant)
    }
}
