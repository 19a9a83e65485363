//! INSERT INTO … VALUES: a row into a log.

use super::coordinator::{Coordinator, status};
use super::outcome::Outcome;
use crate::batch::{MessageBatch, Range32, Timestamps};
use crate::catalog::{Origin, Source};
use crate::connector::Place;
use crate::connector::log::{LogOptions, LogWriter};
use crate::error::{Error, Result, Span};
use crate::expr::compile::compile;
use crate::expr::{Expr, ExprKind, Notes};
use crate::expr::{Scope, bind, coerce};
use crate::format::{Decoder, Encoded, Format, Serialization, Written, decoder, encoder};
use crate::partition::partition_of;
use crate::registry::Lookups;
use crate::render::context::now_ms;
use crate::sql::ast::{self, Ident, SourceKind};
use crate::types::{ColumnDef, Schema, SqlType};
use crate::value::{Row, Value};
use arrow_buffer::Buffer;
use std::collections::btree_map::Entry;
use std::path::PathBuf;

impl Coordinator {
    pub(super) fn insert_values(
        &mut self,
        target: &Ident,
        columns: Option<&[Ident]>,
        values: &[ast::Expr],
    ) -> Result<Outcome> {
        let target_log = self.target(target)?;
        let (row, rowtime) = inserted_row(&target_log.source, target, columns, values)?;
        let Target { source, .. } = &target_log;
        let done = status("1 row inserted".into(), source.kind, &source.name, "insert", None);
        let writer = self.append(&target_log, row, rowtime.unwrap_or_else(now_ms));
        writer.map_err(|e| e.at(target.span))?.flush()?;
        Ok(done)
    }

    /// Inserts rows, each a JSON object; what became of each.
    pub fn insert_rows(&mut self, target: &str, rows: &[Vec<u8>]) -> Result<Vec<Result<()>>> {
        let target = self.target(&ident(target))?;
        let mut objects = Objects::new(&target.source.schema)?;
        let mut insert = |row: &Vec<u8>| {
            let row = objects.row(&target.source, row)?;
            self.append(&target, row, now_ms()).map(drop)
        };
        let done = rows.iter().map(&mut insert).collect();
        if let Some(writer) = self.logs.get_mut(&target.source.topic) {
            writer.flush()?;
        }
        Ok(done)
    }

    /// What rows can be inserted into, and where its log is.
    fn target(&self, target: &Ident) -> Result<Target> {
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
        let written = self.written(&source).map_err(|e| e.at(target.span))?;
        Ok(Target { source, dir, partitions, written })
    }

    /// Readers see the row once the writer, which is returned, is flushed.
    fn append(&mut self, target: &Target, row: Row, rowtime: i64) -> Result<&mut LogWriter> {
        let Target { source, dir, partitions, written } = target;
        let types: Vec<SqlType> = source.schema.columns.iter().map(|c| c.ty.clone()).collect();
        let mut encoded = Encoded::default();
        let batch = crate::render::table::rows_to_batch(&types, &[row]);
        let rejects = encoder(&source.serialization, &source.schema, written)?.encode(&batch, &mut encoded);
        if let Some(reject) = rejects.into_iter().next() {
            return Err(Error::statement(reject.reason));
        }
        let writer = match self.logs.entry(source.topic.clone()) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => {
                entry.insert(LogWriter::open(dir, 0..*partitions, LogOptions::default())?.0)
            }
        };
        let key = encoded.keys[0].of(&encoded.buffer);
        let partition = key.map_or(0, |key| partition_of(key, *partitions));
        writer.append(partition, rowtime, key, encoded.values[0].of(&encoded.buffer))?;
        Ok(writer)
    }
}

struct Target {
    source: Source,
    dir: PathBuf,
    partitions: u32,
    written: Written,
}

/// A name as it stands in a request: upper-cased unless it is quoted.
fn ident(name: &str) -> Ident {
    let quoted = |quote| name.strip_prefix(quote).and_then(|n: &str| n.strip_suffix(quote));
    let plain = quoted('`').or(quoted('"')).map_or_else(|| name.to_uppercase(), String::from);
    Ident { name: plain, span: Span::default() }
}

/// Reads JSON objects as rows of a schema.
struct Objects {
    decoder: Box<dyn Decoder>,
    wanted: Vec<bool>,
}

impl Objects {
    fn new(schema: &Schema) -> Result<Objects> {
        let json =
            Serialization { key: Format::None, value: Format::Json { wrap_single: true }, changelog: false };
        let values = schema.columns.iter().map(|c| ColumnDef { key: false, ..c.clone() });
        Ok(Objects {
            decoder: decoder(&json, &Schema::new(values), &Lookups::none())?,
            wanted: vec![true; schema.len()],
        })
    }

    fn row(&mut self, source: &Source, object: &[u8]) -> Result<Row> {
        let fields: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(object)
            .map_err(|e| Error::statement(format!("a row must be a JSON object: {e}")))?;
        let is_column = |name: &str| {
            source.schema.index_of(name).or(source.schema.index_of(&name.to_uppercase())).is_some()
        };
        if let Some(other) = fields.keys().find(|name| !is_column(name)) {
            return Err(Error::statement(format!("{} has no column {other}", source.name)));
        }
        let messages = MessageBatch {
            partition: 0,
            values: vec![Range32 { start: 0, end: object.len() as u32 }],
            buffer: Buffer::from(object),
            keys: None,
            offsets: vec![0].into(),
            timestamps: Timestamps::All(0),
            torn: Vec::new(),
        };
        let decoded = self.decoder.decode(&messages, &self.wanted);
        if let Some(reject) = decoded.rejects.first() {
            return Err(Error::statement(reject.reason.clone()));
        }
        let row: Row = decoded.columns.iter().map(|column| column.value(0)).collect();
        let keys = source.schema.key_len();
        if source.kind == SourceKind::Table && row[..keys].iter().any(|v| v.is_null()) {
            return Err(Error::statement(format!("a row of table {} needs its key", source.name)));
        }
        Ok(row)
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
