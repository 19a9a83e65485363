//! Two fields with one number: do their bytes mean the same?

use super::read::Found;
use crate::registry::model::Incompatibility;
use prost_reflect::{Cardinality, EnumDescriptor, FieldDescriptor, Kind, MessageDescriptor};

/// Types whose values are read as each other's. An enum travels as an int32.
#[derive(PartialEq, Eq)]
enum Family {
    Varint,
    ZigZag,
    Fixed32,
    Fixed64,
    Float,
    Double,
    Text,
    Message,
    Map,
}

fn family(field: &FieldDescriptor) -> Family {
    if field.is_map() {
        return Family::Map;
    }
    match field.kind() {
        Kind::Int32 | Kind::Int64 | Kind::Uint32 | Kind::Uint64 | Kind::Bool | Kind::Enum(_) => {
            Family::Varint
        }
        Kind::Sint32 | Kind::Sint64 => Family::ZigZag,
        Kind::Fixed32 | Kind::Sfixed32 => Family::Fixed32,
        Kind::Fixed64 | Kind::Sfixed64 => Family::Fixed64,
        Kind::Float => Family::Float,
        Kind::Double => Family::Double,
        Kind::String | Kind::Bytes => Family::Text,
        Kind::Message(_) => Family::Message,
    }
}

pub fn is_required(field: &FieldDescriptor) -> bool {
    field.cardinality() == Cardinality::Required
}

pub fn read(reader: &FieldDescriptor, writer: &FieldDescriptor, path: &str) -> Found {
    let mut found = Found::new();
    let (r, w) = (family(reader), family(writer));
    if r != w {
        let is_scalar = |family: &Family| !matches!(family, Family::Message | Family::Map);
        let rule = match is_scalar(&r) && is_scalar(&w) {
            true => "FIELD_SCALAR_KIND_CHANGED",
            false => "FIELD_KIND_CHANGED",
        };
        found.push(changed(rule, reader, writer, path));
    } else if r == Family::Map {
        found.extend(entries(reader, writer, path));
    } else if let (Some(r), Some(w)) = (type_name(reader), type_name(writer))
        && r != w
    {
        found.push(changed("FIELD_NAMED_TYPE_CHANGED", reader, writer, path));
    }
    found.extend(labels(reader, writer, path));
    found
}

/// A map is a repeated message of key and value.
fn entries(reader: &FieldDescriptor, writer: &FieldDescriptor, path: &str) -> Found {
    let (Kind::Message(r), Kind::Message(w)) = (reader.kind(), writer.kind()) else { return Found::new() };
    let pairs = [(1, "key"), (2, "value")];
    let found = pairs.into_iter().filter_map(|(number, name)| {
        Some(read(&r.get_field(number)?, &w.get_field(number)?, &format!("{path}.{name}")))
    });
    found.flatten().collect()
}

fn labels(reader: &FieldDescriptor, writer: &FieldDescriptor, path: &str) -> Option<Incompatibility> {
    if is_required(reader) && !is_required(writer) {
        let message = format!("field {} is required by the reader only", reader.number());
        return Some(Incompatibility::new("REQUIRED_FIELD_ADDED", path, message));
    }
    // Packed numbers are bytes of another shape; of texts and messages the last one is taken.
    let is_numeric = !matches!(family(reader), Family::Text | Family::Message | Family::Map);
    (is_numeric && reader.is_list() != writer.is_list()).then(|| {
        let label = |field: &FieldDescriptor| if field.is_list() { "repeated" } else { "singular" };
        let message = format!(
            "field {} is {} with the reader, {} with the writer",
            reader.number(),
            label(reader),
            label(writer)
        );
        Incompatibility::new("FIELD_NUMERIC_LABEL_CHANGED", path, message)
    })
}

fn changed(
    rule: &'static str,
    reader: &FieldDescriptor,
    writer: &FieldDescriptor,
    path: &str,
) -> Incompatibility {
    let message = format!(
        "field {} is {} with the reader, {} with the writer",
        reader.number(),
        shown(reader),
        shown(writer)
    );
    Incompatibility::new(rule, path, message)
}

fn shown(field: &FieldDescriptor) -> String {
    if field.is_map() { "a map".into() } else { format!("{:?}", field.kind()) }
}

/// Only messages must keep their names: an enum is its numbers.
fn type_name(field: &FieldDescriptor) -> Option<String> {
    match field.kind() {
        Kind::Message(message) => Some(message.full_name().into()),
        _ => None,
    }
}

/// Types that have to be compared as well.
pub enum Referred {
    Messages(MessageDescriptor, MessageDescriptor),
    Enums(EnumDescriptor, EnumDescriptor),
}

pub fn referred(reader: &FieldDescriptor, writer: &FieldDescriptor) -> Option<Referred> {
    match (reader.kind(), writer.kind()) {
        (Kind::Message(r), Kind::Message(w)) if r.is_map_entry() && w.is_map_entry() => {
            referred(&r.get_field(2)?, &w.get_field(2)?)
        }
        (Kind::Message(r), Kind::Message(w)) if r.full_name() == w.full_name() => {
            Some(Referred::Messages(r, w))
        }
        (Kind::Enum(r), Kind::Enum(w)) => Some(Referred::Enums(r, w)),
        _ => None,
    }
}
