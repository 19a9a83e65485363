//! Rows that become documents: processes that are killed while they deliver, and a real server.
//!
//! The first goes to a server in this process that answers as OpenSearch does as far as versions and ids
//! matter, and cuts a connection now and then. The second needs Java and Maven
//! (`tests/services/opensearch.sh`) or the address of one in `WHARFE_OPENSEARCH`; it says aloud when it is
//! skipped. `WHARFE_KILLS=50` kills so often.

use super::fake_http;
use super::harness::{DEADLINE, Random, Served, Site};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::BufReader;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

const SCRIPT: &str = "
CREATE STREAM ITEMS (K VARCHAR, N INT) WITH (KAFKA_TOPIC='items', VALUE_FORMAT='JSON');
CREATE TABLE SUMS AS SELECT K, COUNT(*) AS C, SUM(N) AS S FROM ITEMS GROUP BY K;";

/// Index and id.
type Name = (String, String);

/// Documents with their versions, and how many bulk requests have come.
#[derive(Default)]
struct Documents {
    all: BTreeMap<Name, (i64, Value)>,
    bulks: u64,
    known: u64,
}

#[derive(Default)]
struct Fake {
    documents: Mutex<Documents>,
    came: Condvar,
}

impl Fake {
    fn serve() -> (Arc<Fake>, String) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let fake = Arc::new(Fake::default());
        let served = Arc::clone(&fake);
        std::thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                let fake = Arc::clone(&served);
                std::thread::spawn(move || while fake.answer(&connection).is_some() {});
            }
        });
        (fake, url)
    }

    /// `None`: the connection is over.
    fn answer(&self, mut connection: &TcpStream) -> Option<()> {
        let asked = fake_http::read(&mut BufReader::new(connection))?;
        let answer = match (asked.method.as_str(), asked.path.starts_with("/_bulk")) {
            ("POST", true) => self.bulk(std::str::from_utf8(&asked.body).unwrap())?,
            _ => json!({"version": {"distribution": "opensearch", "number": "2.19.1"}}),
        };
        let json = "content-type: application/json\r\n";
        fake_http::answer(&mut connection, 200, json, &answer.to_string()).ok()
    }

    /// `None`: all is carried out, and nobody is told.
    fn bulk(&self, body: &str) -> Option<Value> {
        let mut documents = self.documents.lock().unwrap();
        let mut items = Vec::new();
        let mut lines = body.lines();
        while let Some(line) = lines.next() {
            let action: Value = serde_json::from_str(line).unwrap();
            let (verb, about) = action.as_object().unwrap().iter().next().unwrap();
            assert_eq!((verb.as_str(), about["version_type"].as_str()), ("index", Some("external")));
            let name = |key: &str| about[key].as_str().unwrap().to_string();
            let (name, version) = ((name("_index"), name("_id")), about["version"].as_i64().unwrap());
            let document = serde_json::from_str(lines.next().unwrap()).unwrap();
            let is_newer = documents.all.get(&name).is_none_or(|(known, _)| version > *known);
            if is_newer {
                documents.all.insert(name, (version, document));
            } else {
                documents.known += 1;
            }
            items.push(json!({ "index": { "status": if is_newer { 200 } else { 409 } } }));
        }
        documents.bulks += 1;
        self.came.notify_all();
        (!documents.bulks.is_multiple_of(31)).then(|| json!({ "errors": true, "items": items }))
    }

    fn wait(&self, what: &str, is_there: impl Fn(&Documents) -> bool) {
        let deadline = Instant::now() + DEADLINE;
        let mut documents = self.documents.lock().unwrap();
        while !is_there(&documents) {
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "{what}; {} documents", documents.all.len());
            documents = self.came.wait_timeout(documents, left).unwrap().0;
        }
    }
}

/// What the documents must be: each item, each sum.
#[derive(Default)]
struct Expected {
    items: Vec<(String, i64)>,
    sums: BTreeMap<String, (i64, i64)>,
}

