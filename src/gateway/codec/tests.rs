//! The talk's examples, a case a coercion, what is refused and how, and what comes back.

use super::*;
use serde_json::json;

fn codec(kind: Kind, text: &str) -> Codec {
    Codec::new(&Schema::new(kind, text), &[]).unwrap_or_else(|e| panic!("{text}: {e}"))
}

/// What a consumer gets of a payload, and its coercions; or why it is refused.
fn through(codec: &Codec, payload: Value, unknown: UnknownFields) -> Result<(Value, Vec<String>), String> {
    let (mut bytes, mut coercions) = (codec.preamble(), Coercions::default());
    codec.encode(&payload, unknown, &mut bytes, &mut coercions).map_err(|fault| shown(*fault))?;
    let mut text = String::new();
    codec.decode(&bytes, &mut text).unwrap();
    let coerced = coercions.found.iter().map(|c| format!("{} {}", c.field, c.coercion.name())).collect();
    Ok((serde_json::from_str(&text).unwrap_or_else(|e| panic!("{text}: {e}")), coerced))
}

const PERSON: &str = r#"{"name": "Person", "namespace": "org.example", "type": "record", "fields": [
    {"name": "first_name", "type": "string"}, {"name": "last_name", "type": "string"},
    {"name": "age", "type": ["null", "int"]}, {"name": "username", "type": ["null", "string"]}]}"#;

/// Page 40 of the talk: both payloads are the same person.
#[test]
fn a_person_may_leave_out_the_age_and_need_not_annotate_the_name() {
    let person = codec(Kind::Avro, PERSON);
    let annotated = json!({"first_name": "Paul", "last_name": "Osman", "age": {"null": null},
        "username": {"string": "paulosman"}});
    let plain = json!({"first_name": "Paul", "last_name": "Osman", "username": "paulosman"});
    let expected = json!({"first_name": "Paul", "last_name": "Osman", "age": null, "username": "paulosman"});
    let of = |payload| through(&person, payload, UnknownFields::Refuse);
    assert_eq!(of(annotated), Ok((expected.clone(), vec![])));
    assert_eq!(of(plain), Ok((expected, vec!["age omitted".into(), "username bare_union_member".into()])));
}

#[test]
fn what_does_not_fit_is_named_with_its_place() {
    let person = codec(Kind::Avro, PERSON);
    let base = json!({"first_name": "a", "last_name": "b"});
    let with = |name: &str, value: Value| {
        let mut payload = base.clone();
        payload[name] = value;
        through(&person, payload, UnknownFields::Refuse).unwrap_err()
    };
    assert_eq!(with("age", json!("x")), "age: expected int, found \"x\"");
    assert_eq!(
        with("age", json!(1u64 << 40)),
        "age: expected int, a whole number of 32 bits, found 1099511627776"
    );
    assert_eq!(with("first_name", json!({})), "first_name: expected string, found {}");
    assert_eq!(
        with("user_name", json!("x")),
        "user_name: the schema has no such field; did you mean username? it has first_name, last_name, age, username"
    );
    let missing = through(&person, json!({"first_nam": "a", "last_name": "b"}), UnknownFields::Refuse);
    assert_eq!(
        missing.unwrap_err(),
        "first_name: expected string, and it is missing; it has no default and cannot be null; is it `first_nam`?"
    );
    assert_eq!(
        through(&person, json!([]), UnknownFields::Refuse).unwrap_err(),
        "expected an object, Person, found []"
    );
}

