//! What a mistaken word was probably meant to be, and what to say of things that the dialect has
//! and this engine has not.

use crate::error::{Error, Span};
use strsim::osa_distance;

/// The candidate nearest to a misspelt word, if one is near enough to be meant.
pub(super) fn nearest<'a>(word: &str, candidates: &[&'a str]) -> Option<&'a str> {
    let allowed = if word.len() <= 5 { 1 } else { 2 };
    candidates
        .iter()
        .map(|c| (osa_distance(word, c), *c))
        .filter(|(d, c)| (1..=allowed).contains(d) && *d < c.len())
        .min_by_key(|(d, _)| *d)
        .map(|(_, c)| c)
}

/// What to write instead of a word of other SQL systems, where no word of the dialect stands there: the word, and
/// the one before it where it is about that.
const ELSEWHERE: &[(&str, &str, &str)] = &[
    ("TOP", "", "LIMIT n, at the end of the statement"),
    ("FETCH", "FIRST", "LIMIT n"),
    ("FETCH", "NEXT", "LIMIT n, and OFFSET m before it"),
    ("QUALIFY", "", "SELECT … FROM (SELECT …) AS x WHERE …; a condition on aggregates is HAVING"),
    ("FILTER", "", "SUM(CASE WHEN condition THEN x END) takes some rows only"),
    ("ANALYZE", "", "EXPLAIN SELECT …; how much it has done is in WHARFE_BOOKS"),
    ("SHOW", "CREATE", "DESCRIBE name EXTENDED has the statement"),
    ("", "INDEX", "a table is found by its key without one, and read by any other column"),
    ("", "DATABASE", "there is one catalog: names stand alone"),
    ("", "DATABASES", "there is one catalog: SHOW STREAMS, SHOW TABLES"),
    ("", "SCHEMAS", "there is one catalog: SHOW STREAMS, SHOW TABLES"),
    ("", "USE", "there is one catalog: names stand alone"),
    ("", "VIEW", "CREATE STREAM or CREATE TABLE … AS SELECT: it is kept up to date"),
    ("", "MATERIALIZED", "CREATE STREAM or CREATE TABLE … AS SELECT: it is kept up to date"),
    ("", "TEMPORARY", "WITH name AS (SELECT …) SELECT …: it goes with its statement"),
    ("", "TEMP", "WITH name AS (SELECT …) SELECT …: it goes with its statement"),
    ("", "DESC", "DESCRIBE name"),
    ("", "BEGIN", "each statement is carried out by itself, whole or not at all"),
    ("", "START", "each statement is carried out by itself, whole or not at all"),
    ("", "COMMIT", "each statement is carried out by itself, whole or not at all"),
    ("", "ROLLBACK", "each statement is carried out by itself, whole or not at all"),
    ("", "GRANT", "users and their roles are in the file that --access names"),
    ("", "REVOKE", "users and their roles are in the file that --access names"),
    ("", "CALL", "there are no procedures; SHOW FUNCTIONS lists what expressions call"),
    ("", "EXEC", "there are no procedures; SHOW FUNCTIONS lists what expressions call"),
    ("", "DECLARE", "DEFINE name = 'text'; then ${name} stands for it"),
    ("", "VALUES", "INSERT INTO name VALUES (…)"),
    ("", "USING", "ON a.x = b.x"),
    ("", "CONFLICT", "a table has the last record of each key"),
    ("IN", "", "the values have parentheses: x IN (1, 2)"),
    ("DROP", "", "DROP STREAM name, DROP TABLE name, DROP TYPE name or DROP CONNECTOR name"),
    ("", "WINDOW", "a window stands behind FROM: FROM s WINDOW TUMBLING (SIZE 1 HOUR) WHERE … GROUP BY …"),
    ("", "WITH", "WITH stands behind the name: CREATE STREAM name WITH (…) AS SELECT …"),
];

/// What to write instead of a word of other systems.
pub(super) fn elsewhere(before: &str, word: &str) -> Option<&'static str> {
    let is_it = |(first, second, _): &&(&str, &str, &str)| {
        (first.is_empty() || *first == before) && (second.is_empty() || *second == word)
    };
    ELSEWHERE.iter().find(is_it).map(|(.., hint)| *hint)
}

/// Parts of the dialect that this engine does not have.
#[derive(Clone, Copy, Debug)]
pub(super) enum Missing {
    Lambda,
    Subquery,
    SetOperation,
    Over,
    TimeZone,
    Connector,
    Change,
}

pub(super) fn missing(what: Missing, span: Span) -> Error {
    let (message, hint) = match what {
        Missing::Lambda => (
            "a lambda function stands only among the arguments of a function",
            "as in TRANSFORM(items, x => x + 1); if `=>` was meant to compare, write `>=`",
        ),
        Missing::Subquery => (
            "a subquery stands only in FROM and JOIN",
            "join what it selects: … FROM s JOIN (SELECT …) AS x ON …",
        ),
        Missing::SetOperation => (
            "queries are combined by UNION and UNION ALL only",
            "a LEFT JOIN with WHERE … IS NULL leaves rows out, a JOIN keeps those of both",
        ),
        Missing::Over => ("OVER is not supported", "aggregate with GROUP BY"),
        Missing::TimeZone => (
            "AT TIME ZONE is not supported",
            "CONVERT_TZ(timestamp, 'from zone', 'to zone') shifts a timestamp",
        ),
        Missing::Connector => (
            "there are connectors to send rows on, none to read",
            "the topology file says by which connector a topic is read or written",
        ),
        Missing::Change => (
            "data cannot be changed in place",
            "INSERT INTO adds records; in a table, a record replaces the one with its key",
        ),
    };
    Error::syntax(message).at(span).hint(hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_near_word_is_found_and_a_far_one_is_not() {
        assert_eq!(nearest("FORM", &["WHERE", "FROM"]), Some("FROM"));
        assert_eq!(nearest("SELEC", &["SET", "SELECT"]), Some("SELECT"));
        assert_eq!(nearest("WERE", &["WHERE"]), Some("WHERE"));
        assert_eq!(nearest("FROM", &["FROM"]), None);
        assert_eq!(nearest("NAME", &["FROM", "WHERE"]), None);
    }
}
