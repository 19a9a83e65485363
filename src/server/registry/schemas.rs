//! `/schemas…`: schemas by their ids.

use super::query::{self, Parameters};
use super::subjects::describe;
use super::{Json, Refusal, Reply, Text};
use crate::registry::{Kind, Registry};
use axum::extract::{Path, Query, State};
use serde_json::json;

pub async fn types() -> Json {
    Json(Kind::ALL.iter().map(|kind| kind.name()).collect())
}

pub async fn schema(
    State(registry): State<Registry>,
    Path(id): Path<String>,
    Query(parameters): Query<Parameters>,
) -> Reply {
    let schema = registry.schema(query::id(&id)?)?;
    let mut entity = json!({ "schema": registry.text(&schema, &parameters.format)? });
    describe(&mut entity, schema.kind, &schema.references);
    Ok(Json(entity))
}

pub async fn text(
    State(registry): State<Registry>,
    Path(id): Path<String>,
    Query(parameters): Query<Parameters>,
) -> Result<Text, Refusal> {
    let schema = registry.schema(query::id(&id)?)?;
    Ok(Text(registry.text(&schema, &parameters.format)?))
}

pub async fn subjects(
    State(registry): State<Registry>,
    Path(id): Path<String>,
    Query(parameters): Query<Parameters>,
) -> Reply {
    let uses = registry.uses(query::id(&id)?, parameters.deleted())?;
    let mut subjects: Vec<_> = uses.into_iter().map(|version| version.subject).collect();
    subjects.dedup();
    Ok(Json(json!(subjects)))
}

pub async fn versions(
    State(registry): State<Registry>,
    Path(id): Path<String>,
    Query(parameters): Query<Parameters>,
) -> Reply {
    let uses = registry.uses(query::id(&id)?, parameters.deleted())?;
    Ok(Json(uses.iter().map(|v| json!({ "subject": v.subject, "version": v.number })).collect()))
}
