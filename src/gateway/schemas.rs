//! The life cycle of events' schemas: pending → available → deprecated → retired. Metadata beside the
//! registry; the registry has a schema from the moment that it is available, and not before, so that nobody
//! can write with a pending one.
//!
//! A schema's id is its fingerprint: MD5 of the event, the kind and the canonical text. It says which event
//! is meant, so that a publisher names the id and nothing else.

use super::codec::Codec;
use super::journal::{Change, Journal, WORDS};
use super::now_ms;
use crate::error::{Error, Result};
use crate::registry::parsed::Parsed;
use crate::registry::{Client, Incompatibility, Kind, Level, Schema, compare};
use crate::topology::EventName;
use md5::{Digest, Md5};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Registered and checked; nobody can write with it.
    Pending,
    Available,
    /// Can be written with, and should not be.
    Deprecated,
    /// Cannot be written with any more; what was written is read.
    Retired,
}

impl Status {
    pub fn name(self) -> &'static str {
        match self {
            Status::Pending => "pending",
            Status::Available => "available",
            Status::Deprecated => "deprecated",
            Status::Retired => "retired",
        }
    }

    pub fn is_writable(self) -> bool {
        matches!(self, Status::Available | Status::Deprecated)
    }

    /// What a schema may become.
    fn may_become(self, next: Status) -> bool {
        use Status::*;
        matches!(
            (self, next),
            (Pending, Available | Retired)
                | (Available, Deprecated | Retired)
                | (Deprecated, Available | Retired)
                | (Retired, Available)
        )
    }
}

/// One change. Stable: data directories hold these as JSON.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "change", rename_all = "snake_case")]
pub enum Life {
    Registered {
        id: String,
        event: EventName,
        schema: Schema,
    },
    /// `confluent_id` is that of the registry, which has it since it became available.
    Became {
        id: String,
        status: Status,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        confluent_id: Option<u32>,
    },
}

/// A schema with its metadata.
pub struct EventSchema {
    pub id: String,
    pub event: EventName,
    pub schema: Schema,
    pub status: Status,
    pub confluent_id: Option<u32>,
    pub registered_ms: i64,
    pub registered_by: String,
    pub changed_ms: i64,
    pub changed_by: String,
    pub codec: Arc<Codec>,
}

/// As the talk has it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Metadata {
    pub event_type: String,
    pub namespace: String,
    pub status: Status,
    pub confluent_subject: String,
    pub schema_id: String,
    pub schema_type: Kind,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confluent_id: Option<u32>,
    pub registered_at_ms: i64,
    pub registered_by: String,
    pub changed_at_ms: i64,
    pub changed_by: String,
}

impl EventSchema {
    pub fn metadata(&self) -> Metadata {
        Metadata {
            event_type: self.event.event_type.clone(),
            namespace: self.event.namespace.clone(),
            status: self.status,
            confluent_subject: self.event.subject(),
            schema_id: self.id.clone(),
            schema_type: self.schema.kind,
            confluent_id: self.confluent_id,
            registered_at_ms: self.registered_ms,
            registered_by: self.registered_by.clone(),
            changed_at_ms: self.changed_ms,
            changed_by: self.changed_by.clone(),
        }
    }
}

