//! Functions of text, and those of bytes that go by the same name.
//!
//! Positions and lengths count characters, from 1.

use super::call::*;
use crate::expr::function::{Arg, Binding, Category, Function};
use crate::types::SqlType;
use crate::value::Value;
use std::ops::Range;

/// A function of this family.
pub(super) const fn string(
    name: &'static str,
    usage: &'static str,
    summary: &'static str,
    resolve: fn(&[Arg]) -> Resolved,
) -> Function {
    Function { name, category: Category::String, usage, summary, binding: Binding::Plain, resolve }
}

pub const CHR: Function = string(
    "CHR",
    "CHR(code) → STRING",
    "The character of a code point, given as a number or as an escape such as '\\u004b'.",
    |args| {
        one_of(
            args,
            &[
                |args| unary::<Int, Text>(args, |code| text(char_of(code as u32)?)),
                |args| unary::<Text, Text>(args, |escape| text(unescape(escape)?)),
            ],
        )
    },
);

pub const CONCAT: Function = string(
    "CONCAT",
    "CONCAT(text, text, …) → STRING\nCONCAT(bytes, bytes, …) → BYTES",
    "Its arguments one behind the other; NULLs are left out.",
    |args| match args.len() {
        0 | 1 => count(args, "2 or more"),
        _ => one_of(
            args,
            &[
                |args| variadic::<Bytes, Bytes>(args, |parts| some(join(parts, b""))),
                |args| variadic::<Text, Text>(args, |parts| text(join_texts(parts, ""))),
            ],
        ),
    },
);

pub const CONCAT_WS: Function = string(
    "CONCAT_WS",
    "CONCAT_WS(separator, text, text, …) → STRING\nCONCAT_WS(separator, bytes, bytes, …) → BYTES",
    "Its arguments with a separator between them; NULLs are left out.",
    |args| match args.len() {
        0..=2 => count(args, "3 or more"),
        _ => one_of(
            args,
            &[
                |args| {
                    variadic::<Bytes, Bytes>(args, |parts| {
                        Ok(parts[0].map(|separator| join(&parts[1..], separator)))
                    })
                },
                |args| {
                    variadic::<Text, Text>(args, |parts| {
                        Ok(parts[0].map(|separator| join_texts(&parts[1..], separator)))
                    })
                },
            ],
        ),
    },
);

pub const ELT: Function = string(
    "ELT",
    "ELT(position, text, text, …) → STRING",
    "The text at a position of the arguments that follow it, from 1; NULL outside.",
    |args| {
        if args.len() < 2 {
            return count(args, "2 or more");
        }
        let mut types = vec![SqlType::Varchar; args.len()];
        types[0] = SqlType::Int;
        choose(args, types, 1, |args, row| {
            let position = Cells::<Int>::of(&args[0]).get(row)?;
            usize::try_from(position).ok().filter(|i| (1..args.len()).contains(i))
        })
    },
);

pub const FIELD: Function = string(
    "FIELD",
    "FIELD(wanted, text, text, …) → INTEGER",
    "The position of a text among the arguments that follow it, from 1; 0 where it is not.",
    |args| match args.len() {
        0 | 1 => count(args, "2 or more"),
        _ => variadic::<Text, Int>(args, |texts| {
            let found = texts[1..].iter().position(|text| text.is_some() && *text == texts[0]);
            some(found.map_or(0, |i| i as i32 + 1))
        }),
    },
);

pub const INITCAP: Function = string(
    "INITCAP",
    "INITCAP(text) → STRING",
    "The text with the first letter of each word in upper case and the others in lower case.",
    |args| unary::<Text, Text>(args, |s| text(initcap(s))),
);

