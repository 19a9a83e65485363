//! Costs per row of the shapes that matter; run with
//! `cargo test --profile quick --lib aggregate::bench -- --ignored --nocapture --test-threads 1`.

use super::*;
use crate::batch::{Column, Origin, Timestamps};
use crate::types::{SqlType, StructField};
use crate::value::Value;
use arrow_array::*;
use std::hint::black_box;
use std::sync::Arc;

const ROWS: usize = 8 << 10;

struct Job {
    specs: Vec<Spec>,
    types: Vec<Vec<SqlType>>,
    keys: Vec<Column>,
    args: Vec<Vec<Column>>,
}

fn latest() -> Spec {
    Spec::Latest { ignore_nulls: true, n: None }
}

fn text(values: impl Iterator<Item = String>) -> Column {
    Column::Array(Arc::new(StringViewArray::from_iter_values(values)))
}

fn source() -> Column {
    Column::Const(Value::array(&SqlType::Varchar, [Value::text("leeds")].iter()))
}

/// COUNT(*), six LATEST, MIN, MAX and AVG of INT and of DOUBLE by source and name.
fn car_parks(start: usize, names: usize, prefix: &str) -> Job {
    let row = |i: usize| (start + i).wrapping_mul(0x9e37_79b9) >> 7;
    let int = |m: usize| Arc::new(Int32Array::from_iter_values((0..ROWS).map(|i| (row(i) % m) as i32)));
    let share: Vec<f64> = (0..ROWS).map(|i| (row(i) % 612) as f64 / 611.0 * 100.0).collect();
    let share: ArrayRef = Arc::new(Float64Array::from(share));
    let field = |name: &str| StructField { name: name.into(), ty: SqlType::Double };
    let place = SqlType::Struct(vec![field("lat"), field("lon")]);
    let arrow_schema::DataType::Struct(fields) = place.arrow() else { unreachable!() };
    let double = |base: f64| -> ArrayRef {
        Arc::new(Float64Array::from_iter_values((0..ROWS).map(|i| base + (row(i) % names) as f64 / 997.0)))
    };
    let place_array = StructArray::new(fields, vec![double(53.79), double(-1.54)], None);
    let (places, capacity): (ArrayRef, ArrayRef) = (int(612), int(900));
    let time: ArrayRef =
        Arc::new(Int64Array::from_iter_values((0..ROWS).map(|i| 1_602_451_500_000 + i as i64)));
    let status = text((0..ROWS).map(|i| ["Open", "Filling", "Full"][row(i) % 3].to_string()));
    let name = text((0..ROWS).map(|i| format!("{prefix} {}", row(i) % names)));
    let column = |array: &ArrayRef| vec![Column::Array(Arc::clone(array))];
    let mut specs = vec![Spec::CountRows];
    let (mut types, mut args) = (vec![vec![]], vec![vec![]]);
    let mut add = |spec: Spec, ty: SqlType, columns: Vec<Column>| {
        specs.push(spec);
        types.push(vec![ty]);
        args.push(columns);
    };
    add(latest(), SqlType::Bigint, column(&time));
    add(latest(), SqlType::Int, column(&places));
    add(latest(), SqlType::Int, column(&capacity));
    add(latest(), SqlType::Varchar, vec![status]);
    add(latest(), SqlType::Double, column(&share));
    add(latest(), place, vec![Column::Array(Arc::new(place_array))]);
    for (ty, array) in [(SqlType::Int, &places), (SqlType::Double, &share)] {
        add(Spec::Min, ty.clone(), column(array));
        add(Spec::Max, ty.clone(), column(array));
        add(Spec::Avg(ty.clone()), ty, column(array));
    }
    Job { specs, types, keys: vec![source(), name], args }
}

fn by_source() -> Job {
    let time: ArrayRef =
        Arc::new(Int64Array::from_iter_values((0..ROWS).map(|i| 1_602_451_500_000 ^ (i as i64 * 7919))));
    let column = || vec![Column::Array(Arc::clone(&time))];
    Job {
        specs: vec![Spec::CountRows, Spec::Min, Spec::Max],
        types: vec![vec![], vec![SqlType::Bigint], vec![SqlType::Bigint]],
        keys: vec![source()],
        args: vec![vec![], column(), column()],
    }
}

