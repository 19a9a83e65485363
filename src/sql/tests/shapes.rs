//! What the statements of the grammar become.

use super::{expression, query, show, statement};
use crate::sql::ast::{Emit, Literal, SelectItem, Show, SourceKind, Statement, What};
use crate::sql::{Known, parse_script, parse_script_with, parse_statement};
use crate::types::Part;

#[test]
fn operators_bind_as_the_dialect_has_it() {
    let cases = [
        ("a OR b AND NOT c = d + e * -f", "(A OR (B AND (Not (C = (D + (E * (Minus F)))))))"),
        ("a - b - c", "((A - B) - C)"),
        ("a || b + c", "(A || (B + C))"),
        ("a + 1 <> b || c", "((A + 1) <> (B || C))"),
        ("a != 1 AND b <= 2", "((A <> 1) AND (B <= 2))"),
        ("x BETWEEN 1 + 1 AND 3 AND y", "((X BETWEEN (1 + 1) AND 3) AND Y)"),
        ("x NOT BETWEEN 1 AND 2", "(X NOT BETWEEN 1 AND 2)"),
        ("NOT x IN (1, 2) OR z", "((Not (X IN (1, 2))) OR Z)"),
        ("x NOT LIKE 'a!%' ESCAPE '!'", "(X NOT LIKE 'a!%' Some('!'))"),
        ("x IS NOT NULL AND y IS NULL", "((X IS NOT NULL) AND (Y IS NULL))"),
        ("a IS DISTINCT FROM b + 1", "(A IS DISTINCT FROM (B + 1))"),
        ("a IS NOT DISTINCT FROM b", "(A IS NOT DISTINCT FROM B)"),
        ("NOT NOT a", "(Not (Not A))"),
        ("-a->b[1]", "(Minus A->B[1])"),
        ("(a -> \"b\")[-1] -> c", "A->b[-1]->C"),
        ("s.a = 1", "(S.A = 1)"),
        ("10 % 3 * 2", "((10 % 3) * 2)"),
    ];
    for (text, expected) in cases {
        assert_eq!(expression(text), expected, "{text}");
    }
}

#[test]
fn operands() {
    let cases = [
        ("-5", "-5"),
        ("- 9223372036854775808", "-9223372036854775808"),
        ("-1.50", "-1.50m"),
        ("1.5e3", "1500d"),
        ("+5", "(Plus 5)"),
        ("a -1", "(A - 1)"),
        ("'it''s'", "'it's'"),
        ("DATE '2024-02-29'", "CAST('2024-02-29' AS DATE)"),
        ("timestamp '2024-02-29T00:00:00'", "CAST('2024-02-29T00:00:00' AS TIMESTAMP)"),
        ("DATE + ' ' + TIME", "((DATE + ' ') + TIME)"),
        ("case when a then 1 when b then 2 else 3 end", "CASE(; A: 1, B: 2; 3)"),
        ("CASE a WHEN 1 THEN 'x' END", "CASE(A; 1: 'x'; )"),
        ("CAST(a AS DECIMAL(10, 2))", "CAST(A AS DECIMAL(10, 2))"),
        ("ARRAY[1, 2][1]", "ARRAY(1, 2)[1]"),
        ("MAP('a' := 1, 'b' := 2)", "MAP('a' := 1, 'b' := 2)"),
        ("STRUCT(a := 1, \"b\" := STRUCT(c := 2))", "STRUCT(A := 1, b := STRUCT(C := 2))"),
        ("COUNT(*) > count + map['x'] + array", "(COUNT(*) > ((COUNT + MAP['x']) + ARRAY))"),
        ("now() = `UCase`(struct)", "(NOW() = UCASE(STRUCT))"),
        ("true = NULL", "(true = NULL)"),
        ("filter(a, x => x > 1 AND b)", "FILTER(A, ((X) => ((X > 1) AND B)))"),
        ("reduce(a, 0, (s, `x`) => s + x)[1]", "REDUCE(A, 0, ((S, x) => (S + X)))[1]"),
        ("f((x), (y) => g(z => y + z))", "F(X, ((Y) => G(((Z) => (Y + Z)))))"),
    ];
    for (text, expected) in cases {
        assert_eq!(expression(text), expected, "{text}");
    }
}

