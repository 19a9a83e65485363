//! JSON ↔ Protobuf, in Protobuf's own JSON mapping: fields by their names or their JSON names, enums by
//! name, 64-bit numbers as numbers or text, bytes in base64, timestamps as ISO text, wrappers as what they
//! wrap.

use super::coercion::{Coercion, Coercions};
use super::misfit;
use super::numbers::{boolean, double, float, integer, timestamp_of};
use super::plain::quoted;
use crate::expr::nearest::nearest;
use crate::format::body::{Body, DEPTH_MAX};
use crate::format::fault::{Fault, Parsed};
use crate::number_text::write_integer;
use crate::registry::protobuf::Document;
use crate::time::iso;
use crate::topology::UnknownFields;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use prost::Message;
use prost_reflect::{
    DynamicMessage, FieldDescriptor, Kind, MapKey, MessageDescriptor, ReflectMessage, Value,
};
use serde_json::Value as Json;
use std::fmt::Write;

pub fn encode(
    (document, path): (&Document, &[usize]),
    payload: &Json,
    unknown: UnknownFields,
    out: &mut Vec<u8>,
    coercions: &mut Coercions,
) -> Parsed<()> {
    let message = document.message(path).ok_or_else(|| Fault::new("the schema defines no message"))?;
    let message = Making { unknown, coercions }.message(&message, payload, 0)?;
    message.encode(out).map_err(|e| Fault::new(e.to_string()))
}

struct Making<'m> {
    unknown: UnknownFields,
    coercions: &'m mut Coercions,
}

const WRAPPERS: [&str; 9] =
    ["Double", "Float", "Int64", "UInt64", "Int32", "UInt32", "Bool", "String", "Bytes"];

/// Whether a message of Google's wraps a single value.
fn is_wrapper(message: &MessageDescriptor) -> bool {
    let name = message.full_name().strip_prefix("google.protobuf.").and_then(|n| n.strip_suffix("Value"));
    name.is_some_and(|name| WRAPPERS.contains(&name))
}

fn is_timestamp(message: &MessageDescriptor) -> bool {
    message.full_name() == "google.protobuf.Timestamp"
}

