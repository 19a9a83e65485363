//! Subscriptions: who wants which event, called where and how. Changes are kept; the deliveries themselves
//! are `deliver`'s.

use super::deliver::{Handle, sign};
use super::journal::{Change, Journal, WORDS};
use super::now_ms;
use crate::error::{Error, Result};
use crate::expr::nearest::nearest;
use crate::topology::EventName;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What is PUT to `/subscriptions/NAME`. Stable: data directories hold it as JSON.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spec {
    pub event: EventName,
    pub url: String,
    /// A SQL predicate over the payload.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter: Option<String>,
    /// So many events a call at most.
    #[serde(default = "one")]
    pub batch: u32,
    /// Calls a second at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<f64>,
    /// Calls under way at a time.
    #[serde(default = "concurrency")]
    pub concurrency: u32,
    /// `earliest`, `latest` or a time: what the first start reads.
    #[serde(default = "latest")]
    pub from: String,
    /// How long an event is tried, in seconds, before it is a dead letter.
    #[serde(default = "give_up_s")]
    pub give_up_s: u64,
    /// How long a call may take, in milliseconds.
    #[serde(default = "timeout_ms")]
    pub timeout_ms: u64,
    /// `whsec_…`; one is made where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
}

fn one() -> u32 {
    1
}
fn concurrency() -> u32 {
    64
}
fn latest() -> String {
    "latest".into()
}
fn give_up_s() -> u64 {
    86_400
}
fn timeout_ms() -> u64 {
    30_000
}

impl Spec {
    pub fn new(event: EventName, url: &str) -> Spec {
        Spec {
            event,
            url: url.into(),
            filter: None,
            batch: one(),
            rate: None,
            concurrency: concurrency(),
            from: latest(),
            give_up_s: give_up_s(),
            timeout_ms: timeout_ms(),
            secret: None,
        }
    }

    /// Numbers that make no sense.
    pub fn check(&self) -> Result<()> {
        let within = |what: &str, value: u64, least: u64, most: u64| match (least..=most).contains(&value) {
            true => Ok(()),
            false => Err(Error::statement(format!("{what} is {value}; it can be {least} to {most}"))),
        };
        within("batch", self.batch.into(), 1, 1_000)?;
        within("concurrency", self.concurrency.into(), 1, 1_000)?;
        within("give_up_s", self.give_up_s, 1, 30 * 86_400)?;
        within("timeout_ms", self.timeout_ms, 100, 300_000)?;
        if self.rate.is_some_and(|rate| !rate.is_finite() || rate <= 0.0) {
            return Err(Error::statement("rate is calls a second, more than 0"));
        }
        self.from_ms()?;
        self.secret.as_deref().map_or(Ok(()), |secret| sign::key(secret).map(drop))
    }

