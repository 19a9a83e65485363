//! The same row as other libraries write it: bodies of `fastavro` 1.13 and of Python's `protobuf` 7.36, made
//! with the schemas that are made here. Both directions must agree to the byte.

use super::*;
use crate::format::protobuf::Nullable;
use crate::format::{avro, protobuf};

const COLUMNS: &str = "B BOOLEAN, I INT, L BIGINT, D DOUBLE, E DECIMAL(9,3), S VARCHAR, Y BYTES, DT DATE, T TIME, \
    TS TIMESTAMP, A ARRAY<INT>, M MAP<VARCHAR, DOUBLE>, ST STRUCT<X INT, P STRUCT<Q VARCHAR>>, \
    SA ARRAY<STRUCT<N BIGINT>>, N VARCHAR";

fn row() -> Row {
    let text = Value::text;
    vec![
        Value::Boolean(true),
        Value::Int(-123_456),
        Value::Bigint(9_007_199_254_740_993),
        Value::Double(-0.1),
        Value::Decimal(-1_234_567, 3),
        text("Bradford, Göteborg, 東京 and more"),
        Value::Bytes([0, 255, 128].into()),
        Value::Date(17_567),
        Value::Time(35_730_125),
        Value::Timestamp(1_602_451_500_001),
        Value::Array(vec![Value::Int(1), Value::Int(-1), Value::Int(300)]),
        Value::Map(vec![(text("a"), Value::Double(1.5)), (text("b"), Value::Double(0.0))]),
        Value::Struct(vec![Value::Int(7), Value::Struct(vec![text("q")])]),
        Value::Array(vec![Value::Struct(vec![Value::Bigint(1)]), Value::Struct(vec![Value::Bigint(-5)])]),
        Value::Null,
    ]
}

const AVRO: &str = "\
    020102ff880f028280808080808020029a9999999999b9bf0206ed2979024842726164666f72642c2047c3b67465626f\
    72672c20e69db1e4baac20616e64206d6f7265020600ff8002be9202029acb892202c2afeb98a35d02060202020102d8\
    0400020402026102000000000000f83f0202620200000000000000000002020e0202027102040202020202090000";

const PLAIN: &str = "\
    080110c0bbf8ffffffffffff01188180808080808010219a9999999999b9bf2a090a03ed297910091803322442726164\
    666f72642c2047c3b67465626f72672c20e69db1e4baac20616e64206d6f72653a0300ff80420708e20f100218054a0b\
    08091037181e20c0b2cd3b520a08acf08dfc0510c0843d5a0d01ffffffffffffffffff01ac02620c0a01611100000000\
    0000f83f620c0a01621100000000000000006a07080712030a017172020801720b08fbffffffffffffffff01";

const OPTIONAL: &str = "\
    080110c0bbf8ffffffffffff01188180808080808010219a9999999999b9bf2a090a03ed297910091803322442726164\
    666f72642c2047c3b67465626f72672c20e69db1e4baac20616e64206d6f72653a0300ff80420708e20f100218054a0b\
    08091037181e20c0b2cd3b520a08acf08dfc0510c0843d5a0d01ffffffffffffffffff01ac02620c0a01611100000000\
    0000f83f620c0a01621100000000000000006a07080712030a017172020801720b08fbffffffffffffffff01";

const WRAPPER: &str = "\
    0a020801120b08c0bbf8ffffffffffff011a090881808080808080102209099a9999999999b9bf2a090a03ed29791009\
    180332260a2442726164666f72642c2047c3b67465626f72672c20e69db1e4baac20616e64206d6f72653a050a0300ff\
    80420708e20f100218054a0b08091037181e20c0b2cd3b520a08acf08dfc0510c0843d5a0d01ffffffffffffffffff01\
    ac0262100a030a0161120909000000000000f83f62070a030a016212006a0b0a02080712050a030a017172040a020801\
    720d0a0b08fbffffffffffffffff01";

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|i| u8::from_str_radix(&hex[i..i + 2], 16).unwrap()).collect()
}

fn check(
    mut reader: Box<dyn codec::BodyReader>,
    mut writer: impl encode::Writer,
    columns: &[ColumnDef],
    row: &Row,
    foreign: &str,
) {
    assert_eq!(read_bodies(&mut *reader, columns, &[bytes(foreign)]), [Ok(row.clone())]);
    assert_eq!(write_bodies(&mut writer, columns, std::slice::from_ref(row)), [Ok(bytes(foreign))]);
}

#[test]
fn avro_agrees() {
    let columns = declared(COLUMNS);
    let refs: Vec<_> = columns.iter().collect();
    let schema = super::avro::document(&avro::schema_text(&refs, false, avro::FULL_NAME).unwrap());
    let reader = avro::reader(&schema, &refs, false, None).unwrap();
    check(reader, avro::writer(&schema, &refs, false).unwrap(), &columns, &row(), AVRO);
}

#[test]
fn protobuf_agrees() {
    let columns = declared(COLUMNS);
    let refs: Vec<_> = columns.iter().collect();
    let forms = [
        (Nullable::Plain, Value::text(""), PLAIN),
        (Nullable::Optional, Value::Null, OPTIONAL),
        (Nullable::Wrapper, Value::Null, WRAPPER),
    ];
    for (nullable, absent, foreign) in forms {
        let message =
            super::protobuf::message(&protobuf::schema_text(&refs, protobuf::FULL_NAME, nullable).unwrap());
        let mut row = row();
        *row.last_mut().unwrap() = absent;
        let reader = protobuf::reader(&message, &refs).unwrap();
        check(reader, protobuf::writer(&message, &refs).unwrap(), &columns, &row, foreign);
    }
}
