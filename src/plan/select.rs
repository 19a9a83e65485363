//! Binds a SELECT against the schemas of what it reads: names, types, grouping, keys.

use super::from::{From, bind_from};
use super::grouping::{Grouping, aggregates};
use super::items::{Item, expand};
use super::sites::number_sites;
use super::{Aggregation, OrderKey, SelectPlan, Shape, Window, extension};
use crate::error::{Error, Result};
use crate::expr::expand::{TableCall, TableFunction, find};
use crate::expr::{Expr, ExprKind as Bound};
use crate::expr::{Scope, bind};
use crate::sql::ast::{self, ExprKind, Query, SourceKind, WindowKind};
use crate::types::{ColumnDef, Part, Schema, SqlType};

/// A stream or table that a query reads.
pub struct Source<'a> {
    pub name: &'a str,
    pub kind: SourceKind,
    pub schema: &'a Schema,
    /// Order of declaration.
    pub ordinal: u32,
    /// The columns that `*` stands for, where that is not all of them in their order.
    pub starred: Option<&'a [usize]>,
}

impl Source<'_> {
    pub(super) fn starred(&self) -> Vec<usize> {
        self.starred.map_or_else(|| (0..self.schema.len()).collect(), <[usize]>::to_vec)
    }
}

/// What becomes of the rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// A stream or table is made of them: they need their key.
    Persistent,
    Answer,
}

/// Binds `query`, which reads `sources`: that of its FROM, then those of its joins.
pub fn bind_select(query: &Query, sources: &[Source], purpose: Purpose) -> Result<SelectPlan> {
    let from = bind_from(query, sources)?;
    let row_scope = from.scope();
    let items = expand(query, &from, &row_scope)?;
    let filter =
        query.filter.as_ref().map(|e| bind_boolean(e, |e| bind(e, &row_scope), "WHERE")).transpose()?;
    let calls = table_calls(&items, &from, &row_scope)?;
    let replace = |expr: &ast::Expr| table_column(expr, &calls, &row_scope);
    let scope = Scope { replace: (!calls.is_empty()).then_some(&replace as &_), ..from.scope() };
    let grouped = !query.group_by.is_empty() || items.iter().any(|i| !aggregates(&i.expr).is_empty());
    if !grouped {
        check_ungrouped(query)?;
    }
    let mut plan = match (grouped, query.distinct) {
        (true, _) => bind_grouped(query, &from, &scope, &items, group_keys(query, &items, &scope)?)?,
        (false, true) => bind_distinct(query, &from, &scope, &items)?,
        (false, false) => bind_plain(query, &from, &scope, &items, purpose)?,
    };
    if query.distinct {
        check_distinct(query, &plan)?;
    }
    plan.expand = calls;
    plan.filter = filter;
    (plan.limit, plan.offset) = (query.limit, query.offset);
    number_sites(&mut plan, sources[0].name);
    let facts = (&plan, uses_items(query, &items, &row_scope));
    plan.extensions = extension::of_query(query, sources, facts, purpose);
    if let Some(twice) = duplicate(&plan.columns) {
        return Err(Error::statement(format!("the SELECT list has two columns named {twice}"))
            .at(query.span)
            .hint("give one of them another name with AS"));
    }
    Ok(plan)
}

/// The calls of table functions in a select list, each once.
fn table_calls(items: &[Item], from: &From, scope: &Scope) -> Result<Vec<TableCall>> {
    let mut found = Vec::new();
    for item in items {
        ast::walk(&item.expr, &mut |expr| {
            found.extend(table_function(expr).map(|function| (function, expr)))
        });
    }
    let mut calls = Vec::new();
    for (function, expr) in found {
        if from.kind == SourceKind::Table {
            let error = format!("{} makes rows of a stream's, and this reads a table", function.name);
            return Err(Error::statement(error).at(expr.span));
        }
        let call = table_call(function, expr, scope)?;
        if !calls.contains(&call) {
            calls.push(call);
        }
    }
    Ok(calls)
}

fn table_function(expr: &ast::Expr) -> Option<&'static TableFunction> {
    match &expr.kind {
        ExprKind::Call { name, .. } => find(&name.name),
        _ => None,
    }
}

fn table_call(function: &TableFunction, expr: &ast::Expr, scope: &Scope) -> Result<TableCall> {
    let ExprKind::Call { args, .. } = &expr.kind else { unreachable!("a table function is called") };
    let args = args.iter().map(|arg| bind(arg, scope)).collect::<Result<_>>()?;
    function.call(args).map_err(|error| error.at(expr.span))
}

