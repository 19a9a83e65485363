//! `POST /rejects/replay` and `POST /rejects/preview`: records that were rejected go back in at their
//! sources, each once: one as somebody has changed it, or many as an expression changes them.
//!
//! Which ones is asked by an ordinary query over WHARFE_REJECTS; the expression is one of its columns, with
//! RAW, the bytes, in the place of text.

use super::error::{BAD_REQUEST, Failure};
use super::{App, blocking, json, request};
use crate::engine::{AnswerEvent, Engine, Outcome, Session};
use crate::sql::lexer::{TokenKind, lex};
use crate::sql::parse_statement;
use crate::value::{Row, Value};
use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::http::StatusCode;
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::json;

/// Of one request.
const REJECTS_MAX: usize = 100_000;
const PREVIEWED: usize = 20;
/// Longer records are kept up to here only: what is left of them is no record.
const RAW_BYTES_MAX: usize = 16 << 10;
const EXPECTED: &str =
    r#"expected {"partition": 0, "offset": 0, "value": "base64"} or {"where": "…", "expression": "…"}"#;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    /// Of WHARFE_REJECTS.
    partition: Option<i32>,
    offset: Option<i64>,
    /// The whole record; without it as it was.
    value: Option<String>,
    #[serde(rename = "where")]
    condition: Option<String>,
    /// What goes in for each; NULL leaves it where it is.
    expression: Option<String>,
}

/// A reject, and what goes in for it.
struct Found {
    source: String,
    place: String,
    before: Vec<u8>,
    after: Option<Vec<u8>>,
}

pub async fn replay(
    State(app): State<App>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Failure> {
    let body: Body = request::parse(body, EXPECTED)?;
    blocking(move || {
        let (mut replayed, mut refused) = (0, Vec::new());
        for found in find(&app.engine, &body)? {
            let Some(value) = found.after else { continue };
            let whole = found.before.len() < RAW_BYTES_MAX || body.value.is_some();
            let done = match whole {
                true => app.engine.mend(&found.source, &found.place, &value).map_err(|e| e.to_string()),
                false => Err("only the beginning of so long a record is kept".into()),
            };
            match done {
                Ok(()) => replayed += 1,
                Err(why) => refused.push(json!({ "record": found.place, "message": why })),
            }
        }
        Ok(json(StatusCode::OK, &json!({ "replayed": replayed, "refused": refused })))
    })
    .await
}

/// What would go in.
pub async fn preview(
    State(app): State<App>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Failure> {
    let body: Body = request::parse(body, EXPECTED)?;
    blocking(move || {
        let found = find(&app.engine, &body)?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let record = |one: &Found| {
            let after = one.after.as_deref().map(text);
            json!({ "record": one.place, "before": text(&one.before), "after": after })
        };
        let records: Vec<_> = found.iter().take(PREVIEWED).map(record).collect();
        Ok(json(StatusCode::OK, &json!({ "count": found.len(), "records": records })))
    })
    .await
}

fn find(engine: &Engine, body: &Body) -> Result<Vec<Found>, Failure> {
    let bad = |why: &str| Failure::generic(BAD_REQUEST, format!("{why}; {EXPECTED}"));
    let (condition, given) = match (body.partition, body.offset, &body.condition) {
        (Some(partition), Some(offset), None) => {
            let given = body.value.as_ref().map(|text| STANDARD.decode(text)).transpose();
            let given = given.map_err(|e| bad(&format!("the value is no base64: {e}")))?;
            (format!("ROWPARTITION = {partition} AND ROWOFFSET = {offset}"), given)
        }
        (None, None, Some(condition)) if body.value.is_none() => (condition.clone(), None),
        _ => return Err(bad("which rejects is not said")),
    };
    let expression = body.expression.as_deref().map_or("FROM_BYTES(RAW, 'utf8')".into(), over_text);
    let sql = format!(
        "SELECT SOURCE_NAME, TOPIC, TOPIC_PARTITION, TOPIC_OFFSET, RAW, ({expression}) AS MENDED \
         FROM WHARFE_REJECTS WHERE KIND = 'reject' AND ({condition}) LIMIT {REJECTS_MAX}"
    );
    let rows = rows(engine, &sql)?;
    if rows.is_empty() {
        return Err(Failure::generic(40400, "there is no such reject"));
    }
    // As it was: its bytes, which need not be text.
    let as_it_was = body.expression.is_none();
    Ok(rows.into_iter().filter_map(|row| found(&row, given.as_deref(), as_it_was)).collect())
}

fn found(row: &Row, given: Option<&[u8]>, as_it_was: bool) -> Option<Found> {
    let [Value::Varchar(source), Value::Varchar(topic), partition, offset, Value::Bytes(raw), mended] =
        &row[..]
    else {
        return None;
    };
    let after = match (given, mended) {
        (Some(given), _) => Some(given.to_vec()),
        (None, _) if as_it_was => Some(raw.to_vec()),
        (None, Value::Varchar(text)) => Some(text.as_bytes().to_vec()),
        _ => None,
    };
    let number = |value: &Value| match value {
        Value::Int(n) => n.to_string(),
        Value::Bigint(n) => n.to_string(),
        _ => "-".into(),
    };
    let place = format!("{topic}/{}/{}", number(partition), number(offset));
    Some(Found { source: source.to_string(), place, before: raw.to_vec(), after })
}

fn rows(engine: &Engine, sql: &str) -> Result<Vec<Row>, Failure> {
    let failed = |e: crate::error::Error| Failure::of(e, sql, sql, Vec::new());
    let statement = parse_statement(sql).map_err(failed)?;
    let Outcome::Answer(mut answer) = engine.execute(&statement, &mut Session::default()).map_err(failed)?
    else {
        return Ok(Vec::new());
    };
    let mut rows = Vec::new();
    while let Some(event) = answer.next_event() {
        match event {
            AnswerEvent::Rows(more) => rows.extend(more.into_iter().map(|row| row.row)),
            AnswerEvent::End(_) => return Ok(rows),
            AnswerEvent::Error(error) => return Err(failed(error)),
        }
    }
    Err(failed(engine.failure()))
}

/// The expression with RAW as text.
fn over_text(expression: &str) -> String {
    let mut out = String::new();
    let mut at = 0;
    for token in lex(expression) {
        if matches!(&token.kind, TokenKind::Word(word) if word == "RAW") {
            out.push_str(&expression[at..token.span.start]);
            out.push_str("FROM_BYTES(RAW, 'utf8')");
            at = token.span.end;
        }
    }
    out + &expression[at..]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn raw_is_text_in_expressions_and_only_there() {
        assert_eq!(
            over_text("REPLACE(raw, 'RAW', '') + CRAW"),
            "REPLACE(FROM_BYTES(RAW, 'utf8'), 'RAW', '') + CRAW"
        );
    }
}
