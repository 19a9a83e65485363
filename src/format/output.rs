//! Rows of an answer as text for readers: JSON, CSV, and the cells of the text `table`.
//!
//! DOUBLE is written as JSON messages have it; dates and times as ISO text, unlike in messages.

use super::json::{push_base64, push_double, push_items, push_string};
use super::{base64, numbers, times};
use crate::types::{ColumnDef, SqlType};
use crate::value::Value;
use std::fmt::Write as _;
use std::io;

/// Appends a value as JSON.
pub fn json_value(value: &Value, ty: &SqlType, out: &mut String) {
    match (value, ty) {
        (Value::Null, _) => out.push_str("null"),
        (Value::Varchar(text), _) => push_string(out, text),
        (Value::Bytes(bytes), _) => push_base64(out, bytes),
        (Value::Double(v), _) => push_double(out, *v),
        (Value::Date(_) | Value::Time(_) | Value::Timestamp(_), _) => {
            out.push('"');
            push_scalar(out, value);
            out.push('"');
        }
        (Value::Array(items), SqlType::Array(ty)) => {
            push_items(out, items.iter(), |out, item| json_value(item, ty, out));
        }
        (Value::Map(entries), SqlType::Map(key, ty)) => {
            json_object(entries.iter().map(|(k, v)| (cell(k, key), v, &**ty)), out);
        }
        (Value::Struct(values), SqlType::Struct(fields)) => {
            json_object(fields.iter().zip(values).map(|(f, v)| (&f.name, v, &f.ty)), out);
        }
        _ => push_scalar(out, value),
    }
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

/// A value as it stands in a cell of the text table: NULL as `null`, nested values as JSON.
pub fn cell(value: &Value, ty: &SqlType) -> String {
    let mut out = String::new();
    match value {
        Value::Array(_) | Value::Map(_) | Value::Struct(_) => json_value(value, ty, &mut out),
        scalar => push_scalar(&mut out, scalar),
    }
    out
}

/// A value without parts, unquoted.
fn push_scalar(out: &mut String, value: &Value) {
    let _ = match value {
        Value::Boolean(v) => write!(out, "{v}"),
        Value::Int(v) => write!(out, "{v}"),
        Value::Bigint(v) => write!(out, "{v}"),
        Value::Double(v) => return numbers::push_double(out, *v),
        Value::Decimal(v, scale) => return numbers::push_decimal(out, *v, *scale),
        Value::Varchar(text) => out.write_str(text),
        Value::Bytes(bytes) => return base64::push(out, bytes),
        Value::Date(days) => return times::push_date(out, *days),
        Value::Time(ms) => return times::push_time(out, *ms),
        Value::Timestamp(ms) => return times::push_timestamp(out, *ms),
        Value::Null | Value::Array(_) | Value::Map(_) | Value::Struct(_) => out.write_str("null"),
    };
}

/// Writes rows as CSV with a header; NULL is an empty field.
pub struct CsvWriter<W: io::Write> {
    csv: csv::Writer<W>,
    types: Vec<SqlType>,
}

impl<W: io::Write> CsvWriter<W> {
    pub fn new(out: W, columns: &[ColumnDef]) -> io::Result<CsvWriter<W>> {
        let mut csv = csv::Writer::from_writer(out);
        csv.write_record(columns.iter().map(|c| &c.name))?;
        Ok(CsvWriter { csv, types: columns.iter().map(|c| c.ty.clone()).collect() })
    }

    pub fn row(&mut self, row: &[Value]) -> io::Result<()> {
        let field = |(value, ty): (&Value, &SqlType)| match value {
            Value::Null => String::new(),
            value => cell(value, ty),
        };
        self.csv.write_record(row.iter().zip(&self.types).map(field))?;
        Ok(())
    }

    pub fn flush(&mut self) -> io::Result<()> {
        self.csv.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::StructField;

    fn columns() -> Vec<ColumnDef> {
        let column = |name: &str, ty| ColumnDef { name: name.into(), ty, key: false };
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

    #[test]
    fn csv() {
        let mut out = vec![];
        let mut writer = CsvWriter::new(&mut out, &columns()).unwrap();
        writer.row(&row()).unwrap();
        writer.row(&[Value::Null, Value::Double(1.0), Value::Null, Value::Null]).unwrap();
        writer.flush().unwrap();
        drop(writer);
        let expected = "NAME,PCT,DAY,LOCATION\n\
            \"NCP \"\"Hall\"\", Ings\n\",NaN,2018-02-05,\"{\"\"lat\"\":53.0,\"\"tags\"\":{\"\"a\"\":[1,null]}}\"\n\
            ,1.0,,\n";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
}
