//! Events on the wire: what publishers send (CloudEvents 1.0.2 structured, batched and binary, and the
//! talk's items), the headers of records, and what consumers get.

use super::codec::Codec;
use crate::headers;
use crate::time::iso;
use crate::topology::EventName;
use serde_json::{Map, Value, json};
use std::fmt::Write;

/// An event as its publisher sent it, understood but not checked against its schema.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Incoming {
    /// By its type; where the publisher only names a schema, that says it.
    pub event: Option<EventName>,
    /// The fingerprint.
    pub schema_id: Option<String>,
    pub zone: Option<String>,
    pub id: Option<String>,
    pub source: String,
    /// Milliseconds since 1970.
    pub time_ms: Option<i64>,
    pub subject: Option<String>,
    pub partition_key: Option<String>,
    pub traceparent: Option<String>,
    pub tracestate: Option<String>,
    /// Other attributes, as text.
    pub extensions: Vec<(String, String)>,
    pub payload: Value,
}

/// What is wrong with an event: where, and what.
#[derive(Clone, Debug, PartialEq)]
pub struct Malformed {
    pub path: String,
    pub message: String,
}

fn malformed(path: &str, message: impl Into<String>) -> Malformed {
    Malformed { path: path.into(), message: message.into() }
}

/// Attributes are short: longer ones are refused.
const ATTRIBUTE_BYTES_MAX: usize = 4_096;
const EXTENSIONS_MAX: usize = 32;

/// One of the talk's items: `{"producer_id", "schema_id", "zone", "payload"}`; zone may be left out, and
/// `id`, `event` and `time` given.
pub fn item(value: Value) -> Result<Incoming, Malformed> {
    let Value::Object(mut item) = value else { return Err(malformed("", "an item is an object")) };
    let payload = item.remove("payload").ok_or_else(|| malformed("payload", "it is missing"))?;
    let mut incoming = Incoming { payload, ..Incoming::default() };
    let mut producer = None;
    for (name, value) in item {
        let text = attribute(&name, &value)?;
        match name.as_str() {
            _ if text.is_none() => {}
            "producer_id" => producer = text,
            "schema_id" => incoming.schema_id = text,
            "zone" => incoming.zone = text,
            "id" => incoming.id = text,
            "key" => incoming.partition_key = text,
            "event" => incoming.event = text.map(|t| event(&name, t.parse())).transpose()?,
            "time" => incoming.time_ms = text.map(|t| time(&name, &t)).transpose()?,
            "traceparent" => incoming.traceparent = text,
            _ => {
                return Err(malformed(
                    &name,
                    "an item has producer_id, schema_id, zone and payload; id, event, key, time and traceparent if it likes",
                ));
            }
        }
    }
    let producer = producer.ok_or_else(|| malformed("producer_id", "it is missing"))?;
    incoming.source = if producer.starts_with('/') || producer.contains(':') {
        producer
    } else {
        format!("/producers/{producer}")
    };
    if incoming.schema_id.is_none() && incoming.event.is_none() {
        return Err(malformed("schema_id", "it is missing"));
    }
    Ok(incoming)
}

/// A CloudEvent in JSON.
pub fn structured(value: Value) -> Result<Incoming, Malformed> {
    let Value::Object(mut event) = value else { return Err(malformed("", "a CloudEvent is an object")) };
    let data = event.remove("data");
    if event.contains_key("data_base64") {
        return Err(malformed("data_base64", "payloads are JSON, under `data`, and are encoded here"));
    }
    let mut attributes = Vec::new();
    for (name, value) in event {
        if let Some(text) = attribute(&name, &value)? {
            attributes.push((name, text));
        }
    }
    attributed(attributes, data.ok_or_else(|| malformed("data", "it is missing"))?)
}

/// A CloudEvent whose attributes are in headers, here without `ce-`, and whose body is the payload.
pub fn binary(attributes: Vec<(String, String)>, body: &[u8]) -> Result<Incoming, Malformed> {
    let payload =
        serde_json::from_slice(body).map_err(|e| malformed("", format!("the body is not JSON: {e}")))?;
    attributed(attributes, payload)
}

