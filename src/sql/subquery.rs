//! The grammar of queries that hold others: WITH, UNION, and what FROM and JOIN read.

use super::ast::{CommonTable, Query, Read, What};
use super::lexer::TokenKind;
use super::parser::Parser;
use crate::error::{Error, Result};

impl Parser<'_> {
    pub(super) fn query(&mut self) -> Result<Query> {
        let start = self.span();
        let with = if self.eat_word("WITH") { self.common_tables()? } else { Vec::new() };
        let united = self.united()?;
        let query = self.tail(united)?;
        Ok(Query { with, span: self.since(start), ..query })
    }

    fn common_tables(&mut self) -> Result<Vec<CommonTable>> {
        let is_name = matches!(self.peek_ahead(1), TokenKind::Word(word) if word == "AS");
        if self.at_word("RECURSIVE") && !is_name {
            return Err(Error::syntax("a query that reads its own rows would have no end")
                .at(self.span())
                .hint("leave RECURSIVE out: a query reads streams, tables and the queries before it"));
        }
        let mut tables: Vec<CommonTable> = Vec::new();
        loop {
            let name = self.ident("a name for a query")?;
            if tables.iter().any(|table| table.name.name == name.name) {
                return Err(Error::syntax(format!("two queries of WITH have the name {}", name.name))
                    .at(name.span)
                    .hint("give one of them another name"));
            }
            if self.at("(") {
                let hint = "name the columns in the query: SELECT … AS name";
                return Err(self.expected("AS", &["AS"]).hint(hint));
            }
            self.expect_word("AS")?;
            let open = self.expect("(")?;
            let query = self.nested(Self::query)?;
            self.close(open, ")")?;
            tables.push(CommonTable { name, query });
            if !self.eat(",") {
                return Ok(tables);
            }
        }
    }

    /// SELECT … [UNION [ALL] SELECT …]
    fn united(&mut self) -> Result<Query> {
        let start = self.span();
        let mut queries = vec![self.select()?];
        while self.eat_word("UNION") {
            let all = self.eat_word("ALL");
            if !all {
                self.eat_word("DISTINCT");
            }
            queries.push(self.select()?);
            if !all {
                let both = Read { what: What::Queries(queries), alias: None };
                queries = vec![Query { distinct: true, ..Query::all_of(both, self.since(start)) }];
            }
        }
        Ok(match queries.len() {
            1 => queries.remove(0),
            _ => Query::all_of(Read { what: What::Queries(queries), alias: None }, self.since(start)),
        })
    }

    /// name | (query), with its alias
    pub(super) fn read(&mut self) -> Result<Read> {
        let open = self.span();
        let what = if self.eat("(") {
            let query = self.nested(Self::query)?;
            self.close(open, ")")?;
            queries(query)
        } else {
            What::Named(self.ident("a stream or table")?)
        };
        let alias = if self.eat_word("AS") { Some(self.ident("an alias")?) } else { self.loose_alias() };
        Ok(Read { what, alias })
    }
}

/// Those that a query does no more than unite, or it alone.
fn queries(query: Query) -> What {
    match query == Query::all_of(query.from.clone(), query.span) {
        true if matches!(&query.from.what, What::Queries(united) if united.len() > 1) => query.from.what,
        _ => What::Queries(vec![query]),
    }
}
