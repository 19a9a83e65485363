//! `/subjects…`: registering, looking up, listing, reading and deleting versions.

use super::query::{self, Body, Parameters};
use super::{Json, Refusal, Reply, Text, blocking};
use crate::registry::{Kind, Registry, Version};
use axum::extract::{Path, Query, State};
use serde_json::{Value, json};

pub async fn list(State(registry): State<Registry>, Query(parameters): Query<Parameters>) -> Reply {
    let mut subjects = registry.subjects(parameters.deleted());
    subjects.retain(|subject| subject.starts_with(&parameters.subject_prefix));
    Ok(Json(json!(subjects)))
}

pub async fn versions(
    State(registry): State<Registry>,
    Path(subject): Path<String>,
    Query(parameters): Query<Parameters>,
) -> Reply {
    let versions = registry.versions(&subject, parameters.deleted())?;
    Ok(Json(versions.iter().map(|version| version.number).collect()))
}

pub async fn register(State(registry): State<Registry>, Path(subject): Path<String>, body: Body) -> Reply {
    let schema = query::schema(body)?;
    let id = blocking(registry, move |registry| registry.register(&subject, schema)).await?;
    Ok(Json(json!({ "id": id })))
}

pub async fn lookup(
    State(registry): State<Registry>,
    Path(subject): Path<String>,
    Query(parameters): Query<Parameters>,
    body: Body,
) -> Reply {
    let schema = query::schema(body)?;
    let find = move |registry: &Registry| registry.lookup(&subject, schema, parameters.deleted());
    Ok(Json(entity(&blocking(registry, find).await?)))
}

pub async fn version(
    State(registry): State<Registry>,
    Path((subject, version)): Path<(String, String)>,
    Query(parameters): Query<Parameters>,
) -> Reply {
    let version = find(&registry, &subject, &version, &parameters)?;
    let mut entity = entity(&version);
    entity["schema"] = registry.text(&version.schema, &parameters.format)?.into();
    Ok(Json(entity))
}

pub async fn text(
    State(registry): State<Registry>,
    Path((subject, version)): Path<(String, String)>,
    Query(parameters): Query<Parameters>,
) -> Result<Text, Refusal> {
    let version = find(&registry, &subject, &version, &parameters)?;
    Ok(Text(registry.text(&version.schema, &parameters.format)?))
}

pub async fn referenced_by(
    State(registry): State<Registry>,
    Path((subject, version)): Path<(String, String)>,
) -> Reply {
    Ok(Json(json!(registry.referrers(&subject, query::at(&version)?)?)))
}

pub async fn delete(
    State(registry): State<Registry>,
    Path(subject): Path<String>,
    Query(parameters): Query<Parameters>,
) -> Reply {
    let permanent = parameters.permanent();
    let numbers = blocking(registry, move |registry| registry.delete_subject(&subject, permanent)).await?;
    Ok(Json(json!(numbers)))
}

pub async fn delete_version(
    State(registry): State<Registry>,
    Path((subject, version)): Path<(String, String)>,
    Query(parameters): Query<Parameters>,
) -> Reply {
    let (at, permanent) = (query::at(&version)?, parameters.permanent());
    let delete = move |registry: &Registry| registry.delete_version(&subject, at, permanent);
    Ok(Json(json!(blocking(registry, delete).await?)))
}

fn find(
    registry: &Registry,
    subject: &str,
    version: &str,
    parameters: &Parameters,
) -> Result<Version, Refusal> {
    Ok(registry.version_even(subject, query::at(version)?, parameters.deleted())?)
}

fn entity(version: &Version) -> Value {
    let mut entity = json!({
        "subject": version.subject,
        "version": version.number,
        "id": version.id,
        "schema": version.schema.text,
    });
    describe(&mut entity, version.schema.kind, &version.schema.references);
    entity
}

/// Confluent leaves out what is the default.
pub fn describe(entity: &mut Value, kind: Kind, references: &[crate::registry::Reference]) {
    if kind != Kind::Avro {
        entity["schemaType"] = kind.name().into();
    }
    if !references.is_empty() {
        entity["references"] = json!(references);
    }
}
