//! Connections: accepted, told apart by their first bytes, and served until the server closes.
//!
//! HTTP/1.1 and HTTP/2 share one port. Who speaks HTTP/2 begins with its preface, from which every request of
//! HTTP/1.1 differs within some bytes. A connection that says nothing, or half a head, is closed when its time is
//! over.

use super::h2c::{self, Protocols};
use axum::Router;
use axum::extract::Request;
use axum::middleware;
use axum::response::Response;
use axum::serve::Listener;
use hyper::body::Incoming;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper::server::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::convert::Infallible;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::sync::{mpsc, watch};

/// How HTTP/2 begins.
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// What holds for every connection.
#[derive(Clone)]
pub struct Terms {
    /// How long the head of a request may take to come, and how long a connection of HTTP/1.1 may rest between two.
    pub head_patience: Duration,
    /// How often a client of HTTP/2 is asked whether it is still there, and how long its answer may take: there is
    /// no head to wait for while its queries are open.
    pub ping_patience: Duration,
    /// Streams that one connection of HTTP/2 may have open. Whoever has so many waits with the next one and tells
    /// nobody, so they are more than the requests that are answered at a time: one too many is told so instead.
    pub streams_max: u32,
    /// Becomes true when the server stops.
    pub closing: watch::Receiver<bool>,
}

/// Serves what `listener` accepts until `terms.closing` is true and what was begun before is done.
/// Where connections are not encrypted, HTTP/1.1 may be upgraded to HTTP/2.
pub async fn serve<L: Listener>(mut listener: L, routes: Router, terms: Terms, is_encrypted: bool) {
    let first = match is_encrypted {
        true => routes.clone(),
        false => {
            let protocols = Protocols { routes: routes.clone(), terms: terms.clone() };
            routes.clone().layer(middleware::from_fn_with_state(protocols, h2c::upgraded))
        }
    };
    // Each connection has a sender, so that the end of the last one is known.
    let (open, mut all_ended) = mpsc::channel::<Infallible>(1);
    let mut closing = terms.closing.clone();
    loop {
        let (io, _) = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = closing.wait_for(|closing| *closing) => break,
        };
        let (first, routes, terms, open) = (first.clone(), routes.clone(), terms.clone(), open.clone());
        tokio::spawn(async move {
            connection(io, first, routes, &terms).await;
            drop(open);
        });
    }
    drop((listener, open));
    all_ended.recv().await;
}

/// Serves one, `first` by HTTP/1.1 and `routes` by HTTP/2. How it ends is of no interest: its client has gone, or
/// did not speak HTTP.
async fn connection<Io>(mut io: Io, first: Router, routes: Router, terms: &Terms)
where
    Io: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let Ok(Ok(said)) = tokio::time::timeout(terms.head_patience, beginning(&mut io)).await else { return };
    let is_http2 = said == PREFACE;
    let io = Rewound::new(said, TokioIo::new(io));
    if is_http2 {
        return http2(io, TowerToHyperService::new(routes.into_service::<Incoming>()), terms).await;
    }
    let service = TowerToHyperService::new(first.into_service::<Incoming>());
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(terms.head_patience);
    let mut connection = pin!(builder.serve_connection(io, service).with_upgrades());
    let mut closing = terms.closing.clone();
    tokio::select! {
        _ = connection.as_mut() => return,
        _ = closing.wait_for(|closing| *closing) => connection.as_mut().graceful_shutdown(),
    }
    let _ = connection.await;
}

/// Serves a connection that begins with [`PREFACE`].
pub async fn http2<Io, S>(io: Io, service: S, terms: &Terms)
where
    Io: Read + Write + Unpin,
    S: hyper::service::Service<Request<Incoming>, Response = Response, Error = Infallible>,
    S::Future: Send + 'static,
{
    let mut builder = http2::Builder::new(TokioExecutor::new());
    // WebSockets over HTTP/2 need CONNECT.
    builder.enable_connect_protocol().max_concurrent_streams(terms.streams_max);
    builder.timer(TokioTimer::new());
    builder.keep_alive_interval(terms.ping_patience).keep_alive_timeout(terms.ping_patience);
    let mut connection = pin!(builder.serve_connection(io, service));
    let mut closing = terms.closing.clone();
    tokio::select! {
        _ = connection.as_mut() => return,
        _ = closing.wait_for(|closing| *closing) => connection.as_mut().graceful_shutdown(),
    }
    let _ = connection.await;
}

/// Reads until it is [`PREFACE`], or differs from it.
async fn beginning(io: &mut (impl AsyncRead + Unpin)) -> io::Result<Vec<u8>> {
    let mut said = Vec::with_capacity(PREFACE.len());
    let mut left = io.take(PREFACE.len() as u64);
    while said.len() < PREFACE.len() && PREFACE.starts_with(&said) {
        if left.read_buf(&mut said).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(said)
}

/// A connection of which something was read before: that is read again first.
pub struct Rewound<Io> {
    said: Vec<u8>,
    /// How much of `said` was read again.
    taken: usize,
    io: Io,
}

impl<Io> Rewound<Io> {
    pub fn new(said: Vec<u8>, io: Io) -> Rewound<Io> {
        Rewound { said, taken: 0, io }
    }
}

impl<Io: Read + Unpin> Read for Rewound<Io> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        mut buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let left = &self.said[self.taken..];
        if left.is_empty() {
            self.said = Vec::new();
            self.taken = 0;
            return Pin::new(&mut self.io).poll_read(context, buffer);
        }
        let count = left.len().min(buffer.remaining());
        buffer.put_slice(&left[..count]);
        self.taken += count;
        Poll::Ready(Ok(()))
    }
}

impl<Io: Write + Unpin> Write for Rewound<Io> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(context)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(context, parts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::routing::get;
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};

    /// What a server says to one who says `bytes` and waits, until it closes the connection.
    fn answer(bytes: &[u8]) -> Vec<u8> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        listener.set_nonblocking(true).unwrap();
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let (_close, closing) = watch::channel(false);
        let [head_patience, ping_patience] = [50, 70].map(Duration::from_millis);
        let terms = Terms { head_patience, ping_patience, streams_max: 10, closing };
        let routes = Router::new().route("/", get(|| async { "hello" }));
        runtime.spawn(async {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            serve(listener, routes, terms, false).await;
        });
        client.write_all(bytes).unwrap();
        let mut said = Vec::new();
        client.read_to_end(&mut said).unwrap();
        said
    }

    #[test]
    fn who_says_nothing_or_half_a_head_is_not_waited_for() {
        for half in ["", "G", "PRI * HT", "GET / HTTP/1.1\r\nhost: x\r\n"] {
            assert_eq!(answer(half.as_bytes()), b"", "{half:?}");
        }
        // Nor is who rests behind a request.
        let said = String::from_utf8(answer(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")).unwrap();
        assert!(said.starts_with("HTTP/1.1 200 ") && said.ends_with("hello"), "{said}");
    }

    #[test]
    fn a_client_of_http2_that_answers_no_ping_has_gone() {
        const PING: u8 = 6;
        let settings = [0, 0, 0, 4, 0, 0, 0, 0, 0];
        let said = answer(&[PREFACE, &settings].concat());
        let mut left = said.as_slice();
        let mut kinds = Vec::new();
        while let [a, b, c, kind, ..] = left {
            kinds.push(*kind);
            left = &left[9 + u32::from_be_bytes([0, *a, *b, *c]) as usize..];
        }
        assert!(kinds.contains(&PING), "{kinds:?}");
    }
}