fn attributed(attributes: Vec<(String, String)>, payload: Value) -> Result<Incoming, Malformed> {
    let mut incoming = Incoming { payload, ..Incoming::default() };
    let mut version = None;
    for (name, text) in attributes {
        match name.as_str() {
            "specversion" => version = Some(text),
            "id" => incoming.id = Some(text),
            "source" => incoming.source = text,
            "type" => incoming.event = Some(event(&name, EventName::from_dotted(&text))?),
            "time" => incoming.time_ms = Some(time(&name, &text)?),
            "subject" => incoming.subject = Some(text),
            "partitionkey" => incoming.partition_key = Some(text),
            "zone" => incoming.zone = Some(text),
            "dataschema" => incoming.schema_id = text.rsplit(['/', ':']).next().map(String::from),
            "traceparent" => incoming.traceparent = Some(text),
            "tracestate" => incoming.tracestate = Some(text),
            "datacontenttype" if is_json(&text) => {}
            "datacontenttype" => {
                return Err(malformed(&name, format!("payloads are application/json, not {text}")));
            }
            _ if !is_extension(&name) => {
                return Err(malformed(&name, "an attribute's name has lower-case letters and digits"));
            }
            _ if incoming.extensions.len() == EXTENSIONS_MAX => {
                return Err(malformed(&name, format!("there are more than {EXTENSIONS_MAX} extensions")));
            }
            _ => incoming.extensions.push((name, text)),
        }
    }
    match version.as_deref() {
        Some("1.0") => {}
        Some(other) => return Err(malformed("specversion", format!("it is {other}; 1.0 is understood"))),
        None => return Err(malformed("specversion", "it is missing; 1.0 is understood")),
    }
    for (name, is_missing) in [
        ("type", incoming.event.is_none()),
        ("source", incoming.source.is_empty()),
        ("id", incoming.id.is_none()),
    ] {
        if is_missing {
            return Err(malformed(name, "it is missing"));
        }
    }
    Ok(incoming)
}

fn is_extension(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit())
}

pub fn is_json(media_type: &str) -> bool {
    let media_type = media_type.split(';').next().unwrap_or_default().trim();
    media_type.eq_ignore_ascii_case("application/json") || media_type.ends_with("+json")
}

/// Text of an attribute; null is as good as none.
fn attribute(name: &str, value: &Value) -> Result<Option<String>, Malformed> {
    let text = match value {
        Value::Null => return Ok(None),
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        Value::Bool(flag) => flag.to_string(),
        _ => return Err(malformed(name, "an attribute is a text, a number or a boolean")),
    };
    if text.len() > ATTRIBUTE_BYTES_MAX {
        return Err(malformed(name, format!("it has more than {ATTRIBUTE_BYTES_MAX} bytes")));
    }
    if text.chars().any(char::is_control) {
        return Err(malformed(name, "it holds control characters"));
    }
    Ok(Some(text))
}

fn event(name: &str, parsed: Result<EventName, String>) -> Result<EventName, Malformed> {
    parsed.map_err(|why| malformed(name, why))
}

fn time(name: &str, text: &str) -> Result<i64, Malformed> {
    iso::parse_timestamp(text.as_bytes())
        .filter(|_| text.contains('T'))
        .ok_or_else(|| malformed(name, format!("`{text}` is no time as 2016-04-19T17:34:21Z")))
}

/// `2016-04-19T17:34:21.000Z`
pub fn time_text(ms: i64) -> String {
    let at = chrono::DateTime::from_timestamp_millis(ms).unwrap_or_default();
    at.format("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}

/// An event as it is kept, beside its key and value.
pub struct Envelope<'e> {
    pub event: &'e EventName,
    pub id: &'e str,
    pub source: &'e str,
    pub time_ms: i64,
    pub schema_id: &'e str,
    pub traceparent: &'e str,
}

/// The headers of an event's record: `ce_…`, as CloudEvents has them on Kafka.
pub fn record_headers(envelope: &Envelope, incoming: &Incoming) -> Vec<u8> {
    let mut block = Vec::with_capacity(320);
    let mut push =
        |name: &str, value: &str| headers::push(name.as_bytes(), Some(value.as_bytes()), &mut block);
    push("ce_specversion", "1.0");
    push("ce_type", &envelope.event.dotted());
    push("ce_source", envelope.source);
    push("ce_id", envelope.id);
    push("ce_time", &time_text(envelope.time_ms));
    push("ce_dataschema", &format!("/event-schemas/{}", envelope.schema_id));
    for (name, value) in [("ce_subject", &incoming.subject), ("ce_partitionkey", &incoming.partition_key)] {
        if let Some(value) = value {
            push(name, value);
        }
    }
    for (name, value) in &incoming.extensions {
        push(&format!("ce_{name}"), value);
    }
    push("traceparent", envelope.traceparent);
    if let Some(state) = &incoming.tracestate {
        push("tracestate", state);
    }
    push("content-type", "application/octet-stream");
    block
}

/// A record's headers, read back.
#[derive(Debug, Default)]
pub struct Attributes<'h> {
    pub id: Option<&'h str>,
    pub source: Option<&'h str>,
    pub event_type: Option<&'h str>,
    pub traceparent: Option<&'h str>,
    pub tracestate: Option<&'h str>,
    /// Name without `ce_`, value.
    pub others: Vec<(&'h str, &'h str)>,
}

