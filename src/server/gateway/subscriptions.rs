//! `/subscriptions`: who is called with which events, and how that goes.

use super::{App, Failure, Reply, consumes, ok, parsed};
use crate::gateway::Who;
use crate::gateway::subscriptions::{Spec, State as Life, Subscription, Wish};
use crate::gateway::{Gateway, blocking, deliver, filter};
use crate::topology::EventName;
use axum::Extension;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::Ordering;

pub async fn list(State(app): State<App>, Extension(who): Extension<Who>) -> Reply {
    let all = app.gateway.subscriptions.all().into_iter();
    let mine = all.filter(|subscription| who.may_consume(&subscription.spec.event.namespace));
    ok(&mine.map(|subscription| told(&app.gateway, &subscription)).collect::<Vec<_>>())
}

fn told(gateway: &Gateway, subscription: &Subscription) -> Value {
    let mut body = json!({
        "name": subscription.name,
        "state": subscription.state,
        "changed_by": subscription.changed_by,
        "changed_at_ms": subscription.changed_ms,
    });
    if let (Value::Object(body), Value::Object(spec)) = (&mut body, json!(subscription.spec)) {
        body.extend(spec);
    }
    if let Some(handle) = gateway.subscriptions.handle(&subscription.name) {
        let status = &handle.status;
        let count = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
        body["calls"] = count(&status.calls).into();
        body["delivered"] = count(&status.delivered).into();
        body["failed"] = count(&status.failed).into();
        body["dead_letters"] = count(&status.dead).into();
        body["waiting"] = count(&status.waiting).into();
        body["parked_keys"] = count(&status.parked).into();
        body["behind"] = json!(deliver::behind(gateway, subscription, status));
        body["last_failure"] = json!(status.last_failure());
        body["trouble"] = json!(status.last_trouble());
    }
    body
}

fn find(app: &App, name: &str) -> Result<Subscription, Failure> {
    app.gateway.subscriptions.find(name).map_err(|error| {
        let failure = Failure::new(404, error.message);
        failure.hint(error.hint.unwrap_or_default())
    })
}

pub async fn show(State(app): State<App>, Path(name): Path<String>, Extension(who): Extension<Who>) -> Reply {
    let subscription = find(&app, &name)?;
    consumes(&who, &subscription.spec.event.namespace)?;
    ok(&told(&app.gateway, &subscription))
}

pub async fn put(
    State(app): State<App>,
    Path(name): Path<String>,
    Extension(who): Extension<Who>,
    body: Bytes,
) -> Reply {
    let mut spec: Spec = parsed(&body)?;
    consumes(&who, &spec.event.namespace)?;
    EventName::new(deliver::DEAD_LETTERS, &name)
        .map_err(|why| Failure::new(400, why.replace("event type", "name")))?;
    spec.check()?;
    let known = app.gateway.subscriptions.get(&name);
    if let Some(known) = known.as_ref().filter(|known| known.spec.event != spec.event) {
        let message = format!(
            "subscription {name} is of {}; another event needs another subscription",
            known.spec.event
        );
        return Err(Failure::new(409, message));
    }
    if known.is_none() && !app.gateway.subscriptions.has_room() {
        return Err(Failure::new(429, "there are as many subscriptions as there can be"));
    }
    check_event(&app, &spec)?;
    deliver::check_url(&app.gateway, &spec.url).await?;
    let is_new = known.is_none();
    if is_new && spec.secret.is_none() {
        spec.secret = Some(deliver::sign::new_secret()?);
    }
    let secret = spec.secret.clone();
    app.gateway.route(&spec.event).await?;
    deliver::end(&app.gateway, &name).await;
    commit(&app, who.name(), Wish::Put { name: name.clone(), spec }).await?;
    let subscription = find(&app, &name)?;
    if is_new && subscription.spec.from == "latest" {
        let (gateway, new) = (Arc::clone(&app.gateway), subscription.clone());
        // Where a cluster is away, its end is known when it is back.
        if let Err(error) = blocking(move || deliver::begin_at_latest(&gateway, &new)).await {
            tracing::warn!("subscription {name}: {error}");
        }
    }
    deliver::begin(&app.gateway, subscription.clone());
    let mut body = told(&app.gateway, &subscription);
    // Told once, to whoever makes it: nobody can ask for it later.
    if let Some(secret) = secret {
        body["secret"] = secret.into();
    }
    let status = if is_new { StatusCode::CREATED } else { StatusCode::OK };
    Ok(crate::server::json(status, &body))
}

