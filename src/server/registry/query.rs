//! What requests say: the parameters of their URLs, the version in their paths, their bodies.

use super::Refusal;
use crate::registry::{At, Deleted, Fault, Kind, Reference, Schema};
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use serde::Deserialize;
use serde::de::DeserializeOwned;

pub type Body = Result<Bytes, BytesRejection>;

/// All parameters that any route knows; texts, so that a strange one is no refusal of its own.
#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
pub struct Parameters {
    deleted: String,
    permanent: String,
    verbose: String,
    default_to_global: String,
    pub subject_prefix: String,
    pub format: String,
}

impl Parameters {
    pub fn deleted(&self) -> Deleted {
        if is_true(&self.deleted) { Deleted::Shown } else { Deleted::Hidden }
    }

    pub fn permanent(&self) -> bool {
        is_true(&self.permanent)
    }

    pub fn verbose(&self) -> bool {
        is_true(&self.verbose)
    }

    pub fn default_to_global(&self) -> bool {
        is_true(&self.default_to_global)
    }
}

fn is_true(text: &str) -> bool {
    text.eq_ignore_ascii_case("true")
}

pub fn at(version: &str) -> Result<At, Refusal> {
    match version {
        "latest" | "-1" => Ok(At::Latest),
        number => match number.parse::<u32>() {
            Ok(number) if number > 0 && number <= i32::MAX as u32 => Ok(At::Number(number)),
            _ => Err(Refusal(Fault::invalid_version(version))),
        },
    }
}

pub fn id(text: &str) -> Result<u32, Refusal> {
    // What is no number is no path of ours, as Confluent's has it.
    text.parse().map_err(|_| Refusal(Fault::new(404, "HTTP 404 Not Found")))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Given {
    schema: Option<String>,
    schema_type: Option<String>,
    references: Option<Vec<Reference>>,
}

pub fn schema(body: Body) -> Result<Schema, Refusal> {
    let given: Given = parse(body)?;
    let kind = match given.schema_type.as_deref() {
        None => Kind::Avro,
        Some(name) => Kind::parse(name)
            .ok_or_else(|| Refusal(Fault::new(42201, format!("Invalid schema type {name}"))))?,
    };
    let text = given.schema.filter(|text| !text.trim().is_empty());
    let text = text.ok_or_else(|| Refusal(Fault::new(42201, "Empty schema")))?;
    Ok(Schema { kind, text, references: given.references.unwrap_or_default() })
}

pub fn parse<T: DeserializeOwned>(body: Body) -> Result<T, Refusal> {
    let refused = |code, message: String| Refusal(Fault::new(code, message));
    let body = body.map_err(|e| refused(e.status().as_u16().into(), e.to_string()))?;
    serde_json::from_slice(&body).map_err(|e| refused(400, format!("Unprocessable JSON: {e}")))
}
