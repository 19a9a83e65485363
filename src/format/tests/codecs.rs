//! What AVRO and PROTOBUF have in common: what is written reads back, and any bytes are survived.

use super::properties::{any_known, any_scalar};
use super::*;
use crate::format::codec::BodyReader;
use crate::format::encode::Writer;
use crate::format::protobuf::Nullable;
use crate::format::{avro, protobuf};
use proptest::prelude::*;

/// Any type; maps have keys of other types than VARCHAR too.
fn any_type() -> impl Strategy<Value = SqlType> {
    any_scalar().prop_recursive(3, 8, 3, |inner| {
        let key =
            prop::sample::select(vec![SqlType::Varchar, SqlType::Int, SqlType::Bigint, SqlType::Boolean]);
        prop_oneof![
            inner.clone().prop_map(|item| SqlType::Array(Box::new(item))),
            (key, inner.clone()).prop_map(|(key, value)| SqlType::Map(Box::new(key), Box::new(value))),
            prop::collection::vec(inner, 1..3).prop_map(|types| {
                let named = types.into_iter().zip(["a", "B", "c"]);
                SqlType::Struct(named.map(|(ty, name)| StructField { name: name.into(), ty }).collect())
            }),
        ]
    })
}

fn any_value(ty: &SqlType) -> BoxedStrategy<Value> {
    let known = match ty {
        SqlType::Array(item) => prop::collection::vec(any_value(item), 0..4).prop_map(Value::Array).boxed(),
        SqlType::Map(key, value) => prop::collection::vec((any_known(key), any_value(value)), 0..12)
            .prop_map(|entries| {
                let mut kept: Vec<(Value, Value)> = vec![];
                for (key, value) in entries {
                    if kept.iter().all(|(other, _)| *other != key) {
                        kept.push((key, value));
                    }
                }
                Value::Map(kept)
            })
            .boxed(),
        SqlType::Struct(fields) => {
            fields.iter().map(|f| any_value(&f.ty)).collect::<Vec<_>>().prop_map(Value::Struct).boxed()
        }
        scalar => any_known(scalar),
    };
    prop_oneof![1 => Just(Value::Null), 4 => known].boxed()
}

/// Types that PROTOBUF has: nothing repeated in what is repeated.
fn in_protobuf(ty: SqlType) -> SqlType {
    let single = |ty: SqlType| match in_protobuf(ty) {
        SqlType::Array(item) => *item,
        SqlType::Map(_, value) => *value,
        ty => ty,
    };
    match ty {
        SqlType::Array(item) => SqlType::Array(Box::new(single(*item))),
        SqlType::Map(key, value) => SqlType::Map(key, Box::new(single(*value))),
        SqlType::Struct(fields) => {
            SqlType::Struct(fields.into_iter().map(|f| StructField { ty: in_protobuf(f.ty), ..f }).collect())
        }
        scalar => scalar,
    }
}

/// What a value that PROTOBUF cannot tell from another is read as; none where it is in a list.
fn as_protobuf(value: &Value, ty: &SqlType, nullable: bool) -> Option<Value> {
    Some(match (value, ty) {
        (Value::Null, SqlType::Array(_)) => Value::Array(vec![]),
        (Value::Null, SqlType::Map(..)) => Value::Map(vec![]),
        (Value::Null, _) if nullable => Value::Null,
        (Value::Null, SqlType::Boolean) => Value::Boolean(false),
        (Value::Null, SqlType::Int) => Value::Int(0),
        (Value::Null, SqlType::Bigint) => Value::Bigint(0),
        (Value::Null, SqlType::Double) => Value::Double(0.0),
        (Value::Null, SqlType::Varchar) => Value::text(""),
        (Value::Null, SqlType::Bytes) => Value::Bytes([].into()),
        (Value::Array(items), SqlType::Array(ty)) => Value::Array(
            items
                .iter()
                .filter(|item| **item != Value::Null)
                .map(|item| as_protobuf(item, ty, nullable))
                .collect::<Option<_>>()?,
        ),
        (Value::Map(entries), SqlType::Map(_, ty)) => {
            let known = entries.iter().filter(|(_, value)| *value != Value::Null);
            Value::Map(
                known
                    .map(|(key, value)| Some((key.clone(), as_protobuf(value, ty, nullable)?)))
                    .collect::<Option<_>>()?,
            )
        }
        (Value::Struct(values), SqlType::Struct(fields)) => {
            let pairs = values.iter().zip(fields);
            Value::Struct(
                pairs.map(|(value, field)| as_protobuf(value, &field.ty, nullable)).collect::<Option<_>>()?,
            )
        }
        (other, _) => other.clone(),
    })
}

