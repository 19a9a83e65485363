//! The settings of Kafka Connect's Elasticsearch sink, as CREATE SINK CONNECTOR gives them: those that have
//! a meaning here, those that need none, and the others, which are refused by name.

use super::{OnNull, Target};
use crate::connector::Setting;
use crate::registry::Address;
use std::time::Duration;

/// As Confluent and others name the class.
const CLASSES: &[&str] = &["ElasticsearchSinkConnector", "ElasticsearchSink", "OpenSearchSinkConnector"];

/// What is settled by how records are encoded and documents are named here.
const WITHOUT_EFFECT: &[&str] = &[
    "tasks.max",
    "name",
    "type.name",
    "schema.ignore",
    "topic.schema.ignore",
    "key.converter",
    "value.converter",
    "key.converter.schemas.enable",
    "value.converter.schemas.enable",
    "key.converter.schema.registry.url",
    "value.converter.schema.registry.url",
    "header.converter",
    "compact.map.entries",
    "connection.compression",
    "linger.ms",
    "flush.timeout.ms",
    "flush.synchronously",
    "max.buffered.records",
    "auto.create.indices.at.start",
    "errors.tolerance",
    "errors.log.enable",
    "errors.log.include.messages",
    "read.timeout.ms",
    "connection.timeout.ms",
];

/// A setting that is wrong: its name, and why.
pub type Wrong = (String, String);

impl Target {
    /// From settings by their names.
    pub fn from_settings(name: &str, settings: &[(String, String)]) -> Result<Target, Wrong> {
        let get =
            |key: &str| settings.iter().find(|(known, _)| known == key).map(|(_, value)| value.as_str());
        let needed = |key: &str| get(key).ok_or_else(|| (key.to_string(), format!("{key} is missing")));
        let class = needed("connector.class")?;
        if !CLASSES.iter().any(|known| class.rsplit('.').next() == Some(known)) {
            let why = format!("there is no connector {class}; there is {}", CLASSES.join(", "));
            return Err(("connector.class".into(), why));
        }
        let url = needed("connection.url")?.trim_end_matches('/').to_string();
        if url.contains(',') {
            return Err((
                "connection.url".into(),
                "one address is taken; put a load balancer before several".into(),
            ));
        }
        if !url.starts_with("http://") && !url.starts_with("https://") {
            return Err(("connection.url".into(), "expected http://HOST:PORT or https://HOST:PORT".into()));
        }
        let login = get("connection.username").zip(get("connection.password"));
        let login =
            login.map(|(user, password)| (Setting::Given(user.into()), Setting::Given(password.into())));
        let mut target = Target::new(name, Address { url, login, ca: None });
        target.topics = needed("topics")?.split(',').map(|topic| topic.trim().to_string()).collect();
        // Named by where they are unless keys are asked for: as the connector has it for streams.
        target.by_key = get("key.ignore").is_some_and(|value| value == "false");
        for (key, value) in settings {
            target.set(key, value).map_err(|why| (key.clone(), why))?;
        }
        Ok(target)
    }

    fn set(&mut self, key: &str, value: &str) -> Result<(), String> {
        let number =
            || value.parse::<usize>().ok().filter(|n| *n > 0).ok_or("expected a whole number above 0");
        let boolean = || value.parse::<bool>().map_err(|_| "expected true or false");
        match key {
            "connector.class"
            | "connection.url"
            | "topics"
            | "connection.username"
            | "connection.password" => {}
            "batch.size" => self.batch_docs = number()?,
            "bulk.size.bytes" => self.batch_bytes = number()?,
            "max.in.flight.requests" => self.in_flight = number()?.min(32),
            "max.retries" => self.retries_max = Some(number()? as u32),
            "retry.backoff.ms" => self.backoff = Duration::from_millis(number()? as u64),
            "key.ignore" => drop(boolean()?),
            "index" => self.index = Some(value.into()),
            "behavior.on.null.values" => {
                self.on_null = match value.to_lowercase().as_str() {
                    "delete" => OnNull::Delete,
                    "ignore" => OnNull::Ignore,
                    _ => return Err("expected delete or ignore".into()),
                }
            }
            // A document that cannot be taken is always a reject.
            "behavior.on.malformed.documents" | "drop.invalid.message" => {}
            "write.method" if value.eq_ignore_ascii_case("insert") => {}
            "write.method" => return Err("documents are written whole: insert is what there is".into()),
            _ if WITHOUT_EFFECT.contains(&key) => {}
            _ => return Err(format!("{key} is not supported")),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(pairs: &[(&str, &str)]) -> Result<Target, Wrong> {
        let base = [
            ("connector.class", "io.confluent.connect.elasticsearch.ElasticsearchSinkConnector"),
            ("connection.url", "http://h:9200/"),
            ("topics", "a, b"),
        ];
        let all = base.iter().filter(|(k, _)| pairs.iter().all(|(other, _)| other != k)).chain(pairs);
        let all: Vec<_> = all.map(|(k, v)| (k.to_string(), v.to_string())).collect();
        Target::from_settings("s", &all)
    }

    #[test]
    fn common_settings_are_understood() {
        let target = of(&[
            ("key.ignore", "false"),
            ("batch.size", "10"),
            ("behavior.on.null.values", "IGNORE"),
            ("type.name", "_doc"),
        ])
        .unwrap();
        assert_eq!(
            (target.address.url.as_str(), target.topics.as_slice()),
            ("http://h:9200", &["a".to_string(), "b".into()][..])
        );
        assert_eq!((target.by_key, target.batch_docs, target.on_null), (true, 10, OnNull::Ignore));
    }

    #[test]
    fn others_are_refused_by_name() {
        for (pair, why) in [
            (("transforms", "x"), "transforms is not supported"),
            (("connector.class", "FileStreamSink"), "there is no connector FileStreamSink"),
            (("write.method", "upsert"), "documents are written whole"),
            (("batch.size", "0"), "expected a whole number above 0"),
            (("connection.url", "h:9200"), "expected http://HOST:PORT"),
        ] {
            let (key, found) = of(&[pair]).unwrap_err();
            assert!(key == pair.0 && found.starts_with(why), "{key}: {found}");
        }
    }
}
