//! Events for SQL in the same process: statements find here where an event is, and what their queries
//! publish goes the way of all events from here.
//!
//! ```text
//! query ─► outbox (a log of the engine) ─► publisher: a thread each ─► Gateway::store
//!             └ final as far as a checkpoint says
//! ```
//! An event's id is its place in its outbox, so that what a crash has published twice is stored once. How far
//! an outbox is published, a note in it says; what is left of one that no query writes any more is published
//! to where it was final, and the next start takes it away.

use super::cloudevents::{Attributes, Envelope, Incoming, record_headers};
use super::produce::no_schema;
use super::seen::{Key, Known};
use super::store::{NewRecord, NotStored};
use super::{Gateway, files, now_ms};
use crate::connector::log;
use crate::connector::{
    Opening, Place, Poll, Position, Share, Source, Split, Start, Survey, entries, io_error,
};
use crate::error::{Error, Result, reason};
use crate::registry::Resolved;
use crate::topology::{EventName, Events, Outbox, Outgoing, Whereabouts};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::runtime::Handle;

/// How soon a publisher looks again where nobody says anything, and after a failure.
const LOOK: Duration = Duration::from_millis(200);
const READ_BYTES: usize = 256 << 10;
/// How long an INSERT goes on trying to store its rows.
const TRIES: u32 = 20;

pub struct Statements {
    gateway: Arc<Gateway>,
    runtime: Handle,
    desks: Mutex<BTreeMap<PathBuf, Arc<Desk>>>,
}

/// How far an outbox is published. Stable: it is kept in there as JSON.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Note {
    event: EventName,
    stream: String,
    /// What ids begin with: another one where records come again because a start went on from an older
    /// checkpoint.
    series: String,
    next: i64,
    /// How far it was final.
    end: i64,
}

/// Where a publisher hears how far it may go.
#[derive(Default)]
struct Desk {
    asked: Mutex<Asked>,
    changed: Condvar,
}

#[derive(Default)]
struct Asked {
    /// `None`: nobody has said yet.
    end: Option<i64>,
    /// An earlier start has left it, and no query writes it any more.
    is_left: bool,
}

impl Desk {
    fn lock(&self) -> MutexGuard<'_, Asked> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, change: impl FnOnce(&mut Asked)) {
        change(&mut self.lock());
        self.changed.notify_all();
    }
}

impl Statements {
    /// `publish`: where outboxes are; what an earlier start has left in them is published. On the runtime that
    /// is entered.
    pub fn open(gateway: &Arc<Gateway>, publish: &Path) -> Result<Arc<Statements>> {
        let statements =
            Statements { gateway: Arc::clone(gateway), runtime: Handle::current(), desks: Mutex::default() };
        for dir in entries(publish)? {
            if let Some(note) = read_note(&dir)? {
                statements.desk(&dir, &note.event, &note.stream)?;
            }
        }
        Ok(Arc::new(statements))
    }

    /// The desk of an outbox; its publisher is started the first time.
    fn desk(&self, dir: &Path, event: &EventName, stream: &str) -> Result<Arc<Desk>> {
        let mut desks = self.desks.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = desks.get(dir) {
            return Ok(Arc::clone(known));
        }
        let desk = Arc::new(Desk::default());
        let publisher = Publisher {
            gateway: Arc::clone(&self.gateway),
            runtime: self.runtime.clone(),
            desk: Arc::clone(&desk),
            dir: dir.to_path_buf(),
        };
        let (event, stream) = (event.clone(), stream.to_string());
        std::thread::Builder::new()
            .name("publish".into())
            .spawn(move || {
                if let Err(error) = publisher.run(event, stream) {
                    tracing::error!("nothing more is published of {}: {error}", publisher.dir.display());
                }
            })
            .map_err(|e| Error::runtime(format!("cannot start a publisher: {}", reason(&e))))?;
        desks.insert(dir.to_path_buf(), Arc::clone(&desk));
        Ok(desk)
    }
}

impl Events for Statements {
    fn locate(&self, event: &EventName) -> Result<Whereabouts> {
        let gateway = &self.gateway;
        let refused = || {
            let refused = no_schema(gateway, event);
            Error::statement(refused.message).hint(refused.hint.unwrap_or_default())
        };
        let available = gateway.schemas.available(event);
        if available.is_none() && gateway.directory.route(event).is_none() {
            // A name that was misspelt gets no place.
            return Err(refused());
        }
        let route = gateway.settle(event)?;
        let mut reads: Vec<Place> = Vec::new();
        for generation in &route.generations {
            let clusters = generation.site.clusters.iter().map(String::as_str);
            let own = generation.site.clusters.is_empty().then_some("");
            for cluster in clusters.chain(own) {
                let place = gateway.stores.place(&generation.site, cluster)?;
                if !reads.contains(&place) {
                    reads.push(place);
                }
            }
        }
        let schema = available.and_then(|schema| {
            let of = Arc::new(schema.schema.clone());
            Some(Resolved { id: schema.confluent_id?, schema: of, needed: Vec::new() })
        });
        Ok(Whereabouts {
            event: event.clone(),
            reads,
            writes: Place::Event { event: event.to_string() },
            key: route.entry.key.clone(),
            partitions: route.current().site.partitions,
            schema: schema.ok_or_else(refused),
        })
    }

