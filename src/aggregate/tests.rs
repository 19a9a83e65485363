//! Every aggregate against a row-at-a-time oracle, over random batches, splits, flushes and merges.

use super::*;
use crate::batch::{Column, Origin, Partitions, Position, SourcePartition, Timestamps};
use crate::types::{SqlType, StructField};
use crate::value::{Value, encode_row};
use arrow_buffer::ScalarBuffer;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

/// A small generator, so that a failing seed can be run again.
struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 33) as usize % n.max(1)
    }

    fn value(&mut self, ty: &SqlType) -> Value {
        let n = self.below(7) as i64;
        match ty {
            SqlType::Boolean => Value::Boolean(n % 2 == 0),
            SqlType::Int => Value::Int([i32::MAX, i32::MIN, 0, 1, -1, 500, 7][n as usize]),
            SqlType::Bigint => Value::Bigint([i64::MAX, i64::MIN, 0, 1, -1, 1 << 40, 7][n as usize]),
            SqlType::Double => Value::Double(
                [0.1, -0.0, 1e300, f64::NAN, -2.5, f64::INFINITY, 5e-324, 53.79, 0.0][self.below(9)],
            ),
            SqlType::Decimal { scale, .. } => {
                Value::Decimal([i128::MAX / 4, -12345, 5, 0, 99, -1, 7][n as usize], *scale)
            }
            SqlType::Varchar => Value::text(&"xWoodhouse Lane".repeat(n as usize % 3 + 1)[n as usize / 3..]),
            SqlType::Bytes => Value::Bytes(vec![n as u8; n as usize].into()),
            SqlType::Date => Value::Date(n as i32 * 1000),
            SqlType::Time => Value::Time(n as i32 * 1000),
            SqlType::Timestamp => Value::Timestamp(n << 40),
            SqlType::Array(item) => Value::Array((0..n % 3).map(|_| self.value(item)).collect()),
            SqlType::Map(key, value) => Value::Map(vec![(self.value(key), self.value(value))]),
            SqlType::Struct(fields) => Value::Struct(fields.iter().map(|f| self.value(&f.ty)).collect()),
        }
    }
}

fn scalars() -> Vec<SqlType> {
    vec![
        SqlType::Boolean,
        SqlType::Int,
        SqlType::Bigint,
        SqlType::Double,
        SqlType::Decimal { precision: 38, scale: 2 },
        SqlType::Varchar,
        SqlType::Bytes,
        SqlType::Date,
        SqlType::Time,
        SqlType::Timestamp,
    ]
}

fn pair() -> SqlType {
    let field = |name: &str| StructField { name: name.into(), ty: SqlType::Double };
    SqlType::Struct(vec![field("lat"), field("lon")])
}

/// Every call on every type it takes.
fn calls() -> Vec<(Spec, Vec<SqlType>)> {
    let mut calls = vec![(Spec::CountRows, vec![])];
    let mut add = |spec: Spec, ty: &SqlType| calls.push((spec, vec![ty.clone()]));
    for ty in scalars().iter().chain([&pair(), &SqlType::Array(Box::new(SqlType::Int))]) {
        add(Spec::Count, ty);
        for ignore_nulls in [true, false] {
            for n in [None, Some(2)] {
                add(Spec::Latest { ignore_nulls, n }, ty);
                add(Spec::Earliest { ignore_nulls, n }, ty);
            }
        }
        add(Spec::CountDistinct, ty);
        add(Spec::CollectList, ty);
        add(Spec::CollectSet, ty);
        add(Spec::Attr, ty);
    }
    for ty in scalars() {
        [Spec::Min, Spec::Max, Spec::TopK { k: 3 }, Spec::TopKDistinct { k: 3 }]
            .into_iter()
            .for_each(|spec| add(spec, &ty));
        if ty.is_numeric() {
            add(Spec::Sum(ty.clone()), &ty);
            add(Spec::Avg(ty.clone()), &ty);
            add(Spec::Percentile { of: ty.clone(), digits: 25, scale: 2 }, &ty);
            for statistic in [Statistic::Deviation, Statistic::StddevSamp] {
                add(Spec::Spread { of: ty.clone(), statistic }, &ty);
            }
        }
    }
    add(Spec::Histogram, &SqlType::Varchar);
    add(Spec::SumList(SqlType::Int), &SqlType::Array(Box::new(SqlType::Int)));
    calls.push((Spec::LatestRow { columns: 2 }, vec![SqlType::Int, SqlType::Varchar, SqlType::Boolean]));
    calls
}

