//! Regular expressions. They run in linear time, so there is no look-around and no back reference.

use super::call::*;
use super::string::string;
use crate::expr::function::Function;
use crate::value::Value;
use regex::{Captures, Regex, RegexBuilder};

pub const REGEXP_EXTRACT: Function = string(
    "REGEXP_EXTRACT",
    "REGEXP_EXTRACT(expression, text[, group]) → STRING",
    "The first match, or a group of it; NULL where there is none.",
    |args| match args.len() {
        2 => binary_with::<Text, Text, Text, _>(args, first_made, |made, re, s| {
            Ok(regex(made, "REGEXP_EXTRACT", re)?.find(s).map(|found| found.as_str().to_string()))
        }),
        3 => ternary_with::<Text, Text, Int, Text, _>(args, first_made, |made, re, s, n| {
            Ok(regex(made, "REGEXP_EXTRACT", re)?.captures(s).and_then(|found| group(&found, n)))
        }),
        _ => count(args, "2 or 3"),
    },
);

pub const REGEXP_EXTRACT_ALL: Function = string(
    "REGEXP_EXTRACT_ALL",
    "REGEXP_EXTRACT_ALL(expression, text[, group]) → ARRAY<STRING>",
    "All matches, or a group of each.",
    |args| match args.len() {
        2 => binary_with::<Text, Text, Texts, _>(args, first_made, |made, re, s| {
            some(
                regex(made, "REGEXP_EXTRACT_ALL", re)?
                    .find_iter(s)
                    .map(|found| found.as_str().to_string())
                    .collect(),
            )
        }),
        3 => ternary_with::<Text, Text, Int, Texts, _>(args, first_made, |made, re, s, n| {
            some(
                regex(made, "REGEXP_EXTRACT_ALL", re)?
                    .captures_iter(s)
                    .filter_map(|found| group(&found, n))
                    .collect(),
            )
        }),
        _ => count(args, "2 or 3"),
    },
);

pub const REGEXP_REPLACE: Function = string(
    "REGEXP_REPLACE",
    "REGEXP_REPLACE(text, expression, replacement) → STRING",
    "The text with every match replaced; $1 and ${name} stand for groups, \\$ for a dollar.",
    |args| {
        ternary_with::<Text, Text, Text, Text, _>(args, second_made, |made, s, re, replacement| {
            let re = regex(made, "REGEXP_REPLACE", re)?;
            let mut result = String::with_capacity(s.len());
            let mut end = 0;
            for found in re.captures_iter(s) {
                let Some(whole) = found.get(0) else { continue };
                result.push_str(&s[end..whole.start()]);
                expand(&found, replacement, &mut result)?;
                end = whole.end();
            }
            result.push_str(&s[end..]);
            some(result)
        })
    },
);

pub const REGEXP_SPLIT_TO_ARRAY: Function = string(
    "REGEXP_SPLIT_TO_ARRAY",
    "REGEXP_SPLIT_TO_ARRAY(text, expression) → ARRAY<STRING>",
    "The parts between matches; an empty expression splits into characters.",
    |args| {
        binary_with::<Text, Text, Texts, _>(args, second_made, |made, s, re| {
            if re.is_empty() {
                return some(s.chars().map(String::from).collect());
            }
            some(regex(made, "REGEXP_SPLIT_TO_ARRAY", re)?.split(s).map(String::from).collect())
        })
    },
);

fn first_made(literals: &[Option<Value>]) -> Result<Made<Regex>, String> {
    Made::new(compile, literals.first())
}

fn second_made(literals: &[Option<Value>]) -> Result<Made<Regex>, String> {
    Made::new(compile, literals.get(1))
}

/// What a compiled expression may take: expressions may come from columns.
const SIZE_MAX: usize = 1 << 20;

fn compile(expression: &str) -> Result<Regex, String> {
    RegexBuilder::new(expression).size_limit(SIZE_MAX).build().map_err(|e| {
        // The last line has the reason, the ones before point into the expression.
        let text = e.to_string();
        let reason = text.lines().last().unwrap_or_default().trim_start_matches("error: ");
        format!("{} is no regular expression ({reason})", shown(expression))
    })
}

fn regex<'a>(made: &'a mut Made<Regex>, name: &str, expression: &str) -> Result<&'a Regex, String> {
    made.get(expression).map(|re| &*re).map_err(|reason| format!("{name}: {reason}"))
}

fn group(found: &Captures, n: i32) -> Option<String> {
    found.get(usize::try_from(n).ok()?).map(|group| group.as_str().to_string())
}

/// Java's replacements: `$` and as many digits as there is a group for, `${name}`, `\` for any character.
fn expand(found: &Captures, replacement: &str, out: &mut String) -> Result<(), String> {
    let wrong = |what: &str| format!("REGEXP_REPLACE: {what} in {}", shown(replacement));
    let mut rest = replacement;
    while let Some(at) = rest.find(['$', '\\']) {
        out.push_str(&rest[..at]);
        let behind = &rest[at + 1..];
        if rest[at..].starts_with('\\') {
            let c = behind.chars().next().ok_or_else(|| wrong("nothing behind a backslash"))?;
            out.push(c);
            rest = &behind[c.len_utf8()..];
        } else if let Some(named) = behind.strip_prefix('{') {
            let (name, after) = named.split_once('}').ok_or_else(|| wrong("'}' is missing"))?;
            out.push_str(found.name(name).map_or("", |group| group.as_str()));
            rest = after;
        } else {
            let digits = behind.bytes().take_while(u8::is_ascii_digit).count();
            let exists = |len: &usize| behind[..*len].parse().is_ok_and(|n: usize| n < found.len());
            let len = (1..=digits).rev().find(exists).ok_or_else(|| wrong("no such group"))?;
            let n = behind[..len].parse().unwrap_or(0);
            out.push_str(found.get(n).map_or("", |group| group.as_str()));
            rest = &behind[len..];
        }
    }
    out.push_str(rest);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::tests::{check, check_errors, list, s};
    use crate::value::Value::*;

    #[test]
    fn cases() {
        check(&[
            ("REGEXP_EXTRACT", &[s("ba(.)"), s("foobar")], s("bar")),
            ("REGEXP_EXTRACT", &[s("ba(.)"), s("foobar"), Int(1)], s("r")),
            ("REGEXP_EXTRACT", &[s("ba(.)"), s("foobar"), Int(2)], Null),
            ("REGEXP_EXTRACT", &[s("x"), s("foobar")], Null),
            ("REGEXP_EXTRACT_ALL", &[s("(\\w+) *"), s("a bc"), Int(1)], list(&["a", "bc"])),
            ("REGEXP_REPLACE", &[s("baababaa"), s("(ab)"), s("<$1>\\$")], s("ba<ab>$<ab>$aa")),
            ("REGEXP_REPLACE", &[s("ab"), s("(a)(?<n>b)"), s("${n}$10")], s("ba0")),
            ("REGEXP_SPLIT_TO_ARRAY", &[s("1a23b"), s("[a-z]")], list(&["1", "23", ""])),
            ("REGEXP_SPLIT_TO_ARRAY", &[s("aé"), s("")], list(&["a", "é"])),
        ]);
        check_errors(&[
            ("REGEXP_EXTRACT", &[s("(a"), s("a")], "'(a' is no regular expression (unclosed group)"),
            ("REGEXP_REPLACE", &[s("a"), s("a"), s("$1")], "REGEXP_REPLACE: no such group in '$1'"),
        ]);
    }
}
