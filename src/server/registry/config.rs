//! `/config…` and `/mode`: compatibility levels. The only mode is READWRITE.

use super::query::{self, Body, Parameters};
use super::{Json, Refusal, Reply, blocking};
use crate::registry::{Fault, Level, Registry};
use axum::extract::{Path, Query, State};
use serde::Deserialize;
use serde_json::json;

#[derive(Deserialize)]
struct Given {
    compatibility: Option<String>,
}

#[derive(Deserialize)]
struct Mode {
    mode: String,
}

pub async fn get(State(registry): State<Registry>) -> Json {
    Json(json!({ "compatibilityLevel": registry.level().name() }))
}

pub async fn put(State(registry): State<Registry>, body: Body) -> Reply {
    let level = level(body)?;
    set(registry, None, Some(level)).await?;
    Ok(Json(json!({ "compatibility": level.name() })))
}

/// Back to what the registry was started with.
pub async fn delete(State(registry): State<Registry>) -> Reply {
    let before = registry.level();
    set(registry, None, None).await?;
    Ok(Json(json!({ "compatibilityLevel": before.name() })))
}

pub async fn get_subject(
    State(registry): State<Registry>,
    Path(subject): Path<String>,
    Query(parameters): Query<Parameters>,
) -> Reply {
    let level = match registry.level_of(&subject) {
        None if parameters.default_to_global() => registry.level(),
        level => level.ok_or_else(|| Fault::no_level_of_its_own(&subject))?,
    };
    Ok(Json(json!({ "compatibilityLevel": level.name() })))
}

pub async fn put_subject(State(registry): State<Registry>, Path(subject): Path<String>, body: Body) -> Reply {
    let level = level(body)?;
    set(registry, Some(subject), Some(level)).await?;
    Ok(Json(json!({ "compatibility": level.name() })))
}

pub async fn delete_subject(State(registry): State<Registry>, Path(subject): Path<String>) -> Reply {
    let before = registry.level_of(&subject).ok_or_else(|| Fault::no_level_of_its_own(&subject))?;
    set(registry, Some(subject), None).await?;
    Ok(Json(json!({ "compatibilityLevel": before.name() })))
}

pub async fn put_mode(body: Body) -> Reply {
    let Mode { mode } = query::parse(body)?;
    match mode.as_str() {
        "READWRITE" => Ok(Json(json!({ "mode": mode }))),
        _ => Err(Refusal(Fault::new(42204, format!("Invalid mode {mode}. The only one is READWRITE")))),
    }
}

fn level(body: Body) -> Result<Level, Refusal> {
    let Given { compatibility } = query::parse(body)?;
    compatibility.as_deref().and_then(Level::parse).ok_or_else(|| Refusal(Fault::invalid_level()))
}

async fn set(registry: Registry, subject: Option<String>, level: Option<Level>) -> Result<(), Refusal> {
    blocking(registry, move |registry| registry.set_level(subject.as_deref(), level)).await
}
