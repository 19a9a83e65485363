//! The grammar of queries: SELECT and its clauses.

use super::ast::{
    Emit, Expr, ExprKind, Join, JoinKind, OrderBy, Query, Read, SelectItem, Window, WindowKind, Within,
};
use super::complete::CLAUSES;
use super::hint::{Missing, missing};
use super::lexer::TokenKind;
use super::parser::Parser;
use crate::error::{Error, Result, Span};

impl Parser<'_> {
    /// A SELECT up to what stands once behind several that are united.
    pub(super) fn select(&mut self) -> Result<Query> {
        let start = self.span();
        self.expect_word("SELECT")?;
        let distinct = self.eat_word("DISTINCT");
        let select = self.select_items()?;
        let from = self.from()?;
        let joins = self.joins()?;
        let window = if self.at_word("WINDOW") { Some(self.window()?) } else { None };
        let filter = if self.eat_word("WHERE") { Some(self.expression()?) } else { None };
        let group_by = if self.by("GROUP")? { self.by_list()? } else { Vec::new() };
        let partition_by = if self.by("PARTITION")? { self.by_list()? } else { Vec::new() };
        let having = if self.eat_word("HAVING") { Some(self.expression()?) } else { None };
        let all = Query::all_of(from, self.since(start));
        Ok(Query { distinct, select, joins, window, filter, group_by, partition_by, having, ..all })
    }

    /// ORDER BY, EMIT, LIMIT and OFFSET
    pub(super) fn tail(&mut self, query: Query) -> Result<Query> {
        let order_by = if self.by("ORDER")? { self.order_by()? } else { Vec::new() };
        let emit = self.emit()?;
        let (limit, offset) = self.limit_and_offset()?;
        self.no_other_clause()?;
        Ok(Query { order_by, emit, limit, offset, ..query })
    }

    /// In either order.
    fn limit_and_offset(&mut self) -> Result<(Option<u64>, Option<u64>)> {
        let (mut limit, mut offset) = (None, None);
        loop {
            let (word, count) = match () {
                () if limit.is_none() && self.at_word("LIMIT") => ("LIMIT", &mut limit),
                () if offset.is_none() && self.at_word("OFFSET") => ("OFFSET", &mut offset),
                () => return Ok((limit, offset)),
            };
            self.expect_word(word)?;
            *count = Some(self.count("a number of rows")?);
        }
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

    fn from(&mut self) -> Result<Read> {
        if !self.eat_word("FROM") {
            let error = self.expected("`,` or FROM", &["FROM"]);
            let no_source = self.at(";") || self.at(")") || self.at_end() || self.at_any(CLAUSES);
            return Err(if no_source { error.hint("a SELECT reads FROM a stream or table") } else { error });
        }
        self.read()
    }

    fn joins(&mut self) -> Result<Vec<Join>> {
        let mut joins = Vec::new();
        loop {
            if self.at(",") || self.at_any(&["CROSS", "NATURAL"]) {
                return Err(Error::syntax("a join needs its kind and its condition")
                    .at(self.span())
                    .hint("a JOIN b ON a.x = b.y; streams need WITHIN, too"));
            }
            let start = self.span();
            let Some(kind) = self.join_kind()? else { return Ok(joins) };
            joins.push(self.join(kind, start)?);
        }
    }

    /// `None`: no join begins here.
    fn join_kind(&mut self) -> Result<Option<JoinKind>> {
        let kind = if self.eat_word("JOIN") {
            return Ok(Some(JoinKind::Inner));
        } else if self.eat_word("INNER") {
            JoinKind::Inner
        } else if self.eat_word("LEFT") {
            JoinKind::Left
        } else if self.eat_word("RIGHT") {
            JoinKind::Right
        } else if self.eat_word("FULL") || self.at_word("OUTER") {
            JoinKind::Full
        } else {
            return Ok(None);
        };
        if kind != JoinKind::Inner {
            self.eat_word("OUTER");
        }
        self.expect_word("JOIN")?;
        Ok(Some(kind))
    }

    fn join(&mut self, kind: JoinKind, start: Span) -> Result<Join> {
        let read = self.read()?;
        let within = if self.at_word("WITHIN") { Some(self.within()?) } else { None };
        if !self.eat_word("ON") {
            return Err(self.expected("ON and the join's condition", &["ON"]));
        }
        let on = self.expression()?;
        Ok(Join { kind, read, within, on, span: self.since(start) })
    }

    fn within(&mut self) -> Result<Within> {
        let start = self.span();
        self.advance();
        let (before_ms, after_ms) = if self.eat("(") {
            let before = self.duration()?;
            self.expect(",")?;
            let after = self.duration()?;
            self.expect(")")?;
            (before, after)
        } else {
            let both = self.duration()?;
            (both, both)
        };
        let grace_ms = self.grace_period()?;
        Ok(Within { before_ms, after_ms, grace_ms, span: self.since(start) })
    }

    fn grace_period(&mut self) -> Result<Option<i64>> {
        if !self.eat_word("GRACE") {
            return Ok(None);
        }
        self.expect_word("PERIOD")?;
        self.duration().map(Some)
    }

    fn window(&mut self) -> Result<Window> {
        let start = self.span();
        self.advance();
        // A name for the window may stand here; nothing refers to it.
        const KINDS: &[&str] = &["TUMBLING", "HOPPING", "SESSION"];
        if !self.at_any(KINDS)
            && matches!(self.peek_ahead(1), TokenKind::Word(w) if KINDS.contains(&w.as_str()))
        {
            self.advance();
        }
        let word = self.span();
        let (tumbling, hopping) = (self.eat_word("TUMBLING"), self.eat_word("HOPPING"));
        if !tumbling && !hopping && !self.eat_word("SESSION") {
            return Err(self.expected("TUMBLING, HOPPING or SESSION", KINDS));
        }
        self.expect("(")?;
        let sized = tumbling || hopping;
        if sized {
            let shown = |error: Error| error.hint("as in TUMBLING (SIZE 1 HOUR)");
            self.expect_word("SIZE").map_err(shown)?;
        }
        let size_ms = self.positive_duration()?;
        let (mut advance_ms, mut retention_ms, mut grace_ms) = (None, None, None);
        while self.eat(",") {
            if hopping && self.eat_word("ADVANCE") {
                self.expect_word("BY")?;
                advance_ms = Some(self.positive_duration()?);
            } else if self.eat_word("RETENTION") {
                retention_ms = Some(self.duration()?);
            } else if self.at_word("GRACE") {
                grace_ms = self.grace_period()?;
            } else {
                let what = if hopping {
                    "ADVANCE BY, RETENTION or GRACE PERIOD"
                } else {
                    "RETENTION or GRACE PERIOD"
                };
                return Err(self.expected(what, &["ADVANCE", "RETENTION", "GRACE"]));
            }
        }
        self.expect(")")?;
        let kind = match (tumbling, hopping, advance_ms) {
            (true, ..) => WindowKind::Tumbling { size_ms },
            (_, true, Some(advance_ms)) => WindowKind::Hopping { size_ms, advance_ms },
            (_, true, None) => {
                return Err(Error::syntax("a hopping window needs ADVANCE BY")
                    .at(word)
                    .hint("HOPPING (SIZE 10 MINUTES, ADVANCE BY 1 MINUTE)"));
            }
            _ => WindowKind::Session { gap_ms: size_ms },
        };
        Ok(Window { kind, retention_ms, grace_ms, span: self.since(start) })
    }

    fn positive_duration(&mut self) -> Result<i64> {
        let start = self.span();
        match self.duration()? {
            0 => Err(Error::syntax("a window needs a size above 0").at(self.since(start))),
            ms => Ok(ms),
        }
    }

    /// `5 MINUTES`, in milliseconds.
    pub(super) fn duration(&mut self) -> Result<i64> {
        const UNITS: &[(&str, i64)] = &[
            ("MILLISECOND", 1),
            ("SECOND", 1_000),
            ("MINUTE", 60_000),
            ("HOUR", 3_600_000),
            ("DAY", 86_400_000),
            ("WEEK", 7 * 86_400_000),
        ];
        const NAMES: &[&str] = &["MILLISECONDS", "SECONDS", "MINUTES", "HOURS", "DAYS"];
        let start = self.span();
        let number = self.count("a number and a unit of time")?;
        let TokenKind::Word(word) = self.peek() else {
            return Err(self.expected("a unit of time: MILLISECONDS, SECONDS, MINUTES, HOURS or DAYS", NAMES));
        };
        let unit = word.to_uppercase();
        let unit = UNITS.iter().find(|(name, _)| unit == *name || unit.strip_suffix('S') == Some(name));
        let Some((_, ms)) = unit else {
            return Err(self.expected("a unit of time: MILLISECONDS, SECONDS, MINUTES, HOURS or DAYS", NAMES));
        };
        self.advance();
        let total = i64::try_from(number).ok().and_then(|number| number.checked_mul(*ms));
        total.ok_or_else(|| Error::syntax("this time is too long").at(self.since(start)))
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
        if self.at_word("UNION") {
            return Err(Error::syntax("ORDER BY, EMIT, LIMIT and OFFSET stand once, behind the last SELECT")
                .at(self.span())
                .hint("leave it out here"));
        }
        match self.at_any(&["EXCEPT", "INTERSECT"]) {
            true => Err(missing(Missing::SetOperation, self.span())),
            false => Ok(()),
        }
    }
}
