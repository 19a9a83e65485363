//! INSERT INTO … VALUES: a row into a log or a topic on a cluster.

use super::constants::constant;
use super::coordinator::{Coordinator, status};
use super::outcome::Outcome;
use super::rules::from_headers;
use crate::batch::{MessageBatch, Range32, Timestamps};
use crate::catalog::{Origin, Source};
use crate::connector::{self, Place, Record, Room, Share, Writer};
use crate::error::{Error, Result, Span};
use crate::format::{Decoder, Encoded, Format, Serialization, Written, decoder, encoder};
use crate::headers::Headers;
use crate::partition::partition_of;
use crate::registry::Lookups;
use crate::render::context::now_ms;
use crate::sql::ast::{self, Ident, SourceKind};
use crate::types::{ColumnDef, Part, Schema, SqlType};
use crate::value::{Row, Value};
use arrow_buffer::Buffer;
use std::collections::btree_map::Entry;
use std::time::{Duration, Instant};

impl Coordinator {
    pub(super) fn insert_values(
        &mut self,
        target: &Ident,
        columns: Option<&[Ident]>,
        values: &[ast::Expr],
    ) -> Result<Outcome> {
        let to = self.target(target)?;
        let (row, rowtime) = inserted_row(&to, target, columns, values)?;
        self.append(&to, row, rowtime.unwrap_or_else(now_ms))
            .and_then(|()| self.settle(&to))
            .map_err(|e| e.at(target.span))?;
        Ok(status("1 row inserted".into(), to.source.kind, &to.source.name, "insert", None))
    }

    /// Inserts rows, each a JSON object; what became of each. Fails as a whole when the topic does.
    pub fn insert_rows(&mut self, target: &str, rows: &[Vec<u8>]) -> Result<Vec<Result<()>>> {
        let target = self.target(&ident(target))?;
        let mut objects = Objects::new(&target.source.schema)?;
        let mut done = Vec::with_capacity(rows.len());
        for row in rows {
            done.push(match objects.row(&target, row) {
                Ok(row) => Ok(self.append(&target, row, now_ms())?),
                Err(error) => Err(error),
            });
        }
        self.settle(&target)?;
        Ok(done)
    }

    /// What rows can be inserted into, and where its topic is.
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
        let place = self.place(&source)?;
        if let (Place::Log { .. }, Some(other)) =
            (&place, self.catalog.writes_topic(&source.topic, &source.name))
        {
            return Err(Error::statement(format!("topic {} is written by {}", source.topic, other.name))
                .at(target.span)
                .hint("insert into a stream with a topic of its own"));
        }
        if !place.is_writable() {
            return Err(Error::statement(format!(
                "topic {} is not a log: rows cannot be inserted into it",
                source.topic
            ))
            .at(target.span)
            .hint("give the topic connector = \"log\" or \"kafka\" in the topology"));
        }
        let headers = source.schema.headers().map(|column| column.name.clone()).collect();
        let source = Source { schema: source.schema.without_headers(), ..source };
        let written = self.written(&source).map_err(|e| e.at(target.span))?;
        Ok(Target { source, headers, place, written })
    }

    /// Hands a row to its topic's writer; it is written when `settle` returns.
    fn append(&mut self, target: &Target, row: Row, rowtime: i64) -> Result<()> {
        let source = &target.source;
        let types: Vec<SqlType> = source.schema.columns.iter().map(|c| c.ty.clone()).collect();
        let mut encoded = Encoded::default();
        let batch = crate::render::table::rows_to_batch(&types, &[row]);
        let mut encoder = encoder(&source.serialization, &source.schema, &target.written)?;
        if let Some(reject) = encoder.encode(&batch, &mut encoded).into_iter().next() {
            return Err(Error::statement(reject.reason));
        }
        let (key, value) = (encoded.keys[0].of(&encoded.buffer), encoded.values[0].of(&encoded.buffer));
        let decides =
            |key: &[u8]| partition_of(&key[..key.len() - encoded.key_suffix], source.layout.partitions);
        let partition = key.map_or(0, decides);
        let record = Record { timestamp: rowtime, key, value, headers: &[] };
        self.write(target, |writer| match writer.append(0, partition, &record)? {
            Room::Taken => Ok(true),
            Room::Full => writer.flush().map(|_| false),
        })
    }

    /// Waits until all rows are written.
    fn settle(&mut self, target: &Target) -> Result<()> {
        self.write(target, |writer| Ok(writer.flush()?.is_none()))
    }

    /// Repeats a step of the topic's writer until it says that it is done. After a failure the next row
    /// begins with a new writer, which has forgotten what failed.
    fn write(
        &mut self,
        target: &Target,
        mut is_done: impl FnMut(&mut dyn Writer) -> Result<bool>,
    ) -> Result<()> {
        let Target { source, place, .. } = target;
        let writer = match self.writers.entry(source.topic.clone()) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => entry.insert(connector::writer(place, source.layout, Share::All)?),
        };
        let deadline = Instant::now() + PATIENCE;
        let result = loop {
            match is_done(writer.as_mut()) {
                Ok(false) if Instant::now() < deadline => std::thread::sleep(Duration::from_millis(1)),
                Ok(false) => {
                    let message = format!("topic {} took no row within {PATIENCE:?}", source.topic);
                    break Err(
                        Error::runtime(message).hint("its cluster may be away; the row may still be written")
                    );
                }
                Ok(true) => return Ok(()),
                Err(error) => break Err(error),
            }
        };
        self.writers.remove(&source.topic);
        result
    }
}

