//! SQL that names events: read wherever they live, published from queries, moved, killed, refused.

use crate::gateway::{ENTRY, Lab, entry};
use crate::harness::{DEADLINE, Served, run};
use serde_json::{Value, json};
use std::time::Instant;

const ZONES: &str = "[zones.mfp]\n[zones.other]\n[events.'mfp/Entry']\nzone = 'mfp'\nkey = 'user'\n\
                     [events.'mfp/Big']\nzone = 'mfp'\nkey = 'user'\n";
const BIG: &str = r#"{"type": "record", "name": "Big", "fields": [{"name": "user", "type": "string"}, {"name": "n", "type": "long"}]}"#;

/// Carries out statements that read from the beginning; the message of the last answer.
fn carried_out(served: &Served, sql: &str) -> String {
    let body = json!({ "ksql": sql, "streamsProperties": {"auto.offset.reset": "earliest"} });
    let reply = served.post("/ksql", "", body.to_string());
    let answer: Value = serde_json::from_str(&reply.body).unwrap();
    if answer == json!([]) {
        return "inserted".into();
    }
    let last = answer.as_array().and_then(|all| all.last()).unwrap_or(&answer);
    let message = last.pointer("/commandStatus/message").or(last.get("message"));
    message.and_then(Value::as_str).unwrap_or_else(|| panic!("{sql}: {answer}")).to_string()
}

impl Lab {
    fn sql(&self, sql: &str) -> String {
        carried_out(self.served.as_ref().unwrap(), sql)
    }

    fn rows(&self, sql: &str) -> Vec<Value> {
        rows(self.served.as_ref().unwrap(), sql)
    }

    fn until_rows(&self, sql: &str, wanted: &[Value]) {
        until_rows(self.served.as_ref().unwrap(), sql, wanted);
    }

    /// Waits until so many events are stored.
    pub fn until_stored(&self, event: &str, count: usize) -> Vec<Value> {
        let started = Instant::now();
        loop {
            let stored = self.stored(event);
            if stored.len() >= count {
                return stored;
            }
            assert!(started.elapsed() < DEADLINE, "{stored:?}");
            std::thread::yield_now();
        }
    }
}

/// The rows of an answer that ends, sorted.
fn rows(served: &Served, sql: &str) -> Vec<Value> {
    let reply = served.post("/query", "", json!({ "ksql": sql }).to_string());
    let lines: Vec<Value> = serde_json::from_str(&reply.body).unwrap_or_else(|_| panic!("{reply:?}"));
    let mut rows: Vec<Value> =
        lines.iter().filter_map(|line| line.pointer("/row/columns").cloned()).collect();
    rows.sort_by_key(Value::to_string);
    rows
}

fn until_rows(served: &Served, sql: &str, wanted: &[Value]) {
    let started = Instant::now();
    loop {
        let rows = rows(served, sql);
        if rows == wanted {
            return;
        }
        assert!(started.elapsed() < DEADLINE, "{sql}: {rows:?}");
        std::thread::yield_now();
    }
}

fn payloads(events: &[Value]) -> Vec<Value> {
    events.iter().map(|event| event["data"].clone()).collect()
}

