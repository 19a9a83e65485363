//! What a query must keep to before it may run.

use crate::catalog::Source;
use crate::error::{Error, Result};
use crate::expr::coerce;
use crate::expr::compile::compile;
use crate::expr::{Expr, ExprKind};
use crate::plan::{SelectPlan, Shape};
use crate::render::derive;
use crate::sql::ast::{self, SourceKind};

pub(super) fn check_compiles(select: &SelectPlan) -> Result<()> {
    let (exprs, having): (Vec<&Expr>, _) = match &select.shape {
        Shape::Project(exprs) => (exprs.iter().collect(), None),
        Shape::Aggregate(a) => (
            a.keys.iter().chain(a.calls.iter().flat_map(|c| &c.args)).chain(&a.post).collect(),
            a.having.as_ref(),
        ),
    };
    let mut of_joins = Vec::new();
    select.from.each_key(&mut |key| of_joins.push(key));
    let exprs = exprs.into_iter().chain(having).chain(&select.filter).chain(of_joins);
    exprs.into_iter().try_for_each(|e| compile(e).map(|_| ()))
}

pub(super) fn check_persistent(query: &ast::Query) -> Result<()> {
    if query.limit.is_some() {
        return Err(Error::statement("LIMIT ends a query, and this one goes on")
            .at(query.span)
            .hint("leave LIMIT out"));
    }
    if let Some(first) = query.order_by.first() {
        return Err(Error::statement("ORDER BY needs an answer that ends, and this query goes on")
            .at(first.expr.span)
            .hint("ORDER BY in the SELECT that asks"));
    }
    Ok(())
}

pub(super) fn check_shape(
    kind: SourceKind,
    sources: &[Source],
    select: &SelectPlan,
    query: &ast::Query,
) -> Result<()> {
    let grouped = matches!(select.shape, Shape::Aggregate(_));
    let names = || sources.iter().map(|source| source.name.as_str()).collect::<Vec<_>>().join(", ");
    let of_tables = sources.iter().all(|source| source.kind == SourceKind::Table);
    let read = if of_tables { SourceKind::Table } else { SourceKind::Stream };
    match (kind, read) {
        (SourceKind::Stream, SourceKind::Table) => {
            return Err(Error::statement(format!("a stream cannot be made from the table {}", names()))
                .at(query.from.span)
                .hint("CREATE TABLE … AS SELECT"));
        }
        (SourceKind::Stream, _) if grouped => {
            return Err(Error::statement("an aggregate makes a table")
                .at(query.span)
                .hint("CREATE TABLE … AS SELECT"));
        }
        (SourceKind::Table, SourceKind::Stream) if !grouped => {
            return Err(Error::statement("a table from a stream needs GROUP BY")
                .at(query.span)
                .hint("CREATE STREAM … AS SELECT, or GROUP BY a key"));
        }
        _ => {}
    }
    if let (SourceKind::Table, Some(text)) = (read, order_sensitive(select)) {
        let what = format!("{text} needs an order of arrival, and {} is a table", names());
        return Err(Error::statement(what).at(query.span));
    }
    if let Shape::Aggregate(aggregation) = &select.shape {
        if aggregation.keys.is_empty() {
            return Err(Error::statement("a maintained table needs GROUP BY")
                .at(query.span)
                .hint("GROUP BY a column; SELECT without GROUP BY answers once"));
        }
        for (i, _) in aggregation.keys.iter().enumerate() {
            if !aggregation.post.iter().any(|e| e.kind == ExprKind::Column(i)) {
                let key = query.group_by.get(i).map_or(query.span, |e| e.span);
                return Err(Error::statement("this GROUP BY key is missing from the SELECT list")
                    .at(key)
                    .hint("add it: a table's rows carry their key"));
            }
        }
    }
    if kind == SourceKind::Table && select.columns.iter().all(|c| !c.is_key()) {
        return Err(Error::statement("a table's rows need their key")
            .at(query.span)
            .hint("add the key columns to the SELECT list"));
    }
    Ok(())
}

pub(super) fn order_sensitive(select: &SelectPlan) -> Option<String> {
    match &select.shape {
        Shape::Aggregate(aggregation) => derive::order_sensitive(aggregation).map(String::from),
        Shape::Project(_) => None,
    }
}

/// Why nothing can be inserted into a column.
pub(super) fn from_headers(target: &Source, column: &str) -> Error {
    let (of, name) = (&target.topic, &target.name);
    Error::statement(format!("column {column} of {name} holds headers of topic {of}, which are only read"))
}

/// Puts an INSERT's columns in the target's order, by name.
pub(super) fn fit(select: SelectPlan, target: &Source, query: &ast::Query) -> Result<SelectPlan> {
    let Shape::Project(exprs) = &select.shape else {
        return Err(Error::statement("INSERT INTO … SELECT cannot aggregate").at(query.span));
    };
    let at = |e: Error| e.at(query.span);
    if let Some(column) = target.schema.headers().next() {
        let hint = "declare its topic once more without that column, and insert into that stream";
        return Err(at(from_headers(target, &column.name)).hint(hint));
    }
    if let Some(extra) = select.columns.iter().find(|c| target.schema.index_of(&c.name).is_none()) {
        return Err(at(Error::statement(format!("{} has no column {}", target.name, extra.name)))
            .hint("name the columns as the target does, with AS"));
    }
    let mut fitted = Vec::new();
    for column in &target.schema.columns {
        let Some(i) = select.columns.iter().position(|c| c.name == column.name) else {
            return Err(at(Error::statement(format!(
                "column {} of {} is missing from the SELECT list",
                column.name, target.name
            ))));
        };
        if select.columns[i].part != column.part {
            let (is, hint) = if column.is_key() {
                ("the key of", format!("PARTITION BY {}", column.name))
            } else {
                ("not the key of", "leave it out of PARTITION BY".to_string())
            };
            return Err(
                at(Error::statement(format!("column {} is {is} {}", column.name, target.name))).hint(hint)
            );
        }
        let from = exprs[i].ty.clone();
        let expr = coerce(exprs[i].clone(), &column.ty).ok_or_else(|| {
            at(Error::statement(format!(
                "column {} of {} is {}, the SELECT gives {from}",
                column.name, target.name, column.ty
            )))
            .hint(format!("CAST(… AS {})", column.ty))
        })?;
        fitted.push(expr);
    }
    Ok(SelectPlan { columns: target.schema.columns.clone(), shape: Shape::Project(fitted), ..select })
}
