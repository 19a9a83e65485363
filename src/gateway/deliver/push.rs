//! Delivers one subscription: calls its receiver, several keys at a time, each key's events in order; tries
//! again what fails, and lays down what fails for too long.

use super::feed::{self, Fed, News, Order};
use super::http::{Answer, Client};
use super::lanes::{Call, Item, Lanes};
use super::progress::{Feed, Progress, Saved};
use super::{Status, dead, sign};
use crate::error::{Error, Result};
use crate::gateway::reader::{Cursor, From};
use crate::gateway::subscriptions::{State, Subscription, Wish};
use crate::gateway::trace::Step;
use crate::gateway::{Gateway, files, now_ms};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

/// The first pause after a failure; each is twice as long as the one before, up to the last.
const PAUSE_FIRST_MS: i64 = 500;
const PAUSE_LAST_MS: i64 = 300_000;
/// How far a subscription is is kept so often.
const SAVE_EVERY: Duration = Duration::from_millis(500);
/// Asked to stop, calls under way may take so long to end.
const FAREWELL: Duration = Duration::from_secs(2);

/// What a pusher may be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    Go,
    /// Deliver the dead letters again; the number only tells one wish from the next.
    Redrive(u32),
    Stop,
}

/// What became of a call.
pub struct Outcome {
    call: Call,
    answer: Result<Answer, String>,
}

pub struct Pusher {
    gateway: Arc<Gateway>,
    subscription: Subscription,
    status: Arc<Status>,
    client: Arc<Client>,
    keys: Vec<ring::hmac::Key>,
    lanes: Lanes,
    progress: Progress,
    saved: Saved,
    under_way: u32,
    outcomes: mpsc::Sender<Outcome>,
    /// 429: nothing goes before that.
    held_until_ms: i64,
    /// When the next call may go, by the rate.
    next_call: Instant,
    stop_feeds: Arc<AtomicBool>,
    is_over: bool,
    /// Nobody reads for it any more, though it was not asked to stop.
    is_deserted: bool,
}

pub fn state_path(gateway: &Gateway, name: &str) -> std::path::PathBuf {
    gateway.subscriptions.dir.join(format!("{name}.json"))
}

impl Pusher {
    /// What an earlier run has kept, and who calls.
    pub fn open(
        gateway: &Arc<Gateway>,
        subscription: Subscription,
        status: Arc<Status>,
    ) -> Result<(Pusher, Outcomes)> {
        // It has room for all calls under way.
        let (sender, receiver) = mpsc::channel(subscription.spec.concurrency as usize);
        let saved: Saved = files::read_json(&state_path(gateway, &subscription.name))?.unwrap_or_default();
        let client = super::client(gateway, &subscription)?;
        let keys = subscription.secrets.iter().map(|secret| sign::key(secret)).collect::<Result<_>>()?;
        let pusher = Pusher {
            gateway: Arc::clone(gateway),
            client: Arc::new(client),
            keys,
            lanes: Lanes::default(),
            progress: Progress::resume(&saved),
            saved,
            under_way: 0,
            outcomes: sender,
            held_until_ms: 0,
            next_call: Instant::now(),
            stop_feeds: Arc::default(),
            is_over: false,
            is_deserted: false,
            status,
            subscription,
        };
        Ok((pusher, receiver))
    }

    /// Delivers until it is asked to stop, or its receiver is gone.
    pub async fn run(mut self, mut ask: watch::Receiver<Ask>, mut outcomes: Outcomes) -> Result<()> {
        let mut main = self.feed(Feed::Event, false)?;
        let mut again: Option<mpsc::Receiver<News>> = None;
        let mut save = tokio::time::interval(SAVE_EVERY);
        save.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        while !self.is_over {
            self.send_calls();
            let wake = self.wake();
            let has_room = self.lanes.has_room();
            tokio::select! {
                news = main.recv(), if has_room => self.hear(news),
                news = next_of(&mut again), if has_room && again.is_some() => {
                    if matches!(news, None | Some(News::End)) { again = None; } else { self.hear(news); }
                }
                Some(outcome) = outcomes.recv() => self.settle(outcome).await,
                _ = tokio::time::sleep_until(wake) => {}
                _ = save.tick() => self.save().await,
                changed = ask.changed() => {
                    let asked = *ask.borrow_and_update();
                    match asked {
                        Ask::Stop => break,
                        _ if changed.is_err() => break,
                        Ask::Redrive(_) => again = Some(self.feed(Feed::DeadLetters, true)?),
                        Ask::Go => {}
                    }
                }
            }
        }
        self.finish(&mut outcomes).await;
        match self.is_deserted {
            true => Err(Error::runtime("what reads for it has ended; the log says why")),
            false => Ok(()),
        }
    }

