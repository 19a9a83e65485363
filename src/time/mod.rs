//! Dates and times: calendar arithmetic, ISO text, zones and `java.time` patterns.
//!
//! Expressions, formats and the generator share it. Everything is in milliseconds, and days, since
//! 1970-01-01. Nothing here reads a clock.

pub mod civil;
pub mod iso;
pub mod zone;
mod names;
pub mod pattern;
mod fixed;
mod parse;
mod format;

pub use parse::ParseFailure;
pub use pattern::Pattern;
pub use zone::Zone;

#[cfg(test)]
mod tests;
