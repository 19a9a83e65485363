//! The gateway: events are published and consumed by name, over HTTP, and nobody needs to know a cluster.
//!
//! ```text
//! POST /produce ─► cloudevents ─► produce ─► codec ─► store        202 when it is durable
//!                                   │ schemas: which schema, may it be written with
//!                                   │ directory: where does the event live
//!                                   └ seen: was it stored before
//! store ─► reader ─► deliver    call-backs, in order per key
//!                 ├─► server    events as they come (SSE), long polling, watching
//!                 └─► archive   files of a zone
//! SQL ◄─► statements    where an event is; what queries publish ─► store
//! ```
//! The server's paths are in `server/gateway`; this knows HTTP only where it calls others (`deliver`).

pub mod archive;
pub mod cloudevents;
pub mod codec;
pub mod counts;
pub mod deliver;
pub mod directory;
pub mod evolve;
pub mod filter;
mod files;
mod ids;
mod journal;
pub mod produce;
pub mod reader;
pub mod rights;
pub mod schemas;
pub mod seen;
pub mod statements;
pub mod store;
pub mod stream;
pub mod subscriptions;
pub mod trace;
pub mod uses;

pub use crate::clock::now_ms;
use crate::error::{Error, Result};
use crate::registry::Client;
use crate::topology::{EventEntry, EventName, EventUse, Queries, Zones};
use codec::Codec;
use counts::Counts;
use directory::{Directory, Missing, Moved, Route};
use ids::Ids;
pub use journal::Change;
pub use rights::{Rights, Who};
use schemas::Schemas;
use seen::Seen;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;
use store::{NewRecord, NotStored, Stored, Stores};
use subscriptions::Subscriptions;
use tokio::sync::RwLock;
use trace::Trace;

pub struct Gateway {
    pub dir: PathBuf,
    pub directory: Directory,
    pub schemas: Schemas,
    pub stores: Arc<Stores>,
    pub subscriptions: Subscriptions,
    pub rights: Rights,
    pub seen: Seen,
    pub counts: Counts,
    pub trace: Trace,
    pub ids: Ids,
    pub archives: archive::Lags,
    /// Archives end when it is set.
    stop: Arc<AtomicBool>,
    /// Of an engine beside.
    queries: OnceLock<Arc<dyn Queries>>,
    codecs: Mutex<HashMap<u32, Arc<Codec>>>,
    /// Publishing holds an event's gate open; a move closes it.
    gates: Mutex<HashMap<EventName, Arc<RwLock<()>>>>,
}

/// Schemas of other registries' ids that are kept parsed.
const CODECS_MAX: usize = 4_096;

/// A move that the file asks for, of an event whose cluster is away, is tried again after so long.
const RECONCILE_EVERY: Duration = Duration::from_secs(5);

impl Gateway {
    /// Opens a gateway in a directory, on a runtime. What is delivered and archived goes on where it was.
    pub fn open(dir: &Path, zones: Zones, client: Client) -> Result<Arc<Gateway>> {
        let dir = dir.join("gateway");
        let rights = Rights::new(&zones.tokens)?;
        let seen = Seen::new(zones.gateway.idempotency);
        let directory = Directory::open(zones, &dir)?;
        let gateway = Arc::new(Gateway {
            stores: Stores::open(&dir, &directory.zones)?,
            schemas: Schemas::open(&dir, client)?,
            subscriptions: Subscriptions::open(&dir)?,
            directory,
            rights,
            seen,
            counts: Counts::default(),
            trace: Trace::default(),
            ids: Ids::new()?,
            archives: Mutex::default(),
            stop: Arc::default(),
            queries: OnceLock::new(),
            codecs: Mutex::default(),
            gates: Mutex::default(),
            dir,
        });
        gateway.remember()?;
        tokio::spawn(Arc::clone(&gateway).reconcile());
        deliver::start(&gateway);
        archive::start(&gateway, &gateway.stop);
        Ok(gateway)
    }

    /// Lets what is under way end and keeps how far everything is.
    pub async fn close(&self) {
        self.stop.store(true, Ordering::Relaxed);
        self.subscriptions.close().await;
    }

