//! Creates and deletes topics.

use super::client::{Client, Trouble, config, fatal, not_made, unknown_topic};
use crate::connector::Layout;
use crate::error::{Error, Result};
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::{Duration, Instant};

/// The partitions of a topic that is there afterwards, whoever made it.
pub fn ensure(client: &Client, topic: &str, layout: Layout) -> Result<u32, Trouble> {
    let deadline = Instant::now() + client.patience;
    let not_yet = |error: Error| match error == unknown_topic(&client.cluster, topic) {
        true => Trouble::Away(error.message),
        false => Trouble::Fatal(error),
    };
    match client.partitions(topic) {
        // It comes up.
        Err(Trouble::Fatal(error)) if has(client, topic)? => return Err(not_yet(error)),
        Err(Trouble::Fatal(_)) => {}
        known => return known,
    }
    // -1: the cluster decides.
    let replicas = TopicReplication::Fixed(layout.replicas.map_or(-1, i32::from));
    let new = NewTopic::new(topic, layout.partitions as i32, replicas);
    let made = ask(client, |admin, options| wait(admin.create_topics([&new], options)))?;
    match made.into_iter().next() {
        None | Some(Ok(_) | Err((_, Code::TopicAlreadyExists))) => {}
        // It chooses from the brokers that have come up: none, right after its start.
        Some(Err((_, code @ Code::InvalidReplicationFactor))) if layout.replicas.is_none() => {
            return Err(Trouble::Away(code.to_string()));
        }
        Some(Err((_, code))) => return Err(refused(client, "create", topic, code)),
    }
    // It is announced to the brokers a little later.
    loop {
        match client.partitions(topic) {
            Err(_) if Instant::now() < deadline => std::thread::sleep(Duration::from_millis(20)),
            // It has been made, and will be known.
            Err(Trouble::Fatal(error)) => return Err(not_yet(error)),
            result => return result,
        }
    }
}

/// Whether the cluster lists the topic: asking for one by name does not tell absent from forbidden.
fn has(client: &Client, topic: &str) -> Result<bool, Trouble> {
    Ok(client.topics()?.iter().any(|(name, _)| name == topic))
}

pub fn delete(client: &Client, topic: &str) -> Result<(), Trouble> {
    let gone = ask(client, |admin, options| wait(admin.delete_topics(&[topic], options)))?;
    match gone.into_iter().next() {
        Some(Err((_, code))) if code != Code::UnknownTopicOrPartition => {
            Err(refused(client, "delete", topic, code))
        }
        _ => Ok(()),
    }
}

fn ask<T>(
    client: &Client,
    request: impl FnOnce(&AdminClient<DefaultClientContext>, &AdminOptions) -> Result<T, KafkaError>,
) -> Result<T, Trouble> {
    let cluster = &client.cluster;
    let admin = config(cluster, &[], &[])
        .and_then(|config| config.create().map_err(|e| not_made(cluster, e)))
        .map_err(Trouble::Fatal)?;
    let patience = Some(client.patience);
    let options = AdminOptions::new().request_timeout(patience).operation_timeout(patience);
    request(&admin, &options).map_err(|e| Trouble::Away(e.to_string()))
}

fn refused(client: &Client, doing: &str, topic: &str, code: Code) -> Trouble {
    if matches!(code, Code::RequestTimedOut | Code::NotController | Code::BrokerNotAvailable) {
        return Trouble::Away(code.to_string());
    }
    let cluster = &client.cluster;
    Trouble::Fatal(
        fatal(cluster, topic, code)
            .unwrap_or_else(|| Error::runtime(format!("{cluster} does not {doing} topic {topic}: {code}"))),
    )
}

/// Waits for an answer that another thread will bring.
fn wait<F: Future>(future: F) -> F::Output {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => std::thread::park(),
        }
    }
}
