//! The topology service: where each event lives now, where it lived before, and who changed that when.
//!
//! ```text
//! topology file ─┐
//! PUT, DELETE   ─┴─► Directory ─► Route: generations of a place, oldest first; the last is published to
//! ```
//! An event's places are *generations*. A move seals the generation that was published to at its ends and
//! begins another: consumers read each to its ends before the next, so that the order of a key's events
//! stays through a move. An entry in the file holds until a PUT changes it, and again after a DELETE.

use super::journal::{Change, Journal, WORDS};
use super::now_ms;
use crate::connector::log::Ends;
use crate::error::{Error, Result};
use crate::expr::nearest::nearest;
use crate::topology::{EventEntry, EventName, Zone, Zones, check_name};
use serde::de::{Error as _, Unexpected};
use serde::{Deserialize, Deserializer, Serialize};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};

/// What may happen to an event. Stable: data directories hold these as JSON.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "change", rename_all = "snake_case")]
pub enum Moved {
    /// Its entry was put, or taken away: then the file's, or its zone's, counts.
    Entry {
        event: EventName,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        entry: Option<EventEntry>,
    },
    /// From now on it is published to a new generation; those before are sealed.
    Generation {
        event: EventName,
        place: Site,
        /// Of the generation before: by cluster, the offset behind each partition's last record.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "sealed_ends")]
        sealed: BTreeMap<String, Ends>,
    },
}

/// Names in JSON are texts, and inside a change serde does not read numbers from them.
fn sealed_ends<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> std::result::Result<BTreeMap<String, Ends>, D::Error> {
    let by_cluster = BTreeMap::<String, BTreeMap<String, i64>>::deserialize(deserializer)?;
    let partition = |(partition, end): (String, i64)| {
        let number = partition
            .parse()
            .map_err(|_| D::Error::invalid_value(Unexpected::Str(&partition), &"the number of a partition"));
        number.map(|number| (number, end))
    };
    let ends = |(cluster, ends): (String, BTreeMap<String, i64>)| {
        let ends: std::result::Result<Ends, D::Error> = ends.into_iter().map(partition).collect();
        ends.map(|ends| (cluster, ends))
    };
    by_cluster.into_iter().map(ends).collect()
}

/// Where a generation of an event is.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Site {
    pub zone: String,
    pub topic: String,
    pub partitions: u32,
    /// The clusters' names; none: the gateway's own log.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub clusters: Vec<String>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Generation {
    pub number: u32,
    pub site: Site,
    /// `None`: it is the one that is published to.
    pub sealed: Option<BTreeMap<String, Ends>>,
}

/// Where an event is, as of a version of the topology.
#[derive(Clone, Debug, PartialEq)]
pub struct Route {
    pub event: EventName,
    pub entry: EventEntry,
    /// Of the last change that concerned the event.
    pub version: u64,
    pub changed_by: String,
    pub changed_ms: i64,
    /// At least one; the last is published to.
    pub generations: Vec<Generation>,
}

impl Route {
    pub fn current(&self) -> &Generation {
        self.generations.last().expect("a route has a generation")
    }

    /// What `If-Match` and `If-None-Match` compare.
    pub fn etag(&self) -> String {
        format!("\"{}\"", self.version)
    }
}

#[derive(Clone, Debug, Default)]
struct Known {
    /// What was PUT.
    put: Option<EventEntry>,
    generations: Vec<Generation>,
    version: u64,
    changed_by: String,
    changed_ms: i64,
}

#[derive(Default)]
struct State {
    version: u64,
    events: BTreeMap<EventName, Known>,
    /// The newest changes, oldest first.
    changes: Vec<Change<Moved>>,
}

/// So many changes are shown; the journal has all.
const CHANGES_SHOWN: usize = 1_000;

pub struct Directory {
    pub zones: Zones,
    state: RwLock<State>,
    journal: Mutex<Journal<Moved>>,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq)]
pub enum Missing {
    /// No zone takes the namespace.
    Zone { event: EventName, hint: String },
}

impl Directory {
    pub fn open(zones: Zones, dir: &Path) -> Result<Directory> {
        let zones = zones.or_local();
        let mut state = State::default();
        let journal = Journal::open(&dir.join("topology"), WORDS, |change| state.apply(change))?;
        Ok(Directory { zones, state: RwLock::new(state), journal: Mutex::new(journal) })
    }

    fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn journal(&self) -> MutexGuard<'_, Journal<Moved>> {
        self.journal.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Of all events.
    pub fn version(&self) -> u64 {
        self.read().version
    }

    /// Stores a change, then makes it seen. Changes come one at a time: the journal is the gate.
    pub fn commit(&self, who: &str, what: Moved) -> Result<()> {
        let change = Change { who: who.into(), at_ms: now_ms(), what };
        let mut journal = self.journal();
        journal.append(change.at_ms, &change)?;
        self.state.write().unwrap_or_else(PoisonError::into_inner).apply(change);
        Ok(())
    }

    /// The entry that counts: what was PUT, else the file's, else the zone's.
    pub fn entry(&self, event: &EventName) -> std::result::Result<EventEntry, Missing> {
        let put = self.read().events.get(event).and_then(|known| known.put.clone());
        if let Some(entry) = put.or_else(|| self.zones.events.get(event).cloned()) {
            return Ok(entry);
        }
        match self.zones.zone_of(&event.namespace) {
            Some(zone) => Ok(EventEntry::of_zone(&zone.name)),
            None => Err(Missing::Zone { event: event.clone(), hint: self.zones.hint(event) }),
        }
    }

