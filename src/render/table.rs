//! A maintained table: an arrangement, and how to read rows out of it at a closed tick.
//!
//! Two forms, one way to read them. *States*: the difference of each key is its merged accumulators;
//! rows are finished when they are read, so a table costs one arrangement. *Rows*: key → row, ±1, for
//! tables that are derived from tables.

use super::Tick;
use super::context::frontier;
use super::joined::{Joined, View};
use super::packed::{Bytes, RowSpine, StateSpine};
use super::scan::{Scan, compact, each};
use super::timed::{rowtime, timed_batch, timed_row};
use crate::aggregate::{self, Element, Key, Spec, State};
use crate::batch::{Batch, Column, Origin};
use crate::error::{Error, Result};
use crate::expr::compile::{Evaluator, Projection, compile};
use crate::expr::{ExprKind, Notes};
use crate::plan::Aggregation;
use crate::types::{ColumnDef, SqlType};
use crate::value::{Row, Value, decode_row, row_len};
use arrow_array::BooleanArray;
use differential_dataflow::difference::{IsZero, Semigroup};
use differential_dataflow::operators::arrange::TraceAgent;
use differential_dataflow::trace::TraceReader;
use std::cell::RefCell;
use timely::dataflow::operators::probe::Handle;
use timely::progress::Antichain;

/// Keys go to a fixed number of buckets, buckets to workers; kept data relies on both.
pub const BUCKETS: u64 = 1_024;

/// The bucket of a key. Timely sends bucket b to worker b modulo the workers.
pub fn route(key: &[u8]) -> u64 {
    xxhash_rust::xxh3::xxh3_64(key) % BUCKETS
}

impl IsZero for State {
    fn is_zero(&self) -> bool {
        self.is_nothing()
    }
}

impl Semigroup for State {
    fn plus_equals(&mut self, other: &State) {
        self.merge(other);
    }
}

pub enum Content {
    States {
        states: TraceAgent<StateSpine>,
        elements: Option<TraceAgent<StateSpine>>,
    },
    Rows(TraceAgent<RowSpine>),
    /// Two tables of equal keys; nothing is kept.
    Joined(Box<Joined>),
    /// Another table's rows, projected when they are read.
    View(Box<View>),
}

pub struct Table {
    pub columns: Vec<ColumnDef>,
    pub(super) content: RefCell<Content>,
    pub(super) finisher: RefCell<Option<Finisher>>,
    /// How often each key was touched, where that is told.
    touches: RefCell<Option<TraceAgent<RowSpine>>>,
    pub probe: Handle<Tick>,
    /// What its parents had up to this tick was there when it was made.
    begins: Tick,
}

/// Rows read at once.
const CHUNK: usize = 4_096;

impl Table {
    pub fn new(
        content: Content,
        finisher: Option<Finisher>,
        columns: &[ColumnDef],
        probe: &Handle<Tick>,
    ) -> Table {
        Table {
            columns: columns.to_vec(),
            content: RefCell::new(content),
            finisher: RefCell::new(finisher),
            touches: RefCell::default(),
            probe: probe.clone(),
            begins: 0,
        }
    }

    /// Which is made while its parents have rows already, up to that tick.
    pub fn beginning(self, begins: Tick) -> Table {
        Table { begins, ..self }
    }

    /// Up to here its rows are there, or come of what is.
    pub fn present(&self) -> Tick {
        self.closed().unwrap_or(0).max(self.begins)
    }

    /// Whose keys count as touched where their rows stay as they are.
    pub fn touched_by(self, touches: Option<TraceAgent<RowSpine>>) -> Table {
        Table { touches: RefCell::new(touches), ..self }
    }

    /// A table that belongs to the dataflow that reads it.
    pub fn of(content: Content, columns: &[ColumnDef]) -> Table {
        Table::new(content, None, columns, &Handle::new())
    }

    /// The newest tick whose rows are complete; `None` while there is none.
    pub fn closed(&self) -> Option<Tick> {
        match &*self.content.borrow() {
            Content::Joined(joined) => Some(joined.left.closed()?.min(joined.right.closed()?)),
            Content::View(view) => view.table.closed(),
            Content::States { .. } | Content::Rows(_) => closed(&self.probe),
        }
    }

    /// The columns that tell its rows apart.
    pub fn identity(&self) -> Vec<usize> {
        (0..self.columns.len()).filter(|&column| self.columns[column].identifies()).collect()
    }

    pub fn is_joined(&self) -> bool {
        matches!(&*self.content.borrow(), Content::Joined(_))
    }

