//! From what is kept to results: out of states, or out of single rows where rows can be taken back.

use super::elements;
use super::exact::ExactSum;
use super::spec::Spec;
use super::state::{End, Entry, Reader};
use super::sums::add_square;
use super::wide::Wide;
use super::{Element, State, packed};
use crate::batch::Position;
use crate::types::SqlType;
use crate::value::Value;
use std::collections::BTreeMap;

/// The result of each call. `elements` are the group's collection elements with their states,
/// ascending. Of no rows COUNT and SUM are 0, collections are empty, all others NULL.
pub fn finish(specs: &[Spec], state: &State, elements: &[(Element, State)]) -> Vec<Value> {
    let mut collected = collect(specs, elements);
    let (mut reader, mut bytes) = (Reader::default(), &*state.0);
    let begun = reader.begin(&mut bytes);
    let mut results = Vec::with_capacity(specs.len());
    for (spec, collected) in specs.iter().zip(collected.drain(..)) {
        let entry = begun.and_then(|_| reader.next(&mut bytes)).and_then(Kept::read);
        let kept = match (spec, entry) {
            (Spec::CollectList | Spec::CollectSet | Spec::CountDistinct, _) => Kept::Values(collected),
            (_, entry) => entry.unwrap_or(Kept::Nothing),
        };
        kept.finish(spec, &mut results);
    }
    results
}

/// The values that each call has collected, in its order: a list's in that of its rows, a set's in that
/// of their first arrival.
fn collect(specs: &[Spec], elements: &[(Element, State)]) -> Vec<Vec<Value>> {
    let mut collected: Vec<Vec<Value>> = specs.iter().map(|_| Vec::new()).collect();
    let mut sets: BTreeMap<(usize, Option<Position>, usize), Value> = BTreeMap::new();
    for (n, (element, state)) in elements.iter().enumerate() {
        let count = state.rows();
        let Some((call, mut value)) = elements::parse(element, specs).filter(|_| count > 0) else { continue };
        let value = packed::unpack(&mut value).unwrap_or(Value::Null);
        match specs[call] {
            Spec::CollectList => collected[call].extend(std::iter::repeat_n(value, count as usize)),
            _ => drop(sets.insert((call, elements::first(state), n), value)),
        }
    }
    sets.into_iter().for_each(|((call, ..), value)| collected[call].push(value));
    collected
}

/// The results over rows given one by one with multiplicities: for retractable input, where a group
/// is computed anew from its present rows. Each row holds the column arguments of all calls, one
/// behind the other. COLLECT_LIST keeps the order of the rows; calls that are
/// [`super::order_sensitive`] have no answer here and are NULL, planners refuse them.
pub fn aggregate_rows(specs: &[Spec], rows: &[(&[Value], i64)]) -> Vec<Value> {
    let mut results = Vec::with_capacity(specs.len());
    let mut start = 0;
    for spec in specs {
        let mut present = Present::default();
        for (row, times) in rows {
            present.add(spec, row.get(start).unwrap_or(&Value::Null), *times);
        }
        present.kept(spec).finish(spec, &mut results);
        start += spec.columns();
    }
    results
}

/// Whether the row that a [`Spec::LatestRow`] among the calls keeps is a deletion. (A group that has
/// no row counts as deleted.)
pub fn row_deleted(specs: &[Spec], state: &State) -> bool {
    let (mut reader, mut bytes) = (Reader::default(), &*state.0);
    if reader.begin(&mut bytes).is_none() {
        return specs.iter().any(|spec| matches!(spec, Spec::LatestRow { .. }));
    }
    for spec in specs {
        let entry = reader.next(&mut bytes);
        if let (Spec::LatestRow { .. }, entry) = (spec, entry) {
            return !matches!(entry, Some(Entry::Winner(_, Some((_, value)))) if value != [packed::NULL]);
        }
    }
    false
}

/// What is kept for one call, ready to be finished.
enum Kept {
    Nothing,
    Integer(i64),
    Wide(Wide),
    Exact(ExactSum),
    AvgWide(i64, Wide),
    AvgExact(i64, ExactSum),
    Deviation(i64, ExactSum, ExactSum),
    Value(Value),
    Values(Vec<Value>),
}

