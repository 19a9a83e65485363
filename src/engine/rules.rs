//! What a query must keep to before it may run.

use super::Session;
use crate::catalog::Source;
use crate::connector::Start;
use crate::error::{Error, Result};
use crate::expr::coerce;
use crate::expr::compile::compile;
use crate::expr::{Expr, ExprKind};
use crate::plan::{SelectPlan, Shape};
use crate::render::derive;
use crate::sql::ast::{self, SourceKind};
use crate::types::{ColumnDef, Part};

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

/// Names of the engine's own columns, which no stream or table can give to one of its own.
pub(super) const RESERVED: &[&str] = &["ROWTIME", "ROWPARTITION", "ROWOFFSET", "WINDOWSTART", "WINDOWEND"];

/// What the columns of a derived stream or table must keep to: names of their own, each key once, and a value.
pub(super) fn check_projection(sources: &[Source], select: &SelectPlan, query: &ast::Query) -> Result<()> {
    check_names(select, query)?;
    let keys = keys(select);
    for (i, (name, expr)) in keys.iter().enumerate() {
        if let Some((before, _)) = keys[..i].iter().find(|(_, other)| other == expr) {
            let error = Error::statement(format!("{before} and {name} are the same key column"));
            return Err(error
                .at(query.span)
                .hint("a key is there once; AS_VALUE(…) copies it into the value"));
        }
    }
    // The rows of a DISTINCT are nothing but their key.
    if !query.distinct && select.columns.iter().all(|column| column.part != Part::Value) {
        return Err(Error::statement("all columns are of the key")
            .at(query.span)
            .hint("a message needs a value: add a column, or a copy of a key with AS_VALUE(…)"));
    }
    check_key(sources, select, query)
}

/// Names that the engine gives every row are not given to others.
pub(super) fn check_names(select: &SelectPlan, query: &ast::Query) -> Result<()> {
    let is_reserved =
        |column: &&ColumnDef| column.part == Part::Value && RESERVED.contains(&column.name.as_str());
    let Some(ColumnDef { name, .. }) = select.columns.iter().find(is_reserved) else { return Ok(()) };
    Err(Error::statement(format!("{name} is a name of every record's own"))
        .at(query.span)
        .hint(format!("give the column another name: {name} AS …")))
}

/// The key columns with what they are.
fn keys(select: &SelectPlan) -> Vec<(&str, &Expr)> {
    let exprs = match &select.shape {
        Shape::Project(exprs) => exprs,
        Shape::Aggregate(aggregation) => &aggregation.post,
    };
    let keys = select.columns.iter().zip(exprs).filter(|(column, _)| column.is_key());
    keys.map(|(column, expr)| (column.name.as_str(), expr)).collect()
}

/// Whether rows keep the keys of the messages that they were made from.
pub(super) fn passes_keys(sources: &[Source], select: &SelectPlan) -> bool {
    let (Shape::Project(exprs), [source]) = (&select.shape, sources) else { return false };
    let is_key = |expr: &Expr| matches!(expr.kind, ExprKind::Column(i) if source.schema.columns[i].is_key());
    source.kind == SourceKind::Stream
        && select
            .columns
            .iter()
            .zip(exprs)
            .filter(|(column, _)| column.is_key())
            .all(|(_, expr)| is_key(expr))
}

/// A SELECT that neither groups nor partitions keeps its source's key, all of it.
pub(super) fn check_key(sources: &[Source], select: &SelectPlan, query: &ast::Query) -> Result<()> {
    // What joined rows have for a key is the binder's to say.
    let (Shape::Project(_), [source], true) = (&select.shape, sources, query.partition_by.is_empty()) else {
        return Ok(());
    };
    let keys = keys(select);
    let is_kept = |i: usize| keys.iter().any(|(_, expr)| expr.kind == ExprKind::Column(i));
    let all = source.schema.columns.iter().enumerate().filter(|(_, column)| column.is_key());
    let missing: Vec<&str> =
        all.filter(|(i, _)| !is_kept(*i)).map(|(_, column)| column.name.as_str()).collect();
    let [first, ..] = missing[..] else { return Ok(()) };
    let error = Error::statement(format!(
        "the key of {} is missing from the SELECT list: {}",
        source.shown(),
        missing.join(", ")
    ));
    Err(error.at(query.span).hint(match source.kind {
        SourceKind::Stream => {
            format!(
                "add {first}, or PARTITION BY other columns; PARTITION BY NULL makes a stream without a key"
            )
        }
        SourceKind::Table => format!("add {first}: a table's rows carry their key"),
    }))
}

pub(super) fn check_persistent(query: &ast::Query) -> Result<()> {
    for (word, count) in [("LIMIT", query.limit), ("OFFSET", query.offset)] {
        if count.is_some() {
            return Err(Error::statement(format!(
                "{word} is for an answer that ends, and this query goes on"
            ))
            .at(query.span)
            .hint(format!("leave {word} out")));
        }
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
    let of_tables = sources.iter().all(|source| source.kind == SourceKind::Table);
    let read = if of_tables { SourceKind::Table } else { SourceKind::Stream };
    match (kind, read) {
        (SourceKind::Stream, SourceKind::Table) => {
            return Err(Error::statement(format!(
                "a stream cannot be made from the table {}",
                shown(sources)
            ))
            .at(query.from.span())
            .hint("CREATE TABLE … AS SELECT"));
        }
        (SourceKind::Stream, _) if grouped => {
            let what = if query.distinct { "DISTINCT" } else { "an aggregate" };
            return Err(Error::statement(format!("{what} makes a table"))
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

/// Some aggregates go by the order of arrival, which rows of tables have not: where a table is kept up to date these go
/// by ROWTIME.
pub(super) fn check_order(sources: &[Source], select: &SelectPlan, query: &ast::Query) -> Result<()> {
    let of_tables = sources.iter().all(|source| source.kind == SourceKind::Table);
    match &select.shape {
        Shape::Aggregate(aggregation) if of_tables => match derive::order_sensitive(aggregation) {
            Some(text) => {
                let what = format!("{text} needs an order of arrival, and {} is a table", shown(sources));
                Err(Error::statement(what)
                    .at(query.span)
                    .hint("CREATE TABLE … AS SELECT of it: that keeps it up to date, by ROWTIME"))
            }
            None => Ok(()),
        },
        _ => Ok(()),
    }
}

fn shown(sources: &[Source]) -> String {
    sources.iter().map(Source::shown).collect::<Vec<_>>().join(", ")
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

/// Where a query starts to read: as the session says, else earliest in a script and latest after it.
pub(super) fn start_of(session: &Session, begun: bool) -> Result<Start> {
    let default = if begun { Start::Latest } else { Start::Earliest };
    Ok(session.start()?.unwrap_or(default))
}
