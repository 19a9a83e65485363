//! Which types go together: implicit conversions and common types.

use super::fold::fold;
use super::{literal, null};
use crate::error::Error;
use crate::expr::decimal::{self, fit, rescale};
use crate::expr::function::Arg;
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

/// How far literals bend to the type of what stands beside them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Literals {
    /// A text to the DATE, TIME or TIMESTAMP that it says.
    Times,
    /// A text to the number, BOOLEAN or time that it says; a number or BOOLEAN to text.
    All,
}

/// Why several values have no type in common.
pub(crate) struct Misfit {
    /// The value that fits none of those before it.
    pub index: usize,
    /// What the others are.
    pub ty: SqlType,
    /// Whether it is a literal that does not say a value of that type.
    pub says_nothing: bool,
}

/// The type that all of these can become; `None` where all are NULLs without a type.
///
/// What is no literal text decides; literal texts follow it where they say a value of its kind.
pub(crate) fn unify(args: &[Arg], literals: Literals) -> Result<Option<SqlType>, Misfit> {
    let is_literal = |arg: &Arg| arg.literal.is_some_and(|value| !value.is_null());
    let is_soft = |arg: &Arg| is_literal(arg) && arg.ty.is_some_and(holds_text);
    if literals == Literals::All
        && args.iter().any(|arg| arg.ty == Some(&SqlType::Varchar) && arg.literal.is_none())
    {
        let bends = |arg: &Arg| is_literal(arg) && arg.ty.is_some_and(prints);
        let is_text = |arg: &Arg| arg.ty == Some(&SqlType::Varchar);
        let misfit = args.iter().position(|arg| arg.ty.is_some() && !is_text(arg) && !bends(arg));
        let Some(misfit) = misfit else { return Ok(Some(SqlType::Varchar)) };
        // The later one of the two is the one that does not fit.
        let (index, other) = match args.iter().position(is_text) {
            Some(text) if text > misfit => (text, args[misfit].ty),
            _ => (misfit, Some(&SqlType::Varchar)),
        };
        let ty = other.cloned().unwrap_or(SqlType::Varchar);
        return Err(Misfit { index, ty, says_nothing: false });
    }
    let mut common: Option<SqlType> = None;
    for soft in [false, true] {
        for (index, arg) in args.iter().enumerate().filter(|(_, arg)| is_soft(arg) == soft) {
            let Some(ty) = arg.ty else { continue };
            common = Some(match &common {
                None => ty.clone(),
                Some(common) => {
                    let bent = arg.literal.filter(|_| soft).and_then(|v| bend(v, ty, common, literals));
                    let found = bent.or_else(|| common_or_union(common, ty));
                    let says_nothing = soft && says(common, literals);
                    found.ok_or_else(|| Misfit { index, ty: common.clone(), says_nothing })?
                }
            });
        }
    }
    Ok(common)
}

/// Whether a literal text can be a value of the type, if it is the right one.
fn says(ty: &SqlType, literals: Literals) -> bool {
    is_temporal(ty) || literals == Literals::All && (ty.is_numeric() || *ty == SqlType::Boolean)
}

/// Whether a literal of the type becomes text beside text.
fn prints(ty: &SqlType) -> bool {
    ty.is_numeric() || matches!(ty, SqlType::Boolean | SqlType::Varchar)
}

fn holds_text(ty: &SqlType) -> bool {
    match ty {
        SqlType::Varchar => true,
        SqlType::Array(item) => holds_text(item),
        SqlType::Map(key, value) => holds_text(key) || holds_text(value),
        _ => false,
    }
}

/// The type that a literal with text in it and values of `ty` have in common.
fn bend(value: &Value, own: &SqlType, ty: &SqlType, literals: Literals) -> Option<SqlType> {
    let all = |values: Vec<&Value>, own: &SqlType, ty: &SqlType| {
        values.into_iter().try_fold(ty.clone(), |ty, value| bend(value, own, &ty, literals))
    };
    match (value, own, ty) {
        (Value::Null, _, _) => Some(ty.clone()),
        (Value::Varchar(text), _, ty) if says(ty, literals) => said(text, ty),
        (Value::Array(items), SqlType::Array(own), SqlType::Array(ty)) => {
            Some(SqlType::Array(Box::new(all(items.iter().collect(), own, ty)?)))
        }
        (Value::Map(entries), SqlType::Map(key, value), SqlType::Map(to_key, to_value)) => {
            let key = all(entries.iter().map(|e| &e.0).collect(), key, to_key)?;
            let value = all(entries.iter().map(|e| &e.1).collect(), value, to_value)?;
            Some(SqlType::Map(Box::new(key), Box::new(value)))
        }
        _ => common_type(ty, own),
    }
}

/// The type of the value that a text says, and of `ty`.
fn said(text: &str, ty: &SqlType) -> Option<SqlType> {
    let text = text.trim();
    if ty.is_numeric() {
        return common_type(ty, &number_type(text)?);
    }
    let good = match ty {
        SqlType::Boolean => super::super::cast::truth(text).is_some(),
        _ => literal_as(&Value::text(text), ty).is_some(),
    };
    good.then(|| ty.clone())
}

/// The type that a number has as a literal.
fn number_type(text: &str) -> Option<SqlType> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if digits.bytes().all(|b| b.is_ascii_digit()) {
        return Some(super::integer(text.parse().ok()?).ty);
    }
    if digits.bytes().all(|b| b.is_ascii_digit() || b == b'.') {
        return Some(super::decimal(text).ok()?.ty);
    }
    super::super::cast::double(text).map(|_| SqlType::Double)
}

/// [`common_type`], and for structs one with the fields of both.
fn common_or_union(a: &SqlType, b: &SqlType) -> Option<SqlType> {
    let (SqlType::Struct(left), SqlType::Struct(right)) = (a, b) else { return common_type(a, b) };
    let mut fields = left.clone();
    for field in right {
        match fields.iter_mut().find(|known| known.name == field.name) {
            Some(known) => known.ty = common_or_union(&known.ty, &field.ty)?,
            None => fields.push(field.clone()),
        }
    }
    Some(SqlType::Struct(fields))
}

/// A literal as a type that [`unify`] found for it.
pub(super) fn bent(expr: Expr, ty: &SqlType) -> Option<Expr> {
    let literal = matches!(expr.kind, ExprKind::Literal(_)) && super::super::cast::castable(&expr.ty, ty);
    Some(cast(expr, ty)).filter(|cast| literal && matches!(cast.kind, ExprKind::Literal(_)))
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
        _ if ty.is_numeric() => "a number without quotes, such as 1.5",
        SqlType::Boolean => "TRUE or FALSE",
        SqlType::Date => "'2020-05-26'",
        SqlType::Time => "'10:30:00'",
        _ => "'2020-05-26T10:30:00.000', a zone as in +01:00 after it",
    };
    let article = if ty.to_string().starts_with(['A', 'I']) { "an" } else { "a" };
    Error::statement(format!("{text} is not {article} {ty}")).hint(format!("write {sample}"))
}