#[test]
fn queries_read_and_publish_events_by_name_also_after_a_kill() {
    let mut lab = Lab::with_sql(ZONES);
    let id = lab.event("mfp", "Entry");
    let big = lab.schema("mfp", "Big", BIG);
    assert_eq!(lab.publish(&id, (0..4).map(|n| entry("a", n))).0, 202);
    lab.sql("CREATE STREAM entries WITH (EVENT='mfp/Entry');");
    lab.sql("CREATE TABLE counts AS SELECT user, COUNT(*) AS c, SUM(n) AS s FROM entries GROUP BY user;");
    lab.sql("CREATE STREAM big WITH (EVENT='mfp/Big') AS SELECT n, user FROM entries WHERE n > 1;");
    lab.until_rows("SELECT * FROM counts;", &[json!(["a", 4, 6])]);
    let stored = lab.until_stored("mfp/Big", 2);
    assert_eq!(payloads(&stored), [json!({"user": "a", "n": 2}), json!({"user": "a", "n": 3})]);
    // It has an event's attributes, is keyed, and goes on with the trace of what it was made from.
    let first = &stored[0];
    assert_eq!(
        (&first["source"], &first["type"], &first["partitionkey"]),
        (&json!("/streams/BIG"), &json!("mfp.Big"), &json!("a"))
    );
    assert_eq!(first["dataschema"], format!("/event-schemas/{big}"));
    let from = &lab.stored("mfp/Entry")[2];
    assert_eq!(first["traceparent"], from["traceparent"]);
    // It can be read a moment before it is traced.
    let started = Instant::now();
    let traced = loop {
        match lab.ask("GET", &format!("/trace/{}", first["id"].as_str().unwrap()), "") {
            (200, traced) => break traced,
            (status, answer) => assert!(started.elapsed() < DEADLINE, "{status}: {answer}"),
        }
    };
    assert_eq!(traced[0]["steps"][0]["zone"], "mfp", "{traced}");
    for round in 0..3 {
        lab.kill();
        lab.begin();
        let (n, user) = (10 + round, format!("k{round}"));
        assert_eq!(lab.sql(&format!("INSERT INTO entries (user, n) VALUES ('{user}', {n});")), "inserted");
        assert_eq!(lab.publish(&id, [entry(&user, n + 10)]).0, 202);
    }
    let wanted: Vec<Value> =
        [json!(["a", 4, 6]), json!(["k0", 2, 30]), json!(["k1", 2, 32]), json!(["k2", 2, 34])].into();
    lab.until_rows("SELECT * FROM counts;", &wanted);
    let numbers: Vec<i64> =
        lab.until_stored("mfp/Big", 8).iter().map(|event| event["data"]["n"].as_i64().unwrap()).collect();
    assert_eq!(numbers, [2, 3, 10, 20, 11, 21, 12, 22], "each once, in order");
    assert_eq!(lab.stored("mfp/Entry")[4]["source"], "/streams/ENTRIES");
    lab.stop();
}

#[test]
fn queries_follow_an_event_that_moves() {
    let mut lab = Lab::with_sql(ZONES);
    let id = lab.event("mfp", "Entry");
    lab.schema("mfp", "Big", BIG);
    lab.sql("CREATE STREAM entries WITH (EVENT='mfp/Entry');");
    lab.sql("CREATE TABLE counts AS SELECT user, COUNT(*) AS c FROM entries GROUP BY user;");
    lab.sql("CREATE STREAM big WITH (EVENT='mfp/Big') AS SELECT user, n FROM entries;");
    let mut count = 0;
    let mut publish = |lab: &Lab| {
        assert_eq!(lab.publish(&id, [entry("a", count)]).0, 202);
        count += 1;
        lab.until_rows("SELECT * FROM counts;", &[json!(["a", count])]);
        lab.until_stored("mfp/Big", count);
    };
    publish(&lab);
    for (event, zone) in [("Entry", "other"), ("Big", "other"), ("Entry", "mfp")] {
        let entry = json!({"zone": zone, "key": "user"}).to_string();
        assert_eq!(lab.ask("PUT", &format!("/topology/events/mfp/{event}"), &entry).0, 200);
        publish(&lab);
    }
    // One that comes later reads all places, and a start goes on with them.
    assert_eq!(lab.rows("SELECT n FROM entries;"), [json!([0]), json!([1]), json!([2]), json!([3])]);
    lab.kill();
    lab.begin();
    publish(&lab);
    let numbers: Vec<i64> =
        lab.stored("mfp/Big").iter().map(|event| event["data"]["n"].as_i64().unwrap()).collect();
    assert_eq!(numbers, [0, 1, 2, 3, 4]);
}