struct Row {
    keys: Vec<Value>,
    args: Vec<Vec<Value>>,
    rowtime: i64,
    position: Position,
}

/// Rows cut into batches; `constant` columns have one value within a batch.
struct Input {
    key_types: Vec<SqlType>,
    calls: Vec<(Spec, Vec<SqlType>)>,
    batches: Vec<(Vec<Row>, Vec<bool>)>,
}

impl Input {
    fn random(seed: u64) -> Input {
        let mut random = Random(seed);
        let all = scalars();
        let key_types: Vec<SqlType> = match random.below(4) {
            0 => vec![all[random.below(all.len())].clone()],
            1 => vec![SqlType::Varchar, SqlType::Varchar],
            2 => (0..3).map(|_| all[random.below(all.len())].clone()).collect(),
            _ => vec![pair()],
        };
        let everything = calls();
        let calls: Vec<_> = (0..12).map(|_| everything[random.below(everything.len())].clone()).collect();
        let columns = key_types.len() + calls.iter().map(|call| call.1.len()).sum::<usize>();
        let nulls = [0, 3, 10][random.below(3)];
        let ties = random.below(3) == 0;
        let (disorder, offsets) = (random.below(3), &mut 0);
        // Stamps do not fall within a partition.
        let mut stamps = [0; 2];
        let batches = (0..1 + random.below(6))
            .map(|_| {
                let constant: Vec<bool> = (0..columns).map(|_| random.below(4) == 0).collect();
                let source = random.below(2) as u32;
                let rows = 1 + random.below(40);
                let mut rows: Vec<Row> = (0..rows)
                    .map(|_| {
                        let mut value = |ty: &SqlType| match nulls {
                            n if n > 0 && random.below(n) == 0 => Value::Null,
                            _ => random.value(ty),
                        };
                        let keys = key_types.iter().map(&mut value).collect();
                        let args = calls.iter().map(|c| c.1.iter().map(&mut value).collect()).collect();
                        *offsets += if ties { random.below(2) as i64 } else { 1 };
                        let rowtime = 1_600_000_000_000 + random.below([1, 1, 5][disorder]) as i64;
                        let stamp = &mut stamps[source as usize];
                        *stamp = rowtime.max(*stamp);
                        let position =
                            Position { stamp: *stamp, source, partition: 3, offset: *offsets, nth: 0 };
                        Row { keys, args, rowtime, position }
                    })
                    .collect();
                make_constant(&mut rows, &constant);
                (rows, constant)
            })
            .collect();
        Input { key_types, calls, batches }
    }

    fn specs(&self) -> Vec<Spec> {
        self.calls.iter().map(|call| call.0.clone()).collect()
    }

    fn aggregator(&self) -> PreAggregator {
        let types: Vec<Vec<SqlType>> = self.calls.iter().map(|call| call.1.clone()).collect();
        PreAggregator::new(&self.specs(), &types)
    }

    fn feed(&self, to: &mut PreAggregator, rows: &[&Row], constant: &[bool]) -> usize {
        let mut constant = constant.iter();
        let mut column = |ty: &SqlType, values: Vec<&Value>| match constant.next() {
            Some(true) => Column::Const(Value::array(ty, values[..1].iter().copied())),
            _ => Column::Array(Value::array(ty, values.into_iter())),
        };
        let keys: Vec<Column> = (self.key_types.iter().enumerate())
            .map(|(k, ty)| column(ty, rows.iter().map(|row| &row.keys[k]).collect()))
            .collect();
        let args: Vec<Vec<Column>> = (self.calls.iter().enumerate())
            .map(|(c, call)| {
                let columns = call.1.iter().enumerate();
                columns.map(|(a, ty)| column(ty, rows.iter().map(|row| &row.args[c][a]).collect())).collect()
            })
            .collect();
        let times = |time: fn(&Row) -> i64| {
            let times: Vec<i64> = rows.iter().map(|row| time(row)).collect();
            match times.iter().all(|t| *t == times[0]) {
                true => Timestamps::All(times[0]),
                false => Timestamps::Each(times.into()),
            }
        };
        let partition = SourcePartition { source: rows[0].position.source, partition: 3 };
        let origin = Origin {
            rowtime: times(|row| row.rowtime),
            stamps: times(|row| row.position.stamp),
            partitions: match rows.len() % 2 {
                0 => Partitions::One(partition),
                _ => Partitions::Each(vec![partition; rows.len()]),
            },
            offsets: rows.iter().map(|row| row.position.offset).collect::<ScalarBuffer<i64>>(),
            ..Origin::none(rows.len())
        };
        to.add(&keys, &args, &origin, rows.len())
    }
}

