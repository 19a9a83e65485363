//! The functions that take functions. They are bound in `bind/lambda.rs` and run in `lambda.rs`.

use super::call::Resolved;
use crate::expr::function::{Arg, Binding, Category, Function, Higher};

const fn lambda(name: &'static str, higher: Higher, usage: &'static str, summary: &'static str) -> Function {
    Function { name, category: Category::Lambda, usage, summary, binding: Binding::Lambda(higher), resolve }
}

/// Never asked for by binding, which looks at the lambda first.
fn resolve(_: &[Arg]) -> Resolved {
    Err("takes a lambda function".to_string())
}

pub const FILTER: Function = lambda(
    "FILTER",
    Higher::Filter,
    "FILTER(array, x => condition) → ARRAY\nFILTER(map, (k, v) => condition) → MAP",
    "The items for which the condition is true.",
);

pub const REDUCE: Function = lambda(
    "REDUCE",
    Higher::Reduce,
    "REDUCE(array, start, (state, x) => state) → the state's type\n\
     REDUCE(map, start, (state, k, v) => state) → the state's type",
    "The state that is left when the function was called with each item in turn, and with what it returned \
     before. NULL where the start is; the start where the collection is NULL.",
);

pub const TRANSFORM: Function = lambda(
    "TRANSFORM",
    Higher::Transform,
    "TRANSFORM(array, x => item) → ARRAY\nTRANSFORM(map, (k, v) => key, (k, v) => value) → MAP",
    "What the function makes of each item. NULL where it fails for one, or where two keys become the same.",
);
