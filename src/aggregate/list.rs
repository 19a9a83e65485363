//! The list of aggregates: names, and which overload fits the arguments.

use super::spec::{Spec, Statistic};
use super::{Aggregate, InKsqldb, Overload, Pack};
use crate::expr::common_type;
use crate::expr::function::Arg;
use crate::types::{SqlType, StructField};
use crate::value::Value;

pub static ALL: &[Aggregate] = &[
    Aggregate {
        name: "ATTR",
        usage: "ATTR(x) → type of x",
        summary: "The value that all rows have, NULL included; NULL where there are several.",
        example: ("ATTR(X)", "ARRAY['a', 'a']", "a"),
        in_ksqldb: InKsqldb::OverBoth,
        resolve: |args| one_of_set(args, Spec::Attr),
    },
    Aggregate {
        name: "AVG",
        usage: "AVG(number) → DOUBLE",
        summary: "The mean of the values that are not NULL; of none, NULL.",
        example: ("AVG(X)", "ARRAY[1, 2, NULL]", "1.5"),
        in_ksqldb: InKsqldb::OverBoth,
        resolve: avg,
    },
    Aggregate {
        name: "COLLECT_LIST",
        usage: "COLLECT_LIST(x) → ARRAY<type of x>",
        summary: "All values with their NULLs, in the order of arrival; SET 'ksql.functions.collect_list.limit' keeps the first.",
        example: ("COLLECT_LIST(X)", "ARRAY[2, NULL, 2]", "[2, null, 2]"),
        in_ksqldb: InKsqldb::OverBoth,
        resolve: |args| collect(args, Spec::CollectList),
    },
    Aggregate {
        name: "COLLECT_SET",
        usage: "COLLECT_SET(x) → ARRAY<type of x>",
        summary: "The distinct values, in the order of their first arrival; NULL counts as a value; SET 'ksql.functions.collect_set.limit' keeps the first.",
        example: ("COLLECT_SET(X)", "ARRAY[2, 1, 2]", "[2, 1]"),
        in_ksqldb: InKsqldb::OverStreams,
        resolve: |args| collect(args, Spec::CollectSet),
    },
    Aggregate {
        name: "CORRELATION",
        usage: "CORRELATION(x, y) → DOUBLE",
        summary: "Pearson's coefficient of the pairs of which neither is NULL, from exact sums; of fewer than two NaN.",
        example: ("CORRELATION(X, X * -2)", "ARRAY[1, 2, 4]", "-1.0"),
        in_ksqldb: InKsqldb::OverBoth,
        resolve: correlation,
    },
    Aggregate {
        name: "COUNT",
        usage: "COUNT(*) → BIGINT\nCOUNT(x) → BIGINT",
        summary: "The number of rows, or of values that are not NULL.",
        example: ("COUNT(X)", "ARRAY[1, NULL, 1]", "2"),
        in_ksqldb: InKsqldb::OverBoth,
        resolve: count,
    },
    Aggregate {
        name: "COUNT_DISTINCT",
        usage: "COUNT_DISTINCT(x) → BIGINT",
        summary: "The exact number of distinct values that are not NULL.",
        example: ("COUNT_DISTINCT(X)", "ARRAY[1, NULL, 1]", "1"),
        in_ksqldb: InKsqldb::OverStreams,
        resolve: |args| Ok(overload(vec![any(one(args)?)?], SqlType::Bigint, Spec::CountDistinct)),
    },
    Aggregate {
        name: "EARLIEST_BY_OFFSET",
        usage: "EARLIEST_BY_OFFSET(x[, ignore_nulls]) → type of x\nEARLIEST_BY_OFFSET(x, n[, ignore_nulls]) → ARRAY<type of x>",
        summary: "The first value, or the n first, in the order of arrival; NULLs are skipped unless ignore_nulls is false. Over a table, by ROWTIME.",
        example: ("EARLIEST_BY_OFFSET(X, 2)", "ARRAY[7, 8, 9]", "[7, 8]"),
        in_ksqldb: InKsqldb::OverStreams,
        resolve: |args| by_offset(args, |ignore_nulls, n| Spec::Earliest { ignore_nulls, n }),
    },
    Aggregate {
        name: "HISTOGRAM",
        usage: "HISTOGRAM(text) → MAP<STRING, BIGINT>",
        summary: "Each text that is not NULL with how often it comes.",
        example: ("HISTOGRAM(X)", "ARRAY['a', 'b', 'a']", "{a=2, b=1}"),
        in_ksqldb: InKsqldb::OverBoth,
        resolve: histogram,
    },
    Aggregate {
        name: "LATEST_BY_OFFSET",
        usage: "LATEST_BY_OFFSET(x[, ignore_nulls]) → type of x\nLATEST_BY_OFFSET(x, n[, ignore_nulls]) → ARRAY<type of x>",
        summary: "The last value, or the n last, in the order of arrival; NULLs are skipped unless ignore_nulls is false. Over a table, by ROWTIME.",
        example: ("LATEST_BY_OFFSET(X)", "ARRAY[7, 8, NULL]", "8"),
        in_ksqldb: InKsqldb::OverStreams,
        resolve: |args| by_offset(args, |ignore_nulls, n| Spec::Latest { ignore_nulls, n }),
    },
    Aggregate {
        name: "MAX",
        usage: "MAX(x) → type of x",
        summary: "The greatest value that is not NULL; NaN is the greatest DOUBLE.",
        example: ("MAX(X)", "ARRAY[1, 3, 2]", "3"),
        in_ksqldb: InKsqldb::OverStreams,
        resolve: |args| extreme(args, Spec::Max),
    },
    Aggregate {
        name: "MEDIAN",
        usage: "MEDIAN(number) → DOUBLE",
        summary: "The value in the middle, or half-way between the two there; exact, all distinct values are kept.",
        example: ("MEDIAN(X)", "ARRAY[1, 9, 4, 2]", "3.0"),
        in_ksqldb: InKsqldb::No,
        resolve: |args| percentile(one(args)?, 5, 1),
    },
    Aggregate {
        name: "MIN",
        usage: "MIN(x) → type of x",
        summary: "The least value that is not NULL; NaN is the greatest DOUBLE.",
        example: ("MIN(X)", "ARRAY[1, 3, 2]", "1"),
        in_ksqldb: InKsqldb::OverStreams,
        resolve: |args| extreme(args, Spec::Min),
    },
    Aggregate {
        name: "PERCENTILE",
        usage: "PERCENTILE(number, p) → DOUBLE",
        summary: "The value that lies above the part p, from 0 to 1, of all others, between two of them in proportion; exact, all distinct values are kept.",
        example: ("PERCENTILE(X, 0.95)", "ARRAY[1, 2, 3]", "2.9"),
        in_ksqldb: InKsqldb::No,
        resolve: percentile_of,
    },
    Aggregate {
        name: "STDDEV",
        usage: "STDDEV(number) → DOUBLE",
        summary: "The standard deviation of a sample, from exact sums; of fewer than two values NULL.",
        example: ("STDDEV(X)", "ARRAY[2, 4, 4, 6]", "1.632993161855452"),
        in_ksqldb: InKsqldb::No,
        resolve: |args| spread(args, Statistic::Deviation),
    },
    Aggregate {
        name: "STDDEV_POP",
        usage: "STDDEV_POP(number) → DOUBLE",
        summary: "The standard deviation of all there is, from exact sums; of no values NULL.",
        example: ("STDDEV_POP(X)", "ARRAY[2, 4, 4, 6]", "1.4142135623730951"),
        in_ksqldb: InKsqldb::No,
        resolve: |args| spread(args, Statistic::PopulationDeviation),
    },
    Aggregate {
        name: "STDDEV_SAMP",
        usage: "STDDEV_SAMP(number) → DOUBLE",
        summary: "The variance of a sample, which the dialect calls so; of fewer than two values 0. STDDEV is the deviation.",
        example: ("STDDEV_SAMP(X)", "ARRAY[2, 4]", "2.0"),
        in_ksqldb: InKsqldb::OverBoth,
        resolve: |args| spread(args, Statistic::StddevSamp),
    },
    Aggregate {
        name: "STDDEV_SAMPLE",
        usage: "STDDEV_SAMPLE(number) → DOUBLE",
        summary: "The standard deviation of a sample; of fewer than two values 0.",
        example: ("STDDEV_SAMPLE(X)", "ARRAY[2, 4]", "1.4142135623730951"),
        in_ksqldb: InKsqldb::OverBoth,
        resolve: |args| spread(args, Statistic::StddevSample),
    },
    Aggregate {
        name: "SUM",
        usage: "SUM(number) → INT, BIGINT, DOUBLE or DECIMAL, as the number",
        summary: "The sum of the values that are not NULL; of none, 0. Integers wrap, doubles are summed exactly, a DECIMAL out of range is NULL.",
        example: ("SUM(X)", "ARRAY[1, 2, NULL]", "3"),
        in_ksqldb: InKsqldb::OverBoth,
        resolve: sum,
    },
    Aggregate {
        name: "SUM_LIST",
        usage: "SUM_LIST(array) → the items' type",
        summary: "The sum of all items of all arrays that are not NULL; of none, 0.",
        example: ("SUM_LIST(X)", "ARRAY[ARRAY[1, 2], ARRAY[3]]", "6"),
        in_ksqldb: InKsqldb::OverBoth,
        resolve: sum_list,
    },
    Aggregate {
        name: "TOPK",
        usage: "TOPK(x, k) → ARRAY<type of x>\nTOPK(x, y, …, k) → ARRAY<STRUCT<sort_col, col0, …>>",
        summary: "The k greatest values that are not NULL, descending; with more columns the rows of the greatest x.",
        example: ("TOPK(X, 2)", "ARRAY[1, 3, 3]", "[3, 3]"),
        in_ksqldb: InKsqldb::OverStreams,
        resolve: |args| top(args, |k| Spec::TopK { k }),
    },
    Aggregate {
        name: "TOPKDISTINCT",
        usage: "TOPKDISTINCT(x, k) → ARRAY<type of x>\nTOPKDISTINCT(x, y, …, k) → ARRAY<STRUCT<sort_col, col0, …>>",
        summary: "The k greatest distinct values that are not NULL, descending; with more columns the distinct rows of the greatest x.",
        example: ("TOPKDISTINCT(X, 2)", "ARRAY[1, 3, 3]", "[3, 1]"),
        in_ksqldb: InKsqldb::OverStreams,
        resolve: |args| top(args, |k| Spec::TopKDistinct { k }),
    },
    Aggregate {
        name: "VARIANCE",
        usage: "VARIANCE(number) → DOUBLE",
        summary: "The variance of a sample, from exact sums; of fewer than two values NULL.",
        example: ("VARIANCE(X)", "ARRAY[2, 4]", "2.0"),
        in_ksqldb: InKsqldb::No,
        resolve: |args| spread(args, Statistic::Variance),
    },
    Aggregate {
        name: "VAR_POP",
        usage: "VAR_POP(number) → DOUBLE",
        summary: "The variance of all there is, from exact sums; of no values NULL.",
        example: ("VAR_POP(X)", "ARRAY[2, 4]", "1.0"),
        in_ksqldb: InKsqldb::No,
        resolve: |args| spread(args, Statistic::PopulationVariance),
    },
];

