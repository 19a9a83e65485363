//! The routes, asked by a real client over a real socket.

use crate::registry::Registry;
use serde_json::{Value, json};
use std::net::TcpListener;
use std::path::Path;
use tokio::sync::oneshot;

/// A registry that serves until it is dropped.
struct Server {
    url: String,
    agent: ureq::Agent,
    runtime: Option<tokio::runtime::Runtime>,
    stop: Option<oneshot::Sender<()>>,
}

impl Server {
    fn start(dir: &Path) -> Server {
        let registry = Registry::open(dir).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let (stop, stopped) = oneshot::channel();
        runtime.spawn(async {
            tokio::select! {
                served = super::serve(listener, registry, Default::default(), std::future::pending()) => served.unwrap(),
                _ = stopped => {}
            }
        });
        let agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
        Server { url, agent, runtime: Some(runtime), stop: Some(stop) }
    }

    fn ask(&self, method: &str, path: &str, body: Option<Value>) -> (u16, Value) {
        let request = ureq::http::Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.url))
            .header("content-type", super::MEDIA_TYPE)
            .body(body.map(|body| body.to_string()).unwrap_or_default())
            .unwrap();
        let response = self.agent.run(request).unwrap();
        let status = response.status().as_u16();
        let text = response.into_body().read_to_string().unwrap();
        (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
    }

    /// Checks the status, and what is in the body: all of it, or `error_code` alone.
    fn expect(&self, request: &str, body: Value, status: u16, expected: Value) {
        let (method, path) = request.split_once(' ').unwrap();
        let (got, answer) = self.ask(method, path, (!body.is_null()).then_some(body));
        let shown = if expected.is_u64() && got >= 400 { &answer["error_code"] } else { &answer };
        assert_eq!((got, shown), (status, &expected), "{request}: {answer}");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.take();
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_timeout(std::time::Duration::from_secs(10));
        }
    }
}

