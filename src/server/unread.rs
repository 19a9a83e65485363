//! Reads what a refused request still sends before its answer leaves.
//!
//! A request can be refused on its headers or in the middle of its body: it is too long, of a wrong type, from
//! somebody who may not. A connection that is closed while its client is still writing shows that client a
//! broken pipe in place of the answer. So what is left of a body is read and thrown away first, up to a
//! bound, after which the client has only itself to blame.

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::Request;
use axum::http::header::EXPECT;
use axum::middleware::Next;
use axum::response::Response;
use http_body_util::BodyExt;
use hyper::body::{Frame, SizeHint};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

/// What is read and thrown away of a body at most, and for how long.
const BYTES_MAX: usize = 64 << 20;
const TIME_MAX: Duration = Duration::from_secs(5);

/// The place to which a body comes back that is dropped before its end.
type Returned = Arc<Mutex<Option<Body>>>;

pub async fn read_to_its_end(request: Request, next: Next) -> Response {
    // Who asks first whether to send the body has not sent it, and sends it when it is read.
    if request.body().is_end_stream() || request.headers().contains_key(EXPECT) {
        return next.run(request).await;
    }
    let returned = Returned::default();
    let lent = |body| Body::new(Lent { body: Some(body), returned: Arc::clone(&returned) });
    let response = next.run(request.map(lent)).await;
    let rest = returned.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(rest) = rest {
        // What did not end in time is cut off by the connection.
        let _ = tokio::time::timeout(TIME_MAX, throw_away(rest)).await;
    }
    response
}

async fn throw_away(mut body: Body) {
    let mut bytes = 0;
    while let (Some(Ok(frame)), true) = (body.frame().await, bytes < BYTES_MAX) {
        bytes += frame.data_ref().map_or(0, Bytes::len);
    }
}

/// The body of a request while its handler has it.
struct Lent {
    body: Option<Body>,
    returned: Returned,
}

impl HttpBody for Lent {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let Some(body) = &mut self.body else { return Poll::Ready(None) };
        let frame = ready!(Pin::new(body).poll_frame(context));
        // Nothing comes after an end or an error.
        if !matches!(frame, Some(Ok(_))) {
            self.body = None;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(|| SizeHint::with_exact(0), HttpBody::size_hint)
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if let Some(body) = self.body.take().filter(|body| !body.is_end_stream()) {
            *self.returned.lock().unwrap_or_else(PoisonError::into_inner) = Some(body);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Guard, serve_routes};
    use axum::Router;
    use axum::http::StatusCode;
    use axum::routing::post;
    use std::io::{Read, Write};

    /// More than a connection's buffers take, so that the client is still writing when it is refused.
    const LENGTH: usize = 32 << 20;

    #[test]
    fn who_is_refused_on_the_headers_reads_why() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let routes = Router::new().route("/", post(|| async { StatusCode::UNSUPPORTED_MEDIA_TYPE }));
        let (close, _) = tokio::sync::watch::channel(false);
        let guard = Guard::of(&listener, None);
        runtime.spawn(serve_routes(listener, routes, guard, None, close, std::future::pending()));
        let mut client = std::net::TcpStream::connect(address).unwrap();
        write!(client, "POST / HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {LENGTH}\r\n\r\n")
            .unwrap();
        client.write_all(&vec![b'x'; LENGTH]).unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 415 "), "{answer}");
    }
}
