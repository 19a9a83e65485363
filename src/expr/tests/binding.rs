//! What binds to what, and what is refused with which words.

use super::*;
use crate::expr::display;
use BinaryOp::*;

#[test]
fn expressions_bind_and_fold() {
    let double = SqlType::Double;
    for (expr, shown, ty) in [
        (col("A"), "A", SqlType::Int),
        (col("ROWTIME"), "ROWTIME", SqlType::Bigint),
        (bin(int(1), Plus, int(2)), "3", SqlType::Int),
        (bin(int(7), Divide, int(2)), "3", SqlType::Int),
        (bin(int(7), Divide, int(0)), "7 / 0", SqlType::Int),
        (minus(int(2_147_483_648)), "-2147483648", SqlType::Int),
        (int(2_147_483_648), "2147483648", SqlType::Bigint),
        (bin(col("A"), Plus, col("L")), "CAST(A AS BIGINT) + L", SqlType::Bigint),
        (bin(col("A"), Multiply, bin(col("B"), Plus, int(1))), "A * (B + 1)", SqlType::Int),
        (bin(bin(col("A"), Minus, col("B")), Minus, int(1)), "A - B - 1", SqlType::Int),
        (bin(col("A"), Minus, bin(col("B"), Minus, int(1))), "A - (B - 1)", SqlType::Int),
        (bin(col("D"), Multiply, dec("1.5")), "D * 1.5E0", double.clone()),
        (bin(col("P"), Plus, col("Q")), "P + Q", decimal(7, 3)),
        (bin(col("P"), Multiply, col("Q")), "P * Q", decimal(12, 5)),
        (bin(col("P"), Divide, col("Q")), "P / Q", decimal(15, 9)),
        (bin(col("A"), Plus, col("P")), "CAST(A AS DECIMAL(10, 0)) + P", decimal(13, 2)),
        (bin(dec("1.5"), Plus, dec("0.25")), "1.75", decimal(4, 2)),
        (bin(col("S"), Plus, text("x")), "S + 'x'", SqlType::Varchar),
        (bin(col("S"), Concat, null()), "S || CAST(NULL AS STRING)", SqlType::Varchar),
        (bin(col("A"), Plus, null()), "A + CAST(NULL AS INTEGER)", SqlType::Int),
        (bin(col("DAY"), Eq, text("2020-05-26")), "DAY = DATE '2020-05-26'", SqlType::Boolean),
        (
            bin(text("2020-05-26T10:00+01:00"), Less, col("SEEN")),
            "TIMESTAMP '2020-05-26T09:00:00.000' < SEEN",
            SqlType::Boolean,
        ),
        (bin(col("ROWTIME"), GreaterEq, text("2020-01-01")), "ROWTIME >= 1577836800000", SqlType::Boolean),
        (bin(col("A"), Less, dec("1.5")), "CAST(A AS DECIMAL(10, 0)) < 1.5", SqlType::Boolean),
        (bin(col("A"), IsDistinctFrom, null()), "A IS NOT NULL", SqlType::Boolean),
        (
            bin(null(), Eq, int(1)),
            "!a comparison with NULL is never true; hint: IS NULL, or IS NOT NULL",
            double.clone(),
        ),
        (call("UNIX_TIMESTAMP", vec![]), "UNIX_TIMESTAMP()", SqlType::Bigint),
        (call("UNIX_DATE", vec![]), "UNIX_DATE(CAST(FROM_UNIXTIME(UNIX_TIMESTAMP()) AS DATE))", SqlType::Int),
        (call("RANDOM", vec![]), "RANDOM(ROWTIME, ROWORIGIN, ROWOFFSET, '0')", double.clone()),
        (
            call("UUID", vec![int(1)]),
            "!UUID: takes no argument, not 1; hint: UUID() → STRING",
            double.clone(),
        ),
        (null(), "!NULL has no type here; hint: CAST(NULL AS STRING), or another type", double.clone()),
        (cast(null(), SqlType::Int), "CAST(NULL AS INTEGER)", SqlType::Int),
        (cast(text(" 12 "), SqlType::Int), "12", SqlType::Int),
        (cast(text("twelve"), SqlType::Int), "CAST('twelve' AS INTEGER)", SqlType::Int),
        (
            within(col("A"), vec![int(1), null(), int(3_000_000_000)], false),
            "CAST(A AS BIGINT) IN (1, CAST(NULL AS BIGINT), 3000000000)",
            SqlType::Boolean,
        ),
        (
            within(col("ROWTIME"), vec![text("1970-01-02")], true),
            "ROWTIME NOT IN (86400000)",
            SqlType::Boolean,
        ),
        (like(col("S"), text("L%"), true), "S NOT LIKE 'L%'", SqlType::Boolean),
        (
            case(vec![(bin(col("A"), Greater, int(1)), col("A"))], Some(col("L"))),
            "CASE WHEN A > 1 THEN CAST(A AS BIGINT) ELSE L END",
            SqlType::Bigint,
        ),
        (
            case(vec![(col("F"), null()), (col("G"), text("2020-01-01"))], Some(col("DAY"))),
            "CASE WHEN F THEN CAST(NULL AS DATE) WHEN G THEN DATE '2020-01-01' ELSE DAY END",
            SqlType::Date,
        ),
        (field(col("POINT"), "lat"), "POINT->`lat`", double.clone()),
        (field(structs(vec![("a", col("A")), ("b", col("B"))]), "b"), "B", SqlType::Int),
        (at(col("LIST"), int(-1)), "LIST[-1]", SqlType::Int),
        (at(col("DICT"), text("k")), "DICT['k']", SqlType::Int),
        (not(bin(col("F"), And, col("G"))), "NOT (F AND G)", SqlType::Boolean),
        (bin(bin(col("F"), Or, col("G")), And, col("F")), "(F OR G) AND F", SqlType::Boolean),
        (col("CAPACITY"), "!unknown column CAPACITY", double.clone()),
        (col("POIN"), "!unknown column POIN; hint: did you mean POINT?", double.clone()),
        (field(col("POINT"), "LAT"), "!POINT has no field LAT; hint: did you mean `lat`?", double.clone()),
        (field(col("A"), "X"), "!A is INTEGER, -> needs a STRUCT", double.clone()),
        (
            bin(col("S"), Plus, col("A")),
            "!S is STRING, A is INTEGER: no + for these; hint: CAST(A AS STRING)",
            double.clone(),
        ),
        (
            bin(col("S"), Minus, col("A")),
            "!S is STRING, A is INTEGER: no - for these; hint: CAST(S AS DOUBLE)",
            double.clone(),
        ),
        (
            bin(col("S"), Eq, col("A")),
            "!S is STRING, A is INTEGER: these cannot be compared; hint: CAST(S AS INTEGER), or the other way round",
            double.clone(),
        ),
        (bin(col("F"), Less, col("G")), "!F is BOOLEAN, < needs an order", double.clone()),
        (
            bin(col("DAY"), Eq, text("soon")),
            "!'soon' is not a DATE; hint: write '2020-05-26'",
            double.clone(),
        ),
        (bin(col("A"), And, col("F")), "!A is INTEGER, AND needs BOOLEAN", double.clone()),
        (
            cast(col("F"), SqlType::Int),
            "!F is BOOLEAN, CAST to INTEGER is not possible; hint: CASE WHEN F THEN 1 ELSE 0 END",
            double.clone(),
        ),
        (call("NOPE", vec![]), "!unknown function NOPE; hint: SHOW FUNCTIONS lists them", double.clone()),
        (
            syntax(ExprKind::CountStar),
            "!aggregate COUNT needs GROUP BY, and stands in SELECT or HAVING only; hint: a condition on it is HAVING, behind GROUP BY",
            double.clone(),
        ),
        (
            syntax(ExprKind::Column { qualifier: Some("Z".into()), name: "A".into() }),
            "!unknown source Z; hint: columns come from PARKS or P1",
            double.clone(),
        ),
        (syntax(ExprKind::Column { qualifier: Some("P1".into()), name: "A".into() }), "A", SqlType::Int),
    ] {
        match bound(&expr) {
            Ok(bound) => assert_eq!((display(&bound, &names()).as_str(), bound.ty), (shown, ty)),
            Err(error) => assert_eq!(format!("!{error}"), shown),
        }
    }
}

