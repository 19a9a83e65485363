//! An HTTP client of the REST interface, wharfe's own or another server's of the same form.
//!
//! An answer is read by a thread of its own and comes through a bounded channel, so that whoever
//! prints it can stop at any time, even while no row comes.

use crate::engine::Session;
use crate::error::{Code, Error, Result, reason};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read};
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::time::Duration;
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};

pub const DEFAULT_SERVER: &str = "http://127.0.0.1:8088";

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Rows that may wait to be printed.
const ROWS_WAITING_MAX: usize = 1_024;

pub struct Client {
    url: String,
    agent: ureq::Agent,
    authorization: Option<String>,
}

/// What an answer consists of, in order.
#[derive(Debug)]
pub enum Part {
    Header {
        query_id: String,
        columns: Vec<String>,
    },
    /// Cells as JSON texts.
    Row {
        cells: Vec<String>,
        deleted: bool,
    },
    Failed(Error),
}

/// What a server that asks who it is gets to hear: WHARFE_TOKEN, or WHARFE_USER and WHARFE_PASSWORD.
fn authorization() -> Option<String> {
    let set = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
    if let Some(token) = set("WHARFE_TOKEN") {
        return Some(format!("Bearer {token}"));
    }
    let (user, password) = (set("WHARFE_USER")?, set("WHARFE_PASSWORD").unwrap_or_default());
    Some(format!("Basic {}", STANDARD.encode(format!("{user}:{password}"))))
}

/// Who is trusted beside the usual ones, where WHARFE_CA names a PEM file.
fn roots() -> RootCerts {
    let pem = std::env::var("WHARFE_CA").ok().and_then(|path| std::fs::read(path).ok()).unwrap_or_default();
    let certificates: Vec<Certificate> = parse_pem(&pem)
        .filter_map(|item| if let Ok(PemItem::Certificate(c)) = item { Some(c) } else { None })
        .collect();
    match certificates.is_empty() {
        true => RootCerts::WebPki,
        false => RootCerts::new_with_certs(&certificates),
    }
}

