//! `GET /words` and `POST /check`: what an editor needs to colour, complete and underline statements.

use super::error::Failure;
use super::ksql::is_query;
use super::request::{self, Naming};
use super::{App, blocking, json};
use crate::engine::Outcome;
use crate::sql::ast::Parsed;
use crate::sql::complete::KEYWORDS;
use crate::sql::parse_script;
use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Value, json};

/// The dialect's keywords and functions.
pub async fn words(State(app): State<App>) -> Result<Response, Failure> {
    let text = "SHOW FUNCTIONS";
    let functions = blocking(move || match app.engine.ask(text) {
        Ok(Outcome::Functions(functions)) => Ok(functions),
        Ok(_) => Ok(Vec::new()),
        Err(e) => Err(Failure::of(e, text, text, Vec::new())),
    });
    let functions = functions.await?;
    let function = |f: &crate::engine::outcome::FunctionInfo| json!({ "name": f.name, "usage": f.usage });
    let functions: Vec<Value> = functions.iter().map(function).collect();
    Ok(json(StatusCode::OK, &json!({ "keywords": KEYWORDS, "functions": functions })))
}

/// The statements of a text, and where it is none. Nothing is carried out, and no name is looked up.
pub async fn check(body: Result<Bytes, BytesRejection>) -> Result<Response, Failure> {
    let text = request::read(body, Naming::Ksql)?.text;
    Ok(json(StatusCode::OK, &checked(&text)))
}

/// Places count UTF-16 units, as JavaScript's texts do.
fn checked(text: &str) -> Value {
    let unit = |byte: usize| text.get(..byte).map_or(0, |before| before.encode_utf16().count());
    match parse_script(text) {
        Ok(statements) => {
            let statement = |parsed: &Parsed| {
                json!({
                    "text": parsed.text,
                    "start": unit(parsed.span.start),
                    "end": unit(parsed.span.end),
                    "query": is_query(parsed),
                })
            };
            json!({ "statements": statements.iter().map(statement).collect::<Vec<_>>(), "errors": [] })
        }
        Err(error) => {
            let span = error.span.unwrap_or_default();
            let message = error.in_text("<statement>", text).to_string();
            let error = json!({ "start": unit(span.start), "end": unit(span.end), "message": message });
            json!({ "statements": [], "errors": [error] })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_and_faults_have_their_places() {
        let text = "PRINT `ü😀`; SHOW STREAMS;";
        let found = checked(text);
        let (first, second) = (&found["statements"][0], &found["statements"][1]);
        assert_eq!((first["query"].as_bool(), second["query"].as_bool()), (Some(true), Some(false)));
        let units: Vec<u16> = text.encode_utf16().collect();
        let of = |one: &Value| {
            let place = |key: &str| one[key].as_u64().unwrap() as usize;
            String::from_utf16(&units[place("start")..place("end")]).unwrap()
        };
        assert_eq!((of(first).as_str(), of(second).as_str()), ("PRINT `ü😀`", "SHOW STREAMS"));
        let fault = &checked("SELECT *\nFROM;")["errors"][0];
        assert_eq!((fault["start"].as_u64(), fault["end"].as_u64()), (Some(13), Some(14)));
        assert!(fault["message"].as_str().unwrap().starts_with("<statement>:2:5: expected"));
    }
}
