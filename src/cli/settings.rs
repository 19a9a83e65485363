//! What was typed → what is meant: the engine's configuration, refused here if it cannot work.

use super::{count, run};
use crate::dashboard::Dashboard;
use crate::engine::{AnswerLimits, Config, Intervals, Limits, Pace};
use crate::error::{Error, Result, reason};
use crate::plan::Emission;
use crate::topology::Topology;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Where timely's processes listen unless a hostfile says otherwise.
const FIRST_PORT: u16 = 2101;

pub fn config(args: &run::Args) -> Result<Config> {
    Ok(Config {
        workers: workers(args),
        hosts: hosts(args.processes, args.process, args.hostfile.as_deref())?,
        process: args.process.into(),
        data_dir: args.data_dir.clone(),
        once: args.once,
        topology: topology(&args.script, args.topology.as_deref(), &args.topic)?,
        pace: Pace { emission: args.emit.into(), ..pace()? },
        checkpoints: Intervals { checkpoint: args.checkpoint_interval, commit: args.commit_interval },
        answers: AnswerLimits {
            limits: Limits::of(usize::from(args.answer_memory) << 20),
            push_queries: args.max_push_queries,
        },
    })
}

pub fn workers(args: &run::Args) -> usize {
    let cores = || std::thread::available_parallelism().map_or(1, usize::from);
    args.workers.map_or_else(cores, usize::from)
}

/// The given file, else the one beside the script with its name, else the one of all scripts there, else nothing;
/// then the overrides.
pub fn topology(script: &Path, given: Option<&Path>, overrides: &[String]) -> Result<Topology> {
    let beside = [script.with_extension("toml"), script.with_file_name("topology.toml")];
    let file = given.or_else(|| beside.iter().map(PathBuf::as_path).find(|file| file.is_file()));
    let mut topology = file.map_or_else(|| Ok(Topology::empty()), Topology::load)?;
    for place in overrides {
        topology = topology.with_override(place)?;
    }
    Ok(topology)
}

/// The given ones, and the one beside the script, if there is one.
pub fn dashboards(args: &run::Args) -> Result<Vec<Dashboard>> {
    let beside = args.script.with_extension("dashboard.toml");
    let beside = Some(beside).filter(|file| file.is_file() && !args.dashboard.contains(file));
    let mut dashboards: Vec<Dashboard> = Vec::new();
    for file in beside.iter().chain(&args.dashboard) {
        let dashboard = Dashboard::load(file)?;
        if dashboards.iter().any(|other| other.name == dashboard.name) {
            let message = format!("{}: there is a dashboard {} already", file.display(), dashboard.name);
            return Err(Error::usage(message).hint("its name is the file's up to .dashboard.toml"));
        }
        dashboards.push(dashboard);
    }
    Ok(dashboards)
}

fn hosts(processes: u16, process: u16, hostfile: Option<&Path>) -> Result<Vec<String>> {
    if process >= processes {
        let error = Error::usage(format!("-p {process} is not one of {processes} processes"));
        return Err(error.hint(format!("count from 0 to {}", processes - 1)));
    }
    if processes == 1 {
        return Ok(Vec::new());
    }
    let Some(file) = hostfile else {
        return Ok((0..processes).map(|i| format!("localhost:{}", FIRST_PORT + i)).collect());
    };
    let name = file.display();
    let text = std::fs::read_to_string(file)
        .map_err(|e| Error::usage(format!("cannot read hostfile {name}: {}", reason(&e))))?;
    let mut hosts: Vec<String> = text
        .lines()
        .map(str::trim)
        .filter(|l| !l.is_empty() && !l.starts_with('#'))
        .map(Into::into)
        .collect();
    if hosts.len() < usize::from(processes) {
        let found = hosts.len();
        let error = Error::usage(format!("hostfile {name} has {found} addresses for {processes} processes"));
        return Err(error.hint("one HOST:PORT a line for each process, the same file for all of them"));
    }
    hosts.truncate(processes.into());
    match hosts.iter().find(|host| !is_address(host)) {
        Some(host) => Err(Error::usage(format!("hostfile {name}: `{host}` is not HOST:PORT"))),
        None => Ok(hosts),
    }
}

fn is_address(host: &str) -> bool {
    host.rsplit_once(':').is_some_and(|(name, port)| !name.is_empty() && port.parse::<u16>().is_ok())
}

/// The defaults, unless a test wants input cut otherwise.
pub fn pace() -> Result<Pace> {
    pace_of(|name| std::env::var(name).ok())
}

fn pace_of(variable: impl Fn(&str) -> Option<String>) -> Result<Pace> {
    let number = |name: &str, default: u64| match variable(name) {
        None => Ok(default),
        Some(text) => match count(&text) {
            Ok(number) if number > 0 => Ok(number),
            _ => Err(Error::usage(format!("{name} is `{text}`; expected a whole number above 0"))),
        },
    };
    Ok(Pace {
        tick: Duration::from_millis(number("WHARFE_TICK_MS", 10)?),
        tick_bytes: number("WHARFE_TICK_BYTES", 8 << 20)? as usize,
        batch_bytes: number("WHARFE_BATCH_BYTES", 256 << 10)? as usize,
        inflight_bytes: number("WHARFE_INFLIGHT_BYTES", 32 << 20)? as usize,
        emission: Emission::default(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    #[test]
    fn hosts_are_one_for_each_process() {
        let dir = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            let path = dir.path().join(name);
            std::fs::write(&path, text).unwrap();
            path
        };
        let (two, bad) = (file("two", "# us\na:1\n\n b:2 \n"), file("bad", "a:1\nb\n"));
        let missing = dir.path().join("none");
        let (t, b, m) = (two.display(), bad.display(), missing.display());
        let cases = [
            (1, 0, None, Ok(vec![])),
            (2, 1, None, Ok(vec!["localhost:2101".into(), "localhost:2102".into()])),
            (2, 0, Some(&two), Ok(vec!["a:1".into(), "b:2".into()])),
            (2, 2, None, Err("-p 2 is not one of 2 processes; hint: count from 0 to 1".into())),
            (
                3,
                0,
                Some(&two),
                Err(format!(
                    "hostfile {t} has 2 addresses for 3 processes; hint: one HOST:PORT a line for each process, the same file for all of them"
                )),
            ),
            (2, 0, Some(&bad), Err(format!("hostfile {b}: `b` is not HOST:PORT"))),
            (2, 0, Some(&missing), Err(format!("cannot read hostfile {m}: no such file or directory"))),
        ];
        for (n, p, hostfile, expected) in cases {
            let got = hosts(n, p, hostfile.map(PathBuf::as_path)).map_err(|e| e.to_string());
            assert_eq!(got, expected);
        }
    }

    #[test]
    fn the_pace_can_be_overridden() {
        let pace = |value: &'static str| pace_of(|n| (n == "WHARFE_TICK_BYTES").then(|| value.into()));
        assert_eq!(pace("1_000").unwrap().tick_bytes, 1_000);
        for bad in ["0", "-1", "many"] {
            assert_eq!(
                pace(bad).unwrap_err().to_string(),
                format!("WHARFE_TICK_BYTES is `{bad}`; expected a whole number above 0")
            );
        }
    }
}
