//! Binds a SELECT against the schema of what it reads: names, types, grouping, keys.

use super::sites::number_sites;
use super::{Aggregation, Call, OrderKey, SelectPlan, Shape};
use crate::aggregate;
use crate::error::{Error, Result, Span};
use crate::expr::function::Arg;
use crate::expr::{Expr, ExprKind as Bound};
use crate::expr::{Scope, bind, coerce};
use crate::sql::ast::{self, ExprKind, Ident, Query, SelectItem, SourceKind};
use crate::types::{ColumnDef, Part, Schema, SqlType};
use crate::value::Value;

/// What a query reads, and what for.
pub struct Source<'a> {
    pub name: &'a str,
    pub kind: SourceKind,
    pub schema: &'a Schema,
}

/// A select item with its output name.
struct Item {
    name: String,
    expr: ast::Expr,
}

/// Binds `query`, which reads `source`.
pub fn bind_select(query: &Query, source: &Source) -> Result<SelectPlan> {
    let scope = scope_of(query, source);
    let items = expand(query, source, &scope)?;
    let filter = query.filter.as_ref().map(|e| bind_boolean(e, &scope, "WHERE")).transpose()?;
    let grouped = !query.group_by.is_empty() || items.iter().any(|i| has_aggregate(&i.expr));
    if let (false, Some(having)) = (grouped, &query.having) {
        return Err(Error::statement("HAVING needs GROUP BY").at(having.span).hint("use WHERE"));
    }
    if query.emit == Some(ast::Emit::Final) {
        return Err(Error::statement("EMIT FINAL needs a window, and windows are not supported yet")
            .at(query.span)
            .hint("use EMIT CHANGES"));
    }
    let mut plan = if grouped {
        bind_grouped(query, source, &scope, items)?
    } else {
        bind_plain(query, source, &scope, items)?
    };
    plan.filter = filter;
    plan.limit = query.limit;
    number_sites(&mut plan, source.name);
    if let Some(twice) = duplicate(&plan.columns) {
        return Err(Error::statement(format!("the SELECT list has two columns named {twice}"))
            .at(query.span)
            .hint("give one of them another name with AS"));
    }
    Ok(plan)
}

fn scope_of<'a>(query: &'a Query, source: &'a Source) -> Scope<'a> {
    let mut names = vec![source.name];
    names.extend(query.alias.iter().map(|a| a.name.as_str()));
    Scope { schema: source.schema, names, pseudo: source.kind == SourceKind::Stream }
}

fn duplicate(columns: &[ColumnDef]) -> Option<&str> {
    columns
        .iter()
        .enumerate()
        .find(|(i, c)| columns[..*i].iter().any(|o| o.name == c.name))
        .map(|(_, c)| c.name.as_str())
}

