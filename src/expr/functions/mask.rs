//! Hiding characters: the MASK family.

use super::call::*;
use super::string::string;
use crate::expr::function::{Arg, Function};
use crate::types::SqlType;
use crate::value::Value;
use std::ops::Range;

pub const MASK: Function = string(
    "MASK",
    "MASK(text[, upper, lower, digit, other]) → STRING",
    "The text with each character replaced by that of its kind: 'X', 'x', 'n' and '-', or those given; NULL leaves a kind as it is.",
    |args| masked(args, "MASK", 1, |length, _| 0..length),
);

pub const MASK_LEFT: Function = string(
    "MASK_LEFT",
    "MASK_LEFT(text, count[, upper, lower, digit, other]) → STRING",
    "The text with its first characters masked.",
    |args| masked(args, "MASK_LEFT", 2, |length, count| 0..count.min(length)),
);

pub const MASK_RIGHT: Function = string(
    "MASK_RIGHT",
    "MASK_RIGHT(text, count[, upper, lower, digit, other]) → STRING",
    "The text with its last characters masked.",
    |args| masked(args, "MASK_RIGHT", 2, |length, count| length.saturating_sub(count)..length),
);

pub const MASK_KEEP_LEFT: Function = string(
    "MASK_KEEP_LEFT",
    "MASK_KEEP_LEFT(text, count[, upper, lower, digit, other]) → STRING",
    "The text with all but its first characters masked.",
    |args| masked(args, "MASK_KEEP_LEFT", 2, |length, count| count.min(length)..length),
);

pub const MASK_KEEP_RIGHT: Function = string(
    "MASK_KEEP_RIGHT",
    "MASK_KEEP_RIGHT(text, count[, upper, lower, digit, other]) → STRING",
    "The text with all but its last characters masked.",
    |args| masked(args, "MASK_KEEP_RIGHT", 2, |length, count| 0..length.saturating_sub(count)),
);

/// What upper case, lower case, digits and others become.
type Masks = [Option<char>; 4];

/// The first `fixed` arguments are the text and perhaps a count; `range` tells which characters to mask.
fn masked(
    args: &[Arg],
    name: &'static str,
    fixed: usize,
    range: fn(usize, usize) -> Range<usize>,
) -> Resolved {
    if args.len() != fixed && args.len() != fixed + 4 {
        return count(args, if fixed == 1 { "1 or 5" } else { "2 or 6" });
    }
    let mut types = vec![SqlType::Varchar; args.len()];
    if fixed == 2 {
        types[1] = SqlType::Int;
    }
    values_or_null(args, types, SqlType::Varchar, move |given| {
        let Value::Varchar(text) = &given[0] else { return Ok(None) };
        let count = match given.get(1).filter(|_| fixed == 2) {
            Some(Value::Int(n)) => {
                usize::try_from(*n).map_err(|_| format!("{name}: a count of {n} is negative"))?
            }
            Some(_) => return Ok(None),
            None => 0,
        };
        let masks = masks(&given[fixed..]).map_err(|reason| format!("{name}: {reason}"))?;
        let range = range(super::string::length(text), count);
        let masked =
            text.chars().enumerate().map(|(i, c)| if range.contains(&i) { hide(c, &masks) } else { c });
        some(Value::Varchar(masked.collect::<String>().into()))
    })
}

fn masks(given: &[Value]) -> Result<Masks, String> {
    let mut masks = [Some('X'), Some('x'), Some('n'), Some('-')];
    for (mask, value) in masks.iter_mut().zip(given) {
        *mask = match value {
            Value::Varchar(text) => {
                let mut chars = text.chars();
                match (chars.next(), chars.next()) {
                    (Some(c), None) => Some(c),
                    _ => return Err(format!("{} is not one character", shown(text))),
                }
            }
            _ => None,
        };
    }
    Ok(masks)
}

fn hide(c: char, masks: &Masks) -> char {
    let kind = match c {
        c if c.is_uppercase() => 0,
        c if c.is_lowercase() => 1,
        c if c.is_numeric() => 2,
        _ => 3,
    };
    masks[kind].unwrap_or(c)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{check, check_errors, s};
    use crate::value::Value::*;

    #[test]
    fn cases() {
        check(&[
            ("MASK", &[s("My Test $123")], s("Xx-Xxxx--nnn")),
            ("MASK", &[s("My Test $123"), s("A"), Null, s("9"), Null], s("Ay Aest $999")),
            ("MASK", &[Null], Null),
            ("MASK_LEFT", &[s("My Test"), Int(4)], s("Xx-Xest")),
            ("MASK_LEFT", &[s("ab"), Int(9)], s("xx")),
            ("MASK_RIGHT", &[s("My Test"), Int(4)], s("My Xxxx")),
            ("MASK_KEEP_LEFT", &[s("My Test"), Int(4)], s("My Txxx")),
            ("MASK_KEEP_RIGHT", &[s("My Test"), Int(4)], s("Xx-Test")),
            ("MASK_KEEP_RIGHT", &[s("é1"), Int(1), s("U"), s("l"), s("d"), s("o")], s("l1")),
        ]);
        check_errors(&[
            ("MASK", &[s("a"), s("xx"), Null, Null, Null], "MASK: 'xx' is not one character"),
            ("MASK_LEFT", &[s("a")], "takes 2 or 6 arguments, not 1"),
        ]);
    }
}
