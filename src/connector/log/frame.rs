//! One record as bytes.

use super::RECORD_BYTES_MAX;
use crate::batch::Range32;
use crate::connector::Record;

/// Length and CRC.
const HEAD: usize = 8;
/// Offset, timestamp and the lengths of key and value.
const FIXED: usize = 24;
const ABSENT: u32 = u32::MAX;

pub struct Frame {
    /// Where the next one begins.
    pub end: usize,
    pub timestamp: i64,
    pub key: Range32,
    pub value: Range32,
    /// A block of [`crate::headers`].
    pub headers: Range32,
}

pub enum Decoded {
    Frame(Frame),
    /// The block ends before the frame, which is so many bytes long as far as known.
    Short(usize),
    Bad,
}

/// The length of `encode`'s result.
pub fn bytes_of(record: &Record) -> usize {
    let length_of = |bytes: Option<&[u8]>| bytes.map_or(0, <[u8]>::len);
    HEAD + FIXED + length_of(record.key) + length_of(record.value) + record.headers.len()
}

pub fn encode(offset: i64, record: &Record, out: &mut Vec<u8>) {
    let Record { timestamp, key, value, headers } = *record;
    let start = out.len();
    let length_of = |bytes: Option<&[u8]>| bytes.map_or(ABSENT, |b| b.len() as u32).to_le_bytes();
    out.extend_from_slice(&((bytes_of(record) - HEAD) as u32).to_le_bytes());
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&offset.to_le_bytes());
    out.extend_from_slice(&timestamp.to_le_bytes());
    out.extend_from_slice(&length_of(key));
    out.extend_from_slice(&length_of(value));
    out.extend_from_slice(key.unwrap_or_default());
    out.extend_from_slice(value.unwrap_or_default());
    out.extend_from_slice(headers);
    let crc = crc32fast::hash(&out[start + HEAD..]);
    out[start + 4..start + HEAD].copy_from_slice(&crc.to_le_bytes());
}

/// The frame at `at`, which must hold the record of this offset.
pub fn decode(block: &[u8], at: usize, offset: i64) -> Decoded {
    let Some(length) = u32_at(block, at) else { return Decoded::Short(HEAD + FIXED) };
    let length = length as usize;
    if !(FIXED..=FIXED + RECORD_BYTES_MAX).contains(&length) {
        return Decoded::Bad;
    }
    let (start, end) = (at + HEAD, at + HEAD + length);
    let Some(body) = block.get(start..end) else { return Decoded::Short(HEAD + length) };
    if u32_at(block, at + 4) != Some(crc32fast::hash(body)) || offset_at(block, at) != Some(offset) {
        return Decoded::Bad;
    }
    let lengths = (u32_at(body, 16).unwrap_or(0), u32_at(body, 20).unwrap_or(0));
    let place = |from: usize, length: u32| match length {
        ABSENT => (Range32::NULL, from),
        _ => (Range32 { start: from as u32, end: (from + length as usize) as u32 }, from + length as usize),
    };
    let (key, key_end) = place(start + FIXED, lengths.0);
    let (value, value_end) = place(key_end, lengths.1);
    if value_end > end {
        return Decoded::Bad;
    }
    // Most records have none; those of earlier versions never had.
    let headers = match value_end < end {
        true => Range32 { start: value_end as u32, end: end as u32 },
        false => Range32::NULL,
    };
    let timestamp = body[8..16].try_into().map_or(0, i64::from_le_bytes);
    Decoded::Frame(Frame { end, timestamp, key, value, headers })
}

/// Whether a good frame of a record later than `offset` is anywhere in the block. If so, bad bytes
/// before it are damage and no torn tail.
pub fn holds_later(block: &[u8], offset: i64) -> bool {
    (0..block.len()).any(|at| match offset_at(block, at) {
        // A segment has fewer records than this; nearly all other bytes are ruled out cheaply.
        Some(found) if found > offset && found - offset < 1 << 32 => {
            matches!(decode(block, at, found), Decoded::Frame(_))
        }
        _ => false,
    })
}

fn u32_at(block: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(block.get(at..at + 4)?.try_into().ok()?))
}

fn offset_at(block: &[u8], frame: usize) -> Option<i64> {
    Some(i64::from_le_bytes(block.get(frame + HEAD..frame + HEAD + 8)?.try_into().ok()?))
}
