//! Random expressions on random rows against an interpreter that works on single values.
//!
//! The interpreter shares no code with the kernels: it goes row by row, lazily, by the definitions.

use super::*;
use crate::expr::{ExprKind as K, Projection};
use std::cmp::Ordering;
use std::collections::BTreeSet;

/// splitmix64
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }

    fn pick<T: Clone>(&mut self, items: &[T]) -> T {
        items[self.below(items.len())].clone()
    }

    fn value(&mut self, ty: &SqlType) -> Value {
        if self.below(5) == 0 {
            return Value::Null;
        }
        match ty {
            SqlType::Boolean => Value::Boolean(self.below(2) == 0),
            SqlType::Int => Value::Int(self.pick(&[0, 1, 2, 3, -1, -7, 100, i32::MAX, i32::MIN])),
            SqlType::Bigint => Value::Bigint(self.pick(&[0, 1, 2, -3, 3_000_000_000, i64::MAX, i64::MIN])),
            SqlType::Double => {
                Value::Double(self.pick(&[0.0, -0.0, 1.5, -2.5, 1e10, 1e300, f64::NAN, f64::INFINITY, 3.0]))
            }
            SqlType::Decimal { scale, .. } => {
                Value::Decimal(self.pick(&[0, 1, -1, 12345, -99999, 50, 1000]), *scale)
            }
            SqlType::Varchar => Value::text(self.pick(&[
                "",
                "a",
                "12",
                " -3 ",
                "1.5",
                "Leeds",
                "Leeds Bradford Interchange",
                "Leeds Bradford Airport",
                "true",
                "abc",
                "NaN",
            ])),
            _ => Value::Null,
        }
    }
}

const TYPES: [SqlType; 6] = [
    SqlType::Boolean,
    SqlType::Int,
    SqlType::Bigint,
    SqlType::Double,
    SqlType::Decimal { precision: 5, scale: 2 },
    SqlType::Varchar,
];

/// A random bound expression of a type.
fn generate(random: &mut Random, ty: &SqlType, depth: usize) -> Expr {
    let make = |kind| Expr { kind, ty: ty.clone() };
    if depth == 0 || random.below(6) == 0 {
        let columns: Vec<usize> =
            schema().columns.iter().enumerate().filter(|(_, c)| c.ty == *ty).map(|(i, _)| i).collect();
        return match columns.is_empty() || random.below(3) == 0 {
            true => make(K::Literal(random.value(ty))),
            false => make(K::Column(random.pick(&columns))),
        };
    }
    let sub = |random: &mut Random, ty: &SqlType| Box::new(generate(random, ty, depth - 1));
    match random.below(4) {
        0 => {
            let branches = (0..1 + random.below(2))
                .map(|_| (*sub(random, &SqlType::Boolean), *sub(random, ty)))
                .collect();
            let otherwise = (random.below(3) > 0).then(|| sub(random, ty));
            return make(K::Case { branches, otherwise });
        }
        1 if *ty != SqlType::Boolean => {
            let from = match ty {
                SqlType::Varchar => random.pick(&TYPES),
                _ => random.pick(&TYPES[1..]),
            };
            if from != *ty {
                return make(K::Cast(sub(random, &from)));
            }
        }
        _ => {}
    }
    if *ty == SqlType::Boolean {
        return generate_condition(random, depth);
    }
    if random.below(6) == 0 && *ty != SqlType::Varchar {
        return make(K::Negate(sub(random, ty)));
    }
    let op = match ty {
        SqlType::Varchar => random.pick(&[BinaryOp::Plus, BinaryOp::Concat]),
        _ => random.pick(&[
            BinaryOp::Plus,
            BinaryOp::Minus,
            BinaryOp::Multiply,
            BinaryOp::Divide,
            BinaryOp::Modulo,
        ]),
    };
    let (left, right) = (sub(random, ty), sub(random, ty));
    match ty {
        // The result of an operation has another type: CAST brings it back.
        SqlType::Decimal { precision, scale } => {
            let result = crate::expr::decimal::result_type(op, (*precision, *scale), (*precision, *scale));
            make(K::Cast(Box::new(Expr { kind: K::Binary { op, left, right }, ty: result })))
        }
        _ => make(K::Binary { op, left, right }),
    }
}