#[test]
fn several_events_are_a_stream_with_their_types() {
    let lab = Lab::with_sql(ZONES);
    let id = lab.event("mfp", "Entry");
    let gone = lab.schema("mfp", "Gone", &BIG.replace("Big", "Gone").replace("\"long\"", "\"int\""));
    lab.schema("mfp", "Big", BIG);
    assert_eq!(lab.publish(&id, [entry("a", 1)]).0, 202);
    assert_eq!(lab.publish(&gone, [json!({"user": "b", "n": 2})]).0, 202);
    lab.sql("CREATE STREAM both WITH (EVENT='mfp/Entry, mfp/Gone');");
    let wanted = [json!(["a", 1, "Entry"]), json!(["b", 2, "Gone"])];
    lab.until_rows("SELECT * FROM both;", &wanted);
    // N has another type in mfp/Big, so that it is no column of all.
    lab.sql("CREATE STREAM every WITH (EVENT='mfp/*');");
    lab.until_rows("SELECT * FROM every;", &[json!(["a", "Entry"]), json!(["b", "Gone"])]);
    lab.sql("CREATE STREAM wide (note STRING, event_type STRING, n BIGINT) WITH (EVENT='mfp/*');");
    lab.until_rows("SELECT * FROM wide;", &[json!([null, 1, "Entry"]), json!([null, 2, "Gone"])]);
    lab.sql("CREATE TABLE kinds AS SELECT event_type, COUNT(*) AS c FROM both GROUP BY event_type;");
    lab.until_rows("SELECT * FROM kinds;", &[json!(["Entry", 1]), json!(["Gone", 1])]);
}

#[test]
fn what_is_wrong_with_an_event_in_a_statement_is_said() {
    let lab = Lab::with_sql(ZONES);
    lab.event("mfp", "Entry");
    lab.schema("mfp", "Big", BIG);
    let pending = json!({"namespace": "mfp", "event_type": "Later", "schema": BIG.replace("Big", "Later")});
    let (_, pending) = lab.ask("POST", "/event-schemas", &pending.to_string());
    let activate = format!("wharfe schema activate {}", pending["schema_id"].as_str().unwrap());
    lab.sql("CREATE STREAM entries WITH (EVENT='mfp/Entry');");
    lab.sql("CREATE STREAM both WITH (EVENT='mfp/Entry, mfp/Big');");
    let big =
        |select: &str| format!("CREATE STREAM s WITH (EVENT='mfp/Big') AS SELECT {select} FROM entries;");
    for (sql, said) in [
        ("CREATE STREAM s WITH (EVENT='mfp/Entri');".to_string(), "did you mean mfp/Entry?"),
        ("CREATE STREAM s WITH (EVENT='mfp/Later');".into(), activate.as_str()),
        ("CREATE STREAM s WITH (EVENT='new/Thing');".into(), "wharfe schema register --namespace new"),
        (
            "CREATE STREAM s WITH (EVENT='mfp/Entry', KAFKA_TOPIC='t');".into(),
            "KAFKA_TOPIC cannot stand beside EVENT",
        ),
        (
            "CREATE STREAM s WITH (EVENT='mfp/Entry', VALUE_FORMAT='JSON');".into(),
            "an event's schema says its format",
        ),
        ("CREATE STREAM s (nn INT) WITH (EVENT='mfp/Entry');".into(), "did you mean N?"),
        (
            "CREATE STREAM s (note INT) WITH (EVENT='mfp/Entry');".into(),
            "column NOTE is INTEGER, and the field of event mfp/Entry is STRING",
        ),
        (
            "CREATE STREAM s (k INT KEY, n INT) WITH (EVENT='mfp/Entry');".into(),
            "the keys of events are STRING",
        ),
        (big("user, n, note"), "event mfp/Big has no field for column NOTE"),
        (big("user, note AS n"), "column N is STRING, and the field of event mfp/Big is BIGINT"),
        (big("user, note AS n"), "CAST(… AS BIGINT) AS N"),
        (big("user"), "field n has no column and no default, and cannot be NULL"),
        (big("user, n").replace("mfp/Big", "mfp/*"), "a query publishes one event"),
        (
            "CREATE TABLE t WITH (EVENT='mfp/Big') AS SELECT user, COUNT(*) AS n FROM entries GROUP BY user;"
                .into(),
            "CREATE STREAM … AS SELECT publishes",
        ),
        ("INSERT INTO both VALUES ('a', 'Big');".into(), "BOTH has several events"),
        ("DROP STREAM entries DELETE TOPIC;".into(), "leave DELETE TOPIC out"),
        ("ALTER STREAM entries ADD COLUMN x INT;".into(), "those of its events' schemas"),
    ] {
        let message = lab.sql(&sql);
        assert!(message.contains(said), "{sql}\n{message}");
    }
    assert_eq!(lab.rows("SELECT * FROM entries;"), Vec::<Value>::new());
    // A table has the latest event of each key.
    lab.sql("CREATE TABLE latest (user STRING PRIMARY KEY) WITH (EVENT='mfp/Big');");
    lab.sql("CREATE STREAM bigs WITH (EVENT='mfp/Big');");
    for n in [1, 2] {
        assert_eq!(lab.sql(&format!("INSERT INTO bigs VALUES ('a', {n});")), "inserted");
    }
    lab.until_rows("SELECT * FROM latest;", &[json!(["a", 2])]);
}

