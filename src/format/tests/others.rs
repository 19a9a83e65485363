//! KAFKA and NONE, keys, tombstones and changelogs.

use super::*;

#[test]
fn kafka() {
    let cases: [(&str, &[u8], Result<Value, &str>); 9] = [
        ("INT", &[0, 0, 1, 0], Ok(Value::Int(256))),
        ("INT", &[0, 0, 1], Err("column A: INTEGER has 4 bytes, the record has 3")),
        ("BIGINT", &[0xff; 8], Ok(Value::Bigint(-1))),
        ("DOUBLE", &[0x3f, 0xf8, 0, 0, 0, 0, 0, 0], Ok(Value::Double(1.5))),
        ("DOUBLE", &[], Err("column A: DOUBLE has 8 bytes, the record has 0")),
        ("VARCHAR", b"a text of more than 12 bytes", Ok(Value::text("a text of more than 12 bytes"))),
        ("VARCHAR", b"", Ok(Value::text(""))),
        ("VARCHAR", b"\xff", Err("column A: '\u{fffd}' is not valid UTF-8")),
        ("BYTES", &[1, 2], Ok(Value::Bytes([1, 2].into()))),
    ];
    for (ty, bytes, expected) in cases {
        let schema = one(scalar(ty));
        let read = read(Format::Kafka, &schema, &[bytes]).remove(0);
        assert_eq!(read, expected.map(|v| vec![v]).map_err(str::to_string), "{ty} {bytes:?}");
        if let Ok(row) = read {
            let written = write(&stream(Format::Kafka), &schema, &batch(&schema, &[row]));
            assert_eq!(written.value(0), Some(bytes));
        }
    }
    for columns in ["A INT, B INT", "A DATE"] {
        assert!(decoder(&stream(Format::Kafka), &schema(columns), &Lookups::none()).is_err());
    }
}

#[test]
fn none_carries_nothing() {
    let serialization = Serialization { key: Format::None, value: DELIMITED, changelog: false };
    let error = decoder(&serialization, &schema("K INT KEY, A INT"), &Lookups::none()).err().unwrap();
    assert_eq!(error.message, "column K: NONE carries no columns");
}

const KEYED: &str = "K INT KEY, A VARCHAR";

fn keyed(changelog: bool) -> Serialization {
    Serialization { key: JSON, value: DELIMITED, changelog }
}

#[test]
fn streams_have_rows_of_messages_without_a_value() {
    let keys = [Some("1"), Some("x"), None, Some("4"), Some("z")];
    let values = [Some("a"), Some("a"), Some("a"), None, None];
    let read = read_messages(&keyed(false), &schema(KEYED), &messages(Some(&keys), &values));
    let expected = [
        Ok(vec![Value::Int(1), Value::text("a")]),
        Err("column K: byte 0: expected a value, found 'x'".to_string()),
        Ok(vec![Value::Null, Value::text("a")]),
        Ok(vec![Value::Int(4), Value::Null]),
        Err("column K: byte 0: expected a value, found 'z'".to_string()),
    ];
    assert_eq!(read, expected);
    let messages_of = messages(Some(&keys), &values);
    let mut decoder = decoder(&keyed(false), &schema(KEYED), &Lookups::none()).unwrap();
    let deleted = decoder.decode(&messages_of, &[true, true]).deleted.unwrap();
    assert_eq!(deleted.iter().collect::<Vec<_>>(), [false, false, true]);
    let unkeyed = read_messages(&keyed(false), &schema(KEYED), &messages(None, &[Some("a")]));
    assert_eq!(unkeyed, [Ok(vec![Value::Null, Value::text("a")])]);
}

#[test]
fn changelogs_delete() {
    let keys = [Some("1"), Some("2"), Some("\"x\""), None];
    let values = [Some("a"), None, None, Some("a")];
    let messages = messages(Some(&keys), &values);
    let decoded =
        decoder(&keyed(true), &schema(KEYED), &Lookups::none()).unwrap().decode(&messages, &[true, true]);
    let expected = [
        Ok(vec![Value::Int(1), Value::text("a")]),
        Ok(vec![Value::Int(2), Value::Null]),
        Err("column K: 'x' is not an INTEGER".to_string()),
        Err("no key".to_string()),
    ];
    assert_eq!(outcomes(&decoded, 4), expected);
    assert_eq!(decoded.kept, Some(vec![0, 1]));
    assert_eq!(decoded.deleted.unwrap().iter().collect::<Vec<_>>(), [false, true]);
    let columns: Vec<_> = decoded.rejects.iter().map(|r| r.column.as_deref()).collect();
    assert_eq!(columns, [Some("K"), None]);
}

