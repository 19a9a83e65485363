//! Deliveries: a task a subscription, which reads its event and calls its receiver.
//!
//! ```text
//! reader ─► feed ─► lanes ─► http ─► receiver        2xx: progress; 410: retired; else again, in order
//!           (thread)   └─► dead                      given up: a dead letter
//! ```

mod dead;
mod feed;
pub mod guard;
mod http;
mod lanes;
mod progress;
mod push;
pub mod sign;

use super::Gateway;
use super::reader::{self, Cursor};
use super::subscriptions::{State, Subscription};
use crate::error::{Error, Result};
use guard::{Guard, Target};
use lanes::Lanes;
use progress::{Feed, Nexts, Progress};
use push::{Ask, Pusher};
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinHandle;

pub use dead::NAMESPACE as DEAD_LETTERS;

/// What is known of a subscription that is delivered.
#[derive(Default)]
pub struct Status {
    pub calls: AtomicU64,
    pub delivered: AtomicU64,
    pub failed: AtomicU64,
    pub dead: AtomicU64,
    pub last_ms: AtomicI64,
    /// Events that wait in memory, and keys whose receiver has failed.
    pub waiting: AtomicU64,
    pub parked: AtomicU64,
    /// On clusters, as far as is known.
    pub unread: AtomicU64,
    /// Time of the oldest event that waits; 0: none does.
    pub oldest_ms: AtomicI64,
    texts: Mutex<Texts>,
}

#[derive(Clone, Default)]
struct Texts {
    failure: Option<String>,
    trouble: Option<String>,
    nexts: Nexts,
}

impl Status {
    fn texts(&self) -> std::sync::MutexGuard<'_, Texts> {
        self.texts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What its receiver answered last, if it was no 2xx.
    pub fn last_failure(&self) -> Option<String> {
        self.texts().failure.clone()
    }

    /// What keeps the gateway itself from going on.
    pub fn last_trouble(&self) -> Option<String> {
        self.texts().trouble.clone()
    }

    fn failure(&self, why: &str) {
        self.texts().failure = Some(why.into());
    }

    fn clear_failure(&self) {
        self.texts().failure = None;
    }

    fn trouble(&self, why: &str) {
        self.texts().trouble = Some(why.into());
    }

    fn clear_trouble(&self) {
        self.texts().trouble = None;
    }

    fn measure(&self, lanes: &Lanes) {
        self.waiting.store(lanes.len() as u64, Ordering::Relaxed);
        self.oldest_ms.store(lanes.oldest_ms().unwrap_or(0), Ordering::Relaxed);
    }

    fn note(&self, progress: &Progress, lanes: &Lanes) {
        self.parked.store(lanes.parked() as u64, Ordering::Relaxed);
        self.measure(lanes);
        self.texts().nexts = progress.nexts(Feed::Event);
    }
}

/// A delivery that runs.
#[derive(Clone)]
pub struct Handle {
    pub status: Arc<Status>,
    ask: Arc<watch::Sender<Ask>>,
    task: Arc<Mutex<Option<JoinHandle<()>>>>,
}

impl Handle {
    pub fn ask_to_stop(&self) {
        self.ask.send_replace(Ask::Stop);
    }

    /// Returns when it has kept how far it is.
    pub async fn stop(self) {
        self.ask_to_stop();
        let task = self.task.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(task) = task {
            let _ = task.await;
        }
    }

    pub fn redrive(&self) {
        self.ask.send_modify(|ask| {
            *ask = Ask::Redrive(if let Ask::Redrive(n) = ask { n.wrapping_add(1) } else { 0 });
        });
    }
}

/// Delivers every subscription that is active.
pub fn start(gateway: &Arc<Gateway>) {
    for subscription in gateway.subscriptions.all() {
        if subscription.state == State::Active {
            begin(gateway, subscription);
        }
    }
}

/// What fails before it begins is tried again after so long.
const RETRY_EVERY: Duration = Duration::from_secs(5);

