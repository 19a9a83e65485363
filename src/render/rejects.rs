//! Rejects and notes: a capped log on disk, read back as the stream WHARFE_REJECTS.

use super::process::Process;
use super::{RESTORED, Tick};
use crate::batch::{Batch, MessageBatch, Reject};
use crate::clock::now_ms;
use crate::connector::Record;
use crate::connector::log::{LogOptions, LogWriter};
use crate::error::Result;
use crate::expr::Note;
use crate::plan::{QueryPlan, SourcePlan};
use crate::types::{ColumnDef, Part, Schema, SqlType};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value as Json, json};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

pub const STREAM: &str = "WHARFE_REJECTS";
pub const TOPIC: &str = "wharfe_rejects";

/// Kept on disk for each worker; the oldest go first.
const KEPT_BYTES: u64 = 64 << 20;
const SEGMENT_BYTES: u64 = 8 << 20;
/// The longest part of a record that is kept.
const RAW_BYTES: usize = 16 << 10;

/// The columns of WHARFE_REJECTS.
pub fn schema() -> Schema {
    let column = |name: &str, ty| ColumnDef { name: name.into(), ty, part: Part::Value };
    Schema::new([
        column("KIND", SqlType::Varchar),
        column("SOURCE_NAME", SqlType::Varchar),
        column("TOPIC", SqlType::Varchar),
        column("TOPIC_PARTITION", SqlType::Int),
        column("TOPIC_OFFSET", SqlType::Bigint),
        column("STAGE", SqlType::Varchar),
        column("COLUMN_NAME", SqlType::Varchar),
        column("REASON", SqlType::Varchar),
        column("RAW", SqlType::Bytes),
        column("AT", SqlType::Timestamp),
    ])
}

/// One line of the log; NULL where it does not apply.
pub struct RejectedRecord {
    note: bool,
    json: Json,
}

impl RejectedRecord {
    /// A record that could not be decoded, at the stage "decode" or where an answer decodes by itself.
    pub fn of(plan: &SourcePlan, stage: &str, messages: &MessageBatch, reject: &Reject) -> RejectedRecord {
        let raw = messages.value(reject.message).map(|raw| &raw[..raw.len().min(RAW_BYTES)]);
        let json = json!({
            "KIND": "reject",
            "SOURCE_NAME": plan.source,
            "TOPIC": plan.topic,
            "TOPIC_PARTITION": messages.partition,
            "TOPIC_OFFSET": messages.offsets[reject.message],
            "STAGE": stage,
            "COLUMN_NAME": reject.column,
            "REASON": reject.reason,
            "RAW": raw.map(|raw| STANDARD.encode(raw)),
            "AT": now_ms(),
        });
        RejectedRecord { note: false, json }
    }

    /// A row that the schema of the topic it goes to has no place for.
    pub fn unwritten(plan: &QueryPlan, batch: &Batch, reject: &Reject) -> RejectedRecord {
        let origin = batch.origin.position(reject.message);
        let json = json!({
            "KIND": "reject",
            "SOURCE_NAME": plan.source(),
            "TOPIC": plan.topic(),
            "TOPIC_PARTITION": origin.partition,
            "TOPIC_OFFSET": origin.offset,
            "STAGE": format!("store of {}", plan.query),
            "COLUMN_NAME": reject.column,
            "REASON": reject.reason,
            "RAW": Json::Null,
            "AT": now_ms(),
        });
        RejectedRecord { note: false, json }
    }

    /// A row that a stage of a query has refused.
    pub fn at_stage(plan: &QueryPlan, stage: &str, batch: &Batch, reject: &Reject) -> RejectedRecord {
        let mut record = RejectedRecord::unwritten(plan, batch, reject);
        record.json["STAGE"] = format!("{stage} of {}", plan.query).into();
        record
    }

