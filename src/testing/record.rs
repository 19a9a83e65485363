//! Records as tests write them ↔ bytes as the formats have them.
//!
//! A key or a value is JSON: a text or a number in the formats DELIMITED and KAFKA, else what the schema has,
//! with BYTES in base64 and times as numbers.

use super::json::Json;
use super::shape;
use crate::catalog::Source;
use crate::connector::memory::Stored;
use crate::error::{Error, Result};
use crate::format::body::Body;
use crate::format::{Format, unregistered};
use crate::gateway::codec::{Codec, Coercions, shown};
use crate::headers;
use crate::registry::{self, Kind, Registry, Schema};
use crate::topology::UnknownFields;
use crate::types::{ColumnDef, SqlType};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use prost_reflect::MessageDescriptor;
use std::fmt::Write;
use std::sync::Arc;

/// One record of a test. Key and value are JSON texts, `None`: absent.
#[derive(Clone, Debug, Default)]
pub struct Spec {
    pub topic: String,
    pub key: Option<String>,
    pub value: Option<String>,
    pub timestamp: Option<i64>,
    pub window: Option<Bounds>,
    /// Names with values in base64.
    pub headers: Vec<(String, Option<String>)>,
}

/// The window that a key is of.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bounds {
    pub start: i64,
    /// Of time windows the key does not have it.
    pub end: Option<i64>,
    pub session: bool,
}

/// How one side of a topic's records is written.
pub struct Side {
    pub key: bool,
    pub topic: String,
    pub format: Format,
    pub columns: Vec<ColumnDef>,
    /// The schema that the topic's source has of its own.
    pub own: Option<Arc<Schema>>,
    /// Of the record or message in it, where the statement gives one.
    pub name: Option<String>,
}

/// Both sides of a topic.
pub struct Sides {
    pub key: Side,
    pub value: Side,
    pub bounds: Option<crate::types::Bounds>,
}

impl Sides {
    pub fn of(source: &Source) -> Result<Sides> {
        let written =
            unregistered(&source.serialization, &source.schema.without_headers(), source.schemas.names())?;
        let side = |key: bool| Side {
            key,
            topic: source.topic.clone(),
            format: if key { source.serialization.key } else { source.serialization.value },
            columns: match key {
                true => source.schema.keys().cloned().collect(),
                false => source.schema.values().cloned().collect(),
            },
            own: if key { &written.key } else { &written.value }.as_ref().map(|s| Arc::clone(&s.schema)),
            name: source.schemas.names()[usize::from(!key)].map(String::from),
        };
        Ok(Sides { key: side(true), value: side(false), bounds: source.schema.bounds() })
    }

    /// Of a topic that no statement declares.
    pub fn undeclared(topic: &str, formats: [Option<&str>; 2]) -> Sides {
        let side = |key: bool, format: Option<&str>, default: Format| Side {
            key,
            topic: topic.into(),
            format: format.and_then(|name| Format::named(&name.to_uppercase())).unwrap_or(default),
            columns: Vec::new(),
            own: None,
            name: None,
        };
        let [key, value] = formats;
        Sides {
            key: side(true, key, Format::Kafka),
            value: side(false, value, Format::Json { wrap_single: true }),
            bounds: None,
        }
    }

    pub fn encode(&self, spec: &Spec, registry: &Registry) -> Result<Stored> {
        let part = |side: &Side, text: &Option<String>| -> Result<Option<Box<[u8]>>> {
            let Some(text) = text else { return Ok(None) };
            let json = Json::parse(text).map_err(Error::usage)?;
            let failed = |why: String| {
                let part = if side.key { "key" } else { "value" };
                Error::usage(format!("a {part} of topic {} cannot be written: {why}", side.topic))
                    .hint(format!("it is {text}"))
            };
            let mut out = Vec::new();
            Ok(side.write(&json, registry, &mut out).map_err(failed)?.then_some(out.into()))
        };
        let mut key = part(&self.key, &spec.key)?;
        if let (Some(window), Some(bytes)) = (spec.window, &mut key) {
            let mut windowed = bytes.to_vec();
            let bounds = match window.session {
                true => crate::types::Bounds::Both,
                false => crate::types::Bounds::Start { size_ms: 0 },
            };
            bounds.write(window.start, window.end.unwrap_or(window.start), &mut windowed);
            *bytes = windowed.into();
        }
        let mut block = Vec::new();
        for (name, value) in &spec.headers {
            let value = value.as_ref().map(|value| STANDARD.decode(value)).transpose();
            let value = value.map_err(|e| Error::usage(format!("header {name} is not base64: {e}")))?;
            headers::push(name.as_bytes(), value.as_deref(), &mut block);
        }
        Ok(Stored {
            timestamp: spec.timestamp.unwrap_or(0),
            key,
            value: part(&self.value, &spec.value)?,
            headers: block.into(),
            derived: false,
        })
    }

