//! `GET /events`: what changes, as one stream of server-sent events; `GET /health/history`: the last hour.
//!
//! One task looks at the engine's measures once a second while anybody listens, and all listeners get the
//! same text: a hundred open consoles cost no more than one. Events:
//! - `measures`: totals since the start, by source and query, and how the engine is ([`measured`])
//! - `catalog`: a number that changes whenever streams, tables or queries come or go

use super::error::Failure;
use super::load::Load;
use super::{App, blocking, json};
use crate::clock::now_ms;
use crate::engine::measures::Flow;
use crate::engine::outcome::ConnectorInfo;
use crate::engine::{Engine, Measures, Outcome};
use axum::body::Body;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use xxhash_rust::xxh3::xxh3_64;

const EVERY: Duration = Duration::from_secs(1);
/// Every so many of these a sample is kept: so many make an hour.
const SAMPLE_EVERY: u64 = 5;
const SAMPLES_MAX: usize = 720;
/// Each is a connection and a small buffer.
const LISTENERS_MAX: usize = 256;
/// The number of a catalog is kept in what JavaScript's numbers hold.
const NUMBER_BITS: u32 = 52;

/// What was seen last, and over the last hour.
pub struct Events {
    latest: watch::Sender<Arc<str>>,
    listeners: AtomicUsize,
    history: Mutex<VecDeque<Sample>>,
}

/// How the engine was at a moment.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Sample {
    at: i64,
    tick_age_ms: Option<u64>,
    memory_bytes: u64,
    inflight_bytes: u64,
    rows_per_second: f64,
    /// Shares of a core, of each worker of this process, since the sample before.
    load: Vec<f64>,
    checkpoint_bytes: Option<u64>,
    checkpoint_ms: Option<u64>,
    undelivered: u64,
}

impl Events {
    pub fn new() -> Arc<Events> {
        let (latest, _) = watch::channel(Arc::from(""));
        Arc::new(Events { latest, listeners: AtomicUsize::new(0), history: Mutex::default() })
    }

    /// Looks from time to time, until the server stops.
    pub async fn watch(self: Arc<Events>, engine: Engine, mut closing: watch::Receiver<bool>) {
        let mut catalog = tokio::task::spawn(async { None });
        let mut known = None;
        let mut load = Load::new();
        for tick in 0_u64.. {
            tokio::select! {
                () = tokio::time::sleep(EVERY) => {}
                _ = closing.wait_for(|closing| *closing) => return,
            }
            let listened = self.listeners.load(Ordering::Relaxed) > 0;
            let sampled = tick % SAMPLE_EVERY == 0;
            if !listened && !sampled {
                continue;
            }
            let measures = engine.measures();
            if sampled {
                self.keep(sample(&measures, load.since_last()));
            }
            if !listened {
                continue;
            }
            // A statement that waits for a cluster holds the catalog: what is measured goes on without it.
            if catalog.is_finished() {
                known = catalog.await.ok().flatten().or(known);
                let engine = engine.clone();
                catalog = tokio::task::spawn_blocking(move || catalog_number(&engine));
            }
            let sinks = engine.connectors();
            let mut text = format!("event: measures\ndata: {}\n\n", measured(&measures, &sinks));
            if let Some(number) = known {
                text.push_str(&format!("event: catalog\ndata: {number}\n\n"));
            }
            self.latest.send_replace(Arc::from(text));
        }
    }

    fn keep(&self, sample: Sample) {
        let mut history = self.history.lock().unwrap_or_else(PoisonError::into_inner);
        if history.len() == SAMPLES_MAX {
            history.pop_front();
        }
        history.push_back(sample);
    }
}

/// Counts a listener as long as it is there.
struct Listener(Arc<Events>);

impl Drop for Listener {
    fn drop(&mut self) {
        self.0.listeners.fetch_sub(1, Ordering::Relaxed);
    }
}

pub async fn events(State(app): State<App>) -> Result<Response, Failure> {
    let events = Arc::clone(&app.events);
    if events.listeners.fetch_add(1, Ordering::Relaxed) >= LISTENERS_MAX {
        drop(Listener(events));
        return Err(Failure::generic(50300, format!("{LISTENERS_MAX} clients listen already")));
    }
    let updates = events.latest.subscribe();
    let listener = Listener(events);
    // The first one needs not wait for the next second.
    let first = measured(&app.engine.measures(), &app.engine.connectors());
    let first = Some(format!("retry: 2000\nevent: measures\ndata: {first}\n\n"));
    let stream = futures_util::stream::unfold(
        (first, updates, app.closing, listener),
        |(mut first, mut updates, mut closing, listener)| async {
            if let Some(text) = first.take() {
                return Some((Ok::<_, Infallible>(text), (first, updates, closing, listener)));
            }
            tokio::select! {
                changed = updates.changed() => changed.ok()?,
                _ = closing.wait_for(|closing| *closing) => return None,
            }
            let text = updates.borrow_and_update().to_string();
            Some((Ok(text), (first, updates, closing, listener)))
        },
    );
    let headers = [("content-type", "text/event-stream"), ("cache-control", "no-store")];
    Ok((headers, Body::from_stream(stream)).into_response())
}

