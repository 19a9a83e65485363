//! What each request passes: where it is from, who asks, what that one may, and how many there are.
//!
//! A request that changes something must come from a page of this server, or from no page at all; one to a
//! server of this machine must name this machine, since any page can give its own name this address. So no
//! page of another server can do what its visitor may.

use super::{Access, Role};
use crate::gateway::{Gateway, Who};
use crate::server::error::Failure;
use crate::server::gateway;
use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, HOST, HeaderName, ORIGIN, SEC_WEBSOCKET_KEY, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, HeaderValue, Method, Uri};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::collections::HashMap;
use std::net::TcpListener;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;
use tokio::sync::Semaphore;

/// Requests at a time, streams of rows and events among them; more are told to come later.
pub const REQUESTS_MAX: usize = 1_024;
/// Requests a second of one who asks, on average, and at once.
const RATE: f64 = 200.0;
const BURST: f64 = 1_000.0;
/// Passwords that are checked at a time: each takes some milliseconds of a core and some MiB.
const CHECKS_MAX: usize = 2;
/// Of wrong passwords and tokens, by all together.
const WRONG_RATE: f64 = 5.0;
const WRONG_BURST: f64 = 20.0;
/// Passwords that were right lately.
const KNOWN_MAX: usize = 1_000;

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

pub struct Guard {
    access: Option<Access>,
    /// Only this machine can reach it.
    is_local: bool,
    requests: Arc<Semaphore>,
    checks: Semaphore,
    /// Authorizations with passwords that were right.
    known: Mutex<HashMap<String, (String, Role)>>,
    buckets: Mutex<HashMap<String, Bucket>>,
}

/// Fills up with time, and is emptied by requests.
#[derive(Clone, Copy)]
struct Bucket {
    left: f64,
    at: Instant,
}

impl Guard {
    /// The guard of what is served where `listener` listens.
    pub fn of(listener: &TcpListener, access: Option<Access>) -> Arc<Guard> {
        let is_local = listener.local_addr().is_ok_and(|address| address.ip().is_loopback());
        Arc::new(Guard::new(access, is_local))
    }

    fn new(access: Option<Access>, is_local: bool) -> Guard {
        Guard {
            access,
            is_local,
            requests: Arc::new(Semaphore::new(REQUESTS_MAX)),
            checks: Semaphore::new(CHECKS_MAX),
            known: Mutex::default(),
            buckets: Mutex::default(),
        }
    }

    /// Whether one more is allowed now.
    fn draw(&self, who: &str, rate: f64, burst: f64) -> bool {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let bucket = buckets.entry(who.into()).or_insert(Bucket { left: burst, at: now });
        bucket.left = (bucket.left + (now - bucket.at).as_secs_f64() * rate).min(burst);
        bucket.at = now;
        if bucket.left < 1.0 {
            return false;
        }
        bucket.left -= 1.0;
        true
    }

    /// Guessing is slow: of those who are wrong only some are told so.
    fn wrong(&self, why: &str) -> Denied {
        match self.draw("wrong", WRONG_RATE, WRONG_BURST) {
            true => Denied(401, why.into()),
            false => Denied(429, "too many were wrong; try again later".into()),
        }
    }

    /// Name and role of who asks.
    async fn identify(self: &Arc<Guard>, headers: &HeaderMap) -> Result<(String, Role), Denied> {
        let Some(access) = &self.access else { return Ok((String::new(), Role::Admin)) };
        let given = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        let Some(given) = given else {
            return Err(Denied(401, "who asks must say who: a token, or name and password".into()));
        };
        let refused = || self.wrong("this name and password, or this token, is not known");
        if let Some(token) = bearer(headers) {
            let found = access.by_token(token);
            return found.map(|(name, role)| (name.to_string(), role)).ok_or_else(refused);
        }
        if let Some(known) = self.known.lock().unwrap_or_else(PoisonError::into_inner).get(given) {
            return Ok(known.clone());
        }
        let (name, password) = basic(given).ok_or_else(refused)?;
        let _turn = self.checks.acquire().await;
        let (guard, asked) = (Arc::clone(self), (name.clone(), password));
        let role = tokio::task::spawn_blocking(move || {
            let access = guard.access.as_ref()?;
            access.by_password(&asked.0, &asked.1)
        });
        let role = role.await.ok().flatten().ok_or_else(refused)?;
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= KNOWN_MAX {
            known.clear();
        }
        known.insert(given.into(), (name.clone(), role));
        Ok((name, role))
    }
}

