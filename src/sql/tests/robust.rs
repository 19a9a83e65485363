//! No text makes the parser panic or overflow its stack, and spans always lie within the text.

use crate::error::Result;
use crate::sql::ast::Parsed;
use crate::sql::complete::{CLAUSES, KEYWORDS, is_complete};
use crate::sql::parse_script;
use proptest::prelude::*;

/// Parses, and checks what holds for every text.
fn check(text: &str) -> Result<Vec<Parsed>> {
    is_complete(text);
    let result = parse_script(text);
    match &result {
        Ok(statements) => {
            for parsed in statements {
                assert_eq!(text.get(parsed.span.start..parsed.span.end), Some(parsed.text.as_str()));
                assert_eq!(parsed.text.trim(), parsed.text);
            }
        }
        Err(error) => {
            let span = error.span.expect("every error has a place");
            assert!(text.get(span.start..span.end).is_some(), "{span:?} is no place in {text:?}");
            assert!(!error.clone().in_text("t.sql", text).to_string().is_empty());
        }
    }
    result
}

fn token() -> impl Strategy<Value = String> {
    let words = KEYWORDS.iter().chain(CLAUSES).map(|w| w.to_string());
    let others = [
        "a",
        "\"b c\"",
        "`d`",
        "'e'",
        "'f''g'",
        "1",
        "2.5",
        "3e4",
        "(",
        ")",
        "[",
        "]",
        ",",
        ";",
        ".",
        "*",
        "/",
        "%",
        "+",
        "-",
        "<",
        ">",
        "=",
        "<>",
        "!=",
        "||",
        "->",
        ":=",
        "=>",
        "==",
        "'",
        "\"",
        "`",
        "/*",
        "*/",
        "--",
        "\n",
        "#",
        "é",
        "\u{feff}",
        "9999999999999999999",
    ];
    let all: Vec<String> = words.chain(others.map(String::from)).collect();
    prop::sample::select(all)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_text(text in any::<String>()) {
        let _ = check(&text);
    }

    #[test]
    fn arbitrary_tokens(tokens in prop::collection::vec(token(), 0..40), glue in "[ \n]?") {
        let _ = check(&tokens.join(&glue));
    }

    #[test]
    fn a_query_with_arbitrary_tokens(tokens in prop::collection::vec(token(), 0..20)) {
        let _ = check(&format!("SELECT {}", tokens.join(" ")));
        let _ = check(&format!("CREATE TABLE t ({})", tokens.join(" ")));
        let _ = check(&format!("SELECT * FROM t WHERE {}", tokens.join(" ")));
    }

    #[test]
    fn a_statement_cut_anywhere(cut in 0usize..300, more in token()) {
        let text = "CREATE OR REPLACE TABLE `t` WITH (A = 'b', N = -1) AS SELECT a->b[1], CASE WHEN x THEN 'y' END \
                    AS z, CAST(q AS MAP<STRING, STRUCT<f DECIMAL(4, 2)>>) FROM s AS u WHERE NOT a BETWEEN 1 AND 2 \
                    AND b IN (1, 2) OR c LIKE 'x' ESCAPE '!' GROUP BY (a, b) HAVING COUNT(*) > 1 EMIT CHANGES;";
        let cut = cut.min(text.len());
        let _ = check(&text[..cut]);
        let _ = check(&format!("{} {more} {}", &text[..cut], &text[cut..]));
    }
}

const STACK: usize = if cfg!(debug_assertions) { 16 * (3 << 18) } else { 3 << 18 };

/// Nesting of every kind, on a stack far smaller than any thread has.
#[test]
fn deep_texts_end_in_an_error() {
    let repeated = |open: &str, times: usize, inner: &str, close: &str| {
        format!("SELECT {}{inner}{} FROM t", open.repeat(times), close.repeat(times))
    };
    let cases = move |n: usize| {
        vec![
            repeated("(", n, "1", ")"),
            repeated("(1 + 2 * ", n, "1", ")"),
            repeated("(a OR b AND c = d || e + f * ", n, "1", ")"),
            repeated("f(", n, "1", ")"),
            repeated("- ", n, "a", ""),
            repeated("NOT ", n, "a", ""),
            repeated("a[", n, "1", "]"),
            repeated("ARRAY[", n, "1", "]"),
            repeated("STRUCT(a := ", n, "1", ")"),
            repeated("CASE WHEN a THEN ", n, "1", " END"),
            repeated("CAST(", n, "1", " AS INT)"),
            format!("SELECT a FROM t GROUP BY {}a{}", "(".repeat(n), ")".repeat(n)),
            format!("CREATE STREAM s (a {}INT{})", "ARRAY<".repeat(n), ">".repeat(n)),
            format!("CREATE STREAM s (a {}INT{})", "STRUCT<a ".repeat(n), ">".repeat(n)),
            format!("{} SELECT a FROM t", "EXPLAIN ".repeat(n)),
            repeated("a + ", n, "a", ""),
            repeated("a OR ", n, "a", ""),
            repeated("a->", n, "a", ""),
            format!("SELECT a{} FROM t", "[1]".repeat(n)),
            format!("SELECT {}a{} FROM t", "(".repeat(60), " + a)".repeat(60) + &" + a".repeat(n)),
        ]
    };
    let run = move || {
        for text in cases(100_000) {
            let error = check(&text).expect_err("too deep");
            assert!(error.message.contains("more than"), "{}", error.message);
        }
        for text in cases(100) {
            check(&text).expect("not too deep");
        }
    };
    let thread = std::thread::Builder::new().stack_size(STACK).spawn(run).expect("a thread");
    thread.join().expect("no overflow");
}

#[test]
fn long_texts_are_fine_when_they_are_flat() {
    let list = (0..20_000).map(|i| format!("{i} + 1")).collect::<Vec<_>>().join(", ");
    check(&format!("SELECT {list} FROM t WHERE a IN ({list})")).expect("flat");
    check(&format!("SELECT f(a + b, {list}) FROM t")).expect("flat");
    check(&"SET 'a' = 'b';".repeat(20_000)).expect("flat");
}
