//! A writer's message and the declared columns → what to do with each field, by its number.

use super::known::{Known, entry_of, known, type_name};
use crate::format::codec::{below, match_names};
use crate::types::{ColumnDef, SqlType};
use prost_reflect::{FieldDescriptor, Kind, MessageDescriptor, Syntax, Value};
use std::ops::Range;

/// The message of a place, with what is known of the one that is being read.
pub struct Message {
    /// By their numbers, as most writers write them.
    pub fields: Vec<Field>,
    /// Fields without a column that share a group with one that has, by number.
    pub rivals: Vec<(u64, usize)>,
    /// Parts that the writer's message has no field for.
    pub missing: Vec<usize>,
    /// Counts the messages, to tell what was seen in the present one.
    pub serial: u64,
    /// Cells that its parts had before it.
    pub row: usize,
}

pub struct Field {
    pub name: String,
    /// What stands in front of its values: the number and the wire type. Lists of numbers are expected
    /// packed.
    pub key: u64,
    pub part: usize,
    pub read: Read,
    pub absent: Absent,
    /// The number of the group of which only the last may count.
    pub oneof: Option<usize>,
    /// The message that it was last seen in.
    pub seen: u64,
}

pub enum Read {
    Scalar(Scalar),
    /// A STRUCT.
    Message(Message),
    /// The value itself, in a message's only field.
    Wrapper(Message),
    Special(Special),
    List {
        item: Box<Read>,
        items: usize,
    },
    Map {
        entry: Message,
        entries: usize,
    },
}

/// A value that is made of several numbers, which may arrive in pieces.
pub struct Special {
    pub what: What,
    /// Those of the fields 1 to 4.
    pub numbers: [i64; 4],
    /// Those of field 1, in the messages, if it is bytes.
    pub digits: Range<usize>,
}

#[derive(Clone, Copy)]
pub enum What {
    Timestamp,
    Date,
    TimeOfDay,
    Decimal,
}

pub enum Scalar {
    Bool,
    Int32,
    Int64,
    Uint32,
    Sint32,
    Sint64,
    Fixed32,
    Sfixed32,
    Fixed64,
    Float,
    Double,
    Bytes,
    Symbol(Symbols),
}

/// The constants of an enum, by number.
pub struct Symbols {
    name: String,
    known: Vec<(i32, String)>,
}

/// What stands for a field that a message does not have.
pub enum Absent {
    Null,
    Integer(i64),
    Double(f64),
    Bool(bool),
    Bytes(Vec<u8>),
    /// No items, or a message without fields.
    Empty,
}

type Result<T> = std::result::Result<T, String>;

impl Message {
    pub fn new(message: &MessageDescriptor, columns: &[&ColumnDef]) -> Result<Message> {
        let declared: Vec<_> = columns.iter().map(|c| (c.name.as_str(), &c.ty)).collect();
        plan(message, &declared, "")
    }

    fn of(mut fields: Vec<Field>, parts: usize) -> Message {
        let missing = (0..parts).filter(|part| fields.iter().all(|field| field.part != *part)).collect();
        fields.sort_by_key(|field| field.key);
        Message { fields, rivals: vec![], missing, serial: 0, row: 0 }
    }
}

fn plan(message: &MessageDescriptor, declared: &[(&str, &SqlType)], path: &str) -> Result<Message> {
    let written: Vec<FieldDescriptor> = message.fields().collect();
    let names: Vec<&str> = written.iter().map(FieldDescriptor::name).collect();
    let columns: Vec<&str> = declared.iter().map(|(column, _)| *column).collect();
    let mut fields = vec![];
    for (part, source) in match_names(&names, &columns).into_iter().enumerate() {
        let (Some(source), (name, ty)) = (source, declared[part]) else { continue };
        let planned = field(&written[source], ty, &below(path, name))?;
        fields.push(Field { name: name.into(), part, ..planned });
    }
    let rivals = written.iter().filter_map(|field| Some((u64::from(field.number()), oneof(field)?)));
    let rivals = rivals.filter(|(number, oneof)| {
        fields.iter().any(|f| f.oneof == Some(*oneof)) && fields.iter().all(|f| f.key >> 3 != *number)
    });
    let rivals = rivals.collect();
    Ok(Message { rivals, ..Message::of(fields, declared.len()) })
}

