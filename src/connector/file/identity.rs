//! Which file it is that bears a name: another start may find another one there.

use super::{Path, Result, Survey, io_error};
use crate::connector::position::ReadFile;
use crate::connector::read_at::read_at;
use serde::{Deserialize, Serialize};
use std::collections::HashSet;
use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use xxhash_rust::xxh3::xxh3_64;

/// Where a file's bytes are; a renamed one keeps it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inode {
    device: u64,
    number: u64,
}

impl Inode {
    pub fn of(metadata: &Metadata) -> Inode {
        Inode { device: metadata.dev(), number: metadata.ino() }
    }
}

/// How a file begins, as far as it has been read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// So many bytes are hashed.
    pub bytes: u64,
    hash: u64,
}

impl Head {
    /// At most so many.
    pub const BYTES: u64 = 4096;

    /// Of the first bytes of a file, at most `most`.
    pub fn of(file: &File, most: u64) -> io::Result<Head> {
        let mut bytes = Vec::new();
        read_at(file, 0, &mut bytes, most as usize)?;
        Ok(Head { bytes: bytes.len() as u64, hash: xxh3_64(&bytes) })
    }

    fn is_of(self, path: &Path) -> Result<bool> {
        let of = |path: &Path| Head::of(&File::open(path)?, self.bytes);
        match of(path) {
            Ok(head) => Ok(head == self),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(e) => Err(io_error("read", path, e)),
        }
    }
}

/// Finds out what became of the files that an earlier start has read: one that has another name now is
/// read on under that; where another file bears the name, that is read from its start.
pub fn recognise(survey: &mut Survey) -> Result<()> {
    let Some(resumed) = &mut survey.resumed else { return Ok(()) };
    let known: HashSet<&Path> = resumed.files.iter().map(|file| file.path.as_path()).collect();
    let mut renamed: Vec<&(PathBuf, u64)> =
        survey.files.iter().filter(|(path, _)| !known.contains(path.as_path())).collect();
    let lens = super::lens(&survey.files);
    for file in &mut resumed.files {
        let there = lens.get(file.path.as_path());
        let next = file.mark.map_or(0, |mark| mark.next);
        if next == 0 || there.is_some_and(|len| is_same(file, *len)) && file.head.is_of(&file.path)? {
            continue;
        }
        let mut moved = None;
        for (i, (path, len)) in renamed.iter().enumerate() {
            let inode = path.metadata().ok().map(|metadata| Inode::of(&metadata));
            if inode.is_some() && inode == file.inode && is_same(file, *len) && file.head.is_of(path)? {
                moved = Some(i);
            }
        }
        if let Some(i) = moved {
            let (path, _) = renamed.remove(i);
            tracing::info!("{} is {} now: it is read on", file.path.display(), path.display());
            file.path = path.clone();
        } else if there.is_some() {
            let path = file.path.display();
            tracing::warn!("{path} is another file than the one that was read: it is read from its start");
            file.begin_again();
        }
    }
    Ok(())
}

/// Whether a file can be the one that was read, as its length says. What is packed is shorter than what
/// was read of it.
fn is_same(file: &ReadFile, len: u64) -> bool {
    len >= file.mark.map_or(0, |mark| if file.packed { 0 } else { mark.next }).max(file.head.bytes)
}

impl ReadFile {
    fn begin_again(&mut self) {
        (self.found, self.head, self.packed) = (0, Head::default(), false);
        if let Some(mark) = &mut self.mark {
            // What comes behind what was replaced is later.
            (mark.next, mark.time) = (0, mark.time.saturating_add(1));
        }
    }
}