    pub fn decode(&self, record: &Stored, registry: &Registry) -> std::result::Result<Spec, String> {
        let (mut key, mut window) = (record.key.as_deref(), None);
        if let (Some(bounds), Some(bytes)) = (self.bounds, key) {
            let [start, end] = bounds.read(bytes).ok_or("the key is no windowed one")?;
            let session = bounds == crate::types::Bounds::Both;
            window = Some(Bounds { start, end: Some(end), session });
            key = Some(&bytes[..bytes.len() - bounds.bytes()]);
        }
        let read = |side: &Side, bytes: Option<&[u8]>| -> std::result::Result<Option<String>, String> {
            bytes.map(|bytes| side.read(bytes, registry)).transpose()
        };
        let headers = headers::of(&record.headers).map(|(name, value)| {
            (String::from_utf8_lossy(name).into_owned(), value.map(|value| STANDARD.encode(value)))
        });
        Ok(Spec {
            topic: self.key.topic.clone(),
            key: read(&self.key, key)?,
            value: read(&self.value, record.value.as_deref())?,
            timestamp: Some(record.timestamp),
            window,
            headers: headers.collect(),
        })
    }
}

impl Side {
    /// Appends what stands for the JSON; false: there are no bytes.
    fn write(
        &self,
        json: &Json,
        registry: &Registry,
        out: &mut Vec<u8>,
    ) -> std::result::Result<bool, String> {
        match self.format {
            _ if *json == Json::Null && !matches!(self.format, Format::Json { .. } if self.key) => {
                return Ok(false);
            }
            Format::Json { .. } => out.extend_from_slice(json.json().as_bytes()),
            Format::None | Format::Delimited { .. } => out.extend_from_slice(json.plain().as_bytes()),
            Format::Kafka => self.write_scalar(json, out)?,
            Format::JsonSr { .. } => {
                let (id, _) = self.schema(Kind::Json, registry)?;
                push_head(id, out);
                out.extend_from_slice(json.json().as_bytes());
            }
            Format::Avro { .. } => self.write_body(Kind::Avro, json, registry, out)?,
            Format::Protobuf { .. } => self.write_body(Kind::Protobuf, json, registry, out)?,
            Format::ProtobufNoSr { .. } => {
                let schema = self.bare_schema()?;
                // It has no indices of a message in front.
                let mut body = Vec::new();
                encode(&schema, &[], None, json, &mut body)?;
                out.extend_from_slice(&body[1..]);
            }
        }
        Ok(true)
    }

    /// As Kafka's own serialisers do.
    fn write_scalar(&self, json: &Json, out: &mut Vec<u8>) -> std::result::Result<(), String> {
        let text = json.plain();
        let wrong = |ty: &str| format!("{text} is no {ty}");
        match self.columns.first().map(|column| &column.ty) {
            Some(SqlType::Int) => out.extend(text.parse::<i32>().map_err(|_| wrong("INT"))?.to_be_bytes()),
            Some(SqlType::Bigint) => {
                out.extend(text.parse::<i64>().map_err(|_| wrong("BIGINT"))?.to_be_bytes())
            }
            Some(SqlType::Double) => {
                out.extend(text.parse::<f64>().map_err(|_| wrong("DOUBLE"))?.to_be_bytes())
            }
            Some(SqlType::Bytes) => out.extend(STANDARD.decode(&text).map_err(|_| wrong("base64"))?),
            _ => out.extend_from_slice(text.as_bytes()),
        }
        Ok(())
    }

