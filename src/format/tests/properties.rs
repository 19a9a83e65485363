//! What is written reads back; what a decoder gives does not depend on what is wanted; any bytes are survived.

use super::*;
use proptest::prelude::*;

const FORMATS: [Format; 3] = [DELIMITED, JSON, Format::Json { wrap_single: false }];

pub fn any_scalar() -> impl Strategy<Value = SqlType> {
    prop::sample::select(vec![
        SqlType::Boolean,
        SqlType::Int,
        SqlType::Bigint,
        SqlType::Double,
        SqlType::Decimal { precision: 4, scale: 2 },
        SqlType::Varchar,
        SqlType::Bytes,
        SqlType::Date,
        SqlType::Time,
        SqlType::Timestamp,
    ])
}

fn any_type() -> impl Strategy<Value = SqlType> {
    any_scalar().prop_recursive(3, 8, 3, |inner| {
        prop_oneof![
            inner.clone().prop_map(|item| SqlType::Array(Box::new(item))),
            inner.clone().prop_map(|value| SqlType::Map(Box::new(SqlType::Varchar), Box::new(value))),
            prop::collection::vec(inner, 1..3).prop_map(|types| {
                let names = ["a", "B", "c"];
                SqlType::Struct(
                    types.into_iter().zip(names).map(|(ty, n)| StructField { name: n.into(), ty }).collect(),
                )
            }),
        ]
    })
}

pub fn of_types(types: Vec<SqlType>, keys: usize) -> Schema {
    let names = ["A", "B", "C", "D"];
    let column =
        |(i, ty): (usize, SqlType)| ColumnDef { name: names[i].into(), ty, part: Part::key_if(i < keys) };
    Schema::new(types.into_iter().enumerate().map(column))
}

/// Lists in the place of maps.
fn without_maps(ty: SqlType) -> SqlType {
    match ty {
        SqlType::Map(_, item) | SqlType::Array(item) => SqlType::Array(Box::new(without_maps(*item))),
        SqlType::Struct(fields) => {
            SqlType::Struct(fields.into_iter().map(|f| StructField { ty: without_maps(f.ty), ..f }).collect())
        }
        scalar => scalar,
    }
}

/// A schema and the formats of keys and values that can carry it.
fn any_schema() -> impl Strategy<Value = (Serialization, Schema)> {
    let formats = (prop::sample::select(&FORMATS[..]), any::<bool>());
    (formats, 0..2usize, prop::collection::vec(any_type(), 1..5)).prop_map(
        |((value, changelog), keys, types)| {
            let simple =
                |ty: &SqlType| !matches!(ty, SqlType::Array(_) | SqlType::Map(..) | SqlType::Struct(_));
            let value = if types.iter().all(simple) { value } else { JSON };
            // No key can hold a map.
            let kept = |(i, ty)| if i < keys { without_maps(ty) } else { ty };
            let types = types.into_iter().enumerate().map(kept).collect();
            (Serialization { key: JSON, value, changelog }, of_types(types, keys))
        },
    )
}

/// A value that the formats carry both ways: NULL and '' are one in DELIMITED.
fn any_value(ty: &SqlType) -> BoxedStrategy<Value> {
    prop_oneof![1 => Just(Value::Null), 4 => any_known(ty)].boxed()
}

