//! JSON Schema: whether a payload is what the schema says, with the way to the first place that is not.
//!
//! All keywords that say something about values are checked but `format`, `contentEncoding` and the
//! `unevaluated…` ones, which drafts leave to the reader.

use super::{found, misfit};
use crate::format::fault::{Fault, Parsed};
use crate::registry::json::{Document, Node};
use regex::Regex;
use serde_json::Value;
use std::cell::RefCell;
use std::collections::HashMap;

const DEPTH_MAX: usize = 128;

pub fn validate(document: &Document, payload: &Value) -> Parsed<()> {
    check(document.root(), payload, 0)
}

fn check(node: Node, value: &Value, depth: usize) -> Parsed<()> {
    if depth > DEPTH_MAX {
        return Err(Fault::new("it is nested too deeply"));
    }
    let node = node.resolved();
    match node.value {
        Value::Bool(true) => return Ok(()),
        Value::Bool(false) => {
            return Err(Fault::new(format!("nothing is allowed here, found {}", found(value))));
        }
        _ => {}
    }
    types(node, value)?;
    if let Some(expected) = node.get("const")
        && *expected.value != *value
    {
        return Err(misfit(&found(expected.value), value));
    }
    if let Some(Value::Array(allowed)) = node.get("enum").map(|n| n.value)
        && !allowed.contains(value)
    {
        let allowed: Vec<String> = allowed.iter().map(found).collect();
        return Err(misfit(&format!("one of {}", allowed.join(", ")), value));
    }
    match value {
        Value::Object(object) => self::object(node, object, value, depth)?,
        Value::Array(items) => array(node, items, value, depth)?,
        Value::String(text) => string(node, text, value)?,
        Value::Number(number) => bounds(node, number.as_f64().unwrap_or(f64::NAN), value)?,
        _ => {}
    }
    combined(node, value, depth)
}

fn types(node: Node, value: &Value) -> Parsed<()> {
    let is = |name: &str| match (name, value) {
        ("null", Value::Null)
        | ("boolean", Value::Bool(_))
        | ("string", Value::String(_))
        | ("number", Value::Number(_))
        | ("array", Value::Array(_))
        | ("object", Value::Object(_)) => true,
        ("integer", Value::Number(n)) => {
            n.is_i64() || n.is_u64() || n.as_f64().is_some_and(|v| v.fract() == 0.0)
        }
        _ => false,
    };
    match node.get("type").map(|n| n.value) {
        Some(Value::String(name)) if !is(name) => Err(misfit(name, value)),
        Some(Value::Array(names)) if !names.iter().filter_map(Value::as_str).any(is) => {
            let names: Vec<&str> = names.iter().filter_map(Value::as_str).collect();
            Err(misfit(&names.join(" or "), value))
        }
        _ => Ok(()),
    }
}

fn object(node: Node, object: &serde_json::Map<String, Value>, value: &Value, depth: usize) -> Parsed<()> {
    if let Some(Value::Array(required)) = node.get("required").map(|n| n.value) {
        let mut names = required.iter().filter_map(Value::as_str);
        if let Some(name) = names.find(|name| !object.contains_key(*name)) {
            return Err(Fault::new("it is required, and missing").within(name));
        }
    }
    counted(node, ["minProperties", "maxProperties"], object.len(), "fields", value)?;
    let patterns: Vec<(&str, Node)> = node.map("patternProperties").collect();
    for (name, member) in object {
        let mut is_known = false;
        let mut inner = |schema: Node| {
            is_known = true;
            check(schema, member, depth + 1).map_err(|fault| fault.within(name))
        };
        if let Some((_, schema)) = node.map("properties").find(|(known, _)| known == name) {
            inner(schema)?;
        }
        for (pattern, schema) in &patterns {
            if matches(pattern, name) {
                inner(*schema)?;
            }
        }
        if let (false, Some(others)) = (is_known, node.get("additionalProperties")) {
            if others.is_closed() {
                let known: Vec<&str> = node.map("properties").map(|(name, _)| name).collect();
                let fault = Fault::new(format!("the schema has no such field; it has {}", known.join(", ")));
                return Err(fault.within(name));
            }
            check(others, member, depth + 1).map_err(|fault| fault.within(name))?;
        }
        if let Some(names) = node.get("propertyNames") {
            check(names, &Value::from(name.as_str()), depth + 1).map_err(|fault| fault.within(name))?;
        }
    }
    Ok(())
}

