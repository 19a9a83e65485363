//! A text with the texts that it refers to: validation, `$ref`, the canonical form.

use crate::registry::parsed::Needed;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// References that lead to references; a cycle of nothing else is as good as `true`.
const HOPS_MAX: usize = 32;

const TYPES: [&str; 7] = ["null", "boolean", "integer", "number", "string", "array", "object"];
/// Keywords with a schema, with schemas by name, with schemas in a row.
const INNER: [&str; 12] = [
    "additionalProperties",
    "additionalItems",
    "items",
    "not",
    "if",
    "then",
    "else",
    "contains",
    "propertyNames",
    "unevaluatedProperties",
    "unevaluatedItems",
    "contentSchema",
];
const NAMED: [&str; 5] = ["properties", "patternProperties", "definitions", "$defs", "dependentSchemas"];
const LISTED: [&str; 4] = ["allOf", "anyOf", "oneOf", "prefixItems"];

pub struct Document {
    root: Value,
    needed: BTreeMap<String, Value>,
}

/// A schema in a document. `base` is the text that `#` means there.
#[derive(Clone, Copy)]
pub struct Node<'a> {
    pub value: &'a Value,
    base: &'a Value,
    document: &'a Document,
}

impl Document {
    pub fn parse(text: &str, needed: &Needed) -> Result<Document, String> {
        let json = |text: &str| serde_json::from_str::<Value>(text).map_err(|e| format!("not JSON: {e}"));
        let mut others = BTreeMap::new();
        for (name, schema) in needed {
            others.insert(name.clone(), json(&schema.text).map_err(|e| format!("reference '{name}': {e}"))?);
        }
        let document = Document { root: json(text)?, needed: others };
        document.validate(document.root(), "#")?;
        Ok(document)
    }

    pub fn root(&self) -> Node<'_> {
        Node { value: &self.root, base: &self.root, document: self }
    }

    /// Keys in order, no layout.
    pub fn canonical(&self) -> String {
        sorted(&self.root).to_string()
    }

    fn validate(&self, node: Node, path: &str) -> Result<(), String> {
        let object = match node.value {
            Value::Bool(_) => return Ok(()),
            Value::Object(object) => object,
            other => return Err(format!("{path}: {other} is no schema")),
        };
        keywords(object).map_err(|e| format!("{path}: {e}"))?;
        if let Some(Value::String(reference)) = object.get("$ref")
            && self.find(node, reference).is_none()
        {
            return Err(format!("{path}: nothing is at $ref `{reference}`; name it in `references`"));
        }
        for (key, value) in object {
            let path = format!("{path}/{key}");
            match (key.as_str(), value) {
                (key, Value::Array(list)) if LISTED.contains(&key) || key == "items" => {
                    for (i, value) in list.iter().enumerate() {
                        self.validate(node.with(value), &format!("{path}/{i}"))?;
                    }
                }
                (key, value) if INNER.contains(&key) => self.validate(node.with(value), &path)?,
                (key, Value::Object(map)) if NAMED.contains(&key) => {
                    for (name, value) in map {
                        self.validate(node.with(value), &format!("{path}/{name}"))?;
                    }
                }
                (key, _) if LISTED.contains(&key) => return Err(format!("{path} must be an array")),
                (key, _) if NAMED.contains(&key) => return Err(format!("{path} must be an object")),
                _ => {}
            }
        }
        Ok(())
    }

    /// Where a `$ref` leads: in the text, to an `$id` in it, to a reference by its name.
    fn find<'a>(&'a self, from: Node<'a>, reference: &str) -> Option<Node<'a>> {
        let (name, fragment) = reference.split_once('#').unwrap_or((reference, ""));
        let base = match name {
            "" => from.base,
            name => self.needed.get(name).or_else(|| with_id(from.base, name))?,
        };
        let at = Node { value: base, base, document: self };
        match fragment {
            "" => Some(at),
            pointer if pointer.starts_with('/') => Some(at.with(base.pointer(&unescaped(pointer))?)),
            anchor => Some(at.with(with_anchor(base, anchor)?)),
        }
    }
}

impl<'a> Node<'a> {
    pub fn with(self, value: &'a Value) -> Node<'a> {
        Node { value, ..self }
    }

    /// The schema itself, where this one only says where it is.
    pub fn resolved(self) -> Node<'a> {
        let mut node = self;
        for _ in 0..HOPS_MAX {
            let Some(reference) = node.value.get("$ref").and_then(Value::as_str) else { return node };
            match self.document.find(node, reference) {
                Some(next) => node = next,
                None => return node,
            }
        }
        node
    }

