//! What a statement is printed as parses to the same statement.

use crate::error::Span;
use crate::sql::ast::*;
use crate::sql::parse_statement;
use crate::types::{Part, SqlType, StructField};
use proptest::prelude::*;
use proptest::sample::select;

fn ident(name: String) -> Ident {
    Ident { name, span: Span::default() }
}

/// Bare, in need of quotes, and words of the dialect.
fn name() -> impl Strategy<Value = String> {
    let known =
        ["A", "B_1", "b c", "SELECT", "IF", "COLUMN", "MAP", "ALL", "x`y", "d:z", "1R", "é", "KEY", "OFFSET"];
    select(known.map(String::from).to_vec())
}

fn named() -> impl Strategy<Value = Ident> {
    name().prop_map(ident)
}

fn text() -> impl Strategy<Value = String> {
    select(["", "it's", "a;b", "--", "${", "\n\t", "%_", "é"].map(String::from).to_vec())
}

fn literal() -> impl Strategy<Value = Literal> {
    prop_oneof![
        Just(Literal::Null),
        any::<bool>().prop_map(Literal::Boolean),
        any::<i64>().prop_map(Literal::Integer),
        select(["1.50", "0.5", "-7", "-0.0", "12345678901234567890.1"].to_vec())
            .prop_map(|digits| Literal::Decimal(digits.into())),
        any::<f64>().prop_filter("a number", |v| v.is_finite()).prop_map(Literal::Double),
        text().prop_map(Literal::String),
    ]
}

fn ty() -> impl Strategy<Value = SqlType> {
    let plain = select(vec![
        SqlType::Boolean,
        SqlType::Int,
        SqlType::Bigint,
        SqlType::Double,
        SqlType::Decimal { precision: 38, scale: 5 },
        SqlType::Varchar,
        SqlType::Bytes,
        SqlType::Date,
        SqlType::Time,
        SqlType::Timestamp,
    ]);
    plain.prop_recursive(2, 6, 2, |inner| {
        prop_oneof![
            inner.clone().prop_map(|item| SqlType::Array(Box::new(item))),
            (inner.clone(), inner.clone()).prop_map(|(k, v)| SqlType::Map(Box::new(k), Box::new(v))),
            (inner.clone(), inner).prop_map(|(a, b)| {
                let field = |name: &str, ty| StructField { name: name.into(), ty };
                SqlType::Struct(vec![field("SELECT", a), field("b c", b)])
            }),
        ]
    })
}

fn at(kind: ExprKind) -> Expr {
    Expr { kind, span: Span::default() }
}

fn operators() -> impl Strategy<Value = BinaryOp> {
    use BinaryOp::*;
    select(vec![
        Or,
        And,
        Eq,
        NotEq,
        Less,
        LessEq,
        Greater,
        GreaterEq,
        IsDistinctFrom,
        IsNotDistinctFrom,
        Plus,
        Minus,
        Multiply,
        Divide,
        Modulo,
        Concat,
    ])
}

fn expr() -> impl Strategy<Value = Expr> {
    let column =
        (prop::option::of(name()), name()).prop_map(|(qualifier, name)| ExprKind::Column { qualifier, name });
    let leaf = prop_oneof![literal().prop_map(ExprKind::Literal), column, Just(ExprKind::CountStar)];
    leaf.prop_map(at).prop_recursive(4, 24, 3, |inner| {
        let boxed = || inner.clone().prop_map(Box::new);
        let some = || prop::collection::vec(inner.clone(), 1..3);
        let negated = any::<bool>();
        let calls = select(["F", "LEFT", "MAP", "CAST", "STRUCT", "SELECT", "odd name"].to_vec());
        prop_oneof![
            (boxed(), named()).prop_map(|(base, field)| ExprKind::Field { base, field }),
            (boxed(), boxed()).prop_map(|(base, index)| ExprKind::Subscript { base, index }),
            (select(vec![UnaryOp::Plus, UnaryOp::Minus, UnaryOp::Not]), boxed())
                .prop_map(|(op, operand)| ExprKind::Unary { op, operand }),
            (operators(), boxed(), boxed()).prop_map(|(op, left, right)| ExprKind::Binary {
                op,
                left,
                right
            }),
            (boxed(), boxed(), boxed(), negated).prop_map(|(operand, low, high, negated)| {
                ExprKind::Between { operand, low, high, negated }
            }),
            (boxed(), some(), negated).prop_map(|(operand, list, negated)| ExprKind::In {
                operand,
                list,
                negated
            }),
            (boxed(), boxed(), prop::option::of(select(vec!['!', '\''])), negated).prop_map(
                |(operand, pattern, escape, negated)| ExprKind::Like { operand, pattern, escape, negated }
            ),
            (boxed(), negated).prop_map(|(operand, negated)| ExprKind::IsNull { operand, negated }),
            (
                prop::option::of(boxed()),
                prop::collection::vec((inner.clone(), inner.clone()), 1..3),
                prop::option::of(boxed())
            )
                .prop_map(|(operand, branches, otherwise)| ExprKind::Case {
                    operand,
                    branches,
                    otherwise
                }),
            (boxed(), ty()).prop_map(|(operand, ty)| ExprKind::Cast { operand, ty }),
            (calls, prop::collection::vec(inner.clone(), 0..3))
                .prop_map(|(name, args)| ExprKind::Call { name: ident(name.to_uppercase()), args }),
            some().prop_map(ExprKind::Array),
            prop::collection::vec((inner.clone(), inner.clone()), 1..3).prop_map(ExprKind::Map),
            inner.clone().prop_map(|value| ExprKind::Struct(vec![(ident("IN".into()), value)])),
        ]
        .prop_map(at)
    })
}

