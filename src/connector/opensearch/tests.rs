//! Documents, templates and rounds; and a server that answers as it is told, for what goes wrong.

use super::bulk::{Fate, Operation, body, fates};
use super::document::{Action, IndexName, Shape};
use super::note::Note;
use super::round::{Round, batches};
use super::template::{Distribution, template};
use super::*;
use crate::connector::Record;
use crate::connector::log::{Ends, LogOptions, LogWriter};
use crate::types::{ColumnDef, Part, SqlType, StructField};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::BufReader;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Instant;

#[path = "../../../tests/fake_http.rs"]
mod fake_http;

fn column(name: &str, ty: SqlType, part: Part) -> ColumnDef {
    ColumnDef { name: name.into(), ty, part }
}

fn field(name: &str, ty: SqlType) -> StructField {
    StructField { name: name.into(), ty }
}

fn schema() -> Schema {
    let place = SqlType::Struct(vec![field("lat", SqlType::Double), field("lon", SqlType::Double)]);
    Schema::new([
        column("NAME", SqlType::Varchar, Part::Key),
        column("N", SqlType::Int, Part::Value),
        column("FULL", SqlType::Double, Part::Value),
        column("DAY", SqlType::Date, Part::Value),
        column("AT", SqlType::Timestamp, Part::Value),
        column("PLACE", place, Part::Value),
        column("TAGS", SqlType::Map(SqlType::Varchar.into(), SqlType::Varchar.into()), Part::Value),
        column("PRICE", SqlType::Decimal { precision: 8, scale: 2 }, Part::Value),
    ])
}

fn shape(index: &str, by_key: bool) -> Shape {
    Shape {
        schema: schema(),
        index: IndexName::parse(index).unwrap(),
        by_key,
        prefix: "w/t".into(),
        on_null: OnNull::Delete,
    }
}

fn indexed(action: Action) -> (String, String, Value) {
    let Action::Index { index, id, source } = action else { panic!("{action:?}") };
    (index, id, serde_json::from_str(&source).unwrap())
}