#[test]
fn deletions_are_written_without_a_value() {
    let schema = schema(KEYED);
    let mut batch =
        batch(&schema, &[vec![Value::Int(1), Value::text("a")], vec![Value::Int(2), Value::Null]]);
    batch.deleted = Some(BooleanBuffer::from(vec![false, true]));
    let written = write(&keyed(true), &schema, &batch);
    assert_eq!((written.key(1), written.value(1)), (Some(&b"2"[..]), None));
    let read = read_messages(&keyed(true), &schema, &written);
    assert_eq!(read[1], Ok(vec![Value::Int(2), Value::Null]));
}

#[test]
fn keys_of_several_columns_are_objects() {
    let schema = schema("K INT KEY, L VARCHAR KEY, A VARCHAR");
    let rows = [vec![Value::Int(1), Value::text("l"), Value::text("a")]];
    let written = write(&keyed(false), &schema, &batch(&schema, &rows));
    assert_eq!(written.key(0), Some(&br#"{"K":1,"L":"l"}"#[..]));
    assert_eq!(read_messages(&keyed(false), &schema, &written), [Ok(rows[0].clone())]);
}

#[test]
fn torn_messages_are_rejects() {
    let mut messages = messages(None, &[Some("1"), Some("x"), Some("3")]);
    messages.torn = vec![(1, "the line is too long".to_string())];
    let read = read_messages(&stream(DELIMITED), &one(SqlType::Int), &messages);
    let expected =
        [Ok(vec![Value::Int(1)]), Err("the line is too long".to_string()), Ok(vec![Value::Int(3)])];
    assert_eq!(read, expected);
}

#[test]
fn columns_of_headers() {
    use crate::headers::push;
    let mut schema = schema("A INT");
    let header = |name: &str, ty, part| ColumnDef { name: name.into(), ty, part };
    schema.columns.push(header("ALL", crate::types::headers_type(), Part::Headers));
    schema.columns.push(header("K", SqlType::Bytes, Part::Header("k".into())));
    let mut messages = messages(None, &[Some("1"), Some("x"), Some("3")]);
    let mut decoder = decoder(&stream(DELIMITED), &schema, &Lookups::none()).unwrap();
    let shown = |decoded: &Decoded| -> Vec<String> {
        let show = |row: Row| {
            let mut text = String::new();
            output::json_row(&schema.columns, &row, &mut text);
            text
        };
        rows(decoded, 2).into_iter().map(show).collect()
    };
    let none = [r#"{"A":1,"ALL":[],"K":null}"#, r#"{"A":3,"ALL":[],"K":null}"#];
    assert_eq!(shown(&decoder.decode(&messages, &[true; 3])), none);

    // The bad message takes its headers along; a name that is no UTF-8 is shown as far as it is.
    let mut buffer = Vec::new();
    let mut block = |headers: &[(&[u8], Option<&[u8]>)]| {
        let start = buffer.len() as u32;
        headers.iter().for_each(|(name, value)| push(name, *value, &mut buffer));
        Range32 { start, end: buffer.len() as u32 }
    };
    let blocks =
        vec![block(&[(b"k", Some(b"1")), (b"k\xff", None)]), block(&[(b"k", Some(b"bad"))]), Range32::NULL];
    messages.headers = Headers::each(&Buffer::from(buffer), blocks);
    let list = "[{\"KEY\":\"k\",\"VALUE\":\"MQ==\"},{\"KEY\":\"k\u{fffd}\",\"VALUE\":null}]";
    let some = [format!("{{\"A\":1,\"ALL\":{list},\"K\":\"MQ==\"}}"), none[1].to_string()];
    assert_eq!(shown(&decoder.decode(&messages, &[true; 3])), some);

    // Nobody had asked for them: the columns are not there, so that nobody takes them for empty ones.
    messages.headers = Headers::Unread;
    let columns = decoder.decode(&messages, &[true; 3]).columns;
    assert!(matches!(columns[..], [Column::Array(_), Column::Absent, Column::Absent]));
}
