//! The words of the dialect, and whether a text typed so far is complete.

use super::lexer::{TokenKind, lex};

/// Whether the text ends a statement: with a semicolon that is not in a string, a comment or a
/// quoted name. A blank text is complete.
pub fn is_complete(text: &str) -> bool {
    let tokens = lex(text);
    let last = tokens.iter().rev().find(|t| t.kind != TokenKind::End);
    last.is_none_or(|t| t.kind == TokenKind::Symbol(";"))
}

/// Every keyword, for completion in the console.
pub const KEYWORDS: &[&str] = &[
    "ADD",
    "ALL",
    "ALTER",
    "AND",
    "ARRAY",
    "AS",
    "ASC",
    "ASSERT",
    "BEGINNING",
    "BETWEEN",
    "BIGINT",
    "BOOLEAN",
    "BY",
    "BYTES",
    "CASE",
    "CAST",
    "CHANGES",
    "COLUMN",
    "CREATE",
    "DATE",
    "DECIMAL",
    "DEFINE",
    "DELETE",
    "DESC",
    "DESCRIBE",
    "DISTINCT",
    "DOUBLE",
    "DROP",
    "ELSE",
    "EMIT",
    "END",
    "ESCAPE",
    "EXISTS",
    "EXPLAIN",
    "EXTENDED",
    "FALSE",
    "FINAL",
    "FIRST",
    "FROM",
    "FUNCTION",
    "FUNCTIONS",
    "GROUP",
    "HAVING",
    "HEADER",
    "HEADERS",
    "ID",
    "IF",
    "IN",
    "INSERT",
    "INT",
    "INTEGER",
    "INTERVAL",
    "INTO",
    "IS",
    "KEY",
    "LAST",
    "LIKE",
    "LIMIT",
    "LIST",
    "MAP",
    "NOT",
    "NULL",
    "NULLS",
    "OR",
    "ORDER",
    "PARTITION",
    "PAUSE",
    "PRIMARY",
    "PRINT",
    "PROPERTIES",
    "QUERIES",
    "REPLACE",
    "RESUME",
    "RUN",
    "SAMPLE",
    "SCHEMA",
    "SCRIPT",
    "SELECT",
    "SET",
    "SHOW",
    "SOURCE",
    "STREAM",
    "STREAMS",
    "STRING",
    "STRUCT",
    "SUBJECT",
    "TABLE",
    "TABLES",
    "TERMINATE",
    "THEN",
    "TIME",
    "TIMEOUT",
    "TIMESTAMP",
    "TOPIC",
    "TOPICS",
    "TRUE",
    "TYPE",
    "TYPES",
    "UNDEFINE",
    "UNSET",
    "VALUES",
    "VARCHAR",
    "VARIABLES",
    "WHEN",
    "WHERE",
    "WITH",
];

/// The words that are no names unless quoted: those that could not be told from a clause or an
/// operator. All other keywords are keywords only where the grammar asks for them.
pub(super) const RESERVED: &[&str] = &[
    "AND", "AS", "BETWEEN", "BY", "CASE", "CREATE", "DISTINCT", "ELSE", "END", "FALSE", "FROM", "FULL",
    "GROUP", "HAVING", "IN", "INNER", "INSERT", "INTO", "IS", "JOIN", "LEFT", "LIKE", "LIMIT", "NOT", "NULL",
    "ON", "OR", "OUTER", "RIGHT", "SELECT", "THEN", "TRUE", "VALUES", "WHEN", "WHERE", "WITH",
];

/// The words a statement begins with.
pub(super) const STARTERS: &[&str] = &[
    "CREATE",
    "INSERT",
    "SELECT",
    "SET",
    "UNSET",
    "SHOW",
    "LIST",
    "DESCRIBE",
    "EXPLAIN",
    "PRINT",
    "TERMINATE",
    "PAUSE",
    "RESUME",
    "DROP",
    "ALTER",
    "DEFINE",
    "UNDEFINE",
    "ASSERT",
    "RUN",
];

/// The words a clause of a query begins with, in the order of the clauses.
pub(super) const CLAUSES: &[&str] =
    &["FROM", "WHERE", "GROUP", "PARTITION", "HAVING", "ORDER", "EMIT", "LIMIT", "OFFSET"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_semicolon_completes_only_outside_quotes_and_comments() {
        for complete in ["", "  \n", "-- x", "SELECT 1;", "a; -- b", "a ';' ;", "a # ;", ";"] {
            assert!(is_complete(complete), "{complete}");
        }
        for open in ["SELECT", "a; b", "a ';", "a \";", "a `;", "a /* ;", "/*", "a -- ;", "a ';' "] {
            assert!(!is_complete(open), "{open}");
        }
    }

    #[test]
    fn the_lists_are_sorted() {
        assert!(KEYWORDS.is_sorted());
        assert!(RESERVED.is_sorted());
    }
}
