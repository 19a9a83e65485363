//! Archives of a zone: a thread that reads all its events and lays them down as files, by event and by
//! hour of the event's time.
//!
//! A *cut* is a range of offsets of one partition (`connector/archive/layout.rs` says where it goes). Files are put
//! only if they are absent; a cut counts once its manifest is there. After a crash the manifests say where to go on,
//! and files that none of them lists are taken away: so each record is there exactly once.

#[cfg_attr(not(feature = "parquet"), path = "archive/columns_absent.rs")]
mod columns;
mod writer;

use super::directory::Route;
use super::reader::{self, Cursor, From, Portion, Reader};
use super::{Gateway, cloudevents, now_ms};
use crate::connector::archive::layout::manifests;
use crate::connector::log::Ends;
use crate::error::Result;
use crate::topology::{ArchiveFormat, ArchiveSpec, EventName};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};
use writer::Cut;

/// What waits in memory for its files, of all events of a zone: then the largest is cut.
const WAITING_BYTES_MAX: usize = 64 << 20;
const LOOK_EVERY: Duration = Duration::from_secs(1);
const PAUSE: Duration = Duration::from_millis(20);
const RETRY_EVERY: Duration = Duration::from_secs(2);

/// One partition of one generation of an event.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Source {
    pub cluster: Arc<str>,
    pub generation: u32,
    pub partition: u32,
}

impl Source {
    /// The beginning of its files' names.
    pub fn prefix(&self) -> String {
        let cluster = if self.cluster.is_empty() { "log" } else { &self.cluster };
        format!("{cluster}-g{}-p{}", self.generation, self.partition)
    }
}

/// How far archives are behind, by zone and event.
pub type Lags = Mutex<BTreeMap<(String, EventName), Lag>>;

/// Records that are stored and in no file yet, and since when the oldest of them that was read waits.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Lag {
    pub records: Option<u64>,
    pub since: Option<Instant>,
}

/// Archives every zone that is to be, until the gateway ends.
pub fn start(gateway: &Arc<Gateway>, stop: &Arc<AtomicBool>) {
    for zone in gateway.directory.zones.zones.values() {
        let Some(spec) = zone.archive.clone() else { continue };
        let (weak, name, stop) = (Arc::downgrade(gateway), zone.name.clone(), Arc::clone(stop));
        let started = std::thread::Builder::new().name("archive".into()).spawn(move || {
            while !stop.load(Ordering::Relaxed) && weak.strong_count() > 0 {
                let mut archiver =
                    Archiver { zone: name.clone(), spec: spec.clone(), events: BTreeMap::new() };
                match archiver.run(&weak, &stop) {
                    Ok(()) => return,
                    Err(error) => {
                        tracing::error!("the archive of zone {name}: {error}");
                        std::thread::sleep(RETRY_EVERY);
                    }
                }
            }
        });
        if let Err(error) = started {
            tracing::error!("the archive of zone {} cannot start: {error}", zone.name);
        }
    }
}

struct Archiver {
    zone: String,
    spec: ArchiveSpec,
    events: BTreeMap<EventName, Archived>,
}

/// An event that is being archived.
struct Archived {
    reader: Reader,
    cuts: BTreeMap<Source, Cut>,
}

impl Archiver {
    fn run(&mut self, weak: &Weak<Gateway>, stop: &AtomicBool) -> Result<()> {
        let mut looked: Option<Instant> = None;
        loop {
            let Some(gateway) = weak.upgrade() else { return Ok(()) };
            if looked.is_none_or(|at| at.elapsed() >= LOOK_EVERY) {
                self.look(&gateway)?;
                self.tell(&gateway);
                looked = Some(Instant::now());
            }
            let mut is_idle = true;
            for (event, archived) in &mut self.events {
                if let Some(portion) = archived.reader.poll()? {
                    archived.take(&gateway, event, &self.zone, self.spec.format, &portion)?;
                    is_idle = false;
                }
            }
            let is_last = stop.load(Ordering::Relaxed);
            self.write_due(&gateway, is_last)?;
            if is_idle {
                self.tell(&gateway);
            }
            if is_last {
                return Ok(());
            }
            drop(gateway);
            if is_idle {
                std::thread::sleep(PAUSE);
            }
        }
    }

    /// Takes up events that have come to the zone, and leaves those that are not to be archived.
    fn look(&mut self, gateway: &Arc<Gateway>) -> Result<()> {
        for event in gateway.directory.events() {
            let Some(route) = gateway.directory.route(&event) else { continue };
            let is_here = route.generations.iter().any(|generation| generation.site.zone == self.zone);
            if !route.entry.archive || !is_here {
                self.events.remove(&event);
                continue;
            }
            match self.events.get(&event) {
                Some(_) => {}
                None => {
                    let archived = self.open(gateway, &event, route)?;
                    self.events.insert(event, archived);
                }
            }
        }
        Ok(())
    }

