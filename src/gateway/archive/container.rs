//! Avro's object container files: records of one schema, `Event`, whose only field is a CloudEvent as JSON
//! text. Every Avro reader opens them; what the payload's own schema is, its `dataschema` says.

use crate::error::{Error, Result, reason};
use crate::format::body::{Body, push_varint, zigzag};
use std::path::Path;

const SCHEMA: &str = r#"{"type":"record","name":"Event","namespace":"wharfe","doc":"a CloudEvent","fields":[{"name":"json","type":"string"}]}"#;
const MAGIC: &[u8] = b"Obj\x01";
/// Between blocks; the same everywhere, since nothing is ever split.
const SYNC: [u8; 16] = *b"wharfe-archive-1";

/// Appends a record.
pub fn push(json: &str, out: &mut Vec<u8>) {
    push_varint(out, zigzag(json.len() as i64));
    out.extend_from_slice(json.as_bytes());
}

/// A file of one block.
pub fn file(records: u64, body: &[u8]) -> Vec<u8> {
    let mut out = MAGIC.to_vec();
    push_varint(&mut out, zigzag(2));
    for (name, value) in [("avro.schema", SCHEMA), ("avro.codec", "null")] {
        push(name, &mut out);
        push(value, &mut out);
    }
    out.push(0);
    out.extend_from_slice(&SYNC);
    if records > 0 {
        push_varint(&mut out, zigzag(records as i64));
        push_varint(&mut out, zigzag(body.len() as i64));
        out.extend_from_slice(body);
        out.extend_from_slice(&SYNC);
    }
    out
}

/// Hands over every record of a file that was written here.
pub fn read(path: &Path, mut each: impl FnMut(&str) -> Result<()>) -> Result<()> {
    let failed = |why: String| Error::runtime(format!("{} cannot be read: {why}", path.display()));
    let bytes = std::fs::read(path).map_err(|e| failed(reason(&e)))?;
    let head = file(0, &[]);
    let Some(rest) = bytes.strip_prefix(head.as_slice()) else {
        return Err(failed("it is no archive's".into()));
    };
    let mut body = Body::new(rest, 0..rest.len());
    let fault = |fault: Box<crate::format::fault::Fault>| failed(fault.reason.clone());
    while !body.is_at_end() {
        let records = body.zigzag().map_err(fault)?;
        body.zigzag().map_err(fault)?;
        for _ in 0..records {
            let length = u64::try_from(body.zigzag().map_err(fault)?).map_err(|e| failed(e.to_string()))?;
            let range = body.take(length).map_err(fault)?;
            each(&String::from_utf8_lossy(body.field(&range).bytes()))?;
        }
        body.take(SYNC.len() as u64).map_err(fault)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_gives_back_its_records() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.avro");
        let mut body = Vec::new();
        for json in ["{}", "{\"a\":1}"] {
            push(json, &mut body);
        }
        std::fs::write(&path, file(2, &body)).unwrap();
        let mut found = Vec::new();
        read(&path, |json| {
            found.push(json.to_string());
            Ok(())
        })
        .unwrap();
        assert_eq!(found, ["{}", "{\"a\":1}"]);
        std::fs::write(&path, b"Obj\x01x").unwrap();
        assert!(read(&path, |_| Ok(())).is_err());
    }
}
