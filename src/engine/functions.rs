//! The functions there are: for SHOW FUNCTIONS, DESCRIBE FUNCTION and `docs/functions.md`.

use super::outcome::{FunctionInfo, Outcome};
use crate::aggregate;
use crate::error::{Error, Result};
use crate::expr::nearest::nearest;
use crate::expr::{expand, functions};
use crate::sql::ast::Ident;

/// Every function, by name.
pub fn all() -> Vec<FunctionInfo> {
    let scalar = functions::ALL.iter().map(|f| FunctionInfo {
        name: f.name.into(),
        kind: "SCALAR".into(),
        category: f.category.name(),
        usage: f.usage.into(),
        summary: f.summary.into(),
        example: functions::examples::example(f.name).map_or_else(String::new, shown),
        aliases: functions::foreign::aliases(f.name),
        extension: false,
    });
    let aggregates = aggregate::ALL.iter().map(|a| FunctionInfo {
        name: a.name.into(),
        kind: "AGGREGATE".into(),
        category: "AGGREGATE",
        usage: a.usage.into(),
        summary: a.summary.into(),
        example: format!("{} over {} → {}", a.example.0, a.example.1, a.example.2),
        aliases: Vec::new(),
        extension: a.in_ksqldb == aggregate::InKsqldb::No,
    });
    let tables = expand::ALL.iter().map(|t| FunctionInfo {
        name: t.name.into(),
        kind: "TABLE".into(),
        category: "TABLE",
        usage: t.usage.into(),
        summary: t.summary.into(),
        example: shown(t.example),
        aliases: Vec::new(),
        extension: false,
    });
    let mut all: Vec<FunctionInfo> = scalar.chain(aggregates).chain(tables).collect();
    all.sort_by(|a, b| a.name.cmp(&b.name));
    all
}

fn shown((call, result): (&str, &str)) -> String {
    if result.is_empty() { call.to_string() } else { format!("{call} → {result}") }
}

