//! A record of the log → the document, its id and its index.

use super::OnNull;
use crate::time::iso;
use crate::time::pattern::Pattern;
use crate::time::zone::Zone;
use crate::types::{Schema, SqlType};
use serde_json::{Map, Value};
use std::fmt::Write;
use xxhash_rust::xxh3::xxh3_128;

/// Longer ids are refused by the servers.
const ID_BYTES_MAX: usize = 512;

/// A name of an index, maybe with the time of a column in it: `carparks-{TS:yyyy.MM}`.
#[derive(Clone, Debug)]
pub struct IndexName {
    before: String,
    time: Option<(String, Pattern)>,
    after: String,
}

impl IndexName {
    pub fn parse(text: &str) -> Result<IndexName, String> {
        let illegal = |c: char| c.is_uppercase() || " \"*+/\\|?#><:,".contains(c);
        let checked = |part: &str| match part.chars().find(|c| illegal(*c)) {
            Some(c) => Err(format!("index {text}: an index's name cannot hold {c:?}")),
            None => Ok(part.to_string()),
        };
        let Some((before, rest)) = text.split_once('{') else {
            let name = checked(text)?;
            if name.is_empty() || name.starts_with(['-', '_']) {
                return Err(format!("index {text:?}: an index's name begins with a letter or a digit"));
            }
            return Ok(IndexName { before: name, time: None, after: String::new() });
        };
        let malformed = || format!("index {text}: expected {{COLUMN:PATTERN}}, for instance {{TS:yyyy.MM}}");
        let (inside, after) = rest.split_once('}').ok_or_else(malformed)?;
        let (column, pattern) = inside.split_once(':').ok_or_else(malformed)?;
        let pattern = Pattern::compile(pattern).map_err(|why| format!("index {text}: {why}"))?;
        if before.is_empty() {
            return Err(format!("index {text}: something has to stand before the time"));
        }
        Ok(IndexName {
            before: checked(before)?,
            time: Some((column.into(), pattern)),
            after: checked(after)?,
        })
    }

    pub fn column(&self) -> Option<&str> {
        self.time.as_ref().map(|(column, _)| column.as_str())
    }

    /// What matches all indices that documents can be in.
    pub fn wildcard(&self) -> String {
        let any = if self.time.is_some() { "*" } else { "" };
        format!("{}{any}{}", self.before, self.after)
    }

    fn of(&self, document: &Map<String, Value>) -> Result<String, String> {
        let Some((column, pattern)) = &self.time else { return Ok(self.before.clone()) };
        let value = document.get(column);
        let ms = value.and_then(Value::as_i64).ok_or_else(|| {
            let found = value.unwrap_or(&Value::Null);
            format!("the index's time, column {column}, is {found}; it must be milliseconds")
        })?;
        let mut name = self.before.clone();
        let mut zone = Zone::utc();
        pattern.format_timestamp(ms, &mut zone, &mut name);
        name.push_str(&self.after);
        Ok(name.to_lowercase())
    }
}

/// How the records of one stream or table become documents.
#[derive(Clone, Debug)]
pub struct Shape {
    pub schema: Schema,
    pub index: IndexName,
    /// Documents are named by their keys; else by where they are in the log, behind this.
    pub by_key: bool,
    pub prefix: String,
    pub on_null: OnNull,
}

/// What is to be done with a record.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    Index { index: String, id: String, source: String },
    Delete { index: String, id: String },
    Nothing,
}

impl Shape {
    /// `key` and `value` are JSON, as the log has them.
    pub fn action(
        &self,
        partition: i32,
        offset: i64,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
    ) -> Result<Action, String> {
        let keys = self.keys(key)?;
        let id = match self.by_key {
            true => self.id_of(&keys),
            false => format!("{}+{partition}+{offset}", self.prefix),
        };
        let Some(value) = value else {
            return match self.on_null {
                OnNull::Delete if self.by_key => Ok(Action::Delete { index: self.index.of(&keys)?, id }),
                _ => Ok(Action::Nothing),
            };
        };
        let value: Value = serde_json::from_slice(value).map_err(|e| format!("it is no JSON: {e}"))?;
        let Value::Object(fields) = value else { return Err("it is no JSON object".into()) };
        let mut document = keys;
        document.extend(fields);
        let index = self.index.of(&document)?;
        for column in &self.schema.columns {
            if let Some(value) = document.get_mut(&column.name) {
                suit(value, &column.ty);
            }
        }
        Ok(Action::Index { index, id, source: Value::Object(document).to_string() })
    }

    /// The key's columns; one column stands alone in the key.
    fn keys(&self, key: Option<&[u8]>) -> Result<Map<String, Value>, String> {
        let names: Vec<&str> =
            self.schema.columns.iter().filter(|c| c.is_key()).map(|c| c.name.as_str()).collect();
        let Some(key) = key.filter(|_| !names.is_empty()) else { return Ok(Map::new()) };
        let value: Value = serde_json::from_slice(key).map_err(|e| format!("its key is no JSON: {e}"))?;
        match (names.as_slice(), value) {
            (_, Value::Object(fields)) => Ok(fields),
            ([name], value) => Ok([(name.to_string(), value)].into_iter().collect()),
            (_, other) => Err(format!("its key is {other}; expected an object")),
        }
    }

    /// Text stands for itself; several columns for an array of them, which nothing else can be.
    fn id_of(&self, keys: &Map<String, Value>) -> String {
        let columns = self.schema.columns.iter().filter(|c| c.is_key());
        let values: Vec<&Value> = columns.map(|c| keys.get(&c.name).unwrap_or(&Value::Null)).collect();
        let id = match values.as_slice() {
            [Value::String(text)] if !text.is_empty() => text.clone(),
            [one] => one.to_string(),
            several => serde_json::to_string(several).expect("values are JSON"),
        };
        match id.len() <= ID_BYTES_MAX {
            true => id,
            false => format!("xxh3-{:032x}", xxh3_128(id.as_bytes())),
        }
    }
}

/// Dates and times as text, as the template has them; no number where JSON has none for it; no place
/// where one of its halves is missing.
fn suit(value: &mut Value, ty: &SqlType) {
    match (ty, &mut *value) {
        (SqlType::Date, Value::Number(days)) => {
            let mut text = String::new();
            iso::write_date(days.as_i64().unwrap_or(0) as i32, &mut text);
            *value = Value::String(text);
        }
        (SqlType::Time, Value::Number(ms)) => {
            let mut text = String::new();
            iso::write_time_of_day(ms.as_i64().unwrap_or(0) as i32, &mut text);
            *value = Value::String(text);
        }
        // NaN and the infinities, which the log has as text.
        (SqlType::Double, Value::String(_)) => *value = Value::Null,
        (SqlType::Struct(_), Value::Object(fields))
            if super::template::is_point(ty) && fields.values().any(|half| !half.is_number()) =>
        {
            *value = Value::Null;
        }
        (SqlType::Struct(parts), Value::Object(fields)) => {
            for part in parts {
                if let Some(value) = fields.get_mut(&part.name) {
                    suit(value, &part.ty);
                }
            }
        }
        (SqlType::Array(item), Value::Array(values)) => values.iter_mut().for_each(|v| suit(v, item)),
        (SqlType::Map(_, item), Value::Object(fields)) => fields.values_mut().for_each(|v| suit(v, item)),
        _ => {}
    }
}

/// Text as it stands inside of a JSON string, without the quotes.
pub fn quoted(text: &str, out: &mut String) {
    let _ = write!(out, "{}", Value::String(text.into()));
}
