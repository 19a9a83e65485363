//! Formats with schemas, and the registries that have them: the engine's own, one by URL, and one that
//! goes away.

use crate::fake_http::{self, Asked};
use crate::harness::{COARSE, DEADLINE, Process, Run, Served, Site, binary, free_addresses, messages};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::io::{BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// What a registry says of an id.
#[derive(Clone)]
enum Says {
    /// A JSON Schema.
    Schema(&'static str),
    Status(u16),
}

/// A registry that says what it is told to, at a path, to who has the password.
#[derive(Clone)]
struct Toy {
    url: String,
    ids: Arc<Mutex<HashMap<u32, Says>>>,
    asked: Arc<Mutex<Vec<String>>>,
}

const PATH: &str = "/apis/ccompat/v7";
/// `wharfe:secret`
const AUTHORIZATION: &str = "Basic d2hhcmZlOnNlY3JldA==";
const SCHEMA: &str = r#"{"type":"object","properties":{"A":{"type":"integer","connect.type":"int32"}}}"#;

impl Toy {
    fn start(ids: &[(u32, Says)]) -> Toy {
        Toy::serve("http", ids, Some)
    }

    /// The same with TLS.
    fn start_tls(ids: &[(u32, Says)], config: ServerConfig) -> Toy {
        let config = Arc::new(config);
        Toy::serve("https", ids, move |stream| {
            Some(StreamOwned::new(ServerConnection::new(Arc::clone(&config)).ok()?, stream))
        })
    }

    fn serve<S: Read + Write>(
        scheme: &str,
        ids: &[(u32, Says)],
        accept: impl Fn(TcpStream) -> Option<S> + Send + 'static,
    ) -> Toy {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let toy = Toy {
            url: format!("{scheme}://{}{PATH}", listener.local_addr().unwrap()),
            ids: Arc::new(Mutex::new(ids.iter().cloned().collect())),
            asked: Arc::default(),
        };
        let served = toy.clone();
        let connections =
            move || listener.incoming().flatten().filter_map(&accept).for_each(|s| served.answer(s));
        std::thread::spawn(connections);
        toy
    }

    fn say(&self, id: u32, says: Says) {
        self.ids.lock().unwrap().insert(id, says);
    }

    fn asked(&self, path: &str) -> usize {
        self.asked.lock().unwrap().iter().filter(|asked| *asked == path).count()
    }

    fn answer(&self, stream: impl Read + Write) {
        let mut reader = BufReader::new(stream);
        let Some(Asked { path, headers, .. }) = fake_http::read(&mut reader) else { return };
        let may = headers.get("authorization").is_some_and(|given| given == AUTHORIZATION);
        let id = path.strip_prefix(PATH).and_then(|path| path.strip_prefix("/schemas/ids/"));
        let says = id.and_then(|id| self.ids.lock().unwrap().get(&id.parse().unwrap()).cloned());
        let (status, body) = match says {
            _ if !may => (401, json!({ "error_code": 401, "message": "Unauthorized" })),
            Some(Says::Schema(text)) => (200, json!({ "schema": text, "schemaType": "JSON" })),
            Some(Says::Status(status)) => (status, Value::Null),
            None => (404, json!({ "error_code": 40403, "message": "Schema not found" })),
        };
        self.asked.lock().unwrap().push(path.trim_start_matches(PATH).to_string());
        let _ =
            fake_http::answer(&mut reader.into_inner(), status, "connection: close\r\n", &body.to_string());
    }

    fn section(&self, password: &str) -> String {
        format!("[registry]\nurl = '{}'\nuser = 'wharfe'\npassword = {password}", self.url)
    }
}

/// A message in Confluent's wire format.
fn message(id: u32, body: &str) -> Vec<u8> {
    [&[0][..], &id.to_be_bytes(), body.as_bytes()].concat()
}

fn lines(messages: &[Vec<u8>]) -> Vec<u8> {
    messages.iter().flat_map(|message| [message.as_slice(), b"\n"].concat()).collect()
}

#[test]
fn while_the_registry_is_away_messages_wait() {
    let toy = Toy::start(&[(1, Says::Schema(SCHEMA)), (2, Says::Status(503))]);
    let site = Site::new().with("t", "t.bin", lines(&[message(1, r#"{"A":1}"#)]));
    let site = site.and(&toy.section("{ file = 'password' }"));
    site.write("password", "secret\n");
    let mut run = Run::live(
        &site,
        COARSE.workers(2),
        "CREATE STREAM S (A INT) WITH (KAFKA_TOPIC='t', VALUE_FORMAT='JSON_SR');
         CREATE TABLE T AS SELECT 1 AS K, COUNT(*) AS N, SUM(A) AS A FROM S GROUP BY 1;",
    );
    let sums = "SELECT N, A FROM T";
    run.until(sums, |rows| rows == [r#"{"N":1,"A":1}"#]);
    site.append("t.bin", lines(&[message(2, r#"{"A":10}"#), message(1, r#"{"A":100}"#)]));
    // It is asked again and again, and meanwhile the engine answers.
    while toy.asked("/schemas/ids/2") < 3 {
        assert_eq!(run.ask(sums), [r#"{"N":1,"A":1}"#]);
    }
    toy.say(2, Says::Schema(SCHEMA));
    run.until(sums, |rows| rows == [r#"{"N":3,"A":111}"#]);
    assert_eq!(toy.asked("/schemas/ids/1"), 1, "what is known is not asked for again");
    // What the registry does not know is a reject; what nobody could ask for is none.
    site.append("t.bin", lines(&[message(3, r#"{"A":1000}"#), message(1, r#"{"A":1000}"#)]));
    run.until(sums, |rows| rows == [r#"{"N":4,"A":1111}"#]);
    assert_eq!(
        run.ask("SELECT REASON FROM WHARFE_REJECTS"),
        [r#"{"REASON":"schema id 3 is not known to the registry"}"#]
    );
    // It may be registered later: a while after that, messages with it are rows.
    toy.say(3, Says::Schema(SCHEMA));
    let rows = |run: &mut Run| run.number("SELECT N FROM T");
    while rows(&mut run) == 4 {
        let rejects = run.ask("SELECT REASON FROM WHARFE_REJECTS").len();
        site.append("t.bin", lines(&[message(3, r#"{"A":0}"#)]));
        while rows(&mut run) == 4 && run.ask("SELECT REASON FROM WHARFE_REJECTS").len() == rejects {}
    }
}

#[test]
fn a_pull_on_a_stream_waits_too() {
    let toy = Toy::start(&[(1, Says::Status(500))]);
    let site = Site::new().with("t", "t.bin", lines(&[message(1, r#"{"A":1}"#)]));
    let site = site.and(&toy.section("'secret'"));
    let script = "CREATE STREAM S (A INT) WITH (KAFKA_TOPIC='t', VALUE_FORMAT='JSON_SR');";
    let mut run = Run::live(&site, COARSE, script);
    let mut watch = run.open("SELECT A FROM S");
    while toy.asked("/schemas/ids/1") < 2 {}
    toy.say(1, Says::Schema(SCHEMA));
    assert_eq!(watch.rest(), [r#"{"A":1}"#]);
}

#[test]
fn an_engine_whose_registry_is_away_stops() {
    let toy = Toy::start(&[(1, Says::Status(500))]);
    let site = Site::new().with("t", "t.bin", lines(&[message(1, r#"{"A":1}"#)]));
    let site = site.and(&toy.section("'secret'"));
    let run = Run::live(
        &site,
        COARSE.workers(2),
        "CREATE STREAM S (A INT) WITH (KAFKA_TOPIC='t', VALUE_FORMAT='JSON_SR');
         CREATE TABLE T AS SELECT A, COUNT(*) AS N FROM S GROUP BY A;",
    );
    while toy.asked("/schemas/ids/1") < 2 {}
    run.engine.stop().unwrap();
}

/// Our registry, as a server of its own.
fn serve_registry(site: &Site, address: &str) -> Process {
    let mut command = binary(["registry", "--listen", address, "--data-dir"]);
    command.arg(site.path("schemas"));
    let process = Process::start(command);
    let started = Instant::now();
    while TcpStream::connect(address).is_err() {
        assert!(started.elapsed() < DEADLINE, "the registry does not listen");
    }
    process
}

#[test]
fn a_start_while_the_registry_is_away_loses_and_rejects_nothing() {
    let [address] = &free_addresses(1)[..] else { unreachable!() };
    let site = Site::new().with("t", "t.bin", lines(&[message(1, r#"{"A":1}"#)]));
    let site = site.and(&format!("[registry]\nurl = 'http://{address}'\n[topics.d]\nconnector = 'log'"));
    let registry = serve_registry(&site, address);
    let body = json!({ "schema": SCHEMA, "schemaType": "JSON" }).to_string();
    let registered = ureq::post(format!("http://{address}/subjects/t-value/versions"))
        .header("content-type", "application/vnd.schemaregistry.v1+json")
        .send(body)
        .unwrap();
    assert_eq!(registered.into_body().read_to_string().unwrap(), r#"{"id":1}"#);
    let script = site.script(
        "CREATE STREAM S (A INT) WITH (KAFKA_TOPIC='t', VALUE_FORMAT='JSON_SR');
         CREATE STREAM D WITH (KAFKA_TOPIC='d', VALUE_FORMAT='JSON') AS SELECT A FROM S;
         CREATE TABLE T AS SELECT 1 AS K, COUNT(*) AS N, SUM(A) AS A FROM D GROUP BY 1;",
    );
    let data = site.path("data");
    let start =
        || Served::start(&script, &["--data-dir", data.to_str().unwrap(), "--checkpoint-interval", "0.05"]);
    let ask = |served: &Served, sql: &str| {
        served.post("/query-stream", "application/json", json!({ "sql": sql }).to_string()).body
    };
    let until = |served: &Served, wanted: &str| {
        let started = Instant::now();
        while !ask(served, "SELECT N, A FROM T;").contains(wanted) {
            assert!(started.elapsed() < DEADLINE, "{}", ask(served, "SELECT N, A FROM T;"));
        }
    };
    let first = start();
    until(&first, "[1,1]");
    let started = Instant::now();
    while std::fs::read_dir(site.path("data/checkpoints/1")).is_err() {
        assert!(started.elapsed() < DEADLINE, "no checkpoint is taken");
    }
    first.process.signal(libc::SIGKILL);
    drop((first, registry));

    site.append("t.bin", lines(&[message(1, r#"{"A":10}"#), message(1, r#"{"A":100}"#)]));
    let second = start();
    // What was there already is answered while what comes waits.
    let asked = Instant::now();
    while asked.elapsed() < Duration::from_millis(500) {
        assert!(ask(&second, "SELECT N, A FROM T;").contains("[1,1]"));
    }
    // A checkpoint may wait for what waits for the registry; an end does not.
    let finished = second.stop();
    assert_eq!(finished.code, Some(0), "{finished:?}");
    assert!(finished.stderr.contains("going on from checkpoint"), "{finished:?}");

    let third = start();
    let _registry = serve_registry(&site, address);
    until(&third, "[3,111]");
    assert!(!ask(&third, "SELECT REASON FROM WHARFE_REJECTS;").contains("schema"), "a reject");
    let finished = third.stop();
    assert_eq!(finished.code, Some(0), "{finished:?}");
    assert_eq!(messages(&site.path("data/topics/d")).len(), 3);
}

/// Certificates for 127.0.0.1, signed by an authority that nobody else knows: its certificate, and what a
/// server needs. `None`, said aloud, where there is no OpenSSL.
fn private_authority(site: &Site) -> Option<(PathBuf, ServerConfig)> {
    let openssl = |arguments: &str| {
        let mut command = Command::new("openssl");
        command.args(arguments.split(' ')).current_dir(site.dir()).stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    };
    if !openssl("version") {
        eprintln!("SKIPPED: there is no openssl, so no certificates for a registry with TLS");
        return None;
    }
    let new = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2";
    let server = "-keyout key.pem -out cert.pem -subj /CN=registry -CA ca.pem -CAkey ca-key.pem";
    let usage = "-addext basicConstraints=critical,CA:FALSE -addext subjectAltName=IP:127.0.0.1";
    assert!(openssl(&format!("{new} -keyout ca-key.pem -out ca.pem -subj /CN=private-authority")));
    assert!(openssl(&format!("{new} {server} {usage}")));
    let chain = CertificateDer::pem_file_iter(site.path("cert.pem")).unwrap().map(Result::unwrap).collect();
    let key = PrivateKeyDer::from_pem_file(site.path("key.pem")).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = config.with_no_client_auth().with_single_cert(chain, key).unwrap();
    Some((site.path("ca.pem"), config))
}

#[test]
fn a_registry_behind_tls_is_trusted_by_its_authority() {
    let site = Site::new().with("t", "t.bin", lines(&[message(1, r#"{"A":1}"#)]));
    let Some((ca, config)) = private_authority(&site) else { return };
    let toy = Toy::start_tls(&[(1, Says::Schema(SCHEMA))], config);
    let infer = "CREATE STREAM S WITH (KAFKA_TOPIC='t', VALUE_FORMAT='JSON_SR', VALUE_SCHEMA_ID=1)";
    // Who is not told of the authority does not trust it.
    let stranger = Site::new().and(&toy.section("'secret'"));
    let said = Run::idle(&stranger, COARSE, true).refused(infer);
    let expected = format!("the schema registry at {} cannot be asked: invalid peer certificate", toy.url);
    assert!(said.contains(&expected), "{said}");
    assert_eq!(toy.asked("/schemas/ids/1"), 0);

    let site = site.and(&toy.section("{ file = 'password' }")).and(&format!("ca = '{}'", ca.display()));
    site.write("password", "secret\n");
    let mut run = Run::idle(&site, COARSE, true);
    run.done(infer);
    assert_eq!(run.ask("SELECT A FROM S"), [r#"{"A":1}"#]);
    assert!(toy.asked("/schemas/ids/1") > 0);
}

#[test]
fn a_registry_that_never_answers_is_given_up_soon() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let site = Site::new().and(&format!("[registry]\nurl = '{url}'"));
    let said = Run::idle(&site, COARSE, true)
        .refused("CREATE STREAM S WITH (KAFKA_TOPIC='t', VALUE_FORMAT='JSON_SR')");
    let expected = format!("the schema registry at {url} cannot be asked: it has not answered within 5 s");
    assert!(said.contains(&expected), "{said}");
}

/// What waits for a schema is not read on meanwhile.
#[cfg(feature = "kafka")]
#[test]
fn what_is_not_read_yet_on_a_cluster_is_lag() {
    let broker = crate::broker::Broker::any();
    let (toml, names) = broker.topology(&["t"]);
    broker.create(&names[0], 1);
    let value = message(1, r#"{"A":1}"#);
    broker.produce_raw(&names[0], &vec![Some(value.as_slice()); 1_000]);
    let toy = Toy::start(&[(1, Says::Status(503))]);
    let site = Site::new().and(&toml).and(&toy.section("'secret'"));
    let script = site.script(
        "CREATE STREAM S (A INT) WITH (KAFKA_TOPIC='t', VALUE_FORMAT='JSON_SR');
         CREATE TABLE T AS SELECT A, COUNT(*) AS N FROM S GROUP BY A;",
    );
    let mut command = binary(["run", "--listen", "127.0.0.1:0", "-w", "2"]);
    command.arg(script).env("WHARFE_BATCH_BYTES", "100").env("WHARFE_INFLIGHT_BYTES", "100");
    let served = Served::of(command);
    let metric = |name: &str| -> Option<f64> {
        let line = format!("{name}{{source=\"S\",topic=\"t\"}} ");
        served.get("/metrics").body.lines().find_map(|l| l.strip_prefix(&line)?.parse().ok())
    };
    let lag = || -> Value {
        let mut command = binary(["lag", "--format", "json", "--server"]);
        command.arg(&served.url);
        serde_json::from_str(Process::start(command).finish().stdout.trim()).unwrap()
    };
    let until = |what: &str, is_so: &dyn Fn() -> bool| {
        let started = Instant::now();
        while !is_so() {
            assert!(started.elapsed() < DEADLINE, "{what}: {}", served.get("/metrics").body);
        }
    };
    until("there is no lag", &|| metric("wharfe_source_lag_records").is_some_and(|n| n > 900.0));
    until("it has no age", &|| metric("wharfe_source_lag_seconds").is_some_and(|age| age > 0.0));
    let told = lag();
    assert_eq!(told["LAG_RECORDS"].as_f64(), metric("wharfe_source_lag_records"), "{told}");
    assert!(told["LAG_SECONDS"].as_f64().is_some_and(|age| age > 0.0), "{told}");
    toy.say(1, Says::Schema(SCHEMA));
    until("the lag stays", &|| metric("wharfe_source_lag_records") == Some(0.0));
    until("its age stays", &|| metric("wharfe_source_lag_seconds") == Some(0.0));
    let told = lag();
    assert_eq!((&told["LAG_RECORDS"], &told["RECORDS"]), (&json!(0), &json!(1_000)), "{told}");
}

#[test]
fn statements_say_what_is_wrong_with_the_registry() {
    let toy = Toy::start(&[]);
    let [nobody] = &free_addresses(1)[..] else { unreachable!() };
    let refused = |section: &str, sql: &str| Run::idle(&Site::new().and(section), COARSE, true).refused(sql);
    let infer = "CREATE STREAM S WITH (KAFKA_TOPIC='t', VALUE_FORMAT='JSON_SR')";
    let by_id = "CREATE STREAM S WITH (KAFKA_TOPIC='t', VALUE_FORMAT='JSON_SR', VALUE_SCHEMA_ID=9)";
    let url = &toy.url;
    for (section, sql, said) in [
        (
            toy.section("'wrong'"),
            infer,
            format!(
                "the schema registry at {url} cannot be asked: it refuses user and password (401: Unauthorized)"
            ),
        ),
        (toy.section("'secret'"), infer, format!("the schema registry at {url} has no subject t-value")),
        (toy.section("'secret'"), by_id, format!("the schema registry at {url} has no schema with the id 9")),
        (
            format!("[registry]\nurl = 'http://{nobody}'"),
            infer,
            format!("the schema registry at http://{nobody} cannot be asked: connection refused"),
        ),
    ] {
        let error = refused(&section, sql);
        assert!(error.contains(&said), "{error}");
    }
}

#[test]
fn the_engines_own_registry_outlives_it_and_is_served() {
    let site = Site::new();
    let data = site.path("data");
    let more = ["--data-dir", data.to_str().unwrap()];
    let first = site.script(
        "CREATE STREAM S (K VARCHAR KEY, V INT) WITH (KAFKA_TOPIC='t', FORMAT='JSON_SR');
         INSERT INTO S VALUES ('a', 1);",
    );
    let served = Served::start(&first, &more);
    assert_eq!(served.get("/subjects").body, r#"["t-key","t-value"]"#);
    assert_eq!(served.get("/info").status, 200);
    assert_eq!(served.get("/nothing").status, 404);
    drop(served);
    let second = site.script("CREATE STREAM AGAIN WITH (KAFKA_TOPIC='t', FORMAT='JSON_SR');");
    let served = Served::start(&second, &more);
    let said = served.post("/query-stream", "application/json", r#"{"sql":"SELECT * FROM AGAIN;"}"#);
    let said: Value = serde_json::from_str(&said.body).unwrap();
    assert_eq!(said[1], json!(["a", 1]));
    assert_eq!(said[0]["columnNames"], json!(["ROWKEY", "V"]));
}

#[test]
fn other_processes_read_the_registry_of_the_first() {
    let site = Site::new();
    let rows: String = (0..40).map(|i| format!("INSERT INTO S VALUES ('k{i}', {i});")).collect();
    let script = site.script(&format!(
        "CREATE STREAM S (K VARCHAR KEY, V INT) WITH (KAFKA_TOPIC='t', FORMAT='JSON_SR', PARTITIONS=4);
         {rows}
         CREATE TABLE T AS SELECT 1 AS ONE, COUNT(*) AS N, SUM(V) AS V FROM S GROUP BY 1;"
    ));
    let hosts = site.write("hosts", free_addresses(2).join("\n"));
    let process = |index: &str| {
        let mut command = binary(["run", "-n", "2", "-p", index, "-w", "1", "--once", "--format", "json"]);
        command.args(["-q", "SELECT N, V FROM T"]).arg("--hostfile").arg(&hosts).arg(&script);
        Process::start(command)
    };
    let [first, second] = [process("0"), process("1")].map(Process::finish);
    assert_eq!((first.code, second.code), (Some(0), Some(0)), "{first:?} {second:?}");
    assert_eq!(first.stdout.trim(), r#"{"N":40,"V":780}"#, "{first:?}");
}

#[test]
fn what_a_given_schema_has_no_place_for_is_a_reject() {
    let site = Site::new().and("[topics.out]\nconnector = 'log'");
    let served = Served::start(
        &site.script(
            "CREATE STREAM S (A INT) WITH (KAFKA_TOPIC='in', VALUE_FORMAT='JSON');
             INSERT INTO S VALUES (1);
             INSERT INTO S VALUES (NULL);
             INSERT INTO S VALUES (3);",
        ),
        &[],
    );
    let ask = |sql: &str| {
        let body = json!({ "sql": sql }).to_string();
        let said: Value =
            serde_json::from_str(&served.post("/query-stream", "application/json", body).body).unwrap();
        said.as_array().unwrap()[1..].to_vec()
    };
    let schema = r#"{"type":"record","name":"R","fields":[{"name":"A","type":"int"}]}"#;
    let registered = served.post("/subjects/theirs/versions", "", json!({ "schema": schema }).to_string());
    assert_eq!(registered.body, r#"{"id":1}"#);
    let create = |select: &str| {
        served.ksql(&format!(
            "SET 'auto.offset.reset'='earliest'; CREATE STREAM OUT WITH (KAFKA_TOPIC='out', VALUE_FORMAT='AVRO', \
             VALUE_SCHEMA_ID=1) AS SELECT {select} FROM S;"
        ))
    };
    let refused = create("A AS B");
    assert!(refused["message"].as_str().is_some_and(|m| m.contains("schema 1: column B")), "{refused}");
    assert!(create("A").is_array());
    while ask("SELECT REASON FROM WHARFE_REJECTS;").is_empty() {}
    assert_eq!(ask("SELECT STAGE FROM WHARFE_REJECTS;"), [json!(["store of CSAS_OUT_1"])]);
    let books = "SELECT ROWS_IN, ROWS_OUT, ROWS_REJECTED FROM WHARFE_BOOKS WHERE STAGE = 'store';";
    while ask(books) != [json!([3, 2, 1])] {}
    assert_eq!(served.get("/subjects").body, r#"["theirs"]"#, "the given schema is the topic's");
}

#[test]
fn a_statement_with_columns_registers_their_schema_at_once() {
    let site = Site::new();
    let served = Served::start(
        &site.script(
            "CREATE STREAM A (K STRUCT<N INT> KEY, V INT) WITH (KAFKA_TOPIC='a', KEY_FORMAT='JSON_SR', VALUE_FORMAT='AVRO');
             CREATE TABLE P (K INT PRIMARY KEY, V INT) WITH (KAFKA_TOPIC='p', KEY_FORMAT='KAFKA', VALUE_FORMAT='PROTOBUF');
             CREATE SOURCE STREAM R (V INT) WITH (KAFKA_TOPIC='r', VALUE_FORMAT='AVRO');
             CREATE STREAM AGAIN (V BIGINT) WITH (KAFKA_TOPIC='a', VALUE_FORMAT='AVRO');",
        ),
        &[],
    );
    assert_eq!(served.get("/subjects").body, r#"["a-key","a-value","p-value"]"#);
    assert_eq!(served.get("/subjects/a-value/versions").body, "[1]", "what a topic has is left as it is");
}

#[test]
fn what_a_topic_has_already_is_written_with() {
    let site = Site::new();
    let served = Served::start(&site.script("SET 'auto.offset.reset' = 'earliest';"), &[]);
    let register = |subject: &str, kind: &str, schema: &str| {
        let body = json!({ "schemaType": kind, "schema": schema }).to_string();
        let reply = served.post(&format!("/subjects/{subject}/versions"), "", body);
        assert_eq!(reply.status, 200, "{reply:?}");
    };
    let message = "syntax = \"proto3\"; message Theirs { string OTHER = 1; int32 V = 7; }";
    register("p-value", "PROTOBUF", message);
    let defaults = r#"{"type":"record","name":"R","fields":[{"name":"V","type":"int"},
        {"name":"UNIT","type":"string","default":"cm"},{"name":"NOTE","type":["null","string"]}]}"#;
    register("theirs", "AVRO", defaults);
    let said = served.ksql(
        "CREATE STREAM P (V INT) WITH (KAFKA_TOPIC='p', VALUE_FORMAT='PROTOBUF');
         INSERT INTO P VALUES (5);
         CREATE STREAM PB (B BYTES) WITH (KAFKA_TOPIC='p', VALUE_FORMAT='KAFKA');
         CREATE STREAM S (V INT) WITH (KAFKA_TOPIC='s', VALUE_FORMAT='JSON');
         INSERT INTO S VALUES (3);
         CREATE STREAM D WITH (KAFKA_TOPIC='d', VALUE_FORMAT='AVRO', VALUE_SCHEMA_ID=2) AS SELECT V FROM S;",
    );
    assert!(said.is_array(), "{said}");
    let ask = |sql: &str| {
        let body = json!({ "sql": sql }).to_string();
        let said = served.post("/query-stream", "application/json", body).body;
        serde_json::from_str::<Value>(&said).unwrap()[1].clone()
    };
    // A writer that did not know them leaves UNIT and NOTE to the schema that the columns are from.
    let said = served.ksql(
        "CREATE STREAM DB (B BYTES) WITH (KAFKA_TOPIC='theirs', VALUE_FORMAT='KAFKA');
         CREATE STREAM THEIRS WITH (KAFKA_TOPIC='theirs', VALUE_FORMAT='AVRO', VALUE_SCHEMA_ID=2);",
    );
    assert!(said.is_array(), "{said}");
    register("old", "AVRO", r#"{"type":"record","name":"R","fields":[{"name":"V","type":"int"}]}"#);
    let said = served.ksql("INSERT INTO DB VALUES (TO_BYTES('000000000308', 'hex'));");
    assert!(said.is_array(), "{said}");
    assert_eq!(ask("SELECT V, UNIT, NOTE FROM THEIRS;"), json!([4, "cm", null]));
    // Field 7, in the wire format with the id 1 and the first message.
    assert_eq!(
        ask("SELECT ENCODE(FROM_BYTES(B, 'hex'), 'hex', 'hex') AS B FROM PB;"),
        json!(["0000000001003805"])
    );
    assert_eq!(served.get("/subjects/p-value/versions").body, "[1]");
}
