//! A cluster as the topology names it: settings for its client, and where its secrets come from.
//!
//! A secret stays where it is until a client is made: plans travel between processes and are shown,
//! so they hold the name of the variable or file, never what is in it.

use super::log::Ends;
use crate::error::{Error, Result, reason};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

pub const BOOTSTRAP: &str = "bootstrap.servers";

#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct Cluster {
    pub name: String,
    /// librdkafka's names; `bootstrap.servers` is among them.
    pub settings: BTreeMap<String, Setting>,
}

/// The offsets of a consumer group, which say how far an outbox is delivered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Notes {
    pub group: String,
    /// Where it began: what is before that is delivered as far as earlier notes say so.
    pub from: Ends,
}

#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub enum Setting {
    Given(String),
    /// The name of an environment variable.
    Env(String),
    File(PathBuf),
}

impl Setting {
    /// What the setting is set to.
    ///
    /// # Errors
    /// Say what is missing, never what was found.
    pub fn value(&self) -> Result<String, String> {
        match self {
            Setting::Given(value) => Ok(value.clone()),
            Setting::Env(name) => {
                std::env::var(name).map_err(|_| format!("the environment has no variable {name}"))
            }
            Setting::File(path) => std::fs::read_to_string(path)
                // Editors end files with a line break that is no part of a password.
                .map(|text| text.trim_end_matches(['\n', '\r']).to_string())
                .map_err(|e| format!("cannot read {}: {}", path.display(), reason(&e))),
        }
    }
}

impl Cluster {
    /// All settings with their values; secrets among them.
    pub fn values(&self) -> Result<Vec<(&str, String)>> {
        let value = |(name, setting): (&_, &Setting)| match setting.value() {
            Ok(value) => Ok((*name, value)),
            Err(why) => Err(Error::topology(format!("cluster {}: {name}: {why}", self.name))),
        };
        self.settings.iter().map(|(name, setting)| value((&name.as_str(), setting))).collect()
    }

    /// A topic's partitions are not as many as a statement says.
    pub fn mismatch(&self, topic: &str, found: u32, wanted: u32) -> Error {
        Error::statement(format!("topic {topic} on {self} has {found} partitions, not {wanted}"))
            .hint(format!("PARTITIONS={found}, or another topic"))
    }
}

/// `cluster local (127.0.0.1:9092)`
impl fmt::Display for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cluster {}", self.name)?;
        match self.settings.get(BOOTSTRAP) {
            Some(Setting::Given(servers)) => write!(f, " ({servers})"),
            _ => Ok(()),
        }
    }
}

/// Without the values: any of them may be a secret.
impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self} with {:?}", self.settings.keys())
    }
}

impl fmt::Debug for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Setting::Given(_) => f.write_str("(given)"),
            Setting::Env(name) => write!(f, "(environment variable {name})"),
            Setting::File(path) => write!(f, "(file {})", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_not_shown() {
        let settings = [
            (BOOTSTRAP, Setting::Given("b:9092".into())),
            ("sasl.password", Setting::Given("hunter2".into())),
            ("ssl.key.password", Setting::Env("PATH".into())),
        ];
        let settings = settings.into_iter().map(|(name, setting)| (name.to_string(), setting)).collect();
        let cluster = Cluster { name: "prod".into(), settings };
        let shown = format!("{cluster} {cluster:?} {:?}", cluster.settings);
        assert!(!shown.contains("hunter2"), "{shown}");
        assert_eq!(cluster.to_string(), "cluster prod (b:9092)");
        assert!(cluster.values().unwrap().contains(&("sasl.password", "hunter2".to_string())));
    }

    #[test]
    fn what_is_missing_is_named() {
        let error = |setting: Setting| setting.value().unwrap_err();
        assert_eq!(
            error(Setting::Env("WHARFE_NO_SUCH".into())),
            "the environment has no variable WHARFE_NO_SUCH"
        );
        assert!(error(Setting::File("/no/such".into())).starts_with("cannot read /no/such: "));
    }
}
