//! The SQL types, their Arrow shapes, and schemas.

use crate::error::{Error, Result};
use arrow_schema::{DataType, Field, Fields, TimeUnit};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;

/// The names of a window's bounds, in a SELECT and among a table's columns.
pub const BOUNDS: [&str; 2] = ["WINDOWSTART", "WINDOWEND"];

/// A type of the dialect.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum SqlType {
    Boolean,
    /// 32 bits; arithmetic wraps.
    Int,
    /// 64 bits; arithmetic wraps.
    Bigint,
    Double,
    Decimal {
        precision: u8,
        scale: u8,
    },
    Varchar,
    Bytes,
    /// Days since 1970-01-01.
    Date,
    /// Milliseconds since midnight.
    Time,
    /// Milliseconds since 1970-01-01T00:00Z.
    Timestamp,
    Array(Box<SqlType>),
    Map(Box<SqlType>, Box<SqlType>),
    Struct(Vec<StructField>),
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct StructField {
    pub name: String,
    pub ty: SqlType,
}

impl SqlType {
    /// The Arrow type that carries this type in a batch. Every field is nullable.
    pub fn arrow(&self) -> DataType {
        match self {
            SqlType::Boolean => DataType::Boolean,
            SqlType::Int => DataType::Int32,
            SqlType::Bigint => DataType::Int64,
            SqlType::Double => DataType::Float64,
            SqlType::Decimal { precision, scale } => DataType::Decimal128(*precision, *scale as i8),
            SqlType::Varchar => DataType::Utf8View,
            SqlType::Bytes => DataType::BinaryView,
            SqlType::Date => DataType::Date32,
            SqlType::Time => DataType::Time32(TimeUnit::Millisecond),
            SqlType::Timestamp => DataType::Timestamp(TimeUnit::Millisecond, None),
            SqlType::Array(item) => DataType::List(Arc::new(Field::new("item", item.arrow(), true))),
            SqlType::Map(key, value) => {
                let entries = Fields::from(vec![
                    Field::new("key", key.arrow(), false),
                    Field::new("value", value.arrow(), true),
                ]);
                DataType::Map(Arc::new(Field::new("entries", DataType::Struct(entries), false)), false)
            }
            SqlType::Struct(fields) => {
                DataType::Struct(fields.iter().map(|f| Field::new(&f.name, f.ty.arrow(), true)).collect())
            }
        }
    }

    /// Whether it is ARRAY, MAP or STRUCT.
    pub fn has_parts(&self) -> bool {
        matches!(self, SqlType::Array(_) | SqlType::Map(..) | SqlType::Struct(_))
    }

    pub fn is_numeric(&self) -> bool {
        matches!(self, SqlType::Int | SqlType::Bigint | SqlType::Double | SqlType::Decimal { .. })
    }
}

/// Quotes a name where an unquoted one would not come back the same.
pub fn quote(name: &str) -> String {
    let plain = name
        .chars()
        .enumerate()
        .all(|(i, c)| c.is_ascii_uppercase() || c == '_' || (i > 0 && (c.is_ascii_digit() || c == '@')));
    if plain && !name.is_empty() { name.to_string() } else { format!("`{}`", name.replace('`', "``")) }
}

impl fmt::Display for SqlType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SqlType::Boolean => f.write_str("BOOLEAN"),
            SqlType::Int => f.write_str("INTEGER"),
            SqlType::Bigint => f.write_str("BIGINT"),
            SqlType::Double => f.write_str("DOUBLE"),
            SqlType::Decimal { precision, scale } => write!(f, "DECIMAL({precision}, {scale})"),
            SqlType::Varchar => f.write_str("STRING"),
            SqlType::Bytes => f.write_str("BYTES"),
            SqlType::Date => f.write_str("DATE"),
            SqlType::Time => f.write_str("TIME"),
            SqlType::Timestamp => f.write_str("TIMESTAMP"),
            SqlType::Array(item) => write!(f, "ARRAY<{item}>"),
            SqlType::Map(key, value) => write!(f, "MAP<{key}, {value}>"),
            SqlType::Struct(fields) => {
                f.write_str("STRUCT<")?;
                for (i, field) in fields.iter().enumerate() {
                    if i > 0 {
                        f.write_str(", ")?;
                    }
                    write!(f, "{} {}", quote(&field.name), field.ty)?;
                }
                f.write_str(">")
            }
        }
    }
}

/// A column of a stream or table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ColumnDef {
    pub name: String,
    pub ty: SqlType,
    pub part: Part,
}

/// The part of a message that a column comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Part {
    Key,
    /// WINDOWSTART and WINDOWEND of a windowed key, behind its columns: BIGINT, milliseconds.
    Window(Bounds),
    Value,
    /// All headers, in their order; see [`headers_type`].
    Headers,
    /// What the last header of that name holds: BYTES.
    Header(String),
    /// The type of the event that a record is, STRING: that of all records of one reader.
    EventType(String),
}

/// What of a window's bounds is in a message's key, behind the bytes of its columns: big-endian BIGINTs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Bounds {
    /// The start: all windows are so long.
    Start { size_ms: i64 },
    /// The end, then the start.
    Both,
}

