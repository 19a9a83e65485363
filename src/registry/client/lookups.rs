//! Schemas by their ids, for those who must not wait: decoders inside workers.
//!
//! What is not known yet is asked for by one thread, which goes on asking while the registry is away;
//! until it answers a decoder keeps its messages and looks again.

use super::{Client, Resolved, Trouble};
use crate::registry::Registry;
use std::collections::HashMap;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::{Duration, Instant};

/// Ids that may wait to be asked for; who finds no room looks again later.
const ASKED_MAX: usize = 256;

/// So long an id counts as unknown before it is asked for again: it may have been registered since.
const UNKNOWN_FOR: Duration = Duration::from_secs(1);

/// Unknown ids that are remembered: messages hold any number of them.
const UNKNOWN_MAX: usize = 4_096;

const RETRY_FIRST: Duration = Duration::from_millis(50);
const RETRY_LAST: Duration = Duration::from_secs(1);

/// A handle; clones share what is known.
#[derive(Clone)]
pub struct Lookups(Arc<Inner>);

struct Inner {
    client: Client,
    entries: Mutex<HashMap<u32, Entry>>,
    asker: OnceLock<SyncSender<u32>>,
}

enum Entry {
    Asked,
    Known(Arc<Resolved>),
    Unknown(Instant),
}

/// What is known about an id.
#[derive(Clone, Debug, PartialEq)]
pub enum Found {
    Schema(Arc<Resolved>),
    /// The registry has no such id.
    Nothing,
    /// The registry has not answered yet.
    Waiting,
}

impl Lookups {
    pub fn new(client: Client) -> Lookups {
        Lookups(Arc::new(Inner { client, entries: Mutex::default(), asker: OnceLock::new() }))
    }

    /// Of a registry without schemas: for what needs none.
    pub fn none() -> Lookups {
        Lookups::new(Client::Own(Registry::volatile()))
    }

    pub fn client(&self) -> &Client {
        &self.0.client
    }

    /// Never waits.
    pub fn find(&self, id: u32) -> Found {
        let mut entries = self.0.entries();
        match entries.get(&id) {
            Some(Entry::Known(schema)) => return Found::Schema(Arc::clone(schema)),
            Some(Entry::Unknown(since)) if since.elapsed() < UNKNOWN_FOR => return Found::Nothing,
            Some(Entry::Asked) => return Found::Waiting,
            Some(Entry::Unknown(_)) | None => {}
        }
        // This process's own answers at once.
        if let Client::Own(_) = self.0.client {
            drop(entries);
            return self.0.note(id, self.0.client.schema(id)).unwrap_or(Found::Waiting);
        }
        if self.0.asker.get_or_init(|| self.start_asker()).try_send(id).is_ok() {
            entries.insert(id, Entry::Asked);
        }
        Found::Waiting
    }

    fn start_asker(&self) -> SyncSender<u32> {
        let (sender, receiver) = sync_channel(ASKED_MAX);
        let inner = Arc::downgrade(&self.0);
        std::thread::spawn(move || ask(&inner, &receiver));
        sender
    }
}

impl Inner {
    fn entries(&self) -> MutexGuard<'_, HashMap<u32, Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Remembers an answer; why there is none, when the registry is away.
    fn note(&self, id: u32, answer: super::Result<Resolved>) -> Result<Found, String> {
        let (entry, found) = match answer {
            Ok(schema) => {
                let schema = Arc::new(schema);
                (Entry::Known(Arc::clone(&schema)), Found::Schema(schema))
            }
            Err(Trouble::Away(why)) => return Err(why),
            Err(trouble) if trouble.is_not_found() => (Entry::Unknown(Instant::now()), Found::Nothing),
            // Whatever else is wrong with it may be put right; it is no fault of the message.
            Err(Trouble::Refused(fault)) => return Err(format!("schema id {id}: {fault}")),
        };
        let mut entries = self.entries();
        if entries.len() > UNKNOWN_MAX {
            entries.retain(|_, entry| !matches!(entry, Entry::Unknown(_)));
        }
        entries.insert(id, entry);
        Ok(found)
    }
}

/// Asks for ids until nobody is left who wants them.
fn ask(inner: &Weak<Inner>, ids: &Receiver<u32>) {
    let mut is_away = false;
    while let Ok(id) = ids.recv() {
        let mut pause = RETRY_FIRST;
        loop {
            let Some(inner) = inner.upgrade() else { return };
            let name = inner.client.name();
            match inner.note(id, inner.client.schema(id)) {
                Ok(_) if is_away => tracing::info!("{name} can be reached again"),
                Ok(_) => {}
                Err(why) => {
                    if !is_away {
                        tracing::warn!(
                            "{name} cannot be reached: {why}; what needs a schema waits until it can"
                        );
                    }
                    is_away = true;
                    drop(inner);
                    std::thread::sleep(pause);
                    pause = (pause * 2).min(RETRY_LAST);
                    continue;
                }
            }
            is_away = false;
            break;
        }
    }
}
