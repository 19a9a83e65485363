//! OpenSearch and Elasticsearch: rows of streams and tables as documents of an index.
//!
//! What goes there is read from a log in the data directory ([`Outlet`]), so that a server that is away
//! holds up nothing else. Each record becomes one operation of a `_bulk` request ([`document`], [`bulk`])
//! with an id that stays the same and a version of its own: who has a newer one already says so, and that
//! counts as done. So whatever is sent twice is there once. The index's template is written first, from the
//! declared types ([`template`]). The wire form is the one that OpenSearch 2 and Elasticsearch 8 and 9 share.

mod bulk;
mod document;
mod http;
mod note;
mod outlet;
mod round;
mod settings;
mod template;
#[cfg(test)]
mod tests;

use crate::connector::Setting;
use crate::registry::Address;
use crate::types::Schema;
pub use outlet::{Feed, Outlet, Refused, State, Status};
use std::time::Duration;

/// A server and what is sent to it, as `[sinks.NAME]` or CREATE SINK CONNECTOR says it.
#[derive(Clone, Debug, PartialEq)]
pub struct Target {
    pub name: String,
    pub address: Address,
    /// Instead of user and password.
    pub api_key: Option<Setting>,
    /// Topics, or names of streams and tables, whose rows go there.
    pub topics: Vec<String>,
    /// `{COLUMN:yyyy.MM}` in it is a column's time; `None`: the topic's name in lower case.
    pub index: Option<String>,
    /// Documents and bytes of one request at most.
    pub batch_docs: usize,
    pub batch_bytes: usize,
    /// Requests at a time.
    pub in_flight: usize,
    /// `None`: for ever.
    pub retries_max: Option<u32>,
    pub backoff: Duration,
    /// A stream's documents are named by their key, as a table's are.
    pub by_key: bool,
    /// What a message without a value does.
    pub on_null: OnNull,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnNull {
    Delete,
    Ignore,
}

impl Target {
    /// The Connect sink's defaults: so many documents or bytes a request, so many requests in flight.
    pub fn new(name: &str, address: Address) -> Target {
        Target {
            name: name.into(),
            address,
            api_key: None,
            topics: Vec::new(),
            index: None,
            batch_docs: 2_000,
            batch_bytes: 5 << 20,
            in_flight: 5,
            retries_max: None,
            backoff: Duration::from_millis(100),
            by_key: false,
            on_null: OnNull::Delete,
        }
    }

    /// Why it cannot work, whatever it is to take: its files, its variables, the name of its index.
    pub fn sound(&self) -> Result<(), String> {
        self.address.check()?;
        self.api_key.as_ref().map(Setting::value).transpose()?;
        self.index.as_deref().map(document::IndexName::parse).transpose().map(drop)
    }

    /// Why it cannot take a stream's or a table's rows.
    pub fn check(&self, schema: &Schema, is_table: bool) -> Result<(), String> {
        let pattern = document::IndexName::parse(self.index.as_deref().unwrap_or("x"))?;
        match pattern.column() {
            None => Ok(()),
            Some(column) if is_table => Err(format!(
                "index {} depends on {column}: a table's rows would lie in several indices",
                self.index.as_deref().unwrap_or_default()
            )),
            Some(column) if schema.index_of(column).is_none() => Err(format!("there is no column {column}")),
            Some(_) => Ok(()),
        }
    }
}