/// The column that a call of a table function stands for, behind those of the rows it is made of.
fn table_column(expr: &ast::Expr, calls: &[TableCall], scope: &Scope) -> Option<Result<Expr>> {
    let call = match table_call(table_function(expr)?, expr, scope) {
        Ok(call) => call,
        Err(error) => return Some(Err(error)),
    };
    let place = calls.iter().position(|known| *known == call)?;
    Some(Ok(Expr { kind: Bound::Column(scope.schema.len() + place), ty: call.returns }))
}

/// What only makes sense with GROUP BY.
fn check_ungrouped(query: &Query) -> Result<()> {
    if let Some(having) = &query.having {
        return Err(Error::statement("HAVING needs GROUP BY").at(having.span).hint("use WHERE"));
    }
    if let Some(window) = &query.window {
        return Err(Error::statement("a window cuts groups by time, and there is no GROUP BY")
            .at(window.span)
            .hint("GROUP BY a column"));
    }
    if query.emit == Some(ast::Emit::Final) {
        return Err(Error::statement(
            "EMIT FINAL tells of windows when they have closed; there is none here",
        )
        .at(query.span)
        .hint("EMIT CHANGES, or WINDOW TUMBLING (SIZE …) … GROUP BY …"));
    }
    Ok(())
}

fn duplicate(columns: &[ColumnDef]) -> Option<&str> {
    columns
        .iter()
        .enumerate()
        .find(|(i, c)| columns[..*i].iter().any(|o| o.name == c.name))
        .map(|(_, c)| c.name.as_str())
}

fn bind_boolean(
    expr: &ast::Expr,
    bind: impl FnOnce(&ast::Expr) -> Result<Expr>,
    clause: &str,
) -> Result<Expr> {
    let bound = bind(expr)?;
    if bound.ty != SqlType::Boolean {
        return Err(Error::statement(format!("{clause} needs a BOOLEAN, this is {}", bound.ty)).at(expr.span));
    }
    Ok(bound)
}

// ---- without GROUP BY ----

fn bind_plain(
    query: &Query,
    from: &From,
    scope: &Scope,
    items: &[Item],
    purpose: Purpose,
) -> Result<SelectPlan> {
    let mut columns = Vec::new();
    let mut exprs = Vec::new();
    for item in items {
        let bound = bind(&item.expr, scope)?;
        // A column of headers becomes one of the value: what is written of it is a value like any other,
        // and the headers themselves are passed on beside it.
        let part = match bound.kind {
            Bound::Column(i)
                if query.partition_by.is_empty() && from.key.is_none() && i < from.schema.len() =>
            {
                let column = &from.schema.columns[i];
                match &column.part {
                    Part::Key => Part::Key,
                    // Under another name it is a copy, in the value.
                    part @ Part::Window(_) if item.name == column.name => part.clone(),
                    _ => Part::Value,
                }
            }
            _ => Part::Value,
        };
        columns.push(ColumnDef { name: item.name.clone(), ty: bound.ty.clone(), part });
        exprs.push(bound);
    }
    if !query.partition_by.is_empty() {
        if from.kind == SourceKind::Table {
            return Err(Error::statement("PARTITION BY works on streams, and this reads a table")
                .at(query.partition_by[0].span));
        }
        partition(query, scope, &mut columns, &mut exprs)?;
    } else {
        mark_join_key(query, from, &mut columns, &mut exprs, purpose)?;
        if purpose == Purpose::Persistent && from.key.is_none() {
            keep_windows(from, &mut columns, &mut exprs);
        }
    }
    let order_by = bind_order(query, scope, items, &mut exprs)?;
    let relation = from.relation.clone();
    Ok(SelectPlan { order_by, ..SelectPlan::of(relation, columns, Shape::Project(exprs)) })
}

/// Keys with windows in them keep these, selected or not.
fn keep_windows(from: &From, columns: &mut Vec<ColumnDef>, exprs: &mut Vec<Expr>) {
    let all = from.schema.columns.iter().enumerate();
    for (i, bound) in all.filter(|(_, column)| matches!(column.part, Part::Window(_))) {
        if !columns.iter().any(|column| column.name == bound.name) {
            exprs.push(Expr { kind: Bound::Column(i), ty: bound.ty.clone() });
            columns.push(bound.clone());
        }
    }
}

