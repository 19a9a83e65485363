//! SELECTs over batches, on a thread that computes an answer: filters, groups, sorts and cuts rows.

use super::AnswerRow;
use super::answers::{AnswerEnd, Outlet};
use crate::aggregate::{Element, Key, PreAggregator, State};
use crate::batch::Batch;
use crate::error::{Error, Result};
use crate::expr::Notes;
use crate::plan::{Aggregation, OrderKey, SelectPlan, Shape, Window};
use crate::render::placed::{placed_batch, placed_row};
use crate::render::preaggregate::{Arguments, groups, inputs};
use crate::render::sessions::groups::{self as session, Rules, Sessions};
use crate::render::table::{Finished, Finisher, Group, Kept};
use crate::render::transform::Transform;
use crate::render::window::assigned;
use crate::types::SqlType;
use crate::value::{Row, row_len};
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::ops::Range;

/// Rows that are held beside those that ORDER BY … LIMIT needs.
const SPARE_ROWS: usize = 4_096;

/// SELECTs over batches, each over the rows of the one before it.
pub struct Stages {
    before: Vec<LocalSelect>,
    last: LocalSelect,
}

/// A SELECT over batches: passes rows on, or holds them until the end to group or sort them.
struct LocalSelect {
    transform: Transform,
    /// Types of its columns; the rows that it holds have more, which ORDER BY goes by.
    types: Vec<SqlType>,
    is_last: bool,
    grouping: Option<Grouping>,
    order_by: Vec<OrderKey>,
    /// Rows that are left out yet.
    skipped: u64,
    remaining: Option<u64>,
    rows: Vec<Row>,
}

struct Grouping {
    arguments: Arguments,
    pre: PreAggregator,
    groups: BTreeMap<Key, (State, BTreeMap<Element, State>)>,
    finisher: Finisher,
    window: Option<Window>,
    sessions: Option<Sessions>,
    /// How many values tell groups apart.
    stored_keys: usize,
    /// Without GROUP BY there is one group, even of no rows.
    single: bool,
}

impl Stages {
    /// `selects`: at least one.
    pub fn new(selects: &[SelectPlan]) -> Result<Stages> {
        let stage = |(i, select)| LocalSelect::new(select, i + 1 == selects.len());
        let mut before = selects.iter().enumerate().map(stage).collect::<Result<Vec<_>>>()?;
        let last = before.pop().ok_or_else(|| Error::runtime("an answer without a SELECT"))?;
        Ok(Stages { before, last })
    }

    /// What failed on some rows; they go on.
    pub fn add(&mut self, batch: &Batch) -> Notes {
        let mut notes = Notes::default();
        match self.before.is_empty() {
            true => self.last.add(batch, &mut notes),
            false => self.add_behind(0, vec![batch.clone()], &mut notes),
        }
        notes
    }

    /// Whether a stage has all the rows that its LIMIT allows, so that those before it need none any more.
    pub fn has_enough(&self) -> bool {
        self.before.iter().any(|stage| !stage.holds() && stage.remaining == Some(0))
    }

    /// Adds what the first `passed` stages have made.
    fn add_behind(&mut self, passed: usize, mut batches: Vec<Batch>, notes: &mut Notes) {
        for stage in &mut self.before[passed..] {
            batches = batches.iter().flat_map(|batch| stage.pass(batch, notes)).collect();
        }
        batches.iter().for_each(|batch| self.last.add(batch, notes));
    }

    /// Sends what can go already. False when nothing more is wanted.
    pub async fn send_ready(&mut self, outlet: &Outlet) -> bool {
        if self.last.holds() {
            return !outlet.is_closed();
        }
        self.last.send(outlet).await
    }

    pub async fn finish(mut self, outlet: &Outlet) -> Result<AnswerEnd> {
        for i in 0..self.before.len() {
            if self.before[i].holds() {
                let rest = self.before[i].rest();
                self.add_behind(i + 1, vec![rest], &mut Notes::default());
            }
        }
        self.last.settle();
        let more = self.last.send(outlet).await;
        Ok(if more { AnswerEnd::Completed } else { AnswerEnd::LimitReached })
    }
}

