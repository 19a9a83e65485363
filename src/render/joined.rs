//! Tables that keep nothing: they read others when they are read.

use super::Tick;
use super::table::Table;
use super::timed::{rowtime, timed_batch, timed_row};
use super::transform::Transform;
use crate::aggregate::Key;
use crate::error::Result;
use crate::expr::{Expr, ExprKind, Notes};
use crate::plan::{Join, SelectPlan, Shape, Side};
use crate::sql::ast::JoinKind;
use crate::types::SqlType;
use crate::value::{Row, Value, decode_row};
use std::cell::RefCell;

/// Two tables of equal keys, side by side.
pub struct Joined {
    pub left: Table,
    pub right: Table,
    pub join: Join,
}

impl Joined {
    /// Visits rows with their ROWTIMEs at `tick`, ascending by key: all, or those of `keys` (ascending).
    pub fn rows(&self, tick: Tick, keys: Option<&[Key]>, visit: &mut dyn FnMut(Key, Row)) {
        // Before rows are finished: a table's windows are its finisher's to tell.
        let windowed = self.left.kept_window().is_some();
        let mut right: Vec<(Key, Row)> = Vec::new();
        self.right.rows(tick, keys, &mut |key, row| right.push((key, row)));
        let mut right = right.into_iter().peekable();
        self.left.rows(tick, keys, &mut |key, row| {
            while let Some((alone, other)) = right.next_if(|(other, _)| *other < key) {
                self.pair(windowed, alone, [None, Some(other)], visit);
            }
            let partner = right.next_if(|(other, _)| *other == key).map(|(_, row)| row);
            self.pair(windowed, key, [Some(row), partner], visit);
        });
        right.for_each(|(key, row)| self.pair(windowed, key, [None, Some(row)], visit));
    }

    /// What the join has compared: where windows are kept in a form of their own, the key's bytes do not say it.
    fn compared(&self, windowed: bool, key: &[u8], left: Option<&Row>, right: Option<&Row>) -> Row {
        if !windowed {
            return decode_row(key).expect("keys are as they were encoded");
        }
        let (side, row) = match (left, right) {
            (Some(row), _) => (&self.join.left, row),
            (None, row) => (&self.join.right, row.expect("a joined row has a side")),
        };
        let value = |key: &Expr| match key.kind {
            ExprKind::Column(column) => row[column].clone(),
            _ => unreachable!("keys of windows are compared as they are"),
        };
        side.keys.iter().map(value).collect()
    }

    fn pair(
        &self,
        windowed: bool,
        key: Key,
        [left, right]: [Option<Row>; 2],
        visit: &mut dyn FnMut(Key, Row),
    ) {
        if exists(self.join.kind, left.is_some(), right.is_some()) {
            let compared = self.compared(windowed, &key, left.as_ref(), right.as_ref());
            let row = joined_row(&self.join, compared, left, right);
            visit(key, row);
        }
    }
}

/// Whether there is a joined row where these sides have one.
pub fn exists(kind: JoinKind, left: bool, right: bool) -> bool {
    match (left, right) {
        (true, true) => true,
        (true, false) => kind.keeps_left(),
        (false, true) => kind.keeps_right(),
        (false, false) => false,
    }
}

/// The columns of both sides, NULL where there is no row, and what was compared; then the greater ROWTIME.
pub fn joined_row(join: &Join, compared: Row, left: Option<Row>, right: Option<Row>) -> Row {
    let time = left.iter().chain(&right).map(|row| rowtime(row)).max();
    let mut row = side_row(&join.left, left);
    row.extend(side_row(&join.right, right));
    row.extend(compared);
    row.push(Value::Bigint(time.unwrap_or_default()));
    row
}

/// The columns of a side: those of its row, and where it is a scan its ROWTIME. Partition and offset are
/// NULL, since a table's row is of no one record.
pub fn side_row(side: &Side, row: Option<Row>) -> Row {
    let mut row = row.unwrap_or_default();
    if !side.relation.is_scan() {
        row.pop();
    }
    row.resize(side.columns.len(), Value::Null);
    row
}

/// A table, filtered and projected row for row under the same keys.
pub struct View {
    pub table: Table,
    pub select: SelectPlan,
    transform: RefCell<Transform>,
    types: Vec<SqlType>,
}

impl View {
    pub fn new(table: Table, select: &SelectPlan) -> Result<View> {
        let exprs = match &select.shape {
            Shape::Project(exprs) => exprs.clone(),
            Shape::Aggregate(aggregation) => aggregation.post.clone(),
        };
        let transform = RefCell::new(Transform::new(select.filter.as_ref(), exprs)?);
        let types = table.columns.iter().map(|c| c.ty.clone()).collect();
        Ok(View { table, select: select.clone(), transform, types })
    }

    /// As [`Joined::rows`].
    pub fn rows(&self, tick: Tick, keys: Option<&[Key]>, visit: &mut dyn FnMut(Key, Row)) {
        const CHUNK: usize = 4_096;
        let mut chunk: Vec<(Key, Row)> = Vec::new();
        self.table.rows(tick, keys, &mut |key, row| {
            chunk.push((key, row));
            if chunk.len() == CHUNK {
                self.project(&mut chunk, visit);
            }
        });
        self.project(&mut chunk, visit);
    }

    fn project(&self, chunk: &mut Vec<(Key, Row)>, visit: &mut dyn FnMut(Key, Row)) {
        let (mut keys, rows): (Vec<Option<Key>>, Vec<Row>) =
            chunk.drain(..).map(|(key, row)| (Some(key), row)).unzip();
        let mut batch = timed_batch(&self.types, &rows);
        // Which row each is, since the filter drops some.
        batch.origin.offsets = (0..rows.len() as i64).collect();
        let out = self.transform.borrow_mut().apply(&batch, &mut Notes::default());
        for i in 0..out.len {
            let key = keys[out.origin.offsets[i] as usize].take().expect("a row comes once");
            visit(key, timed_row(&out, i));
        }
    }
}