/// The first selected column that holds a join's key is the key of the result, and has it of rows without
/// a partner, too.
fn mark_join_key(
    query: &Query,
    from: &From,
    columns: &mut [ColumnDef],
    exprs: &mut [Expr],
    purpose: Purpose,
) -> Result<()> {
    let Some(key) = &from.key else { return Ok(()) };
    for (column, aliases) in key.columns.iter().zip(&key.aliases) {
        let holds = |e: &Expr| matches!(e.kind, Bound::Column(c) if c == *column || aliases.contains(&c));
        let Some(i) = exprs.iter().position(holds) else {
            if purpose == Purpose::Answer {
                continue;
            }
            return Err(Error::statement("the SELECT list lacks the key of the joined rows")
                .at(query.span)
                .hint(format!("add {} to it", key.text)));
        };
        if let Some(again) = (i + 1..exprs.len()).find(|&j| exprs[j] == exprs[i])
            && purpose == Purpose::Persistent
        {
            let names = [&columns[i].name, &columns[again].name];
            return Err(Error::statement(format!("{} and {} are both the key", names[0], names[1]))
                .at(query.span)
                .hint(format!("AS_VALUE(…) AS {}: a copy of it", names[1])));
        }
        exprs[i] = Expr { kind: Bound::Column(*column), ty: exprs[i].ty.clone() };
        exprs[i].ty = from.schema.columns[*column].ty.clone();
        columns[i].ty = exprs[i].ty.clone();
        columns[i].part = Part::Key;
    }
    Ok(())
}

/// PARTITION BY: what it names becomes the key, the old key stays as values; NULL drops the key.
fn partition(
    query: &Query,
    scope: &Scope,
    columns: &mut Vec<ColumnDef>,
    exprs: &mut Vec<Expr>,
) -> Result<()> {
    let mut places = Vec::new();
    for (n, expr) in query.partition_by.iter().enumerate() {
        if expr.kind == ExprKind::Literal(ast::Literal::Null) {
            return match query.partition_by.len() {
                1 => Ok(()),
                _ => Err(Error::statement("PARTITION BY NULL drops the key and takes no other columns")
                    .at(expr.span)),
            };
        }
        let bound = bind(expr, scope).map_err(|error| select_names(error, expr, columns))?;
        if !exprs.contains(&bound) {
            columns.push(ColumnDef {
                name: partition_name(expr, n, columns),
                ty: bound.ty.clone(),
                part: Part::Value,
            });
            exprs.push(bound.clone());
        }
        let equal = (0..exprs.len()).filter(|&i| exprs[i] == bound);
        equal.clone().for_each(|i| columns[i].part = Part::Key);
        places.extend(equal.take(1).filter(|place| !places.contains(place)).collect::<Vec<_>>());
    }
    // Key columns stand in the order of PARTITION BY, wherever the SELECT list has them.
    let moved: Vec<_> = places.iter().map(|&i| (columns[i].clone(), exprs[i].clone())).collect();
    places.sort_unstable();
    for (place, (column, expr)) in places.into_iter().zip(moved) {
        (columns[place], exprs[place]) = (column, expr);
    }
    Ok(())
}

/// Says that a name which only the SELECT list gives cannot be partitioned by.
fn select_names(error: Error, expr: &ast::Expr, columns: &[ColumnDef]) -> Error {
    match &expr.kind {
        ExprKind::Column { qualifier: None, name } if columns.iter().any(|column| &column.name == name) => {
            Error::statement(format!("PARTITION BY {name}: that name is one of the SELECT list's own"))
                .at(expr.span)
                .hint("PARTITION BY takes columns of the source and expressions over them: write out what it stands for")
        }
        _ => error,
    }
}

/// What PARTITION BY names a column that is not in the SELECT list.
fn partition_name(expr: &ast::Expr, n: usize, columns: &[ColumnDef]) -> String {
    match &expr.kind {
        ExprKind::Column { name, .. } => name.clone(),
        ExprKind::Field { field, .. } if columns.iter().all(|column| column.name != field.name) => {
            field.name.clone()
        }
        _ => format!("KSQL_COL_{n}"),
    }
}

// ---- with GROUP BY ----

