//! `[zones.NAME]`, `[events."NAMESPACE/TYPE"]`, `[gateway]` and `[tokens.NAME]`: what the gateway lives by.

use super::{Keys, boolean, count, one_of, section, span, string, unknown};
use crate::connector::archive::shelf::Shelf;
use crate::error::{Error, Result};
use crate::registry::Level;
use crate::topology::cluster::{Clusters, setting};
use crate::topology::zones::*;
use crate::topology::{EventName, check_name};
use std::path::Path;
use std::time::Duration;
use toml::de::{DeTable, DeValue};

/// A file is closed at so many bytes, or after so long, unless the zone says otherwise.
const FILE_BYTES: u64 = 64 << 20;
const FILE_AGE: Duration = Duration::from_secs(300);

pub fn zones(table: &DeTable, base_dir: &Path, clusters: &Clusters) -> Result<Zones> {
    let mut zones = Zones::default();
    for (name, value) in section(table, "zones")? {
        let keys = Keys::of(name.get_ref(), name.span(), value)?;
        check_name(keys.of).map_err(|why| Error::topology(why).at(span(name.span())))?;
        zones.zones.insert(keys.of.to_string(), zone(&keys, base_dir, clusters)?);
    }
    for (name, value) in section(table, "events")? {
        let keys = Keys::of(name.get_ref(), name.span(), value)?;
        let event: EventName = keys.of.parse().map_err(|why: String| {
            let hint = "[events.\"mfp/FoodEntryCreated\"]";
            Error::topology(why).at(span(name.span())).hint(hint)
        })?;
        zones.events.insert(event, event_entry(&keys, &zones)?);
    }
    if let Some((name, value)) = table.get_key_value("gateway") {
        zones.gateway = gateway(&Keys::of("gateway", name.span(), value)?)?;
    }
    for (name, value) in section(table, "tokens")? {
        let keys = Keys::of(name.get_ref(), name.span(), value)?;
        zones.tokens.insert(keys.of.to_string(), token(&keys, base_dir)?);
    }
    Ok(zones)
}

fn zone(keys: &Keys, base_dir: &Path, clusters: &Clusters) -> Result<Zone> {
    keys.allow(&["clusters", "namespaces", "publish", "away", "archive"])?;
    let mut found = Vec::new();
    for name in keys.optional("clusters", strings)?.unwrap_or_default() {
        let names: Vec<&str> = clusters.keys().map(String::as_str).collect();
        let cluster = clusters.get(name).ok_or_else(|| {
            let error = unknown("cluster", name, keys.span("clusters"), &names);
            if names.is_empty() { Error { hint: None, ..error }.hint(format!("[clusters.{name}] with \"bootstrap.servers\" = \"127.0.0.1:9092\"; a zone without clusters is a log of the gateway")) } else { error }
        })?;
        found.push(cluster.clone());
    }
    let archive = match keys.table.get_key_value("archive") {
        Some((name, value)) => Some(archive(&Keys::of("archive", name.span(), value)?, base_dir)?),
        None => None,
    };
    Ok(Zone {
        name: keys.of.to_string(),
        namespaces: owned(keys.optional("namespaces", strings)?),
        clusters: found,
        publish: keys
            .optional("publish", |v| choice(v, &[("first", PublishRule::First), ("key", PublishRule::Key)]))?
            .unwrap_or_default(),
        away: keys
            .optional("away", |v| choice(v, &[("next", AwayRule::Next), ("wait", AwayRule::Wait)]))?
            .unwrap_or_default(),
        archive,
    })
}

fn archive(keys: &Keys, base_dir: &Path) -> Result<ArchiveSpec> {
    keys.allow(&["url", "format", "file_bytes", "file_age"])?;
    let url = keys.required("url", "url = \"file:///var/archive\"", string)?;
    let shelf = Shelf::parse(url, base_dir).map_err(|why| {
        let hint = "url = \"file:///var/archive\", \"s3://bucket/prefix\", or a path relative to this file";
        Error::topology(why).at(span(keys.span("url"))).hint(hint)
    })?;
    let formats = [ArchiveFormat::Jsonl, ArchiveFormat::Avro, ArchiveFormat::Parquet].map(|f| (f.name(), f));
    let format = keys.optional("format", |v| choice(v, &formats))?.unwrap_or(ArchiveFormat::Jsonl);
    if format == ArchiveFormat::Parquet && cfg!(not(feature = "parquet")) {
        return Err(Error::topology("this build writes no Parquet")
            .at(span(keys.span("format")))
            .hint("format = \"jsonl\", or build with --features parquet"));
    }
    Ok(ArchiveSpec {
        shelf,
        format,
        file_bytes: keys.optional("file_bytes", count)?.unwrap_or(FILE_BYTES),
        file_age: keys.optional("file_age", duration)?.unwrap_or(FILE_AGE),
    })
}