impl LocalSelect {
    fn new(select: &SelectPlan, is_last: bool) -> Result<LocalSelect> {
        let filter = select.filter.as_ref();
        let (transform, grouping) = match &select.shape {
            Shape::Project(exprs) => (Transform::new(filter, exprs.clone())?, None),
            Shape::Aggregate(aggregation) => {
                (Transform::new(filter, inputs(aggregation))?, Some(Grouping::new(select, aggregation)?))
            }
        };
        Ok(LocalSelect {
            transform: transform.expanding(&select.expand)?,
            types: select.columns.iter().map(|column| column.ty.clone()).collect(),
            is_last,
            grouping,
            order_by: select.order_by.clone(),
            skipped: select.offset.unwrap_or(0),
            remaining: select.limit,
            rows: Vec::new(),
        })
    }

    /// Whether nothing goes on before the end.
    fn holds(&self) -> bool {
        self.grouping.is_some() || !self.order_by.is_empty()
    }

    /// Holds the rows of a batch.
    fn add(&mut self, batch: &Batch, notes: &mut Notes) {
        let LocalSelect { transform, grouping, rows, order_by, skipped, remaining, is_last, .. } = self;
        let wanted = remaining.map(|remaining| remaining.saturating_add(*skipped));
        transform.each(batch, notes, |batch| match grouping {
            Some(grouping) => grouping.add(&batch),
            None => {
                rows.extend((0..batch.len).map(|i| held(&batch, i, *is_last)));
                keep_best(rows, order_by, wanted);
            }
        });
    }

    /// What it makes of a batch at once.
    fn pass(&mut self, batch: &Batch, notes: &mut Notes) -> Vec<Batch> {
        if self.holds() {
            self.add(batch, notes);
            return Vec::new();
        }
        let mut made = Vec::new();
        self.transform.each(batch, notes, |batch| made.push(batch));
        for batch in &mut made {
            let rows = self.cut(batch.len);
            if rows.len() < batch.len {
                *batch = batch.take(&rows.map(|row| row as u32).collect::<Vec<_>>());
            }
        }
        made
    }

    /// Which of the next rows OFFSET and LIMIT leave.
    fn cut(&mut self, rows: usize) -> Range<usize> {
        let most = |count: u64| usize::try_from(count).unwrap_or(usize::MAX);
        let start = rows.min(most(self.skipped));
        self.skipped -= start as u64;
        let left = rows - start;
        let taken = self.remaining.map_or(left, |remaining| left.min(most(remaining)));
        self.remaining = self.remaining.map(|remaining| remaining - taken as u64);
        start..start + taken
    }

    /// No more rows come: those that it holds are put in their order.
    fn settle(&mut self) {
        if let Some(grouping) = self.grouping.take() {
            self.rows = grouping.finish(self.is_last);
        }
        if !self.order_by.is_empty() {
            let keys = std::mem::take(&mut self.order_by);
            self.rows.sort_by(|a, b| compare(&keys, a, b));
        }
    }

    /// All that it holds.
    fn rest(&mut self) -> Batch {
        self.settle();
        let kept = self.cut(self.rows.len());
        let rows = std::mem::take(&mut self.rows);
        placed_batch(&self.types, &rows[kept])
    }

    async fn send(&mut self, outlet: &Outlet) -> bool {
        let mut rows = std::mem::take(&mut self.rows);
        let columns = self.types.len();
        let mut rows = rows.drain(self.cut(rows.len())).map(|mut row| {
            row.truncate(columns);
            AnswerRow { row, deleted: false }
        });
        loop {
            let chunk: Vec<AnswerRow> = rows.by_ref().take(1_000).collect();
            if chunk.is_empty() {
                return self.remaining != Some(0);
            }
            if !outlet.send(chunk).await {
                return false;
            }
        }
    }
}

/// Of sorted rows with a LIMIT only so many are wanted: now and then the others go.
fn keep_best(rows: &mut Vec<Row>, order_by: &[OrderKey], wanted: Option<u64>) {
    let Some(limit) = wanted.and_then(|limit| usize::try_from(limit).ok()) else { return };
    if !order_by.is_empty() && rows.len() >= limit.saturating_mul(2).max(SPARE_ROWS) {
        rows.sort_by(|a, b| compare(order_by, a, b));
        rows.truncate(limit);
    }
}

