//! A cut of one partition on its way to files.

use super::columns::{self, Row};
use super::{Source, below, hour_dir, hour_of, written_ms};
use crate::connector::archive::container;
use crate::connector::archive::layout::{Listed, Manifest};
use crate::connector::{entries, io_error};
use crate::error::{Error, Result};
use crate::gateway::cloudevents::{self, Attributes, Place};
use crate::gateway::trace::Step;
use crate::gateway::{Gateway, files, now_ms};
use crate::topology::{ArchiveFormat, ArchiveSpec, EventName};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{ErrorKind, Write};
use std::path::Path;
use std::time::Instant;

/// What waits of one partition.
pub struct Cut {
    pub event: EventName,
    pub source: Source,
    pub bytes: usize,
    pub begun: Instant,
    pub from: i64,
    pub to: i64,
    /// By hour and schema.
    parts: BTreeMap<(String, u32), Part>,
    /// Source and id of each event, for its trace.
    ids: Vec<(String, String, (String, u32))>,
}

#[derive(Default)]
struct Part {
    records: u64,
    bytes: Vec<u8>,
    /// Of files with columns.
    rows: Vec<Row>,
}

/// Events of a cut that are named in their traces.
const TRACED_MAX: usize = 10_000;

impl Cut {
    pub fn new(event: &EventName, source: Source, from: i64) -> Cut {
        let (parts, ids) = Default::default();
        Cut { event: event.clone(), source, bytes: 0, begun: Instant::now(), from, to: from, parts, ids }
    }

    pub fn is_empty(&self) -> bool {
        self.from == self.to
    }

    pub fn add(
        &mut self,
        gateway: &Gateway,
        format: ArchiveFormat,
        place: &Place,
        block: &[u8],
        key: Option<&[u8]>,
        value: Option<&[u8]>,
    ) {
        let schema = match value {
            Some([0, a, b, c, d, ..]) => u32::from_be_bytes([*a, *b, *c, *d]),
            _ => 0,
        };
        let attributes = Attributes::of(block);
        let part_key = (hour_of(place.timestamp), schema);
        let part = self.parts.entry(part_key.clone()).or_default();
        let before = part.bytes.len();
        let mut data = String::new();
        if let Err(why) = cloudevents::data_of(value, |id| gateway.codec(id), &mut data) {
            // Nothing is left out: what cannot be read is kept as it is.
            data = unreadable(value, &why);
        }
        let mut line = String::with_capacity(data.len() + 512);
        cloudevents::outgoing(place, block, key, &data, &mut line);
        match format {
            ArchiveFormat::Jsonl => {
                part.bytes.extend_from_slice(line.as_bytes());
                part.bytes.push(b'\n');
            }
            ArchiveFormat::Avro => container::push(&line, &mut part.bytes),
            ArchiveFormat::Parquet => {
                let row = Row::new(place, &attributes, key, value.unwrap_or_default(), line);
                self.bytes += row.bytes();
                part.rows.push(row);
            }
        }
        part.records += 1;
        self.bytes += part.bytes.len() - before;
        self.to = place.offset + 1;
        if let (Some(source), Some(id), true) =
            (attributes.source, attributes.id, self.ids.len() < TRACED_MAX)
        {
            self.ids.push((source.into(), id.into(), part_key));
        }
    }

    /// Files first, then the manifest that makes them count.
    pub fn write(self, gateway: &Gateway, spec: &ArchiveSpec, zone: &str) -> Result<()> {
        let prefix = format!("{}-{:020}-{:020}", self.source.prefix(), self.from, self.to);
        let mut listed = Vec::new();
        let mut paths = BTreeMap::new();
        for (key, part) in &self.parts {
            let (hour, schema) = key;
            let extension = spec.format.name();
            let path = hour_dir(&spec.dir, &self.event, hour).join(format!("{prefix}-s{schema}.{extension}"));
            let bytes = match spec.format {
                ArchiveFormat::Jsonl => part.bytes.clone(),
                ArchiveFormat::Avro => container::file(part.records, &part.bytes),
                ArchiveFormat::Parquet => columns::file(gateway, &self.event, *schema, &part.rows)?,
            };
            put_if_absent(&path, &bytes)?;
            let name = below(&spec.dir, &path);
            listed.push(Listed {
                path: name.clone(),
                records: part.records,
                bytes: bytes.len() as u64,
                schema: *schema,
            });
            paths.insert(key.clone(), name);
        }
        let manifest = Manifest {
            event: self.event.to_string(),
            zone: zone.into(),
            cluster: self.source.cluster.to_string(),
            generation: self.source.generation,
            partition: self.source.partition,
            from: self.from,
            to: self.to,
            written_ms: written_ms(),
            files: listed,
        };
        let text = serde_json::to_vec(&manifest).map_err(|e| Error::runtime(e.to_string()))?;
        put_if_absent(
            &spec.dir.join(self.event.dotted()).join("manifests").join(format!("{prefix}.json")),
            &text,
        )?;
        let now = now_ms();
        for (source, id, key) in &self.ids {
            let file = paths.get(key).cloned().unwrap_or_default();
            gateway.trace.step(source, id, now, Step::Archived { file });
        }
        Ok(())
    }
}

