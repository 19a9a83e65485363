//! `wharfe lag`: how far each source of a server that runs is behind, and how fast it is read.

use super::client::{Client, DEFAULT_SERVER};
use super::output::{Format, Printer};
use super::{interrupt, output_failed};
use crate::engine::Session;
use crate::error::Result;
use std::io;

/// Show how far a server that runs is behind each of its sources
///
/// Lag is what is there and has not been read: in records on a cluster, in bytes of files and logs. In
/// seconds it is the age of the last record that was read, while there are more; else 0. What a source
/// cannot tell is empty. The rate is that of the last few seconds.
#[derive(clap::Args, Debug)]
#[command(after_help = "Example:\n  wharfe lag --server http://127.0.0.1:9099 --format json")]
pub struct Args {
    /// Which server
    #[arg(long, value_name = "URL", default_value = DEFAULT_SERVER)]
    server: String,

    /// How the table is printed
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// Columns, and where the server's answer has them.
const COLUMNS: [(&str, &str); 7] = [
    ("SOURCE", "/name"),
    ("TOPIC", "/topic"),
    ("RECORDS", "/traffic/rows"),
    ("RECORDS_PER_SECOND", "/traffic/rowsPerSecond"),
    ("LAG_RECORDS", "/traffic/lagRecords"),
    ("LAG_BYTES", "/traffic/lagBytes"),
    ("LAG_SECONDS", "/traffic/lagSeconds"),
];

pub fn run(args: Args) -> Result<u8> {
    interrupt::install()?;
    let client = Client::new(&args.server);
    let described = client.ksql("SHOW STREAMS EXTENDED; SHOW TABLES EXTENDED", &Session::default())?;
    let sources = described.iter().filter_map(|entity| entity["sourceDescriptions"].as_array()).flatten();
    let mut out = io::stdout().lock();
    let names = COLUMNS.map(|(name, _)| name.to_string()).to_vec();
    let mut printer = Printer::new(&mut out, args.format, names).map_err(output_failed)?;
    for source in sources.filter(|source| source["traffic"].is_object()) {
        let cell = |(_, path): (&str, &str)| source.pointer(path).map_or("null".into(), |v| v.to_string());
        printer.row(COLUMNS.map(cell).to_vec()).map_err(output_failed)?;
    }
    printer.finish().map_err(output_failed)?;
    Ok(0)
}
