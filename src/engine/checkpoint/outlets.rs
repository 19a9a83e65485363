//! Outboxes, and where what is in them goes: what a checkpoint has made final is handed to the courier of
//! the topic's cluster.
//!
//! How far an outbox is delivered, a consumer group on the cluster notes. Checkpoints keep its name, since
//! it counts in one history of the outbox: a start that goes on from an older checkpoint than the newest
//! writes what came behind it once more, maybe in another order, and counts that under a new name. An
//! outbox that no query writes any more is delivered to its end, and goes when no checkpoint knows it.

use super::{Manifest, Resumed, name_of, numbers, read};
use crate::connector::kafka::{Courier, Delivery};
use crate::connector::log::Ends;
use crate::connector::{Cluster, Layout, Notes};
use crate::engine::Inner;
use crate::engine::data_dir::clear;
use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Where what is in an outbox goes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Outlet {
    /// Its name in the topology.
    cluster: String,
    topic: String,
    layout: Layout,
    /// Who counts what is delivered: the last one; the others did before.
    notes: Vec<Notes>,
}

pub struct Outlets {
    data_dir: PathBuf,
    /// Names the data directory on clusters.
    id: String,
    /// The newest checkpoint when this start began: makes new names of groups unique.
    since: u64,
    /// By the outbox's name.
    known: BTreeMap<String, Outlet>,
    /// How far each is final.
    ends: BTreeMap<String, Ends>,
    /// That something was written to since the start.
    clusters: BTreeMap<String, Cluster>,
    couriers: BTreeMap<String, Courier>,
    /// Outboxes of which it was said that nobody delivers from them.
    told: BTreeSet<String>,
}

impl Outlets {
    pub fn open(data_dir: &Path, id: String, resumed: Option<&Resumed>) -> Result<Outlets> {
        let since = numbers(data_dir)?.last().copied().unwrap_or(0);
        let mut known = resumed.map(|resumed| resumed.outlets.clone()).unwrap_or_default();
        if let Some(resumed) = resumed.filter(|resumed| resumed.number < since) {
            for (name, outlet) in &mut known {
                tracing::warn!(
                    topic = outlet.topic,
                    "what came after checkpoint {} may have been delivered, and is delivered again",
                    resumed.number
                );
                let from = resumed.logs.get(name).cloned().unwrap_or_default();
                outlet.notes.push(Notes { group: group(&id, name, since), from });
            }
        }
        let data_dir = data_dir.to_path_buf();
        Ok(Outlets {
            data_dir,
            id,
            since,
            known,
            ends: BTreeMap::new(),
            clusters: BTreeMap::new(),
            couriers: BTreeMap::new(),
            told: BTreeSet::new(),
        })
    }

    /// Outboxes that queries write now.
    pub fn written(&mut self, engine: &Inner) -> BTreeSet<String> {
        let mut written = BTreeSet::new();
        for (cluster, delivery) in engine.outboxes() {
            let name = name_of(&delivery.outbox);
            let notes = match self.known.remove(&name) {
                Some(outlet) => outlet.notes,
                None => vec![Notes { group: group(&self.id, &name, self.since), from: Ends::new() }],
            };
            let outlet = Outlet {
                cluster: cluster.name.clone(),
                topic: delivery.topic,
                layout: delivery.layout,
                notes,
            };
            self.known.insert(name.clone(), outlet);
            self.clusters.insert(cluster.name.clone(), cluster);
            written.insert(name);
        }
        written
    }

    /// Adds to a checkpoint what the next start has to know.
    pub fn describe(&mut self, engine: &Inner, manifest: &mut Manifest) {
        let written = self.written(engine);
        let delivered = self.delivered();
        let is_left = |name: &str, ends: &Ends| {
            let delivered = delivered.get(name);
            ends.iter().any(|(partition, end)| {
                delivered.and_then(|next| next.get(partition)).copied().unwrap_or(0) < *end
            })
        };
        // What a query wrote that has ended since the last one.
        for (name, ends) in manifest.logs.iter().filter(|(name, _)| self.known.contains_key(*name)) {
            self.ends.insert(name.clone(), ends.clone());
        }
        let ends = &self.ends;
        self.known.retain(|name, _| {
            written.contains(name) || ends.get(name).is_some_and(|ends| is_left(name, ends))
        });
        for name in self.known.keys().filter(|name| !written.contains(*name)) {
            manifest.logs.insert(name.clone(), self.ends[name].clone());
        }
        manifest.outlets = self.known.clone();
    }

    /// Hands what is final to the couriers of its clusters.
    pub fn deliver(&mut self, engine: &Inner, logs: &BTreeMap<String, Ends>) {
        let written = self.written(engine);
        for (name, outlet) in &self.known {
            let Some(ends) = logs.get(name) else { continue };
            self.ends.insert(name.clone(), ends.clone());
            let Some(cluster) = self.clusters.get(&outlet.cluster) else {
                if self.told.insert(name.clone()) {
                    tracing::warn!(
                        topic = outlet.topic,
                        "nothing is written to cluster {} any more: what is not delivered there stays in {}",
                        outlet.cluster,
                        self.data_dir.join(name).display()
                    );
                }
                continue;
            };
            let hire = || Courier::hire(cluster, &format!("wharfe-{}-{}", self.id, cluster.name));
            let courier = self.couriers.entry(cluster.name.clone()).or_insert_with(hire);
            courier.deliver(Delivery {
                topic: outlet.topic.clone(),
                layout: outlet.layout,
                outbox: self.data_dir.join(name),
                notes: outlet.notes.clone(),
                ends: ends.clone(),
                is_left: !written.contains(name),
            });
        }
    }

    /// Takes away outboxes that no query writes and no checkpoint knows.
    pub fn sweep(&mut self, engine: &Inner) -> Result<()> {
        let outboxes = self.data_dir.join(super::OUTBOXES);
        // Listed first: who comes later is not among them.
        let Ok(entries) = std::fs::read_dir(&outboxes) else { return Ok(()) };
        let found: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
        let written = self.written(engine);
        let is_unknown = |dir: &&PathBuf| !written.contains(&name_of(dir));
        let mut unknown: Vec<PathBuf> = found.iter().filter(is_unknown).cloned().collect();
        if unknown.is_empty() {
            return Ok(());
        }
        for number in numbers(&self.data_dir)? {
            // From one that cannot be read no start goes on.
            let Ok(manifest) = read(&self.data_dir, number) else { continue };
            unknown.retain(|dir| !manifest.outlets.contains_key(&name_of(dir)));
        }
        unknown.iter().try_for_each(|dir| clear(dir))
    }

    /// How much of each outbox is delivered, as far as is known.
    pub fn delivered(&self) -> BTreeMap<String, Ends> {
        let delivered = self.couriers.values().flat_map(Courier::delivered);
        delivered.map(|(outbox, next)| (name_of(&outbox), next)).collect()
    }

    /// Why a courier has given up.
    pub fn failure(&self) -> Option<Error> {
        self.couriers.values().find_map(Courier::failure)
    }

    /// Waits until all is delivered, or so long.
    pub fn finish(&mut self, until: Option<Instant>) -> Result<()> {
        std::mem::take(&mut self.couriers).into_values().try_for_each(|courier| courier.finish(until))
    }
}

fn group(id: &str, name: &str, since: u64) -> String {
    format!("wharfe-{id}-{}-{since}", name.trim_start_matches("outbox/"))
}
