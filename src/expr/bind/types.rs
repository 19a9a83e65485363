//! Which types go together: implicit conversions and common types.

use super::fold::fold;
use super::{literal, null};
use crate::error::Error;
use crate::expr::decimal::{self, fit, rescale};
use crate::expr::{Expr, ExprKind};
use crate::time::iso;
use crate::types::{SqlType, StructField};
use crate::value::Value;

/// Converts without being asked to, where nothing can get lost: INT → BIGINT → DECIMAL → DOUBLE,
/// DATE → TIMESTAMP, the elements of nested types likewise, NULL to anything; a literal number to any
/// DECIMAL that holds it, and a literal text to the DATE, TIME or TIMESTAMP that it says.
pub fn coerce(expr: Expr, ty: &SqlType) -> Option<Expr> {
    if expr.ty == *ty {
        return Some(expr);
    }
    if let ExprKind::Literal(value) = &expr.kind
        && let Some(value) = literal_as(value, ty)
    {
        return Some(literal(value, ty.clone()));
    }
    widens(&expr.ty, ty).then(|| cast(expr, ty))
}

/// CAST, folded where it can be. The types are known to go together.
pub(super) fn cast(expr: Expr, ty: &SqlType) -> Expr {
    match &expr.kind {
        ExprKind::Literal(Value::Null) => null(ty),
        _ => fold(Expr { kind: ExprKind::Cast(Box::new(expr)), ty: ty.clone() }),
    }
}

fn literal_as(value: &Value, ty: &SqlType) -> Option<Value> {
    match (value, ty) {
        (Value::Null, _) => Some(Value::Null),
        (Value::Int(v), SqlType::Decimal { precision, scale }) => {
            Some(Value::Decimal(fit(rescale(*v as i128, 0, *scale)?, *precision)?, *scale))
        }
        (Value::Bigint(v), SqlType::Decimal { precision, scale }) => {
            Some(Value::Decimal(fit(rescale(*v as i128, 0, *scale)?, *precision)?, *scale))
        }
        (Value::Decimal(digits, has), SqlType::Decimal { precision, scale }) => {
            let scaled = fit(rescale(*digits, *has, *scale)?, *precision)?;
            (decimal::compare(*digits, *has, scaled, *scale).is_eq())
                .then_some(Value::Decimal(scaled, *scale))
        }
        (Value::Varchar(text), ty) => {
            let text = text.trim().as_bytes();
            match ty {
                SqlType::Date => iso::parse_date(text).map(Value::Date),
                SqlType::Time => iso::parse_time(text).map(Value::Time),
                SqlType::Timestamp => iso::parse_timestamp(text).map(Value::Timestamp),
                _ => None,
            }
        }
        _ => None,
    }
}

/// Whether every value of one type is one of the other.
fn widens(from: &SqlType, to: &SqlType) -> bool {
    use SqlType::*;
    match (from, to) {
        _ if from == to => true,
        (Int, Bigint | Double) | (Bigint | Decimal { .. }, Double) | (Date, Timestamp) => true,
        (Int, Decimal { precision, scale }) => precision - scale >= 10,
        (Bigint, Decimal { precision, scale }) => precision - scale >= 19,
        (Decimal { precision: p, scale: s }, Decimal { precision, scale }) => {
            scale >= s && precision - scale >= p - s
        }
        (Array(a), Array(b)) => widens(a, b),
        (Map(k, v), Map(l, w)) => k == l && widens(v, w),
        (Struct(a), Struct(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.name == b.name && widens(&a.ty, &b.ty))
        }
        _ => false,
    }
}

/// The narrowest type that both convert to.
pub fn common_type(a: &SqlType, b: &SqlType) -> Option<SqlType> {
    use SqlType::*;
    Some(match (a, b) {
        _ if a == b => a.clone(),
        (Double, other) | (other, Double) if other.is_numeric() => Double,
        (Int, Bigint) | (Bigint, Int) => Bigint,
        (Date, Timestamp) | (Timestamp, Date) => Timestamp,
        (Array(a), Array(b)) => Array(Box::new(common_type(a, b)?)),
        (Map(k, v), Map(l, w)) if k == l => Map(k.clone(), Box::new(common_type(v, w)?)),
        (Struct(a), Struct(b)) if a.len() == b.len() => Struct(
            a.iter()
                .zip(b)
                .map(|(a, b)| {
                    (a.name == b.name)
                        .then_some(StructField { name: a.name.clone(), ty: common_type(&a.ty, &b.ty)? })
                })
                .collect::<Option<_>>()?,
        ),
        _ => decimal::common(as_decimal(a)?, as_decimal(b)?),
    })
}

/// Precision and scale of an exact number's type.
pub(super) fn as_decimal(ty: &SqlType) -> Option<(u8, u8)> {
    match ty {
        SqlType::Decimal { precision, scale } => Some((*precision, *scale)),
        SqlType::Int => as_decimal(&decimal::INT_AS_DECIMAL),
        SqlType::Bigint => as_decimal(&decimal::BIGINT_AS_DECIMAL),
        _ => None,
    }
}

pub(super) fn is_temporal(ty: &SqlType) -> bool {
    matches!(ty, SqlType::Date | SqlType::Time | SqlType::Timestamp)
}

/// Whether it is a literal text.
pub(super) fn is_text(expr: &Expr) -> bool {
    matches!(&expr.kind, ExprKind::Literal(Value::Varchar(_)))
}

pub(super) fn bad_text(text: &str, ty: &SqlType) -> Error {
    let sample = match ty {
        SqlType::Date => "'2020-05-26'",
        SqlType::Time => "'10:30:00'",
        _ => "'2020-05-26T10:30:00.000', a zone as in +01:00 after it",
    };
    Error::statement(format!("{text} is not a {ty}")).hint(format!("write {sample}"))
}