impl Making<'_> {
    fn message(
        &mut self,
        descriptor: &MessageDescriptor,
        json: &Json,
        depth: usize,
    ) -> Parsed<DynamicMessage> {
        if depth > DEPTH_MAX {
            return Err(Fault::new("it is nested too deeply"));
        }
        let mut message = DynamicMessage::new(descriptor.clone());
        if is_timestamp(descriptor) && !json.is_object() {
            self.timestamp(&mut message, json)?;
            return Ok(message);
        }
        if is_wrapper(descriptor) && !json.is_object() {
            if let Some(field) = descriptor.get_field(1) {
                let value = self.single(&field.kind(), json, depth)?;
                message.set_field(&field, value);
            }
            return Ok(message);
        }
        let object =
            json.as_object().ok_or_else(|| misfit(&format!("an object, {}", descriptor.name()), json))?;
        for (name, value) in object {
            let found =
                descriptor.get_field_by_name(name).or_else(|| descriptor.get_field_by_json_name(name));
            let Some(field) = found else {
                self.stranger(descriptor, name)?;
                continue;
            };
            if value.is_null() {
                continue;
            }
            self.coercions.enter(name);
            let value = self.field(&field, value, depth + 1).map_err(|fault| fault.within(name))?;
            self.coercions.leave();
            message.set_field(&field, value);
        }
        Ok(message)
    }

    fn stranger(&mut self, descriptor: &MessageDescriptor, name: &str) -> Parsed<()> {
        if self.unknown == UnknownFields::Drop {
            self.coercions.note_field(name, Coercion::UnknownField);
            return Ok(());
        }
        let names: Vec<String> = descriptor.fields().map(|field| field.name().to_string()).collect();
        let meant = nearest(name, names.iter().map(String::as_str));
        let meant = meant.map_or(String::new(), |near| format!("did you mean {near}? "));
        let fault = Fault::new(format!("the schema has no such field; {meant}it has {}", names.join(", ")));
        Err(fault.within(name))
    }

    fn field(&mut self, field: &FieldDescriptor, json: &Json, depth: usize) -> Parsed<Value> {
        if field.is_map() {
            let Kind::Message(entry) = field.kind() else { return Err(Fault::new("a map without entries")) };
            let entries = json.as_object().ok_or_else(|| misfit("an object", json))?;
            let mut map = std::collections::HashMap::new();
            for (key, value) in entries {
                let made = self.single(&entry.map_entry_value_field().kind(), value, depth);
                map.insert(
                    map_key(&entry.map_entry_key_field().kind(), key)?,
                    made.map_err(|fault| fault.within(key))?,
                );
            }
            return Ok(Value::Map(map));
        }
        if field.is_list() {
            let items = json.as_array().ok_or_else(|| misfit("an array", json))?;
            let item = |(i, item): (usize, &Json)| {
                self.single(&field.kind(), item, depth).map_err(|fault| fault.within(&format!("[{i}]")))
            };
            return Ok(Value::List(items.iter().enumerate().map(item).collect::<Parsed<_>>()?));
        }
        self.single(&field.kind(), json, depth)
    }

    fn single(&mut self, kind: &Kind, json: &Json, depth: usize) -> Parsed<Value> {
        let unfit = |expected: &str| misfit(expected, json);
        Ok(match kind {
            Kind::Bool => Value::Bool(boolean(json, self.coercions)?),
            Kind::Double => Value::F64(double(json, "double", self.coercions)?),
            Kind::Float => Value::F32(float(json, self.coercions)?),
            Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => {
                let wide = integer(json, "int32", self.coercions)?;
                Value::I32(i32::try_from(wide).map_err(|_| unfit("int32"))?)
            }
            Kind::Uint32 | Kind::Fixed32 => {
                let wide = integer(json, "uint32", self.coercions)?;
                Value::U32(u32::try_from(wide).map_err(|_| unfit("uint32"))?)
            }
            Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => {
                Value::I64(integer(json, "int64", self.coercions)?)
            }
            Kind::Uint64 | Kind::Fixed64 => match json.as_u64() {
                Some(wide) => Value::U64(wide),
                None => {
                    let wide = integer(json, "uint64", self.coercions)?;
                    Value::U64(u64::try_from(wide).map_err(|_| unfit("uint64"))?)
                }
            },
            Kind::String => match json {
                Json::String(text) => Value::String(text.clone()),
                Json::Number(_) | Json::Bool(_) => {
                    self.coercions.note(Coercion::NumberForText);
                    Value::String(json.to_string())
                }
                _ => return Err(unfit("string")),
            },
            Kind::Bytes => {
                let bytes = json.as_str().and_then(|text| STANDARD.decode(text).ok());
                Value::Bytes(bytes.ok_or_else(|| unfit("bytes in base64"))?.into())
            }
            Kind::Message(inner) => Value::Message(self.message(inner, json, depth)?),
            Kind::Enum(of) => {
                let number = match json {
                    Json::String(name) => of.get_value_by_name(name).map(|value| value.number()),
                    other => other.as_i64().and_then(|n| i32::try_from(n).ok()),
                };
                let names = || of.values().map(|v| v.name().to_string()).collect::<Vec<_>>().join(", ");
                Value::EnumNumber(number.ok_or_else(|| unfit(&format!("one of {}", names())))?)
            }
        })
    }

    /// ISO text, or milliseconds since 1970.
    fn timestamp(&mut self, message: &mut DynamicMessage, json: &Json) -> Parsed<()> {
        let ms = match json.as_str().and_then(|text| timestamp_of(text.as_bytes(), 1)) {
            Some(ms) => ms,
            None => integer(json, "a timestamp", self.coercions)?,
        };
        message.set_field_by_number(1, Value::I64(ms.div_euclid(1000)));
        message.set_field_by_number(2, Value::I32(ms.rem_euclid(1000) as i32 * 1_000_000));
        Ok(())
    }
}

fn map_key(kind: &Kind, key: &str) -> Parsed<MapKey> {
    let unfit = || Fault::new(format!("expected a key of {kind:?}, found {key:?}"));
    let signed = || key.parse::<i64>().map_err(|_| unfit());
    Ok(match kind {
        Kind::String => MapKey::String(key.into()),
        Kind::Bool => MapKey::Bool(key.parse().map_err(|_| unfit())?),
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => {
            MapKey::I32(i32::try_from(signed()?).map_err(|_| unfit())?)
        }
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => MapKey::I64(signed()?),
        Kind::Uint32 | Kind::Fixed32 => MapKey::U32(key.parse().map_err(|_| unfit())?),
        Kind::Uint64 | Kind::Fixed64 => MapKey::U64(key.parse().map_err(|_| unfit())?),
        _ => return Err(unfit()),
    })
}

/// The body begins with the indices of its message, as Confluent's wire format has them.
pub fn decode(document: &Document, body: &mut Body, out: &mut String) -> Parsed<()> {
    let mut path = Vec::new();
    let count = body.zigzag()?;
    for _ in 0..count {
        if path.len() == DEPTH_MAX {
            return Err(Fault::new("it names a message too deep in others"));
        }
        path.push(usize::try_from(body.zigzag()?).map_err(|_| Fault::new("an index is negative"))?);
    }
    if path.is_empty() {
        path.push(0);
    }
    let descriptor = document
        .message(&path)
        .ok_or_else(|| Fault::new(format!("the schema has no message at {path:?}")))?;
    let rest = body.take(body.rest() as u64)?;
    let bytes = body.field(&rest);
    let message = DynamicMessage::decode(descriptor, bytes.bytes()).map_err(|e| Fault::new(e.to_string()))?;
    write_message(&message, out, 0)
}

