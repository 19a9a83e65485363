//! Avro's JSON → types. What the specification forbids is refused with the place.

use super::default::is_valid;
use super::{Decimal, Field, Logical, Named, Names, Primitive, Shape, Type, full_name, namespace_of};
use serde_json::{Map, Value};

/// Deeper texts are refused.
const DEPTH_MAX: usize = 100;

#[derive(Default)]
pub struct Parser {
    named: Names,
    depth: usize,
    /// Defaults wait until all names are known: a type may need itself.
    defaults: Vec<(String, Type, Value)>,
}

type Result<T> = std::result::Result<T, String>;
type Object = Map<String, Value>;

/// A bare word such as `string` is what some clients send for `"string"`.
pub fn json(text: &str) -> Result<Value> {
    match Primitive::parse(text.trim()) {
        Some(primitive) => Ok(Value::from(primitive.name())),
        None => serde_json::from_str(text).map_err(|e| format!("not JSON: {e}")),
    }
}

impl Parser {
    /// Parses a text for the names it defines.
    pub fn text(&mut self, text: &str) -> Result<()> {
        self.root(&json(text)?).map(drop)
    }

    pub fn root(&mut self, value: &Value) -> Result<Type> {
        self.parse(value, "", "")
    }

    pub fn finish(self) -> Result<Names> {
        for (path, ty, default) in &self.defaults {
            if !is_valid(default, ty, &self.named) {
                return Err(format!("field {path}: default {default} is no {}", ty.name()));
            }
        }
        Ok(self.named)
    }

    fn parse(&mut self, value: &Value, namespace: &str, path: &str) -> Result<Type> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(format!("{}nested too deeply", at(path)));
        }
        let parsed = match value {
            Value::String(name) => self.reference(name, namespace, path),
            Value::Array(branches) => self.union(branches, namespace, path),
            Value::Object(object) => self.object(object, namespace, path),
            other => Err(format!("{}{other} is no schema", at(path))),
        };
        self.depth -= 1;
        parsed
    }

    fn reference(&self, name: &str, namespace: &str, path: &str) -> Result<Type> {
        if let Some(primitive) = Primitive::parse(name) {
            return Ok(Type::Primitive(primitive, None));
        }
        let full = full_name(name, namespace);
        match [full.as_str(), name].into_iter().find(|name| self.named.contains_key(*name)) {
            Some(known) => Ok(Type::Named(known.into())),
            None => Err(format!("{}there is no type {full}", at(path))),
        }
    }

    fn union(&mut self, branches: &[Value], namespace: &str, path: &str) -> Result<Type> {
        let mut types: Vec<Type> = Vec::with_capacity(branches.len());
        for branch in branches {
            let ty = self.parse(branch, namespace, path)?;
            if matches!(ty, Type::Union(_)) {
                return Err(format!("{}a union cannot hold a union", at(path)));
            }
            if types.iter().any(|other| other.name() == ty.name()) {
                return Err(format!("{}{} is twice in the union", at(path), ty.name()));
            }
            types.push(ty);
        }
        Ok(Type::Union(types))
    }

    fn object(&mut self, object: &Object, namespace: &str, path: &str) -> Result<Type> {
        let ty = object.get("type").ok_or_else(|| format!("{}no type is given", at(path)))?;
        let Value::String(ty) = ty else { return self.parse(ty, namespace, path) };
        match ty.as_str() {
            "record" | "error" | "enum" | "fixed" => self.named(ty, object, namespace, path),
            "array" => Ok(Type::Array(Box::new(self.inner(object, "items", namespace, path)?))),
            "map" => Ok(Type::Map(Box::new(self.inner(object, "values", namespace, path)?))),
            name => match Primitive::parse(name) {
                Some(primitive) => Ok(Type::Primitive(primitive, logical(object, primitive))),
                None => self.reference(name, namespace, path),
            },
        }
    }

    fn inner(&mut self, object: &Object, key: &str, namespace: &str, path: &str) -> Result<Type> {
        let inner = object.get(key).ok_or_else(|| format!("{}no {key} are given", at(path)))?;
        self.parse(inner, namespace, path)
    }

    fn named(&mut self, ty: &str, object: &Object, namespace: &str, path: &str) -> Result<Type> {
        let name = text(object, "name").ok_or_else(|| format!("{}a {ty} needs a name", at(path)))?;
        let namespace = text(object, "namespace").unwrap_or(namespace);
        let full = full_name(name, namespace);
        if !full.split('.').all(is_name) {
            return Err(format!("{}`{full}` is no name", at(path)));
        }
        let namespace = namespace_of(&full).to_string();
        let short = full.rsplit('.').next().unwrap_or(&full).to_string();
        if Primitive::parse(&short).is_some() && namespace.is_empty() {
            return Err(format!("{}{short} is a primitive type's name", at(path)));
        }
        let aliases = texts(object, "aliases").map_err(|e| format!("{}{e}", at(path)))?;
        let aliases = aliases.iter().map(|alias| full_name(alias, &namespace)).collect();
        // Known before its fields are read: they may refer to it.
        let is_map_entry = full == "io.confluent.connect.avro.MapEntry"
            || text(object, "connect.internal.type") == Some("MapEntry");
        let blank = Named { name: short, aliases, shape: Shape::Record(Vec::new()), is_map_entry };
        if self.named.insert(full.clone(), blank).is_some() {
            return Err(format!("{}{full} is defined twice", at(path)));
        }
        let shape = match ty {
            "enum" => enumeration(object, &full)?,
            "fixed" => fixed(object, &full)?,
            _ => Shape::Record(self.fields(object, &namespace, &full, path)?),
        };
        if let Some(named) = self.named.get_mut(&full) {
            named.shape = shape;
        }
        Ok(Type::Named(full))
    }

    fn fields(&mut self, object: &Object, namespace: &str, full: &str, path: &str) -> Result<Vec<Field>> {
        let Some(Value::Array(given)) = object.get("fields") else {
            return Err(format!("record {full} needs fields"));
        };
        let mut fields: Vec<Field> = Vec::with_capacity(given.len());
        for field in given {
            let field = self.field(field, namespace, full, path)?;
            if fields.iter().any(|other| other.name == field.name) {
                return Err(format!("record {full} has field {} twice", field.name));
            }
            fields.push(field);
        }
        Ok(fields)
    }

    fn field(&mut self, field: &Value, namespace: &str, full: &str, path: &str) -> Result<Field> {
        let object = field.as_object().ok_or_else(|| format!("record {full}: {field} is no field"))?;
        let name = text(object, "name").ok_or_else(|| format!("record {full}: a field needs a name"))?;
        if !is_name(name) {
            return Err(format!("record {full}: `{name}` is no name"));
        }
        let path = if path.is_empty() { name.to_string() } else { format!("{path}.{name}") };
        let ty = object.get("type").ok_or_else(|| format!("field {path} needs a type"))?;
        let ty = self.parse(ty, namespace, &path)?;
        if let Some(default) = object.get("default") {
            self.defaults.push((path.clone(), ty.clone(), default.clone()));
        }
        let aliases = texts(object, "aliases").map_err(|e| format!("{}{e}", at(&path)))?;
        let default = object.get("default").cloned();
        Ok(Field { name: name.into(), aliases, ty, has_default: default.is_some(), default })
    }
}

