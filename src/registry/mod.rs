//! A schema registry: subjects with versions of schemas, each schema with an id that never changes, and
//! a check before a version is added that readers and writers will go on understanding each other.
//!
//! ```text
//! server/registry ─┐
//!                  ├─► Registry ─► parsed    text → something that can be compared, by kind
//! client ──────────┘      │     └─► compatibility    level → who must read whom → avro | protobuf | json
//!                         ├─► state      what is known, in memory
//!                         └─► storage    the log it is made of
//! ```
//! `client` is how sources and sinks reach this registry, or another one by HTTP. Semantics, error codes
//! and rules are those of Confluent's registry; where they differ the module that differs says so.

pub mod avro;
mod client;
mod compatibility;
mod delete;
mod fault;
pub mod json;
mod model;
pub mod parsed;
pub mod protobuf;
mod references;
mod state;
mod storage;

pub use client::{Address, Client, Found, Lookups, Resolved, Trouble};
pub use compatibility::check as compare;
pub use fault::{Fault, Result};
pub use model::{At, Deleted, Incompatibility, Kind, Level, Reference, Schema, Version};

use crate::error::Error;
use parsed::Parsed;
use state::State;
use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use storage::{Event, Storage, WORDS};

/// A handle; clones share one registry.
#[derive(Clone)]
pub struct Registry(Arc<RwLock<Inner>>);

struct Inner {
    state: State,
    /// `None`: nothing outlives the registry.
    storage: Option<Storage>,
    /// Ids by what a schema means, whatever its text.
    ids: HashMap<Identity, u32>,
    /// Where neither a subject nor the registry has a level set.
    default_level: Level,
}

/// Equal for schemas that are the same.
#[derive(PartialEq, Eq, Hash)]
struct Identity {
    kind: Kind,
    canonical: String,
    references: Vec<Reference>,
}

impl Registry {
    /// Opens, or begins, the registry in a directory. One process at a time has it.
    pub fn open(dir: &Path) -> crate::error::Result<Registry> {
        Registry::open_with(dir, Level::Backward)
    }

    /// `level` holds until another one is set.
    pub fn open_with(dir: &Path, level: Level) -> crate::error::Result<Registry> {
        let mut state = State::default();
        let storage = Storage::open(dir, WORDS, |event| state.apply(event))?;
        Ok(Registry::of(state, Some(storage), level))
    }

    /// One that is kept nowhere.
    pub fn volatile() -> Registry {
        Registry::of(State::default(), None, Level::Backward)
    }

    /// One that begins with what is in `dir`, whoever has that, and is kept nowhere.
    pub fn copy_of(dir: &Path) -> crate::error::Result<Registry> {
        let mut state = State::default();
        crate::journal::read(dir, WORDS, |event| state.apply(event))?;
        Ok(Registry::of(state, None, Level::Backward))
    }

    /// The same, with a level of its own.
    pub fn volatile_at(level: Level) -> Registry {
        Registry::of(State::default(), None, level)
    }

    fn of(state: State, storage: Option<Storage>, default_level: Level) -> Registry {
        let mut inner = Inner { state, storage, ids: HashMap::new(), default_level };
        inner.index();
        Registry(Arc::new(RwLock::new(inner)))
    }

    /// Changes nothing any more, whoever still has a handle; its directory may be opened again.
    pub fn close(&self) {
        if let Some(storage) = &mut self.write().storage {
            storage.close(Error::runtime("the registry is closed"));
        }
    }

    fn read(&self) -> RwLockReadGuard<'_, Inner> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Inner> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// The schema's id: a new one, or that of an equal schema. Returns when it is stored durably.
    pub fn register(&self, subject: &str, schema: Schema) -> Result<u32> {
        Ok(self.register_version(subject, schema)?.id)
    }

    /// Like [`Registry::register`], with the place that it has in the subject.
    pub fn register_version(&self, subject: &str, schema: Schema) -> Result<Version> {
        self.write().register(subject, schema)
    }

    /// Registers a schema under an id that is free, or is its own, whatever came before in the subject.
    pub fn register_as(&self, subject: &str, schema: Schema, id: u32) -> Result<()> {
        let mut inner = self.write();
        let (schema, parsed) = inner.parse(schema)?;
        let identity = identity(&schema, &parsed);
        let known = inner.state.schema(id).ok();
        if known.as_ref().is_some_and(|known| **known != schema) {
            return Err(Fault::invalid_schema(format!("id {id} is another schema's")));
        }
        let number = inner.state.next_version(subject);
        let schema = known.is_none().then_some(schema);
        inner.commit(Event::Registered { subject: subject.into(), version: number, id, schema })?;
        inner.ids.entry(identity).or_insert(id);
        Ok(())
    }

