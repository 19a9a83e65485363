//! What a CREATE with columns declares: its schema, the formats that it leaves to the defaults, ROWTIME.

use super::Session;
use super::draft::Draft;
use super::outcome::word;
use super::rules::RESERVED;
use super::session::{DEFAULT_KEY_FORMAT, DEFAULT_VALUE_FORMAT, WRAP_SINGLE_VALUES};
use crate::catalog::{FORMATS, SchemaChoices, Source, SourceEvent, With};
use crate::connector::Layout;
use crate::error::{Error, Result};
use crate::expr::{Expr, RowOf, Scope, bind};
use crate::format::{Format, Serialization, decoder, encoder, unregistered};
use crate::sql::ast::{self, ColumnSpec, Ident, SourceKind};
use crate::topology::check_name;
use crate::types::{ColumnDef, Part, Schema, SqlType, headers_type};

/// Where the rows of a CREATE are, and what they look like there.
pub(super) struct Declaration {
    pub topic: String,
    pub schema: Schema,
    pub serialization: Serialization,
    pub layout: Layout,
    pub schemas: SchemaChoices,
    pub events: Vec<SourceEvent>,
}

impl Draft<'_> {
    /// What CREATE … WITH (KAFKA_TOPIC='…') declares, with its columns as they were written.
    pub(super) fn of_topic(
        &self,
        kind: SourceKind,
        name: &Ident,
        columns: &[ColumnSpec],
        with: &With,
        session: &Session,
    ) -> Result<(Declaration, Vec<ColumnSpec>)> {
        let topic = with.topic.clone().ok_or_else(|| {
            Error::statement(format!("{} {} needs a topic", word(kind), name.name))
                .at(name.span)
                .hint("WITH (KAFKA_TOPIC='…', VALUE_FORMAT='…'), or of an event WITH (EVENT='…')")
        })?;
        check_topic(&topic, name)?;
        let defaults = Defaults::of(session)?;
        let value = with.value_format(defaults.value, defaults.wraps)?.ok_or_else(|| {
            Error::statement(format!("{} {} needs a VALUE_FORMAT", word(kind), name.name))
                .at(name.span)
                .hint(FORMATS)
        })?;
        let key = with.key_format(Some(defaults.key))?.unwrap_or(defaults.key);
        let (columns, value, taken) = self.complete(name, columns, with, &topic, [key, value])?;
        let mut schema = declared_schema(kind, name, &columns)?;
        if let Some((bounds, span)) = with.bounds {
            schema = schema.windowed(bounds).map_err(|e| e.at(span))?;
        }
        with.check_wrapping(value, schema.values().count())?;
        let serialization = Serialization { key, value, changelog: kind == SourceKind::Table };
        decoder(&serialization, &schema, &self.base.schemas)
            .map_err(|e| e.at(with.value_format_span().unwrap_or(name.span)))?;
        let layout = self.layout(&topic, with, 1, with.partitions.is_some()).map_err(|e| e.at(name.span))?;
        let mut schemas = with.schemas.clone();
        schemas.value.taken = taken;
        Ok((Declaration { topic, schema, serialization, layout, schemas, events: Vec::new() }, columns))
    }
}

/// A topic's name becomes a directory's.
pub(super) fn check_topic(topic: &str, name: &Ident) -> Result<()> {
    check_name(topic).map_err(|why| {
        Error::statement(why).at(name.span).hint(format!("give {} another KAFKA_TOPIC", name.name))
    })
}

pub(super) fn declared_schema(kind: SourceKind, name: &Ident, columns: &[ColumnSpec]) -> Result<Schema> {
    if columns.is_empty() {
        return Err(Error::statement(format!("{} {} needs columns", word(kind), name.name))
            .at(name.span)
            .hint("declare them; AVRO, PROTOBUF and JSON_SR take them from the schema registry"));
    }
    for (i, column) in columns.iter().enumerate() {
        if columns[..i].iter().any(|c| c.name.name == column.name.name) {
            return Err(Error::statement(format!("column {} is declared twice", column.name.name))
                .at(column.name.span));
        }
        if RESERVED.contains(&column.name.name.as_str()) {
            let message = format!("{} is a name of every record's own", column.name.name);
            return Err(Error::statement(message).at(column.name.span).hint(
                "leave the column out, or give it another name; WITH (TIMESTAMP='…') says which column is ROWTIME",
            ));
        }
        check_header(column, &columns[..i])?;
    }
    if kind == SourceKind::Table && columns.iter().all(|c| c.part != Part::Key) {
        return Err(Error::statement(format!("table {} needs a PRIMARY KEY", name.name))
            .at(name.span)
            .hint("mark its key column: id VARCHAR PRIMARY KEY"));
    }
    Ok(Schema::new(columns.iter().map(|c| ColumnDef {
        name: c.name.name.clone(),
        ty: c.ty.clone(),
        part: c.part.clone(),
    })))
}

/// The types of columns of headers are given; there is one of all headers, or one each of some.
fn check_header(column: &ColumnSpec, before: &[ColumnSpec]) -> Result<()> {
    let (word, ty, hint) = match &column.part {
        Part::Key | Part::Window(_) | Part::Value | Part::EventType(_) => return Ok(()),
        Part::Headers => {
            ("HEADERS".to_string(), headers_type(), "name ARRAY<STRUCT<key STRING, value BYTES>> HEADERS")
        }
        Part::Header(name) => (format!("HEADER('{name}')"), SqlType::Bytes, "name BYTES HEADER('…')"),
    };
    let wrong = |message: String| Error::statement(message).at(column.name.span);
    if column.ty != ty {
        let message = format!("column {} holds {word}, which is {ty}, not {}", column.name.name, column.ty);
        return Err(wrong(message).hint(hint));
    }
    let Some(other) = before.iter().find(|other| match (&column.part, &other.part) {
        (Part::Headers, other) => matches!(other, Part::Headers | Part::Header(_)),
        (mine, other) => other == mine || *other == Part::Headers,
    }) else {
        return Ok(());
    };
    let message = if other.part == column.part {
        format!("columns {} and {} both hold {word}", other.name.name, column.name.name)
    } else {
        format!(
            "of columns {} and {} one holds all headers, one a single one",
            other.name.name, column.name.name
        )
    };
    Err(wrong(message).hint("declare all headers as one column, or some of them, each as a column"))
}

