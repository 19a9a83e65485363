//! Events by name, through the binary: publishing, schemas, call-backs, moves, kills, and the talk's
//! examples as they stand there.

use crate::fake_http::{self, Asked};
use crate::harness::{DEADLINE, Process, Random, Served, binary};
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap};
use std::io::BufReader;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::time::Instant;
use tempfile::TempDir;
use wharfe::connector::archive::layout::{self, Manifest};
use wharfe::connector::archive::shelf::Shelf;

/// A gateway in a directory of its own, which can be killed and started again.
pub struct Lab {
    pub dir: TempDir,
    pub topology: String,
    /// It runs beside an engine.
    pub with_sql: bool,
    pub variables: Vec<(String, String)>,
    pub served: Option<Served>,
}

/// A subscription's call, as its receiver sees it.
#[derive(Clone, Debug)]
struct Call {
    path: String,
    headers: HashMap<String, String>,
    body: Value,
}

impl Call {
    fn events(&self) -> Vec<Value> {
        match &self.body {
            Value::Array(events) => events.clone(),
            one => vec![one.clone()],
        }
    }
}

impl Lab {
    pub fn start(topology: &str) -> Lab {
        Lab::begun(topology, false, &[])
    }

    /// Beside an engine that checkpoints often.
    pub fn with_sql(topology: &str) -> Lab {
        Lab::begun(topology, true, &[])
    }

    /// The same with variables of its environment.
    #[cfg(feature = "s3")]
    pub fn with_variables(topology: &str, variables: &[(&str, &str)]) -> Lab {
        Lab::begun(topology, true, variables)
    }

    /// A command in its environment.
    #[cfg(feature = "s3")]
    pub fn run(&self, args: &[&str]) -> crate::harness::Finished {
        let mut command = binary(args);
        command.envs(self.variables.iter().cloned());
        Process::start(command).finish()
    }

    fn begun(topology: &str, with_sql: bool, variables: &[(&str, &str)]) -> Lab {
        let dir = tempfile::tempdir().unwrap();
        let variables = variables.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
        let mut lab = Lab { dir, topology: topology.into(), with_sql, variables, served: None };
        lab.begin();
        lab
    }

    pub fn begin(&mut self) {
        let file = self.dir.path().join("zones.toml");
        std::fs::write(&file, &self.topology).unwrap();
        let mut command = binary([if self.with_sql { "run" } else { "gateway" }]);
        if self.with_sql {
            let script = self.dir.path().join("empty.sql");
            std::fs::write(&script, "-- statements come over HTTP").unwrap();
            command.args(["--gateway", "-w", "2", "--commit-interval", "0.1"]).arg(script);
        }
        command.args(["--listen", "127.0.0.1:0", "--allow-callback", "127.0.0.1"]);
        command.arg("--data-dir").arg(self.dir.path().join("data")).arg("--topology").arg(file);
        command.envs(self.variables.iter().cloned());
        self.served = Some(Served::of(command));
    }

    pub fn kill(&mut self) {
        let mut served = self.served.take().unwrap();
        served.process.child.kill().unwrap();
        served.process.child.wait().unwrap();
    }

    pub fn stop(&mut self) {
        let finished = self.served.take().unwrap().stop();
        assert_eq!(finished.code, Some(0), "{finished:?}");
    }

    pub fn url(&self) -> &str {
        &self.served.as_ref().unwrap().url
    }

    pub fn ask(&self, method: &str, path: &str, body: &str) -> (u16, Value) {
        ask(self.url(), method, path, &[("content-type", "application/json")], body)
    }

    pub fn get(&self, path: &str) -> Value {
        let (status, body) = self.ask("GET", path, "");
        assert_eq!(status, 200, "{path}: {body}");
        body
    }

    /// A schema that is available, of an event with a key and a number.
    pub fn event(&self, namespace: &str, event_type: &str) -> String {
        self.schema(namespace, event_type, &ENTRY.replace("Entry", event_type))
    }

    pub fn schema(&self, namespace: &str, event_type: &str, schema: &str) -> String {
        let body = json!({ "namespace": namespace, "event_type": event_type, "schema": schema });
        let (status, registered) = self.ask("POST", "/event-schemas", &body.to_string());
        assert_eq!(status, 201, "{registered}");
        let id = registered["schema_id"].as_str().unwrap().to_string();
        let (status, active) = self.ask("POST", &format!("/event-schemas/{id}/activate"), "");
        assert_eq!((status, &active["status"]), (200, &json!("available")), "{active}");
        id
    }

    pub fn publish(&self, id: &str, payloads: impl IntoIterator<Item = Value>) -> (u16, Value) {
        let items: Vec<Value> = payloads
            .into_iter()
            .map(|p| json!({"producer_id": "test", "schema_id": id, "payload": p}))
            .collect();
        self.ask("POST", "/produce", &json!({ "items": items }).to_string())
    }

    fn subscribe(&self, name: &str, spec: Value) -> Value {
        let (status, made) = self.ask("PUT", &format!("/subscriptions/{name}"), &spec.to_string());
        assert!(matches!(status, 200 | 201), "{made}");
        made
    }

    /// Waits until a path's answer is as wanted.
    pub fn until(&self, path: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let started = Instant::now();
        loop {
            let now = self.get(path);
            if wanted(&now) {
                return now;
            }
            assert!(started.elapsed() < DEADLINE, "{path} is still {now}");
            std::thread::yield_now();
        }
    }

    /// Everything that is stored of an event, as consumers read it.
    pub fn stored(&self, event: &str) -> Vec<Value> {
        let (mut all, mut from) = (Vec::new(), "earliest".to_string());
        loop {
            let page = self.get(&format!("/events/{event}?from={from}&wait=0&limit=1000"));
            let events = page["events"].as_array().unwrap().clone();
            if events.is_empty() {
                return all;
            }
            all.extend(events);
            from = page["next"].as_str().unwrap().to_string();
        }
    }
}

pub const ENTRY: &str = r#"{"type": "record", "name": "Entry", "fields": [
    {"name": "user", "type": "string"}, {"name": "n", "type": "int"}, {"name": "note", "type": ["null", "string"], "default": null}]}"#;

pub fn entry(user: &str, n: usize) -> Value {
    json!({ "user": user, "n": n })
}

