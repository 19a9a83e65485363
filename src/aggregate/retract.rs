//! Aggregates over rows that may be taken back: sums are added to and subtracted from, whatever else is
//! asked for finds its values in an order. So a change costs what it touches, not what the group has.

use super::exact::ExactSum;
use super::finish::{Kept, integer, repeated};
use super::moments::ProductSum;
use super::spec::Spec;
use super::sums::products;
use super::wide::Wide;
use crate::types::SqlType;
use crate::value::{Row, Value};
use std::collections::BTreeMap;

/// The present rows of a group, as far as its calls need to know them.
///
/// A row holds the arguments of all calls, one behind the other. It may be taken back before it is added, as
/// long as it is added before the results are asked for.
pub struct Present {
    rows: i64,
    calls: Vec<Call>,
    /// ROWTIMEs with how many rows have them.
    times: BTreeMap<i64, i64>,
    /// The greatest one that ever was.
    last: i64,
    /// All rows, where some call keeps their order.
    ordered: Option<BTreeMap<Row, i64>>,
}

/// What is kept for one call.
enum Call {
    Count(i64),
    Integers {
        count: i64,
        wrapping: i64,
        wide: Wide,
    },
    Doubles {
        count: i64,
        sum: ExactSum,
    },
    Moments {
        count: i64,
        sums: Vec<ProductSum>,
    },
    /// Values with how often they came.
    Values(BTreeMap<Value, i64>),
    /// Values by the ROWTIMEs of their rows, with how often they came: a table's rows have no other order.
    Timed(BTreeMap<(i64, Value), i64>),
    /// It reads the rows.
    Nothing,
}

impl Present {
    pub fn new(specs: &[Spec]) -> Present {
        Present {
            rows: 0,
            calls: specs.iter().map(Call::new).collect(),
            times: BTreeMap::new(),
            last: i64::MIN,
            ordered: specs.contains(&Spec::CollectList).then(BTreeMap::new),
        }
    }

    /// Adds a row so many times, or takes it back.
    pub fn add(&mut self, specs: &[Spec], row: &[Value], rowtime: i64, times: i64) {
        self.rows += times;
        count(&mut self.times, rowtime, times);
        self.last = self.last.max(rowtime);
        let mut start = 0;
        for (call, spec) in self.calls.iter_mut().zip(specs) {
            call.add(spec, row.get(start).unwrap_or(&Value::Null), rowtime, times);
            start += spec.columns();
        }
        if let Some(ordered) = &mut self.ordered {
            count(ordered, row.to_vec(), times);
        }
    }

    pub fn is_empty(&self) -> bool {
        self.rows <= 0
    }

    /// The greatest ROWTIME of the rows; where there are none, of those that were there.
    pub fn rowtime(&self) -> i64 {
        self.times.last_key_value().map_or(self.last, |(time, _)| *time)
    }

    /// The result of each call. COLLECT_LIST has its rows in the order of their values.
    pub fn results(&self, specs: &[Spec]) -> Vec<Value> {
        let mut results = Vec::with_capacity(specs.len());
        let mut start = 0;
        for (call, spec) in self.calls.iter().zip(specs) {
            match (spec, call, &self.ordered) {
                (Spec::CollectList, _, Some(ordered)) => {
                    let value =
                        |(row, times): (&Row, &i64)| (row.get(start).cloned().unwrap_or(Value::Null), *times);
                    let values = repeated(ordered.iter().map(value)).collect();
                    Kept::Values(values).finish(spec, &mut results);
                }
                (Spec::CountDistinct, Call::Values(values), _) => {
                    results.push(Value::Bigint(values.len() as i64));
                }
                _ => call.kept(spec).finish(spec, &mut results),
            }
            start += spec.columns();
        }
        results
    }
}

/// What is there no more, or was taken back before it came and came, is forgotten.
fn count<K: Ord>(counts: &mut BTreeMap<K, i64>, key: K, times: i64) {
    use std::collections::btree_map::Entry;
    match counts.entry(key) {
        Entry::Vacant(entry) => drop(entry.insert(times)),
        Entry::Occupied(mut entry) => {
            *entry.get_mut() += times;
            if *entry.get() == 0 {
                entry.remove();
            }
        }
    }
}

impl Call {
    fn new(spec: &Spec) -> Call {
        match spec {
            Spec::CountRows | Spec::Count => Call::Count(0),
            Spec::Sum(SqlType::Double) | Spec::SumList(SqlType::Double) | Spec::Avg(SqlType::Double) => {
                Call::Doubles { count: 0, sum: ExactSum::default() }
            }
            Spec::Sum(_) | Spec::SumList(_) | Spec::Avg(_) => {
                Call::Integers { count: 0, wrapping: 0, wide: Wide::default() }
            }
            Spec::Spread { .. } | Spec::Correlation(_) => Call::Moments { count: 0, sums: Vec::new() },
            Spec::Min | Spec::Max | Spec::TopK { .. } | Spec::TopKDistinct { .. } => {
                Call::Values(BTreeMap::new())
            }
            Spec::Latest { .. } | Spec::Earliest { .. } => Call::Timed(BTreeMap::new()),
            _ if spec.keeps_set() => Call::Values(BTreeMap::new()),
            _ => Call::Nothing,
        }
    }

