//! A stream's row as it travels without its batch: the values of its columns, and behind them its ROWTIME and its
//! position.

use super::table::rows_to_batch;
use crate::batch::{Batch, Origin, Partitions, Position, SourcePartition, Timestamps};
use crate::types::SqlType;
use crate::value::{Row, Value};

/// How many values a ROWTIME and a position are.
pub const ORIGIN: usize = 6;

/// Row `i` of a batch, of so many columns, with its origin.
pub fn placed_row(batch: &Batch, columns: usize, i: usize) -> Row {
    let Position { stamp, source, partition, offset, nth } = batch.origin.position(i);
    let rowtime = batch.origin.rowtime.at(i);
    let origin: [i64; ORIGIN] = [rowtime, stamp, source.into(), partition.into(), offset, nth.into()];
    batch.row(i).into_iter().take(columns).chain(origin.map(Value::Bigint)).collect()
}

/// Rows with their origins. `types`: those of their columns.
pub fn placed_batch(types: &[SqlType], rows: &[Row]) -> Batch {
    let mut batch = rows_to_batch(types, rows);
    let origins: Vec<(i64, Position)> = rows.iter().map(|row| origin(row)).collect();
    let partition =
        |(_, at): &(i64, Position)| SourcePartition { source: at.source, partition: at.partition };
    batch.origin = Origin {
        rowtime: Timestamps::Each(origins.iter().map(|(rowtime, _)| *rowtime).collect()),
        stamps: Timestamps::Each(origins.iter().map(|(_, at)| at.stamp).collect()),
        partitions: Partitions::Each(origins.iter().map(partition).collect()),
        offsets: origins.iter().map(|(_, at)| at.offset).collect(),
        nth: Some(origins.iter().map(|(_, at)| at.nth).collect()),
        ..Origin::none(rows.len())
    };
    batch
}

fn origin(row: &[Value]) -> (i64, Position) {
    let values = row.last_chunk::<ORIGIN>().expect("a placed row ends with its origin");
    let [rowtime, stamp, source, partition, offset, nth] = values.each_ref().map(|value| match value {
        Value::Bigint(value) => *value,
        other => unreachable!("an origin is numbers, not {other:?}"),
    });
    (rowtime, Position { stamp, source: source as u32, partition: partition as i32, offset, nth: nth as u32 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_keeps_its_place() {
        let row = vec![Value::Int(7), Value::Varchar("left out".into())];
        let mut batch = rows_to_batch(&[SqlType::Int, SqlType::Varchar], &[row]);
        batch.origin = Origin {
            rowtime: Timestamps::All(11),
            stamps: Timestamps::All(i64::MIN),
            partitions: Partitions::One(SourcePartition { source: u32::MAX, partition: -3 }),
            offsets: vec![i64::MAX].into(),
            nth: Some(vec![5].into()),
            ..Origin::none(1)
        };
        let again = placed_batch(&[SqlType::Int], &[placed_row(&batch, 1, 0)]);
        assert_eq!(again.row(0), [Value::Int(7)]);
        assert_eq!(again.origin.position(0), batch.origin.position(0));
        assert_eq!(again.origin.rowtime.at(0), 11);
    }
}
