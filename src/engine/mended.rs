//! Records that were rejected, go back in: each at its source, once.
//!
//! A source whose records are mended gets a second topic, a log in the data directory, and readers of it
//! that write into the same hubs as the readers of its own. So what is mended is decoded, booked and kept by
//! checkpoints as any record, and the source's own topic is left alone. A mended record's key is where the
//! one was that it stands for: that is what nobody may do twice, whatever happens in between. Which sources
//! have such readers is part of the world; [`Mender`] writes the logs.

use super::draft::Draft;
use super::lock;
use crate::catalog::{Origin, Source};
use crate::clock::now_ms;
use crate::connector::log::{self, LogOptions, LogWriter};
use crate::connector::{Opening, Place, Poll, Record, Share, Source as _, Start, Survey};
use crate::error::{Error, Result, Span};
use crate::plan::{DataflowPlan, SourcePlan};
use crate::sql::ast::{Ident, SourceKind};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

const TOPIC: &str = "wharfe_mended_";

/// The logs of mended records that a data directory holds.
pub fn logs(data_dir: &Path) -> BTreeSet<PathBuf> {
    let entries = std::fs::read_dir(data_dir.join("topics")).into_iter().flatten().flatten();
    let is_mended = |name: &std::ffi::OsStr| name.to_string_lossy().starts_with(TOPIC);
    entries.filter(|entry| is_mended(&entry.file_name())).map(|entry| entry.path()).collect()
}

impl Draft<'_> {
    /// Where mended records of a source go: a log that is read beside its topic from now on.
    ///
    /// # Errors
    /// Why no record of it can be mended.
    pub(super) fn mended_log(&mut self, source: &str) -> Result<PathBuf> {
        let name = Ident { name: source.into(), span: Span::default() };
        let source = self.world.catalog.source(&name)?.clone();
        if source.origin != Origin::Declared {
            return Err(Error::statement(format!("{} has no records of its own", source.name))
                .hint("what is wrong came from a stream that it reads"));
        }
        if source.schema.key_len() > 0 {
            let message = format!("the keys of rejected records of {} are not kept", source.name);
            return Err(Error::statement(message).hint("write the record to its topic again, with its key"));
        }
        if !self.world.mended.contains_key(&source.name) {
            self.read_mended(&source)?;
        }
        Ok(self.mended_dir(&source.name))
    }

    /// What earlier starts have put in is read again, or on where a checkpoint says so.
    pub(super) fn reopen_mended(&mut self, logs: &BTreeSet<PathBuf>) -> Result<()> {
        let kinds = [SourceKind::Stream, SourceKind::Table];
        let declared = kinds.iter().flat_map(|kind| self.world.catalog.sources(*kind));
        let is_mended = |source: &&Source| {
            source.origin == Origin::Declared
                && logs.contains(&self.mended_dir(&source.name))
                && !self.world.mended.contains_key(&source.name)
                && self.shared_readers(&source.name).next().is_some()
        };
        let mended: Vec<Source> = declared.filter(is_mended).cloned().collect();
        mended.iter().try_for_each(|source| self.read_mended(source))
    }

    pub(super) fn mended_dir(&self, source: &str) -> PathBuf {
        let part = |b: u8| match b.is_ascii_alphanumeric() || b == b'_' {
            true => char::from(b).to_string(),
            false => format!("-{b:02x}"),
        };
        let name: String = source.bytes().map(part).collect();
        self.base.data_dir.join("topics").join(format!("{TOPIC}{name}"))
    }

    /// A reader of what was mended of a source, beside one of its topic that is somebody's own; `None`:
    /// nothing was.
    pub(super) fn mended_plan(&mut self, source: &Source, own: &SourcePlan) -> Result<Option<SourcePlan>> {
        match self.world.mended.contains_key(&source.name) {
            true => self.beside(source, own, Start::Earliest).map(Some),
            false => Ok(None),
        }
    }

    /// The same beside one that queries share.
    pub(super) fn share_mended(&mut self, source: &Source, own: &SourcePlan) -> Result<Option<SourcePlan>> {
        if !self.world.mended.contains_key(&source.name) {
            return Ok(None);
        }
        let plan = self.beside(source, own, own.start)?;
        self.world.mended.entry(source.name.clone()).or_default().push(plan.id);
        Ok(Some(plan))
    }

    fn beside(&mut self, source: &Source, own: &SourcePlan, start: Start) -> Result<SourcePlan> {
        let key = if own.key.is_empty() { String::new() } else { format!("{}/mended", own.key) };
        Ok(SourcePlan {
            hub: own.hub,
            ordinal: self.world.catalog.next_ordinal(&format!("{} (mended)", source.name)),
            topic: format!("{TOPIC}{}", source.name),
            place: Place::Log { dir: self.mended_dir(&source.name), partitions: 1 },
            ..self.source_plan(source, start, key)?
        })
    }

    /// Adds readers of a source's mended records to all shared readers of its topic.
    fn read_mended(&mut self, source: &Source) -> Result<()> {
        let hubs: Vec<_> = self.shared_readers(&source.name).collect();
        if hubs.is_empty() {
            return Err(Error::statement(format!("no query reads {}", source.name)));
        }
        let mut plans = Vec::new();
        for (start, hub) in hubs {
            let key = self.shared_key(source, start)?;
            let own = SourcePlan { hub, ..self.source_plan(source, start, key)? };
            // The log is new, or all that it holds came while that reader read.
            plans.push(self.beside(source, &own, Start::Earliest)?);
        }
        let readers = plans.iter().map(|plan| plan.id).collect();
        self.install(plans.into_iter().map(DataflowPlan::Source).collect());
        self.world.mended.insert(source.name.clone(), readers);
        self.changes = true;
        Ok(())
    }
}

