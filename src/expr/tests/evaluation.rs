//! Single expressions on chosen rows: values and notes.

use super::*;
use crate::expr::Projection;
use crate::expr::cast::text as shown;
use BinaryOp::*;

/// `value | notes` over one row.
fn one(expr: ast::Expr, values: &[(&str, Value)]) -> String {
    let (values, notes) = run(&expr, &[row(values)]);
    let notes: Vec<&str> = notes.iter().map(|n| n.trim_start_matches("0: ")).collect();
    if notes.is_empty() {
        shown(&values[0])
    } else {
        format!("{} | {}", shown(&values[0]), notes.join(" | "))
    }
}

#[test]
fn operators_compute() {
    let v = [
        ("A", Value::Int(7)),
        ("B", Value::Int(0)),
        ("L", Value::Bigint(i64::MAX)),
        ("D", Value::Double(72.0)),
        ("E", Value::Double(611.0)),
        ("P", Value::Decimal(12345, 2)),
        ("Q", Value::Decimal(3000, 3)),
        ("S", Value::text("Leeds")),
        ("F", Value::Boolean(true)),
        ("SEEN", Value::Timestamp(1_577_836_800_123)),
        ("CLOCK", Value::Time(37_800_000)),
        ("LIST", Value::Array(vec![Value::Int(1), Value::Null, Value::Int(3)])),
        ("DICT", Value::Map(vec![(Value::text("k"), Value::Int(5))])),
        ("POINT", Value::Struct(vec![Value::Int(1), Value::Double(53.79)])),
        ("RAW", Value::Bytes(b"hi".as_slice().into())),
    ];
    let pct = bin(bin(col("D"), Divide, col("E")), Multiply, int(100));
    for (expr, want) in [
        (pct, "11.783960720130933"),
        (bin(col("A"), Divide, int(2)), "3"),
        (bin(minus(col("A")), Divide, int(2)), "-3"),
        (bin(minus(col("A")), Modulo, int(4)), "-3"),
        (bin(col("A"), Divide, col("B")), "null | division by zero: 7 / 0"),
        (bin(col("A"), Modulo, int(0)), "null | division by zero: 7 % 0"),
        (bin(int(1), Divide, int(0)), "null | division by zero: 1 / 0"),
        (bin(col("L"), Plus, int(1)), "-9223372036854775808"),
        (bin(col("D"), Divide, double(0.0)), "Infinity"),
        (bin(bin(col("D"), Minus, col("D")), Divide, double(0.0)), "NaN"),
        (bin(col("P"), Plus, col("Q")), "126.450"),
        (bin(col("P"), Multiply, col("Q")), "370.35000"),
        (bin(col("P"), Divide, col("Q")), "41.150000000"),
        (bin(col("P"), Divide, int(0)), "null | division by zero: 123.45 / 0"),
        (bin(col("P"), Modulo, int(10)), "3.45"),
        (minus(col("P")), "-123.45"),
        (bin(bin(col("S"), Plus, text(", ")), Concat, bin(col("S"), Concat, text("!"))), "Leeds, Leeds!"),
        (bin(col("S"), Concat, col("T")), "null"),
        (bin(col("S"), Eq, text("Leeds")), "true"),
        (bin(col("S"), Less, text("Leeds and Bradford")), "true"),
        (bin(col("S"), Greater, text("Le")), "true"),
        (bin(col("T"), Eq, text("x")), "false"),
        (bin(col("T"), NotEq, text("x")), "false"),
        (not(bin(col("T"), Eq, text("x"))), "true"),
        (bin(col("T"), IsDistinctFrom, col("S")), "true"),
        (bin(col("T"), IsNotDistinctFrom, col("T")), "true"),
        (bin(col("P"), Greater, col("Q")), "true"),
        (bin(col("P"), Eq, dec("123.450")), "true"),
        (bin(col("SEEN"), Greater, text("2020")), "true"),
        (bin(col("LIST"), Eq, col("LIST")), "true"),
        (bin(col("F"), And, col("G")), "false"),
        (bin(col("F"), Or, col("G")), "true"),
        (not(col("G")), "null"),
        (bin(truth(false), And, bin(bin(int(1), Divide, col("B")), Eq, int(1))), "false"),
        (like(col("S"), text("L%s"), false), "true"),
        (like(col("T"), text("%"), false), "false"),
        (like(col("T"), text("%"), true), "true"),
        (within(col("A"), vec![int(1), int(7)], false), "true"),
        (within(col("A"), vec![int(1), null()], true), "true"),
        (within(col("A"), (0..20).map(int).collect(), false), "true"),
        (within(col("S"), (0..20).map(|i| text(&i.to_string())).collect(), false), "false"),
        (at(col("LIST"), int(1)), "1"),
        (at(col("LIST"), int(-1)), "3"),
        (at(col("LIST"), int(0)), "null"),
        (at(col("LIST"), int(4)), "null"),
        (at(col("LIST"), minus(col("L"))), "null"),
        (at(col("DICT"), text("k")), "5"),
        (at(col("DICT"), text("x")), "null"),
        (field(col("POINT"), "lat"), "53.79"),
        (structs(vec![("lat", field(col("POINT"), "lat")), ("A", int(1))]), "Struct{53.79,1}"),
        (syntax(ExprKind::Array(vec![col("A"), int(1), null()])), "[7, 1, null]"),
        (
            syntax(ExprKind::Map(vec![(text("a"), col("A")), (text("b"), int(2)), (text("a"), int(3))])),
            "{b=2, a=3}",
        ),
        (syntax(ExprKind::Map(vec![(col("T"), int(1))])), "{null=1}"),
        (case(vec![(bin(col("B"), Eq, int(0)), int(-1))], Some(bin(col("A"), Divide, col("B")))), "-1"),
        (case(vec![(col("G"), int(1))], None), "null"),
    ] {
        assert_eq!(one(expr.clone(), &v), want, "{expr:?}");
    }
}