fn group_keys(query: &Query, items: &[Item], scope: &Scope) -> Result<Vec<Expr>> {
    let key = |expr: &ast::Expr| {
        let expr = resolve_alias(expr, items, scope);
        if let Some(inner) = aggregates(expr).first() {
            return Err(Error::statement("GROUP BY cannot hold an aggregate").at(inner.span));
        }
        bind(expr, scope)
    };
    query.group_by.iter().map(key).collect()
}

/// DISTINCT groups by all columns, those that are NULL included.
fn bind_distinct(query: &Query, from: &From, scope: &Scope, items: &[Item]) -> Result<SelectPlan> {
    let mut keys = Vec::new();
    for item in items {
        let key = bind(&item.expr, scope)?;
        if !keys.contains(&key) {
            keys.push(key);
        }
    }
    let mut plan = bind_grouped(query, from, scope, items, keys)?;
    if let Shape::Aggregate(aggregation) = &mut plan.shape {
        aggregation.keeps_nulls = true;
    }
    Ok(plan)
}

/// Groups differ in their keys, so that rows with all of these are distinct.
fn check_distinct(query: &Query, plan: &SelectPlan) -> Result<()> {
    let Shape::Aggregate(Aggregation { keys, post, .. }) = &plan.shape else { return Ok(()) };
    let is_selected =
        |i| post[..plan.columns.len()].iter().any(|e| matches!(e.kind, Bound::Column(c) if c == i));
    if (0..keys.len()).all(is_selected) {
        return Ok(());
    }
    Err(Error::statement("DISTINCT needs all columns of GROUP BY in the SELECT list")
        .at(query.span)
        .hint("SELECT DISTINCT … FROM (SELECT … GROUP BY …)"))
}

fn bind_grouped(
    query: &Query,
    from: &From,
    scope: &Scope,
    items: &[Item],
    keys: Vec<Expr>,
) -> Result<SelectPlan> {
    if let Some(first) = query.partition_by.first() {
        let by = if query.distinct { "DISTINCT" } else { "GROUP BY" };
        return Err(Error::statement(format!("PARTITION BY and {by} exclude each other"))
            .at(first.span)
            .hint(format!("the {by} columns are the key already")));
    }
    let window = bind_window(query, from)?;
    let order: Vec<&ast::Expr> =
        query.order_by.iter().map(|key| order_expr(key, items)).collect::<Result<_>>()?;
    let exprs = items.iter().map(|i| &i.expr).chain(&query.having).chain(order.iter().copied());
    let named = query.having.iter().flat_map(|having| aliased(having, items, scope));
    let grouping = Grouping::new(keys, window.is_some(), scope, items, exprs.chain(named))?;
    let (mut columns, mut post) = (Vec::new(), Vec::new());
    for item in items {
        let bound = grouping.bind(&item.expr)?;
        let part = Part::key_if(grouping.is_key(&bound));
        columns.push(ColumnDef { name: item.name.clone(), ty: bound.ty.clone(), part });
        post.push(bound);
    }
    let having = query.having.as_ref();
    let having = having.map(|e| bind_boolean(e, |e| grouping.bind(e), "HAVING")).transpose()?;
    let mut order_by = Vec::new();
    for (key, expr) in query.order_by.iter().zip(order) {
        let bound = grouping.bind(expr).map_err(|error| match query.distinct {
            true => Error::statement("a SELECT DISTINCT is sorted by its own columns")
                .at(expr.span)
                .hint("select what ORDER BY names, too"),
            false => error,
        });
        order_by.push(order_key(key, bound?, &mut post));
    }
    let shape = Shape::Aggregate(grouping.finish(window, having, post));
    let relation = from.relation.clone();
    Ok(SelectPlan { order_by, ..SelectPlan::of(relation, columns, shape) })
}

/// The select items whose names an expression uses.
fn aliased<'i>(expr: &ast::Expr, items: &'i [Item], scope: &Scope) -> Vec<&'i ast::Expr> {
    let mut found = Vec::new();
    ast::walk(expr, &mut |e| {
        if let ExprKind::Column { qualifier: None, name } = &e.kind
            && scope.columns(None, name).is_empty()
        {
            found.extend(items.iter().find(|item| item.name == *name).map(|item| &item.expr));
        }
    });
    found
}

const DAY_MS: i64 = 24 * 3_600_000;

