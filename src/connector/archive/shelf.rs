//! Where the files of an archive lie: a directory, or a bucket of an S3 server. Names are paths below it, with
//! slashes.

#[cfg_attr(not(feature = "s3"), path = "shelf/s3_absent.rs")]
mod s3;

use crate::connector::{entries, io_error};
use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::fs::File;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Shelf {
    Dir(PathBuf),
    S3 {
        bucket: String,
        /// Of all names; without a slash at its ends.
        prefix: String,
    },
}

/// What an archive needs of its place.
pub trait Files: Send {
    /// Writes a file that is not there; returns when it is durable. One that is there is the same, or an error.
    fn put_if_absent(&self, name: &str, bytes: &[u8]) -> Result<()>;

    /// The names of all files below a name, at any depth, in order.
    fn list(&self, below: &str) -> Result<Vec<String>>;

    fn read(&self, name: &str) -> Result<Vec<u8>>;

    /// One that is not there is no error.
    fn delete(&self, name: &str) -> Result<()>;
}

impl Shelf {
    /// `s3://bucket/prefix`, `file:///var/archive`, or a path, which is taken from `base`.
    ///
    /// # Errors
    /// Why it is none.
    pub fn parse(url: &str, base: &Path) -> std::result::Result<Shelf, String> {
        match url.split_once("://") {
            None => Ok(Shelf::Dir(base.join(url))),
            Some(("file", path)) => Ok(Shelf::Dir(path.into())),
            Some(("s3", rest)) => {
                let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
                if bucket.is_empty() {
                    return Err("s3:// is followed by the name of a bucket".into());
                }
                s3::check()?;
                Ok(Shelf::S3 { bucket: bucket.into(), prefix: prefix.trim_matches('/').into() })
            }
            Some((scheme, _)) => Err(format!("archives on {scheme} are not supported")),
        }
    }

    pub fn open(&self) -> Result<Box<dyn Files>> {
        Ok(match self {
            Shelf::Dir(dir) => Box::new(Directory { dir: dir.clone() }),
            Shelf::S3 { bucket, prefix } => s3::open(bucket, prefix)?,
        })
    }
}

impl fmt::Display for Shelf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Shelf::Dir(dir) => write!(f, "{}", dir.display()),
            Shelf::S3 { bucket, prefix } => write!(f, "s3://{bucket}/{prefix}"),
        }
    }
}

/// What is there under a name is another file than the one that was to be put.
fn is_another(name: &str) -> Error {
    Error::runtime(format!("{name} is there already, and is another file"))
        .hint("two gateways must not archive into one place")
}

struct Directory {
    dir: PathBuf,
}

impl Directory {
    fn walk(&self, dir: &Path, found: &mut Vec<String>) -> Result<()> {
        for path in entries(dir)? {
            if path.is_dir() {
                self.walk(&path, found)?;
            } else {
                found.push(path.strip_prefix(&self.dir).unwrap_or(&path).to_string_lossy().into_owned());
            }
        }
        Ok(())
    }
}

impl Files for Directory {
    fn put_if_absent(&self, name: &str, bytes: &[u8]) -> Result<()> {
        let path = self.dir.join(name);
        let failed = |e| io_error("write", &path, e);
        let dir = path.parent().unwrap_or(&self.dir);
        std::fs::create_dir_all(dir).map_err(|e| io_error("create directory", dir, e))?;
        let beside = path.with_extension("part");
        let mut file = File::create(&beside).map_err(failed)?;
        file.write_all(bytes).and_then(|()| file.sync_data()).map_err(failed)?;
        // A link, unlike a renaming, replaces nothing.
        let linked = match std::fs::hard_link(&beside, &path) {
            Err(e) if e.kind() == ErrorKind::AlreadyExists => {
                match std::fs::read(&path).map_err(failed)? == bytes {
                    true => Ok(()),
                    false => Err(is_another(&path.display().to_string())),
                }
            }
            linked => linked.map_err(failed),
        };
        // What is left of it is taken away at the next start.
        let _ = std::fs::remove_file(&beside);
        linked?;
        File::open(dir).and_then(|dir| dir.sync_all()).map_err(|e| io_error("sync", dir, e))
    }

    fn list(&self, below: &str) -> Result<Vec<String>> {
        let mut found = Vec::new();
        self.walk(&self.dir.join(below), &mut found)?;
        Ok(found)
    }

    fn read(&self, name: &str) -> Result<Vec<u8>> {
        let path = self.dir.join(name);
        std::fs::read(&path).map_err(|e| io_error("read", &path, e))
    }

    fn delete(&self, name: &str) -> Result<()> {
        let path = self.dir.join(name);
        match std::fs::remove_file(&path) {
            Err(e) if e.kind() != ErrorKind::NotFound => Err(io_error("delete", &path, e)),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_put_once() {
        let dir = tempfile::tempdir().unwrap();
        let files = Shelf::Dir(dir.path().into()).open().unwrap();
        files.put_if_absent("a/b.jsonl", b"x\n").unwrap();
        files.put_if_absent("a/b.jsonl", b"x\n").unwrap();
        assert!(files.put_if_absent("a/b.jsonl", b"y\n").is_err());
        assert_eq!(files.read("a/b.jsonl").unwrap(), b"x\n");
        assert_eq!(files.list("").unwrap(), ["a/b.jsonl"]);
        files.delete("a/b.jsonl").unwrap();
        files.delete("a/b.jsonl").unwrap();
        assert!(files.list("a").unwrap().is_empty());
    }

    #[test]
    fn places_are_urls_and_paths() {
        let parse = |url: &str| Shelf::parse(url, Path::new("/base"));
        assert_eq!(parse("archive"), Ok(Shelf::Dir("/base/archive".into())));
        assert_eq!(parse("file:///var/archive"), Ok(Shelf::Dir("/var/archive".into())));
        assert!(parse("gs://x").unwrap_err().contains("archives on gs are not supported"));
        match parse("s3://bucket/some/where/") {
            Ok(shelf) => assert_eq!(shelf.to_string(), "s3://bucket/some/where"),
            Err(why) => assert!(cfg!(not(feature = "s3")) && why.contains("--features s3"), "{why}"),
        }
    }
}
