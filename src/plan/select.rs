//! Binds a SELECT against the schemas of what it reads: names, types, grouping, keys.

use super::from::{From, bind_from};
use super::grouping::{Grouping, aggregates};
use super::sites::number_sites;
use super::{OrderKey, SelectPlan, Shape, Window};
use crate::error::{Error, Result, Span};
use crate::expr::expand::{TableCall, TableFunction, find};
use crate::expr::{Expr, ExprKind as Bound};
use crate::expr::{Scope, bind};
use crate::sql::ast::{self, ExprKind, Ident, Query, SelectItem, SourceKind, WindowKind};
use crate::types::{ColumnDef, Part, Schema, SqlType};
use std::collections::BTreeSet;

/// A stream or table that a query reads.
pub struct Source<'a> {
    pub name: &'a str,
    pub kind: SourceKind,
    pub schema: &'a Schema,
    /// Order of declaration.
    pub ordinal: u32,
}

/// What becomes of the rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// A stream or table is made of them: they need their key.
    Persistent,
    Answer,
}

/// A select item with its output name.
pub struct Item {
    pub name: String,
    pub expr: ast::Expr,
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
    let mut plan = if grouped {
        bind_grouped(query, &from, &scope, &items)?
    } else {
        bind_plain(query, &from, &scope, &items, purpose)?
    };
    plan.expand = calls;
    plan.filter = filter;
    plan.limit = query.limit;
    number_sites(&mut plan, sources[0].name);
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

/// Resolves stars and names the items: alias, column or field name, else `KSQL_COL_n`. What PARTITION BY
/// makes of a stream's key comes last among its values.
fn expand(query: &Query, from: &From, scope: &Scope) -> Result<Vec<Item>> {
    let mut items = Vec::new();
    let mut names = Names::new(from);
    for item in &query.select {
        match item {
            SelectItem::Star { qualifier, span } => {
                let start = items.len();
                expand_star(qualifier.as_ref(), *span, from, &mut items)?;
                if !query.partition_by.is_empty() {
                    items[start..].sort_by_key(|item| is_key_of_one(item, from));
                }
            }
            SelectItem::StructStar { base, span } => {
                let SqlType::Struct(fields) = bind(base, scope)?.ty else {
                    return Err(Error::statement("only a STRUCT has fields to select with ->*").at(*span));
                };
                items.extend(fields.iter().map(|f| Item {
                    name: names.of_field(&f.name),
                    expr: ast::Expr {
                        kind: ExprKind::Field {
                            base: Box::new(base.clone()),
                            field: Ident { name: f.name.clone(), span: *span },
                        },
                        span: *span,
                    },
                }));
            }
            SelectItem::Expr { expr, alias } => {
                let name = match (alias, &expr.kind) {
                    (Some(alias), _) => alias.name.clone(),
                    (None, ExprKind::Column { qualifier, name }) => {
                        match scope.columns(qualifier.as_deref(), name)[..] {
                            [column] => from.result_name(column, false),
                            _ => name.clone(),
                        }
                    }
                    (None, ExprKind::Field { field, .. }) => names.of_field(&field.name),
                    _ => names.generated(),
                };
                items.push(Item { name, expr: expr.clone() });
            }
        }
    }
    Ok(items)
}

/// Whether it is a key column of the one stream or table that is read.
fn is_key_of_one(item: &Item, from: &From) -> bool {
    let found = from.schema.index_of(&item.name).map(|i| &from.schema.columns[i]);
    from.sources.len() == 1 && found.is_some_and(ColumnDef::is_key)
}

fn expand_star(qualifier: Option<&Ident>, span: Span, from: &From, items: &mut Vec<Item>) -> Result<()> {
    let is_meant = |names: &[&str]| qualifier.is_none_or(|q| names.contains(&q.name.as_str()));
    if let Some(q) = qualifier
        && !from.sources.iter().any(|source| is_meant(&source.names))
    {
        let names: Vec<&str> = from.sources.iter().filter_map(|s| s.names.last().copied()).collect();
        return Err(Error::statement(format!("{}.* names no source of this query", q.name))
            .at(q.span)
            .hint(format!("write {}.* or *", names.join(".*, "))));
    }
    for source in from.sources.iter().filter(|source| is_meant(&source.names)) {
        for column in source.columns.clone().filter(|&column| !from.hidden[column]) {
            let qualifier = from.key.is_some().then(|| source.names.last().map(|name| name.to_string()));
            let name = from.schema.columns[column].name.clone();
            let expr = ast::Expr { kind: ExprKind::Column { qualifier: qualifier.flatten(), name }, span };
            items.push(Item { name: from.result_name(column, true), expr });
        }
    }
    Ok(())
}

/// Names that the dialect makes up.
struct Names {
    taken: BTreeSet<String>,
    generated: usize,
}

impl Names {
    fn new(from: &From) -> Names {
        Names { taken: from.schema.columns.iter().map(|c| c.name.clone()).collect(), generated: 0 }
    }

