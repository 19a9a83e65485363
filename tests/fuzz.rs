//! A little of `cargo bench --bench fuzz`: damaged input for every decoder and every framing.
//! `WHARFE_FUZZ=100000` throws so many batches at each, `WHARFE_FUZZ_SECONDS=60` as many as that takes.

#[path = "../benches/fuzz/decoding.rs"]
mod decoding;
#[path = "../benches/fuzz/framing.rs"]
mod framing;
#[path = "../benches/fuzz/input.rs"]
mod input;
#[path = "../benches/fuzz/targets.rs"]
mod targets;

use input::Random;
use std::time::Instant;

#[test]
fn damaged_input_is_rows_and_rejects() {
    let given = |name| std::env::var(name).ok().map(|number| number.parse::<u64>().unwrap());
    let seconds = given("WHARFE_FUZZ_SECONDS");
    let batches = given("WHARFE_FUZZ").unwrap_or(100);
    let mut targets = targets::targets();
    let started = Instant::now();
    // All of them by turns, so that each has its part of the time. Its number makes a batch again.
    for seed in 0.. {
        let goes_on = seed < batches || seconds.is_some_and(|seconds| started.elapsed().as_secs() < seconds);
        if !goes_on {
            break;
        }
        for target in &mut targets {
            let thrown = target.one(&mut Random::new(seed));
            assert!(thrown > 0, "{}", target.name());
        }
    }
}
