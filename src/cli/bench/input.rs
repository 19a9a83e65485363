//! The input of a bench: each feed in a file, and topologies that name some of them.

use super::super::{grouped, interrupt, mib};
use super::kafka;
use super::report::Progress;
use crate::connector::{GeneratorSpec, generator};
use crate::error::reason;
use crate::error::{Error, Result};
use crate::topology::{PlaceSpec, Topology};
use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

const BUFFER_BYTES: usize = 1 << 20;

/// The feed whose events are about ten times as long as the others'.
const LONG: &str = "carparks_leeds";

/// Feeds in files; all of it goes when this does.
pub struct Inputs {
    dir: tempfile::TempDir,
    feeds: Vec<Feed>,
}

pub struct Feed {
    pub topic: &'static str,
    pub rows: u64,
    pub bytes: u64,
}

impl Inputs {
    /// Writes so many events of each feed, of the long one a tenth; `car_parks`: as many distinct ones.
    pub fn make(
        topics: &[&'static str],
        rows: u64,
        car_parks: Option<u64>,
        progress: &Progress,
    ) -> Result<Inputs> {
        let mut inputs = Inputs { dir: temporary()?, feeds: Vec::new() };
        for topic in topics {
            let rows = rows_of(topic, rows);
            progress.show(&format!("making {} events of {topic}", grouped(rows)));
            let spec = GeneratorSpec { car_parks, ..kafka::spec(topic, rows, None) };
            let bytes = write_feed(&spec, &inputs.dir().join(file_name(topic)))?;
            inputs.feeds.push(Feed { topic, rows, bytes });
        }
        Ok(inputs)
    }

    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    pub fn of(&self, topics: &[&str]) -> Vec<&Feed> {
        self.feeds.iter().filter(|feed| topics.contains(&feed.topic)).collect()
    }

    pub fn rows(&self, topics: &[&str]) -> u64 {
        self.of(topics).iter().map(|feed| feed.rows).sum()
    }

    pub fn describe(&self) -> String {
        described(&self.feeds)
    }

    /// A topology in which these topics are the feeds' files; the other feeds are empty. Topics in
    /// `logs` are stored in a log.
    pub fn topology(&self, topics: &[&str], logs: &[String]) -> Result<PathBuf> {
        let mut places = Vec::new();
        for feed in &generator::CAR_PARKS {
            let name = if topics.contains(feed) { file_name(feed) } else { "empty.csv".to_string() };
            places.push((*feed, format!("connector = \"file\"\npath = \"{name}\"\n")));
        }
        places.extend(logs.iter().map(|topic| (topic.as_str(), "connector = \"log\"\n".to_string())));
        let name = format!("{}{}.toml", topics.join("+"), if logs.is_empty() { "" } else { "-stored" });
        self.write_topology(&name, &places)
    }

    /// A topology in which a feed comes live at so many events a second; the others are empty.
    pub fn live_topology(&self, topic: &str, rate: u64) -> Result<PathBuf> {
        let mut places = Vec::new();
        for feed in &generator::CAR_PARKS {
            let place = match *feed == topic {
                true => format!("connector = \"generator\"\nfeed = \"{feed}\"\nrate = {rate}\n"),
                false => "connector = \"file\"\npath = \"empty.csv\"\n".to_string(),
            };
            places.push((*feed, place));
        }
        self.write_topology("live.toml", &places)
    }

    fn write_topology(&self, name: &str, places: &[(&str, String)]) -> Result<PathBuf> {
        let mut text = String::new();
        for (topic, place) in places {
            let _ = writeln!(text, "[topics.\"{topic}\"]\n{place}");
        }
        let path = self.dir().join(name);
        std::fs::write(self.dir().join("empty.csv"), "")
            .and_then(|()| std::fs::write(&path, text))
            .map_err(|e| cannot_write(&path, &e))?;
        Ok(path)
    }
}

pub fn temporary() -> Result<tempfile::TempDir> {
    tempfile::Builder::new().prefix("wharfe-bench-").tempdir().map_err(|e| {
        Error::runtime(format!("cannot make a temporary directory: {}", reason(&e))).hint("set TMPDIR")
    })
}

/// Writes a feed to a file; its bytes.
pub fn write_feed(spec: &GeneratorSpec, path: &Path) -> Result<u64> {
    let write = || {
        path.parent().map_or(Ok(()), std::fs::create_dir_all)?;
        let mut out = BufWriter::with_capacity(BUFFER_BYTES, Stoppable(File::create(path)?));
        let bytes = generator::write(spec, &mut out)?;
        out.flush().map(|()| bytes)
    };
    write().map_err(|e| match interrupt::check() {
        Err(interrupted) => interrupted,
        Ok(()) => {
            cannot_write(path, &e).hint("ask for fewer --rows, or set TMPDIR to a directory with more room")
        }
    })
}

pub fn cannot_write(path: &Path, error: &io::Error) -> Error {
    Error::runtime(format!("cannot write {}: {}", path.display(), reason(error)))
}

/// `carparks 10,000 events (1.1 MiB), carparks_leeds …`
pub fn described(feeds: &[Feed]) -> String {
    let one = |feed: &Feed| format!("{} {} events ({})", feed.topic, grouped(feed.rows), mib(feed.bytes));
    feeds.iter().map(one).collect::<Vec<_>>().join(", ")
}

fn file_name(topic: &str) -> String {
    format!("{topic}.{}", if topic == LONG { "json" } else { "csv" })
}

/// The topics that a topology stores in a log or on a cluster.
pub fn stored(topology: &Topology) -> Vec<String> {
    let is_stored = |topic: &&str| {
        let can_be = matches!(topology.place(topic), Some(PlaceSpec::Log | PlaceSpec::Kafka { .. }));
        can_be && !generator::CAR_PARKS.contains(topic)
    };
    topology.topics().filter(is_stored).map(String::from).collect()
}

/// How many events of a feed are made where each of the others has so many.
pub fn rows_of(topic: &str, rows: u64) -> u64 {
    if topic == LONG { rows / 10 } else { rows }
}

/// Gives up writing when Ctrl-C has come.
struct Stoppable<W>(W);

impl<W: Write> Write for Stoppable<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if interrupt::hit() { Err(io::Error::other("interrupted")) } else { self.0.write(bytes) }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn feeds_are_made_and_named_in_topologies() {
        let inputs = Inputs::make(&["carparks_historic", LONG], 20, None, &Progress::silent()).unwrap();
        assert_eq!((inputs.rows(&[LONG]), inputs.rows(&["carparks_historic", LONG])), (2, 22));
        let file = std::fs::metadata(inputs.dir().join("carparks_historic.csv")).unwrap();
        assert_eq!(file.len(), inputs.of(&["carparks_historic"])[0].bytes);
        let path = inputs.topology(&["carparks_historic"], &["stored".to_string()]).unwrap();
        let topology = Topology::load(&path).unwrap();
        assert_eq!(stored(&topology), ["stored"]);
        assert!(
            matches!(topology.place(LONG), Some(PlaceSpec::File { path, .. }) if path.ends_with("empty.csv"))
        );
        let live = Topology::load(&inputs.live_topology(LONG, 7).unwrap()).unwrap();
        assert!(matches!(live.place(LONG), Some(PlaceSpec::Generator(spec)) if spec.rate == Some(7.0)));
    }
}
