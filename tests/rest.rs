//! The REST interface through an HTTP client, served by the binary.

use crate::harness::{DEADLINE, Served, Site};
use serde_json::{Value, json};
use std::io::{BufRead, Read, Write};
use std::time::Instant;

const SCRIPT: &str = "
    CREATE STREAM S (K VARCHAR KEY, V INT, AT STRUCT<`lat` DOUBLE>) WITH (KAFKA_TOPIC='s', VALUE_FORMAT='JSON');
    INSERT INTO S VALUES ('a', 1, STRUCT(`lat` := 53.5));
    INSERT INTO S VALUES ('b', 2, NULL);
    INSERT INTO S VALUES ('a', 3, NULL);
    CREATE TABLE T AS SELECT K, SUM(V) AS V FROM S GROUP BY K;
";

const DELIMITED: &str = "application/vnd.ksqlapi.delimited.v1";
const STREAMED: &str = "application/vnd.ksql.v1+json";

fn serve() -> (Site, Served) {
    let site = Site::new().and("[topics.w]\nconnector = \"log\"");
    let served = Served::start(&site.script(SCRIPT), &[]);
    // The script's rows have arrived when its table has them all.
    while !served
        .post("/query-stream", DELIMITED, sql("SELECT * FROM T WHERE K = 'a' AND V = 4"))
        .body
        .contains("[\"a\",4]")
    {}
    (site, served)
}

fn sql(text: &str) -> String {
    json!({ "sql": text }).to_string()
}

fn earliest(text: &str) -> String {
    json!({ "sql": text, "properties": { "auto.offset.reset": "earliest" } }).to_string()
}

fn parsed(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|e| panic!("{e}: {text}"))
}

