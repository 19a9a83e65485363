//! JSON messages: what is read, what is rejected and why, what is written.

use super::*;
use proptest::prelude::*;

fn list(item: SqlType) -> SqlType {
    SqlType::Array(Box::new(item))
}

fn map(value: SqlType) -> SqlType {
    SqlType::Map(Box::new(SqlType::Varchar), Box::new(value))
}

/// What the value becomes as column A of an object.
fn value(ty: SqlType, json: &str) -> Result<Value, String> {
    let message = format!("{{ \"A\": {json} }}");
    read(JSON, &one(ty), &[message]).remove(0).map(|mut row| row.remove(0))
}

#[test]
fn scalars_with_coercions() {
    let text = Value::text;
    let cases = [
        ("INT", "531", Ok(Value::Int(531))),
        ("INT", "\"531\"", Ok(Value::Int(531))),
        ("INT", "\"5\\u00331\"", Ok(Value::Int(531))),
        ("INT", "1.9", Ok(Value::Int(1))),
        ("INT", "-1.9", Ok(Value::Int(-1))),
        ("INT", "1.5e3", Ok(Value::Int(1500))),
        ("INT", "null", Ok(Value::Null)),
        ("INT", "\"\"", Err("column A: '' is not an INTEGER")),
        ("INT", "\" 7\"", Err("column A: ' 7' is not an INTEGER")),
        ("INT", "\"1.9\"", Err("column A: '1.9' is not an INTEGER")),
        ("INT", "3000000000", Err("column A: '3000000000' is out of range for INTEGER")),
        ("INT", "true", Err("column A: 'true' is not an INTEGER")),
        ("INT", "{\"b\": [1]}", Err("column A: '{\"b\": [1]}' is not an INTEGER")),
        ("INT", "[1,}", Err("column A: byte 10: expected a value, found '} }'")),
        ("INT", "nil", Err("column A: byte 7: expected a value, found 'nil }'")),
        ("INT", "01", Err("column A: byte 7: expected a number without leading zeros, found '01 }'")),
        ("INT", "-", Err("column A: byte 8: expected a digit, found ' }'")),
        ("INT", "+1", Err("column A: byte 7: expected a value, found '+1 }'")),
        ("BIGINT", "9007199254740993.5", Ok(Value::Bigint(9007199254740993))),
        ("BIGINT", "1e19", Err("column A: '1e19' is not a BIGINT")),
        ("DOUBLE", "\"53.795147075173155\"", Ok(Value::Double(53.795147075173155))),
        ("DOUBLE", "12", Ok(Value::Double(12.0))),
        ("DOUBLE", "\"NaN\"", Ok(Value::Double(f64::NAN))),
        ("DOUBLE", "\"-Infinity\"", Ok(Value::Double(f64::NEG_INFINITY))),
        ("DOUBLE", "NaN", Err("column A: byte 7: expected a value, found 'NaN }'")),
        ("DOUBLE", ".5", Err("column A: byte 7: expected a value, found '.5 }'")),
        ("DOUBLE", "5.", Err("column A: byte 9: expected a digit, found ' }'")),
        ("BOOLEAN", "true", Ok(Value::Boolean(true))),
        ("BOOLEAN", "\"False\"", Ok(Value::Boolean(false))),
        ("BOOLEAN", "1", Err("column A: '1' is not a BOOLEAN")),
        ("VARCHAR", "\"a\"", Ok(text("a"))),
        ("VARCHAR", "\"\"", Ok(text(""))),
        ("VARCHAR", "\"a text of more than 12 bytes\"", Ok(text("a text of more than 12 bytes"))),
        (
            "VARCHAR",
            "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\\ud83d\\ude00\"",
            Ok(text("\"\\/\u{8}\u{c}\n\r\té😀")),
        ),
        ("VARCHAR", "1.50", Ok(text("1.50"))),
        ("VARCHAR", "true", Ok(text("true"))),
        ("VARCHAR", "{ \"b\" : [ 1, \"x \\\" y\" ] }", Ok(text("{\"b\":[1,\"x \\\" y\"]}"))),
        (
            "VARCHAR",
            "\"\\ud83d\"",
            Err("column A: byte 8: expected a whole character (a pair of surrogates), found '\\ud83d\" }'"),
        ),
        ("VARCHAR", "\"\\x\"", Err("column A: byte 8: expected an escape, found '\\x\" }'")),
        (
            "VARCHAR",
            "\"a\tb\"",
            Err("column A: byte 9: expected no control character in a string, found '\\tb\" }'"),
        ),
        ("DECIMAL", "12.3", Ok(Value::Decimal(1230, 2))),
        ("DECIMAL", "\"12.340\"", Ok(Value::Decimal(1234, 2))),
        ("DECIMAL", "12.345", Err("column A: '12.345' does not fit DECIMAL(4, 2)")),
        ("BYTES", "\"AQID\"", Ok(Value::Bytes([1, 2, 3].into()))),
        ("BYTES", "\"?\"", Err("column A: '?' is not base64")),
        ("DATE", "17567", Ok(Value::Date(17567))),
        ("DATE", "\"2018-02-05\"", Ok(Value::Date(17567))),
        ("TIME", "60000", Ok(Value::Time(60_000))),
        ("TIME", "86400000", Err("column A: '86400000' is not a TIME")),
        ("TIMESTAMP", "\"1970-01-01T00:00:01Z\"", Ok(Value::Timestamp(1000))),
        ("TIMESTAMP", "1602451500000", Ok(Value::Timestamp(1602451500000))),
    ];
    for (ty, json, expected) in cases {
        assert_eq!(value(scalar(ty), json), expected.map_err(str::to_string), "{ty} {json}");
    }
}