    /// Goes on where the manifests end.
    fn open(&self, gateway: &Arc<Gateway>, event: &EventName, route: Arc<Route>) -> Result<Archived> {
        let files = self.spec.shelf.open()?;
        let manifests = manifests(&*files, &event.dotted())?;
        writer::take_away_unlisted(&*files, &event.dotted(), &manifests)?;
        let mut next: BTreeMap<u32, BTreeMap<String, Ends>> = BTreeMap::new();
        for manifest in &manifests {
            let ends =
                next.entry(manifest.generation).or_default().entry(manifest.cluster.clone()).or_default();
            let end = ends.entry(manifest.partition).or_insert(0);
            *end = (*end).max(manifest.to);
        }
        let from = match next.pop_last() {
            Some((generation, next)) => From::At(Cursor { generation, next }),
            None => From::Earliest,
        };
        let reader = Reader::open(gateway, route, &from)?;
        Ok(Archived { reader, cuts: BTreeMap::new() })
    }

    /// Writes what is large or old enough, and the largest while too much waits.
    fn write_due(&mut self, gateway: &Gateway, is_last: bool) -> Result<()> {
        let mut waiting: usize = self.cuts().map(|cut| cut.bytes).sum();
        while waiting > 0 {
            let is_over = waiting > WAITING_BYTES_MAX;
            let due = |cut: &Cut| {
                is_last
                    || cut.bytes as u64 >= self.spec.file_bytes
                    || cut.begun.elapsed() >= self.spec.file_age
            };
            let largest = self
                .cuts()
                .filter(|cut| !cut.is_empty() && (is_over || due(cut)))
                .max_by_key(|cut| cut.bytes);
            let Some((event, source)) = largest.map(|cut| (cut.event.clone(), cut.source.clone())) else {
                break;
            };
            let Some(cut) = self.events.get_mut(&event).and_then(|a| a.cuts.remove(&source)) else { break };
            waiting -= cut.bytes;
            cut.write(gateway, &self.spec, &self.zone)?;
        }
        Ok(())
    }

    fn tell(&self, gateway: &Gateway) {
        let mut lags = gateway.archives.lock().unwrap_or_else(PoisonError::into_inner);
        lags.retain(|(zone, event), _| *zone != self.zone || self.events.contains_key(event));
        for (event, archived) in &self.events {
            lags.insert((self.zone.clone(), event.clone()), archived.lag(gateway, event));
        }
    }

    fn cuts(&self) -> impl Iterator<Item = &Cut> {
        self.events.values().flat_map(|archived| archived.cuts.values())
    }
}

impl Archived {
    fn lag(&self, gateway: &Gateway, event: &EventName) -> Lag {
        let cursor = self.reader.cursor();
        let first = self.cuts.keys().map(|source| source.generation).chain([cursor.generation]).min();
        let next = |generation, cluster: &str, partition| {
            let source = Source { cluster: cluster.into(), generation, partition };
            match self.cuts.get(&source).filter(|cut| !cut.is_empty()) {
                Some(cut) => Some(cut.from),
                None if generation < cursor.generation => Some(i64::MAX),
                None if generation > cursor.generation => None,
                None => cursor.next.get(cluster).and_then(|next| next.get(&partition)).copied(),
            }
        };
        let stored = reader::behind(gateway, event, first.unwrap_or_default(), next);
        let on_clusters = self.cuts.values().filter(|cut| !cut.source.cluster.is_empty());
        let read: i64 = on_clusters.map(|cut| cut.to - cut.from).sum();
        let cuts = self.cuts.values().filter(|cut| !cut.is_empty());
        Lag {
            records: stored.map(|stored| stored.max(read as u64) + self.reader.unread()),
            since: cuts.map(|cut| cut.begun).min(),
        }
    }

    fn take(
        &mut self,
        gateway: &Gateway,
        event: &EventName,
        zone: &str,
        format: ArchiveFormat,
        portion: &Portion,
    ) -> Result<()> {
        let batch = &portion.batch;
        let partition = batch.partition as u32;
        let source =
            Source { cluster: Arc::clone(&portion.cluster), generation: portion.generation, partition };
        let is_here = self
            .reader
            .route()
            .generations
            .get(portion.generation as usize)
            .is_some_and(|generation| generation.site.zone == zone);
        if !is_here {
            // It lived elsewhere then: that zone's archive has it, or none.
            return Ok(());
        }
        let first = batch.offsets[portion.records.start];
        let cut = self.cuts.entry(source.clone()).or_insert_with(|| Cut::new(event, source, first));
        for i in portion.records.clone() {
            let place = cloudevents::Place {
                event,
                zone,
                cluster: &portion.cluster,
                partition,
                offset: batch.offsets[i],
                timestamp: batch.timestamps.at(i),
            };
            cut.add(gateway, format, &place, batch.headers.block(i), batch.key(i), batch.value(i));
        }
        Ok(())
    }
}

/// `2016-04-19/17`, of an event's time.
fn hour_of(timestamp_ms: i64) -> String {
    let at = chrono::DateTime::from_timestamp_millis(timestamp_ms).unwrap_or_default();
    at.format("%Y-%m-%d/%H").to_string()
}

/// When a manifest is written.
fn written_ms() -> i64 {
    now_ms()
}