pub const INSTR: Function = string(
    "INSTR",
    "INSTR(text, wanted[, position[, occurrence]]) → INTEGER",
    "Where a text is found in another, from 1; 0 where it is not. A negative position searches backwards from there.",
    |args| match args.len() {
        2 => binary::<Text, Text, Int>(args, |s, wanted| some(instr(s, wanted, 1, 1))),
        3 => ternary::<Text, Text, Int, Int>(args, |s, wanted, from| some(instr(s, wanted, from, 1))),
        4 => quaternary::<Text, Text, Int, Int, Int>(args, |s, wanted, from, nth| {
            some(instr(s, wanted, from, nth))
        }),
        _ => count(args, "2 to 4"),
    },
);

pub const LCASE: Function = string("LCASE", "LCASE(text) → STRING", "The text in lower case.", |args| {
    unary::<Text, Text>(args, |s| text(s.to_lowercase()))
});

pub const UCASE: Function = string("UCASE", "UCASE(text) → STRING", "The text in upper case.", |args| {
    unary::<Text, Text>(args, |s| text(s.to_uppercase()))
});

pub const LEN: Function = string(
    "LEN",
    "LEN(text) → INTEGER\nLEN(bytes) → INTEGER",
    "How many characters, or bytes, there are.",
    |args| {
        one_of(
            args,
            &[
                |args| unary::<Bytes, Int>(args, |bytes| some(bytes.len() as i32)),
                |args| unary::<Text, Int>(args, |s| some(length(s) as i32)),
            ],
        )
    },
);

pub const LPAD: Function = string(
    "LPAD",
    "LPAD(text, length, padding) → STRING\nLPAD(bytes, length, padding) → BYTES",
    "The text padded from the left, or cut, to a length.",
    |args| pad(args, "LPAD", |padding, kept| (padding, kept)),
);

pub const RPAD: Function = string(
    "RPAD",
    "RPAD(text, length, padding) → STRING\nRPAD(bytes, length, padding) → BYTES",
    "The text padded from the right, or cut, to a length.",
    |args| pad(args, "RPAD", |padding, kept| (kept, padding)),
);

pub const REPLACE: Function = string(
    "REPLACE",
    "REPLACE(text, old, new) → STRING",
    "The text with every occurrence of one text replaced by another.",
    |args| ternary::<Text, Text, Text, Text>(args, |s, old, new| text(s.replace(old, new))),
);

pub const SPLIT: Function = string(
    "SPLIT",
    "SPLIT(text, delimiter) → ARRAY<STRING>\nSPLIT(bytes, delimiter) → ARRAY<BYTES>",
    "The parts between delimiters; an empty delimiter splits into characters.",
    |args| {
        one_of(
            args,
            &[
                |args| {
                    let returns = SqlType::Array(Box::new(SqlType::Bytes));
                    values(args, vec![SqlType::Bytes; 2], returns, |given| {
                        let [Value::Bytes(bytes), Value::Bytes(delimiter)] = given else { return Ok(None) };
                        some(Value::Array(
                            split_bytes(bytes, delimiter).map(|part| Value::Bytes(part.into())).collect(),
                        ))
                    })
                },
                |args| binary::<Text, Text, Texts>(args, |s, delimiter| some(split(s, delimiter))),
            ],
        )
    },
);

pub const SPLIT_TO_MAP: Function = string(
    "SPLIT_TO_MAP",
    "SPLIT_TO_MAP(text, entry_delimiter, key_delimiter) → MAP<STRING, STRING>",
    "The entries of a text such as 'a:=1/b:=2'; of equal keys the last counts, an entry without its delimiter is left out.",
    |args| {
        let returns = SqlType::Map(Box::new(SqlType::Varchar), Box::new(SqlType::Varchar));
        values(args, vec![SqlType::Varchar; 3], returns, |given| {
            let [Value::Varchar(s), Value::Varchar(entry), Value::Varchar(key)] = given else {
                return Ok(None);
            };
            Ok(split_to_map(s, entry, key))
        })
    },
);