    fn add(&mut self, spec: &Spec, value: &Value, rowtime: i64, times: i64) {
        match (self, value) {
            (Call::Count(rows), _) if *spec == Spec::CountRows => *rows = rows.wrapping_add(times),
            (_, value) if value.is_null() && !spec.set_holds_null() && !spec.counts_nulls() => {}
            (Call::Count(rows), _) => *rows = rows.wrapping_add(times),
            (Call::Values(values), _) => count(values, value.clone(), times),
            (Call::Timed(values), _) => count(values, (rowtime, value.clone()), times),
            (Call::Moments { count, sums }, Value::Struct(pair)) => {
                if let [x, y] = pair.as_slice() {
                    *count = count.wrapping_add(times);
                    add_moments(sums, x, Some(y), times);
                }
            }
            (Call::Moments { count, sums }, x) => {
                *count = count.wrapping_add(times);
                add_moments(sums, x, None, times);
            }
            (call @ (Call::Integers { .. } | Call::Doubles { .. }), Value::Array(items)) => {
                items.iter().for_each(|item| call.add_number(item, times));
            }
            (call @ (Call::Integers { .. } | Call::Doubles { .. }), value) => call.add_number(value, times),
            (Call::Nothing, _) => {}
        }
    }

    fn add_number(&mut self, value: &Value, times: i64) {
        match (self, value) {
            (Call::Doubles { count, sum }, Value::Double(v)) => {
                *count = count.wrapping_add(times);
                sum.add_times(*v, times);
            }
            (Call::Integers { count, wrapping, wide }, value) => {
                *count = count.wrapping_add(times);
                let Some(integer) = integer(value) else { return };
                *wrapping = wrapping.wrapping_add((integer as i64).wrapping_mul(times));
                wide.add_times(integer, times);
            }
            _ => {}
        }
    }

    fn kept(&self, spec: &Spec) -> Kept {
        match (self, spec) {
            (Call::Count(rows), _) => Kept::Integer(*rows),
            (Call::Doubles { count, sum }, Spec::Avg(_)) => Kept::AvgExact(*count, sum.clone()),
            (Call::Doubles { sum, .. }, _) => Kept::Exact(sum.clone()),
            (Call::Integers { count, wide, .. }, Spec::Avg(_)) => Kept::AvgWide(*count, *wide),
            (Call::Integers { wide, .. }, Spec::Sum(ty) | Spec::SumList(ty))
                if matches!(ty, SqlType::Decimal { .. }) =>
            {
                Kept::Wide(*wide)
            }
            (Call::Integers { wrapping, .. }, _) => Kept::Integer(*wrapping),
            (Call::Moments { count, sums }, _) => Kept::Moments(*count, sums.clone()),
            (Call::Values(values), _) => kept_values(values, spec),
            (Call::Timed(values), _) => kept_timed(values, spec),
            (Call::Nothing, _) => Kept::Nothing,
        }
    }
}

/// As far as the call asks for them: of MIN, MAX and TOPK not all are looked at.
fn kept_values(values: &BTreeMap<Value, i64>, spec: &Spec) -> Kept {
    let mut present = values.iter().filter(|(_, times)| **times > 0);
    let one = |value: Option<(&Value, &i64)>| value.map_or(Kept::Nothing, |(v, _)| Kept::Value(v.clone()));
    let counted = |(value, times): (&Value, &i64)| (value.clone(), *times);
    match spec {
        Spec::Min => one(present.next()),
        Spec::Max => one(present.next_back()),
        Spec::TopKDistinct { k } => {
            Kept::Values(present.rev().take(*k as usize).map(|(value, _)| value.clone()).collect())
        }
        Spec::TopK { k } => {
            let greatest = present.rev().take(*k as usize).map(counted);
            Kept::Values(repeated(greatest).take(*k as usize).collect())
        }
        Spec::Attr => Kept::Counted(present.take(2).map(counted).collect()),
        _ => Kept::Counted(present.map(counted).collect()),
    }
}

/// The values of the rows with the least or the greatest ROWTIMEs; of those with one ROWTIME the greatest is the
/// last.
fn kept_timed(values: &BTreeMap<(i64, Value), i64>, spec: &Spec) -> Kept {
    let present = values.iter().filter(|(_, times)| **times > 0);
    let each = present.map(|((_, value), times)| (value.clone(), *times));
    let (n, mut picked): (_, Vec<Value>) = match spec {
        Spec::Latest { n, .. } => (n, repeated(each.rev()).take(n.unwrap_or(1) as usize).collect()),
        Spec::Earliest { n, .. } => (n, repeated(each).take(n.unwrap_or(1) as usize).collect()),
        _ => return Kept::Nothing,
    };
    if n.is_none() {
        return picked.pop().map_or(Kept::Nothing, Kept::Value);
    }
    if matches!(spec, Spec::Latest { .. }) {
        picked.reverse();
    }
    if picked.is_empty() { Kept::Nothing } else { Kept::Values(picked) }
}

fn add_moments(sums: &mut Vec<ProductSum>, x: &Value, y: Option<&Value>, times: i64) {
    let len = if y.is_some() { 5 } else { 2 };
    match (x, y) {
        (Value::Double(x), y) => {
            sums.resize(len, ProductSum::of_doubles());
            let y = if let Some(Value::Double(y)) = y { Some(*y) } else { None };
            products(sums, *x, y, 1.0, |sum, x, y| sum.add_doubles(x, y, times));
        }
        _ => {
            sums.resize(len, ProductSum::of_integers());
            let Some(x) = integer(x) else { return };
            products(sums, x, y.and_then(integer), 1, |sum, x, y| sum.add_integers(x, y, times));
        }
    }
}
