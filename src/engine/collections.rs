//! How many elements the lists and sets of aggregates show: what the session says of it.

use super::session::Session;
use crate::aggregate::Spec;
use crate::error::{Error, Result, Span};
use crate::expr::{Expr, ExprKind, RowOf, Scope, bind, rewrite};
use crate::plan::{SelectPlan, Shape};
use crate::sql::ast::{self, Ident, Literal};
use crate::types::{ColumnDef, Part, Schema, SqlType};

pub const LIST_LIMIT: &str = "ksql.functions.collect_list.limit";
pub const SET_LIMIT: &str = "ksql.functions.collect_set.limit";

/// Cuts what COLLECT_LIST and COLLECT_SET give to so many elements, the first that came.
pub(super) fn limit(select: &mut SelectPlan, session: &Session) -> Result<()> {
    let (list, set) = (number(session, LIST_LIMIT)?, number(session, SET_LIMIT)?);
    let Shape::Aggregate(aggregation) = &mut select.shape else { return Ok(()) };
    let first = aggregation.intermediate().len() - aggregation.calls.len();
    let mut cuts: Vec<Option<Expr>> = Vec::new();
    for (call, column) in aggregation.calls.iter().zip(first..) {
        let most = match call.spec {
            Spec::CollectList => list,
            Spec::CollectSet => set,
            _ => None,
        };
        cuts.push(most.map(|most| cut(column, &call.returns, most)).transpose()?);
    }
    let mut replace = |expr: &Expr| match expr.kind {
        ExprKind::Column(column) => cuts.get(column.checked_sub(first)?)?.clone(),
        _ => None,
    };
    for expr in aggregation.post.iter_mut().chain(&mut aggregation.having) {
        *expr = rewrite(expr, &mut replace);
    }
    Ok(())
}

/// `None`: nobody has said.
pub(super) fn number(session: &Session, property: &str) -> Result<Option<i32>> {
    let Some(text) = session.properties.get(property) else { return Ok(None) };
    match text.parse() {
        Ok(number @ 1..) => Ok(Some(number)),
        _ => Err(Error::statement(format!("{property} cannot be '{text}'"))
            .hint("a whole number above 0; UNSET takes the limit away")),
    }
}

/// The first elements of the list in a column.
fn cut(column: usize, ty: &SqlType, most: i32) -> Result<Expr> {
    let schema = Schema { columns: vec![ColumnDef { name: "L".into(), ty: ty.clone(), part: Part::Value }] };
    let span = Span::default();
    let of = |kind| ast::Expr { kind, span };
    let args = vec![
        of(ast::ExprKind::Column { qualifier: None, name: "L".into() }),
        of(ast::ExprKind::Literal(Literal::Integer(1))),
        of(ast::ExprKind::Literal(Literal::Integer(most.into()))),
    ];
    let call = |name: &str, args| of(ast::ExprKind::Call { name: Ident { name: name.into(), span }, args });
    // A list that is shorter has no such slice.
    let list = args[0].clone();
    let call = call("COALESCE", vec![call("SLICE", args), list]);
    let bound = bind(&call, &Scope::of(&schema, Vec::new(), RowOf::Nothing))?;
    let own = Expr { kind: ExprKind::Column(column), ty: ty.clone() };
    Ok(rewrite(&bound, &mut |expr| matches!(expr.kind, ExprKind::Column(_)).then(|| own.clone())))
}
