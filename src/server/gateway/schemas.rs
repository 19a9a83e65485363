//! `/event-schemas`: the life cycle of events' schemas. Confluent's interface is beside it, under its own
//! paths.

use super::{App, Failure, Reply, administers, event_of, ok, parsed};
use crate::gateway::Who;
use crate::gateway::evolve;
use crate::gateway::schemas::{EventSchema, Found, Refusal, Status};
use crate::gateway::{Gateway, blocking, uses};
use crate::registry::{Kind, Schema};
use axum::Extension;
use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::IntoResponse;
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Registration {
    namespace: String,
    event_type: String,
    /// A text, or in Avro and JSON Schema the JSON itself.
    schema: Value,
    #[serde(default)]
    schema_type: Kind,
}

pub async fn register(State(app): State<App>, Extension(who): Extension<Who>, body: Bytes) -> Reply {
    let given: Registration = parsed(&body)?;
    let event = event_of(&given.namespace, &given.event_type)?;
    administers(&who, &event.namespace)?;
    let text = match given.schema {
        Value::String(text) => text,
        json => json.to_string(),
    };
    let schema = Schema::new(given.schema_type, text);
    let (gateway, name) = (Arc::clone(&app.gateway), who.name().to_string());
    let registered = blocking(move || evolve::register(&gateway, &name, &event, schema)).await?;
    match registered {
        Ok(Found::Known(metadata)) => ok(&metadata),
        Ok(Found::New(metadata)) => Ok(crate::server::json(StatusCode::CREATED, &metadata)),
        Err(refusal) => Err(refused(refusal)),
    }
}

/// A schema that breaks somebody: the rule, the field and the user each.
fn refused(refusal: Refusal) -> Failure {
    let found: Vec<Value> = refusal
        .found
        .iter()
        .map(|found| json!({ "rule": found.rule, "field": found.path, "message": found.message }))
        .collect();
    let status = if found.is_empty() { 422 } else { 409 };
    Failure::new(status, refusal.message).with("found", found)
}

#[derive(Deserialize)]
pub struct Wanted {
    namespace: Option<String>,
    event_type: Option<String>,
    status: Option<String>,
}

pub async fn list(State(app): State<App>, Query(wanted): Query<Wanted>) -> Reply {
    let is_wanted = |schema: &Arc<EventSchema>| {
        wanted.namespace.as_ref().is_none_or(|namespace| *namespace == schema.event.namespace)
            && wanted.event_type.as_ref().is_none_or(|event_type| *event_type == schema.event.event_type)
            && wanted.status.as_ref().is_none_or(|status| status == schema.status.name())
    };
    let found = app.gateway.schemas.all().into_iter().filter(is_wanted);
    ok(&found.map(|schema| schema.metadata()).collect::<Vec<_>>())
}

fn find(gateway: &Gateway, id: &str) -> Result<Arc<EventSchema>, Failure> {
    gateway.schemas.get(id).ok_or_else(|| {
        let error = gateway.schemas.unknown(id);
        Failure::new(404, error.message).hint(error.hint.unwrap_or_default())
    })
}

pub async fn show(State(app): State<App>, Path(id): Path<String>) -> Reply {
    let schema = find(&app.gateway, &id)?;
    let mut body = json!(schema.metadata());
    // Of kinds that are JSON the JSON, to be read.
    body["schema"] = match schema.schema.kind {
        Kind::Protobuf => schema.schema.text.as_str().into(),
        _ => serde_json::from_str(&schema.schema.text).unwrap_or_else(|_| schema.schema.text.as_str().into()),
    };
    ok(&body)
}

pub async fn text(State(app): State<App>, Path(id): Path<String>) -> Reply {
    let schema = find(&app.gateway, &id)?;
    Ok(([("content-type", "text/plain; charset=utf-8")], schema.schema.text.clone()).into_response())
}

#[derive(Deserialize)]
pub struct Against {
    against: Option<String>,
}

/// What is different to another schema; without one, to the one before.
pub async fn diff(
    State(app): State<App>,
    Path(id): Path<String>,
    Query(Against { against }): Query<Against>,
) -> Reply {
    let new = find(&app.gateway, &id)?;
    let old = match &against {
        Some(id) => find(&app.gateway, id)?,
        None => {
            let all = app.gateway.schemas.of_event(&new.event);
            let before = all.iter().take_while(|schema| schema.id != new.id).last().cloned();
            before.ok_or_else(|| Failure::new(404, format!("{id} is the first schema of {}", new.event)))?
        }
    };
    let lines = evolve::diff(&old.schema, &new.schema);
    ok(&json!({ "from": old.id, "to": new.id, "lines": lines }))
}

pub async fn act(
    State(app): State<App>,
    Path((id, action)): Path<(String, String)>,
    Extension(who): Extension<Who>,
) -> Reply {
    let schema = find(&app.gateway, &id)?;
    administers(&who, &schema.event.namespace)?;
    let next = match action.as_str() {
        "activate" => Status::Available,
        "deprecate" => Status::Deprecated,
        "retire" => Status::Retired,
        other => {
            return Err(Failure::new(404, format!("a schema cannot be {other}d"))
                .hint("activate, deprecate or retire"));
        }
    };
    let (gateway, name) = (Arc::clone(&app.gateway), who.name().to_string());
    let done = blocking(move || {
        // Others may have become available since it was registered.
        if next == Status::Available
            && schema.status == Status::Pending
            && let Err(refusal) = evolve::check(&gateway, &schema.event, &schema.schema)
        {
            return Ok(Err(refusal));
        }
        if matches!(next, Status::Deprecated | Status::Retired)
            && let Err(refusal) = uses::check_status(&gateway, &schema, next)
        {
            return Ok(Err(refusal));
        }
        gateway.schemas.become_(&name, &schema.id, next).map(Ok)
    })
    .await?;
    match done {
        Ok(metadata) => ok(&metadata),
        Err(refusal) => Err(refused(refusal)),
    }
}
