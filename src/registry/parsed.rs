//! A schema's text, understood: something that can be compared with another of its kind.

use super::model::{Kind, Schema};
use super::{avro, json, protobuf};
use std::sync::Arc;

pub struct Parsed {
    /// The same for texts that say the same; includes documentation, leaves out layout.
    pub canonical: String,
    pub body: Body,
}

pub enum Body {
    Avro(avro::Document),
    Protobuf(protobuf::Document),
    Json(json::Document),
}

/// What a schema refers to, by the names that texts use; what is needed first comes first.
pub type Needed = [(String, Arc<Schema>)];

impl Parsed {
    /// The error says what is wrong in words.
    pub fn parse(schema: &Schema, needed: &Needed) -> Result<Parsed, String> {
        if let Some((name, other)) = needed.iter().find(|(_, other)| other.kind != schema.kind) {
            return Err(format!("reference '{name}' is {}, not {}", other.kind, schema.kind));
        }
        let (canonical, body) = match schema.kind {
            Kind::Avro => {
                let document = avro::Document::parse(&schema.text, needed)?;
                (document.canonical.clone(), Body::Avro(document))
            }
            Kind::Protobuf => {
                let document = protobuf::Document::parse(&schema.text, needed)?;
                (document.canonical(), Body::Protobuf(document))
            }
            Kind::Json => {
                let document = json::Document::parse(&schema.text, needed)?;
                (document.canonical(), Body::Json(document))
            }
        };
        Ok(Parsed { canonical, body })
    }

    pub fn kind(&self) -> Kind {
        match self.body {
            Body::Avro(_) => Kind::Avro,
            Body::Protobuf(_) => Kind::Protobuf,
            Body::Json(_) => Kind::Json,
        }
    }
}
