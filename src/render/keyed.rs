//! Rows on their way to the worker that their key belongs to.
//!
//! Fed by a side of a join, feeds the join: whole batches where there is one worker, else the rows of a
//! batch that go to one worker. How far a source has come is told to all workers.

use super::Tick;
use super::table::route;
use crate::aggregate::view::View;
use crate::batch::{Batch, Column, Origin, Partitions, Position, Reached, SourcePartition, Timestamps};
use crate::error::Result;
use crate::expr::compile::Projection;
use crate::expr::{Expr, Notes};
use crate::headers::Headers;
use crate::plan::Side;
use crate::types::SqlType;
use crate::value::{Value, decode_row, encode_row};
use arrow_array::{Array, Int32Array, Int64Array};
use arrow_buffer::BooleanBuffer;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use timely::dataflow::StreamVec;
use timely::dataflow::channels::pact::Pipeline;
use timely::dataflow::operators::generic::Operator;

/// Rows with their keys, for one worker.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(into = "Packed", from = "Packed")]
pub struct Keyed {
    pub to: u64,
    pub batch: Batch,
    pub keys: Keys,
    types: Arc<Vec<SqlType>>,
}

/// The key of each row, as [`encode_row`] writes it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Keys {
    bytes: Vec<u8>,
    /// Where each ends; of a key with a NULL in it the sign bit is set.
    ends: Vec<u32>,
}

const NULL: u32 = 1 << 31;

impl Keys {
    fn of(columns: &[Column], rows: usize) -> Keys {
        let views: Vec<View> = columns.iter().map(View::of).collect();
        let mut keys = Keys { bytes: Vec::with_capacity(16 * rows), ends: Vec::with_capacity(rows) };
        for row in 0..rows {
            let mut is_null = 0;
            for view in &views {
                is_null |= if view.is_null(row) { NULL } else { 0 };
                view.encode(row, &mut keys.bytes);
            }
            keys.ends.push(keys.bytes.len() as u32 | is_null);
        }
        keys
    }

    /// `None`: a part of it is NULL, which equals nothing.
    pub fn get(&self, row: usize) -> Option<&[u8]> {
        (self.ends[row] & NULL == 0).then(|| self.bytes(row))
    }

    /// The bytes of a key, whatever is in it.
    pub fn bytes(&self, row: usize) -> &[u8] {
        let start = row.checked_sub(1).map_or(0, |before| self.ends[before] & !NULL) as usize;
        &self.bytes[start..(self.ends[row] & !NULL) as usize]
    }

    fn take(&self, rows: &[u32]) -> Keys {
        let mut taken = Keys::default();
        for &row in rows {
            let row = row as usize;
            taken.bytes.extend_from_slice(self.bytes(row));
            taken.ends.push(taken.bytes.len() as u32 | (self.ends[row] & NULL));
        }
        taken
    }
}

impl Keyed {
    /// Rows whose keys are known, and whether there is a NULL in them.
    pub fn with_keys<'k>(
        batch: Batch,
        keys: impl Iterator<Item = (&'k [u8], bool)>,
        types: Vec<SqlType>,
    ) -> Keyed {
        let mut all = Keys::default();
        for (key, is_null) in keys {
            all.bytes.extend_from_slice(key);
            all.ends.push(all.bytes.len() as u32 | if is_null { NULL } else { 0 });
        }
        Keyed { to: 0, batch, keys: all, types: Arc::new(types) }
    }

    /// What one of the rows takes in memory, about.
    pub fn row_bytes(&self) -> usize {
        let bytes = |column: &Column| match column {
            Column::Array(array) => array.get_buffer_memory_size(),
            Column::Const(_) | Column::Absent => 0,
        };
        let columns: usize = self.batch.columns.iter().map(bytes).sum();
        // Beside its columns a row has a time, a position and a place in a queue.
        (columns + self.keys.bytes.len()) / self.batch.len.max(1) + 128
    }

    /// Rows that stay where they are, by themselves.
    pub fn alone(batch: Batch, types: Vec<SqlType>) -> Keyed {
        Keyed { to: 0, batch, keys: Keys::default(), types: Arc::new(types) }
    }
}

/// Gives the rows of a join's side their keys and deals them out. A side that is a scan gets its rows'
/// ROWTIME, ROWPARTITION and ROWOFFSET as columns.
pub fn keyed<'s>(
    rows: StreamVec<'s, Tick, Batch>,
    side: &Side,
    peers: usize,
) -> Result<StreamVec<'s, Tick, Keyed>> {
    dealt(rows, &side.keys, &side.columns, side.relation.is_scan(), peers)
}

/// Gives rows their keys and deals them out. `types`: those of their columns.
pub fn keyed_by<'s>(
    rows: StreamVec<'s, Tick, Batch>,
    keys: &[Expr],
    types: &[SqlType],
    peers: usize,
) -> Result<StreamVec<'s, Tick, Keyed>> {
    dealt(rows, keys, types, false, peers)
}

