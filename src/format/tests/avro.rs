//! AVRO: known bytes, written by hand from Avro's specification, and what must be refused.

use super::*;
use crate::format::avro;
use crate::registry::avro::Document;

fn document(text: &str) -> Document {
    Document::parse(text, &[]).unwrap()
}

/// A schema with one field.
fn field(ty: &str) -> String {
    format!(r#"{{"type":"record","name":"R","fields":[{{"name":"A","type":{ty}}}]}}"#)
}

fn read_all(schema: &str, columns: &str, bodies: &[&[u8]]) -> Vec<Result<Row, String>> {
    let columns = declared(columns);
    let mut reader = avro::reader(&document(schema), &columns.iter().collect::<Vec<_>>(), false).unwrap();
    read_bodies(&mut *reader, &columns, bodies)
}

fn read_one(ty: &str, column: &str, body: &[u8]) -> Result<Value, String> {
    read_all(&field(ty), &format!("A {column}"), &[body]).remove(0).map(|mut row| row.remove(0))
}

#[test]
fn known_bytes() {
    let text = |text| Ok(Value::text(text));
    let cases: &[(&str, &str, &[u8], Result<Value, String>)] = &[
        ("\"int\"", "INT", &[0x01], Ok(Value::Int(-1))),
        ("\"int\"", "INT", &[0xff, 0xff, 0xff, 0xff, 0x0f], Ok(Value::Int(i32::MIN))),
        ("\"long\"", "BIGINT", &[0x80, 0x01], Ok(Value::Bigint(64))),
        ("\"int\"", "BIGINT", &[0x7f], Ok(Value::Bigint(-64))),
        ("\"string\"", "VARCHAR", b"\x06foo", text("foo")),
        ("[\"null\",\"string\"]", "VARCHAR", b"\x02\x02a", text("a")),
        ("[\"null\",\"string\"]", "VARCHAR", &[0x00], Ok(Value::Null)),
        ("\"boolean\"", "BOOLEAN", &[1], Ok(Value::Boolean(true))),
    ];
    for (ty, column, body, expected) in cases {
        assert_eq!(&read_one(ty, column, body), expected, "{ty} {column} {body:?}");
    }
}
