//! Rows → bodies, as a message numbers its fields.

use super::known::{Known, known, type_name};
use super::plan::{FIXED32, FIXED64, LENGTH_DELIMITED, VARINT};
use crate::batch::Column;
use crate::format::body::{push_varint, zigzag};
use crate::format::cell::{bytes, digits, integer, shortest};
use crate::format::codec::{BodyWriter, below, match_names};
use crate::format::fault::{Fault, Parsed};
use crate::time::civil::{HOUR_MS, MINUTE_MS, SECOND_MS, civil_from_days};
use crate::types::{ColumnDef, SqlType};
use arrow_array::cast::AsArray;
use arrow_array::types::*;
use arrow_array::{Array, ArrayRef};
use prost_reflect::{Cardinality, FieldDescriptor, Kind, MessageDescriptor, Syntax};
use std::collections::HashMap;
use std::ops::Range;

pub struct ProtobufWriter {
    fields: Vec<Written>,
}

struct Written {
    column: usize,
    name: String,
    number: u64,
    label: Label,
    write: Write,
}

enum Label {
    /// Not written where it is what an absent one is read as.
    Plain,
    /// Written unless it is NULL.
    Present,
    Required,
    List {
        packed: bool,
    },
    Map {
        key: Write,
    },
}

enum Write {
    Bool,
    Varint,
    Zigzag,
    Fixed32,
    Fixed64,
    Double,
    Bytes,
    Symbol(HashMap<String, i32>),
    Message(Vec<Written>),
    Wrapper(Box<Write>),
    Timestamp,
    Date,
    TimeOfDay,
    Decimal { precision: u8, scale: u8 },
}

type Result<T> = std::result::Result<T, String>;

impl ProtobufWriter {
    pub fn new(message: &MessageDescriptor, columns: &[&ColumnDef]) -> Result<ProtobufWriter> {
        let declared: Vec<_> = columns.iter().map(|c| (c.name.as_str(), &c.ty)).collect();
        Ok(ProtobufWriter { fields: plan(message, &declared, "")? })
    }
}

fn plan(message: &MessageDescriptor, declared: &[(&str, &SqlType)], path: &str) -> Result<Vec<Written>> {
    let fields: Vec<FieldDescriptor> = message.fields().collect();
    let names: Vec<&str> = fields.iter().map(FieldDescriptor::name).collect();
    let columns: Vec<&str> = declared.iter().map(|(column, _)| *column).collect();
    let mut written: Vec<Written> = vec![];
    let mut oneofs = vec![];
    let matched = match_names(&names, &columns);
    for (column, source) in matched.iter().enumerate() {
        let (name, ty) = declared[column];
        let path = below(path, name);
        let field = source.map(|source| &fields[source]);
        let field = field.ok_or_else(|| format!("column {path}: the schema has no such field"))?;
        if let Some(oneof) = field.containing_oneof().filter(|oneof| !oneof.is_synthetic()) {
            if oneofs.contains(&oneof) {
                let name = oneof.name();
                return Err(format!(
                    "column {path}: the oneof {name} holds one value, and another column has it"
                ));
            }
            oneofs.push(oneof);
        }
        let (label, write) = labelled(field, ty, &path)?;
        written.push(Written { column, name: name.into(), number: field.number().into(), label, write });
    }
    let is_left_out =
        |field: &FieldDescriptor| !written.iter().any(|w| w.number == u64::from(field.number()));
    match fields.iter().find(|f| f.cardinality() == Cardinality::Required && is_left_out(f)) {
        Some(field) => Err(format!("field {} is required and has no column", below(path, field.name()))),
        None => Ok(written),
    }
}

fn labelled(field: &FieldDescriptor, ty: &SqlType, path: &str) -> Result<(Label, Write)> {
    match (field.kind(), ty) {
        (Kind::Message(entry), SqlType::Map(key, value)) if field.is_map() => {
            let key = single(&entry.map_entry_key_field(), key, path)?;
            Ok((Label::Map { key }, single(&entry.map_entry_value_field(), value, path)?))
        }
        (_, SqlType::Array(item)) if field.is_list() && !field.is_map() => {
            let write = single(field, item, path)?;
            Ok((Label::List { packed: is_packed(field) && write.wire() != LENGTH_DELIMITED }, write))
        }
        _ if field.is_list() || field.is_map() => Err(unfit(field, ty, path)),
        _ => {
            let label = match field.cardinality() {
                Cardinality::Required => Label::Required,
                _ if field.supports_presence() => Label::Present,
                _ => Label::Plain,
            };
            Ok((label, single(field, ty, path)?))
        }
    }
}

