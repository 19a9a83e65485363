//! AVRO: known bytes, written by hand from Avro's specification, schemas, and what must be refused.

use super::*;
use crate::format::avro;
use crate::registry::avro::Document;

pub fn document(text: &str) -> Document {
    Document::parse(text, &[]).unwrap()
}

/// A schema with one field.
fn field(ty: &str) -> String {
    format!(r#"{{"type":"record","name":"R","fields":[{{"name":"A","type":{ty}}}]}}"#)
}

fn reader(schema: &str, columns: &str) -> Result<Box<dyn codec::BodyReader>, String> {
    let columns = declared(columns);
    avro::reader(&document(schema), &columns.iter().collect::<Vec<_>>(), false, None)
}

fn read_all(schema: &str, columns: &str, bodies: &[&[u8]]) -> Vec<Result<Row, String>> {
    read_bodies(&mut *reader(schema, columns).unwrap(), &declared(columns), bodies)
}

/// The value of the one field as an answer shows it, or why it has none.
fn read_one(ty: &str, column: &str, body: &[u8]) -> String {
    let column = format!("A {column}");
    shown(read_all(&field(ty), &column, &[body]).remove(0), &declared(&column))
}

const ENTRIES: &str = r#"{"type":"array","items":{"type":"record","name":"E","fields":[
    {"name":"key","type":["null","int"]},{"name":"value","type":["null","string"]}]}}"#;
const POINT: &str =
    r#"{"type":"record","name":"P","fields":[{"name":"x","type":"int"},{"name":"Y","type":"double"}]}"#;
const ENUM: &str = r#"{"type":"enum","name":"E","symbols":["FREE","ALMOST_FULL_BY_NOW"]}"#;

