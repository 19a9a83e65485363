//! What changed in the registry: it is kept in a [`Journal`](crate::journal::Journal) of [`Event`]s.

use super::model::{Level, Schema};
use crate::error::Error;
use crate::journal::{Journal, Words};
use serde::{Deserialize, Serialize};

/// One change. Stable: these are the bytes in data directories.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// A new version of a subject; `schema` is given the first time that its id appears.
    Registered {
        subject: String,
        version: u32,
        id: u32,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        schema: Option<Schema>,
    },
    Deleted {
        subject: String,
        versions: Vec<u32>,
        permanent: bool,
    },
    /// The compatibility level of a subject, or of all that have none; without a level: no longer set.
    Level {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        subject: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        level: Option<Level>,
    },
}

pub type Storage = Journal<Event>;

pub const WORDS: &Words = &Words {
    taken: |dir| {
        Error::runtime(format!("the registry in {} is open in another process", dir.display()))
            .hint("stop that one, or give this one another directory")
    },
    foreign: "not the registry's",
    again: "start the registry again; it reads what is there",
};
