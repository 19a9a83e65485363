//! What a statement that names an event is told of it: where its records are, what they look like, and
//! who publishes them. A gateway in the same process knows it ([`crate::gateway`]); without one the
//! topology and the registry do ([`Placed`]).

use super::{EventEntry, EventName, PublishRule, Zones};
use crate::connector::Place;
use crate::connector::log::Ends;
use crate::error::{Error, Result};
use crate::registry::{Client, Resolved};
use crate::types::ColumnDef;
use std::path::{Path, PathBuf};

/// As it is when it is asked for.
#[derive(Clone, Debug)]
pub struct Whereabouts {
    pub event: EventName,
    /// Everywhere that records of it are or will be, the oldest place first; at least one.
    pub reads: Vec<Place>,
    /// Where a query writes them.
    pub writes: Place,
    /// The field of the payload that is the key; dots lead into fields.
    pub key: Option<String>,
    pub partitions: u32,
    /// What it is written with; the error says why there is nothing, and what to type.
    pub schema: Result<Resolved>,
}

pub trait Events: Send + Sync {
    fn locate(&self, event: &EventName) -> Result<Whereabouts>;

    /// Those that have a schema to be read with, in order.
    fn of_namespace(&self, namespace: &str) -> Result<Vec<EventName>>;

    /// Publishes records; returns when they are stored durably. Blocks. Only asked where [`Place::Event`] is
    /// what is written to.
    fn publish(&self, event: &EventName, stream: &str, records: Vec<Outgoing>) -> Result<()>;

    /// What queries publish, and how far it is final: it is published on the side, once. What is missing
    /// among them is written by no query any more.
    fn deliver(&self, outboxes: Vec<Outbox>);
}

/// Queries that read and publish events, for a gateway beside them.
pub trait Queries: Send + Sync {
    /// The event has another place: they read on there.
    fn follow(&self, event: &EventName);

    fn uses(&self, event: &EventName) -> Vec<EventUse>;
}

/// What a query uses of an event.
#[derive(Clone, Debug, PartialEq)]
pub struct EventUse {
    pub query: String,
    /// Columns of the payload.
    pub reads: Vec<ColumnDef>,
    /// The registry's id of the schema that it publishes with.
    pub publishes: Option<u32>,
}

/// A record to publish: as it will be stored, without the headers of an event.
#[derive(Clone, Debug, Default)]
pub struct Outgoing {
    /// Milliseconds since 1970.
    pub timestamp: i64,
    pub key: Option<Vec<u8>>,
    pub value: Vec<u8>,
}

/// A log of records that a query publishes.
#[derive(Clone, Debug, PartialEq)]
pub struct Outbox {
    pub event: EventName,
    /// The stream whose rows they are.
    pub stream: String,
    pub dir: PathBuf,
    /// How far a checkpoint has made it final.
    pub ends: Ends,
}

/// The log of a zone without clusters, below a data directory.
pub fn zone_log(data_dir: &Path, zone: &str, topic: &str) -> PathBuf {
    data_dir.join("gateway").join("zones").join(zone).join(topic)
}

/// What to type so that an event gets a schema.
pub fn schema_hint(event: &EventName) -> String {
    format!(
        "wharfe schema register --namespace {} --event-type {} --file {}.avsc, then wharfe schema activate ID",
        event.namespace, event.event_type, event.event_type
    )
}

/// Events as the topology file has them, with the schemas of the registry.
pub struct Placed {
    zones: Zones,
    data_dir: PathBuf,
    client: Client,
    /// Where else a schema may be.
    elsewhere: &'static str,
}

impl Placed {
    pub fn new(zones: &Zones, data_dir: &Path, client: &Client) -> Placed {
        let zones = zones.clone().or_local();
        let elsewhere = "or [registry] url in the topology, if a gateway elsewhere has it";
        Placed { zones, data_dir: data_dir.to_path_buf(), client: client.clone(), elsewhere }
    }

    /// For plans that are only shown, where a registry need not run.
    pub fn for_plans(self) -> Placed {
        let elsewhere = "or --data-dir DIR, if it is registered in the directory of a run or a gateway; or [registry] \
                         url in the topology, if one elsewhere has it";
        Placed { elsewhere, ..self }
    }

    fn schema(&self, event: &EventName) -> Result<Resolved> {
        self.client.latest(&event.subject()).map_err(|trouble| match trouble.is_not_found() {
            false => self.client.error(trouble),
            true => Error::statement(format!("event {event} has no schema that is available")).hint(format!(
                "{}; {}",
                schema_hint(event),
                self.elsewhere
            )),
        })
    }
}

impl Events for Placed {
    fn locate(&self, event: &EventName) -> Result<Whereabouts> {
        let of_zone = || self.zones.zone_of(&event.namespace).map(|zone| EventEntry::of_zone(&zone.name));
        let entry = self.zones.events.get(event).cloned().or_else(of_zone);
        let entry = entry.ok_or_else(|| {
            Error::statement(format!("no zone takes events of namespace {}", event.namespace))
                .hint(self.zones.hint(event))
        })?;
        let zone = &self.zones.zones[&entry.zone];
        let topic = entry.topic.unwrap_or_else(|| event.dotted());
        let partitions = entry.partitions.unwrap_or(1);
        let on = |cluster: &crate::connector::Cluster| Place::Kafka {
            cluster: cluster.clone(),
            topic: topic.clone(),
        };
        let mut reads: Vec<Place> = zone.clusters.iter().map(on).collect();
        if reads.is_empty() {
            reads.push(Place::Log { dir: zone_log(&self.data_dir, &zone.name, &topic), partitions });
        }
        // Only a gateway publishes by key to several clusters.
        let writes = match (&reads[..], zone.publish) {
            ([_, _, ..], PublishRule::Key) => Place::Event { event: event.to_string() },
            _ => reads[0].clone(),
        };
        let schema = self.schema(event);
        Ok(Whereabouts { event: event.clone(), reads, writes, key: entry.key, partitions, schema })
    }

    fn of_namespace(&self, namespace: &str) -> Result<Vec<EventName>> {
        let named = self.zones.events.keys().filter(|event| event.namespace == namespace);
        Ok(named.filter(|event| self.schema(event).is_ok()).cloned().collect())
    }

    fn publish(&self, event: &EventName, _: &str, _: Vec<Outgoing>) -> Result<()> {
        Err(Error::statement(format!("event {event} is published by a gateway, and none runs here"))
            .hint("start with wharfe run --gateway"))
    }

    fn deliver(&self, _: Vec<Outbox>) {}
}