/// The library's own answer is made before the options of a text are understood.
fn is_packed(field: &FieldDescriptor) -> bool {
    let given = field.field_descriptor_proto().options.as_ref().and_then(|options| options.packed);
    given.unwrap_or(field.parent_file().syntax() == Syntax::Proto3)
}

fn unfit(field: &FieldDescriptor, ty: &SqlType, path: &str) -> String {
    format!("column {path} is {ty}, which {} cannot hold", type_name(field))
}

fn single(field: &FieldDescriptor, ty: &SqlType, path: &str) -> Result<Write> {
    use SqlType as S;
    Ok(match (field.kind(), ty) {
        (Kind::Bool, S::Boolean) => Write::Bool,
        (Kind::Int32, S::Int | S::Date | S::Time) | (Kind::Int64, S::Int | S::Bigint | S::Timestamp) => {
            Write::Varint
        }
        (Kind::Sint32, S::Int) | (Kind::Sint64, S::Int | S::Bigint) => Write::Zigzag,
        (Kind::Sfixed32, S::Int) => Write::Fixed32,
        (Kind::Sfixed64, S::Int | S::Bigint) => Write::Fixed64,
        (Kind::Double, S::Double) => Write::Double,
        (Kind::String, S::Varchar) | (Kind::Bytes, S::Bytes) => Write::Bytes,
        (Kind::Enum(values), S::Varchar) => {
            Write::Symbol(values.values().map(|value| (value.name().to_string(), value.number())).collect())
        }
        (Kind::Message(message), _) if !field.is_group() => match (known(&message), ty) {
            (Some(Known::Timestamp), S::Timestamp) => Write::Timestamp,
            (Some(Known::Date), S::Date) => Write::Date,
            (Some(Known::TimeOfDay), S::Time) => Write::TimeOfDay,
            (Some(Known::Decimal), S::Decimal { precision, scale }) => {
                Write::Decimal { precision: *precision, scale: *scale }
            }
            (_, S::Struct(fields)) => {
                let declared: Vec<_> = fields.iter().map(|f| (f.name.as_str(), &f.ty)).collect();
                Write::Message(plan(&message, &declared, path)?)
            }
            (Some(Known::Wrapper(value)), _) => Write::Wrapper(Box::new(single(&value, ty, path)?)),
            _ => return Err(unfit(field, ty, path)),
        },
        _ => return Err(unfit(field, ty, path)),
    })
}

impl Write {
    fn wire(&self) -> u64 {
        match self {
            Write::Bool | Write::Varint | Write::Zigzag | Write::Symbol(_) => VARINT,
            Write::Fixed32 => FIXED32,
            Write::Fixed64 | Write::Double => FIXED64,
            _ => LENGTH_DELIMITED,
        }
    }
}

impl BodyWriter for ProtobufWriter {
    fn write_body(&mut self, columns: &[Column], row: usize, out: &mut Vec<u8>) -> Parsed<bool> {
        push_fields(out, &self.fields, |column| columns[column].at(row))?;
        Ok(true)
    }
}

fn push_fields<'a>(
    out: &mut Vec<u8>,
    fields: &[Written],
    cell: impl Fn(usize) -> (&'a ArrayRef, usize),
) -> Parsed<()> {
    for field in fields {
        let (array, i) = cell(field.column);
        push_field(out, field, array, i).map_err(|fault| fault.within(&field.name))?;
    }
    Ok(())
}

fn push_field(out: &mut Vec<u8>, field: &Written, array: &ArrayRef, i: usize) -> Parsed<()> {
    if array.is_null(i) {
        return match field.label {
            Label::Required => Err(Fault::new("it is NULL, which the schema does not allow")),
            _ => Ok(()),
        };
    }
    match &field.label {
        Label::Plain => {
            let start = out.len();
            push_key(out, field.number, field.write.wire());
            let value = out.len();
            push_value(out, &field.write, array, i)?;
            // Numbers that are 0 and texts without length are what an absent field says.
            if out[value..].iter().all(|byte| *byte == 0) {
                out.truncate(start);
            }
            Ok(())
        }
        Label::Present | Label::Required => {
            push_key(out, field.number, field.write.wire());
            push_value(out, &field.write, array, i)
        }
        Label::List { packed } => {
            let list = array.as_list::<i32>();
            let (offsets, items) = (list.value_offsets(), list.values());
            push_list(out, field, *packed, items, offsets[i]..offsets[i + 1])
        }
        Label::Map { key } => {
            let map = array.as_map();
            let (offsets, keys, values) = (map.value_offsets(), map.keys(), map.values());
            for j in (offsets[i]..offsets[i + 1]).map(|j| j as usize) {
                push_key(out, field.number, LENGTH_DELIMITED);
                push_sized(out, |out| {
                    push_key(out, 1, key.wire());
                    push_value(out, key, keys, j)?;
                    push_key(out, 2, field.write.wire());
                    push_item(out, &field.write, values, j)
                })?;
            }
            Ok(())
        }
    }
}

