//! Byte strings on their way to another process: written at once, where serde's own form of a boxed
//! slice goes byte by byte. The bytes on the wire are the same. For `#[serde(with = …)]`.

use serde::de::{Deserializer, Error, Visitor};
use serde::ser::Serializer;
use std::fmt;

pub fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_bytes(bytes)
}

pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Box<[u8]>, D::Error> {
    deserializer.deserialize_byte_buf(Bytes)
}

struct Bytes;

impl Visitor<'_> for Bytes {
    type Value = Box<[u8]>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("bytes")
    }

    fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Box<[u8]>, E> {
        Ok(bytes.into())
    }

    fn visit_byte_buf<E: Error>(self, bytes: Vec<u8>) -> Result<Box<[u8]>, E> {
        Ok(bytes.into())
    }
}

#[cfg(test)]
mod tests {
    use crate::aggregate::State;

    #[test]
    fn bytes_are_as_serde_writes_a_boxed_slice() {
        for bytes in [&b""[..], b"\x00\xff state"] {
            let state = State(bytes.into());
            let written = bincode::serialize(&state).unwrap();
            assert_eq!(written, bincode::serialize(&state.0).unwrap());
            assert_eq!(bincode::deserialize::<State>(&written).unwrap(), state);
        }
    }
}