impl Kept {
    fn read(entry: Entry) -> Option<Kept> {
        let value = |mut bytes: &[u8]| packed::unpack(&mut bytes);
        Some(match entry {
            Entry::Count(n) | Entry::SumWrapping(n) => Kept::Integer(n),
            Entry::SumWide(sum) => Kept::Wide(sum),
            Entry::SumExact(sum) => Kept::Exact(sum),
            Entry::AvgWide(count, sum) => Kept::AvgWide(count, sum),
            Entry::AvgExact(count, sum) => Kept::AvgExact(count, sum),
            Entry::Deviation(count, sum, squares) => Kept::Deviation(count, sum, squares),
            Entry::Min(best) | Entry::Max(best) => Kept::Value(value(best?)?),
            Entry::Winner(_, winner) => Kept::Value(value(winner?.1)?),
            Entry::Winners(end, _, rows) => {
                let mut values = rows.map(|(_, bytes)| value(bytes)).collect::<Option<Vec<Value>>>()?;
                if end == End::Latest {
                    values.reverse();
                }
                Kept::Values(values)
            }
            Entry::Top { values, .. } => Kept::Values(values.map(value).collect::<Option<_>>()?),
            Entry::Elements => return None,
        })
    }

    fn finish(self, spec: &Spec, results: &mut Vec<Value>) {
        if let Spec::LatestRow { columns } = spec {
            match self {
                Kept::Value(Value::Struct(row)) if row.len() == *columns => results.extend(row),
                _ => results.extend(std::iter::repeat_n(Value::Null, *columns)),
            }
            return;
        }
        results.push(match (spec, self) {
            (Spec::Count | Spec::CountRows, Kept::Integer(n)) => Value::Bigint(n),
            (Spec::Count | Spec::CountRows, _) => Value::Bigint(0),
            (Spec::Sum(ty), kept) => kept.sum(ty),
            (Spec::Avg(ty), kept) => kept.avg(ty).map_or(Value::Null, Value::Double),
            (Spec::StddevSamp, Kept::Deviation(n, sum, squares)) => deviation(n, sum, squares),
            (Spec::CountDistinct, Kept::Values(values)) => Value::Bigint(values.len() as i64),
            (_, Kept::Value(value)) => value,
            (_, Kept::Values(values)) => Value::Array(values),
            (Spec::TopK { .. } | Spec::TopKDistinct { .. }, Kept::Nothing) => Value::Array(Vec::new()),
            _ => Value::Null,
        });
    }

    fn sum(self, ty: &SqlType) -> Value {
        match (ty, self) {
            (SqlType::Int, Kept::Integer(sum)) => Value::Int(sum as i32),
            (SqlType::Bigint, Kept::Integer(sum)) => Value::Bigint(sum),
            (SqlType::Double, Kept::Exact(sum)) => Value::Double(sum.to_f64()),
            (SqlType::Decimal { precision, scale }, Kept::Wide(sum)) => {
                let limit = 10i128.saturating_pow(*precision as u32).unsigned_abs();
                let fits = |sum: &i128| sum.unsigned_abs() < limit;
                sum.to_i128().filter(fits).map_or(Value::Null, |sum| Value::Decimal(sum, *scale))
            }
            (SqlType::Int, _) => Value::Int(0),
            (SqlType::Bigint, _) => Value::Bigint(0),
            (SqlType::Double, _) => Value::Double(0.0),
            (SqlType::Decimal { scale, .. }, _) => Value::Decimal(0, *scale),
            _ => Value::Null,
        }
    }

    fn avg(self, ty: &SqlType) -> Option<f64> {
        let (count, sum) = match self {
            Kept::AvgWide(count, sum) => (
                count,
                if let SqlType::Decimal { scale, .. } = ty { decimal(sum, *scale) } else { sum.to_f64() },
            ),
            Kept::AvgExact(count, sum) => (count, sum.to_f64()),
            _ => return None,
        };
        (count != 0).then(|| sum / count as f64)
    }
}

/// The double nearest to a sum of unscaled digits.
fn decimal(sum: Wide, scale: u8) -> f64 {
    match sum.to_i128() {
        Some(digits) => format!("{digits}e-{scale}").parse().unwrap_or(f64::NAN),
        None => sum.to_f64() / 10f64.powi(scale as i32),
    }
}

