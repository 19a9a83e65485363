//! What the topology says about events: zones, the events that have an entry of their own, and how the
//! gateway behaves. Plain data; `parse/zones.rs` reads it from TOML, the gateway's directory serves it.

use super::EventName;
use crate::connector::archive::shelf::Shelf;
use crate::connector::{Cluster, Setting};
use crate::expr::nearest::nearest;
use crate::registry::Level;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

/// Everything about events in a topology file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Zones {
    pub zones: BTreeMap<String, Zone>,
    pub events: BTreeMap<EventName, EventEntry>,
    pub gateway: GatewaySettings,
    /// By name; none: everybody may do everything.
    pub tokens: BTreeMap<String, Token>,
}

/// One or more clusters that events are published to, without anybody having to know which.
#[derive(Clone, Debug, PartialEq)]
pub struct Zone {
    pub name: String,
    /// Whose events are here unless they have an entry; `*` stands for all that no other zone names.
    pub namespaces: Vec<String>,
    /// None: the gateway's own log.
    pub clusters: Vec<Cluster>,
    pub publish: PublishRule,
    pub away: AwayRule,
    pub archive: Option<ArchiveSpec>,
}

/// Which of a zone's clusters an event is published to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PublishRule {
    /// The first one that is up.
    #[default]
    First,
    /// By the event's key, so that a key's events stay on one cluster.
    Key,
}

/// What becomes of events for a cluster that is away.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AwayRule {
    /// The next cluster gets them; without one they are refused.
    #[default]
    Next,
    /// They wait in the gateway's log, in order.
    Wait,
}

#[derive(Clone, Debug, PartialEq)]
pub struct ArchiveSpec {
    pub shelf: Shelf,
    pub format: ArchiveFormat,
    /// A file is closed when it has so many bytes ...
    pub file_bytes: u64,
    /// ... or has been open for so long.
    pub file_age: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ArchiveFormat {
    Jsonl,
    Avro,
    Parquet,
}

impl ArchiveFormat {
    /// As the topology names it, and as its files end.
    pub fn name(self) -> &'static str {
        match self {
            ArchiveFormat::Jsonl => "jsonl",
            ArchiveFormat::Avro => "avro",
            ArchiveFormat::Parquet => "parquet",
        }
    }
}

/// What is said of an event: in the file, or by `PUT /topology/events/NAMESPACE/TYPE`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EventEntry {
    pub zone: String,
    /// Its topic's name on the zone's clusters; else `NAMESPACE.TYPE`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topic: Option<String>,
    /// The field of the payload whose value is the key: `user.id` is a field in a field.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partitions: Option<u32>,
    /// About so many bytes of a partition are kept in a zone that is a log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retention_bytes: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// False: never archived, whatever the zone says.
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    pub archive: bool,
    /// What a new schema must be to the earlier ones; FULL unless it says otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compatibility: Option<Level>,
}

fn yes() -> bool {
    true
}

fn is_yes(flag: &bool) -> bool {
    *flag
}

impl EventEntry {
    /// An event of which only the zone is known.
    pub fn of_zone(zone: &str) -> EventEntry {
        EventEntry {
            zone: zone.into(),
            topic: None,
            key: None,
            partitions: None,
            retention_bytes: None,
            owner: None,
            archive: true,
            compatibility: None,
        }
    }
}

/// `[gateway]`
#[derive(Clone, Debug, PartialEq)]
pub struct GatewaySettings {
    /// Private addresses, networks and names that call-backs may go to.
    pub callbacks: Vec<String>,
    /// How long a publisher may repeat an event without its being stored twice.
    pub idempotency: Duration,
    pub unknown_fields: UnknownFields,
}

impl Default for GatewaySettings {
    fn default() -> GatewaySettings {
        GatewaySettings {
            callbacks: Vec::new(),
            idempotency: Duration::from_secs(600),
            unknown_fields: UnknownFields::Refuse,
        }
    }
}

/// What becomes of fields of a payload that its schema does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnknownFields {
    Refuse,
    /// Left out, and counted.
    Drop,
}

/// Who may do what: namespaces, `*` for all.
#[derive(Clone, Debug, PartialEq)]
pub struct Token {
    pub secret: Setting,
    pub publish: Vec<String>,
    pub consume: Vec<String>,
    pub admin: Vec<String>,
}

impl Zones {
    /// Without a zone everything is in one log, so that it can be tried in a minute.
    pub fn or_local(mut self) -> Zones {
        if self.zones.is_empty() {
            let all = Zone {
                name: "local".into(),
                namespaces: vec!["*".into()],
                clusters: Vec::new(),
                publish: PublishRule::default(),
                away: AwayRule::default(),
                archive: None,
            };
            self.zones.insert(all.name.clone(), all);
        }
        self
    }

    /// What to do where no zone takes an event.
    pub fn hint(&self, event: &EventName) -> String {
        let zones = self.zones.values();
        let namespaces = zones.flat_map(|zone| zone.namespaces.iter().chain([&zone.name]));
        let near = nearest(&event.namespace, namespaces.map(String::as_str));
        let near = near.map_or(String::new(), |near| format!("did you mean {near}? "));
        format!(
            "{near}add namespaces = [\"{}\"] to a zone of the topology, or PUT /topology/events/{event}",
            event.namespace
        )
    }

    /// The zone of events without an entry: the one that names their namespace, the one called as it, the
    /// one that takes all others.
    pub fn zone_of(&self, namespace: &str) -> Option<&Zone> {
        let names = |zone: &&Zone, wanted: &str| zone.namespaces.iter().any(|name| name == wanted);
        let mut zones = self.zones.values();
        zones
            .clone()
            .find(|zone| names(zone, namespace))
            .or_else(|| self.zones.get(namespace))
            .or_else(|| zones.find(|zone| names(zone, "*")))
    }
}
