//! Columns ↔ JSON Schema, as Connect's converter writes and reads it, and ksqlDB with it.

use crate::format::codec::{Inference, Inferred};
use crate::registry::Resolved;
use crate::registry::json::{Document, Node};
use crate::types::{ColumnDef, Part, SqlType, StructField};
use serde_json::{Value, json};

/// Schemas that say no more than where another one is; more in a row have no end.
const HOPS_MAX: usize = 64;

const DECIMAL: &str = "org.apache.kafka.connect.data.Decimal";
const DATE: &str = "org.apache.kafka.connect.data.Date";
const TIME: &str = "org.apache.kafka.connect.data.Time";
const TIMESTAMP: &str = "org.apache.kafka.connect.data.Timestamp";

/// Where a schema does not say it, and at most.
const PRECISION: u8 = 38;

// ---- columns → schema ----

/// `bare`: a single column is the whole message, not a field of an object.
pub fn schema_of(columns: &[&ColumnDef], bare: bool) -> String {
    let schema = match columns {
        [column] if bare => optional(&column.ty),
        _ => object(columns.iter().map(|c| (c.name.as_str(), &c.ty))),
    };
    schema.to_string()
}

fn object<'a>(fields: impl Iterator<Item = (&'a str, &'a SqlType)>) -> Value {
    let property = |(i, (name, ty)): (usize, (&str, &SqlType))| {
        let mut schema = optional(ty);
        schema["connect.index"] = i.into();
        (name.to_string(), schema)
    };
    json!({ "type": "object", "properties": Value::Object(fields.enumerate().map(property).collect()) })
}

fn optional(ty: &SqlType) -> Value {
    json!({ "oneOf": [{ "type": "null" }, required(ty)] })
}

fn required(ty: &SqlType) -> Value {
    let logical = |ty: &str, connect: &str, title: &str| json!({ "type": ty, "title": title, "connect.version": 1, "connect.type": connect });
    match ty {
        SqlType::Boolean => json!({ "type": "boolean" }),
        SqlType::Int => json!({ "type": "integer", "connect.type": "int32" }),
        SqlType::Bigint => json!({ "type": "integer", "connect.type": "int64" }),
        SqlType::Double => json!({ "type": "number", "connect.type": "float64" }),
        SqlType::Varchar => json!({ "type": "string" }),
        SqlType::Bytes => json!({ "type": "string", "connect.type": "bytes" }),
        SqlType::Date => logical("integer", "int32", DATE),
        SqlType::Time => logical("integer", "int32", TIME),
        SqlType::Timestamp => logical("integer", "int64", TIMESTAMP),
        SqlType::Decimal { precision, scale } => {
            let mut schema = logical("number", "bytes", DECIMAL);
            schema["connect.parameters"] =
                json!({ "scale": scale.to_string(), "connect.decimal.precision": precision.to_string() });
            schema
        }
        SqlType::Array(item) => json!({ "type": "array", "items": optional(item) }),
        SqlType::Map(_, value) => {
            json!({ "type": "object", "connect.type": "map", "additionalProperties": optional(value) })
        }
        SqlType::Struct(fields) => object(fields.iter().map(|f| (f.name.as_str(), &f.ty))),
    }
}

// ---- schema → columns ----

/// The columns of the properties, or the single column of a schema without.
pub fn columns_of(schema: &Resolved, key: bool, mut inference: Inference) -> Result<Inferred, String> {
    let (name, ty) = (if key { "ROWKEY" } else { "ROWVAL" }, whole(schema, &mut inference)?);
    let (fields, bare) = match ty {
        SqlType::Struct(fields) => (fields, false),
        ty => (vec![StructField { name: name.into(), ty }], true),
    };
    let columns =
        fields.into_iter().map(|field| ColumnDef { name: field.name, ty: field.ty, part: Part::key_if(key) });
    Ok(Inferred { columns: columns.collect(), bare })
}

fn whole(schema: &Resolved, inference: &mut Inference) -> Result<SqlType, String> {
    let document = Document::parse(&schema.schema.text, &schema.needed)?;
    type_of(document.root(), "#", inference)
}

/// Each column must be in the schema that it is written with; `bare`: the single column is all of it.
pub fn check_fits(schema: &Resolved, columns: &[&ColumnDef], bare: bool) -> Result<(), String> {
    let whole = whole(schema, &mut Inference::default())?;
    if let ([column], true) = (columns, bare) {
        return match fits(&whole, &column.ty) {
            true => Ok(()),
            false => Err(format!("column {} is {}, the schema {whole}", column.name, column.ty)),
        };
    }
    let SqlType::Struct(fields) = whole else { return Ok(()) };
    for column in columns {
        match field(&fields, &column.name) {
            None => return Err(format!("it has no property for column {}", column.name)),
            Some(field) if !fits(&field.ty, &column.ty) => {
                return Err(format!("column {} is {}, its property {}", column.name, column.ty, field.ty));
            }
            Some(_) => {}
        }
    }
    Ok(())
}

