//! Messages of Confluent's own serialisers are read, and ours by them: `interop/confluent.py` has the
//! other side. Where Python or its packages are missing this says so and is skipped.

use crate::harness::{Served, Site};
use serde_json::Value;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

const SCRIPT: &str = "
    CREATE STREAM AVRO_BYTES (V BYTES) WITH (KAFKA_TOPIC='avro', VALUE_FORMAT='KAFKA');
    CREATE STREAM JSON_BYTES (V BYTES) WITH (KAFKA_TOPIC='json', VALUE_FORMAT='KAFKA');
    CREATE STREAM PROTOBUF_BYTES (V BYTES) WITH (KAFKA_TOPIC='protobuf', VALUE_FORMAT='KAFKA');
";

/// Every type that all three have.
const COLUMNS: &str = "NAME VARCHAR, SPACES INT, TOTAL BIGINT, PCT DOUBLE, IS_OPEN BOOLEAN,
    TAGS ARRAY<VARCHAR>, AT STRUCT<LAT DOUBLE, LON DOUBLE>, EXTRA MAP<VARCHAR, INT>";

/// The Python that has the packages; says what is missing.
fn python() -> Option<PathBuf> {
    let python = std::env::var_os("WHARFE_PYTHON").map_or("python3".into(), PathBuf::from);
    let packages = "import confluent_kafka.schema_registry.avro, confluent_kafka.schema_registry.protobuf, \
                    confluent_kafka.schema_registry.json_schema";
    let found = Command::new(&python).args(["-c", packages]).stderr(Stdio::null()).status();
    if found.is_ok_and(|status| status.success()) {
        return Some(python);
    }
    eprintln!(
        "SKIPPED: {} has no confluent-kafka[avro,json,protobuf,schemaregistry]; install it, or name a Python \
         that has it with WHARFE_PYTHON",
        python.display()
    );
    None
}

/// The lines that the other side answers.
fn confluent(python: &PathBuf, args: &[&str], input: &str) -> Vec<String> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/interop/confluent.py");
    let mut child = Command::new(python)
        .arg(script)
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{args:?}");
    String::from_utf8(output.stdout).unwrap().lines().map(String::from).collect()
}

fn done(served: &Served, sql: &str) {
    let answer = served.ksql(sql);
    assert!(answer.is_array(), "{sql}: {answer}");
}

/// The rows of a pull query, each as JSON text.
fn rows(served: &Served, sql: &str) -> Vec<String> {
    let body = serde_json::json!({ "sql": sql }).to_string();
    let reply = served.post("/query-stream", "application/json", body);
    let rows: Value = serde_json::from_str(&reply.body).unwrap_or_else(|e| panic!("{sql}: {e}: {reply:?}"));
    rows.as_array().unwrap_or_else(|| panic!("{sql}: {rows}"))[1..].iter().map(Value::to_string).collect()
}

