//! `GET /events/NS/TYPE`: events for who cannot be called, as they come (`text/event-stream`) or by long
//! polling; `GET /watch/ZONE`: all that is published to a zone.

use super::{App, Failure, Reply, check, consumes, event_of, ok};
use crate::error::Error;
use crate::gateway::Who;
use crate::gateway::stream::{Stream, Told, Wanted, from_token};
use crate::topology::EventName;
use axum::Extension;
use axum::body::{Body, Bytes};
use axum::extract::{Path, Query, State};
use axum::http::HeaderMap;
use axum::response::Response;
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot, watch};

/// Pieces of an answer that wait for their client.
const PIECES_MAX: usize = 16;
/// A comment tells both sides that the connection is alive.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
const WAIT_MAX_S: u64 = 60;
const EVENTS_MAX: usize = 1_000;

#[derive(Deserialize)]
pub struct Parameters {
    /// earliest, latest or a token.
    from: Option<String>,
    #[serde(rename = "where")]
    predicate: Option<String>,
    /// Of long polling: how long to wait for the first event, and how many to tell at most.
    wait: Option<u64>,
    limit: Option<usize>,
    /// Of watching: only this event.
    event: Option<String>,
}

pub async fn consume(
    State(app): State<App>,
    Path((namespace, event_type)): Path<(String, String)>,
    Query(parameters): Query<Parameters>,
    Extension(who): Extension<Who>,
    headers: HeaderMap,
) -> Reply {
    let event = event_of(&namespace, &event_type)?;
    consumes(&who, &namespace)?;
    check_known(&app, &event)?;
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let from = text("last-event-id").map(String::from).or(parameters.from.clone());
    let from = from_token(from.as_deref().unwrap_or("latest"))?;
    let room = room(&app)?;
    let (gateway, predicate) = (Arc::clone(&app.gateway), parameters.predicate.clone());
    let open = move || Stream::open(&gateway, Wanted::Event(event), from, predicate);
    match text("accept").is_some_and(|accept| accept.contains("text/event-stream")) {
        true => sse(&app, open, room).await,
        false => poll(&app, open, &parameters, room).await,
    }
}

pub async fn watch_zone(
    State(app): State<App>,
    Path(zone): Path<String>,
    Query(parameters): Query<Parameters>,
    Extension(who): Extension<Who>,
) -> Reply {
    app.gateway.directory.zone(&zone)?;
    let wanted = match &parameters.event {
        Some(event) => {
            let event: EventName = event.parse().map_err(|why: String| Failure::new(400, why))?;
            consumes(&who, &event.namespace)?;
            check_known(&app, &event)?;
            let route = app.gateway.route(&event).await?;
            if route.current().site.zone != zone {
                let message =
                    format!("{event} is published to zone {}, not {zone}", route.current().site.zone);
                return Err(Failure::new(400, message));
            }
            Wanted::Event(event)
        }
        // A zone has events of any namespace.
        None => {
            check(&who, who.may_consume("*"), "watch all of", "*")?;
            Wanted::Zone(zone)
        }
    };
    if parameters.predicate.is_some() && matches!(wanted, Wanted::Zone(_)) {
        return Err(Failure::new(400, "a predicate needs an event, whose fields it names")
            .hint("event=mfp/FoodEntryCreated"));
    }
    let from = from_token(parameters.from.as_deref().unwrap_or("latest"))?;
    let room = room(&app)?;
    let (gateway, predicate) = (Arc::clone(&app.gateway), parameters.predicate.clone());
    sse(&app, move || Stream::open(&gateway, wanted, from, predicate), room).await
}

fn failed() -> Failure {
    Failure::new(500, "the gateway failed on this request; its log says why")
}

/// Somebody who misspells an event would wait forever.
fn check_known(app: &App, event: &EventName) -> Result<(), Failure> {
    let gateway = &app.gateway;
    if gateway.directory.route(event).is_some() || !gateway.schemas.of_event(event).is_empty() {
        return Ok(());
    }
    let known: Vec<String> = gateway.schemas.events().iter().map(ToString::to_string).collect();
    let failure = Failure::new(404, format!("there is no event {event}"));
    Err(match crate::expr::nearest::nearest(&event.to_string(), known.iter().map(String::as_str)) {
        Some(near) => failure.hint(format!("did you mean {near}?")),
        None => failure.hint("GET /topology lists them"),
    })
}

