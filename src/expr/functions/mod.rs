//! The list of all scalar functions: a function is one entry here.

mod call;
mod string;
mod conditional;
mod numeric;
mod rounding;
mod datetime;

#[cfg(test)]
mod tests;

use super::function::Function;

/// Every scalar function, sorted by name.
pub static ALL: &[Function] = &[
    numeric::ABS,
    numeric::ACOS,
    numeric::ASIN,
    numeric::ATAN,
    numeric::ATAN2,
    numeric::CBRT,
    numeric::CEIL,
    string::CHR,
    conditional::COALESCE,
    string::CONCAT,
    string::CONCAT_WS,
    datetime::CONVERT_TZ,
    numeric::COS,
    numeric::COSH,
    numeric::COT,
    datetime::DATEADD,
    datetime::DATESUB,
    datetime::DATETOSTRING,
    numeric::DEGREES,
    string::ELT,
    numeric::EXP,
    string::FIELD,
    numeric::FLOOR,
    datetime::FORMAT_DATE,
    datetime::FORMAT_TIME,
    datetime::FORMAT_TIMESTAMP,
    datetime::FROM_DAYS,
    datetime::FROM_UNIXTIME,
    numeric::GENERATE_SERIES,
    numeric::GEO_DISTANCE,
    conditional::GREATEST,
    conditional::IFNULL,
    string::INITCAP,
    string::INSTR,
    string::LCASE,
    conditional::LEAST,
    string::LEN,
    numeric::LN,
    numeric::LOG,
    string::LPAD,
    conditional::NULLIF,
    datetime::PARSE_DATE,
    datetime::PARSE_TIME,
    datetime::PARSE_TIMESTAMP,
    numeric::PI,
    numeric::POWER,
    numeric::RADIANS,
    string::REPLACE,
    numeric::ROUND,
    string::RPAD,
    numeric::SIGN,
    numeric::SIN,
    numeric::SINH,
    string::SPLIT,
    string::SPLIT_TO_MAP,
    numeric::SQRT,
    datetime::STRINGTODATE,
    datetime::STRINGTOTIMESTAMP,
    string::SUBSTRING,
    numeric::TAN,
    numeric::TANH,
    datetime::TIMEADD,
    datetime::TIMESTAMPADD,
    datetime::TIMESTAMPSUB,
    datetime::TIMESTAMPTOSTRING,
    datetime::TIMESUB,
    string::TRIM,
    numeric::TRUNC,
    string::UCASE,
    datetime::UNIX_DATE,
    datetime::UNIX_TIMESTAMP,
];

/// Looks a function up by its upper-case name.
pub fn find(name: &str) -> Option<&'static Function> {
    ALL.binary_search_by(|f| f.name.cmp(name)).ok().map(|i| &ALL[i])
}