fn generate_condition(random: &mut Random, depth: usize) -> Expr {
    let make = |kind| Expr { kind, ty: SqlType::Boolean };
    let sub = |random: &mut Random, ty: &SqlType| Box::new(generate(random, ty, depth - 1));
    let ty = random.pick(&TYPES);
    match random.below(6) {
        0 => make(K::Not(sub(random, &SqlType::Boolean))),
        1 => make(K::IsNull { operand: sub(random, &ty), negated: random.below(2) == 0 }),
        2 => {
            let list = (0..1 + random.below(12)).map(|_| *sub(random, &ty)).collect();
            make(K::In { operand: sub(random, &ty), list, negated: random.below(2) == 0 })
        }
        3 | 4 => {
            let op = random.pick(&[BinaryOp::And, BinaryOp::Or]);
            make(K::Binary {
                op,
                left: sub(random, &SqlType::Boolean),
                right: sub(random, &SqlType::Boolean),
            })
        }
        _ => {
            let ordered = [
                BinaryOp::Eq,
                BinaryOp::NotEq,
                BinaryOp::IsDistinctFrom,
                BinaryOp::IsNotDistinctFrom,
                BinaryOp::Less,
                BinaryOp::LessEq,
                BinaryOp::Greater,
                BinaryOp::GreaterEq,
            ];
            let op = random.pick(if ty == SqlType::Boolean { &ordered[..4] } else { &ordered[..] });
            make(K::Binary { op, left: sub(random, &ty), right: sub(random, &ty) })
        }
    }
}

/// One row, one value at a time.
struct Interpreter<'a> {
    row: &'a [Value],
    notes: Vec<String>,
}

