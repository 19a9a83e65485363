//! Text → statements. Does no IO and knows no catalog.

pub mod ast;
pub mod lexer;
pub mod parser;

pub use parser::{Parsed, parse_script, parse_statement};
