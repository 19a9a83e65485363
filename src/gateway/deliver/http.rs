//! Calls receivers: HTTP/1.1 connections that are kept, over TLS where the address says so. Redirects are
//! not followed; time and size of an answer are bounded.

use super::guard::{Guard, Target};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::SendRequest;
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

/// What is read of an answer; more costs the connection.
const ANSWER_BYTES_MAX: usize = 64 << 10;

/// Connections to one receiver.
pub struct Client {
    target: Target,
    guard: Arc<Guard>,
    timeout: Duration,
    idle: Mutex<Vec<SendRequest<Full<Bytes>>>>,
    idle_max: usize,
}

/// What a receiver has answered.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    pub status: u16,
    /// Seconds, of the header Retry-After.
    pub retry_after_s: Option<u64>,
}

impl Client {
    pub fn new(target: Target, guard: Arc<Guard>, timeout: Duration, connections: usize) -> Client {
        Client { target, guard, timeout, idle: Mutex::default(), idle_max: connections }
    }

    /// Makes a call.
    ///
    /// # Errors
    /// Why there is no answer.
    pub async fn post(&self, headers: HeaderMap, body: Bytes) -> Result<Answer, String> {
        let called = tokio::time::timeout(self.timeout, self.call(headers, body));
        called.await.unwrap_or_else(|_| Err(format!("no answer within {} ms", self.timeout.as_millis())))
    }

    async fn call(&self, headers: HeaderMap, body: Bytes) -> Result<Answer, String> {
        // One that was kept may have been closed by the receiver just now: then a new one is asked.
        if let Some(kept) = self.kept().await
            && let Ok(answer) = self.send(kept, headers.clone(), body.clone()).await
        {
            return Ok(answer);
        }
        let fresh = self.connect().await?;
        self.send(fresh, headers, body).await
    }

    async fn kept(&self) -> Option<SendRequest<Full<Bytes>>> {
        loop {
            let mut kept = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop()?;
            if !kept.is_closed() && kept.ready().await.is_ok() {
                return Some(kept);
            }
        }
    }

    async fn send(
        &self,
        mut connection: SendRequest<Full<Bytes>>,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<Answer, String> {
        let mut request =
            Request::post(&self.target.path).body(Full::new(body)).map_err(|e| e.to_string())?;
        *request.headers_mut() = headers;
        let host = HeaderValue::from_str(&self.target.authority).map_err(|e| e.to_string())?;
        request.headers_mut().insert(http::header::HOST, host);
        let response = connection.send_request(request).await.map_err(|e| reason(&e))?;
        let retry_after = response.headers().get(http::header::RETRY_AFTER);
        let answer = Answer {
            status: response.status().as_u16(),
            retry_after_s: retry_after.and_then(|value| value.to_str().ok()?.trim().parse().ok()),
        };
        let mut body = response.into_body();
        let mut read = 0;
        while let Some(frame) = body.frame().await {
            let Ok(frame) = frame else { return Ok(answer) };
            read += frame.data_ref().map_or(0, Bytes::len);
            if read > ANSWER_BYTES_MAX {
                return Ok(answer);
            }
        }
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < self.idle_max {
            idle.push(connection);
        }
        Ok(answer)
    }

    async fn connect(&self) -> Result<SendRequest<Full<Bytes>>, String> {
        let stream = self.reach().await?;
        // What is signed and short must leave at once; a connection that refuses the option still works.
        let _ = stream.set_nodelay(true);
        if !self.target.is_tls {
            return handshake(stream).await;
        }
        let name = ServerName::try_from(self.target.host.clone()).map_err(|e| e.to_string())?;
        let connector = tokio_rustls::TlsConnector::from(tls()?);
        handshake(connector.connect(name, stream).await.map_err(|e| format!("TLS: {e}"))?).await
    }

    /// Connects to the first address of the name that the guard lets through.
    async fn reach(&self) -> Result<TcpStream, String> {
        let Target { host, port, .. } = &self.target;
        let addresses: Vec<SocketAddr> = tokio::net::lookup_host((host.as_str(), *port))
            .await
            .map_err(|e| format!("{host}: {}", crate::error::reason(&e)))?
            .collect();
        let mut why = format!("{host} has no address");
        for address in addresses {
            if let Err(refused) = self.guard.check(host, address.ip()) {
                why = refused;
                continue;
            }
            match TcpStream::connect(address).await {
                Ok(stream) => return Ok(stream),
                Err(e) => why = format!("{address}: {}", crate::error::reason(&e)),
            }
        }
        Err(why)
    }
}

async fn handshake(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
) -> Result<SendRequest<Full<Bytes>>, String> {
    let (sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|e| reason(&e))?;
    // It ends with the sender; what goes wrong with it the sender says, too.
    tokio::spawn(async move { drop(connection.await) });
    Ok(sender)
}

fn reason(error: &hyper::Error) -> String {
    let inner = std::error::Error::source(error).map_or(String::new(), |source| format!(": {source}"));
    format!("{error}{inner}")
}

/// Certificates are checked against those that the web trusts.
fn tls() -> Result<Arc<ClientConfig>, String> {
    static CONFIG: OnceLock<Arc<ClientConfig>> = OnceLock::new();
    if let Some(config) = CONFIG.get() {
        return Ok(Arc::clone(config));
    }
    let roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = builder.map_err(|e| e.to_string())?.with_root_certificates(roots).with_no_client_auth();
    Ok(Arc::clone(CONFIG.get_or_init(|| Arc::new(config))))
}
