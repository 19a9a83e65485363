//! Messages for each format: what its encoder has written, damaged.

use super::input::{Random, damaged};
use super::targets::Target;
use arrow_buffer::Buffer;
use wharfe::batch::{Column, MessageBatch, Range32, Timestamps};
use wharfe::format::{Decoder, Encoded, Format, Serialization, decoder, encoder, unregistered};
use wharfe::headers::Headers;
use wharfe::registry::{Client, Kind, Lookups, Registry, Schema as Registered};
use wharfe::render::table::rows_to_batch;
use wharfe::sql::ast::{ColumnSpec, Statement};
use wharfe::sql::parse_statement;
use wharfe::types::{ColumnDef, Schema, SqlType};
use wharfe::value::Value;

const MESSAGES: usize = 32;

const SCALARS: &str = "S VARCHAR, N INT, B BIGINT, D DOUBLE, P DECIMAL(6, 2), OK BOOLEAN, X BYTES, DT DATE, TM TIME, \
                       TS TIMESTAMP";
const NESTED: &str = "TAGS ARRAY<VARCHAR>, AT STRUCT<`lat` DOUBLE, DEEP ARRAY<STRUCT<N INT>>>, M MAP<VARCHAR, BIGINT>, \
                      DECIMALS ARRAY<DECIMAL(20, 3)>";

/// Schemas of writers that know other fields, in other orders and types.
const AVRO: &str = r#"{"type":"record","name":"R","fields":[
    {"name":"TAGS","type":{"type":"array","items":["null","string"]}},
    {"name":"MORE","type":["int",{"type":"map","values":{"type":"fixed","name":"F","size":3}}]},
    {"name":"N","type":["null","int"]},{"name":"S","type":{"type":"enum","name":"E","symbols":["A","B"]}},
    {"name":"B","type":"int"},{"name":"SELF","type":["null","R"]}]}"#;
const PROTOBUF: &str = "syntax = \"proto3\"; message Outer { message Inner { int32 N = 4; Inner SELF = 5; } \
                        repeated string TAGS = 1; Inner AT = 2; sint64 B = 3; map<string, int64> M = 9; oneof one \
                        { fixed32 N = 6; bytes S = 7; } }";

pub fn decodings() -> Vec<Box<dyn Target>> {
    let all = format!("{SCALARS}, {NESTED}");
    let cases: [(&str, &str, &str); 13] = [
        ("delimited", "DELIMITED", SCALARS),
        ("json", "JSON", &all),
        ("json_sr", "JSON_SR", &all),
        ("avro", "AVRO", &all),
        ("protobuf", "PROTOBUF", &all),
        ("protobuf_nosr", "PROTOBUF_NOSR", &all),
        ("kafka_int", "KAFKA", "N INT"),
        ("kafka_bigint", "KAFKA", "N BIGINT"),
        ("kafka_double", "KAFKA", "N DOUBLE"),
        ("kafka_string", "KAFKA", "N VARCHAR"),
        ("kafka_bytes", "KAFKA", "N BYTES"),
        ("json_single", "JSON", "N INT"),
        ("avro_single", "AVRO", "N STRUCT<A INT>"),
    ];
    let decoding =
        |(name, format, columns)| -> Box<dyn Target> { Box::new(Decoding::new(name, format, columns)) };
    cases.into_iter().map(decoding).collect()
}

struct Decoding {
    name: &'static str,
    decoder: Box<dyn Decoder>,
    columns: usize,
    seeds: Vec<Vec<u8>>,
}

impl Decoding {
    fn new(name: &'static str, format: &str, columns: &str) -> Decoding {
        let schema = schema_of(columns);
        let value = Format::named(format).expect("a format");
        let value = if name.ends_with("_single") { value.unwrapped() } else { value };
        let serialization = Serialization { key: Format::None, value, changelog: false };
        let registry = Client::Own(Registry::volatile());
        let mut written = unregistered(&serialization, &schema, [None, None]).expect("it can be written");
        if let Some(resolved) = &mut written.value {
            resolved.id = registry.register("t", (*resolved.schema).clone()).expect("a new subject");
        }
        for (kind, text) in [(Kind::Avro, AVRO), (Kind::Protobuf, PROTOBUF)] {
            if value.kind() == Some(kind) {
                registry.register("other", Registered::new(kind, text)).expect("a new subject");
            }
        }
        let mut encoded = Encoded::default();
        let types: Vec<SqlType> = schema.columns.iter().map(|column| column.ty.clone()).collect();
        let rows: Vec<Vec<Value>> =
            (0..4).map(|n| types.iter().map(|ty| value_of(ty, n)).collect()).collect();
        let mut encoder = encoder(&serialization, &schema, &written).expect("it can be written");
        encoder.encode(&rows_to_batch(&types, &rows), &mut encoded);
        let seeds = encoded.values.iter().filter_map(|range| range.of(&encoded.buffer)).map(<[u8]>::to_vec);
        let seeds = seeds.chain([Vec::new()]).collect();
        let decoder = decoder(&serialization, &schema, &Lookups::new(registry)).expect("it can be read");
        Decoding { name, decoder, columns: types.len(), seeds }
    }
}

