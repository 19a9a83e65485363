//! Cuts text into statements without parsing them, so that a client can send each where it belongs,
//! whatever dialect the server speaks.

/// The statements of a text, without their semicolons; blank ones are left out.
pub fn split(text: &str) -> Vec<&str> {
    let mut statements = Vec::new();
    let mut start = 0;
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        if c == ';' {
            statements.push(&text[start..text.len() - rest.len()]);
            start = text.len() - rest.len() + 1;
        }
        rest = &rest[token_len(rest, c)..];
    }
    statements.push(&text[start..]);
    statements.into_iter().filter(|s| first_word(s).is_some()).map(str::trim).collect()
}

/// Bytes of the quoted text, comment or single character that `rest` starts with.
fn token_len(rest: &str, first: char) -> usize {
    let until = |skip: usize, end: &str| rest[skip..].find(end).map_or(rest.len(), |i| skip + i + end.len());
    match first {
        // A doubled quote ends one and begins another: the same cut.
        '\'' => until(1, "'"),
        '"' => until(1, "\""),
        '`' => until(1, "`"),
        '-' if rest.starts_with("--") => until(2, "\n"),
        '/' if rest.starts_with("/*") => until(2, "*/"),
        _ => first.len_utf8(),
    }
}

/// The word that a statement begins with, upper-cased; `None` when there is nothing but blanks and
/// comments.
pub fn first_word(statement: &str) -> Option<String> {
    let mut rest = statement.trim_start();
    while rest.starts_with("--") || rest.starts_with("/*") {
        let first = rest.chars().next()?;
        rest = rest[token_len(rest, first)..].trim_start();
    }
    let end = rest.find(|c: char| !c.is_alphanumeric()).unwrap_or(rest.len());
    let end = if end == 0 { rest.chars().next()?.len_utf8() } else { end };
    Some(rest[..end].to_uppercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_are_cut_at_semicolons_outside_of_quotes() {
        let cases: [(&str, &[&str]); 7] = [
            ("", &[]),
            (" ; ;", &[]),
            ("SELECT 1", &["SELECT 1"]),
            ("a; b ;", &["a", "b"]),
            ("SELECT ';', \";\", `;`, 'it''s;';b", &["SELECT ';', \";\", `;`, 'it''s;'", "b"]),
            ("-- one;\nshow /* ; */ x; -- end;", &["-- one;\nshow /* ; */ x"]),
            ("SELECT 'open; b", &["SELECT 'open; b"]),
        ];
        for (text, expected) in cases {
            assert_eq!(split(text), expected, "{text}");
        }
        assert_eq!(first_word("-- x\n/* y */ select(1)").as_deref(), Some("SELECT"));
        assert_eq!(first_word("print 'topic'").as_deref(), Some("PRINT"));
    }
}
