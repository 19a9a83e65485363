//! Arrays and maps. Their types are known when a call is bound, so kernels work on values.

use super::call::*;
use crate::expr::cast;
use crate::expr::function::{Arg, Binding, Category, Function};
use crate::types::{SqlType, StructField};
use crate::value::Value;
use std::collections::{BTreeMap, BTreeSet};

const fn collection(
    name: &'static str,
    usage: &'static str,
    summary: &'static str,
    resolve: fn(&[Arg]) -> Resolved,
) -> Function {
    Function { name, category: Category::Collection, usage, summary, binding: Binding::Plain, resolve }
}

pub const ARRAY_CONCAT: Function = collection(
    "ARRAY_CONCAT",
    "ARRAY_CONCAT(array, array) → ARRAY",
    "The items of both; where one is NULL, the other.",
    |args| {
        let ty = two_arrays(args)?;
        values_or_null(args, vec![ty.clone(); 2], ty, |given| match given {
            [Value::Array(a), Value::Array(b)] => some(Value::Array([&a[..], b].concat())),
            [Value::Null, other] | [other, _] => some(other.clone()),
            _ => Ok(None),
        })
    },
);

pub const ARRAY_CONTAINS: Function = collection(
    "ARRAY_CONTAINS",
    "ARRAY_CONTAINS(array, item) → BOOLEAN",
    "Whether the item is in the array; false for a NULL array.",
    |args| {
        let types = array_and_item(args)?;
        values_or_null(args, types, SqlType::Boolean, |given| {
            some(Value::Boolean(matches!(given, [Value::Array(items), item] if items.contains(item))))
        })
    },
);

pub const ARRAY_DISTINCT: Function = collection(
    "ARRAY_DISTINCT",
    "ARRAY_DISTINCT(array) → ARRAY",
    "Every item once, where it came first.",
    |args| {
        let ty = array(args, 0)?;
        on_array(args, ty, |items| some(Value::Array(distinct(items.iter()))))
    },
);

pub const ARRAY_EXCEPT: Function = collection(
    "ARRAY_EXCEPT",
    "ARRAY_EXCEPT(array, without) → ARRAY",
    "Every item of the first once that is not in the second.",
    |args| {
        on_arrays(args, |a, b| {
            let b: BTreeSet<&Value> = b.iter().collect();
            distinct(a.iter().filter(|item| !b.contains(item)))
        })
    },
);

pub const ARRAY_INTERSECT: Function = collection(
    "ARRAY_INTERSECT",
    "ARRAY_INTERSECT(array, array) → ARRAY",
    "Every item of the first once that is in the second too.",
    |args| {
        on_arrays(args, |a, b| {
            let b: BTreeSet<&Value> = b.iter().collect();
            distinct(a.iter().filter(|item| b.contains(item)))
        })
    },
);

pub const ARRAY_UNION: Function =
    collection("ARRAY_UNION", "ARRAY_UNION(array, array) → ARRAY", "Every item of both once.", |args| {
        on_arrays(args, |a, b| distinct(a.iter().chain(b)))
    });

pub const ARRAY_JOIN: Function = collection(
    "ARRAY_JOIN",
    "ARRAY_JOIN(array[, delimiter]) → STRING",
    "The items as text, with a delimiter between them: a comma where none is given, nothing where it is NULL.",
    |args| {
        let ty = array(args, 0)?;
        match &ty {
            SqlType::Array(item) if is_plain(item) => {}
            _ => return misfit(args, 0, "an array of plain values"),
        }
        let types = match args.len() {
            1 => vec![ty],
            2 => vec![ty, SqlType::Varchar],
            _ => return count(args, "1 or 2"),
        };
        values_or_null(args, types, SqlType::Varchar, |given| {
            let delimiter = match given.get(1) {
                Some(Value::Varchar(delimiter)) => delimiter,
                Some(_) => "",
                None => ",",
            };
            let Value::Array(items) = &given[0] else { return Ok(None) };
            let texts: Vec<String> = items.iter().map(cast::text).collect();
            some(Value::Varchar(texts.join(delimiter).into()))
        })
    },
);

pub const ARRAY_LENGTH: Function =
    collection("ARRAY_LENGTH", "ARRAY_LENGTH(array) → INTEGER", "How many items there are.", |args| {
        array(args, 0)?;
        on_array(args, SqlType::Int, |items| some(Value::Int(items.len() as i32)))
    });

pub const ARRAY_MAX: Function = collection(
    "ARRAY_MAX",
    "ARRAY_MAX(array) → the items' type",
    "The greatest item; NULLs are left out.",
    |args| {
        on_array(args, item_of(args)?, |items| Ok(items.iter().filter(|item| !item.is_null()).max().cloned()))
    },
);

