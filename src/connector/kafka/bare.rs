//! The yardstick of `wharfe bench --kafka`: what a loop costs that does nothing but call librdkafka, a
//! record at a time, as its documentation shows it.

use super::client::not_made;
use crate::connector::Cluster;
use crate::error::{Error, Result};
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::message::Message;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::{Offset, TopicPartitionList};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(30);

/// So often a producer is asked for what became of its records.
const ASK_EVERY: u64 = 1_000;

/// Consumes what the topics hold, of each the partitions `partition % of == index`, and writes it to
/// the same partitions of `to`, if there is one. Returns records and their bytes.
pub fn run(
    cluster: &Cluster,
    topics: &[String],
    to: Option<&str>,
    (index, of): (usize, usize),
) -> Result<(u64, u64)> {
    let failed = |e: KafkaError| Error::runtime(format!("the bare loop on {cluster} failed: {e}"));
    let consumer: BaseConsumer = config(
        cluster,
        &[
            ("group.id", "bare"),
            ("enable.auto.commit", "false"),
            // As fast as it can be made: the defaults leave it waiting.
            ("queued.min.messages", "1000000"),
            ("fetch.queue.backoff.ms", "2"),
        ],
    )?
    .create()
    .map_err(|e| not_made(cluster, e))?;
    let producer: Option<BaseProducer> = match to {
        None => None,
        Some(_) => {
            let config = config(cluster, &[("enable.idempotence", "true")])?;
            Some(config.create().map_err(|e| not_made(cluster, e))?)
        }
    };
    let mut list = TopicPartitionList::new();
    let mut left = 0;
    for topic in topics {
        let metadata = consumer.fetch_metadata(Some(topic), PATIENCE).map_err(failed)?;
        let partitions = metadata.topics().iter().flat_map(|t| t.partitions()).map(|p| p.id());
        for partition in partitions.filter(|p| *p as usize % of == index) {
            let (low, high) = consumer.fetch_watermarks(topic, partition, PATIENCE).map_err(failed)?;
            left += high - low;
            list.add_partition_offset(topic, partition, Offset::Beginning).map_err(failed)?;
        }
    }
    consumer.assign(&list).map_err(failed)?;
    let (mut records, mut bytes) = (0, 0);
    while left > 0 {
        let Some(message) = consumer.poll(Duration::from_millis(100)) else { continue };
        let message = message.map_err(failed)?;
        left -= 1;
        records += 1;
        bytes += message.payload_len() as u64;
        if let (Some(producer), Some(to)) = (&producer, to) {
            let mut record: BaseRecord<[u8], [u8]> = BaseRecord::to(to).partition(message.partition());
            (record.key, record.payload) = (message.key(), message.payload());
            while let Err((error, refused)) = producer.send(record) {
                if error.rdkafka_error_code() != Some(Code::QueueFull) {
                    return Err(failed(error));
                }
                producer.poll(Duration::from_millis(1));
                record = refused;
            }
            if records % ASK_EVERY == 0 {
                producer.poll(Duration::ZERO);
            }
        }
    }
    match producer.map(|producer| producer.flush(PATIENCE)) {
        Some(Err(error)) => Err(failed(error)),
        _ => Ok((records, bytes)),
    }
}

fn config(cluster: &Cluster, more: &[(&str, &str)]) -> Result<ClientConfig> {
    let mut config = ClientConfig::new();
    config.extend(cluster.values()?.into_iter().map(|(name, value)| (name.to_string(), value)));
    config.extend(more.iter().map(|(name, value)| (name.to_string(), value.to_string())));
    Ok(config)
}
