//! The statements of the car park article, as printed there.

use super::show;
use crate::sql::ast::{ExprKind, SelectItem, Statement};
use crate::sql::parse_script;
use crate::types::SqlType;

const SCRIPT: &str = include_str!("article.sql");

#[test]
fn every_statement_parses() {
    let statements = match parse_script(SCRIPT) {
        Ok(statements) => statements,
        Err(error) => panic!("{}", error.in_text("article.sql", SCRIPT)),
    };
    let kinds: Vec<_> = statements
        .iter()
        .map(|p| match &p.statement {
            Statement::CreateSource { name, columns, .. } => {
                format!("source {} {}", name.name, columns.len())
            }
            Statement::CreateAs { name, with, query, .. } => {
                format!("as {} {} {}", name.name, with.len(), query.select.len())
            }
            Statement::InsertSelect { target, query, .. } => {
                format!("insert {} {}", target.name, query.select.len())
            }
            Statement::Set { property, value } => format!("set {property} {value}"),
            Statement::Select(query) => format!("select {} {:?}", query.select.len(), query.limit),
            Statement::Show(show) => format!("{show:?}"),
            other => format!("{other:?}"),
        })
        .collect();
    assert_eq!(
        kinds,
        [
            "source CARPARK_SRC 9",
            "as CARPARK_01 3 1",
            "as EXAMPLE_02 0 1",
            "set auto.offset.reset earliest",
            "as EXAMPLE_03 0 2",
            "as EXAMPLE_04 0 2",
            "as EXAMPLE_05 0 2",
            "as EXAMPLE_06 0 2",
            "select 4 Some(5)",
            "set auto.offset.reset earliest",
            "as CARPARK_EVENTS 3 5",
            "source CARPARK_HISTORIC 8",
            "set auto.offset.reset earliest",
            "insert CARPARK_EVENTS 6",
            "Queries { extended: false }",
            "select 4 None",
            "source CARPARK_LEEDS_SRC01 7",
            "insert CARPARK_EVENTS 13",
            "select 5 None",
        ]
    );
}

fn find(name: &str) -> Statement {
    let statements = parse_script(SCRIPT).unwrap_or_default();
    let found = statements.into_iter().find(|p| match &p.statement {
        Statement::CreateSource { name: n, .. } | Statement::CreateAs { name: n, .. } => n.name == name,
        _ => false,
    });
    found.unwrap_or_else(|| panic!("no {name}")).statement
}

#[test]
fn words_for_types_are_columns_too() {
    let Statement::CreateAs { query, .. } = find("EXAMPLE_04") else { panic!("not CREATE AS") };
    let SelectItem::Expr { expr, alias } = &query.select[1] else { panic!("not an expression") };
    assert_eq!(show(expr), "STRINGTOTIMESTAMP(((DATE + ' ') + TIME), 'yyyy-MM-dd HH:mm', 'Europe/London')");
    assert_eq!(alias.as_ref().map(|a| a.name.as_str()), Some("TS"));
}

#[test]
fn names_in_double_quotes_keep_their_case() {
    let Statement::CreateSource { columns, .. } = find("CARPARK_LEEDS_SRC01") else { panic!("not CREATE") };
    assert_eq!(columns[0].name.name, "d2lm:situationRecordCreationTime");
    assert!(
        matches!(&columns[1].ty, SqlType::Struct(fields) if fields[0].name == "d2lm:locationContainedInGroup")
    );
    let Statement::CreateAs { query, .. } = find("EXAMPLE_05") else { panic!("not CREATE AS") };
    let SelectItem::Expr { expr, .. } = &query.select[1] else { panic!("not an expression") };
    assert!(matches!(expr.kind, ExprKind::Struct(_)));
    assert_eq!(show(expr), "STRUCT(lat := LATITUDE, lon := LONGITUDE)");
}
