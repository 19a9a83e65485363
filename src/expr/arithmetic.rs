//! `+ - * / %` and negation on INT, BIGINT and DOUBLE; DECIMAL is in `decimal.rs`, text in `concat.rs`.
//!
//! Integers wrap as in Java, division truncates, division by zero is NULL and a note; DOUBLE is IEEE.

use super::node::{
    Apply2, Child, Frame, Kernel1, Kernel2, Node, Validity, column, map2, parts, primitive, side, try_map2,
    validity,
};
use super::{decimal, node};
use crate::batch::Column;
use crate::sql::ast::BinaryOp;
use crate::types::SqlType;
use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int32Type, Int64Type};
use arrow_array::{Array, ArrowPrimitiveType};
use std::fmt::Display;
use std::sync::Arc;

/// The node of an arithmetic operator on operands of the given types.
pub(crate) fn node(
    op: BinaryOp,
    left: (Child, &SqlType),
    right: (Child, &SqlType),
    result: &SqlType,
) -> Option<Box<dyn Node>> {
    let kernel = match (result, left.1, right.1) {
        (
            SqlType::Decimal { .. },
            SqlType::Decimal { scale: left, .. },
            SqlType::Decimal { scale: right, .. },
        ) => decimal::kernel(op, *left, *right, result)?,
        _ if left.1 != right.1 || left.1 != result => return None,
        (SqlType::Int, ..) => int(op)?,
        (SqlType::Bigint, ..) => bigint(op)?,
        (SqlType::Double, ..) => double(op)?,
        _ => return None,
    };
    Some(Box::new(Apply2 { left: left.0, right: right.0, kernel }))
}

/// Arithmetic in the body of a lambda function: there a NULL operand is a failure, not a NULL result.
pub(crate) struct Strict(pub Child);

impl Node for Strict {
    fn eval(&mut self, frame: &mut Frame<'_>) -> Column {
        let result = self.0.eval(frame);
        let (array, constant) = parts(&result);
        if array.null_count() > 0 {
            let mut report = frame.report(constant);
            for row in (0..array.len()).filter(|row| array.is_null(*row)) {
                report.note(row, || "arithmetic with NULL".to_string());
            }
        }
        result
    }
}

/// `-x`
pub(crate) fn negate(ty: &SqlType) -> Option<Kernel1> {
    match ty {
        SqlType::Int => Some(unary::<Int32Type>(ty, i32::wrapping_neg)),
        SqlType::Bigint => Some(unary::<Int64Type>(ty, i64::wrapping_neg)),
        SqlType::Double => Some(unary::<Float64Type>(ty, |v| -v)),
        SqlType::Decimal { .. } => {
            Some(unary::<arrow_array::types::Decimal128Type>(ty, |v: i128| v.wrapping_neg()))
        }
        _ => None,
    }
}

fn unary<P: ArrowPrimitiveType>(ty: &SqlType, f: impl Fn(P::Native) -> P::Native + 'static) -> Kernel1 {
    let ty = ty.arrow();
    Box::new(move |array, _| {
        let array = array.as_primitive::<P>();
        primitive::<P>(array.values().iter().map(|v| f(*v)).collect(), array.nulls().cloned(), &ty)
    })
}

macro_rules! integer {
    ($name:ident, $native:ty, $arrow:ty) => {
        fn $name(op: BinaryOp) -> Option<Kernel2> {
            Some(match op {
                BinaryOp::Plus => total::<$arrow>(<$native>::wrapping_add),
                BinaryOp::Minus => total::<$arrow>(<$native>::wrapping_sub),
                BinaryOp::Multiply => total::<$arrow>(<$native>::wrapping_mul),
                BinaryOp::Divide => {
                    partial::<$arrow>(op, |a: $native, b| (b != 0).then(|| a.wrapping_div(b)))
                }
                BinaryOp::Modulo => {
                    partial::<$arrow>(op, |a: $native, b| (b != 0).then(|| a.wrapping_rem(b)))
                }
                _ => return None,
            })
        }
    };
}

integer!(int, i32, Int32Type);
integer!(bigint, i64, Int64Type);

fn double(op: BinaryOp) -> Option<Kernel2> {
    Some(match op {
        BinaryOp::Plus => total::<Float64Type>(|a, b| a + b),
        BinaryOp::Minus => total::<Float64Type>(|a, b| a - b),
        BinaryOp::Multiply => total::<Float64Type>(|a, b| a * b),
        BinaryOp::Divide => total::<Float64Type>(|a, b| a / b),
        BinaryOp::Modulo => total::<Float64Type>(|a, b| a % b),
        _ => return None,
    })
}

/// An operation that has a result for all operands.
fn total<P: ArrowPrimitiveType>(f: impl Fn(P::Native, P::Native) -> P::Native + Copy + 'static) -> Kernel2 {
    Box::new(move |left, right, _| {
        let Validity::Where(nulls) = validity(left, right) else {
            return Column::null(&P::DATA_TYPE);
        };
        let values = map2(side::<P>(left), side::<P>(right), f);
        let array = node::primitive::<P>(values, nulls, &P::DATA_TYPE);
        column(array, parts(left).1 && parts(right).1)
    })
}

/// An operation that fails on some operands.
fn partial<P: ArrowPrimitiveType<Native: Display + Default>>(
    op: BinaryOp,
    f: impl Fn(P::Native, P::Native) -> Option<P::Native> + Copy + 'static,
) -> Kernel2 {
    Box::new(move |left, right, report| {
        let Validity::Where(_) = validity(left, right) else {
            return Column::null(&P::DATA_TYPE);
        };
        let (values, nulls) = try_map2(
            side::<P>(left),
            side::<P>(right),
            f,
            |a, b| format!("division by zero: {a} {} {b}", op.symbol()),
            report,
        );
        let array = Arc::new(arrow_array::PrimitiveArray::<P>::new(values.into(), nulls));
        column(array, parts(left).1 && parts(right).1)
    })
}