#[test]
fn precision_rules_hold_at_38_digits() {
    let big = |p, s| cast(col("Q"), decimal(p, s));
    for (op, left, right, want) in [
        (Plus, (38, 10), (38, 10), decimal(38, 10)),
        (Multiply, (20, 10), (20, 10), decimal(38, 17)),
        (Divide, (38, 10), (38, 10), decimal(38, 6)),
        (Divide, (5, 2), (6, 3), decimal(15, 9)),
        (Modulo, (5, 2), (6, 3), decimal(6, 3)),
        (Minus, (5, 2), (6, 3), decimal(7, 3)),
    ] {
        let expr = bin(big(left.0, left.1), op, big(right.0, right.1));
        assert_eq!(bound(&expr).map(|e| e.ty), Ok(want), "{op:?} {left:?} {right:?}");
    }
}

#[test]
fn an_error_points_at_the_part_that_is_wrong() {
    let mut wrong = col("CAPCITY");
    wrong.span = Span::new(4, 11);
    let mut sum = bin(int(1), Plus, wrong);
    sum.span = Span::new(0, 11);
    assert_eq!(bound(&sum).map_err(|e| e.span), Err(Some(Span::new(4, 11))));
}

#[test]
fn columns_are_found_and_moved() {
    let bound = bound(&bin(bin(col("A"), Plus, col("B")), Less, bin(col("A"), Multiply, int(2)))).unwrap();
    let mut used = Vec::new();
    crate::expr::references(&bound, &mut |i| used.push(i));
    assert_eq!(used, [0, 1, 0]);
    let moved = crate::expr::rewrite(&bound, &mut |e| match e.kind {
        crate::expr::ExprKind::Column(i) => {
            Some(Expr { kind: crate::expr::ExprKind::Column(i + 1), ty: e.ty.clone() })
        }
        _ => None,
    });
    assert_eq!(display(&moved, &names()), "B + L < B * 2");
}