    /// Whether what runs on the side is to end.
    pub fn is_closing(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// An engine runs beside: its queries are told of events that move, and what they use is kept.
    pub fn beside(&self, queries: Arc<dyn Queries>) {
        let _ = self.queries.set(queries);
    }

    /// What queries use of an event.
    pub fn uses(&self, event: &EventName) -> Vec<EventUse> {
        self.queries.get().map_or_else(Vec::new, |queries| queries.uses(event))
    }

    fn gate(&self, event: &EventName) -> Arc<RwLock<()>> {
        let mut gates = self.gates.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(gates.entry(event.clone()).or_default())
    }

    /// Stores records of an event where it lives now; the zone, and what became of each record.
    pub async fn store(
        self: &Arc<Self>,
        event: &EventName,
        records: Vec<NewRecord>,
    ) -> Result<(String, Vec<Result<Stored, NotStored>>)> {
        let gate = self.gate(event);
        let _open = gate.read().await;
        let route = self.route(event).await?;
        let site = &route.current().site;
        let zone = self.directory.zone(&site.zone)?;
        let stored = self.stores.append(zone, site, route.entry.retention_bytes, records).await;
        Ok((site.zone.clone(), stored))
    }

    /// Where an event is. One that has been nowhere gets its place now.
    pub async fn route(self: &Arc<Self>, event: &EventName) -> Result<Arc<Route>> {
        if let Some(route) = self.directory.route(event) {
            return Ok(route);
        }
        let (gateway, event) = (Arc::clone(self), event.clone());
        blocking(move || gateway.settle(&event)).await
    }

    /// Gives an event its first place. Blocks.
    pub fn settle(&self, event: &EventName) -> Result<Arc<Route>> {
        static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
        let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(route) = self.directory.route(event) {
            return Ok(route);
        }
        let entry = self.entry(event)?;
        let place = self.directory.site(event, &entry)?;
        let begun = Moved::Generation { event: event.clone(), place, sealed: Default::default() };
        self.directory.commit("topology", begun)?;
        self.directory.route(event).ok_or_else(|| Error::runtime(format!("event {event} has no place")))
    }

    pub fn entry(&self, event: &EventName) -> Result<EventEntry> {
        self.directory.entry(event).map_err(|Missing::Zone { event, hint }| {
            Error::topology(format!("no zone takes events of namespace {}", event.namespace)).hint(hint)
        })
    }

    /// Puts an event's entry, or with `None` takes it back, and moves the event if it lives elsewhere
    /// then: what is being published is finished, the old place is sealed, and the next is begun.
    pub async fn put_entry(
        self: &Arc<Self>,
        who: &str,
        event: &EventName,
        entry: Option<EventEntry>,
    ) -> Result<Arc<Route>> {
        let gate = self.gate(event);
        let _closed = gate.write().await;
        let (gateway, who, event) = (Arc::clone(self), who.to_string(), event.clone());
        blocking(move || {
            if let Some(entry) = &entry {
                gateway.directory.site(&event, entry)?;
            }
            let before = gateway.directory.route(&event);
            gateway.check_move(&event, before.as_deref(), entry.as_ref())?;
            gateway.directory.commit(&who, Moved::Entry { event: event.clone(), entry })?;
            gateway.move_to_entry(&who, &event)
        })
        .await
    }

    /// Whether the old place can be sealed, before anything is changed.
    fn check_move(
        &self,
        event: &EventName,
        before: Option<&Route>,
        entry: Option<&EventEntry>,
    ) -> Result<()> {
        let Some(before) = before else { return Ok(()) };
        let entry = match entry {
            Some(entry) => entry.clone(),
            None => match self.directory.zones.events.get(event) {
                Some(entry) => entry.clone(),
                None => match self.directory.zones.zone_of(&event.namespace) {
                    Some(zone) => EventEntry::of_zone(&zone.name),
                    None => return Err(Error::topology(format!("without its entry no zone takes {event}"))),
                },
            },
        };
        if self.directory.site(event, &entry)? != before.current().site {
            self.stores.ends(&before.current().site)?;
        }
        Ok(())
    }

    /// Moves an event to where its entry says. Nothing of it may be under way. Blocks.
    fn move_to_entry(&self, who: &str, event: &EventName) -> Result<Arc<Route>> {
        let Some(route) = self.directory.route(event) else { return self.settle(event) };
        let place = self.directory.site(event, &route.entry)?;
        if place == route.current().site {
            return Ok(route);
        }
        let sealed = self.stores.ends(&route.current().site)?;
        self.directory.commit(who, Moved::Generation { event: event.clone(), place, sealed })?;
        if let Some(queries) = self.queries.get() {
            queries.follow(event);
        }
        self.directory.route(event).ok_or_else(|| Error::runtime(format!("event {event} has no place")))
    }

    /// Moves what the topology file has moved since the last run.
    async fn reconcile(self: Arc<Self>) {
        loop {
            let mut is_done = true;
            for event in self.directory.events() {
                let Some(route) = self.directory.route(&event) else { continue };
                match self.directory.site(&event, &route.entry) {
                    Ok(site) if site == route.current().site => continue,
                    Ok(_) => {}
                    Err(error) => {
                        tracing::warn!("event {event}: {error}");
                        continue;
                    }
                }
                let gate = self.gate(&event);
                let _closed = gate.write().await;
                let (gateway, moved) = (Arc::clone(&self), event.clone());
                if let Err(error) = blocking(move || gateway.move_to_entry("topology file", &moved)).await {
                    tracing::warn!("event {event} stays where it is: {error}");
                    is_done = false;
                }
            }
            if is_done {
                return;
            }
            tokio::time::sleep(RECONCILE_EVERY).await;
        }
    }

    /// The codec of a schema by the registry's id. Blocks where the registry is another server.
    pub fn codec(&self, id: u32) -> Result<Arc<Codec>, String> {
        if let Some(known) = self.codecs.lock().unwrap_or_else(PoisonError::into_inner).get(&id) {
            return Ok(Arc::clone(known));
        }
        let client = self.schemas.client();
        let resolved =
            client.schema(id).map_err(|trouble| format!("schema id {id}: {}", client.error(trouble)))?;
        let codec = Arc::new(Codec::of(&resolved)?);
        let mut codecs = self.codecs.lock().unwrap_or_else(PoisonError::into_inner);
        if codecs.len() >= CODECS_MAX {
            codecs.clear();
        }
        codecs.insert(id, Arc::clone(&codec));
        Ok(codec)
    }

    /// What was stored lately in logs of the gateway, so that it is not stored again.
    fn remember(&self) -> Result<()> {
        let oldest = now_ms() - self.seen.window().as_millis() as i64;
        for event in self.directory.events() {
            let Some(route) = self.directory.route(&event) else { continue };
            if !route.current().site.clusters.is_empty() {
                continue;
            }
            seen::remember(&self.seen, &self.stores, &route.current().site, oldest)?;
        }
        Ok(())
    }
}

/// Runs what may block where it may block.
pub async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|_| Err(Error::runtime("the gateway failed on this; its log says why")))
}
