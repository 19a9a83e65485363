//! What is where in an archive of events; whoever writes one keeps to it.
//!
//! ```text
//! <namespace>.<type>/2016-04-19/17/<place>-<from>-<to>-s<schema>.jsonl      an event a line
//! <namespace>.<type>/manifests/<place>-<from>-<to>.json                     what a cut has written
//! <place>: cluster, generation, partition
//! ```
//! A *cut* is a range of offsets of one partition; it becomes a file for each hour and schema in it, and a
//! manifest that lists them. Files count once their manifest is there.

use super::shelf::Files;
use super::{columns, container};
use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

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
    /// Below the archive's place.
    pub path: String,
    pub records: u64,
    pub bytes: u64,
    /// The registry's id; 0: of none.
    pub schema: u32,
}

/// All manifests of an event, `mfp.FoodEntryCreated`, in the order of their names.
pub fn manifests(files: &dyn Files, event: &str) -> Result<Vec<Manifest>> {
    let names = files.list(&format!("{event}/manifests"))?;
    let manifest = |name: &String| {
        let parsed = serde_json::from_slice(&files.read(name)?);
        parsed.map_err(|e| Error::runtime(format!("{name} is no manifest of an archive: {e}")))
    };
    names.iter().filter(|name| name.ends_with(".json")).map(manifest).collect()
}

/// All manifests of an archive, or those of one event.
pub fn list(files: &dyn Files, event: Option<&str>) -> Result<Vec<Manifest>> {
    if let Some(event) = event {
        return manifests(files, event);
    }
    let names = files.list("")?;
    let events: BTreeSet<&str> =
        names.iter().filter_map(|name| Some(name.split_once("/manifests/")?.0)).collect();
    let mut all = Vec::new();
    for event in events {
        all.extend(manifests(files, event)?);
    }
    Ok(all)
}

/// Hands over every event of a file, as a CloudEvent in JSON.
pub fn read_file(files: &dyn Files, name: &str, each: impl FnMut(&str) -> Result<()>) -> Result<()> {
    let bytes = files.read(name)?;
    match name.rsplit('.').next() {
        Some("avro") => container::read(name, &bytes, each),
        Some("parquet") => columns::read(name, bytes, each),
        Some("jsonl") => {
            let text = String::from_utf8_lossy(&bytes);
            text.lines().try_for_each(each)
        }
        _ => Err(Error::runtime(format!("{name} is no file of an archive"))),
    }
}