fn enumeration(object: &Object, full: &str) -> Result<Shape> {
    let symbols = texts(object, "symbols").map_err(|e| format!("enum {full}: {e}"))?;
    if !object.contains_key("symbols") {
        return Err(format!("enum {full} needs symbols"));
    }
    for (i, symbol) in symbols.iter().enumerate() {
        if !is_name(symbol) {
            return Err(format!("enum {full}: `{symbol}` is no symbol"));
        }
        if symbols[..i].contains(symbol) {
            return Err(format!("enum {full} has symbol {symbol} twice"));
        }
    }
    let default = text(object, "default").map(String::from);
    match &default {
        Some(default) if !symbols.contains(default) => {
            Err(format!("enum {full}: its default {default} is none of its symbols"))
        }
        _ => Ok(Shape::Enum { symbols, default }),
    }
}

fn fixed(object: &Object, full: &str) -> Result<Shape> {
    let size = object.get("size").and_then(Value::as_u64);
    let size = size.ok_or_else(|| format!("fixed {full} needs a size"))?;
    Ok(Shape::Fixed { size, decimal: decimal(object) })
}

/// An invalid logical type is none, says the specification.
fn logical(object: &Object, primitive: Primitive) -> Option<Logical> {
    use Logical::*;
    let name = text(object, "logicalType")?;
    match (primitive, name.strip_prefix("local-").unwrap_or(name)) {
        (Primitive::Bytes, _) => decimal(object).map(Decimal),
        (Primitive::Int, "date") => Some(Date),
        (Primitive::Int, "time-millis") => Some(Time { per_ms: 1 }),
        (Primitive::Long, "time-micros") => Some(Time { per_ms: 1_000 }),
        (Primitive::Long, "timestamp-millis") => Some(Timestamp { per_ms: 1 }),
        (Primitive::Long, "timestamp-micros") => Some(Timestamp { per_ms: 1_000 }),
        (Primitive::Long, "timestamp-nanos") => Some(Timestamp { per_ms: 1_000_000 }),
        _ => None,
    }
}

fn decimal(object: &Object) -> Option<Decimal> {
    if text(object, "logicalType") != Some("decimal") {
        return None;
    }
    let precision = object.get("precision")?.as_u64()?;
    let scale = object.get("scale").map_or(Some(0), Value::as_u64)?;
    (precision > 0 && scale <= precision).then_some(Decimal { precision, scale })
}

fn text<'a>(object: &'a Object, key: &str) -> Option<&'a str> {
    object.get(key).and_then(Value::as_str)
}

fn texts(object: &Object, key: &str) -> Result<Vec<String>> {
    let Some(given) = object.get(key) else { return Ok(Vec::new()) };
    let texts = given.as_array().and_then(|a| a.iter().map(|v| v.as_str().map(String::from)).collect());
    texts.ok_or_else(|| format!("{key} must be an array of strings"))
}

fn is_name(name: &str) -> bool {
    let mut chars = name.chars();
    chars.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
        && chars.all(|c| c.is_ascii_alphanumeric() || c == '_')
}

fn at(path: &str) -> String {
    if path.is_empty() { String::new() } else { format!("field {path}: ") }
}
