//! JSON held in text, and values as JSON.

use super::call::*;
use super::json_tree::{Json, merge};
use crate::expr::function::{Arg, Binding, Category, Function};
use crate::format::output::json_value;
use crate::types::SqlType;
use crate::value::Value;

const fn json(
    name: &'static str,
    usage: &'static str,
    summary: &'static str,
    resolve: fn(&[Arg]) -> Resolved,
) -> Function {
    Function { name, category: Category::Json, usage, summary, binding: Binding::Plain, resolve }
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
                let found = path.iter().try_fold(&root, |json, step| match json {
                    Json::Array(_) => json.item(step.parse().ok()?),
                    _ => json.field(step),
                });
                Ok(found.filter(|json| **json != Json::Null).map(Json::plain))
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
            let wanted = json_text(wanted, &ty);
            let wanted = parse("JSON_ARRAY_CONTAINS", &wanted)?;
            some(Value::Boolean(items.iter().any(|item| item.same(&wanted))))
        })
    },
);

pub const JSON_ARRAY_LENGTH: Function = json(
    "JSON_ARRAY_LENGTH",
    "JSON_ARRAY_LENGTH(json) → INTEGER",
    "How many items the array has that the text holds; NULL where it holds something else.",
    |args| {
        unary::<Text, Int>(args, |s| {
            let json = parse("JSON_ARRAY_LENGTH", s)?;
            Ok(if let Json::Array(items) = json { Some(items.len() as i32) } else { None })
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
            some(concat(parsed).json())
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
            let Json::Array(items) = json else { return Ok(None) };
            some(items.iter().map(Json::json).collect())
        })
    },
);

pub const JSON_KEYS: Function = json(
    "JSON_KEYS",
    "JSON_KEYS(json) → ARRAY<STRING>",
    "The names of the object that the text holds; NULL where it holds something else.",
    |args| {
        unary::<Text, Texts>(args, |s| {
            let Json::Object(fields) = parse("JSON_KEYS", s)? else { return Ok(None) };
            some(fields.into_iter().map(|(name, _)| name.into_owned()).collect())
        })
    },
);

pub const JSON_RECORDS: Function = json(
    "JSON_RECORDS",
    "JSON_RECORDS(json) → MAP<STRING, STRING>",
    "The fields of the object that the text holds, strings as they are, all else as JSON; NULL where it \
     holds something else.",
    |args| {
        let returns = SqlType::Map(Box::new(SqlType::Varchar), Box::new(SqlType::Varchar));
        values(args, vec![SqlType::Varchar], returns, |given| {
            let [Value::Varchar(s)] = given else { return Ok(None) };
            let Json::Object(fields) = parse("JSON_RECORDS", s)? else { return Ok(None) };
            let entries = fields.iter().map(|(k, v)| (Value::text(k), Value::text(&v.plain())));
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

fn parse<'a>(name: &str, text: &'a str) -> Result<Json<'a>, String> {
    Json::parse(text).map_err(|reason| format!("{name}: {} is not JSON ({reason})", shown(text)))
}

fn concat(parsed: Vec<Json>) -> Json {
    if parsed.iter().all(|json| matches!(json, Json::Object(_))) {
        let fields =
            parsed.into_iter().flat_map(|json| if let Json::Object(o) = json { o } else { Vec::new() });
        return Json::Object(merge(fields.collect()));
    }
    let items = parsed.into_iter().flat_map(|json| match json {
        Json::Array(items) => items,
        other => vec![other],
    });
    Json::Array(items.collect())
}

/// `$.name`, `$["name"]`, `$['name']`, `$[0]`, in any depth. The steps are names; a number is the place of
/// an item where the step leads into an array.
fn parse_path(path: &str) -> Result<Vec<String>, String> {
    let wrong = || format!("{} is not a JSON path; hint: '$.field[0]'", shown(path));
    let mut rest = path.strip_prefix('$').ok_or_else(wrong)?;
    let mut steps = Vec::new();
    while !rest.is_empty() {
        let (step, behind) = if let Some(field) = rest.strip_prefix('.') {
            field.split_at(field.find(['.', '[']).unwrap_or(field.len()))
        } else if let Some(quoted) = rest.strip_prefix("['") {
            quoted.split_once("']").ok_or_else(wrong)?
        } else if let Some(quoted) = rest.strip_prefix("[\"") {
            quoted.split_once("\"]").ok_or_else(wrong)?
        } else {
            let (digits, behind) =
                rest.strip_prefix('[').and_then(|r| r.split_once(']')).ok_or_else(wrong)?;
            digits.parse::<usize>().map_err(|_| wrong())?;
            (digits, behind)
        };
        if step.is_empty() || step == "*" {
            return Err(wrong());
        }
        steps.push(step.to_string());
        rest = behind;
    }
    Ok(steps)
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
            ("EXTRACTJSONFIELD", &[log(), s("$['a.b']")], s("2.50")),
            ("EXTRACTJSONFIELD", &[log(), s("$[\"a.b\"]")], s("2.50")),
            ("EXTRACTJSONFIELD", &[s("[{\"x\":1e400}, 2]"), s("$.0.x")], s("1e400")),
            ("EXTRACTJSONFIELD", &[s("{\"0\":\"zero\"} and more"), s("$.0")], s("zero")),
            ("EXTRACTJSONFIELD", &[s("[1]"), s("$.x")], Null),
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
            (
                "JSON_RECORDS",
                &[s("{\"b\":\"x\",\"c\":[1.50]}")],
                Map(vec![(s("b"), s("x")), (s("c"), s("[1.50]"))]),
            ),
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