/// The event must be there, and the filter fit it.
fn check_event(app: &App, spec: &Spec) -> Result<(), Failure> {
    let gateway = &app.gateway;
    let Some(schema) = gateway.schemas.available(&spec.event) else {
        if spec.filter.is_none() && gateway.directory.events().contains(&spec.event) {
            return Ok(());
        }
        let known: Vec<String> = gateway.schemas.events().iter().map(ToString::to_string).collect();
        let near = crate::expr::nearest::nearest(&spec.event.to_string(), known.iter().map(String::as_str));
        let failure = Failure::new(400, format!("event {} has no schema that is available", spec.event));
        return Err(match near {
            Some(near) if near != spec.event.to_string() => failure.hint(format!("did you mean {near}?")),
            _ => failure.hint("wharfe schema register, then wharfe schema activate"),
        });
    };
    spec.filter.as_deref().map_or(Ok(()), |text| filter::check(text, &schema).map(drop))?;
    Ok(())
}

async fn commit(app: &App, who: &str, wish: Wish) -> Result<(), Failure> {
    let (gateway, who) = (Arc::clone(&app.gateway), who.to_string());
    Ok(blocking(move || gateway.subscriptions.commit(&who, wish)).await?)
}

pub async fn delete(
    State(app): State<App>,
    Path(name): Path<String>,
    Extension(who): Extension<Who>,
) -> Reply {
    let subscription = find(&app, &name)?;
    consumes(&who, &subscription.spec.event.namespace)?;
    deliver::end(&app.gateway, &name).await;
    commit(&app, who.name(), Wish::Deleted { name: name.clone() }).await?;
    deliver::forget(&app.gateway, &name);
    ok(&json!({ "name": name, "state": "deleted" }))
}

pub async fn act(
    State(app): State<App>,
    Path((name, action)): Path<(String, String)>,
    Extension(who): Extension<Who>,
) -> Reply {
    let subscription = find(&app, &name)?;
    consumes(&who, &subscription.spec.event.namespace)?;
    match action.as_str() {
        "pause" => {
            deliver::end(&app.gateway, &name).await;
            commit(&app, who.name(), Wish::State { name: name.clone(), state: Life::Paused }).await?;
        }
        "resume" => {
            commit(&app, who.name(), Wish::State { name: name.clone(), state: Life::Active }).await?;
            if app.gateway.subscriptions.handle(&name).is_none() || subscription.state != Life::Active {
                deliver::end(&app.gateway, &name).await;
                deliver::begin(&app.gateway, find(&app, &name)?);
            }
        }
        "redrive" => match app.gateway.subscriptions.handle(&name) {
            Some(handle) if subscription.state == Life::Active => handle.redrive(),
            _ => {
                return Err(
                    Failure::new(409, format!("subscription {name} is not active")).hint("resume it first")
                );
            }
        },
        "rotate" => return rotate(&app, who.name(), subscription).await,
        other => {
            return Err(Failure::new(404, format!("there is no action {other}"))
                .hint("pause, resume, redrive or rotate"));
        }
    }
    ok(&told(&app.gateway, &find(&app, &name)?))
}

/// A new secret beside the old one: calls are signed with both until the next rotation.
async fn rotate(app: &App, who: &str, subscription: Subscription) -> Reply {
    let secret = deliver::sign::new_secret()?;
    let mut secrets = subscription.secrets.clone();
    secrets.push(secret.clone());
    let kept = secrets.split_off(secrets.len().saturating_sub(2));
    let name = subscription.name.clone();
    deliver::end(&app.gateway, &name).await;
    commit(app, who, Wish::Secrets { name: name.clone(), secrets: kept }).await?;
    let subscription = find(app, &name)?;
    if subscription.state == Life::Active {
        deliver::begin(&app.gateway, subscription.clone());
    }
    let mut body = told(&app.gateway, &subscription);
    body["secret"] = secret.into();
    ok(&body)
}