/// What the session says where a statement says nothing.
pub(super) struct Defaults {
    pub key: Format,
    pub value: Option<Format>,
    /// Whether a single value column is a field of an object or record.
    pub wraps: bool,
}

impl Defaults {
    pub(super) fn of(session: &Session) -> Result<Defaults> {
        let format = |property: &str| -> Result<Option<Format>> {
            let Some(name) = session.properties.get(property) else { return Ok(None) };
            let found = Format::named(&name.to_uppercase());
            let unknown =
                || Error::statement(format!("{property} is {name}, which is no format")).hint(FORMATS);
            found.map(Some).ok_or_else(unknown)
        };
        Ok(Defaults {
            key: format(DEFAULT_KEY_FORMAT)?.unwrap_or(Format::Kafka),
            value: format(DEFAULT_VALUE_FORMAT)?,
            wraps: match session
                .properties
                .get(WRAP_SINGLE_VALUES)
                .map(|value| value.to_lowercase())
                .as_deref()
            {
                None | Some("true" | "") => true,
                Some("false") => false,
                Some(other) => {
                    return Err(Error::statement(format!("{WRAP_SINGLE_VALUES} is {other}"))
                        .hint("it is 'true' or 'false'"));
                }
            },
        })
    }
}

/// The BIGINT expression that gives ROWTIME.
pub(super) fn timestamp_expr(source: &Source) -> Result<Option<Expr>> {
    let Some((name, format)) = &source.timestamp else { return Ok(None) };
    let span = crate::error::Span::default();
    let Some(column) = source.schema.index_of(name).map(|i| &source.schema.columns[i]) else {
        return Err(Error::statement(format!(
            "TIMESTAMP names the column {name}, which {} does not have",
            source.name
        )));
    };
    let reference = ast::Expr { kind: ast::ExprKind::Column { qualifier: None, name: name.clone() }, span };
    let call = |function: &str, args| ast::Expr {
        kind: ast::ExprKind::Call { name: Ident { name: function.into(), span }, args },
        span,
    };
    let text =
        |text: &str| ast::Expr { kind: ast::ExprKind::Literal(ast::Literal::String(text.into())), span };
    let expr = match (&column.ty, format) {
        (SqlType::Bigint, None) => reference,
        (SqlType::Timestamp, None) => call("UNIX_TIMESTAMP", vec![reference]),
        (SqlType::Varchar, Some(format)) => call("STRINGTOTIMESTAMP", vec![reference, text(format)]),
        (SqlType::Varchar, None) => {
            return Err(Error::statement(format!("TIMESTAMP column {name} is STRING"))
                .hint("add TIMESTAMP_FORMAT='yyyy-MM-dd …'"));
        }
        (ty, _) => {
            return Err(Error::statement(format!("TIMESTAMP column {name} is {ty}"))
                .hint("it must be BIGINT, TIMESTAMP, or STRING with a TIMESTAMP_FORMAT"));
        }
    };
    let scope = Scope::of(&source.schema, Vec::new(), RowOf::Nothing);
    bind(&expr, &scope).map(Some)
}

pub(super) const OTHER_FORMATS: &str =
    "choose formats that can: WITH (KEY_FORMAT='JSON', VALUE_FORMAT='JSON')";

/// Formats of a derived source: as written, else its input's. That these cannot carry its columns is an error
/// only where they were written, or where the topic is stored.
pub(super) fn derived_serialization(
    with: &With,
    defaults: &Defaults,
    source: &Source,
    schema: &Schema,
    kind: SourceKind,
) -> Result<Serialization> {
    let written = with.value_format_span().or(with.key_format_span());
    let value = with.value_format(Some(source.serialization.value), defaults.wraps)?;
    let value = value.unwrap_or(source.serialization.value);
    with.check_wrapping(value, schema.values().count())?;
    let serialization = Serialization {
        key: derived_key_format(with, defaults, source, schema)?,
        value,
        changelog: kind == SourceKind::Table,
    };
    match unregistered(&serialization, schema, with.schemas.names())
        .and_then(|written| encoder(&serialization, schema, &written))
    {
        Err(error) if let Some(span) = written => Err(error.at(span).hint(OTHER_FORMATS)),
        _ => Ok(serialization),
    }
}

/// A key that PARTITION BY NULL has dropped has no format; one that is new has the session's.
fn derived_key_format(with: &With, defaults: &Defaults, source: &Source, schema: &Schema) -> Result<Format> {
    let inherited = match source.serialization.key {
        _ if schema.key_len() == 0 && source.schema.key_len() > 0 => Format::None,
        Format::None if schema.key_len() > 0 => defaults.key,
        of_source => of_source,
    };
    let key = with.key_format(Some(inherited))?.unwrap_or(inherited);
    match with.key_format_span().filter(|span| with.value_format_span() != Some(*span)) {
        Some(span) if schema.key_len() == 0 && key != Format::None => {
            Err(Error::statement("KEY_FORMAT is given, and the SELECT has no key column")
                .at(span)
                .hint("leave it out, or PARTITION BY the columns that shall be the key"))
        }
        _ => Ok(key),
    }
}