fn field(field: &FieldDescriptor, ty: &SqlType, path: &str) -> Result<Field> {
    let read = if field.is_map() || (matches!(ty, SqlType::Map(..)) && entry_of(field).is_some()) {
        map(field, ty, path)?
    } else if field.is_list() {
        let SqlType::Array(item) = ty else { return Err(unfit(field, ty, path)) };
        Read::List { item: Box::new(single(field, item, &format!("{path}[]"))?), items: 0 }
    } else {
        single(field, ty, path)?
    };
    let wire = if let Read::Scalar(scalar) = &read { scalar.wire() } else { LENGTH_DELIMITED };
    Ok(Field {
        name: field.name().into(),
        key: u64::from(field.number()) << 3 | wire,
        part: 0,
        absent: absent(field),
        oneof: oneof(field),
        read,
        seen: 0,
    })
}

/// The group of fields that it is one of, by its least number.
fn oneof(field: &FieldDescriptor) -> Option<usize> {
    let oneof = field.containing_oneof().filter(|oneof| !oneof.is_synthetic())?;
    oneof.fields().map(|field| field.number() as usize).min()
}

/// The part of a map's entry that is its key.
const KEY: usize = 0;

fn map(field: &FieldDescriptor, ty: &SqlType, path: &str) -> Result<Read> {
    let (Kind::Message(entry), SqlType::Map(key, value)) = (field.kind(), ty) else {
        return Err(unfit(field, ty, path));
    };
    let mut entry = plan(&entry, &[("key", key), ("value", value)], path)?;
    // The value of a map's entry without one is a message without fields.
    let is_absent = |f: &&mut Field| matches!(f.absent, Absent::Null);
    let absent = entry.fields.iter_mut().filter(|f| field.is_map() || f.part == KEY).filter(is_absent);
    absent.for_each(|f| f.absent = Absent::Empty);
    // A key is never NULL: where there is none it is what an absent number or text is.
    if let (Some([key, _]), Some(read)) = (entry_of(field), entry.fields.iter_mut().find(|f| f.part == KEY))
        && let Read::Scalar(_) = read.read
    {
        read.absent = default_of(&key);
    }
    Ok(Read::Map { entry, entries: 0 })
}

/// A value of the field's type, whether or not the field is repeated.
fn single(field: &FieldDescriptor, ty: &SqlType, path: &str) -> Result<Read> {
    let Kind::Message(message) = field.kind() else {
        return scalar(field, ty).map(Read::Scalar).ok_or_else(|| unfit(field, ty, path));
    };
    if field.is_group() {
        return Err(format!("column {path}: the schema has a group for it; groups are not read"));
    }
    let what = match (known(&message), ty) {
        (Some(Known::Timestamp), SqlType::Timestamp) => What::Timestamp,
        (Some(Known::Date), SqlType::Date) => What::Date,
        (Some(Known::TimeOfDay), SqlType::Time) => What::TimeOfDay,
        (Some(Known::Decimal), SqlType::Decimal { .. }) => What::Decimal,
        (_, SqlType::Struct(fields)) => {
            let declared: Vec<_> = fields.iter().map(|f| (f.name.as_str(), &f.ty)).collect();
            return plan(&message, &declared, path).map(Read::Message);
        }
        (Some(Known::Wrapper(value)), _) => {
            let value = self::field(&value, ty, path)?;
            return Ok(Read::Wrapper(Message::of(vec![value], 1)));
        }
        _ => return Err(unfit(field, ty, path)),
    };
    Ok(Read::Special(Special { what, numbers: [0; 4], digits: 0..0 }))
}

fn unfit(field: &FieldDescriptor, ty: &SqlType, path: &str) -> String {
    format!("column {path} is {ty}, which {} cannot become", type_name(field))
}

