//! PROTOBUF: known bytes, written by hand from the specification of the encoding, and what must be refused.

use super::*;
use crate::format::protobuf::{self, FULL_NAME, Nullable};
use crate::registry::protobuf::{Document, path_of};
use prost_reflect::MessageDescriptor;

pub fn message(text: &str) -> MessageDescriptor {
    Document::parse(text, &[]).unwrap().message(&[0]).unwrap()
}

const IMPORTS: &str = r#"syntax = "proto3";
import "google/protobuf/timestamp.proto";
import "google/protobuf/wrappers.proto";
import "google/type/date.proto";
import "google/type/timeofday.proto";
import "confluent/type/decimal.proto";
"#;

const TYPES: &str = "
    enum Colour { NONE = 0; RED = 1; OF_A_LONG_NAME = 2; }
    message Point { int32 x = 1; double Y = 2; Point next = 3; repeated int32 more = 4; }";

/// A message with these fields, and types for them.
fn fields(fields: &str) -> String {
    format!("{IMPORTS} message M {{ {TYPES} {fields} }}")
}

fn reader(text: &str, columns: &str) -> Result<Box<dyn codec::BodyReader>, String> {
    let columns = declared(columns);
    protobuf::reader(&message(text), &columns.iter().collect::<Vec<_>>())
}

/// The value of the field `a` as an answer shows it, or why it has none.
fn read_one(field: &str, column: &str, body: &[u8]) -> String {
    let columns = format!("A {column}");
    let mut reader = reader(&fields(field), &columns).unwrap();
    shown(read_bodies(&mut *reader, &declared(&columns), &[body]).remove(0), &declared(&columns))
}