/// The aggregate of that (upper-case) name.
pub fn find(name: &str) -> Option<&'static Aggregate> {
    ALL.iter().find(|aggregate| aggregate.name == name)
}

fn overload(args: Vec<SqlType>, returns: SqlType, spec: Spec) -> Overload {
    Overload { args, pack: Pack::Each, returns, spec }
}

fn one<'a, 'b>(args: &'a [Arg<'b>]) -> Result<&'a Arg<'b>, String> {
    match args {
        [arg] => Ok(arg),
        _ => Err(format!("takes 1 argument, {} given", args.len())),
    }
}

fn any(arg: &Arg) -> Result<SqlType, String> {
    arg.ty.cloned().ok_or_else(|| "argument 1 is the literal NULL, needs a type".to_string())
}

fn number(arg: &Arg) -> Result<SqlType, String> {
    match any(arg)? {
        ty if ty.is_numeric() => Ok(ty),
        ty => Err(format!("argument 1 is {ty}, needs a number")),
    }
}

fn scalar(arg: &Arg) -> Result<SqlType, String> {
    match any(arg)? {
        ty @ (SqlType::Array(_) | SqlType::Map(..) | SqlType::Struct(_)) => {
            Err(format!("argument 1 is {ty}, needs a type with an order"))
        }
        ty => Ok(ty),
    }
}