fn unreadable(value: Option<&[u8]>, why: &str) -> String {
    use base64::Engine;
    let bytes = base64::engine::general_purpose::STANDARD.encode(value.unwrap_or_default());
    serde_json::json!({ "unreadable": why, "base64": bytes }).to_string()
}

/// Writes a file that is not there; returns when it would outlive a crash of the machine. One that is
/// there is the same, or an error.
fn put_if_absent(path: &Path, bytes: &[u8]) -> Result<()> {
    let failed = |e| io_error("write", path, e);
    let dir = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(dir).map_err(|e| io_error("create directory", dir, e))?;
    let beside = path.with_extension("part");
    let mut file = File::create(&beside).map_err(failed)?;
    file.write_all(bytes).and_then(|()| file.sync_data()).map_err(failed)?;
    // A link, unlike a renaming, replaces nothing.
    let linked = match std::fs::hard_link(&beside, path) {
        Err(e) if e.kind() == ErrorKind::AlreadyExists => {
            let there = std::fs::read(path).map_err(failed)?;
            match there == bytes {
                true => Ok(()),
                false => {
                    Err(Error::runtime(format!("{} is there already, and is another file", path.display()))
                        .hint("two gateways must not archive into one directory"))
                }
            }
        }
        linked => linked.map_err(failed),
    };
    // What is left of it is taken away at the next start.
    let _ = std::fs::remove_file(&beside);
    linked?;
    files::sync_dir(dir)
}

/// Takes away what a crash has left: files that no manifest lists.
pub fn take_away_unlisted(dir: &Path, event_dir: &Path, manifests: &[Manifest]) -> Result<()> {
    let listed: BTreeSet<&str> =
        manifests.iter().flat_map(|manifest| manifest.files.iter().map(|file| file.path.as_str())).collect();
    for day in entries(event_dir)?.into_iter().filter(|path| path.is_dir()) {
        let is_manifests = day.ends_with("manifests");
        let inner = if is_manifests { vec![day] } else { entries(&day)? };
        for hour in inner {
            for file in entries(&hour)? {
                let is_part = file.extension().is_some_and(|extension| extension == "part");
                if is_part || (!is_manifests && !listed.contains(below(dir, &file).as_str())) {
                    std::fs::remove_file(&file).map_err(|e| io_error("delete", &file, e))?;
                }
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_put_once() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a/b.jsonl");
        put_if_absent(&path, b"x\n").unwrap();
        put_if_absent(&path, b"x\n").unwrap();
        assert!(put_if_absent(&path, b"y\n").is_err());
        assert_eq!(std::fs::read(&path).unwrap(), b"x\n");
        assert_eq!(entries(path.parent().unwrap()).unwrap().len(), 1);
    }

    #[test]
    fn what_no_manifest_lists_goes() {
        let dir = tempfile::tempdir().unwrap();
        let event_dir = dir.path().join("a.B");
        for name in
            ["2016-04-19/17/x.jsonl", "2016-04-19/17/y.jsonl", "2016-04-19/17/y.part", "manifests/m.part"]
        {
            put_if_absent(&event_dir.join(name), b"").unwrap();
            std::fs::write(event_dir.join(name), b"").unwrap();
        }
        let listed = Listed { path: "a.B/2016-04-19/17/x.jsonl".into(), records: 0, bytes: 0, schema: 0 };
        let manifest = Manifest {
            event: "a/B".into(),
            zone: String::new(),
            cluster: String::new(),
            generation: 0,
            partition: 0,
            from: 0,
            to: 0,
            written_ms: 0,
            files: vec![listed],
        };
        take_away_unlisted(dir.path(), &event_dir, &[manifest]).unwrap();
        assert_eq!(
            entries(&event_dir.join("2016-04-19/17")).unwrap(),
            [event_dir.join("2016-04-19/17/x.jsonl")]
        );
        assert!(entries(&event_dir.join("manifests")).unwrap().is_empty());
    }
}
