//! `/compatibility…`: would this schema be taken?

use super::query::{self, Body, Parameters};
use super::{Json, Reply, blocking};
use crate::registry::{Incompatibility, Registry};
use axum::extract::{Path, Query, State};
use serde_json::json;

/// Against one version, at the subject's level.
pub async fn one(
    State(registry): State<Registry>,
    Path((subject, version)): Path<(String, String)>,
    Query(parameters): Query<Parameters>,
    body: Body,
) -> Reply {
    let (at, schema) = (query::at(&version)?, query::schema(body)?);
    let found = blocking(registry, move |registry| registry.check(&subject, at, schema)).await?;
    Ok(reply(&found, &parameters))
}

/// Against those versions that the subject's level names; a subject that is not there takes all.
pub async fn all(
    State(registry): State<Registry>,
    Path(subject): Path<String>,
    Query(parameters): Query<Parameters>,
    body: Body,
) -> Reply {
    let schema = query::schema(body)?;
    let found = blocking(registry, move |registry| registry.check_next(&subject, schema)).await?;
    Ok(reply(&found, &parameters))
}

fn reply(found: &[Incompatibility], parameters: &Parameters) -> Json {
    let mut reply = json!({ "is_compatible": found.is_empty() });
    if parameters.verbose() {
        reply["messages"] = found.iter().map(ToString::to_string).collect();
    }
    Json(reply)
}
