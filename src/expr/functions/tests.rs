//! One call a case: the functions against tables of arguments and results.

use super::*;
use crate::batch::Column;
use crate::expr::Notes;
use crate::expr::function::{Arg, Overload};
use crate::types::SqlType;
use crate::value::Value;
use Value::*;
use proptest::prelude::*;
use std::sync::Arc;

/// Resolves a call as the binder does: literals are known where `literal` says so.
fn resolve(name: &str, types: &[Option<SqlType>], literals: &[Option<Value>]) -> Result<Overload, String> {
    let args: Vec<Arg> = types
        .iter()
        .zip(literals)
        .map(|(ty, literal)| Arg { ty: ty.as_ref(), literal: literal.as_ref() })
        .collect();
    (find(name).unwrap_or_else(|| panic!("{name} is not in the list")).resolve)(&args)
}

/// The type of a value; of an empty or NULL value there is none.
pub(super) fn type_of(value: &Value) -> Option<SqlType> {
    Some(match value {
        Null => return None,
        Boolean(_) => SqlType::Boolean,
        Int(_) => SqlType::Int,
        Bigint(_) => SqlType::Bigint,
        Double(_) => SqlType::Double,
        Decimal(_, scale) => SqlType::Decimal { precision: 10, scale: *scale },
        Varchar(_) => SqlType::Varchar,
        Bytes(_) => SqlType::Bytes,
        Date(_) => SqlType::Date,
        Time(_) => SqlType::Time,
        Timestamp(_) => SqlType::Timestamp,
        Array(items) => SqlType::Array(Box::new(items.iter().find_map(type_of)?)),
        Map(entries) => SqlType::Map(
            Box::new(entries.iter().find_map(|e| type_of(&e.0))?),
            Box::new(entries.iter().find_map(|e| type_of(&e.1))?),
        ),
        Struct(_) => return None,
    })
}

/// Widens a number, as a cast would.
fn coerce(value: &Value, ty: &SqlType) -> Value {
    match (value, ty) {
        (Int(n), SqlType::Bigint) => Bigint(*n as i64),
        (Int(n), SqlType::Double) => Double(*n as f64),
        (Bigint(n), SqlType::Double) => Double(*n as f64),
        (Decimal(n, scale), SqlType::Double) => Double(*n as f64 / 10f64.powi(*scale as i32)),
        (other, _) => other.clone(),
    }
}

/// The value or the note; `literal` arguments are constants that are known when the call is bound.
fn run(name: &str, given: &[Value], literal: bool) -> Result<Value, String> {
    let types: Vec<_> = given.iter().map(type_of).collect();
    let known: Vec<_> = given.iter().map(|value| literal.then(|| value.clone())).collect();
    let overload = resolve(name, &types, &known)?;
    // A plan holds the coerced arguments only: they must lead to the same overload.
    let types: Vec<_> = overload.args.iter().cloned().map(Some).collect();
    let again = resolve(name, &types, &known)?;
    assert_eq!((&again.args, &again.returns), (&overload.args, &overload.returns), "{name}{given:?}");
    let coerced: Vec<Value> = given.iter().zip(&overload.args).map(|(v, ty)| coerce(v, ty)).collect();
    let literals: Vec<_> = coerced.iter().map(|value| literal.then(|| value.clone())).collect();
    let mut kernel = (overload.kernel)(&literals)?;
    let columns: Vec<Column> = coerced
        .iter()
        .zip(&overload.args)
        .map(|(value, ty)| match literal {
            true => Column::Const(Value::array(ty, [value].into_iter())),
            false => Column::Array(Value::array(ty, [value, value, value].into_iter())),
        })
        .collect();
    let mut notes = Notes::default();
    let result = kernel.eval(&columns, 3, &mut notes);
    assert_eq!(result.data_type(), &overload.returns.arrow(), "{name}: shape of the result");
    let results: Vec<Value> = (0..3).map(|i| Value::at(&result, i)).collect();
    assert_eq!(results, [results[0].clone(), results[0].clone(), results[0].clone()], "{name}");
    match notes.notes.first() {
        Some(note) => {
            assert!(results[0].is_null() && notes.notes.len() == 3, "{name}: a note goes with NULL");
            assert!(note.reason.starts_with(&format!("{name}: ")), "{} names its function", note.reason);
            Err(note.reason.clone())
        }
        None => Ok(results[0].clone()),
    }
}

/// Each case as columns and as literals: `(function, arguments, value)`.
pub(super) fn check(cases: &[(&str, &[Value], Value)]) {
    for (name, given, expected) in cases {
        for literal in [false, true] {
            let found = run(name, given, literal);
            let same = match (&found, expected) {
                (Ok(Double(found)), Double(expected)) => {
                    (found.is_nan() && expected.is_nan())
                        || found == expected
                        || (found - expected).abs() <= expected.abs() * 1e-14
                }
                (found, expected) => found.as_ref() == Ok(expected),
            };
            assert!(same, "{name}{given:?}: {found:?}, expected {expected:?}");
        }
    }
}

