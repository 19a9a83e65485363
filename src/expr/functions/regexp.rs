//! Regular expressions, as Java has them.
//!
//! Those without look-around, back references and possessive quantifiers run in linear time. The others may
//! try many ways, and give up with a note when they have tried too many.

use super::call::*;
use super::java_regex::translate;
use super::string::string;
use crate::expr::function::Function;
use crate::value::Value;
use fancy_regex::{Captures, Regex, RegexBuilder};

pub const REGEXP_EXTRACT: Function = string(
    "REGEXP_EXTRACT",
    "REGEXP_EXTRACT(expression, text[, group]) → STRING",
    "The first match, or a group of it; NULL where there is none.",
    |args| match args.len() {
        2 => binary_with::<Text, Text, Text, _>(args, first_made, |made, re, s| {
            let found = run("REGEXP_EXTRACT", regex(made, "REGEXP_EXTRACT", re)?.find(s))?;
            Ok(found.map(|found| found.as_str().to_string()))
        }),
        3 => ternary_with::<Text, Text, Int, Text, _>(args, first_made, |made, re, s, n| {
            let found = run("REGEXP_EXTRACT", regex(made, "REGEXP_EXTRACT", re)?.captures(s))?;
            Ok(found.and_then(|found| group(&found, n)))
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
            let found = regex(made, "REGEXP_EXTRACT_ALL", re)?.find_iter(s);
            let found: Result<Vec<_>, _> = found.map(|found| Ok(found?.as_str().to_string())).collect();
            run("REGEXP_EXTRACT_ALL", found).map(Some)
        }),
        3 => ternary_with::<Text, Text, Int, Texts, _>(args, first_made, |made, re, s, n| {
            let mut groups = Vec::new();
            for found in regex(made, "REGEXP_EXTRACT_ALL", re)?.captures_iter(s) {
                groups.extend(group(&run("REGEXP_EXTRACT_ALL", found)?, n));
            }
            some(groups)
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
                let found = run("REGEXP_REPLACE", found)?;
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
            let parts = regex(made, "REGEXP_SPLIT_TO_ARRAY", re)?.split(s);
            let parts: Result<Vec<_>, _> = parts.map(|part| Ok(part?.to_string())).collect();
            run("REGEXP_SPLIT_TO_ARRAY", parts).map(Some)
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
/// How often an expression may go back and try another way, for one value.
const STEPS_MAX: usize = 1_000_000;

fn compile(expression: &str) -> Result<Regex, String> {
    let wrong = |reason: &str| format!("{} is no regular expression ({reason})", shown(expression));
    let translated = translate(expression).map_err(|reason| wrong(&reason))?;
    RegexBuilder::new(&translated)
        .backtrack_limit(STEPS_MAX)
        .delegate_size_limit(SIZE_MAX)
        .max_prog_size(SIZE_MAX)
        .build()
        .map_err(|e| {
            // The last line has the reason, the ones before point into the expression.
            let text = e.to_string();
            let reason = text.lines().last().unwrap_or_default();
            wrong(reason.trim_start_matches("error: ").trim_start_matches("Parsing error at position "))
        })
}

/// What a match gives, or the note that it was given up.
fn run<T>(name: &str, found: fancy_regex::Result<T>) -> Result<T, String> {
    found.map_err(|_| format!("{name}: the expression tries more than {STEPS_MAX} ways on this text"))
}

fn regex<'a>(made: &'a mut Made<Regex>, name: &str, expression: &str) -> Result<&'a Regex, String> {
    made.get(expression).map(|re| &*re).map_err(|reason| format!("{name}: {reason}"))
}

fn group(found: &Captures<'_, str>, n: i32) -> Option<String> {
    found.get(usize::try_from(n).ok()?).map(|group| group.as_str().to_string())
}

/// Java's replacements: `$` and as many digits as there is a group for, `${name}`, `\` for any character.
fn expand(found: &Captures<'_, str>, replacement: &str, out: &mut String) -> Result<(), String> {
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
            (
                "REGEXP_SPLIT_TO_ARRAY",
                &[s("one, two ,three"), s("\\s*,\\s*")],
                list(&["one", "two", "three"]),
            ),
            ("REGEXP_EXTRACT", &[s("(?<=£)\\d+"), s("for £120")], s("120")),
            ("REGEXP_EXTRACT", &[s("(\\w)\\1"), s("letters")], s("tt")),
            ("REGEXP_EXTRACT", &[s("(?<c>.)\\k<c>"), s("abbc")], s("bb")),
            ("REGEXP_EXTRACT", &[s("\"(?:[^\"\\\\]++|\\\\.)*+\""), s("say \"a\\\"b\"!")], s("\"a\\\"b\"")),
            ("REGEXP_EXTRACT", &[s("a++a"), s("aaa")], Null),
            ("REGEXP_EXTRACT", &[s("foo(?!bar)..."), s("foobar foobaz")], s("foobaz")),
            ("REGEXP_REPLACE", &[s("a1b22"), s("(?<=[a-z])\\d++"), s("#")], s("a#b#")),
        ]);
        check_errors(&[
            ("REGEXP_EXTRACT", &[s("(a"), s("a")], "'(a' is no regular expression ("),
            ("REGEXP_EXTRACT", &[s("\\u12"), s("a")], "\\u needs 4 hexadecimal digits"),
            (
                "REGEXP_EXTRACT",
                &[s("(?:(a)|(a))*\\1\\2b"), s(&"a".repeat(40))],
                "REGEXP_EXTRACT: the expression tries more than 1000000 ways",
            ),
            ("REGEXP_REPLACE", &[s("a"), s("a"), s("$1")], "REGEXP_REPLACE: no such group in '$1'"),
        ]);
    }

    /// What `java.util.regex` finds, by its documentation: (expression, text, first match).
    #[test]
    fn syntax_of_java() {
        let found = |re: &str, text: &str| {
            super::compile(re).unwrap().find(text).unwrap().map(|found| found.as_str().to_string())
        };
        for (re, text, expected) in [
            // Predefined classes are ASCII.
            (r"\d+", "٣4", Some("4")),
            (r"\w+", "éa_1", Some("a_1")),
            (r"[\w-]+", "-a_1é", Some("-a_1")),
            (r"\W", "aé", Some("é")),
            (r"[^\d]+", "12ab", Some("ab")),
            (r"\s", "\u{a0}\u{b}", Some("\u{b}")),
            (r"\h", "a\u{a0}", Some("\u{a0}")),
            (r"\p{Alpha}+", "éab", Some("ab")),
            (r"\p{Punct}", "a~", Some("~")),
            (r"\P{Lower}", "aB", Some("B")),
            (r"[\p{Upper}&&[^B]]", "BA", Some("A")),
            (r"\p{L}+", "1éa", Some("éa")),
            (r"\p{IsGreek}", "aβ", Some("β")),
            (r"\p{javaUpperCase}", "aÉ", Some("É")),
            // A dot stops at line terminators, unless (?s).
            (r"a.*", "ab\rc", Some("ab")),
            (r"(?s)a.*", "ab\rc", Some("ab\rc")),
            (r"\R", "a\r\n", Some("\r\n")),
            // Quotes and escapes.
            (r"\Qa.b\E.", "axb a.bc", Some("a.bc")),
            (r"\u0041\x42\x{43}\0104", "ABCD", Some("ABCD")),
            (r"\t\e\cA", "\t\u{1b}\u{1}", Some("\t\u{1b}\u{1}")),
            (r"[a-c[x-z]]+", "qaxbz", Some("axbz")),
            (r"[]a]+", "b]a", Some("]a")),
            (r"[a--]+", "x-a", Some("-a")),
            // Quantifiers, groups, boundaries.
            (r"a{2,3}?", "aaaa", Some("aa")),
            (r"(?i)abc", "xABC", Some("ABC")),
            (r"(?>a|ab)c", "abc", None),
            (r"\bfoo\b", "a foo b", Some("foo")),
            (r"^b$", "a\nb", None),
            (r"(?m)^b$", "a\nb", Some("b")),
            (r"b\Z", "ab\n", Some("b")),
            (r"b\z", "ab\n", None),
            (r"x*", "", Some("")),
        ] {
            assert_eq!(found(re, text).as_deref(), expected, "{re} in {text:?}");
        }
    }
}
