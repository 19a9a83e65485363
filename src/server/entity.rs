//! Outcomes as the JSON entities of `/ksql`: one object a statement, told apart by `@type`.

use crate::engine::Outcome;
use crate::engine::outcome::{
    ConnectorInfo, Explanation, FunctionInfo, PropertyInfo, QueryInfo, SourceDescription, SourceInfo, Status,
    TopicInfo, Traffic,
};
use crate::sql::ast::{Assertion, Parsed, SourceKind, Statement};
use crate::types::{ColumnDef, Part, SqlType};
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

fn kind(kind: SourceKind) -> &'static str {
    match kind {
        SourceKind::Stream => "STREAM",
        SourceKind::Table => "TABLE",
    }
}

fn source_info(info: &SourceInfo) -> Value {
    json!({
        "type": kind(info.kind),
        "name": info.name,
        "topic": info.topic,
        "keyFormat": info.key_format,
        "valueFormat": info.value_format,
        "isWindowed": false,
    })
}

/// One replica a partition: that of this place. `connector` and `place` are additions; of a file its name,
/// since where it lies on the server is nobody's business.
fn topic(topic: &TopicInfo) -> Value {
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

fn topic_extended(info: &TopicInfo) -> Value {
    let mut topic = topic(info);
    topic["consumerCount"] = info.consumers.into();
    topic["consumerGroupCount"] = info.consumer_groups.into();
    topic
}

/// `traffic` is an addition.
fn query(query: &QueryInfo) -> Value {
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

fn connector(info: &ConnectorInfo) -> Value {
    json!({
        "name": info.name,
        "type": "sink",
        "className": info.class,
        "state": info.status.state,
        "traffic": info.status,
    })
}

fn connector_description(info: &ConnectorInfo) -> Value {
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

fn function_name(function: &FunctionInfo) -> Value {
    json!({ "name": function.name, "type": function.kind, "category": function.category })
}

/// `usage` and what follows it are additions: how the function is written.
fn function(function: &FunctionInfo) -> Value {
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

fn properties(properties: &[PropertyInfo]) -> Value {
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

fn source(source: &SourceDescription, extended: bool) -> Value {
    let statistics: Vec<String> = source.statistics.iter().map(|(n, v)| format!("{n}: {v}")).collect();
    json!({
        "name": source.info.name,
        "windowType": null,
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

fn explanation(explanation: &Explanation, statement: &Parsed) -> Value {
    let query = explanation.query.as_ref();
    let sql = query.map_or_else(|| explained(statement), |q| q.sql.clone());
    let state = query.map(|q| q.state.as_str());
    json!({
        "id": query.map_or("", |q| &q.id),
        "statementText": sql,
        "windowType": null,
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
fn schema(ty: &SqlType) -> Value {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connector::Lag;
    use crate::error::Span;
    use crate::sql::ast::{Ident, Show};
    use crate::types::{Schema, StructField};

    fn check(statement: Statement, text: &str, outcome: Outcome, expected: &str) {
        let parsed = Parsed { statement, text: text.into(), span: Span::default() };
        let got = entity(&parsed, &outcome, 7).map(|e| e.to_string()).unwrap_or_default();
        assert_eq!(got, expected);
    }

    fn show() -> Statement {
        Statement::Show(Show::Functions)
    }

    fn orders() -> SourceInfo {
        SourceInfo {
            kind: SourceKind::Stream,
            name: "ORDERS".into(),
            topic: "orders".into(),
            key_format: "KAFKA".into(),
            value_format: "JSON".into(),
        }
    }

    fn csas() -> QueryInfo {
        QueryInfo {
            id: "CSAS_X_3".into(),
            sql: "CREATE STREAM X AS SELECT * FROM ORDERS;".into(),
            sink: Some("X".into()),
            sink_topic: Some("X".into()),
            persistent: true,
            state: "RUNNING".into(),
            traffic: None,
        }
    }

    const CSAS: &str = r#"{"queryString":"CREATE STREAM X AS SELECT * FROM ORDERS;","sinks":["X"],"sinkKafkaTopics":["X"],"id":"CSAS_X_3","statusCount":{"RUNNING":1},"queryType":"PERSISTENT","state":"RUNNING","traffic":null}"#;

    #[test]
    fn a_command_has_a_status() {
        let done = |command: &str, query: Option<&str>, terminated| {
            Outcome::Status(Status {
                message: "done".into(),
                command_id: command.into(),
                query_id: query.map(Into::into),
                terminated,
                ..Status::default()
            })
        };
        check(
            show(),
            "CREATE STREAM X AS SELECT * FROM ORDERS",
            done("stream/X/create", Some("CSAS_X_3"), false),
            r#"{"@type":"currentStatus","statementText":"CREATE STREAM X AS SELECT * FROM ORDERS;","commandId":"stream/X/create","commandStatus":{"status":"SUCCESS","message":"done","queryId":"CSAS_X_3"},"commandSequenceNumber":7,"warnings":[]}"#,
        );
        check(
            show(),
            "TERMINATE CSAS_X_3",
            done("terminate/CSAS_X_3/execute", Some("CSAS_X_3"), true),
            r#"{"@type":"currentStatus","statementText":"TERMINATE CSAS_X_3;","commandId":"terminate/CSAS_X_3/execute","commandStatus":{"status":"SUCCESS","message":"Query terminated.","queryId":"CSAS_X_3"},"commandSequenceNumber":7,"warnings":[]}"#,
        );
        check(
            show(),
            "TERMINATE transient_S_1",
            done("terminate/transient_S_1/execute", Some("transient_S_1"), true),
            r#"{"@type":"terminate_query","statementText":"TERMINATE transient_S_1;","queryId":"transient_S_1","wasTerminated":true,"warnings":[]}"#,
        );
        let set = Statement::Set { property: "a".into(), value: "b".into() };
        check(set, "SET 'a' = 'b'", done("", None, false), "");
    }

    #[test]
    fn lists_have_an_object_an_item() {
        check(
            show(),
            "SHOW STREAMS",
            Outcome::Streams(vec![orders()]),
            r#"{"@type":"streams","statementText":"SHOW STREAMS;","streams":[{"type":"STREAM","name":"ORDERS","topic":"orders","keyFormat":"KAFKA","valueFormat":"JSON","isWindowed":false}],"warnings":[]}"#,
        );
        check(
            show(),
            "SHOW TABLES",
            Outcome::Tables(Vec::new()),
            r#"{"@type":"tables","statementText":"SHOW TABLES;","tables":[],"warnings":[]}"#,
        );
        let topic = TopicInfo {
            name: "orders".into(),
            connector: "file".into(),
            place: "orders.csv".into(),
            partitions: 2,
            consumers: 1,
            consumer_groups: 3,
        };
        let all = Statement::Show(Show::Topics { all: true, extended: true });
        check(
            all,
            "SHOW ALL TOPICS EXTENDED",
            Outcome::Topics(vec![topic.clone()]),
            r#"{"@type":"kafka_topics_extended","statementText":"SHOW ALL TOPICS EXTENDED;","topics":[{"name":"orders","replicaInfo":[1,1],"connector":"file","place":"orders.csv","consumerCount":1,"consumerGroupCount":3}],"warnings":[]}"#,
        );
        check(
            show(),
            "SHOW TOPICS",
            Outcome::Topics(vec![topic]),
            r#"{"@type":"kafka_topics","statementText":"SHOW TOPICS;","topics":[{"name":"orders","replicaInfo":[1,1],"connector":"file","place":"orders.csv"}],"warnings":[]}"#,
        );
        check(
            show(),
            "SHOW QUERIES",
            Outcome::Queries(vec![csas()]),
            &format!(
                r#"{{"@type":"queries","statementText":"SHOW QUERIES;","queries":[{CSAS}],"warnings":[]}}"#
            ),
        );
        let count = FunctionInfo {
            name: "COUNT".into(),
            kind: "AGGREGATE".into(),
            category: "AGGREGATE",
            usage: "COUNT(x)".into(),
            summary: "How many are not NULL.".into(),
            example: "COUNT(X) over ARRAY[1, NULL] → 1".into(),
            aliases: vec![],
            extension: false,
        };
        check(
            show(),
            "SHOW FUNCTIONS",
            Outcome::Functions(vec![count.clone()]),
            r#"{"@type":"function_names","statementText":"SHOW FUNCTIONS;","functions":[{"name":"COUNT","type":"AGGREGATE","category":"AGGREGATE"}],"warnings":[]}"#,
        );
        check(
            show(),
            "DESCRIBE FUNCTION COUNT",
            Outcome::Function(count),
            r#"{"@type":"describe_function","statementText":"DESCRIBE FUNCTION COUNT;","name":"COUNT","description":"How many are not NULL.","author":"","version":"","path":"internal","functions":[{"arguments":[{"name":"x","type":"","description":"","isVariadic":false}],"returnType":"","description":"How many are not NULL."}],"type":"AGGREGATE","usage":"COUNT(x)","example":"COUNT(X) over ARRAY[1, NULL] → 1","aliases":[],"extension":false,"warnings":[]}"#,
        );
        let reset = PropertyInfo {
            name: "auto.offset.reset".into(),
            value: "latest".into(),
            default: true,
            meaning: "honoured".into(),
        };
        check(
            show(),
            "SHOW PROPERTIES",
            Outcome::Properties(vec![reset]),
            r#"{"@type":"properties","statementText":"SHOW PROPERTIES;","properties":[{"name":"auto.offset.reset","scope":"KSQL","value":"latest","editable":true,"meaning":"honoured"}],"overwrittenProperties":[],"defaultProperties":["auto.offset.reset"],"warnings":[]}"#,
        );
    }

    #[test]
    fn a_source_is_described_with_its_types() {
        let column = |name: &str, ty, key| ColumnDef { name: name.into(), ty, part: Part::key_if(key) };
        let lat = StructField { name: "lat".into(), ty: SqlType::Double };
        let description = SourceDescription {
            info: orders(),
            schema: Schema::new([
                column("ID", SqlType::Varchar, true),
                column("SUM", SqlType::Decimal { precision: 4, scale: 2 }, false),
                column("AT", SqlType::Array(Box::new(SqlType::Struct(vec![lat]))), false),
            ]),
            timestamp_column: None,
            partitions: 1,
            statement: "CREATE STREAM …;".into(),
            read_by: vec![csas()],
            written_by: Vec::new(),
            statistics: vec![("rows read".into(), "5".into()), ("rows rejected".into(), "0".into())],
            traffic: Some(Traffic {
                rows: 5,
                rejected: 0,
                rate: 0.5,
                lag: Lag::records(3),
                lag_seconds: Some(1.5),
            }),
        };
        let name = Ident { name: "ORDERS".into(), span: Span::default() };
        check(
            Statement::Describe { name, extended: true },
            "DESCRIBE ORDERS EXTENDED",
            Outcome::Source(Box::new(description)),
            &[
                r#"{"@type":"sourceDescription","statementText":"DESCRIBE ORDERS EXTENDED;","sourceDescription":{"name":"ORDERS","windowType":null,"readQueries":["#,
                CSAS,
                r#"],"writeQueries":[],"fields":[{"name":"ID","schema":{"type":"STRING","fields":null,"memberSchema":null},"type":"KEY"},"#,
                r#"{"name":"SUM","schema":{"type":"DECIMAL","fields":null,"memberSchema":null,"parameters":{"precision":4,"scale":2}}},"#,
                r#"{"name":"AT","schema":{"type":"ARRAY","fields":null,"memberSchema":{"type":"STRUCT","fields":[{"name":"lat","schema":{"type":"DOUBLE","fields":null,"memberSchema":null}}],"memberSchema":null}}}],"#,
                r#""type":"STREAM","timestamp":"","statistics":"rows read: 5\nrows rejected: 0","errorStats":"","extended":true,"keyFormat":"KAFKA","valueFormat":"JSON","topic":"orders","partitions":1,"replication":1,"statement":"CREATE STREAM …;","queryOffsetSummaries":[],"sourceConstraints":[],"clusterStatistics":[],"clusterErrorStats":[],"traffic":{"rows":5,"rejected":0,"rowsPerSecond":0.5,"lagRecords":3,"lagBytes":null,"lagSeconds":1.5}},"warnings":[]}"#,
            ]
            .concat(),
        );
    }

    #[test]
    fn an_explanation_shows_the_plan() {
        let explanation = Explanation {
            query: None,
            columns: vec![ColumnDef { name: "N".into(), ty: SqlType::Int, part: Part::Value }],
            sources: vec!["ORDERS".into()],
            plan: "scan ORDERS".into(),
        };
        check(
            show(),
            "EXPLAIN SELECT N FROM ORDERS",
            Outcome::Explanation(Box::new(explanation)),
            r#"{"@type":"queryDescription","statementText":"EXPLAIN SELECT N FROM ORDERS;","queryDescription":{"id":"","statementText":"EXPLAIN SELECT N FROM ORDERS","windowType":null,"fields":[{"name":"N","schema":{"type":"INTEGER","fields":null,"memberSchema":null}}],"sources":["ORDERS"],"sinks":[],"topology":"","executionPlan":"scan ORDERS","overriddenProperties":{},"ksqlHostQueryStatus":{},"queryType":"UNKNOWN","queryErrors":[],"tasksMetadata":[],"state":null},"warnings":[]}"#,
        );
    }
}
