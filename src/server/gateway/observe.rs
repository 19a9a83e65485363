//! What can be seen of the gateway: the way of one event, how far everything is behind, counts.

use super::{App, Failure, Reply, ok};
use crate::gateway::Who;
use crate::gateway::{Gateway, deliver, now_ms};
use crate::server::metrics::labelled;
use axum::Extension;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use std::fmt::Write;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

pub async fn about(State(app): State<App>) -> Reply {
    ok(
        &json!({ "gateway": "wharfe", "version": env!("CARGO_PKG_VERSION"), "topology_version": app.gateway.directory.version() }),
    )
}

pub async fn trace(State(app): State<App>, Path(id): Path<String>, Extension(who): Extension<Who>) -> Reply {
    let ways = app.gateway.trace.find(&id);
    let may_see = |event: &str| event.split('/').next().is_some_and(|namespace| who.may_consume(namespace));
    let mine: Vec<_> = ways.into_iter().filter(|way| may_see(&way.event)).collect();
    if mine.is_empty() {
        return Err(Failure::new(404, format!("nothing is known of {id}"))
            .hint("the id of an event or a traceparent; the newest 200000 events since the gateway's start are known"));
    }
    ok(&mine)
}

/// How far subscriptions and archives are behind.
fn lags(gateway: &Gateway) -> Vec<Value> {
    let now = now_ms();
    let all = gateway.subscriptions.all().into_iter();
    let subscriptions = all.map(|subscription| {
        let handle = gateway.subscriptions.handle(&subscription.name);
        let oldest = handle.as_ref().map_or(0, |handle| handle.status.oldest_ms.load(Ordering::Relaxed));
        let seconds = if oldest == 0 { 0.0 } else { (now - oldest).max(0) as f64 / 1000.0 };
        let records = handle.and_then(|handle| deliver::behind(gateway, &subscription, &handle.status));
        json!({
            "kind": "subscription",
            "name": subscription.name,
            "event": subscription.spec.event,
            "state": subscription.state,
            "lag_records": records,
            "lag_seconds": seconds,
        })
    });
    let archives = gateway.archives.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let archives = archives.into_iter().map(|((zone, event), lag)| {
        json!({
            "kind": "archive",
            "name": zone,
            "event": event,
            "lag_records": lag.records,
            "lag_seconds": lag.since.map_or(0.0, |since| since.elapsed().as_secs_f64()),
        })
    });
    subscriptions.chain(archives).collect()
}

pub async fn lag(State(app): State<App>) -> Reply {
    ok(&lags(&app.gateway))
}

pub async fn metrics_of(State(gateway): State<Arc<Gateway>>) -> Response {
    ([("content-type", "text/plain; version=0.0.4; charset=utf-8")], metrics(&gateway)).into_response()
}

/// Prometheus' text form.
pub fn metrics(gateway: &Gateway) -> String {
    let counts = gateway.counts.snapshot();
    let mut page = String::new();
    let mut family = |name: &str, kind: &str, help: &str, samples: &[(String, f64)]| {
        // Writing to a text cannot fail.
        let _ = writeln!(page, "# HELP {name} {help}\n# TYPE {name} {kind}");
        for (labels, value) in samples {
            let _ = writeln!(page, "{name}{{{labels}}} {value}");
        }
    };
    let of_events = |value: fn(&crate::gateway::counts::OfEvent) -> u64| -> Vec<(String, f64)> {
        counts.events.iter().map(|(event, of)| (format!("event=\"{event}\""), value(of) as f64)).collect()
    };
    family(
        "wharfe_events_published_total",
        "counter",
        "Events stored since the start.",
        &of_events(|of| of.published),
    );
    family("wharfe_event_bytes_total", "counter", "Bytes of them.", &of_events(|of| of.bytes));
    family(
        "wharfe_events_repeated_total",
        "counter",
        "Events that were stored before.",
        &of_events(|of| of.repeated),
    );
    let refused: Vec<_> = counts
        .refused
        .iter()
        .map(|((event, status), count)| (format!("event=\"{event}\",status=\"{status}\""), *count as f64))
        .collect();
    family("wharfe_events_refused_total", "counter", "Events that were not stored.", &refused);
    let coerced: Vec<_> = counts
        .coerced
        .iter()
        .map(|((event, producer, field, coercion), count)| {
            let labels = [
                ("event", event.to_string()),
                ("producer", producer.clone()),
                ("field", field.clone()),
                ("coercion", coercion.name().into()),
            ];
            (labelled(&labels), *count as f64)
        })
        .collect();
    family("wharfe_coercions_total", "counter", "What was done to payloads so that they fit.", &coerced);
    subscriptions(gateway, &mut family);
    page
}

fn subscriptions(gateway: &Gateway, family: &mut impl FnMut(&str, &str, &str, &[(String, f64)])) {
    let all = gateway.subscriptions.all();
    let status_of = |value: &dyn Fn(&deliver::Status) -> f64| -> Vec<(String, f64)> {
        let one = |subscription: &crate::gateway::subscriptions::Subscription| {
            let handle = gateway.subscriptions.handle(&subscription.name)?;
            Some((format!("subscription=\"{}\"", subscription.name), value(&handle.status)))
        };
        all.iter().filter_map(one).collect()
    };
    let count = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed) as f64;
    family(
        "wharfe_deliveries_total",
        "counter",
        "Events that were delivered.",
        &status_of(&|s| count(&s.delivered)),
    );
    family("wharfe_delivery_calls_total", "counter", "Calls made.", &status_of(&|s| count(&s.calls)));
    family(
        "wharfe_delivery_failures_total",
        "counter",
        "Calls that failed.",
        &status_of(&|s| count(&s.failed)),
    );
    family(
        "wharfe_dead_letters_total",
        "counter",
        "Events that were given up.",
        &status_of(&|s| count(&s.dead)),
    );
    family(
        "wharfe_delivery_parked_keys",
        "gauge",
        "Keys that wait after a failure.",
        &status_of(&|s| count(&s.parked)),
    );
    let lags = lags(gateway);
    let lag = |kind: &str, name: &str| -> Vec<(String, f64)> {
        let labels = |lag: &Value| match kind {
            "archive" => format!("zone={},event={}", lag["name"], lag["event"]),
            _ => format!("subscription={}", lag["name"]),
        };
        let of_kind = lags.iter().filter(|lag| lag["kind"] == kind);
        of_kind.filter_map(|lag| Some((labels(lag), lag[name].as_f64()?))).collect()
    };
    family(
        "wharfe_subscription_lag_records",
        "gauge",
        "Events that are stored and not delivered.",
        &lag("subscription", "lag_records"),
    );
    family(
        "wharfe_subscription_lag_seconds",
        "gauge",
        "Age of the oldest of them in hand.",
        &lag("subscription", "lag_seconds"),
    );
    family(
        "wharfe_archive_lag_records",
        "gauge",
        "Events that are stored and in no file of the archive.",
        &lag("archive", "lag_records"),
    );
    family(
        "wharfe_archive_lag_seconds",
        "gauge",
        "For how long the oldest of them that was read waits for its file.",
        &lag("archive", "lag_seconds"),
    );
}
