//! Bytes → plain JSON for consumers: members of unions without their branches, times as the numbers that
//! they are, decimals as numbers, whatever the schema's kind.

use super::PAYLOAD_BYTES_MAX;
use crate::format::body::{Body, DEPTH_MAX};
use crate::format::fault::{Fault, Parsed};
use crate::number_text::{write_decimal, write_integer};
use crate::registry::avro::{Document, Logical, Named, Primitive, Shape, Type};
use std::fmt::Write;

pub fn avro(document: &Document, body: &mut Body, out: &mut String) -> Parsed<()> {
    let limit = out.len() + 4 * PAYLOAD_BYTES_MAX;
    Reading { document, body, out, limit }.value(&document.root, 0)?;
    ended(body)
}

/// A JSON text as it is, if it is one.
pub fn json(body: &mut Body, out: &mut String) -> Parsed<()> {
    let rest = body.take(body.rest() as u64)?;
    let bytes = body.field(&rest);
    let text = std::str::from_utf8(bytes.bytes()).map_err(|_| Fault::new("it is not UTF-8"))?;
    // Checked, so that no answer that holds it can be broken by it.
    serde_json::from_str::<serde::de::IgnoredAny>(text)
        .map_err(|e| Fault::new(format!("it is not JSON: {e}")))?;
    out.push_str(text.trim());
    Ok(())
}

pub fn ended(body: &Body) -> Parsed<()> {
    match body.rest() {
        0 => Ok(()),
        rest => Err(Fault::new(format!("{rest} bytes follow the record"))),
    }
}

struct Reading<'r, 'b> {
    document: &'r Document,
    body: &'r mut Body<'b>,
    out: &'r mut String,
    /// Longer texts are refused: a few bytes can stand for many values.
    limit: usize,
}

impl Reading<'_, '_> {
    fn value(&mut self, ty: &Type, depth: usize) -> Parsed<()> {
        if depth > DEPTH_MAX {
            return Err(Fault::new("it is nested too deeply"));
        }
        if self.out.len() > self.limit {
            return Err(Fault::new("it stands for too long a text"));
        }
        match ty {
            Type::Primitive(primitive, logical) => self.primitive(*primitive, *logical),
            Type::Union(branches) => {
                let branch = usize::try_from(self.body.zigzag()?).ok().and_then(|i| branches.get(i));
                let branch =
                    branch.ok_or_else(|| Fault::new("it names a branch that its union does not have"))?;
                self.value(branch, depth + 1)
            }
            Type::Array(item) => self.listed('[', ']', |this| this.value(item, depth + 1)),
            Type::Map(item) => self.listed('{', '}', |this| {
                this.text()?;
                this.out.push(':');
                this.value(item, depth + 1)
            }),
            Type::Named(name) => match self.document.named.get(name) {
                Some(named) => self.named(named, depth),
                None => Err(Fault::new(format!("the schema has no type {name}"))),
            },
        }
    }

    fn listed(
        &mut self,
        open: char,
        close: char,
        mut item: impl FnMut(&mut Self) -> Parsed<()>,
    ) -> Parsed<()> {
        self.out.push(open);
        let mut first = true;
        loop {
            let mut count = self.body.zigzag()?;
            if count < 0 {
                self.body.zigzag()?;
                count = count.checked_neg().ok_or_else(|| Fault::new("a block is longer than any"))?;
            }
            if count == 0 {
                break;
            }
            self.body.count_items(count as usize)?;
            for _ in 0..count {
                if !std::mem::take(&mut first) {
                    self.out.push(',');
                }
                item(self)?;
            }
        }
        self.out.push(close);
        Ok(())
    }

