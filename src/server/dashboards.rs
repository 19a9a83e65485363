//! `GET /dashboards`, `/dashboards/NAME` and `/dashboards/NAME/spec`: which dashboards there are, a page,
//! and what it shows.

use super::console;
use super::error::Failure;
use super::{App, blocking, json};
use crate::dashboard::{Dashboard, problems};
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde_json::json;

pub async fn list(State(app): State<App>) -> Response {
    let one = |d: &Dashboard| json!({ "name": d.name, "title": d.title });
    json(StatusCode::OK, &app.dashboards.iter().map(one).collect::<Vec<_>>())
}

pub async fn page(
    State(app): State<App>,
    Path(name): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    find(&app, &name)?;
    console::page(&headers)
}

/// With what is wrong with each panel as things are now.
pub async fn spec(State(app): State<App>, Path(name): Path<String>) -> Result<Response, Failure> {
    find(&app, &name)?;
    blocking(move || {
        let dashboard = find(&app, &name)?;
        let mut spec = json!(dashboard);
        for (i, problem) in problems(dashboard, &app.engine).into_iter().enumerate() {
            spec["panels"][i]["problem"] = json!(problem);
        }
        Ok(json(StatusCode::OK, &spec))
    })
    .await
}

fn find<'a>(app: &'a App, name: &str) -> Result<&'a Dashboard, Failure> {
    let found = app.dashboards.iter().find(|dashboard| dashboard.name == name);
    found.ok_or_else(|| Failure::generic(40400, format!("there is no dashboard {name}")))
}
