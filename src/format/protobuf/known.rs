//! Messages that stand for a value of their own, as Connect's converters know them.

use prost_reflect::{FieldDescriptor, Kind, MessageDescriptor, Value};

pub enum Known {
    Timestamp,
    Date,
    TimeOfDay,
    Decimal,
    /// A value that may be missing, in the one field.
    Wrapper(FieldDescriptor),
}

/// What a message stands for beside its fields.
pub fn known(message: &MessageDescriptor) -> Option<Known> {
    match message.full_name() {
        "google.protobuf.Timestamp" => Some(Known::Timestamp),
        "google.type.Date" => Some(Known::Date),
        "google.type.TimeOfDay" => Some(Known::TimeOfDay),
        "confluent.type.Decimal" => Some(Known::Decimal),
        name => {
            let wrapped = name.strip_prefix("google.protobuf.")?.strip_suffix("Value")?;
            let is_scalar = matches!(
                wrapped,
                "Double" | "Float" | "Int64" | "UInt64" | "Int32" | "UInt32" | "Bool" | "String" | "Bytes"
            );
            is_scalar.then(|| message.get_field(1).map(Known::Wrapper))?
        }
    }
}

/// The key and the value of a map's entries: of Protobuf's own maps, and of those that Connect writes as a
/// repeated message with the two fields.
pub fn entry_of(field: &FieldDescriptor) -> Option<[FieldDescriptor; 2]> {
    let Kind::Message(entry) = field.kind() else { return None };
    if field.is_map() {
        return Some([entry.map_entry_key_field(), entry.map_entry_value_field()]);
    }
    let named = |number, name| entry.get_field(number).filter(|part| part.name() == name && !part.is_list());
    let is_entry = field.is_list() && !field.is_group() && entry.fields().len() == 2;
    Some([named(1, "key")?, named(2, "value")?]).filter(|_| is_entry)
}

/// Whether the repeated message is a map to all who read the schema: by Protobuf's own mark, or by the name
/// that Connect gives to entries.
pub fn is_map(field: &FieldDescriptor) -> bool {
    let Kind::Message(entry) = field.kind() else { return false };
    let number = entry.name().strip_prefix("ConnectDefault").and_then(|name| name.strip_suffix("Entry"));
    let is_named =
        number.is_some_and(|number| !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()));
    field.is_map() || (is_named && entry_of(field).is_some())
}

/// The precision and the scale that a field of `confluent.type.Decimal` is declared with.
pub fn decimal_of(field: &FieldDescriptor) -> Option<(u8, u8)> {
    let extension = field.parent_pool().get_extension_by_name("confluent.field_meta")?;
    let options = field.options();
    let meta = options.get_extension(&extension);
    let params = meta.as_message()?.get_field_by_name("params")?;
    let param = |name: &str| {
        let Value::Map(params) = &*params else { return None };
        params.get(&prost_reflect::MapKey::String(name.into()))?.as_str()?.parse().ok()
    };
    Some((param("precision")?, param("scale").unwrap_or(0)))
}

/// The type's name for messages.
pub fn type_name(field: &FieldDescriptor) -> String {
    let one = |field: &FieldDescriptor| match field.kind() {
        Kind::Message(message) => message.full_name().to_string(),
        Kind::Enum(values) => values.full_name().to_string(),
        scalar => format!("{scalar:?}").to_lowercase(),
    };
    match field.kind() {
        Kind::Message(entry) if field.is_map() => {
            format!("map<{}, {}>", one(&entry.map_entry_key_field()), one(&entry.map_entry_value_field()))
        }
        _ if field.is_list() => format!("repeated {}", one(field)),
        _ => one(field),
    }
}