    /// Lets ticks before `tick` be told apart no more.
    pub fn compact(&self, tick: Tick) {
        let since = Antichain::from_elem(tick);
        let upper = Antichain::from_elem(frontier(&self.probe).unwrap_or(Tick::MAX));
        match &mut *self.content.borrow_mut() {
            Content::States { states, elements } => {
                compact(states, &since, &upper);
                elements.iter_mut().for_each(|e| compact(e, &since, &upper));
            }
            Content::Rows(rows) => compact(rows, &since, &upper),
            Content::Joined(joined) => {
                joined.left.compact(tick);
                joined.right.compact(tick);
            }
            Content::View(view) => view.table.compact(tick),
        }
        self.touches.borrow_mut().iter_mut().for_each(|touches| compact(touches, &since, &upper));
    }

    /// False when `tick` was compacted away already.
    pub fn readable(&self, tick: Tick) -> bool {
        let since = match &mut *self.content.borrow_mut() {
            Content::States { states, .. } => states.get_logical_compaction().to_owned(),
            Content::Rows(rows) => rows.get_logical_compaction().to_owned(),
            Content::Joined(joined) => return joined.left.readable(tick) && joined.right.readable(tick),
            Content::View(view) => return view.table.readable(tick),
        };
        since.less_equal(&tick)
    }

    /// A second handle on the same data, for another dataflow; it holds back compaction by itself.
    pub fn share<'s>(
        &self,
        scope: timely::dataflow::Scope<'s, Tick>,
    ) -> (super::changes::Touched<'s>, Table, Vec<super::changes::Press>) {
        let touches =
            self.touches.borrow_mut().as_mut().map(|touches| touches.import_core(scope, "ImportTouches"));
        let (mut touched, mut table, mut presses) =
            super::changes::import(scope, &mut self.content.borrow_mut(), |content| Table {
                columns: self.columns.clone(),
                content: RefCell::new(content),
                finisher: RefCell::new(self.finisher.borrow().as_ref().map(Finisher::again)),
                touches: RefCell::default(),
                probe: self.probe.clone(),
                begins: self.begins,
            });
        if let Some((arranged, press)) = touches {
            use timely::dataflow::operators::Concat;
            let counted = super::changes::touched::<TraceAgent<RowSpine>, _>(arranged.stream, |_| true);
            touched = touched.concat(counted);
            table.touches = RefCell::new(Some(arranged.trace));
            presses.push(press);
        }
        (touched, table, presses)
    }

    /// The same groups, whose rows are made of them in another way.
    pub fn finished_by(&self, columns: &[ColumnDef], aggregation: &Aggregation) -> Result<Table> {
        let content = match &*self.content.borrow() {
            Content::States { states, elements } => {
                Content::States { states: states.clone(), elements: elements.clone() }
            }
            Content::Rows(rows) => Content::Rows(rows.clone()),
            Content::Joined(_) | Content::View(_) => {
                return Err(Error::runtime(
                    "the rows of joined tables are made by their join; this is a bug",
                ));
            }
        };
        let finisher = Finisher::new(columns, aggregation)?;
        let touches = self.touches.borrow().clone();
        Ok(Table::new(content, Some(finisher), columns, &self.probe).touched_by(touches))
    }

    /// Keys as they are kept, ascending, of keys with the values of the columns that tell rows apart.
    pub fn kept_keys(&self, keys: &[Key]) -> Vec<Key> {
        match &*self.content.borrow() {
            Content::Joined(joined) => return joined.left.kept_keys(keys),
            Content::View(view) => return view.table.kept_keys(keys),
            Content::States { .. } | Content::Rows(_) => {}
        }
        let finisher = self.finisher.borrow();
        let Some(window) = finisher.as_ref().and_then(|finisher| finisher.aggregation.window) else {
            return keys.to_vec();
        };
        let mut kept: Vec<Key> = keys.iter().filter_map(|key| window.kept_key(key)).collect();
        kept.sort();
        kept
    }

    /// Visits the table's rows at `tick`, some thousands at a time: all, or those of `keys`
    /// (ascending), where keys without a row are left out.
    pub fn scan(&self, tick: Tick, keys: Option<&[Key]>, visit: &mut dyn FnMut(&Batch)) {
        let mut chunk: Vec<Group> = Vec::new();
        let mut emit = |groups: &mut Vec<Group>| {
            let batch = self.finish(std::mem::take(groups));
            let keep = BooleanArray::from(batch.keep);
            visit(&if keep.true_count() == keep.len() { batch.rows } else { batch.rows.filter(&keep) });
        };
        self.groups(tick, keys, &mut |group| {
            chunk.push(group);
            if chunk.len() == CHUNK {
                emit(&mut chunk);
            }
        });
        if !chunk.is_empty() {
            emit(&mut chunk);
        }
    }

    /// Visits keys and rows with their ROWTIMEs at `tick`, ascending by key: all, or those of `keys`
    /// (ascending).
    pub fn rows(&self, tick: Tick, keys: Option<&[Key]>, visit: &mut dyn FnMut(Key, Row)) {
        let mut chunk: Vec<Group> = Vec::new();
        let mut emit = |groups: &mut Vec<Group>| {
            let keys: Vec<Key> = groups.iter().map(|group| group.key.clone()).collect();
            let finished = self.finish(std::mem::take(groups));
            for (i, key) in keys.into_iter().enumerate().filter(|(i, _)| finished.keep[*i]) {
                visit(key, timed_row(&finished.rows, i));
            }
        };
        self.groups(tick, keys, &mut |group| {
            chunk.push(group);
            if chunk.len() == CHUNK {
                emit(&mut chunk);
            }
        });
        emit(&mut chunk);
    }

    /// What is at each key at `tick`; `keys` ascend.
    pub fn lookup(&self, tick: Tick, keys: &[Key]) -> Vec<Found> {
        let mut groups = Vec::new();
        self.groups(tick, Some(keys), &mut |group| groups.push(group));
        let found: Vec<Key> = groups.iter().map(|g| g.key.clone()).collect();
        let finished = self.finish(groups);
        let mut found_rows = vec![Found::default(); keys.len()];
        let mut at = 0;
        for (i, key) in found.iter().enumerate() {
            while keys[at] != *key {
                at += 1;
            }
            let row = timed_row(&finished.rows, i);
            let time = Some(rowtime(&row));
            found_rows[at] = Found { row: finished.keep[i].then_some(row), time };
        }
        found_rows
    }

    pub(super) fn finish(&self, groups: Vec<Group>) -> Finished {
        match &mut *self.finisher.borrow_mut() {
            Some(finisher) => finisher.finish(groups),
            None => {
                let rows: Vec<Row> = groups.into_iter().map(|g| g.into_row()).collect();
                let types: Vec<SqlType> = self.columns.iter().map(|c| c.ty.clone()).collect();
                Finished { keep: vec![true; rows.len()], rows: timed_batch(&types, &rows) }
            }
        }
    }

    fn columns_of_key(&self) -> usize {
        self.finisher.borrow().as_ref().map_or(0, |finisher| finisher.aggregation.stored_keys())
    }

    /// Reads keys with what is kept for them, ascending by key.
    fn groups(&self, tick: Tick, keys: Option<&[Key]>, visit: &mut dyn FnMut(Group)) {
        match &mut *self.content.borrow_mut() {
            Content::States { states, elements } => {
                let of_key = self.columns_of_key();
                let elements = elements.as_ref().map(|e| collected(e, tick, keys, of_key));
                let mut elements = elements.unwrap_or_default().into_iter().peekable();
                each(states, tick, keys, &mut |key, _, state| {
                    while elements.next_if(|(k, _)| **k < *key).is_some() {}
                    let elements = elements.next_if(|(k, _)| **k == *key).map_or(Vec::new(), |(_, e)| e);
                    visit(Group { key: key.0.into(), kept: Kept::State(state, elements) });
                });
            }
            Content::Rows(rows) => each(rows, tick, keys, &mut |key, row, count| {
                // One row a key, since a key's old row is retracted at the tick of its new one.
                if count > 0 {
                    visit(Group { key: key.0.into(), kept: Kept::Row(row.0.into()) });
                }
            }),
            Content::Joined(joined) => {
                joined.rows(tick, keys, &mut |key, row| visit(Group { key, kept: Kept::Values(row) }))
            }
            Content::View(view) => {
                view.rows(tick, keys, &mut |key, row| visit(Group { key, kept: Kept::Values(row) }))
            }
        }
    }
}

