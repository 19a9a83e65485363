//! `GET /ws/query?request={"ksql": "…"}`: an answer over a WebSocket, as ksqlDB's control center asks for it.
//!
//! The first message is the schema, an array of fields; then a message a row. An answer that ends closes the
//! socket; what is wrong with the request, or fails later, is a last message, and the reason of the close.

use super::error::{error_code, generic_error};
use super::request::{self, Naming};
use super::rows::streamed_row;
use super::{App, blocking, entity, query};
use crate::engine::{Answer, AnswerEvent, AnswerKind, AnswerRow};
use crate::value::Value;
use axum::body::Bytes;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade, close_code};
use axum::extract::{Query, State};
use axum::response::Response;
use serde::Deserialize;

/// The longest reason that a close can give.
const REASON_BYTES_MAX: usize = 123;

#[derive(Deserialize)]
pub struct Asked {
    request: String,
}

pub async fn ws_query(
    State(app): State<App>,
    Query(asked): Query<Asked>,
    upgrade: WebSocketUpgrade,
) -> Response {
    upgrade.max_message_size(1 << 10).on_upgrade(move |socket| serve(socket, app, asked.request))
}

async fn serve(mut socket: WebSocket, app: App, request: String) {
    let opened = match request::read(Ok(Bytes::from(request)), Naming::Ksql) {
        Ok(request) => {
            let engine = app.engine.clone();
            blocking(move || query::open(&engine, request)).await
        }
        Err(failure) => Err(failure),
    };
    match opened {
        Ok(answer) => answer_to(&mut socket, app, answer).await,
        Err(failure) => refuse(&mut socket, close_code::UNSUPPORTED, failure.text()).await,
    }
}

/// Ends when the answer does, or when the client has gone.
async fn answer_to(socket: &mut WebSocket, mut app: App, mut answer: Answer) {
    let fields: Vec<_> = answer.columns.iter().map(entity::field).collect();
    let is_lines = answer.kind == AnswerKind::Print;
    if !is_lines && !said(socket, serde_json::Value::from(fields).to_string()).await {
        return;
    }
    loop {
        let event = tokio::select! {
            event = answer.rows.recv() => event,
            heard = socket.recv() => match heard {
                // Whatever it says, it can only listen.
                Some(Ok(Message::Close(_)) | Err(_)) | None => return,
                Some(Ok(_)) => continue,
            },
            _ = app.closing.wait_for(|closing| *closing) => None,
        };
        let failed = match event {
            Some(AnswerEvent::Rows(rows)) => {
                for row in &rows {
                    let text = if is_lines { line(row) } else { streamed_row(row, &answer.columns) };
                    if !said(socket, text).await {
                        return;
                    }
                }
                continue;
            }
            Some(AnswerEvent::End(_)) => return close(socket, close_code::NORMAL, "done").await,
            Some(AnswerEvent::Error(error)) => error,
            None => app.engine.failure(),
        };
        let text = generic_error(error_code(failed.code), &failed.to_string()).to_string();
        return refuse(socket, close_code::ERROR, text).await;
    }
}

fn line(row: &AnswerRow) -> String {
    match row.row.first() {
        Some(Value::Varchar(line)) => line.to_string(),
        _ => String::new(),
    }
}

/// False when nobody hears it.
async fn said(socket: &mut WebSocket, text: String) -> bool {
    socket.send(Message::Text(text.into())).await.is_ok()
}

async fn refuse(socket: &mut WebSocket, code: u16, text: String) {
    let why: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
    if said(socket, text).await {
        close(socket, code, why["message"].as_str().unwrap_or_default()).await;
    }
}

async fn close(socket: &mut WebSocket, code: u16, reason: &str) {
    let end = reason.floor_char_boundary(REASON_BYTES_MAX);
    let frame = CloseFrame { code, reason: reason[..end].into() };
    // Who has gone needs no word.
    let _ = socket.send(Message::Close(Some(frame))).await;
}
