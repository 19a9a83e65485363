//! Objects, whose content is open (anything may be there that is not declared), closed
//! (`additionalProperties: false`) or partially open (it has a schema).

use super::bounds;
use super::document::Node;
use super::read::{Comparison, Found};
use crate::registry::model::Incompatibility;
use regex::Regex;
use serde_json::Value;

static TRUE: Value = Value::Bool(true);

pub fn covers(comparison: &mut Comparison, reader: Node, writer: Node, path: &str) -> Found {
    let mut found = bounds::properties(reader, writer, path);
    for (name, schema) in reader.map("properties") {
        let path = format!("{path}/properties/{name}");
        match property(writer, name) {
            Some(written) => found.extend(comparison.covers(schema, written, &path)),
            None => found.extend(added(comparison, name, schema, writer, &path)),
        }
    }
    for (name, written) in writer.map("properties").filter(|(name, _)| property(reader, name).is_none()) {
        found.extend(removed(comparison, name, written, reader, &format!("{path}/properties/{name}")));
    }
    found.extend(patterns(comparison, reader, writer, path));
    found.extend(additional(comparison, additional_of(reader), additional_of(writer), path));
    found.extend(required(reader, writer, path));
    found
}

fn property<'a>(node: Node<'a>, name: &str) -> Option<Node<'a>> {
    node.get("properties")?.get(name)
}

fn additional_of(node: Node<'_>) -> Node<'_> {
    node.get("additionalProperties").unwrap_or(node.with(&TRUE))
}

/// The schema of a property that is not declared: that of a pattern, or of all others.
fn undeclared<'a>(node: Node<'a>, name: &str) -> Node<'a> {
    let is_match = |pattern: &str| Regex::new(pattern).is_ok_and(|regex| regex.is_match(name));
    let of_pattern = node.map("patternProperties").find(|(pattern, _)| is_match(pattern));
    of_pattern.map_or(additional_of(node), |(_, schema)| schema)
}

/// A property that only the reader declares.
fn added(comparison: &mut Comparison, name: &str, schema: Node, writer: Node, path: &str) -> Found {
    let others = undeclared(writer, name);
    let one = |rule, message: String| vec![Incompatibility::new(rule, path, message)];
    if others.is_closed() || schema.is_open() {
        return Found::new();
    }
    if others.is_open() {
        let message = format!("the writer's open content may hold any {name}");
        return one("PROPERTY_ADDED_TO_OPEN_CONTENT_MODEL", message);
    }
    match comparison.covers(schema, others, path).is_empty() {
        true => Found::new(),
        false => one(
            "PROPERTY_ADDED_NOT_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL",
            format!("the writer's other properties may hold another {name}"),
        ),
    }
}

/// A property that only the writer declares.
fn removed(comparison: &mut Comparison, name: &str, written: Node, reader: Node, path: &str) -> Found {
    let others = undeclared(reader, name);
    let one = |rule, message: String| vec![Incompatibility::new(rule, path, message)];
    if others.is_open() || written.is_closed() {
        return Found::new();
    }
    if others.is_closed() {
        let message = format!("the reader's closed content takes no {name}");
        return one("PROPERTY_REMOVED_FROM_CLOSED_CONTENT_MODEL", message);
    }
    match comparison.covers(others, written, path).is_empty() {
        true => Found::new(),
        false => one(
            "PROPERTY_REMOVED_NOT_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL",
            format!("the reader's other properties take not every {name}"),
        ),
    }
}

fn patterns(comparison: &mut Comparison, reader: Node, writer: Node, path: &str) -> Found {
    let mut found = Found::new();
    for (pattern, schema) in reader.map("patternProperties").filter(|(_, schema)| !schema.is_open()) {
        let path = format!("{path}/patternProperties/{pattern}");
        let written = writer.get("patternProperties").and_then(|map| map.get(pattern));
        match written.unwrap_or(additional_of(writer)) {
            others if written.is_none() && others.is_open() => {
                let message = "only the reader limits properties of such names";
                found.push(Incompatibility::new("PATTERN_PROPERTY_ADDED", path, message));
            }
            written => found.extend(comparison.covers(schema, written, &path)),
        }
    }
    for (pattern, schema) in writer.map("patternProperties") {
        let is_kept = reader.get("patternProperties").is_some_and(|map| map.get(pattern).is_some());
        if !is_kept {
            let path = format!("{path}/patternProperties/{pattern}");
            found.extend(comparison.covers(additional_of(reader), schema, &path));
        }
    }
    found
}

fn additional(comparison: &mut Comparison, reader: Node, writer: Node, path: &str) -> Found {
    let path = format!("{path}/additionalProperties");
    if reader.is_open() || writer.is_closed() {
        return Found::new();
    }
    let one = |rule, message: &str| vec![Incompatibility::new(rule, path.clone(), message)];
    if reader.is_closed() {
        return one("ADDITIONAL_PROPERTIES_REMOVED", "the writer takes other properties, the reader none");
    }
    if writer.is_open() {
        return one("ADDITIONAL_PROPERTIES_NARROWED", "the writer takes any other properties");
    }
    comparison.covers(reader, writer, &path)
}

fn required(reader: Node, writer: Node, path: &str) -> Found {
    let of = |node: Node| {
        let names = node.list("required").unwrap_or_default();
        names.into_iter().filter_map(|name| Some(name.value.as_str()?.to_string())).collect::<Vec<_>>()
    };
    let written = of(writer);
    let mut found = Found::new();
    for name in of(reader).into_iter().filter(|name| !written.contains(name)) {
        let declared = property(reader, &name).map(Node::resolved);
        // Whoever reads it fills it in.
        if declared.is_some_and(|schema| schema.value.get("default").is_some()) {
            continue;
        }
        let rule = match property(writer, &name) {
            Some(_) => "REQUIRED_ATTRIBUTE_ADDED",
            None => "REQUIRED_PROPERTY_ADDED_TO_UNOPEN_CONTENT_MODEL",
        };
        let message = format!("{name} is required by the reader only, and has no default");
        found.push(Incompatibility::new(rule, format!("{path}/required/{name}"), message));
    }
    found
}
