//! Clusters of the topology: settings for librdkafka, checked where they are written.

use super::PlaceSpec;
use super::parse::{Keys, span, string, unknown};
use crate::connector::{BOOTSTRAP, Cluster, Setting, kafka};
use crate::error::{Error, Result};
use std::collections::BTreeMap;
use std::path::Path;
use toml::de::{DeTable, DeValue};

pub type Clusters = BTreeMap<String, Cluster>;

/// `[clusters.NAME]`
pub fn cluster(keys: &Keys, base_dir: &Path) -> Result<Cluster> {
    let mut settings = BTreeMap::new();
    for (name, value) in keys.table {
        let wrong = |why: String| {
            Error::topology(format!("cluster {}: {}: {why}", keys.of, name.get_ref())).at(span(value.span()))
        };
        let setting =
            setting(value.get_ref(), base_dir).map_err(|expected| wrong(format!("it must be {expected}")))?;
        // Only its presence and validity matter now: what it is stays where it is.
        let given = setting.value().map_err(wrong)?;
        kafka::check_setting(name.get_ref(), &given).map_err(|why| {
            Error::topology(format!("cluster {}: {}: {why}", keys.of, name.get_ref())).at(span(name.span()))
        })?;
        settings.insert(name.get_ref().to_string(), setting);
    }
    if !settings.contains_key(BOOTSTRAP) {
        return Err(Error::topology(format!("cluster {} has no {BOOTSTRAP}", keys.of))
            .at(span(keys.of_span.clone()))
            .hint("\"bootstrap.servers\" = \"127.0.0.1:9092\""));
    }
    Ok(Cluster { name: keys.of.to_string(), settings })
}

pub fn setting(value: &DeValue, base_dir: &Path) -> Result<Setting, String> {
    let expected =
        || "a string, a number, true or false, { env = \"VAR\" } or { file = \"path\" }".to_string();
    Ok(match value {
        DeValue::String(text) => Setting::Given(text.to_string()),
        DeValue::Boolean(flag) => Setting::Given(flag.to_string()),
        DeValue::Integer(number) => {
            let number = i64::from_str_radix(number.as_str(), number.radix()).map_err(|_| expected())?;
            Setting::Given(number.to_string())
        }
        DeValue::Float(number) => Setting::Given(number.as_str().to_string()),
        DeValue::Table(table) => secret(table, base_dir).ok_or_else(expected)?,
        _ => return Err(expected()),
    })
}

/// `{ env = "VAR" }` or `{ file = "path" }`
fn secret(table: &DeTable, base_dir: &Path) -> Option<Setting> {
    let (key, value) = table.iter().next().filter(|_| table.len() == 1)?;
    let value = value.get_ref().as_str()?;
    match key.get_ref().as_ref() {
        "env" => Some(Setting::Env(value.to_string())),
        "file" => Some(Setting::File(base_dir.join(value))),
        _ => None,
    }
}

/// The place of a topic with `connector = "kafka"`.
pub fn kafka(keys: &Keys, clusters: &Clusters) -> Result<PlaceSpec> {
    let name = keys.required("cluster", "cluster = \"local\"", string)?;
    let names: Vec<&str> = clusters.keys().map(String::as_str).collect();
    let cluster = clusters.get(name).ok_or_else(|| match names.as_slice() {
        [] => Error::topology(format!("there is no cluster {name}"))
            .at(span(keys.span("cluster")))
            .hint(format!("[clusters.{name}] with \"bootstrap.servers\" = \"127.0.0.1:9092\"")),
        names => unknown("cluster", name, keys.span("cluster"), names),
    })?;
    let topic = keys.optional("topic", string)?;
    if let Some(topic) = topic {
        super::check_name(topic).map_err(|why| Error::topology(why).at(span(keys.span("topic"))))?;
    }
    Ok(PlaceSpec::Kafka { cluster: cluster.clone(), topic: topic.map(str::to_string) })
}