fn make_constant(rows: &mut [Row], constant: &[bool]) {
    let Some((first, rest)) = rows.split_first_mut() else { return };
    let shape: Vec<usize> = first.args.iter().map(Vec::len).collect();
    for row in rest {
        let mut constant = constant.iter();
        for (value, first) in row.keys.iter_mut().zip(&first.keys) {
            if constant.next() == Some(&true) {
                *value = first.clone();
            }
        }
        for (call, len) in shape.iter().enumerate() {
            for arg in 0..*len {
                if constant.next() == Some(&true) {
                    row.args[call][arg] = first.args[call][arg].clone();
                }
            }
        }
    }
}

type Groups = BTreeMap<Key, (State, BTreeMap<Element, State>)>;

fn flush(from: &mut PreAggregator, into: &mut Groups) {
    let mut seen = BTreeSet::new();
    from.flush(&mut |key, state, elements| {
        assert!(seen.insert(key.clone()), "a group came twice in one flush");
        assert!(elements.is_sorted_by(|a, b| a.0 < b.0));
        let (sum, all) = into.entry(key).or_insert((State(Box::new([])), BTreeMap::new()));
        sum.merge(&state);
        for (element, state) in elements {
            all.entry(element).or_insert_with(nothing).merge(&state);
        }
    });
    assert_eq!(from.groups(), 0);
}

fn nothing() -> State {
    State(Box::new([]))
}

/// Batches as they are, one flush at the end.
fn in_batches(input: &Input) -> (Groups, usize) {
    let (mut aggregator, mut groups, mut dropped) = (input.aggregator(), Groups::new(), 0);
    for (rows, constant) in &input.batches {
        dropped += input.feed(&mut aggregator, &rows.iter().collect::<Vec<_>>(), constant);
    }
    let expected = aggregator.groups();
    flush(&mut aggregator, &mut groups);
    assert_eq!(groups.len(), expected);
    (groups, dropped)
}

/// Pieces of batches in random order over several aggregators, flushed now and then.
fn in_pieces(input: &Input, seed: u64) -> (Groups, usize) {
    let mut random = Random(seed);
    let mut pieces: Vec<(Vec<&Row>, &[bool])> = Vec::new();
    for (rows, constant) in &input.batches {
        let mut rest: Vec<&Row> = rows.iter().collect();
        while !rest.is_empty() {
            let piece = rest.drain(..1 + random.below(rest.len().min(10))).collect();
            pieces.push((piece, constant));
        }
    }
    let mut workers = [input.aggregator(), input.aggregator(), input.aggregator()];
    let (mut groups, mut dropped) = (Groups::new(), 0);
    while !pieces.is_empty() {
        let (rows, constant) = pieces.swap_remove(random.below(pieces.len()));
        let worker = &mut workers[random.below(3)];
        dropped += input.feed(worker, &rows, constant);
        if random.below(3) == 0 {
            flush(worker, &mut groups);
        }
    }
    workers.iter_mut().for_each(|worker| flush(worker, &mut groups));
    (groups, dropped)
}

fn packed_of(value: &Value) -> Vec<u8> {
    let mut bytes = Vec::new();
    packed::pack(value, &mut bytes);
    bytes
}