impl Bounds {
    /// How many bytes they take.
    pub fn bytes(self) -> usize {
        if let Bounds::Both = self { 16 } else { 8 }
    }

    /// Appends them to a key.
    pub fn write(self, start: i64, end: i64, key: &mut Vec<u8>) {
        if let Bounds::Both = self {
            key.extend(end.to_be_bytes());
        }
        key.extend(start.to_be_bytes());
    }

    /// A window's start and end from the end of a key; `None`: the key is too short for them.
    pub fn read(self, key: &[u8]) -> Option<[i64; 2]> {
        let (rest, start) = key.split_last_chunk()?;
        let start = i64::from_be_bytes(*start);
        let end = match self {
            Bounds::Start { size_ms } => start.saturating_add(size_ms),
            Bounds::Both => i64::from_be_bytes(*rest.last_chunk()?),
        };
        Some([start, end])
    }
}

impl Part {
    pub fn key_if(key: bool) -> Part {
        if key { Part::Key } else { Part::Value }
    }

    /// Whether it stands beside key and value: it is only read.
    pub fn is_of_headers(&self) -> bool {
        matches!(self, Part::Headers | Part::Header(_) | Part::EventType(_))
    }
}

impl ColumnDef {
    pub fn is_key(&self) -> bool {
        self.part == Part::Key
    }

    /// Whether it is one of the columns that tell a table's rows apart.
    pub fn identifies(&self) -> bool {
        matches!(self.part, Part::Key | Part::Window(_))
    }
}

/// As a statement declares it.
impl fmt::Display for ColumnDef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", quote(&self.name), self.ty)?;
        match &self.part {
            Part::Key => f.write_str(" KEY"),
            Part::Value | Part::Window(_) | Part::EventType(_) => Ok(()),
            Part::Headers => f.write_str(" HEADERS"),
            Part::Header(name) => write!(f, " HEADER('{}')", name.replace('\'', "''")),
        }
    }
}

/// `ARRAY<STRUCT<KEY STRING, VALUE BYTES>>`: the only type that a column of all headers may have.
pub fn headers_type() -> SqlType {
    let field = |name: &str, ty| StructField { name: name.into(), ty };
    let header = SqlType::Struct(vec![field("KEY", SqlType::Varchar), field("VALUE", SqlType::Bytes)]);
    SqlType::Array(Box::new(header))
}

/// The columns of a stream or table: those of keys first with the bounds of their windows, then those of
/// values, then those of headers, each in declared order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schema {
    pub columns: Vec<ColumnDef>,
}

impl Schema {
    /// Puts the columns of each part of a message together and keeps the order otherwise.
    pub fn new(columns: impl IntoIterator<Item = ColumnDef>) -> Schema {
        let mut columns: Vec<_> = columns.into_iter().collect();
        columns.sort_by_key(|column| match column.part {
            Part::Key => 0,
            Part::Window(_) => 1,
            Part::Value => 2,
            Part::Headers | Part::Header(_) => 3,
            Part::EventType(_) => 4,
        });
        Schema { columns }
    }

    /// With the bounds of windows in its keys.
    pub fn windowed(mut self, bounds: Bounds) -> Result<Schema> {
        if self.keys().next().is_none() {
            return Err(Error::statement(
                "windows are told by the messages' keys, and no column is of the key",
            )
            .hint("declare a column as KEY, or as PRIMARY KEY of a table"));
        }
        for name in BOUNDS {
            self.columns.push(ColumnDef {
                name: name.into(),
                ty: SqlType::Bigint,
                part: Part::Window(bounds),
            });
        }
        Ok(Schema::new(self.columns))
    }

    pub fn len(&self) -> usize {
        self.columns.len()
    }

    pub fn is_empty(&self) -> bool {
        self.columns.is_empty()
    }

    pub fn index_of(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|c| c.name == name)
    }

    pub fn keys(&self) -> impl Iterator<Item = &ColumnDef> {
        self.columns.iter().filter(|c| c.is_key())
    }

    pub fn values(&self) -> impl Iterator<Item = &ColumnDef> {
        self.columns.iter().filter(|c| c.part == Part::Value)
    }

    /// Columns of messages' headers; they are the last ones.
    pub fn headers(&self) -> impl Iterator<Item = &ColumnDef> {
        self.columns.iter().filter(|c| c.part.is_of_headers())
    }

    /// What is written of rows: headers are only read.
    pub fn without_headers(&self) -> Schema {
        let written = self.columns.iter().filter(|c| !c.part.is_of_headers());
        Schema { columns: written.cloned().collect() }
    }

    /// How many columns are key columns; they are the first ones.
    pub fn key_len(&self) -> usize {
        self.keys().count()
    }

    /// How many columns tell a table's rows apart; they are the first ones.
    pub fn identity_len(&self) -> usize {
        self.columns.iter().filter(|c| c.identifies()).count()
    }

    /// Whether keys have windows.
    pub fn is_windowed(&self) -> bool {
        self.bounds().is_some()
    }

    /// What of its windows is in its keys, where it has windows.
    pub fn bounds(&self) -> Option<Bounds> {
        self.columns.iter().find_map(|c| if let Part::Window(bounds) = c.part { Some(bounds) } else { None })
    }
}
