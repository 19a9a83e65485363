//! The books: how many rows each stage took in, made beyond that, let out, filtered and rejected, per tick.
//!
//! Stages record as they work; when a tick is closed for every maintained dataflow, its entries go
//! as rows into the hub of the hidden stream `WHARFE_BOOK_ENTRIES`, and an ordinary query sums them
//! up into the table WHARFE_BOOKS.

use super::Tick;
use super::hub::Hub;
use crate::aggregate::Key;
use crate::batch::{Batch, Column, Origin};
use crate::plan::{DataflowId, is_answer};
use crate::types::{ColumnDef, Part, Schema, SqlType};
use crate::value::{Row, Value, encode_row};
use arrow_buffer::BooleanBuffer;
use serde::{Deserialize, Serialize};
use std::cell::{Cell, RefCell};
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

    /// Of a push query, or of what an answer is made of.
    fn is_of_answer(&self) -> bool {
        is_answer(self.query())
    }

    pub fn new(source: &str, topic: &str, query: &str, stage: &str) -> Stage {
        Stage { names: [source, topic, query, stage].map(String::from) }
    }
}

#[derive(Default)]
pub struct Books {
    /// By number; one that has gone is never given again.
    accounts: RefCell<BTreeMap<usize, Account>>,
    numbers: Cell<usize>,
    open: RefCell<BTreeMap<Tick, BTreeMap<usize, [i64; 5]>>>,
    hub: RefCell<Option<Rc<Hub>>>,
}

/// What is booked of one stage, whatever number of operators does it.
struct Account {
    stage: Stage,
    /// Since the start.
    totals: [u64; 5],
    /// That were published.
    entries: i64,
    /// The query has ended: it is measured no more, and what is booked of an answer goes.
    ended: bool,
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
        let mut accounts = self.accounts.borrow_mut();
        if let Some((number, account)) = accounts.iter_mut().find(|(_, account)| account.stage == stage) {
            account.ended = false;
            return *number;
        }
        let number = self.numbers.replace(self.numbers.get() + 1);
        accounts.insert(number, Account { stage, totals: [0; 5], entries: 0, ended: false });
        number
    }

    /// A query has ended: nothing of it runs here any more.
    pub fn end(&self, query: &str) {
        let mut accounts = self.accounts.borrow_mut();
        accounts.values_mut().filter(|account| account.stage.query() == query).for_each(|a| a.ended = true);
    }

    /// How many stages are booked.
    pub fn stages(&self) -> usize {
        self.accounts.borrow().len()
    }

    /// Rows in, made, out, filtered and rejected since the start, of all that runs but answers: those come
    /// and go.
    pub fn totals(&self) -> BTreeMap<Stage, [u64; 5]> {
        let accounts = self.accounts.borrow();
        let measured = accounts.values().filter(|account| !account.ended && !account.stage.is_of_answer());
        measured.map(|account| (account.stage.clone(), account.totals)).collect()
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
        let mut accounts = self.accounts.borrow_mut();
        let Some(account) = accounts.get_mut(&stage) else { return };
        let mut open = self.open.borrow_mut();
        let counts = open.entry(tick).or_default().entry(stage).or_default();
        let both = counts.iter_mut().zip(&mut account.totals);
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
        if let Some(gone) = self.gone(&open) {
            // At the hub's present tick: behind all that it takes away.
            hub.push(0, gone);
        }
        hub.advance(WRITER, closed);
    }

    /// Takes away what was booked of answers that have ended, once all of it is published: their names,
    /// marked as deleted, with the number of entries as offsets.
    fn gone(&self, open: &BTreeMap<Tick, BTreeMap<usize, [i64; 5]>>) -> Option<Batch> {
        let mut accounts = self.accounts.borrow_mut();
        let is_gone = |number: &usize, account: &mut Account| {
            let is_open = || open.values().any(|counts| counts.contains_key(number));
            account.ended && account.stage.is_of_answer() && !is_open()
        };
        let gone: Vec<Account> = accounts.extract_if(.., is_gone).map(|(_, account)| account).collect();
        let gone: Vec<Account> = gone.into_iter().filter(|account| account.entries > 0).collect();
        if gone.is_empty() {
            return None;
        }
        let mut batch = entries(gone.iter().map(|account| (&account.stage, [0; 5])));
        batch.origin.offsets = gone.iter().map(|account| account.entries).collect();
        batch.deleted = Some(BooleanBuffer::new_set(gone.len()));
        Some(batch)
    }

    fn batch(&self, counts: BTreeMap<usize, [i64; 5]>) -> Batch {
        let mut accounts = self.accounts.borrow_mut();
        counts.keys().for_each(|stage| accounts.get_mut(stage).into_iter().for_each(|a| a.entries += 1));
        entries(counts.iter().filter_map(|(stage, counts)| Some((&accounts.get(stage)?.stage, *counts))))
    }
}

/// Entries as rows.
fn entries<'a>(entries: impl Iterator<Item = (&'a Stage, [i64; 5])>) -> Batch {
    let rows: Vec<Vec<Value>> = entries
        .map(|(stage, counts)| {
            let names = stage.names.iter().map(|name| Value::text(name));
            names.chain(counts.map(Value::Bigint)).collect()
        })
        .collect();
    let column = |(c, column): (usize, &ColumnDef)| {
        Column::Array(Value::array(&column.ty, rows.iter().map(|row| &row[c])))
    };
    let columns = schema().columns.iter().enumerate().map(column).collect();
    Batch { len: rows.len(), columns, origin: Origin::none(rows.len()), deleted: None }
}

/// Of groups whose rows all go, the keys and how many rows those are: what is booked of answers that ended.
pub fn gone(batch: &Batch, keys: usize) -> Vec<(Key, i64)> {
    let Some(deleted) = &batch.deleted else { return Vec::new() };
    let key = |row: usize| -> Row { batch.columns[..keys].iter().map(|column| column.value(row)).collect() };
    deleted.set_indices().map(|row| (encode_row(&key(row)), batch.origin.offsets[row])).collect()
}
