//! Limits of numbers, texts and sizes: the reader's must not be tighter.

use super::document::Node;
use super::read::Found;
use crate::registry::model::Incompatibility;
use serde_json::Value;

/// A keyword, whether it is an upper limit, and the rules for a limit that is new and one that is tighter.
type Limit = (&'static str, Side, &'static str, &'static str);

#[derive(Clone, Copy, PartialEq)]
enum Side {
    Upper,
    Lower,
}

const LENGTHS: [Limit; 2] = [
    ("maxLength", Side::Upper, "MAX_LENGTH_ADDED", "MAX_LENGTH_DECREASED"),
    ("minLength", Side::Lower, "MIN_LENGTH_ADDED", "MIN_LENGTH_INCREASED"),
];
const ITEMS: [Limit; 2] = [
    ("maxItems", Side::Upper, "MAX_ITEMS_ADDED", "MAX_ITEMS_DECREASED"),
    ("minItems", Side::Lower, "MIN_ITEMS_ADDED", "MIN_ITEMS_INCREASED"),
];
const PROPERTIES: [Limit; 2] = [
    ("maxProperties", Side::Upper, "MAX_PROPERTIES_ADDED", "MAX_PROPERTIES_DECREASED"),
    ("minProperties", Side::Lower, "MIN_PROPERTIES_ADDED", "MIN_PROPERTIES_INCREASED"),
];

pub fn numbers(reader: Node, writer: Node, path: &str) -> Found {
    let mut found = Found::new();
    found.extend(range(reader, writer, Side::Upper, path));
    found.extend(range(reader, writer, Side::Lower, path));
    found.extend(multiple(reader, writer, path));
    found
}

pub fn strings(reader: Node, writer: Node, path: &str) -> Found {
    let mut found = sizes(reader, writer, &LENGTHS, path);
    let (taken, written) = (reader.value.get("pattern"), writer.value.get("pattern"));
    if let (Some(taken), true) = (taken, taken != written) {
        let rule = if written.is_none() { "PATTERN_ADDED" } else { "PATTERN_CHANGED" };
        let message = format!("the reader wants {taken}");
        found.push(Incompatibility::new(rule, format!("{path}/pattern"), message));
    }
    found
}

pub fn items(reader: Node, writer: Node, path: &str) -> Found {
    sizes(reader, writer, &ITEMS, path)
}

pub fn properties(reader: Node, writer: Node, path: &str) -> Found {
    sizes(reader, writer, &PROPERTIES, path)
}

fn sizes(reader: Node, writer: Node, limits: &[Limit], path: &str) -> Found {
    let of = |(key, side, added, tighter): &Limit| {
        let taken = reader.number(key)?;
        // Nothing is shorter than nothing.
        if *side == Side::Lower && taken <= 0.0 {
            return None;
        }
        let written = writer.number(key);
        let is_within = written.is_some_and(|written| match side {
            Side::Upper => written <= taken,
            Side::Lower => written >= taken,
        });
        let rule = if written.is_none() { added } else { tighter };
        let message = format!("the reader's {key} is {taken}, the writer's {}", shown(written));
        (!is_within).then(|| Incompatibility::new(rule, format!("{path}/{key}"), message))
    };
    limits.iter().filter_map(of).collect()
}

/// The limit of a number, and whether the limit itself is outside.
fn limit(node: Node, side: Side) -> Option<(f64, bool)> {
    let (inclusive, exclusive) = match side {
        Side::Upper => ("maximum", "exclusiveMaximum"),
        Side::Lower => ("minimum", "exclusiveMinimum"),
    };
    let sign = if side == Side::Upper { 1.0 } else { -1.0 };
    // Draft 4 has a boolean that makes the other one exclusive.
    let is_exclusive = node.value.get(exclusive) == Some(&Value::Bool(true));
    let first = node.number(inclusive).map(|n| (n * sign, is_exclusive));
    let second = node.number(exclusive).map(|n| (n * sign, true));
    match (first, second) {
        (Some(a), Some(b)) if b.0 <= a.0 => Some(b),
        (Some(a), _) => Some(a),
        (None, b) => b,
    }
}

fn range(reader: Node, writer: Node, side: Side, path: &str) -> Option<Incompatibility> {
    let taken = limit(reader, side)?;
    let written = limit(writer, side);
    let is_within = written.is_some_and(|w| w.0 < taken.0 || (w.0 == taken.0 && (w.1 || !taken.1)));
    let (key, added, tighter) = match side {
        Side::Upper => ("maximum", "MAXIMUM_ADDED", "MAXIMUM_DECREASED"),
        Side::Lower => ("minimum", "MINIMUM_ADDED", "MINIMUM_INCREASED"),
    };
    let rule = if written.is_none() { added } else { tighter };
    let sign = if side == Side::Upper { 1.0 } else { -1.0 };
    let written = shown(written.map(|w| w.0 * sign));
    let message = format!("the reader's {key} is {}, the writer's {written}", taken.0 * sign);
    (!is_within).then(|| Incompatibility::new(rule, format!("{path}/{key}"), message))
}

fn multiple(reader: Node, writer: Node, path: &str) -> Option<Incompatibility> {
    let taken = reader.number("multipleOf")?;
    let written = writer.number("multipleOf");
    if written.is_some_and(|written| written % taken == 0.0) {
        return None;
    }
    let rule = if written.is_none() { "MULTIPLE_OF_ADDED" } else { "MULTIPLE_OF_CHANGED" };
    let message = format!("the reader wants multiples of {taken}, the writer's are of {}", shown(written));
    Some(Incompatibility::new(rule, format!("{path}/multipleOf"), message))
}

fn shown(limit: Option<f64>) -> String {
    limit.map_or("absent".into(), |limit| limit.to_string())
}
