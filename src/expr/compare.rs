//! `= <> < <= > >=` and IS [NOT] DISTINCT FROM.
//!
//! Comparisons are two-valued: an operand that is NULL makes them false. IS DISTINCT FROM takes NULL
//! and NaN for values like others. On DOUBLE the operators are IEEE's: NaN equals nothing.

use super::decimal;
use super::node::{
    Apply2, Child, Kernel2, Node, Side, Validity, boolean, column, is_null, own_nulls, parts, side, validity,
};
use crate::batch::Column;
use crate::sql::ast::BinaryOp;
use crate::types::SqlType;
use crate::value::Value;
use arrow_array::cast::AsArray;
use arrow_array::types::*;
use arrow_array::{Array, ArrowPrimitiveType, GenericByteViewArray};
use arrow_buffer::{BooleanBuffer, NullBuffer};
use std::cmp::Ordering;

/// One bit a row; one bit when both operands are constants. Bits under NULLs are arbitrary.
pub(crate) type Bits = Box<dyn Fn(&Column, &Column) -> BooleanBuffer>;

/// What the six operators come down to.
#[derive(Clone, Copy, PartialEq)]
enum Base {
    Eq,
    Less,
    LessEq,
}

pub(crate) fn node(op: BinaryOp, left: (Child, &SqlType), right: (Child, &SqlType)) -> Option<Box<dyn Node>> {
    let types = (left.1, right.1);
    let distinct = |negated| Some(is_distinct(bits(Base::Eq, types, true)?, negated));
    let plain = |base, invert| Some(two_valued(bits(base, types, false)?, invert));
    let (swap, kernel) = match op {
        BinaryOp::Eq => (false, plain(Base::Eq, false)?),
        BinaryOp::NotEq => (false, plain(Base::Eq, true)?),
        BinaryOp::Less => (false, plain(Base::Less, false)?),
        BinaryOp::LessEq => (false, plain(Base::LessEq, false)?),
        BinaryOp::Greater => (true, two_valued(bits(Base::Less, (types.1, types.0), false)?, false)),
        BinaryOp::GreaterEq => (true, two_valued(bits(Base::LessEq, (types.1, types.0), false)?, false)),
        BinaryOp::IsDistinctFrom => (false, distinct(false)?),
        BinaryOp::IsNotDistinctFrom => (false, distinct(true)?),
        _ => return None,
    };
    let kernel = if swap { swapped(kernel) } else { kernel };
    Some(Box::new(Apply2 { left: left.0, right: right.0, kernel }))
}

/// Operands keep their order of evaluation, and so notes theirs; only the kernel sees them swapped.
fn swapped(mut kernel: Kernel2) -> Kernel2 {
    Box::new(move |left, right, report| kernel(right, left, report))
}

/// Equality of one type's values, for IN.
pub(crate) fn equality(ty: &SqlType) -> Option<Kernel2> {
    Some(two_valued(bits(Base::Eq, (ty, ty), false)?, false))
}

fn two_valued(bits: Bits, invert: bool) -> Kernel2 {
    Box::new(move |left, right, _| {
        let Validity::Where(nulls) = validity(left, right) else {
            return Column::Const(boolean(BooleanBuffer::new_unset(1)));
        };
        let mut result = bits(left, right);
        if invert {
            result = !&result;
        }
        if let Some(nulls) = nulls {
            result = &result & nulls.inner();
        }
        column(boolean(result), parts(left).1 && parts(right).1)
    })
}

fn is_distinct(same: Bits, negated: bool) -> Kernel2 {
    Box::new(move |left, right, _| {
        let constant = parts(left).1 && parts(right).1;
        let rows = parts(left).0.len().max(parts(right).0.len());
        let rows = if constant { 1 } else { array_rows(left, right).unwrap_or(rows) };
        let (left_valid, right_valid) = (valid(left, rows), valid(right, rows));
        let both = &left_valid & &right_valid;
        let neither = &!&left_valid & &!&right_valid;
        let same =
            if is_null(left) || is_null(right) { neither } else { &(&same(left, right) & &both) | &neither };
        column(boolean(if negated { same } else { !&same }), constant)
    })
}

