//! A little of `cargo bench --bench fuzz`: damaged input for every decoder and every framing.
//! `WHARFE_FUZZ=100000` throws so many batches at each.

#[path = "../benches/fuzz/decoding.rs"]
mod decoding;
#[path = "../benches/fuzz/framing.rs"]
mod framing;
#[path = "../benches/fuzz/input.rs"]
mod input;
#[path = "../benches/fuzz/targets.rs"]
mod targets;

use input::Random;

#[test]
fn damaged_input_is_rows_and_rejects() {
    let batches = std::env::var("WHARFE_FUZZ").map_or(100, |batches| batches.parse().unwrap());
    for mut target in targets::targets() {
        for seed in 0..batches {
            // Its number makes it again.
            let thrown = target.one(&mut Random::new(seed));
            assert!(thrown > 0, "{}", target.name());
        }
    }
}