#[test]
fn known_bytes() {
    let cases: &[(&str, &str, &[u8], &str)] = &[
        ("int32 a = 1;", "INT", &[0x08, 0x96, 0x01], "150"),
        ("int32 a = 1;", "INT", &[0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01], "-1"),
        ("int32 a = 1;", "BIGINT", &[0x08, 0x05], "5"),
        ("int32 a = 1;", "INT", &[], "0"),
        ("optional int32 a = 1;", "INT", &[], "null"),
        ("optional int32 a = 1;", "INT", &[0x08, 0x00], "0"),
        ("sint32 a = 1;", "INT", &[0x08, 0x03], "-2"),
        (
            "sint64 a = 1;",
            "BIGINT",
            &[0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
            "-9223372036854775808",
        ),
        ("uint32 a = 1;", "BIGINT", &[0x08, 0xff, 0xff, 0xff, 0xff, 0x0f], "4294967295"),
        (
            "uint64 a = 1;",
            "BIGINT",
            &[0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
            "-1",
        ),
        ("fixed32 a = 1;", "BIGINT", &[0x0d, 0xff, 0xff, 0xff, 0xff], "4294967295"),
        ("sfixed32 a = 1;", "INT", &[0x0d, 0xff, 0xff, 0xff, 0xff], "-1"),
        ("sfixed64 a = 1;", "BIGINT", &[0x09, 1, 0, 0, 0, 0, 0, 0, 0], "1"),
        ("float a = 1;", "DOUBLE", &[0x0d, 0, 0, 0xc0, 0x3f], "1.5"),
        ("double a = 1;", "DOUBLE", &[0x09, 0, 0, 0, 0, 0, 0, 0xf8, 0xbf], "-1.5"),
        ("bool a = 1;", "BOOLEAN", &[0x08, 0x01], "true"),
        ("bool a = 1;", "BOOLEAN", &[], "false"),
        ("string a = 2;", "VARCHAR", b"\x12\x07testing", r#""testing""#),
        ("string a = 2;", "VARCHAR", b"", r#""""#),
        ("string a = 2;", "VARCHAR", b"\x12\x01\xff", "A: '\u{fffd}' is not valid UTF-8"),
        ("bytes a = 2;", "BYTES", b"\x12\x02\xff\x00", r#""/wA=""#),
        ("string a = 16;", "VARCHAR", b"\x82\x01\x01x", r#""x""#),
        ("Colour a = 1;", "VARCHAR", &[0x08, 0x02], r#""OF_A_LONG_NAME""#),
        ("Colour a = 1;", "VARCHAR", &[], r#""NONE""#),
        ("Colour a = 1;", "VARCHAR", &[0x08, 0x07], r#""UNKNOWN_ENUM_VALUE_Colour_7""#),
        ("Colour a = 1;", "INT", &[0x08, 0x07], "7"),
        // The last one counts; what is not known, or is of another type, does not.
        ("int32 a = 1;", "INT", &[0x08, 0x01, 0x08, 0x02], "2"),
        ("int32 a = 1;", "INT", b"\x78\x01\x08\x01\x72\x01x\x7d\0\0\0\0\x79\0\0\0\0\0\0\0\0", "1"),
        ("int32 a = 1;", "INT", b"\x08\x01\x0a\x01x", "1"),
        ("int32 a = 1;", "INT", b"\x7b\x08\x02\x73\x74\x7c\x08\x01", "1"),
        ("oneof o { int32 a = 1; string b = 2; }", "INT", b"\x08\x01\x12\x01x", "null"),
        ("oneof o { int32 a = 1; string b = 2; }", "INT", b"\x12\x01x\x08\x00", "0"),
        // Lists are packed or not, and go on behind other fields.
        ("repeated int32 a = 1;", "ARRAY<INT>", &[0x0a, 0x03, 0x01, 0x96, 0x01], "[1,150]"),
        (
            "repeated int32 a = 1;",
            "ARRAY<INT>",
            &[0x08, 0x01, 0x10, 0x05, 0x0a, 0x01, 0x02, 0x08, 0x03],
            "[1,2,3]",
        ),
        ("repeated int32 a = 1;", "ARRAY<INT>", &[], "[]"),
        (
            "repeated double a = 1;",
            "ARRAY<DOUBLE>",
            &[0x0a, 0x07, 0, 0, 0, 0, 0, 0, 0],
            "A: the record ends too early",
        ),
        ("repeated string a = 1;", "ARRAY<VARCHAR>", b"\x0a\x01a\x0a\x00", r#"["a",""]"#),
        (
            "repeated Point a = 1;",
            "ARRAY<STRUCT<X INT>>",
            b"\x0a\x02\x08\x01\x0a\x00",
            r#"[{"X":1},{"X":0}]"#,
        ),
        // Entries come in any order, with the value first or none; the last of a key counts.
        (
            "map<string, int32> a = 1;",
            "MAP<VARCHAR,INT>",
            b"\x0a\x05\x0a\x01b\x10\x01\x0a\x05\x10\x02\x0a\x01a\x0a\x03\x0a\x01b",
            r#"{"a":2,"b":0}"#,
        ),
        (
            "map<int32, Point> a = 1;",
            "MAP<INT,STRUCT<X INT>>",
            b"\x0a\x02\x08\x07\x0a\x06\x08\x08\x12\x02\x08\x01",
            r#"{"7":{"X":0},"8":{"X":1}}"#,
        ),
        // Pieces of a message are merged.
        (
            "Point a = 1;",
            "STRUCT<X INT, Y DOUBLE, Z INT>",
            b"\x0a\x02\x08\x01",
            r#"{"X":1,"Y":0.0,"Z":null}"#,
        ),
        (
            "Point a = 1;",
            "STRUCT<X INT, MORE ARRAY<INT>>",
            b"\x0a\x04\x08\x01\x20\x01\x0a\x02\x20\x02\x0a\x02\x08\x03",
            r#"{"X":3,"MORE":[1,2]}"#,
        ),
        (
            "Point a = 1;",
            "STRUCT<NEXT STRUCT<X INT>>",
            b"\x0a\x04\x1a\x02\x08\x01\x0a\x02\x1a\x00",
            r#"{"NEXT":{"X":1}}"#,
        ),
        ("Point a = 1;", "STRUCT<X INT>", b"", "null"),
        ("Point a = 1;", "STRUCT<X INT>", b"\x0a\x00", r#"{"X":0}"#),
        (
            "google.protobuf.Timestamp a = 1;",
            "TIMESTAMP",
            b"\x0a\x04\x08\x01\x10\x01\x0a\x05\x10\xc0\x84\x3d\x78",
            "A: the record ends too early",
        ),
        (
            "google.protobuf.Timestamp a = 1;",
            "TIMESTAMP",
            b"\x0a\x02\x08\x01\x0a\x05\x10\x80\x89\x7a\x00",
            "A: 0 is no number of a field",
        ),
        (
            "google.protobuf.Timestamp a = 1;",
            "TIMESTAMP",
            b"\x0a\x02\x08\x01\x0a\x04\x10\x80\x89\x7a",
            r#""1970-01-01T00:00:01.002""#,
        ),
        (
            "google.protobuf.Timestamp a = 1;",
            "TIMESTAMP",
            b"\x0a\x0b\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
            r#""1969-12-31T23:59:59.000""#,
        ),
        ("google.protobuf.Timestamp a = 1;", "TIMESTAMP", b"", "null"),
        ("google.type.Date a = 1;", "DATE", b"\x0a\x07\x08\xe2\x0f\x10\x02\x18\x05", r#""2018-02-05""#),
        ("google.type.Date a = 1;", "DATE", b"\x0a\x05\x08\xe2\x0f\x10\x02", "A: [2018, 2, 0, 0] is no DATE"),
        ("google.type.TimeOfDay a = 1;", "TIME", b"\x0a\x04\x08\x09\x10\x37", r#""09:55:00""#),
        ("google.type.TimeOfDay a = 1;", "TIME", b"\x0a\x02\x08\x18", "A: [24, 0, 0, 0] is no TIME"),
        (
            "confluent.type.Decimal a = 1;",
            "DECIMAL(4,2)",
            b"\x0a\x08\x0a\x02\x04\xd2\x10\x04\x18\x02",
            r#"12.34"#,
        ),
        ("google.protobuf.Int32Value a = 1;", "INT", b"", "null"),
        ("google.protobuf.Int32Value a = 1;", "INT", b"\x0a\x00", "0"),
        ("google.protobuf.Int32Value a = 1;", "INT", b"\x0a\x02\x08\x05\x0a\x02\x08\x06", "6"),
        ("google.protobuf.StringValue a = 1;", "VARCHAR", b"\x0a\x03\x0a\x01x", r#""x""#),
        (
            "google.protobuf.StringValue a = 1;",
            "STRUCT<VALUE VARCHAR>",
            b"\x0a\x03\x0a\x01x",
            r#"{"VALUE":"x"}"#,
        ),
        // What is no message at all.
        ("int32 a = 1;", "INT", &[0x00], ": 0 is no number of a field"),
        ("int32 a = 1;", "INT", &[0x0f], "A: 7 is no type of a field's bytes"),
        ("int32 a = 1;", "INT", &[0x7c], ": a group ends that did not begin"),
        ("int32 a = 1;", "INT", &[0x7b], ": the record ends too early"),
        ("int32 a = 1;", "INT", &[0x08], "A: the record ends too early"),
        ("string a = 1;", "VARCHAR", b"\x0a\x05ab", "A: the record ends too early"),
        (
            "string a = 1;",
            "VARCHAR",
            b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
            "A: the record ends too early",
        ),
        ("int32 a = 1;", "INT", &[0x7b; 1_000], ": the record nests more than 128 groups deep"),
    ];
    for (field, column, body, expected) in cases {
        assert_eq!(&read_one(field, column, body), expected, "{field} {column} {body:?}");
    }
}

#[test]
fn what_an_absent_field_of_proto2_stands_for() {
    let text = r#"syntax = "proto2"; message M {
        optional int32 a = 1 [default = 5]; optional string b = 2 [default = "longer than in a view"];
        optional int32 c = 3; required bytes d = 4; repeated int32 e = 5; }"#;
    let columns = "A INT, B VARCHAR, C INT, D BYTES, E ARRAY<INT>";
    let mut reader = reader(text, columns).unwrap();
    let row = vec![
        Value::Int(5),
        Value::text("longer than in a view"),
        Value::Int(0),
        Value::Bytes([].into()),
        Value::Array(vec![Value::Int(1), Value::Int(2)]),
    ];
    assert_eq!(read_bodies(&mut *reader, &declared(columns), &[b"\x2a\x02\x01\x02"]), [Ok(row)]);
}

#[test]
fn what_cannot_become_the_column_is_refused_at_once() {
    let cases = [
        ("int64 a = 1;", "INT", "column A is INTEGER, which int64 cannot become"),
        ("string a = 1;", "DATE", "column A is DATE, which string cannot become"),
        ("Point a = 1;", "INT", "column A is INTEGER, which M.Point cannot become"),
        ("Point a = 1;", "STRUCT<X VARCHAR>", "column A->X is STRING, which int32 cannot become"),
        ("repeated int32 a = 1;", "INT", "column A is INTEGER, which repeated int32 cannot become"),
        (
            "map<string, int32> a = 1;",
            "ARRAY<INT>",
            "column A is ARRAY<INTEGER>, which map<string, int32> cannot become",
        ),
        ("int32 a = 1;", "ARRAY<INT>", "column A is ARRAY<INTEGER>, which int32 cannot become"),
    ];
    for (field, column, expected) in cases {
        assert_eq!(reader(&fields(field), &format!("A {column}")).err().unwrap(), expected);
    }
}

#[test]
fn messages_are_found_by_path_and_name() {
    let text = r#"syntax = "proto3"; package p;
        message A { map<string, int32> m = 1; message B { } message C { message D { int32 x = 1; } } } message E { }"#;
    let document = Document::parse(text, &[]).unwrap();
    for (path, name) in [(&[0][..], "p.A"), (&[1], "p.E"), (&[0, 1], "p.A.C"), (&[0, 1, 0], "p.A.C.D")] {
        let message = document.message(path).unwrap();
        assert_eq!((message.full_name(), path_of(&message)), (name, path.to_vec()));
        assert_eq!(document.message_named(name), Some(message));
    }
    assert!(document.message(&[2]).is_none() && document.message(&[]).is_none());
}

const COLUMNS: &str = "ID INT, S STRUCT<D DECIMAL(4,2), P STRUCT<T VARCHAR>>, L ARRAY<STRUCT<X BIGINT>>, \
    M MAP<BIGINT, DATE>, T TIME, TS TIMESTAMP, B BYTES, F DOUBLE, O BOOLEAN";

#[test]
fn schemas_of_columns() {
    let columns = declared(COLUMNS);
    let refs: Vec<_> = columns.iter().collect();
    let text = protobuf::schema_text(&refs, FULL_NAME, Nullable::Optional).unwrap();
    let expected = r#"syntax = "proto3";

import "confluent/type/decimal.proto";
import "google/protobuf/timestamp.proto";
import "google/type/date.proto";
import "google/type/timeofday.proto";

message ConnectDefault1 {
  optional int32 ID = 1;
  optional ConnectDefault2 S = 2;
  repeated ConnectDefault4 L = 3;
  repeated ConnectDefault5Entry M = 4;
  optional google.type.TimeOfDay T = 5;
  optional google.protobuf.Timestamp TS = 6;
  optional bytes B = 7;
  optional double F = 8;
  optional bool O = 9;

  message ConnectDefault2 {
    optional confluent.type.Decimal D = 1 [(confluent.field_meta) = {
      params: [
        {
          value: "4",
          key: "precision"
        },
        {
          value: "2",
          key: "scale"
        }
      ]
    }];
    optional ConnectDefault3 P = 2;

    message ConnectDefault3 {
      optional string T = 1;
    }
  }
  message ConnectDefault4 {
    optional int64 X = 1;
  }
  message ConnectDefault5Entry {
    optional int64 key = 1;
    optional google.type.Date value = 2;
  }
}
"#;
    assert_eq!(text, expected);
    for nullable in [Nullable::Plain, Nullable::Optional, Nullable::Wrapper] {
        let text = protobuf::schema_text(&refs, "a.b.Row", nullable).unwrap();
        assert!(text.contains("package a.b;") && text.contains("message ConnectDefault1 {"), "{text}");
        let message = message(&text);
        assert_eq!(message.full_name(), "a.b.Row");
        assert_eq!(
            protobuf::columns_of(&message, false, codec::Inference::default()).unwrap().columns,
            columns
        );
    }
    for (columns, expected) in [
        (
            "A ARRAY<ARRAY<INT>>",
            "column A is ARRAY<ARRAY<INTEGER>>: PROTOBUF has no ARRAY<INTEGER> within lists",
        ),
        ("A MAP<DOUBLE, INT>", "column A has a map with keys of DOUBLE; those of PROTOBUF are"),
        ("`a b` INT", "column a b: a name in PROTOBUF has letters, digits and _ only"),
    ] {
        let fault = protobuf::schema_text(&[&declared(columns)[0]], FULL_NAME, Nullable::Plain).unwrap_err();
        assert!(fault.starts_with(expected), "{fault}");
    }
}

#[test]
fn maps_are_entries_with_a_key_and_a_value() {
    let entries = |name: &str, parts: &str| {
        message(&format!(
            "syntax = \"proto3\"; message A {{ repeated {name} m = 1; message {name} {{ {parts} }} }}"
        ))
    };
    let columns = declared("M MAP<VARCHAR, INT>");
    let map = |key: &str, value| vec![Value::Map(vec![(Value::text(key), value)])];
    let plain = entries("Pair", "string key = 1; int32 value = 2;");
    let optional = entries("Pair", "optional string key = 1; optional int32 value = 2;");
    for (message, absent) in [(&plain, Value::Int(0)), (&optional, Value::Null)] {
        let mut reader = protobuf::reader(message, &[&columns[0]]).unwrap();
        let bodies = [&b"\x0a\x05\x0a\x01a\x10\x07"[..], b"\x0a\x02\x10\x07", b"\x0a\x03\x0a\x01a"];
        let read = read_bodies(&mut *reader, &columns, &bodies);
        let expected = [map("a", Value::Int(7)), map("", Value::Int(7)), map("a", absent)];
        assert_eq!(read, expected.map(Ok));
    }
    let written = |message| {
        let mut writer = protobuf::writer(message, &[&columns[0]]).unwrap();
        write_bodies(&mut writer, &columns, &[map("a", Value::Int(7)), map("a", Value::Null)])
    };
    let [known, null] = <[_; 2]>::try_from(written(&optional)).unwrap();
    assert_eq!(known, Ok(b"\x0a\x05\x0a\x01a\x10\x07".to_vec()));
    assert_eq!(null, Ok(b"\x0a\x03\x0a\x01a".to_vec()));
    assert_eq!(written(&plain)[0], known);
    assert!(written(&plain)[1].is_err());

    // Only Connect's names say that a list of entries is a map; a column may say it of any.
    let shown = |message| protobuf::columns_of(&message, false, codec::Inference::default()).unwrap().columns;
    let ty = |name: &str, parts: &str| shown(entries(name, parts))[0].ty.to_string();
    assert_eq!(ty("ConnectDefault12Entry", "int64 key = 1; string value = 2;"), "MAP<BIGINT, STRING>");
    assert_eq!(ty("Pair", "int64 key = 1; string value = 2;"), "ARRAY<STRUCT<KEY BIGINT, VALUE STRING>>");
    assert_eq!(ty("ConnectDefaultEntry", "int64 key = 1;"), "ARRAY<STRUCT<KEY BIGINT>>");
}

#[test]
fn columns_of_messages() {
    let of = |field: &str| protobuf::columns_of(&message(&fields(field)), false, codec::Inference::default());
    let text = "uint32 a = 3; Colour b = 1; google.protobuf.UInt64Value c = 2; repeated float d = 9; map<bool, bytes> e = 8;";
    let columns = of(text).unwrap().columns;
    let shown: Vec<String> = columns.iter().map(|c| format!("{} {}", c.name, c.ty)).collect();
    assert_eq!(shown, ["A BIGINT", "B STRING", "C BIGINT", "D ARRAY<DOUBLE>", "E MAP<BOOLEAN, BYTES>"]);
    let fault = of("confluent.type.Decimal a = 1;").unwrap_err();
    assert!(fault.starts_with("field a is confluent.type.Decimal without a precision"), "{fault}");
    // Connect's decimals say their digits by an option whose file they do not import.
    let text = "syntax = \"proto3\"; import \"confluent/type/decimal.proto\"; message A { confluent.type.Decimal \
                d = 1 [(confluent.field_meta) = { params: [{ value: \"5\", key: \"precision\" }, { value: \"2\", \
                key: \"scale\" }] }]; }";
    let inferred = protobuf::columns_of(&message(text), false, codec::Inference::as_written()).unwrap();
    assert_eq!(format!("{} {}", inferred.columns[0].name, inferred.columns[0].ty), "d DECIMAL(5, 2)");
    assert!(of("Point a = 1;").unwrap_err().starts_with("field a->next->next"));
}

#[test]
fn known_bytes_are_written() {
    type Expected = Result<&'static [u8], &'static str>;
    let cases: &[(&str, &str, Value, Expected)] = &[
        ("int32 a = 1;", "INT", Value::Int(150), Ok(&[0x08, 0x96, 0x01])),
        (
            "int32 a = 1;",
            "INT",
            Value::Int(-1),
            Ok(&[0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01]),
        ),
        ("int32 a = 1;", "INT", Value::Int(0), Ok(&[])),
        ("int32 a = 1;", "INT", Value::Null, Ok(&[])),
        ("optional int32 a = 1;", "INT", Value::Int(0), Ok(&[0x08, 0x00])),
        ("optional int32 a = 1;", "INT", Value::Null, Ok(&[])),
        ("sint32 a = 1;", "INT", Value::Int(-2), Ok(&[0x08, 0x03])),
        ("sfixed32 a = 1;", "INT", Value::Int(-2), Ok(&[0x0d, 0xfe, 0xff, 0xff, 0xff])),
        ("double a = 1;", "DOUBLE", Value::Double(-0.0), Ok(&[0x09, 0, 0, 0, 0, 0, 0, 0, 0x80])),
        ("double a = 1;", "DOUBLE", Value::Double(0.0), Ok(&[])),
        ("float a = 1;", "DOUBLE", Value::Double(1.5), Ok(&[0x0d, 0, 0, 0xc0, 0x3f])),
        ("float a = 1;", "DOUBLE", Value::Double(0.0), Ok(&[])),
        ("float a = 1;", "DOUBLE", Value::Double(-1e300), Err("A: -1.0E300 does not fit the schema's float")),
        ("string a = 1;", "VARCHAR", Value::text("\0"), Ok(b"\x0a\x01\0")),
        ("string a = 1;", "VARCHAR", Value::text(""), Ok(&[])),
        ("Colour a = 1;", "VARCHAR", Value::text("RED"), Ok(&[0x08, 0x01])),
        ("Colour a = 1;", "VARCHAR", Value::text("BLUE"), Err("A: the enum has no 'BLUE'")),
        ("google.protobuf.Int32Value a = 1;", "INT", Value::Int(0), Ok(&[0x0a, 0x00])),
        ("google.type.Date a = 1;", "DATE", Value::Date(17567), Ok(b"\x0a\x07\x08\xe2\x0f\x10\x02\x18\x05")),
        (
            "confluent.type.Decimal a = 1;",
            "DECIMAL(4,2)",
            Value::Decimal(-1, 2),
            Ok(b"\x0a\x07\x0a\x01\xff\x10\x04\x18\x02"),
        ),
        (
            "repeated int32 a = 1;",
            "ARRAY<INT>",
            Value::Array(vec![Value::Int(1), Value::Int(2)]),
            Ok(&[0x0a, 2, 1, 2]),
        ),
        (
            "repeated int32 a = 1 [packed = false];",
            "ARRAY<INT>",
            Value::Array(vec![Value::Int(1)]),
            Ok(&[0x08, 1]),
        ),
        ("repeated int32 a = 1;", "ARRAY<INT>", Value::Array(vec![]), Ok(&[])),
        (
            "repeated int32 a = 1;",
            "ARRAY<INT>",
            Value::Array(vec![Value::Null]),
            Err("A: it holds a NULL, which lists and maps of PROTOBUF cannot"),
        ),
        (
            "map<int32, string> a = 1;",
            "MAP<INT,VARCHAR>",
            Value::Map(vec![(Value::Int(0), Value::text(""))]),
            Ok(&[0x0a, 4, 8, 0, 0x12, 0]),
        ),
    ];
    for (field, column, value, expected) in cases {
        let columns = declared(&format!("A {column}"));
        let mut writer = protobuf::writer(&message(&fields(field)), &[&columns[0]]).unwrap();
        let written = write_bodies(&mut writer, &columns, &[vec![value.clone()]]).remove(0);
        assert_eq!(written.as_deref().map_err(String::as_str), *expected, "{field}");
    }
    let columns = declared("A INT, B VARCHAR");
    let text = fields("oneof o { int32 a = 1; string b = 2; }");
    let fault = protobuf::writer(&message(&text), &[&columns[0], &columns[1]]).err().unwrap();
    assert_eq!(fault, "column B: the oneof o holds one value, and another column has it");
}

#[test]
fn deep_schemas_are_refused_or_read() {
    let nested = |depth: usize| {
        let open = (0..depth).map(|i| format!("message M{i} {{ ")).collect::<String>();
        format!("syntax = \"proto3\"; {open} int32 a = 1; {}", "} ".repeat(depth))
    };
    assert!(Document::parse(&nested(10), &[]).is_ok());
    assert!(Document::parse(&nested(100_000), &[]).is_err());
    // Each message has the one before in two fields: 2^200 columns.
    let chain = |i: usize| match i {
        0 => "message M0 { int32 a = 1; }".to_string(),
        _ => format!("message M{i} {{ M{0} a = 1; M{0} b = 2; }}", i - 1),
    };
    let text: String = (0..200).map(chain).collect();
    let document = Document::parse(&format!("syntax = \"proto3\"; {text}"), &[]).unwrap();
    let fault = protobuf::columns_of(&document.message(&[199]).unwrap(), false, codec::Inference::default())
        .unwrap_err();
    assert!(fault.contains("nests too deeply or is too large"), "{fault}");
    assert!(
        protobuf::columns_of(&document.message(&[50]).unwrap(), false, codec::Inference::default()).is_err()
    );
}
