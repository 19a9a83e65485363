//! Values → text, as the dialect shows them.

use crate::expr::node::Kernel1;
use crate::expr::texts::Texts;
use crate::number_text;
use crate::time::iso;
use crate::types::SqlType;
use crate::value::Value;
use arrow_array::cast::AsArray;
use arrow_array::types::*;
use arrow_array::{Array, ArrowPrimitiveType};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

pub(super) fn kernel(from: &SqlType) -> Option<Kernel1> {
    Some(match from {
        SqlType::Boolean => by_row(|array, row, out| {
            out.push_str(if array.as_boolean().value(row) { "true" } else { "false" })
        }),
        SqlType::Int => values::<Int32Type>(|v, out| number_text::write_integer(v as i64, out)),
        SqlType::Bigint => values::<Int64Type>(number_text::write_integer),
        SqlType::Double => values::<Float64Type>(number_text::write_double),
        SqlType::Decimal { scale, .. } => {
            let scale = *scale;
            values::<Decimal128Type>(move |v, out| number_text::write_decimal(v, scale, out))
        }
        SqlType::Bytes => by_row(|array, row, out| {
            STANDARD.encode_string(array.as_binary_view().value(row), out);
        }),
        SqlType::Date => values::<Date32Type>(iso::write_date),
        SqlType::Time => values::<Time32MillisecondType>(iso::write_time),
        SqlType::Timestamp => values::<TimestampMillisecondType>(iso::write_timestamp),
        SqlType::Varchar => return None,
        SqlType::Array(_) | SqlType::Map(..) => {
            by_row(|array, row, out| write_value(&Value::at(array, row), None, out))
        }
        SqlType::Struct(_) => {
            let ty = from.clone();
            by_row(move |array, row, out| write_value(&Value::at(array, row), Some(&ty), out))
        }
    })
}

fn values<P: ArrowPrimitiveType>(write: impl Fn(P::Native, &mut String) + 'static) -> Kernel1 {
    by_row(move |array, row, out| write(array.as_primitive::<P>().value(row), out))
}

fn by_row(write: impl Fn(&dyn Array, usize, &mut String) + 'static) -> Kernel1 {
    Box::new(move |array, _| {
        let mut texts = Texts::with_capacity(array.len(), 0);
        let mut text = String::new();
        for row in 0..array.len() {
            if array.is_null(row) {
                texts.skip();
            } else {
                text.clear();
                write(array, row, &mut text);
                texts.push(&text);
            }
        }
        texts.strings(array.nulls().cloned())
    })
}

/// One value as CAST … AS STRING shows it.
pub fn text(value: &Value) -> String {
    let mut out = String::new();
    write_text(value, &mut out);
    out
}

/// Appends what [`text`] returns.
pub fn write_text(value: &Value, out: &mut String) {
    write_value(value, None, out);
}

/// Nested values look as Java prints them: `[1, 2]`, `{k=v}`, `Struct{A=1,B=2}`.
fn write_value(value: &Value, ty: Option<&SqlType>, out: &mut String) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Boolean(v) => out.push_str(if *v { "true" } else { "false" }),
        Value::Int(v) => number_text::write_integer(*v as i64, out),
        Value::Bigint(v) => number_text::write_integer(*v, out),
        Value::Double(v) => number_text::write_double(*v, out),
        Value::Decimal(digits, scale) => number_text::write_decimal(*digits, *scale, out),
        Value::Varchar(v) => out.push_str(v),
        Value::Bytes(v) => STANDARD.encode_string(v, out),
        Value::Date(v) => iso::write_date(*v, out),
        Value::Time(v) => iso::write_time(*v, out),
        Value::Timestamp(v) => iso::write_timestamp(*v, out),
        Value::Array(items) => {
            out.push('[');
            for (i, item) in items.iter().enumerate() {
                out.push_str(if i > 0 { ", " } else { "" });
                write_value(item, None, out);
            }
            out.push(']');
        }
        Value::Map(entries) => {
            out.push('{');
            for (i, (key, value)) in entries.iter().enumerate() {
                out.push_str(if i > 0 { ", " } else { "" });
                write_value(key, None, out);
                out.push('=');
                write_value(value, None, out);
            }
            out.push('}');
        }
        Value::Struct(fields) => write_struct(fields, ty, out),
    }
}

fn write_struct(fields: &[Value], ty: Option<&SqlType>, out: &mut String) {
    let names = match ty {
        Some(SqlType::Struct(fields)) => Some(fields),
        _ => None,
    };
    out.push_str("Struct{");
    let mut first = true;
    for (i, value) in fields.iter().enumerate().filter(|(_, v)| !v.is_null()) {
        out.push_str(if first { "" } else { "," });
        first = false;
        let field = names.and_then(|names| names.get(i));
        if let Some(field) = field {
            out.push_str(&field.name);
            out.push('=');
        }
        write_value(value, field.map(|f| &f.ty), out);
    }
    out.push('}');
}