#[test]
fn values_with_parts() {
    let point = fields(&[("lat", SqlType::Double), ("TAGS", list(SqlType::Varchar))]);
    let text = Value::text;
    let cases = [
        (
            point.clone(),
            "{\"lat\": \"1\", \"tags\": [\"a\", null, 3], \"more\": {}}",
            Ok(Value::Struct(vec![
                Value::Double(1.0),
                Value::Array(vec![text("a"), Value::Null, text("3")]),
            ])),
        ),
        (point.clone(), "{}", Ok(Value::Struct(vec![Value::Null, Value::Null]))),
        (point.clone(), "null", Ok(Value::Null)),
        (point.clone(), "1", Err("column A: '1' is not a STRUCT<`lat` DOUBLE, TAGS ARRAY<STRING>>")),
        (point.clone(), "{\"lat\": \"x\"}", Err("column A->lat: 'x' is not a DOUBLE")),
        (point, "{\"lat\": 1,}", Err("column A: byte 17: expected a key in quotes, found '} }'")),
        (list(SqlType::Int), "[ ]", Ok(Value::Array(vec![]))),
        (list(SqlType::Int), "[1 2]", Err("column A: byte 10: expected ',' or ']', found '2] }'")),
        (list(SqlType::Int), "[1,]", Err("column A: byte 10: expected a value, found '] }'")),
        (list(SqlType::Int), "{}", Err("column A: '{}' is not an ARRAY<INTEGER>")),
        (
            map(SqlType::Int),
            "{\"a\\u0062\": 1, \"c\": null, \"ab\": 2}",
            Ok(Value::Map(vec![(text("c"), Value::Null), (text("ab"), Value::Int(2))])),
        ),
        (
            map(list(SqlType::Int)),
            "{\"a\": [1], \"a\": [2, 3], \"b\": []}",
            Ok(Value::Map(vec![
                (text("a"), Value::Array(vec![Value::Int(2), Value::Int(3)])),
                (text("b"), Value::Array(vec![])),
            ])),
        ),
    ];
    for (ty, json, expected) in cases {
        assert_eq!(value(ty.clone(), json), expected.map_err(str::to_string), "{ty} {json}");
    }
}

