//! `POST /produce`: events as the talk's items or as CloudEvents; 202 when all are stored, 207 with a
//! result each when some are, else why none is.

use super::{App, Failure, Reply};
use crate::gateway::Who;
use crate::gateway::cloudevents::{self, Incoming, Malformed, is_json};
use crate::gateway::produce::{Published, publish};
use axum::Extension;
use axum::body::Bytes;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse;
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;

/// A request's events; more are refused, so that one request holds nobody up.
const EVENTS_MAX: usize = 10_000;

#[derive(Deserialize)]
pub struct Parameters {
    /// Answers show what was coerced.
    #[serde(default)]
    coercions: bool,
}

pub async fn produce(
    State(app): State<App>,
    Query(parameters): Query<Parameters>,
    Extension(who): Extension<Who>,
    headers: HeaderMap,
    body: Bytes,
) -> Reply {
    let kib = (body.len() / 1024 + 1) as u32;
    let Ok(_room) = Arc::clone(&app.budget).try_acquire_many_owned(kib) else {
        return Err(Failure::new(429, "too much is being stored at the moment").retry_after(1));
    };
    let (incoming, is_single) = incoming(&headers, &body)?;
    if incoming.is_empty() {
        return Err(Failure::new(400, "there is no event in it").hint("{\"items\": [{\"producer_id\": …}]}"));
    }
    if incoming.len() > EVENTS_MAX {
        return Err(Failure::new(413, format!("it has more than {EVENTS_MAX} events")));
    }
    let gateway = Arc::clone(&app.gateway);
    // Runs to its end though the client may go: what is half stored could never come again.
    let published = tokio::spawn(async move { publish(&gateway, &who, incoming).await }).await;
    let published =
        published.map_err(|_| Failure::new(500, "the gateway failed on this request; its log says why"))?;
    Ok(answer(&app, &headers, &published, is_single, parameters.coercions))
}

type Parsed = Vec<Result<Incoming, Malformed>>;

/// The events of a request, and whether it can only hold one.
fn incoming(headers: &HeaderMap, body: &[u8]) -> Result<(Parsed, bool), Failure> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let media_type = text("content-type").unwrap_or("application/json");
    let plain = media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if text("ce-specversion").is_some() {
        if !is_json(&plain) {
            return Err(unsupported(media_type));
        }
        let mut attributes = Vec::new();
        for (name, value) in headers {
            let Some(name) = name.as_str().strip_prefix("ce-") else { continue };
            let value =
                value.to_str().map_err(|_| Failure::new(400, format!("header ce-{name} is no text")))?;
            attributes.push((name.to_string(), unescaped(value)));
        }
        return Ok((vec![traced(cloudevents::binary(attributes, body), headers)], true));
    }
    let parse = || {
        serde_json::from_slice::<Value>(body)
            .map_err(|e| Failure::new(400, format!("the body is not JSON: {e}")))
    };
    match plain.as_str() {
        "application/cloudevents+json" => {
            Ok((vec![traced(cloudevents::structured(parse()?), headers)], true))
        }
        "application/cloudevents-batch+json" => match parse()? {
            Value::Array(events) => Ok((events.into_iter().map(cloudevents::structured).collect(), false)),
            _ => Err(Failure::new(400, "a batch is an array of CloudEvents")),
        },
        "application/json" | "" => match parse()? {
            Value::Object(mut object) => match object.remove("items") {
                Some(Value::Array(items)) if object.is_empty() => {
                    Ok((items.into_iter().map(cloudevents::item).collect(), false))
                }
                _ => Err(Failure::new(400, "the body is no {\"items\": […]}")
                    .hint("or a CloudEvent, with content-type application/cloudevents+json")),
            },
            _ => Err(Failure::new(400, "the body is no {\"items\": […]}")),
        },
        _ => Err(unsupported(media_type)),
    }
}