/// What a table has at a key.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// With its ROWTIME.
    pub row: Option<Row>,
    /// The ROWTIME of what is kept there, also where it makes no row.
    pub time: Option<i64>,
}

/// What is kept for a key.
pub struct Group {
    pub key: Key,
    pub kept: Kept,
}

pub enum Kept {
    State(State, Vec<(Element, State)>),
    /// All columns of the row, or a group's intermediate results behind its key; then its ROWTIME.
    Row(Box<[u8]>),
    /// The same.
    Values(Row),
}

impl Group {
    fn into_row(self) -> Row {
        match self.kept {
            Kept::Row(bytes) => decode_row(&bytes).expect("rows are kept as they were encoded"),
            Kept::Values(row) => row,
            Kept::State(..) => unreachable!("states are finished by their finisher"),
        }
    }
}

/// The newest tick that a probe has seen closed; `None` while there is none.
pub fn closed(probe: &Handle<Tick>) -> Option<Tick> {
    match frontier(probe) {
        None => Some(Tick::MAX - 1),
        Some(open) => open.checked_sub(1),
    }
}

/// The collection elements of each key, ascending. They are kept behind the bytes of their key, which
/// has so many columns.
fn collected(
    trace: &TraceAgent<StateSpine>,
    tick: Tick,
    keys: Option<&[Key]>,
    columns: usize,
) -> Vec<(Key, Vec<(Element, State)>)> {
    let mut all: Vec<(Key, Vec<(Element, State)>)> = Vec::new();
    let mut add = |bytes: Bytes<'_>, _: &(), state: State| {
        let (key, element) = bytes.split_at(row_len(bytes.0, columns).expect("elements lie behind a key"));
        let element = (Element(element.into()), state);
        match all.last_mut() {
            Some((last, elements)) if **last == *key => elements.push(element),
            _ => all.push((key.into(), vec![element])),
        }
    };
    let mut scan = Scan::<StateSpine>::of(trace, None, tick);
    match keys {
        None => drop(scan.step(&mut usize::MAX.clone(), &mut add)),
        Some(keys) => keys.iter().for_each(|key| scan.under(key, &mut add)),
    }
    all
}

