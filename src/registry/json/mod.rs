//! JSON Schema: whatever the writer's schema takes must be taken by the reader's.
//!
//! Drafts 4 to 2020-12 are read alike. Rules and their names are Confluent's; a required property that
//! has a default may be added, as there. Conservatively, that is refused although it might be read:
//! - keywords that are compared as texts: `if`/`then`/`else`, `contains`, `propertyNames`,
//!   `dependencies` and their kin, `unevaluated…`; a new `pattern`, a new `multipleOf` that is no divisor;
//! - a union that the reader covers only with several branches together;
//! - an `allOf` of the writer that the reader covers only with several branches together.
//!
//! The other way round, `oneOf` is read as `anyOf`: that its branches exclude each other is not shown.
//! `format`, `title`, `description`, `default` and other annotations do not matter.

mod array;
mod bounds;
mod document;
mod object;
mod read;
#[cfg(test)]
mod tests;

pub use document::{Document, Node};
pub use read::read;