fn room(app: &App) -> Result<OwnedSemaphorePermit, Failure> {
    let room = Arc::clone(&app.streams).try_acquire_owned();
    room.map_err(|_| Failure::new(503, "as many consumers are connected as there can be").retry_after(5))
}

/// Events as they come; the thread ends with its client, or with the server.
async fn sse(
    app: &App,
    open: impl FnOnce() -> Result<Stream, Error> + Send + 'static,
    room: OwnedSemaphorePermit,
) -> Reply {
    let (sender, pieces) = mpsc::channel::<Bytes>(PIECES_MAX);
    let (opened, is_open) = oneshot::channel();
    let closing = app.closing.clone();
    std::thread::spawn(move || {
        let _room = room;
        match open() {
            Ok(stream) => {
                let _ = opened.send(Ok(()));
                tell(stream, &sender, &closing);
            }
            Err(error) => drop(opened.send(Err(error))),
        }
    });
    is_open.await.map_err(|_| failed())??;
    let pieces = futures_util::stream::unfold(pieces, |mut pieces| async move {
        pieces.recv().await.map(|piece| (Ok::<_, std::convert::Infallible>(piece), pieces))
    });
    let mut response = Response::new(Body::from_stream(pieces));
    for (name, value) in [("content-type", "text/event-stream"), ("cache-control", "no-store")] {
        response.headers_mut().insert(name, axum::http::HeaderValue::from_static(value));
    }
    Ok(response)
}

fn tell(mut stream: Stream, sender: &mpsc::Sender<Bytes>, closing: &watch::Receiver<bool>) {
    let mut told_at = Instant::now();
    // Says at once that it listens: who watches may publish then.
    let mut next = Some(Bytes::from_static(b": listening\n\n"));
    while !*closing.borrow() && !sender.is_closed() {
        if let Some(piece) = next.take() {
            if sender.blocking_send(piece).is_err() {
                return;
            }
            told_at = Instant::now();
        }
        next = match stream.more() {
            Ok(told) if told.is_empty() => {
                (told_at.elapsed() >= KEEP_ALIVE).then(|| Bytes::from_static(b": alive\n\n"))
            }
            Ok(told) => Some(written(&told)),
            Err(error) => {
                let _ = sender.blocking_send(Bytes::from(failure_text(&error)));
                return;
            }
        };
    }
}

fn written(told: &[Told]) -> Bytes {
    let mut text = String::new();
    for one in told {
        // JSON of one line: it holds no line break.
        text.push_str(&format!("event: {}\nid: {}\ndata: {}\n\n", one.event.dotted(), one.token, one.body));
    }
    Bytes::from(text)
}

fn failure_text(error: &Error) -> String {
    format!("event: error\ndata: {}\n\n", json!({ "message": error.to_string() }))
}

/// Waits for the first events, and tells where to go on.
async fn poll(
    app: &App,
    open: impl FnOnce() -> Result<Stream, Error> + Send + 'static,
    parameters: &Parameters,
    room: OwnedSemaphorePermit,
) -> Reply {
    let until = Instant::now() + Duration::from_secs(parameters.wait.unwrap_or(20).min(WAIT_MAX_S));
    let limit = parameters.limit.unwrap_or(100).clamp(1, EVENTS_MAX);
    let closing = app.closing.clone();
    let told = tokio::task::spawn_blocking(move || {
        let _room = room;
        let mut stream = open()?;
        let mut all: Vec<Told> = stream.more()?;
        while all.is_empty() && Instant::now() < until && !*closing.borrow() {
            all = stream.more()?;
        }
        all.truncate(limit);
        let next = all.last().map_or_else(|| stream.token(), |last| last.token.clone());
        Ok::<_, Error>((all, next))
    });
    let (events, next) = told.await.map_err(|_| failed())??;
    let raw = |told: Told| RawValue::from_string(told.body).ok();
    let events = events.into_iter().filter_map(raw).collect();
    ok(&Page { events, next })
}

#[derive(serde::Serialize)]
struct Page {
    events: Vec<Box<RawValue>>,
    /// The token to ask with the next time.
    next: String,
}
