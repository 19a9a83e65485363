//! Where the registry is kept: a log of one partition whose records are [`Event`]s as JSON.
//!
//! ```text
//! DIR/lock       held by the process that has the registry open
//! DIR/log/0/     frames of `connector::log`: length, CRC, offset, time; value: one event
//! ```
//! A change is synced before anybody is told of it. What a crash left unfinished is cut off at the next
//! opening; damage before good records is an error and loses nothing.

use super::model::{Level, Schema};
use crate::connector::log::{self, LogOptions, LogWriter};
use crate::connector::{Opening, Poll, Record, Share, Source, Start, Survey, io_error};
use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use std::fs::{File, OpenOptions, TryLockError};
use std::path::Path;

const LOG: &str = "log";
const PARTITION: u32 = 0;
const READ_BYTES: usize = 1 << 20;

/// One change. Stable: these are the bytes in data directories.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// A new version of a subject; `schema` is given the first time that its id appears.
    Registered {
        subject: String,
        version: u32,
        id: u32,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        schema: Option<Schema>,
    },
    Deleted {
        subject: String,
        versions: Vec<u32>,
        permanent: bool,
    },
    /// The compatibility level of a subject, or of all that have none; without a level: no longer set.
    Level {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        subject: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        level: Option<Level>,
    },
}

pub struct Storage {
    log: LogWriter,
    /// Why nothing more is written: a change that may be half in the log was reported as failed, and
    /// one after it would take its place.
    broken: Option<Error>,
    /// `None` once it is closed.
    lock: Option<File>,
}

impl Storage {
    /// Takes the directory and hands over all changes so far, oldest first.
    pub fn open(dir: &Path, mut apply: impl FnMut(Event)) -> Result<Storage> {
        std::fs::create_dir_all(dir).map_err(|e| io_error("create directory", dir, e))?;
        let lock = lock(dir)?;
        let (log, _) = LogWriter::open(&dir.join(LOG), [PARTITION], LogOptions::default())?;
        read(dir, &mut apply)?;
        Ok(Storage { log, broken: None, lock: Some(lock) })
    }

    /// Returns once the change would outlive a crash of the machine.
    pub fn append(&mut self, event: &Event) -> Result<()> {
        if let Some(error) = &self.broken {
            return Err(error.clone());
        }
        let written = self.write(event);
        if let Err(error) = &written {
            self.broken = Some(error.clone().hint("start the registry again; it reads what is there"));
        }
        written
    }

    /// Lets another one have the directory.
    pub fn close(&mut self) {
        self.broken.get_or_insert_with(|| Error::runtime("the registry is closed"));
        self.lock = None;
    }

    fn write(&mut self, event: &Event) -> Result<()> {
        let bytes = serde_json::to_vec(event).map_err(|e| Error::runtime(format!("cannot write: {e}")))?;
        let timestamp = chrono::Utc::now().timestamp_millis();
        self.log.append(PARTITION, &Record { timestamp, value: Some(&bytes), ..Record::default() })?;
        self.log.sync()
    }
}

fn lock(dir: &Path) -> Result<File> {
    let path = dir.join("lock");
    let file = OpenOptions::new().write(true).create(true).truncate(false).open(&path);
    let file = file.map_err(|e| io_error("write", &path, e))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            Err(Error::runtime(format!("the registry in {} is open in another process", dir.display()))
                .hint("stop that one, or give this one another directory"))
        }
        Err(TryLockError::Error(e)) => Err(io_error("lock", &path, e)),
    }
}

/// Hands over all changes so far, oldest first, whoever has the directory.
pub fn read(dir: &Path, apply: &mut impl FnMut(Event)) -> Result<()> {
    let path = &dir.join(LOG);
    let all = Opening { share: Share::All, start: Start::Earliest, bounded: true, opened_ms: 0 };
    let mut reader = log::open(path, all, &Survey::default())?;
    while let Poll::Messages(batch) = reader.poll(READ_BYTES, 0)? {
        for i in 0..batch.len() {
            let event = serde_json::from_slice(batch.value(i).unwrap_or_default()).map_err(|e| {
                let place = format!("record {} of {}", batch.offsets[i], path.display());
                Error::runtime(format!("{place} is not the registry's: {e}"))
            })?;
            apply(event);
        }
    }
    Ok(())
}
