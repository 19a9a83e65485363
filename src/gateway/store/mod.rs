//! Where events are kept: a site of the directory → logs of this gateway or topics of clusters.
//!
//! ```text
//! produce ─► Stores ─┬─► Logs     zones without clusters: one thread, synced before it answers
//!                    └─► Posts    clusters: a producer each; answered when the cluster has the record
//! ```

mod federation;
mod log;
mod posts;
mod waiting;

pub use federation::Stores;
pub use log::LogTopic;

use crate::error::Error;
use std::sync::Arc;

/// A record to keep.
#[derive(Clone, Debug, Default)]
pub struct NewRecord {
    /// Milliseconds since 1970.
    pub timestamp: i64,
    pub key: Option<Vec<u8>>,
    pub value: Vec<u8>,
    /// A block of [`crate::headers`].
    pub headers: Vec<u8>,
}

impl NewRecord {
    pub fn bytes(&self) -> usize {
        self.key.as_ref().map_or(0, Vec::len) + self.value.len() + self.headers.len() + 64
    }
}

/// Where a record is kept.
#[derive(Clone, Debug, PartialEq)]
pub struct Stored {
    /// Empty: a log of the gateway.
    pub cluster: Arc<str>,
    pub partition: u32,
    /// -1: it waits in the gateway's log for its cluster.
    pub offset: i64,
}

/// Why a record is not kept.
#[derive(Clone, Debug, PartialEq)]
pub enum NotStored {
    /// Trying again later may help.
    Away(String),
    Failed(Error),
}
