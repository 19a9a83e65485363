//! The books: how many rows each stage took in, made beyond that, let out, filtered and rejected, per tick.
//!
//! Stages record as they work; when a tick is closed for every maintained dataflow, its entries go
//! as rows into the hub of the hidden stream `WHARFE_BOOK_ENTRIES`, and an ordinary query sums them
//! up into the table WHARFE_BOOKS.

use super::Tick;
use super::hub::Hub;
use crate::batch::{Batch, Column, Origin};
use crate::plan::DataflowId;
use crate::types::{ColumnDef, Part, Schema, SqlType};
use crate::value::Value;
use serde::{Deserialize, Serialize};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

/// The writer that the books are in their hub.
pub const WRITER: DataflowId = 0;

/// The topic that the hidden stream of entries goes by.
pub const TOPIC: &str = "wharfe_books";

const UNBOOKED: usize = usize::MAX;

/// Columns of a book entry: four that name the stage, five counts.
pub fn schema() -> Schema {
    let column = |name: &str, ty| ColumnDef { name: name.into(), ty, part: Part::Value };
    let names = ["SOURCE_NAME", "TOPIC", "QUERY_ID", "STAGE"].map(|n| column(n, SqlType::Varchar));
    let counts = ["ROWS_IN", "ROWS_MADE", "ROWS_OUT", "ROWS_FILTERED", "ROWS_REJECTED"]
        .map(|n| column(n, SqlType::Bigint));
    Schema::new(names.into_iter().chain(counts))
}

/// What one line of the books is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Stage {
    names: [String; 4],
}

impl Stage {
    pub fn source(&self) -> &str {
        &self.names[0]
    }

    /// Empty where a source is decoded.
    pub fn query(&self) -> &str {
        &self.names[2]
    }

    pub fn stage(&self) -> &str {
        &self.names[3]
    }

    pub fn new(source: &str, topic: &str, query: &str, stage: &str) -> Stage {
        Stage { names: [source, topic, query, stage].map(String::from) }
    }
}

#[derive(Default)]
pub struct Books {
    stages: RefCell<Vec<Stage>>,
    /// Since the start, by stage.
    totals: RefCell<Vec<[u64; 5]>>,
    open: RefCell<BTreeMap<Tick, BTreeMap<usize, [i64; 5]>>>,
    hub: RefCell<Option<Rc<Hub>>>,
}

impl Books {
    /// From now on entries go into this hub.
    pub fn attach(&self, hub: Rc<Hub>) {
        hub.add_writer(WRITER);
        *self.hub.borrow_mut() = Some(hub);
    }

    /// A number for the stage, to record by.
    pub fn stage(&self, stage: Stage) -> usize {
        // The books do not keep books of themselves: each entry would make another one.
        if stage.names[1] == TOPIC {
            return UNBOOKED;
        }
        let mut stages = self.stages.borrow_mut();
        stages.push(stage);
        self.totals.borrow_mut().push([0; 5]);
        stages.len() - 1
    }

    /// Rows in, made, out, filtered and rejected since the start, of all but answers: those come and go.
    pub fn totals(&self) -> BTreeMap<Stage, [u64; 5]> {
        let mut sums: BTreeMap<Stage, [u64; 5]> = BTreeMap::new();
        for (stage, counts) in self.stages.borrow().iter().zip(self.totals.borrow().iter()) {
            if !stage.query().starts_with("transient_") {
                let sum = sums.entry(stage.clone()).or_default();
                sum.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
            }
        }
        sums
    }

    pub fn record(
        &self,
        stage: usize,
        tick: Tick,
        rows_in: usize,
        out: usize,
        filtered: usize,
        rejected: usize,
    ) {
        // A stage that pairs rows, or makes several of one, lets out more than came in.
        let made = (out + filtered + rejected).saturating_sub(rows_in);
        debug_assert_eq!(rows_in + made, out + filtered + rejected);
        if stage == UNBOOKED {
            return;
        }
        let mut open = self.open.borrow_mut();
        let counts = open.entry(tick).or_default().entry(stage).or_default();
        let mut totals = self.totals.borrow_mut();
        let both = counts.iter_mut().zip(&mut totals[stage]);
        for ((count, total), more) in both.zip([rows_in, made, out, filtered, rejected]) {
            *count += more as i64;
            *total += more as u64;
        }
    }

    /// Publishes the entries of the ticks before `closed`; `None`: of all, and ends the books.
    pub fn publish(&self, closed: Option<Tick>) {
        let hub = self.hub.borrow();
        let Some(hub) = hub.as_ref() else { return };
        let mut open = self.open.borrow_mut();
        while let Some(entry) = open.first_entry() {
            if closed.is_some_and(|closed| *entry.key() >= closed) {
                break;
            }
            let (tick, counts) = entry.remove_entry();
            hub.push(tick, self.batch(counts));
        }
        hub.advance(WRITER, closed);
    }

    fn batch(&self, counts: BTreeMap<usize, [i64; 5]>) -> Batch {
        let stages = self.stages.borrow();
        let rows: Vec<Vec<Value>> = counts
            .into_iter()
            .map(|(stage, counts)| {
                let names = stages[stage].names.iter().map(|n| Value::text(n));
                names.chain(counts.map(Value::Bigint)).collect()
            })
            .collect();
        let columns = schema()
            .columns
            .iter()
            .enumerate()
            .map(|(c, column)| Column::Array(Value::array(&column.ty, rows.iter().map(|r| &r[c]))))
            .collect();
        Batch { len: rows.len(), columns, origin: Origin::none(rows.len()), deleted: None }
    }
}
