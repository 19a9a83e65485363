//! What was done to a payload so that it fits its schema: told to the publisher, and counted.

use serde::Serialize;

/// A kindness to publishers whose payload nearly fits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Coercion {
    /// A field that may be null, or has a default, was left out.
    Omitted,
    /// A member of a union without the name of its branch.
    BareUnionMember,
    /// `"12"` where a number is expected, `"true"` for a boolean.
    TextForNumber,
    /// `12` where text is expected.
    NumberForText,
    /// `2016-04-19T17:34:21Z` where a time is a number.
    TextForTime,
    /// `12.0` where a whole number is expected.
    FractionForInteger,
    /// A field that the schema does not have was dropped.
    UnknownField,
}

impl Coercion {
    pub fn name(self) -> &'static str {
        match self {
            Coercion::Omitted => "omitted",
            Coercion::BareUnionMember => "bare_union_member",
            Coercion::TextForNumber => "text_for_number",
            Coercion::NumberForText => "number_for_text",
            Coercion::TextForTime => "text_for_time",
            Coercion::FractionForInteger => "fraction_for_integer",
            Coercion::UnknownField => "unknown_field",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Coerced {
    pub field: String,
    pub coercion: Coercion,
}

/// Those of one payload, in the order of their fields; so many at most.
#[derive(Debug, Default)]
pub struct Coercions {
    pub found: Vec<Coerced>,
    path: Vec<String>,
}

const FOUND_MAX: usize = 100;

impl Coercions {
    /// Goes into a field.
    pub fn enter(&mut self, field: &str) {
        self.path.push(field.to_string());
    }

    pub fn leave(&mut self) {
        self.path.pop();
    }

    pub fn note(&mut self, coercion: Coercion) {
        if self.found.len() < FOUND_MAX {
            self.found.push(Coerced { field: self.path.join("."), coercion });
        }
    }

    /// Of a field of the record that it is in.
    pub fn note_field(&mut self, field: &str, coercion: Coercion) {
        self.enter(field);
        self.note(coercion);
        self.leave();
    }

    /// So that a branch that did not fit leaves no trace.
    pub fn mark(&self) -> (usize, usize) {
        (self.found.len(), self.path.len())
    }

    pub fn back_to(&mut self, (found, path): (usize, usize)) {
        self.found.truncate(found);
        self.path.truncate(path);
    }
}
