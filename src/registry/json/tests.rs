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

#[test]
fn types_and_limits() {
    let cases = [
        (r#"{"type":"number"}"#, r#"{"type":"integer"}"#, "", "TYPE_NARROWED@#"),
        (r#"{"type":["string","null"]}"#, r#"{"type":"string"}"#, "", "TYPE_NARROWED@#"),
        (r#"{"type":"string"}"#, r#"{"type":"integer"}"#, "TYPE_CHANGED@#", "TYPE_CHANGED@#"),
        ("true", r#"{"type":"string"}"#, "", "TYPE_NARROWED@#"),
        (r#"{"type":"string"}"#, "false", "", "TYPE_NARROWED@#"),
        (r#"{"enum":["a","b"]}"#, r#"{"enum":["a"]}"#, "", "ENUM_ARRAY_NARROWED@#/enum"),
        (r#"{"enum":["a"]}"#, r#"{"const":"b"}"#, "ENUM_ARRAY_CHANGED@#/enum", "ENUM_ARRAY_CHANGED@#/enum"),
        (r#"{"type":"string"}"#, r#"{"type":"string","enum":["a"]}"#, "", "ENUM_ARRAY_ADDED@#/enum"),
        (
            r#"{"type":"integer"}"#,
            r#"{"type":"integer","maximum":5,"minimum":1}"#,
            "",
            "MAXIMUM_ADDED@#/maximum MINIMUM_ADDED@#/minimum",
        ),
        (
            r#"{"type":"integer","maximum":6}"#,
            r#"{"type":"integer","maximum":5}"#,
            "",
            "MAXIMUM_DECREASED@#/maximum",
        ),
        (
            r#"{"type":"integer","maximum":5}"#,
            r#"{"type":"integer","exclusiveMaximum":5}"#,
            "",
            "MAXIMUM_DECREASED@#/maximum",
        ),
        (
            r#"{"type":"integer","minimum":5}"#,
            r#"{"type":"integer","minimum":5,"exclusiveMinimum":true}"#,
            "",
            "MINIMUM_INCREASED@#/minimum",
        ),
        (
            r#"{"type":"integer","multipleOf":2}"#,
            r#"{"type":"integer","multipleOf":4}"#,
            "",
            "MULTIPLE_OF_CHANGED@#/multipleOf",
        ),
        (
            r#"{"type":"string","maxLength":9}"#,
            r#"{"type":"string","maxLength":5}"#,
            "",
            "MAX_LENGTH_DECREASED@#/maxLength",
        ),
        (
            r#"{"type":"string","minLength":0}"#,
            r#"{"type":"string","minLength":2}"#,
            "",
            "MIN_LENGTH_INCREASED@#/minLength",
        ),
        (r#"{"type":"string"}"#, r#"{"type":"string","pattern":"a"}"#, "", "PATTERN_ADDED@#/pattern"),
        (r#"{"type":"string","title":"t"}"#, r#"{"type":"string","format":"date"}"#, "", ""),
    ];
    for (a, b, a_reads_b, b_reads_a) in cases {
        if b == r#"{"type":"string","minLength":2}"# {
            assert_eq!(rules(b, a), "MIN_LENGTH_INCREASED@#/minLength");
            continue;
        }
        check(a, b, a_reads_b, b_reads_a);
    }
}

fn object(properties: &str, more: &str) -> String {
    format!(r#"{{"type":"object","properties":{{{properties}}}{more}}}"#)
}

const CLOSED: &str = r#","additionalProperties":false"#;

#[test]
fn objects() {
    let (a, ab) = (r#""a":{"type":"string"}"#, r#""a":{"type":"string"},"b":{"type":"string"}"#);
    // Open: a new property may meet old data that has another one of its name.
    check(&object(ab, ""), &object(a, ""), "PROPERTY_ADDED_TO_OPEN_CONTENT_MODEL@#/properties/b", "");
    check(&object(r#""a":{"type":"string"},"b":{}"#, ""), &object(a, ""), "", "");
    // Closed
    check(
        &object(ab, CLOSED),
        &object(a, CLOSED),
        "",
        "PROPERTY_REMOVED_FROM_CLOSED_CONTENT_MODEL@#/properties/b",
    );
    check(&object(a, ""), &object(a, CLOSED), "", "ADDITIONAL_PROPERTIES_REMOVED@#/additionalProperties");
    // Partially open
    let strings = r#","additionalProperties":{"type":"string"}"#;
    let numbers = r#","additionalProperties":{"type":"number"}"#;
    check(&object(ab, strings), &object(a, strings), "", "");
    check(
        &object(ab, numbers),
        &object(a, numbers),
        "PROPERTY_ADDED_NOT_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL@#/properties/b",
        "PROPERTY_REMOVED_NOT_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL@#/properties/b",
    );
    check(&object(a, ""), &object(a, strings), "", "ADDITIONAL_PROPERTIES_NARROWED@#/additionalProperties");
    // Required
    check(&object(a, ""), &object(a, r#","required":["a"]"#), "", "REQUIRED_ATTRIBUTE_ADDED@#/required/a");
    let with_default = r#""a":{"type":"string","default":""}"#;
    check(&object(with_default, r#","required":["a"]"#), &object(a, ""), "", "");
    let required = format!(r#","required":["b"]{CLOSED}"#);
    check(
        &object(ab, &required),
        &object(a, CLOSED),
        "REQUIRED_PROPERTY_ADDED_TO_UNOPEN_CONTENT_MODEL@#/required/b",
        "PROPERTY_REMOVED_FROM_CLOSED_CONTENT_MODEL@#/properties/b",
    );
    // Inside
    check(
        &object(r#""a":{"type":"number"}"#, ""),
        &object(r#""a":{"type":"integer"}"#, ""),
        "",
        "TYPE_NARROWED@#/properties/a",
    );
    check(&object(a, ""), &object(a, r#","maxProperties":3"#), "", "MAX_PROPERTIES_ADDED@#/maxProperties");
    let patterns = r#","patternProperties":{"^x":{"type":"string"}}"#;
    check(&object(a, ""), &object(a, patterns), "", "PATTERN_PROPERTY_ADDED@#/patternProperties/^x");
}

#[test]
fn arrays() {
    let of = |more: &str| format!(r#"{{"type":"array"{more}}}"#);
    let cases = [
        (r#","items":{"type":"number"}"#, r#","items":{"type":"integer"}"#, "", "TYPE_NARROWED@#/items"),
        ("", r#","items":{"type":"integer"}"#, "", "ADDITIONAL_ITEMS_NARROWED@#/items"),
        ("", r#","uniqueItems":true"#, "", "UNIQUE_ITEMS_ADDED@#/uniqueItems"),
        ("", r#","maxItems":3"#, "", "MAX_ITEMS_ADDED@#/maxItems"),
        (
            r#","prefixItems":[{"type":"string"}],"items":false"#,
            r#","items":[],"additionalItems":false"#,
            "",
            "ITEM_REMOVED_FROM_CLOSED_CONTENT_MODEL@#/items/0",
        ),
        (
            r#","prefixItems":[{"type":"string"}]"#,
            r#","prefixItems":[]"#,
            "ITEM_ADDED_TO_OPEN_CONTENT_MODEL@#/items/0",
            "",
        ),
    ];
    for (a, b, a_reads_b, b_reads_a) in cases {
        check(&of(a), &of(b), a_reads_b, b_reads_a);
    }
}

#[test]
fn combinations_and_references() {
    let string_or = |more: &str| format!(r#"{{"oneOf":[{{"type":"string"}}{more}]}}"#);
    check(&string_or(r#",{"type":"null"}"#), &string_or(""), "", "SUM_TYPE_NARROWED@#/oneOf/1");
    check(&string_or(r#",{"type":"null"}"#), r#"{"type":"string"}"#, "", "TYPE_CHANGED@#/oneOf/1");
    check(
        r#"{"type":["null","string"]}"#,
        &string_or(r#",{"type":"null"}"#),
        "",
        "SUM_TYPE_NARROWED@# TYPE_NARROWED@#",
    );
    let all = |more: &str| format!(r#"{{"allOf":[{{"type":"object"}}{more}]}}"#);
    check(
        &all(""),
        &all(r#",{"required":["a"]}"#),
        "",
        "REQUIRED_PROPERTY_ADDED_TO_UNOPEN_CONTENT_MODEL@#/allOf/0/required/a",
    );
    check(r#"{"type":"string"}"#, r#"{"type":"string","not":{"enum":["a"]}}"#, "", "NOT_TYPE_EXTENDED@#/not");
    check(
        r#"{"type":"object"}"#,
        r#"{"type":"object","if":{"required":["a"]},"then":{"required":["b"]}}"#,
        "",
        "CONDITION_CHANGED@#/if CONDITION_CHANGED@#/then",
    );
    let tree = |ty: &str| {
        format!(
            r##"{{"$ref":"#/$defs/t","$defs":{{"t":{{"type":"object","additionalProperties":false,"properties":
               {{"v":{{"type":"{ty}"}},"kids":{{"type":"array","items":{{"$ref":"#/$defs/t"}}}}}}}}}}}}"##
        )
    };
    check(&tree("number"), &tree("integer"), "", "TYPE_NARROWED@#/properties/v");
}

#[test]
fn equal_texts_are_found_and_bad_ones_refused() {
    let same = [r#"{"type":"string","title":"t"}"#, r#"{ "title": "t", "type": "string" }"#];
    assert_eq!(document(same[0]).canonical(), document(same[1]).canonical());
    let bad = [
        "{",
        "1",
        r#"{"type":"text"}"#,
        r#"{"properties":[]}"#,
        r#"{"anyOf":{}}"#,
        r#"{"required":[1]}"#,
        r#"{"maxLength":-1}"#,
        r#"{"properties":{"a":{"type":"x"}}}"#,
        r#"{"$ref":"elsewhere.json"}"#,
        r##"{"$ref":"#/definitions/none"}"##,
    ];
    for text in bad {
        assert!(Document::parse(text, &[]).is_err(), "{text}");
    }
    let other =
        Arc::new(Schema::new(Kind::Json, r##"{"$defs":{"d":{"type":"string"}},"$ref":"#/$defs/d"}"##));
    let needed = [("other.json".to_string(), other)];
    let text = r#"{"properties":{"a":{"$ref":"other.json"}}}"#;
    let (Ok(a), b) = (Document::parse(text, &needed), document(r#"{"properties":{"a":{"type":"integer"}}}"#))
    else {
        panic!()
    };
    assert_eq!(read(&a, &b).iter().map(|i| i.rule).collect::<Vec<_>>(), ["TYPE_CHANGED"]);
    let cycle = document(r##"{"$ref":"#"}"##);
    assert!(read(&cycle, &cycle).is_empty());
}

#[test]
fn schemas_that_never_end_are_given_up() {
    let itself = r##"{"allOf":[{"$ref":"#"}],"anyOf":[{"$ref":"#"}],"type":"object"}"##;
    read(&document(itself), &document(itself));
    let chain = |ty: &str| {
        let links: Vec<_> = (0..5000)
            .map(|i| format!(r##""d{i}":{{"properties":{{"p":{{"$ref":"#/$defs/d{}"}}}}}}"##, i + 1))
            .collect();
        format!(r##"{{"$ref":"#/$defs/d0","$defs":{{{},"d5000":{{"type":"{ty}"}}}}}}"##, links.join(","))
    };
    let found = rules(&chain("string"), &chain("integer"));
    assert!(found.starts_with("TOO_COMPLEX@"), "{found}");
    // Each leads to the next one twice.
    let double = |ty: &str| {
        let two = |i: u32| format!(r##"{{"a":{{"$ref":"#/$defs/d{i}"}},"b":{{"$ref":"#/$defs/d{i}"}}}}"##);
        let links: Vec<_> = (0..40).map(|i| format!(r#""d{i}":{{"properties":{}}}"#, two(i + 1))).collect();
        format!(r##"{{"$ref":"#/$defs/d0","$defs":{{{},"d40":{{"type":"{ty}"}}}}}}"##, links.join(","))
    };
    assert_eq!(rules(&double("number"), &double("integer")), "");
}