/// DESCRIBE FUNCTION, by its name or one that other systems have for it.
pub(super) fn function(name: &Ident) -> Result<Outcome> {
    let wanted = name.name.to_uppercase();
    let (all, ours) = (all(), functions::foreign::name_of(&wanted));
    if let Some(found) = all.iter().find(|f| f.name == ours) {
        return Ok(Outcome::Function(found.clone()));
    }
    let error = Error::statement(format!("there is no function {}", name.name)).at(name.span);
    if let Some(answer) = functions::foreign::answer(&wanted) {
        return Err(error.hint(answer));
    }
    Err(match nearest(&wanted, all.iter().map(|f| f.name.as_str())) {
        Some(near) => error.hint(format!("did you mean {near}?")),
        None => error.hint("SHOW FUNCTIONS lists them"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aggregate::{PreAggregator, finish};
    use crate::batch::{Batch, Column, Origin};
    use crate::expr::{Notes, Projection, RowOf, Scope, bind, cast, compile};
    use crate::plan::Shape;
    use crate::plan::select::{Purpose, Source, bind_select};
    use crate::sql::ast::{Query, SelectItem, SourceKind, Statement};
    use crate::sql::parse_statement;
    use crate::types::{ColumnDef, Part, Schema, SqlType};
    use crate::value::Value;
    use std::fmt::Write;

    fn query(sql: &str) -> Query {
        match parse_statement(sql).unwrap().statement {
            Statement::Select(query) => query,
            other => panic!("{other:?}"),
        }
    }

    /// A constant expression's type and value.
    fn constant(text: &str) -> (SqlType, Value) {
        let query = query(&format!("SELECT {text} FROM S"));
        let SelectItem::Expr { expr, .. } = &query.select[0] else { panic!("{text}") };
        let schema = Schema::new([]);
        let bound = bind(expr, &Scope::of(&schema, vec!["S"], RowOf::Nothing)).unwrap();
        let batch = Batch { len: 1, columns: Vec::new(), origin: Origin::none(1), deleted: None };
        let value = compile(&bound).unwrap().eval(&batch, &mut Notes::default()).value(0);
        (bound.ty, value)
    }

    /// What a call of an aggregate gives over a column X of these values.
    fn aggregated(call: &str, values: &str) -> String {
        let (SqlType::Array(ty), Value::Array(values)) = constant(values) else { panic!("{values}") };
        let schema = Schema::new([ColumnDef { name: "X".into(), ty: (*ty).clone(), part: Part::Value }]);
        let query = query(&format!("SELECT {call} AS R FROM S GROUP BY 1 = 1 EMIT CHANGES"));
        let source =
            Source { name: "S", kind: SourceKind::Stream, schema: &schema, ordinal: 0, starred: None };
        let plan =
            bind_select(&query, &[source], Purpose::Answer).unwrap_or_else(|error| panic!("{call}: {error}"));
        let Shape::Aggregate(aggregation) = plan.shape else { panic!("{call}") };
        let call = &aggregation.calls[0];
        let len = values.len();
        let columns = vec![Column::Array(Value::array(&ty, values.iter()))];
        let origin = Origin { offsets: (0..len as i64).collect(), ..Origin::none(len) };
        let batch = Batch { len, columns, origin, deleted: None };
        let args = Projection::compile(&call.args).unwrap().eval(&batch, &mut Notes::default());
        let types: Vec<SqlType> = call.args.iter().map(|arg| arg.ty.clone()).collect();
        let mut aggregator = PreAggregator::new(std::slice::from_ref(&call.spec), &[types]);
        let keys = [Column::Const(Value::array(&SqlType::Int, [Value::Int(1)].iter()))];
        aggregator.add(&keys, &[args], &batch.origin, len);
        let mut result = Value::Null;
        aggregator.flush(&mut |_, state, elements| {
            result = finish(std::slice::from_ref(&call.spec), &state, &elements).remove(0);
        });
        cast::text(&result)
    }

    #[test]
    fn examples_of_aggregates_are_true() {
        let mut wrong = String::new();
        for aggregate in aggregate::ALL {
            let (call, values, result) = aggregate.example;
            assert!(call.starts_with(&format!("{}(", aggregate.name)), "{call}");
            let found = aggregated(call, values);
            if found != result {
                let _ = writeln!(wrong, "{call} over {values} is {found}, not {result}");
            }
        }
        assert!(wrong.is_empty(), "{wrong}");
    }

    /// The page is written anew by `WHARFE_REWRITE=1 cargo test`.
    #[test]
    fn the_documentation_lists_every_function() {
        let mut page = String::from(PAGE);
        for (kind, title) in
            [("SCALAR", "Scalar functions"), ("AGGREGATE", "Aggregates"), ("TABLE", "Table functions")]
        {
            let _ = write!(page, "\n## {title}\n\n| function | what it gives | example |\n|---|---|---|\n");
            for f in all().iter().filter(|f| f.kind == kind) {
                let cell = |text: &str| text.replace('|', "\\|").replace('\n', "<br>");
                let usage: Vec<String> = f.usage.lines().map(|line| format!("`{}`", cell(line))).collect();
                let mut summary = cell(&f.summary);
                if !f.aliases.is_empty() {
                    let _ = write!(summary, " Also {}.", f.aliases.join(", "));
                }
                if f.extension {
                    summary += " *Not in ksqlDB.*";
                }
                let _ = writeln!(page, "| {} | {summary} | `{}` |", usage.join("<br>"), cell(&f.example));
            }
        }
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/functions.md");
        if std::env::var_os("WHARFE_REWRITE").is_some() {
            std::fs::write(&path, &page).unwrap();
        }
        let written = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(written == page, "docs/functions.md is not what SHOW FUNCTIONS says");
    }

    const PAGE: &str = "# Functions\n\n\
        What `SHOW FUNCTIONS` lists and `DESCRIBE FUNCTION name` tells, in one page. They are those of ksqlDB\n\
        with a few more, which are marked. A function of a NULL is NULL where nothing else is said; one that\n\
        fails on a row gives NULL there and leaves a note in the rejects.\n\n\
        Where a number is calculated from many, it is rounded once: sums of DOUBLE are exact, AVG is the double\n\
        nearest to the quotient, and variances come from exact sums of squares.\n\n\
        Differences from ksqlDB, on purpose:\n\n\
        - FLOOR, CEIL, ROUND and TRUNC of a DECIMAL have room for one more digit, since 9.9 becomes 10.0.\n\
        - JSON functions keep numbers as they are written: `1.230` stays `1.230`, and 30 digits stay.\n\
        - AVG, STDDEV_SAMP, STDDEV_SAMPLE and CORRELATION are exact and also undo what a table takes back.\n\
        - RANDOM() and UUID() are made of the record: a replay gives the same.\n\
        - Within a lambda function arithmetic with NULL fails as in ksqlDB, and the note says so.\n\
        - COALESCE, IFNULL, GREATEST and LEAST take numbers of different types together.\n";
}
