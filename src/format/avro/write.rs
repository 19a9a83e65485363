//! Rows → bodies, as a schema lays them out.

use super::default;
use super::plan::Length;
use crate::batch::Column;
use crate::expr::decimal::PRECISION_MAX;
use crate::format::body::{push_varint, zigzag};
use crate::format::cell::{Cell, Cells, shortest};
use crate::format::codec::{below, check_key, match_names};
use crate::format::encode::{Rows, Writer};
use crate::format::fault::{Fault, Parsed};
use crate::registry::avro::{Document, Field, Logical, Primitive, Shape, Type};
use crate::types::{ColumnDef, SqlType};
use serde_json::Value;
use std::collections::HashMap;

pub struct AvroWriter {
    root: Root,
}

enum Root {
    Record(Vec<Written>),
    Bare(Slot),
}

/// A field of a record.
enum Written {
    Column {
        column: usize,
        name: String,
        slot: Slot,
    },
    /// What a field without a column holds: its default, or NULL.
    Constant(Vec<u8>),
}

/// A place for a value that may be NULL.
struct Slot {
    /// The branch of NULL, if there is one.
    null: Option<u64>,
    /// The branch of other values, if the place is a union.
    branch: Option<u64>,
    write: Write,
}

enum Write {
    Boolean,
    /// Units of which so many are a millisecond, where it is a time.
    Integer {
        per_ms: i64,
    },
    Float,
    Double,
    Bytes(Length),
    Symbol(HashMap<String, u64>),
    Decimal {
        length: Length,
        precision: u8,
        scale: u8,
    },
    Struct(Vec<Written>),
    Array(Box<Slot>),
    Map(Box<Slot>),
    Entries(Vec<Written>),
}

/// Longer values of a fixed length are not written.
const FIXED_MAX: u64 = 1 << 20;

type Result<T> = std::result::Result<T, String>;

impl AvroWriter {
    pub fn new(schema: &Document, columns: &[&ColumnDef], bare: bool) -> Result<AvroWriter> {
        let root = match columns {
            [column] if bare => Root::Bare(slot(schema, &schema.root, &column.ty, &column.name)?),
            _ => {
                let Some(Shape::Record(fields)) = schema.shape(&schema.root) else {
                    let name = schema.root.name();
                    return Err(format!("the schema is {name}, which has no fields for columns"));
                };
                let declared: Vec<_> = columns.iter().map(|c| (c.name.as_str(), &c.ty)).collect();
                Root::Record(record(schema, fields, &declared, "")?)
            }
        };
        Ok(AvroWriter { root })
    }
}

fn record(
    schema: &Document,
    fields: &[Field],
    declared: &[(&str, &SqlType)],
    path: &str,
) -> Result<Vec<Written>> {
    let names: Vec<&str> = fields.iter().map(|field| field.name.as_str()).collect();
    let wanted: Vec<&str> = declared.iter().map(|(column, _)| *column).collect();
    let mut columns: Vec<Option<usize>> = vec![None; fields.len()];
    for (column, field) in match_names(&names, &wanted).into_iter().enumerate() {
        let none = || format!("column {}: the schema has no such field", below(path, wanted[column]));
        columns[field.ok_or_else(none)?] = Some(column);
    }
    let written = |(field, column): (&Field, Option<usize>)| match column {
        Some(column) => {
            let (name, ty) = declared[column];
            let slot = slot(schema, &field.ty, ty, &below(path, name))?;
            Ok(Written::Column { column, name: name.into(), slot })
        }
        None => {
            let default = field.default.as_ref().unwrap_or(&Value::Null);
            let none = || {
                format!("field {} has no column and no default, and cannot be NULL", below(path, &field.name))
            };
            default::encoded(schema, &field.ty, default).map(Written::Constant).ok_or_else(none)
        }
    };
    fields.iter().zip(columns).map(written).collect()
}

fn null_branch(branches: &[Type]) -> Option<u64> {
    branches.iter().position(Type::is_null).map(|branch| branch as u64)
}