#[test]
fn keywords_that_are_names_too() {
    let names = "date time timestamp key source type struct map array id schema headers status name ts count year \
                 days cast first last final changes emit partition all set show list print topic stream table \
                 primary escape if exists replace extended function interval sample order";
    for name in names.split_whitespace() {
        let upper = name.to_uppercase();
        let text =
            format!("SELECT {name}, x AS {name}, s.{name} FROM {name} WHERE {name} = 1 GROUP BY {name}");
        assert_eq!(query(&text).from.name(), Some(upper.as_str()));
        let text = format!("CREATE STREAM {name} ({name} INT, b STRUCT<{name} INT>) WITH ({name} = 1);");
        assert!(
            matches!(statement(&text), Statement::CreateSource { name, .. } if name.name == upper),
            "{text}"
        );
    }
}

#[test]
fn every_clause_of_a_query() {
    let all = query(
        "SELECT a b, s.*, c->d->*, *, SUM(x) AS total FROM t AS s WHERE a > 1 GROUP BY (a, b) PARTITION BY NULL \
         HAVING SUM(x) > 2 ORDER BY a DESC NULLS LAST, b, c ASC NULLS FIRST EMIT CHANGES LIMIT 7",
    );
    assert!(matches!(&all.from.what, What::Named(name) if name.name == "T"));
    assert_eq!(all.from.alias.map(|a| a.name).as_deref(), Some("S"));
    assert!(matches!(&all.select[0], SelectItem::Expr { alias: Some(alias), .. } if alias.name == "B"));
    assert!(matches!(&all.select[1], SelectItem::Star { qualifier: Some(q), .. } if q.name == "S"));
    assert!(matches!(&all.select[2], SelectItem::StructStar { base, .. } if show(base) == "C->D"));
    assert!(matches!(&all.select[3], SelectItem::Star { qualifier: None, .. }));
    assert_eq!(all.group_by.iter().map(show).collect::<Vec<_>>(), ["A", "B"]);
    assert_eq!(all.partition_by.iter().map(show).collect::<Vec<_>>(), ["NULL"]);
    let order: Vec<_> = all.order_by.iter().map(|o| (show(&o.expr), o.descending, o.nulls_first)).collect();
    assert_eq!(
        order,
        [("A".into(), true, Some(false)), ("B".into(), false, None), ("C".into(), false, Some(true))]
    );
    assert_eq!((all.emit, all.limit), (Some(Emit::Changes), Some(7)));
}

#[test]
fn lists_of_keys_with_and_without_parentheses() {
    for (text, expected) in [
        ("a, b", vec!["A", "B"]),
        ("(a, b)", vec!["A", "B"]),
        ("(a)", vec!["A"]),
        ("(a) + 1, (b)", vec!["(A + 1)", "B"]),
    ] {
        let found = query(&format!("SELECT * FROM t GROUP BY {text} EMIT FINAL"));
        assert_eq!(found.group_by.iter().map(show).collect::<Vec<_>>(), expected);
        let found = query(&format!("SELECT * FROM t x PARTITION BY {text}"));
        assert_eq!(found.partition_by.iter().map(show).collect::<Vec<_>>(), expected);
    }
}