    fn write_body(
        &self,
        kind: Kind,
        json: &Json,
        registry: &Registry,
        out: &mut Vec<u8>,
    ) -> std::result::Result<(), String> {
        let (id, schema) = self.schema(kind, registry)?;
        push_head(id, out);
        let needed = registry.closure(&schema).map_err(|fault| fault.to_string())?;
        encode(&schema, &needed, self.name.as_deref(), json, out)
    }

    fn subject(&self) -> String {
        format!("{}-{}", self.topic, if self.key { "key" } else { "value" })
    }

    /// The newest schema of the topic, or the one that its columns have, which is registered then.
    fn schema(&self, kind: Kind, registry: &Registry) -> std::result::Result<(u32, Arc<Schema>), String> {
        if let Ok(version) = registry.latest(&self.subject()) {
            return Ok((version.id, version.schema));
        }
        let own = self.own.as_ref().filter(|own| own.kind == kind);
        let own = own.ok_or_else(|| format!("subject {} has no schema", self.subject()))?;
        let id = registry.register(&self.subject(), (**own).clone()).map_err(|fault| fault.to_string())?;
        Ok((id, Arc::clone(own)))
    }

    fn bare_schema(&self) -> std::result::Result<Schema, String> {
        let Format::ProtobufNoSr { nullable } = self.format else { return Err("it needs no schema".into()) };
        let columns: Vec<&ColumnDef> = self.columns.iter().collect();
        let name = crate::format::protobuf::FULL_NAME;
        let text = crate::format::protobuf::schema_text(&columns, name, nullable)?;
        Ok(Schema::new(Kind::Protobuf, text))
    }

    fn read(&self, bytes: &[u8], registry: &Registry) -> std::result::Result<String, String> {
        let quoted = |text: &str| Json::Text(text.into()).json();
        match self.format {
            Format::None | Format::Delimited { .. } => Ok(quoted(&String::from_utf8_lossy(bytes))),
            Format::Json { .. } => Ok(String::from_utf8_lossy(bytes).into_owned()),
            Format::Kafka => self.read_scalar(bytes),
            Format::JsonSr { .. } => Ok(String::from_utf8_lossy(headed(bytes)?.1).into_owned()),
            Format::Avro { .. } | Format::Protobuf { .. } => {
                let (id, body) = headed(bytes)?;
                let schema = registry.schema(id).map_err(|fault| fault.to_string())?;
                let needed = registry.closure(&schema).map_err(|fault| fault.to_string())?;
                let mut text = String::new();
                Codec::new(&schema, &needed)?.decode(body, &mut text)?;
                let json = Json::parse(&text)?;
                Ok(match schema.kind {
                    Kind::Avro => {
                        shape::avro_shown(&json, &registry::avro::Document::parse(&schema.text, &needed)?)
                    }
                    _ => shape::protobuf_shown(&json, &message_of(&schema, &needed, body)?),
                })
            }
            Format::ProtobufNoSr { .. } => {
                let mut text = String::new();
                // As if the indices of the first message stood in front.
                let body = [&[0], bytes].concat();
                let schema = self.bare_schema()?;
                Codec::new(&schema, &[])?.decode(&body, &mut text)?;
                Ok(shape::protobuf_shown(&Json::parse(&text)?, &message_of(&schema, &[], &body)?))
            }
        }
    }

    fn read_scalar(&self, bytes: &[u8]) -> std::result::Result<String, String> {
        let mut text = String::new();
        let wrong = |_| format!("{} bytes are no {}", bytes.len(), self.columns[0].ty);
        let _ = match self.columns.first().map(|column| &column.ty) {
            Some(SqlType::Int) => write!(text, "{}", i32::from_be_bytes(bytes.try_into().map_err(wrong)?)),
            Some(SqlType::Bigint) => write!(text, "{}", i64::from_be_bytes(bytes.try_into().map_err(wrong)?)),
            Some(SqlType::Double) => {
                let value = crate::value::Value::Double(f64::from_be_bytes(bytes.try_into().map_err(wrong)?));
                crate::format::output::json_value(&value, &SqlType::Double, &mut text);
                Ok(())
            }
            Some(SqlType::Bytes) => write!(text, "\"{}\"", STANDARD.encode(bytes)),
            _ => write!(text, "{}", Json::Text(String::from_utf8_lossy(bytes)).json()),
        };
        Ok(text)
    }
}

