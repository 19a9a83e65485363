//! The sessions of keys: which rows belong together, and what is aggregated of each.
//!
//! Rows come in the order of their positions. Each is merged with every session of its key that lies within
//! the gap on either side; those go, and the merged one takes their place. It is late where the merged
//! session would have ended, gap and grace included, before the time that the row's partition had come to.

use super::super::preaggregate::{Arguments, groups};
use super::super::window::{start_of, start_value};
use crate::aggregate::view::View;
use crate::aggregate::{Element, Key, PreAggregator, State};
use crate::batch::{Batch, Column};
use crate::plan::{Aggregation, Window};
use crate::render::window::Late;
use crate::value::{Value, decode_row, encode_row, row_len};
use arrow_array::Int32Array;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

/// Milliseconds.
#[derive(Clone, Copy)]
pub struct Rules {
    pub gap: i64,
    pub grace: i64,
    /// A session that ended so long before the time of a row's partition is not merged with any more.
    pub horizon: i64,
}

pub struct Sessions {
    rules: Rules,
    /// The columns of the user's key.
    keys: usize,
    arguments: Arguments,
    pre: PreAggregator,
    of_key: HashMap<Key, Vec<Session>>,
    /// Ends that sessions have or had, with their keys: so those are found that can be forgotten.
    ends: BTreeSet<(i64, Key)>,
}

/// The rows of a key that belong together, and what is known of them.
struct Session {
    start: i64,
    end: i64,
    /// Without the rows of the batch that is being added.
    state: State,
    elements: Elements,
    /// The bounds under which those were told.
    told: Option<[i64; 2]>,
    /// Its number in the batch, if the batch has rows of it.
    number: Option<i32>,
    /// What was told before the batch of sessions that have been merged.
    merged: Vec<Told>,
}

type Elements = BTreeMap<Element, State>;

struct Told {
    bounds: [i64; 2],
    rows: i64,
    /// With how many rows each.
    elements: Vec<(Element, i64)>,
}

/// What of a session is told: its state, or one of its elements behind its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    State,
    Element,
}

/// Is told what changes in what is kept.
pub type Changes<'a> = dyn FnMut(Kept, Key, State) + 'a;

impl Rules {
    /// `None`: the window is of another kind.
    pub fn of(window: &Window) -> Option<Rules> {
        let gap = window.gap_ms()?;
        let over = gap.saturating_add(window.grace_ms);
        // What is told once cannot be merged any more when it has been told.
        let horizon = if window.is_final { over } else { over.max(window.retention_ms) };
        Some(Rules { gap, grace: window.grace_ms, horizon })
    }
}

impl Sessions {
    pub fn new(aggregation: &Aggregation, rules: Rules) -> Sessions {
        Sessions {
            rules,
            keys: aggregation.keys.len(),
            arguments: Arguments::behind(aggregation, 1),
            pre: groups(aggregation),
            of_key: HashMap::new(),
            ends: BTreeSet::new(),
        }
    }

    /// Adds rows, whose columns are those of the key and the arguments of all calls. Gives what is late. Rows
    /// without a key or a value belong to no session.
    pub fn add(&mut self, batch: &Batch, changes: &mut Changes<'_>) -> Vec<Late> {
        let keys: Vec<View> = batch.columns[..self.keys].iter().map(View::of).collect();
        let mut parts = Parts::default();
        let (mut rows, mut late, mut key) = (Vec::new(), Vec::new(), Vec::new());
        for row in 0..batch.len {
            if batch.is_deletion(row) || keys.iter().any(|view| view.is_null(row)) {
                continue;
            }
            key.clear();
            keys.iter().for_each(|view| view.encode(row, &mut key));
            match self.place(&key, batch.origin.rowtime.at(row), batch.origin.stamps.at(row), &mut parts) {
                Ok(()) => rows.push(row as u32),
                Err((reason, needed_ms)) => late.push(Late::new(row, reason, needed_ms)),
            }
        }
        if !rows.is_empty() {
            let mut numbered = if rows.len() == batch.len { batch.clone() } else { batch.take(&rows) };
            numbered.deleted = None;
            let numbers = Int32Array::from_iter_values(parts.of_rows());
            numbered.columns.splice(..self.keys, [Column::Array(Arc::new(numbers))]);
            self.tell(&numbered, parts.keys, changes);
        }
        late
    }