fn bind_window(query: &Query, from: &From) -> Result<Option<Window>> {
    let is_final = query.emit == Some(ast::Emit::Final);
    let Some(window) = &query.window else {
        if is_final {
            return Err(Error::statement("EMIT FINAL tells of windows when they have closed; there is none")
                .at(query.span)
                .hint("EMIT CHANGES, or WINDOW TUMBLING (SIZE …) before GROUP BY"));
        }
        return Ok(None);
    };
    if from.kind == SourceKind::Table {
        return Err(Error::statement("windows are for streams: a table's rows have no time of arrival")
            .at(window.span)
            .hint("GROUP BY without WINDOW"));
    }
    let size_ms = match window.kind {
        WindowKind::Tumbling { size_ms } | WindowKind::Hopping { size_ms, .. } => size_ms,
        WindowKind::Session { gap_ms } => gap_ms,
    };
    if let WindowKind::Hopping { size_ms, advance_ms } = window.kind
        && advance_ms > size_ms
    {
        return Err(Error::statement("a hopping window advances by no more than its size")
            .at(window.span)
            .hint("rows between two windows would count in none"));
    }
    let default = if is_final { 0 } else { DAY_MS.saturating_sub(size_ms).max(0) };
    let grace_ms = window.grace_ms.unwrap_or(default);
    let needed = size_ms.saturating_add(window.grace_ms.unwrap_or(0));
    if let Some(retention_ms) = window.retention_ms.filter(|retention| *retention < needed) {
        return Err(Error::statement(format!(
            "a RETENTION of {retention_ms} ms ends before the window's size and grace, {needed} ms"
        ))
        .at(window.span)
        .hint("a longer RETENTION, or a shorter GRACE PERIOD"));
    }
    let retention_ms = window.retention_ms.unwrap_or(DAY_MS.max(size_ms.saturating_add(grace_ms)));
    Ok(Some(Window { kind: window.kind, grace_ms, retention_ms, is_final }))
}

/// Whether GROUP BY or HAVING uses names of the SELECT list.
fn uses_items(query: &Query, items: &[Item], scope: &Scope) -> bool {
    let is_item = |expr: &ast::Expr| !std::ptr::eq(resolve_alias(expr, items, scope), expr);
    let in_having = |having: &ast::Expr| !aliased(having, items, scope).is_empty();
    query.group_by.iter().any(is_item) || query.having.as_ref().is_some_and(in_having)
}

/// GROUP BY may use the name of a select item, where no column has it.
fn resolve_alias<'e>(expr: &'e ast::Expr, items: &'e [Item], scope: &Scope) -> &'e ast::Expr {
    if let ExprKind::Column { qualifier: None, name } = &expr.kind
        && scope.columns(None, name).is_empty()
        && let Some(item) = items.iter().find(|i| &i.name == name)
    {
        return &item.expr;
    }
    expr
}

// ---- ORDER BY ----

/// What an ORDER BY means: a number is the place of a select item, and a name is that of one before it is a
/// column's.
fn order_expr<'e>(key: &'e ast::OrderBy, items: &'e [Item]) -> Result<&'e ast::Expr> {
    match &key.expr.kind {
        ExprKind::Literal(ast::Literal::Integer(n)) => {
            let item = usize::try_from(*n).ok().and_then(|n| items.get(n.checked_sub(1)?));
            item.map(|item| &item.expr).ok_or_else(|| {
                let columns = items.len();
                Error::statement(format!("ORDER BY {n}: the SELECT list has {columns} columns"))
                    .at(key.expr.span)
            })
        }
        ExprKind::Literal(_) => Err(Error::statement("ORDER BY a constant would sort by nothing")
            .at(key.expr.span)
            .hint("name a column, or give its number in the SELECT list")),
        ExprKind::Column { qualifier: None, name } => {
            Ok(items.iter().find(|item| &item.name == name).map_or(&key.expr, |item| &item.expr))
        }
        _ => Ok(&key.expr),
    }
}

fn bind_order(query: &Query, scope: &Scope, items: &[Item], exprs: &mut Vec<Expr>) -> Result<Vec<OrderKey>> {
    let mut keys = Vec::new();
    for key in &query.order_by {
        keys.push(order_key(key, bind(order_expr(key, items)?, scope)?, exprs));
    }
    Ok(keys)
}

fn order_key(key: &ast::OrderBy, bound: Expr, exprs: &mut Vec<Expr>) -> OrderKey {
    let column = exprs.iter().position(|e| *e == bound).unwrap_or_else(|| {
        exprs.push(bound);
        exprs.len() - 1
    });
    OrderKey { column, descending: key.descending, nulls_first: key.nulls_first.unwrap_or(!key.descending) }
}
