//! crates.io ksqldb: statements and rows over HTTP/2 by prior knowledge. Argument: host:port.

use futures_util::{Stream, StreamExt};
use ksqldb::{Error, KsqlDB, types::*};
use serde::Deserialize;
use std::collections::HashMap;

#[derive(Debug, Deserialize, PartialEq)]
struct Row {
    k: String,
    v: i64,
}

fn row(k: &str, v: i64) -> Row {
    Row { k: k.into(), v }
}

/// The code and the message of a refusal.
fn refused<T: std::fmt::Debug>(answer: ksqldb::Result<T>) -> (u32, String) {
    match answer {
        Err(Error::KSQL(error)) => (error.error_code.unwrap(), error.message.unwrap()),
        other => panic!("it was not refused: {other:?}"),
    }
}

/// The rows of an answer that ends. Behind them the crate takes the empty frame that ends a stream of HTTP/2, here as
/// with ksqlDB, for one more.
async fn rows(answer: ksqldb::Result<impl Stream<Item = ksqldb::Result<Row>>>) -> Vec<Row> {
    let mut answer = Box::pin(answer.unwrap());
    let mut rows = Vec::new();
    while let Some(row) = answer.next().await {
        match row {
            Ok(row) => rows.push(row),
            Err(Error::Json(error)) if error.is_eof() => break,
            Err(error) => panic!("{error}, behind {rows:?}"),
        }
    }
    rows
}

/// Statements, which answer what became of them.
async fn makes(client: &KsqlDB, none: &HashMap<String, String>) {
    let stream =
        "CREATE STREAM S (K VARCHAR KEY, V INT) WITH (KAFKA_TOPIC='s', VALUE_FORMAT='JSON', PARTITIONS=1);";
    let made = client.create(stream, none, None).await.unwrap();
    assert_eq!(made[0].info.response_type, "currentStatus");
    assert!(matches!(made[0].command_status.as_ref().unwrap().status, CommandState::Success), "{made:?}");
    assert!(made[0].command_id.is_some() && made[0].command_sequence_number.is_some(), "{made:?}");
    let (code, message) = refused(client.create(stream, none, None).await);
    assert!(code == 40001 && message.contains('S'), "{code} {message}");
    // The crate sends properties of statements under another name than ksqlDB's, where nobody reads them.
    let table =
        "SET 'auto.offset.reset' = 'earliest'; CREATE TABLE T AS SELECT K, SUM(V) AS V FROM S GROUP BY K;";
    client.create(table, none, None).await.unwrap();
    for values in ["('a', 1)", "('a', 2)", "('b', 3)"] {
        let insert = format!("INSERT INTO S (K, V) VALUES {values};");
        let inserted: Vec<serde_json::Value> = client.execute_statement(&insert, none, None).await.unwrap();
        assert!(inserted.is_empty(), "{inserted:?}");
    }
}

/// Pull queries end, push queries end at their LIMIT or when they are dropped.
async fn selects(client: &KsqlDB, none: &HashMap<String, String>) {
    let earliest = HashMap::from([(StreamProperties::ResetStreamOffset.to_string(), "earliest".to_string())]);
    loop {
        if rows(client.select("SELECT K, V FROM T WHERE K = 'a';", none).await).await == [row("a", 3)] {
            break;
        }
    }
    let limited = client.select("SELECT K, V FROM S EMIT CHANGES LIMIT 3;", &earliest).await;
    assert_eq!(rows(limited).await, [row("a", 1), row("a", 2), row("b", 3)]);
    let open = client.select::<Row>("SELECT K, V FROM S EMIT CHANGES;", &earliest).await.unwrap();
    let rows: Vec<Row> = open.take(2).map(Result::unwrap).collect().await;
    assert_eq!(rows, [row("a", 1), row("a", 2)]);
    let refused = client.select::<Row>("SELECT NOPE FROM S EMIT CHANGES;", none).await.err();
    assert!(
        matches!(&refused, Some(Error::KSQLStream(why)) if why.contains("40001") && why.contains("NOPE")),
        "{refused:?}"
    );
}

/// Lists and descriptions. The crate's types are those of ksqlDB 0.13, and partly of none: a list of streams has to be
/// an extended one, tables have a `format`, queries that read what is described are texts, and what explains a query
/// has its properties beside it. What they do not take comes as JSON.
async fn looks(client: &KsqlDB, none: &HashMap<String, String>) {
    let streams = client.list_streams("SHOW STREAMS EXTENDED;", none, None).await.unwrap();
    let found = &streams[0].source_descriptions[0];
    assert_eq!((found.name.as_str(), found.topic.as_str()), ("S", "s"), "{streams:?}");
    let unread =
        "CREATE STREAM U (K VARCHAR KEY, V INT) WITH (KAFKA_TOPIC='u', VALUE_FORMAT='JSON', PARTITIONS=1);";
    client.create(unread, none, None).await.unwrap();
    let stream = client.describe("DESCRIBE U;", none, None).await;
    let tables = client.execute_statement::<serde_json::Value>("LIST TABLES;", none, None).await.unwrap();
    assert_eq!(tables[0]["tables"][0]["name"], "T", "{tables:?}");
    let stream = &stream.unwrap()[0].source_description;
    let columns: Vec<&str> = stream.fields.iter().map(|field| field.name.as_str()).collect();
    assert_eq!((stream.name.as_str(), columns), ("U", vec!["K", "V"]), "{stream:?}");
    let explained =
        client.execute_statement::<serde_json::Value>("EXPLAIN CTAS_T_1;", none, None).await.unwrap();
    assert_eq!(explained[0]["queryDescription"]["sinks"][0], "T", "{explained:?}");
    let properties =
        client.execute_statement::<serde_json::Value>("SHOW PROPERTIES;", none, None).await.unwrap();
    assert!(properties[0]["properties"].as_array().is_some_and(|all| !all.is_empty()), "{properties:?}");
}

async fn ends(client: &KsqlDB, none: &HashMap<String, String>) {
    let (code, message) = refused(client.drop("DROP STREAM S;", none, None).await);
    assert!(code == 40001 && message.contains("CTAS_T_1"), "{code} {message}");
    let ended = client.terminate("TERMINATE CTAS_T_1;", none, None).await.unwrap();
    assert!(matches!(ended[0].command_status.as_ref().unwrap().status, CommandState::Success), "{ended:?}");
    for statement in ["DROP TABLE T DELETE TOPIC;", "DROP STREAM U;", "DROP STREAM S DELETE TOPIC;"] {
        let gone = client.drop(statement, none, None).await.unwrap();
        assert!(matches!(gone[0].command_status.as_ref().unwrap().status, CommandState::Success), "{gone:?}");
    }
    let left = client.list_streams("LIST STREAMS EXTENDED;", none, None).await.unwrap();
    assert!(left[0].source_descriptions.is_empty(), "{left:?}");
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let address = std::env::args().nth(1).expect("host:port");
    let client = KsqlDB::new(address, reqwest::Client::builder(), false).unwrap();
    let none = HashMap::new();
    makes(&client, &none).await;
    selects(&client, &none).await;
    looks(&client, &none).await;
    ends(&client, &none).await;
}
