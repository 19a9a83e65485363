//! Whether a new schema of an event breaks anybody: by the rules of compatibility, by the event's last
//! records, and by who uses the fields that it takes away.

use super::codec::{Codec, Coercions, shown};
use super::reader::{Cursor, From, Reader};
use super::schemas::{EventSchema, Found, Refusal, Status};
use super::{Gateway, cloudevents, uses};
use crate::error::Result;
use crate::registry::{Incompatibility, Level, Schema};
use crate::topology::{EventName, UnknownFields};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Of each partition so many of the newest records are tried.
const TRIED: i64 = 100;
/// The cluster may be away: then the rules alone decide.
const PATIENCE: Duration = Duration::from_secs(3);

/// The compatibility that an event asks for: FULL unless its entry says otherwise, since the new schema
/// must read what is stored, and consumers that know the old one must read what is new.
pub fn level(gateway: &Gateway, event: &EventName) -> Level {
    gateway.directory.entry(event).ok().and_then(|entry| entry.compatibility).unwrap_or(Level::Full)
}

/// Registers a schema if it breaks nobody. Blocks.
pub fn register(
    gateway: &Arc<Gateway>,
    who: &str,
    event: &EventName,
    schema: Schema,
) -> Result<std::result::Result<Found, Refusal>> {
    gateway.entry(event)?;
    match check(gateway, event, &schema) {
        Ok(id) => gateway.schemas.register(who, event, schema, id).map(Ok),
        Err(refusal) => Ok(Err(refusal)),
    }
}

/// The id of a schema that breaks nobody. Blocks.
pub fn check(
    gateway: &Arc<Gateway>,
    event: &EventName,
    schema: &Schema,
) -> std::result::Result<String, Refusal> {
    let id = gateway.schemas.check(event, schema, level(gateway, event))?;
    let plain = |message: String| Refusal { message, found: Vec::new() };
    let codec = Arc::new(Codec::new(schema, &[]).map_err(|why| plain(format!("invalid schema: {why}")))?);
    let next = EventSchema {
        id: id.clone(),
        event: event.clone(),
        schema: schema.clone(),
        status: Status::Pending,
        confluent_id: None,
        registered_ms: 0,
        registered_by: String::new(),
        changed_ms: 0,
        changed_by: String::new(),
        codec: Arc::clone(&codec),
    };
    let used = uses::broken(gateway, &next);
    if !used.is_empty() {
        let details: Vec<String> = used.iter().map(ToString::to_string).collect();
        return Err(Refusal {
            message: format!("it breaks what is in use: {}", details.join("; ")),
            found: used,
        });
    }
    if let Some(why) = try_records(gateway, event, &codec) {
        let found = vec![Incompatibility::new("RECORD_DOES_NOT_FIT", "/", why.clone())];
        return Err(Refusal { message: format!("a record of {event} does not fit it: {why}"), found });
    }
    Ok(id)
}

/// The schema that an event is read with once one of its schemas has another status.
pub(super) fn next_schema(gateway: &Gateway, of: &EventSchema, status: Status) -> Option<Arc<EventSchema>> {
    let all = gateway.schemas.of_event(&of.event);
    let status_of = |schema: &EventSchema| if schema.id == of.id { status } else { schema.status };
    let newest = |wanted: Status| all.iter().rev().find(|schema| status_of(schema) == wanted).cloned();
    newest(Status::Available).or_else(|| newest(Status::Deprecated))
}

/// Why one of the event's last records, read by its own schema, does not fit the new one.
fn try_records(gateway: &Arc<Gateway>, event: &EventName, codec: &Codec) -> Option<String> {
    let route = gateway.directory.route(event)?;
    let site = &route.current().site;
    let ends = gateway.stores.ends(site).ok()?;
    let mut next = ends.clone();
    for end in next.values_mut().flat_map(|ends| ends.values_mut()) {
        *end = (*end - TRIED).max(0);
    }
    let mut left: i64 = ends.iter().flat_map(|(c, e)| e.iter().map(|(p, end)| end - next[c][p])).sum();
    let cursor = Cursor { generation: route.current().number, next };
    let mut reader = Reader::open(gateway, Arc::clone(&route), &From::At(cursor)).ok()?;
    let until = Instant::now() + PATIENCE;
    while left > 0 && Instant::now() < until {
        let Some(portion) = reader.poll().ok()? else {
            reader.wait();
            continue;
        };
        for i in portion.records.clone() {
            left -= 1;
            let mut text = String::new();
            // What nobody can read is no argument against a schema.
            if cloudevents::data_of(portion.batch.value(i), |id| gateway.codec(id), &mut text).is_err() {
                continue;
            }
            let Ok(payload) = serde_json::from_str(&text) else { continue };
            let (mut bytes, mut coercions) = (Vec::new(), Coercions::default());
            if let Err(fault) = codec.encode(&payload, UnknownFields::Drop, &mut bytes, &mut coercions) {
                let (partition, offset) = (portion.batch.partition, portion.batch.offsets[i]);
                return Some(format!("partition {partition}, offset {offset}: {}", shown(*fault)));
            }
        }
    }
    None
}

/// What a change of a schema means, field by field, for people.
pub fn diff(old: &Schema, new: &Schema) -> Vec<String> {
    let lines = |schema: &Schema| {
        let pretty = serde_json::from_str::<serde_json::Value>(&schema.text)
            .and_then(|value| serde_json::to_string_pretty(&value))
            .unwrap_or_else(|_| schema.text.clone());
        pretty.lines().map(String::from).collect::<Vec<_>>()
    };
    let (old, new) = (lines(old), lines(new));
    let mut out = Vec::new();
    let (mut i, mut j) = (0, 0);
    let common = longest_common(&old, &new);
    for (a, b) in common.into_iter().chain([(old.len(), new.len())]) {
        out.extend(old[i..a].iter().map(|line| format!("-{line}")));
        out.extend(new[j..b].iter().map(|line| format!("+{line}")));
        if a < old.len() {
            out.push(format!(" {}", old[a]));
        }
        (i, j) = (a + 1, b + 1);
    }
    out
}

