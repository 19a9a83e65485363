//! JSON → Avro's binary encoding, with the coercions that publishers of plain JSON need: fields that may
//! be null or have a default can be left out, a member of a union needs no annotation with its branch, text
//! may stand for a number and ISO text for a time.

use super::coercion::{Coercion, Coercions};
use super::numbers::{boolean, date_of, decimal_of, double, float, integer, time, time_of, timestamp_of};
use super::{found, misfit};
use crate::expr::nearest::nearest;
use crate::format::body::{DEPTH_MAX, push_varint, zigzag};
use crate::format::fault::{Fault, Parsed};
use crate::registry::avro::{Document, Field, Logical, Named, Primitive, Shape, Type};
use crate::topology::UnknownFields;
use serde_json::{Map, Value};

/// One payload on its way.
pub struct Writing<'w> {
    pub document: &'w Document,
    pub unknown: UnknownFields,
    pub out: &'w mut Vec<u8>,
    pub coercions: &'w mut Coercions,
}

impl Writing<'_> {
    pub fn root(&mut self, payload: &Value) -> Parsed<()> {
        let document = self.document;
        self.value(&document.root, payload, 0)
    }

    fn value(&mut self, ty: &Type, value: &Value, depth: usize) -> Parsed<()> {
        if depth > DEPTH_MAX {
            return Err(Fault::new("it is nested too deeply"));
        }
        match ty {
            Type::Primitive(primitive, logical) => self.primitive(*primitive, *logical, value),
            Type::Union(branches) => self.union(branches, value, depth),
            Type::Array(item) => {
                let items = value.as_array().ok_or_else(|| misfit("an array", value))?;
                self.blocks(items.len(), |this| {
                    items.iter().enumerate().try_for_each(|(i, value)| {
                        this.within(&format!("[{i}]"), |this| this.value(item, value, depth + 1))
                    })
                })
            }
            Type::Map(item) => {
                let entries = value.as_object().ok_or_else(|| misfit("an object", value))?;
                self.blocks(entries.len(), |this| {
                    entries.iter().try_for_each(|(key, value)| {
                        this.bytes(key.as_bytes());
                        this.within(key, |this| this.value(item, value, depth + 1))
                    })
                })
            }
            Type::Named(name) => match self.document.named.get(name) {
                Some(named) => self.named(named, value, depth),
                None => Err(Fault::new(format!("the schema has no type {name}"))),
            },
        }
    }

    fn within(&mut self, name: &str, write: impl FnOnce(&mut Self) -> Parsed<()>) -> Parsed<()> {
        self.coercions.enter(name);
        let written = write(self).map_err(|fault| fault.within(name));
        self.coercions.leave();
        written
    }

    /// One block with all items, and the empty one that ends an array or a map.
    fn blocks(&mut self, count: usize, items: impl FnOnce(&mut Self) -> Parsed<()>) -> Parsed<()> {
        if count > 0 {
            self.integer(count as i64);
            items(self)?;
        }
        self.integer(0);
        Ok(())
    }

    fn integer(&mut self, value: i64) {
        push_varint(self.out, zigzag(value));
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.integer(bytes.len() as i64);
        self.out.extend_from_slice(bytes);
    }

    fn primitive(&mut self, primitive: Primitive, logical: Option<Logical>, value: &Value) -> Parsed<()> {
        match (primitive, logical) {
            (Primitive::Null, _) if value.is_null() => {}
            (Primitive::Null, _) => return Err(misfit("null", value)),
            (Primitive::Boolean, _) => {
                let flag = boolean(value, self.coercions)?;
                self.out.push(flag.into());
            }
            (Primitive::Int, _) => {
                let wide = match logical {
                    Some(Logical::Date) => time(value, "a date", date_of, self.coercions)?,
                    Some(_) => time(value, "a time", |text| time_of(text, 1), self.coercions)?,
                    None => integer(value, "int", self.coercions)?,
                };
                let narrow =
                    i32::try_from(wide).map_err(|_| misfit("int, a whole number of 32 bits", value))?;
                self.integer(narrow.into());
            }
            (Primitive::Long, Some(Logical::Timestamp { per_ms })) => {
                let at = time(value, "a timestamp", |text| timestamp_of(text, per_ms), self.coercions)?;
                self.integer(at);
            }
            (Primitive::Long, Some(Logical::Time { per_ms })) => {
                let at = time(value, "a time", |text| time_of(text, per_ms), self.coercions)?;
                self.integer(at);
            }
            (Primitive::Long, _) => {
                let wide = integer(value, "long", self.coercions)?;
                self.integer(wide);
            }
            (Primitive::Float, _) => {
                let narrow = float(value, self.coercions)?;
                self.out.extend_from_slice(&narrow.to_le_bytes());
            }
            (Primitive::Double, _) => {
                let wide = double(value, "double", self.coercions)?;
                self.out.extend_from_slice(&wide.to_le_bytes());
            }
            (Primitive::Bytes, Some(Logical::Decimal(of))) => {
                let expected = format!("a decimal({}, {})", of.precision, of.scale);
                let digits = decimal_of(value, of.precision, of.scale, &expected, self.coercions)?;
                self.bytes(shortest(&digits.to_be_bytes()));
            }
            (Primitive::Bytes, _) => {
                let bytes = latin(value)?;
                self.bytes(&bytes);
            }
            (Primitive::String, _) => self.text(value)?,
        }
        Ok(())
    }

    fn text(&mut self, value: &Value) -> Parsed<()> {
        match value {
            Value::String(text) => self.bytes(text.as_bytes()),
            Value::Number(_) | Value::Bool(_) => {
                self.coercions.note(Coercion::NumberForText);
                self.bytes(value.to_string().as_bytes());
            }
            other => return Err(misfit("string", other)),
        }
        Ok(())
    }

    /// `{"string": "US"}` names its branch; anything else goes to the first branch that takes it as it is,
    /// else to the first that takes it with coercions.
    fn union(&mut self, branches: &[Type], value: &Value, depth: usize) -> Parsed<()> {
        if value.is_null() {
            let null = branches.iter().position(Type::is_null);
            let null = null.ok_or_else(|| misfit(&self.one_of(branches), value))?;
            self.integer(null as i64);
            return Ok(());
        }
        if let Some((branch, inner)) = self.annotated(branches, value)
            && self.branch(branches, branch, inner, depth).is_ok()
        {
            return Ok(());
        }
        let mut last = None;
        for exact in [true, false] {
            for branch in (0..branches.len()).filter(|i| !branches[*i].is_null()) {
                let (mark, start) = (self.coercions.mark(), self.out.len());
                match self.branch(branches, branch, value, depth) {
                    Ok(()) if !exact || self.coercions.mark() == mark => {
                        self.coercions.note(Coercion::BareUnionMember);
                        return Ok(());
                    }
                    Ok(()) => self.forget(mark, start),
                    Err(fault) => last = Some(fault),
                }
            }
        }
        // Of a single branch its own complaint says more.
        let others = branches.iter().filter(|branch| !branch.is_null()).count();
        match last {
            Some(fault) if others == 1 => Err(fault),
            _ => Err(misfit(&self.one_of(branches), value)),
        }
    }

    /// Writes a branch, or nothing.
    fn branch(&mut self, branches: &[Type], branch: usize, value: &Value, depth: usize) -> Parsed<()> {
        let (mark, start) = (self.coercions.mark(), self.out.len());
        self.integer(branch as i64);
        let written = self.value(&branches[branch], value, depth + 1);
        if written.is_err() {
            self.forget(mark, start);
        }
        written
    }

    fn forget(&mut self, mark: (usize, usize), start: usize) {
        self.coercions.back_to(mark);
        self.out.truncate(start);
    }

    fn annotated<'v>(&self, branches: &[Type], value: &'v Value) -> Option<(usize, &'v Value)> {
        let (name, inner) = value.as_object().filter(|object| object.len() == 1)?.iter().next()?;
        let is_named = |branch: &Type| match branch {
            Type::Named(full) => full == name || full.rsplit('.').next() == Some(name),
            other => other.name() == *name,
        };
        branches.iter().position(is_named).map(|branch| (branch, inner))
    }

    fn one_of(&self, branches: &[Type]) -> String {
        let names: Vec<String> = branches.iter().map(Type::name).collect();
        format!("one of {}", names.join(", "))
    }

    fn named(&mut self, named: &Named, value: &Value, depth: usize) -> Parsed<()> {
        match &named.shape {
            Shape::Record(fields) => {
                let object = value.as_object();
                let object = object.ok_or_else(|| misfit(&format!("an object, {}", named.name), value))?;
                self.record(fields, object, depth)
            }
            Shape::Enum { symbols, default } => {
                let text = value.as_str().ok_or_else(|| misfit("a symbol as text", value))?;
                let known = symbols.iter().position(|symbol| symbol == text);
                let known = known.or_else(|| {
                    let default = symbols.iter().position(|symbol| Some(symbol) == default.as_ref());
                    default.inspect(|_| self.coercions.note(Coercion::Omitted))
                });
                let symbol = known.ok_or_else(|| misfit(&format!("one of {}", symbols.join(", ")), value))?;
                self.integer(symbol as i64);
                Ok(())
            }
            Shape::Fixed { size, decimal: Some(of) } => {
                let expected = format!("a decimal({}, {})", of.precision, of.scale);
                let digits = decimal_of(value, of.precision, of.scale, &expected, self.coercions)?;
                let short = shortest(&digits.to_be_bytes()).to_vec();
                let size = usize::try_from(*size).unwrap_or(0);
                let padding = size.checked_sub(short.len()).ok_or_else(|| misfit(&expected, value))?;
                let sign = if digits < 0 { 0xff } else { 0 };
                self.out.extend(std::iter::repeat_n(sign, padding));
                self.out.extend_from_slice(&short);
                Ok(())
            }
            Shape::Fixed { size, .. } => {
                let bytes = latin(value)?;
                if bytes.len() as u64 != *size {
                    return Err(misfit(&format!("{size} bytes"), value));
                }
                self.out.extend_from_slice(&bytes);
                Ok(())
            }
        }
    }

    fn record(&mut self, fields: &[Field], object: &Map<String, Value>, depth: usize) -> Parsed<()> {
        let mut known = 0;
        for field in fields {
            let given = object.get(&field.name).or_else(|| field.aliases.iter().find_map(|a| object.get(a)));
            known += usize::from(given.is_some());
            let written = self.within(&field.name, |this| match given {
                Some(value) => this.value(&field.ty, value, depth + 1),
                None => this.omitted(field, depth),
            });
            // The member that is wrong may be a misspelt one.
            written.map_err(|fault| with_hint(fault, given.is_none(), field, fields, object))?;
        }
        if known == object.len() {
            return Ok(());
        }
        self.strangers(fields, object)
    }

    /// The default, else null where that is allowed.
    fn omitted(&mut self, field: &Field, depth: usize) -> Parsed<()> {
        if let Some(default) = &field.default {
            let mark = self.coercions.mark();
            self.value(&field.ty, default, depth + 1)?;
            // What the schema says itself is no coercion.
            self.coercions.back_to(mark);
        } else if let Type::Union(branches) = &field.ty
            && let Some(null) = branches.iter().position(Type::is_null)
        {
            self.integer(null as i64);
        } else if !field.ty.is_null() {
            let ty = field.ty.name();
            return Err(Fault::new(format!(
                "expected {ty}, and it is missing; it has no default and cannot be null"
            )));
        }
        self.coercions.note(Coercion::Omitted);
        Ok(())
    }

    fn strangers(&mut self, fields: &[Field], object: &Map<String, Value>) -> Parsed<()> {
        let is_known = |name: &String| fields.iter().any(|f| f.name == *name || f.aliases.contains(name));
        for name in object.keys().filter(|name| !is_known(name)) {
            if self.unknown == UnknownFields::Refuse {
                let names = fields.iter().map(|field| field.name.as_str());
                let known = fields.iter().map(|field| field.name.as_str()).collect::<Vec<_>>().join(", ");
                let meant =
                    nearest(name, names).map_or(String::new(), |near| format!("did you mean {near}? "));
                let fault = Fault::new(format!("the schema has no such field; {meant}it has {known}"));
                return Err(fault.within(name));
            }
            self.coercions.note_field(name, Coercion::UnknownField);
        }
        Ok(())
    }
}

