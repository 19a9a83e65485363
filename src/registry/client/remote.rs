//! A registry by URL: Confluent's, or another one with the same interface.

use super::{Resolved, Result, Trouble};
use crate::connector::Setting;
use crate::error::{Error, Result as Done, reason};
use crate::registry::fault::Fault;
use crate::registry::model::{At, Kind, Reference, Schema};
use crate::registry::references::closure;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use std::io::Read;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};

/// Statements wait for it, one after the other; a registry answers in milliseconds.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
/// Schemas are some KiB; what is longer is something else.
const ANSWER_BYTES_MAX: u64 = 32 << 20;
const MEDIA_TYPE: &str = "application/vnd.schemaregistry.v1+json";

/// Where a registry is, as the topology says it.
#[derive(Clone, Debug, PartialEq)]
pub struct Address {
    /// Without a slash at its end.
    pub url: String,
    /// User and password.
    pub login: Option<(Setting, Setting)>,
    /// A file of certificates that are trusted instead of the usual ones.
    pub ca: Option<PathBuf>,
}

impl Address {
    /// Why it cannot be used, whether or not somebody answers there.
    pub fn check(&self) -> std::result::Result<(), String> {
        self.authorization()?;
        self.roots().map(drop)
    }

    pub fn authorization(&self) -> std::result::Result<Option<String>, String> {
        let Some((user, password)) = &self.login else { return Ok(None) };
        let (user, password) = (user.value()?, password.value()?);
        Ok(Some(format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))))
    }

    pub fn roots(&self) -> std::result::Result<RootCerts, String> {
        let Some(path) = &self.ca else { return Ok(RootCerts::WebPki) };
        let name = path.display();
        let pem = std::fs::read(path).map_err(|e| format!("cannot read {name}: {}", reason(&e)))?;
        let certificates: Vec<Certificate> = parse_pem(&pem)
            .filter_map(|item| if let Ok(PemItem::Certificate(c)) = item { Some(c) } else { None })
            .collect();
        if certificates.is_empty() {
            return Err(format!("{name} holds no certificate in PEM form"));
        }
        Ok(RootCerts::new_with_certs(&certificates))
    }
}

#[derive(Clone)]
pub struct Remote {
    url: String,
    authorization: Option<String>,
    agent: ureq::Agent,
}

/// A schema as the REST interface has it, with its id where that was not asked by.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entity {
    id: Option<u32>,
    schema: String,
    #[serde(default)]
    schema_type: Option<String>,
    #[serde(default)]
    references: Option<Vec<Reference>>,
}

impl Remote {
    pub fn new(address: &Address) -> Done<Remote> {
        let refused = |why: String| Error::topology(format!("registry: {why}"));
        let tls = TlsConfig::builder().root_certs(address.roots().map_err(refused)?).build();
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(ANSWER_TIMEOUT))
            .tls_config(tls)
            .user_agent(concat!("wharfe/", env!("CARGO_PKG_VERSION")))
            .build();
        Ok(Remote {
            url: address.url.clone(),
            authorization: address.authorization().map_err(refused)?,
            agent: config.into(),
        })
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    pub fn schema(&self, id: u32) -> Result<Resolved> {
        let entity: Entity = self.ask("GET", &format!("/schemas/ids/{id}"), None)?;
        self.resolved(id, entity.schema()?)
    }

    pub fn version(&self, subject: &str, at: At) -> Result<Resolved> {
        let entity = self.entity(subject, at)?;
        let id = entity.id.ok_or_else(|| Trouble::Away("it names no id for a version".into()))?;
        self.resolved(id, entity.schema()?)
    }

    pub fn register(&self, subject: &str, schema: &Schema) -> Result<u32> {
        #[derive(Deserialize)]
        struct Registered {
            id: u32,
        }
        let mut body = json!({ "schema": schema.text, "schemaType": schema.kind.name() });
        if !schema.references.is_empty() {
            body["references"] = json!(schema.references);
        }
        let path = format!("/subjects/{}/versions", encoded(subject));
        Ok(self.ask::<Registered>("POST", &path, Some(body.to_string()))?.id)
    }

    fn entity(&self, subject: &str, at: At) -> Result<Entity> {
        let version = match at {
            At::Latest => "latest".to_string(),
            At::Number(number) => number.to_string(),
        };
        self.ask("GET", &format!("/subjects/{}/versions/{version}", encoded(subject)), None)
    }

    fn resolved(&self, id: u32, schema: Schema) -> Result<Resolved> {
        let mut referred = |reference: &Reference| -> Result<Arc<Schema>> {
            let at = u32::try_from(reference.version).map_or(At::Latest, At::Number);
            Ok(Arc::new(self.entity(&reference.subject, at)?.schema()?))
        };
        let needed = closure(&schema, &mut referred)?;
        Ok(Resolved { id, schema: Arc::new(schema), needed })
    }

    fn ask<T: DeserializeOwned>(&self, method: &str, path: &str, body: Option<String>) -> Result<T> {
        let mut request = ureq::http::Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.url))
            .header("accept", MEDIA_TYPE)
            .header("content-type", MEDIA_TYPE);
        if let Some(authorization) = &self.authorization {
            request = request.header("authorization", authorization);
        }
        let request = request
            .body(body.unwrap_or_default())
            .map_err(|e| Trouble::Away(format!("the request cannot be made: {e}")))?;
        let response = self.agent.run(request).map_err(|e| Trouble::Away(why(&e)))?;
        let status = response.status().as_u16();
        let mut bytes = Vec::new();
        let body = response.into_body().into_reader().take(ANSWER_BYTES_MAX).read_to_end(&mut bytes);
        body.map_err(|e| Trouble::Away(reason(&e)))?;
        match status {
            200..300 => serde_json::from_slice(&bytes)
                .map_err(|e| Trouble::Away(format!("it answers with something else than a schema: {e}"))),
            _ => Err(refusal(status, &bytes)),
        }
    }
}

impl Entity {
    fn schema(self) -> Result<Schema> {
        let kind = match self.schema_type.as_deref() {
            None => Kind::Avro,
            Some(name) => Kind::parse(name)
                .ok_or_else(|| Trouble::Refused(Fault::invalid_schema(format!("its type is {name}"))))?,
        };
        Ok(Schema { kind, text: self.schema, references: self.references.unwrap_or_default() })
    }
}

/// What the registry refuses stays refused; what may become better is no refusal.
fn refusal(status: u16, body: &[u8]) -> Trouble {
    #[derive(Deserialize)]
    struct Said {
        error_code: u32,
        message: String,
    }
    let said: Option<Said> = serde_json::from_slice(body).ok();
    let message = said.as_ref().map_or(String::new(), |said| format!(": {}", said.message));
    match (status, said) {
        (401 | 403, _) => Trouble::Away(format!("it refuses user and password ({status}{message})")),
        (408 | 429, _) => Trouble::Away(format!("it is busy ({status}{message})")),
        (400..500, Some(Said { error_code, message })) => {
            // Some say 404 alone.
            let code = if status == 404 && error_code < 1_000 { 40400 } else { error_code };
            Trouble::Refused(Fault::new(code, message))
        }
        _ => Trouble::Away(format!("it answers with status {status}{message}")),
    }
}

fn why(error: &ureq::Error) -> String {
    match error {
        ureq::Error::Timeout(_) => format!("it has not answered within {} s", ANSWER_TIMEOUT.as_secs()),
        ureq::Error::Io(e) => reason(e),
        other => other.to_string(),
    }
}

/// A subject as one part of a path.
fn encoded(subject: &str) -> String {
    let mut out = String::new();
    for byte in subject.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => out.push(byte.into()),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}
