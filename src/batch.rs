//! What travels between operators: messages as a connector read them, and rows as a format typed them.

use crate::headers::Headers;
use crate::value::Value;
use arrow_array::{Array, ArrayRef, BooleanArray, UInt32Array, new_null_array};
use arrow_buffer::{BooleanBuffer, Buffer, ScalarBuffer};
use arrow_schema::DataType;
use arrow_select::nullif::nullif;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::sync::Arc;

/// A byte range of a [`MessageBatch`]'s buffer; [`Range32::NULL`] stands for an absent key or value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Range32 {
    pub start: u32,
    pub end: u32,
}

impl Range32 {
    pub const NULL: Range32 = Range32 { start: u32::MAX, end: u32::MAX };

    pub fn is_null(self) -> bool {
        self == Range32::NULL
    }

    pub fn of(self, buffer: &[u8]) -> Option<&[u8]> {
        if self.is_null() { None } else { Some(&buffer[self.start as usize..self.end as usize]) }
    }
}

/// Undecoded messages of one partition, in offset order. Connectors make them and never look inside.
#[derive(Clone, Debug)]
pub struct MessageBatch {
    pub partition: i32,
    /// All bytes that `values` and `keys` point into; at most 1 GiB.
    pub buffer: Buffer,
    pub values: Vec<Range32>,
    /// `None` where no message of the batch has a key.
    pub keys: Option<Vec<Range32>>,
    /// In a file: the byte offset of the message.
    pub offsets: ScalarBuffer<i64>,
    pub timestamps: Timestamps,
    pub headers: Headers,
    /// Set by a connector that could not frame a message: (index, reason); decoded as a reject.
    pub torn: Vec<(usize, String)>,
    /// The line that names the fields of its messages, where one does.
    pub names: Option<Arc<[u8]>>,
}

impl MessageBatch {
    pub fn len(&self) -> usize {
        self.values.len()
    }

    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    pub fn value(&self, i: usize) -> Option<&[u8]> {
        self.values[i].of(&self.buffer)
    }

    pub fn key(&self, i: usize) -> Option<&[u8]> {
        self.keys.as_ref().and_then(|keys| keys[i].of(&self.buffer))
    }

    /// Its messages in batches of their own; one that has none is given as it is.
    pub fn each(self) -> Vec<MessageBatch> {
        if self.len() < 2 {
            return vec![self];
        }
        let one = |i: usize| MessageBatch {
            partition: self.partition,
            buffer: self.buffer.clone(),
            values: vec![self.values[i]],
            keys: self.keys.as_ref().map(|keys| vec![keys[i]]),
            offsets: self.offsets.slice(i, 1),
            timestamps: self.timestamps.take(&[i as u32]),
            headers: self.headers.pick([i].into_iter()),
            torn: self.torn.iter().filter(|(j, _)| *j == i).map(|(_, why)| (0, why.clone())).collect(),
            names: self.names.clone(),
        };
        (0..self.len()).map(one).collect()
    }
}

/// Milliseconds since the epoch: one for all rows, or one each.
#[derive(Clone, Debug)]
pub enum Timestamps {
    All(i64),
    Each(ScalarBuffer<i64>),
}

impl Timestamps {
    pub fn at(&self, i: usize) -> i64 {
        match self {
            Timestamps::All(t) => *t,
            Timestamps::Each(times) => times[i],
        }
    }

    /// Those at these indices.
    pub fn take(&self, rows: &[u32]) -> Timestamps {
        match self {
            Timestamps::All(t) => Timestamps::All(*t),
            Timestamps::Each(times) => {
                Timestamps::Each(rows.iter().map(|&row| times[row as usize]).collect())
            }
        }
    }

    /// Whether they are the same bytes.
    fn is(&self, other: &Timestamps) -> bool {
        match (self, other) {
            (Timestamps::Each(a), Timestamps::Each(b)) => a.ptr_eq(b),
            _ => false,
        }
    }

