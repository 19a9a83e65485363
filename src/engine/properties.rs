//! The properties that SET and requests may give: which mean something here, which are taken and mean
//! nothing, and which are refused, each with its reason. SHOW PROPERTIES lists them.

use super::collections;
use super::declared::Defaults;
use super::outcome::PropertyInfo;
use super::session::{self, Session};
use crate::error::{Error, Result};
use crate::expr::nearest::nearest;

/// One property.
struct Known {
    name: &'static str,
    /// Where nobody has set it.
    default: &'static str,
    meaning: Meaning,
}

enum Meaning {
    /// It does what it says; the function tells whether a value can be one.
    Honoured(fn(&Session) -> Result<()>),
    /// Taken and of no consequence, for this reason.
    Idle(&'static str),
    /// Only the value that describes what happens anyway is taken.
    Only { value: &'static str, why: &'static str },
    /// Not for a statement to say, for this reason.
    Refused(&'static str),
}

use Meaning::*;

const KNOWN: &[Known] = &[
    of("auto.offset.reset", "latest", Honoured(|session| session.start().map(drop))),
    of(session::DEFAULT_KEY_FORMAT, "KAFKA", Honoured(|session| Defaults::of(session).map(drop))),
    of(session::DEFAULT_VALUE_FORMAT, "", Honoured(|session| Defaults::of(session).map(drop))),
    of(session::WRAP_SINGLE_VALUES, "true", Honoured(|session| Defaults::of(session).map(drop))),
    of(
        collections::LIST_LIMIT,
        "",
        Honoured(|session| collections::number(session, collections::LIST_LIMIT).map(drop)),
    ),
    of(
        collections::SET_LIMIT,
        "",
        Honoured(|session| collections::number(session, collections::SET_LIMIT).map(drop)),
    ),
    of(session::TOPIC_PREFIX, "", Honoured(|_| Ok(()))),
    of(session::SUBSTITUTION, "true", Honoured(|session| is_boolean(session, session::SUBSTITUTION))),
    of(session::OR_REPLACE, "true", Honoured(|session| is_boolean(session, session::OR_REPLACE))),
    of(session::CLOSE_AT_END, "false", Honoured(|session| is_boolean(session, session::CLOSE_AT_END))),
    of(session::IDLE_PARTITION, "", Honoured(|session| session.times().map(drop))),
    of(session::MAX_FUTURE, "", Honoured(|session| session.times().map(drop))),
    of(
        "cache.max.bytes.buffering",
        "",
        Idle("changes go out tick by tick; with --emit record of the engine, one for each record"),
    ),
    of(
        "commit.interval.ms",
        "",
        Idle("--commit-interval of the engine says how often stored output is final"),
    ),
    of("ksql.endpoint.migrate.query.enable", "true", Idle("/query and /query-stream answer alike")),
    of("ksql.query.pull.table.scan.enabled", "true", Idle("every SELECT may scan")),
    of("ksql.suppress.enabled", "true", Idle("EMIT FINAL needs no permission")),
    of("max.task.idle.ms", "", Idle("a tick waits for all inputs that have something")),
    of("num.stream.threads", "", Idle("-w of the engine says how many workers there are")),
    of(
        "processing.guarantee",
        "exactly_once_v2",
        Idle("output is written once, with --data-dir also after a crash"),
    ),
    of(
        "statestore.cache.max.bytes",
        "",
        Idle("changes go out tick by tick; with --emit record of the engine, one for each record"),
    ),
    of(
        "ksql.fail.on.deserialization.error",
        "false",
        Only {
            value: "false",
            why: "a bad record is a reject and ends nothing: SELECT * FROM WHARFE_REJECTS",
        },
    ),
    of(
        "ksql.functions.substring.legacy.args",
        "false",
        Only { value: "false", why: "SUBSTRING counts from 1" },
    ),
    of(
        "ksql.timestamp.throw.on.invalid",
        "false",
        Only {
            value: "false",
            why: "a record without a valid time is a reject: SELECT * FROM WHARFE_REJECTS",
        },
    ),
    of("bootstrap.servers", "", Refused("the topology says where topics are")),
    of("ksql.connect.url", "", Refused("the topology says by which connector a topic is read or written")),
    of("ksql.queries.file", "", Refused("wharfe run takes the script")),
    of("ksql.schema.registry.url", "", Refused("[registry] of the topology says where it is")),
    of("ksql.service.id", "", Refused("it belongs to the server")),
];

const fn of(name: &'static str, default: &'static str, meaning: Meaning) -> Known {
    Known { name, default, meaning }
}

/// The long form of a name that Kafka Streams knows means the same.
pub fn plain(property: &str) -> &str {
    property.strip_prefix("ksql.streams.").unwrap_or(property)
}

/// Whether a property of that name can be set, to some value.
pub fn is_property(name: &str) -> bool {
    let name = plain(name);
    match find(name) {
        Some(known) => !matches!(known.meaning, Refused(_)),
        None => of_kafka(name).is_ok(),
    }
}

fn find(name: &str) -> Option<&'static Known> {
    KNOWN.iter().find(|known| known.name == name)
}

/// Scripts bring settings of Kafka's clients and of ksqlDB's server along, which mean nothing here and are
/// kept as they are; but a name that is nearly one of those here was meant to be it.
fn of_kafka(name: &str) -> Result<()> {
    /// Kafka's other settings have names of several words.
    const SHORT: [&str; 2] = ["acks", "retries"];
    let unknown = Error::statement(format!("unknown property {name}"));
    match nearest(name, KNOWN.iter().map(|known| known.name)) {
        Some(near) => Err(unknown.hint(format!("did you mean {near}?"))),
        None if name.contains('.') || SHORT.contains(&name) => Ok(()),
        None => Err(unknown.hint("SHOW PROPERTIES lists what can be set")),
    }
}

/// Whether the property that was set just now may have its value.
pub(super) fn check(session: &Session, name: &str, value: &str) -> Result<()> {
    let Some(known) = find(name) else { return of_kafka(name) };
    match &known.meaning {
        Honoured(check) => check(session),
        Idle(_) => Ok(()),
        Only { value: only, .. } if value.eq_ignore_ascii_case(only) => Ok(()),
        Only { why, .. } => Err(Error::statement(format!("{name} cannot be '{value}'")).hint(*why)),
        Refused(why) => Err(Error::statement(format!("{name} cannot be set")).hint(*why)),
    }
}

fn is_boolean(session: &Session, name: &str) -> Result<()> {
    match session.properties.get(name).map(String::as_str) {
        None | Some("true" | "false") => Ok(()),
        Some(other) => Err(Error::statement(format!("{name} cannot be '{other}'")).hint("'true' or 'false'")),
    }
}

/// All properties that can be set, and those that were, by name.
pub(super) fn list(session: &Session) -> Vec<PropertyInfo> {
    let settable = KNOWN.iter().filter(|known| !matches!(known.meaning, Refused(_)));
    let known = settable.map(|known| {
        let set = session.properties.get(known.name);
        PropertyInfo {
            name: known.name.into(),
            value: set.map_or(known.default, String::as_str).into(),
            default: set.is_none(),
            meaning: match &known.meaning {
                Honoured(_) => "honoured".into(),
                Idle(why) | Only { why, .. } => format!("means nothing here: {why}"),
                Refused(why) => format!("cannot be set: {why}"),
            },
        }
    });
    let others = session.properties.iter().filter(|(name, _)| find(name).is_none()).map(|(name, value)| {
        PropertyInfo {
            name: name.clone(),
            value: value.clone(),
            default: false,
            meaning: "means nothing here: kept for whoever asks".into(),
        }
    });
    let mut all: Vec<PropertyInfo> = known.chain(others).collect();
    all.sort_by(|a, b| a.name.cmp(&b.name));
    all
}
