//! `wharfe generate`: as much synthetic input as a benchmark wants.

use super::{count, grouped, mib, output_failed};
use crate::connector::GeneratorSpec;
use crate::connector::generator;
use crate::error::{Error, Result, reason};
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

const BUFFER_BYTES: usize = 1 << 20;

/// Write a synthetic feed of car park events to a file
///
/// The same feed, rows and seed make the same bytes. The feeds are those of the car park dataflow:
/// carparks (nine separated fields), carparks_historic (eight) and carparks_leeds (nested JSON).
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Which feed
    #[arg(value_parser = ["carparks", "carparks_historic", "carparks_leeds"])]
    feed: String,

    /// How many events, such as 10_000_000
    #[arg(long, value_name = "N", value_parser = count)]
    rows: u64,

    /// Where to; `-` is standard output
    #[arg(long, value_name = "FILE")]
    out: PathBuf,

    /// Another seed makes other events
    #[arg(long, value_name = "S", default_value_t = 1)]
    seed: u64,

    /// How many distinct car parks [default: those of the feed]
    #[arg(long, value_name = "N", value_parser = count)]
    car_parks: Option<u64>,

    /// Spoil one of so many rows [default: none]
    #[arg(long, value_name = "N", value_parser = count)]
    dirty_every: Option<u64>,
}

const EXAMPLES: &str = "\
Examples:
  wharfe generate carparks_historic --rows 10_000_000 --out historic.csv
  wharfe generate carparks_leeds --rows 5 --out -";

pub fn run(args: Args) -> Result<u8> {
    let spec = GeneratorSpec {
        feed: args.feed,
        rows: Some(args.rows),
        rate: None,
        seed: args.seed,
        car_parks: args.car_parks,
        dirty_every: args.dirty_every,
    };
    let started = Instant::now();
    if args.out == Path::new("-") {
        write(&spec, io::stdout().lock()).map_err(output_failed)?;
        return Ok(0);
    }
    let name = args.out.display();
    let failed = |e: io::Error| Error::runtime(format!("cannot write {name}: {}", reason(&e)));
    let bytes = File::create(&args.out).and_then(|file| write(&spec, file)).map_err(failed)?;
    let seconds = started.elapsed().as_secs_f64();
    eprintln!("wrote {} rows ({}) to {name} in {seconds:.2} s", grouped(args.rows), mib(bytes));
    Ok(0)
}

/// The number of bytes written.
fn write(spec: &GeneratorSpec, out: impl Write) -> io::Result<u64> {
    let mut out = BufWriter::with_capacity(BUFFER_BYTES, out);
    let bytes = generator::write(spec, &mut out)?;
    out.flush()?;
    Ok(bytes)
}
