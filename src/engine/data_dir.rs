//! Where an engine keeps its logs: a directory that was given, which no other engine may use at the
//! same time, or a temporary one.

use super::Config;
use crate::error::{Error, Result, reason};
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// Where process 0 keeps its own registry.
pub fn registry_dir(data_dir: &Path) -> PathBuf {
    data_dir.join("registry")
}

/// Until it is dropped the directory is this engine's.
pub struct DataDir {
    pub path: PathBuf,
    _lock: Option<File>,
    _temporary: Option<TempDir>,
}

impl DataDir {
    pub fn open(config: &Config) -> Result<DataDir> {
        match &config.data_dir {
            // The others use the directory that process 0 tells them, under its lock.
            _ if config.process > 0 => Ok(DataDir { path: PathBuf::new(), _lock: None, _temporary: None }),
            Some(dir) => DataDir::given(dir),
            None => DataDir::temporary(),
        }
    }

    fn given(dir: &Path) -> Result<DataDir> {
        let failed = |e| {
            let why = reason(&e);
            Error::usage(format!("cannot write to data directory {}: {why}", dir.display()))
                .hint("give another one with --data-dir")
        };
        std::fs::create_dir_all(dir.join("topics")).map_err(failed)?;
        let mut lock = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(dir.join("lock"))
            .map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(in_use(dir, &mut lock)),
            Err(TryLockError::Error(e)) => return Err(failed(e)),
        }
        // Its content is only told to whoever comes second; the lock goes with the process.
        lock.set_len(0)
            .and_then(|()| lock.rewind())
            .and_then(|()| write!(lock, "{}", std::process::id()))
            .map_err(failed)?;
        Ok(DataDir { path: dir.to_path_buf(), _lock: Some(lock), _temporary: None })
    }

    fn temporary() -> Result<DataDir> {
        let dir = tempfile::Builder::new().prefix("wharfe-").tempdir().map_err(|e| {
            Error::runtime(format!("cannot make a temporary data directory: {}", reason(&e)))
                .hint("give one with --data-dir")
        })?;
        Ok(DataDir { path: dir.path().to_path_buf(), _lock: None, _temporary: Some(dir) })
    }
}

fn in_use(dir: &Path, lock: &mut File) -> Error {
    let mut pid = String::new();
    let by = match lock.read_to_string(&mut pid) {
        Ok(_) if !pid.is_empty() => format!("by process {pid}"),
        _ => "by another process".into(),
    };
    Error::runtime(format!("data directory {} is in use {by}", dir.display()))
        .hint("stop that one, or give another --data-dir")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_belongs_to_one_engine_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let given = dir.path().join("a/b");
        let first = DataDir::given(&given).unwrap();
        assert_eq!(
            DataDir::given(&given).err().unwrap().to_string(),
            format!(
                "data directory {} is in use by process {}; hint: stop that one, or give another --data-dir",
                given.display(),
                std::process::id()
            )
        );
        drop(first);
        assert!(DataDir::given(&given).is_ok());
    }

    #[test]
    fn what_cannot_be_written_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        std::fs::write(&file, "").unwrap();
        assert_eq!(
            DataDir::given(&file).err().unwrap().message,
            format!("cannot write to data directory {}: not a directory", file.display())
        );
    }
}