fn unsupported(media_type: &str) -> Failure {
    Failure::new(415, format!("{media_type} is not understood"))
        .hint("application/json with items, application/cloudevents+json, application/cloudevents-batch+json, or ce- headers with a body of application/json")
}

/// A single event belongs to the trace of its request.
fn traced(event: Result<Incoming, Malformed>, headers: &HeaderMap) -> Result<Incoming, Malformed> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(String::from);
    event.map(|mut event| {
        if event.traceparent.is_none() {
            event.traceparent = text("traceparent").filter(|text| text.len() == 55);
            event.tracestate = event.tracestate.or_else(|| text("tracestate"));
        }
        event
    })
}

/// Values of `ce-` headers are percent-encoded where they are not plain ASCII.
fn unescaped(value: &str) -> String {
    let (bytes, mut out) = (value.as_bytes(), Vec::with_capacity(value.len()));
    let mut i = 0;
    while i < bytes.len() {
        let hex = bytes
            .get(i + 1..i + 3)
            .and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok());
        match (bytes[i], hex) {
            (b'%', Some(byte)) => {
                out.push(byte);
                i += 3;
            }
            (byte, _) => {
                out.push(byte);
                i += 1;
            }
        }
    }
    String::from_utf8(out).unwrap_or_else(|_| value.to_string())
}

fn answer(
    app: &App,
    headers: &HeaderMap,
    published: &[Published],
    is_single: bool,
    with_coercions: bool,
) -> axum::response::Response {
    let items: Vec<Value> = published.iter().map(|one| result(one, with_coercions)).collect();
    let refused: Vec<u16> =
        published.iter().filter_map(|one| one.outcome.as_ref().err().map(|e| e.status)).collect();
    let status = match refused.as_slice() {
        [] => 202,
        all if all.len() < published.len() => 207,
        all if all.iter().all(|status| *status == all[0]) => all[0],
        // What may become better tells the publisher to come again; the rest is told by item.
        all => {
            if all.contains(&503) {
                503
            } else {
                400
            }
        }
    };
    let body =
        if is_single { items.into_iter().next().unwrap_or_default() } else { json!({ "items": items }) };
    let code = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = crate::server::json(code, &body).into_response();
    if matches!(status, 429 | 503) {
        response.headers_mut().insert("retry-after", 1.into());
    }
    // Who publishes with an old topology in mind is told.
    let known = headers.get("topology-version").and_then(|v| v.to_str().ok()?.parse::<u64>().ok());
    let newest = published
        .iter()
        .filter_map(|one| app.gateway.directory.route(one.event.as_ref()?))
        .map(|r| r.version)
        .max();
    if let (Some(known), Some(newest)) = (known, newest)
        && known < newest
    {
        response.headers_mut().insert("topology-version", newest.into());
    }
    response
}

fn result(one: &Published, with_coercions: bool) -> Value {
    let mut result = json!({});
    if let Some(id) = &one.id {
        result["id"] = id.as_str().into();
    }
    if let Some(event) = &one.event {
        result["event"] = event.to_string().into();
    }
    match &one.outcome {
        Ok(accepted) => {
            result["status"] = 202.into();
            result["zone"] = accepted.zone.as_str().into();
            result["partition"] = accepted.stored.partition.into();
            match accepted.stored.offset {
                -1 => result["waits"] = true.into(),
                offset => result["offset"] = offset.into(),
            }
            if accepted.is_duplicate {
                result["duplicate"] = true.into();
            }
            if with_coercions {
                result["coercions"] = json!(accepted.coercions);
            }
        }
        Err(refused) => {
            result["status"] = refused.status.into();
            let mut error = json!({ "message": refused.message });
            if !refused.path.is_empty() {
                error["path"] = refused.path.as_str().into();
            }
            if let Some(hint) = &refused.hint {
                error["hint"] = hint.as_str().into();
            }
            result["error"] = error;
        }
    }
    result
}
