//! Where each topic lives: topic name → place. Statements name topics and never say where they are.
//!
//! ```toml
//! [topics.carparks]
//! connector = "file"            # file | log | generator | stdin | kafka | archive | blackhole
//! path = "carparks/live.csv"    # a file, a directory or a glob; relative to this file
//! framing = "csv"               # line | json | csv: what a message is, if the format does not say it
//! header = "names"              # true: the first line is no record; "names": it names the columns
//! quote = "'"                   # "": nothing is a quote
//! null = "NULL"                 # the word for it; an empty field is NULL, too
//! key = ["ID"]                  # columns of the key that are fields of the value
//!
//! [clusters.prod]               # librdkafka's settings
//! "bootstrap.servers" = "broker:9092"
//! "sasl.password" = { env = "KAFKA_PASSWORD" }      # or { file = "password.txt" }
//!
//! [topics.carparks_leeds]
//! connector = "kafka"
//! cluster = "prod"
//! topic = "leeds"               # its name there, if that is another
//!
//! [topics.food_archive]         # events of one kind in a zone's archive
//! connector = "archive"
//! path = "/var/archive"
//! event = "mfp/FoodEntryCreated"
//!
//! [default]                     # for all topics that are not named
//! connector = "kafka"
//! cluster = "prod"
//!
//! [registry]                    # else there is one in the data directory
//! url = "https://schemas.example:8081"
//! user = "wharfe"
//! password = { env = "SCHEMAS_PASSWORD" }
//! ca = "ca.pem"                 # who signs its certificate, if it is none of the usual ones
//!
//! [zones.mfp]                   # where events live; without clusters: a log of the gateway
//! clusters = ["prod"]
//! archive = { url = "file:///var/archive", format = "jsonl" }
//!
//! [events."mfp/FoodEntryCreated"]
//! zone = "mfp"
//! key = "user_id"
//!
//! [gateway]
//! callbacks = ["127.0.0.1"]     # private addresses that call-backs may go to
//!
//! [tokens.diary]                # without tokens everybody may do everything
//! secret = { env = "DIARY_TOKEN" }
//! publish = ["mfp"]
//! [sinks.search]                # rows that are sent on as documents (docs/opensearch.md)
//! connector = "opensearch"      # or elasticsearch
//! url = "https://search.example:9200"
//! topics = ["CARPARK_EVENTS"]   # streams and tables, by their names or topics
//! ```

mod cluster;
mod event;
mod parse;
mod whereabouts;
mod zones;

use crate::connector::archive::shelf::Shelf;
use crate::connector::memory::Space;
use crate::connector::opensearch::Target;
use crate::connector::{Cluster, Framing, GeneratorSpec, Place};
use crate::dialect::Dialect;
use crate::error::{Error, Result, reason};
use crate::registry::Address;
pub use event::{EventName, EventNames};
pub use parse::parse_duration;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
pub use whereabouts::{
    EventUse, Events, Outbox, Outgoing, Placed, Queries, Whereabouts, schema_hint, zone_log,
};
pub use zones::*;

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Topology {
    topics: BTreeMap<String, PlaceSpec>,
    /// Of topics that are not named.
    default: Option<PlaceSpec>,
    /// `None`: the engine's own.
    pub registry: Option<Address>,
    /// Of events: the gateway's.
    pub zones: Zones,
    /// What rows are sent on to.
    pub sinks: Vec<Target>,
}

/// What was given for a topic; [`Topology::resolve`] makes a place of it.
#[derive(Clone, Debug, PartialEq)]
pub enum PlaceSpec {
    File {
        path: PathBuf,
        /// `None`: JSON for `*.json`, else what the format of the values suggests.
        framing: Option<Framing>,
        header: bool,
        follow: bool,
        dialect: Dialect,
    },
    Log,
    Generator(GeneratorSpec),
    Stdin {
        framing: Framing,
        header: bool,
        dialect: Dialect,
    },
    Kafka {
        cluster: Cluster,
        /// `None`: it has the same name there.
        topic: Option<String>,
    },
    Archive {
        shelf: Shelf,
        /// `mfp.FoodEntryCreated`
        event: String,
    },
    Blackhole,
    Memory {
        space: u64,
    },
}

impl Topology {
    pub fn empty() -> Topology {
        Topology::default()
    }

    /// All topics are in a space of memory.
    pub fn in_memory(space: &Space) -> Topology {
        Topology { default: Some(PlaceSpec::Memory { space: space.id }), ..Topology::default() }
    }

    /// Whether nothing of it outlives the engine.
    pub fn is_in_memory(&self) -> bool {
        matches!(self.default, Some(PlaceSpec::Memory { .. }))
    }

    /// `name` stands in errors; relative paths are taken from `base_dir`.
    pub fn parse(name: &str, text: &str, base_dir: &Path) -> Result<Topology> {
        parse::topology(text, base_dir).map_err(|error| error.in_text(name, text))
    }