fn array(node: Node, items: &[Value], value: &Value, depth: usize) -> Parsed<()> {
    counted(node, ["minItems", "maxItems"], items.len(), "items", value)?;
    if node.get("uniqueItems").is_some_and(|n| *n.value == Value::Bool(true)) {
        let mut texts: Vec<String> = items.iter().map(Value::to_string).collect();
        texts.sort_unstable();
        if texts.windows(2).any(|pair| pair[0] == pair[1]) {
            return Err(misfit("items that differ", value));
        }
    }
    // Drafts up to 7 write what 2020-12 calls `prefixItems` as an array under `items`.
    let prefix = node.list("prefixItems").or_else(|| node.list("items")).unwrap_or_default();
    let rest = match node.get("items") {
        Some(one) if !one.value.is_array() => Some(one),
        _ => node.get("additionalItems"),
    };
    for (i, item) in items.iter().enumerate() {
        if let Some(schema) = prefix.get(i).copied().or(rest) {
            check(schema, item, depth + 1).map_err(|fault| fault.within(&format!("[{i}]")))?;
        }
    }
    if let Some(wanted) = node.get("contains")
        && !items.iter().any(|item| check(wanted, item, depth + 1).is_ok())
    {
        return Err(Fault::new("no item is as `contains` says"));
    }
    Ok(())
}

fn string(node: Node, text: &str, value: &Value) -> Parsed<()> {
    counted(node, ["minLength", "maxLength"], text.chars().count(), "characters", value)?;
    match node.get("pattern").and_then(|n| n.value.as_str()) {
        Some(pattern) if !matches(pattern, text) => Err(misfit(&format!("text as {pattern}"), value)),
        _ => Ok(()),
    }
}

fn bounds(node: Node, number: f64, value: &Value) -> Parsed<()> {
    // Draft 4 has flags beside the limits; later ones have limits of their own.
    let is_strict = |key: &str| node.get(key).is_some_and(|n| *n.value == Value::Bool(true));
    let rules: [(&str, bool, &str); 4] = [
        (
            "minimum",
            node.number("minimum").is_none_or(|least| {
                if is_strict("exclusiveMinimum") { number > least } else { number >= least }
            }),
            "at least",
        ),
        (
            "maximum",
            node.number("maximum").is_none_or(|most| {
                if is_strict("exclusiveMaximum") { number < most } else { number <= most }
            }),
            "at most",
        ),
        ("exclusiveMinimum", node.number("exclusiveMinimum").is_none_or(|least| number > least), "above"),
        ("exclusiveMaximum", node.number("exclusiveMaximum").is_none_or(|most| number < most), "below"),
    ];
    for (key, holds, words) in rules {
        if !holds {
            return Err(misfit(&format!("{words} {}", node.number(key).unwrap_or_default()), value));
        }
    }
    match node.number("multipleOf").filter(|of| *of > 0.0) {
        Some(of) if ((number / of).round() * of - number).abs() > 1e-9 * number.abs().max(1.0) => {
            Err(misfit(&format!("a multiple of {of}"), value))
        }
        _ => Ok(()),
    }
}

fn counted(node: Node, [least, most]: [&str; 2], count: usize, what: &str, value: &Value) -> Parsed<()> {
    match (node.number(least), node.number(most)) {
        (Some(least), _) if (count as f64) < least => Err(misfit(&format!("{least} {what} at least"), value)),
        (_, Some(most)) if count as f64 > most => Err(misfit(&format!("{most} {what} at most"), value)),
        _ => Ok(()),
    }
}

fn combined(node: Node, value: &Value, depth: usize) -> Parsed<()> {
    let fits = |schema: Node| check(schema, value, depth + 1).is_ok();
    for schema in node.list("allOf").unwrap_or_default() {
        check(schema, value, depth + 1)?;
    }
    if let Some(branches) = node.list("anyOf")
        && !branches.iter().any(|branch| fits(*branch))
    {
        return Err(none_of(&branches, value, depth));
    }
    if let Some(branches) = node.list("oneOf") {
        match branches.iter().filter(|branch| fits(**branch)).count() {
            0 => return Err(none_of(&branches, value, depth)),
            1 => {}
            several => {
                return Err(Fault::new(format!("{several} of the schemas under oneOf fit, instead of one")));
            }
        }
    }
    if let Some(schema) = node.get("not")
        && fits(schema)
    {
        return Err(Fault::new("it is what `not` forbids"));
    }
    if let Some(condition) = node.get("if") {
        let branch = if fits(condition) { "then" } else { "else" };
        node.get(branch).map_or(Ok(()), |schema| check(schema, value, depth + 1))?;
    }
    Ok(())
}

/// What the branch says that goes farthest: the others are of other types.
fn none_of(branches: &[Node], value: &Value, depth: usize) -> Box<Fault> {
    let faults = branches.iter().filter_map(|branch| check(*branch, value, depth + 1).err());
    let farthest = faults.max_by_key(|fault| fault.path.len());
    farthest.unwrap_or_else(|| Fault::new("none of the schemas fits"))
}

/// Patterns are compiled once a thread; one that is none fits everything.
fn matches(pattern: &str, text: &str) -> bool {
    const KEPT_MAX: usize = 256;
    thread_local! {
        static KNOWN: RefCell<HashMap<String, Option<Regex>>> = RefCell::default();
    }
    KNOWN.with_borrow_mut(|known| {
        if known.len() >= KEPT_MAX {
            known.clear();
        }
        let regex = known.entry(pattern.to_string()).or_insert_with(|| Regex::new(pattern).ok());
        regex.as_ref().is_none_or(|regex| regex.is_match(text))
    })
}
