//! The form in which two Avro texts are the same schema: full names, a fixed order of attributes, no
//! layout. Unlike the specification's parsing form it keeps documentation, defaults and aliases, since a
//! change of those is a new version.

use super::{Primitive, full_name, namespace_of};
use serde_json::{Map, Value};

/// The attributes in front; the others follow by name.
const ORDER: [&str; 10] =
    ["type", "name", "doc", "aliases", "fields", "symbols", "items", "values", "size", "default"];

pub fn canonical(value: &Value) -> String {
    schema(value, "").to_string()
}

fn schema(value: &Value, namespace: &str) -> Value {
    match value {
        Value::String(name) if Primitive::parse(name).is_none() => full_name(name, namespace).into(),
        Value::Array(branches) => branches.iter().map(|branch| schema(branch, namespace)).collect(),
        Value::Object(given) => object(given, namespace),
        other => other.clone(),
    }
}

fn object(given: &Map<String, Value>, namespace: &str) -> Value {
    // {"type": "int"} is "int".
    if let (1, Some(ty)) = (given.len(), given.get("type")) {
        return schema(ty, namespace);
    }
    let mut full = None;
    let mut inner = namespace.to_string();
    if let Some(name) = given.get("name").and_then(Value::as_str) {
        let name = full_name(name, given.get("namespace").and_then(Value::as_str).unwrap_or(namespace));
        inner = namespace_of(&name).into();
        full = Some(name);
    }
    ordered(given, |key, value| match (key, &full) {
        ("namespace", Some(_)) => None,
        ("name", Some(full)) => Some(full.clone().into()),
        ("type", _) if is_complex(value) => Some(value.clone()),
        ("type" | "items" | "values", _) => Some(schema(value, &inner)),
        ("fields", _) => Some(value.as_array()?.iter().map(|f| field(f, &inner)).collect()),
        _ => Some(value.clone()),
    })
}

fn is_complex(ty: &Value) -> bool {
    matches!(ty.as_str(), Some("record" | "error" | "enum" | "fixed" | "array" | "map"))
}

fn field(value: &Value, namespace: &str) -> Value {
    let Some(given) = value.as_object() else { return value.clone() };
    ordered(given, |key, value| match key {
        "type" => Some(schema(value, namespace)),
        _ => Some(value.clone()),
    })
}

fn ordered(given: &Map<String, Value>, mut of: impl FnMut(&str, &Value) -> Option<Value>) -> Value {
    let rank = |key: &str| ORDER.iter().position(|known| *known == key).unwrap_or(ORDER.len());
    let mut keys: Vec<&String> = given.keys().collect();
    keys.sort_by_key(|key| (rank(key), key.as_str()));
    let mut out = Map::new();
    for key in keys {
        if let Some(value) = of(key, &given[key]) {
            out.insert(key.clone(), value);
        }
    }
    Value::Object(out)
}
