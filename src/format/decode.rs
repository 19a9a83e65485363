//! Stage "decode" of a record's way, put together: a key side and a value side make a [`Decoder`].
//!
//! A side decodes its columns with one cell for each message, bad ones included, and notes which
//! messages are bad; here the bad ones are filtered out of all columns at once.

use super::headers::HeaderColumns;
use super::{Decoded, Decoder};
use crate::batch::{Column, MessageBatch, Range32, Reject};
use crate::types::{Bounds, SqlType};
use arrow_array::{Array, BooleanArray, Int64Array};
use arrow_buffer::{BooleanBuffer, Buffer};
use arrow_schema::DataType;
use arrow_select::filter::FilterBuilder;
use std::borrow::Cow;
use std::sync::Arc;

/// Decodes the columns that live in the messages' keys, or those in their values.
pub trait Side {
    /// What comes now are messages whose fields this line names.
    fn named_by(&mut self, _line: Option<&Arc<[u8]>>) {}

    /// Whether messages can be decoded now. False: what they need is not there yet; ask again.
    fn is_ready(&mut self, _buffer: &Buffer, _ranges: &[Range32]) -> bool {
        true
    }

    /// One column for each entry of `wanted`, each with one cell a message.
    ///
    /// NULL ranges and messages that are bad already get any cells; the former NULLs.
    fn decode(
        &mut self,
        buffer: &Buffer,
        ranges: &[Range32],
        wanted: &[bool],
        rejects: &mut Rejects,
    ) -> Vec<Column>;
}

/// The messages that become no rows, each with the first reason that was found.
pub struct Rejects {
    bad: Vec<bool>,
    list: Vec<Reject>,
}

impl Rejects {
    fn of(messages: usize) -> Rejects {
        Rejects { bad: vec![false; messages], list: vec![] }
    }

    #[inline(always)]
    pub fn is_bad(&self, message: usize) -> bool {
        self.bad[message]
    }

    /// Rejects a message unless it is already.
    #[cold]
    pub fn add(&mut self, message: usize, column: Option<&str>, reason: impl FnOnce() -> String) {
        if !std::mem::replace(&mut self.bad[message], true) {
            self.list.push(Reject { message, column: column.map(str::to_string), reason: reason() });
        }
    }
}

/// `column NAME: 'value' is not an INTEGER`, for a text that is not one of its type's.
#[cold]
pub fn unfit(column: &str, ty: &SqlType, text: &[u8]) -> String {
    format!("column {column}: {}", unfit_value(ty, text))
}

#[cold]
pub fn unfit_value(ty: &SqlType, text: &[u8]) -> String {
    let digits = text.strip_prefix(b"-").or(text.strip_prefix(b"+")).unwrap_or(text);
    let numeric = !digits.is_empty() && digits.iter().all(|b| b.is_ascii_digit());
    let shown = shown(text);
    match ty {
        SqlType::Int | SqlType::Bigint if numeric => format!("{shown} is out of range for {ty}"),
        SqlType::Decimal { .. } if std::str::from_utf8(text).is_ok_and(|t| t.parse::<f64>().is_ok()) => {
            format!("{shown} does not fit {ty}")
        }
        SqlType::Varchar => format!("{shown} is not valid UTF-8"),
        SqlType::Bytes => format!("{shown} is not base64"),
        SqlType::Int | SqlType::Array(_) => format!("{shown} is not an {ty}"),
        _ => format!("{shown} is not a {ty}"),
    }
}

/// A value in quotes, cut after 60 characters, control characters escaped.
#[cold]
pub fn shown(text: &[u8]) -> String {
    const CHARS_MAX: usize = 60;
    // A character has at most four bytes; long values are not converted as a whole.
    let head = String::from_utf8_lossy(&text[..text.len().min(4 * CHARS_MAX + 4)]);
    let mut out = String::from("'");
    for (i, c) in head.chars().enumerate() {
        if i == CHARS_MAX {
            out.push('…');
            break;
        }
        if c.is_control() { out.extend(c.escape_default()) } else { out.push(c) }
    }
    out.push('\'');
    out
}

/// No bytes at all, for no columns.
pub struct NoColumns;

impl Side for NoColumns {
    fn decode(&mut self, _: &Buffer, _: &[Range32], _: &[bool], _: &mut Rejects) -> Vec<Column> {
        vec![]
    }
}

/// Both sides of a topic's messages.
pub struct Sides {
    pub key: Box<dyn Side>,
    pub value: Box<dyn Side>,
    /// The types of the key columns.
    pub key_types: Vec<DataType>,
    pub headers: HeaderColumns,
    /// A window's bounds follow the key's columns.
    pub bounds: Option<Bounds>,
    pub changelog: bool,
    /// So many of the value's columns, its first, are the key: messages have none of their own.
    pub keys_in_value: usize,
}

impl Decoder for Sides {
    fn is_ready(&mut self, messages: &MessageBatch) -> bool {
        let keys = messages.keys.as_ref().is_none_or(|keys| self.key.is_ready(&messages.buffer, keys));
        let values = self.value.is_ready(&messages.buffer, &messages.values);
        keys && values
    }

