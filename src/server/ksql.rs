//! `POST /ksql`: every statement that is not a query, in order, one entity each.

use super::access::Role;
use super::error::{BAD_REQUEST, BAD_STATEMENT, Failure, QUERY_ENDPOINT, error_code};
use super::request::{self, Naming, Request};
use super::{App, blocking, entity, json};
use crate::engine::{Engine, Origin, Outcome};
use crate::sql::ast::{Parsed, SourceKind, Statement};
use crate::sql::parse_script_with;
use crate::types::quote;
use axum::Extension;
use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::http::StatusCode;
use axum::response::Response;
use regex::Regex;
use serde::Deserialize;
use serde_json::{Value, json};

pub async fn ksql(
    State(app): State<App>,
    Extension(role): Extension<Role>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Failure> {
    let request = request::read(body, Naming::Ksql)?;
    let entities = blocking(move || execute(&app, request, role)).await?;
    Ok(json(StatusCode::OK, &entities))
}

fn execute(app: &App, request: Request, role: Role) -> Result<Vec<Value>, Failure> {
    let Request { text, mut session } = request;
    let known = app.engine.known(&session).map_err(|e| Failure::of(e, &text, &text, Vec::new()))?;
    let statements = parse_script_with(&text, known).map_err(|e| Failure::of(e, &text, &text, Vec::new()))?;
    check(&statements, &text)?;
    if let Some(needed) = statements.iter().map(Role::of).find(|needed| *needed > role) {
        let why = format!("these statements need the role {}; yours is {}", needed.word(), role.word());
        return Err(Failure::generic(40301, why));
    }
    // All of it could be carried out, before any of it is.
    app.engine.check(&statements, &session).map_err(|(at, error)| {
        Failure::of(error, &text, &entity::statement_text(&statements[at]), Vec::new())
    })?;
    let mut entities = Vec::new();
    for statement in &statements {
        match app.engine.execute(statement, &mut session) {
            Ok(outcome) => {
                let sequence = app.commands.next_sequence();
                if let Outcome::Status(status) = &outcome {
                    app.commands.record(status);
                }
                entities.extend(entity::entity(statement, &outcome, sequence));
            }
            Err(e) => return Err(Failure::of(e, &text, &entity::statement_text(statement), entities)),
        }
    }
    Ok(entities)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Terminating {
    /// Regular expressions for whole names.
    #[serde(default)]
    delete_topic_list: Vec<String>,
}

/// `POST /ksql/terminate`: all queries end, and topics go that they have written, if they are listed. ksqlDB's
/// cluster ends with that; this server goes on without queries, until who has started it ends it.
pub async fn terminate(
    State(app): State<App>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Failure> {
    let Terminating { delete_topic_list } = request::parse(body, r#"expected {"deleteTopicList": ["…"]}"#)?;
    let whole = |pattern: &String| {
        let refused = |e| format!("deleteTopicList: {pattern} is no regular expression: {e}");
        Regex::new(&format!("^(?:{pattern})$")).map_err(|e| Failure::generic(BAD_REQUEST, refused(e)))
    };
    let listed = delete_topic_list.iter().map(whole).collect::<Result<Vec<Regex>, Failure>>()?;
    let sequence = app.commands.next_sequence();
    let deleted = blocking(move || end_all(&app.engine, &listed)).await?;
    let message = match &deleted[..] {
        [] => "all queries terminated".to_string(),
        topics => format!("all queries terminated; deleted {}", topics.join(", ")),
    };
    Ok(json(
        StatusCode::OK,
        &json!([{
            "@type": "currentStatus",
            "statementText": "TERMINATE CLUSTER;",
            "commandId": "cluster/TerminateCluster/terminate",
            "commandStatus": { "status": "SUCCESS", "message": message, "queryId": null },
            "commandSequenceNumber": sequence,
            "warnings": [],
        }]),
    ))
}

/// The topics that were deleted.
fn end_all(engine: &Engine, listed: &[Regex]) -> Result<Vec<String>, Failure> {
    let ask = |text: &str| engine.ask(text).map_err(|e| Failure::of(e, text, text, Vec::new()));
    ask("TERMINATE ALL")?;
    let mut deleted = Vec::new();
    let sources = engine.sources().map_err(|e| Failure::generic(error_code(e.code), e.to_string()))?;
    let written = sources.iter().filter(|source| matches!(source.origin, Origin::Derived(_)));
    for source in written.filter(|source| listed.iter().any(|pattern| pattern.is_match(&source.topic))) {
        let kind = if source.kind == SourceKind::Stream { "STREAM" } else { "TABLE" };
        ask(&format!("DROP {kind} {} DELETE TOPIC", quote(&source.name)))?;
        deleted.push(source.topic.clone());
    }
    Ok(deleted)
}

/// Before the first one runs, so that nothing is half done.
fn check(statements: &[Parsed], text: &str) -> Result<(), Failure> {
    if statements.is_empty() {
        return Err(Failure::statement(BAD_STATEMENT, "there is no statement", text, Vec::new()));
    }
    match statements.iter().find(|s| is_query(s)) {
        None => Ok(()),
        Some(query) => {
            let message = "SELECT and PRINT are no statements of /ksql; POST them to /query-stream or /query";
            Err(Failure::statement(QUERY_ENDPOINT, message, &entity::statement_text(query), Vec::new()))
        }
    }
}

/// Whether its answer is rows as they come, which `/query` and `/query-stream` carry.
pub fn is_query(parsed: &Parsed) -> bool {
    matches!(parsed.statement, Statement::Select(_) | Statement::Print { .. })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Span;
    use crate::sql::ast::{Ident, Show};

    #[test]
    fn queries_are_sent_elsewhere() {
        let show = Statement::Show(Show::Functions);
        let topic = Ident { name: "t".into(), span: Span::default() };
        let print = Statement::Print { topic, from_beginning: false, interval: None, limit: None };
        let parsed = |statement, text: &str| Parsed { statement, text: text.into(), span: Span::default() };
        let statements = [parsed(show, "SHOW FUNCTIONS"), parsed(print, "PRINT t")];
        assert!(check(&statements[..1], "").is_ok());
        let cases = [(&statements[..], 40002, "PRINT t;"), (&statements[..0], 40001, " ")];
        for (statements, code, text) in cases {
            let failure = check(statements, " ").unwrap_err();
            assert_eq!((failure.parts().0, failure.parts().1["statementText"].as_str()), (code, Some(text)));
        }
    }
}
