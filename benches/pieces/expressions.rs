//! Stage 3: expressions over batches.

use crate::Bench;
use crate::data::{self, HISTORIC, ROWS};
use arrow_array::{ArrayRef, Int32Array, StringViewArray};
use chrono::{NaiveDateTime, TimeZone};
use criterion::Throughput;
use std::hint::black_box;
use std::sync::Arc;
use wharfe::batch::{Batch, Column, Origin};
use wharfe::expr::Notes;
use wharfe::expr::compile::compile;

const TIME: &str = "STRINGTOTIMESTAMP(T, 'yyyy-MM-dd HH:mm', 'Europe/London')";
const PCT_FULL: &str = "(CAST((CAPACITY - EMPTY_PLACES) AS DOUBLE) / CAST(CAPACITY AS DOUBLE)) * 100";

pub fn benches(c: &mut Bench) {
    timestamps(c);
    arithmetic(c);
    let planned = data::car_parks();
    let rows = data::rows(&planned, HISTORIC, ROWS, None);
    let mut unify = data::unify(&planned, HISTORIC);
    let mut group = c.benchmark_group("expressions");
    group.throughput(Throughput::Elements(ROWS));
    group.bench_function("INSERT INTO CARPARK_EVENTS, what its readers want", |b| {
        b.iter(|| unify.apply(black_box(&rows), &mut Notes::default()))
    });
    group.finish();
}

/// Each row another minute: nothing is gained by remembering the last one.
fn timestamps(c: &mut Bench) {
    let start = NaiveDateTime::default() + chrono::TimeDelta::days(17_567);
    let minutes = (0..ROWS as i64).map(|i| start + chrono::TimeDelta::minutes(i));
    let texts: Vec<String> = minutes.map(|time| time.format("%Y-%m-%d %H:%M").to_string()).collect();
    let rows = batch(vec![Arc::new(StringViewArray::from_iter_values(&texts))]);
    let mut time = compile(&data::expression("T VARCHAR", TIME)).expect("it compiles");

    let mut group = c.benchmark_group("timestamps");
    group.throughput(Throughput::Elements(ROWS));
    group.bench_function("STRINGTOTIMESTAMP", |b| {
        b.iter(|| time.eval(black_box(&rows), &mut Notes::default()))
    });
    group.bench_function("yardstick: chrono parse_from_str and chrono-tz, each row", |b| {
        b.iter(|| {
            let parse = |text: &String| {
                let local =
                    NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M").expect("it fits the pattern");
                chrono_tz::Europe::London.from_local_datetime(&local).earliest().map(|t| t.timestamp_millis())
            };
            black_box(&texts).iter().map(parse).collect::<Vec<Option<i64>>>()
        })
    });
    group.finish();
}

fn arithmetic(c: &mut Bench) {
    let numbers = |of: i32| -> ArrayRef {
        Arc::new(Int32Array::from_iter_values((0..ROWS as i32).map(|i| 1 + i % of)))
    };
    let rows = batch(vec![numbers(1_300), numbers(900)]);
    let mut share =
        compile(&data::expression("CAPACITY INT, EMPTY_PLACES INT", PCT_FULL)).expect("it compiles");
    let mut group = c.benchmark_group("expressions");
    group.throughput(Throughput::Elements(ROWS));
    group.bench_function("PCT_FULL", |b| b.iter(|| share.eval(black_box(&rows), &mut Notes::default())));
    group.finish();
}

fn batch(columns: Vec<ArrayRef>) -> Batch {
    let offsets = (0..ROWS as i64).collect::<Vec<_>>().into();
    Batch {
        len: ROWS as usize,
        columns: columns.into_iter().map(Column::Array).collect(),
        origin: Origin { offsets, ..Origin::none(ROWS as usize) },
        deleted: None,
    }
}
