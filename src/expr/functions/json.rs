//! JSON held in text, and values as JSON.

use super::call::*;
use crate::expr::function::{Arg, Category, Function};
use crate::format::output::json_value;
use crate::types::SqlType;
use crate::value::Value;
use serde_json::Value as Json;

const fn json(
    name: &'static str,
    usage: &'static str,
    summary: &'static str,
    resolve: fn(&[Arg]) -> Resolved,
) -> Function {
    Function { name, category: Category::Json, usage, summary, resolve }
}

pub const EXTRACTJSONFIELD: Function = json(
    "EXTRACTJSONFIELD",
    "EXTRACTJSONFIELD(json, path) → STRING",
    "What a path such as '$.a.b[0]' leads to, as text; NULL where it leads nowhere.",
    |args| {
        binary_with::<Text, Text, Text, _>(
            args,
            |literals| Made::new(parse_path, literals.get(1)),
            |made, s, path| {
                let path = made.get(path).map_err(|reason| format!("EXTRACTJSONFIELD: {reason}"))?;
                let root = parse("EXTRACTJSONFIELD", s)?;
                let found = path.iter().try_fold(&root, |json, step| match step {
                    Step::Field(name) => json.get(name),
                    Step::Item(i) => json.get(i),
                });
                Ok(found.filter(|json| !json.is_null()).map(text_of))
            },
        )
    },
);

pub const IS_JSON_STRING: Function = json(
    "IS_JSON_STRING",
    "IS_JSON_STRING(text) → BOOLEAN",
    "Whether the text is JSON; false for NULL.",
    |args| {
        values_or_null(args, vec![SqlType::Varchar], SqlType::Boolean, |given| {
            let valid = matches!(&given[0], Value::Varchar(s) if parse("IS_JSON_STRING", s).is_ok());
            some(Value::Boolean(valid))
        })
    },
);

pub const JSON_ARRAY_CONTAINS: Function = json(
    "JSON_ARRAY_CONTAINS",
    "JSON_ARRAY_CONTAINS(json, item) → BOOLEAN",
    "Whether a plain value is in the array that the text holds.",
    |args| {
        let item = match args.get(1) {
            Some(Arg { ty: Some(ty), .. }) => (*ty).clone(),
            _ => return misfit(args, 1, "a type"),
        };
        let ty = item.clone();
        values_or_null(args, vec![SqlType::Varchar, item], SqlType::Boolean, move |given| {
            let [Value::Varchar(s), wanted] = given else { return Ok(None) };
            let Json::Array(items) = parse("JSON_ARRAY_CONTAINS", s)? else {
                return some(Value::Boolean(false));
            };
            let wanted = parse("JSON_ARRAY_CONTAINS", &json_text(wanted, &ty))?;
            some(Value::Boolean(items.iter().any(|item| same(item, &wanted))))
        })
    },
);

pub const JSON_ARRAY_LENGTH: Function = json(
    "JSON_ARRAY_LENGTH",
    "JSON_ARRAY_LENGTH(json) → INTEGER",
    "How many items the array has that the text holds; NULL where it holds something else.",
    |args| {
        unary::<Text, Int>(args, |s| {
            Ok(parse("JSON_ARRAY_LENGTH", s)?.as_array().map(|items| items.len() as i32))
        })
    },
);

pub const JSON_CONCAT: Function = json(
    "JSON_CONCAT",
    "JSON_CONCAT(json, json, …) → STRING",
    "Objects merged, the last field of a name counting; otherwise arrays and single values in one array.",
    |args| match args.len() {
        0 => count(args, "1 or more"),
        _ => variadic::<Text, Text>(args, |texts| {
            let parsed = texts.iter().map(|s| s.map(|s| parse("JSON_CONCAT", s)).transpose());
            let Some(parsed) = parsed.collect::<Result<Option<Vec<Json>>, String>>()? else {
                return Ok(None);
            };
            some(concat(parsed).to_string())
        }),
    },
);