    /// A document that another system will not take, with the place of its record in the log of what goes
    /// there.
    pub fn undelivered(
        source: &str,
        topic: &str,
        (partition, offset): (i32, i64),
        stage: &str,
        reason: &str,
        document: Option<&str>,
    ) -> RejectedRecord {
        let json = json!({
            "KIND": "reject",
            "SOURCE_NAME": source,
            "TOPIC": topic,
            "TOPIC_PARTITION": partition,
            "TOPIC_OFFSET": offset,
            "STAGE": stage,
            "COLUMN_NAME": Json::Null,
            "REASON": reason,
            "RAW": document.map(|text| STANDARD.encode(&text.as_bytes()[..text.len().min(RAW_BYTES)])),
            "AT": now_ms(),
        });
        RejectedRecord { note: false, json }
    }

    /// An expression that failed on a row; the row went on.
    pub fn note(plan: &QueryPlan, stage: &str, note: &Note) -> RejectedRecord {
        RejectedRecord::note_on(&plan.source(), &plan.topic(), &format!("{stage} of {}", plan.query), note)
    }

    pub fn note_on(source: &str, topic: &str, stage: &str, note: &Note) -> RejectedRecord {
        let json = json!({
            "KIND": "note",
            "SOURCE_NAME": source,
            "TOPIC": topic,
            "TOPIC_PARTITION": note.origin.map(|o| o.partition),
            "TOPIC_OFFSET": note.origin.map(|o| o.offset),
            "STAGE": stage,
            "COLUMN_NAME": Json::Null,
            "REASON": note.reason,
            "RAW": Json::Null,
            "AT": now_ms(),
        });
        RejectedRecord { note: true, json }
    }
}

/// The writer of one partition of the log: a worker's, or the one behind the workers' that answers share.
pub struct RejectLog {
    writer: RefCell<LogWriter>,
    partition: u32,
    /// Of ticks that are not closed.
    pending: RefCell<BTreeMap<Tick, Vec<String>>>,
    process: Arc<dyn Process>,
}

impl RejectLog {
    pub fn open(data_dir: &Path, partition: usize, process: Arc<dyn Process>) -> Result<RejectLog> {
        let options = LogOptions { segment_bytes: SEGMENT_BYTES, retention_bytes: Some(KEPT_BYTES) };
        let partition = partition as u32;
        let (writer, _) = LogWriter::open(&data_dir.join("topics").join(TOPIC), [partition], options)?;
        Ok(RejectLog { writer: RefCell::new(writer), partition, pending: RefCell::default(), process })
    }

    /// Counts what an answer read that nothing else reads.
    pub fn count_read(&self, rows: u64, bytes: u64) {
        self.process.counters().rows_in.fetch_add(rows, Ordering::Relaxed);
        self.process.counters().bytes_read.fetch_add(bytes, Ordering::Relaxed);
    }

    pub fn write(&self, tick: Tick, records: impl Iterator<Item = RejectedRecord>) {
        // What a checkpoint brought back was told before.
        for record in records.filter(|_| tick > RESTORED) {
            let counters = self.process.counters();
            let counter = if record.note { &counters.notes } else { &counters.rows_rejected };
            counter.fetch_add(1, Ordering::Relaxed);
            self.pending.borrow_mut().entry(tick).or_default().push(record.json.to_string());
        }
    }

    /// Shows readers what belongs to the ticks before `closed`.
    pub fn flush(&self, closed: Tick) {
        let mut pending = self.pending.borrow_mut();
        let mut writer = self.writer.borrow_mut();
        let mut written = Ok(());
        while let Some(entry) = pending.first_entry().filter(|entry| *entry.key() < closed) {
            for json in entry.remove() {
                let record =
                    Record { timestamp: now_ms(), value: Some(json.as_bytes()), ..Record::default() };
                let appended = writer.append(self.partition, &record);
                written = written.and(appended.map(drop));
            }
        }
        if let Err(error) = written.and_then(|()| writer.flush()) {
            self.process.fail(error);
        }
    }

    /// The partition, and how many records have been written to it ever.
    pub fn end(&self) -> (u32, i64) {
        (self.partition, self.writer.borrow().next_offset(self.partition).unwrap_or(0))
    }
}
