//! What a test writes ↔ what a schema has: names in any case, maps that a schema keeps as lists of entries,
//! numbers whose digits count.

use super::json::Json;
use crate::registry::avro::{Document, Named, Primitive, Shape, Type};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use prost_reflect::{FieldDescriptor, Kind, MessageDescriptor};
use serde_json::{Map, Value};

/// A number whose digits a double would not keep is a text.
fn plain(json: &Json) -> Value {
    match json {
        Json::Null => Value::Null,
        Json::Bool(value) => Value::Bool(*value),
        Json::Number(digits) => match serde_json::from_str::<Value>(digits) {
            Ok(number) if number.is_i64() || is_written_as(&number, digits) => number,
            _ => Value::String((*digits).into()),
        },
        Json::Text(text) => Value::String(text.to_string()),
        Json::Array(items) => items.iter().map(plain).collect(),
        Json::Object(fields) => {
            Value::Object(fields.iter().map(|(name, value)| (name.to_string(), plain(value))).collect())
        }
    }
}

fn is_written_as(number: &Value, digits: &str) -> bool {
    let text = number.to_string();
    text == digits
}

/// The name among `known` that a field of a test has, in whatever case.
fn own<'k>(name: &str, known: impl Iterator<Item = &'k str> + Clone) -> Option<&'k str> {
    let same = |other: &&str| *other == name;
    known.clone().find(same).or_else(|| known.clone().find(|other| other.eq_ignore_ascii_case(name)))
}

/// A payload of an Avro schema.
pub fn avro(json: &Json, document: &Document) -> Value {
    of_type(json, &document.root, document)
}

fn of_type(json: &Json, ty: &Type, document: &Document) -> Value {
    match (json, ty) {
        (Json::Null, _) => Value::Null,
        (_, Type::Union(branches)) => {
            let branch = branches.iter().find(|branch| fits(json, branch, document));
            branch.map_or_else(|| plain(json), |branch| of_type(json, branch, document))
        }
        (Json::Array(items), Type::Array(item)) => {
            items.iter().map(|value| of_type(value, item, document)).collect()
        }
        (Json::Object(fields), Type::Array(item)) => match entry(item, document) {
            Some(parts) => fields.iter().map(|(key, value)| map_entry(key, value, parts, document)).collect(),
            None => plain(json),
        },
        (Json::Object(fields), Type::Map(item)) => {
            let entries = fields.iter().map(|(key, value)| (key.to_string(), of_type(value, item, document)));
            Value::Object(entries.collect())
        }
        (_, Type::Named(name)) => match document.named.get(name).map(|named| &named.shape) {
            Some(Shape::Record(parts)) => {
                let names = || parts.iter().map(|part| part.name.as_str());
                let Json::Object(fields) = json else {
                    // A value that is a single column's may stand alone.
                    return match parts.as_slice() {
                        [part] => Value::Object(Map::from_iter([(
                            part.name.clone(),
                            of_type(json, &part.ty, document),
                        )])),
                        _ => plain(json),
                    };
                };
                let field = |name: &str, value: &Json| match own(name, names())
                    .and_then(|own| parts.iter().find(|part| part.name == own))
                {
                    Some(part) => (part.name.clone(), of_type(value, &part.ty, document)),
                    None => (name.to_string(), plain(value)),
                };
                Value::Object(fields.iter().map(|(name, value)| field(name, value)).collect())
            }
            _ => plain(json),
        },
        _ => plain(json),
    }
}

/// Whether a branch of a union is meant.
fn fits(json: &Json, branch: &Type, document: &Document) -> bool {
    match branch {
        Type::Primitive(Primitive::Null, _) => false,
        Type::Primitive(..) => !matches!(json, Json::Array(_) | Json::Object(_)),
        Type::Array(item) => {
            matches!(json, Json::Array(_))
                || matches!(json, Json::Object(_)) && entry(item, document).is_some()
        }
        Type::Map(_) => matches!(json, Json::Object(_)),
        Type::Named(name) => match document.named.get(name).map(|named| &named.shape) {
            Some(Shape::Record(_)) => matches!(json, Json::Object(_)),
            _ => !matches!(json, Json::Array(_) | Json::Object(_)),
        },
        Type::Union(_) => false,
    }
}