fn item() -> impl Strategy<Value = SelectItem> {
    let span = Span::default();
    let based = (name(), named()).prop_map(|(name, field)| {
        let base = Box::new(at(ExprKind::Column { qualifier: None, name }));
        at(ExprKind::Field { base, field })
    });
    prop_oneof![
        prop::option::of(named()).prop_map(move |qualifier| SelectItem::Star { qualifier, span }),
        based.prop_map(move |base| SelectItem::StructStar { base, span }),
        (expr(), prop::option::of(named())).prop_map(|(expr, alias)| SelectItem::Expr { expr, alias }),
    ]
}

/// What FROM and JOIN read; queries in it are so many levels deep at most.
fn read(levels: u32) -> BoxedStrategy<Read> {
    let named = named().prop_map(What::Named);
    let what = match levels.checked_sub(1) {
        None => named.boxed(),
        Some(levels) => prop_oneof![
            6 => named,
            1 => query(levels).prop_map(|query| What::Queries(vec![query])),
            1 => prop::collection::vec(query_body(levels), 2..4).prop_map(What::Queries),
        ]
        .boxed(),
    };
    (what, prop::option::of(self::named())).prop_map(|(what, alias)| Read { what, alias }).boxed()
}

fn join(levels: u32) -> impl Strategy<Value = Join> {
    use JoinKind::*;
    let within = (0..i64::MAX, 0..i64::MAX, prop::option::of(0..i64::MAX)).prop_map(
        |(before_ms, after_ms, grace_ms)| Within { before_ms, after_ms, grace_ms, span: Span::default() },
    );
    let kind = select(vec![Inner, Left, Right, Full]);
    (kind, read(levels), prop::option::of(within), expr()).prop_map(|(kind, read, within, on)| Join {
        kind,
        read,
        within,
        on,
        span: Span::default(),
    })
}

fn window() -> impl Strategy<Value = Window> {
    let ms = || 1..i64::MAX;
    let kind = prop_oneof![
        ms().prop_map(|size_ms| WindowKind::Tumbling { size_ms }),
        (ms(), ms()).prop_map(|(size_ms, advance_ms)| WindowKind::Hopping { size_ms, advance_ms }),
        ms().prop_map(|gap_ms| WindowKind::Session { gap_ms }),
    ];
    (kind, prop::option::of(ms()), prop::option::of(ms())).prop_map(|(kind, retention_ms, grace_ms)| Window {
        kind,
        retention_ms,
        grace_ms,
        span: Span::default(),
    })
}

/// Without what stands before and behind queries that are united.
fn query_body(levels: u32) -> BoxedStrategy<Query> {
    let exprs = || prop::collection::vec(expr(), 0..3);
    let joins = prop::collection::vec(join(levels), 0..3);
    let head = (any::<bool>(), prop::collection::vec(item(), 1..4), read(levels), joins);
    let body =
        (prop::option::of(window()), prop::option::of(expr()), exprs(), exprs(), prop::option::of(expr()));
    let query = |((distinct, select, from, joins), (window, filter, group_by, partition_by, having))| {
        let all = Query::all_of(from, Span::default());
        Query { distinct, select, joins, window, filter, group_by, partition_by, having, ..all }
    };
    (head, body).prop_map(query).boxed()
}

