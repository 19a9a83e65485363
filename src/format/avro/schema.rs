//! The schema that columns are registered with, as ksqlDB's converters write it: every field may be NULL,
//! each record is named by the way to it, and a map is an array of records, since Avro's own maps have
//! no keys that may be NULL. What `connect.*` properties say beside that is left out.

use crate::format::codec::{check_key, check_name};
use crate::types::{ColumnDef, SqlType};
use serde_json::{Value, json};

pub const FULL_NAME: &str = "io.confluent.ksql.avro_schemas.KsqlDataSourceSchema";

/// The text of the schema; the error names the column whose name Avro does not have.
///
/// `bare`: the schema is that of the single column.
pub fn schema_text(columns: &[&ColumnDef], bare: bool, full_name: &str) -> Result<String, String> {
    let schema = match columns {
        [column] if bare => of(&column.ty, full_name)?,
        _ => record(full_name, columns.iter().map(|column| (column.name.as_str(), &column.ty)))?,
    };
    Ok(schema.to_string())
}

fn record<'a>(
    full_name: &str,
    fields: impl Iterator<Item = (&'a str, &'a SqlType)>,
) -> Result<Value, String> {
    let (namespace, name) = full_name.rsplit_once('.').unwrap_or(("", full_name));
    let field = |(name, ty): (&str, &SqlType)| {
        check_name(name, "AVRO")?;
        let ty = nullable(ty, &format!("{full_name}_{name}"))?;
        Ok(json!({"name": name, "type": ty, "default": null}))
    };
    let fields = fields.map(field).collect::<Result<Vec<Value>, String>>()?;
    Ok(match namespace {
        "" => json!({"type": "record", "name": name, "fields": fields}),
        _ => json!({"type": "record", "name": name, "namespace": namespace, "fields": fields}),
    })
}

fn nullable(ty: &SqlType, full_name: &str) -> Result<Value, String> {
    Ok(json!(["null", of(ty, full_name)?]))
}

/// `full_name`: of the record, if it is one or holds one.
fn of(ty: &SqlType, full_name: &str) -> Result<Value, String> {
    Ok(match ty {
        SqlType::Boolean => json!("boolean"),
        SqlType::Int => json!("int"),
        SqlType::Bigint => json!("long"),
        SqlType::Double => json!("double"),
        SqlType::Varchar => json!("string"),
        SqlType::Bytes => json!("bytes"),
        SqlType::Decimal { precision, scale } => {
            json!({"type": "bytes", "logicalType": "decimal", "precision": precision, "scale": scale})
        }
        SqlType::Date => json!({"type": "int", "logicalType": "date"}),
        SqlType::Time => json!({"type": "int", "logicalType": "time-millis"}),
        SqlType::Timestamp => json!({"type": "long", "logicalType": "timestamp-millis"}),
        SqlType::Array(item) => json!({"type": "array", "items": nullable(item, full_name)?}),
        SqlType::Struct(fields) => record(full_name, fields.iter().map(|f| (f.name.as_str(), &f.ty)))?,
        SqlType::Map(key, value) => {
            check_key(key, full_name)?;
            let key = nullable(key, &format!("{full_name}_MapKey"))?;
            let value = nullable(value, &format!("{full_name}_MapValue"))?;
            let mut entry = record(full_name, std::iter::empty())?;
            entry["fields"] = json!([
                {"name": "key", "type": key, "default": null},
                {"name": "value", "type": value, "default": null},
            ]);
            entry["connect.internal.type"] = json!("MapEntry");
            json!({"type": "array", "items": entry})
        }
    })
}
