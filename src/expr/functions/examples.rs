//! An example of each scalar function, with its result: for DESCRIBE FUNCTION and the documentation.

/// Function, call, and the result as CAST … AS STRING shows it; empty where it never is the same. Sorted.
static EXAMPLES: &[(&str, &str, &str)] = &[
    ("ABS", "ABS(-5)", "5"),
    ("ACOS", "ACOS(1)", "0.0"),
    ("ARRAY_CONCAT", "ARRAY_CONCAT(ARRAY[1, 2], ARRAY[2])", "[1, 2, 2]"),
    ("ARRAY_CONTAINS", "ARRAY_CONTAINS(ARRAY['a', 'b'], 'b')", "true"),
    ("ARRAY_DISTINCT", "ARRAY_DISTINCT(ARRAY[2, 1, 2])", "[2, 1]"),
    ("ARRAY_EXCEPT", "ARRAY_EXCEPT(ARRAY[1, 2, 3], ARRAY[2])", "[1, 3]"),
    ("ARRAY_INTERSECT", "ARRAY_INTERSECT(ARRAY[1, 2], ARRAY[2, 3])", "[2]"),
    ("ARRAY_JOIN", "ARRAY_JOIN(ARRAY['a', 'b'], '-')", "a-b"),
    ("ARRAY_LENGTH", "ARRAY_LENGTH(ARRAY[1, NULL])", "2"),
    ("ARRAY_MAX", "ARRAY_MAX(ARRAY[1, 3, 2])", "3"),
    ("ARRAY_MIN", "ARRAY_MIN(ARRAY[1, 3, 2])", "1"),
    ("ARRAY_REMOVE", "ARRAY_REMOVE(ARRAY[1, 2, 1], 1)", "[2]"),
    ("ARRAY_SORT", "ARRAY_SORT(ARRAY[2, NULL, 1], 'DESC')", "[2, 1, null]"),
    ("ARRAY_UNION", "ARRAY_UNION(ARRAY[1, 2], ARRAY[2, 3])", "[1, 2, 3]"),
    ("ASIN", "ASIN(0)", "0.0"),
    ("AS_MAP", "AS_MAP(ARRAY['a', 'b'], ARRAY[1, 2])", "{a=1, b=2}"),
    ("AS_VALUE", "AS_VALUE(7)", "7"),
    ("ATAN", "ATAN(0)", "0.0"),
    ("ATAN2", "ATAN2(0, 1)", "0.0"),
    ("BIGINT_FROM_BYTES", "BIGINT_FROM_BYTES(TO_BYTES('00000000000004D2', 'hex'))", "1234"),
    ("CBRT", "CBRT(27)", "3.0"),
    ("CEIL", "CEIL(1.25)", "2.00"),
    ("CHR", "CHR(75)", "K"),
    ("COALESCE", "COALESCE(NULL, 'a', 'b')", "a"),
    ("CONCAT", "CONCAT('Leeds', ', ', 'UK')", "Leeds, UK"),
    ("CONCAT_WS", "CONCAT_WS('-', 'a', NULL, 'b')", "a-b"),
    (
        "CONVERT_TZ",
        "CONVERT_TZ(TIMESTAMP '2024-07-01T12:00:00', 'UTC', 'Europe/London')",
        "2024-07-01T13:00:00.000",
    ),
    ("COS", "COS(0)", "1.0"),
    ("COSH", "COSH(0)", "1.0"),
    ("COT", "COT(1)", "0.6420926159343306"),
    ("DATEADD", "DATEADD(DAYS, 1, DATE '2024-02-28')", "2024-02-29"),
    ("DATESUB", "DATESUB(DAYS, 1, DATE '2024-03-01')", "2024-02-29"),
    ("DATETOSTRING", "DATETOSTRING(19782, 'dd.MM.yyyy')", "29.02.2024"),
    ("DEGREES", "DEGREES(PI())", "180.0"),
    ("DOUBLE_FROM_BYTES", "DOUBLE_FROM_BYTES(TO_BYTES('40934A456D5CFAAD', 'hex'))", "1234.5678"),
    ("ELT", "ELT(2, 'a', 'b', 'c')", "b"),
    ("ENCODE", "ENCODE('hi', 'ascii', 'hex')", "6869"),
    ("ENTRIES", "ENTRIES(MAP('b' := 2, 'a' := 1), TRUE)", "[Struct{a,1}, Struct{b,2}]"),
    ("EXP", "EXP(0)", "1.0"),
    ("EXTRACTJSONFIELD", r#"EXTRACTJSONFIELD('{"a": [1.50, 2]}', '$.a[0]')"#, "1.50"),
    ("FIELD", "FIELD('b', 'a', 'b', 'c')", "2"),
    ("FILTER", "FILTER(ARRAY[1, 2, 3], x => x > 1)", "[2, 3]"),
    ("FLOOR", "FLOOR(-0.5)", "-1.0"),
    ("FORMAT_DATE", "FORMAT_DATE(DATE '2024-02-29', 'dd MMM yyyy')", "29 Feb 2024"),
    ("FORMAT_TIME", "FORMAT_TIME(TIME '10:30:00', 'HH.mm')", "10.30"),
    (
        "FORMAT_TIMESTAMP",
        "FORMAT_TIMESTAMP(TIMESTAMP '2024-07-01T12:00:00', 'yyyy-MM-dd HH:mm z', 'Europe/London')",
        "2024-07-01 13:00 BST",
    ),
    ("FROM_BYTES", "FROM_BYTES(TO_BYTES('hi', 'utf8'), 'hex')", "6869"),
    ("FROM_DAYS", "FROM_DAYS(19782)", "2024-02-29"),
    ("FROM_UNIXTIME", "FROM_UNIXTIME(1709164800000)", "2024-02-29T00:00:00.000"),
    ("GENERATE_SERIES", "GENERATE_SERIES(1, 9, 4)", "[1, 5, 9]"),
    ("GEO_DISTANCE", "GEO_DISTANCE(53.8, -1.55, 53.79, -1.75, 'KM')", "13.183010932973595"),
    ("GREATEST", "GREATEST(2, 7, NULL, 5)", "7"),
    ("IFNULL", "IFNULL(CAST(NULL AS INT), 0)", "0"),
    ("INITCAP", "INITCAP('leeds city')", "Leeds City"),
    ("INSTR", "INSTR('banana', 'an', 1, 2)", "4"),
    ("INT_FROM_BYTES", "INT_FROM_BYTES(TO_BYTES('000004D2', 'hex'))", "1234"),
    ("IS_JSON_STRING", "IS_JSON_STRING('[1, 2')", "false"),
    ("JSON_ARRAY_CONTAINS", "JSON_ARRAY_CONTAINS('[1, 2.0]', 2)", "true"),
    ("JSON_ARRAY_LENGTH", "JSON_ARRAY_LENGTH('[1, 2, 3]')", "3"),
    ("JSON_CONCAT", r#"JSON_CONCAT('{"a": 1}', '{"b": 2}')"#, r#"{"a":1,"b":2}"#),
    ("JSON_ITEMS", r#"JSON_ITEMS('[1, {"a": 2}]')"#, r#"[1, {"a":2}]"#),
    ("JSON_KEYS", r#"JSON_KEYS('{"a": 1, "b": 2}')"#, "[a, b]"),
    ("JSON_RECORDS", r#"JSON_RECORDS('{"a": "x", "b": [2]}')"#, "{a=x, b=[2]}"),
    ("LCASE", "LCASE('Leeds')", "leeds"),
    ("LEAST", "LEAST(2, 7, NULL, 5)", "2"),
    ("LEN", "LEN('Leeds')", "5"),
    ("LN", "LN(1)", "0.0"),
    ("LOG", "LOG(2, 8)", "3.0"),
    ("LPAD", "LPAD('7', 3, '0')", "007"),
    ("MAP_KEYS", "MAP_KEYS(MAP('a' := 1, 'b' := 2))", "[a, b]"),
    ("MAP_UNION", "MAP_UNION(MAP('a' := 1), MAP('b' := 2))", "{a=1, b=2}"),
    ("MAP_VALUES", "MAP_VALUES(MAP('a' := 1, 'b' := 2))", "[1, 2]"),
    ("MASK", "MASK('Ab-12')", "Xx-nn"),
    ("MASK_KEEP_LEFT", "MASK_KEEP_LEFT('Ab-12', 2)", "Ab-nn"),
    ("MASK_KEEP_RIGHT", "MASK_KEEP_RIGHT('Ab-12', 2)", "Xx-12"),
    ("MASK_LEFT", "MASK_LEFT('Ab-12', 2)", "Xx-12"),
    ("MASK_RIGHT", "MASK_RIGHT('Ab-12', 2)", "Ab-nn"),
    ("MD5", "MD5('hi')", "49f68a5c8493ec2c0bf489821c21fc3b"),
    ("NULLIF", "NULLIF('n/a', 'n/a')", "null"),
    ("PARSE_DATE", "PARSE_DATE('29.02.2024', 'dd.MM.yyyy')", "2024-02-29"),
    ("PARSE_TIME", "PARSE_TIME('10.30', 'HH.mm')", "10:30"),
    (
        "PARSE_TIMESTAMP",
        "PARSE_TIMESTAMP('2024-07-01 12:00', 'yyyy-MM-dd HH:mm', 'Europe/London')",
        "2024-07-01T11:00:00.000",
    ),
    ("PI", "PI()", "3.141592653589793"),
    ("POWER", "POWER(2, 10)", "1024.0"),
    ("RADIANS", "RADIANS(180)", "3.141592653589793"),
    ("RANDOM", "RANDOM()", ""),
    ("REDUCE", "REDUCE(ARRAY[1, 2, 3], 0, (s, x) => s + x)", "6"),
    ("REGEXP_EXTRACT", "REGEXP_EXTRACT('(?<=£)[0-9]+', 'for £120')", "120"),
    ("REGEXP_EXTRACT_ALL", "REGEXP_EXTRACT_ALL('[0-9]+', 'a1b22')", "[1, 22]"),
    ("REGEXP_REPLACE", "REGEXP_REPLACE('a1b22', '([0-9]+)', '<$1>')", "a<1>b<22>"),
    ("REGEXP_SPLIT_TO_ARRAY", "REGEXP_SPLIT_TO_ARRAY('a, b ,c', ' *, *')", "[a, b, c]"),
    ("REPLACE", "REPLACE('banana', 'an', 'AN')", "bANANa"),
    ("ROUND", "ROUND(2.345, 2)", "2.350"),
    ("RPAD", "RPAD('7', 3, '0')", "700"),
    ("SIGN", "SIGN(-2.5)", "-1"),
    ("SIN", "SIN(0)", "0.0"),
    ("SINH", "SINH(0)", "0.0"),
    ("SLICE", "SLICE(ARRAY[1, 2, 3, 4], 2, 3)", "[2, 3]"),
    ("SPLIT", "SPLIT('a,b', ',')", "[a, b]"),
    ("SPLIT_TO_MAP", "SPLIT_TO_MAP('a=1;b=2', ';', '=')", "{a=1, b=2}"),
    ("SQRT", "SQRT(16)", "4.0"),
    ("STRINGTODATE", "STRINGTODATE('29.02.2024', 'dd.MM.yyyy')", "19782"),
    (
        "STRINGTOTIMESTAMP",
        "STRINGTOTIMESTAMP('2024-07-01 12:00', 'yyyy-MM-dd HH:mm', 'Europe/London')",
        "1719831600000",
    ),
    ("SUBSTRING", "SUBSTRING('stream', 3, 2)", "re"),
    ("TAN", "TAN(0)", "0.0"),
    ("TANH", "TANH(0)", "0.0"),
    ("TIMEADD", "TIMEADD(MINUTES, 90, TIME '23:00:00')", "00:30"),
    ("TIMESTAMPADD", "TIMESTAMPADD(HOURS, 1, TIMESTAMP '2024-02-29T23:30:00')", "2024-03-01T00:30:00.000"),
    ("TIMESTAMPSUB", "TIMESTAMPSUB(HOURS, 1, TIMESTAMP '2024-03-01T00:30:00')", "2024-02-29T23:30:00.000"),
    ("TIMESTAMPTOSTRING", "TIMESTAMPTOSTRING(1709164800000, 'yyyy-MM-dd', 'UTC')", "2024-02-29"),
    ("TIMESUB", "TIMESUB(MINUTES, 90, TIME '00:30:00')", "23:00"),
    ("TO_BYTES", "TO_BYTES('hi', 'utf8')", "aGk="),
    ("TO_JSON_STRING", "TO_JSON_STRING(ARRAY[1, NULL])", "[1,null]"),
    ("TRANSFORM", "TRANSFORM(ARRAY[1, 2], x => x * 10)", "[10, 20]"),
    ("TRIM", "TRIM('  a ')", "a"),
    ("TRUNC", "TRUNC(2.345, 1)", "2.300"),
    ("UCASE", "UCASE('Leeds')", "LEEDS"),
    ("UNIX_DATE", "UNIX_DATE(DATE '2024-02-29')", "19782"),
    ("UNIX_TIMESTAMP", "UNIX_TIMESTAMP(TIMESTAMP '2024-02-29T00:00:00')", "1709164800000"),
    ("URL_DECODE_PARAM", "URL_DECODE_PARAM('a%20b')", "a b"),
    ("URL_ENCODE_PARAM", "URL_ENCODE_PARAM('a b')", "a+b"),
    ("URL_EXTRACT_FRAGMENT", "URL_EXTRACT_FRAGMENT('https://example.org/a#top')", "top"),
    ("URL_EXTRACT_HOST", "URL_EXTRACT_HOST('https://example.org:8080/a')", "example.org"),
    ("URL_EXTRACT_PARAMETER", "URL_EXTRACT_PARAMETER('https://example.org/a?q=1', 'q')", "1"),
    ("URL_EXTRACT_PATH", "URL_EXTRACT_PATH('https://example.org/a/b?q=1')", "/a/b"),
    ("URL_EXTRACT_PORT", "URL_EXTRACT_PORT('https://example.org:8080/a')", "8080"),
    ("URL_EXTRACT_PROTOCOL", "URL_EXTRACT_PROTOCOL('https://example.org/a')", "https"),
    ("URL_EXTRACT_QUERY", "URL_EXTRACT_QUERY('https://example.org/a?q=1')", "q=1"),
    ("UUID", "UUID()", ""),
];

/// The example of a function, by its upper-case name.
pub fn example(name: &str) -> Option<(&'static str, &'static str)> {
    let at = EXAMPLES.binary_search_by_key(&name, |(function, ..)| function).ok()?;
    Some((EXAMPLES[at].1, EXAMPLES[at].2))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::{Batch, Origin};
    use crate::expr::functions::ALL;
    use crate::expr::{Notes, RowOf, Scope, bind, cast, compile};
    use crate::sql::ast::{SelectItem, Statement};
    use crate::sql::parse_statement;
    use crate::types::Schema;

    #[test]
    fn every_function_has_an_example_that_is_true() {
        assert!(ALL.iter().map(|f| f.name).eq(EXAMPLES.iter().map(|(name, ..)| *name)));
        let schema = Schema::new([]);
        let scope = Scope::of(&schema, vec!["S"], RowOf::Record);
        let batch = Batch { len: 1, columns: Vec::new(), origin: Origin::none(1), deleted: None };
        let mut wrong = String::new();
        for (name, call, result) in EXAMPLES {
            assert!(call.starts_with(&format!("{name}(")), "{call}");
            let Statement::Select(query) =
                parse_statement(&format!("SELECT {call} FROM S")).unwrap().statement
            else {
                panic!("{call}")
            };
            let SelectItem::Expr { expr, .. } = &query.select[0] else { panic!("{call}") };
            let bound = bind(expr, &scope).unwrap_or_else(|error| panic!("{call}: {error}"));
            let mut notes = Notes::default();
            let value = compile(&bound).unwrap().eval(&batch, &mut notes).value(0);
            assert!(notes.notes.is_empty(), "{call}: {notes:?}");
            let found = cast::text(&value);
            if !result.is_empty() && found != *result {
                wrong += &format!("{name}|{found}|{result}\n");
            }
        }
        assert!(wrong.is_empty(), "\n{wrong}");
    }
}