fn query(levels: u32) -> BoxedStrategy<Query> {
    let order = (expr(), any::<bool>(), prop::option::of(any::<bool>()))
        .prop_map(|(expr, descending, nulls_first)| OrderBy { expr, descending, nulls_first });
    let emit = prop::option::of(select(vec![Emit::Changes, Emit::Final]));
    let count = || prop::option::of(0..u64::MAX);
    let tail = (prop::collection::vec(order, 0..3), emit, count(), count());
    let with = match levels.checked_sub(1) {
        None => Just(Vec::new()).boxed(),
        Some(levels) => prop::collection::vec(query(levels), 0..2).boxed(),
    };
    let query = |(with, body, (order_by, emit, limit, offset)): (Vec<Query>, _, _)| {
        let with = with.into_iter().zip(["X", "RECURSIVE"]);
        let with = with.map(|(query, name)| CommonTable { name: ident(name.into()), query }).collect();
        Query { with, order_by, emit, limit, offset, ..body }
    };
    (with, query_body(levels), tail).prop_map(query).boxed()
}

fn properties() -> impl Strategy<Value = Properties> {
    let value = literal().prop_filter("not NULL", |value| *value != Literal::Null);
    let all = prop::collection::vec(value, 0..3);
    all.prop_map(|values| {
        let named = values.into_iter().zip(["KAFKA_TOPIC", "TIMESTAMP", "X"]);
        let property = |(value, name): (Literal, &str)| Property {
            name: ident(name.into()),
            value,
            value_span: Span::default(),
        };
        named.map(property).collect()
    })
}

fn columns(kind: SourceKind) -> impl Strategy<Value = Vec<ColumnSpec>> {
    let part =
        prop_oneof![Just(Part::Value), Just(Part::Key), Just(Part::Headers), text().prop_map(Part::Header),];
    let column = (named(), ty(), part).prop_map(|(name, ty, part)| ColumnSpec { name, ty, part });
    let _ = kind;
    prop::collection::vec(column, 1..4)
}

fn kind() -> impl Strategy<Value = SourceKind> {
    select(vec![SourceKind::Stream, SourceKind::Table])
}

fn created() -> impl Strategy<Value = Statement> {
    let flags = (any::<bool>(), any::<bool>(), any::<bool>());
    let source = (kind(), flags, named(), columns(SourceKind::Stream), properties()).prop_map(
        |(kind, (read_only, or_replace, if_not_exists), name, columns, with)| Statement::CreateSource {
            kind,
            read_only,
            or_replace: or_replace && !read_only,
            if_not_exists,
            name,
            columns,
            with,
        },
    );
    let derived = (kind(), any::<bool>(), any::<bool>(), named(), properties(), query(1)).prop_map(
        |(kind, or_replace, if_not_exists, name, with, query)| Statement::CreateAs {
            kind,
            or_replace,
            if_not_exists,
            name,
            with,
            query,
        },
    );
    prop_oneof![source, derived]
}

fn shown() -> impl Strategy<Value = Show> {
    (0..8, any::<bool>(), any::<bool>()).prop_map(|(what, all, extended)| match what {
        0 => Show::Streams { all, extended },
        1 => Show::Tables { all, extended },
        2 => Show::Topics { all, extended },
        3 => Show::Queries { extended },
        4 => Show::Functions,
        5 => Show::Properties,
        6 => Show::Types,
        _ => Show::Variables,
    })
}

fn assertion() -> impl Strategy<Value = Assertion> {
    let text = || text().prop_map(ident);
    prop_oneof![
        (text(), properties()).prop_map(|(name, with)| Assertion::Topic { name, with }),
        (prop::option::of(text()), 0..u32::MAX)
            .prop_map(|(subject, id)| Assertion::Schema { subject, id: Some(id) }),
        text().prop_map(|subject| Assertion::Schema { subject: Some(subject), id: None }),
    ]
}