/// The answer of one call, from all rows of a group in the order of their positions.
fn oracle(spec: &Spec, rows: &[&Row], call: usize) -> Vec<Value> {
    let mut sorted: Vec<&&Row> = rows.iter().collect();
    let packed = |row: &Row| packed_of(&row.args[call][0]);
    let arg = |row: &&&Row| row.args[call][0].clone();
    if !matches!(spec, Spec::CountRows | Spec::LatestRow { .. }) {
        sorted.sort_by_cached_key(|row| (row.position, packed(row)));
    }
    let values = || sorted.iter().map(&arg).filter(|v| !v.is_null()).collect::<Vec<Value>>();
    let by_offset = |ignore_nulls: bool, n: Option<u32>, latest: bool| {
        let mut rows: Vec<(Position, Vec<u8>, Value)> = (sorted.iter())
            .map(|row| (row.position, packed(row), arg(row)))
            .filter(|row| !(ignore_nulls && row.2.is_null()))
            .collect();
        if !latest {
            // Of rows with one position the greater bytes come first at either end.
            rows.sort_by(|a, b| a.0.cmp(&b.0).then(b.1.cmp(&a.1)));
            rows.truncate(n.unwrap_or(1) as usize);
            rows.reverse();
        }
        let skip = rows.len().saturating_sub(n.unwrap_or(1) as usize);
        let mut values: Vec<Value> = rows.into_iter().skip(skip).map(|row| row.2).collect();
        if n.is_some() && !latest {
            values.reverse();
        }
        match n {
            Some(_) => Value::Array(values),
            None => values.pop().unwrap_or(Value::Null),
        }
    };
    let numbers = || -> Vec<f64> {
        let double = |v: &Value| match v {
            Value::Int(v) => *v as f64,
            Value::Bigint(v) => *v as f64,
            Value::Double(v) => *v,
            Value::Decimal(v, scale) => format!("{v}e-{scale}").parse().unwrap(),
            _ => panic!("{v:?}"),
        };
        values().iter().map(double).collect()
    };
    let exact = |numbers: &[f64]| {
        let mut sum = exact::ExactSum::default();
        numbers.iter().for_each(|x| sum.add(*x));
        sum.to_f64()
    };
    let wide = || {
        let unscaled = |v: &Value| match v {
            Value::Int(v) => *v as i128,
            Value::Bigint(v) => *v as i128,
            Value::Decimal(v, _) => *v,
            _ => panic!("{v:?}"),
        };
        values().iter().map(unscaled).try_fold(0i128, |sum, v| sum.checked_add(v))
    };
    let count = values().len();
    let mut sorted_values = if call_has_argument(spec) { values() } else { Vec::new() };
    sorted_values.sort();
    let mut distinct = sorted_values.clone();
    distinct.dedup();
    vec![match spec {
        Spec::CountRows => Value::Bigint(rows.len() as i64),
        Spec::Count => Value::Bigint(count as i64),
        Spec::Sum(SqlType::Int) => Value::Int(wide().unwrap() as i32),
        Spec::Sum(SqlType::Bigint) => Value::Bigint(wide().unwrap() as i64),
        Spec::Sum(SqlType::Double) => Value::Double(exact(&numbers())),
        Spec::Sum(SqlType::Decimal { scale, .. }) => {
            let fits = |sum: &i128| sum.unsigned_abs() < 10u128.pow(38);
            wide().filter(fits).map_or(Value::Null, |sum| Value::Decimal(sum, *scale))
        }
        Spec::Sum(_) => return vec![],
        Spec::Avg(_) if count == 0 => Value::Null,
        Spec::Avg(SqlType::Double) => {
            let mut sum = exact::ExactSum::default();
            numbers().iter().for_each(|x| sum.add(*x));
            Value::Double(match sum.total() {
                Ok(total) => total.over(count.into()).nearest(),
                Err(special) => special,
            })
        }
        Spec::Avg(ty) => match wide() {
            Some(sum) => {
                let scale = if let SqlType::Decimal { scale, .. } = ty { *scale } else { 0 };
                let denominator = num_bigint::BigUint::from(count) * 10u128.pow(scale as u32);
                let total = quotient::Total { digits: sum.into(), exponent: 0 };
                Value::Double(total.over(denominator).nearest())
            }
            None => return vec![],
        },
        Spec::Min => sorted_values.first().cloned().unwrap_or(Value::Null),
        Spec::Max => sorted_values.last().cloned().unwrap_or(Value::Null),
        Spec::Latest { ignore_nulls, n } => by_offset(*ignore_nulls, *n, true),
        Spec::Earliest { ignore_nulls, n } => by_offset(*ignore_nulls, *n, false),
        Spec::CountDistinct => Value::Bigint(distinct.len() as i64),
        Spec::CollectList => Value::Array(sorted.iter().map(&arg).collect()),
        Spec::CollectSet => {
            let mut all: Vec<Value> = Vec::new();
            for row in &sorted {
                let is_new = |all: &[Value]| all.iter().all(|known| packed_of(known) != packed(row));
                if is_new(&all) {
                    all.push(arg(row));
                }
            }
            Value::Array(all)
        }
        Spec::TopK { k } => Value::Array(sorted_values.into_iter().rev().take(*k as usize).collect()),
        Spec::TopKDistinct { k } => Value::Array(distinct.into_iter().rev().take(*k as usize).collect()),
        Spec::Spread { statistic, .. } => {
            let numbers = numbers();
            if numbers.iter().any(|x| !x.is_finite() || x.abs() > 1e100) {
                return vec![];
            }
            let mean = exact(&numbers) / count as f64;
            let squares: f64 = numbers.iter().map(|x| (x - mean) * (x - mean)).sum();
            match (statistic, count) {
                (Statistic::StddevSamp, 0 | 1) => Value::Double(0.0),
                (_, 0 | 1) => Value::Null,
                (Statistic::StddevSamp, _) => Value::Double(squares / (count - 1) as f64),
                _ => Value::Double((squares / (count - 1) as f64).sqrt()),
            }
        }
        Spec::Attr => {
            let mut all: Vec<Value> = sorted.iter().map(&arg).collect();
            all.sort();
            all.dedup();
            if all.len() == 1 { all.remove(0) } else { Value::Null }
        }
        Spec::Histogram => {
            let times = |value: &Value| sorted_values.iter().filter(|other| *other == value).count() as i64;
            Value::Map(distinct.iter().map(|value| (value.clone(), Value::Bigint(times(value)))).collect())
        }
        Spec::SumList(_) => {
            let items = |value: &Value| if let Value::Array(items) = value { items.clone() } else { vec![] };
            let int = |item: &Value| if let Value::Int(v) = item { *v } else { 0 };
            let all = sorted_values.iter().flat_map(items);
            Value::Int(all.fold(0i32, |sum, item| sum.wrapping_add(int(&item))))
        }
        Spec::Percentile { .. } if count == 0 => Value::Null,
        Spec::Percentile { .. } => {
            let mut numbers = numbers();
            numbers.sort_by(f64::total_cmp);
            let place = (count - 1) as f64 * 0.25;
            let low = numbers[place.floor() as usize];
            let high = numbers[place.ceil() as usize];
            // What is greater than this is rounded on the way here.
            if !low.is_finite() || !high.is_finite() || low.abs().max(high.abs()) > 1e9 {
                return vec![];
            }
            Value::Double(low + (high - low) * place.fract())
        }
        Spec::Correlation(_) => return vec![],
        Spec::LatestRow { columns } => {
            let kept = |row: &&&Row| {
                let mut bytes = Vec::new();
                match row.args[call][*columns] {
                    Value::Boolean(true) => packed::pack(&Value::Null, &mut bytes),
                    _ => packed::pack(&Value::Struct(row.args[call][..*columns].to_vec()), &mut bytes),
                }
                (row.position, bytes)
            };
            let row = sorted.iter().max_by_key(|row| kept(row)).unwrap();
            return match row.args[call][*columns] {
                Value::Boolean(true) => vec![Value::Null; *columns],
                _ => row.args[call][..*columns].to_vec(),
            };
        }
    }]
}