/// From the directory of a gateway, which may run; no registry has to be named or reached.
#[test]
fn a_script_of_events_is_explained_from_a_data_directory() {
    let mut lab = Lab::with_sql(ZONES);
    let dir = lab.dir.path().join("data");
    lab.event("mfp", "Entry");
    let script = lab.dir.path().join("counts.sql");
    let text = "CREATE STREAM entries WITH (EVENT='mfp/Entry');
        CREATE TABLE counts AS SELECT user, SUM(n) AS s FROM entries GROUP BY user;";
    std::fs::write(&script, text).unwrap();
    let (script, topology) = (script.to_str().unwrap(), lab.dir.path().join("zones.toml"));
    let explain = ["explain", script, "--topology", topology.to_str().unwrap()];
    let without = run(&explain);
    assert!(without.code == Some(2) && without.stderr.contains("--data-dir DIR"), "{without:?}");
    for _ in 0..2 {
        let explained = run(&[&explain[..], &["--data-dir", dir.to_str().unwrap()]].concat());
        assert_eq!(explained.code, Some(0), "{explained:?}");
        assert!(explained.stdout.contains("query CTAS_COUNTS_1"), "{explained:?}");
        let picture = run(&[&explain[..], &["--data-dir", dir.to_str().unwrap(), "--svg", "-"]].concat());
        assert!(picture.stdout.contains("<svg"), "{picture:?}");
        if lab.served.is_some() {
            lab.stop();
        }
    }
    let nowhere = run(&[&explain[..], &["--data-dir", "/nowhere"]].concat());
    assert!(nowhere.code == Some(2) && nowhere.stderr.contains("no such directory"), "{nowhere:?}");
}

