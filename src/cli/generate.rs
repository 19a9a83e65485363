//! `wharfe generate`: as much synthetic input as a benchmark wants.

use super::{count, grouped, mib, output_failed};
use crate::connector::GeneratorSpec;
use crate::connector::generator::{self, nexmark};
use crate::error::{Error, Result, reason};
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

const BUFFER_BYTES: usize = 1 << 20;

/// Write synthetic events to a file
///
/// The same feed, rows and seed make the same bytes. The feeds are those of the car park dataflow:
/// carparks (nine separated fields), carparks_historic (eight) and carparks_leeds (nested JSON); and
/// Nexmark's, a JSON object a line: nexmark_person, nexmark_auction, nexmark_bid and the small table
/// nexmark_side_input. The feed nexmark is all of these: --rows counts persons, auctions and bids, in the
/// proportions 1 : 3 : 46, and --out is a directory for NAME.json of each.
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Which feed
    #[arg(value_parser = feeds())]
    feed: String,

    /// How many events, such as 10_000_000
    #[arg(long, value_name = "N", value_parser = count)]
    rows: u64,

    /// Where to; `-` is standard output; for all of nexmark a directory
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

    /// How close Nexmark's events lie in their own time [default: 10_000]
    #[arg(long, value_name = "N", value_parser = count)]
    events_per_second: Option<u64>,
}

const EXAMPLES: &str = "\
Examples:
  wharfe generate carparks_historic --rows 10_000_000 --out historic.csv
  wharfe generate carparks_leeds --rows 5 --out -
  wharfe generate nexmark --rows 2_000_000 --out dataflows/nexmark/data";

/// Of Nexmark's feeds together.
const ALL_OF_NEXMARK: &str = "nexmark";

fn feeds() -> Vec<&'static str> {
    generator::FEEDS.iter().copied().chain([ALL_OF_NEXMARK]).collect()
}

pub fn run(args: Args) -> Result<u8> {
    let spec = |feed: &str, rows| GeneratorSpec {
        feed: feed.to_string(),
        rows: Some(rows),
        rate: None,
        seed: args.seed,
        car_parks: args.car_parks,
        dirty_every: args.dirty_every,
        events_per_second: args.events_per_second,
    };
    if args.feed == ALL_OF_NEXMARK {
        let failed = |e: io::Error| cannot_write(&args.out, &e);
        std::fs::create_dir_all(&args.out).map_err(failed)?;
        for feed in nexmark::FEEDS {
            let spec = spec(feed, nexmark::rows_among(feed, args.rows));
            to_file(&spec, &args.out.join(nexmark::file_name(feed)))?;
        }
        return Ok(0);
    }
    let spec = spec(&args.feed, args.rows);
    if args.out == Path::new("-") {
        write(&spec, io::stdout().lock()).map_err(output_failed)?;
        return Ok(0);
    }
    to_file(&spec, &args.out)?;
    Ok(0)
}

fn to_file(spec: &GeneratorSpec, path: &Path) -> Result<()> {
    let started = Instant::now();
    let failed = |e: io::Error| cannot_write(path, &e);
    let bytes = File::create(path).and_then(|file| write(spec, file)).map_err(failed)?;
    let (rows, name) = (grouped(spec.rows.unwrap_or(0)), path.display());
    eprintln!("wrote {rows} rows ({}) to {name} in {:.2} s", mib(bytes), started.elapsed().as_secs_f64());
    Ok(())
}

fn cannot_write(path: &Path, error: &io::Error) -> Error {
    Error::runtime(format!("cannot write {}: {}", path.display(), reason(error)))
}

/// The number of bytes written.
fn write(spec: &GeneratorSpec, out: impl Write) -> io::Result<u64> {
    let mut out = BufWriter::with_capacity(BUFFER_BYTES, out);
    let bytes = generator::write(spec, &mut out)?;
    out.flush()?;
    Ok(bytes)
}