    /// The greatest so far at each of `rows` rows, where `before` was reached already; and the last.
    pub fn running_max(&self, rows: usize, before: i64) -> (Timestamps, i64) {
        match self {
            Timestamps::All(t) => {
                (Timestamps::All(before.max(*t)), if rows > 0 { before.max(*t) } else { before })
            }
            Timestamps::Each(times)
                if times.first().is_none_or(|first| *first >= before) && times.is_sorted() =>
            {
                (self.clone(), times.last().copied().unwrap_or(before))
            }
            Timestamps::Each(times) => {
                let mut reached = before;
                let each = times.iter().map(|time| {
                    reached = reached.max(*time);
                    reached
                });
                (Timestamps::Each(each.collect()), reached)
            }
        }
    }

    /// The greatest of so many rows; the least there is where there are none.
    pub fn greatest(&self, rows: usize) -> i64 {
        match self {
            Timestamps::All(t) if rows > 0 => *t,
            Timestamps::All(_) => i64::MIN,
            Timestamps::Each(times) => times.iter().copied().max().unwrap_or(i64::MIN),
        }
    }
}

/// One column of a batch.
#[derive(Clone, Debug)]
pub enum Column {
    /// One value a row.
    Array(ArrayRef),
    /// An array of length one whose value stands for every row (literals, lineage).
    Const(ArrayRef),
    /// Not materialised, since nobody reads it; validated all the same.
    Absent,
}

impl Column {
    pub fn null(ty: &DataType) -> Column {
        Column::Const(new_null_array(ty, 1))
    }

    /// The array behind it and the index of row `i` in it.
    ///
    /// # Panics
    /// On [`Column::Absent`]: a plan never reads a column it did not ask for.
    pub fn at(&self, i: usize) -> (&ArrayRef, usize) {
        match self {
            Column::Array(array) => (array, i),
            Column::Const(array) => (array, 0),
            Column::Absent => panic!("a column that the plan did not ask for was read"),
        }
    }

    pub fn value(&self, i: usize) -> Value {
        let (array, i) = self.at(i);
        Value::at(array, i)
    }

    /// The column with NULLs in the marked rows.
    pub fn null_where(&self, marked: &BooleanBuffer) -> Column {
        match self {
            Column::Absent => Column::Absent,
            column => {
                let array = column.to_array(marked.len());
                let marked = BooleanArray::new(marked.clone(), None);
                Column::Array(nullif(&array, &marked).expect("the mask has an entry for each row"))
            }
        }
    }

    /// The column as an array of `rows` rows.
    pub fn to_array(&self, rows: usize) -> ArrayRef {
        match self {
            Column::Array(array) => Arc::clone(array),
            Column::Const(array) => {
                let indices = UInt32Array::from(vec![0u32; rows]);
                arrow_select::take::take(array, &indices, None).expect("index 0 is within length 1")
            }
            Column::Absent => panic!("a column that the plan did not ask for was read"),
        }
    }
}

/// Where each row came from: what orders rows and what names them in rejects.
#[derive(Clone, Debug)]
pub struct Origin {
    /// ROWTIME.
    pub rowtime: Timestamps,
    /// The greatest ROWTIME of the row's source partition so far, in offset order, its own included.
    pub stamps: Timestamps,
    pub partitions: Partitions,
    /// ROWOFFSET.
    pub offsets: ScalarBuffer<i64>,
    /// Which of the rows that were made of one record each is; `None`: the first everywhere.
    pub nth: Option<ScalarBuffer<u32>>,
    /// Of the record that a row was made from: what stores the row passes them on.
    pub headers: Headers,
    /// What was known of the rows' source when they were read, also where there are none of them.
    pub reached: Option<Reached>,
}

/// How far one worker's reader of a source has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reached {
    /// Ordinal of the source stream.
    pub source: u32,
    pub worker: u32,
    /// A partition, and its stamp.
    pub partition: Option<(i32, i64)>,
    /// The reader has read all that is there now.
    pub at_end: bool,
}