#[test]
fn casts_convert() {
    use SqlType::*;
    let v = [
        ("A", Value::Int(-7)),
        ("L", Value::Bigint(3_000_000_000)),
        ("D", Value::Double(-2.5)),
        ("E", Value::Double(f64::NAN)),
        ("P", Value::Decimal(-12355, 2)),
        ("S", Value::text(" 12.345 ")),
        ("T", Value::text("Leeds")),
        ("F", Value::Boolean(true)),
        ("SEEN", Value::Timestamp(-1)),
        ("CLOCK", Value::Time(37_800_000)),
        ("DAY", Value::Date(-1)),
        ("RAW", Value::Bytes(b"hi".as_slice().into())),
        ("LIST", Value::Array(vec![Value::Int(1), Value::Null])),
        ("POINT", Value::Struct(vec![Value::Int(1), Value::Null])),
    ];
    let array = |ty| Array(Box::new(ty));
    for (from, to, want) in [
        (col("A"), Varchar, "-7"),
        (col("A"), Double, "-7.0"),
        (col("A"), decimal(4, 2), "-7.00"),
        (col("A"), decimal(2, 2), "null | CAST: -7 does not fit DECIMAL(2, 2)"),
        (col("L"), Int, "-1294967296"),
        (col("L"), Timestamp, "1970-02-04T17:20:00.000"),
        (col("D"), Int, "-2"),
        (col("D"), decimal(3, 0), "-3"),
        (col("D"), Varchar, "-2.5"),
        (col("E"), Int, "null | CAST: NaN does not fit INTEGER"),
        (col("E"), Varchar, "NaN"),
        (double(1e10), Varchar, "1.0E10"),
        (double(3e9), Int, "null | CAST: 3.0E9 does not fit INTEGER"),
        (col("P"), decimal(4, 1), "-123.6"),
        (col("P"), Int, "-123"),
        (col("P"), Varchar, "-123.55"),
        (col("P"), Double, "-123.55"),
        (col("S"), decimal(5, 2), "12.35"),
        (col("S"), Double, "12.345"),
        (col("S"), Int, "null | CAST: ' 12.345 ' is not INTEGER"),
        (col("T"), Double, "null | CAST: 'Leeds' is not DOUBLE"),
        (col("T"), Boolean, "null | CAST: 'Leeds' is not BOOLEAN"),
        (text("YE"), Boolean, "true"),
        (text(" f "), Boolean, "false"),
        (text("trues"), Boolean, "null | CAST: 'trues' is not BOOLEAN"),
        (text("aGk="), Bytes, "aGk="),
        (text("?"), Bytes, "null | CAST: '?' is not BYTES"),
        (col("RAW"), Varchar, "aGk="),
        (col("F"), Varchar, "true"),
        (col("SEEN"), Date, "1969-12-31"),
        (col("SEEN"), Time, "23:59:59.999"),
        (col("SEEN"), Varchar, "1969-12-31T23:59:59.999"),
        (col("SEEN"), Bigint, "-1"),
        (col("DAY"), Timestamp, "1969-12-31T00:00:00.000"),
        (col("CLOCK"), Varchar, "10:30"),
        (text("2020-01-01 10:00+01:00"), Timestamp, "2020-01-01T09:00:00.000"),
        (text("2020-02-30"), Date, "null | CAST: '2020-02-30' is not DATE"),
        (col("G"), Varchar, "null"),
        (col("LIST"), Varchar, "[1, null]"),
        (col("LIST"), array(Varchar), "[1, null]"),
        (col("POINT"), Varchar, "Struct{X=1}"),
        (
            syntax(ExprKind::Array(vec![col("S"), col("T")])),
            array(Double),
            "[12.345, null] | CAST: 'Leeds' is not DOUBLE",
        ),
        (
            col("POINT"),
            Struct(vec![
                StructField { name: "Y".into(), ty: Int },
                StructField { name: "X".into(), ty: Varchar },
            ]),
            "Struct{1}",
        ),
    ] {
        assert_eq!(one(cast(from.clone(), to.clone()), &v), want, "CAST({from:?} AS {to})");
    }
}

