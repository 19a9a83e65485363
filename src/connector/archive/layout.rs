//! What is where in an archive of events; whoever writes one keeps to it.
//!
//! ```text
//! DIR/<namespace>.<type>/2016-04-19/17/<place>-<from>-<to>-s<schema>.jsonl      an event a line
//! DIR/<namespace>.<type>/manifests/<place>-<from>-<to>.json                     what a cut has written
//! <place>: cluster, generation, partition
//! ```
//! A *cut* is a range of offsets of one partition; it becomes a file for each hour and schema in it, and a
//! manifest that lists them. Files count once their manifest is there.

use super::{columns, container};
use crate::connector::{entries, io_error};
use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

/// What a cut has written. Stable: archives hold it as JSON.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// `mfp/FoodEntryCreated`
    pub event: String,
    pub zone: String,
    pub cluster: String,
    pub generation: u32,
    pub partition: u32,
    /// Offsets: from, up to but without.
    pub from: i64,
    pub to: i64,
    pub written_ms: i64,
    pub files: Vec<Listed>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Listed {
    /// Below the archive's directory.
    pub path: String,
    pub records: u64,
    pub bytes: u64,
    /// The registry's id; 0: of none.
    pub schema: u32,
}

/// All manifests of an event, by its directory, in the order of their names.
pub fn manifests(dir: &Path) -> Result<Vec<Manifest>> {
    let mut found = Vec::new();
    for path in entries(&dir.join("manifests"))? {
        if path.extension().is_some_and(|extension| extension == "json") {
            let text = std::fs::read(&path).map_err(|e| io_error("read", &path, e))?;
            let manifest = serde_json::from_slice(&text);
            found.push(manifest.map_err(|e| {
                Error::runtime(format!("{} is no manifest of an archive: {e}", path.display()))
            })?);
        }
    }
    Ok(found)
}

/// All manifests of an archive, or those of one event: `mfp.FoodEntryCreated`.
pub fn list(dir: &Path, event: Option<&str>) -> Result<Vec<Manifest>> {
    let mut all = Vec::new();
    for path in entries(dir)? {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if path.is_dir() && event.is_none_or(|event| event == name) {
            all.extend(manifests(&path)?);
        }
    }
    Ok(all)
}

/// Hands over every event of a file, as a CloudEvent in JSON.
pub fn read_file(path: &Path, each: impl FnMut(&str) -> Result<()>) -> Result<()> {
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("avro") => container::read(path, each),
        Some("jsonl") => read_lines(path, each),
        Some("parquet") => columns::read(path, each),
        _ => Err(Error::runtime(format!("{} is no file of an archive", path.display()))),
    }
}

fn read_lines(path: &Path, mut each: impl FnMut(&str) -> Result<()>) -> Result<()> {
    let failed = |e| io_error("read", path, e);
    for line in BufReader::new(File::open(path).map_err(failed)?).lines() {
        each(&line.map_err(failed)?)?;
    }
    Ok(())
}