/// How long a statement waits until its rows are written.
const PATIENCE: Duration = Duration::from_secs(10);

struct Target {
    /// Without its columns of headers.
    source: Source,
    headers: Vec<String>,
    place: Place,
    written: Written,
}

impl Target {
    fn no_column(&self, name: &str) -> Error {
        match self.headers.iter().any(|header| header == name) {
            true => from_headers(&self.source, name).hint("leave the column out"),
            false => Error::statement(format!("{} has no column {name}", self.source.name)),
        }
    }
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
        let values = schema.columns.iter().map(|c| ColumnDef { part: Part::Value, ..c.clone() });
        Ok(Objects {
            decoder: decoder(&json, &Schema::new(values), &Lookups::none())?,
            wanted: vec![true; schema.len()],
        })
    }

    fn row(&mut self, target: &Target, object: &[u8]) -> Result<Row> {
        let source = &target.source;
        let fields: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(object)
            .map_err(|e| Error::statement(format!("a row must be a JSON object: {e}")))?;
        let is_column = |name: &str| {
            source.schema.index_of(name).or(source.schema.index_of(&name.to_uppercase())).is_some()
        };
        if let Some(other) = fields.keys().find(|name| !is_column(name)) {
            return Err(target.no_column(other));
        }
        let messages = MessageBatch {
            partition: 0,
            values: vec![Range32 { start: 0, end: object.len() as u32 }],
            buffer: Buffer::from(object),
            keys: None,
            offsets: vec![0].into(),
            timestamps: Timestamps::All(0),
            headers: Headers::None,
            torn: Vec::new(),
            names: None,
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
fn inserted_row(
    to: &Target,
    target: &Ident,
    columns: Option<&[Ident]>,
    values: &[ast::Expr],
) -> Result<(Vec<Value>, Option<i64>)> {
    let source = &to.source;
    let all: Vec<Ident> =
        source.schema.columns.iter().map(|c| Ident { name: c.name.clone(), span: target.span }).collect();
    let columns = columns.unwrap_or(&all);
    if columns.len() != values.len() {
        return Err(Error::statement(format!("{} columns, but {} values", columns.len(), values.len()))
            .at(target.span));
    }
    let mut row = vec![Value::Null; source.schema.len()];
    let mut rowtime = None;
    for (column, value) in columns.iter().zip(values) {
        let slot = source.schema.index_of(&column.name);
        let ty = match slot {
            Some(i) => source.schema.columns[i].ty.clone(),
            None if column.name == "ROWTIME" => SqlType::Bigint,
            None => {
                return Err(to.no_column(&column.name).at(column.span));
            }
        };
        let value = constant(value, &ty, &format!("column {}", column.name))?;
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
