//! The words of the registry: kinds, schemas, references, versions, compatibility levels, and what a
//! check finds. Plain data; storage and REST write it in Confluent's spelling.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Kind {
    #[default]
    Avro,
    Protobuf,
    Json,
}

impl Kind {
    pub const ALL: [Kind; 3] = [Kind::Json, Kind::Protobuf, Kind::Avro];

    pub fn name(self) -> &'static str {
        match self {
            Kind::Avro => "AVRO",
            Kind::Protobuf => "PROTOBUF",
            Kind::Json => "JSON",
        }
    }

    pub fn parse(name: &str) -> Option<Kind> {
        Kind::ALL.into_iter().find(|kind| kind.name().eq_ignore_ascii_case(name))
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A schema that another one needs, under the name that its text uses.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Reference {
    /// A full name in Avro, an import's path in Protobuf, a `$ref` in JSON Schema.
    pub name: String,
    pub subject: String,
    /// -1 is the latest at the time of registration.
    pub version: i32,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Schema {
    #[serde(default)]
    pub kind: Kind,
    /// As it was registered first.
    pub text: String,
    #[serde(default)]
    pub references: Vec<Reference>,
}

impl Schema {
    pub fn new(kind: Kind, text: impl Into<String>) -> Schema {
        Schema { kind, text: text.into(), references: Vec::new() }
    }
}

/// A schema's place in a subject.
#[derive(Clone, Debug, PartialEq)]
pub struct Version {
    pub subject: String,
    pub number: u32,
    pub id: u32,
    pub schema: Arc<Schema>,
    /// Softly: it still has its place, but only who asks for deleted ones sees it.
    pub is_deleted: bool,
}

/// Which version is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum At {
    Latest,
    Number(u32),
}

/// Whether softly deleted versions count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deleted {
    Hidden,
    Shown,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Level {
    None,
    Backward,
    BackwardTransitive,
    Forward,
    ForwardTransitive,
    Full,
    FullTransitive,
}

impl Level {
    pub const ALL: [Level; 7] = [
        Level::None,
        Level::Backward,
        Level::BackwardTransitive,
        Level::Forward,
        Level::ForwardTransitive,
        Level::Full,
        Level::FullTransitive,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Level::None => "NONE",
            Level::Backward => "BACKWARD",
            Level::BackwardTransitive => "BACKWARD_TRANSITIVE",
            Level::Forward => "FORWARD",
            Level::ForwardTransitive => "FORWARD_TRANSITIVE",
            Level::Full => "FULL",
            Level::FullTransitive => "FULL_TRANSITIVE",
        }
    }

    pub fn parse(name: &str) -> Option<Level> {
        Level::ALL.into_iter().find(|level| level.name().eq_ignore_ascii_case(name))
    }

    /// Whether the new schema must read what earlier ones wrote.
    pub fn is_backward(self) -> bool {
        use Level::*;
        matches!(self, Backward | BackwardTransitive | Full | FullTransitive)
    }

    /// Whether earlier schemas must read what the new one writes.
    pub fn is_forward(self) -> bool {
        use Level::*;
        matches!(self, Forward | ForwardTransitive | Full | FullTransitive)
    }

    /// Whether all earlier versions count, or only the latest.
    pub fn is_transitive(self) -> bool {
        matches!(self, Level::BackwardTransitive | Level::ForwardTransitive | Level::FullTransitive)
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One thing that the reading schema cannot do with what the writing one allows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Incompatibility {
    /// The rule that is broken, in Confluent's spelling where Confluent has it.
    pub rule: &'static str,
    /// The field: `Order.lines.price` in Avro and Protobuf, `#/properties/price` in JSON Schema.
    pub path: String,
    /// In words.
    pub message: String,
}

impl Incompatibility {
    pub fn new(rule: &'static str, path: impl Into<String>, message: impl Into<String>) -> Incompatibility {
        Incompatibility { rule, path: path.into(), message: message.into() }
    }
}

impl fmt::Display for Incompatibility {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}: {}", self.rule, self.path, self.message)
    }
}
