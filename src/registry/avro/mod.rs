//! Avro: parsing, the canonical form, and schema resolution as the specification has it.
//!
//! Names match as Java's library matches them: without their namespaces, or by an alias of the reader.
//! Logical types do not matter but for decimals, whose precision and scale must agree; a change of, say,
//! `timestamp-millis` to `timestamp-micros` is compatible by the specification.

mod canonical;
mod default;
mod parse;
mod read;
#[cfg(test)]
mod tests;

pub use read::read;

use super::parsed::Needed;
use std::collections::HashMap;

/// A parsed text with all that it needs.
pub struct Document {
    pub canonical: String,
    pub root: Type,
    pub named: Names,
}

/// Named types by full name.
pub type Names = HashMap<String, Named>;

#[derive(Clone, Debug, PartialEq)]
pub enum Type {
    Primitive(Primitive, Option<Logical>),
    Array(Box<Type>),
    Map(Box<Type>),
    Union(Vec<Type>),
    /// A full name.
    Named(String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Primitive {
    Null,
    Boolean,
    Int,
    Long,
    Float,
    Double,
    Bytes,
    String,
}

/// What the values of a primitive type stand for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Logical {
    Decimal(Decimal),
    /// Days since 1970-01-01.
    Date,
    /// Since midnight, in units of which so many are a millisecond.
    Time {
        per_ms: i64,
    },
    /// Since 1970-01-01T00:00, likewise.
    Timestamp {
        per_ms: i64,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decimal {
    pub precision: u64,
    pub scale: u64,
}

#[derive(Clone, Debug)]
pub struct Named {
    /// Without namespace.
    pub name: String,
    /// Full names.
    pub aliases: Vec<String>,
    pub shape: Shape,
    /// An array of this record stands for a map, as Connect writes maps whose keys are not just text.
    pub is_map_entry: bool,
}

#[derive(Clone, Debug)]
pub enum Shape {
    Record(Vec<Field>),
    Enum { symbols: Vec<String>, default: Option<String> },
    Fixed { size: u64, decimal: Option<Decimal> },
}

#[derive(Clone, Debug)]
pub struct Field {
    pub name: String,
    pub aliases: Vec<String>,
    pub ty: Type,
    pub has_default: bool,
    /// As the text has it; what is written where a value is left out.
    pub default: Option<serde_json::Value>,
}

impl Document {
    pub fn parse(text: &str, needed: &Needed) -> Result<Document, String> {
        let mut parser = parse::Parser::default();
        for (name, schema) in needed {
            parser.text(&schema.text).map_err(|e| format!("reference '{name}': {e}"))?;
        }
        let value = parse::json(text)?;
        let root = parser.root(&value)?;
        let canonical = canonical::canonical(&value);
        Ok(Document { canonical, root, named: parser.finish()? })
    }

    /// What a named type is made of; `None` for other types.
    pub fn shape(&self, ty: &Type) -> Option<&Shape> {
        match ty {
            Type::Named(name) => self.named.get(name).map(|named| &named.shape),
            _ => None,
        }
    }

    /// Whether an array of the type stands for a map.
    pub fn is_map_entry(&self, ty: &Type) -> bool {
        matches!(ty, Type::Named(name) if self.named.get(name).is_some_and(|named| named.is_map_entry))
    }
}

const PRIMITIVES: [(&str, Primitive); 8] = [
    ("null", Primitive::Null),
    ("boolean", Primitive::Boolean),
    ("int", Primitive::Int),
    ("long", Primitive::Long),
    ("float", Primitive::Float),
    ("double", Primitive::Double),
    ("bytes", Primitive::Bytes),
    ("string", Primitive::String),
];

impl Primitive {
    fn parse(name: &str) -> Option<Primitive> {
        PRIMITIVES.iter().find(|(known, _)| *known == name).map(|(_, primitive)| *primitive)
    }

    pub fn name(self) -> &'static str {
        PRIMITIVES.iter().find(|(_, primitive)| *primitive == self).map_or("?", |(name, _)| name)
    }
}

impl Type {
    pub fn is_null(&self) -> bool {
        matches!(self, Type::Primitive(Primitive::Null, _))
    }

    /// For messages.
    pub fn name(&self) -> String {
        match self {
            Type::Primitive(primitive, _) => primitive.name().into(),
            Type::Array(_) => "array".into(),
            Type::Map(_) => "map".into(),
            Type::Union(types) => {
                format!("[{}]", types.iter().map(Type::name).collect::<Vec<_>>().join(", "))
            }
            Type::Named(name) => name.clone(),
        }
    }
}

/// A name in a namespace; one with dots is full already.
fn full_name(name: &str, namespace: &str) -> String {
    if name.contains('.') || namespace.is_empty() { name.into() } else { format!("{namespace}.{name}") }
}

/// The namespace that a full name is in.
fn namespace_of(full: &str) -> &str {
    full.rsplit_once('.').map_or("", |(namespace, _)| namespace)
}
