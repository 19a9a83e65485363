//! The headers of records: names with values, beside key and value. Connectors read and write them as
//! blocks, one a record; formats make columns of them; nobody in between looks into one.
//!
//! ```text
//! block: header*     header: name length u32 · name · value length u32 · value
//! ```
//! Numbers are little-endian; a NULL value has the length `u32::MAX`. Logs hold blocks as they are.

use crate::batch::Range32;
use arrow_buffer::Buffer;
use std::sync::Arc;

const NULL: u32 = u32::MAX;

/// The headers of a batch's records.
#[derive(Clone, Debug)]
pub enum Headers {
    /// No record has any.
    None,
    /// They may have some: nobody had asked for them when the records were read.
    Unread,
    /// Where each record's block is in the buffer; NULL for one that has none.
    Each { buffer: Buffer, blocks: Arc<[Range32]> },
}

impl Headers {
    pub fn each(buffer: &Buffer, blocks: Vec<Range32>) -> Headers {
        match blocks.iter().all(|block| block.is_null()) {
            true => Headers::None,
            false => Headers::Each { buffer: buffer.clone(), blocks: blocks.into() },
        }
    }

    /// The block of a record; empty: it has no headers.
    pub fn block(&self, record: usize) -> &[u8] {
        match self {
            Headers::None | Headers::Unread => &[],
            Headers::Each { buffer, blocks } => blocks[record].of(buffer).unwrap_or_default(),
        }
    }

    /// Those of some of the records.
    pub fn pick(&self, records: impl Iterator<Item = usize>) -> Headers {
        match self {
            Headers::None => Headers::None,
            Headers::Unread => Headers::Unread,
            Headers::Each { buffer, blocks } => {
                Headers::Each { buffer: buffer.clone(), blocks: records.map(|i| blocks[i]).collect() }
            }
        }
    }

    /// What is known of them where nobody wants them.
    pub fn unread(&self) -> Headers {
        match self {
            Headers::None => Headers::None,
            Headers::Unread | Headers::Each { .. } => Headers::Unread,
        }
    }
}

/// Adds a header to a block.
pub fn push(name: &[u8], value: Option<&[u8]>, block: &mut Vec<u8>) {
    block.extend_from_slice(&(name.len() as u32).to_le_bytes());
    block.extend_from_slice(name);
    block.extend_from_slice(&value.map_or(NULL, |value| value.len() as u32).to_le_bytes());
    block.extend_from_slice(value.unwrap_or_default());
}

/// The headers of a block, in their order.
pub fn of(block: &[u8]) -> impl Iterator<Item = (&[u8], Option<&[u8]>)> {
    let mut rest = block;
    std::iter::from_fn(move || {
        let (name, value);
        (name, rest) = part(rest)?;
        (value, rest) = part(rest)?;
        Some((name.unwrap_or_default(), value))
    })
}

/// A length, the bytes that it says, and what follows.
fn part(block: &[u8]) -> Option<(Option<&[u8]>, &[u8])> {
    let (length, rest) = block.split_first_chunk::<4>()?;
    match u32::from_le_bytes(*length) {
        NULL => Some((None, rest)),
        length => rest.split_at_checked(length as usize).map(|(bytes, rest)| (Some(bytes), rest)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_gives_back_its_headers_and_a_torn_one_what_is_whole() {
        let mut block = Vec::new();
        let headers: [(&[u8], Option<&[u8]>); 4] =
            [(b"k", Some(b"\xff\x00")), (b"", Some(b"")), (b"n", None), (b"k", Some(b"again"))];
        headers.iter().for_each(|(name, value)| push(name, *value, &mut block));
        assert_eq!(of(&block).collect::<Vec<_>>(), headers);
        for end in 0..block.len() {
            let whole: Vec<_> = of(&block[..end]).collect();
            assert_eq!(whole, headers[..whole.len()]);
            assert!(whole.len() < headers.len());
        }
    }

    #[test]
    fn rows_keep_the_headers_of_their_records() {
        let mut bytes = Vec::new();
        push(b"k", Some(b"v"), &mut bytes);
        let block = Range32 { start: 0, end: bytes.len() as u32 };
        let buffer = Buffer::from(bytes.clone());
        let headers = Headers::each(&buffer, vec![Range32::NULL, block, Range32::NULL]);
        let picked = headers.pick([2, 1].into_iter());
        assert_eq!((picked.block(0), picked.block(1)), (&[][..], &bytes[..]));
        assert!(matches!(headers.unread(), Headers::Unread));
        assert!(matches!(Headers::each(&buffer, vec![Range32::NULL]).unread(), Headers::None));
    }
}
