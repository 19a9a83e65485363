//! What the pieces of a record's way cost, one file a stage: `cargo bench`, or `cargo bench decode`.
//!
//! The queries are those of `dataflows/carparks.sql`, the rows come from the generator. Elements are
//! rows, unless a benchmark says otherwise; times are CPU times. Yardsticks stand beside what they
//! measure.

mod aggregates;
mod arrangement;
mod codecs;
mod cpu;
mod data;
mod decode;
mod exchange;
mod expressions;
mod yardstick;

use cpu::CpuTime;
use criterion::{Criterion, criterion_group, criterion_main};
use std::time::Duration;

/// As in the program, so that allocations cost what they cost there.
#[global_allocator]
static GLOBAL: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What all of them take.
pub type Bench = Criterion<CpuTime>;

fn quick() -> Bench {
    Criterion::default()
        .with_measurement(CpuTime)
        .sample_size(20)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_millis(1_500))
}

criterion_group! {
    name = pieces;
    config = quick();
    targets = decode::benches, codecs::benches, expressions::benches, aggregates::benches, exchange::benches,
        arrangement::benches, yardstick::benches
}
criterion_main!(pieces);
