//! The schema that columns are registered with, as ksqlDB's converters write it: every field may be NULL,
//! each record is named by the way to it, and a map is an array of records, since Avro's own maps have
//! no keys that may be NULL. Properties `connect.…` tell Connect's converters which of their own types is
//! meant; others pass over them.

use crate::format::codec::{check_key, check_name};
use crate::types::{ColumnDef, SqlType};
use serde_json::{Value, json};

pub const FULL_NAME: &str = "io.confluent.ksql.avro_schemas.KsqlDataSourceSchema";

/// The text of the schema; the error names the column whose name Avro does not have.
///
/// `bare`: the schema is that of the single column.
pub fn schema_text(columns: &[&ColumnDef], bare: bool, full_name: &str) -> Result<String, String> {
    let schema = match columns {
        [column] if bare => of(&column.ty, full_name, "")?,
        _ => record(full_name, "", columns.iter().map(|column| (column.name.as_str(), &column.ty)))?,
    };
    Ok(schema.to_string())
}

/// `around`: the namespace that it stands in, which need not be said again.
fn record<'a>(
    full_name: &str,
    around: &str,
    fields: impl Iterator<Item = (&'a str, &'a SqlType)>,
) -> Result<Value, String> {
    let (namespace, name) = full_name.rsplit_once('.').unwrap_or(("", full_name));
    let field = |(name, ty): (&str, &SqlType)| {
        check_name(name, "AVRO")?;
        let ty = nullable(ty, &format!("{full_name}_{name}"), namespace)?;
        Ok(json!({"name": name, "type": ty, "default": null}))
    };
    let fields = fields.map(field).collect::<Result<Vec<Value>, String>>()?;
    let mut record = json!({"type": "record", "name": name, "fields": fields, "connect.name": full_name});
    if namespace != around {
        record["namespace"] = namespace.into();
    }
    Ok(record)
}

/// A primitive that stands for something else.
fn logical(primitive: &str, logical: &str, connect: &str) -> Value {
    json!({
        "type": primitive,
        "logicalType": logical,
        "connect.version": 1,
        "connect.name": format!("org.apache.kafka.connect.data.{connect}"),
    })
}

fn nullable(ty: &SqlType, full_name: &str, around: &str) -> Result<Value, String> {
    Ok(json!(["null", of(ty, full_name, around)?]))
}

/// `full_name`: of the record, if it is one or holds one.
fn of(ty: &SqlType, full_name: &str, around: &str) -> Result<Value, String> {
    Ok(match ty {
        SqlType::Boolean => json!("boolean"),
        SqlType::Int => json!("int"),
        SqlType::Bigint => json!("long"),
        SqlType::Double => json!("double"),
        SqlType::Varchar => json!("string"),
        SqlType::Bytes => json!("bytes"),
        SqlType::Decimal { precision, scale } => {
            let mut schema = logical("bytes", "decimal", "Decimal");
            schema["precision"] = json!(precision);
            schema["scale"] = json!(scale);
            schema["connect.parameters"] =
                json!({"scale": scale.to_string(), "connect.decimal.precision": precision.to_string()});
            schema
        }
        SqlType::Date => logical("int", "date", "Date"),
        SqlType::Time => logical("int", "time-millis", "Time"),
        SqlType::Timestamp => logical("long", "timestamp-millis", "Timestamp"),
        SqlType::Array(item) => json!({"type": "array", "items": nullable(item, full_name, around)?}),
        SqlType::Struct(fields) => {
            record(full_name, around, fields.iter().map(|f| (f.name.as_str(), &f.ty)))?
        }
        SqlType::Map(key, value) => {
            check_key(key, full_name)?;
            let inside = full_name.rsplit_once('.').map_or("", |(namespace, _)| namespace);
            let key = nullable(key, &format!("{full_name}_MapKey"), inside)?;
            let value = nullable(value, &format!("{full_name}_MapValue"), inside)?;
            let mut entry = record(full_name, around, std::iter::empty())?;
            entry["fields"] = json!([
                {"name": "key", "type": key, "default": null},
                {"name": "value", "type": value, "default": null},
            ]);
            entry["connect.internal.type"] = json!("MapEntry");
            // The name is the map's, not its entries'.
            let name = entry.as_object_mut().and_then(|entry| entry.remove("connect.name"));
            json!({"type": "array", "items": entry, "connect.name": name})
        }
    })
}
