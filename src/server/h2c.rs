//! `Upgrade: h2c`: a connection that begins in HTTP/1.1 and goes on in HTTP/2 (RFC 7540, section 3.2).
//!
//! The request that asks for it is answered on stream 1 of the new protocol. To the implementation of HTTP/2 that
//! follows it is one like any other: behind the client's preface and settings stand the frames in which the client
//! would have sent it, and then what the client says itself.
//!
//! Nobody has to upgrade. A request with a long body, or one that does not say how long it is, is answered in
//! HTTP/1.1.

use super::BODY_PATIENCE;
use super::connections::{self, PREFACE, Rewound, Terms};
use super::error::{BAD_REQUEST, Failure};
use axum::Router;
use axum::body::to_bytes;
use axum::extract::{Request, State};
use axum::http::header::{CONNECTION, CONTENT_LENGTH, HOST, HeaderName, TE, TRANSFER_ENCODING, UPGRADE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, Version};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hyper::body::Incoming;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use std::io;
use tokio::io::{AsyncRead, AsyncReadExt};

/// The initial window of a stream: what may be sent of a body before anything was agreed upon.
const BODY_BYTES_MAX: usize = 65_535;
/// The longest frame before anything was agreed upon.
const FRAME_BYTES_MAX: usize = 16_384;
const FRAME_HEAD_BYTES: usize = 9;

const DATA: u8 = 0x0;
const HEADERS: u8 = 0x1;
const SETTINGS: u8 = 0x4;
const CONTINUATION: u8 = 0x9;
const END_STREAM: u8 = 0x1;
const END_HEADERS: u8 = 0x4;

const HTTP2_SETTINGS: HeaderName = HeaderName::from_static("http2-settings");

/// What serves a connection once it is upgraded: all routes, not only the one that was asked first.
#[derive(Clone)]
pub struct Protocols {
    pub routes: Router,
    pub terms: Terms,
}

/// The outermost of what serves HTTP/1.1 that is not encrypted.
pub async fn upgraded(
    State(Protocols { routes, terms }): State<Protocols>,
    mut request: Request,
    next: Next,
) -> Response {
    let Some(settings) = asked(&request) else { return next.run(request).await };
    let upgrade = hyper::upgrade::on(&mut request);
    let (parts, body) = request.into_parts();
    let Ok(Ok(body)) = tokio::time::timeout(BODY_PATIENCE, to_bytes(body, BODY_BYTES_MAX)).await else {
        return Failure::generic(BAD_REQUEST, "the request could not be read").into_response();
    };
    tokio::spawn(async move {
        let Ok(io) = upgrade.await else { return };
        let opened = tokio::time::timeout(terms.head_patience, opened(io, &settings, frames(&parts, &body)));
        let Ok(Ok(io)) = opened.await else { return };
        let service = TowerToHyperService::new(routes.into_service::<Incoming>());
        connections::http2(io, service, &terms).await;
    });
    let switched = [(CONNECTION, "upgrade"), (UPGRADE, "h2c")];
    (StatusCode::SWITCHING_PROTOCOLS, switched).into_response()
}

/// The client's settings, if it asks for the upgrade and may have it.
fn asked(request: &Request) -> Option<Vec<u8>> {
    let headers = request.headers();
    let names = |header, name| tokens(headers, header).any(|token| token.eq_ignore_ascii_case(name));
    let asks = request.version() == Version::HTTP_11
        && names(UPGRADE, "h2c")
        && names(CONNECTION, "upgrade")
        && names(CONNECTION, HTTP2_SETTINGS.as_str());
    let length = match headers.get(CONTENT_LENGTH) {
        Some(length) => length.to_str().ok()?.parse().ok()?,
        None => 0,
    };
    if !asks || length > BODY_BYTES_MAX || headers.contains_key(TRANSFER_ENCODING) {
        return None;
    }
    let mut given = headers.get_all(HTTP2_SETTINGS).iter();
    let settings = URL_SAFE_NO_PAD.decode(given.next()?.to_str().ok()?.trim_end_matches('=')).ok()?;
    let is_whole = settings.len().is_multiple_of(6) && settings.len() <= FRAME_BYTES_MAX / 2;
    (is_whole && given.next().is_none()).then_some(settings)
}

