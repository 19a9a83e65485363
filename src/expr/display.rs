//! Bound expressions as SQL text, for EXPLAIN and error messages.

use super::{Expr, ExprKind, Lambda, cast};
use crate::sql::ast::BinaryOp;
use crate::types::{SqlType, quote};
use crate::value::Value;

/// The expression as text; `names` are the columns that indices stand for.
pub fn display(expr: &Expr, names: &[String]) -> String {
    let mut out = String::new();
    Printer { names, out: &mut out }.expr(expr, 0);
    out
}

impl std::fmt::Display for Expr {
    /// With `#1` for the second column; [`display`] knows names.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&display(self, &[]))
    }
}

struct Printer<'a> {
    names: &'a [String],
    out: &'a mut String,
}

/// How tightly an operator binds; operands that bind less get parentheses.
fn strength(expr: &Expr) -> u8 {
    match &expr.kind {
        ExprKind::Binary { op, .. } => match op {
            BinaryOp::Or => 1,
            BinaryOp::And => 2,
            BinaryOp::Plus | BinaryOp::Minus | BinaryOp::Concat => 5,
            BinaryOp::Multiply | BinaryOp::Divide | BinaryOp::Modulo => 6,
            _ => 4,
        },
        ExprKind::Not(_) => 3,
        ExprKind::In { .. } | ExprKind::Like { .. } | ExprKind::IsNull { .. } => 4,
        ExprKind::Negate(_) => 7,
        _ => 9,
    }
}

impl Printer<'_> {
    fn text(&mut self, text: &str) {
        self.out.push_str(text);
    }

    /// Prints with parentheses when the expression binds less than `least`.
    fn expr(&mut self, expr: &Expr, least: u8) {
        let open = strength(expr) < least;
        self.text(if open { "(" } else { "" });
        self.bare(expr);
        self.text(if open { ")" } else { "" });
    }

    fn list<'e>(&mut self, items: impl IntoIterator<Item = &'e Expr>) {
        for (i, item) in items.into_iter().enumerate() {
            self.text(if i > 0 { ", " } else { "" });
            self.expr(item, 0);
        }
    }

    fn bare(&mut self, expr: &Expr) {
        match &expr.kind {
            ExprKind::Column(index) => match self.names.get(*index) {
                Some(name) => self.text(&quote(name)),
                None => self.text(&format!("#{index}")),
            },
            ExprKind::Pseudo(pseudo) => self.text(pseudo.name()),
            ExprKind::Literal(value) => self.text(&literal(value, &expr.ty)),
            ExprKind::Negate(operand) => {
                self.text("-");
                self.expr(operand, 8);
            }
            ExprKind::Not(operand) => {
                self.text("NOT ");
                self.expr(operand, 4);
            }
            ExprKind::Binary { op, left, right } => {
                let own = strength(expr);
                self.expr(left, if own == 4 { 5 } else { own });
                self.text(&format!(" {} ", op.symbol()));
                self.expr(right, own + 1);
            }
            ExprKind::In { operand, list, negated } => {
                self.expr(operand, 5);
                self.text(if *negated { " NOT IN (" } else { " IN (" });
                self.list(list);
                self.text(")");
            }
            ExprKind::Like { operand, pattern, escape, negated } => {
                self.expr(operand, 5);
                self.text(if *negated { " NOT LIKE " } else { " LIKE " });
                self.expr(pattern, 5);
                if let Some(escape) = escape {
                    self.text(&format!(" ESCAPE {}", quoted(&escape.to_string())));
                }
            }
            ExprKind::IsNull { operand, negated } => {
                self.expr(operand, 5);
                self.text(if *negated { " IS NOT NULL" } else { " IS NULL" });
            }
            ExprKind::Case { branches, otherwise } => self.case(branches, otherwise.as_deref()),
            ExprKind::Cast(operand) => {
                self.text("CAST(");
                self.expr(operand, 0);
                self.text(&format!(" AS {})", expr.ty));
            }
            ExprKind::Field { base, index } => {
                self.expr(base, 8);
                let name = match &base.ty {
                    SqlType::Struct(fields) => fields.get(*index).map(|f| quote(&f.name)),
                    _ => None,
                };
                self.text(&format!("->{}", name.unwrap_or_else(|| index.to_string())));
            }
            ExprKind::Subscript { base, index } => {
                self.expr(base, 8);
                self.text("[");
                self.expr(index, 0);
                self.text("]");
            }
            ExprKind::Call { function, args } => {
                self.text(&format!("{function}("));
                self.list(args);
                self.text(")");
            }
            ExprKind::Array(items) => {
                self.text("ARRAY[");
                self.list(items);
                self.text("]");
            }
            ExprKind::Map(entries) => self.map(entries),
            ExprKind::Struct(values) => self.structs(values, &expr.ty),
            ExprKind::Lambda(lambda) => self.lambda(lambda),
        }
    }

    fn case(&mut self, branches: &[(Expr, Expr)], otherwise: Option<&Expr>) {
        self.text("CASE");
        for (when, then) in branches {
            self.text(" WHEN ");
            self.expr(when, 0);
            self.text(" THEN ");
            self.expr(then, 0);
        }
        if let Some(otherwise) = otherwise {
            self.text(" ELSE ");
            self.expr(otherwise, 0);
        }
        self.text(" END");
    }

    fn map(&mut self, entries: &[(Expr, Expr)]) {
        self.text("MAP(");
        for (i, (key, value)) in entries.iter().enumerate() {
            self.text(if i > 0 { ", " } else { "" });
            self.expr(key, 0);
            self.text(" := ");
            self.expr(value, 0);
        }
        self.text(")");
    }

    fn structs(&mut self, values: &[Expr], ty: &SqlType) {
        let SqlType::Struct(fields) = ty else { return };
        self.text("STRUCT(");
        for (i, (field, value)) in fields.iter().zip(values).enumerate() {
            self.text(if i > 0 { ", " } else { "" });
            self.text(&format!("{} := ", quote(&field.name)));
            self.expr(value, 0);
        }
        self.text(")");
    }
}