fn array_rows(left: &Column, right: &Column) -> Option<usize> {
    [left, right].into_iter().find(|c| !parts(c).1).map(|c| parts(c).0.len())
}

fn valid(column: &Column, rows: usize) -> BooleanBuffer {
    if is_null(column) {
        return BooleanBuffer::new_unset(rows);
    }
    own_nulls(column).map_or_else(|| BooleanBuffer::new_set(rows), |nulls: &NullBuffer| nulls.inner().clone())
}

/// Chooses the loop. `total`: NaN is equal to itself.
fn bits(base: Base, (left, right): (&SqlType, &SqlType), total: bool) -> Option<Bits> {
    if let (SqlType::Decimal { scale: left, .. }, SqlType::Decimal { scale: right, .. }) = (left, right) {
        return Some(decimals(base, *left, *right));
    }
    if left != right {
        return None;
    }
    Some(match left {
        SqlType::Int => ordered::<Int32Type>(base),
        SqlType::Bigint => ordered::<Int64Type>(base),
        SqlType::Double if total => primitives::<Float64Type>(|a, b| a == b || (a.is_nan() && b.is_nan())),
        SqlType::Double => ordered::<Float64Type>(base),
        SqlType::Date => ordered::<Date32Type>(base),
        SqlType::Time => ordered::<Time32MillisecondType>(base),
        SqlType::Timestamp => ordered::<TimestampMillisecondType>(base),
        SqlType::Varchar => texts::<StringViewType>(base),
        SqlType::Bytes => texts::<BinaryViewType>(base),
        SqlType::Boolean if base == Base::Eq => Box::new(|left, right| {
            by_row(left, right, |(a, i), (b, j)| a.as_boolean().value(i) == b.as_boolean().value(j))
        }),
        SqlType::Array(_) | SqlType::Map(..) | SqlType::Struct(_) if base == Base::Eq => {
            Box::new(|left, right| {
                by_row(left, right, |(a, i), (b, j)| same(&Value::at(a, i), &Value::at(b, j)))
            })
        }
        _ => return None,
    })
}

/// Equality of nested values; a map has no order.
fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Map(a), Value::Map(b)) => {
            a.len() == b.len() && a.iter().all(|(k, v)| b.iter().any(|(l, w)| same(k, l) && same(v, w)))
        }
        (Value::Array(a), Value::Array(b)) | (Value::Struct(a), Value::Struct(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b))
        }
        _ => a == b,
    }
}

fn ordered<P: ArrowPrimitiveType>(base: Base) -> Bits
where
    P::Native: PartialOrd,
{
    match base {
        Base::Eq => primitives::<P>(|a, b| a == b),
        Base::Less => primitives::<P>(|a, b| a < b),
        Base::LessEq => primitives::<P>(|a, b| a <= b),
    }
}

fn primitives<P: ArrowPrimitiveType>(f: impl Fn(P::Native, P::Native) -> bool + Copy + 'static) -> Bits {
    Box::new(move |left, right| pairs(side::<P>(left), side::<P>(right), f))
}

fn pairs<T: Copy>(left: Side<T>, right: Side<T>, f: impl Fn(T, T) -> bool) -> BooleanBuffer {
    let (a, b) = (left.values, right.values);
    match (left.constant, right.constant) {
        (false, false) => {
            let b = &b[..a.len()];
            BooleanBuffer::collect_bool(a.len(), |i| f(a[i], b[i]))
        }
        (false, true) => {
            let b = b[0];
            BooleanBuffer::collect_bool(a.len(), |i| f(a[i], b))
        }
        (true, _) => {
            let a = a[0];
            BooleanBuffer::collect_bool(b.len(), |i| f(a, b[i]))
        }
    }
}

