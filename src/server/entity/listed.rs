//! An item of what SHOW and LIST answer, and what there is to say of functions, properties and connectors.

use super::each;
use crate::engine::outcome::{ConnectorInfo, FunctionInfo, PropertyInfo, SourceInfo, TopicInfo};
use crate::sql::ast::SourceKind;
use serde_json::{Value, json};

pub fn kind(kind: SourceKind) -> &'static str {
    match kind {
        SourceKind::Stream => "STREAM",
        SourceKind::Table => "TABLE",
    }
}

pub fn source_info(info: &SourceInfo) -> Value {
    json!({
        "type": kind(info.kind),
        "name": info.name,
        "topic": info.topic,
        "keyFormat": info.key_format,
        "valueFormat": info.value_format,
        "isWindowed": info.window.is_some(),
    })
}

/// One replica a partition: that of this place. `connector` and `place` are additions; of a file its name,
/// since where it lies on the server is nobody's business.
pub fn topic(topic: &TopicInfo) -> Value {
    let place = match topic.connector.as_str() {
        "file" | "log" => topic.place.rsplit('/').next().unwrap_or_default(),
        _ => &topic.place,
    };
    json!({
        "name": topic.name,
        "replicaInfo": vec![1; topic.partitions as usize],
        "connector": topic.connector,
        "place": place,
    })
}

pub fn topic_extended(info: &TopicInfo) -> Value {
    let mut topic = topic(info);
    topic["consumerCount"] = info.consumers.into();
    topic["consumerGroupCount"] = info.consumer_groups.into();
    topic
}

pub fn connector(info: &ConnectorInfo) -> Value {
    json!({
        "name": info.name,
        "type": "sink",
        "className": info.class,
        "state": info.status.state,
        "traffic": info.status,
    })
}

pub fn connector_description(info: &ConnectorInfo) -> Value {
    json!({
        "@type": "connector_description",
        "connectorClass": info.class,
        "status": {
            "name": info.name,
            "connector": { "state": info.status.state, "trace": info.status.error },
            "type": "sink",
        },
        "sources": info.reads,
        "topics": info.topics,
        "to": info.to,
        "traffic": info.status,
    })
}

pub fn function_name(function: &FunctionInfo) -> Value {
    json!({ "name": function.name, "type": function.kind, "category": function.category })
}

/// `usage` and what follows it are additions: how the function is written.
pub fn function(function: &FunctionInfo) -> Value {
    json!({
        "@type": "describe_function",
        "name": function.name,
        "description": function.summary,
        "author": "",
        "version": "",
        "path": "internal",
        "functions": each(&function.usage.lines().collect::<Vec<_>>(), |usage| variant(usage, function)),
        "type": function.kind,
        "usage": function.usage,
        "example": function.example,
        "aliases": function.aliases,
        "extension": function.extension,
    })
}

/// One way to call a function, from `NAME(a[, b]) → TYPE`.
fn variant(usage: &str, function: &FunctionInfo) -> Value {
    let (call, returns) = usage.split_once(" → ").unwrap_or((usage, ""));
    let inside = call.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')')).unwrap_or_default();
    let mut arguments: Vec<Value> = Vec::new();
    for name in inside.split([',', '[', ']']).map(str::trim).filter(|name| !name.is_empty()) {
        match (name, arguments.last_mut()) {
            ("…", Some(last)) => last["isVariadic"] = json!(true),
            _ => arguments.push(json!({ "name": name, "type": "", "description": "", "isVariadic": false })),
        }
    }
    json!({ "arguments": arguments, "returnType": returns, "description": function.summary })
}

pub fn properties(properties: &[PropertyInfo]) -> Value {
    let named = |default: bool| -> Vec<&str> {
        properties.iter().filter(|p| p.default == default).map(|p| p.name.as_str()).collect()
    };
    let property = |p: &PropertyInfo| json!({ "name": p.name, "scope": "KSQL", "value": p.value, "editable": true, "meaning": p.meaning });
    json!({
        "@type": "properties",
        "properties": each(properties, property),
        "overwrittenProperties": named(false),
        "defaultProperties": named(true),
    })
}