/// Resolves stars and names the items: alias, column or field name, else `KSQL_COL_n`.
fn expand(query: &Query, source: &Source, scope: &Scope) -> Result<Vec<Item>> {
    let mut items = Vec::new();
    let mut unnamed = 0;
    for item in &query.select {
        match item {
            SelectItem::Star { qualifier, span } => {
                check_qualifier(qualifier.as_ref(), scope)?;
                items.extend(
                    source
                        .schema
                        .columns
                        .iter()
                        .map(|c| Item { name: c.name.clone(), expr: column(&c.name, *span) }),
                );
            }
            SelectItem::StructStar { base, span } => {
                let SqlType::Struct(fields) = bind(base, scope)?.ty else {
                    return Err(Error::statement("only a STRUCT has fields to select with ->*").at(*span));
                };
                items.extend(fields.iter().map(|f| Item {
                    name: f.name.clone(),
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
                    (None, ExprKind::Column { name, .. }) => name.clone(),
                    (None, ExprKind::Field { field, .. }) => field.name.clone(),
                    _ => {
                        unnamed += 1;
                        format!("KSQL_COL_{}", unnamed - 1)
                    }
                };
                items.push(Item { name, expr: expr.clone() });
            }
        }
    }
    Ok(items)
}

fn check_qualifier(qualifier: Option<&Ident>, scope: &Scope) -> Result<()> {
    match qualifier {
        Some(q) if !scope.names.contains(&q.name.as_str()) => {
            Err(Error::statement(format!("{}.* names no source of this query", q.name))
                .at(q.span)
                .hint(format!("write {}.* or *", scope.names[0])))
        }
        _ => Ok(()),
    }
}

fn column(name: &str, span: Span) -> ast::Expr {
    ast::Expr { kind: ExprKind::Column { qualifier: None, name: name.to_string() }, span }
}

fn bind_boolean(expr: &ast::Expr, scope: &Scope, clause: &str) -> Result<Expr> {
    let bound = bind(expr, scope)?;
    if bound.ty != SqlType::Boolean {
        return Err(Error::statement(format!("{clause} needs a BOOLEAN, this is {}", bound.ty)).at(expr.span));
    }
    Ok(bound)
}

fn is_aggregate(expr: &ast::Expr) -> bool {
    match &expr.kind {
        ExprKind::CountStar => true,
        ExprKind::Call { name, .. } => aggregate::find(&name.name).is_some(),
        _ => false,
    }
}

fn has_aggregate(expr: &ast::Expr) -> bool {
    let mut found = false;
    ast::walk(expr, &mut |e| found |= is_aggregate(e));
    found
}

// ---- without GROUP BY ----

fn bind_plain(query: &Query, source: &Source, scope: &Scope, items: Vec<Item>) -> Result<SelectPlan> {
    let mut columns = Vec::new();
    let mut exprs = Vec::new();
    for item in &items {
        let bound = bind(&item.expr, scope)?;
        // A column of headers becomes one of the value: what is written of it is a value like any other,
        // and the headers themselves are passed on beside it.
        let key = query.partition_by.is_empty() && is_key_column(&bound, source.schema);
        columns.push(ColumnDef { name: item.name.clone(), ty: bound.ty.clone(), part: Part::key_if(key) });
        exprs.push(bound);
    }
    if !query.partition_by.is_empty() {
        if source.kind == SourceKind::Table {
            return Err(Error::statement("PARTITION BY works on streams, and this reads a table")
                .at(query.partition_by[0].span));
        }
        partition(query, scope, &mut columns, &mut exprs)?;
    }
    let order_by = bind_order(query, scope, &items, &mut exprs)?;
    Ok(SelectPlan { columns, filter: None, shape: Shape::Project(exprs), order_by, limit: None })
}

fn is_key_column(expr: &Expr, schema: &Schema) -> bool {
    matches!(expr.kind, Bound::Column(i) if schema.columns[i].is_key())
}

/// PARTITION BY: the named columns become the key, the old key stays as values; NULL drops the key.
fn partition(
    query: &Query,
    scope: &Scope,
    columns: &mut Vec<ColumnDef>,
    exprs: &mut Vec<Expr>,
) -> Result<()> {
    for (n, expr) in query.partition_by.iter().enumerate() {
        if expr.kind == ExprKind::Literal(ast::Literal::Null) {
            return Ok(());
        }
        let named = match &expr.kind {
            ExprKind::Column { qualifier: None, name } => columns.iter().position(|c| &c.name == name),
            _ => None,
        };
        let position = match named {
            Some(position) => position,
            None => {
                let bound = bind(expr, scope)?;
                exprs.iter().position(|e| *e == bound).unwrap_or_else(|| {
                    let name = match &expr.kind {
                        ExprKind::Column { name, .. } => name.clone(),
                        _ => format!("KSQL_COL_{n}"),
                    };
                    columns.push(ColumnDef { name, ty: bound.ty.clone(), part: Part::Value });
                    exprs.push(bound);
                    exprs.len() - 1
                })
            }
        };
        columns[position].part = Part::Key;
    }
    Ok(())
}

// ---- with GROUP BY ----

/// Collects the aggregate calls of a query while its expressions are rewritten over their results.
struct Grouping<'a> {
    scope: &'a Scope<'a>,
    keys: Vec<(ast::Expr, Expr)>,
    calls: Vec<(ast::Expr, Call)>,
}

fn bind_grouped(query: &Query, source: &Source, scope: &Scope, items: Vec<Item>) -> Result<SelectPlan> {
    if let Some(first) = query.partition_by.first() {
        return Err(Error::statement("PARTITION BY and GROUP BY exclude each other")
            .at(first.span)
            .hint("the GROUP BY columns are the key already"));
    }
    let mut grouping = Grouping { scope, keys: Vec::new(), calls: Vec::new() };
    for expr in &query.group_by {
        let expr = resolve_alias(expr, &items, source.schema);
        if let Some(inner) = find_aggregate(&expr) {
            return Err(Error::statement("GROUP BY cannot hold an aggregate").at(inner.span));
        }
        grouping.keys.push((bare(&expr, scope), bind(&expr, scope)?));
    }
    let rewritten: Vec<ast::Expr> = items.iter().map(|i| grouping.rewrite(&i.expr)).collect::<Result<_>>()?;
    let having = query.having.as_ref().map(|e| grouping.rewrite(e)).transpose()?;
    let order: Vec<ast::Expr> = query
        .order_by
        .iter()
        .map(|o| grouping.rewrite(&resolve_alias(&o.expr, &items, source.schema)))
        .collect::<Result<_>>()?;

    let schema = grouping.schema();
    let inner = Scope { schema: &schema, names: Vec::new(), pseudo: false };
    let explain = |e: Error| ungrouped(e, source);
    let mut columns = Vec::new();
    let mut post = Vec::new();
    for (item, expr) in items.iter().zip(&rewritten) {
        let bound = bind(expr, &inner).map_err(explain)?;
        let key = matches!(bound.kind, Bound::Column(i) if i < grouping.keys.len());
        columns.push(ColumnDef { name: item.name.clone(), ty: bound.ty.clone(), part: Part::key_if(key) });
        post.push(bound);
    }
    let having = having.map(|e| bind_boolean(&e, &inner, "HAVING").map_err(explain)).transpose()?;
    let mut order_by = Vec::new();
    for (key, expr) in query.order_by.iter().zip(&order) {
        let bound = bind(expr, &inner).map_err(explain)?;
        order_by.push(order_key(key, bound, &mut post));
    }
    let aggregation = Aggregation {
        keys: grouping.keys.into_iter().map(|(_, e)| e).collect(),
        calls: grouping.calls.into_iter().map(|(_, c)| c).collect(),
        having,
        post,
    };
    Ok(SelectPlan { columns, filter: None, shape: Shape::Aggregate(aggregation), order_by, limit: None })
}

/// Says which rule an unknown column breaks: it may exist, but not be grouped.
fn ungrouped(error: Error, source: &Source) -> Error {
    let name = source.schema.columns.iter().find(|c| {
        error.message.split(|ch: char| !(ch.is_alphanumeric() || "_:$".contains(ch))).any(|w| w == c.name)
    });
    match (name, error.span) {
        (Some(column), Some(span))
            if error.message.contains("unknown column") || error.message.contains("no column") =>
        {
            Error::statement(format!("column {} is neither in GROUP BY nor inside an aggregate", column.name))
                .at(span)
                .hint(format!("add it to GROUP BY, or write LATEST_BY_OFFSET({})", column.name))
        }
        _ => error,
    }
}

/// GROUP BY and ORDER BY may use the name of a select item, where no column has it.
fn resolve_alias(expr: &ast::Expr, items: &[Item], schema: &Schema) -> ast::Expr {
    if let ExprKind::Column { qualifier: None, name } = &expr.kind
        && schema.index_of(name).is_none()
        && let Some(item) = items.iter().find(|i| &i.name == name)
    {
        return item.expr.clone();
    }
    expr.clone()
}

fn find_aggregate(expr: &ast::Expr) -> Option<&ast::Expr> {
    let mut found = None;
    ast::walk(expr, &mut |e| {
        if found.is_none() && is_aggregate(e) {
            found = Some(e);
        }
    });
    found
}

impl Grouping<'_> {
    /// Replaces group keys and aggregate calls by columns of [`Grouping::schema`].
    fn rewrite(&mut self, expr: &ast::Expr) -> Result<ast::Expr> {
        let plain = bare(expr, self.scope);
        if let Some(i) = self.keys.iter().position(|(key, _)| *key == plain) {
            return Ok(column(&key_name(i), expr.span));
        }
        if is_aggregate(expr) {
            let i = match self.calls.iter().position(|(call, _)| *call == plain) {
                Some(i) => i,
                None => {
                    let call = self.bind_call(expr)?;
                    self.calls.push((plain, call));
                    self.calls.len() - 1
                }
            };
            return Ok(column(&call_name(i), expr.span));
        }
        map_children(expr, &mut |child| self.rewrite(child))
    }

    fn bind_call(&self, expr: &ast::Expr) -> Result<Call> {
        let (name, args, span) = match &expr.kind {
            ExprKind::Call { name, args } => (name.name.as_str(), args.as_slice(), name.span),
            _ => ("COUNT", &[][..], expr.span),
        };
        let aggregate = aggregate::find(name)
            .ok_or_else(|| Error::statement(format!("unknown aggregate {name}")).at(span))?;
        let mut bound = Vec::new();
        for arg in args {
            if let Some(inner) = find_aggregate(arg) {
                return Err(Error::statement("an aggregate cannot hold another aggregate").at(inner.span));
            }
            bound.push(bind(arg, self.scope)?);
        }
        let literals: Vec<Option<Value>> = bound
            .iter()
            .map(|b| if let Bound::Literal(v) = &b.kind { Some(v.clone()) } else { None })
            .collect();
        let described: Vec<Arg> =
            bound.iter().zip(&literals).map(|(b, l)| Arg { ty: Some(&b.ty), literal: l.as_ref() }).collect();
        let overload = (aggregate.resolve)(&described)
            .map_err(|why| Error::statement(format!("{name}: {why}")).at(expr.span).hint(aggregate.usage))?;
        let args = overload
            .args
            .iter()
            .zip(bound)
            .map(|(ty, arg)| {
                let from = arg.ty.clone();
                coerce(arg, ty).ok_or_else(|| {
                    Error::statement(format!("{name} takes {ty} here, not {from}")).at(expr.span)
                })
            })
            .collect::<Result<_>>()?;
        Ok(Call { text: name.to_string(), spec: overload.spec, args, returns: overload.returns })
    }

    fn schema(&self) -> Schema {
        let keys = self.keys.iter().enumerate().map(|(i, (_, e))| ColumnDef {
            name: key_name(i),
            ty: e.ty.clone(),
            part: Part::Value,
        });
        let calls = self.calls.iter().enumerate().map(|(i, (_, c))| ColumnDef {
            name: call_name(i),
            ty: c.returns.clone(),
            part: Part::Value,
        });
        Schema { columns: keys.chain(calls).collect() }
    }
}