#[test]
fn a_schema_that_queries_use_is_kept() {
    let lab = Lab::with_sql(ZONES);
    let first = lab.event("mfp", "Entry");
    let big = lab.schema("mfp", "Big", BIG);
    lab.sql("CREATE STREAM entries WITH (EVENT='mfp/Entry');");
    lab.sql("CREATE STREAM notes WITH (KAFKA_TOPIC='notes') AS SELECT note FROM entries WHERE n > 1;");
    lab.sql("CREATE STREAM big WITH (EVENT='mfp/Big') AS SELECT user, n FROM entries;");
    let register = |schema: String| {
        let body = json!({"namespace": "mfp", "event_type": "Entry", "schema": schema});
        let (status, body) = lab.ask("POST", "/event-schemas", &body.to_string());
        (status, body.to_string())
    };
    let act = |id: &str, action: &str| {
        let (status, body) = lab.ask("POST", &format!("/event-schemas/{id}/{action}"), "");
        (status, body.to_string())
    };
    // By the rules it may lose NOTE.
    let without = ENTRY.replace(r#", {"name": "note", "type": ["null", "string"], "default": null}"#, "");
    let (status, said) = register(without.clone());
    assert!(status == 409 && said.contains("query CSAS_NOTES_1 reads NOTE: unknown column NOTE"), "{said}");
    assert!(!said.contains("reads USER") && !said.contains("reads N:"), "{said}");
    for action in ["deprecate", "retire"] {
        let (status, said) = act(&big, action);
        let is_refused = status == 409 && said.contains("query CSAS_BIG_2 publishes with it");
        assert_eq!(is_refused, action == "retire", "{said}");
    }
    let (status, said) = act(&first, "retire");
    assert!(
        status == 409 && said.contains("query CSAS_NOTES_1 reads mfp/Entry, which would have no schema"),
        "{said}"
    );
    // Without the query it may go, and the older one after it only while nobody asks for NOTE.
    lab.sql("DROP STREAM notes;");
    let (status, said) = register(without);
    assert_eq!(status, 201, "{said}");
    let second: Value = serde_json::from_str(&said).unwrap();
    let second = second["schema_id"].as_str().unwrap().to_string();
    assert_eq!(act(&second, "activate").0, 200);
    assert_eq!(act(&first, "deprecate").0, 200);
    lab.sql("CREATE STREAM noted (note STRING) WITH (EVENT='mfp/Entry');");
    lab.sql("TERMINATE CSAS_BIG_2;");
    assert_eq!(act(&big, "retire").0, 200);
}

#[test]
fn subscriptions_and_archives_say_how_far_they_are() {
    let lab = Lab::with_sql(
        "[zones.mfp]\narchive = { url = 'archive', file_age = '1h' }\n[events.'mfp/Entry']\nzone = 'mfp'\n",
    );
    let id = lab.event("mfp", "Entry");
    let paused = json!({"event": "mfp/Entry", "url": "http://127.0.0.1:9/none", "from": "earliest"});
    assert_eq!(lab.ask("PUT", "/subscriptions/s", &paused.to_string()).0, 201);
    assert_eq!(lab.publish(&id, (0..3).map(|n| entry("a", n))).0, 202);
    lab.sql("CREATE STREAM entries WITH (EVENT='mfp/Entry');");
    lab.sql("CREATE TABLE counts AS SELECT user, COUNT(*) AS c FROM entries GROUP BY user;");
    lab.until_rows("SELECT * FROM counts;", &[json!(["a", 3])]);
    let behind = |lags: &Value, kind: &str| {
        let all = lags.as_array().unwrap();
        all.iter().any(|lag| {
            lag["kind"] == kind && lag["lag_records"] == 3 && lag["lag_seconds"].as_f64() > Some(0.0)
        })
    };
    lab.until("/lag", |lags| behind(lags, "subscription") && behind(lags, "archive"));
    let shown = run(&["lag", "--server", lab.url(), "--format", "json"]);
    let rows: Vec<Value> = shown.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of = |kind: &str| rows.iter().find(|row| row["KIND"] == kind).unwrap_or_else(|| panic!("{shown:?}"));
    assert_eq!((&of("archive")["SOURCE"], &of("archive")["TOPIC"]), (&json!("mfp"), &json!("mfp/Entry")));
    assert_eq!((&of("subscription")["SOURCE"], &of("subscription")["LAG_RECORDS"]), (&json!("s"), &json!(3)));
    assert!(rows.iter().any(|row| row["SOURCE"] == "ENTRIES" && row["KIND"] == "STREAM"), "{shown:?}");
    let metrics = lab.served.as_ref().unwrap().get("/metrics").body;
    assert!(
        metrics.contains("wharfe_archive_lag_records{zone=\"mfp\",event=\"mfp/Entry\"} 3\n"),
        "{metrics}"
    );
    // Once it is in a file, nothing is behind.
    let mut lab = lab;
    lab.stop();
    lab.topology = lab.topology.replace("1h", "20ms");
    lab.begin();
    lab.until("/lag", |lags| {
        lags.as_array().unwrap().iter().any(|lag| lag["kind"] == "archive" && lag["lag_records"] == 0)
    });
}

/// Whatever the format, what is archived is read back as it was published: by the command and by SQL.
#[test]
fn archives_of_each_format_are_read_back_and_by_sql() {
    for format in ["jsonl", "avro", "parquet"] {
        if format == "parquet" && cfg!(not(feature = "parquet")) {
            eprintln!("this build has no Parquet: it is not tried");
            continue;
        }
        let mut lab = Lab::with_sql(&format!(
            "[zones.mfp]\narchive = {{ url = 'archive', format = '{format}', file_age = '20ms' }}\n\
             [events.'mfp/Entry']\nzone = 'mfp'\nkey = 'user'\n[topics.old]\nconnector = 'archive'\n\
             path = 'archive'\nevent = 'mfp/Entry'\n"
        ));
        let id = lab.event("mfp", "Entry");
        lab.sql("CREATE STREAM old (k STRING KEY, user STRING, n INT, id BYTES HEADER('ce_id')) WITH (KAFKA_TOPIC='old', VALUE_FORMAT='JSON');");
        lab.sql("CREATE TABLE sums AS SELECT user, COUNT(*) AS c, SUM(n) AS s FROM old WHERE k = user GROUP BY user;");
        let mut published = 0;
        let mut publish = |lab: &Lab, user: &str, numbers: std::ops::Range<usize>| {
            published += numbers.len();
            let timed = |n: usize| json!({"producer_id": "p", "schema_id": id, "time": format!("2016-04-19T{n:02}:30:00Z"), "payload": entry(user, n)});
            let items: Vec<Value> = numbers.map(timed).collect();
            assert_eq!(lab.ask("POST", "/produce", &json!({ "items": items }).to_string()).0, 202);
        };
        publish(&lab, "a", 0..4);
        lab.until_rows("SELECT * FROM sums;", &[json!(["a", 4, 6])]);
        lab.kill();
        lab.begin();
        publish(&lab, "b", 3..5);
        lab.until_rows("SELECT * FROM sums;", &[json!(["a", 4, 6]), json!(["b", 2, 7])]);
        lab.until_rows("SELECT n FROM old WHERE ROWTIME = 1461033000000;", &[json!([2])]);
        lab.until_rows("SELECT COUNT(id) FROM old;", &[json!([6])]);
        let dir = lab.dir.path().join("archive").display().to_string();
        let mut read: Vec<Value> = run(&["archive", "read", &dir, "--event", "mfp/Entry"])
            .stdout
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        read.sort_by_key(|event| event["id"].to_string());
        let mut stored = lab.stored("mfp/Entry");
        stored.sort_by_key(|event| event["id"].to_string());
        assert_eq!(read, stored, "{format}");
        let replayed = run(&["archive", "replay", &dir, "--gateway", lab.url()]);
        assert_eq!(replayed.stderr, "6 events published again\n", "{replayed:?}");
        assert_eq!(lab.stored("mfp/Entry").len(), 6, "under their ids they are there already");
    }
}

/// Who reads a Parquet file as it lies finds payloads in the types of their schema.
#[cfg(feature = "parquet")]
#[test]
fn parquet_has_payloads_in_columns() {
    use arrow_array::cast::AsArray;
    use arrow_array::types::Int32Type;
    use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
    use wharfe::connector::archive::layout;
    use wharfe::connector::archive::shelf::Shelf;
    let lab = Lab::with_sql(
        "[zones.mfp]\narchive = { url = 'archive', format = 'parquet', file_age = '20ms' }\n[events.'mfp/Entry']\nzone = 'mfp'\nkey = 'user'\n",
    );
    let id = lab.event("mfp", "Entry");
    assert_eq!(lab.publish(&id, [entry("a", 7), json!({"user": "b", "n": 8, "note": "x"})]).0, 202);
    let dir = lab.dir.path().join("archive");
    let started = Instant::now();
    let files = loop {
        let shelf = Shelf::Dir(dir.clone()).open().unwrap();
        let manifests = layout::list(&*shelf, Some("mfp.Entry")).unwrap();
        let files: Vec<_> = manifests.iter().flat_map(|manifest| &manifest.files).collect();
        if files.iter().map(|file| file.records).sum::<u64>() == 2 {
            break files.into_iter().cloned().collect::<Vec<_>>();
        }
        assert!(started.elapsed() < DEADLINE);
    };
    let mut found = Vec::new();
    for file in files {
        let file = std::fs::File::open(dir.join(file.path)).unwrap();
        for batch in ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap() {
            let batch = batch.unwrap();
            let schema = batch.schema();
            let names: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
            assert_eq!(names, ["id", "source", "time", "key", "partition", "offset", "data", "event"]);
            let data = batch.column_by_name("data").unwrap().as_struct();
            let text = |name: &str, row| {
                let column = data.column_by_name(name).unwrap().as_string_view();
                arrow_array::Array::is_valid(column, row).then(|| column.value(row).to_string())
            };
            let keys = batch.column_by_name("key").unwrap().as_string::<i32>();
            for row in 0..batch.num_rows() {
                let n = data.column_by_name("n").unwrap().as_primitive::<Int32Type>().value(row);
                found.push((keys.value(row).to_string(), text("user", row), n, text("note", row)));
            }
        }
    }
    let row = |user: &str, n, note: Option<&str>| {
        (user.to_string(), Some(user.to_string()), n, note.map(String::from))
    };
    assert_eq!(found, [row("a", 7, None), row("b", 8, Some("x"))]);
}

/// As in a directory: each record once, whenever the gateway is killed.
#[cfg(feature = "s3")]
#[test]
fn an_archive_in_a_bucket_has_each_record_once_also_after_kills() {
    let script = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/services/s3.sh");
    let service = |command: &str| {
        std::process::Command::new(&script).args([command, "19473"]).status().is_ok_and(|done| done.success())
    };
    if !service("start") {
        return eprintln!("there is no S3 server: it is not tried");
    }
    let name = format!("archive{}", std::process::id());
    let data = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("target/services/s3-19473/data");
    std::fs::create_dir_all(data.join(&name)).unwrap();
    let url = format!("s3://{name}/some/where");
    let mut lab = Lab::with_variables(
        &format!(
            "[zones.mfp]\narchive = {{ url = '{url}', format = 'parquet', file_age = '20ms' }}\n\
             [events.'mfp/Entry']\nzone = 'mfp'\nkey = 'user'\n\
             [topics.old]\nconnector = 'archive'\npath = '{url}'\nevent = 'mfp/Entry'\n"
        ),
        &[
            ("AWS_ENDPOINT_URL", "http://127.0.0.1:19473"),
            ("AWS_REGION", "us-east-1"),
            ("AWS_ACCESS_KEY_ID", "lab"),
            ("AWS_SECRET_ACCESS_KEY", "labsecret1"),
        ],
    );
    let id = lab.event("mfp", "Entry");
    lab.sql("CREATE STREAM old (user STRING, n INT) WITH (KAFKA_TOPIC='old', VALUE_FORMAT='JSON');");
    lab.sql("CREATE TABLE sums AS SELECT user, COUNT(*) AS c, SUM(n) AS s FROM old GROUP BY user;");
    let mut random = crate::harness::Random(7);
    for round in 0..10 {
        assert_eq!(lab.publish(&id, (4 * round..4 * round + 4).map(|n| entry("a", n))).0, 202);
        std::thread::sleep(std::time::Duration::from_millis(random.below(100)));
        lab.kill();
        lab.begin();
    }
    lab.until_rows("SELECT * FROM sums;", &[json!(["a", 40, 780])]);
    let read = lab.run(&["archive", "read", &url]);
    let mut numbers: Vec<i64> = read
        .stdout
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["data"]["n"].as_i64().unwrap())
        .collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (0..40).collect::<Vec<i64>>(), "{}", read.stderr);
    service("stop");
}

