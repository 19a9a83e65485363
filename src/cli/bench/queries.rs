//! The scripts of a directory, one after the other, over the same events of Nexmark: what each query costs.

use super::super::grouped;
use super::super::script::Script;
use super::Args;
use super::child::{Child, best};
use super::input::{Feed, cannot_write, described, temporary, write_feed};
use super::report::{Measurement, Progress, Report};
use crate::connector::generator::nexmark;
use crate::engine::replay::Planned;
use crate::error::{Error, Result, reason};
use crate::sql::ast::{SourceKind, Statement};
use crate::topology::{PlaceSpec, Topology};
use std::io;
use std::path::Path;

/// How many events there are where nobody says it: persons, auctions and bids together.
pub const ROWS: u64 = 2_000_000;

const TOPOLOGY: &str = "topology.toml";

struct Query {
    name: String,
    child: Child,
    /// The feeds that it reads.
    feeds: Vec<&'static str>,
    /// The streams that it makes and the topology has no place for.
    streams: Vec<String>,
}

impl Query {
    /// The topology with a place for its streams that takes their rows and keeps none: what nobody reads would
    /// not be made. A table is kept anyway.
    fn topology(&self, text: &str) -> String {
        let blackhole = |name: &String| format!("\n[topics.{name:?}]\nconnector = \"blackhole\"\n");
        [text.to_string()].into_iter().chain(self.streams.iter().map(blackhole)).collect()
    }
}

/// Measures all scripts of the directory that `args` names.
pub fn measure(args: &Args, progress: Progress) -> Result<Report> {
    if args.kafka.is_some() {
        return Err(Error::usage("--kafka measures a script, not a directory"));
    }
    let path = args.topology.clone().unwrap_or_else(|| args.script.join(TOPOLOGY));
    let text = std::fs::read_to_string(&path).map_err(|e| {
        Error::usage(format!("cannot read {}: {}", path.display(), reason(&e)))
            .hint("a directory that is measured has a topology.toml, which names the feeds' files")
    })?;
    let queries = queries(&args.script, &text)?;
    let dir = temporary()?;
    let topology = dir.path().join(TOPOLOGY);
    std::fs::write(&topology, &text).map_err(|e| cannot_write(&topology, &e))?;
    let feeds = make(dir.path(), &topology, &queries, args.rows.unwrap_or(ROWS), progress)?;
    let mut report = Report::new();
    report.note(format!("Input: {}.", described(&feeds)));
    for query in &queries {
        std::fs::write(&topology, query.topology(&text)).map_err(|e| cannot_write(&topology, &e))?;
        let read: Vec<&Feed> = feeds.iter().filter(|feed| query.feeds.contains(&feed.topic)).collect();
        for &workers in &args.workers {
            let what = format!("{}, workers: {workers}", query.name);
            let figures = best(&what, args.repeats, progress, || {
                query.child.run(dir.path(), &topology, workers, &read)
            })?;
            report.add(Measurement::new("query", &query.name, workers, &figures));
        }
    }
    Ok(report)
}

/// The scripts in a directory, with the feeds that each reads.
fn queries(dir: &Path, topology: &str) -> Result<Vec<Query>> {
    let failed = |e: io::Error| Error::usage(format!("cannot read {}: {}", dir.display(), reason(&e)));
    let topology = Topology::parse(TOPOLOGY, topology, dir)?;
    let mut queries = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.extension().is_none_or(|extension| extension != "sql") {
            continue;
        }
        let script = Script::file(&path)?;
        let planned = Planned::script(&script.statements, &topology)
            .map_err(|e| e.in_text(&script.name, &script.text))?;
        let is_read = |feed: &&str| planned.sources().any(|source| source.topic == *feed);
        let feeds: Vec<&str> = nexmark::FEEDS.iter().copied().filter(is_read).collect();
        if feeds.is_empty() {
            let error = Error::usage(format!("{} reads none of the topics that are made", script.name));
            return Err(error.hint(format!("they are {}", nexmark::FEEDS.join(", "))));
        }
        let name = path.file_stem().map_or_else(String::new, |stem| stem.to_string_lossy().into_owned());
        let made = script.statements.iter().filter_map(|parsed| match &parsed.statement {
            Statement::CreateAs { kind: SourceKind::Stream, name, .. } => Some(name.name.clone()),
            _ => None,
        });
        let streams = made.filter(|name| topology.place(name).is_none()).collect();
        queries.push(Query { name, child: Child::new(&path)?, feeds, streams });
    }
    if queries.is_empty() {
        return Err(Error::usage(format!("{} has no scripts", dir.display())).hint("FILE.sql, one a query"));
    }
    Ok(queries)
}

/// Writes the feeds that some query reads to the files that the topology has for them.
fn make(
    dir: &Path,
    topology: &Path,
    queries: &[Query],
    events: u64,
    progress: Progress,
) -> Result<Vec<Feed>> {
    let topology = Topology::load(topology)?;
    let mut feeds = Vec::new();
    for topic in nexmark::FEEDS {
        if !queries.iter().any(|query| query.feeds.contains(&topic)) {
            continue;
        }
        let path = match topology.place(topic) {
            Some(PlaceSpec::File { path, .. }) if path.starts_with(dir) => path,
            _ => {
                return Err(Error::topology(format!("topic {topic} is no file beside the topology"))
                    .hint("connector = \"file\" and a relative path: bench makes the file"));
            }
        };
        let rows = nexmark::rows_among(topic, events);
        progress.show(&format!("making {} events of {topic}", grouped(rows)));
        let bytes = write_feed(&super::kafka::spec(topic, rows, None), path)?;
        feeds.push(Feed { topic, rows, bytes });
    }
    Ok(feeds)
}
