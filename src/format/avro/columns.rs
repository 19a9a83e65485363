//! A registered schema → SQL columns.

use crate::expr::decimal::PRECISION_MAX;
use crate::format::codec::{Inference, Inferred, below, check_key};
use crate::registry::avro::{Document, Field, Logical, Primitive, Shape, Type};
use crate::types::{ColumnDef, Part, SqlType, StructField};

/// The columns of the fields, or the single column of a schema without; the error names the field that
/// has no SQL type.
pub fn columns_of(schema: &Document, key: bool, mut inference: Inference) -> Result<Inferred, String> {
    if let Some(Shape::Record(fields)) = schema.shape(&schema.root) {
        let fields = self::fields(schema, fields, "", &mut inference)?;
        let columns = fields.into_iter().map(|field| ColumnDef {
            name: field.name,
            ty: field.ty,
            part: Part::key_if(key),
        });
        return Ok(Inferred { columns: columns.collect(), bare: false });
    }
    let name = if key { "ROWKEY" } else { "ROWVAL" };
    let ty = of(schema, &schema.root, name, &mut inference)?;
    Ok(Inferred { columns: vec![ColumnDef { name: name.into(), ty, part: Part::key_if(key) }], bare: true })
}

fn fields(
    schema: &Document,
    fields: &[Field],
    path: &str,
    inference: &mut Inference,
) -> Result<Vec<StructField>, String> {
    let names = inference.column_names(fields.iter().map(|field| field.name.as_str()), path)?;
    let field = |(name, field): (String, &Field)| {
        Ok(StructField { name, ty: of(schema, &field.ty, &below(path, &field.name), inference)? })
    };
    names.into_iter().zip(fields).map(field).collect()
}

fn of(schema: &Document, ty: &Type, path: &str, inference: &mut Inference) -> Result<SqlType, String> {
    inference.part(path, |inference| {
        let none = || Err(format!("field {path} is {}, which has no SQL type", ty.name()));
        Ok(match ty {
            Type::Primitive(primitive, logical) => {
                return primitive_type(*primitive, *logical).map_or_else(none, Ok);
            }
            Type::Array(item) => match schema.shape(item) {
                Some(Shape::Record(entry)) if schema.is_map_entry(item) => {
                    let part = |name| entry.iter().find(|field| field.name == name);
                    let (Some(key), Some(value)) = (part("key"), part("value")) else { return none() };
                    let key = of(schema, &key.ty, &below(path, "key"), inference)?;
                    let value = of(schema, &value.ty, &below(path, "value"), inference)?;
                    check_key(&key, &format!("field {path}"))?;
                    SqlType::Map(Box::new(key), Box::new(value))
                }
                _ => SqlType::Array(Box::new(of(schema, item, path, inference)?)),
            },
            Type::Map(value) => {
                SqlType::Map(Box::new(SqlType::Varchar), Box::new(of(schema, value, path, inference)?))
            }
            Type::Union(branches) => {
                let mut others = branches.iter().filter(|branch| !branch.is_null());
                match (others.next(), others.next()) {
                    (Some(only), None) => of(schema, only, path, inference)?,
                    _ => return none(),
                }
            }
            Type::Named(_) => match schema.shape(ty) {
                Some(Shape::Record(inner)) => SqlType::Struct(fields(schema, inner, path, inference)?),
                Some(Shape::Enum { .. }) => SqlType::Varchar,
                Some(Shape::Fixed { decimal, .. }) => {
                    let logical = decimal.map(Logical::Decimal);
                    return primitive_type(Primitive::Bytes, logical).map_or_else(none, Ok);
                }
                None => return none(),
            },
        })
    })
}

fn primitive_type(primitive: Primitive, logical: Option<Logical>) -> Option<SqlType> {
    Some(match (primitive, logical) {
        (_, Some(Logical::Decimal(decimal))) => {
            let (precision, scale) = (u8::try_from(decimal.precision).ok()?, decimal.scale as u8);
            if precision > PRECISION_MAX {
                return None;
            }
            SqlType::Decimal { precision, scale }
        }
        (_, Some(Logical::Date)) => SqlType::Date,
        // Finer units would lose digits, so they stay the numbers they are.
        (_, Some(Logical::Time { per_ms: 1 })) => SqlType::Time,
        (_, Some(Logical::Timestamp { per_ms: 1 })) => SqlType::Timestamp,
        (Primitive::Null, _) => return None,
        (Primitive::Boolean, _) => SqlType::Boolean,
        (Primitive::Int, _) => SqlType::Int,
        (Primitive::Long, _) => SqlType::Bigint,
        (Primitive::Float | Primitive::Double, _) => SqlType::Double,
        (Primitive::Bytes, _) => SqlType::Bytes,
        (Primitive::String, _) => SqlType::Varchar,
    })
}
