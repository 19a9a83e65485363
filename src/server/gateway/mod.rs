//! The gateway over HTTP: its routes, who asks, and how what is refused is told.
//!
//! ```text
//! POST /produce                             publish             produce
//! GET  /events/NS/TYPE                      consume             events
//! GET  /topology…  PUT, DELETE              where events live   topology
//! /event-schemas…                           their schemas       schemas
//! /subscriptions…                           call-backs          subscriptions
//! GET  /watch/ZONE /trace/ID /lag /metrics  look on             observe
//! ```

mod events;
mod observe;
mod produce;
mod schemas;
mod subscriptions;
mod topology;

use crate::error::{Code, Error, Result};
use crate::gateway::{Gateway, Who};
use crate::registry::Client;
use crate::server::Protection;
use crate::server::access::{self, Guard, Keeper};
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::StatusCode;
use axum::middleware;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde::Serialize;
use serde_json::{Value, json};
use std::sync::Arc;
use tokio::sync::{Semaphore, watch};

/// A request's events.
const BODY_BYTES_MAX: usize = 8 << 20;
/// All requests that are being stored, together, in KiB; more are asked to come again.
const STORING_KIB_MAX: usize = 64 << 10;
/// Consumers that are connected and watchers: a thread and some MiB each.
const STREAMS_MAX: usize = 256;

#[derive(Clone)]
struct App {
    gateway: Arc<Gateway>,
    budget: Arc<Semaphore>,
    streams: Arc<Semaphore>,
    /// Becomes true when the server stops: streams end themselves then.
    closing: watch::Receiver<bool>,
}

/// Serves a gateway alone, with its registry, until `stop` is done.
pub async fn serve(
    listener: std::net::TcpListener,
    gateway: Arc<Gateway>,
    protection: Protection,
    stop: impl Future<Output = ()> + Send + 'static,
) -> Result<()> {
    let (close, closing) = watch::channel(false);
    let guard = Guard::of(&listener, protection.access);
    let mut others =
        Router::new().route("/metrics", get(observe::metrics_of).with_state(Arc::clone(&gateway)));
    if let Client::Own(registry) = gateway.schemas.client() {
        others = others.merge(super::registry::routes(registry.clone()));
    }
    let others = others.fallback(|| async { Failure::new(404, "there is nothing at this path") });
    let router = access::guarded(others, &guard).merge(routes(gateway, closing, &guard));
    super::serve_routes(listener, router, guard, protection.tls, close, stop).await
}

/// What is served beside the engine's own paths and the registry's, none of which it has. Its own tokens open
/// it, too.
pub fn routes(gateway: Arc<Gateway>, closing: watch::Receiver<bool>, guard: &Arc<Guard>) -> Router {
    let keeper = Keeper { guard: Arc::clone(guard), gateway: Arc::clone(&gateway) };
    let app = App {
        gateway,
        budget: Arc::new(Semaphore::new(STORING_KIB_MAX)),
        streams: Arc::new(Semaphore::new(STREAMS_MAX)),
        closing,
    };
    Router::new()
        .route("/produce", post(produce::produce))
        .route("/golden-gate-proxy/produce", post(produce::produce))
        .route("/events/{namespace}/{event_type}", get(events::consume))
        .route("/watch/{zone}", get(events::watch_zone))
        .route("/topology", get(topology::all))
        .route("/topology/changes", get(topology::changes))
        .route(
            "/topology/events/{namespace}/{event_type}",
            get(topology::get).put(topology::put).delete(topology::delete),
        )
        .route("/event-schemas", get(schemas::list).post(schemas::register))
        .route("/event-schemas/{id}", get(schemas::show))
        .route("/event-schemas/{id}/schema", get(schemas::text))
        .route("/event-schemas/{id}/diff", get(schemas::diff))
        .route("/event-schemas/{id}/{action}", post(schemas::act))
        .route("/subscriptions", get(subscriptions::list))
        .route(
            "/subscriptions/{name}",
            get(subscriptions::show).put(subscriptions::put).delete(subscriptions::delete),
        )
        .route("/subscriptions/{name}/{action}", post(subscriptions::act))
        .route("/trace/{id}", get(observe::trace))
        .route("/lag", get(observe::lag))
        .route("/gateway", get(observe::about))
        .method_not_allowed_fallback(|| async { Failure::new(405, "this path does not take this method") })
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .layer(middleware::from_fn_with_state(keeper, access::guard_events))
        .with_state(app)
}

/// The gateway's part of `/metrics`.
pub fn metrics(gateway: &Gateway) -> String {
    observe::metrics(gateway)
}

/// What a request that failed is answered.
#[derive(Debug)]
pub struct Failure {
    status: u16,
    body: Value,
    retry_after_s: Option<u64>,
}

impl Failure {
    pub fn new(status: u16, message: impl Into<String>) -> Failure {
        let body = json!({ "error": { "status": status, "message": message.into() } });
        Failure { status, body, retry_after_s: None }
    }

    pub fn hint(mut self, hint: impl Into<String>) -> Failure {
        self.body["error"]["hint"] = hint.into().into();
        self
    }

    pub fn with(mut self, name: &str, value: impl Serialize) -> Failure {
        self.body["error"][name] = json!(value);
        self
    }

    pub fn retry_after(mut self, seconds: u64) -> Failure {
        self.retry_after_s = Some(seconds);
        self
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        let status = match error.code {
            Code::Syntax | Code::Statement | Code::Topology | Code::Usage => 400,
            Code::Limit => 429,
            Code::Runtime | Code::Interrupted => 503,
        };
        let failure = Failure::new(status, error.rendered.unwrap_or(error.message));
        match error.hint {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = super::json(status, &self.body);
        let seconds = self.retry_after_s.or((self.status == 503).then_some(1));
        if let Some(seconds) = seconds {
            response.headers_mut().insert("retry-after", seconds.into());
        }
        if self.status == 401 {
            response.headers_mut().insert("www-authenticate", axum::http::HeaderValue::from_static("Bearer"));
        }
        response
    }
}

type Reply = std::result::Result<Response, Failure>;

/// Fails unless who asks may.
fn check(who: &Who, may: bool, what: &str, namespace: &str) -> std::result::Result<(), Failure> {
    match may {
        true => Ok(()),
        false => Err(Failure::new(403, format!("{} may not {what} namespace {namespace}", who.name()))),
    }
}

fn administers(who: &Who, namespace: &str) -> std::result::Result<(), Failure> {
    check(who, who.may_administer(namespace), "administer", namespace)
}

fn consumes(who: &Who, namespace: &str) -> std::result::Result<(), Failure> {
    check(who, who.may_consume(namespace), "consume from", namespace)
}

fn ok(body: &impl Serialize) -> Reply {
    Ok(super::json(StatusCode::OK, body))
}

/// The event that a path names.
fn event_of(namespace: &str, event_type: &str) -> std::result::Result<crate::topology::EventName, Failure> {
    crate::topology::EventName::new(namespace, event_type).map_err(|why| Failure::new(400, why))
}

/// A body of JSON, of any content type.
fn parsed<T: serde::de::DeserializeOwned>(body: &[u8]) -> std::result::Result<T, Failure> {
    let mut reader = serde_json::Deserializer::from_slice(body);
    T::deserialize(&mut reader).map_err(|e| Failure::new(400, format!("the body is not understood: {e}")))
}
