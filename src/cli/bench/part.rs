//! Parts of the engine by themselves, each in a process that `wharfe bench` starts: a hidden
//! subcommand that prints what it measured as one line of JSON.

use super::super::script::Script;
use super::super::settings;
use super::child::Figures;
use super::{latency, usage};
use crate::batch::Batch;
use crate::clock::now_ms;
use crate::connector::{self, Opening, Place, Poll, Share, kafka};
use crate::engine::Pace;
use crate::engine::replay::{Feed, Planned, replay};
use crate::error::{Error, Result};
use crate::plan::SourcePlan;
use crate::render::source::RowDecoder;
use crate::topology::Topology;
use crate::value::encode_row;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

#[derive(clap::Args, Debug)]
pub struct Args {
    #[arg(value_enum)]
    pub part: Part,

    #[arg(value_name = "FILE.sql")]
    pub script: PathBuf,

    #[arg(long, value_name = "FILE")]
    pub topology: PathBuf,

    /// Topics, and how many rows of each count as one pass over it
    #[arg(long, value_name = "TOPIC=ROWS", value_parser = topic_rows)]
    pub feed: Vec<(String, u64)>,

    /// Passes over the rows in memory
    #[arg(long, default_value_t = 1)]
    pub rounds: u64,

    #[arg(long, default_value_t = 1)]
    pub workers: usize,

    /// A topic to write to
    #[arg(long, value_name = "TOPIC")]
    pub to: Option<String>,

    #[arg(long, default_value_t = 0)]
    pub rate: u64,

    #[arg(long, default_value_t = 0)]
    pub seconds: u64,
}

#[derive(clap::ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    Decode,
    Dataflow,
    RowBytes,
    Latency,
    BareLoop,
}

fn topic_rows(text: &str) -> Result<(String, u64), String> {
    let (topic, rows) = text.split_once('=').ok_or("expected TOPIC=ROWS")?;
    Ok((topic.to_string(), super::count(rows)?))
}

pub fn run(args: Args) -> Result<u8> {
    let script = Script::file(&args.script)?;
    let topology = Topology::load(&args.topology)?;
    let figures = match args.part {
        Part::Decode => decode(&Planned::script(&script.statements, &topology)?, &args)?,
        Part::Dataflow => dataflow(&Planned::script(&script.statements, &topology)?, &args)?,
        Part::RowBytes => row_bytes(&script, topology)?,
        Part::Latency => latency::measure(&script, topology, &args)?,
        Part::BareLoop => bare_loop(&topology, &args)?,
    };
    let json = serde_json::to_string(&figures).map_err(|e| Error::runtime(e.to_string()))?;
    println!("{json}");
    Ok(0)
}

/// Reads, frames and decodes all of each feed on this thread, and drops the rows.
fn decode(planned: &Planned, args: &Args) -> Result<Figures> {
    let pace = settings::pace()?;
    let mut figures = Figures::default();
    // Of the whole process: clients of clusters have threads of their own.
    let (started, cpu) = (Instant::now(), usage::process_cpu());
    for source in sources(planned, args) {
        each_batch(planned, source, &pace, |batch, bytes| {
            figures.rows += black_box(batch).len as u64;
            figures.bytes += bytes as u64;
            true
        })?;
    }
    figures.cpu_seconds = usage::process_cpu() - cpu;
    figures.seconds = started.elapsed().as_secs_f64();
    Ok(figures)
}

/// Decodes some rows of each feed, then runs the queries over them so many times.
fn dataflow(planned: &Planned, args: &Args) -> Result<Figures> {
    let pace = settings::pace()?;
    let mut figures = Figures::default();
    let mut feeds = Vec::new();
    for source in sources(planned, args) {
        let most = args.feed.iter().find(|(topic, _)| *topic == source.topic).map_or(0, |(_, rows)| *rows);
        let (mut batches, mut rows) = (Vec::new(), 0);
        each_batch(planned, source, &pace, |batch, bytes| {
            rows += batch.len as u64;
            figures.bytes += bytes as u64 * args.rounds;
            batches.push((batch, bytes));
            rows < most
        })?;
        figures.rows += rows * args.rounds;
        feeds.push(Feed { hub: source.hub, writer: source.id, batches });
    }
    let dir = tempfile::tempdir().map_err(|e| Error::runtime(format!("cannot make a directory: {e}")))?;
    let cost = replay(planned, &pace, feeds, args.rounds, dir.path(), usage::thread_cpu)?;
    Ok(Figures { seconds: cost.seconds, cpu_seconds: cost.cpu_seconds, ..figures })
}

