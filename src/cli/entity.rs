//! Entities of `/ksql` for people: lists as tables, descriptions as text, statuses as a line.

use super::output::{Format, Printer};
use serde_json::{Value, json};
use std::io::{self, Write};

pub fn print(entity: &Value, format: Format, out: &mut dyn Write) -> io::Result<()> {
    if let Some((columns, mut rows)) = list(entity) {
        if text(entity, "@type") == "queries" && format == Format::Table {
            rows.iter_mut().flatten().for_each(shorten);
        }
        return print_list((columns, rows), format, out);
    }
    for (field, is_source) in [("sourceDescriptions", true), ("queryDescriptions", false)] {
        let Some(all) = entity[field].as_array() else { continue };
        for (i, described) in all.iter().enumerate() {
            if i > 0 && format != Format::Json {
                writeln!(out)?;
            }
            match (format, is_source) {
                (Format::Json, _) => writeln!(out, "{described}")?,
                (_, true) => source(described, format, out)?,
                (_, false) => explanation(described, out)?,
            }
        }
        return Ok(());
    }
    if format == Format::Json {
        let body = ["sourceDescription", "queryDescription"].iter().find_map(|field| entity.get(field));
        return writeln!(out, "{}", body.unwrap_or(entity));
    }
    match text(entity, "@type") {
        "currentStatus" => writeln!(out, "{}", text(&entity["commandStatus"], "message")),
        "terminate_query" => writeln!(out, "Query {} terminated", text(entity, "queryId")),
        "sourceDescription" => source(&entity["sourceDescription"], format, out),
        "queryDescription" => explanation(&entity["queryDescription"], out),
        "describe_function" => function(entity, out),
        "connector_description" => connector(entity, out),
        "assert_topic" => asserted(&format!("topic {}", text(entity, "topicName")), entity, out),
        "assert_schema" => asserted("the schema", entity, out),
        _ => writeln!(out, "{entity:#}"),
    }
}

fn connector(entity: &Value, out: &mut dyn Write) -> io::Result<()> {
    let (status, traffic) = (&entity["status"], &entity["traffic"]);
    writeln!(out, "{} is {}", text(status, "name"), text(&status["connector"], "state"))?;
    if let Some(error) = status["connector"]["trace"].as_str() {
        writeln!(out, "  {error}")?;
    }
    writeln!(out, "from {}", pick(entity, "sources").as_str().unwrap_or_default())?;
    writeln!(out, "to {}", text(entity, "to"))?;
    let counts = [
        ("written", "written"),
        ("deleted", "deleted"),
        ("there already", "known"),
        ("rejected", "rejected"),
        ("waiting", "waiting"),
        ("tried again", "retries"),
    ];
    let counts = counts.map(|(name, field)| format!("{name} {}", traffic[field]));
    writeln!(out, "{}", counts.join(", "))
}

fn asserted(what: &str, entity: &Value, out: &mut dyn Write) -> io::Result<()> {
    let is = if entity["exists"] == true { "exists" } else { "does not exist" };
    writeln!(out, "{what} {is}")
}

