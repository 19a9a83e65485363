//! What a compiled expression is made of: nodes, the frame they run in, and the leaves.
//!
//! A node is chosen once, at compile time, for the types of its operands; running it costs one
//! virtual call a batch. The frame carries a mask of the rows whose value is asked for: values of
//! other rows are arbitrary and nothing is noted for them, which is how the branch that a row does
//! not take stays silent.

use super::{Notes, Pseudo};
use crate::batch::{Batch, Column, Partitions, SourcePartition, Timestamps};
use arrow_array::cast::AsArray;
use arrow_array::{
    Array, ArrayRef, ArrowPrimitiveType, BooleanArray, Int32Array, Int64Array, PrimitiveArray,
};
use arrow_buffer::{BooleanBuffer, NullBuffer};
use arrow_schema::DataType;
use std::sync::Arc;

pub(crate) type Child = Box<dyn Node>;

pub(crate) trait Node {
    /// One value for every row of the frame, or a constant.
    fn eval(&mut self, frame: &mut Frame<'_>) -> Column;
}

/// What a node sees while it runs.
pub(crate) struct Frame<'a> {
    pub batch: &'a Batch,
    /// Rows that are asked for; `None`: all of them.
    pub mask: Option<&'a BooleanBuffer>,
    /// Values of common subexpressions, by slot.
    pub shared: &'a [Column],
    pub notes: &'a mut Notes,
}

impl Frame<'_> {
    pub fn rows(&self) -> usize {
        self.batch.len
    }

    /// The same frame for fewer rows. `mask` must be within the present one.
    pub fn within<'b>(&'b mut self, mask: &'b BooleanBuffer) -> Frame<'b> {
        Frame { batch: self.batch, mask: Some(mask), shared: self.shared, notes: self.notes }
    }

    /// Where a kernel notes failures. What fails for a constant fails for every row.
    pub fn report(&mut self, constant: bool) -> Report<'_> {
        let every = constant.then_some(self.batch.len);
        Report { mask: self.mask, every, notes: self.notes }
    }

    /// The rows that are asked for, as a mask.
    pub fn open(&self) -> BooleanBuffer {
        self.mask.cloned().unwrap_or_else(|| BooleanBuffer::new_set(self.rows()))
    }
}

/// Takes the notes of one kernel run; leaves out rows that nobody asked for.
pub(crate) struct Report<'a> {
    mask: Option<&'a BooleanBuffer>,
    /// The number of rows that a constant stands for.
    every: Option<usize>,
    notes: &'a mut Notes,
}

impl<'a> Report<'a> {
    /// For rows that stand for themselves, all of them asked for.
    pub fn new(notes: &'a mut Notes) -> Report<'a> {
        Report { mask: None, every: None, notes }
    }

    /// Empty notes on other rows: those of the items within these.
    pub fn notes_on(&self, rows: usize) -> Notes {
        self.notes.alike(rows)
    }

    pub fn note(&mut self, row: usize, reason: impl Fn() -> String) {
        match self.every {
            Some(rows) => {
                for row in 0..self.notes.room(rows) {
                    self.one(row, &reason);
                }
            }
            None => self.one(row, &reason),
        }
    }

    fn one(&mut self, row: usize, reason: impl Fn() -> String) {
        if self.mask.is_none_or(|mask| mask.value(row)) {
            self.notes.note(row, reason);
        }
    }
}

/// The array behind a column and whether it stands for every row.
pub(crate) fn parts(column: &Column) -> (&ArrayRef, bool) {
    match column {
        Column::Const(array) => (array, true),
        other => (other.at(0).0, false),
    }
}

pub(crate) fn column(array: ArrayRef, constant: bool) -> Column {
    if constant { Column::Const(array) } else { Column::Array(array) }
}

/// One operand of a kernel as a raw slice; of length one when it is a constant.
#[derive(Clone, Copy)]
pub(crate) struct Side<'a, T> {
    pub values: &'a [T],
    pub constant: bool,
    pub nulls: Option<&'a NullBuffer>,
}

impl<'a, T: Copy> Side<'a, T> {
    pub fn at(&self, row: usize) -> T {
        self.values[if self.constant { 0 } else { row }]
    }