    /// Puts a row into its session; or why that is over, and how much longer the grace would have to be.
    fn place(
        &mut self,
        key: &[u8],
        time: i64,
        stamp: i64,
        parts: &mut Parts,
    ) -> Result<(), (String, Option<i64>)> {
        if time < 0 {
            return Err((format!("its ROWTIME {time} is before 1970, where no window is"), None));
        }
        let Rules { gap, grace, horizon } = self.rules;
        let near = |session: &Session| {
            session.end >= stamp.saturating_sub(horizon)
                && session.start <= time.saturating_add(gap)
                && session.end >= time.saturating_sub(gap)
        };
        let known = self.of_key.get_mut(key);
        let (mut start, mut end, mut count) = (time, time, 0);
        for session in known.iter().flat_map(|known| known.iter()).filter(|session| near(session)) {
            (start, end, count) = (start.min(session.start), end.max(session.end), count + 1);
        }
        let over = stamp.saturating_sub(grace).saturating_sub(gap);
        if end < over {
            let by = over - end;
            let reason = format!(
                "late by {by} ms for the session from {start} to {end}: its partition has come to {stamp}, the gap \
                 is {gap} ms and the grace {grace} ms"
            );
            return Err((reason, Some(by)));
        }
        let sessions = match known {
            Some(known) => known,
            None => self.of_key.entry(key.into()).or_default(),
        };
        if count == 0 {
            sessions.push(Session::new());
        } else if count > 1 {
            let mut merging = sessions.extract_if(.., |session| near(session));
            let first = merging.next();
            let merged = first.map(|first| merging.by_ref().fold(first, |one, other| one.with(other, parts)));
            drop(merging);
            sessions.extend(merged);
        }
        // One that was merged or is new is the last.
        let alone = if count == 1 { sessions.iter().position(near) } else { None };
        let at = alone.unwrap_or(sessions.len() - 1);
        let session = &mut sessions[at];
        (session.start, session.end) = (start, end);
        session.number = Some(parts.put(session.number, key));
        Ok(())
    }

    /// Aggregates rows by the numbers of their sessions, and tells what has become of those.
    fn tell(&mut self, numbered: &Batch, touched: Vec<Key>, changes: &mut Changes<'_>) {
        self.arguments.add(&mut self.pre, numbered);
        let mut made: HashMap<i32, (State, Vec<(Element, State)>)> = HashMap::new();
        self.pre.flush(&mut |number, state, elements| {
            if let Some([Value::Int(number)]) = decode_row(&number).as_deref() {
                made.insert(*number, (state, elements));
            }
        });
        for key in touched {
            for session in self.of_key.get_mut(&key).into_iter().flatten() {
                let made = session.number.take().and_then(|number| made.remove(&number));
                if let Some((state, elements)) = made {
                    session.add(&key, state, elements, changes);
                    self.ends.insert((session.end, key.clone()));
                }
            }
        }
    }

    /// Forgets what no row can be merged with any more: `time` is the least that a partition has come to.
    pub fn forget(&mut self, time: i64) {
        let before = time.saturating_sub(self.rules.horizon);
        while self.ends.first().is_some_and(|(end, _)| *end < before) {
            let Some((_, key)) = self.ends.pop_first() else { return };
            if let Some(sessions) = self.of_key.get_mut(&key) {
                sessions.retain(|session| session.end >= before);
                if sessions.is_empty() {
                    self.of_key.remove(&key);
                }
            }
        }
    }