fn ask(url: &str, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> (u16, Value) {
    try_ask(url, method, path, headers, body).unwrap_or_else(|e| panic!("{method} {path}: {e}"))
}

fn try_ask(
    url: &str,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Result<(u16, Value), String> {
    let config = ureq::Agent::config_builder().http_status_as_error(false).build();
    let agent: ureq::Agent = config.into();
    let mut request = ureq::http::Request::builder().method(method).uri(format!("{url}{path}"));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = agent.run(request.body(body.to_string()).unwrap()).map_err(|e| e.to_string())?;
    let status = response.status().as_u16();
    let text = response.into_body().read_to_string().map_err(|e| e.to_string())?;
    Ok((status, serde_json::from_str(&text).unwrap_or(Value::String(text))))
}

/// A service that is called back. It answers as it is told, and hands over what it got.
struct Receiver_ {
    url: String,
    calls: Receiver<Call>,
}

/// A status and more headers.
type Answer = (u16, &'static str);

impl Receiver_ {
    fn start(answer: impl Fn(&Call) -> Answer + Send + Sync + 'static) -> Receiver_ {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/callback", listener.local_addr().unwrap());
        let (sender, calls) = sync_channel(100_000);
        let answer = Arc::new(answer);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (sender, answer) = (sender.clone(), Arc::clone(&answer));
                std::thread::spawn(move || serve(stream, &sender, &*answer));
            }
        });
        Receiver_ { url, calls }
    }

    fn next(&self) -> Call {
        self.calls.recv_timeout(DEADLINE).expect("a call")
    }

    /// So many events, in the order of the calls.
    fn events(&self, count: usize) -> Vec<Value> {
        let mut events = Vec::new();
        while events.len() < count {
            events.extend(self.next().events());
        }
        events
    }
}

fn serve(stream: TcpStream, calls: &SyncSender<Call>, answer: &dyn Fn(&Call) -> Answer) {
    let mut reader = BufReader::new(stream);
    loop {
        let Some(Asked { path, headers, body, .. }) = fake_http::read(&mut reader) else { return };
        let call = Call { path, headers, body: serde_json::from_slice(&body).unwrap() };
        let (status, more) = answer(&call);
        if calls.send(call).is_err() || fake_http::answer(reader.get_mut(), status, more, "").is_err() {
            return;
        }
    }
}

pub fn numbers(events: &[Value]) -> BTreeMap<String, Vec<i64>> {
    let mut of: BTreeMap<String, Vec<i64>> = BTreeMap::new();
    for event in events {
        let data = &event["data"];
        of.entry(data["user"].as_str().unwrap().into()).or_default().push(data["n"].as_i64().unwrap());
    }
    of
}

/// The talk: register a schema, activate it, post an event by its schema, be called back with it.
#[test]
fn the_talks_examples_as_they_stand_there() {
    let lab = Lab::start("[zones.mfp]\n");
    let schema = r#"{"type": "record", "name": "FoodEntryCreated", "fields": [
        {"name": "context", "type": ["null", "string"]}, {"name": "email_address", "type": "string"},
        {"name": "first_name", "type": ["null", "string"]}, {"name": "country", "type": ["null", "string"]}]}"#;
    let file = lab.dir.path().join("FoodEntryCreated.avsc");
    std::fs::write(&file, schema).unwrap();
    let cli = |args: &[&str]| {
        let mut command = binary(args);
        command.args(["--gateway", lab.url()]);
        Process::start(command).finish()
    };
    let registered = cli(&[
        "schema",
        "register",
        "--event-type",
        "FoodEntryCreated",
        "--file-name",
        file.to_str().unwrap(),
        "--namespace",
        "mfp",
    ]);
    let metadata: Value =
        serde_json::from_str(&registered.stdout).unwrap_or_else(|_| panic!("{registered:?}"));
    assert_eq!(metadata["status"], "pending");
    assert_eq!(metadata["confluent_subject"], "mfp_foodentrycreated");
    let id = metadata["schema_id"].as_str().unwrap().to_string();
    assert_eq!(id.len(), 32);
    let body = json!({"items": [{"producer_id": "foo", "schema_id": id, "zone": "mfp", "payload": {
        "context": null, "email_address": "vneo", "first_name": null, "country": {"string": "US"}}}]})
    .to_string();
    // Nobody can write with a pending schema, nor find it in the registry.
    let (status, refused) = lab.ask("POST", "/golden-gate-proxy/produce", &body);
    assert_eq!(status, 400);
    let error = &refused["items"][0]["error"];
    assert!(error["message"].as_str().unwrap().ends_with("is pending"), "{error}");
    assert_eq!(error["hint"], format!("wharfe schema activate {id}"));
    assert_eq!(lab.get("/subjects"), json!([]));
    let activated = cli(&["schema", "activate", &id]);
    assert_eq!(activated.code, Some(0), "{activated:?}");
    assert_eq!(lab.get("/subjects"), json!(["mfp_foodentrycreated"]));
    let receiver = Receiver_::start(|_| (200, ""));
    let consumed =
        cli(&["consume", "--detach", "--subscriptions", &format!("mfp/FoodEntryCreated={}", receiver.url)]);
    assert_eq!(consumed.code, Some(0), "{consumed:?}");
    lab.until("/subscriptions", |all| all[0]["behind"] == 0);
    let (status, accepted) = lab.ask("POST", "/golden-gate-proxy/produce", &body);
    assert_eq!(status, 202, "{accepted}");
    let call = receiver.next();
    assert_eq!(call.path, "/callback");
    assert_eq!(call.headers["content-type"], "application/cloudevents+json; charset=utf-8");
    assert_eq!(call.headers["webhook-id"], accepted["items"][0]["id"].as_str().unwrap());
    assert_eq!(
        call.body["data"],
        json!({"context": null, "email_address": "vneo", "first_name": null, "country": "US"})
    );
    assert_eq!(
        (&call.body["type"], &call.body["source"]),
        (&json!("mfp.FoodEntryCreated"), &json!("/producers/foo"))
    );
    let secret = consumed.stderr.split_whitespace().find(|word| word.starts_with("whsec_")).unwrap();
    assert!(is_signed(&call, secret), "{call:?}");
    // The way of the event is known.
    let traced = cli(&["trace", call.body["id"].as_str().unwrap()]);
    assert!(traced.stdout.contains("stored") && traced.stdout.contains("zone=mfp"), "{traced:?}");
    lab.until(&format!("/trace/{}", call.body["id"].as_str().unwrap()), |ways| {
        ways[0]["steps"].as_array().unwrap().iter().any(|step| step["step"] == "delivered")
    });
}