fn count(args: &[Arg]) -> Result<Overload, String> {
    match args {
        [] => Ok(overload(vec![], SqlType::Bigint, Spec::CountRows)),
        args => Ok(overload(vec![any(one(args)?)?], SqlType::Bigint, Spec::Count)),
    }
}

fn sum(args: &[Arg]) -> Result<Overload, String> {
    let ty = number(one(args)?)?;
    let returns = sum_type(&ty);
    Ok(overload(vec![ty], returns.clone(), Spec::Sum(returns)))
}

fn sum_type(of: &SqlType) -> SqlType {
    match *of {
        SqlType::Decimal { precision, scale } => {
            SqlType::Decimal { precision: precision.saturating_add(10).min(38), scale }
        }
        ref same => same.clone(),
    }
}

fn avg(args: &[Arg]) -> Result<Overload, String> {
    let ty = number(one(args)?)?;
    Ok(overload(vec![ty.clone()], SqlType::Double, Spec::Avg(ty)))
}

fn spread(args: &[Arg], statistic: Statistic) -> Result<Overload, String> {
    let of = number(one(args)?)?;
    Ok(overload(vec![of.clone()], SqlType::Double, Spec::Spread { of, statistic }))
}

fn correlation(args: &[Arg]) -> Result<Overload, String> {
    let [x, y] = args else { return Err(format!("takes 2 arguments, {} given", args.len())) };
    let (x, y) = (number(x)?, number(y).map_err(|reason| reason.replace("argument 1", "argument 2"))?);
    let of = common_type(&x, &y).ok_or_else(|| format!("{x} and {y} have no type in common"))?;
    let pack = Pack::Row { fields: vec!["x".into(), "y".into()], needed: 2 };
    let spec = Spec::Correlation(of.clone());
    Ok(Overload { args: vec![of.clone(), of], pack, returns: SqlType::Double, spec })
}