fn call_has_argument(spec: &Spec) -> bool {
    !matches!(spec, Spec::CountRows | Spec::LatestRow { .. })
}

fn close(a: &Value, b: &Value, spec: &Spec) -> bool {
    match (spec, a, b) {
        (Spec::Spread { .. } | Spec::Percentile { .. }, Value::Double(x), Value::Double(y)) => {
            a == b || (x - y).abs() <= 1e-6 * y.abs().max(1.0)
        }
        _ => a == b,
    }
}

fn check(seed: u64) {
    let input = Input::random(seed);
    let (groups, dropped) = in_batches(&input);
    let (pieces, dropped_too) = in_pieces(&input, seed ^ 0xabcdef);
    assert_eq!(groups, pieces, "seed {seed}: bytes depend on the batches");
    let mut expected: BTreeMap<Key, Vec<&Row>> = BTreeMap::new();
    let mut without_key = 0;
    for row in input.batches.iter().flat_map(|batch| &batch.0) {
        if row.keys.iter().any(Value::is_null) {
            without_key += 1;
        } else {
            expected.entry(encode_row(&row.keys)).or_default().push(row);
        }
    }
    assert_eq!((dropped, dropped_too), (without_key, without_key));
    assert!(groups.keys().eq(expected.keys()), "seed {seed}: other groups");
    let specs = input.specs();
    for (key, rows) in expected {
        let (state, elements) = &groups[&key];
        let elements: Vec<(Element, State)> = elements.iter().map(|(e, s)| (e.clone(), s.clone())).collect();
        assert_eq!(state.rows(), rows.len() as i64);
        assert_eq!(state.rowtime(), rows.iter().map(|row| row.rowtime).max());
        let mut results = finish(&specs, state, &elements).into_iter();
        for (call, spec) in specs.iter().enumerate() {
            let result: Vec<Value> = results.by_ref().take(spec.results()).collect();
            let wanted = oracle_of(spec, &rows, call);
            let same = wanted.iter().zip(&result).all(|(a, b)| close(b, a, spec));
            assert!(same, "seed {seed}, {spec} of {:?}: {result:?}, not {wanted:?}", input.calls[call].1);
        }
        check_rows(&specs, &rows, &finish(&specs, state, &elements));
    }
}

