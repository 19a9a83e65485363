//! The values of INSERT INTO … VALUES: constants of the columns' types, as strictly as INSERT … SELECT takes
//! them. What is built of parts is taken part by part, so that a NULL in it needs no type of its own.

use crate::error::{Error, Result};
use crate::expr::compile::compile;
use crate::expr::nearest::nearest;
use crate::expr::{Notes, RowOf, Scope, bind, coerce};
use crate::render::table::rows_to_batch;
use crate::sql::ast::{self, ExprKind, Ident, Literal};
use crate::types::{Schema, SqlType, StructField};
use crate::value::Value;

/// The value of an expression without columns; `of` is what it is for, in messages.
pub(super) fn constant(expr: &ast::Expr, ty: &SqlType, of: &str) -> Result<Value> {
    match (&expr.kind, ty) {
        (ExprKind::Literal(Literal::Null), _) => Ok(Value::Null),
        (ExprKind::Struct(fields), SqlType::Struct(declared)) => structure(fields, declared, of),
        (ExprKind::Map(entries), SqlType::Map(key, value)) => map(entries, [key, value], of),
        (ExprKind::Array(items), SqlType::Array(item)) => {
            let items = items.iter().map(|each| constant(each, item, &format!("{of}[]")));
            Ok(Value::Array(items.collect::<Result<_>>()?))
        }
        _ => scalar(expr, ty, of),
    }
}

/// Fields that are not named are NULL.
fn structure(fields: &[(Ident, ast::Expr)], declared: &[StructField], of: &str) -> Result<Value> {
    let mut values = vec![Value::Null; declared.len()];
    for (name, expr) in fields {
        let Some(i) = declared.iter().position(|field| field.name == name.name) else {
            let error = Error::statement(format!("{of} has no field {}", name.name)).at(name.span);
            return Err(match nearest(&name.name, declared.iter().map(|field| field.name.as_str())) {
                Some(near) => error.hint(format!("did you mean {near}?")),
                None => error.hint(format!("it is {}", SqlType::Struct(declared.to_vec()))),
            });
        };
        values[i] = constant(expr, &declared[i].ty, &format!("{of}->{}", name.name))?;
    }
    Ok(Value::Struct(values))
}

/// Of entries with the same key the last counts.
fn map(entries: &[(ast::Expr, ast::Expr)], [key, value]: [&SqlType; 2], of: &str) -> Result<Value> {
    let mut kept: Vec<(Value, Value)> = Vec::with_capacity(entries.len());
    for (key_expr, value_expr) in entries {
        let entry = constant(key_expr, key, &format!("a key of {of}"))?;
        if entry.is_null() {
            return Err(Error::statement(format!("a key of {of} is NULL")).at(key_expr.span));
        }
        kept.retain(|(other, _)| *other != entry);
        kept.push((entry, constant(value_expr, value, &format!("{of}{{}}"))?));
    }
    Ok(Value::Map(kept))
}

fn scalar(expr: &ast::Expr, ty: &SqlType, of: &str) -> Result<Value> {
    let nothing = Schema::default();
    let bound = bind(expr, &Scope::of(&nothing, Vec::new(), RowOf::Nothing))?;
    let from = bound.ty.clone();
    let fitted = coerce(bound, ty).ok_or_else(|| unfit(expr, &from, ty, of))?;
    let one = rows_to_batch(&[SqlType::Boolean], &[vec![Value::Null]]);
    let mut notes = Notes::default();
    let value = compile(&fitted)?.eval(&one, &mut notes).value(0);
    match notes.notes.into_iter().next() {
        None => Ok(value),
        Some(note) => Err(Error::statement(note.reason).at(expr.span)),
    }
}

fn unfit(expr: &ast::Expr, from: &SqlType, ty: &SqlType, of: &str) -> Error {
    let is_time = matches!(ty, SqlType::Date | SqlType::Time | SqlType::Timestamp);
    match &expr.kind {
        ExprKind::Literal(Literal::String(text)) if is_time => {
            Error::statement(format!("{of} is {ty}, and '{text}' is none"))
                .at(expr.span)
                .hint("write it as in '2020-10-11', '22:25:00' or '2020-10-11T22:25:00'")
        }
        _ => Error::statement(format!("{of} is {ty}, this is {from}"))
            .at(expr.span)
            .hint(format!("CAST(… AS {ty}) if that is meant")),
    }
}