/// Column names, and a row an item.
type List = (Vec<&'static str>, Vec<Vec<Value>>);

fn list(entity: &Value) -> Option<List> {
    let picked = |items: &str, columns: &[(&'static str, &str)]| -> Option<List> {
        let rows = entity[items].as_array()?.iter();
        let rows = rows.map(|item| columns.iter().map(|(_, field)| pick(item, field)).collect());
        Some((columns.iter().map(|(name, _)| *name).collect(), rows.collect()))
    };
    let sources =
        [("NAME", "name"), ("TOPIC", "topic"), ("KEY_FORMAT", "keyFormat"), ("VALUE_FORMAT", "valueFormat")];
    match text(entity, "@type") {
        "streams" => picked("streams", &sources),
        "tables" => picked("tables", &sources),
        "kafka_topics" => picked(
            "topics",
            &[
                ("NAME", "name"),
                ("PARTITIONS", "replicaInfo#"),
                ("CONNECTOR", "connector"),
                ("PLACE", "place"),
            ],
        ),
        "kafka_topics_extended" => picked(
            "topics",
            &[
                ("NAME", "name"),
                ("PARTITIONS", "replicaInfo#"),
                ("CONSUMERS", "consumerCount"),
                ("CONSUMER_GROUPS", "consumerGroupCount"),
                ("CONNECTOR", "connector"),
                ("PLACE", "place"),
            ],
        ),
        "queries" => picked(
            "queries",
            &[
                ("ID", "id"),
                ("TYPE", "queryType"),
                ("STATE", "state"),
                ("ROWS_PER_SECOND", "traffic.rowsPerSecond"),
                ("LAG_SECONDS", "traffic.lagSeconds"),
                ("SINK", "sinks"),
                ("SQL", "queryString"),
            ],
        ),
        "properties" => picked("properties", &[("NAME", "name"), ("VALUE", "value"), ("MEANING", "meaning")]),
        "variables" => picked("variables", &[("NAME", "name"), ("VALUE", "value")]),
        "connector_list" => picked(
            "connectors",
            &[
                ("NAME", "name"),
                ("STATE", "state"),
                ("WRITTEN", "traffic.written"),
                ("WAITING", "traffic.waiting"),
                ("REJECTED", "traffic.rejected"),
                ("ERROR", "traffic.error"),
            ],
        ),
        "type_list" => {
            let types = entity["types"].as_object()?.iter();
            let rows = types.map(|(name, ty)| vec![json!(name), json!(type_text(ty))]).collect();
            Some((vec!["NAME", "TYPE"], rows))
        }
        "function_names" => picked("functions", &[("NAME", "name"), ("TYPE", "type")]),
        _ => None,
    }
}

/// A field of a list's item, or of an object in it; `#` counts its elements, and a list of names is shown as one text.
fn pick(item: &Value, field: &str) -> Value {
    if let Some(field) = field.strip_suffix('#') {
        return json!(item[field].as_array().map_or(0, Vec::len));
    }
    let found = field.split('.').fold(item, |item, field| &item[field]);
    match found {
        Value::Array(names) => names.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", ").into(),
        Value::String(text) => text.split_whitespace().collect::<Vec<_>>().join(" ").into(),
        other => other.clone(),
    }
}

fn print_list((columns, rows): List, format: Format, out: &mut dyn Write) -> io::Result<()> {
    let names = columns.into_iter().map(String::from).collect();
    let mut printer = Printer::new(out, format, names)?;
    for row in rows {
        printer.row(row.iter().map(Value::to_string).collect())?;
    }
    printer.finish()
}

/// A statement's whole text would make every line of its table as long; EXPLAIN has it.
fn shorten(value: &mut Value) {
    if let Value::String(text) = value
        && let Some((end, _)) = text.char_indices().nth(80)
    {
        text.truncate(end);
        text.push('…');
    }
}

fn source(source: &Value, format: Format, out: &mut dyn Write) -> io::Result<()> {
    if format == Format::Table {
        let partitions = match source["partitions"].as_u64() {
            Some(1) => "1 partition".to_string(),
            count => format!("{} partitions", count.unwrap_or_default()),
        };
        line(out, text(source, "type"), text(source, "name"))?;
        line(out, "topic", &format!("{} ({partitions})", text(source, "topic")))?;
        let formats = format!("key {}, value {}", text(source, "keyFormat"), text(source, "valueFormat"));
        line(out, "formats", &formats)?;
        if !text(source, "timestamp").is_empty() {
            line(out, "timestamp", text(source, "timestamp"))?;
        }
        for (name, field) in [("read by", "readQueries"), ("written by", "writeQueries")] {
            let queries = source[field].as_array().map(Vec::as_slice).unwrap_or_default();
            let ids: Vec<&str> = queries.iter().map(|q| text(q, "id")).collect();
            if !ids.is_empty() {
                line(out, name, &ids.join(", "))?;
            }
        }
    }
    let fields = source["fields"].as_array().map(Vec::as_slice).unwrap_or_default();
    let rows = fields.iter().map(|field| {
        let part = match (text(field, "type"), field["headerKey"].as_str()) {
            ("KEY", _) => " KEY".to_string(),
            ("HEADER", None) => " HEADERS".to_string(),
            ("HEADER", Some(name)) => format!(" HEADER('{}')", name.replace('\'', "''")),
            _ => String::new(),
        };
        vec![field["name"].clone(), format!("{}{part}", type_text(&field["schema"])).into()]
    });
    print_list((vec!["FIELD", "TYPE"], rows.collect()), format, out)?;
    if source["extended"] == true && format == Format::Table {
        for statistic in text(source, "statistics").lines() {
            writeln!(out, "{statistic}")?;
        }
        writeln!(out, "{}", text(source, "statement"))?;
    }
    Ok(())
}

fn explanation(query: &Value, out: &mut dyn Write) -> io::Result<()> {
    if !text(query, "id").is_empty() {
        line(out, "query", text(query, "id"))?;
    }
    writeln!(out, "{}", text(query, "executionPlan").trim_end())
}

fn function(function: &Value, out: &mut dyn Write) -> io::Result<()> {
    line(out, text(function, "type"), text(function, "name"))?;
    for (i, variant) in text(function, "usage").lines().enumerate() {
        line(out, if i == 0 { "usage" } else { "" }, variant)?;
    }
    if !text(function, "example").is_empty() {
        line(out, "example", text(function, "example"))?;
    }
    let aliases: Vec<&str> =
        function["aliases"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    if !aliases.is_empty() {
        line(out, "also", &aliases.join(", "))?;
    }
    if function["extension"] == true {
        line(out, "extension", "ksqlDB does not have it")?;
    }
    writeln!(out, "{}", text(function, "description"))
}

fn line(out: &mut dyn Write, name: &str, value: &str) -> io::Result<()> {
    writeln!(out, "{:<12}{value}", name.to_lowercase())
}

/// A type from its schema object.
fn type_text(schema: &Value) -> String {
    let base = text(schema, "type");
    match base {
        "ARRAY" => format!("ARRAY<{}>", type_text(&schema["memberSchema"])),
        "MAP" => format!("MAP<STRING, {}>", type_text(&schema["memberSchema"])),
        "DECIMAL" if schema["parameters"].is_object() => {
            format!("DECIMAL({}, {})", schema["parameters"]["precision"], schema["parameters"]["scale"])
        }
        "STRUCT" => {
            let fields = schema["fields"].as_array().map(Vec::as_slice).unwrap_or_default();
            let field =
                |f: &Value| format!("{} {}", crate::types::quote(text(f, "name")), type_text(&f["schema"]));
            format!("STRUCT<{}>", fields.iter().map(field).collect::<Vec<_>>().join(", "))
        }
        simple => simple.into(),
    }
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(entity: &Value, format: Format) -> String {
        let mut out = Vec::new();
        print(entity, format, &mut out).unwrap();
        format!("\n{}", String::from_utf8(out).unwrap())
    }

    #[test]
    fn entities_as_text() {
        let number = json!({ "type": "INTEGER", "fields": null, "memberSchema": null });
        let place = json!({ "type": "STRUCT", "fields": [{ "name": "lat", "schema": number }] });
        let cases = [
            (
                json!({ "@type": "currentStatus", "commandStatus": { "message": "Stream X created" } }),
                "\nStream X created\n",
            ),
            (
                json!({ "@type": "connector_list", "connectors": [{ "name": "search", "state": "RUNNING",
                    "traffic": { "written": 7, "waiting": 0, "rejected": 1, "error": null } }] }),
                r#"
+--------+---------+---------+---------+----------+-------+
| NAME   | STATE   | WRITTEN | WAITING | REJECTED | ERROR |
+--------+---------+---------+---------+----------+-------+
| search | RUNNING |       7 |       0 |        1 | null  |
+--------+---------+---------+---------+----------+-------+
"#,
            ),
            (
                json!({ "@type": "connector_description", "sources": ["A", "B"], "to": "http://x/a, b",
                    "status": { "name": "search", "connector": { "state": "RETRYING", "trace": "it is away" } },
                    "traffic": { "written": 7, "deleted": 2, "known": 3, "rejected": 1, "waiting": 4, "retries": 5 } }),
                "\nsearch is RETRYING\n  it is away\nfrom A, B\nto http://x/a, b\n\
                 written 7, deleted 2, there already 3, rejected 1, waiting 4, tried again 5\n",
            ),
            (
                json!({ "@type": "terminate_query", "queryId": "transient_X_1" }),
                "\nQuery transient_X_1 terminated\n",
            ),
            (
                json!({ "@type": "kafka_topics", "topics": [
                    { "name": "orders", "replicaInfo": [1, 1], "connector": "file", "place": "orders.csv" } ] }),
                r#"
+--------+------------+-----------+------------+
| NAME   | PARTITIONS | CONNECTOR | PLACE      |
+--------+------------+-----------+------------+
| orders |          2 | file      | orders.csv |
+--------+------------+-----------+------------+
"#,
            ),
            (
                json!({ "@type": "queries", "queries": [
                    { "id": "CSAS_X_1", "queryType": "PERSISTENT", "state": "RUNNING", "sinks": ["X"],
                      "traffic": { "rowsPerSecond": 2.5, "lagSeconds": 0.0 },
                      "queryString": "CREATE STREAM X AS\n  SELECT 1;" } ] }),
                r#"
+----------+------------+---------+-----------------+-------------+------+------------------------------+
| ID       | TYPE       | STATE   | ROWS_PER_SECOND | LAG_SECONDS | SINK | SQL                          |
+----------+------------+---------+-----------------+-------------+------+------------------------------+
| CSAS_X_1 | PERSISTENT | RUNNING |             2.5 |         0.0 | X    | CREATE STREAM X AS SELECT 1; |
+----------+------------+---------+-----------------+-------------+------+------------------------------+
"#,
            ),
            (
                json!({ "@type": "sourceDescription", "sourceDescription": {
                    "name": "ORDERS", "type": "STREAM", "topic": "orders", "partitions": 1,
                    "keyFormat": "KAFKA", "valueFormat": "JSON", "timestamp": "",
                    "readQueries": [{ "id": "CSAS_X_1" }], "writeQueries": [], "extended": true,
                    "fields": [
                        { "name": "ID", "schema": number, "type": "KEY" },
                        { "name": "AT", "schema": { "type": "ARRAY", "memberSchema": place } },
                        { "name": "H", "schema": { "type": "BYTES" }, "type": "HEADER", "headerKey": "it's" } ],
                    "statistics": "rows read: 5", "statement": "CREATE STREAM …;" } }),
                r#"
stream      ORDERS
topic       orders (1 partition)
formats     key KAFKA, value JSON
read by     CSAS_X_1
+-------+------------------------------+
| FIELD | TYPE                         |
+-------+------------------------------+
| ID    | INTEGER KEY                  |
| AT    | ARRAY<STRUCT<`lat` INTEGER>> |
| H     | BYTES HEADER('it''s')        |
+-------+------------------------------+
rows read: 5
CREATE STREAM …;
"#,
            ),
            (
                json!({ "@type": "describe_function", "name": "COUNT", "type": "AGGREGATE",
                        "usage": "COUNT(*)\nCOUNT(x)", "example": "COUNT(X) → 1", "description": "How many." }),
                "\naggregate   COUNT\nusage       COUNT(*)\n            COUNT(x)\nexample     COUNT(X) → 1\nHow many.\n",
            ),
            (
                json!({ "@type": "queryDescription", "queryDescription": { "id": "", "executionPlan": "scan X\n" } }),
                "\nscan X\n",
            ),
            (
                json!({ "@type": "query_descriptions", "queryDescriptions": [
                    { "id": "A", "executionPlan": "scan X\n" }, { "id": "B", "executionPlan": "scan Y\n" } ] }),
                "\nquery       A\nscan X\n\nquery       B\nscan Y\n",
            ),
            (
                json!({ "@type": "kafka_topics_extended", "topics": [
                    { "name": "o", "replicaInfo": [1], "connector": "log", "place": "o",
                      "consumerCount": 1, "consumerGroupCount": 2 } ] }),
                r#"
+------+------------+-----------+-----------------+-----------+-------+
| NAME | PARTITIONS | CONSUMERS | CONSUMER_GROUPS | CONNECTOR | PLACE |
+------+------------+-----------+-----------------+-----------+-------+
| o    |          1 |         1 |               2 | log       | o     |
+------+------------+-----------+-----------------+-----------+-------+
"#,
            ),
        ];
        for (entity, expected) in cases {
            assert_eq!(printed(&entity, Format::Table), expected);
        }
    }

    #[test]
    fn lists_are_objects_in_json() {
        let tables = json!({ "@type": "tables", "tables": [
            { "type": "TABLE", "name": "T", "topic": "t", "keyFormat": "KAFKA", "valueFormat": "JSON" } ] });
        let expected =
            "\n{\"NAME\":\"T\",\"TOPIC\":\"t\",\"KEY_FORMAT\":\"KAFKA\",\"VALUE_FORMAT\":\"JSON\"}\n";
        assert_eq!(printed(&tables, Format::Json), expected);
    }
}
