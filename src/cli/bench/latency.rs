//! Latency with an open loop: from the moment an event is due to the moment a pull query sees it.
//!
//! Events come at a fixed pace whether or not the engine keeps up, and event k is due at k / rate
//! after the start. A pull that answers n proves that the first n events are visible when the answer
//! is there. The time between two pulls is part of the latency. The engine makes the events by itself,
//! or a thread beside it produces them to a topic.

use super::super::script::{self, Script};
use super::super::settings;
use super::child::Figures;
use super::kafka;
use super::part::Args;
use super::usage;
use crate::engine::{AnswerEvent, AnswerLimits, Config, Engine, Intervals, Outcome};
use crate::error::{Error, Result};
use crate::sql::parse_script;
use crate::topology::Topology;
use crate::value::{Row, Value};
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// What a pull asks for; a script needs this table to be measured.
pub const TABLE: &str = "SOURCE_COUNTS";
const QUESTION: &str = "SELECT EVENT_CT FROM SOURCE_COUNTS";

/// From pull to pull, answers apart.
const PAUSE: Duration = Duration::from_millis(1);

/// Events at the start that do not count: dataflows are being built.
const WARM_UP_S: u64 = 1;

pub fn measure(script: &Script, topology: Topology, args: &Args) -> Result<Figures> {
    let to = args.to.as_ref().and_then(|topic| topology.resolve(topic, Path::new(""), 1));
    let engine = start(script, topology, args.workers, false)?;
    let (rate, events) = (args.rate, args.rate * args.seconds);
    let producing = match (to, args.feed.first()) {
        (Some(to), Some((feed, _))) => {
            let (start_ms, spec) = (now_ms() as i64, kafka::spec(feed, events, Some(rate as f64)));
            Some((start_ms, std::thread::spawn(move || kafka::produce(&to, spec, start_ms))))
        }
        _ => None,
    };
    let seen = watch(&engine, rate, events)?;
    let start_ms = match producing {
        Some((start_ms, producer)) => {
            producer.join().map_err(|_| Error::runtime("the producer ended"))??;
            start_ms
        }
        // The workers have set it when they began to read: before they did there is none.
        None => engine.started_ms(),
    };
    let latencies = latencies(&seen, start_ms as f64, rate, rate * WARM_UP_S);
    engine.stop()?;
    let latency_ms = Some(percentiles(latencies)?);
    let (rows, seconds) = (args.rate * args.seconds, args.seconds as f64);
    Ok(Figures { rows, seconds, cpu_seconds: usage::process_cpu(), latency_ms, ..Figures::default() })
}

/// An engine that has begun to run a script.
pub fn start(script: &Script, topology: Topology, workers: usize, once: bool) -> Result<Engine> {
    let pace = settings::pace()?;
    let (hosts, process, data_dir, answers) = (Vec::new(), 0, None, AnswerLimits::default());
    let checkpoints = Intervals::default();
    let config = Config { workers, hosts, process, data_dir, once, topology, pace, checkpoints, answers };
    let engine = Engine::start(config)?;
    let mut session = script::session();
    for statement in script.statements.iter().filter(|s| !script::is_query(&s.statement)) {
        engine.execute(statement, &mut session)?;
    }
    engine.begin()?;
    Ok(engine)
}

/// Visits the rows that a pull query answers.
pub fn ask(engine: &Engine, question: &str, mut visit: impl FnMut(&Row)) -> Result<()> {
    for statement in parse_script(question)? {
        let Outcome::Answer(mut answer) = engine.execute(&statement, &mut script::session())? else {
            continue;
        };
        loop {
            match answer.rows.blocking_recv() {
                Some(AnswerEvent::Rows(rows)) => rows.iter().for_each(|row| visit(&row.row)),
                Some(AnswerEvent::Error(error)) => return Err(error),
                Some(AnswerEvent::End(_)) | None => break,
            }
        }
    }
    Ok(())
}

/// Pulls until all `events` are visible: (when the answer was there, how many were).
fn watch(engine: &Engine, rate: u64, events: u64) -> Result<Vec<(f64, u64)>> {
    let deadline = now_ms() + 3_000.0 * events as f64 / rate as f64 + 10_000.0;
    let mut seen = Vec::new();
    loop {
        let mut count = 0;
        ask(engine, QUESTION, |row| {
            if let Some(Value::Bigint(n)) = row.first() {
                count += *n as u64;
            }
        })?;
        seen.push((now_ms(), count));
        if count >= events {
            return Ok(seen);
        }
        if now_ms() > deadline {
            let error = Error::runtime(format!("only {count} of {events} events were visible in time"));
            return Err(error.hint("ask for a lower --rate"));
        }
        std::thread::sleep(PAUSE);
    }
}

fn now_ms() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |d| d.as_secs_f64() * 1e3)
}

/// For each event from `first` on: when it was first seen, less when it was due.
fn latencies(seen: &[(f64, u64)], start_ms: f64, rate: u64, first: u64) -> Vec<f64> {
    let mut latencies = Vec::new();
    let mut next = first;
    for &(at, count) in seen {
        while next < count {
            latencies.push(at - (start_ms + next as f64 * 1e3 / rate as f64));
            next += 1;
        }
    }
    latencies
}

/// p50, p99, p99.9 and the greatest.
fn percentiles(mut latencies: Vec<f64>) -> Result<[f64; 4]> {
    latencies.sort_unstable_by(f64::total_cmp);
    let Some(last) = latencies.len().checked_sub(1) else {
        return Err(Error::runtime("no event counted for the latency"));
    };
    // The least latency that so many events do not exceed.
    let at =
        |share: f64| latencies[((latencies.len() as f64 * share).ceil() as usize).clamp(1, last + 1) - 1];
    Ok([at(0.5), at(0.99), at(0.999), latencies[last]])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latency_counts_from_when_an_event_was_due() {
        // Four events a second from 1,000 ms on, due at 1,000, 1,250, 1,500, 1,750.
        let seen = [(1_100.0, 1), (1_200.0, 1), (1_900.0, 4)];
        assert_eq!(latencies(&seen, 1_000.0, 4, 0), [100.0, 650.0, 400.0, 150.0]);
        assert_eq!(latencies(&seen, 1_000.0, 4, 2), [400.0, 150.0]);
    }

    #[test]
    fn percentiles_are_values_that_were_measured() {
        let hundred: Vec<f64> = (1..=100).rev().map(f64::from).collect();
        assert_eq!(percentiles(hundred).unwrap(), [50.0, 99.0, 100.0, 100.0]);
        assert_eq!(percentiles(vec![7.0]).unwrap(), [7.0; 4]);
        assert!(percentiles(vec![]).is_err());
    }
}
