//! The grammar of expressions: operators by precedence, then operands (`operand.rs`).

use super::ast::{BinaryOp, Expr, ExprKind, Literal, UnaryOp};
use super::hint::{Missing, missing};
use super::lexer::TokenKind;
use super::parser::Parser;
use crate::error::{Error, Result, Span};

/// How tightly the operators bind, loosest first.
mod precedence {
    pub const OR: u8 = 1;
    pub const AND: u8 = 2;
    pub const NOT: u8 = 3;
    pub const COMPARISON: u8 = 4;
    pub const CONCAT: u8 = 5;
    pub const SUM: u8 = 6;
    pub const PRODUCT: u8 = 7;
}

/// What may follow an operand.
enum Operator {
    Binary(BinaryOp),
    /// BETWEEN, IN, LIKE and IS, with or without NOT before them.
    Predicate,
}

/// An operator whose right side is still being read.
struct Waiting {
    left: Expr,
    op: BinaryOp,
    binds: u8,
}

impl Parser<'_> {
    pub(super) fn expression(&mut self) -> Result<Expr> {
        self.nested(|p| p.operators(precedence::OR))
    }

    /// An expression whose operators all bind at least as tightly as `least`.
    ///
    /// What waits for its right side is kept in a list and not on the stack, which the many levels of
    /// precedence would fill quickly.
    fn operators(&mut self, least: u8) -> Result<Expr> {
        let mut waiting: Vec<Waiting> = Vec::new();
        let mut operand = self.operand_under(least)?;
        // Whether `operand` is a comparison.
        let mut compared = false;
        loop {
            // Behind `x IS NULL` and `x IN (…)` nothing binds tighter: they are no operand of a sum.
            let next =
                self.operator().filter(|(_, b)| *b >= least && !(compared && *b > precedence::COMPARISON));
            let binds = next.as_ref().map_or(0, |(_, binds)| *binds);
            while let Some(outer) = waiting.pop_if(|w| w.binds >= binds) {
                compared = outer.binds == precedence::COMPARISON;
                operand = binary(outer.op, outer.left, operand);
            }
            let Some((operator, _)) = next else { return Ok(operand) };
            if compared && binds == precedence::COMPARISON {
                return Err(self.chained_comparison());
            }
            self.grow()?;
            match operator {
                Operator::Predicate => {
                    operand = self.predicate(operand)?;
                    compared = true;
                }
                Operator::Binary(op) => {
                    self.advance();
                    let right = self.operand_under(least.max(binds))?;
                    let left = std::mem::replace(&mut operand, right);
                    waiting.push(Waiting { left, op, binds });
                    compared = false;
                }
            }
        }
    }

    /// One operand of an operator that binds so tightly; NOT is an operand of AND and OR only.
    fn operand_under(&mut self, binds: u8) -> Result<Expr> {
        if binds <= precedence::NOT && self.at_word("NOT") { self.not() } else { self.unary() }
    }

    fn chained_comparison(&self) -> Error {
        Error::syntax(format!("{} cannot follow another comparison", self.found()))
            .at(self.span())
            .hint("combine comparisons with AND or OR, or put one of them in parentheses")
    }

    fn not(&mut self) -> Result<Expr> {
        let start = self.span();
        self.advance();
        let operand = self.nested(|p| p.operators(precedence::NOT))?;
        Ok(self.node(start, ExprKind::Unary { op: UnaryOp::Not, operand: Box::new(operand) }))
    }

    fn operator(&self) -> Option<(Operator, u8)> {
        use BinaryOp::*;
        let (op, binds) = match self.peek() {
            TokenKind::Symbol(symbol) => match *symbol {
                "=" => (Eq, precedence::COMPARISON),
                "<>" | "!=" => (NotEq, precedence::COMPARISON),
                "<" => (Less, precedence::COMPARISON),
                "<=" => (LessEq, precedence::COMPARISON),
                ">" => (Greater, precedence::COMPARISON),
                ">=" => (GreaterEq, precedence::COMPARISON),
                "||" => (Concat, precedence::CONCAT),
                "+" => (Plus, precedence::SUM),
                "-" => (Minus, precedence::SUM),
                "*" => (Multiply, precedence::PRODUCT),
                "/" => (Divide, precedence::PRODUCT),
                "%" => (Modulo, precedence::PRODUCT),
                _ => return None,
            },
            TokenKind::Word(word) => match word.as_str() {
                "OR" => (Or, precedence::OR),
                "AND" => (And, precedence::AND),
                "IS" | "NOT" | "BETWEEN" | "IN" | "LIKE" => {
                    return Some((Operator::Predicate, precedence::COMPARISON));
                }
                _ => return None,
            },
            _ => return None,
        };
        Some((Operator::Binary(op), binds))
    }

    fn predicate(&mut self, operand: Expr) -> Result<Expr> {
        if self.eat_word("IS") {
            return self.is(operand);
        }
        let negated = self.eat_word("NOT");
        let start = operand.span;
        let operand = Box::new(operand);
        let kind = if self.eat_word("BETWEEN") {
            let low = Box::new(self.operators(precedence::CONCAT)?);
            self.expect_word("AND")?;
            let high = Box::new(self.operators(precedence::CONCAT)?);
            ExprKind::Between { operand, low, high, negated }
        } else if self.eat_word("IN") {
            let open = self.expect("(")?;
            let list = self.list(open, ")", Self::expression)?;
            ExprKind::In { operand, list, negated }
        } else if self.eat_word("LIKE") {
            let pattern = Box::new(self.operators(precedence::CONCAT)?);
            let escape = if self.eat_word("ESCAPE") { Some(self.escape()?) } else { None };
            ExprKind::Like { operand, pattern, escape, negated }
        } else {
            return Err(self.expected("BETWEEN, IN or LIKE after NOT", &["BETWEEN", "LIKE"]));
        };
        Ok(self.node(start, kind))
    }

    fn escape(&mut self) -> Result<char> {
        let span = self.span();
        let text = self.text_literal("the escape character as a string")?;
        let mut chars = text.chars();
        match (chars.next(), chars.next()) {
            (Some(escape), None) => Ok(escape),
            _ => {
                Err(Error::syntax(format!("ESCAPE takes a single character, not {}", self.source(span)))
                    .at(span))
            }
        }
    }

    /// Behind `operand IS`.
    fn is(&mut self, operand: Expr) -> Result<Expr> {
        let start = operand.span;
        let negated = self.eat_word("NOT");
        if self.eat_word("NULL") {
            return Ok(self.node(start, ExprKind::IsNull { operand: Box::new(operand), negated }));
        }
        if self.eat_word("DISTINCT") {
            self.expect_word("FROM")?;
            let right = self.operators(precedence::CONCAT)?;
            let op = if negated { BinaryOp::IsNotDistinctFrom } else { BinaryOp::IsDistinctFrom };
            return Ok(binary(op, operand, right));
        }
        if self.at_any(&["TRUE", "FALSE"]) {
            let hint = "write IS NOT DISTINCT FROM, or leave IS out and use `=`";
            return Err(self.expected("NULL or DISTINCT FROM", &[]).hint(hint));
        }
        let what = if negated { "NULL or DISTINCT FROM" } else { "NULL, NOT NULL or [NOT] DISTINCT FROM" };
        Err(self.expected(what, &["NULL", "DISTINCT", "NOT"]))
    }

    fn unary(&mut self) -> Result<Expr> {
        let start = self.span();
        let op = match self.peek() {
            TokenKind::Symbol("-") => UnaryOp::Minus,
            TokenKind::Symbol("+") => UnaryOp::Plus,
            _ => return self.postfix(),
        };
        self.advance();
        // Here and not later, because the smallest BIGINT has no positive counterpart.
        if op == UnaryOp::Minus
            && let Some(literal) = self.number(true, start)?
        {
            return Ok(self.node(start, ExprKind::Literal(literal)));
        }
        let operand = self.nested(Self::unary)?;
        Ok(self.node(start, ExprKind::Unary { op, operand: Box::new(operand) }))
    }

    /// A number, if here is one.
    pub(super) fn number(&mut self, negative: bool, start: Span) -> Result<Option<Literal>> {
        let sign = if negative { "-" } else { "" };
        let literal = match self.peek() {
            TokenKind::Integer(digits) => match format!("{sign}{digits}").parse::<i64>() {
                Ok(value) => Literal::Integer(value),
                Err(_) => {
                    return Err(Error::syntax(format!("the number {sign}{digits} does not fit BIGINT"))
                        .at(start.to(self.span()))
                        .hint(format!("write it as a DECIMAL: {sign}{digits}.0")));
                }
            },
            TokenKind::Decimal(digits) => Literal::Decimal(format!("{sign}{digits}")),
            TokenKind::Double(value) => Literal::Double(if negative { -value } else { *value }),
            _ => return Ok(None),
        };
        self.advance();
        Ok(Some(literal))
    }

    /// An operand with its `->` and `[]`.
    fn postfix(&mut self) -> Result<Expr> {
        let start = self.span();
        let mut base = self.operand()?;
        loop {
            // `->*` is no expression; select lists have it.
            if self.at("->") && !self.ahead_is(1, "*") {
                self.advance();
                let field = self.ident("a field name")?;
                base = self.node(start, ExprKind::Field { base: Box::new(base), field });
            } else if self.at("[") {
                let open = self.span();
                self.advance();
                let index = self.expression()?;
                self.close(open, "]")?;
                base = self.node(start, ExprKind::Subscript { base: Box::new(base), index: Box::new(index) });
            } else {
                break;
            }
            self.grow()?;
        }
        if self.at(".") {
            let hint = "fields of a struct are reached with `->`";
            return Err(self.expected("an operator", &[]).hint(hint));
        }
        if self.at_any(&["ILIKE", "RLIKE", "REGEXP"]) && matches!(self.peek_ahead(1), TokenKind::Text(_)) {
            return Err(self.foreign_match());
        }
        if self.at_words(&["AT", "TIME", "ZONE"]) {
            return Err(missing(Missing::TimeZone, self.span()));
        }
        Ok(base)
    }

    /// An operator that other systems compare texts by.
    fn foreign_match(&self) -> Error {
        let hint = match self.at_word("ILIKE") {
            true => "LCASE(text) LIKE 'a pattern in small letters'",
            false => "REGEXP_EXTRACT(expression, text) IS NOT NULL",
        };
        Error::syntax(format!("{} is not an operator", self.source(self.span()))).at(self.span()).hint(hint)
    }

    /// An expression from `start` to the token last taken.
    pub(super) fn node(&self, start: Span, kind: ExprKind) -> Expr {
        Expr { kind, span: self.since(start) }
    }
}

fn binary(op: BinaryOp, left: Expr, right: Expr) -> Expr {
    let span = left.span.to(right.span);
    Expr { kind: ExprKind::Binary { op, left: Box::new(left), right: Box::new(right) }, span }
}
