//! What the registry knows, in memory: the sum of all events. Answers questions, and says what the next
//! event has to be; it does no IO and parses nothing.

use super::fault::{Fault, Result};
use super::model::{At, Deleted, Level, Reference, Schema, Version};
use super::storage::Event;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

#[derive(Default)]
pub struct State {
    /// By id. Ids are never given twice, not even after a permanent deletion.
    schemas: BTreeMap<u32, Arc<Schema>>,
    subjects: BTreeMap<String, Subject>,
    level: Option<Level>,
    levels: HashMap<String, Level>,
    last_id: u32,
}

#[derive(Default)]
struct Subject {
    versions: BTreeMap<u32, Entry>,
    last: u32,
}

#[derive(Clone, Copy)]
struct Entry {
    id: u32,
    is_deleted: bool,
}

impl Subject {
    fn is_shown(&self, deleted: Deleted) -> bool {
        self.versions.values().any(|entry| entry.is_shown(deleted))
    }
}

impl Entry {
    fn is_shown(self, deleted: Deleted) -> bool {
        !self.is_deleted || deleted == Deleted::Shown
    }
}

impl State {
    pub fn apply(&mut self, event: Event) {
        match event {
            Event::Registered { subject, version, id, schema } => {
                if let Some(schema) = schema {
                    self.schemas.insert(id, Arc::new(schema));
                }
                self.last_id = self.last_id.max(id);
                let subject = self.subjects.entry(subject).or_default();
                subject.last = subject.last.max(version);
                subject.versions.insert(version, Entry { id, is_deleted: false });
            }
            Event::Deleted { subject, versions, permanent } => self.delete(&subject, &versions, permanent),
            Event::Level { subject: None, level } => self.level = level,
            Event::Level { subject: Some(subject), level: Some(level) } => {
                self.levels.insert(subject, level);
            }
            Event::Level { subject: Some(subject), level: None } => {
                self.levels.remove(&subject);
            }
        }
    }

    fn delete(&mut self, name: &str, versions: &[u32], permanent: bool) {
        let Some(subject) = self.subjects.get_mut(name) else { return };
        for version in versions {
            match subject.versions.get_mut(version) {
                Some(entry) if !permanent => entry.is_deleted = true,
                _ => drop(subject.versions.remove(version)),
            }
        }
        if subject.versions.is_empty() {
            self.subjects.remove(name);
        }
    }

    pub fn next_id(&self) -> u32 {
        self.last_id + 1
    }

    pub fn next_version(&self, subject: &str) -> u32 {
        self.subjects.get(subject).map_or(1, |subject| subject.last + 1)
    }

    pub fn schemas(&self) -> impl Iterator<Item = (u32, &Arc<Schema>)> {
        self.schemas.iter().map(|(id, schema)| (*id, schema))
    }

    pub fn schema(&self, id: u32) -> Result<Arc<Schema>> {
        self.schemas.get(&id).cloned().ok_or_else(|| Fault::id_not_found(id))
    }

    pub fn subjects(&self, deleted: Deleted) -> Vec<String> {
        let shown = self.subjects.iter().filter(|(_, subject)| subject.is_shown(deleted));
        shown.map(|(name, _)| name.clone()).collect()
    }

    /// All of a subject's, oldest first; none if there is no such subject.
    pub fn versions(&self, name: &str, deleted: Deleted) -> Vec<Version> {
        let Some(subject) = self.subjects.get(name) else { return Vec::new() };
        let shown = subject.versions.iter().filter(|(_, entry)| entry.is_shown(deleted));
        shown.filter_map(|(number, entry)| self.place(name, *number, *entry)).collect()
    }

    pub fn version(&self, name: &str, at: At, deleted: Deleted) -> Result<Version> {
        let mut versions = self.versions(name, deleted);
        if versions.is_empty() {
            return Err(Fault::subject_not_found(name));
        }
        match at {
            At::Latest => versions.pop().ok_or_else(|| Fault::subject_not_found(name)),
            At::Number(number) => versions
                .into_iter()
                .find(|version| version.number == number)
                .ok_or_else(|| Fault::version_not_found(number)),
        }
    }

    fn place(&self, subject: &str, number: u32, entry: Entry) -> Option<Version> {
        let schema = self.schemas.get(&entry.id)?.clone();
        Some(Version { subject: subject.into(), number, id: entry.id, schema, is_deleted: entry.is_deleted })
    }

    /// Where a schema is used.
    pub fn uses(&self, id: u32, deleted: Deleted) -> Result<Vec<Version>> {
        self.schema(id)?;
        let all = self.subjects.keys().flat_map(|name| self.versions(name, deleted));
        Ok(all.filter(|version| version.id == id).collect())
    }

    /// The ids of schemas in use that need this version of a subject.
    pub fn referrers(&self, subject: &str, number: u32) -> Vec<u32> {
        let is_it = |r: &Reference| r.subject == subject && r.version == number as i32;
        let all = self.subjects.keys().flat_map(|name| self.versions(name, Deleted::Hidden));
        let mut ids: Vec<u32> = all.filter(|v| v.schema.references.iter().any(is_it)).map(|v| v.id).collect();
        ids.sort_unstable();
        ids.dedup();
        ids
    }

    pub fn level(&self) -> Option<Level> {
        self.level
    }

    pub fn level_of(&self, subject: &str) -> Option<Level> {
        self.levels.get(subject).copied()
    }
}