    /// Registers a schema under the lowest id that is free, or its own.
    pub fn register_lowest(&self, subject: &str, schema: Schema) -> Result<()> {
        let known = {
            let inner = self.read();
            let (schema, parsed) = inner.parse(schema.clone())?;
            inner.ids.get(&identity(&schema, &parsed)).copied()
        };
        let is_free = |id: &u32| self.schema(*id).is_err();
        match known.or_else(|| (1..u32::MAX).find(is_free)) {
            Some(id) if known.is_none() => self.register_as(subject, schema, id),
            _ => self.register(subject, schema).map(drop),
        }
    }

    /// The place of an equal schema in a subject.
    pub fn lookup(&self, subject: &str, schema: Schema, deleted: Deleted) -> Result<Version> {
        let inner = self.read();
        if inner.state.versions(subject, deleted).is_empty() {
            return Err(Fault::subject_not_found(subject));
        }
        let (schema, parsed) = inner.parse(schema)?;
        inner.find(subject, &identity(&schema, &parsed), deleted).ok_or_else(Fault::schema_not_found)
    }

    pub fn schema(&self, id: u32) -> Result<Arc<Schema>> {
        self.read().state.schema(id)
    }

    /// A schema with all that it refers to, directly or not: what is referred to comes first.
    pub fn closure(&self, schema: &Schema) -> Result<Vec<(String, Arc<Schema>)>> {
        self.read().closure(schema)
    }

    /// The text of a schema. `serialized` asks for a Protobuf schema's descriptor in base64, which is
    /// what some clients send and expect.
    pub fn text(&self, schema: &Schema, format: &str) -> Result<String> {
        match (schema.kind, format) {
            (Kind::Protobuf, "serialized") => {
                let (_, parsed) = self.read().parse(schema.clone())?;
                Ok(parsed.canonical)
            }
            _ => Ok(schema.text.clone()),
        }
    }

    pub fn latest(&self, subject: &str) -> Result<Version> {
        self.version(subject, At::Latest)
    }

    pub fn version(&self, subject: &str, at: At) -> Result<Version> {
        self.read().state.version(subject, at, Deleted::Hidden)
    }

    pub fn version_even(&self, subject: &str, at: At, deleted: Deleted) -> Result<Version> {
        self.read().state.version(subject, at, deleted)
    }

    pub fn subjects(&self, deleted: Deleted) -> Vec<String> {
        self.read().state.subjects(deleted)
    }

    pub fn versions(&self, subject: &str, deleted: Deleted) -> Result<Vec<Version>> {
        match self.read().state.versions(subject, deleted) {
            none if none.is_empty() => Err(Fault::subject_not_found(subject)),
            versions => Ok(versions),
        }
    }

    /// Where a schema is used.
    pub fn uses(&self, id: u32, deleted: Deleted) -> Result<Vec<Version>> {
        self.read().state.uses(id, deleted)
    }

    /// The ids of schemas that need this version.
    pub fn referrers(&self, subject: &str, at: At) -> Result<Vec<u32>> {
        let inner = self.read();
        let version = inner.state.version(subject, at, Deleted::Hidden)?;
        Ok(inner.state.referrers(subject, version.number))
    }

    /// Whether a schema could follow one version, at the subject's level.
    pub fn check(&self, subject: &str, at: At, schema: Schema) -> Result<Vec<Incompatibility>> {
        let inner = self.read();
        let version = inner.state.version(subject, at, Deleted::Hidden)?;
        let (_, parsed) = inner.parse(schema)?;
        inner.check(inner.level_for(subject), &parsed, &[version])
    }

    /// Whether a schema could be registered now.
    pub fn check_next(&self, subject: &str, schema: Schema) -> Result<Vec<Incompatibility>> {
        let inner = self.read();
        let (_, parsed) = inner.parse(schema)?;
        inner.check_next(subject, &parsed)
    }

    /// What holds where a subject has no level of its own.
    pub fn level(&self) -> Level {
        let inner = self.read();
        inner.state.level().unwrap_or(inner.default_level)
    }

    pub fn level_of(&self, subject: &str) -> Option<Level> {
        self.read().state.level_of(subject)
    }