// Names that no identifier can have, since a NUL is none of its characters.
fn key_name(i: usize) -> String {
    format!("\0key{i}")
}

fn call_name(i: usize) -> String {
    format!("\0call{i}")
}

/// The expression without spans and without the source's own qualifier, to compare expressions by.
fn bare(expr: &ast::Expr, scope: &Scope) -> ast::Expr {
    let span = Span::default();
    let kind = match &expr.kind {
        ExprKind::Column { qualifier: Some(q), name } if scope.names.contains(&q.as_str()) => {
            ExprKind::Column { qualifier: None, name: name.clone() }
        }
        ExprKind::Field { base, field } => ExprKind::Field {
            base: Box::new(bare(base, scope)),
            field: Ident { name: field.name.clone(), span },
        },
        ExprKind::Call { name, args } => ExprKind::Call {
            name: Ident { name: name.name.clone(), span },
            args: args.iter().map(|a| bare(a, scope)).collect(),
        },
        ExprKind::Struct(fields) => ExprKind::Struct(
            fields.iter().map(|(f, e)| (Ident { name: f.name.clone(), span }, bare(e, scope))).collect(),
        ),
        _ => {
            let mapped = map_children(expr, &mut |child| Ok(bare(child, scope)));
            mapped.expect("comparing forms cannot fail").kind
        }
    };
    ast::Expr { kind, span }
}