/// Appends a body, with what stands between it and the id of its schema.
fn encode(
    schema: &Schema,
    needed: &Needed,
    name: Option<&str>,
    json: &Json,
    out: &mut Vec<u8>,
) -> std::result::Result<(), String> {
    let name = name.filter(|_| schema.kind == Kind::Protobuf);
    let codec = Codec::of_message(schema, needed, name)?;
    let payload = match schema.kind {
        Kind::Protobuf => {
            let document = registry::protobuf::Document::parse(&schema.text, needed)?;
            let message = match name {
                Some(name) => document.message_named(name),
                None => document.message(&[0]),
            };
            shape::protobuf(json, &message.ok_or("the schema has no such message")?)
        }
        _ => shape::avro(json, &registry::avro::Document::parse(&schema.text, needed)?),
    };
    out.extend(codec.preamble());
    // Fields that the schema does not have are of no account in ksqlDB's tests either.
    codec.encode(&payload, UnknownFields::Drop, out, &mut Coercions::default()).map_err(|fault| shown(*fault))
}

type Needed = [(String, Arc<Schema>)];

/// The message that a body is of: its indices stand in front.
fn message_of(
    schema: &Schema,
    needed: &Needed,
    body: &[u8],
) -> std::result::Result<MessageDescriptor, String> {
    let document = registry::protobuf::Document::parse(&schema.text, needed)?;
    let mut body = Body::new(body, 0..body.len());
    let mut index = || body.zigzag().map_err(|fault| shown(*fault));
    let mut path = Vec::new();
    for _ in 0..index()? {
        path.push(usize::try_from(index()?).map_err(|_| "an index is negative".to_string())?);
    }
    let path = if path.is_empty() { vec![0] } else { path };
    document.message(&path).ok_or_else(|| format!("the schema has no message at {path:?}"))
}

/// What stands before a body that a schema of the registry explains.
fn push_head(id: u32, out: &mut Vec<u8>) {
    out.push(0);
    out.extend(id.to_be_bytes());
}

fn headed(bytes: &[u8]) -> std::result::Result<(u32, &[u8]), String> {
    match bytes {
        [0, a, b, c, d, body @ ..] => Ok((u32::from_be_bytes([*a, *b, *c, *d]), body)),
        _ => Err("it does not begin with the id of a schema".into()),
    }
}

impl std::fmt::Display for Spec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let or_null = |text: &Option<String>| text.clone().unwrap_or_else(|| "null".into());
        write!(f, "{} {}", or_null(&self.key), or_null(&self.value))?;
        if let Some(timestamp) = self.timestamp {
            write!(f, " @{timestamp}")?;
        }
        if let Some(Bounds { start, end, .. }) = self.window {
            write!(f, " window {start}..{}", end.map_or(String::new(), |end| end.to_string()))?;
        }
        for (name, value) in &self.headers {
            write!(f, " header {name}={}", or_null(value))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_read_back_as_they_were_written() {
        let registry = Registry::volatile();
        let avro = r#"{"type":"record","name":"Bay","fields":[{"name":"ID","type":["null","long"]},{"name":"B","type":"bytes"}]}"#;
        registry.register("t-value", Schema::new(Kind::Avro, avro)).unwrap();
        let sides = Sides::undeclared("t", [Some("kafka"), Some("AVRO")]);
        let spec = Spec {
            topic: "t".into(),
            key: Some("\"k\"".into()),
            value: Some(r#"{"id":5,"b":"aGk="}"#.into()),
            timestamp: Some(7),
            window: None,
            headers: vec![("h".into(), Some("aGk=".into())), ("n".into(), None)],
        };
        let stored = sides.encode(&spec, &registry).unwrap();
        assert_eq!((stored.key.as_deref(), stored.timestamp), (Some(b"k".as_slice()), 7));
        let read = sides.decode(&stored, &registry).unwrap();
        assert_eq!(read.to_string(), r#""k" {"ID":5,"B":"aGk="} @7 header h=aGk= header n=null"#);
        let bad = Spec { value: Some(r#"{"id":"x"}"#.into()), ..spec };
        let error = sides.encode(&bad, &registry).unwrap_err().to_string();
        assert!(error.starts_with("a value of topic t cannot be written: "), "{error}");
    }
}
