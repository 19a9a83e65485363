//! Tests of the parser as a whole.

mod article;
mod display;
mod errors;
mod robust;
mod shapes;

use super::ast::{BinaryOp, Expr, ExprKind, Literal, Query, Statement};
use super::parse_statement;

fn statement(text: &str) -> Statement {
    match parse_statement(text) {
        Ok(parsed) => parsed.statement,
        Err(error) => panic!("{}", error.in_text("t.sql", text)),
    }
}

fn query(text: &str) -> Query {
    match statement(text) {
        Statement::Select(query) => query,
        other => panic!("not a query: {other:?}"),
    }
}

/// The parsed expression with all its parentheses.
fn expression(text: &str) -> String {
    let filter = query(&format!("SELECT * FROM t WHERE {text}")).filter;
    filter.map(|e| show(&e)).unwrap_or_default()
}

fn show(expr: &Expr) -> String {
    match &expr.kind {
        ExprKind::Literal(literal) => show_literal(literal),
        ExprKind::Column { qualifier: None, name } => name.clone(),
        ExprKind::Column { qualifier: Some(source), name } => format!("{source}.{name}"),
        ExprKind::Field { base, field } => format!("{}->{}", show(base), field.name),
        ExprKind::Subscript { base, index } => format!("{}[{}]", show(base), show(index)),
        ExprKind::Unary { op, operand } => format!("({op:?} {})", show(operand)),
        ExprKind::Binary { op, left, right } => binary(*op, left, right),
        ExprKind::Between { operand, low, high, negated } => {
            format!("({}{} BETWEEN {} AND {})", show(operand), not(*negated), show(low), show(high))
        }
        ExprKind::In { operand, list, negated } => {
            format!("({}{} IN {})", show(operand), not(*negated), show_list(list))
        }
        ExprKind::Like { operand, pattern, escape, negated } => {
            format!("({}{} LIKE {} {escape:?})", show(operand), not(*negated), show(pattern))
        }
        ExprKind::IsNull { operand, negated } => format!("({} IS{} NULL)", show(operand), not(*negated)),
        ExprKind::Case { operand, branches, otherwise } => {
            let operand = operand.as_ref().map(|e| show(e)).unwrap_or_default();
            let branches: Vec<_> =
                branches.iter().map(|(w, t)| format!("{}: {}", show(w), show(t))).collect();
            let otherwise = otherwise.as_ref().map(|e| show(e)).unwrap_or_default();
            format!("CASE({operand}; {}; {otherwise})", branches.join(", "))
        }
        ExprKind::Cast { operand, ty } => format!("CAST({} AS {ty})", show(operand)),
        ExprKind::Call { name, args } => format!("{}{}", name.name, show_list(args)),
        ExprKind::CountStar => "COUNT(*)".to_string(),
        ExprKind::Array(items) => format!("ARRAY{}", show_list(items)),
        ExprKind::Map(entries) => {
            let entries: Vec<_> =
                entries.iter().map(|(k, v)| format!("{} := {}", show(k), show(v))).collect();
            format!("MAP({})", entries.join(", "))
        }
        ExprKind::Struct(fields) => {
            let fields: Vec<_> = fields.iter().map(|(n, v)| format!("{} := {}", n.name, show(v))).collect();
            format!("STRUCT({})", fields.join(", "))
        }
        ExprKind::Lambda { params, body } => {
            let params: Vec<_> = params.iter().map(|p| p.name.as_str()).collect();
            format!("(({}) => {})", params.join(", "), show(body))
        }
    }
}

fn binary(op: BinaryOp, left: &Expr, right: &Expr) -> String {
    format!("({} {} {})", show(left), op.symbol(), show(right))
}

fn not(negated: bool) -> &'static str {
    if negated { " NOT" } else { "" }
}

fn show_list(list: &[Expr]) -> String {
    format!("({})", list.iter().map(show).collect::<Vec<_>>().join(", "))
}

fn show_literal(literal: &Literal) -> String {
    match literal {
        Literal::Null => "NULL".to_string(),
        Literal::Boolean(value) => value.to_string(),
        Literal::Integer(value) => value.to_string(),
        Literal::Decimal(digits) => format!("{digits}m"),
        Literal::Double(value) => format!("{value}d"),
        Literal::String(text) => format!("'{text}'"),
    }
}