impl Target for Decoding {
    fn name(&self) -> &str {
        self.name
    }

    /// Each message of a batch is a row or a reject, whatever is wanted of the rows.
    fn one(&mut self, random: &mut Random) -> usize {
        let mut buffer = Vec::new();
        let mut place = |bytes: Vec<u8>| {
            let start = buffer.len() as u32;
            buffer.extend(bytes);
            Range32 { start, end: buffer.len() as u32 }
        };
        let values: Vec<Range32> = (0..MESSAGES)
            .map(|_| match random.below(40) {
                0 => Range32::NULL,
                // As if another one had written it.
                1 => place(
                    [&[0, 0, 0, 0, 1 + random.below(4) as u8], &damaged(random, &self.seeds)[..]].concat(),
                ),
                _ => place(damaged(random, &self.seeds)),
            })
            .collect();
        let messages = MessageBatch {
            partition: 0,
            offsets: (0..MESSAGES as i64).collect(),
            buffer: Buffer::from(buffer),
            values,
            keys: None,
            timestamps: Timestamps::All(0),
            headers: Headers::None,
            torn: Vec::new(),
            names: None,
        };
        let wanted: Vec<bool> = (0..self.columns).map(|_| random.below(3) > 0).collect();
        while !self.decoder.is_ready(&messages) {
            std::thread::yield_now();
        }
        let decoded = self.decoder.decode(&messages, &wanted);
        let kept = decoded.kept.map_or(MESSAGES, |kept| kept.len());
        assert_eq!(kept + decoded.rejects.len(), MESSAGES, "each is a row or a reject");
        for (column, wanted) in decoded.columns.iter().zip(wanted) {
            match column {
                Column::Array(array) => assert_eq!(array.len(), kept, "rows have all columns"),
                Column::Absent => assert!(!wanted || kept == 0, "what is wanted is there"),
                _ => {}
            }
        }
        MESSAGES
    }
}

fn schema_of(columns: &str) -> Schema {
    let sql = format!("CREATE STREAM S ({columns}) WITH (A = 1)");
    let statement = parse_statement(&sql).expect("columns").statement;
    let Statement::CreateSource { columns, .. } = statement else { unreachable!("it is one") };
    let column = |ColumnSpec { name, ty, part }| ColumnDef { name: name.name, ty, part };
    Schema::new(columns.into_iter().map(column))
}

/// Some value of a type; NULL now and then.
fn value_of(ty: &SqlType, n: i64) -> Value {
    let text = ["", "a", "it's \"quoted\", and so\n", "zwölf 🚗"][n as usize % 4];
    match ty {
        _ if n == 3 && !matches!(ty, SqlType::Varchar) => Value::Null,
        SqlType::Boolean => Value::Boolean(n % 2 == 0),
        SqlType::Int => Value::Int(n as i32 - 1),
        SqlType::Bigint => Value::Bigint(n << 40),
        SqlType::Double => Value::Double(n as f64 / 3.0),
        SqlType::Decimal { scale, .. } => Value::Decimal(n.into(), *scale),
        SqlType::Varchar => Value::Varchar(text.into()),
        SqlType::Bytes => Value::Bytes(text.as_bytes().into()),
        SqlType::Date => Value::Date(n as i32 * 1_000),
        SqlType::Time => Value::Time(n as i32 * 1_000),
        SqlType::Timestamp => Value::Timestamp(n * 100_000_000_000),
        SqlType::Array(item) => Value::Array((0..n).map(|n| value_of(item, n % 3)).collect()),
        SqlType::Map(_, of) => Value::Map(
            (0..n).map(|n| (Value::Varchar(format!("k{n}").into()), value_of(of, n % 3))).collect(),
        ),
        SqlType::Struct(fields) => Value::Struct(fields.iter().map(|field| value_of(&field.ty, n)).collect()),
    }
}