/// Why a request is not let through: a status of HTTP, and what is told.
struct Denied(u16, String);

/// The secret of `Bearer …`.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    headers.get(AUTHORIZATION)?.to_str().ok()?.strip_prefix("Bearer ").map(str::trim)
}

/// Name and password of `Basic …`.
fn basic(authorization: &str) -> Option<(String, String)> {
    let encoded = authorization.strip_prefix("Basic ")?;
    let text = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
    text.split_once(':').map(|(name, password)| (name.into(), password.into()))
}

/// Puts a guard before routes; whoever gets through has the [`Role`] that the path needs.
pub fn guarded(routes: Router, guard: &Arc<Guard>) -> Router {
    routes.layer(middleware::from_fn_with_state(Arc::clone(guard), admit))
}

async fn admit(State(guard): State<Arc<Guard>>, mut request: Request, next: Next) -> Response {
    if let Err(why) = came_from(request.method(), request.uri(), request.headers(), guard.is_local) {
        return Failure::generic(40300, why).into_response();
    }
    let (who, role) = match guard.identify(request.headers()).await {
        Ok(found) => found,
        Err(Denied(status, why)) => {
            let mut response = Failure::generic(u32::from(status) * 100, why).into_response();
            // A browser asks for name and password then.
            let how = HeaderValue::from_static("Basic realm=\"wharfe\", charset=\"UTF-8\"");
            response.headers_mut().insert(WWW_AUTHENTICATE, how);
            return response;
        }
    };
    let needed = needed(request.method(), request.uri().path());
    if role < needed {
        let why = format!("this needs the role {}; {who} has {}", needed.word(), role.word());
        return Failure::generic(40301, why).into_response();
    }
    if guard.access.is_some() && !guard.draw(&format!("of {who}"), RATE, BURST) {
        return Failure::generic(42900, "too many requests; try again later").into_response();
    }
    request.extensions_mut().insert(role);
    next.run(request).await
}

/// What guards a gateway's routes.
#[derive(Clone)]
pub struct Keeper {
    pub guard: Arc<Guard>,
    pub gateway: Arc<Gateway>,
}

/// Before a gateway's routes, which are told [`Who`] asks. They are open to tokens of the topology, each in its
/// namespaces, and to names of the access file, which may in every namespace what their role says.
pub async fn guard_events(State(keeper): State<Keeper>, mut request: Request, next: Next) -> Response {
    match keeper.admit(request.method(), request.uri(), request.headers()).await {
        Ok(who) => request.extensions_mut().insert(who),
        Err(Denied(status, why)) => {
            let failure = gateway::Failure::new(status, why);
            let hint = "Authorization: Bearer SECRET, of a [tokens.…] of the topology or of the access file";
            return if status == 401 { failure.hint(hint) } else { failure }.into_response();
        }
    };
    next.run(request).await
}

impl Keeper {
    async fn admit(&self, method: &Method, uri: &Uri, headers: &HeaderMap) -> Result<Who, Denied> {
        let rights = &self.gateway.rights;
        came_from(method, uri, headers, self.guard.is_local).map_err(|why| Denied(403, why))?;
        let secret = bearer(headers);
        if let Some(who) = secret.and_then(|secret| rights.known(secret)) {
            return Ok(who);
        }
        if self.guard.access.is_some() {
            let (name, role) = self.guard.identify(headers).await?;
            if role == Role::Read && !is_reading(method) {
                return Err(Denied(403, format!("this needs the role write; {name} has read")));
            }
            return Ok(Who::everywhere(name, role >= Role::Write, role == Role::Admin));
        }
        match secret {
            _ if rights.are_open() => Ok(Who::anybody()),
            Some(_) => Err(self.guard.wrong("nobody has this token")),
            None => Err(Denied(401, "a token is needed".into())),
        }
    }
}

fn is_reading(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
}

/// The outermost: no more requests than can be held, each until its answer is through.
pub async fn limit(State(guard): State<Arc<Guard>>, request: Request, next: Next) -> Response {
    let Ok(permit) = Arc::clone(&guard.requests).try_acquire_owned() else {
        return Failure::generic(50300, "too many requests at a time; try again later").into_response();
    };
    let (parts, body) = next.run(request).await.into_parts();
    let stream =
        futures_util::stream::unfold((body.into_data_stream(), permit), |(mut body, permit)| async {
            use futures_util::StreamExt;
            Some((body.next().await?, (body, permit)))
        });
    Response::from_parts(parts, Body::from_stream(stream))
}

