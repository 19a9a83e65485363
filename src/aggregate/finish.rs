//! From what is kept to results.

use super::elements;
use super::exact::ExactSum;
use super::moments::ProductSum;
use super::quotient::{Quotient, Total};
use super::spec::{Spec, Statistic};
use super::state::{End, Entry, Reader};
use super::wide::Wide;
use super::{Element, State, packed};
use crate::batch::Position;
use crate::types::SqlType;
use crate::value::Value;
use num_bigint::{BigUint, Sign};
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
            (Spec::CollectList, _) => Kept::Values(repeated(collected.into_iter()).collect()),
            (spec, _) if spec.keeps_set() => Kept::Counted(collected),
            (_, entry) => entry.unwrap_or(Kept::Nothing),
        };
        kept.finish(spec, &mut results);
    }
    results
}

/// The values that each call has collected with how often they came, in its order: a list's in that of its
/// rows, a set's in that of their first arrival.
fn collect(specs: &[Spec], elements: &[(Element, State)]) -> Vec<Vec<(Value, i64)>> {
    let mut collected: Vec<Vec<(Value, i64)>> = specs.iter().map(|_| Vec::new()).collect();
    let mut sets: BTreeMap<(usize, Option<Position>, usize), (Value, i64)> = BTreeMap::new();
    for (n, (element, state)) in elements.iter().enumerate() {
        let count = state.rows();
        let Some((call, mut value)) = elements::parse(element, specs).filter(|_| count > 0) else { continue };
        let value = packed::unpack(&mut value).unwrap_or(Value::Null);
        match specs[call] {
            Spec::CollectList => collected[call].push((value, count)),
            _ => drop(sets.insert((call, elements::first(state), n), (value, count))),
        }
    }
    sets.into_iter().for_each(|((call, ..), value)| collected[call].push(value));
    collected
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
pub(super) enum Kept {
    Nothing,
    Integer(i64),
    Wide(Wide),
    Exact(ExactSum),
    AvgWide(i64, Wide),
    AvgExact(i64, ExactSum),
    Moments(i64, Vec<ProductSum>),
    Value(Value),
    Values(Vec<Value>),
    /// Distinct values with how often each came.
    Counted(Vec<(Value, i64)>),
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
            Entry::Moments(count, sums) => Kept::Moments(count, sums),
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

    pub(super) fn finish(self, spec: &Spec, results: &mut Vec<Value>) {
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
            (Spec::SumList(ty), kept) => kept.sum(ty),
            (Spec::Spread { of, statistic }, Kept::Moments(n, sums)) => spread(*statistic, of, n, &sums),
            (Spec::Spread { of, statistic }, _) => spread(*statistic, of, 0, &[]),
            (Spec::Correlation(_), Kept::Moments(n, sums)) => Value::Double(correlation(n, &sums)),
            (Spec::Correlation(_), _) => Value::Double(f64::NAN),
            (Spec::CountDistinct, Kept::Counted(values)) => Value::Bigint(values.len() as i64),
            (Spec::CollectSet, Kept::Counted(values)) => {
                Value::Array(values.into_iter().map(|(value, _)| value).collect())
            }
            (Spec::Attr, Kept::Counted(mut values)) => match values.len() {
                1 => values.swap_remove(0).0,
                _ => Value::Null,
            },
            (Spec::Histogram, Kept::Counted(values)) => {
                Value::Map(values.into_iter().map(|(value, n)| (value, Value::Bigint(n))).collect())
            }
            (Spec::Percentile { of, digits, scale }, Kept::Counted(values)) => {
                percentile(of, *digits, *scale, values)
            }
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

    /// The double nearest to the mean, of which nothing was rounded before.
    fn avg(self, ty: &SqlType) -> Option<f64> {
        let (count, sum) = match self {
            Kept::AvgWide(count, sum) => (count, sum.total()),
            Kept::AvgExact(count, sum) => match sum.total() {
                Ok(total) => (count, total),
                Err(special) => return Some(special),
            },
            _ => return None,
        };
        let count = u64::try_from(count).ok().filter(|count| *count > 0)?;
        Some(sum.over(power(ty) * count).nearest())
    }
}

/// What a sum of DECIMAL's digits is divided by; 1 for other numbers.
fn power(ty: &SqlType) -> BigUint {
    let scale = if let SqlType::Decimal { scale, .. } = ty { *scale } else { 0 };
    BigUint::from(10u32).pow(scale as u32)
}

/// n · Σxy − Σx · Σy, and for y = x n · Σx² − (Σx)²; or NaN.
fn spread_of(n: i64, x: &ProductSum, y: &ProductSum, product: &ProductSum) -> Result<Total, f64> {
    let (x, y, product) = (x.total()?, y.total()?, product.total()?);
    Ok(product.times(&n.into()).minus(x.times(&y)))
}

fn spread(statistic: Statistic, of: &SqlType, n: i64, sums: &[ProductSum]) -> Value {
    use Statistic::*;
    let of_all = matches!(statistic, PopulationVariance | PopulationDeviation);
    let [sum, squares] = sums else { return too_few(statistic) };
    if n < if of_all { 1 } else { 2 } {
        return too_few(statistic);
    }
    let Ok(spread) = spread_of(n, sum, sum, squares) else { return Value::Double(f64::NAN) };
    let n = BigUint::from(n.unsigned_abs());
    let fewer = if of_all { n.clone() } else { &n - 1u32 };
    let variance = spread.over(n * fewer * power(of).pow(2));
    Value::Double(match statistic {
        Variance | PopulationVariance | StddevSamp => variance.nearest(),
        Deviation | PopulationDeviation | StddevSample => variance.root(),
    })
}

fn too_few(statistic: Statistic) -> Value {
    match statistic {
        Statistic::StddevSamp | Statistic::StddevSample => Value::Double(0.0),
        _ => Value::Null,
    }
}

/// Pearson's coefficient; NaN of fewer than two pairs, and where one side never varies.
fn correlation(n: i64, sums: &[ProductSum]) -> f64 {
    let [x, y, squares_x, squares_y, both] = sums else { return f64::NAN };
    let parts = (spread_of(n, x, y, both), spread_of(n, x, x, squares_x), spread_of(n, y, y, squares_y));
    let (Ok(together), Ok(of_x), Ok(of_y)) = parts else { return f64::NAN };
    let product = of_x.times(&of_y);
    if product.digits.sign() != Sign::Plus {
        return f64::NAN;
    }
    // The root of the square of what is asked for: units and powers of ten go out of it.
    let exponent = 2 * together.exponent - product.exponent;
    let (negative, numerator) = (together.digits.sign() == Sign::Minus, together.digits.pow(2));
    let root = Quotient { numerator, denominator: product.digits.magnitude().clone(), exponent }.root();
    if negative { -root } else { root }
}

/// The value at so much of the way through the ordered values, between two of them in proportion.
fn percentile(of: &SqlType, digits: u64, scale: u8, mut values: Vec<(Value, i64)>) -> Value {
    values.sort_by(|a, b| a.0.cmp(&b.0));
    let total: i64 = values.iter().map(|(_, times)| times).sum();
    if total < 1 {
        return Value::Null;
    }
    let unit = 10u128.pow(scale as u32);
    let place = digits as u128 * (total - 1) as u128;
    let (whole, rest) = ((place / unit) as i64, place % unit);
    let at = |place: i64| {
        let mut before = 0;
        let found = values.iter().find(|(_, times)| {
            before += times;
            before > place
        });
        found.map(|(value, _)| value)
    };
    let (Some(low), Some(high)) = (at(whole), at(whole + i64::from(rest > 0))) else { return Value::Null };
    let (Some(from), Some(to)) = (number(low), number(high)) else {
        // NaN and the infinities have nothing between them.
        return if let Value::Double(_) = low { low.clone() } else { Value::Null };
    };
    let digits = |n: u128| Total { digits: n.into(), exponent: 0 };
    let step = to.minus(from.clone()).times(&digits(rest));
    let place = from.times(&digits(unit)).plus(step);
    Value::Double(place.over(BigUint::from(unit) * power(of)).nearest())
}

/// A finite number without any rounding.
fn number(value: &Value) -> Option<Total> {
    match value {
        Value::Double(v) => {
            let mut sum = ExactSum::default();
            sum.add(*v);
            sum.total().ok()
        }
        other => Some(Total { digits: integer(other)?.into(), exponent: 0 }),
    }
}

pub(super) fn repeated(values: impl Iterator<Item = (Value, i64)>) -> impl Iterator<Item = Value> {
    values.flat_map(|(value, times)| std::iter::repeat_n(value, times.max(0) as usize))
}

/// An integer, or DECIMAL's unscaled digits.
pub(super) fn integer(value: &Value) -> Option<i128> {
    match value {
        Value::Int(v) => Some(*v as i128),
        Value::Bigint(v) => Some(*v as i128),
        Value::Decimal(v, _) => Some(*v),
        _ => None,
    }
}
