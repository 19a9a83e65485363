//! Changes that outlive the gateway: a log of one partition whose records are changes as JSON, each with
//! who made it and when.
//!
//! ```text
//! DIR/lock       held by the process that has it open
//! DIR/log/0/     frames of `connector::log`; value: one change
//! ```
//! A change is synced before anybody is told of it, and read again at the next start.

use crate::connector::log::{self, LogOptions, LogWriter};
use crate::connector::{Opening, Poll, Record, Share, Source, Start, Survey, io_error};
use crate::error::{Error, Result};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::fs::{File, OpenOptions, TryLockError};
use std::path::Path;

const PARTITION: u32 = 0;
const READ_BYTES: usize = 1 << 20;

/// Something that was changed. Stable: these are the bytes in data directories.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Change<E> {
    /// The name of a token, `topology file`, or `anybody` where there are no tokens.
    pub who: String,
    /// Milliseconds since 1970.
    pub at_ms: i64,
    #[serde(flatten)]
    pub what: E,
}

pub struct Journal<E> {
    log: LogWriter,
    /// Why nothing more is written: a change that may be half in the log was reported as failed, and one
    /// after it would take its place.
    broken: Option<Error>,
    _lock: File,
    kind: std::marker::PhantomData<fn(E)>,
}

impl<E: Serialize + DeserializeOwned> Journal<E> {
    /// Takes the directory and hands over all changes so far, oldest first.
    ///
    /// # Errors
    /// Another process has it, or a record in it is no change.
    pub fn open(dir: &Path, apply: impl FnMut(Change<E>)) -> Result<Journal<E>> {
        std::fs::create_dir_all(dir).map_err(|e| io_error("create directory", dir, e))?;
        let lock = lock(dir)?;
        let path = dir.join("log");
        let (log, _) = LogWriter::open(&path, [PARTITION], LogOptions::default())?;
        read(&path, apply)?;
        Ok(Journal { log, broken: None, _lock: lock, kind: std::marker::PhantomData })
    }

    /// Returns once the change would outlive a crash of the machine.
    pub fn append(&mut self, change: &Change<E>) -> Result<()> {
        if let Some(error) = &self.broken {
            return Err(error.clone());
        }
        let written = self.write(change);
        if let Err(error) = &written {
            self.broken = Some(error.clone().hint("start the gateway again; it reads what is there"));
        }
        written
    }

    fn write(&mut self, change: &Change<E>) -> Result<()> {
        let bytes = serde_json::to_vec(change).map_err(|e| Error::runtime(format!("cannot write: {e}")))?;
        let record = Record { timestamp: change.at_ms, value: Some(&bytes), ..Record::default() };
        self.log.append(PARTITION, &record)?;
        self.log.sync()
    }
}

fn read<E: DeserializeOwned>(path: &Path, mut apply: impl FnMut(Change<E>)) -> Result<()> {
    let all = Opening { share: Share::All, start: Start::Earliest, bounded: true, opened_ms: 0 };
    let mut reader = log::open(path, all, &Survey::default())?;
    while let Poll::Messages(batch) = reader.poll(READ_BYTES, 0)? {
        for i in 0..batch.len() {
            let change = serde_json::from_slice(batch.value(i).unwrap_or_default()).map_err(|e| {
                let place = format!("record {} of {}", batch.offsets[i], path.display());
                Error::runtime(format!("{place} is no change of this version: {e}"))
            })?;
            apply(change);
        }
    }
    Ok(())
}

fn lock(dir: &Path) -> Result<File> {
    let path = dir.join("lock");
    let file = OpenOptions::new().write(true).create(true).truncate(false).open(&path);
    let file = file.map_err(|e| io_error("write", &path, e))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            Err(Error::runtime(format!("a gateway has {} open already", dir.display()))
                .hint("stop that one, or give this one another --data-dir"))
        }
        Err(TryLockError::Error(e)) => Err(io_error("lock", &path, e)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    #[serde(tag = "change", rename_all = "snake_case")]
    enum Toy {
        Set { value: u32 },
    }

    #[test]
    fn changes_outlive_the_journal_and_one_process_has_it() {
        let dir = tempfile::tempdir().unwrap();
        let change = |value| Change { who: "me".into(), at_ms: 7, what: Toy::Set { value } };
        let mut journal = Journal::open(dir.path(), |_: Change<Toy>| panic!("it is new")).unwrap();
        journal.append(&change(1)).unwrap();
        journal.append(&change(2)).unwrap();
        let again = Journal::<Toy>::open(dir.path(), |_| {}).err().unwrap().to_string();
        assert!(again.contains("open already"), "{again}");
        drop(journal);
        let mut found = Vec::new();
        Journal::open(dir.path(), |change| found.push(change)).unwrap();
        assert_eq!(found, [change(1), change(2)]);
    }
}