/// Calls that fail in a row or when they are bound: `(function, arguments, part of the reason)`.
pub(super) fn check_errors(cases: &[(&str, &[Value], &str)]) {
    for (name, given, expected) in cases {
        for literal in [false, true] {
            match run(name, given, literal) {
                Err(reason) if reason.contains(expected) => {}
                other => panic!("{name}{given:?}: {other:?}, expected an error with {expected}"),
            }
        }
    }
}

pub(super) fn s(text: &str) -> Value {
    Value::text(text)
}

pub(super) fn b(bytes: &[u8]) -> Value {
    Bytes(bytes.into())
}

pub(super) fn list(texts: &[&str]) -> Value {
    Array(texts.iter().map(|text| s(text)).collect())
}

#[test]
fn the_list_is_sorted_and_described() {
    for pair in ALL.windows(2) {
        assert!(pair[0].name < pair[1].name, "{} before {}", pair[0].name, pair[1].name);
    }
    for f in ALL {
        assert!(find(f.name).is_some());
        assert!(f.usage.lines().all(|line| line.starts_with(&format!("{}(", f.name))), "{}", f.usage);
        assert!(f.usage.lines().all(|line| line.contains(" → ")), "{}", f.usage);
        assert!(f.summary.ends_with('.') && !f.summary.contains('\n'), "{}", f.summary);
    }
}

#[test]
fn no_function_fails_on_any_shape_of_arguments() {
    let given = [
        Null,
        Boolean(true),
        Int(-1),
        Int(i32::MIN),
        Bigint(i64::MIN),
        Double(f64::NAN),
        Double(-1e300),
        Decimal(-15, 1),
        s(""),
        s("é\u{1F600} a1"),
        s("%zz"),
        b(b"\xff\x00"),
        Date(i32::MAX),
        Time(0),
        Timestamp(i64::MAX),
        list(&["a", "b"]),
        Array(vec![Int(1), Null]),
        Map(vec![(s("k"), s("v"))]),
    ];
    for f in ALL {
        let _ = run(f.name, &[], false);
        for a in &given {
            let _ = run(f.name, std::slice::from_ref(a), true);
            for b in &given {
                let _ = run(f.name, &[a.clone(), b.clone()], false);
                for c in &given {
                    let _ = run(f.name, &[a.clone(), b.clone(), c.clone()], true);
                }
            }
        }
    }
}

#[test]
fn errors_of_binding_name_the_argument() {
    check_errors(&[
        ("ABS", &[s("x")], "argument 1 is STRING, needs a number"),
        ("SUBSTRING", &[s("x")], "takes 2 or 3 arguments, not 1"),
        ("UCASE", &[Int(1)], "argument 1 is INTEGER, needs STRING"),
        ("COALESCE", &[Int(1), s("x")], "argument 2 is STRING, needs INTEGER"),
        ("COALESCE", &[Null], "argument 1 is NULL without a type"),
        ("UNIX_TIMESTAMP", &[], "takes 1 argument, not 0"),
    ]);
}

#[test]
fn a_constant_is_not_expanded() {
    let overload =
        resolve("CONCAT", &[Some(SqlType::Varchar), Some(SqlType::Varchar)], &[None, None]).unwrap();
    let mut kernel = (overload.kernel)(&[None, None]).unwrap();
    let column = Column::Array(Value::array(&SqlType::Varchar, [s("a"), Null].iter()));
    let constant = Column::Const(Value::array(&SqlType::Varchar, [s("!")].iter()));
    let result = kernel.eval(&[column, constant], 2, &mut Notes::default());
    assert_eq!([Value::at(&result, 0), Value::at(&result, 1)], [s("a!"), s("!")]);
    assert_eq!(Arc::strong_count(&result), 1);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn any_text_is_survived(a in "\\PC{0,12}", b in "[-a-z0-9é.*:/%?&#{}\\[\\]\"',$\\\\]{0,8}", n: i32, bytes: Vec<u8>) {
        for f in ALL {
            for given in [vec![s(&a), s(&b)], vec![s(&a), s(&b), s(&b)], vec![s(&a), Int(n), s(&b)], vec![s(&a)]] {
                let _ = run(f.name, &given, false);
            }
            for given in [vec![s(&a), Int(n % 20)], vec![s(&a), s(&b), Int(n % 5)], vec![super::tests::b(&bytes), s("utf8")]] {
                let _ = run(f.name, &given, false);
            }
        }
    }
}