#[test]
fn pull_queries_in_every_form() {
    let (_site, served) = serve();
    let question = sql("SELECT * FROM T ORDER BY V DESC;");
    let schema = r#""columnNames":["K","V"],"columnTypes":["STRING","INTEGER"]}"#;
    for accept in ["", DELIMITED, "*/*"] {
        let reply = served.post("/query-stream", accept, question.as_str());
        assert_eq!((reply.status, reply.media_type.as_str()), (200, DELIMITED));
        let lines: Vec<&str> = reply.body.lines().collect();
        assert!(
            lines[0].starts_with(r#"{"queryId":"transient_T_"#) && lines[0].ends_with(schema),
            "{lines:?}"
        );
        assert_eq!(lines[1..], [r#"["a",4]"#, r#"["b",2]"#]);
    }
    let reply = served.post("/query-stream", "application/json", question.as_str());
    assert_eq!(reply.media_type, "application/json");
    assert_eq!(parsed(&reply.body).as_array().unwrap()[1..], [json!(["a", 4]), json!(["b", 2])]);
    for (path, accept, body) in [
        ("/query-stream", STREAMED, question.clone()),
        ("/query", "", json!({ "ksql": "SELECT * FROM T ORDER BY V DESC;" }).to_string()),
    ] {
        let reply = served.post(path, accept, body);
        assert_eq!((reply.status, reply.media_type.as_str()), (200, STREAMED));
        let rows = parsed(&reply.body);
        assert_eq!(rows[0]["header"]["schema"], "`K` STRING KEY, `V` INTEGER");
        assert_eq!(
            rows.as_array().unwrap()[1..],
            [json!({"row":{"columns":["a",4]}}), json!({"row":{"columns":["b",2]}})]
        );
    }
    let reply = served.post("/query-stream", "", sql("SELECT V, AT FROM S WHERE V < 3 ORDER BY V"));
    let lines: Vec<&str> = reply.body.lines().collect();
    assert!(lines[0].contains(r#""columnTypes":["INTEGER","STRUCT<`lat` DOUBLE>"]"#), "{lines:?}");
    assert_eq!(lines[1..], [r#"[1,{"lat":53.5}]"#, "[2,null]"]);
}

/// Their rows have no keys of a table, and their end is said.
#[test]
fn pull_queries_on_streams_say_how_they_end() {
    let (_site, served) = serve();
    for (text, end, count) in [
        ("SELECT K, V FROM S ORDER BY V;", "Query Completed", 3),
        ("SELECT K, V FROM S ORDER BY V LIMIT 1;", "Limit Reached", 1),
        ("SELECT K, V FROM S WHERE V > 1000;", "Query Completed", 0),
    ] {
        let rows = parsed(&served.post("/query", "", json!({ "ksql": text }).to_string()).body);
        let rows = rows.as_array().unwrap();
        assert_eq!(rows[0]["header"]["schema"], "`K` STRING, `V` INTEGER");
        assert_eq!((rows.len(), &rows[rows.len() - 1]), (count + 2, &json!({ "finalMessage": end })));
    }
}

#[test]
fn push_queries_come_line_by_line() {
    let (_site, served) = serve();
    let limited = served.post("/query-stream", STREAMED, earliest("SELECT V FROM S EMIT CHANGES LIMIT 2;"));
    let rows = parsed(&limited.body);
    assert_eq!(rows[0]["header"]["schema"], "`V` INTEGER");
    assert_eq!(
        rows.as_array().unwrap()[1..],
        [
            json!({"row":{"columns":[1]}}),
            json!({"row":{"columns":[2]}}),
            json!({"finalMessage":"Limit Reached"}),
        ]
    );

    let mut lines = served.stream("/query-stream", DELIMITED, earliest("SELECT * FROM T EMIT CHANGES;"));
    let header = parsed(&lines.next().unwrap().unwrap());
    let mut now: Vec<String> = (0..2).map(|_| lines.next().unwrap().unwrap()).collect();
    now.sort();
    assert_eq!(now, [r#"["a",4]"#, r#"["b",2]"#]);
    served.ksql("INSERT INTO S (K, V) VALUES ('b', 40);");
    assert_eq!(lines.next().unwrap().unwrap(), r#"["b",42]"#);
    let queries = served.ksql("SHOW QUERIES;")[0]["queries"].clone();
    let push = queries.as_array().unwrap().iter().find(|q| q["queryType"] == "PUSH");
    assert_eq!(push.map(|q| &q["id"]), Some(&header["queryId"]), "{queries}");
    let described = served.ksql("SHOW QUERIES EXTENDED;")[0]["queryDescriptions"].clone();
    let ids: Vec<&Value> = described.as_array().unwrap().iter().map(|q| &q["id"]).collect();
    assert_eq!(ids, [&json!("CTAS_T_1"), &header["queryId"]], "{described}");
    let explained = served.ksql(&format!("EXPLAIN {};", header["queryId"].as_str().unwrap()));
    assert_eq!(explained[0]["queryDescription"], described[1]);
    assert_eq!(
        described[1]["executionPlan"],
        "read table T\n  project\n    K STRING KEY = K\n    V INTEGER = V\n  keep nothing\n"
    );
    let topics = served.ksql("SHOW TOPICS EXTENDED;")[0]["topics"].clone();
    let topic = topics.as_array().unwrap().iter().find(|t| t["name"] == "s").unwrap();
    assert_eq!((&topic["consumerCount"], &topic["consumerGroupCount"]), (&json!(1), &json!(1)), "{topics}");

    let id = json!({ "queryId": header["queryId"] }).to_string();
    assert_eq!(served.post("/close-query", "", id.as_str()).status, 200);
    assert!(lines.next().is_none(), "a closed query ends");
    let reply = served.post("/close-query", "", id);
    assert_eq!((reply.status, &parsed(&reply.body)["error_code"]), (400, &json!(40000)));
}

#[test]
fn statements_have_an_entity_each() {
    let (_site, served) = serve();
    let created = served.ksql("CREATE STREAM D AS SELECT * FROM S WHERE V > 1; SHOW STREAMS; DESCRIBE T;");
    assert_eq!(created[0]["@type"], "currentStatus");
    assert_eq!(created[0]["commandId"], "stream/`D`/create");
    assert_eq!(created[0]["commandStatus"]["message"], "Created query with ID CSAS_D_2");
    assert_eq!(created[0]["commandStatus"]["queryId"], "CSAS_D_2");
    let names: Vec<&Value> = created[1]["streams"].as_array().unwrap().iter().map(|s| &s["name"]).collect();
    assert_eq!(names, ["D", "S"]);
    assert_eq!(
        created[2]["sourceDescription"]["fields"][0],
        json!({
        "name": "K", "schema": { "type": "STRING", "fields": null, "memberSchema": null }, "type": "KEY" })
    );
    for (verb, message, state) in
        [("PAUSE", "Query paused.", "PAUSED"), ("RESUME", "Query resumed.", "RUNNING")]
    {
        let changed = served.ksql(&format!("{verb} CSAS_D_2; SHOW QUERIES;"));
        let status = &changed[0]["commandStatus"];
        assert_eq!(
            (&status["message"], &status["queryId"]),
            (&json!(message), &json!("CSAS_D_2")),
            "{changed}"
        );
        let queries = changed[1]["queries"].as_array().unwrap();
        let query = queries.iter().find(|query| query["id"] == "CSAS_D_2").unwrap();
        assert_eq!(
            (&query["state"], &query["statusCount"]),
            (&json!(state), &json!({ state: 1 })),
            "{query}"
        );
    }
    for id in ["stream/D/create", "stream/%60D%60/create"] {
        assert_eq!(parsed(&served.get(&format!("/status/{id}")).body)["status"], "SUCCESS");
    }
    let again =
        served.ksql("CREATE STREAM IF NOT EXISTS D (V INT) WITH (KAFKA_TOPIC='d', VALUE_FORMAT='JSON');");
    assert_eq!(
        (&again[0]["@type"], &again[0]["warnings"]),
        (&json!("warning_entity"), &json!([])),
        "{again}"
    );
    let topics = served.ksql("SHOW TOPICS;")[0]["topics"].clone();
    let s = topics.as_array().unwrap().iter().find(|topic| topic["name"] == "s").unwrap();
    assert!(!s["place"].as_str().unwrap().contains('/'), "{s}");
    // What its format does not keep apart, a stored topic has otherwise than who reads the stream here.
    let stored = served.ksql(
        "CREATE STREAM W WITH (KAFKA_TOPIC='w', VALUE_FORMAT='PROTOBUF') AS SELECT K, V FROM S; DROP STREAM W;",
    );
    let warning = stored[0]["warnings"][0]["message"].as_str().unwrap_or_default();
    assert!(
        warning.starts_with("topic w has PROTOBUF, which writes NULL in column V as it writes 0"),
        "{stored}"
    );
    let windowed = served.ksql(
        "CREATE TABLE HOURS AS SELECT K, COUNT(*) AS N FROM S WINDOW TUMBLING (SIZE 1 HOUR) GROUP BY K; SHOW TABLES;",
    );
    let is_windowed = |name: &str| {
        let tables = windowed[1]["tables"].as_array().unwrap();
        tables.iter().find(|table| table["name"] == name).unwrap()["isWindowed"].clone()
    };
    assert_eq!((is_windowed("HOURS"), is_windowed("T")), (json!(true), json!(false)), "{windowed}");
    served.ksql(
        "CREATE TABLE HOPS AS SELECT K, COUNT(*) AS N FROM S WINDOW HOPPING (SIZE 2 HOURS, ADVANCE BY 1 HOUR) GROUP BY K;
         CREATE TABLE BIG_HOPS AS SELECT * FROM HOPS WHERE N > 1;
         CREATE TABLE VISITS (K VARCHAR PRIMARY KEY, N BIGINT)
             WITH (KAFKA_TOPIC='visits', FORMAT='JSON', WINDOW_TYPE='SESSION');",
    );
    for (name, window) in [
        ("HOURS", json!("TUMBLING")),
        ("HOPS", json!("HOPPING")),
        ("BIG_HOPS", json!("HOPPING")),
        ("VISITS", json!("SESSION")),
        ("T", json!(null)),
    ] {
        let described = served.ksql(&format!("DESCRIBE {name};"));
        assert_eq!(described[0]["sourceDescription"]["windowType"], window, "{name}: {described}");
    }
    let explained =
        served.ksql("EXPLAIN SELECT K, COUNT(*) FROM S WINDOW SESSION (1 HOUR) GROUP BY K EMIT CHANGES;");
    assert_eq!(explained[0]["queryDescription"]["windowType"], "SESSION", "{explained}");
    let cases = [
        ("LIST TABLES;", "tables"),
        ("SHOW TOPICS;", "kafka_topics"),
        ("SHOW TOPICS EXTENDED;", "kafka_topics_extended"),
        ("SHOW QUERIES;", "queries"),
        ("SHOW QUERIES EXTENDED;", "query_descriptions"),
        ("SHOW FUNCTIONS;", "function_names"),
        ("SHOW PROPERTIES;", "properties"),
        ("DESCRIBE S EXTENDED;", "sourceDescription"),
        ("DESCRIBE FUNCTION COUNT;", "describe_function"),
        ("EXPLAIN CSAS_D_2;", "queryDescription"),
        ("EXPLAIN SELECT * FROM S;", "queryDescription"),
    ];
    for (statement, kind) in cases {
        let entities = served.ksql(statement);
        assert_eq!(entities[0]["@type"], kind, "{statement}: {entities}");
        assert_eq!(entities[0]["statementText"], statement);
        assert_eq!(entities[0]["warnings"], json!([]));
    }
    let ended = served.ksql("TERMINATE csas_d_2;")[0].clone();
    let status = json!({"status": "SUCCESS", "message": "Query terminated.", "queryId": "CSAS_D_2"});
    assert_eq!((&ended["@type"], &ended["commandStatus"]), (&json!("currentStatus"), &status));
    let dropped = served.ksql("DROP STREAM D;")[0].clone();
    assert_eq!(dropped["commandStatus"]["message"], "Source `D` (topic: D) was dropped.");
    assert_eq!(served.ksql("SET 'acks' = 'all'; INSERT INTO S (V) VALUES (1);"), json!([]));
    let variable = json!({ "ksql": "DESCRIBE ${what};", "sessionVariables": { "what": "T" } }).to_string();
    assert_eq!(parsed(&served.post("/ksql", "", variable).body)[0]["sourceDescription"]["name"], "T");
}

#[test]
fn a_request_reads_from_where_its_properties_say() {
    let (_site, served) = serve();
    let create = |name: &str, reset: Option<&str>| {
        let sql = format!("CREATE TABLE {name} AS SELECT K, COUNT(*) AS N FROM S GROUP BY K;");
        let body = match reset {
            Some(reset) => {
                json!({ "ksql": sql, "streamsProperties": { "ksql.streams.auto.offset.reset": reset } })
            }
            None => json!({ "ksql": sql }),
        };
        assert_eq!(served.post("/ksql", "", body.to_string()).status, 200);
        let read = sql_of(name);
        let rows = || {
            served
                .post("/query-stream", "", read.as_str())
                .body
                .lines()
                .skip(1)
                .map(String::from)
                .collect::<Vec<_>>()
        };
        match reset {
            Some("earliest") => while rows() != [r#"["a",2]"#, r#"["b",1]"#] {},
            _ => assert_eq!(rows(), Vec::<String>::new()),
        }
    };
    create("EARLY", Some("earliest"));
    create("LATE", Some("latest"));
    create("ASKED_NOTHING", None);
}

fn sql_of(table: &str) -> String {
    sql(&format!("SELECT * FROM {table};"))
}

#[test]
fn refusals_have_a_code_and_change_nothing() {
    let (_site, served) = serve();
    let ksql = |text: &str| json!({ "ksql": text }).to_string();
    let cases = [
        ("/ksql", "", "{".to_string(), 400, 40000, "malformed request"),
        ("/ksql", "", "{}".to_string(), 400, 40000, "no statement"),
        ("/ksql", "", ksql(""), 400, 40001, "there is no statement"),
        ("/ksql", "", ksql("SELEC 1;"), 400, 40001, "did you mean SELECT?"),
        ("/ksql", "", ksql("DROP STREAM NOPE;"), 400, 40001, "there is no stream or table NOPE"),
        ("/ksql", "", ksql("SELECT * FROM T;"), 400, 40002, "/query-stream"),
        ("/ksql", "", ksql("DROP TABLE T; SELECT * FROM T;"), 400, 40002, "/query-stream"),
        ("/ksql", "", ksql("DROP TABLE T; DROP;"), 400, 40001, "expected STREAM or TABLE"),
        ("/query-stream", "", sql("SHOW STREAMS;"), 400, 40001, "POST it to /ksql"),
        ("/query-stream", "", sql("SELECT NOPE FROM T;"), 400, 40001, "unknown column NOPE"),
        ("/query-stream", "", sql("SELECT * FROM T; SELECT * FROM T;"), 400, 40001, "found 2 statements"),
        ("/query-stream", "text/html", sql("SELECT * FROM T;"), 406, 40600, "media types"),
        ("/query", "", ksql("SELECT * FROM NOPE;"), 400, 40001, "there is no stream or table NOPE"),
        ("/close-query", "", "{\"queryId\":\"x\"}".to_string(), 400, 40000, "no query with id x"),
        ("/nowhere", "", "{}".to_string(), 404, 40400, "nothing at this path"),
        ("/info", "", "{}".to_string(), 405, 40500, "method"),
    ];
    for (path, accept, body, status, code, message) in cases {
        let reply = served.post(path, accept, body.as_str());
        let error = parsed(&reply.body);
        assert_eq!((reply.status, &error["error_code"]), (status, &json!(code)), "{path} {body}: {reply:?}");
        assert!(error["message"].as_str().unwrap().contains(message), "{path} {body}: {error}");
    }
    // A request is one whole: what is before the failing statement is not carried out either.
    for failing in ["DROP STREAM NOPE;", "CREATE STREAM E AS SELECT NOPE FROM D;"] {
        let reply = served.post("/ksql", "", ksql(&format!("CREATE STREAM D AS SELECT * FROM S; {failing}")));
        let error = parsed(&reply.body);
        assert_eq!((&error["statementText"], &error["entities"]), (&json!(failing), &json!([])), "{error}");
        let reply = served.post("/ksql", "", ksql("DESCRIBE D;"));
        assert_eq!(parsed(&reply.body)["error_code"], 40001, "{reply:?}");
    }
    assert_eq!(served.post("/query-stream", "", sql_of("T")).body.lines().count(), 3);
}

#[test]
fn small_routes() {
    let (_site, served) = serve();
    let info = parsed(&served.get("/info").body);
    assert_eq!(info["KsqlServerInfo"]["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(info["KsqlServerInfo"]["serverStatus"], "RUNNING");
    assert_eq!(parsed(&served.get("/").body), info, "it leads to /info");
    assert_eq!(parsed(&served.get("/healthcheck").body)["isHealthy"], true);
    assert_eq!(served.get("/is_valid_property/auto.offset.reset").body, "true");
    assert_eq!(served.get("/is_valid_property/ksql.streams.auto.offset.reset").body, "true");
    // As `streamsProperties` takes them: settings of ksqlDB's server and Kafka's clients too.
    for (name, status) in [
        ("ksql.max.push.queries", 200),
        ("max.poll.records", 200),
        ("acks", 200),
        ("nope", 400),
        ("auto.offset.rest", 400),
        ("ksql.service.id", 400),
    ] {
        assert_eq!(served.get(&format!("/is_valid_property/{name}")).status, status, "{name}");
        let statement = format!("SET '{name}' = 'earliest';");
        let body = json!({ "ksql": statement }).to_string();
        assert_eq!(served.post("/ksql", "", body).status, status, "{statement}");
    }
    let id = parsed(&served.get("/v1/metadata/id").body);
    assert_eq!(parsed(&served.get("/v1/metadata").body)["clusterId"], id);
    assert!(id["scope"]["clusters"]["ksql-cluster"].is_string(), "{id}");
    for probe in ["/chc/ready", "/chc/live"] {
        assert_eq!(served.get(probe).status, 200, "{probe}");
    }
    let hosts = parsed(&served.get("/clusterStatus").body)["clusterStatus"].clone();
    assert!(hosts.as_object().unwrap().values().all(|host| host["hostAlive"] == true), "{hosts}");
    assert_eq!(parsed(&served.post("/heartbeat", "", "{}").body)["ok"], true);
    assert_eq!(served.get("/status/stream/X/create").status, 404);
    let printed = served.post("/query-stream", "", sql("PRINT s FROM BEGINNING LIMIT 1;"));
    assert!(
        printed.body.contains(r#"key: a, value: {"V":1,"AT":{"lat":53.5}}, partition: 0, offset: 0"#),
        "{printed:?}"
    );
}

/// The samples of `/metrics` whose names and labels begin so, with their values.
fn samples(page: &str, begin: &str) -> Vec<f64> {
    let lines = page.lines().filter(|line| line.starts_with(begin));
    lines.map(|line| line.rsplit_once(' ').unwrap().1.parse().unwrap()).collect()
}

#[test]
fn metrics_say_how_far_all_is() {
    let site = Site::new().with("s", "s.csv", "a,1\nb,2\na,x\n").and("[topics.t]\nconnector = \"log\"");
    let script = "CREATE STREAM S (K VARCHAR, V INT) WITH (KAFKA_TOPIC='s', VALUE_FORMAT='DELIMITED');
        CREATE TABLE T WITH (KAFKA_TOPIC='t', VALUE_FORMAT='JSON') AS
            SELECT K, SUM(V) AS V FROM S WHERE V < 2 GROUP BY K;";
    let data = site.path("data");
    let keep = ["--data-dir", data.to_str().unwrap(), "--checkpoint-interval", "0.2"];
    let served = Served::start(&site.script(script), &keep);
    let wanted = [
        ("wharfe_source_records_total{source=\"S\",topic=\"s\"}", 3.0),
        ("wharfe_source_rejected_records_total{source=\"S\"", 1.0),
        ("wharfe_source_bytes_total{source=\"S\"", 12.0),
        ("wharfe_source_lag_bytes{source=\"S\"", 0.0),
        ("wharfe_source_lag_seconds{source=\"S\"", 0.0),
        ("wharfe_query_rows_in_total{query=\"CTAS_T_1\",source=\"S\",stage=\"transform\"}", 2.0),
        ("wharfe_query_rows_filtered_total{query=\"CTAS_T_1\",source=\"S\",stage=\"transform\"}", 1.0),
        ("wharfe_query_rows_out_total{query=\"CTAS_T_1\",source=\"S\",stage=\"aggregate\"}", 1.0),
        ("wharfe_answers_open", 0.0),
    ];
    let is_there = |page: &str| wanted.iter().all(|(name, value)| samples(page, name) == [*value]);
    let started = Instant::now();
    let page = loop {
        let reply = served.get("/metrics");
        assert_eq!(reply.media_type, "text/plain; version=0.0.4; charset=utf-8");
        let workers = samples(&reply.body, "wharfe_inflight_bytes{worker=").len();
        if is_there(&reply.body) && workers == 2 && reply.body.contains("wharfe_checkpoint_number") {
            break reply.body;
        }
        assert!(started.elapsed() < DEADLINE, "{}", reply.body);
    };
    assert!(samples(&page, "wharfe_checkpoint_bytes")[0] > 0.0);
    assert!(samples(&page, "wharfe_checkpoint_age_seconds")[0] < 60.0);
    assert!(samples(&page, "wharfe_tick_age_seconds")[0] < 60.0);
    assert!(samples(&page, "wharfe_resident_memory_bytes{process=\"0\"}")[0] > 1e6);
    for line in page.lines().filter(|line| !line.starts_with('#')) {
        let name = line.split(['{', ' ']).next().unwrap();
        for about in ["HELP", "TYPE"] {
            assert!(page.contains(&format!("# {about} {name} ")), "{name} has no {about}");
        }
    }
}

#[test]
fn what_was_dropped_leaves_the_metrics() {
    let site = Site::new();
    let served = Served::start(&site.script(""), &[]);
    served.ksql(
        "SET 'auto.offset.reset' = 'earliest';
         CREATE STREAM GONE (K VARCHAR KEY, V INT) WITH (KAFKA_TOPIC='gone', VALUE_FORMAT='JSON', PARTITIONS=1);
         CREATE STREAM COPY_OF_GONE AS SELECT * FROM GONE;
         CREATE TABLE SUM_OF_GONE AS SELECT K, SUM(V) AS V FROM GONE GROUP BY K;",
    );
    served.ksql("INSERT INTO GONE VALUES ('a', 1);");
    let until = |what: &str, wanted: &dyn Fn(&str) -> bool| {
        let started = Instant::now();
        loop {
            let page = served.get("/metrics").body;
            if wanted(&page) {
                return;
            }
            assert!(started.elapsed() < DEADLINE, "{what}: {page}");
        }
    };
    let sums = "wharfe_query_rows_out_total{query=\"CTAS_SUM_OF_GONE";
    until("it is read", &|page| {
        // Each of the two queries reads it from its beginning.
        let read: f64 = samples(page, "wharfe_source_records_total{source=\"GONE\"").iter().sum();
        read >= 1.0 && samples(page, sums).contains(&1.0)
    });
    served.ksql(
        "DROP TABLE SUM_OF_GONE; DROP STREAM COPY_OF_GONE DELETE TOPIC; DROP STREAM GONE DELETE TOPIC;",
    );
    until("it is dropped", &|page| !page.to_lowercase().contains("gone"));
}

#[test]
fn a_client_that_leaves_closes_its_query() {
    let (_site, served) = serve();
    let mut lines = served.stream("/query-stream", DELIMITED, sql("SELECT * FROM T EMIT CHANGES;"));
    lines.next().unwrap().unwrap();
    let open = || {
        served.ksql("SHOW QUERIES;")[0]["queries"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|q| q["queryType"] == "PUSH")
            .count()
    };
    assert_eq!(open(), 1);
    drop(lines);
    // It shows when something is sent.
    for v in 1.. {
        served.ksql(&format!("INSERT INTO S (K, V) VALUES ('a', {v});"));
        if open() == 0 {
            break;
        }
        assert!(v < 2_000, "the query stays");
    }
}

#[test]
fn rows_come_as_protobuf_messages() {
    let (_site, served) = serve();
    const PROTOBUF: &str = "application/vnd.ksql.v1+protobuf";
    let question = "SELECT K, V, ARRAY[V, 300] AS BOTH FROM T WHERE K = 'a';";
    for path in ["/query", "/query-stream"] {
        let body = json!({ "sql": question, "ksql": question }).to_string();
        let reply = served.post(path, PROTOBUF, body);
        assert_eq!((reply.status, reply.media_type.as_str()), (200, PROTOBUF));
        let items = parsed(&reply.body);
        let schema = items[0]["header"]["protoSchema"].as_str().unwrap();
        for part in ["message ConnectDefault1 {", "string K = 1;", "int32 V = 2;", "repeated int32 BOTH = 3;"]
        {
            assert!(schema.contains(part), "{schema}");
        }
        // K: "a", V: 4, BOTH: [4, 300]
        assert_eq!(items[1], json!({ "row": { "protobufBytes": "CgFhEAQaAwSsAg==" } }));
        assert_eq!(items.as_array().unwrap().len(), 2);
    }
    let unfit = served.post("/query-stream", PROTOBUF, sql("SELECT ARRAY[ARRAY[V]] AS DEEP FROM T;"));
    assert!(unfit.status == 400 && unfit.body.contains("DEEP"), "{unfit:?}");
}

/// The messages of a WebSocket, and how it was closed.
fn web_socket(served: &Served, request: &str, origin: &str) -> (Vec<String>, (u16, String)) {
    let host = served.url.strip_prefix("http://").unwrap();
    let mut socket = std::net::TcpStream::connect(host).unwrap();
    let encoded: String = request.bytes().map(|b| format!("%{b:02x}")).collect();
    write!(
        socket,
        "GET /ws/query?request={encoded} HTTP/1.1\r\nhost: {host}\r\nupgrade: websocket\r\nconnection: upgrade\r\n\
         sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\norigin: {origin}\r\n\r\n"
    )
    .unwrap();
    let mut reader = std::io::BufReader::new(socket);
    let mut status = String::new();
    reader.read_line(&mut status).unwrap();
    if !status.contains(" 101 ") {
        return (vec![status], (0, String::new()));
    }
    let mut line = String::new();
    while line != "\r\n" {
        line.clear();
        reader.read_line(&mut line).unwrap();
    }
    let mut said = Vec::new();
    loop {
        let mut head = [0; 2];
        reader.read_exact(&mut head).unwrap();
        let length = match head[1] {
            126 => {
                let mut long = [0; 2];
                reader.read_exact(&mut long).unwrap();
                u16::from_be_bytes(long) as usize
            }
            short => short as usize,
        };
        let mut payload = vec![0; length];
        reader.read_exact(&mut payload).unwrap();
        match head[0] {
            0x81 => said.push(String::from_utf8(payload).unwrap()),
            0x88 => {
                let code = u16::from_be_bytes([payload[0], payload[1]]);
                return (said, (code, String::from_utf8(payload.split_off(2)).unwrap()));
            }
            other => panic!("a frame of kind {other:#x}"),
        }
    }
}

#[test]
fn a_web_socket_tells_the_schema_then_a_row_a_message() {
    let (_site, served) = serve();
    let properties = json!({ "auto.offset.reset": "earliest" });
    let ask = |sql: &str| {
        let request = json!({ "ksql": sql, "streamsProperties": properties }).to_string();
        web_socket(&served, &request, &served.url)
    };
    let (said, end) = ask("SELECT K, V FROM T ORDER BY K;");
    let fields: Vec<Value> = parsed(&said[0]).as_array().unwrap().clone();
    assert_eq!(fields[0]["name"], "K");
    assert_eq!(
        fields[1],
        json!({ "name": "V", "schema": { "type": "INTEGER", "fields": null, "memberSchema": null } })
    );
    assert_eq!(said[1..], [r#"{"row":{"columns":["a",4]}}"#, r#"{"row":{"columns":["b",2]}}"#]);
    assert_eq!(end, (1000, "done".into()));
    let (said, _) = ask("SELECT V FROM T EMIT CHANGES LIMIT 1;");
    assert_eq!(said.len(), 2, "{said:?}");
    let (said, _) = ask("PRINT s FROM BEGINNING LIMIT 1;");
    assert!(said.len() == 1 && said[0].contains("key: a"), "{said:?}");
    let (said, end) = ask("SELECT NOPE FROM T;");
    assert_eq!((parsed(&said[0])["error_code"].clone(), end.0), (json!(40001), 1003));
    assert!(end.1.contains("unknown column NOPE"), "{end:?}");
    let (said, _) = web_socket(&served, "{}", "http://evil.example");
    assert!(said[0].contains(" 403 "), "{said:?}");
}

#[test]
fn a_terminated_cluster_has_no_queries() {
    let (_site, served) = serve();
    served.ksql("CREATE TABLE KEPT AS SELECT K, V FROM T;");
    let body = |patterns: Value| json!({ "deleteTopicList": patterns }).to_string();
    let refused = served.post("/ksql/terminate", "", body(json!(["("])));
    assert_eq!((refused.status, parsed(&refused.body)["error_code"].clone()), (400, json!(40000)));
    let queries = |served: &Served| served.ksql("SHOW QUERIES;")[0]["queries"].as_array().unwrap().len();
    assert_eq!(queries(&served), 2);
    let reply = served.post("/ksql/terminate", "", body(json!(["T.*"])));
    let status = parsed(&reply.body)[0]["commandStatus"].clone();
    assert_eq!(status["status"], "SUCCESS", "{reply:?}");
    assert!(status["message"].as_str().unwrap().ends_with("deleted T"), "{status}");
    assert_eq!(queries(&served), 0);
    let tables = served.ksql("SHOW TABLES;")[0]["tables"].clone();
    assert_eq!(tables.as_array().unwrap().iter().map(|t| &t["name"]).collect::<Vec<_>>(), ["KEPT"]);
}
