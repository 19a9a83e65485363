//! Stage 5: what crosses to another process, as bytes and back, in three codecs.
//!
//! The engine uses bincode for updates. Abomonation is here as the yardstick only: it copies memory
//! as it lies, which is fast, unsound and no longer maintained (RUSTSEC-2021-0120).

use crate::Bench;
use crate::aggregates;
use crate::cpu::CpuTime;
use crate::data::{self, HISTORIC, ROWS};
use abomonation::Abomonation;
use arrow_array::{ArrayRef, BinaryArray, RecordBatch, UInt64Array};
use arrow_ipc::reader::StreamReader;
use arrow_ipc::writer::StreamWriter;
use criterion::{BatchSize, BenchmarkGroup, Throughput};
use serde::{Serialize, de::DeserializeOwned};
use std::hint::black_box;
use std::sync::Arc;
use wharfe::batch::Batch;
use wharfe::plan::Wanted;
use wharfe::render::packed::{Blob, StateUpdate};
use wharfe::render::source::RowDecoder;
use wharfe::value::{Row, Value};

const UPDATES: u64 = 1_000;

pub fn benches(c: &mut Bench) {
    updates(c);
    rows(c);
}

/// Pre-aggregated updates: key, tick, state. Elements are updates.
fn updates(c: &mut Bench) {
    let states = aggregates::states(UPDATES);
    let mut group = c.benchmark_group("exchange of updates");
    group.throughput(Throughput::Elements(UPDATES));

    let typed: Vec<StateUpdate> =
        states.iter().map(|(key, state)| ((Blob(key.clone()), ()), 7, state.clone())).collect();
    bincode_both_ways(&mut group, &typed);

    let keys: BinaryArray = states.iter().map(|(key, _)| Some(&key[..])).collect();
    let values: BinaryArray = states.iter().map(|(_, state)| Some(&state.0[..])).collect();
    let ticks = UInt64Array::from(vec![7; states.len()]);
    let columns: [(&str, ArrayRef); 3] =
        [("key", Arc::new(keys)), ("tick", Arc::new(ticks)), ("state", Arc::new(values))];
    ipc_both_ways(&mut group, &RecordBatch::try_from_iter(columns).expect("columns of one length"));

    let plain: Vec<(Vec<u8>, u64, Vec<u8>)> =
        states.iter().map(|(key, state)| (key.to_vec(), 7, state.0.to_vec())).collect();
    abomonation_both_ways(&mut group, &plain);
    group.finish();
}

/// Whole rows, as an exchange before aggregation would send them. Elements are rows.
fn rows(c: &mut Bench) {
    let planned = data::car_parks();
    let source = data::source(&planned, HISTORIC);
    let mut decoder =
        RowDecoder::new(source, &wharfe::registry::Lookups::none()).expect("the format can be decoded");
    let batch = decoder.decode(&data::messages(HISTORIC, ROWS, None), &Wanted::default()).0;
    let mut group = c.benchmark_group("exchange of rows");
    group.throughput(Throughput::Elements(ROWS));

    let values: Vec<Row> = (0..batch.len).map(|i| batch.row(i)).collect();
    bincode_both_ways(&mut group, &values);

    let names = source.schema.columns.iter().map(|c| c.name.clone());
    let columns = names.zip(batch.columns.iter().map(|c| c.to_array(batch.len)));
    ipc_both_ways(&mut group, &RecordBatch::try_from_iter(columns).expect("columns of one length"));

    abomonation_both_ways(&mut group, &plain_rows(&batch));
    group.finish();
}

/// Texts and numbers of a row, in types that abomonation knows.
type Plain = (Vec<Vec<u8>>, Vec<i32>, Vec<f64>);

fn plain_rows(batch: &Batch) -> Vec<Plain> {
    let plain = |row: Row| {
        let (mut texts, mut numbers, mut doubles) = Plain::default();
        for value in row {
            match value {
                Value::Varchar(text) => texts.push(text.as_bytes().to_vec()),
                Value::Int(number) => numbers.push(number),
                Value::Double(double) => doubles.push(double),
                other => panic!("the feed has no {other:?}"),
            }
        }
        (texts, numbers, doubles)
    };
    (0..batch.len).map(|i| plain(batch.row(i))).collect()
}

fn bincode_both_ways<T: Serialize + DeserializeOwned>(group: &mut BenchmarkGroup<CpuTime>, value: &T) {
    let bytes = bincode::serialize(value).expect("plain data");
    group.bench_function(format!("bincode, {} KiB, to bytes", bytes.len() >> 10), |b| {
        b.iter(|| bincode::serialize(black_box(value)))
    });
    group.bench_function("bincode, from bytes", |b| {
        b.iter(|| bincode::deserialize::<T>(black_box(&bytes)).expect("as it was written"))
    });
}

fn ipc_both_ways(group: &mut BenchmarkGroup<CpuTime>, batch: &RecordBatch) {
    let write = || {
        let mut writer = StreamWriter::try_new(Vec::new(), &batch.schema()).expect("a schema that IPC knows");
        writer.write(batch).expect("memory does not fail");
        writer.into_inner().expect("memory does not fail")
    };
    let bytes = write();
    group.bench_function(format!("Arrow IPC, {} KiB, to bytes", bytes.len() >> 10), |b| b.iter(write));
    group.bench_function("Arrow IPC, from bytes", |b| {
        b.iter(|| {
            let reader = StreamReader::try_new(black_box(&bytes[..]), None).expect("as it was written");
            reader.map(|batch| batch.expect("as it was written")).collect::<Vec<_>>()
        })
    });
}

fn abomonation_both_ways<T: Abomonation>(group: &mut BenchmarkGroup<CpuTime>, value: &Vec<T>) {
    let write = || {
        let mut bytes = Vec::new();
        // SAFETY: a vector of vectors and numbers, whose padding is copied but never looked at.
        unsafe { abomonation::encode(value, &mut bytes) }.expect("memory does not fail");
        bytes
    };
    let bytes = write();
    group.bench_function(format!("abomonation, {} KiB, to bytes", bytes.len() >> 10), |b| b.iter(write));
    group.bench_function("abomonation, from bytes, in place", |b| {
        b.iter_batched_ref(
            || bytes.clone(),
            |bytes| {
                // SAFETY: these bytes were written by `encode` of this type, and the allocator aligns
                // them for it.
                let (read, _) = unsafe { abomonation::decode::<Vec<T>>(bytes) }.expect("as it was written");
                black_box(read).len()
            },
            BatchSize::LargeInput,
        )
    });
}