fn slot(schema: &Document, place: &Type, ty: &SqlType, path: &str) -> Result<Slot> {
    let Type::Union(branches) = place else {
        return Ok(Slot { null: None, branch: None, write: write(schema, place, ty, path)? });
    };
    let mut first_fault = None;
    for (branch, place) in branches.iter().enumerate().filter(|(_, place)| !place.is_null()) {
        match write(schema, place, ty, path) {
            Ok(write) => {
                return Ok(Slot { null: null_branch(branches), branch: Some(branch as u64), write });
            }
            Err(fault) => first_fault = first_fault.or(Some(fault)),
        }
    }
    Err(first_fault.unwrap_or_else(|| format!("column {path}: the schema has only null for it")))
}

fn write(schema: &Document, place: &Type, ty: &SqlType, path: &str) -> Result<Write> {
    let written = match (place, ty) {
        (Type::Primitive(primitive, logical), _) => primitive_write(*primitive, *logical, ty),
        (Type::Array(item), SqlType::Array(of)) => {
            Some(Write::Array(Box::new(slot(schema, item, of, &format!("{path}[]"))?)))
        }
        (Type::Map(value), SqlType::Map(key, of)) if **key == SqlType::Varchar => {
            Some(Write::Map(Box::new(slot(schema, value, of, &format!("{path}{{}}"))?)))
        }
        (Type::Array(item), SqlType::Map(key, value)) => match schema.shape(item) {
            Some(Shape::Record(fields)) => {
                check_key(key, &format!("column {path}"))?;
                Some(Write::Entries(record(schema, fields, &[("key", key), ("value", value)], path)?))
            }
            _ => None,
        },
        _ => match (schema.shape(place), ty) {
            (Some(Shape::Record(inner)), SqlType::Struct(fields)) => {
                let declared: Vec<_> = fields.iter().map(|f| (f.name.as_str(), &f.ty)).collect();
                Some(Write::Struct(record(schema, inner, &declared, path)?))
            }
            (Some(Shape::Enum { symbols, .. }), SqlType::Varchar) => {
                Some(Write::Symbol(symbols.iter().cloned().zip(0..).collect()))
            }
            (Some(Shape::Fixed { size, decimal }), _) if *size <= FIXED_MAX => {
                bytes_write(Length::Fixed(*size), decimal.map(Logical::Decimal), ty)
            }
            _ => None,
        },
    };
    written.ok_or_else(|| format!("column {path} is {ty}, which {} cannot hold", place.name()))
}

fn primitive_write(primitive: Primitive, logical: Option<Logical>, ty: &SqlType) -> Option<Write> {
    use SqlType as S;
    Some(match (primitive, logical, ty) {
        (Primitive::Boolean, _, S::Boolean) => Write::Boolean,
        (Primitive::Int, None, S::Int)
        | (Primitive::Int, None | Some(Logical::Date), S::Date)
        | (Primitive::Int, None | Some(Logical::Time { .. }), S::Time)
        | (Primitive::Long, None, S::Int | S::Bigint | S::Timestamp) => Write::Integer { per_ms: 1 },
        (Primitive::Long, Some(Logical::Time { per_ms }), S::Time)
        | (Primitive::Long, Some(Logical::Timestamp { per_ms }), S::Timestamp) => Write::Integer { per_ms },
        (Primitive::Float, _, S::Double) => Write::Float,
        (Primitive::Double, _, S::Double) => Write::Double,
        (Primitive::String, _, S::Varchar) => Write::Bytes(Length::Written),
        (Primitive::Bytes, logical, _) => return bytes_write(Length::Written, logical, ty),
        _ => return None,
    })
}

fn bytes_write(length: Length, logical: Option<Logical>, ty: &SqlType) -> Option<Write> {
    match (logical, ty) {
        (None, SqlType::Bytes) => Some(Write::Bytes(length)),
        (Some(Logical::Decimal(decimal)), SqlType::Decimal { .. }) => {
            let precision = u8::try_from(decimal.precision.min(PRECISION_MAX.into())).ok()?;
            Some(Write::Decimal { length, precision, scale: u8::try_from(decimal.scale).ok()? })
        }
        _ => None,
    }
}

impl Writer for AvroWriter {
    fn rows<'b>(&'b mut self, columns: &'b [Column]) -> Rows<'b> {
        let cells = Cells::of(columns);
        match &self.root {
            Root::Record(fields) => Box::new(move |row, out| {
                push_fields(out, fields, |column| cells[column].at(row)).map(|()| true)
            }),
            Root::Bare(slot) => Box::new(move |row, out| {
                let cell = cells[0].at(row);
                if cell.is_null() && slot.null.is_none() {
                    return Ok(false);
                }
                push_slot(out, slot, cell).map(|()| true)
            }),
        }
    }
}