pub const ARRAY_MIN: Function = collection(
    "ARRAY_MIN",
    "ARRAY_MIN(array) → the items' type",
    "The least item; NULLs are left out.",
    |args| {
        on_array(args, item_of(args)?, |items| Ok(items.iter().filter(|item| !item.is_null()).min().cloned()))
    },
);

pub const ARRAY_REMOVE: Function = collection(
    "ARRAY_REMOVE",
    "ARRAY_REMOVE(array, item) → ARRAY",
    "The array without the items that equal the given one.",
    |args| {
        let types = array_and_item(args)?;
        let returns = types[0].clone();
        values_or_null(args, types, returns, |given| {
            let [Value::Array(items), unwanted] = given else { return Ok(None) };
            some(Value::Array(items.iter().filter(|item| *item != unwanted).cloned().collect()))
        })
    },
);

pub const ARRAY_SORT: Function = collection(
    "ARRAY_SORT",
    "ARRAY_SORT(array[, direction]) → ARRAY",
    "The items in order, 'ASC' or 'DESC'; NULLs come last.",
    |args| {
        let ty = array(args, 0)?;
        let types = match args.len() {
            1 => vec![ty.clone()],
            2 => vec![ty.clone(), SqlType::Varchar],
            _ => return count(args, "1 or 2"),
        };
        values(args, types, ty, |given| {
            let Value::Array(items) = &given[0] else { return Ok(None) };
            let down =
                if let Some(Value::Varchar(text)) = given.get(1) { is_descending(text)? } else { false };
            let mut items = items.clone();
            items.sort_by(|a, b| {
                let order = if down { b.cmp(a) } else { a.cmp(b) };
                a.is_null().cmp(&b.is_null()).then(order)
            });
            some(Value::Array(items))
        })
    },
);

pub const SLICE: Function = collection(
    "SLICE",
    "SLICE(array, first, last) → ARRAY",
    "The items from one position to another, from 1, both included; NULL outside.",
    |args| {
        let ty = array(args, 0)?;
        values_or_null(args, vec![ty.clone(), SqlType::Int, SqlType::Int], ty, |given| {
            let Value::Array(items) = &given[0] else { return Ok(None) };
            let place = |value: &Value, otherwise| match value {
                Value::Int(n) => usize::try_from(*n).unwrap_or(0),
                _ => otherwise,
            };
            let (first, last) = (place(&given[1], 1), place(&given[2], items.len()));
            let Some(start) = first.checked_sub(1) else { return Ok(None) };
            Ok(items.get(start..last).map(|items| Value::Array(items.to_vec())))
        })
    },
);

pub const AS_MAP: Function = collection(
    "AS_MAP",
    "AS_MAP(keys, values) → MAP",
    "A map of the keys to the values at the same positions; of equal keys the last counts.",
    |args| {
        let types = vec![array(args, 0)?, array(args, 1)?];
        let [SqlType::Array(key), SqlType::Array(value)] = &types[..] else { return count(args, "2") };
        if **key != SqlType::Varchar {
            return misfit(args, 0, "ARRAY<STRING>");
        }
        let returns = SqlType::Map(key.clone(), value.clone());
        values(args, types, returns, |given| {
            let [Value::Array(keys), Value::Array(items)] = given else { return Ok(None) };
            let pairs = keys.iter().zip(items).filter(|(key, _)| !key.is_null());
            some(entries(pairs.map(|(key, item)| (key.clone(), item.clone()))))
        })
    },
);

pub const AS_VALUE: Function = collection(
    "AS_VALUE",
    "AS_VALUE(key) → the argument's type",
    "A copy of a key column among the values.",
    |args| match args {
        [Arg { ty: Some(ty), .. }] => choose(args, vec![(*ty).clone()], 0, |_, _| Some(0)),
        [_] => misfit(args, 0, "a type"),
        _ => count(args, "1"),
    },
);

pub const ENTRIES: Function = collection(
    "ENTRIES",
    "ENTRIES(map, sorted) → ARRAY<STRUCT<K, V>>",
    "The entries of a map, by key where `sorted` is true.",
    |args| {
        let ty = map(args, 0)?;
        let SqlType::Map(key, value) = &ty else { return misfit(args, 0, "a MAP") };
        let field = |name: &str, ty: &SqlType| StructField { name: name.into(), ty: ty.clone() };
        let returns = SqlType::Array(Box::new(SqlType::Struct(vec![field("K", key), field("V", value)])));
        values(args, vec![ty.clone(), SqlType::Boolean], returns, |given| {
            let [Value::Map(entries), Value::Boolean(sorted)] = given else { return Ok(None) };
            let mut entries = entries.clone();
            if *sorted {
                entries.sort();
            }
            some(Value::Array(entries.into_iter().map(|(k, v)| Value::Struct(vec![k, v])).collect()))
        })
    },
);

