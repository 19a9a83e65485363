//! INSERT INTO … VALUES: what is written for a row; [`super::inserter`] writes it.

use super::constants::constant;
use super::draft::Draft;
use super::outcome::{Outcome, status};
use super::rules::from_headers;
use super::session::Session;
use crate::batch::{MessageBatch, Range32, Timestamps};
use crate::catalog::{Catalog, Origin, Source};
use crate::clock::now_ms;
use crate::connector::{Layout, Place};
use crate::error::{Error, Result, Span};
use crate::format::{Decoder, Encoded, Format, Serialization, Written, decoder, encoder};
use crate::headers::Headers;
use crate::partition::partition_of;
use crate::registry::Lookups;
use crate::sql::ast::{self, Ident, Parsed, SourceKind, Statement};
use crate::types::{ColumnDef, Part, Schema, SqlType};
use crate::value::{Row, Value};
use arrow_buffer::Buffer;

impl Draft<'_> {
    pub(super) fn insert_values(
        &mut self,
        target: &Ident,
        columns: Option<&[Ident]>,
        values: &[ast::Expr],
        session: &Session,
    ) -> Result<Outcome> {
        let to = self.target(target)?;
        let (row, rowtime) = inserted_row(&to.source, &to.headers, target, columns, values)?;
        let at = rowtime.or(session.inserted_at).unwrap_or_else(now_ms);
        let row = to.encode(row, at).map_err(|e| e.at(target.span))?;
        self.insert(&to, vec![row]);
        Ok(status("1 row inserted".into(), to.source.kind, &to.source.name, "insert", None))
    }

    /// Rows, each a JSON object: what is wrong with each. The others are inserted.
    pub(super) fn insert_rows(&mut self, target: &str, rows: &[Vec<u8>]) -> Result<Vec<Result<()>>> {
        let to = self.target(&ident(target))?;
        let mut objects = Objects::new(&to.source.schema)?;
        let mut encoded = Vec::with_capacity(rows.len());
        let mut row = |row: &Vec<u8>| {
            encoded.push(to.encode(objects.row(&to, row)?, now_ms())?);
            Ok(())
        };
        let done = rows.iter().map(&mut row).collect();
        self.insert(&to, encoded);
        Ok(done)
    }

    fn insert(&mut self, to: &Target, rows: Vec<Encoding>) {
        let topic = to.source.topic.clone();
        self.changes |= self.world.inserted.insert(topic.clone());
        let (stream, place, layout) = (to.source.name.clone(), to.place.clone(), to.source.layout);
        self.effects.insert = Some(Insertion { topic, stream, place, layout, rows });
    }

    /// What rows can be inserted into, and where its topic is.
    fn target(&self, target: &Ident) -> Result<Target> {
        let source = self.world.catalog.writable(target)?.clone();
        if source.origin != Origin::Declared {
            return Err(Error::statement(format!(
                "{} is derived: rows cannot be inserted into it",
                source.name
            ))
            .at(target.span)
            .hint("insert into a stream that was declared with columns"));
        }
        let place = match self.event_place(&source).map_err(|e| e.at(target.span))? {
            Some(place) => place,
            None => self.place(&source)?,
        };
        if let (Place::Log { .. }, Some(other)) =
            (&place, self.world.catalog.writes_topic(&source.topic, &source.name))
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
}

/// Rows on their way into a topic.
#[derive(Debug)]
pub struct Insertion {
    pub topic: String,
    pub stream: String,
    pub place: Place,
    pub layout: Layout,
    pub rows: Vec<Encoding>,
}

/// A row as its topic has it.
#[derive(Debug)]
pub struct Encoding {
    pub timestamp: i64,
    pub partition: u32,
    pub key: Option<Box<[u8]>>,
    pub value: Option<Box<[u8]>>,
}

struct Target {
    /// Without its columns of headers.
    source: Source,
    headers: Vec<String>,
    place: Place,
    written: Written,
}

impl Target {
    fn encode(&self, row: Row, timestamp: i64) -> Result<Encoding> {
        let source = &self.source;
        let types: Vec<SqlType> = source.schema.columns.iter().map(|c| c.ty.clone()).collect();
        let mut encoded = Encoded::default();
        let batch = crate::render::table::rows_to_batch(&types, &[row]);
        let mut encoder = encoder(&source.serialization, &source.schema, &self.written)?;
        if let Some(reject) = encoder.encode(&batch, &mut encoded).into_iter().next() {
            return Err(Error::statement(reject.reason));
        }
        let (key, value) = (encoded.keys[0].of(&encoded.buffer), encoded.values[0].of(&encoded.buffer));
        let decides =
            |key: &[u8]| partition_of(&key[..key.len() - encoded.key_suffix], source.layout.partitions);
        Ok(Encoding {
            timestamp,
            partition: key.map_or(0, decides),
            key: key.map(Into::into),
            value: value.map(Into::into),
        })
    }
}

fn no_column(source: &Source, headers: &[String], name: &str) -> Error {
    match headers.iter().any(|header| header == name) {
        true => from_headers(source, name).hint("leave the column out"),
        false => Error::statement(format!("{} has no column {name}", source.name)),
    }
}

/// The row of an INSERT INTO … VALUES, with the ROWTIME that it gives, and nothing for columns of headers.
pub fn row_of(catalog: &Catalog, insert: &Parsed) -> Result<(Row, Option<i64>)> {
    let Statement::InsertValues { target, columns, values } = &insert.statement else {
        return Err(Error::statement("only INSERT INTO … VALUES has a row").at(insert.span));
    };
    let source = catalog.source(target)?;
    let headers: Vec<String> = source.schema.headers().map(|column| column.name.clone()).collect();
    let source = Source { schema: source.schema.without_headers(), ..source.clone() };
    inserted_row(&source, &headers, target, columns.as_deref(), values)
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
            return Err(no_column(source, &target.headers, other));
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
    source: &Source,
    headers: &[String],
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
    let mut row = vec![Value::Null; source.schema.len()];
    let mut rowtime = None;
    for (column, value) in columns.iter().zip(values) {
        let slot = source.schema.index_of(&column.name);
        let ty = match slot {
            Some(i) => source.schema.columns[i].ty.clone(),
            None if column.name == "ROWTIME" => SqlType::Bigint,
            None => {
                return Err(no_column(source, headers, &column.name).at(column.span));
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
