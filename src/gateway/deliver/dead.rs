//! Dead letters: events that could not be delivered, kept as they were beside why, under an event of the
//! subscription's own: `dead-letters/NAME`, in the zone of the event. Their headers are Kafka Streams'.

use super::lanes::Item;
use super::progress::Place;
use crate::connector::{Opening, Position, Share, Split, Start, Survey, Team, open_surveyed};
use crate::connector::{Place as At, Poll};
use crate::error::{Error, Result};
use crate::gateway::directory::Moved;
use crate::gateway::store::{NewRecord, NotStored};
use crate::gateway::subscriptions::Subscription;
use crate::gateway::{Gateway, blocking, now_ms};
use crate::headers;
use crate::topology::{EventEntry, EventName};
use std::sync::Arc;
use std::time::{Duration, Instant};

pub const NAMESPACE: &str = "dead-letters";

pub fn event_of(subscription: &str) -> Result<EventName> {
    EventName::new(NAMESPACE, subscription).map_err(Error::statement)
}

/// Dead letters are kept in the zone of their event, whatever the topology says of the namespace, and are
/// not archived.
fn settle(gateway: &Gateway, event: &EventName, of: &EventName) -> Result<()> {
    if gateway.directory.route(event).is_none() {
        let zone = gateway.entry(of)?.zone;
        let entry = EventEntry { archive: false, ..EventEntry::of_zone(&zone) };
        let put = Moved::Entry { event: event.clone(), entry: Some(entry) };
        gateway.directory.commit("subscriptions", put)?;
        gateway.settle(event)?;
    }
    Ok(())
}

/// Stores an event's record once more, with the error's headers.
pub async fn store(
    gateway: &Arc<Gateway>,
    subscription: &Subscription,
    item: &Item,
    cause: &str,
    attempts: u32,
) -> Result<()> {
    let event = event_of(&subscription.name)?;
    let (reading, settled, of) = (Arc::clone(gateway), event.clone(), subscription.spec.event.clone());
    let place = item.place.clone();
    let (mut record, topic) = blocking(move || {
        settle(&reading, &settled, &of)?;
        read(&reading, &settled, &of, &place)
    })
    .await?;
    for (name, value) in [
        ("__streams.errors.exception", "wharfe.DeliveryFailed"),
        ("__streams.errors.message", cause),
        ("__streams.errors.stacktrace", ""),
        ("__streams.errors.topic", topic.as_str()),
        ("__streams.errors.partition", &item.place.partition.to_string()),
        ("__streams.errors.offset", &item.place.offset.to_string()),
        ("wharfe_subscription", &subscription.name),
        ("wharfe_attempts", &attempts.to_string()),
        ("wharfe_given_up_ms", &now_ms().to_string()),
    ] {
        headers::push(name.as_bytes(), Some(value.as_bytes()), &mut record.headers);
    }
    let (_, stored) = gateway.store(&event, vec![record]).await?;
    match stored.into_iter().next() {
        Some(Ok(_)) => Ok(()),
        Some(Err(NotStored::Away(why))) => Err(Error::runtime(why)),
        Some(Err(NotStored::Failed(error))) => Err(error),
        None => Err(Error::runtime("nothing was stored")),
    }
}

/// Reading one record again may take so long.
const PATIENCE: Duration = Duration::from_secs(10);

/// The record of an item, as it is stored, and its topic.
fn read(
    gateway: &Gateway,
    dead: &EventName,
    event: &EventName,
    place: &Place,
) -> Result<(NewRecord, String)> {
    let of = if place.feed == super::progress::Feed::DeadLetters { dead } else { event };
    let route = gateway.settle(of)?;
    let gone = || Error::runtime(format!("record {} of {of} is not there any more", place.offset));
    let site = route.generations.get(place.generation as usize).map(|g| g.site.clone()).ok_or_else(gone)?;
    let at = gateway.stores.place(&site, &place.cluster)?;
    let split = Split { partition: place.partition as i32, next: place.offset as u64, end: Split::OPEN };
    let resumed = Some(Position { splits: vec![split], ..Position::default() });
    let marks = match &at {
        At::Kafka { cluster, topic } => crate::connector::kafka::survey(cluster, topic)?.marks,
        _ => None,
    };
    let share = Share::Part { index: place.partition as usize, of: place.partition as usize + 1 };
    let opening = Opening { share, start: Start::Earliest, bounded: false, opened_ms: 0 };
    let mut source =
        open_surveyed(&at, opening, &Survey { resumed, marks, ..Survey::default() }, &Team::alone())?;
    source.read_headers(true);
    let until = Instant::now() + PATIENCE;
    while Instant::now() < until {
        let batch = match source.poll(64 << 10, now_ms())? {
            Poll::Messages(batch) if batch.partition as u32 == place.partition => batch,
            Poll::Done => return Err(gone()),
            Poll::Messages(_) => continue,
            Poll::Pending => {
                std::thread::sleep(Duration::from_millis(5));
                continue;
            }
        };
        let Some(i) = batch.offsets.iter().position(|offset| *offset == place.offset) else {
            return Err(gone());
        };
        let mut headers = Vec::new();
        // What an earlier failure said is replaced by what this one says.
        for (name, value) in headers_of(batch.headers.block(i)) {
            headers::push(name, value, &mut headers);
        }
        let record = NewRecord {
            timestamp: batch.timestamps.at(i),
            key: batch.key(i).map(<[u8]>::to_vec),
            value: batch.value(i).unwrap_or_default().to_vec(),
            headers,
        };
        return Ok((record, site.topic));
    }
    Err(gone())
}

fn headers_of(block: &[u8]) -> impl Iterator<Item = (&[u8], Option<&[u8]>)> {
    headers::of(block)
        .filter(|(name, _)| !name.starts_with(b"__streams.errors.") && !name.starts_with(b"wharfe_"))
}
