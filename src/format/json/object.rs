//! A JSON object with declared fields: the columns of a message, or a STRUCT in one.
//!
//! Records of a feed look alike. So what stood between two values last time (blanks, comma, key,
//! colon) is remembered as one piece of bytes, and compared with what stands there now: where it
//! matches, nothing of it is parsed or looked up again.

use super::cursor::Cursor;
use super::node::Node;
use crate::format::fault::{Fault, Parsed};
use crate::format::parts::Part;
use crate::types::SqlType;
use std::collections::HashMap;

/// Pieces that are longer, or come later in an object, are not remembered.
const GLUE_MAX: usize = 256;
const STEPS_MAX: usize = 512;

pub struct Object {
    names: Vec<String>,
    nodes: Vec<Node>,
    by_name: HashMap<Vec<u8>, usize>,
    steps: Vec<Step>,
    seen: Vec<Seen>,
    /// Counts the objects, to tell what was seen in the present one.
    serial: u64,
}

/// What stood in front of a value, and what that means.
struct Step {
    glue: Vec<u8>,
    target: Target,
}

#[derive(Clone, Copy)]
enum Target {
    /// The value of a declared field; whether its name matched without changing case.
    Field { field: usize, exact: bool },
    /// The value of a key that nobody declared.
    Unknown,
    /// The object's end.
    End,
}

#[derive(Clone, Copy, Default)]
struct Seen {
    serial: u64,
    exact: bool,
}

impl Object {
    pub fn new<'a>(fields: impl Iterator<Item = (&'a str, &'a SqlType)>) -> Object {
        let (names, nodes): (Vec<_>, Vec<_>) =
            fields.map(|(name, ty)| (name.to_string(), Node::new(ty))).unzip();
        // Of two fields with one name, which no schema should have, the first counts.
        let by_name = names.iter().enumerate().rev().map(|(i, n)| (n.clone().into_bytes(), i)).collect();
        Object { seen: vec![Seen::default(); names.len()], names, nodes, by_name, steps: vec![], serial: 0 }
    }

    /// Parses an object and appends one cell to each part, which have `row` of them; the cursor is at its
    /// brace.
    ///
    /// After a fault the parts hold pieces of a row: the caller must truncate.
    pub fn parse(&mut self, parts: &mut [Part], row: usize, cursor: &mut Cursor<'_>) -> Parsed<()> {
        self.serial += 1;
        let (mut step, mut found) = (0, 0);
        loop {
            match self.next(cursor, step)? {
                Target::Field { field, exact } => {
                    found += self.field(field, exact, &mut parts[field], row, cursor)?;
                }
                Target::Unknown => cursor.skip_value()?,
                Target::End => break,
            }
            step += 1;
        }
        if found < self.nodes.len() {
            self.fill_missing(parts);
        }
        Ok(())
    }

    /// Moves to the next value.
    #[inline(always)]
    fn next(&mut self, cursor: &mut Cursor<'_>, step: usize) -> Parsed<Target> {
        if let Some(expected) = self.steps.get(step) {
            let behind = cursor.at + expected.glue.len();
            if behind <= cursor.end && cursor.buffer[cursor.at..behind] == *expected.glue {
                cursor.at = behind;
                return Ok(expected.target);
            }
        }
        self.learn(cursor, step)
    }

    #[inline(never)]
    fn learn(&mut self, cursor: &mut Cursor<'_>, step: usize) -> Parsed<Target> {
        let start = cursor.at;
        let unescaped = cursor.unescaped.len();
        let target = match cursor.next_key(step == 0)? {
            None => Target::End,
            Some(key) => self.target(cursor.text(key).bytes()),
        };
        cursor.unescaped.truncate(unescaped);
        let glue = &cursor.buffer[start..cursor.at];
        if glue.len() <= GLUE_MAX && step < STEPS_MAX {
            if step == self.steps.len() {
                self.steps.push(Step { glue: vec![], target });
            }
            let learnt = &mut self.steps[step];
            learnt.target = target;
            learnt.glue.clear();
            learnt.glue.extend_from_slice(glue);
        }
        Ok(target)
    }

    /// The field that a key stands for: its name as it is, else in upper case.
    fn target(&self, key: &[u8]) -> Target {
        if let Some(&field) = self.by_name.get(key) {
            return Target::Field { field, exact: true };
        }
        let upper = String::from_utf8_lossy(key).to_uppercase();
        match self.by_name.get(upper.as_bytes()) {
            Some(&field) => Target::Field { field, exact: false },
            None => Target::Unknown,
        }
    }

    /// Parses the value of a field; answers how many fields that adds to those found.
    #[inline(always)]
    fn field(
        &mut self,
        field: usize,
        exact: bool,
        part: &mut Part,
        row: usize,
        cursor: &mut Cursor<'_>,
    ) -> Parsed<usize> {
        let seen = &mut self.seen[field];
        let again = seen.serial == self.serial;
        if again {
            // The last of several counts, but a name in another case never replaces the exact one.
            if seen.exact && !exact {
                cursor.skip_value()?;
                return Ok(0);
            }
            part.truncate(row);
        }
        *seen = Seen { serial: self.serial, exact };
        match self.nodes[field].parse(part, cursor) {
            Ok(()) => Ok(usize::from(!again)),
            Err(fault) => Err(self.within(fault, field)),
        }
    }

    #[cold]
    fn within(&self, fault: Box<Fault>, field: usize) -> Box<Fault> {
        fault.within(&self.names[field])
    }

    #[inline(never)]
    fn fill_missing(&self, parts: &mut [Part]) {
        for (part, seen) in parts.iter_mut().zip(&self.seen) {
            if seen.serial != self.serial {
                part.push_null();
            }
        }
    }
}