#[test]
fn only_rows_that_take_a_branch_leave_notes() {
    let quotient = || bin(col("A"), Divide, col("B"));
    let rows: Vec<_> = [(1, 0), (6, 3), (2, 0), (8, 2)]
        .map(|(a, b)| row(&[("A", Value::Int(a)), ("B", Value::Int(b))]))
        .into();
    let safe = case(vec![(bin(col("B"), NotEq, int(0)), quotient())], None);
    assert_eq!(run(&safe, &rows).1, [""; 0]);
    let guarded = bin(bin(col("A"), Greater, int(1)), And, bin(quotient(), Greater, int(1)));
    assert_eq!(run(&guarded, &rows).1, ["2: division by zero: 2 / 0"]);
}

#[test]
fn a_function_sees_only_the_rows_that_ask_for_it() {
    use crate::expr::call::with_function;
    use crate::expr::case::Case;
    use crate::expr::function::{Binding, Category, Function, Overload};
    use crate::expr::node::{ColumnNode, Frame, Node};
    use arrow_array::cast::AsArray;

    static HALVE: Function = Function {
        name: "HALVE",
        category: Category::Numeric,
        usage: "HALVE(number) → INT",
        summary: "Half of an even number.",
        binding: Binding::Plain,
        resolve: |_| {
            Ok(Overload {
                args: vec![SqlType::Int],
                returns: SqlType::Int,
                kernel: Box::new(|_| {
                    Ok(Box::new(|args: &[Column], rows: usize, notes: &mut Notes| {
                        let value = |i| match args[0].value(i) {
                            Value::Int(v) if v % 2 == 0 => Value::Int(v / 2),
                            _ => Value::Null,
                        };
                        let values: Vec<Value> = (0..rows).map(value).collect();
                        for (row, _) in values.iter().enumerate().filter(|(_, v)| v.is_null()) {
                            notes.note(row, || "odd".to_string());
                        }
                        Value::array(&SqlType::Int, values.iter())
                    }))
                }),
            })
        },
    };
    let args = [Expr { kind: crate::expr::ExprKind::Column(0), ty: SqlType::Int }];
    let expr = Expr {
        kind: crate::expr::ExprKind::Call { function: "HALVE".into(), args: args.to_vec() },
        ty: SqlType::Int,
    };
    let halve = with_function(&HALVE, &expr, &args, vec![Box::new(ColumnNode(0))]).unwrap();
    let flag = names().iter().position(|n| n == "F").unwrap();
    let mut case = Case {
        branches: vec![(Box::new(ColumnNode(flag)), halve)],
        otherwise: None,
        ty: SqlType::Int.arrow(),
    };
    let rows: Vec<_> = [(1, false), (4, true), (3, true), (6, true)]
        .map(|(a, f)| row(&[("A", Value::Int(a)), ("F", Value::Boolean(f))]))
        .into();
    let batch = batch(&rows, &[]);
    let mut notes = Notes::default();
    let result = case.eval(&mut Frame { batch: &batch, mask: None, shared: &[], notes: &mut notes });
    let values: Vec<Value> = (0..4).map(|i| result.value(i)).collect();
    assert_eq!(values, [Value::Null, Value::Int(2), Value::Null, Value::Int(3)]);
    assert_eq!(notes.notes.iter().map(|n| n.row).collect::<Vec<_>>(), [2]);
    assert_eq!(result.to_array(4).as_primitive::<arrow_array::types::Int32Type>().len(), 4);
}

