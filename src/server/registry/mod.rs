//! The REST interface of the schema registry, in Confluent's form: its routes, and how a request is
//! carried out and answered.
//!
//! Any content type is taken, JSON is read from it, and `application/vnd.schemaregistry.v1+json` is sent.

mod compatibility;
mod config;
mod query;
mod schemas;
mod subjects;
#[cfg(test)]
mod tests;

use super::Protection;
use super::access::{self, Guard};
use crate::error::Result;
use crate::registry::{Fault, Registry};
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde_json::{Value, json};
use tokio::sync::watch;

const MEDIA_TYPE: &str = "application/vnd.schemaregistry.v1+json";

/// A schema with its references' names.
const BODY_BYTES_MAX: usize = 8 << 20;

type Reply = std::result::Result<Json, Refusal>;

/// What is answered.
struct Json(Value);

/// A schema as it is, which in Avro and JSON Schema is JSON.
struct Text(String);

/// What is answered to a request that is refused.
struct Refusal(Fault);

/// Serves until `stop` is done.
pub async fn serve(
    listener: std::net::TcpListener,
    registry: Registry,
    protection: Protection,
    stop: impl Future<Output = ()> + Send + 'static,
) -> Result<()> {
    let guard = Guard::of(&listener, protection.access);
    let routes = access::guarded(router(registry), &guard);
    let (close, _) = watch::channel(false);
    super::serve_routes(listener, routes, guard, protection.tls, close, stop).await
}

pub fn router(registry: Registry) -> Router {
    routes(registry)
        .route("/", get(|| async { Json(json!({})) }))
        .fallback(|| async { Refusal(Fault::new(404, "HTTP 404 Not Found")) })
}

/// What is served beside the engine's own paths, none of which it has.
pub fn routes(registry: Registry) -> Router {
    Router::new()
        .route("/contexts", get(|| async { Json(json!(["."])) }))
        .route("/mode", get(|| async { Json(json!({ "mode": "READWRITE" })) }).put(config::put_mode))
        .route("/mode/{subject}", get(|| async { Json(json!({ "mode": "READWRITE" })) }))
        .route("/config", get(config::get).put(config::put).delete(config::delete))
        .route(
            "/config/{subject}",
            get(config::get_subject).put(config::put_subject).delete(config::delete_subject),
        )
        .route("/subjects", get(subjects::list))
        .route("/subjects/{subject}", post(subjects::lookup).delete(subjects::delete))
        .route("/subjects/{subject}/versions", get(subjects::versions).post(subjects::register))
        .route(
            "/subjects/{subject}/versions/{version}",
            get(subjects::version).delete(subjects::delete_version),
        )
        .route("/subjects/{subject}/versions/{version}/schema", get(subjects::text))
        .route("/subjects/{subject}/versions/{version}/referencedby", get(subjects::referenced_by))
        .route("/schemas/types", get(schemas::types))
        .route("/schemas/ids/{id}", get(schemas::schema))
        .route("/schemas/ids/{id}/schema", get(schemas::text))
        .route("/schemas/ids/{id}/subjects", get(schemas::subjects))
        .route("/schemas/ids/{id}/versions", get(schemas::versions))
        .route("/compatibility/subjects/{subject}/versions", post(compatibility::all))
        .route("/compatibility/subjects/{subject}/versions/{version}", post(compatibility::one))
        .method_not_allowed_fallback(|| async { Refusal(Fault::new(405, "HTTP 405 Method Not Allowed")) })
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .with_state(registry)
}

/// Parsing, comparing and syncing may take their time.
async fn blocking<T: Send + 'static>(
    registry: Registry,
    work: impl FnOnce(&Registry) -> crate::registry::Result<T> + Send + 'static,
) -> std::result::Result<T, Refusal> {
    match tokio::task::spawn_blocking(move || work(&registry)).await {
        Ok(done) => done.map_err(Refusal),
        Err(_) => Err(Refusal(Fault::new(500, "the registry failed on this request; its log says why"))),
    }
}

impl From<Fault> for Refusal {
    fn from(fault: Fault) -> Refusal {
        Refusal(fault)
    }
}

impl IntoResponse for Json {
    fn into_response(self) -> Response {
        (StatusCode::OK, [("content-type", MEDIA_TYPE)], self.0.to_string()).into_response()
    }
}

impl IntoResponse for Text {
    fn into_response(self) -> Response {
        (StatusCode::OK, [("content-type", MEDIA_TYPE)], self.0).into_response()
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let Fault { code, message } = self.0;
        let status = if code < 1000 { code } else { code / 100 };
        let status = StatusCode::from_u16(status as u16).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let body = json!({ "error_code": code, "message": message });
        (status, [("content-type", MEDIA_TYPE)], body.to_string()).into_response()
    }
}
