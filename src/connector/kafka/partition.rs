//! One partition that is being read: what has arrived of it becomes batches.

use super::Marks;
use super::client::Ears;
use crate::batch::{MessageBatch, Range32, Timestamps};
use arrow_buffer::Buffer;
use rdkafka::Message;
use rdkafka::consumer::base_consumer::PartitionQueue;
use rdkafka::error::KafkaError;
use rdkafka::message::BorrowedMessage;
use std::time::Duration;

pub struct Partition {
    number: i32,
    queue: PartitionQueue<Ears>,
    /// The offset behind the last record that was there at opening.
    end: i64,
    /// What comes later is left out.
    bounded: bool,
    caught_up: bool,
    /// Of the last batch: the next one is likely as long.
    bytes: usize,
}

impl Partition {
    pub fn new(number: i32, queue: PartitionQueue<Ears>, (low, high): Marks, bounded: bool) -> Partition {
        Partition { number, queue, end: high, bounded, caught_up: low >= high, bytes: 0 }
    }

    /// All that was there at opening has been read.
    pub fn is_caught_up(&self) -> bool {
        self.caught_up
    }

    /// What has arrived, about `max_bytes` at most.
    pub fn take(&mut self, max_bytes: usize, now_ms: i64) -> Result<Option<MessageBatch>, KafkaError> {
        if self.caught_up && self.bounded {
            return Ok(None);
        }
        let mut batch = Collecting::new(self.bytes.min(max_bytes));
        while batch.bytes.len() < max_bytes {
            match self.queue.poll(Duration::ZERO) {
                None => break,
                Some(Ok(message)) => {
                    if self.bounded && message.offset() >= self.end {
                        self.caught_up = true;
                        break;
                    }
                    self.caught_up |= message.offset() + 1 >= self.end;
                    batch.add(&message, now_ms);
                }
                // The last offsets may be marks of transactions, which are no records.
                Some(Err(KafkaError::PartitionEOF(_))) => self.caught_up = true,
                Some(Err(error)) if batch.values.is_empty() => return Err(error),
                // It will come again if it lasts.
                Some(Err(_)) => break,
            }
            if self.caught_up && self.bounded {
                break;
            }
        }
        self.bytes = batch.bytes.len() + batch.bytes.len() / 8;
        Ok(batch.finish(self.number))
    }
}

struct Collecting {
    bytes: Vec<u8>,
    keys: Vec<Range32>,
    has_keys: bool,
    values: Vec<Range32>,
    offsets: Vec<i64>,
    times: Vec<i64>,
}

impl Collecting {
    fn new(bytes: usize) -> Collecting {
        let (keys, values, offsets, times) = Default::default();
        Collecting { bytes: Vec::with_capacity(bytes), keys, has_keys: false, values, offsets, times }
    }

    fn add(&mut self, message: &BorrowedMessage, now_ms: i64) {
        let key = self.copy(message.key());
        let value = self.copy(message.payload());
        self.has_keys |= !key.is_null();
        self.keys.push(key);
        self.values.push(value);
        self.offsets.push(message.offset());
        self.times.push(message.timestamp().to_millis().unwrap_or(now_ms));
    }

    fn copy(&mut self, bytes: Option<&[u8]>) -> Range32 {
        let Some(bytes) = bytes else { return Range32::NULL };
        let start = self.bytes.len() as u32;
        self.bytes.extend_from_slice(bytes);
        Range32 { start, end: self.bytes.len() as u32 }
    }

    fn finish(self, partition: i32) -> Option<MessageBatch> {
        (!self.values.is_empty()).then(|| MessageBatch {
            partition,
            buffer: Buffer::from_vec(self.bytes),
            values: self.values,
            keys: self.has_keys.then_some(self.keys),
            offsets: self.offsets.into(),
            timestamps: Timestamps::Each(self.times.into()),
            torn: Vec::new(),
        })
    }
}