/// Lines of a text that are compared at most: the table is their product.
const LINES_MAX: usize = 2_000;

/// The places of the longest sequence of lines that both have.
fn longest_common(old: &[String], new: &[String]) -> Vec<(usize, usize)> {
    if old.len() > LINES_MAX || new.len() > LINES_MAX {
        return Vec::new();
    }
    let mut lengths = vec![vec![0u32; new.len() + 1]; old.len() + 1];
    for i in (0..old.len()).rev() {
        for j in (0..new.len()).rev() {
            lengths[i][j] = match old[i] == new[j] {
                true => lengths[i + 1][j + 1] + 1,
                false => lengths[i + 1][j].max(lengths[i][j + 1]),
            };
        }
    }
    let (mut i, mut j, mut found) = (0, 0, Vec::new());
    while i < old.len() && j < new.len() {
        if old[i] == new[j] {
            found.push((i, j));
            (i, j) = (i + 1, j + 1);
        } else if lengths[i + 1][j] >= lengths[i][j + 1] {
            i += 1;
        } else {
            j += 1;
        }
    }
    found
}

/// A first schema of what events look like: Avro, a field that is not always there may be null.
pub fn infer(
    name: &str,
    namespace: &str,
    events: &[serde_json::Value],
) -> std::result::Result<String, String> {
    let mut shape = Shape::default();
    events.iter().for_each(|event| shape.add(event));
    if shape.fields.is_empty() {
        return Err("there is no object in it".into());
    }
    let schema = shape.record(name, Some(namespace));
    serde_json::to_string_pretty(&schema).map_err(|e| e.to_string())
}

/// What was seen at one place.
#[derive(Default)]
struct Shape {
    seen: u64,
    null: bool,
    boolean: bool,
    integer: bool,
    number: bool,
    text: bool,
    items: Option<Box<Shape>>,
    objects: u64,
    /// In the order in which they were seen.
    fields: Vec<(String, Shape)>,
}

impl Shape {
    fn add(&mut self, value: &serde_json::Value) {
        use serde_json::Value::*;
        self.seen += 1;
        match value {
            Null => self.null = true,
            Bool(_) => self.boolean = true,
            Number(n) if n.is_i64() => self.integer = true,
            Number(_) => self.number = true,
            String(_) => self.text = true,
            Array(items) => {
                let shape = self.items.get_or_insert_default();
                items.iter().for_each(|item| shape.add(item));
            }
            Object(object) => {
                self.objects += 1;
                for (name, value) in object {
                    let at = self.fields.iter().position(|(known, _)| known == name);
                    let at = at.unwrap_or_else(|| {
                        self.fields.push((name.clone(), Shape::default()));
                        self.fields.len() - 1
                    });
                    self.fields[at].1.add(value);
                }
            }
        }
    }

    fn record(&self, name: &str, namespace: Option<&str>) -> serde_json::Value {
        let field = |(field, shape): &(String, Shape)| {
            let is_optional = shape.null || shape.seen < self.objects;
            let ty = shape.ty(&format!("{name}_{field}"));
            match is_optional {
                true => serde_json::json!({"name": field, "type": ["null", ty], "default": null}),
                false => serde_json::json!({"name": field, "type": ty}),
            }
        };
        let fields: Vec<_> = self.fields.iter().map(field).collect();
        let mut record = serde_json::json!({"type": "record", "name": name, "fields": fields});
        if let Some(namespace) = namespace {
            record["namespace"] = namespace.into();
        }
        record
    }

    fn ty(&self, name: &str) -> serde_json::Value {
        if self.objects > 0 {
            return self.record(name, None);
        }
        if let Some(items) = &self.items {
            return serde_json::json!({"type": "array", "items": items.ty(&format!("{name}_item"))});
        }
        let name = match (self.text, self.number, self.integer, self.boolean) {
            (true, ..) => "string",
            (_, true, ..) => "double",
            (_, _, true, _) => "long",
            (_, _, _, true) => "boolean",
            _ => "string",
        };
        name.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::Kind;
    use serde_json::json;

    #[test]
    fn a_first_schema_is_inferred() {
        let events = [
            json!({"name": "apple", "kcal": 52, "tags": ["a"]}),
            json!({"name": "pear", "kcal": 5.5, "by": {"id": 1}}),
        ];
        let text = infer("Food", "mfp", &events).unwrap();
        let codec = Codec::new(&Schema::new(Kind::Avro, &text), &[]).unwrap();
        for event in &events {
            codec.encode(event, UnknownFields::Refuse, &mut Vec::new(), &mut Coercions::default()).unwrap();
        }
        let schema: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(schema["fields"][0], json!({"name": "name", "type": "string"}));
        assert_eq!(schema["fields"][1]["type"], json!("double"));
        assert_eq!(schema["fields"][3]["type"][0], json!("null"));
        assert!(infer("x", "y", &[json!(1)]).is_err());
    }

    #[test]
    fn a_diff_shows_what_came_and_went() {
        let schema = |text: &str| Schema::new(Kind::Avro, text);
        let lines = diff(&schema(r#"{"a":1,"b":2}"#), &schema(r#"{"a":1,"c":2}"#));
        assert_eq!(lines, [" {", "   \"a\": 1,", "-  \"b\": 2", "+  \"c\": 2", " }"]);
    }
}
