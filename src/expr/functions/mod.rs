//! The list of all scalar functions: a function is one entry here.

use super::function::Function;

/// Every scalar function, sorted by name.
pub static ALL: &[Function] = &[];

/// Looks a function up by its upper-case name.
pub fn find(name: &str) -> Option<&'static Function> {
    ALL.iter().find(|f| f.name == name)
}
