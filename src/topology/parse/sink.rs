//! `[sinks.NAME]`: other systems that rows are sent on to.

use super::registry::url;
use super::{Keys, count, span, string, unknown};
use crate::connector::opensearch::Target;
use crate::error::{Error, Result};
use crate::registry::Address;
use crate::topology::cluster::setting;
use std::path::Path;
use toml::de::DeValue;

/// The two have one wire form.
const CONNECTORS: &[&str] = &["opensearch", "elasticsearch"];
const KEYS: &[&str] = &[
    "connector",
    "url",
    "topics",
    "index",
    "user",
    "password",
    "api_key",
    "ca",
    "batch_docs",
    "batch_bytes",
    "in_flight",
    "retries",
    "id",
];
const IDS: &[&str] = &["offset", "key"];
/// More at a time gains nothing, and costs a thread each.
const IN_FLIGHT_MAX: u64 = 32;

pub fn sink(keys: &Keys, base_dir: &Path) -> Result<Target> {
    let required = |key: &str, example: &str| {
        Error::topology(format!("sink {} has no {key}", keys.of)).at(span(keys.of_span.clone())).hint(example)
    };
    let connector = keys.optional("connector", string)?;
    let connector = connector.ok_or_else(|| required("connector", "connector = \"opensearch\""))?;
    if !CONNECTORS.contains(&connector) {
        return Err(unknown("connector", connector, keys.span("connector"), CONNECTORS));
    }
    keys.allow(KEYS)?;
    let url = keys.optional("url", url)?;
    let url = url.ok_or_else(|| required("url", "url = \"https://search.example:9200\""))?;
    let given = |key| keys.optional(key, |value| setting(value, base_dir));
    let (user, password, api_key) = (given("user")?, given("password")?, given("api_key")?);
    let wrong =
        |message: &str, key| Error::topology(format!("sink {}: {message}", keys.of)).at(span(keys.span(key)));
    if user.is_some() != password.is_some() {
        let there = if user.is_some() { "user" } else { "password" };
        return Err(wrong("user and password belong together", there));
    }
    if user.is_some() && api_key.is_some() {
        return Err(wrong("api_key stands for user and password, and excludes them", "api_key"));
    }
    let ca = keys.optional("ca", string)?.map(|path| base_dir.join(path));
    let address = Address { url, login: user.zip(password), ca };
    let mut target = Target::new(keys.of, address);
    target.api_key = api_key;
    let topics = keys.optional("topics", strings)?;
    target.topics = topics.ok_or_else(|| required("topics", "topics = [\"CARPARK_EVENTS\"]"))?;
    target.index = keys.optional("index", string)?.map(str::to_string);
    let limit = |key, default: usize| {
        Ok::<_, Error>(keys.optional(key, count)?.map_or(default, |n| n.min(u64::from(u32::MAX)) as usize))
    };
    target.batch_docs = limit("batch_docs", target.batch_docs)?;
    target.batch_bytes = limit("batch_bytes", target.batch_bytes)?;
    target.in_flight = limit("in_flight", target.in_flight)?.min(IN_FLIGHT_MAX as usize);
    target.retries_max = keys.optional("retries", count)?.map(|n| n.min(u64::from(u32::MAX)) as u32);
    if let Some(id) = keys.optional("id", string)? {
        if !IDS.contains(&id) {
            return Err(unknown("id", id, keys.span("id"), IDS));
        }
        target.by_key = id == "key";
    }
    target.sound().map_err(|why| wrong(&why, "url"))?;
    Ok(target)
}

fn strings(value: &DeValue) -> Result<Vec<String>, String> {
    let expected = || "a list of strings, at least one".to_string();
    let DeValue::Array(values) = value else { return Err(expected()) };
    let text = |v: &toml::Spanned<DeValue>| v.get_ref().as_str().map(str::to_string).ok_or_else(expected);
    let texts = values.iter().map(text).collect::<Result<Vec<_>, _>>()?;
    if texts.is_empty() { Err(expected()) } else { Ok(texts) }
}
