//! What is kept for one aggregate call: plain data in the plan.

use crate::types::SqlType;
use serde::{Deserialize, Serialize};
use std::fmt;

/// What is kept for one aggregate call: plain data in the plan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Spec {
    /// COUNT(*): no argument.
    CountRows,
    /// COUNT(x): values that are not NULL.
    Count,
    /// The type of the result; of no values it is 0.
    Sum(SqlType),
    /// The type of the argument; the result is DOUBLE, of no values NULL.
    Avg(SqlType),
    Min,
    Max,
    /// With `n`: an ARRAY of the n latest values, the latest last.
    Latest {
        ignore_nulls: bool,
        n: Option<u32>,
    },
    /// With `n`: an ARRAY of the n earliest values, the earliest first.
    Earliest {
        ignore_nulls: bool,
        n: Option<u32>,
    },
    CountDistinct,
    CollectList,
    CollectSet,
    TopK {
        k: u32,
    },
    TopKDistinct {
        k: u32,
    },
    /// Of the values of a number's type.
    Spread {
        of: SqlType,
        statistic: Statistic,
    },
    /// Of structs of two numbers of one type, neither of them NULL.
    Correlation(SqlType),
    /// The sum of the items of arrays; the type of the result.
    SumList(SqlType),
    /// The one value that all have, NULL included.
    Attr,
    /// Each text with how often it comes.
    Histogram,
    /// The value below which so much of all lies: `digits / 10^scale` of it.
    Percentile {
        of: SqlType,
        digits: u64,
        scale: u8,
    },
    /// The present row of a key in a source table: its arguments are `columns` value columns and a
    /// BOOLEAN that says the row was deleted. Its result is `columns` values.
    LatestRow {
        columns: usize,
    },
}

/// What is told of how far values lie apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Statistic {
    /// Of a sample: of fewer than two values NULL.
    Variance,
    Deviation,
    /// Of all there is: of no values NULL.
    PopulationVariance,
    PopulationDeviation,
    /// As the dialect has them: of fewer than two values 0.
    StddevSamp,
    StddevSample,
}

impl Statistic {
    pub fn name(self) -> &'static str {
        match self {
            Statistic::Variance => "VARIANCE",
            Statistic::Deviation => "STDDEV",
            Statistic::PopulationVariance => "VAR_POP",
            Statistic::PopulationDeviation => "STDDEV_POP",
            Statistic::StddevSamp => "STDDEV_SAMP",
            Statistic::StddevSample => "STDDEV_SAMPLE",
        }
    }
}

impl Spec {
    /// Whether the call keeps each distinct value with how often it came, beside the state.
    pub fn keeps_set(&self) -> bool {
        matches!(
            self,
            Spec::CountDistinct | Spec::CollectSet | Spec::Attr | Spec::Histogram | Spec::Percentile { .. }
        )
    }

    /// Whether NULL counts as a value of such a set.
    pub fn set_holds_null(&self) -> bool {
        matches!(self, Spec::CollectSet | Spec::Attr)
    }

    /// Whether NULL is one of the values that it picks from.
    pub fn counts_nulls(&self) -> bool {
        matches!(self, Spec::Latest { ignore_nulls: false, .. } | Spec::Earliest { ignore_nulls: false, .. })
    }

    /// How many columns the call reads.
    pub fn columns(&self) -> usize {
        match self {
            Spec::CountRows => 0,
            Spec::LatestRow { columns } => columns + 1,
            _ => 1,
        }
    }

    /// How many values the call results in.
    pub fn results(&self) -> usize {
        if let Spec::LatestRow { columns } = self { *columns } else { 1 }
    }
}

/// Whether the result depends on which row came last or first, so that it cannot be computed over
/// input with deletions. (COLLECT_LIST can: there its order is that of the present rows.)
pub fn order_sensitive(spec: &Spec) -> bool {
    matches!(spec, Spec::Latest { .. } | Spec::Earliest { .. } | Spec::LatestRow { .. })
}

/// Whether any of the calls keeps collection elements.
pub fn keeps_elements(specs: &[Spec]) -> bool {
    specs.iter().any(|spec| *spec == Spec::CollectList || spec.keeps_set())
}

impl fmt::Display for Spec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let by_offset = |f: &mut fmt::Formatter<'_>, name: &str, ignore_nulls: &bool, n: &Option<u32>| {
            let nulls = if *ignore_nulls { "ignore nulls" } else { "keep nulls" };
            match n {
                Some(n) => write!(f, "{name}({nulls}, n = {n})"),
                None => write!(f, "{name}({nulls})"),
            }
        };
        match self {
            Spec::CountRows => f.write_str("COUNT(*)"),
            Spec::Count => f.write_str("COUNT"),
            Spec::Sum(ty) => write!(f, "SUM(returns {ty})"),
            Spec::Avg(ty) => write!(f, "AVG(of {ty})"),
            Spec::Min => f.write_str("MIN"),
            Spec::Max => f.write_str("MAX"),
            Spec::Latest { ignore_nulls, n } => by_offset(f, "LATEST_BY_OFFSET", ignore_nulls, n),
            Spec::Earliest { ignore_nulls, n } => by_offset(f, "EARLIEST_BY_OFFSET", ignore_nulls, n),
            Spec::CountDistinct => f.write_str("COUNT_DISTINCT"),
            Spec::CollectList => f.write_str("COLLECT_LIST"),
            Spec::CollectSet => f.write_str("COLLECT_SET"),
            Spec::TopK { k } => write!(f, "TOPK(k = {k})"),
            Spec::TopKDistinct { k } => write!(f, "TOPKDISTINCT(k = {k})"),
            Spec::Spread { of, statistic } => write!(f, "{}(of {of})", statistic.name()),
            Spec::Correlation(of) => write!(f, "CORRELATION(of {of})"),
            Spec::SumList(ty) => write!(f, "SUM_LIST(returns {ty})"),
            Spec::Attr => f.write_str("ATTR"),
            Spec::Histogram => f.write_str("HISTOGRAM"),
            Spec::Percentile { of, digits, scale } => {
                write!(f, "PERCENTILE(of {of}, p = {})", crate::number_text::decimal(*digits as i128, *scale))
            }
            Spec::LatestRow { columns } => write!(f, "LATEST_ROW({columns} columns)"),
        }
    }
}