    fn primitive(&mut self, primitive: Primitive, logical: Option<Logical>) -> Parsed<()> {
        match primitive {
            Primitive::Null => self.out.push_str("null"),
            Primitive::Boolean => self.out.push_str(if self.body.byte()? == 0 { "false" } else { "true" }),
            Primitive::Int | Primitive::Long => write_integer(self.body.zigzag()?, self.out),
            Primitive::Float => {
                let value = f32::from_le_bytes(self.body.array()?);
                self.number(value.is_finite(), value);
            }
            Primitive::Double => {
                let value = f64::from_le_bytes(self.body.array()?);
                self.number(value.is_finite(), value);
            }
            Primitive::String => self.text()?,
            Primitive::Bytes => {
                let len = self.length()?;
                let range = self.body.take(len)?;
                let bytes = self.body.field(&range);
                match logical {
                    Some(Logical::Decimal(of)) => self.decimal(bytes.bytes(), of.scale)?,
                    _ => latin(bytes.bytes(), self.out),
                }
            }
        }
        Ok(())
    }

    /// JSON has no numbers for what is not finite: a text then.
    fn number(&mut self, is_finite: bool, value: impl std::fmt::Debug) {
        let quote = if is_finite { "" } else { "\"" };
        // Writing to a text cannot fail.
        let _ = write!(self.out, "{quote}{value:?}{quote}");
    }

    fn decimal(&mut self, bytes: &[u8], scale: u64) -> Parsed<()> {
        let scale = u8::try_from(scale).map_err(|_| Fault::new("its scale is above 255"))?;
        let sign = if bytes.first().is_some_and(|b| *b >= 0x80) { 0xff } else { 0 };
        let mut digits = [sign; 16];
        let padding =
            16usize.checked_sub(bytes.len()).ok_or_else(|| Fault::new("a decimal has more than 128 bits"))?;
        digits[padding..].copy_from_slice(bytes);
        write_decimal(i128::from_be_bytes(digits), scale, self.out);
        Ok(())
    }

    fn length(&mut self) -> Parsed<u64> {
        u64::try_from(self.body.zigzag()?).map_err(|_| Fault::new("a length is negative"))
    }

    fn text(&mut self) -> Parsed<()> {
        let len = self.length()?;
        let range = self.body.take(len)?;
        let bytes = self.body.field(&range);
        quoted(&String::from_utf8_lossy(bytes.bytes()), self.out);
        Ok(())
    }

    fn named(&mut self, named: &Named, depth: usize) -> Parsed<()> {
        match &named.shape {
            Shape::Record(fields) => {
                self.body.count_record()?;
                self.out.push('{');
                for (i, field) in fields.iter().enumerate() {
                    if i > 0 {
                        self.out.push(',');
                    }
                    quoted(&field.name, self.out);
                    self.out.push(':');
                    self.value(&field.ty, depth + 1).map_err(|fault| fault.within(&field.name))?;
                }
                self.out.push('}');
            }
            Shape::Enum { symbols, .. } => {
                let symbol = usize::try_from(self.body.zigzag()?).ok().and_then(|i| symbols.get(i));
                quoted(
                    symbol.ok_or_else(|| Fault::new("it names a symbol that its enum does not have"))?,
                    self.out,
                );
            }
            Shape::Fixed { size, decimal } => {
                let range = self.body.take(*size)?;
                let bytes = self.body.field(&range);
                match decimal {
                    Some(of) => self.decimal(bytes.bytes(), of.scale)?,
                    None => latin(bytes.bytes(), self.out),
                }
            }
        }
        Ok(())
    }
}

fn latin(bytes: &[u8], out: &mut String) {
    quoted(&bytes.iter().map(|b| char::from(*b)).collect::<String>(), out);
}

/// A text as JSON has it.
pub fn quoted(text: &str, out: &mut String) {
    // What needs no escape, which is nearly everything, goes in one piece.
    if text.bytes().all(|b| b >= 0x20 && b != b'"' && b != b'\\') {
        out.push('"');
        out.push_str(text);
        out.push('"');
        return;
    }
    out.push_str(&serde_json::Value::from(text).to_string());
}