    fn decode(&mut self, messages: &MessageBatch, wanted: &[bool]) -> Decoded {
        assert!(messages.buffer.len() <= 1 << 30, "a batch of messages is at most 1 GiB");
        let mut rejects = Rejects::of(messages.len());
        for (message, reason) in &messages.torn {
            rejects.add(*message, None, || reason.clone());
        }
        let deleted = self.check_presence(messages, &mut rejects);
        let (key_wanted, wanted) = wanted.split_at(self.key_types.len());
        let (windows_wanted, wanted) = wanted.split_at(if self.bounds.is_some() { 2 } else { 0 });
        let (value_wanted, headers_wanted) = wanted.split_at(wanted.len() - self.headers.len());
        self.value.named_by(messages.names.as_ref());
        let looks_at_keys = self.changelog && self.keys_in_value > 0;
        let with_keys: Vec<bool>;
        let value_wanted = match looks_at_keys {
            false => value_wanted,
            true => {
                let is_wanted = |(i, wanted): (usize, &bool)| *wanted || i < self.keys_in_value;
                with_keys = value_wanted.iter().enumerate().map(is_wanted).collect();
                &with_keys
            }
        };
        let (keys, windows) = match (self.bounds, &messages.keys) {
            (Some(bounds), Some(keys)) => {
                let (keys, windows) = split_windows(bounds, &messages.buffer, keys, &mut rejects);
                (Some(Cow::Owned(keys)), windows.to_vec())
            }
            (Some(_), None) => (None, no_keys(&[DataType::Int64, DataType::Int64], windows_wanted)),
            (None, keys) => (keys.as_deref().map(Cow::Borrowed), Vec::new()),
        };
        let mut columns = match &keys {
            Some(keys) => self.key.decode(&messages.buffer, keys, key_wanted, &mut rejects),
            None => no_keys(&self.key_types, key_wanted),
        };
        columns.extend(windows);
        columns.extend(self.value.decode(&messages.buffer, &messages.values, value_wanted, &mut rejects));
        if looks_at_keys {
            self.check_keys(&columns, messages.len(), &mut rejects);
        }
        columns.extend(self.headers.decode(&messages.headers, messages.len(), headers_wanted));
        finish(columns, deleted, rejects)
    }
}

impl Sides {
    /// Rejects messages without a key, where it is in the value.
    fn check_keys(&self, columns: &[Column], messages: usize, rejects: &mut Rejects) {
        for column in &columns[..self.keys_in_value] {
            let (array, _) = column.at(0);
            let is_const = matches!(column, Column::Const(_));
            for message in (0..messages).filter(|i| array.is_null(if is_const { 0 } else { *i })) {
                rejects.add(message, None, || "no key".to_string());
            }
        }
    }

    /// Rejects messages that lack their key; answers which ones have no value, if any is so.
    fn check_presence(&self, messages: &MessageBatch, rejects: &mut Rejects) -> Option<BooleanBuffer> {
        if self.changelog && !self.key_types.is_empty() {
            for i in 0..messages.len() {
                if messages.keys.as_ref().is_none_or(|keys| keys[i].is_null()) {
                    rejects.add(i, None, || "no key".to_string());
                }
            }
        }
        if !messages.values.contains(&Range32::NULL) {
            return None;
        }
        Some(messages.values.iter().map(|range| range.is_null()).collect())
    }
}

/// Takes the windows' bounds off the ends of keys: what is left of the keys, WINDOWSTART and WINDOWEND.
fn split_windows(
    bounds: Bounds,
    buffer: &[u8],
    keys: &[Range32],
    rejects: &mut Rejects,
) -> (Vec<Range32>, [Column; 2]) {
    let mut found: [Vec<Option<i64>>; 2] = Default::default();
    let split = |(i, key): (usize, &Range32)| {
        let read = key.of(buffer).map(|bytes| bounds.read(bytes));
        if read == Some(None) {
            rejects.add(i, None, || {
                format!("the key is no windowed one: it needs {} bytes at its end", bounds.bytes())
            });
        }
        let read = read.flatten();
        found.iter_mut().enumerate().for_each(|(b, all)| all.push(read.map(|read| read[b])));
        if read.is_some() { Range32 { end: key.end - bounds.bytes() as u32, ..*key } } else { *key }
    };
    let keys = keys.iter().enumerate().map(split).collect();
    (keys, found.map(|all| Column::Array(Arc::new(Int64Array::from(all)))))
}

fn no_keys(types: &[DataType], wanted: &[bool]) -> Vec<Column> {
    let column = |(ty, wanted): (&DataType, &bool)| if *wanted { Column::null(ty) } else { Column::Absent };
    types.iter().zip(wanted).map(column).collect()
}

/// Takes the bad messages out of the columns.
fn finish(columns: Vec<Column>, deleted: Option<BooleanBuffer>, rejects: Rejects) -> Decoded {
    let Rejects { bad, list: mut rejects } = rejects;
    if rejects.is_empty() {
        return Decoded { columns, kept: None, rejects, deleted };
    }
    rejects.sort_by_key(|reject| reject.message);
    let good = BooleanArray::new(bad.iter().map(|bad| !bad).collect(), None);
    let filter = FilterBuilder::new(&good).optimize().build();
    let columns = columns
        .into_iter()
        .map(|column| match column {
            Column::Array(array) => {
                Column::Array(filter.filter(&array).expect("every column has one cell for each message"))
            }
            other => other,
        })
        .collect();
    let kept: Vec<u32> = (0..bad.len() as u32).filter(|i| !bad[*i as usize]).collect();
    let deleted = deleted
        .map(|deleted| kept.iter().map(|i| deleted.value(*i as usize)).collect::<BooleanBuffer>())
        .filter(|deleted| deleted.count_set_bits() > 0);
    Decoded { columns, kept: Some(kept), rejects, deleted }
}
