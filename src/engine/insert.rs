//! INSERT INTO … VALUES: a row into a log.

use super::coordinator::{Coordinator, status};
use super::outcome::Outcome;
use crate::catalog::{Origin, Source};
use crate::connector::Place;
use crate::connector::log::{LogOptions, LogWriter};
use crate::error::{Error, Result};
use crate::expr::compile::compile;
use crate::expr::{Expr, ExprKind, Notes};
use crate::expr::{Scope, bind, coerce};
use crate::format::{Encoded, encoder};
use crate::partition::partition_of;
use crate::render::context::now_ms;
use crate::sql::ast::{self, Ident, SourceKind};
use crate::types::{Schema, SqlType};
use crate::value::Value;

impl Coordinator {
    pub(super) fn insert_values(
        &mut self,
        target: &Ident,
        columns: Option<&[Ident]>,
        values: &[ast::Expr],
    ) -> Result<Outcome> {
        let source = self.catalog.writable(target)?.clone();
        if source.origin != Origin::Declared {
            return Err(Error::statement(format!(
                "{} is derived: rows cannot be inserted into it",
                source.name
            ))
            .at(target.span)
            .hint("insert into a stream that was declared with columns"));
        }
        let Place::Log { dir, partitions } = self.place(&source)? else {
            return Err(Error::statement(format!(
                "topic {} is not a log: rows cannot be inserted into it",
                source.topic
            ))
            .at(target.span)
            .hint("give the topic connector = \"log\" in the topology"));
        };
        let (row, rowtime) = inserted_row(&source, target, columns, values)?;
        let types: Vec<SqlType> = source.schema.columns.iter().map(|c| c.ty.clone()).collect();
        let mut encoded = Encoded::default();
        encoder(&source.serialization, &source.schema)?
            .encode(&crate::render::table::rows_to_batch(&types, &[row]), &mut encoded);
        let writer = match self.logs.entry(source.topic.clone()) {
            std::collections::btree_map::Entry::Occupied(entry) => entry.into_mut(),
            std::collections::btree_map::Entry::Vacant(entry) => {
                entry.insert(LogWriter::open(&dir, 0..partitions, LogOptions::default())?.0)
            }
        };
        let key = encoded.keys[0].of(&encoded.buffer);
        let partition = key.map_or(0, |key| partition_of(key, partitions));
        writer.append(
            partition,
            rowtime.unwrap_or_else(now_ms),
            key,
            encoded.values[0].of(&encoded.buffer),
        )?;
        writer.flush()?;
        Ok(status("1 row inserted".into(), source.kind, &source.name, "insert", None))
    }
}

/// A row to insert, in schema order; ROWTIME may be among the columns.
pub(super) fn inserted_row(
    source: &Source,
    target: &Ident,
    columns: Option<&[Ident]>,
    values: &[ast::Expr],
) -> Result<(Vec<Value>, Option<i64>)> {
    let all: Vec<Ident> =
        source.schema.columns.iter().map(|c| Ident { name: c.name.clone(), span: target.span }).collect();
    let columns = columns.unwrap_or(&all);
    if columns.len() != values.len() {
        return Err(Error::statement(format!("{} columns, but {} values", columns.len(), values.len()))
            .at(target.span));
    }
    let empty = Schema::default();
    let scope = Scope { schema: &empty, names: Vec::new(), pseudo: false };
    let mut row = vec![Value::Null; source.schema.len()];
    let mut rowtime = None;
    for (column, value) in columns.iter().zip(values) {
        let slot = source.schema.index_of(&column.name);
        let ty = match slot {
            Some(i) => source.schema.columns[i].ty.clone(),
            None if column.name == "ROWTIME" => SqlType::Bigint,
            None => {
                return Err(Error::statement(format!("{} has no column {}", source.name, column.name))
                    .at(column.span));
            }
        };
        let value = constant(value, &ty, &scope)?;
        match (slot, value) {
            (Some(i), value) => row[i] = value,
            (None, Value::Bigint(ms)) => rowtime = Some(ms),
            (None, _) => {}
        }
    }
    let keys = source.schema.key_len();
    if source.kind == SourceKind::Table && row[..keys].iter().any(Value::is_null) {
        return Err(Error::statement(format!("a row of table {} needs its key", source.name)).at(target.span));
    }
    Ok((row, rowtime))
}

pub(super) fn constant(expr: &ast::Expr, ty: &SqlType, scope: &Scope) -> Result<Value> {
    if expr.kind == ast::ExprKind::Literal(ast::Literal::Null) {
        return Ok(Value::Null);
    }
    let bound = bind(expr, scope)?;
    let from = bound.ty.clone();
    let cast =
        coerce(bound.clone(), ty).unwrap_or(Expr { kind: ExprKind::Cast(Box::new(bound)), ty: ty.clone() });
    let fits = from == *ty || from == SqlType::Varchar || from.is_numeric() == ty.is_numeric();
    let one = crate::render::table::rows_to_batch(&[SqlType::Boolean], &[vec![Value::Null]]);
    let mut notes = Notes::default();
    let value = compile(&cast)?.eval(&one, &mut notes).value(0);
    match notes.notes.first() {
        None if fits => Ok(value),
        note => Err(Error::statement(
            note.map_or(format!("this is {from}, the column is {ty}"), |n| n.reason.clone()),
        )
        .at(expr.span)),
    }
}
