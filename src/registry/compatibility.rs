//! Who must read whom at a level, and the comparison itself by kind.

use super::model::{Incompatibility, Level};
use super::parsed::{Body, Parsed};
use super::{avro, json, protobuf};

/// What stands against `new` following version `number`, which is `old`.
pub fn check(level: Level, new: &Parsed, old: &Parsed, number: u32) -> Vec<Incompatibility> {
    let mut found = Vec::new();
    if level.is_backward() {
        let who = format!("the new schema cannot read data of version {number}");
        found.extend(read(new, old).into_iter().map(|i| said_of(i, &who)));
    }
    if level.is_forward() {
        let who = format!("version {number} cannot read data of the new schema");
        found.extend(read(old, new).into_iter().map(|i| said_of(i, &who)));
    }
    found
}

fn said_of(found: Incompatibility, who: &str) -> Incompatibility {
    Incompatibility { message: format!("{} ({who})", found.message), ..found }
}

/// What `reader` cannot read of what `writer` may have written.
pub fn read(reader: &Parsed, writer: &Parsed) -> Vec<Incompatibility> {
    match (&reader.body, &writer.body) {
        (Body::Avro(reader), Body::Avro(writer)) => avro::read(reader, writer),
        (Body::Protobuf(reader), Body::Protobuf(writer)) => protobuf::read(reader, writer),
        (Body::Json(reader), Body::Json(writer)) => json::read(reader, writer),
        _ => {
            let message = format!("{} is not {}", reader.kind(), writer.kind());
            vec![Incompatibility::new("SCHEMA_TYPE_CHANGED", "/", message)]
        }
    }
}
