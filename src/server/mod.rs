//! The REST interface, in ksqlDB's form: the routes, and the life of the server.
//!
//! A request's body becomes statements ([`request`]); statements go to the engine on a thread that
//! may block; outcomes become JSON ([`entity`]) and answers become streams ([`query`], [`rows`]).

mod check;
mod console;
mod dashboards;
pub mod entity;
pub mod gateway;
mod error;
mod events;
mod flow;
mod info;
mod inserts;
mod ksql;
mod load;
mod metrics;
mod query;
pub mod registry;
mod request;
mod rows;
mod unread;

use crate::dashboard::Dashboard;
use crate::engine::Engine;
use crate::error::{Error, Result, reason};
use crate::gateway::Gateway;
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::routing::{get, post};
use axum::serve::ListenerExt;
use error::Failure;
use events::Events;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// A request is its statements, escaped, and some properties.
const BODY_BYTES_MAX: usize = 8 << 20;

/// How long open connections may take to finish once the server is told to stop.
const DRAIN: Duration = Duration::from_secs(1);

#[derive(Clone)]
struct App {
    engine: Engine,
    commands: Arc<info::Commands>,
    events: Arc<Events>,
    dashboards: Arc<[Dashboard]>,
    /// Where events are served beside.
    gateway: Option<Arc<Gateway>>,
    /// Becomes true when the server stops: streams end themselves then.
    closing: watch::Receiver<bool>,
}

/// Serves until `stop` is done, HTTP/1.1 and HTTP/2 (by prior knowledge) on one port.
pub async fn serve(
    listener: std::net::TcpListener,
    engine: Engine,
    dashboards: Vec<Dashboard>,
    gateway: Option<Arc<Gateway>>,
    stop: impl Future<Output = ()> + Send + 'static,
) -> Result<()> {
    let (close, closing) = watch::channel(false);
    let registry = engine.registry();
    let events = Events::new();
    tokio::spawn(Arc::clone(&events).watch(engine.clone(), closing.clone()));
    let dashboards = Arc::from(dashboards);
    let by_name = gateway.clone().map(|gateway| gateway::routes(gateway, closing.clone()));
    let app = App { engine, commands: Arc::default(), events, dashboards, gateway, closing };
    let mut router = router(app);
    if let Some(by_name) = by_name {
        router = router.merge(by_name);
    }
    // Who configures clients has one address for both.
    if let Some(registry) = registry {
        router = router.merge(registry::routes(registry));
    }
    serve_routes(listener, router, close, stop).await
}

/// Serves routes until `stop` is done. Then `close` becomes true, and open connections have [`DRAIN`] to finish.
async fn serve_routes(
    listener: std::net::TcpListener,
    routes: Router,
    close: watch::Sender<bool>,
    stop: impl Future<Output = ()> + Send + 'static,
) -> Result<()> {
    let failed = |e: std::io::Error| Error::runtime(format!("cannot serve: {}", reason(&e)));
    listener.set_nonblocking(true).map_err(failed)?;
    let listener = tokio::net::TcpListener::from_std(listener).map_err(failed)?;
    // A row must leave when it is written; a connection that refuses the option still works.
    let listener = listener.tap_io(|connection| drop(connection.set_nodelay(true)));
    let mut closed = close.subscribe();
    let routes = routes.layer(axum::middleware::from_fn(unread::read_to_its_end));
    let serving = axum::serve(listener, routes).with_graceful_shutdown(async move {
        stop.await;
        close.send_replace(true);
    });
    let overdue = async move {
        if closed.wait_for(|closed| *closed).await.is_ok() {
            tokio::time::sleep(DRAIN).await;
        }
    };
    tokio::select! {
        served = serving => served.map_err(failed),
        () = overdue => Ok(()),
    }
}

fn router(app: App) -> Router {
    Router::new()
        .merge(console::routes())
        .route("/info", get(info::info))
        .route("/healthcheck", get(info::healthcheck))
        .route("/health/history", get(events::history))
        .route("/health/now", get(events::now))
        .route("/events", get(events::events))
        .route("/words", get(check::words))
        .route("/check", post(check::check))
        .route("/dashboards", get(dashboards::list))
        .route("/dashboards/{name}", get(dashboards::page))
        .route("/dashboards/{name}/spec", get(dashboards::spec))
        .route("/flow", get(flow::flow))
        .route("/flow.svg", get(flow::picture))
        .route("/metrics", get(metrics::metrics))
        .route("/status", get(info::all_statuses))
        .route("/status/{kind}/{entity}/{action}", get(info::status))
        .route("/is_valid_property/{property}", get(info::is_valid_property))
        .route("/ksql", post(ksql::ksql))
        .route("/query", post(query::query))
        .route("/query-stream", post(query::query_stream))
        .route("/close-query", post(query::close_query))
        .route("/inserts-stream", post(inserts::inserts_stream))
        .fallback(|| async { Failure::generic(40400, "there is nothing at this path") })
        .method_not_allowed_fallback(|| async {
            Failure::generic(40500, "this path does not take this method")
        })
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .with_state(app)
}

/// Runs what may block where it may block.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(_) => Err(Failure::generic(50000, "the server failed on this request; its log says why")),
    }
}

/// JSON with the media type that ksqlDB's clients look for.
fn json(status: StatusCode, body: &impl serde::Serialize) -> axum::response::Response {
    match serde_json::to_vec(body) {
        Ok(bytes) => (status, [("content-type", "application/json")], bytes).into_response(),
        Err(e) => (StatusCode::INTERNAL_SERVER_ERROR, e.to_string()).into_response(),
    }
}
