//! The schema that columns are registered with, as Connect's converter writes it for ksqlDB: fields are
//! numbered in the order of the columns, and messages are `ConnectDefault` with a number, each within the
//! one that needs it. A map is a repeated message with a key and a value, which on the wire is what
//! Protobuf's own maps are.

use crate::format::codec::check_name;
use crate::types::{ColumnDef, SqlType};
use serde::{Deserialize, Serialize};
use std::fmt::Write;

pub const FULL_NAME: &str = "ConnectDefault1";

/// How a field says that it is NULL, not 0 or empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Nullable {
    /// It does not.
    Plain,
    /// By `optional`.
    Optional,
    /// By one of Google's messages that hold one value.
    Wrapper,
}

/// The text of the schema; the error names the column that it cannot have.
pub fn schema_text(columns: &[&ColumnDef], full_name: &str, nullable: Nullable) -> Result<String, String> {
    let (package, name) = full_name.rsplit_once('.').unwrap_or(("", full_name));
    let mut texts = Texts { nullable, imports: vec![], default_names: usize::from(full_name == FULL_NAME) };
    let mut message = String::new();
    texts.message(&mut message, 0, name, columns.iter().map(|c| (c.name.as_str(), &c.ty)))?;
    let mut text = String::from("syntax = \"proto3\";\n");
    if !package.is_empty() {
        let _ = writeln!(text, "package {package};");
    }
    text.push('\n');
    texts.imports.sort_unstable();
    for import in &texts.imports {
        let _ = writeln!(text, "import \"{import}\";");
    }
    if !texts.imports.is_empty() {
        text.push('\n');
    }
    Ok(text + &message)
}

struct Texts {
    nullable: Nullable,
    imports: Vec<&'static str>,
    /// How many messages are named `ConnectDefault`.
    default_names: usize,
}

impl Texts {
    fn message<'a>(
        &mut self,
        out: &mut String,
        depth: usize,
        name: &str,
        fields: impl Iterator<Item = (&'a str, &'a SqlType)>,
    ) -> Result<(), String> {
        let margin = "  ".repeat(depth);
        let _ = writeln!(out, "{margin}message {name} {{");
        let mut inner = String::new();
        for (number, (name, ty)) in (1..).zip(fields) {
            check_name(name, "PROTOBUF")?;
            let ty_text = self.field_type(&mut inner, depth, name, ty)?;
            let _ = writeln!(out, "{margin}  {ty_text} {name} = {number}{};", options(ty, &margin));
        }
        if !inner.is_empty() {
            let _ = write!(out, "\n{inner}");
        }
        let _ = writeln!(out, "{margin}}}");
        Ok(())
    }

    fn field_type(
        &mut self,
        inner: &mut String,
        depth: usize,
        name: &str,
        ty: &SqlType,
    ) -> Result<String, String> {
        let nests = |part: &SqlType| {
            format!(
                "column {name} is {ty}: PROTOBUF has no {part} within lists and maps; put it into a STRUCT"
            )
        };
        let is_repeated = |ty: &SqlType| matches!(ty, SqlType::Array(_) | SqlType::Map(..));
        match ty {
            SqlType::Array(item) if is_repeated(item) => Err(nests(item)),
            SqlType::Array(item) => Ok(format!("repeated {}", self.single(inner, depth, item)?)),
            SqlType::Map(_, value) if is_repeated(value) => Err(nests(value)),
            SqlType::Map(key, value) => {
                let is_key =
                    matches!(**key, SqlType::Boolean | SqlType::Int | SqlType::Bigint | SqlType::Varchar);
                if !is_key {
                    return Err(format!(
                        "column {name} has a map with keys of {key}; those of PROTOBUF are BOOLEAN, INTEGER, BIGINT or STRING"
                    ));
                }
                self.default_names += 1;
                let name = format!("ConnectDefault{}Entry", self.default_names);
                let entry = [("key", &**key), ("value", &**value)];
                self.message(inner, depth + 1, &name, entry.into_iter())?;
                Ok(format!("repeated {name}"))
            }
            _ => {
                let single = self.single(inner, depth, ty)?;
                Ok(match self.nullable {
                    Nullable::Plain => single,
                    Nullable::Optional => format!("optional {single}"),
                    Nullable::Wrapper => self.wrapper(ty).map_or(single, String::from),
                })
            }
        }
    }

    fn import(&mut self, name: &'static str) {
        if !self.imports.contains(&name) {
            self.imports.push(name);
        }
    }

    fn single(&mut self, inner: &mut String, depth: usize, ty: &SqlType) -> Result<String, String> {
        let known = match ty {
            SqlType::Boolean => "bool",
            SqlType::Int => "int32",
            SqlType::Bigint => "int64",
            SqlType::Double => "double",
            SqlType::Varchar => "string",
            SqlType::Bytes => "bytes",
            SqlType::Decimal { .. } => {
                self.import("confluent/type/decimal.proto");
                "confluent.type.Decimal"
            }
            SqlType::Date => {
                self.import("google/type/date.proto");
                "google.type.Date"
            }
            SqlType::Time => {
                self.import("google/type/timeofday.proto");
                "google.type.TimeOfDay"
            }
            SqlType::Timestamp => {
                self.import("google/protobuf/timestamp.proto");
                "google.protobuf.Timestamp"
            }
            SqlType::Struct(fields) => {
                self.default_names += 1;
                let name = format!("ConnectDefault{}", self.default_names);
                self.message(inner, depth + 1, &name, fields.iter().map(|f| (f.name.as_str(), &f.ty)))?;
                return Ok(name);
            }
            SqlType::Array(_) | SqlType::Map(..) => unreachable!("{ty} was refused within another"),
        };
        Ok(known.into())
    }

    fn wrapper(&mut self, ty: &SqlType) -> Option<&'static str> {
        let wrapper = match ty {
            SqlType::Boolean => "google.protobuf.BoolValue",
            SqlType::Int => "google.protobuf.Int32Value",
            SqlType::Bigint => "google.protobuf.Int64Value",
            SqlType::Double => "google.protobuf.DoubleValue",
            SqlType::Varchar => "google.protobuf.StringValue",
            SqlType::Bytes => "google.protobuf.BytesValue",
            _ => return None,
        };
        self.import("google/protobuf/wrappers.proto");
        Some(wrapper)
    }
}

/// A DECIMAL's digits are in the field's options.
fn options(ty: &SqlType, margin: &str) -> String {
    match ty {
        SqlType::Decimal { precision, scale } => {
            let param = |key, value: &u8, comma| {
                format!(
                    "{margin}      {{\n{margin}        value: \"{value}\",\n{margin}        key: \"{key}\"\n\
                         {margin}      }}{comma}\n"
                )
            };
            format!(
                " [(confluent.field_meta) = {{\n{margin}    params: [\n{}{}{margin}    ]\n{margin}  }}]",
                param("precision", precision, ","),
                param("scale", scale, "")
            )
        }
        SqlType::Array(part) => options(part, margin),
        _ => String::new(),
    }
}