fn oracle_of(spec: &Spec, rows: &[&Row], call: usize) -> Vec<Value> {
    if *spec == Spec::CountRows { vec![Value::Bigint(rows.len() as i64)] } else { oracle(spec, rows, call) }
}

/// Rows one by one, with some added and taken back, agree where order does not matter.
fn check_rows(specs: &[Spec], rows: &[&Row], finished: &[Value]) {
    let mut sorted: Vec<&&Row> = rows.iter().collect();
    sorted.sort_by_key(|row| row.position);
    let flat: Vec<Vec<Value>> = sorted.iter().map(|row| row.args.concat()).collect();
    let mut given: Vec<(&[Value], i64)> = flat.iter().map(|row| (&row[..], 1)).collect();
    let lists = specs.contains(&Spec::CollectList);
    if let (false, Some(row)) = (lists, flat.first()) {
        given.extend([(&row[..], 2), (&row[..], -2)]);
    }
    let mut results = over_rows(specs, &given).into_iter().zip(finished);
    for spec in specs {
        for (result, finished) in results.by_ref().take(spec.results()) {
            if !order_sensitive(spec) && !matches!(spec, Spec::CollectList | Spec::CollectSet) {
                assert!(close(&result, finished, spec), "{spec}: {result:?}, not {finished:?}");
            }
        }
    }
}

#[test]
fn random_inputs_agree_with_the_oracle() {
    (0..3_000).for_each(check);
}

proptest! {
    #[test]
    fn corrupt_states_do_no_harm(
        a in proptest::collection::vec(any::<u8>(), 0..60),
        b in proptest::collection::vec(any::<u8>(), 0..60),
    ) {
        let (mut a, b) = (State(a.into()), State(b.into()));
        a.merge(&b);
        let twin = a.clone();
        a.merge(&twin);
        let specs: Vec<Spec> = calls().into_iter().map(|call| call.0).collect();
        finish(&specs, &a, &[(Element(b.0.clone()), b.clone())]);
        row_deleted(&specs, &a);
    }

    #[test]
    fn damaged_states_do_no_harm(seed in any::<u64>(), at in any::<usize>(), byte in any::<u8>()) {
        let input = Input::random(seed);
        let specs = input.specs();
        for (mut state, _) in in_batches(&input).0.into_values() {
            let mut damaged = state.clone();
            let len = damaged.0.len();
            damaged.0[at % len] = byte;
            finish(&specs, &damaged, &[]);
            state.merge(&damaged);
            damaged.merge(&state);
            finish(&specs, &damaged, &[]);
        }
    }
}

#[test]
fn results_of_nothing() {
    let specs = [
        Spec::CountRows,
        Spec::Count,
        Spec::Sum(SqlType::Int),
        Spec::Sum(SqlType::Double),
        Spec::Avg(SqlType::Int),
        Spec::Min,
        Spec::Latest { ignore_nulls: true, n: None },
        Spec::CollectSet,
        Spec::Spread { of: SqlType::Int, statistic: Statistic::Deviation },
        Spec::Spread { of: SqlType::Int, statistic: Statistic::StddevSample },
        Spec::Attr,
        Spec::SumList(SqlType::Bigint),
        Spec::Percentile { of: SqlType::Int, digits: 5, scale: 1 },
        Spec::LatestRow { columns: 2 },
    ];
    let expected = [
        Value::Bigint(0),
        Value::Bigint(0),
        Value::Int(0),
        Value::Double(0.0),
        Value::Null,
        Value::Null,
        Value::Null,
        Value::Array(vec![]),
        Value::Null,
        Value::Double(0.0),
        Value::Null,
        Value::Bigint(0),
        Value::Null,
        Value::Null,
        Value::Null,
    ];
    let nothing = State(Box::new([]));
    assert_eq!(finish(&specs, &nothing, &[]), expected);
    assert_eq!(over_rows(&specs, &[]), expected);
    assert!(row_deleted(&specs, &nothing));
}

