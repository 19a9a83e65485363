//! The template of an index, from the declared types: written before the first document, so that nothing is
//! guessed from it.

use crate::types::{Schema, SqlType};
use serde_json::{Map, Value, json};

/// Of templates that match an index, the one with the highest counts; users' own may go above.
const PRIORITY: u32 = 200;

/// What the server calls a field of any keys: the one thing in which the two differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Distribution {
    OpenSearch,
    Elasticsearch,
}

impl Distribution {
    /// From the answer of `GET /`.
    pub fn of(root: &Value) -> Distribution {
        match root["version"]["distribution"].as_str() {
            Some("opensearch") => Distribution::OpenSearch,
            _ => Distribution::Elasticsearch,
        }
    }
}

/// The body of `PUT /_index_template/NAME`.
pub fn template(wildcard: &str, schema: &Schema, distribution: Distribution) -> Value {
    let columns = schema.columns.iter().map(|column| (column.name.as_str(), &column.ty));
    json!({
        "index_patterns": [wildcard],
        "priority": PRIORITY,
        "template": { "mappings": { "dynamic": false, "properties": properties(columns, distribution) } },
        "_meta": { "by": "wharfe" },
    })
}

fn properties<'s>(
    fields: impl Iterator<Item = (&'s str, &'s SqlType)>,
    distribution: Distribution,
) -> Map<String, Value> {
    fields.map(|(name, ty)| (name.to_string(), field(ty, distribution))).collect()
}

fn field(ty: &SqlType, distribution: Distribution) -> Value {
    match ty {
        SqlType::Boolean => json!({ "type": "boolean" }),
        SqlType::Int => json!({ "type": "integer" }),
        SqlType::Bigint => json!({ "type": "long" }),
        SqlType::Double => json!({ "type": "double" }),
        // Exact as long as a long holds it; longer ones are compared as text.
        SqlType::Decimal { precision, scale } if *precision <= 18 => {
            json!({ "type": "scaled_float", "scaling_factor": 10_f64.powi(i32::from(*scale)) })
        }
        SqlType::Decimal { .. } => json!({ "type": "keyword" }),
        SqlType::Varchar => {
            json!({ "type": "keyword", "ignore_above": 8191, "fields": { "text": { "type": "text" } } })
        }
        SqlType::Bytes => json!({ "type": "binary" }),
        SqlType::Date => json!({ "type": "date", "format": "strict_date" }),
        SqlType::Time => json!({ "type": "keyword" }),
        SqlType::Timestamp => json!({ "type": "date", "format": "epoch_millis||strict_date_optional_time" }),
        // Any field may have several values.
        SqlType::Array(item) => match &**item {
            SqlType::Struct(_) if !is_point(item) => {
                let mut nested = field(item, distribution);
                nested["type"] = "nested".into();
                nested
            }
            item => field(item, distribution),
        },
        SqlType::Map(..) => match distribution {
            Distribution::OpenSearch => json!({ "type": "flat_object" }),
            Distribution::Elasticsearch => json!({ "type": "flattened" }),
        },
        SqlType::Struct(_) if is_point(ty) => json!({ "type": "geo_point" }),
        SqlType::Struct(fields) => {
            let fields = fields.iter().map(|field| (field.name.as_str(), &field.ty));
            json!({ "properties": properties(fields, distribution) })
        }
    }
}

/// A place on earth: exactly `lat` and `lon`, as numbers.
pub fn is_point(ty: &SqlType) -> bool {
    let SqlType::Struct(fields) = ty else { return false };
    let is = |name: &str| fields.iter().any(|field| field.name == name && field.ty == SqlType::Double);
    fields.len() == 2 && is("lat") && is("lon")
}
