//! Which files a directory or a glob holds, and which of them are new.

use super::{Error, Path, PathBuf, Result, io_error};
use std::collections::HashSet;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::time::SystemTime;

/// Tells files from names. Inode numbers are used again, so the time of birth belongs to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Identity(u64, u64, Option<SystemTime>);

impl Identity {
    pub fn of(metadata: &Metadata) -> Identity {
        Identity(metadata.dev(), metadata.ino(), metadata.created().ok())
    }
}

pub fn is_glob(path: &Path) -> bool {
    !path.exists() && path.to_string_lossy().contains(['*', '?', '['])
}

/// The regular files of a place with their sizes, sorted by name.
pub fn list(path: &Path) -> Result<Vec<(PathBuf, u64)>> {
    Ok(list_with(path)?.into_iter().map(|(file, metadata)| (file, metadata.len())).collect())
}

fn list_with(path: &Path) -> Result<Vec<(PathBuf, Metadata)>> {
    let mut candidates: Vec<PathBuf> = if path.is_dir() {
        let entries = std::fs::read_dir(path).map_err(|e| io_error("read directory", path, e))?;
        entries
            .map(|entry| entry.map(|e| e.path()))
            .collect::<Result<_, _>>()
            .map_err(|e| io_error("read directory", path, e))?
    } else if is_glob(path) {
        matching(path)?
    } else {
        return one(path);
    };
    candidates.sort();
    // What is gone again since it was listed is no file of the topic.
    let looked_at = candidates.into_iter().filter_map(|file| file.metadata().ok().map(|m| (file, m)));
    Ok(looked_at.filter(|(_, metadata)| metadata.is_file()).collect())
}

fn matching(pattern: &Path) -> Result<Vec<PathBuf>> {
    let Some(text) = pattern.to_str() else {
        return Err(Error::runtime(format!("the pattern {} is not UTF-8", pattern.display())));
    };
    let paths = glob::glob(text).map_err(|e| Error::runtime(format!("bad pattern {text}: {}", e.msg)))?;
    Ok(paths.filter_map(|path| path.ok()).collect())
}

fn one(path: &Path) -> Result<Vec<(PathBuf, Metadata)>> {
    match path.metadata() {
        Ok(metadata) if metadata.is_file() => Ok(vec![(path.to_path_buf(), metadata)]),
        Ok(_) => Err(Error::runtime(format!("{} is not a regular file", path.display()))
            .hint("connector = \"stdin\" reads from a pipe")),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(e) => Err(io_error("read", path, e)),
    }
}

/// Finds the files that appear in a directory or match a glob later on.
pub struct Watch {
    path: PathBuf,
    /// Names that have a reader, which follows whatever comes to bear the name.
    known: HashSet<PathBuf>,
    /// Files that were there at the last look: under a new name one was only renamed.
    seen: HashSet<Identity>,
    next_partition: i32,
    next_look_ms: i64,
}

impl Watch {
    /// `files`: all that are known, in the order of their partitions.
    pub fn new(path: &Path, files: &[PathBuf]) -> Watch {
        let known: HashSet<PathBuf> = files.iter().cloned().collect();
        let seen = known.iter().filter_map(|file| file.metadata().ok()).map(|m| Identity::of(&m)).collect();
        let next_partition = files.len() as i32;
        Watch { path: path.to_path_buf(), known, seen, next_partition, next_look_ms: i64::MIN }
    }

    /// New files with the partitions they get; looks at most every `interval_ms`.
    pub fn new_files(&mut self, now_ms: i64, interval_ms: i64) -> Result<Vec<(i32, PathBuf)>> {
        if now_ms < self.next_look_ms && now_ms >= self.next_look_ms - 10 * interval_ms {
            return Ok(Vec::new());
        }
        self.next_look_ms = now_ms + interval_ms;
        let mut new = Vec::new();
        let mut seen = HashSet::new();
        for (file, metadata) in list_with(&self.path)? {
            let identity = Identity::of(&metadata);
            seen.insert(identity);
            if !self.known.contains(&file) && !self.seen.contains(&identity) {
                self.known.insert(file.clone());
                new.push((self.next_partition, file));
                self.next_partition += 1;
            }
        }
        self.seen = seen;
        Ok(new)
    }
}
