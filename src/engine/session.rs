//! What belongs to a script, a connection of the shell or a request: the properties that SET changes, such
//! as `auto.offset.reset`, and the variables that DEFINE gives.

use super::properties::{self, plain};
use crate::connector::Start;
use crate::error::{Error, Result};
use crate::plan::Times;
use crate::sql::Variables;
use std::collections::BTreeMap;

pub const OFFSET_RESET: &str = "auto.offset.reset";
pub const DEFAULT_KEY_FORMAT: &str = "ksql.persistence.default.format.key";
pub const DEFAULT_VALUE_FORMAT: &str = "ksql.persistence.default.format.value";
pub const WRAP_SINGLE_VALUES: &str = "ksql.persistence.wrap.single.values";
/// Goes before the name of a topic that a statement does not name itself.
pub const TOPIC_PREFIX: &str = "ksql.output.topic.name.prefix";
/// Whether `${name}` stands for a variable.
pub const SUBSTITUTION: &str = "ksql.variable.substitution.enable";
/// Whether a run that ends tells of the windows that are open then.
pub const CLOSE_AT_END: &str = "close.windows.at.end";
/// How far ahead of the clock the records of a stream or table that is declared may be.
pub const MAX_FUTURE: &str = "max.future.ms";
/// How long one of its partitions is waited for that brings nothing.
pub const IDLE_PARTITION: &str = "idle.partition.ms";
pub const OR_REPLACE: &str = "ksql.create.or.replace.enabled";

/// Longer spans of time are a mistake.
const MAX_MS: i64 = 100 * 366 * 24 * 3_600_000;

#[derive(Clone, Debug, Default)]
pub struct Session {
    pub properties: BTreeMap<String, String>,
    pub variables: Variables,
    /// The time of rows that are inserted without one, milliseconds; `None`: that of the clock.
    pub inserted_at: Option<i64>,
}

impl Session {
    /// SET
    pub fn set(&mut self, property: &str, value: &str) -> Result<()> {
        let name = plain(property);
        let before = self.properties.insert(name.into(), value.into());
        properties::check(self, name, value).inspect_err(|_| match before {
            Some(before) => drop(self.properties.insert(name.into(), before)),
            None => self.unset(name),
        })
    }

    /// UNSET
    pub fn unset(&mut self, property: &str) {
        self.properties.remove(plain(property));
    }

    /// Whether a property that is on unless it is said is on.
    pub fn is_on(&self, property: &str) -> bool {
        self.properties.get(property).is_none_or(|value| value != "false")
    }

    pub fn closes_windows_at_end(&self) -> bool {
        self.properties.get(CLOSE_AT_END).is_some_and(|value| value == "true")
    }

    /// For streams and tables that are declared.
    pub fn times(&self) -> Result<Times> {
        let ms = |property: &str| -> Result<Option<i64>> {
            let Some(text) = self.properties.get(property) else { return Ok(None) };
            match text.parse() {
                Ok(ms @ 1..=MAX_MS) => Ok(Some(ms)),
                _ => Err(Error::statement(format!("{property} cannot be '{text}'"))
                    .hint("milliseconds from 1 to those of a hundred years; UNSET turns it off")),
            }
        };
        Ok(Times { max_future_ms: ms(MAX_FUTURE)?, idle_ms: ms(IDLE_PARTITION)? })
    }

    /// Where a query starts to read; `None`: nobody has said.
    pub fn start(&self) -> Result<Option<Start>> {
        self.properties.get(OFFSET_RESET).map(|value| start(value)).transpose()
    }
}

fn start(value: &str) -> Result<Start> {
    match value {
        "earliest" => Ok(Start::Earliest),
        "latest" => Ok(Start::Latest),
        other => {
            Err(Error::statement(format!("auto.offset.reset cannot be '{other}'"))
                .hint("'earliest' or 'latest'"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_set_is_checked() {
        let mut session = Session::default();
        let mut set = |name, value| session.set(name, value).map_err(|e| e.to_string());
        assert_eq!(set("ksql.streams.auto.offset.reset", "earliest"), Ok(()));
        assert_eq!(set("processing.guarantee", "exactly_once"), Ok(()));
        assert_eq!(
            set("auto.offset.rest", "latest"),
            Err("unknown property auto.offset.rest; hint: did you mean auto.offset.reset?".into())
        );
        assert_eq!(
            set("auto.offset.reset", "now"),
            Err("auto.offset.reset cannot be 'now'; hint: 'earliest' or 'latest'".into())
        );
        assert_eq!(
            set("ksql.service.id", "x"),
            Err("ksql.service.id cannot be set; hint: it belongs to the server".into())
        );
        assert_eq!(
            set("ksql.timestamp.throw.on.invalid", "true").map_err(|e| e[..48].to_string()),
            Err("ksql.timestamp.throw.on.invalid cannot be 'true'".into())
        );
        assert_eq!(set("ksql.timestamp.throw.on.invalid", "false"), Ok(()));
        // What was refused has changed nothing.
        assert_eq!(session.start(), Ok(Some(Start::Earliest)));
        assert!(!session.properties.contains_key("ksql.service.id"));
        session.unset("auto.offset.reset");
        assert_eq!(session.start(), Ok(None));
    }
}