impl Interpreter<'_> {
    fn fail(&mut self, reason: String) -> Value {
        self.notes.push(reason);
        Value::Null
    }

    fn holds(&mut self, expr: &Expr) -> bool {
        matches!(self.eval(expr), Value::Boolean(true))
    }

    fn eval(&mut self, expr: &Expr) -> Value {
        match &expr.kind {
            K::Column(i) => self.row[*i].clone(),
            K::Literal(value) => value.clone(),
            K::Not(operand) => match self.eval(operand) {
                Value::Boolean(v) => Value::Boolean(!v),
                _ => Value::Null,
            },
            K::Negate(operand) => match self.eval(operand) {
                Value::Int(v) => Value::Int(v.wrapping_neg()),
                Value::Bigint(v) => Value::Bigint(v.wrapping_neg()),
                Value::Double(v) => Value::Double(-v),
                Value::Decimal(v, s) => Value::Decimal(-v, s),
                _ => Value::Null,
            },
            K::IsNull { operand, negated } => Value::Boolean(self.eval(operand).is_null() != *negated),
            K::Binary { op: BinaryOp::And, left, right } => {
                Value::Boolean(self.holds(left) && self.holds(right))
            }
            K::Binary { op: BinaryOp::Or, left, right } => {
                Value::Boolean(self.holds(left) || self.holds(right))
            }
            K::Binary { op, left, right } => {
                let (a, b) = (self.eval(left), self.eval(right));
                match expr.ty == SqlType::Boolean {
                    true => Value::Boolean(compares(*op, &a, &b)),
                    false => self.arithmetic(*op, a, b, &expr.ty),
                }
            }
            K::In { operand, list, negated } => {
                let value = self.eval(operand);
                let items: Vec<Value> = list.iter().map(|item| self.eval(item)).collect();
                let found = items.iter().any(|item| compares(BinaryOp::Eq, &value, item));
                Value::Boolean(found != *negated)
            }
            K::Case { branches, otherwise } => {
                for (when, then) in branches {
                    if self.holds(when) {
                        return self.eval(then);
                    }
                }
                otherwise.as_ref().map_or(Value::Null, |e| self.eval(e))
            }
            K::Cast(operand) => {
                let value = self.eval(operand);
                self.cast(value, &expr.ty)
            }
            other => panic!("not generated: {other:?}"),
        }
    }

    fn arithmetic(&mut self, op: BinaryOp, a: Value, b: Value, ty: &SqlType) -> Value {
        let by_zero = |a: &dyn std::fmt::Display, b: &dyn std::fmt::Display| {
            format!("division by zero: {a} {} {b}", op.symbol())
        };
        match (a, b) {
            (Value::Null, _) | (_, Value::Null) => Value::Null,
            (Value::Int(a), Value::Int(b)) => {
                // Computed wide, then cut to 32 bits: what wrapping means.
                match exact(op, a as i128, b as i128) {
                    Some(v) => Value::Int(v as i32),
                    None => self.fail(by_zero(&a, &b)),
                }
            }
            (Value::Bigint(a), Value::Bigint(b)) => match exact(op, a as i128, b as i128) {
                Some(v) => Value::Bigint(v as i64),
                None => self.fail(by_zero(&a, &b)),
            },
            (Value::Double(a), Value::Double(b)) => Value::Double(match op {
                BinaryOp::Plus => a + b,
                BinaryOp::Minus => a - b,
                BinaryOp::Multiply => a * b,
                BinaryOp::Divide => a / b,
                _ => a % b,
            }),
            (Value::Varchar(a), Value::Varchar(b)) => Value::text(&format!("{a}{b}")),
            (Value::Decimal(a, s), Value::Decimal(b, t)) => {
                let SqlType::Decimal { scale, .. } = ty else { panic!("{ty}") };
                let unit = |n: u8| 10i128.pow(n as u32);
                let (shown_a, shown_b) = (plain(a, s), plain(b, t));
                // All operands here have scale 2, so that these are the definitions.
                let result = match op {
                    BinaryOp::Multiply => Some(a * b),
                    BinaryOp::Divide => (b != 0).then(|| half_up(a * unit(*scale + t - s), b)),
                    _ => exact(op, a, b),
                };
                match result {
                    Some(v) => Value::Decimal(v, *scale),
                    None => self.fail(by_zero(&shown_a, &shown_b)),
                }
            }
            (a, b) => panic!("{a:?} {op:?} {b:?}"),
        }
    }

    fn cast(&mut self, value: Value, ty: &SqlType) -> Value {
        if value.is_null() {
            return Value::Null;
        }
        let text = print(&value);
        if let Value::Varchar(said) = &value {
            let said = said.trim();
            let parsed = match ty {
                SqlType::Int => said.parse().ok().map(Value::Int),
                SqlType::Bigint => said.parse().ok().map(Value::Bigint),
                SqlType::Double => said.parse().ok().map(Value::Double),
                SqlType::Decimal { scale, .. } => decimal_of(said, *scale),
                _ => panic!("{ty}"),
            };
            // A note shows 80 characters of a long text.
            let shown: String = text.chars().take(80).collect();
            let more = if shown.len() < text.len() { "…" } else { "" };
            return parsed.unwrap_or_else(|| self.fail(format!("CAST: '{shown}{more}' is not {ty}")));
        }
        let result = match (&value, ty) {
            (_, SqlType::Varchar) => Some(Value::text(&text)),
            (Value::Int(v), SqlType::Bigint) => Some(Value::Bigint(*v as i64)),
            (Value::Int(v), SqlType::Double) => Some(Value::Double(*v as f64)),
            (Value::Bigint(v), SqlType::Int) => Some(Value::Int(*v as i32)),
            (Value::Bigint(v), SqlType::Double) => Some(Value::Double(*v as f64)),
            (Value::Double(v), SqlType::Int) => (v.trunc() >= i32::MIN as f64
                && v.trunc() <= i32::MAX as f64)
                .then_some(Value::Int(*v as i32)),
            (Value::Double(v), SqlType::Bigint) => {
                let v = v.trunc();
                (-9.223372036854776e18..9.223372036854776e18).contains(&v).then_some(Value::Bigint(v as i64))
            }
            (Value::Decimal(v, s), SqlType::Int) => {
                i32::try_from(v / 10i128.pow(*s as u32)).ok().map(Value::Int)
            }
            (Value::Decimal(v, s), SqlType::Bigint) => {
                i64::try_from(v / 10i128.pow(*s as u32)).ok().map(Value::Bigint)
            }
            (Value::Decimal(v, s), SqlType::Double) => plain(*v, *s).parse().ok().map(Value::Double),
            (Value::Decimal(v, s), SqlType::Decimal { precision, scale }) => {
                // Down or up to the scale, then into the precision.
                let digits = match scale >= s {
                    true => v * 10i128.pow((scale - s) as u32),
                    false => half_up(*v, 10i128.pow((s - scale) as u32)),
                };
                (digits.abs() < 10i128.pow(*precision as u32)).then_some(Value::Decimal(digits, *scale))
            }
            (Value::Double(v), SqlType::Decimal { scale, .. }) => {
                if v.is_finite() {
                    decimal_of(&format!("{v}"), *scale)
                } else {
                    None
                }
            }
            (_, SqlType::Decimal { scale, .. }) => decimal_of(&text, *scale),
            _ => panic!("{value:?} AS {ty}"),
        };
        result.unwrap_or_else(|| self.fail(format!("CAST: {text} does not fit {ty}")))
    }
}

fn exact(op: BinaryOp, a: i128, b: i128) -> Option<i128> {
    match op {
        BinaryOp::Plus => Some(a + b),
        BinaryOp::Minus => Some(a - b),
        BinaryOp::Multiply => Some(a * b),
        BinaryOp::Divide => a.checked_div(b),
        _ => a.checked_rem(b),
    }
}

/// Adds half a unit to the size, then cuts.
fn half_up(a: i128, b: i128) -> i128 {
    let size = (2 * a.abs() + b.abs()) / (2 * b.abs());
    if (a < 0) != (b < 0) { -size } else { size }
}

fn plain(digits: i128, scale: u8) -> String {
    let unit = 10i128.pow(scale as u32);
    let sign = if digits < 0 { "-" } else { "" };
    match scale {
        0 => digits.to_string(),
        _ => format!("{sign}{}.{:0w$}", digits.abs() / unit, digits.abs() % unit, w = scale as usize),
    }
}

