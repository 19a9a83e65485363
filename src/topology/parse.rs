//! TOML → places, with the place in the text of whatever is wrong.

mod registry;
mod sink;
mod zones;

use super::cluster::{Clusters, cluster, kafka};
use super::{EventName, PlaceSpec, Topology, check_name};
use crate::connector::archive::shelf::Shelf;
use crate::connector::{Csv, Framing, GeneratorSpec, generator};
use crate::dialect::{Dialect, QUOTE};
use crate::error::{Error, Result, Span};
use crate::expr::nearest::nearest;
use std::ops::Range;
use std::path::{Path, PathBuf};
use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};
pub use zones::parse_duration;

const SECTIONS: &[&str] =
    &["topics", "clusters", "default", "registry", "sinks", "zones", "events", "gateway", "tokens"];
const CONNECTORS: &[&str] = &["file", "log", "generator", "stdin", "kafka", "archive", "blackhole"];
/// Of topics that are not named: what needs no more than their name.
const DEFAULT_CONNECTORS: &[&str] = &["log", "kafka", "blackhole"];
const FRAMINGS: &[&str] = &["line", "json", "csv"];
const FILE: &[&str] = &["connector", "path", "framing", "header", "follow", "quote", "null", "key"];
const LOG: &[&str] = &["connector"];
const GENERATOR: &[&str] =
    &["connector", "feed", "rows", "rate", "seed", "car_parks", "dirty_every", "events_per_second"];
const STDIN: &[&str] = &["connector", "framing", "header", "quote", "null", "key"];
const ARCHIVE: &[&str] = &["connector", "path", "event"];
const KAFKA: &[&str] = &["connector", "cluster", "topic"];

pub fn topology(text: &str, base_dir: &Path) -> Result<Topology> {
    let table = DeTable::parse(text).map_err(|e| {
        let error = Error::topology(e.message());
        e.span().map_or(error.clone(), |s| error.at(span(s)))
    })?;
    let table = table.get_ref();
    if let Some(section) = table.keys().find(|key| !SECTIONS.contains(&key.get_ref().as_ref())) {
        return Err(unknown("section", section.get_ref(), section.span(), SECTIONS));
    }
    // Topics name clusters, wherever in the text they stand.
    let mut clusters = Clusters::new();
    for (name, value) in section(table, "clusters")? {
        let keys = Keys::of(name.get_ref(), name.span(), value)?;
        clusters.insert(name.get_ref().to_string(), cluster(&keys, base_dir)?);
    }
    let mut topology = Topology::default();
    for (name, value) in section(table, "topics")? {
        check_name(name.get_ref()).map_err(|why| Error::topology(why).at(span(name.span())))?;
        let keys = Keys::of(name.get_ref(), name.span(), value)?;
        topology.topics.insert(name.get_ref().to_string(), place(&keys, base_dir, &clusters)?);
    }
    if let Some((name, value)) = table.get_key_value("default") {
        let keys = Keys::of("default", name.span(), value)?;
        let connector = keys.required("connector", "connector = \"kafka\"", string)?;
        if !DEFAULT_CONNECTORS.contains(&connector) {
            return Err(unknown("default connector", connector, keys.span("connector"), DEFAULT_CONNECTORS));
        }
        if keys.table.contains_key("topic") {
            return Err(unknown("key", "topic", keys.span("topic"), &["connector", "cluster"]));
        }
        topology.default = Some(place(&keys, base_dir, &clusters)?);
    }
    if let Some((name, value)) = table.get_key_value("registry") {
        topology.registry = Some(registry::address(&Keys::of("registry", name.span(), value)?, base_dir)?);
    }
    topology.zones = zones::zones(table, base_dir, &clusters)?;
    for (name, value) in section(table, "sinks")? {
        let keys = Keys::of(name.get_ref(), name.span(), value)?;
        topology.sinks.push(sink::sink(&keys, base_dir)?);
    }
    Ok(topology)
}

/// The entries of a section; none if it is not there.
fn section<'t>(
    table: &'t DeTable<'t>,
    name: &str,
) -> Result<impl Iterator<Item = (&'t Spanned<DeString<'t>>, &'t Spanned<DeValue<'t>>)>> {
    let section = table.get(name).map(|value| table_of(value, name)).transpose()?;
    Ok(section.into_iter().flat_map(|section| section.iter()))
}