impl Expected {
    /// More lines of the topic's file.
    fn more(&mut self, random: &mut Random, lines: u64) -> String {
        let mut text = String::new();
        for _ in 0..lines {
            let (key, n) = (format!("k{}", random.below(40)), random.below(1_000) as i64);
            text += &format!("{{\"K\":\"{key}\",\"N\":{n}}}\n");
            let sum = self.sums.entry(key.clone()).or_default();
            *sum = (sum.0 + 1, sum.1 + n);
            self.items.push((key, n));
        }
        text
    }

    fn is_met(&self, documents: &Documents) -> bool {
        let of = |index: &'static str| documents.all.iter().filter(move |((i, _), _)| i == index);
        let mut items: Vec<(String, i64)> = of("items")
            .map(|(_, (_, d))| (d["K"].as_str().unwrap().into(), d["N"].as_i64().unwrap()))
            .collect();
        let mut wanted = self.items.clone();
        items.sort_unstable();
        wanted.sort_unstable();
        let sums: BTreeMap<String, (i64, i64)> = of("sums")
            .map(|((_, id), (_, d))| (id.clone(), (d["C"].as_i64().unwrap(), d["S"].as_i64().unwrap())))
            .collect();
        items == wanted && sums == self.sums
    }
}

fn topology(url: &str) -> String {
    format!(
        "[sinks.search]\nconnector = 'opensearch'\nurl = '{url}'\ntopics = ['ITEMS', 'SUMS']\n\
         batch_docs = 20\nin_flight = 2"
    )
}

#[test]
fn kills_amid_delivery_leave_exactly_the_right_documents() {
    let kills = std::env::var("WHARFE_KILLS").ok().and_then(|n| n.parse().ok()).unwrap_or(20_u64);
    let (fake, url) = Fake::serve();
    let (mut random, mut expected) = (Random(11), Expected::default());
    let site = Site::new().with("items", "items.json", expected.more(&mut random, 300)).and(&topology(&url));
    let script = site.script(SCRIPT);
    let data = site.path("data");
    let start = || {
        let intervals = ["--checkpoint-interval", "0.1", "--commit-interval", "0.1"];
        Served::start(&script, &[&["--data-dir", data.to_str().unwrap()][..], &intervals].concat())
    };
    for _ in 0..kills {
        let before = fake.documents.lock().unwrap().bulks;
        let served = start();
        site.append("items.json", expected.more(&mut random, 200));
        let more = 1 + random.below(12);
        fake.wait("nothing is delivered", |documents| documents.bulks >= before + more);
        drop(served);
    }
    let served = start();
    site.append("items.json", expected.more(&mut random, 10));
    fake.wait("not all of it is delivered", |documents| expected.is_met(documents));
    assert!(served.stop().code == Some(0));
    let documents = fake.documents.lock().unwrap();
    assert!(expected.is_met(&documents), "the end has changed something");
    assert!(documents.known > 0, "nothing was sent twice: no kill was amid a delivery");
}

/// Its address, and whether it is this test's to stop.
fn real() -> Result<(String, bool), String> {
    if let Ok(url) = std::env::var("WHARFE_OPENSEARCH") {
        return Ok((url, false));
    }
    for program in ["java", "javac", "mvn", "curl"] {
        let found = Command::new("sh").args(["-c", &format!("command -v {program}")]).output().unwrap();
        if !found.status.success() {
            return Err(format!("there is no {program}"));
        }
    }
    let started = service("start");
    let url = String::from_utf8_lossy(&started.stdout).trim().to_string();
    match started.status.success() {
        true => Ok((url, true)),
        false => Err(String::from_utf8_lossy(&started.stderr).into_owned()),
    }
}

fn service(what: &str) -> std::process::Output {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/services/opensearch.sh");
    Command::new("bash").arg(script).args([what, "19200"]).output().unwrap()
}

