//! Stage 4: rows into one small state a group, and states into each other.

use crate::Bench;
use crate::data::{self, HISTORIC, LEEDS, ROWS};
use criterion::{BatchSize, Throughput};
use std::hint::black_box;
use wharfe::aggregate::exact::ExactSum;
use wharfe::aggregate::{Key, State};
use wharfe::batch::Batch;
use wharfe::expr::Notes;
use wharfe::plan::Aggregation;
use wharfe::render::preaggregate::{Arguments, groups};

pub fn benches(c: &mut Bench) {
    sums(c);
    groupings(c);
    merging(c);
}

fn sums(c: &mut Bench) {
    let shares: Vec<f64> = (0..ROWS).map(|i| (i * 7_919 % 612) as f64 / 611.0 * 100.0).collect();
    let mut group = c.benchmark_group("sums");
    group.throughput(Throughput::Elements(ROWS));
    group.bench_function("exact, the same in any order", |b| {
        b.iter(|| {
            let mut sum = ExactSum::default();
            black_box(&shares).iter().for_each(|share| sum.add(*share));
            sum.to_f64()
        })
    });
    group.bench_function("yardstick: rounded at each step", |b| {
        b.iter(|| black_box(&shares).iter().sum::<f64>())
    });
    group.finish();
}

fn groupings(c: &mut Bench) {
    let planned = data::car_parks();
    let mut bench = c.benchmark_group("pre-aggregate");
    bench.throughput(Throughput::Elements(ROWS));
    for (name, table, feed, car_parks) in [
        ("SOURCE_COUNTS", "SOURCE_COUNTS", HISTORIC, None),
        ("CARPARK_OCCUPANCY, 7 car parks", "CARPARK_OCCUPANCY", HISTORIC, None),
        ("CARPARK_OCCUPANCY, 4 with long names", "CARPARK_OCCUPANCY", LEEDS, None),
        ("CARPARK_OCCUPANCY, 1,000 car parks", "CARPARK_OCCUPANCY", HISTORIC, Some(1_000)),
        ("CARPARK_OCCUPANCY, each row another", "CARPARK_OCCUPANCY", HISTORIC, Some(1_000_000)),
    ] {
        let (aggregation, rows) = inputs(&planned, table, feed, car_parks);
        let arguments = Arguments::of(&aggregation);
        let mut groups = groups(&aggregation);
        bench.bench_function(name, |b| {
            b.iter(|| {
                arguments.add(&mut groups, black_box(&rows));
                groups.flush(&mut |key, state, _| {
                    black_box((key, state));
                });
            })
        });
    }
    bench.finish();
}

/// Elements are states.
fn merging(c: &mut Bench) {
    let states = states(1_000);
    let later = data_later();
    let pairs: Vec<(State, State)> = states.into_iter().zip(later).map(|((_, a), (_, b))| (a, b)).collect();
    let mut group = c.benchmark_group("merge");
    group.throughput(Throughput::Elements(pairs.len() as u64));
    group.bench_function("states of CARPARK_OCCUPANCY", |b| {
        b.iter_batched(
            || pairs.clone(),
            |mut pairs| {
                pairs.iter_mut().for_each(|(a, b)| a.merge(b));
                pairs
            },
            BatchSize::LargeInput,
        )
    });
    group.finish();
}

fn data_later() -> Vec<(Key, State)> {
    states_of(1_000, 5 * ROWS as i64)
}

/// One state of each of so many car parks.
pub fn states(car_parks: u64) -> Vec<(Key, State)> {
    states_of(car_parks, 0)
}

fn states_of(car_parks: u64, later: i64) -> Vec<(Key, State)> {
    let planned = data::car_parks();
    let (aggregation, mut rows) = inputs(&planned, "CARPARK_OCCUPANCY", HISTORIC, Some(car_parks));
    rows.origin.offsets = rows.origin.offsets.iter().map(|offset| offset + later).collect();
    let mut groups = groups(&aggregation);
    Arguments::of(&aggregation).add(&mut groups, &rows);
    let mut states = Vec::new();
    groups.flush(&mut |key, state, _| states.push((key, state)));
    states
}

fn inputs(
    planned: &wharfe::engine::replay::Planned,
    table: &str,
    feed: &str,
    car_parks: Option<u64>,
) -> (Aggregation, Batch) {
    let rows = data::rows(planned, feed, ROWS, car_parks);
    let events = data::unify(planned, feed).apply(&rows, &mut Notes::default());
    data::grouped(planned, table, &events)
}