fn place(keys: &Keys, base_dir: &Path, clusters: &Clusters) -> Result<PlaceSpec> {
    if !keys.table.contains_key("connector") {
        // A misspelt one is more likely than none.
        keys.allow(&[FILE, LOG, GENERATOR, STDIN, KAFKA, ARCHIVE].concat())?;
    }
    let connector = keys.required("connector", "connector = \"file\"", string)?;
    Ok(match connector {
        "file" => {
            keys.allow(FILE)?;
            let (header, dialect) = dialect(keys)?;
            PlaceSpec::File {
                path: path(keys, base_dir)?,
                framing: keys.optional("framing", framing)?,
                header,
                follow: keys.optional("follow", boolean)?.unwrap_or(true),
                dialect,
            }
        }
        "log" => {
            keys.allow(LOG)?;
            PlaceSpec::Log
        }
        "archive" => {
            keys.allow(ARCHIVE)?;
            let event = keys.required("event", "event = \"mfp/FoodEntryCreated\"", string)?;
            let event: EventName =
                event.parse().map_err(|why: String| Error::topology(why).at(span(keys.span("event"))))?;
            let path = keys.required("path", "path = \"/var/archive\"", string)?;
            let shelf = Shelf::parse(path, base_dir)
                .map_err(|why| Error::topology(why).at(span(keys.span("path"))))?;
            PlaceSpec::Archive { shelf, event: event.dotted() }
        }
        "blackhole" => {
            keys.allow(LOG)?;
            PlaceSpec::Blackhole
        }
        "generator" => {
            keys.allow(GENERATOR)?;
            PlaceSpec::Generator(generator_spec(keys)?)
        }
        "stdin" => {
            keys.allow(STDIN)?;
            let (header, dialect) = dialect(keys)?;
            let framing = keys.optional("framing", framing)?.unwrap_or(Framing::Default);
            PlaceSpec::Stdin { framing, header, dialect }
        }
        "kafka" => {
            keys.allow(KAFKA)?;
            kafka(keys, clusters)?
        }
        other => return Err(unknown("connector", other, keys.span("connector"), CONNECTORS)),
    })
}

fn path(keys: &Keys, base_dir: &Path) -> Result<PathBuf> {
    let path = keys.required("path", "path = \"live.csv\"", string)?;
    if path.is_empty() {
        return Err(Error::topology("the path is empty").at(span(keys.span("path"))));
    }
    Ok(base_dir.join(path))
}

/// How text is laid out, and whether its first line is no record.
fn dialect(keys: &Keys) -> Result<(bool, Dialect)> {
    let header = keys.optional("header", header)?.unwrap_or(Header::No);
    let dialect = Dialect {
        quote: keys.optional("quote", quote)?.unwrap_or(Some(QUOTE)),
        null: keys.optional("null", string)?.map(str::to_string),
        names: header == Header::Names,
        key: keys.optional("key", names)?.unwrap_or_default(),
    };
    Ok((header != Header::No, dialect))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Header {
    No,
    Skipped,
    Names,
}

fn header(value: &DeValue) -> Result<Header, String> {
    match (value.as_bool(), value.as_str()) {
        (Some(true), _) => Ok(Header::Skipped),
        (Some(false), _) => Ok(Header::No),
        (_, Some("names")) => Ok(Header::Names),
        _ => Err("true, false or \"names\"".to_string()),
    }
}

fn quote(value: &DeValue) -> Result<Option<u8>, String> {
    match value.as_str().map(str::as_bytes) {
        Some([]) => Ok(None),
        Some([byte]) if byte.is_ascii_graphic() => Ok(Some(*byte)),
        _ => Err("one character, or \"\" where nothing is a quote".to_string()),
    }
}

/// Columns as statements write them: in upper case, unless they are quoted.
fn names<'t>(value: &'t DeValue<'t>) -> Result<Vec<String>, String> {
    let one = |name: &str| match name.strip_prefix(['"', '`']).and_then(|n| n.strip_suffix(['"', '`'])) {
        Some(quoted) => quoted.to_string(),
        None => name.to_uppercase(),
    };
    let expected = || "names of columns, as in [\"ID\"]".to_string();
    let names = value.as_array().ok_or_else(expected)?.iter().map(|name| name.get_ref().as_str());
    let names: Option<Vec<String>> = names.map(|name| name.map(one)).collect();
    names.filter(|names| !names.is_empty()).ok_or_else(expected)
}

fn generator_spec(keys: &Keys) -> Result<GeneratorSpec> {
    let feed = keys.required("feed", "feed = \"carparks\"", string)?;
    if !generator::FEEDS.contains(&feed) {
        return Err(unknown("feed", feed, keys.span("feed"), generator::FEEDS));
    }
    Ok(GeneratorSpec {
        feed: feed.to_string(),
        rows: keys.optional("rows", count)?,
        rate: keys.optional("rate", rate)?,
        seed: keys.optional("seed", unsigned)?.unwrap_or(0),
        car_parks: keys.optional("car_parks", count)?,
        dirty_every: keys.optional("dirty_every", count)?,
        events_per_second: keys.optional("events_per_second", count)?,
    })
}

