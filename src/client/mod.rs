//! A client of a gateway: resolve, publish and consume events by name.
//!
//! ```no_run
//! use serde_json::json;
//! use wharfe::client::{Client, Event};
//!
//! let gateway = Client::new("http://127.0.0.1:8090").with_token("secret");
//! let event = Event::new("mfp.FoodEntryCreated", "/producers/diary", json!({"name": "apple"}));
//! let stored = gateway.publish(&[event])?;
//! for event in gateway.consume("mfp/FoodEntryCreated", "earliest")? {
//!     println!("{}", event?.data);
//! }
//! # Ok::<(), wharfe::error::Error>(())
//! ```

use crate::error::{Code, Error, Result, reason};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::io::{BufRead, BufReader, Read};
use std::time::Duration;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Publishing is tried again while the gateway cannot store, under the same ids.
const ATTEMPTS_MAX: u32 = 5;
/// What is read of an answer.
const ANSWER_BYTES_MAX: u64 = 64 << 20;

/// A gateway, by its address.
#[derive(Clone)]
pub struct Client {
    url: String,
    token: Option<String>,
    agent: ureq::Agent,
}

/// A CloudEvent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    pub specversion: String,
    pub id: String,
    pub source: String,
    /// `mfp.FoodEntryCreated`
    #[serde(rename = "type")]
    pub event_type: String,
    pub data: Value,
    /// Other attributes: `time`, `partitionkey`, `traceparent`, …
    #[serde(flatten)]
    pub attributes: Map<String, Value>,
}

impl Event {
    /// An event with an id of its own, under which it may be published again.
    pub fn new(event_type: &str, source: &str, data: Value) -> Event {
        static NUMBER: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let nanos = std::time::UNIX_EPOCH.elapsed().map_or(0, |time| time.as_nanos());
        Event {
            specversion: "1.0".into(),
            id: format!("{nanos:x}-{:x}-{number:x}", std::process::id()),
            source: source.into(),
            event_type: event_type.into(),
            data,
            attributes: Map::new(),
        }
    }
}

/// What became of an event.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Stored {
    pub id: String,
    pub status: u16,
    #[serde(default)]
    pub zone: Option<String>,
    #[serde(default)]
    pub partition: Option<u32>,
    #[serde(default)]
    pub offset: Option<i64>,
    /// It was stored before.
    #[serde(default)]
    pub duplicate: bool,
    /// Why it is not stored: path, message, hint.
    #[serde(default)]
    pub error: Option<Value>,
}

/// An HTTP answer.
pub struct Answer {
    pub status: u16,
    pub body: Value,
}

impl Client {
    pub fn new(url: &str) -> Client {
        let url = url.trim_end_matches('/');
        let url = if url.contains("://") { url.into() } else { format!("http://{url}") };
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_connect(Some(CONNECT_TIMEOUT))
            .user_agent(concat!("wharfe/", env!("CARGO_PKG_VERSION")))
            .build();
        Client { url, token: None, agent: config.into() }
    }