#[test]
fn sources_with_all_types() {
    let types = "BOOLEAN INT INTEGER BIGINT DOUBLE DECIMAL(38,38) VARCHAR VARCHAR(10) STRING BYTES DATE TIME \
                 TIMESTAMP ARRAY<MAP<STRING,STRUCT<a_ARRAY<INT>,\"b\"_INT>>> STRUCT<_A_STRUCT<_B_INT_>_>";
    let types: Vec<_> = types.split_whitespace().map(|t| t.replace('_', " ")).collect();
    let columns: Vec<_> = types.iter().enumerate().map(|(i, t)| format!("c{i} {t}")).collect();
    let text = format!("CREATE SOURCE TABLE t (id INT PRIMARY KEY, {});", columns.join(", "));
    let Statement::CreateSource { kind, read_only, or_replace, columns, .. } = statement(&text) else {
        panic!("{text}")
    };
    assert_eq!((kind, read_only, or_replace), (SourceKind::Table, true, false));
    assert_eq!(columns[0].part, Part::Key);
    let shown: Vec<_> = columns[1..].iter().map(|c| c.ty.to_string()).collect();
    assert_eq!(
        shown,
        [
            "BOOLEAN",
            "INTEGER",
            "INTEGER",
            "BIGINT",
            "DOUBLE",
            "DECIMAL(38, 38)",
            "STRING",
            "STRING",
            "STRING",
            "BYTES",
            "DATE",
            "TIME",
            "TIMESTAMP",
            "ARRAY<MAP<STRING, STRUCT<A ARRAY<INTEGER>, `b` INTEGER>>>",
            "STRUCT<A STRUCT<B INTEGER>>",
        ]
    );
}

#[test]
fn columns_say_what_of_a_message_they_hold() {
    let text = "create stream s (header bytes header('it''s'), headers bytes headers, key int key, v int);";
    let Statement::CreateSource { columns, .. } = statement(text) else { panic!("{text}") };
    let found: Vec<_> = columns.into_iter().map(|c| (c.name.name, c.part)).collect();
    let expected = [
        ("HEADER", Part::Header("it's".into())),
        ("HEADERS", Part::Headers),
        ("KEY", Part::Key),
        ("V", Part::Value),
    ];
    assert_eq!(found, expected.map(|(name, part)| (name.to_string(), part)));
}

#[test]
fn properties_are_literals() {
    let text =
        "create stream if not exists s (k string key) with (kafka_topic = 'x', `n`=-2, b = true, d = 1.5);";
    let Statement::CreateSource { if_not_exists, with, columns, .. } = statement(text) else {
        panic!("{text}")
    };
    assert!(if_not_exists);
    assert_eq!(columns[0].part, Part::Key);
    let found: Vec<_> = with.into_iter().map(|p| (p.name.name, p.value)).collect();
    assert_eq!(
        found,
        [
            ("KAFKA_TOPIC".to_string(), Literal::String("x".into())),
            ("N".to_string(), Literal::Integer(-2)),
            ("B".to_string(), Literal::Boolean(true)),
            ("D".to_string(), Literal::Decimal("1.5".into())),
        ]
    );
}

#[test]
fn the_other_statements() {
    let cases = [
        ("SET 'a' = 'b'", "Set"),
        ("UNSET 'a'", "Unset"),
        ("INSERT INTO t VALUES (1, 'a', ARRAY[1])", "InsertValues"),
        ("INSERT INTO t (a, b) VALUES (1, -2)", "InsertValues"),
        ("INSERT INTO t WITH (QUERY_ID = 'q') SELECT * FROM s", "InsertSelect"),
        ("CREATE TABLE IF NOT EXISTS t WITH (A = 1) AS SELECT * FROM s", "CreateAs"),
        ("CREATE STREAM s WITH (A = 1)", "CreateSource"),
        ("DESCRIBE s EXTENDED", "Describe"),
        ("DESCRIBE FUNCTION sum", "DescribeFunction"),
        ("DESCRIBE function", "Describe"),
        ("EXPLAIN SELECT * FROM s EMIT CHANGES", "ExplainStatement"),
        ("EXPLAIN CSAS_A_1", "ExplainQuery"),
        ("TERMINATE ALL", "Terminate { id: None }"),
        ("TERMINATE CSAS_A_1", "Terminate"),
        ("PAUSE ALL", "Pause { id: None }"),
        ("PAUSE CSAS_A_1", "Pause"),
        ("RESUME ALL", "Resume { id: None }"),
        ("RESUME CSAS_A_1", "Resume"),
        ("DROP STREAM IF EXISTS s DELETE TOPIC", "Drop"),
        ("DROP TABLE if", "Drop"),
    ];
    for (text, expected) in cases {
        let found = format!("{:?}", statement(text));
        assert!(found.starts_with(expected), "{text}: {found}");
    }
    let shows = [
        ("SHOW STREAMS", Show::Streams { all: false, extended: false }),
        ("LIST ALL TABLES EXTENDED", Show::Tables { all: true, extended: true }),
        ("SHOW ALL TOPICS EXTENDED", Show::Topics { all: true, extended: true }),
        ("list topics", Show::Topics { all: false, extended: false }),
        ("SHOW QUERIES EXTENDED", Show::Queries { extended: true }),
        ("SHOW FUNCTIONS", Show::Functions),
        ("SHOW PROPERTIES", Show::Properties),
    ];
    for (text, expected) in shows {
        assert_eq!(statement(text), Statement::Show(expected));
    }
}