impl Printer<'_> {
    fn lambda(&mut self, lambda: &Lambda) {
        let params: Vec<String> = lambda.params.iter().map(|name| quote(name)).collect();
        match params.as_slice() {
            [one] => self.text(one),
            _ => self.text(&format!("({})", params.join(", "))),
        }
        self.text(" => ");
        let names = lambda.names(self.names);
        Printer { names: &names, out: self.out }.expr(&lambda.body, 0);
    }
}

impl Lambda {
    /// What the columns in the body are called, where `names` are those around it.
    pub(super) fn names(&self, names: &[String]) -> Vec<String> {
        let captured = self.captured.iter().map(|expr| match &expr.kind {
            ExprKind::Column(index) if *index < names.len() => names[*index].clone(),
            _ => display(expr, names),
        });
        self.params.iter().cloned().chain(captured).collect()
    }
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// A literal that would be read back with the same type, as far as the dialect has one.
fn literal(value: &Value, ty: &SqlType) -> String {
    match (value, ty) {
        (Value::Null, _) => format!("CAST(NULL AS {ty})"),
        (Value::Boolean(v), _) => v.to_string().to_uppercase(),
        (Value::Varchar(text), _) => quoted(text),
        (Value::Double(v), _) if !v.is_finite() => format!("CAST({} AS DOUBLE)", quoted(&cast::text(value))),
        (Value::Double(v), _) => format!("{v:E}"),
        (Value::Int(_) | Value::Bigint(_) | Value::Decimal(..), _) => cast::text(value),
        (Value::Date(_) | Value::Time(_) | Value::Timestamp(_), _) => {
            format!("{ty} {}", quoted(&cast::text(value)))
        }
        (Value::Array(items), SqlType::Array(item)) => {
            let items: Vec<String> = items.iter().map(|v| literal(v, item)).collect();
            format!("ARRAY[{}]", items.join(", "))
        }
        (Value::Map(entries), SqlType::Map(k, v)) => {
            let entries: Vec<String> = entries
                .iter()
                .map(|(key, value)| format!("{} := {}", literal(key, k), literal(value, v)))
                .collect();
            format!("MAP({})", entries.join(", "))
        }
        (Value::Struct(values), SqlType::Struct(fields)) => {
            let fields: Vec<String> = fields
                .iter()
                .zip(values)
                .map(|(field, value)| format!("{} := {}", quote(&field.name), literal(value, &field.ty)))
                .collect();
            format!("STRUCT({})", fields.join(", "))
        }
        _ => format!("CAST({} AS {ty})", quoted(&cast::text(value))),
    }
}
