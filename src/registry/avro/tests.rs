//! A case a rule, in both directions: what the first schema says of data of the second, and the reverse.

use super::*;
use crate::registry::model::Schema;
use std::sync::Arc;

fn document(text: &str) -> Document {
    Document::parse(text, &[]).unwrap_or_else(|e| panic!("{text}: {e}"))
}

fn rules(reader: &str, writer: &str) -> String {
    let found = read(&document(reader), &document(writer));
    found.iter().map(|i| format!("{}@{}", i.rule, i.path)).collect::<Vec<_>>().join(" ")
}

fn record(fields: &str) -> String {
    format!(r#"{{"type":"record","name":"R","fields":[{fields}]}}"#)
}

/// A record with one field of this type.
fn of(ty: &str) -> String {
    record(&format!(r#"{{"name":"f","type":{ty}}}"#))
}

fn check(a: &str, b: &str, a_reads_b: &str, b_reads_a: &str) {
    assert_eq!(rules(a, b), a_reads_b, "{a} reads {b}");
    assert_eq!(rules(b, a), b_reads_a, "{b} reads {a}");
    for same in [a, b] {
        assert_eq!(rules(same, same), "", "{same} reads itself");
    }
}

#[test]
fn types_of_a_field() {
    let mismatch = "TYPE_MISMATCH@R.f";
    let cases = [
        (r#""long""#, r#""int""#, "", mismatch),
        (r#""float""#, r#""int""#, "", mismatch),
        (r#""double""#, r#""int""#, "", mismatch),
        (r#""float""#, r#""long""#, "", mismatch),
        (r#""double""#, r#""long""#, "", mismatch),
        (r#""double""#, r#""float""#, "", mismatch),
        (r#""string""#, r#""bytes""#, "", ""),
        (r#""string""#, r#""int""#, mismatch, mismatch),
        (r#""boolean""#, r#""int""#, mismatch, mismatch),
        (
            r#"{"type":"array","items":"long"}"#,
            r#"{"type":"array","items":"int"}"#,
            "",
            "TYPE_MISMATCH@R.f[]",
        ),
        (r#"{"type":"map","values":"long"}"#, r#"{"type":"map","values":"int"}"#, "", "TYPE_MISMATCH@R.f{}"),
        (r#"{"type":"map","values":"int"}"#, r#"{"type":"array","items":"int"}"#, mismatch, mismatch),
        // Unions
        (r#"["null","int"]"#, r#""int""#, "", "MISSING_UNION_BRANCH@R.f"),
        (r#"["null","long"]"#, r#"["null","int"]"#, "", "MISSING_UNION_BRANCH@R.f"),
        (r#"["null","int","string"]"#, r#"["null","int"]"#, "", "MISSING_UNION_BRANCH@R.f"),
        (r#"["int"]"#, r#""int""#, "", ""),
        (r#""double""#, r#"["int","long"]"#, "", "MISSING_UNION_BRANCH@R.f"),
        // Logical types
        (
            r#"{"type":"bytes","logicalType":"decimal","precision":9,"scale":2}"#,
            r#"{"type":"bytes","logicalType":"decimal","precision":9,"scale":3}"#,
            "DECIMAL_MISMATCH@R.f",
            "DECIMAL_MISMATCH@R.f",
        ),
        (r#"{"type":"bytes","logicalType":"decimal","precision":9}"#, r#""bytes""#, "", ""),
        (
            r#"{"type":"long","logicalType":"timestamp-millis"}"#,
            r#"{"type":"int","logicalType":"date"}"#,
            "",
            mismatch,
        ),
        (r#"{"type":"long","logicalType":"timestamp-millis"}"#, r#""long""#, "", ""),
        // Fixed
        (
            r#"{"type":"fixed","name":"F","size":4}"#,
            r#"{"type":"fixed","name":"F","size":8}"#,
            "FIXED_SIZE_MISMATCH@R.f",
            "FIXED_SIZE_MISMATCH@R.f",
        ),
        (
            r#"{"type":"fixed","name":"F","size":4}"#,
            r#"{"type":"fixed","name":"G","size":4}"#,
            "NAME_MISMATCH@R.f",
            "NAME_MISMATCH@R.f",
        ),
        (r#"{"type":"fixed","name":"F","size":4}"#, r#""bytes""#, mismatch, mismatch),
        // Enums
        (
            r#"{"type":"enum","name":"E","symbols":["A","B","C"]}"#,
            r#"{"type":"enum","name":"E","symbols":["B","A"]}"#,
            "",
            "MISSING_ENUM_SYMBOLS@R.f",
        ),
        (
            r#"{"type":"enum","name":"E","symbols":["A","B"]}"#,
            r#"{"type":"enum","name":"E","symbols":["A"],"default":"A"}"#,
            "",
            "",
        ),
    ];
    for (a, b, a_reads_b, b_reads_a) in cases {
        check(&of(a), &of(b), a_reads_b, b_reads_a);
    }
}

#[test]
fn fields_of_a_record() {
    let one = r#"{"name":"a","type":"int"}"#;
    let missing = "READER_FIELD_MISSING_DEFAULT_VALUE@R.b";
    let cases = [
        (r#"{"name":"b","type":"int"}"#, missing),
        (r#"{"name":"b","type":"int","default":0}"#, ""),
        (r#"{"name":"b","type":["null","int"],"default":null}"#, ""),
        (r#"{"name":"b","type":["null","int"]}"#, missing),
    ];
    for (added, new_reads_old) in cases {
        check(&record(&format!("{one},{added}")), &record(one), new_reads_old, "");
    }
    let renamed = record(r#"{"name":"b","aliases":["a"],"type":"long"}"#);
    check(&renamed, &record(one), "", "READER_FIELD_MISSING_DEFAULT_VALUE@R.a");
    let reordered = record(r#"{"name":"b","type":"int"},{"name":"a","type":"int"}"#);
    check(&reordered, &record(r#"{"name":"a","type":"int"},{"name":"b","type":"int"}"#), "", "");
}

#[test]
fn names_match_without_namespaces_or_by_alias() {
    let named = |attributes: &str| format!(r#"{{"type":"record",{attributes},"fields":[]}}"#);
    let cases = [
        (r#""name":"R""#, r#""name":"x.R""#, "", ""),
        (r#""name":"R","namespace":"y""#, r#""name":"x.R""#, "", ""),
        (r#""name":"R""#, r#""name":"S""#, "NAME_MISMATCH@R", "NAME_MISMATCH@S"),
        (r#""name":"R","aliases":["S"]"#, r#""name":"S""#, "", "NAME_MISMATCH@S"),
        (r#""name":"x.R","aliases":["S"]"#, r#""name":"x.S""#, "", "NAME_MISMATCH@S"),
    ];
    for (a, b, a_reads_b, b_reads_a) in cases {
        check(&named(a), &named(b), a_reads_b, b_reads_a);
    }
}

#[test]
fn recursive_and_nested_types() {
    let list = |ty: &str| {
        format!(
            r#"{{"type":"record","name":"L","namespace":"n","fields":[{{"name":"v","type":"{ty}"}},
                {{"name":"next","type":["null","L"]}},{{"name":"again","type":["null","n.L"]}}]}}"#
        )
    };
    check(&list("long"), &list("int"), "", "TYPE_MISMATCH@L.v");
    let deep = |ty: &str| {
        of(&format!(
            r#"["null",{}]"#,
            record(&format!(r#"{{"name":"g","type":"{ty}"}}"#)).replace(r#""R""#, r#""S""#)
        ))
    };
    check(&deep("long"), &deep("int"), "", "TYPE_MISMATCH@R.f.g");
}

#[test]
fn equal_texts_are_found_and_bad_ones_refused() {
    let same = [
        r#"{"type":"record","name":"a.R","fields":[{"name":"f","type":{"type":"int"}},{"name":"n","type":["null","a.R"]}]}"#,
        r#"{ "fields": [ {"type": "int", "name": "f"}, {"name":"n","type":["null","R"]} ], "namespace": "a", "name": "R", "type": "record" }"#,
    ];
    assert_eq!(document(same[0]).canonical, document(same[1]).canonical);
    assert_ne!(document(&of(r#""int""#)).canonical, document(&of(r#""long""#)).canonical);
    assert_eq!(document("string").canonical, document(r#"{"type":"string"}"#).canonical);
    let cases = [
        ("{", "not JSON"),
        (r#""strin""#, "there is no type strin"),
        ("7", "7 is no schema"),
        (r#"{"type":"record","name":"R"}"#, "record R needs fields"),
        (r#"{"type":"record","name":"R-x","fields":[]}"#, "`R-x` is no name"),
        (r#"["int",["null"]]"#, "a union cannot hold a union"),
        (r#"["int","int"]"#, "int is twice in the union"),
        (r#"{"type":"enum","name":"E","symbols":["A","A"]}"#, "enum E has symbol A twice"),
        (r#"{"type":"enum","name":"E","symbols":["A"],"default":"B"}"#, "its default B is none"),
        (r#"{"type":"fixed","name":"F"}"#, "fixed F needs a size"),
    ];
    for (text, message) in cases {
        let error = Document::parse(text, &[]).err().unwrap_or_default();
        assert!(error.contains(message), "{text}: {error}");
    }
    let twice = record(r#"{"name":"f","type":"int"},{"name":"f","type":"int"}"#);
    assert_eq!(Document::parse(&twice, &[]).err().as_deref(), Some("record R has field f twice"));
    for (ty, default, is_good) in [
        (r#""int""#, r#""x""#, false),
        (r#""int""#, "3000000000", false),
        (r#""long""#, "3000000000", true),
        (r#"["null","int"]"#, "1", true),
        (r#"["null","int"]"#, r#""x""#, false),
        (r#"{"type":"array","items":"int"}"#, "[]", true),
        (r#"{"type":"map","values":"int"}"#, r#"{"a":"b"}"#, false),
    ] {
        let text = record(&format!(r#"{{"name":"f","type":{ty},"default":{default}}}"#));
        assert_eq!(Document::parse(&text, &[]).is_ok(), is_good, "{text}");
    }
    let deep = format!("{}\"int\"{}", r#"{"type":"array","items":"#.repeat(120), "}".repeat(120));
    assert!(Document::parse(&deep, &[]).is_err());
}

#[test]
fn references_bring_their_names() {
    let needed = [(
        "a.E".to_string(),
        Arc::new(Schema::new(Default::default(), r#"{"type":"enum","name":"a.E","symbols":["X"]}"#)),
    )];
    assert!(Document::parse(&of(r#""a.E""#), &needed).is_ok());
    assert!(Document::parse(&of(r#""a.E""#), &[]).is_err());
}
