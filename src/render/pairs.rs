//! Pairs of rows that lie in batches, and the batch that they make.

use super::keyed::Keyed;
use crate::batch::{Batch, Column, Origin, Partitions, Position, SourcePartition, Timestamps};
use crate::headers::Headers;
use crate::types::SqlType;
use arrow_array::{Array, ArrayRef, new_null_array};
use std::collections::BTreeMap;
use std::rc::Rc;

/// A row of a batch.
#[derive(Clone, Debug)]
pub struct RowRef {
    pub batch: Rc<Keyed>,
    pub row: u32,
}

impl RowRef {
    pub fn position(&self) -> Position {
        self.batch.batch.origin.position(self.row as usize)
    }

    pub fn rowtime(&self) -> i64 {
        self.batch.batch.origin.rowtime.at(self.row as usize)
    }

    pub fn key(&self) -> Option<&[u8]> {
        self.batch.keys.get(self.row as usize)
    }

    /// Whether its message had no value.
    pub fn is_deletion(&self) -> bool {
        self.batch.batch.is_deletion(self.row as usize)
    }
}

/// Rows on their way out of a join, in order.
pub struct Pairs {
    left_types: Vec<SqlType>,
    right_types: Vec<SqlType>,
    key_types: Vec<SqlType>,
    /// Which columns of the joined rows somebody reads.
    wanted: Vec<bool>,
    pairs: Vec<Pair>,
}

struct Pair {
    left: Option<RowRef>,
    right: Option<RowRef>,
    rowtime: i64,
    position: Position,
}

impl Pairs {
    pub fn new(left: &[SqlType], right: &[SqlType], keys: Vec<SqlType>, wanted: &[bool]) -> Pairs {
        Pairs {
            left_types: left.to_vec(),
            right_types: right.to_vec(),
            key_types: keys,
            wanted: wanted.to_vec(),
            pairs: Vec::new(),
        }
    }

    /// How many wait to be taken.
    pub fn count(&self) -> usize {
        self.pairs.len()
    }

    /// One side at least is there.
    pub fn push(&mut self, left: Option<RowRef>, right: Option<RowRef>, rowtime: i64, position: Position) {
        self.pairs.push(Pair { left, right, rowtime, position });
    }

    /// All that has been pushed; `None`: nothing was.
    pub fn take(&mut self) -> Option<Batch> {
        let pairs = std::mem::take(&mut self.pairs);
        if pairs.is_empty() {
            return None;
        }
        let (left_wanted, rest) = self.wanted.split_at(self.left_types.len());
        let (right_wanted, keys_wanted) = rest.split_at(self.right_types.len());
        let left: Vec<Option<&RowRef>> = pairs.iter().map(|pair| pair.left.as_ref()).collect();
        let right: Vec<Option<&RowRef>> = pairs.iter().map(|pair| pair.right.as_ref()).collect();
        let mut columns = gather(&left, &self.left_types, left_wanted);
        columns.extend(gather(&right, &self.right_types, right_wanted));
        columns.extend(self.key_columns(&pairs, keys_wanted));
        let each = |of: fn(&Pair) -> i64| Timestamps::Each(pairs.iter().map(of).collect());
        let origin = Origin {
            rowtime: each(|pair| pair.rowtime),
            stamps: each(|pair| pair.position.stamp),
            partitions: Partitions::Each(
                pairs
                    .iter()
                    .map(|pair| pair.position)
                    .map(|p| SourcePartition { source: p.source, partition: p.partition })
                    .collect(),
            ),
            offsets: pairs.iter().map(|pair| pair.position.offset).collect(),
            nth: Some(pairs.iter().map(|pair| pair.position.nth).collect()),
            headers: Headers::None,
            reached: None,
        };
        Some(Batch { len: pairs.len(), columns, origin, deleted: None })
    }

    /// The values that were compared: those of the side that is there.
    fn key_columns(&self, pairs: &[Pair], wanted: &[bool]) -> Vec<Column> {
        if !wanted.contains(&true) {
            return vec![Column::Absent; wanted.len()];
        }
        let rows: Vec<Vec<crate::value::Value>> = pairs
            .iter()
            .map(|pair| {
                let row = pair.left.as_ref().or(pair.right.as_ref());
                let key = row.map(|row| row.batch.keys.bytes(row.row as usize)).unwrap_or_default();
                crate::value::decode_row(key).expect("keys are as they were encoded")
            })
            .collect();
        let column = |(i, ty): (usize, &SqlType)| {
            Column::Array(crate::value::Value::array(ty, rows.iter().map(|row| &row[i])))
        };
        self.key_types.iter().enumerate().map(column).collect()
    }
}

/// The wanted columns of rows that lie in several batches; where there is no row they are NULL.
pub fn gather(rows: &[Option<&RowRef>], types: &[SqlType], wanted: &[bool]) -> Vec<Column> {
    let mut batches: Vec<&Batch> = Vec::new();
    let mut numbers: BTreeMap<*const Keyed, usize> = BTreeMap::new();
    let mut last: Option<(*const Keyed, usize)> = None;
    let mut places: Vec<Option<(usize, usize)>> = Vec::with_capacity(rows.len());
    for row in rows {
        places.push(row.map(|row| {
            let at = Rc::as_ptr(&row.batch);
            let number = match last {
                Some((known, number)) if known == at => number,
                _ => *numbers.entry(at).or_insert_with(|| {
                    batches.push(&row.batch.batch);
                    batches.len() - 1
                }),
            };
            last = Some((at, number));
            (number, row.row as usize)
        }));
    }
    let column = |(i, ty): (usize, &SqlType)| match wanted[i] {
        false => Column::Absent,
        true => gather_column(i, ty, &batches, &places),
    };
    types.iter().enumerate().map(column).collect()
}

fn gather_column(
    column: usize,
    ty: &SqlType,
    batches: &[&Batch],
    places: &[Option<(usize, usize)>],
) -> Column {
    let none: ArrayRef = new_null_array(&ty.arrow(), 1);
    let columns: Vec<&Column> = batches.iter().map(|batch| &batch.columns[column]).collect();
    let mut arrays: Vec<&dyn Array> = columns.iter().map(|column| column.at(0).0.as_ref()).collect();
    arrays.push(&none);
    let nowhere = (batches.len(), 0);
    let place = |place: &Option<(usize, usize)>| {
        place.map_or(nowhere, |(batch, row)| (batch, columns[batch].at(row).1))
    };
    let indices: Vec<(usize, usize)> = places.iter().map(place).collect();
    let gathered = arrow_select::interleave::interleave(&arrays, &indices);
    Column::Array(gathered.expect("the columns have one type and the places are in them"))
}
