//! The REST interface, in ksqlDB's form: the routes, and the life of the server.
//!
//! A request's body becomes statements ([`request`]); statements go to the engine on a thread that
//! may block; outcomes become JSON ([`entity`]) and answers become streams ([`query`], [`rows`]).

pub mod access;
mod check;
mod connections;
mod console;
mod dashboards;
pub mod entity;
pub mod gateway;
mod error;
mod events;
mod flow;
mod h2c;
mod info;
mod inserts;
mod ksql;
mod load;
mod metrics;
mod query;
pub mod registry;
mod rejects;
mod request;
mod rows;
mod unread;
mod websocket;

use crate::dashboard::Dashboard;
use crate::engine::Engine;
use crate::error::{Error, Result, reason};
use crate::gateway::Gateway;
use access::{Access, Guard, TlsListener};
use axum::body::Body;
use axum::extract::{DefaultBodyLimit, Request};
use axum::http::StatusCode;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::serve::ListenerExt;
use axum::{BoxError, Router};
use connections::Terms;
use error::Failure;
use events::Events;
use futures_util::{Stream, StreamExt};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

/// A request is its statements, escaped, and some properties.
const BODY_BYTES_MAX: usize = 8 << 20;

/// How long the head of a request may take to come.
const HEAD_PATIENCE: Duration = Duration::from_secs(30);

/// How often a client of HTTP/2 is asked whether it is there, and how long its answer may take: more than a client
/// that answers between two rows only may need for one of them.
const PING_PATIENCE: Duration = Duration::from_secs(60);

/// How long the rest of a request may take to come.
const BODY_PATIENCE: Duration = Duration::from_secs(30);

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

/// What is served beside the engine, and to whom.
#[derive(Default)]
pub struct Options {
    pub dashboards: Vec<Dashboard>,
    pub protection: Protection,
}

/// Who may ask, and whether others can listen in.
#[derive(Default)]
pub struct Protection {
    /// `None`: whoever reaches the port may do all.
    pub access: Option<Access>,
    pub tls: Option<Arc<rustls::ServerConfig>>,
}

/// Serves until `stop` is done, HTTP/1.1 and HTTP/2 on one port.
pub async fn serve(
    listener: std::net::TcpListener,
    engine: Engine,
    options: Options,
    gateway: Option<Arc<Gateway>>,
    stop: impl Future<Output = ()> + Send + 'static,
) -> Result<()> {
    let (close, closing) = watch::channel(false);
    let registry = engine.registry();
    let events = Events::new();
    tokio::spawn(Arc::clone(&events).watch(engine.clone(), closing.clone()));
    let dashboards = Arc::from(options.dashboards);
    let guard = Guard::of(&listener, options.protection.access);
    let by_name = gateway.clone().map(|gateway| gateway::routes(gateway, closing.clone(), &guard));
    let app = App { engine, commands: Arc::default(), events, dashboards, gateway, closing };
    let mut router = router(app);
    // Who configures clients has one address for both.
    if let Some(registry) = registry {
        router = router.merge(registry::routes(registry));
    }
    if by_name.is_none() {
        // Who asks needs not know whether there is a gateway.
        router = router.route("/lag", get(|| async { axum::Json(Vec::<()>::new()) }));
    }
    router = access::guarded(router, &guard);
    if let Some(by_name) = by_name {
        router = router.merge(by_name);
    }
    serve_routes(listener, router, guard, options.protection.tls, close, stop).await
}

