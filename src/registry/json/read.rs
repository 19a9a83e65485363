//! The comparison of two schemas: combinations first, then types and values, then what each type has.

use super::document::{Document, Node};
use super::{array, bounds, object};
use crate::registry::model::Incompatibility;
use serde_json::Value;
use std::collections::{HashMap, HashSet};

pub type Found = Vec<Incompatibility>;

/// Compared as texts: equal, or absent from the reader.
const OPAQUE: [&str; 10] = [
    "if",
    "then",
    "else",
    "contains",
    "propertyNames",
    "dependencies",
    "dependentRequired",
    "dependentSchemas",
    "unevaluatedProperties",
    "unevaluatedItems",
];
const UNIONS: [&str; 2] = ["anyOf", "oneOf"];

/// What the writer takes and the reader does not.
pub fn read(reader: &Document, writer: &Document) -> Found {
    Comparison::default().covers(reader.root(), writer.root(), "#")
}

/// Schemas that are nested deeper, also by `$ref`, would fill the stack.
const DEPTH_MAX: usize = 100;
/// Combinations of combinations can multiply without end.
const STEPS_MAX: usize = 100_000;

#[derive(Default)]
pub struct Comparison {
    /// Pairs of schemas that are being compared further up: a recursive type met again.
    open: HashSet<Pair>,
    /// What was found of pairs that depend on none of the above.
    done: HashMap<Pair, Found>,
    /// How often a pair was met again further down.
    recursions: usize,
    steps: usize,
}

/// Reader and writer by their addresses, and whether only the reader's own keywords are meant.
type Pair = (*const Value, *const Value, bool);

fn pair(reader: Node, writer: Node, is_plain: bool) -> Pair {
    (std::ptr::from_ref(reader.value), std::ptr::from_ref(writer.value), is_plain)
}

impl Comparison {
    pub fn covers(&mut self, reader: Node, writer: Node, path: &str) -> Found {
        let (reader, writer) = (reader.resolved(), writer.resolved());
        if reader.is_open() || writer.is_closed() {
            return Found::new();
        }
        if reader.is_closed() {
            return vec![Incompatibility::new("TYPE_NARROWED", path, "the reader takes nothing here")];
        }
        self.once(pair(reader, writer, false), path, |this| this.combined(reader, writer, path))
    }

    /// Compares a pair if that is not done, or under way, already.
    fn once(&mut self, pair: Pair, path: &str, compare: impl FnOnce(&mut Comparison) -> Found) -> Found {
        self.steps += 1;
        if self.open.len() >= DEPTH_MAX || self.steps > STEPS_MAX {
            return vec![Incompatibility::new("TOO_COMPLEX", path, "the schemas are too complex to compare")];
        }
        if let Some(found) = self.done.get(&pair) {
            return found.clone();
        }
        if !self.open.insert(pair) {
            self.recursions += 1;
            return Found::new();
        }
        let before = self.recursions;
        let found = compare(self);
        self.open.remove(&pair);
        if self.recursions == before {
            self.done.insert(pair, found.clone());
        }
        found
    }

    fn combined(&mut self, reader: Node, writer: Node, path: &str) -> Found {
        let mut found = Found::new();
        for branch in reader.list("allOf").unwrap_or_default() {
            found.extend(self.within_all(branch, writer, path));
        }
        let unions = UNIONS.iter().filter_map(|key| Some((*key, reader.list(key)?)));
        for (key, branches) in unions {
            found.extend(self.within_union(&branches, writer, key, path));
        }
        found.extend(opaque(reader, writer, path));
        found.extend(self.negated(reader, writer, path));
        if is_plain(reader) {
            found.extend(self.plain_within(reader, writer, path));
        }
        found
    }

