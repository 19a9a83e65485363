//! DELIMITED messages: what is read, what is rejected and why, what is written.

use super::*;
use proptest::prelude::*;

#[test]
fn the_historic_feed() {
    let schema = schema(
        "DATE VARCHAR, TIME VARCHAR, NAME VARCHAR, CAPACITY INT, EMPTY_PLACES INT, STATUS VARCHAR, LATITUDE DOUBLE, LONGITUDE DOUBLE",
    );
    let read = read(
        DELIMITED,
        &schema,
        &[
            "2018-02-05,09:55,Westgate,116,80,Spaces,53.796291,-1.759143",
            "2018-02-05,09:55,NCP Hall Ings long name,116,,Spaces,,-1.759143",
            "2018-02-05,09:55,Westgate,116,80,Spaces,53.796291,-1.759143,\"https://x/?a=1,2\"",
            "2018-02-05,09:55,Westgate,116,eighty,Spaces,53.796291,west",
            "2018-02-05,09:55,Westgate",
            "",
        ],
    );
    let text = Value::text;
    let row = |name, free, lat| {
        let (date, time) = (text("2018-02-05"), text("09:55"));
        Ok(vec![date, time, text(name), Value::Int(116), free, text("Spaces"), lat, Value::Double(-1.759143)])
    };
    let expected = [
        row("Westgate", Value::Int(80), Value::Double(53.796291)),
        row("NCP Hall Ings long name", Value::Null, Value::Null),
        Err("8 columns declared, the record has 9".to_string()),
        Err("column EMPTY_PLACES: 'eighty' is not an INTEGER".to_string()),
        Err("8 columns declared, the record has 3".to_string()),
        Err("8 columns declared, the record has 0".to_string()),
    ];
    assert_eq!(read, expected);
}

#[test]
fn fields_of_every_type() {
    let cases = [
        ("VARCHAR", "a b", Ok(Value::text("a b"))),
        ("VARCHAR", "exactly 12 b", Ok(Value::text("exactly 12 b"))),
        ("VARCHAR", "exactly 13 by", Ok(Value::text("exactly 13 by"))),
        ("VARCHAR", "", Ok(Value::Null)),
        ("VARCHAR", "\"\"", Ok(Value::Null)),
        ("VARCHAR", "\"a,\nb\"", Ok(Value::text("a,\nb"))),
        ("VARCHAR", "\"say \"\"hello, world\"\"\"", Ok(Value::text("say \"hello, world\""))),
        ("VARCHAR", "a\"b", Ok(Value::text("a\"b"))),
        ("VARCHAR", "\"\"\"\"", Ok(Value::text("\""))),
        ("VARCHAR", "abc\r\n", Ok(Value::text("abc"))),
        ("VARCHAR", "\"abc\r\"", Ok(Value::text("abc\r"))),
        ("VARCHAR", "café", Ok(Value::text("café"))),
        ("VARCHAR", "\"ab", Err("column A: the quote is never closed: '\"ab'")),
        ("VARCHAR", "\"ab\"c", Err("column A: text follows the closing quote: '\"ab\"c'")),
        ("VARCHAR", "\"ab\" ", Err("column A: text follows the closing quote: '\"ab\" '")),
        ("VARCHAR", "a,b", Err("1 column declared, the record has 2")),
        ("INT", "7", Ok(Value::Int(7))),
        ("INT", "\"7\"", Ok(Value::Int(7))),
        ("INT", "+7", Ok(Value::Int(7))),
        ("INT", "7\r", Ok(Value::Int(7))),
        ("INT", " 7", Err("column A: ' 7' is not an INTEGER")),
        ("INT", "1.0", Err("column A: '1.0' is not an INTEGER")),
        ("INT", "2147483648", Err("column A: '2147483648' is out of range for INTEGER")),
        ("BIGINT", "-9223372036854775808", Ok(Value::Bigint(i64::MIN))),
        ("BIGINT", "9223372036854775808", Err("column A: '9223372036854775808' is out of range for BIGINT")),
        ("DOUBLE", "1e3", Ok(Value::Double(1e3))),
        ("DOUBLE", "NaN", Ok(Value::Double(f64::NAN))),
        ("DOUBLE", "-Infinity", Ok(Value::Double(f64::NEG_INFINITY))),
        ("DOUBLE", "1,5", Err("1 column declared, the record has 2")),
        ("DOUBLE", "x", Err("column A: 'x' is not a DOUBLE")),
        ("BOOLEAN", "TRUE", Ok(Value::Boolean(true))),
        ("BOOLEAN", "yes", Err("column A: 'yes' is not a BOOLEAN")),
        ("DECIMAL", "12.3", Ok(Value::Decimal(1230, 2))),
        ("DECIMAL", "12.345", Err("column A: '12.345' does not fit DECIMAL(4, 2)")),
        ("DECIMAL", "x", Err("column A: 'x' is not a DECIMAL(4, 2)")),
        ("BYTES", "AQID", Ok(Value::Bytes([1, 2, 3].into()))),
        ("BYTES", "A", Err("column A: 'A' is not base64")),
        ("DATE", "2018-02-05", Ok(Value::Date(17567))),
        ("DATE", "17567", Ok(Value::Date(17567))),
        ("DATE", "soon", Err("column A: 'soon' is not a DATE")),
        ("TIME", "00:01", Ok(Value::Time(60_000))),
        ("TIMESTAMP", "1970-01-01T00:00:01", Ok(Value::Timestamp(1000))),
    ];
    for (ty, field, expected) in cases {
        let read = read(DELIMITED, &one(scalar(ty)), &[field]).remove(0);
        assert_eq!(read, expected.map(|v| vec![v]).map_err(str::to_string), "{ty} {field:?}");
    }
}

