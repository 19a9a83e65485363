//! What a format writes alike, so that it does not come back as it was.
//!
//! Who reads a derived stream gets its rows as they were computed, who reads its topic gets them as they were
//! written. A statement that stores them says where the two differ.

use super::Format;
use super::protobuf::Nullable;
use crate::types::{ColumnDef, SqlType};

/// Two values that are written as one.
#[derive(Debug, PartialEq)]
pub struct Blurred {
    /// A column, or a field of one: `A->B`.
    pub column: String,
    pub values: [&'static str; 2],
    pub hint: &'static str,
}

impl Format {
    /// The first of these columns that loses something when it is written.
    pub fn blurs<'c>(self, columns: impl IntoIterator<Item = &'c ColumnDef>) -> Option<Blurred> {
        let blurred = match self {
            Format::Delimited { .. } => delimited,
            Format::Protobuf { nullable: Nullable::Plain }
            | Format::ProtobufNoSr { nullable: Nullable::Plain } => protobuf,
            _ => return None,
        };
        columns.into_iter().find_map(|column| blurred(&column.name, &column.ty))
    }
}

fn delimited(name: &str, ty: &SqlType) -> Option<Blurred> {
    let hint = "VALUE_FORMAT = 'JSON' keeps both";
    matches!(ty, SqlType::Varchar | SqlType::Bytes).then(|| Blurred {
        column: name.into(),
        values: ["''", "NULL"],
        hint,
    })
}

/// As they are without a representation of NULL. Messages within messages have one: they are not there.
fn protobuf(name: &str, ty: &SqlType) -> Option<Blurred> {
    let value = match ty {
        SqlType::Boolean => "false",
        SqlType::Int | SqlType::Bigint | SqlType::Double => "0",
        SqlType::Varchar | SqlType::Bytes => "''",
        SqlType::Struct(fields) => {
            return fields.iter().find_map(|field| protobuf(&format!("{name}->{}", field.name), &field.ty));
        }
        _ => return None,
    };
    let hint = "VALUE_PROTOBUF_NULLABLE_REPRESENTATION = 'OPTIONAL' keeps both";
    Some(Blurred { column: name.into(), values: ["NULL", value], hint })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{Part, StructField};

    #[test]
    fn what_is_written_alike_is_found() {
        let column = |name: &str, ty| ColumnDef { name: name.into(), ty, part: Part::Value };
        let inner = StructField { name: "LAT".into(), ty: SqlType::Double };
        let columns = [
            column("P", SqlType::Decimal { precision: 4, scale: 2 }),
            column("AT", SqlType::Struct(vec![inner])),
            column("T", SqlType::Varchar),
        ];
        for (format, found) in [
            ("JSON", None),
            ("AVRO", None),
            ("DELIMITED", Some(("T", ["''", "NULL"]))),
            ("PROTOBUF", Some(("AT->LAT", ["NULL", "0"]))),
            ("PROTOBUF_NOSR", Some(("AT->LAT", ["NULL", "0"]))),
        ] {
            let blurred = Format::named(format).unwrap().blurs(&columns);
            let blurred = blurred.as_ref().map(|blurred| (blurred.column.as_str(), blurred.values));
            assert_eq!(blurred, found, "{format}");
        }
        let optional = Format::Protobuf { nullable: Nullable::Optional };
        assert_eq!(optional.blurs(&columns), None);
        assert_eq!(Format::Delimited { delimiter: b',' }.blurs(&columns[..1]), None);
    }
}