fn other() -> impl Strategy<Value = Statement> {
    let added = prop::collection::vec((named(), ty()), 1..3).prop_map(|columns| {
        let column = |(name, ty)| ColumnSpec { name, ty, part: Part::Value };
        columns.into_iter().map(column).collect::<Vec<_>>()
    });
    let inserted = (named(), prop::collection::vec((named(), expr()), 1..3), any::<bool>()).prop_map(
        |(target, pairs, with_columns)| {
            let (columns, values): (Vec<Ident>, Vec<Expr>) = pairs.into_iter().unzip();
            Statement::InsertValues { target, columns: with_columns.then_some(columns), values }
        },
    );
    prop_oneof![
        inserted,
        (named(), properties(), query(1)).prop_map(|(target, with, query)| Statement::InsertSelect {
            target,
            with,
            query
        }),
        (text(), text()).prop_map(|(property, value)| Statement::Set { property, value }),
        text().prop_map(|property| Statement::Unset { property }),
        (any::<bool>(), select(vec!["T", "t 1"]), ty()).prop_map(|(if_not_exists, name, ty)| {
            Statement::CreateType { if_not_exists, name: ident(name.into()), ty }
        }),
        (any::<bool>(), named()).prop_map(|(if_exists, name)| Statement::DropType { if_exists, name }),
        (select(vec!["a", "select"]), text())
            .prop_map(|(name, value)| Statement::Define { name: ident(name.into()), value }),
        Just(Statement::Undefine { name: ident("a".into()) }),
        (kind(), named(), added).prop_map(|(kind, name, columns)| Statement::Alter { kind, name, columns }),
        (any::<bool>(), assertion(), prop::option::of(0..i64::MAX))
            .prop_map(|(exists, what, timeout_ms)| Statement::Assert { exists, what, timeout_ms }),
        text().prop_map(|file| Statement::RunScript { file: ident(file) }),
        shown().prop_map(Statement::Show),
        (kind(), any::<bool>()).prop_map(|(kind, extended)| Statement::DescribeAll { kind, extended }),
        (named(), any::<bool>()).prop_map(|(name, extended)| Statement::Describe { name, extended }),
        Just(Statement::DescribeFunction { name: ident("MAP".into()) }),
        (named(), any::<bool>()).prop_map(|(id, picture)| Statement::ExplainQuery { id, picture }),
        (text().prop_map(ident), any::<bool>(), prop::option::of(0..9u64), prop::option::of(0..9u64))
            .prop_map(|(topic, from_beginning, interval, limit)| Statement::Print {
                topic,
                from_beginning,
                interval,
                limit
            }),
        prop::option::of(named()).prop_map(|id| Statement::Terminate { id }),
        prop::option::of(named()).prop_map(|id| Statement::Pause { id }),
        prop::option::of(named()).prop_map(|id| Statement::Resume { id }),
        (kind(), any::<bool>(), named(), any::<bool>()).prop_map(|(kind, if_exists, name, delete_topic)| {
            Statement::Drop { kind, if_exists, name, delete_topic }
        }),
    ]
}

/// The tree without its places.
fn shape(statement: &Statement) -> String {
    let debug = format!("{statement:?}");
    let mut out = String::new();
    let mut rest = debug.as_str();
    while let Some(start) = rest.find("Span { start: ") {
        out.push_str(&rest[..start]);
        rest = &rest[start..];
        rest = &rest[rest.find('}').map_or(rest.len(), |end| end + 1)..];
    }
    out + rest
}

fn check(statement: &Statement) -> std::result::Result<(), TestCaseError> {
    let text = statement.to_string();
    match parse_statement(&text) {
        Ok(parsed) => prop_assert_eq!(shape(&parsed.statement), shape(statement), "{}", text),
        Err(error) => prop_assert!(false, "{}", error.in_text("printed", &text)),
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_query_comes_back(query in query(2)) {
        check(&Statement::Select(query))?;
    }

    #[test]
    fn what_is_created_comes_back(statement in created()) {
        check(&statement)?;
    }

    #[test]
    fn other_statements_come_back(statement in other()) {
        check(&statement)?;
    }
}

#[test]
fn statements_are_printed_as_people_write_them() {
    for text in [
        "CREATE TABLE T WITH (KAFKA_TOPIC='t', PARTITIONS=3) AS SELECT A, COUNT(*) AS N FROM S WHERE A > 1 GROUP BY A EMIT CHANGES",
        "CREATE SOURCE STREAM S (A INTEGER KEY, B ARRAY<STRUCT<X DOUBLE>>) WITH (FORMAT='JSON')",
        "SELECT (A + 1) * 2, -(B), P->X[1] FROM S AS X LIMIT 3",
        "EXPLAIN SELECT * FROM S",
        "WITH X AS (SELECT A FROM S) SELECT X.A FROM X JOIN (SELECT DISTINCT A FROM T) AS Y ON X.A = Y.A LIMIT 3 OFFSET 1",
        "SELECT * FROM (SELECT A FROM S UNION ALL SELECT A FROM T) EMIT CHANGES",
    ] {
        assert_eq!(parse_statement(text).unwrap().statement.to_string(), text);
    }
}