fn event_entry(keys: &Keys, zones: &Zones) -> Result<EventEntry> {
    keys.allow(&[
        "zone",
        "topic",
        "key",
        "partitions",
        "retention_bytes",
        "owner",
        "archive",
        "compatibility",
    ])?;
    let zone = keys.optional("zone", string)?.ok_or_else(|| {
        Error::topology(format!("event {} has no zone", keys.of))
            .at(span(keys.of_span.clone()))
            .hint("zone = \"mfp\"")
    })?;
    if !zones.zones.contains_key(zone) {
        let names: Vec<&str> = zones.zones.keys().map(String::as_str).collect();
        return Err(unknown("zone", zone, keys.span("zone"), &names));
    }
    let topic = keys.optional("topic", string)?;
    if let Some(topic) = topic {
        check_name(topic).map_err(|why| Error::topology(why).at(span(keys.span("topic"))))?;
    }
    let partitions = keys.optional("partitions", |v| match count(v)? {
        n @ 1..=10_000 => Ok(n as u32),
        _ => Err("a number from 1 to 10000".into()),
    })?;
    let level =
        |v: &DeValue| v.as_str().and_then(Level::parse).ok_or_else(|| one_of(&Level::ALL.map(Level::name)));
    Ok(EventEntry {
        topic: topic.map(str::to_string),
        key: keys.optional("key", string)?.map(str::to_string),
        partitions,
        retention_bytes: keys.optional("retention_bytes", count)?,
        owner: keys.optional("owner", string)?.map(str::to_string),
        archive: keys.optional("archive", boolean)?.unwrap_or(true),
        compatibility: keys.optional("compatibility", level)?,
        ..EventEntry::of_zone(zone)
    })
}

fn gateway(keys: &Keys) -> Result<GatewaySettings> {
    keys.allow(&["callbacks", "idempotency", "unknown_fields"])?;
    let unknown = [("refuse", UnknownFields::Refuse), ("drop", UnknownFields::Drop)];
    let defaults = GatewaySettings::default();
    Ok(GatewaySettings {
        callbacks: owned(keys.optional("callbacks", strings)?),
        idempotency: keys.optional("idempotency", duration)?.unwrap_or(defaults.idempotency),
        unknown_fields: keys
            .optional("unknown_fields", |v| choice(v, &unknown))?
            .unwrap_or(defaults.unknown_fields),
    })
}

fn token(keys: &Keys, base_dir: &Path) -> Result<Token> {
    keys.allow(&["secret", "publish", "consume", "admin"])?;
    let secret = keys.optional("secret", |value| setting(value, base_dir))?.ok_or_else(|| {
        Error::topology(format!("token {} has no secret", keys.of))
            .at(span(keys.of_span.clone()))
            .hint("secret = { env = \"MFP_TOKEN\" }, or { file = \"token.txt\" }")
    })?;
    match secret.value() {
        Ok(value) if value.len() >= 8 => {}
        Ok(_) => {
            return Err(Error::topology(format!(
                "token {}: the secret has fewer than 8 characters",
                keys.of
            ))
            .at(span(keys.span("secret"))));
        }
        Err(why) => {
            return Err(Error::topology(format!("token {}: {why}", keys.of)).at(span(keys.span("secret"))));
        }
    }
    let namespaces = |key| Ok::<_, Error>(owned(keys.optional(key, strings)?));
    Ok(Token {
        secret,
        publish: namespaces("publish")?,
        consume: namespaces("consume")?,
        admin: namespaces("admin")?,
    })
}

fn strings<'t>(value: &'t DeValue<'t>) -> Result<Vec<&'t str>, String> {
    let texts = value.as_array().and_then(|a| a.iter().map(|v| v.get_ref().as_str()).collect());
    texts.ok_or_else(|| "an array of strings".to_string())
}

fn owned(texts: Option<Vec<&str>>) -> Vec<String> {
    texts.unwrap_or_default().into_iter().map(str::to_string).collect()
}

fn choice<T: Copy>(value: &DeValue, choices: &[(&str, T)]) -> Result<T, String> {
    let found = choices.iter().find(|(name, _)| value.as_str() == Some(*name));
    let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
    found.map(|(_, choice)| *choice).ok_or_else(|| one_of(&names))
}

fn duration(value: &DeValue) -> Result<Duration, String> {
    let expected = "a time such as \"500ms\", \"30s\", \"10m\", \"12h\" or \"7d\"";
    value.as_str().and_then(parse_duration).ok_or_else(|| expected.to_string())
}

/// `500ms`, `30s`, `10m`, `12h`, `7d`
pub fn parse_duration(text: &str) -> Option<Duration> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let number: u64 = text[..digits].parse().ok()?;
    let ms = match &text[digits..] {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    number.checked_mul(ms).filter(|ms| *ms > 0).map(Duration::from_millis)
}