fn print(value: &Value) -> String {
    match value {
        Value::Boolean(v) => v.to_string(),
        Value::Int(v) => v.to_string(),
        Value::Bigint(v) => v.to_string(),
        Value::Decimal(v, s) => plain(*v, *s),
        Value::Varchar(v) => v.to_string(),
        Value::Double(v) => crate::number_text::double(*v),
        other => panic!("{other:?}"),
    }
}

/// Into DECIMAL(5, scale) from plain text.
fn decimal_of(text: &str, scale: u8) -> Option<Value> {
    if text.contains('E') {
        return decimal_of(&format!("{}", text.parse::<f64>().ok()?), scale);
    }
    let negative = text.starts_with('-');
    let body = text.trim_start_matches('-');
    if body.is_empty()
        || body.matches('.').count() > 1
        || !body.bytes().all(|b| b.is_ascii_digit() || b == b'.')
    {
        return None;
    }
    let (whole, fraction) = body.split_once('.').unwrap_or((body, ""));
    let padded = format!("{fraction:0<width$}", width = scale as usize + 1);
    let (kept, next) = padded.split_at(scale as usize);
    let digits: i128 = format!("0{whole}{kept}").parse().ok()?;
    let digits = digits + (next.as_bytes()[0] >= b'5') as i128;
    (digits < 100_000).then_some(Value::Decimal(if negative { -digits } else { digits }, scale))
}

fn compares(op: BinaryOp, a: &Value, b: &Value) -> bool {
    let nan = |v: &Value| matches!(v, Value::Double(v) if v.is_nan());
    match op {
        BinaryOp::IsNotDistinctFrom => return a == b,
        BinaryOp::IsDistinctFrom => return a != b,
        _ if a.is_null() || b.is_null() => return false,
        _ if nan(a) || nan(b) => return op == BinaryOp::NotEq,
        _ => {}
    }
    let order = match (a, b) {
        // At the larger scale.
        (Value::Decimal(a, s), Value::Decimal(b, t)) => {
            (a * 10i128.pow(*t as u32)).cmp(&(b * 10i128.pow(*s as u32)))
        }
        _ => a.cmp(b),
    };
    match op {
        BinaryOp::Eq => order == Ordering::Equal,
        BinaryOp::NotEq => order != Ordering::Equal,
        BinaryOp::Less => order == Ordering::Less,
        BinaryOp::LessEq => order != Ordering::Greater,
        BinaryOp::Greater => order == Ordering::Greater,
        _ => order != Ordering::Less,
    }
}

/// Equal to the bit, except that a NaN is a NaN.
fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Double(a), Value::Double(b)) => a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan()),
        (Value::Decimal(a, s), Value::Decimal(b, t)) => a == b && s == t,
        _ => a == b,
    }
}

#[test]
fn batches_agree_with_single_values() {
    for seed in 0..3_000 {
        let mut random = Random(seed);
        let schema = schema();
        let mut rows: Vec<Vec<Value>> = (0..random.below(24))
            .map(|_| schema.columns.iter().map(|c| random.value(&c.ty)).collect())
            .collect();
        let constant: Vec<usize> = (0..schema.len()).filter(|_| random.below(4) == 0).collect();
        for i in &constant {
            let first = rows.first().map(|row| row[*i].clone());
            rows.iter_mut().for_each(|row| row[*i] = first.clone().unwrap_or(Value::Null));
        }
        let exprs: Vec<Expr> = (0..1 + random.below(3))
            .map(|_| {
                let ty = random.pick(&TYPES);
                generate(&mut random, &ty, 4)
            })
            .collect();

        let mut notes = Notes::default();
        let columns = Projection::compile(&exprs).unwrap().eval(&batch(&rows, &constant), &mut notes);
        let mut expected = BTreeSet::new();
        for (i, row) in rows.iter().enumerate() {
            for (expr, column) in exprs.iter().zip(&columns) {
                let mut interpreter = Interpreter { row, notes: Vec::new() };
                let want = interpreter.eval(expr);
                let got = column.value(i);
                assert!(same(&got, &want), "seed {seed} row {i} {row:?}\n{expr}\n{got:?} is not {want:?}");
                expected.extend(interpreter.notes.into_iter().map(|reason| (i, reason)));
            }
        }
        if notes.notes.len() < Notes::CAP {
            let got: BTreeSet<_> = notes.notes.into_iter().map(|n| (n.row, n.reason)).collect();
            let shown: Vec<String> = exprs.iter().map(|e| e.to_string()).collect();
            assert_eq!(got, expected, "seed {seed}\n{}", shown.join("\n"));
        }
    }
}