    /// One branch of the reader's `allOf` against all that the writer says: one part of it is enough.
    fn within_all(&mut self, branch: Node, writer: Node, path: &str) -> Found {
        let parts = writer.list("allOf").unwrap_or_default();
        let mut found = match parts.is_empty() || is_plain(writer) {
            true => self.covers(branch, writer, path),
            false => Found::new(),
        };
        if found.is_empty() && (parts.is_empty() || is_plain(writer)) {
            return found;
        }
        for (i, part) in parts.into_iter().enumerate() {
            let of_part = self.covers(branch, part, &format!("{path}/allOf/{i}"));
            if of_part.is_empty() {
                return of_part;
            }
            // The part that is nearest says what is wrong.
            if found.is_empty() || of_part.len() < found.len() {
                found = of_part;
            }
        }
        found
    }

    /// Each branch of the writer's union must fit into one of the reader's.
    fn within_union(&mut self, branches: &[Node], writer: Node, key: &str, path: &str) -> Found {
        for union in UNIONS {
            if let Some(written) = writer.list(union) {
                let found = written
                    .into_iter()
                    .enumerate()
                    .flat_map(|(i, one)| self.within_one(branches, one, key, &format!("{path}/{union}/{i}")));
                return found.collect();
            }
        }
        self.within_one(branches, writer, key, path)
    }

    fn within_one(&mut self, branches: &[Node], writer: Node, key: &str, path: &str) -> Found {
        let mut nearest: Option<Found> = None;
        for branch in branches {
            let found = self.covers(*branch, writer, path);
            if found.is_empty() {
                return found;
            }
            let is_other_type = found.iter().any(|i| i.rule == "TYPE_CHANGED" && i.path == path);
            if !is_other_type && nearest.as_ref().is_none_or(|n| found.len() < n.len()) {
                nearest = Some(found);
            }
        }
        let message = format!("no branch of the reader's {key} takes all of it");
        let mut found = vec![Incompatibility::new("SUM_TYPE_NARROWED", path, message)];
        found.extend(nearest.unwrap_or_default());
        found
    }

    fn negated(&mut self, reader: Node, writer: Node, path: &str) -> Found {
        let Some(reader) = reader.get("not") else { return Found::new() };
        let path = format!("{path}/not");
        // What the reader excludes must be excluded by the writer.
        let is_excluded = writer.get("not").is_some_and(|w| self.covers(w, reader, &path).is_empty());
        if is_excluded {
            return Found::new();
        }
        vec![Incompatibility::new("NOT_TYPE_EXTENDED", path, "the reader excludes more than the writer")]
    }

    /// The reader's own keywords against a writer that may be combined.
    fn plain_within(&mut self, reader: Node, writer: Node, path: &str) -> Found {
        let own = match is_plain(writer) || !is_combined(writer) {
            true => self.plain(reader, writer, path),
            false => vec![Incompatibility::new("COMBINED_TYPE_CHANGED", path, "the writer is combined")],
        };
        if own.is_empty() || !is_combined(writer) {
            return own;
        }
        let mut nearest = if is_plain(writer) { Some(own) } else { None };
        // One part of an allOf, or all branches of a union, may say enough.
        for (i, part) in writer.list("allOf").unwrap_or_default().into_iter().enumerate() {
            let found = self.covers_plain(reader, part, &format!("{path}/allOf/{i}"));
            if nearest.as_ref().is_none_or(|n| found.len() < n.len()) {
                nearest = Some(found);
            }
        }
        for union in UNIONS {
            let Some(branches) = writer.list(union) else { continue };
            let found: Found = branches
                .into_iter()
                .enumerate()
                .flat_map(|(i, one)| self.covers_plain(reader, one, &format!("{path}/{union}/{i}")))
                .collect();
            if nearest.as_ref().is_none_or(|n| found.len() < n.len()) {
                nearest = Some(found);
            }
        }
        nearest.unwrap_or_default()
    }

    fn covers_plain(&mut self, reader: Node, writer: Node, path: &str) -> Found {
        let writer = writer.resolved();
        if writer.is_closed() {
            return Found::new();
        }
        self.once(pair(reader, writer, true), path, |this| this.plain_within(reader, writer, path))
    }

