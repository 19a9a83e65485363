//! The name of an event: a namespace and a type, globally unique. Who publishes or consumes needs to know
//! no more than this name.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// `mfp/FoodEntryCreated`; on the wire, as CloudEvents has types, `mfp.FoodEntryCreated`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct EventName {
    pub namespace: String,
    pub event_type: String,
}

/// A namespace and a type make a topic's name, which has at most 249 characters.
const PART_CHARS_MAX: usize = 120;

impl EventName {
    /// # Errors
    /// Say which part is none.
    pub fn new(namespace: &str, event_type: &str) -> Result<EventName, String> {
        check_part("namespace", namespace)?;
        check_part("event type", event_type)?;
        Ok(EventName { namespace: namespace.into(), event_type: event_type.into() })
    }

    /// As CloudEvents has types, and as its topics are called unless they have a name of their own.
    pub fn dotted(&self) -> String {
        format!("{}.{}", self.namespace, self.event_type)
    }

    /// `mfp_foodentrycreated`: the registry's subject of its schemas, as the talk calls it.
    pub fn subject(&self) -> String {
        format!("{}_{}", self.namespace, self.event_type).to_lowercase()
    }

    /// Of a CloudEvents type. The namespace ends at the first dot.
    pub fn from_dotted(text: &str) -> Result<EventName, String> {
        let expected =
            || format!("`{text}` is no event; its type is NAMESPACE.TYPE, as mfp.FoodEntryCreated");
        let (namespace, event_type) = text.split_once('.').ok_or_else(expected)?;
        EventName::new(namespace, event_type)
    }
}

fn check_part(what: &str, text: &str) -> Result<(), String> {
    let is_legal =
        |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-') || (c == '.' && what != "namespace");
    match text.chars().find(|c| !is_legal(*c)) {
        _ if text.is_empty() => Err(format!("the {what} is empty")),
        _ if text.len() > PART_CHARS_MAX => {
            Err(format!("the {what} has more than {PART_CHARS_MAX} characters"))
        }
        Some(c) => Err(format!("the {what} `{text}` holds {c:?}; letters, digits, _ and - can be in it")),
        None => Ok(()),
    }
}

impl FromStr for EventName {
    type Err = String;

    fn from_str(text: &str) -> Result<EventName, String> {
        match text.split_once('/') {
            Some((namespace, event_type)) => EventName::new(namespace, event_type),
            None => Err(format!("`{text}` is no event; it is NAMESPACE/TYPE, as mfp/FoodEntryCreated")),
        }
    }
}

impl TryFrom<String> for EventName {
    type Error = String;

    fn try_from(text: String) -> Result<EventName, String> {
        text.parse()
    }
}

impl From<EventName> for String {
    fn from(name: EventName) -> String {
        name.to_string()
    }
}

impl fmt::Display for EventName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.event_type)
    }
}

/// The events that a statement names: one, several of a namespace, or all of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EventNames {
    Named(Vec<EventName>),
    AllOf(String),
}

impl EventNames {
    /// The one event that is meant, if it is one.
    pub fn single(&self) -> Option<&EventName> {
        match self {
            EventNames::Named(names) if names.len() == 1 => names.first(),
            _ => None,
        }
    }

    /// As its topics are called, where one name has to stand for all.
    pub fn dotted(&self) -> String {
        match self {
            EventNames::Named(names) => {
                let types: Vec<&str> = names[1..].iter().map(|name| name.event_type.as_str()).collect();
                [&[names[0].dotted().as_str()], types.as_slice()].concat().join("-")
            }
            EventNames::AllOf(namespace) => format!("{namespace}.all"),
        }
    }
}

impl FromStr for EventNames {
    type Err = String;

    fn from_str(text: &str) -> Result<EventNames, String> {
        if let Some(namespace) = text.strip_suffix("/*") {
            check_part("namespace", namespace)?;
            return Ok(EventNames::AllOf(namespace.into()));
        }
        let names: Vec<EventName> =
            text.split(',').map(|name| name.trim().parse()).collect::<Result<_, _>>()?;
        let first = &names[0];
        if let Some(other) = names.iter().find(|name| name.namespace != first.namespace) {
            return Err(format!("{other} is not of the namespace of {first}; a stream has events of one"));
        }
        match (1..names.len()).find(|i| names[..*i].contains(&names[*i])) {
            Some(twice) => Err(format!("{} is named twice", names[twice])),
            None => Ok(EventNames::Named(names)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_go_both_ways() {
        let name: EventName = "mfp/FoodEntryCreated".parse().unwrap();
        assert_eq!(name.dotted(), "mfp.FoodEntryCreated");
        assert_eq!(EventName::from_dotted("mfp.FoodEntryCreated"), Ok(name.clone()));
        assert_eq!(serde_json::to_string(&name).unwrap(), r#""mfp/FoodEntryCreated""#);
        assert_eq!(EventName::from_dotted("a.b.c").map(|name| name.event_type), Ok("b.c".into()));
        for (bad, why) in [
            ("mfp", "is no event"),
            ("/a", "the namespace is empty"),
            ("a/", "the event type is empty"),
            ("a.b/c", "holds '.'"),
            ("a/b c", "holds ' '"),
            ("a/../b", "holds '/'"),
        ] {
            let error = bad.parse::<EventName>().unwrap_err();
            assert!(error.contains(why), "{bad}: {error}");
        }
    }

    #[test]
    fn statements_name_one_event_several_or_a_namespace() {
        let names = |text: &str| text.parse::<EventNames>();
        assert_eq!(names("mfp/A").unwrap().single(), Some(&"mfp/A".parse().unwrap()));
        assert_eq!(names("mfp/*"), Ok(EventNames::AllOf("mfp".into())));
        let several = names("mfp/A, mfp/B").unwrap();
        assert_eq!((several.single(), several.dotted().as_str()), (None, "mfp.A-B"));
        for (bad, why) in [
            ("mfp", "is no event"),
            ("/*", "the namespace is empty"),
            ("mfp/A, mmf/B", "mmf/B is not of the namespace of mfp/A"),
            ("mfp/A, mfp/A", "mfp/A is named twice"),
        ] {
            let error = names(bad).unwrap_err();
            assert!(error.contains(why), "{bad}: {error}");
        }
    }
}