/// Starts to deliver a subscription.
pub fn begin(gateway: &Arc<Gateway>, subscription: Subscription) {
    let status: Arc<Status> = Arc::default();
    let (ask, asked) = watch::channel(Ask::Go);
    let (shared, noted, name) = (Arc::clone(gateway), Arc::clone(&status), subscription.name.clone());
    let task = tokio::spawn(async move {
        loop {
            let delivered = match Pusher::open(&shared, subscription.clone(), Arc::clone(&noted)) {
                Ok((pusher, outcomes)) => pusher.run(asked.clone(), outcomes).await,
                Err(error) => Err(error),
            };
            let Err(error) = delivered else { return };
            noted.trouble(&error.to_string());
            tracing::warn!("subscription {}: {error}", subscription.name);
            let mut asked = asked.clone();
            tokio::select! {
                _ = tokio::time::sleep(RETRY_EVERY) => {}
                _ = asked.wait_for(|ask| *ask == Ask::Stop) => return,
            }
        }
    });
    let handle = Handle { status, ask: Arc::new(ask), task: Arc::new(Mutex::new(Some(task))) };
    gateway.subscriptions.set_handle(&name, handle);
}

/// Stops to deliver a subscription, if it is delivered.
pub async fn end(gateway: &Gateway, name: &str) {
    if let Some(handle) = gateway.subscriptions.take_handle(name) {
        handle.stop().await;
    }
}

/// Notes where an event ends now, so that a new subscription from `latest` misses nothing that is published
/// before its delivery begins. Blocks.
pub fn begin_at_latest(gateway: &Gateway, subscription: &Subscription) -> Result<()> {
    let Some(route) = gateway.directory.route(&subscription.spec.event) else { return Ok(()) };
    let next = gateway.stores.ends(&route.current().site)?;
    let mut progress = Progress::default();
    progress.begin(Feed::Event, &Cursor { generation: route.current().number, next });
    super::files::write_json(&push::state_path(gateway, &subscription.name), &progress.save())
}

/// Forgets how far a subscription is.
pub fn forget(gateway: &Gateway, name: &str) {
    // It may never have been kept.
    let _ = std::fs::remove_file(push::state_path(gateway, name));
}

fn client(gateway: &Gateway, subscription: &Subscription) -> Result<http::Client> {
    let target = Target::parse(&subscription.spec.url).map_err(Error::statement)?;
    let guard = Arc::new(guard(gateway)?);
    let timeout = Duration::from_millis(subscription.spec.timeout_ms);
    Ok(http::Client::new(target, guard, timeout, subscription.spec.concurrency as usize))
}

fn guard(gateway: &Gateway) -> Result<Guard> {
    Guard::new(&gateway.directory.zones.gateway.callbacks).map_err(Error::topology)
}

/// Whether a call-back may go to an address, as far as that is known before it is looked up.
pub async fn check_url(gateway: &Gateway, url: &str) -> Result<()> {
    let target = Target::parse(url).map_err(Error::statement)?;
    let guard = guard(gateway)?;
    // A name that cannot be looked up now may be later; it is checked at every call.
    let Ok(addresses) = tokio::net::lookup_host((target.host.as_str(), target.port)).await else {
        return Ok(());
    };
    let mut refused = None;
    for address in addresses {
        match guard.check(&target.host, address.ip()) {
            Ok(()) => return Ok(()),
            Err(why) => refused = Some(why),
        }
    }
    match refused {
        Some(why) => Err(Error::statement(format!("{url} cannot be called: {why}"))),
        None => Ok(()),
    }
}

/// How far a subscription is behind: events that are stored and not delivered.
pub fn behind(gateway: &Gateway, subscription: &Subscription, status: &Status) -> Option<u64> {
    let nexts = status.texts().nexts.clone();
    let first = nexts.keys().map(|(generation, ..)| *generation).min()?;
    let next = |generation, cluster: &str, partition| {
        nexts.get(&(generation, cluster.to_string(), partition)).copied()
    };
    let behind = reader::behind(gateway, &subscription.spec.event, first, next)?;
    Some(behind.max(status.waiting.load(Ordering::Relaxed)) + status.unread.load(Ordering::Relaxed))
}
