//! How records are laid out in text that somebody else has written, as far as no statement says it. A
//! topology says it for files and for standard input; framing and formats go by it.

use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dialect {
    /// What fields that hold separators stand in; `None`: nothing is a quote.
    pub quote: Option<u8>,
    /// A field that is this, and not quoted, is NULL; as an empty one always is.
    pub null: Option<String>,
    /// The first line of each file names its fields, in whatever order it has them.
    pub names: bool,
    /// Columns of the key that are fields of the value: such messages have no key of their own.
    pub key: Vec<String>,
}

pub const QUOTE: u8 = b'"';

impl Default for Dialect {
    fn default() -> Dialect {
        Dialect { quote: Some(QUOTE), null: None, names: false, key: Vec::new() }
    }
}
