//! What travels between operators: messages as a connector read them, and rows as a format typed them.

use crate::headers::Headers;
use crate::value::Value;
use arrow_array::{Array, ArrayRef, UInt32Array, new_null_array};
use arrow_buffer::{BooleanBuffer, Buffer, ScalarBuffer};
use arrow_schema::DataType;
use serde::{Deserialize, Serialize};
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
    /// Ordinal of the source stream in the script.
    pub source: u32,
    /// ROWPARTITION.
    pub partition: i32,
    /// ROWOFFSET.
    pub offsets: ScalarBuffer<i64>,
    /// Of the record that a row was made from: what stores the row passes them on.
    pub headers: Headers,
}

/// The order that LATEST_BY_OFFSET and EARLIEST_BY_OFFSET go by; the greatest is the latest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Position {
    pub rowtime: i64,
    pub source: u32,
    pub partition: i32,
    pub offset: i64,
}

impl Origin {
    /// Of rows that were made from no record.
    pub fn none(rows: usize) -> Origin {
        Origin {
            rowtime: Timestamps::All(0),
            source: 0,
            partition: 0,
            offsets: vec![0; rows].into(),
            headers: Headers::None,
        }
    }

    pub fn position(&self, i: usize) -> Position {
        Position {
            rowtime: self.rowtime.at(i),
            source: self.source,
            partition: self.partition,
            offset: self.offsets[i],
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
    /// Rows whose message had no value: deletions, only in the changelog of a table.
    pub deleted: Option<BooleanBuffer>,
}

impl Batch {
    pub fn row(&self, i: usize) -> Vec<Value> {
        self.columns.iter().map(|c| c.value(i)).collect()
    }

    /// The rows where `keep` is true (NULL counts as false).
    pub fn filter(&self, keep: &arrow_array::BooleanArray) -> Batch {
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
            origin: Origin {
                rowtime: match &self.origin.rowtime {
                    Timestamps::All(t) => Timestamps::All(*t),
                    Timestamps::Each(each) => Timestamps::Each(times(each)),
                },
                offsets: times(&self.origin.offsets),
                headers: self
                    .origin
                    .headers
                    .pick((0..self.len).filter(|&i| keep.is_valid(i) && keep.value(i))),
                ..self.origin
            },
            deleted: self.deleted.as_ref().map(|deleted| {
                let array: ArrayRef = Arc::new(arrow_array::BooleanArray::new(deleted.clone(), None));
                use arrow_array::cast::AsArray;
                each(&array).as_boolean().values().clone()
            }),
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
