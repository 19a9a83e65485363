//! The small routes: who serves, whether it is well, what became of a command, which properties are
//! known.

use super::error::{BAD_REQUEST, Failure};
use super::{App, json};
use crate::clock::now_ms;
use crate::engine::is_property;
use crate::engine::outcome::Status;
use axum::extract::{Path, State};
use axum::http::header::HOST;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde_json::{Map, Value, json};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// How many commands' ends are remembered.
const COMMANDS_MAX: usize = 1_000;

/// What became of the latest commands, for `/status`.
#[derive(Default)]
pub struct Commands {
    sequence: AtomicU64,
    latest: Mutex<VecDeque<(String, Value)>>,
}

impl Commands {
    pub fn next_sequence(&self) -> u64 {
        self.sequence.fetch_add(1, Ordering::Relaxed)
    }

    pub fn record(&self, status: &Status) {
        // SET and the like are no commands.
        if status.command_id.is_empty() {
            return;
        }
        let entry = json!({
            "status": "SUCCESS",
            "message": status.message,
            "queryId": status.query_id,
        });
        let mut latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        latest.retain(|(id, _)| *id != status.command_id);
        if latest.len() == COMMANDS_MAX {
            latest.pop_front();
        }
        latest.push_back((status.command_id.clone(), entry));
    }

    /// With backticks around its name or without.
    fn get(&self, id: &str) -> Option<Value> {
        let latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        let plain = |id: &str| id.replace('`', "");
        latest.iter().find(|(known, _)| plain(known) == plain(id)).map(|(_, entry)| entry.clone())
    }

    fn all(&self) -> Map<String, Value> {
        let latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        latest.iter().map(|(id, entry)| (id.clone(), entry["status"].clone())).collect()
    }
}

pub async fn info() -> Response {
    let info = json!({
        "version": env!("CARGO_PKG_VERSION"),
        "kafkaClusterId": "wharfe",
        "ksqlServiceId": "wharfe_",
        "serverStatus": "RUNNING",
    });
    json(StatusCode::OK, &json!({ "KsqlServerInfo": info }))
}

fn cluster_id() -> Value {
    let clusters = json!({ "kafka-cluster": "wharfe", "ksql-cluster": "wharfe_" });
    json!({ "id": "", "scope": { "path": [], "clusters": clusters } })
}

pub async fn metadata() -> Response {
    json(StatusCode::OK, &json!({ "version": env!("CARGO_PKG_VERSION"), "clusterId": cluster_id() }))
}

pub async fn metadata_id() -> Response {
    json(StatusCode::OK, &cluster_id())
}

/// For probes: who answers is ready, and lives.
pub async fn probed() -> Response {
    json(StatusCode::OK, &json!({}))
}

/// One server, whatever processes it is made of: it is alive, since it answers.
pub async fn cluster_status(headers: HeaderMap) -> Response {
    let host = headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or("localhost");
    let lags = json!({ "stateStoreLags": {}, "updateTimeMs": 0 });
    let status = json!({
        "hostAlive": true,
        "lastStatusUpdateMs": now_ms(),
        "activeStandbyPerQuery": {},
        "hostStoreLags": lags,
    });
    json(StatusCode::OK, &json!({ "clusterStatus": { host: status } }))
}

/// Servers of ksqlDB tell each other that they live; this one does not need it. How far they are they tell at
/// `/lag`, which is the gateway's path here.
pub async fn heard() -> Response {
    json(StatusCode::OK, &json!({ "ok": true }))
}

pub async fn healthcheck() -> Response {
    let well = json!({ "isHealthy": true });
    let health = json!({
        "isHealthy": true,
        "details": { "metastore": well, "kafka": well, "commandRunner": well },
        "serverState": "READY",
    });
    json(StatusCode::OK, &health)
}

pub async fn status(
    State(app): State<App>,
    Path((kind, entity, action)): Path<(String, String, String)>,
) -> Result<Response, Failure> {
    let id = format!("{kind}/{entity}/{action}");
    match app.commands.get(&id) {
        Some(status) => Ok(json(StatusCode::OK, &status)),
        None => Err(Failure::generic(40400, format!("no command with id {id}"))),
    }
}

pub async fn all_statuses(State(app): State<App>) -> Response {
    json(StatusCode::OK, &json!({ "commandStatuses": app.commands.all() }))
}

pub async fn is_valid_property(Path(property): Path<String>) -> Result<Response, Failure> {
    match is_property(&property) {
        true => Ok(json(StatusCode::OK, &true)),
        false => {
            let unknown = format!("unknown property {property}; SHOW PROPERTIES lists them");
            Err(Failure::generic(BAD_REQUEST, unknown))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_remembered_up_to_a_limit() {
        let commands = Commands::default();
        for i in 0..COMMANDS_MAX + 2 {
            commands.record(&Status {
                message: format!("Stream S{i} created"),
                command_id: format!("stream/`S{i}`/create"),
                ..Status::default()
            });
        }
        assert_eq!(commands.all().len(), COMMANDS_MAX);
        assert_eq!(commands.get("stream/S1/create"), None);
        assert_eq!(
            commands.get("stream/S7/create").map(|v| v.to_string()).as_deref(),
            Some(r#"{"status":"SUCCESS","message":"Stream S7 created","queryId":null}"#)
        );
    }
}
