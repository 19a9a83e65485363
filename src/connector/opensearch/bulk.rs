//! `_bulk` requests, and what the answer says of each operation.

use super::document::{Action, quoted};
use serde::Deserialize;
use serde_json::Value;
use std::fmt::Write;

/// One record's operation, and where it is from.
#[derive(Clone, Debug)]
pub struct Operation {
    pub partition: i32,
    pub offset: i64,
    pub version: i64,
    pub action: Action,
}

impl Operation {
    /// About so many bytes of a request.
    pub fn bytes(&self) -> usize {
        match &self.action {
            Action::Index { index, id, source } => 80 + index.len() + id.len() + source.len(),
            Action::Delete { index, id } => 80 + index.len() + id.len(),
            Action::Nothing => 0,
        }
    }

    /// What it is about: of the same one, the last counts.
    pub fn key(&self) -> Option<(&str, &str)> {
        match &self.action {
            Action::Index { index, id, .. } | Action::Delete { index, id } => Some((index, id)),
            Action::Nothing => None,
        }
    }

    fn write(&self, out: &mut String) {
        let (verb, index, id, source) = match &self.action {
            Action::Index { index, id, source } => ("index", index, id, Some(source)),
            Action::Delete { index, id } => ("delete", index, id, None),
            Action::Nothing => return,
        };
        let _ = write!(out, "{{\"{verb}\":{{\"_index\":");
        quoted(index, out);
        out.push_str(",\"_id\":");
        quoted(id, out);
        let _ = writeln!(out, ",\"version\":{},\"version_type\":\"external\"}}}}", self.version);
        if let Some(source) = source {
            out.push_str(source);
            out.push('\n');
        }
    }
}

/// The body of a request.
pub fn body(operations: &[Operation]) -> String {
    let mut out = String::with_capacity(operations.iter().map(Operation::bytes).sum::<usize>() + 64);
    operations.iter().for_each(|operation| operation.write(&mut out));
    out
}

/// What became of an operation.
#[derive(Clone, Debug, PartialEq)]
pub enum Fate {
    Done,
    /// The server has that version or a newer one.
    Known,
    /// It may work later.
    Later(String),
    /// It never will.
    Refused(String),
    /// Nothing will, as things are.
    Halt(String),
}

#[derive(Deserialize)]
struct Answer {
    errors: bool,
    #[serde(default)]
    items: Vec<Value>,
}

/// What became of each of `count` operations, from an answer with the status 200. `None`: it is no answer.
pub fn fates(answer: &[u8], count: usize) -> Option<Vec<Fate>> {
    let answer: Answer = serde_json::from_slice(answer).ok()?;
    if !answer.errors {
        return Some(vec![Fate::Done; count]);
    }
    if answer.items.len() != count {
        return None;
    }
    Some(answer.items.iter().map(fate).collect())
}

fn fate(item: &Value) -> Fate {
    // The one field is the verb.
    let Some((verb, item)) = item.as_object().and_then(|item| item.iter().next()) else {
        return Fate::Later("an answer without a status".into());
    };
    let (status, error) = (item["status"].as_u64().unwrap_or(0), &item["error"]);
    let kind = error["type"].as_str().unwrap_or_default();
    let why = || {
        let cause = error["caused_by"]["reason"].as_str();
        let reason = error["reason"].as_str().unwrap_or("it gives no reason");
        cause.map_or_else(|| format!("{kind}: {reason}"), |cause| format!("{kind}: {reason}: {cause}"))
    };
    match status {
        200..300 => Fate::Done,
        // What is to be deleted and not there is gone.
        404 if verb == "delete" && error.is_null() => Fate::Done,
        409 => Fate::Known,
        429 | 500..600 => Fate::Later(why()),
        401 | 403 | 404 => Fate::Halt(why()),
        _ => Fate::Refused(why()),
    }
}