pub const MAP_KEYS: Function =
    collection("MAP_KEYS", "MAP_KEYS(map) → ARRAY", "The keys of a map.", |args| {
        of_map(args, |entry| &entry.0, |key, _| key)
    });

pub const MAP_VALUES: Function =
    collection("MAP_VALUES", "MAP_VALUES(map) → ARRAY", "The values of a map.", |args| {
        of_map(args, |entry| &entry.1, |_, value| value)
    });

pub const MAP_UNION: Function = collection(
    "MAP_UNION",
    "MAP_UNION(map, map) → MAP",
    "The entries of both; of equal keys the second map's counts. Where one is NULL, the other.",
    |args| {
        let ty = map(args, if args.first().is_some_and(|arg| arg.ty.is_none()) { 1 } else { 0 })?;
        values_or_null(args, vec![ty.clone(); 2], ty, |given| match given {
            [Value::Map(a), Value::Map(b)] => some(entries(a.iter().chain(b).cloned())),
            [Value::Null, other] | [other, _] => some(other.clone()),
            _ => Ok(None),
        })
    },
);

fn array(args: &[Arg], i: usize) -> Result<SqlType, String> {
    match args.get(i).and_then(|arg| arg.ty) {
        Some(ty @ SqlType::Array(_)) => Ok(ty.clone()),
        _ => misfit(args, i, "an ARRAY"),
    }
}

fn map(args: &[Arg], i: usize) -> Result<SqlType, String> {
    match args.get(i).and_then(|arg| arg.ty) {
        Some(ty @ SqlType::Map(..)) => Ok(ty.clone()),
        _ => misfit(args, i, "a MAP"),
    }
}

/// The type of two arrays, of which one may be NULL.
fn two_arrays(args: &[Arg]) -> Result<SqlType, String> {
    array(args, if args.first().is_some_and(|arg| arg.ty.is_none()) { 1 } else { 0 })
}

fn item_of(args: &[Arg]) -> Result<SqlType, String> {
    match array(args, 0)? {
        SqlType::Array(item) if is_plain(&item) => Ok(*item),
        _ => misfit(args, 0, "an array of plain values"),
    }
}

fn array_and_item(args: &[Arg]) -> Result<Vec<SqlType>, String> {
    let ty = array(args, 0)?;
    let SqlType::Array(item) = &ty else { return misfit(args, 0, "an ARRAY") };
    let item = (**item).clone();
    Ok(vec![ty, item])
}

fn is_plain(ty: &SqlType) -> bool {
    !matches!(ty, SqlType::Array(_) | SqlType::Map(..) | SqlType::Struct(_))
}

fn on_array(args: &[Arg], returns: SqlType, f: fn(&[Value]) -> Outcome<Value>) -> Resolved {
    values(args, vec![array(args, 0)?], returns, move |given| match &given[0] {
        Value::Array(items) => f(items),
        _ => Ok(None),
    })
}

/// A function of two arrays.
fn on_arrays(args: &[Arg], f: fn(&[Value], &[Value]) -> Vec<Value>) -> Resolved {
    let ty = two_arrays(args)?;
    values(args, vec![ty.clone(); 2], ty, move |given| {
        let [Value::Array(a), Value::Array(b)] = given else { return Ok(None) };
        some(Value::Array(f(a, b)))
    })
}

fn distinct<'a>(items: impl Iterator<Item = &'a Value>) -> Vec<Value> {
    let mut seen = BTreeSet::new();
    items.filter(|item| seen.insert(*item)).cloned().collect()
}

/// The entries of a map: each key where it came first, with the value that came last.
pub fn entries(pairs: impl Iterator<Item = (Value, Value)>) -> Value {
    let mut places: BTreeMap<Value, usize> = BTreeMap::new();
    let mut entries: Vec<(Value, Value)> = Vec::new();
    for (key, value) in pairs {
        match places.get(&key) {
            Some(&i) => entries[i].1 = value,
            None => {
                places.insert(key.clone(), entries.len());
                entries.push((key, value));
            }
        }
    }
    Value::Map(entries)
}

/// An array made of one side of a map's entries.
fn of_map(
    args: &[Arg],
    side: fn(&(Value, Value)) -> &Value,
    ty: fn(SqlType, SqlType) -> SqlType,
) -> Resolved {
    let given = map(args, 0)?;
    let SqlType::Map(key, value) = given.clone() else { return misfit(args, 0, "a MAP") };
    values(args, vec![given], SqlType::Array(Box::new(ty(*key, *value))), move |given| match &given[0] {
        Value::Map(entries) => some(Value::Array(entries.iter().map(|entry| side(entry).clone()).collect())),
        _ => Ok(None),
    })
}

