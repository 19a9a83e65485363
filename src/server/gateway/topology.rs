//! `/topology`: where each event lives, with a version, and changes of it while everything runs.

use super::{App, Failure, Reply, administers, event_of, ok, parsed};
use crate::gateway::Who;
use crate::gateway::directory::Route;
use crate::topology::{EventEntry, EventName};
use axum::Extension;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use std::sync::Arc;

pub async fn all(State(app): State<App>) -> Reply {
    let directory = &app.gateway.directory;
    let zones: Vec<Value> = directory
        .zones
        .zones
        .values()
        .map(|zone| {
            json!({
                "zone": zone.name,
                "namespaces": zone.namespaces,
                "clusters": zone.clusters.iter().map(|cluster| cluster.name.as_str()).collect::<Vec<_>>(),
                "publish": zone.publish,
                "away": zone.away,
                "archive": zone.archive.is_some(),
            })
        })
        .collect();
    let mut names = directory.events();
    names.extend(app.gateway.schemas.events());
    names.sort();
    names.dedup();
    let events: Vec<Value> = names
        .iter()
        .filter_map(|event| {
            let entry = directory.entry(event).ok()?;
            Some(json!({ "event": event, "zone": entry.zone, "owner": entry.owner }))
        })
        .collect();
    ok(&json!({ "version": directory.version(), "zones": zones, "events": events }))
}

pub async fn changes(State(app): State<App>) -> Reply {
    ok(&app.gateway.directory.changes())
}

pub async fn get(
    State(app): State<App>,
    Path((namespace, event_type)): Path<(String, String)>,
    headers: HeaderMap,
) -> Reply {
    let event = event_of(&namespace, &event_type)?;
    let gateway = &app.gateway;
    let is_known =
        gateway.directory.events().contains(&event) || !gateway.schemas.of_event(&event).is_empty();
    if !is_known {
        let known: Vec<String> = gateway.schemas.events().iter().map(ToString::to_string).collect();
        let near = crate::expr::nearest::nearest(&event.to_string(), known.iter().map(String::as_str));
        let failure = Failure::new(404, format!("there is no event {event}"));
        return Err(match near {
            Some(near) => failure.hint(format!("did you mean {near}?")),
            None => failure.hint("it begins with a schema: wharfe schema register"),
        });
    }
    let route = gateway.route(&event).await?;
    if headers.get("if-none-match").and_then(|v| v.to_str().ok()) == Some(route.etag().as_str()) {
        return Ok((StatusCode::NOT_MODIFIED, [("etag", route.etag())]).into_response());
    }
    Ok(told(&app, &event, &route))
}

fn told(app: &App, event: &EventName, route: &Arc<Route>) -> Response {
    let site = &route.current().site;
    let clusters = &app.gateway.directory.zones.zones;
    let bootstrap = |name: &String| {
        let cluster = clusters.values().flat_map(|zone| &zone.clusters).find(|c| c.name == *name);
        let servers = cluster.and_then(|c| c.settings.get(crate::connector::BOOTSTRAP)?.value().ok());
        json!({ "cluster": name, "bootstrap_servers": servers, "topic": site.topic })
    };
    let places: Vec<Value> = site.clusters.iter().map(bootstrap).collect();
    let schema = app.gateway.schemas.available(event).map(|schema| schema.metadata());
    let body = json!({
        "event": event,
        "zone": site.zone,
        "version": route.version,
        "entry": route.entry,
        "publish": { "url": "/produce", "kafka": places },
        "consume": { "url": format!("/events/{event}"), "kafka": places },
        "schema": schema,
        "generation": route.current().number,
        "changed_by": route.changed_by,
        "changed_at_ms": route.changed_ms,
        "waiting": app.gateway.stores.waiting(site),
    });
    let mut response = crate::server::json(StatusCode::OK, &body);
    if let Ok(etag) = route.etag().parse() {
        response.headers_mut().insert("etag", etag);
    }
    response
}

/// Fails where the event has changed since who asks has looked.
fn check_match(app: &App, headers: &HeaderMap, event: &EventName) -> Result<(), Failure> {
    let Some(wanted) = headers.get("if-match").and_then(|v| v.to_str().ok()) else { return Ok(()) };
    let now = app.gateway.directory.route(event).map(|route| route.etag());
    match now {
        Some(now) if now != wanted => {
            Err(Failure::new(412, format!("{event} has changed meanwhile: its version is {now}"))
                .with("version", now))
        }
        _ => Ok(()),
    }
}

pub async fn put(
    State(app): State<App>,
    Path((namespace, event_type)): Path<(String, String)>,
    Extension(who): Extension<Who>,
    headers: HeaderMap,
    body: Bytes,
) -> Reply {
    let event = event_of(&namespace, &event_type)?;
    administers(&who, &namespace)?;
    check_match(&app, &headers, &event)?;
    let entry: EventEntry = parsed(&body)?;
    let route = app.gateway.put_entry(who.name(), &event, Some(entry)).await?;
    Ok(told(&app, &event, &route))
}

pub async fn delete(
    State(app): State<App>,
    Path((namespace, event_type)): Path<(String, String)>,
    Extension(who): Extension<Who>,
    headers: HeaderMap,
) -> Reply {
    let event = event_of(&namespace, &event_type)?;
    administers(&who, &namespace)?;
    check_match(&app, &headers, &event)?;
    let route = app.gateway.put_entry(who.name(), &event, None).await?;
    Ok(told(&app, &event, &route))
}
