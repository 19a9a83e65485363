//! `wharfe bench`: what a dataflow costs. (Being written.)

use super::count;
use crate::error::Result;
use std::path::PathBuf;

/// Measure a dataflow: rows a second, CPU, memory, latency
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The script of ksqlDB statements
    #[arg(value_name = "FILE.sql")]
    pub script: PathBuf,

    /// How many events of each feed
    #[arg(long, value_name = "N", default_value = "10_000_000", value_parser = count)]
    pub rows: u64,

    /// Numbers of workers to measure with, one after the other
    #[arg(long, value_name = "N,…", value_delimiter = ',', default_value = "1,2",
          value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub workers: Vec<u16>,

    /// Measure latency at this many events a second, too
    #[arg(long, value_name = "R", value_parser = count)]
    pub rate: Option<u64>,

    /// How measurements are printed
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,

    /// Where topics live [default: FILE.toml beside the script, if it exists]
    #[arg(long, value_name = "FILE")]
    pub topology: Option<PathBuf>,
}

#[derive(clap::ValueEnum, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// An aligned table
    #[default]
    Table,
    /// One object a measurement
    Json,
}

const EXAMPLES: &str = "\
Examples:
  wharfe bench dataflows/carparks.sql --rows 10_000_000 --workers 1,2
  wharfe bench dataflows/carparks.sql --rate 100_000 --format json";

pub fn run(_args: Args) -> Result<u8> {
    unimplemented!("bench")
}