/// A partition of a source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SourcePartition {
    /// Ordinal of the source stream in the script.
    pub source: u32,
    /// ROWPARTITION.
    pub partition: i32,
}

/// The source partitions of a batch's rows: as they are read, rows of one partition travel together.
#[derive(Clone, Debug)]
pub enum Partitions {
    One(SourcePartition),
    Each(Vec<SourcePartition>),
}

impl Partitions {
    pub fn at(&self, i: usize) -> SourcePartition {
        match self {
            Partitions::One(partition) => *partition,
            Partitions::Each(partitions) => partitions[i],
        }
    }
}

/// A total order of rows that never runs against the offsets of a partition: what LATEST_BY_OFFSET and
/// EARLIEST_BY_OFFSET, collections, stored streams and joins go by. The greatest is the latest.
///
/// Between partitions the stamp decides: the time that the row's partition had come to when it arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Position {
    /// Milliseconds since the epoch.
    pub stamp: i64,
    pub source: u32,
    pub partition: i32,
    pub offset: i64,
    /// Of the rows that were made of one record.
    pub nth: u32,
}

impl Origin {
    /// Of rows that were made from no record.
    pub fn none(rows: usize) -> Origin {
        Origin {
            rowtime: Timestamps::All(0),
            stamps: Timestamps::All(0),
            partitions: Partitions::One(SourcePartition::default()),
            offsets: vec![0; rows].into(),
            nth: None,
            headers: Headers::None,
            reached: None,
        }
    }

    /// The n-th row made of the record that row `i` was made of.
    pub fn nth(&self, i: usize) -> u32 {
        self.nth.as_ref().map_or(0, |nth| nth[i])
    }

    pub fn position(&self, i: usize) -> Position {
        let SourcePartition { source, partition } = self.partitions.at(i);
        Position { stamp: self.stamps.at(i), source, partition, offset: self.offsets[i], nth: self.nth(i) }
    }

    /// The rows at these indices, in their order.
    pub fn take(&self, rows: &[u32]) -> Origin {
        let each = || rows.iter().map(|&row| row as usize);
        Origin {
            rowtime: self.rowtime.take(rows),
            stamps: self.stamps.take(rows),
            partitions: match &self.partitions {
                Partitions::One(partition) => Partitions::One(*partition),
                Partitions::Each(all) => Partitions::Each(each().map(|row| all[row]).collect()),
            },
            offsets: each().map(|row| self.offsets[row]).collect(),
            nth: self.nth.as_ref().map(|nth| each().map(|row| nth[row]).collect()),
            headers: self.headers.pick(each()),
            reached: self.reached,
        }
    }
}

/// Typed rows with their origins. Cheap to clone: columns are shared.
#[derive(Clone, Debug)]
pub struct Batch {
    pub len: usize,
    /// In the order of the stream's schema: key columns first.
    pub columns: Vec<Column>,
    pub origin: Origin,
    /// Rows whose message had no value; `None`: each had one. In the changelog of a table they delete their
    /// key. In a stream all columns but those of the key are NULL: projections pass such rows on, to be
    /// stored as messages without a value, and whatever looks at values drops them.
    pub deleted: Option<BooleanBuffer>,
}

impl Batch {
    /// No rows, but how far their source has come.
    pub fn reached(reached: Reached) -> Batch {
        let origin = Origin { reached: Some(reached), ..Origin::none(0) };
        Batch { len: 0, columns: Vec::new(), origin, deleted: None }
    }

    /// Whether it is worth handing on.
    pub fn says_something(&self) -> bool {
        self.len > 0 || self.origin.reached.is_some()
    }

    /// Whether a row's message had no value.
    pub fn is_deletion(&self, row: usize) -> bool {
        self.deleted.as_ref().is_some_and(|deleted| deleted.value(row))
    }