fn sum_list(args: &[Arg]) -> Result<Overload, String> {
    let given = any(one(args)?)?;
    let item = match &given {
        SqlType::Array(item) if item.is_numeric() => item,
        ty => return Err(format!("argument 1 is {ty}, needs an ARRAY of numbers")),
    };
    let returns = sum_type(item);
    Ok(overload(vec![given.clone()], returns.clone(), Spec::SumList(returns)))
}

fn one_of_set(args: &[Arg], spec: Spec) -> Result<Overload, String> {
    let ty = any(one(args)?)?;
    Ok(overload(vec![ty.clone()], ty, spec))
}

fn histogram(args: &[Arg]) -> Result<Overload, String> {
    match any(one(args)?)? {
        SqlType::Varchar => {
            let returns = SqlType::Map(Box::new(SqlType::Varchar), Box::new(SqlType::Bigint));
            Ok(overload(vec![SqlType::Varchar], returns, Spec::Histogram))
        }
        ty => Err(format!("argument 1 is {ty}, needs STRING; hint: CAST(… AS STRING)")),
    }
}

fn percentile_of(args: &[Arg]) -> Result<Overload, String> {
    let [value, part] = args else { return Err(format!("takes 2 arguments, {} given", args.len())) };
    let (digits, scale) = match part.literal {
        Some(Value::Int(n @ 0..=1)) => (*n as u64, 0),
        Some(Value::Decimal(digits, scale @ ..=18)) if (0..=10i128.pow(*scale as u32)).contains(digits) => {
            (*digits as u64, *scale)
        }
        _ => return Err("argument 2 needs to be a literal from 0 to 1, such as 0.95".into()),
    };
    percentile(value, digits, scale)
}

fn percentile(value: &Arg, digits: u64, scale: u8) -> Result<Overload, String> {
    let of = number(value)?;
    Ok(overload(vec![of.clone()], SqlType::Double, Spec::Percentile { of, digits, scale }))
}

fn extreme(args: &[Arg], spec: Spec) -> Result<Overload, String> {
    let ty = scalar(one(args)?)?;
    Ok(overload(vec![ty.clone()], ty, spec))
}

fn collect(args: &[Arg], spec: Spec) -> Result<Overload, String> {
    let ty = any(one(args)?)?;
    Ok(overload(vec![ty.clone()], SqlType::Array(Box::new(ty)), spec))
}

fn top(args: &[Arg], spec: fn(u32) -> Spec) -> Result<Overload, String> {
    let [value, others @ .., k] = args else {
        return Err(format!("takes 2 arguments or more, {} given", args.len()));
    };
    let ty = scalar(value)?;
    let k = size(k)
        .ok_or_else(|| format!("argument {} needs to be a literal integer of at least 1", args.len()))?;
    if others.is_empty() {
        return Ok(overload(vec![ty.clone()], SqlType::Array(Box::new(ty)), spec(k)));
    }
    let mut types = vec![ty];
    let mut fields = vec!["sort_col".to_string()];
    for (i, other) in others.iter().enumerate() {
        let ty = other.ty.ok_or_else(|| format!("argument {} is the literal NULL, needs a type", i + 2))?;
        types.push(ty.clone());
        fields.push(format!("col{i}"));
    }
    let row = fields.iter().zip(&types).map(|(name, ty)| StructField { name: name.clone(), ty: ty.clone() });
    let returns = SqlType::Array(Box::new(SqlType::Struct(row.collect())));
    Ok(Overload { args: types, pack: Pack::Row { fields, needed: 1 }, returns, spec: spec(k) })
}

