//! The grammar of operands: literals, columns, calls, constructors, CASE and CAST.

use super::ast::{Expr, ExprKind, Ident, Literal};
use super::complete::RESERVED;
use super::hint::{Missing, missing};
use super::lexer::TokenKind;
use super::parser::Parser;
use crate::error::{Error, Result, Span};
use crate::types::SqlType;

impl Parser<'_> {
    pub(super) fn operand(&mut self) -> Result<Expr> {
        let start = self.span();
        if let Some(literal) = self.number(false, start)? {
            return Ok(self.node(start, ExprKind::Literal(literal)));
        }
        match self.peek() {
            TokenKind::Text(text) => {
                let literal = Literal::String(text.clone());
                self.advance();
                Ok(self.node(start, ExprKind::Literal(literal)))
            }
            TokenKind::Quoted(_) => self.name_or_call(),
            TokenKind::Word(word) => {
                let word = word.clone();
                self.word_operand(&word, start)
            }
            TokenKind::Symbol("(") => self.parenthesised(),
            _ => Err(self.expected("an expression", &[])),
        }
    }

    /// What a word begins depends on what follows it: hardly any is reserved.
    fn word_operand(&mut self, word: &str, start: Span) -> Result<Expr> {
        if let TokenKind::Text(_) = self.peek_ahead(1)
            && let "DATE" | "TIME" | "TIMESTAMP" = word
        {
            return self.typed_literal(word, start);
        }
        if word == "INTERVAL" && matches!(self.peek_ahead(1), TokenKind::Text(_) | TokenKind::Integer(_)) {
            return Err(Error::syntax("there are no intervals").at(start).hint(
                "TIMESTAMPADD(DAYS, 1, timestamp), DATEADD(DAYS, 1, date), TIMEADD(MINUTES, 5, time)",
            ));
        }
        match word {
            "NULL" => return Ok(self.word_literal(Literal::Null)),
            "TRUE" => return Ok(self.word_literal(Literal::Boolean(true))),
            "FALSE" => return Ok(self.word_literal(Literal::Boolean(false))),
            "CASE" => return self.case(),
            "CAST" if self.ahead_is(1, "(") => return self.cast(),
            "ARRAY" if self.ahead_is(1, "[") => return self.array(),
            "MAP" if self.ahead_is(1, "(") => return self.map(),
            "STRUCT" if self.ahead_is(1, "(") => return self.structure(),
            "SELECT" => return Err(missing(Missing::Subquery, start)),
            _ => {}
        }
        let function = matches!(word, "LEFT" | "RIGHT") && self.ahead_is(1, "(");
        if RESERVED.contains(&word) && !function {
            return Err(self.expected("an expression", &[]));
        }
        self.name_or_call()
    }

    fn word_literal(&mut self, literal: Literal) -> Expr {
        let start = self.span();
        self.advance();
        self.node(start, ExprKind::Literal(literal))
    }

    /// `DATE '2024-02-29'` and its like mean a cast.
    fn typed_literal(&mut self, word: &str, start: Span) -> Result<Expr> {
        let ty = match word {
            "DATE" => SqlType::Date,
            "TIME" => SqlType::Time,
            _ => SqlType::Timestamp,
        };
        self.advance();
        let text_start = self.span();
        let text = self.text_literal("a string")?;
        let operand = Box::new(self.node(text_start, ExprKind::Literal(Literal::String(text))));
        Ok(self.node(start, ExprKind::Cast { operand, ty }))
    }

    fn parenthesised(&mut self) -> Result<Expr> {
        let open = self.span();
        if self.at_lambda() {
            return Err(missing(Missing::Lambda, open));
        }
        self.advance();
        let mut inner = self.expression()?;
        self.close(open, ")")?;
        // A message about it should show the parentheses too.
        inner.span = self.since(open);
        Ok(inner)
    }

    /// Whether `x =>` or `(x, y) =>` comes next.
    fn at_lambda(&self) -> bool {
        let is_name = |ahead| matches!(self.peek_ahead(ahead), TokenKind::Word(_) | TokenKind::Quoted(_));
        if !self.at("(") {
            return is_name(0) && self.ahead_is(1, "=>");
        }
        let mut ahead = 1;
        while is_name(ahead) && self.ahead_is(ahead + 1, ",") {
            ahead += 2;
        }
        is_name(ahead) && self.ahead_is(ahead + 1, ")") && self.ahead_is(ahead + 2, "=>")
    }

    /// An argument of a call: an expression or a lambda function.
    fn argument(&mut self) -> Result<Expr> {
        if !self.at_lambda() {
            return self.expression();
        }
        let start = self.span();
        let params = match self.at("(") {
            true => {
                let open = self.expect("(")?;
                self.list(open, ")", |p| p.ident("a parameter"))?
            }
            false => vec![self.ident("a parameter")?],
        };
        for (i, param) in params.iter().enumerate() {
            if params[..i].iter().any(|other| other.name == param.name) {
                let error = Error::syntax(format!("the parameter {} is there twice", param.name));
                return Err(error.at(param.span));
            }
        }
        self.expect("=>")?;
        let body = Box::new(self.expression()?);
        Ok(self.node(start, ExprKind::Lambda { params, body }))
    }

    /// `name`, `source.name` or `name(…)`.
    fn name_or_call(&mut self) -> Result<Expr> {
        let start = self.span();
        if self.ahead_is(1, "(") {
            return self.call();
        }
        let first = self.ident("a name")?;
        if !self.eat(".") {
            return Ok(self.node(start, ExprKind::Column { qualifier: None, name: first.name }));
        }
        if self.at("*") {
            let hint = format!("{}.* stands only in a select list", first.name);
            return Err(self.expected("a column name", &[]).hint(hint));
        }
        let column = self.ident("a column name")?;
        Ok(self.node(start, ExprKind::Column { qualifier: Some(first.name), name: column.name }))
    }

    fn call(&mut self) -> Result<Expr> {
        let start = self.span();
        let name = match self.peek() {
            TokenKind::Word(name) | TokenKind::Quoted(name) => name.to_uppercase(),
            _ => return Err(self.expected("a function", &[])),
        };
        self.advance();
        let name = Ident { name, span: start };
        let open = self.expect("(")?;
        let name = if self.at_word("DISTINCT") { self.distinct(name)? } else { name };
        let kind = if self.at("*") {
            self.count_star(name, open)?
        } else if self.eat(")") {
            ExprKind::Call { name, args: Vec::new() }
        } else {
            let args = self.list(open, ")", Self::argument);
            let args =
                args.map_err(|error| foreign_call(&name).map_or(error, |instead| instead.at(start)))?;
            ExprKind::Call { name, args }
        };
        if self.at_word("OVER") && self.ahead_is(1, "(") {
            return Err(missing(Missing::Over, self.span()));
        }
        Ok(self.node(start, kind))
    }

    /// At the DISTINCT of `COUNT(DISTINCT …)`, which is a function of its own.
    fn distinct(&mut self, name: Ident) -> Result<Ident> {
        if name.name != "COUNT" {
            return Err(Error::syntax(format!("{} takes no DISTINCT", name.name)).at(self.span()).hint(
                "COUNT_DISTINCT(x) counts distinct values, COLLECT_SET(x) collects them; \
                 SELECT DISTINCT makes rows distinct",
            ));
        }
        self.advance();
        Ok(Ident { name: "COUNT_DISTINCT".into(), ..name })
    }

    fn count_star(&mut self, name: Ident, open: Span) -> Result<ExprKind> {
        if name.name != "COUNT" {
            return Err(Error::syntax(format!("{}(*) does not exist", name.name))
                .at(self.span())
                .hint("only COUNT takes `*`"));
        }
        self.advance();
        self.close(open, ")")?;
        Ok(ExprKind::CountStar)
    }

    fn cast(&mut self) -> Result<Expr> {
        let start = self.span();
        self.advance();
        let open = self.expect("(")?;
        let operand = Box::new(self.expression()?);
        if !self.eat_word("AS") {
            return Err(self.expected("AS", &["AS"]).hint("a cast is written CAST(value AS type)"));
        }
        let ty = self.sql_type("the cast")?;
        self.close(open, ")")?;
        Ok(self.node(start, ExprKind::Cast { operand, ty }))
    }

    fn array(&mut self) -> Result<Expr> {
        let start = self.span();
        self.advance();
        let open = self.expect("[")?;
        if self.at("]") {
            return Err(self.expected("an item", &[]).hint("an array needs an item to have a type"));
        }
        let items = self.list(open, "]", Self::expression)?;
        Ok(self.node(start, ExprKind::Array(items)))
    }

    fn map(&mut self) -> Result<Expr> {
        let start = self.span();
        self.advance();
        let open = self.expect("(")?;
        if self.at(")") {
            return Err(self.expected("an entry", &[]).hint("a map needs an entry to have a type"));
        }
        let entries = self.list(open, ")", |p| {
            let key = p.expression()?;
            p.assign("a map's entry is written key := value")?;
            Ok((key, p.expression()?))
        })?;
        Ok(self.node(start, ExprKind::Map(entries)))
    }

    fn structure(&mut self) -> Result<Expr> {
        let start = self.span();
        self.advance();
        let open = self.expect("(")?;
        if self.eat(")") {
            return Ok(self.node(start, ExprKind::Struct(Vec::new())));
        }
        let fields = self.list(open, ")", |p| {
            let name = p.ident("a field name")?;
            p.assign("a struct's field is written name := value")?;
            Ok((name, p.expression()?))
        })?;
        for (i, (name, _)) in fields.iter().enumerate() {
            if fields[..i].iter().any(|(other, _)| other.name == name.name) {
                return Err(Error::syntax(format!("the field {} is there twice", name.name)).at(name.span));
            }
        }
        Ok(self.node(start, ExprKind::Struct(fields)))
    }

    fn assign(&mut self, hint: &str) -> Result<()> {
        if self.eat(":=") { Ok(()) } else { Err(self.expected("`:=`", &[]).hint(hint)) }
    }

    fn case(&mut self) -> Result<Expr> {
        let start = self.span();
        self.advance();
        let operand = if self.at_word("WHEN") { None } else { Some(Box::new(self.expression()?)) };
        let mut branches = Vec::new();
        while self.eat_word("WHEN") {
            let when = self.expression()?;
            self.expect_word("THEN")?;
            branches.push((when, self.expression()?));
        }
        if branches.is_empty() {
            return Err(self.expected("WHEN", &["WHEN"]));
        }
        let otherwise = if self.eat_word("ELSE") { Some(Box::new(self.expression()?)) } else { None };
        if !self.eat_word("END") {
            let what = if otherwise.is_some() { "END" } else { "WHEN, ELSE or END" };
            return Err(self
                .expected(what, &["WHEN", "ELSE", "END"])
                .hint("CASE … END encloses the branches"));
        }
        Ok(self.node(start, ExprKind::Case { operand, branches, otherwise }))
    }
}

/// What to write instead of a call that other systems write with words in it.
fn foreign_call(name: &Ident) -> Option<Error> {
    let hint = match name.name.as_str() {
        "EXTRACT" => "CAST(FORMAT_TIMESTAMP(timestamp, 'yyyy') AS INT) is the year",
        "POSITION" => "INSTR(text, part)",
        "TRY_CAST" | "SAFE_CAST" => "CAST(value AS type): what does not fit is NULL",
        _ => return None,
    };
    Some(Error::syntax(format!("{} is not written so", name.name)).hint(hint))
}