    /// Those of the rows whose message had a value.
    pub fn with_values(&self) -> Cow<'_, Batch> {
        match &self.deleted {
            None => Cow::Borrowed(self),
            Some(deleted) => {
                let valued = self.filter(&BooleanArray::new(!deleted, None));
                Cow::Owned(Batch { deleted: None, ..valued })
            }
        }
    }

    pub fn row(&self, i: usize) -> Vec<Value> {
        self.columns.iter().map(|c| c.value(i)).collect()
    }

    /// The rows where `keep` is true (NULL counts as false).
    pub fn filter(&self, keep: &BooleanArray) -> Batch {
        let predicate = arrow_select::filter::FilterBuilder::new(keep).optimize().build();
        let each = |array: &ArrayRef| predicate.filter(array).expect("mask and column have one length");
        let times = |times: &ScalarBuffer<i64>| -> ScalarBuffer<i64> {
            let array: ArrayRef = Arc::new(arrow_array::Int64Array::new(times.clone(), None));
            use arrow_array::cast::AsArray;
            each(&array).as_primitive::<arrow_array::types::Int64Type>().values().clone()
        };
        Batch {
            len: predicate.count(),
            columns: self
                .columns
                .iter()
                .map(|c| match c {
                    Column::Array(array) => Column::Array(each(array)),
                    other => other.clone(),
                })
                .collect(),
            origin: self.filter_origin(keep, &|longs| times(longs)),
            deleted: self.deleted.as_ref().map(|deleted| {
                let array: ArrayRef = Arc::new(BooleanArray::new(deleted.clone(), None));
                use arrow_array::cast::AsArray;
                each(&array).as_boolean().values().clone()
            }),
        }
    }
}

impl Batch {
    fn filter_origin(
        &self,
        keep: &arrow_array::BooleanArray,
        longs: &dyn Fn(&ScalarBuffer<i64>) -> ScalarBuffer<i64>,
    ) -> Origin {
        let kept = || (0..self.len).filter(|&i| keep.is_valid(i) && keep.value(i));
        let times = |times: &Timestamps| match times {
            Timestamps::All(t) => Timestamps::All(*t),
            Timestamps::Each(each) => Timestamps::Each(longs(each)),
        };
        let origin = &self.origin;
        let rowtime = times(&origin.rowtime);
        Origin {
            // Where times do not fall they are their own stamps, and share their bytes.
            stamps: match origin.stamps.is(&origin.rowtime) {
                true => rowtime.clone(),
                false => times(&origin.stamps),
            },
            rowtime,
            partitions: match &origin.partitions {
                Partitions::One(partition) => Partitions::One(*partition),
                Partitions::Each(all) => Partitions::Each(kept().map(|i| all[i]).collect()),
            },
            offsets: longs(&origin.offsets),
            nth: origin.nth.as_ref().map(|nth| kept().map(|i| nth[i]).collect()),
            headers: origin.headers.pick(kept()),
            reached: origin.reached,
        }
    }

    /// The rows at these indices, in their order.
    pub fn take(&self, rows: &[u32]) -> Batch {
        let indices = UInt32Array::from(rows.to_vec());
        let column = |column: &Column| match column {
            Column::Array(array) => {
                let taken = arrow_select::take::take(array, &indices, None);
                Column::Array(taken.expect("the indices are rows of the batch"))
            }
            other => other.clone(),
        };
        Batch {
            len: rows.len(),
            columns: self.columns.iter().map(column).collect(),
            origin: self.origin.take(rows),
            deleted: self
                .deleted
                .as_ref()
                .map(|deleted| BooleanBuffer::collect_bool(rows.len(), |i| deleted.value(rows[i] as usize))),
        }
    }
}

/// A record that could not be decoded.
#[derive(Clone, Debug, PartialEq)]
pub struct Reject {
    /// Index of the message in its batch.
    pub message: usize,
    pub column: Option<String>,
    /// Names the column and the value.
    pub reason: String,
}