fn by_offset(args: &[Arg], spec: fn(bool, Option<u32>) -> Spec) -> Result<Overload, String> {
    let [value, parameters @ ..] = args else {
        return Err("takes 1 to 3 arguments, 0 given".into());
    };
    let ty = any(value)?;
    let (n, ignore_nulls) = match parameters {
        [] => (None, true),
        [arg] => match flag(arg) {
            Some(ignore_nulls) => (None, ignore_nulls),
            None => {
                let n = size(arg)
                    .ok_or("argument 2 needs to be a literal, BOOLEAN or an integer of at least 1")?;
                (Some(n), true)
            }
        },
        [n, ignore_nulls] => (
            Some(size(n).ok_or("argument 2 needs to be a literal integer of at least 1")?),
            flag(ignore_nulls).ok_or("argument 3 needs to be a literal BOOLEAN")?,
        ),
        _ => return Err(format!("takes 1 to 3 arguments, {} given", args.len())),
    };
    let returns = if n.is_some() { SqlType::Array(Box::new(ty.clone())) } else { ty.clone() };
    Ok(overload(vec![ty], returns, spec(ignore_nulls, n)))
}

fn size(arg: &Arg) -> Option<u32> {
    match arg.literal {
        Some(Value::Int(n)) => u32::try_from(*n).ok().filter(|n| *n > 0),
        Some(Value::Bigint(n)) => u32::try_from(*n).ok().filter(|n| *n > 0),
        _ => None,
    }
}

fn flag(arg: &Arg) -> Option<bool> {
    if let Some(Value::Boolean(flag)) = arg.literal { Some(*flag) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(name: &str, args: &[(Option<SqlType>, Option<Value>)]) -> String {
        let args: Vec<Arg> =
            args.iter().map(|(ty, literal)| Arg { ty: ty.as_ref(), literal: literal.as_ref() }).collect();
        match find(name).map(|aggregate| (aggregate.resolve)(&args)) {
            Some(Ok(found)) => format!("{} → {}", found.spec, found.returns),
            Some(Err(reason)) => reason,
            None => "unknown".into(),
        }
    }

    #[test]
    fn overloads() {
        let column = |ty| (Some(ty), None);
        let int = |n| (Some(SqlType::Int), Some(Value::Int(n)));
        let flag = |b| (Some(SqlType::Boolean), Some(Value::Boolean(b)));
        assert_eq!(resolve("COUNT", &[]), "COUNT(*) → BIGINT");
        assert_eq!(resolve("COUNT", &[column(SqlType::Varchar)]), "COUNT → BIGINT");
        assert_eq!(resolve("SUM", &[column(SqlType::Int)]), "SUM(returns INTEGER) → INTEGER");
        assert_eq!(
            resolve("SUM", &[column(SqlType::Decimal { precision: 30, scale: 2 })]),
            "SUM(returns DECIMAL(38, 2)) → DECIMAL(38, 2)"
        );
        assert_eq!(resolve("SUM", &[column(SqlType::Varchar)]), "argument 1 is STRING, needs a number");
        assert_eq!(resolve("MIN", &[(None, None)]), "argument 1 is the literal NULL, needs a type");
        assert_eq!(
            resolve("LATEST_BY_OFFSET", &[column(SqlType::Int), flag(false)]),
            "LATEST_BY_OFFSET(keep nulls) → INTEGER"
        );
        assert_eq!(
            resolve("EARLIEST_BY_OFFSET", &[column(SqlType::Int), int(3), flag(true)]),
            "EARLIEST_BY_OFFSET(ignore nulls, n = 3) → ARRAY<INTEGER>"
        );
        assert_eq!(resolve("TOPK", &[column(SqlType::Double), int(5)]), "TOPK(k = 5) → ARRAY<DOUBLE>");
        assert_eq!(
            resolve("TOPK", &[column(SqlType::Double), int(0)]),
            "argument 2 needs to be a literal integer of at least 1"
        );
        assert!(ALL.is_sorted_by_key(|aggregate| aggregate.name));
    }
}