/// Over rows one by one, with how often each is added.
fn over_rows(specs: &[Spec], rows: &[(&[Value], i64)]) -> Vec<Value> {
    let mut present = Present::new(specs);
    rows.iter().for_each(|(row, times)| present.add(specs, row, 0, *times));
    present.results(specs)
}

/// One call over rows of one column.
fn over(spec: Spec, rows: &[Value]) -> Value {
    let rows: Vec<[Value; 1]> = rows.iter().map(|value| [value.clone()]).collect();
    let given: Vec<(&[Value], i64)> = rows.iter().map(|row| (&row[..], 1)).collect();
    over_rows(&[spec], &given).remove(0)
}

/// The expected values are those of Python's `fractions` and `decimal`, rounded once.
#[test]
fn statistics_are_exact() {
    let doubles = |all: &[f64]| all.iter().map(|x| Value::Double(*x)).collect::<Vec<_>>();
    let decimal = SqlType::Decimal { precision: 10, scale: 2 };
    let decimals = |all: &[i128]| all.iter().map(|x| Value::Decimal(*x, 2)).collect::<Vec<_>>();
    let spread = |of: &SqlType, statistic| Spec::Spread { of: of.clone(), statistic };
    for (spec, rows, expected) in [
        (Spec::Avg(decimal.clone()), decimals(&[10, 10, 10]), 0.1),
        (
            Spec::Avg(SqlType::Bigint),
            vec![Value::Bigint(i64::MAX), Value::Bigint(i64::MAX - 3)],
            9_223_372_036_854_775_806.0,
        ),
        (Spec::Avg(SqlType::Double), doubles(&[0.1, 0.2, 0.3]), 0.2),
        (Spec::Avg(SqlType::Double), doubles(&[f64::MAX, f64::MAX, f64::MAX]), f64::MAX),
        (
            spread(&SqlType::Double, Statistic::Deviation),
            doubles(&[1e14 + 4.0, 1e14 + 7.0, 1e14 + 13.0, 1e14 + 16.0]),
            30f64.sqrt(),
        ),
        (
            spread(&SqlType::Double, Statistic::Variance),
            doubles(&[1e14 + 4.0, 1e14 + 7.0, 1e14 + 13.0, 1e14 + 16.0]),
            30.0,
        ),
        (spread(&SqlType::Double, Statistic::PopulationVariance), doubles(&[1.0, 2.0, 3.0, 4.0]), 1.25),
        (spread(&SqlType::Double, Statistic::PopulationDeviation), doubles(&[7.0]), 0.0),
        (spread(&SqlType::Double, Statistic::Deviation), doubles(&[1e200, 3e200]), 1.414_213_562_373_095e200),
        (spread(&SqlType::Double, Statistic::Variance), doubles(&[1e200, 3e200]), f64::INFINITY),
        (
            spread(&SqlType::Double, Statistic::Deviation),
            doubles(&[1e-300, 3e-300]),
            1.414_213_562_373_095e-300,
        ),
        (spread(&SqlType::Double, Statistic::StddevSample), doubles(&[5.0]), 0.0),
        (spread(&SqlType::Double, Statistic::StddevSamp), doubles(&[10.0, 12.0]), 2.0),
        (spread(&decimal, Statistic::Variance), decimals(&[10, 20, 40]), 0.023_333_333_333_333_334),
        (Spec::Percentile { of: decimal.clone(), digits: 5, scale: 1 }, decimals(&[10, 30, 20, 40]), 0.25),
        (
            Spec::Percentile { of: SqlType::Bigint, digits: 1, scale: 0 },
            vec![Value::Bigint(3), Value::Bigint(5)],
            5.0,
        ),
    ] {
        let found = over(spec.clone(), &rows);
        let near = matches!(found, Value::Double(x) if x == expected || (x / expected - 1.0).abs() < 3e-16);
        assert!(near, "{spec} of {rows:?}: {found:?}, expected {expected:?}");
    }
    let few = over(spread(&SqlType::Double, Statistic::Deviation), &doubles(&[1.0]));
    assert_eq!(few, Value::Null);
}

