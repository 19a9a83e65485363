//! A partition's queue, emptied by librdkafka's batch call: a call for each record costs as much as its
//! decoding. Unsafe, as produce.rs is.

use super::client::Ears;
use rdkafka::bindings as native;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::RDKafkaErrorCode as Code;
use std::ffi::{CStr, CString, c_void};
use std::ptr;
use std::sync::Arc;

/// So many records a call at most.
const RECORDS_MAX: usize = 1024;

pub struct Queue {
    queue: *mut native::rd_kafka_queue_t,
    taken: Vec<*mut native::rd_kafka_message_t>,
    topic: CString,
    partition: i32,
    /// The queue is a part of it.
    consumer: Arc<BaseConsumer<Ears>>,
}

/// A record that is still librdkafka's.
pub struct Record<'r> {
    pub offset: i64,
    /// Milliseconds since the epoch, if it has one.
    pub timestamp: Option<i64>,
    pub key: Option<&'r [u8]>,
    pub value: Option<&'r [u8]>,
    message: &'r native::rd_kafka_message_t,
}

/// An error in the place of a record, with the offset where it came.
pub struct Failed {
    pub code: Code,
    pub offset: i64,
}

impl Queue {
    /// Splits the queue of a partition off the consumer's own. `None`: the topic's name is none.
    pub fn split(consumer: &Arc<BaseConsumer<Ears>>, topic: &str, partition: i32) -> Option<Queue> {
        let topic = CString::new(topic).ok()?;
        // SAFETY: the client lives as long as the consumer, and the topic's name is read during the call.
        let queue = unsafe {
            native::rd_kafka_queue_get_partition(consumer.client().native_ptr(), topic.as_ptr(), partition)
        };
        if queue.is_null() {
            return None;
        }
        // SAFETY: the queue is there; forwarded to none, it keeps its records to itself.
        unsafe { native::rd_kafka_queue_forward(queue, ptr::null_mut()) };
        let taken = vec![ptr::null_mut(); RECORDS_MAX];
        Some(Queue { queue, taken, topic, partition, consumer: Arc::clone(consumer) })
    }

    /// The offset behind the partition's last record, as the last answer of the cluster had it.
    pub fn high(&self) -> Option<i64> {
        let (mut low, mut high) = (-1, -1);
        // SAFETY: the client lives as long as the consumer; the topic's name is read, and the two numbers
        // are written, during the call, which asks nobody.
        let known = unsafe {
            native::rd_kafka_get_watermark_offsets(
                self.consumer.client().native_ptr(),
                self.topic.as_ptr(),
                self.partition,
                &mut low,
                &mut high,
            )
        };
        (known == native::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR && high >= 0).then_some(high)
    }

    /// Hands over at most so many of the records, and errors, that have arrived. Returns how many. Never
    /// waits.
    pub fn take(&mut self, most: usize, mut each: impl FnMut(Result<Record, Failed>)) -> usize {
        let most = most.clamp(1, RECORDS_MAX);
        // SAFETY: `taken` has room for `most` pointers; the queue lives until this is dropped.
        let count =
            unsafe { native::rd_kafka_consume_batch_queue(self.queue, 0, self.taken.as_mut_ptr(), most) };
        // Less than none: an error that comes as a record, too.
        let count = usize::try_from(count).unwrap_or(0);
        for &message in &self.taken[..count] {
            // SAFETY: the call filled in so many messages; each is read, then destroyed once.
            unsafe {
                each(read(&*message));
                native::rd_kafka_message_destroy(message);
            }
        }
        count
    }
}

impl Record<'_> {
    /// Hands over the record's headers in their order: a call for each record, so only who wants them
    /// asks. False: they cannot be read.
    pub fn headers(&self, mut each: impl FnMut(&[u8], Option<&[u8]>)) -> bool {
        let mut headers = ptr::null_mut();
        // SAFETY: the message has not been destroyed; what it points to is its own.
        match unsafe { native::rd_kafka_message_headers(self.message, &mut headers) } {
            native::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR => {}
            native::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR__NOENT => return true,
            _ => return false,
        }
        for index in 0.. {
            let (mut name, mut value, mut length) = (ptr::null(), ptr::null(), 0);
            // SAFETY: the headers are the message's; beyond the last one nothing is filled in.
            let found = unsafe {
                native::rd_kafka_header_get_all(headers, index, &mut name, &mut value, &mut length)
            };
            if found != native::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
                break;
            }
            // SAFETY: names end in a NUL, and so many bytes belong to the value, as long as the message.
            unsafe { each(CStr::from_ptr(name).to_bytes(), bytes(value, length)) };
        }
        true
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        // SAFETY: it is not used again; the consumer that it belongs to goes after it.
        unsafe { native::rd_kafka_queue_destroy(self.queue) };
    }
}

/// # Safety
/// The message has not been destroyed, and is not before the record is gone.
unsafe fn read(message: &native::rd_kafka_message_t) -> Result<Record<'_>, Failed> {
    if message.err != native::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
        return Err(Failed { code: message.err.into(), offset: message.offset });
    }
    // SAFETY: the message is there, and the kind of its timestamp is not asked for; so many bytes are its
    // key and its value.
    let (timestamp, key, value) = unsafe {
        let timestamp = native::rd_kafka_message_timestamp(message, ptr::null_mut());
        (timestamp, bytes(message.key, message.key_len), bytes(message.payload, message.len))
    };
    let timestamp = (timestamp >= 0).then_some(timestamp);
    Ok(Record { offset: message.offset, timestamp, key, value, message })
}

/// # Safety
/// Where there is a start, so many bytes belong to a message that is not destroyed before they are gone.
unsafe fn bytes<'m>(start: *const c_void, length: usize) -> Option<&'m [u8]> {
    // SAFETY: as the caller says.
    (!start.is_null()).then(|| unsafe { std::slice::from_raw_parts(start.cast::<u8>(), length) })
}
