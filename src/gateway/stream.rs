//! Events for those who come and ask: a consumer that cannot be called, or somebody who watches a zone.
//! Each event comes with a token that says where to go on.

use super::Gateway;
use super::cloudevents;
use super::filter::Filter;
use super::reader::{Cursor, From, Portion, Reader};
use crate::error::{Error, Result};
use crate::registry::Lookups;
use crate::topology::EventName;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use std::collections::BTreeMap;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

/// What is asked for.
pub enum Wanted {
    Event(EventName),
    /// All events that live in it, from now on.
    Zone(String),
}

/// One event, and where to go on behind it.
pub struct Told {
    pub event: EventName,
    pub body: String,
    pub token: String,
}

/// New events of a zone are found after so long.
const LOOK_EVERY: Duration = Duration::from_secs(1);
const PAUSE: Duration = Duration::from_millis(20);
/// Longer tokens are not ours.
const TOKEN_BYTES_MAX: usize = 64 << 10;

/// Where a token says to go on.
pub fn from_token(text: &str) -> Result<From> {
    match text {
        "earliest" => return Ok(From::Earliest),
        "latest" => return Ok(From::Latest),
        _ => {}
    }
    let bytes = (text.len() <= TOKEN_BYTES_MAX).then(|| URL_SAFE_NO_PAD.decode(text).ok()).flatten();
    let cursor = bytes.and_then(|bytes| serde_json::from_slice::<Cursor>(&bytes).ok());
    cursor.map(From::At).ok_or_else(|| {
        Error::statement(format!("`{}` is no place to go on from", text.chars().take(40).collect::<String>()))
            .hint("earliest, latest, or the token that came with an event")
    })
}

pub fn token(cursor: &Cursor) -> String {
    // A cursor is plain data: it always becomes JSON.
    URL_SAFE_NO_PAD.encode(serde_json::to_vec(cursor).unwrap_or_default())
}

/// Several events' readers, read in turn by one thread.
pub struct Stream {
    gateway: Weak<Gateway>,
    wanted: Wanted,
    from: From,
    predicate: Option<String>,
    readers: BTreeMap<EventName, One>,
    looked: Option<Instant>,
}

struct One {
    reader: Reader,
    filter: Option<Filter>,
}

impl Stream {
    /// # Errors
    /// The predicate does not fit the event, or its cluster is away.
    pub fn open(
        gateway: &Arc<Gateway>,
        wanted: Wanted,
        from: From,
        predicate: Option<String>,
    ) -> Result<Stream> {
        let readers = BTreeMap::new();
        let mut stream =
            Stream { gateway: Arc::downgrade(gateway), wanted, from, predicate, readers, looked: None };
        stream.look(gateway)?;
        Ok(stream)
    }

    /// Opens readers of what is new.
    fn look(&mut self, gateway: &Arc<Gateway>) -> Result<()> {
        if self.looked.is_some_and(|at| at.elapsed() < LOOK_EVERY) {
            return Ok(());
        }
        let is_first = self.looked.is_none();
        self.looked = Some(Instant::now());
        let events = match &self.wanted {
            Wanted::Event(event) => vec![event.clone()],
            Wanted::Zone(zone) => {
                let is_in = |event: &EventName| {
                    gateway.directory.route(event).is_some_and(|route| route.current().site.zone == *zone)
                };
                gateway.directory.events().into_iter().filter(is_in).collect()
            }
        };
        for event in events {
            let now = gateway.settle(&event)?;
            match self.readers.get(&event) {
                Some(_) => {}
                None => {
                    let filter = self.filter(gateway, &event)?;
                    // What appears while somebody watches is all new.
                    let from = if is_first { self.from.clone() } else { From::Earliest };
                    let reader = Reader::open(gateway, now, &from)?;
                    self.readers.insert(event, One { reader, filter });
                }
            }
        }
        Ok(())
    }

    fn filter(&self, gateway: &Gateway, event: &EventName) -> Result<Option<Filter>> {
        let Some(text) = &self.predicate else { return Ok(None) };
        let schema = gateway.schemas.available(event);
        let schema =
            schema.ok_or_else(|| Error::statement(format!("{event} has no schema that is available")))?;
        let lookups = Lookups::new(gateway.schemas.client().clone());
        Filter::open(text, &schema, &lookups).map(Some)
    }

    /// The next events; none: there is nothing now, and a moment has passed. `Err` also when the gateway
    /// has ended.
    pub fn more(&mut self) -> Result<Vec<Told>> {
        let gateway = self.gateway.upgrade().ok_or_else(|| Error::runtime("the gateway has ended"))?;
        self.look(&gateway)?;
        for (event, one) in &mut self.readers {
            if let Some(portion) = one.reader.poll()? {
                let told = one.tell(&gateway, event, &portion)?;
                if !told.is_empty() {
                    return Ok(told);
                }
            }
        }
        drop(gateway);
        match self.readers.len() {
            1 => self.readers.values_mut().for_each(|one| one.reader.wait()),
            _ => std::thread::sleep(PAUSE),
        }
        Ok(Vec::new())
    }

    /// Where to go on behind all that was told; of a single event.
    pub fn token(&self) -> String {
        self.readers.values().next().map_or(String::new(), |one| token(one.reader.cursor()))
    }
}

impl One {
    fn tell(&mut self, gateway: &Gateway, event: &EventName, portion: &Portion) -> Result<Vec<Told>> {
        let batch = &portion.batch;
        let pass = match &mut self.filter {
            None => None,
            Some(filter) => {
                while !filter.is_ready(batch) {
                    std::thread::sleep(PAUSE);
                }
                Some(filter.pass(batch))
            }
        };
        let mut cursor = self.reader.cursor().clone();
        let zone = &self.reader.route().generations[portion.generation as usize].site.zone;
        let mut told = Vec::new();
        for i in portion.records.clone() {
            if pass.as_ref().is_some_and(|pass| !pass[i]) {
                continue;
            }
            let offset = batch.offsets[i];
            let partition = batch.partition as u32;
            let place = cloudevents::Place {
                event,
                zone,
                cluster: &portion.cluster,
                partition,
                offset,
                timestamp: batch.timestamps.at(i),
            };
            let mut data = String::new();
            if let Err(why) = cloudevents::data_of(batch.value(i), |id| gateway.codec(id), &mut data) {
                data = serde_json::json!({ "unreadable": why }).to_string();
            }
            let mut body = String::with_capacity(data.len() + 512);
            cloudevents::outgoing(&place, batch.headers.block(i), batch.key(i), &data, &mut body);
            cursor.next.entry(portion.cluster.to_string()).or_default().insert(partition, offset + 1);
            told.push(Told { event: event.clone(), body, token: token(&cursor) });
        }
        Ok(told)
    }
}
