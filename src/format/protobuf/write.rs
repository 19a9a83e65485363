//! Rows → bodies, as a message numbers its fields.

use super::known::{Known, entry_of, known, type_name};
use super::plan::{FIXED32, FIXED64, LENGTH_DELIMITED, VARINT};
use crate::batch::Column;
use crate::format::body::{push_varint, zigzag};
use crate::format::cell::{Cell, Cells, shortest};
use crate::format::codec::{below, match_names};
use crate::format::encode::{Rows, Writer};
use crate::format::fault::{Fault, Parsed};
use crate::time::civil::{HOUR_MS, MINUTE_MS, SECOND_MS, civil_from_days};
use crate::types::{ColumnDef, SqlType};
use prost_reflect::{Cardinality, FieldDescriptor, Kind, MessageDescriptor, Syntax};
use std::collections::HashMap;

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
        /// An entry without a value stands for one that is NULL.
        nulls: bool,
    },
}

enum Write {
    Bool,
    Varint,
    Zigzag,
    Fixed32,
    Fixed64,
    Float,
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
    match (entry_of(field), ty) {
        (Some([key_field, value_field]), SqlType::Map(key, value)) => {
            let key = single(&key_field, key, path)?;
            let nulls = value_field.supports_presence() && !field.is_map();
            Ok((Label::Map { key, nulls }, single(&value_field, value, path)?))
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
        (Kind::Float, S::Double) => Write::Float,
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
            Write::Fixed32 | Write::Float => FIXED32,
            Write::Fixed64 | Write::Double => FIXED64,
            _ => LENGTH_DELIMITED,
        }
    }
}

impl Writer for ProtobufWriter {
    fn rows<'b>(&'b mut self, columns: &'b [Column]) -> Rows<'b> {
        let (fields, cells) = (&self.fields, Cells::of(columns));
        Box::new(move |row, out| push_fields(out, fields, |column| cells[column].at(row)).map(|()| true))
    }
}

fn push_fields<'c, 'b: 'c>(
    out: &mut Vec<u8>,
    fields: &[Written],
    cell: impl Fn(usize) -> Cell<'c, 'b>,
) -> Parsed<()> {
    for field in fields {
        push_field(out, field, cell(field.column)).map_err(|fault| fault.within(&field.name))?;
    }
    Ok(())
}

fn push_field(out: &mut Vec<u8>, field: &Written, cell: Cell<'_, '_>) -> Parsed<()> {
    if cell.is_null() {
        return match field.label {
            Label::Required => Err(Fault::new("it is NULL, which the schema does not allow")),
            _ => Ok(()),
        };
    }
    match &field.label {
        Label::Plain => push_unless_zero(out, field.number, &field.write, cell),
        Label::Present | Label::Required => {
            push_key(out, field.number, field.write.wire());
            push_value(out, &field.write, cell)
        }
        Label::List { packed } => {
            let mut items = cell.items();
            if *packed && items.len() > 0 {
                push_key(out, field.number, LENGTH_DELIMITED);
                return push_sized(out, |out| items.try_for_each(|item| push_item(out, &field.write, item)));
            }
            items.try_for_each(|item| {
                push_key(out, field.number, field.write.wire());
                push_item(out, &field.write, item)
            })
        }
        Label::Map { key: write_key, nulls } => cell.entries().try_for_each(|[key, value]| {
            push_key(out, field.number, LENGTH_DELIMITED);
            push_sized(out, |out| {
                push_key(out, 1, write_key.wire());
                push_value(out, write_key, key)?;
                if value.is_null() && *nulls {
                    return Ok(());
                }
                push_key(out, 2, field.write.wire());
                push_item(out, &field.write, value)
            })
        }),
    }
}

/// Numbers that are 0 and texts without length are what an absent field says.
fn push_unless_zero(out: &mut Vec<u8>, number: u64, write: &Write, cell: Cell<'_, '_>) -> Parsed<()> {
    let start = out.len();
    push_key(out, number, write.wire());
    let value = out.len();
    push_value(out, write, cell)?;
    if out[value..].iter().all(|byte| *byte == 0) {
        out.truncate(start);
    }
    Ok(())
}

fn push_item(out: &mut Vec<u8>, write: &Write, item: Cell<'_, '_>) -> Parsed<()> {
    if item.is_null() {
        return Err(Fault::new("it holds a NULL, which lists and maps of PROTOBUF cannot"));
    }
    push_value(out, write, item)
}

fn push_value(out: &mut Vec<u8>, write: &Write, cell: Cell<'_, '_>) -> Parsed<()> {
    match write {
        Write::Bool => out.push(cell.boolean().into()),
        Write::Varint => push_varint(out, cell.integer(1)? as u64),
        Write::Zigzag => push_varint(out, zigzag(cell.integer(1)?)),
        Write::Fixed32 => out.extend_from_slice(&(cell.integer(1)? as i32).to_le_bytes()),
        Write::Fixed64 => out.extend_from_slice(&cell.integer(1)?.to_le_bytes()),
        Write::Float => out.extend_from_slice(&cell.float()?.to_le_bytes()),
        Write::Double => out.extend_from_slice(&cell.double().to_le_bytes()),
        Write::Bytes => push_bytes(out, cell.bytes()),
        Write::Symbol(symbols) => {
            let symbol = cell.text();
            let found = symbols.get(symbol);
            let number = *found.ok_or_else(|| Fault::new(format!("the enum has no '{symbol}'")))?;
            push_varint(out, i64::from(number) as u64);
        }
        Write::Message(fields) => {
            push_sized(out, |out| push_fields(out, fields, |column| cell.field(column)))?;
        }
        Write::Wrapper(write) => push_sized(out, |out| push_unless_zero(out, 1, write, cell))?,
        Write::Timestamp => {
            let ms = cell.integer(1)?;
            push_numbers(out, &[ms.div_euclid(SECOND_MS), ms.rem_euclid(SECOND_MS) * 1_000_000])?;
        }
        Write::Date => {
            let (year, month, day) = civil_from_days(cell.integer(1)?);
            push_numbers(out, &[year, month, day])?;
        }
        Write::TimeOfDay => {
            let ms = cell.integer(1)?;
            let (minutes, seconds) = (ms / MINUTE_MS % 60, ms / SECOND_MS % 60);
            push_numbers(out, &[ms / HOUR_MS, minutes, seconds, ms % SECOND_MS * 1_000_000])?;
        }
        Write::Decimal { precision, scale } => {
            let digits = cell.digits(*precision, *scale)?;
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
    // Mostly one byte is enough for the length.
    out.push(0);
    push(out)?;
    let len = out.len() - start - 1;
    if len < 0x80 {
        out[start] = len as u8;
        return Ok(());
    }
    push_varint(out, len as u64);
    let length_bytes = out.len() - start - 1 - len;
    out[start + 1..].rotate_right(length_bytes);
    out.remove(start);
    Ok(())
}