/// The expression with each direct child replaced.
fn map_children(expr: &ast::Expr, f: &mut dyn FnMut(&ast::Expr) -> Result<ast::Expr>) -> Result<ast::Expr> {
    let mut one = |e: &ast::Expr| -> Result<Box<ast::Expr>> { Ok(Box::new(f(e)?)) };
    let kind = match &expr.kind {
        kind @ (ExprKind::Literal(_) | ExprKind::Column { .. } | ExprKind::CountStar) => kind.clone(),
        ExprKind::Field { base, field } => ExprKind::Field { base: one(base)?, field: field.clone() },
        ExprKind::Subscript { base, index } => ExprKind::Subscript { base: one(base)?, index: one(index)? },
        ExprKind::Unary { op, operand } => ExprKind::Unary { op: *op, operand: one(operand)? },
        ExprKind::Binary { op, left, right } => {
            ExprKind::Binary { op: *op, left: one(left)?, right: one(right)? }
        }
        ExprKind::Between { operand, low, high, negated } => {
            ExprKind::Between { operand: one(operand)?, low: one(low)?, high: one(high)?, negated: *negated }
        }
        ExprKind::In { operand, list, negated } => ExprKind::In {
            operand: one(operand)?,
            list: list.iter().map(&mut *f).collect::<Result<_>>()?,
            negated: *negated,
        },
        ExprKind::Like { operand, pattern, escape, negated } => ExprKind::Like {
            operand: one(operand)?,
            pattern: one(pattern)?,
            escape: *escape,
            negated: *negated,
        },
        ExprKind::IsNull { operand, negated } => {
            ExprKind::IsNull { operand: one(operand)?, negated: *negated }
        }
        ExprKind::Case { operand, branches, otherwise } => ExprKind::Case {
            operand: operand.as_ref().map(|e| one(e)).transpose()?,
            otherwise: otherwise.as_ref().map(|e| one(e)).transpose()?,
            branches: branches.iter().map(|(w, t)| Ok((f(w)?, f(t)?))).collect::<Result<_>>()?,
        },
        ExprKind::Cast { operand, ty } => ExprKind::Cast { operand: one(operand)?, ty: ty.clone() },
        ExprKind::Call { name, args } => {
            ExprKind::Call { name: name.clone(), args: args.iter().map(&mut *f).collect::<Result<_>>()? }
        }
        ExprKind::Array(items) => ExprKind::Array(items.iter().map(&mut *f).collect::<Result<_>>()?),
        ExprKind::Map(entries) => {
            ExprKind::Map(entries.iter().map(|(k, v)| Ok((f(k)?, f(v)?))).collect::<Result<_>>()?)
        }
        ExprKind::Struct(fields) => {
            ExprKind::Struct(fields.iter().map(|(n, e)| Ok((n.clone(), f(e)?))).collect::<Result<_>>()?)
        }
    };
    Ok(ast::Expr { kind, span: expr.span })
}

// ---- ORDER BY ----

fn bind_order(query: &Query, scope: &Scope, items: &[Item], exprs: &mut Vec<Expr>) -> Result<Vec<OrderKey>> {
    let mut keys = Vec::new();
    for key in &query.order_by {
        let named = match &key.expr.kind {
            ExprKind::Column { qualifier: None, name } => {
                items.iter().find(|i| &i.name == name).map(|i| &i.expr)
            }
            _ => None,
        };
        let bound = bind(named.unwrap_or(&key.expr), scope)?;
        keys.push(order_key(key, bound, exprs));
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