/// The keys of one topic or cluster.
pub struct Keys<'t> {
    /// Its name.
    pub of: &'t str,
    pub of_span: Range<usize>,
    pub table: &'t DeTable<'t>,
}

impl<'t> Keys<'t> {
    fn of(of: &'t str, of_span: Range<usize>, value: &'t Spanned<DeValue<'t>>) -> Result<Keys<'t>> {
        Ok(Keys { of, of_span, table: table_of(value, of)? })
    }

    pub fn allow(&self, allowed: &[&str]) -> Result<()> {
        match self.table.keys().find(|key| !allowed.contains(&key.get_ref().as_ref())) {
            Some(key) => Err(unknown("key", key.get_ref(), key.span(), allowed)),
            None => Ok(()),
        }
    }

    pub fn optional<T>(
        &self,
        key: &str,
        read: impl Fn(&'t DeValue<'t>) -> Result<T, String>,
    ) -> Result<Option<T>> {
        let Some(value) = self.table.get(key) else { return Ok(None) };
        let wrong = |expected| Error::topology(format!("{key} must be {expected}")).at(span(value.span()));
        read(value.get_ref()).map(Some).map_err(wrong)
    }

    pub fn required<T>(
        &self,
        key: &str,
        example: &str,
        read: impl Fn(&'t DeValue<'t>) -> Result<T, String>,
    ) -> Result<T> {
        self.optional(key, read)?.ok_or_else(|| {
            let message = format!("topic {} has no {key}", self.of);
            Error::topology(message).at(span(self.of_span.clone())).hint(example)
        })
    }

    pub fn span(&self, key: &str) -> Range<usize> {
        self.table.get(key).map_or(self.of_span.clone(), |value| value.span())
    }
}

pub fn table_of<'t>(value: &'t Spanned<DeValue<'t>>, name: &str) -> Result<&'t DeTable<'t>> {
    match value.get_ref() {
        DeValue::Table(table) => Ok(table),
        _ => Err(Error::topology(format!("{name} must be a table")).at(span(value.span()))),
    }
}

pub fn string<'t>(value: &'t DeValue<'t>) -> Result<&'t str, String> {
    value.as_str().ok_or_else(|| "a string".to_string())
}

fn boolean(value: &DeValue) -> Result<bool, String> {
    value.as_bool().ok_or_else(|| "true or false".to_string())
}

fn framing(value: &DeValue) -> Result<Framing, String> {
    match value.as_str() {
        Some("line") => Ok(Framing::Line),
        Some("json") => Ok(Framing::Json),
        Some("csv") => Ok(Framing::Csv(Csv { delimiter: b',', quote: Some(QUOTE) })),
        _ => Err(one_of(FRAMINGS)),
    }
}

fn unsigned(value: &DeValue) -> Result<u64, String> {
    let number = value.as_integer().and_then(|i| u64::from_str_radix(i.as_str(), i.radix()).ok());
    number.ok_or_else(|| "a whole number, 0 or more".to_string())
}

fn count(value: &DeValue) -> Result<u64, String> {
    unsigned(value).ok().filter(|n| *n > 0).ok_or_else(|| "a whole number, 1 or more".to_string())
}

fn rate(value: &DeValue) -> Result<f64, String> {
    let number = match value {
        DeValue::Float(float) => float.as_str().parse().ok(),
        other => unsigned(other).ok().map(|n| n as f64),
    };
    number
        .filter(|n: &f64| n.is_finite() && *n > 0.0)
        .ok_or_else(|| "events a second, more than 0".to_string())
}

pub fn unknown(what: &str, given: &str, place: Range<usize>, allowed: &[&str]) -> Error {
    let mut names: Vec<&str> = Vec::new();
    // Several connectors have some keys in common.
    for name in allowed {
        if !names.contains(name) {
            names.push(name);
        }
    }
    let known = match names[..] {
        [one] => format!("there is only {one}"),
        _ => format!("there are {}", names.join(", ")),
    };
    let hint = match nearest(given, allowed.iter().copied()) {
        Some(near) => format!("did you mean {near}? {known}"),
        None => known,
    };
    Error::topology(format!("unknown {what} {given}")).at(span(place)).hint(hint)
}

fn one_of(allowed: &[&str]) -> String {
    match allowed {
        [one] => one.to_string(),
        [rest @ .., last] => format!("{} or {last}", rest.join(", ")),
        [] => String::new(),
    }
}

pub fn span(range: Range<usize>) -> Span {
    Span::new(range.start, range.end)
}