    fn of_namespace(&self, namespace: &str) -> Result<Vec<EventName>> {
        let is_of = |event: &EventName| {
            event.namespace == namespace && self.gateway.schemas.available(event).is_some()
        };
        Ok(self.gateway.schemas.events().into_iter().filter(is_of).collect())
    }

    fn publish(&self, event: &EventName, stream: &str, records: Vec<Outgoing>) -> Result<()> {
        let gateway = &self.gateway;
        let mut named: Vec<Named> = records
            .into_iter()
            .map(|record| Named {
                id: gateway.ids.next(),
                key: record.key,
                timestamp: record.timestamp,
                value: record.value,
                headers: Vec::new(),
            })
            .collect();
        for _ in 0..TRIES {
            match store(gateway, &self.runtime, event, stream, &mut named)? {
                None => return Ok(()),
                Some(_) => std::thread::sleep(LOOK),
            }
        }
        Err(Error::runtime(format!("event {event} cannot be stored now"))
            .hint("its cluster may be away; some of the rows may be stored"))
    }

    fn deliver(&self, outboxes: Vec<Outbox>) {
        for outbox in &outboxes {
            match self.desk(&outbox.dir, &outbox.event, &outbox.stream) {
                Ok(desk) => {
                    let end = outbox.ends.get(&0).copied().unwrap_or(0);
                    desk.tell(|asked| asked.end = Some(end));
                }
                Err(error) => tracing::error!("{error}"),
            }
        }
        let mut desks = self.desks.lock().unwrap_or_else(PoisonError::into_inner);
        let is_written = |dir: &PathBuf| outboxes.iter().any(|outbox| outbox.dir == *dir);
        // A query that is dropped may be made again while this runs, with the same outbox.
        let is_left = |dir: &PathBuf, desk: &mut Arc<Desk>| !is_written(dir) && desk.lock().end.is_none();
        for (_, desk) in desks.extract_if(.., is_left) {
            desk.tell(|asked| asked.is_left = true);
        }
    }
}

/// A record on its way, under the id that it has for good.
struct Named {
    id: String,
    timestamp: i64,
    key: Option<Vec<u8>>,
    value: Vec<u8>,
    /// Of the record that it was made from.
    headers: Vec<u8>,
}

/// Stores records in their order; those that are not stored yet stay in `records`, with why.
fn store(
    gateway: &Arc<Gateway>,
    runtime: &Handle,
    event: &EventName,
    stream: &str,
    records: &mut Vec<Named>,
) -> Result<Option<String>> {
    let source = format!("/streams/{stream}");
    let (mut keys, mut new, mut traceparents) = (Vec::new(), Vec::new(), Vec::new());
    records.retain(|record| {
        let key = Key::of(&source, &record.id);
        let is_new = matches!(gateway.seen.begin(key), Known::New);
        if is_new {
            let (traceparent, stored) = made(gateway, event, &source, record);
            keys.push(key);
            new.push(stored);
            traceparents.push(traceparent);
        } else {
            gateway.counts.repeated(event);
        }
        is_new
    });
    if new.is_empty() {
        return Ok(None);
    }
    let bytes: usize = new.iter().map(NewRecord::bytes).sum();
    let (zone, stored) = match runtime.block_on(gateway.store(event, new)) {
        Ok(stored) => stored,
        Err(error) => (String::new(), keys.iter().map(|_| Err(NotStored::Away(error.to_string()))).collect()),
    };
    let (now, mut why, mut failed) = (now_ms(), None, None);
    let count = stored.iter().filter(|stored| stored.is_ok()).count();
    gateway.counts.published(event, count as u64, bytes as u64);
    let mut at = 0;
    records.retain(|record| {
        let (key, stored, traceparent) = (keys[at], &stored[at], &traceparents[at]);
        at += 1;
        gateway.seen.finish(key, stored.as_ref().ok().cloned(), now);
        match stored {
            Ok(stored) => {
                gateway.trace.stored(key, &record.id, &source, traceparent, event, &zone, stored, now);
                return false;
            }
            Err(NotStored::Away(away)) => why = Some(away.clone()),
            Err(NotStored::Failed(error)) => failed = Some(error.clone()),
        }
        true
    });
    match failed {
        Some(error) => Err(error),
        None => Ok(why),
    }
}

