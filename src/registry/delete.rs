//! Deletion in two steps: softly first (hidden, still readable by id), then for good.

use super::fault::{Fault, Result};
use super::model::{At, Deleted, Version};
use super::storage::Event;
use super::{Inner, Registry};

impl Registry {
    /// Deletes one version; returns its number.
    pub fn delete_version(&self, subject: &str, at: At, permanent: bool) -> Result<u32> {
        let mut inner = self.write();
        let version = match inner.state.version(subject, at, Deleted::Shown)? {
            // The latest is the latest that can be seen, unless it is to be removed for good.
            _ if at == At::Latest && !permanent => inner.state.version(subject, at, Deleted::Hidden)?,
            version => version,
        };
        match (version.is_deleted, permanent) {
            (true, false) => return Err(Fault::version_deleted(subject, version.number)),
            (false, true) => return Err(Fault::version_not_deleted(subject, version.number)),
            _ => {}
        }
        inner.delete(subject, &[version], permanent)?.into_iter().next().ok_or_else(Fault::schema_not_found)
    }

    /// Deletes all versions; returns their numbers.
    pub fn delete_subject(&self, subject: &str, permanent: bool) -> Result<Vec<u32>> {
        let mut inner = self.write();
        let all = inner.state.versions(subject, Deleted::Shown);
        let shown = inner.state.versions(subject, Deleted::Hidden);
        match (all.is_empty(), shown.is_empty(), permanent) {
            (true, ..) => Err(Fault::subject_not_found(subject)),
            (_, true, false) => Err(Fault::subject_deleted(subject)),
            (_, false, true) => Err(Fault::subject_not_deleted(subject)),
            (_, _, true) => inner.delete(subject, &all, true),
            (_, _, false) => inner.delete(subject, &shown, false),
        }
    }
}

impl Inner {
    fn delete(&mut self, subject: &str, versions: &[Version], permanent: bool) -> Result<Vec<u32>> {
        let numbers: Vec<u32> = versions.iter().map(|version| version.number).collect();
        for number in &numbers {
            let by = self.state.referrers(subject, *number);
            if !by.is_empty() {
                return Err(Fault::is_referenced(subject, *number, &by));
            }
        }
        let event = Event::Deleted { subject: subject.into(), versions: numbers.clone(), permanent };
        self.commit(event)?;
        Ok(numbers)
    }
}