#[test]
fn a_value_is_clipped() {
    let read = read(DELIMITED, &one(SqlType::Int), &["é".repeat(100)]);
    assert_eq!(read, [Err(format!("column A: '{}…' is not an INTEGER", "é".repeat(60)))]);
}

#[test]
fn bad_utf8_names_its_column() {
    let schema = schema("A VARCHAR, B VARCHAR, C INT");
    let values: [&[u8]; 3] = [b"x,caf\xe9,1", "é,ok,1".as_bytes(), b"x,\"a\"\"\xff\",1"];
    let read = read(DELIMITED, &schema, &values);
    let expected = [
        Err("column B: 'caf\u{fffd}' is not valid UTF-8".to_string()),
        Ok(vec![Value::text("é"), Value::text("ok"), Value::Int(1)]),
        Err("column B: 'a\"\u{fffd}' is not valid UTF-8".to_string()),
    ];
    assert_eq!(read, expected);
}

#[test]
fn other_delimiters() {
    let schema = schema("A VARCHAR, B DOUBLE");
    let tab = Format::Delimited { delimiter: b'\t' };
    let row = vec![Value::text("a\tb"), Value::Double(1.0)];
    let rows = [row];
    assert_eq!(read(tab, &schema, &["\"a\tb\"\t1"]), [Ok(rows[0].clone())]);
    assert_eq!(written(tab, &schema, &rows), ["\"a\tb\"\t1.0"]);
    let dot = Format::Delimited { delimiter: b'.' };
    assert_eq!(written(dot, &schema, &rows), ["a\tb.\"1.0\""]);
    for delimiter in [b'"', b'\n', 0xc3] {
        assert!(decoder(&stream(Format::Delimited { delimiter }), &schema, &Lookups::none()).is_err());
    }
}

#[test]
fn types_with_parts_are_refused() {
    let schema = one(SqlType::Array(Box::new(SqlType::Int)));
    for error in [
        decoder(&stream(DELIMITED), &schema, &Lookups::none()).err(),
        encoder(&stream(DELIMITED), &schema, &Written::default()).err(),
    ] {
        assert_eq!(error.unwrap().message, "column A is ARRAY<INTEGER>, which DELIMITED cannot carry");
    }
}

#[test]
fn rows_are_written() {
    let schema = schema("A VARCHAR, B DOUBLE, C DATE, D BYTES, E DECIMAL");
    let rows = [
        vec![
            Value::text("a,\"b\""),
            Value::Double(1.0),
            Value::Date(3),
            Value::Bytes([1].into()),
            Value::Decimal(5, 2),
        ],
        vec![Value::Null; 5],
    ];
    assert_eq!(written(DELIMITED, &schema, &rows), ["\"a,\"\"b\"\"\",1.0,3,AQ==,0.05", ",,,,"]);
}

/// Many chunks, in whatever order the messages lie.
#[test]
fn messages_lie_anywhere() {
    let schema = schema("A VARCHAR, B INT");
    let line = |i: usize| match i % 7 {
        0 => format!("\"quoted, number {i}\",{i}"),
        1 => format!("\"escaped \"\" {i}\",{i}"),
        2 => format!("é{i},{i}"),
        3 => format!("bad{i},"),
        4 => format!("bad{i}"),
        _ => format!("plain {i} and rather long,{i}"),
    };
    let lines: Vec<Option<String>> = (0..2000).map(|i| Some(line(i)).filter(|_| i % 11 > 0)).collect();
    let mut messages = messages(None, &lines);
    let forwards = read_messages(&stream(DELIMITED), &schema, &messages);
    assert_eq!(forwards[4], Err("2 columns declared, the record has 1".to_string()));
    assert_eq!(forwards[5], Ok(vec![Value::text("plain 5 and rather long"), Value::Int(5)]));
    messages.values.reverse();
    let mut backwards = read_messages(&stream(DELIMITED), &schema, &messages);
    backwards.reverse();
    assert_eq!(forwards, backwards);
    messages.values.reverse();
    // One message after the other, each in a buffer that ends with it.
    for (i, outcome) in forwards.iter().enumerate() {
        let alone = super::messages(None, &lines[i..=i]);
        assert_eq!(&read_messages(&stream(DELIMITED), &schema, &alone)[0], outcome);
    }
}

proptest! {
    /// What the `csv` crate writes is read as it was; it quotes as RFC 4180 has it.
    #[test]
    fn reads_what_csv_writes(table in prop::collection::vec(prop::collection::vec("[a-c,\"\n é]{0,20}", 3), 1..40)) {
        let lines: Vec<Vec<u8>> = table.iter().map(|row| {
            let mut writer = csv::Writer::from_writer(vec![]);
            writer.write_record(row).unwrap();
            writer.into_inner().unwrap()
        }).collect();
        let read = read(DELIMITED, &schema("A VARCHAR, B VARCHAR, C VARCHAR"), &lines);
        for (row, outcome) in table.iter().zip(read) {
            let value = |text: &String| if text.is_empty() { Value::Null } else { Value::text(text) };
            prop_assert_eq!(outcome, Ok(row.iter().map(value).collect::<Row>()));
        }
    }

    /// And the other way round.
    #[test]
    fn csv_reads_what_is_written(row in prop::collection::vec("[a-c,\"\r\n é]{0,20}", 3)) {
        let values: Row = row.iter().map(|text| Value::text(text)).collect();
        let lines = written(DELIMITED, &schema("A VARCHAR, B VARCHAR, C VARCHAR"), &[values]);
        let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(lines[0].as_bytes());
        let record = reader.records().next().unwrap().unwrap();
        prop_assert_eq!(record.iter().collect::<Vec<_>>(), row);
    }
}