/// The samples of the last hour, the oldest first.
pub async fn history(State(app): State<App>) -> Response {
    let samples: Vec<Sample> = {
        let history = app.events.history.lock().unwrap_or_else(PoisonError::into_inner);
        history.iter().cloned().collect()
    };
    json(StatusCode::OK, &json!({ "everySeconds": SAMPLE_EVERY, "samples": samples }))
}

/// The same as one event, for who asks once.
pub async fn now(State(app): State<App>) -> Result<Response, Failure> {
    blocking(move || Ok(json(StatusCode::OK, &measured(&app.engine.measures(), &app.engine.connectors()))))
        .await
}

/// Changes with the names of what there is.
fn catalog_number(engine: &Engine) -> Option<u64> {
    let mut names = String::new();
    for (text, mark) in [("SHOW STREAMS", 's'), ("SHOW TABLES", 't'), ("SHOW QUERIES", 'q')] {
        let mut add = |name: &str, state: &str| {
            names.extend([mark, ' ']);
            names.extend([name, " ", state, "\n"]);
        };
        match engine.ask(text).ok()? {
            Outcome::Streams(all) | Outcome::Tables(all) => all.iter().for_each(|s| add(&s.name, &s.topic)),
            Outcome::Queries(all) => {
                all.iter().filter(|q| q.persistent).for_each(|q| add(&q.id, &q.state));
            }
            _ => {}
        }
    }
    Some(xxh3_64(names.as_bytes()) >> (u64::BITS - NUMBER_BITS))
}

/// The data of an event `measures`.
fn measured(all: &Measures, sinks: &[ConnectorInfo]) -> Value {
    let sources = all.sources.keys().map(|name| (name.clone(), source(all, name)));
    let mut queries: serde_json::Map<String, Value> = serde_json::Map::new();
    for (stage, flow) in all.stages.iter().filter(|(stage, _)| !stage.query().is_empty()) {
        let stages = queries.entry(stage.query()).or_insert_with(|| json!([]));
        if let Some(stages) = stages.as_array_mut() {
            let mut counts = counts(flow);
            counts["stage"] = stage.stage().into();
            counts["source"] = stage.source().into();
            stages.push(counts);
        }
    }
    json!({
        "at": now_ms(),
        "tickAgeMs": all.tick_age.map(|age| age.as_millis() as u64),
        "inflightBytes": all.inflight_bytes.values().collect::<Vec<_>>(),
        "memoryBytes": all.memory_bytes.values().collect::<Vec<_>>(),
        "notes": all.notes,
        "answers": all.answers,
        "answerRows": all.answer_rows,
        "undelivered": all.undelivered,
        "checkpoint": all.checkpoint.map(|taken| json!({
            "number": taken.number,
            "bytes": taken.bytes,
            "tookMs": taken.took.as_millis() as u64,
            "ageMs": taken.current.elapsed().as_millis() as u64,
        })),
        "sources": sources.collect::<serde_json::Map<_, _>>(),
        "queries": queries,
        "sinks": sinks.iter().map(sink).collect::<serde_json::Map<_, _>>(),
    })
}

fn sink(info: &ConnectorInfo) -> (String, Value) {
    let mut sink = json!(info.status);
    sink["to"] = info.to.as_str().into();
    sink["reads"] = json!(info.reads);
    (info.name.clone(), sink)
}

fn source(all: &Measures, name: &str) -> Value {
    let level = &all.sources[name];
    let mut counts = counts(&all.read(name));
    counts["topic"] = level.topic.as_str().into();
    counts["bytes"] = level.bytes.into();
    counts["lagRecords"] = level.lag.records.into();
    counts["lagBytes"] = level.lag.bytes.into();
    counts["lagMs"] = level.lag_ms.into();
    counts
}

fn counts(flow: &Flow) -> Value {
    json!({
        "in": flow.rows_in,
        "out": flow.rows_out,
        "filtered": flow.filtered,
        "rejected": flow.rejected,
        "rate": (flow.rate * 10.0).round() / 10.0,
    })
}

fn sample(all: &Measures, load: Vec<f64>) -> Sample {
    let read = all.sources.keys().map(|name| all.read(name).rate);
    Sample {
        at: now_ms(),
        tick_age_ms: all.tick_age.map(|age| age.as_millis() as u64),
        memory_bytes: all.memory_bytes.values().sum(),
        inflight_bytes: all.inflight_bytes.values().sum(),
        rows_per_second: read.sum::<f64>().round(),
        load,
        checkpoint_bytes: all.checkpoint.map(|taken| taken.bytes),
        checkpoint_ms: all.checkpoint.map(|taken| taken.took.as_millis() as u64),
        undelivered: all.undelivered.values().sum(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_hour_is_kept_and_no_more() {
        let events = Events::new();
        for at in 0..SAMPLES_MAX as i64 + 3 {
            events.keep(Sample { at, ..sample(&Measures::default(), vec![0.5]) });
        }
        let history = events.history.lock().unwrap();
        assert_eq!((history.len(), history.front().map(|s| s.at)), (SAMPLES_MAX, Some(3)));
        assert_eq!(SAMPLES_MAX as u64 * SAMPLE_EVERY, 3_600);
    }

    #[test]
    fn nothing_measured_is_said_as_such() {
        let event = measured(&Measures::default(), &[]);
        assert_eq!((&event["tickAgeMs"], &event["checkpoint"]), (&Value::Null, &Value::Null));
        assert_eq!(event["sources"], json!({}));
    }
}