/// The property of a name, whose case does not matter: those of `fields` are in upper case.
fn field<'a>(fields: &'a [StructField], name: &str) -> Option<&'a StructField> {
    fields.iter().find(|field| field.name == name.to_uppercase())
}

/// Whether values of the column are values of the property.
fn fits(property: &SqlType, column: &SqlType) -> bool {
    match (property, column) {
        (SqlType::Bigint, SqlType::Int) => true,
        (SqlType::Double, number) => number.is_numeric(),
        (SqlType::Array(property), SqlType::Array(column)) => fits(property, column),
        (SqlType::Map(key, property), SqlType::Map(column_key, column)) => {
            key == column_key && fits(property, column)
        }
        (SqlType::Struct(properties), SqlType::Struct(columns)) => columns.iter().all(|column| {
            field(properties, &column.name).is_some_and(|property| fits(&property.ty, &column.ty))
        }),
        (property, column) => property == column,
    }
}

fn type_of(node: Node, path: &str, inference: &mut Inference) -> Result<SqlType, String> {
    inference.part(path, |inference| inferred(node, path, inference))
}

fn inferred(node: Node, path: &str, inference: &mut Inference) -> Result<SqlType, String> {
    let node = value_of(node.resolved(), path)?;
    let text = |key: &str| node.value.get(key).and_then(Value::as_str);
    let connect = text("connect.type").unwrap_or_default();
    let inner = |key: &str, inference: &mut Inference| {
        node.get(key).map(|inner| type_of(inner, &format!("{path}/{key}"), inference))
    };
    Ok(match (name_of(node)?.as_str(), connect, text("title").unwrap_or_default()) {
        ("number" | "string", _, DECIMAL) => decimal(node),
        ("integer", _, DATE) => SqlType::Date,
        ("integer", _, TIME) => SqlType::Time,
        ("integer", _, TIMESTAMP) => SqlType::Timestamp,
        ("integer", "int8" | "int16" | "int32", _) => SqlType::Int,
        ("integer", _, _) => SqlType::Bigint,
        ("number", "int8" | "int16" | "int32", _) => SqlType::Int,
        ("number", "int64", _) => SqlType::Bigint,
        ("number", _, _) => SqlType::Double,
        ("boolean", _, _) => SqlType::Boolean,
        ("string", "bytes", _) => SqlType::Bytes,
        ("string", _, _) => SqlType::Varchar,
        ("array", "map", _) => return map_of_entries(node, path, inference),
        ("array", _, _) => SqlType::Array(Box::new(
            inner("items", inference).ok_or_else(|| format!("{path} says no type of its items"))??,
        )),
        ("object", connect, _) => {
            let mut fields = fields(node, path, inference)?;
            match inner("additionalProperties", inference) {
                Some(value) if connect == "map" || fields.is_empty() => {
                    SqlType::Map(Box::new(SqlType::Varchar), Box::new(value?))
                }
                _ if fields.is_empty() => return Err(format!("{path} is an object without properties")),
                _ => {
                    fields.sort_by_key(|(index, _)| *index);
                    SqlType::Struct(fields.into_iter().map(|(_, field)| field).collect())
                }
            }
        }
        (other, _, _) => return Err(format!("{path} has the type {other}, which no column has")),
    })
}

/// With the places that `connect.index` gives them; those without one stay where they are, behind.
fn fields(node: Node, path: &str, inference: &mut Inference) -> Result<Vec<(u64, StructField)>, String> {
    let names = inference.column_names(node.map("properties").map(|(name, _)| name), path)?;
    let field = |(column, (name, property)): (String, (&str, Node))| {
        let ty = type_of(property, &format!("{path}/properties/{name}"), inference)?;
        let index = property.value.get("connect.index").and_then(Value::as_u64);
        Ok((index.unwrap_or(u64::MAX), StructField { name: column, ty }))
    };
    names.into_iter().zip(node.map("properties")).map(field).collect()
}

/// Connect writes a map whose keys are not just text as an array of `key` and `value`.
fn map_of_entries(node: Node, path: &str, inference: &mut Inference) -> Result<SqlType, String> {
    let items = node.get("items").map(Node::resolved);
    let mut entry = |name: &str| {
        let found = items.and_then(|items| items.get("properties")).and_then(|p| p.get(name));
        let found = found.ok_or_else(|| format!("{path} is a map whose entries have no {name}"))?;
        type_of(found, &format!("{path}/items/properties/{name}"), inference)
    };
    Err(match entry("key")? {
        SqlType::Varchar => format!("{path} is a map as an array of entries; a MAP is an object in messages"),
        key => format!("{path} is a map with keys of {key}; a MAP has keys of STRING"),
    })
}