/// Of a field that is missing: the one that was probably meant by one that is not known.
fn with_hint(
    fault: Box<Fault>,
    is_missing: bool,
    field: &Field,
    fields: &[Field],
    object: &Map<String, Value>,
) -> Box<Fault> {
    let strangers = object.keys().filter(|name| fields.iter().all(|f| f.name != **name));
    match nearest(&field.name, strangers.map(String::as_str)) {
        Some(near) if is_missing => {
            let Fault { path, reason } = *fault;
            Box::new(Fault { path, reason: format!("{reason}; is it `{near}`?") })
        }
        _ => fault,
    }
}

/// Avro's JSON encoding of bytes: a character each.
fn latin(value: &Value) -> Parsed<Vec<u8>> {
    let expected = "text whose characters are bytes, up to U+00FF";
    let text = value.as_str().ok_or_else(|| misfit(expected, value))?;
    let bytes = text.chars().map(|c| u8::try_from(u32::from(c)).ok()).collect::<Option<Vec<u8>>>();
    bytes.ok_or_else(|| Fault::new(format!("expected {expected}, found {}", found(value))))
}

/// Two's complement without the bytes that say nothing.
fn shortest(bytes: &[u8]) -> &[u8] {
    let mut bytes = bytes;
    while let [first, second, ..] = bytes
        && ((*first == 0 && *second < 0x80) || (*first == 0xff && *second >= 0x80))
    {
        bytes = &bytes[1..];
    }
    bytes
}