/// A value that is not NULL.
pub fn any_known(ty: &SqlType) -> BoxedStrategy<Value> {
    match ty {
        SqlType::Boolean => any::<bool>().prop_map(Value::Boolean).boxed(),
        SqlType::Int => any::<i32>().prop_map(Value::Int).boxed(),
        SqlType::Bigint => any::<i64>().prop_map(Value::Bigint).boxed(),
        SqlType::Double => any::<f64>().prop_map(Value::Double).boxed(),
        SqlType::Decimal { scale, .. } => {
            let scale = *scale;
            (-9999..=9999i128).prop_map(move |v| Value::Decimal(v, scale)).boxed()
        }
        SqlType::Varchar => "[a-c,\"\\\\\r\n\té😀{}]{1,30}".prop_map(|text| Value::text(&text)).boxed(),
        SqlType::Bytes => {
            prop::collection::vec(any::<u8>(), 1..20).prop_map(|b| Value::Bytes(b.into())).boxed()
        }
        SqlType::Date => any::<i32>().prop_map(Value::Date).boxed(),
        SqlType::Time => (0..86_400_000).prop_map(Value::Time).boxed(),
        SqlType::Timestamp => any::<i64>().prop_map(Value::Timestamp).boxed(),
        SqlType::Array(item) => prop::collection::vec(any_value(item), 0..4).prop_map(Value::Array).boxed(),
        SqlType::Map(_, value) => prop::collection::btree_map("[a-c\"é]{0,20}", any_value(value), 0..4)
            .prop_map(|m| Value::Map(m.into_iter().map(|(k, v)| (Value::text(&k), v)).collect()))
            .boxed(),
        SqlType::Struct(fields) => {
            fields.iter().map(|f| any_value(&f.ty)).collect::<Vec<_>>().prop_map(Value::Struct).boxed()
        }
    }
}

fn schema_with_rows() -> impl Strategy<Value = (Serialization, Schema, Vec<Row>)> {
    any_schema().prop_flat_map(|(serialization, schema)| {
        let row: Vec<_> = schema.columns.iter().map(|c| any_value(&c.ty)).collect();
        (Just(serialization), Just(schema), prop::collection::vec(row, 1..8))
    })
}

/// Bytes that are often nearly right.
fn any_bytes() -> impl Strategy<Value = Option<Vec<u8>>> {
    let tokens = prop::sample::select(vec![
        "{",
        "}",
        "[",
        "]",
        ":",
        ",",
        "\"",
        "\"A\"",
        "\"b\"",
        "\"C\":",
        "1",
        "-1.5",
        "1e9",
        "null",
        "true",
        " ",
        "\n",
        "\\u00e9",
        "\\ud83d",
        "é",
        "\"AQ==\"",
        "2018-02-05",
        "99999999999",
    ]);
    prop_oneof![
        1 => Just(None),
        4 => prop::collection::vec(any::<u8>(), 0..40).prop_map(Some),
        8 => prop::collection::vec(tokens, 0..14).prop_map(|t| Some(t.concat().into_bytes())),
    ]
}

proptest! {
    #[test]
    fn every_message_has_one_outcome(
        (serialization, schema) in any_schema(),
        pairs in prop::collection::vec((any_bytes(), any_bytes()), 0..30),
        wanted in prop::collection::vec(any::<bool>(), 4),
    ) {
        let (keys, values): (Vec<_>, Vec<_>) = pairs.into_iter().unzip();
        let messages = messages(Some(&keys), &values);
        let mut decoder = decoder(&serialization, &schema, &Lookups::none()).unwrap();
        let full = decoder.decode(&messages, &vec![true; schema.len()]);
        let expected = outcomes(&full, messages.len());

        // Whatever is wanted, and whatever was decoded before: the same rows, the same rejects.
        let some = decoder.decode(&messages, &wanted[..schema.len()]);
        prop_assert_eq!(&some.kept, &full.kept);
        prop_assert_eq!(&some.rejects, &full.rejects);
        prop_assert_eq!(&some.deleted, &full.deleted);
        let rows = full.kept.as_ref().map_or(messages.len(), Vec::len);
        for ((column, all), wanted) in some.columns.iter().zip(&full.columns).zip(&wanted) {
            prop_assert_eq!(matches!(column, Column::Absent), !wanted);
            for i in 0..rows {
                prop_assert!(!wanted || column.value(i) == all.value(i));
            }
        }
        let again = decoder.decode(&messages, &vec![true; schema.len()]);
        prop_assert_eq!(outcomes(&again, messages.len()), expected);
    }

    #[test]
    fn what_is_written_reads_back((serialization, schema, rows) in schema_with_rows()) {
        // A table's row always has a key.
        let serialization = Serialization { changelog: false, ..serialization };
        let written = write(&serialization, &schema, &batch(&schema, &rows));
        let read = read_messages(&serialization, &schema, &written);
        for (row, outcome) in rows.iter().zip(read) {
            prop_assert_eq!(outcome, Ok(row.clone()));
        }
    }
}
