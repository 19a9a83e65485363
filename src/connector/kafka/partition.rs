//! One partition that is being read: what has arrived of it becomes batches.

use super::Marks;
use super::queue::{Failed, Queue, Record};
use crate::batch::{MessageBatch, Range32, Timestamps};
use crate::headers::{self, Headers};
use arrow_buffer::Buffer;
use rdkafka::error::RDKafkaErrorCode as Code;

pub struct Partition {
    number: i32,
    queue: Queue,
    /// The offset behind the last record that was there at opening.
    end: i64,
    /// What comes later is left out.
    bounded: bool,
    caught_up: bool,
    begun: bool,
    /// Where there was nothing more to read last.
    seen_end: i64,
    /// An error that came behind the records of the last batch.
    failed: Option<Code>,
    /// Of the last batch: the next one is likely as long, and so are its records.
    bytes: usize,
    record_bytes: usize,
}

impl Partition {
    pub fn new(number: i32, queue: Queue, (low, high): Marks, bounded: bool) -> Partition {
        Partition {
            number,
            queue,
            end: high,
            bounded,
            caught_up: low >= high,
            begun: false,
            seen_end: 0,
            failed: None,
            bytes: 0,
            record_bytes: usize::MAX,
        }
    }

    pub fn number(&self) -> i32 {
        self.number
    }

    /// Something has been read.
    pub fn is_begun(&self) -> bool {
        self.begun
    }

    /// All that was there at opening has been read.
    pub fn is_caught_up(&self) -> bool {
        self.caught_up
    }

    /// How many offsets there are from `next`, the first that is not read. Marks of transactions behind
    /// the last record are none to wait for.
    pub fn unread(&self, next: i64) -> u64 {
        let high = self.queue.high().unwrap_or(0).max(self.end);
        (high - next.max(self.seen_end)).max(0) as u64
    }

    /// What has arrived, about `max_bytes` at most.
    pub fn take(
        &mut self,
        max_bytes: usize,
        now_ms: i64,
        headers: bool,
    ) -> Result<Option<MessageBatch>, Code> {
        let mut batch = Collecting::new(self.bytes, headers);
        while self.failed.is_none() && !(self.caught_up && self.bounded) && batch.size() < max_bytes {
            let most = (max_bytes - batch.size()) / self.record_bytes;
            let taken = self.queue.take(most, |record| match record {
                Ok(record) if self.bounded && record.offset >= self.end => self.caught_up = true,
                Ok(record) => {
                    self.caught_up |= record.offset + 1 >= self.end;
                    batch.add(&record, now_ms);
                }
                // The last offsets may be marks of transactions, which are no records.
                Err(Failed { code: Code::PartitionEOF, offset }) => {
                    self.caught_up = true;
                    self.seen_end = offset;
                }
                Err(Failed { code, .. }) => self.failed = Some(code),
            });
            if taken == 0 {
                break;
            }
            self.record_bytes = (batch.bytes.len() / batch.values.len().max(1)).max(1);
        }
        if batch.values.is_empty() {
            return self.failed.take().map_or(Ok(None), Err);
        }
        self.begun = true;
        self.bytes = batch.bytes.len() + batch.bytes.len() / 8;
        Ok(Some(batch.finish(self.number)))
    }
}

struct Collecting {
    bytes: Vec<u8>,
    keys: Vec<Range32>,
    has_keys: bool,
    values: Vec<Range32>,
    /// `None`: nobody wants them.
    headers: Option<Vec<Range32>>,
    offsets: Vec<i64>,
    times: Vec<i64>,
    torn: Vec<(usize, String)>,
}

impl Collecting {
    fn new(bytes: usize, headers: bool) -> Collecting {
        let (keys, values, offsets, times, torn) = Default::default();
        let (bytes, headers) = (Vec::with_capacity(bytes), headers.then(Vec::new));
        Collecting { bytes, keys, has_keys: false, values, headers, offsets, times, torn }
    }

    /// In bytes; a record without any counts as well.
    fn size(&self) -> usize {
        self.bytes.len() + self.values.len()
    }

    fn add(&mut self, record: &Record, now_ms: i64) {
        let key = self.copy(record.key);
        let value = self.copy(record.value);
        self.has_keys |= !key.is_null();
        self.keys.push(key);
        self.values.push(value);
        self.offsets.push(record.offset);
        self.times.push(record.timestamp.unwrap_or(now_ms));
        if let Some(headers) = &mut self.headers {
            let start = self.bytes.len() as u32;
            if !record.headers(|name, value| headers::push(name, value, &mut self.bytes)) {
                self.torn.push((headers.len(), "its headers cannot be read".into()));
            }
            let end = self.bytes.len() as u32;
            headers.push(if start < end { Range32 { start, end } } else { Range32::NULL });
        }
    }

    fn copy(&mut self, bytes: Option<&[u8]>) -> Range32 {
        let Some(bytes) = bytes else { return Range32::NULL };
        let start = self.bytes.len() as u32;
        self.bytes.extend_from_slice(bytes);
        Range32 { start, end: self.bytes.len() as u32 }
    }

    fn finish(self, partition: i32) -> MessageBatch {
        let buffer = Buffer::from_vec(self.bytes);
        MessageBatch {
            partition,
            headers: self.headers.map_or(Headers::Unread, |blocks| Headers::each(&buffer, blocks)),
            buffer,
            values: self.values,
            keys: self.has_keys.then_some(self.keys),
            offsets: self.offsets.into(),
            timestamps: Timestamps::Each(self.times.into()),
            torn: self.torn,
            names: None,
        }
    }
}