pub const SUBSTRING: Function = string(
    "SUBSTRING",
    "SUBSTRING(text, position[, length]) → STRING\nSUBSTRING(bytes, position[, length]) → BYTES",
    "A part of the text, from a position that counts from 1, or from the end where it is negative.",
    |args| match args.len() {
        2 => one_of(
            args,
            &[
                |args| {
                    binary::<Bytes, Int, Bytes>(args, |bytes, at| {
                        some(bytes[part(bytes.len(), at, i32::MAX)].into())
                    })
                },
                |args| {
                    binary::<Text, Int, Text>(args, |s, at| {
                        text(characters(s, part(length(s), at, i32::MAX)))
                    })
                },
            ],
        ),
        3 => one_of(
            args,
            &[
                |args| {
                    ternary::<Bytes, Int, Int, Bytes>(args, |bytes, at, len| {
                        some(bytes[part(bytes.len(), at, len)].into())
                    })
                },
                |args| {
                    ternary::<Text, Int, Int, Text>(args, |s, at, len| {
                        text(characters(s, part(length(s), at, len)))
                    })
                },
            ],
        ),
        _ => count(args, "2 or 3"),
    },
);

pub const TRIM: Function =
    string("TRIM", "TRIM(text) → STRING", "The text without blanks at its ends.", |args| {
        unary::<Text, Text>(args, |s| text(s.trim_matches(|c| c <= ' ')))
    });

fn char_of(code: u32) -> Result<String, String> {
    char::from_u32(code).map(String::from).ok_or_else(|| format!("CHR: {} is not a code point", code as i32))
}

/// `\u004b`, or two of them for a surrogate pair.
fn unescape(escape: &str) -> Result<String, String> {
    let wrong = || format!("CHR: {} is not a code point", shown(escape));
    let unit = |hex: &str| if hex.len() == 4 { u16::from_str_radix(hex, 16).ok() } else { None };
    let units: Option<Vec<u16>> =
        escape.strip_prefix("\\u").ok_or_else(wrong)?.split("\\u").map(unit).collect();
    String::from_utf16(&units.ok_or_else(wrong)?).map_err(|_| wrong())
}

fn join(parts: &[Option<&[u8]>], separator: &[u8]) -> Vec<u8> {
    parts.iter().flatten().copied().collect::<Vec<_>>().join(separator)
}

fn join_texts(parts: &[Option<&str>], separator: &str) -> String {
    let mut out = String::new();
    for (i, part) in parts.iter().flatten().enumerate() {
        if i > 0 {
            out.push_str(separator);
        }
        out.push_str(part);
    }
    out
}

fn initcap(s: &str) -> String {
    let mut out = String::with_capacity(s.len());
    let mut first = true;
    for c in s.chars() {
        if first {
            out.extend(c.to_uppercase())
        } else {
            out.extend(c.to_lowercase())
        }
        first = c.is_whitespace();
    }
    out
}

pub fn length(s: &str) -> usize {
    if s.is_ascii() { s.len() } else { s.chars().count() }
}

/// The characters of a range that lies within the text.
fn characters(s: &str, range: Range<usize>) -> &str {
    if s.is_ascii() {
        return &s[range];
    }
    let byte = |n: usize| s.char_indices().nth(n).map_or(s.len(), |(at, _)| at);
    &s[byte(range.start)..byte(range.end)]
}

/// Where a part lies that starts at `position` and is `len` long, clipped to `length`.
fn part(length: usize, position: i32, len: i32) -> Range<usize> {
    let (length, position) = (length as i64, position as i64);
    let start = if position < 0 { (length + position).max(0) } else { (position - 1).clamp(0, length) };
    let end = (start + len as i64).clamp(start, length);
    start as usize..end as usize
}

