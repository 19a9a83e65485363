//! Changes that outlive a process: a log of one partition whose records are changes as JSON.
//!
//! ```text
//! DIR/lock       held by the process that has it open
//! DIR/log/0/     frames of `connector::log`: length, CRC, offset, time; value: one change
//! ```
//! A change is synced before anybody is told of it. What a crash left unfinished is cut off at the next
//! opening; damage before good records is an error and loses nothing.

use crate::connector::log::{self, LogOptions, LogWriter};
use crate::connector::{Opening, Poll, Record, Share, Source, Start, Survey, io_error};
use crate::error::{Error, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fs::{File, OpenOptions, TryLockError};
use std::marker::PhantomData;
use std::path::Path;

const LOG: &str = "log";
const PARTITION: u32 = 0;
const READ_BYTES: usize = 1 << 20;

/// What a journal's errors say of who keeps it.
pub struct Words {
    /// Another process has the directory.
    pub taken: fn(&Path) -> Error,
    /// "record 3 of …" is …
    pub foreign: &'static str,
    /// How to go on when a change could not be written.
    pub again: &'static str,
}

pub struct Journal<E> {
    log: LogWriter,
    /// Why nothing more is written: a change that may be half in the log was reported as failed, and one
    /// after it would take its place.
    broken: Option<Error>,
    /// `None` once it is closed.
    lock: Option<File>,
    words: &'static Words,
    kind: PhantomData<fn(E)>,
}

impl<E: Serialize + DeserializeOwned> Journal<E> {
    /// Takes the directory and hands over all changes so far, oldest first.
    ///
    /// # Errors
    /// Another process has it, or a record in it is no change.
    pub fn open(dir: &Path, words: &'static Words, apply: impl FnMut(E)) -> Result<Journal<E>> {
        std::fs::create_dir_all(dir).map_err(|e| io_error("create directory", dir, e))?;
        let lock = Some(lock(dir, words)?);
        let (log, _) = LogWriter::open(&dir.join(LOG), [PARTITION], LogOptions::default())?;
        read(dir, words, apply)?;
        Ok(Journal { log, broken: None, lock, words, kind: PhantomData })
    }

    /// Returns once the change would outlive a crash of the machine.
    pub fn append(&mut self, at_ms: i64, change: &E) -> Result<()> {
        if let Some(error) = &self.broken {
            return Err(error.clone());
        }
        let written = self.write(at_ms, change);
        if let Err(error) = &written {
            self.broken = Some(error.clone().hint(self.words.again));
        }
        written
    }

    /// Lets another one have the directory; `closed` is what the next append says.
    pub fn close(&mut self, closed: Error) {
        self.broken.get_or_insert(closed);
        self.lock = None;
    }

    fn write(&mut self, at_ms: i64, change: &E) -> Result<()> {
        let bytes = serde_json::to_vec(change).map_err(|e| Error::runtime(format!("cannot write: {e}")))?;
        self.log.append(PARTITION, &Record { timestamp: at_ms, value: Some(&bytes), ..Record::default() })?;
        self.log.sync()
    }
}

/// Hands over all changes so far, oldest first, whoever has the directory.
pub fn read<E: DeserializeOwned>(dir: &Path, words: &Words, mut apply: impl FnMut(E)) -> Result<()> {
    let path = &dir.join(LOG);
    let all = Opening { share: Share::All, start: Start::Earliest, bounded: true, opened_ms: 0 };
    let mut reader = log::open(path, all, &Survey::default())?;
    while let Poll::Messages(batch) = reader.poll(READ_BYTES, 0)? {
        for i in 0..batch.len() {
            let change = serde_json::from_slice(batch.value(i).unwrap_or_default()).map_err(|e| {
                let place = format!("record {} of {}", batch.offsets[i], path.display());
                Error::runtime(format!("{place} is {}: {e}", words.foreign))
            })?;
            apply(change);
        }
    }
    Ok(())
}

fn lock(dir: &Path, words: &Words) -> Result<File> {
    let path = dir.join("lock");
    let file = OpenOptions::new().write(true).create(true).truncate(false).open(&path);
    let file = file.map_err(|e| io_error("write", &path, e))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err((words.taken)(dir)),
        Err(TryLockError::Error(e)) => Err(io_error("lock", &path, e)),
    }
}