fn sources<'a>(planned: &'a Planned, args: &'a Args) -> impl Iterator<Item = &'a SourcePlan> {
    planned.sources().filter(|source| args.feed.iter().any(|(topic, _)| *topic == source.topic))
}

/// Gives each decoded batch with the bytes it was made from, until `go_on` is false.
fn each_batch(
    planned: &Planned,
    source: &SourcePlan,
    pace: &Pace,
    mut go_on: impl FnMut(Batch, usize) -> bool,
) -> Result<()> {
    let share = Share::Part { index: 0, of: 1 };
    let opening = Opening { share, start: source.start, bounded: true, opened_ms: now_ms() };
    let mut reader = connector::open(&source.place, opening)?;
    let mut decoder = RowDecoder::new(source, &crate::registry::Lookups::none())?;
    let wanted = planned.wanted(source.hub);
    reader.read_headers(source.reads_headers(&wanted));
    loop {
        match reader.poll(pace.batch_bytes, now_ms())? {
            Poll::Done => return Ok(()),
            Poll::Pending => std::thread::sleep(Duration::from_millis(1)),
            Poll::Messages(messages) => {
                let (batch, rejects) = decoder.decode(&messages, &wanted);
                if let Some(reject) = rejects.first() {
                    return Err(Error::runtime(format!("topic {}: {}", source.topic, reject.reason)));
                }
                if !go_on(batch, messages.buffer.len()) {
                    return Ok(());
                }
            }
        }
    }
}

/// Librdkafka's calls and nothing else, on as many threads as there are workers.
fn bare_loop(topology: &Topology, args: &Args) -> Result<Figures> {
    let on_cluster = |topic: &str| match topology.resolve(topic, Path::new(""), 1) {
        Some(Place::Kafka { cluster, topic }) => Ok((cluster, topic)),
        _ => Err(Error::topology(format!("topic {topic} is not on a cluster"))),
    };
    let feeds: Vec<_> = args.feed.iter().map(|(topic, _)| on_cluster(topic)).collect::<Result<_>>()?;
    let Some((cluster, _)) = feeds.first().cloned() else { return Err(Error::usage("--feed is missing")) };
    let topics: Vec<String> = feeds.into_iter().map(|(_, topic)| topic).collect();
    let to = args.to.as_deref().map(on_cluster).transpose()?.map(|(_, topic)| topic);
    let (started, cpu) = (Instant::now(), usage::process_cpu());
    let (cluster, topics, to) = (&cluster, &topics[..], to.as_deref());
    let done: Vec<Result<(u64, u64)>> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..args.workers)
            .map(|index| scope.spawn(move || kafka::bare_loop(cluster, topics, to, (index, args.workers))))
            .collect();
        threads.into_iter().filter_map(|thread| thread.join().ok()).collect()
    });
    let mut figures = Figures::default();
    for done in done {
        let (rows, bytes) = done?;
        figures.rows += rows;
        figures.bytes += bytes;
    }
    figures.cpu_seconds = usage::process_cpu() - cpu;
    figures.seconds = started.elapsed().as_secs_f64();
    Ok(figures)
}

/// The rows of all tables of the script when its input has ended, and the bytes of their values.
fn row_bytes(script: &Script, topology: Topology) -> Result<Figures> {
    let engine = latency::start(script, topology, 1, true)?;
    engine.wait_for_inputs(None)?;
    let mut figures = Figures::default();
    for table in super::tables(script) {
        latency::ask(&engine, &format!("SELECT * FROM {}", crate::types::quote(&table)), |row| {
            figures.rows += 1;
            figures.bytes += encode_row(row).len() as u64;
        })?;
    }
    engine.stop()?;
    Ok(figures)
}