fn is_descending(direction: &str) -> Result<bool, String> {
    match direction.to_ascii_uppercase().as_str() {
        "ASC" | "ASCENDING" => Ok(false),
        "DESC" | "DESCENDING" => Ok(true),
        _ => Err(format!("ARRAY_SORT: unknown direction {}; hint: 'ASC' or 'DESC'", shown(direction))),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{check, check_errors, list, s};
    use crate::value::Value::{self, *};

    fn ints(items: &[i32]) -> Value {
        Array(items.iter().map(|n| Int(*n)).collect())
    }

    fn map(entries: &[(&str, i32)]) -> Value {
        Map(entries.iter().map(|(k, v)| (s(k), Int(*v))).collect())
    }

    #[test]
    fn arrays() {
        let holed = || Array(vec![Int(3), Null, Int(1)]);
        check(&[
            ("ARRAY_CONCAT", &[ints(&[1, 2]), ints(&[2])], ints(&[1, 2, 2])),
            ("ARRAY_CONCAT", &[ints(&[1]), Null], ints(&[1])),
            ("ARRAY_CONCAT", &[Null, ints(&[1])], ints(&[1])),
            ("ARRAY_CONTAINS", &[ints(&[1, 2]), Int(2)], Boolean(true)),
            ("ARRAY_CONTAINS", &[ints(&[1, 2]), Null], Boolean(false)),
            ("ARRAY_CONTAINS", &[holed(), Null], Boolean(true)),
            ("ARRAY_DISTINCT", &[ints(&[2, 1, 2])], ints(&[2, 1])),
            ("ARRAY_EXCEPT", &[ints(&[1, 2, 1, 3]), ints(&[3])], ints(&[1, 2])),
            ("ARRAY_INTERSECT", &[ints(&[1, 2, 1, 3]), ints(&[3, 1])], ints(&[1, 3])),
            ("ARRAY_UNION", &[ints(&[2, 1]), ints(&[3, 1])], ints(&[2, 1, 3])),
            ("ARRAY_UNION", &[ints(&[2, 1]), Null], Null),
            ("ARRAY_JOIN", &[holed()], s("3,null,1")),
            ("ARRAY_JOIN", &[list(&["a", "b"]), s(" - ")], s("a - b")),
            ("ARRAY_JOIN", &[list(&["a", "b"]), Null], s("ab")),
            ("ARRAY_LENGTH", &[holed()], Int(3)),
            ("ARRAY_MAX", &[holed()], Int(3)),
            ("ARRAY_MIN", &[holed()], Int(1)),
            ("ARRAY_REMOVE", &[holed(), Null], ints(&[3, 1])),
            ("ARRAY_SORT", &[holed()], Array(vec![Int(1), Int(3), Null])),
            ("ARRAY_SORT", &[holed(), s("desc")], Array(vec![Int(3), Int(1), Null])),
            ("SLICE", &[ints(&[1, 2, 3]), Int(2), Int(3)], ints(&[2, 3])),
            ("SLICE", &[ints(&[1, 2, 3]), Int(2), Null], ints(&[2, 3])),
            ("SLICE", &[ints(&[1, 2, 3]), Int(0), Int(9)], Null),
            ("AS_VALUE", &[s("a")], s("a")),
        ]);
        check_errors(&[
            ("ARRAY_LENGTH", &[Int(1)], "argument 1 is INTEGER, needs an ARRAY"),
            ("ARRAY_UNION", &[ints(&[1]), list(&["a"])], "argument 2 is ARRAY<STRING>, needs ARRAY<INTEGER>"),
            ("ARRAY_SORT", &[ints(&[1]), s("up")], "ARRAY_SORT: unknown direction 'up'"),
        ]);
    }

    #[test]
    fn maps() {
        let entry = |k: &str, v: i32| Struct(vec![s(k), Int(v)]);
        check(&[
            ("AS_MAP", &[list(&["a", "b", "c"]), ints(&[1, 2])], map(&[("a", 1), ("b", 2)])),
            (
                "ENTRIES",
                &[map(&[("b", 1), ("a", 2)]), Boolean(true)],
                Array(vec![entry("a", 2), entry("b", 1)]),
            ),
            ("MAP_KEYS", &[map(&[("b", 1), ("a", 2)])], list(&["b", "a"])),
            ("MAP_VALUES", &[map(&[("b", 1), ("a", 2)])], ints(&[1, 2])),
            ("MAP_UNION", &[map(&[("a", 1), ("b", 1)]), map(&[("b", 2)])], map(&[("a", 1), ("b", 2)])),
            ("MAP_UNION", &[Null, map(&[("b", 2)])], map(&[("b", 2)])),
        ]);
    }
}
