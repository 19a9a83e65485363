//! What a connection is allowed: to change its protocol, to ask for much at a time, to read slowly.

use crate::harness::{DEADLINE, Served, Site};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http2;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Instant;

const SCRIPT: &str = "
    CREATE STREAM S (K VARCHAR KEY, V INT) WITH (KAFKA_TOPIC='s', VALUE_FORMAT='JSON');
    CREATE TABLE T AS SELECT K, SUM(V) AS V FROM S GROUP BY K;
";
const PUSH: &str = "SELECT * FROM T EMIT CHANGES;";

fn serve(script: &str, more: &[&str]) -> (Site, Served) {
    let site = Site::new();
    let served = Served::start(&site.script(script), more);
    (site, served)
}

fn connect(served: &Served) -> TcpStream {
    let stream = TcpStream::connect(served.url.strip_prefix("http://").unwrap()).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream
}

fn frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
    let length = payload.len() as u32;
    [&length.to_be_bytes()[1..], &[kind, flags, 0, 0, 0, stream], payload].concat()
}

/// The payloads of the frames of one kind and stream, up to the end of that stream.
fn payloads(reader: &mut impl Read, kind: u8, stream: u8) -> String {
    let mut found = Vec::new();
    loop {
        let mut head = [0; 9];
        reader.read_exact(&mut head).unwrap();
        let mut payload = vec![0; u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize];
        reader.read_exact(&mut payload).unwrap();
        assert!(![3, 7].contains(&head[3]), "it was reset: {:?}", String::from_utf8_lossy(&payload));
        if head[8] != stream {
            continue;
        }
        if head[3] == kind {
            found.extend(payload);
        }
        if head[3] <= 1 && head[4] & 1 == 1 {
            return String::from_utf8(found).unwrap();
        }
    }
}

/// As PyPI's `ksql` and `curl --http2` begin: the request that asks for HTTP/2 is answered in it, also where
/// HTTP/1.1 would not do.
#[test]
fn a_connection_is_upgraded_to_http2() {
    const DATA: u8 = 0;
    const SETTINGS: u8 = 4;
    let (_site, served) = serve(SCRIPT, &[]);
    let mut stream = connect(&served);
    let body = "{\"target\":\"S\"}\n{\"K\":\"a\",\"V\":1}\n{\"K\":\"a\",\"NOPE\":1}\n";
    write!(
        stream,
        "POST /inserts-stream HTTP/1.1\r\nhost: localhost\r\nconnection: Upgrade, HTTP2-Settings\r\n\
         upgrade: h2c\r\nhttp2-settings: AAMAAABkAAQAAP__\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        assert!(reader.read_line(&mut head).unwrap() > 0, "{head}");
    }
    assert!(head.starts_with("HTTP/1.1 101 ") && head.contains("upgrade: h2c"), "{head}");
    // It says nothing more of itself before the preface has come.
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").unwrap();
    stream.write_all(&frame(SETTINGS, 0, 0, &[])).unwrap();
    let acks = payloads(&mut reader, DATA, 1);
    let acks: Vec<Value> = acks.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(acks[0], json!({ "status": "ok", "seq": 0 }));
    assert_eq!((&acks[1]["status"], acks.len()), (&json!("error"), 2), "{acks:?}");
    // The next one is the third: GET /info, in names that every client knows, and END_STREAM.
    let info = b"\x82\x86\x04\x05/info\x41\x09localhost";
    stream.write_all(&frame(1, 0x5, 3, info)).unwrap();
    let info = payloads(&mut reader, DATA, 3);
    assert!(info.contains("KsqlServerInfo"), "{info:?}");

    // Who asks for it with more than may be sent at once is answered as before.
    let mut stream = connect(&served);
    let body = json!({ "ksql": format!("SHOW STREAMS;{}", " ".repeat(70_000)) }).to_string();
    write!(
        stream,
        "POST /ksql HTTP/1.1\r\nhost: localhost\r\nconnection: Upgrade, HTTP2-Settings\r\nupgrade: h2c\r\n\
         http2-settings: \r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).unwrap();
    assert_eq!(line, "HTTP/1.1 200 OK\r\n");
}

/// A client of HTTP/2 by prior knowledge, with one connection.
async fn http2(served: &Served) -> http2::SendRequest<Full<Bytes>> {
    let stream = tokio::net::TcpStream::connect(served.url.strip_prefix("http://").unwrap()).await.unwrap();
    let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    sender
}

async fn ask(sender: &mut http2::SendRequest<Full<Bytes>>, sql: &str) -> Response<Incoming> {
    let body = json!({ "sql": sql }).to_string();
    let request = Request::post("http://localhost/query-stream").body(Full::from(body)).unwrap();
    let answer = async {
        sender.ready().await.unwrap();
        sender.send_request(request).await.unwrap()
    };
    tokio::time::timeout(DEADLINE, answer).await.expect("an answer")
}

#[test]
fn a_connection_has_as_many_streams_as_there_are_queries() {
    const QUERIES: usize = 210;
    let (_site, served) = serve(SCRIPT, &["--max-push-queries", "210"]);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut client = http2(&served).await;
        let mut open = Vec::new();
        for _ in 0..QUERIES {
            let answer = ask(&mut client, PUSH).await;
            assert_eq!(answer.status(), 200);
            open.push(answer);
        }
        // One too many does not wait in silence.
        let answer = ask(&mut client, PUSH).await;
        assert_eq!(answer.status(), 400);
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        let error: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(error["error_code"], 40003, "{error}");
        assert!(error["message"].as_str().unwrap().contains("--max-push-queries"), "{error}");
        assert_eq!(ask(&mut client, "SELECT * FROM T;").await.status(), 200);
    });
}