#[test]
fn keys_of_objects() {
    let schema = schema("A INT, b INT");
    let row = |a, b| Ok(vec![a, b]);
    let cases = [
        ("{\"A\":1,\"b\":2}", row(Value::Int(1), Value::Int(2))),
        ("{\"b\":2,\"A\":1}", row(Value::Int(1), Value::Int(2))),
        ("{\"a\":1,\"B\":2}", row(Value::Int(1), Value::Null)),
        ("{\"a\":1,\"A\":2}", row(Value::Int(2), Value::Null)),
        ("{\"A\":2,\"a\":1}", row(Value::Int(2), Value::Null)),
        ("{\"A\":1,\"A\":2,\"A\":3}", row(Value::Int(3), Value::Null)),
        ("{\"\\u0041\":1}", row(Value::Int(1), Value::Null)),
        ("{\"x\":[{\"A\":[]}],\"A\":1}", row(Value::Int(1), Value::Null)),
        (" {} \n", row(Value::Null, Value::Null)),
        ("{\"A\":null}", row(Value::Null, Value::Null)),
        ("{\"A\":1", Err("the JSON ends inside an object")),
        ("{\"A\":1,", Err("the JSON ends inside an object")),
        ("{\"A\"", Err("the JSON ends inside an object")),
        ("{\"A\":", Err("column A: the JSON ends where a value should be")),
        ("{\"A\":\"1", Err("column A: the JSON ends inside a string")),
        ("{\"A\":\"1\\", Err("column A: the JSON ends inside a string")),
        ("{\"A\":nu", Err("column A: the JSON ends inside null")),
        ("{\"x\":[1", Err("the JSON ends inside an array")),
        ("{\"x\":\"1", Err("the JSON ends inside a string")),
        ("{\"A", Err("the JSON ends inside a string")),
        ("", Err("the JSON ends where a value should be")),
        ("{\"A\":1} x", Err("text follows the JSON value: 'x'")),
        ("{\"A\" 1}", Err("byte 5: expected ':', found '1}'")),
        ("{\"A\":1 \"b\":2}", Err("byte 7: expected ',' or '}', found '\"b\":2}'")),
        ("{,\"A\":1}", Err("byte 1: expected a key in quotes, found ',\"A\":1}'")),
        ("{A:1}", Err("byte 1: expected a key in quotes, found 'A:1}'")),
        ("{\"x\":tru}", Err("byte 5: expected a value, found 'tru}'")),
        ("[1]", Err("byte 0: expected an object, found '[1]'")),
        ("null", Err("byte 0: expected an object, found 'null'")),
    ];
    // Together, so that each is met with what the ones before it taught.
    let messages: Vec<&str> = cases.iter().map(|c| c.0).collect();
    for _ in 0..2 {
        for ((message, expected), read) in cases.iter().zip(read(JSON, &schema, &messages)) {
            assert_eq!(read, expected.clone().map_err(str::to_string), "{message}");
        }
    }
}

#[test]
fn the_leeds_feed() {
    let point = fields(&[("d2lm:latitude", SqlType::Double), ("d2lm:longitude", SqlType::Double)]);
    let ty = fields(&[("d2lm:pointCoordinates", point)]);
    let schema = Schema::new(
        [("d2lm:time", SqlType::Varchar), ("d2lm:group", ty), ("d2lm:occupiedSpaces", SqlType::Int)]
            .map(|(name, ty)| ColumnDef { name: name.into(), ty, part: Part::Value }),
    );
    let record = |longitude: &str| {
        format!(
            "{{\n    \"d2lm:time\": \"2020-10-20T11:34:02\",\n    \"d2lm:group\": {{\n        \
             \"d2lm:pointCoordinates\": {{\n            \"d2lm:latitude\": \"53.795147075173155\",\n            \
             \"d2lm:longitude\": \"{longitude}\"\n        }}\n    }},\n    \"d2lm:occupiedSpaces\": \"531\"\n}}"
        )
    };
    let read = read(JSON, &schema, &[record("-1.544524058364228"), record("west"), record("")]);
    let point = Value::Struct(vec![Value::Double(53.795147075173155), Value::Double(-1.544524058364228)]);
    let expected = vec![Value::text("2020-10-20T11:34:02"), Value::Struct(vec![point]), Value::Int(531)];
    let path = "column d2lm:group->d2lm:pointCoordinates->d2lm:longitude";
    assert_eq!(
        read,
        [
            Ok(expected),
            Err(format!("{path}: 'west' is not a DOUBLE")),
            Err(format!("{path}: '' is not a DOUBLE"))
        ]
    );
}

#[test]
fn bare_values() {
    let bare = Format::Json { wrap_single: false };
    let schema = one(SqlType::Int);
    let read = read(bare, &schema, &["1", " \"2\" ", "null", "{\"A\":1}", ""]);
    let expected = [
        Ok(vec![Value::Int(1)]),
        Ok(vec![Value::Int(2)]),
        Ok(vec![Value::Null]),
        Err("column A: '{\"A\":1}' is not an INTEGER".to_string()),
        Err("column A: the JSON ends where a value should be".to_string()),
    ];
    assert_eq!(read, expected);
    assert_eq!(written(bare, &schema, &[vec![Value::Int(1)], vec![Value::Null]]), ["1", "null"]);
}

#[test]
fn bad_utf8_names_its_column() {
    let values: [&[u8]; 4] = [b"{\"A\":\"caf\xe9\"}", b"{\"x\":\"\xe9\"}", b"{\"A\":\"\\n\xe9\"}", b"{\xe9"];
    let expected = [
        Err("column A: 'caf\u{fffd}' is not valid UTF-8".to_string()),
        Err("'\u{fffd}' is not valid UTF-8".to_string()),
        Err("column A: '\\n\u{fffd}' is not valid UTF-8".to_string()),
        Err("byte 1: expected a key in quotes, found '\u{fffd}'".to_string()),
    ];
    assert_eq!(read(JSON, &one(SqlType::Varchar), &values), expected);
}

