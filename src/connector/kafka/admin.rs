//! Creates and deletes topics.

use super::client::{Client, Trouble, config, fatal, not_made};
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
pub fn ensure(client: &Client, topic: &str, partitions: u32, timeout: Duration) -> Result<u32, Trouble> {
    let deadline = Instant::now() + timeout;
    match client.partitions(topic, timeout) {
        Err(Trouble::Fatal(_)) if !has(client, topic, timeout)? => {}
        known => return known,
    }
    // The cluster decides how many replicas there are.
    let new = NewTopic::new(topic, partitions as i32, TopicReplication::Fixed(-1));
    let made = ask(client, |admin, options| wait(admin.create_topics([&new], options)), timeout)?;
    match made.into_iter().next() {
        None | Some(Ok(_) | Err((_, Code::TopicAlreadyExists))) => {}
        Some(Err((_, code))) => return Err(refused(client, "create", topic, code)),
    }
    // It is announced to the brokers a little later.
    loop {
        match client.partitions(topic, timeout) {
            Err(_) if Instant::now() < deadline => std::thread::sleep(Duration::from_millis(20)),
            result => return result,
        }
    }
}

/// Whether the cluster lists the topic: asking for one by name does not tell absent from forbidden.
fn has(client: &Client, topic: &str, timeout: Duration) -> Result<bool, Trouble> {
    Ok(client.topics(timeout)?.iter().any(|(name, _)| name == topic))
}

pub fn delete(client: &Client, topic: &str, timeout: Duration) -> Result<(), Trouble> {
    let gone = ask(client, |admin, options| wait(admin.delete_topics(&[topic], options)), timeout)?;
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
    timeout: Duration,
) -> Result<T, Trouble> {
    let cluster = &client.cluster;
    let admin = config(cluster, &[], &[])
        .and_then(|config| config.create().map_err(|e| not_made(cluster, e)))
        .map_err(Trouble::Fatal)?;
    let options = AdminOptions::new().request_timeout(Some(timeout)).operation_timeout(Some(timeout));
    request(&admin, &options).map_err(|e| Trouble::Away(e.to_string()))
}

fn refused(client: &Client, doing: &str, topic: &str, code: Code) -> Trouble {
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