/// The value of a metric without labels.
fn metric(served: &Served, name: &str) -> f64 {
    let page = served.get("/metrics").body;
    let line = page.lines().find(|line| line.split(' ').next() == Some(name));
    line.unwrap_or_else(|| panic!("no {name}: {page}")).rsplit_once(' ').unwrap().1.parse().unwrap()
}

/// A push query that was answered, and of whose answer no more is read, nor taken by the kernel.
fn unread(served: &Served, body: &str) -> BufReader<TcpStream> {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4 << 10).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let address = served.url.strip_prefix("http://").unwrap().parse().unwrap();
    let stream = runtime.block_on(socket.connect(address)).unwrap().into_std().unwrap();
    stream.set_nonblocking(false).unwrap();
    let mut client = BufReader::with_capacity(64, stream);
    write!(
        client.get_mut(),
        "POST /query-stream HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    let mut status = String::new();
    client.read_line(&mut status).unwrap();
    assert_eq!(status, "HTTP/1.1 200 OK\r\n");
    client
}

/// Rows that nobody reads wait in so many bytes and no more; then their queries end, and say why.
#[test]
fn clients_that_do_not_read_are_bounded() {
    const CLIENTS: usize = 20;
    let site =
        Site::new().and("[topics.s]\nconnector = \"generator\"\nfeed = \"carparks_historic\"\nrate = 20000");
    let script = "
        CREATE STREAM S (D VARCHAR, T VARCHAR, K VARCHAR, C INT, E INT, ST VARCHAR, LAT DOUBLE, LON DOUBLE)
            WITH (KAFKA_TOPIC='s', VALUE_FORMAT='DELIMITED');";
    let served = Served::start(&site.script(script), &["--answer-memory", "2"]);
    let body = json!({ "sql": "SELECT * FROM S EMIT CHANGES;" }).to_string();
    let clients: Vec<_> = (0..CLIENTS).map(|_| unread(&served, &body)).collect();
    let started = Instant::now();
    let mut most: f64 = 0.0;
    while metric(&served, "wharfe_answers_open") > 0.0 {
        most = most.max(metric(&served, "wharfe_answer_waiting_bytes"));
        assert!(started.elapsed() < DEADLINE, "they are still open");
    }
    // A batch that came last is told from the others when it has been counted.
    assert!(most > 0.0 && most <= f64::from(4 << 20), "{most} bytes waited");
    for mut client in clients {
        let mut answer = String::new();
        client.read_to_string(&mut answer).unwrap();
        assert!(answer.contains("too slowly: over"), "{}", answer.lines().next_back().unwrap_or_default());
    }
    assert_eq!(metric(&served, "wharfe_answer_waiting_bytes"), 0.0);
}
