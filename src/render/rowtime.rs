//! ROWTIME from a column of a row: of the records that are read, and of the messages that are written.

use crate::batch::{Batch, Reject, Timestamps};
use crate::error::Result;
use crate::expr::compile::{Evaluator, compile};
use crate::expr::{Expr, Notes};
use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{Array, BooleanArray};

/// Takes times from an expression over the rows' columns.
pub struct RowTime(Evaluator);

impl RowTime {
    pub fn new(expr: &Expr) -> Result<RowTime> {
        compile(expr).map(RowTime)
    }

    /// The rows with their times; one without a valid one is rejected. A row whose message has no value keeps
    /// the time that it has, as it has no such column.
    ///
    /// `kept`: which messages the rows are, which rejects name; `None`: all of them.
    pub fn take(&mut self, mut batch: Batch, kept: Option<&[u32]>, rejects: &mut Vec<Reject>) -> Batch {
        let mut notes = Notes::default();
        let times = self.0.eval(&batch, &mut notes).to_array(batch.len);
        let times = times.as_primitive::<Int64Type>();
        let is_good = times.null_count() == 0 && times.values().iter().all(|ms| *ms >= 0);
        if is_good && batch.deleted.is_none() {
            batch.origin.rowtime = Timestamps::Each(times.values().clone());
            return batch;
        }
        let stamps: Vec<Option<i64>> = (0..batch.len)
            .map(|row| match batch.is_deletion(row) {
                true => Some(batch.origin.rowtime.at(row)),
                false => times.is_valid(row).then(|| times.value(row)).filter(|ms| *ms >= 0),
            })
            .collect();
        batch.origin.rowtime = Timestamps::Each(stamps.iter().map(|ms| ms.unwrap_or_default()).collect());
        if stamps.iter().all(Option::is_some) {
            return batch;
        }
        for (row, _) in stamps.iter().enumerate().filter(|(_, ms)| ms.is_none()) {
            let note = notes.notes.iter().find(|n| n.row == row);
            let why = match (times.is_valid(row), note) {
                (true, _) => format!("{} lies before 1970", times.value(row)),
                (false, Some(note)) => note.reason.clone(),
                (false, None) => "it is NULL".into(),
            };
            rejects.push(Reject {
                message: kept.map_or(row, |kept| kept[row] as usize),
                column: None,
                reason: format!("no ROWTIME from the TIMESTAMP column: {why}"),
            });
        }
        rejects.sort_by_key(|r| r.message);
        batch.filter(&BooleanArray::from_iter(stamps.iter().map(|ms| Some(ms.is_some()))))
    }
}

/// The rows without those that lie further than `most` milliseconds ahead of the clock: of a partition that had
/// taken such a time, all that is right would be late.
///
/// `kept`: as for [`RowTime::take`].
pub fn not_ahead(
    batch: Batch,
    kept: Option<&[u32]>,
    (now, most): (i64, i64),
    rejects: &mut Vec<Reject>,
) -> Batch {
    let last = now.saturating_add(most);
    if batch.origin.rowtime.greatest(batch.len) <= last {
        return batch;
    }
    let is_right: Vec<bool> = (0..batch.len).map(|row| batch.origin.rowtime.at(row) <= last).collect();
    for (row, _) in is_right.iter().enumerate().filter(|(_, is_right)| !**is_right) {
        let time = batch.origin.rowtime.at(row);
        rejects.push(Reject {
            message: kept.map_or(row, |kept| kept[row] as usize),
            column: None,
            reason: format!(
                "its ROWTIME {time} lies {} ms ahead of the clock, and max.future.ms is {most}",
                time - now
            ),
        });
    }
    rejects.sort_by_key(|r| r.message);
    batch.filter(&BooleanArray::from(is_right))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::Origin;

    #[test]
    fn what_lies_too_far_ahead_is_rejected_by_its_place_among_the_messages() {
        let origin = Origin { rowtime: Timestamps::Each(vec![10, 26, 25, 99].into()), ..Origin::none(4) };
        let batch = Batch { len: 4, columns: Vec::new(), origin, deleted: None };
        let mut rejects = Vec::new();
        let left = not_ahead(batch, Some(&[0, 2, 3, 5]), (20, 5), &mut rejects);
        assert_eq!((left.len, left.origin.rowtime.at(1)), (2, 25));
        let found: Vec<_> = rejects.iter().map(|r| (r.message, r.reason.as_str())).collect();
        assert_eq!(
            found,
            [
                (2, "its ROWTIME 26 lies 6 ms ahead of the clock, and max.future.ms is 5"),
                (5, "its ROWTIME 99 lies 79 ms ahead of the clock, and max.future.ms is 5"),
            ]
        );
    }
}
