//! The grammar of queries: SELECT and its clauses.

use super::ast::{Emit, Expr, ExprKind, Ident, OrderBy, Query, SelectItem};
use super::complete::CLAUSES;
use super::hint::{Missing, missing};
use super::lexer::TokenKind;
use super::parser::Parser;
use crate::error::{Error, Result};

impl Parser<'_> {
    pub(super) fn query(&mut self) -> Result<Query> {
        let start = self.span();
        if self.at_word("WITH") {
            return Err(missing(Missing::CommonTable, start));
        }
        self.expect_word("SELECT")?;
        if self.at_word("DISTINCT") {
            return Err(missing(Missing::Distinct, self.span()));
        }
        let select = self.select_items()?;
        let (from, alias) = self.from()?;
        let filter = if self.eat_word("WHERE") { Some(self.expression()?) } else { None };
        let group_by = if self.by("GROUP")? { self.by_list()? } else { Vec::new() };
        let partition_by = if self.by("PARTITION")? { self.by_list()? } else { Vec::new() };
        let having = if self.eat_word("HAVING") { Some(self.expression()?) } else { None };
        let order_by = if self.by("ORDER")? { self.order_by()? } else { Vec::new() };
        let emit = self.emit()?;
        let limit = if self.eat_word("LIMIT") { Some(self.count("a number of rows")?) } else { None };
        self.no_other_clause()?;
        let span = self.since(start);
        Ok(Query { select, from, alias, filter, group_by, partition_by, having, order_by, emit, limit, span })
    }

    fn select_items(&mut self) -> Result<Vec<SelectItem>> {
        let mut items = Vec::new();
        loop {
            if self.at_word("FROM") {
                return Err(self.expected("a column or an expression", &[]));
            }
            items.push(self.select_item()?);
            if !self.eat(",") {
                return Ok(items);
            }
        }
    }

    fn select_item(&mut self) -> Result<SelectItem> {
        let start = self.span();
        if self.eat("*") {
            return Ok(SelectItem::Star { qualifier: None, span: self.since(start) });
        }
        if self.ahead_is(1, ".") && self.ahead_is(2, "*") {
            let qualifier = Some(self.ident("a stream or table")?);
            self.advance();
            self.advance();
            return Ok(SelectItem::Star { qualifier, span: self.since(start) });
        }
        let expr = self.expression()?;
        if self.at("->") {
            return self.struct_star(expr);
        }
        let alias = if self.eat_word("AS") { Some(self.ident("an alias")?) } else { self.loose_alias() };
        Ok(SelectItem::Expr { expr, alias })
    }

    /// At the `->` of `base->*`.
    fn struct_star(&mut self, base: Expr) -> Result<SelectItem> {
        let start = base.span;
        self.advance();
        self.advance();
        let span = self.since(start);
        match base.kind {
            ExprKind::Column { .. }
            | ExprKind::Field { .. }
            | ExprKind::Subscript { .. }
            | ExprKind::Case { .. }
            | ExprKind::Cast { .. }
            | ExprKind::Call { .. }
            | ExprKind::Struct(_) => Ok(SelectItem::StructStar { base, span }),
            _ => {
                Err(Error::syntax("`->*` stands for all fields of a struct, and this is no struct").at(span))
            }
        }
    }

    fn from(&mut self) -> Result<(Ident, Option<Ident>)> {
        if !self.eat_word("FROM") {
            let error = self.expected("`,` or FROM", &["FROM"]);
            let no_source = self.at(";") || self.at_end() || self.at_any(CLAUSES);
            return Err(if no_source { error.hint("a SELECT reads FROM a stream or table") } else { error });
        }
        if self.at("(") {
            return Err(missing(Missing::Subquery, self.span()));
        }
        let from = self.ident("a stream or table")?;
        let alias = if self.eat_word("AS") { Some(self.ident("an alias")?) } else { self.loose_alias() };
        const JOINS: &[&str] = &["JOIN", "INNER", "LEFT", "RIGHT", "FULL", "OUTER", "CROSS", "NATURAL"];
        if self.at_any(JOINS) || self.at(",") {
            return Err(missing(Missing::Join, self.span()));
        }
        if self.at_any(&["WINDOW", "WITHIN"]) {
            return Err(missing(Missing::Window, self.span()));
        }
        Ok((from, alias))
    }

    /// Takes `word BY` if it is there.
    fn by(&mut self, word: &str) -> Result<bool> {
        if !self.eat_word(word) {
            return Ok(false);
        }
        self.expect_word("BY")?;
        Ok(true)
    }

    /// `a, b` or `(a, b)`.
    fn by_list(&mut self) -> Result<Vec<Expr>> {
        if let Some(list) = self.enclosed_list()? {
            return Ok(list);
        }
        let mut list = vec![self.expression()?];
        while self.eat(",") {
            list.push(self.expression()?);
        }
        Ok(list)
    }

    /// `(a, b)`, and `None` for `(a)`, which may go on: `(a) + 1, b`.
    fn enclosed_list(&mut self) -> Result<Option<Vec<Expr>>> {
        let (position, open) = (self.position(), self.span());
        if !self.eat("(") {
            return Ok(None);
        }
        let list = self.list(open, ")", Self::expression)?;
        if list.len() == 1 {
            self.rewind(position);
            return Ok(None);
        }
        Ok(Some(list))
    }

    fn order_by(&mut self) -> Result<Vec<OrderBy>> {
        let mut keys = Vec::new();
        loop {
            let expr = self.expression()?;
            let descending = self.eat_word("DESC");
            if !descending {
                self.eat_word("ASC");
            }
            let nulls_first = if self.eat_word("NULLS") { Some(self.nulls_first()?) } else { None };
            keys.push(OrderBy { expr, descending, nulls_first });
            if !self.eat(",") {
                return Ok(keys);
            }
        }
    }

    fn nulls_first(&mut self) -> Result<bool> {
        let first = self.eat_word("FIRST");
        if first || self.eat_word("LAST") {
            return Ok(first);
        }
        Err(self.expected("FIRST or LAST", &["FIRST", "LAST"]))
    }

    fn emit(&mut self) -> Result<Option<Emit>> {
        if !self.eat_word("EMIT") {
            return Ok(None);
        }
        if self.eat_word("CHANGES") {
            return Ok(Some(Emit::Changes));
        }
        if self.eat_word("FINAL") {
            return Ok(Some(Emit::Final));
        }
        Err(self.expected("CHANGES or FINAL", &["CHANGES", "FINAL"]))
    }

    fn no_other_clause(&self) -> Result<()> {
        let TokenKind::Word(word) = self.peek() else { return Ok(()) };
        let what = match word.as_str() {
            "UNION" | "EXCEPT" | "INTERSECT" => Missing::SetOperation,
            "OFFSET" => Missing::Offset,
            "WINDOW" => Missing::Window,
            "JOIN" | "INNER" | "LEFT" | "RIGHT" | "FULL" => Missing::Join,
            _ => return Ok(()),
        };
        Err(missing(what, self.span()))
    }
}
