//! What a subscription is to deliver: a thread that reads its event, lets the filter choose, and makes a
//! CloudEvent of each record.

use super::lanes::Item;
use super::progress::{Feed, Place, Progress};
use crate::error::{Error, Result};
use crate::gateway::cloudevents::{self, Attributes};
use crate::gateway::directory::Route;
use crate::gateway::filter::Filter;
use crate::gateway::reader::{From, Portion, Reader};
use crate::gateway::subscriptions::Subscription;
use crate::gateway::trace::Step;
use crate::gateway::{Gateway, now_ms};
use crate::registry::Lookups;
use crate::topology::EventName;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::sync::mpsc;
use xxhash_rust::xxh3::xxh3_64;

/// Portions that wait for the pusher: with the one in its hands about a MiB.
const PORTIONS_MAX: usize = 2;
const RETRY_EVERY: Duration = Duration::from_millis(500);

/// Some records of one partition.
pub struct Fed {
    /// Of the first.
    pub place: Place,
    /// All before it is read.
    pub read_to: i64,
    pub items: Vec<Item>,
    /// What there is on clusters behind it.
    pub unread: u64,
}

pub enum News {
    /// Where the first read begins.
    Begun(Feed, crate::gateway::reader::Cursor),
    Fed(Fed),
    /// What it could not do last, and tries again.
    Trouble(String),
    /// It was asked to read so far only.
    End,
}

/// What a feed reads.
pub struct Order {
    pub feed: Feed,
    pub event: EventName,
    pub subscription: Subscription,
    pub from: From,
    /// Stop at what is there now.
    pub bounded: bool,
    /// What an earlier run has finished.
    pub done: Progress,
}

/// Starts to read; ends when the receiver is dropped or `stop` is set.
pub fn start(gateway: &Arc<Gateway>, order: Order, stop: Arc<AtomicBool>) -> Result<mpsc::Receiver<News>> {
    let (sender, receiver) = mpsc::channel(PORTIONS_MAX);
    let gateway = Arc::downgrade(gateway);
    let run = move || {
        let mut feeding = Feeding { order, sender, stop, filter: None };
        feeding.run(&gateway);
    };
    std::thread::Builder::new()
        .name("feed".into())
        .spawn(run)
        .map_err(|e| Error::runtime(format!("cannot start a thread: {e}")))?;
    Ok(receiver)
}

struct Feeding {
    order: Order,
    sender: mpsc::Sender<News>,
    stop: Arc<AtomicBool>,
    filter: Option<Filter>,
}

impl Feeding {
    fn run(&mut self, gateway: &Weak<Gateway>) {
        while !self.is_stopped() {
            match self.read(gateway) {
                Ok(()) => return,
                Err(error) => {
                    if self.sender.blocking_send(News::Trouble(error.to_string())).is_err() {
                        return;
                    }
                    std::thread::sleep(RETRY_EVERY);
                }
            }
        }
    }

    fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed) || self.sender.is_closed()
    }

    /// Reads until it is stopped.
    fn read(&mut self, weak: &Weak<Gateway>) -> Result<()> {
        let Some(gateway) = weak.upgrade() else { return Ok(()) };
        let route = gateway.settle(&self.order.event)?;
        let filter = self.order.subscription.spec.filter.clone().filter(|_| self.order.feed == Feed::Event);
        if let Some(text) = &filter {
            let schema = gateway.schemas.available(&self.order.event).ok_or_else(|| {
                Error::statement(format!("{} has no schema that is available", self.order.event))
            })?;
            let lookups = Lookups::new(gateway.schemas.client().clone());
            self.filter = Some(Filter::open(text, &schema, &lookups)?);
        }
        let mut reader = Reader::open(&gateway, Arc::clone(&route), &self.order.from)?;
        let end = self.order.bounded.then(|| gateway.stores.ends(&route.current().site)).transpose()?;
        drop(gateway);
        if self.sender.blocking_send(News::Begun(self.order.feed, reader.cursor().clone())).is_err() {
            return Ok(());
        }
        while !self.is_stopped() {
            let Some(gateway) = weak.upgrade() else { return Ok(()) };
            if let Some(portion) = reader.poll()? {
                let fed = Fed { unread: reader.unread(), ..self.fed(&gateway, reader.route(), portion)? };
                // Where to go on, should something fail.
                self.order.from = From::At(reader.cursor().clone());
                drop(gateway);
                if self.sender.blocking_send(News::Fed(fed)).is_err() {
                    return Ok(());
                }
                continue;
            }
            if let Some(end) = &end {
                let next = &reader.cursor().next;
                let read = |cluster, partition| {
                    next.get(cluster).and_then(|n: &crate::connector::log::Ends| n.get(partition))
                };
                let is_read = end.iter().all(|(cluster, ends)| {
                    ends.iter().all(|(partition, end)| read(cluster, partition).copied().unwrap_or(0) >= *end)
                });
                if is_read {
                    let _ = self.sender.blocking_send(News::End);
                    return Ok(());
                }
            }
            drop(gateway);
            reader.wait();
        }
        Ok(())
    }

    fn fed(&mut self, gateway: &Gateway, route: &Route, portion: Portion) -> Result<Fed> {
        let batch = &portion.batch;
        let pass = match &mut self.filter {
            None => None,
            Some(filter) => {
                while !filter.is_ready(batch) {
                    if self.stop.load(Ordering::Relaxed) || self.sender.is_closed() {
                        return Err(Error::runtime("it was stopped"));
                    }
                    std::thread::sleep(RETRY_EVERY / 50);
                }
                Some(filter.pass(batch))
            }
        };
        let place = |offset| Place {
            feed: self.order.feed,
            generation: portion.generation,
            cluster: Arc::clone(&portion.cluster),
            partition: batch.partition as u32,
            offset,
        };
        let mut items = Vec::with_capacity(portion.records.len());
        for i in portion.records.clone() {
            let place = place(batch.offsets[i]);
            if self.order.done.is_done(&place) {
                continue;
            }
            let item = self.item(gateway, route, &portion, i, place);
            if pass.as_ref().is_some_and(|pass| !pass[i]) {
                let subscription = self.order.subscription.name.clone();
                gateway.trace.step(&item.source, &item.id, now_ms(), Step::Filtered { subscription });
                continue;
            }
            items.push(item);
        }
        let (first, last) = (portion.records.start, portion.records.end - 1);
        Ok(Fed { place: place(batch.offsets[first]), read_to: batch.offsets[last] + 1, items, unread: 0 })
    }

    fn item(&self, gateway: &Gateway, route: &Route, portion: &Portion, i: usize, place: Place) -> Item {
        let batch = &portion.batch;
        let block = batch.headers.block(i);
        let attributes = Attributes::of(block);
        // A dead letter is delivered as the event that it was.
        let event = match self.order.feed {
            Feed::Event => &self.order.event,
            Feed::DeadLetters => &self.order.subscription.spec.event,
        };
        let site = route.generations.get(portion.generation as usize).map_or("", |g| g.site.zone.as_str());
        let at = cloudevents::Place {
            event,
            zone: site,
            cluster: &portion.cluster,
            partition: place.partition,
            offset: place.offset,
            timestamp: batch.timestamps.at(i),
        };
        let mut data = String::new();
        let decoded = cloudevents::data_of(batch.value(i), |id| gateway.codec(id), &mut data);
        let body = decoded.map(|()| {
            let mut body = String::with_capacity(data.len() + 512);
            cloudevents::outgoing(&at, block, batch.key(i), &data, &mut body);
            body
        });
        Item {
            lane: batch.key(i).map(xxh3_64),
            id: attributes.id.map_or_else(|| at.id(), String::from),
            source: attributes.source.unwrap_or("/kafka").to_string(),
            traceparent: attributes.traceparent.unwrap_or_default().to_string(),
            body,
            timestamp: at.timestamp,
            place,
        }
    }
}