/// Rows of some groups, and which of them the table has (HAVING, deletions).
pub struct Finished {
    pub rows: Batch,
    pub keep: Vec<bool>,
}

/// Accumulators → rows: finishes the calls, then HAVING and the SELECT's expressions over them.
pub struct Finisher {
    pub(super) aggregation: Aggregation,
    columns: Vec<ColumnDef>,
    specs: Vec<Spec>,
    intermediate: Vec<SqlType>,
    having: Option<Evaluator>,
    /// `None` where the expressions only name columns: then they are picked.
    post: Option<Projection>,
    picks: Vec<usize>,
}

impl Finisher {
    pub fn new(columns: &[ColumnDef], aggregation: &Aggregation) -> Result<Finisher> {
        let picks: Vec<usize> = aggregation
            .post
            .iter()
            .filter_map(|e| if let ExprKind::Column(c) = e.kind { Some(c) } else { None })
            .collect();
        let only_picks = picks.len() == aggregation.post.len();
        let mut intermediate = aggregation.intermediate();
        if let [Spec::LatestRow { .. }] = aggregation.specs().as_slice() {
            intermediate.pop();
            intermediate.extend(aggregation.calls[0].args.iter().map(|a| a.ty.clone()));
        }
        Ok(Finisher {
            specs: aggregation.specs(),
            intermediate,
            having: aggregation.having.as_ref().map(compile).transpose()?,
            post: if only_picks { None } else { Some(Projection::compile(&aggregation.post)?) },
            picks,
            columns: columns.to_vec(),
            aggregation: aggregation.clone(),
        })
    }

    fn again(&self) -> Finisher {
        Finisher::new(&self.columns, &self.aggregation).expect("it compiled before")
    }

    /// The values of a group's key, and the bounds of its window.
    fn key_values(&self, key: &[u8]) -> Row {
        let mut row = decode_row(key).expect("keys are kept as they were encoded");
        if let Some(window) = &self.aggregation.window {
            let bounds = window.bounds(&mut row);
            row.extend(bounds.map(Value::Bigint));
        }
        row
    }

    /// Finishes groups, in their order.
    pub fn finish(&mut self, groups: Vec<Group>) -> Finished {
        let mut keep = Vec::with_capacity(groups.len());
        let rows: Vec<Row> = groups
            .into_iter()
            .map(|group| match group.kept {
                Kept::Row(bytes) => {
                    keep.push(true);
                    decode_row(&bytes).expect("rows are kept as they were encoded")
                }
                Kept::Values(row) => {
                    keep.push(true);
                    row
                }
                Kept::State(state, elements) => {
                    keep.push(!aggregate::row_deleted(&self.specs, &state));
                    let mut row = self.key_values(&group.key);
                    row.extend(aggregate::finish(&self.specs, &state, &elements));
                    row.push(Value::Bigint(state.rowtime().unwrap_or_default()));
                    row
                }
            })
            .collect();
        let batch = timed_batch(&self.intermediate, &rows);
        let mut notes = Notes::default();
        if let Some(having) = &mut self.having {
            let passed = having.filter(&batch, &mut notes);
            keep.iter_mut().enumerate().for_each(|(i, keep)| *keep &= passed.value(i));
        }
        let columns = match &mut self.post {
            None => self.picks.iter().map(|&c| batch.columns[c].clone()).collect(),
            Some(post) => post.eval(&batch, &mut notes),
        };
        Finished { rows: Batch { columns, ..batch }, keep }
    }
}

/// Rows as a batch; they have no origin of their own.
pub fn rows_to_batch(types: &[SqlType], rows: &[Row]) -> Batch {
    let columns = types
        .iter()
        .enumerate()
        .map(|(c, ty)| Column::Array(Value::array(ty, rows.iter().map(|row| &row[c]))))
        .collect();
    Batch { len: rows.len(), columns, origin: Origin::none(rows.len()), deleted: None }
}