fn decimals(base: Base, left: u8, right: u8) -> Bits {
    if left == right {
        return ordered::<Decimal128Type>(base);
    }
    let order = move |a, b| decimal::compare(a, left, b, right);
    match base {
        Base::Eq => primitives::<Decimal128Type>(move |a, b| order(a, b) == Ordering::Equal),
        Base::Less => primitives::<Decimal128Type>(move |a, b| order(a, b) == Ordering::Less),
        Base::LessEq => primitives::<Decimal128Type>(move |a, b| order(a, b) != Ordering::Greater),
    }
}

/// Calls `f` with the arrays and the row in each.
fn by_row(
    left: &Column,
    right: &Column,
    f: impl Fn((&dyn Array, usize), (&dyn Array, usize)) -> bool,
) -> BooleanBuffer {
    let ((a, a_constant), (b, b_constant)) = (parts(left), parts(right));
    let rows = if a_constant { b.len() } else { a.len() };
    BooleanBuffer::collect_bool(rows, |i| {
        f((a, if a_constant { 0 } else { i }), (b, if b_constant { 0 } else { i }))
    })
}

/// Text and bytes. A view's low half holds the length and the first four bytes: most rows are
/// decided by it without a look at the buffer.
fn texts<T: ByteViewType>(base: Base) -> Bits {
    Box::new(move |left, right| {
        let ((a, a_constant), (b, b_constant)) = (parts(left), parts(right));
        let (a, b) = (a.as_byte_view::<T>(), b.as_byte_view::<T>());
        match (base, a_constant, b_constant) {
            (Base::Eq, false, true) => equal_to(a, b),
            (Base::Eq, true, false) => equal_to(b, a),
            _ => {
                let rows = if a_constant { b.len() } else { a.len() };
                BooleanBuffer::collect_bool(rows, |i| {
                    let (i, j) = (if a_constant { 0 } else { i }, if b_constant { 0 } else { i });
                    match base {
                        Base::Eq => views_equal(a, i, b, j),
                        Base::Less => order_views(a, i, b, j) == Ordering::Less,
                        Base::LessEq => order_views(a, i, b, j) != Ordering::Greater,
                    }
                })
            }
        }
    })
}

/// The bytes of row `i`.
pub(crate) fn bytes_at<T: ByteViewType>(array: &GenericByteViewArray<T>, i: usize) -> &[u8] {
    array.value(i).as_ref()
}

/// Every row against the one value of `constant`.
fn equal_to<T: ByteViewType>(
    array: &GenericByteViewArray<T>,
    constant: &GenericByteViewArray<T>,
) -> BooleanBuffer {
    let views: &[u128] = array.views();
    let wanted = constant.views()[0];
    if wanted as u32 <= arrow_data::MAX_INLINE_VIEW_LEN {
        return BooleanBuffer::collect_bool(views.len(), |i| views[i] == wanted);
    }
    let bytes = bytes_at(constant, 0);
    BooleanBuffer::collect_bool(views.len(), |i| {
        views[i] as u64 == wanted as u64 && bytes_at(array, i) == bytes
    })
}

fn views_equal<T: ByteViewType>(
    a: &GenericByteViewArray<T>,
    i: usize,
    b: &GenericByteViewArray<T>,
    j: usize,
) -> bool {
    let (x, y) = (a.views()[i], b.views()[j]);
    if x as u64 != y as u64 {
        return false;
    }
    if x as u32 <= arrow_data::MAX_INLINE_VIEW_LEN { x == y } else { bytes_at(a, i) == bytes_at(b, j) }
}

fn order_views<T: ByteViewType>(
    a: &GenericByteViewArray<T>,
    i: usize,
    b: &GenericByteViewArray<T>,
    j: usize,
) -> Ordering {
    // Shorter texts are padded with zeros, which order before everything.
    let prefix = |view: u128| ((view >> 32) as u32).swap_bytes();
    prefix(a.views()[i]).cmp(&prefix(b.views()[j])).then_with(|| bytes_at(a, i).cmp(bytes_at(b, j)))
}