    /// Takes up what was kept, by key.
    pub fn restore(&mut self, states: BTreeMap<Key, State>, elements: BTreeMap<Key, State>) {
        let mut elements = elements.into_iter().filter(|(_, state)| !state.is_nothing()).peekable();
        for (kept, state) in states.into_iter().filter(|(_, state)| !state.is_nothing()) {
            let [start, end] = bounds(&kept);
            let told = Some([start, end]);
            let mut session = Session { start, end, state, told, ..Session::new() };
            while let Some((element, _)) = elements.peek()
                && **element < *kept
            {
                elements.next();
            }
            while let Some((element, state)) = elements.next_if(|(element, _)| element.starts_with(&kept)) {
                session.elements.insert(Element(element[kept.len()..].into()), state);
            }
            let key: Key = user_key(&kept).into();
            self.ends.insert((end, key.clone()));
            self.of_key.entry(key).or_default().push(session);
        }
    }
}

impl Session {
    fn new() -> Session {
        Session {
            start: i64::MAX,
            end: i64::MIN,
            state: State::default(),
            elements: BTreeMap::new(),
            told: None,
            number: None,
            merged: Vec::new(),
        }
    }

    /// Both as one; its bounds are still to be set.
    fn with(mut self, mut other: Session, parts: &mut Parts) -> Session {
        self.set_told_aside();
        other.set_told_aside();
        self.merged.append(&mut other.merged);
        self.number = match (self.number, other.number) {
            (Some(one), Some(other)) => {
                parts.join(one, other);
                Some(one)
            }
            (one, other) => one.or(other),
        };
        self.state.merge(&other.state);
        for (element, state) in other.elements {
            self.elements.entry(element).or_default().merge(&state);
        }
        self
    }

    fn set_told_aside(&mut self) {
        if let Some(bounds) = self.told.take() {
            let elements = self.elements.iter().map(|(element, state)| (element.clone(), state.rows()));
            self.merged.push(Told { bounds, rows: self.state.rows(), elements: elements.collect() });
        }
    }

    /// Adds what a batch has brought, and tells it.
    fn add(&mut self, key: &[u8], state: State, elements: Vec<(Element, State)>, changes: &mut Changes<'_>) {
        let bounds = [self.start, self.end];
        let kept = kept_key(bounds, key);
        if self.told != Some(bounds) {
            self.set_told_aside();
        }
        self.state.merge(&state);
        for (element, state) in &elements {
            self.elements.entry(element.clone()).or_default().merge(state);
        }
        if self.told.replace(bounds).is_some() {
            elements
                .into_iter()
                .for_each(|(element, state)| changes(Kept::Element, element.behind(&kept), state));
            changes(Kept::State, kept, state);
            return;
        }
        for Told { bounds, rows, elements } in self.merged.drain(..) {
            let old = kept_key(bounds, key);
            for (element, rows) in elements {
                changes(Kept::Element, element.behind(&old), State::removing(rows));
            }
            changes(Kept::State, old, State::removing(rows));
        }
        for (element, state) in &self.elements {
            changes(Kept::Element, element.behind(&kept), state.clone());
        }
        changes(Kept::State, kept, self.state.clone());
    }
}

fn kept_key(bounds: [i64; 2], key: &[u8]) -> Key {
    [&*encode_row(&bounds.map(start_value)), key].concat().into()
}

/// What is behind the bounds of a kept key.
pub fn user_key(kept: &[u8]) -> &[u8] {
    &kept[row_len(kept, 2).unwrap_or(kept.len())..]
}

/// The bounds at the front of a kept key.
pub fn bounds(kept: &[u8]) -> [i64; 2] {
    let front = row_len(kept, 2).and_then(|len| decode_row(&kept[..len]));
    let bounds = front.as_deref().and_then(|front| {
        let [start, end] = front else { return None };
        Some([start_of(start)?, start_of(end)?])
    });
    bounds.expect("keys of sessions begin with their bounds")
}

/// Which rows of a batch are in one session: each has a number, and numbers are joined.
#[derive(Default)]
struct Parts {
    parents: Vec<i32>,
    rows: Vec<i32>,
    /// Keys of the sessions that got a number.
    keys: Vec<Key>,
}