/// Writes mended records, a log a source.
#[derive(Default)]
pub struct Mender {
    logs: Mutex<BTreeMap<PathBuf, Arc<Mutex<Option<Log>>>>>,
}

struct Log {
    writer: LogWriter,
    /// Which records have been mended.
    known: BTreeSet<String>,
}

impl Mender {
    /// Writes a record so that it is never lost again. `place`: where the one was that it stands for.
    pub fn put(&self, dir: &Path, place: &str, value: &[u8]) -> Result<()> {
        let log = Arc::clone(lock(&self.logs).entry(dir.to_path_buf()).or_default());
        let mut log = lock(&log);
        let log = match &mut *log {
            Some(log) => log,
            none => none.insert(Log::open(dir)?),
        };
        if !log.known.insert(place.into()) {
            return Err(Error::statement(format!("the record {place} went back in already")));
        }
        let (timestamp, key) = (now_ms(), Some(place.as_bytes()));
        let record = Record { timestamp, key, value: Some(value), headers: &[] };
        let written = log.writer.append(0, &record).and_then(|_| log.writer.sync());
        if written.is_err() {
            log.known.remove(place);
        }
        written
    }

    /// The log goes.
    pub fn forget(&self, dir: &Path) {
        lock(&self.logs).remove(dir);
    }
}

impl Log {
    fn open(dir: &Path) -> Result<Log> {
        let (writer, _) = LogWriter::open(dir, [0], LogOptions::default())?;
        let opening = Opening { share: Share::All, start: Start::Earliest, bounded: true, opened_ms: 0 };
        let mut reader = log::open(dir, opening, &Survey::default())?;
        let mut known = BTreeSet::new();
        while let Poll::Messages(messages) = reader.poll(1 << 20, 0)? {
            let keys = (0..messages.len()).filter_map(|i| messages.key(i));
            known.extend(keys.map(|key| String::from_utf8_lossy(key).into_owned()));
        }
        Ok(Log { writer, known })
    }
}
