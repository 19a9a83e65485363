//! Topics on a Kafka cluster, by way of librdkafka.
//!
//! A partition is read by the worker `partition % of`, assigned by hand: no consumer group decides,
//! nothing is committed. What may block (metadata, watermarks, closing) is done by a source's clerk,
//! a thread of its own; workers only take what has arrived, many records a call ([`queue`]). A cluster
//! that is away is waited for, and said to be away once ([`away`]); what waiting cannot mend is an error.

mod admin;
mod away;
mod bare;
mod clerk;
mod client;
mod courier;
mod partition;
mod post;
mod produce;
mod queue;
mod sink;
mod source;

use super::{Cluster, Layout, Opening, Survey};
use crate::error::{Error, Result};
pub use bare::run as bare_loop;
use client::{Trouble, ask};
pub use courier::{Courier, Delivery};
pub use post::{OnAnswer, Post};
use sink::KafkaWriter;
use source::KafkaSource;

/// A partition's first offset and the one behind its last, when it was looked at.
pub type Marks = (i64, i64);

/// Whether librdkafka knows the setting and takes the value; the value is not repeated.
pub fn check_setting(name: &str, value: &str) -> Result<(), String> {
    client::check_setting(name, value)
}

/// Where each partition of a topic begins and ends; nothing known if the cluster is away.
pub fn survey(cluster: &Cluster, topic: &str) -> Result<Survey> {
    let marks = known(ask(cluster, |client| client.marks(topic)))?;
    Ok(Survey { marks, ..Survey::default() })
}

/// The topic's partitions, `None` if the cluster is away. A topic that is not there is created as
/// `create` says.
///
/// # Errors
/// The topic is not there and `create` is `None`, or the cluster refuses.
pub fn prepare(cluster: &Cluster, topic: &str, create: Option<Layout>) -> Result<Option<u32>> {
    known(ask(cluster, |client| match create {
        Some(layout) => admin::ensure(client, topic, layout),
        None => client.partitions(topic),
    }))
}

/// The topics of a cluster with their partitions, sorted; `None` if it is away.
pub fn topics(cluster: &Cluster) -> Result<Option<Vec<(String, u32)>>> {
    known(ask(cluster, |client| client.topics()))
}

/// Deletes a topic; one that is not there is deleted already.
pub fn delete(cluster: &Cluster, topic: &str) -> Result<()> {
    match ask(cluster, |client| admin::delete(client, topic)) {
        Err(Trouble::Away(why)) => {
            Err(Error::runtime(format!("cannot delete topic {topic}: {cluster} cannot be reached: {why}")))
        }
        Err(Trouble::Fatal(error)) => Err(error),
        Ok(()) => Ok(()),
    }
}

pub fn open(cluster: &Cluster, topic: &str, opening: Opening, survey: &Survey) -> Result<KafkaSource> {
    KafkaSource::open(cluster, topic, opening, survey)
}

pub fn writer(cluster: &Cluster, topic: &str, layout: Layout) -> Result<KafkaWriter> {
    KafkaWriter::open(cluster, topic, layout)
}

fn known<T>(result: Result<T, Trouble>) -> Result<Option<T>> {
    match result {
        Ok(known) => Ok(Some(known)),
        Err(Trouble::Away(_)) => Ok(None),
        Err(Trouble::Fatal(error)) => Err(error),
    }
}
