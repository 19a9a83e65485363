//! The registry of process 0, read by another process of its cluster: from the files, which only
//! process 0 writes.

use super::{Resolved, Result, Trouble};
use crate::journal;
use crate::registry::model::{At, Deleted, Reference, Schema};
use crate::registry::references::closure;
use crate::registry::state::State;
use crate::registry::storage::WORDS;
use std::path::{Path, PathBuf};
use std::sync::Arc;

#[derive(Clone)]
pub struct Nearby {
    dir: PathBuf,
}

impl Nearby {
    pub fn new(dir: &Path) -> Nearby {
        Nearby { dir: dir.to_path_buf() }
    }

    pub fn schema(&self, id: u32) -> Result<Resolved> {
        let state = self.state()?;
        let schema = state.schema(id)?;
        resolved(&state, id, schema)
    }

    pub fn latest(&self, subject: &str) -> Result<Resolved> {
        let state = self.state()?;
        let version = state.version(subject, At::Latest, Deleted::Hidden)?;
        resolved(&state, version.id, version.schema)
    }

    /// As it is now. It is read anew each time; a schema that was found is not asked for again.
    fn state(&self) -> Result<State> {
        let mut state = State::default();
        journal::read(&self.dir, WORDS, |event| state.apply(event))
            .map_err(|error| Trouble::Away(error.to_string()))?;
        Ok(state)
    }
}

fn resolved(state: &State, id: u32, schema: Arc<Schema>) -> Result<Resolved> {
    let mut referred = |reference: &Reference| -> Result<Arc<Schema>> {
        // Registration has pinned it.
        let at = At::Number(reference.version.unsigned_abs());
        Ok(state.version(&reference.subject, at, Deleted::Shown)?.schema)
    };
    Ok(Resolved { id, needed: closure(&schema, &mut referred)?, schema })
}