/// Standard Webhooks: HMAC-SHA256 of id, time and body.
fn is_signed(call: &Call, secret: &str) -> bool {
    let key = wharfe::gateway::deliver::sign::key(secret).unwrap();
    let time: i64 = call.headers["webhook-timestamp"].parse().unwrap();
    let body = call.body.to_string();
    let expected =
        wharfe::gateway::deliver::sign::signature(&[key], &call.headers["webhook-id"], time, body.as_bytes());
    call.headers["webhook-signature"] == expected
}

#[test]
fn each_event_has_its_answer_and_what_is_refused_is_not_stored() {
    let lab = Lab::start("[zones.mfp]\n[zones.mmf]\n");
    let id = lab.event("mfp", "Entry");
    let (status, body) = lab.publish(
        &id,
        [entry("a", 1), json!({"user": "a", "n": "x"}), json!({"user": "a", "m": 1}), entry("a", 2)],
    );
    assert_eq!(status, 207, "{body}");
    let statuses: Vec<i64> =
        body["items"].as_array().unwrap().iter().map(|item| item["status"].as_i64().unwrap()).collect();
    assert_eq!(statuses, [202, 400, 400, 202]);
    assert_eq!(body["items"][1]["error"]["path"], "payload.n");
    assert_eq!(body["items"][1]["error"]["message"], "expected int, found \"x\"");
    assert_eq!(
        body["items"][2]["error"]["message"],
        "expected int, and it is missing; it has no default and cannot be null; is it `m`?"
    );
    assert_eq!(numbers(&lab.stored("mfp/Entry"))["a"], [1, 2]);
    let json_type = [("content-type", "application/json")];
    let post = |headers: &[(&str, &str)], body: &str| ask(lab.url(), "POST", "/produce", headers, body);
    let items = |item: Value| json!({ "items": [item] }).to_string();
    let cases = [
        (400, "{".to_string(), "the body is not JSON"),
        (400, "{\"items\": []}".into(), "there is no event in it"),
        (400, "[]".into(), "the body is no {\"items\": […]}"),
        (
            400,
            items(json!({"producer_id": "x", "schema_id": "nope", "payload": {}})),
            "there is no schema nope",
        ),
        (
            400,
            items(json!({"producer_id": "x", "event": "mfp/Entri", "payload": {}})),
            "there is no event mfp/Entri",
        ),
        (
            400,
            items(json!({"producer_id": "x", "schema_id": id, "zone": "mmf", "payload": entry("a", 1)})),
            "mfp/Entry is published to zone mfp, not mmf",
        ),
    ];
    for (status, body, message) in cases {
        let (got, answer) = post(&json_type, &body);
        let error = if answer["items"].is_array() { &answer["items"][0]["error"] } else { &answer["error"] };
        assert!(error["message"].as_str().unwrap().contains(message), "{body}: {answer}");
        assert_eq!(got, status, "{body}");
    }
    let near = post(&json_type, &items(json!({"producer_id": "x", "event": "mfp/Entri", "payload": {}})));
    assert_eq!(near.1["items"][0]["error"]["hint"], "did you mean mfp/Entry?");
    assert_eq!(post(&[("content-type", "text/xml")], "<x/>").0, 415);
    let long = format!("{{\"items\": [\"{}\"]}}", "x".repeat(9 << 20));
    assert_eq!(post(&json_type, &long).0, 413);
    assert_eq!(lab.stored("mfp/Entry").len(), 2);
}

