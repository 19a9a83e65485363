//! Text → statements. Does no IO and knows no catalog.

pub mod ast;
pub mod complete;
pub mod lexer;
pub mod parser;
mod create;
mod expression;
mod hint;
mod operand;
mod query;
mod statement;
mod types;
#[cfg(test)]
mod tests;

pub use parser::{parse_script, parse_statement};