#[test]
fn equal_parts_are_evaluated_once() {
    let quotient = || bin(col("A"), Divide, col("B"));
    let exprs: Vec<Expr> = [quotient(), bin(quotient(), Plus, int(1)), bin(quotient(), Greater, int(0))]
        .iter()
        .map(|e| bound(e).unwrap())
        .collect();
    let rows = [row(&[("A", Value::Int(1)), ("B", Value::Int(0))])];
    let mut notes = Notes::default();
    let columns = Projection::compile(&exprs).unwrap().eval(&batch(&rows, &[]), &mut notes);
    assert_eq!(columns.len(), 3);
    assert_eq!(notes.notes.len(), 1);
}

#[test]
fn filters_take_null_for_false() {
    let rows: Vec<_> =
        [Value::Boolean(true), Value::Null, Value::Boolean(false)].map(|f| row(&[("F", f)])).into();
    let mut evaluator = compile(&bound(&col("F")).unwrap()).unwrap();
    let kept = evaluator.filter(&batch(&rows, &[]), &mut Notes::default());
    assert_eq!(kept.iter().collect::<Vec<_>>(), [Some(true), Some(false), Some(false)]);
}

#[test]
fn pseudo_columns_come_from_the_origin() {
    let rows = vec![row(&[]); 2];
    assert_eq!(run(&col("ROWTIME"), &rows).0, vec![Value::Bigint(1_577_836_800_000); 2]);
    assert_eq!(run(&col("ROWPARTITION"), &rows).0, vec![Value::Int(3); 2]);
    assert_eq!(run(&col("ROWOFFSET"), &rows).0, [Value::Bigint(0), Value::Bigint(1)]);
}

#[test]
fn what_is_random_is_a_function_of_the_record() {
    let rows = vec![row(&[]); 50];
    let random = |rows: &[Vec<Value>]| run(&call("RANDOM", vec![]), rows).0;
    let all = random(&rows);
    // A batch cut elsewhere gives its records the same.
    assert_eq!(random(&rows[..20]), all[..20]);
    let mut numbers: Vec<f64> =
        all.iter().map(|v| if let Value::Double(v) = v { *v } else { -1.0 }).collect();
    assert!(numbers.iter().all(|v| (0.0..1.0).contains(v)));
    numbers.sort_by(f64::total_cmp);
    numbers.dedup();
    assert_eq!(numbers.len(), rows.len());
    // The day of asking, which is not that of the record.
    assert!(matches!(run(&call("UNIX_DATE", vec![]), &rows[..1]).0[0], Value::Int(20_000..)));
}