    /// Of an expression: `KSQL_COL_n`, but not the name of a column.
    fn generated(&mut self) -> String {
        loop {
            let name = format!("KSQL_COL_{}", self.generated);
            self.generated += 1;
            if !self.taken.contains(&name) {
                return name;
            }
        }
    }

    /// Of a struct's field: its own where no column or field has it, else with a number.
    fn of_field(&mut self, field: &str) -> String {
        let numbered = (1..).map(|n| format!("{field}_{n}"));
        let free = [field.to_string()].into_iter().chain(numbered).find(|name| !self.taken.contains(name));
        let name = free.expect("numbers do not end");
        self.taken.insert(name.clone());
        name
    }
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
    Ok(SelectPlan {
        from: relation,
        columns,
        filter: None,
        expand: Vec::new(),
        shape: Shape::Project(exprs),
        order_by,
        limit: None,
    })
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

fn bind_grouped(query: &Query, from: &From, scope: &Scope, items: &[Item]) -> Result<SelectPlan> {
    if let Some(first) = query.partition_by.first() {
        return Err(Error::statement("PARTITION BY and GROUP BY exclude each other")
            .at(first.span)
            .hint("the GROUP BY columns are the key already"));
    }
    let window = bind_window(query, from)?;
    let mut keys = Vec::new();
    for expr in &query.group_by {
        let expr = resolve_alias(expr, items, scope);
        if let Some(inner) = aggregates(expr).first() {
            return Err(Error::statement("GROUP BY cannot hold an aggregate").at(inner.span));
        }
        keys.push(bind(expr, scope)?);
    }
    let order: Vec<&ast::Expr> =
        query.order_by.iter().map(|o| order_expr(o, items, scope)).collect::<Result<_>>()?;
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
        order_by.push(order_key(key, grouping.bind(expr)?, &mut post));
    }
    let shape = Shape::Aggregate(grouping.finish(window, having, post));
    let relation = from.relation.clone();
    Ok(SelectPlan { from: relation, columns, filter: None, expand: Vec::new(), shape, order_by, limit: None })
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

/// GROUP BY and ORDER BY may use the name of a select item, where no column has it.
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

/// What an ORDER BY means: a number is the place of a select item.
fn order_expr<'e>(key: &'e ast::OrderBy, items: &'e [Item], scope: &Scope) -> Result<&'e ast::Expr> {
    if let ExprKind::Literal(ast::Literal::Integer(n)) = key.expr.kind {
        let item = usize::try_from(n).ok().and_then(|n| items.get(n.checked_sub(1)?));
        return item.map(|item| &item.expr).ok_or_else(|| {
            Error::statement(format!("ORDER BY {n}: the SELECT list has {} columns", items.len()))
                .at(key.expr.span)
        });
    }
    Ok(resolve_alias(&key.expr, items, scope))
}

fn bind_order(query: &Query, scope: &Scope, items: &[Item], exprs: &mut Vec<Expr>) -> Result<Vec<OrderKey>> {
    let mut keys = Vec::new();
    for key in &query.order_by {
        let named = match &key.expr.kind {
            ExprKind::Column { qualifier: None, name } => {
                items.iter().find(|i| &i.name == name).map(|i| &i.expr)
            }
            _ => None,
        };
        let expr = match named {
            Some(expr) => expr,
            None => order_expr(key, items, scope)?,
        };
        keys.push(order_key(key, bind(expr, scope)?, exprs));
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
