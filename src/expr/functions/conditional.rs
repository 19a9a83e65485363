//! Functions that take one of their arguments as it is.

use super::call::*;
use crate::batch::Column;
use crate::expr::function::{Arg, Binding, Category, Function};
use std::cmp::Ordering;

pub const COALESCE: Function = Function {
    name: "COALESCE",
    category: Category::Conditional,
    usage: "COALESCE(value, value, …) → the arguments' type",
    summary: "The first argument that is not NULL.",
    binding: Binding::Plain,
    resolve: |args| if args.is_empty() { count(args, "1 or more") } else { first_value(args) },
};

pub const IFNULL: Function = Function {
    name: "IFNULL",
    category: Category::Conditional,
    usage: "IFNULL(value, otherwise) → the arguments' type",
    summary: "The value, or the other where it is NULL.",
    binding: Binding::Plain,
    resolve: |args| if args.len() == 2 { first_value(args) } else { count(args, "2") },
};

pub const NULLIF: Function = Function {
    name: "NULLIF",
    category: Category::Conditional,
    usage: "NULLIF(value, unwanted) → the arguments' type",
    summary: "The value, or NULL where the two are equal.",
    binding: Binding::Plain,
    resolve: |args| {
        if args.len() != 2 {
            return count(args, "2");
        }
        choose(args, vec![common_type(args)?; 2], 0, |args, row| {
            (args[0].value(row) != args[1].value(row)).then_some(0)
        })
    },
};

pub const GREATEST: Function = Function {
    name: "GREATEST",
    category: Category::Numeric,
    usage: "GREATEST(value, value, …) → the arguments' type",
    summary: "The greatest of its arguments; NULLs are left out.",
    binding: Binding::Plain,
    resolve: |args| extreme(args, Ordering::Greater),
};

pub const LEAST: Function = Function {
    name: "LEAST",
    category: Category::Numeric,
    usage: "LEAST(value, value, …) → the arguments' type",
    summary: "The least of its arguments; NULLs are left out.",
    binding: Binding::Plain,
    resolve: |args| extreme(args, Ordering::Less),
};

fn first_value(args: &[Arg]) -> Resolved {
    choose(args, vec![common_type(args)?; args.len()], 0, |args, row| {
        args.iter().position(|column| is_valid(column, row))
    })
}

fn is_valid(column: &Column, row: usize) -> bool {
    let (array, i) = column.at(row);
    array.is_valid(i)
}

fn extreme(args: &[Arg], wanted: Ordering) -> Resolved {
    if args.is_empty() {
        return count(args, "1 or more");
    }
    choose(args, vec![common_type(args)?; args.len()], 0, move |args, row| {
        let valid = (0..args.len()).filter(|&i| is_valid(&args[i], row));
        let best = valid
            .map(|i| (i, args[i].value(row)))
            .reduce(|best, next| if next.1.cmp(&best.1) == wanted { next } else { best });
        best.map(|(i, _)| i)
    })
}

#[cfg(test)]
mod tests {
    use super::super::tests::{check, list, s};
    use crate::value::Value::*;

    #[test]
    fn cases() {
        check(&[
            ("COALESCE", &[Null, Int(1), Int(2)], Int(1)),
            ("COALESCE", &[Null, s("a")], s("a")),
            ("COALESCE", &[list(&["a"]), Null], list(&["a"])),
            ("COALESCE", &[Int(1), Bigint(2)], Bigint(1)),
            ("IFNULL", &[Null, Double(1.5)], Double(1.5)),
            ("NULLIF", &[Int(1), Int(1)], Null),
            ("NULLIF", &[Int(1), Int(2)], Int(1)),
            ("NULLIF", &[Int(1), Null], Int(1)),
            ("GREATEST", &[Int(1), Null, Bigint(3), Int(2)], Bigint(3)),
            ("GREATEST", &[s("a"), s("b")], s("b")),
            ("LEAST", &[Int(1), Double(0.5)], Double(0.5)),
            ("LEAST", &[Null, Date(3)], Date(3)),
        ]);
    }
}