/// The types of key and value, where the items of an array are the entries of a map.
fn entry<'d>(item: &'d Type, document: &'d Document) -> Option<(&'d Type, &'d Type)> {
    let Type::Named(name) = item else { return None };
    let Named { shape: Shape::Record(parts), is_map_entry, .. } = document.named.get(name)? else {
        return None;
    };
    let part = |name: &str| parts.iter().find(|part| part.name == name).map(|part| &part.ty);
    (*is_map_entry || parts.len() == 2).then(|| Some((part("key")?, part("value")?)))?
}

fn map_entry(key: &str, value: &Json, (of_key, of_value): (&Type, &Type), document: &Document) -> Value {
    let parts = [
        ("key".to_string(), of_type(&Json::Text(key.into()), of_key, document)),
        ("value".to_string(), of_type(value, of_value, document)),
    ];
    Value::Object(Map::from_iter(parts))
}

/// What a message of Google's or Confluent's stands for, which a test writes as one number.
fn scalar(message: &MessageDescriptor) -> Option<Scalar> {
    Some(match message.full_name() {
        "google.type.Date" => Scalar::Date,
        "google.type.TimeOfDay" => Scalar::Time,
        "google.protobuf.Timestamp" => Scalar::Timestamp,
        "confluent.type.Decimal" => Scalar::Decimal,
        _ => return None,
    })
}

enum Scalar {
    /// Days since 1970-01-01.
    Date,
    /// Milliseconds since midnight.
    Time,
    /// Milliseconds since 1970-01-01T00:00.
    Timestamp,
    Decimal,
}

/// Whether the messages of a list are the entries of a map.
fn entry_value(field: &FieldDescriptor) -> Option<Kind> {
    let Kind::Message(entry) = field.kind() else { return None };
    if field.is_map() {
        return Some(entry.map_entry_value_field().kind());
    }
    let is_entry = field.is_list() && entry.fields().len() == 2 && entry.get_field_by_name("key").is_some();
    is_entry.then(|| Some(entry.get_field_by_name("value")?.kind()))?
}

/// A payload of a message.
pub fn protobuf(json: &Json, message: &MessageDescriptor) -> Value {
    let Json::Object(fields) = json else { return of_scalar(json, message) };
    let known: Vec<FieldDescriptor> = message.fields().collect();
    let names = || known.iter().map(|field| field.name());
    let mut out = Map::new();
    for (name, value) in fields {
        let field = own(name, names()).and_then(|own| known.iter().find(|field| field.name() == own));
        match field {
            Some(field) => out.insert(field.name().into(), of_field(value, field)),
            None => out.insert(name.to_string(), plain(value)),
        };
    }
    Value::Object(out)
}

fn of_field(value: &Json, field: &FieldDescriptor) -> Value {
    let of_kind = |value: &Json, kind: &Kind| match kind {
        Kind::Message(inner) if *value != Json::Null => protobuf(value, inner),
        _ => plain(value),
    };
    match (value, entry_value(field)) {
        (Json::Object(entries), Some(kind)) if field.is_map() => Value::Object(
            entries.iter().map(|(key, value)| (key.to_string(), of_kind(value, &kind))).collect(),
        ),
        (Json::Object(entries), Some(kind)) => {
            let entry = |(key, value): (&str, &Json)| {
                let parts = [("key".into(), Value::from(key)), ("value".into(), of_kind(value, &kind))];
                Value::Object(Map::from_iter(parts))
            };
            entries.iter().map(|(key, value)| entry((key, value))).collect()
        }
        (Json::Array(items), None) => items.iter().map(|item| of_kind(item, &field.kind())).collect(),
        (value, _) => of_kind(value, &field.kind()),
    }
}