/// What a path needs; what statements need beside that, `/ksql` looks at itself.
fn needed(method: &Method, path: &str) -> Role {
    let reads = ["/ksql", "/query", "/query-stream", "/close-query", "/check", "/rejects/preview"];
    match *method {
        _ if is_reading(method) => Role::Read,
        Method::POST if reads.contains(&path) || path.starts_with("/compatibility/") => Role::Read,
        // Looking a schema up is a POST of it to its subject.
        Method::POST if path.starts_with("/subjects/") && !path.ends_with("/versions") => Role::Read,
        Method::POST if path == "/inserts-stream" || path.starts_with("/rejects/") => Role::Write,
        _ => Role::Admin,
    }
}

/// Why a request is not taken, if it is another server's page that makes it.
fn came_from(method: &Method, uri: &Uri, headers: &HeaderMap, is_local: bool) -> Result<(), String> {
    let text = |name: &HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let host =
        uri.authority().map(|authority| authority.as_str()).or_else(|| text(&HOST)).unwrap_or_default();
    if is_local && !host.is_empty() && !is_this_machine(host) {
        return Err(format!("{host} is not this server: it is served on this machine only"));
    }
    // A page of any server may open a WebSocket, and read what it says.
    if is_reading(method) && !headers.contains_key(SEC_WEBSOCKET_KEY) {
        return Ok(());
    }
    if text(&SEC_FETCH_SITE).is_some_and(|site| !matches!(site, "same-origin" | "none")) {
        return Err("a page of another server asks for this".into());
    }
    match text(&ORIGIN) {
        None => Ok(()),
        Some(origin) if origin.split_once("://").is_some_and(|(_, of)| of.eq_ignore_ascii_case(host)) => {
            Ok(())
        }
        Some(origin) => Err(format!("a page of {origin} asks for this, and that is not {host}")),
    }
}

fn is_this_machine(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(v6) => v6.split_once(']').map_or(v6, |(name, _)| name),
        None => host.rsplit_once(':').map_or(host, |(name, _)| name),
    };
    name.eq_ignore_ascii_case("localhost")
        || name.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(method: Method, headers: &[(&'static str, &str)], is_local: bool) -> Result<(), String> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(*name, value.parse().unwrap());
        }
        came_from(&method, &"/ksql".parse().unwrap(), &map, is_local)
    }

    #[test]
    fn pages_of_other_servers_change_nothing() {
        let local = ("host", "127.0.0.1:8088");
        for (method, headers, is_local, taken) in [
            (Method::POST, vec![local], true, true),
            (Method::POST, vec![local, ("origin", "http://127.0.0.1:8088")], true, true),
            (Method::POST, vec![local, ("origin", "http://evil.example")], true, false),
            (Method::POST, vec![local, ("origin", "null")], true, false),
            (Method::POST, vec![local, ("sec-fetch-site", "cross-site")], true, false),
            (Method::POST, vec![local, ("sec-fetch-site", "same-origin")], true, true),
            (Method::GET, vec![local, ("origin", "http://evil.example")], true, true),
            (Method::GET, vec![("host", "evil.example")], true, false),
            (Method::GET, vec![("host", "[::1]:8088")], true, true),
            (Method::GET, vec![("host", "localhost")], true, true),
            (Method::POST, vec![("host", "w.example"), ("origin", "https://w.example")], false, true),
            (Method::POST, vec![("host", "w.example"), ("origin", "https://w.example.evil")], false, false),
        ] {
            assert_eq!(asked(method.clone(), &headers, is_local).is_ok(), taken, "{method} {headers:?}");
        }
    }

    #[test]
    fn paths_need_roles() {
        for (method, path, role) in [
            (Method::GET, "/console", Role::Read),
            (Method::GET, "/metrics", Role::Read),
            (Method::POST, "/query-stream", Role::Read),
            (Method::POST, "/subjects/a", Role::Read),
            (Method::POST, "/subjects/a/versions", Role::Admin),
            (Method::POST, "/inserts-stream", Role::Write),
            (Method::POST, "/rejects/replay", Role::Write),
            (Method::PUT, "/config", Role::Admin),
            (Method::DELETE, "/subjects/a", Role::Admin),
        ] {
            assert_eq!(needed(&method, path), role, "{method} {path}");
        }
    }

    #[test]
    fn a_bucket_is_empty_after_its_burst() {
        let guard = Guard::new(None, true);
        let drawn = (0..50).filter(|_| guard.draw("x", 0.0, 20.0)).count();
        assert_eq!(drawn, 20);
    }
}
