//! The three kinds of requests that are made, over one agent.

use super::Target;
use super::bulk::{self, Fate, Operation};
use super::template::Distribution;
use crate::error::{Error, Result, reason};
use serde_json::Value;
use std::io::Read;
use std::time::Duration;
use ureq::tls::TlsConfig;

/// A bulk request that takes longer has been lost.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Of an answer to the largest request, filtered as it is.
const ANSWER_BYTES_MAX: u64 = 64 << 20;
/// Only what is looked at; with errors each item has its status.
const BULK: &str = "/_bulk?filter_path=errors,items.*.status,items.*.error.type,items.*.error.reason,items.*.error.caused_by.reason";

/// Why a request came to nothing.
#[derive(Clone, Debug, PartialEq)]
pub enum Trouble {
    /// The server is away, or too busy: the same may work later.
    Away(String),
    /// The request is too large.
    TooLarge,
    /// It says no, and will again.
    No(String),
}

pub struct Server {
    url: String,
    authorization: Option<String>,
    agent: ureq::Agent,
}

impl Server {
    pub fn new(target: &Target) -> Result<Server> {
        let refused = |why: String| Error::topology(format!("sink {}: {why}", target.name));
        let tls = TlsConfig::builder().root_certs(target.address.roots().map_err(refused)?).build();
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_connect(Some(CONNECT_TIMEOUT))
            .timeout_global(Some(ANSWER_TIMEOUT))
            .tls_config(tls)
            .user_agent(concat!("wharfe/", env!("CARGO_PKG_VERSION")))
            .build();
        let key = target.api_key.as_ref().map(|key| key.value()).transpose().map_err(refused)?;
        let authorization = match key {
            Some(key) => Some(format!("ApiKey {key}")),
            None => target.address.authorization().map_err(refused)?,
        };
        Ok(Server { url: target.address.url.clone(), authorization, agent: config.into() })
    }

    pub fn distribution(&self) -> Result<Distribution, Trouble> {
        let (status, body) = self.send("GET", "/", String::new(), "application/json")?;
        match status {
            200..300 => Ok(Distribution::of(&serde_json::from_slice(&body).unwrap_or_default())),
            _ => Err(trouble(status, &body)),
        }
    }

    pub fn put_template(&self, name: &str, template: &Value) -> Result<(), Trouble> {
        let path = format!("/_index_template/{name}");
        let (status, body) = self.send("PUT", &path, template.to_string(), "application/json")?;
        if (200..300).contains(&status) { Ok(()) } else { Err(trouble(status, &body)) }
    }

    /// What became of each operation.
    pub fn bulk(&self, operations: &[Operation]) -> Result<Vec<Fate>, Trouble> {
        let (status, body) = self.send("POST", BULK, bulk::body(operations), "application/x-ndjson")?;
        match status {
            200..300 => bulk::fates(&body, operations.len())
                .ok_or_else(|| Trouble::Away("its answer does not tell what became of each document".into())),
            _ => Err(trouble(status, &body)),
        }
    }

    fn send(
        &self,
        method: &str,
        path: &str,
        body: String,
        content_type: &str,
    ) -> Result<(u16, Vec<u8>), Trouble> {
        let mut request = ureq::http::Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.url))
            .header("accept", "application/json")
            .header("content-type", content_type);
        if let Some(authorization) = &self.authorization {
            request = request.header("authorization", authorization);
        }
        let request = request.body(body).map_err(|e| Trouble::No(format!("it cannot be asked: {e}")))?;
        let away = |why: String| Trouble::Away(format!("{} cannot be reached: {why}", self.url));
        let response = self.agent.run(request).map_err(|e| match e {
            ureq::Error::Io(e) => away(reason(&e)),
            other => away(other.to_string()),
        })?;
        let status = response.status().as_u16();
        let mut answer = Vec::new();
        let mut reader = response.into_body().into_reader().take(ANSWER_BYTES_MAX);
        reader.read_to_end(&mut answer).map_err(|e| away(reason(&e)))?;
        Ok((status, answer))
    }
}

fn trouble(status: u16, body: &[u8]) -> Trouble {
    let answer: Value = serde_json::from_slice(body).unwrap_or_default();
    let reason = answer["error"]["reason"].as_str().or(answer["error"].as_str());
    let why =
        reason.map_or_else(|| format!("status {status}"), |reason| format!("status {status}: {reason}"));
    match status {
        413 => Trouble::TooLarge,
        429 | 500..600 => Trouble::Away(why),
        _ => Trouble::No(why),
    }
}