#[test]
fn nesting_is_bounded() {
    for (depth, deep) in [(128, false), (129, true), (1_000_000, true)] {
        let json = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        let expected = if deep {
            Err("column A: the JSON nests more than 128 values deep".to_string())
        } else {
            Ok(Value::text(&json))
        };
        assert_eq!(value(SqlType::Varchar, &json), expected);
    }
}

#[test]
fn rows_are_written() {
    let location = fields(&[("lat", SqlType::Double), ("m", map(list(SqlType::Date)))]);
    let schema = Schema::new(
        [("A", SqlType::Varchar), ("l", location), ("T", SqlType::Timestamp), ("E", SqlType::Bytes)]
            .map(|(name, ty)| ColumnDef { name: name.into(), ty, part: Part::Value }),
    );
    let dates = Value::Array(vec![Value::Date(1), Value::Null]);
    let rows = [
        vec![
            Value::text("\"é\"\n\u{1}"),
            Value::Struct(vec![Value::Double(53.0), Value::Map(vec![(Value::text("k"), dates)])]),
            Value::Timestamp(5),
            Value::Bytes([1].into()),
        ],
        vec![
            Value::Null,
            Value::Struct(vec![Value::Double(f64::INFINITY), Value::Null]),
            Value::Null,
            Value::Null,
        ],
    ];
    assert_eq!(
        written(JSON, &schema, &rows),
        [
            r#"{"A":"\"é\"\n\u0001","l":{"lat":53.0,"m":{"k":[1,null]}},"T":5,"E":"AQ=="}"#,
            r#"{"A":null,"l":{"lat":"Infinity","m":null},"T":null,"E":null}"#
        ]
    );
    assert_eq!(written(JSON, &super::schema("A INT"), &[vec![Value::Null]]), ["{\"A\":null}"]);
}

#[test]
fn maps_need_keys_of_string() {
    let schema = one(list(SqlType::Map(Box::new(SqlType::Int), Box::new(SqlType::Int))));
    let error = decoder(&stream(JSON), &schema, &Lookups::none()).err().unwrap();
    assert_eq!(error.message, "column A has a map with keys of INTEGER; the keys of JSON are STRING");
}

fn any_json() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<f64>().prop_map(Into::into),
        "[a-c\"\\\\\n é😀]{0,20}".prop_map(Into::into),
    ];
    leaf.prop_recursive(4, 32, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Into::into),
            prop::collection::vec(("[a-d\"]{0,2}", inner), 0..4)
                .prop_map(|entries| serde_json::Value::Object(entries.into_iter().collect())),
        ]
    })
}

proptest! {
    /// Any value is a STRING, which holds the same JSON.
    #[test]
    fn text_of_any_value_is_the_same_json(json in any_json(), pretty: bool) {
        let text = if pretty { serde_json::to_string_pretty(&json) } else { serde_json::to_string(&json) };
        let text = text.unwrap();
        let read = value(SqlType::Varchar, &text).unwrap();
        match (&json, read) {
            (serde_json::Value::Null, Value::Null) => {}
            (serde_json::Value::String(expected), Value::Varchar(text)) => prop_assert_eq!(&*text, expected),
            (_, Value::Varchar(read)) => {
                // Both through the same parser, which rounds some numbers wrong.
                let parse = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
                prop_assert_eq!(parse(&read), parse(&text));
            }
            (_, other) => prop_assert!(false, "{:?}", other),
        }
    }

    /// A message is bad exactly when another parser says so: cut, and with one byte replaced.
    #[test]
    fn syntax_is_judged_as_serde_json_does(json in any_json(), at: prop::sample::Index, byte in "[\\[\\]{}:,\"\\\\0-9.eE+ a\t-]") {
        let mut text = format!("{{\"x\": {json}}}");
        for _ in 0..2 {
            let ours = read(JSON, &schema("NONE INT"), &[&text]).remove(0);
            // It does not read numbers beyond DOUBLE; they are not looked at here.
            let theirs = serde_json::from_str::<serde_json::Map<_, _>>(&text);
            let beyond = theirs.as_ref().is_err_and(|e| e.to_string().contains("out of range"));
            prop_assert!(beyond || ours.is_ok() == theirs.is_ok(), "{} {:?}", text, ours);
            let mut at = at.index(text.len());
            while !text.is_char_boundary(at) || !text.is_char_boundary(at + 1) {
                at -= 1;
            }
            text.replace_range(at..at + 1, &byte);
        }
    }
}
