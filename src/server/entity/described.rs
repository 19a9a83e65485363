//! Sources, queries and types as they are described.

use super::each;
use super::listed::kind;
use crate::engine::outcome::{Explanation, QueryInfo, SourceDescription, Traffic};
use crate::sql::ast::{Parsed, Statement};
use crate::types::{ColumnDef, Part, SqlType};
use serde_json::{Value, json};

/// `traffic` is an addition.
pub fn query(query: &QueryInfo) -> Value {
    let count = [(query.state.clone(), json!(1))].into_iter().collect::<serde_json::Map<_, _>>();
    json!({
        "queryString": query.sql,
        "sinks": query.sink.iter().collect::<Vec<_>>(),
        "sinkKafkaTopics": query.sink_topic.iter().collect::<Vec<_>>(),
        "id": query.id,
        "statusCount": count,
        "queryType": if query.persistent { "PERSISTENT" } else { "PUSH" },
        "state": query.state,
        "traffic": query.traffic.as_ref().map(traffic),
    })
}

fn traffic(traffic: &Traffic) -> Value {
    json!({
        "rows": traffic.rows,
        "rejected": traffic.rejected,
        "rowsPerSecond": traffic.rate,
        "lagRecords": traffic.lag.records,
        "lagBytes": traffic.lag.bytes,
        "lagSeconds": traffic.lag_seconds,
    })
}

pub fn source(source: &SourceDescription, extended: bool) -> Value {
    let statistics: Vec<String> = source.statistics.iter().map(|(n, v)| format!("{n}: {v}")).collect();
    json!({
        "name": source.info.name,
        "windowType": source.info.window,
        "readQueries": each(&source.read_by, query),
        "writeQueries": each(&source.written_by, query),
        "fields": each(&source.schema.columns, field),
        "type": kind(source.info.kind),
        "timestamp": source.timestamp_column.as_deref().unwrap_or(""),
        "statistics": statistics.join("\n"),
        "errorStats": "",
        "extended": extended,
        "keyFormat": source.info.key_format,
        "valueFormat": source.info.value_format,
        "topic": source.info.topic,
        "partitions": source.partitions,
        "replication": 1,
        "statement": source.statement,
        "queryOffsetSummaries": [],
        "sourceConstraints": [],
        "clusterStatistics": [],
        "clusterErrorStats": [],
        "traffic": source.traffic.as_ref().map(traffic),
    })
}

pub fn explanation(explanation: &Explanation, statement: &Parsed) -> Value {
    let query = explanation.query.as_ref();
    let sql = query.map_or_else(|| explained(statement), |q| q.sql.clone());
    let state = query.map(|q| q.state.as_str());
    json!({
        "id": query.map_or("", |q| &q.id),
        "statementText": sql,
        "windowType": explanation.window,
        "fields": each(&explanation.columns, field),
        "sources": explanation.sources,
        "sinks": query.and_then(|q| q.sink.as_ref()).into_iter().collect::<Vec<_>>(),
        "topology": "",
        "executionPlan": explanation.plan,
        "overriddenProperties": {},
        "ksqlHostQueryStatus": {},
        "queryType": match query {
            Some(q) if q.persistent => "PERSISTENT",
            Some(_) => "PUSH",
            None => "UNKNOWN",
        },
        "queryErrors": [],
        "tasksMetadata": [],
        "state": state,
    })
}

fn explained(statement: &Parsed) -> String {
    match &statement.statement {
        Statement::ExplainStatement(inner) => inner.text.clone(),
        _ => statement.text.clone(),
    }
}

pub fn field(column: &ColumnDef) -> Value {
    let mut field = json!({ "name": column.name, "schema": schema(&column.ty) });
    match &column.part {
        Part::Key => field["type"] = "KEY".into(),
        Part::Window(_) | Part::Value | Part::EventType(_) => {}
        Part::Headers => field["type"] = "HEADER".into(),
        Part::Header(name) => {
            field["type"] = "HEADER".into();
            field["headerKey"] = name.as_str().into();
        }
    }
    field
}

/// A type as an object: its name, and what it is made of.
pub fn schema(ty: &SqlType) -> Value {
    let member = match ty {
        SqlType::Array(item) => schema(item),
        SqlType::Map(_, value) => schema(value),
        _ => Value::Null,
    };
    let fields = match ty {
        SqlType::Struct(fields) => {
            Value::Array(each(fields, |f| json!({ "name": f.name, "schema": schema(&f.ty) })))
        }
        _ => Value::Null,
    };
    let mut out = json!({ "type": base_name(ty), "fields": fields, "memberSchema": member });
    if let SqlType::Decimal { precision, scale } = ty {
        out["parameters"] = json!({ "precision": precision, "scale": scale });
    }
    out
}

fn base_name(ty: &SqlType) -> String {
    match ty {
        SqlType::Decimal { .. } => "DECIMAL".into(),
        SqlType::Array(_) => "ARRAY".into(),
        SqlType::Map(..) => "MAP".into(),
        SqlType::Struct(_) => "STRUCT".into(),
        simple => simple.to_string(),
    }
}