fn dealt<'s>(
    rows: StreamVec<'s, Tick, Batch>,
    keys: &[Expr],
    types: &[SqlType],
    is_scan: bool,
    peers: usize,
) -> Result<StreamVec<'s, Tick, Keyed>> {
    let mut keys = Projection::compile(keys)?;
    let types = Arc::new(types.to_vec());
    Ok(rows.unary(Pipeline, "Key", move |_, _| {
        move |input, output| {
            input.for_each(|cap, batches| {
                let mut session = output.session(&cap);
                for mut batch in batches.drain(..).filter(Batch::says_something) {
                    if is_scan && batch.len > 0 {
                        let record = record_columns(&batch);
                        batch.columns.extend(record);
                    }
                    let keys = match batch.len {
                        0 => Keys::default(),
                        // What fails here is NULL, and finds no partner.
                        _ => Keys::of(&keys.eval(&batch, &mut Notes::default()), batch.len),
                    };
                    deal(batch, keys, &types, peers, &mut |keyed| session.give(keyed));
                }
            });
        }
    }))
}

fn record_columns(batch: &Batch) -> [Column; 3] {
    let origin = &batch.origin;
    let rowtime = match &origin.rowtime {
        Timestamps::All(time) => Column::Const(Arc::new(Int64Array::from(vec![*time]))),
        Timestamps::Each(times) => Column::Array(Arc::new(Int64Array::new(times.clone(), None))),
    };
    let partition = match &origin.partitions {
        Partitions::One(one) => Column::Const(Arc::new(Int32Array::from(vec![one.partition]))),
        Partitions::Each(all) => {
            Column::Array(Arc::new(Int32Array::from_iter_values(all.iter().map(|p| p.partition))))
        }
    };
    let offset = Column::Array(Arc::new(Int64Array::new(origin.offsets.clone(), None)));
    [rowtime, partition, offset]
}

fn deal(batch: Batch, keys: Keys, types: &Arc<Vec<SqlType>>, peers: usize, give: &mut dyn FnMut(Keyed)) {
    let types = || Arc::clone(types);
    if peers == 1 {
        return give(Keyed { to: 0, batch, keys, types: types() });
    }
    let mut rows: Vec<Vec<u32>> = vec![Vec::new(); peers];
    for row in 0..batch.len {
        // A row without a key has no partner; it stays near.
        let to = keys.get(row).map_or(row as u64, route) as usize % peers;
        rows[to].push(row as u32);
    }
    for (to, rows) in rows.iter().enumerate() {
        if !rows.is_empty() || batch.origin.reached.is_some() {
            let part = Batch { ..batch.take(rows) };
            give(Keyed { to: to as u64, batch: part, keys: keys.take(rows), types: types() });
        }
    }
}

/// Rows on their way to another process: as the values that are there.
#[derive(Serialize, Deserialize)]
struct Packed {
    to: u64,
    keys: Keys,
    types: Vec<SqlType>,
    /// Columns that nobody asked for are not there.
    present: Vec<bool>,
    rows: Vec<PackedRow>,
    reached: Option<Reached>,
}

#[derive(Serialize, Deserialize)]
struct PackedRow {
    values: Box<[u8]>,
    rowtime: i64,
    position: Position,
    deleted: bool,
}

impl From<Keyed> for Packed {
    fn from(Keyed { to, batch, keys, types }: Keyed) -> Packed {
        let is_there = |column: &Column| !matches!(column, Column::Absent);
        let present: Vec<bool> = batch.columns.iter().map(is_there).collect();
        let row = |i: usize| {
            let values: Vec<Value> =
                batch.columns.iter().filter(|c| is_there(c)).map(|c| c.value(i)).collect();
            PackedRow {
                values: encode_row(&values),
                rowtime: batch.origin.rowtime.at(i),
                position: batch.origin.position(i),
                deleted: batch.is_deletion(i),
            }
        };
        let rows = (0..batch.len).map(row).collect();
        Packed { to, keys, types: types.to_vec(), present, rows, reached: batch.origin.reached }
    }
}

impl From<Packed> for Keyed {
    fn from(Packed { to, keys, types, present, rows, reached }: Packed) -> Keyed {
        let decoded: Vec<Vec<Value>> = rows
            .iter()
            .map(|row| decode_row(&row.values).expect("rows travel as they were encoded"))
            .collect();
        let mut at = 0;
        let columns = types.iter().zip(&present).map(|(ty, present)| match present {
            false => Column::Absent,
            true => {
                at += 1;
                Column::Array(Value::array(ty, decoded.iter().map(|row| &row[at - 1])))
            }
        });
        let columns: Vec<Column> = columns.collect();
        let position = |row: &PackedRow| row.position;
        let origin = Origin {
            rowtime: Timestamps::Each(rows.iter().map(|row| row.rowtime).collect()),
            stamps: Timestamps::Each(rows.iter().map(|row| position(row).stamp).collect()),
            partitions: Partitions::Each(
                rows.iter()
                    .map(position)
                    .map(|p| SourcePartition { source: p.source, partition: p.partition })
                    .collect(),
            ),
            offsets: rows.iter().map(|row| position(row).offset).collect(),
            nth: Some(rows.iter().map(|row| position(row).nth).collect()),
            headers: Headers::None,
            reached,
        };
        let deleted = BooleanBuffer::collect_bool(rows.len(), |i| rows[i].deleted);
        let batch = Batch { len: rows.len(), columns, origin, deleted: Some(deleted) };
        Keyed { to, batch, keys, types: Arc::new(types) }
    }
}