    fn feed(&self, feed: Feed, bounded: bool) -> Result<mpsc::Receiver<News>> {
        let event = match feed {
            Feed::Event => self.subscription.spec.event.clone(),
            Feed::DeadLetters => dead::event_of(&self.subscription.name)?,
        };
        let from = match self.progress.cursor(feed) {
            Some(cursor) => From::At(cursor),
            None if feed == Feed::DeadLetters => From::Earliest,
            None if self.subscription.spec.from == "latest" => From::Latest,
            None => From::Earliest,
        };
        let order = Order {
            feed,
            event,
            subscription: self.subscription.clone(),
            from,
            bounded,
            done: Progress::resume(&self.saved_of(feed)),
        };
        feed::start(&self.gateway, order, Arc::clone(&self.stop_feeds))
    }

    /// What must not be delivered again: of the dead letters all that were read in this run, too.
    fn saved_of(&self, feed: Feed) -> Saved {
        if feed == Feed::Event { self.saved.clone() } else { self.progress.save() }
    }

    fn hear(&mut self, news: Option<News>) {
        match news {
            Some(News::Begun(feed, cursor)) => self.begin(feed, &cursor),
            Some(News::Fed(fed)) => {
                self.status.clear_trouble();
                self.take(fed);
            }
            Some(News::Trouble(why)) => self.status.trouble(&why),
            Some(News::End) => {}
            // The thread ends only when it is asked to.
            None => (self.is_over, self.is_deserted) = (true, true),
        }
    }

    fn begin(&mut self, feed: Feed, cursor: &Cursor) {
        self.progress.begin(feed, cursor);
    }

    fn take(&mut self, fed: Fed) {
        let since = self.subscription.spec.from_ms().ok().flatten().unwrap_or(i64::MIN);
        let items: Vec<Item> = fed.items.into_iter().filter(|item| item.timestamp >= since).collect();
        self.status.unread.store(fed.unread, Ordering::Relaxed);
        self.progress.read(&fed.place, fed.read_to, items.iter().map(|item| item.place.offset));
        items.into_iter().for_each(|item| self.lanes.push(item));
        self.status.measure(&self.lanes);
    }

    /// When something is to be done that nobody will tell of.
    fn wake(&self) -> Instant {
        let now = now_ms();
        let parked = self.lanes.next_ms().map_or(60_000, |at| at - now);
        let held = if self.held_until_ms > now { self.held_until_ms - now } else { i64::MAX };
        // A receiver that asked for patience holds back all.
        let pause = if held == i64::MAX { parked } else { held };
        let at = Instant::now() + Duration::from_millis(pause.clamp(1, 60_000) as u64);
        if self.subscription.spec.rate.is_some() && !self.lanes.is_empty() {
            at.min(self.next_call.max(Instant::now() + Duration::from_millis(1)))
        } else {
            at
        }
    }

    fn send_calls(&mut self) {
        let spec = &self.subscription.spec;
        while self.under_way < spec.concurrency && self.held_until_ms <= now_ms() {
            if spec.rate.is_some() && Instant::now() < self.next_call {
                return;
            }
            let Some(call) = self.lanes.call(spec.batch as usize, now_ms()) else { return };
            if let Some(rate) = spec.rate {
                self.next_call = self.next_call.max(Instant::now() - Duration::from_millis(100))
                    + Duration::from_secs_f64(1.0 / rate);
            }
            self.under_way += 1;
            self.status.calls.fetch_add(1, Ordering::Relaxed);
            let (client, outcomes) = (Arc::clone(&self.client), self.outcomes.clone());
            match self.request(&call) {
                Ok((headers, body)) => drop(tokio::spawn(async move {
                    let answer = client.post(headers, body).await;
                    let _ = outcomes.send(Outcome { call, answer }).await;
                })),
                // It cannot be read: no receiver could do anything about it.
                Err(why) => {
                    drop(outcomes.try_send(Outcome { call, answer: Err(format!("{UNREADABLE}{why}")) }))
                }
            }
        }
    }