#[test]
fn coercions_of_avro() {
    let of = |ty: &str, value: Value| {
        let text = format!(r#"{{"type":"record","name":"R","fields":[{{"name":"f","type":{ty}}}]}}"#);
        through(&codec(Kind::Avro, &text), json!({ "f": value }), UnknownFields::Refuse)
            .map(|(value, coerced)| (value["f"].clone(), coerced.join(" ")))
    };
    let timestamp = r#"{"type":"long","logicalType":"timestamp-millis"}"#;
    let decimal = r#"{"type":"bytes","logicalType":"decimal","precision":6,"scale":2}"#;
    let fixed = r#"{"type":"fixed","name":"F","size":4,"logicalType":"decimal","precision":6,"scale":2}"#;
    let cases = [
        (r#""long""#, json!("12"), json!(12), "f text_for_number"),
        (r#""int""#, json!(12.0), json!(12), "f fraction_for_integer"),
        (r#""double""#, json!(1), json!(1.0), ""),
        (r#""double""#, json!("NaN"), json!("NaN"), ""),
        (r#""float""#, json!(0.1), json!(0.1), ""),
        (r#""float""#, json!("2.5"), json!(2.5), "f text_for_number"),
        (r#"["null","float"]"#, json!(3), json!(3.0), "f bare_union_member"),
        (r#""boolean""#, json!("true"), json!(true), "f text_for_number"),
        (r#""string""#, json!(7), json!("7"), "f number_for_text"),
        (timestamp, json!(1_461_087_261_000i64), json!(1_461_087_261_000i64), ""),
        (timestamp, json!("2016-04-19T17:34:21Z"), json!(1_461_087_261_000i64), "f text_for_time"),
        (r#"{"type":"int","logicalType":"date"}"#, json!("1970-01-02"), json!(1), "f text_for_time"),
        (decimal, json!(12.5), json!(12.5), ""),
        (decimal, json!("-0.01"), json!(-0.01), "f text_for_number"),
        (fixed, json!(-1.28), json!(-1.28), ""),
        (r#""bytes""#, json!("\u{e9}\u{0}"), json!("\u{e9}\u{0}"), ""),
        (r#"["int","string"]"#, json!("12"), json!("12"), "f bare_union_member"),
        (r#"["int","string"]"#, json!({"int": 3}), json!(3), ""),
        (
            r#"{"type":"array","items":["null","int"]}"#,
            json!([1, null]),
            json!([1, null]),
            "f.[0] bare_union_member",
        ),
        (r#"{"type":"map","values":"int"}"#, json!({"a": 1, "b": 2}), json!({"a": 1, "b": 2}), ""),
        (r#"{"type":"enum","name":"E","symbols":["A","B"]}"#, json!("B"), json!("B"), ""),
    ];
    for (ty, given, got, coerced) in cases {
        assert_eq!(of(ty, given.clone()), Ok((got, coerced.to_string())), "{ty} {given}");
    }
    let refused = [
        (r#""int""#, json!(1.5), "f: expected int, found 1.5"),
        (r#""float""#, json!(1e39), "f: expected float, a number of 32 bits, found 1e+39"),
        (r#""float""#, json!("x"), "f: expected float, found \"x\""),
        (decimal, json!(0.001), "f: expected a decimal(6, 2), found 0.001"),
        (decimal, json!(10000), "f: expected a decimal(6, 2), found 10000"),
        (r#""bytes""#, json!("€"), "f: expected text whose characters are bytes, up to U+00FF, found \"€\""),
        (r#"["null","int","boolean"]"#, json!([]), "f: expected one of null, int, boolean, found []"),
        (r#"{"type":"array","items":"int"}"#, json!([1, "x"]), "f[1]: expected int, found \"x\""),
        (
            r#"{"type":"enum","name":"E","symbols":["A","B"]}"#,
            json!("C"),
            "f: expected one of A, B, found \"C\"",
        ),
    ];
    for (ty, given, message) in refused {
        assert_eq!(of(ty, given.clone()), Err(message.to_string()), "{ty} {given}");
    }
}

#[test]
fn defaults_stand_for_what_is_left_out_and_strangers_can_be_dropped() {
    let text = r#"{"type":"record","name":"R","fields":[{"name":"a","type":"int","default":7},
        {"name":"b","type":["string","null"],"default":"x"}]}"#;
    let record = codec(Kind::Avro, text);
    let got = through(&record, json!({"c": 1}), UnknownFields::Drop).unwrap();
    assert_eq!(
        got,
        (json!({"a": 7, "b": "x"}), vec!["a omitted".into(), "b omitted".into(), "c unknown_field".into()])
    );
}

#[test]
fn protobuf_has_its_json_mapping() {
    let text = r#"syntax = "proto3"; import "google/protobuf/timestamp.proto";
        message Food { string name = 1; optional int32 calories = 2; repeated Part parts = 3;
          map<string, double> per = 4; Kind kind = 5; bytes raw = 6; google.protobuf.Timestamp at = 7; uint64 big = 8; }
        message Part { string name = 1; } enum Kind { UNKNOWN = 0; FRUIT = 1; }"#;
    let food = codec(Kind::Protobuf, text);
    let payload = json!({"name": "apple", "parts": [{"name": "core"}], "per": {"b": 2.5, "a": 1.0}, "kind": "FRUIT",
        "raw": "AQI=", "at": "2016-04-19T17:34:21.500Z", "big": 18446744073709551615u64});
    let mut expected = payload.clone();
    expected["calories"] = Value::Null;
    expected["at"] = "2016-04-19T17:34:21.5Z".into();
    let (got, coerced) = through(&food, payload, UnknownFields::Refuse).unwrap();
    let at = got["at"].as_str().unwrap().to_string();
    assert!(at.starts_with("2016-04-19T17:34:21.5"), "{at}");
    expected["at"] = got["at"].clone();
    assert_eq!((got, coerced), (expected, vec![]));
    let refused = |payload| through(&food, payload, UnknownFields::Refuse).unwrap_err();
    assert_eq!(refused(json!({"calories": "many"})), "calories: expected int32, found \"many\"");
    assert_eq!(
        refused(json!({"parts": [{"nam": 1}]})),
        "parts[0].nam: the schema has no such field; did you mean name? it has name"
    );
    assert_eq!(refused(json!({"kind": "MEAT"})), "kind: expected one of UNKNOWN, FRUIT, found \"MEAT\"");
}

#[test]
fn json_schema_is_checked() {
    let text = r##"{"type":"object","required":["name"],"additionalProperties":false,"properties":{
        "name":{"type":"string","minLength":1,"pattern":"^[a-z]+$"},"n":{"type":"integer","minimum":0,"exclusiveMaximum":10},
        "tags":{"type":"array","items":{"$ref":"#/$defs/tag"},"uniqueItems":true},
        "either":{"oneOf":[{"type":"string"},{"type":"number","multipleOf":5}]}},"$defs":{"tag":{"enum":["a","b"]}}}"##;
    let schema = codec(Kind::Json, text);
    let good = json!({"name": "x", "n": 3, "tags": ["a", "b"], "either": 10});
    assert_eq!(through(&schema, good.clone(), UnknownFields::Refuse), Ok((good, vec![])));
    let cases = [
        (json!({}), "name: it is required, and missing"),
        (json!({"name": ""}), "name: expected 1 characters at least, found \"\""),
        (json!({"name": "A"}), "name: expected text as ^[a-z]+$, found \"A\""),
        (json!({"name": "a", "n": 1.5}), "n: expected integer, found 1.5"),
        (json!({"name": "a", "n": 10}), "n: expected below 10, found 10"),
        (json!({"name": "a", "tags": ["a", "c"]}), "tags[1]: expected one of \"a\", \"b\", found \"c\""),
        (json!({"name": "a", "tags": ["a", "a"]}), "tags: expected items that differ, found [\"a\",\"a\"]"),
        (json!({"name": "a", "either": 7}), "either: expected a multiple of 5, found 7"),
        (json!({"name": "a", "x": 7}), "x: the schema has no such field; it has name, n, tags, either"),
    ];
    for (payload, message) in cases {
        assert_eq!(through(&schema, payload, UnknownFields::Refuse), Err(message.to_string()));
    }
}

#[test]
fn no_bytes_break_the_reader() {
    let texts = [
        PERSON,
        r#"{"type":"record","name":"L","fields":[{"name":"next","type":["null","L"]}]}"#,
        r#"{"type":"array","items":"null"}"#,
    ];
    for text in texts {
        let codec = codec(Kind::Avro, text);
        let mut state = 7u64;
        for length in 0..2_000usize {
            let bytes: Vec<u8> = (0..length % 300)
                .map(|_| {
                    state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                    if state >> 62 == 0 { 2 } else { (state >> 33) as u8 }
                })
                .collect();
            let mut out = String::new();
            if codec.decode(&bytes, &mut out).is_ok() {
                serde_json::from_str::<Value>(&out).unwrap();
            }
        }
        // A list of a million, each in the one before; a block of as many nulls as a number can say.
        for bytes in [vec![2; 1 << 20], vec![0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01]] {
            assert!(codec.decode(&bytes, &mut String::new()).is_err(), "{text}");
        }
    }
}
