//! A case a rule, in both directions.

use super::*;
use crate::registry::model::{Kind, Schema};
use std::sync::Arc;

fn document(text: &str) -> Document {
    Document::parse(text, &[]).unwrap_or_else(|e| panic!("{text}: {e}"))
}

fn rules(reader: &str, writer: &str) -> String {
    let found = read(&document(reader), &document(writer));
    found.iter().map(|i| format!("{}@{}", i.rule, i.path)).collect::<Vec<_>>().join(" ")
}

fn check(a: &str, b: &str, a_reads_b: &str, b_reads_a: &str) {
    assert_eq!(rules(a, b), a_reads_b, "{a} reads {b}");
    assert_eq!(rules(b, a), b_reads_a, "{b} reads {a}");
    for same in [a, b] {
        assert_eq!(rules(same, same), "", "{same} reads itself");
    }
}

/// A message with these fields, beside another one and an enum.
fn proto3(fields: &str) -> String {
    format!(
        "syntax = \"proto3\"; message M {{ {fields} }} message N {{ int32 x = 1; }} enum E {{ A = 0; B = 1; }}"
    )
}

fn proto2(fields: &str) -> String {
    format!("syntax = \"proto2\"; message M {{ {fields} }}")
}

#[test]
fn fields_of_one_number() {
    let scalar = "FIELD_SCALAR_KIND_CHANGED@M.f";
    let kind = "FIELD_KIND_CHANGED@M.f";
    let label = "FIELD_NUMERIC_LABEL_CHANGED@M.f";
    let cases = [
        ("int32 f = 1;", "int64 f = 1;", ""),
        ("int32 f = 1;", "uint64 f = 1;", ""),
        ("bool f = 1;", "int32 f = 1;", ""),
        ("E f = 1;", "int32 f = 1;", ""),
        ("sint32 f = 1;", "sint64 f = 1;", ""),
        ("sint32 f = 1;", "int32 f = 1;", scalar),
        ("fixed32 f = 1;", "sfixed32 f = 1;", ""),
        ("fixed64 f = 1;", "sfixed64 f = 1;", ""),
        ("fixed32 f = 1;", "fixed64 f = 1;", scalar),
        ("float f = 1;", "double f = 1;", scalar),
        ("string f = 1;", "bytes f = 1;", ""),
        ("string f = 1;", "int32 f = 1;", scalar),
        ("string f = 1;", "N f = 1;", kind),
        ("M f = 1;", "N f = 1;", "FIELD_NAMED_TYPE_CHANGED@M.f"),
        ("map<string, int32> f = 1;", "map<string, int64> f = 1;", ""),
        ("map<string, int32> f = 1;", "map<string, string> f = 1;", "FIELD_SCALAR_KIND_CHANGED@M.f.value"),
        ("map<string, int32> f = 1;", "N f = 1;", kind),
        ("repeated int32 f = 1;", "int32 f = 1;", label),
        ("repeated string f = 1;", "string f = 1;", ""),
        ("repeated N f = 1;", "N f = 1;", ""),
        ("optional int32 f = 1;", "int32 f = 1;", ""),
    ];
    for (a, b, found) in cases {
        check(&proto3(a), &proto3(b), found, found);
    }
    let renamed = rules(&proto3("int32 g = 1;"), &proto3("int32 f = 1;"));
    assert_eq!(renamed, "", "a field's name does not travel");
}

#[test]
fn fields_come_and_go() {
    check(&proto3("int32 f = 1; string g = 2;"), &proto3("int32 f = 1;"), "", "");
    let added = ("REQUIRED_FIELD_ADDED@M.g", "REQUIRED_FIELD_REMOVED@M.g");
    let one = "optional int32 f = 1;";
    check(&proto2(&format!("{one} required int32 g = 2;")), &proto2(one), added.0, added.1);
    check(&proto2("required int32 f = 1;"), &proto2(one), "REQUIRED_FIELD_ADDED@M.f", "");
}

