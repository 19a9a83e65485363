//! The schemas that topics have before a test's statements are carried out, under the ids that statements name.

use super::json::{self, Json};
use crate::catalog::With;
use crate::error::{Error, Result};
use crate::format::{Format, Serialization, unregistered};
use crate::registry::{Fault, Kind, Reference, Registry, Schema};
use crate::sql::ast::{Parsed, Statement};
use crate::sql::{Known, Reader};
use crate::types::ColumnDef;

/// A topic that is there before the statements are.
#[derive(Clone, Debug, Default)]
pub struct Topic {
    pub name: String,
    pub key: Given,
    pub value: Given,
}

/// What is given of one side of a topic.
#[derive(Clone, Debug, Default)]
pub struct Given {
    pub format: Option<String>,
    schema: Option<String>,
    id: Option<u32>,
    /// Name, format and text of what the schema refers to.
    references: Vec<(String, Option<String>, String)>,
}

pub fn topic_of(topic: &Json) -> Topic {
    let text_of =
        |schema: &Json| if let Json::Text(text) = schema { text.to_string() } else { schema.json() };
    let given = |side: &str| -> Given {
        let field = |name: &str| format!("{side}{name}");
        let references = json::items(topic, &field("SchemaReferences")).iter().map(|reference| {
            let schema = reference.field("schema").map_or_else(String::new, text_of);
            let format = json::text(reference, "format").map(String::from);
            (json::text(reference, "name").unwrap_or_default().to_string(), format, schema)
        });
        // A schema of one word, such as "int", is a JSON text itself.
        let schema = topic.field(&field("Schema")).filter(|schema| **schema != Json::Null);
        Given {
            format: json::text(topic, &field("Format")).map(String::from),
            schema: schema.map(|schema| match schema {
                Json::Text(text) if !text.contains("message") => schema.json(),
                schema => text_of(schema),
            }),
            id: json::integer(topic, &field("SchemaId")).and_then(|id| u32::try_from(id).ok()),
            references: references.collect(),
        }
    };
    let name = json::text(topic, "name").unwrap_or_default().to_string();
    Topic { name, key: given("key"), value: given("value") }
}

/// Schemas that others refer to: not among the ids that statements name.
const REFERRED: u32 = 100_000;

/// Registers what is given of topics, and what CREATE statements with columns make of theirs. Statements name ids, and
/// ksqlDB's runner gives them in the order of a hash map of Java's.
pub fn register(topics: &[Topic], statements: &str, registry: &Registry) -> Result<()> {
    let declared = declared(statements);
    let mut names: Vec<&str> = topics.iter().map(|topic| topic.name.as_str()).collect();
    names.extend(declared.iter().map(|(topic, _)| topic.as_str()));
    names.sort_by_key(|name| bucket(name));
    names.dedup();
    let mut referred = REFERRED;
    for name in names {
        let refused = |fault: Fault| Error::usage(format!("topic {name}: {fault}"));
        let Some(topic) = topics.iter().find(|topic| topic.name == name) else {
            for (_, sides) in declared.iter().filter(|(topic, _)| topic == name) {
                for (side, schema) in sides {
                    registry.register_lowest(&format!("{name}-{side}"), schema.clone()).map_err(refused)?;
                }
            }
            continue;
        };
        for (side, given) in [("key", &topic.key), ("value", &topic.value)] {
            let Some(text) = &given.schema else { continue };
            let mut schema = Schema::new(kind_of(given.format.as_deref(), text), text.clone());
            for (name, format, text) in &given.references {
                let kind = kind_of(format.as_deref().or(given.format.as_deref()), text);
                registry.register_as(name, Schema::new(kind, text.clone()), referred).map_err(refused)?;
                referred += 1;
                schema.references.push(Reference { name: name.clone(), subject: name.clone(), version: 1 });
            }
            let subject = format!("{name}-{side}");
            let registered = match given.id {
                Some(id) => registry.register_as(&subject, schema, id),
                None => registry.register_lowest(&subject, schema),
            };
            registered.map_err(refused)?;
        }
    }
    Ok(())
}

/// Where Java's HashMap of few entries has a text.
fn bucket(text: &str) -> u32 {
    let hash = text.encode_utf16().fold(0u32, |hash, unit| hash.wrapping_mul(31).wrapping_add(unit.into()));
    (hash ^ (hash >> 16)) & 15
}

/// The topics that CREATE statements with columns make, with the schemas of these.
fn declared(statements: &str) -> Vec<(String, Vec<(&'static str, Schema)>)> {
    let mut found = Vec::new();
    let mut reader = Reader::new(statements, Known::default());
    // What is wrong with a statement is told when it is carried out.
    while let Ok(Some(Parsed { statement, .. })) = reader.next() {
        let Statement::CreateSource { columns, with, .. } = statement else { continue };
        let columns: Vec<ColumnDef> = columns
            .into_iter()
            .map(|column| ColumnDef { name: column.name.name, ty: column.ty, part: column.part })
            .collect();
        let schemas = With::parse(&with).and_then(|with| {
            let serialization = Serialization {
                key: with.key_format(None)?.unwrap_or(Format::Kafka),
                value: with.value_format(None, true)?.unwrap_or(Format::None),
                changelog: false,
            };
            let schema = crate::types::Schema::new(columns).without_headers();
            Ok((with.topic.clone(), unregistered(&serialization, &schema, with.schemas.names())?))
        });
        if let Ok((Some(topic), written)) = schemas {
            let sides = [("key", written.key), ("value", written.value)];
            let sides =
                sides.into_iter().filter_map(|(side, schema)| Some((side, (*schema?.schema).clone())));
            found.push((topic, sides.collect()));
        }
    }
    found
}

fn kind_of(format: Option<&str>, text: &str) -> Kind {
    let named = format.and_then(|format| Format::named(&format.to_uppercase())).and_then(Format::kind);
    match (named, format) {
        (Some(kind), _) => kind,
        (None, Some(format)) if format.eq_ignore_ascii_case("JSON") => Kind::Json,
        _ if text.contains("message")
            && text.contains('{')
            && serde_json::from_str::<serde_json::Value>(text).is_err() =>
        {
            Kind::Protobuf
        }
        _ => Kind::Avro,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_given_in_the_order_of_javas_hash_map() {
        let registry = Registry::volatile();
        let topic = |name: &str, id| Topic {
            name: name.into(),
            value: Given {
                format: Some("AVRO".into()),
                schema: Some(format!("\"{}\"", if id { "int" } else { "long" })),
                ..Given::default()
            },
            ..Topic::default()
        };
        assert_eq!(["input", "OUTPUT"].map(bucket), [1, 5]);
        let create =
            "CREATE STREAM INPUT (K INT KEY, V INT) WITH (KAFKA_TOPIC='input', VALUE_FORMAT='AVRO');";
        register(&[topic("OUTPUT", true), topic("other", false)], create, &registry).unwrap();
        let id = |subject: &str| registry.latest(subject).unwrap().id;
        assert!(id("input-value") < id("OUTPUT-value"));
    }
}