#[test]
fn cloudevents_come_in_in_all_three_modes_and_once() {
    let lab = Lab::start("[zones.all]\nnamespaces = ['*']\n");
    lab.event("mfp", "Entry");
    let event = |id: &str, n: usize| {
        json!({"specversion": "1.0", "type": "mfp.Entry", "source": "/app", "id": id, "data": entry("a", n), "team": "x",
            "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"})
    };
    let post = |headers: &[(&str, &str)], body: String| ask(lab.url(), "POST", "/produce", headers, &body);
    let structured = [("content-type", "application/cloudevents+json")];
    let batched = [("content-type", "application/cloudevents-batch+json; charset=utf-8")];
    let (status, answer) = post(&structured, event("1", 1).to_string());
    assert_eq!((status, &answer["offset"]), (202, &json!(0)), "{answer}");
    // The same again, also in a batch, and twice in one: stored once.
    let (status, answer) = post(&batched, json!([event("1", 1), event("2", 2), event("2", 2)]).to_string());
    assert_eq!(status, 202, "{answer}");
    assert_eq!((&answer["items"][0]["duplicate"], &answer["items"][0]["offset"]), (&json!(true), &json!(0)));
    assert_eq!((&answer["items"][2]["duplicate"], &answer["items"][2]["offset"]), (&json!(true), &json!(1)));
    let binary = [
        ("content-type", "application/json"),
        ("ce-specversion", "1.0"),
        ("ce-type", "mfp.Entry"),
        ("ce-source", "/app"),
        ("ce-id", "3"),
        ("ce-team", "caf%C3%A9"),
        ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
    ];
    let (status, answer) = post(&binary, entry("a", 3).to_string());
    assert_eq!(status, 202, "{answer}");
    let stored = lab.stored("mfp/Entry");
    assert_eq!(numbers(&stored)["a"], [1, 2, 3]);
    assert_eq!((&stored[0]["team"], &stored[2]["team"]), (&json!("x"), &json!("café")));
    assert!(
        stored.iter().all(|e| e["traceparent"] == "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
    );
    assert_eq!(lab.get("/trace/0af7651916cd43dd8448eb211c80319c").as_array().unwrap().len(), 3);
    let (status, refused) = post(
        &structured,
        json!({"specversion": "1.0", "type": "mfp.Entry", "source": "/app", "data": {}}).to_string(),
    );
    assert_eq!((status, &refused["error"]["path"]), (400, &json!("id")), "{refused}");
}

/// Fifty times the gateway is killed while it is published to; what it has answered with 202 is there, each
/// event once, and in order.
#[test]
fn a_kill_loses_no_acknowledged_event() {
    let mut lab =
        Lab::start("[zones.all]\nnamespaces = ['*']\n[events.'mfp/Entry']\nzone = 'all'\nkey = 'user'\n");
    lab.event("mfp", "Entry");
    let acknowledged: Arc<Mutex<Vec<usize>>> = Arc::default();
    let mut random = Random(7);
    let mut next = 0;
    for _ in 0..50 {
        let url = lab.url().to_string();
        let counted = Arc::clone(&acknowledged);
        let (acknowledged, from) = (Arc::clone(&acknowledged), next);
        let publisher = std::thread::spawn(move || {
            for n in from.. {
                let event = json!({"specversion": "1.0", "type": "mfp.Entry", "source": "/app", "id": n.to_string(), "data": entry("a", n)});
                let headers = [("content-type", "application/cloudevents+json")];
                match try_ask(&url, "POST", "/produce", &headers, &event.to_string()) {
                    Ok((202, _)) => acknowledged.lock().unwrap().push(n),
                    // It is not known whether this one is stored: it is sent again, under the same id.
                    _ => return n,
                }
            }
            unreachable!()
        });
        // Some more are acknowledged first, so that each kill comes amid publishing.
        let wanted = counted.lock().unwrap().len() + 1 + random.below(15) as usize;
        while counted.lock().unwrap().len() < wanted && !publisher.is_finished() {
            std::thread::yield_now();
        }
        lab.kill();
        next = publisher.join().unwrap();
        lab.begin();
    }
    let stored = lab.stored("mfp/Entry");
    let numbers = numbers(&stored);
    let all: Vec<i64> = (0..numbers["a"].len() as i64).collect();
    assert_eq!(numbers["a"], all, "each once, in order");
    let acknowledged = acknowledged.lock().unwrap();
    assert!(acknowledged.len() >= 50, "{}", acknowledged.len());
    assert!(acknowledged.iter().all(|n| *n < all.len()));
}

#[test]
fn a_keys_events_are_delivered_in_order_while_one_that_fails_waits() {
    let lab =
        Lab::start("[zones.all]\nnamespaces = ['*']\n[events.'mfp/Entry']\nzone = 'all'\nkey = 'user'\n");
    let id = lab.event("mfp", "Entry");
    // The first two calls for user b fail.
    let failures = Mutex::new(0);
    let receiver = Receiver_::start(move |call| {
        let mut failures = failures.lock().unwrap();
        if call.body["data"]["user"] == "b" && *failures < 2 {
            *failures += 1;
            return (500, "");
        }
        (204, "")
    });
    lab.subscribe("s", json!({"event": "mfp/Entry", "url": receiver.url, "from": "earliest"}));
    let payloads = (0..20).map(|n| entry(["a", "b", "c"][n % 3], n));
    assert_eq!(lab.publish(&id, payloads).0, 202);
    let calls: Vec<Call> = (0..22).map(|_| receiver.next()).collect();
    let events: Vec<Value> = calls.iter().map(|call| call.body.clone()).collect();
    let of = numbers(&events);
    assert_eq!(of["a"], (0..20).step_by(3).collect::<Vec<i64>>());
    assert_eq!(of["c"], (2..20).step_by(3).collect::<Vec<i64>>());
    assert_eq!(of["b"], [vec![1, 1], (1..20).step_by(3).collect()].concat());
    // An attempt that is made again is told by its id.
    let ids: Vec<&String> =
        calls.iter().filter(|c| c.body["data"]["n"] == 1).map(|c| &c.headers["webhook-id"]).collect();
    assert!(ids.len() == 3 && ids.iter().all(|id| *id == ids[0]));
    // The others did not wait for it.
    let last_b = events.iter().rposition(|event| event["data"]["user"] == "b").unwrap();
    let last_a = events.iter().rposition(|event| event["data"]["user"] == "a").unwrap();
    assert!(last_a < last_b);
    lab.until("/subscriptions/s", |now| now["delivered"] == 20 && now["failed"] == 2 && now["behind"] == 0);
}

#[test]
fn filters_batches_and_a_clean_stop() {
    let mut lab =
        Lab::start("[zones.all]\nnamespaces = ['*']\n[events.'mfp/Entry']\nzone = 'all'\nkey = 'user'\n");
    let id = lab.event("mfp", "Entry");
    let receiver = Receiver_::start(|_| (200, ""));
    let wrong = |filter: &str| {
        let spec = json!({"event": "mfp/Entry", "url": receiver.url, "filter": filter});
        let (status, body) = lab.ask("PUT", "/subscriptions/s", &spec.to_string());
        assert_eq!(status, 400);
        body["error"]["message"].as_str().unwrap().to_string()
    };
    assert!(wrong("m > 1").contains("unknown column M"), "{}", wrong("m > 1"));
    assert!(wrong("n +").contains("filter:1:"));
    assert_eq!(wrong("n + 1"), "the filter is INTEGER, not BOOLEAN");
    lab.subscribe("s", json!({"event": "mfp/Entry", "url": receiver.url, "filter": "n % 2 = 0 AND user <> 'x'", "batch": 5, "from": "earliest"}));
    assert_eq!(lab.publish(&id, (0..20).map(|n| entry("a", n))).0, 202);
    assert_eq!(lab.publish(&id, (0..20).map(|n| entry("x", n))).0, 202);
    assert_eq!(
        numbers(&receiver.events(10)),
        BTreeMap::from([("a".to_string(), (0..20).step_by(2).collect())])
    );
    lab.until("/subscriptions/s", |now| now["delivered"] == 10 && now["behind"] == 0);
    // After a clean stop nothing comes twice.
    lab.stop();
    lab.begin();
    assert_eq!(lab.publish(&id, [entry("a", 100), entry("a", 102)]).0, 202);
    assert_eq!(numbers(&receiver.events(2))["a"], [100, 102]);
    assert!(receiver.calls.try_recv().is_err());
}

#[test]
fn receivers_that_are_gone_busy_or_wrong() {
    let lab = Lab::start("[zones.all]\nnamespaces = ['*']\n");
    let id = lab.event("mfp", "Entry");
    // 415 is hopeless: at once a dead letter, which can be delivered again.
    let good = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let is_good = Arc::clone(&good);
    let picky = Receiver_::start(move |_| {
        if is_good.load(std::sync::atomic::Ordering::SeqCst) { (200, "") } else { (415, "") }
    });
    let gone = Receiver_::start(|_| (410, ""));
    let redirecting = Receiver_::start(|_| (302, "location: http://127.0.0.1:1/\r\n"));
    let asked = Mutex::new(false);
    let busy = Receiver_::start(move |_| {
        if std::mem::replace(&mut *asked.lock().unwrap(), true) {
            (200, "")
        } else {
            (429, "retry-after: 1\r\n")
        }
    });
    for (name, receiver) in
        [("picky", &picky), ("gone", &gone), ("redirecting", &redirecting), ("busy", &busy)]
    {
        lab.subscribe(name, json!({"event": "mfp/Entry", "url": receiver.url, "from": "earliest"}));
    }
    assert_eq!(lab.publish(&id, [entry("a", 1)]).0, 202);
    picky.next();
    lab.until("/subscriptions/picky", |now| now["dead_letters"] == 1 && now["behind"] == 0);
    gone.next();
    lab.until("/subscriptions/gone", |now| now["state"] == "retired");
    redirecting.next();
    lab.until("/subscriptions/redirecting", |now| now["last_failure"] == "status 302");
    let (first, second) = (busy.next(), busy.next());
    let time = |call: &Call| call.headers["webhook-timestamp"].parse::<i64>().unwrap();
    assert!(time(&second) > time(&first), "a second later");
    good.store(true, std::sync::atomic::Ordering::SeqCst);
    let (status, _) = lab.ask("POST", "/subscriptions/picky/redrive", "");
    assert_eq!(status, 200);
    assert_eq!(picky.next().body["data"], json!({"user": "a", "n": 1, "note": null}));
    lab.until("/subscriptions/picky", |now| now["delivered"] == 1);
    assert!(picky.calls.try_recv().is_err());
    // A call-back to a private address that is not named is refused.
    let (status, body) = lab.ask(
        "PUT",
        "/subscriptions/evil",
        &json!({"event": "mfp/Entry", "url": "http://10.0.0.1/"}).to_string(),
    );
    assert_eq!(status, 400);
    assert!(body["error"]["message"].as_str().unwrap().contains("10.0.0.1 is a private address"), "{body}");
    lab.until("/lag", |lags| lags.as_array().unwrap().len() == 4);
}

/// An event moves to another zone while it is published and consumed: nothing is lost, nothing comes
/// twice, and each key's order stays.
#[test]
fn a_move_under_load_loses_nothing() {
    let lab = Lab::start("[zones.mfp]\n[zones.quiet]\n[events.'mfp/Entry']\nzone = 'mfp'\nkey = 'user'\n");
    let id = lab.event("mfp", "Entry");
    let receiver = Receiver_::start(|_| (200, ""));
    lab.subscribe("s", json!({"event": "mfp/Entry", "url": receiver.url, "from": "earliest", "batch": 50}));
    assert_eq!(lab.publish(&id, [entry("a", 0)]).0, 202);
    let (url, schema) = (lab.url().to_string(), id.clone());
    let publisher = std::thread::spawn(move || {
        for n in 1..300 {
            let items: Vec<Value> = ["a", "b"]
                .iter()
                .map(|u| json!({"producer_id": "p", "schema_id": schema, "payload": entry(u, n)}))
                .collect();
            let (status, body) = ask(
                &url,
                "POST",
                "/produce",
                &[("content-type", "application/json")],
                &json!({ "items": items }).to_string(),
            );
            assert_eq!(status, 202, "{body}");
        }
    });
    for zone in ["quiet", "mfp", "quiet"] {
        let before = lab.get("/topology/events/mfp/Entry");
        let (status, moved) =
            lab.ask("PUT", "/topology/events/mfp/Entry", &json!({"zone": zone, "key": "user"}).to_string());
        assert_eq!((status, &moved["zone"]), (200, &json!(zone)), "{moved}");
        assert!(moved["version"].as_u64() > before["version"].as_u64());
    }
    publisher.join().unwrap();
    let of = numbers(&receiver.events(599));
    assert_eq!(of["a"], (0..300).collect::<Vec<i64>>());
    assert_eq!(of["b"], (1..300).collect::<Vec<i64>>());
    assert_eq!(lab.stored("mfp/Entry").len(), 599);
    lab.until("/subscriptions/s", |now| now["behind"] == 0);
    assert!(receiver.calls.try_recv().is_err());
    // Who looks with an old version is told, and who is up to date is told that.
    let tag = |headers: &[(&str, &str)], method: &str, body: &str| {
        ask(lab.url(), method, "/topology/events/mfp/Entry", headers, body)
    };
    let version = lab.get("/topology/events/mfp/Entry")["version"].as_u64().unwrap();
    assert_eq!(tag(&[("if-none-match", &format!("\"{version}\""))], "GET", "").0, 304);
    assert_eq!(tag(&[("if-match", "\"1\"")], "PUT", r#"{"zone": "mfp"}"#).0, 412);
    assert_eq!(
        tag(&[], "PUT", r#"{"zone": "mfq"}"#).1["error"]["hint"],
        "did you mean mfp? there are mfp, quiet"
    );
    assert_eq!(lab.get("/topology/changes")[0]["who"], "anybody");
}

#[test]
fn a_schema_that_breaks_somebody_is_refused() {
    let lab = Lab::start("[zones.all]\nnamespaces = ['*']\n");
    let id = lab.event("mfp", "Entry");
    let receiver = Receiver_::start(|_| (200, ""));
    lab.subscribe("s", json!({"event": "mfp/Entry", "url": receiver.url, "filter": "note = 'x'"}));
    let register = |fields: &str| {
        let schema = format!(r#"{{"type": "record", "name": "Entry", "fields": [{fields}]}}"#);
        lab.ask(
            "POST",
            "/event-schemas",
            &json!({"namespace": "mfp", "event_type": "Entry", "schema": schema}).to_string(),
        )
    };
    let base = r#"{"name": "user", "type": "string"}, {"name": "n", "type": "int"}"#;
    let (status, body) = register(r#"{"name": "user", "type": "string"}"#);
    assert_eq!(status, 409, "{body}");
    assert_eq!(body["error"]["found"][0]["rule"], "READER_FIELD_MISSING_DEFAULT_VALUE");
    // By the rules note may go; a subscription uses it.
    let (status, body) = register(base);
    assert_eq!(status, 409, "{body}");
    assert!(body["error"]["message"].as_str().unwrap().contains("subscription s filters by NOTE"), "{body}");
    let more = format!(
        r#"{base}, {{"name": "note", "type": ["null", "string"], "default": null}}, {{"name": "kcal", "type": ["null", "int"], "default": null}}"#
    );
    let (status, body) = register(&more);
    assert_eq!((status, &body["status"]), (201, &json!("pending")), "{body}");
    let new = body["schema_id"].as_str().unwrap().to_string();
    assert_eq!(register(&more).0, 200, "the same again");
    let diff = lab.get(&format!("/event-schemas/{new}/diff"));
    assert!(diff["lines"].to_string().contains("kcal"));
    assert_eq!(lab.ask("POST", &format!("/event-schemas/{new}/activate"), "").0, 200);
    assert_eq!(lab.ask("POST", &format!("/event-schemas/{id}/deprecate"), "").0, 200);
    assert_eq!(lab.publish(&id, [entry("a", 1)]).0, 202, "a deprecated one can be written with");
    assert_eq!(lab.ask("POST", &format!("/event-schemas/{id}/retire"), "").0, 200);
    let (status, body) = lab.publish(&id, [entry("a", 2)]);
    assert_eq!(status, 400);
    assert!(body["items"][0]["error"]["hint"].as_str().unwrap().starts_with(&new), "{body}");
    assert_eq!(lab.publish(&new, [json!({"user": "a", "n": 3, "kcal": 52})]).0, 202);
    let stored = lab.stored("mfp/Entry");
    assert_eq!((stored[0]["data"]["n"].as_i64(), stored[1]["data"]["kcal"].as_i64()), (Some(1), Some(52)));
}

#[test]
fn tokens_open_their_namespaces() {
    let lab = Lab::start(
        "[zones.all]\nnamespaces = ['*']\n[tokens.diary]\nsecret = 'diary-secret'\npublish = ['mfp']\n\
         [tokens.coach]\nsecret = 'coach-secret'\nconsume = ['mfp']\n[tokens.ops]\nsecret = 'ops-secret-1'\nadmin = ['*']\n",
    );
    let as_ = |secret: &str, method: &str, path: &str, body: &str| {
        let bearer = format!("Bearer {secret}");
        let headers = [("content-type", "application/json"), ("authorization", bearer.as_str())];
        ask(lab.url(), method, path, if secret.is_empty() { &headers[..1] } else { &headers }, body)
    };
    let register = json!({"namespace": "mfp", "event_type": "Entry", "schema": ENTRY}).to_string();
    assert_eq!(as_("", "POST", "/event-schemas", &register).0, 401);
    assert_eq!(as_("wrong-secret", "POST", "/event-schemas", &register).0, 401);
    assert_eq!(as_("diary-secret", "POST", "/event-schemas", &register).0, 403);
    let (status, body) = as_("ops-secret-1", "POST", "/event-schemas", &register);
    assert_eq!((status, &body["registered_by"]), (201, &json!("ops")));
    let id = body["schema_id"].as_str().unwrap();
    assert_eq!(as_("ops-secret-1", "POST", &format!("/event-schemas/{id}/activate"), "").0, 200);
    let produce =
        json!({"items": [{"producer_id": "p", "schema_id": id, "payload": entry("a", 1)}]}).to_string();
    assert_eq!(as_("", "POST", "/produce", &produce).0, 401);
    assert_eq!(as_("coach-secret", "POST", "/produce", &produce).0, 403);
    assert_eq!(as_("diary-secret", "POST", "/produce", &produce).0, 202);
    assert_eq!(as_("diary-secret", "GET", "/events/mfp/Entry?from=earliest", "").0, 403);
    assert_eq!(as_("coach-secret", "GET", "/events/mfp/Entry?from=earliest", "").0, 200);
    assert_eq!(as_("diary-secret", "PUT", "/topology/events/mfp/Entry", r#"{"zone": "all"}"#).0, 403);
    assert_eq!(
        as_("ops-secret-1", "PUT", "/topology/events/mfp/Entry", r#"{"zone": "all", "owner": "me"}"#).0,
        200
    );
}

/// A token of the topology opens its namespaces; a name of the access file has its role in all of them, and only
/// those names get at the registry and the metrics.
#[test]
fn names_of_the_access_file_have_their_role_in_all_namespaces() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        std::fs::write(dir.path().join(name), text).unwrap();
        dir.path().join(name)
    };
    let topology = write(
        "zones.toml",
        "[zones.all]\nnamespaces = ['*']\n[tokens.diary]\nsecret = 'diary-secret'\npublish = ['mfp']\n",
    );
    let tokens = ["read", "write", "admin"].map(|role| {
        format!("[[tokens]]\nname = '{role}er'\ntoken = '{role}-0123456789abcdef'\nrole = '{role}'\n")
    });
    let access = write("access.toml", &tokens.concat());
    let mut command = binary(["gateway", "--listen", "127.0.0.1:0", "--data-dir"]);
    command.arg(dir.path().join("data")).arg("--topology").arg(topology).arg("--access").arg(access);
    let served = Served::of(command);
    let as_ = |secret: &str, method: &str, path: &str, body: &str| {
        let secret = if secret.len() < 6 { format!("{secret}-0123456789abcdef") } else { secret.into() };
        let bearer = format!("Bearer {secret}");
        ask(&served.url, method, path, &[("authorization", bearer.as_str())], body)
    };
    let register = json!({"namespace": "mfp", "event_type": "Entry", "schema": ENTRY}).to_string();
    assert_eq!(as_("write", "POST", "/event-schemas", &register).0, 403);
    let (status, body) = as_("admin", "POST", "/event-schemas", &register);
    assert_eq!((status, &body["registered_by"]), (201, &json!("adminer")));
    let id = body["schema_id"].as_str().unwrap();
    assert_eq!(as_("admin", "POST", &format!("/event-schemas/{id}/activate"), "").0, 200);
    let item = json!({"producer_id": "p", "schema_id": id, "payload": entry("a", 1)});
    let produce = json!({ "items": [item] }).to_string();
    let subscription = json!({"event": "mfp/Entry", "url": "http://127.0.0.1:1/"}).to_string();
    for (who, method, path, body, expected) in [
        ("read", "POST", "/produce", &produce, 403),
        ("write", "POST", "/produce", &produce, 202),
        ("diary-secret", "POST", "/produce", &produce, 202),
        ("nobody", "POST", "/produce", &produce, 401),
        ("read", "PUT", "/subscriptions/mine", &subscription, 403),
        ("read", "GET", "/events/mfp/Entry?from=earliest", &String::new(), 200),
        ("diary-secret", "GET", "/events/mfp/Entry?from=earliest", &String::new(), 403),
        ("read", "GET", "/subjects", &String::new(), 200),
        ("diary-secret", "GET", "/subjects", &String::new(), 401),
        ("diary-secret", "GET", "/metrics", &String::new(), 401),
    ] {
        assert_eq!(as_(who, method, path, body).0, expected, "{who} {method} {path}");
    }
    let anybody = ask(&served.url, "GET", "/topology", &[], "");
    assert_eq!(anybody.0, 401, "{anybody:?}");
    let elsewhere = [("origin", "http://evil.example"), ("authorization", "Bearer write-0123456789abcdef")];
    assert_eq!(ask(&served.url, "POST", "/produce", &elsewhere, &produce).0, 403);
}

/// Whatever is posted, the gateway answers with a status of its own and goes on.
#[test]
fn fuzzed_bodies_break_nothing() {
    let lab = Lab::start("[zones.all]\nnamespaces = ['*']\n");
    let id = lab.event("mfp", "Entry");
    let good = json!({"items": [{"producer_id": "p", "schema_id": id, "payload": {"user": "a", "n": 1, "note": {"string": "x"}}}]}).to_string();
    let mut random = Random(3);
    let types = ["application/json", "application/cloudevents+json", "application/cloudevents-batch+json"];
    for _ in 0..300 {
        let mut bytes = good.clone().into_bytes();
        for _ in 0..1 + random.below(4) {
            let at = random.below(bytes.len() as u64) as usize;
            match random.below(3) {
                0 => bytes[at] = b"{}[]\",:0x"[random.below(9) as usize],
                1 => drop(bytes.remove(at)),
                _ => bytes.insert(at, b'"'),
            }
        }
        let body = String::from_utf8_lossy(&bytes).into_owned();
        let (status, answer) =
            ask(lab.url(), "POST", "/produce", &[("content-type", types[random.below(3) as usize])], &body);
        assert!(matches!(status, 202 | 207 | 400), "{status} {answer}: {body}");
    }
    let deep = format!("{{\"items\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
    assert_eq!(ask(lab.url(), "POST", "/produce", &[("content-type", types[0])], &deep).0, 400);
    assert_eq!(lab.ask("POST", "/produce", &good).0, 202);
}

/// Who cannot be called comes and asks, and goes on where it was.
#[test]
fn events_are_streamed_with_tokens_and_a_zone_is_watched() {
    let lab = Lab::start("[zones.all]\nnamespaces = ['*']\n");
    let id = lab.event("mfp", "Entry");
    assert_eq!(lab.publish(&id, (0..5).map(|n| entry("a", n))).0, 202);
    let client = wharfe::client::Client::new(lab.url());
    let mut events = client.consume("mfp/Entry", "earliest").unwrap();
    let n = |event: wharfe::client::Event| event.data["n"].as_i64().unwrap();
    let first: Vec<i64> = events.by_ref().take(3).map(|event| n(event.unwrap())).collect();
    assert_eq!(first, [0, 1, 2]);
    let mut again = client.consume("mfp/Entry", events.token()).unwrap();
    assert_eq!(n(again.next().unwrap().unwrap()), 3);
    let mut watching = client.stream("/watch/all?event=mfp%2FEntry&where=n%20%3E%2050").unwrap();
    let event = wharfe::client::Event::new("mfp.Entry", "/rust", entry("a", 50));
    let more = wharfe::client::Event::new("mfp.Entry", "/rust", entry("a", 51));
    let stored = client.publish(&[event.clone(), more]).unwrap();
    assert_eq!((stored[0].status, stored[0].offset), (202, Some(5)));
    assert!(client.publish(&[event]).unwrap()[0].duplicate);
    assert_eq!(n(watching.next().unwrap().unwrap()), 51);
    let missing = client.resolve("mfp/Entri").unwrap_err();
    assert_eq!(missing.hint.as_deref(), Some("did you mean mfp/Entry?"));
    assert_eq!(client.resolve("mfp/Entry").unwrap()["zone"], "all");
}

/// The Python client, as it is given to people.
#[test]
fn the_python_client_publishes_and_consumes() {
    let lab = Lab::start("[zones.all]\nnamespaces = ['*']\n");
    lab.event("mfp", "Entry");
    let script = r#"
import sys
sys.path.insert(0, sys.argv[2])
import wharfe_events as w
g = w.Gateway(sys.argv[1])
assert g.resolve("mfp/Entry")["zone"] == "all"
one = w.event("mfp.Entry", "/py", {"user": "a", "n": 1})
assert [r["status"] for r in g.publish([one, w.event("mfp.Entry", "/py", {"user": "a", "n": 2})])] == [202, 202]
assert g.publish([one])[0]["duplicate"]
try:
    g.publish([w.event("mfp.Entry", "/py", {"user": 1, "n": "x"})])
    raise SystemExit("it was not refused")
except w.Refused as e:
    assert "payload.n" in str(e), e
seen = []
for event in g.consume("mfp/Entry", "earliest"):
    seen.append(event["data"]["n"])
    if len(seen) == 2: break
assert seen == [1, 2], seen
print("ok")
"#;
    let clients = Path::new(env!("CARGO_MANIFEST_DIR")).join("clients/python");
    let ran = std::process::Command::new("python3").args(["-c", script, lab.url()]).arg(clients).output();
    let Ok(ran) = ran else { return eprintln!("there is no python3: the client is not tried") };
    assert_eq!(String::from_utf8_lossy(&ran.stdout).trim(), "ok", "{}", String::from_utf8_lossy(&ran.stderr));
}

/// The manifests of an archive, and the numbers that its files hold.
fn archived(dir: &Path) -> (Vec<Manifest>, Vec<i64>) {
    let files = Shelf::Dir(dir.into()).open().unwrap();
    let manifests = layout::list(&*files, None).unwrap();
    let mut numbers = Vec::new();
    for file in manifests.iter().flat_map(|manifest| &manifest.files) {
        let mut records = 0;
        layout::read_file(&*files, &file.path, |line| {
            numbers.push(serde_json::from_str::<Value>(line).unwrap()["data"]["n"].as_i64().unwrap());
            records += 1;
            Ok(())
        })
        .unwrap();
        assert_eq!(records, file.records);
    }
    numbers.sort_unstable();
    (manifests, numbers)
}

/// Each record is archived exactly once, whenever the gateway is killed; events that opt out never are.
#[test]
fn an_archive_has_each_record_once_also_after_kills() {
    let mut lab = Lab::start(
        "[zones.all]\nnamespaces = ['*']\narchive = { url = 'archive', format = 'jsonl', file_age = '20ms' }\n\
         [events.'mfp/Secret']\nzone = 'all'\narchive = false\n",
    );
    let dir = lab.dir.path().join("archive");
    let id = lab.event("mfp", "Entry");
    let secret = lab.event("mfp", "Secret");
    let mut random = Random(5);
    let kills = 50;
    for round in 0..kills {
        let n = round * 4;
        let timed = |n: usize| json!({"producer_id": "p", "schema_id": id, "time": format!("2016-04-19T{:02}:30:00Z", n % 3), "payload": entry("a", n)});
        let items: Vec<Value> = (n..n + 4).map(timed).collect();
        assert_eq!(lab.ask("POST", "/produce", &json!({ "items": items }).to_string()).0, 202);
        assert_eq!(lab.publish(&secret, [entry("hidden", n)]).0, 202);
        // Some kills come before, some amid, some after the files are written.
        std::thread::sleep(std::time::Duration::from_millis(random.below(60)));
        lab.kill();
        lab.begin();
    }
    let all: Vec<i64> = (0..4 * kills as i64).collect();
    let started = Instant::now();
    while archived(&dir).1.len() < all.len() {
        assert!(started.elapsed() < DEADLINE, "{:?}", archived(&dir).1);
    }
    let (manifests, numbers) = archived(&dir);
    assert_eq!(numbers, all);
    let of = |manifest: &Manifest| (manifest.from, manifest.to);
    let mut ranges: Vec<(i64, i64)> = manifests.iter().map(of).collect();
    ranges.sort_unstable();
    assert!(ranges.windows(2).all(|pair| pair[0].1 == pair[1].0), "{ranges:?}");
    assert!(manifests.iter().all(|manifest| manifest.event == "mfp/Entry"));
    let everything = walk(&dir);
    assert!(everything.iter().any(|path| path.contains("mfp.Entry/2016-04-19/02/")), "{everything:?}");
    assert!(
        !everything.iter().any(|path| path.contains("Secret") || path.ends_with(".part")),
        "{everything:?}"
    );
    // It can be read back from the command line.
    let read = crate::harness::run(&["archive", "read", dir.to_str().unwrap(), "--from", "2016-04-19/02"]);
    assert_eq!(read.stdout.lines().count(), all.iter().filter(|n| *n % 3 == 2).count(), "{read:?}");
}

fn walk(dir: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(walk(&path)) } else { found.push(path.display().to_string()) }
    }
    found
}

/// Two clusters are one zone: published to the first that is up, read as one stream.
#[cfg(feature = "kafka")]
#[test]
fn a_zone_of_two_clusters_outlives_one_of_them() {
    use crate::broker::Broker;
    let (eu, us) = (Broker::mock(), Broker::mock());
    let lab = Lab::start(&format!(
        "[clusters.eu]\n'bootstrap.servers' = '{}'\n'message.timeout.ms' = 2000\n[clusters.us]\n'bootstrap.servers' = '{}'\n\
         [zones.all]\nnamespaces = ['*']\nclusters = ['eu', 'us']\n[events.'mfp/Entry']\nzone = 'all'\nkey = 'user'\npartitions = 3\n",
        eu.bootstrap(),
        us.bootstrap()
    ));
    eu.create("mfp.Entry", 3);
    us.create("mfp.Entry", 3);
    let id = lab.event("mfp", "Entry");
    let receiver = Receiver_::start(|_| (200, ""));
    lab.subscribe("s", json!({"event": "mfp/Entry", "url": receiver.url, "from": "earliest"}));
    let (status, body) = lab.publish(&id, (0..10).map(|n| entry("a", n)));
    assert_eq!(status, 202, "{body}");
    assert_eq!(numbers(&receiver.events(10))["a"], (0..10).collect::<Vec<i64>>());
    let traced = lab.get(&format!("/trace/{}", body["items"][0]["id"].as_str().unwrap()));
    assert_eq!(traced[0]["steps"][0]["cluster"], "eu", "{traced}");
    drop(eu);
    let (status, body) = lab.publish(&id, (10..20).map(|n| entry("a", n)));
    assert_eq!(status, 202, "{body}");
    assert_eq!(numbers(&receiver.events(10))["a"], (10..20).collect::<Vec<i64>>());
    let traced = lab.get(&format!("/trace/{}", body["items"][0]["id"].as_str().unwrap()));
    assert_eq!(traced[0]["steps"][0]["cluster"], "us", "{traced}");
}

/// In a zone that waits, events for a cluster that is away are accepted, and outlive the gateway.
#[cfg(feature = "kafka")]
#[test]
fn events_wait_for_a_cluster_that_is_away() {
    let nobody = crate::harness::free_addresses(1).remove(0);
    let mut lab = Lab::start(&format!(
        "[clusters.eu]\n'bootstrap.servers' = '{nobody}'\n'message.timeout.ms' = 1000\n\
         [zones.all]\nnamespaces = ['*']\nclusters = ['eu']\naway = 'wait'\n[events.'mfp/Entry']\nzone = 'all'\nkey = 'user'\n"
    ));
    let id = lab.event("mfp", "Entry");
    let (status, body) = lab.publish(&id, (0..3).map(|n| entry("a", n)));
    assert_eq!((status, &body["items"][2]["waits"]), (202, &json!(true)), "{body}");
    lab.kill();
    let back = crate::broker::Broker::mock();
    back.create("mfp.Entry", 1);
    lab.topology = lab.topology.replace(&nobody, &back.bootstrap());
    lab.begin();
    assert_eq!(lab.publish(&id, [entry("a", 3)]).0, 202);
    let receiver = Receiver_::start(|_| (200, ""));
    lab.subscribe("s", json!({"event": "mfp/Entry", "url": receiver.url, "from": "earliest"}));
    assert_eq!(numbers(&receiver.events(4))["a"], [0, 1, 2, 3]);
}