    pub fn load(path: &Path) -> Result<Topology> {
        let text = std::fs::read_to_string(path).map_err(|e| {
            Error::topology(format!("cannot read topology {}: {}", path.display(), reason(&e)))
        })?;
        let base_dir = path.parent().unwrap_or(Path::new(""));
        Topology::parse(&path.display().to_string(), &text, base_dir)
    }

    /// `NAME=PATH` from the command line: a file in place of whatever the topology says; its framing,
    /// header and follow stay. The path `-` is standard input.
    pub fn with_override(mut self, given: &str) -> Result<Topology> {
        let malformed = |why: &str| {
            Error::usage(format!("--topic {given}: {why}"))
                .hint("--topic NAME=PATH, for instance carparks=live.csv")
        };
        let Some((name, path)) = given.split_once('=') else { return Err(malformed("there is no =")) };
        if path.is_empty() {
            return Err(malformed("the path is empty"));
        }
        check_name(name).map_err(|why| malformed(&why))?;
        let spec = PlaceSpec::over(self.place(name), path);
        self.topics.insert(name.to_string(), spec);
        Ok(self)
    }

    pub fn place(&self, topic: &str) -> Option<&PlaceSpec> {
        self.topics.get(topic).or(self.default.as_ref())
    }

    /// The cluster of topics that are not named, if they are on one.
    pub fn default_cluster(&self) -> Option<&Cluster> {
        match &self.default {
            Some(PlaceSpec::Kafka { cluster, .. }) => Some(cluster),
            _ => None,
        }
    }

    /// The names of the topics that have a place of their own, sorted.
    pub fn topics(&self) -> impl Iterator<Item = &str> {
        self.topics.keys().map(String::as_str)
    }

    /// Where a topic is; `None` if the topology does not say. Logs live in the data directory, and
    /// are created with so many partitions.
    pub fn resolve(&self, topic: &str, data_dir: &Path, partitions: u32) -> Option<Place> {
        Some(match self.place(topic)?.clone() {
            PlaceSpec::File { path, framing, header, follow, dialect } => {
                let framing = framing.unwrap_or_else(|| framing_of(&path));
                Place::File { path, framing, header, follow, dialect }
            }
            PlaceSpec::Memory { space } => Place::Memory { space, topic: topic.into() },
            PlaceSpec::Log => Place::Log { dir: data_dir.join("topics").join(topic), partitions },
            PlaceSpec::Generator(spec) => Place::Generator(spec),
            PlaceSpec::Stdin { framing, header, dialect } => Place::Stdin { framing, header, dialect },
            PlaceSpec::Kafka { cluster, topic: name } => {
                Place::Kafka { cluster, topic: name.unwrap_or_else(|| topic.to_string()) }
            }
            PlaceSpec::Archive { shelf, event } => Place::Archive { shelf, event },
            PlaceSpec::Blackhole => Place::Blackhole,
        })
    }
}

impl PlaceSpec {
    fn over(old: Option<&PlaceSpec>, path: &str) -> PlaceSpec {
        let (framing, header, follow, dialect) = match old {
            Some(PlaceSpec::File { framing, header, follow, dialect, .. }) => {
                (*framing, *header, *follow, dialect.clone())
            }
            Some(PlaceSpec::Stdin { framing, header, dialect }) => {
                (Some(*framing), *header, true, dialect.clone())
            }
            _ => (None, false, true, Dialect::default()),
        };
        match path {
            "-" => PlaceSpec::Stdin { framing: framing.unwrap_or(Framing::Default), header, dialect },
            _ => PlaceSpec::File { path: PathBuf::from(path), framing, header, follow, dialect },
        }
    }
}

/// As the name says, which may go on with how the file is packed.
fn framing_of(path: &Path) -> Framing {
    let has = |path: &Path, wanted: &str| path.extension().is_some_and(|e| e.eq_ignore_ascii_case(wanted));
    let bare = if has(path, "gz") || has(path, "zst") { path.with_extension("") } else { path.into() };
    if has(&bare, "json") { Framing::Json } else { Framing::Default }
}

/// As Kafka has it, so that a topic can move there; a name is a directory name too.
pub fn check_name(name: &str) -> Result<(), String> {
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    match name {
        "" => Err("the topic's name is empty".to_string()),
        "." | ".." => Err(format!("{name} cannot be a topic's name")),
        _ if name.len() > 249 => Err("a topic's name has at most 249 characters".to_string()),
        _ => match name.chars().find(|c| !legal(*c)) {
            Some(c) => Err(format!("a topic's name cannot hold {c:?}, only letters, digits and . _ -")),
            None => Ok(()),
        },
    }
}

#[cfg(test)]
mod tests;
