//! `wharfe lag`: how far each source of a server that runs is behind, and how fast it is read; how far each
//! subscription and archive of a gateway is.

use super::client::{Client, DEFAULT_SERVER};
use super::output::{Format, Printer};
use super::{interrupt, output_failed};
use crate::engine::Session;
use crate::error::{Error, Result};
use serde_json::Value;
use std::io;

/// Show how far a server that runs is behind each of its sources, subscriptions and archives
///
/// Lag is what is there and has not been read: in records on a cluster, in bytes of files and logs. In
/// seconds it is the age of the last record that was read, while there are more; else 0. What a source
/// cannot tell is empty. The rate is that of the last few seconds. A gateway's subscriptions have the age of the
/// oldest event that waits for its receiver, archives for how long the oldest has waited for its file.
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
const COLUMNS: [(&str, &str); 8] = [
    ("SOURCE", "/name"),
    ("TOPIC", "/topic"),
    ("RECORDS", "/traffic/rows"),
    ("RECORDS_PER_SECOND", "/traffic/rowsPerSecond"),
    ("LAG_RECORDS", "/traffic/lagRecords"),
    ("LAG_BYTES", "/traffic/lagBytes"),
    ("LAG_SECONDS", "/traffic/lagSeconds"),
    ("KIND", "/type"),
];

/// The same where a gateway answers.
const OF_GATEWAY: [&str; 8] = ["/name", "/event", "", "", "/lag_records", "", "/lag_seconds", "/kind"];

pub fn run(args: Args) -> Result<u8> {
    interrupt::install()?;
    let client = Client::new(&args.server);
    let is_engine = client.get("/info")?.is_some();
    let lags = client.get("/lag")?;
    if !is_engine && lags.is_none() {
        return Err(Error::usage(format!("at {} is neither an engine nor a gateway", client.url()))
            .hint("name one with --server URL"));
    }
    let described = match is_engine {
        true => client.ksql("SHOW STREAMS EXTENDED; SHOW TABLES EXTENDED", &Session::default())?,
        false => Vec::new(),
    };
    let sources = described.iter().filter_map(|entity| entity["sourceDescriptions"].as_array()).flatten();
    let mut out = io::stdout().lock();
    let names = COLUMNS.map(|(name, _)| name.to_string()).to_vec();
    let mut printer = Printer::new(&mut out, args.format, names).map_err(output_failed)?;
    let cell = |of: &Value, path: &str| match of.pointer(path) {
        Some(value) if !path.is_empty() => value.to_string(),
        _ => "null".into(),
    };
    for source in sources.filter(|source| source["traffic"].is_object()) {
        printer.row(COLUMNS.map(|(_, path)| cell(source, path)).to_vec()).map_err(output_failed)?;
    }
    for lag in lags.iter().filter_map(Value::as_array).flatten() {
        printer.row(OF_GATEWAY.map(|path| cell(lag, path)).to_vec()).map_err(output_failed)?;
    }
    printer.finish().map_err(output_failed)?;
    Ok(0)
}