#[test]
fn topics_keep_their_case() {
    for (text, name) in
        [("'my-topic'", "my-topic"), ("carParks", "carParks"), ("\"Car\"", "Car"), ("`c`", "c")]
    {
        let text = format!("PRINT {text} FROM BEGINNING INTERVAL 2 LIMIT 3;");
        let Statement::Print { topic, from_beginning, interval, limit } = statement(&text) else {
            panic!("{text}")
        };
        assert_eq!((topic.name.as_str(), from_beginning, interval, limit), (name, true, Some(2), Some(3)));
    }
}

#[test]
fn a_statement_knows_its_text() {
    let text = "-- first\n SHOW STREAMS ;; /* x */ ;\nEXPLAIN  SELECT ';' FROM t -- end\n";
    let parsed = parse_script(text).unwrap_or_default();
    let texts: Vec<_> = parsed.iter().map(|p| p.text.as_str()).collect();
    assert_eq!(texts, ["SHOW STREAMS", "EXPLAIN  SELECT ';' FROM t"]);
    assert!(parsed.iter().all(|p| text[p.span.start..p.span.end] == p.text));
    let Statement::ExplainStatement(inner) = &parsed[1].statement else { panic!("not EXPLAIN") };
    assert_eq!(inner.text, "SELECT ';' FROM t");
    assert_eq!(parse_script(" ;; -- nothing"), Ok(Vec::new()));
    assert!(parse_statement("SHOW STREAMS; ;").is_ok());
    assert!(parse_statement("SHOW STREAMS; SHOW TABLES").is_err());
    assert!(parse_statement("").is_err());
}

#[test]
fn variables_stand_for_parts_of_statements() {
    let text =
        "DEFINE stage = 'test'; DEFINE fields = 'A, B->C'; DEFINE n = '3'; DEFINE what = '''it''''s''';
        CREATE STREAM ${stage}_orders WITH (KAFKA_TOPIC='${Stage}-${none}', PARTITIONS=${n}) AS
        SELECT ${fields}, ${what} AS `${stage} x` FROM a_${stage}_${n} -- ${none}
        ;
        DEFINE n = '4'; SHOW STREAMS; SELECT ${n} FROM t; UNDEFINE n; SELECT '${n}' FROM t";
    let statements = parse_script(text).unwrap_or_else(|error| panic!("{}", error.in_text("t.sql", text)));
    let printed = |i: usize| statements[i].statement.to_string();
    assert_eq!(
        printed(4),
        "CREATE STREAM TEST_ORDERS WITH (KAFKA_TOPIC='test-${none}', PARTITIONS=3) AS \
         SELECT A, B->C, 'it''s' AS `test x` FROM A_TEST_3"
    );
    assert_eq!([printed(7), printed(9)], ["SELECT 4 FROM T", "SELECT '${n}' FROM T"]);
    // A statement's text is what was meant; its place is where it was written.
    assert!(
        statements[4]
            .text
            .starts_with("CREATE STREAM test_orders WITH (KAFKA_TOPIC='test-${none}', PARTITIONS=3)")
    );
    let span = statements[4].span;
    assert!(text[span.start..span.end].starts_with("CREATE STREAM ${stage}_orders"));
    assert_eq!(statements[7].text, "SELECT 4 FROM t");

    let off = Known { variables: None, ..Known::default() };
    let error = parse_script_with("DEFINE a = 'b'; SELECT ${a} FROM t", off).unwrap_err();
    assert_eq!(error.message, "unexpected character `$`");
}