impl Client {
    pub fn new(server: &str) -> Client {
        let server = server.trim_end_matches('/');
        let url = if server.contains("://") { server.into() } else { format!("http://{server}") };
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_connect(Some(CONNECT_TIMEOUT))
            .tls_config(TlsConfig::builder().root_certs(roots()).build())
            .user_agent(concat!("wharfe/", env!("CARGO_PKG_VERSION")))
            .build();
        Client { url, agent: config.into(), authorization: authorization() }
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    /// The server's name for itself and its version.
    pub fn version(&self) -> Result<String> {
        let info = self.get("/info")?.unwrap_or_default();
        Ok(info["KsqlServerInfo"]["version"].as_str().unwrap_or("?").into())
    }

    /// What is at a path; `None`: nothing is.
    pub fn get(&self, path: &str) -> Result<Option<Value>> {
        let mut request = self.agent.get(format!("{}{path}", self.url));
        if let Some(authorization) = &self.authorization {
            request = request.header("authorization", authorization);
        }
        let response = request.call().map_err(|e| self.unreachable(e))?;
        if response.status() == 404 {
            return Ok(None);
        }
        serde_json::from_str(&self.text(response)?).map(Some).map_err(|e| self.nonsense(&e))
    }

    /// Carries out statements that are not queries: an entity each.
    pub fn ksql(&self, sql: &str, session: &Session) -> Result<Vec<Value>> {
        let body = json!({
            "ksql": terminated(sql),
            "streamsProperties": session.properties,
            "sessionVariables": session.variables,
        });
        let text = self.text(self.post("/ksql", "application/json", &body)?)?;
        serde_json::from_str(&text).map_err(|e| self.nonsense(&e))
    }

    /// Starts a SELECT or PRINT. Its parts come until the channel ends.
    pub fn query(&self, sql: &str, session: &Session) -> Result<Receiver<Part>> {
        let body = json!({
            "sql": terminated(sql),
            "properties": session.properties,
            "sessionVariables": session.variables,
        });
        let response = self.checked(self.post("/query-stream", "application/vnd.ksql.v1+json", &body)?)?;
        let reader = BufReader::new(response.into_body().into_reader());
        let (sender, receiver) = mpsc::sync_channel(ROWS_WAITING_MAX);
        std::thread::spawn(move || read_parts(reader, &sender));
        Ok(receiver)
    }

    /// Sends JSON to a path that answers with JSON.
    pub fn send(&self, path: &str, body: &Value) -> Result<Value> {
        let text = self.text(self.post(path, "application/json", body)?)?;
        serde_json::from_str(&text).map_err(|e| self.nonsense(&e))
    }

    /// Ends a query; one that has ended already is none to complain about.
    pub fn close(&self, query_id: &str) {
        let _ = self.post("/close-query", "application/json", &json!({ "queryId": query_id }));
    }

    fn post(&self, path: &str, accept: &str, body: &Value) -> Result<ureq::http::Response<ureq::Body>> {
        let mut request = self
            .agent
            .post(format!("{}{path}", self.url))
            .header("content-type", "application/json")
            .header("accept", accept);
        if let Some(authorization) = &self.authorization {
            request = request.header("authorization", authorization);
        }
        request.send(body.to_string()).map_err(|e| self.unreachable(e))
    }

    fn text(&self, response: ureq::http::Response<ureq::Body>) -> Result<String> {
        let mut text = String::new();
        let response = self.checked(response)?;
        match response.into_body().into_reader().read_to_string(&mut text) {
            Ok(_) => Ok(text),
            Err(e) => Err(lost(&e)),
        }
    }

    /// A refusal becomes an error that says what the server says.
    fn checked(
        &self,
        response: ureq::http::Response<ureq::Body>,
    ) -> Result<ureq::http::Response<ureq::Body>> {
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let mut text = String::new();
        // What could be read is all there is to tell.
        let _ = response.into_body().into_reader().read_to_string(&mut text);
        match serde_json::from_str::<Value>(&text) {
            Ok(body) if body["message"].is_string() => Err(refusal(&body)),
            _ => Err(Error::runtime(format!("{} answers with status {status}", self.url))
                .hint("is it a wharfe or ksqlDB server?")),
        }
    }

    fn unreachable(&self, error: ureq::Error) -> Error {
        let why = match &error {
            ureq::Error::Io(e) => reason(e),
            other => other.to_string(),
        };
        Error::runtime(format!("no server at {} ({why})", self.url))
            .hint("start one with `wharfe run FILE.sql`, or name another with --server URL")
    }

    fn nonsense(&self, error: &serde_json::Error) -> Error {
        Error::runtime(format!("{} answers with something else than expected: {error}", self.url))
    }
}

/// ksqlDB wants the semicolon.
fn terminated(sql: &str) -> String {
    // On a line of its own, in case the statement ends in a comment.
    if sql.contains("--") { format!("{sql}\n;") } else { format!("{sql};") }
}

/// The statement is at fault when the server says 4xx.
fn refusal(body: &Value) -> Error {
    let code = match body["error_code"].as_u64().unwrap_or(50000) / 100 {
        400..500 => Code::Statement,
        _ => Code::Runtime,
    };
    Error::new(code, body["message"].as_str().unwrap_or("the server gives no reason"))
}

fn lost(error: &std::io::Error) -> Error {
    Error::runtime(format!("the connection to the server was lost: {}", reason(error)))
}

/// Reads to the end of the answer, or until nobody listens any more.
fn read_parts(reader: impl BufRead, sender: &SyncSender<Part>) {
    for line in reader.lines() {
        let part = match line {
            Ok(line) => parse_part(&line),
            Err(e) => Some(Part::Failed(lost(&e))),
        };
        if part.is_some_and(|part| sender.send(part).is_err()) {
            return;
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct StreamedRow {
    header: Option<Header>,
    row: Option<RowBody>,
    error_message: Option<Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Header {
    query_id: Option<String>,
    schema: String,
}

#[derive(Deserialize)]
struct RowBody {
    columns: Vec<Box<RawValue>>,
    #[serde(default)]
    tombstone: bool,
}

/// One line of the array of streamed rows. `None` for what needs no printing.
fn parse_part(line: &str) -> Option<Part> {
    let line = line.trim().trim_start_matches(['[', ',']).trim_end_matches([']', ',']);
    if line.is_empty() {
        return None;
    }
    let row: StreamedRow = match serde_json::from_str(line) {
        Ok(row) => row,
        Err(e) => return Some(Part::Failed(Error::runtime(format!("the server sent a bad row: {e}")))),
    };
    if let Some(header) = row.header {
        let columns = column_names(&header.schema);
        return Some(Part::Header { query_id: header.query_id.unwrap_or_default(), columns });
    }
    if let Some(row) = row.row {
        let cells = row.columns.iter().map(|c| c.get().to_string()).collect();
        return Some(Part::Row { cells, deleted: row.tombstone });
    }
    row.error_message.map(|body| Part::Failed(refusal(&body)))
}

/// The names in a schema such as `` `A` STRING KEY, `B` STRUCT<`C` INTEGER> ``.
fn column_names(schema: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut depth = 0;
    let mut rest = schema;
    while let Some(at) = rest.find(['`', '<', '>']) {
        let (found, behind) = (rest.as_bytes()[at], &rest[at + 1..]);
        rest = behind;
        match found {
            b'<' => depth += 1,
            b'>' => depth -= 1,
            _ => {
                let (name, behind) = quoted_name(behind);
                rest = behind;
                if depth == 0 {
                    names.push(name);
                }
            }
        }
    }
    names
}

/// The name up to its closing backtick (a doubled one stands for itself), and what is behind it.
fn quoted_name(text: &str) -> (String, &str) {
    let mut end = 0;
    while let Some(i) = text[end..].find('`') {
        end += i + 1;
        if !text[end..].starts_with('`') {
            return (text[..end - 1].replace("``", "`"), &text[end..]);
        }
        end += 1;
    }
    (text.replace("``", "`"), "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schemas_give_the_columns_names() {
        let cases: [(&str, &[&str]); 4] = [
            ("", &[]),
            ("`A` STRING KEY, `B` DECIMAL(4, 2)", &["A", "B"]),
            ("`A` STRUCT<`X` ARRAY<STRUCT<`Y` INTEGER>>>, `d2lm:b` MAP<STRING, STRING>", &["A", "d2lm:b"]),
            ("`a``b<` STRING, `c` INTEGER", &["a`b<", "c"]),
        ];
        for (schema, names) in cases {
            assert_eq!(column_names(schema), names, "{schema}");
        }
    }

    #[test]
    fn lines_of_an_answer_become_parts() {
        let cases = [
            (
                r#"[{"header":{"queryId":"q","schema":"`A` INTEGER"}},"#,
                r#"Header { query_id: "q", columns: ["A"] }"#,
            ),
            (
                r#"{"row":{"columns":[1.10,"x]",[2],{"a":null}]}}]"#,
                r#"Row { cells: ["1.10", "\"x]\"", "[2]", "{\"a\":null}"], deleted: false }"#,
            ),
            (
                r#",{"row":{"columns":[1,null],"tombstone":true}},"#,
                r#"Row { cells: ["1", "null"], deleted: true }"#,
            ),
            (r#"{"finalMessage":"Limit Reached"}]"#, ""),
            ("]", ""),
            ("", ""),
        ];
        for (line, expected) in cases {
            let part = parse_part(line).map(|p| format!("{p:?}")).unwrap_or_default();
            assert_eq!(part, expected, "{line}");
        }
        let failed = r#"{"errorMessage":{"@type":"generic_error","error_code":50000,"message":"lost"}}]"#;
        assert!(
            matches!(parse_part(failed), Some(Part::Failed(e)) if e.message == "lost" && e.exit_code() == 1)
        );
    }

    #[test]
    fn a_server_that_is_not_there_is_one_line() {
        // A port that was free a moment ago.
        let free = std::net::TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).unwrap();
        let client = Client::new(&free.to_string());
        let error = client.ksql("SHOW STREAMS", &Session::default()).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!(
                "no server at http://{free} (connection refused); hint: start one with `wharfe run FILE.sql`, or name another with --server URL"
            )
        );
    }
}