#[test]
fn known_bytes() {
    let decimal = |p, s| format!(r#"{{"type":"bytes","logicalType":"decimal","precision":{p},"scale":{s}}}"#);
    let logical = |ty, name| format!(r#"{{"type":"{ty}","logicalType":"{name}"}}"#);
    let cases: &[(&str, &str, &[u8], &str)] = &[
        ("\"int\"", "INT", &[0x01], "-1"),
        ("\"int\"", "INT", &[0xff, 0xff, 0xff, 0xff, 0x0f], "-2147483648"),
        ("\"int\"", "INT", &[0x80, 0x80, 0x80, 0x80, 0x10], "A: '2147483648' is out of range for INTEGER"),
        ("\"int\"", "BIGINT", &[0x7f], "-64"),
        ("\"int\"", "DOUBLE", &[0x80, 0x01], "64.0"),
        (
            "\"long\"",
            "BIGINT",
            &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
            "-9223372036854775808",
        ),
        ("\"long\"", "BIGINT", &[0xff; 10], "A: a number has more than 64 bits"),
        ("\"long\"", "BIGINT", &[0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f], "36028797018963967"),
        ("\"float\"", "DOUBLE", &[0, 0, 0xc0, 0x3f], "1.5"),
        ("\"double\"", "DOUBLE", &[0, 0, 0, 0, 0, 0, 0xf8, 0xbf], "-1.5"),
        ("\"boolean\"", "BOOLEAN", &[1], "true"),
        ("\"boolean\"", "BOOLEAN", &[2], "A: byte 2 is no BOOLEAN"),
        ("\"string\"", "VARCHAR", b"\x06foo", r#""foo""#),
        ("\"string\"", "VARCHAR", b"\x2csixteen or more bytes!", r#""sixteen or more bytes!""#),
        ("\"string\"", "VARCHAR", b"\x04\xc3\xa9", r#""é""#),
        ("\"string\"", "VARCHAR", b"\x02\xff", "A: '\u{fffd}' is not valid UTF-8"),
        ("\"string\"", "VARCHAR", b"\x01", "A: a length of -1 bytes"),
        ("\"string\"", "VARCHAR", b"\x0aab", "A: the record ends too early"),
        ("\"string\"", "VARCHAR", b"\x02ab", ": 1 bytes follow the record"),
        ("\"bytes\"", "BYTES", b"\x04\xff\x00", r#""/wA=""#),
        ("[\"null\",\"string\"]", "VARCHAR", b"\x02\x02a", r#""a""#),
        ("[\"null\",\"string\"]", "VARCHAR", &[0x00], "null"),
        ("[\"string\",\"null\"]", "VARCHAR", &[0x02], "null"),
        ("[\"null\",\"string\"]", "VARCHAR", &[0x04], "A: branch 2 of a union that has 2 branches"),
        ("[\"null\",\"string\"]", "VARCHAR", &[0x01], "A: branch -1 of a union that has 2 branches"),
        ("[\"null\",\"string\",\"int\"]", "VARCHAR", &[4, 2], r#""1""#),
        ("[\"null\",\"string\",\"float\"]", "VARCHAR", &[4, 2, 2, 2, 2], "A: float cannot become STRING"),
        ("\"boolean\"", "VARCHAR", &[1], r#""true""#),
        ("\"boolean\"", "VARCHAR", &[2], "A: byte 2 is no BOOLEAN"),
        ("\"long\"", "VARCHAR", &[0x7f], r#""-64""#),
        ("\"null\"", "INT", &[], "null"),
        (&logical("int", "date"), "DATE", &[0xbe, 0x92, 0x02], r#""2018-02-05""#),
        (&logical("int", "time-millis"), "TIME", &[0xd0, 0x0f], r#""00:00:01""#),
        (&logical("int", "time-millis"), "TIME", &[0x01], "A: '-1' is not a TIME"),
        (&logical("long", "time-micros"), "TIME", &[0x80, 0xa4, 0xe8, 0x03], r#""00:00:04""#),
        (&logical("long", "timestamp-millis"), "TIMESTAMP", &[0x01], r#""1969-12-31T23:59:59.999""#),
        (&logical("long", "timestamp-micros"), "TIMESTAMP", &[0x01], r#""1969-12-31T23:59:59.999""#),
        (&logical("long", "timestamp-millis"), "BIGINT", &[0x02], "1"),
        (&decimal(4, 2), "DECIMAL(4,2)", b"\x04\xff\x38", "-2.00"),
        (&decimal(4, 2), "DECIMAL(6,3)", b"\x02\x7b", "1.230"),
        (&decimal(9, 4), "DECIMAL(4,2)", b"\x04\x27\x10", "1.00"),
        (&decimal(9, 4), "DECIMAL(4,2)", b"\x02\x01", "A: 0.0001 does not fit DECIMAL(4, 2)"),
        (&decimal(4, 2), "DECIMAL(4,2)", b"\x04\x27\x10", "A: 100.00 does not fit DECIMAL(4, 2)"),
        (
            &decimal(4, 2),
            "DECIMAL(4,2)",
            b"\x24\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xfe",
            "-0.02",
        ),
        (
            &decimal(4, 2),
            "DECIMAL(4,2)",
            b"\x22\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
            "A: a number of 17 bytes does not fit DECIMAL(4, 2)",
        ),
        (&decimal(4, 2), "DECIMAL(4,2)", b"\x00", "A: a number of 0 bytes does not fit DECIMAL(4, 2)"),
        (ENUM, "VARCHAR", &[0x00], r#""FREE""#),
        (ENUM, "VARCHAR", &[0x02], r#""ALMOST_FULL_BY_NOW""#),
        (ENUM, "VARCHAR", &[0x04], "A: branch 2 of a union that has 2 branches"),
        (r#"{"type":"fixed","name":"F","size":2}"#, "BYTES", &[0, 1], r#""AAE=""#),
        (r#"{"type":"array","items":"int"}"#, "ARRAY<INT>", &[4, 2, 4, 0], "[1,2]"),
        (r#"{"type":"array","items":"int"}"#, "ARRAY<INT>", &[1, 2, 2, 2, 4, 0], "[1,2]"),
        (r#"{"type":"array","items":"int"}"#, "ARRAY<INT>", &[0], "[]"),
        (
            r#"{"type":"map","values":"int"}"#,
            "MAP<VARCHAR,INT>",
            b"\x06\x02a\x02\x02b\x04\x02a\x06\x00",
            r#"{"b":2,"a":3}"#,
        ),
        (ENTRIES, "MAP<INT,VARCHAR>", b"\x04\x02\x02\x02\x02a\x02\x04\x00\x00", r#"{"1":"a","2":null}"#),
        (ENTRIES, "MAP<INT,VARCHAR>", b"\x02\x00\x02\x02a\x00", "key<-A: the key of a map is NULL"),
        (
            POINT,
            "STRUCT<X INT, y DOUBLE, Z INT>",
            &[2, 0, 0, 0, 0, 0, 0, 0xf8, 0x3f],
            r#"{"X":1,"Y":1.5,"Z":null}"#,
        ),
    ];
    for (ty, column, body, expected) in cases {
        assert_eq!(&read_one(ty, column, body), expected, "{ty} {column} {body:?}");
    }
}

#[test]
fn names_match_exactly_then_in_upper_case() {
    let schema = r#"{"type":"record","name":"R","fields":[
        {"name":"id","type":"int"},{"name":"extra","type":{"type":"map","values":{"type":"array","items":"string"}}},
        {"name":"a","type":"int"},{"name":"A","type":"int"}]}"#;
    let body = b"\x02\x02\x02k\x02\x02v\x00\x00\x04\x06";
    let rows = read_all(schema, "ID INT, A INT, B INT", &[body]);
    assert_eq!(rows, [Ok(vec![Value::Int(1), Value::Int(3), Value::Null])]);
    let rows = read_all(schema, "`a` INT", &[body]);
    assert_eq!(rows, [Ok(vec![Value::Int(2)])]);
}

#[test]
fn writers_of_several_schemas_share_a_batch() {
    let columns = declared("A BIGINT, B VARCHAR");
    let refs: Vec<_> = columns.iter().collect();
    let schemas = [field("\"int\""), field("\"long\"").replace("[{", r#"[{"name":"B","type":"string"},{"#)];
    let mut readers = schemas.map(|schema| avro::reader(&document(&schema), &refs, false, None).unwrap());
    let mut parts = parts::Columns::new(&refs);
    parts.start(&[true, true], 3);
    let messages =
        messages(None, &[Some(&b"\x02"[..]), Some(b"\x02x\x04"), Some(b"\x02y\x80"), Some(b"\x06")]);
    let read = |(range, reader): (&Range32, usize)| {
        readers[reader].read(&messages.buffer, *range, &mut parts).is_ok()
    };
    let good: Vec<bool> = messages.values.iter().zip([0, 1, 1, 0]).map(read).collect();
    assert_eq!(good, [true, true, false, true]);
    let columns = parts.finish(&messages.buffer);
    let rows: Vec<Row> = (0..3).map(|i| columns.iter().map(|c| c.value(i)).collect()).collect();
    let row = |a, b| vec![Value::Bigint(a), b];
    assert_eq!(rows, [row(1, Value::Null), row(2, Value::text("x")), row(3, Value::Null)]);
}

#[test]
fn bare_values() {
    let columns = declared("A INT");
    let refs: Vec<_> = columns.iter().collect();
    let schema = document("\"int\"");
    let mut reader = avro::reader(&schema, &refs, true, None).unwrap();
    assert_eq!(read_bodies(&mut *reader, &columns, &[[0x02]]), [Ok(vec![Value::Int(1)])]);
    assert_eq!(avro::schema_text(&refs, true, avro::FULL_NAME).unwrap(), "\"int\"");
    let inferred = avro::columns_of(&schema, true, codec::Inference::default()).unwrap();
    assert!(
        inferred.bare
            && inferred.columns == [ColumnDef { name: "ROWKEY".into(), ty: SqlType::Int, part: Part::Key }]
    );
    let fault = avro::reader(&schema, &refs, false, None).err().unwrap();
    assert_eq!(fault, "the schema is int, which has no fields for columns");
}

#[test]
fn what_cannot_become_the_column_is_refused_at_once() {
    let cases = [
        ("\"long\"", "INT", "column A is INTEGER, which long cannot become"),
        ("\"double\"", "BIGINT", "column A is BIGINT, which double cannot become"),
        ("[\"null\",\"boolean\"]", "INT", "column A is INTEGER, which boolean cannot become"),
        (r#"{"type":"int","logicalType":"date"}"#, "TIME", "column A is TIME, which int cannot become"),
        ("\"bytes\"", "DECIMAL(4,2)", "column A is DECIMAL(4, 2), which bytes cannot become"),
        (POINT, "STRUCT<Y VARCHAR>", "column A->Y is STRING, which double cannot become"),
        (r#"{"type":"int","logicalType":"date"}"#, "VARCHAR", "column A is STRING, which int cannot become"),
        (
            r#"{"type":"array","items":"long"}"#,
            "ARRAY<INT>",
            "column A[] is INTEGER, which long cannot become",
        ),
        (
            r#"{"type":"map","values":"int"}"#,
            "MAP<INT,INT>",
            "column A is MAP<INTEGER, INTEGER>, which map cannot become",
        ),
    ];
    for (ty, column, expected) in cases {
        assert_eq!(reader(&field(ty), &format!("A {column}")).err().unwrap(), expected);
    }
}

#[test]
fn schemas_of_columns() {
    let columns = declared("ID INT, P STRUCT<X DECIMAL(4,2), L ARRAY<STRUCT<N VARCHAR>>>, M MAP<INT, DATE>");
    let refs: Vec<_> = columns.iter().collect();
    let text = avro::schema_text(&refs, false, avro::FULL_NAME).unwrap();
    let expected = r#"{"type":"record","name":"KsqlDataSourceSchema","namespace":"io.confluent.ksql.avro_schemas","fields":[
        {"name":"ID","type":["null","int"],"default":null},
        {"name":"P","type":["null",{"type":"record","name":"KsqlDataSourceSchema_P","fields":[
            {"name":"X","type":["null",{"type":"bytes","logicalType":"decimal","precision":4,"scale":2,"connect.version":1,
                "connect.parameters":{"scale":"2","connect.decimal.precision":"4"},
                "connect.name":"org.apache.kafka.connect.data.Decimal"}],"default":null},
            {"name":"L","type":["null",{"type":"array","items":["null",
                {"type":"record","name":"KsqlDataSourceSchema_P_L","fields":[
                    {"name":"N","type":["null","string"],"default":null}],
                    "connect.name":"io.confluent.ksql.avro_schemas.KsqlDataSourceSchema_P_L"}]}],"default":null}],
            "connect.name":"io.confluent.ksql.avro_schemas.KsqlDataSourceSchema_P"}],"default":null},
        {"name":"M","type":["null",{"type":"array","items":{"type":"record","name":"KsqlDataSourceSchema_M","fields":[
            {"name":"key","type":["null","int"],"default":null},
            {"name":"value","type":["null",{"type":"int","logicalType":"date","connect.version":1,
                "connect.name":"org.apache.kafka.connect.data.Date"}],"default":null}],
            "connect.internal.type":"MapEntry"},
            "connect.name":"io.confluent.ksql.avro_schemas.KsqlDataSourceSchema_M"}],"default":null}],
        "connect.name":"io.confluent.ksql.avro_schemas.KsqlDataSourceSchema"}"#;
    let json = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
    assert_eq!(json(&text), json(expected));
    assert_eq!(
        avro::columns_of(&document(&text), false, codec::Inference::default()).unwrap().columns,
        columns
    );

    let columns = declared("A MAP<MAP<INT, INT>, INT>");
    let fault = avro::schema_text(&[&columns[0]], false, "M").unwrap_err();
    assert_eq!(fault, "M_A is a map with keys of MAP<INTEGER, INTEGER>; the keys of a map cannot have parts");
    let mut parts = parts::Columns::new(&[&columns[0]]);
    parts.push_nulls();
    assert_eq!(parts.finish(&Buffer::from(&[0u8; 0])).len(), 1);

    let columns = declared("`d2lm:latitude` DOUBLE");
    let fault = avro::schema_text(&[&columns[0]], false, avro::FULL_NAME).unwrap_err();
    assert!(
        fault.starts_with("column d2lm:latitude: a name in AVRO has letters, digits and _ only"),
        "{fault}"
    );
}

#[test]
fn columns_of_schemas() {
    let of = |ty: &str| {
        avro::columns_of(&document(&field(ty)), false, codec::Inference::default())
            .map(|i| i.columns[0].ty.to_string())
    };
    let cases = [
        ("[\"null\",\"float\"]", Ok("DOUBLE")),
        (r#"{"type":"long","logicalType":"timestamp-micros"}"#, Ok("BIGINT")),
        (
            r#"{"type":"map","values":["null",{"type":"long","logicalType":"timestamp-millis"}]}"#,
            Ok("MAP<STRING, TIMESTAMP>"),
        ),
        (POINT, Ok("STRUCT<X INTEGER, Y DOUBLE>")),
        (ENTRIES, Ok("ARRAY<STRUCT<KEY INTEGER, VALUE STRING>>")),
        (ENUM, Ok("STRING")),
        ("[\"int\",\"string\"]", Err("field A is [int, string], which has no SQL type")),
        ("\"null\"", Err("field A is null, which has no SQL type")),
        ("[\"null\",\"R\"]", Err("it holds itself")),
    ];
    for (ty, expected) in cases {
        match (of(ty), expected) {
            (Err(found), Err("it holds itself")) => {
                assert!(found.ends_with("as one that holds itself"), "{found}")
            }
            (found, expected) => assert_eq!(found.as_deref().map_err(String::as_str), expected),
        }
    }
}

#[test]
fn a_double_is_written_where_a_schema_has_a_float() {
    let columns = declared("A DOUBLE");
    let mut writer = avro::writer(&document(&field("[\"null\",\"float\"]")), &[&columns[0]], false).unwrap();
    let rows = [1.5, 0.1, -1e300, f64::INFINITY].map(|value| vec![Value::Double(value)]);
    let expected = [
        Ok(vec![2, 0, 0, 0xc0, 0x3f]),
        Ok([&[2], &0.1f32.to_le_bytes()[..]].concat()),
        Err("A: -1.0E300 does not fit the schema's float".to_string()),
        Ok(vec![2, 0, 0, 0x80, 0x7f]),
    ];
    assert_eq!(write_bodies(&mut writer, &columns, &rows), expected);
}

#[test]
fn a_registered_schema_is_written() {
    let schema = r#"{"type":"record","name":"R","fields":[
        {"name":"id","type":"long"},{"name":"more","type":["string","null"]},
        {"name":"state","type":["null",{"type":"enum","name":"S","symbols":["OPEN"]}]},
        {"name":"price","type":{"type":"fixed","name":"F","size":4,"logicalType":"decimal","precision":6,"scale":3}}]}"#;
    let columns = declared("STATE VARCHAR, ID INT, PRICE DECIMAL(5,2)");
    let refs: Vec<_> = columns.iter().collect();
    let mut writer = avro::writer(&document(schema), &refs, false).unwrap();
    let decimal = |digits| Value::Decimal(digits, 2);
    let rows = [
        vec![Value::text("OPEN"), Value::Int(1), decimal(-1)],
        vec![Value::Null, Value::Null, decimal(1)],
        vec![Value::text("SHUT"), Value::Int(1), decimal(1)],
        vec![Value::Null, Value::Int(1), decimal(99999)],
        vec![Value::Null, Value::Int(1), decimal(12345)],
    ];
    let written = write_bodies(&mut writer, &columns, &rows);
    let expected = [
        Ok(vec![2, 2, 2, 0, 0xff, 0xff, 0xff, 0xf6]),
        Err("ID: it is NULL, which the schema does not allow".to_string()),
        Err("STATE: the enum has no 'SHUT'".to_string()),
        Ok(vec![2, 2, 0, 0, 0x0f, 0x42, 0x36]),
        Ok(vec![2, 2, 0, 0, 0x01, 0xe2, 0x3a]),
    ];
    assert_eq!(written[..3], expected[..3]);
    assert_eq!(written[4], expected[4]);
    for (columns, expected) in [
        ("ID BIGINT", "field state"),
        ("ID BIGINT, PRICE DECIMAL(5,2), X INT", "column X: the schema has no such field"),
        ("ID VARCHAR", "column ID is STRING, which long cannot hold"),
    ] {
        let columns = declared(columns);
        let refs: Vec<_> = columns.iter().collect();
        let fault = avro::writer(&document(schema), &refs, false).err().unwrap();
        assert!(fault.contains(expected) || fault.contains("field price has no column"), "{fault}");
    }
}

#[test]
fn hostile_schemas_and_bodies_end_soon() {
    // Each record holds two of the one before: 2^60 of no bytes.
    let two = |i: usize| match i {
        0 => String::new(),
        _ => format!(r#"{{"name":"a","type":"R{0}"}},{{"name":"b","type":"R{0}"}}"#, i - 1),
    };
    let record =
        |i| format!(r#"{{"name":"f{i}","type":{{"type":"record","name":"R{i}","fields":[{}]}}}}"#, two(i));
    let fields: Vec<String> = (0..=60).map(record).collect();
    let schema = format!(r#"{{"type":"record","name":"R","fields":[{}]}}"#, fields.join(","));
    assert_eq!(
        shown(read_all(&schema, "A INT", &[b""]).remove(0), &[]),
        ": it claims to hold more values than it has bytes"
    );
    assert!(
        avro::columns_of(&document(&schema), false, codec::Inference::default())
            .unwrap_err()
            .contains("too large")
    );

    // A list of itself, as deep as the body is long.
    let schema = r#"{"type":"record","name":"R","fields":[{"name":"next","type":["null","R"]}]}"#;
    let deep = [vec![2; 100_000], vec![0]].concat();
    assert_eq!(
        shown(read_all(schema, "A INT", &[&deep]).remove(0), &[]),
        ": the record nests more than 128 values deep"
    );

    let many: &[u8] = &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01, 0x02];
    for ty in [r#"{"type":"array","items":"null"}"#, r#"{"type":"array","items":"int"}"#] {
        let found = [read_one(ty, "ARRAY<INT>", many), read_one(ty, "ARRAY<INT>", &[0xfe; 9])];
        assert!(found.iter().all(|found| found.starts_with("A: ")), "{found:?}");
        assert_eq!(
            read_one(ty, "ARRAY<INT>", &[0xfe, 0xff, 0xff, 0x0f]),
            "A: it claims to hold more values than it has bytes"
        );
    }
}
