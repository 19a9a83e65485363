//! Text → statements. Does no IO and knows no catalog.

pub mod ast;
pub mod complete;
pub mod lexer;
pub mod parser;
mod connector;
mod create;
mod display;
mod expression;
mod hint;
mod operand;
mod query;
mod statement;
mod subquery;
mod types;
#[cfg(test)]
mod tests;

pub use lexer::Variables;
pub use parser::{
    Known, Reader, parse_expression, parse_script, parse_script_with, parse_statement, parse_statement_with,
};
