//! INSERT INTO … VALUES: a row into a log or a topic on a cluster.

use super::coordinator::{Coordinator, status};
use super::outcome::Outcome;
use crate::catalog::{Origin, Source};
use crate::connector::{self, Room, Share, Writer};
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
use std::time::{Duration, Instant};

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
        let place = self.place(&source)?;
        if !place.is_writable() {
            return Err(Error::statement(format!(
                "topic {} is not a log: rows cannot be inserted into it",
                source.topic
            ))
            .at(target.span)
            .hint("give the topic connector = \"log\" or \"kafka\" in the topology"));
        }
        let (row, rowtime) = inserted_row(&source, target, columns, values)?;
        let types: Vec<SqlType> = source.schema.columns.iter().map(|c| c.ty.clone()).collect();
        let mut encoded = Encoded::default();
        encoder(&source.serialization, &source.schema)?
            .encode(&crate::render::table::rows_to_batch(&types, &[row]), &mut encoded);
        let writer = match self.writers.entry(source.topic.clone()) {
            std::collections::btree_map::Entry::Occupied(entry) => entry.into_mut(),
            std::collections::btree_map::Entry::Vacant(entry) => {
                entry.insert(connector::writer(&place, source.partitions, Share::All)?)
            }
        };
        let (key, value) = (encoded.keys[0].of(&encoded.buffer), encoded.values[0].of(&encoded.buffer));
        let partition = key.map_or(0, |key| partition_of(key, source.partitions));
        let written = write(writer.as_mut(), partition, rowtime.unwrap_or_else(now_ms), key, value);
        if written.is_err() {
            // The next one begins with a new writer, which has forgotten what failed.
            self.writers.remove(&source.topic);
        }
        written.map_err(|e| e.at(target.span))?;
        Ok(status("1 row inserted".into(), source.kind, &source.name, "insert", None))
    }
}

/// How long a statement waits until its row is written.
const PATIENCE: Duration = Duration::from_secs(10);

/// Writes one record and waits until it is written.
fn write(
    writer: &mut dyn Writer,
    partition: u32,
    timestamp: i64,
    key: Option<&[u8]>,
    value: Option<&[u8]>,
) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    let mut taken = false;
    loop {
        taken = taken || writer.append(0, partition, timestamp, key, value)? == Room::Taken;
        if writer.flush()?.is_none() && taken {
            return Ok(());
        }
        if Instant::now() > deadline {
            return Err(Error::runtime(format!("the row was not written within {PATIENCE:?}"))
                .hint("the cluster may be away; the row may still be written"));
        }
        std::thread::sleep(Duration::from_millis(1));
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