    /// `None`: from the earliest or the latest.
    pub fn from_ms(&self) -> Result<Option<i64>> {
        if matches!(self.from.as_str(), "earliest" | "latest") {
            return Ok(None);
        }
        let ms = crate::time::iso::parse_timestamp(self.from.as_bytes());
        ms.map(Some).ok_or_else(|| {
            Error::statement(format!(
                "from is `{}`; it is earliest, latest or a time as 2016-04-19T17:34:21Z",
                self.from
            ))
        })
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    Active,
    Paused,
    /// Its receiver has answered 410: it is gone.
    Retired,
}

/// One change. Stable: data directories hold these as JSON.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "change", rename_all = "snake_case")]
pub enum Wish {
    Put {
        name: String,
        spec: Spec,
    },
    Deleted {
        name: String,
    },
    State {
        name: String,
        state: State,
    },
    /// Signed with both until the older one is taken away by the next.
    Secrets {
        name: String,
        secrets: Vec<String>,
    },
}

#[derive(Clone, Debug, PartialEq)]
pub struct Subscription {
    pub name: String,
    pub spec: Spec,
    pub state: State,
    /// The newest last.
    pub secrets: Vec<String>,
    pub changed_by: String,
    pub changed_ms: i64,
}

#[derive(Default)]
struct Inner {
    by_name: BTreeMap<String, Subscription>,
    running: BTreeMap<String, Handle>,
}

pub struct Subscriptions {
    pub dir: PathBuf,
    inner: Mutex<Inner>,
    journal: Mutex<Journal<Wish>>,
}

/// A subscription is a thread and some MiB.
const SUBSCRIPTIONS_MAX: usize = 1_000;

impl Subscriptions {
    pub fn open(dir: &Path) -> Result<Subscriptions> {
        let mut inner = Inner::default();
        let dir = dir.join("subscriptions");
        let journal = Journal::open(&dir, WORDS, |change| inner.apply(change))?;
        Ok(Subscriptions { dir, inner: Mutex::new(inner), journal: Mutex::new(journal) })
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn get(&self, name: &str) -> Option<Subscription> {
        self.lock().by_name.get(name).cloned()
    }

    /// # Errors
    /// There is none of the name; the nearest is named.
    pub fn find(&self, name: &str) -> Result<Subscription> {
        let inner = self.lock();
        inner.by_name.get(name).cloned().ok_or_else(|| {
            let near = nearest(name, inner.by_name.keys().map(String::as_str));
            let hint = near.map_or("`wharfe subscriptions list` shows them".into(), |near| {
                format!("did you mean {near}?")
            });
            Error::statement(format!("there is no subscription {name}")).hint(hint)
        })
    }

    pub fn all(&self) -> Vec<Subscription> {
        self.lock().by_name.values().cloned().collect()
    }

    pub fn has_room(&self) -> bool {
        self.lock().by_name.len() < SUBSCRIPTIONS_MAX
    }

    pub fn commit(&self, who: &str, what: Wish) -> Result<()> {
        let change = Change { who: who.into(), at_ms: now_ms(), what };
        let mut journal = self.journal.lock().unwrap_or_else(PoisonError::into_inner);
        journal.append(change.at_ms, &change)?;
        self.lock().apply(change);
        Ok(())
    }

    /// What delivers it now.
    pub fn handle(&self, name: &str) -> Option<Handle> {
        self.lock().running.get(name).cloned()
    }

    pub(super) fn set_handle(&self, name: &str, handle: Handle) {
        self.lock().running.insert(name.into(), handle);
    }

    pub(super) fn take_handle(&self, name: &str) -> Option<Handle> {
        self.lock().running.remove(name)
    }

    /// Stops all deliveries and keeps how far they are.
    pub async fn close(&self) {
        let running = std::mem::take(&mut self.lock().running);
        for handle in running.values() {
            handle.ask_to_stop();
        }
        for handle in running.into_values() {
            handle.stop().await;
        }
    }
}

impl Inner {
    fn apply(&mut self, change: Change<Wish>) {
        let (who, at_ms) = (change.who, change.at_ms);
        let name = match &change.what {
            Wish::Put { name, .. }
            | Wish::Deleted { name }
            | Wish::State { name, .. }
            | Wish::Secrets { name, .. } => name.clone(),
        };
        if let Wish::Put { spec, .. } = &change.what {
            let known = self.by_name.entry(name.clone()).or_insert_with(|| Subscription {
                name: name.clone(),
                spec: spec.clone(),
                state: State::Active,
                secrets: Vec::new(),
                changed_by: String::new(),
                changed_ms: 0,
            });
            if let Some(secret) = &spec.secret {
                known.secrets = vec![secret.clone()];
            }
            known.spec = Spec { secret: None, ..spec.clone() };
            known.state = State::Active;
        }
        if matches!(change.what, Wish::Deleted { .. }) {
            self.by_name.remove(&name);
        }
        let Some(known) = self.by_name.get_mut(&name) else { return };
        match change.what {
            Wish::State { state, .. } => known.state = state,
            Wish::Secrets { secrets, .. } => known.secrets = secrets,
            Wish::Put { .. } | Wish::Deleted { .. } => {}
        }
        (known.changed_by, known.changed_ms) = (who, at_ms);
    }
}