impl<'h> Attributes<'h> {
    pub fn of(block: &'h [u8]) -> Attributes<'h> {
        let mut found = Attributes::default();
        for (name, value) in headers::of(block) {
            let (Ok(name), Some(Ok(value))) = (std::str::from_utf8(name), value.map(std::str::from_utf8))
            else {
                continue;
            };
            match name {
                "ce_id" => found.id = Some(value),
                "ce_source" => found.source = Some(value),
                "ce_type" => found.event_type = Some(value),
                "traceparent" => found.traceparent = Some(value),
                "tracestate" => found.tracestate = Some(value),
                "ce_specversion" | "ce_datacontenttype" => {}
                name => {
                    if let Some(attribute) = name.strip_prefix("ce_") {
                        found.others.push((attribute, value));
                    }
                }
            }
        }
        found
    }
}

/// Where a record is: what an event has for an id that was published without this gateway.
pub struct Place<'p> {
    pub event: &'p EventName,
    pub zone: &'p str,
    pub cluster: &'p str,
    pub partition: u32,
    pub offset: i64,
    pub timestamp: i64,
}

impl Place<'_> {
    pub fn id(&self) -> String {
        format!("{}-{}-{}-{}", self.cluster, self.event.dotted(), self.partition, self.offset)
    }
}

/// Appends an event as consumers get it: structured CloudEvents JSON with plain data.
///
/// # Errors
/// Why the payload cannot be read; nothing is appended then.
pub fn outgoing(place: &Place, block: &[u8], key: Option<&[u8]>, data: &str, out: &mut String) {
    let attributes = Attributes::of(block);
    let mut head = Map::new();
    head.insert("specversion".into(), "1.0".into());
    head.insert("id".into(), attributes.id.map_or_else(|| place.id(), String::from).into());
    head.insert("source".into(), attributes.source.unwrap_or("/kafka").into());
    head.insert("type".into(), place.event.dotted().into());
    head.insert("datacontenttype".into(), "application/json".into());
    head.insert("zone".into(), place.zone.into());
    for (name, value) in &attributes.others {
        head.insert((*name).to_string(), (*value).into());
    }
    head.entry("time").or_insert_with(|| time_text(place.timestamp).into());
    if let Some(key) = key.and_then(|key| std::str::from_utf8(key).ok()) {
        head.entry("partitionkey").or_insert_with(|| json!(key));
    }
    for (name, value) in [("traceparent", attributes.traceparent), ("tracestate", attributes.tracestate)] {
        if let Some(value) = value {
            head.insert(name.into(), value.into());
        }
    }
    let text = Value::Object(head).to_string();
    out.push_str(&text[..text.len() - 1]);
    // Writing to a text cannot fail.
    let _ = write!(out, ",\"data\":{data}}}");
}

