//! Answers that end over streams that joins make: a dataflow derives the stream once more up to the present
//! end of its sources, and a thread of process 0 does the rest of the SELECT, and the SELECTs over that.

use super::draft::{Draft, Feed};
use crate::catalog::Source;
use crate::connector::Start;
use crate::error::{Error, Result};
use crate::expr::{Expr, ExprKind};
use crate::plan::{Relation, SelectPlan, Shape};
use crate::sql::ast::SourceKind;
use crate::types::{ColumnDef, Part, SqlType};

impl Draft<'_> {
    /// A SELECT that ends, over what a dataflow has to derive.
    pub(super) fn pull_derived(
        &mut self,
        id: &str,
        sql: &str,
        sources: &[Source],
        selects: Vec<SelectPlan>,
    ) -> Result<Feed> {
        if !self.base.once && sources.iter().any(|source| source.kind == SourceKind::Table) {
            return Err(Error::statement("a join with a table has no end")
                .hint("EMIT CHANGES; or CREATE … AS SELECT, and ask that"));
        }
        let all = everything(&selects[0].from, sources);
        let types: Vec<SqlType> = all.columns.iter().map(|column| column.ty.clone()).collect();
        let rows = format!("{id}_rows");
        self.for_answer = Some(rows.clone());
        let followed = self.follow(&rows, sql, sources, all, Start::Earliest);
        self.for_answer = None;
        followed.map(|_| Feed::Derived { rows, types, selects })
    }
}

/// All columns of what is read.
fn everything(from: &Relation, sources: &[Source]) -> SelectPlan {
    let types: Vec<SqlType> = match from {
        Relation::Scan(input) => sources[*input].schema.columns.iter().map(|c| c.ty.clone()).collect(),
        Relation::Join(join) => join.types(),
    };
    let column = |(i, ty): (usize, SqlType)| Expr { kind: ExprKind::Column(i), ty };
    let exprs: Vec<Expr> = types.into_iter().enumerate().map(column).collect();
    let named =
        |(i, e): (usize, &Expr)| ColumnDef { name: format!("#{i}"), ty: e.ty.clone(), part: Part::Value };
    let columns = exprs.iter().enumerate().map(named).collect();
    SelectPlan::of(from.clone(), columns, Shape::Project(exprs))
}