    /// Sets the level of a subject or of all others, or with `None` takes it back.
    pub fn set_level(&self, subject: Option<&str>, level: Option<Level>) -> Result<()> {
        self.write().commit(Event::Level { subject: subject.map(Into::into), level })
    }
}

impl Inner {
    /// Makes the ids findable again after a restart.
    fn index(&mut self) {
        for (id, schema) in self.state.schemas() {
            // What an older version took and this one refuses still has its id, but no equals.
            if let Ok((schema, parsed)) = self.parse((**schema).clone()) {
                self.ids.entry(identity(&schema, &parsed)).or_insert(id);
            }
        }
    }

    fn register(&mut self, subject: &str, schema: Schema) -> Result<Version> {
        let (schema, parsed) = self.parse(schema)?;
        let identity = identity(&schema, &parsed);
        if let Some(version) = self.find(subject, &identity, Deleted::Hidden) {
            return Ok(version);
        }
        let found = self.check_next(subject, &parsed)?;
        if !found.is_empty() {
            return Err(Fault::incompatible(subject, self.level_for(subject), &found));
        }
        let known = self.ids.get(&identity).copied();
        let id = known.unwrap_or_else(|| self.state.next_id());
        let number = self.state.next_version(subject);
        let schema = if known.is_none() { Some(schema) } else { None };
        self.commit(Event::Registered { subject: subject.into(), version: number, id, schema })?;
        self.ids.insert(identity, id);
        self.state.version(subject, At::Number(number), Deleted::Hidden)
    }

    /// Stores a change, then makes it seen.
    fn commit(&mut self, event: Event) -> Result<()> {
        if let Some(storage) = &mut self.storage {
            storage.append(chrono::Utc::now().timestamp_millis(), &event).map_err(|e| Fault::storage(&e))?;
        }
        self.state.apply(event);
        Ok(())
    }

    fn find(&self, subject: &str, identity: &Identity, deleted: Deleted) -> Option<Version> {
        let id = *self.ids.get(identity)?;
        self.state.versions(subject, deleted).into_iter().rev().find(|version| version.id == id)
    }

    fn level_for(&self, subject: &str) -> Level {
        self.state.level_of(subject).or(self.state.level()).unwrap_or(self.default_level)
    }

    fn check_next(&self, subject: &str, parsed: &Parsed) -> Result<Vec<Incompatibility>> {
        let level = self.level_for(subject);
        let mut earlier = self.state.versions(subject, Deleted::Hidden);
        if !level.is_transitive() {
            earlier.drain(..earlier.len().saturating_sub(1));
        }
        earlier.reverse();
        self.check(level, parsed, &earlier)
    }

    fn check(&self, level: Level, parsed: &Parsed, earlier: &[Version]) -> Result<Vec<Incompatibility>> {
        let mut found = Vec::new();
        for version in earlier {
            let (_, old) = self.parse((*version.schema).clone())?;
            found.extend(compatibility::check(level, parsed, &old, version.number));
        }
        Ok(found)
    }

    /// Pins references to versions, and parses.
    fn parse(&self, mut schema: Schema) -> Result<(Schema, Parsed)> {
        self.pin(&mut schema)?;
        let needed = self.closure(&schema)?;
        let parsed = Parsed::parse(&schema, &needed).map_err(Fault::invalid_schema)?;
        Ok((schema, parsed))
    }

    fn pin(&self, schema: &mut Schema) -> Result<()> {
        for reference in schema.references.iter_mut().filter(|reference| reference.version < 1) {
            reference.version = self.referred(reference)?.number as i32;
        }
        Ok(())
    }

    fn closure(&self, schema: &Schema) -> Result<Vec<(String, Arc<Schema>)>> {
        references::closure(schema, &mut |reference| Ok(self.referred(reference)?.schema))
    }

    fn referred(&self, reference: &Reference) -> Result<Version> {
        let (at, deleted) = match u32::try_from(reference.version) {
            Ok(number) if number > 0 => (At::Number(number), Deleted::Shown),
            _ => (At::Latest, Deleted::Hidden),
        };
        self.state.version(&reference.subject, at, deleted).map_err(|e| {
            let Reference { name, subject, version } = reference;
            Fault::invalid_schema(format!("no schema for reference '{name}' ({subject} {version}): {e}"))
        })
    }
}

fn identity(schema: &Schema, parsed: &Parsed) -> Identity {
    Identity { kind: schema.kind, canonical: parsed.canonical.clone(), references: schema.references.clone() }
}

#[cfg(test)]
mod tests;
