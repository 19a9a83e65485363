//! `POST /ksql`: every statement that is not a query, in order, one entity each.

use super::access::Role;
use super::error::{BAD_STATEMENT, Failure, QUERY_ENDPOINT};
use super::request::{self, Naming, Request};
use super::{App, blocking, entity, json};
use crate::engine::Outcome;
use crate::sql::ast::{Parsed, Statement};
use crate::sql::parse_script_with;
use axum::Extension;
use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::Value;

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