/// What is there if it is not null: the one branch that is something else.
fn value_of<'a>(node: Node<'a>, path: &str) -> Result<Node<'a>, String> {
    let mut node = node;
    for _ in 0..HOPS_MAX {
        let Some(branches) = ["oneOf", "anyOf", "allOf"].iter().find_map(|key| node.list(key)) else {
            return Ok(node);
        };
        let is_null = |branch: &Node| branch.resolved().value.get("type").is_some_and(|ty| ty == "null");
        let mut branches = branches.into_iter().filter(|branch| !is_null(branch));
        match (branches.next(), branches.next()) {
            (Some(only), None) => node = only.resolved(),
            _ => return Err(format!("{path} can be several things; a column has one type")),
        }
    }
    Err(format!("{path} holds itself, which no column can"))
}

fn name_of(node: Node) -> Result<String, String> {
    let names: Vec<&str> = match node.value.get("type") {
        Some(Value::String(name)) => vec![name],
        Some(Value::Array(names)) => {
            names.iter().filter_map(Value::as_str).filter(|n| *n != "null").collect()
        }
        _ => vec![],
    };
    Ok(match (names.as_slice(), node.value) {
        ([name], _) => name.to_string(),
        ([], Value::Object(object)) if object.contains_key("properties") => "object".into(),
        ([], Value::Object(object)) if object.contains_key("enum") => "string".into(),
        ([], _) => "any".into(),
        (names, _) => names.join(" or "),
    })
}

fn decimal(node: Node) -> SqlType {
    let parameter = |name: &str| -> Option<u8> {
        let value = node.value.get("connect.parameters")?.get(name)?;
        value.as_str().and_then(|text| text.parse().ok())
    };
    let precision = parameter("connect.decimal.precision").unwrap_or(PRECISION).clamp(1, PRECISION);
    SqlType::Decimal { precision, scale: parameter("scale").unwrap_or(0).min(precision) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::{Kind, Schema};
    use std::sync::Arc;

    fn columns(text: &str) -> Result<Inferred, String> {
        let schema = Arc::new(Schema::new(Kind::Json, text));
        columns_of(&Resolved { id: 1, schema, needed: vec![] }, false, Inference::default())
    }

    #[test]
    fn columns_survive_their_schema() {
        use SqlType::*;
        let map = Map(Box::new(Varchar), Box::new(Array(Box::new(Decimal { precision: 6, scale: 2 }))));
        let nested = Struct(vec![StructField { name: "LAT".into(), ty: Double }]);
        let types = [Boolean, Int, Bigint, Double, Varchar, Bytes, Date, Time, Timestamp, map, nested];
        let all: Vec<ColumnDef> = types
            .into_iter()
            // Names that do not sort as they stand.
            .enumerate()
            .map(|(i, ty)| ColumnDef { name: format!("C{}", 20 - i), ty, part: Part::Value })
            .collect();
        let refs: Vec<&ColumnDef> = all.iter().collect();
        assert_eq!(columns(&schema_of(&refs, false)), Ok(Inferred { columns: all.clone(), bare: false }));
        let bare = columns(&schema_of(&refs[..1], true)).unwrap();
        assert_eq!(
            (bare.bare, bare.columns[0].name.as_str(), &bare.columns[0].ty),
            (true, "ROWVAL", &Boolean)
        );
    }

    #[test]
    fn schemas_of_others() {
        let one = |ty: &str| columns(&format!(r#"{{"type":"object","properties":{{"a":{ty}}}}}"#));
        for (ty, expected) in [
            (r#"{"type":"integer"}"#, "BIGINT"),
            (r#"{"type":["null","number"]}"#, "DOUBLE"),
            (r#"{"anyOf":[{"type":"string"},{"type":"null"}]}"#, "STRING"),
            (r#"{"enum":["a","b"]}"#, "STRING"),
            (r#"{"type":"object","additionalProperties":{"type":"boolean"}}"#, "MAP<STRING, BOOLEAN>"),
            (r#"{"properties":{"x":{"type":"array","items":{"type":"string"}}}}"#, "STRUCT<X ARRAY<STRING>>"),
        ] {
            let column = one(ty).unwrap().columns.remove(0);
            assert_eq!((column.name.as_str(), column.ty.to_string().as_str()), ("A", expected));
        }
        for (ty, why) in [
            (r##"{"$ref":"#"}"##, "nests too deeply"),
            (r#"{"type":["string","integer"]}"#, "#/properties/a has the type string or integer"),
            (r#"{"oneOf":[{"type":"string"},{"type":"integer"}]}"#, "#/properties/a can be several things"),
            (r#"{"type":"array"}"#, "#/properties/a says no type of its items"),
            (r#"{"type":"object"}"#, "#/properties/a is an object without properties"),
            ("true", "#/properties/a has the type any"),
        ] {
            let error = one(ty).unwrap_err();
            assert!(error.contains(why), "{ty}: {error}");
        }
    }
}