/// Stops what it has started, however the test ends.
struct Started(bool);

impl Drop for Started {
    fn drop(&mut self) {
        if self.0 {
            service("stop");
            service("wipe");
        }
    }
}

#[test]
fn a_real_server_takes_what_is_declared() {
    let (url, _started) = match real() {
        Ok((url, is_own)) => (url, Started(is_own)),
        Err(why) => {
            eprintln!("SKIPPED: no document goes to a real OpenSearch: {why}");
            return;
        }
    };
    let config = ureq::Agent::config_builder().http_status_as_error(false).build();
    let agent: ureq::Agent = config.into();
    let get = |path: &str| -> Value {
        let mut response = agent.get(format!("{url}{path}")).call().unwrap();
        serde_json::from_str(&response.body_mut().read_to_string().unwrap()).unwrap()
    };
    let rows = "{\"ID\":1,\"AT\":1517824500000,\"PLACE\":{\"LAT\":53.7,\"LON\":-1.5},\"TAGS\":{\"a\":\"b\"}}\n\
                {\"ID\":2,\"AT\":1517824600000,\"PLACE\":{\"LAT\":153.7,\"LON\":-1.5},\"TAGS\":{}}\n";
    let site = Site::new().with("real", "real.json", rows);
    let script = site.script(
        "CREATE STREAM REAL (ID INT, AT TIMESTAMP, PLACE STRUCT<LAT DOUBLE, LON DOUBLE>, TAGS MAP<VARCHAR, VARCHAR>)
           WITH (KAFKA_TOPIC='real', VALUE_FORMAT='JSON');
         CREATE STREAM PARKS AS SELECT ID, AT, TAGS,
           STRUCT(`lat` := PLACE->LAT, `lon` := PLACE->LON) AS PLACE FROM REAL;",
    );
    let served = Served::start(&script, &[]);
    let made = served.ksql(&format!(
        "CREATE SINK CONNECTOR search WITH (
           'connector.class' = 'io.confluent.connect.elasticsearch.ElasticsearchSinkConnector',
           'connection.url' = '{url}', 'topics' = 'PARKS');"
    ));
    assert_eq!(made[0]["commandStatus"]["status"], "SUCCESS", "{made}");
    let deadline = Instant::now() + Duration::from_secs(120);
    let status = loop {
        let shown = served.ksql("DESCRIBE CONNECTOR SEARCH;");
        let traffic = shown[0]["traffic"].clone();
        if traffic["written"] == 1 && traffic["rejected"] == 1 {
            break shown;
        }
        assert!(Instant::now() < deadline, "{shown}");
        std::thread::sleep(Duration::from_millis(50));
    };
    assert_eq!(status[0]["status"]["connector"]["state"], "RUNNING", "{status}");
    let mapping = get("/parks/_mapping");
    let properties = &mapping["parks"]["mappings"]["properties"];
    for (column, kind) in [("AT", "date"), ("PLACE", "geo_point"), ("ID", "integer"), ("TAGS", "flat_object")]
    {
        assert_eq!(properties[column]["type"], kind, "{mapping}");
    }
    get("/parks/_refresh");
    let found = get("/parks/_search?q=ID:1");
    assert_eq!(found["hits"]["hits"][0]["_source"]["PLACE"], json!({"lat": 53.7, "lon": -1.5}), "{found}");
    let rejects = served.post(
        "/query-stream",
        "application/json",
        json!({"sql": "SELECT SOURCE_NAME, REASON FROM WHARFE_REJECTS WHERE STAGE = 'sink SEARCH'"})
            .to_string(),
    );
    assert!(rejects.body.contains("PARKS") && rejects.body.contains("latitude"), "{}", rejects.body);
    served.ksql("DROP CONNECTOR SEARCH;");
    assert_eq!(served.ksql("SHOW CONNECTORS;")[0]["connectors"], json!([]));
}