fn push_fields<'c, 'b: 'c>(
    out: &mut Vec<u8>,
    fields: &[Written],
    cell: impl Fn(usize) -> Cell<'c, 'b>,
) -> Parsed<()> {
    for field in fields {
        match field {
            Written::Column { column, name, slot } => {
                push_slot(out, slot, cell(*column)).map_err(|fault| fault.within(name))?;
            }
            Written::Constant(bytes) => out.extend_from_slice(bytes),
        }
    }
    Ok(())
}

fn push_branch(out: &mut Vec<u8>, branch: u64) {
    push_varint(out, branch << 1);
}

fn push_integer(out: &mut Vec<u8>, value: i64) {
    push_varint(out, zigzag(value));
}

fn push_slot(out: &mut Vec<u8>, slot: &Slot, cell: Cell<'_, '_>) -> Parsed<()> {
    if cell.is_null() {
        let null = slot.null.ok_or_else(|| Fault::new("it is NULL, which the schema does not allow"))?;
        push_branch(out, null);
        return Ok(());
    }
    slot.branch.iter().for_each(|branch| push_branch(out, *branch));
    push_value(out, &slot.write, cell)
}

fn push_value(out: &mut Vec<u8>, write: &Write, cell: Cell<'_, '_>) -> Parsed<()> {
    match write {
        Write::Boolean => out.push(cell.boolean().into()),
        Write::Integer { per_ms } => push_integer(out, cell.integer(*per_ms)?),
        Write::Float => out.extend_from_slice(&cell.float()?.to_le_bytes()),
        Write::Double => out.extend_from_slice(&cell.double().to_le_bytes()),
        Write::Bytes(length) => push_bytes(out, length, cell.bytes())?,
        Write::Symbol(symbols) => {
            let symbol = cell.text();
            let found = symbols.get(symbol);
            push_branch(out, *found.ok_or_else(|| Fault::new(format!("the enum has no '{symbol}'")))?);
        }
        Write::Decimal { length, precision, scale } => {
            push_decimal(out, length, &cell.digits(*precision, *scale)?)?;
        }
        Write::Struct(fields) => push_fields(out, fields, |column| cell.field(column))?,
        Write::Array(item) => push_items(out, cell.items(), |out, cell| push_slot(out, item, cell))?,
        Write::Map(slot) => push_items(out, cell.entries(), |out, [key, value]| {
            push_bytes(out, &Length::Written, key.bytes())?;
            push_slot(out, slot, value)
        })?,
        Write::Entries(fields) => {
            push_items(out, cell.entries(), |out, entry| push_fields(out, fields, |column| entry[column]))?;
        }
    }
    Ok(())
}

/// One block of all items, if there are any, and the end.
fn push_items<I>(
    out: &mut Vec<u8>,
    mut items: impl ExactSizeIterator<Item = I>,
    mut push: impl FnMut(&mut Vec<u8>, I) -> Parsed<()>,
) -> Parsed<()> {
    if items.len() > 0 {
        push_integer(out, items.len() as i64);
        items.try_for_each(|item| push(out, item))?;
    }
    out.push(0);
    Ok(())
}

fn push_bytes(out: &mut Vec<u8>, length: &Length, bytes: &[u8]) -> Parsed<()> {
    match length {
        Length::Written => push_integer(out, bytes.len() as i64),
        Length::Fixed(len) if *len == bytes.len() as u64 => {}
        Length::Fixed(len) => {
            return Err(Fault::new(format!("it has {} bytes, the schema {len}", bytes.len())));
        }
    }
    out.extend_from_slice(bytes);
    Ok(())
}

fn push_decimal(out: &mut Vec<u8>, length: &Length, digits: &[u8; 16]) -> Parsed<()> {
    let digits = shortest(digits);
    if let Length::Fixed(len) = length {
        let sign = if digits[0] >= 0x80 { 0xff } else { 0 };
        let padding = (*len as usize).checked_sub(digits.len());
        let padding =
            padding.ok_or_else(|| Fault::new(format!("it does not fit the schema's {len} bytes")))?;
        out.extend(std::iter::repeat_n(sign, padding));
        out.extend_from_slice(digits);
        return Ok(());
    }
    push_bytes(out, length, digits)
}