/// A zone of two clusters is one stream; without a gateway the topology and the registry say where.
#[cfg(feature = "kafka")]
#[test]
fn clusters_are_read_as_one_stream_with_and_without_a_gateway() {
    use crate::broker::Broker;
    let (eu, us) = (Broker::mock(), Broker::mock());
    let topology = format!(
        "[clusters.eu]\n'bootstrap.servers' = '{}'\n'message.timeout.ms' = 2000\n\
         [clusters.us]\n'bootstrap.servers' = '{}'\n[zones.all]\nnamespaces = ['*']\nclusters = ['eu', 'us']\n\
         [events.'mfp/Entry']\nzone = 'all'\nkey = 'user'\npartitions = 3\n[events.'mfp/Big']\nzone = 'all'\nkey = 'user'\n",
        eu.bootstrap(),
        us.bootstrap()
    );
    let (eu_only, us_only) =
        (topology.replace("['eu', 'us']", "['eu']"), topology.replace("['eu', 'us']", "['us']"));
    for broker in [&eu, &us] {
        broker.create("mfp.Entry", 3);
        broker.create("mfp.Big", 1);
    }
    let lab = Lab::with_sql(&topology);
    let id = lab.event("mfp", "Entry");
    lab.schema("mfp", "Big", BIG);
    lab.sql("CREATE STREAM entries WITH (EVENT='mfp/Entry');");
    lab.sql("CREATE STREAM big WITH (EVENT='mfp/Big') AS SELECT user, n FROM entries;");
    lab.sql("CREATE TABLE counts AS SELECT user, COUNT(*) AS c, SUM(n) AS s FROM entries GROUP BY user;");
    assert_eq!(lab.publish(&id, (0..5).map(|n| entry("a", n))).0, 202);
    // What another gateway has published to the other cluster; their registries give the same ids.
    let other = Lab::with_sql(&us_only);
    let same = other.event("mfp", "Entry");
    assert_eq!((other.publish(&same, [entry("b", 7)]).0, &same), (202, &id));
    lab.until_rows("SELECT * FROM counts;", &[json!(["a", 5, 10]), json!(["b", 1, 7])]);
    assert_eq!(lab.until_stored("mfp/Big", 6).len(), 6);
    assert_eq!(eu.consume("mfp.Big").len(), 6, "the first that is up");
    // No gateway: the engine's own registry has the schemas under the events' subjects.
    let dir = tempfile::tempdir().unwrap();
    let (script, file) = (dir.path().join("empty.sql"), dir.path().join("zones.toml"));
    std::fs::write(&script, "-- nothing").unwrap();
    std::fs::write(&file, eu_only.replace("mfp/Big", "mfp/Great")).unwrap();
    let served = Served::start(&script, &["--topology", file.to_str().unwrap()]);
    let missing = carried_out(&served, "CREATE STREAM entries WITH (EVENT='mfp/Entry');");
    assert!(missing.contains("wharfe schema register --namespace mfp --event-type Entry"), "{missing}");
    for (subject, schema) in [("mfp_entry", ENTRY.to_string()), ("mfp_great", BIG.replace("Big", "Great"))] {
        let body = json!({ "schema": schema }).to_string();
        let reply = served.post(&format!("/subjects/{subject}/versions"), "", body);
        assert_eq!(reply.status, 200, "{reply:?}");
    }
    eu.create("mfp.Great", 1);
    carried_out(&served, "CREATE STREAM entries WITH (EVENT='mfp/Entry');");
    carried_out(&served, "CREATE STREAM great WITH (EVENT='mfp/Great') AS SELECT user, n FROM entries;");
    until_rows(&served, "SELECT COUNT(*) FROM entries;", &[json!([5])]);
    let started = Instant::now();
    while eu.consume("mfp.Great").len() < 5 {
        assert!(started.elapsed() < DEADLINE);
        std::thread::yield_now();
    }
    let records = eu.consume("mfp.Great");
    assert!(records.iter().all(|record| record.key.as_deref() == Some("a")), "{records:?}");
    assert!(eu.headers("mfp.Great").iter().all(|(_, headers)| headers.is_empty()));
}
