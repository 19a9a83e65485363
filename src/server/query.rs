//! `POST /query`, `POST /query-stream` and `POST /close-query`: answers as streams.
//!
//! The body pulls from the answer's bounded channel as the client reads, so a slow client holds its
//! own query back and nothing else; a client that goes away drops the body and with it the answer,
//! which closes the query.

use super::error::{BAD_REQUEST, BAD_STATEMENT, Failure, error_code};
use super::ksql::is_query;
use super::request::{self, Naming, Request};
use super::rows::{Form, Writer};
use super::{App, blocking, entity};
use crate::engine::{Answer, AnswerEvent, AnswerKind, Engine, Outcome};
use crate::error::{Code, Error};
use crate::sql::parse_script_with;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::http::header::ACCEPT;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use std::collections::VecDeque;
use std::convert::Infallible;
use tokio::sync::watch;

pub async fn query(
    State(app): State<App>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Failure> {
    let request = request::read(body, Naming::Ksql)?;
    let accepted = accepted(&headers);
    let form = Form::of_query(&accepted).ok_or_else(not_acceptable)?;
    respond(app, request, form, Form::of_print(&accepted)).await
}

pub async fn query_stream(
    State(app): State<App>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Failure> {
    let request = request::read(body, Naming::Sql)?;
    let accepted = accepted(&headers);
    let form = Form::of_query_stream(&accepted).ok_or_else(not_acceptable)?;
    respond(app, request, form, Form::of_print(&accepted)).await
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct CloseRequest {
    query_id: String,
}

pub async fn close_query(
    State(app): State<App>,
    body: Result<Bytes, BytesRejection>,
) -> Result<StatusCode, Failure> {
    let CloseRequest { query_id } = request::parse(body, r#"expected {"queryId": "…"}"#)?;
    blocking(move || match app.engine.close_query(&query_id) {
        true => Ok(StatusCode::OK),
        false => Err(Failure::generic(BAD_REQUEST, format!("no query with id {query_id}"))),
    })
    .await
}

fn accepted(headers: &HeaderMap) -> String {
    let values: Vec<&str> = headers.get_all(ACCEPT).iter().filter_map(|v| v.to_str().ok()).collect();
    values.join(",").to_ascii_lowercase()
}

fn not_acceptable() -> Failure {
    let known = "application/json, application/vnd.ksql.v1+json, application/vnd.ksql.v1+protobuf and \
                 application/vnd.ksqlapi.delimited.v1";
    Failure::generic(40600, format!("none of the accepted media types is served; known are {known}"))
}

/// Answers a SELECT in one form, a PRINT in the other.
async fn respond(app: App, request: Request, select: Form, print: Form) -> Result<Response, Failure> {
    let engine = app.engine.clone();
    let answer = blocking(move || open(&engine, request)).await?;
    let form = if answer.kind == AnswerKind::Print { print } else { select };
    let refused = |e| Failure::generic(error_code(Code::Statement), Error::to_string(&e));
    let writer = Writer::new(form, &answer).map_err(refused)?;
    let body = Body::from_stream(stream(answer, writer, app));
    Ok(([("content-type", form.media_type())], body).into_response())
}

pub fn open(engine: &Engine, request: Request) -> Result<Answer, Failure> {
    let Request { text, mut session } = request;
    let known = engine.known(&session).map_err(|e| Failure::of(e, &text, &text, Vec::new()))?;
    let statements = parse_script_with(&text, known).map_err(|e| Failure::of(e, &text, &text, Vec::new()))?;
    let refuse = |message: &str| Failure::statement(BAD_STATEMENT, message, &text, Vec::new());
    let [statement] = &statements[..] else {
        return Err(refuse(&format!("expected one SELECT or PRINT, found {} statements", statements.len())));
    };
    if !is_query(statement) {
        return Err(refuse("this is neither SELECT nor PRINT; POST it to /ksql"));
    }
    match engine.execute(statement, &mut session) {
        Ok(Outcome::Answer(answer)) => Ok(answer),
        Ok(_) => Err(refuse("this statement has no rows to answer; POST it to /ksql")),
        Err(e) => Err(Failure::of(e, &text, &entity::statement_text(statement), Vec::new())),
    }
}

/// A body under way.
struct Streaming {
    answer: Answer,
    writer: Writer,
    /// Written, not yet taken by the connection: at most one batch of the answer.
    frames: VecDeque<String>,
    done: bool,
    engine: Engine,
    closing: watch::Receiver<bool>,
}

fn stream(
    answer: Answer,
    writer: Writer,
    app: App,
) -> impl futures_util::Stream<Item = Result<String, Infallible>> + Send {
    let frames = writer.header().into_iter().collect();
    let App { engine, closing, .. } = app;
    let streaming = Streaming { answer, writer, frames, done: false, engine, closing };
    futures_util::stream::unfold(streaming, |mut streaming| async {
        let frame = streaming.next().await?;
        Some((Ok(frame), streaming))
    })
}

impl Streaming {
    async fn next(&mut self) -> Option<String> {
        loop {
            if let Some(frame) = self.frames.pop_front() {
                return Some(frame);
            }
            if self.done {
                return None;
            }
            let event = tokio::select! {
                event = self.answer.rows.recv() => event,
                _ = self.closing.wait_for(|closing| *closing) => None,
            };
            self.take(event);
        }
    }

    /// Rows that end without an end must not look complete.
    fn take(&mut self, event: Option<AnswerEvent>) {
        match event {
            Some(AnswerEvent::Rows(rows)) => {
                if let Err(error) = self.writer.rows(&rows, &mut self.frames) {
                    self.finish(self.writer.error(&error));
                }
            }
            Some(AnswerEvent::End(end)) => self.finish(self.writer.end(end)),
            Some(AnswerEvent::Error(error)) => self.finish(self.writer.error(&error)),
            None => self.finish(self.writer.error(&self.engine.failure())),
        }
    }

    fn finish(&mut self, last: Option<String>) {
        self.frames.extend(last);
        self.done = true;
    }
}