/// The fingerprint of an event's schema: 32 hexadecimal digits.
pub fn fingerprint(event: &EventName, kind: Kind, canonical: &str) -> String {
    let digest = Md5::digest(format!("{event}\n{kind}\n{canonical}"));
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[derive(Default)]
struct State {
    by_id: HashMap<String, Arc<EventSchema>>,
    /// Ids, in the order of registration.
    by_event: BTreeMap<EventName, Vec<String>>,
}

pub struct Schemas {
    state: RwLock<State>,
    journal: Mutex<Journal<Life>>,
    client: Client,
}

/// What a registration finds.
#[derive(Debug)]
pub enum Found {
    /// The same was registered before.
    Known(Metadata),
    New(Metadata),
}

/// A schema that is refused: why, a rule and a field each.
#[derive(Clone, Debug, PartialEq)]
pub struct Refusal {
    pub message: String,
    pub found: Vec<Incompatibility>,
}

impl Schemas {
    pub fn open(dir: &Path, client: Client) -> Result<Schemas> {
        let mut state = State::default();
        let mut bad = None;
        let journal = Journal::open(&dir.join("schemas"), WORDS, |change| {
            if let Err(why) = state.apply(change) {
                bad.get_or_insert(why);
            }
        })?;
        match bad {
            Some(why) => Err(Error::runtime(format!("a schema that was registered cannot be read: {why}"))),
            None => Ok(Schemas { state: RwLock::new(state), journal: Mutex::new(journal), client }),
        }
    }

    fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn client(&self) -> &Client {
        &self.client
    }

    pub fn get(&self, id: &str) -> Option<Arc<EventSchema>> {
        self.read().by_id.get(id).cloned()
    }

    /// Of an event, oldest first.
    pub fn of_event(&self, event: &EventName) -> Vec<Arc<EventSchema>> {
        let state = self.read();
        let ids = state.by_event.get(event).into_iter().flatten();
        ids.filter_map(|id| state.by_id.get(id).cloned()).collect()
    }

    /// The one to write with, and to read with: the newest that is available.
    pub fn available(&self, event: &EventName) -> Option<Arc<EventSchema>> {
        let newest = |status| self.of_event(event).into_iter().rev().find(|schema| schema.status == status);
        newest(Status::Available).or_else(|| newest(Status::Deprecated))
    }

    pub fn all(&self) -> Vec<Arc<EventSchema>> {
        let state = self.read();
        let ids = state.by_event.values().flatten();
        ids.filter_map(|id| state.by_id.get(id).cloned()).collect()
    }

    /// Every event that has a schema.
    pub fn events(&self) -> Vec<EventName> {
        self.read().by_event.keys().cloned().collect()
    }

    /// Whether a schema could follow those of its event, without changing anything: its id.
    pub fn check(
        &self,
        event: &EventName,
        schema: &Schema,
        level: Level,
    ) -> std::result::Result<String, Refusal> {
        let plain = |message: String| Refusal { message, found: Vec::new() };
        let parsed = Parsed::parse(schema, &[]).map_err(|e| plain(format!("invalid schema: {e}")))?;
        let id = fingerprint(event, schema.kind, &parsed.canonical);
        let mut found = Vec::new();
        let earlier = self.of_event(event);
        let mut counted: Vec<_> = earlier.iter().filter(|s| s.status.is_writable() && s.id != id).collect();
        if !level.is_transitive() {
            counted.drain(..counted.len().saturating_sub(1));
        }
        for (i, other) in counted.iter().enumerate() {
            let old =
                Parsed::parse(&other.schema, &[]).map_err(|e| plain(format!("schema {}: {e}", other.id)))?;
            found.extend(compare(level, &parsed, &old, i as u32 + 1));
        }
        if found.is_empty() {
            return Ok(id);
        }
        let details: Vec<String> = found.iter().map(ToString::to_string).collect();
        let message =
            format!("it is not {level} to the schemas of {event} that are available: {}", details.join("; "));
        Err(Refusal { message, found })
    }

    /// Registers a schema that [`Schemas::check`] has passed; it is pending then.
    pub fn register(&self, who: &str, event: &EventName, schema: Schema, id: String) -> Result<Found> {
        // One at a time: two of the same would both be new.
        let mut journal = self.journal.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = self.get(&id) {
            return Ok(Found::Known(known.metadata()));
        }
        let what = Life::Registered { id: id.clone(), event: event.clone(), schema };
        self.commit(&mut journal, who, what)?;
        Ok(Found::New(self.get(&id).map(|schema| schema.metadata()).expect("it was registered")))
    }

    /// Changes the status. A schema that becomes available is registered with the registry first.
    pub fn become_(&self, who: &str, id: &str, next: Status) -> Result<Metadata> {
        let schema = self.get(id).ok_or_else(|| self.unknown(id))?;
        if schema.status == next {
            return Ok(schema.metadata());
        }
        if !schema.status.may_become(next) {
            let message =
                format!("schema {id} is {} and cannot become {}", schema.status.name(), next.name());
            return Err(Error::statement(message));
        }
        let mut confluent_id = schema.confluent_id;
        if next == Status::Available {
            let registered = self.client.register(&schema.event.subject(), schema.schema.clone());
            confluent_id = Some(registered.map_err(|trouble| self.client.error(trouble))?);
        }
        let mut journal = self.journal.lock().unwrap_or_else(PoisonError::into_inner);
        self.commit(&mut journal, who, Life::Became { id: id.into(), status: next, confluent_id })?;
        Ok(self.get(id).map(|schema| schema.metadata()).expect("it was there"))
    }

    fn commit(&self, journal: &mut Journal<Life>, who: &str, what: Life) -> Result<()> {
        let change = Change { who: who.into(), at_ms: now_ms(), what };
        journal.append(change.at_ms, &change)?;
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        state.apply(change).map_err(Error::runtime)
    }

    pub fn unknown(&self, id: &str) -> Error {
        Error::statement(format!("there is no schema {id}")).hint("`wharfe schema list` shows them")
    }
}

impl State {
    fn apply(&mut self, change: Change<Life>) -> std::result::Result<(), String> {
        match change.what {
            Life::Registered { id, event, schema } => {
                let codec = Arc::new(Codec::new(&schema, &[])?);
                self.by_event.entry(event.clone()).or_default().push(id.clone());
                let schema = EventSchema {
                    id: id.clone(),
                    event,
                    schema,
                    status: Status::Pending,
                    confluent_id: None,
                    registered_ms: change.at_ms,
                    registered_by: change.who.clone(),
                    changed_ms: change.at_ms,
                    changed_by: change.who,
                    codec,
                };
                self.by_id.insert(id, Arc::new(schema));
            }
            Life::Became { id, status, confluent_id } => {
                let Some(old) = self.by_id.get(&id) else { return Err(format!("there is no schema {id}")) };
                let schema = EventSchema {
                    id: old.id.clone(),
                    event: old.event.clone(),
                    schema: old.schema.clone(),
                    status,
                    confluent_id: confluent_id.or(old.confluent_id),
                    registered_ms: old.registered_ms,
                    registered_by: old.registered_by.clone(),
                    changed_ms: change.at_ms,
                    changed_by: change.who,
                    codec: Arc::clone(&old.codec),
                };
                self.by_id.insert(id, Arc::new(schema));
            }
        }
        Ok(())
    }
}
