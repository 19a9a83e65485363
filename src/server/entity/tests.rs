//! Each outcome with its entity, to the letter.

use super::*;
use crate::connector::Lag;
use crate::engine::outcome::{
    Explanation, FunctionInfo, PropertyInfo, QueryInfo, SourceDescription, SourceInfo, TopicInfo, Traffic,
};
use crate::error::Span;
use crate::sql::ast::{Ident, Show, SourceKind};
use crate::types::{ColumnDef, Part, Schema, SqlType, StructField};

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
        window: None,
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
        &format!(r#"{{"@type":"queries","statementText":"SHOW QUERIES;","queries":[{CSAS}],"warnings":[]}}"#),
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
        window: None,
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
