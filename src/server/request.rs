//! What a request's body says: the text of statements and the session they run in.

use super::error::{BAD_REQUEST, Failure};
use crate::engine::Session;
use crate::error::Error;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use serde::Deserialize;
use serde_json::{Map, Value};

/// The longest text of statements that is taken.
const TEXT_BYTES_MAX: usize = 1 << 20;

#[derive(Debug)]
pub struct Request {
    pub text: String,
    pub session: Session,
}

/// How a route calls its fields; either name is taken everywhere.
#[derive(Clone, Copy)]
pub enum Naming {
    /// `ksql` and `streamsProperties`
    Ksql,
    /// `sql` and `properties`
    Sql,
}

impl Naming {
    fn expected(self) -> &'static str {
        match self {
            Naming::Ksql => r#"expected {"ksql": "…;", "streamsProperties": {…}}"#,
            Naming::Sql => r#"expected {"sql": "…;", "properties": {…}}"#,
        }
    }
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct Body {
    ksql: Option<String>,
    sql: Option<String>,
    streams_properties: Option<Map<String, Value>>,
    properties: Option<Map<String, Value>>,
    session_variables: Option<Map<String, Value>>,
}

/// Reads the body of `/ksql`, `/query` and `/query-stream`.
pub fn read(body: Result<Bytes, BytesRejection>, naming: Naming) -> Result<Request, Failure> {
    let body: Body = parse(body, naming.expected())?;
    let bad = |message: String| Failure::generic(BAD_REQUEST, message);
    let text = body.ksql.or(body.sql).ok_or_else(|| bad(format!("no statement; {}", naming.expected())))?;
    let variables = texts(body.session_variables).map_err(bad)?;
    if text.len() > TEXT_BYTES_MAX {
        return Err(bad(format!("the statements take {} bytes; the limit is 1 MiB", text.len())));
    }
    let given = texts(body.streams_properties.or(body.properties)).map_err(bad)?;
    let mut session = session(given).map_err(|e| bad(e.to_string()))?;
    session.variables = variables.into_iter().map(|(name, value)| (name.to_lowercase(), value)).collect();
    Ok(Request { text, session })
}

/// Reads a JSON body, or says what it should have been.
pub fn parse<T: serde::de::DeserializeOwned>(
    body: Result<Bytes, BytesRejection>,
    expected: &str,
) -> Result<T, Failure> {
    let body = body.map_err(|e| match e.status().as_u16() {
        413 => Failure::generic(41300, "the request is too large; the limit is 8 MiB"),
        _ => Failure::generic(BAD_REQUEST, format!("the request could not be read: {e}")),
    })?;
    serde_json::from_slice(&body)
        .map_err(|e| Failure::generic(BAD_REQUEST, format!("malformed request: {e}; {expected}")))
}

/// ksqlDB's default for what comes over the wire is to read from now on.
fn session(given: Vec<(String, String)>) -> Result<Session, Error> {
    let mut session = Session::default();
    session.set("auto.offset.reset", "latest")?;
    given.into_iter().try_for_each(|(name, value)| session.set(&name, &value))?;
    Ok(session)
}

fn texts(map: Option<Map<String, Value>>) -> Result<Vec<(String, String)>, String> {
    let text = |(name, value)| match value {
        Value::String(text) => Ok((name, text)),
        Value::Bool(_) | Value::Number(_) => Ok((name, value.to_string())),
        other => Err(format!("property {name} is {other}; expected a string, a number or a boolean")),
    };
    map.unwrap_or_default().into_iter().map(text).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_text(body: &str, naming: Naming) -> Result<Request, Failure> {
        read(Ok(Bytes::copy_from_slice(body.as_bytes())), naming)
    }

    #[test]
    fn a_body_is_text_and_session() {
        let cases = [
            (Naming::Ksql, r#"{"ksql":"SHOW STREAMS;"}"#, "SHOW STREAMS;", "latest"),
            (Naming::Ksql, r#"{"ksql":"X","streamsProperties":null,"other":1}"#, "X", "latest"),
            (
                Naming::Ksql,
                r#"{"ksql":"X","streamsProperties":{"ksql.streams.auto.offset.reset":"earliest"}}"#,
                "X",
                "earliest",
            ),
            (Naming::Sql, r#"{"sql":"X","properties":{"auto.offset.reset":"earliest"}}"#, "X", "earliest"),
        ];
        for (naming, body, text, reset) in cases {
            let request = read_text(body, naming).unwrap();
            assert_eq!(request.text, text, "{body}");
            assert_eq!(request.session.properties["auto.offset.reset"], reset, "{body}");
        }
    }

    #[test]
    fn variables_go_with_the_session() {
        let body = r#"{"sql":"SELECT ${a}","sessionVariables":{"A":"x","n":1}}"#;
        let request = read_text(body, Naming::Sql).unwrap();
        let expected = [("a", "x"), ("n", "1")].map(|(name, value)| (name.to_string(), value.to_string()));
        assert_eq!(request.session.variables, expected.into());
        assert_eq!(request.text, "SELECT ${a}");
    }

    #[test]
    fn a_bad_body_is_told_what_is_expected() {
        let long = format!(r#"{{"ksql":"{}"}}"#, "x".repeat(TEXT_BYTES_MAX + 1));
        let cases = [
            (
                Naming::Ksql,
                "{",
                r#"malformed request: EOF while parsing an object at line 1 column 1; expected {"ksql": "…;", "streamsProperties": {…}}"#,
            ),
            (Naming::Sql, "{}", r#"no statement; expected {"sql": "…;", "properties": {…}}"#),
            (
                Naming::Sql,
                r#"{"sql":"X","properties":{"a":[]}}"#,
                "property a is []; expected a string, a number or a boolean",
            ),
            (Naming::Ksql, &long, "the statements take 1048577 bytes; the limit is 1 MiB"),
        ];
        for (naming, body, message) in cases {
            let failure = read_text(body, naming).unwrap_err();
            let (code, body) = failure.parts();
            assert_eq!((code, body["message"].as_str()), (40000, Some(message)));
        }
    }
}
