//! What a field's default is as bytes: it is written where no column has the field.

use crate::format::body::{push_varint, zigzag};
use crate::registry::avro::{Document, Primitive, Shape, Type};
use serde_json::Value;

/// A default may hold those of other fields, and types may hold themselves.
const DEPTH_MAX: usize = 32;
const BYTES_MAX: usize = 1 << 16;

/// `None`: the default is none of the type, or too large.
pub fn encoded(schema: &Document, ty: &Type, default: &Value) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    push(schema, ty, default, DEPTH_MAX, &mut out)?;
    Some(out)
}

fn push(schema: &Document, ty: &Type, value: &Value, depth: usize, out: &mut Vec<u8>) -> Option<()> {
    let depth = depth.checked_sub(1).filter(|_| out.len() <= BYTES_MAX)?;
    match ty {
        Type::Primitive(primitive, _) => push_primitive(*primitive, value, out)?,
        Type::Union(branches) => {
            let start = out.len();
            let pushed = branches.iter().enumerate().any(|(i, branch)| {
                out.truncate(start);
                push_varint(out, (i as u64) << 1);
                push(schema, branch, value, depth, out).is_some()
            });
            return pushed.then_some(());
        }
        Type::Array(item) => {
            let items = value.as_array()?;
            push_count(items.len(), out);
            items.iter().try_for_each(|value| push(schema, item, value, depth, out))?;
            out.push(0);
        }
        Type::Map(of) => {
            let entries = value.as_object()?;
            push_count(entries.len(), out);
            entries.iter().try_for_each(|(key, value)| {
                push_text(key.as_bytes(), out);
                push(schema, of, value, depth, out)
            })?;
            out.push(0);
        }
        Type::Named(_) => match schema.shape(ty)? {
            Shape::Record(fields) => {
                let given = value.as_object()?;
                fields.iter().try_for_each(|field| {
                    let value = given.get(&field.name).or(field.default.as_ref())?;
                    push(schema, &field.ty, value, depth, out)
                })?;
            }
            Shape::Enum { symbols, .. } => {
                let symbol = value.as_str()?;
                push_varint(out, (symbols.iter().position(|known| known == symbol)? as u64) << 1);
            }
            Shape::Fixed { size, .. } => {
                let bytes = bytes(value)?;
                out.extend(Some(bytes).filter(|bytes| bytes.len() as u64 == *size)?);
            }
        },
    }
    Some(())
}

fn push_primitive(primitive: Primitive, value: &Value, out: &mut Vec<u8>) -> Option<()> {
    match primitive {
        Primitive::Null => value.as_null()?,
        Primitive::Boolean => out.push(value.as_bool()?.into()),
        Primitive::Int => push_varint(out, zigzag(i32::try_from(value.as_i64()?).ok()?.into())),
        Primitive::Long => push_varint(out, zigzag(value.as_i64()?)),
        Primitive::Float => out.extend((value.as_f64()? as f32).to_le_bytes()),
        Primitive::Double => out.extend(value.as_f64()?.to_le_bytes()),
        Primitive::Bytes => push_text(&bytes(value)?, out),
        Primitive::String => push_text(value.as_str()?.as_bytes(), out),
    }
    Some(())
}

/// Bytes are a text in a schema, a character each.
fn bytes(value: &Value) -> Option<Vec<u8>> {
    value.as_str()?.chars().map(|c| u8::try_from(u32::from(c)).ok()).collect()
}

fn push_text(text: &[u8], out: &mut Vec<u8>) {
    push_varint(out, zigzag(text.len() as i64));
    out.extend_from_slice(text);
}

/// The head of a block, if there is one: a zero ends them.
fn push_count(items: usize, out: &mut Vec<u8>) {
    if items > 0 {
        push_varint(out, zigzag(items as i64));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_first_field(schema: &str) -> Option<Vec<u8>> {
        let document = Document::parse(schema, &Vec::new()).unwrap();
        let Some(Shape::Record(fields)) = document.shape(&document.root) else { panic!("{schema}") };
        encoded(&document, &fields[0].ty, fields[0].default.as_ref().unwrap())
    }

    #[test]
    fn a_default_is_written_as_its_type_is() {
        let cases: [(&str, &str, &[u8]); 9] = [
            (r#""int""#, "-3", &[5]),
            (r#"["null","int"]"#, "null", &[0]),
            (r#"["int","null"]"#, "7", &[0, 14]),
            (r#""string""#, r#""ab""#, &[4, b'a', b'b']),
            (r#""bytes""#, r#""\u00ff""#, &[2, 0xff]),
            (r#"{"type":"array","items":"int"}"#, "[1, 2]", &[4, 2, 4, 0]),
            (r#"{"type":"array","items":"int"}"#, "[]", &[0]),
            (r#"{"type":"enum","name":"E","symbols":["A","B"]}"#, r#""B""#, &[2]),
            (
                r#"{"type":"record","name":"I","fields":[{"name":"a","type":"int"},{"name":"b","type":"boolean","default":true}]}"#,
                r#"{"a": 1}"#,
                &[2, 1],
            ),
        ];
        for (ty, default, expected) in cases {
            let schema = format!(
                r#"{{"type":"record","name":"R","fields":[{{"name":"f","type":{ty},"default":{default}}}]}}"#
            );
            assert_eq!(of_first_field(&schema).as_deref(), Some(expected), "{schema}");
        }
    }

    #[test]
    fn a_default_that_has_no_end_is_none() {
        let schema = r#"{"type":"record","name":"R","fields":[{"name":"f","type":"R","default":{}}]}"#;
        assert_eq!(of_first_field(schema), None);
    }
}
