//! The properties of a WITH clause, understood; each knows its place in the text.
//!
//! A format and what belongs to it (delimiter, wrapping, how NULL is told) are written apart, and what is
//! not written is inherited from a source or taken from the session: so they are put together only when
//! that is known ([`With::key_format`], [`With::value_format`]).

use super::{SchemaChoice, SchemaChoices};
use crate::error::{Error, Result, Span};
use crate::expr::nearest::nearest;
use crate::format::Format;
use crate::format::protobuf::Nullable;
use crate::sql::ast::{Literal, Property};
use crate::sql::parser::parse_duration;
use crate::topology::EventNames;
use crate::types::Bounds;

/// What VALUE_FORMAT and its like may name.
pub const FORMATS: &str = "formats: AVRO, DELIMITED, JSON, JSON_SR, KAFKA, NONE, PROTOBUF, PROTOBUF_NOSR";

#[derive(Clone, Debug, Default)]
pub struct With {
    pub topic: Option<String>,
    /// EVENT, and where it is written.
    pub event: Option<(EventNames, Span)>,
    key: Side,
    value: Side,
    /// WRAP_SINGLE_VALUE
    wrap: Option<(bool, Span)>,
    pub partitions: Option<u32>,
    pub replicas: Option<u16>,
    pub timestamp: Option<(String, Span)>,
    pub timestamp_format: Option<String>,
    pub query_id: Option<String>,
    /// WINDOW_TYPE and WINDOW_SIZE: what of windows is in the keys, and where that is written.
    pub bounds: Option<(Bounds, Span)>,
    pub schemas: SchemaChoices,
}