/// The root of (Σx² − (Σx)²/n) / (n − 1), the difference in twice the precision of a double.
fn deviation(count: i64, sum: ExactSum, squares: ExactSum) -> Value {
    if count < 2 {
        return Value::Null;
    }
    let n = count as f64;
    let (sum, sum_low) = two_parts(sum);
    let (squares, squares_low) = two_parts(squares);
    // n·Σx² − (Σx)², leading terms and what rounding took from each.
    let (a, b) = (n * squares, sum * sum);
    let lost = n.mul_add(squares, -a) - sum.mul_add(sum, -b);
    let spread = (a - b) + (lost + (n * squares_low - 2.0 * sum * sum_low));
    Value::Double((if spread < 0.0 { 0.0 } else { spread / n / (n - 1.0) }).sqrt())
}

fn two_parts(mut sum: ExactSum) -> (f64, f64) {
    let high = sum.to_f64();
    if !high.is_finite() {
        return (high, 0.0);
    }
    sum.sub(high);
    (high, sum.to_f64())
}

/// One call over rows that may be taken back.
#[derive(Default)]
struct Present {
    count: i64,
    wrapping: i64,
    wide: Wide,
    exact: ExactSum,
    squares: ExactSum,
    distinct: BTreeMap<Value, i64>,
    list: Vec<Value>,
}

impl Present {
    fn add(&mut self, spec: &Spec, value: &Value, times: i64) {
        match spec {
            Spec::CountRows => self.count = self.count.wrapping_add(times),
            Spec::CollectList => {
                self.list.extend(std::iter::repeat_n(value.clone(), times.max(0) as usize));
            }
            Spec::CollectSet => *self.distinct.entry(value.clone()).or_default() += times,
            _ if value.is_null() => {}
            Spec::Min | Spec::Max | Spec::CountDistinct | Spec::TopK { .. } | Spec::TopKDistinct { .. } => {
                *self.distinct.entry(value.clone()).or_default() += times;
            }
            _ => self.add_number(value, times),
        }
    }

    fn add_number(&mut self, value: &Value, times: i64) {
        self.count = self.count.wrapping_add(times);
        let integer = match value {
            Value::Int(v) => *v as i64,
            Value::Bigint(v) => *v,
            Value::Decimal(v, _) => return self.wide.add_times(*v, times),
            Value::Double(v) => {
                self.exact.add_times(*v, times);
                return add_square(&mut self.squares, *v, times);
            }
            _ => return,
        };
        self.wrapping = self.wrapping.wrapping_add(integer.wrapping_mul(times));
        self.wide.add_times(integer as i128, times);
    }

    fn kept(self, spec: &Spec) -> Kept {
        let Present { count, wrapping, wide, exact, squares, distinct, list } = self;
        let mut values = distinct.into_iter().filter(|(_, times)| *times > 0);
        match spec {
            Spec::CountRows | Spec::Count => Kept::Integer(count),
            Spec::Sum(SqlType::Double) => Kept::Exact(exact),
            Spec::Sum(SqlType::Decimal { .. }) => Kept::Wide(wide),
            Spec::Sum(_) => Kept::Integer(wrapping),
            Spec::Avg(SqlType::Double) => Kept::AvgExact(count, exact),
            Spec::Avg(_) => Kept::AvgWide(count, wide),
            Spec::StddevSamp => Kept::Deviation(count, exact, squares),
            Spec::Min => values.next().map_or(Kept::Nothing, |(value, _)| Kept::Value(value)),
            Spec::Max => values.next_back().map_or(Kept::Nothing, |(value, _)| Kept::Value(value)),
            Spec::CollectList => Kept::Values(list),
            Spec::CollectSet | Spec::CountDistinct => Kept::Values(values.map(|(value, _)| value).collect()),
            Spec::TopKDistinct { k } => {
                Kept::Values(values.rev().map(|(value, _)| value).take(*k as usize).collect())
            }
            Spec::TopK { k } => {
                let repeated = values.rev().flat_map(|(v, n)| std::iter::repeat_n(v, n as usize));
                Kept::Values(repeated.take(*k as usize).collect())
            }
            Spec::Latest { .. } | Spec::Earliest { .. } | Spec::LatestRow { .. } => Kept::Nothing,
        }
    }
}