fn avro(ty: &str) -> Value {
    json!({ "schema": format!(r#"{{"type":"record","name":"R","fields":[{{"name":"f","type":"{ty}"}}]}}"#) })
}

#[test]
fn subjects_and_schemas() {
    let dir = tempfile::tempdir().unwrap();
    let text = avro("int")["schema"].clone();
    let entity = json!({ "subject": "a/b", "version": 1, "id": 1, "schema": text });
    {
        let server = Server::start(dir.path());
        let expect = |request, body, status, expected| server.expect(request, body, status, expected);
        expect("GET /", Value::Null, 200, json!({}));
        expect("GET /subjects", Value::Null, 200, json!([]));
        expect("GET /schemas/types", Value::Null, 200, json!(["JSON", "PROTOBUF", "AVRO"]));
        expect("GET /mode", Value::Null, 200, json!({ "mode": "READWRITE" }));
        expect("POST /subjects/a%2Fb/versions", avro("int"), 200, json!({ "id": 1 }));
        expect("POST /subjects/a%2Fb/versions", avro("int"), 200, json!({ "id": 1 }));
        expect("POST /subjects/a%2Fb/versions", avro("string"), 409, json!(409));
        expect("POST /subjects/a%2Fb/versions", avro("long"), 200, json!({ "id": 2 }));
    }
    let server = Server::start(dir.path());
    let expect = |request, body, status, expected| server.expect(request, body, status, expected);
    expect("GET /subjects", Value::Null, 200, json!(["a/b"]));
    expect("GET /subjects/a%2Fb/versions", Value::Null, 200, json!([1, 2]));
    expect("GET /subjects/a%2Fb/versions/1", Value::Null, 200, entity.clone());
    expect("POST /subjects/a%2Fb", avro("int"), 200, entity);
    expect(
        "GET /subjects/a%2Fb/versions/1/schema",
        Value::Null,
        200,
        serde_json::from_str(text.as_str().unwrap()).unwrap(),
    );
    expect("GET /schemas/ids/1", Value::Null, 200, json!({ "schema": text }));
    expect("GET /schemas/ids/2/subjects", Value::Null, 200, json!(["a/b"]));
    expect("GET /schemas/ids/2/versions", Value::Null, 200, json!([{ "subject": "a/b", "version": 2 }]));
    // Refusals
    expect("GET /subjects/x/versions", Value::Null, 404, json!(40401));
    expect("POST /subjects/x", avro("int"), 404, json!(40401));
    expect("POST /subjects/a%2Fb", avro("float"), 404, json!(40403));
    expect("GET /subjects/a%2Fb/versions/9", Value::Null, 404, json!(40402));
    expect("GET /subjects/a%2Fb/versions/x", Value::Null, 422, json!(42202));
    expect("GET /subjects/a%2Fb/versions/0", Value::Null, 422, json!(42202));
    expect("GET /schemas/ids/9", Value::Null, 404, json!(40403));
    expect("POST /subjects/a%2Fb/versions", json!({ "schema": "{" }), 422, json!(42201));
    expect("POST /subjects/a%2Fb/versions", json!({ "schema": "" }), 422, json!(42201));
    expect("POST /subjects/a%2Fb/versions", json!([1]), 400, json!(400));
    expect("GET /nothing", Value::Null, 404, json!(404));
    // Deletion
    expect("DELETE /subjects/a%2Fb/versions/1", Value::Null, 200, json!(1));
    expect("GET /subjects/a%2Fb/versions", Value::Null, 200, json!([2]));
    expect("GET /subjects/a%2Fb/versions?deleted=true", Value::Null, 200, json!([1, 2]));
    expect("DELETE /subjects/a%2Fb", Value::Null, 200, json!([2]));
    expect("DELETE /subjects/a%2Fb?permanent=true", Value::Null, 200, json!([1, 2]));
    expect("GET /subjects?deleted=true", Value::Null, 200, json!([]));
}

#[test]
fn compatibility_and_levels() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path());
    let expect = |request, body, status, expected| server.expect(request, body, status, expected);
    expect("POST /subjects/s/versions", avro("int"), 200, json!({ "id": 1 }));
    let latest = "POST /compatibility/subjects/s/versions/latest";
    expect(latest, avro("long"), 200, json!({ "is_compatible": true }));
    expect(latest, avro("string"), 200, json!({ "is_compatible": false }));
    let message = "TYPE_MISMATCH at R.f: the reader has string, the writer int \
                   (the new schema cannot read data of version 1)";
    expect(
        "POST /compatibility/subjects/s/versions?verbose=true",
        avro("string"),
        200,
        json!({ "is_compatible": false, "messages": [message] }),
    );
    expect("POST /compatibility/subjects/x/versions/latest", avro("int"), 404, json!(40401));
    expect("POST /compatibility/subjects/x/versions", avro("int"), 200, json!({ "is_compatible": true }));
    expect("GET /config", Value::Null, 200, json!({ "compatibilityLevel": "BACKWARD" }));
    expect("GET /config/s", Value::Null, 404, json!(40408));
    expect(
        "GET /config/s?defaultToGlobal=true",
        Value::Null,
        200,
        json!({ "compatibilityLevel": "BACKWARD" }),
    );
    expect("PUT /config/s", json!({ "compatibility": "FULL" }), 200, json!({ "compatibility": "FULL" }));
    expect("PUT /config", json!({ "compatibility": "BEST" }), 422, json!(42203));
    expect(latest, avro("long"), 200, json!({ "is_compatible": false }));
    expect("DELETE /config/s", Value::Null, 200, json!({ "compatibilityLevel": "FULL" }));
    expect("PUT /config", json!({ "compatibility": "NONE" }), 200, json!({ "compatibility": "NONE" }));
    expect("POST /subjects/s/versions", avro("string"), 200, json!({ "id": 2 }));
}

#[test]
fn the_other_kinds() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path());
    let expect = |request, body, status, expected| server.expect(request, body, status, expected);
    let other =
        json!({ "schemaType": "PROTOBUF", "schema": "syntax = \"proto3\"; message O { int32 x = 1; }" });
    expect("POST /subjects/o/versions", other, 200, json!({ "id": 1 }));
    let proto = |ty: &str| {
        let schema = format!("syntax = \"proto3\"; import \"o.proto\"; message M {{ O o = 1; {ty} f = 2; }}");
        let references = json!([{ "name": "o.proto", "subject": "o", "version": 1 }]);
        json!({ "schemaType": "PROTOBUF", "schema": schema, "references": references })
    };
    expect("POST /subjects/p/versions", proto("int32"), 200, json!({ "id": 2 }));
    expect("POST /subjects/p/versions", proto("string"), 409, json!(409));
    expect("GET /subjects/o/versions/1/referencedby", Value::Null, 200, json!([2]));
    let (_, serialized) = server.ask("GET", "/schemas/ids/2?format=serialized", None);
    let mut sent = proto("int32");
    sent["schema"] = serialized["schema"].clone();
    expect("POST /subjects/p/versions", sent, 200, json!({ "id": 2 }));
    let (_, entity) = server.ask("GET", "/subjects/p/versions/latest", None);
    assert_eq!(
        (&entity["schemaType"], &entity["references"]),
        (&json!("PROTOBUF"), &proto("")["references"])
    );
    let object = |ty: &str| json!({ "schemaType": "JSON", "schema": format!(r#"{{"type":"object","properties":{{"f":{{"type":"{ty}"}}}}}}"#) });
    expect("POST /subjects/j/versions", object("integer"), 200, json!({ "id": 3 }));
    expect("POST /subjects/j/versions", object("number"), 200, json!({ "id": 4 }));
    expect("POST /subjects/j/versions", object("string"), 409, json!(409));
    expect("POST /subjects/j/versions", json!({ "schemaType": "XML", "schema": "x" }), 422, json!(42201));
}