    pub fn with_token(self, token: impl Into<String>) -> Client {
        Client { token: Some(token.into()), ..self }
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    /// Where an event is published and consumed: the gateway's answer.
    ///
    /// # Errors
    /// There is no such event, or no gateway.
    pub fn resolve(&self, event: &str) -> Result<Value> {
        self.asked("GET", &format!("/topology/events/{event}"), None)
    }

    /// Publishes events in their order. Returns when each is stored, or is known not to be; while the
    /// gateway cannot store, it is tried again.
    ///
    /// # Errors
    /// The request as a whole was refused, or there is no gateway.
    pub fn publish(&self, events: &[Event]) -> Result<Vec<Stored>> {
        let mut pause = Duration::from_millis(100);
        for attempt in 1.. {
            let body = serde_json::to_string(events).map_err(|e| Error::usage(e.to_string()))?;
            let answer = self.send("POST", "/produce", "application/cloudevents-batch+json", Some(body));
            let may_help = match &answer {
                Ok(answer) => matches!(answer.status, 429 | 503),
                Err(_) => true,
            };
            if may_help && attempt < ATTEMPTS_MAX {
                std::thread::sleep(pause);
                pause *= 2;
                continue;
            }
            let answer = answer?;
            let items = answer.body["items"].clone();
            return match serde_json::from_value(items) {
                Ok(stored) => Ok(stored),
                Err(_) => Err(refusal(&answer)),
            };
        }
        unreachable!("the last attempt returns")
    }

    /// Events as they come: from `earliest`, `latest` or the token of an event.
    pub fn consume(&self, event: &str, from: &str) -> Result<Events> {
        self.stream(&format!("/events/{event}?from={}", encoded(from)))
    }

    /// The events of a path that streams.
    pub fn stream(&self, path: &str) -> Result<Events> {
        let request = self.agent.get(format!("{}{path}", self.url)).header("accept", "text/event-stream");
        let request = match &self.token {
            Some(token) => request.header("authorization", format!("Bearer {token}")),
            None => request,
        };
        let response = request.call().map_err(|e| self.unreachable(&e))?;
        if !response.status().is_success() {
            let status = response.status().as_u16();
            let mut text = String::new();
            // What could be read is all there is to tell.
            let _ = response.into_body().into_reader().take(ANSWER_BYTES_MAX).read_to_string(&mut text);
            return Err(refusal(&Answer { status, body: serde_json::from_str(&text).unwrap_or_default() }));
        }
        let reader: Box<dyn Read + Send> = Box::new(response.into_body().into_reader());
        Ok(Events { lines: BufReader::new(reader), token: String::new() })
    }

    /// The body of an answer that is none of a refusal.
    pub fn asked(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Value> {
        let answer = self.send(method, path, "application/json", body.map(Value::to_string))?;
        match answer.status {
            200..300 => Ok(answer.body),
            _ => Err(refusal(&answer)),
        }
    }

    /// Any request; what is refused is an answer, too.
    pub fn send(&self, method: &str, path: &str, media_type: &str, body: Option<String>) -> Result<Answer> {
        let mut request = ureq::http::Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.url))
            .header("content-type", media_type);
        if let Some(token) = &self.token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let request = request.body(body.unwrap_or_default()).map_err(|e| Error::usage(e.to_string()))?;
        let response = self.agent.run(request).map_err(|e| self.unreachable(&e))?;
        let status = response.status().as_u16();
        let mut text = String::new();
        let read = response.into_body().into_reader().take(ANSWER_BYTES_MAX).read_to_string(&mut text);
        read.map_err(|e| Error::runtime(format!("the connection to the gateway was lost: {}", reason(&e))))?;
        let body = serde_json::from_str(&text).unwrap_or_else(|_| json!(text));
        Ok(Answer { status, body })
    }

    fn unreachable(&self, error: &ureq::Error) -> Error {
        let why = match error {
            ureq::Error::Io(e) => reason(e),
            other => other.to_string(),
        };
        Error::runtime(format!("no gateway at {} ({why})", self.url))
            .hint("start one with `wharfe gateway --data-dir DIR`, or name another with --gateway URL")
    }
}

/// What the gateway says is wrong.
fn refusal(answer: &Answer) -> Error {
    let code = if answer.status < 500 { Code::Statement } else { Code::Runtime };
    let error = &answer.body["error"];
    let message = error["message"]
        .as_str()
        .map_or_else(|| format!("the gateway answers with status {}", answer.status), String::from);
    let path = error["path"].as_str().map_or(String::new(), |path| format!("{path}: "));
    let refused = Error::new(code, format!("{path}{message}"));
    match error["hint"].as_str() {
        Some(hint) => refused.hint(hint),
        None => refused,
    }
}

/// Events as they come. Ends with the connection.
pub struct Events {
    lines: BufReader<Box<dyn Read + Send>>,
    token: String,
}

impl Events {
    /// Where to go on behind the last event.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// The data of the next one as text; `None` at the end.
    fn next_data(&mut self) -> Option<Result<String>> {
        let (mut data, mut kind) = (String::new(), String::new());
        loop {
            let mut line = String::new();
            match self.lines.read_line(&mut line) {
                Ok(0) => return None,
                Ok(_) => {}
                Err(e) => return Some(Err(Error::runtime(format!("the gateway was lost: {}", reason(&e))))),
            }
            let line = line.trim_end_matches(['\n', '\r']);
            match line.split_once(": ") {
                Some(("data", text)) => data.push_str(text),
                Some(("id", text)) => self.token = text.to_string(),
                Some(("event", text)) => kind = text.to_string(),
                _ if line.is_empty() && !data.is_empty() && kind == "error" => {
                    return Some(Err(Error::runtime(data)));
                }
                _ if line.is_empty() && !data.is_empty() => return Some(Ok(data)),
                _ => {}
            }
        }
    }
}

impl Iterator for Events {
    type Item = Result<Event>;

    fn next(&mut self) -> Option<Result<Event>> {
        let data = match self.next_data()? {
            Ok(data) => data,
            Err(error) => return Some(Err(error)),
        };
        let event = serde_json::from_str(&data);
        Some(
            event.map_err(|e| Error::runtime(format!("the gateway tells something else than an event: {e}"))),
        )
    }
}

/// A text as a part of a query.
pub fn encoded(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => out.push(byte.into()),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}