/// The record as it is kept, and its traceparent: that of what it was made from, if that had one.
fn made(gateway: &Gateway, event: &EventName, source: &str, record: &Named) -> (String, NewRecord) {
    let from = Attributes::of(&record.headers);
    let traceparent = from.traceparent.map_or_else(|| gateway.ids.traceparent(), String::from);
    let confluent_id = record.value.get(1..5).and_then(|id| id.try_into().ok()).map(u32::from_be_bytes);
    let schemas = gateway.schemas.of_event(event);
    let schema = schemas.iter().find(|schema| schema.confluent_id == confluent_id);
    let envelope = Envelope {
        event,
        id: &record.id,
        source,
        time_ms: record.timestamp,
        schema_id: schema.map_or("", |schema| &schema.id),
        traceparent: &traceparent,
    };
    let tracestate = from.tracestate.map(String::from);
    let headers = record_headers(&envelope, &Incoming { tracestate, ..Incoming::default() });
    let (timestamp, key, value) = (record.timestamp, record.key.clone(), record.value.clone());
    (traceparent, NewRecord { timestamp, key, value, headers })
}

/// Publishes what is in one outbox.
struct Publisher {
    gateway: Arc<Gateway>,
    runtime: Handle,
    desk: Arc<Desk>,
    dir: PathBuf,
}

impl Publisher {
    fn run(&self, event: EventName, stream: String) -> Result<()> {
        let found = read_note(&self.dir)?;
        let series = || self.gateway.ids.next();
        let mut note = found.unwrap_or_else(|| Note { event, stream, series: series(), next: 0, end: 0 });
        let mut is_new = true;
        while !self.gateway.is_closing() {
            let (end, is_left) = self.asked();
            if let Some(end) = end.filter(|end| *end != note.end || is_new) {
                if std::mem::take(&mut is_new) && note.next > end {
                    // What was published behind it was taken back, and comes again.
                    (note.series, note.next) = (series(), end);
                }
                note.end = end;
                self.keep(&note)?;
            }
            if note.next < note.end {
                self.publish(&mut note)?;
            } else if is_left {
                let failed = |e| io_error("delete", &self.dir, e);
                return std::fs::remove_dir_all(&self.dir).map_err(failed);
            }
        }
        Ok(())
    }

    /// Waits a moment for news: how far the outbox is final, and whether a query still writes it.
    fn asked(&self) -> (Option<i64>, bool) {
        let asked = self.desk.lock();
        let asked = self.desk.changed.wait_timeout(asked, LOOK).unwrap_or_else(PoisonError::into_inner).0;
        (asked.end, asked.is_left)
    }

    fn keep(&self, note: &Note) -> Result<()> {
        std::fs::create_dir_all(&self.dir).map_err(|e| io_error("make", &self.dir, e))?;
        files::write_json(&self.dir.join(NOTE), note)
    }

    /// Everything that is final. What cannot be stored now is tried again.
    fn publish(&self, note: &mut Note) -> Result<()> {
        let splits = vec![Split { partition: 0, next: note.next as u64, end: Split::OPEN }];
        let resumed = Some(Position { splits, ..Position::default() });
        let opening = Opening { share: Share::All, start: Start::Earliest, bounded: true, opened_ms: 0 };
        let mut reader = log::open(&self.dir, opening, &Survey { resumed, ..Survey::default() })?;
        reader.read_headers(true);
        while note.next < note.end
            && let Poll::Messages(batch) = reader.poll(READ_BYTES, 0)?
        {
            let last = batch.offsets.partition_point(|offset| *offset < note.end);
            let named = (0..last).map(|i| Named {
                id: format!("{}-{}", note.series, batch.offsets[i]),
                timestamp: batch.timestamps.at(i),
                key: batch.key(i).map(<[u8]>::to_vec),
                value: batch.value(i).unwrap_or_default().to_vec(),
                headers: batch.headers.block(i).to_vec(),
            });
            let mut records: Vec<Named> = named.collect();
            while let Some(why) =
                store(&self.gateway, &self.runtime, &note.event, &note.stream, &mut records)?
            {
                tracing::warn!("what {} publishes waits: {why}", note.stream);
                std::thread::sleep(5 * LOOK);
                if self.gateway.is_closing() {
                    return Ok(());
                }
            }
            note.next = batch.offsets[last - 1] + 1;
            self.keep(note)?;
            log::delete_before(&self.dir, 0, note.next)?;
        }
        Ok(())
    }
}

const NOTE: &str = "note.json";

fn read_note(dir: &Path) -> Result<Option<Note>> {
    files::read_json(&dir.join(NOTE))
}