/// A record's value as JSON, by the schema that it names; null for none.
///
/// # Errors
/// Why it cannot be read.
pub fn data_of(
    value: Option<&[u8]>,
    codec: impl FnOnce(u32) -> Result<std::sync::Arc<Codec>, String>,
    out: &mut String,
) -> Result<(), String> {
    let Some(value) = value else {
        out.push_str("null");
        return Ok(());
    };
    match value.split_first_chunk::<5>() {
        Some(([0, id @ ..], body)) => codec(u32::from_be_bytes(*id))?.decode(body, out),
        // Other clients may write JSON alone.
        _ => match serde_json::from_slice::<serde::de::IgnoredAny>(value) {
            Ok(_) => {
                out.push_str(&String::from_utf8_lossy(value));
                Ok(())
            }
            Err(_) => Err("it names no schema and is not JSON".into()),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_talks_item_is_understood() {
        let talks = json!({"producer_id": "foo", "schema_id": "5635ce15a15213105c091d5e0945b0c2", "zone": "mfp",
            "payload": {"country": {"string": "US"}}});
        let incoming = item(talks).unwrap();
        assert_eq!((incoming.source.as_str(), incoming.zone.as_deref()), ("/producers/foo", Some("mfp")));
        assert_eq!(incoming.schema_id.as_deref(), Some("5635ce15a15213105c091d5e0945b0c2"));
        for (bad, path) in [
            (json!([]), ""),
            (json!({"producer_id": "foo", "schema_id": "x"}), "payload"),
            (json!({"schema_id": "x", "payload": 1}), "producer_id"),
            (json!({"producer_id": "foo", "payload": 1}), "schema_id"),
            (json!({"producer_id": "foo", "schema_id": "x", "payload": 1, "zome": "mfp"}), "zome"),
            (json!({"producer_id": {}, "schema_id": "x", "payload": 1}), "producer_id"),
        ] {
            assert_eq!(item(bad.clone()).unwrap_err().path, path, "{bad}");
        }
    }

    #[test]
    fn cloudevents_are_understood_and_come_out_again() {
        let event = json!({"specversion": "1.0", "type": "mfp.Food", "source": "/p", "id": "1", "data": {"a": 1},
            "time": "2016-04-19T17:34:21Z", "dataschema": "http://g/event-schemas/abc", "team": "x", "n": 3});
        let incoming = structured(event).unwrap();
        assert_eq!(incoming.event, Some("mfp/Food".parse().unwrap()));
        assert_eq!((incoming.time_ms, incoming.schema_id.as_deref()), (Some(1_461_087_261_000), Some("abc")));
        let name = "mfp/Food".parse().unwrap();
        let envelope = Envelope {
            event: &name,
            id: "1",
            source: "/p",
            time_ms: 1_461_087_261_000,
            schema_id: "abc",
            traceparent: "00-1-2-01",
        };
        let block = record_headers(&envelope, &incoming);
        let place = Place { event: &name, zone: "z", cluster: "", partition: 0, offset: 3, timestamp: 5 };
        let mut out = String::new();
        outgoing(&place, &block, Some(b"k"), "{\"a\":1}", &mut out);
        assert_eq!(
            serde_json::from_str::<Value>(&out).unwrap(),
            json!({"specversion": "1.0", "id": "1", "source": "/p", "type": "mfp.Food", "zone": "z", "n": "3",
                "datacontenttype": "application/json", "time": "2016-04-19T17:34:21.000Z", "team": "x",
                "dataschema": "/event-schemas/abc", "partitionkey": "k", "traceparent": "00-1-2-01", "data": {"a": 1}})
        );
        let mut bare = String::new();
        outgoing(&place, &[], None, "null", &mut bare);
        assert!(bare.contains("\"id\":\"-mfp.Food-0-3\""), "{bare}");
    }

    #[test]
    fn what_is_no_cloudevent_is_refused_with_its_place() {
        let base = json!({"specversion": "1.0", "type": "mfp.Food", "source": "/p", "id": "1", "data": 1});
        for (name, value, path) in [
            ("specversion", json!("0.3"), "specversion"),
            ("type", json!("Food"), "type"),
            ("time", json!("yesterday"), "time"),
            ("Team", json!("x"), "Team"),
            ("id", Value::Null, "id"),
            ("source", json!(""), "source"),
            ("datacontenttype", json!("text/xml"), "datacontenttype"),
            ("x", json!("a\u{0}b"), "x"),
            ("x", json!("a".repeat(5_000)), "x"),
            ("data_base64", json!("AA=="), "data_base64"),
        ] {
            let mut event = base.clone();
            event[name] = value;
            assert_eq!(structured(event).unwrap_err().path, path);
        }
    }
}
