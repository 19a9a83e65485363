//! A stream's rows with the rows that a table has for their keys at their time.
//!
//! Fed by lanes with the records of the stream and of the table in one order. What is kept: the present
//! row of each key of the table.

use super::keeping::{Entries, Keeping, Mark};
use super::keyed::Keyed;
use super::lanes::{LeftRight, Out, Pairing};
use super::pairs::{RowRef, gather};
use crate::batch::{Batch, Origin};
use crate::plan::Side;
use crate::sql::ast::JoinKind;
use crate::types::SqlType;
use std::collections::HashMap;
use std::rc::Rc;

pub struct Lookup {
    kind: JoinKind,
    rows: HashMap<Box<[u8]>, RowRef>,
    types: Vec<SqlType>,
    wanted: Vec<bool>,
    entries: Entries,
    /// Rows of the batches that `rows` point into, as long as they were not put together anew.
    pinned: usize,
}

/// Batches are put together anew when more than so many of their rows, and than as many as are present,
/// are no table's rows any more.
const LOOSE: usize = 64 << 10;

impl Lookup {
    /// `wanted`: the columns of the table that somebody reads.
    pub fn new(kind: JoinKind, table: &Side, wanted: &[bool]) -> Lookup {
        Lookup {
            kind,
            rows: HashMap::new(),
            types: table.columns.clone(),
            wanted: wanted.to_vec(),
            entries: Entries::new(table, wanted),
            pinned: 0,
        }
    }

    fn put(&mut self, row: RowRef, keeping: &mut Keeping) {
        let Some(key) = row.key() else { return };
        if row.is_deletion() {
            if let Some(known) = self.rows.remove(key) {
                keeping.remove(|| self.entries.of(key, &[], &known));
            }
            return;
        }
        keeping.add(row.rowtime(), || self.entries.of(key, &[], &row));
        match self.rows.get_mut(key) {
            Some(known) => {
                keeping.remove(|| self.entries.of(key, &[], known));
                *known = row;
            }
            None => drop(self.rows.insert(key.into(), row)),
        }
        self.pinned += 1;
        if self.pinned > 2 * self.rows.len() + LOOSE {
            self.put_together();
        }
    }

    /// Moves the present rows into a batch of their own, so that the ones that they came in can go.
    fn put_together(&mut self) {
        let rows: Vec<Option<&RowRef>> = self.rows.values().map(Some).collect();
        let columns = gather(&rows, &self.types, &self.wanted);
        let batch = Batch { len: rows.len(), columns, origin: Origin::none(rows.len()), deleted: None };
        let batch = Rc::new(Keyed::alone(batch, self.types.clone()));
        for (i, row) in self.rows.values_mut().enumerate() {
            *row = RowRef { batch: Rc::clone(&batch), row: i as u32 };
        }
        self.pinned = self.rows.len();
    }
}

impl Pairing for Lookup {
    fn row(&mut self, side: LeftRight, row: &RowRef, _: i64, out: &mut Out) -> Option<(String, i64)> {
        if side == LeftRight::Right {
            self.put(row.clone(), &mut out.keeping);
        // A record without a value is dropped.
        } else if !row.is_deletion() {
            let found = row.key().and_then(|key| self.rows.get(key)).cloned();
            if found.is_some() || self.kind.keeps_left() {
                out.pairs.push(Some(row.clone()), found, row.rowtime(), row.position());
            }
        }
        None
    }

    fn advance(&mut self, _: i64, _: &mut Out) {}

    fn restore(&mut self, entries: &[&[u8]]) {
        let rows = self.entries.rows(entries, &vec![Mark::NONE; entries.len()]);
        for row in rows {
            if let Some(key) = row.key() {
                self.rows.insert(key.into(), row.clone());
            }
        }
        self.pinned += entries.len();
    }
}
