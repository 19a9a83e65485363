//! A cut of one partition on its way to files.

use super::columns::{self, Row};
use super::{Source, hour_of, written_ms};
use crate::connector::archive::container;
use crate::connector::archive::layout::{Listed, Manifest};
use crate::connector::archive::shelf::Files;
use crate::error::{Error, Result};
use crate::gateway::cloudevents::{self, Attributes, Place};
use crate::gateway::trace::Step;
use crate::gateway::{Gateway, now_ms};
use crate::topology::{ArchiveFormat, ArchiveSpec, EventName};
use std::collections::{BTreeMap, BTreeSet};
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
        let files = spec.shelf.open()?;
        let mut listed = Vec::new();
        let mut paths = BTreeMap::new();
        for (key, part) in &self.parts {
            let (hour, schema) = key;
            let extension = spec.format.name();
            let name = format!("{}/{hour}/{prefix}-s{schema}.{extension}", self.event.dotted());
            let bytes = match spec.format {
                ArchiveFormat::Jsonl => part.bytes.clone(),
                ArchiveFormat::Avro => container::file(part.records, &part.bytes),
                ArchiveFormat::Parquet => columns::file(gateway, &self.event, *schema, &part.rows)?,
            };
            files.put_if_absent(&name, &bytes)?;
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
        files.put_if_absent(&format!("{}/manifests/{prefix}.json", self.event.dotted()), &text)?;
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

/// Takes away what a crash has left: files that no manifest lists.
pub fn take_away_unlisted(files: &dyn Files, event: &str, manifests: &[Manifest]) -> Result<()> {
    let listed: BTreeSet<&str> =
        manifests.iter().flat_map(|manifest| manifest.files.iter().map(|file| file.path.as_str())).collect();
    let of_manifests = format!("{event}/manifests/");
    let is_left = |name: &&String| {
        name.ends_with(".part") || !name.starts_with(&of_manifests) && !listed.contains(name.as_str())
    };
    files.list(event)?.iter().filter(is_left).try_for_each(|name| files.delete(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connector::archive::shelf::Shelf;

    #[test]
    fn what_no_manifest_lists_goes() {
        let dir = tempfile::tempdir().unwrap();
        let files = Shelf::Dir(dir.path().into()).open().unwrap();
        let [kept, manifest] = ["a.B/2016-04-19/17/x.jsonl", "a.B/manifests/m.json"];
        for name in [kept, manifest, "a.B/2016-04-19/17/y.jsonl", "a.B/manifests/n.json"] {
            files.put_if_absent(name, b"").unwrap();
        }
        std::fs::rename(dir.path().join("a.B/manifests/n.json"), dir.path().join("a.B/manifests/n.part"))
            .unwrap();
        let listed = Listed { path: kept.into(), records: 0, bytes: 0, schema: 0 };
        let listing = Manifest {
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
        take_away_unlisted(&*files, "a.B", &[listing]).unwrap();
        assert_eq!(files.list("").unwrap(), [kept, manifest]);
    }
}