fn instr(s: &str, wanted: &str, position: i32, occurrence: i32) -> i32 {
    let length = length(s) as i64;
    let position = position as i64;
    if position == 0 || occurrence < 1 || position.abs() > length.max(1) {
        return 0;
    }
    // Before the start of an empty text there is no place.
    let from = if position > 0 { position - 1 } else { length + position };
    let Ok(from) = usize::try_from(from) else { return 0 };
    let starts = s.char_indices().map(|(byte, _)| byte).enumerate();
    let hit = |&(_, byte): &(usize, usize)| s[byte..].starts_with(wanted);
    let nth = occurrence as usize - 1;
    let found = if position > 0 {
        starts.skip(from).filter(hit).nth(nth)
    } else {
        starts.take(from + 1).filter(hit).collect::<Vec<_>>().into_iter().rev().nth(nth)
    };
    found.map_or(0, |(i, _)| i as i32 + 1)
}

/// The longest result of a padding; a length from a column is no reason to fill the memory.
const PADDED_MAX: usize = 1 << 20;

/// Puts padding and text behind each other.
type Order = fn(Vec<u8>, Vec<u8>) -> (Vec<u8>, Vec<u8>);

fn pad(args: &[Arg], name: &'static str, order: Order) -> Resolved {
    let ty = match args.first() {
        Some(Arg { ty: Some(SqlType::Bytes), .. }) => SqlType::Bytes,
        _ => SqlType::Varchar,
    };
    values(args, vec![ty.clone(), SqlType::Int, ty.clone()], ty, move |given| {
        let Value::Int(length) = given[1] else { return Ok(None) };
        let Ok(length) = usize::try_from(length) else { return Ok(None) };
        if length > PADDED_MAX {
            return Err(format!("{name}: a length of {length} is more than {PADDED_MAX}"));
        }
        match (&given[0], &given[2]) {
            (Value::Bytes(bytes), Value::Bytes(padding)) if !padding.is_empty() => {
                let kept = &bytes[..bytes.len().min(length)];
                let padding = padding.iter().copied().cycle().take(length - kept.len()).collect();
                some(Value::Bytes(chain(order(padding, kept.to_vec())).into()))
            }
            (Value::Varchar(s), Value::Varchar(padding)) if !padding.is_empty() => {
                let kept: String = s.chars().take(length).collect();
                let missing = length - self::length(&kept);
                let padding: String = padding.chars().cycle().take(missing).collect();
                let padded = chain(order(padding.into_bytes(), kept.into_bytes()));
                Ok(String::from_utf8(padded).ok().map(|padded| Value::Varchar(padded.into())))
            }
            _ => Ok(None),
        }
    })
}

fn chain((mut head, tail): (Vec<u8>, Vec<u8>)) -> Vec<u8> {
    head.extend(tail);
    head
}

fn split(s: &str, delimiter: &str) -> Vec<String> {
    if delimiter.is_empty() {
        return s.chars().map(String::from).collect();
    }
    s.split(delimiter).map(String::from).collect()
}

fn split_bytes<'a>(bytes: &'a [u8], delimiter: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
    let mut rest = Some(bytes);
    std::iter::from_fn(move || {
        let bytes = rest?;
        if delimiter.is_empty() {
            let (head, tail) = bytes.split_at_checked(1)?;
            rest = Some(tail);
            return Some(head);
        }
        match memchr::memmem::find(bytes, delimiter) {
            Some(at) => {
                rest = Some(&bytes[at + delimiter.len()..]);
                Some(&bytes[..at])
            }
            None => rest.take(),
        }
    })
}

fn split_to_map(s: &str, entry_delimiter: &str, key_delimiter: &str) -> Option<Value> {
    if entry_delimiter.is_empty() || key_delimiter.is_empty() {
        return None;
    }
    let pairs = s.split(entry_delimiter).filter_map(|entry| entry.split_once(key_delimiter));
    Some(super::collection::entries(pairs.map(|(key, value)| (Value::text(key), Value::text(value)))))
}

#[cfg(test)]
mod tests {
    use super::super::tests::{b, check, check_errors, list, s};
    use crate::value::Value::*;

