//! One measurement, in a process of its own: what came before it cannot disturb it, and the system
//! counts its CPU time and memory apart.

use super::super::interrupt;
use super::input::Feed;
use super::report::Progress;
use super::usage::{self, Machine, Used};
use crate::error::reason;
use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use std::ffi::OsString;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// How often a running child is looked at; its seconds are that exact.
const LOOK: Duration = Duration::from_millis(1);

/// What was measured; parts of the engine say it themselves, in JSON.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Figures {
    pub rows: u64,
    pub bytes: u64,
    pub seconds: f64,
    pub cpu_seconds: f64,
    pub rss_mib: Option<f64>,
    /// p50, p99, p99.9 and the greatest, in milliseconds.
    pub latency_ms: Option<[f64; 4]>,
    /// Cores that worked for others meanwhile.
    pub others: Option<f64>,
}

/// The run that took the least CPU time, with the most memory that any of them took.
pub fn best(
    what: &str,
    repeats: u32,
    progress: Progress,
    run: impl Fn() -> Result<Figures>,
) -> Result<Figures> {
    let mut runs = Vec::new();
    for repeat in 1..=repeats {
        progress.show(&format!("{what}, {repeat} of {repeats}"));
        runs.push(run()?);
    }
    let rss_mib = runs.iter().filter_map(|run| run.rss_mib).reduce(f64::max);
    let best = runs.into_iter().min_by(|a, b| a.cpu_seconds.total_cmp(&b.cpu_seconds));
    Ok(Figures { rss_mib, ..best.expect("there is at least one repeat") })
}

/// How measurements of a script are started.
pub struct Child {
    program: PathBuf,
    script: PathBuf,
}

/// What an ended child said, and used.
struct Ended {
    out: String,
    seconds: f64,
    used: Used,
    others: Option<f64>,
}

impl Child {
    pub fn new(script: &Path) -> Result<Child> {
        let program = std::env::current_exe()
            .map_err(|e| Error::runtime(format!("cannot find this program: {}", reason(&e))))?;
        Ok(Child { program, script: script.to_path_buf() })
    }

    /// `wharfe run --once` over these feeds; a run that lost or rejected an event does not count.
    pub fn run(&self, dir: &Path, topology: &Path, workers: u16, feeds: &[&Feed]) -> Result<Figures> {
        const BOOKS: &str = "SELECT TOPIC, ROWS_OUT FROM WHARFE_BOOKS WHERE STAGE = 'decode'";
        let workers = workers.to_string();
        let data_dir = tempfile::tempdir_in(dir)
            .map_err(|e| Error::runtime(format!("cannot make a directory for data: {}", reason(&e))))?;
        let mut args: Vec<OsString> =
            ["run", "--once", "--format", "json", "-q", BOOKS].map(Into::into).into();
        args.extend(["-w", &workers, "--data-dir"].map(Into::into));
        args.extend([
            data_dir.path().into(),
            "--topology".into(),
            topology.into(),
            self.script.clone().into(),
        ]);
        let ended = self.start(dir, &args)?;
        for feed in feeds {
            let line = format!("{{\"TOPIC\":\"{}\",\"ROWS_OUT\":{}}}", feed.topic, feed.rows);
            if !ended.out.lines().any(|l| l == line) {
                let error = Error::runtime(format!("a run did not take in all events of {}", feed.topic));
                return Err(error.hint("only some can be decoded as the script declares them"));
            }
        }
        Ok(ended.figures(feeds))
    }

    /// The time from the start of `wharfe run` to its end, with one answer on the script's own data.
    pub fn answer(&self, dir: &Path, topology: Option<&Path>, table: &str) -> Result<Figures> {
        let query = format!("SELECT * FROM {}", crate::types::quote(table));
        let mut args: Vec<OsString> = ["run", "--once", "-q", &query].map(Into::into).into();
        if let Some(topology) = topology {
            args.extend(["--topology".into(), topology.into()]);
        }
        args.push(self.script.clone().into());
        Ok(self.start(dir, &args)?.figures(&[]))
    }

    /// A part of the engine by itself: what is measured is what it says.
    pub fn part(&self, dir: &Path, part: &str, topology: &Path, args: &[String]) -> Result<Figures> {
        let mut all: Vec<OsString> = ["bench-part", part, "--topology"].map(Into::into).into();
        all.extend([topology.into(), self.script.clone().into()]);
        all.extend(args.iter().map(Into::into));
        let ended = self.start(dir, &all)?;
        let said = serde_json::from_str::<Figures>(&ended.out);
        let said = said.map_err(|e| Error::runtime(format!("cannot read what {part} measured: {e}")))?;
        Ok(Figures { others: ended.others, ..said })
    }

    /// Runs this program to its end. What it writes goes through files, so that it never waits for us.
    fn start(&self, dir: &Path, args: &[OsString]) -> Result<Ended> {
        let failed =
            |e: std::io::Error| Error::runtime(format!("cannot start a measurement: {}", reason(&e)));
        let (out, err) = (dir.join("stdout"), dir.join("stderr"));
        let mut command = Command::new(&self.program);
        // What it makes for itself goes with everything else, even if it is stopped halfway.
        command.args(args).env("TMPDIR", dir).stdin(Stdio::null());
        command.stdout(File::create(&out).map_err(failed)?).stderr(File::create(&err).map_err(failed)?);
        let machine = Machine::watch();
        let started = Instant::now();
        let mut child = command.spawn().map_err(failed)?;
        let mut stopped = false;
        let used = loop {
            if let Some(used) = usage::reap(child.id()).map_err(failed)? {
                break used;
            }
            if interrupt::hit() && !stopped {
                stopped = true;
                child.kill().map_err(failed)?;
            }
            std::thread::sleep(LOOK);
        };
        let seconds = started.elapsed().as_secs_f64();
        interrupt::check()?;
        let read = |path| std::fs::read_to_string(path).map_err(failed);
        if !used.success {
            let said = read(&err)?;
            let said = said.trim().strip_prefix("error: ").unwrap_or(said.trim());
            return Err(Error::runtime(format!("a measurement failed: {said}")));
        }
        Ok(Ended { out: read(&out)?, seconds, used, others: machine.others(used.cpu_seconds) })
    }
}

impl Ended {
    fn figures(&self, feeds: &[&Feed]) -> Figures {
        Figures {
            rows: feeds.iter().map(|feed| feed.rows).sum(),
            bytes: feeds.iter().map(|feed| feed.bytes).sum(),
            seconds: self.seconds,
            cpu_seconds: self.used.cpu_seconds,
            rss_mib: Some(self.used.rss_mib),
            latency_ms: None,
            others: self.others,
        }
    }
}
