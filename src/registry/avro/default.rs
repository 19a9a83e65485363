//! Whether a default value is one of its field's type.

use super::{Names, Primitive, Shape, Type};
use serde_json::Value;

pub fn is_valid(value: &Value, ty: &Type, named: &Names) -> bool {
    match ty {
        Type::Primitive(primitive, _) => is_primitive(value, *primitive),
        Type::Array(items) => {
            value.as_array().is_some_and(|array| array.iter().all(|item| is_valid(item, items, named)))
        }
        Type::Map(values) => {
            value.as_object().is_some_and(|map| map.values().all(|item| is_valid(item, values, named)))
        }
        // Since 1.12 a default may be of any branch, no longer only of the first.
        Type::Union(branches) => branches.iter().any(|branch| is_valid(value, branch, named)),
        Type::Named(name) => named.get(name).is_some_and(|n| is_shape(value, &n.shape, named)),
    }
}

fn is_primitive(value: &Value, primitive: Primitive) -> bool {
    match primitive {
        Primitive::Null => value.is_null(),
        Primitive::Boolean => value.is_boolean(),
        Primitive::Int => value.as_i64().is_some_and(|i| i32::try_from(i).is_ok()),
        Primitive::Long => value.as_i64().is_some(),
        Primitive::Float | Primitive::Double => {
            value.is_number() || matches!(value.as_str(), Some("NaN" | "Infinity" | "-Infinity"))
        }
        Primitive::Bytes | Primitive::String => value.is_string(),
    }
}

fn is_shape(value: &Value, shape: &Shape, named: &Names) -> bool {
    match shape {
        Shape::Enum { symbols, .. } => value.as_str().is_some_and(|s| symbols.iter().any(|x| x == s)),
        // A character a byte.
        Shape::Fixed { size, .. } => value.as_str().is_some_and(|s| s.chars().count() as u64 == *size),
        Shape::Record(fields) => value.as_object().is_some_and(|object| {
            fields.iter().all(|field| match object.get(&field.name) {
                Some(value) => is_valid(value, &field.ty, named),
                None => field.has_default,
            })
        }),
    }
}