#[test]
fn a_record_becomes_a_document() {
    let value = br#"{"N":3,"FULL":"NaN","DAY":17567,"AT":1517824500000,"PLACE":{"lat":53.7,"lon":null}}"#;
    let of = |shape: Shape| shape.action(2, 7, Some(br#""West \"gate\"""#), Some(value)).unwrap();
    let (index, id, document) = indexed(of(shape("parks-{AT:yyyy.MM}", true)));
    assert_eq!((index.as_str(), id.as_str()), ("parks-2018.02", "West \"gate\""));
    assert_eq!(
        document,
        json!({"NAME":"West \"gate\"","N":3,"FULL":null,"DAY":"2018-02-05","AT":1517824500000_i64,"PLACE":null})
    );
    assert_eq!(indexed(of(shape("parks", false))).1, "w/t+2+7");
    let gone = shape("parks", true).action(0, 1, Some(br#""A""#), None).unwrap();
    assert_eq!(gone, Action::Delete { index: "parks".into(), id: "A".into() });
    assert_eq!(shape("parks", false).action(0, 1, None, None), Ok(Action::Nothing));
    assert_eq!(shape("parks", true).action(0, 1, None, Some(b"7")), Err("it is no JSON object".into()));
    let no_time = shape("parks-{AT:yyyy}", true).action(0, 1, Some(br#""A""#), Some(b"{}"));
    assert!(no_time.unwrap_err().contains("column AT, is null"));
}

#[test]
fn ids_tell_keys_apart_and_are_not_too_long() {
    let two =
        Schema::new([column("A", SqlType::Varchar, Part::Key), column("B", SqlType::Varchar, Part::Key)]);
    let shape = Shape { schema: two, ..shape("i", true) };
    let id = |key: Value| {
        let Ok(Action::Delete { id, .. }) = shape.action(0, 0, Some(key.to_string().as_bytes()), None) else {
            panic!("no deletion")
        };
        id
    };
    assert_ne!(id(json!({"A":"x,","B":"y"})), id(json!({"A":"x","B":",y"})));
    let long = id(json!({"A":"x".repeat(600),"B":""}));
    assert!(long.starts_with("xxh3-") && long.len() == 37, "{long}");
}

#[test]
fn names_of_indices_are_checked() {
    for (name, why) in [
        ("Parks", "cannot hold 'P'"),
        ("", "begins with a letter"),
        ("_x", "begins with a letter"),
        ("a-{TS}", "expected {COLUMN:PATTERN}"),
        ("{TS:yyyy}", "something has to stand before"),
        ("a b", "cannot hold ' '"),
    ] {
        let error = IndexName::parse(name).unwrap_err();
        assert!(error.contains(why), "{name}: {error}");
    }
    assert_eq!(IndexName::parse("a-{TS:yyyy}-b").unwrap().wildcard(), "a-*-b");
    let target = Target { index: Some("a-{TS:yyyy}".into()), ..target("http://x") };
    assert!(target.check(&schema(), false).unwrap_err().contains("no column TS"));
    let target = Target { index: Some("a-{AT:yyyy}".into()), ..target };
    assert_eq!(target.check(&schema(), false), Ok(()));
    assert!(target.check(&schema(), true).unwrap_err().contains("several indices"));
}

#[test]
fn templates_follow_the_declared_types() {
    let of = |distribution| template("parks-*", &schema(), distribution);
    let open = of(Distribution::OpenSearch);
    let properties = &open["template"]["mappings"]["properties"];
    for (column, kind) in [
        ("NAME", "keyword"),
        ("N", "integer"),
        ("FULL", "double"),
        ("DAY", "date"),
        ("AT", "date"),
        ("PLACE", "geo_point"),
        ("TAGS", "flat_object"),
        ("PRICE", "scaled_float"),
    ] {
        assert_eq!(properties[column]["type"], kind, "{column}");
    }
    assert_eq!(properties["PRICE"]["scaling_factor"], 100.0);
    assert_eq!(open["index_patterns"], json!(["parks-*"]));
    let elastic = of(Distribution::Elasticsearch);
    assert_eq!(elastic["template"]["mappings"]["properties"]["TAGS"]["type"], "flattened");
    assert_eq!(Distribution::of(&json!({"version":{"number":"9.0.0"}})), Distribution::Elasticsearch);
}

fn operation(offset: i64, id: &str) -> Operation {
    let action = Action::Index { index: "i".into(), id: id.into(), source: "{}".into() };
    Operation { partition: 0, offset, version: offset, action }
}

#[test]
fn of_one_document_the_last_is_sent_and_requests_are_bounded() {
    let all = vec![operation(0, "a"), operation(1, "b"), operation(2, "a")];
    let round = Round { operations: all.clone(), ..Round::default() }.compacted();
    let kept: Vec<i64> = round.operations.iter().map(|one| one.offset).collect();
    assert_eq!(kept, [1, 2]);
    let sizes = |docs, bytes| batches(all.clone(), docs, bytes).iter().map(Vec::len).collect::<Vec<_>>();
    assert_eq!(sizes(2, 1 << 20), [2, 1]);
    assert_eq!(sizes(9, 1), [1, 1, 1]);
    let version = |generation, offset| Note { generation, ..Note::default() }.version(offset);
    assert!(version(1_600_000_001, 0) > version(1_600_000_000, i64::from(u32::MAX) - 1));
    assert_eq!(
        body(&[operation(7, "\n")]),
        "{\"index\":{\"_index\":\"i\",\"_id\":\"\\n\",\"version\":7,\"version_type\":\"external\"}}\n{}\n"
    );
}

#[test]
fn each_status_has_its_meaning() {
    let item = |verb: &str, status: u16, kind: &str| json!({ verb: { "status": status, "error": { "type": kind, "reason": "r" } } });
    let items = json!({"errors": true, "items": [
        { "index": { "status": 201 } },
        { "delete": { "status": 404 } },
        item("index", 409, "version_conflict_engine_exception"),
        item("index", 429, "es_rejected_execution_exception"),
        item("index", 400, "mapper_parsing_exception"),
        item("index", 403, "security_exception"),
    ]});
    let found = fates(items.to_string().as_bytes(), 6).unwrap();
    let why = |kind: &str| format!("{kind}: r");
    assert_eq!(
        found,
        [
            Fate::Done,
            Fate::Done,
            Fate::Known,
            Fate::Later(why("es_rejected_execution_exception")),
            Fate::Refused(why("mapper_parsing_exception")),
            Fate::Halt(why("security_exception")),
        ]
    );
    assert_eq!(fates(br#"{"errors":false}"#, 2), Some(vec![Fate::Done; 2]));
    assert_eq!(fates(items.to_string().as_bytes(), 5), None);
    assert_eq!(fates(b"<html>", 1), None);
}

fn target(url: &str) -> Target {
    let address = Address { url: url.into(), login: None, ca: None };
    let backoff = Duration::from_millis(2);
    Target { batch_docs: 4, in_flight: 2, backoff, ..Target::new("s", address) }
}

/// An OpenSearch as far as it matters: documents with versions, and a list of what goes wrong with the next
/// bulk requests.
#[derive(Default)]
struct Fake {
    documents: BTreeMap<String, (i64, Option<Value>)>,
    template: Option<Value>,
    wrongs: Vec<Wrong>,
    bulks: usize,
    largest: usize,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Wrong {
    /// The whole request: a status.
    Status(u16),
    /// Every second item: a status.
    Items(u16),
    /// It is carried out, and then the connection ends without an answer.
    Cut,
    /// The connection ends at once.
    Drop,
}

impl Fake {
    fn serve() -> (Arc<Mutex<Fake>>, String) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let fake = Arc::new(Mutex::new(Fake::default()));
        let served = Arc::clone(&fake);
        std::thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                let fake = Arc::clone(&served);
                std::thread::spawn(move || while answer(&connection, &fake).is_some() {});
            }
        });
        (fake, url)
    }

    fn bulk(&mut self, body: &str, wrong: Option<u16>) -> Value {
        let mut items = Vec::new();
        let mut lines = body.lines();
        while let Some(line) = lines.next() {
            let action: Value = serde_json::from_str(line).unwrap();
            let (verb, about) = action.as_object().unwrap().iter().next().unwrap();
            let document = (verb == "index").then(|| serde_json::from_str(lines.next().unwrap()).unwrap());
            let (id, version) = (about["_id"].as_str().unwrap(), about["version"].as_i64().unwrap());
            let known = self.documents.get(id).map_or(-1, |(version, _)| *version);
            let bad = document.as_ref().is_some_and(|d: &Value| d["N"] == json!(-1));
            let status = match wrong.filter(|_| items.len() % 2 == 1) {
                Some(status) => status,
                None if version <= known => 409,
                None if bad => 400,
                None => {
                    self.documents.insert(id.into(), (version, document));
                    200
                }
            };
            let error = if status < 300 { Value::Null } else { json!({"type": "t", "reason": "why"}) };
            items.push(json!({ verb.clone(): { "status": status, "error": error } }));
        }
        self.largest = self.largest.max(items.len());
        json!({ "errors": true, "items": items })
    }

    fn values(&self) -> Vec<(String, i64)> {
        let there = self.documents.iter().filter_map(|(id, (_, d))| Some((id, d.as_ref()?)));
        there.map(|(id, d)| (id.clone(), d["N"].as_i64().unwrap())).collect()
    }
}

/// `None`: the connection is over.
fn answer(mut connection: &TcpStream, fake: &Mutex<Fake>) -> Option<()> {
    let asked = fake_http::read(&mut BufReader::new(connection))?;
    let body = String::from_utf8(asked.body).unwrap();
    let mut fake = fake.lock().unwrap();
    let (status, answer) = if asked.method == "POST" && asked.path.starts_with("/_bulk") {
        fake.bulks += 1;
        let wrong = if fake.wrongs.is_empty() { None } else { Some(fake.wrongs.remove(0)) };
        match wrong {
            Some(Wrong::Drop) => return None,
            Some(Wrong::Status(status)) => (status, json!({"error": {"reason": "busy"}})),
            Some(Wrong::Cut) => {
                fake.bulk(&body, None);
                return None;
            }
            Some(Wrong::Items(status)) => (200, fake.bulk(&body, Some(status))),
            None => (200, fake.bulk(&body, None)),
        }
    } else if asked.method == "PUT" && asked.path.starts_with("/_index_template/") {
        fake.template = Some(serde_json::from_str(&body).unwrap());
        (200, json!({"acknowledged": true}))
    } else {
        (200, json!({"version": {"distribution": "opensearch", "number": "2.19.1"}}))
    };
    drop(fake);
    let json = "content-type: application/json\r\n";
    fake_http::answer(&mut connection, status, json, &answer.to_string()).ok()
}

fn feed(dir: &Path, is_durable: bool) -> Feed {
    Feed {
        source: "T".into(),
        topic: "t".into(),
        dir: dir.into(),
        partitions: 1,
        schema: schema(),
        is_table: true,
        identity: "w".into(),
        is_durable,
    }
}

/// Appends rows, each a key and N; without N: a deletion.
fn append(dir: &Path, rows: &[(&str, Option<i64>)]) -> i64 {
    let (mut log, _) = LogWriter::open(dir, [0], LogOptions::default()).unwrap();
    for (key, n) in rows {
        let (key, value) = (json!(key).to_string(), n.map(|n| json!({ "N": n }).to_string()));
        let value = value.as_ref().map(String::as_bytes);
        log.append(0, &Record { timestamp: 0, key: Some(key.as_bytes()), value, headers: &[] }).unwrap();
    }
    log.flush().unwrap();
    log.next_offset(0).unwrap()
}

/// Delivers all that is there, and ends.
fn deliver(target: Target, feed: Feed, ends: Option<Ends>) -> (Status, Vec<Refused>, bool) {
    let refused = Arc::new(Mutex::new(Vec::new()));
    let into = Arc::clone(&refused);
    let outlet = Outlet::start(target, feed, move |_, more| into.lock().unwrap().extend(more)).unwrap();
    ends.iter().for_each(|ends| outlet.deliver(ends));
    let desk = outlet.watched();
    let done = outlet.finish(Some(Instant::now() + Duration::from_secs(60)));
    let refused = refused.lock().unwrap().clone();
    (desk(), refused, done)
}

#[test]
fn whatever_goes_wrong_each_document_is_there_once() {
    let rows: Vec<(String, Option<i64>)> =
        (0..40).map(|i| (format!("k{}", i % 23), (i % 7 != 6).then_some(i))).collect();
    let rows: Vec<(&str, Option<i64>)> = rows.iter().map(|(k, n)| (k.as_str(), *n)).collect();
    let mut expected: BTreeMap<&str, Option<i64>> = BTreeMap::new();
    rows.iter().for_each(|(k, n)| _ = expected.insert(k, *n));
    let expected: Vec<(String, i64)> =
        expected.iter().filter_map(|(k, n)| Some((k.to_string(), (*n)?))).collect();
    for wrongs in [
        vec![],
        vec![Wrong::Status(429), Wrong::Status(503)],
        vec![Wrong::Items(429), Wrong::Items(503), Wrong::Items(429)],
        vec![Wrong::Cut, Wrong::Drop, Wrong::Cut],
        vec![Wrong::Status(413), Wrong::Status(413)],
        vec![Wrong::Cut, Wrong::Items(429), Wrong::Status(502), Wrong::Drop],
    ] {
        let dir = tempfile::tempdir().unwrap();
        append(dir.path(), &rows);
        let (fake, url) = Fake::serve();
        fake.lock().unwrap().wrongs = wrongs.clone();
        let (status, refused, done) = deliver(target(&url), feed(dir.path(), false), None);
        let fake = fake.lock().unwrap();
        assert!(done && refused.is_empty(), "{wrongs:?}: {status:?} {refused:?}");
        assert_eq!(fake.values(), expected, "{wrongs:?}");
        assert!(fake.template.is_some() && fake.largest <= 4, "{wrongs:?}");
        let retried = wrongs.iter().any(|w| !matches!(w, Wrong::Status(413)));
        assert_eq!(status.retries > 0, retried, "{wrongs:?}: {status:?}");
    }
}

#[test]
fn a_document_that_is_refused_is_told_and_the_rest_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    append(dir.path(), &[("a", Some(1)), ("b", Some(-1)), ("c", Some(3))]);
    let (fake, url) = Fake::serve();
    let (status, refused, done) = deliver(target(&url), feed(dir.path(), false), None);
    assert!(done);
    assert_eq!(fake.lock().unwrap().values(), [("a".to_string(), 1), ("c".to_string(), 3)]);
    let [one] = &refused[..] else { panic!("{refused:?}") };
    assert_eq!((one.offset, one.reason.as_str(), status.rejected), (1, "t: why", 1));
    assert!(one.document.as_ref().unwrap().contains("\"N\":-1"));
}

#[test]
fn a_server_that_says_no_stops_the_sink_only() {
    let dir = tempfile::tempdir().unwrap();
    append(dir.path(), &[("a", Some(1))]);
    let (fake, url) = Fake::serve();
    fake.lock().unwrap().wrongs = vec![Wrong::Status(403)];
    let (status, _, done) = deliver(target(&url), feed(dir.path(), false), None);
    assert!(!done);
    assert_eq!((status.state, status.error.as_deref()), (State::Failed, Some("status 403: busy")));
    let (status, _, done) = deliver(target(&url), feed(dir.path(), false), None);
    assert!(done, "it goes on where it was: {status:?}");
    assert_eq!(fake.lock().unwrap().values(), [("a".to_string(), 1)]);
    let most = Target { retries_max: Some(2), ..target("http://127.0.0.1:9") };
    let (status, _, done) = deliver(most, feed(dir.path(), false), None);
    assert!(!done && status.error.unwrap().starts_with("given up after 2 tries"));
}

#[test]
fn only_what_is_final_goes_and_what_was_taken_back_goes_again() {
    let dir = tempfile::tempdir().unwrap();
    let end = append(dir.path(), &[("a", Some(1)), ("b", Some(2)), ("c", Some(3))]);
    assert_eq!(end, 3);
    let (fake, url) = Fake::serve();
    let ends = |end| Some(Ends::from([(0, end)]));
    assert!(deliver(target(&url), feed(dir.path(), true), ends(2)).2);
    assert_eq!(fake.lock().unwrap().values().len(), 2);
    // A start from an older checkpoint writes other records in their place.
    crate::connector::log::truncate(dir.path(), 0, 1).unwrap();
    append(dir.path(), &[("b", Some(20)), ("d", Some(4))]);
    assert!(deliver(target(&url), feed(dir.path(), true), ends(1)).2);
    assert!(deliver(target(&url), feed(dir.path(), true), ends(3)).2);
    let found = fake.lock().unwrap().values();
    assert_eq!(found, [("a".to_string(), 1), ("b".to_string(), 20), ("d".to_string(), 4)]);
}