#[test]
fn what_confluents_serialisers_write_is_read() {
    let Some(python) = python() else { return };
    let site = Site::new();
    let served = Served::start(&site.script(SCRIPT), &[]);
    for line in confluent(&python, &["write", &served.url], "") {
        let (topic, hex) = line.split_once(' ').unwrap();
        let stream = format!("{}_BYTES", topic.to_uppercase());
        done(&served, &format!("INSERT INTO {stream} VALUES (TO_BYTES('{hex}', 'hex'));"));
    }
    for (format, expected) in [
        (
            "avro",
            &[
                // The schema's defaults stand for what its older version did not have.
                r#"["Briggate",7,null,"1970-01-01T00:00:00.000",null,null,[],{},null,"OPEN"]"#,
                r#"["Wärtens",-1,12.5,"2020-10-11T21:25:00.000","2020-10-11",12.5,["a",""],{"x":1099511627776},{"LAT":53.8,"LON":-1.5},"CLOSED"]"#,
                r#"["",0,null,"1970-01-01T00:00:00.000",null,null,[],{},null,"OPEN"]"#,
            ][..],
        ),
        ("json", &[r#"["Briggate",7,12.5,["a"],{"LAT":53.8}]"#, r#"["Wärtens",null,null,null,null]"#]),
        (
            "protobuf",
            &[
                r#"["Wärtens",-1,0.0,["a",""],-1099511627776,{"LAT":53.8},{"x":1}]"#,
                r#"["Briggate",0,null,[],0,null,{}]"#,
            ],
        ),
    ] {
        let value_format = if format == "json" { "JSON_SR" } else { format };
        let name = format!("THEIR_{}", format.to_uppercase());
        let nested = if format == "protobuf" { ", VALUE_SCHEMA_FULL_NAME='leeds.City.Park'" } else { "" };
        done(
            &served,
            &format!(
                "CREATE STREAM {name} WITH (KAFKA_TOPIC='{format}', VALUE_FORMAT='{value_format}'{nested});"
            ),
        );
        assert_eq!(rows(&served, &format!("SELECT * FROM {name};")), expected, "{format}");
    }
}

#[test]
fn confluents_deserialisers_read_what_is_written() {
    let Some(python) = python() else { return };
    let site = Site::new();
    let served = Served::start(&site.script(SCRIPT), &[]);
    for (format, expected) in [
        (
            "avro",
            [
                r#"{"AT": {"LAT": 53.8, "LON": null}, "EXTRA": [{"key": "x", "value": 1}], "IS_OPEN": true, "NAME": "W\u00e4rtens", "PCT": 12.5, "SPACES": -1, "TAGS": ["a", ""], "TOTAL": 1099511627776}"#,
                r#"{"AT": null, "EXTRA": null, "IS_OPEN": null, "NAME": null, "PCT": null, "SPACES": 0, "TAGS": null, "TOTAL": null}"#,
            ],
        ),
        (
            "json",
            [
                r#"{"AT": {"LAT": 53.8, "LON": null}, "EXTRA": {"x": 1}, "IS_OPEN": true, "NAME": "W\u00e4rtens", "PCT": 12.5, "SPACES": -1, "TAGS": ["a", ""], "TOTAL": 1099511627776}"#,
                r#"{"AT": null, "EXTRA": null, "IS_OPEN": null, "NAME": null, "PCT": null, "SPACES": 0, "TAGS": null, "TOTAL": null}"#,
            ],
        ),
        (
            "protobuf",
            [
                // Connect's maps are lists of entries.
                r#"{"AT": {"LAT": 53.8}, "EXTRA": [{"key": "x", "value": 1}], "IS_OPEN": true, "NAME": "W\u00e4rtens", "PCT": 12.5, "SPACES": -1, "TAGS": ["a", ""], "TOTAL": "1099511627776"}"#,
                r#"{"SPACES": 0}"#,
            ],
        ),
    ] {
        let value_format = if format == "json" { "JSON_SR" } else { format };
        let name = format!("OUR_{}", format.to_uppercase());
        let optional =
            if format == "protobuf" { ", VALUE_PROTOBUF_NULLABLE_REPRESENTATION='OPTIONAL'" } else { "" };
        done(
            &served,
            &format!(
                "CREATE STREAM {name} ({COLUMNS}) WITH (KAFKA_TOPIC='{format}', VALUE_FORMAT='{value_format}'{optional});"
            ),
        );
        done(
            &served,
            &format!(
                "INSERT INTO {name} VALUES ('Wärtens', -1, 1099511627776, 12.5, true, ARRAY['a', ''], STRUCT(LAT := 53.8, LON := CAST(NULL AS DOUBLE)), MAP('x' := 1));"
            ),
        );
        done(&served, &format!("INSERT INTO {name} (SPACES) VALUES (0);"));
        let hex =
            rows(&served, &format!("SELECT FROM_BYTES(V, 'hex') FROM {}_BYTES;", format.to_uppercase()));
        let hex: Vec<String> = hex.iter().map(|row| row.trim_matches(['[', ']', '"']).to_string()).collect();
        assert_eq!(confluent(&python, &["read", &served.url, format], &hex.join("\n")), expected, "{format}");
    }
}
