//! Tells the calls of RANDOM() and UUID() apart: by what the query reads, and by their order in its text.
//!
//! Binding leaves the place in the text as their last argument. That place shifts with whatever stands
//! before the statement, and what is random must not; a number does not. What an alias repeats has one
//! place and stays one call.

use super::{SelectPlan, Shape};
use crate::expr::{Expr, ExprKind, rewrite_everywhere};
use crate::types::SqlType;
use crate::value::Value;
use std::collections::BTreeSet;

pub fn number_sites(plan: &mut SelectPlan, source: &str) {
    let mut places = BTreeSet::new();
    each_site(plan, &mut |place| {
        places.insert(place);
        place.to_string()
    });
    if !places.is_empty() {
        each_site(plan, &mut |place| format!("{source}.{}", places.range(..place).count()));
    }
}

/// Gives the last argument of every such call the text that `name` makes of its place.
fn each_site(plan: &mut SelectPlan, name: &mut dyn FnMut(usize) -> String) {
    for expr in record_exprs(plan) {
        *expr = rewrite_everywhere(expr, &mut |e| {
            let ExprKind::Call { function, args } = &e.kind else { return None };
            let [record @ .., Expr { kind: ExprKind::Literal(Value::Varchar(place)), .. }] = args.as_slice()
            else {
                return None;
            };
            if !matches!(function.as_str(), "RANDOM" | "UUID") {
                return None;
            }
            let site = Value::text(&name(place.parse().ok()?));
            let site = Expr { kind: ExprKind::Literal(site), ty: SqlType::Varchar };
            let args = record.iter().cloned().chain([site]).collect();
            Some(Expr { kind: ExprKind::Call { function: function.clone(), args }, ty: e.ty.clone() })
        });
    }
}

/// The expressions that are evaluated on records; those behind a grouping have none.
fn record_exprs(plan: &mut SelectPlan) -> impl Iterator<Item = &mut Expr> {
    let (exprs, calls) = match &mut plan.shape {
        Shape::Project(exprs) => (exprs, None),
        Shape::Aggregate(aggregation) => (&mut aggregation.keys, Some(&mut aggregation.calls)),
    };
    let args = calls.into_iter().flatten().flat_map(|call| &mut call.args);
    let expanded = plan.expand.iter_mut().map(|call| &mut call.arg);
    plan.filter.iter_mut().chain(expanded).chain(exprs).chain(args)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::select::{Purpose, Source, bind_select};
    use crate::sql::ast::{SourceKind, Statement};
    use crate::sql::parse_statement;
    use crate::types::{ColumnDef, Part, Schema};

    fn bound(kind: SourceKind, sql: &str) -> Result<SelectPlan, String> {
        let schema = Schema::new([ColumnDef { name: "A".into(), ty: SqlType::Int, part: Part::Key }]);
        let Statement::Select(query) = parse_statement(sql).unwrap().statement else { panic!("{sql}") };
        let source = Source { name: "S", kind, schema: &schema, ordinal: 1, starred: None };
        bind_select(&query, &[source], Purpose::Persistent).map_err(|error| error.to_string())
    }

    fn shown(sql: &str) -> Vec<String> {
        let mut plan = bound(SourceKind::Stream, sql).unwrap();
        record_exprs(&mut plan)
            .map(|expr| expr.to_string().replace("ROWTIME, ROWORIGIN, ROWOFFSET, ", ""))
            .collect()
    }

    #[test]
    fn call_sites_are_numbered_in_the_order_of_the_text() {
        let sql = "SELECT RANDOM() AS R, UUID() AS U FROM S WHERE RANDOM() < 0.5e0 EMIT CHANGES";
        let expected = ["RANDOM('S.2') < 5E-1", "RANDOM('S.0')", "UUID('S.1')"];
        assert_eq!(shown(sql), expected);
        // What stands before them changes nothing.
        assert_eq!(shown(&sql.replace("SELECT ", "-- nothing\nSELECT   ")), expected);
        let twice = "SELECT RANDOM() + RANDOM() AS R FROM S EMIT CHANGES";
        assert_eq!(shown(twice), ["RANDOM('S.0') + RANDOM('S.1')"]);
        let by_alias = "SELECT RANDOM() < 0.5e0 AS R, MAX(RANDOM()) AS M FROM S GROUP BY R EMIT CHANGES";
        assert_eq!(shown(by_alias), ["RANDOM('S.0') < 5E-1", "RANDOM('S.1')"]);
    }

    #[test]
    fn there_must_be_a_record() {
        for (kind, sql) in [
            (SourceKind::Table, "SELECT UUID() AS X FROM S"),
            (SourceKind::Table, "SELECT UNIX_DATE() AS X FROM S"),
            (SourceKind::Stream, "SELECT A, RANDOM() AS X FROM S GROUP BY A EMIT CHANGES"),
        ] {
            let error = bound(kind, sql).unwrap_err();
            assert!(error.contains("is made of a stream's record, and there is none here"), "{error}");
        }
        let error = bound(SourceKind::Table, "SELECT ROWOFFSET FROM S").unwrap_err();
        assert!(error.contains("ROWOFFSET belongs to a stream's record"), "{error}");
    }
}
