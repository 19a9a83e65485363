//! UNION ALL: SELECTs whose rows go into one stream.

use super::{SelectPlan, Shape};
use crate::error::{Error, Result, Span};
use crate::expr::bind::common_type;
use crate::expr::coerce;
use crate::types::{ColumnDef, Part};

/// Gives all of them the columns of the first, in types that hold the values of all. What is not a key in each
/// is none. `places`: where each is written.
///
/// # Errors
/// They have different numbers of columns, or columns that no type holds together.
pub fn unite(selects: Vec<SelectPlan>, places: &[Span]) -> Result<Vec<SelectPlan>> {
    let Some((first, others)) = selects.split_first() else { return Ok(selects) };
    let mut columns = first.columns.clone();
    for (select, place) in others.iter().zip(&places[1..]) {
        if select.columns.len() != columns.len() {
            let counts = (columns.len(), select.columns.len());
            return Err(Error::statement(format!(
                "the first query of the UNION has {} columns, and this one has {}",
                counts.0, counts.1
            ))
            .at(*place)
            .hint("select as many columns in each, in one order"));
        }
        for (n, (column, other)) in columns.iter_mut().zip(&select.columns).enumerate() {
            *column = united(column, other).ok_or_else(|| mismatch(n + 1, column, other).at(*place))?;
        }
    }
    selects.into_iter().zip(places).map(|(select, place)| fitted(select, &columns, *place)).collect()
}

fn united(column: &ColumnDef, other: &ColumnDef) -> Option<ColumnDef> {
    let part = if column.part == other.part { column.part.clone() } else { Part::Value };
    Some(ColumnDef { name: column.name.clone(), ty: common_type(&column.ty, &other.ty)?, part })
}

fn mismatch(number: usize, column: &ColumnDef, other: &ColumnDef) -> Error {
    let name = &column.name;
    Error::statement(format!(
        "column {number} of the UNION, {name}, is {} in one query and {} in this one",
        column.ty, other.ty
    ))
    .hint(format!("CAST({} AS {})", crate::types::quote(&other.name), column.ty))
}

fn fitted(select: SelectPlan, columns: &[ColumnDef], place: Span) -> Result<SelectPlan> {
    let Shape::Project(exprs) = &select.shape else {
        return Err(Error::statement(
            "UNION puts the rows of streams together, and this query makes a table",
        )
        .at(place)
        .hint("group what is united: SELECT … FROM (SELECT … UNION ALL SELECT …) AS u GROUP BY …"));
    };
    let fit = |(expr, column): (&crate::expr::Expr, &ColumnDef)| {
        coerce(expr.clone(), &column.ty).ok_or_else(|| {
            Error::statement(format!("column {} cannot be made {}", column.name, column.ty)).at(place)
        })
    };
    let exprs = exprs.iter().zip(columns).map(fit).collect::<Result<_>>()?;
    Ok(SelectPlan { columns: columns.to_vec(), shape: Shape::Project(exprs), ..select })
}