    fn request(&self, call: &Call) -> Result<(HeaderMap, Bytes), String> {
        let items: Vec<&Item> = call.sequences.iter().filter_map(|s| self.lanes.item(*s)).collect();
        let is_batch = self.subscription.spec.batch > 1;
        let mut body = String::new();
        for (i, item) in items.iter().enumerate() {
            body.push_str(if !is_batch {
                ""
            } else if i == 0 {
                "["
            } else {
                ","
            });
            body.push_str(item.body.as_ref().map_err(String::clone)?);
        }
        if is_batch {
            body.push(']');
        }
        let first = items.first().ok_or("the call is empty")?;
        // The same at every attempt: receivers know what they have had by it.
        let id =
            if items.len() == 1 { first.id.clone() } else { format!("{}+{}", first.id, items.len() - 1) };
        let timestamp = now_ms() / 1000;
        let body = Bytes::from(body);
        let mut headers = HeaderMap::new();
        let mut put = |name: &'static str, value: &str| {
            if let Ok(value) = HeaderValue::from_str(value) {
                headers.insert(name, value);
            }
        };
        let media_type =
            if is_batch { "application/cloudevents-batch+json" } else { "application/cloudevents+json" };
        put("content-type", &format!("{media_type}; charset=utf-8"));
        put("user-agent", concat!("wharfe/", env!("CARGO_PKG_VERSION")));
        put("webhook-id", &id);
        put("webhook-timestamp", &timestamp.to_string());
        put("webhook-signature", &sign::signature(&self.keys, &id, timestamp, &body));
        if !is_batch && !first.traceparent.is_empty() {
            put("traceparent", &first.traceparent);
        }
        Ok((headers, body))
    }

    async fn settle(&mut self, outcome: Outcome) {
        self.under_way -= 1;
        let Outcome { call, answer } = outcome;
        match &answer {
            Ok(answer) if (200..300).contains(&answer.status) => self.delivered(call, answer.status),
            Ok(answer) if answer.status == 410 => self.retire(&call).await,
            Ok(answer) => {
                let cause = format!("status {}", answer.status);
                // A receiver that does not take the media type will not take it later.
                let is_hopeless = answer.status == 415;
                let asked_ms = answer.retry_after_s.map(|s| (s.min(86_400) as i64) * 1000);
                if answer.status == 429 {
                    self.held_until_ms = now_ms() + asked_ms.unwrap_or(1_000);
                }
                self.failed(call, &cause, is_hopeless, asked_ms).await;
            }
            Err(cause) => {
                let unreadable = cause.strip_prefix(UNREADABLE);
                let cause = unreadable.unwrap_or(cause).to_string();
                self.failed(call, &cause, unreadable.is_some(), None).await;
            }
        }
        self.status.measure(&self.lanes);
    }

    fn delivered(&mut self, call: Call, status: u16) {
        let attempts = call.attempt;
        let now = now_ms();
        for item in self.lanes.finish(call) {
            self.progress.finish(&item.place);
            self.status.delivered.fetch_add(1, Ordering::Relaxed);
            self.status.last_ms.store(now, Ordering::Relaxed);
            let step = Step::Delivered { subscription: self.subscription.name.clone(), status, attempts };
            self.gateway.trace.step(&item.source, &item.id, now, step);
        }
        self.status.clear_failure();
    }

    async fn failed(&mut self, call: Call, cause: &str, is_hopeless: bool, asked_ms: Option<i64>) {
        let (now, attempts) = (now_ms(), call.attempt);
        self.status.failed.fetch_add(1, Ordering::Relaxed);
        self.status.failure(cause);
        let give_up = (self.subscription.spec.give_up_s as i64).saturating_mul(1000);
        // Only what goes alone is judged: a batch is taken apart first.
        let is_alone = call.sequences.len() == 1;
        if is_alone && (is_hopeless || now - call.first_ms >= give_up) {
            if self.lay_down(&call, cause).await {
                return;
            }
            return self.lanes.park(&call, now + PAUSE_FIRST_MS);
        }
        for item in call.sequences.iter().filter_map(|sequence| self.lanes.item(*sequence)) {
            let step =
                Step::Failed { subscription: self.subscription.name.clone(), cause: cause.into(), attempts };
            self.gateway.trace.step(&item.source, &item.id, now, step);
        }
        let pause = PAUSE_FIRST_MS.saturating_mul(1 << (attempts - 1).min(20)).min(PAUSE_LAST_MS);
        // Apart by up to a fifth, so that what failed together does not come back together.
        let jitter = pause / 5;
        let jitter = if jitter > 0 {
            (now.wrapping_mul(2_862_933_555_777_941_757) >> 33).rem_euclid(jitter)
        } else {
            0
        };
        let pause = if is_alone { pause + jitter } else { 0 };
        self.lanes.park(&call, now + pause.max(asked_ms.unwrap_or(0)));
    }

    /// Stores an event as a dead letter; false: that could not be done now.
    async fn lay_down(&mut self, call: &Call, cause: &str) -> bool {
        let Some(item) = call.sequences.first().and_then(|sequence| self.lanes.item(*sequence)).cloned()
        else {
            return true;
        };
        if let Err(error) = dead::store(&self.gateway, &self.subscription, &item, cause, call.attempt).await {
            self.status.trouble(&format!("a dead letter cannot be stored: {error}"));
            return false;
        }
        self.lanes.finish(call.clone());
        self.progress.finish(&item.place);
        self.status.dead.fetch_add(1, Ordering::Relaxed);
        let step = Step::DeadLettered {
            subscription: self.subscription.name.clone(),
            cause: cause.into(),
            attempts: call.attempt,
        };
        self.gateway.trace.step(&item.source, &item.id, now_ms(), step);
        true
    }

    /// The receiver says that it is gone for good.
    async fn retire(&mut self, call: &Call) {
        self.lanes.put_back(call);
        self.is_over = true;
        self.status.failure("status 410: the receiver is gone");
        let (gateway, name) = (Arc::clone(&self.gateway), self.subscription.name.clone());
        let retired = Wish::State { name: name.clone(), state: State::Retired };
        let done = crate::gateway::blocking(move || gateway.subscriptions.commit("receiver", retired)).await;
        match done {
            Ok(()) => tracing::info!("subscription {name} is retired: its receiver answered 410"),
            Err(error) => tracing::error!("subscription {name} could not be retired: {error}"),
        }
    }

    async fn save(&mut self) {
        let saved = self.progress.save();
        self.status.note(&self.progress, &self.lanes);
        if saved == self.saved {
            return;
        }
        let (path, kept) = (state_path(&self.gateway, &self.subscription.name), saved.clone());
        match crate::gateway::blocking(move || files::write_json(&path, &kept)).await {
            Ok(()) => self.saved = saved,
            Err(error) => self.status.trouble(&error.to_string()),
        }
    }

    /// Waits for calls under way, for a moment, and keeps how far it is.
    async fn finish(&mut self, outcomes: &mut Outcomes) {
        self.stop_feeds.store(true, Ordering::Relaxed);
        let until = Instant::now() + FAREWELL;
        while self.under_way > 0 {
            match tokio::time::timeout_at(until, outcomes.recv()).await {
                Ok(Some(outcome)) => self.settle(outcome).await,
                _ => break,
            }
        }
        self.save().await;
    }
}

/// Marks what no receiver can be blamed for.
const UNREADABLE: &str = "unreadable: ";

type Outcomes = mpsc::Receiver<Outcome>;

async fn next_of(feed: &mut Option<mpsc::Receiver<News>>) -> Option<News> {
    match feed {
        Some(feed) => feed.recv().await,
        None => std::future::pending().await,
    }
}
