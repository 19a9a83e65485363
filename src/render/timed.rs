//! A table's row as it travels: the values of its columns, and behind them its ROWTIME, the greatest of the
//! records behind it.

use super::table::rows_to_batch;
use crate::batch::{Batch, Timestamps};
use crate::types::SqlType;
use crate::value::{Row, Value};

/// Row `i` of a table's rows, with its ROWTIME.
pub fn timed_row(batch: &Batch, i: usize) -> Row {
    let mut row = batch.row(i);
    row.push(Value::Bigint(batch.origin.rowtime.at(i)));
    row
}

/// Rows with their ROWTIMEs. `types`: those of their columns.
pub fn timed_batch(types: &[SqlType], rows: &[Row]) -> Batch {
    let mut batch = rows_to_batch(types, rows);
    batch.origin.rowtime = Timestamps::Each(rows.iter().map(|row| rowtime(row)).collect());
    batch
}

/// The ROWTIME of a row that has one.
pub fn rowtime(row: &[Value]) -> i64 {
    match row.last() {
        Some(Value::Bigint(time)) => *time,
        other => unreachable!("a table's row ends with its ROWTIME, not {other:?}"),
    }
}

/// The values of a row's columns.
pub fn values(row: &[Value]) -> &[Value] {
    &row[..row.len() - 1]
}
