//! Properties that SET changes and that requests carry: `auto.offset.reset` and so on.

use crate::connector::Start;
use crate::error::{Error, Result};
use crate::expr::nearest::nearest;
use std::collections::BTreeMap;

pub const OFFSET_RESET: &str = "auto.offset.reset";
pub const DEFAULT_VALUE_FORMAT: &str = "ksql.persistence.default.format.value";

#[derive(Clone, Debug, Default)]
pub struct Session {
    pub properties: BTreeMap<String, String>,
}

impl Session {
    /// SET. Scripts bring settings of Kafka and of ksqlDB's servers along, which mean nothing here and
    /// are kept as they are; but one that is nearly ours was meant to be ours.
    pub fn set(&mut self, property: &str, value: &str) -> Result<()> {
        let name = plain(property);
        if let Some(near) = nearest(name, [OFFSET_RESET, DEFAULT_VALUE_FORMAT]).filter(|near| *near != name) {
            return Err(Error::statement(format!("unknown property {property}"))
                .hint(format!("did you mean {near}?")));
        }
        if name == OFFSET_RESET {
            start(value)?;
        }
        self.properties.insert(name.into(), value.into());
        Ok(())
    }

    /// UNSET
    pub fn unset(&mut self, property: &str) {
        self.properties.remove(plain(property));
    }

    /// Where a query starts to read; `None`: nobody has said.
    pub fn start(&self) -> Result<Option<Start>> {
        self.properties.get(OFFSET_RESET).map(|value| start(value)).transpose()
    }
}

/// The long form of a name that Kafka Streams knows means the same.
fn plain(property: &str) -> &str {
    property.strip_prefix("ksql.streams.").unwrap_or(property)
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
        assert_eq!(session.start(), Ok(Some(Start::Earliest)));
        session.unset("auto.offset.reset");
        assert_eq!(session.start(), Ok(None));
    }
}
