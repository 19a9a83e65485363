//! Tests of binding and evaluation together: syntax in, text of values and notes out.

mod binding;
mod evaluation;
mod functions;
mod oracle;

use super::{Expr, Notes, RowOf, Scope, bind, compile};
use crate::batch::{Batch, Column, Origin, Partitions, SourcePartition, Timestamps};
use crate::error::{Result, Span};
use crate::sql::ast::{self, BinaryOp, ExprKind, Ident, Literal, UnaryOp};
use crate::types::{ColumnDef, Part, Schema, SqlType, StructField};
use crate::value::Value;

/// Syntax without places.
pub fn syntax(kind: ExprKind) -> ast::Expr {
    ast::Expr { kind, span: Span::default() }
}

pub fn ident(name: &str) -> Ident {
    Ident { name: name.to_string(), span: Span::default() }
}

pub fn col(name: &str) -> ast::Expr {
    syntax(ExprKind::Column { qualifier: None, name: name.to_string() })
}

pub fn int(v: i64) -> ast::Expr {
    syntax(ExprKind::Literal(Literal::Integer(v)))
}

pub fn dec(text: &str) -> ast::Expr {
    syntax(ExprKind::Literal(Literal::Decimal(text.to_string())))
}

pub fn double(v: f64) -> ast::Expr {
    syntax(ExprKind::Literal(Literal::Double(v)))
}

pub fn text(text: &str) -> ast::Expr {
    syntax(ExprKind::Literal(Literal::String(text.to_string())))
}

pub fn truth(v: bool) -> ast::Expr {
    syntax(ExprKind::Literal(Literal::Boolean(v)))
}

pub fn null() -> ast::Expr {
    syntax(ExprKind::Literal(Literal::Null))
}

pub fn bin(left: ast::Expr, op: BinaryOp, right: ast::Expr) -> ast::Expr {
    syntax(ExprKind::Binary { op, left: Box::new(left), right: Box::new(right) })
}

pub fn not(operand: ast::Expr) -> ast::Expr {
    syntax(ExprKind::Unary { op: UnaryOp::Not, operand: Box::new(operand) })
}

pub fn minus(operand: ast::Expr) -> ast::Expr {
    syntax(ExprKind::Unary { op: UnaryOp::Minus, operand: Box::new(operand) })
}

pub fn cast(operand: ast::Expr, ty: SqlType) -> ast::Expr {
    syntax(ExprKind::Cast { operand: Box::new(operand), ty })
}

pub fn within(operand: ast::Expr, list: Vec<ast::Expr>, negated: bool) -> ast::Expr {
    syntax(ExprKind::In { operand: Box::new(operand), list, negated })
}

pub fn like(operand: ast::Expr, pattern: ast::Expr, negated: bool) -> ast::Expr {
    syntax(ExprKind::Like { operand: Box::new(operand), pattern: Box::new(pattern), escape: None, negated })
}

pub fn field(base: ast::Expr, name: &str) -> ast::Expr {
    syntax(ExprKind::Field { base: Box::new(base), field: ident(name) })
}

pub fn at(base: ast::Expr, index: ast::Expr) -> ast::Expr {
    syntax(ExprKind::Subscript { base: Box::new(base), index: Box::new(index) })
}

pub fn case(branches: Vec<(ast::Expr, ast::Expr)>, otherwise: Option<ast::Expr>) -> ast::Expr {
    syntax(ExprKind::Case { operand: None, branches, otherwise: otherwise.map(Box::new) })
}

pub fn call(name: &str, args: Vec<ast::Expr>) -> ast::Expr {
    syntax(ExprKind::Call { name: ident(name), args })
}

pub fn structs(fields: Vec<(&str, ast::Expr)>) -> ast::Expr {
    syntax(ExprKind::Struct(fields.into_iter().map(|(name, value)| (ident(name), value)).collect()))
}

pub fn decimal(precision: u8, scale: u8) -> SqlType {
    SqlType::Decimal { precision, scale }
}

/// The columns that tests know.
pub fn schema() -> Schema {
    let fields = vec![
        StructField { name: "X".to_string(), ty: SqlType::Int },
        StructField { name: "lat".to_string(), ty: SqlType::Double },
    ];
    let columns = [
        ("A", SqlType::Int),
        ("B", SqlType::Int),
        ("L", SqlType::Bigint),
        ("M", SqlType::Bigint),
        ("D", SqlType::Double),
        ("E", SqlType::Double),
        ("P", decimal(5, 2)),
        ("Q", decimal(6, 3)),
        ("S", SqlType::Varchar),
        ("T", SqlType::Varchar),
        ("F", SqlType::Boolean),
        ("G", SqlType::Boolean),
        ("DAY", SqlType::Date),
        ("CLOCK", SqlType::Time),
        ("SEEN", SqlType::Timestamp),
        ("LIST", SqlType::Array(Box::new(SqlType::Int))),
        ("DICT", SqlType::Map(Box::new(SqlType::Varchar), Box::new(SqlType::Int))),
        ("POINT", SqlType::Struct(fields)),
        ("RAW", SqlType::Bytes),
    ];
    Schema::new(columns.map(|(name, ty)| ColumnDef { name: name.to_string(), ty, part: Part::Value }))
}

pub fn bound(expr: &ast::Expr) -> Result<Expr> {
    let schema = schema();
    bind(expr, &Scope::of(&schema, vec!["PARKS", "P1"], RowOf::Record))
}

pub fn names() -> Vec<String> {
    schema().columns.into_iter().map(|c| c.name).collect()
}

/// A batch of rows; the columns named in `constant` hold the value of the first row throughout.
pub fn batch(rows: &[Vec<Value>], constant: &[usize]) -> Batch {
    let columns = schema()
        .columns
        .iter()
        .enumerate()
        .map(|(i, column)| match constant.contains(&i) && !rows.is_empty() {
            true => Column::Const(Value::array(&column.ty, std::iter::once(&rows[0][i]))),
            false => Column::Array(Value::array(&column.ty, rows.iter().map(|row| &row[i]))),
        })
        .collect();
    Batch {
        len: rows.len(),
        columns,
        origin: Origin {
            rowtime: Timestamps::All(1_577_836_800_000),
            partitions: Partitions::One(SourcePartition { source: 0, partition: 3 }),
            offsets: (0..rows.len() as i64).collect::<Vec<_>>().into(),
            ..Origin::none(rows.len())
        },
        deleted: None,
    }
}

/// Values by column name, the others NULL.
pub fn row(values: &[(&str, Value)]) -> Vec<Value> {
    let find = |name: &String| values.iter().find(|(n, _)| n == name).map(|(_, v)| v.clone());
    names().iter().map(|name| find(name).unwrap_or(Value::Null)).collect()
}

/// Evaluates over rows: the values, and `row: reason` of each note.
pub fn run(expr: &ast::Expr, rows: &[Vec<Value>]) -> (Vec<Value>, Vec<String>) {
    let bound = bound(expr).unwrap_or_else(|e| panic!("{e}"));
    let mut notes = Notes::default();
    let column = compile(&bound).unwrap_or_else(|e| panic!("{e}")).eval(&batch(rows, &[]), &mut notes);
    let values = (0..rows.len()).map(|i| column.value(i)).collect();
    (values, notes.notes.iter().map(|n| format!("{}: {}", n.row, n.reason)).collect())
}
