//! `POST /inserts-stream`: rows as JSON lines, each acknowledged once it is in its log.
//!
//! The first line names the target, every other one is a row. A client may send rows and read
//! acknowledgements for as long as it likes, so this needs HTTP/2.

use super::error::{BAD_REQUEST, Failure, error_code};
use super::{App, BODY_BYTES_MAX, blocking, request};
use crate::engine::Engine;
use crate::error::{Error, Result as EngineResult};
use axum::body::{Body, BodyDataStream, Bytes};
use axum::extract::State;
use axum::http::header::ACCEPT;
use axum::http::{HeaderMap, Version};
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt;
use serde::Deserialize;
use serde_json::json;
use std::collections::VecDeque;
use std::convert::Infallible;

const HTTP2_ONLY: u32 = 40004;

#[derive(Deserialize)]
struct Target {
    target: String,
}

pub async fn inserts_stream(
    State(app): State<App>,
    version: Version,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Failure> {
    if version < Version::HTTP_2 {
        return Err(Failure::generic(
            HTTP2_ONLY,
            "this path needs HTTP/2; or POST INSERT INTO … VALUES to /ksql",
        ));
    }
    let mut lines = Lines { body: body.into_data_stream(), rest: Vec::new(), whole: VecDeque::new() };
    let first = lines.next().await?.unwrap_or_default();
    let expected = r#"expected {"target": "…"} on the first line, then a row a line"#;
    let Target { target } = request::parse(Ok(Bytes::from(first)), expected)?;
    let engine = app.engine;
    // What cannot be inserted into is refused before the answer begins.
    insert(engine.clone(), target.clone(), Vec::new()).await?;
    let accepted = headers.get(ACCEPT).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let array = accepted.contains("application/json");
    let media_type = if array { "application/json" } else { "application/vnd.ksqlapi.delimited.v1" };
    let acks = Acks { lines, engine, target, array, frames: VecDeque::new(), seq: 0, done: false };
    let body = futures_util::stream::unfold(acks, |mut acks| async {
        let frame = acks.next().await?;
        Some((Ok::<_, Infallible>(frame), acks))
    });
    Ok(([("content-type", media_type)], Body::from_stream(body)).into_response())
}

/// The lines of a body as they come.
struct Lines {
    body: BodyDataStream,
    rest: Vec<u8>,
    whole: VecDeque<Vec<u8>>,
}

impl Lines {
    async fn next(&mut self) -> Result<Option<Vec<u8>>, Failure> {
        loop {
            if let Some(line) = self.whole.pop_front() {
                return Ok(Some(line));
            }
            match self.body.next().await {
                Some(Ok(bytes)) => self.cut(&bytes)?,
                Some(Err(e)) => {
                    return Err(Failure::generic(BAD_REQUEST, format!("the request could not be read: {e}")));
                }
                None if self.rest.is_empty() => return Ok(None),
                None => return Ok(Some(std::mem::take(&mut self.rest))),
            }
        }
    }

    /// All that are there, at least one unless the body has ended.
    async fn ready(&mut self) -> Result<Vec<Vec<u8>>, Failure> {
        let first = self.next().await?;
        Ok(first.into_iter().chain(self.whole.drain(..)).collect())
    }

    fn cut(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.rest.extend_from_slice(bytes);
        let Some(last) = self.rest.iter().rposition(|b| *b == b'\n') else {
            let fits = self.rest.len() <= BODY_BYTES_MAX;
            return if fits { Ok(()) } else { Err(Failure::generic(41300, "a line is longer than 8 MiB")) };
        };
        let rest = self.rest.split_off(last + 1);
        let lines = std::mem::replace(&mut self.rest, rest);
        let lines = lines.split(|b| *b == b'\n').map(<[u8]>::trim_ascii).filter(|l| !l.is_empty());
        self.whole.extend(lines.map(<[u8]>::to_vec));
        Ok(())
    }
}

/// The answer under way: one frame an acknowledgement, since clients take it so.
struct Acks {
    lines: Lines,
    engine: Engine,
    target: String,
    array: bool,
    frames: VecDeque<String>,
    seq: u64,
    done: bool,
}

impl Acks {
    async fn next(&mut self) -> Option<String> {
        while self.frames.is_empty() && !self.done {
            let rows = self.lines.ready().await;
            let acked = match rows {
                Ok(rows) if rows.is_empty() => None,
                Ok(rows) => Some(insert(self.engine.clone(), self.target.clone(), rows).await),
                Err(failure) => Some(Err(failure)),
            };
            match acked {
                Some(Ok(results)) => results.into_iter().for_each(|result| self.ack(result)),
                Some(Err(failure)) => self.end(Some(failure.text())),
                None => self.end(None),
            }
        }
        self.frames.pop_front()
    }

    fn ack(&mut self, result: EngineResult<()>) {
        let ack = match result {
            Ok(()) => json!({ "status": "ok", "seq": self.seq }),
            Err(e) => json!({
                "status": "error",
                "seq": self.seq,
                "error_code": error_code(e.code),
                "message": e.to_string(),
            }),
        };
        self.push(ack.to_string());
        self.seq += 1;
    }

    fn end(&mut self, failure: Option<String>) {
        if let Some(failure) = failure {
            self.push(failure);
        }
        if self.array {
            self.frames.push_back(if self.seq == 0 { "[]" } else { "]" }.into());
        }
        self.done = true;
    }

    fn push(&mut self, text: String) {
        self.frames.push_back(match (self.array, self.seq) {
            (true, 0) => format!("[{text}"),
            (true, _) => format!(",\n{text}"),
            (false, _) => format!("{text}\n"),
        });
    }
}

async fn insert(
    engine: Engine,
    target: String,
    rows: Vec<Vec<u8>>,
) -> Result<Vec<EngineResult<()>>, Failure> {
    blocking(move || {
        let failed = |e: Error| Failure::generic(error_code(e.code), e.to_string());
        engine.insert_rows(&target, &rows).map_err(failed)
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_cut_however_they_come() {
        let mut lines =
            Lines { body: Body::empty().into_data_stream(), rest: Vec::new(), whole: VecDeque::new() };
        for part in ["{\"target\":", "\"S\"}\n\n{\"a\":1}\r\n{\"a\"", ":2}"] {
            lines.cut(part.as_bytes()).unwrap();
        }
        let whole: Vec<&str> = lines.whole.iter().map(|l| std::str::from_utf8(l).unwrap()).collect();
        assert_eq!(whole, [r#"{"target":"S"}"#, r#"{"a":1}"#]);
        assert_eq!(lines.rest, br#"{"a":2}"#);
    }
}
