//! `wharfe bench`: what a dataflow costs, measured on input that is made for it.
//!
//! ```text
//!  measures  which measurements are made, one after the other
//!  kafka     those on a cluster, in place of the others
//!  input     the feeds in files, made once and untimed, and topologies that name them
//!  child     one measurement in a process of its own, with what the system counted for it
//!  part      what such a process does where it is not an ordinary `wharfe run`; latency is one
//!  queries   the scripts of a directory, each by itself
//!  report    the measurements as a table or as JSON
//! ```

mod child;
mod input;
mod kafka;
mod latency;
mod measures;
pub mod part;
mod queries;
mod report;
mod usage;

use super::script::Script;
use super::{count, interrupt, settings};
use crate::connector::generator::CAR_PARKS as FEEDS;
use crate::engine::replay::Planned;
use crate::error::{Error, Result};
use crate::sql::ast::{SourceKind, Statement};
use crate::topology::Topology;
use child::Child;
use report::{Progress, Report};
use std::path::PathBuf;

/// Measure a dataflow: rows a second, CPU, memory, latency
///
/// The input is made for it: the feeds carparks and carparks_historic with so many events, and
/// carparks_leeds with a tenth of them, since its events are ten times as long. Topics that are none
/// of these are empty. Each measurement is a process of its own, made several times; the one with the
/// least CPU counts, with the most memory that any of them took.
///
///   decode             read, frame and decode the columns that the queries need, on one thread
///   dataflow           the queries alone, over rows that were decoded before, on one thread
///   end_to_end         `wharfe run --once`, from its start to its end
///   end_to_end_stored  the same with derived streams stored, where the topology has a log for them;
///                      on a tenth of the events
///   start_up           `wharfe run --once` with one query, on the script's own topology
///   keys               the memory that many distinct car parks take
///   latency            from the moment an event is due until a pull query has seen it
///
/// With --kafka the feeds are loaded into topics of six partitions, which are deleted at the end, and
/// measured are, with as many threads as workers:
///
///   bare_consume       a loop that does nothing but call librdkafka, a record at a time
///   bare_copy          the same, writing each record to another topic
///   decode             consume and decode the columns that the queries need, on one thread
///   end_to_end         `wharfe run --once`, from its start to its end
///   end_to_end_stored  the same with the derived streams that the topology stores written back
///   latency            as above, the events produced to a topic when they are due
///
/// Of a directory, such as dataflows/nexmark, each script is measured, over the same events of Nexmark:
///
///   query              `wharfe run --once`, from its start to its end. Its topology is the directory's
///                      topology.toml with files that are made; streams without a place go to a blackhole,
///                      so that all their rows are made; tables are kept, and not told of to anybody. Rows
///                      are the events of the feeds that it reads
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES, verbatim_doc_comment)]
pub struct Args {
    /// The script of ksqlDB statements, or a directory of scripts
    #[arg(value_name = "FILE.sql | DIR")]
    pub script: PathBuf,

    /// How many events of each feed; of all Nexmark's together [default: 10_000_000; 2_000_000]
    #[arg(long, value_name = "N", value_parser = count)]
    pub rows: Option<u64>,

    /// Numbers of workers to measure with, one after the other
    #[arg(long, value_name = "N,…", value_delimiter = ',', default_value = "1,2",
          value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub workers: Vec<u16>,

    /// Measure latency at this many events a second; 0: do not
    #[arg(long, value_name = "R", default_value = "100_000", value_parser = count,
          default_value_if("kafka", clap::builder::ArgPredicate::IsPresent, "20_000"))]
    pub rate: u64,

    /// For so many seconds; the first does not count
    #[arg(long, value_name = "S", default_value = "10", value_parser = clap::value_parser!(u64).range(2..=86_400))]
    pub seconds: u64,

    /// How often each measurement but latency is made
    #[arg(long, value_name = "N", default_value = "3", value_parser = clap::value_parser!(u32).range(1..=100))]
    pub repeats: u32,

    /// Measure with topics on this cluster in place of files
    #[arg(long, value_name = "BOOTSTRAP")]
    pub kafka: Option<String>,

    /// How measurements are printed
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,

    /// Where topics live [default: FILE.toml beside the script, or topology.toml]
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
  wharfe bench dataflows/nexmark --repeats 5
  wharfe bench dataflows/carparks.sql --rate 200_000 --format json
  wharfe bench dataflows/carparks.sql --rows 1_000_000 --kafka 127.0.0.1:9092";

/// How many events each feed has where nobody says it.
const ROWS: u64 = 10_000_000;
const ROWS_LEAST: u64 = 100;

pub fn run(mut args: Args) -> Result<u8> {
    args.workers.sort_unstable();
    args.workers.dedup();
    if let Some(rows) = args.rows.filter(|rows| *rows < ROWS_LEAST) {
        let error = Error::usage(format!("--rows is {rows}"));
        return Err(error.hint(format!("{ROWS_LEAST} or more can be measured")));
    }
    if args.script.is_dir() {
        interrupt::install()?;
        let progress = Progress::new();
        let measured = queries::measure(&args, progress);
        progress.clear();
        interrupt::check()?;
        measured?.print(args.format)?;
        return Ok(0);
    }
    let mut bench = Bench::new(args)?;
    interrupt::install()?;
    let measured = match bench.args.kafka.clone() {
        Some(bootstrap) => bench.measure_kafka(&bootstrap),
        None => bench.measure(),
    };
    bench.progress.clear();
    // What fails because it was interrupted is no failure of its own.
    interrupt::check()?;
    measured?;
    bench.report.print(bench.args.format)?;
    Ok(0)
}

struct Bench {
    args: Args,
    rows: u64,
    child: Child,
    /// Those that the script reads.
    feeds: Vec<&'static str>,
    tables: Vec<String>,
    /// Topics that the topology stores.
    stored: Vec<String>,
    progress: Progress,
    report: Report,
}

impl Bench {
    /// Refuses what cannot be measured before anything is made.
    fn new(args: Args) -> Result<Bench> {
        let script = Script::file(&args.script)?;
        let planned = Planned::script(&script.statements, &Topology::empty())
            .map_err(|e| e.in_text(&script.name, &script.text))?;
        let read = |feed: &&str| planned.sources().any(|source| source.topic == *feed);
        let feeds: Vec<&str> = FEEDS.iter().copied().filter(read).collect();
        if feeds.is_empty() {
            let error = Error::usage(format!("{} reads none of the topics that bench makes", script.name));
            return Err(error.hint(format!("they are {}", FEEDS.join(", "))));
        }
        let tables = tables(&script);
        if args.rate > 0 && !tables.iter().any(|table| table == latency::TABLE) {
            let error = Error::usage(format!("{} has no table {}", script.name, latency::TABLE));
            return Err(error.hint("its EVENT_CT tells what is visible; --rate 0 leaves latency out"));
        }
        let topology = settings::topology(&args.script, args.topology.as_deref(), &[])?;
        Ok(Bench {
            child: Child::new(&args.script)?,
            feeds,
            tables,
            stored: input::stored(&topology),
            progress: Progress::new(),
            report: Report::new(),
            rows: args.rows.unwrap_or(ROWS),
            args,
        })
    }
}

/// The tables that a script makes, in their order.
fn tables(script: &Script) -> Vec<String> {
    let table = |statement: &Statement| match statement {
        Statement::CreateAs { kind: SourceKind::Table, name, .. }
        | Statement::CreateSource { kind: SourceKind::Table, name, .. } => Some(name.name.clone()),
        _ => None,
    };
    script.statements.iter().filter_map(|parsed| table(&parsed.statement)).collect()
}