/// What is written of the messages' keys, or of their values.
#[derive(Clone, Debug, Default)]
struct Side {
    /// With the properties that it has where nothing is inherited.
    format: Option<(Format, Span)>,
    /// The property's name, and where it stands.
    delimiter: Option<(u8, &'static str, Span)>,
    nullable: Option<(Nullable, &'static str, Span)>,
}

const PROPERTIES: &[&str] = &[
    "EVENT",
    "KAFKA_TOPIC",
    "FORMAT",
    "KEY_FORMAT",
    "VALUE_FORMAT",
    "PARTITIONS",
    "REPLICAS",
    "RETENTION_MS",
    "TIMESTAMP",
    "TIMESTAMP_FORMAT",
    "WRAP_SINGLE_VALUE",
    "KEY_DELIMITER",
    "VALUE_DELIMITER",
    "QUERY_ID",
    "WINDOW_TYPE",
    "WINDOW_SIZE",
    "KEY_SCHEMA_ID",
    "VALUE_SCHEMA_ID",
    "KEY_SCHEMA_FULL_NAME",
    "VALUE_SCHEMA_FULL_NAME",
    "VALUE_AVRO_SCHEMA_FULL_NAME",
    "KEY_PROTOBUF_NULLABLE_REPRESENTATION",
    "VALUE_PROTOBUF_NULLABLE_REPRESENTATION",
];

/// What the topology and an event's schema do not say.
const BESIDE_EVENT: &[&str] = &["EVENT", "TIMESTAMP", "TIMESTAMP_FORMAT", "QUERY_ID"];

impl With {
    pub fn parse(properties: &[Property]) -> Result<With> {
        check_names(properties)?;
        check_event(properties)?;
        let text = |name: &str| properties.iter().rev().find(|p| p.name.name == name);
        let side = |format: &str, delimiter: &'static str, nullable: &'static str| -> Result<Side> {
            let format = text(format).or(text("FORMAT"));
            Ok(Side {
                format: format.map(|p| Ok::<_, Error>((parse_format(p)?, p.value_span))).transpose()?,
                delimiter: text(delimiter)
                    .map(|p| Ok::<_, Error>((parse_delimiter(p)?, delimiter, p.name.span)))
                    .transpose()?,
                nullable: text(nullable)
                    .map(|p| Ok::<_, Error>((parse_nullable(p)?, nullable, p.name.span)))
                    .transpose()?,
            })
        };
        let choice = |id: &str, full_names: &[&str]| -> Result<SchemaChoice> {
            let id = text(id).map(|p| Ok::<_, Error>((parse_schema_id(p)?, p.value_span))).transpose()?;
            let full_name = full_names.iter().find_map(|n| text(n)).map(string).transpose()?;
            Ok(SchemaChoice { id, full_name, taken: None })
        };
        if let (Some(both), Some(_)) = (text("FORMAT"), text("KEY_FORMAT").or(text("VALUE_FORMAT"))) {
            return Err(Error::statement("FORMAT stands for KEY_FORMAT and VALUE_FORMAT and excludes them")
                .at(both.name.span));
        }
        Ok(With {
            topic: text("KAFKA_TOPIC").map(string).transpose()?,
            event: text("EVENT").map(|p| Ok::<_, Error>((parse_events(p)?, p.value_span))).transpose()?,
            key: side("KEY_FORMAT", "KEY_DELIMITER", "KEY_PROTOBUF_NULLABLE_REPRESENTATION")?,
            value: side("VALUE_FORMAT", "VALUE_DELIMITER", "VALUE_PROTOBUF_NULLABLE_REPRESENTATION")?,
            wrap: text("WRAP_SINGLE_VALUE")
                .map(|p| Ok::<_, Error>((boolean(p)?, p.name.span)))
                .transpose()?,
            partitions: text("PARTITIONS").map(|p| number(p, 10_000)).transpose()?,
            replicas: text("REPLICAS").map(|p| Ok::<_, Error>(number(p, 1_000)? as u16)).transpose()?,
            timestamp: text("TIMESTAMP")
                .map(|p| Ok::<_, Error>((column_name(&string(p)?), p.value_span)))
                .transpose()?,
            timestamp_format: text("TIMESTAMP_FORMAT").map(string).transpose()?,
            query_id: text("QUERY_ID").map(string).transpose()?,
            bounds: bounds(text("WINDOW_TYPE"), text("WINDOW_SIZE"))?,
            schemas: SchemaChoices {
                key: choice("KEY_SCHEMA_ID", &["KEY_SCHEMA_FULL_NAME"])?,
                value: choice("VALUE_SCHEMA_ID", &["VALUE_SCHEMA_FULL_NAME", "VALUE_AVRO_SCHEMA_FULL_NAME"])?,
            },
        })
    }

    /// The format of keys: as written, and for the rest as `inherited`; `None` where neither names one.
    pub fn key_format(&self, inherited: Option<Format>) -> Result<Option<Format>> {
        self.key.over(inherited, None)
    }

    /// The format of values, likewise. `wraps` is what the session says of single columns; what a source
    /// says of its own is not inherited.
    pub fn value_format(&self, inherited: Option<Format>, wraps: bool) -> Result<Option<Format>> {
        self.value.over(inherited, Some(self.wrap.map_or(wraps, |(wrap, _)| wrap)))
    }

    /// The column that is ROWTIME, and how its text is read.
    pub fn time_column(&self) -> Option<(String, Option<String>)> {
        let (column, _) = self.timestamp.as_ref()?;
        Some((column.clone(), self.timestamp_format.clone()))
    }

    /// Where KEY_FORMAT or FORMAT stands.
    pub fn key_format_span(&self) -> Option<Span> {
        self.key.format.map(|(_, span)| span)
    }

    /// Where VALUE_FORMAT or FORMAT stands.
    pub fn value_format_span(&self) -> Option<Span> {
        self.value.format.map(|(_, span)| span)
    }

    /// Whether WRAP_SINGLE_VALUE can be meant: there is one column, and the format has both ways or this one.
    pub fn check_wrapping(&self, format: Format, columns: usize) -> Result<()> {
        let Some((wrap, span)) = self.wrap else { return Ok(()) };
        let wrong =
            |message: String| Err(Error::statement(message).at(span).hint("leave out WRAP_SINGLE_VALUE"));
        if columns != 1 {
            return wrong(format!(
                "WRAP_SINGLE_VALUE is about a value of a single column, and there are {columns}"
            ));
        }
        match format {
            Format::Protobuf { .. } | Format::ProtobufNoSr { .. } if !wrap => {
                wrong("PROTOBUF has no values without a message around them".into())
            }
            Format::Kafka | Format::Delimited { .. } | Format::None if wrap => {
                wrong(format!("{} has nothing to wrap a value in", format.name()))
            }
            _ => Ok(()),
        }
    }
}

impl Side {
    /// `wraps`: what goes for values; keys of one column are never wrapped.
    fn over(&self, inherited: Option<Format>, wraps: Option<bool>) -> Result<Option<Format>> {
        let Some(format) = self.format.map(|(format, _)| format).or(inherited) else {
            return self.check(None).map(|()| None);
        };
        self.check(Some(format))?;
        let wrap_single = wraps.unwrap_or(true);
        let delimiter = |of_source: Option<u8>, default| {
            self.delimiter.map(|(written, ..)| written).or(of_source).unwrap_or(default)
        };
        let nullable = |of_source: Option<Nullable>, default| {
            self.nullable.map(|(written, ..)| written).or(of_source).unwrap_or(default)
        };
        use Format as F;
        Ok(Some(match (format, inherited) {
            (F::Delimited { delimiter: own }, Some(F::Delimited { delimiter: of_source })) => {
                F::Delimited { delimiter: delimiter(Some(of_source), own) }
            }
            (F::Delimited { delimiter: own }, _) => F::Delimited { delimiter: delimiter(None, own) },
            (F::Protobuf { nullable: own }, Some(F::Protobuf { nullable: of_source })) => {
                F::Protobuf { nullable: nullable(Some(of_source), own) }
            }
            (F::Protobuf { nullable: own }, _) => F::Protobuf { nullable: nullable(None, own) },
            (F::ProtobufNoSr { nullable: own }, Some(F::ProtobufNoSr { nullable: of_source })) => {
                F::ProtobufNoSr { nullable: nullable(Some(of_source), own) }
            }
            (F::ProtobufNoSr { nullable: own }, _) => F::ProtobufNoSr { nullable: nullable(None, own) },
            (F::Json { .. }, _) => F::Json { wrap_single },
            (F::JsonSr { .. }, _) => F::JsonSr { wrap_single },
            (F::Avro { .. }, _) => F::Avro { wrap_single },
            (F::None | F::Kafka, _) => format,
        }))
    }

    /// Whether the format has what is written of it.
    fn check(&self, format: Option<Format>) -> Result<()> {
        let is_delimited = matches!(format, Some(Format::Delimited { .. }));
        let is_protobuf = matches!(format, Some(Format::Protobuf { .. } | Format::ProtobufNoSr { .. }));
        let wrong = |name: &str, wanted: &str, span| {
            let side = name.split('_').next().unwrap_or_default();
            Err(Error::statement(format!("{name} needs {side}_FORMAT='{wanted}'")).at(span))
        };
        match (self.delimiter, self.nullable) {
            (Some((_, name, span)), _) if !is_delimited => wrong(name, "DELIMITED", span),
            (_, Some((_, name, span))) if !is_protobuf => wrong(name, "PROTOBUF", span),
            _ => Ok(()),
        }
    }
}

fn check_names(properties: &[Property]) -> Result<()> {
    for Property { name, .. } in properties {
        if !PROPERTIES.contains(&name.name.as_str()) {
            let error = Error::statement(format!("unknown property {}", name.name)).at(name.span);
            return Err(match nearest(&name.name, PROPERTIES.iter().copied()) {
                Some(near) => error.hint(format!("did you mean {near}?")),
                None => error.hint(format!("known properties: {}", PROPERTIES.join(", "))),
            });
        }
    }
    Ok(())
}

/// An event's place is the topology's to say, its format and columns are its schema's.
fn check_event(properties: &[Property]) -> Result<()> {
    if !properties.iter().any(|property| property.name.name == "EVENT") {
        return Ok(());
    }
    let is_other = |property: &&Property| !BESIDE_EVENT.contains(&property.name.name.as_str());
    let Some(Property { name, .. }) = properties.iter().find(is_other) else { return Ok(()) };
    let (says, hint) = match name.name.as_str() {
        "KAFKA_TOPIC" => ("the topology says where an event is", "leave out one of the two"),
        "PARTITIONS" | "REPLICAS" | "RETENTION_MS" => (
            "the topology says how an event is kept",
            "partitions = 6 under [events.\"NAMESPACE/TYPE\"] there",
        ),
        _ => ("an event's schema says its format", "leave it out"),
    };
    Err(Error::statement(format!("{} cannot stand beside EVENT: {says}", name.name)).at(name.span).hint(hint))
}

fn parse_events(property: &Property) -> Result<EventNames> {
    string(property)?.parse().map_err(|why: String| {
        Error::statement(why)
            .at(property.value_span)
            .hint("EVENT='mfp/FoodEntryCreated', or several: 'mfp/FoodEntryCreated, mfp/FoodEntryDeleted', or all: 'mfp/*'")
    })
}

fn needs(property: &Property, what: &str) -> Error {
    Error::statement(format!("{} needs {what}", property.name.name)).at(property.value_span)
}

fn boolean(property: &Property) -> Result<bool> {
    match &property.value {
        Literal::Boolean(value) => Ok(*value),
        Literal::String(text) if text.eq_ignore_ascii_case("true") => Ok(true),
        Literal::String(text) if text.eq_ignore_ascii_case("false") => Ok(false),
        _ => Err(needs(property, "true or false")),
    }
}

fn string(property: &Property) -> Result<String> {
    match &property.value {
        Literal::String(text) => Ok(text.clone()),
        _ => Err(needs(property, "a string in single quotes")),
    }
}

/// A column named in a string follows the rules of identifiers.
fn column_name(text: &str) -> String {
    match text.strip_prefix('`').and_then(|t| t.strip_suffix('`')) {
        Some(inner) => inner.to_string(),
        None => text.to_uppercase(),
    }
}

fn number(property: &Property, most: u32) -> Result<u32> {
    match property.value {
        Literal::Integer(n) if (1..=most.into()).contains(&n) => Ok(n as u32),
        _ => Err(needs(property, &format!("a number from 1 to {most}"))),
    }
}

fn bounds(kind: Option<&Property>, size: Option<&Property>) -> Result<Option<(Bounds, Span)>> {
    let Some(kind) = kind else {
        return match size {
            Some(size) => Err(Error::statement("WINDOW_SIZE needs a WINDOW_TYPE").at(size.name.span)),
            None => Ok(None),
        };
    };
    let bounds = match (string(kind)?.to_uppercase().as_str(), size) {
        ("SESSION", None) => Bounds::Both,
        ("SESSION", Some(size)) => {
            return Err(Error::statement("sessions have no WINDOW_SIZE: each has its own").at(size.name.span));
        }
        ("TUMBLING" | "HOPPING", Some(size)) => match parse_duration(&string(size)?) {
            Ok(size_ms) if size_ms > 0 => Bounds::Start { size_ms },
            _ => return Err(needs(size, "a size above 0, such as '10 SECONDS'")),
        },
        ("TUMBLING" | "HOPPING", None) => {
            return Err(needs(kind, "a WINDOW_SIZE beside it")
                .hint("the keys only tell where a window starts: WINDOW_SIZE='10 SECONDS'"));
        }
        _ => return Err(needs(kind, "'TUMBLING', 'HOPPING' or 'SESSION'")),
    };
    Ok(Some((bounds, kind.value_span)))
}

fn parse_schema_id(property: &Property) -> Result<u32> {
    match property.value {
        Literal::Integer(id) if (1..=i64::from(i32::MAX)).contains(&id) => Ok(id as u32),
        _ => Err(needs(property, "the number that the registry gave the schema")),
    }
}

fn parse_delimiter(property: &Property) -> Result<u8> {
    match string(property)?.to_uppercase().as_str() {
        "SPACE" => Ok(b' '),
        "TAB" => Ok(b'\t'),
        _ => match string(property)?.as_bytes() {
            [byte] if byte.is_ascii() && !matches!(byte, b'"' | b'\n' | b'\r') => Ok(*byte),
            _ => Err(needs(property, "one ASCII character, SPACE or TAB")),
        },
    }
}

fn parse_nullable(property: &Property) -> Result<Nullable> {
    match string(property)?.to_uppercase().as_str() {
        "OPTIONAL" => Ok(Nullable::Optional),
        "WRAPPER" => Ok(Nullable::Wrapper),
        _ => Err(needs(property, "'OPTIONAL' or 'WRAPPER'")),
    }
}

fn parse_format(property: &Property) -> Result<Format> {
    let name = string(property)?.to_uppercase();
    Format::named(&name).ok_or_else(|| {
        Error::statement(format!("unknown format {name}")).at(property.value_span).hint(FORMATS)
    })
}