pub const JSON_ITEMS: Function = json(
    "JSON_ITEMS",
    "JSON_ITEMS(json) → ARRAY<STRING>",
    "The items, as JSON, of the array that the text holds; NULL where it holds something else.",
    |args| {
        unary::<Text, Texts>(args, |s| {
            let json = parse("JSON_ITEMS", s)?;
            Ok(json.as_array().map(|items| items.iter().map(Json::to_string).collect()))
        })
    },
);

pub const JSON_KEYS: Function = json(
    "JSON_KEYS",
    "JSON_KEYS(json) → ARRAY<STRING>",
    "The names of the object that the text holds; NULL where it holds something else.",
    |args| {
        unary::<Text, Texts>(args, |s| {
            Ok(parse("JSON_KEYS", s)?.as_object().map(|fields| fields.keys().cloned().collect()))
        })
    },
);

pub const JSON_RECORDS: Function = json(
    "JSON_RECORDS",
    "JSON_RECORDS(json) → MAP<STRING, STRING>",
    "The fields, as JSON, of the object that the text holds; NULL where it holds something else.",
    |args| {
        let returns = SqlType::Map(Box::new(SqlType::Varchar), Box::new(SqlType::Varchar));
        values(args, vec![SqlType::Varchar], returns, |given| {
            let [Value::Varchar(s)] = given else { return Ok(None) };
            let Json::Object(fields) = parse("JSON_RECORDS", s)? else { return Ok(None) };
            let entries = fields.iter().map(|(k, v)| (Value::text(k), Value::text(&v.to_string())));
            some(Value::Map(entries.collect()))
        })
    },
);

pub const TO_JSON_STRING: Function = json(
    "TO_JSON_STRING",
    "TO_JSON_STRING(value) → STRING",
    "Any value as JSON; NULL becomes null.",
    |args| match args {
        [Arg { ty: Some(ty), .. }] => {
            let ty = (*ty).clone();
            values_or_null(args, vec![ty.clone()], SqlType::Varchar, move |given| {
                some(Value::Varchar(json_text(&given[0], &ty).into()))
            })
        }
        [_] => misfit(args, 0, "a type"),
        _ => count(args, "1"),
    },
);

fn parse(name: &str, text: &str) -> Result<Json, String> {
    serde_json::from_str(text).map_err(|e| format!("{name}: {} is not JSON ({e})", shown(text)))
}

