//! Rows of an answer as JSON for readers: as messages have it, but dates and times are ISO text.

pub use super::json::push_string;
use super::json::{push_double, push_items, push_quoted};
use crate::expr::cast;
use crate::time::iso;
use crate::types::{ColumnDef, SqlType};
use crate::value::Value;

/// Appends a value as JSON.
pub fn json_value(value: &Value, ty: &SqlType, out: &mut String) {
    match (value, ty) {
        (Value::Varchar(text), _) => push_string(out, text),
        (Value::Double(v), _) => push_double(out, *v),
        (Value::Bytes(_) | Value::Date(_) | Value::Time(_) | Value::Timestamp(_), _) => {
            push_quoted(out, |out| push_plain(value, out));
        }
        (Value::Array(items), SqlType::Array(ty)) => {
            push_items(out, items.iter(), |out, item| json_value(item, ty, out));
        }
        (Value::Map(entries), SqlType::Map(key, ty)) => {
            json_object(entries.iter().map(|(k, v)| (map_key(k, key), v, &**ty)), out);
        }
        (Value::Struct(values), SqlType::Struct(fields)) => {
            json_object(fields.iter().zip(values).map(|(f, v)| (&f.name, v, &f.ty)), out);
        }
        _ => push_plain(value, out),
    }
}

/// A value without parts, unquoted: as CAST has it but for times.
fn push_plain(value: &Value, out: &mut String) {
    match value {
        Value::Time(ms) => iso::write_time_of_day(*ms, out),
        other => cast::write_text(other, out),
    }
}

/// JSON has texts for keys: those of a plain value, or the JSON of a nested one.
fn map_key(value: &Value, ty: &SqlType) -> String {
    let mut out = String::new();
    match value {
        Value::Array(_) | Value::Map(_) | Value::Struct(_) => json_value(value, ty, &mut out),
        plain => push_plain(plain, &mut out),
    }
    out
}

/// Appends one JSON object with the names of the columns as keys.
pub fn json_row(columns: &[ColumnDef], row: &[Value], out: &mut String) {
    json_object(columns.iter().zip(row).map(|(c, v)| (&c.name, v, &c.ty)), out);
}

fn json_object<'a, K: AsRef<str>>(
    entries: impl Iterator<Item = (K, &'a Value, &'a SqlType)>,
    out: &mut String,
) {
    out.push('{');
    for (i, (key, value, ty)) in entries.enumerate() {
        if i > 0 {
            out.push(',');
        }
        push_string(out, key.as_ref());
        out.push(':');
        json_value(value, ty, out);
    }
    out.push('}');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{Part, StructField};

    fn columns() -> Vec<ColumnDef> {
        let column = |name: &str, ty| ColumnDef { name: name.into(), ty, part: Part::Value };
        let location = vec![
            StructField { name: "lat".into(), ty: SqlType::Double },
            StructField {
                name: "tags".into(),
                ty: SqlType::Map(
                    Box::new(SqlType::Varchar),
                    Box::new(SqlType::Array(Box::new(SqlType::Int))),
                ),
            },
        ];
        vec![
            column("NAME", SqlType::Varchar),
            column("PCT", SqlType::Double),
            column("DAY", SqlType::Date),
            column("LOCATION", SqlType::Struct(location)),
        ]
    }

    fn row() -> Vec<Value> {
        let tags = Value::Map(vec![(Value::text("a"), Value::Array(vec![Value::Int(1), Value::Null]))]);
        vec![
            Value::text("NCP \"Hall\", Ings\n"),
            Value::Double(f64::NAN),
            Value::Date(17567),
            Value::Struct(vec![Value::Double(53.0), tags]),
        ]
    }

    #[test]
    fn json() {
        let mut out = String::new();
        json_row(&columns(), &row(), &mut out);
        let expected = r#"{"NAME":"NCP \"Hall\", Ings\n","PCT":"NaN","DAY":"2018-02-05","LOCATION":{"lat":53.0,"tags":{"a":[1,null]}}}"#;
        assert_eq!(out, expected);
        serde_json::from_str::<serde_json::Value>(&out).unwrap();
    }
}
