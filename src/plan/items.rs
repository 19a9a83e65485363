//! The SELECT list: stars resolved, items named.

use super::from::From;
use crate::error::{Error, Result, Span};
use crate::expr::{Scope, bind};
use crate::sql::ast::{self, ExprKind, Ident, Query, SelectItem};
use crate::types::{ColumnDef, SqlType};
use std::collections::BTreeSet;

/// A select item with its output name.
pub struct Item {
    pub name: String,
    pub expr: ast::Expr,
}

/// Resolves stars and names the items: alias, column or field name, else `KSQL_COL_n`. What PARTITION BY
/// makes of a stream's key comes last among its values.
pub fn expand(query: &Query, from: &From, scope: &Scope) -> Result<Vec<Item>> {
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
        for &column in from.starred.iter().filter(|column| source.columns.contains(column)) {
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