fn push_list(
    out: &mut Vec<u8>,
    field: &Written,
    packed: bool,
    items: &ArrayRef,
    range: Range<i32>,
) -> Parsed<()> {
    let packed = packed && !range.is_empty();
    let mut range = range.map(|j| j as usize);
    if packed {
        push_key(out, field.number, LENGTH_DELIMITED);
        return push_sized(out, |out| range.try_for_each(|j| push_item(out, &field.write, items, j)));
    }
    range.try_for_each(|j| {
        push_key(out, field.number, field.write.wire());
        push_item(out, &field.write, items, j)
    })
}

fn push_item(out: &mut Vec<u8>, write: &Write, items: &ArrayRef, j: usize) -> Parsed<()> {
    if items.is_null(j) {
        return Err(Fault::new("it holds a NULL, which lists and maps of PROTOBUF cannot"));
    }
    push_value(out, write, items, j)
}

fn push_value(out: &mut Vec<u8>, write: &Write, array: &ArrayRef, i: usize) -> Parsed<()> {
    match write {
        Write::Bool => out.push(array.as_boolean().value(i).into()),
        Write::Varint => push_varint(out, integer(array, i, 1)? as u64),
        Write::Zigzag => push_varint(out, zigzag(integer(array, i, 1)?)),
        Write::Fixed32 => out.extend((integer(array, i, 1)? as i32).to_le_bytes()),
        Write::Fixed64 => out.extend(integer(array, i, 1)?.to_le_bytes()),
        Write::Double => out.extend(array.as_primitive::<Float64Type>().value(i).to_le_bytes()),
        Write::Bytes => push_bytes(out, bytes(array, i)),
        Write::Symbol(symbols) => {
            let symbol = array.as_string_view().value(i);
            let found = symbols.get(symbol);
            let number = *found.ok_or_else(|| Fault::new(format!("the enum has no '{symbol}'")))?;
            push_varint(out, i64::from(number) as u64);
        }
        Write::Message(fields) => {
            let columns = array.as_struct().columns();
            push_sized(out, |out| push_fields(out, fields, |column| (&columns[column], i)))?;
        }
        Write::Wrapper(write) => push_sized(out, |out| {
            push_key(out, 1, write.wire());
            push_value(out, write, array, i)
        })?,
        Write::Timestamp => {
            let ms = integer(array, i, 1)?;
            push_numbers(out, &[ms.div_euclid(SECOND_MS), ms.rem_euclid(SECOND_MS) * 1_000_000])?;
        }
        Write::Date => {
            let (year, month, day) = civil_from_days(integer(array, i, 1)?);
            push_numbers(out, &[year, month, day])?;
        }
        Write::TimeOfDay => {
            let ms = integer(array, i, 1)?;
            let (minutes, seconds) = (ms / MINUTE_MS % 60, ms / SECOND_MS % 60);
            push_numbers(out, &[ms / HOUR_MS, minutes, seconds, ms % SECOND_MS * 1_000_000])?;
        }
        Write::Decimal { precision, scale } => {
            let digits = digits(array, i, *precision, *scale)?;
            push_sized(out, |out| {
                push_key(out, 1, LENGTH_DELIMITED);
                push_bytes(out, shortest(&digits));
                push_number(out, 2, (*precision).into());
                push_number(out, 3, (*scale).into());
                Ok(())
            })?;
        }
    }
    Ok(())
}

fn push_key(out: &mut Vec<u8>, number: u64, wire: u64) {
    push_varint(out, number << 3 | wire);
}

/// A field with a number, unless that is 0.
fn push_number(out: &mut Vec<u8>, field: u64, number: i64) {
    if number != 0 {
        push_key(out, field, VARINT);
        push_varint(out, number as u64);
    }
}

/// A message of numbers, in the fields from 1 on.
fn push_numbers(out: &mut Vec<u8>, numbers: &[i64]) -> Parsed<()> {
    push_sized(out, |out| {
        (1..).zip(numbers).for_each(|(field, number)| push_number(out, field, *number));
        Ok(())
    })
}

fn push_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    push_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// What `push` appends, behind its length.
fn push_sized(out: &mut Vec<u8>, push: impl FnOnce(&mut Vec<u8>) -> Parsed<()>) -> Parsed<()> {
    let start = out.len();
    push(out)?;
    let len = out.len() - start;
    // Only now is it known how many bytes the length takes.
    push_varint(out, len as u64);
    let length_bytes = out.len() - start - len;
    out[start..].rotate_right(length_bytes);
    Ok(())
}
