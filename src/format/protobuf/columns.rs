//! A registered message → SQL columns.

use super::known::{Known, decimal_of, entry_of, is_map, known, type_name};
use crate::expr::decimal::PRECISION_MAX;
use crate::format::codec::{Inference, Inferred, below};
use crate::types::{ColumnDef, Part, SqlType, StructField};
use prost_reflect::{FieldDescriptor, Kind, MessageDescriptor};

/// The columns of the fields; the error names the field that has no SQL type.
pub fn columns_of(
    message: &MessageDescriptor,
    key: bool,
    mut inference: Inference,
) -> Result<Inferred, String> {
    let fields = fields(message, "", &mut inference)?;
    let columns =
        fields.into_iter().map(|field| ColumnDef { name: field.name, ty: field.ty, part: Part::key_if(key) });
    Ok(Inferred { columns: columns.collect(), bare: false })
}

fn fields(
    message: &MessageDescriptor,
    path: &str,
    inference: &mut Inference,
) -> Result<Vec<StructField>, String> {
    // As the text has them; without this they come by number.
    let mut written: Vec<FieldDescriptor> = message.fields().collect();
    written.sort_by_key(|field| field.path().last().copied());
    let names = inference.column_names(written.iter().map(FieldDescriptor::name), path)?;
    let field = |(name, field): (String, &FieldDescriptor)| {
        Ok(StructField { name, ty: of(field, &below(path, field.name()), inference)? })
    };
    names.into_iter().zip(&written).map(field).collect()
}

fn of(field: &FieldDescriptor, path: &str, inference: &mut Inference) -> Result<SqlType, String> {
    inference.part(path, |inference| match entry_of(field) {
        Some([key, value]) if is_map(field) => {
            let key = of(&key, &below(path, "key"), inference)?;
            let value = of(&value, &below(path, "value"), inference)?;
            Ok(SqlType::Map(Box::new(key), Box::new(value)))
        }
        _ if field.is_list() => Ok(SqlType::Array(Box::new(single(field, path, inference)?))),
        _ => single(field, path, inference),
    })
}

fn single(field: &FieldDescriptor, path: &str, inference: &mut Inference) -> Result<SqlType, String> {
    Ok(match field.kind() {
        Kind::Bool => SqlType::Boolean,
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => SqlType::Int,
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => SqlType::Bigint,
        Kind::Uint32 | Kind::Fixed32 | Kind::Uint64 | Kind::Fixed64 => SqlType::Bigint,
        Kind::Float | Kind::Double => SqlType::Double,
        Kind::String | Kind::Enum(_) => SqlType::Varchar,
        Kind::Bytes => SqlType::Bytes,
        Kind::Message(_) if field.is_group() => {
            return Err(format!("field {path} is a group, which has no SQL type"));
        }
        Kind::Message(message) => match known(&message) {
            Some(Known::Timestamp) => SqlType::Timestamp,
            Some(Known::Date) => SqlType::Date,
            Some(Known::TimeOfDay) => SqlType::Time,
            Some(Known::Wrapper(value)) => of(&value, path, inference)?,
            Some(Known::Decimal) => match decimal_of(field) {
                Some((precision @ 1..=PRECISION_MAX, scale)) if scale <= precision => {
                    SqlType::Decimal { precision, scale }
                }
                _ => {
                    return Err(format!(
                        "field {path} is {} without a precision of 1 to {PRECISION_MAX} and a scale in its \
                         confluent.field_meta; declare the columns",
                        type_name(field)
                    ));
                }
            },
            None => SqlType::Struct(fields(&message, path, inference)?),
        },
    })
}
