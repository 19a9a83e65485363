//! Whether a dashboard's queries have the columns that its panels name: found by explaining them, so that
//! it is known before anybody opens the page.

use super::{Dashboard, Kind, Panel, unfiltered};
use crate::engine::{Engine, Outcome};
use crate::expr::nearest::nearest;
use crate::types::{ColumnDef, SqlType};

/// What is wrong with each panel, in their order; `None`: nothing.
pub fn problems(dashboard: &Dashboard, engine: &Engine) -> Vec<Option<String>> {
    let found = |panel: &Panel| {
        let columns = match columns_of(engine, &unfiltered(&panel.sql)) {
            Ok(columns) => columns,
            Err(why) => return Some(format!("panel {}: {why}", panel.title)),
        };
        problem(panel, &columns).map(|why| format!("panel {}: {why}", panel.title))
    };
    dashboard.panels.iter().map(found).collect()
}

fn columns_of(engine: &Engine, sql: &str) -> Result<Vec<ColumnDef>, String> {
    let sql = sql.trim().trim_end_matches(';');
    let text = format!("EXPLAIN {sql}");
    match engine.ask(&text) {
        Ok(Outcome::Explanation(explanation)) => Ok(explanation.columns),
        Ok(_) => Err("its sql is not a SELECT".into()),
        Err(error) => Err(error.in_text("sql", &text).to_string()),
    }
}

/// What a column must be to be of use.
#[derive(Clone, Copy)]
enum Needed {
    Any,
    Number,
    /// A number, or an ARRAY of them where a function says what of it.
    Numbers,
    Place,
}

fn problem(panel: &Panel, columns: &[ColumnDef]) -> Option<String> {
    let value = if panel.kind == Kind::Table { Needed::Any } else { Needed::Number };
    let y = if panel.kind == Kind::Heat { Needed::Any } else { Needed::Numbers };
    let singles = [
        ("value", &panel.value, value),
        ("x", &panel.x, Needed::Any),
        ("by", &panel.by, Needed::Any),
        ("name", &panel.name, Needed::Any),
        ("place", &panel.place, Needed::Place),
        ("lat", &panel.lat, Needed::Number),
        ("lon", &panel.lon, Needed::Number),
        ("size", &panel.size, Needed::Number),
        ("colour", &panel.colour, Needed::Number),
        ("sort", &panel.sort, Needed::Any),
    ];
    let singles = singles.into_iter().filter_map(|(key, name, needed)| Some((key, name.as_deref()?, needed)));
    let lists = [("y", &panel.y, y), ("label", &panel.label, Needed::Any)];
    let lists = lists.into_iter().flat_map(|(key, names, needed)| {
        names.iter().flat_map(|names| names.names()).map(move |name| (key, name, needed))
    });
    singles.chain(lists).find_map(|(key, name, needed)| wrong(key, name, needed, columns))
}

fn wrong(key: &str, given: &str, needed: Needed, columns: &[ColumnDef]) -> Option<String> {
    // `median(PLACES)`
    let (function, name) = match given.strip_suffix(')').and_then(|text| text.split_once('(')) {
        Some((function, name)) => (Some(function), name),
        None => (None, given),
    };
    if let Some(function) = function.filter(|function| !["median", "average"].contains(function)) {
        return Some(format!("{key}: there is no {function}; there are median and average"));
    }
    let Some(column) = columns.iter().find(|column| column.name == name) else {
        let names: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
        let hint = match nearest(name, names.iter().copied()) {
            Some(near) => format!("did you mean {near}?"),
            None => format!("it has {}", names.join(", ")),
        };
        return Some(format!("{key}: the query has no column {name}; {hint}"));
    };
    let is_number = |ty: &SqlType| {
        matches!(ty, SqlType::Int | SqlType::Bigint | SqlType::Double | SqlType::Decimal { .. })
    };
    let (is_right, wanted) = match (needed, function) {
        (Needed::Any, _) => (true, ""),
        (Needed::Numbers, Some(_)) => {
            (matches!(&column.ty, SqlType::Array(item) if is_number(item)), "an ARRAY of numbers")
        }
        (Needed::Number | Needed::Numbers, _) => (is_number(&column.ty), "a number"),
        (Needed::Place, _) => (is_place(&column.ty), "a STRUCT of lat and lon"),
    };
    (!is_right).then(|| format!("{key}: column {name} is {}; it must be {wanted}", column.ty))
}

fn is_place(ty: &SqlType) -> bool {
    let SqlType::Struct(fields) = ty else { return false };
    ["lat", "lon"].iter().all(|name| fields.iter().any(|field| field.name.eq_ignore_ascii_case(name)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{Part, StructField};

    #[test]
    fn columns_are_looked_at_by_name_and_type() {
        let column = |name: &str, ty| ColumnDef { name: name.into(), ty, part: Part::Value };
        let field = |name: &str| StructField { name: name.into(), ty: SqlType::Double };
        let columns = [
            column("NAME", SqlType::Varchar),
            column("PLACES", SqlType::Array(Box::new(SqlType::Int))),
            column("EMPTY", SqlType::Int),
            column("LOCATION", SqlType::Struct(vec![field("lat"), field("lon")])),
        ];
        for (given, needed, found) in [
            ("EMPTY", Needed::Number, None),
            ("median(PLACES)", Needed::Numbers, None),
            ("LOCATION", Needed::Place, None),
            ("EMTPY", Needed::Number, Some("y: the query has no column EMTPY; did you mean EMPTY?")),
            ("NAME", Needed::Number, Some("y: column NAME is STRING; it must be a number")),
            ("PLACES", Needed::Numbers, Some("y: column PLACES is ARRAY<INTEGER>; it must be a number")),
            ("mode(PLACES)", Needed::Numbers, Some("y: there is no mode; there are median and average")),
            ("NAME", Needed::Place, Some("y: column NAME is STRING; it must be a STRUCT of lat and lon")),
        ] {
            assert_eq!(wrong("y", given, needed, &columns).as_deref(), found, "{given}");
        }
    }
}