fn scalar(field: &FieldDescriptor, ty: &SqlType) -> Option<Scalar> {
    use SqlType as S;
    let scalar = match field.kind() {
        Kind::Bool => Scalar::Bool,
        Kind::Int32 | Kind::Enum(_) if *ty != S::Varchar => Scalar::Int32,
        Kind::Enum(values) => {
            let mut known: Vec<_> = values.values().map(|v| (v.number(), v.name().to_string())).collect();
            // Of several names for one number the first counts.
            known.sort_by_key(|(number, _)| *number);
            known.dedup_by_key(|(number, _)| *number);
            Scalar::Symbol(Symbols { name: values.name().into(), known })
        }
        Kind::Int64 | Kind::Uint64 => Scalar::Int64,
        Kind::Uint32 => Scalar::Uint32,
        Kind::Sint32 => Scalar::Sint32,
        Kind::Sint64 => Scalar::Sint64,
        Kind::Fixed32 => Scalar::Fixed32,
        Kind::Sfixed32 => Scalar::Sfixed32,
        Kind::Fixed64 | Kind::Sfixed64 => Scalar::Fixed64,
        Kind::Float => Scalar::Float,
        Kind::Double => Scalar::Double,
        Kind::String | Kind::Bytes => Scalar::Bytes,
        Kind::Int32 | Kind::Message(_) => return None,
    };
    let fits = match scalar {
        Scalar::Bool => *ty == S::Boolean,
        Scalar::Symbol(_) => true,
        Scalar::Int32 | Scalar::Sint32 | Scalar::Sfixed32 => {
            matches!(ty, S::Int | S::Bigint | S::Double | S::Date | S::Time)
        }
        Scalar::Uint32 | Scalar::Fixed32 => matches!(ty, S::Bigint | S::Double),
        Scalar::Int64 | Scalar::Sint64 | Scalar::Fixed64 => {
            matches!(ty, S::Bigint | S::Double | S::Timestamp)
        }
        Scalar::Float | Scalar::Double => *ty == S::Double,
        Scalar::Bytes => matches!(ty, S::Varchar | S::Bytes),
    };
    fits.then_some(scalar)
}

/// Fields that can tell it are NULL where they are absent; others have their type's first value, or what
/// the schema gives for it.
fn absent(field: &FieldDescriptor) -> Absent {
    if field.is_list() || field.is_map() {
        return Absent::Empty;
    }
    let is_proto3 = field.parent_file().syntax() == Syntax::Proto3;
    if field.supports_presence() && (is_proto3 || field.containing_oneof().is_some()) {
        return Absent::Null;
    }
    default_of(field)
}

fn default_of(field: &FieldDescriptor) -> Absent {
    match field.default_value() {
        Value::Bool(value) => Absent::Bool(value),
        Value::I32(value) => Absent::Integer(value.into()),
        Value::I64(value) => Absent::Integer(value),
        Value::U32(value) => Absent::Integer(value.into()),
        Value::U64(value) => Absent::Integer(value as i64),
        Value::F32(value) => Absent::Double(value.into()),
        Value::F64(value) => Absent::Double(value),
        Value::EnumNumber(value) => Absent::Integer(value.into()),
        Value::String(value) => Absent::Bytes(value.into()),
        Value::Bytes(value) => Absent::Bytes(value.into()),
        _ => Absent::Null,
    }
}

pub const VARINT: u64 = 0;
pub const FIXED64: u64 = 1;
pub const LENGTH_DELIMITED: u64 = 2;
pub const START_GROUP: u64 = 3;
pub const END_GROUP: u64 = 4;
pub const FIXED32: u64 = 5;

impl Scalar {
    /// What its values look like from outside.
    pub fn wire(&self) -> u64 {
        match self {
            Scalar::Bytes => LENGTH_DELIMITED,
            Scalar::Fixed32 | Scalar::Sfixed32 | Scalar::Float => FIXED32,
            Scalar::Fixed64 | Scalar::Double => FIXED64,
            _ => VARINT,
        }
    }
}

impl Symbols {
    /// The name of a constant; one that the schema does not have is called as Java's library does.
    pub fn of(&self, number: i32) -> std::borrow::Cow<'_, str> {
        match self.known.binary_search_by_key(&number, |(known, _)| *known) {
            Ok(found) => self.known[found].1.as_str().into(),
            Err(_) => format!("UNKNOWN_ENUM_VALUE_{}_{number}", self.name).into(),
        }
    }
}
