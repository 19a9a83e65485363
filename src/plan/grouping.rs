//! Binds what stands behind a grouping: expressions over its keys, its window's bounds and its aggregates.
//!
//! Every part of such an expression is bound against the input first; where that gives a key, it stands
//! for the key's column of the result, whatever it looks like in the text.

use super::{Aggregation, Call, Window};
use crate::aggregate;
use crate::error::{Error, Result};
use crate::expr::function::Arg;
use crate::expr::{Expr, ExprKind, RowOf, Scope, bind, coerce, display};
use crate::plan::items::Item;
use crate::sql::ast::{self, ExprKind as Ast};
use crate::types::{BOUNDS, ColumnDef, Part, Schema, SqlType, quote};
use crate::value::Value;

pub struct Grouping<'a> {
    scope: &'a Scope<'a>,
    items: &'a [Item],
    keys: Vec<Expr>,
    windowed: bool,
    calls: Vec<Call>,
    /// The columns of the result, named as messages show them.
    schema: Schema,
}

impl<'a> Grouping<'a> {
    /// `exprs`: all that will be bound, to find the aggregates in them.
    pub fn new<'e>(
        keys: Vec<Expr>,
        windowed: bool,
        scope: &'a Scope<'a>,
        items: &'a [Item],
        exprs: impl Iterator<Item = &'e ast::Expr>,
    ) -> Result<Grouping<'a>> {
        let mut grouping =
            Grouping { scope, items, keys, windowed, calls: Vec::new(), schema: Schema::default() };
        for expr in exprs {
            for call in aggregates(expr) {
                let call = grouping.call(call)?;
                if !grouping.calls.contains(&call) {
                    grouping.calls.push(call);
                }
            }
        }
        grouping.schema = grouping.result();
        Ok(grouping)
    }

    fn result(&self) -> Schema {
        let names: Vec<String> = self.scope.schema.columns.iter().map(|c| c.name.clone()).collect();
        let column = |name: String, ty: SqlType| ColumnDef { name, ty, part: Part::Value };
        let keys = self.keys.iter().map(|key| column(display(key, &names), key.ty.clone()));
        let bounds = BOUNDS.iter().filter(|_| self.windowed);
        let bounds = bounds.map(|name| column(name.to_string(), SqlType::Bigint));
        let shown = |call: &Call| {
            let args: Vec<String> = call.args.iter().map(|arg| display(arg, &names)).collect();
            format!("{}({})", call.text, if args.is_empty() { "*".into() } else { args.join(", ") })
        };
        let calls = self.calls.iter().map(|call| column(shown(call), call.returns.clone()));
        Schema { columns: keys.chain(bounds).chain(calls).collect() }
    }

    pub fn is_key(&self, expr: &Expr) -> bool {
        matches!(expr.kind, ExprKind::Column(i) if i < self.keys.len())
    }

    /// An expression over the grouping's result.
    pub fn bind(&self, expr: &ast::Expr) -> Result<Expr> {
        let replace = |expr: &ast::Expr| self.replace(expr, true);
        self.bind_replacing(expr, &replace)
    }

    fn bind_replacing(
        &self,
        expr: &ast::Expr,
        replace: &dyn Fn(&ast::Expr) -> Option<Result<Expr>>,
    ) -> Result<Expr> {
        let scope =
            Scope { schema: &self.schema, sources: Vec::new(), of: RowOf::Nothing, replace: Some(replace) };
        bind(expr, &scope)
    }

    /// What a part of an expression stands for; `None`: its parts do.
    fn replace(&self, expr: &ast::Expr, aliases: bool) -> Option<Result<Expr>> {
        if is_aggregate(expr) {
            return Some(self.call(expr).map(|call| {
                let found = self.calls.iter().position(|known| *known == call);
                self.column(self.first_call() + found.expect("all calls were collected"))
            }));
        }
        if let Some(bound) = self.bound_of_window(expr) {
            return Some(Ok(bound));
        }
        if !aggregates(expr).is_empty() {
            return None;
        }
        let alone = bind(expr, self.scope);
        if let Ok(bound) = &alone
            && let Some(key) = self.keys.iter().position(|key| key == bound)
        {
            return Some(Ok(self.column(key)));
        }
        let Ast::Column { qualifier, name } = &expr.kind else { return None };
        match alone {
            Ok(_) => Some(Err(ungrouped(name).at(expr.span))),
            Err(error) => {
                let item = self.items.iter().find(|item| item.name == *name).filter(|_| qualifier.is_none());
                match item.filter(|_| aliases) {
                    // An alias means what it was given to; in there it is a column or nothing.
                    Some(item) => {
                        let replace = |expr: &ast::Expr| self.replace(expr, false);
                        Some(self.bind_replacing(&item.expr, &replace))
                    }
                    None => Some(Err(error)),
                }
            }
        }
    }

    fn first_call(&self) -> usize {
        self.keys.len() + if self.windowed { BOUNDS.len() } else { 0 }
    }

    fn bound_of_window(&self, expr: &ast::Expr) -> Option<Expr> {
        let Ast::Column { qualifier, name } = &expr.kind else { return None };
        let bound = BOUNDS.iter().position(|bound| bound == name).filter(|_| self.windowed)?;
        let of_source = !self.scope.columns(qualifier.as_deref(), name).is_empty();
        (!of_source).then(|| self.column(self.keys.len() + bound))
    }

    fn column(&self, index: usize) -> Expr {
        Expr { kind: ExprKind::Column(index), ty: self.schema.columns[index].ty.clone() }
    }

    fn call(&self, expr: &ast::Expr) -> Result<Call> {
        let (name, args, span) = match &expr.kind {
            Ast::Call { name, args } => (name.name.as_str(), args.as_slice(), name.span),
            _ => ("COUNT", &[][..], expr.span),
        };
        let aggregate = aggregate::find(name)
            .ok_or_else(|| Error::statement(format!("unknown aggregate {name}")).at(span))?;
        let mut bound = Vec::new();
        for arg in args {
            if let Some(inner) = aggregates(arg).first() {
                return Err(Error::statement("an aggregate cannot hold another aggregate").at(inner.span));
            }
            bound.push(bind(arg, self.scope)?);
        }
        let literals: Vec<Option<Value>> = bound
            .iter()
            .map(|b| if let ExprKind::Literal(v) = &b.kind { Some(v.clone()) } else { None })
            .collect();
        let described: Vec<Arg> =
            bound.iter().zip(&literals).map(|(b, l)| Arg { ty: Some(&b.ty), literal: l.as_ref() }).collect();
        let overload = (aggregate.resolve)(&described)
            .map_err(|why| Error::statement(format!("{name}: {why}")).at(expr.span).hint(aggregate.usage))?;
        let coerced = |(ty, arg): (&SqlType, Expr)| {
            let from = arg.ty.clone();
            let misfit = || Error::statement(format!("{name} takes {ty} here, not {from}")).at(expr.span);
            coerce(arg, ty).ok_or_else(misfit)
        };
        let args = overload.args.iter().zip(bound).map(coerced).collect::<Result<_>>()?;
        let args = overload.pack.apply(args);
        Ok(Call { text: name.to_string(), spec: overload.spec, args, returns: overload.returns })
    }

    pub fn finish(self, window: Option<Window>, having: Option<Expr>, post: Vec<Expr>) -> Aggregation {
        Aggregation { keys: self.keys, window, calls: self.calls, having, post, keeps_nulls: false }
    }
}

/// Of a column that exists, and has many values in a group.
fn ungrouped(name: &str) -> Error {
    Error::statement(format!("column {} is neither in GROUP BY nor inside an aggregate", quote(name)))
        .hint(format!("add it to GROUP BY, or write LATEST_BY_OFFSET({})", quote(name)))
}

fn is_aggregate(expr: &ast::Expr) -> bool {
    match &expr.kind {
        Ast::CountStar => true,
        Ast::Call { name, .. } => aggregate::find(&name.name).is_some(),
        _ => false,
    }
}

/// The aggregates in an expression, those in their arguments included, outermost first.
pub fn aggregates(expr: &ast::Expr) -> Vec<&ast::Expr> {
    let mut found = Vec::new();
    ast::walk(expr, &mut |e| {
        if is_aggregate(e) {
            found.push(e);
        }
    });
    found
}
