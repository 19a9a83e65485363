//! The text of BYTES, both directions: standard base64, padded.

use ::base64::{Engine, engine::general_purpose::STANDARD};

pub fn read(text: &[u8]) -> Option<Vec<u8>> {
    STANDARD.decode(text).ok()
}

pub fn push(out: &mut String, bytes: &[u8]) {
    STANDARD.encode_string(bytes, out);
}
