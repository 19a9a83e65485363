//! Stage 2 for formats whose bodies a schema explains, with JSON beside them: the same rows, both ways.

use crate::Bench;
use crate::data::{self, HISTORIC, ROWS};
use arrow_buffer::{Buffer, ScalarBuffer};
use criterion::Throughput;
use std::hint::black_box;
use wharfe::batch::{Batch, MessageBatch, Range32, Timestamps};
use wharfe::format::codec::BodyReader;
use wharfe::format::encode::Writer;
use wharfe::format::parts::Columns;
use wharfe::format::protobuf::Nullable;
use wharfe::format::{Encoded, Format, Serialization, Written, avro, decoder, encoder, protobuf};
use wharfe::headers::Headers;
use wharfe::plan::Wanted;
use wharfe::registry::{self, Lookups};
use wharfe::render::source::RowDecoder;
use wharfe::types::ColumnDef;

pub fn benches(c: &mut Bench) {
    let planned = data::car_parks();
    let source = data::source(&planned, HISTORIC);
    let columns: Vec<&ColumnDef> = source.schema.columns.iter().collect();
    let all = vec![true; columns.len()];
    let mut rows = RowDecoder::new(source, &Lookups::none()).expect("the format can be decoded");
    let rows = rows.decode(&data::messages(HISTORIC, ROWS, None), &Wanted::default()).0;

    let mut group = c.benchmark_group("codecs");
    group.throughput(Throughput::Elements(ROWS));

    let json =
        Serialization { key: Format::None, value: Format::Json { wrap_single: true }, changelog: false };
    let mut writer = encoder(&json, &source.schema, &Written::default()).expect("the columns can be written");
    let mut encode = || {
        let mut out = Encoded::default();
        writer.encode(black_box(&rows), &mut out);
        out
    };
    group.bench_function("json, historic, written", |b| b.iter(&mut encode));
    let messages = messages(encode());
    let mut reader = decoder(&json, &source.schema, &Lookups::none()).expect("the columns can be read");
    group.bench_function("json, historic, read", |b| b.iter(|| reader.decode(black_box(&messages), &all)));

    for (name, (mut reader, mut writer)) in [
        ("avro", avro_codec(&columns)),
        ("protobuf", protobuf_codec(&columns, Nullable::Plain)),
        ("protobuf optional", protobuf_codec(&columns, Nullable::Optional)),
    ] {
        let mut encode = || write(&mut *writer, black_box(&rows));
        group.bench_function(format!("{name}, historic, written"), |b| b.iter(&mut encode));
        let bodies = encode();
        let buffer = Buffer::from(bodies.buffer);
        let mut parts = Columns::new(&columns);
        group.bench_function(format!("{name}, historic, read"), |b| {
            b.iter(|| {
                parts.start(&all, bodies.values.len());
                for body in &bodies.values {
                    reader.read(black_box(&buffer), *body, &mut parts).expect("what was written is read");
                }
                parts.finish(&buffer)
            })
        });
    }
    group.finish();
}

type Codec = (Box<dyn BodyReader>, Box<dyn Writer>);

fn avro_codec(columns: &[&ColumnDef]) -> Codec {
    let text = avro::schema_text(columns, false, avro::FULL_NAME).expect("AVRO has the names");
    let schema = registry::avro::Document::parse(&text, &[]).expect("it was just written");
    let reader = avro::reader(&schema, columns, false, None).expect("the columns are the schema's");
    let writer = avro::writer(&schema, columns, false).expect("the columns are the schema's");
    (reader, Box::new(writer))
}

fn protobuf_codec(columns: &[&ColumnDef], nullable: Nullable) -> Codec {
    let text = protobuf::schema_text(columns, protobuf::FULL_NAME, nullable).expect("PROTOBUF has the names");
    let schema = registry::protobuf::Document::parse(&text, &[]).expect("it was just written");
    let message = schema.message(&[0]).expect("it has one message");
    let reader = protobuf::reader(&message, columns).expect("the columns are the message's");
    let writer = protobuf::writer(&message, columns).expect("the columns are the message's");
    (reader, Box::new(writer))
}

fn write(writer: &mut dyn Writer, rows: &Batch) -> Encoded {
    let mut out = Encoded::default();
    let mut write = writer.rows(&rows.columns);
    for row in 0..rows.len {
        let start = out.buffer.len() as u32;
        write(row, &mut out.buffer).expect("every row can be written");
        out.values.push(Range32 { start, end: out.buffer.len() as u32 });
    }
    out
}

fn messages(written: Encoded) -> MessageBatch {
    MessageBatch {
        partition: 0,
        buffer: Buffer::from(written.buffer),
        offsets: ScalarBuffer::from_iter(0..written.values.len() as i64),
        values: written.values,
        keys: None,
        timestamps: Timestamps::All(0),
        headers: Headers::None,
        torn: vec![],
        names: None,
    }
}