#[test]
fn correlations() {
    let pairs = |all: &[(i32, i32)]| -> Vec<Value> {
        all.iter().map(|(x, y)| Value::Struct(vec![Value::Int(*x), Value::Int(*y)])).collect()
    };
    let spec = || Spec::Correlation(SqlType::Int);
    assert_eq!(over(spec(), &pairs(&[(1, 8), (-1, -2), (-4, -1)])), Value::Double(0.745_528_408_878_016_7));
    assert_eq!(over(spec(), &pairs(&[(1, 2), (2, 4), (7, 14)])), Value::Double(1.0));
    assert_eq!(over(spec(), &pairs(&[(1, 2), (2, 1)])), Value::Double(-1.0));
    for few in [&[(1, 2)][..], &[(1, 2), (1, 3)], &[]] {
        assert!(matches!(over(spec(), &pairs(few)), Value::Double(x) if x.is_nan()));
    }
    // Batches give what rows give.
    let rows = pairs(&[(1, 8), (-1, -2), (-4, -1)]);
    let field = |name: &str| StructField { name: name.into(), ty: SqlType::Int };
    let ty = SqlType::Struct(vec![field("x"), field("y")]);
    let mut aggregator = PreAggregator::new(&[spec()], &[vec![ty.clone()]]);
    let keys = [Column::Const(Value::array(&SqlType::Int, [Value::Int(1)].iter()))];
    let mut state = State(Box::new([]));
    for cut in [&rows[..1], &rows[1..]] {
        let args = vec![vec![Column::Array(Value::array(&ty, cut.iter()))]];
        aggregator.add(&keys, &args, &Origin::none(cut.len()), cut.len());
        aggregator.flush(&mut |_, part, _| state.merge(&part));
    }
    assert_eq!(finish(&[spec()], &state, &[]), [over(spec(), &rows)]);
}

#[test]
fn a_deleted_row_comes_back_with_a_later_one() {
    let specs = [Spec::LatestRow { columns: 1 }];
    let types = [vec![SqlType::Int, SqlType::Boolean]];
    let state = |offset: i64, value: i32, deleted: bool| {
        let mut aggregator = PreAggregator::new(&specs, &types);
        let column = |ty: &SqlType, value: Value| Column::Const(Value::array(ty, [value].iter()));
        let args = vec![vec![
            column(&SqlType::Int, Value::Int(value)),
            column(&SqlType::Boolean, Value::Boolean(deleted)),
        ]];
        let keys = [column(&SqlType::Int, Value::Int(1))];
        let origin = Origin { rowtime: Timestamps::All(5), offsets: vec![offset].into(), ..Origin::none(1) };
        aggregator.add(&keys, &args, &origin, 1);
        let mut states = Vec::new();
        aggregator.flush(&mut |_, state, _| states.push(state));
        states.remove(0)
    };
    let mut row = state(1, 10, false);
    assert!(!row_deleted(&specs, &row));
    row.merge(&state(2, 10, true));
    assert!(row_deleted(&specs, &row));
    assert_eq!(finish(&specs, &row, &[]), [Value::Null]);
    row.merge(&state(1, 11, false));
    assert!(row_deleted(&specs, &row));
    row.merge(&state(3, 12, false));
    assert_eq!(finish(&specs, &row, &[]), [Value::Int(12)]);
}

#[test]
fn what_expires_leaves_nothing_and_does_not_touch_the_rest() {
    for seed in 0..200 {
        let input = Input::random(seed);
        for (state, elements) in in_batches(&input).0.into_values() {
            for state in [state].into_iter().chain(elements.into_values()) {
                let mut left = state.clone();
                left.merge(&State::expiring(state.rows()));
                assert!(left.is_nothing() && !state.is_nothing(), "seed {seed}");
                // In whatever order the two meet, and whatever else they meet.
                let mut other_way = State::expiring(state.rows());
                other_way.merge(&state);
                assert_eq!(other_way, left);
                let mut twice = state.clone();
                twice.merge(&other_way);
                assert_eq!(twice.rows(), state.rows());
            }
        }
    }
}