/// A number as the message that stands for it.
fn of_scalar(json: &Json, message: &MessageDescriptor) -> Value {
    let digits = json.plain();
    let whole = digits.parse::<i64>();
    match (scalar(message), whole) {
        (Some(Scalar::Date), Ok(days)) => {
            let date = chrono::DateTime::from_timestamp(days.saturating_mul(86_400), 0).unwrap_or_default();
            let part = |text: &str| date.format(text).to_string().parse::<i64>().unwrap_or_default();
            serde_json::json!({"year": part("%Y"), "month": part("%m"), "day": part("%d")})
        }
        (Some(Scalar::Time), Ok(ms)) => serde_json::json!({
            "hours": ms / 3_600_000, "minutes": ms / 60_000 % 60, "seconds": ms / 1_000 % 60,
            "nanos": ms % 1_000 * 1_000_000,
        }),
        (Some(Scalar::Decimal), _) => {
            let unscaled: String = digits.chars().filter(|c| *c != '.').collect();
            let scale = digits.split_once('.').map_or(0, |(_, behind)| behind.len());
            let bytes = unscaled.parse::<i128>().unwrap_or_default().to_be_bytes();
            let sign = if bytes[0] >= 0x80 { 0xff } else { 0 };
            // As few bytes as keep the sign.
            let spare = bytes.windows(2).take_while(|two| two[0] == sign && (two[1] ^ sign) < 0x80).count();
            let precision = unscaled.trim_start_matches('-').len();
            serde_json::json!({"value": STANDARD.encode(&bytes[spare..]), "precision": precision, "scale": scale})
        }
        _ => plain(json),
    }
}

/// The text of a message as a test has it.
pub fn protobuf_shown(json: &Json, message: &MessageDescriptor) -> String {
    let mut out = String::new();
    with_scalars(json, message).write(&mut out);
    out
}

fn with_scalars<'a>(json: &Json<'a>, message: &MessageDescriptor) -> Json<'a> {
    if let Some(scalar) = scalar(message) {
        return number(json, &scalar).map_or_else(|| json.clone(), |number| Json::Text(number.into()));
    }
    let Json::Object(fields) = json else { return json.clone() };
    let of_kind = |value: &Json<'a>, kind: &Kind| match kind {
        Kind::Message(inner) => with_scalars(value, inner),
        _ => value.clone(),
    };
    let of = |name: &str, value: &Json<'a>| {
        let Some(field) = message.get_field_by_name(name) else { return value.clone() };
        match (value, entry_value(&field)) {
            (Json::Array(entries), Some(kind)) => Json::Object(
                entries
                    .iter()
                    .filter_map(|entry| Some((entry.field("key")?.plain().into(), entry.field("value")?)))
                    .map(|(key, value)| (key, of_kind(value, &kind)))
                    .collect(),
            ),
            (Json::Array(items), None) => {
                Json::Array(items.iter().map(|item| of_kind(item, &field.kind())).collect())
            }
            (Json::Object(_), None) => of_kind(value, &field.kind()),
            (Json::Text(_), None) => of_kind(value, &field.kind()),
            _ => value.clone(),
        }
    };
    Json::Object(fields.iter().map(|(name, value)| (name.clone(), of(name, value))).collect())
}