fn compare(keys: &[OrderKey], a: &Row, b: &Row) -> Ordering {
    for key in keys {
        let (a, b) = (&a[key.column], &b[key.column]);
        let order = match (a.is_null(), b.is_null()) {
            (true, true) => Ordering::Equal,
            (true, false) if key.nulls_first => Ordering::Less,
            (true, false) => Ordering::Greater,
            (false, true) if key.nulls_first => Ordering::Greater,
            (false, true) => Ordering::Less,
            _ if key.descending => b.cmp(a),
            _ => a.cmp(b),
        };
        if order != Ordering::Equal {
            return order;
        }
    }
    Ordering::Equal
}

impl Grouping {
    fn new(select: &SelectPlan, aggregation: &Aggregation) -> Result<Grouping> {
        Ok(Grouping {
            arguments: Arguments::of(aggregation),
            pre: groups(aggregation),
            groups: BTreeMap::new(),
            finisher: Finisher::new(&select.columns, aggregation)?,
            window: aggregation.window,
            sessions: aggregation
                .window
                .and_then(|window| Rules::of(&window))
                .map(|rules| Sessions::new(aggregation, rules)),
            stored_keys: aggregation.stored_keys(),
            single: aggregation.keys.is_empty() && aggregation.window.is_none(),
        })
    }

    /// What is late for its window counts in none.
    fn add(&mut self, batch: &Batch) {
        let (groups, stored_keys) = (&mut self.groups, self.stored_keys);
        if let Some(sessions) = &mut self.sessions {
            sessions.add(batch, &mut |kept, key, state| {
                let (key, element) = key.split_at(row_len(&key, stored_keys).unwrap_or(key.len()));
                let (of_group, elements) = groups.entry(key.into()).or_default();
                match kept {
                    session::Kept::State => of_group.merge(&state),
                    session::Kept::Element => {
                        let element = elements.entry(Element(element.into()));
                        element.or_default().merge(&state);
                    }
                }
            });
            return;
        }
        let fixed = self.window.and_then(|window| Some((window.fixed()?, window.grace_ms)));
        let assigned = fixed.map(|((size, advance), grace)| assigned(batch, size, advance, grace).0);
        self.arguments.add(&mut self.pre, assigned.as_ref().unwrap_or(batch));
        self.pre.flush(&mut |key, state, elements| match groups.get_mut(&key) {
            Some((kept, collected)) => {
                kept.merge(&state);
                for (element, state) in elements {
                    collected.entry(element).or_default().merge(&state);
                }
            }
            None => {
                groups.insert(key, (state, elements.into_iter().collect()));
            }
        });
    }

    /// The result rows, ascending by their values: an order that does not depend on how they were made.
    fn finish(mut self, is_last: bool) -> Vec<Row> {
        if self.single && self.groups.is_empty() {
            self.groups.insert(Key::default(), Default::default());
        }
        let groups = self
            .groups
            .into_iter()
            .filter(|(_, (state, _))| self.single || !state.is_nothing())
            .map(|(key, (state, elements))| Group {
                key,
                kept: Kept::State(
                    state,
                    elements.into_iter().filter(|(_, state)| !state.is_nothing()).collect(),
                ),
            })
            .collect();
        let Finished { mut rows, keep } = self.finisher.finish(groups);
        // As in tables, what has the greatest ROWTIME is the latest.
        rows.origin.stamps = rows.origin.rowtime.clone();
        let kept = (0..rows.len).filter(|&i| keep[i]);
        let mut rows: Vec<Row> = kept.map(|i| held(&rows, i, is_last)).collect();
        rows.sort();
        rows
    }
}

/// A row as it is held: its values, and behind them its origin for SELECTs that come.
fn held(batch: &Batch, i: usize, is_last: bool) -> Row {
    if is_last { batch.row(i) } else { placed_row(batch, usize::MAX, i) }
}