    fn row_nulls(&self) -> Option<&'a NullBuffer> {
        if self.constant { None } else { self.nulls }
    }

    fn is_null_constant(&self) -> bool {
        self.constant && self.nulls.is_some_and(|nulls| nulls.null_count() > 0)
    }
}

pub(crate) fn side<P: ArrowPrimitiveType>(column: &Column) -> Side<'_, P::Native> {
    let (array, constant) = parts(column);
    Side { values: array.as_primitive::<P>().values(), constant, nulls: array.nulls() }
}

/// The rows of a result that are valid because both operands are.
pub(crate) enum Validity {
    /// An operand is the constant NULL.
    Never,
    Where(Option<NullBuffer>),
}

/// Whether a column is the constant NULL.
pub(crate) fn is_null(column: &Column) -> bool {
    matches!(column, Column::Const(array) if array.is_null(0))
}

pub(crate) fn validity(left: &Column, right: &Column) -> Validity {
    if is_null(left) || is_null(right) {
        return Validity::Never;
    }
    Validity::Where(NullBuffer::union(own_nulls(left), own_nulls(right)))
}

/// The null mask of a column that has one value a row.
pub(crate) fn own_nulls(column: &Column) -> Option<&NullBuffer> {
    match column {
        Column::Array(array) => array.nulls(),
        _ => None,
    }
}

/// Applies `f` row by row; each mix of arrays and constants is a loop of its own.
pub(crate) fn map2<A: Copy, B: Copy, O>(
    left: Side<A>,
    right: Side<B>,
    mut f: impl FnMut(A, B) -> O,
) -> Vec<O> {
    match (left.constant, right.constant) {
        (false, false) => left.values.iter().zip(right.values).map(|(a, b)| f(*a, *b)).collect(),
        (false, true) => {
            let b = right.values[0];
            left.values.iter().map(|a| f(*a, b)).collect()
        }
        (true, false) => {
            let a = left.values[0];
            right.values.iter().map(|b| f(a, *b)).collect()
        }
        (true, true) => vec![f(left.values[0], right.values[0])],
    }
}

/// Like [`map2`] for operations that fail on some values: NULL and a note there.
///
/// The first pass only learns whether anything failed; rows are looked for when something did.
pub(crate) fn try_map2<A: Copy, B: Copy, O: Default>(
    left: Side<A>,
    right: Side<B>,
    f: impl Fn(A, B) -> Option<O>,
    reason: impl Fn(A, B) -> String,
    report: &mut Report,
) -> (Vec<O>, Option<NullBuffer>) {
    let mut failed = false;
    let values = map2(left, right, |a, b| {
        f(a, b).unwrap_or_else(|| {
            failed = true;
            O::default()
        })
    });
    let nulls = NullBuffer::union(left.row_nulls(), right.row_nulls());
    debug_assert!(!left.is_null_constant() && !right.is_null_constant());
    if !failed {
        return (values, nulls);
    }
    let nulls = exclude(nulls, values.len(), |row| {
        let (a, b) = (left.at(row), right.at(row));
        let fails = f(a, b).is_none();
        if fails {
            report.note(row, || reason(a, b));
        }
        fails
    });
    (values, nulls)
}

/// Like [`try_map2`] for one operand.
pub(crate) fn try_map1<A: Copy, O: Default>(
    values: &[A],
    nulls: Option<&NullBuffer>,
    f: impl Fn(A) -> Option<O>,
    reason: impl Fn(A) -> String,
    report: &mut Report,
) -> (Vec<O>, Option<NullBuffer>) {
    let mut failed = false;
    let out = values
        .iter()
        .map(|a| {
            f(*a).unwrap_or_else(|| {
                failed = true;
                O::default()
            })
        })
        .collect();
    if !failed {
        return (out, nulls.cloned());
    }
    let nulls = exclude(nulls.cloned(), values.len(), |row| {
        let fails = f(values[row]).is_none();
        if fails {
            report.note(row, || reason(values[row]));
        }
        fails
    });
    (out, nulls)
}