fn columns_with_rows() -> impl Strategy<Value = (Vec<ColumnDef>, Vec<Row>)> {
    columns_with_rows_of(any_type().boxed())
}

fn columns_with_rows_of(ty: BoxedStrategy<SqlType>) -> impl Strategy<Value = (Vec<ColumnDef>, Vec<Row>)> {
    prop::collection::vec(ty, 1..5).prop_flat_map(|types| {
        let columns = super::properties::of_types(types, 0).columns;
        let row: Vec<_> = columns.iter().map(|c| any_value(&c.ty)).collect();
        (Just(columns), prop::collection::vec(row, 1..6))
    })
}

fn avro_both(columns: &[ColumnDef]) -> (Box<dyn BodyReader>, impl Writer) {
    let refs: Vec<_> = columns.iter().collect();
    let schema = super::avro::document(&avro::schema_text(&refs, false, avro::FULL_NAME).unwrap());
    (avro::reader(&schema, &refs, false, None).unwrap(), avro::writer(&schema, &refs, false).unwrap())
}

fn protobuf_both(columns: &[ColumnDef], nullable: Nullable) -> (Box<dyn BodyReader>, impl Writer) {
    let refs: Vec<_> = columns.iter().collect();
    let text = protobuf::schema_text(&refs, protobuf::FULL_NAME, nullable).unwrap();
    let message = super::protobuf::message(&text);
    (protobuf::reader(&message, &refs).unwrap(), protobuf::writer(&message, &refs).unwrap())
}

fn check(
    (mut reader, mut writer): (Box<dyn BodyReader>, impl Writer),
    columns: &[ColumnDef],
    rows: &[Row],
    noise: &[Vec<u8>],
) -> std::result::Result<(), TestCaseError> {
    let bodies: Vec<Vec<u8>> =
        write_bodies(&mut writer, columns, rows).into_iter().map(|body| body.unwrap()).collect();
    let read = read_bodies(&mut *reader, columns, &bodies);
    prop_assert_eq!(read, rows.iter().cloned().map(Ok).collect::<Vec<_>>());

    // Cut anywhere, and with noise in between, the good bodies are what they were.
    let body = &bodies[0];
    let mut damaged: Vec<Vec<u8>> = (0..body.len()).map(|len| body[..len].to_vec()).collect();
    damaged.extend(noise.iter().cloned());
    damaged.extend((0..body.len().min(40)).map(|i| {
        let mut changed = body.clone();
        changed[i] ^= 1 << (i % 8);
        changed
    }));
    damaged.push(body.clone());
    let read = read_bodies(&mut *reader, columns, &damaged);
    prop_assert_eq!(read.last(), Some(&Ok(rows[0].clone())));
    Ok(())
}

proptest! {
    #[test]
    fn avro_reads_what_it_writes(
        (columns, rows) in columns_with_rows(),
        noise in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..30), 0..5),
    ) {
        check(avro_both(&columns), &columns, &rows, &noise)?;
    }

    #[test]
    fn avro_cut_anywhere_is_a_fault((columns, rows) in columns_with_rows()) {
        let (mut reader, mut writer) = avro_both(&columns);
        let body = write_bodies(&mut writer, &columns, &rows[..1]).remove(0).unwrap();
        let cut: Vec<_> = (0..body.len()).map(|len| &body[..len]).collect();
        prop_assert!(read_bodies(&mut *reader, &columns, &cut).iter().all(|read| read.is_err()));
    }

    #[test]
    fn protobuf_reads_what_it_writes(
        (columns, rows) in columns_with_rows_of(any_type().prop_map(in_protobuf).boxed()),
        nullable in prop::sample::select(vec![Nullable::Plain, Nullable::Optional, Nullable::Wrapper]),
        noise in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..30), 0..5),
    ) {
        let known = nullable != Nullable::Plain;
        let row = |row: Row| row.iter().zip(&columns).map(|(v, c)| as_protobuf(v, &c.ty, known)).collect::<Option<Row>>();
        // NULL is not told from messages that are absent: they are it.
        let rows: Vec<Row> = rows.into_iter().map(|r| row(r).unwrap()).collect();
        check(protobuf_both(&columns, nullable), &columns, &rows, &noise)?;
    }
}