/// Strings without their quotes, all else as JSON.
fn text_of(json: &Json) -> String {
    match json {
        Json::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// 1 and 1.0 are the same number.
fn same(a: &Json, b: &Json) -> bool {
    match (a, b) {
        (Json::Number(x), Json::Number(y)) => x == y || x.as_f64() == y.as_f64(),
        _ => a == b,
    }
}

fn concat(parsed: Vec<Json>) -> Json {
    if parsed.iter().all(Json::is_object) {
        let objects =
            parsed.into_iter().filter_map(|json| if let Json::Object(o) = json { Some(o) } else { None });
        return Json::Object(objects.flatten().collect());
    }
    let items = parsed.into_iter().flat_map(|json| match json {
        Json::Array(items) => items,
        other => vec![other],
    });
    Json::Array(items.collect())
}

enum Step {
    Field(String),
    Item(usize),
}

/// `$.name`, `$['name']`, `$[0]`, in any depth.
fn parse_path(path: &str) -> Result<Vec<Step>, String> {
    let wrong = || format!("{} is not a JSON path; hint: '$.field[0]'", shown(path));
    let mut rest = path.strip_prefix('$').ok_or_else(wrong)?;
    let mut steps = Vec::new();
    while !rest.is_empty() {
        if let Some(field) = rest.strip_prefix('.') {
            let end = field.find(['.', '[']).unwrap_or(field.len());
            steps.push(Step::Field(field[..end].to_string()));
            rest = &field[end..];
        } else if let Some(quoted) = rest.strip_prefix("['") {
            let (name, behind) = quoted.split_once("']").ok_or_else(wrong)?;
            steps.push(Step::Field(name.to_string()));
            rest = behind;
        } else {
            let (digits, behind) =
                rest.strip_prefix('[').and_then(|r| r.split_once(']')).ok_or_else(wrong)?;
            steps.push(Step::Item(digits.parse().map_err(|_| wrong())?));
            rest = behind;
        }
    }
    let named = steps.iter().all(|step| !matches!(step, Step::Field(name) if name.is_empty() || name == "*"));
    if named { Ok(steps) } else { Err(wrong()) }
}

fn json_text(value: &Value, ty: &SqlType) -> String {
    let mut out = String::new();
    json_value(value, ty, &mut out);
    out
}

#[cfg(test)]
mod tests {
    use super::super::tests::{check, check_errors, list, s};
    use crate::value::Value::*;

    #[test]
    fn cases() {
        let log = || s(r#"{"a": {"b": [1, {"c": "x"}]}, "n": null, "a.b": 2.50}"#);
        check(&[
            ("EXTRACTJSONFIELD", &[log(), s("$.a.b[0]")], s("1")),
            ("EXTRACTJSONFIELD", &[log(), s("$.a.b[1].c")], s("x")),
            ("EXTRACTJSONFIELD", &[log(), s("$['a.b']")], s("2.5")),
            ("EXTRACTJSONFIELD", &[log(), s("$.a")], s(r#"{"b":[1,{"c":"x"}]}"#)),
            ("EXTRACTJSONFIELD", &[log(), s("$.n")], Null),
            ("EXTRACTJSONFIELD", &[log(), s("$.x.y")], Null),
            ("IS_JSON_STRING", &[s("[1]")], Boolean(true)),
            ("IS_JSON_STRING", &[s("[1")], Boolean(false)),
            ("IS_JSON_STRING", &[Null], Boolean(false)),
            ("JSON_ARRAY_CONTAINS", &[s("[1, 2.0]"), Int(2)], Boolean(true)),
            ("JSON_ARRAY_CONTAINS", &[s("[\"1\"]"), Int(1)], Boolean(false)),
            ("JSON_ARRAY_LENGTH", &[s("[1, 2]")], Int(2)),
            ("JSON_ARRAY_LENGTH", &[s("{}")], Null),
            ("JSON_CONCAT", &[s("{\"a\":1}"), s("{\"b\":2,\"a\":3}")], s("{\"a\":3,\"b\":2}")),
            ("JSON_CONCAT", &[s("[1]"), s("2"), s("{}")], s("[1,2,{}]")),
            ("JSON_CONCAT", &[s("[1]"), Null], Null),
            ("JSON_ITEMS", &[s("[1, \"a\", {}]")], list(&["1", "\"a\"", "{}"])),
            ("JSON_KEYS", &[s("{\"b\":1,\"a\":2}")], list(&["b", "a"])),
            ("JSON_RECORDS", &[s("{\"b\":\"x\"}")], Map(vec![(s("b"), s("\"x\""))])),
            ("TO_JSON_STRING", &[Array(vec![Int(1), Null])], s("[1,null]")),
            ("TO_JSON_STRING", &[Map(vec![(s("a"), Double(f64::NAN))])], s("{\"a\":\"NaN\"}")),
            ("TO_JSON_STRING", &[Decimal(-5, 2)], s("-0.05")),
            ("TO_JSON_STRING", &[Date(0)], s("\"1970-01-01\"")),
        ]);
        check_errors(&[
            ("EXTRACTJSONFIELD", &[s("{"), s("$.a")], "EXTRACTJSONFIELD: '{' is not JSON"),
            ("EXTRACTJSONFIELD", &[s("{}"), s("a")], "'a' is not a JSON path"),
            ("JSON_KEYS", &[s("{")], "JSON_KEYS: '{' is not JSON"),
        ]);
    }
}
