//! Dates and times: calendar arithmetic, zones, `java.time` patterns and ISO text.
//!
//! Everything is in milliseconds, and days, since 1970-01-01. Nothing here reads a clock.

pub mod civil;
pub mod zone;
mod names;
pub mod pattern;
mod fixed;
mod parse;
mod format;
pub mod iso;

pub use parse::ParseFailure;
pub use pattern::Pattern;
pub use zone::Zone;

#[cfg(test)]
mod tests;
