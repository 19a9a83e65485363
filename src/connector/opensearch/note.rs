//! How far an outlet is: a file beside the log, and the versions that hang on it.

use crate::clock::now_ms;
use crate::connector::log::Ends;
use crate::error::reason;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// A version is a start's second and an offset: so many bits are the offset's.
const OFFSET_BITS: u32 = 32;
const NOTE: &str = "delivered.json";

/// How far it is, beside the log.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Note {
    /// The second since 1970 in which this history of the log began: the upper half of its versions.
    pub(super) generation: i64,
    pub(super) next: Ends,
}

impl Note {
    pub(super) fn read(dir: &Path) -> Note {
        let text = std::fs::read(dir.join(NOTE)).unwrap_or_default();
        serde_json::from_slice(&text).unwrap_or_default()
    }

    pub(super) fn write(&self, dir: &Path) -> Result<(), String> {
        let (path, new) = (dir.join(NOTE), dir.join("delivered.new"));
        let text = serde_json::to_vec(self).expect("a note is plain data");
        std::fs::create_dir_all(dir)
            .and_then(|()| std::fs::write(&new, text))
            .and_then(|()| std::fs::rename(&new, &path))
            .map_err(|e| format!("cannot write {}: {}", path.display(), reason(&e)))
    }

    /// Later than all before, whatever the clock says.
    pub(super) fn next_generation(&self) -> i64 {
        (now_ms() / 1_000).max(self.generation + 1)
    }

    pub(super) fn version(&self, offset: i64) -> i64 {
        (self.generation << OFFSET_BITS) + offset + 1
    }
}