/// The number that such a message stands for, as text.
fn number(json: &Json, scalar: &Scalar) -> Option<String> {
    let part = |name: &str| super::json::integer(json, name).unwrap_or(0);
    Some(match scalar {
        Scalar::Date => {
            let date = chrono::NaiveDate::from_ymd_opt(
                i32::try_from(part("year")).ok()?,
                u32::try_from(part("month")).ok()?,
                u32::try_from(part("day")).ok()?,
            )?;
            date.signed_duration_since(chrono::NaiveDate::default()).num_days().to_string()
        }
        Scalar::Time => {
            let seconds = part("hours") * 3_600 + part("minutes") * 60 + part("seconds");
            (seconds * 1_000 + part("nanos") / 1_000_000).to_string()
        }
        Scalar::Timestamp => {
            let Json::Text(text) = json else { return None };
            chrono::DateTime::parse_from_rfc3339(text).ok()?.timestamp_millis().to_string()
        }
        Scalar::Decimal => {
            let bytes = STANDARD.decode(super::json::text(json, "value")?).ok()?;
            let first = if bytes.first().is_some_and(|byte| *byte >= 0x80) { -1i128 } else { 0 };
            let unscaled =
                bytes.iter().try_fold(first, |n, byte| Some(n.checked_mul(256)? | i128::from(*byte)))?;
            let scale = usize::try_from(part("scale")).ok()?;
            let digits = format!("{:0>width$}", unscaled.unsigned_abs(), width = scale + 1);
            let (whole, behind) = digits.split_at(digits.len() - scale);
            let sign = if unscaled < 0 { "-" } else { "" };
            format!("{sign}{whole}{}{behind}", if scale > 0 { "." } else { "" })
        }
    })
}

/// The text of a payload as a test has it: lists of entries are maps.
pub fn avro_shown(json: &Json, document: &Document) -> String {
    let mut out = String::new();
    with_maps(json, &document.root, document).write(&mut out);
    out
}

fn with_maps<'a>(json: &Json<'a>, ty: &Type, document: &Document) -> Json<'a> {
    match (json, ty) {
        (_, Type::Union(branches)) => {
            let branch = branches.iter().find(|branch| fits(json, branch, document));
            branch.map_or_else(|| json.clone(), |branch| with_maps(json, branch, document))
        }
        (Json::Array(items), Type::Array(item)) => match entry(item, document) {
            Some((_, of_value)) => Json::Object(
                items
                    .iter()
                    .filter_map(|item| Some((item.field("key")?.plain().into(), item.field("value")?)))
                    .map(|(key, value)| (key, with_maps(value, of_value, document)))
                    .collect(),
            ),
            None => Json::Array(items.iter().map(|value| with_maps(value, item, document)).collect()),
        },
        (Json::Object(fields), Type::Map(item)) => Json::Object(
            fields.iter().map(|(key, value)| (key.clone(), with_maps(value, item, document))).collect(),
        ),
        (Json::Object(fields), Type::Named(name)) => match document.named.get(name).map(|named| &named.shape)
        {
            Some(Shape::Record(parts)) => {
                let of = |name: &str, value: &Json<'a>| match parts.iter().find(|part| part.name == name) {
                    Some(part) => with_maps(value, &part.ty, document),
                    None => value.clone(),
                };
                Json::Object(fields.iter().map(|(name, value)| (name.clone(), of(name, value))).collect())
            }
            _ => json.clone(),
        },
        _ => json.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_is_shaped_as_its_schema_and_back() {
        let schema = r#"{"type":"record","name":"R","fields":[
            {"name":"value","type":["null","long"]},
            {"name":"Total","type":{"type":"bytes","logicalType":"decimal","precision":30,"scale":2}},
            {"name":"M","type":["null",{"type":"array","items":{"type":"record","name":"E",
                "connect.internal.type":"MapEntry",
                "fields":[{"name":"key","type":["null","string"]},{"name":"value","type":["null","long"]}]}}]}]}"#;
        let document = Document::parse(schema, &[]).unwrap();
        let json = Json::parse(r#"{"VALUE":5,"total":1.10,"m":{"a":1},"other":2}"#).unwrap();
        let shaped = r#"{"value":5,"Total":"1.10","M":[{"key":"a","value":1}],"other":2}"#;
        assert_eq!(avro(&json, &document).to_string(), shaped);
        let json = Json::parse(shaped).unwrap();
        assert_eq!(avro_shown(&json, &document), r#"{"value":5,"Total":"1.10","M":{"a":1},"other":2}"#);
    }
}
