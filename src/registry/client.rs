//! How an engine reaches its registry: its own, in this process or beside another one of the cluster, or
//! one by URL.
//!
//! ```text
//! coordinator ─► Client    asks and waits: columns of a subject, registration
//! decoders    ─► Lookups   by id, never waits
//! ```

mod lookups;
mod nearby;
mod remote;

pub use lookups::{Found, Lookups};
pub use remote::Address;

use super::Registry;
use super::fault::Fault;
use super::model::{At, Schema, Version};
use crate::error::{Error, Result as Done};
use nearby::Nearby;
use remote::Remote;
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::sync::Arc;

#[derive(Clone)]
pub enum Client {
    Own(Registry),
    /// That of process 0.
    Nearby(Nearby),
    Remote(Remote),
    /// For plans that are only shown: nothing is registered.
    Planning(Remote),
}

/// A schema that messages can be read and written with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Resolved {
    pub id: u32,
    pub schema: Arc<Schema>,
    /// What it refers to, by the names that its text uses; what is needed first comes first.
    pub needed: Vec<(String, Arc<Schema>)>,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq)]
pub enum Trouble {
    /// The registry says no.
    Refused(Fault),
    /// It cannot say anything now.
    Away(String),
}

pub type Result<T> = std::result::Result<T, Trouble>;

impl From<Fault> for Trouble {
    fn from(fault: Fault) -> Trouble {
        match fault.code {
            50000.. => Trouble::Away(fault.message),
            _ => Trouble::Refused(fault),
        }
    }
}

impl Trouble {
    pub fn is_not_found(&self) -> bool {
        matches!(self, Trouble::Refused(fault) if (40400..40500).contains(&fault.code))
    }
}

impl Client {
    /// The one at `address`, else the engine's own in `dir`.
    pub fn open(address: Option<&Address>, dir: &Path) -> Done<Client> {
        Ok(match address {
            Some(address) => Client::Remote(Remote::new(address)?),
            None => Client::Own(Registry::open(dir)?),
        })
    }

    /// Another process of the cluster has the one in `dir`.
    pub fn beside(address: Option<&Address>, dir: &Path) -> Done<Client> {
        Ok(match address {
            Some(address) => Client::Remote(Remote::new(address)?),
            None => Client::Nearby(Nearby::new(dir)),
        })
    }

    /// For plans that are only shown: what they would register leaves no trace. `dir`: where there is one of a run.
    pub fn planning(address: Option<&Address>, dir: Option<&Path>) -> Done<Client> {
        Ok(match (address, dir) {
            (Some(address), _) => Client::Planning(Remote::new(address)?),
            (None, Some(dir)) => Client::Own(Registry::copy_of(dir)?),
            (None, None) => Client::Own(Registry::volatile()),
        })
    }

    /// What statements call it.
    pub fn name(&self) -> String {
        match self {
            Client::Own(_) | Client::Nearby(_) => "the schema registry".into(),
            Client::Remote(remote) | Client::Planning(remote) => {
                format!("the schema registry at {}", remote.url())
            }
        }
    }

    pub fn latest(&self, subject: &str) -> Result<Resolved> {
        match self {
            Client::Own(registry) => own(registry, registry.latest(subject)?),
            Client::Nearby(nearby) => nearby.latest(subject),
            Client::Remote(remote) | Client::Planning(remote) => remote.version(subject, At::Latest),
        }
    }

    pub fn schema(&self, id: u32) -> Result<Resolved> {
        match self {
            Client::Own(registry) => {
                let schema = registry.schema(id)?;
                Ok(Resolved { id, needed: registry.closure(&schema)?, schema })
            }
            Client::Nearby(nearby) => nearby.schema(id),
            Client::Remote(remote) | Client::Planning(remote) => remote.schema(id),
        }
    }

    /// The id of a new version of a subject, or of an equal one.
    pub fn register(&self, subject: &str, schema: Schema) -> Result<u32> {
        match self {
            Client::Own(registry) => Ok(registry.register(subject, schema)?),
            Client::Nearby(_) => Err(Trouble::Away("schemas are registered by process 0".into())),
            Client::Remote(remote) => remote.register(subject, &schema),
            Client::Planning(_) => Ok(0),
        }
    }

    /// What a statement is refused with.
    pub fn error(&self, trouble: Trouble) -> Error {
        match trouble {
            Trouble::Refused(fault) => Error::statement(format!("{} says: {fault}", self.name())),
            Trouble::Away(why) => Error::runtime(format!("{} cannot be asked: {why}", self.name()))
                .hint("start it, or correct [registry] in the topology; without that there is one in the data directory"),
        }
    }
}

fn own(registry: &Registry, version: Version) -> Result<Resolved> {
    let needed = registry.closure(&version.schema)?;
    Ok(Resolved { id: version.id, schema: version.schema, needed })
}
