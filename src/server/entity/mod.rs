//! Outcomes as the JSON entities of `/ksql`: one object a statement, told apart by `@type`.

mod described;
mod listed;
#[cfg(test)]
mod tests;

use crate::engine::Outcome;
use crate::engine::outcome::Status;
use crate::sql::ast::{Assertion, Parsed, Statement};
pub use described::field;
use described::{explanation, query, schema, source};
use listed::{
    connector, connector_description, function, function_name, properties, source_info, topic, topic_extended,
};
use serde_json::{Map, Value, json};

/// The entity of one statement. SET, UNSET and INSERT … VALUES have none, and neither has an answer,
/// which `/query-stream` carries.
pub fn entity(statement: &Parsed, outcome: &Outcome, sequence: u64) -> Option<Value> {
    let body = match outcome {
        Outcome::Status(_) if is_silent(&statement.statement) => return None,
        Outcome::Answer(_) => return None,
        Outcome::Status(_) if matches!(statement.statement, Statement::Assert { .. }) => {
            asserted(&statement.statement)
        }
        Outcome::Status(s) if s.unchanged => {
            json!({ "@type": "warning_entity", "message": s.message })
        }
        Outcome::Status(s) => status(s, sequence),
        Outcome::Streams(s) => json!({ "@type": "streams", "streams": each(s, source_info) }),
        Outcome::Tables(s) => json!({ "@type": "tables", "tables": each(s, source_info) }),
        Outcome::Topics(t) if is_extended(&statement.statement) => {
            json!({ "@type": "kafka_topics_extended", "topics": each(t, topic_extended) })
        }
        Outcome::Topics(t) => json!({ "@type": "kafka_topics", "topics": each(t, topic) }),
        Outcome::Queries(q) => json!({ "@type": "queries", "queries": each(q, query) }),
        Outcome::Functions(f) => json!({ "@type": "function_names", "functions": each(f, function_name) }),
        Outcome::Properties(p) => properties(p),
        Outcome::Types(t) => {
            let types: Map<String, Value> = t.iter().map(|(name, ty)| (name.clone(), schema(ty))).collect();
            json!({ "@type": "type_list", "types": types })
        }
        Outcome::Variables(v) => {
            let variable = |(name, value): &(String, String)| json!({ "name": name, "value": value });
            json!({ "@type": "variables", "variables": each(v, variable) })
        }
        Outcome::Sources(s) => {
            let descriptions = each(s, |s| source(s, true));
            json!({ "@type": "source_descriptions", "sourceDescriptions": descriptions })
        }
        Outcome::Source(s) => {
            let extended = is_extended(&statement.statement);
            json!({ "@type": "sourceDescription", "sourceDescription": source(s, extended) })
        }
        Outcome::Function(f) => function(f),
        Outcome::Explanations(e) => {
            let descriptions = each(e, |e| explanation(e, statement));
            json!({ "@type": "query_descriptions", "queryDescriptions": descriptions })
        }
        Outcome::Connectors(all) => {
            json!({ "@type": "connector_list", "connectors": each(all, connector) })
        }
        Outcome::Connector(info) => connector_description(info),
        Outcome::Explanation(e) => {
            json!({ "@type": "queryDescription", "queryDescription": explanation(e, statement) })
        }
    };
    let warnings = if let Outcome::Status(status) = outcome { &status.warnings[..] } else { &[] };
    Some(framed(body, statement, warnings))
}

/// The statement as clients get it back, with its semicolon.
pub fn statement_text(statement: &Parsed) -> String {
    format!("{};", statement.text)
}

/// Puts `statementText` behind `@type` and `warnings` at the end.
fn framed(body: Value, statement: &Parsed, warnings: &[String]) -> Value {
    let Value::Object(mut fields) = body else { return body };
    fields.shift_insert(1, "statementText".into(), statement_text(statement).into());
    fields.insert("warnings".into(), each(warnings, |message| json!({ "message": message })).into());
    Value::Object(fields)
}

/// Of those whose outcome is the same either way.
fn is_extended(statement: &Statement) -> bool {
    use Statement::*;
    matches!(
        statement,
        Describe { extended: true, .. } | Show(crate::sql::ast::Show::Topics { extended: true, .. })
    )
}

fn is_silent(statement: &Statement) -> bool {
    use Statement::*;
    matches!(statement, Set { .. } | Unset { .. } | Define { .. } | Undefine { .. } | InsertValues { .. })
}

fn each<T>(items: &[T], entity: impl Fn(&T) -> Value) -> Vec<Value> {
    items.iter().map(entity).collect()
}

/// A push query that is terminated has an entity of its own; a persistent one a status as all.
fn status(status: &Status, sequence: u64) -> Value {
    let transient = status.query_id.as_ref().is_some_and(|id| id.to_lowercase().starts_with("transient"));
    if status.terminated && transient {
        return json!({
            "@type": "terminate_query",
            "queryId": status.query_id,
            "wasTerminated": true,
        });
    }
    json!({
        "@type": "currentStatus",
        "commandId": status.command_id,
        "commandStatus": {
            "status": "SUCCESS",
            "message": if status.terminated { "Query terminated." } else { &status.message },
            "queryId": status.query_id,
        },
        "commandSequenceNumber": sequence,
    })
}

fn asserted(statement: &Statement) -> Value {
    let Statement::Assert { exists, what, .. } = statement else { unreachable!("the caller matched it") };
    match what {
        Assertion::Topic { name, .. } => {
            json!({ "@type": "assert_topic", "topicName": name.name, "exists": exists })
        }
        Assertion::Schema { subject, id } => {
            let subject = subject.as_ref().map(|subject| &subject.name);
            json!({ "@type": "assert_schema", "subject": subject, "id": id, "exists": exists })
        }
    }
}
