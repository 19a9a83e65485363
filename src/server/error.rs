//! Errors as the REST interface tells them: a status, a code (status × 100 + k) and a message.

use crate::error::{Code, Error};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

pub const BAD_REQUEST: u32 = 40000;
pub const BAD_STATEMENT: u32 = 40001;
/// SELECT and PRINT belong to `/query` and `/query-stream`.
pub const QUERY_ENDPOINT: u32 = 40002;
const TOO_MANY_QUERIES: u32 = 40003;
const SERVER_ERROR: u32 = 50000;
const SHUTTING_DOWN: u32 = 50303;

/// What a request that failed is answered.
#[derive(Debug)]
pub struct Failure {
    code: u32,
    body: Value,
}

impl Failure {
    /// Concerns the request, not a statement in it.
    pub fn generic(code: u32, message: impl Into<String>) -> Failure {
        Failure { code, body: generic_error(code, &message.into()) }
    }

    /// Concerns one statement; `entities` are the answers of those before it.
    pub fn statement(code: u32, message: &str, statement: &str, entities: Vec<Value>) -> Failure {
        let body = json!({
            "@type": "statement_error",
            "error_code": code,
            "message": message,
            "statementText": statement,
            "entities": entities,
        });
        Failure { code, body }
    }

    /// `text` is what the error's place points into.
    pub fn of(error: Error, text: &str, statement: &str, entities: Vec<Value>) -> Failure {
        let code = error_code(error.code);
        let message = error.in_text("<statement>", text).to_string();
        Failure::statement(code, &message, statement, entities)
    }

    /// The body alone, where an answer has begun already.
    pub fn text(&self) -> String {
        self.body.to_string()
    }

    #[cfg(test)]
    pub fn parts(&self) -> (u32, &Value) {
        (self.code, &self.body)
    }
}

/// The same shape ends a stream of rows that fails under way.
pub fn generic_error(code: u32, message: &str) -> Value {
    json!({ "@type": "generic_error", "error_code": code, "message": message })
}

pub fn error_code(code: Code) -> u32 {
    match code {
        Code::Syntax | Code::Statement | Code::Topology | Code::Usage => BAD_STATEMENT,
        Code::Runtime => SERVER_ERROR,
        Code::Limit => TOO_MANY_QUERIES,
        Code::Interrupted => SHUTTING_DOWN,
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16((self.code / 100) as u16);
        super::json(status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), &self.body)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Span;

    #[test]
    fn failures_have_ksqldbs_shape() {
        let text = "SELECT * FROM;";
        let syntax = Error::syntax("expected a name, found ;").at(Span::new(13, 14)).hint("name a source");
        let cases = [
            (
                Failure::generic(40000, "no query with id X"),
                400,
                r#"{"@type":"generic_error","error_code":40000,"message":"no query with id X"}"#,
            ),
            (
                Failure::of(syntax, text, text, Vec::new()),
                400,
                r#"{"@type":"statement_error","error_code":40001,"message":"<statement>:1:14: expected a name, found ;\n  |\n1 | SELECT * FROM;\n  |              ^\n  = hint: name a source","statementText":"SELECT * FROM;","entities":[]}"#,
            ),
            (
                Failure::of(Error::runtime("worker 1 is lost"), text, text, vec![json!({"a": 1})]),
                500,
                r#"{"@type":"statement_error","error_code":50000,"message":"worker 1 is lost","statementText":"SELECT * FROM;","entities":[{"a":1}]}"#,
            ),
            (
                Failure::of(Error::new(Code::Interrupted, "stopping"), text, text, Vec::new()),
                503,
                r#"{"@type":"statement_error","error_code":50303,"message":"stopping","statementText":"SELECT * FROM;","entities":[]}"#,
            ),
        ];
        for (failure, status, body) in cases {
            assert_eq!(failure.body.to_string(), body);
            assert_eq!(failure.into_response().status(), status);
        }
    }
}