fn origin(start: usize) -> Origin {
    Origin {
        rowtime: Timestamps::All(1_602_451_500_000),
        source: 1,
        partition: 0,
        offsets: (0..ROWS).map(|i| ((start + i) * 94) as i64).collect(),
    }
}

/// CPU time of this thread, so that a busy machine shows less.
fn cpu_ns() -> f64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the call writes one timespec to a valid place.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) };
    time.tv_sec as f64 * 1e9 + time.tv_nsec as f64
}

/// The best of some repetitions, in ns per row.
fn best(repeat: usize, rows: usize, mut run: impl FnMut()) -> f64 {
    let once = |run: &mut dyn FnMut()| {
        let start = cpu_ns();
        run();
        (cpu_ns() - start) / rows as f64
    };
    (0..repeat).map(|_| once(&mut run)).fold(f64::INFINITY, f64::min)
}

fn per_batch(job: &Job) -> f64 {
    let mut aggregator = PreAggregator::new(&job.specs, &job.types);
    let origin = origin(0);
    best(300, ROWS, || {
        aggregator.add(&job.keys, &job.args, &origin, ROWS);
        aggregator.flush(&mut |key, state, _| {
            black_box((key, state));
        });
    })
}

#[test]
#[ignore = "measures"]
fn rows_into_groups() {
    let few = car_parks(0, 50, "Car Park");
    println!("by source and name, 50 groups: {:.1} ns/row", per_batch(&few));
    let long = car_parks(0, 50, "Woodhouse Lane");
    println!("by source and name of 16 to 17 bytes: {:.1} ns/row", per_batch(&long));
    println!("by source: {:.2} ns/row", per_batch(&by_source()));
    for call in 0..few.specs.len() {
        let one = Job {
            specs: vec![few.specs[call].clone()],
            types: vec![few.types[call].clone()],
            keys: few.keys.clone(),
            args: vec![few.args[call].clone()],
        };
        println!("  {} {:?}: {:.1} ns/row", one.specs[0], one.types[0], per_batch(&one));
    }
}

#[test]
#[ignore = "measures"]
fn every_row_a_group() {
    let jobs: Vec<Job> = (0..64).map(|i| car_parks(i * ROWS, usize::MAX, "Car Park")).collect();
    let specs = &jobs[0].specs;
    let (mut groups, mut bytes) = (0, 0);
    for batches in [1, 16, 64] {
        let mut aggregator = PreAggregator::new(specs, &jobs[0].types);
        let cost = best(5, batches * ROWS, || {
            for (i, job) in jobs[..batches].iter().enumerate() {
                aggregator.add(&job.keys, &job.args, &origin(i * ROWS), ROWS);
            }
            (groups, bytes) = (0, 0);
            aggregator.flush(&mut |key, state, _| {
                groups += 1;
                bytes += state.0.len();
                black_box((key, state));
            });
        });
        println!(
            "{groups} groups of {} rows: {cost:.0} ns/row, {} bytes a state",
            batches * ROWS,
            bytes / groups
        );
    }
}

#[test]
#[ignore = "measures"]
fn merging_states() {
    let states = |start: usize| {
        let job = car_parks(start, 1_000, "Car Park");
        let mut aggregator = PreAggregator::new(&job.specs, &job.types);
        aggregator.add(&job.keys, &job.args, &origin(start), ROWS);
        let mut states = std::collections::BTreeMap::new();
        aggregator.flush(&mut |key, state, _| {
            states.insert(key, state);
        });
        states
    };
    let (a, b) = (states(0), states(5 * ROWS));
    let bytes = a.values().map(|state| state.0.len()).sum::<usize>() / a.len();
    let pairs: Vec<(&State, &State)> = a.iter().filter_map(|(key, a)| Some((a, b.get(key)?))).collect();
    for (what, swap) in [("into the older", false), ("into the newer", true)] {
        let cost = best(100, pairs.len(), || {
            for (a, b) in &pairs {
                let mut sum = State::clone(if swap { b } else { a });
                sum.merge(if swap { a } else { b });
                black_box(sum);
            }
        });
        println!("{} states of {bytes} bytes, merged {what}: {cost:.0} ns each, clone included", pairs.len());
    }
}
