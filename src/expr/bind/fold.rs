//! Constant folding: an operator on literals is evaluated when it is bound.

use super::literal;
use crate::batch::{Batch, Origin};
use crate::expr::{Expr, ExprKind, Notes, compile};
use crate::value::Value;

/// The literal that an operator on literals yields. What would leave a note stays as it is, so that
/// the note names rows; calls stay, so that EXPLAIN shows them as they were written.
pub(super) fn fold(expr: Expr) -> Expr {
    let constant = match &expr.kind {
        ExprKind::Column(_) | ExprKind::Pseudo(_) | ExprKind::Literal(_) => false,
        ExprKind::Call { .. } | ExprKind::Lambda(_) => false,
        _ => expr.children().iter().all(|child| matches!(child.kind, ExprKind::Literal(_))),
    };
    match constant.then(|| evaluate(&expr)).flatten() {
        Some(value) => literal(value, expr.ty),
        None => expr,
    }
}

fn evaluate(expr: &Expr) -> Option<Value> {
    let batch = Batch { len: 1, columns: Vec::new(), origin: Origin::none(1), deleted: None };
    let mut notes = Notes::default();
    let column = compile(expr).ok()?.eval(&batch, &mut notes);
    notes.notes.is_empty().then(|| column.value(0))
}