    fn plain(&mut self, reader: Node, writer: Node, path: &str) -> Found {
        let (taken, written) = (types(reader), types(writer));
        let mut found: Found = narrowed(&taken, &written, path).into_iter().collect();
        found.extend(values(reader, writer, path));
        if has_number(&written) {
            found.extend(bounds::numbers(reader, writer, path));
        }
        if written.contains(&"string") {
            found.extend(bounds::strings(reader, writer, path));
        }
        // What one side cannot be at all has been said.
        if written.contains(&"array") && taken.contains(&"array") {
            found.extend(array::covers(self, reader, writer, path));
        }
        if written.contains(&"object") && taken.contains(&"object") {
            found.extend(object::covers(self, reader, writer, path));
        }
        found
    }
}

fn is_combined(node: Node) -> bool {
    ["allOf", "anyOf", "oneOf"].iter().any(|key| node.value.get(*key).is_some())
}

/// Whether it says something beside combinations.
fn is_plain(node: Node) -> bool {
    let combines = |key: &str| matches!(key, "allOf" | "anyOf" | "oneOf" | "not");
    let says = |key: &str| !combines(key) && !super::document::is_annotation(key) && !OPAQUE.contains(&key);
    node.value.as_object().is_none_or(|object| object.keys().any(|key| says(key)))
}

fn opaque(reader: Node, writer: Node, path: &str) -> Found {
    let differs = |key: &&&str| {
        let given = reader.value.get(**key);
        given.is_some_and(|given| *given != Value::Bool(true)) && given != writer.value.get(**key)
    };
    let note = |key: &&str| {
        let message = format!("the reader's {key} is not the writer's");
        Incompatibility::new("CONDITION_CHANGED", format!("{path}/{key}"), message)
    };
    OPAQUE.iter().filter(differs).map(note).collect()
}

/// The types that are taken; a number may be an integer.
fn types(node: Node<'_>) -> Vec<&str> {
    const ALL: [&str; 7] = ["null", "boolean", "integer", "number", "string", "array", "object"];
    let mut types = match (node.value.get("type"), choices(node)) {
        (Some(Value::String(one)), _) => vec![one.as_str()],
        (Some(Value::Array(list)), _) => list.iter().filter_map(Value::as_str).collect(),
        (_, Some(values)) => values.into_iter().map(type_of).collect(),
        _ => ALL.to_vec(),
    };
    if types.contains(&"number") {
        types.push("integer");
    }
    types.sort_unstable();
    types.dedup();
    types
}

fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(n) if n.as_f64().is_some_and(|n| n.fract() == 0.0) => "integer",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

fn has_number(types: &[&str]) -> bool {
    types.contains(&"number") || types.contains(&"integer")
}

fn narrowed(taken: &[&str], written: &[&str], path: &str) -> Option<Incompatibility> {
    let lost: Vec<_> = written.iter().filter(|ty| !taken.contains(*ty)).copied().collect();
    if lost.is_empty() {
        return None;
    }
    let rule = if lost.len() == written.len() { "TYPE_CHANGED" } else { "TYPE_NARROWED" };
    let message = format!("the reader takes {}, the writer also {}", taken.join(", "), lost.join(", "));
    Some(Incompatibility::new(rule, path, message))
}

/// The values that `enum` or `const` leaves.
fn choices<'a>(node: Node<'a>) -> Option<Vec<&'a Value>> {
    match (node.value.get("const"), node.value.get("enum")) {
        (Some(value), _) => Some(vec![value]),
        (None, Some(Value::Array(values))) => Some(values.iter().collect()),
        _ => None,
    }
}

fn values(reader: Node, writer: Node, path: &str) -> Option<Incompatibility> {
    let taken = choices(reader)?;
    let path = format!("{path}/enum");
    let Some(written) = choices(writer) else {
        return Some(Incompatibility::new("ENUM_ARRAY_ADDED", path, "only the reader limits the values"));
    };
    let lost: Vec<_> = written.iter().filter(|v| !taken.contains(v)).map(ToString::to_string).collect();
    let rule = match written.iter().any(|value| taken.contains(value)) {
        true => "ENUM_ARRAY_NARROWED",
        false => "ENUM_ARRAY_CHANGED",
    };
    (!lost.is_empty())
        .then(|| Incompatibility::new(rule, path, format!("the reader lacks {}", lost.join(", "))))
}
