//! Payloads as JSON ↔ bytes as a schema has them: what stands between HTTP and the records of a topic.
//!
//! ```text
//! publisher: JSON ─► encode ─► bytes      with coercions where a payload nearly fits (`avro`, `protobuf`)
//! consumer:  bytes ─► decode ─► JSON      plain, whatever the schema's kind (`plain`)
//! ```
//! A payload that does not fit is refused with the way to the field and what the schema expects there.

mod avro;
mod coercion;
mod json;
mod numbers;
mod plain;
mod protobuf;

pub use coercion::{Coerced, Coercion, Coercions};

use crate::format::body::Body;
use crate::format::fault::{Fault, Parsed};
use crate::format::push_indices;
use crate::registry::{self, Kind, Resolved, Schema};
use crate::topology::UnknownFields;
use serde_json::Value;
use std::sync::Arc;

/// Payloads of one schema.
pub struct Codec {
    form: Form,
}

enum Form {
    Avro(registry::avro::Document),
    /// With the path to the message that is written.
    Protobuf(registry::protobuf::Document, Vec<usize>),
    Json(registry::json::Document),
}

/// What a payload becomes is never longer.
pub const PAYLOAD_BYTES_MAX: usize = 8 << 20;

impl Codec {
    /// # Errors
    /// Say what is wrong with the text.
    pub fn new(schema: &Schema, needed: &[(String, Arc<Schema>)]) -> Result<Codec, String> {
        Codec::of_message(schema, needed, None)
    }

    /// The same; in Protobuf the message of that name is written instead of the first.
    pub fn of_message(
        schema: &Schema,
        needed: &[(String, Arc<Schema>)],
        name: Option<&str>,
    ) -> Result<Codec, String> {
        let form = match schema.kind {
            Kind::Avro => Form::Avro(registry::avro::Document::parse(&schema.text, needed)?),
            Kind::Json => Form::Json(registry::json::Document::parse(&schema.text, needed)?),
            Kind::Protobuf => {
                let document = registry::protobuf::Document::parse(&schema.text, needed)?;
                let first = document.message(&[0]).ok_or("it defines no message")?;
                let message = match name {
                    Some(name) => {
                        document.message_named(name).ok_or_else(|| format!("it has no message {name}"))?
                    }
                    None => first,
                };
                let path = registry::protobuf::path_of(&message);
                Form::Protobuf(document, path)
            }
        };
        Ok(Codec { form })
    }

    pub fn of(resolved: &Resolved) -> Result<Codec, String> {
        Codec::new(&resolved.schema, &resolved.needed)
    }

    /// Appends a payload as bytes, without the header that names its schema.
    ///
    /// # Errors
    /// The way to the field that does not fit, outermost last, and what the schema expects there.
    pub fn encode(
        &self,
        payload: &Value,
        unknown: UnknownFields,
        out: &mut Vec<u8>,
        coercions: &mut Coercions,
    ) -> Parsed<()> {
        let start = out.len();
        match &self.form {
            Form::Avro(document) => avro::Writing { document, unknown, out, coercions }.root(payload)?,
            Form::Protobuf(document, path) => {
                protobuf::encode((document, path), payload, unknown, out, coercions)?
            }
            Form::Json(document) => {
                json::validate(document, payload)?;
                out.extend_from_slice(payload.to_string().as_bytes());
            }
        }
        if out.len() - start > PAYLOAD_BYTES_MAX {
            return Err(Fault::new(format!("it has more than {} MiB", PAYLOAD_BYTES_MAX >> 20)));
        }
        Ok(())
    }

    /// What stands between the schema's id and the payload in Confluent's wire format: the indices of the
    /// message in Protobuf.
    pub fn preamble(&self) -> Vec<u8> {
        let mut indices = Vec::new();
        if let Form::Protobuf(_, path) = &self.form {
            push_indices(path, &mut indices);
        }
        indices
    }

    /// Appends a record's body, behind the id of its schema, as JSON.
    pub fn decode(&self, body: &[u8], out: &mut String) -> Result<(), String> {
        let mut body = Body::new(body, 0..body.len());
        let read = match &self.form {
            Form::Avro(document) => plain::avro(document, &mut body, out),
            Form::Protobuf(document, _) => protobuf::decode(document, &mut body, out),
            Form::Json(_) => plain::json(&mut body, out),
        };
        read.map_err(|fault| shown(*fault))
    }
}

/// The way to the place, and what is wrong there.
pub fn shown(fault: Fault) -> String {
    let reason = fault.reason.clone();
    match path_of(&fault) {
        path if path.is_empty() => reason,
        path => format!("{path}: {reason}"),
    }
}

/// `lines[3].price`
pub fn path_of(fault: &Fault) -> String {
    let mut path = String::new();
    for part in fault.path.iter().rev() {
        if !path.is_empty() && !part.starts_with('[') {
            path.push('.');
        }
        path.push_str(part);
    }
    path
}

/// The value at a dotted path, as text: a record's key.
pub fn text_at(payload: &Value, path: &str) -> Option<String> {
    let found = path.split('.').try_fold(payload, |value, field| value.get(field))?;
    // What is annotated with its branch, as Avro's JSON encoding does.
    let found = match found {
        Value::Object(one) if one.len() == 1 => one.values().next()?,
        found => found,
    };
    match found {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        _ => None,
    }
}

/// How a value is shown in a message: cut, so that no message is as long as a payload.
fn found(value: &Value) -> String {
    const SHOWN_CHARS: usize = 60;
    let text = value.to_string();
    match text.char_indices().nth(SHOWN_CHARS) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text,
    }
}

/// A value that is not what its place expects.
#[cold]
fn misfit(expected: &str, value: &Value) -> Box<Fault> {
    Fault::new(format!("expected {expected}, found {}", found(value)))
}

#[cfg(test)]
mod tests;