/// Serves routes that are guarded until `stop` is done. Then `close` becomes true, and open connections have
/// [`DRAIN`] to finish.
async fn serve_routes(
    listener: std::net::TcpListener,
    routes: Router,
    guard: Arc<Guard>,
    tls: Option<Arc<rustls::ServerConfig>>,
    close: watch::Sender<bool>,
    stop: impl Future<Output = ()> + Send + 'static,
) -> Result<()> {
    let failed = |e: std::io::Error| Error::runtime(format!("cannot serve: {}", reason(&e)));
    listener.set_nonblocking(true).map_err(failed)?;
    let listener = tokio::net::TcpListener::from_std(listener).map_err(failed)?;
    let routes = routes
        .layer(middleware::from_fn_with_state(guard, access::limit))
        .layer(middleware::from_fn(unread::read_to_its_end));
    let mut closed = close.subscribe();
    let terms = Terms {
        head_patience: HEAD_PATIENCE,
        ping_patience: PING_PATIENCE,
        streams_max: access::REQUESTS_MAX as u32 + 1,
        closing: close.subscribe(),
    };
    tokio::spawn(async move {
        stop.await;
        close.send_replace(true);
    });
    let serving = async move {
        // A row must leave when it is written; a connection that refuses the option still works.
        match tls {
            Some(tls) => {
                connections::serve(TlsListener::new(listener, tls)?, routes, terms, true).await;
            }
            None => {
                let listener = listener.tap_io(|connection| drop(connection.set_nodelay(true)));
                connections::serve(listener, routes, terms, false).await;
            }
        }
        Ok(())
    };
    let overdue = async move {
        if closed.wait_for(|closed| *closed).await.is_ok() {
            tokio::time::sleep(DRAIN).await;
        }
    };
    tokio::select! {
        served = serving => served,
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
        .route("/v1/metadata", get(info::metadata))
        .route("/v1/metadata/id", get(info::metadata_id))
        .route("/chc/ready", get(info::probed))
        .route("/chc/live", get(info::probed))
        .route("/clusterStatus", get(info::cluster_status))
        .route("/heartbeat", post(info::heard))
        .route("/is_valid_property/{property}", get(info::is_valid_property))
        .route("/ksql", post(ksql::ksql))
        .route("/query", post(query::query))
        .route("/query-stream", post(query::query_stream))
        .route("/close-query", post(query::close_query))
        .route("/ws/query", get(websocket::ws_query))
        .route("/ksql/terminate", post(ksql::terminate))
        .route("/rejects/replay", post(rejects::replay))
        .route("/rejects/preview", post(rejects::preview))
        .route("/inserts-stream", post(inserts::inserts_stream))
        .fallback(|| async { Failure::generic(40400, "there is nothing at this path") })
        .method_not_allowed_fallback(|| async {
            Failure::generic(40500, "this path does not take this method")
        })
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .layer(middleware::from_fn(in_time))
        .with_state(app)
}

/// Who sends half a body does not keep its connection for ever. Inserts come as long as they come.
async fn in_time(request: Request, next: Next) -> Response {
    if request.uri().path() == "/inserts-stream" {
        return next.run(request).await;
    }
    let (parts, body) = request.into_parts();
    let body = Body::from_stream(until(body.into_data_stream(), Instant::now() + BODY_PATIENCE));
    next.run(Request::from_parts(parts, body)).await
}

/// Fails when it has not ended by then.
fn until<S, T, E>(stream: S, deadline: Instant) -> impl Stream<Item = Result<T, BoxError>>
where
    S: Stream<Item = Result<T, E>> + Unpin,
    E: Into<BoxError>,
{
    futures_util::stream::unfold(Some(stream), move |stream| async move {
        let mut stream = stream?;
        match tokio::time::timeout_at(deadline, stream.next()).await {
            Ok(item) => Some((item?.map_err(Into::into), Some(stream))),
            Err(_) => Some((Err(format!("it did not come within {BODY_PATIENCE:?}").into()), None)),
        }
    })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_body_that_does_not_come_fails_and_one_that_came_does_not() {
        let whole = futures_util::stream::iter([Ok::<_, BoxError>(1), Ok(2)]);
        let got: Vec<_> = until(whole, Instant::now() + DRAIN).map(|item| item.ok()).collect().await;
        assert_eq!(got, [Some(1), Some(2)]);
        let half = futures_util::stream::iter([Ok::<_, BoxError>(1)]).chain(futures_util::stream::pending());
        let got: Vec<_> = until(half, Instant::now()).map(|item| item.ok()).collect().await;
        assert_eq!(got, [Some(1), None]);
    }
}