fn write_message(message: &DynamicMessage, out: &mut String, depth: usize) -> Parsed<()> {
    if depth > DEPTH_MAX {
        return Err(Fault::new("it is nested too deeply"));
    }
    let descriptor = message.descriptor();
    let part = |number| message.get_field_by_number(number);
    if is_timestamp(&descriptor) {
        let seconds = part(1).and_then(|v| v.as_i64()).unwrap_or(0);
        let nanos = part(2).and_then(|v| v.as_i32()).unwrap_or(0);
        out.push('"');
        iso::write_timestamp(seconds.saturating_mul(1000).saturating_add((nanos / 1_000_000).into()), out);
        out.push_str("Z\"");
        return Ok(());
    }
    if let Some(wrapped) = part(1).filter(|_| is_wrapper(&descriptor)) {
        return write_value(&wrapped, &descriptor.get_field(1).map(|f| f.kind()), out, depth);
    }
    out.push('{');
    let mut first = true;
    for field in descriptor.fields() {
        // What may be absent, and is, is null: consumers see every field of the schema.
        let is_absent = field.supports_presence() && !message.has_field(&field);
        if is_absent && field.containing_oneof().is_some_and(|oneof| !oneof.is_synthetic()) {
            continue;
        }
        if !std::mem::take(&mut first) {
            out.push(',');
        }
        quoted(field.name(), out);
        out.push(':');
        if is_absent {
            out.push_str("null");
            continue;
        }
        let value = message.get_field(&field);
        write_value(&value, &Some(field.kind()), out, depth + 1)
            .map_err(|fault| fault.within(field.name()))?;
    }
    out.push('}');
    Ok(())
}

fn write_value(value: &Value, kind: &Option<Kind>, out: &mut String, depth: usize) -> Parsed<()> {
    let number = |out: &mut String, is_finite: bool, value: &dyn std::fmt::Debug| {
        let quote = if is_finite { "" } else { "\"" };
        // Writing to a text cannot fail.
        let _ = write!(out, "{quote}{value:?}{quote}");
    };
    match value {
        Value::Bool(flag) => out.push_str(if *flag { "true" } else { "false" }),
        Value::I32(n) => write_integer((*n).into(), out),
        Value::I64(n) => write_integer(*n, out),
        Value::U32(n) => write_integer((*n).into(), out),
        Value::U64(n) => out.push_str(&n.to_string()),
        Value::F32(n) => number(out, n.is_finite(), n),
        Value::F64(n) => number(out, n.is_finite(), n),
        Value::String(text) => quoted(text, out),
        Value::Bytes(bytes) => quoted(&STANDARD.encode(bytes), out),
        Value::EnumNumber(n) => {
            let named = match kind {
                Some(Kind::Enum(of)) => of.get_value(*n),
                _ => None,
            };
            match named {
                Some(value) => quoted(value.name(), out),
                None => write_integer((*n).into(), out),
            }
        }
        Value::Message(message) => write_message(message, out, depth + 1)?,
        Value::List(items) => {
            out.push('[');
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                write_value(item, kind, out, depth + 1)?;
            }
            out.push(']');
        }
        Value::Map(entries) => write_map(entries, kind, out, depth)?,
    }
    Ok(())
}

/// In the order of the keys, so that the same message is the same text.
fn write_map(
    entries: &std::collections::HashMap<MapKey, Value>,
    kind: &Option<Kind>,
    out: &mut String,
    depth: usize,
) -> Parsed<()> {
    let kind = match kind {
        Some(Kind::Message(entry)) if entry.is_map_entry() => Some(entry.map_entry_value_field().kind()),
        _ => None,
    };
    let text = |key: &MapKey| match key {
        MapKey::Bool(key) => key.to_string(),
        MapKey::I32(key) => key.to_string(),
        MapKey::I64(key) => key.to_string(),
        MapKey::U32(key) => key.to_string(),
        MapKey::U64(key) => key.to_string(),
        MapKey::String(key) => key.clone(),
    };
    let mut sorted: Vec<_> = entries.iter().map(|(key, value)| (text(key), value)).collect();
    sorted.sort_by(|a, b| a.0.cmp(&b.0));
    out.push('{');
    for (i, (key, value)) in sorted.into_iter().enumerate() {
        if i > 0 {
            out.push(',');
        }
        quoted(&key, out);
        out.push(':');
        write_value(value, &kind, out, depth + 1)?;
    }
    out.push('}');
    Ok(())
}
