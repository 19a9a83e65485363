//! What of a query ksqlDB does not have: a fact of what was bound, which EXPLAIN names.
//!
//! The functions' part of it is in their lists: [`crate::aggregate::ALL`] says of each aggregate where ksqlDB
//! has it, [`crate::expr::functions::foreign`] which names are those of other systems.

use super::relation::{Method, Relation};
use super::select::{Purpose, Source};
use super::{SelectPlan, Shape};
use crate::aggregate::{self, InKsqldb};
use crate::expr::functions::foreign;
use crate::sql::ast::{self, Query, SourceKind, What};
use crate::types::Part;
use std::collections::BTreeSet;
use std::fmt;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Extension {
    With,
    Subquery,
    Union,
    Distinct,
    OrderBy,
    Offset,
    /// GROUP BY or HAVING names an item of the SELECT list.
    ItemNames,
    Function(&'static str),
    /// An aggregate that ksqlDB has over streams only.
    OverTable(&'static str),
    /// A function as another system calls it.
    ForeignName(&'static str),
    /// What goes on reads a windowed table.
    WindowedTable,
    /// A join by a foreign key of rows that are joined already.
    LaterForeignKey,
    GroupedAnswer,
    JoinedAnswer,
}

impl fmt::Display for Extension {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Extension::With => f.write_str("WITH"),
            Extension::Subquery => f.write_str("a query inside the query"),
            Extension::Union => f.write_str("UNION"),
            Extension::Distinct => f.write_str("SELECT DISTINCT"),
            Extension::OrderBy => f.write_str("ORDER BY"),
            Extension::Offset => f.write_str("OFFSET"),
            Extension::ItemNames => f.write_str("names of the SELECT list in GROUP BY or HAVING"),
            Extension::Function(name) => write!(f, "the function {name}"),
            Extension::OverTable(name) => write!(f, "{name} over a table"),
            Extension::ForeignName(name) => write!(f, "the name {name}"),
            Extension::WindowedTable => f.write_str("a query that goes on over a windowed table"),
            Extension::LaterForeignKey => f.write_str("a foreign key of joined rows"),
            Extension::GroupedAnswer => f.write_str("GROUP BY in an answer that ends"),
            Extension::JoinedAnswer => f.write_str("a join in an answer that ends"),
        }
    }
}

/// What of a bound query is an extension. `items`: GROUP BY or HAVING uses their names.
pub(super) fn of_query(
    query: &Query,
    sources: &[Source],
    (plan, items): (&SelectPlan, bool),
    purpose: Purpose,
) -> BTreeSet<Extension> {
    use Extension::*;
    let mut found = BTreeSet::new();
    let mut mark = |is_so: bool, extension| found.extend(is_so.then_some(extension));
    mark(!query.with.is_empty(), With);
    for read in query.reads() {
        if let What::Queries(queries) = &read.what {
            mark(true, if queries.len() > 1 { Union } else { Subquery });
        }
    }
    mark(query.distinct, Distinct);
    mark(!query.order_by.is_empty(), OrderBy);
    mark(query.offset.is_some(), Offset);
    mark(items, ItemNames);
    let is_windowed = |source: &Source| {
        let bounds = |part: &Part| matches!(part, Part::Window(_));
        source.kind == SourceKind::Table && source.schema.columns.iter().any(|column| bounds(&column.part))
    };
    mark(purpose == Purpose::Persistent && sources.iter().any(is_windowed), WindowedTable);
    plan.from.each_join(&mut |join| {
        let is_later = !(join.left.relation.is_scan() && join.right.relation.is_scan());
        mark(join.method == Method::ForeignKey && is_later, LaterForeignKey);
    });
    let of_tables = sources.iter().all(|source| source.kind == SourceKind::Table);
    if let Shape::Aggregate(aggregation) = &plan.shape {
        for aggregate in aggregation.calls.iter().filter_map(|call| aggregate::find(&call.text)) {
            mark(aggregate.in_ksqldb == InKsqldb::No, Function(aggregate.name));
            let is_of_streams = aggregate.in_ksqldb == InKsqldb::OverStreams;
            mark(of_tables && is_of_streams, OverTable(aggregate.name));
        }
    }
    for name in called(query) {
        mark(true, ForeignName(name));
    }
    found
}

/// The names of other systems that a query calls functions by.
fn called(query: &Query) -> BTreeSet<&'static str> {
    let mut names = BTreeSet::new();
    let selected = query.select.iter().filter_map(ast::SelectItem::expr);
    let clauses = query.filter.iter().chain(&query.having).chain(&query.group_by).chain(&query.partition_by);
    for expr in selected.chain(clauses) {
        ast::walk(expr, &mut |expr| {
            if let ast::ExprKind::Call { name, .. } = &expr.kind {
                names.extend(foreign::alias(&name.name));
            }
        });
    }
    names
}

/// The same of an answer that ends.
pub fn of_answer(plan: &SelectPlan) -> BTreeSet<Extension> {
    let is_grouped = matches!(&plan.shape, Shape::Aggregate(aggregation) if !aggregation.keeps_nulls);
    let is_joined = matches!(plan.from, Relation::Join(_));
    let facts = [(is_grouped, Extension::GroupedAnswer), (is_joined, Extension::JoinedAnswer)];
    facts.into_iter().filter(|(is_so, _)| *is_so).map(|(_, extension)| extension).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What EXPLAIN may name has a place in the documentation.
    #[test]
    fn the_documentation_has_each() {
        use Extension::*;
        let fixed = [
            With,
            Subquery,
            Union,
            Distinct,
            OrderBy,
            Offset,
            ItemNames,
            WindowedTable,
            LaterForeignKey,
            GroupedAnswer,
            JoinedAnswer,
        ];
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/queries.md");
        let page = std::fs::read_to_string(path).unwrap();
        for extension in fixed {
            assert!(page.contains(&format!("| {extension} |")), "docs/queries.md has no row for {extension}");
        }
        let listed = |row: &str| -> Vec<String> {
            let row = page.lines().find(|line| line.starts_with(row)).unwrap_or_default();
            row.split('`').skip(1).step_by(2).map(String::from).collect()
        };
        let aggregates = |of: InKsqldb| -> Vec<&str> {
            aggregate::ALL.iter().filter(|a| a.in_ksqldb == of).map(|a| a.name).collect()
        };
        assert_eq!(listed("| the function "), aggregates(InKsqldb::No));
        assert_eq!(listed("| … over a table "), aggregates(InKsqldb::OverStreams));
        let names: Vec<&str> = foreign::ALIASES.iter().map(|(alias, _)| *alias).collect();
        assert_eq!(listed("| the name "), names);
    }
}