/// What a header lists, over all its lines.
fn tokens(headers: &HeaderMap, name: HeaderName) -> impl Iterator<Item = &str> {
    let lines = headers.get_all(name).into_iter().filter_map(|line| line.to_str().ok());
    lines.flat_map(|line| line.split(',')).map(str::trim)
}

/// Reads the client's preface and settings, and puts `request` behind them. The settings of the request stand
/// before those of the frame, which are newer; the client hears of both together, since it has been told of the
/// former by the answer to its upgrade.
async fn opened(io: Upgraded, settings: &[u8], request: Vec<u8>) -> io::Result<Rewound<Upgraded>> {
    let mut io = TokioIo::new(io);
    let own = first_settings(&mut io).await?;
    let settings = [settings, &own[..]].concat();
    let mut said = PREFACE.to_vec();
    push_frame(&mut said, SETTINGS, 0, 0, &settings);
    said.extend(request);
    Ok(Rewound::new(said, io.into_inner()))
}

/// The payload of the frame that has to be the client's first.
async fn first_settings(io: &mut (impl AsyncRead + Unpin)) -> io::Result<Vec<u8>> {
    let mut head = [0; PREFACE.len() + FRAME_HEAD_BYTES];
    io.read_exact(&mut head).await?;
    let (preface, frame) = head.split_at(PREFACE.len());
    let [a, b, c, kind, flags, stream @ ..] = frame else { return Err(io::ErrorKind::InvalidData.into()) };
    let length = u32::from_be_bytes([0, *a, *b, *c]) as usize;
    let is_settings = *kind == SETTINGS && *flags == 0 && stream == [0; 4];
    if preface != PREFACE || !is_settings || length > FRAME_BYTES_MAX / 2 {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut payload = vec![0; length];
    io.read_exact(&mut payload).await?;
    Ok(payload)
}

/// A request as frames of stream 1.
fn frames(parts: &Parts, body: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let block = block(parts);
    let blocks = block.chunks(FRAME_BYTES_MAX);
    let (last, has_body) = (blocks.len() - 1, !body.is_empty());
    for (i, part) in blocks.enumerate() {
        let kind = if i == 0 { HEADERS } else { CONTINUATION };
        let end_of_stream = if i == 0 && !has_body { END_STREAM } else { 0 };
        let end_of_headers = if i == last { END_HEADERS } else { 0 };
        push_frame(&mut out, kind, end_of_stream | end_of_headers, 1, part);
    }
    let mut parts = body.chunks(FRAME_BYTES_MAX).peekable();
    while let Some(part) = parts.next() {
        let flags = if parts.peek().is_none() { END_STREAM } else { 0 };
        push_frame(&mut out, DATA, flags, 1, part);
    }
    out
}

fn push_frame(out: &mut Vec<u8>, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
    out.extend(&(payload.len() as u32).to_be_bytes()[1..]);
    out.extend([kind, flags]);
    out.extend(stream.to_be_bytes());
    out.extend(payload);
}

/// The head of a request in HPACK (RFC 7541), each field as a literal that is not indexed: what is compressed
/// later finds the tables as the client knows them. What concerns the connection alone stays behind.
fn block(parts: &Parts) -> Vec<u8> {
    let mut out = Vec::new();
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    push_field(&mut out, ":method", parts.method.as_str().as_bytes());
    push_field(&mut out, ":scheme", b"http");
    push_field(&mut out, ":path", path.as_bytes());
    let named = parts.uri.authority().map(|authority| authority.as_str().as_bytes());
    if let Some(authority) = named.or_else(|| parts.headers.get(HOST).map(HeaderValue::as_bytes)) {
        push_field(&mut out, ":authority", authority);
    }
    let connection: Vec<String> = tokens(&parts.headers, CONNECTION).map(str::to_ascii_lowercase).collect();
    let stays = [CONNECTION, HOST, HTTP2_SETTINGS, TE, TRANSFER_ENCODING, UPGRADE];
    for (name, value) in &parts.headers {
        let is_hop = name == "keep-alive" || name == "proxy-connection";
        if !is_hop && !stays.contains(name) && !connection.iter().any(|hop| hop == name.as_str()) {
            push_field(&mut out, name.as_str(), value.as_bytes());
        }
    }
    out
}

fn push_field(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    out.push(0);
    for text in [name.as_bytes(), value] {
        push_length(out, text.len());
        out.extend(text);
    }
}

/// An integer with a prefix of 7 bits.
fn push_length(out: &mut Vec<u8>, length: usize) {
    const PREFIX: usize = 0x7f;
    if length < PREFIX {
        return out.push(length as u8);
    }
    out.push(PREFIX as u8);
    let mut rest = length - PREFIX;
    while rest >= 0x80 {
        out.push((rest % 0x80) as u8 | 0x80);
        rest /= 0x80;
    }
    out.push(rest as u8);
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Body;

    fn request(headers: &[(&str, &str)]) -> Request {
        let mut builder = axum::http::Request::post("/ksql?a=b").version(Version::HTTP_11);
        for (name, value) in headers {
            builder = builder.header(*name, *value);
        }
        builder.body(Body::empty()).unwrap()
    }

    #[test]
    fn who_asks_for_it_as_it_is_written_gets_it() {
        let (connection, settings) =
            (("connection", "Upgrade, HTTP2-Settings"), ("http2-settings", "AAMAAABk"));
        let upgrade = ("upgrade", "h2c");
        for (headers, gets) in [
            (vec![connection, settings, upgrade], true),
            (vec![connection, ("http2-settings", ""), upgrade], true),
            (vec![connection, settings, ("upgrade", "websocket, h2c")], true),
            (vec![connection, settings, ("upgrade", "websocket")], false),
            (vec![("connection", "upgrade"), settings, upgrade], false),
            (vec![connection, upgrade], false),
            (vec![connection, ("http2-settings", "AAMA"), upgrade], false),
            (vec![connection, settings, settings, upgrade], false),
            (vec![connection, settings, upgrade, ("content-length", "65536")], false),
            (vec![connection, settings, upgrade, ("transfer-encoding", "chunked")], false),
        ] {
            assert_eq!(asked(&request(&headers)).is_some(), gets, "{headers:?}");
        }
    }

    #[test]
    fn a_request_becomes_frames() {
        let (parts, _) = request(&[
            ("host", "h:1"),
            ("connection", "upgrade, x-hop"),
            ("upgrade", "h2c"),
            ("x-hop", "1"),
            ("accept", "a"),
        ])
        .into_parts();
        let fields = [
            (":method", "POST"),
            (":scheme", "http"),
            (":path", "/ksql?a=b"),
            (":authority", "h:1"),
            ("accept", "a"),
        ];
        let mut block = Vec::new();
        for (name, value) in fields {
            block.extend([0, name.len() as u8]);
            block.extend(name.bytes());
            block.push(value.len() as u8);
            block.extend(value.bytes());
        }
        let head =
            |length: usize, kind, flags| vec![0, (length >> 8) as u8, length as u8, kind, flags, 0, 0, 0, 1];
        let bare = [head(block.len(), HEADERS, END_HEADERS | END_STREAM), block.clone()].concat();
        assert_eq!(frames(&parts, b""), bare);
        let body = vec![b'x'; FRAME_BYTES_MAX + 2];
        let whole = [
            head(block.len(), HEADERS, END_HEADERS),
            block,
            head(FRAME_BYTES_MAX, DATA, 0),
            body[2..].to_vec(),
            head(2, DATA, END_STREAM),
            b"xx".to_vec(),
        ];
        assert_eq!(frames(&parts, &body), whole.concat());
    }

    #[test]
    fn lengths_have_a_prefix() {
        for (length, bytes) in [(126, vec![126]), (127, vec![127, 0]), (1337, vec![127, 0xba, 9])] {
            let mut out = Vec::new();
            push_length(&mut out, length);
            assert_eq!(out, bytes, "{length}");
        }
    }
}
