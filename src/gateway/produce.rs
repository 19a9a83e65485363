//! Publishing: events as they came in → records, stored durably, each with its answer.
//!
//! ```text
//! Incoming ─► schema, rights, zone ─► encode ─► seen before? ─► store ─► Published
//! ```
//! An event is answered as accepted only when it is stored; what is refused is stored nowhere.

use super::cloudevents::{Envelope, Incoming, Malformed, record_headers};
use super::codec::{Coerced, Coercions, path_of, text_at};
use super::directory::Missing;
use super::schemas::EventSchema;
use super::seen::{Key, Known};
use super::store::{NewRecord, NotStored, Stored};
use super::{Gateway, Who, now_ms};
use crate::expr::nearest::nearest;
use crate::topology::EventName;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What became of one event.
pub struct Published {
    /// As given, or made here.
    pub id: Option<String>,
    pub event: Option<EventName>,
    pub outcome: Result<Accepted, Refused>,
}

pub struct Accepted {
    pub zone: String,
    pub stored: Stored,
    /// It was stored before, under the same source and id.
    pub is_duplicate: bool,
    pub coercions: Vec<Coerced>,
}

/// Why an event is not stored. `status` is HTTP's.
#[derive(Clone, Debug, PartialEq)]
pub struct Refused {
    pub status: u16,
    /// Where in the event.
    pub path: String,
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl Refused {
    fn new(status: u16, path: &str, message: impl Into<String>) -> Refused {
        Refused { status, path: path.into(), message: message.into(), hint: None }
    }

    fn hint(self, hint: impl Into<String>) -> Refused {
        Refused { hint: Some(hint.into()), ..self }
    }
}

impl From<Malformed> for Refused {
    fn from(malformed: Malformed) -> Refused {
        Refused::new(400, &malformed.path, malformed.message)
    }
}

/// An event that can be stored.
struct Ready {
    index: usize,
    key: Key,
    schema: Arc<EventSchema>,
    id: String,
    source: String,
    record: NewRecord,
    coercions: Vec<Coerced>,
    traceparent: String,
}

/// Publishes events in their order; the answers are in the same. It must run to its end: what is under way
/// counts as such until then.
pub async fn publish(
    gateway: &Arc<Gateway>,
    who: &Who,
    incoming: Vec<Result<Incoming, Malformed>>,
) -> Vec<Published> {
    let mut answers: Vec<Published> = Vec::with_capacity(incoming.len());
    let mut by_event: BTreeMap<EventName, Vec<Ready>> = BTreeMap::new();
    let mut repeated = Vec::new();
    for (index, incoming) in incoming.into_iter().enumerate() {
        let (id, event) = match &incoming {
            Ok(incoming) => (incoming.id.clone(), incoming.event.clone()),
            Err(_) => (None, None),
        };
        let prepared =
            incoming.map_err(Refused::from).and_then(|incoming| prepare(gateway, who, index, incoming));
        match prepared {
            Err(refused) => {
                gateway.counts.refused(event.as_ref(), refused.status);
                answers.push(Published { id, event, outcome: Err(refused) });
            }
            Ok(ready) => {
                let event = ready.schema.event.clone();
                let under_way = Refused::new(503, "", "the same event is being stored by another request");
                answers.push(Published {
                    id: Some(ready.id.clone()),
                    event: Some(event.clone()),
                    outcome: Err(under_way),
                });
                match gateway.seen.begin(ready.key) {
                    Known::New => by_event.entry(event).or_default().push(ready),
                    Known::Stored(stored) => answers[index].outcome = Ok(duplicate(gateway, &event, stored)),
                    Known::UnderWay => repeated.push((index, ready.key, event)),
                }
            }
        }
    }
    for (event, ready) in by_event {
        store(gateway, &event, ready, &mut answers).await;
    }
    // The first of the same is stored now, if it was in this request.
    for (index, key, event) in repeated {
        match gateway.seen.begin(key) {
            Known::Stored(stored) => answers[index].outcome = Ok(duplicate(gateway, &event, stored)),
            Known::New => gateway.seen.finish(key, None, now_ms()),
            Known::UnderWay => {}
        }
    }
    answers
}

fn duplicate(gateway: &Gateway, event: &EventName, stored: Stored) -> Accepted {
    gateway.counts.repeated(event);
    let zone =
        gateway.directory.route(event).map_or(String::new(), |route| route.current().site.zone.clone());
    Accepted { zone, stored, is_duplicate: true, coercions: Vec::new() }
}

/// Checks an event and makes its record.
fn prepare(gateway: &Gateway, who: &Who, index: usize, incoming: Incoming) -> Result<Ready, Refused> {
    let schema = schema_of(gateway, &incoming)?;
    let event = &schema.event;
    if !who.may_publish(&event.namespace) {
        return Err(Refused::new(
            403,
            "",
            format!("{} may not publish to namespace {}", who.name(), event.namespace),
        )
        .hint(format!("publish = [\"{}\"] under its [tokens.…] in the topology", event.namespace)));
    }
    let entry = gateway.directory.entry(event).map_err(|Missing::Zone { hint, .. }| {
        Refused::new(400, "", format!("no zone takes events of namespace {}", event.namespace)).hint(hint)
    })?;
    if let Some(zone) = incoming.zone.as_ref().filter(|zone| **zone != entry.zone) {
        return Err(Refused::new(
            400,
            "zone",
            format!("{event} is published to zone {}, not {zone}", entry.zone),
        )
        .hint("leave zone out: the topology knows it"));
    }
    let mut coercions = Coercions::default();
    let Some(confluent_id) = schema.confluent_id else {
        return Err(Refused::new(503, "", "the schema has no id in the registry yet"));
    };
    let mut value = Vec::with_capacity(512);
    value.push(0);
    value.extend_from_slice(&confluent_id.to_be_bytes());
    value.extend(schema.codec.preamble());
    let unknown = gateway.directory.zones.gateway.unknown_fields;
    let encoded = schema.codec.encode(&incoming.payload, unknown, &mut value, &mut coercions);
    encoded.map_err(|fault| {
        let path = path_of(&fault);
        let separator = if path.is_empty() || path.starts_with('[') { "" } else { "." };
        Refused::new(400, &format!("payload{separator}{path}"), fault.reason)
            .hint(format!("schema {} of {event}: GET /event-schemas/{}", schema.id, schema.id))
    })?;
    let key = entry.key.as_ref().and_then(|path| text_at(&incoming.payload, path));
    let key = key.or_else(|| incoming.partition_key.clone()).or_else(|| incoming.subject.clone());
    let now = now_ms();
    let id = incoming.id.clone().unwrap_or_else(|| gateway.ids.next());
    let traceparent = incoming.traceparent.clone().unwrap_or_else(|| gateway.ids.traceparent());
    let time_ms = incoming.time_ms.unwrap_or(now);
    let envelope = Envelope {
        event,
        id: &id,
        source: &incoming.source,
        time_ms,
        schema_id: &schema.id,
        traceparent: &traceparent,
    };
    let headers = record_headers(&envelope, &incoming);
    let record = NewRecord { timestamp: time_ms, key: key.map(String::into_bytes), value, headers };
    let seen = Key::of(&incoming.source, &id);
    gateway.counts.coerced(event, &incoming.source, &coercions.found);
    Ok(Ready {
        index,
        key: seen,
        id,
        source: incoming.source,
        record,
        coercions: coercions.found,
        traceparent,
        schema,
    })
}

/// The schema that an event names, else the newest of its type.
fn schema_of(gateway: &Gateway, incoming: &Incoming) -> Result<Arc<EventSchema>, Refused> {
    let named = incoming.schema_id.as_ref().map(|id| {
        gateway.schemas.get(id).ok_or_else(|| {
            let all = gateway.schemas.all();
            let near = nearest(id, all.iter().map(|schema| schema.id.as_str()));
            let hint =
                near.map_or("`wharfe schema list` shows them".into(), |near| format!("did you mean {near}?"));
            Refused::new(400, "schema_id", format!("there is no schema {id}")).hint(hint)
        })
    });
    let schema = match (named.transpose()?, &incoming.event) {
        (Some(schema), Some(event)) if schema.event != *event => {
            return Err(Refused::new(
                400,
                "schema_id",
                format!("schema {} is of {}, not of {event}", schema.id, schema.event),
            ));
        }
        (Some(schema), _) => schema,
        (None, Some(event)) => gateway.schemas.available(event).ok_or_else(|| no_schema(gateway, event))?,
        (None, None) => return Err(Refused::new(400, "schema_id", "it is missing")),
    };
    if !schema.status.is_writable() {
        let error = Refused::new(
            400,
            "schema_id",
            format!("schema {} of {} is {}", schema.id, schema.event, schema.status.name()),
        );
        return Err(error.hint(match gateway.schemas.available(&schema.event) {
            Some(other) => format!("{} is available; or: wharfe schema activate {}", other.id, schema.id),
            None => format!("wharfe schema activate {}", schema.id),
        }));
    }
    Ok(schema)
}

/// Why an event has no schema to write with.
pub(super) fn no_schema(gateway: &Gateway, event: &EventName) -> Refused {
    if let Some(pending) = gateway.schemas.of_event(event).last() {
        return Refused::new(
            400,
            "type",
            format!("{event} has no schema that is available; {} is {}", pending.id, pending.status.name()),
        )
        .hint(format!("wharfe schema activate {}", pending.id));
    }
    let known: Vec<String> = gateway.schemas.events().iter().map(ToString::to_string).collect();
    let meant = nearest(&event.to_string(), known.iter().map(String::as_str));
    let hint = match meant {
        Some(near) => format!("did you mean {near}?"),
        None => format!(
            "wharfe schema register --namespace {} --event-type {} --file FILE",
            event.namespace, event.event_type
        ),
    };
    Refused::new(400, "type", format!("there is no event {event}")).hint(hint)
}

/// Stores events of one name, and fills in their answers.
async fn store(gateway: &Arc<Gateway>, event: &EventName, ready: Vec<Ready>, answers: &mut [Published]) {
    let mut records = Vec::with_capacity(ready.len());
    let mut rest = Vec::with_capacity(ready.len());
    for Ready { index, key, id, source, record, coercions, traceparent, .. } in ready {
        records.push(record);
        rest.push((index, key, id, source, coercions, traceparent));
    }
    let bytes: usize = records.iter().map(NewRecord::bytes).sum();
    let (zone, stored) = match gateway.store(event, records).await {
        Ok(stored) => stored,
        Err(error) => {
            let failed = NotStored::Away(error.to_string());
            (String::new(), rest.iter().map(|_| Err(failed.clone())).collect())
        }
    };
    let now = now_ms();
    let count = stored.iter().filter(|stored| stored.is_ok()).count();
    gateway.counts.published(event, count as u64, bytes as u64);
    for ((index, key, id, source, coercions, traceparent), stored) in rest.into_iter().zip(stored) {
        gateway.seen.finish(key, stored.as_ref().ok().cloned(), now);
        if let Ok(stored) = &stored {
            gateway.trace.stored(key, &id, &source, &traceparent, event, &zone, stored, now);
        }
        answers[index].outcome = match stored {
            Ok(stored) => Ok(Accepted { zone: zone.clone(), stored, is_duplicate: false, coercions }),
            Err(NotStored::Away(why)) => {
                gateway.counts.refused(Some(event), 503);
                Err(Refused::new(503, "", format!("it cannot be stored now: {why}"))
                    .hint("send it again, under the same id"))
            }
            Err(NotStored::Failed(error)) => {
                gateway.counts.refused(Some(event), 503);
                Err(Refused::new(503, "", format!("it cannot be stored: {error}")))
            }
        };
    }
}
