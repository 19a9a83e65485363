//! Rejects and notes: a capped log on disk, read back as the stream WHARFE_REJECTS.

use super::context::{Context, now_ms};
use crate::batch::{Batch, MessageBatch, Reject};
use crate::connector::log::{LogOptions, LogWriter};
use crate::error::Result;
use crate::expr::Note;
use crate::plan::{QueryPlan, SourcePlan};
use crate::types::{ColumnDef, Schema, SqlType};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value as Json, json};
use std::cell::{Cell, RefCell};
use std::path::Path;
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
    let column = |name: &str, ty| ColumnDef { name: name.into(), ty, key: false };
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
    /// A record that could not be decoded.
    pub fn of(plan: &SourcePlan, messages: &MessageBatch, reject: &Reject) -> RejectedRecord {
        let raw = messages.value(reject.message).map(|raw| &raw[..raw.len().min(RAW_BYTES)]);
        let json = json!({
            "KIND": "reject",
            "SOURCE_NAME": plan.source,
            "TOPIC": plan.topic,
            "TOPIC_PARTITION": messages.partition,
            "TOPIC_OFFSET": messages.offsets[reject.message],
            "STAGE": "decode",
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
            "SOURCE_NAME": plan.source,
            "TOPIC": plan.topic,
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

    /// An expression that failed on a row; the row went on.
    pub fn note(plan: &QueryPlan, stage: &str, note: &Note) -> RejectedRecord {
        let json = json!({
            "KIND": "note",
            "SOURCE_NAME": plan.source,
            "TOPIC": plan.topic,
            "TOPIC_PARTITION": note.origin.map(|o| o.partition),
            "TOPIC_OFFSET": note.origin.map(|o| o.offset),
            "STAGE": format!("{stage} of {}", plan.query),
            "COLUMN_NAME": Json::Null,
            "REASON": note.reason,
            "RAW": Json::Null,
            "AT": now_ms(),
        });
        RejectedRecord { note: true, json }
    }
}

/// One worker's writer: its partition of the log.
pub struct RejectLog {
    writer: RefCell<LogWriter>,
    partition: u32,
    dirty: Cell<bool>,
}

impl RejectLog {
    /// `dir` is the directory of the topic.
    pub fn open(dir: &Path, worker: usize) -> Result<RejectLog> {
        let options = LogOptions { segment_bytes: SEGMENT_BYTES, retention_bytes: Some(KEPT_BYTES) };
        let (writer, _) = LogWriter::open(dir, [worker as u32], options)?;
        Ok(RejectLog { writer: RefCell::new(writer), partition: worker as u32, dirty: Cell::new(false) })
    }

    pub fn write(&self, context: &Context, records: impl Iterator<Item = RejectedRecord>) {
        for record in records {
            let counters = &context.shared.counters;
            let counter = if record.note { &counters.notes } else { &counters.rows_rejected };
            counter.fetch_add(1, Ordering::Relaxed);
            let json = record.json.to_string();
            let written =
                self.writer.borrow_mut().append(self.partition, now_ms(), None, Some(json.as_bytes()));
            if let Err(error) = written {
                context.shared.fail(error);
            }
            self.dirty.set(true);
        }
    }

    /// Makes what was written visible to readers.
    pub fn flush(&self, context: &Context) {
        if self.dirty.replace(false)
            && let Err(error) = self.writer.borrow_mut().flush()
        {
            context.shared.fail(error);
        }
    }
}