/// Takes the valid rows where `fails` out of a null mask.
pub(crate) fn exclude(
    nulls: Option<NullBuffer>,
    rows: usize,
    mut fails: impl FnMut(usize) -> bool,
) -> Option<NullBuffer> {
    let valid = BooleanBuffer::collect_bool(rows, |row| {
        nulls.as_ref().is_none_or(|n| n.is_valid(row)) && !fails(row)
    });
    Some(NullBuffer::new(valid))
}

/// A primitive array of exactly the Arrow type `ty`.
pub(crate) fn primitive<P: ArrowPrimitiveType>(
    values: Vec<P::Native>,
    nulls: Option<NullBuffer>,
    ty: &DataType,
) -> ArrayRef {
    Arc::new(PrimitiveArray::<P>::new(values.into(), nulls).with_data_type(ty.clone()))
}

pub(crate) fn boolean(bits: BooleanBuffer) -> ArrayRef {
    Arc::new(BooleanArray::new(bits, None))
}

/// A column of the batch.
pub(crate) struct ColumnNode(pub usize);

impl Node for ColumnNode {
    fn eval(&mut self, frame: &mut Frame<'_>) -> Column {
        frame.batch.columns[self.0].clone()
    }
}

/// A literal, kept as the constant it becomes.
pub(crate) struct Literal(pub Column);

impl Node for Literal {
    fn eval(&mut self, _frame: &mut Frame<'_>) -> Column {
        self.0.clone()
    }
}

/// A common subexpression that was evaluated before.
pub(crate) struct Slot(pub usize);

impl Node for Slot {
    fn eval(&mut self, frame: &mut Frame<'_>) -> Column {
        frame.shared[self.0].clone()
    }
}

impl Node for Pseudo {
    fn eval(&mut self, frame: &mut Frame<'_>) -> Column {
        let origin = &frame.batch.origin;
        match self {
            Pseudo::Rowtime => match &origin.rowtime {
                Timestamps::All(time) => Column::Const(Arc::new(Int64Array::from(vec![*time]))),
                Timestamps::Each(times) => Column::Array(Arc::new(Int64Array::new(times.clone(), None))),
            },
            Pseudo::Rowpartition => match &origin.partitions {
                Partitions::One(one) => Column::Const(Arc::new(Int32Array::from(vec![one.partition]))),
                Partitions::Each(all) => {
                    Column::Array(Arc::new(Int32Array::from_iter_values(all.iter().map(|p| p.partition))))
                }
            },
            Pseudo::Roworigin => {
                let place = |p: &SourcePartition| i64::from(p.source) << 32 | i64::from(p.partition as u32);
                match &origin.partitions {
                    Partitions::One(one) => Column::Const(Arc::new(Int64Array::from(vec![place(one)]))),
                    Partitions::Each(all) => {
                        Column::Array(Arc::new(Int64Array::from_iter_values(all.iter().map(place))))
                    }
                }
            }
            Pseudo::Now => Column::Const(Arc::new(Int64Array::from(vec![frame.notes.now()]))),
            Pseudo::Rowoffset => Column::Array(Arc::new(Int64Array::new(origin.offsets.clone(), None))),
        }
    }
}

/// What a one-operand kernel does with the array behind a column.
pub(crate) type Kernel1 = Box<dyn FnMut(&ArrayRef, &mut Report) -> ArrayRef>;

/// A node of one operand; a constant stays one.
pub(crate) struct Apply1 {
    pub operand: Child,
    pub kernel: Kernel1,
}

impl Node for Apply1 {
    fn eval(&mut self, frame: &mut Frame<'_>) -> Column {
        let operand = self.operand.eval(frame);
        let (array, constant) = parts(&operand);
        column((self.kernel)(array, &mut frame.report(constant)), constant)
    }
}

/// What a two-operand kernel does; of two constants it makes a constant.
pub(crate) type Kernel2 = Box<dyn FnMut(&Column, &Column, &mut Report) -> Column>;

pub(crate) struct Apply2 {
    pub left: Child,
    pub right: Child,
    pub kernel: Kernel2,
}

impl Node for Apply2 {
    fn eval(&mut self, frame: &mut Frame<'_>) -> Column {
        let left = self.left.eval(frame);
        let right = self.right.eval(frame);
        let constant = parts(&left).1 && parts(&right).1;
        (self.kernel)(&left, &right, &mut frame.report(constant))
    }
}
