//! Operators: which operand types they take and what they make of them.

use super::types::{self, Literals, as_decimal, bad_text, is_temporal, is_text};
use super::{Binder, Operand, common_type, integer, literal, null};
use crate::error::{Error, Result};
use crate::expr::{Expr, ExprKind, Pseudo, decimal};
use crate::sql::ast::{self, BinaryOp, UnaryOp};
use crate::time::iso;
use crate::types::{Part, SqlType};
use crate::value::Value;

fn boolean(kind: ExprKind) -> Expr {
    Expr { kind, ty: SqlType::Boolean }
}

fn binary(op: BinaryOp, left: Expr, right: Expr, ty: SqlType) -> Expr {
    Expr { kind: ExprKind::Binary { op, left: Box::new(left), right: Box::new(right) }, ty }
}

fn negate(expr: Expr, negated: bool) -> Expr {
    if negated { boolean(ExprKind::Not(Box::new(expr))) } else { expr }
}

impl Binder<'_> {
    pub(super) fn unary(&self, op: UnaryOp, operand: &ast::Expr) -> Result<Expr> {
        // The least INT and BIGINT are a minus sign before what is too large without it.
        if let (UnaryOp::Minus, ast::ExprKind::Literal(ast::Literal::Integer(v))) = (op, &operand.kind) {
            return Ok(integer(v.wrapping_neg()));
        }
        if op == UnaryOp::Not {
            let operand = self.condition(operand, "NOT")?;
            return Ok(boolean(ExprKind::Not(Box::new(operand))));
        }
        let span = operand.span;
        let operand = self.typed(operand)?;
        if !operand.ty.is_numeric() {
            let symbol = if op == UnaryOp::Minus { "-" } else { "+" };
            let what = self.describe(&operand);
            return Err(Error::statement(format!("{what}, {symbol} needs a number")).at(span));
        }
        let ty = operand.ty.clone();
        Ok(match op {
            UnaryOp::Minus => Expr { kind: ExprKind::Negate(Box::new(operand)), ty },
            _ => operand,
        })
    }

    /// A BOOLEAN operand; `place` is the operator that needs it.
    fn condition(&self, expr: &ast::Expr, place: &str) -> Result<Expr> {
        self.need(self.operand(expr)?, &SqlType::Boolean, place)
    }

    pub(super) fn binary(&self, op: BinaryOp, left: Operand, right: Operand) -> Result<Expr> {
        match op {
            BinaryOp::And | BinaryOp::Or => {
                let left = self.need(left, &SqlType::Boolean, op.symbol())?;
                let right = self.need(right, &SqlType::Boolean, op.symbol())?;
                Ok(binary(op, left, right, SqlType::Boolean))
            }
            BinaryOp::Plus
            | BinaryOp::Minus
            | BinaryOp::Multiply
            | BinaryOp::Divide
            | BinaryOp::Modulo
            | BinaryOp::Concat => self.arithmetic(op, left, right),
            _ => self.comparison(op, left, right),
        }
    }

    fn arithmetic(&self, op: BinaryOp, left: Operand, right: Operand) -> Result<Expr> {
        let span = left.span.to(right.span);
        let (left, right) = match (left.expr, right.expr) {
            (Some(left), Some(right)) => (left, right),
            (Some(left), None) => (left.clone(), null(&left.ty)),
            (None, Some(right)) => (null(&right.ty), right),
            (None, None) => return Err(super::untyped_null(span)),
        };
        let texts = (left.ty == SqlType::Varchar, right.ty == SqlType::Varchar);
        if texts == (true, true) && matches!(op, BinaryOp::Plus | BinaryOp::Concat) {
            return Ok(binary(op, left, right, SqlType::Varchar));
        }
        let numbers = left.ty.is_numeric() && right.ty.is_numeric();
        if !numbers || op == BinaryOp::Concat {
            return Err(self.no_arithmetic(op, &left, &right).at(span));
        }
        let ty = match (as_decimal(&left.ty), as_decimal(&right.ty)) {
            (Some(l), Some(r)) if is_decimal(&left.ty) || is_decimal(&right.ty) => {
                let ty = decimal::result_type(op, l, r);
                return Ok(binary(op, to_decimal(left), to_decimal(right), ty));
            }
            // Both are numbers, so there is a common type.
            _ => common_type(&left.ty, &right.ty).ok_or_else(|| self.no_arithmetic(op, &left, &right))?,
        };
        let (left, right) = (self.convert(left, &ty, span)?, self.convert(right, &ty, span)?);
        Ok(binary(op, left, right, ty))
    }

    fn no_arithmetic(&self, op: BinaryOp, left: &Expr, right: &Expr) -> Error {
        let (a, b) = (self.describe(left), self.describe(right));
        let error = Error::statement(format!("{a}, {b}: no {} for these", op.symbol()));
        let text = |e: &Expr| e.ty == SqlType::Varchar;
        let other = if text(left) { right } else { left };
        let name = self.shown(other);
        if op == BinaryOp::Concat || (op == BinaryOp::Plus && (text(left) || text(right))) {
            error.hint(format!("CAST({name} AS STRING)"))
        } else if text(left) || text(right) {
            let name = self.shown(if text(left) { left } else { right });
            error.hint(format!("CAST({name} AS DOUBLE)"))
        } else if is_temporal(&left.ty) || is_temporal(&right.ty) {
            error
                .hint("DATEADD, TIMEADD and TIMESTAMPADD move times; UNIX_TIMESTAMP(a) - UNIX_TIMESTAMP(b) are milliseconds")
        } else {
            error
        }
    }

    pub(super) fn comparison(&self, op: BinaryOp, left: Operand, right: Operand) -> Result<Expr> {
        let (left_span, right_span) = (left.span, right.span);
        let span = left_span.to(right_span);
        let distinct = matches!(op, BinaryOp::IsDistinctFrom | BinaryOp::IsNotDistinctFrom);
        let (left, right) = match (left.expr, right.expr) {
            (Some(left), Some(right)) => (left, right),
            (Some(one), None) | (None, Some(one)) if distinct => {
                let negated = op == BinaryOp::IsDistinctFrom;
                return Ok(boolean(ExprKind::IsNull { operand: Box::new(one), negated }));
            }
            (None, None) if distinct => {
                return Ok(literal(Value::Boolean(op == BinaryOp::IsNotDistinctFrom), SqlType::Boolean));
            }
            _ => return Err(comparison_with_null().at(span)),
        };
        let left = self.as_rowtime(left, &right, left_span)?;
        let right = self.as_rowtime(right, &left, right_span)?;
        let ty = match (is_text(&left), is_text(&right)) {
            (true, false) if is_temporal(&right.ty) => Some(right.ty.clone()),
            (false, true) if is_temporal(&left.ty) => Some(left.ty.clone()),
            _ => common_type(&left.ty, &right.ty),
        };
        let Some(ty) = ty else { return Err(self.no_comparison(&left, &right).at(span)) };
        if !distinct && !matches!(op, BinaryOp::Eq | BinaryOp::NotEq) && !is_ordered(&ty) {
            let what = self.describe(&left);
            return Err(Error::statement(format!("{what}, {} needs an order", op.symbol())).at(span));
        }
        // Decimals compare at any scales; a common type might lack digits.
        if is_decimal(&ty) {
            return Ok(binary(op, to_decimal(left), to_decimal(right), SqlType::Boolean));
        }
        let (left, right) = (self.convert(left, &ty, span)?, self.convert(right, &ty, span)?);
        Ok(binary(op, left, right, SqlType::Boolean))
    }

    /// A literal text beside ROWTIME, or a bound of a window in the key, is a time: milliseconds.
    fn as_rowtime(&self, expr: Expr, other: &Expr, span: crate::error::Span) -> Result<Expr> {
        let ExprKind::Literal(Value::Varchar(text)) = &expr.kind else { return Ok(expr) };
        let is_time = match other.kind {
            ExprKind::Pseudo(Pseudo::Rowtime) => true,
            ExprKind::Column(i) => {
                let column = self.scope.schema.columns.get(i);
                column.is_some_and(|column| matches!(column.part, Part::Window(_)))
            }
            _ => false,
        };
        if !is_time {
            return Ok(expr);
        }
        match iso::parse_timestamp(text.trim().as_bytes()) {
            Some(ms) => Ok(literal(Value::Bigint(ms), SqlType::Bigint)),
            None => Err(bad_text(&self.shown(&expr), &SqlType::Timestamp).at(span)),
        }
    }

    fn no_comparison(&self, left: &Expr, right: &Expr) -> Error {
        let (a, b) = (self.describe(left), self.describe(right));
        let name = self.shown(left);
        Error::statement(format!("{a}, {b}: these cannot be compared"))
            .hint(format!("CAST({name} AS {}), or the other way round", right.ty))
    }

    pub(super) fn between(
        &self,
        operand: &ast::Expr,
        low: &ast::Expr,
        high: &ast::Expr,
        negated: bool,
    ) -> Result<Expr> {
        let above = self.comparison(BinaryOp::GreaterEq, self.operand(operand)?, self.operand(low)?)?;
        let below = self.comparison(BinaryOp::LessEq, self.operand(operand)?, self.operand(high)?)?;
        let both =
            super::fold(binary(BinaryOp::And, super::fold(above), super::fold(below), SqlType::Boolean));
        Ok(negate(both, negated))
    }

    pub(super) fn membership(&self, operand: Operand, mut list: Vec<Operand>, negated: bool) -> Result<Expr> {
        let Some(expr) = operand.expr else { return Err(comparison_with_null().at(operand.span)) };
        for item in &mut list {
            if let Some(value) = item.expr.take() {
                item.expr = Some(self.as_rowtime(value, &expr, item.span)?);
            }
        }
        list.insert(0, Operand { expr: Some(expr), span: operand.span });
        let (mut exprs, _) = self.unify(list, "the values before it in IN", Literals::All)?;
        let operand = Box::new(exprs.remove(0));
        Ok(boolean(ExprKind::In { operand, list: exprs, negated }))
    }

    pub(super) fn like(
        &self,
        operand: Operand,
        pattern: Operand,
        escape: Option<char>,
        negated: bool,
    ) -> Result<Expr> {
        if operand.expr.is_none() || pattern.expr.is_none() {
            return Err(comparison_with_null().at(operand.span.to(pattern.span)));
        }
        let operand = Box::new(self.need(operand, &SqlType::Varchar, "LIKE")?);
        let pattern = Box::new(self.need(pattern, &SqlType::Varchar, "LIKE")?);
        Ok(boolean(ExprKind::Like { operand, pattern, escape, negated }))
    }

    pub(super) fn case(
        &self,
        operand: Option<&ast::Expr>,
        branches: &[(ast::Expr, ast::Expr)],
        otherwise: Option<&ast::Expr>,
    ) -> Result<Expr> {
        let mut conditions = Vec::with_capacity(branches.len());
        let mut values = Vec::with_capacity(branches.len() + 1);
        for (when, then) in branches {
            conditions.push(match operand {
                None => self.condition(when, "WHEN")?,
                Some(operand) => {
                    super::fold(self.comparison(BinaryOp::Eq, self.operand(operand)?, self.operand(when)?)?)
                }
            });
            values.push(self.operand(then)?);
        }
        if let Some(otherwise) = otherwise {
            values.push(self.operand(otherwise)?);
        }
        let (mut values, ty) = self.unify(values, "the branches of CASE", Literals::Times)?;
        let otherwise = otherwise.and_then(|_| values.pop()).map(Box::new);
        let branches = conditions.into_iter().zip(values).collect();
        Ok(Expr { kind: ExprKind::Case { branches, otherwise }, ty })
    }
}

fn comparison_with_null() -> Error {
    Error::statement("a comparison with NULL is never true").hint("IS NULL, or IS NOT NULL")
}

fn is_decimal(ty: &SqlType) -> bool {
    matches!(ty, SqlType::Decimal { .. })
}

fn is_ordered(ty: &SqlType) -> bool {
    ty.is_numeric() || is_temporal(ty) || matches!(ty, SqlType::Varchar | SqlType::Bytes)
}

/// INT and BIGINT as the DECIMAL that holds all of them.
fn to_decimal(expr: Expr) -> Expr {
    match expr.ty {
        SqlType::Int => types::cast(expr, &decimal::INT_AS_DECIMAL),
        SqlType::Bigint => types::cast(expr, &decimal::BIGINT_AS_DECIMAL),
        _ => expr,
    }
}
