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

/// Removes a directory with all in it; one that is not there is removed already.
pub fn clear(dir: &Path) -> Result<()> {
    match std::fs::remove_dir_all(dir) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
            Err(Error::runtime(format!("cannot clear {}: {}", dir.display(), reason(&e))))
        }
        _ => Ok(()),
    }
}

/// A log that is out of the way, until it is known whether what replaces it will be: it comes back when
/// this is dropped.
pub struct Aside {
    dir: PathBuf,
    kept: Option<PathBuf>,
}

impl Aside {
    /// Whoever writes to the log goes on writing to what was put aside.
    pub fn put(data_dir: &Path, dir: &Path) -> Result<Aside> {
        let (Some(name), true) = (dir.file_name(), dir.exists()) else {
            return Ok(Aside { dir: dir.to_path_buf(), kept: None });
        };
        let kept = data_dir.join(ASIDE).join(name);
        clear(&kept)?;
        std::fs::create_dir_all(data_dir.join(ASIDE))
            .and_then(|()| std::fs::rename(dir, &kept))
            .map_err(|e| Error::runtime(format!("cannot clear {}: {}", dir.display(), reason(&e))))?;
        Ok(Aside { dir: dir.to_path_buf(), kept: Some(kept) })
    }

    /// It is not needed any more.
    pub fn remove(mut self) {
        if let Some(Err(error)) = self.kept.take().map(|kept| clear(&kept)) {
            tracing::warn!("{error}");
        }
    }
}

impl Drop for Aside {
    fn drop(&mut self) {
        if let Some(kept) = &self.kept
            && let Err(error) = clear(&self.dir).and_then(|()| {
                std::fs::rename(kept, &self.dir).map_err(|e| {
                    Error::runtime(format!("cannot bring back {}: {}", self.dir.display(), reason(&e)))
                })
            })
        {
            tracing::warn!("{error}");
        }
    }
}

/// Where logs are put aside.
const ASIDE: &str = "aside";

/// Brings back what a start that ended in between has put aside, unless something has replaced it.
fn bring_back(data_dir: &Path) -> Result<()> {
    let aside = data_dir.join(ASIDE);
    let Ok(entries) = std::fs::read_dir(&aside) else { return Ok(()) };
    for entry in entries.flatten() {
        let log = data_dir.join("topics").join(entry.file_name());
        if !log.exists() {
            std::fs::rename(entry.path(), &log).map_err(|e| {
                Error::runtime(format!("cannot bring back {}: {}", log.display(), reason(&e)))
            })?;
        }
    }
    clear(&aside)
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
        bring_back(dir)?;
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
    fn a_log_that_was_put_aside_comes_back_unless_it_was_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let (log, file) = (dir.path().join("topics/t"), dir.path().join("topics/t/0"));
        let write = |text: &str| {
            std::fs::create_dir_all(&log).unwrap();
            std::fs::write(&file, text).unwrap();
        };
        let read = || std::fs::read_to_string(&file).ok();
        write("old");
        let aside = Aside::put(dir.path(), &log).unwrap();
        assert_eq!(read(), None);
        write("half of the new");
        drop(aside);
        assert_eq!(read().as_deref(), Some("old"), "the statement failed");

        std::mem::forget(Aside::put(dir.path(), &log).unwrap());
        bring_back(dir.path()).unwrap();
        assert_eq!(read().as_deref(), Some("old"), "the process ended before it was replaced");

        std::mem::forget(Aside::put(dir.path(), &log).unwrap());
        write("new");
        bring_back(dir.path()).unwrap();
        assert_eq!(read().as_deref(), Some("new"), "the process ended when it was replaced");

        Aside::put(dir.path(), &log).unwrap().remove();
        assert_eq!(read(), None);
        assert_eq!(std::fs::read_dir(dir.path().join(ASIDE)).unwrap().count(), 0);
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
