//! Walking and rewriting bound expressions: what planners use to move them over other rows.

use super::{Expr, ExprKind};

impl Expr {
    /// The operands, in the order they are evaluated. Of a lambda that is what it captures: the columns in
    /// its body are those of other rows.
    pub fn children(&self) -> Vec<&Expr> {
        match &self.kind {
            ExprKind::Column(_) | ExprKind::Pseudo(_) | ExprKind::Literal(_) => Vec::new(),
            ExprKind::Negate(e) | ExprKind::Not(e) | ExprKind::Cast(e) => vec![e],
            ExprKind::IsNull { operand, .. } | ExprKind::Field { base: operand, .. } => vec![operand],
            ExprKind::Binary { left, right, .. } => vec![left, right],
            ExprKind::In { operand, list, .. } => std::iter::once(&**operand).chain(list).collect(),
            ExprKind::Like { operand, pattern, .. } => vec![operand, pattern],
            ExprKind::Case { branches, otherwise } => {
                branches.iter().flat_map(|(when, then)| [when, then]).chain(otherwise.as_deref()).collect()
            }
            ExprKind::Subscript { base, index } => vec![base, index],
            ExprKind::Call { args, .. } | ExprKind::Array(args) | ExprKind::Struct(args) => {
                args.iter().collect()
            }
            ExprKind::Map(entries) => entries.iter().flat_map(|(k, v)| [k, v]).collect(),
            ExprKind::Lambda(lambda) => lambda.captured.iter().collect(),
        }
    }

    fn children_mut(&mut self) -> Vec<&mut Expr> {
        match &mut self.kind {
            ExprKind::Column(_) | ExprKind::Pseudo(_) | ExprKind::Literal(_) => Vec::new(),
            ExprKind::Negate(e) | ExprKind::Not(e) | ExprKind::Cast(e) => vec![e],
            ExprKind::IsNull { operand, .. } | ExprKind::Field { base: operand, .. } => vec![operand],
            ExprKind::Binary { left, right, .. } => vec![left, right],
            ExprKind::In { operand, list, .. } => std::iter::once(&mut **operand).chain(list).collect(),
            ExprKind::Like { operand, pattern, .. } => vec![operand, pattern],
            ExprKind::Case { branches, otherwise } => branches
                .iter_mut()
                .flat_map(|(when, then)| [when, then])
                .chain(otherwise.as_deref_mut())
                .collect(),
            ExprKind::Subscript { base, index } => vec![base, index],
            ExprKind::Call { args, .. } | ExprKind::Array(args) | ExprKind::Struct(args) => {
                args.iter_mut().collect()
            }
            ExprKind::Map(entries) => entries.iter_mut().flat_map(|(k, v)| [k, v]).collect(),
            ExprKind::Lambda(lambda) => lambda.captured.iter_mut().collect(),
        }
    }
}

/// Calls `visit` with the index of every column that the expression reads; an index may come twice.
pub fn references(expr: &Expr, visit: &mut impl FnMut(usize)) {
    if let ExprKind::Column(index) = &expr.kind {
        visit(*index);
    }
    for child in expr.children() {
        references(child, visit);
    }
}

/// Replaces subexpressions, outermost first: where `f` gives one, it stands as it is; its operands and
/// those of what it replaced are not looked at. Neither are the bodies of lambdas.
pub fn rewrite(expr: &Expr, f: &mut dyn FnMut(&Expr) -> Option<Expr>) -> Expr {
    let mut result = expr.clone();
    rewrite_in_place(&mut result, f, false);
    result
}

/// [`rewrite`] that goes into the bodies of lambdas too, where columns are those of other rows.
pub fn rewrite_everywhere(expr: &Expr, f: &mut dyn FnMut(&Expr) -> Option<Expr>) -> Expr {
    let mut result = expr.clone();
    rewrite_in_place(&mut result, f, true);
    result
}

fn rewrite_in_place(expr: &mut Expr, f: &mut dyn FnMut(&Expr) -> Option<Expr>, bodies: bool) {
    if let Some(replacement) = f(expr) {
        *expr = replacement;
        return;
    }
    expr.children_mut().into_iter().for_each(|child| rewrite_in_place(child, f, bodies));
    if let (ExprKind::Lambda(lambda), true) = (&mut expr.kind, bodies) {
        rewrite_in_place(&mut lambda.body, f, bodies);
    }
}