impl Parts {
    /// The next row is of the session with that number; one that has none gets it.
    fn put(&mut self, number: Option<i32>, key: &[u8]) -> i32 {
        let number = number.unwrap_or_else(|| {
            self.parents.push(self.parents.len() as i32);
            self.keys.push(key.into());
            self.parents.len() as i32 - 1
        });
        self.rows.push(number);
        number
    }

    fn join(&mut self, to: i32, from: i32) {
        self.parents[from as usize] = to;
    }

    /// The number of each row's session as it is in the end.
    fn of_rows(&self) -> impl Iterator<Item = i32> + '_ {
        self.rows.iter().map(|number| {
            let mut number = *number;
            while self.parents[number as usize] != number {
                number = self.parents[number as usize];
            }
            number
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aggregate::Spec;
    use crate::batch::{Origin, Timestamps};
    use crate::expr::{Expr, ExprKind};
    use crate::plan::Call;
    use crate::sql::ast::WindowKind;
    use crate::types::SqlType;
    use arrow_array::{ArrayRef, Int32Array};
    use proptest::prelude::*;

    const RULES: Rules = Rules { gap: 5, grace: 3, horizon: 40 };

    fn aggregation() -> Aggregation {
        let column = |i| Expr { kind: ExprKind::Column(i), ty: SqlType::Int };
        let call = |text: &str, spec, args, returns| Call { text: text.into(), spec, args, returns };
        let list = SqlType::Array(Box::new(SqlType::Int));
        Aggregation {
            keys: vec![column(0)],
            window: Some(Window {
                kind: WindowKind::Session { gap_ms: RULES.gap },
                grace_ms: RULES.grace,
                retention_ms: RULES.horizon,
                is_final: false,
            }),
            calls: vec![
                call("COUNT", Spec::CountRows, Vec::new(), SqlType::Bigint),
                call("COLLECT_LIST", Spec::CollectList, vec![column(1)], list),
            ],
            having: None,
            post: Vec::new(),
            keeps_nulls: false,
        }
    }

    /// Key, time, stamp and value.
    type Row = (i32, i64, i64, i32);
    /// Key, start, end, how many rows, and their values.
    type Found = (i32, i64, i64, i64, Vec<i32>);
    /// Key, start, end, and the values with their places in the order.
    type Open = (i32, i64, i64, Vec<(usize, i32)>);

    fn batch(rows: &[Row], first_offset: i64) -> Batch {
        let ints = |of: fn(&Row) -> i32| -> Column {
            let array: ArrayRef = Arc::new(Int32Array::from_iter_values(rows.iter().map(of)));
            Column::Array(array)
        };
        let origin = Origin {
            rowtime: Timestamps::Each(rows.iter().map(|row| row.1).collect()),
            stamps: Timestamps::Each(rows.iter().map(|row| row.2).collect()),
            offsets: (first_offset..first_offset + rows.len() as i64).collect(),
            ..Origin::none(rows.len())
        };
        let columns = vec![ints(|row| row.0), ints(|row| row.3)];
        Batch { len: rows.len(), columns, origin, deleted: None }
    }

    /// What is kept, as whoever sums up the changes sees it.
    #[derive(Default)]
    struct Sums {
        states: BTreeMap<Key, State>,
        elements: BTreeMap<Key, State>,
    }

    impl Sums {
        fn change(&mut self, kept: Kept, key: Key, state: State) {
            let sums = if kept == Kept::State { &mut self.states } else { &mut self.elements };
            let sum = sums.entry(key.clone()).or_default();
            sum.merge(&state);
            assert!(sum.rows() >= 0);
            if sum.is_nothing() {
                sums.remove(&key);
            }
        }

        fn sessions(&self) -> Vec<Found> {
            let mut found: Vec<_> = self
                .states
                .iter()
                .map(|(kept, state)| {
                    let [start, end] = bounds(kept);
                    let key = decode_row(user_key(kept)).unwrap();
                    let [Value::Int(key)] = key.as_slice() else { panic!("a key of one number") };
                    let elements = self.elements.iter().filter(|(element, _)| element.starts_with(kept));
                    let elements: Vec<_> = elements
                        .map(|(element, state)| (Element(element[kept.len()..].into()), state.clone()))
                        .collect();
                    let done = crate::aggregate::finish(&aggregation().specs(), state, &elements);
                    let Value::Array(values) = &done[1] else { panic!("a list") };
                    let values = values.iter().map(|value| match value {
                        Value::Int(value) => *value,
                        other => panic!("{other:?}"),
                    });
                    assert_eq!(done[0], Value::Bigint(state.rows()));
                    (*key, start, end, state.rows(), values.collect())
                })
                .collect();
            found.sort();
            found
        }
    }

    /// Kafka Streams' rule, a row at a time; how many rows are late.
    fn expected(rows: &[Row]) -> (Vec<Found>, usize) {
        let mut sessions: Vec<Open> = Vec::new();
        let mut late = 0;
        for (at, (key, time, stamp, value)) in rows.iter().enumerate() {
            let (near, mut rest): (Vec<_>, Vec<_>) = sessions.into_iter().partition(|(of, start, end, _)| {
                of == key
                    && *start <= time + RULES.gap
                    && *end >= time - RULES.gap
                    && *end >= stamp - RULES.horizon
            });
            let start = near.iter().map(|s| s.1).chain([*time]).min().unwrap();
            let end = near.iter().map(|s| s.2).chain([*time]).max().unwrap();
            if end < stamp - RULES.grace - RULES.gap {
                late += 1;
                rest.extend(near);
            } else {
                let mut values: Vec<_> = near.into_iter().flat_map(|s| s.3).chain([(at, *value)]).collect();
                values.sort();
                rest.push((*key, start, end, values));
            }
            sessions = rest;
        }
        let values = |all: Vec<(usize, i32)>| all.into_iter().map(|(_, value)| value).collect::<Vec<_>>();
        let mut found: Vec<_> =
            sessions.into_iter().map(|(k, s, e, all)| (k, s, e, all.len() as i64, values(all))).collect();
        found.sort();
        (found, late)
    }

    proptest! {
        #[test]
        fn whoever_cuts_and_restarts_sees_the_sessions_of_one_row_at_a_time(
            given in prop::collection::vec((0..3i32, 0..12i64, 0..4i64), 1..60),
            cuts in prop::collection::vec(1..9usize, 1..60),
            restart in 0..20usize,
        ) {
            let (mut now, mut rows) = (0, Vec::new());
            for (i, (key, back, forth)) in given.iter().enumerate() {
                let time = (now + forth - back).max(0);
                now = now.max(time);
                rows.push((*key, time, now, i as i32));
            }
            let (mut sums, mut late) = (Sums::default(), 0);
            let mut sessions = Sessions::new(&aggregation(), RULES);
            let (mut at, mut cuts) = (0, cuts.iter().cycle());
            for round in 0.. {
                if at == rows.len() {
                    break;
                }
                if round == restart {
                    sessions = Sessions::new(&aggregation(), RULES);
                    sessions.restore(sums.states.clone(), sums.elements.clone());
                }
                let end = (at + cuts.next().unwrap()).min(rows.len());
                let batch = batch(&rows[at..end], at as i64);
                late += sessions.add(&batch, &mut |kept, key, state| sums.change(kept, key, state)).len();
                sessions.forget(rows[end - 1].2);
                at = end;
            }
            prop_assert_eq!((sums.sessions(), late), expected(&rows));
        }
    }

    #[test]
    fn what_no_row_can_reach_is_forgotten() {
        let mut sessions = Sessions::new(&aggregation(), RULES);
        for round in 0..50 {
            let time = round * 10;
            sessions.add(&batch(&[(round as i32, time, time, 0)], round), &mut |_, _, _| {});
            sessions.forget(time);
            assert!(sessions.of_key.len() <= 5 && sessions.ends.len() <= 5, "{}", sessions.of_key.len());
        }
    }
}
