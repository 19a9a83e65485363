//! Damaged input for every decoder and every framing: `cargo bench --bench fuzz -- --inputs 10000000`.
//!
//! Whatever the bytes, nothing panics, and of each batch of messages each is a row or a reject. An input that
//! breaks this ends the run with the number that makes it again: `--target avro --seed 17 --inputs 1`. Without
//! arguments a run is short. `tests/fuzz.rs` runs a little of each.

mod decoding;
mod framing;
mod input;
mod targets;

use input::Random;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::time::Instant;
use targets::targets;

/// As in the program.
#[global_allocator]
static GLOBAL: mimalloc::MiMalloc = mimalloc::MiMalloc;

struct Args {
    /// Of all targets together.
    inputs: usize,
    seed: u64,
    target: Option<String>,
}

fn args() -> Result<Args, String> {
    let mut args = Args { inputs: 100_000, seed: 1, target: None };
    // Cargo adds `--bench`.
    let mut given = std::env::args().skip(1).filter(|arg| arg != "--bench");
    while let Some(name) = given.next() {
        let value = given.next().ok_or_else(|| format!("{name} needs a value"))?;
        let number = || value.parse().map_err(|_| format!("{name} is {value}; expected a whole number"));
        match name.as_str() {
            "--inputs" => args.inputs = number()?,
            "--seed" => args.seed = number()? as u64,
            "--target" => args.target = Some(value.clone()),
            _ => return Err(format!("unknown argument {name}; known are --inputs, --seed and --target")),
        }
    }
    Ok(args)
}

fn main() -> ExitCode {
    let args = match args() {
        Ok(args) => args,
        Err(why) => {
            eprintln!("{why}");
            return ExitCode::from(2);
        }
    };
    let mut targets = targets();
    let names: Vec<&str> = targets.iter().map(|target| target.name()).collect();
    if let Some(name) = &args.target {
        if !names.contains(&name.as_str()) {
            eprintln!("there is no target {name}; there are {}", names.join(", "));
            return ExitCode::from(2);
        }
        targets.retain(|target| target.name() == name);
    }
    let each = args.inputs.div_ceil(targets.len());
    for target in &mut targets {
        let (started, mut inputs, mut seed) = (Instant::now(), 0, args.seed);
        while inputs < each {
            match catch_unwind(AssertUnwindSafe(|| target.one(&mut Random::new(seed)))) {
                Ok(thrown) => inputs += thrown,
                Err(_) => {
                    eprintln!("to see it again: --target {} --seed {seed} --inputs 1", target.name());
                    return ExitCode::FAILURE;
                }
            }
            seed += 1;
        }
        println!("{:<16} {inputs:>10} inputs  {:>8.1} s", target.name(), started.elapsed().as_secs_f64());
    }
    ExitCode::SUCCESS
}