#[test]
fn oneofs() {
    let apart = "int32 a = 1; int32 b = 2;";
    let both = "oneof o { int32 a = 1; int32 b = 2; }";
    check(&proto3(both), &proto3(apart), "MULTIPLE_FIELDS_MOVED_TO_ONEOF@M.o", "");
    check(&proto3("oneof o { int32 a = 1; } int32 b = 2;"), &proto3(apart), "", "");
    check(
        &proto3(both),
        &proto3("oneof o { int32 a = 1; } int32 b = 2;"),
        "FIELD_MOVED_TO_EXISTING_ONEOF@M.b",
        "ONEOF_FIELD_REMOVED@M.b",
    );
    check(&proto3(both), &proto3("oneof o { int32 a = 1; }"), "", "ONEOF_FIELD_REMOVED@M.b");
    check(&proto3(both), &proto3("oneof p { int32 a = 1; int32 b = 2; }"), "", "");
}

#[test]
fn messages_and_enums() {
    let with = |more: &str| proto3(&format!("int32 f = 1; {more}"));
    check(&with("message I { int32 x = 1; }"), &with(""), "", "MESSAGE_REMOVED@M.I");
    check(
        &with("message I { int32 x = 1; } I g = 2;"),
        &with("message I { string x = 1; } I g = 2;"),
        "FIELD_SCALAR_KIND_CHANGED@M.I.x",
        "FIELD_SCALAR_KIND_CHANGED@M.I.x",
    );
    // Renamed and moved types
    let renamed = "MESSAGE_REMOVED@M.I FIELD_NAMED_TYPE_CHANGED@M.g";
    let found =
        rules(&with("message J { int32 x = 1; } J g = 2;"), &with("message I { int32 x = 1; } I g = 2;"));
    assert_eq!(found, renamed.split(' ').rev().collect::<Vec<_>>().join(" "));
    check(&with("enum F { X = 0; Y = 1; }"), &with("enum F { X = 0; }"), "", "");
    check(&with("enum F { X = 0; Y = 1; }"), &with("enum F { X = 0; Z = 1; }"), "", "");
    let moved = "ENUM_CONST_NUMBER_CHANGED@M.F.Y";
    check(&with("enum F { X = 0; Y = 1; }"), &with("enum F { X = 0; Y = 2; }"), moved, moved);
    let tree = |ty: &str| proto3(&format!("{ty} v = 1; repeated M children = 2;"));
    check(&tree("int32"), &tree("float"), "FIELD_SCALAR_KIND_CHANGED@M.v", "FIELD_SCALAR_KIND_CHANGED@M.v");
    let package = |name: &str| format!("syntax = \"proto3\"; package {name}; message M {{ int32 f = 1; }}");
    check(&package("a"), &package("b"), "PACKAGE_CHANGED@/", "PACKAGE_CHANGED@/");
}

#[test]
fn equal_texts_are_found_and_bad_ones_refused() {
    let text = proto3("int32 f = 1; // how many");
    let text = text.replace("// how many", "/* how many */\n");
    assert_eq!(document(&text).canonical(), document(&proto3("int32   f = 1;")).canonical());
    assert_eq!(document(&document(&text).canonical()).canonical(), document(&text).canonical());
    let bad = [
        "",
        "syntax = \"proto3\";",
        "message {",
        "syntax = \"proto3\"; message M { Unknown f = 1; }",
        "syntax = \"proto3\"; message M { int32 f = 1; int32 g = 1; }",
        "syntax = \"proto3\"; import \"other.proto\"; message M { }",
        "{\"type\":\"string\"}",
    ];
    for text in bad {
        let error = Document::parse(text, &[]).err();
        assert!(error.is_some_and(|e| !e.is_empty()), "{text}");
    }
}

#[test]
fn imports_are_references_or_known_everywhere() {
    let other = "syntax = \"proto3\"; package o; message O { int32 x = 1; }";
    let needed = [("other.proto".to_string(), Arc::new(Schema::new(Kind::Protobuf, other)))];
    let text = "syntax = \"proto3\"; import \"other.proto\"; import \"google/protobuf/timestamp.proto\";
                import \"confluent/meta.proto\"; import \"confluent/type/decimal.proto\";
                message M { o.O o = 1; google.protobuf.Timestamp at = 2; confluent.type.Decimal d = 3; }";
    if let Err(e) = Document::parse(text, &needed) {
        panic!("{e}");
    }
    let changed = other.replace("int32", "string");
    let changed = [("other.proto".to_string(), Arc::new(Schema::new(Kind::Protobuf, changed)))];
    let (Ok(a), Ok(b)) = (Document::parse(text, &needed), Document::parse(text, &changed)) else { panic!() };
    let found: Vec<_> = read(&a, &b).iter().map(|i| i.path.clone()).collect();
    assert_eq!(found, ["M.o.x"]);
}
