//! The command line: one file a subcommand, and what they share.
//!
//! `run` and `explain` have an engine of their own; `query`, `lag` and `shell` talk to one that serves.

pub mod log;
pub mod access;
pub mod archive;
pub mod bench;
pub mod events;
pub mod explain;
pub mod gateway;
pub mod generate;
pub mod lag;
pub mod query;
pub mod registry;
pub mod rejects;
pub mod run;
pub mod shell;
pub mod test;

mod answers;
mod client;
mod entity;
mod interrupt;
mod live;
mod output;
mod progress;
mod script;
mod serving;
mod settings;
mod split;
mod summary;

use crate::error::{Error, Result};
use std::io;

/// A streaming SQL engine: ksqlDB's SQL over plain files, from one binary.
///
/// Wharfe runs a script of ksqlDB statements over feeds in files, keeps their aggregates up to date
/// on many workers, and answers queries on them, once or as they change. No broker is needed: a
/// topology file says where each topic lives.
#[derive(clap::Parser, Debug)]
#[command(version, after_help = EXAMPLES, max_term_width = 100, disable_help_subcommand = true)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(clap::Subcommand, Debug)]
pub enum Command {
    Run(run::Args),
    Query(query::Args),
    Lag(lag::Args),
    Rejects(rejects::Args),
    Shell(shell::Args),
    Test(test::Args),
    Explain(explain::Args),
    Generate(generate::Args),
    Registry(registry::Args),
    Gateway(gateway::Args),
    Schema(events::SchemaArgs),
    Consume(events::ConsumeArgs),
    Subscriptions(events::SubscriptionsArgs),
    Watch(events::WatchArgs),
    Trace(events::TraceArgs),
    Archive(archive::Args),
    Access(access::Args),
    Bench(bench::Args),
    /// What `bench` starts for some of its measurements
    #[command(hide = true)]
    BenchPart(bench::part::Args),
}

impl Command {
    /// How it tells what happens.
    pub fn log(&self) -> log::Args {
        match self {
            Command::Run(args) => args.log,
            Command::Registry(args) => args.log,
            Command::Gateway(args) => args.log,
            _ => log::Args::default(),
        }
    }
}

const EXAMPLES: &str = "\
Examples:
  wharfe run dataflows/carparks.sql
      Run a script, serve its answers on http://127.0.0.1:8088, show its tables as they change.
  wharfe run --once -q 'SELECT * FROM SOURCE_COUNTS' dataflows/carparks.sql
      Read all input, answer one query, end.
  wharfe query 'SELECT * FROM CARPARK_EVENTS LIMIT 5'
      Ask a running one.

Exit codes: 0; 1 run time; 2 usage, SQL or topology; 3 rejects under --strict; 130 interrupted.
`wharfe COMMAND --help` says more about each.";

/// Reads a count such as `10_000_000`.
fn count(text: &str) -> Result<u64, String> {
    text.replace('_', "").parse().map_err(|_| "expected a whole number such as 10_000_000".into())
}

/// Writes a count with a comma every three digits.
fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

fn mib(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / (1 << 20) as f64)
}

/// A failure to write to standard output. A reader that has seen enough (`| head`) is none: it ends
/// the command as Ctrl-C would.
fn output_failed(error: io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::BrokenPipe => interrupt::error(),
        _ => Error::runtime(format!("cannot write the output: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::{CommandFactory, Parser};

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_option_of_run_is_read() {
        let line = "wharfe run a.sql --topology t.toml --topic a=b --topic c=d -w 2 --once -q X -q Y --format json \
                    --listen 127.0.0.1:0 --data-dir d --strict -n 2 -p 1 --hostfile h";
        let Command::Run(args) = Cli::try_parse_from(line.split_whitespace()).unwrap().command else {
            panic!("not run");
        };
        assert_eq!((args.topic.len(), args.query.len(), args.workers, args.process), (2, 2, Some(2), 1));
        for refused in [
            "wharfe",
            "wharfe run",
            "wharfe run a.sql -q X",
            "wharfe run a.sql -w 0",
            "wharfe run a.sql -p 1",
            "wharfe generate planes --rows 1 --out -",
            "wharfe generate carparks --rows 1e3 --out -",
        ] {
            let error = Cli::try_parse_from(refused.split_whitespace()).unwrap_err();
            assert_eq!(error.exit_code(), 2, "{refused}");
        }
    }

    #[test]
    fn numbers_are_read_and_shown_in_groups() {
        assert_eq!(count("10_000_000"), Ok(10_000_000));
        assert!(count("1.5").is_err());
        let cases = [(0, "0"), (999, "999"), (1_000, "1,000"), (1_234_567, "1,234,567")];
        for (number, text) in cases {
            assert_eq!(grouped(number), text);
        }
        assert_eq!(mib(5 << 19), "2.5 MiB");
    }
}