    #[test]
    fn cases() {
        check(&[
            ("CHR", &[Int(75)], s("K")),
            ("CHR", &[s("\\u597d")], s("好")),
            ("CHR", &[s("\\ud83d\\ude00")], s("😀")),
            ("CONCAT", &[s("a"), Null, s("b")], s("ab")),
            ("CONCAT", &[b(b"a"), b(b"b")], b(b"ab")),
            ("CONCAT_WS", &[s("-"), s("a"), Null, s("b")], s("a-b")),
            ("CONCAT_WS", &[Null, s("a"), s("b")], Null),
            ("ELT", &[Int(2), s("a"), s("b")], s("b")),
            ("ELT", &[Int(3), s("a"), s("b")], Null),
            ("ELT", &[Int(0), s("a"), s("b")], Null),
            ("FIELD", &[s("b"), s("a"), s("b")], Int(2)),
            ("FIELD", &[Null, Null, s("b")], Int(0)),
            ("INITCAP", &[s("the river WHARFE")], s("The River Wharfe")),
            ("INSTR", &[s("corporate floor"), s("or")], Int(2)),
            ("INSTR", &[s("corporate floor"), s("or"), Int(3)], Int(5)),
            ("INSTR", &[s("corporate floor"), s("or"), Int(3), Int(2)], Int(14)),
            ("INSTR", &[s("corporate floor"), s("or"), Int(-3)], Int(5)),
            ("INSTR", &[s("corporate floor"), s("x")], Int(0)),
            ("INSTR", &[s("éaé"), s("é"), Int(2)], Int(3)),
            ("LCASE", &[s("ÀB")], s("àb")),
            ("UCASE", &[s("àb")], s("ÀB")),
            ("LEN", &[s("é😀")], Int(2)),
            ("LEN", &[b(b"\xc3\xa9")], Int(2)),
            ("LPAD", &[s("é"), Int(4), s("xy")], s("xyxé")),
            ("LPAD", &[s("foo"), Int(2), s("x")], s("fo")),
            ("LPAD", &[s("foo"), Int(-1), s("x")], Null),
            ("LPAD", &[s("foo"), Int(5), s("")], Null),
            ("RPAD", &[s("foo"), Int(7), s("Bar")], s("fooBarB")),
            ("RPAD", &[b(b"a"), Int(3), b(b"x")], b(b"axx")),
            ("REPLACE", &[s("foobar"), s("o"), s("00")], s("f0000bar")),
            ("SPLIT", &[s("a,b,,c,"), s(",")], list(&["a", "b", "", "c", ""])),
            ("SPLIT", &[s("aé"), s("")], list(&["a", "é"])),
            ("SPLIT", &[b(b"a-b-"), b(b"-")], Array(vec![b(b"a"), b(b"b"), b(b"")])),
            (
                "SPLIT_TO_MAP",
                &[s("apple:=green/cherry:=red/plum/apple:=brown"), s("/"), s(":=")],
                Map(vec![(s("apple"), s("brown")), (s("cherry"), s("red"))]),
            ),
            ("SUBSTRING", &[s("stream"), Int(3)], s("ream")),
            ("SUBSTRING", &[s("stream"), Int(1), Int(4)], s("stre")),
            ("SUBSTRING", &[s("stream"), Int(-2)], s("am")),
            ("SUBSTRING", &[s("stream"), Int(-20), Int(2)], s("st")),
            ("SUBSTRING", &[s("stream"), Int(9)], s("")),
            ("SUBSTRING", &[s("stream"), Int(2), Int(-1)], s("")),
            ("SUBSTRING", &[s("é😀b"), Int(2), Int(1)], s("😀")),
            ("SUBSTRING", &[b(b"abc"), Int(2)], b(b"bc")),
            ("SUBSTRING", &[Null, Int(2)], Null),
            ("TRIM", &[s(" \ta b ")], s("a b")),
        ]);
        check_errors(&[
            ("CHR", &[Int(-1)], "CHR: -1 is not a code point"),
            ("CHR", &[s("\\u00")], "CHR: '\\u00' is not a code point"),
            ("LPAD", &[s("a"), Int(i32::MAX), s("x")], "LPAD: a length of 2147483647 is more than"),
        ]);
    }
}
