//! Hands records to a producer, for one topic: librdkafka's own call, since the library's looks the topic
//! up by its name for each record, which takes a quarter of the time. Unsafe, as queue.rs is.

use crate::connector::Record;
use crate::headers;
use rdkafka::bindings as native;
use rdkafka::error::RDKafkaErrorCode as Code;
use rdkafka::producer::{BaseProducer, Producer, ProducerContext};
use std::ffi::{CString, c_void};
use std::ptr;
use std::sync::Arc;

pub struct Topic<C: ProducerContext + 'static> {
    topic: *mut native::rd_kafka_topic_t,
    /// The topic is a part of it.
    pub producer: Arc<BaseProducer<C>>,
}

// SAFETY: librdkafka's handles may be used from any thread.
unsafe impl<C: ProducerContext> Send for Topic<C> {}

impl<C: ProducerContext> Topic<C> {
    /// `None`: the name is none.
    pub fn new(producer: &Arc<BaseProducer<C>>, name: &str) -> Option<Topic<C>> {
        let name = CString::new(name).ok()?;
        // SAFETY: the client lives as long as the producer, and the name is read during the call.
        let topic = unsafe {
            native::rd_kafka_topic_new(producer.client().native_ptr(), name.as_ptr(), ptr::null_mut())
        };
        (!topic.is_null()).then(|| Topic { topic, producer: Arc::clone(producer) })
    }

    /// Copies a record into the producer's queue. `opaque` comes with the report of its delivery, as the
    /// context's opaque.
    pub fn send(&self, partition: u32, record: &Record, opaque: usize) -> Result<(), Code> {
        let parts = |bytes: Option<&[u8]>| bytes.map_or((ptr::null(), 0), |b| (b.as_ptr(), b.len()));
        let ((value, value_len), (key, key_len)) = (parts(record.value), parts(record.key));
        let headers = native_headers(record.headers);
        // librdkafka takes 0 for now, and clusters take nothing before 1970.
        let timestamp = record.timestamp.max(1);
        use native::rd_kafka_vtype_t::*;
        // SAFETY: each kind is followed by what it stands for, as librdkafka's header has it; it copies the
        // bytes during the call, and owns the headers if the call succeeds.
        let error = unsafe {
            native::rd_kafka_producev(
                self.producer.client().native_ptr(),
                RD_KAFKA_VTYPE_RKT,
                self.topic,
                RD_KAFKA_VTYPE_PARTITION,
                partition as i32,
                RD_KAFKA_VTYPE_MSGFLAGS,
                native::RD_KAFKA_MSG_F_COPY,
                RD_KAFKA_VTYPE_VALUE,
                value.cast::<c_void>(),
                value_len,
                RD_KAFKA_VTYPE_KEY,
                key.cast::<c_void>(),
                key_len,
                RD_KAFKA_VTYPE_TIMESTAMP,
                timestamp,
                RD_KAFKA_VTYPE_OPAQUE,
                opaque as *mut c_void,
                RD_KAFKA_VTYPE_HEADERS,
                headers,
                RD_KAFKA_VTYPE_END,
            )
        };
        if error == native::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
            return Ok(());
        }
        if !headers.is_null() {
            // SAFETY: the call has failed, so they are still ours.
            unsafe { native::rd_kafka_headers_destroy(headers) };
        }
        Err(error.into())
    }
}

impl<C: ProducerContext> Drop for Topic<C> {
    fn drop(&mut self) {
        // SAFETY: it is not used again; the producer that it belongs to goes after it.
        unsafe { native::rd_kafka_topic_destroy(self.topic) };
    }
}

/// A block of headers as librdkafka has them: none where it is empty.
fn native_headers(block: &[u8]) -> *mut native::rd_kafka_headers_t {
    if block.is_empty() {
        return ptr::null_mut();
    }
    // SAFETY: names and values are copied during the calls, as many bytes as they have.
    unsafe {
        let all = native::rd_kafka_headers_new(headers::of(block).count());
        for (name, value) in headers::of(block) {
            let (bytes, len) = value.map_or((ptr::null(), 0), |value| (value.as_ptr(), value.len()));
            native::rd_kafka_header_add(
                all,
                name.as_ptr().cast(),
                name.len() as isize,
                bytes.cast(),
                len as isize,
            );
        }
        all
    }
}