    /// The site that an entry stands for.
    pub fn site(&self, event: &EventName, entry: &EventEntry) -> Result<Site> {
        let zone = self.zone(&entry.zone)?;
        let topic = entry.topic.clone().unwrap_or_else(|| event.dotted());
        check_name(&topic).map_err(Error::topology)?;
        Ok(Site {
            zone: zone.name.clone(),
            topic,
            partitions: entry.partitions.unwrap_or(1),
            clusters: zone.clusters.iter().map(|cluster| cluster.name.clone()).collect(),
        })
    }

    pub fn zone(&self, name: &str) -> Result<&Zone> {
        self.zones.zones.get(name).ok_or_else(|| {
            let names: Vec<&str> = self.zones.zones.keys().map(String::as_str).collect();
            let meant =
                nearest(name, names.iter().copied()).map_or(String::new(), |n| format!("did you mean {n}? "));
            Error::topology(format!("there is no zone {name}"))
                .hint(format!("{meant}there are {}", names.join(", ")))
        })
    }

    /// Where an event is, if it has been somewhere.
    pub fn route(&self, event: &EventName) -> Option<Arc<Route>> {
        let entry = self.entry(event).ok()?;
        let state = self.read();
        let known = state.events.get(event).filter(|known| !known.generations.is_empty())?;
        Some(Arc::new(Route {
            event: event.clone(),
            entry,
            version: known.version,
            changed_by: known.changed_by.clone(),
            changed_ms: known.changed_ms,
            generations: known.generations.clone(),
        }))
    }

    /// All events that are named anywhere, in order.
    pub fn events(&self) -> Vec<EventName> {
        let mut names: Vec<EventName> = self.zones.events.keys().cloned().collect();
        names.extend(self.read().events.keys().cloned());
        names.sort();
        names.dedup();
        names
    }

    /// The newest changes, newest first.
    pub fn changes(&self) -> Vec<Change<Moved>> {
        self.read().changes.iter().rev().cloned().collect()
    }
}

impl State {
    fn apply(&mut self, change: Change<Moved>) {
        self.version += 1;
        let event = match &change.what {
            Moved::Entry { event, .. } | Moved::Generation { event, .. } => event.clone(),
        };
        let known = self.events.entry(event).or_default();
        known.version = self.version;
        known.changed_by.clone_from(&change.who);
        known.changed_ms = change.at_ms;
        match &change.what {
            Moved::Entry { entry, .. } => known.put.clone_from(entry),
            Moved::Generation { place, sealed, .. } => {
                if let Some(last) = known.generations.last_mut() {
                    last.sealed = Some(sealed.clone());
                }
                let number = known.generations.len() as u32;
                known.generations.push(Generation { number, site: place.clone(), sealed: None });
            }
        }
        if self.changes.len() == CHANGES_SHOWN {
            self.changes.remove(0);
        }
        self.changes.push(change);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zones(text: &str) -> Zones {
        crate::topology::Topology::parse("t", text, Path::new("")).unwrap().zones
    }

    #[test]
    fn entries_come_from_a_put_then_the_file_then_the_zone() {
        let dir = tempfile::tempdir().unwrap();
        let zones = zones(
            "[zones.a]\nnamespaces=['mfp']\n[zones.mmf]\n[zones.b]\n[events.'mfp/Food']\nzone='b'\nkey='id'\n",
        );
        let directory = Directory::open(zones.clone(), dir.path()).unwrap();
        let event = |text: &str| text.parse::<EventName>().unwrap();
        let zone = |directory: &Directory, text: &str| directory.entry(&event(text)).map(|e| e.zone);
        assert_eq!(zone(&directory, "mfp/Food"), Ok("b".into()));
        assert_eq!(zone(&directory, "mfp/Other"), Ok("a".into()));
        assert_eq!(zone(&directory, "mmf/X"), Ok("mmf".into()));
        let Err(Missing::Zone { hint, .. }) = directory.entry(&event("mfq/X")) else {
            panic!("it has a zone")
        };
        assert!(hint.starts_with("did you mean mfp?"), "{hint}");
        let put = |entry| Moved::Entry { event: event("mfp/Food"), entry };
        directory.commit("me", put(Some(EventEntry::of_zone("mmf")))).unwrap();
        assert_eq!((zone(&directory, "mfp/Food"), directory.version()), (Ok("mmf".into()), 1));
        drop(directory);
        let directory = Directory::open(zones, dir.path()).unwrap();
        assert_eq!(zone(&directory, "mfp/Food"), Ok("mmf".into()));
        directory.commit("me", put(None)).unwrap();
        assert_eq!((zone(&directory, "mfp/Food"), directory.version()), (Ok("b".into()), 2));
        assert_eq!(directory.changes()[0].who, "me");
    }

    #[test]
    fn a_generation_seals_the_one_before() {
        let dir = tempfile::tempdir().unwrap();
        let directory = Directory::open(Zones::default(), dir.path()).unwrap();
        let event: EventName = "a/B".parse().unwrap();
        assert!(directory.route(&event).is_none());
        let entry = directory.entry(&event).unwrap();
        let site = directory.site(&event, &entry).unwrap();
        assert_eq!((site.zone.as_str(), site.topic.as_str()), ("local", "a.B"));
        let begin = |sealed| Moved::Generation { event: event.clone(), place: site.clone(), sealed };
        directory.commit("me", begin(BTreeMap::new())).unwrap();
        let ends = BTreeMap::from([("".to_string(), Ends::from([(0, 7)]))]);
        directory.commit("me", begin(ends.clone())).unwrap();
        drop(directory);
        let directory = Directory::open(Zones::default(), dir.path()).unwrap();
        let route = directory.route(&event).unwrap();
        assert_eq!(route.generations[0].sealed, Some(ends));
        assert_eq!(
            (route.current().number, &route.current().sealed, route.etag().as_str()),
            (1, &None, "\"2\"")
        );
    }
}
