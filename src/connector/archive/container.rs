//! Avro's object container files: records of one schema, `Event`, whose only field is a CloudEvent as JSON
//! text. Every Avro reader opens them; what the payload's own schema is, its `dataschema` says.

use crate::error::{Error, Result};

const SCHEMA: &str = r#"{"type":"record","name":"Event","namespace":"wharfe","doc":"a CloudEvent","fields":[{"name":"json","type":"string"}]}"#;
const MAGIC: &[u8] = b"Obj\x01";
/// Between blocks; the same everywhere, since nothing is ever split.
const SYNC: [u8; 16] = *b"wharfe-archive-1";

/// Appends a record.
pub fn push(json: &str, out: &mut Vec<u8>) {
    push_number(out, json.len() as i64);
    out.extend_from_slice(json.as_bytes());
}

/// A file of one block.
pub fn file(records: u64, body: &[u8]) -> Vec<u8> {
    let mut out = MAGIC.to_vec();
    push_number(&mut out, 2);
    for (name, value) in [("avro.schema", SCHEMA), ("avro.codec", "null")] {
        push(name, &mut out);
        push(value, &mut out);
    }
    out.push(0);
    out.extend_from_slice(&SYNC);
    if records > 0 {
        push_number(&mut out, records as i64);
        push_number(&mut out, body.len() as i64);
        out.extend_from_slice(body);
        out.extend_from_slice(&SYNC);
    }
    out
}

/// Hands over every record of a file that was written here.
pub fn read(name: &str, bytes: &[u8], mut each: impl FnMut(&str) -> Result<()>) -> Result<()> {
    let failed = |why: String| Error::runtime(format!("{name} cannot be read: {why}"));
    let head = file(0, &[]);
    let Some(rest) = bytes.strip_prefix(head.as_slice()) else {
        return Err(failed("it is no archive's".into()));
    };
    let ends = || failed("it ends within a record".into());
    let mut rest = rest;
    while !rest.is_empty() {
        let records = take_number(&mut rest).ok_or_else(ends)?;
        take_number(&mut rest).ok_or_else(ends)?;
        for _ in 0..records {
            let length = take_number(&mut rest).and_then(|length| usize::try_from(length).ok());
            let record = length.and_then(|length| rest.split_off(..length)).ok_or_else(ends)?;
            each(&String::from_utf8_lossy(record))?;
        }
        rest.split_off(..SYNC.len()).ok_or_else(ends)?;
    }
    Ok(())
}

/// A number as Avro has it: zigzag, seven bits a byte, the lowest first.
fn push_number(out: &mut Vec<u8>, number: i64) {
    let mut rest = ((number << 1) ^ (number >> 63)) as u64;
    while rest >= 0x80 {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

fn take_number(bytes: &mut &[u8]) -> Option<i64> {
    let mut number = 0u64;
    for shift in (0..64).step_by(7) {
        let byte = bytes.split_off_first()?;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some((number >> 1) as i64 ^ -((number & 1) as i64));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_gives_back_its_records() {
        let mut body = Vec::new();
        for json in ["{}", "{\"a\":1}"] {
            push(json, &mut body);
        }
        let mut found = Vec::new();
        let each = |json: &str| {
            found.push(json.to_string());
            Ok(())
        };
        read("x.avro", &file(2, &body), each).unwrap();
        assert_eq!(found, ["{}", "{\"a\":1}"]);
        assert!(read("x.avro", b"Obj\x01x", |_| Ok(())).is_err());
        let cut = &file(2, &body)[..file(2, &body).len() - 20];
        assert!(read("x.avro", cut, |_| Ok(())).unwrap_err().message.contains("it ends within a record"));
    }
}