    pub fn get(self, key: &str) -> Option<Node<'a>> {
        self.value.get(key).map(|value| self.with(value))
    }

    /// What a keyword with schemas by name holds.
    pub fn map(self, key: &str) -> impl Iterator<Item = (&'a str, Node<'a>)> {
        let map = self.value.get(key).and_then(Value::as_object);
        map.into_iter().flatten().map(move |(name, value)| (name.as_str(), self.with(value)))
    }

    /// What a keyword with schemas in a row holds.
    pub fn list(self, key: &str) -> Option<Vec<Node<'a>>> {
        let list = self.value.get(key)?.as_array()?;
        Some(list.iter().map(|value| self.with(value)).collect())
    }

    pub fn number(self, key: &str) -> Option<f64> {
        self.value.get(key)?.as_f64()
    }

    /// Takes everything.
    pub fn is_open(self) -> bool {
        match self.resolved().value {
            Value::Bool(open) => *open,
            Value::Object(object) => object.keys().all(|key| is_annotation(key)),
            _ => false,
        }
    }

    /// Takes nothing.
    pub fn is_closed(self) -> bool {
        *self.resolved().value == Value::Bool(false)
    }
}

/// Says nothing about what is taken.
pub fn is_annotation(key: &str) -> bool {
    const KNOWN: [&str; 14] = [
        "$id",
        "id",
        "$schema",
        "$comment",
        "$defs",
        "definitions",
        "title",
        "description",
        "default",
        "examples",
        "format",
        "deprecated",
        "readOnly",
        "writeOnly",
    ];
    KNOWN.contains(&key)
}

fn keywords(object: &Map<String, Value>) -> Result<(), String> {
    let is_type = |value: &Value| value.as_str().is_some_and(|name| TYPES.contains(&name));
    for (key, value) in object {
        let is_good = match key.as_str() {
            "type" => is_type(value) || value.as_array().is_some_and(|list| list.iter().all(is_type)),
            // Draft 3 and 4 had a boolean of this name in properties.
            "required" => {
                value.is_boolean() || value.as_array().is_some_and(|a| a.iter().all(Value::is_string))
            }
            "enum" => value.is_array(),
            "maximum" | "minimum" | "multipleOf" => value.is_number(),
            "exclusiveMaximum" | "exclusiveMinimum" => value.is_number() || value.is_boolean(),
            "maxLength" | "minLength" | "maxItems" | "minItems" | "maxProperties" | "minProperties" => {
                value.as_f64().is_some_and(|n| n >= 0.0)
            }
            "pattern" | "$ref" => value.is_string(),
            _ => true,
        };
        if !is_good {
            return Err(format!("{value} is no value of `{key}`"));
        }
    }
    Ok(())
}

fn with_id<'a>(value: &'a Value, id: &str) -> Option<&'a Value> {
    search(value, &|object| ["$id", "id"].iter().any(|key| object.get(*key).is_some_and(|v| v == id)))
}

fn with_anchor<'a>(value: &'a Value, anchor: &str) -> Option<&'a Value> {
    let old = format!("#{anchor}");
    search(value, &|object| {
        object.get("$anchor").is_some_and(|v| v == anchor)
            || ["$id", "id"].iter().any(|key| object.get(*key).is_some_and(|v| *v == old.as_str()))
    })
}

fn search<'a>(value: &'a Value, is_it: &impl Fn(&Map<String, Value>) -> bool) -> Option<&'a Value> {
    match value {
        Value::Object(object) if is_it(object) => Some(value),
        Value::Object(object) => object.values().find_map(|value| search(value, is_it)),
        Value::Array(list) => list.iter().find_map(|value| search(value, is_it)),
        _ => None,
    }
}

/// A pointer in a URL may have its special characters as `%25`.
fn unescaped(pointer: &str) -> String {
    pointer.replace("%25", "%").replace("%22", "\"").replace("%20", " ")
}

fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(object) => {
            let ordered: BTreeMap<&String, Value> = object.iter().map(|(k, v)| (k, sorted(v))).collect();
            Value::Object(ordered.into_iter().map(|(k, v)| (k.clone(), v)).collect())
        }
        Value::Array(list) => list.iter().map(sorted).collect(),
        other => other.clone(),
    }
}
